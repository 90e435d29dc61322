/* test_link_http.c - requests over HTTP and their answers, from a server that is played byte by byte. */
#include "tests/unit/link_world.h"

#include "tools/client/pipit.h"

static int post(struct fixture *f, void (*play)(struct peer *), int *status, struct buf *answer)
{
    char why[WHY_MAX];
    memset(&f->peer, 0, sizeof f->peer);
    buf_clear(answer);
    start(f, play);
    const struct http_request request = { "POST", "/v1/login", NULL, bytes_of_str("{\"a\":1}") };
    int err = link_http(&f->url, NULL, &request, LAST_RESORT_MS, status, answer, why);
    finish(f);
    if (err) assert_true(why[0] != '\0');
    return err;
}

static void hear_request(struct peer *p)
{
    hear_head(p);
    hear(p, p->heard + p->heard_len, 7);
    p->heard[p->heard_len += 7] = '\0';
}

static void play_answer(struct peer *p)
{
    hear_request(p);
    p->slow = true;
    say_text(p, "HTTP/1.1 403 Forbidden\r\nServer: x\r\nCONTENT-LENGTH: 5\r\n\r\nhello and more");
    wait_for_end(p);
}

static void play_chunked(struct peer *p)
{
    hear_request(p);
    p->slow = true;
    say_text(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\nA\r\nlo, world!\r\n0\r\n\r\n");
    wait_for_end(p);
}

static void play_until_end(struct peer *p)
{
    hear_request(p);
    say_text(p, "HTTP/1.0 200 OK\r\n\r\nall of it");
}

static void play_cut(struct peer *p)
{
    hear_request(p);
    say_text(p, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nnot fifty");
}

static void play_cut_chunk(struct peer *p)
{
    hear_request(p);
    say_text(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx");
}

static void play_signed_status(struct peer *p)
{
    hear_request(p);
    say_text(p, "HTTP/1.1 -20 OK\r\nContent-Length: 0\r\n\r\n");
}

static void play_status_of_four_digits(struct peer *p)
{
    hear_request(p);
    say_text(p, "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n");
}

static void an_answer_is_as_long_as_it_says(void **state)
{
    struct fixture *f = *state;
    struct buf answer;
    int status = 0;
    buf_init(&answer, HTTP_ANSWER_MAX);
    assert_int_equal(post(f, play_answer, &status, &answer), 0);
    assert_int_equal(status, 403);
    assert_true(bytes_equal(buf_bytes(&answer), bytes_of_str("hello")));
    assert_int_equal(strncmp(f->peer.heard, "POST /v1/login HTTP/1.1\r\n", 25), 0);
    assert_non_null(strstr(f->peer.heard, "\r\nContent-Length: 7\r\n"));
    assert_non_null(strstr(f->peer.heard, "\r\n\r\n{\"a\":1}"));
    assert_int_equal(post(f, play_chunked, &status, &answer), 0);
    assert_true(bytes_equal(buf_bytes(&answer), bytes_of_str("hello, world!")));
    assert_int_equal(post(f, play_until_end, &status, &answer), 0);
    assert_true(bytes_equal(buf_bytes(&answer), bytes_of_str("all of it")));
    buf_fini(&answer);
}

static void play_get(struct peer *p)
{
    hear_head(p);
    say_text(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    wait_for_end(p);
}

static void a_request_carries_its_method_and_credentials(void **state)
{
    struct fixture *f = *state;
    const struct http_request request = { "GET", "/v1/export?after=00", "Bearer a.b.c", BYTES_NONE };
    struct buf answer;
    char why[WHY_MAX];
    int status = 0;
    buf_init(&answer, HTTP_ANSWER_MAX);
    memset(&f->peer, 0, sizeof f->peer);
    start(f, play_get);
    assert_int_equal(link_http(&f->url, NULL, &request, LAST_RESORT_MS, &status, &answer, why), 0);
    finish(f);
    assert_int_equal(strncmp(f->peer.heard, "GET /v1/export?after=00 HTTP/1.1\r\n", 34), 0);
    assert_non_null(strstr(f->peer.heard, "\r\nAuthorization: Bearer a.b.c\r\n"));
    assert_null(strstr(f->peer.heard, "Content-Length"));
    buf_fini(&answer);
}

static void an_answer_that_breaks_off_is_none(void **state)
{
    struct fixture *f = *state;
    struct buf answer;
    int status = 0;
    buf_init(&answer, HTTP_ANSWER_MAX);
    assert_int_equal(post(f, play_cut, &status, &answer), ERR_MALFORMED);
    assert_int_equal(post(f, play_cut_chunk, &status, &answer), ERR_MALFORMED);
    assert_int_equal(post(f, play_other_language, &status, &answer), ERR_MALFORMED);
    buf_fini(&answer);
}

static void a_status_is_three_digits_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct buf answer;
    int status = 0;
    buf_init(&answer, HTTP_ANSWER_MAX);
    assert_int_equal(post(f, play_signed_status, &status, &answer), ERR_MALFORMED);
    assert_int_equal(post(f, play_status_of_four_digits, &status, &answer), ERR_MALFORMED);
    buf_fini(&answer);
}

static void a_server_that_says_nothing_is_given_up(void **state)
{
    struct fixture *f = *state;
    struct buf answer;
    char why[WHY_MAX];
    int status = 0;
    buf_init(&answer, HTTP_ANSWER_MAX);
    start(f, wait_for_end);
    const struct http_request request = { "POST", "/v1/login", NULL, BYTES_NONE };
    assert_int_equal(link_http(&f->url, NULL, &request, 50, &status, &answer, why), ERR_IDLE);
    finish(f);
    buf_fini(&answer);
}

static void play_refuse_with_orders(struct peer *p)
{
    static const char body[] = "{\"error\":\"AUTH\",\"text\":\"no \\u001b[2J\\n\\u202eway\",\"again\":false}";
    char head[80];
    hear_head(p);
    snprintf(head, sizeof head, "HTTP/1.1 401 Unauthorized\r\nContent-Length: %zu\r\n\r\n", sizeof body - 1);
    say_text(p, head);
    say_text(p, body);
    wait_for_end(p);
}

static void what_the_server_says_of_a_refusal_is_made_safe(void **state)
{
    struct fixture *f = *state;
    char url[URL_HOST_MAX + 16], why[PIPIT_WHY_MAX];
    const struct user_id alice = { "alice" };
    snprintf(url, sizeof url, "ws://%s:%s", f->url.host, f->url.port);
    start(f, play_refuse_with_orders);
    int err = pipit_register(&(struct pipit_server){ url, NULL }, &alice, "a password", NULL, why);
    finish(f);
    assert_int_equal(err, ERR_AUTH);
    assert_string_equal(why, "no \xef\xbf\xbd[2J \xef\xbf\xbdway");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(an_answer_is_as_long_as_it_says),
        CLAIM(an_answer_that_breaks_off_is_none),
        CLAIM(a_status_is_three_digits_and_nothing_else),
        CLAIM(a_request_carries_its_method_and_credentials),
        CLAIM(a_server_that_says_nothing_is_given_up),
        CLAIM(what_the_server_says_of_a_refusal_is_made_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
