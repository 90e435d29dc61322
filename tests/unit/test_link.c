/* test_link.c - the upgrade and whole frames, from a server that is played byte by byte. */
#include "tests/unit/link_world.h"

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

static void play_close_with_orders(struct peer *p)
{
    upgrade(p);
    say_frame(p, 0x88, "\x0f\xba" "\x1b]0;mine\x07\r\n\xc2\x9b" "2J\xe2\x80\xaeon", 22);
    got.first[0] = hear_frame(p, got.key[0], got.payload[0]);
    wait_for_end(p);
}

static void a_reason_that_would_give_the_terminal_orders_is_made_safe(void **state)
{
    struct fixture *f = *state;
    start(f, play_close_with_orders);
    open_link(f);
    assert_int_equal(until_closed(f), ERR_PEER);
    assert_string_equal(link_why(f->link), "\xef\xbf\xbd]0;mine\xef\xbf\xbd  \xef\xbf\xbd" "2J\xef\xbf\xbdon");
    finish(f);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(messages_come_whole_however_they_are_cut),
        CLAIM(frames_right_behind_the_upgrade_are_not_lost),
        CLAIM(what_is_sent_is_masked_with_a_fresh_key_each_time),
        CLAIM(a_ping_is_answered),
        CLAIM(a_close_is_answered_and_tells_its_code_and_reason),
        CLAIM(a_reason_that_would_give_the_terminal_orders_is_made_safe),
        CLAIM(an_end_without_a_word_is_an_error_after_what_was_whole),
        CLAIM(a_text_message_breaks_the_protocol),
        CLAIM(a_message_over_the_limit_breaks_the_protocol),
        CLAIM(what_the_receiver_refuses_ends_the_link_at_once),
        CLAIM(an_upgrade_must_be_right_in_every_part),
        CLAIM(a_port_where_nobody_listens_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
