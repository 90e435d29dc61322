/* home_rows.c - the rows of a device's store: conversations, cursors, messages, outbox, errands.
 *
 * Each function is one statement of home_db.h, bound and read; what they mean together is sync.c's business. A row
 * that cannot be what this program wrote is ERR_CORRUPT, never guessed at. Callbacks run while their statement is
 * open, so they must not change the rows being walked. */
#include <assert.h>
#include <string.h>

#include "tools/client/home_db.h"

void bind_conv(sqlite3_stmt *stmt, int at, const struct conv_id *id)
{
    bind_bytes(stmt, at, BYTES_OF(id->v));
}

/* An id that stands in the device column: big-endian, since SQLite's integers end at 2^63. */
static void bind_device(sqlite3_stmt *stmt, int at, struct device_id device)
{
    uint8_t v[8];
    put_u64(v, device.v);
    bind_bytes(stmt, at, BYTES_OF(v));
}

/* ---- conversations ---- */

int conv_read(sqlite3_stmt *stmt, struct conv_row *out)
{
    memset(out, 0, sizeof *out);
    if (!column_fixed(stmt, 0, out->id.v, sizeof out->id.v) || !column_user(stmt, 1, &out->peer)) return ERR_CORRUPT;
    out->has_stored = !column_is_null(stmt, 2);
    out->stored = column_number(stmt, 2);
    out->read = column_number(stmt, 3);
    out->read_told = column_number(stmt, 4);
    return 0;
}

int home_conv_get(struct home *home, const struct conv_id *id, struct conv_row *out)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_CONV_GET);
    bind_conv(stmt, 1, id);
    int err = home_row(home, stmt);
    if (!err) err = conv_read(stmt, out);
    home_done(stmt);
    return err;
}

int home_conv_put(struct home *home, const struct conv_row *row)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_CONV_PUT);
    bind_conv(stmt, 1, &row->id);
    bind_str(stmt, 2, row->peer.v);
    if (row->has_stored) bind_number(stmt, 3, row->stored);
    bind_number(stmt, 4, row->read);
    bind_number(stmt, 5, row->read_told);
    return home_run(home, stmt);
}

int home_conv_each_untold(struct home *home, int (*each)(void *arg, const struct conv_row *row), void *arg)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_CONV_UNTOLD);
    struct conv_row row;
    int err;
    while (!(err = home_row(home, stmt)))
        if ((err = conv_read(stmt, &row)) || (err = each(arg, &row))) break;
    home_done(stmt);
    return err == ERR_NOT_FOUND ? 0 : err;
}

int home_cursor_raise(struct home *home, const struct conv_id *id, const struct user_id *user, uint64_t delivered,
                      uint64_t read, bool *moved_out)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_CURSOR_RAISE);
    bind_conv(stmt, 1, id);
    bind_str(stmt, 2, user->v);
    bind_number(stmt, 3, delivered);
    bind_number(stmt, 4, read);
    int err = home_run(home, stmt);
    if (!err) *moved_out = sqlite3_changes(home->db) > 0;
    return err;
}

int home_cursor_get(struct home *home, const struct conv_id *id, const struct user_id *user, uint64_t *delivered_out,
                    uint64_t *read_out)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_CURSOR_GET);
    *delivered_out = *read_out = 0;
    bind_conv(stmt, 1, id);
    bind_str(stmt, 2, user->v);
    int err = home_row(home, stmt);
    if (!err) {
        *delivered_out = column_number(stmt, 0);
        *read_out = column_number(stmt, 1);
    }
    home_done(stmt);
    return err == ERR_NOT_FOUND ? 0 : err;
}

/* ---- messages ---- */

int home_message_put(struct home *home, const struct msg_message *m, enum message_state state, bool *new_out)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_MESSAGE_HAS);
    bind_bytes(stmt, 1, BYTES_OF(m->id.v));
    int err = home_row(home, stmt);
    home_done(stmt);
    if (err && err != ERR_NOT_FOUND) return err;
    *new_out = err == ERR_NOT_FOUND;
    stmt = home_stmt(home, SQL_MESSAGE_PUT);
    bind_bytes(stmt, 1, BYTES_OF(m->id.v));
    bind_conv(stmt, 2, &m->conv);
    bind_number(stmt, 3, m->seq);
    bind_number(stmt, 4, m->kind);
    bind_number(stmt, 5, m->flags);
    bind_number(stmt, 6, m->counted);
    bind_str(stmt, 7, m->from.v);
    bind_device(stmt, 8, m->device);
    bind_number(stmt, 9, m->client_seq);
    bind_bytes(stmt, 10, m->body);
    bind_number(stmt, 11, state);
    if (m->expiry_ms) bind_number(stmt, 12, m->expiry_ms);
    return home_run(home, stmt);
}

