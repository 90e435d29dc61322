/* pipit.c - a home and its session behind the face of the library (see pipit.h); questions are in pipit_ask.c, accounts
 * in pipit_account.c.
 *
 * Three places can do what this program wants done: its own session when it keeps one, another program's of the same
 * home, or a session taken for one request. pipit_until() is the one function that chooses. Nothing is handed over in
 * memory: what is wanted is a row of the home, and whether it has been done is looked up there. */
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/pipit_impl.h"

#define ONE_REQUEST "one request"         /* the name of who has a session for a moment only */

/* ---- errors ---- */

int pipit_fail(struct pipit *p, int err, const char *why)
{
    snprintf(p->why, sizeof p->why, "%s", why && why[0] ? why : err_text(err));
    return err;
}

const char *pipit_why(const struct pipit *p)
{
    return p->why;
}

/* ---- a home ---- */

static int use_server(struct pipit *p, const struct pipit_server *server, char why[static PIPIT_WHY_MAX])
{
    const char *url = server && server->url ? server->url : p->account.server;
    const char *ca_file = server && server->ca_file ? server->ca_file : "";
    if (strlen(url) >= sizeof p->server || strlen(ca_file) >= sizeof p->ca_file) {
        snprintf(why, PIPIT_WHY_MAX, "the %s is too long",
                 strlen(url) >= sizeof p->server ? "URL" : "name of the CA file");
        return ERR_CONFIG;
    }
    strcpy(p->server, url);
    strcpy(p->ca_file, ca_file);
    return url_parse(p->server, &p->url, why);
}

static int nothing_more(void *arg, const struct conv_id *conv)
{
    (void)arg;
    (void)conv;
    return 0;
}

/* Whose time came while no program was there is gone before anything is looked at. Where that cannot be written now,
 * the next turn tries again. */
static int expire_all(struct pipit *p)
{
    bool more = true;
    int err = 0;
    while (!err && more)
        err = home_expire(p->home, account_clock(&p->account, wall_ms()), nothing_more, NULL, &more);
    return err == ERR_NO_SPACE || err == ERR_IN_USE ? 0 : err;
}

int pipit_open(const char *dir, const struct pipit_server *server, struct pipit **out, char why[static PIPIT_WHY_MAX])
{
    struct pipit *p = calloc(1, sizeof *p);
    why[0] = '\0';
    if (!p) return ERR_NOMEM;
    buf_init(&p->texts, PIPIT_NEW_MAX * BODY_BYTES_MAX);
    int err = home_open(dir, false, &p->home, why);
    if (!err) err = home_account_get(p->home, &p->account);
    if (!err) err = use_server(p, server, why);
    if (!err) err = expire_all(p);
    if (!err) {
        *out = p;
        return 0;
    }
    if (!why[0]) snprintf(why, PIPIT_WHY_MAX, "%s", err == ERR_NOT_FOUND ? "nobody is logged in there" : err_text(err));
    pipit_close(p);
    return err;
}

void pipit_close(struct pipit *p)
{
    if (!p) return;
    online_free(p->online);
    home_close(p->home);
    free(p->batch);
    buf_fini(&p->texts);
    free(p);
}

const struct user_id *pipit_user(const struct pipit *p)
{
    return &p->account.user;
}

struct device_id pipit_this_device(const struct pipit *p)
{
    return p->account.device;
}

const char *pipit_server(const struct pipit *p)
{
    return p->server;
}

/* ---- what is told ---- */

void pipit_tell(struct pipit *p, const struct pipit_events *events, void *arg)
{
    p->events = events;
    p->arg = arg;
}

_Static_assert((int)PIPIT_DEVICE_ADDED == (int)DEVICE_ADDED && (int)PIPIT_DEVICE_REVOKED == (int)DEVICE_REVOKED,
               "one list");

#define TELL(p, name, ...) \
    do { if ((p)->events && (p)->events->name) (p)->events->name((p)->arg, __VA_ARGS__); } while (0)

static void on_link(void *arg, bool open, const char *why)
{
    struct pipit *p = arg;
    p->was_online |= open;
    TELL(p, on_link, open, why);
}

static void on_error(struct pipit *p, const struct sync_event *e)
{
    if (e->again) TELL(p, on_later, &e->user, e->err, e->text);
    else if (online_is_open(p->online)) TELL(p, on_notice, e->text);
    /* else HELLO was refused: pipit_turn() returns that */
}

