/* behind_world.h - everything around one struct behind, made of small arrays: conversations and their homes, the
 * streams from homes to the session's shard, the jobs that read, the socket, the device.
 *
 * The state of it all is one struct at one address, `now`; even what behind.c allocates lies inside it. So a state is
 * kept and restored by assignment, and pointers stay good. For that the sources are included here, with an allocator
 * that takes its memory from `now`. (The library's copy of them is then not linked.)
 *
 * This file is what happens in one step of each party; behind_actions.h says which steps there are.
 *
 * How the real paths are drawn:
 *  - A home commits, then fans out; both may be far apart, and other things of the home go out in between. All that a
 *    home sends to the session's shard is one FIFO.
 *  - A slice is a snapshot of which conversations there are, then each home is asked for heads, at any later time, and
 *    its answer goes into its stream. The slice is given to behind.c with the last answer.
 *  - A fetch travels; the home fixes committed end and cursors as it takes it up; the page enters the stream later.
 *  - An acknowledgement frees the window at once and reaches the home later, also after a following fetch.
 *  - The socket stalls after some frames until it drains. What was written is received; a device that loses its
 *    connection may lose what it had not acknowledged. */
#ifndef PIPIT_TESTS_BEHIND_WORLD_H
#define PIPIT_TESTS_BEHIND_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *world_calloc(size_t count, size_t size);
static void *world_realloc(void *at, size_t size);
static void world_free(void *at);

#define calloc world_calloc
#define realloc world_realloc
#define free world_free
#include "server/chat/window.c"
#include "server/chat/behind.c"
#undef calloc
#undef realloc
#undef free

enum {
    CONVS_MAX = 6,
    HOMES_MAX = 3,
    SEQ_MAX = 30,                 /* messages or marks of a conversation: bits of a mask, entries of a table */
    STREAM_MAX = 64,              /* parcels in one stream */
    STREAM_PUSH_MAX = 48,         /* beyond these a push waits; the rest is for answers */
    HEAP_BLOCKS = 4,              /* the struct behind, its set, its window, a page */
    HEAP_BLOCK_BYTES = 384,
    SOCKET_OPEN = 255,
    TYPE_MAX = 2,
};

struct plan {                     /* a world's size and its budgets of inputs */
    const char *name;
    uint8_t convs;
    uint8_t home[CONVS_MAX], type[CONVS_MAX];
    uint8_t messages[CONVS_MAX], marks[CONVS_MAX];
    uint8_t born_late;            /* mask: conversations that do not exist at first */
    uint8_t own, news, stalls, fetch_failures, slice_failures, not_now, no_memory, drops, reconnects;
    uint8_t slice_rows, page_records;
    struct behind_limits limits;
};

enum parcel_name { P_NONE, P_MESSAGE, P_NEWS, P_RECEIPT, P_ACCEPTED, P_HEADS, P_PAGE, P_FETCH_FAILED };

struct in_stream {
    uint8_t kind, conv;
    uint8_t n;                    /* sequence, version; PAGE: reached; HEADS: mask of rows with messages */
    uint8_t from, end;            /* PAGE */
    uint8_t cursors;              /* PAGE: version of the cursors in it, 0: none; HEADS: mask of rows with cursors */
};

struct stream { uint8_t count; struct in_stream at[STREAM_MAX]; };

struct conv_state {
    bool exists;
    /* at the home */
    uint8_t committed, fanned;    /* messages 1..committed; their deliveries sent */
    uint8_t marked, told_out;     /* version of the cursors; that of the last RECEIPT sent */
    uint8_t cursor;               /* the device's delivered cursor */
    uint8_t ack_under_way;        /* an acknowledgement on its way to the home; 0: none */
    /* of the session and its device */
    uint32_t own;                 /* mask: sends of this session */
    uint32_t unacked;             /* mask: written and not acknowledged */
    uint32_t accepted;            /* mask: the device has it as its own */
    uint8_t high;                 /* the device has all up to here */
    uint8_t acked;                /* and said so; kept only where connections are lost */
    uint8_t told;                 /* version of the cursors it knows */
    uint8_t high_for_sync, told_for_sync;            /* it must have these before SYNCED; 0: it has */
};

enum slice_stage { SLICE_NONE, SLICE_ASKED, SLICE_HEADS };
enum fetch_stage { FETCH_NONE, FETCH_ASKED, FETCH_READING, FETCH_SENT };

