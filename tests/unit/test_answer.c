/* test_answer.c - requests over a real socket: in order, within their limits of size and time, and answered last. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proto/err.h"
#include "server/net/inside.h"
#include "tests/harness/netrig.h"
#include "tests/harness/peer.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static struct clock_hand hand;

static int up(void **state)
{
    *state = netrig_up(&(struct netrig_options){ .shards = 1 });
    return 0;
}

static int up_by_hand(void **state)
{
    clock_hand_init(&hand, 1700000000000);
    *state = netrig_up(&(struct netrig_options){ .shards = 1, .hand = &hand });
    return 0;
}

static int down(void **state)
{
    netrig_down(*state);
    return 0;
}

static void requests_are_answered_on_one_connection(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_dial(netrig_port(rig));
    peer_puts(p, GET("/echo?a=b"));
    assert_int_equal(peer_answer(p), 200);
    assert_string_equal((char *)p->body.at, "GET a=b ");
    assert_true(peer_has_line(p, "Cache-Control: no-store"));
    assert_true(peer_has_line(p, "X-Content-Type-Options: nosniff"));
    assert_true(peer_has_line(p, "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'"));
    assert_true(peer_has_line(p, "Referrer-Policy: no-referrer"));
    assert_true(peer_has_line(p, "Cross-Origin-Resource-Policy: same-origin"));
    assert_true(peer_has_line(p, "Content-Type: text/plain"));
    assert_true(peer_has_line(p, "X-Extra: 1"));
    assert_false(peer_has_line(p, "Connection: close"));
    peer_puts(p, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
    assert_int_equal(peer_answer(p), 200);
    assert_string_equal((char *)p->body.at, "POST  body");
    peer_puts(p, GET("/nowhere"));
    assert_int_equal(peer_answer(p), 404);
    assert_int_equal(p->body.len, 0);
    assert_false(peer_has_line(p, "Content-Type: "));
    assert_int_equal(netrig_stat(rig, "http_requests"), 3);
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_PEER);
}

static void head_gets_the_head_alone(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_dial(netrig_port(rig));
    peer_puts(p, "HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\n" GET("/echo"));
    assert_int_equal(peer_answer_to_head(p), 200);
    assert_true(peer_has_line(p, "Content-Length: 6"));
    assert_int_equal(peer_answer(p), 200);
    assert_string_equal((char *)p->body.at, "GET  ");
    peer_free(p);
}

static void pipelined_requests_wait_for_the_answer_before_them(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_dial(netrig_port(rig));
    peer_puts(p, GET("/echo?1") GET("/later") GET("/echo?2") GET("/later") GET("/echo?3"));
    assert_int_equal(peer_answer(p), 200);
    assert_string_equal((char *)p->body.at, "GET 1 ");
    netrig_settle(rig);
    assert_int_equal(netrig_stat(rig, "http_requests"), 1);
    netrig_answer(rig);
    assert_int_equal(peer_answer(p), 200);
    assert_string_equal((char *)p->body.at, "later");
    assert_int_equal(peer_answer(p), 200);
    assert_string_equal((char *)p->body.at, "GET 2 ");
    netrig_answer(rig);
    assert_int_equal(peer_answer(p), 200);
    assert_int_equal(peer_answer(p), 200);
    assert_string_equal((char *)p->body.at, "GET 3 ");
    peer_free(p);
}

static void thousands_of_requests_sent_ahead_are_all_answered(void **state)
{
    enum { REQUESTS = 3000 };
    struct netrig *rig = *state;
    struct peer *p = peer_dial(netrig_port(rig));
    struct buf b;
    char one[64];
    buf_init(&b, 1 << 20);
    for (int i = 0; i < REQUESTS; i++) {
        snprintf(one, sizeof one, GET("/echo?%d"), i);
        buf_put(&b, one, strlen(one));
    }
    peer_put(p, buf_bytes(&b));
    for (int i = 0; i < REQUESTS; i++) {
        assert_int_equal(peer_answer(p), 200);
        snprintf(one, sizeof one, "GET %d ", i);
        assert_string_equal((char *)p->body.at, one);
    }
    buf_fini(&b);
    peer_free(p);
}

static void connection_close_and_http_1_0_end_after_the_answer(void **state)
{
    struct netrig *rig = *state;
    static const char *const requests[] = { "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                                            "GET /echo HTTP/1.0\r\n\r\n" };
    for (int i = 0; i < 2; i++) {
        struct peer *p = peer_dial(netrig_port(rig));
        peer_puts(p, requests[i]);
        assert_int_equal(peer_answer(p), 200);
        assert_true(peer_has_line(p, "Connection: close"));
        assert_true(peer_ended(p));
        peer_free(p);
        assert_int_equal(netrig_closed(rig), 0);
    }
}

static void a_peer_that_closed_its_side_still_gets_its_answers(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_dial(netrig_port(rig));
    peer_puts(p, GET("/echo?1") GET("/later") GET("/echo?2"));
    peer_end(p);
    assert_int_equal(peer_answer(p), 200);
    netrig_answer(rig);
    assert_int_equal(peer_answer(p), 200);
    assert_string_equal((char *)p->body.at, "later");
    assert_int_equal(peer_answer(p), 200);
    assert_true(peer_ended(p));
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_PEER);
}

static void a_peer_that_goes_away_takes_its_open_request_along(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_dial(netrig_port(rig));
    peer_puts(p, GET("/later"));
    netrig_await(rig, "bytes_in", strlen(GET("/later")));
    peer_reset(p);
    /* While a request is answered nothing is read, so its end is seen when the answer is written. */
    netrig_answer(rig);
    assert_int_equal(netrig_closed(rig), ERR_PEER);
}

