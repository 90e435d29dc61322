/* facts_account.c - users.
 *
 * Rows of their own, not folds: each call is one or two statements inside the caller's transaction and is true
 * when that is committed. */
#include <assert.h>
#include <string.h>

#include "proto/err.h"
#include "storage/facts_impl.h"

/* -- users ------------------------------------------------------------------------------------------------ */

int facts_user_add(struct facts *facts, const struct user_id *user, const char *password_hash, uint64_t now_ms)
{
    assert(strlen(password_hash) < PASSWORD_HASH_MAX);
    bool was = false, alike;
    int err = facts_name_was_erased(facts, user, &was, &alike);
    if (err || was) return err ? err : ERR_EXISTS;
    struct query q;
    query_start(&q, facts->db, "INSERT INTO users (user, password_hash, created_ms) VALUES (?, ?, ?)");
    query_put_user(&q, user);
    query_put_text(&q, password_hash);
    query_put_u64(&q, now_ms);
    return query_run(&q);
}

int facts_user_get(struct facts *facts, const struct user_id *user, struct user_row *out)
{
    struct query q;
    query_start(&q, facts->db,
                "SELECT user, password_hash, created_ms, list_version, disabled FROM users"
                " WHERE user = ? AND deleted_ms = 0");
    query_put_user(&q, user);
    int err = query_row(&q);
    if (!err) {
        memset(out, 0, sizeof *out);
        query_get_user(&q, &out->user);
        query_get_text(&q, out->password_hash, sizeof out->password_hash);
        out->created_ms = query_get_u64(&q);
        out->list_version = query_get_u64(&q);
        out->disabled = query_get_u64(&q) != 0;
    }
    return query_end(&q, err);
}

int facts_user_was(struct facts *facts, const struct user_id *user, struct user_row *out, uint64_t *deleted_ms_out)
{
    struct query q;
    query_start(&q, facts->db,
                "SELECT user, created_ms, list_version, disabled, deleted_ms FROM users WHERE user = ?");
    query_put_user(&q, user);
    int err = query_row(&q);
    if (!err) {
        memset(out, 0, sizeof *out);
        query_get_user(&q, &out->user);
        out->created_ms = query_get_u64(&q);
        out->list_version = query_get_u64(&q);
        out->disabled = query_get_u64(&q) != 0;
        *deleted_ms_out = query_get_u64(&q);
    }
    return query_end(&q, err);
}

int facts_user_list(struct facts *facts, const struct user_id *after, size_t max, struct user_summary *rows_out,
                    size_t *count_out)
{
    struct query q;
    size_t count = 0;
    query_start(&q, facts->db,
                "SELECT user, created_ms, disabled,"
                " (SELECT coalesce(max(seen_ms), 0) FROM devices d WHERE d.user = u.user),"
                " (SELECT count(*) FROM devices d WHERE d.user = u.user AND NOT revoked)"
                " FROM users u WHERE user > ? AND deleted_ms = 0 ORDER BY user LIMIT ?");
    query_put_text(&q, after ? after->v : "");
    query_put_u64(&q, max);
    int err = 0;
    while (count < max && (err = query_row(&q)) == 0) {
        struct user_summary *row = &rows_out[count++];
        memset(row, 0, sizeof *row);
        query_get_user(&q, &row->user);
        row->created_ms = query_get_u64(&q);
        row->disabled = query_get_u64(&q) != 0;
        row->seen_ms = query_get_u64(&q);
        row->devices = query_get_u64(&q);
    }
    err = query_end(&q, err == ERR_END ? 0 : err);
    *count_out = err ? 0 : count;
    return err;
}

int facts_user_disable(struct facts *facts, const struct user_id *user, bool disabled)
{
    struct query q;
    query_start(&q, facts->db, "UPDATE users SET disabled = ? WHERE user = ? AND deleted_ms = 0 RETURNING 1");
    query_put_u64(&q, disabled);
    query_put_user(&q, user);
    return query_end(&q, query_row(&q));
}

int facts_name_check(struct facts *facts, const struct user_id *user, bool *alike_out)
{
    struct query q;
    *alike_out = false;
    query_start(&q, facts->db,
                "SELECT user = ?1 FROM users INDEXED BY users_by_skeleton"
                " WHERE " FACTS_SKELETON("user") " = " FACTS_SKELETON("?1") " ORDER BY 1 DESC LIMIT 1");
    query_put_user(&q, user);
    int err = query_row(&q);
    if (!err) *alike_out = query_get_u64(&q) == 0;
    err = query_end(&q, err);
    if (err != ERR_NOT_FOUND) return err ? err : ERR_EXISTS;
    bool was = false, alike = false;
    err = facts_name_was_erased(facts, user, &was, &alike);
    if (err || (!was && !alike)) return err;
    *alike_out = !was;
    return ERR_EXISTS;
}

int facts_skeleton(struct facts *facts, const char *name, char out[static USER_ID_LEN_MAX + 1])
{
    struct query q;
    query_start(&q, facts->db, "SELECT " FACTS_SKELETON("?1"));
    query_put_text(&q, name);
    int err = query_row(&q);
    if (!err) query_get_text(&q, out, USER_ID_LEN_MAX + 1);
    return query_end(&q, err);
}

int facts_user_password(struct facts *facts, const struct user_id *user, const char *old_hash, const char *new_hash)
{
    assert(strlen(new_hash) < PASSWORD_HASH_MAX);
    struct query q;
    query_start(&q, facts->db,
                "UPDATE users SET password_hash = ?"
                " WHERE user = ? AND deleted_ms = 0 AND (?3 = '' OR password_hash = ?3)"
                " RETURNING 1");
    query_put_text(&q, new_hash);
    query_put_user(&q, user);
    query_put_text(&q, old_hash ? old_hash : "");
    int err = query_end(&q, query_row(&q));
    return err == ERR_NOT_FOUND ? ERR_AUTH : err;
}

int facts_user_delete(struct facts *facts, const struct user_id *user, uint64_t now_ms)
{
    struct query q;
    query_start(&q, facts->db,
                "UPDATE users SET deleted_ms = ?, password_hash = '', list_version = list_version + 1"
                " WHERE user = ? AND deleted_ms = 0 RETURNING 1");
    query_put_u64(&q, now_ms > 0 ? now_ms : 1);
    query_put_user(&q, user);
    int err = query_end(&q, query_row(&q));
    if (err) return err;
    query_start(&q, facts->db, "DELETE FROM devices WHERE user = ?");
    query_put_user(&q, user);
    return query_run(&q);
}

static int facts_count(struct facts *facts, const char *sql, uint64_t *out)
{
    struct query q;
    query_start(&q, facts->db, sql);
    int err = query_row(&q);
    if (!err) *out = query_get_u64(&q);
    return query_end(&q, err);
}

int facts_counts(struct facts *facts, uint64_t *users_out, uint64_t *conversations_out, uint64_t *devices_out)
{
    int err = facts_count(facts, "SELECT count(*) FROM users WHERE deleted_ms = 0", users_out);
    if (!err) err = facts_count(facts, "SELECT count(*) FROM convs WHERE type < 3", conversations_out);
    if (!err) err = facts_count(facts, "SELECT count(*) FROM devices WHERE NOT revoked", devices_out);
    return err;
}
