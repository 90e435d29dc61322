/* store.h - a data folder, opened whole.
 *
 *   DIR/format     "pipit data 1": refuses what a newer version wrote
 *   DIR/lock       held while a server uses the folder
 *   DIR/facts.db   rows (facts.h)          DIR/keys.db   keys (vault.h)
 *   DIR/log/       segments (log.h)        DIR/admin.sock, DIR/audit.log  the server's
 *
 * store_open() takes the lock, opens facts and keys, replays the tails of all logs that the facts do not cover,
 * flushes them, indexes the segments, and opens one log for each shard in a new segment. Afterwards rows and log
 * agree, whatever was killed before. Blocks; called by main before any shard starts. */
#ifndef PIPIT_STORAGE_STORE_H
#define PIPIT_STORAGE_STORE_H

#include "storage/erase.h"
#include "storage/facts.h"
#include "storage/log.h"

enum { STORE_DATA_FORMAT = 1 };   /* of the folder as a whole: its `format` says so */

struct store {
    const struct fsio *fs;
    char dir[FS_PATH_MAX];
    struct facts *facts;          /* the writer: the facts thread's from its start on */
    struct vault *vault;          /* the writer, likewise */
    struct logs *logs;
    struct log *log[LOGS_MAX];    /* [i] is shard i's */
    uint32_t log_count;
    struct node_row node;
    struct logs_report report;
    struct erase_count erased;    /* by this opening: what was begun before a crash */
    int lock;
};
struct store_opening {
    uint32_t shards;              /* 1..LOGS_MAX */
    uint64_t now_ms;
    uint64_t segment_bytes;       /* 0: default */
};

/* 0, ERR_IN_USE, ERR_NEWER, ERR_CORRUPT, ERR_NO_SPACE, ERR_IO, ERR_NOMEM, ERR_TOO_BIG (the path). On error nothing is
 * held, `why` says what and where in one clause (file and offset for ERR_CORRUPT), and store->report tells details. */
int store_open(const struct fsio *fs, const char *dir, const struct store_opening *how, struct store *store,
               char why[static 256]);
/* Checkpoints and closes everything; the caller has flushed its folds and no batch is in flight. */
void store_close(struct store *store);
/* A reader's own connections. */
int store_reader_open(const struct store *store, struct facts **facts_out, struct vault **vault_out);

#endif
