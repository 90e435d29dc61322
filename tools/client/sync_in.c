/* sync_in.c - what a frame from the server changes: the rules of sync.h, message by message.
 *
 * Everything here is inside a transaction of sync.c: nothing leaves and nothing is told before its commit. */
#include <stdio.h>
#include <string.h>

#include "tools/client/sync_impl.h"
#include "tools/common/utf8.h"

/* The server's words, or a device's name. */
static void set_text(struct sync_event *e, struct bytes text)
{
    utf8_line(text, e->text, sizeof e->text);
}

static struct ask *ask_of_ref(struct sync *s, const struct msg *m)
{
    for (size_t i = 0; m->has_ref && i < s->ask_count; i++)
        if (s->asks[i].ref == m->ref && s->asks[i].again_ms == 0) return &s->asks[i];
    return NULL;
}

static int take_send(void *arg, const struct outbox_row *row)
{
    struct sync_event *e = arg;
    e->user = row->to;
    e->record = row->kind;
    return 0;
}

/* What a send is, and for whom; "" when nobody is left to send it to. */
static int tell_send(struct sync *s, uint64_t client_seq, struct sync_event *e)
{
    e->client_seq = client_seq;
    int err = home_outbox_get(s->home, client_seq, take_send, e);
    return err == ERR_NOT_FOUND ? 0 : err;
}

/* Not now. Longer each time when the server names no time. */
static int ask_later(struct sync *s, struct ask *a, const struct msg_error *e)
{
    uint64_t wait = e->again_in_ms ? e->again_in_ms : (uint64_t)RETRY_MS << (a->tries < 6 ? a->tries : 6);
    if (wait > RETRY_MS_MAX) wait = RETRY_MS_MAX;
    a->tries++;
    a->again_ms = s->now.mono_ms + wait;
    if (a->told == e->code) return 0;
    a->told = e->code;
    struct sync_event *told = sync_tell(s, SYNC_LATER);
    if (!told) return ERR_NOMEM;
    told->err = -(int)e->code;
    told->time_ms = wait;
    set_text(told, e->text);
    return a->kind == ASK_SEND ? tell_send(s, a->number, told) : 0;
}

/* ---- what comes ---- */

static bool is_self(const struct sync *s, const struct user_id *user)
{
    return user_id_equal(user, &s->account->user);
}

static bool is_own(const struct sync *s, const struct msg_message *m)
{
    return is_self(s, &m->from) && m->device.v == s->account->device.v;
}

/* The row, made with `peer` when it is not there. */
static int conv_need(struct sync *s, const struct conv_id *conv, const struct user_id *peer, struct conv_row *row)
{
    int err = home_conv_get(s->home, conv, row);
    if (err != ERR_NOT_FOUND) return err;
    *row = (struct conv_row){ .id = *conv, .peer = *peer };
    return home_conv_put(s->home, row);
}

static const struct user_id *peer_of(const struct sync *s, const struct msg_message *m)
{
    if (!m->is_direct) return &m->from;
    return is_self(s, &m->members[0]) ? &m->members[1] : &m->members[0];
}

/* Own send is answered: out of the outbox, told once. */
static int settle(struct sync *s, const struct msg_message *m, const struct user_id *to)
{
    struct ask *a = sync_ask_find(s, ASK_SEND, m->client_seq, NULL);
    if (a) sync_ask_drop(s, a);
    int err = home_outbox_remove(s->home, m->client_seq);
    if (err) return err;
    struct sync_event *e = sync_tell(s, SYNC_ACCEPTED);
    if (!e) return ERR_NOMEM;
    e->conv = m->conv;
    e->seq = m->seq;
    e->id = m->id;
    e->client_seq = m->client_seq;
    e->record = m->kind;
    e->user = *to;
    return 0;
}

static int nothing(void *arg, const struct outbox_row *row)
{
    (void)arg;
    (void)row;
    return 0;
}

/* Bodies that their sender deleted for everyone. A number beyond what a row can hold names no message. */
static int delete_named(struct sync *s, const struct msg_message *m)
{
    struct bytes rest = m->body;
    uint64_t seq;
    int err = 0;
    while (!err && body_next(&rest, &seq) == 0)
        if (seq <= NUMBER_MAX) err = home_message_delete(s->home, &m->conv, seq);
    return err;
}

