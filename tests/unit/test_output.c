/* test_output.c - nothing of others reaches a terminal raw, and JSON lines say what was said. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/output.h"

#define SHOWN_BAD "\xef\xbf\xbd"    /* U+FFFD */

static char *shown(struct bytes text, bool lines)
{
    char *at = NULL;
    size_t len;
    FILE *file = open_memstream(&at, &len);
    assert_non_null(file);
    print_text(file, text, lines);
    fclose(file);
    return at;
}

static void expect(const char *text, bool lines, const char *expected)
{
    char *at = shown(bytes_of_str(text), lines);
    assert_string_equal(at, expected);
    free(at);
}

static struct msg_message message_of(struct bytes body, uint64_t kind)
{
    struct msg_message m = { .seq = 7, .kind = kind, .from = { "alice" }, .device = { 0x0123456789abcdefu },
                             .body = body };
    m.conv.v[15] = 1;
    put_u64(m.id.v, 0x018bcfe568fa7000u);
    m.id.v[8] = 0x80;
    return m;
}

/* The one line that json_message() writes. */
static json_t *json_of(const struct msg_message *m)
{
    char *at = NULL;
    size_t len;
    FILE *file = open_memstream(&at, &len);
    const struct user_id self = { "bob" };
    const struct pipit_message told = pipit_message_of(&self, m, &m->from);
    assert_non_null(file);
    json_message(file, &told);
    fclose(file);
    assert_ptr_equal(strchr(at, '\n'), at + len - 1);
    json_t *root = json_loads(at, 0, NULL);
    assert_non_null(root);
    free(at);
    return root;
}

static void what_people_write_is_printed_as_it_is(void **state)
{
    (void)state;
    expect("hello", false, "hello");
    expect("gr\xc3\xbc\xc3\x9f \xe2\x9c\x93 \xf0\x9f\x98\x80", false,
           "gr\xc3\xbc\xc3\x9f \xe2\x9c\x93 \xf0\x9f\x98\x80");
    expect("", true, "");
}

static void controls_and_escapes_are_shown_not_obeyed(void **state)
{
    (void)state;
    expect("a\x1b[2Jb\x07\x7f\r", false, "a" SHOWN_BAD "[2Jb" SHOWN_BAD SHOWN_BAD SHOWN_BAD);
    expect("a\xc2\x9b" "31m", false, "a" SHOWN_BAD "31m");               /* CSI in one character */
    expect("\xe2\x80\xae" "evil\xe2\x81\xa6", false, SHOWN_BAD "evil" SHOWN_BAD);    /* turns the direction */
    expect("\xe2\x80\xa8", true, SHOWN_BAD);                             /* a line end of another kind */
}

static void a_line_break_cannot_forge_a_line(void **state)
{
    (void)state;
    expect("one\n12:00 bob: two\tthree", true, "one\n    12:00 bob: two three");
    expect("one\ntwo\tthree", false, "one two three");
}

/* Every byte string comes out as UTF-8 without a control character but the line ends we put there. */
static void no_bytes_at_all_come_out_unsafe(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 256 * 256 * 4; i++) {
        static const uint8_t third[] = { 'x', 0x80, 0xa0, 0xff };
        uint8_t in[4] = { (uint8_t)(i >> 8), (uint8_t)i, third[i >> 16], 0xbf };
        char *at = shown(bytes_of(in, sizeof in), i & 1);
        assert_true(bytes_is_utf8(bytes_of_str(at)));
        for (const char *p = at; *p; p++) {
            assert_true((uint8_t)*p >= 0x20 || *p == '\n');
            assert_true(*p != 0x7f);
            assert_false((uint8_t)p[0] == 0xc2 && (uint8_t)p[1] < 0xa0);
        }
        free(at);
    }
}

