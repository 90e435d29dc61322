/* test_nearest.c - what nearest.h claims. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "tools/common/nearest.h"

static const char *const words[] = { "add", "list", "enable", "disable", "devices", "reset-password", "remove", NULL };

static void a_slip_leads_to_the_word(void **state)
{
    (void)state;
    assert_string_equal(nearest("lst", words), "list");
    assert_string_equal(nearest("lists", words), "list");
    assert_string_equal(nearest("lsit", words), "list");
    assert_string_equal(nearest("lizt", words), "list");
    assert_string_equal(nearest("reset-pasword", words), "reset-password");
    assert_string_equal(nearest("enabel", words), "enable");
}

static void a_beginning_leads_to_its_only_word(void **state)
{
    (void)state;
    assert_string_equal(nearest("reset", words), "reset-password");
    assert_null(nearest("re", words));    /* remove, too */
}

static void what_is_far_from_all_leads_nowhere(void **state)
{
    char long_word[200];
    (void)state;
    memset(long_word, 'a', sizeof long_word - 1);
    long_word[sizeof long_word - 1] = '\0';
    assert_null(nearest("frobnicate", words));
    assert_null(nearest("", words));
    assert_null(nearest(long_word, words));
    assert_null(nearest("list", (const char *const[]){ NULL }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slip_leads_to_the_word),
        cmocka_unit_test(a_beginning_leads_to_its_only_word),
        cmocka_unit_test(what_is_far_from_all_leads_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
