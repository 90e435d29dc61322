/* conn.c - the life of a connection: input, state, end.
 *
 * Input is interpreted where it is read, out of the shard's one buffer, as far as the state allows; what it does not
 * allow yet (the next request before this one's answer, a paused session, a full queue) is kept in `in`, and reading
 * stops until that is gone. So at most one read buffer is held (with TLS what it decrypts to, a record more), and only by
 * those who are held back.
 *
 * The end has one path. Whoever wants it calls conn_close() or conn_fail(), which only enter CLOSING; the turn's flush
 * writes what is queued, sends our FIN, and reads until the peer's (closing a socket with bytes unread makes the kernel
 * reset it, and the peer may lose our last words), for net_settings.linger_ms at most. Then the handle is closed, and
 * its callback tells on_closed and frees. Nothing but that callback frees, so any function here may hold a conn. */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/wsframe.h"
#include "server/net/inside.h"

enum {
    WS_REASON_BYTES_MAX = 123,          /* what is left of a control frame behind the code */
    WS_SHORT_HEADER = 2,
};

#define BIT(n) (1u << (n))

/* conn_enter() asserts against it. MOVING ends in WS on the other shard, or in CLOSING before the handle is let go, or,
 * without a handle, in GONE at once. */
static const uint8_t conn_may[] = {
    [CONN_HTTP]    = BIT(CONN_WS) | BIT(CONN_CLOSING),
    [CONN_WS]      = BIT(CONN_MOVING) | BIT(CONN_CLOSING),
    [CONN_MOVING]  = BIT(CONN_WS) | BIT(CONN_CLOSING) | BIT(CONN_GONE),
    [CONN_CLOSING] = BIT(CONN_GONE),
    [CONN_GONE]    = 0,
};

void conn_enter(struct conn *c, enum conn_state state)
{
    assert(conn_may[c->state] & BIT(state));
    c->state = (uint8_t)state;
}

static bool conn_is_ending(const struct conn *c)
{
    return c->state == CONN_CLOSING || c->state == CONN_GONE;
}

static bool conn_has_left(const struct conn *c)
{
    return c->state == CONN_MOVING && c->move->fd >= 0;
}

static struct wheel *conn_wheel(const struct conn *c)
{
    return &c->net->shard->wheel;
}

void conn_mark_dirty(struct conn *c)
{
    if (c->is_dirty || c->state == CONN_GONE || conn_has_left(c)) return;
    c->is_dirty = true;
    STAILQ_INSERT_TAIL(&c->net->dirty, c, dirty);
}

/* -- ends -- */

static void conn_end(struct conn *c, int err)
{
    if (c->state == CONN_MOVING) {      /* not yet let go: stay, and end here */
        free(c->move);
        c->move = NULL;
    }
    conn_enter(c, CONN_CLOSING);
    c->err = (int16_t)err;
    wheel_set(conn_wheel(c), &c->timer, c->net->config.settings.linger_ms);
    conn_mark_dirty(c);
}

void conn_fail(struct conn *c, int err)
{
    if (c->state == CONN_GONE) return;
    if (c->state != CONN_CLOSING) conn_end(c, err);
    c->hard = true;
    conn_mark_dirty(c);
}

static struct frame *control_frame(enum wsframe_opcode opcode, struct bytes payload)
{
    struct frame *f = frame_new(WS_SHORT_HEADER + payload.len);
    if (!f) return NULL;
    wsframe_header(f->at, opcode, payload.len);
    if (payload.len) memcpy(f->at + WS_SHORT_HEADER, payload.at, payload.len);
    return f;
}

static void conn_push_close(struct conn *c, uint16_t code, const char *reason)
{
    uint8_t payload[2 + WS_REASON_BYTES_MAX];
    size_t len = strlen(reason);
    if (len > WS_REASON_BYTES_MAX) len = WS_REASON_BYTES_MAX;
    put_u16(payload, code);
    memcpy(payload + 2, reason, len);
    struct frame *f = control_frame(WSFRAME_CLOSE, bytes_of(payload, 2 + len));
    if (f) (void)out_push(c, f);        /* without memory the end comes without a word */
    frame_unref(f);
}

static void conn_close_with(struct conn *c, int err, uint16_t code, const char *reason)
{
    if (c->state == CONN_WS || c->state == CONN_MOVING) {
        if (err == ERR_SLOW) out_drop(c);
        frame_unref(c->pong);           /* nothing may follow a close frame */
        c->pong = NULL;
        conn_push_close(c, code, reason);
    }
    conn_end(c, err);
}

