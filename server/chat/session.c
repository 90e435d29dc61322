/* session.c - the life of a session: HELLO, frames in, answers out, heartbeat, end.
 *
 * Everything a session causes elsewhere is an ask; asks hold it. What it is sent of messages and receipts goes through
 * behind.c. This file knows neither. */
#include "server/chat/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "server/chat/state.h"

#define BIT(n) (1u << (n))

static const uint8_t session_may[] = {
    [SESSION_HELLO]  = BIT(SESSION_OPEN) | BIT(SESSION_CLOSED),
    [SESSION_OPEN]   = BIT(SESSION_CLOSED),
    [SESSION_CLOSED] = 0,
};

static void session_enter(struct session *s, enum session_state state)
{
    assert(session_may[s->state] & BIT(state));
    s->state = (uint8_t)state;
}

/* -- asks ------------------------------------------------------------------------------------------------- */

struct ask *ask_new(enum ask_kind kind, struct bytes body)
{
    struct ask *ask = calloc(1, sizeof *ask + body.len);
    if (!ask) return NULL;
    ask->kind = (uint8_t)kind;
    ask->body_len = (uint32_t)body.len;
    if (body.len) memcpy(ask->body, body.at, body.len);
    return ask;
}

void ask_free(struct ask *ask)
{
    if (!ask) return;
    if (ask->kind == ASK_FETCH) page_free(ask->u.fetch.page);
    if (ask->kind == ASK_HISTORY) frame_unref(ask->u.history.frame);
    if (ask->kind == ASK_INFO) frame_unref(ask->u.info.frame);
    if (ask->kind == ASK_MARKS) free(ask->u.marks.list);
    if (ask->kind == ASK_HEADS) {
        free(ask->u.heads.rows);
        scan_unref(ask->u.heads.scan);
    }
    free(ask);
}

void session_hold(struct session *s)
{
    s->holds++;
}

void session_release(struct session *s)
{
    assert(s->holds > 0);
    if (--s->holds == 0 && s->state == SESSION_CLOSED) free(s);
}

static bool ask_send(struct chat *chat, struct ask *ask)
{
    struct parcel parcel = { .kind = PARCEL_ASK, .u.ask = ask };
    uint16_t home = shard_of_conv(chat->shard->house, &ask->conv);
    if (ask->kind == ASK_HEADS) home = ask->u.heads.rows[0]->home;
    return shard_request(chat->shard, home, &parcel);
}

void session_count_in(struct session *s)
{
    s->asks++;
    if (s->asks < SESSION_ASKS_HIGH || s->paused || !s->conn) return;
    s->paused = true;
    conn_pause(s->conn);
}

void session_count_out(struct session *s)
{
    s->asks--;
    if (!s->paused || s->asks > SESSION_ASKS_HIGH / 2 || !s->conn) return;
    s->paused = false;
    conn_resume(s->conn);
}

void session_ask(struct session *s, struct ask *ask)
{
    struct chat *chat = s->chat;
    ask->origin = chat->shard->id;
    ask->session = s;
    ask->session_number = s->number;
    ask->user = s->user_id;
    ask->device = s->device;
    session_hold(s);
    session_count_in(s);
    /* What waits already goes first: the order of a device's requests is kept. */
    if (!s->wait && ask_send(chat, ask)) return;
    DL_APPEND(s->wait, ask);
    if (!s->in_waiting) {
        s->in_waiting = true;
        DL_APPEND2(chat->waiting, s, wait_prev, wait_next);
    }
}

static void session_asks_retry(struct chat *chat)
{
    struct session *s, *tmp;
    DL_FOREACH_SAFE2(chat->waiting, s, tmp, wait_next) {
        while (s->wait) {
            struct ask *ask = s->wait;
            if (!ask_send(chat, ask)) return;     /* that home has no credit: later, in this order */
            DL_DELETE(s->wait, ask);
        }
        s->in_waiting = false;
        DL_DELETE2(chat->waiting, s, wait_prev, wait_next);
    }
}