static void on_event(void *arg, const struct sync_event *e)
{
    struct pipit *p = arg;
    const struct pipit_receipt receipt = { e->conv, e->user, e->delivered, e->read, e->time_ms };
    const struct pipit_gone gone = { e->conv, e->user, e->seq, e->number };
    switch (e->kind) {
    case SYNC_ACCEPTED: TELL(p, on_sent, e->client_seq, &e->id); break;
    case SYNC_REFUSED:
        TELL(p, on_refused, e->client_seq, pipit_what_of(e->record), &e->user, e->err, e->text);
        break;
    case SYNC_LATER:    TELL(p, on_later, &e->user, e->err, e->text); break;
    case SYNC_RECEIPT:  TELL(p, on_receipt, &receipt); break;
    case SYNC_DEVICE:   TELL(p, on_device, (enum pipit_device_change)e->change, e->device, e->text); break;
    case SYNC_CLOCK:    TELL(p, on_notice, e->text); break;
    case SYNC_ERROR:    on_error(p, e); break;
    case SYNC_SYNCED:
        if (p->events && p->events->on_synced) p->events->on_synced(p->arg);
        break;
    case SYNC_GONE:
        TELL(p, on_gone, &gone);
        break;
    case SYNC_WELCOME: case SYNC_MESSAGE: case SYNC_MOVED: case SYNC_PONG: case SYNC_GOODBYE: break;
    }
}

/* ---- the session ---- */

static int session_open(struct pipit *p)
{
    static const struct online_ops ops = { .on_event = on_event, .on_link = on_link };
    return online_new(p->home, &p->account, &p->url, p->ca_file[0] ? p->ca_file : NULL, &ops, p, &p->online);
}

static void session_close(struct pipit *p)
{
    online_free(p->online);
    p->online = NULL;
}

static int take_up(struct pipit *p)
{
    if (!p->due) return 0;
    p->due = false;
    return online_step(p->online);
}

static int turn(struct pipit *p, int fd, bool *ready, uint64_t until_ms)
{
    int err = take_up(p);
    if (!err) err = online_turn(p->online, fd, ready, until_ms);
    if (!err) err = take_up(p);           /* what callbacks have stored */
    return err ? pipit_fail(p, err, online_why(p->online)) : 0;
}

int pipit_lock(struct pipit *p, const char *name)
{
    char holder[64], why[WHY_MAX];
    uint64_t until = mono_ms() + SHORT_MS_MAX;
    int err;
    while ((err = home_lock(p->home, name, holder)) == ERR_IN_USE) {
        if ((holder[0] && !strstr(holder, ", " ONE_REQUEST)) || mono_ms() >= until) break;
        poll(NULL, 0, LOOK_MS);
    }
    if (err != ERR_IN_USE) return err ? pipit_fail(p, err, NULL) : 0;
    snprintf(why, sizeof why, "another program (%s) has the session of this home", holder);
    return pipit_fail(p, err, why);
}

int pipit_start(struct pipit *p, const char *name)
{
    assert(!p->online);
    int err = pipit_lock(p, name);
    if (err) return err;
    err = session_open(p);
    if (err) {
        home_unlock(p->home);
        return pipit_fail(p, err, NULL);
    }
    p->keeps = true;
    return 0;
}

int pipit_turn(struct pipit *p, int fd, bool *ready_out, uint64_t timeout_ms)
{
    bool ready = false;
    assert(p->keeps);
    int err = turn(p, fd, &ready, timeout_ms == PIPIT_FOREVER ? UINT64_MAX : mono_ms() + timeout_ms);
    if (ready_out) *ready_out = ready;
    return err;
}

int pipit_drain(struct pipit *p)
{
    int err = take_up(p);
    if (!err) err = online_drain(p->online);
    return err ? pipit_fail(p, err, online_why(p->online)) : 0;
}

bool pipit_is_online(const struct pipit *p)
{
    return p->online && online_is_open(p->online);
}

/* The lock is held. */
static int look_with_session(struct pipit *p, look_fn *look, void *arg, uint64_t until)
{
    bool ready;
    int err = session_open(p);
    if (err) return pipit_fail(p, err, NULL);
    err = ERR_AGAIN;
    while (err == ERR_AGAIN && mono_ms() < until) {
        err = turn(p, -1, &ready, until);
        if (!err) err = look(p, arg);
    }
    /* What came meanwhile is stored, and the server is to know it. If that fails what was asked is done all the
     * same. */
    if (err != ERR_AGAIN) online_drain(p->online);
    session_close(p);
    return err;
}

