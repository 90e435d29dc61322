/* ws.c - wslay behind ws.h.
 *
 * wslay's event interface does the framing, masks, fragment order, UTF-8 and close codes. Two things are done here:
 *
 * - Messages are put together in a buffer of our own. Wslay would allocate each fragment by itself, so that a
 *   message of 64 KiB in fragments of one byte held 7 MiB; and would believe a frame's length before its bytes came.
 * - Bytes are counted. Wslay reads ahead and does not say how far it is, but tells each frame's start; so bytes given
 *   less bytes of frames told are what lies behind the last frame. That says where to stop behind a message, and
 *   whether anything is held at all.
 *
 * Wslay never sends: its writing side is shut, so it queues no pongs and close frames of its own. */
#include "server/net/ws.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "proto/err.h"

struct ws {
    wslay_event_context_ptr wslay;
    struct buf message;                  /* of the fragments so far */
    uint64_t given;                      /* bytes handed to wslay since the last clean point */
    uint64_t framed;                     /* bytes of all frames whose start it told since then, whole or not */
    uint64_t declared;                   /* payload that the message's frames have announced so far */
    bool fragmented;                     /* a message is open between two data frames */
    bool in_data;                        /* the frame being read carries message bytes: not a control frame */
    bool stopped;                        /* on_message said so, or an error ended it */
    int err;
    /* -- during ws_feed() -- */
    const struct ws_events *events;
    void *arg;
    struct bytes in;
    size_t at;                           /* of in, given to wslay */
};

/* Masked by the peer, as it must be: 2 bytes, the longer length where there is one, and the mask. */
static uint64_t header_len(uint64_t payload)
{
    return 2 + 4 + (payload <= 125 ? 0 : payload <= UINT16_MAX ? 2 : 8);
}

static void ws_stop(struct ws *ws, int err)
{
    if (!ws->err) ws->err = err;
    ws->stopped = true;
    wslay_event_shutdown_read(ws->wslay);
}

static ssize_t on_recv(wslay_event_context_ptr wslay, uint8_t *buf, size_t len, int flags, void *user)
{
    struct ws *ws = user;
    (void)flags;
    size_t left = ws->in.len - ws->at;
    if (left == 0) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (len > left) len = left;
    memcpy(buf, ws->in.at + ws->at, len);
    ws->at += len;
    ws->given += len;
    return (ssize_t)len;
}

static void on_frame_start(wslay_event_context_ptr wslay, const struct wslay_event_on_frame_recv_start_arg *frame,
                           void *user)
{
    struct ws *ws = user;
    (void)wslay;
    ws->framed += header_len(frame->payload_length) + frame->payload_length;
    ws->in_data = !wslay_is_ctrl_frame(frame->opcode);
    if (!ws->in_data) return;
    ws->fragmented = !frame->fin;
    ws->declared += frame->payload_length;
    if (ws->declared > ws->message.max) ws_stop(ws, ERR_TOO_BIG);
}

static void on_frame_chunk(wslay_event_context_ptr wslay, const struct wslay_event_on_frame_recv_chunk_arg *chunk,
                           void *user)
{
    struct ws *ws = user;
    (void)wslay;
    if (ws->stopped || !ws->in_data) return;
    buf_put(&ws->message, chunk->data, chunk->data_length);
    if (ws->message.err) ws_stop(ws, ws->message.err);
}

/* Wslay takes half a code for none, and looks at a reason only where it came in one piece with its code. */
static void ws_on_close(struct ws *ws, struct bytes payload, uint16_t code)
{
    if (payload.len == 1 || (payload.len > 2 && !bytes_is_utf8(bytes_of(payload.at + 2, payload.len - 2)))) {
        ws_stop(ws, ERR_MALFORMED);
        return;
    }
    ws_stop(ws, ERR_PEER);
    ws->events->on_close(ws->arg, code);
}

static void on_msg(wslay_event_context_ptr wslay, const struct wslay_event_on_msg_recv_arg *msg, void *user)
{
    struct ws *ws = user;
    (void)wslay;
    if (ws->stopped) return;
    switch (msg->opcode) {
    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME:
        ws->declared = 0;
        if (!ws->events->on_message(ws->arg, buf_bytes(&ws->message), msg->opcode == WSLAY_BINARY_FRAME)) {
            ws_stop(ws, 0);
        }
        buf_clear(&ws->message);
        break;
    case WSLAY_PING:
        ws->events->on_ping(ws->arg, bytes_of(msg->msg, msg->msg_length));
        break;
    case WSLAY_CONNECTION_CLOSE:
        ws_on_close(ws, bytes_of(msg->msg, msg->msg_length), msg->status_code);
        break;
    default:                             /* a pong: that bytes came is all there is to know */
        break;
    }
}

int ws_new(size_t message_bytes_max, struct ws **ws_out)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .on_frame_recv_start_callback = on_frame_start,
        .on_frame_recv_chunk_callback = on_frame_chunk,
        .on_msg_recv_callback = on_msg,
    };
    struct ws *ws = calloc(1, sizeof *ws);
    if (!ws) return ERR_NOMEM;
    if (wslay_event_context_server_init(&ws->wslay, &callbacks, ws) != 0) {
        free(ws);
        return ERR_NOMEM;
    }
    wslay_event_config_set_no_buffering(ws->wslay, 1);
    wslay_event_config_set_max_recv_msg_length(ws->wslay, UINT64_MAX);     /* on_frame_start() limits */
    wslay_event_shutdown_write(ws->wslay);
    buf_init(&ws->message, message_bytes_max);
    *ws_out = ws;
    return 0;
}

void ws_free(struct ws *ws)
{
    if (!ws) return;
    wslay_event_context_free(ws->wslay);
    buf_fini(&ws->message);
    free(ws);
}

int ws_feed(struct ws *ws, const struct ws_events *events, void *arg, struct bytes in, size_t *used_out)
{
    assert(!ws->stopped);
    ws->events = events;
    ws->arg = arg;
    ws->in = in;
    ws->at = 0;
    int r = wslay_event_recv(ws->wslay);
    if (r == WSLAY_ERR_NOMEM) {
        ws_stop(ws, ERR_NOMEM);
    } else if (r != 0 || (!wslay_event_get_read_enabled(ws->wslay) && !ws->stopped)) {
        ws_stop(ws, ERR_MALFORMED);
    }
    if (ws->stopped && !ws->err) {
        /* Stopped at the end of a frame, the last one told: what wslay read ahead came with this feed, since the
         * frame's own last byte did. */
        assert(ws->given >= ws->framed && ws->given - ws->framed <= ws->at);
        *used_out = ws->at - (size_t)(ws->given - ws->framed);
    } else {
        *used_out = in.len;
    }
    if (!ws->stopped && ws->given == ws->framed) ws->given = ws->framed = 0;
    ws->in = BYTES_NONE;
    return ws->err;
}

bool ws_is_spent(const struct ws *ws)
{
    return ws->stopped;
}

bool ws_is_clean(const struct ws *ws)
{
    return !ws->stopped && ws->given == ws->framed && !ws->fragmented;
}
