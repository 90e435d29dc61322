/* view.c - the parts of the screen around the messages (see view.h). */
#include "tools/client/tui/view.h"

#include <stdio.h>
#include <string.h>

#include "tools/client/tui/draw.h"
#include "tools/client/tui/pane.h"
#include "tools/client/tui/text.h"

enum {
    CONV_LINES = 2,
    WHEN_BYTES = 16,
};

/* From column `col` up to column `end`. */
static void put(struct terminal *t, struct rect at, unsigned line, unsigned col, unsigned end, enum style style,
                const char *text)
{
    if (col < end) draw_str(t, at, line, col, end - col, style, text);
}

/* ---- conversations ---- */

/* "3", "999+", "•" for one that was marked; "!" goes before all: something was refused. */
static const char *badge_of(const struct model_conv *c, char out[static 16])
{
    if (c->refused > 0) return "!";
    if (c->unread >= UNREAD_MAX) snprintf(out, 16, "%d+", UNREAD_MAX - 1);
    else if (c->unread > 0) snprintf(out, 16, "%u", c->unread);
    else return c->marked ? "•" : c->waiting > 0 ? "…" : "";
    return out;
}

static void draw_conv(struct terminal *t, struct rect at, unsigned line, const struct model_conv *c, bool is_selected,
                      bool is_open, uint64_t now_ms)
{
    char when[WHEN_BYTES] = "", number[16];
    bool is_new = c->unread > 0 || c->marked;
    enum style name = is_selected ? STYLE_SELECTED : is_new ? STYLE_BOLD : STYLE_PLAIN;
    enum style rest = is_selected ? STYLE_SELECTED : STYLE_DIM;
    if (is_selected)
        for (unsigned i = 0; i < CONV_LINES && line + i < at.rows; i++) draw_line(t, at, line + i, STYLE_SELECTED);
    if (c->has_last) model_when(c->last_ms, now_ms, when);
    unsigned cols = draw_right(t, at, line, rest, when);
    put(t, at, line, 0, cols, name, c->name);
    if (line + 1 >= at.rows) return;
    enum style badge = is_selected ? STYLE_SELECTED : c->refused > 0 ? STYLE_WARNING : STYLE_UNREAD;
    cols = draw_right(t, at, line + 1, badge, badge_of(c, number));
    unsigned col = 1;
    if (c->has_draft && !is_open) {
        put(t, at, line + 1, col, cols, is_selected ? STYLE_SELECTED : STYLE_WARNING, "draft ");
        col += 6;
    }
    if (c->last_ticks != TICKS_NONE) {
        const char *ticks = ticks_text(c->last_ticks);
        put(t, at, line + 1, col, cols, is_selected ? STYLE_SELECTED : ticks_style(c->last_ticks), ticks);
        col += text_columns(bytes_of_str(ticks)) + 1;
    }
    put(t, at, line + 1, col, cols, rest, c->last);
}

void view_list(struct terminal *t, struct rect at, struct rect divider, const struct model *m, uint64_t now_ms)
{
    for (unsigned i = 0; i < divider.rows; i++) draw_str(t, divider, i, 0, 1, STYLE_DIM, "│");
    if (at.rows == 0 || at.cols == 0) return;
    draw_clear(t, at);
    const struct model_conv *open = model_opened(m);    /* what is typed there is in sight: no need to call it a draft */
    size_t count = model_conv_count(m), selected = model_selected(m), room = at.rows / CONV_LINES;
    if (room == 0) room = 1;
    size_t first = selected == SIZE_MAX || selected < room ? 0 : selected - room + 1;
    if (count == 0) put(t, at, 0, 0, at.cols, STYLE_DIM, "no conversations yet");
    for (size_t i = first; i < count && (i - first) * CONV_LINES < at.rows; i++) {
        const struct model_conv *c = model_conv(m, i);
        bool is_open = open && conv_id_equal(&open->conv, &c->conv);
        draw_conv(t, at, (unsigned)(i - first) * CONV_LINES, c, i == selected, is_open, now_ms);
    }
    unsigned end = (unsigned)(count - first) * CONV_LINES;
    if (end < at.rows && model_has_more_convs(m)) put(t, at, end, 0, at.cols, STYLE_DIM, "older ones: search");
}

/* ---- status ---- */

void view_status(struct terminal *t, struct rect at, const struct view_status *s)
{
    if (at.rows == 0 || at.cols == 0) return;
    draw_line(t, at, 0, STYLE_STATUS);
    unsigned name = text_columns(bytes_of_str(s->name)), text = text_columns(bytes_of_str(s->text));
    unsigned right = text_columns(bytes_of_str(s->right));
    unsigned cols = at.cols;
    if (name + text + right + 4 <= at.cols) cols = draw_right(t, at, 0, STYLE_STATUS, s->right);
    put(t, at, 0, 0, cols, STYLE_TITLE, s->name);
    put(t, at, 0, name > 0 ? name + 2 : 0, cols, s->is_warning ? STYLE_WARNING : STYLE_STATUS, s->text);
}

/* ---- the line being typed ---- */

