/* inside.h - what files of storage/ need of rows, keys and folders, and nobody outside does: no part of its face.
 *
 * Starts, backups, restores, key files and cuts work on all rows at once, where the face (storage.h) has one user, one
 * device, one conversation. Errors and threads as the header of each family says. */
#ifndef PIPIT_STORAGE_INSIDE_H
#define PIPIT_STORAGE_INSIDE_H

#include "storage/keyfile.h"
#include "storage/store.h"

/* -- facts.db (facts*.c) ------------------------------------------------------------------------------------ */
int facts_node_renew(struct facts *facts);                 /* writer: another random generation, inside a transaction */
/* The same for all logs that were ever flushed, in their order, and an error is told: recovery must not take
 * "unreadable" for "none". Stops at each()'s first non-zero answer and returns it. */
int facts_flushed_each(struct facts *facts, int (*each)(void *arg, uint32_t log, uint64_t number), void *arg);
/* That number alone, when it is lower: nothing of the log up to it is to be folded any more (cut.h). */
int facts_flushed_raise(struct facts *facts, uint32_t log, uint64_t number);
/* PRAGMA wal_checkpoint; called when idle and at close. */
int facts_checkpoint(struct facts *facts);
/* All rows of a reader's snapshot, which must be open, to a new file `path` that is durable with its folder's sync: exactly
 * them. (facts_copy.c) `step` (may be NULL) is told after each piece of how many bytes; non-zero stops and is returned.
 * On error a part of the file is left. */
int facts_copy(struct facts *facts, const char *path, int (*step)(void *arg, uint64_t bytes), void *arg);
/* Every conversation and inbox by id, above `after`; at most `max`. `user`: the first of its members, an inbox's owner. */
struct conv_owner { struct conv_id conv; uint8_t type; struct user_id user; };
int facts_conv_owners(struct facts *facts, const struct conv_id *after, size_t max, struct conv_owner *rows_out,
                      size_t *count_out);
int facts_scrub_is_due(struct facts *facts, bool *due_out);

/* -- keys.db (vault.c) ---------------------------------------------------------------------------------------- */
/* All reads between the two see one state. No transaction may be open. */
int vault_snapshot(struct vault *vault);
void vault_snapshot_end(struct vault *vault);
/* How many rows there are, and the highest number ever given. */
int vault_count(struct vault *vault, uint64_t *count_out, uint64_t *last_number_out);
/* Every row, numbers rising; stops at each()'s first non-zero answer and returns it. */
int vault_each(struct vault *vault, int (*each)(void *arg, const struct vault_row *row), void *arg);
/* Into an empty vault, inside the writer's transaction: a row as it was; and that numbers go on above `last_number`, which
 * comes after the rows. ERR_EXISTS (the number). */
int vault_import(struct vault *vault, const struct vault_row *row);
int vault_import_end(struct vault *vault, uint64_t last_number);

/* -- key files (keyfile.c) -------------------------------------------------------------------------------------- */
/* Which server it is: stays the same over restores, where the generation does not. */
void keyfile_node_id(const struct node_row *node, uint8_t out[static NODE_ID_BYTES]);
/* Give every entry to `each` (NULL: check only), numbers rising, and check all of it. Keep nothing of what `each` was
 * given before this returned 0: the checksum is at the end. *head_out is filled in before the first entry.
 * ERR_CORRUPT, ERR_NEWER, ERR_NOT_FOUND, ERR_IO, ERR_NOMEM, or each()'s non-zero answer. */
int keyfile_read(const struct fsio *fs, const char *path, struct keyfile_head *head_out,
                 int (*each)(void *arg, const struct vault_row *row), void *arg);

/* -- the folder (store.c) ---------------------------------------------------------------------------------------- */
/* The lock of a folder that is there and of a format that is known, for who works on it in another way; given back by
 * fs->unlock(). ERR_NOT_FOUND: no data folder. ERR_IN_USE: a server uses it. ERR_NEWER, ERR_CORRUPT, ERR_IO: its format. */
int store_lock(const struct fsio *fs, const char *dir, int *lock_out, char why[static 256]);
/* Write DIR/format, synced: from here on the folder is one of ours. For who makes a folder in another way. */
int store_write_format(const struct fsio *fs, const char *dir);

#endif