void sessions_retry(struct chat *chat)
{
    session_asks_retry(chat);
    struct session *s, *tmp, *list = chat->behind;
    chat->behind = NULL;
    DL_FOREACH_SAFE2(list, s, tmp, behind_next) {
        DL_DELETE2(list, s, behind_prev, behind_next);
        s->in_behind = false;
        session_step(s);                          /* puts it back when it still cannot go on */
    }
}

void session_step_later(struct session *s)
{
    chat_retry_later(s->chat);
    if (s->in_behind) return;
    s->in_behind = true;
    DL_APPEND2(s->chat->behind, s, behind_prev, behind_next);
}

void session_step(struct session *s)
{
    if (s->state != SESSION_OPEN) return;
    bool waits = behind_step(s->behind);
    catchup_count_page(s);
    if (waits) session_step_later(s);
}

void session_on_answer(struct chat *chat, struct ask *ask)
{
    struct session *s = ask->session;
    session_count_out(s);
    if (ask->kind == ASK_FETCH) {
        catchup_on_fetched(s, ask);
    } else if (ask->kind == ASK_HEADS) {
        catchup_on_heads(s, ask);
    } else if (s->state == SESSION_OPEN) {
        if (ask->err) {
            session_error(s, ask->has_ref, ask->ref, ask->err, ask->why);
        } else if (ask->kind == ASK_SEND) {
            on_send_answer(s, ask);
        } else if (ask->kind == ASK_HISTORY) {
            conn_write(s->conn, ask->u.history.frame);
        } else if (ask->kind == ASK_INFO) {
            conn_write(s->conn, ask->u.info.frame);
        }
    }
    ask_free(ask);
    session_release(s);
    if (chat->waiting) session_asks_retry(chat);
    if (chat->shard->errands) errands_retry(chat->shard);
}

/* -- frames ----------------------------------------------------------------------------------------------- */

static bool send_msg(struct session *s, const struct msg *msg)
{
    struct buf *b = &s->chat->scratch;
    buf_clear(b);
    int err = msg_encode(msg, b);
    assert(err == 0 || err == ERR_NOMEM);         /* what the server says always fits a frame */
    struct frame *frame = err ? NULL : frame_ws(buf_bytes(b));
    if (!frame) return false;
    conn_write(s->conn, frame);
    frame_unref(frame);
    return true;
}

void session_send(struct session *s, const struct msg *msg)
{
    /* Out of memory: conn_close() tells us later, so that this may be called from inside behind.c. */
    if (s->conn && !send_msg(s, msg)) conn_close(s->conn, ERR_BUSY);
}

static struct msg error_msg(enum msg_type type, bool has_ref, uint64_t ref, int err, const char *why)
{
    struct msg m = { .type = type, .has_ref = has_ref, .ref = ref };
    const char *text = why ? why : err_text(err);
    if (type == MSG_GOODBYE) {
        m.u.goodbye.code = (uint64_t)-err;
        m.u.goodbye.text = bytes_of_str(text);
    } else {
        m.u.error.code = (uint64_t)-err;
        m.u.error.name = bytes_of_str(err_name(err));
        m.u.error.text = bytes_of_str(text);
        m.u.error.again = err_may_retry(err);
        if (err == ERR_NO_ROOM) m.u.error.again_in_ms = NO_ROOM_AGAIN_MS;
    }
    return m;
}

void session_error(struct session *s, bool has_ref, uint64_t ref, int err, const char *why)
{
    struct msg m = error_msg(MSG_ERROR, has_ref, ref, err, why);
    STAT_ADD(&s->chat->shard->stats, frames_refused, 1);
    session_send(s, &m);
}

void session_on_frame(struct session *s, struct bytes bytes)
{
    struct msg msg;
    const char *why = NULL;
    int err = msg_decode(bytes, &msg, &why);
    if (err) {
        session_error(s, msg.has_ref, msg.ref, err, why);
        return;
    }
    dispatch(s, &msg);
}

/* -- HELLO ------------------------------------------------------------------------------------------------- */

