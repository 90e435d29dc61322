/* admin_export.c - export, export-page: all that the server has on a user, in lines of JSON (docs/operating.md).
 *
 * `export` gives what is about the account, and is audited; `export-page` what is about one conversation, a page of its
 * messages at a time, then of its marks, from the place that the answer before named; the inbox comes last. So nothing
 * here grows with what is stored. The rows of a page are read in one snapshot; its messages and marks as that member
 * would get them (server/chat/glance.h).
 *
 *   ""  →  ID.SEQ, as often as there are pages  →  ID:PLACE.LOG.NUMBER, the same  →  ID (the next one)  →  …  →  inbox */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/admin_impl.h"

enum { PLACE_TEXT = CONV_ID_TEXT + 64 };                  /* of `next`: an id and three numbers */

struct export_task {
    struct task task;
    struct user_row account;
    uint64_t deleted_ms;
    struct device_row devices[DEVICE_ROWS_MAX];
    size_t device_count;
    struct conv_id after;                /* the conversation of the page before; all zero: none */
    bool within;                         /* goes on in it, with messages after a sequence … */
    bool of_marks;                       /* … or with marks, after a place and a record there */
    uint64_t after_seq;
    struct position after_mark;
    struct kept_row row;                 /* the conversation of this page */
    size_t row_count;                    /* 0: there is none left */
    bool is_inbox;                       /* it is the user's */
    json_t *members, *cursors;           /* owned */
    struct glance glance;
    json_t *lines;                       /* owned */
};

static void export_fini(struct task *t)
{
    struct export_task *e = (struct export_task *)t;
    json_decref(e->members);
    json_decref(e->cursors);
    json_decref(e->lines);
}

/* -- the account ----------------------------------------------------------------------------------------------- */

static void account_run(struct work *work, void *context)
{
    struct export_task *e = (struct export_task *)work;
    struct facts *facts = ((struct job_reader *)context)->facts;
    const struct user_id *user = &e->task.whom[0];
    work->err = facts_snapshot(facts);
    if (work->err) return;
    work->err = facts_user_was(facts, user, &e->account, &e->deleted_ms);
    if (work->err) task_why_user(&e->task, user, work->err);
    else work->err = facts_device_list(facts, user, e->devices, &e->device_count);
    facts_snapshot_end(facts);
}

static void account_back(struct task *t)
{
    struct export_task *e = (struct export_task *)t;
    json_t *lines = json_array();
    json_array_append_new(lines, json_pack("{s:s, s:s, s:I, s:I, s:b, s:I}", "line", "account", "user", e->account.user.v,
                                           "created", (json_int_t)e->account.created_ms, "list_version",
                                           (json_int_t)e->account.list_version, "disabled", e->account.disabled,
                                           "deleted", (json_int_t)e->deleted_ms));
    for (size_t i = 0; i < e->device_count; i++) {
        const struct device_row *d = &e->devices[i];
        char id[DEVICE_ID_TEXT];
        device_id_print(d->device, id);
        json_array_append_new(lines, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:b}", "line", "device", "device", id,
                                               "name", d->name, "created", (json_int_t)d->created_ms, "seen",
                                               (json_int_t)d->seen_ms, "client_seq", (json_int_t)d->client_seq_max,
                                               "revoked", d->revoked));
    }
    t->answer = json_pack("{s:o, s:s}", "lines", lines, "next", "");
    task_end(t, t->answer ? 0 : ERR_NOMEM);
}

static void account_audited(struct task *t)
{
    int err = task_read(t, account_run, account_back);
    if (err) task_undone(t, err);
}

static int start_export(struct task *t, json_t *request)
{
    (void)request;
    return task_audit(t, account_audited);
}

/* -- a page ---------------------------------------------------------------------------------------------------- */

static int take_member(void *arg, const struct member_row *m)
{
    struct export_task *e = arg;
    json_t *row = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "user", m->user.v, "from", (json_int_t)m->from_seq,
                            "to", (json_int_t)m->to_seq, "delivered", (json_int_t)m->delivered, "delivered_at",
                            (json_int_t)m->delivered_ms, "read", (json_int_t)m->read, "read_at", (json_int_t)m->read_ms,
                            "sent", (json_int_t)m->sent);
    return json_array_append_new(e->members, row) ? ERR_NOMEM : 0;
}

/* The user's own devices: the others' are the others'. */
static int take_cursor(void *arg, const struct cursor_row *c)
{
    struct export_task *e = arg;
    char id[DEVICE_ID_TEXT];
    if (!user_id_equal(&c->user, &e->task.whom[0])) return 0;
    device_id_print(c->device, id);
    json_t *row = json_pack("{s:s, s:I, s:I}", "device", id, "delivered", (json_int_t)c->delivered, "settled",
                            (json_int_t)c->settled);
    return json_array_append_new(e->cursors, row) ? ERR_NOMEM : 0;
}

