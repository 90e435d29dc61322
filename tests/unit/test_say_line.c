/* test_say_line.c - whatever the values are, a line is one line: no peer can end it, forge one, or speak to a
 * terminal, and as JSON a parser reads back what was put in. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/core/say_line.h"

enum { WHEN_MS_HEAD = 25 };              /* "2023-11-14T22:13:20.123Z " */
static const uint64_t when_ms = 1700000000123;

static const struct say_form text_form = { SAY_AS_TEXT, false }, json_form = { SAY_AS_JSON, false },
                             journal_form = { SAY_AS_TEXT, true };

/* The line, without its newline. */
static const char *made(struct say_form form, const struct say_field *fields)
{
    static struct say_line line;
    static char text[SAY_LINE_BYTES_MAX + 1];
    say_line_make(&line, form, when_ms, SAY_INFO, "event", fields);
    assert_in_range(line.len, 1, SAY_LINE_BYTES_MAX);
    assert_int_equal(line.at[line.len - 1], '\n');
    assert_null(memchr(line.at, '\n', line.len - 1u));
    assert_null(memchr(line.at, '\0', line.len));
    memcpy(text, line.at, line.len - 1u);
    text[line.len - 1] = '\0';
    return text;
}

#define MADE(form, ...) made(form, (const struct say_field[]){ __VA_ARGS__, { 0 } })

static json_t *parsed(const char *line)
{
    json_error_t error;
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    if (!object) fail_msg("%s: %s", error.text, line);
    assert_true(json_is_object(object));
    return object;
}

static void the_three_forms(void **state)
{
    (void)state;
    const struct say_field fields[] = { SAY_TEXT("user", "alice"), SAY_U64("most", UINT64_MAX),
                                        SAY_I64("least", INT64_MIN), SAY_CONN(0xa3f9cULL << 44 | 1ULL << 36 | 0x2f),
                                        { 0 } };
    assert_string_equal(made(text_form, fields),
                        "2023-11-14T22:13:20.123Z info event user=alice most=18446744073709551615 "
                        "least=-9223372036854775808 conn=a3f9c.1.2f");
    assert_string_equal(made(journal_form, fields),
                        "<6>info event user=alice most=18446744073709551615 least=-9223372036854775808 "
                        "conn=a3f9c.1.2f");
    assert_string_equal(made(json_form, fields),
                        "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"event\":\"event\","
                        "\"user\":\"alice\","
                        "\"most\":18446744073709551615,\"least\":-9223372036854775808,\"conn\":\"a3f9c.1.2f\"}");
    assert_int_equal(MADE(((struct say_form){ SAY_AS_JSON, true }), SAY_U64("x", 1))[0], '{');
}

static void a_value_is_quoted_when_a_reader_could_take_it_for_more(void **state)
{
    (void)state;
    static const struct { const char *value, *text; } tries[] = {
        { "127.0.0.1:8700", "127.0.0.1:8700" }, { "[::1]:80", "[::1]:80" },   { "", "\"\"" },  { NULL, "\"\"" },
        { "a b", "\"a b\"" },                   { "a=b", "\"a=b\"" },         { "a\"b", "\"a\\\"b\"" },
        { "a\\b", "\"a\\\\b\"" },               { "a\nb", "\"a\\nb\"" },      { "caf\xc3\xa9", "\"caf\xc3\xa9\"" },
        { "\t\r\x1b[2J\x7f", "\"\\u0009\\u000d\\u001b[2J\\u007f\"" },
    };
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        assert_string_equal(MADE(text_form, SAY_TEXT("v", tries[i].value)) + WHEN_MS_HEAD + strlen("info event v="),
                            tries[i].text);
    }
}

