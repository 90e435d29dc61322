/* peer.c - see peer.h. */
#include "tests/harness/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tests/harness/feed.h"

enum { PEER_IN_BYTES_MAX = 1 << 24, OP_CLOSE = 8 };

__attribute__((noreturn)) static void fail(const char *awaited, const char *why)
{
    fprintf(stderr, "peer: waiting for %s: %s\n", awaited, why);
    abort();
}

static const char *tls_ca_file;              /* NULL: plain */

void peer_speak_tls(const char *ca_file)
{
    tls_ca_file = ca_file;
}

static void shake_hands(struct peer *p)
{
    p->ctx = SSL_CTX_new(TLS_client_method());
    if (!p->ctx || SSL_CTX_load_verify_locations(p->ctx, tls_ca_file, NULL) != 1) fail("TLS", tls_ca_file);
    SSL_CTX_set_verify(p->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(p->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    p->ssl = SSL_new(p->ctx);
    if (!p->ssl || SSL_set1_host(p->ssl, "localhost") != 1 || SSL_set_tlsext_host_name(p->ssl, "localhost") != 1 ||
        SSL_set_fd(p->ssl, p->fd) != 1) fail("TLS", "out of memory");
    ERR_clear_error();
    if (SSL_connect(p->ssl) == 1) return;
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    fail("a TLS handshake", why ? why : "the stream ended");
}

/* `source`: the address to come from, or NULL. */
static struct peer *dial(const struct sockaddr_in *source, const struct sockaddr *to, socklen_t len)
{
    struct timeval last_resort = { .tv_sec = PEER_LAST_RESORT_S };
    int one = 1;
    struct peer *p = calloc(1, sizeof *p);
    if (!p) abort();
    p->fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->fd < 0) fail("a connection", strerror(errno));
    setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &last_resort, sizeof last_resort);
    setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &last_resort, sizeof last_resort);
    if (to->sa_family != AF_UNIX) setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (source && bind(p->fd, (const struct sockaddr *)source, sizeof *source) != 0)
        fail("an address to come from", strerror(errno));
    if (connect(p->fd, to, len) != 0) fail("a connection", strerror(errno));
    buf_init(&p->in, PEER_IN_BYTES_MAX);
    buf_init(&p->out, PEER_IN_BYTES_MAX);
    buf_init(&p->body, PEER_IN_BYTES_MAX);
    if (tls_ca_file && to->sa_family != AF_UNIX) shake_hands(p);
    return p;
}

struct peer *peer_dial_to(const char *host, uint16_t port)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) return dial(NULL, (const struct sockaddr *)&v4, sizeof v4);
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) != 1) fail("a connection", "not an address");
    return dial(NULL, (const struct sockaddr *)&v6, sizeof v6);
}

struct peer *peer_dial_from(const char *source, uint16_t port)
{
    struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET, .sin_port = htons(port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (inet_pton(AF_INET, source, &from.sin_addr) != 1) fail("a connection", "not an address");
    return dial(&from, (const struct sockaddr *)&to, sizeof to);
}

struct peer *peer_dial_unix(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof at.sun_path) fail("a connection", "the path is too long");
    strcpy(at.sun_path, path);
    return dial(NULL, (const struct sockaddr *)&at, sizeof at);
}

struct peer *peer_dial(uint16_t port)
{
    return peer_dial_to("127.0.0.1", port);
}

bool peer_has_ipv6(void)
{
    struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0) close(fd);
    return has;
}

struct peer *peer_open(uint16_t port)
{
    struct peer *p = peer_dial(port);
    peer_puts(p, PEER_UPGRADE);
    peer_expect_upgrade(p);
    return p;
}

void peer_free(struct peer *p)
{
    if (!p) return;
    SSL_free(p->ssl);
    SSL_CTX_free(p->ctx);
    close(p->fd);
    buf_fini(&p->in);
    buf_fini(&p->out);
    buf_fini(&p->body);
    free(p);
}

void peer_reset(struct peer *p)
{
    struct linger none = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    peer_free(p);
}

/* -- saying -- */

/* As send() and recv(): what is -1 has its errno. The end of the socket is the end, whether TLS was told or not. */
static ssize_t put_some(struct peer *p, struct bytes b)
{
    if (!p->ssl) return send(p->fd, b.at, b.len, MSG_NOSIGNAL);
    size_t n = 0;
    ERR_clear_error();
    errno = 0;
    if (SSL_write_ex(p->ssl, b.at, b.len, &n) == 1) return (ssize_t)n;
    if (errno == 0) errno = ECONNRESET;
    return -1;
}

static ssize_t get_some(struct peer *p, void *to, size_t room)
{
    if (!p->ssl) return recv(p->fd, to, room, 0);
    size_t n = 0;
    ERR_clear_error();
    errno = 0;
    if (SSL_read_ex(p->ssl, to, room, &n) == 1) return (ssize_t)n;
    return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : 0;
}

bool peer_put(struct peer *p, struct bytes b)
{
    while (b.len) {
        ssize_t n = put_some(p, b);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) fail("room to write", "the server does not read");
        if (n < 0) return false;
        b = bytes_of(b.at + n, b.len - (size_t)n);
    }
    return true;
}

