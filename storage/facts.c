/* facts.c - facts.db: opening, transactions, and the node's own rows.
 *
 * The tables stand in facts_schema.c, each family of rows in a file of its own: facts_account.c, facts_device.c,
 * facts_invite.c, facts_conv.c, facts_fold.c. How SQLite is set up and why is told in db.c. */
#include "storage/facts.h"

#include <sodium.h>
#include <stdlib.h>

#include "proto/err.h"
#include "storage/facts_impl.h"
#include "storage/inside.h"

enum {
    /* The writer folds: a second of traffic touches some ten thousand rows, 8 MiB are 2,048 pages of them. */
    FACTS_WRITER_CACHE_KIB = 8 * 1024,
    /* A reader walks one conversation's or one user's rows and may be one of many. */
    FACTS_READER_CACHE_KIB = 2 * 1024,
};

int facts_open(const struct fsio *fs, const char *path, bool writer, struct facts **facts_out)
{
    struct facts *facts = calloc(1, sizeof *facts);
    if (!facts) return ERR_NOMEM;
    struct db_opening how = {
        .writer = writer,
        .migrations = facts_migrations,
        .migration_count = facts_migration_count,
        .cache_kib = writer ? FACTS_WRITER_CACHE_KIB : FACTS_READER_CACHE_KIB,
        .secure_delete = true,           /* names and tokens are in it: what was deleted is not to be read */
    };
    int err = db_open(fs, path, &how, &facts->db);
    if (err) free(facts);
    else *facts_out = facts;
    return err;
}

void facts_close(struct facts *facts)
{
    if (!facts) return;
    db_close(facts->db);
    free(facts);
}

/* -- transactions ----------------------------------------------------------------------------------------- */

int facts_begin(struct facts *facts)
{
    return db_begin(facts->db);
}

int facts_commit(struct facts *facts)
{
    return db_commit(facts->db);
}

void facts_rollback(struct facts *facts)
{
    db_rollback(facts->db);
}

static int facts_run(struct facts *facts, const char *sql)
{
    struct query q;
    query_start(&q, facts->db, sql);
    return query_run(&q);
}

int facts_savepoint(struct facts *facts)
{
    return facts_run(facts, "SAVEPOINT request");
}

int facts_savepoint_end(struct facts *facts, bool keep)
{
    int err = keep ? 0 : facts_run(facts, "ROLLBACK TO request");
    return err ? err : facts_run(facts, "RELEASE request");
}

int facts_snapshot(struct facts *facts)
{
    int err = db_begin(facts->db);
    if (err) return err;
    err = facts_run(facts, "SELECT 1 FROM node");     /* SQLite pins the state at the first read */
    if (err) db_rollback(facts->db);
    return err;
}

void facts_snapshot_end(struct facts *facts)
{
    db_rollback(facts->db);
}

int facts_checkpoint(struct facts *facts)
{
    return db_checkpoint(facts->db);
}

/* -- the node --------------------------------------------------------------------------------------------- */

static int node_get(struct facts *facts, struct node_row *out)
{
    struct query q;
    query_start(&q, facts->db, "SELECT generation, hash_key FROM node");
    int err = query_row(&q);
    if (!err) {
        query_get_blob(&q, out->generation, sizeof out->generation);
        query_get_blob(&q, out->hash_key, sizeof out->hash_key);
    }
    return query_end(&q, err);
}

int facts_node(struct facts *facts, struct node_row *out)
{
    int err = node_get(facts, out);
    if (err != ERR_NOT_FOUND || !facts->db->writer) return err;
    randombytes_buf(out->generation, sizeof out->generation);
    randombytes_buf(out->hash_key, sizeof out->hash_key);
    err = db_begin(facts->db);
    if (err) return err;
    struct query q;
    query_start(&q, facts->db, "INSERT INTO node (one, generation, hash_key) VALUES (1, ?, ?)");
    query_put_blob(&q, out->generation, sizeof out->generation);
    query_put_blob(&q, out->hash_key, sizeof out->hash_key);
    err = query_run(&q);
    if (!err) return db_commit(facts->db);
    db_rollback(facts->db);
    return err;
}

int facts_node_renew(struct facts *facts)
{
    uint8_t generation[sizeof ((struct node_row *)0)->generation];
    struct query q;
    randombytes_buf(generation, sizeof generation);
    query_start(&q, facts->db, "UPDATE node SET generation = ? RETURNING 1");
    query_put_blob(&q, generation, sizeof generation);
    return query_end(&q, query_row(&q));
}

int facts_flushed_each(struct facts *facts, int (*each)(void *arg, uint32_t log, uint64_t number), void *arg)
{
    struct query q;
    query_start(&q, facts->db, "SELECT log, number FROM flushed ORDER BY log");
    int err;
    while ((err = query_row(&q)) == 0) {
        uint64_t log = query_get_u64(&q), number = query_get_u64(&q);
        if (log > UINT32_MAX) err = ERR_CORRUPT;
        else if (!q.err) err = each(arg, (uint32_t)log, number);
        if (err || q.err) break;
    }
    return query_end(&q, err == ERR_END ? 0 : err);
}

uint64_t facts_flushed(struct facts *facts, uint32_t log)
{
    struct query q;
    uint64_t number = 0;
    query_start(&q, facts->db, "SELECT number FROM flushed WHERE log = ?");
    query_put_u64(&q, log);
    int err = query_row(&q);
    if (!err) number = query_get_u64(&q);
    return query_end(&q, err) ? 0 : number;
}
