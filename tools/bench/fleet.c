/* fleet.c - the sessions of the load generator. */
#include "tools/bench/fleet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/bench/bench.h"

enum {
    READ_BYTES = 256 * 1024,
    EVENTS_MAX = 512,              /* handled in one turn */
    CONNECTING_MAX = 256,          /* not yet LIVE at one time: below a listener's backlog */
    OPEN_SECONDS_MAX = 120,        /* last resort against a server that hangs */
};

static const char upgrade_request[] =
    "GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: " SUBPROTOCOL "\r\n\r\n";

/* ---- writing ---- */

static void peer_put(struct fleet *f, struct peer *p, const void *at, size_t len)
{
    buf_put(&p->out, at, len);
    if (p->out.err) die("no memory for what is said");
    if (p->dirty) return;
    p->dirty = true;
    f->dirty[f->dirty_count++] = p;
}

/* A masked frame, as clients must send. The mask is always the same: it protects proxies from pages in browsers, and
 * costs the server what any other would. */
static void peer_put_frame(struct fleet *f, struct peer *p, enum wsframe_opcode opcode, struct bytes payload)
{
    static const uint8_t mask[4] = { 0x5a, 0xc3, 0x96, 0x3c };
    uint8_t head[WSFRAME_HEADER_MAX + sizeof mask];
    size_t len = wsframe_header(head, opcode, payload.len);
    head[1] |= 0x80;
    memcpy(head + len, mask, sizeof mask);
    peer_put(f, p, head, len + sizeof mask);
    uint8_t *to = buf_grow(&p->out, payload.len);
    if (!to && payload.len > 0) die("no memory for what is said");
    for (size_t i = 0; i < payload.len; i++) to[i] = payload.at[i] ^ mask[i % sizeof mask];
}

void fleet_say(struct fleet *f, struct peer *p, const struct msg *msg)
{
    buf_clear(&f->frame);
    if (msg_encode(msg, &f->frame) != 0) die("cannot encode %s", msg_type_name(msg->type));
    peer_put_frame(f, p, WSFRAME_BINARY, buf_bytes(&f->frame));
}

static void peer_watch(struct fleet *f, struct peer *p, int op, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = p };
    if (epoll_ctl(f->epoll, op, p->fd, &event) != 0) die("epoll: %s", strerror(errno));
}