/* How long messages stay from here on. A message tells it by the time it carries; one without a body tells nothing. */
static int take_timer(struct sync *s, const struct msg_message *m)
{
    struct bytes rest = m->body;
    uint64_t seconds, sent_ms = msg_id_ms(&m->id);
    if (m->kind == KIND_TIMER)
        return body_next(&rest, &seconds) || seconds > NUMBER_MAX
                   ? 0 : home_timer_put(s->home, &m->conv, m->seq, &m->from, seconds);
    if (m->kind != KIND_MESSAGE) return 0;
    seconds = m->expiry_ms > sent_ms ? (m->expiry_ms - sent_ms) / 1000 : 0;
    return home_timer_learn(s->home, &m->conv, m->seq, seconds);
}

/* The record, and what it does to others. One whose time has come keeps its place alone. */
static int put_record(struct sync *s, const struct msg_message *m, enum message_state state, bool *new_out)
{
    struct msg_message left = *m;
    bool is_late = m->expiry_ms && m->expiry_ms <= sync_clock(s);
    if (is_late) left.body = BYTES_NONE;
    int err = home_message_put(s->home, &left, state, new_out);
    if (!err && is_late) err = home_message_hide(s->home, &m->id);
    if (is_late) *new_out = false;
    if (!err && m->kind == KIND_DELETE) err = delete_named(s, m);
    return err ? err : take_timer(s, m);
}

/* A record, as an event or out of a page. */
static int store_record(struct sync *s, const struct msg_message *m, enum message_state state)
{
    struct conv_row row;
    bool is_new;
    if (m->seq == 0) return ERR_RANGE;
    int err = conv_need(s, &m->conv, peer_of(s, m), &row);
    if (!err) err = put_record(s, m, is_own(s, m) ? MESSAGE_SHOWN : state, &is_new);
    if (err) return err;
    if (is_own(s, m)) {
        err = home_outbox_get(s->home, m->client_seq, nothing, NULL);
        if (err) return err == ERR_NOT_FOUND ? 0 : err;
        return settle(s, m, &row.peer);
    }
    if (!is_new || state == MESSAGE_PAGED) return 0;
    struct sync_event *e = sync_tell(s, SYNC_MESSAGE);
    if (!e) return ERR_NOMEM;
    e->conv = m->conv;
    e->seq = m->seq;
    e->id = m->id;
    e->user = m->from;
    e->device = m->device;
    e->record = m->kind;
    return 0;
}

static int on_message(struct sync *s, const struct msg_message *m)
{
    struct conv_row row;
    int err = store_record(s, m, MESSAGE_FRESH);
    if (!err) err = home_conv_get(s->home, &m->conv, &row);
    if (!err && !row.has_stored) {
        row.has_stored = true;
        row.stored = m->seq - 1;
        err = home_conv_put(s->home, &row);
    }
    struct touched *t = err ? NULL : sync_touch(s, &m->conv);
    if (!t) return err ? err : ERR_NOMEM;
    t->acknowledge = true;
    if (m->seq > t->came) t->came = m->seq;
    return 0;
}

struct accepting {
    struct sync *s;
    struct msg_message m;
    struct user_id to;
};

static int take_body(void *arg, const struct outbox_row *row)
{
    struct accepting *a = arg;
    bool is_new;
    struct conv_row conv;
    a->to = row->to;
    a->m.body = row->body;
    a->m.kind = row->kind;
    a->m.flags = is_self(a->s, &row->to) || row->kind != KIND_MESSAGE ? 0 : RECORD_COUNTS;
    int err = conv_need(a->s, &a->m.conv, &row->to, &conv);
    if (!err && !conv.has_stored && a->m.seq == 1) {
        conv.has_stored = true;    /* nothing can be before it */
        err = home_conv_put(a->s->home, &conv);
    }
    return err ? err : put_record(a->s, &a->m, MESSAGE_SHOWN, &is_new);
}

static int on_accepted(struct sync *s, const struct msg_accepted *acc)
{
    struct accepting a = { .s = s };
    a.m = (struct msg_message){ .conv = acc->conv, .seq = acc->seq, .id = acc->id, .expiry_ms = acc->expiry_ms,
                                .from = s->account->user, .device = s->account->device,
                                .client_seq = acc->client_seq };
    if (acc->seq == 0) return ERR_RANGE;
    int err = home_outbox_get(s->home, acc->client_seq, take_body, &a);
    if (err == ERR_NOT_FOUND) return 0;    /* it came back as a message before: settled then */
    if (!err) err = settle(s, &a.m, &a.to);
    if (!err && !sync_touch(s, &acc->conv)) err = ERR_NOMEM;
    return err;
}

