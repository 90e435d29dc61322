/* db.c - one connection to one SQLite database.
 *
 * Settings, and why. WAL with synchronous=FULL: a commit is one append and one sync, and readers never wait for
 * the writer. temp_store=MEMORY: no file beside those that the VFS knows. mmap stays off: an error of the disk
 * must be a return code, not a signal. The page cache is bounded by the opener. A checkpoint once the WAL holds 1,000
 * pages (4 MB) keeps it small without syncing the main file for every commit; db_commit() does it, because
 * SQLite's own would swallow a failed sync. journal_size_limit gives a WAL that once grew large (readers held
 * it) back to the disk. Foreign keys are not declared: a fold must apply in
 * any order, and rows that belong together are made in one transaction.
 *
 * After ERR_IO a writer refuses all further transactions: what reached the disk is unknown until SQLite recovers
 * the WAL in a new start. */
#include "storage/db.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/vfs.h"

enum {
    WAL_FRAMES_SOON = 1000,                   /* pages in the WAL that call for a checkpoint */
    WAL_BYTES_KEPT = 16 * 1024 * 1024,        /* four checkpoints' worth */
};

static int err_of_code(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK: case SQLITE_ROW: case SQLITE_DONE: return 0;
    case SQLITE_FULL: return ERR_NO_SPACE;
    case SQLITE_NOMEM: return ERR_NOMEM;
    /* SQLITE_ERROR: the tables are not those that the file's version promises. */
    case SQLITE_CORRUPT: case SQLITE_NOTADB: case SQLITE_ERROR: return ERR_CORRUPT;
    case SQLITE_CONSTRAINT: return ERR_EXISTS;
    case SQLITE_BUSY: return ERR_AGAIN;
    case SQLITE_READONLY: return ERR_READ_ONLY;
    case SQLITE_IOERR: return code == SQLITE_IOERR_NOMEM ? ERR_NOMEM : ERR_IO;
    default: return ERR_IO;
    }
}

/* SQLite's answer as ERR_*, remembered where it changes what may follow. */
static int db_err(struct db *db, int code)
{
    int err = err_of_code(code);
    assert(code != SQLITE_MISUSE && code != SQLITE_RANGE);
    if (err == ERR_IO && db->writer && !db->failed) db->failed = ERR_IO;
    return err;
}

int db_exec(struct db *db, const char *sql)
{
    return db_err(db, sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL));
}

/* -- opening ---------------------------------------------------------------------------------------------- */

static int db_version(struct db *db, int *version_out)
{
    struct query q;
    query_start(&q, db, "PRAGMA user_version");
    int err = query_row(&q);
    if (!err) *version_out = (int)query_get_u64(&q);
    return query_end(&q, err);
}

static int db_use_wal(struct db *db)
{
    struct query q;
    char mode[16] = "";
    query_start(&q, db, "PRAGMA journal_mode = WAL");
    int err = query_row(&q);
    if (!err) query_get_text(&q, mode, sizeof mode);
    err = query_end(&q, err);
    return err ? err : strcmp(mode, "wal") ? ERR_IO : 0;    /* what it cannot change it answers unchanged */
}

static int db_on_wal(void *arg, sqlite3 *sqlite, const char *name, int frames)
{
    (void)sqlite, (void)name;
    struct db *db = arg;
    db->wal_frames = frames;
    return SQLITE_OK;
}

static int db_set(struct db *db, const struct db_opening *how)
{
    char sql[192];
    snprintf(sql, sizeof sql, "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA cache_size = -%u;",
             how->cache_kib);
    int err = db_exec(db, sql);
    if (err || !how->writer) return err;
    err = db_use_wal(db);
    if (err) return err;
    sqlite3_wal_hook(db->sqlite, db_on_wal, db);
    snprintf(sql, sizeof sql,
             "PRAGMA synchronous = FULL; PRAGMA secure_delete = %s; PRAGMA journal_size_limit = %d;",
             how->secure_delete ? "ON" : "OFF", WAL_BYTES_KEPT);
    return db_exec(db, sql);
}

