/* facts_conv.c - conversations, their members, cursors and repeats: making the first rows, and reading.
 *
 * Everything that moves afterwards is a fold of the log: facts_fold.c. */
#include <string.h>

#include "proto/err.h"
#include "storage/facts_impl.h"
#include "storage/inside.h"

/* -- making ----------------------------------------------------------------------------------------------- */

static int conv_add(struct facts *facts, const struct conv_id *conv, enum conv_type type, uint64_t now_ms)
{
    struct query q;
    query_start(&q, facts->db,
                "INSERT INTO convs (conv, type, created_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
    query_put_blob(&q, conv->v, sizeof conv->v);
    query_put_u64(&q, type);
    query_put_u64(&q, now_ms);
    return query_run(&q);
}

static int member_add(struct facts *facts, const struct conv_id *conv, enum conv_type type,
                      const struct user_id *user)
{
    struct query q;
    query_start(&q, facts->db,
                "INSERT INTO members (conv, user, type, from_seq) VALUES (?, ?, ?, 1) ON CONFLICT DO NOTHING");
    query_put_blob(&q, conv->v, sizeof conv->v);
    query_put_user(&q, user);
    query_put_u64(&q, type);
    return query_run(&q);
}

int facts_conv_rows(struct facts *facts, const struct conv_id *conv, const struct user_id *a,
                    const struct user_id *b, uint64_t now_ms)
{
    int err = conv_add(facts, conv, CONV_DIRECT, now_ms);
    if (!err) err = member_add(facts, conv, CONV_DIRECT, a);
    if (!err && !user_id_equal(a, b)) err = member_add(facts, conv, CONV_DIRECT, b);
    return err;
}

static int user_exists(struct facts *facts, const struct user_id *user)
{
    struct query q;
    query_start(&q, facts->db, "SELECT 1 FROM users WHERE user = ? AND deleted_ms = 0");
    query_put_user(&q, user);
    return query_end(&q, query_row(&q));
}

int facts_conv_add_direct(struct facts *facts, const struct conv_id *conv, const struct user_id *a,
                          const struct user_id *b, uint64_t now_ms)
{
    int err = user_exists(facts, a);
    if (!err) err = user_exists(facts, b);
    return err ? err : facts_conv_rows(facts, conv, a, b, now_ms);
}

int facts_inbox_add(struct facts *facts, const struct user_id *user, uint64_t now_ms)
{
    struct conv_id inbox = conv_id_inbox(user);
    int err = user_exists(facts, user);
    if (!err) err = conv_add(facts, &inbox, CONV_INBOX, now_ms);
    return err ? err : member_add(facts, &inbox, CONV_INBOX, user);
}

/* -- reading ---------------------------------------------------------------------------------------------- */

int facts_conv_get(struct facts *facts, const struct conv_id *conv, struct conv_row *out)
{
    struct query q;
    query_start(&q, facts->db,
                "SELECT type, created_ms, head, counted, last_id, marked_ms, timer_s FROM convs WHERE conv = ?");
    query_put_blob(&q, conv->v, sizeof conv->v);
    int err = query_row(&q);
    if (!err) {
        memset(out, 0, sizeof *out);
        out->conv = *conv;
        out->type = (uint8_t)query_get_u64(&q);
        out->created_ms = query_get_u64(&q);
        out->head = query_get_u64(&q);
        out->counted = query_get_u64(&q);
        query_get_blob(&q, out->last_id.v, sizeof out->last_id.v);
        out->marked_ms = query_get_u64(&q);
        out->timer_s = query_get_u64(&q);
    }
    return query_end(&q, err);
}

int facts_members(struct facts *facts, const struct conv_id *conv,
                  int (*each)(void *arg, const struct member_row *row), void *arg)
{
    struct query q;
    query_start(&q, facts->db,
                "SELECT user, from_seq, to_seq, read, read_ms, delivered, delivered_ms, sent"
                " FROM members WHERE conv = ? ORDER BY user");
    query_put_blob(&q, conv->v, sizeof conv->v);
    int err;
    while ((err = query_row(&q)) == 0) {
        struct member_row row;
        memset(&row, 0, sizeof row);
        query_get_user(&q, &row.user);
        row.from_seq = query_get_u64(&q);
        row.to_seq = query_get_u64(&q);
        row.read = query_get_u64(&q);
        row.read_ms = query_get_u64(&q);
        row.delivered = query_get_u64(&q);
        row.delivered_ms = query_get_u64(&q);
        row.sent = query_get_u64(&q);
        err = q.err ? q.err : each(arg, &row);
        if (err) break;
    }
    return query_end(&q, err == ERR_END ? 0 : err);
}

int facts_cursors(struct facts *facts, const struct conv_id *conv,
                  int (*each)(void *arg, const struct cursor_row *row), void *arg)
{
    struct query q;
    query_start(&q, facts->db,
                "SELECT user, device, delivered, settled FROM cursors WHERE conv = ? ORDER BY user, device");
    query_put_blob(&q, conv->v, sizeof conv->v);
    int err;
    while ((err = query_row(&q)) == 0) {
        struct cursor_row row;
        memset(&row, 0, sizeof row);
        query_get_user(&q, &row.user);
        row.device = query_get_device(&q);
        row.delivered = query_get_u64(&q);
        row.settled = query_get_u64(&q);
        err = q.err ? q.err : each(arg, &row);
        if (err) break;
    }
    return query_end(&q, err == ERR_END ? 0 : err);
}

int facts_repeats(struct facts *facts, const struct conv_id *conv,
                  int (*each)(void *arg, const struct repeat_row *row), void *arg)
{
    struct query q;
    query_start(&q, facts->db,
                "SELECT user, device, client_seq, seq, id, expiry_ms FROM repeats WHERE conv = ?"
                " ORDER BY user, device, client_seq");
    query_put_blob(&q, conv->v, sizeof conv->v);
    int err;
    while ((err = query_row(&q)) == 0) {
        struct repeat_row row;
        memset(&row, 0, sizeof row);
        query_get_user(&q, &row.user);
        row.device = query_get_device(&q);
        row.client_seq = query_get_u64(&q);
        row.seq = query_get_u64(&q);
        query_get_blob(&q, row.id.v, sizeof row.id.v);
        row.expiry_ms = query_get_u64(&q);
        err = q.err ? q.err : each(arg, &row);
        if (err) break;
    }
    return query_end(&q, err == ERR_END ? 0 : err);
}

/* The index gives members in this very order, and with it all that the row values compare; each of its rows then
 * costs two look-ups by full key, and a third where this device has no cursor. */
int facts_scan(struct facts *facts, const struct user_id *user, struct device_id device, uint8_t after_type,
               const struct conv_id *after_conv, size_t max, struct scan_row *rows_out, size_t *count_out)
{
    struct query q;
    size_t count = 0;
    query_start(&q, facts->db,
                "SELECT m.conv, m.type, c.head, c.last_id, c.marked_ms, coalesce(k.delivered, 0) > 0,"
                "       CASE WHEN k.delivered > 0 THEN k.delivered"
                "            ELSE (SELECT max(u.delivered, u.from_seq - 1)"
                "                  FROM members u WHERE u.conv = m.conv AND u.user = m.user) END"
                " FROM members m INDEXED BY members_by_user"
                " CROSS JOIN convs c ON c.conv = m.conv"
                " LEFT JOIN cursors k ON k.conv = m.conv AND k.user = m.user AND k.device = ?"
                " WHERE m.user = ? AND (m.type, m.conv) > (?, ?) AND m.type < 3"    /* CONV_INBOX */
                " ORDER BY m.type, m.conv LIMIT ?");
    query_put_device(&q, device);
    query_put_user(&q, user);
    query_put_u64(&q, after_type);
    query_put_blob(&q, after_conv->v, sizeof after_conv->v);
    query_put_u64(&q, max);
    int err = 0;
    while (count < max && (err = query_row(&q)) == 0) {
        struct scan_row *row = &rows_out[count++];
        query_get_blob(&q, row->conv.v, sizeof row->conv.v);
        row->type = (uint8_t)query_get_u64(&q);
        row->head = query_get_u64(&q);
        struct msg_id last_id;
        query_get_blob(&q, last_id.v, sizeof last_id.v);
        row->last_ms = msg_id_ms(&last_id);
        row->marked_ms = query_get_u64(&q);
        row->has_cursor = query_get_u64(&q) != 0; /* a device that only sent has a row, and acknowledged nothing */
        row->delivered = query_get_u64(&q);
    }
    err = query_end(&q, err == ERR_END ? 0 : err);
    *count_out = err ? 0 : count;
    return err;
}

int facts_kept(struct facts *facts, const struct user_id *user, const struct conv_id *after, size_t max,
               struct kept_row *rows_out, size_t *count_out)
{
    struct query q;
    size_t count = 0;
    query_start(&q, facts->db,
                "SELECT m.conv, c.created_ms, c.head, c.counted, c.last_id, c.marked_ms, m.from_seq, m.to_seq, m.read,"
                "       m.read_ms, m.delivered, m.delivered_ms, m.sent,"
                "       coalesce((SELECT p.user FROM members p WHERE p.conv = m.conv AND p.user <> m.user LIMIT 1),"
                "                m.user)"
                " FROM members m INDEXED BY members_by_user CROSS JOIN convs c ON c.conv = m.conv"
                " WHERE m.user = ? AND m.type = 1 AND m.conv > ? ORDER BY m.conv LIMIT ?");    /* CONV_DIRECT */
    query_put_user(&q, user);
    query_put_blob(&q, after->v, sizeof after->v);
    query_put_u64(&q, max);
    int err = 0;
    while (count < max && (err = query_row(&q)) == 0) {
        struct kept_row *row = &rows_out[count++];
        memset(row, 0, sizeof *row);
        query_get_blob(&q, row->conv.conv.v, sizeof row->conv.conv.v);
        row->conv.type = CONV_DIRECT;
        row->conv.created_ms = query_get_u64(&q);
        row->conv.head = query_get_u64(&q);
        row->conv.counted = query_get_u64(&q);
        query_get_blob(&q, row->conv.last_id.v, sizeof row->conv.last_id.v);
        row->conv.marked_ms = query_get_u64(&q);
        row->member.user = *user;
        row->member.from_seq = query_get_u64(&q);
        row->member.to_seq = query_get_u64(&q);
        row->member.read = query_get_u64(&q);
        row->member.read_ms = query_get_u64(&q);
        row->member.delivered = query_get_u64(&q);
        row->member.delivered_ms = query_get_u64(&q);
        row->member.sent = query_get_u64(&q);
        query_get_user(&q, &row->peer);
    }
    err = query_end(&q, err == ERR_END ? 0 : err);
    *count_out = err ? 0 : count;
    return err;
}

int facts_conv_owners(struct facts *facts, const struct conv_id *after, size_t max, struct conv_owner *rows_out,
                      size_t *count_out)
{
    struct query q;
    size_t count = 0;
    query_start(&q, facts->db,
                "SELECT c.conv, c.type, m.user FROM convs c JOIN members m ON m.conv = c.conv"
                " AND m.user = (SELECT min(user) FROM members WHERE conv = c.conv)"
                " WHERE c.conv > ? ORDER BY c.conv LIMIT ?");
    query_put_blob(&q, after->v, sizeof after->v);
    query_put_u64(&q, max);
    int err;
    while ((err = query_row(&q)) == 0) {
        struct conv_owner *row = &rows_out[count++];
        query_get_blob(&q, row->conv.v, sizeof row->conv.v);
        row->type = (uint8_t)query_get_u64(&q);
        query_get_user(&q, &row->user);
        if (q.err) break;
    }
    *count_out = count;
    return query_end(&q, err == ERR_END ? 0 : err);
}
