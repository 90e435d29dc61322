/* behind.h - what a session has been sent, and where it is behind: the law "the log is the queue" at work.
 *
 * Being behind is a state of (session, conversation). For each conversation a session is either
 *   not passed   the scan of the user's conversations has not come to it yet: live messages are left to the scan
 *   pushed       every committed message is written to it as it comes
 *   in the set   it is caught up from the log, page by page; a live message only sets a bit
 * The set is bounded (BEHIND_SET_MAX), the window of unacknowledged messages too (WINDOW_*_MAX), so a session costs
 * the same whatever waits for it. When the set is full, the scan goes back to its beginning: everything is "not
 * passed" again, and nothing is lost.
 *
 * This file knows no sockets, shards or clocks: what it wants done it asks of struct behind_ops, which must not call
 * back into it. A model test explores every interleaving of push, fetch, page, acknowledgement, scan and overflow.
 *
 * Rules (see docs/promises.md):
 *  1. Live, not passed: left to the scan. While a slice of the scan is being read, its rows may be older than the live
 *     message: then the conversation goes into the set, or, with no room, the slice is read again.
 *  2. Live, pushed: at or below the last sequence the window holds for it: dropped. Else written when the window has
 *     room and the socket took the last frame; else the conversation enters the set, dirty.
 *  3. Live, in the set: dirty again.
 *  4. Fetches go round-robin over the set, direct conversations first, one page in hand at a time for the session. A
 *     fetch clears the dirty bits and starts after the last sequence the window holds, else after the device's
 *     delivered cursor (the home knows it).
 *  5. A page is written as window and socket allow. When it is written to its end, had reached the committed end, and
 *     the bit is still clear, the conversation leaves the set: pushed from then on.
 *  6. Cursor news that cannot be written now sets a second dirty bit; a fetch brings the current cursors.
 *  7. Synced once: when the scan has ended and the set is empty.
 * Thread: the session's shard. */
#ifndef PIPIT_CHAT_BEHIND_H
#define PIPIT_CHAT_BEHIND_H

#include <stdbool.h>

#include "proto/id.h"
#include "proto/limits.h"
#include "server/core/frame.h"

enum {
    /* Conversations one session may be caught up in at once. Each costs about 64 bytes; a slice of the scan fills it. */
    BEHIND_SET_MAX = 32,
    SCAN_SLICE_ROWS = 64,
};

/* Records of one conversation read from the log for one session, with the news of its cursors at the end. Made by
 * the conversation's home, owned by whoever holds it. */
struct page_item {
    struct frame *frame;          /* one reference */
    uint64_t seq;                 /* 0: a RECEIPT, takes no place in the window */
};
struct page {
    struct conv_id conv;
    uint64_t reached;             /* all records up to here are in it, or were before it */
    uint64_t end;                 /* the committed end when it was read */
    uint32_t count;
    uint32_t next;                /* first item not yet written */
    struct page_item items[];
};
struct page *page_new(const struct conv_id *conv, uint32_t count_max);   /* NULL: out of memory */
void page_free(struct page *page);                                       /* unrefs what is left; NULL allowed */

struct behind_ops {
    /* Ask the home for a page after sequence `after` (have_after), else after the device's delivered cursor; with
     * the current cursors when asked. False: not now (budget, credit); behind_step() is called again later. The
     * answer is behind_on_page() or behind_on_fetch_failed(). */
    bool (*fetch)(void *arg, const struct conv_id *conv, bool have_after, uint64_t after, bool cursors);
    /* Ask for the slice behind (after_type, after_conv), SCAN_SLICE_ROWS rows; after_type 0: from the beginning.
     * False: not now. The answer is behind_on_slice() or behind_on_slice_failed(). */
    bool (*scan)(void *arg, uint8_t after_type, const struct conv_id *after_conv);
    void (*write)(void *arg, struct frame *frame);      /* conn_write: takes its own reference */
    bool (*can_write)(void *arg);                       /* the socket took all frames before this one */
    void (*synced)(void *arg);
};

struct scan_row_now {             /* one row of a slice, with the head as its home knows it */
    struct conv_id conv;
    uint8_t type;
    bool has_messages;            /* records beyond the device's cursor */
    bool has_cursors;             /* a cursor moved since the device was last live */
};

enum live {
    LIVE_FRAME,                   /* a message with its frame */
    LIVE_OWN,                     /* this session's own send: it has its ACCEPTED, nothing is written */
    LIVE_NEWS,                    /* there is a message, without its frame: fan-out had no room to keep it */
};

struct behind;                    /* under 200 bytes while nothing is behind and nothing unacknowledged */

/* NULL: out of memory. Nothing happens before behind_start(): the session is registered for live messages first. */
struct behind *behind_new(const struct behind_ops *ops, void *arg);
void behind_free(struct behind *b);
void behind_start(struct behind *b);

void behind_on_live(struct behind *b, const struct conv_id *conv, uint8_t type, uint64_t seq, enum live what,
                    struct frame *frame);               /* frame is lent; NULL unless LIVE_FRAME */
void behind_on_cursors(struct behind *b, const struct conv_id *conv, uint8_t type, struct frame *frame);
void behind_on_ack(struct behind *b, const struct conv_id *conv, uint64_t seq);      /* cumulative */
void behind_on_slice(struct behind *b, const struct scan_row_now *rows, size_t count, bool ended);
void behind_on_slice_failed(struct behind *b);
void behind_on_page(struct behind *b, struct page *page);                            /* takes it */
/* `gone`: the conversation does not exist for this user any more: it leaves the set. Else the fetch is tried again
 * at the next behind_step(). */
void behind_on_fetch_failed(struct behind *b, const struct conv_id *conv, bool gone);
void behind_on_drained(struct behind *b);
/* Go on with whatever can go on. Returns true while an op answered "not now": the owner calls again later. */
bool behind_step(struct behind *b);

struct behind_view { uint32_t set, window_messages, window_bytes; bool scanning, synced, page; };
void behind_look(const struct behind *b, struct behind_view *out);                   /* status and tests */

#endif
