/* test_when.c - a day and a time are read as people type them, and nothing else is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "tools/common/when.h"

#define MAY_1 UINT64_C(1777593600000)    /* 2026-05-01 00:00:00 UTC */

static void zone(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

static void a_day_or_a_time_is_read(void **state)
{
    static const struct { const char *text; uint64_t ms; } cases[] = {
        { "2026-05-01", MAY_1 }, { "2026-05-01 00:00", MAY_1 }, { "2026-05-01 12:00", MAY_1 + 12 * 3600000 },
        { "2026-05-01T12:00", MAY_1 + 12 * 3600000 }, { "2026-05-01 23:59:59", MAY_1 + 86399000 },
        { "2026-04-30", MAY_1 - 86400000 }, { "1970-01-01", 0 }, { "2024-02-29", UINT64_C(1709164800000) },
        { "2000-02-29", UINT64_C(951782400000) }, { "9999-12-31 23:59:59", UINT64_C(253402300799000) },
    };
    (void)state;
    zone("UTC");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ms = 77;
        assert_true(when_parse(cases[i].text, &ms));
        assert_true(ms == cases[i].ms);
    }
}

static void nothing_else_is_read(void **state)
{
    static const char *const cases[] = {
        "", "2026", "2026-05", "2026-5-1", "26-05-01", "2026-05-01 ", " 2026-05-01", "2026-05-01 12", "2026-05-01 12:",
        "2026-05-01 12:0", "2026-05-01 24:00", "2026-05-01 12:60", "2026-05-01 12:00:60", "2026-05-01 12:00:",
        "2026-05-01 12:00 ", "2026-05-01x12:00", "2026-00-01", "2026-13-01", "2026-05-00", "2026-05-32", "2026-04-31",
        "2026-02-29", "1900-02-29", "2100-02-29", "1969-12-31", "02026-05-01", "2026/05/01", "01.05.2026", "today",
        "2026-05--1", "2026-05-+1", "2026-05-01 -1:00", "2026-05-01 12:00Z",
    };
    (void)state;
    zone("UTC");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ms = 77;
        if (when_parse(cases[i], &ms)) fail_msg("\"%s\" was read", cases[i]);
        assert_true(ms == 77);
    }
}

static void it_is_a_time_here(void **state)
{
    (void)state;
    uint64_t ms;
    zone("CET-1CEST,M3.5.0,M10.5.0/3");
    assert_true(when_parse("2026-05-01 12:00", &ms));        /* summer: two hours before UTC */
    assert_true(ms == MAY_1 + 10 * 3600000);
    assert_true(when_parse("2026-01-01", &ms));
    assert_true(ms == UINT64_C(1767222000000));
    assert_true(when_parse("2026-03-29 02:30", &ms));        /* an hour that is left out */
    assert_true(ms == UINT64_C(1774744200000) || ms == UINT64_C(1774747800000));
    assert_false(when_parse("1970-01-01", &ms));             /* there it was 1969 in UTC */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_or_a_time_is_read),
        cmocka_unit_test(nothing_else_is_read),
        cmocka_unit_test(it_is_a_time_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
