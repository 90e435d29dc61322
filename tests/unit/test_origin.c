/* test_origin.c - whose pages may ask. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proto/err.h"
#include "server/net/origin.h"

static void pages_of_the_same_host_pass_whatever_the_list_says(void **state)
{
    (void)state;
    assert_true(origin_is_allowed("", "http://chat.example", "chat.example"));
    assert_true(origin_is_allowed("", "https://Chat.Example", "chat.example"));
    assert_true(origin_is_allowed("", "http://[::1]:8700", "[::1]:8700"));
    assert_true(origin_is_allowed("", "https://chat.example", "chat.example:443"));
    assert_true(origin_is_allowed("", "http://chat.example", "chat.example:80"));
    assert_false(origin_is_allowed("", "http://chat.example", "chat.example:443"));
    assert_false(origin_is_allowed("", "https://chat.example", "chat.example:80"));
    assert_false(origin_is_allowed("", "http://chat.example:81", "chat.example"));
    assert_false(origin_is_allowed("", "http://chat.example.evil", "chat.example"));
    assert_false(origin_is_allowed("", "http://evil.chat.example", "chat.example"));
    assert_false(origin_is_allowed("", "http://", ""));
    assert_false(origin_is_allowed("", "null", "null"));
    assert_false(origin_is_allowed("", "chat.example", "chat.example"));
}

static void pages_of_the_list_pass_and_only_whole_names_count(void **state)
{
    (void)state;
    static const char list[] = " https://a.example,\thttp://b.example:81 ";
    char longest[ORIGIN_BYTES_MAX + 2] = "https://a.example";
    assert_true(origin_is_allowed(list, "https://a.example", "x"));
    assert_true(origin_is_allowed(list, "HTTP://B.example:81", "x"));
    assert_false(origin_is_allowed(list, "http://a.example", "x"));
    assert_false(origin_is_allowed(list, "https://a.example:444", "x"));
    assert_false(origin_is_allowed(list, "https://a.exampl", "x"));
    assert_false(origin_is_allowed(list, "null", "x"));
    assert_true(origin_is_allowed("*", "null", "x"));
    assert_true(origin_is_allowed("https://a.example *", "http://anybody", "x"));
    memset(longest + strlen(longest), 'x', sizeof longest - 1 - strlen(longest));
    assert_false(origin_is_allowed("*", longest, "x"));
}

static void a_list_that_could_never_match_is_refused(void **state)
{
    (void)state;
    static const struct { const char *list, *why; } cases[] = {
        { "chat.example", "SCHEME://HOST" },
        { "https://", "SCHEME://HOST" },
        { "://x", "SCHEME://HOST" },
        { "https://a.example/", "https://a.example/: nothing may stand behind" },
        { "https://a.example/chat", "nothing may stand behind" },
        { "https://a.example:443", "that port" },
        { "http://ok.example http://b.example:80", "http://b.example:80: " },
        { "null", "SCHEME://HOST" },
    };
    char why[128];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(origins_check(cases[i].list, why), ERR_CONFIG);
        assert_non_null(strstr(why, cases[i].why));
    }
    assert_int_equal(origins_check("", why), 0);
    assert_int_equal(origins_check(" , ", why), 0);
    assert_int_equal(origins_check("*", why), 0);
    assert_int_equal(origins_check("https://a.example,http://localhost:5173 app://pipit", why), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_the_same_host_pass_whatever_the_list_says),
        cmocka_unit_test(pages_of_the_list_pass_and_only_whole_names_count),
        cmocka_unit_test(a_list_that_could_never_match_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
