/* test_link.c - the upgrade, whole frames, and HTTP answers, from a server that is played byte by byte.
 *
 * Each test has a server of one connection: a thread that does what its function says. What is waited for is an event;
 * LAST_RESORT_MS only turns a hang into a failure. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/client/link.h"

enum { LAST_RESORT_MS = 30000, HEARD_MAX = 4096 };

struct peer {                     /* the server's side of a connection */
    int fd;
    char heard[HEARD_MAX];        /* a request: head and body */
    size_t heard_len;
    bool slow;                    /* one byte in each write */
};

struct fixture {
    int listener;
    struct url url;
    pthread_t thread;
    void (*play)(struct peer *p);
    struct peer peer;
    struct link *link;
    char frames[8][64];           /* what on_frame was given */
    size_t frame_count;
    int frame_answer;             /* what on_frame says to it */
};

/* ---- the server's side; no assertion here: cmocka's belong to the main thread ---- */

static void say(struct peer *p, const void *at, size_t len)
{
    const char *bytes = at;
    while (len > 0) {
        ssize_t n = send(p->fd, bytes, p->slow ? 1 : len, MSG_NOSIGNAL);
        if (n <= 0) return;
        bytes += n;
        len -= (size_t)n;
    }
}

static void say_text(struct peer *p, const char *text)
{
    say(p, text, strlen(text));
}

static void hear(struct peer *p, void *to, size_t len)
{
    uint8_t *bytes = to;
    while (len > 0) {
        ssize_t n = recv(p->fd, bytes, len, 0);
        if (n <= 0) {
            memset(bytes, 0, len);
            return;
        }
        bytes += n;
        len -= (size_t)n;
    }
}

static void hear_head(struct peer *p)
{
    while (p->heard_len < HEARD_MAX - 1 && !strstr(p->heard, "\r\n\r\n")) {
        hear(p, p->heard + p->heard_len, 1);
        p->heard[++p->heard_len] = '\0';
    }
}

static void accept_key(const struct peer *p, char out[static 32])
{
    char joined[128] = "";
    uint8_t digest[20];
    const char *key = strstr(p->heard, "Sec-WebSocket-Key: ");
    snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key ? key + 19 : "");
    EVP_Digest(joined, strlen(joined), digest, NULL, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)out, digest, sizeof digest);
}

static void upgrade(struct peer *p)
{
    char accept[32], answer[256];
    hear_head(p);
    accept_key(p, accept);
    snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nConnection: Upgrade\r\n"
             "sec-websocket-accept:  %s \r\nSec-WebSocket-Protocol: pipit.v1\r\n\r\n", accept);
    say_text(p, answer);
}

static void say_frame(struct peer *p, uint8_t first, const char *payload, size_t len)
{
    uint8_t head[WSFRAME_HEADER_MAX];
    size_t head_len = wsframe_header(head, WSFRAME_BINARY, len);
    head[0] = first;
    say(p, head, head_len);
    say(p, payload, len);
}

/* A masked frame under 126 bytes: its first byte, its key, its payload unmasked. 0: it was not masked. */
static uint8_t hear_frame(struct peer *p, uint8_t key[static 4], char payload[static 128])
{
    uint8_t head[2];
    hear(p, head, 2);
    size_t len = head[1] & 0x7f;
    if (!(head[1] & 0x80) || len > 125) return 0;
    hear(p, key, 4);
    hear(p, payload, len);
    for (size_t i = 0; i < len; i++) payload[i] ^= (char)key[i % 4];
    payload[len] = '\0';
    return head[0];
}

static void wait_for_end(struct peer *p)
{
    char byte;
    while (recv(p->fd, &byte, 1, 0) > 0) { }
}

static void *serve(void *arg)
{
    struct fixture *f = arg;
    struct timeval last_resort = { .tv_sec = LAST_RESORT_MS / 1000 };
    f->peer.fd = accept(f->listener, NULL, NULL);
    if (f->peer.fd < 0) return NULL;
    setsockopt(f->peer.fd, SOL_SOCKET, SO_RCVTIMEO, &last_resort, sizeof last_resort);
    f->play(&f->peer);
    close(f->peer.fd);
    return NULL;
}

/* ---- this side ---- */

static int on_frame(void *arg, struct bytes frame)
{
    struct fixture *f = arg;
    if (f->frame_count < 8 && frame.len < 64) {
        memcpy(f->frames[f->frame_count], frame.at, frame.len);
        f->frames[f->frame_count][frame.len] = '\0';
    }
    f->frame_count++;
    return f->frame_answer;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    char text[64], why[WHY_MAX];
    if (!f || sodium_init() < 0) return -1;
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(f->listener, (struct sockaddr *)&at, sizeof at) || listen(f->listener, 1)) return -1;
    getsockname(f->listener, (struct sockaddr *)&at, &len);
    snprintf(text, sizeof text, "ws://127.0.0.1:%u", ntohs(at.sin_port));
    if (url_parse(text, &f->url, why)) return -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    link_close(f->link);
    close(f->listener);
    free(f);
    return 0;
}

static void start(struct fixture *f, void (*play)(struct peer *p))
{
    f->play = play;
    assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
}

