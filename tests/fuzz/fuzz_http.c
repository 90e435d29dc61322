/* fuzz_http.c - whatever a peer sends where HTTP is spoken.
 *
 * The first two bytes choose how the rest is cut into reads. Not crashing is half of it. The other half: cuts must not
 * matter. The stream is read at once and cut, and both must give the same requests and the same end; no limit may be
 * passed, and a path must be a string. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/bytes.h"
#include "server/net/http.h"
#include "server/net/origin.h"
#include "server/net/peers.h"
#include "tests/harness/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LOG_BYTES_MAX = 1 << 22, CUT_BYTES = 2 };

static void note(struct buf *log, const char *text)
{
    buf_put(log, text, strlen(text));
    buf_put_u8(log, 0);
}

static void note_request(struct buf *log, struct http *h)
{
    char key[HTTP_KEY_TEXT] = "";
    struct http_head head = http_head(h);
    struct bytes body = http_body(h);
    assert(strlen(head.path) + strlen(head.query) < HTTP_HEAD_BYTES_MAX);
    assert(body.len <= HTTP_BODY_BYTES_MAX);
    assert(!http_take_continue(h));
    struct http_bad upgrade = http_upgrade(h, key);
    assert(upgrade.status == 101 ? strlen(key) == HTTP_KEY_TEXT - 1 : *upgrade.text != '\0');
    assert(head.path[0] == '/' && strlen(head.host) + strlen(head.origin) < HTTP_HEAD_BYTES_MAX);
    char peer[PEER_TEXT], group[PEER_GROUP_TEXT];
    bool loopback;
    if (peer_of_forwarded(head.forwarded_for, head.forwarded, peer, &loopback)) {
        peer_group(peer, group);
        note(log, peer);
        note(log, group);
    }
    if (origin_is_allowed("https://a.example", head.origin, head.host)) note(log, "origin");
    note(log, head.method);
    note(log, head.path);
    note(log, head.query);
    note(log, head.host);
    note(log, head.origin);
    note(log, head.preflight);
    note(log, head.forwarded_for);
    note(log, head.forwarded);
    note(log, upgrade.status == 101 ? "" : upgrade.text);
    note(log, key);
    buf_put_u8(log, (uint8_t)(head.keep_alive | head.is_head << 1));
    buf_put_u16(log, (uint16_t)upgrade.status);
    buf_put_u32(log, (uint32_t)body.len);
    buf_put(log, body.len ? body.at : (const uint8_t *)"", body.len);
}

static void run(struct bytes stream, size_t piece_max, struct buf *log)
{
    struct feed feed = { stream, piece_max, piece_max };
    struct bytes piece;
    struct http *h;
    enum http_step step = HTTP_STEP_MORE;
    if (http_new(&h) != 0) abort();
    while (step != HTTP_STEP_BAD && feed_next(&feed, &piece)) {
        while (piece.len && step != HTTP_STEP_BAD) {
            size_t used = http_feed(h, piece, &step);
            assert(used <= piece.len && (used > 0 || step == HTTP_STEP_BAD));
            piece = bytes_of(piece.at + used, piece.len - used);
            if (step == HTTP_STEP_MORE) assert(piece.len == 0);
            if (step == HTTP_STEP_WHOLE) note_request(log, h);
        }
    }
    struct http_bad bad = http_bad(h);
    buf_put_u16(log, (uint16_t)bad.status);
    buf_put_u8(log, http_is_idle(h));
    assert((step == HTTP_STEP_BAD) == (bad.status != 0));
    if (bad.status) note(log, bad.text);
    http_free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < CUT_BYTES) return 0;
    size_t cut = get_u16(data);
    struct bytes stream = bytes_of(data + CUT_BYTES, size - CUT_BYTES);
    struct buf whole, pieces;
    buf_init(&whole, LOG_BYTES_MAX);
    buf_init(&pieces, LOG_BYTES_MAX);
    run(stream, SIZE_MAX, &whole);
    run(stream, cut + 1, &pieces);
    assert(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
