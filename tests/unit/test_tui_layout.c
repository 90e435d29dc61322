/* test_tui_layout.c - every screen is parted without overlap and without a hole. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/tui/layout.h"

enum { ROWS_MAX = 100, COLS_MAX = 200, EDITOR_MAX = 120 };

static unsigned char cells[ROWS_MAX][COLS_MAX];    /* how many parts each cell belongs to */
static const unsigned editors[] = { 0, 1, 2, 3, 7, 34, EDITOR_MAX };
enum { EDITORS = sizeof editors / sizeof editors[0] };

static void mark(struct rect r, unsigned rows, unsigned cols)
{
    if (r.rows == 0 || r.cols == 0) return;
    assert_true(r.row < rows && r.rows <= rows - r.row);
    assert_true(r.col < cols && r.cols <= cols - r.col);
    for (unsigned i = r.row; i < r.row + r.rows; i++) {
        for (unsigned k = r.col; k < r.col + r.cols; k++) cells[i][k]++;
    }
}

static void check(unsigned rows, unsigned cols, unsigned editor, bool list)
{
    struct layout l = layout_of(rows, cols, editor, list);
    memset(cells, 0, sizeof cells);
    mark(l.list, rows, cols);
    mark(l.divider, rows, cols);
    mark(l.messages, rows, cols);
    mark(l.status, rows, cols);
    mark(l.editor, rows, cols);
    assert_int_equal(l.is_too_small, rows < LAYOUT_ROWS_MIN || cols < LAYOUT_COLS_MIN);
    for (unsigned i = 0; i < rows; i++) {
        for (unsigned k = 0; k < cols; k++) assert_int_equal(cells[i][k], l.is_too_small ? 0 : 1);
    }
    if (l.is_too_small) return;
    assert_int_equal(l.status.rows, 1);
    assert_true(l.editor.rows >= 1);
    assert_true(l.editor.rows <= (editor ? editor : 1));
    assert_int_equal(l.editor.cols, layout_editor_cols(cols));
    assert_true(l.messages.rows + l.list.rows >= 1);
}

static void every_cell_of_every_size_belongs_to_one_part(void **state)
{
    (void)state;
    for (unsigned rows = 1; rows <= ROWS_MAX; rows++) {
        for (unsigned cols = 1; cols <= COLS_MAX; cols++) {
            unsigned editor = editors[(rows + cols) % EDITORS];
            check(rows, cols, editor, rows % 2 == 0);
            check(rows, cols, editor, rows % 2 != 0);
        }
    }
    for (size_t i = 0; i < EDITORS; i++) {
        for (unsigned rows = 1; rows <= ROWS_MAX; rows++) {
            check(rows, 80, editors[i], true);
            check(rows, 20, editors[i], false);
        }
    }
    check(0, 0, 1, true);
    check(0, 80, 1, true);
    assert_int_equal(layout_editor_cols(0), 1);
}

static void the_list_stands_beside_the_messages_only_where_both_have_room(void **state)
{
    (void)state;
    struct layout l = layout_of(24, LAYOUT_BESIDE_COLS_MIN, 1, false);
    assert_int_equal(l.list.cols, LAYOUT_LIST_COLS_MIN);
    assert_int_equal(l.messages.cols, LAYOUT_BESIDE_COLS_MIN - LAYOUT_LIST_COLS_MIN - 1);
    l = layout_of(24, LAYOUT_BESIDE_COLS_MIN - 1, 1, false);
    assert_int_equal(l.list.cols, 0);
    assert_int_equal(l.divider.cols, 0);
    assert_int_equal(l.messages.cols, LAYOUT_BESIDE_COLS_MIN - 1);
    l = layout_of(24, 100, 1, false);
    assert_int_equal(l.list.cols, 25);
    l = layout_of(24, 200, 1, false);
    assert_int_equal(l.list.cols, LAYOUT_LIST_COLS_MAX);
}

static void a_wanted_list_takes_the_messages_place_on_a_narrow_screen(void **state)
{
    (void)state;
    struct layout l = layout_of(5, 20, 1, true);
    assert_int_equal(l.list.rows, 3);
    assert_int_equal(l.list.cols, 20);
    assert_int_equal(l.messages.rows, 0);
    l = layout_of(5, 20, 1, false);
    assert_int_equal(l.list.rows, 0);
    assert_int_equal(l.messages.rows, 3);
    l = layout_of(24, 80, 1, true);
    assert_true(l.messages.rows > 0);
}

static void a_long_text_leaves_most_rows_to_the_messages(void **state)
{
    (void)state;
    assert_int_equal(layout_of(24, 80, 4, false).editor.rows, 4);
    assert_int_equal(layout_of(24, 80, 50, false).editor.rows, 8);
    assert_int_equal(layout_of(5, 80, 50, false).editor.rows, 1);
    assert_int_equal(layout_of(LAYOUT_ROWS_MIN, LAYOUT_COLS_MIN, 50, false).messages.rows, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_of_every_size_belongs_to_one_part),
        cmocka_unit_test(the_list_stands_beside_the_messages_only_where_both_have_room),
        cmocka_unit_test(a_wanted_list_takes_the_messages_place_on_a_narrow_screen),
        cmocka_unit_test(a_long_text_leaves_most_rows_to_the_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
