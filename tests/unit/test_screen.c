/* test_screen.c - how many rows a line takes on a terminal, and that without one lines go through as they are.
 *
 * What a terminal shows is held in a flow test with a terminal of its own; here is the arithmetic it rests on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/client/screen.h"

static void expect(const char *line, unsigned col, unsigned cols, unsigned rows, unsigned col_after, bool sure)
{
    unsigned col_out = 0;
    bool sure_out = !sure;
    assert_int_equal(screen_rows(bytes_of_str(line), col, cols, &col_out, &sure_out), rows);
    assert_int_equal(col_out, col_after);
    assert_int_equal(sure_out, sure);
}

static void a_line_wraps_only_when_something_follows(void **state)
{
    (void)state;
    expect("", 0, 10, 1, 0, true);
    expect("123456789", 0, 10, 1, 9, true);
    expect("1234567890", 0, 10, 1, 10, true);
    expect("12345678901", 0, 10, 2, 1, true);
    expect("12345678", 2, 10, 1, 10, true);
    expect("123456789", 2, 10, 2, 1, true);
}

static void wide_characters_take_two_columns_and_do_not_part(void **state)
{
    (void)state;
    expect("\xe4\xb8\xad\xe6\x96\x87", 0, 10, 1, 4, true);
    expect("123456789\xe4\xb8\xad", 0, 10, 2, 2, true);    /* one column is left: it goes to the next row whole */
    expect("e\xcc\x81" "x", 0, 10, 1, 2, true);            /* an accent that combines takes none */
}

static void colours_take_no_room(void **state)
{
    (void)state;
    expect("ab \033[1;34m\xe2\x9c\x93\xe2\x9c\x93\033[0m", 0, 10, 1, 5, true);
}

static void line_breaks_begin_a_row(void **state)
{
    (void)state;
    expect("ab\n    cd", 0, 10, 2, 6, true);
    expect("1234567890\nx", 0, 10, 2, 1, true);
}

static void what_terminals_disagree_about_is_told(void **state)
{
    (void)state;
    expect("\xf0\x9f\x98\x80", 0, 10, 1, 2, false);
    expect("a\xff" "b", 0, 10, 1, 3, false);               /* no character at all */
}

/* ---- without a terminal ---- */

struct lines {
    char text[8][32];
    size_t count, longest;
    bool ended;
};

static void on_line(void *arg, const char *line)
{
    struct lines *l = arg;
    if (!line) {
        l->ended = true;
        return;
    }
    assert_true(l->count < 8);
    snprintf(l->text[l->count++], sizeof l->text[0], "%.31s", line);
    if (strlen(line) > l->longest) l->longest = strlen(line);
}

static void feed(const char *text)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
    close(fds[1]);
    assert_int_equal(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
    close(fds[0]);
}

static void plain_lines_come_one_by_one_and_the_last_without_its_end(void **state)
{
    struct lines l = { .count = 0 };
    (void)state;
    feed("one\n\ntwo\nthree");
    struct screen *s = screen_open(on_line, &l);
    assert_non_null(s);
    assert_false(screen_is_terminal(s));
    screen_start(s);
    while (!l.ended) screen_read(s);
    screen_read(s);    /* after the end: nothing */
    assert_int_equal(l.count, 4);
    assert_string_equal(l.text[0], "one");
    assert_string_equal(l.text[1], "");
    assert_string_equal(l.text[3], "three");
    screen_close(s);
}

static void a_line_that_is_too_long_stays_too_long(void **state)
{
    struct lines l = { .count = 0 };
    char *text = malloc(3 * SCREEN_LINE_MAX);
    (void)state;
    assert_non_null(text);
    memset(text, 'x', 3 * SCREEN_LINE_MAX);
    strcpy(text + 2 * SCREEN_LINE_MAX, "\nnext\n");
    feed(text);
    struct screen *s = screen_open(on_line, &l);
    assert_non_null(s);
    while (!l.ended) screen_read(s);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.longest, SCREEN_LINE_MAX);
    assert_true(l.longest > TEXT_BYTES_MAX);    /* so that it is refused, not cut and sent */
    assert_string_equal(l.text[1], "next");
    screen_close(s);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_wraps_only_when_something_follows),
        cmocka_unit_test(wide_characters_take_two_columns_and_do_not_part),
        cmocka_unit_test(colours_take_no_room),
        cmocka_unit_test(line_breaks_begin_a_row),
        cmocka_unit_test(what_terminals_disagree_about_is_told),
        cmocka_unit_test(plain_lines_come_one_by_one_and_the_last_without_its_end),
        cmocka_unit_test(a_line_that_is_too_long_stays_too_long),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