/* What `look` said, which takes what it finds: after a 0 it must not look again. */
static int look_through_others(struct pipit *p, look_fn *look, void *arg, uint64_t until)
{
    char holder[64];
    int err = home_lock(p->home, ONE_REQUEST, holder);
    if (err == ERR_IN_USE) {              /* whoever has the session does it */
        home_wake(p->home);
        poll(NULL, 0, LOOK_MS);
        return look(p, arg);
    }
    if (err) return pipit_fail(p, err, NULL);
    err = look(p, arg);                   /* done just before the lock was given back? */
    if (err == ERR_AGAIN) err = look_with_session(p, look, arg, until);
    home_unlock(p->home);
    return err;
}

int pipit_until(struct pipit *p, look_fn *look, void *arg, uint64_t timeout_ms)
{
    bool ready;
    uint64_t now = mono_ms(), until = timeout_ms > UINT64_MAX - now ? UINT64_MAX : now + timeout_ms;
    int err = look(p, arg);
    while (err == ERR_AGAIN && mono_ms() < until) {
        if (!p->online) {
            err = look_through_others(p, look, arg, until);
            continue;
        }
        err = turn(p, -1, &ready, until);
        if (!err) err = look(p, arg);
    }
    return err == ERR_AGAIN ? pipit_fail(p, ERR_IDLE, "no answer came") : err;
}

/* ---- sending ---- */

/* The body of a text that may be sent. */
static int body_of(struct pipit *p, struct bytes text, struct buf *body)
{
    if (text.len == 0) return pipit_fail(p, ERR_RANGE, "the text is empty");
    if (text.len > TEXT_BYTES_MAX) return pipit_fail(p, ERR_TOO_BIG, "the text is larger than 4096 bytes");
    if (!bytes_is_utf8(text)) return pipit_fail(p, ERR_MALFORMED, "the text is not UTF-8");
    int err = content_text_encode(text, body);
    return err ? pipit_fail(p, err, NULL) : 0;
}
_Static_assert(TEXT_BYTES_MAX == 4096, "body_of() says so");

int pipit_send(struct pipit *p, const struct user_id *to, struct bytes text, uint64_t *number_out)
{
    struct buf body;
    uint64_t number = 0;
    buf_init(&body, BODY_BYTES_MAX);
    int err = body_of(p, text, &body);
    if (!err && (err = home_outbox_add(p->home, to, buf_bytes(&body), wall_ms(), &number))) pipit_fail(p, err, NULL);
    buf_fini(&body);
    if (err) return err;
    p->due = true;
    if (number_out) *number_out = number;
    return 0;
}

struct sent {
    uint64_t number;
    struct msg_id id;
};

static int remember_id(void *arg, const struct message_row *row)
{
    ((struct sent *)arg)->id = row->m.id;
    return 0;
}

static int is_waiting(void *arg, const struct outbox_row *row)
{
    (void)arg;
    (void)row;
    return 0;
}

/* What has become of it: another process may have done it. */
static int look_sent(struct pipit *p, void *arg)
{
    struct sent *s = arg;
    char text[256];
    int refused = 0;
    int err = home_outbox_get(p->home, s->number, is_waiting, NULL);
    if (!err) return ERR_AGAIN;           /* still under way */
    if (err != ERR_NOT_FOUND) return pipit_fail(p, err, NULL);
    err = home_refusal_take(p->home, s->number, &refused, text);
    if (!err) return pipit_fail(p, refused, text);
    if (err != ERR_NOT_FOUND) return pipit_fail(p, err, NULL);
    err = home_message_by_send(p->home, p->account.device, s->number, remember_id, s);
    return err ? pipit_fail(p, err == ERR_NOT_FOUND ? ERR_RANGE : err, "nothing was sent with this number") : 0;
}

int pipit_sent(struct pipit *p, uint64_t number, uint64_t timeout_ms, struct msg_id *id_out)
{
    struct sent s = { .number = number };
    int err = pipit_until(p, look_sent, &s, timeout_ms);
    if (!err) *id_out = s.id;
    return err;
}

/* ---- what came ---- */

struct bytes content_of(const struct msg_message *m)
{
    struct bytes text;
    if (m->kind != KIND_MESSAGE || content_text_decode(m->body, &text) || !bytes_is_utf8(text)) return BYTES_NONE;
    return text.at ? text : bytes_of("", 0);
}

bool pipit_is_told(const struct msg_message *m)
{
    return m->kind <= KIND_TOMBSTONE || m->kind == KIND_DELETE || m->kind == KIND_TIMER;
}

enum pipit_what pipit_what_of(uint64_t kind)
{
    return kind == KIND_DELETE ? PIPIT_DELETES : kind == KIND_TIMER ? PIPIT_SETS_TIMER : PIPIT_SAYS;
}

