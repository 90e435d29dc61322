/* test_tui_shelf.c - the newest strings are there, whole, and the oldest went for them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tools/client/tui/shelf.h"

enum { COUNT_MAX = 4, BYTES_MAX = 10 };

static struct shelf shelf;

static int setup(void **state)
{
    (void)state;
    return shelf_init(&shelf, COUNT_MAX, BYTES_MAX);
}

static int teardown(void **state)
{
    (void)state;
    shelf_fini(&shelf);
    return 0;
}

static void holds(const char *expected)
{
    char all[64] = "";
    for (size_t i = 0; i < shelf.count; i++) {
        struct bytes s = shelf_at(&shelf, i);
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%.*s", i > 0 ? " " : "", (int)s.len,
                 (const char *)s.at);
    }
    assert_string_equal(all, expected);
}

static size_t push(const char *string)
{
    return shelf_push(&shelf, bytes_of_str(string));
}

static void the_oldest_go_when_there_are_too_many(void **state)
{
    (void)state;
    assert_int_equal(push("a") + push("b") + push("c") + push("d"), 0);
    assert_int_equal(push("e"), 1);
    holds("b c d e");
}

static void the_oldest_go_when_they_are_too_long(void **state)
{
    (void)state;
    assert_int_equal(push("abc") + push("") + push("defg"), 0);
    assert_int_equal(push("hijk"), 1);
    holds(" defg hijk");
    assert_int_equal(push("0123456789"), 3);
    holds("0123456789");
}

static void the_newest_grows_at_both_ends(void **state)
{
    (void)state;
    push("abc");
    push("d");
    push("m");
    assert_int_equal(shelf_extend(&shelf, bytes_of_str("kl"), true), 0);
    assert_int_equal(shelf_extend(&shelf, bytes_of_str("no"), false), 0);
    holds("abc d klmno");
    assert_int_equal(shelf_extend(&shelf, bytes_of_str("pq"), false), 1);
    holds("d klmnopq");
    assert_int_equal(shelf_extend(&shelf, bytes_of_str("hij"), true), 1);
    holds("hijklmnopq");
}

static void the_newest_can_be_forgotten(void **state)
{
    (void)state;
    push("abc");
    push("def");
    shelf_pop(&shelf);
    holds("abc");
    push("x");
    holds("abc x");
    shelf_clear(&shelf);
    holds("");
    push("0123456789");
    holds("0123456789");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_oldest_go_when_there_are_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_go_when_they_are_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(the_newest_grows_at_both_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(the_newest_can_be_forgotten, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
