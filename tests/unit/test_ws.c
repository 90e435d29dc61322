/* test_ws.c - messages come out whole however their bytes come in, and nothing is held between them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "proto/limits.h"
#include "server/net/ws.h"
#include "tests/harness/chance.h"
#include "tests/harness/feed.h"

enum { BIN = 0x82, TEXT = 0x81, PING = 0x89, PONG = 0x8a, CLOSE = 0x88, BIN_OPEN = 0x02, TEXT_OPEN = 0x01, MORE = 0x00,
       LAST = 0x80, MESSAGE_MAX = FRAME_BYTES_MAX };

/* What came out, one line an event; long payloads as their length and a checksum. */
struct heard {
    char log[16384];
    size_t len;
    unsigned stop_after;      /* messages after which on_message says stop; 0: never */
    unsigned messages;
};

static void note(struct heard *h, const char *what, struct bytes b)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < b.len; i++) sum = sum * 31 + b.at[i];
    if (b.len <= 40) {
        h->len += (size_t)snprintf(h->log + h->len, sizeof h->log - h->len, "%s[%.*s]", what, (int)b.len,
                                   b.len ? (const char *)b.at : "");
    } else {
        h->len += (size_t)snprintf(h->log + h->len, sizeof h->log - h->len, "%s<%zu:%08x>", what, b.len, sum);
    }
}

static bool on_message(void *arg, struct bytes message, bool binary)
{
    struct heard *h = arg;
    note(h, binary ? "bin" : "text", message);
    return ++h->messages != h->stop_after;
}

static void on_ping(void *arg, struct bytes payload)
{
    note(arg, "ping", payload);
}

static void on_close(void *arg, uint16_t code)
{
    struct heard *h = arg;
    h->len += (size_t)snprintf(h->log + h->len, sizeof h->log - h->len, "close:%u", code);
}

static const struct ws_events events = { on_message, on_ping, on_close };

static int feed_all(struct ws *ws, struct heard *h, struct bytes stream, size_t piece_max)
{
    struct feed feed = { stream, piece_max, 1 };
    struct bytes piece;
    int err = 0;
    while (!err && feed_next(&feed, &piece)) {
        size_t used;
        err = ws_feed(ws, &events, h, piece, &used);
        assert_int_equal(used, piece.len);
        assert_true(ws_is_spent(ws) == (err != 0));
    }
    return err;
}

/* The stream, cut in several ways, gives these events and this end. */
static void expect(struct buf *stream, const char *log, int err)
{
    static const size_t pieces[] = { SIZE_MAX, 1, 2, 13, 5000 };
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct heard h = { .len = 0 };
        struct ws *ws;
        assert_int_equal(ws_new(MESSAGE_MAX, &ws), 0);
        assert_int_equal(feed_all(ws, &h, buf_bytes(stream), pieces[i]), err);
        const char *text;
        if (err == ERR_MALFORMED || err == ERR_TOO_BIG) {
            h.len += (size_t)snprintf(h.log + h.len, sizeof h.log - h.len, "!%d", ws_code(ws, &text));
            assert_true(*text != '\0');
        }
        assert_string_equal(h.log, log);
        ws_free(ws);
    }
    buf_clear(stream);
}

static int buf_setup(void **state)
{
    static struct buf b;
    buf_init(&b, 1 << 22);
    *state = &b;
    return 0;
}

static int buf_teardown(void **state)
{
    buf_fini(*state);
    return 0;
}

static void put(struct buf *b, uint8_t first, const char *payload)
{
    feed_frame(b, first, true, bytes_of_str(payload));
}

static void whole_messages_come_out_in_order(void **state)
{
    struct buf *b = *state;
    put(b, BIN, "one");
    put(b, TEXT, "two");
    put(b, BIN, "");
    put(b, BIN, "three");
    expect(b, "bin[one]text[two]bin[]bin[three]", 0);
}

