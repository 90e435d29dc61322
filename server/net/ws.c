/* ws.c - wslay behind ws.h.
 *
 * wslay's event interface does the framing, masks, fragment order, UTF-8 and close codes. Three things are done here:
 *
 * - Messages are put together in a buffer of our own. Wslay would allocate each fragment by itself, so that a
 *   message of 64 KiB in fragments of one byte held 7 MiB; and would believe a frame's length before its bytes came.
 * - Wslay gets one frame at a time: left to itself it reads ahead and does not say how far it is. A frame's header is
 *   gathered here until it is whole, since it says where the frame ends. So we know where to stop behind a message, and
 *   whether anything is held at all.
 * - A control frame is gathered whole (131 bytes at most): wslay looks at the reason of a close frame piece by piece,
 *   and takes a good one for bad when a character lies across two.
 *
 * Wslay never sends: its writing side is shut, so it queues no pongs and close frames of its own. Nor does it say then
 * which code it would have sent; fail() works that out. */
#include "server/net/ws.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "proto/err.h"

enum {
    RESERVED = 0x70, CONTROL = 0x08, OPCODE = 0x0f,      /* of a frame's first byte */
    MASKED = 0x80, LEN = 0x7f, LEN_16 = 126, LEN_64 = 127,   /* of its second */
    MASK_BYTES = 4,
    CONTROL_PAYLOAD_MAX = 125,
    HEAD_BYTES_MAX = 2 + MASK_BYTES + CONTROL_PAYLOAD_MAX,   /* a control frame; a header alone has 14 */
};

struct ws {
    wslay_event_context_ptr wslay;
    struct buf message;                  /* of the fragments so far */
    uint64_t declared;                   /* payload that the message's frames have announced so far */
    uint32_t frames;                     /* of the message so far */
    uint64_t left;                       /* of the frame: payload that wslay has not got yet */
    uint8_t head[HEAD_BYTES_MAX];        /* of the frame: its header, or all of it when it is a control frame */
    uint8_t head_len, head_at;           /* gathered, and of that given to wslay */
    bool head_whole;
    bool fragmented;                     /* a message is open between two data frames */
    bool text;                           /* the message is one */
    bool told;                           /* wslay has taken the frame's header: what is wrong now is in its payload */
    bool stopped;                        /* on_message said so, or an error ended it */
    int err;
    enum ws_code code;
    /* -- during ws_feed() -- */
    const struct ws_events *events;
    void *arg;
    struct bytes in;
    size_t at;                           /* of in, taken */
};

static void ws_stop(struct ws *ws, int err, enum ws_code code)
{
    if (!ws->err) {
        ws->err = err;
        ws->code = code;
    }
    ws->stopped = true;
    wslay_event_shutdown_read(ws->wslay);
}

/* -- one frame at a time -- */

static bool is_control(const struct ws *ws)
{
    return ws->head[0] & CONTROL;
}

/* Bytes of header to be gathered, as far as the first ones tell; of a control frame that may be one its payload too. */
static size_t head_need(const struct ws *ws)
{
    if (ws->head_len < 2) return 2;
    uint8_t len = ws->head[1] & LEN;
    size_t need = 2 + (len == LEN_16 ? 2 : len == LEN_64 ? 8 : 0) + (ws->head[1] & MASKED ? MASK_BYTES : 0);
    return is_control(ws) && len <= CONTROL_PAYLOAD_MAX ? need + len : need;
}

static uint64_t payload_len(const struct ws *ws)
{
    uint8_t len = ws->head[1] & LEN;
    if (is_control(ws) && len <= CONTROL_PAYLOAD_MAX) return 0;     /* it is in the head */
    return len == LEN_16 ? get_u16(ws->head + 2) : len == LEN_64 ? get_u64(ws->head + 2) : len;
}

/* True when it is whole. Two steps at most: to the byte that tells how much there is, and to the end of that. */
static bool gather_head(struct ws *ws)
{
    while (!ws->head_whole && ws->at < ws->in.len) {
        size_t take = head_need(ws) - ws->head_len, have = ws->in.len - ws->at;
        if (take > have) take = have;
        memcpy(ws->head + ws->head_len, ws->in.at + ws->at, take);
        ws->head_len += (uint8_t)take;
        ws->at += take;
        ws->head_whole = ws->head_len >= 2 && ws->head_len == head_need(ws);
    }
    return ws->head_whole;
}

static void frame_end(struct ws *ws)
{
    ws->head_len = ws->head_at = 0;
    ws->head_whole = false;
}

static size_t least(uint64_t a, uint64_t b)
{
    return (size_t)(a < b ? a : b);
}

/* Whether a data frame with so much payload is more than its message may have. */
static bool is_too_much(const struct ws *ws, uint64_t payload)
{
    return ws->declared + payload > ws->message.max || ws->frames + 1 > WS_FRAGMENTS_MAX;
}

/* A data frame's header is there and wslay has read it, but looks at more than the form of its length only with the
 * first byte of the payload, which may be long in coming. What is wrong already is refused now, as it would be then. */
static void judge_head(struct ws *ws)
{
    uint8_t opcode = ws->head[0] & OPCODE;
    bool sound = !(ws->head[0] & RESERVED) && ws->head[1] & MASKED && opcode <= WSLAY_BINARY_FRAME &&
                 (opcode == WSLAY_CONTINUATION_FRAME) == ws->fragmented;
    if (!sound) ws_stop(ws, ERR_MALFORMED, WS_CODE_PROTOCOL);
    else if (is_too_much(ws, ws->left)) ws_stop(ws, ERR_TOO_BIG, WS_CODE_TOO_BIG);
}

