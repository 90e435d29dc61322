/* draw.c - any text into a part of the screen (see draw.h). */
#include "tools/client/tui/draw.h"

#include <stdlib.h>

#include "tools/client/tui/text.h"

unsigned draw_text(struct terminal *t, struct rect at, unsigned line, unsigned col, unsigned cols, enum style style,
                   struct bytes text)
{
    struct buf shown;
    if (line >= at.rows || col >= at.cols) return 0;
    if (cols > at.cols - col) cols = at.cols - col;
    buf_init(&shown, (size_t)cols * TEXT_SHOWN_MAX + TEXT_SHOWN_MAX);
    unsigned used = text_put_cut(&shown, text, cols);
    terminal_put(t, at.row + line, at.col + col, cols, style, buf_bytes(&shown));
    buf_fini(&shown);
    return used;
}

unsigned draw_str(struct terminal *t, struct rect at, unsigned line, unsigned col, unsigned cols, enum style style,
                  const char *text)
{
    return draw_text(t, at, line, col, cols, style, bytes_of_str(text));
}

unsigned draw_right(struct terminal *t, struct rect at, unsigned line, enum style style, const char *text)
{
    unsigned cols = text_columns(bytes_of_str(text));
    if (cols == 0 || cols + 1 >= at.cols) return at.cols;
    draw_str(t, at, line, at.cols - cols, cols, style, text);
    return at.cols - cols - 1;
}

void draw_line(struct terminal *t, struct rect at, unsigned line, enum style style)
{
    if (line < at.rows) terminal_clear(t, at.row + line, at.col, 1, at.cols, style);
}

void draw_clear(struct terminal *t, struct rect at)
{
    terminal_clear(t, at.row, at.col, at.rows, at.cols, STYLE_PLAIN);
}
