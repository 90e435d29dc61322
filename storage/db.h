/* db.h - one connection to one SQLite database, for facts.c and vault.c.
 *
 * What both need and neither should repeat: opening through the VFS with our settings, numbered migrations,
 * transactions that tell the truth after a failure, statements prepared once, and queries whose parameters and
 * columns go in order.
 *
 *     struct query q;
 *     query_start(&q, db, "SELECT head FROM convs WHERE conv = ?");
 *     query_put_blob(&q, conv->v, sizeof conv->v);
 *     int err = query_row(&q);                    // 0: a row; ERR_END: none
 *     if (!err) head = query_get_u64(&q);
 *     return query_end(&q, err);                  // always; ERR_NOT_FOUND for ERR_END
 *
 * Errors of every call: ERR_NO_SPACE, ERR_IO, ERR_NOMEM, ERR_CORRUPT; ERR_EXISTS for a violated key; ERR_AGAIN when
 * another connection held a lock for BUSY_MS_MAX.
 * Thread: a connection and its queries belong to one thread at a time. */
#ifndef PIPIT_STORAGE_DB_H
#define PIPIT_STORAGE_DB_H

#include <sqlite3.h>

#include "proto/id.h"
#include "storage/fsio.h"

struct vfs;

enum {
    /* Distinct statements of one connection: facts has about sixty. */
    DB_STATEMENTS_MAX = 96,
    /* Only a recovery of the WAL index or the last close can hold a lock we want; both take milliseconds. */
    DB_BUSY_MS_MAX = 10 * 1000,
    /* How long a scrub waits for readers before it says "again": what else the thread has to do waits as long. */
    DB_SCRUB_MS_MAX = 50,
};

struct db_statement { const char *sql; sqlite3_stmt *stmt; };

struct db {
    sqlite3 *sqlite;
    struct vfs *vfs;
    bool writer;
    int failed;             /* a writer that saw ERR_IO writes no more until reopened; 0: fine */
    int lost;               /* why SQLite gave up the open transaction by itself; 0: it did not */
    int wal_frames;         /* in the WAL at the last commit */
    int statement_count;
    struct db_statement statements[DB_STATEMENTS_MAX];
};

struct db_opening {
    bool writer;                        /* makes the file, runs migrations; else reads only */
    const char *const *migrations;      /* [i] is SQL that leads from version i to i + 1 */
    int migration_count;
    unsigned cache_kib;                 /* pages kept by this connection */
    bool secure_delete;                 /* overwrite what is deleted */
};

/* ERR_NEWER: the file's version is above migration_count. A reader finds ERR_NOT_FOUND where no writer has yet made
 * the file of this version. A migration that fails leaves the version before it. */
int db_open(const struct fsio *fs, const char *path, const struct db_opening *how, struct db **db_out);
void db_close(struct db *db);           /* NULL is fine; rolls back */
int db_begin(struct db *db);            /* writer: takes the write lock; reader: pins nothing before its first read */
int db_commit(struct db *db);           /* after an error nothing of the transaction is kept */
void db_rollback(struct db *db);        /* harmless without a transaction */
int db_exec(struct db *db, const char *sql);
int db_checkpoint(struct db *db);       /* moves what it can from the WAL to the file; never waits for readers */

/* Outside a transaction. Moves the whole WAL into the file, overwrites and empties it: what was deleted or overwritten
 * (with secure_delete) before is in neither file any more. ERR_AGAIN: a reader holds the WAL. */
int db_scrub(struct db *db);

struct query {
    struct db *db;
    sqlite3_stmt *stmt;     /* NULL when it could not be prepared */
    int put, got;           /* parameters bound, columns read of this row */
    int err;                /* sticky */
};

/* `sql` must live as long as the connection, with the same address each time: a literal. */
void query_start(struct query *q, struct db *db, const char *sql);
/* What is put must stay until query_end(). */
void query_put_u64(struct query *q, uint64_t v);    /* asserts v <= INT64_MAX: SQLite compares signed */
void query_put_device(struct query *q, struct device_id device);   /* two's complement: equal, but in no order */
void query_put_user(struct query *q, const struct user_id *user);
void query_put_blob(struct query *q, const void *at, size_t len);
void query_put_text(struct query *q, const char *text);
int query_row(struct query *q);         /* 0: a row is there; ERR_END: no more */
uint64_t query_get_u64(struct query *q);
struct device_id query_get_device(struct query *q);
void query_get_user(struct query *q, struct user_id *out);
void query_get_blob(struct query *q, void *to, size_t len);        /* another length is ERR_CORRUPT */
void query_get_text(struct query *q, char *to, size_t size);       /* longer is ERR_CORRUPT */
bool query_get_null(struct query *q);   /* is the next column NULL? then skips it */
/* Ends it and gives `err`, or the first thing that went wrong when that is 0; ERR_END becomes ERR_NOT_FOUND. */
int query_end(struct query *q, int err);
int query_run(struct query *q);         /* for statements without rows: steps and ends */

#endif
