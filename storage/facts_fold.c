/* facts_fold.c - a fold becomes rows.
 *
 * One statement for each kind of row, each a maximum, all inside the caller's transaction together with the
 * record number the fold covers. Writing the same fold twice, or one that begins earlier, changes nothing.
 *
 * A conversation whose first record is in the fold is made from the members that record names, should its rows be
 * missing. Otherwise what belongs to a conversation or device without a row is left alone: it was erased, and a
 * fold must not bring it back. */
#include <stdlib.h>

#include "proto/err.h"
#include "storage/facts_impl.h"
#include "storage/inside.h"

static int flush_conv(struct facts *facts, const struct fold_row *row)
{
    struct query q;
    int err = 0;
    if (row->u.conv.is_new)
        err = facts_conv_rows(facts, &row->key.conv, &row->u.conv.members[0], &row->u.conv.members[1],
                              row->u.conv.created_ms);
    if (err) return err;
    query_start(&q, facts->db,
                "UPDATE convs SET head      = max(head, ?1),"
                "                 counted   = CASE WHEN ?1 > head THEN ?2 ELSE counted END,"
                "                 last_id   = CASE WHEN ?1 > head THEN ?3 ELSE last_id END,"
                "                 marked_ms = max(marked_ms, ?4),"
                "                 timer_s   = CASE WHEN ?5 > timer_seq THEN ?6 ELSE timer_s END,"
                "                 timer_seq = max(timer_seq, ?5)"
                " WHERE conv = ?7");
    query_put_u64(&q, row->u.conv.head);
    query_put_u64(&q, row->u.conv.counted);
    query_put_blob(&q, row->u.conv.last_id.v, sizeof row->u.conv.last_id.v);
    query_put_u64(&q, row->u.conv.marked_ms);
    query_put_u64(&q, row->u.conv.timer_seq);
    query_put_u64(&q, row->u.conv.timer_s);
    query_put_blob(&q, row->key.conv.v, sizeof row->key.conv.v);
    return query_run(&q);
}

static int flush_member(struct facts *facts, const struct fold_row *row)
{
    struct query q;
    query_start(&q, facts->db,
                "UPDATE members SET delivered    = max(delivered, ?1),"
                "                   delivered_ms = CASE WHEN ?1 > delivered THEN ?2 ELSE delivered_ms END,"
                "                   read         = max(read, ?3),"
                "                   read_ms      = CASE WHEN ?3 > read THEN ?4 ELSE read_ms END,"
                "                   sent         = max(sent, ?5)"
                " WHERE conv = ?6 AND user = ?7");
    query_put_u64(&q, row->u.member.delivered);
    query_put_u64(&q, row->u.member.delivered_ms);
    query_put_u64(&q, row->u.member.read);
    query_put_u64(&q, row->u.member.read_ms);
    query_put_u64(&q, row->u.member.sent);
    query_put_blob(&q, row->key.conv.v, sizeof row->key.conv.v);
    query_put_user(&q, &row->key.user);
    return query_run(&q);
}

/* The parameters that name a device in a conversation, in the order of their keys. */
static void put_device_key(struct query *q, const struct fold_key *key)
{
    query_put_blob(q, key->conv.v, sizeof key->conv.v);
    query_put_user(q, &key->user);
    query_put_device(q, key->device);
}

static int flush_cursor(struct facts *facts, const struct fold_row *row)
{
    struct query q;
    query_start(&q, facts->db,
                "INSERT INTO cursors (conv, user, device, delivered, settled)"
                " VALUES (?1, ?2, ?3, ?4, ?5)"
                " ON CONFLICT DO UPDATE SET delivered = max(delivered, excluded.delivered),"
                "                           settled   = max(settled, excluded.settled)");
    put_device_key(&q, &row->key);
    query_put_u64(&q, row->u.cursor.delivered);
    query_put_u64(&q, row->u.cursor.settled);
    return query_run(&q);
}

static int flush_repeat(struct facts *facts, const struct fold_row *row)
{
    struct query q;
    query_start(&q, facts->db,
                "INSERT INTO repeats (conv, user, device, client_seq, seq, id, expiry_ms)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
                " ON CONFLICT DO NOTHING");
    put_device_key(&q, &row->key);
    query_put_u64(&q, row->key.client_seq);
    query_put_u64(&q, row->u.repeat.seq);
    query_put_blob(&q, row->u.repeat.id.v, sizeof row->u.repeat.id.v);
    query_put_u64(&q, row->u.repeat.expiry_ms);
    return query_run(&q);
}

