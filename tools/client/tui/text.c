/* text.c - clusters and rows (see text.h).
 *
 * Terminals agree on the width of a single character if it is old enough, and on little else. xterm and tmux add up the
 * widths of code points; vte and kitty join some of them to one picture, each by a list of its own; a font may have no
 * picture for the whole. One column counted wrong shifts the rest of the row, or scrolls the screen. So nothing is
 * written that a terminal could join, and what is written has the width that wcwidth() gives it, code point by code
 * point; ncursesw counts by the same function:
 *
 *  - a joiner (ZWJ) is left out: a family shows as its members, each a cluster; with it xterm has 8 columns, kitty 2.
 *  - variation selectors are left out: U+2764 is 1 column, with U+FE0F 2 in kitty and newer vte, 1 in xterm and tmux.
 *  - a skin tone behind something is left out: it is 2 columns more, or none.
 *  - regional indicators are shown as letters: a flag as DE. Pairs are 2 columns or 4, single ones 1 or 2.
 *  - all else that Unicode says to ignore where it cannot be shown (soft hyphens, marks of direction, tags, fillers) is
 *    left out. So are joiners between letters: scripts that join look as if written without.
 *  - characters that wcwidth() does not know, unassigned or younger than the C library, are shown as U+FFFD: the
 *    terminal's guess would be as good as ours, but another one.
 *  - marks stay on their letter, TEXT_MARKS_MAX of them, composed where that is possible: not every terminal puts
 *    conjoining Hangul together. A mark without a letter gets a blank, else it would land on what stands to the left.
 *
 * What is left: East Asian "ambiguous" characters are 1 column, and shift the row in a terminal that was told to
 * make them 2; kitty has no column for the spacing vowel signs of Indic scripts, which others give 1. */
#include "tools/client/tui/text.h"

#include <assert.h>
#include <string.h>
#include <utf8proc.h>
#include <wchar.h>

#include "tools/common/utf8.h"

enum {
    COLUMNS_MAX = 2,              /* of a cluster: what is wider is taken apart */
    CODES_MAX = TEXT_SHOWN_MAX / UTF8_BYTES_MAX,
    TONE_FIRST = 0x1f3fb, TONE_LAST = 0x1f3ff,
    REGION_FIRST = 0x1f1e6, REGION_LAST = 0x1f1ff,
};
#define ELLIPSIS "\xe2\x80\xa6"

/* The form of a cluster while it grows. */
struct form {
    uint32_t codes[CODES_MAX];
    size_t count;
    unsigned columns;
    unsigned marks;               /* on the last character that has a width */
};

static bool is_invisible(uint32_t c)
{
    const utf8proc_property_t *p = utf8proc_get_property((utf8proc_int32_t)c);
    return !utf8_is_unsafe(c) && (p->ignorable || (p->category == UTF8PROC_CATEGORY_CF && wcwidth((wchar_t)c) == 0));
}

static bool is_blank(uint32_t c)
{
    const utf8proc_property_t *p = utf8proc_get_property((utf8proc_int32_t)c);
    return c == '\t' || (p->category == UTF8PROC_CATEGORY_ZS && p->decomp_type != UTF8PROC_DECOMP_TYPE_NOBREAK);
}

/* What stands for one code point in a form; `is_first`: of its cluster. 0: nothing. */
static uint32_t shown_for(uint32_t c, bool is_first)
{
    if (c == '\n' || c == '\t') return ' ';
    if (c >= REGION_FIRST && c <= REGION_LAST) return 'A' + (c - REGION_FIRST);
    if (c >= TONE_FIRST && c <= TONE_LAST && !is_first) return 0;
    if (utf8_is_unsafe(c) || wcwidth((wchar_t)c) < 0) return UTF8_BAD;
    return c;
}

static unsigned columns_of(uint32_t shown)
{
    return shown < 0x80 || shown == UTF8_BAD ? 1 : (unsigned)wcwidth((wchar_t)shown);
}