size_t peer_put_now(struct peer *p, struct bytes b)
{
    int flags = fcntl(p->fd, F_GETFL);
    fcntl(p->fd, F_SETFL, flags | O_NONBLOCK);
    ssize_t n = put_some(p, b);
    fcntl(p->fd, F_SETFL, flags);
    return n > 0 ? (size_t)n : 0;
}

bool peer_puts(struct peer *p, const char *text)
{
    return peer_put(p, bytes_of_str(text));
}

bool peer_frame(struct peer *p, uint8_t first, struct bytes payload)
{
    buf_clear(&p->out);
    feed_frame(&p->out, first, true, payload);
    return peer_put(p, buf_bytes(&p->out));
}

bool peer_say(struct peer *p, const char *text)
{
    return peer_frame(p, 0x82, bytes_of_str(text));
}

void peer_end(struct peer *p)
{
    if (p->ssl) (void)SSL_shutdown(p->ssl);
    shutdown(p->fd, SHUT_WR);
}

/* -- hearing -- */

static bool fill(struct peer *p, const char *awaited)
{
    uint8_t chunk[64 * 1024];
    ssize_t n;
    do n = get_some(p, chunk, sizeof chunk);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) fail(awaited, "nothing comes");
    if (n <= 0) return false;
    buf_put(&p->in, chunk, (size_t)n);
    return true;
}

static void fill_to(struct peer *p, size_t len, const char *awaited)
{
    while (p->in.len < len) {
        if (!fill(p, awaited)) fail(awaited, "the stream ended");
    }
}

static void drop(struct peer *p, size_t len)
{
    memmove(p->in.at, p->in.at + len, p->in.len - len);
    p->in.len -= len;
}

static void take_body(struct peer *p, size_t at, size_t len)
{
    buf_clear(&p->body);
    if (len) buf_put(&p->body, p->in.at + at, len);
    buf_put_u8(&p->body, 0);
    p->body.len--;
    drop(p, at + len);
}

static int take_answer(struct peer *p, bool has_body)
{
    const char *end;
    int status;
    while (!p->in.len || !(end = memmem(p->in.at, p->in.len, "\r\n\r\n", 4))) {
        if (!fill(p, "an HTTP answer")) fail("an HTTP answer", "the stream ended");
    }
    size_t head_len = (size_t)(end - (const char *)p->in.at) + 4;
    snprintf(p->head, sizeof p->head, "%.*s", (int)head_len, (const char *)p->in.at);
    if (sscanf(p->head, "HTTP/1.1 %3d ", &status) != 1) fail("an HTTP answer", p->head);
    const char *length = strstr(p->head, "\r\nContent-Length: ");
    size_t body_len = length && has_body ? strtoul(length + 18, NULL, 10) : 0;
    fill_to(p, head_len + body_len, "an HTTP body");
    take_body(p, head_len, body_len);
    return status;
}

int peer_answer(struct peer *p)
{
    return take_answer(p, true);
}

int peer_answer_to_head(struct peer *p)
{
    return take_answer(p, false);
}

bool peer_has_line(const struct peer *p, const char *line)
{
    const char *at = strstr(p->head, line);
    return at && at[-1] == '\n' && at[strlen(line)] == '\r';
}

void peer_expect_upgrade(struct peer *p)
{
    if (peer_answer(p) != 101) fail("101", p->head);
    if (!peer_has_line(p, "Sec-WebSocket-Accept: " PEER_ACCEPT)) fail("the accept key", p->head);
    if (!peer_has_line(p, "Sec-WebSocket-Protocol: pipit.v1")) fail("the subprotocol", p->head);
}

bool peer_next(struct peer *p)
{
    while (p->in.len < 2) {
        if (fill(p, "a frame")) continue;
        if (p->in.len) fail("a frame", "the stream ended within one");
        return false;
    }
    p->first = p->in.at[0];
    if (p->in.at[1] & 0x80) fail("a frame", "a server must not mask");
    size_t len = p->in.at[1], header = len == 126 ? 4 : len == 127 ? 10 : 2;
    fill_to(p, header, "a frame's length");
    if (len == 126) len = get_u16(p->in.at + 2);
    else if (len == 127) len = get_u64(p->in.at + 2);
    fill_to(p, header + len, "a frame's payload");
    take_body(p, header, len);
    return true;
}

void peer_expect(struct peer *p, const char *text)
{
    if (!peer_next(p)) fail(text, "the stream ended");
    if (p->first == 0x82 && bytes_equal(buf_bytes(&p->body), bytes_of_str(text))) return;
    char got[128];
    snprintf(got, sizeof got, "got %02x \"%.80s\"", p->first, (const char *)p->body.at);
    fail(text, got);
}

bool peer_ended(struct peer *p)
{
    return p->in.len == 0 && !fill(p, "the end");
}

int peer_expect_close(struct peer *p)
{
    do {
        if (!peer_next(p)) fail("a close frame", "the stream ended");
    } while ((p->first & 0x0f) != OP_CLOSE);
    int code = p->body.len >= 2 ? get_u16(p->body.at) : 1005;
    peer_end(p);
    if (!peer_ended(p)) fail("the end", "bytes behind a close frame");
    return code;
}