int home_message_show(struct home *home, const struct msg_id *id)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_MESSAGE_SHOW);
    bind_bytes(stmt, 1, BYTES_OF(id->v));
    return home_run(home, stmt);
}

int home_message_arrive(struct home *home, const struct msg_id *id)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_MESSAGE_ARRIVE);
    bind_bytes(stmt, 1, BYTES_OF(id->v));
    return home_run(home, stmt);
}

int home_message_state(struct home *home, const struct conv_id *conv, uint64_t seq, struct msg_id *id_out,
                       enum message_state *state_out)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_MESSAGE_STATE);
    bind_conv(stmt, 1, conv);
    bind_number(stmt, 2, seq);
    int err = home_row(home, stmt);
    if (!err && !column_fixed(stmt, 0, id_out->v, sizeof id_out->v)) err = ERR_CORRUPT;
    if (!err) *state_out = (enum message_state)column_number(stmt, 1);
    home_done(stmt);
    return err;
}

int home_message_min_seq(struct home *home, const struct conv_id *conv, uint64_t above, uint64_t *seq_out)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_MESSAGE_MIN_SEQ);
    bind_conv(stmt, 1, conv);
    bind_number(stmt, 2, above);
    int err = home_row(home, stmt);
    if (!err && column_is_null(stmt, 0)) err = ERR_NOT_FOUND;
    if (!err) *seq_out = column_number(stmt, 0);
    home_done(stmt);
    return err;
}

/* In the order of MESSAGE_COLUMNS. A message is text between two: members are rebuilt by whoever needs them. */
int message_read(sqlite3_stmt *stmt, struct message_row *out)
{
    uint8_t device[8];
    memset(out, 0, sizeof *out);
    if (!column_fixed(stmt, 0, out->m.id.v, sizeof out->m.id.v) ||
        !column_fixed(stmt, 1, out->m.conv.v, sizeof out->m.conv.v) || !column_user(stmt, 6, &out->m.from) ||
        !column_fixed(stmt, 7, device, sizeof device) || !column_user(stmt, 11, &out->peer))
        return ERR_CORRUPT;
    out->has_seq = !column_is_null(stmt, 2);
    out->m.seq = column_number(stmt, 2);
    out->m.kind = column_number(stmt, 3);
    out->m.flags = column_number(stmt, 4);
    out->m.counted = column_number(stmt, 5);
    out->m.device.v = get_u64(device);
    out->m.client_seq = column_number(stmt, 8);
    out->m.body = column_bytes(stmt, 9);
    out->state = (enum message_state)column_number(stmt, 10);
    out->hidden = column_number(stmt, 12) != 0;
    out->m.expiry_ms = column_number(stmt, 13);
    return 0;
}

int message_each(struct home *home, sqlite3_stmt *stmt, message_fn *fn, void *arg)
{
    struct message_row row;
    int err, seen = 0;
    while (!(err = home_row(home, stmt))) {
        seen = 1;
        if ((err = message_read(stmt, &row)) || (err = fn(arg, &row))) break;
    }
    home_done(stmt);
    return err == ERR_NOT_FOUND && seen ? 0 : err;
}

int none_is_fine(int err)
{
    return err == ERR_NOT_FOUND ? 0 : err;
}

int home_message_by_id(struct home *home, const struct msg_id *id, message_fn *fn, void *arg)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_MESSAGE_BY_ID);
    bind_bytes(stmt, 1, BYTES_OF(id->v));
    return message_each(home, stmt, fn, arg);
}

int home_message_by_send(struct home *home, struct device_id device, uint64_t client_seq, message_fn *fn, void *arg)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_MESSAGE_BY_SEND);
    bind_device(stmt, 1, device);
    bind_number(stmt, 2, client_seq);
    return message_each(home, stmt, fn, arg);
}

int home_message_each_fresh(struct home *home, const struct conv_id *conv, message_fn *fn, void *arg)
{
    sqlite3_stmt *stmt = home_stmt(home, conv ? SQL_MESSAGE_FRESH_IN : SQL_MESSAGE_FRESH);
    if (conv) bind_conv(stmt, 1, conv);
    return none_is_fine(message_each(home, stmt, fn, arg));
}