struct hello {                    /* the job that compares the token */
    struct work work;
    struct session *session;      /* held */
    struct user_id user;
    struct device_id device;
    uint8_t token_hash[SECRET_HASH_BYTES];
    struct device_row row;
    bool again;                   /* rows changed meanwhile: what was read may not hold any more */
    struct hello *prev, *next;    /* chat->hellos */
};

static void hello_run(struct work *work, void *context)
{
    struct hello *h = (struct hello *)work;
    struct job_reader *reader = context;
    work->err = account_check_device(reader->facts, &h->user, h->device, h->token_hash, &h->row);
}

static struct session *user_session(struct user *user, struct device_id device)
{
    struct session *s;
    DL_FOREACH2(user->sessions, s, user_next) {
        if (s->device.v == device.v) return s;
    }
    return NULL;
}

static void session_heartbeat(struct timeout *t)
{
    struct session *s = (struct session *)((char *)t - offsetof(struct session, heartbeat));
    struct chat *chat = s->chat;
    uint64_t interval = s->heartbeat_ms;
    size_t waiting = conn_waiting_bytes(s->conn);
    /* The kernel had no room for these and has some now: the peer reads, if slowly. */
    if (s->waiting_bytes && waiting != s->waiting_bytes) s->moved_ms = chat->shard->now_ms;
    s->waiting_bytes = waiting;
    uint64_t heard_ms = conn_heard_ms(s->conn);
    uint64_t silent_ms = chat->shard->now_ms - (heard_ms > s->moved_ms ? heard_ms : s->moved_ms);
    if (silent_ms >= interval * HEARTBEATS_MISSED_MAX) {
        STAT_ADD(&chat->shard->stats, heartbeats_missed, 1);
        session_close(s, ERR_IDLE);
        return;
    }
    if (silent_ms >= interval / 2) conn_ping(s->conn);
    wheel_set(&chat->shard->wheel, t, interval);
}

static void session_welcome(struct session *s, const struct device_row *row)
{
    struct chat *chat = s->chat;
    struct msg m = { .type = MSG_WELCOME, .has_ref = s->has_ref, .ref = s->ref };
    struct msg_welcome *w = &m.u.welcome;
    w->now_ms = chat->shard->wall_ms;
    w->heartbeat_ms = s->heartbeat_ms;
    memcpy(w->generation, chat->config->store->node.generation, sizeof w->generation);
    w->client_seq_max = s->client_seq_max;
    w->list_version = row->list_version;
    w->server = bytes_of_str(chat->config->name);
    w->frame_bytes_max = FRAME_BYTES_MAX;
    w->body_bytes_max = BODY_BYTES_MAX;
    w->text_bytes_max = TEXT_BYTES_MAX;
    w->window_messages_max = WINDOW_MESSAGES_MAX;
    w->window_bytes_max = WINDOW_BYTES_MAX;
    w->page_records_max = PAGE_RECORDS_MAX;
    w->unsettled_max = REPEATS_MAX;
    session_send(s, &m);
}

/* Devices come and go by the thousand, and that is no news. What went wrong is. */
static enum say_level level_of_end(int err)
{
    switch (err) {
    case 0: case ERR_PEER: case ERR_IDLE: case ERR_GOING: case ERR_REPLACED: return SAY_DEBUG;
    default: return SAY_INFO;
    }
}

static void session_say(const struct session *s, enum say_level level, const char *event, int err)
{
    char device[DEVICE_ID_TEXT];
    if (!say_wants(level)) return;
    device_id_print(s->device, device);
    say(level, event, SAY_CONN(conn_id(s->conn)), SAY_TEXT("peer", conn_peer(s->conn)), SAY_TEXT("user", s->user_id.v),
        SAY_TEXT("device", device), SAY_TEXT("why", err ? err_name(err) : "ok"));
}

