/* dispatch.c - what a connection says, to the handler that serves it. */
#include "server/chat/session.h"

#include "server/chat/state.h"

static void refuse_first(struct chat *chat, struct conn *conn, const struct msg *msg, int err, const char *why)
{
    struct msg m = { .type = MSG_ERROR, .has_ref = msg->has_ref, .ref = msg->ref };
    m.u.error.code = (uint64_t)-err;
    m.u.error.name = bytes_of_str(err_name(err));
    m.u.error.text = bytes_of_str(why ? why : err_text(err));
    buf_clear(&chat->scratch);
    struct frame *frame = msg_encode(&m, &chat->scratch) ? NULL : frame_ws(buf_bytes(&chat->scratch));
    if (frame) conn_write(conn, frame);
    frame_unref(frame);
    STAT_ADD(&chat->shard->stats, frames_refused, 1);
    say(SAY_INFO, "hello_refused", SAY_CONN(conn_id(conn)), SAY_TEXT("peer", conn_peer(conn)),
        SAY_TEXT("why", err_name(err)));
    conn_close(conn, err);
}

/* A connection without a session: its first frame must be HELLO, and must be heard where its user lives. */
static void first_frame(struct chat *chat, struct conn *conn, struct bytes bytes)
{
    struct msg msg;
    const char *why = NULL;
    int err = msg_decode(bytes, &msg, &why);
    if (!err && msg.type != MSG_HELLO) err = ERR_HELLO_FIRST;
    if (err) {
        refuse_first(chat, conn, &msg, err, err == ERR_HELLO_FIRST ? NULL : why);
        return;
    }
    uint16_t home = shard_of_user(chat->shard->house, &msg.u.hello.user);
    if (home != chat->shard->id) {
        handoff_send(conn, home, bytes);
        return;
    }
    session_hello(chat, conn, &msg);
}

static void on_message(struct conn *conn, struct bytes bytes, bool binary)
{
    struct chat *chat = chat_of(conn_shard(conn));
    struct session *s = conn_owner(conn);
    if (!binary) {
        struct msg none = { 0 };
        if (s) {
            session_error(s, false, 0, ERR_NOT_BINARY, NULL);
            session_close(s, ERR_NOT_BINARY);
        } else {
            refuse_first(chat, conn, &none, ERR_NOT_BINARY, NULL);
        }
        return;
    }
    if (s) session_on_frame(s, bytes);
    else first_frame(chat, conn, bytes);
}

static void on_closed(struct conn *conn, int err)
{
    void *owner = conn_owner(conn);
    if (!owner) return;
    if (*(uint8_t *)owner == OWNER_SESSION) session_on_closed(owner, err);
    else http_on_closed(owner);
}

static void on_drained(struct conn *conn)
{
    struct session *s = conn_owner(conn);
    if (!s || s->owner_kind != OWNER_SESSION || s->state != SESSION_OPEN) return;
    behind_on_drained(s->behind);
    session_step(s);
}

const struct conn_events chat_conn_events = {
    .on_request = http_on_request,
    .on_message = on_message,
    .on_closed = on_closed,
    .on_drained = on_drained,
};

struct conv_id where_conv(const struct session *s, const struct where *where)
{
    return where->is_user ? conv_id_direct(&s->user_id, &where->user) : where->conv;
}

void on_ping(struct session *s, const struct msg *msg)
{
    struct msg m = { .type = MSG_PONG, .has_ref = msg->has_ref, .ref = msg->ref };
    m.u.pong.now_ms = s->chat->shard->wall_ms;
    session_send(s, &m);
}

void dispatch(struct session *s, const struct msg *msg)
{
    /* Only what was read in one go before reading stopped can come here; it is not lost, only told to come again. */
    if (s->asks >= SESSION_ASKS_MAX) {
        session_error(s, msg->has_ref, msg->ref, ERR_BUSY, "too many requests without an answer");
        return;
    }
    switch (msg->type) {
    case MSG_HELLO:     session_error(s, msg->has_ref, msg->ref, ERR_HELLO_TWICE, NULL); break;
    case MSG_SEND:      on_send(s, msg); break;
    case MSG_DELIVERED:
    case MSG_READ:      on_cursor(s, msg); break;
    case MSG_HISTORY:   on_history(s, msg); break;
    case MSG_DEVICES:   on_devices(s, msg); break;
    case MSG_DELETE:    on_delete(s, msg); break;
    case MSG_INFO:      on_info(s, msg); break;
    case MSG_PING:      on_ping(s, msg); break;
    case MSG_TIMER:     on_timer(s, msg); break;
    default:
        session_error(s, msg->has_ref, msg->ref, ERR_UNKNOWN_TYPE, "a type that only servers send");
        break;
    }
}
