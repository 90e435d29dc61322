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
    struct http_bad why = http_bad(h);
    snprintf(out + len, room - len, bad ? "bad %d %s" : http_is_idle(h) ? "idle" : "partial", why.status, why.text);
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

static void a_chunked_body_is_put_together(void **state)
{
    (void)state;
    expect("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
           "3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n"
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
    expect("GET /one HTTP/1.1\r\n" HOST "\r\nGET /two HTTP/1.1\r\n\r\n", "GET /one ? keep []\nbad 400 Host is missing");
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

#define GET "GET / HTTP/1.1\r\n" HOST
#define POST "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

struct refusal { const char *stream, *why; size_t len; };
#define R(stream, why) { stream, why, sizeof stream - 1 }

static void expect_refusals(const struct refusal *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
            char out[2048], want[256];
            run(bytes_of(cases[i].stream, cases[i].len), pieces[k], out, sizeof out);
            snprintf(want, sizeof want, "bad %s", cases[i].why);
            assert_string_equal(out, want);
        }
    }
}

static void what_is_no_HTTP_is_refused_by_name(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        R("\x16\x03\x01\x02\x00\x01\x00", "400 this port speaks HTTP without TLS, and this is a TLS greeting"),
        R("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 this is HTTP/2; only HTTP/1.1 is spoken here"),
        R("GET / HTTP/2.0\r\n" HOST "\r\n", "505 only HTTP/1.1 and HTTP/1.0 are spoken here"),
        R("GET / HTTP/0.9\r\n" HOST "\r\n", "505 only HTTP/1.1 and HTTP/1.0 are spoken here"),
        R("GET / HTTP/9.9\r\n" HOST "\r\n", "505 only HTTP/1.1 and HTTP/1.0 are spoken here"),
        R("GET\r\n\r\n", "400 no HTTP request begins like this"),
        R("NOSUCH / HTTP/1.1\r\n" HOST "\r\n", "400 no HTTP request begins like this"),
        R("{\"user\":1}", "400 no HTTP request begins like this"),
        R("\0\0\0\0", "400 no HTTP request begins like this"),
        R("GET  / HTTP/1.1\r\n" HOST "\r\n", "400 too many spaces in the request line"),
        R("GET / HTTP/1.1 \r\n" HOST "\r\n", "400 too many spaces in the request line"),
        R("GET / HTML/1.1\r\n" HOST "\r\n", "400 the request line is not METHOD /path HTTP/1.1"),
        R("GET /a\0b HTTP/1.1\r\n" HOST "\r\n", "400 a control character in the request line"),
        R("GET /a\tb HTTP/1.1\r\n" HOST "\r\n", "400 a control character in the request line"),
        R("GET /\xff HTTP/1.1\r\n" HOST "\r\n", "400 a character in the address that may not be there"),
        R(POST "Expect: a-miracle\r\nContent-Length: 1\r\n\r\n", "417 Expect may only be 100-continue"),
    };
    expect_refusals(cases, sizeof cases / sizeof *cases);
}

static void only_a_path_is_an_address(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        R("GET http://h:1/p?q HTTP/1.1\r\n" HOST "\r\n", "400 the address does not begin with /"),
        R("OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "400 the address does not begin with /"),
        R("CONNECT h:1 HTTP/1.1\r\n" HOST "\r\n", "400 the address does not begin with /"),
        R("GET /p?q#f HTTP/1.1\r\n" HOST "\r\n", "400 # in the address: a client keeps that part"),
    };
    expect_refusals(cases, sizeof cases / sizeof *cases);
}

