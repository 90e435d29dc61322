/* test_online.c - a session is kept alive, tried again, and left alone when it is over.
 *
 * The server is a thread that plays one connection after the other from a script. Time is real, but only lower bounds
 * are held against it: each test waits for what must happen, however long that takes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/client/online.h"

enum { LAST_RESORT_MS = 30000, BEAT_MS = 50, BEAT_CALM_MS = 500, BEAT_NEVER = 60000 };

struct fixture {
    char dir[64], holder[64], why[256];
    int listener;
    struct url url;
    struct home *home;
    struct account account;
    struct online *online;
    pthread_t server;
    void (*play)(struct fixture *f, int fd, int turn);    /* on the server's thread */
    int turns;                    /* connections it will take */
    int opened, lost;             /* by on_link */
    struct sync_event last;
    atomic_int heard[128];        /* by the server: how many of each type */
};

/* ---- the server; no assertion here: cmocka's belong to the main thread ---- */

static bool take(int fd, void *to, size_t len)
{
    return len == 0 || recv(fd, to, len, MSG_WAITALL) == (ssize_t)len;
}

static void upgrade(int fd)
{
    char head[2048] = "", joined[128], accept[32], answer[256];
    uint8_t digest[20];
    for (size_t len = 0; len < sizeof head - 1 && !strstr(head, "\r\n\r\n"); len++)
        if (!take(fd, head + len, 1)) return;
    const char *key = strstr(head, "Sec-WebSocket-Key: ");
    snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key ? key + 19 : "");
    EVP_Digest(joined, strlen(joined), digest, NULL, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    int len = snprintf(answer, sizeof answer, "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: %s\r\n"
                       "Sec-WebSocket-Protocol: pipit.v1\r\n\r\n", accept);
    send(fd, answer, (size_t)len, MSG_NOSIGNAL);
}

static void say(int fd, const struct msg *m)
{
    struct buf frame;
    uint8_t head[WSFRAME_HEADER_MAX];
    buf_init(&frame, FRAME_BYTES_MAX);
    if (msg_encode(m, &frame) == 0) {
        send(fd, head, wsframe_header(head, WSFRAME_BINARY, frame.len), MSG_NOSIGNAL);
        send(fd, frame.at, frame.len, MSG_NOSIGNAL);
    }
    buf_fini(&frame);
}

/* The next message of the device; its type, 0 at the end. Counts it; PINGs are answered when `pong`. */
static unsigned hear(struct fixture *f, int fd, bool pong)
{
    uint8_t head[2], more[2], key[4], frame[4096];
    struct msg m;
    if (!take(fd, head, 2)) return 0;
    size_t len = head[1] & 0x7f;
    if (len == 126 && take(fd, more, 2)) len = get_u16(more);
    if (len > sizeof frame || !take(fd, key, 4) || !take(fd, frame, len) || (head[0] & 0x0f) != WSFRAME_BINARY)
        return 0;
    for (size_t i = 0; i < len; i++) frame[i] ^= key[i % 4];
    if (msg_decode(bytes_of(frame, len), &m, NULL) != 0) return 0;
    atomic_fetch_add(&f->heard[m.type], 1);
    if (m.type == MSG_PING && pong) {
        struct msg answer = { .type = MSG_PONG, .has_ref = true, .ref = m.ref };
        say(fd, &answer);
    }
    return m.type;
}

static void welcome(int fd, uint64_t beat_ms)
{
    struct msg m = { .type = MSG_WELCOME, .has_ref = true, .ref = 1 };
    m.u.welcome = (struct msg_welcome){ .heartbeat_ms = beat_ms, .server = bytes_of_str("test") };
    say(fd, &m);
}

static void greet(struct fixture *f, int fd, uint64_t beat_ms)
{
    upgrade(fd);
    if (hear(f, fd, false) == MSG_HELLO) welcome(fd, beat_ms);
}

static void serve_on(struct fixture *f, int fd)
{
    while (hear(f, fd, true)) { }
}

static void *serve(void *arg)
{
    struct fixture *f = arg;
    struct timeval last_resort = { .tv_sec = LAST_RESORT_MS / 1000 };
    for (int turn = 0; turn < f->turns; turn++) {
        int fd = accept(f->listener, NULL, NULL);
        if (fd < 0) break;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &last_resort, sizeof last_resort);
        f->play(f, fd, turn);
        close(fd);
    }
    return NULL;
}

/* ---- the device ---- */

static void on_event(void *arg, const struct sync_event *e)
{
    ((struct fixture *)arg)->last = *e;
}

