/* editor.h - the reply that is being typed: lines of text, a cursor, and the keys that readline taught people.
 *
 *     C-a Home, C-e End          begin, end of the line        C-k C-u             kill to its end, to its begin
 *     C-b C-f, Left Right        a cluster                     C-w                 kill back to a blank
 *     M-b M-f, C-Left C-Right    a word                        M-d, M-Backspace    kill a word
 *     C-p C-n, Up Down           a row; then what was sent     C-y, M-y            yank, an older one instead
 *     C-d Delete, C-h Backspace  erase                         C-t                 swap two clusters
 *     C-j M-Enter S-Enter        a line end                    M-u M-l M-c         change the case of a word
 *     C-_                        undo                          Enter               send
 *
 * The text is UTF-8 of at most TEXT_BYTES_MAX bytes, and the cursor is always between two clusters (text.h). What does
 * not fit is refused as a whole, and nothing of what is there is lost for it. All memory is taken when it is made.
 * Thread: no globals; an editor belongs to whoever holds it. */
#ifndef PIPIT_CLIENT_TUI_EDITOR_H
#define PIPIT_CLIENT_TUI_EDITOR_H

#include "proto/limits.h"
#include "tools/client/tui/keys.h"

enum {
    EDITOR_KILLS_MAX = 8,         /* kills remembered; M-y goes through them */
    EDITOR_UNDOS_MAX = 512,       /* changes that can be undone; a word typed is one */
    EDITOR_UNDO_BYTES_MAX = 64 * 1024,       /* that they took away; the oldest are forgotten */
    EDITOR_SENT_MAX = 100,        /* texts that Up goes back through … */
    EDITOR_SENT_BYTES_MAX = 64 * 1024,       /* … and their bytes; the oldest are forgotten */
};

enum editor_result {
    EDITOR_TAKEN,                 /* the text is as it was; the cursor may have moved */
    EDITOR_CHANGED,
    EDITOR_SEND,                  /* to be sent; then editor_sent(), or it stays */
    EDITOR_FULL,                  /* refused: editor_excess() bytes too long */
    EDITOR_UNKNOWN,               /* not the editor's now: Enter or C-d without a text, Up with nothing above */
};

struct editor;

struct editor *editor_new(void);             /* NULL: out of memory */
void editor_free(struct editor *e);          /* NULL allowed */

/* Columns at which rows wrap (text_row_next()), for Up and Down; 0, as at first: a line is a row. */
void editor_set_columns(struct editor *e, unsigned cols);
/* A key came. A paste is taken or refused as a whole at its end. */
enum editor_result editor_key(struct editor *e, const struct key *key);
size_t editor_excess(const struct editor *e);

/* Lent until the next call that is not one of these two. */
struct bytes editor_text(const struct editor *e);
size_t editor_cursor(const struct editor *e);

/* Another text instead, the cursor behind it; undo does not go back beyond it. Returns 0, ERR_TOO_BIG or ERR_MALFORMED
 * (not UTF-8), and has changed nothing then. */
int editor_set_text(struct editor *e, struct bytes text);
/* The text was sent: Up finds it, and a new one begins. */
void editor_sent(struct editor *e);

#endif