static int on_own_receipt(struct sync *s, const struct msg_receipt *r)
{
    struct conv_row row;
    int err = home_conv_get(s->home, &r->conv, &row);
    if (err) return err == ERR_NOT_FOUND ? 0 : err;
    if (r->read > row.read_told) row.read_told = r->read;
    if (r->read > row.read) {    /* another device of ours has read further */
        row.read = r->read;
        if (!sync_touch(s, &r->conv)) return ERR_NOMEM;
    }
    err = home_conv_put(s->home, &row);
    /* Lower than what was said: it was lost on the way, or with the server. */
    if (!err && r->read < row.read) err = sync_cursor(s, &r->conv, row.read, MSG_READ);
    if (!err && row.has_stored && r->delivered < row.stored) err = sync_cursor(s, &r->conv, row.stored, MSG_DELIVERED);
    return err;
}

static int on_receipt(struct sync *s, const struct msg_receipt *r)
{
    bool moved = false;
    if (is_self(s, &r->user)) return on_own_receipt(s, r);
    int err = home_cursor_raise(s->home, &r->conv, &r->user, r->delivered, r->read, &moved);
    if (err || !moved) return err;
    struct sync_event *e = sync_tell(s, SYNC_RECEIPT);
    if (!e) return ERR_NOMEM;
    e->conv = r->conv;
    e->user = r->user;
    e->delivered = r->delivered;
    e->read = r->read;
    e->time_ms = r->time_ms;
    return 0;
}

static int read_again(void *arg, const struct conv_row *row)
{
    struct sync *s = arg;
    if (s->read_count == READS_MAX) return sync_cursor(s, &row->id, row->read, MSG_READ);
    s->reads[s->read_count++] = (struct read_again){ ++s->ref, row->id };
    return sync_cursor_asked(s, &row->id, row->read, MSG_READ, s->ref);
}

/* Of a conversation that is not there any more, or not with so many messages: it is not said a third time. */
static int on_read_refused(struct sync *s, const struct conv_id *conv)
{
    struct conv_row row;
    int err = home_conv_get(s->home, conv, &row);
    if (err) return err == ERR_NOT_FOUND ? 0 : err;
    row.read_told = row.read;
    return home_conv_put(s->home, &row);
}

static const struct read_again *read_of_ref(const struct sync *s, const struct msg *m)
{
    for (size_t i = 0; m->has_ref && i < s->read_count; i++)
        if (s->reads[i].ref == m->ref) return &s->reads[i];
    return NULL;
}

/* Times shown are the server's, from message ids: so who looks at a wrong clock is told that it is wrong. Messages
 * disappear by the server's time too. */
static int check_clock(struct sync *s, uint64_t server_ms)
{
    bool behind = s->now.wall_ms < server_ms;
    uint64_t off_ms = behind ? server_ms - s->now.wall_ms : s->now.wall_ms - server_ms;
    int64_t off = off_ms <= CLOCK_OFF_MS ? 0 : behind ? (int64_t)off_ms : -(int64_t)off_ms;
    int err = off == s->account->clock_off_ms ? 0 : home_clock_put(s->home, off);
    if (err) return err;
    s->account->clock_off_ms = off;
    if (off == 0 || s->told_clock) return 0;
    struct sync_event *e = sync_tell(s, SYNC_CLOCK);
    if (!e) return ERR_NOMEM;
    s->told_clock = true;
    uint64_t minutes = off_ms / 60000, hours = minutes / 60, days = hours / 24;
    snprintf(e->text, sizeof e->text,
             "the clock of this device is %llu %s %s the server's; times shown are the server's",
             (unsigned long long)(days > 1 ? days : hours > 1 ? hours : minutes),
             days > 1 ? "days" : hours > 1 ? "hours" : "min", behind ? "behind" : "ahead of");
    return 0;
}

static int on_welcome(struct sync *s, const struct msg_welcome *w)
{
    int err = 0;
    s->welcome = *w;
    s->welcome.server = BYTES_NONE;    /* the frame goes, its view with it */
    bool known = s->account->has_generation;
    if (!known || memcmp(s->account->generation, w->generation, sizeof w->generation) != 0) {
        err = home_generation_put(s->home, w->generation, known);
        memcpy(s->account->generation, w->generation, sizeof w->generation);
        s->account->has_generation = true;
    }
    if (!err) err = home_outbox_raise(s->home, w->client_seq_max);
    s->read_count = 0;
    if (!err) err = home_conv_each_untold(s->home, read_again, s);
    if (!err) err = home_drop_old(s->home, s->now.wall_ms);
    if (!err && !sync_tell(s, SYNC_WELCOME)) err = ERR_NOMEM;
    if (!err) err = check_clock(s, w->now_ms);
    s->open = true;
    return err;
}