static void what_a_peer_sent_cannot_make_a_line_or_speak_to_the_terminal(void **state)
{
    (void)state;
    static const struct { const char *value, *escaped; } tries[] = {
        { "x\n2030 error forged", "x\\n2030 error forged" },
        { "\xc2\x9b" "31m", "\\u009b31m" },                /* CSI in one character */
        { "\xe2\x80\xa8", "\\u2028" },                     /* line separator */
        { "\xe2\x80\xae" "txt.exe", "\\u202etxt.exe" },    /* right to left from here */
        { "\xe2\x81\xa7", "\\u2067" },
        { "\xff", "\\ufffd" },                             /* no UTF-8: a byte that never is, … */
        { "\xc0\xaf", "\\ufffd\\ufffd" },                  /* … too long, … */
        { "\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd" },       /* … a surrogate, … */
        { "\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd" },    /* … beyond the last, … */
        { "\xe2\x82", "\\ufffd\\ufffd" },                  /* … and cut short */
        { "\xe2\x82\xac\xf0\x9f\x90\xa6", "\xe2\x82\xac\xf0\x9f\x90\xa6" },
    };
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        char expected[128];
        snprintf(expected, sizeof expected, "v=\"%s\"", tries[i].escaped);
        assert_non_null(strstr(MADE(text_form, SAY_TEXT("v", tries[i].value)), expected));
        snprintf(expected, sizeof expected, "\"v\":\"%s\"}", tries[i].escaped);
        const char *line = MADE(json_form, SAY_TEXT("v", tries[i].value));
        assert_non_null(strstr(line, expected));
        json_decref(parsed(line));
    }
}

static void json_is_read_back_as_what_was_put_in(void **state)
{
    (void)state;
    char all[256];
    for (int c = 1; c < 128; c++) all[c - 1] = (char)c;
    strcpy(all + 127, "\xc2\x80\xc2\xa0\xe2\x80\xae\xf0\x9f\x90\xa6");
    json_t *object = parsed(MADE(json_form, SAY_TEXT("v", all), SAY_I64("n", -5)));
    assert_string_equal(json_string_value(json_object_get(object, "v")), all);
    assert_int_equal(json_integer_value(json_object_get(object, "n")), -5);
    assert_string_equal(json_string_value(json_object_get(object, "level")), "info");
    json_decref(object);
}

/* A value of each length that could matter, of characters of each length, then another value, then a number. */
static void a_line_too_long_is_cut_between_characters_and_stays_whole_json(void **state)
{
    (void)state;
    static const char *const chars[] = { "x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\xa6", "\n", "\x01", "\xff" };
    for (size_t c = 0; c < sizeof chars / sizeof chars[0]; c++) {
        bool was_cut = false;
        for (size_t count = 100; count < SAY_LINE_BYTES_MAX + 20; count++) {
            size_t len = strlen(chars[c]);
            char value[4 * SAY_LINE_BYTES_MAX + 100] = "";
            for (size_t i = 0; i < count; i++) memcpy(value + i * len, chars[c], len);
            const struct say_field fields[] = { SAY_TEXT("v", value), SAY_TEXT("w", "two words"), SAY_U64("n", 1),
                                                { 0 } };
            json_t *object = parsed(made(json_form, fields));
            const char *back = json_string_value(json_object_get(object, "v"));
            if (json_object_get(object, "cut")) {
                was_cut = true;
                assert_null(json_object_get(object, "n"));
            } else if (!json_object_get(object, "n")) {
                was_cut = true;
                json_t *w = json_object_get(object, "w");
                const char *last = w ? json_string_value(w) : back;
                assert_string_equal(last + strlen(last) - 3, "...");
            } else {
                assert_int_equal(strlen(json_string_value(json_object_get(object, "w"))), 9);
                assert_false(was_cut);
            }
            const char *text = made(text_form, fields);
            assert_true(json_integer_value(json_object_get(object, "n")) == 0 || strlen(back) >= count);
            assert_true(strstr(text, "...") || strcmp(text + strlen(text) - 4, " n=1") == 0);
            json_decref(object);
        }
        assert_true(was_cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_forms),
        cmocka_unit_test(a_value_is_quoted_when_a_reader_could_take_it_for_more),
        cmocka_unit_test(what_a_peer_sent_cannot_make_a_line_or_speak_to_the_terminal),
        cmocka_unit_test(json_is_read_back_as_what_was_put_in),
        cmocka_unit_test(a_line_too_long_is_cut_between_characters_and_stays_whole_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
