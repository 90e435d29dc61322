/* test_http.c - requests come out whole however their bytes come in, and limits hold. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/bytes.h"
#include "server/net/http.h"
#include "tests/harness/feed.h"

#define HOST "Host: x\r\n"
#define WS_HEAD "GET /v1/ws HTTP/1.1\r\n" HOST
#define WS_UPGRADE "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
#define WS_KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define WS_VERSION "Sec-WebSocket-Version: 13\r\n"
#define WS_PROTOCOL "Sec-WebSocket-Protocol: chat, pipit.v1\r\n"

static const size_t pieces[] = { SIZE_MAX, 1, 7, 100 };

/* All that came out of a stream, one line a request; the last line says how it ended. */
static void run(struct bytes stream, size_t piece_max, char *out, size_t room)
{
    struct feed feed = { stream, piece_max, 1 };
    struct http *h;
    struct bytes piece;
    size_t len = 0;
    bool bad = false;
    assert_int_equal(http_new(&h), 0);
    while (!bad && feed_next(&feed, &piece)) {
        while (piece.len && !bad) {
            enum http_step step;
            size_t used = http_feed(h, piece, &step);
            assert_true(used <= piece.len);
            piece = bytes_of(piece.at + used, piece.len - used);
            if (step == HTTP_STEP_MORE) assert_int_equal(piece.len, 0);
            if (step == HTTP_STEP_WHOLE) {
                struct http_head head = http_head(h);
                struct bytes body = http_body(h);
                len += (size_t)snprintf(out + len, room - len, "%s %s ?%s %s%s[%.*s]\n", head.method, head.path,
                                        head.query, head.keep_alive ? "keep " : "", head.is_head ? "head " : "",
                                        (int)body.len, (const char *)body.at);
                assert_true(http_is_idle(h));
            }
            bad = step == HTTP_STEP_BAD;
        }
    }
    snprintf(out + len, room - len, bad ? "bad %d" : http_is_idle(h) ? "idle" : "partial", http_bad_status(h));
    http_free(h);
}

static void expect(const char *stream, const char *events)
{
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        char out[2048];
        run(bytes_of_str(stream), pieces[i], out, sizeof out);
        assert_string_equal(out, events);
    }
}

static void a_request_comes_out_whole_however_it_is_cut(void **state)
{
    (void)state;
    expect("GET / HTTP/1.1\r\n" HOST "\r\n", "GET / ? keep []\nidle");
    expect("GET /a/b?c=d&e HTTP/1.1\r\n" HOST "\r\n", "GET /a/b ?c=d&e keep []\nidle");
    expect("POST /v1/login HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", "POST /v1/login ? keep [hello]\nidle");
    expect("HEAD /healthz HTTP/1.1\r\n" HOST "\r\n", "HEAD /healthz ? keep head []\nidle");
    expect("\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "GET / ? keep []\nidle");
    expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhell", "partial");
    expect("", "idle");
}

static void a_chunked_body_is_put_together_and_trailers_are_skipped(void **state)
{
    (void)state;
    expect("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
           "3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nHost: y\r\nUpgrade: websocket\r\n\r\n"
           "GET /next HTTP/1.1\r\n" HOST "\r\n",
           "POST / ? keep [abcde]\nGET /next ? keep []\nidle");
}

static void pipelined_requests_come_one_at_a_time_and_share_nothing(void **state)
{
    (void)state;
    expect("POST /one?q HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nA"
           "GET /two HTTP/1.1\r\n" HOST "\r\n"
           "POST /three HTTP/1.1\r\n" HOST "Content-Length: 0\r\nConnection: close\r\n\r\n",
           "POST /one ?q keep [A]\nGET /two ? keep []\nPOST /three ? []\nidle");
    /* What the first request's headers said must not count for the second. */
    expect("GET /one HTTP/1.1\r\n" HOST "\r\nGET /two HTTP/1.1\r\n\r\n", "GET /one ? keep []\nbad 400");
}

static void an_absolute_or_fragmented_address_is_cut_to_its_path(void **state)
{
    (void)state;
    expect("GET http://h:1/p?q HTTP/1.1\r\n" HOST "\r\n", "GET /p ?q keep []\nidle");
    expect("GET /p?q#f HTTP/1.1\r\n" HOST "\r\n", "GET /p ?q keep []\nidle");
    expect("GET /p#f?q HTTP/1.1\r\n" HOST "\r\n", "GET /p ? keep []\nidle");
}

static void the_authorization_is_kept_whole_or_not_at_all(void **state)
{
    (void)state;
    static char head[1024], longest[HTTP_AUTHORIZATION_TEXT], long_one[HTTP_AUTHORIZATION_TEXT + 1];
    memset(longest, 'x', sizeof longest - 1);
    memset(long_one, 'x', sizeof long_one - 1);
    const struct { const char *lines, *value, *want; } cases[] = {
        { "", "", "" },
        { "Authorization: ", "Bearer a.b.c", "Bearer a.b.c" },
        { "AUTHORIZATION:   ", "Bearer a", "Bearer a" },
        { "Authorization: ", longest, longest },
        { "Authorization: ", long_one, "" },
        { "Authorization: one\r\nAuthorization: ", "two", "" },
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        snprintf(head, sizeof head, "GET / HTTP/1.1\r\n" HOST "%s%s\r\n%s", cases[c].lines, cases[c].value,
                 *cases[c].lines ? "\r\n" : "");
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
            struct feed feed = { bytes_of_str(head), pieces[i], 1 };
            struct http *h;
            struct bytes piece;
            enum http_step step = HTTP_STEP_MORE;
            assert_int_equal(http_new(&h), 0);
            while (feed_next(&feed, &piece)) http_feed(h, piece, &step);
            assert_int_equal(step, HTTP_STEP_WHOLE);
            assert_string_equal(http_head(h).authorization, cases[c].want);
            /* The next request has none of it. */
            http_feed(h, bytes_of_str("GET / HTTP/1.1\r\n" HOST "\r\n"), &step);
            assert_int_equal(step, HTTP_STEP_WHOLE);
            assert_string_equal(http_head(h).authorization, "");
            http_free(h);
        }
    }
}