struct world {
    struct conv_state conv[CONVS_MAX];
    struct { uint8_t own, news, stalls, fetch_failures, slice_failures, not_now, no_memory, drops, reconnects; } used;
    bool started;
    uint8_t socket;               /* frames it takes before it stalls; SOCKET_OPEN: all */
    bool say_not_now, lack_memory;                   /* to the next op, to the next allocation */
    uint8_t synced;
    struct { uint8_t stage, after_type, after_conv, rows, homes, messages, cursors; bool ended, failed; } slice;
    struct { uint8_t stage, conv, after, from, reached, end, version; bool cursors; } fetch;
    uint32_t frames;              /* references behind.c holds */
    struct stream stream[HOMES_MAX];
    struct behind *b;             /* NULL: no session */
    struct { bool used; _Alignas(16) uint8_t at[HEAP_BLOCK_BYTES]; } heap[HEAP_BLOCKS];
};

static struct world now;
static const struct plan *plan;

/* What was reached, over all states: a model that never meets a full set proves nothing about full sets. */
static struct {
    bool window_full, set_full, scan_back, stale, repeat, page_waits, dropped, late_cursor, no_memory;
} met;

static _Noreturn void world_broken(const char *claim);
#define CLAIM(condition) ((condition) ? (void)0 : world_broken(#condition))

/* -- memory and frames ----------------------------------------------------------------------------------------- */

static bool memory_is_lacking(void)
{
    if (!now.lack_memory) return false;
    now.lack_memory = false;
    met.no_memory = true;
    return true;
}

static void *world_calloc(size_t count, size_t size)
{
    CLAIM(count * size <= HEAP_BLOCK_BYTES);
    for (int i = 0; i < HEAP_BLOCKS; i++) {
        if (now.heap[i].used) continue;
        now.heap[i].used = true;
        memset(now.heap[i].at, 0, HEAP_BLOCK_BYTES);
        return now.heap[i].at;
    }
    world_broken("memory for the struct, the set, the window and one page");
}

static void *world_realloc(void *at, size_t size)
{
    CLAIM(size <= HEAP_BLOCK_BYTES);
    if (memory_is_lacking()) return NULL;
    return at ? at : world_calloc(1, size);
}

static void world_free(void *at)
{
    for (int i = 0; i < HEAP_BLOCKS; i++) {
        if (now.heap[i].at == at) now.heap[i].used = false;
    }
}

enum { FRAME_MESSAGE, FRAME_RECEIPT, FRAME_KINDS };

/* Frames say what they are in three bytes; every second one is a byte longer, so that bytes matter to the window. */
static struct frame *world_frame(uint8_t kind, uint8_t conv, uint8_t n)
{
    static struct { _Alignas(struct frame) uint8_t at[sizeof(struct frame) + 4]; }
        made[FRAME_KINDS][CONVS_MAX][SEQ_MAX + 1];
    struct frame *f = (struct frame *)made[kind][conv][n].at;
    f->len = 3 + (n & 1);
    f->at[0] = kind;
    f->at[1] = conv;
    f->at[2] = n;
    return f;
}

/* The real ones live in frame.c; here the counts are part of the state. */
struct frame *frame_ref(struct frame *frame)
{
    now.frames++;
    return frame;
}

void frame_unref(struct frame *frame)
{
    CLAIM(now.frames > 0);
    now.frames--;
}

static struct conv_id conv_id_of(uint8_t conv)
{
    return (struct conv_id){ { (uint8_t)(conv + 1) } };
}

static uint8_t conv_of_id(const struct conv_id *id)
{
    return (uint8_t)(id->v[0] - 1);
}

static uint32_t bit(uint8_t n)
{
    return UINT32_C(1) << n;
}

/* -- the device ------------------------------------------------------------------------------------------------ */

static void device_has(struct conv_state *c)
{
    while (c->accepted & bit((uint8_t)(c->high + 1))) c->high++;
    if (c->high >= c->high_for_sync) c->high_for_sync = 0;
    if (c->told >= c->told_for_sync) c->told_for_sync = 0;
}

static void device_on_message(struct conv_state *c, uint8_t seq)
{
    if (seq <= c->high) {
        met.repeat = true;
        return;
    }
    CLAIM(seq == c->high + 1);                       /* sequences rise without gaps */
    c->high = seq;
    device_has(c);
}

/* -- ops of struct behind -------------------------------------------------------------------------------------- */

static bool op_says_not_now(void)
{
    bool answer = now.say_not_now;
    now.say_not_now = false;
    return answer;
}

static bool op_fetch(void *arg, const struct conv_id *conv, bool have_after, uint64_t after, bool cursors)
{
    CLAIM(now.fetch.stage == FETCH_NONE);
    CLAIM(!now.b->page);                             /* at most one page in hand */
    CLAIM(have_after == (after > 0));
    CLAIM(after <= now.conv[conv_of_id(conv)].high);
    CLAIM(window_is_half_free(&now.b->window) && now.socket > 0);
    if (op_says_not_now()) return false;
    now.fetch.stage = FETCH_ASKED;
    now.fetch.conv = conv_of_id(conv);
    now.fetch.after = (uint8_t)after;
    now.fetch.cursors = cursors;
    return true;
}

