/* test_conn.c - one connection over a real socket: the upgrade, messages, a slow peer, time, and the end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/err.h"
#include "proto/limits.h"
#include "proto/wsframe.h"
#include "server/net/inside.h"
#include "tests/harness/feed.h"
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

/* -- what a shard's connections look like from inside -- */

struct look {
    uint32_t conns;
    size_t out_bytes_max;
    uint32_t out_count_max, in_len_max;
    bool all_idle;            /* no input, no queue, no parser, nothing in a write */
    bool nodelay;
};

static void look_at(struct shard *shard, void *arg)
{
    struct look *look = arg;
    struct conn *c;
    *look = (struct look){ .all_idle = true, .nodelay = true };
    TAILQ_FOREACH(c, &shard->net->conns, all) {
        int value = 0;
        socklen_t len = sizeof value;
        uv_os_fd_t fd;
        look->conns++;
        if (c->out_bytes > look->out_bytes_max) look->out_bytes_max = c->out_bytes;
        if (c->out_count > look->out_count_max) look->out_count_max = c->out_count;
        if (c->in_len > look->in_len_max) look->in_len_max = c->in_len;
        if (c->in || c->out || c->ws || c->http || c->pong || c->writing || c->move) look->all_idle = false;
        if (uv_fileno(&c->sock->uv.handle, &fd) != 0) continue;
        getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len);
        if (!value) look->nodelay = false;
    }
}

static struct look look(struct netrig *rig)
{
    struct look l;
    netrig_call(rig, 0, look_at, &l);
    return l;
}

/* -- the upgrade and messages -- */

static void messages_come_back_and_the_socket_does_not_delay(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    peer_say(p, "one");
    peer_expect(p, "one");
    peer_frame(p, 0x81, bytes_of_str("text"));
    assert_true(peer_next(p));
    assert_int_equal(p->first, 0x81);
    peer_say(p, "");
    peer_expect(p, "");
    assert_true(look(rig).nodelay);
    assert_int_equal(netrig_stat(rig, "frames_in"), 3);
    assert_int_equal(netrig_stat(rig, "frames_out"), 3);
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_PEER);
}

static void frames_sent_behind_the_upgrade_are_messages_however_they_are_cut(void **state)
{
    struct netrig *rig = *state;
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        struct peer *p = peer_dial(netrig_port(rig));
        struct buf b;
        struct bytes piece;
        buf_init(&b, 1 << 20);
        buf_put(&b, PEER_UPGRADE, strlen(PEER_UPGRADE));
        feed_frame(&b, 0x82, true, bytes_of_str("one"));
        feed_frame(&b, 0x02, true, bytes_of_str("tw"));
        feed_frame(&b, 0x80, true, bytes_of_str("o"));
        struct feed feed = { buf_bytes(&b), bytewise ? 1 : SIZE_MAX, 0 };
        while (feed_next(&feed, &piece)) assert_true(peer_put(p, piece));
        peer_expect_upgrade(p);
        peer_expect(p, "one");
        peer_expect(p, "two");
        buf_fini(&b);
        peer_free(p);
    }
}

static void the_largest_message_passes_and_a_larger_one_closes(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    static uint8_t payload[FRAME_BYTES_MAX + 1];
    memset(payload, 'x', sizeof payload);
    peer_frame(p, 0x82, bytes_of(payload, FRAME_BYTES_MAX));
    assert_true(peer_next(p));
    assert_int_equal(p->body.len, FRAME_BYTES_MAX);
    assert_memory_equal(p->body.at, payload, FRAME_BYTES_MAX);
    peer_frame(p, 0x82, bytes_of(payload, FRAME_BYTES_MAX + 1));
    assert_int_equal(peer_expect_close(p), WS_CODE_TOO_BIG);
    assert_non_null(strstr((char *)p->body.at + 2, "larger than the limit"));
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_TOO_BIG);
}