static void what_cannot_be_shown_is_named(void **state)
{
    static const uint8_t later[] = { 0x92, 0x07, 0xa1, 'x' }, bad[] = { 0x92, 0x00, 0xa1, 0xff };
    struct msg_message m = message_of(BYTES_NONE, KIND_TOMBSTONE);
    (void)state;
    assert_true(bytes_equal(message_text(&m), bytes_of_str("[message deleted]")));
    m = message_of(BYTES_NONE, KIND_MESSAGE);
    assert_true(bytes_equal(message_text(&m), bytes_of_str("[nothing for this device]")));
    m = message_of(BYTES_OF(later), KIND_MESSAGE);
    assert_true(bytes_equal(message_text(&m), bytes_of_str("[something that a newer version shows]")));
    assert_null(content_of(&m).at);
    m = message_of(BYTES_OF(bad), KIND_MESSAGE);
    assert_null(content_of(&m).at);
}

static void a_json_line_tells_a_message(void **state)
{
    static const uint8_t body[] = { 0x92, 0x00, 0xa4, 'a', '"', '\n', 0x01 };
    struct msg_message m = message_of(BYTES_OF(body), KIND_MESSAGE);
    (void)state;
    json_t *root = json_of(&m);
    const char *event, *conv, *from, *device, *id, *text;
    json_int_t seq, time;
    assert_int_equal(json_unpack(root, "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "event", &event, "conversation",
                                 &conv, "from", &from, "device", &device, "id", &id, "seq", &seq, "time", &time, "text",
                                 &text), 0);
    assert_string_equal(event, "message");
    assert_string_equal(conv, "00000000000000000000000000000001");
    assert_string_equal(from, "alice");
    assert_string_equal(device, "0123456789abcdef");
    assert_string_equal(id, "018bcfe5-68fa-7000-8000-000000000000");
    assert_int_equal(seq, 7);
    assert_int_equal(time, 1700000000250);
    assert_string_equal(text, "a\"\n\x01");
    json_decref(root);
}

static void a_message_without_a_text_has_none_in_json(void **state)
{
    struct msg_message m = message_of(BYTES_NONE, KIND_TOMBSTONE);
    (void)state;
    json_t *root = json_of(&m);
    assert_true(json_is_null(json_object_get(root, "text")));
    json_decref(root);
}

static const uint8_t two_seqs[] = { 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 5 };
static const uint8_t a_day[] = { 0, 0, 0, 0, 0, 1, 0x51, 0x80 };

static void json_lines_tell_who_deleted_and_who_set_the_timer(void **state)
{
    struct msg_message m = message_of(BYTES_OF(two_seqs), KIND_DELETE);
    const char *event, *from;
    json_int_t first, second, seq, seconds;
    (void)state;
    json_t *root = json_of(&m);
    assert_int_equal(json_unpack(root, "{s:s, s:s, s:I, s:[I, I!]}", "event", &event, "from", &from, "seq", &seq,
                                 "seqs", &first, &second), 0);
    assert_string_equal(event, "deleted");
    assert_string_equal(from, "alice");
    assert_int_equal(first, 3);
    assert_int_equal(second, 5);
    assert_null(json_object_get(root, "text"));
    json_decref(root);
    m = message_of(BYTES_OF(a_day), KIND_TIMER);
    root = json_of(&m);
    assert_int_equal(json_unpack(root, "{s:s, s:I}", "event", &event, "seconds", &seconds), 0);
    assert_string_equal(event, "timer");
    assert_int_equal(seconds, 86400);
    json_decref(root);
}

static void a_json_line_tells_when_a_message_disappears(void **state)
{
    static const uint8_t body[] = { 0x92, 0x00, 0xa1, 'x' };
    struct msg_message m = message_of(BYTES_OF(body), KIND_MESSAGE);
    (void)state;
    json_t *root = json_of(&m);
    assert_true(json_is_null(json_object_get(root, "expires")));
    assert_true(json_is_false(json_object_get(root, "deleted")));
    json_decref(root);
    m.expiry_ms = 1700000001000;
    root = json_of(&m);
    assert_int_equal(json_integer_value(json_object_get(root, "expires")), 1700000001000);
    json_decref(root);
}

