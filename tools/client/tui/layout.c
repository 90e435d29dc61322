/* layout.c - see layout.h. */
#include "tools/client/tui/layout.h"

static unsigned clamp(unsigned value, unsigned least, unsigned most)
{
    return value < least ? least : value > most ? most : value;
}

/* Columns of the list beside the messages; 0: it has no place there. */
static unsigned list_cols(unsigned cols)
{
    if (cols < LAYOUT_BESIDE_COLS_MIN) return 0;
    return clamp(cols / LAYOUT_LIST_PART, LAYOUT_LIST_COLS_MIN, LAYOUT_LIST_COLS_MAX);
}

static unsigned side_col(unsigned cols)
{
    unsigned list = list_cols(cols);
    return list ? list + 1 : 0;    /* and the divider */
}

unsigned layout_editor_cols(unsigned cols)
{
    unsigned editor = cols - side_col(cols);
    return editor ? editor : 1;
}

struct layout layout_of(unsigned rows, unsigned cols, unsigned editor_rows, bool list_wanted)
{
    struct layout l = { .is_too_small = rows < LAYOUT_ROWS_MIN || cols < LAYOUT_COLS_MIN };
    if (l.is_too_small) return l;
    unsigned list = list_cols(cols), col = side_col(cols);
    unsigned editor = clamp(editor_rows, 1, clamp(rows / LAYOUT_EDITOR_PART, 1, rows));
    unsigned messages = rows - editor - 1;
    l.messages = (struct rect){ 0, col, messages, cols - col };
    l.status = (struct rect){ messages, col, 1, cols - col };
    l.editor = (struct rect){ messages + 1, col, editor, cols - col };
    if (list) {
        l.list = (struct rect){ 0, 0, rows, list };
        l.divider = (struct rect){ 0, list, rows, 1 };
    } else if (list_wanted) {
        l.list = l.messages;
        l.messages = (struct rect){ 0, 0, 0, 0 };
    }
    return l;
}

_Static_assert(LAYOUT_ROWS_MIN / LAYOUT_EDITOR_PART + 2 <= LAYOUT_ROWS_MIN, "a message is in sight above the status");
_Static_assert(LAYOUT_BESIDE_COLS_MIN - LAYOUT_BESIDE_COLS_MIN / LAYOUT_LIST_PART - 1 >= 40, "as the header says");
_Static_assert(LAYOUT_BESIDE_COLS_MIN - LAYOUT_LIST_COLS_MIN - 1 >= 40, "as the header says");