static void http_1_0_closes_unless_it_asks_to_be_kept(void **state)
{
    (void)state;
    expect("GET / HTTP/1.0\r\n\r\n", "GET / ? []\nidle");
    expect("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / ? keep []\nidle");
}

static void nonsense_is_refused_by_number(void **state)
{
    (void)state;
    expect("\x16\x03\x01\x02\x00\x01\x00", "bad 400");                         /* a TLS hello */
    expect("GET\r\n\r\n", "bad 400");
    expect("NOSUCH / HTTP/1.1\r\n" HOST "\r\n", "bad 400");
    expect("GET / HTTP/1.1\r\n\r\n", "bad 400");                               /* without a Host */
    expect("GET / HTTP/1.1\r\nHo st: x\r\n\r\n", "bad 400");
    expect("POST / HTTP/1.1\r\n" HOST "Content-Length: x\r\n\r\n", "bad 400");
    expect("POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", "bad 400");
    expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n", "bad 400");
    /* Two lengths, or a length and chunks: how requests are smuggled. */
    expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "bad 400");
    expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "bad 400");
    expect("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "bad 400");
    expect("POST / HTTP/1.1\r\n" HOST "Expect: a-miracle\r\nContent-Length: 1\r\n\r\n", "bad 417");
    expect("GET / HTTP/2.0\r\n" HOST "\r\n", "bad 505");
    expect("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "bad 400");
}

/* A request whose head is exactly `bytes` long. */
static void fill_head(struct buf *b, size_t bytes, bool in_url)
{
    static const char start[] = "GET /", middle[] = " HTTP/1.1\r\n" HOST "X-Fill: ", end[] = "\r\n\r\n";
    size_t fill = bytes - (sizeof start + sizeof middle + sizeof end - 3);
    buf_put(b, start, sizeof start - 1);
    for (size_t i = 0; in_url && i < fill; i++) buf_put_u8(b, 'a');
    buf_put(b, middle, sizeof middle - 1);
    for (size_t i = 0; !in_url && i < fill; i++) buf_put_u8(b, 'a');
    buf_put(b, end, sizeof end - 1);
    assert_int_equal(b->len, bytes);
}

static void a_head_may_be_as_long_as_its_limit_and_no_longer(void **state)
{
    (void)state;
    static char out[3 * HTTP_HEAD_BYTES_MAX];
    for (unsigned in_url = 0; in_url < 2; in_url++) {
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
            struct buf b;
            buf_init(&b, 1 << 20);
            fill_head(&b, HTTP_HEAD_BYTES_MAX, in_url);
            run(buf_bytes(&b), pieces[i], out, sizeof out);
            assert_non_null(strstr(out, " ? keep []\nidle"));
            buf_clear(&b);
            fill_head(&b, HTTP_HEAD_BYTES_MAX + 1, in_url);
            run(buf_bytes(&b), pieces[i], out, sizeof out);
            assert_string_equal(out, "bad 431");
            buf_fini(&b);
        }
    }
}

