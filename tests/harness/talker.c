/* talker.c - a scripted device over a blocking socket (see talker.h).
 *
 * Everything read goes through one buffer, `in`; a WebSocket message is taken out of it when it is whole. What a
 * caller did not ask for waits in a list. The socket's own receive timeout is the last resort against a server
 * that hangs. */
#include "tests/harness/talker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    IN_BYTES_MAX = 4 * FRAME_BYTES_MAX,    /* a server frame, or an HTTP answer, and what came behind it */
    OP_CLOSE = 8,
    OP_PING = 9,
    FIN = 0x80,
    RCVBUF_FROZEN_BYTES = 4096,
    CODE_NO_CLOSE_FRAME = 1006,
};

struct heard {
    struct heard *next;
    uint8_t *at;             /* owned; msg points into it */
    struct msg msg;
};

struct talker {
    int fd;
    uint64_t ref;            /* the last one used */
    uint32_t mask;           /* of the frame before */
    struct buf in;           /* read and not yet interpreted */
    struct heard *queue;     /* oldest first */
    struct heard *current;   /* what the caller holds */
    int close_code;          /* 0 while open */
    bool frozen;
    int rcvbuf;              /* bytes, before the freeze */
    struct msg_welcome welcome;
};

/* ---- failing ---- */

static void say_queue(const struct talker *t)
{
    fprintf(stderr, "talker: queued:");
    for (const struct heard *h = t->queue; h; h = h->next) {
        fprintf(stderr, " %s", msg_type_name(h->msg.type));
        if (h->msg.type == MSG_ERROR || h->msg.type == MSG_GOODBYE)
            fprintf(stderr, "(%s)", err_name(-(int)(h->msg.type == MSG_ERROR ? h->msg.u.error.code
                                                                             : h->msg.u.goodbye.code)));
    }
    fprintf(stderr, "%s\n", t->queue ? "" : " nothing");
}

__attribute__((noreturn)) static void fail(const struct talker *t, const char *what)
{
    fprintf(stderr, "talker: %s\n", what);
    if (t) say_queue(t);
    abort();
}

/* ---- the stream ---- */

