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
    assert_true(bytes_equal(message_text(&m), bytes_of_str("[deleted]")));
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