/* A column stays free behind a full row, where the cursor can stand. */
unsigned view_typed_columns(const char *prompt, unsigned cols)
{
    unsigned used = text_columns(bytes_of_str(prompt)) + 1;
    return cols > used ? cols - used : 1;
}

unsigned view_typed_lines(const char *prompt, struct bytes text, unsigned cols)
{
    unsigned width = view_typed_columns(prompt, cols);
    size_t rows = text_rows(text, width), cursor = text_place_at(text, width, text.len).row + 1;
    return (unsigned)(rows > cursor ? rows : cursor);
}

void view_typed(struct terminal *t, struct rect at, const char *prompt, struct bytes text, size_t cursor)
{
    draw_clear(t, at);
    if (at.rows == 0 || at.cols == 0) return;
    unsigned width = view_typed_columns(prompt, at.cols), indent = text_columns(bytes_of_str(prompt));
    struct text_place place = text_place_at(text, width, cursor);
    size_t first = place.row >= at.rows ? place.row - at.rows + 1 : 0, number = 0;
    struct text_row row = { 0 };
    while (text_row_next(text, width, &row)) {
        if (number == 0 && first == 0) put(t, at, 0, 0, at.cols, STYLE_BOLD, prompt);
        if (number >= first && number - first < at.rows)
            draw_text(t, at, (unsigned)(number - first), indent, at.cols - indent, STYLE_PLAIN,
                      bytes_of(text.at + row.at, row.len));
        number++;
    }
    unsigned col = indent + place.column;
    terminal_cursor(t, at.row + (unsigned)(place.row - first), at.col + (col < at.cols ? col : at.cols - 1));
}

/* ---- search ---- */

static void draw_found(struct terminal *t, struct rect at, unsigned line, const struct model_found *f, bool is_chosen,
                       uint64_t now_ms)
{
    char when[WHEN_BYTES];
    model_when(f->time_ms, now_ms, when);
    if (is_chosen) draw_line(t, at, line, STYLE_SELECTED);
    unsigned cols = draw_right(t, at, line, is_chosen ? STYLE_SELECTED : STYLE_DIM, when);
    put(t, at, line, 0, cols, is_chosen ? STYLE_SELECTED : f->is_own ? STYLE_OWN : STYLE_PEER, f->name);
    unsigned col = text_columns(bytes_of_str(f->name)) + 2;
    struct bytes parts[3] = {
        bytes_of(f->text, f->hit_at),
        bytes_of(f->text + f->hit_at, f->hit_len),
        bytes_of_str(f->text + f->hit_at + f->hit_len),
    };
    for (int i = 0; i < 3; i++) {
        enum style style = is_chosen ? STYLE_SELECTED : i == 1 ? STYLE_FOUND : STYLE_PLAIN;
        if (col >= cols) return;
        col += draw_text(t, at, line, col, cols - col, style, parts[i]);
    }
}

void view_found(struct terminal *t, struct rect at, const struct model *m, size_t chosen, const char *rest,
                uint64_t now_ms)
{
    size_t count = model_found_count(m), first = chosen >= at.rows ? chosen - at.rows + 1 : 0;
    draw_clear(t, at);
    if (at.rows == 0 || at.cols == 0) return;
    for (size_t i = first; i < count && i - first < at.rows; i++)
        draw_found(t, at, (unsigned)(i - first), model_found(m, i), i == chosen, now_ms);
    if (count - first >= at.rows) return;
    put(t, at, (unsigned)(count - first), 0, at.cols, STYLE_DIM, rest);
}

/* ---- help ---- */

static const char *const help[] = {
    "Enter            send",
    "Alt-Enter        a new line",
    "Tab              the next unread conversation",
    "Alt-Up Alt-Down  another conversation; so do Alt-P and Alt-N",
    "PgUp PgDn        scroll, and so does the wheel",
    "Alt-< Alt->      far up, and to the newest",
    "Ctrl-R           search in all messages",
    "F2               pick one: d deletes here, D for everyone",
    "Ctrl-L           draw anew",
    "Ctrl-C           leave; what is typed stays as a draft",
    "",
    "Ctrl-A Ctrl-E    to the beginning, the end of the line",
    "Alt-B Alt-F      by words",
    "Ctrl-W Ctrl-U    take away a word, all before the cursor",
    "Ctrl-K Ctrl-Y    take away the rest, put back what was",
    "Ctrl-_           undo",
    "Up Down          what was sent before",
    "",
    "/to WHO          a conversation with a contact or user",
    "/me              notes to yourself",
    "/find TEXT       search",
    "/unread          mark this conversation as unread",
    "/delete          delete it, on this device alone",
    "/timer 1d        messages go after a day; off: they stay",
    "/quit            leave",
    "//text           sends /text",
    "",
    "…   waits: it goes out when the server is there",
    "✓   stored by the server",
    "✓✓  on a device of theirs; when blue, read",
    "!   refused: F2 and e take it back to mend it",
};

size_t view_help(struct terminal *t, struct rect at, size_t from)
{
    size_t count = sizeof help / sizeof help[0];
    draw_clear(t, at);
    for (unsigned i = 0; i < at.rows && from + i < count; i++) put(t, at, i, 0, at.cols, STYLE_PLAIN, help[from + i]);
    return count;
}