/* What is left of the frame's header, and in the same step of its payload what has come: each step costs as much as a
 * hundred bytes of payload do. */
static ssize_t on_recv(wslay_event_context_ptr wslay, uint8_t *buf, size_t len, int flags, void *user)
{
    struct ws *ws = user;
    (void)flags;
    if (ws->head_whole && ws->head_at == ws->head_len && ws->left == 0) frame_end(ws);
    if (!gather_head(ws)) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (ws->head_at == 0) {
        ws->told = false;
        ws->left = payload_len(ws);
    }
    size_t of_head = least(len, ws->head_len - ws->head_at);
    size_t of_rest = least(len - of_head, least(ws->left, ws->in.len - ws->at));
    if (of_head + of_rest == 0) {
        if (!ws->told && !is_control(ws)) judge_head(ws);
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buf, ws->head + ws->head_at, of_head);
    ws->head_at += (uint8_t)of_head;
    if (of_rest > 0) memcpy(buf + of_head, ws->in.at + ws->at, of_rest);
    ws->at += of_rest;
    ws->left -= of_rest;
    return (ssize_t)(of_head + of_rest);
}

/* -- what wslay tells -- */

static void on_frame_start(wslay_event_context_ptr wslay, const struct wslay_event_on_frame_recv_start_arg *frame,
                           void *user)
{
    struct ws *ws = user;
    (void)wslay;
    ws->told = true;
    if (wslay_is_ctrl_frame(frame->opcode)) return;
    if (!ws->fragmented) ws->text = frame->opcode == WSLAY_TEXT_FRAME;
    ws->fragmented = !frame->fin;
    if (is_too_much(ws, frame->payload_length)) ws_stop(ws, ERR_TOO_BIG, WS_CODE_TOO_BIG);
    ws->declared += frame->payload_length;
    ws->frames++;
}

static void on_frame_chunk(wslay_event_context_ptr wslay, const struct wslay_event_on_frame_recv_chunk_arg *chunk,
                           void *user)
{
    struct ws *ws = user;
    (void)wslay;
    if (ws->stopped || is_control(ws)) return;
    buf_put(&ws->message, chunk->data, chunk->data_length);
    if (ws->message.err) ws_stop(ws, ws->message.err, WS_CODE_TOO_BIG);
}

/* Wslay takes half a code for none. */
static void ws_on_close(struct ws *ws, struct bytes payload, uint16_t code)
{
    if (payload.len == 1) {
        ws_stop(ws, ERR_MALFORMED, WS_CODE_PROTOCOL);
        return;
    }
    ws_stop(ws, ERR_PEER, WS_CODE_NORMAL);
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
        ws->frames = 0;
        if (!ws->events->on_message(ws->arg, buf_bytes(&ws->message), msg->opcode == WSLAY_BINARY_FRAME)) {
            ws_stop(ws, 0, WS_CODE_NORMAL);
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

/* Of a close frame: what stands behind its code. */
static bool reason_is_utf8(const struct ws *ws)
{
    uint8_t reason[CONTROL_PAYLOAD_MAX];
    const uint8_t *mask = ws->head + 2, *payload = mask + MASK_BYTES;
    size_t len = ws->head[1] & LEN;
    for (size_t i = 2; i < len; i++) reason[i - 2] = payload[i] ^ mask[i % MASK_BYTES];
    return len <= 2 || bytes_is_utf8(bytes_of(reason, len - 2));
}

/* Wslay has refused. Its header taken, a data frame can only be wrong in a text's UTF-8, a close frame also in its
 * code. */
static void fail(struct ws *ws)
{
    bool utf8 = false;
    if (ws->told && !is_control(ws)) utf8 = ws->text;
    else if (ws->told && (ws->head[0] & OPCODE) == WSLAY_CONNECTION_CLOSE) utf8 = !reason_is_utf8(ws);
    ws_stop(ws, ERR_MALFORMED, utf8 ? WS_CODE_NOT_UTF8 : WS_CODE_PROTOCOL);
}

int ws_feed(struct ws *ws, const struct ws_events *events, void *arg, struct bytes in, size_t *used_out)
{
    assert(!ws->stopped);
    ws->events = events;
    ws->arg = arg;
    ws->in = in;
    ws->at = 0;
    int r = wslay_event_recv(ws->wslay);
    if (r == WSLAY_ERR_NOMEM) ws_stop(ws, ERR_NOMEM, WS_CODE_PROTOCOL);
    else if (r != 0 || (!wslay_event_get_read_enabled(ws->wslay) && !ws->stopped)) fail(ws);
    *used_out = ws->stopped && !ws->err ? ws->at : in.len;
    ws->in = BYTES_NONE;
    return ws->err;
}

enum ws_code ws_code(const struct ws *ws, const char **text_out)
{
    switch (ws->code) {
    case WS_CODE_NOT_UTF8: *text_out = "text that is not UTF-8"; break;
    case WS_CODE_TOO_BIG:  *text_out = "a message larger than the limit, or in too many fragments"; break;
    case WS_CODE_PROTOCOL: *text_out = "not WebSocket as RFC 6455 has it"; break;
    case WS_CODE_NORMAL:   *text_out = ""; break;
    }
    return ws->code;
}

bool ws_is_spent(const struct ws *ws)
{
    return ws->stopped;
}

bool ws_is_clean(const struct ws *ws)
{
    bool at_end = !ws->head_len || (ws->head_whole && ws->head_at == ws->head_len && ws->left == 0);
    return !ws->stopped && at_end && !ws->fragmented;
}
