/* editor_impl.h - the inside of the editor: editor.c finds out where and what, editor_change.c changes the text and
 * keeps what was before. */
#ifndef PIPIT_CLIENT_TUI_EDITOR_IMPL_H
#define PIPIT_CLIENT_TUI_EDITOR_IMPL_H

#include "tools/client/tui/editor.h"
#include "tools/client/tui/shelf.h"

/* What the last key did, when that matters to the next one: these go together with their like. */
enum run {
    RUN_NONE,
    RUN_TYPED, RUN_ERASED_BACK, RUN_ERASED_AHEAD,    /* are undone at once */
    RUN_KILLED,                   /* is yanked at once */
    RUN_YANKED,                   /* M-y gives another one */
    RUN_ROWS,                     /* keeps its column */
};

/* One change that can be undone: at `at`, `inserted` bytes stand for those that lie on the shelf. */
struct undo {
    size_t at, inserted;
    size_t cursor;                /* before it */
    enum run run;
    bool is_blank;                /* it ends with one: what is typed next is a word of its own */
};

struct editor {
    uint8_t text[TEXT_BYTES_MAX];
    size_t len, cursor;
    unsigned cols;
    size_t excess;
    enum run last, now;           /* of the key before, of this one */
    unsigned goal;                /* the column of a RUN_ROWS */

    struct shelf undone;          /* what changes took away */
    struct undo undos[EDITOR_UNDOS_MAX];    /* one for each string of `undone` */

    struct shelf kills;
    size_t yank_at, yank_len, yank_index;   /* of a RUN_YANKED */

    struct shelf sent;
    size_t sent_at;               /* what is in the text; sent.count: what is being typed */
    uint8_t typed[TEXT_BYTES_MAX];          /* meanwhile */
    size_t typed_len;

    uint8_t paste[TEXT_BYTES_MAX];
    size_t paste_len;             /* may be more than there is room for: it is counted, and refused */
};

/* Put `with`, not part of the text, in the place of the `len` bytes at `at`, and the cursor behind it; or refuse. */
enum editor_result editor_change(struct editor *e, size_t at, size_t len, struct bytes with, enum run run);
enum editor_result editor_undo(struct editor *e);

/* Take from..to away, to be yanked; `is_ahead`: the cursor was at `from`. */
enum editor_result editor_kill(struct editor *e, size_t from, size_t to, bool is_ahead);
enum editor_result editor_yank(struct editor *e);
enum editor_result editor_yank_older(struct editor *e);

/* The text that was sent before the one that is shown, or behind it. */
enum editor_result editor_older(struct editor *e);
enum editor_result editor_newer(struct editor *e);

#endif