static void a_broken_frame_closes_with_the_code_that_rfc_6455_has_for_it(void **state)
{
    struct netrig *rig = *state;
    static const struct { uint8_t first; bool masked; const char *payload; int code; } cases[] = {
        { 0x82, false, "unmasked", 1002 },
        { 0xc2, true, "compressed", 1002 },
        { 0x83, true, "an opcode of nobody", 1002 },
        { 0x80, true, "goes on with nothing", 1002 },
        { 0x09, true, "a ping in parts", 1002 },
        { 0x81, true, "\xc3\x28", 1007 },
        { 0x88, true, "\x03", 1002 },
        { 0x88, true, "\x03\xee", 1002 },
        { 0x88, true, "\x03\xe8\xff", 1007 },
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        struct peer *p = peer_open(netrig_port(rig));
        struct buf b;
        buf_init(&b, 256);
        peer_say(p, "before");
        feed_frame(&b, cases[i / 2].first, cases[i / 2].masked, bytes_of_str(cases[i / 2].payload));
        for (size_t at = 0; i % 2 && at < b.len; at++) peer_put(p, bytes_of(b.at + at, 1));
        if (i % 2 == 0) peer_put(p, buf_bytes(&b));
        peer_say(p, "ghost");
        peer_expect(p, "before");
        assert_int_equal(peer_expect_close(p), cases[i / 2].code);
        buf_fini(&b);
        peer_free(p);
        assert_int_equal(netrig_closed(rig), ERR_MALFORMED);
    }
}

static void a_ping_is_answered_and_ours_is_one(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    peer_frame(p, 0x89, bytes_of_str("are you there"));
    assert_true(peer_next(p));
    assert_int_equal(p->first, 0x8a);
    assert_string_equal((char *)p->body.at, "are you there");
    peer_say(p, "K");
    assert_true(peer_next(p));
    assert_int_equal(p->first, 0x89);
    assert_int_equal(p->body.len, 0);
    peer_frame(p, 0x8a, BYTES_NONE);
    peer_say(p, "still");
    peer_expect(p, "still");
    peer_free(p);
}

static void the_peers_close_is_answered_with_its_code(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    peer_say(p, "last");
    peer_frame(p, 0x88, bytes_of_str("\x0f\xa1why"));       /* 4001 */
    peer_say(p, "ghost");
    peer_expect(p, "last");
    assert_int_equal(peer_expect_close(p), 4001);
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_PEER);
}

static void closing_says_why_and_only_the_first_reason_counts(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    peer_say(p, "C26");
    peer_say(p, "ghost");
    assert_int_equal(peer_expect_close(p), 4026);
    assert_string_equal((char *)p->body.at + 2, err_text(ERR_REPLACED));
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_REPLACED);
    assert_int_equal(netrig_closed_count(rig), 0);
}

static void what_was_queued_before_a_close_arrives_before_it(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    struct buf b;
    buf_init(&b, 1024);
    feed_frame(&b, 0x82, true, bytes_of_str("S100 60000"));
    feed_frame(&b, 0x82, true, bytes_of_str("C26"));
    peer_put(p, buf_bytes(&b));
    for (int i = 1; i <= 100; i++) {
        char number[16];
        snprintf(number, sizeof number, "%04d", i);
        assert_true(peer_next(p));
        assert_int_equal(p->body.len, 60000);
        assert_memory_equal(p->body.at, number, 4);
    }
    buf_fini(&b);
    peer_free(p);
}

static void frames_of_one_turn_are_one_write(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    netrig_settle(rig);
    uint64_t before = netrig_stat(rig, "writes");
    peer_say(p, "S60 100");
    for (int i = 0; i < 60; i++) assert_true(peer_next(p));
    netrig_settle(rig);
    assert_int_equal(netrig_stat(rig, "writes"), before + 1);
    peer_free(p);
}

static void an_idle_connection_holds_nothing(void **state)
{
    struct netrig *rig = *state;
    struct peer *p[20];
    for (int i = 0; i < 20; i++) {
        p[i] = peer_open(netrig_port(rig));
        peer_say(p[i], "hello");
        peer_expect(p[i], "hello");
        peer_frame(p[i], 0x89, bytes_of_str("ping"));
        assert_true(peer_next(p[i]));
    }
    netrig_settle(rig);
    struct look l = look(rig);
    assert_int_equal(l.conns, 20);
    assert_true(l.all_idle);
    /* And one in the middle of a message does: the look is not blind. */
    peer_put(p[0], bytes_of("\x82\x85", 2));
    netrig_await(rig, "bytes_in", netrig_stat(rig, "bytes_in"));
    while (look(rig).all_idle) {}
    for (int i = 0; i < 20; i++) peer_free(p[i]);
}

/* -- held back -- */

static void a_paused_connection_hears_nothing_until_it_goes_on(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    struct buf b;
    buf_init(&b, 1 << 16);
    feed_frame(&b, 0x82, true, bytes_of_str("P"));
    for (int i = 0; i < 10; i++) feed_frame(&b, 0x82, true, bytes_of_str("held"));
    peer_put(p, buf_bytes(&b));
    netrig_await(rig, "frames_in", 1);
    peer_say(p, "later");
    netrig_settle(rig);
    assert_int_equal(netrig_stat(rig, "frames_in"), 1);
    netrig_resume(rig);
    for (int i = 0; i < 10; i++) peer_expect(p, "held");
    peer_expect(p, "later");
    peer_say(p, "P");
    netrig_await(rig, "frames_in", 13);
    buf_fini(&b);
    peer_free(p);           /* also one that ends while it is paused must end */
    netrig_resume(rig);
    assert_int_equal(netrig_closed(rig), ERR_PEER);
}

