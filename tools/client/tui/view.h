/* view.h - the parts of the screen around the messages: conversations, status line, the line being typed, search, help.
 *
 * Each function draws one part anew, whole, into its rectangle; the terminal sends only what differs. Nothing is kept here.
 * Thread: one. */
#ifndef PIPIT_CLIENT_TUI_VIEW_H
#define PIPIT_CLIENT_TUI_VIEW_H

#include "tools/client/tui/layout.h"
#include "tools/client/tui/model.h"
#include "tools/client/tui/terminal.h"

/* Two lines for each conversation: name and time, the last message and how many are unread. The selected one is in sight. */
void view_list(struct terminal *t, struct rect at, struct rect divider, const struct model *m, uint64_t now_ms);

struct view_status {
    const char *name;             /* of the open conversation; "": none */
    const char *text;             /* safe; what the program has to say */
    bool is_warning;
    const char *right;            /* counts; goes first when there is no room for both */
};
void view_status(struct terminal *t, struct rect at, const struct view_status *status);

/* Columns that a text has behind `prompt`, and the lines it wants, in `cols` columns. */
unsigned view_typed_columns(const char *prompt, unsigned cols);
unsigned view_typed_lines(const char *prompt, struct bytes text, unsigned cols);
/* The lines around the cursor, which is put there. */
void view_typed(struct terminal *t, struct rect at, const char *prompt, struct bytes text, size_t cursor);

/* Results of a search, newest first; `chosen` is in sight. `rest` stands below them. */
void view_found(struct terminal *t, struct rect at, const struct model *m, size_t chosen, const char *rest,
                uint64_t now_ms);
/* As many of the lines of help as there is room for, from `from` on; returns how many there are. */
size_t view_help(struct terminal *t, struct rect at, size_t from);

#endif