int home_message_each_last(struct home *home, const struct conv_id *conv, uint64_t before, uint32_t limit,
                           message_fn *fn, void *arg)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_MESSAGE_LAST);
    bind_conv(stmt, 1, conv);
    bind_number(stmt, 2, before);
    bind_number(stmt, 3, limit);
    return none_is_fine(message_each(home, stmt, fn, arg));
}

/* ---- outbox ---- */

static int seq_max_get(struct home *home, uint64_t *out)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_SEQ_MAX);
    int err = home_row(home, stmt);
    if (!err) *out = column_number(stmt, 0);
    home_done(stmt);
    return err;
}

static int seq_max_set(struct home *home, uint64_t v)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_SEQ_SET);
    bind_number(stmt, 1, v);
    return home_run(home, stmt);
}

int home_within(struct home *home, int (*fn)(struct home *home, void *arg), void *arg)
{
    if (!sqlite3_get_autocommit(home->db)) return fn(home, arg);
    int err = home_begin(home);
    if (!err) err = fn(home, arg);
    if (!err) return home_commit(home);
    home_rollback(home);
    return err;
}

static int outbox_add(struct home *home, void *arg)
{
    struct outbox_row *row = arg;
    int err = seq_max_get(home, &row->client_seq);
    if (err) return err;
    if (row->client_seq >= NUMBER_MAX) return ERR_RANGE;
    row->client_seq++;
    if ((err = seq_max_set(home, row->client_seq))) return err;
    sqlite3_stmt *stmt = home_stmt(home, SQL_OUTBOX_ADD);
    bind_number(stmt, 1, row->client_seq);
    bind_str(stmt, 2, row->to.v);
    bind_bytes(stmt, 3, row->body);
    bind_number(stmt, 4, row->created_ms);
    bind_number(stmt, 5, row->kind);
    return home_run(home, stmt);
}

int home_outbox_add(struct home *home, const struct user_id *to, struct bytes body, uint64_t now_ms,
                    uint64_t *client_seq_out)
{
    return home_outbox_add_as(home, to, KIND_MESSAGE, body, now_ms, client_seq_out);
}

int home_outbox_add_as(struct home *home, const struct user_id *to, enum record_kind kind, struct bytes body,
                       uint64_t now_ms, uint64_t *client_seq_out)
{
    struct outbox_row row = { .to = *to, .body = body, .created_ms = now_ms, .kind = kind };
    int err = home_within(home, outbox_add, &row);
    if (!err) *client_seq_out = row.client_seq;
    return err;
}

static int outbox_walk(struct home *home, sqlite3_stmt *stmt, outbox_fn *fn, void *arg)
{
    struct outbox_row row;
    int err, seen = 0;
    while (!(err = home_row(home, stmt))) {
        seen = 1;
        row.client_seq = column_number(stmt, 0);
        row.body = column_bytes(stmt, 2);
        row.created_ms = column_number(stmt, 3);
        row.sent = column_number(stmt, 4) != 0;
        row.kind = (enum record_kind)column_number(stmt, 5);
        err = column_user(stmt, 1, &row.to) ? fn(arg, &row) : ERR_CORRUPT;
        if (err) break;
    }
    home_done(stmt);
    return err == ERR_NOT_FOUND && seen ? 0 : err;
}

int home_outbox_each(struct home *home, outbox_fn *fn, void *arg)
{
    return none_is_fine(outbox_walk(home, home_stmt(home, SQL_OUTBOX_EACH), fn, arg));
}

int home_outbox_each_first(struct home *home, outbox_fn *fn, void *arg)
{
    return none_is_fine(outbox_walk(home, home_stmt(home, SQL_OUTBOX_FIRST), fn, arg));
}

int home_outbox_get(struct home *home, uint64_t client_seq, outbox_fn *fn, void *arg)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_OUTBOX_GET);
    bind_number(stmt, 1, client_seq);
    return outbox_walk(home, stmt, fn, arg);
}

static int run_numbered(struct home *home, enum home_sql which, uint64_t number)
{
    sqlite3_stmt *stmt = home_stmt(home, which);
    bind_number(stmt, 1, number);
    return home_run(home, stmt);
}

int home_outbox_sent(struct home *home, uint64_t client_seq)
{
    return run_numbered(home, SQL_OUTBOX_SENT, client_seq);
}

int home_outbox_remove(struct home *home, uint64_t client_seq)
{
    return run_numbered(home, SQL_OUTBOX_REMOVE, client_seq);
}