/* ---- answers to what was asked ---- */

/* The server knows nothing between what we have and what comes next: nothing is due there. */
static int skip_to(struct sync *s, const struct conv_id *conv, uint64_t next)
{
    struct conv_row row;
    int err = home_conv_get(s->home, conv, &row);
    if (err || next <= row.stored + 1) return err;
    row.stored = next - 1;
    return home_conv_put(s->home, &row);
}

static int skip_gap(struct sync *s, const struct conv_id *conv, uint64_t after)
{
    uint64_t next = 0;
    int err = home_message_min_seq(s->home, conv, after, &next);
    return err ? err : skip_to(s, conv, next);
}

static int store_page(struct sync *s, const struct msg_page *page, enum message_state state, uint64_t *first_out)
{
    struct bytes rest = page->records;
    struct msg_message m;
    int err;
    *first_out = 0;
    while (!(err = page_next(&rest, &m))) {
        if (!conv_id_equal(&m.conv, &page->conv)) return ERR_MALFORMED;
        if (*first_out == 0) *first_out = m.seq;
        if ((err = store_record(s, &m, state))) return err;
    }
    return err == ERR_END ? 0 : err;
}

/* Of these sequences nothing is to be had any more: `stored` goes over them, once all before them is there. */
static int step_over(struct sync *s, const struct conv_id *conv, struct gone gone, bool *moved)
{
    struct conv_row row;
    int err = home_conv_get(s->home, conv, &row);
    if (!err) err = sync_extend(s, &row);
    if (err || gone.from > row.stored + 1 || gone.to <= row.stored) return err;
    struct sync_event *e = sync_tell(s, SYNC_GONE);
    if (!e) return ERR_NOMEM;
    e->conv = *conv;
    e->user = row.peer;
    e->seq = row.stored + 1;
    e->number = gone.to;
    row.stored = gone.to;
    *moved = true;
    return home_conv_put(s->home, &row);
}

static int step_over_all(struct sync *s, const struct msg_page *page, bool *moved)
{
    struct bytes rest = page->gone;
    struct gone gone;
    int err;
    while (!(err = gone_next(&rest, &gone)) && !(err = step_over(s, &page->conv, gone, moved))) {}
    return err == ERR_END ? 0 : err;
}

static int on_tombstone(struct sync *s, const struct msg_tombstone *t)
{
    struct conv_row row;
    bool moved = false;
    int err = home_conv_get(s->home, &t->conv, &row);
    /* Nothing of the conversation ever came here: there is nothing to keep, and what follows it begins anew. */
    if (err == ERR_NOT_FOUND) return sync_cursor(s, &t->conv, t->gone.to, MSG_DELIVERED);
    if (!err && !row.has_stored) {
        row.has_stored = true;
        row.stored = t->gone.from - 1;
        err = home_conv_put(s->home, &row);
    }
    if (!err) err = step_over(s, &t->conv, t->gone, &moved);
    struct touched *touched = err ? NULL : sync_touch(s, &t->conv);
    if (!touched) return err ? err : ERR_NOMEM;
    touched->acknowledge = true;
    if (t->gone.to > touched->came) touched->came = t->gone.to;
    return 0;
}

/* Every answer takes `stored` forward, so filling ends: to the records of the page, or over what is not there. */
static int on_fill(struct sync *s, struct ask a, const struct msg_page *page)
{
    uint64_t first = 0;
    bool moved = false;
    int err = 0;
    if (page && !conv_id_equal(&page->conv, &a.conv)) return ERR_MALFORMED;
    if (page) err = store_page(s, page, MESSAGE_FRESH, &first);
    if (!err && page) err = step_over_all(s, page, &moved);
    if (!err && !moved) err = first > a.after ? skip_to(s, &a.conv, first) : skip_gap(s, &a.conv, a.after);
    if (err) return err == ERR_NOT_FOUND ? 0 : err;    /* nothing above it is stored: no gap after all */
    struct touched *t = sync_touch(s, &a.conv);
    if (!t) return ERR_NOMEM;
    t->acknowledge = true;
    if (a.until > t->came) t->came = a.until;
    return 0;
}

static int on_refused(struct sync *s, uint64_t client_seq, const struct msg_error *e)
{
    struct sync_event *told = sync_tell(s, SYNC_REFUSED);
    int err = told ? tell_send(s, client_seq, told) : ERR_NOMEM;
    if (err) return err;
    told->err = e->code ? -(int)e->code : ERR_MALFORMED;
    set_text(told, e->text);
    err = home_refusal_put(s->home, client_seq, told->err, told->text, s->now.wall_ms);
    return err ? err : home_outbox_remove(s->home, client_seq);
}

