/* draw.h - any text into a part of the screen: what text.h makes of it goes to terminal.h. Thread: one. */
#ifndef PIPIT_CLIENT_TUI_DRAW_H
#define PIPIT_CLIENT_TUI_DRAW_H

#include "tools/client/tui/layout.h"
#include "tools/client/tui/terminal.h"

/* `text`, whole characters of it, in line `line` of `at` from column `col` on, in at most `cols` columns; what is too long
 * ends with an ellipsis. What lies outside of `at` is not drawn. Returns the columns that were used. */
unsigned draw_text(struct terminal *t, struct rect at, unsigned line, unsigned col, unsigned cols, enum style style,
                   struct bytes text);
unsigned draw_str(struct terminal *t, struct rect at, unsigned line, unsigned col, unsigned cols, enum style style,
                  const char *text);
/* At the right edge, when it leaves a column or more of the line. Returns the columns that are left of it, with a blank
 * between; all of them when it was not drawn. */
unsigned draw_right(struct terminal *t, struct rect at, unsigned line, enum style style, const char *text);
/* Blanks. */
void draw_line(struct terminal *t, struct rect at, unsigned line, enum style style);
void draw_clear(struct terminal *t, struct rect at);

#endif
