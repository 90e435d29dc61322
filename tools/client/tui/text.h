/* text.h - text on a grid of cells: clusters, columns, cuts, rows.
 *
 * A text is any bytes. It is looked at in clusters: what a reader takes for one character (UAX #29), with the invisible
 * characters that follow it. Each has 0, 1 or 2 columns and a form that is written to the terminal for it: UTF-8, safe
 * (tools/common/utf8.h), and as wide in every terminal as it is counted here, as far as that can be known. That form
 * may differ from the text; text.c says how and why. Widths are wcwidth()'s, since ncursesw counts by it: LC_CTYPE must
 * name UTF-8, else everything but ASCII is shown as U+FFFD.
 *
 * Offsets are bytes from the beginning of the text. A function that wants one on a boundary wants the beginning of a
 * cluster or the end of the text. Nothing is allocated but by the struct buf of whoever asks.
 * Thread: no globals. */
#ifndef PIPIT_CLIENT_TUI_TEXT_H
#define PIPIT_CLIENT_TUI_TEXT_H

#include "proto/bytes.h"

enum {
    TEXT_MARKS_MAX = 4,           /* shown on one character: a cell of ncursesw has CCHARW_MAX (5) code points */
    TEXT_SHOWN_MAX = 2 * (1 + TEXT_MARKS_MAX) * 4,    /* bytes of a cluster's form: two cells */
    TEXT_TAB_COLUMNS = 2,         /* wherever it stands: so a row may be moved and cut */
};

struct text_cluster {
    size_t len;                   /* bytes of the text, 1 or more */
    unsigned columns;             /* 0 (all of it is invisible), 1 or 2 */
    bool is_end;                  /* a line end, always a cluster of its own. Where lines are not told apart: a blank */
    bool is_blank;                /* a row may end behind it */
    bool is_wide;                 /* one character of 2 columns: a row may end on either side of it */
    uint8_t shown_len;
    char shown[TEXT_SHOWN_MAX];   /* no NUL behind it */
};

/* The cluster that begins at `at`, a boundary < text.len. */
struct text_cluster text_cluster_at(struct bytes text, size_t at);
/* The nearest boundary that is not above, not below, or below `at` (<= text.len, for the last one > 0). */
size_t text_floor(struct bytes text, size_t at);
size_t text_ceil(struct bytes text, size_t at);
size_t text_before(struct bytes text, size_t at);

/* ---- in one row: a line end is a blank ---- */

unsigned text_columns(struct bytes text);
/* Bytes of the longest beginning, whole clusters, that has at most `cols` columns; it has *columns_out. */
size_t text_fit(struct bytes text, unsigned cols, unsigned *columns_out);
/* Append what is written to the terminal for `text`. */
void text_put(struct buf *to, struct bytes text);
/* The same in at most `cols` columns: what is too long ends with an ellipsis. Returns the columns it takes. */
unsigned text_put_cut(struct buf *to, struct bytes text, unsigned cols);

/* ---- in many rows ---- */

/* One row. Line ends and the blanks that a row is broken at are part of it, but are not shown once it is full. */
struct text_row {
    size_t at;                    /* its first byte */
    size_t len;                   /* bytes of it that are shown */
    unsigned columns;             /* they take */
    size_t next;                  /* the first byte of the row behind it */
    bool is_last;
};

/* The rows of `text` in `cols` (1 or more) columns, one for each call, beginning with a row of zeros; false: no more.
 * An empty text has one row, and one that ends with a line end has an empty row behind it.
 *
 *     struct text_row row = { 0 };
 *     while (text_row_next(text, cols, &row)) text_put(&out, bytes_of(text.at + row.at, row.len));
 *
 * A row has at most `cols` columns, except where `cols` is 1: a cluster of 2 has a row for itself, and text_put_cut()
 * gives an ellipsis for it. */
bool text_row_next(struct bytes text, unsigned cols, struct text_row *row);
size_t text_rows(struct bytes text, unsigned cols);

/* Where a cursor stands: in front of `column`, 0..cols. In `cols` when its row is full: a pane in which somebody types
 * keeps a column more than it wraps at. */
struct text_place {
    size_t row;
    unsigned column;
};
/* The place of the cursor at a boundary. Behind the last cluster of a row it is in the next row, unless blanks that are
 * not shown or a line end follow. */
struct text_place text_place_at(struct bytes text, unsigned cols, size_t at);
/* The boundary nearest to `place` that is in its row and not to the right of it; beyond the last row: text.len. */
size_t text_offset_of(struct bytes text, unsigned cols, struct text_place place);

#endif