static void the_head_limit_is_each_requests_own(void **state)
{
    (void)state;
    static char out[3 * HTTP_HEAD_BYTES_MAX];
    struct buf b;
    buf_init(&b, 1 << 20);
    for (unsigned i = 0; i < 3; i++) {
        struct buf one;
        buf_init(&one, 1 << 20);
        fill_head(&one, HTTP_HEAD_BYTES_MAX - i, false);
        buf_put(&b, one.at, one.len);
        buf_fini(&one);
    }
    run(buf_bytes(&b), SIZE_MAX, out, sizeof out);
    assert_string_equal(out, "GET / ? keep []\nGET / ? keep []\nGET / ? keep []\nidle");
    buf_fini(&b);
}

static void put_chunks(struct buf *b, size_t body, size_t chunk)
{
    char size[32];
    buf_put(b, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 56);
    for (size_t at = 0; at < body; at += chunk) {
        size_t n = body - at < chunk ? body - at : chunk;
        int len = snprintf(size, sizeof size, "%zx\r\n", n);
        buf_put(b, size, (size_t)len);
        for (size_t i = 0; i < n; i++) buf_put_u8(b, 'b');
        buf_put(b, "\r\n", 2);
    }
    buf_put(b, "0\r\n\r\n", 5);
}

static void a_body_may_be_as_long_as_its_limit_and_no_longer(void **state)
{
    (void)state;
    static char out[2 * HTTP_BODY_BYTES_MAX];
    char head[128];
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int over = 0; over < 2; over++) {
        buf_clear(&b);
        put_chunks(&b, HTTP_BODY_BYTES_MAX + (size_t)over, 1000);
        run(buf_bytes(&b), 333, out, sizeof out);
        if (over) assert_string_equal(out, "bad 413");
        else assert_non_null(strstr(out, "b]\nidle"));
        /* A length that is too big is refused before a byte of the body has come. */
        snprintf(head, sizeof head, "POST / HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", HTTP_BODY_BYTES_MAX + over);
        expect(head, over ? "bad 413" : "partial");
    }
    buf_fini(&b);
}

static void expect_is_answered_once_and_only_when_the_body_is_awaited(void **state)
{
    (void)state;
    static const char head[] = "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    struct http *h;
    enum http_step step;
    assert_int_equal(http_new(&h), 0);
    http_feed(h, bytes_of(head, 20), &step);
    assert_false(http_take_continue(h));                        /* the head is not whole */
    http_feed(h, bytes_of(head + 20, sizeof head - 1 - 20), &step);
    assert_int_equal(step, HTTP_STEP_MORE);
    assert_true(http_take_continue(h));
    assert_false(http_take_continue(h));
    http_feed(h, bytes_of_str("ok"), &step);
    assert_int_equal(step, HTTP_STEP_WHOLE);
    /* A body that came along needs no invitation; nor does a request without one. */
    http_feed(h, bytes_of(head, sizeof head - 1), &step);
    http_feed(h, bytes_of_str("o"), &step);
    assert_false(http_take_continue(h));
    http_feed(h, bytes_of_str("k"), &step);
    http_feed(h, bytes_of_str("GET / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n\r\n"), &step);
    assert_int_equal(step, HTTP_STEP_WHOLE);
    assert_false(http_take_continue(h));
    http_free(h);
}

static int upgrade_of(const char *request, const char **why)
{
    struct http *h;
    enum http_step step;
    char key[HTTP_KEY_TEXT];
    assert_int_equal(http_new(&h), 0);
    size_t used = http_feed(h, bytes_of_str(request), &step);
    assert_int_equal(step, HTTP_STEP_WHOLE);
    assert_int_equal(used, strlen(request));
    int status = http_upgrade(h, key, why);
    if (status == 101) assert_string_equal(key, "dGhlIHNhbXBsZSBub25jZQ==");
    http_free(h);
    return status;
}