/* What a socket does not take at once stays in `out` until epoll says that there is room. */
static void peer_write(struct fleet *f, struct peer *p)
{
    ssize_t n = send(p->fd, p->out.at, p->out.len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) die("user %u: write: %s", p->number, strerror(errno));
    if ((size_t)n == p->out.len) {
        buf_clear(&p->out);
        return;
    }
    if (n > 0) {
        memmove(p->out.at, p->out.at + n, p->out.len - (size_t)n);
        p->out.len -= (size_t)n;
    }
    peer_watch(f, p, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void fleet_flush(struct fleet *f)
{
    for (uint32_t i = 0; i < f->dirty_count; i++) {
        f->dirty[i]->dirty = false;
        peer_write(f, f->dirty[i]);
    }
    f->dirty_count = 0;
}

/* ---- reading ---- */

static void peer_say_hello(struct fleet *f, struct peer *p)
{
    uint8_t token[TOKEN_BYTES];
    bench_token(p->number, token);
    struct msg msg = { .type = MSG_HELLO, .has_ref = true, .ref = 1 };
    msg.u.hello = (struct msg_hello){ .version = PROTOCOL_VERSION, .user = bench_user(p->number),
                                      .device = bench_device(p->number), .token = BYTES_OF(token),
                                      .agent = bytes_of_str("pipit-bench") };
    fleet_say(f, p, &msg);
    p->state = PEER_HELLO;
}

static void peer_on_message(struct fleet *f, struct peer *p, struct bytes payload)
{
    struct msg msg;
    const char *why;
    if (msg_decode(payload, &msg, &why) != 0) die("user %u: cannot read a frame: %s", p->number, why);
    if (msg.type == MSG_ERROR)
        die("user %u: error %.*s: %.*s", p->number, (int)msg.u.error.name.len, (const char *)msg.u.error.name.at,
            (int)msg.u.error.text.len, (const char *)msg.u.error.text.at);
    if (msg.type == MSG_GOODBYE)
        die("user %u: goodbye: %.*s", p->number, (int)msg.u.goodbye.text.len, (const char *)msg.u.goodbye.text.at);
    if (p->state == PEER_HELLO && msg.type == MSG_WELCOME) {
        p->client_seq_max = msg.u.welcome.client_seq_max;
        p->state = PEER_SYNCING;
    } else if (p->state == PEER_SYNCING && msg.type == MSG_SYNCED) {
        p->state = PEER_LIVE;
        f->live++;
    } else if (p->state == PEER_SYNCING && msg.type == MSG_RECEIPT) {
        /* cursors that moved since this device was last here: not of this run */
    } else if (p->state == PEER_LIVE && f->on_message) {
        f->on_message(f, p, &msg);
    } else {
        die("user %u: %s was not expected now", p->number, msg_type_name(msg.type));
    }
}

static void peer_on_frame(struct fleet *f, struct peer *p, uint8_t first, struct bytes payload)
{
    switch (first) {
    case 0x80 | WSFRAME_BINARY:
        peer_on_message(f, p, payload);
        return;
    case 0x80 | WSFRAME_PING:
        peer_put_frame(f, p, WSFRAME_PONG, payload);
        return;
    case 0x80 | WSFRAME_CLOSE:
        die("user %u: closed with %d %.*s", p->number, payload.len >= 2 ? get_u16(payload.at) : 0,
            payload.len > 2 ? (int)payload.len - 2 : 0, payload.len > 2 ? (const char *)payload.at + 2 : "");
    default:
        die("user %u: a frame that begins with 0x%02x", p->number, first);
    }
}

/* Takes one step of `in`; returns the bytes used, 0: more are needed. */
static size_t peer_step(struct fleet *f, struct peer *p, struct bytes in)
{
    if (p->state == PEER_UPGRADING) {
        const uint8_t *end = memmem(in.at, in.len, "\r\n\r\n", 4);
        if (!end) return 0;
        if (in.len < 12 || memcmp(in.at, "HTTP/1.1 101", 12) != 0)
            die("user %u: no upgrade: %.*s", p->number, (int)(in.len < 60 ? in.len : 60), (const char *)in.at);
        peer_say_hello(f, p);
        return (size_t)(end + 4 - in.at);
    }
    if (in.len < 2) return 0;
    size_t head = 2, len = in.at[1];
    if (len == 126) {
        if (in.len < 4) return 0;
        len = get_u16(in.at + 2);
        head = 4;
    } else if (len >= 127) {
        die("user %u: a frame of over 64 KiB", p->number);
    }
    if (in.len < head + len) return 0;
    peer_on_frame(f, p, in.at[0], bytes_of(in.at + head, len));
    return head + len;
}

static void peer_read(struct fleet *f, struct peer *p)
{
    /* The start of a frame kept from last time goes in front. */
    size_t kept = p->in.len;
    if (kept > 0) memcpy(f->room, p->in.at, kept);
    buf_clear(&p->in);
    ssize_t n = read(p->fd, f->room + kept, READ_BYTES - kept);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        die("user %u: the connection ended: %s", p->number, n == 0 ? "closed" : strerror(errno));
    struct bytes in = { f->room, kept + (size_t)(n > 0 ? n : 0) };
    size_t used;
    while ((used = peer_step(f, p, in)) > 0) {
        in.at += used;
        in.len -= used;
    }
    if (in.len > 0) buf_put(&p->in, in.at, in.len);
    if (p->in.err) die("no memory for what is heard");
}

static void peer_on_writable(struct fleet *f, struct peer *p)
{
    if (p->state == PEER_CONNECTING) {
        int err = 0;
        socklen_t len = sizeof err;
        getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &err, &len);
        if (err != 0) die("user %u: connect: %s", p->number, strerror(err));
        p->state = PEER_UPGRADING;
        peer_put(f, p, upgrade_request, sizeof upgrade_request - 1);
    }
    peer_watch(f, p, EPOLL_CTL_MOD, EPOLLIN);
    if (p->out.len > 0 && !p->dirty) peer_write(f, p);
}

void fleet_turn(struct fleet *f, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(f->epoll, events, EVENTS_MAX, timeout_ms);
    if (n < 0 && errno != EINTR) die("epoll: %s", strerror(errno));
    f->now_ns = now_ns();
    for (int i = 0; i < n; i++) {
        struct peer *p = events[i].data.ptr;
        if (events[i].events & EPOLLOUT) peer_on_writable(f, p);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) peer_read(f, p);
    }
    fleet_flush(f);
}

/* ---- opening and closing ---- */

static void peer_connect(struct fleet *f, struct peer *p)
{
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0) die("socket: %s (ulimit -n?)", strerror(errno));
    int on = 1;
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(f->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (connect(p->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    p->state = PEER_CONNECTING;
    peer_watch(f, p, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

void fleet_open(struct fleet *f, uint16_t port, uint32_t count)
{
    *f = (struct fleet){ .count = count, .port = port };
    f->epoll = epoll_create1(EPOLL_CLOEXEC);
    f->peers = calloc(count, sizeof *f->peers);
    f->dirty = calloc(count, sizeof *f->dirty);
    f->room = malloc(READ_BYTES);
    if (f->epoll < 0 || !f->peers || !f->dirty || !f->room) die("no memory for %u peers", count);
    buf_init(&f->frame, FRAME_BYTES_MAX);

    uint64_t give_up = now_ns() + OPEN_SECONDS_MAX * UINT64_C(1000000000);
    for (uint32_t begun = 0; f->live < count;) {
        while (begun < count && begun - f->live < CONNECTING_MAX) {
            struct peer *p = &f->peers[begun];
            p->number = begun++;
            buf_init(&p->in, READ_BYTES / 2);
            buf_init(&p->out, READ_BYTES);
            peer_connect(f, p);
        }
        fleet_turn(f, 1000);
        if (f->now_ns > give_up) die("only %u of %u sessions are live after %d s", f->live, count, OPEN_SECONDS_MAX);
    }
}

void fleet_close(struct fleet *f)
{
    for (uint32_t i = 0; i < f->count; i++) {
        close(f->peers[i].fd);
        buf_fini(&f->peers[i].in);
        buf_fini(&f->peers[i].out);
    }
    close(f->epoll);
    buf_fini(&f->frame);
    free(f->room);
    free(f->dirty);
    free(f->peers);
}
