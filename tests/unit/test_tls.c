/* test_tls.c - a struct tls against OpenSSL's own client, with nothing but memory between them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "proto/err.h"
#include "server/net/tls.h"
#include "tests/harness/certbox.h"
#include "tests/harness/chance.h"

enum { ROOM = 1 << 20, PERIOD_MS = CERTS_TICKET_S * 1000 };
static const uint64_t T0 = UINT64_C(1000) * PERIOD_MS + 5;

/* How what goes to the server is cut. */
enum cut { WHOLE, BYTES, RANDOM };

struct pair {
    struct tls *tls;
    SSL_CTX *ctx;
    SSL *ssl;
    enum cut cut;
    uint64_t wall_ms, random;
    uint8_t *heard;                   /* what the server was told */
    size_t heard_len;
    int err;                          /* the server's last */
    SSL_SESSION *session;             /* the last ticket's */
};

static int setup(void **state)
{
    (void)state;
    certbox_issue("one", "one.example", "localhost", 30);
    certbox_issue("two", "two.example", "*.two.example", 30);
    return 0;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct pair *p = SSL_get_app_data(ssl);
    SSL_SESSION_free(p->session);
    p->session = session;
    return 1;                         /* it is ours now */
}

static void pair_open(struct pair *p, struct certs *certs, enum cut cut)
{
    char ca[CERTBOX_PATH];
    *p = (struct pair){ .cut = cut, .wall_ms = T0, .random = run_seed() };
    assert_int_equal(tls_new(certs, &p->tls), 0);
    p->heard = malloc(ROOM);
    p->ctx = SSL_CTX_new(TLS_client_method());
    certbox_path("ca.pem", ca);
    SSL_CTX_load_verify_file(p->ctx, ca);
    SSL_CTX_set_verify(p->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(p->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(p->ctx, on_session);
    p->ssl = SSL_new(p->ctx);
    SSL_set_app_data(p->ssl, p);
    SSL_set_bio(p->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(p->ssl);
    SSL_set_tlsext_host_name(p->ssl, "one.example");
}

static void pair_close(struct pair *p)
{
    tls_free(p->tls);
    SSL_set_shutdown(p->ssl, SSL_SENT_SHUTDOWN);          /* or OpenSSL would spoil its session */
    SSL_free(p->ssl);
    SSL_CTX_free(p->ctx);
    SSL_SESSION_free(p->session);
    free(p->heard);
}

static void to_server(struct pair *p, const uint8_t *at, size_t len)
{
    uint8_t *plain = malloc(len + TLS_FEED_MORE);
    size_t plain_len = 0;
    assert_non_null(plain);
    p->err = tls_feed(p->tls, bytes_of(at, len), p->wall_ms, plain, &plain_len);
    assert_true(p->heard_len + plain_len <= ROOM);
    memcpy(p->heard + p->heard_len, plain, plain_len);
    p->heard_len += plain_len;
    free(plain);
}

/* Both ways until nothing moves, or the server has ended. */
static void pump(struct pair *p)
{
    static uint8_t wire[ROOM];
    BIO *from = SSL_get_wbio(p->ssl), *to = SSL_get_rbio(p->ssl);
    for (bool moved = true; moved && !p->err;) {
        moved = false;
        if (!SSL_is_init_finished(p->ssl)) (void)SSL_do_handshake(p->ssl);
        int n = BIO_read(from, wire, sizeof wire);
        for (int at = 0; at < n && !p->err;) {
            size_t rest = (size_t)(n - at);
            size_t take = p->cut == WHOLE ? rest : p->cut == BYTES ? 1 : 1 + chance_below(&p->random, rest);
            to_server(p, wire + at, take);
            at += (int)take;
            moved = true;
        }
        struct bytes out = tls_out(p->tls);
        if (out.len == 0) continue;
        BIO_write(to, out.at, (int)out.len);
        tls_took(p->tls, out.len);
        moved = true;
    }
    ERR_clear_error();
}

/* The client reads what has come; its length. */
static size_t client_hears(struct pair *p, uint8_t *to, size_t room)
{
    size_t len = 0, got;
    while (len < room && SSL_read_ex(p->ssl, to + len, room - len, &got) == 1) len += got;
    ERR_clear_error();
    return len;
}

static void shake(struct pair *p)
{
    static uint8_t nothing[16];
    pump(p);
    assert_int_equal(p->err, 0);
    assert_true(SSL_is_init_finished(p->ssl) && tls_is_open(p->tls));
    assert_int_equal(client_hears(p, nothing, sizeof nothing), 0);       /* but tickets */
}

/* -- bytes both ways -- */

static void exchange(int version, enum cut cut)
{
    struct certs *certs = certbox_load("one", 1);
    struct pair p;
    static uint8_t said[100000], back[100000];
    pair_open(&p, certs, cut);
    SSL_set_min_proto_version(p.ssl, version);
    SSL_set_max_proto_version(p.ssl, version);
    shake(&p);
    assert_string_equal(tls_version(p.tls), version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2");
    for (size_t i = 0; i < sizeof said; i++) said[i] = (uint8_t)chance(&p.random);
    for (size_t at = 0; at < sizeof said;) {
        size_t n = 1 + chance_below(&p.random, 40000), put = 0;
        if (n > sizeof said - at) n = sizeof said - at;
        assert_int_equal(SSL_write_ex(p.ssl, said + at, n, &put), 1);
        at += put;
    }
    pump(&p);
    assert_int_equal(p.err, 0);
    assert_int_equal(p.heard_len, sizeof said);
    assert_memory_equal(p.heard, said, sizeof said);
    for (size_t at = 0; at < sizeof said;) {
        size_t n = 1 + chance_below(&p.random, TLS_RECORD_BYTES);
        if (n > sizeof said - at) n = sizeof said - at;
        assert_int_equal(tls_seal(p.tls, bytes_of(said + at, n)), 0);
        at += n;
    }
    pump(&p);
    assert_int_equal(client_hears(&p, back, sizeof back), sizeof back);
    assert_memory_equal(back, said, sizeof said);
    assert_int_equal(tls_out(p.tls).len, 0);
    pair_close(&p);
    certs_unref(certs);
}

static void bytes_come_through_both_ways_however_they_are_cut(void **state)
{
    (void)state;
    for (enum cut cut = WHOLE; cut <= RANDOM; cut++) {
        exchange(TLS1_2_VERSION, cut);
        exchange(TLS1_3_VERSION, cut);
    }
}

static void older_versions_are_refused(void **state)
{
    struct certs *certs = certbox_load("one", 1);
    struct pair p;
    (void)state;
    pair_open(&p, certs, WHOLE);
    SSL_set_security_level(p.ssl, 0);
    SSL_set_min_proto_version(p.ssl, TLS1_VERSION);
    SSL_set_max_proto_version(p.ssl, TLS1_1_VERSION);
    pump(&p);
    assert_int_equal(p.err, ERR_MALFORMED);
    assert_non_null(strstr(tls_why(p.tls), "protocol"));
    assert_true(BIO_pending(SSL_get_rbio(p.ssl)) > 0);                   /* an alert */
    pair_close(&p);
    certs_unref(certs);
}

/* -- the end -- */

static void the_end_is_told_behind_what_came_before_it(void **state)
{
    struct certs *certs = certbox_load("one", 1);
    struct pair p;
    uint8_t back[8];
    size_t put;
    (void)state;
    pair_open(&p, certs, WHOLE);
    shake(&p);
    SSL_write_ex(p.ssl, "last", 4, &put);
    SSL_shutdown(p.ssl);
    pump(&p);
    assert_int_equal(p.err, ERR_END);
    assert_int_equal(p.heard_len, 4);
    assert_memory_equal(p.heard, "last", 4);
    /* What we say still reaches it, and so does our end, once. */
    assert_int_equal(tls_seal(p.tls, bytes_of_str("bye")), 0);
    tls_end(p.tls);
    size_t len = tls_out(p.tls).len;
    tls_end(p.tls);
    assert_int_equal(tls_out(p.tls).len, len);
    BIO_write(SSL_get_rbio(p.ssl), tls_out(p.tls).at, (int)len);
    tls_took(p.tls, len);
    assert_int_equal(client_hears(&p, back, 3), 3);
    assert_int_equal(SSL_read_ex(p.ssl, back, 1, &put), 0);
    assert_int_equal(SSL_get_error(p.ssl, 0), SSL_ERROR_ZERO_RETURN);
    pair_close(&p);
    certs_unref(certs);
}

static void garbage_ends_it_with_an_alert_and_a_reason(void **state)
{
    struct certs *certs = certbox_load("one", 1);
    struct pair p;
    size_t put;
    (void)state;
    pair_open(&p, certs, WHOLE);
    to_server(&p, (const uint8_t *)"\x16\x03\x01 this is no ClientHello, whatever else it may be", 50);
    for (int i = 0; !p.err && i < 2000; i++) to_server(&p, (const uint8_t *)"garbage garbage ", 16);
    assert_int_equal(p.err, ERR_MALFORMED);
    assert_true(strlen(tls_why(p.tls)) > 0);
    assert_false(tls_is_open(p.tls));
    to_server(&p, (const uint8_t *)"more", 4);                           /* harmless */
    assert_int_equal(p.err, ERR_MALFORMED);
    pair_close(&p);

    /* In the middle of a session: a bit of a record turned. */
    static uint8_t wire[4096];
    pair_open(&p, certs, WHOLE);
    shake(&p);
    SSL_write_ex(p.ssl, "hello", 5, &put);
    int n = BIO_read(SSL_get_wbio(p.ssl), wire, sizeof wire);
    wire[n - 1] ^= 1;
    to_server(&p, wire, (size_t)n);
    assert_int_equal(p.err, ERR_MALFORMED);
    assert_int_equal(p.heard_len, 0);
    assert_true(tls_out(p.tls).len > 0);
    pair_close(&p);
    certs_unref(certs);
}

/* -- what is bounded -- */

static void what_a_peer_asks_for_and_does_not_read_is_bounded(void **state)
{
    struct certs *certs = certbox_load("one", 1);
    struct pair p;
    static uint8_t wire[4096];
    size_t most = 0;
    (void)state;
    pair_open(&p, certs, WHOLE);
    shake(&p);
    for (int i = 0; i < 100000 && !p.err; i++) {
        SSL_key_update(p.ssl, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(p.ssl);
        int n = BIO_read(SSL_get_wbio(p.ssl), wire, sizeof wire);
        to_server(&p, wire, (size_t)n);
        if (tls_out(p.tls).len > most) most = tls_out(p.tls).len;
    }
    assert_true(p.err < 0 && most <= TLS_OUT_BYTES_MAX);
    pair_close(&p);

    pair_open(&p, certs, WHOLE);
    shake(&p);
    int err = 0;
    static uint8_t piece[TLS_RECORD_BYTES];
    for (int i = 0; i < 1000 && !err; i++) err = tls_seal(p.tls, bytes_of(piece, sizeof piece));
    assert_int_equal(err, ERR_NOMEM);
    assert_true(tls_out(p.tls).len <= TLS_OUT_BYTES_MAX);
    assert_false(tls_is_open(p.tls));
    pair_close(&p);
    certs_unref(certs);
}

static void nobody_negotiates_again(void **state)
{
    struct certs *certs = certbox_load("one", 1);
    struct pair p;
    (void)state;
    pair_open(&p, certs, WHOLE);
    SSL_set_max_proto_version(p.ssl, TLS1_2_VERSION);
    shake(&p);
    assert_int_equal(SSL_renegotiate(p.ssl), 1);
    SSL_do_handshake(p.ssl);
    static uint8_t wire[4096], back[16];
    int n = BIO_read(SSL_get_wbio(p.ssl), wire, sizeof wire);
    to_server(&p, wire, (size_t)n);
    assert_int_equal(p.err, 0);                                          /* a warning, and the session goes on */
    BIO_write(SSL_get_rbio(p.ssl), tls_out(p.tls).at, (int)tls_out(p.tls).len);
    assert_int_equal(client_hears(&p, back, sizeof back), 0);
    pair_close(&p);
    certs_unref(certs);
}

static void what_is_lent_stays_while_more_is_made(void **state)
{
    struct certs *certs = certbox_load("one", 1);
    struct pair p;
    uint8_t back[64], copy[4096];
    (void)state;
    pair_open(&p, certs, WHOLE);
    shake(&p);
    tls_seal(p.tls, bytes_of_str("first "));
    struct bytes lent = tls_lend(p.tls);
    assert_true(lent.len <= sizeof copy);
    memcpy(copy, lent.at, lent.len);
    assert_int_equal(tls_out(p.tls).len, 0);
    for (int i = 0; i < 100; i++) tls_seal(p.tls, bytes_of_str("second"));
    assert_memory_equal(lent.at, copy, lent.len);
    BIO_write(SSL_get_rbio(p.ssl), lent.at, (int)lent.len);
    tls_give_back(p.tls);
    tls_took(p.tls, 0);
    BIO_write(SSL_get_rbio(p.ssl), tls_out(p.tls).at, (int)tls_out(p.tls).len);
    tls_took(p.tls, tls_out(p.tls).len);
    assert_int_equal(client_hears(&p, back, 12), 12);
    assert_memory_equal(back, "first second", 12);
    pair_close(&p);
    certs_unref(certs);
}

/* -- names and protocols -- */

static void see_name(struct certs *certs, const char *asked, const char *shown)
{
    struct pair p;
    pair_open(&p, certs, WHOLE);
    if (asked) SSL_set_tlsext_host_name(p.ssl, asked);
    else SSL_set_tlsext_host_name(p.ssl, NULL);
    shake(&p);
    X509 *x = SSL_get1_peer_certificate(p.ssl);
    assert_int_equal(X509_check_host(x, shown, 0, 0, NULL), 1);
    X509_free(x);
    pair_close(&p);
}

static void the_certificate_of_the_asked_name_is_shown_else_the_first(void **state)
{
    char one[CERTBOX_PATH], two[CERTBOX_PATH], certs_text[2 * CERTBOX_PATH], keys_text[2 * CERTBOX_PATH], why[CERTS_WHY_MAX];
    static const uint8_t secret[CERTS_SECRET_BYTES];
    struct certs *certs;
    (void)state;
    certbox_path("one.pem", one);
    certbox_path("two.pem", two);
    snprintf(certs_text, sizeof certs_text, "%s %s", one, two);
    certbox_path("one.key", one);
    certbox_path("two.key", two);
    snprintf(keys_text, sizeof keys_text, "%s %s", one, two);
    assert_int_equal(certs_load(certs_text, keys_text, secret, &certs, why), 0);
    see_name(certs, "one.example", "one.example");
    see_name(certs, "two.example", "two.example");
    see_name(certs, "a.two.example", "two.example");
    see_name(certs, "a.b.two.example", "one.example");
    see_name(certs, "other.example", "one.example");
    see_name(certs, NULL, "one.example");
    certs_unref(certs);
}

static void http_1_1_is_chosen_and_nothing_else(void **state)
{
    struct certs *certs = certbox_load("one", 1);
    const unsigned char *name;
    unsigned len;
    struct pair p;
    (void)state;
    pair_open(&p, certs, WHOLE);
    SSL_set_alpn_protos(p.ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    shake(&p);
    SSL_get0_alpn_selected(p.ssl, &name, &len);
    assert_int_equal(len, 8);
    assert_memory_equal(name, "http/1.1", 8);
    pair_close(&p);
    pair_open(&p, certs, WHOLE);
    SSL_set_alpn_protos(p.ssl, (const unsigned char *)"\x02h2", 3);
    pump(&p);
    assert_int_equal(p.err, ERR_MALFORMED);
    pair_close(&p);
    certs_unref(certs);
}

/* -- tickets -- */

/* A session of `certs` at `wall_ms`, with the ticket of `before` when there is one: was it resumed? The ticket it got
 * then is in *session. */
static bool visit(struct certs *certs, uint64_t wall_ms, int version, SSL_SESSION **session)
{
    struct pair p;
    pair_open(&p, certs, WHOLE);
    p.wall_ms = wall_ms;
    SSL_set_max_proto_version(p.ssl, version);
    if (*session) SSL_set_session(p.ssl, *session);
    shake(&p);
    bool resumed = tls_is_resumed(p.tls);
    assert_int_equal(resumed, SSL_session_reused(p.ssl));
    SSL_SESSION_free(*session);
    *session = p.session;
    p.session = NULL;
    pair_close(&p);
    return resumed;
}

static void a_ticket_is_good_in_its_half_day_and_in_the_next(void **state)
{
    struct certs *certs = certbox_load("one", 1);
    SSL_SESSION *session = NULL;
    (void)state;
    assert_false(visit(certs, T0, TLS1_3_VERSION, &session));
    assert_non_null(session);
    assert_true(visit(certs, T0, TLS1_3_VERSION, &session));
    assert_true(visit(certs, T0 + PERIOD_MS, TLS1_3_VERSION, &session));
    assert_true(visit(certs, T0 + 2 * (uint64_t)PERIOD_MS, TLS1_3_VERSION, &session));   /* it got one of then */
    assert_false(visit(certs, T0 + 4 * (uint64_t)PERIOD_MS, TLS1_3_VERSION, &session));
    assert_true(visit(certs, T0 + 4 * (uint64_t)PERIOD_MS, TLS1_3_VERSION, &session));
    assert_false(visit(certs, T0, TLS1_3_VERSION, &session));            /* a clock that went back: of the future */
    SSL_SESSION_free(session);
    certs_unref(certs);
}

static void another_start_with_the_same_secret_takes_it_and_none_with_another(void **state)
{
    struct certs *certs = certbox_load("one", 1), *again = certbox_load("one", 1), *other = certbox_load("one", 2);
    SSL_SESSION *session = NULL;
    (void)state;
    assert_false(visit(certs, T0, TLS1_3_VERSION, &session));
    certs_unref(certs);
    assert_true(visit(again, T0, TLS1_3_VERSION, &session));
    assert_false(visit(other, T0, TLS1_3_VERSION, &session));
    SSL_SESSION_free(session);
    certs_unref(again);
    certs_unref(other);
}

static void there_are_no_tickets_before_TLS_1_3(void **state)
{
    struct certs *certs = certbox_load("one", 1);
    SSL_SESSION *session = NULL;
    (void)state;
    assert_false(visit(certs, T0, TLS1_2_VERSION, &session));
    assert_false(visit(certs, T0, TLS1_2_VERSION, &session));
    SSL_SESSION_free(session);
    certs_unref(certs);
}

static void a_connection_outlives_the_certificates_it_began_with(void **state)
{
    struct certs *certs = certbox_load("one", 1);
    struct pair p;
    size_t put;
    (void)state;
    pair_open(&p, certs, WHOLE);
    certs_unref(certs);
    shake(&p);
    SSL_write_ex(p.ssl, "still here", 10, &put);
    pump(&p);
    assert_int_equal(p.heard_len, 10);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_through_both_ways_however_they_are_cut),
        cmocka_unit_test(older_versions_are_refused),
        cmocka_unit_test(the_end_is_told_behind_what_came_before_it),
        cmocka_unit_test(garbage_ends_it_with_an_alert_and_a_reason),
        cmocka_unit_test(what_a_peer_asks_for_and_does_not_read_is_bounded),
        cmocka_unit_test(nobody_negotiates_again),
        cmocka_unit_test(what_is_lent_stays_while_more_is_made),
        cmocka_unit_test(the_certificate_of_the_asked_name_is_shown_else_the_first),
        cmocka_unit_test(http_1_1_is_chosen_and_nothing_else),
        cmocka_unit_test(a_ticket_is_good_in_its_half_day_and_in_the_next),
        cmocka_unit_test(another_start_with_the_same_secret_takes_it_and_none_with_another),
        cmocka_unit_test(there_are_no_tickets_before_TLS_1_3),
        cmocka_unit_test(a_connection_outlives_the_certificates_it_began_with),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
