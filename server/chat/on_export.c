/* on_export.c - GET /v1/export: what the server has of a user, page by page. A job reads it from one snapshot. */
#include <stdlib.h>
#include <string.h>

#include "server/chat/session.h"
#include "server/chat/task.h"

enum { EXPORT_CONVS = 100 };          /* on a page: with 64 devices some 50 KiB */

static const struct conv_id from_the_first;

static int export_begin(struct http_task *t, const struct http_request *request)
{
    int err = export_query_parse(request->query, &t->after);
    if (err) t->why = "after is not what a page before this one said";
    return err;
}

static int add_account(struct export **e_out, const struct user_id *user, struct facts *facts)
{
    struct device_row rows[DEVICE_ROWS_MAX];
    struct user_row account;
    size_t count = 0;
    int err = facts_user_get(facts, user, &account);
    if (!err) err = facts_device_list(facts, user, rows, &count);
    if (err) return err == ERR_NOT_FOUND ? ERR_AUTH : err;
    *e_out = export_new(&(struct export_account){ *user, account.created_ms, account.list_version });
    if (!*e_out) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        struct export_device d = { .device = rows[i].device, .created_ms = rows[i].created_ms,
                                   .live_ms = rows[i].seen_ms, .revoked = rows[i].revoked };
        strcpy(d.name, rows[i].name);
        export_add_device(*e_out, &d);
    }
    return 0;
}

static void add_conv(struct export *e, const struct kept_row *row)
{
    static const struct msg_id none;
    struct export_conv c = {
        .conv = row->conv.conv, .peer = row->peer, .created_ms = row->conv.created_ms, .head = row->conv.head,
        .counted = row->conv.counted, .read = row->member.read, .read_ms = row->member.read_ms,
        .delivered = row->member.delivered, .delivered_ms = row->member.delivered_ms, .sent = row->member.sent,
    };
    if (msg_id_compare(&row->conv.last_id, &none) != 0) c.last_ms = msg_id_ms(&row->conv.last_id);
    export_add_conv(e, &c);
}

static int read_page(struct http_task *t, struct facts *facts, struct kept_row *rows)
{
    struct export *e = NULL;
    size_t count = 0;
    bool first = conv_id_equal(&t->after, &from_the_first);
    int err = first ? add_account(&e, &t->user, facts) : 0;
    if (!err && !first) {
        e = export_new(NULL);
        if (!e) err = ERR_NOMEM;
    }
    /* One more than a page has tells whether another follows. */
    if (!err) err = facts_kept(facts, &t->user, &t->after, EXPORT_CONVS + 1, rows, &count);
    bool more = count > EXPORT_CONVS;
    for (size_t i = 0; !err && i < count && i < EXPORT_CONVS; i++) add_conv(e, &rows[i]);
    if (!err) err = export_encode(e, more ? &rows[EXPORT_CONVS - 1].conv.conv : NULL, &t->body);
    export_free(e);
    return err;
}

static int export_read(struct http_task *t, struct facts *facts)
{
    struct kept_row *rows = calloc(EXPORT_CONVS + 1, sizeof *rows);
    if (!rows) return ERR_NOMEM;
    int err = facts_snapshot(facts);
    if (!err) {
        err = read_page(t, facts, rows);
        facts_snapshot_end(facts);
    }
    free(rows);
    return err;
}

static int export_answer(struct http_task *t, struct buf *to)
{
    buf_put(to, t->body.at, t->body.len);
    return to->err;
}

const struct route route_export = {
    .path = "/v1/export", .method = "GET", .done = "export", .refused = "export_refused", .status = 200,
    .steps = { STEP_DEVICE },
    .begin = export_begin, .read = export_read, .answer = export_answer,
};
