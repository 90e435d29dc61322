/* link_world.h - what the tests of link.c share: a server that is played byte by byte, and the turns of a link to it.
 *
 * Each test has a server of one connection: a thread that does what its function says. What is waited for is an event;
 * LAST_RESORT_MS only turns a hang into a failure. */
#ifndef PIPIT_TESTS_LINK_WORLD_H
#define PIPIT_TESTS_LINK_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/client/link.h"

enum { LAST_RESORT_MS = 30000, HEARD_MAX = 4096 };

struct peer {                     /* the server's side of a connection */
    int fd;
    char heard[HEARD_MAX];        /* a request: head and body */
    size_t heard_len;
    bool slow;                    /* one byte in each write */
};

struct fixture {
    int listener;
    struct url url;
    pthread_t thread;
    void (*play)(struct peer *p);
    struct peer peer;
    struct link *link;
    char frames[8][64];           /* what on_frame was given */
    size_t frame_count;
    int frame_answer;             /* what on_frame says to it */
};

/* ---- the server's side; no assertion here: cmocka's belong to the main thread ---- */

static inline void say(struct peer *p, const void *at, size_t len)
{
    const char *bytes = at;
    while (len > 0) {
        ssize_t n = send(p->fd, bytes, p->slow ? 1 : len, MSG_NOSIGNAL);
        if (n <= 0) return;
        bytes += n;
        len -= (size_t)n;
    }
}

static inline void say_text(struct peer *p, const char *text)
{
    say(p, text, strlen(text));
}

static inline void hear(struct peer *p, void *to, size_t len)
{
    uint8_t *bytes = to;
    while (len > 0) {
        ssize_t n = recv(p->fd, bytes, len, 0);
        if (n <= 0) {
            memset(bytes, 0, len);
            return;
        }
        bytes += n;
        len -= (size_t)n;
    }
}

static inline void hear_head(struct peer *p)
{
    while (p->heard_len < HEARD_MAX - 1 && !strstr(p->heard, "\r\n\r\n")) {
        hear(p, p->heard + p->heard_len, 1);
        p->heard[++p->heard_len] = '\0';
    }
}

static inline void accept_key(const struct peer *p, char out[static 32])
{
    char joined[128] = "";
    uint8_t digest[20];
    const char *key = strstr(p->heard, "Sec-WebSocket-Key: ");
    snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key ? key + 19 : "");
    EVP_Digest(joined, strlen(joined), digest, NULL, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)out, digest, sizeof digest);
}

static inline void upgrade(struct peer *p)
{
    char accept[32], answer[256];
    hear_head(p);
    accept_key(p, accept);
    snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nConnection: Upgrade\r\n"
             "sec-websocket-accept:  %s \r\nSec-WebSocket-Protocol: pipit.v1\r\n\r\n", accept);
    say_text(p, answer);
}

static inline void say_frame(struct peer *p, uint8_t first, const char *payload, size_t len)
{
    uint8_t head[WSFRAME_HEADER_MAX];
    size_t head_len = wsframe_header(head, WSFRAME_BINARY, len);
    head[0] = first;
    say(p, head, head_len);
    say(p, payload, len);
}

/* A masked frame under 126 bytes: its first byte, its key, its payload unmasked. 0: it was not masked. */
static inline uint8_t hear_frame(struct peer *p, uint8_t key[static 4], char payload[static 128])
{
    uint8_t head[2];
    hear(p, head, 2);
    size_t len = head[1] & 0x7f;
    if (!(head[1] & 0x80) || len > 125) return 0;
    hear(p, key, 4);
    hear(p, payload, len);
    for (size_t i = 0; i < len; i++) payload[i] ^= (char)key[i % 4];
    payload[len] = '\0';
    return head[0];
}

static inline void wait_for_end(struct peer *p)
{
    char byte;
    while (recv(p->fd, &byte, 1, 0) > 0) { }
}

static inline void *serve(void *arg)
{
    struct fixture *f = arg;
    struct timeval last_resort = { .tv_sec = LAST_RESORT_MS / 1000 };
    f->peer.fd = accept(f->listener, NULL, NULL);
    if (f->peer.fd < 0) return NULL;
    setsockopt(f->peer.fd, SOL_SOCKET, SO_RCVTIMEO, &last_resort, sizeof last_resort);
    f->play(&f->peer);
    close(f->peer.fd);
    return NULL;
}

static inline void play_other_language(struct peer *p)
{
    hear_head(p);
    say_text(p, "220 mail.example ESMTP\r\n\r\n");
    wait_for_end(p);
}

/* ---- this side ---- */

static inline int on_frame(void *arg, struct bytes frame)
{
    struct fixture *f = arg;
    if (f->frame_count < 8 && frame.len < 64) {
        memcpy(f->frames[f->frame_count], frame.at, frame.len);
        f->frames[f->frame_count][frame.len] = '\0';
    }
    f->frame_count++;
    return f->frame_answer;
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    char text[64], why[WHY_MAX];
    if (!f || sodium_init() < 0) return -1;
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(f->listener, (struct sockaddr *)&at, sizeof at) || listen(f->listener, 1)) return -1;
    getsockname(f->listener, (struct sockaddr *)&at, &len);
    snprintf(text, sizeof text, "ws://127.0.0.1:%u", ntohs(at.sin_port));
    if (url_parse(text, &f->url, why)) return -1;
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    link_close(f->link);
    close(f->listener);
    free(f);
    return 0;
}

static inline void start(struct fixture *f, void (*play)(struct peer *p))
{
    f->play = play;
    assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
}

/* The connection ends and the server has done its part. */
static inline void finish(struct fixture *f)
{
    link_close(f->link);
    f->link = NULL;
    assert_int_equal(pthread_join(f->thread, NULL), 0);
}

static inline void open_link(struct fixture *f)
{
    static const struct link_ops ops = { .on_frame = on_frame };
    char why[WHY_MAX];
    assert_int_equal(link_open(&f->url, NULL, &ops, f, &f->link, why), 0);
}

/* One wait and one advance. */
static inline int turn(struct fixture *f)
{
    struct pollfd p = { .fd = link_fd(f->link), .events = link_events(f->link) };
    assert_true(poll(&p, 1, LAST_RESORT_MS) > 0);
    return link_advance(f->link);
}

static inline void until_up(struct fixture *f)
{
    while (!link_is_up(f->link)) assert_int_equal(turn(f), 0);
}

static inline int until_closed(struct fixture *f)
{
    int err;
    while (!(err = turn(f))) { }
    return err;
}

static inline void until_frames(struct fixture *f, size_t count)
{
    while (f->frame_count < count) assert_int_equal(turn(f), 0);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
