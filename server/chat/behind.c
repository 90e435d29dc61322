/* behind.c - see behind.h for the rules; here is how they are held.
 *
 * What is true between calls:
 *  - A conversation in the set is dirty, or the one whose fetch is under way or whose page is in hand ("busy"); else it
 *    would have left.
 *  - A pushed conversation has had every message written that came live or that a page or the scan spoke of. So what
 *    the window holds of a conversation has no gap below it.
 *  - The order of the set's array is the round: a conversation that is fetched goes to its end.
 *  - The scan has an answer outstanding exactly in SCAN_READING. Its place is the last conversation passed; type 0 is
 *    the place before the first.
 * Every event changes this state first, then go_on() does whatever has become possible: write the page in hand, fetch
 * the next, read the next slice, say SYNCED. Ops never call back, so one pass is enough. */
#include "server/chat/behind.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server/chat/window.h"

_Static_assert(WINDOW_BYTES_MAX / 2 >= FRAME_BYTES_MAX, "half a window takes any frame, so a page fetched then moves");
_Static_assert(SCAN_ROOM_MIN <= BEHIND_SET_MAX, "the empty set has room for a slice");

enum { SET_ROOM_FIRST = 4 };                             /* first allocation, in entries */

enum { NEWS_MESSAGES = 1, NEWS_CURSORS = 2 };            /* the dirty bits */

/* What waits for behind_step(). */
enum { WAITS_FETCH = 1, WAITS_SCAN = 2, WAITS_PAGE = 4 };

enum scan_state {
    SCAN_IDLE,                    /* before behind_start() */
    SCAN_WANTED,                  /* the next slice is asked for when the set has room */
    SCAN_READING,                 /* it has been */
    SCAN_ENDED,
};

struct entry {                    /* a conversation in the set */
    struct conv_id conv;
    uint64_t after;               /* all up to here has been written to this session; 0: the cursor knows */
    uint8_t type;
    uint8_t dirty;
    uint8_t asked;                /* busy: the bits its fetch cleared */
    bool busy;
};
_Static_assert(sizeof(struct entry) == 32, "behind.h tells what an entry costs");

struct behind {
    const struct behind_ops *ops;
    void *arg;
    struct entry *set;            /* NULL: empty */
    struct page *page;            /* in hand; its conversation is the busy one */
    struct window window;
    struct conv_id passed;        /* with passed_type: the place of the scan */
    struct behind_limits limits;
    uint16_t set_count, set_room;
    uint8_t passed_type;
    uint8_t scan;                 /* enum scan_state */
    bool stale;                   /* the slice being read is not to be used */
    bool fetching;                /* a fetch has no answer yet */
    bool synced;
    uint8_t waits;
};
_Static_assert(sizeof(struct behind) < 200, "behind.h promises it");

/* -- pages ------------------------------------------------------------------------------------------------- */

struct page *page_new(const struct conv_id *conv, uint32_t count_max)
{
    struct page *page = calloc(1, sizeof *page + count_max * sizeof page->items[0]);
    if (page) page->conv = *conv;
    return page;
}

void page_free(struct page *page)
{
    if (!page) return;
    for (; page->next < page->count; page->next++) frame_unref(page->items[page->next].frame);
    free(page);
}

/* -- the set ------------------------------------------------------------------------------------------------- */

static struct entry *set_find(struct behind *b, const struct conv_id *conv)
{
    for (uint16_t i = 0; i < b->set_count; i++) {
        if (conv_id_equal(&b->set[i].conv, conv)) return &b->set[i];
    }
    return NULL;
}

static bool set_grow(struct behind *b)
{
    uint32_t room = b->set_room ? 2u * b->set_room : SET_ROOM_FIRST;
    if (room > b->limits.set_max) room = b->limits.set_max;
    struct entry *set = realloc(b->set, room * sizeof *set);
    if (!set) return false;
    b->set = set;
    b->set_room = (uint16_t)room;
    return true;
}

/* Make the conversation dirty; false: it is not in the set and there is no room. */
static bool set_enter(struct behind *b, const struct conv_id *conv, uint8_t type, uint8_t news)
{
    struct entry *e = set_find(b, conv);
    if (!e) {
        if (b->set_count == b->limits.set_max) return false;
        if (b->set_count == b->set_room && !set_grow(b)) return false;
        e = &b->set[b->set_count++];
        *e = (struct entry){ .conv = *conv, .type = type, .after = window_last(&b->window, conv) };
    }
    e->dirty |= news;
    return true;
}

static void set_take_out(struct behind *b, struct entry *e)
{
    struct entry *end = b->set + b->set_count;
    memmove(e, e + 1, (size_t)(end - (e + 1)) * sizeof *e);
    if (--b->set_count > 0) return;
    free(b->set);
    b->set = NULL;
    b->set_room = 0;
}

/* -- the scan ------------------------------------------------------------------------------------------------ */