static void a_peer_that_does_not_read_is_not_read_from_and_loses_nothing(void **state)
{
    enum { MESSAGES = 400, BYTES = 50000 };
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    static uint8_t payload[BYTES];
    struct buf b;
    buf_init(&b, 1 << 20);
    /* 20 MB of echoes: far more than all buffers on the way. Written without ever blocking, as far as it goes. */
    size_t said = 0, at = 0, frame_len = 0;
    int stalled = 0;
    while (said < MESSAGES) {
        if (at == frame_len) {
            memcpy(payload + 1, &said, sizeof said);     /* behind a 0, which is no command */
            buf_clear(&b);
            feed_frame(&b, 0x82, true, bytes_of(payload, BYTES));
            frame_len = b.len;
            at = 0;
        }
        size_t n = peer_put_now(p, bytes_of(b.at + at, frame_len - at));
        if (n > 0) {
            at += n;
            if (at == frame_len) said++;
            stalled = 0;
            continue;
        }
        /* No room: the server has stopped reading when a few whole turns change nothing. */
        netrig_settle(rig);
        if (++stalled == 100) break;
    }
    assert_int_equal(stalled, 100);
    assert_true(said < MESSAGES);
    struct look l = look(rig);
    assert_true(l.out_bytes_max >= CONN_OUT_HIGH);
    size_t read_max = p->ssl ? NET_PLAIN_BYTES : CONN_READ_BYTES;
    assert_true(l.out_bytes_max <= CONN_OUT_HIGH + FRAME_BYTES_MAX + WSFRAME_HEADER_MAX + read_max);
    assert_true(l.in_len_max <= read_max);
    /* Another peer is served meanwhile. */
    struct peer *other = peer_open(netrig_port(rig));
    peer_say(other, "me too");
    peer_expect(other, "me too");
    peer_free(other);
    /* Now it reads, and all comes, in order, the message that was cut too. */
    size_t heard = 0;
    for (; heard < said; heard++) {
        assert_true(peer_next(p));
        assert_int_equal(p->body.len, BYTES);
        assert_memory_equal(p->body.at + 1, &heard, sizeof heard);
    }
    if (at && at < frame_len) {
        peer_put(p, bytes_of(b.at + at, frame_len - at));
        assert_true(peer_next(p));
        assert_memory_equal(p->body.at + 1, &heard, sizeof heard);
    }
    buf_fini(&b);
    peer_free(p);
}

static void an_owner_is_told_when_a_blocked_peer_has_taken_all(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    peer_say(p, "S200 60000");
    while (look(rig).out_count_max == 0) {}
    assert_int_equal(netrig_drained(rig), 0);
    for (int i = 0; i < 200; i++) assert_true(peer_next(p));
    while (netrig_drained(rig) == 0) netrig_settle(rig);
    peer_say(p, "one that fits");              /* is no news */
    peer_expect(p, "one that fits");
    netrig_settle(rig);
    assert_int_equal(netrig_drained(rig), 1);
    peer_free(p);
}

static void a_burst_of_requests_is_slowed_and_not_punished(void **state)
{
    enum { MESSAGES = 20000 };
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    struct buf b;
    buf_init(&b, 1 << 22);
    for (int i = 0; i < MESSAGES; i++) feed_frame(&b, 0x82, true, bytes_of_str("m"));
    peer_put(p, buf_bytes(&b));
    for (int i = 0; i < MESSAGES; i++) {
        assert_true(peer_next(p));
        assert_int_equal(p->body.len, 1);
    }
    assert_int_equal(netrig_stat(rig, "slow_closed"), 0);
    buf_fini(&b);
    peer_free(p);
}

static void a_peer_with_too_many_frames_waiting_is_closed_as_slow(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    peer_say(p, "S1100 1000");                 /* more than CONN_OUT_FRAMES_MAX, in one turn */
    assert_true(peer_next(p));
    assert_int_equal(p->first, 0x88);          /* at once: what waited was dropped */
    assert_int_equal(get_u16(p->body.at), err_close_code(ERR_SLOW));
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_SLOW);
    assert_int_equal(netrig_stat(rig, "slow_closed"), 1);
}