static int session_open(struct session *s, const struct device_row *row)
{
    struct chat *chat = s->chat;
    struct user *user = user_find(chat, &s->user_id);
    if (user) {
        struct session *old = user_session(user, s->device);
        if (old) session_close(old, ERR_REPLACED);
        user = user_find(chat, &s->user_id);      /* it went with its last session */
    }
    s->behind = behind_new(&catchup_ops, s);
    if (!s->behind) return ERR_BUSY;
    if (!user) {
        user = calloc(1, sizeof *user);
        if (!user) return ERR_BUSY;
        user->id = s->user_id;
        HASH_ADD(hh, chat->users, id, sizeof user->id, user);
    }
    s->client_seq_max = row->client_seq_max;
    s->live_ms = row->live_ms;
    s->since_ms = row->since_ms;
    /* A session that just ended may know more than the facts do yet. */
    struct parting *p;
    DL_FOREACH(chat->partings, p) {
        if (p->device.v != s->device.v || !user_id_equal(&p->user, &s->user_id)) continue;
        if (p->client_seq_max > s->client_seq_max) s->client_seq_max = p->client_seq_max;
    }
    session_enter(s, SESSION_OPEN);
    s->user = user;
    DL_APPEND2(user->sessions, s, user_prev, user_next);
    STAT_ADD(&chat->shard->stats, sessions, 1);
    wheel_set(&chat->shard->wheel, &s->heartbeat, s->heartbeat_ms);
    session_say(s, SAY_DEBUG, "session_opened", 0);
    conn_resume(s->conn);
    session_welcome(s, row);
    /* Registered first, then the scan: what is committed in between comes live or is left to the scan. */
    behind_start(s->behind);
    session_step(s);
    return 0;
}

void hellos_again(struct chat *chat, const struct user_id *user)
{
    struct hello *h;
    DL_FOREACH(chat->hellos, h) {
        if (user_id_equal(&h->user, user)) h->again = true;
    }
}

static void hello_done(struct shard *shard, struct work *work)
{
    struct hello *h = (struct hello *)work;
    struct session *s = h->session;
    int err = work->err;
    if (h->again && s->state == SESSION_HELLO) {
        h->again = false;
        if (worker_submit(s->chat->config->jobs, shard, work)) return;
        err = ERR_BUSY;
    }
    DL_DELETE(s->chat->hellos, h);
    if (s->state == SESSION_HELLO) {
        if (!err) err = session_open(s, &h->row);
        if (err) {
            if (err == ERR_IO || err == ERR_CORRUPT || err == ERR_NOMEM) err = ERR_STORAGE;
            STAT_ADD(&shard->stats, hellos_refused, 1);
            session_error(s, s->has_ref, s->ref, err, NULL);
            session_close(s, err);
        }
    }
    free(h);
    session_release(s);
}

void session_hello(struct chat *chat, struct conn *conn, const struct msg *msg)
{
    const struct msg_hello *m = &msg->u.hello;
    struct session *s = calloc(1, sizeof *s);
    struct hello *h = calloc(1, sizeof *h);
    if (!s || !h) {
        free(s);
        free(h);
        conn_close(conn, ERR_BUSY);
        return;
    }
    *s = (struct session){ .owner_kind = OWNER_SESSION, .state = SESSION_HELLO, .chat = chat, .conn = conn,
                           .user_id = m->user, .device = m->device, .has_ref = msg->has_ref, .ref = msg->ref,
                           .heartbeat_ms = chat->settings.heartbeat_ms };
    s->heartbeat.fire = session_heartbeat;
    s->number = ++chat->session_numbers;
    conn_set_owner(conn, s);
    DL_APPEND(chat->sessions, s);

    h->work.run = hello_run;
    h->work.done = hello_done;
    h->session = s;
    h->user = m->user;
    h->device = m->device;
    account_secret_hash(m->token, h->token_hash);
    DL_APPEND(chat->hellos, h);
    session_hold(s);
    conn_pause(conn);                             /* frames behind HELLO wait for its answer */
    int err = m->version != PROTOCOL_VERSION ? ERR_VERSION : chat->stopping ? ERR_GOING : 0;
    if (!err && worker_submit(chat->config->jobs, chat->shard, &h->work)) return;
    h->work.err = err ? err : ERR_BUSY;
    hello_done(chat->shard, &h->work);
}

/* -- the end ------------------------------------------------------------------------------------------------ */