/* The connection ends and the server has done its part. */
static void finish(struct fixture *f)
{
    link_close(f->link);
    f->link = NULL;
    assert_int_equal(pthread_join(f->thread, NULL), 0);
}

static void open_link(struct fixture *f)
{
    static const struct link_ops ops = { .on_frame = on_frame };
    char why[WHY_MAX];
    assert_int_equal(link_open(&f->url, NULL, &ops, f, &f->link, why), 0);
}

/* One wait and one advance. */
static int turn(struct fixture *f)
{
    struct pollfd p = { .fd = link_fd(f->link), .events = link_events(f->link) };
    assert_true(poll(&p, 1, LAST_RESORT_MS) > 0);
    return link_advance(f->link);
}

static void until_up(struct fixture *f)
{
    while (!link_is_up(f->link)) assert_int_equal(turn(f), 0);
}

static int until_closed(struct fixture *f)
{
    int err;
    while (!(err = turn(f))) { }
    return err;
}

static void until_frames(struct fixture *f, size_t count)
{
    while (f->frame_count < count) assert_int_equal(turn(f), 0);
}

/* ---- frames ---- */

static void play_two_frames(struct peer *p)
{
    upgrade(p);
    say_frame(p, 0x82, "one", 3);
    say_frame(p, 0x02, "two ", 4);    /* in two parts, a ping in between */
    say_frame(p, 0x89, "", 0);
    say_frame(p, 0x80, "parts", 5);
    wait_for_end(p);
}

static void play_two_frames_slowly(struct peer *p)
{
    p->slow = true;
    play_two_frames(p);
}

static void messages_come_whole_however_they_are_cut(void **state)
{
    struct fixture *f = *state;
    start(f, play_two_frames_slowly);
    open_link(f);
    until_frames(f, 2);
    assert_string_equal(f->frames[0], "one");
    assert_string_equal(f->frames[1], "two parts");
    finish(f);
}

static void frames_right_behind_the_upgrade_are_not_lost(void **state)
{
    struct fixture *f = *state;
    start(f, play_two_frames);
    open_link(f);
    until_frames(f, 2);
    assert_string_equal(f->frames[0], "one");
    finish(f);
    const char *heard = f->peer.heard;
    assert_non_null(strstr(heard, "GET /v1/ws HTTP/1.1\r\n"));
    assert_non_null(strstr(heard, "\r\nSec-WebSocket-Protocol: pipit.v1\r\n"));
    assert_non_null(strstr(heard, "\r\nHost: 127.0.0.1:"));
}

static struct { uint8_t first[2], key[2][4]; char payload[2][128]; } got;

static void play_hear_two(struct peer *p)
{
    upgrade(p);
    for (int i = 0; i < 2; i++) got.first[i] = hear_frame(p, got.key[i], got.payload[i]);
    wait_for_end(p);
}

static void what_is_sent_is_masked_with_a_fresh_key_each_time(void **state)
{
    struct fixture *f = *state;
    start(f, play_hear_two);
    open_link(f);
    link_send(f->link, bytes_of_str("too early"));    /* not up yet: nothing */
    until_up(f);
    uint64_t before = link_said_ms(f->link);
    link_send(f->link, bytes_of_str("first"));
    link_send(f->link, bytes_of_str("second"));
    assert_false(link_is_drained(f->link));
    while (!link_is_drained(f->link)) assert_int_equal(turn(f), 0);
    assert_true(link_said_ms(f->link) >= before);
    finish(f);
    assert_int_equal(got.first[0], 0x82);
    assert_string_equal(got.payload[0], "first");
    assert_string_equal(got.payload[1], "second");
    assert_memory_not_equal(got.key[0], got.key[1], 4);
}

static void play_ping(struct peer *p)
{
    upgrade(p);
    say_frame(p, 0x89, "are you there", 13);
    got.first[0] = hear_frame(p, got.key[0], got.payload[0]);
    say_frame(p, 0x82, "thanks", 6);
    wait_for_end(p);
}

static void a_ping_is_answered(void **state)
{
    struct fixture *f = *state;
    start(f, play_ping);
    open_link(f);
    until_frames(f, 1);
    finish(f);
    assert_int_equal(got.first[0], 0x8a);
    assert_string_equal(got.payload[0], "are you there");
}

static void play_close(struct peer *p)
{
    upgrade(p);
    say_frame(p, 0x82, "last words", 10);
    say_frame(p, 0x88, "\x0f\xba" "replaced", 10);    /* 4026 */
    got.first[0] = hear_frame(p, got.key[0], got.payload[0]);
    wait_for_end(p);
}

static void a_close_is_answered_and_tells_its_code_and_reason(void **state)
{
    struct fixture *f = *state;
    start(f, play_close);
    open_link(f);
    assert_int_equal(until_closed(f), ERR_PEER);
    assert_int_equal(f->frame_count, 1);
    assert_int_equal(link_close_code(f->link), 4026);
    assert_string_equal(link_why(f->link), "replaced");
    assert_int_equal(link_advance(f->link), ERR_PEER);    /* and stays closed */
    finish(f);
    assert_int_equal(got.first[0], 0x88);
}