static void an_upgrade_needs_all_its_headers(void **state)
{
    (void)state;
    const char *why;
    assert_int_equal(upgrade_of(WS_HEAD WS_UPGRADE WS_KEY WS_VERSION WS_PROTOCOL "\r\n", &why), 101);
    assert_int_equal(upgrade_of(WS_HEAD "CONNECTION: UPGRADE\r\nUPGRADE: WebSocket\r\n" WS_KEY WS_VERSION
                                "Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: pipit.v1\r\n\r\n", &why), 101);
    assert_int_equal(upgrade_of(WS_HEAD "\r\n", &why), 426);
    assert_int_equal(upgrade_of(WS_HEAD "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", &why), 426);
    assert_int_equal(upgrade_of(WS_HEAD WS_UPGRADE WS_KEY WS_PROTOCOL "Sec-WebSocket-Version: 8\r\n\r\n", &why), 426);
    assert_int_equal(upgrade_of(WS_HEAD "Upgrade: websocket\r\n" WS_KEY WS_VERSION WS_PROTOCOL "\r\n", &why), 400);
    assert_int_equal(upgrade_of(WS_HEAD WS_UPGRADE WS_VERSION WS_PROTOCOL "\r\n", &why), 400);
    assert_non_null(strstr(why, "missing"));
    assert_int_equal(upgrade_of(WS_HEAD WS_UPGRADE WS_VERSION WS_PROTOCOL "Sec-WebSocket-Key: short\r\n\r\n", &why), 400);
    assert_int_equal(upgrade_of(WS_HEAD WS_UPGRADE WS_VERSION WS_PROTOCOL WS_KEY WS_KEY "\r\n", &why), 400);
    assert_int_equal(upgrade_of(WS_HEAD WS_UPGRADE WS_KEY WS_VERSION "\r\n", &why), 400);
    assert_non_null(strstr(why, "pipit.v1"));
    assert_int_equal(upgrade_of(WS_HEAD WS_UPGRADE WS_KEY WS_VERSION "Sec-WebSocket-Protocol: chat, pipit.v10\r\n\r\n",
                                &why), 400);
    assert_non_null(strstr(why, "pipit.v1"));
}

static void bytes_behind_an_upgrade_are_left_alone(void **state)
{
    (void)state;
    static const char request[] = WS_HEAD WS_UPGRADE WS_KEY WS_VERSION WS_PROTOCOL "\r\n";
    static const char frames[] = "\x82\x80....GET / HTTP/1.1\r\n\r\n";
    struct buf b;
    buf_init(&b, 4096);
    buf_put(&b, request, sizeof request - 1);
    buf_put(&b, frames, sizeof frames - 1);
    for (size_t cut = 0; cut < b.len; cut++) {
        struct http *h;
        enum http_step step;
        assert_int_equal(http_new(&h), 0);
        size_t used = http_feed(h, bytes_of(b.at, cut), &step);
        if (cut < sizeof request - 1) used += http_feed(h, bytes_of(b.at + cut, b.len - cut), &step);
        assert_int_equal(step, HTTP_STEP_WHOLE);
        assert_int_equal(used, sizeof request - 1);
        http_free(h);
    }
    buf_fini(&b);
}

static void an_upgrade_to_something_else_is_an_ordinary_request(void **state)
{
    (void)state;
    expect("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
           "POST /b HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi"
           "GET /c HTTP/1.1\r\n" HOST "\r\n",
           "GET / ? keep []\nPOST /b ? keep [hi]\nGET /c ? keep []\nidle");
    expect("CONNECT h:1 HTTP/1.1\r\n" HOST "\r\n", "CONNECT h:1 ? []\nidle");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_comes_out_whole_however_it_is_cut),
        cmocka_unit_test(a_chunked_body_is_put_together_and_trailers_are_skipped),
        cmocka_unit_test(pipelined_requests_come_one_at_a_time_and_share_nothing),
        cmocka_unit_test(an_absolute_or_fragmented_address_is_cut_to_its_path),
        cmocka_unit_test(the_authorization_is_kept_whole_or_not_at_all),
        cmocka_unit_test(http_1_0_closes_unless_it_asks_to_be_kept),
        cmocka_unit_test(nonsense_is_refused_by_number),
        cmocka_unit_test(a_head_may_be_as_long_as_its_limit_and_no_longer),
        cmocka_unit_test(the_head_limit_is_each_requests_own),
        cmocka_unit_test(a_body_may_be_as_long_as_its_limit_and_no_longer),
        cmocka_unit_test(expect_is_answered_once_and_only_when_the_body_is_awaited),
        cmocka_unit_test(an_upgrade_needs_all_its_headers),
        cmocka_unit_test(bytes_behind_an_upgrade_are_left_alone),
        cmocka_unit_test(an_upgrade_to_something_else_is_an_ordinary_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
