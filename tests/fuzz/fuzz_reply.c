/* fuzz_reply.c - whatever answers where the client looks for a server: HTTP, the upgrade, and the frames behind it.
 *
 * The first byte says what is asked, the next two how the answer is cut into reads. Not crashing is half of it. The other
 * half: cuts must not matter, each failure has a clause that says why, and no frame is larger than may be.
 *
 * The stream is this file's own, so that nothing waits and nothing leaves: link.c is the client's. */
#include <assert.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/feed.h"
#include "tools/client/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LOG_BYTES_MAX = 1 << 22, CHOICE_BYTES = 3, ASKS = 3, HEAD_MAX = 256 };
enum ask { ASK_HTTP, ASK_UPGRADE, ASK_FRAMES };      /* ASK_FRAMES: behind an upgrade as it should be */

/* -- a server that has said all it will -- */

struct stream {
    char said[1024];                 /* by the client: the head of its request */
    size_t said_len;
    struct buf answer;               /* ASK_FRAMES: our half of the upgrade, and what was played behind it */
    struct feed feed;
    struct bytes piece;
    bool between;                    /* two reads: nothing there right now */
};

static struct { enum ask ask; struct bytes answer; size_t piece_max; } played;

int stream_open(const struct url *url, const char *ca_file, uint64_t now_ms, struct stream **out,
                char why[static WHY_MAX])
{
    (void)url, (void)ca_file, (void)now_ms, (void)why;
    struct stream *s = calloc(1, sizeof *s);
    if (!s) abort();
    buf_init(&s->answer, HEAD_MAX + played.answer.len);
    s->feed = (struct feed){ played.answer, played.piece_max, played.piece_max };
    *out = s;
    return 0;
}

void stream_close(struct stream *s)
{
    buf_fini(&s->answer);
    free(s);
}

int stream_advance(struct stream *s, uint64_t now_ms, char why[static WHY_MAX])
{
    (void)s, (void)now_ms, (void)why;
    return 0;
}

int stream_fd(const struct stream *s) { return (void)s, -1; }
short stream_events(const struct stream *s) { return (void)s, 0; }
uint64_t stream_due_ms(const struct stream *s) { return (void)s, 0; }    /* nobody sleeps */

static void agree_to_upgrade(struct stream *s)
{
    char joined[64], accept[32], head[HEAD_MAX];
    uint8_t digest[20];
    const char *key = strstr(s->said, "Sec-WebSocket-Key: ");
    assert(key);
    snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 19);
    EVP_Digest(joined, strlen(joined), digest, NULL, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    int len = snprintf(head, sizeof head, "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: %s\r\n"
                       "Sec-WebSocket-Protocol: " SUBPROTOCOL "\r\n\r\n", accept);
    buf_put(&s->answer, head, (size_t)len);
    if (played.answer.len) buf_put(&s->answer, played.answer.at, played.answer.len);
    s->feed.left = buf_bytes(&s->answer);
}

ssize_t stream_write(struct stream *s, const void *from, size_t len)
{
    bool whole = strstr(s->said, "\r\n\r\n");
    for (size_t i = 0; i < len && s->said_len < sizeof s->said - 1 && !whole; i++) {
        s->said[s->said_len++] = ((const char *)from)[i];
    }
    if (!whole && played.ask == ASK_FRAMES && strstr(s->said, "\r\n\r\n")) agree_to_upgrade(s);
    return (ssize_t)len;
}

ssize_t stream_read(struct stream *s, void *to, size_t len)
{
    if (s->piece.len == 0) {
        s->between = !s->between;
        if (s->between) return ERR_AGAIN;
        if (!feed_next(&s->feed, &s->piece)) return ERR_PEER;
    }
    size_t n = s->piece.len < len ? s->piece.len : len;
    memcpy(to, s->piece.at, n);
    s->piece = bytes_of(s->piece.at + n, s->piece.len - n);
    return (ssize_t)n;
}

/* -- the client -- */

static int on_frame(void *arg, struct bytes frame)
{
    assert(frame.len <= FRAME_BYTES_MAX);
    buf_put_u32(arg, (uint32_t)frame.len);
    if (frame.len) buf_put(arg, frame.at, frame.len);
    return 0;
}

static const struct url url = { .host = "::1", .port = "8700" };

static void ask_http(struct buf *log)
{
    const struct http_request request = { "POST", "/v1/login", "Bearer x", bytes_of_str("{}") };
    struct buf answer;
    char why[WHY_MAX] = "";
    int status = 0;
    buf_init(&answer, HTTP_ANSWER_MAX);
    int err = link_http(&url, NULL, &request, UINT32_MAX, &status, &answer, why);
    assert(err <= 0 && (err != 0) == (why[0] != '\0'));
    buf_put_u32(log, (uint32_t)err);
    if (!err) {
        assert(status > 0 && status < 1000);
        buf_put_u16(log, (uint16_t)status);
        if (answer.len) buf_put(log, answer.at, answer.len);
    }
    buf_fini(&answer);
}

static void ask_frames(struct buf *log)
{
    static const struct link_ops ops = { .on_frame = on_frame };
    struct link *l = NULL;
    char why[WHY_MAX] = "";
    int err = link_open(&url, NULL, &ops, log, &l, why);
    assert(err == 0);
    while (!(err = link_advance(l))) {}
    assert(link_why(l)[0]);
    assert(played.ask == ASK_FRAMES || !link_is_up(l));
    link_close(l);
}

static void run(size_t piece_max, struct buf *log)
{
    played.piece_max = piece_max;
    if (played.ask == ASK_HTTP) ask_http(log);
    else ask_frames(log);
    assert(!log->err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, pieces;
    if (size < CHOICE_BYTES) return 0;
    played.ask = (enum ask)(data[0] % ASKS);
    played.answer = bytes_of(data + CHOICE_BYTES, size - CHOICE_BYTES);
    buf_init(&whole, LOG_BYTES_MAX);
    buf_init(&pieces, LOG_BYTES_MAX);
    run(SIZE_MAX, &whole);
    run((size_t)get_u16(data + 1) + 1, &pieces);
    assert(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
