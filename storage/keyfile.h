/* keyfile.h - the one file of keys that is kept apart from backups.
 *
 * A backup holds records sealed under keys it does not hold. The key file holds the keys: each backup writes it anew,
 * and so does each erasure, to every place where one was ever written. So any backup opens with the newest key file, and
 * what was erased opens from none. docs/disk.md has its bytes; the file is mode 0600.
 *
 * A new one is written aside, synced, renamed into place, its folder synced; then what the old one held is overwritten
 * with zeros, as far as the file system does that in place. Only a key file of the same node is ever replaced, and a
 * known one only where it still is: a folder without it may be a mount point without its disk.
 *
 * One key file is written at a time in a process: the keys are read and the file is in place before the next one begins.
 * So keys that were read before an erasure never end up where it has just taken them away.
 * Thread: any that owns the connections it gives. Calls block. */
#ifndef PIPIT_STORAGE_KEYFILE_H
#define PIPIT_STORAGE_KEYFILE_H

#include "storage/facts.h"
#include "storage/vault.h"

enum {
    KEYFILE_FORMAT = 1,
    KEYFILE_HEADER_BYTES = 80,
    KEYFILE_ENTRY_BYTES = 65,
    KEYFILE_END_BYTES = 8,
    NODE_ID_BYTES = 16,
};

struct keyfile_head {
    uint8_t node[NODE_ID_BYTES];
    uint8_t generation[16];                     /* the node's when it was written */
    uint64_t made_ms;
    uint64_t count;                             /* of entries */
    uint64_t last_number;                       /* the highest ever given: a restored vault goes on above it */
};

/* Write what `vault` holds to `path`, from one snapshot, in bounded memory. `vault` has no transaction open.
 * ERR_EXISTS: something is at `path` that is no key file of this node. ERR_TOO_BIG (the path), ERR_NOT_FOUND (the
 * folder), ERR_NO_SPACE, ERR_IO, ERR_NOMEM, ERR_CORRUPT (the vault). head_out may be NULL. */
int keyfile_write(const struct fsio *fs, const char *path, struct vault *vault, const struct node_row *node,
                  uint64_t now_ms, struct keyfile_head *head_out);

/* -- all that are known (rows in facts.db) ------------------------------------------------------------------- */

struct keyfile_result { char path[FS_PATH_MAX]; uint64_t written_ms; int err; };
struct keyfiles_report { size_t count, failed; struct keyfile_result results[KEYFILES_MAX]; };

/* Rewrite every known key file, from one or more snapshots of `vault` that are all newer than this call, and say of each
 * what came of it: results[i].err, with written_ms of the last time when it failed. ERR_NOT_FOUND there: the file is not
 * where it was. Returns 0 even when some failed; an error when the list could not be read. The rows are not changed:
 * keyfiles_note() does that.
 * facts, vault: any connections without a transaction. */
int keyfiles_rewrite(const struct fsio *fs, struct facts *facts, struct vault *vault, uint64_t now_ms,
                     struct keyfiles_report *report_out);
/* Into the rows, inside the writer's transaction. */
int keyfiles_note(struct facts *facts, const struct keyfiles_report *report);

#endif