static void a_body_is_invited_when_its_sender_waits_for_that(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_dial(netrig_port(rig));
    peer_puts(p, "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_int_equal(peer_answer(p), 100);
    peer_puts(p, "body");
    assert_int_equal(peer_answer(p), 200);
    assert_string_equal((char *)p->body.at, "POST  body");
    peer_free(p);
}

/* Whatever is refused has the same JSON body, of three members, and says that it closes. */
static void assert_refusal(struct peer *p, int status, const char *error, const char *text, bool again)
{
    char body[512];
    assert_int_equal(peer_answer(p), status);
    snprintf(body, sizeof body, "{\"error\":\"%s\",\"text\":\"%s\",\"again\":%s}", error, text,
             again ? "true" : "false");
    assert_string_equal((char *)p->body.at, body);
    assert_true(peer_has_line(p, "Content-Type: application/json"));
}

static void broken_requests_are_answered_by_name_and_closed(void **state)
{
    struct netrig *rig = *state;
    static const struct { const char *request; int status, err; const char *error, *text; } cases[] = {
        { "NONSENSE\r\n\r\n", 400, ERR_MALFORMED, "MALFORMED", "no HTTP request begins like this" },
        { "\x16\x03\x01\x02", 400, ERR_MALFORMED, "MALFORMED",
          "this port speaks HTTP without TLS, and this is a TLS greeting" },
        { "GET / HTTP/1.1\r\n\r\n", 400, ERR_MALFORMED, "MALFORMED", "Host is missing" },
        { "GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, ERR_MALFORMED, "VERSION",
          "only HTTP/1.1 and HTTP/1.0 are spoken here" },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\nsome of it", 413, ERR_TOO_BIG, "TOO_BIG",
          "the body is larger than 16 KiB" },
        { "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501, ERR_MALFORMED, "UNSUPPORTED",
          "Transfer-Encoding may only be chunked" },
        { "GET / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n", 417, ERR_MALFORMED, "UNSUPPORTED",
          "Expect may only be 100-continue" },
        { GET("/v1/ws"), 426, ERR_MALFORMED, "UNSUPPORTED", "this is a WebSocket address" },
        { "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n"
          "\r\n", 426, ERR_MALFORMED, "VERSION", "Sec-WebSocket-Version must be 13" },
        { "POST /v1/ws HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405, ERR_MALFORMED, "UNSUPPORTED",
          "a WebSocket begins with GET" },
        { "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 400, ERR_MALFORMED, "MALFORMED",
          "Sec-WebSocket-Protocol is missing; offer pipit.v1" },
        { "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: pipit.v2\r\n\r\n", 400, ERR_MALFORMED,
          "UNSUPPORTED", "no Sec-WebSocket-Protocol that is spoken here; offer pipit.v1" },
    };
    /* Whole, then byte by byte: the answer is the same. */
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        struct peer *p = peer_dial(netrig_port(rig));
        const char *request = cases[i / 2].request;
        for (size_t at = 0; i % 2 && request[at]; at++) peer_put(p, bytes_of(request + at, 1));
        if (i % 2 == 0) peer_puts(p, request);
        assert_refusal(p, cases[i / 2].status, cases[i / 2].error, cases[i / 2].text, false);
        assert_true(peer_has_line(p, "Connection: close"));
        assert_true(peer_ended(p));
        peer_free(p);
        assert_int_equal(netrig_closed(rig), cases[i / 2].err);
    }
}

