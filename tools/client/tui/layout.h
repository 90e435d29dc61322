/* layout.h - which part of the screen is for what. Pure arithmetic.
 *
 *     ┌──────┬─┬───────────────┐    list       conversations; with its divider only where there is room for both
 *     │ list │ │ messages      │
 *     │      │ ├───────────────┤    status     one row
 *     │      │ │ status        │
 *     │      │ ├───────────────┤    editor     as high as its text, but at most a part of the screen
 *     └──────┴─┴───────────────┘
 *
 * On a narrow screen the list, while it is wanted, stands where the messages are else.
 * Thread: no state. */
#ifndef PIPIT_CLIENT_TUI_LAYOUT_H
#define PIPIT_CLIENT_TUI_LAYOUT_H

#include <stdbool.h>

enum {
    LAYOUT_ROWS_MIN = 3,          /* a message, the status, a row to type in */
    LAYOUT_COLS_MIN = 10,         /* a word of most languages, or "12:34 bob:" */
    LAYOUT_EDITOR_PART = 3,       /* the editor has at most 1 / LAYOUT_EDITOR_PART of the rows */
    LAYOUT_LIST_COLS_MIN = 18,    /* most names, a count behind them */
    LAYOUT_LIST_COLS_MAX = 32,    /* what is more belongs to the messages */
    LAYOUT_LIST_PART = 4,         /* between these two the list has 1 / LAYOUT_LIST_PART of the columns */
    LAYOUT_BESIDE_COLS_MIN = 60,  /* of the screen, for the list to stand beside messages: they keep 40 or more */
};

struct rect {
    unsigned row, col, rows, cols;    /* rows or cols 0: is not shown */
};

struct layout {
    bool is_too_small;            /* nothing is shown; one line may say so */
    struct rect list, divider, messages, status, editor;
};

/* `editor_rows` is what its text takes in the columns that layout_editor_cols() gives; 0 counts as 1. `list_wanted`: a
 * person is choosing a conversation. Any size, 0 as well. */
struct layout layout_of(unsigned rows, unsigned cols, unsigned editor_rows, bool list_wanted);
/* Columns of the editor on such a screen, whatever its rows; at least 1. */
unsigned layout_editor_cols(unsigned cols);

#endif
