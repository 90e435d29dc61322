/* listener.c - the doors of one shard: accept, and turn away who is too many.
 *
 * The kernel spreads connections over the shards' sockets (listening.h). Who is over a limit is answered (503, or 429
 * for the address's limit) and closed; while too many of those linger, and where an answer would cost a handshake, the
 * rest are closed without a word.
 *
 * Descriptors belong to the whole process, and the log must be able to open its next file however many people connect:
 * the last of them are not for connections. Should they run out all the same, libuv accepts with one it keeps in
 * reserve and closes at once, so that the loop does not spin. */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "server/net/inside.h"

enum {
    REFUSED_LINGERING_MAX = 64,          /* answered with 503 and still there; above it none is answered */
    ACCEPT_AGAIN_MS = 100,
    /* Files of the log and of SQLite's connections, and descriptors that hand-offs hold twice for a moment. */
    FDS_KEPT = 64,
};

/* The kernel gives the lowest number that is free. */
static bool is_last_fd(const struct net *net, const struct sock *s)
{
    uv_os_fd_t fd;
    return uv_fileno(&s->uv.handle, &fd) == 0 && (uint64_t)fd >= net->fds_max;
}

static uint64_t fds_for_connections(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    return limit.rlim_cur > 2 * FDS_KEPT ? limit.rlim_cur - FDS_KEPT : FDS_KEPT;
}

static void door_accept(struct door *door)
{
    struct net *net = door->net;
    struct shard *shard = net->shard;
    struct conn *c = conn_new(net);
    bool is_unix = door->kind == DOOR_UNIX;
    struct sock *s = c ? sock_new(net, is_unix) : NULL;
    door->waiting = !s;
    if (!s) {
        /* libuv holds the accepted descriptor and listens no further until it is taken. */
        free(c);
        wheel_set(&shard->wheel, &net->accept_again, ACCEPT_AGAIN_MS);
        return;
    }
    bool loopback = false;
    if (uv_accept(&door->uv.stream, &s->uv.stream) != 0) {
        free(c);
        sock_close(s);
        return;
    }
    sock_peer(s, c->peer, &loopback);
    c->is_unix = is_unix;
    bool full = net->conns_count >= net->config.settings.conns_max || is_last_fd(net, s);
    /* The proxy itself has no limit; whom it brings is known when a request has come. */
    int entered = full || c->is_unix ? 0 : addr_enter(net, c, loopback);
    bool crowd = entered == ERR_RATE;
    full = full || entered == ERR_NOMEM;
    STAT_ADD(&shard->stats, conns_accepted, !full && !crowd);
    STAT_ADD(&shard->stats, conns_refused, full || crowd);
    c->refused = full || crowd;
    c->told_tls = door->kind == DOOR_REDIRECT ? TOLD_ELSEWHERE : TOLD_NOTHING;
    bool secure = door->kind == DOOR_TCP && net->certs;
    bool silent = c->refused && (secure || net->refused_count >= REFUSED_LINGERING_MAX);
    if (silent || (secure && secure_begin(c) != 0)) {
        free(c);
        sock_close(s);
        return;
    }
    conn_start(c, s);
    say(c->refused ? SAY_WARN : SAY_DEBUG, c->refused ? "conn_refused" : "conn_opened", SAY_CONN(c->id),
        SAY_TEXT("peer", c->peer),
        SAY_TEXT("why", crowd ? "connections_per_address_max" : full ? "connections_max" : "ok"));
    if (crowd) {
        answer_refusal(c, 429, "too many connections from this address");
    } else if (full) {
        answer_refusal(c, 503, "too many connections");
    } else {
        wheel_set(&shard->wheel, &c->timer, net->config.settings.request_ms);
    }
}

static void door_on_connection(uv_stream_t *stream, int status)
{
    struct door *door = stream->data;
    if (status < 0) {
        STAT_ADD(&door->net->shard->stats, conns_refused, 1);
        return;
    }
    door_accept(door);
}

static void listener_on_again(struct timeout *t)
{
    struct net *net = (struct net *)((char *)t - offsetof(struct net, accept_again));
    for (uint16_t i = 0; i < net->doors_count; i++) {
        if (net->doors[i].waiting) door_accept(&net->doors[i]);
    }
}

static int door_open(struct door *door, int fd)
{
    struct net *net = door->net;
    bool is_unix = door->kind == DOOR_UNIX;
    int err = stream_init(&door->uv, net->shard, is_unix);
    assert(err == 0);
    door->uv.handle.data = door;
    door->open = true;
    net->doors_open++;
    err = stream_open(&door->uv, is_unix, fd);
    if (err) {
        sock_close_fd(fd);
        return err;
    }
    return uv_listen(&door->uv.stream, net->config.backlog, door_on_connection) == 0 ? 0 : ERR_IO;
}

int listener_open(struct net *net, struct listening *listening)
{
    uint16_t count = listening_count(listening);
    int err = 0;
    net->accept_again.fire = listener_on_again;
    net->fds_max = fds_for_connections();
    net->doors = calloc(count, sizeof *net->doors);
    if (!net->doors) return ERR_NOMEM;
    for (uint16_t i = 0; i < count && !err; i++) {
        struct door *door = &net->doors[net->doors_count];
        int fd = listening_take(listening, i, net->shard->id, &door->kind);
        if (fd < 0) continue;
        net->doors_count++;
        door->net = net;
        err = door_open(door, fd);
    }
    if (err) listener_close(net);
    return err;
}

static void door_on_closed(uv_handle_t *handle)
{
    struct door *door = handle->data;
    door->open = false;
    door->net->doors_open--;
}

void listener_close(struct net *net)
{
    wheel_cancel(&net->shard->wheel, &net->accept_again);
    for (uint16_t i = 0; i < net->doors_count; i++) {
        struct door *door = &net->doors[i];
        door->waiting = false;
        if (door->open && !uv_is_closing(&door->uv.handle)) uv_close(&door->uv.handle, door_on_closed);
    }
}
