/* fold.h - what committed records mean for the rows: the one place where log becomes facts.
 *
 * A fold gathers, in memory, what a run of committed records of one log changes: heads, memberships, cursors,
 * repeat entries, the highest client sequence of each device. Everything in it is a maximum or keyed by its
 * own identity, so applying a record twice changes nothing, and replay after a crash ends in the same rows as
 * the live flush. facts_flush() writes it in one transaction with the record number it covers. A repeat entry that its
 * own device has settled within the fold is no longer in it.
 *
 * The same fold_record() serves the live path (a shard, after log_done) and the start (logs_open's replay).
 * Thread: whoever owns the fold; it is handed whole to the facts thread for the flush. */
#ifndef PIPIT_STORAGE_FOLD_H
#define PIPIT_STORAGE_FOLD_H

#include "storage/record.h"

struct fold;

/* What a fold must understand of a record besides RECORD_KIND_MARKS. The wire's names for the same numbers stand in
 * proto/msg.h, which storage does not read; a test holds the two together. Of any other kind only the head counts. */
enum { FOLD_KIND_MESSAGE = 1, FOLD_KIND_DELETE = 4, FOLD_KIND_TIMER = 5, FOLD_SENDER_CAUGHT_UP = 1 << 1 };

/* The bodies of the last two are no secret of the wire: numbers of 8 bytes, big-endian. FOLD_KIND_DELETE has the
 * sequences of this partition that it deletes, FOLD_KIND_TIMER one, the seconds that messages stay from now on. */
enum { FOLD_NUMBER_BYTES = 8 };

/* A fold is flushed about once a second; above this many rows sooner, so that it stays small. */
enum { FOLD_ROWS_SOON = 20000 };

struct fold *fold_new(uint32_t log);            /* NULL: out of memory */
void fold_free(struct fold *fold);
/* Client sequences and cursors are kept in SQLite, whose integers are signed. Requests above this are refused
 * with ERR_RANGE before anything is appended. */
#define FOLD_SEQ_MAX ((uint64_t)INT64_MAX)
/* Take in one committed record, in the order of record numbers. `entry` is its opened sealed part, or NULL for a
 * tombstone (its key was erased): only the head then moves. Returns 0, ERR_RANGE (a number above FOLD_SEQ_MAX) or
 * ERR_NOMEM; on error the fold is unchanged. */
int fold_record(struct fold *fold, const struct record *record, const struct entry *entry);
/* The last record number taken in; 0: none. */
uint64_t fold_number(const struct fold *fold);
uint32_t fold_log(const struct fold *fold);
size_t fold_rows(const struct fold *fold);

/* -- what facts_flush() writes: one struct for each row the fold knows something of ------------------------ */
enum fold_kind { FOLD_CONV, FOLD_MEMBER, FOLD_CURSOR, FOLD_REPEAT, FOLD_DEVICE, FOLD_DELETED };

/* Which row. What a kind has no use for is zero. It is hashed and compared whole, so it has no hidden padding. */
struct fold_key {
    uint32_t kind;                /* enum fold_kind */
    struct conv_id conv;
    struct user_id user;
    uint8_t zero[3];
    struct device_id device;
    uint64_t client_seq;          /* FOLD_DELETED: the sequence that was deleted */
};
_Static_assert(sizeof(struct fold_key) == 72, "a fold key has no padding");
struct fold_row {
    struct fold_key key;
    union {
        struct {
            uint64_t head, counted;
            struct msg_id last_id;
            uint64_t marked_ms;
            bool is_new;          /* its first record is in this fold, and named … */
            struct user_id members[2];
            uint64_t created_ms;
            uint64_t timer_seq;   /* of the record that set the timer last; 0: none in this fold */
            uint64_t timer_s;
        } conv;
        struct { uint64_t delivered, delivered_ms, read, read_ms, sent; } member;
        struct { uint64_t delivered, settled; } cursor;
        struct { uint64_t seq; struct msg_id id; uint64_t expiry_ms; } repeat;
        struct { uint64_t client_seq_max; } device;
        struct { uint64_t ms, number; uint32_t log; } deleted;   /* when, and by which record */
    } u;
};
/* All of them in the order of their keys: kinds one after the other, and within a kind as the table is sorted,
 * which spares the disk. `rows_out` (to be freed) points into the fold. 0 or ERR_NOMEM. */
int fold_sorted(const struct fold *fold, const struct fold_row ***rows_out, size_t *count_out);

#endif