/* Each of these is read in one way by some servers and in another by some proxies. */
static void what_can_be_read_in_two_ways_is_refused(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        R("GET / HTTP/1.1\r\n\r\n", "400 Host is missing"),
        R(GET "Host: y\r\n\r\n", "400 Host stands there twice"),
        R("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400 Host is not a name with a port"),
        R("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400 Host is not a name with a port"),
        R(GET "Origin: http://a\r\nOrigin: http://b\r\n\r\n", "400 Origin stands there twice"),
        R("GET / HTTP/1.1\nHost: x\n\n", "400 a line that ends in LF without CR"),
        R(GET "A: b\nC: d\r\n\r\n", "400 a line that ends in LF without CR"),
        R(GET "\n", "400 a line that ends in LF without CR"),
        R("\nGET / HTTP/1.1\r\n", "400 no HTTP request begins like this"),
        R(GET "A: b\rC: d\r\n\r\n", "400 a CR without LF"),
        R("GET / HTTP/1.1\rHost: x\r\n\r\n", "400 a CR without LF"),
        R(GET "A: b\r\n c\r\n\r\n", "400 a header that goes on in the next line"),
        R(GET "A: b\r\n\tc\r\n\r\n", "400 a header that goes on in the next line"),
        R("GET / HTTP/1.1\r\n Host: x\r\n\r\n", "400 a header that goes on in the next line"),
        R("GET / HTTP/1.1\r\nHost : x\r\n\r\n", "400 a space in or behind a header's name"),
        R("GET / HTTP/1.1\r\nHo st: x\r\n\r\n", "400 a space in or behind a header's name"),
        R(GET "Content-Length\t: 1\r\n\r\n", "400 a space in or behind a header's name"),
        R(GET ": x\r\n\r\n", "400 a header's name is not a token with a colon behind it"),
        R(GET "A\0: x\r\n\r\n", "400 a header's name is not a token with a colon behind it"),
        R(GET "no colon\r\n\r\n", "400 a space in or behind a header's name"),
        R(GET "nocolon\r\n\r\n", "400 a header's name is not a token with a colon behind it"),
        R(GET "A: b\0c\r\n\r\n", "400 a NUL in a header"),
        R(GET "A: b\x01\r\n\r\n", "400 a control character in a header"),
        R(POST "Content-Length: x\r\n\r\n", "400 Content-Length is not a number"),
        R(POST "Content-Length:\r\n\r\n", "400 Content-Length is not a number"),
        R(POST "Content-Length: -1\r\n\r\n", "400 Content-Length is not a number"),
        R(POST "Content-Length: +1\r\n\r\n", "400 Content-Length is not a number"),
        R(POST "Content-Length: 0x1\r\n\r\n", "400 Content-Length is not a number"),
        R(POST "Content-Length: 1, 1\r\n\r\n", "400 Content-Length is not a number"),
        R(POST "Content-Length: 99999999999999999999999\r\n\r\n", "400 Content-Length is not a number"),
        R(POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
          "400 Content-Length and Transfer-Encoding stand there both, or one of them twice"),
        R(POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
          "400 Content-Length and Transfer-Encoding stand there both, or one of them twice"),
        R(POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
          "400 Content-Length and Transfer-Encoding stand there both, or one of them twice"),
        R(POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
          "400 Content-Length and Transfer-Encoding stand there both, or one of them twice"),
        R(POST "Transfer-Encoding: gzip\r\n\r\n", "501 Transfer-Encoding may only be chunked"),
        R(POST "Transfer-Encoding: gzip, chunked\r\n\r\n", "501 Transfer-Encoding may only be chunked"),
        R(POST "Transfer-Encoding: identity\r\n\r\n", "501 Transfer-Encoding may only be chunked"),
        R(POST "Transfer-Encoding: xchunked\r\n\r\n", "501 Transfer-Encoding may only be chunked"),
        R("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Transfer-Encoding in HTTP/1.0"),
    };
    expect_refusals(cases, sizeof cases / sizeof *cases);
}

static void chunks_are_taken_only_as_they_should_be(void **state)
{
    (void)state;
    static const char size[] = "400 a chunk's size is not a hexadecimal number, or too large";
    static const char end[] = "400 a chunk that does not end where its size says";
    const struct refusal cases[] = {
        R(CHUNKED "xyz\r\n", size),
        R(CHUNKED "+3\r\nabc\r\n0\r\n\r\n", size),
        R(CHUNKED "-3\r\nabc\r\n0\r\n\r\n", size),
        R(CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", size),
        R(CHUNKED " 3\r\nabc\r\n0\r\n\r\n", size),
        R(CHUNKED "3 \r\nabc\r\n0\r\n\r\n", size),
        R(CHUNKED "\r\n", size),
        R(CHUNKED "10000000000000003\r\nabc\r\n0\r\n\r\n", size),
        R(CHUNKED "3\nabc\r\n0\r\n\r\n", size),
        R(CHUNKED "3\rabc\r\n0\r\n\r\n", end),
        R(CHUNKED "3\r\nabcd\r\n0\r\n\r\n", end),
        R(CHUNKED "3\r\nabc\n0\r\n\r\n", end),
        R(CHUNKED "3;a\nabc\r\n0\r\n\r\n", end),
        R(CHUNKED "3\r\nabc\r\n0\r\n\n", "400 a line that ends in LF without CR"),
        R(CHUNKED "3\r\nabc\r\n0\r\nA b\r\n\r\n", "400 headers behind a body in chunks"),
        R(CHUNKED "0\r\nContent-Length: 3\r\n\r\n", "400 headers behind a body in chunks"),
        R(CHUNKED "3\r\nabc\r\n0\r\nA: b\r\n\r\n", "400 headers behind a body in chunks"),
    };
    expect_refusals(cases, sizeof cases / sizeof *cases);
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
            assert_string_equal(out, "bad 431 request line and headers are larger than 16 KiB");
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
        if (over) assert_string_equal(out, "bad 413 the body is larger than 16 KiB");
        else assert_non_null(strstr(out, "b]\nidle"));
        /* A length that is too big is refused before a byte of the body has come. */
        snprintf(head, sizeof head, "POST / HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n",
                 HTTP_BODY_BYTES_MAX + over);
        expect(head, over ? "bad 413 the body is larger than 16 KiB" : "partial");
    }
    buf_fini(&b);
}