static void form_add(struct form *f, uint32_t shown)
{
    unsigned columns = columns_of(shown);
    if (columns == 0 && f->count == 0) form_add(f, ' ');
    if (columns == 0 && f->marks == TEXT_MARKS_MAX) return;
    f->marks = columns == 0 ? f->marks + 1 : 0;
    f->columns += columns;
    assert(f->count < CODES_MAX);
    f->codes[f->count++] = shown;
}

/* Where two parts have a character for both, that one is written; it may be narrower than the two. */
static void form_compose(struct form *f)
{
    utf8proc_int32_t codes[CODES_MAX];
    unsigned columns = 0;
    if (f->count < 2) return;
    for (size_t i = 0; i < f->count; i++) codes[i] = (utf8proc_int32_t)f->codes[i];
    utf8proc_ssize_t count = utf8proc_normalize_utf32(codes, (utf8proc_ssize_t)f->count,
                                                      UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    if (count <= 0) return;
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        if (codes[i] != UTF8_BAD && wcwidth((wchar_t)codes[i]) < 0) return;
        columns += columns_of((uint32_t)codes[i]);
    }
    f->count = (size_t)count;
    f->columns = columns;
    for (size_t i = 0; i < f->count; i++) f->codes[i] = (uint32_t)codes[i];
}

/* A letter of ASCII before another one, or at the end: most of what is ever drawn, and nothing to find out about. */
static bool is_plain(struct bytes text, size_t at)
{
    uint8_t c = text.at[at];
    return c >= 0x20 && c < 0x7f && (at + 1 == text.len || text.at[at + 1] < 0x80);
}

struct text_cluster text_cluster_at(struct bytes text, size_t at)
{
    struct text_cluster cluster = { 0 };
    struct form form = { .count = 0 };
    utf8proc_int32_t state = 0;
    uint32_t before = 0;
    size_t i = at, len;
    bool is_first = true;
    assert(at < text.len);
    if (is_plain(text, at)) {
        return (struct text_cluster){ .len = 1, .columns = 1, .is_blank = text.at[at] == ' ', .shown_len = 1,
                                      .shown = { (char)text.at[at] } };
    }
    for (; i < text.len && !cluster.is_end; i += len) {
        uint32_t c = utf8_at(text, i, &len);
        if (is_invisible(c)) continue;    /* as if it were not there: what is on both sides of it may belong together */
        if (c == '\n' && i > at) break;
        uint32_t shown = shown_for(c, is_first);
        unsigned more = shown ? columns_of(shown) : 0;
        if (!is_first && (utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)c, &state) ||
                          form.columns + more > COLUMNS_MAX)) break;
        if (is_first) {
            cluster.is_end = c == '\n';
            cluster.is_blank = is_blank(c);
            cluster.is_wide = more == 2;
        }
        if (shown) form_add(&form, shown);
        if (c == '\t') form_add(&form, ' ');
        before = c;
        is_first = false;
    }
    form_compose(&form);
    cluster.len = i - at;
    cluster.columns = form.columns;
    for (size_t k = 0; k < form.count; k++) {
        cluster.shown_len += (uint8_t)utf8_put(form.codes[k], cluster.shown + cluster.shown_len);
    }
    return cluster;
}

/* The last boundary before `at` that is known without looking at clusters: the beginning of a line. */
static size_t line_start(struct bytes text, size_t at)
{
    while (at > 0 && text.at[at - 1] != '\n') at--;
    return at;
}

size_t text_floor(struct bytes text, size_t at)
{
    size_t i = at == text.len ? at : line_start(text, at);
    while (i < at) {
        size_t len = text_cluster_at(text, i).len;
        if (i + len > at) break;
        i += len;
    }
    return i;
}

size_t text_ceil(struct bytes text, size_t at)
{
    size_t floor = text_floor(text, at);
    return floor == at ? at : floor + text_cluster_at(text, floor).len;
}

size_t text_before(struct bytes text, size_t at)
{
    assert(at > 0);
    return text_floor(text, at - 1);
}

/* ---- in one row ---- */

unsigned text_columns(struct bytes text)
{
    unsigned columns = 0;
    struct text_cluster c;
    for (size_t i = 0; i < text.len; i += c.len) {
        c = text_cluster_at(text, i);
        columns += c.columns;
    }
    return columns;
}

