/* gonerig.h - a recorded run of a store in which things go: deleted for everyone, expired, too old, had by all, erased.
 *
 * Over log, facts and keys in one order of operations: people send, delete, set expiries, acknowledge; folds are flushed,
 * segments closed, sorted and merged, rows of what is off the disk forgotten; conversations and a user are erased, the
 * server restarts. Of each record the rig notes from which operation of the disk on it may be there, and must be; may be
 * gone, and must be. Asserts by cmocka. */
#ifndef PIPIT_TESTS_HARNESS_GONERIG_H
#define PIPIT_TESTS_HARNESS_GONERIG_H

#include "storage/storage.h"
#include "tests/harness/disk.h"

enum {
    GONE_CONVS = 6, GONE_LOGS = 3, GONE_STEPS = 700, GONE_STEPS_MAX = 4000, GONE_RECORDS_MAX = 3000,
    GONE_SEGMENT_BYTES = 2500,            /* a roll every few batches */
    GONE_AGE_MS = 1500,                   /* a run takes about four times as long */
};
#define GONE_DIR "/data"
#define GONE_START_MS UINT64_C(1700000000000)
#define GONE_NEVER UINT64_MAX

/* Operations of the disk: when something was begun, and when it had come back. GONE_NEVER: not. */
struct gone_span { uint64_t given, acked; };
struct gone_record {
    struct record head;
    int conv;
    uint8_t body[40];
    size_t body_len;
    struct gone_span there, gone;
};
struct gone_conv {
    struct conv_id id;
    struct vault_key key;
    bool open, erased;                    /* with its user: it is never written to again */
    uint64_t head, committed, delivered[2];
    struct msg_id last_id;
};
/* What goes besides deleted, expired and erased. */
struct gone_rule { uint64_t age_ms; bool drop_delivered; };
struct gone_run {
    struct disk *disk;                    /* its journal has the run from the first operation on */
    struct store store;
    struct gone_rule rule;
    uint64_t random, now_ms, client_seq;
    struct gone_conv convs[GONE_CONVS];
    struct fold *folds[GONE_LOGS];
    struct gone_record *records;
    size_t count, pending;                /* all before are committed */
    struct { uint64_t ops, now_ms; } steps[GONE_STEPS_MAX];
    size_t step_count;
    uint64_t sorted, merged, dropped, forgotten, deletes, erases;
};
/* The store is closed, the disk stays. */
struct gone_run *gone_run_new(uint64_t seed, const struct gone_rule *rule);
void gone_run_free(struct gone_run *run);
/* What the clock showed at an operation. */
uint64_t gone_now_at(const struct gone_run *run, uint64_t ops);
void gone_store_open(struct disk *disk, uint32_t shards, uint64_t now_ms, struct store *store, uint64_t ops);

/* A store and what keeps it in order. */
struct gone_keeping {
    struct store *store;
    struct sweep sweep;
    struct retainer retainer;
    uint64_t clock_ms;                    /* turned far on with each step, so that everything is looked at */
    uint64_t dropped, forgotten;
};
void gone_keeping_begin(struct gone_keeping *k, struct store *store);
void gone_keeping_end(struct gone_keeping *k);
/* Until there is nothing left to do: what a sweep finds is due, and what was rewritten is found gone. */
void gone_keep_all(struct gone_keeping *k, const struct gone_rule *rule, uint64_t now_ms);

#endif