/* Behind all conversations. One that was in it before is the last page's. */
static int inbox_row(struct export_task *e, struct facts *facts)
{
    struct conv_id inbox = conv_id_inbox(&e->task.whom[0]);
    if (conv_id_equal(&e->after, &inbox)) return 0;
    int err = facts_conv_get(facts, &inbox, &e->row.conv);
    e->is_inbox = !err;
    e->row_count = !err;
    return err == ERR_NOT_FOUND ? 0 : err;
}

static int page_rows(struct export_task *e, struct facts *facts)
{
    const struct user_id *user = &e->task.whom[0];
    struct conv_id inbox = conv_id_inbox(user);
    if (e->within) return 0;
    int err = conv_id_equal(&e->after, &inbox) ? 0 : facts_kept(facts, user, &e->after, 1, &e->row, &e->row_count);
    if (!err && !e->row_count) err = inbox_row(e, facts);
    if (!err && e->row_count) err = facts_members(facts, &e->row.conv.conv, take_member, e);
    if (!err && e->row_count) err = facts_cursors(facts, &e->row.conv.conv, take_cursor, e);
    return err;
}

static void page_run(struct work *work, void *context)
{
    struct export_task *e = (struct export_task *)work;
    struct facts *facts = ((struct job_reader *)context)->facts;
    work->err = facts_snapshot(facts);
    if (work->err) return;
    work->err = page_rows(e, facts);
    facts_snapshot_end(facts);
}

static json_t *line_of_conv(struct export_task *e, const char *id)
{
    const struct kept_row *row = &e->row;
    if (e->is_inbox)
        return json_pack("{s:s, s:s, s:I, s:I, s:I, s:O, s:O}", "line", "inbox", "conversation", id, "created",
                         (json_int_t)row->conv.created_ms, "head", (json_int_t)row->conv.head, "counted",
                         (json_int_t)row->conv.counted, "members", e->members, "cursors", e->cursors);
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:O, s:O}", "line", "conversation", "conversation", id, "with",
                     row->peer.v, "created", (json_int_t)row->conv.created_ms, "head", (json_int_t)row->conv.head, "counted",
                     (json_int_t)row->conv.counted, "members", e->members, "cursors", e->cursors);
}

static json_t *line_of_message(const struct msg_message *m, const char *conv)
{
    char id[MSG_ID_TEXT], device[DEVICE_ID_TEXT];
    size_t room = sodium_base64_ENCODED_LEN(m->body.len, sodium_base64_VARIANT_ORIGINAL);
    char *body = malloc(room);
    if (!body) return NULL;
    sodium_bin2base64(body, room, m->body.at, m->body.len, sodium_base64_VARIANT_ORIGINAL);
    msg_id_print(&m->id, id);
    device_id_print(m->device, device);
    json_t *line = json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:s, s:s, s:I, s:s}", "line", "message", "conversation",
                             conv, "seq", (json_int_t)m->seq, "id", id, "time", (json_int_t)msg_id_ms(&m->id), "kind",
                             (json_int_t)m->kind, "counted", (json_int_t)m->counted, "from", m->from.v, "device", device,
                             "client_seq", (json_int_t)m->client_seq, "body", body);
    free(body);
    return line;
}

/* Of another's moves nothing is said of the device. */
static json_t *line_of_mark(const struct export_task *e, const struct mark_at *at, const char *conv)
{
    const struct mark *m = &at->mark;
    json_t *line = json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:I}", "line", "mark", "conversation", conv, "at",
                             (json_int_t)at->place, "user", m->user.v, "delivered", (json_int_t)m->delivered, "read",
                             (json_int_t)m->read, "time", (json_int_t)m->time_ms);
    if (line && user_id_equal(&m->user, &e->task.whom[0])) {
        char id[DEVICE_ID_TEXT];
        device_id_print(m->device, id);
        json_object_set_new(line, "device", json_string(id));
    }
    return line;
}

static int add_marks(struct export_task *e, const char *conv, char next[static PLACE_TEXT])
{
    const struct mark_list *list = e->glance.marks;
    for (size_t i = 0; i < list->count; i++)
        if (json_array_append_new(e->lines, line_of_mark(e, &list->marks[i], conv))) return ERR_NOMEM;
    if (list->more)
        snprintf(next, PLACE_TEXT, "%s:%llu.%u.%llu", conv, (unsigned long long)list->place, (unsigned)list->last.log,
                 (unsigned long long)list->last.number);
    else snprintf(next, PLACE_TEXT, "%s", conv);
    return 0;
}