static void pings_without_end_cost_one_pong(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    peer_say(p, "S200 60000");                 /* block it first */
    while (look(rig).out_count_max == 0) {}
    struct buf b;
    buf_init(&b, 1 << 22);
    for (int i = 0; i < 5000; i++) feed_frame(&b, 0x89, true, bytes_of_str("ping"));
    feed_frame(&b, 0x89, true, bytes_of_str("last"));
    uint64_t bytes = netrig_stat(rig, "bytes_in") + b.len;
    size_t queued = look(rig).out_count_max;
    peer_put(p, buf_bytes(&b));
    /* Over CONN_OUT_HIGH it is not even read; with less queued it is, and grows nothing. */
    for (int i = 0; i < 50; i++) netrig_settle(rig);
    assert_true(look(rig).out_count_max <= queued);
    int pongs = 0, messages = 0;
    while (messages < 200 || pongs == 0 || memcmp(p->body.at, "last", 4) != 0) {
        assert_true(peer_next(p));
        if (p->first == 0x8a) pongs++;
        else messages++;
    }
    assert_int_equal(netrig_stat(rig, "bytes_in"), bytes);
    assert_true(pongs < 5000);
    buf_fini(&b);
    peer_free(p);
}

/* -- time, turned by hand -- */

static void the_first_message_must_come_in_time_and_then_there_is_none(void **state)
{
    struct netrig *rig = *state;
    struct peer *silent = peer_open(netrig_port(rig));
    struct peer *spoke = peer_open(netrig_port(rig));
    peer_say(spoke, "hello");
    peer_expect(spoke, "hello");
    netrig_turn_clock(rig, NETRIG_REQUEST_MS + WHEEL_TICK_MS);
    assert_int_equal(peer_expect_close(silent), err_close_code(ERR_IDLE));
    assert_int_equal(netrig_closed(rig), ERR_IDLE);
    netrig_turn_clock(rig, 100 * NETRIG_REQUEST_MS);
    peer_say(spoke, "still here");
    peer_expect(spoke, "still here");
    peer_free(silent);
    peer_free(spoke);
}

static void a_message_must_be_whole_in_time_and_each_has_its_own(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig)), *slow = peer_open(netrig_port(rig));
    struct buf b;
    uint64_t bytes = netrig_stat(rig, "bytes_in");
    buf_init(&b, 1024);
    feed_frame(&b, 0x82, true, bytes_of_str("a message that comes byte by byte"));
    peer_say(p, "first");
    peer_expect(p, "first");
    peer_say(slow, "first");
    peer_expect(slow, "first");
    bytes += 2 * (6 + strlen("first"));
    /* Two messages, each of which takes nearly all of its time; the second begins in the bytes that end the first. */
    size_t len = b.len, at = 0;
    feed_frame(&b, 0x82, true, bytes_of_str("a message that comes byte by byte"));
    while (at < b.len) {
        size_t n = at == len - 1 ? 2 : 1;
        peer_put(p, bytes_of(b.at + at, n));
        at += n;
        netrig_await(rig, "bytes_in", bytes += n);
        netrig_turn_clock(rig, NETRIG_MESSAGE_MS / (len + 1));
    }
    for (int i = 0; i < 2; i++) peer_expect(p, "a message that comes byte by byte");
    /* Fragments without end, a byte now and then, pings between: one message all the same. */
    peer_frame(slow, 0x02, BYTES_NONE);
    netrig_await(rig, "bytes_in", bytes += 6);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(netrig_closed_count(rig), 0);
        peer_frame(slow, i % 2 ? 0x00 : 0x89, BYTES_NONE);
        netrig_await(rig, "bytes_in", bytes += 6);
        netrig_turn_clock(rig, NETRIG_MESSAGE_MS / 10);
    }
    netrig_turn_clock(rig, 2 * WHEEL_TICK_MS);
    assert_int_equal(peer_expect_close(slow), err_close_code(ERR_IDLE));
    assert_int_equal(netrig_closed(rig), ERR_IDLE);
    netrig_turn_clock(rig, 10 * NETRIG_MESSAGE_MS);
    peer_say(p, "between messages there is no time");
    peer_expect(p, "between messages there is no time");
    buf_fini(&b);
    peer_free(p);
    peer_free(slow);
}

