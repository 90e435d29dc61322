/* relay.c - one thread around poll(), which does one small thing at a time (see relay.h). */
#include "tests/harness/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAIRS_MAX = 16, CLIENT = 0, SERVER = 1, PIECE_BYTES = 4096 };

/* A connection, and ours to the server for it. An end of a side is passed on, and both go when both have ended. */
struct pair {
    int fd[2];                    /* of CLIENT and SERVER; -1: no pair */
    bool ended[2];                /* it says no more */
};

struct relay {
    pthread_t thread;
    int listener, wake;
    uint16_t port, to_port;
    /* -- below: the relay's thread only -- */
    struct pair pairs[PAIRS_MAX];
    /* -- below: under the lock -- */
    pthread_mutex_t lock;
    uint64_t passed[2], limit[2];
    bool for_good, has_cut, closing;
};

static void check(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    abort();
}

static void pair_close(struct pair *p)
{
    for (int side = 0; side < 2; side++) {
        close(p->fd[side]);
        p->fd[side] = -1;
        p->ended[side] = false;
    }
}

static int dial(uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(fd >= 0, "socket");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
    close(fd);
    return -1;
}

static void pair_open(struct relay *r)
{
    const int on = 1;
    int client = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
    check(client >= 0, "accept");
    pthread_mutex_lock(&r->lock);
    bool gone = r->has_cut && r->for_good;
    pthread_mutex_unlock(&r->lock);
    int server = gone ? -1 : dial(r->to_port);
    struct pair *p = r->pairs;
    while (p < r->pairs + PAIRS_MAX && p->fd[CLIENT] >= 0) p++;
    check(p < r->pairs + PAIRS_MAX, "too many connections");
    if (server < 0) {
        close(client);
        return;
    }
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *p = (struct pair){ { client, server }, { false, false } };
}

/* False: the other side has gone. */
static bool write_all(int fd, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* How many of `len` bytes from this side may go through; *cut: and then it is over. */
static size_t allowance(struct relay *r, int side, size_t len, bool *cut)
{
    pthread_mutex_lock(&r->lock);
    uint64_t left = r->has_cut ? UINT64_MAX : r->limit[side] - r->passed[side];
    *cut = len >= left;
    if (*cut) len = (size_t)left;
    r->passed[side] += len;
    pthread_mutex_unlock(&r->lock);
    return len;
}

/* Noted before anybody can learn of it by its end of the connection, and behind all that was let through. */
static void note_cut(struct relay *r)
{
    pthread_mutex_lock(&r->lock);
    r->has_cut = true;
    pthread_mutex_unlock(&r->lock);
}

static void pass_on(struct relay *r, struct pair *p, int side)
{
    char piece[PIECE_BYTES];
    bool cut = false;
    ssize_t n = recv(p->fd[side], piece, sizeof piece, 0);
    if (n <= 0) {
        p->ended[side] = true;
        shutdown(p->fd[!side], SHUT_WR);
        if (n < 0 || p->ended[!side]) pair_close(p);
        return;
    }
    size_t len = allowance(r, side, (size_t)n, &cut);
    bool gone = !write_all(p->fd[!side], piece, len);
    if (cut) note_cut(r);
    if (gone || cut) pair_close(p);
}

static bool is_closing(struct relay *r)
{
    pthread_mutex_lock(&r->lock);
    bool closing = r->closing;
    pthread_mutex_unlock(&r->lock);
    return closing;
}

static void *run(void *arg)
{
    struct relay *r = arg;
    struct pollfd fds[2 + 2 * PAIRS_MAX];
    while (!is_closing(r)) {
        fds[0] = (struct pollfd){ .fd = r->listener, .events = POLLIN };
        fds[1] = (struct pollfd){ .fd = r->wake, .events = POLLIN };
        for (int i = 0; i < PAIRS_MAX; i++) {
            for (int side = 0; side < 2; side++) {
                int fd = r->pairs[i].ended[side] ? -1 : r->pairs[i].fd[side];
                fds[2 + 2 * i + side] = (struct pollfd){ .fd = fd, .events = POLLIN };
            }
        }
        check(poll(fds, 2 + 2 * PAIRS_MAX, -1) > 0 || errno == EINTR, "poll");
        for (int i = 0; i < PAIRS_MAX; i++) {
            for (int side = 0; side < 2; side++) {
                if (fds[2 + 2 * i + side].revents && r->pairs[i].fd[side] >= 0) pass_on(r, &r->pairs[i], side);
            }
        }
        if (fds[0].revents) pair_open(r);
    }
    for (int i = 0; i < PAIRS_MAX; i++) {
        if (r->pairs[i].fd[CLIENT] >= 0) pair_close(&r->pairs[i]);
    }
    return NULL;
}

struct relay *relay_open(uint16_t to_port)
{
    struct relay *r = calloc(1, sizeof *r);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    check(r, "memory");
    for (int i = 0; i < PAIRS_MAX; i++) r->pairs[i].fd[CLIENT] = r->pairs[i].fd[SERVER] = -1;
    r->to_port = to_port;
    r->limit[CLIENT] = r->limit[SERVER] = RELAY_NEVER;
    pthread_mutex_init(&r->lock, NULL);
    r->wake = eventfd(0, EFD_CLOEXEC);
    r->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(r->wake >= 0 && r->listener >= 0, "socket");
    check(bind(r->listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(r->listener, PAIRS_MAX) == 0, "listen");
    check(getsockname(r->listener, (struct sockaddr *)&at, &len) == 0, "getsockname");
    r->port = ntohs(at.sin_port);
    check(pthread_create(&r->thread, NULL, run, r) == 0, "thread");
    return r;
}

void relay_close(struct relay *r)
{
    const uint64_t one = 1;
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->closing = true;
    pthread_mutex_unlock(&r->lock);
    check(write(r->wake, &one, sizeof one) == sizeof one, "wake");
    pthread_join(r->thread, NULL);
    close(r->listener);
    close(r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

uint16_t relay_port(const struct relay *r)
{
    return r->port;
}

void relay_cut(struct relay *r, uint64_t client_bytes, uint64_t server_bytes, bool for_good)
{
    pthread_mutex_lock(&r->lock);
    r->passed[CLIENT] = r->passed[SERVER] = 0;
    r->limit[CLIENT] = client_bytes;
    r->limit[SERVER] = server_bytes;
    r->for_good = for_good;
    r->has_cut = false;
    pthread_mutex_unlock(&r->lock);
}

static uint64_t passed(struct relay *r, int side)
{
    pthread_mutex_lock(&r->lock);
    uint64_t bytes = r->passed[side];
    pthread_mutex_unlock(&r->lock);
    return bytes;
}

uint64_t relay_client_bytes(struct relay *r) { return passed(r, CLIENT); }
uint64_t relay_server_bytes(struct relay *r) { return passed(r, SERVER); }

bool relay_has_cut(struct relay *r)
{
    pthread_mutex_lock(&r->lock);
    bool has = r->has_cut;
    pthread_mutex_unlock(&r->lock);
    return has;
}
