/* facts_device.c - the devices of a user: rows of their own, like those of facts_account.c.
 *
 * A row stays when its device is revoked, so that the device hears why it is turned away; but a user who logs in every
 * day must not leave rows without end, so of those revoked only the newest stay. Each change raises the version of the
 * user's list. */
#include <assert.h>
#include <string.h>

#include "proto/err.h"
#include "storage/facts_impl.h"

static int list_changed(struct facts *facts, const struct user_id *user, uint64_t *version_out)
{
    struct query q;
    query_start(&q, facts->db,
                "UPDATE users SET list_version = list_version + 1 WHERE user = ? RETURNING list_version");
    query_put_user(&q, user);
    int err = query_row(&q);
    if (!err) *version_out = query_get_u64(&q);
    return query_end(&q, err);
}

/* -- adding and reading ------------------------------------------------------------------------------------- */

/* 0, ERR_NOT_FOUND (user) or ERR_TOO_MANY. */
static int device_may_be_added(struct facts *facts, const struct user_id *user)
{
    struct query q;
    uint64_t count = 0;
    query_start(&q, facts->db,
                "SELECT (SELECT count(*) FROM devices WHERE devices.user = users.user AND NOT revoked)"
                " FROM users WHERE user = ? AND deleted_ms = 0");
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
                "INSERT INTO devices"
                " (user, created_ms, since_ms, device, token_hash, name, live_ms, client_seq_max, revoked)"
                " VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    query_put_user(&q, &row->user);
    query_put_u64(&q, row->created_ms);
    query_put_device(&q, row->device);
    query_put_blob(&q, row->token_hash, sizeof row->token_hash);
    query_put_text(&q, row->name);
    query_put_u64(&q, row->live_ms);
    query_put_u64(&q, row->client_seq_max);
    query_put_u64(&q, row->revoked);
    err = query_run(&q);
    uint64_t version;
    return err ? err : list_changed(facts, &row->user, &version);
}

#define DEVICE_COLUMNS                                                                                            \
    "d.user, d.device, d.token_hash, d.name, d.created_ms, d.since_ms, d.live_ms, d.seen_ms, d.client_seq_max," \
    " d.revoked"

static void device_get_columns(struct query *q, struct device_row *out)
{
    memset(out, 0, sizeof *out);
    query_get_user(q, &out->user);
    out->device = query_get_device(q);
    query_get_blob(q, out->token_hash, sizeof out->token_hash);
    query_get_text(q, out->name, sizeof out->name);
    out->created_ms = query_get_u64(q);
    out->since_ms = query_get_u64(q);
    out->live_ms = query_get_u64(q);
    out->seen_ms = query_get_u64(q);
    out->client_seq_max = query_get_u64(q);
    out->revoked = query_get_u64(q) != 0;
}

int facts_device_get(struct facts *facts, const struct user_id *user, struct device_id device,
                     struct device_row *out)
{
    struct query q;
    query_start(&q, facts->db,
                "SELECT " DEVICE_COLUMNS ", u.list_version, u.disabled"
                " FROM devices d JOIN users u ON u.user = d.user WHERE d.user = ? AND d.device = ?");
    query_put_user(&q, user);
    query_put_device(&q, device);
    int err = query_row(&q);
    if (!err) {
        device_get_columns(&q, out);
        out->list_version = query_get_u64(&q);
        out->user_disabled = query_get_u64(&q) != 0;
    }
    return query_end(&q, err);
}

int facts_device_list(struct facts *facts, const struct user_id *user, struct device_row *rows_out, size_t *count_out)
{
    struct query q;
    size_t count = 0;
    query_start(&q, facts->db,
                "SELECT " DEVICE_COLUMNS " FROM devices d WHERE d.user = ? ORDER BY d.created_ms, d.device LIMIT ?");
    query_put_user(&q, user);
    query_put_u64(&q, DEVICE_ROWS_MAX);
    int err = 0;
    while (count < DEVICE_ROWS_MAX && (err = query_row(&q)) == 0) device_get_columns(&q, &rows_out[count++]);
    err = query_end(&q, err == ERR_END ? 0 : err);
    *count_out = err ? 0 : count;
    return err;
}