/* -- pages of other origins -- */

#define FROM(method, path, origin, more) method " " path " HTTP/1.1\r\nHost: chat.example:8700\r\nOrigin: " origin \
                                         "\r\n" more "\r\n"
#define NOT_ALLOWED "pages of this Origin may not use this server: it is not among its allowed_origins"

static void pages_of_other_origins_are_refused_and_may_ask_again(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_dial(netrig_port(rig));
    static const char *const refused[] = {
        FROM("GET", "/v1/echo", "http://evil.example", ""),
        FROM("GET", "/v1/echo", "http://chat.example", ""),                  /* another port */
        FROM("GET", "/v1/echo", "null", ""),
        FROM("GET", "/v1/echo", "http://chat.example:8700.evil.example", ""),
        FROM("OPTIONS", "/v1/echo", "http://evil.example", "Access-Control-Request-Method: POST\r\n"),
        FROM("GET", "/v1/ws", "http://evil.example", "Connection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: pipit.v1\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        peer_puts(p, refused[i]);
        assert_refusal(p, 403, "DENIED", NOT_ALLOWED, false);
        assert_null(strstr(p->head, "Access-Control-"));
    }
    peer_puts(p, FROM("GET", "/echo", "http://evil.example", ""));          /* below /v1/ only */
    assert_int_equal(peer_answer(p), 200);
    peer_puts(p, FROM("GET", "/v1/echo", "http://CHAT.example:8700", ""));
    assert_int_equal(peer_answer(p), 200);
    peer_puts(p, "GET /v1/echo HTTP/1.1\r\nHost: chat.example:443\r\nOrigin: https://chat.example\r\n\r\n");
    assert_int_equal(peer_answer(p), 200);
    peer_puts(p, GET("/v1/echo"));                                          /* no browser */
    assert_int_equal(peer_answer(p), 200);
    assert_null(strstr(p->head, "Access-Control-"));
    peer_free(p);
}

static void pages_of_allowed_origins_may_ask_and_read(void **state)
{
    (void)state;
    struct netrig *rig = netrig_up(&(struct netrig_options){
        .allowed_origins = "http://other.example, https://web.example:444" });
    struct peer *p = peer_dial(netrig_port(rig));
    peer_puts(p, FROM("OPTIONS", "/v1/echo", "https://web.example:444", "Access-Control-Request-Method: POST\r\n"));
    assert_int_equal(peer_answer(p), 204);
    assert_true(peer_has_line(p, "Access-Control-Allow-Origin: https://web.example:444"));
    assert_true(peer_has_line(p, "Access-Control-Allow-Headers: Authorization, Content-Type"));
    assert_non_null(strstr(p->head, "\r\nAccess-Control-Allow-Methods: GET, POST"));
    assert_null(strstr(p->head, "Content-Length"));
    peer_puts(p, FROM("POST", "/v1/echo", "https://web.example:444", "Content-Length: 4\r\n") "body");
    assert_int_equal(peer_answer(p), 200);
    assert_string_equal((char *)p->body.at, "POST  body");
    assert_true(peer_has_line(p, "Access-Control-Allow-Origin: https://web.example:444"));
    assert_true(peer_has_line(p, "Vary: Origin"));
    peer_puts(p, GET("/v1/echo"));                                          /* the next one is nobody's page */
    assert_int_equal(peer_answer(p), 200);
    assert_null(strstr(p->head, "Access-Control-"));
    peer_puts(p, FROM("GET", "/v1/echo", "https://web.example", ""));
    assert_refusal(p, 403, "DENIED", NOT_ALLOWED, false);
    peer_puts(p, FROM("GET", "/v1/ws", "http://other.example", "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: pipit.v1\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    peer_expect_upgrade(p);
    peer_free(p);
    netrig_down(rig);
}

static void a_head_without_end_is_refused(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_dial(netrig_port(rig));
    peer_puts(p, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: ");
    for (int i = 0; i < HTTP_HEAD_BYTES_MAX / 16; i++) peer_puts(p, "aaaaaaaaaaaaaaaa");
    assert_int_equal(peer_answer(p), 431);
    assert_true(peer_ended(p));
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_TOO_BIG);
}

/* The answer must not be lost to a reset because much of the body was still on its way. */
static void a_refused_upload_still_reads_its_refusal(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_dial(netrig_port(rig));
    static uint8_t piece[64 * 1024];
    peer_puts(p, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n");
    for (int i = 0; i < 128; i++) assert_true(peer_put(p, bytes_of(piece, sizeof piece)));
    assert_int_equal(peer_answer(p), 413);
    assert_true(peer_ended(p));
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_TOO_BIG);
}

/* -- time, turned by hand -- */

static void a_request_must_be_whole_in_time(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_dial(netrig_port(rig));
    peer_puts(p, "GET /echo HTTP/1.1\r\nHo");
    netrig_await(rig, "bytes_in", 22);
    netrig_turn_clock(rig, NETRIG_REQUEST_MS - 1);
    peer_puts(p, "s");
    netrig_await(rig, "bytes_in", 23);
    assert_int_equal(netrig_closed_count(rig), 0);
    netrig_turn_clock(rig, 2 * WHEEL_TICK_MS);           /* a byte now and then does not help */
    assert_refusal(p, 408, "IDLE", "the request was not whole in time", true);
    assert_true(peer_ended(p));
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_IDLE);
}

static void a_body_must_be_whole_in_time(void **state)
{
    struct netrig *rig = *state;
    static const char head[] = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n";
    struct peer *p = peer_dial(netrig_port(rig));
    peer_puts(p, head);
    for (size_t i = 1; i <= 20; i++) {
        peer_puts(p, "x");
        netrig_await(rig, "bytes_in", sizeof head - 1 + i);
        netrig_turn_clock(rig, NETRIG_REQUEST_MS / 20);
    }
    netrig_turn_clock(rig, 2 * WHEEL_TICK_MS);
    assert_refusal(p, 408, "IDLE", "the request was not whole in time", true);
    assert_true(peer_ended(p));
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_IDLE);
}

static void a_connection_that_says_nothing_is_closed(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_dial(netrig_port(rig));
    netrig_await(rig, "conns_accepted", 1);
    netrig_turn_clock(rig, NETRIG_REQUEST_MS + WHEEL_TICK_MS);
    assert_true(peer_ended(p));
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_IDLE);
}

