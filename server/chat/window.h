/* window.h - what a session was sent and has not acknowledged: the bounded record of (conversation, sequence, bytes).
 *
 * Entries stand in the order in which they were written. An acknowledgement is cumulative within its conversation and
 * takes out all of its entries at or below it, wherever they stand. Within a conversation the sequences in the window
 * rise: a repeat of what is still in it is not written again, so the caller asks window_last() first.
 *
 * It looks through its entries one by one: at most WINDOW_MESSAGES_MAX of them, side by side in memory, found there
 * faster than by any table. The array is allocated on demand and given back when the window is empty.
 * Thread: the session's shard. */
#ifndef PIPIT_CHAT_WINDOW_H
#define PIPIT_CHAT_WINDOW_H

#include <stdbool.h>

#include "proto/id.h"

struct window_item {
    struct conv_id conv;
    uint64_t seq;
    uint32_t bytes;
};

struct window {
    struct window_item *items;    /* in the order written; NULL: none */
    uint32_t count, room;         /* items in use, items allocated */
    uint32_t bytes;               /* sum over the items */
    uint32_t messages_max, bytes_max;
};

void window_init(struct window *w, uint32_t messages_max, uint32_t bytes_max);      /* allocates nothing */
void window_fini(struct window *w);
/* May a frame of `bytes` be written? An empty window takes one whatever its size, else it would never be written. */
bool window_has_room(const struct window *w, uint32_t bytes);
/* At least half of its messages and of its bytes are free: worth asking the log for a page. */
bool window_is_half_free(const struct window *w);
/* There must be room, and `seq` be above window_last(). False: out of memory, nothing has changed. */
bool window_add(struct window *w, const struct conv_id *conv, uint64_t seq, uint32_t bytes);
/* The last sequence it holds for the conversation; 0: none. */
uint64_t window_last(const struct window *w, const struct conv_id *conv);
void window_ack(struct window *w, const struct conv_id *conv, uint64_t seq);

#endif