/* -- changing ------------------------------------------------------------------------------------------------ */

int facts_device_seen(struct facts *facts, const struct user_id *user, struct device_id device,
                      uint64_t live_ms, uint64_t seen_ms, uint64_t client_seq_max)
{
    struct query q;
    query_start(&q, facts->db,
                "UPDATE devices SET live_ms = max(live_ms, ?), seen_ms = max(seen_ms, ?),"
                " client_seq_max = max(client_seq_max, ?) WHERE user = ? AND device = ?");
    query_put_u64(&q, live_ms);
    query_put_u64(&q, seen_ms);
    query_put_u64(&q, client_seq_max);
    query_put_user(&q, user);
    query_put_device(&q, device);
    return query_run(&q);
}

int facts_device_name(struct facts *facts, const struct user_id *user, struct device_id device, const char *name,
                      uint64_t *version_out)
{
    assert(strlen(name) <= NAME_BYTES_MAX);
    struct query q;
    query_start(&q, facts->db, "UPDATE devices SET name = ? WHERE user = ? AND device = ? AND NOT revoked RETURNING 1");
    query_put_text(&q, name);
    query_put_user(&q, user);
    query_put_device(&q, device);
    int err = query_end(&q, query_row(&q));
    return err ? err : list_changed(facts, user, version_out);
}

/* Of the revoked rows as many go as are too many with the live ones: the oldest. */
static int forget_oldest(struct facts *facts, const struct user_id *user)
{
    struct query q;
    query_start(&q, facts->db,
                "DELETE FROM devices WHERE user = ?1 AND revoked AND device NOT IN (SELECT device FROM devices"
                " WHERE user = ?1 AND revoked ORDER BY created_ms DESC, device LIMIT ?2)");
    query_put_user(&q, user);
    query_put_u64(&q, DEVICE_ROWS_MAX - DEVICES_PER_USER_MAX);
    return query_run(&q);
}

/* The rows that are chosen, before they are revoked. */
static int chosen(struct facts *facts, const struct user_id *user, struct device_choice choice,
                  struct device_row *rows_out, size_t *count_out)
{
    struct query q;
    size_t count = 0;
    query_start(&q, facts->db,
                "SELECT " DEVICE_COLUMNS " FROM devices d WHERE d.user = ?1 AND NOT d.revoked"
                " AND (?2 = 0 OR d.device = ?2) AND d.device <> ?3 ORDER BY d.created_ms, d.device");
    query_put_user(&q, user);
    query_put_device(&q, choice.only);
    query_put_device(&q, choice.except);
    int err = 0;
    while (count < DEVICES_PER_USER_MAX && (err = query_row(&q)) == 0) device_get_columns(&q, &rows_out[count++]);
    err = query_end(&q, err == ERR_END ? 0 : err);
    *count_out = err ? 0 : count;
    return err;
}

int facts_device_revoke(struct facts *facts, const struct user_id *user, struct device_choice choice,
                        struct device_row *rows_out, size_t *count_out, uint64_t *version_out)
{
    int err = chosen(facts, user, choice, rows_out, count_out);
    if (err) return err;
    if (*count_out == 0) return choice.only.v ? ERR_NOT_FOUND : 0;
    struct query q;
    query_start(&q, facts->db,
                "UPDATE devices SET revoked = 1 WHERE user = ?1 AND NOT revoked AND (?2 = 0 OR device = ?2)"
                " AND device <> ?3");
    query_put_user(&q, user);
    query_put_device(&q, choice.only);
    query_put_device(&q, choice.except);
    err = query_run(&q);
    if (!err) err = forget_oldest(facts, user);
    return err ? err : list_changed(facts, user, version_out);
}
