/* test_duration.c - how long is read as people write it, and nothing else is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tools/common/duration.h"

static void a_number_and_a_unit_is_read(void **state)
{
    static const struct { const char *text; uint64_t seconds; } cases[] = {
        { "off", 0 }, { "90s", 90 }, { "30m", 1800 }, { "1h", 3600 }, { "1d", 86400 }, { "7d", 604800 },
        { "2w", 1209600 }, { "007d", 604800 }, { "18446744073709551605s", UINT64_C(18446744073709551605) },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t seconds = 77;
        assert_true(duration_parse(cases[i].text, &seconds));
        assert_true(seconds == cases[i].seconds);
    }
}

static void nothing_else_is_read(void **state)
{
    static const char *const cases[] = {
        "", "d", "0", "0d", "7", "-1d", "+1d", " 1d", "1 d", "1d ", "1dd", "1d2h", "1.5h", "1D", "Off", "on", "1y",
        "99999999999999999999s", "18446744073709551615w",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t seconds = 77;
        assert_false(duration_parse(cases[i], &seconds));
        assert_true(seconds == 77);
    }
}

static void it_is_told_in_the_largest_unit_that_is_exact(void **state)
{
    static const struct { uint64_t seconds; const char *text; } cases[] = {
        { 0, "off" }, { 1, "1 second" }, { 60, "1 minute" }, { 90, "90 seconds" }, { 5400, "90 minutes" },
        { 3600, "1 hour" }, { 86400, "1 day" }, { 604800, "7 days" }, { 90000, "25 hours" },
        { UINT64_MAX, "18446744073709551615 seconds" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[DURATION_TEXT_MAX];
        duration_print(cases[i].seconds, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_and_a_unit_is_read),
        cmocka_unit_test(nothing_else_is_read),
        cmocka_unit_test(it_is_told_in_the_largest_unit_that_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
