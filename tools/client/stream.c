/* stream.c - TCP and TLS to a server (see stream.h). The one file of the client that knows OpenSSL's TLS. */
#include "tools/client/stream.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/client/lookup.h"

enum stream_state { STREAM_LOOKUP, STREAM_CONNECTING, STREAM_HANDSHAKE, STREAM_OPEN };

struct stream {
    enum stream_state state;
    int fd;
    struct url url;
    struct lookup *lookup;        /* LOOKUP: under way */
    struct addrinfo *addresses;   /* all that the name has */
    struct addrinfo *next;        /* not tried yet */
    uint64_t due_ms;              /* LOOKUP, HANDSHAKE: give up; CONNECTING: give this address up */
    SSL_CTX *ctx;
    SSL *ssl;                     /* NULL: plain */
    short wants;                  /* what TLS waits for */
};

/* ---- URL ---- */

static bool is_port(const char *s)
{
    size_t len = strspn(s, "0123456789");
    long port = strtol(s, NULL, 10);
    return len > 0 && len <= 5 && s[len] == '\0' && port > 0 && port <= 65535;
}

int url_parse(const char *text, struct url *out, char why[static WHY_MAX])
{
    memset(out, 0, sizeof *out);
    out->tls = strncmp(text, "wss://", 6) == 0;
    if (!out->tls && strncmp(text, "ws://", 5) != 0) {
        snprintf(why, WHY_MAX, "the server \"%.100s\" is no URL of the form ws://HOST:PORT or wss://HOST", text);
        return ERR_CONFIG;
    }
    const char *host = text + (out->tls ? 6 : 5);
    bool bracketed = *host == '[';
    size_t len = bracketed ? strcspn(++host, "]") : strcspn(host, ":/");
    const char *behind = host + len + (bracketed && host[len] == ']');
    snprintf(why, WHY_MAX, "the server \"%.100s\" has no proper host name", text);
    if (len == 0 || len >= sizeof out->host || strcspn(host, " \t\r\n@?#%") < len) return ERR_CONFIG;
    if (bracketed && host[len] != ']') return ERR_CONFIG;
    memcpy(out->host, host, len);
    snprintf(out->port, sizeof out->port, "%s", out->tls ? "443" : "80");
    char port[64];
    size_t port_len = *behind == ':' ? strcspn(behind + 1, "/") : 0;
    const char *path = behind + (*behind == ':') + port_len;
    snprintf(why, WHY_MAX, "the port in \"%.100s\" is not a number from 1 to 65535", text);
    if (port_len >= sizeof port) return ERR_CONFIG;
    if (*behind == ':') {
        memcpy(port, behind + 1, port_len);
        port[port_len] = '\0';
        if (!is_port(port)) return ERR_CONFIG;
        memcpy(out->port, port, port_len + 1);
    }
    snprintf(why, WHY_MAX, "leave the path out of \"%.100s\": it is always /v1/", text);
    if (strcmp(path, "") != 0 && strcmp(path, "/") != 0) return ERR_CONFIG;
    why[0] = '\0';
    return 0;
}

/* ---- TCP ---- */

/* "HOST:PORT: what happened", and what people can do about it. */
static void say_connect(const struct stream *s, int failure, char why[static WHY_MAX])
{
    const char *advice = "";
    if (failure == ECONNREFUSED) advice = " (is the server running there? is this its port?)";
    else if (failure == ENETUNREACH || failure == EHOSTUNREACH) advice = " (is this device on the network?)";
    snprintf(why, WHY_MAX, "%.100s:%s: %s%s", s->url.host, s->url.port, strerror(failure), advice);
}

/* Begins to connect to the next address that allows it. ERR_PEER: there is none left. */
static int connect_next(struct stream *s, uint64_t now_ms, char why[static WHY_MAX])
{
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
    for (; s->next; s->next = s->next->ai_next) {
        int one = 1;
        s->fd = socket(s->next->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (s->fd < 0) continue;
        setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (connect(s->fd, s->next->ai_addr, s->next->ai_addrlen) == 0 || errno == EINPROGRESS) {
            s->next = s->next->ai_next;
            s->due_ms = now_ms + CONNECT_MS_MAX;
            return 0;
        }
        say_connect(s, errno, why);
        close(s->fd);
        s->fd = -1;
    }
    return ERR_PEER;
}

static int connect_advance(struct stream *s, uint64_t now_ms, char why[static WHY_MAX])
{
    struct pollfd p = { .fd = s->fd, .events = POLLOUT };
    int failure = 0;
    socklen_t len = sizeof failure;
    if (poll(&p, 1, 0) > 0) {
        getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &failure, &len);
        if (failure == 0) return 0;
        say_connect(s, failure, why);
    } else {
        if (now_ms < s->due_ms) return ERR_AGAIN;
        snprintf(why, WHY_MAX, "%.100s:%s: no answer within %d s (a firewall? another address?)", s->url.host,
                 s->url.port, CONNECT_MS_MAX / 1000);
    }
    int err = connect_next(s, now_ms, why);
    return err ? err : ERR_AGAIN;
}