struct pipit_message pipit_message_of(const struct user_id *self, const struct msg_message *m,
                                      const struct user_id *peer)
{
    struct bytes rest = m->body;
    uint64_t seconds = 0;
    if (m->kind == KIND_TIMER && body_next(&rest, &seconds)) seconds = 0;
    return (struct pipit_message){
        .id = m->id, .conv = m->conv, .peer = *peer, .from = m->from, .device = m->device, .seq = m->seq,
        .time_ms = msg_id_ms(&m->id), .is_own = user_id_equal(&m->from, self),
        .is_deleted = m->kind == KIND_TOMBSTONE, .is_empty = m->body.len == 0,
        .what = pipit_what_of(m->kind), .text = content_of(m),
        .expires_ms = m->expiry_ms, .deleted = m->kind == KIND_DELETE ? m->body : BYTES_NONE, .timer_s = seconds,
    };
}

struct gathering {
    struct pipit *p;
    size_t count, silent_count;
    size_t text_at[PIPIT_NEW_MAX];        /* or what was deleted; in p->texts, which moves as it grows */
    struct msg_id silent[PIPIT_NEW_MAX];  /* keep their place and say nothing: nobody need see them */
};

static int gather(void *arg, const struct message_row *row)
{
    struct gathering *g = arg;
    struct pipit *p = g->p;
    if (!pipit_is_told(&row->m)) {
        if (g->silent_count < PIPIT_NEW_MAX) g->silent[g->silent_count++] = row->m.id;
        return 0;
    }
    if (g->count == PIPIT_NEW_MAX) return ERR_END;    /* the rest stays new */
    p->batch[g->count] = pipit_message_of(&p->account.user, &row->m, &row->peer);
    g->text_at[g->count] = p->texts.len;
    const struct pipit_message *m = &p->batch[g->count++];
    const struct bytes kept = m->what == PIPIT_DELETES ? m->deleted : m->text;
    buf_put(&p->texts, kept.at, kept.len);
    return p->texts.err;
}

int pipit_new(struct pipit *p, const struct pipit_message **messages_out, size_t *count_out)
{
    struct gathering g = { .p = p };
    if (!p->batch) p->batch = calloc(PIPIT_NEW_MAX, sizeof *p->batch);
    if (!p->batch) return pipit_fail(p, ERR_NOMEM, NULL);
    buf_clear(&p->texts);
    int err = home_message_each_fresh(p->home, NULL, gather, &g);
    if (err == ERR_END) err = 0;
    for (size_t i = 0; !err && i < g.silent_count; i++) err = home_message_show(p->home, &g.silent[i]);
    if (err) return pipit_fail(p, err, NULL);
    for (size_t i = 0; i < g.count; i++) {
        struct bytes *text = p->batch[i].what == PIPIT_DELETES ? &p->batch[i].deleted : &p->batch[i].text;
        if (text->at) *text = text->len ? bytes_of(p->texts.at + g.text_at[i], text->len) : bytes_of("", 0);
    }
    *messages_out = p->batch;
    *count_out = g.count;
    return 0;
}

static int seen(struct pipit *p, const struct pipit_message *messages, size_t count, bool read,
                const struct reply *reply, uint64_t *number_out)
{
    struct msg_id ids[PIPIT_NEW_MAX];
    struct conv_id convs[PIPIT_NEW_MAX];
    uint64_t seqs[PIPIT_NEW_MAX];
    size_t conv_count = 0;
    assert(p->keeps && count <= PIPIT_NEW_MAX);
    for (size_t i = 0; i < count; i++) {
        ids[i] = messages[i].id;
        if (!read || messages[i].is_own) continue;
        size_t k = 0;
        while (k < conv_count && !conv_id_equal(&convs[k], &messages[i].conv)) k++;
        if (k == conv_count) convs[conv_count++] = messages[i].conv;
        seqs[k] = messages[i].seq;
    }
    int err = online_answer(p->online, ids, count, convs, seqs, conv_count, reply, number_out);
    return err ? pipit_fail(p, err, NULL) : 0;
}

int pipit_seen(struct pipit *p, const struct pipit_message *messages, size_t count, bool read)
{
    return seen(p, messages, count, read, NULL, NULL);
}

int pipit_answer(struct pipit *p, const struct pipit_message *message, struct bytes text, uint64_t *number_out)
{
    struct buf body;
    uint64_t number = 0;
    buf_init(&body, BODY_BYTES_MAX);
    int err = body_of(p, text, &body);
    const struct reply reply = { &message->peer, buf_bytes(&body) };
    if (!err) err = seen(p, message, 1, true, &reply, &number);
    buf_fini(&body);
    if (!err && number_out) *number_out = number;
    return err;
}
