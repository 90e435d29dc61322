/* test_budget.c - near a limit is not at it, and the way back is longer than the way in. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/budget.h"

#define MIB(n) ((uint64_t)(n) << 20)

static const struct budget_use plenty = { .disk_free = UINT64_MAX };

static void without_limits_nothing_is_short(void **state)
{
    (void)state;
    struct budget_limits none = { 0 };
    struct budget_use all = { .disk_used = UINT64_MAX, .disk_free = 0, .memory = UINT64_MAX };
    assert_int_equal(budget_judge(&none, &all, 0), 0);
    assert_int_equal(budget_judge(&none, &all, SHORT_OF_DISK_MAX | SHORT_OF_DISK_RESERVE | SHORT_OF_MEMORY_MAX), 0);
}

static void what_could_not_be_measured_is_not_short(void **state)
{
    (void)state;
    struct budget_limits limits = { MIB(1), MIB(1), MIB(1) };
    assert_int_equal(budget_judge(&limits, &plenty, 0), 0);
    limits.disk_reserve = UINT64_MAX / 2;
    assert_int_equal(budget_judge(&limits, &plenty, SHORT_OF_DISK_RESERVE), 0);
}

static void each_limit_is_told_by_its_own_bit(void **state)
{
    (void)state;
    struct budget_limits limits = { MIB(100), MIB(100), MIB(100) };
    struct budget_use use = plenty;
    use.disk_used = MIB(100);
    assert_int_equal(budget_judge(&limits, &use, 0), SHORT_OF_DISK_MAX);
    use = plenty;
    use.disk_free = MIB(99);
    assert_int_equal(budget_judge(&limits, &use, 0), SHORT_OF_DISK_RESERVE);
    use = plenty;
    use.memory = MIB(100);
    assert_int_equal(budget_judge(&limits, &use, 0), SHORT_OF_MEMORY_MAX);
    use = (struct budget_use){ MIB(500), 0, MIB(500) };
    assert_int_equal(budget_judge(&limits, &use, 0), SHORT_OF_DISK_MAX | SHORT_OF_DISK_RESERVE | SHORT_OF_MEMORY_MAX);
}

/* Both limits on what may be used follow the same rule: 31/32 in, 15/16 out. */
static void a_margin_is_left_and_between_the_two_marks_all_stays_as_it_was(void **state)
{
    (void)state;
    struct budget_limits limits = { .disk_max = MIB(320), .memory_max = MIB(320) };
    unsigned both = SHORT_OF_DISK_MAX | SHORT_OF_MEMORY_MAX;
    struct { uint64_t used; unsigned was, is; } rows[] = {
        { MIB(310), 0, 0 }, { MIB(310) + 1, 0, both },
        { MIB(310), both, both }, { MIB(300) + 1, both, both }, { MIB(300), both, 0 },
        { MIB(300) + 1, 0, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct budget_use use = { rows[i].used, UINT64_MAX, rows[i].used };
        assert_int_equal(budget_judge(&limits, &use, rows[i].was), rows[i].is);
    }
}

static void a_reserve_is_whole_again_a_quarter_above_it(void **state)
{
    (void)state;
    struct budget_limits limits = { .disk_reserve = MIB(200) };
    struct { uint64_t have; unsigned was, is; } rows[] = {
        { MIB(200), 0, 0 }, { MIB(200) - 1, 0, SHORT_OF_DISK_RESERVE },
        { MIB(250) - 1, SHORT_OF_DISK_RESERVE, SHORT_OF_DISK_RESERVE },
        { MIB(250), SHORT_OF_DISK_RESERVE, 0 }, { MIB(250) - 1, 0, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct budget_use use = { 0, rows[i].have, 0 };
        assert_int_equal(budget_judge(&limits, &use, rows[i].was), rows[i].is);
    }
}

static void the_settings_that_are_short_are_named(void **state)
{
    (void)state;
    char text[BUDGET_TEXT_MAX];
    budget_text(0, text);
    assert_string_equal(text, "");
    budget_text(SHORT_OF_DISK_RESERVE, text);
    assert_string_equal(text, "disk_reserve");
    budget_text(SHORT_OF_DISK_MAX | SHORT_OF_DISK_RESERVE | SHORT_OF_MEMORY_MAX, text);
    assert_string_equal(text, "disk_max disk_reserve memory_max");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_limits_nothing_is_short),
        cmocka_unit_test(what_could_not_be_measured_is_not_short),
        cmocka_unit_test(each_limit_is_told_by_its_own_bit),
        cmocka_unit_test(a_margin_is_left_and_between_the_two_marks_all_stays_as_it_was),
        cmocka_unit_test(a_reserve_is_whole_again_a_quarter_above_it),
        cmocka_unit_test(the_settings_that_are_short_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