static void a_kept_connection_is_closed_when_it_is_not_used(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_dial(netrig_port(rig));
    for (int i = 0; i < 3; i++) {
        peer_puts(p, GET("/echo"));
        assert_int_equal(peer_answer(p), 200);
        netrig_turn_clock(rig, NETRIG_KEEPALIVE_MS - WHEEL_TICK_MS);
    }
    netrig_turn_clock(rig, 3 * WHEEL_TICK_MS);
    assert_true(peer_ended(p));
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_IDLE);
}

static void an_answer_may_take_longer_than_a_request(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_dial(netrig_port(rig));
    peer_puts(p, GET("/later"));
    netrig_await(rig, "bytes_in", strlen(GET("/later")));
    netrig_turn_clock(rig, 10 * NETRIG_REQUEST_MS);
    netrig_answer(rig);
    assert_int_equal(peer_answer(p), 200);
    peer_free(p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
#define TEST_BY_HAND(name) cmocka_unit_test_setup_teardown(name, up_by_hand, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_are_answered_on_one_connection),
        TEST(head_gets_the_head_alone),
        TEST(pipelined_requests_wait_for_the_answer_before_them),
        TEST(thousands_of_requests_sent_ahead_are_all_answered),
        TEST(connection_close_and_http_1_0_end_after_the_answer),
        TEST(a_peer_that_closed_its_side_still_gets_its_answers),
        TEST(a_peer_that_goes_away_takes_its_open_request_along),
        TEST(a_body_is_invited_when_its_sender_waits_for_that),
        TEST(broken_requests_are_answered_by_name_and_closed),
        TEST(pages_of_other_origins_are_refused_and_may_ask_again),
        cmocka_unit_test(pages_of_allowed_origins_may_ask_and_read),
        TEST(a_head_without_end_is_refused),
        TEST(a_refused_upload_still_reads_its_refusal),
        TEST_BY_HAND(a_request_must_be_whole_in_time),
        TEST_BY_HAND(a_body_must_be_whole_in_time),
        TEST_BY_HAND(a_connection_that_says_nothing_is_closed),
        TEST_BY_HAND(a_kept_connection_is_closed_when_it_is_not_used),
        TEST_BY_HAND(an_answer_may_take_longer_than_a_request),
    };
    int failed = cmocka_run_group_tests_name("answer", tests, NULL, NULL);
    netrig_speak_tls();
    return failed + cmocka_run_group_tests_name("answer over TLS", tests, NULL, NULL);
}
