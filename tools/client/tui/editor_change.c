/* editor_change.c - every change of the text goes through here, so each can be undone (see editor_impl.h).
 *
 * A change is told by what it took away and how much it put there instead; undoing goes backwards, and so finds the
 * text as that change left it. What was typed or erased in one go is one change. */
#include "tools/client/tui/editor_impl.h"

#include <assert.h>
#include <string.h>

#include "tools/client/tui/text.h"
#include "tools/common/utf8.h"

static void replace(struct editor *e, size_t at, size_t len, struct bytes with)
{
    assert(at + len <= e->len && e->len - len + with.len <= TEXT_BYTES_MAX);
    memmove(e->text + at + with.len, e->text + at + len, e->len - at - len);
    if (with.len > 0) memcpy(e->text + at, with.at, with.len);
    e->len = e->len - len + with.len;
}

/* ---- undo ---- */

static void undos_dropped(struct editor *e, size_t dropped)
{
    if (dropped > 0) memmove(e->undos, e->undos + dropped, e->undone.count * sizeof e->undos[0]);
}

/* Can this change be undone together with the one before? */
static bool joins(const struct editor *e, const struct undo *before, size_t at, size_t len, enum run run, bool is_blank)
{
    if (run != e->last || run != before->run) return false;
    switch (run) {
    case RUN_TYPED: return len == 0 && at == before->at + before->inserted && (is_blank || !before->is_blank);
    case RUN_ERASED_BACK: return at + len == before->at;
    case RUN_ERASED_AHEAD: return at == before->at;
    default: return false;
    }
}

static void remember(struct editor *e, size_t at, size_t len, struct bytes with, enum run run)
{
    const struct bytes gone = bytes_of(e->text + at, len);
    struct undo *before = e->undone.count > 0 ? &e->undos[e->undone.count - 1] : NULL;
    bool is_blank = with.len == 1 && (with.at[0] == ' ' || with.at[0] == '\n');
    if (before && joins(e, before, at, len, run, is_blank)) {
        before->inserted += with.len;
        before->is_blank = is_blank;
        if (run == RUN_ERASED_BACK) before->at = at;
        undos_dropped(e, shelf_extend(&e->undone, gone, run == RUN_ERASED_BACK));
        return;
    }
    size_t dropped = shelf_push(&e->undone, gone);
    if (dropped > 0) memmove(e->undos, e->undos + dropped, (e->undone.count - 1) * sizeof e->undos[0]);
    e->undos[e->undone.count - 1] = (struct undo){ at, with.len, e->cursor, run, is_blank };
}

enum editor_result editor_undo(struct editor *e)
{
    if (e->undone.count == 0) return EDITOR_TAKEN;
    const struct undo *u = &e->undos[e->undone.count - 1];
    replace(e, u->at, u->inserted, shelf_at(&e->undone, e->undone.count - 1));
    e->cursor = u->cursor;
    e->sent_at = e->sent.count;
    shelf_pop(&e->undone);
    return EDITOR_CHANGED;
}

/* ---- change ---- */

enum editor_result editor_change(struct editor *e, size_t at, size_t len, struct bytes with, enum run run)
{
    size_t room = TEXT_BYTES_MAX - (e->len - len);
    if (with.len > room) {
        e->excess = with.len - room;
        return EDITOR_FULL;
    }
    if (len == 0 && with.len == 0) return EDITOR_TAKEN;
    remember(e, at, len, with, run);
    replace(e, at, len, with);
    /* What stands behind may have joined the last cluster that was put, or what was put the cluster before it. */
    e->cursor = text_ceil(editor_text(e), at + with.len);
    e->now = run;
    e->sent_at = e->sent.count;    /* what was sent and is changed now is being typed */
    return EDITOR_CHANGED;
}

/* ---- kill and yank ---- */

enum editor_result editor_kill(struct editor *e, size_t from, size_t to, bool is_ahead)
{
    if (from == to) return EDITOR_TAKEN;
    const struct bytes gone = bytes_of(e->text + from, to - from);
    if (e->last == RUN_KILLED) shelf_extend(&e->kills, gone, !is_ahead);
    else shelf_push(&e->kills, gone);
    return editor_change(e, from, to - from, BYTES_NONE, RUN_KILLED);
}

static enum editor_result yank(struct editor *e, size_t at, size_t len, size_t index)
{
    const struct bytes killed = shelf_at(&e->kills, index);
    enum editor_result result = editor_change(e, at, len, killed, RUN_YANKED);
    e->now = RUN_YANKED;    /* also when it was too long: there may be a shorter one */
    e->yank_at = at;
    e->yank_len = result == EDITOR_FULL ? len : killed.len;
    e->yank_index = index;
    return result;
}

enum editor_result editor_yank(struct editor *e)
{
    return e->kills.count == 0 ? EDITOR_TAKEN : yank(e, e->cursor, 0, e->kills.count - 1);
}

enum editor_result editor_yank_older(struct editor *e)
{
    if (e->last != RUN_YANKED) return EDITOR_TAKEN;
    size_t index = e->yank_index > 0 ? e->yank_index - 1 : e->kills.count - 1;
    return yank(e, e->yank_at, e->yank_len, index);
}

/* ---- what was sent ---- */

static enum editor_result show(struct editor *e, size_t index)
{
    const bool is_typed = index == e->sent.count;
    const struct bytes text = is_typed ? bytes_of(e->typed, e->typed_len) : shelf_at(&e->sent, index);
    enum editor_result result = editor_change(e, 0, e->len, text, RUN_NONE);
    assert(result != EDITOR_FULL);    /* it was a text before */
    e->sent_at = index;
    return EDITOR_CHANGED;
}

enum editor_result editor_older(struct editor *e)
{
    if (e->sent_at == 0) return EDITOR_UNKNOWN;
    if (e->sent_at == e->sent.count) {
        memcpy(e->typed, e->text, e->len);
        e->typed_len = e->len;
    }
    return show(e, e->sent_at - 1);
}

enum editor_result editor_newer(struct editor *e)
{
    return e->sent_at == e->sent.count ? EDITOR_UNKNOWN : show(e, e->sent_at + 1);
}
