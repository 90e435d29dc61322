/* sweep.h - what was deleted, looked for on the disk: the rows of `deleted` are walked again and again.
 *
 * A message that is found in a sorted file makes that file dead in part since it was deleted: so the keeper knows what is
 * due. A row whose message no file has any more is good for nothing, and may be forgotten, so that facts do not grow with
 * all that was ever deleted. Looking for it, instead of noting what a merge let go of, needs no memory of merges and is
 * right after a crash between the merge and the forgetting, however the message went.
 *
 * When a row may go:
 *   - the record that deleted it is in a closed segment. Then the message, which came before it, is in a closed one too,
 *     and the list has all of those; what lies in an open one no keeper can see.
 *   - no file of the list has it. Each is durable under its name before it is in the list, so no crash brings back one
 *     that has it: a start believes the files that cover it.
 *   - no older list is alive. A page that is being read from one may have the message, and asks the rows whether to
 *     give it.
 *   - a backup takes its rows first and its files after that: with the row it may have either, without it the message
 *     was gone before.
 *
 * Thread: the keeper's. */
#ifndef PIPIT_STORAGE_SWEEP_H
#define PIPIT_STORAGE_SWEEP_H

#include "storage/facts.h"
#include "storage/log.h"

struct sorted;

enum {
    SWEEP_ROWS = 64,                    /* of one slice: each costs a few reads */
    /* From the beginning of a walk to that of the next. What a file is due for is days old, and a row too many costs
     * some fifty bytes. */
    SWEEP_EVERY_MS = 60 * 60 * 1000,
};

struct sweep_tables {                   /* those with something deleted in them: at most as many as there are */
    struct { uint64_t serial, dead_ms; } *at;
    size_t count, cap;
};
struct sweep {
    bool under_way;
    uint64_t begun_ms;                  /* 0: never */
    struct deleted_row after;           /* the last that was looked at */
    struct sweep_tables known, found;   /* by the walk before, by this one so far */
};
void sweep_init(struct sweep *sweep);
void sweep_fini(struct sweep *sweep);
/* The next slice, if one is due: rows that may be forgotten go to gone_out. A file that cannot be read may have what is
 * looked for. 0, ERR_NOMEM or errors of facts: the slice is walked again then. Blocks. */
int sweep_step(struct sweep *sweep, struct logs *logs, struct facts *facts, uint64_t now_ms,
               struct deleted_row gone_out[static SWEEP_ROWS], size_t *gone_count_out);
/* When the first message in this table was deleted that is known to be in it; 0: none is. */
uint64_t sweep_dead_since(const struct sweep *sweep, const struct sorted *table);

#endif
