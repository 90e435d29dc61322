/* window.c - see window.h. */
#include "server/chat/window.h"

#include <assert.h>
#include <stdlib.h>

/* First allocation, in entries of 32 bytes. Most sessions have one or two messages under way. */
enum { WINDOW_ROOM_FIRST = 4 };

void window_init(struct window *w, uint32_t messages_max, uint32_t bytes_max)
{
    assert(messages_max > 0);
    *w = (struct window){ .messages_max = messages_max, .bytes_max = bytes_max };
}

void window_fini(struct window *w)
{
    free(w->items);
    w->items = NULL;
    w->count = w->room = w->bytes = 0;
}

bool window_has_room(const struct window *w, uint32_t bytes)
{
    if (w->count == 0) return true;
    return w->count < w->messages_max && w->bytes <= w->bytes_max && bytes <= w->bytes_max - w->bytes;
}

bool window_is_half_free(const struct window *w)
{
    return w->count <= w->messages_max / 2 && w->bytes <= w->bytes_max / 2;
}

static bool window_grow(struct window *w)
{
    uint32_t room = w->room ? 2 * w->room : WINDOW_ROOM_FIRST;
    if (room > w->messages_max) room = w->messages_max;
    struct window_item *items = realloc(w->items, room * sizeof *items);
    if (!items) return false;
    w->items = items;
    w->room = room;
    return true;
}

bool window_add(struct window *w, const struct conv_id *conv, uint64_t seq, uint32_t bytes)
{
    assert(window_has_room(w, bytes));
    assert(seq > window_last(w, conv));
    if (w->count == w->room && !window_grow(w)) return false;
    w->items[w->count++] = (struct window_item){ .conv = *conv, .seq = seq, .bytes = bytes };
    w->bytes += bytes;
    return true;
}

uint64_t window_last(const struct window *w, const struct conv_id *conv)
{
    /* Sequences of one conversation rise, so the entry nearest the end is its highest. */
    for (uint32_t i = w->count; i > 0; i--) {
        if (conv_id_equal(&w->items[i - 1].conv, conv)) return w->items[i - 1].seq;
    }
    return 0;
}

void window_ack(struct window *w, const struct conv_id *conv, uint64_t seq)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        const struct window_item *item = &w->items[i];
        if (item->seq <= seq && conv_id_equal(&item->conv, conv)) {
            w->bytes -= item->bytes;
        } else {
            if (kept < i) w->items[kept] = *item;
            kept++;
        }
    }
    w->count = kept;
    if (kept == 0) window_fini(w);
}
