/* chat_draw.c - what stands on the screen, and what was seen of it (see chat_impl.h).
 *
 * The order is: lay out, settle the pane, put all parts, flush, and only then tell the model what is in sight. So a message
 * is marked as read when it was handed to the terminal, never before. */
#include <stdio.h>
#include <string.h>

#include "tools/client/tui/chat_impl.h"
#include "tools/client/tui/draw.h"
#include "tools/client/tui/view.h"

enum { PROMPT_BYTES_MAX = 160 };

/* ---- the line at the bottom ---- */

struct typed {
    const char *prompt;
    struct bytes text;
    size_t cursor;
};

static const char *const questions[] = {
    [ASK_DELETE_MESSAGE] = "delete this message here, for you alone? (y/n) ",
    [ASK_DELETE_FOR_ALL] = "delete this message for everyone? (y/n) ",
    [ASK_DELETE_CONV] = "delete all of this conversation here? (y/n) ",
};

static struct typed typed_of(const struct chat *c)
{
    switch (c->mode) {
    case MODE_FIND:
        return (struct typed){ "find: ", editor_text(c->query), editor_cursor(c->query) };
    case MODE_ASK:
        return (struct typed){ questions[c->question], BYTES_NONE, 0 };
    case MODE_PICK:
        return (struct typed){ "d delete here, D for everyone, e edit, i number, Esc ", BYTES_NONE, 0 };
    case MODE_LIST:
        return (struct typed){ "whom? letters, arrows, Enter ", bytes_of_str(c->wanted), strlen(c->wanted) };
    case MODE_HELP:
        return (struct typed){ "Esc goes back ", BYTES_NONE, 0 };
    case MODE_TALK:
        break;
    }
    return (struct typed){ "> ", editor_text(c->reply), editor_cursor(c->reply) };
}

/* ---- the status line ---- */

static void status_text(const struct chat *c, char *out, size_t room, bool *warns)
{
    *warns = false;
    out[0] = '\0';
    if (c->said[0]) {
        *warns = c->said_warns;
        snprintf(out, room, "%s", c->said);
    } else if (c->link_why[0]) {
        *warns = true;
        snprintf(out, room, "no connection, trying again; sends wait (%s)", c->link_why);
    } else if (!c->is_open) {
        snprintf(out, room, "connecting…");
    } else if (!model_opened(c->model) && c->mode == MODE_TALK) {
        snprintf(out, room, "/to WHO opens a conversation, Alt-Up the list, F1 help");
    }
}

static void status_right(const struct chat *c, uint32_t below, char *out, size_t room)
{
    uint32_t unread = model_unread_convs(c->model);
    if (below > 0) snprintf(out, room, "%u new below, Alt-> ", below);
    else if (!c->pane.is_end && model_row_count(c->model) > 0) snprintf(out, room, "Alt-> to the end ");
    else if (unread > 0 && c->layout.list.rows == 0) snprintf(out, room, "%u unread, Tab ", unread);
    else snprintf(out, room, "F1 help ");
}

static int draw_status(struct chat *c)
{
    char text[SAID_BYTES_MAX + WHY_MAX], right[64];
    const struct model_conv *open = model_opened(c->model);
    struct view_status status = { .name = open ? open->name : "", .text = text, .right = right };
    uint32_t below = 0;
    int err = open ? model_below(c->model, &below) : 0;
    status_text(c, text, sizeof text, &status.is_warning);
    status_right(c, below, right, sizeof right);
    view_status(c->terminal, c->layout.status, &status);
    return err;
}

/* ---- all ---- */

static void set_title(struct chat *c)
{
    char title[MODEL_NAME_BYTES_MAX + 32];
    const struct model_conv *open = model_opened(c->model);
    uint32_t unread = model_unread_convs(c->model);
    if (unread > 0) snprintf(title, sizeof title, "(%u) pipit%s%s", unread, open ? ": " : "", open ? open->name : "");
    else snprintf(title, sizeof title, "pipit%s%s", open ? ": " : "", open ? open->name : "");
    terminal_title(c->terminal, bytes_of_str(title));
}

static void draw_too_small(struct chat *c, unsigned rows, unsigned cols)
{
    struct rect all = { 0, 0, rows, cols };
    draw_clear(c->terminal, all);
    draw_str(c->terminal, all, 0, 0, cols, STYLE_PLAIN, "too small");
    terminal_cursor_hide(c->terminal);
    c->pane.first = c->pane.count = 0;
}

static const char *found_rest(const struct chat *c)
{
    if (editor_text(c->query).len == 0) return "letters look for messages, Enter goes there";
    if (c->is_searching) return "searching…";
    if (model_found_count(c->model) == 0) return "nothing found";
    return model_found_full(c->model) ? "there are more: say more of what it is" : "";
}

static int draw_parts(struct chat *c, const struct typed *typed)
{
    const struct layout *l = &c->layout;
    uint64_t now = wall_ms();
    view_list(c->terminal, l->list, l->divider, c->model, now);
    int err = pane_settle(&c->pane, c->model, l->messages);
    if (c->mode == MODE_FIND) view_found(c->terminal, l->messages, c->model, c->found_at, found_rest(c), now);
    else if (c->mode == MODE_HELP) c->help_lines = view_help(c->terminal, l->messages, c->help_at);
    else if (l->messages.rows > 0) pane_draw(&c->pane, c->model, c->terminal);
    int status_err = draw_status(c);
    view_typed(c->terminal, l->editor, typed->prompt, typed->text, typed->cursor);
    set_title(c);
    return err ? err : status_err;
}

/* Marks what is in sight. Only what is drawn counts, and only while somebody may be looking. */
static int mark_seen(struct chat *c)
{
    struct model_seen seen;
    bool hidden = c->mode == MODE_FIND || c->mode == MODE_HELP || c->layout.messages.rows == 0 ||
                  terminal_is_behind(c->terminal);
    int err = 0;
    while (!err && model_seen(c->model, c->pane.first, hidden ? 0 : c->pane.count, c->in_foreground, &seen)) {
        err = online_show(c->online, seen.ids, seen.count, &seen.conv, &seen.seq, seen.has_seq);
        if (!err) model_seen_done(c->model, &seen);
    }
    return err;
}

int chat_draw(struct chat *c)
{
    unsigned rows, cols;
    struct typed typed = typed_of(c);
    terminal_size(c->terminal, &rows, &cols);
    unsigned width = layout_editor_cols(cols);
    c->layout = layout_of(rows, cols, view_typed_lines(typed.prompt, typed.text, width), c->mode == MODE_LIST);
    editor_set_columns(c->reply, view_typed_columns("> ", width));
    int err = 0;
    if (c->layout.is_too_small) draw_too_small(c, rows, cols);
    else err = draw_parts(c, &typed);
    c->is_dirty = false;
    int terminal_err = terminal_flush(c->terminal);
    if (!terminal_err && chat_store(c, err)) chat_store(c, mark_seen(c));
    return terminal_err;
}