size_t text_fit(struct bytes text, unsigned cols, unsigned *columns_out)
{
    size_t i = 0;
    *columns_out = 0;
    while (i < text.len) {
        struct text_cluster c = text_cluster_at(text, i);
        if (c.columns > cols - *columns_out) break;
        *columns_out += c.columns;
        i += c.len;
    }
    return i;
}

void text_put(struct buf *to, struct bytes text)
{
    struct text_cluster c;
    for (size_t i = 0; i < text.len; i += c.len) {
        c = text_cluster_at(text, i);
        buf_put(to, c.shown, c.shown_len);
    }
}

unsigned text_put_cut(struct buf *to, struct bytes text, unsigned cols)
{
    unsigned columns;
    size_t fits = text_fit(text, cols, &columns);
    if (fits == text.len || cols == 0) {
        text_put(to, bytes_of(text.at, fits));
        return columns;
    }
    fits = text_fit(text, cols - 1, &columns);
    text_put(to, bytes_of(text.at, fits));
    buf_put(to, ELLIPSIS, sizeof ELLIPSIS - 1);
    return columns + 1;
}

/* ---- in many rows ---- */

static void row_end(struct text_row *row, size_t end, unsigned columns, size_t next)
{
    row->len = end - row->at;
    row->columns = columns;
    row->next = next;
}

/* The row is full at `i`, and a blank is there: the next row begins behind it and all blanks that follow, or behind the
 * line end. */
static void row_hang(struct bytes text, struct text_row *row, size_t i, unsigned columns)
{
    struct text_cluster c;
    size_t end = i;
    for (; i < text.len; i += c.len) {
        c = text_cluster_at(text, i);
        if (!c.is_blank) break;
    }
    row->is_last = i == text.len;
    if (i < text.len && c.is_end) i += c.len;
    row_end(row, end, columns, i);
}

bool text_row_next(struct bytes text, unsigned cols, struct text_row *row)
{
    unsigned columns = 0;
    size_t i = row->next;
    struct text_row broken = { 0 };    /* the row, if it ends at the last place where it may; next 0: there was none */
    if (row->is_last) return false;
    assert(cols > 0);
    *row = (struct text_row){ .at = i };
    broken.at = i;
    while (i < text.len) {
        struct text_cluster c = text_cluster_at(text, i);
        if (c.is_end) {
            row_end(row, i, columns, i + c.len);
            return true;
        }
        if (c.is_wide && i > row->at) row_end(&broken, i, columns, i);
        if (columns + c.columns > cols && i > row->at) {
            if (c.is_blank) row_hang(text, row, i, columns);
            else if (broken.next > 0) *row = broken;
            else row_end(row, i, columns, i);
            return true;
        }
        columns += c.columns;
        i += c.len;
        if (c.is_wide || c.is_blank) row_end(&broken, i, columns, i);
    }
    row_end(row, i, columns, i);
    row->is_last = true;
    return true;
}

size_t text_rows(struct bytes text, unsigned cols)
{
    struct text_row row = { 0 };
    size_t rows = 0;
    while (text_row_next(text, cols, &row)) rows++;
    return rows;
}

struct text_place text_place_at(struct bytes text, unsigned cols, size_t at)
{
    struct text_row row = { 0 };
    struct text_place place = { 0, 0 };
    assert(at <= text.len);
    while (text_row_next(text, cols, &row) && !row.is_last && row.next <= at) place.row++;
    size_t shown = at - row.at < row.len ? at - row.at : row.len;
    place.column = text_columns(bytes_of(text.at + row.at, shown));
    if (place.column > cols) place.column = cols;    /* a cluster of 2 columns where there is only one */
    return place;
}

size_t text_offset_of(struct bytes text, unsigned cols, struct text_place place)
{
    struct text_row row = { 0 };
    unsigned columns;
    for (size_t i = 0; text_row_next(text, cols, &row); i++) {
        if (i < place.row) continue;
        size_t at = row.at + text_fit(bytes_of(text.at + row.at, row.len), place.column, &columns);
        /* Behind its last cluster a row that goes on without a blank is already the next one. */
        return at == row.next && !row.is_last ? text_before(text, at) : at;
    }
    return text.len;
}
