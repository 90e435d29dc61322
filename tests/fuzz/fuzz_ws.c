/* fuzz_ws.c - whatever a peer sends where WebSocket is spoken.
 *
 * The first two bytes choose how the rest is cut into reads, and the third after how many messages on_message says
 * stop. The stream is read at once and cut, and both must give the same messages and pings, stop at the same byte,
 * and end alike.
 *
 * One thing may depend on the cuts: wslay looks at the reason in a close frame piece by piece, so a bad one is found
 * early or only when the frame is whole, and a good one may be taken for bad. Either way the connection ends there.
 * So where one run has found an error and the other none yet, the other must find one when the frame is made whole. */
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

enum { LOG_BYTES_MAX = 1 << 22, CONTROL_BYTES = 3, CONTROL_PAYLOAD_MAX = 125, CONTROL_FRAME_MAX = 131 };

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
    h->closed = true;
}

struct end {
    size_t used;
    int err;
    bool clean;
};

static struct end run(struct bytes stream, struct bytes more, size_t piece_max, struct heard *h)
{
    static const struct ws_events events = { on_message, on_ping, on_close };
    struct feed feed = { stream, piece_max, piece_max };
    struct bytes piece;
    struct ws *ws;
    struct end end = { 0 };
    if (ws_new(FRAME_BYTES_MAX, &ws) != 0) abort();
    while (!ws_is_spent(ws)) {
        if (!feed_next(&feed, &piece)) {
            feed.left = more;
            more = BYTES_NONE;
            if (!feed_next(&feed, &piece)) break;
        }
        size_t used;
        end.err = ws_feed(ws, &events, h, piece, &used);
        assert(used <= piece.len);
        assert(used == piece.len || (ws_is_spent(ws) && !end.err));
        end.used += used;
    }
    end.clean = ws_is_clean(ws);
    assert(h->closed == (end.err == ERR_PEER));
    ws_free(ws);
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t zeros[CONTROL_FRAME_MAX];
    if (size < CONTROL_BYTES) return 0;
    struct bytes stream = bytes_of(data + CONTROL_BYTES, size - CONTROL_BYTES);
    struct heard heard[2] = { { .stop_after = data[2] }, { .stop_after = data[2] } };
    size_t piece_max[2] = { SIZE_MAX, (size_t)get_u16(data) + 1 };
    struct end end[2];
    for (int i = 0; i < 2; i++) {
        buf_init(&heard[i].log, LOG_BYTES_MAX);
        end[i] = run(stream, BYTES_NONE, piece_max[i], &heard[i]);
    }
    assert(bytes_equal(buf_bytes(&heard[0].log), buf_bytes(&heard[1].log)));
    if (!end[0].err && !end[1].err) {
        assert(end[0].used == end[1].used && end[0].clean == end[1].clean);
    } else if (!end[0].err || !end[1].err) {
        int late = end[0].err ? 1 : 0;
        struct heard again = { .stop_after = data[2] };
        buf_init(&again.log, LOG_BYTES_MAX);
        assert(run(stream, BYTES_OF(zeros), piece_max[late], &again).err != 0);
        buf_fini(&again.log);
    }
    buf_fini(&heard[0].log);
    buf_fini(&heard[1].log);
    return 0;
}