void conn_close(struct conn *c, int err)
{
    assert(shard_is_current(c->net->shard));
    if (conn_is_ending(c)) return;
    assert(!conn_has_left(c));
    conn_close_with(c, err, (uint16_t)err_close_code(err), err == 0 ? "" : err_text(err));
}

/* Nothing is read of it, so its end is not seen by reading. Only one of which nothing has been read for a while is
 * given up with what it sent last: a moment earlier it may just be about to go on. */
static void conn_look_for_end(struct conn *c)
{
    shard_read_clock(c->net->shard);
    bool held_long = c->net->shard->now_ms - c->heard_ms >= CONN_HELD_MS;
    if (held_long && sock_has_ended(c->sock)) conn_fail(c, ERR_PEER);
    else wheel_set(conn_wheel(c), &c->timer, CONN_HELD_MS);
}

static void conn_on_timer(struct timeout *t)
{
    struct conn *c = (struct conn *)((char *)t - offsetof(struct conn, timer));
    switch ((enum conn_state)c->state) {
    case CONN_HTTP:
        answer_timeout(c);
        break;
    case CONN_WS:
        if (c->heard_message && !c->sock->reading) conn_look_for_end(c);
        else if (!c->heard_message || c->ws) conn_close(c, ERR_IDLE);
        break;
    case CONN_CLOSING:
        c->hard = true;
        conn_mark_dirty(c);
        break;
    case CONN_MOVING:
    case CONN_GONE:
        assert(!"a timer in a state that has none");
    }
}

/* -- input -- */

/* May one more request or message be taken? */
static bool conn_may_take(const struct conn *c)
{
    if (c->paused) return false;
    switch ((enum conn_state)c->state) {
    case CONN_HTTP:
        return !c->answering && c->out_count < CONN_IOV_MAX;
    case CONN_WS:
        return c->out_bytes < CONN_OUT_HIGH && c->out_count < CONN_OUT_FRAMES_HIGH;
    case CONN_MOVING:
    case CONN_CLOSING:
    case CONN_GONE:
        break;
    }
    return false;
}

static bool conn_on_ws_message(void *arg, struct bytes message, bool binary)
{
    struct conn *c = arg;
    STAT_ADD(&c->net->shard->stats, frames_in, 1);
    if (!c->heard_message) wheel_cancel(conn_wheel(c), &c->timer);
    c->heard_message = c->message_ended = true;
    c->binary = binary;
    c->net->config.events->on_message(c, message, binary);
    return conn_may_take(c);
}

static void conn_on_ws_ping(void *arg, struct bytes payload)
{
    struct conn *c = arg;
    if (c->state != CONN_WS) return;
    /* Only the last of several pings needs its pong (RFC 6455, section 5.5.3): who pings without reading costs us one
     * small frame. */
    struct frame *pong = control_frame(WSFRAME_PONG, payload);
    if (!pong) return;
    frame_unref(c->pong);
    c->pong = pong;
    conn_mark_dirty(c);
}

static void conn_on_ws_close(void *arg, uint16_t code)
{
    struct conn *c = arg;
    if (!conn_is_ending(c)) conn_close_with(c, ERR_PEER, code ? code : WS_CODE_NORMAL, "");
}

static const struct ws_events conn_ws_events = {
    .on_message = conn_on_ws_message,
    .on_ping = conn_on_ws_ping,
    .on_close = conn_on_ws_close,
};

/* What breaks RFC 6455 gets its codes; those of our own errors (4000 and up) are for what breaks the protocol above. */
static void conn_fail_ws(struct conn *c, const struct ws *ws, int err)
{
    const char *text;
    if (conn_is_ending(c)) return;
    if (err == ERR_NOMEM) {
        conn_close(c, err);
    } else {
        enum ws_code code = ws_code(ws, &text);
        conn_close_with(c, err, (uint16_t)code, text);
    }
}

/* The first message has a time of its own, from the upgrade on. */
static void conn_time_message(struct conn *c, bool was_under_way)
{
    if (c->state != CONN_WS || !c->heard_message) return;
    if (!c->ws) wheel_cancel(conn_wheel(c), &c->timer);
    else if (!was_under_way || c->message_ended)
        wheel_set(conn_wheel(c), &c->timer, c->net->config.settings.message_ms);
}

/* A connection between two messages has no parser; it borrows the shard's, and keeps it only with part of a message in
 * it. */
