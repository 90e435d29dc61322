/* store.h - what storage itself costs, without a server: a folder of years of conversations, written through storage.
 *
 * Ten thousand direct conversations of skewed size: the one of rank r gets messages in proportion to 1 / (r + 10), so
 * that the largest has about five hundred times as many as the middle one. Each message has a body of 200 bytes, and is
 * followed by the mark of its receiver. Their times are spread evenly over ten years that end now. */
#ifndef PIPIT_BENCH_STORE_H
#define PIPIT_BENCH_STORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "storage/offline.h"
#include "tools/bench/bench.h"

enum { TOWN_CONVS = 10000, TOWN_PAGE = 50 };

struct town_conv {
    struct conv_id id;
    struct vault_key key;
    uint64_t head;
    struct msg_id last_id;
};
struct town {
    struct store store;
    const char *dir;
    uint64_t random;
    double shares[TOWN_CONVS];         /* running sums, up to 1 */
    struct town_conv *convs;
    struct fold *fold;
    uint64_t messages, marks;          /* written by this process */
    uint64_t message_bytes, mark_bytes;/* of their records, as the log has them */
};

/* Opens the folder, and finds in its rows where every conversation stands; makes users, keys and rows in an empty one.
 * `ms_out` (may be NULL): how long store_open() took. */
void town_open(struct town *town, const char *dir, uint64_t *ms_out);
void town_close(struct town *town);
/* `count` messages more, made between begin_ms and end_ms. Batches are as large as they may be: loading is not what is
 * measured. `keep`: each segment that is full is sorted, and what is due merged, by a thread of its own; loading goes
 * at most one segment ahead of it, so that as much is written as in a life that gave the keeper time. */
void town_load(struct town *town, uint64_t count, uint64_t begin_ms, uint64_t end_ms, bool keep);
void town_flush(struct town *town);
/* A message of conversation c, and its mark, appended to the open batch: 0 or ERR_FULL. */
int town_say(struct town *town, uint32_t c, uint64_t now_ms);
/* The same in two steps, without its mark and without telling the rows of it: made ahead, and appended, which is what
 * log and seal cost, alone. What was drafted must be appended in that order. */
struct draft { uint32_t conv; struct record head; struct entry entry; uint64_t body[BENCH_BODY_BYTES / 8]; };
void town_draft(struct town *town, uint32_t c, uint64_t now_ms, struct draft *out);
int town_append(struct town *town, struct draft *draft);
uint32_t town_draw(struct town *town);               /* a conversation, by its size */
uint64_t town_random(struct town *town);

/* The keeper at work: one step after the other until nothing is left to do, on this thread or another. */
struct keeping {
    struct town *town;
    uint64_t flushed;                  /* record number that the rows cover */
    bool idle;                         /* merge further than must be */
    bool rewrite;                      /* every table is due to be rewritten once */
    uint64_t bytes_per_s;              /* 0: as fast as it goes */
    uint64_t now_ms;
    atomic_bool stop, rest;            /* any thread: end soon; wait until it is false again */
    uint64_t sorted;
    atomic_uint_least64_t bytes;       /* read and written … */
    uint64_t sorting_bytes;            /* … of these, until the last sort was done */
    /* -- below: store_keep.c alone -- */
    uint64_t due_ns;
    pthread_t thread;
};
void keeping_run(struct keeping *k);
void keeping_start(struct keeping *k);               /* on a thread of its own */
void keeping_wait(struct keeping *k);                /* until it is done */

/* One figure: a line "NAME VALUE" for store.sh, which puts the table together. */
void figure(double value, const char *name, ...) __attribute__((format(printf, 2, 3)));
uint64_t wall_ms(void);

/* The commands: each measures and prints its figures. */
void store_fill(const char *dir, uint64_t messages, bool crash);
void store_commit(const char *dir, uint32_t rounds);
void store_pages(const char *dir);
void store_room(const char *dir);
void store_stall(const char *dir);

#endif