static int dial(uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct timeval last_resort = { .tv_sec = TALKER_LAST_RESORT_MS / 1000 };
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail(NULL, "no socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &last_resort, sizeof last_resort);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &last_resort, sizeof last_resort);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) fail(NULL, "nobody listens on the port");
    return fd;
}

static void stream_write(const struct talker *t, const void *at, size_t len)
{
    const uint8_t *p = at;
    while (len > 0) {
        ssize_t n = send(t->fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) fail(t, "the server does not read");
        if (n < 0) return;    /* it has closed; the reader learns it */
        p += n;
        len -= (size_t)n;
    }
}

/* Reads once into `in`. False when the stream has ended. */
static bool stream_read(struct talker *t, const char *awaited)
{
    uint8_t chunk[16 * 1024];
    ssize_t n;
    do n = recv(t->fd, chunk, sizeof chunk, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        fprintf(stderr, "talker: waited in vain for %s\n", awaited);
        fail(t, "the server said nothing for 30 s");
    }
    if (n <= 0) return false;
    buf_put(&t->in, chunk, (size_t)n);
    if (t->in.err) fail(t, "the server sent more than a message should take");
    return true;
}

static void drop_front(struct buf *b, size_t n)
{
    memmove(b->at, b->at + n, b->len - n);
    b->len -= n;
}

/* ---- HTTP ---- */

/* Reads a whole head; returns its length, blank line included, and NUL-terminates nothing. */
static size_t read_head(struct talker *t)
{
    for (;;) {
        const uint8_t *end = t->in.len ? memmem(t->in.at, t->in.len, "\r\n\r\n", 4) : NULL;
        if (end) return (size_t)(end - t->in.at) + 4;
        if (!stream_read(t, "an HTTP head")) fail(t, "the server closed within an HTTP head");
    }
}

static int head_status(const struct talker *t)
{
    int status = 0;
    char line[32];
    snprintf(line, sizeof line, "%.*s", (int)(t->in.len < 31 ? t->in.len : 31), (const char *)t->in.at);
    if (sscanf(line, "HTTP/1.1 %3d", &status) != 1) fail(t, "not an HTTP/1.1 status line");
    return status;
}

static size_t head_content_length(const struct talker *t, size_t head_len)
{
    static const char name[] = "\r\ncontent-length:";
    for (size_t i = 0; i + sizeof name < head_len; i++)
        if (strncasecmp((const char *)t->in.at + i, name, sizeof name - 1) == 0)
            return strtoul((const char *)t->in.at + i + sizeof name - 1, NULL, 10);
    return 0;
}

void talker_http(uint16_t port, const char *method, const char *path, struct bytes body, int *status_out,
                 struct buf *body_out)
{
    struct talker *t = talker_connect(port);
    char head[512];
    int head_len = snprintf(head, sizeof head,
                            "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n"
                            "Content-Length: %zu\r\nConnection: close\r\n\r\n", method, path, (unsigned)port, body.len);
    if (head_len < 0 || head_len >= (int)sizeof head) fail(t, "the path is too long");
    stream_write(t, head, (size_t)head_len);
    stream_write(t, body.at, body.len);
    size_t answer_head = read_head(t);
    size_t want = head_content_length(t, answer_head);
    while (t->in.len < answer_head + want)
        if (!stream_read(t, "an HTTP body")) fail(t, "the server closed within an HTTP body");
    *status_out = head_status(t);
    buf_clear(body_out);
    buf_put(body_out, t->in.at + answer_head, want);
    talker_close_hard(t);
}

/* ---- opening ---- */

struct talker *talker_connect(uint16_t port)
{
    struct talker *t = calloc(1, sizeof *t);
    if (!t) fail(NULL, "out of memory");
    t->mask = 0x9e3779b9;    /* a server must not mind which; it only has to unmask */
    buf_init(&t->in, IN_BYTES_MAX);
    t->fd = dial(port);
    return t;
}

struct talker *talker_upgrade(uint16_t port)
{
    struct talker *t = talker_connect(port);
    char head[512];
    int len = snprintf(head, sizeof head,
                       "GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Protocol: " SUBPROTOCOL "\r\n\r\n", (unsigned)port);
    stream_write(t, head, (size_t)len);
    size_t answer_head = read_head(t);
    if (head_status(t) != 101) fail(t, "the upgrade was refused");
    /* RFC 6455, section 1.3 gives this key and its answer: no SHA-1 is needed to check it. */
    if (!memmem(t->in.at, answer_head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28)) fail(t, "a wrong Sec-WebSocket-Accept");
    if (!memmem(t->in.at, answer_head, SUBPROTOCOL, strlen(SUBPROTOCOL))) fail(t, "no subprotocol was chosen");
    drop_front(&t->in, answer_head);
    return t;
}

void talker_hello(struct talker *t, const struct user_id *user, struct device_id device,
                  const uint8_t token[static TOKEN_BYTES])
{
    struct msg m = { .type = MSG_HELLO, .has_ref = true, .ref = talker_ref(t) };
    m.u.hello = (struct msg_hello){ .version = PROTOCOL_VERSION, .user = *user, .device = device,
                                    .token = bytes_of(token, TOKEN_BYTES), .agent = bytes_of_str("talker") };
    talker_send(t, &m);
}

struct talker *talker_open(uint16_t port, const struct user_id *user, struct device_id device,
                           const uint8_t token[static TOKEN_BYTES])
{
    struct talker *t = talker_upgrade(port);
    talker_hello(t, user, device, token);
    t->welcome = talker_expect(t, MSG_WELCOME)->u.welcome;
    t->welcome.server = BYTES_NONE;
    return t;
}

const struct msg_welcome *talker_welcome(const struct talker *t)
{
    return &t->welcome;
}

/* ---- saying ---- */

void talker_send_raw(struct talker *t, struct bytes bytes)
{
    stream_write(t, bytes.at, bytes.len);
}

void talker_send_frame(struct talker *t, uint8_t first, bool masked, struct bytes payload)
{
    uint8_t head[WSFRAME_HEADER_MAX + 4], key[4];
    size_t head_len = wsframe_header(head, WSFRAME_BINARY, payload.len);
    uint8_t *frame = malloc(sizeof head + payload.len);
    if (!frame) fail(t, "out of memory");
    head[0] = first;
    t->mask = t->mask * 1664525u + 1013904223u;
    put_u32(key, masked ? t->mask : 0);
    if (masked) {
        head[1] |= 0x80;
        memcpy(head + head_len, key, 4);
        head_len += 4;
    }
    memcpy(frame, head, head_len);
    for (size_t i = 0; i < payload.len; i++) frame[head_len + i] = payload.at[i] ^ key[i % 4];
    stream_write(t, frame, head_len + payload.len);
    free(frame);
}

void talker_send_binary(struct talker *t, struct bytes payload)
{
    talker_send_frame(t, FIN | WSFRAME_BINARY, true, payload);
}

void talker_send(struct talker *t, const struct msg *msg)
{
    struct buf frame;
    buf_init(&frame, FRAME_BYTES_MAX);
    if (msg_encode(msg, &frame) != 0) fail(t, "the message does not fit a frame");
    talker_send_binary(t, buf_bytes(&frame));
    buf_fini(&frame);
}

uint64_t talker_send_text(struct talker *t, const struct user_id *to, uint64_t client_seq, uint64_t settled,
                          const char *text)
{
    struct buf body;
    buf_init(&body, BODY_BYTES_MAX);
    if (content_text_encode(bytes_of_str(text), &body) != 0) fail(t, "the text does not fit a body");
    struct msg m = { .type = MSG_SEND, .has_ref = true, .ref = talker_ref(t) };
    m.u.send = (struct msg_send){ .to = { .is_user = true, .user = *to }, .client_seq = client_seq,
                                  .settled = settled, .body = buf_bytes(&body) };
    talker_send(t, &m);
    buf_fini(&body);
    return m.ref;
}

void talker_cursor(struct talker *t, enum msg_type type, const struct conv_id *conv, uint64_t seq)
{
    struct msg m = { .type = type };
    m.u.cursor = (struct msg_cursor){ .to = { .conv = *conv }, .seq = seq };
    talker_send(t, &m);
}

uint64_t talker_ref(struct talker *t)
{
    return ++t->ref;
}

/* ---- hearing ---- */

static void enqueue(struct talker *t, struct bytes payload)
{
    struct heard *h = calloc(1, sizeof *h), **last = &t->queue;
    const char *why = NULL;
    if (!h || !(h->at = malloc(payload.len ? payload.len : 1))) fail(t, "out of memory");
    if (payload.len) memcpy(h->at, payload.at, payload.len);
    if (msg_decode(bytes_of(h->at, payload.len), &h->msg, &why) != 0) fail(t, why ? why : "a frame that is no message");
    while (*last) last = &(*last)->next;
    *last = h;
}

static void on_control(struct talker *t, unsigned opcode, struct bytes payload)
{
    if (opcode == OP_PING) talker_send_frame(t, FIN | WSFRAME_PONG, true, payload);
    if (opcode == OP_CLOSE) t->close_code = payload.len >= 2 ? get_u16(payload.at) : 1005;
}

/* Takes one WebSocket frame out of `in`. False when it is not whole yet. */
static bool take_frame(struct talker *t)
{
    const uint8_t *p = t->in.at;
    size_t head = 2, have = t->in.len;
    if (have < 2) return false;
    if ((p[0] & 0xf0) != FIN || (p[1] & 0x80)) fail(t, "a server frame that is masked, in parts or has reserved bits");
    uint64_t len = p[1];
    if (len >= 126) {
        head = len == 126 ? 4 : 10;
        if (have < head) return false;
        len = head == 4 ? get_u16(p + 2) : get_u64(p + 2);
    }
    if (len > FRAME_BYTES_MAX) fail(t, "a server frame over FRAME_BYTES_MAX");
    if (have < head + len) return false;
    struct bytes payload = bytes_of(p + head, (size_t)len);
    unsigned opcode = p[0] & 0x0f;
    if (opcode == WSFRAME_BINARY) enqueue(t, payload);
    else if (opcode >= OP_CLOSE) on_control(t, opcode, payload);
    else fail(t, "a server frame that is not binary");
    drop_front(&t->in, head + (size_t)len);
    return true;
}

/* Reads until one more frame was taken. False when the server has closed. */
static bool hear(struct talker *t, const char *awaited)
{
    if (t->frozen) fail(t, "a frozen talker was asked to read");
    if (t->close_code) return false;
    while (!take_frame(t)) {
        if (stream_read(t, awaited)) continue;
        t->close_code = CODE_NO_CLOSE_FRAME;
        return false;
    }
    return t->close_code == 0;
}

static const struct msg *give(struct talker *t, struct heard **place)
{
    if (t->current) free(t->current->at);
    free(t->current);
    t->current = *place;
    *place = t->current->next;
    return &t->current->msg;
}

/* The first message that has this type (0: any) and, with `ref` not 0, answers it. */
static const struct msg *await(struct talker *t, unsigned type, uint64_t ref, const char *awaited)
{
    struct heard **place = &t->queue;
    for (;;) {
        for (; *place; place = &(*place)->next) {
            const struct msg *m = &(*place)->msg;
            if ((type == 0 || m->type == type) && (ref == 0 || (m->has_ref && m->ref == ref))) return give(t, place);
        }
        if (hear(t, awaited)) continue;
        if (*place) continue;    /* a frame and the close came in one read */
        fprintf(stderr, "talker: closed with %d while waiting for %s\n", t->close_code, awaited);
        fail(t, "the server closed");
    }
}

const struct msg *talker_next(struct talker *t)
{
    return await(t, 0, 0, "any message");
}

const struct msg *talker_expect(struct talker *t, enum msg_type type)
{
    return await(t, type, 0, msg_type_name(type));
}

const struct msg *talker_answer(struct talker *t, uint64_t ref)
{
    return await(t, 0, ref, "the answer to a request");
}

size_t talker_settle(struct talker *t)
{
    struct msg m = { .type = MSG_PING, .has_ref = true, .ref = talker_ref(t) };
    talker_send(t, &m);
    await(t, MSG_PONG, m.ref, "PONG");
    size_t count = 0;
    for (const struct heard *h = t->queue; h; h = h->next) count++;
    return count;
}

int talker_expect_close(struct talker *t)
{
    while (hear(t, "the end of the session")) { }
    return t->close_code;
}

/* ---- going ---- */

void talker_freeze(struct talker *t)
{
    socklen_t len = sizeof t->rcvbuf;
    int small = RCVBUF_FROZEN_BYTES;
    getsockopt(t->fd, SOL_SOCKET, SO_RCVBUF, &t->rcvbuf, &len);
    setsockopt(t->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    t->frozen = true;
}

void talker_thaw(struct talker *t)
{
    int half = t->rcvbuf / 2;    /* the kernel doubles what it is given */
    setsockopt(t->fd, SOL_SOCKET, SO_RCVBUF, &half, sizeof half);
    t->frozen = false;
}

static void talker_free(struct talker *t)
{
    while (t->queue) give(t, &t->queue);
    if (t->current) free(t->current->at);
    free(t->current);
    buf_fini(&t->in);
    close(t->fd);
    free(t);
}

void talker_close(struct talker *t)
{
    if (!t) return;
    uint8_t normal[2];
    put_u16(normal, 1000);
    talker_send_frame(t, FIN | WSFRAME_CLOSE, true, BYTES_OF(normal));
    talker_free(t);
}

void talker_close_hard(struct talker *t)
{
    if (!t) return;
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    talker_free(t);
}
