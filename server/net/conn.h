/* conn.h - the byte stream of one peer: HTTP first, then WebSocket.
 *
 *   HTTP ──upgrade──> WS ──> CLOSING        HTTP ──> CLOSING
 *   HTTP      requests one after the other (keep-alive); each is answered before the next is looked at
 *   WS        messages in, frames out; control frames are answered here. The first message must come within
 *             net_settings.request_ms; later silence is the owner's to judge (conn_heard_ms), but
 *             a message must be whole net_settings.message_ms after its first byte
 *   CLOSING   what is queued is still written, for net_settings.linger_ms; what comes is thrown away; closing twice is
 *             harmless
 *
 * A conn is movable: plain heap, no libuv handle inside (that is struct sock, which stays with its loop), so that
 * handoff.h can give it whole to the shard of its user. Memory is freed after events->on_closed returned.
 *
 * Reading stops by itself while the peer does not take what was queued (over CONN_OUT_HIGH, or half of
 * CONN_OUT_FRAMES_MAX), and by conn_pause(). It stops between two messages: on_message is not called again in between.
 * Writing: conn_write() only queues; one writev for each connection and turn is made by net_flush(). What is written
 * after it in a turn goes out with the next.
 * An idle connection in WS state holds no buffer and no WebSocket context.
 * Thread: the shard that has it. */
#ifndef PIPIT_NET_CONN_H
#define PIPIT_NET_CONN_H

#include "server/core/core.h"
#include "server/net/http.h"

enum {
    CONN_READ_BYTES = 64 * 1024,      /* the shard's one read buffer, lent to whichever connection reads */
    CONN_OUT_HIGH = 256 * 1024,       /* bytes queued above which reading stops: one window */
    CONN_OUT_FRAMES_MAX = 1024,       /* frames queued above which the peer is closed as SLOW; the owner holds
                                       * back long before (windows, pages, requests in flight) */
    CONN_IOV_MAX = 64,                /* frames in one writev */
    /* Each time this long nothing could be read of a connection, since we hold it back, it is asked whether its peer
     * has gone. Answers and windows hold one back for milliseconds, so hardly anybody is ever asked. */
    CONN_HELD_MS = 5000,
};

struct conn;

struct http_request {
    const char *method;               /* "GET", "POST", … */
    const char *path;                 /* NUL-terminated, without the query */
    const char *query;                /* behind '?', or "" */
    const char *authorization;        /* value of that header, or "" */
    struct bytes body;
    const char *peer;                 /* address as text, for limits and log lines */
};

/* Given at net_open(), the same for all connections. `on_message` and below are for WS only. */
struct conn_events {
    /* A whole request (never one for net_config's ws_path, which is answered here). What it points to is good during
     * the call. Answer it with conn_respond(), now or later; no further request is looked at before. */
    void (*on_request)(struct conn *conn, const struct http_request *request);
    /* A whole message, at most FRAME_BYTES_MAX. `bytes` is good during the call. It may call handoff_send(). */
    void (*on_message)(struct conn *conn, struct bytes bytes, bool binary);
    /* Once, whatever the reason; conn_owner() is still what was set. `err` is conn_close()'s, or 0 (answered, and
     * the peer wanted no more), ERR_PEER, ERR_IO, ERR_NOMEM, ERR_SLOW, ERR_IDLE, ERR_MALFORMED (broken HTTP or
     * WebSocket), ERR_TOO_BIG, ERR_BUSY (no descriptor to move with), ERR_GOING. The conn is freed behind it. */
    void (*on_closed)(struct conn *conn, int err);
    /* All that was queued has been taken by the socket (only after conn_write() found it not so). */
    void (*on_drained)(struct conn *conn);
};

/* The owner's pointer (a session) and bytes of its own; NULL at first. */
void conn_set_owner(struct conn *conn, void *owner);
void *conn_owner(const struct conn *conn);
struct shard *conn_shard(const struct conn *conn);
uint64_t conn_id(const struct conn *conn);            /* SAY_CONN: unique in the process, and from start to start
                                                       * as good as; kept when it moves to another shard */
const char *conn_peer(const struct conn *conn);
/* Monotonic ms when bytes were last received. */
uint64_t conn_heard_ms(const struct conn *conn);
/* Bytes of a write under way that the kernel has not taken: 0 for a fast peer. While it changes the peer is alive,
 * however slowly it reads: nothing may be heard of it, since reading stops while it does not take what was queued. */
size_t conn_waiting_bytes(const struct conn *conn);

/* WS: queue a frame (header included); takes its own reference. Nothing happens on a closing conn. A peer that has
 * CONN_OUT_FRAMES_MAX waiting is closed as ERR_SLOW instead, and what waits is dropped. */
void conn_write(struct conn *conn, struct frame *frame);
/* True when the socket has taken everything queued before this turn: a fast peer. */
bool conn_is_drained(const struct conn *conn);
size_t conn_out_bytes(const struct conn *conn);
void conn_ping(struct conn *conn);                    /* a WebSocket ping without payload */
/* Stop and go on with messages or requests; a flag, not a count. While nothing is read of it a WebSocket's end is seen
 * within two CONN_HELD_MS, and what its peer sent last is then lost. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

/* Answer the HTTP request that is under way. `headers` are extra lines ("Retry-After: 3\r\n") or "", 2 KiB at most;
 * `content_type` "": none is said. Both texts and `body` are copied. Not for 1xx, 204 and 304, which carry no
 * length. */
void conn_respond(struct conn *conn, int status, const char *headers, const char *content_type, struct bytes body);

/* WS: a close frame with err_close_code(err) and err_text(err) as reason, then the socket. HTTP: what is queued,
 * then the socket. Idempotent. on_closed comes later, never from inside this call. */
void conn_close(struct conn *conn, int err);

#endif