/* Behind the last message come the marks. */
static int add_messages(struct export_task *e, const char *conv, char next[static PLACE_TEXT])
{
    struct msg_page page;
    struct msg_message m;
    uint64_t last = e->after_seq;
    int err = glance_page(&e->glance, &page);
    if (err) return err;
    while ((err = page_next(&page.records, &m)) == 0) {
        if (json_array_append_new(e->lines, line_of_message(&m, conv))) return ERR_NOMEM;
        last = m.seq;
    }
    if (page.more && last > e->after_seq) snprintf(next, PLACE_TEXT, "%s.%llu", conv, (unsigned long long)last);
    else snprintf(next, PLACE_TEXT, "%s:0.0.0", conv);
    return err == ERR_END ? 0 : err;
}

static void page_glanced(struct shard *shard, struct glance *g)
{
    struct export_task *e = (struct export_task *)((char *)g - offsetof(struct export_task, glance));
    struct task *t = &e->task;
    char id[CONV_ID_TEXT], next[PLACE_TEXT];
    (void)shard;
    conv_id_print(&g->conv, id);
    snprintf(next, sizeof next, "%s", id);
    int err = g->err == ERR_NOT_FOUND ? 0 : g->err;        /* erased since: go on behind it */
    if (!err && g->frame) err = add_messages(e, id, next);
    if (!err && g->marks) err = add_marks(e, id, next);
    frame_unref(g->frame);
    free(g->marks);
    if (!err) t->answer = json_pack("{s:O, s:s}", "lines", e->lines, "next", next);
    task_end(t, !err && !t->answer ? ERR_NOMEM : err);
}

static void page_back(struct task *t)
{
    struct export_task *e = (struct export_task *)t;
    char id[CONV_ID_TEXT];
    if (!e->within && e->row_count == 0) {
        t->answer = json_pack("{s:O}", "lines", e->lines);
        task_end(t, t->answer ? 0 : ERR_NOMEM);
        return;
    }
    e->glance.conv = e->within ? e->after : e->row.conv.conv;
    conv_id_print(&e->glance.conv, id);
    if (!e->within && json_array_append_new(e->lines, line_of_conv(e, id))) {
        task_end(t, ERR_NOMEM);
        return;
    }
    if (e->is_inbox) {                                     /* nothing is ever written into it yet */
        t->answer = json_pack("{s:O, s:s}", "lines", e->lines, "next", id);
        task_end(t, t->answer ? 0 : ERR_NOMEM);
        return;
    }
    e->glance.user = t->whom[0];
    e->glance.of_marks = e->of_marks;
    e->glance.after = e->after_seq;
    e->glance.after_mark = e->after_mark;
    e->glance.done = page_glanced;
    glance_send(t->admin->shard, &e->glance);
}

/* A number of at most 18 digits behind `before`; what follows it, or NULL. */
static const char *take_number(const char *text, char before, uint64_t *out)
{
    size_t digits = text && text[0] == before ? strspn(text + 1, "0123456789") : 0;
    if (digits == 0 || digits > 18) return NULL;
    *out = strtoull(text + 1, NULL, 10);
    return text + 1 + digits;
}

/* As the drawing above tells. */
static int take_place(struct export_task *e, const char *text)
{
    uint64_t log = 0;
    if (!text[0]) return 0;
    if (strlen(text) < CONV_ID_TEXT - 1 || conv_id_parse(bytes_of(text, CONV_ID_TEXT - 1), &e->after)) return ERR_RANGE;
    text += CONV_ID_TEXT - 1;
    if (!text[0]) return 0;
    e->within = true;
    e->of_marks = text[0] == ':';
    if (!e->of_marks) {
        text = take_number(text, '.', &e->after_seq);
        return !text || *text || e->after_seq == 0 ? ERR_RANGE : 0;
    }
    text = take_number(text, ':', &e->after_seq);
    text = take_number(text, '.', &log);
    text = take_number(text, '.', &e->after_mark.number);
    e->after_mark.log = (uint32_t)log;
    return !text || *text || log >= LOGS_MAX ? ERR_RANGE : 0;
}

static int start_export_page(struct task *t, json_t *request)
{
    struct export_task *e = (struct export_task *)t;
    const char *after = json_string_value(json_object_get(request, "after"));
    if (!after || take_place(e, after)) return task_why(t, ERR_RANGE, "after: what `next` said in the answer before");
    e->members = json_array();
    e->cursors = json_array();
    e->lines = json_array();
    return e->members && e->cursors && e->lines ? task_read(t, page_run, page_back) : ERR_NOMEM;
}

const struct request admin_export_requests[] = {
    { "export", "user ", WHOM_ONE, true, sizeof(struct export_task), start_export, export_fini },
    { "export-page", "user after ", WHOM_ONE, false, sizeof(struct export_task), start_export_page, export_fini },
    { NULL, NULL, WHOM_NONE, false, 0, NULL, NULL },
};