static size_t conn_feed_ws(struct conn *c, struct bytes in)
{
    struct net *net = c->net;
    bool was_under_way = c->ws;
    struct ws *ws = c->ws ? c->ws : net->ws_spare;
    if (c->ws) c->ws = NULL;
    else net->ws_spare = NULL;
    if (!ws && ws_new(FRAME_BYTES_MAX, &ws) != 0) {
        conn_fail(c, ERR_NOMEM);
        return in.len;
    }
    size_t used;
    c->message_ended = false;
    int err = ws_feed(ws, &conn_ws_events, c, in, &used);
    if (err && err != ERR_PEER) conn_fail_ws(c, ws, err);
    if (!ws_is_spent(ws) && !ws_is_clean(ws)) {
        c->ws = ws;
    } else if (!ws_is_spent(ws) && !net->ws_spare) {
        net->ws_spare = ws;
    } else {
        ws_free(ws);
    }
    conn_time_message(c, was_under_way);
    return used;
}

static size_t conn_interpret(struct conn *c, struct bytes in)
{
    size_t used = 0;
    while (used < in.len && conn_may_take(c)) {
        struct bytes rest = bytes_of(in.at + used, in.len - used);
        used += c->state == CONN_HTTP ? answer_feed(c, rest) : conn_feed_ws(c, rest);
    }
    return used;
}

static void conn_drop_input(struct conn *c)
{
    free(c->in);
    c->in = NULL;
    c->in_at = c->in_len = 0;
}

bool conn_has_input(const struct conn *c)
{
    return c->in && conn_may_take(c);
}

void conn_take_input(struct conn *c)
{
    c->in_at += (uint32_t)conn_interpret(c, bytes_of(c->in + c->in_at, c->in_len - c->in_at));
    if (c->in_at == c->in_len) conn_drop_input(c);
}

static void conn_update_reading(struct conn *c)
{
    /* While closing, what comes is thrown away, but the end of it must be seen. */
    bool want = c->state == CONN_CLOSING ? !c->eof : !c->in && conn_may_take(c);
    if (c->state == CONN_WS && c->heard_message && want != c->sock->reading) {
        /* A message under way has its time anew when we have held it back. */
        if (want && c->ws) wheel_set(conn_wheel(c), &c->timer, c->net->config.settings.message_ms);
        else if (!want && !timeout_is_set(&c->timer)) wheel_set(conn_wheel(c), &c->timer, CONN_HELD_MS);
    }
    if (want && c->said_end) {
        c->said_end = false;
        sock_read(c->sock, false);
        conn_on_read_end(c, ERR_END);
        return;
    }
    sock_read(c->sock, want);
}

void conn_on_input(struct conn *c, struct bytes in)
{
    STAT_ADD(&c->net->shard->stats, bytes_in, in.len);
    shard_read_clock(c->net->shard);    /* the turn's may be as old as the sleep was long */
    c->heard_ms = c->net->shard->now_ms;
    if (conn_is_ending(c)) return;
    assert(!c->in);
    size_t used = conn_interpret(c, in);
    size_t left = in.len - used;
    if (left && !conn_is_ending(c)) {
        c->in = malloc(left);
        if (c->in) {
            memcpy(c->in, in.at + used, left);
            c->in_at = 0;
            c->in_len = (uint32_t)left;
            conn_mark_dirty(c);
        } else {
            conn_fail(c, ERR_NOMEM);
        }
    }
    conn_update_reading(c);
}

void conn_on_read_end(struct conn *c, int err)
{
    if (err == ERR_END) c->eof = true;
    if (c->state == CONN_CLOSING) {
        if (err != ERR_END) c->hard = true;
        conn_mark_dirty(c);
    } else if (err == ERR_END && c->state == CONN_HTTP) {
        conn_end(c, ERR_PEER);          /* it may have closed its side only, and wait for our answers */
    } else {
        conn_fail(c, err == ERR_END ? ERR_PEER : err);
    }
}

/* -- output -- */

void conn_write(struct conn *c, struct frame *frame)
{
    assert(shard_is_current(c->net->shard));
    if (c->state != CONN_WS) return;
    if (c->out_count >= CONN_OUT_FRAMES_MAX) {
        STAT_ADD(&c->net->shard->stats, slow_closed, 1);
        conn_close(c, ERR_SLOW);
        return;
    }
    if (out_push(c, frame) != 0) {
        conn_fail(c, ERR_NOMEM);
        return;
    }
    STAT_ADD(&c->net->shard->stats, frames_out, 1);
    conn_mark_dirty(c);
}

void conn_ping(struct conn *c)
{
    conn_write(c, c->net->ping);
}

void conn_on_written(struct conn *c, int err)
{
    if (err) {
        c->writing = 0;                 /* the frames stay in the queue, for out_free() */
        conn_fail(c, err);
    } else {
        out_written(c);
        conn_mark_dirty(c);
    }
}

