/* pipe.c - a ring of parcels with one producer and one consumer.
 *
 * Two indexes run freely (they wrap at 2^32, the slots at a power of two below it): `tail` counts what was pushed
 * and is written by the producer alone, `head` counts what was popped and is written by the consumer alone.
 * tail - head parcels are in the ring, whatever has wrapped.
 *
 *   slots      [ . . . p p p p . . . ]
 *                      ^head   ^tail
 *
 * The producer writes a slot and then stores `tail` with release; the consumer loads `tail` with acquire and so
 * sees the slot, and everything the producer did before (the object the parcel points to). The other way round,
 * `head` is stored with release after the slot was copied out, and the producer that loads it with acquire may
 * write the slot again.
 *
 * Each side keeps a copy of the other's index and looks at the real one only when the copy says that it cannot go
 * on. Together with an index on a cache line of its own, a stream of parcels costs a cache miss now and then,
 * not one for each parcel.
 *
 * `head` is published with every pop, not once for many: shard.c concludes from an answer that the request before
 * it has left its slot. */
#include "server/core/pipe.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"

enum { CACHE_LINE = 64 };    /* bytes; on every machine this is likely to run on. Too small costs time only */

struct pipe {
    /* the producer's */
    _Alignas(CACHE_LINE) _Atomic uint32_t tail;
    uint32_t head_seen;
    /* the consumer's */
    _Alignas(CACHE_LINE) _Atomic uint32_t head;
    uint32_t tail_seen;
    /* both read, hardly ever written */
    _Alignas(CACHE_LINE) struct parcel *slots;
    uint32_t mask;
    _Atomic bool room_wanted;
};

int pipe_new(uint32_t slots, struct pipe **pipe_out)
{
    assert(slots > 0 && slots <= UINT32_MAX / 2 && (slots & (slots - 1)) == 0);
    struct pipe *pipe = aligned_alloc(CACHE_LINE, sizeof *pipe);
    if (!pipe) return ERR_NOMEM;
    memset(pipe, 0, sizeof *pipe);
    /* calloc, because the kernel then gives pages only as they are touched: most pairs of shards in a large
     * house never fill their ring. */
    pipe->slots = calloc(slots, sizeof *pipe->slots);
    if (!pipe->slots) {
        free(pipe);
        return ERR_NOMEM;
    }
    pipe->mask = slots - 1;
    *pipe_out = pipe;
    return 0;
}

void pipe_free(struct pipe *pipe)
{
    if (!pipe) return;
    /* What is left would be lost, and what it points to with it. */
    assert(pipe_waiting(pipe) == 0);
    free(pipe->slots);
    free(pipe);
}

/* ---- producer ---- */

static uint32_t room_after(const struct pipe *pipe, uint32_t head)
{
    return pipe->mask + 1 - (atomic_load_explicit(&pipe->tail, memory_order_relaxed) - head);
}

bool pipe_has_room(struct pipe *pipe, uint32_t slots)
{
    if (room_after(pipe, pipe->head_seen) >= slots) return true;
    pipe->head_seen = atomic_load_explicit(&pipe->head, memory_order_acquire);
    return room_after(pipe, pipe->head_seen) >= slots;
}

bool pipe_push(struct pipe *pipe, const struct parcel *parcel)
{
    if (!pipe_has_room(pipe, 1)) return false;
    uint32_t tail = atomic_load_explicit(&pipe->tail, memory_order_relaxed);
    pipe->slots[tail & pipe->mask] = *parcel;
    atomic_store_explicit(&pipe->tail, tail + 1, memory_order_release);
    return true;
}

uint32_t pipe_room(const struct pipe *pipe)
{
    return room_after(pipe, atomic_load_explicit(&pipe->head, memory_order_acquire));
}

void pipe_want_room(struct pipe *pipe)
{
    atomic_store_explicit(&pipe->room_wanted, true, memory_order_relaxed);
    /* The producer looks at `head` once more after this, and the consumer looks at `room_wanted` after moving
     * `head` (pipe_room_wanted). With a fence on both sides at least one of them sees the other's store; without,
     * both may miss it, and the producer waits for a wake that nobody sends. */
    atomic_thread_fence(memory_order_seq_cst);
}

/* ---- consumer ---- */

bool pipe_pop(struct pipe *pipe, struct parcel *parcel_out)
{
    uint32_t head = atomic_load_explicit(&pipe->head, memory_order_relaxed);
    if (head == pipe->tail_seen) {
        pipe->tail_seen = atomic_load_explicit(&pipe->tail, memory_order_acquire);
        if (head == pipe->tail_seen) return false;
    }
    *parcel_out = pipe->slots[head & pipe->mask];
    atomic_store_explicit(&pipe->head, head + 1, memory_order_release);
    return true;
}

uint32_t pipe_waiting(const struct pipe *pipe)
{
    return atomic_load_explicit(&pipe->tail, memory_order_acquire) -
           atomic_load_explicit(&pipe->head, memory_order_relaxed);
}

bool pipe_room_wanted(struct pipe *pipe)
{
    atomic_thread_fence(memory_order_seq_cst);    /* pairs with the one in pipe_want_room() */
    return atomic_load_explicit(&pipe->room_wanted, memory_order_relaxed) &&
           atomic_exchange_explicit(&pipe->room_wanted, false, memory_order_relaxed);
}
