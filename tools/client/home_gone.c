/* home_gone.c - what goes out of a device's store: deleted for everyone, or when its time has come; and the timer.
 *
 * What has a time stands in an index by that time, so that finding what is due costs what is due. It is taken away in
 * slices, each a transaction or part of one, and becomes a hidden row: its sequence and id stay, so that nothing looks
 * missing and it is not asked for again. */
#include "tools/client/home_db.h"

int home_message_delete(struct home *home, const struct conv_id *conv, uint64_t seq)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_MESSAGE_DELETE);
    bind_conv(stmt, 1, conv);
    bind_number(stmt, 2, seq);
    return home_run(home, stmt);
}

/* ---- what disappears ---- */

struct expired {
    struct msg_id id;
    struct conv_id conv;
};
struct expiring {
    struct expired rows[EXPIRE_ROWS_MAX];
    size_t count;
};

static int find_expired(struct home *home, uint64_t now_ms, struct expiring *e)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_EXPIRED);
    int err = 0;
    bind_number(stmt, 1, now_ms);
    bind_number(stmt, 2, EXPIRE_ROWS_MAX);
    while (!err && !(err = home_row(home, stmt))) {
        struct expired *row = &e->rows[e->count];
        if (!column_fixed(stmt, 0, row->id.v, sizeof row->id.v) ||
            !column_fixed(stmt, 1, row->conv.v, sizeof row->conv.v)) err = ERR_CORRUPT;
        else e->count++;
    }
    home_done(stmt);
    return none_is_fine(err);
}

static int hide_all(struct home *home, void *arg)
{
    const struct expiring *e = arg;
    int err = 0;
    for (size_t i = 0; !err && i < e->count; i++) err = home_message_hide(home, &e->rows[i].id);
    return none_is_fine(err);
}

int home_expire(struct home *home, uint64_t now_ms, gone_fn *gone, void *arg, bool *more_out)
{
    struct expiring e = { .count = 0 };
    *more_out = false;
    int err = find_expired(home, now_ms, &e);
    if (err || e.count == 0) return err;
    err = home_within(home, hide_all, &e);
    for (size_t i = 0; !err && i < e.count; i++) err = gone(arg, &e.rows[i].conv);
    *more_out = e.count == EXPIRE_ROWS_MAX;
    return err;
}

int home_expiry_next(struct home *home, uint64_t *expiry_ms_out)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_EXPIRY_NEXT);
    int err = home_row(home, stmt);
    if (!err && column_is_null(stmt, 0)) err = ERR_NOT_FOUND;
    if (!err) *expiry_ms_out = column_number(stmt, 0);
    home_done(stmt);
    return err;
}

/* ---- the timer ---- */

int home_timer_put(struct home *home, const struct conv_id *conv, uint64_t seq, const struct user_id *by,
                   uint64_t seconds)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_TIMER_PUT);
    bind_number(stmt, 1, seconds);
    bind_str(stmt, 2, by->v);
    bind_number(stmt, 3, seq);
    bind_conv(stmt, 4, conv);
    return home_run(home, stmt);
}

int home_timer_learn(struct home *home, const struct conv_id *conv, uint64_t seq, uint64_t seconds)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_TIMER_LEARN);
    bind_number(stmt, 1, seconds);
    bind_number(stmt, 2, seq);
    bind_conv(stmt, 3, conv);
    return home_run(home, stmt);
}

int home_timer_get(struct home *home, const struct conv_id *conv, struct timer_row *out)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_TIMER_GET);
    *out = (struct timer_row){ .seconds = 0 };
    bind_conv(stmt, 1, conv);
    int err = home_row(home, stmt);
    if (!err) {
        out->seconds = column_number(stmt, 0);
        out->is_told = !column_is_null(stmt, 1);
        if (out->is_told && !column_user(stmt, 1, &out->by)) err = ERR_CORRUPT;
    }
    home_done(stmt);
    return err;
}