/* One step and its number in one transaction: a crash finds the version before or after. */
static int db_migrate_one(struct db *db, const char *sql, int version)
{
    char pragma[48];
    snprintf(pragma, sizeof pragma, "PRAGMA user_version = %d", version);
    int err = db_begin(db);
    if (err) return err;
    err = db_exec(db, sql);
    if (!err) err = db_exec(db, pragma);
    if (!err) return db_commit(db);
    db_rollback(db);
    return err;
}

int db_open(const struct fsio *fs, const char *path, const struct db_opening *how, struct db **db_out)
{
    struct db *db = calloc(1, sizeof *db);
    if (!db) return ERR_NOMEM;
    db->writer = how->writer;
    int err = vfs_ref(fs, &db->vfs);
    if (err) goto fail;
    /* NOMUTEX: a connection is one thread's. A reader may not write, but it does recover a WAL it finds. */
    int flags = SQLITE_OPEN_NOMUTEX |
                (how->writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
    int code = sqlite3_open_v2(path, &db->sqlite, flags, vfs_name(db->vfs));
    err = code == SQLITE_CANTOPEN && !how->writer ? ERR_NOT_FOUND : db_err(db, code);
    if (err) goto fail;
    sqlite3_extended_result_codes(db->sqlite, 1);
    sqlite3_busy_timeout(db->sqlite, DB_BUSY_MS_MAX);
    int version = 0;
    err = db_version(db, &version);
    if (err) goto fail;
    /* Before anything is set: of a newer file not even the journal mode is touched. */
    if (version > how->migration_count) err = ERR_NEWER;
    else if (version < how->migration_count && !how->writer) err = ERR_NOT_FOUND;
    else err = db_set(db, how);
    for (; !err && version < how->migration_count; version++)
        err = db_migrate_one(db, how->migrations[version], version + 1);
    if (err) goto fail;
    *db_out = db;
    return 0;
fail:
    db_close(db);
    return err;
}

void db_close(struct db *db)
{
    if (!db) return;
    for (int i = 0; i < db->statement_count; i++) sqlite3_finalize(db->statements[i].stmt);
    /* The last connection to close moves the WAL into the file; when that fails the WAL stays and is read again. */
    int code = sqlite3_close(db->sqlite);
    assert(code == SQLITE_OK);
    (void)code;
    if (db->vfs) vfs_unref(db->vfs);
    free(db);
}

/* -- transactions ----------------------------------------------------------------------------------------- */

int db_begin(struct db *db)
{
    if (db->failed) return db->failed;
    db->lost = 0;
    struct query q;
    query_start(&q, db, db->writer ? "BEGIN IMMEDIATE" : "BEGIN");
    return query_run(&q);
}

int db_commit(struct db *db)
{
    if (db->lost) return db->lost;
    struct query q;
    query_start(&q, db, "COMMIT");
    int err = query_run(&q);
    if (err) db_rollback(db);
    /* What was committed stays so whatever becomes of the checkpoint; an I/O error in it stops the next begin. */
    else if (db->wal_frames >= WAL_FRAMES_SOON) db_checkpoint(db);
    return err;
}

void db_rollback(struct db *db)
{
    if (!sqlite3_get_autocommit(db->sqlite)) {
        struct query q;
        query_start(&q, db, "ROLLBACK");
        query_run(&q);
    }
    db->lost = 0;
}

int db_checkpoint(struct db *db)
{
    if (db->failed) return db->failed;
    db->wal_frames = 0;
    int code = sqlite3_wal_checkpoint_v2(db->sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return code == SQLITE_BUSY ? 0 : db_err(db, code);
}

int db_scrub(struct db *db)
{
    if (db->failed) return db->failed;
    sqlite3_busy_timeout(db->sqlite, DB_SCRUB_MS_MAX);
    int code = sqlite3_wal_checkpoint_v2(db->sqlite, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(db->sqlite, DB_BUSY_MS_MAX);
    if (code == SQLITE_OK) db->wal_frames = 0;
    return db_err(db, code);
}

/* -- queries ---------------------------------------------------------------------------------------------- */

void query_start(struct query *q, struct db *db, const char *sql)
{
    *q = (struct query){ .db = db, .err = db->lost };
    if (q->err) return;
    for (int i = 0; i < db->statement_count && !q->stmt; i++)
        if (db->statements[i].sql == sql) q->stmt = db->statements[i].stmt;
    if (q->stmt) return;
    q->err = db_err(db, sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->stmt, NULL));
    if (q->err) return;
    assert(db->statement_count < DB_STATEMENTS_MAX);
    db->statements[db->statement_count++] = (struct db_statement){ sql, q->stmt };
}

/* The number of the next parameter, or 0 when nothing is to be bound. */
static int query_next(struct query *q)
{
    return q->err ? 0 : ++q->put;
}

static void query_bound(struct query *q, int code)
{
    q->err = db_err(q->db, code);
}

void query_put_u64(struct query *q, uint64_t v)
{
    assert(v <= INT64_MAX);
    int at = query_next(q);
    if (at) query_bound(q, sqlite3_bind_int64(q->stmt, at, (sqlite3_int64)v));
}

void query_put_device(struct query *q, struct device_id device)
{
    int at = query_next(q);
    if (at) query_bound(q, sqlite3_bind_int64(q->stmt, at, (sqlite3_int64)device.v));
}

void query_put_text(struct query *q, const char *text)
{
    int at = query_next(q);
    if (at) query_bound(q, sqlite3_bind_text(q->stmt, at, text, -1, SQLITE_STATIC));
}

void query_put_user(struct query *q, const struct user_id *user)
{
    query_put_text(q, user->v);
}

void query_put_blob(struct query *q, const void *at, size_t len)
{
    int parameter = query_next(q);
    if (parameter) query_bound(q, sqlite3_bind_blob64(q->stmt, parameter, at, len, SQLITE_STATIC));
}

int query_row(struct query *q)
{
    if (q->err) return q->err;
    struct db *db = q->db;
    bool within = !sqlite3_get_autocommit(db->sqlite);
    q->got = 0;
    int code = sqlite3_step(q->stmt);
    if (code == SQLITE_ROW) return 0;
    if (code == SQLITE_DONE) return ERR_END;
    q->err = db_err(db, code);
    /* On a full disk, an I/O error or without memory SQLite may undo the whole transaction by itself. What follows
     * would then be committed alone: db->lost stops it until the caller has ended that transaction. */
    if (within && sqlite3_get_autocommit(db->sqlite)) db->lost = q->err;
    return q->err;
}

uint64_t query_get_u64(struct query *q)
{
    sqlite3_int64 v = sqlite3_column_int64(q->stmt, q->got++);
    if (v < 0) {
        q->err = ERR_CORRUPT;
        return 0;
    }
    return (uint64_t)v;
}

struct device_id query_get_device(struct query *q)
{
    return (struct device_id){ (uint64_t)sqlite3_column_int64(q->stmt, q->got++) };
}

void query_get_text(struct query *q, char *to, size_t size)
{
    int at = q->got++;
    const unsigned char *text = sqlite3_column_text(q->stmt, at);
    size_t len = (size_t)sqlite3_column_bytes(q->stmt, at);
    memset(to, 0, size);
    if (text && len < size) memcpy(to, text, len);
    else q->err = ERR_CORRUPT;
}

void query_get_user(struct query *q, struct user_id *out)
{
    query_get_text(q, out->v, sizeof out->v);
}

void query_get_blob(struct query *q, void *to, size_t len)
{
    int at = q->got++;
    const void *blob = sqlite3_column_blob(q->stmt, at);
    if (blob && (size_t)sqlite3_column_bytes(q->stmt, at) == len) {
        memcpy(to, blob, len);
    } else {
        memset(to, 0, len);
        q->err = ERR_CORRUPT;
    }
}

bool query_get_null(struct query *q)
{
    if (sqlite3_column_type(q->stmt, q->got) != SQLITE_NULL) return false;
    q->got++;
    return true;
}

int query_end(struct query *q, int err)
{
    if (q->stmt) {
        sqlite3_reset(q->stmt);           /* repeats the step's error, which we have */
        sqlite3_clear_bindings(q->stmt);
    }
    if (!err || err == ERR_END) err = q->err ? q->err : err;
    return err == ERR_END ? ERR_NOT_FOUND : err;
}

int query_run(struct query *q)
{
    int err = query_row(q);
    return query_end(q, err == ERR_END ? 0 : err);
}