static void every_length_form_is_read(void **state)
{
    struct buf *b = *state;
    static const size_t lens[] = { 41, 125, 126, 127, 4095, 4096, 4097, 65534, 65535, 65536 };
    static uint8_t payload[65536];
    for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct heard h = { .len = 0 };
        feed_frame(b, BIN, true, bytes_of(payload, lens[i]));
        note(&h, "bin", bytes_of(payload, lens[i]));
        put(b, BIN, "x");
        note(&h, "bin", bytes_of_str("x"));
        expect(b, h.log, 0);
    }
}

static void fragments_are_put_together_around_control_frames(void **state)
{
    struct buf *b = *state;
    put(b, BIN_OPEN, "ab");
    put(b, PING, "p1");
    put(b, MORE, "");
    put(b, MORE, "cd");
    put(b, PONG, "ignored");
    put(b, LAST, "ef");
    put(b, TEXT_OPEN, "\xc3");                   /* a character cut in two: only the whole is text */
    put(b, PING, "");
    put(b, LAST, "\xa9");
    expect(b, "ping[p1]bin[abcdef]ping[]text[\xc3\xa9]", 0);
}

static void the_peers_close_ends_it_and_nothing_behind_is_read(void **state)
{
    struct buf *b = *state;
    put(b, BIN, "last");
    put(b, CLOSE, "\x03\xe8" "bye");
    put(b, BIN, "ghost");
    expect(b, "bin[last]close:1000", ERR_PEER);
    put(b, CLOSE, "");
    expect(b, "close:0", ERR_PEER);
}

static void a_reason_is_read_whole_however_it_is_cut(void **state)
{
    struct buf *b = *state;
    put(b, BIN_OPEN, "a message under way is dropped");
    put(b, CLOSE, "\x0f\xa0" "\xe2\x82\xac \xc3\xa9 \xf0\x9f\x98\x80");
    put(b, LAST, "ghost");
    expect(b, "close:4000", ERR_PEER);
}

static void a_message_has_no_more_fragments_than_its_limit(void **state)
{
    struct buf *b = *state;
    for (int over = 0; over < 2; over++) {
        put(b, BIN_OPEN, "");
        for (int i = 2; i < WS_FRAGMENTS_MAX + over; i++) put(b, MORE, "");
        put(b, LAST, "");
        if (!over) put(b, BIN, "next");
        expect(b, over ? "!1009" : "bin[]bin[next]", over ? ERR_TOO_BIG : 0);
    }
}

static void what_rfc_6455_forbids_is_malformed(void **state)
{
    struct buf *b = *state;
    feed_frame(b, BIN, false, bytes_of_str("unmasked"));
    expect(b, "!1002", ERR_MALFORMED);
    put(b, BIN | 0x40, "reserved bit");
    expect(b, "!1002", ERR_MALFORMED);
    put(b, 0x83, "reserved opcode");
    expect(b, "!1002", ERR_MALFORMED);
    put(b, 0x8b, "reserved control opcode");
    expect(b, "!1002", ERR_MALFORMED);
    put(b, 0x09, "ping in fragments");
    expect(b, "!1002", ERR_MALFORMED);
    put(b, LAST, "goes on with nothing");
    expect(b, "!1002", ERR_MALFORMED);
    put(b, BIN_OPEN, "a");
    put(b, BIN, "begins inside another");
    expect(b, "!1002", ERR_MALFORMED);
    put(b, TEXT, "\xff");
    expect(b, "!1007", ERR_MALFORMED);
    put(b, TEXT, "\xed\xa0\x80");                 /* a surrogate */
    expect(b, "!1007", ERR_MALFORMED);
    put(b, TEXT, "cut \xe2\x82");
    expect(b, "!1007", ERR_MALFORMED);
    put(b, CLOSE, "\x03");                        /* half a code */
    expect(b, "!1002", ERR_MALFORMED);
    put(b, CLOSE, "\x03\xed");                    /* 1005 may not travel */
    expect(b, "!1002", ERR_MALFORMED);
    put(b, CLOSE, "\x03\xe7");                    /* nor one below 1000 */
    expect(b, "!1002", ERR_MALFORMED);
    put(b, CLOSE, "\x13\x88");                    /* nor one from 5000 on */
    expect(b, "!1002", ERR_MALFORMED);
    put(b, 0x08, "\x03\xe8");                     /* a close in fragments */
    expect(b, "!1002", ERR_MALFORMED);
    put(b, TEXT_OPEN, "good");
    put(b, PING, "\xff");                         /* a ping may hold anything */
    put(b, LAST, "\xff");
    expect(b, "ping[\xff]!1007", ERR_MALFORMED);
    put(b, TEXT_OPEN, "good");
    put(b, BIN, "begins inside another");
    expect(b, "!1002", ERR_MALFORMED);
    put(b, TEXT_OPEN, "good");
    put(b, PING | 0x10, "reserved bit");
    expect(b, "!1002", ERR_MALFORMED);
    put(b, CLOSE, "\x03\xe8\xff");
    expect(b, "!1007", ERR_MALFORMED);
    /* 5 bytes in the 16-bit form */
    buf_put(b, "\x82\xfe\x00\x05....hello", 13);
    expect(b, "!1002", ERR_MALFORMED);
    /* A length with its top bit set */
    buf_put(b, "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00....", 14);
    expect(b, "!1002", ERR_MALFORMED);
    /* A ping of 126 bytes */
    buf_put(b, "\x89\xfe\x00\x7e....", 8);
    expect(b, "!1002", ERR_MALFORMED);
}