static void play_end(struct peer *p)
{
    upgrade(p);
    say_frame(p, 0x82, "whole", 5);
    say(p, "\x82\x05par", 5);
}

static void an_end_without_a_word_is_an_error_after_what_was_whole(void **state)
{
    struct fixture *f = *state;
    start(f, play_end);
    open_link(f);
    assert_int_equal(until_closed(f), ERR_PEER);
    assert_int_equal(f->frame_count, 1);
    assert_int_equal(link_close_code(f->link), 0);
    assert_true(link_why(f->link)[0] != '\0');
    finish(f);
}

static void play_text(struct peer *p)
{
    upgrade(p);
    say_frame(p, 0x81, "text", 4);
    wait_for_end(p);
}

static void a_text_message_breaks_the_protocol(void **state)
{
    struct fixture *f = *state;
    start(f, play_text);
    open_link(f);
    assert_int_equal(until_closed(f), ERR_NOT_BINARY);
    assert_int_equal(f->frame_count, 0);
    finish(f);
}

static void play_huge(struct peer *p)
{
    static char room[FRAME_BYTES_MAX + 1];
    upgrade(p);
    say_frame(p, 0x82, room, sizeof room);
    wait_for_end(p);
}

static void a_message_over_the_limit_breaks_the_protocol(void **state)
{
    struct fixture *f = *state;
    start(f, play_huge);
    open_link(f);
    assert_int_not_equal(until_closed(f), 0);
    assert_int_equal(f->frame_count, 0);
    finish(f);
}

static void what_the_receiver_refuses_ends_the_link_at_once(void **state)
{
    struct fixture *f = *state;
    f->frame_answer = ERR_TYPE;
    start(f, play_two_frames);
    open_link(f);
    assert_int_equal(until_closed(f), ERR_TYPE);
    assert_int_equal(f->frame_count, 1);
    finish(f);
}

/* ---- upgrades that are none ---- */

static void play_not_found(struct peer *p)
{
    hear_head(p);
    say_text(p, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    wait_for_end(p);
}

static void play_wrong_key(struct peer *p)
{
    hear_head(p);
    say_text(p, "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"
                "Sec-WebSocket-Protocol: pipit.v1\r\n\r\n");
    wait_for_end(p);
}

static void play_no_protocol(struct peer *p)
{
    char accept[32], answer[160];
    hear_head(p);
    accept_key(p, accept);
    snprintf(answer, sizeof answer, "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    say_text(p, answer);
    wait_for_end(p);
}

static void play_other_language(struct peer *p)
{
    hear_head(p);
    say_text(p, "220 mail.example ESMTP\r\n\r\n");
    wait_for_end(p);
}

static void play_endless_head(struct peer *p)
{
    hear_head(p);
    say_text(p, "HTTP/1.1 101 x\r\n");
    for (int i = 0; i < HTTP_HEAD_MAX / 8; i++) say_text(p, "a: bcd\r\n");
    say_text(p, "a: bcd");
    wait_for_end(p);
}

static void an_upgrade_must_be_right_in_every_part(void **state)
{
    struct fixture *f = *state;
    void (*const plays[])(struct peer *) = { play_not_found, play_wrong_key, play_no_protocol, play_other_language,
                                             play_endless_head };
    for (size_t i = 0; i < sizeof plays / sizeof plays[0]; i++) {
        memset(&f->peer, 0, sizeof f->peer);
        start(f, plays[i]);
        open_link(f);
        assert_int_not_equal(until_closed(f), 0);
        assert_false(link_is_up(f->link));
        assert_true(link_why(f->link)[0] != '\0');
        if (i == 0) assert_non_null(strstr(link_why(f->link), "404"));
        finish(f);
    }
}

static void a_port_where_nobody_listens_is_told(void **state)
{
    struct fixture *f = *state;
    close(f->listener);
    f->listener = -1;
    open_link(f);
    assert_int_equal(until_closed(f), ERR_PEER);
    assert_non_null(strstr(link_why(f->link), f->url.port));
    assert_non_null(strstr(link_why(f->link), "Connection refused"));
}

/* ---- HTTP ---- */

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

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CLAIM(messages_come_whole_however_they_are_cut),
        CLAIM(frames_right_behind_the_upgrade_are_not_lost),
        CLAIM(what_is_sent_is_masked_with_a_fresh_key_each_time),
        CLAIM(a_ping_is_answered),
        CLAIM(a_close_is_answered_and_tells_its_code_and_reason),
        CLAIM(an_end_without_a_word_is_an_error_after_what_was_whole),
        CLAIM(a_text_message_breaks_the_protocol),
        CLAIM(a_message_over_the_limit_breaks_the_protocol),
        CLAIM(what_the_receiver_refuses_ends_the_link_at_once),
        CLAIM(an_upgrade_must_be_right_in_every_part),
        CLAIM(a_port_where_nobody_listens_is_told),
        CLAIM(an_answer_is_as_long_as_it_says),
        CLAIM(an_answer_that_breaks_off_is_none),
        CLAIM(a_request_carries_its_method_and_credentials),
        CLAIM(a_server_that_says_nothing_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
