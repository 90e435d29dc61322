/* listener.c - the door: bind once, accept on each shard, and turn away who is too many.
 *
 * The kernel spreads connections over the shards' SO_REUSEPORT sockets. Who is over a limit is answered (503, or 429
 * for the address's limit) and closed; while too many of those linger the rest are closed without a word.
 *
 * Descriptors belong to the whole process, and the log must be able to open its next file however many people connect:
 * the last of them are not for connections. Should they run out all the same, libuv accepts with one it keeps in
 * reserve and closes at once, so that the loop does not spin.
 *
 * Socket options are set on the listening socket: Linux hands them down to what it accepts, which saves three calls for
 * each connection. */
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->failed = true)
#include <uthash.h>

#include "server/net/inside.h"

enum {
    /* A frozen peer costs the kernel this much at most; what is beyond waits in our queue, counted. One window. */
    LISTENER_SNDBUF_BYTES = 256 * 1024,
    /* Bytes not sent yet above which the socket says "full": so that the queue, and with it falling behind, is felt
     * here and not hidden in the kernel. */
    LISTENER_NOTSENT_BYTES = 64 * 1024,
    REFUSED_LINGERING_MAX = 64,          /* answered with 503 and still there; above it none is answered */
    ACCEPT_AGAIN_MS = 100,
    /* Files of the log and of SQLite's connections, and descriptors that hand-offs hold twice for a moment. */
    FDS_KEPT = 64,
};

/* -- addresses -- */

struct peer_addr {
    char peer[PEER_TEXT];
    uint32_t count;
    bool failed;
    UT_hash_handle hh;
};

uint32_t addr_count(struct net *net, const char *peer)
{
    struct peer_addr *a;
    HASH_FIND_STR(net->addrs, peer, a);
    return a ? a->count : 0;
}

int addr_add(struct net *net, struct conn *c)
{
    struct peer_addr *a;
    assert(!c->counted);
    HASH_FIND_STR(net->addrs, c->peer, a);
    if (!a) {
        a = calloc(1, sizeof *a);
        if (!a) return ERR_NOMEM;
        memcpy(a->peer, c->peer, sizeof a->peer);
        HASH_ADD_STR(net->addrs, peer, a);
        if (a->failed) {
            free(a);
            return ERR_NOMEM;
        }
    }
    a->count++;
    c->counted = true;
    return 0;
}

void addr_remove(struct net *net, struct conn *c)
{
    struct peer_addr *a;
    if (!c->counted) return;
    c->counted = false;
    HASH_FIND_STR(net->addrs, c->peer, a);
    assert(a && a->count > 0);
    if (--a->count > 0) return;
    HASH_DEL(net->addrs, a);
    free(a);
}

/* -- accepting -- */

/* The kernel gives the lowest number that is free. */
static bool is_last_fd(const struct net *net, const struct sock *s)
{
    uv_os_fd_t fd;
    return uv_fileno((const uv_handle_t *)&s->tcp, &fd) == 0 && (uint64_t)fd >= net->fds_max;
}

static uint64_t fds_for_connections(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    return limit.rlim_cur > 2 * FDS_KEPT ? limit.rlim_cur - FDS_KEPT : FDS_KEPT;
}

static void listener_accept(struct net *net)
{
    struct shard *shard = net->shard;
    struct conn *c = conn_new(net);
    struct sock *s = c ? sock_new(net) : NULL;
    if (!s) {
        /* libuv holds the accepted descriptor and listens no further until it is taken. */
        free(c);
        wheel_set(&shard->wheel, &net->accept_again, ACCEPT_AGAIN_MS);
        return;
    }
    bool loopback = false;
    if (uv_accept((uv_stream_t *)&net->listener, (uv_stream_t *)&s->tcp) != 0) {
        free(c);
        sock_close(s);
        return;
    }
    sock_peer(s, c->peer, &loopback);
    c->limited = !loopback && net->config.settings.conns_per_address_max > 0;
    bool full = net->conns_count >= net->config.settings.conns_max || is_last_fd(net, s);
    bool crowd = c->limited && addr_count(net, c->peer) >= net->config.settings.conns_per_address_max;
    if (!full && !crowd && c->limited && addr_add(net, c) != 0) full = true;
    STAT_ADD(&shard->stats, conns_accepted, !full && !crowd);
    STAT_ADD(&shard->stats, conns_refused, full || crowd);
    c->refused = full || crowd;
    if (c->refused && net->refused_count >= REFUSED_LINGERING_MAX) {
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

static void listener_on_connection(uv_stream_t *stream, int status)
{
    struct net *net = stream->data;
    if (status < 0) {
        STAT_ADD(&net->shard->stats, conns_refused, 1);
        return;
    }
    listener_accept(net);
}

static void listener_on_again(struct timeout *t)
{
    struct net *net = (struct net *)((char *)t - offsetof(struct net, accept_again));
    if (net->listening) listener_accept(net);
}

int listener_open(struct net *net, int fd)
{
    int err = uv_tcp_init(&net->shard->loop, &net->listener);
    assert(err == 0);
    net->listener.data = net;
    net->listener_open = true;
    net->accept_again.fire = listener_on_again;
    net->fds_max = fds_for_connections();
    err = uv_tcp_open(&net->listener, fd);
    if (err == 0) err = uv_listen((uv_stream_t *)&net->listener, net->config.backlog, listener_on_connection);
    net->listening = err == 0;
    if (err) listener_close(net);
    return err ? ERR_IO : 0;
}

static void listener_on_closed(uv_handle_t *handle)
{
    struct net *net = handle->data;
    net->listener_open = false;
}

void listener_close(struct net *net)
{
    if (!net->listener_open || uv_is_closing((uv_handle_t *)&net->listener)) return;
    net->listening = false;
    wheel_cancel(&net->shard->wheel, &net->accept_again);
    uv_close((uv_handle_t *)&net->listener, listener_on_closed);
}

/* -- binding -- */

static int why_config(char why[static 128], const char *address, const char *text)
{
    snprintf(why, 128, "%.60s: %s", address, text);
    return ERR_CONFIG;
}

/* "HOST:PORT", "[V6]:PORT", ":PORT" into two strings. */
static int address_split(const char *address, char host[static 256], char port[static 8], char why[static 128])
{
    const char *colon = strrchr(address, ':');
    if (!colon) return why_config(why, address, "no port; write HOST:PORT");
    size_t host_len = (size_t)(colon - address);
    const char *from = address;
    if (host_len >= 2 && from[0] == '[' && from[host_len - 1] == ']') {
        from++;
        host_len -= 2;
    } else if (memchr(from, ':', host_len)) {
        return why_config(why, address, "an IPv6 address is written [ADDRESS]:PORT");
    }
    if (host_len >= 256) return why_config(why, address, "the host name is too long");
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits] || atoi(colon + 1) > 65535) {
        return why_config(why, address, "the port is not 0 to 65535");
    }
    memcpy(host, from, host_len);
    host[host_len] = '\0';
    memcpy(port, colon + 1, digits + 1);
    return 0;
}

