/* facts_retain.c - rows that say which messages may go: those deleted for everyone, and who has what. */
#include <string.h>

#include "proto/err.h"
#include "storage/facts_impl.h"

static int take_deleted(struct query *q, size_t max, struct deleted_row *rows_out, size_t *count_out)
{
    size_t count = 0;
    int err = 0;
    while (count < max && (err = query_row(q)) == 0) {
        struct deleted_row *row = &rows_out[count++];
        query_get_blob(q, row->conv.v, sizeof row->conv.v);
        row->seq = query_get_u64(q);
        row->ms = query_get_u64(q);
        row->log = (uint32_t)query_get_u64(q);
        row->number = query_get_u64(q);
    }
    err = query_end(q, err == ERR_END ? 0 : err);
    *count_out = err ? 0 : count;
    return err;
}

int facts_deleted(struct facts *facts, const struct conv_id *conv, uint64_t from, uint64_t to, size_t max,
                  struct deleted_row *rows_out, size_t *count_out)
{
    struct query q;
    query_start(&q, facts->db,
                "SELECT conv, seq, ms, log, number FROM deleted WHERE conv = ? AND seq BETWEEN ? AND ?"
                " ORDER BY seq LIMIT ?");
    query_put_blob(&q, conv->v, sizeof conv->v);
    query_put_u64(&q, from < INT64_MAX ? from : INT64_MAX);
    query_put_u64(&q, to < INT64_MAX ? to : INT64_MAX);
    query_put_u64(&q, max);
    return take_deleted(&q, max, rows_out, count_out);
}

int facts_deleted_oldest(struct facts *facts, const struct deleted_row *after, size_t max, struct deleted_row *rows_out,
                         size_t *count_out)
{
    struct query q;
    query_start(&q, facts->db,
                "SELECT conv, seq, ms, log, number FROM deleted INDEXED BY deleted_by_ms WHERE (ms, conv, seq) > (?, ?, ?)"
                " ORDER BY ms, conv, seq LIMIT ?");
    query_put_u64(&q, after->ms);
    query_put_blob(&q, after->conv.v, sizeof after->conv.v);
    query_put_u64(&q, after->seq);
    query_put_u64(&q, max);
    return take_deleted(&q, max, rows_out, count_out);
}

int facts_deleted_forget(struct facts *facts, const struct conv_id *conv, uint64_t seq)
{
    struct query q;
    query_start(&q, facts->db, "DELETE FROM deleted WHERE conv = ? AND seq = ?");
    query_put_blob(&q, conv->v, sizeof conv->v);
    query_put_u64(&q, seq);
    return query_run(&q);
}

int facts_holders(struct facts *facts, const struct conv_id *conv,
                  int (*each)(void *arg, const struct holder_row *row), void *arg)
{
    struct query q;
    query_start(&q, facts->db,
                "SELECT m.user, coalesce(d.device, 0), coalesce(d.since_ms, 0), coalesce(k.delivered, 0), m.delivered,"
                "       m.read"
                " FROM members m JOIN users u ON u.user = m.user AND u.deleted_ms = 0"
                " LEFT JOIN devices d ON d.user = m.user AND NOT d.revoked"
                " LEFT JOIN cursors k ON k.conv = m.conv AND k.user = m.user AND k.device = d.device"
                " WHERE m.conv = ? AND m.to_seq = 0 ORDER BY m.user, d.device");
    query_put_blob(&q, conv->v, sizeof conv->v);
    int err;
    while ((err = query_row(&q)) == 0) {
        struct holder_row row;
        memset(&row, 0, sizeof row);
        query_get_user(&q, &row.user);
        row.device = query_get_device(&q);
        row.since_ms = query_get_u64(&q);
        row.delivered = query_get_u64(&q);
        row.member_delivered = query_get_u64(&q);
        row.member_read = query_get_u64(&q);
        err = q.err ? q.err : each(arg, &row);
        if (err) break;
    }
    return query_end(&q, err == ERR_END ? 0 : err);
}
