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
 *     room and the socket took the last frame; else the conversation enters the set, dirty. No room in the set: the
 *     scan goes back to its beginning, and a slice being read is read again.
 *  3. Live, in the set: dirty again.
 *  4. Fetches go round-robin over the set, direct conversations first, one page in hand at a time for the session, and
 *     only while half the window is free and the socket took the last frame: a page in hand is memory that others
 *     wait for. A fetch clears the dirty bits. It starts after the last sequence known to be written to this session
 *     (the window's when the conversation entered the set, then that of its pages), else after the device's delivered
 *     cursor, or where a device without one begins (the home knows both). The cursor may lag behind what was
 *     acknowledged here: then a few records are repeated, and the device acknowledges them again.
 *  5. A page is written as window and socket allow. When it is written to its end, had reached the committed end, and
 *     the bits are still clear, the conversation leaves the set: pushed from then on.
 *  6. Cursor news are handled as a message that takes no place in the window and has no sequence: not passed, left to
 *     the scan; pushed, written or into the set; in the set, they set a second dirty bit, and a fetch brings the
 *     current cursors. A page may bring older ones than a RECEIPT written before it: cursors only go forward.
 *  7. Synced once: when the scan has ended and the set is empty.
 *  8. Out of memory is the same as no room, and never loses anything.
 * A session's own send needs nothing: the device has ACCEPTED, and a device takes a sequence it was ACCEPTED for as
 * received. That holds for a send of this very session only; to another session of the device it is a message.
 * Thread: the session's shard. */
#ifndef PIPIT_CHAT_BEHIND_H
#define PIPIT_CHAT_BEHIND_H

#include <stdbool.h>

#include "proto/id.h"
#include "proto/limits.h"
#include "server/core/core.h"

enum {
    /* Conversations one session may be caught up in at once. Each costs 32 bytes; a slice of the scan fills it. */
    BEHIND_SET_MAX = 32,
    /* Places that must be free before a slice is asked for: each row that finds none is read again. Not all of them,
     * since conversations that never fall quiet may hold some for long. */
    SCAN_ROOM_MIN = 8,
    SCAN_SLICE_ROWS = 64,
};

/* Records of one conversation read from the log for one session, with the news of its cursors at the end. Made by
 * the conversation's home, owned by whoever holds it. */
struct page_item {
    struct frame *frame;          /* one reference */
    uint64_t seq;                 /* of a TOMBSTONE its last; 0: a RECEIPT, takes no place in the window */
};
struct page {
    struct conv_id conv;
    uint64_t reached;             /* all records up to here are in it, or were before it, or are gone: it says so */
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
    bool has_cursors;             /* a cursor moved since the device was last live before this session: an overflow
                                   * scans again, and news of then may still not have been told */
};

enum live {
    LIVE_FRAME,                   /* a message with its frame */
    LIVE_OWN,                     /* this session's own send: it was told ACCEPTED, nothing is written */
    LIVE_NEWS,                    /* there is a message, without its frame: fan-out had no room to keep it */
};

struct behind_limits { uint32_t set_max, scan_room_min, window_messages_max, window_bytes_max; };

struct behind;                    /* under 200 bytes while nothing is behind and nothing unacknowledged */

/* NULL: out of memory. Nothing happens before behind_start(): the session is registered for live messages first. */
struct behind *behind_new(const struct behind_ops *ops, void *arg);
/* The same with other limits, none 0, for tests that want to reach them. */
struct behind *behind_new_with_limits(const struct behind_ops *ops, void *arg, struct behind_limits limits);
void behind_free(struct behind *b);                                                  /* NULL allowed */
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
/* The memory of the page in hand is wanted elsewhere: what is left of it is fetched again when there is room to write
 * it. False: there was none. */
bool behind_drop_page(struct behind *b);
/* The events above go on by themselves as far as they can. What an op answered "not now" to, what failed and what
 * found no memory waits for this call. Returns true while something does: the owner calls again later. */
bool behind_step(struct behind *b);

struct behind_view { uint32_t set, window_messages, window_bytes; bool scanning, synced, page, waits; };
void behind_look(const struct behind *b, struct behind_view *out);                   /* status and tests */

#endif
