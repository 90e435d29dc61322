/* editor.c - which key does what, and to which part of the text (see editor.h). The text itself changes in
 * editor_change.c alone. */
#include "tools/client/tui/editor.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "proto/err.h"
#include "tools/client/tui/editor_impl.h"
#include "tools/client/tui/text.h"
#include "tools/common/utf8.h"

/* ---- making ---- */

struct editor *editor_new(void)
{
    struct editor *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    if (shelf_init(&e->undone, EDITOR_UNDOS_MAX, EDITOR_UNDO_BYTES_MAX) == 0 &&
        shelf_init(&e->kills, EDITOR_KILLS_MAX, (size_t)EDITOR_KILLS_MAX * TEXT_BYTES_MAX) == 0 &&
        shelf_init(&e->sent, EDITOR_SENT_MAX, EDITOR_SENT_BYTES_MAX) == 0) return e;
    editor_free(e);
    return NULL;
}

void editor_free(struct editor *e)
{
    if (!e) return;
    shelf_fini(&e->undone);
    shelf_fini(&e->kills);
    shelf_fini(&e->sent);
    free(e);
}

/* ---- places ---- */

static size_t ahead(const struct editor *e, size_t at)
{
    return at < e->len ? at + text_cluster_at(editor_text(e), at).len : at;
}

static size_t back(const struct editor *e, size_t at)
{
    return at > 0 ? text_before(editor_text(e), at) : at;
}

static size_t line_begin(const struct editor *e)
{
    size_t at = e->cursor;
    while (at > 0 && e->text[at - 1] != '\n') at--;
    return at;
}

static size_t line_end(const struct editor *e)
{
    size_t at = e->cursor;
    while (at < e->len && e->text[at] != '\n') at++;
    return at;
}

/* A letter or a digit, in any script. */
static bool is_word(const struct editor *e, size_t at)
{
    size_t len;
    utf8proc_category_t is = utf8proc_category((utf8proc_int32_t)utf8_at(editor_text(e), at, &len));
    return is >= UTF8PROC_CATEGORY_LU && is <= UTF8PROC_CATEGORY_NO;    /* letters, marks and numbers are in one row */
}

static bool is_unbroken(const struct editor *e, size_t at)
{
    struct text_cluster c = text_cluster_at(editor_text(e), at);
    return !c.is_blank && !c.is_end;
}

static size_t word_begin_ahead(const struct editor *e)
{
    size_t at = e->cursor;
    while (at < e->len && !is_word(e, at)) at = ahead(e, at);
    return at;
}

static size_t word_end(const struct editor *e)
{
    size_t at = word_begin_ahead(e);
    while (at < e->len && is_word(e, at)) at = ahead(e, at);
    return at;
}

/* Where the last stretch of clusters that `belongs` begins before the cursor; else 0. */
static size_t stretch_begin(const struct editor *e, bool (*belongs)(const struct editor *e, size_t at))
{
    size_t begin = 0;
    bool is_within = false;
    for (size_t at = 0; at < e->cursor; at = ahead(e, at)) {
        bool is_part = belongs(e, at);
        if (is_part && !is_within) begin = at;
        is_within = is_part;
    }
    return begin;
}

static size_t word_begin(const struct editor *e)
{
    return stretch_begin(e, is_word);
}

static size_t unbroken_begin(const struct editor *e)
{
    return stretch_begin(e, is_unbroken);
}

/* ---- what keys do ---- */

static enum editor_result go(struct editor *e, size_t to)
{
    e->cursor = to;
    return EDITOR_TAKEN;
}

/* Up and down keep the column in which they began, also through rows that are shorter. */
static enum editor_result go_row(struct editor *e, bool is_up)
{
    const unsigned cols = e->cols > 0 ? e->cols : UINT_MAX;
    struct text_place place = text_place_at(editor_text(e), cols, e->cursor);
    if (is_up && place.row == 0) return editor_older(e);
    if (!is_up && place.row + 1 == text_rows(editor_text(e), cols)) return editor_newer(e);
    if (e->last != RUN_ROWS) e->goal = place.column;
    e->now = RUN_ROWS;
    place.row = is_up ? place.row - 1 : place.row + 1;
    place.column = e->goal;
    return go(e, text_offset_of(editor_text(e), cols, place));
}

static enum editor_result type(struct editor *e, uint32_t c)
{
    char bytes[UTF8_BYTES_MAX];
    return editor_change(e, e->cursor, 0, bytes_of(bytes, utf8_put(c, bytes)), RUN_TYPED);
}