static int on_error(struct sync *s, const struct msg *m, struct bytes frame)
{
    const struct msg_error *e = &m->u.error;
    struct ask *a = ask_of_ref(s, m);
    const struct read_again *read = read_of_ref(s, m);
    if (e->code > INT32_MAX) return ERR_RANGE;
    if (read && !e->again) return on_read_refused(s, &read->conv);
    if (!a) {
        struct sync_event *told = sync_tell(s, SYNC_ERROR);
        if (!told) return ERR_NOMEM;
        told->err = -(int)e->code;
        told->again = e->again;
        told->time_ms = e->again_in_ms;
        set_text(told, e->text);
        return 0;
    }
    if (e->again) return ask_later(s, a, e);
    struct ask done = *a;
    sync_ask_drop(s, a);
    switch (done.kind) {
    case ASK_SEND: return on_refused(s, done.number, e);
    case ASK_FILL: return on_fill(s, done, NULL);
    case ASK_ERRAND: return home_errand_answer(s->home, done.number, frame);
    case ASK_PING: return 0;
    }
    return 0;
}

static int on_answer(struct sync *s, const struct msg *m, struct bytes frame)
{
    struct ask *a = ask_of_ref(s, m);
    if (!a) return 0;    /* of a request that was given up */
    struct ask done = *a;
    uint64_t first;
    int err = 0;
    sync_ask_drop(s, a);
    if (done.kind == ASK_FILL) return m->type == MSG_PAGE ? on_fill(s, done, &m->u.page) : ERR_MALFORMED;
    if (done.kind == ASK_PING) {
        struct sync_event *e = sync_tell(s, SYNC_PONG);
        if (e) e->number = done.number;
        return e ? 0 : ERR_NOMEM;
    }
    if (done.kind != ASK_ERRAND) return ERR_MALFORMED;
    if (m->type == MSG_PAGE) err = store_page(s, &m->u.page, MESSAGE_PAGED, &first);
    return err ? err : home_errand_answer(s->home, done.number, frame);
}

static int on_device_changed(struct sync *s, const struct msg_device_changed *d)
{
    if (d->what < DEVICE_ADDED || d->what > DEVICE_REVOKED) return 0;    /* a newer server's */
    struct sync_event *e = sync_tell(s, SYNC_DEVICE);
    if (!e) return ERR_NOMEM;
    e->device = d->device;
    e->change = d->what;
    set_text(e, d->name);
    return 0;
}

static int on_goodbye(struct sync *s, const struct msg_goodbye *g)
{
    struct sync_event *e = sync_tell(s, SYNC_GOODBYE);
    if (!e) return ERR_NOMEM;
    e->err = g->code <= INT32_MAX ? -(int)g->code : ERR_MALFORMED;
    e->time_ms = g->back_in_ms;
    set_text(e, g->text);
    return 0;
}

int sync_on_frame(struct sync *s, struct bytes frame)
{
    struct msg m;
    int err = msg_decode(frame, &m, NULL);
    if (err == ERR_UNKNOWN_TYPE) return 0;    /* a newer server's event: not for us */
    if (err) return err;
    if (m.type == MSG_GOODBYE) return on_goodbye(s, &m.u.goodbye);
    if (m.type == MSG_ERROR) return on_error(s, &m, frame);
    if (m.type == MSG_WELCOME) return on_welcome(s, &m.u.welcome);
    if (!s->open) return ERR_HELLO_FIRST;
    switch (m.type) {
    case MSG_MESSAGE: return on_message(s, &m.u.message);
    case MSG_TOMBSTONE: return on_tombstone(s, &m.u.tombstone);
    case MSG_RECEIPT: return on_receipt(s, &m.u.receipt);
    case MSG_DEVICE_CHANGED: return on_device_changed(s, &m.u.device_changed);
    case MSG_ACCEPTED: return on_accepted(s, &m.u.accepted);
    case MSG_PAGE: case MSG_INFO_ANSWER: case MSG_DEVICE_LIST: case MSG_PONG: return on_answer(s, &m, frame);
    case MSG_SYNCED:
        s->synced = true;
        return sync_tell(s, SYNC_SYNCED) ? 0 : ERR_NOMEM;
    default: return ERR_MALFORMED;    /* a request: servers answer them */
    }
}