static bool scan_has_passed(const struct behind *b, const struct conv_id *conv, uint8_t type)
{
    if (b->scan == SCAN_ENDED) return true;
    if (type != b->passed_type) return type < b->passed_type;
    return memcmp(conv->v, b->passed.v, sizeof conv->v) <= 0;
}

/* To the beginning: everything outside the set is "not passed" again. */
static void scan_back(struct behind *b)
{
    b->passed_type = 0;
    memset(&b->passed, 0, sizeof b->passed);
    if (b->scan == SCAN_READING) b->stale = true;
    else b->scan = SCAN_WANTED;
}

static void scan_next(struct behind *b)
{
    if (b->scan != SCAN_WANTED || b->waits & WAITS_SCAN) return;
    if (b->limits.set_max - b->set_count < b->limits.scan_room_min) return;
    if (b->ops->scan(b->arg, b->passed_type, &b->passed)) b->scan = SCAN_READING;
    else b->waits |= WAITS_SCAN;
}

/* -- writing ------------------------------------------------------------------------------------------------- */

/* The page has been written to its end. */
static void page_ended(struct behind *b)
{
    struct entry *e = set_find(b, &b->page->conv);
    if (b->page->reached > e->after) e->after = b->page->reached;
    if (b->page->reached < b->page->end) e->dirty |= NEWS_MESSAGES;
    page_free(b->page);
    b->page = NULL;
    e->busy = false;
    if (!e->dirty) set_take_out(b, e);
}

static void page_write(struct behind *b)
{
    struct page *page = b->page;
    if (!page || b->waits & WAITS_PAGE) return;
    struct entry *e = set_find(b, &page->conv);
    assert(e && e->busy);
    while (page->next < page->count) {
        struct page_item *item = &page->items[page->next];
        if (!b->ops->can_write(b->arg)) return;
        if (item->seq > 0) {
            if (!window_has_room(&b->window, item->frame->len)) return;
            if (!window_add(&b->window, &page->conv, item->seq, item->frame->len)) {
                b->waits |= WAITS_PAGE;
                return;
            }
            e->after = item->seq;
        }
        b->ops->write(b->arg, item->frame);
        frame_unref(item->frame);
        page->next++;
    }
    page_ended(b);
}

/* -- fetching -------------------------------------------------------------------------------------------------- */

static void fetch_next(struct behind *b)
{
    struct entry *next = NULL;
    if (b->fetching || b->page || b->waits & WAITS_FETCH || b->set_count == 0) return;
    if (!window_is_half_free(&b->window) || !b->ops->can_write(b->arg)) return;
    for (struct entry *e = b->set; e < b->set + b->set_count; e++) {
        if (e->dirty && (!next || e->type < next->type)) next = e;
    }
    assert(next);                                        /* nobody is busy, so all are dirty */
    if (!b->ops->fetch(b->arg, &next->conv, next->after > 0, next->after, next->dirty & NEWS_CURSORS)) {
        b->waits |= WAITS_FETCH;
        return;
    }
    b->fetching = true;
    struct entry moved = *next, *last = b->set + b->set_count - 1;
    moved.asked = moved.dirty;
    moved.dirty = 0;
    moved.busy = true;
    memmove(next, next + 1, (size_t)(last - next) * sizeof *next);
    *last = moved;
}

static void go_on(struct behind *b)
{
    if (b->scan == SCAN_IDLE) return;
    page_write(b);
    fetch_next(b);
    scan_next(b);
    if (!b->synced && b->scan == SCAN_ENDED && b->set_count == 0) {
        b->synced = true;
        b->ops->synced(b->arg);
    }
}

/* -- from outside ---------------------------------------------------------------------------------------------- */

struct behind *behind_new_with_limits(const struct behind_ops *ops, void *arg, struct behind_limits limits)
{
    assert(limits.set_max > 0 && limits.set_max <= UINT16_MAX / 2);
    assert(limits.scan_room_min > 0 && limits.scan_room_min <= limits.set_max);
    struct behind *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->ops = ops;
    b->arg = arg;
    b->limits = limits;
    window_init(&b->window, limits.window_messages_max, limits.window_bytes_max);
    return b;
}

struct behind *behind_new(const struct behind_ops *ops, void *arg)
{
    return behind_new_with_limits(ops, arg, (struct behind_limits){
        .set_max = BEHIND_SET_MAX,
        .scan_room_min = SCAN_ROOM_MIN,
        .window_messages_max = WINDOW_MESSAGES_MAX,
        .window_bytes_max = WINDOW_BYTES_MAX,
    });
}

void behind_free(struct behind *b)
{
    if (!b) return;
    page_free(b->page);
    window_fini(&b->window);
    free(b->set);
    free(b);
}

void behind_start(struct behind *b)
{
    assert(b->scan == SCAN_IDLE);
    b->scan = SCAN_WANTED;
    go_on(b);
}

