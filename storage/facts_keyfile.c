/* facts_keyfile.c - where key files were written: every erasure rewrites them all, or names those it could not reach. And
 * which backup was the last. */
#include <assert.h>
#include <string.h>

#include "proto/err.h"
#include "storage/facts_impl.h"

static int keyfile_count(struct facts *facts, const char *but, uint64_t *count_out)
{
    struct query q;
    query_start(&q, facts->db, "SELECT count(*) FROM key_files WHERE path <> ?");
    query_put_text(&q, but);
    int err = query_row(&q);
    if (!err) *count_out = query_get_u64(&q);
    return query_end(&q, err);
}

int facts_keyfile_put(struct facts *facts, const char *path, uint64_t written_ms, bool ok)
{
    uint64_t count = 0;
    assert(path[0] && strlen(path) < FS_PATH_MAX);
    int err = keyfile_count(facts, path, &count);
    if (err) return err;
    if (count >= KEYFILES_MAX) return ERR_FULL;
    struct query q;
    query_start(&q, facts->db,
                "INSERT INTO key_files (path, written_ms, ok) VALUES (?, ?, ?)"
                " ON CONFLICT (path) DO UPDATE SET written_ms = excluded.written_ms, ok = excluded.ok");
    query_put_text(&q, path);
    query_put_u64(&q, written_ms);
    query_put_u64(&q, ok);
    return query_run(&q);
}

int facts_keyfile_next(struct facts *facts, const char *after, struct keyfile_row *out)
{
    struct query q;
    char from[FS_PATH_MAX];
    assert(strlen(after) < sizeof from);
    strcpy(from, after);                          /* may be out->path */
    query_start(&q, facts->db, "SELECT path, written_ms, ok FROM key_files WHERE path > ? ORDER BY path LIMIT 1");
    query_put_text(&q, from);
    int err = query_row(&q);
    if (!err) {
        query_get_text(&q, out->path, sizeof out->path);
        out->written_ms = query_get_u64(&q);
        out->ok = query_get_u64(&q) != 0;
    }
    return query_end(&q, err);
}

int facts_keyfile_forget(struct facts *facts, const char *path)
{
    struct query q;
    query_start(&q, facts->db, "DELETE FROM key_files WHERE path = ? RETURNING 1");
    query_put_text(&q, path);
    return query_end(&q, query_row(&q));
}

/* -- backups ------------------------------------------------------------------------------------------------- */

int facts_backup_put(struct facts *facts, const struct backup_row *row)
{
    struct query q;
    query_start(&q, facts->db,
                "INSERT INTO backups (one, made_ms, path, bytes) VALUES (1, ?, ?, ?) ON CONFLICT (one) DO UPDATE"
                " SET made_ms = excluded.made_ms, path = excluded.path, bytes = excluded.bytes");
    query_put_u64(&q, row->made_ms);
    query_put_text(&q, row->path);
    query_put_u64(&q, row->bytes);
    return query_run(&q);
}

int facts_backup_get(struct facts *facts, struct backup_row *row_out)
{
    struct query q;
    query_start(&q, facts->db, "SELECT made_ms, path, bytes FROM backups");
    int err = query_row(&q);
    if (!err) {
        row_out->made_ms = query_get_u64(&q);
        query_get_text(&q, row_out->path, sizeof row_out->path);
        row_out->bytes = query_get_u64(&q);
    }
    return query_end(&q, err);
}