static void on_link(void *arg, bool open, const char *why)
{
    struct fixture *f = arg;
    if (open) f->opened++;
    else f->lost++;
    if (!open) assert_true(why[0] != '\0');
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    char text[64];
    if (!f || sodium_init() < 0) return -1;
    strcpy(f->dir, "/tmp/pipit-online-XXXXXX");
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!mkdtemp(f->dir) || bind(f->listener, (struct sockaddr *)&at, sizeof at) || listen(f->listener, 8)) return -1;
    getsockname(f->listener, (struct sockaddr *)&at, &len);
    snprintf(text, sizeof text, "ws://127.0.0.1:%u", ntohs(at.sin_port));
    if (url_parse(text, &f->url, f->why) || home_open(f->dir, true, &f->home, f->why)) return -1;
    f->account = (struct account){ .server = "ws://x", .user = { "alice" }, .device = { 7 } };
    if (home_account_put(f->home, &f->account) || home_lock(f->home, "test", f->holder)) return -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[96];
    close(f->listener);
    home_close(f->home);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static void start(struct fixture *f, int turns, void (*play)(struct fixture *, int, int))
{
    static const struct online_ops ops = { .on_event = on_event, .on_link = on_link };
    f->turns = turns;
    f->play = play;
    assert_int_equal(pthread_create(&f->server, NULL, serve, f), 0);
    assert_int_equal(online_new(f->home, &f->account, &f->url, NULL, &ops, f, &f->online), 0);
}

static void finish(struct fixture *f)
{
    online_free(f->online);
    assert_int_equal(pthread_join(f->server, NULL), 0);
}

static int turn(struct fixture *f)
{
    bool ignored;
    uint64_t before = mono_ms();
    int err = online_turn(f->online, -1, &ignored, before + LAST_RESORT_MS);
    assert_true(mono_ms() < before + LAST_RESORT_MS);
    return err;
}
#define UNTIL(condition) while (!(condition)) assert_int_equal(turn(f), 0)

/* ---- claims ---- */

static void play_cut_then_stay(struct fixture *f, int fd, int turn)
{
    greet(f, fd, BEAT_NEVER);
    if (turn == 1) serve_on(f, fd);
}

static void a_lost_link_is_tried_again_after_a_while(void **state)
{
    struct fixture *f = *state;
    uint64_t began_at = mono_ms();
    start(f, 2, play_cut_then_stay);
    UNTIL(f->lost == 1);
    assert_false(online_is_open(f->online));
    assert_true(online_was_open(f->online));
    UNTIL(f->opened == 2);
    assert_true(mono_ms() - began_at >= BACKOFF_MS_MIN);
    assert_int_equal(atomic_load(&f->heard[MSG_HELLO]), 2);
    finish(f);
}

static void play_silence_then_stay(struct fixture *f, int fd, int turn)
{
    char byte;
    greet(f, fd, BEAT_MS);
    if (turn == 0) while (recv(fd, &byte, 1, 0) > 0) { }    /* reads, and says nothing */
    else serve_on(f, fd);
}

static void a_silent_server_is_given_up_after_two_heartbeats(void **state)
{
    struct fixture *f = *state;
    start(f, 2, play_silence_then_stay);
    UNTIL(f->opened == 1);
    UNTIL(f->lost == 1);
    assert_non_null(strstr(online_why(f->online), "two heartbeats"));
    UNTIL(f->opened == 2);
    finish(f);
}

static void play_pongs(struct fixture *f, int fd, int turn)
{
    (void)turn;
    greet(f, fd, BEAT_CALM_MS);
    serve_on(f, fd);
}

static void an_idle_device_says_something_each_heartbeat(void **state)
{
    struct fixture *f = *state;
    start(f, 1, play_pongs);
    UNTIL(atomic_load(&f->heard[MSG_PING]) >= 3);    /* longer than two silent heartbeats */
    assert_int_equal(f->lost, 0);
    finish(f);
}

static void play_goodbye(struct fixture *f, int fd, int turn)
{
    struct msg m = { .type = MSG_GOODBYE };
    m.u.goodbye = (struct msg_goodbye){ .code = -ERR_REPLACED, .text = bytes_of_str("another session was opened") };
    (void)turn;
    greet(f, fd, BEAT_NEVER);
    say(fd, &m);
}

static void play_close_code(struct fixture *f, int fd, int turn)
{
    (void)turn;
    greet(f, fd, BEAT_NEVER);
    send(fd, "\x88\x02\x0f\xb9", 4, MSG_NOSIGNAL);    /* 4025, without a GOODBYE */
}