static bool op_scan(void *arg, uint8_t after_type, const struct conv_id *after_conv)
{
    CLAIM(now.slice.stage == SLICE_NONE);
    if (op_says_not_now()) return false;
    now.slice.stage = SLICE_ASKED;
    now.slice.after_type = after_type;
    now.slice.after_conv = after_conv->v[0];
    return true;
}

static bool op_can_write(void *arg)
{
    return now.socket > 0;
}

static void op_write(void *arg, struct frame *frame)
{
    uint8_t conv = frame->at[1], n = frame->at[2];
    struct conv_state *c = &now.conv[conv];
    CLAIM(now.started);
    CLAIM(now.socket > 0);                           /* at most one frame that the socket has not taken */
    if (now.socket != SOCKET_OPEN) now.socket--;
    if (frame->at[0] == FRAME_RECEIPT) {
        if (n > c->told) c->told = n;
        device_has(c);
    } else {
        device_on_message(c, n);
        c->unacked |= bit(n);
    }
}

static void op_synced(void *arg)
{
    now.synced++;
    CLAIM(now.synced == 1);
    for (uint8_t i = 0; i < plan->convs; i++) {
        const struct conv_state *c = &now.conv[i];
        CLAIM(c->high_for_sync == 0 && c->told_for_sync == 0);
    }
}

static const struct behind_ops world_ops = { op_fetch, op_scan, op_write, op_can_write, op_synced };

/* -- streams --------------------------------------------------------------------------------------------------- */

static void stream_put(uint8_t home, struct in_stream item)
{
    struct stream *s = &now.stream[home];
    CLAIM(s->count < STREAM_MAX);
    s->at[s->count++] = item;
}

static void give_slice(void)
{
    struct scan_row_now rows[CONVS_MAX];
    size_t count = 0;
    for (uint8_t type = 1; type <= TYPE_MAX; type++) {   /* the order of the scan: type, then conversation */
        for (uint8_t i = 0; i < plan->convs; i++) {
            if (plan->type[i] != type || !(now.slice.rows & bit(i))) continue;
            rows[count++] = (struct scan_row_now){ conv_id_of(i), type, now.slice.messages & bit(i),
                                                   now.slice.cursors & bit(i) };
        }
    }
    bool ended = now.slice.ended, failed = now.slice.failed;
    memset(&now.slice, 0, sizeof now.slice);
    bool lacked = now.lack_memory;
    if (failed) behind_on_slice_failed(now.b);
    else behind_on_slice(now.b, rows, count, ended);
    CLAIM(!lacked || now.lack_memory || now.b->waits);   /* no slice after slice for want of memory */
}

static void give_page(const struct in_stream *it)
{
    struct conv_id id = conv_id_of(it->conv);
    struct page *page = page_new(&id, plan->page_records + 1u);
    page->reached = it->n;
    page->end = it->end;
    for (uint8_t seq = (uint8_t)(it->from + 1); seq <= it->n; seq++) {
        page->items[page->count++] = (struct page_item){ frame_ref(world_frame(FRAME_MESSAGE, it->conv, seq)), seq };
    }
    if (it->cursors) {
        struct frame *receipt = world_frame(FRAME_RECEIPT, it->conv, it->cursors);
        page->items[page->count++] = (struct page_item){ frame_ref(receipt), 0 };
    }
    memset(&now.fetch, 0, sizeof now.fetch);
    behind_on_page(now.b, page);
}

static void stream_take(uint8_t home)
{
    struct stream *s = &now.stream[home];
    struct in_stream it = s->at[0];
    memmove(s->at, s->at + 1, (size_t)--s->count * sizeof s->at[0]);
    s->at[s->count] = (struct in_stream){ 0 };
    if (!now.b) return;
    struct conv_id id = conv_id_of(it.conv);
    struct conv_state *c = &now.conv[it.conv];
    uint8_t type = plan->type[it.conv];
    switch (it.kind) {
    case P_MESSAGE:
        if (c->own & bit(it.n)) behind_on_live(now.b, &id, type, it.n, LIVE_OWN, NULL);
        else behind_on_live(now.b, &id, type, it.n, LIVE_FRAME, world_frame(FRAME_MESSAGE, it.conv, it.n));
        break;
    case P_NEWS:
        behind_on_live(now.b, &id, type, it.n, LIVE_NEWS, NULL);
        break;
    case P_RECEIPT:
        behind_on_cursors(now.b, &id, type, world_frame(FRAME_RECEIPT, it.conv, it.n));
        break;
    case P_ACCEPTED:
        c->accepted |= bit(it.n);
        device_has(c);
        break;
    case P_HEADS:
        now.slice.messages |= it.n;
        now.slice.cursors |= it.cursors;
        now.slice.homes &= (uint8_t)~(bit(home) << HOMES_MAX);
        if (now.slice.homes == 0) give_slice();
        break;
    case P_PAGE:
        give_page(&it);
        break;
    case P_FETCH_FAILED:
        memset(&now.fetch, 0, sizeof now.fetch);
        behind_on_fetch_failed(now.b, &id, false);
        break;
    default:
        world_broken("a parcel that is known");
    }
}