/* ERR_AGAIN as long as there is no answer, and then once more: the first connect has begun. */
static int lookup_advance(struct stream *s, uint64_t now_ms, char why[static WHY_MAX])
{
    const char *reason = "";
    int err = lookup_take(s->lookup, &s->addresses, &reason);
    if (err == ERR_AGAIN && now_ms < s->due_ms) return err;
    if (err == ERR_AGAIN) {
        snprintf(why, WHY_MAX, "%.100s: nobody knew this name within %d s (is this device on the network?)",
                 s->url.host, LOOKUP_MS_MAX / 1000);
        return ERR_PEER;
    }
    if (err) {
        snprintf(why, WHY_MAX, "%.100s: %s (is the name right? is this device on the network?)", s->url.host, reason);
        return err;
    }
    lookup_drop(s->lookup);
    s->lookup = NULL;
    s->next = s->addresses;
    s->state = STREAM_CONNECTING;
    err = connect_next(s, now_ms, why);
    return err ? err : ERR_AGAIN;
}

/* ---- TLS ---- */

static void say_tls(const struct stream *s, char why[static WHY_MAX])
{
    char reason[160];
    long verdict = s->ssl ? SSL_get_verify_result(s->ssl) : X509_V_OK;
    ERR_error_string_n(ERR_peek_last_error(), reason, sizeof reason);
    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
        snprintf(why, WHY_MAX, "the certificate is not trusted: it is not for %.100s (use the name that it is for)",
                 s->url.host);
    else if (verdict == X509_V_ERR_CERT_HAS_EXPIRED || verdict == X509_V_ERR_CERT_NOT_YET_VALID)
        snprintf(why, WHY_MAX, "the certificate is not trusted: %.80s (is the clock of this device right?)",
                 X509_verify_cert_error_string(verdict));
    else if (verdict != X509_V_OK)
        snprintf(why, WHY_MAX, "the certificate is not trusted: %.80s (its authority can be given with --ca FILE)",
                 X509_verify_cert_error_string(verdict));
    else if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_WRONG_VERSION_NUMBER)
        snprintf(why, WHY_MAX, "TLS failed: %.100s:%s does not speak it (a server without TLS is ws://)", s->url.host,
                 s->url.port);
    else snprintf(why, WHY_MAX, "TLS failed: %s", ERR_peek_last_error() ? reason : "the server closed the connection");
    ERR_clear_error();
}

static bool is_address(const char *host)
{
    uint8_t v[16];
    return inet_pton(AF_INET, host, v) == 1 || inet_pton(AF_INET6, host, v) == 1;
}

