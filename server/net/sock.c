/* sock.c - the libuv handle of one connection.
 *
 * It knows how to read into the shard's one buffer, write, and close; what bytes mean is conn.c's. The handle belongs
 * to its loop for life: a connection that moves leaves it behind and gets a new one over there.
 *
 * TCP and Unix sockets are one stream to all that reads and writes. Their handles differ in size, and the larger one is
 * the rarer: each sock has only as many bytes as its own kind needs. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/net/inside.h"

static int err_of_uv(int status)
{
    switch (status) {
    case UV_EOF:        return ERR_END;
    case UV_EPIPE:
    case UV_ECONNRESET: return ERR_PEER;
    case UV_ENOMEM:     return ERR_NOMEM;
    default:            return ERR_IO;
    }
}

static int sock_fd(const struct sock *s)
{
    uv_os_fd_t fd = -1;
    (void)uv_fileno(&s->uv.handle, &fd);
    return fd;
}

int stream_init(union stream *uv, struct shard *shard, bool is_unix)
{
    int err = is_unix ? uv_pipe_init(&shard->loop, &uv->pipe, 0) : uv_tcp_init(&shard->loop, &uv->tcp);
    return err == 0 ? 0 : ERR_IO;
}

int stream_open(union stream *uv, bool is_unix, int fd)
{
    int err = is_unix ? uv_pipe_open(&uv->pipe, fd) : uv_tcp_open(&uv->tcp, fd);
    return err == 0 ? 0 : ERR_IO;
}

struct sock *sock_new(struct net *net, bool is_unix)
{
    size_t uv_bytes = is_unix ? sizeof(uv_pipe_t) : sizeof(uv_tcp_t);
    struct sock *s = malloc(offsetof(struct sock, uv) + uv_bytes);
    if (!s) return NULL;
    s->conn = NULL;
    s->net = net;
    s->reading = false;
    s->is_unix = is_unix;
    int err = stream_init(&s->uv, net->shard, is_unix);     /* makes no descriptor, so it cannot fail */
    assert(err == 0);
    s->uv.handle.data = s;
    net->socks++;
    return s;
}

int sock_open(struct sock *s, int fd)
{
    return stream_open(&s->uv, s->is_unix, fd);
}

static void sock_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct sock *s = handle->data;
    (void)suggested;
    *buf = uv_buf_init((char *)s->net->read_buf, CONN_READ_BYTES);
}

static void sock_on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct sock *s = stream->data;
    if (nread > 0) {
        secure_on_input(s->conn, bytes_of(buf->base, (size_t)nread));
    } else if (nread < 0) {                                  /* 0 is libuv's "try again" */
        s->reading = false;                                  /* libuv has stopped by itself */
        conn_on_read_end(s->conn, err_of_uv((int)nread));
    }
}

void sock_read(struct sock *s, bool on)
{
    if (s->reading == on) return;
    s->reading = on;
    if (!on) {
        uv_read_stop(&s->uv.stream);
    } else if (uv_read_start(&s->uv.stream, sock_on_alloc, sock_on_read) != 0) {
        s->reading = false;
        conn_on_read_end(s->conn, ERR_IO);
    }
}

size_t sock_waiting_bytes(const struct sock *s)
{
    return uv_stream_get_write_queue_size(&s->uv.stream);
}

ssize_t sock_try_write(struct sock *s, const uv_buf_t *bufs, unsigned count)
{
    int n = uv_try_write(&s->uv.stream, bufs, count);
    STAT_ADD(&s->net->shard->stats, writes, 1);
    if (n >= 0) return n;
    return n == UV_EAGAIN ? 0 : err_of_uv(n);
}

static void sock_on_written(uv_write_t *req, int status)
{
    struct sock *s = req->handle->data;
    free(req);
    conn_on_written(s->conn, status == 0 ? 0 : err_of_uv(status));
}

int sock_write(struct sock *s, const uv_buf_t *bufs, unsigned count)
{
    uv_write_t *req = malloc(sizeof *req);
    if (!req) return ERR_NOMEM;
    int err = uv_write(req, &s->uv.stream, bufs, count, sock_on_written);
    STAT_ADD(&s->net->shard->stats, writes, 1);
    if (err == 0) return 0;
    free(req);
    return err_of_uv(err);
}

bool sock_has_ended(struct sock *s)
{
    struct pollfd p = { .fd = sock_fd(s), .events = POLLRDHUP };
    return poll(&p, 1, 0) > 0;                               /* also a reset, which needs no asking for */
}

void sock_shutdown(struct sock *s)
{
    /* uv_shutdown() would want a request to wait for writes, and there are none. An error means that the peer has
     * gone, which reading will tell. */
    (void)shutdown(sock_fd(s), SHUT_WR);
}

int sock_dup(struct sock *s)
{
    return fcntl(sock_fd(s), F_DUPFD_CLOEXEC, 0);
}

void sock_close_fd(int fd)
{
    /* Through libuv, as all sockets here are closed: it calls the kernel behind the thread sanitizer's back, which
     * would take the number for the descriptor that last had it in its sight. */
    uv_fs_t req;
    (void)uv_fs_close(NULL, &req, fd, NULL);
    uv_fs_req_cleanup(&req);
}

static void sock_on_closed(uv_handle_t *handle)
{
    struct sock *s = handle->data;
    struct conn *c = s->conn;
    s->net->socks--;
    free(s);
    if (c) conn_on_sock_closed(c);
}

void sock_close(struct sock *s)
{
    s->reading = false;
    uv_close(&s->uv.handle, sock_on_closed);
}

void sock_peer(struct sock *s, char out[static PEER_TEXT], bool *loopback_out)
{
    struct sockaddr_storage a;
    int len = sizeof a;
    *loopback_out = false;
    strcpy(out, s->is_unix ? "unix" : "?");
    if (s->is_unix || uv_tcp_getpeername(&s->uv.tcp, (struct sockaddr *)&a, &len) != 0) return;
    (void)peer_of_address((const struct sockaddr *)&a, out, loopback_out);
}
