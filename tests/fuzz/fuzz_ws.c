/* fuzz_ws.c - whatever a peer sends where WebSocket is spoken.
 *
 * The first two bytes choose how the rest is cut into reads, and the third after how many messages on_message says
 * stop. The stream is read at once and cut, and both must give the same messages, pings and close, stop at the same
 * byte, and end alike, with the same code for the peer. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "proto/limits.h"
#include "server/net/ws.h"
#include "tests/harness/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LOG_BYTES_MAX = 1 << 22, CONTROL_BYTES = 3, CONTROL_PAYLOAD_MAX = 125 };

struct heard {
    struct buf log;
    unsigned messages, stop_after;
    bool closed;
};

static void note(struct heard *h, char kind, struct bytes b)
{
    assert(!h->closed);
    buf_put_u8(&h->log, (uint8_t)kind);
    buf_put_u32(&h->log, (uint32_t)b.len);
    if (b.len) buf_put(&h->log, b.at, b.len);
}

static bool on_message(void *arg, struct bytes message, bool binary)
{
    struct heard *h = arg;
    assert(message.len <= FRAME_BYTES_MAX);
    assert(binary || bytes_is_utf8(message));
    note(h, binary ? 'b' : 't', message);
    return ++h->messages != h->stop_after;
}

static void on_ping(void *arg, struct bytes payload)
{
    assert(payload.len <= CONTROL_PAYLOAD_MAX);
    note(arg, 'p', payload);
}

static void on_close(void *arg, uint16_t code)
{
    struct heard *h = arg;
    assert(code == 0 || code >= 1000);
    buf_put_u16(&h->log, code);
    h->closed = true;
}

struct end {
    size_t used;
    int err;
    int code;                 /* for the peer, when its bytes were wrong */
    bool clean;
};

static struct end run(struct bytes stream, size_t piece_max, struct heard *h)
{
    static const struct ws_events events = { on_message, on_ping, on_close };
    struct feed feed = { stream, piece_max, piece_max };
    struct bytes piece;
    struct ws *ws;
    struct end end = { 0 };
    if (ws_new(FRAME_BYTES_MAX, &ws) != 0) abort();
    while (!ws_is_spent(ws) && feed_next(&feed, &piece)) {
        size_t used;
        end.err = ws_feed(ws, &events, h, piece, &used);
        assert(used <= piece.len);
        assert(used == piece.len || (ws_is_spent(ws) && !end.err));
        end.used += end.err ? 0 : used;
    }
    end.clean = ws_is_clean(ws);
    assert(h->closed == (end.err == ERR_PEER));
    if (end.err && end.err != ERR_PEER) {
        const char *text;
        end.code = ws_code(ws, &text);
        assert(end.err == ERR_TOO_BIG ? end.code == WS_CODE_TOO_BIG
                                      : end.code == WS_CODE_PROTOCOL || end.code == WS_CODE_NOT_UTF8);
    }
    ws_free(ws);
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < CONTROL_BYTES) return 0;
    struct bytes stream = bytes_of(data + CONTROL_BYTES, size - CONTROL_BYTES);
    struct heard heard[2] = { { .stop_after = data[2] }, { .stop_after = data[2] } };
    size_t piece_max[2] = { SIZE_MAX, (size_t)get_u16(data) + 1 };
    struct end end[2];
    for (int i = 0; i < 2; i++) {
        buf_init(&heard[i].log, LOG_BYTES_MAX);
        end[i] = run(stream, piece_max[i], &heard[i]);
    }
    assert(bytes_equal(buf_bytes(&heard[0].log), buf_bytes(&heard[1].log)));
    assert(end[0].err == end[1].err && end[0].code == end[1].code && end[0].clean == end[1].clean);
    assert(end[0].err || end[0].used == end[1].used);
    buf_fini(&heard[0].log);
    buf_fini(&heard[1].log);
    return 0;
}