static int tls_make(struct stream *s, const char *ca_file, char why[static WHY_MAX])
{
    s->ctx = SSL_CTX_new(TLS_client_method());
    if (!s->ctx) return ERR_NOMEM;
    SSL_CTX_set_min_proto_version(s->ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(s->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (ca_file ? SSL_CTX_load_verify_file(s->ctx, ca_file) != 1 : SSL_CTX_set_default_verify_paths(s->ctx) != 1) {
        snprintf(why, WHY_MAX, "cannot read the certificates in %.150s", ca_file ? ca_file : "the system's store");
        return ERR_CONFIG;
    }
    s->ssl = SSL_new(s->ctx);
    if (!s->ssl) return ERR_NOMEM;
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);
    int ok = is_address(s->url.host)
        ? X509_VERIFY_PARAM_set1_ip_asc(param, s->url.host)
        : SSL_set1_host(s->ssl, s->url.host) && SSL_set_tlsext_host_name(s->ssl, s->url.host);
    return ok ? 0 : ERR_NOMEM;
}

/* What an SSL_ call that did not succeed means. */
static int tls_result(struct stream *s, int rc)
{
    switch (SSL_get_error(s->ssl, rc)) {
    case SSL_ERROR_WANT_READ: s->wants = POLLIN; return ERR_AGAIN;
    case SSL_ERROR_WANT_WRITE: s->wants = POLLOUT; return ERR_AGAIN;
    case SSL_ERROR_ZERO_RETURN: return ERR_PEER;
    default: return ERR_IO;
    }
}

static int handshake_advance(struct stream *s, char why[static WHY_MAX])
{
    ERR_clear_error();
    int rc = SSL_connect(s->ssl);
    if (rc == 1) return 0;
    int err = tls_result(s, rc);
    if (err == ERR_AGAIN) return err;
    say_tls(s, why);
    return SSL_get_verify_result(s->ssl) != X509_V_OK ? ERR_AUTH : err;
}

/* ---- the face ---- */

int stream_open(const struct url *url, const char *ca_file, uint64_t now_ms, struct stream **out,
                char why[static WHY_MAX])
{
    struct stream *s = calloc(1, sizeof *s);
    why[0] = '\0';
    if (!s) return ERR_NOMEM;
    s->fd = -1;
    s->url = *url;
    int err = url->tls ? tls_make(s, ca_file, why) : 0;
    s->state = STREAM_LOOKUP;
    s->due_ms = now_ms + LOOKUP_MS_MAX;
    if (!err) err = lookup_start(url->host, url->port, &s->lookup);
    if (err) {
        stream_close(s);
        return err;
    }
    *out = s;
    return 0;
}

void stream_close(struct stream *s)
{
    if (!s) return;
    if (s->ssl && s->state == STREAM_OPEN) SSL_shutdown(s->ssl);    /* close_notify; its answer is not waited for */
    ERR_clear_error();
    SSL_free(s->ssl);
    SSL_CTX_free(s->ctx);
    lookup_drop(s->lookup);
    if (s->addresses) freeaddrinfo(s->addresses);
    if (s->fd >= 0) close(s->fd);
    free(s);
}

int stream_advance(struct stream *s, uint64_t now_ms, char why[static WHY_MAX])
{
    int err = 0;
    if (s->state == STREAM_LOOKUP) err = lookup_advance(s, now_ms, why);
    if ((!err || err == ERR_AGAIN) && s->state == STREAM_CONNECTING) {
        err = connect_advance(s, now_ms, why);
        if (!err && s->ssl) {
            s->state = STREAM_HANDSHAKE;
            s->due_ms = now_ms + CONNECT_MS_MAX;
            SSL_set_fd(s->ssl, s->fd);
        } else if (!err) {
            s->state = STREAM_OPEN;
        }
    }
    if (!err && s->state == STREAM_HANDSHAKE) {
        err = handshake_advance(s, why);
        if (!err) s->state = STREAM_OPEN;
        if (err == ERR_AGAIN && now_ms >= s->due_ms) {
            snprintf(why, WHY_MAX, "the TLS handshake did not end within %d s", CONNECT_MS_MAX / 1000);
            err = ERR_PEER;
        }
    }
    return err;
}

int stream_fd(const struct stream *s)
{
    return s->state == STREAM_LOOKUP ? lookup_fd(s->lookup) : s->fd;
}

short stream_events(const struct stream *s)
{
    if (s->state == STREAM_LOOKUP) return POLLIN;
    if (s->state == STREAM_CONNECTING) return POLLOUT;
    return s->ssl && s->wants ? s->wants : POLLIN;
}

uint64_t stream_due_ms(const struct stream *s)
{
    return s->state == STREAM_OPEN ? UINT64_MAX : s->due_ms;
}

static ssize_t tcp_result(ssize_t n)
{
    if (n > 0) return n;
    if (n == 0) return ERR_PEER;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return ERR_AGAIN;
    return errno == ECONNRESET || errno == EPIPE ? ERR_PEER : ERR_IO;
}

ssize_t stream_read(struct stream *s, void *to, size_t len)
{
    assert(s->state == STREAM_OPEN && len > 0);
    if (!s->ssl) return tcp_result(recv(s->fd, to, len, 0));
    size_t n = 0;
    ERR_clear_error();
    s->wants = 0;
    int rc = SSL_read_ex(s->ssl, to, len, &n);
    return rc == 1 ? (ssize_t)n : tls_result(s, rc);
}

ssize_t stream_write(struct stream *s, const void *from, size_t len)
{
    assert(s->state == STREAM_OPEN && len > 0);
    if (!s->ssl) return tcp_result(send(s->fd, from, len, MSG_NOSIGNAL));
    size_t n = 0;
    ERR_clear_error();
    s->wants = 0;
    int rc = SSL_write_ex(s->ssl, from, len, &n);
    return rc == 1 ? (ssize_t)n : tls_result(s, rc);
}
