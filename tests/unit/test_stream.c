/* test_stream.c - URLs are read strictly, and TLS trusts only the right certificate with the right name.
 *
 * Certificates are made here, each its own authority. The server is a thread that answers one connection by sending
 * back what it gets. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/client/link.h"

enum { LAST_RESORT_MS = 30000, ECHO_BYTES = 200 * 1024 };

struct fixture {
    int listener;
    uint16_t port;
    pthread_t thread;
    EVP_PKEY *key;
    X509 *certificate;            /* NULL: plain */
    char ca_file[64];
    struct stream *stream;
    char why[WHY_MAX];
};

/* ---- certificates ---- */

static X509 *certificate_for(EVP_PKEY *key, const char *names)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 24 * 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, key);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    X509_add_ext(x, san, -1);
    X509_add_ext(x, ca, -1);
    X509_EXTENSION_free(san);
    X509_EXTENSION_free(ca);
    return X509_sign(x, key, EVP_sha256()) ? x : NULL;
}

static void trust(struct fixture *f, X509 *certificate)
{
    strcpy(f->ca_file, "/tmp/pipit-ca-XXXXXX");
    int fd = mkstemp(f->ca_file);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    fclose(file);
}

/* ---- the server: no assertion here, cmocka's belong to the main thread ---- */

static void echo_plain(int fd)
{
    char room[4096];
    ssize_t n;
    while ((n = recv(fd, room, sizeof room, 0)) > 0)
        if (send(fd, room, (size_t)n, MSG_NOSIGNAL) != n) break;
}

static void echo_tls(struct fixture *f, int fd)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(ctx, f->certificate);
    SSL_CTX_use_PrivateKey(ctx, f->key);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    char room[4096];
    int n = SSL_accept(ssl);
    while (n > 0 && (n = SSL_read(ssl, room, sizeof room)) > 0) n = SSL_write(ssl, room, n);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

static void *serve(void *arg)
{
    struct fixture *f = arg;
    struct timeval last_resort = { .tv_sec = LAST_RESORT_MS / 1000 };
    int fd = accept(f->listener, NULL, NULL);
    if (fd < 0) return NULL;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &last_resort, sizeof last_resort);
    if (f->certificate) echo_tls(f, fd);
    else echo_plain(fd);
    close(fd);
    return NULL;
}

/* ---- the fixture ---- */

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    if (!f) return -1;
    f->key = EVP_EC_gen("P-256");
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!f->key || bind(f->listener, (struct sockaddr *)&at, sizeof at) || listen(f->listener, 1)) return -1;
    getsockname(f->listener, (struct sockaddr *)&at, &len);
    f->port = ntohs(at.sin_port);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->ca_file[0]) unlink(f->ca_file);
    X509_free(f->certificate);
    EVP_PKEY_free(f->key);
    close(f->listener);
    free(f);
    return 0;
}

/* Connects to `host` and waits for what comes of it: 0 or an error. */
static int dial(struct fixture *f, const char *scheme, const char *host)
{
    char text[128];
    struct url url;
    int err;
    snprintf(text, sizeof text, "%s://%s:%u", scheme, host, f->port);
    assert_int_equal(url_parse(text, &url, f->why), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
    err = stream_open(&url, f->ca_file[0] ? f->ca_file : NULL, mono_ms(), &f->stream, f->why);
    assert_int_equal(err, 0);
    while ((err = stream_advance(f->stream, mono_ms(), f->why)) == ERR_AGAIN) {
        struct pollfd p = { .fd = stream_fd(f->stream), .events = stream_events(f->stream) };
        assert_true(poll(&p, 1, LAST_RESORT_MS) > 0);
    }
    return err;
}

static void hang_up(struct fixture *f)
{
    stream_close(f->stream);
    f->stream = NULL;
    assert_int_equal(pthread_join(f->thread, NULL), 0);
}

/* Writes and reads at once, as the two directions allow, and compares. */
static void echo(struct fixture *f)
{
    uint8_t *out = malloc(ECHO_BYTES), *in = malloc(ECHO_BYTES);
    size_t written = 0, got = 0;
    assert_non_null(out);
    assert_non_null(in);
    for (size_t i = 0; i < ECHO_BYTES; i++) out[i] = (uint8_t)(i * 31 + i / 251);
    while (got < ECHO_BYTES) {
        ssize_t w = written < ECHO_BYTES ? stream_write(f->stream, out + written, ECHO_BYTES - written) : ERR_AGAIN;
        if (w > 0) written += (size_t)w;
        else assert_int_equal(w, ERR_AGAIN);
        ssize_t r = stream_read(f->stream, in + got, ECHO_BYTES - got);
        if (r > 0) got += (size_t)r;
        else assert_int_equal(r, ERR_AGAIN);
        if (w > 0 || r > 0) continue;
        struct pollfd p = { .fd = stream_fd(f->stream),
                            .events = (short)(stream_events(f->stream) | (written < ECHO_BYTES ? POLLOUT : 0)) };
        assert_true(poll(&p, 1, LAST_RESORT_MS) > 0);
    }
    assert_memory_equal(in, out, ECHO_BYTES);
    free(out);
    free(in);
}

/* ---- claims ---- */

static void urls_name_host_and_port(void **state)
{
    static const struct { const char *text, *host, *port; bool tls; } good[] = {
        { "ws://127.0.0.1:8700", "127.0.0.1", "8700", false },
        { "ws://example.org", "example.org", "80", false },
        { "wss://example.org", "example.org", "443", true },
        { "wss://example.org/", "example.org", "443", true },
        { "wss://example.org:1/", "example.org", "1", true },
        { "ws://[::1]:65535", "::1", "65535", false },
        { "wss://[2001:db8::1]", "2001:db8::1", "443", true },
    };
    char why[WHY_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct url url;
        assert_int_equal(url_parse(good[i].text, &url, why), 0);
        assert_string_equal(url.host, good[i].host);
        assert_string_equal(url.port, good[i].port);
        assert_int_equal(url.tls, good[i].tls);
        assert_string_equal(why, "");
    }
}

static void what_is_no_url_is_refused_with_a_reason(void **state)
{
    static const char *const bad[] = {
        "", "example.org", "http://example.org", "ws:/example.org", "WS://x", "ws://", "ws://:80", "ws://a b",
        "ws://user@host", "ws://host:0", "ws://host:65536", "ws://host:", "ws://host:8x", "ws://host:-1",
        "ws://host/v1/ws", "ws://host:80/x", "ws://[::1", "ws://[]:80", "ws://[::1]x", "ws://host?x", "ws://host#x",
        "ws://host:00000000000000000000000000000000000000000000000000000000000000000000000000080",
    };
    char why[WHY_MAX], longest[400] = "ws://";
    struct url url;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        why[0] = '\0';
        assert_int_equal(url_parse(bad[i], &url, why), ERR_CONFIG);
        assert_true(why[0] != '\0');
    }
    memset(longest + 5, 'a', URL_HOST_MAX - 1);
    assert_int_equal(url_parse(longest, &url, why), 0);
    longest[5 + URL_HOST_MAX - 1] = 'a';
    assert_int_equal(url_parse(longest, &url, why), ERR_CONFIG);
}

