/* fold.h - what committed records mean for the rows: the one place where log becomes facts.
 *
 * A fold gathers, in memory, what a run of committed records of one log changes: heads, memberships, cursors,
 * repeat entries, the highest client sequence of each device. Everything in it is a maximum or keyed by its
 * own identity, so applying a record twice changes nothing, and replay after a crash ends in the same rows as
 * the live flush. facts_flush() writes it in one transaction with the record number it covers.
 *
 * The same fold_record() serves the live path (a shard, after log_done) and the start (logs_open's replay).
 * Thread: whoever owns the fold; it is handed whole to the facts thread for the flush. */
#ifndef PIPIT_STORAGE_FOLD_H
#define PIPIT_STORAGE_FOLD_H

#include "storage/record.h"

struct fold;

/* A fold is flushed about once a second; above this many rows sooner, so that it stays small. */
enum { FOLD_ROWS_SOON = 20000 };

struct fold *fold_new(uint32_t log);            /* NULL: out of memory */
void fold_free(struct fold *fold);
/* Take in one committed record, in the order of record numbers. `entry` is its opened sealed part, or NULL for a
 * tombstone (its key was erased): only the head then moves. Returns 0 or ERR_NOMEM (the fold is unchanged). */
int fold_record(struct fold *fold, const struct record *record, const struct entry *entry);
/* The last record number taken in; 0: none. */
uint64_t fold_number(const struct fold *fold);
uint32_t fold_log(const struct fold *fold);
size_t fold_rows(const struct fold *fold);

#endif