int home_outbox_settled(struct home *home, uint64_t *settled_out)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_OUTBOX_MIN);
    int err = home_row(home, stmt);
    bool none = !err && column_is_null(stmt, 0);
    if (!err) *settled_out = column_number(stmt, 0);
    home_done(stmt);
    if (!err && none) {
        err = seq_max_get(home, settled_out);
        (*settled_out)++;
    }
    return err;
}

/* New numbers are given above both ends, lowest old one first, so no number is ever in use twice on the way. */
static int outbox_raise(struct home *home, void *arg)
{
    uint64_t theirs = *(const uint64_t *)arg, ours = 0, next;
    int err = seq_max_get(home, &ours);
    if (err || theirs <= ours) return err;
    for (next = theirs; ; ) {
        sqlite3_stmt *stmt = home_stmt(home, SQL_OUTBOX_UNSENT_MIN);
        bind_number(stmt, 1, theirs);
        err = home_row(home, stmt);
        bool none = err || column_is_null(stmt, 0);
        uint64_t old = none ? 0 : column_number(stmt, 0);
        home_done(stmt);
        if (err || none) break;
        stmt = home_stmt(home, SQL_OUTBOX_RENUMBER);
        bind_number(stmt, 1, ++next);
        bind_number(stmt, 2, old);
        if ((err = home_run(home, stmt))) break;
    }
    return err ? err : seq_max_set(home, next);
}

int home_outbox_raise(struct home *home, uint64_t client_seq_max)
{
    return home_within(home, outbox_raise, &client_seq_max);
}

int home_refusal_put(struct home *home, uint64_t client_seq, int err, const char *text, uint64_t now_ms)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_REFUSAL_PUT);
    assert(err < 0);
    bind_number(stmt, 1, client_seq);
    bind_number(stmt, 2, (uint64_t)-(int64_t)err);
    bind_str(stmt, 3, text);
    bind_number(stmt, 4, now_ms);
    return home_run(home, stmt);
}

int home_refusal_take(struct home *home, uint64_t client_seq, int *err_out, char text[static 256])
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_REFUSAL_GET);
    bind_number(stmt, 1, client_seq);
    int err = home_row(home, stmt);
    if (!err) {
        struct bytes b = column_bytes(stmt, 1);
        size_t len = b.len < 255 ? b.len : 255;
        *err_out = -(int)column_number(stmt, 0);
        if (len) memcpy(text, b.at, len);
        text[len] = '\0';
    }
    home_done(stmt);
    return err ? err : run_numbered(home, SQL_REFUSAL_DROP, client_seq);
}

/* ---- errands ---- */

int home_errand_add(struct home *home, struct bytes request, uint64_t now_ms, uint64_t *id_out)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_ERRAND_ADD);
    bind_bytes(stmt, 1, request);
    bind_number(stmt, 2, now_ms);
    int err = home_run(home, stmt);
    if (!err) *id_out = (uint64_t)sqlite3_last_insert_rowid(home->db);
    return err;
}

int home_errand_each(struct home *home, errand_fn *fn, void *arg)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_ERRAND_EACH);
    int err;
    while (!(err = home_row(home, stmt)))
        if ((err = fn(arg, column_number(stmt, 0), column_bytes(stmt, 1)))) break;
    home_done(stmt);
    return none_is_fine(err);
}

int home_errand_answer(struct home *home, uint64_t id, struct bytes answer)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_ERRAND_ANSWER);
    bind_bytes(stmt, 1, answer);
    bind_number(stmt, 2, id);
    return home_run(home, stmt);
}

int home_errand_take(struct home *home, uint64_t id, struct buf *answer)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_ERRAND_GET);
    bind_number(stmt, 1, id);
    int err = home_row(home, stmt);
    if (!err) {
        struct bytes b = column_bytes(stmt, 0);
        buf_clear(answer);
        buf_put(answer, b.at, b.len);
        err = answer->err;
    }
    home_done(stmt);
    return err ? err : home_errand_drop(home, id);
}

int home_errand_drop(struct home *home, uint64_t id)
{
    return run_numbered(home, SQL_ERRAND_DROP, id);
}

int home_drop_old(struct home *home, uint64_t now_ms)
{
    int err = run_numbered(home, SQL_ERRAND_OLD, now_ms > ERRAND_MS_MAX ? now_ms - ERRAND_MS_MAX : 0);
    return err ? err : run_numbered(home, SQL_REFUSAL_OLD, now_ms > REFUSAL_MS_MAX ? now_ms - REFUSAL_MS_MAX : 0);
}