static int parting_rows(struct clerk_work *w, struct facts *facts)
{
    struct parting *p = (struct parting *)w;
    return facts_device_seen(facts, &p->user, p->device, p->live_ms, p->seen_ms, p->client_seq_max);
}

static void parting_done(struct shard *shard, struct work *work)
{
    struct parting *p = (struct parting *)work;
    struct chat *chat = chat_of(shard);
    p->under_way = false;
    if (work->err == ERR_NO_SPACE) {              /* said again when there is room */
        chat_retry_later(chat);
        return;
    }
    DL_DELETE(chat->partings, p);
    free(p);
}

void partings_retry(struct chat *chat)
{
    struct parting *p;
    DL_FOREACH(chat->partings, p) {
        if (p->under_way) continue;
        p->under_way = clerk_submit(chat, &p->work);
        if (!p->under_way) {
            chat_retry_later(chat);
            return;
        }
    }
}

static void session_part(struct session *s)
{
    struct chat *chat = s->chat;
    struct parting *p = calloc(1, sizeof *p);
    if (!p) return;                               /* it costs only repeats: cursor news are told again */
    uint64_t slack = LIVE_SLACK_HEARTBEATS * s->heartbeat_ms;
    uint64_t silent = chat->shard->now_ms - conn_heard_ms(s->conn);
    uint64_t live = chat->shard->wall_ms;
    struct behind_view view;
    behind_look(s->behind, &view);
    /* Cursor news that it is still owed are told next time: then it was not live for them. */
    bool all_told = view.synced && !view.scanning && view.set == 0;
    p->live_ms = all_told && live > slack + silent ? live - slack - silent : 0;
    p->seen_ms = live > silent ? live - silent : 0;
    p->client_seq_max = s->client_seq_max;
    p->user = s->user_id;
    p->device = s->device;
    p->chat = chat;
    p->work.rows = parting_rows;
    p->work.work.done = parting_done;
    DL_APPEND(chat->partings, p);
    partings_retry(chat);
}

/* Out of every list; the memory stays while asks hold it. */
static void session_end(struct session *s, int err)
{
    struct chat *chat = s->chat;
    if (s->state == SESSION_CLOSED) return;
    session_say(s, level_of_end(err), s->state == SESSION_OPEN ? "session_closed" : "hello_refused", err);
    if (s->state == SESSION_OPEN) {
        session_part(s);
        DL_DELETE2(s->user->sessions, s, user_prev, user_next);
        if (!s->user->sessions) {
            HASH_DEL(chat->users, s->user);
            free(s->user);
        }
        s->user = NULL;
        wheel_cancel(&chat->shard->wheel, &s->heartbeat);
        catchup_stop(s);
        STAT_SUB(&chat->shard->stats, sessions, 1);
    }
    if (s->in_behind) DL_DELETE2(chat->behind, s, behind_prev, behind_next);
    if (s->in_waiting) DL_DELETE2(chat->waiting, s, wait_prev, wait_next);
    s->in_behind = s->in_waiting = false;
    session_enter(s, SESSION_CLOSED);
    behind_free(s->behind);
    s->behind = NULL;
    DL_DELETE(chat->sessions, s);
    conn_set_owner(s->conn, NULL);
    s->conn = NULL;
    session_hold(s);                              /* the loop below may let go of the last other hold */
    while (s->wait) {
        struct ask *ask = s->wait;
        DL_DELETE(s->wait, ask);
        ask_free(ask);
        s->asks--;
        session_release(s);
    }
    session_release(s);
}

void session_close(struct session *s, int err)
{
    if (s->state == SESSION_CLOSED) return;
    struct conn *conn = s->conn;
    if (s->state == SESSION_OPEN) {
        struct msg m = error_msg(MSG_GOODBYE, false, 0, err, NULL);
        (void)send_msg(s, &m);                    /* with no memory for a last word the close code must do */
    }
    session_end(s, err);
    conn_close(conn, err);
}

void session_on_closed(struct session *s, int err)
{
    session_end(s, err);
}

struct user *user_find(struct chat *chat, const struct user_id *id)
{
    struct user *user;
    HASH_FIND(hh, chat->users, id, sizeof *id, user);
    return user;
}
