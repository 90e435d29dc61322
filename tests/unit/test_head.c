/* test_head.c - where a head ends, and that nothing unusual passes before. What it refuses is named in test_http.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "server/net/head.h"

static enum head_step feed(const char *text, size_t *used)
{
    struct head h;
    enum head_step step;
    const char *why;
    head_init(&h);
    *used = head_feed(&h, bytes_of_str(text), &step, &why);
    assert_true((step == HEAD_STEP_BAD) == (*why != '\0'));
    return step;
}

static void a_head_ends_with_its_empty_line_wherever_it_is_cut(void **state)
{
    (void)state;
    static const char head[] = "\r\nPOST /a?b HTTP/1.1\r\nHost: x\r\nEmpty:\r\nX-Odd!: \t\x80 ; \"q\" \r\n\r\n";
    static const char more[] = "GET / \n\n\n";
    for (size_t cut = 0; cut <= sizeof head - 1; cut++) {
        struct head h;
        enum head_step step;
        const char *why;
        head_init(&h);
        assert_int_equal(head_feed(&h, bytes_of(head, cut), &step, &why), cut);
        assert_int_equal(step, cut == sizeof head - 1 ? HEAD_STEP_WHOLE : HEAD_STEP_MORE);
        char rest[sizeof head + sizeof more];
        memcpy(rest, head + cut, sizeof head - 1 - cut);
        memcpy(rest + sizeof head - 1 - cut, more, sizeof more);
        assert_int_equal(head_feed(&h, bytes_of_str(rest), &step, &why), sizeof head - 1 - cut);
        assert_int_equal(step, HEAD_STEP_WHOLE);
    }
}

static void what_may_not_be_there_is_not_taken(void **state)
{
    (void)state;
    size_t used;
    assert_int_equal(feed("GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", &used), HEAD_STEP_BAD);
    assert_int_equal(used, strlen("GET / HTTP/1.1\r\nA: b"));
    assert_int_equal(feed("GET / HTTP/1.1\r\nA: b\r\n c", &used), HEAD_STEP_BAD);
    assert_int_equal(used, strlen("GET / HTTP/1.1\r\nA: b\r\n"));
}

/* Every byte in every place: only these may stand there. */
static void each_place_knows_its_bytes(void **state)
{
    (void)state;
    static const char token[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (int c = 0; c < 256; c++) {
        char line[] = "G? / HTTP/1.1", name[] = "G / HTTP/1.1\r\nA?", value[] = "G / HTTP/1.1\r\nA:?";
        struct { char *text; bool may; } cases[] = {
            { line, (c >= ' ' && c != 0x7f) || c == '\r' },
            { name, (c && strchr(token, c)) || c == ':' },
            { value, (c >= ' ' && c != 0x7f) || c == '\t' || c == '\r' },
        };
        for (size_t i = 0; i < 3; i++) {
            struct head h;
            enum head_step step;
            const char *why;
            char *mark = strchr(cases[i].text, '?');
            *mark = (char)c;
            head_init(&h);
            head_feed(&h, bytes_of(cases[i].text, (size_t)(mark + 1 - cases[i].text)), &step, &why);
            assert_true((step != HEAD_STEP_BAD) == cases[i].may);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_ends_with_its_empty_line_wherever_it_is_cut),
        cmocka_unit_test(what_may_not_be_there_is_not_taken),
        cmocka_unit_test(each_place_knows_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