static void plain_bytes_go_and_come(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(dial(f, "ws", "127.0.0.1"), 0);
    echo(f);
    hang_up(f);
}

static void a_name_is_tried_at_all_its_addresses(void **state)
{
    struct fixture *f = *state;
    /* Where localhost is ::1 too, nobody listens there. */
    assert_int_equal(dial(f, "ws", "localhost"), 0);
    echo(f);
    hang_up(f);
}

static void a_trusted_certificate_with_the_right_name_is_taken(void **state)
{
    struct fixture *f = *state;
    static const char *const hosts[] = { "localhost", "127.0.0.1" };
    f->certificate = certificate_for(f->key, "DNS:localhost,IP:127.0.0.1");
    trust(f, f->certificate);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(dial(f, "wss", hosts[i]), 0);
        echo(f);
        hang_up(f);
    }
}

static void a_certificate_nobody_vouches_for_is_refused(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *other_key = EVP_EC_gen("P-256");
    X509 *other = certificate_for(other_key, "DNS:localhost");
    f->certificate = certificate_for(f->key, "DNS:localhost");
    trust(f, other);
    assert_int_equal(dial(f, "wss", "localhost"), ERR_AUTH);
    assert_non_null(strstr(f->why, "not trusted"));
    hang_up(f);
    unlink(f->ca_file);
    f->ca_file[0] = '\0';    /* the system's store does not know it either */
    assert_int_equal(dial(f, "wss", "localhost"), ERR_AUTH);
    hang_up(f);
    X509_free(other);
    EVP_PKEY_free(other_key);
}

static void a_certificate_for_another_name_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const hosts[] = { "localhost", "127.0.0.1" };
    f->certificate = certificate_for(f->key, "DNS:example.org,IP:127.0.0.2");
    trust(f, f->certificate);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(dial(f, "wss", hosts[i]), ERR_AUTH);
        hang_up(f);
    }
}

static void a_server_without_tls_is_told_apart_from_a_bad_certificate(void **state)
{
    struct fixture *f = *state;
    int err = dial(f, "wss", "127.0.0.1");    /* it echoes our own hello */
    assert_true(err != 0 && err != ERR_AUTH);
    assert_true(f->why[0] != '\0');
    hang_up(f);
}

static void a_missing_certificate_file_is_a_mistake_in_the_command(void **state)
{
    struct fixture *f = *state;
    struct url url;
    assert_int_equal(url_parse("wss://127.0.0.1", &url, f->why), 0);
    assert_int_equal(stream_open(&url, "/nowhere/ca.pem", mono_ms(), &f->stream, f->why), ERR_CONFIG);
    assert_non_null(strstr(f->why, "/nowhere/ca.pem"));
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_name_host_and_port),
        cmocka_unit_test(what_is_no_url_is_refused_with_a_reason),
        CLAIM(plain_bytes_go_and_come),
        CLAIM(a_name_is_tried_at_all_its_addresses),
        CLAIM(a_trusted_certificate_with_the_right_name_is_taken),
        CLAIM(a_certificate_nobody_vouches_for_is_refused),
        CLAIM(a_certificate_for_another_name_is_refused),
        CLAIM(a_server_without_tls_is_told_apart_from_a_bad_certificate),
        CLAIM(a_missing_certificate_file_is_a_mistake_in_the_command),
    };
    signal(SIGPIPE, SIG_IGN);    /* TLS writes with write() */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
