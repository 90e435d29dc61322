/* pane.c - rows of the model become lines (see pane.h).
 *
 * All walks begin at the bottom row and end at the pane's edge, so what a drawing costs goes by the size of the screen and
 * by the length of the messages on it, never by how many messages the window holds. */
#include "tools/client/tui/pane.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "tools/client/output.h"
#include "tools/client/tui/draw.h"
#include "tools/client/tui/text.h"

enum {
    TIME_COLUMNS = 5,             /* "14:05" */
    TICKS_COLUMNS = 3,            /* " ✓✓", kept free behind the text, so that ticks never need a line */
    NARROW_INDENT = 1,
};

/* ---- how a message lies in the pane ---- */

/* Wide: "14:05 alice  text", the text in a column of its own. Narrow: "14:05 alice", and the text below it. */
struct shape {
    bool is_wide;
    unsigned name_cols;
    unsigned text_col, text_cols;
};

static unsigned at_most(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static struct shape shape_of(const struct pane *p, const struct model *m)
{
    struct shape s = { .is_wide = p->at.cols >= PANE_WIDE_COLUMNS };
    const struct model_conv *conv = model_opened(m);
    if (s.is_wide) {
        unsigned own = text_columns(bytes_of_str(p->own));
        unsigned theirs = conv && !conv->is_self ? text_columns(bytes_of_str(conv->name)) : 0;
        s.name_cols = at_most(own > theirs ? own : theirs, PANE_NAME_COLUMNS_MAX);
        s.text_col = TIME_COLUMNS + 1 + s.name_cols + 1;
    } else {
        s.text_col = at_most(NARROW_INDENT, p->at.cols - 1);
    }
    unsigned right = TICKS_COLUMNS + s.text_col;
    s.text_cols = p->at.cols > right ? p->at.cols - right : 1;
    return s;
}

static struct bytes row_text(const struct model_row *row)
{
    return bytes_of(row->text, row->text_len);
}

/* Of the program's own: no name beside it, and as long as it wants to be. */
static bool is_note(const struct model_row *row)
{
    return row->id.kind == ROW_NOTE || row->id.kind == ROW_TIMER;
}

static size_t lines_of(const struct pane *p, const struct shape *s, const struct model_row *row)
{
    if (is_note(row)) return text_rows(row_text(row), p->at.cols);
    if (row->id.kind != ROW_MESSAGE) return 1;
    size_t lines = text_rows(row_text(row), s->text_cols) + !s->is_wide;
    if (row->why[0]) lines += text_rows(bytes_of_str(row->why), s->text_cols);
    return lines;
}

/* ---- places ---- */

static size_t bottom_index(struct pane *p, const struct model *m)
{
    size_t count = model_row_count(m), at;
    assert(count > 0);
    if (p->is_end) return count - 1;
    at = model_row_find(m, &p->bottom);
    if (at == SIZE_MAX) {    /* it was deleted, or has left the window */
        at = p->bottom_at < count ? p->bottom_at : count - 1;
        p->hidden = 0;
    }
    return at;
}

static void put_bottom(struct pane *p, const struct model *m, size_t at, size_t hidden)
{
    p->bottom_at = at;
    p->bottom = model_row(m, at)->id;
    p->hidden = hidden;
    p->is_end = hidden == 0 && at + 1 == model_row_count(m) && !model_has_newer(m);
}

/* Lines from the window's beginning to the bottom, counted no further than `enough`. */
static size_t lines_above(const struct pane *p, const struct shape *s, const struct model *m, size_t bottom, size_t hidden,
                          size_t enough)
{
    size_t lines = 0;
    for (size_t i = bottom + 1; i-- > 0 && lines < enough + hidden;) lines += lines_of(p, s, model_row(m, i));
    return lines - (hidden < lines ? hidden : lines);
}

/* One line down; false: it is the last one. */
static bool line_down(const struct pane *p, const struct shape *s, const struct model *m, size_t *bottom, size_t *hidden)
{
    if (*hidden > 0) {
        (*hidden)--;
        return true;
    }
    if (*bottom + 1 >= model_row_count(m)) return false;
    (*bottom)++;
    *hidden = lines_of(p, s, model_row(m, *bottom)) - 1;
    return true;
}

static void line_up(const struct pane *p, const struct shape *s, const struct model *m, size_t *bottom, size_t *hidden)
{
    (*hidden)++;
    if (*hidden < lines_of(p, s, model_row(m, *bottom)) || *bottom == 0) return;
    (*bottom)--;
    *hidden = 0;
}

/* A third of the pane stays above the row that was looked for: what was said before it is wanted too. */
static void go_to_place(struct pane *p, const struct shape *s, const struct model *m)
{
    size_t at = model_row_find(m, &p->place), hidden = 0;
    p->has_place = false;
    if (at == SIZE_MAX) return;
    unsigned below = p->at.rows - p->at.rows / 3;
    hidden = lines_of(p, s, model_row(m, at)) - 1;
    for (unsigned i = 1; i < below && line_down(p, s, m, &at, &hidden); i++) continue;
    put_bottom(p, m, at, hidden);
}

static void find_in_sight(struct pane *p, const struct shape *s, const struct model *m)
{
    size_t lines = 0, at = p->bottom_at + 1;
    while (at > 0 && lines < p->at.rows + p->hidden) lines += lines_of(p, s, model_row(m, --at));
    p->first = at;
    p->count = p->bottom_at + 1 - at;
}

static void settle(struct pane *p, const struct model *m)
{
    p->first = p->count = 0;
    if (model_row_count(m) == 0 || p->at.rows == 0 || p->at.cols == 0) return;
    struct shape s = shape_of(p, m);
    if (p->has_place) go_to_place(p, &s, m);
    size_t bottom = bottom_index(p, m), lines = lines_of(p, &s, model_row(m, bottom));
    size_t hidden = p->is_end ? 0 : p->hidden < lines ? p->hidden : lines - 1;
    /* No empty lines at the top while there is something below. */
    size_t above = lines_above(p, &s, m, bottom, hidden, p->at.rows);
    while (above < p->at.rows && line_down(p, &s, m, &bottom, &hidden)) above++;
    put_bottom(p, m, bottom, hidden);
    find_in_sight(p, &s, m);
}

void pane_begin(struct pane *p, const struct model_place *place)
{
    *p = (struct pane){ .own = p->own, .at = p->at, .is_end = place->is_end, .has_place = !place->is_end, .place = place->row };
}

void pane_to_end(struct pane *p)
{
    p->is_end = true;
    p->has_place = false;
}

void pane_to_top(struct pane *p, const struct model *m)
{
    if (model_row_count(m) == 0) return;
    p->is_end = false;
    p->has_place = true;
    p->place = model_row(m, 0)->id;
}

/* Short messages on a high screen: the window has to be filled before it is shown. */
static int fill(struct pane *p, struct model *m)
{
    int err = 0;
    if (model_row_count(m) == 0 || p->at.rows == 0 || p->at.cols == 0) return 0;
    struct shape s = shape_of(p, m);
    size_t rows_before = SIZE_MAX;
    while (!err && model_has_older(m) && model_row_count(m) != rows_before &&
           lines_above(p, &s, m, bottom_index(p, m), 0, p->at.rows) < p->at.rows) {
        rows_before = model_row_count(m);
        err = model_older(m);
    }
    return err;
}

int pane_settle(struct pane *p, struct model *m, struct rect at)
{
    p->at = at;
    int err = p->is_end && model_has_newer(m) ? model_end(m) : 0;    /* more came at once than was in sight */
    if (!err) err = fill(p, m);
    settle(p, m);
    if (!err && p->count > 0 && p->first == 0 && model_has_older(m)) {
        err = model_older(m);    /* the window begins with the name of a day, which is wrong there unless the day begins */
        settle(p, m);
    }
    return err;
}

static int scroll_up(struct pane *p, struct model *m, const struct shape *s, size_t lines)
{
    int err = 0;
    while (lines > 0 && !err) {
        size_t bottom = p->bottom_at, hidden = p->hidden;
        size_t above = lines_above(p, s, m, bottom, hidden, p->at.rows + lines);
        size_t can = above > p->at.rows ? above - p->at.rows : 0;
        for (size_t i = 0; i < can && i < lines; i++) line_up(p, s, m, &bottom, &hidden);
        put_bottom(p, m, bottom, hidden);
        lines -= can < lines ? can : lines;
        if (lines == 0 || !model_has_older(m)) break;
        size_t before = model_row_count(m);
        struct row_id top = model_row(m, 0)->id;
        err = model_older(m);
        /* None came: what is there now may be deleted rows only, and the next key goes on. */
        if (model_row_count(m) == before && row_id_equal(&top, &model_row(m, 0)->id)) break;
        p->bottom_at = bottom_index(p, m);
    }
    return err;
}

static int scroll_down(struct pane *p, struct model *m, const struct shape *s, size_t lines)
{
    int err = 0;
    while (lines > 0 && !err) {
        size_t bottom = p->bottom_at, hidden = p->hidden;
        while (lines > 0 && line_down(p, s, m, &bottom, &hidden)) lines--;
        put_bottom(p, m, bottom, hidden);
        if (lines == 0 || !model_has_newer(m)) break;
        struct row_id last = model_row(m, model_row_count(m) - 1)->id;
        err = model_newer(m);
        if (row_id_equal(&last, &model_row(m, model_row_count(m) - 1)->id)) break;
        p->bottom_at = bottom_index(p, m);
    }
    return err;
}

int pane_scroll(struct pane *p, struct model *m, long lines)
{
    settle(p, m);
    if (p->count == 0) return 0;
    struct shape s = shape_of(p, m);
    p->is_end = false;
    int err = lines < 0 ? scroll_up(p, m, &s, (size_t)-lines) : scroll_down(p, m, &s, (size_t)lines);
    settle(p, m);
    return err;
}

/* ---- picking a message ---- */

static size_t next_message(const struct model *m, size_t from, int by)
{
    for (size_t at = from; at < model_row_count(m); at += (size_t)by)    /* below 0 is beyond the end too */
        if (model_row(m, at)->id.kind == ROW_MESSAGE) return at;
    return SIZE_MAX;
}

static bool is_in_sight(const struct pane *p, size_t at)
{
    return at >= p->first && at < p->first + p->count;
}

int pane_pick(struct pane *p, struct model *m, int by, bool *picked_out)
{
    int err = 0;
    settle(p, m);
    *picked_out = false;
    if (p->count == 0) return 0;
    size_t from = p->has_picked ? model_row_find(m, &p->picked) : SIZE_MAX;
    size_t at = from != SIZE_MAX ? next_message(m, from + (size_t)by, by) : next_message(m, p->bottom_at, -1);
    if (at == SIZE_MAX && from != SIZE_MAX) {    /* at an end of the window, or of the conversation */
        err = by < 0 ? model_older(m) : model_newer(m);
        from = model_row_find(m, &p->picked);
        at = from == SIZE_MAX ? SIZE_MAX : next_message(m, from + (size_t)by, by);
        if (at == SIZE_MAX) at = from;
    }
    if (at == SIZE_MAX) return err;
    p->has_picked = *picked_out = true;
    p->picked = model_row(m, at)->id;
    settle(p, m);
    if (is_in_sight(p, at)) return err;
    p->is_end = false;
    if (at < p->first) {
        p->place = p->picked;
        p->has_place = true;
    } else {
        put_bottom(p, m, at, 0);
    }
    settle(p, m);
    return err;
}

const struct model_row *pane_picked(const struct pane *p, const struct model *m)
{
    size_t at = p->has_picked ? model_row_find(m, &p->picked) : SIZE_MAX;
    return at == SIZE_MAX ? NULL : model_row(m, at);
}

void pane_pick_end(struct pane *p)
{
    p->has_picked = false;
}

/* ---- drawing ---- */

struct ink {                      /* where lines of a row go: those above the pane or below it are not drawn */
    struct terminal *t;
    struct rect at;
    long line;                    /* of the pane, from its top */
};

static void ink(const struct ink *to, unsigned col, enum style style, struct bytes text, unsigned cols)
{
    if (to->line >= 0) draw_text(to->t, to->at, (unsigned)to->line, col, cols, style, text);
}

static void ink_rows(struct ink *to, unsigned col, unsigned cols, enum style style, struct bytes text)
{
    struct text_row row = { 0 };
    while (text_row_next(text, cols, &row)) {
        ink(to, col, style, bytes_of(text.at + row.at, row.len), cols);
        to->line++;
    }
}

enum style ticks_style(enum ticks ticks)
{
    return ticks == TICKS_READ ? STYLE_READ : ticks == TICKS_REFUSED ? STYLE_WARNING : STYLE_DIM;
}

const char *ticks_text(enum ticks ticks)
{
    switch (ticks) {
    case TICKS_NONE:      return "";
    case TICKS_WAITING:   return "…";
    case TICKS_SENT:      return "✓";
    case TICKS_REFUSED:   return "!";
    case TICKS_DELIVERED:
    case TICKS_READ:      break;
    }
    return "✓✓";
}

static void draw_message(const struct shape *s, const struct model_row *row, bool is_picked, struct ink *to)
{
    char time[16];
    struct text_row last = { 0 };
    enum style name = is_picked ? STYLE_SELECTED : row->is_own ? STYLE_OWN : STYLE_PEER;
    enum style text = is_picked ? STYLE_SELECTED : row->is_clause ? STYLE_DIM : STYLE_PLAIN;
    format_clock(row->time_ms, time);
    ink(to, 0, is_picked ? STYLE_SELECTED : STYLE_DIM, bytes_of_str(time), TIME_COLUMNS);
    ink(to, TIME_COLUMNS + 1, name, bytes_of_str(row->from), s->is_wide ? s->name_cols : to->at.cols);
    if (!s->is_wide) to->line++;
    while (text_row_next(row_text(row), s->text_cols, &last)) {
        ink(to, s->text_col, text, bytes_of(row->text + last.at, last.len), s->text_cols);
        if (last.is_last && row->ticks != TICKS_NONE)
            ink(to, s->text_col + last.columns + 1, ticks_style(row->ticks), bytes_of_str(ticks_text(row->ticks)), 2);
        to->line++;
    }
    if (row->why[0]) ink_rows(to, s->text_col, s->text_cols, STYLE_WARNING, bytes_of_str(row->why));
}

/* "──── Today ────" */
static void draw_rule(const struct model_row *row, struct ink *to)
{
    enum style style = row->id.kind == ROW_NEW ? STYLE_UNREAD : row->id.kind == ROW_GAP ? STYLE_WARNING : STYLE_DIM;
    unsigned cols = at_most(text_columns(row_text(row)), to->at.cols);
    unsigned col = (to->at.cols - cols) / 2;
    for (unsigned i = 0; i < to->at.cols; i++)
        if (i + 1 < col || i > col + cols) ink(to, i, STYLE_DIM, bytes_of_str("─"), 1);
    ink(to, col, style, row_text(row), cols);
    to->line++;
}

void pane_draw(const struct pane *p, const struct model *m, struct terminal *t)
{
    draw_clear(t, p->at);
    if (p->count == 0) return;
    struct shape s = shape_of(p, m);
    size_t lines = 0;
    for (size_t i = p->first; i < p->first + p->count; i++) lines += lines_of(p, &s, model_row(m, i));
    struct ink to = { .t = t, .at = p->at, .line = (long)p->at.rows - (long)(lines - p->hidden) };
    for (size_t i = p->first; i < p->first + p->count; i++) {
        const struct model_row *row = model_row(m, i);
        if (row->id.kind == ROW_MESSAGE)
            draw_message(&s, row, p->has_picked && row_id_equal(&row->id, &p->picked), &to);
        else if (is_note(row))
            ink_rows(&to, 0, p->at.cols, STYLE_DIM, row_text(row));
        else
            draw_rule(row, &to);
    }
}