static void conn_flush_closing(struct conn *c, bool all_taken)
{
    http_free(c->http);
    ws_free(c->ws);
    c->http = NULL;
    c->ws = NULL;
    conn_drop_input(c);
    /* A stopping server waits for nobody: what is written is the kernel's now. */
    if (c->hard || (all_taken && (c->eof || c->err == ERR_GOING))) {
        conn_enter(c, CONN_GONE);
        wheel_cancel(conn_wheel(c), &c->timer);
        sock_close(c->sock);
        return;
    }
    if (all_taken && !c->shut) {
        c->shut = true;
        sock_shutdown(c->sock);
    }
    conn_update_reading(c);
}

void conn_flush(struct conn *c)
{
    if (c->state == CONN_MOVING) {
        if (!c->writing) handoff_begin(c);      /* what is queued travels with it */
        return;
    }
    int err = c->hard ? 0 : out_flush(c);
    if (err && err != ERR_AGAIN) {
        conn_fail(c, err);              /* comes again in the next turn, to be closed */
        return;
    }
    if (err) c->blocked = true;
    if (c->state == CONN_CLOSING) {
        conn_flush_closing(c, err == 0);
        return;
    }
    conn_update_reading(c);
    if (err || !c->blocked) return;
    c->blocked = false;
    /* Last, since its owner may write or close here: that is for the next turn. */
    if (c->state == CONN_WS) c->net->config.events->on_drained(c);
}

/* -- birth and death -- */

struct conn *conn_new(struct net *net)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->net = net;
    c->state = CONN_HTTP;
    c->id = net->next_id++;
    c->heard_ms = net->shard->now_ms;
    c->timer.fire = conn_on_timer;
    return c;
}

void conn_start(struct conn *c, struct sock *s)
{
    struct net *net = c->net;
    c->sock = s;
    s->conn = c;
    TAILQ_INSERT_TAIL(&net->conns, c, all);
    if (c->refused) {
        net->refused_count++;
    } else {
        net->conns_count++;
        STAT_ADD(&net->shard->stats, conns, 1);
    }
    conn_mark_dirty(c);                 /* the flush begins to read, or to write */
}

/* The counterpart of conn_start(): out of net's list, when its handle is closed. */
static void conn_leave_net(struct conn *c)
{
    struct net *net = c->net;
    c->sock = NULL;
    TAILQ_REMOVE(&net->conns, c, all);
    addr_remove(net, c);
    if (c->refused) {
        net->refused_count--;
    } else {
        net->conns_count--;
        STAT_SUB(&net->shard->stats, conns, 1);
    }
}

void conn_on_sock_closed(struct conn *c)
{
    conn_leave_net(c);
    if (c->state == CONN_MOVING) {
        handoff_leave(c);
        return;
    }
    assert(c->state == CONN_GONE && !c->is_dirty);
    say(SAY_DEBUG, "conn_closed", SAY_CONN(c->id), SAY_TEXT("peer", c->peer),
        SAY_TEXT("why", c->err ? err_name(c->err) : "ok"));
    if (!c->refused) c->net->config.events->on_closed(c, c->err);
    conn_free(c);
}

void conn_free(struct conn *c)
{
    http_free(c->http);
    ws_free(c->ws);
    tls_free(c->tls);
    free(c->in);
    free(c->move);
    out_free(c);
    free(c);
}

/* -- what owners ask -- */

void conn_set_owner(struct conn *c, void *owner)
{
    c->owner = owner;
}

void *conn_owner(const struct conn *c)
{
    return c->owner;
}

struct shard *conn_shard(const struct conn *c)
{
    return c->net->shard;
}

uint64_t conn_id(const struct conn *c)
{
    return c->id;
}

const char *conn_peer(const struct conn *c)
{
    return c->peer;
}

uint64_t conn_heard_ms(const struct conn *c)
{
    return c->heard_ms;
}

size_t conn_waiting_bytes(const struct conn *c)
{
    return c->sock ? sock_waiting_bytes(c->sock) : 0;
}

bool conn_is_drained(const struct conn *c)
{
    return !c->blocked;
}

size_t conn_out_bytes(const struct conn *c)
{
    return c->out_bytes;
}

void conn_pause(struct conn *c)
{
    if (conn_is_ending(c)) return;
    c->paused = true;
    conn_mark_dirty(c);
}

void conn_resume(struct conn *c)
{
    if (conn_is_ending(c)) return;
    c->paused = false;
    conn_mark_dirty(c);
}