static int flush_deleted(struct facts *facts, const struct fold_row *row)
{
    struct query q;
    query_start(&q, facts->db,
                "INSERT INTO deleted (conv, seq, ms, log, number) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");
    query_put_blob(&q, row->key.conv.v, sizeof row->key.conv.v);
    query_put_u64(&q, row->key.client_seq);
    query_put_u64(&q, row->u.deleted.ms);
    query_put_u64(&q, row->u.deleted.log);
    query_put_u64(&q, row->u.deleted.number);
    return query_run(&q);
}

static int flush_device(struct facts *facts, const struct fold_row *row)
{
    struct query q;
    query_start(&q, facts->db,
                "UPDATE devices SET client_seq_max = max(client_seq_max, ?) WHERE user = ? AND device = ?");
    query_put_u64(&q, row->u.device.client_seq_max);
    query_put_user(&q, &row->key.user);
    query_put_device(&q, row->key.device);
    return query_run(&q);
}

/* What the device has settled goes, and of the rest all but the newest REPEATS_MAX: a device that never settles
 * anything is refused long before, but no row may count on that. */
static int trim_repeats(struct facts *facts, const struct fold_key *key)
{
    struct query q;
    query_start(&q, facts->db,
                "DELETE FROM repeats WHERE conv = ?1 AND user = ?2 AND device = ?3 AND client_seq < max("
                " (SELECT settled FROM cursors WHERE conv = ?1 AND user = ?2 AND device = ?3),"
                " coalesce((SELECT client_seq FROM repeats WHERE conv = ?1 AND user = ?2 AND device = ?3"
                "           ORDER BY client_seq DESC LIMIT 1 OFFSET ?4), 0))");
    put_device_key(&q, key);
    query_put_u64(&q, REPEATS_MAX - 1);
    return query_run(&q);
}

int facts_flushed_raise(struct facts *facts, uint32_t log, uint64_t number)
{
    struct query q;
    query_start(&q, facts->db,
                "INSERT INTO flushed (log, number) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET number = max(number, excluded.number)");
    query_put_u64(&q, log);
    query_put_u64(&q, number);
    return query_run(&q);
}

static int flush_row(struct facts *facts, const struct fold_row *row)
{
    switch (row->key.kind) {
    case FOLD_CONV: return flush_conv(facts, row);
    case FOLD_MEMBER: return flush_member(facts, row);
    case FOLD_CURSOR: return flush_cursor(facts, row);
    case FOLD_REPEAT: return flush_repeat(facts, row);
    case FOLD_DELETED: return flush_deleted(facts, row);
    default: return flush_device(facts, row);
    }
}

/* The conversation that was looked for last, since rows come by conversation. */
struct known_conv {
    const struct conv_id *id;            /* NULL: none yet */
    bool is_there;
};

/* Cursors, repeats and what was deleted go in by INSERT, which a conversation without rows must not get. It is looked for here and not
 * by the statement: an INSERT of what a SELECT finds may be many rows to SQLite, so it opens a journal for the
 * statement, and at its end walks through all that the transaction's savepoint has noted. With ten thousand
 * conversations in a fold that was four tenths of a flush. */
static int conv_is_there(struct facts *facts, const struct conv_id *conv, struct known_conv *known)
{
    if (known->id && conv_id_equal(known->id, conv)) return 0;
    struct query q;
    query_start(&q, facts->db, "SELECT 1 FROM convs WHERE conv = ?");
    query_put_blob(&q, conv->v, sizeof conv->v);
    int err = query_row(&q);
    *known = (struct known_conv){ conv, err == 0 };
    return query_end(&q, err == ERR_END ? 0 : err);
}

int facts_flush(struct facts *facts, const struct fold *fold)
{
    const struct fold_row **rows;
    struct known_conv known = { 0 };
    size_t count;
    if (fold_number(fold) == 0) return 0;
    int err = fold_sorted(fold, &rows, &count);
    if (err) return err;
    /* In the order of kinds: a conversation's rows are there before its members move, and cursors (with
     * `settled`) before repeats are trimmed. */
    for (size_t i = 0; i < count && !err; i++) {
        const struct fold_key *key = &rows[i]->key;
        bool inserts = key->kind == FOLD_CURSOR || key->kind == FOLD_REPEAT || key->kind == FOLD_DELETED;
        if (inserts) err = conv_is_there(facts, &key->conv, &known);
        if (!err && (!inserts || known.is_there)) err = flush_row(facts, rows[i]);
    }
    for (size_t i = 0; i < count && !err; i++)
        if (rows[i]->key.kind == FOLD_CURSOR) err = trim_repeats(facts, &rows[i]->key);
    if (!err) err = facts_flushed_raise(facts, fold_log(fold), fold_number(fold));
    free(rows);
    return err;
}