static void good_messages_before_a_bad_frame_are_heard(void **state)
{
    struct buf *b = *state;
    put(b, BIN, "good");
    put(b, 0x83, "bad");
    put(b, BIN, "ghost");
    expect(b, "bin[good]!1002", ERR_MALFORMED);
}

static void a_message_may_be_as_long_as_its_limit_and_no_longer(void **state)
{
    struct buf *b = *state;
    static uint8_t payload[MESSAGE_MAX + 1];
    struct heard h = { .len = 0 };
    note(&h, "bin", bytes_of(payload, MESSAGE_MAX));
    feed_frame(b, BIN, true, bytes_of(payload, MESSAGE_MAX));
    expect(b, h.log, 0);
    feed_frame(b, BIN, true, bytes_of(payload, MESSAGE_MAX + 1));
    expect(b, "!1009", ERR_TOO_BIG);
    /* also when it comes in parts that are each small */
    for (int i = 0; i < 5; i++) feed_frame(b, i ? MORE : BIN_OPEN, true, bytes_of(payload, MESSAGE_MAX / 4));
    expect(b, "!1009", ERR_TOO_BIG);
    /* and a length no memory could hold is refused at its first byte */
    buf_put(b, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff....x", 15);
    expect(b, "!1009", ERR_TOO_BIG);
}

/* Its header comes byte by byte, and nothing behind it: the last byte of it is where it is refused. */
static void what_announces_too_much_is_refused_before_any_of_it_comes(void **state)
{
    static const struct { const char *header; size_t len; } headers[] = {
        { "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x01mask", 14 },      /* one byte more than may be */
        { "\x02\xff\x00\x00\x00\x00\x00\x01\x00\x01mask", 14 },      /* as the first of several */
        { "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffmask", 14 },
        { "\x00\xfe\xff\xf0mask", 8 },                                  /* on top of what has come */
        { "\x80\xfe\xff\xf0mask", 8 },
    };
    static const uint8_t begun[17];
    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        bool goes_on = (headers[i].header[0] & 0x0f) == MORE;
        for (int piece = 1; piece <= 14; piece++) {
            struct heard h = { .len = 0 };
            struct feed feed = { bytes_of(headers[i].header, headers[i].len), (size_t)piece, 1 };
            struct buf first;
            struct bytes part;
            struct ws *ws;
            const char *text;
            size_t used;
            int err = 0;
            buf_init(&first, 64);
            assert_int_equal(ws_new(MESSAGE_MAX, &ws), 0);
            feed_frame(&first, BIN_OPEN, true, bytes_of(begun, sizeof begun));
            if (goes_on) assert_int_equal(ws_feed(ws, &events, &h, buf_bytes(&first), &used), 0);
            while (feed_next(&feed, &part)) {
                assert_int_equal(err, 0);                /* not before its last byte: the one before might mean less */
                err = ws_feed(ws, &events, &h, part, &used);
            }
            assert_int_equal(err, ERR_TOO_BIG);
            assert_int_equal(ws_code(ws, &text), WS_CODE_TOO_BIG);
            assert_int_equal(h.len, 0);
            ws_free(ws);
            buf_fini(&first);
        }
    }
}