static enum editor_result erase_back(struct editor *e)
{
    size_t from = back(e, e->cursor);
    return editor_change(e, from, e->cursor - from, BYTES_NONE, RUN_ERASED_BACK);
}

static enum editor_result erase_ahead(struct editor *e)
{
    return editor_change(e, e->cursor, ahead(e, e->cursor) - e->cursor, BYTES_NONE, RUN_ERASED_AHEAD);
}

/* To the end of the line; from there, its end itself. */
static enum editor_result kill_line_ahead(struct editor *e)
{
    size_t to = line_end(e);
    return editor_kill(e, e->cursor, to > e->cursor ? to : ahead(e, to), true);
}

static enum editor_result kill_line_back(struct editor *e)
{
    size_t from = line_begin(e);
    return editor_kill(e, from < e->cursor ? from : back(e, from), e->cursor, false);
}

/* The cluster before the cursor goes behind the one at it; at the end of a line, behind the one before it. */
static enum editor_result swap(struct editor *e)
{
    uint8_t swapped[TEXT_BYTES_MAX];
    const size_t begin = line_begin(e);
    size_t middle = e->cursor;
    if (middle == line_end(e)) middle = middle > begin ? back(e, middle) : begin;
    if (middle == begin) return EDITOR_TAKEN;
    const size_t from = back(e, middle), to = ahead(e, middle);
    memcpy(swapped, e->text + middle, to - middle);
    memcpy(swapped + (to - middle), e->text + from, middle - from);
    return editor_change(e, from, to - from, bytes_of(swapped, to - from), RUN_NONE);
}

enum word_case { UPPER, LOWER, CAPITAL };

static uint32_t in_case(uint32_t c, enum word_case how, bool is_first)
{
    utf8proc_int32_t from = (utf8proc_int32_t)c;
    if (how == CAPITAL && is_first) return (uint32_t)utf8proc_totitle(from);
    return (uint32_t)(how == UPPER ? utf8proc_toupper(from) : utf8proc_tolower(from));
}

static enum editor_result change_case(struct editor *e, enum word_case how)
{
    uint8_t word[2 * TEXT_BYTES_MAX];    /* no code point becomes more than half as long again */
    const size_t from = word_begin_ahead(e), to = word_end(e);
    size_t len = 0, n;
    for (size_t i = from; i < to; i += n) {
        uint32_t c = in_case(utf8_at(editor_text(e), i, &n), how, i == from);
        assert(len + UTF8_BYTES_MAX <= sizeof word);
        len += utf8_put(c, (char *)word + len);
    }
    if (bytes_equal(bytes_of(word, len), bytes_of(e->text + from, to - from))) return go(e, to);
    return editor_change(e, from, to - from, bytes_of(word, len), RUN_NONE);
}

static enum editor_result on_ctrl(struct editor *e, uint32_t c)
{
    switch (c) {
    case 'a': return go(e, line_begin(e));
    case 'b': return go(e, back(e, e->cursor));
    case 'd': return e->len == 0 ? EDITOR_UNKNOWN : erase_ahead(e);
    case 'e': return go(e, line_end(e));
    case 'f': return go(e, ahead(e, e->cursor));
    case 'h': return erase_back(e);
    case 'j': return type(e, '\n');
    case 'k': return kill_line_ahead(e);
    case 'n': return go_row(e, false);
    case 'p': return go_row(e, true);
    case 't': return swap(e);
    case 'u': return kill_line_back(e);
    case 'w': return editor_kill(e, unbroken_begin(e), e->cursor, false);
    case 'y': return editor_yank(e);
    case '_': return editor_undo(e);
    default: return EDITOR_UNKNOWN;
    }
}

static enum editor_result on_alt(struct editor *e, uint32_t c)
{
    switch (c) {
    case 'b': return go(e, word_begin(e));
    case 'c': return change_case(e, CAPITAL);
    case 'd': return editor_kill(e, e->cursor, word_end(e), true);
    case 'f': return go(e, word_end(e));
    case 'l': return change_case(e, LOWER);
    case 'u': return change_case(e, UPPER);
    case 'y': return editor_yank_older(e);
    default: return EDITOR_UNKNOWN;
    }
}