/* What `m` is to people. */
static char *line_of(const struct msg_message *m)
{
    static const struct user_id self = { "bob" };
    char *at = NULL;
    size_t len;
    FILE *to = open_memstream(&at, &len);
    assert_non_null(to);
    const struct pipit_message message = pipit_message_of(&self, m, &m->from);
    print_message_line(to, &message);
    fclose(to);
    return at;
}

static void expect_line(const struct msg_message *m, const char *end)
{
    char *line = line_of(m);
    assert_string_equal(line + strlen("2023-11-14 22:13:20 "), end);
    free(line);
}

static void lines_tell_what_was_done_not_what_it_is_made_of(void **state)
{
    struct msg_message m = message_of(BYTES_OF(two_seqs), KIND_DELETE);
    (void)state;
    expect_line(&m, "alice deleted 2 messages\n");
    m = message_of(bytes_of(two_seqs, 8), KIND_DELETE);
    expect_line(&m, "alice deleted a message\n");
    m = message_of(BYTES_OF(a_day), KIND_TIMER);
    expect_line(&m, "timer set to 1 day by alice\n");
    m = message_of(bytes_of("\0\0\0\0\0\0\0\0", 8), KIND_TIMER);
    expect_line(&m, "timer set to off by alice\n");
}

static void expect_member(const struct pipit_member *m, const char *wanted)
{
    char *at = NULL;
    size_t len;
    FILE *to = open_memstream(&at, &len);
    assert_non_null(to);
    print_member(to, m);
    fclose(to);
    assert_string_equal(at, wanted);
    free(at);
}

static void a_time_that_is_not_known_exactly_is_told_as_the_day_after_it(void **state)
{
    struct pipit_member m = { .user = { "bob" } };
    (void)state;
    setenv("TZ", "UTC0", 1);
    expect_member(&m, "bob: not delivered yet\n");
    m.delivered_ms = UINT64_C(1700000000000);                /* 2023-11-14 22:13:20 */
    expect_member(&m, "bob: delivered 2023-11-14 22:13:20, not read yet\n");
    m.is_delivered_before = true;
    expect_member(&m, "bob: delivered before 2023-11-15, not read yet\n");
    m.read_ms = UINT64_C(1701302400000);                     /* 2023-11-30 00:00:00 */
    m.is_read_before = true;
    expect_member(&m, "bob: delivered before 2023-11-15, read before 2023-12-01\n");
    json_t *root = json_member(&m);
    assert_true(json_is_true(json_object_get(root, "read_before")));
    assert_int_equal(json_integer_value(json_object_get(root, "read")), 1701302400000);
    json_decref(root);
}

static void a_refusal_to_delete_says_why(void **state)
{
    (void)state;
    assert_non_null(strstr(refusal_text(PIPIT_DELETES, ERR_DENIED, "not allowed"), "too long ago"));
    assert_non_null(strstr(refusal_text(PIPIT_DELETES, ERR_NOT_FOUND, ""), "gone already"));
    assert_string_equal(refusal_text(PIPIT_SAYS, ERR_DENIED, "because"), "because");
    assert_string_equal(refusal_text(PIPIT_SETS_TIMER, ERR_DENIED, ""), err_text(ERR_DENIED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_people_write_is_printed_as_it_is),
        cmocka_unit_test(controls_and_escapes_are_shown_not_obeyed),
        cmocka_unit_test(a_line_break_cannot_forge_a_line),
        cmocka_unit_test(no_bytes_at_all_come_out_unsafe),
        cmocka_unit_test(what_cannot_be_shown_is_named),
        cmocka_unit_test(a_json_line_tells_a_message),
        cmocka_unit_test(a_message_without_a_text_has_none_in_json),
        cmocka_unit_test(json_lines_tell_who_deleted_and_who_set_the_timer),
        cmocka_unit_test(a_json_line_tells_when_a_message_disappears),
        cmocka_unit_test(lines_tell_what_was_done_not_what_it_is_made_of),
        cmocka_unit_test(a_time_that_is_not_known_exactly_is_told_as_the_day_after_it),
        cmocka_unit_test(a_refusal_to_delete_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