/* What is wrong with a header counts for more than what it announces; and as much as may be is waited for. */
static void a_header_is_judged_before_what_it_announces(void **state)
{
    struct buf *b = *state;
    buf_put(b, "\x83\xff\x00\x00\x00\x00\x00\x01\x00\x01mask", 14);    /* a reserved opcode */
    expect(b, "!1002", ERR_MALFORMED);
    buf_put(b, "\xc2\xff\x00\x00\x00\x00\x00\x01\x00\x01mask", 14);    /* a reserved bit */
    expect(b, "!1002", ERR_MALFORMED);
    buf_put(b, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x01", 10);        /* no mask */
    expect(b, "!1002", ERR_MALFORMED);
    buf_put(b, "\x80\xff\x00\x00\x00\x00\x00\x01\x00\x01mask", 14);    /* goes on with nothing */
    expect(b, "!1002", ERR_MALFORMED);
    buf_put(b, "\x82\xfe\x00\x05mask", 8);                             /* 5 in the 16-bit form */
    expect(b, "!1002", ERR_MALFORMED);
    put(b, BIN_OPEN, "a");
    buf_put(b, "\x82\x85mask", 6);                                      /* begins inside another, and is small */
    expect(b, "!1002", ERR_MALFORMED);
    buf_put(b, "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00mask", 14);    /* the largest there may be */
    expect(b, "", 0);
}

static void the_limit_is_each_messages_own(void **state)
{
    struct buf *b = *state;
    static uint8_t payload[MESSAGE_MAX];
    struct heard h = { .len = 0 };
    for (int i = 0; i < 3; i++) {
        feed_frame(b, BIN_OPEN, true, bytes_of(payload, MESSAGE_MAX - 10));
        put(b, PING, "p");
        note(&h, "ping", bytes_of_str("p"));
        feed_frame(b, LAST, true, bytes_of(payload, 10));
        note(&h, "bin", bytes_of(payload, MESSAGE_MAX));
    }
    expect(b, h.log, 0);
}

static void it_is_clean_exactly_between_messages(void **state)
{
    struct buf *b = *state;
    static uint8_t payload[5000];
    size_t clean[16], ends = 0;
    struct heard h = { .len = 0 };
    struct ws *ws;
    clean[ends++] = 0;
#define END_HERE clean[ends++] = b->len
    put(b, BIN, "a"); END_HERE;
    put(b, BIN, ""); END_HERE;
    put(b, PING, "p"); END_HERE;
    feed_frame(b, BIN, true, bytes_of(payload, sizeof payload)); END_HERE;
    put(b, BIN_OPEN, "open");
    put(b, PING, "inside");
    put(b, MORE, "");
    put(b, LAST, ""); END_HERE;
    put(b, PONG, "q"); END_HERE;
#undef END_HERE
    assert_int_equal(ws_new(MESSAGE_MAX, &ws), 0);
    for (size_t at = 0, next = 0; at <= b->len; at++) {
        bool want = next < ends && clean[next] == at;
        if (want) next++;
        assert_true(ws_is_clean(ws) == want);
        size_t used;
        if (at < b->len) assert_int_equal(ws_feed(ws, &events, &h, bytes_of(b->at + at, 1), &used), 0);
    }
    ws_free(ws);
}

static void a_stop_leaves_the_bytes_behind_the_message(void **state)
{
    struct buf *b = *state;
    static uint8_t long_one[9000];
    size_t behind[4];
    put(b, BIN, "one");
    behind[1] = b->len;
    put(b, BIN_OPEN, "tw");
    put(b, PING, "p");
    put(b, LAST, "o");
    behind[2] = b->len;
    feed_frame(b, BIN, true, bytes_of(long_one, sizeof long_one));
    behind[3] = b->len;
    put(b, BIN, "four");
    put(b, CLOSE, "");
    for (unsigned stop = 1; stop <= 3; stop++) {
        for (size_t cut = 0; cut <= b->len; cut++) {
            struct heard h = { .stop_after = stop };
            struct ws *ws;
            size_t used = 0, total = 0;
            assert_int_equal(ws_new(MESSAGE_MAX, &ws), 0);
            int err = ws_feed(ws, &events, &h, bytes_of(b->at, cut), &used);
            total = used;
            if (!ws_is_spent(ws)) {
                assert_int_equal(used, cut);
                err = ws_feed(ws, &events, &h, bytes_of(b->at + cut, b->len - cut), &used);
                total += used;
            }
            assert_int_equal(err, 0);
            assert_true(ws_is_spent(ws));
            assert_int_equal(total, behind[stop]);
            assert_int_equal(h.messages, stop);
            ws_free(ws);
        }
    }
}

static void random_messages_survive_random_fragments_and_cuts(void **state)
{
    struct buf *b = *state;
    static uint8_t payload[3000];
    uint64_t random = run_seed();
    for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)chance(&random);
    for (int round = 0; round < 200; round++) {
        struct heard want = { .len = 0 };
        for (int i = 0; i < 20; i++) {
            size_t len = chance_below(&random, i % 4 ? 100 : sizeof payload), at = 0;
            unsigned parts = 1 + (unsigned)(chance_below(&random, 4));
            for (unsigned p = 1; p <= parts; p++) {
                size_t end = p == parts ? len : at + chance_below(&random, len - at + 1);
                feed_frame(b, (p == parts ? 0x80 : 0) | (p == 1 ? 2 : 0), true, bytes_of(payload + at, end - at));
                at = end;
                if (p < parts && chance_below(&random, 3) == 0) {
                    put(b, PING, "?");
                    note(&want, "ping", bytes_of_str("?"));
                }
            }
            note(&want, "bin", bytes_of(payload, len));
        }
        struct heard h = { .len = 0 };
        struct ws *ws;
        assert_int_equal(ws_new(MESSAGE_MAX, &ws), 0);
        assert_int_equal(feed_all(ws, &h, buf_bytes(b), 1 + chance_below(&random, 6000)), 0);
        assert_memory_equal(h.log, want.log, sizeof h.log);
        assert_true(ws_is_clean(ws));
        ws_free(ws);
        buf_clear(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_messages_come_out_in_order, buf_setup, buf_teardown),
        cmocka_unit_test_setup_teardown(every_length_form_is_read, buf_setup, buf_teardown),
        cmocka_unit_test_setup_teardown(fragments_are_put_together_around_control_frames, buf_setup, buf_teardown),
        cmocka_unit_test_setup_teardown(the_peers_close_ends_it_and_nothing_behind_is_read, buf_setup, buf_teardown),
        cmocka_unit_test_setup_teardown(a_reason_is_read_whole_however_it_is_cut, buf_setup, buf_teardown),
        cmocka_unit_test_setup_teardown(a_message_has_no_more_fragments_than_its_limit, buf_setup, buf_teardown),
        cmocka_unit_test_setup_teardown(what_rfc_6455_forbids_is_malformed, buf_setup, buf_teardown),
        cmocka_unit_test_setup_teardown(good_messages_before_a_bad_frame_are_heard, buf_setup, buf_teardown),
        cmocka_unit_test_setup_teardown(a_message_may_be_as_long_as_its_limit_and_no_longer, buf_setup, buf_teardown),
        cmocka_unit_test_setup_teardown(what_announces_too_much_is_refused_before_any_of_it_comes, buf_setup,
                                        buf_teardown),
        cmocka_unit_test_setup_teardown(a_header_is_judged_before_what_it_announces, buf_setup, buf_teardown),
        cmocka_unit_test_setup_teardown(the_limit_is_each_messages_own, buf_setup, buf_teardown),
        cmocka_unit_test_setup_teardown(it_is_clean_exactly_between_messages, buf_setup, buf_teardown),
        cmocka_unit_test_setup_teardown(a_stop_leaves_the_bytes_behind_the_message, buf_setup, buf_teardown),
        cmocka_unit_test_setup_teardown(random_messages_survive_random_fragments_and_cuts, buf_setup, buf_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