static enum editor_result on_char(struct editor *e, const struct key *key)
{
    switch (key->mods & (KEYS_CTRL | KEYS_ALT)) {
    case 0: return type(e, key->c);
    case KEYS_CTRL: return on_ctrl(e, key->c);
    case KEYS_ALT: return on_alt(e, key->c);
    default: return EDITOR_UNKNOWN;
    }
}

static enum editor_result on_enter(struct editor *e, const struct key *key)
{
    if (key->mods & (KEYS_ALT | KEYS_SHIFT)) return type(e, '\n');
    return e->len == 0 ? EDITOR_UNKNOWN : EDITOR_SEND;
}

static enum editor_result on_paste(struct editor *e, struct bytes piece)
{
    size_t room = e->paste_len < sizeof e->paste ? sizeof e->paste - e->paste_len : 0;
    size_t fits = piece.len < room ? piece.len : room;
    if (fits > 0) memcpy(e->paste + e->paste_len, piece.at, fits);
    e->paste_len += piece.len;
    return EDITOR_TAKEN;
}

static enum editor_result on_paste_end(struct editor *e)
{
    struct bytes text = bytes_of(e->paste, e->paste_len);    /* if it is longer than `paste`, it is refused */
    e->paste_len = 0;
    return editor_change(e, e->cursor, 0, text, RUN_NONE);
}

static enum editor_result on_key(struct editor *e, const struct key *key)
{
    const bool is_by_word = key->mods & (KEYS_CTRL | KEYS_ALT);
    switch (key->kind) {
    case KEYS_CHAR: return on_char(e, key);
    case KEYS_ENTER: return on_enter(e, key);
    case KEYS_BACKSPACE: return is_by_word ? editor_kill(e, word_begin(e), e->cursor, false) : erase_back(e);
    case KEYS_DELETE: return is_by_word ? editor_kill(e, e->cursor, word_end(e), true) : erase_ahead(e);
    case KEYS_LEFT: return go(e, is_by_word ? word_begin(e) : back(e, e->cursor));
    case KEYS_RIGHT: return go(e, is_by_word ? word_end(e) : ahead(e, e->cursor));
    case KEYS_HOME: return is_by_word ? EDITOR_UNKNOWN : go(e, line_begin(e));
    case KEYS_END: return is_by_word ? EDITOR_UNKNOWN : go(e, line_end(e));
    case KEYS_UP: return is_by_word ? EDITOR_UNKNOWN : go_row(e, true);
    case KEYS_DOWN: return is_by_word ? EDITOR_UNKNOWN : go_row(e, false);
    case KEYS_PASTE_BEGIN: e->paste_len = 0; return EDITOR_TAKEN;
    case KEYS_PASTE: return on_paste(e, key->text);
    case KEYS_PASTE_END: return on_paste_end(e);
    default: return EDITOR_UNKNOWN;
    }
}

/* ---- public ---- */

void editor_set_columns(struct editor *e, unsigned cols)
{
    e->cols = cols;
}

enum editor_result editor_key(struct editor *e, const struct key *key)
{
    e->excess = 0;
    e->now = RUN_NONE;
    enum editor_result result = on_key(e, key);
    if (result != EDITOR_UNKNOWN) e->last = e->now;    /* a key of somebody else, as focus, is not part of any run */
    assert(e->len <= TEXT_BYTES_MAX && e->cursor <= e->len);
    return result;
}

size_t editor_excess(const struct editor *e)
{
    return e->excess;
}

struct bytes editor_text(const struct editor *e)
{
    return bytes_of(e->text, e->len);
}

size_t editor_cursor(const struct editor *e)
{
    return e->cursor;
}

static void begin_text(struct editor *e, struct bytes text)
{
    if (text.len > 0) memmove(e->text, text.at, text.len);
    e->len = e->cursor = text.len;
    e->last = RUN_NONE;
    e->sent_at = e->sent.count;
    shelf_clear(&e->undone);
}

int editor_set_text(struct editor *e, struct bytes text)
{
    if (text.len > TEXT_BYTES_MAX) return ERR_TOO_BIG;
    if (!bytes_is_utf8(text)) return ERR_MALFORMED;
    begin_text(e, text);
    return 0;
}

void editor_sent(struct editor *e)
{
    const bool is_again = e->sent.count > 0 && bytes_equal(shelf_at(&e->sent, e->sent.count - 1), editor_text(e));
    if (!is_again && e->len > 0) shelf_push(&e->sent, editor_text(e));
    begin_text(e, BYTES_NONE);
}
