/* vault.c - keys.db: one row for each key.
 *
 * A row outlives its key: an erased key is NULL, so that replay can tell "erased" from "never was". Numbers are
 * AUTOINCREMENT: SQLite keeps the highest ever given and never gives one again, even when rows go.
 * secure_delete overwrites a key with zeros in the page it stood in. */
#include "storage/vault.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/db.h"
#include "storage/inside.h"

/* 256 KiB is 64 pages: keys are read once for each conversation that becomes hot, and cached there. */
enum { VAULT_CACHE_KIB = 256 };

static const char *const vault_migrations[] = {
    /* 1 */
    "CREATE TABLE keys ("
    "  number    INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  partition BLOB NOT NULL,"
    "  key       BLOB,"                       /* NULL: erased */
    "  made_ms   INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX keys_by_partition ON keys (partition, number);",
};

struct vault { struct db *db; };

int vault_open(const struct fsio *fs, const char *path, bool writer, struct vault **vault_out)
{
    struct vault *vault = calloc(1, sizeof *vault);
    if (!vault) return ERR_NOMEM;
    struct db_opening how = {
        .writer = writer,
        .migrations = vault_migrations,
        .migration_count = sizeof vault_migrations / sizeof *vault_migrations,
        .cache_kib = VAULT_CACHE_KIB,
        .secure_delete = true,
    };
    int err = db_open(fs, path, &how, &vault->db);
    if (err) free(vault);
    else *vault_out = vault;
    return err;
}

void vault_close(struct vault *vault)
{
    if (!vault) return;
    db_close(vault->db);
    free(vault);
}

int vault_begin(struct vault *vault)
{
    return db_begin(vault->db);
}

int vault_commit(struct vault *vault)
{
    return db_commit(vault->db);
}

void vault_rollback(struct vault *vault)
{
    db_rollback(vault->db);
}

int vault_make(struct vault *vault, const struct conv_id *partition, uint64_t now_ms, struct vault_key *key_out)
{
    int err = vault_get(vault, partition, key_out);
    if (err != ERR_NOT_FOUND && err != ERR_GONE) return err;    /* it has one, or we cannot tell */
    randombytes_buf(key_out->key, sizeof key_out->key);
    struct query q;
    query_start(&q, vault->db, "INSERT INTO keys (partition, key, made_ms) VALUES (?, ?, ?)");
    query_put_blob(&q, partition->v, sizeof partition->v);
    query_put_blob(&q, key_out->key, sizeof key_out->key);
    query_put_u64(&q, now_ms);
    err = query_run(&q);
    if (err) sodium_memzero(key_out, sizeof *key_out);
    else key_out->number = (uint64_t)sqlite3_last_insert_rowid(vault->db->sqlite);
    return err;
}

static int vault_read(struct query *q, struct vault_key *key_out)
{
    bool erased = false;
    int err = query_row(q);
    if (!err) {
        key_out->number = query_get_u64(q);
        erased = query_get_null(q);
        if (!erased) query_get_blob(q, key_out->key, sizeof key_out->key);
    }
    err = query_end(q, err);
    return err ? err : erased ? ERR_GONE : 0;
}

int vault_get(struct vault *vault, const struct conv_id *partition, struct vault_key *key_out)
{
    struct query q;
    query_start(&q, vault->db, "SELECT number, key FROM keys WHERE partition = ? ORDER BY number DESC LIMIT 1");
    query_put_blob(&q, partition->v, sizeof partition->v);
    return vault_read(&q, key_out);
}

int vault_get_number(struct vault *vault, uint64_t number, struct vault_key *key_out)
{
    if (number > INT64_MAX) return ERR_NOT_FOUND;
    struct query q;
    query_start(&q, vault->db, "SELECT number, key FROM keys WHERE number = ?");
    query_put_u64(&q, number);
    return vault_read(&q, key_out);
}

/* -- all of it -------------------------------------------------------------------------------------------- */

int vault_snapshot(struct vault *vault)
{
    int err = db_begin(vault->db);
    if (err) return err;
    struct query q;
    query_start(&q, vault->db, "SELECT 1 FROM sqlite_sequence LIMIT 1");    /* SQLite pins the state at the first read */
    err = query_end(&q, query_row(&q));
    if (err == ERR_NOT_FOUND) err = 0;
    if (err) db_rollback(vault->db);
    return err;
}

void vault_snapshot_end(struct vault *vault)
{
    db_rollback(vault->db);
}

int vault_count(struct vault *vault, uint64_t *count_out, uint64_t *last_number_out)
{
    struct query q;
    query_start(&q, vault->db, "SELECT (SELECT count(*) FROM keys),"
                               " ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'keys'), 0)");
    int err = query_row(&q);
    if (!err) {
        *count_out = query_get_u64(&q);
        *last_number_out = query_get_u64(&q);
    }
    return query_end(&q, err);
}

int vault_each(struct vault *vault, int (*each)(void *arg, const struct vault_row *row), void *arg)
{
    struct query q;
    struct vault_row row;
    int err;
    query_start(&q, vault->db, "SELECT number, partition, made_ms, key FROM keys ORDER BY number");
    while ((err = query_row(&q)) == 0) {
        memset(&row, 0, sizeof row);
        row.number = query_get_u64(&q);
        query_get_blob(&q, row.partition.v, sizeof row.partition.v);
        row.made_ms = query_get_u64(&q);
        row.erased = query_get_null(&q);
        if (!row.erased) query_get_blob(&q, row.key, sizeof row.key);
        if (!q.err) err = each(arg, &row);
        if (err || q.err) break;
    }
    sodium_memzero(&row, sizeof row);
    return query_end(&q, err == ERR_END ? 0 : err);
}

int vault_import(struct vault *vault, const struct vault_row *row)
{
    struct query q;
    query_start(&q, vault->db, "INSERT INTO keys (number, partition, made_ms, key)"
                               " VALUES (?1, ?2, ?3, CASE WHEN ?4 THEN NULL ELSE ?5 END)");
    query_put_u64(&q, row->number);
    query_put_blob(&q, row->partition.v, sizeof row->partition.v);
    query_put_u64(&q, row->made_ms);
    query_put_u64(&q, row->erased);
    query_put_blob(&q, row->key, sizeof row->key);
    return query_run(&q);
}

int vault_import_end(struct vault *vault, uint64_t last_number)
{
    struct query q;
    /* An import of no row has made no entry there yet. */
    query_start(&q, vault->db, "DELETE FROM sqlite_sequence WHERE name = 'keys'");
    int err = query_run(&q);
    if (err) return err;
    query_start(&q, vault->db, "INSERT INTO sqlite_sequence (name, seq) VALUES ('keys', ?)");
    query_put_u64(&q, last_number);
    return query_run(&q);
}

int vault_erase(struct vault *vault, const struct conv_id *partition, uint64_t *count_out)
{
    struct query q;
    query_start(&q, vault->db, "UPDATE keys SET key = NULL WHERE partition = ? AND key IS NOT NULL");
    query_put_blob(&q, partition->v, sizeof partition->v);
    int err = query_run(&q);
    if (!err) *count_out = (uint64_t)sqlite3_changes(vault->db->sqlite);
    return err;
}

int vault_scrub(struct vault *vault)
{
    return db_scrub(vault->db);
}
