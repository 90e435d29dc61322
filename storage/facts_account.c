/* facts_account.c - users and devices.
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
                "SELECT user, password_hash, created_ms, list_version, disabled FROM users WHERE user = ?");
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

int facts_user_list(struct facts *facts, const struct user_id *after, size_t max, struct user_summary *rows_out,
                    size_t *count_out)
{
    struct query q;
    size_t count = 0;
    query_start(&q, facts->db,
                "SELECT user, created_ms, disabled,"
                " (SELECT coalesce(max(live_ms), 0) FROM devices d WHERE d.user = u.user),"
                " (SELECT count(*) FROM devices d WHERE d.user = u.user AND NOT revoked)"
                " FROM users u WHERE user > ? ORDER BY user LIMIT ?");
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
    query_start(&q, facts->db, "UPDATE users SET disabled = ? WHERE user = ? RETURNING 1");
    query_put_u64(&q, disabled);
    query_put_user(&q, user);
    return query_end(&q, query_row(&q));
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
    int err = facts_count(facts, "SELECT count(*) FROM users", users_out);
    if (!err) err = facts_count(facts, "SELECT count(*) FROM convs WHERE type < 3", conversations_out);
    if (!err) err = facts_count(facts, "SELECT count(*) FROM devices WHERE NOT revoked", devices_out);
    return err;
}

/* -- devices ---------------------------------------------------------------------------------------------- */

/* 0, ERR_NOT_FOUND (user) or ERR_TOO_MANY. */
static int device_may_be_added(struct facts *facts, const struct user_id *user)
{
    struct query q;
    uint64_t count = 0;
    query_start(&q, facts->db,
                "SELECT (SELECT count(*) FROM devices WHERE devices.user = users.user AND NOT revoked)"
                " FROM users WHERE user = ?");
    query_put_user(&q, user);
    int err = query_row(&q);
    if (!err) count = query_get_u64(&q);
    err = query_end(&q, err);
    return err ? err : count >= DEVICES_PER_USER_MAX ? ERR_TOO_MANY : 0;
}

int facts_device_add(struct facts *facts, const struct device_row *row)
{
    int err = device_may_be_added(facts, &row->user);
    if (err) return err;
    struct query q;
    query_start(&q, facts->db,
                "INSERT INTO devices (user, since_ms, device, token_hash, name, created_ms, live_ms, client_seq_max, revoked)"
                " VALUES (?1, iif(EXISTS (SELECT 1 FROM devices WHERE user = ?1), ?2, 0), ?3, ?4, ?5, ?2, ?6, ?7, ?8)");
    query_put_user(&q, &row->user);
    query_put_u64(&q, row->created_ms);
    query_put_device(&q, row->device);
    query_put_blob(&q, row->token_hash, sizeof row->token_hash);
    query_put_text(&q, row->name);
    query_put_u64(&q, row->live_ms);
    query_put_u64(&q, row->client_seq_max);
    query_put_u64(&q, row->revoked);
    err = query_run(&q);
    if (err) return err;
    query_start(&q, facts->db, "UPDATE users SET list_version = list_version + 1 WHERE user = ?");
    query_put_user(&q, &row->user);
    return query_run(&q);
}

int facts_device_get(struct facts *facts, const struct user_id *user, struct device_id device,
                     struct device_row *out)
{
    struct query q;
    query_start(&q, facts->db,
                "SELECT d.token_hash, d.name, d.created_ms, d.since_ms, d.live_ms, d.client_seq_max, d.revoked,"
                "       u.list_version, u.disabled"
                " FROM devices d JOIN users u ON u.user = d.user WHERE d.user = ? AND d.device = ?");
    query_put_user(&q, user);
    query_put_device(&q, device);
    int err = query_row(&q);
    if (!err) {
        memset(out, 0, sizeof *out);
        out->user = *user;
        out->device = device;
        query_get_blob(&q, out->token_hash, sizeof out->token_hash);
        query_get_text(&q, out->name, sizeof out->name);
        out->created_ms = query_get_u64(&q);
        out->since_ms = query_get_u64(&q);
        out->live_ms = query_get_u64(&q);
        out->client_seq_max = query_get_u64(&q);
        out->revoked = query_get_u64(&q) != 0;
        out->list_version = query_get_u64(&q);
        out->user_disabled = query_get_u64(&q) != 0;
    }
    return query_end(&q, err);
}

int facts_device_seen(struct facts *facts, const struct user_id *user, struct device_id device,
                      uint64_t live_ms, uint64_t client_seq_max)
{
    struct query q;
    query_start(&q, facts->db,
                "UPDATE devices SET live_ms = max(live_ms, ?), client_seq_max = max(client_seq_max, ?)"
                " WHERE user = ? AND device = ?");
    query_put_u64(&q, live_ms);
    query_put_u64(&q, client_seq_max);
    query_put_user(&q, user);
    query_put_device(&q, device);
    return query_run(&q);
}