static int socket_set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : ERR_IO;
}

static int err_of_bind(int errno_value, const char *address, char why[static 128])
{
    snprintf(why, 128, "%.60s: %s", address, strerror(errno_value));
    if (errno_value == EADDRINUSE) return ERR_IN_USE;
    return errno_value == EADDRNOTAVAIL || errno_value == EACCES ? ERR_CONFIG : ERR_IO;
}

/* backlog 0: only try. */
static int bind_one(const struct addrinfo *a, int backlog, const char *address, int *fd_out, char why[static 128])
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return err_of_bind(errno, address, why);
    int err = socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (!err && backlog) err = socket_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (!err) err = socket_set(fd, SOL_SOCKET, SO_SNDBUF, LISTENER_SNDBUF_BYTES);
    if (!err) err = socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (!err) err = socket_set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, LISTENER_NOTSENT_BYTES);
    if (err || bind(fd, a->ai_addr, a->ai_addrlen) != 0 || (backlog && listen(fd, backlog) != 0)) {
        err = err_of_bind(errno, address, why);
        close(fd);
        return err;
    }
    *fd_out = fd;
    return 0;
}

/* The port the kernel gave for port 0, also for the sockets still to be bound. */
static int port_of(int fd, struct addrinfo *a, uint16_t *port_out)
{
    struct sockaddr_storage got;
    socklen_t len = sizeof got;
    if (getsockname(fd, (struct sockaddr *)&got, &len) != 0) return ERR_IO;
    in_port_t port = got.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&got)->sin6_port
                                               : ((struct sockaddr_in *)&got)->sin_port;
    if (a->ai_family == AF_INET6) ((struct sockaddr_in6 *)a->ai_addr)->sin6_port = port;
    else ((struct sockaddr_in *)a->ai_addr)->sin_port = port;
    *port_out = ntohs(port);
    return 0;
}

static int bind_all(struct addrinfo *a, int backlog, const char *address, uint16_t shards, int *fds_out,
                    uint16_t *port_out, char why[static 128])
{
    /* SO_REUSEPORT would let a second server of the same user share the port in silence, half of the connections each.
     * A first socket without it finds one that listens already, which is why ours listen from here on and not only when
     * their shards run. */
    int probe;
    int err = bind_one(a, 0, address, &probe, why);
    if (err) return err;
    close(probe);
    for (uint16_t i = 0; i < shards; i++) {
        err = bind_one(a, backlog, address, &fds_out[i], why);
        if (!err && i == 0) {
            err = port_of(fds_out[0], a, port_out);
            if (err) close(fds_out[0]);
        }
        if (err) {
            while (i > 0) close(fds_out[--i]);
            return err;
        }
    }
    return 0;
}

int listener_bind(const char *address, uint16_t shards, int backlog, int *fds_out, uint16_t *port_out,
                  char why[static 128])
{
    char host[256], port[8];
    why[0] = '\0';
    assert(backlog > 0);
    int err = address_split(address, host, port, why);
    if (err) return err;
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    /* Everywhere: "::" takes IPv4 too, unless this machine has no IPv6. */
    int gai = getaddrinfo(host[0] ? host : "::", port, &hints, &list);
    if (gai != 0) return why_config(why, address, gai_strerror(gai));
    err = bind_all(list, backlog, address, shards, fds_out, port_out, why);
    freeaddrinfo(list);
    if (err && err != ERR_IN_USE && !host[0] && getaddrinfo("0.0.0.0", port, &hints, &list) == 0) {
        err = bind_all(list, backlog, address, shards, fds_out, port_out, why);
        freeaddrinfo(list);
    }
    return err;
}