/* -- the shard of the session ------------------------------------------------------------------------------------ */

static void session_register(void)
{
    now.b = behind_new_with_limits(&world_ops, NULL, plan->limits);
    now.socket = SOCKET_OPEN;
    for (uint8_t i = 0; i < plan->convs; i++) {          /* all there is before the scan begins */
        now.conv[i].high_for_sync = now.conv[i].committed;
        now.conv[i].told_for_sync = now.conv[i].marked;
        device_has(&now.conv[i]);
    }
}

/* The connection is gone, with what is under way for it. The device may have lost what it did not acknowledge. */
static void session_end(bool loses)
{
    behind_free(now.b);
    now.b = NULL;
    CLAIM(now.frames == 0);
    now.started = now.say_not_now = now.lack_memory = false;
    now.synced = 0;
    now.socket = 0;
    memset(&now.slice, 0, sizeof now.slice);
    memset(&now.fetch, 0, sizeof now.fetch);
    for (int h = 0; h < HOMES_MAX; h++) {
        struct stream kept = { 0 };
        for (uint8_t i = 0; i < now.stream[h].count; i++) {
            struct in_stream it = now.stream[h].at[i];
            if (it.kind < P_ACCEPTED) kept.at[kept.count++] = it;
        }
        now.stream[h] = kept;
    }
    for (uint8_t i = 0; i < plan->convs; i++) {
        struct conv_state *c = &now.conv[i];
        c->own = c->unacked = 0;
        if (!loses) continue;
        c->high = c->acked;
        c->told = 0;
        device_has(c);
    }
}

/* What facts hold at this moment decides which rows there are. */
static void slice_snapshot(bool fails)
{
    uint8_t count = 0;
    now.slice.stage = SLICE_HEADS;
    now.slice.failed = fails;
    now.slice.ended = true;
    for (uint8_t type = now.slice.after_type; type <= TYPE_MAX && !fails; type++) {
        for (uint8_t i = 0; i < plan->convs; i++) {
            bool passed = type == now.slice.after_type && i + 1 <= now.slice.after_conv;
            if (plan->type[i] != type || !now.conv[i].exists || passed) continue;
            if (count == plan->slice_rows) {
                now.slice.ended = false;
                continue;
            }
            count++;
            now.slice.rows |= (uint8_t)bit(i);
            now.slice.homes |= (uint8_t)bit(plan->home[i]);
        }
    }
    if (now.slice.homes == 0) give_slice();
}

/* -- homes --------------------------------------------------------------------------------------------------------- */

static void home_heads(uint8_t home)
{
    struct in_stream it = { .kind = P_HEADS };
    for (uint8_t i = 0; i < plan->convs; i++) {
        const struct conv_state *c = &now.conv[i];
        if (plan->home[i] != home || !(now.slice.rows & bit(i))) continue;
        if (c->committed > c->cursor) it.n |= (uint8_t)bit(i);
        if (c->marked > 0) it.cursors |= (uint8_t)bit(i);
    }
    now.slice.homes &= (uint8_t)~bit(home);
    now.slice.homes |= (uint8_t)(bit(home) << HOMES_MAX);      /* answered, on its way */
    stream_put(home, it);
}

static void home_takes_fetch(void)
{
    const struct conv_state *c = &now.conv[now.fetch.conv];
    if (!now.fetch.after && c->ack_under_way > c->cursor) met.late_cursor = true;
    now.fetch.stage = FETCH_READING;
    now.fetch.from = now.fetch.after ? now.fetch.after : c->cursor;
    now.fetch.end = c->committed;
    now.fetch.reached = now.fetch.end;
    if (now.fetch.reached > now.fetch.from + plan->page_records) {
        now.fetch.reached = (uint8_t)(now.fetch.from + plan->page_records);
    }
    now.fetch.version = now.fetch.cursors ? c->marked : 0;
}

static void home_sends_page(bool fails)
{
    stream_put(plan->home[now.fetch.conv], (struct in_stream){
        .kind = fails ? P_FETCH_FAILED : P_PAGE,
        .conv = now.fetch.conv,
        .from = now.fetch.from,
        .n = now.fetch.reached,
        .end = now.fetch.end,
        .cursors = now.fetch.version,
    });
    now.fetch.stage = FETCH_SENT;
}

#endif