static void chunks_that_are_all_extension_have_an_end(void **state)
{
    (void)state;
    char out[256];
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_put(&b, CHUNKED "1;", sizeof CHUNKED + 1);
    while (b.len < HTTP_BODY_WIRE_BYTES_MAX + sizeof CHUNKED + 100) buf_put_u8(&b, 'x');
    run(buf_bytes(&b), 1000, out, sizeof out);
    assert_string_equal(out, "bad 413 the body is larger than 16 KiB");
    buf_fini(&b);
}

static void headers_of_browsers_and_proxies_are_told(void **state)
{
    (void)state;
    struct http *h;
    enum http_step step;
    assert_int_equal(http_new(&h), 0);
    http_feed(h, bytes_of_str("OPTIONS / HTTP/1.1\r\nhost: chat.example:81 \r\nORIGIN:http://a.example\r\n"
                              "Access-Control-Request-Method: POST\r\nX-Forwarded-For: 1.1.1.1\r\n"
                              "x-forwarded-for: 2.2.2.2, 3.3.3.3\t\r\nForwarded: for=4.4.4.4\r\n\r\n"), &step);
    assert_int_equal(step, HTTP_STEP_WHOLE);
    struct http_head head = http_head(h);
    assert_string_equal(head.host, "chat.example:81");
    assert_string_equal(head.origin, "http://a.example");
    assert_string_equal(head.preflight, "POST");
    assert_string_equal(head.forwarded_for, "2.2.2.2, 3.3.3.3");
    assert_string_equal(head.forwarded, "for=4.4.4.4");
    http_feed(h, bytes_of_str("GET / HTTP/1.0\r\n\r\n"), &step);
    head = http_head(h);
    assert_string_equal(head.host, "");
    assert_string_equal(head.origin, "");
    assert_string_equal(head.preflight, "");
    assert_string_equal(head.forwarded_for, "");
    assert_string_equal(head.forwarded, "");
    http_free(h);
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
    struct http_bad bad = http_upgrade(h, key);
    *why = bad.text;
    if (bad.status == 101) assert_string_equal(key, "dGhlIHNhbXBsZSBub25jZQ==");
    http_free(h);
    return bad.status;
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
    assert_int_equal(upgrade_of(WS_HEAD WS_UPGRADE WS_VERSION WS_PROTOCOL "Sec-WebSocket-Key: short\r\n\r\n", &why),
                     400);
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
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_comes_out_whole_however_it_is_cut),
        cmocka_unit_test(a_chunked_body_is_put_together),
        cmocka_unit_test(pipelined_requests_come_one_at_a_time_and_share_nothing),
        cmocka_unit_test(the_authorization_is_kept_whole_or_not_at_all),
        cmocka_unit_test(http_1_0_closes_unless_it_asks_to_be_kept),
        cmocka_unit_test(what_is_no_HTTP_is_refused_by_name),
        cmocka_unit_test(only_a_path_is_an_address),
        cmocka_unit_test(what_can_be_read_in_two_ways_is_refused),
        cmocka_unit_test(chunks_are_taken_only_as_they_should_be),
        cmocka_unit_test(chunks_that_are_all_extension_have_an_end),
        cmocka_unit_test(headers_of_browsers_and_proxies_are_told),
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