/* Write it now, if window and socket allow. seq 0: no place in the window. */
static bool push(struct behind *b, const struct conv_id *conv, uint64_t seq, struct frame *frame)
{
    if (!b->ops->can_write(b->arg)) return false;
    if (seq > 0) {
        if (!window_has_room(&b->window, frame->len)) return false;
        if (!window_add(&b->window, conv, seq, frame->len)) return false;
    }
    b->ops->write(b->arg, frame);
    return true;
}

/* Rules 1 to 3 and 6. frame NULL: the news alone. */
static void on_news(struct behind *b, const struct conv_id *conv, uint8_t type, uint8_t news, uint64_t seq,
                    struct frame *frame)
{
    struct entry *e = set_find(b, conv);
    if (e) {
        e->dirty |= news;
    } else if (!scan_has_passed(b, conv, type)) {
        /* A slice asked for later will know of it; the one being read may not. */
        if (b->scan == SCAN_READING && !b->stale && !set_enter(b, conv, type, news)) b->stale = true;
    } else if (seq > 0 && seq <= window_last(&b->window, conv)) {
        return;
    } else if (!frame || !push(b, conv, seq, frame)) {
        if (!set_enter(b, conv, type, news)) scan_back(b);
    }
    go_on(b);
}

void behind_on_live(struct behind *b, const struct conv_id *conv, uint8_t type, uint64_t seq, enum live what,
                    struct frame *frame)
{
    assert(type > 0 && seq > 0);
    if (what != LIVE_OWN) on_news(b, conv, type, NEWS_MESSAGES, seq, what == LIVE_FRAME ? frame : NULL);
}

void behind_on_cursors(struct behind *b, const struct conv_id *conv, uint8_t type, struct frame *frame)
{
    on_news(b, conv, type, NEWS_CURSORS, 0, frame);
}

void behind_on_ack(struct behind *b, const struct conv_id *conv, uint64_t seq)
{
    window_ack(&b->window, conv, seq);
    go_on(b);
}

static void slice_use(struct behind *b, const struct scan_row_now *rows, size_t count, bool ended)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t news = (rows[i].has_messages ? NEWS_MESSAGES : 0) | (rows[i].has_cursors ? NEWS_CURSORS : 0);
        if (news && !set_enter(b, &rows[i].conv, rows[i].type, news)) {
            /* The rest is read again when there is room. No memory may come back at any time: then when asked to. */
            if (b->set_count < b->limits.set_max) b->waits |= WAITS_SCAN;
            return;
        }
        b->passed_type = rows[i].type;
        b->passed = rows[i].conv;
    }
    if (ended) b->scan = SCAN_ENDED;
}

void behind_on_slice(struct behind *b, const struct scan_row_now *rows, size_t count, bool ended)
{
    assert(b->scan == SCAN_READING);
    assert(count > 0 || ended);
    b->scan = SCAN_WANTED;
    if (!b->stale) slice_use(b, rows, count, ended);
    b->stale = false;
    go_on(b);
}

void behind_on_slice_failed(struct behind *b)
{
    assert(b->scan == SCAN_READING);
    b->scan = SCAN_WANTED;
    b->stale = false;
    b->waits |= WAITS_SCAN;
}

void behind_on_page(struct behind *b, struct page *page)
{
    assert(b->fetching && !b->page);
    b->fetching = false;
    b->page = page;
    go_on(b);
}

/* The conversation that was busy is dirty as before its fetch. */
static void fetch_undo(struct behind *b, struct entry *e)
{
    assert(e && e->busy);
    e->busy = false;
    e->dirty |= e->asked;
    b->waits |= WAITS_FETCH;
}

void behind_on_fetch_failed(struct behind *b, const struct conv_id *conv, bool gone)
{
    struct entry *e = set_find(b, conv);
    assert(b->fetching && e && e->busy);
    b->fetching = false;
    if (gone) {
        set_take_out(b, e);
        go_on(b);
    } else {
        fetch_undo(b, e);
    }
}

void behind_on_drained(struct behind *b)
{
    go_on(b);
}

bool behind_drop_page(struct behind *b)
{
    if (!b->page) return false;
    fetch_undo(b, set_find(b, &b->page->conv));
    page_free(b->page);
    b->page = NULL;
    b->waits &= (uint8_t)~WAITS_PAGE;
    return true;
}

bool behind_step(struct behind *b)
{
    b->waits = 0;
    go_on(b);
    return b->waits != 0;
}

void behind_look(const struct behind *b, struct behind_view *out)
{
    *out = (struct behind_view){
        .set = b->set_count,
        .window_messages = b->window.count,
        .window_bytes = b->window.bytes,
        .scanning = b->scan == SCAN_WANTED || b->scan == SCAN_READING,
        .synced = b->synced,
        .page = b->page != NULL,
        .waits = b->waits != 0,
    };
}
