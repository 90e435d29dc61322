/* replay.h - committed records, read from disk, become rows.
 *
 * The same fold as the live path, only with each record opened: key by number, seal, fold, and a flush whenever a fold
 * grows large and at the end. Doing it twice, or going on after a crash, changes nothing. For a start (store.c) and for
 * cutting (cut.c), each with all of its records on disk for good.
 * Thread: that of the writers it was given. */
#ifndef PIPIT_STORAGE_REPLAY_H
#define PIPIT_STORAGE_REPLAY_H

#include "storage/facts.h"
#include "storage/vault.h"

struct replay;

/* `why` is told, in one clause, what any call below fails of. 0 or ERR_NOMEM. */
int replay_new(struct facts *facts, struct vault *vault, char why[static 256], struct replay **out);
/* Wipes the keys it held. What was not flushed is given up. */
void replay_free(struct replay *r);
/* The next record of its log. ERR_CORRUPT: its seal does not open, or its key is not known; the fold is unchanged then.
 * Errors of facts_flush() and vault_get_number(). */
int replay_record(struct replay *r, const struct record *record, struct bytes whole);
/* Only that it was there: its sequence and its number are given. For one that cannot be opened. */
int replay_head(struct replay *r, const struct record *record);
/* Flush what is left of all logs. */
int replay_end(struct replay *r);

#endif