static void play_refusal(struct fixture *f, int fd, int turn)
{
    struct msg m = { .type = MSG_ERROR, .has_ref = true, .ref = 1 };
    m.u.error = (struct msg_error){ .code = -ERR_AUTH, .name = bytes_of_str("AUTH"), .text = bytes_of_str("no") };
    (void)turn;
    upgrade(fd);
    hear(f, fd, false);
    say(fd, &m);
}

static void a_session_that_is_over_is_not_fought_for(void **state)
{
    struct fixture *f = *state;
    static const struct { void (*play)(struct fixture *, int, int); int err; } ends[] = {
        { play_goodbye, ERR_REPLACED }, { play_close_code, ERR_REVOKED }, { play_refusal, ERR_AUTH },
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        int err;
        start(f, 1, ends[i].play);
        while (!(err = turn(f))) { }
        assert_int_equal(err, ends[i].err);
        assert_true(online_why(f->online)[0] != '\0');
        assert_int_equal(turn(f), ends[i].err);    /* and stays so */
        finish(f);
        home_unlock(f->home);
        assert_int_equal(home_lock(f->home, "test", f->holder), 0);
    }
}

static void play_busy_then_stay(struct fixture *f, int fd, int turn)
{
    struct msg m = { .type = MSG_ERROR, .has_ref = true, .ref = 1 };
    m.u.error = (struct msg_error){ .code = -ERR_BUSY, .name = bytes_of_str("BUSY"), .text = bytes_of_str("busy"),
                                    .again = true, .again_in_ms = 1500 };    /* longer than the first back-off */
    if (turn == 1) {
        greet(f, fd, BEAT_NEVER);
        serve_on(f, fd);
        return;
    }
    upgrade(fd);
    hear(f, fd, false);
    say(fd, &m);
}

static void a_busy_server_is_asked_again_not_sooner_than_it_wants(void **state)
{
    struct fixture *f = *state;
    uint64_t began_at = mono_ms();
    start(f, 2, play_busy_then_stay);
    UNTIL(f->lost == 1);
    UNTIL(f->opened == 1);
    assert_true(mono_ms() - began_at >= 1500);
    finish(f);
}

static void play_stay(struct fixture *f, int fd, int turn)
{
    (void)turn;
    greet(f, fd, BEAT_NEVER);
    serve_on(f, fd);
}

static void work_that_another_process_left_is_taken_up_when_it_wakes_us(void **state)
{
    struct fixture *f = *state;
    struct home *other = NULL;
    const struct user_id bob = { "bob" };
    uint64_t client_seq;
    start(f, 1, play_stay);
    UNTIL(f->opened == 1);
    assert_int_equal(home_open(f->dir, false, &other, f->why), 0);
    assert_int_equal(home_outbox_add(other, &bob, bytes_of_str("x"), 1, &client_seq), 0);
    home_wake(other);
    home_close(other);
    bool ignored;    /* the turn must not need to be waited for: the wake is there */
    while (atomic_load(&f->heard[MSG_SEND]) == 0)
        assert_int_equal(online_turn(f->online, -1, &ignored, mono_ms() + 10), 0);
    finish(f);
}

static void draining_waits_until_the_server_has_heard_all(void **state)
{
    struct fixture *f = *state;
    start(f, 1, play_stay);
    UNTIL(f->opened == 1);
    assert_int_equal(online_drain(f->online), 0);
    assert_int_equal(f->last.kind, SYNC_PONG);
    finish(f);
}

static void the_callers_own_descriptor_ends_a_turn(void **state)
{
    struct fixture *f = *state;
    int fds[2];
    bool ready = false;
    start(f, 1, play_stay);
    UNTIL(f->opened == 1);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(online_turn(f->online, fds[0], &ready, mono_ms() + LAST_RESORT_MS), 0);
    assert_true(ready);
    close(fds[0]);
    close(fds[1]);
    finish(f);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CLAIM(a_lost_link_is_tried_again_after_a_while),
        CLAIM(a_silent_server_is_given_up_after_two_heartbeats),
        CLAIM(an_idle_device_says_something_each_heartbeat),
        CLAIM(a_session_that_is_over_is_not_fought_for),
        CLAIM(a_busy_server_is_asked_again_not_sooner_than_it_wants),
        CLAIM(work_that_another_process_left_is_taken_up_when_it_wakes_us),
        CLAIM(draining_waits_until_the_server_has_heard_all),
        CLAIM(the_callers_own_descriptor_ends_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