static void the_end_of_a_peer_is_seen_while_it_is_held_back(void **state)
{
    struct netrig *rig = *state;
    struct peer *gone = peer_open(netrig_port(rig)), *reset = peer_open(netrig_port(rig));
    struct peer *stays = peer_open(netrig_port(rig));
    struct peer *all[] = { gone, reset, stays };
    for (int i = 0; i < 3; i++) {
        peer_say(all[i], "P");
        netrig_await(rig, "frames_in", (uint64_t)i + 1);
        peer_say(all[i], "unread");
    }
    netrig_settle(rig);
    peer_free(gone);                                      /* its FIN stands behind what is not read */
    peer_reset(reset);
    netrig_turn_clock(rig, CONN_HELD_MS / 2);
    assert_int_equal(netrig_closed_count(rig), 0);
    netrig_turn_clock(rig, CONN_HELD_MS / 2 + 2 * WHEEL_TICK_MS);
    assert_int_equal(netrig_closed(rig), ERR_PEER);
    assert_int_equal(netrig_closed(rig), ERR_PEER);
    netrig_turn_clock(rig, 10 * CONN_HELD_MS);
    assert_int_equal(netrig_closed_count(rig), 0);
    netrig_resume(rig);
    peer_expect(stays, "unread");
    peer_free(stays);
    assert_int_equal(netrig_closed(rig), ERR_PEER);
}

static void a_closing_connection_is_given_up_after_the_linger(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    struct buf b;
    buf_init(&b, 1024);
    feed_frame(&b, 0x82, true, bytes_of_str("S200 60000"));
    feed_frame(&b, 0x82, true, bytes_of_str("C26"));
    peer_put(p, buf_bytes(&b));
    /* The close waits behind 12 MB, so input stays held back until some of it is read; then the peer stops again. */
    while (look(rig).out_count_max == 0) {}
    for (int i = 0; i < 197; i++) assert_true(peer_next(p));
    netrig_await(rig, "frames_in", 2);
    assert_int_equal(netrig_closed_count(rig), 0);
    netrig_turn_clock(rig, NETRIG_LINGER_MS + WHEEL_TICK_MS);
    assert_int_equal(netrig_closed(rig), ERR_REPLACED);
    buf_fini(&b);
    peer_free(p);
}

/* -- the house stops -- */

static void a_stop_says_going_to_all_and_waits_for_nobody(void **state)
{
    struct netrig *rig = *state;
    struct peer *open[10], *http = peer_dial(netrig_port(rig)), *blocked = peer_open(netrig_port(rig));
    for (int i = 0; i < 10; i++) open[i] = peer_open(netrig_port(rig));
    peer_puts(http, GET("/later"));
    netrig_await(rig, "conns", 12);
    netrig_stop(rig);
    for (int i = 0; i < 10; i++) assert_int_equal(peer_expect_close(open[i]), err_close_code(ERR_GOING));
    assert_true(peer_ended(http));
    for (int i = 0; i < 12; i++) assert_int_equal(netrig_closed(rig), ERR_GOING);
    for (int i = 0; i < 10; i++) peer_free(open[i]);
    peer_free(http);
    peer_free(blocked);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
#define TEST_BY_HAND(name) cmocka_unit_test_setup_teardown(name, up_by_hand, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_come_back_and_the_socket_does_not_delay),
        TEST(frames_sent_behind_the_upgrade_are_messages_however_they_are_cut),
        TEST(the_largest_message_passes_and_a_larger_one_closes),
        TEST(a_broken_frame_closes_with_the_code_that_rfc_6455_has_for_it),
        TEST(a_ping_is_answered_and_ours_is_one),
        TEST(the_peers_close_is_answered_with_its_code),
        TEST(closing_says_why_and_only_the_first_reason_counts),
        TEST(what_was_queued_before_a_close_arrives_before_it),
        TEST(frames_of_one_turn_are_one_write),
        TEST(an_idle_connection_holds_nothing),
        TEST(a_paused_connection_hears_nothing_until_it_goes_on),
        TEST(a_peer_that_does_not_read_is_not_read_from_and_loses_nothing),
        TEST(an_owner_is_told_when_a_blocked_peer_has_taken_all),
        TEST(a_burst_of_requests_is_slowed_and_not_punished),
        TEST(a_peer_with_too_many_frames_waiting_is_closed_as_slow),
        TEST(pings_without_end_cost_one_pong),
        TEST_BY_HAND(the_first_message_must_come_in_time_and_then_there_is_none),
        TEST_BY_HAND(a_message_must_be_whole_in_time_and_each_has_its_own),
        TEST_BY_HAND(the_end_of_a_peer_is_seen_while_it_is_held_back),
        TEST_BY_HAND(a_closing_connection_is_given_up_after_the_linger),
        TEST(a_stop_says_going_to_all_and_waits_for_nobody),
    };
    int failed = cmocka_run_group_tests_name("conn", tests, NULL, NULL);
    netrig_speak_tls();
    return failed + cmocka_run_group_tests_name("conn over TLS", tests, NULL, NULL);
}
