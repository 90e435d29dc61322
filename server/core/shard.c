/* shard.c - a turn of the loop, and what a shard sends and takes.
 *
 * No circle of full pipes. A ring from A to B has 4C places (C = CREDITS_MAX) and carries three kinds of parcels:
 *   requests  at most C: each holds one of A's credits towards B until its answer has come back
 *   answers   at most C: each answers a request that holds one of B's credits towards A
 *   pushes    at most 2C: one is let in only when more than 2C places are free, so that with it at most 2C of all
 *             kinds are in the ring, and thus at most 2C pushes
 * That makes 4C: a request with a credit and an answer always find a place. (A credit comes back when A pops the
 * answer; B pushed that after it had popped the request, so A sees the request's place free.) Draining therefore never
 * waits for anything: it pops, calls, and what has to be sent on the way is an answer, which has its place, or a push
 * or request that may be refused and is then its source's to keep. Every shard drains in every turn, whatever state it
 * is in, until the house has ended; so every ring empties, and what waited for room gets it: the source's shard asks
 * for a wake (pipe_want_room), and the drainer sends it.
 *
 * Waking. A push only marks its receiver; the turn's end wakes each marked shard once, with one fence for all. Pushes
 * from callbacks between two turns wait for the next turn, which comes before the loop sleeps. A shard's own ring
 * needs no wake, only no sleep.
 *
 * Ending. house->busy counts the shards that may still send something. A serving shard leaves the count when it is
 * stopped, holds no credit, has no work out, and all it pushed to serving shards (itself too) was popped. It joins
 * again before it pops or pushes anything. So a parcel on its way to a serving shard always has one counted shard at
 * its end: the pusher until it sees the ring empty, the popper from before it pops. The count can reach 0 only when
 * nobody is sending and nothing is on its way; joining a count of 0 is refused, so it stays there, and all loops end.
 * Main's shard takes part as a sender (it is counted from a push until that was popped) and ends last, see
 * shard_may_end(). */
#include "server/core/shard.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "server/core/worker.h"

enum { PUSH_ROOM = 2 * CREDITS_MAX + 1, CACHE_LINE = 64 };

_Static_assert(PIPE_SLOTS >= 4 * CREDITS_MAX, "requests, answers and as many pushes, see the top");

static _Thread_local struct shard *current;

enum parcel_class { CLASS_NONE, CLASS_REQUEST, CLASS_ANSWER, CLASS_PUSH };
#define PARCEL_CLASS(name, class, text) [PARCEL_##name] = CLASS_##class,
static const uint8_t parcel_class[PARCEL_KINDS] = { PARCEL_LIST(PARCEL_CLASS) };
#undef PARCEL_CLASS

static bool shard_is_mains(const struct shard *shard)
{
    return shard->id == shard->house->shards;
}

bool shard_is_current(const struct shard *shard)
{
    return shard == current;
}

/* An active idle handle is all it takes for libuv not to sleep; there is nothing to do in it. */
static void shard_on_idle(uv_idle_t *idle)
{
    (void)idle;
}

void shard_again(struct shard *shard)
{
    uv_idle_start(&shard->idle, shard_on_idle);    /* harmless when started already */
}

void shard_read_clock(struct shard *shard)
{
    const struct clock *clock = shard->house->clock;
    shard->now_ms = clock->mono_us(clock->self) / 1000;
    shard->wall_ms = clock->wall_ms(clock->self);
}

/* ---- waking ---- */

static void shard_mark(struct shard *shard, uint16_t to)
{
    shard->pushed[to / 8] |= (uint8_t)(1u << to % 8);
}

/* Wake each marked shard once. */
static void shard_wake_marked(struct shard *shard)
{
    /* libuv drops a wake when one is pending, and reads that flag without a barrier. Lacking this fence the read may
     * pass our publish, and the parcel sleeps until someone else wakes the shard. Pairs with the fence in
     * shard_on_wake(). One is enough for all that was pushed before it. */
    atomic_thread_fence(memory_order_seq_cst);
    for (uint16_t i = 0; i < sizeof shard->pushed; i++) {
        for (uint16_t bit = 0; shard->pushed[i] >> bit != 0; bit++) {
            if (!(shard->pushed[i] & 1u << bit)) continue;
            uint16_t to = (uint16_t)(i * 8 + bit);
            if (to == shard->id) shard_again(shard);
            else uv_async_send(&shard->house->shard[to]->wake);
        }
        shard->pushed[i] = 0;
    }
}

static void shard_on_wake(uv_async_t *wake)
{
    (void)wake;
    /* libuv has just cleared the flag that says a wake is pending. The turn that follows must not read the pipes as
     * they were before that: a push in between would find the flag set, send nothing, and not be seen. Pairs with
     * the fence in front of every uv_async_send(). The draining itself is the turn's. */
    atomic_thread_fence(memory_order_seq_cst);
}

/* ---- counting in and out (see Ending at the top) ---- */

/* Before this shard pops or sends. False: the house has ended, nothing is sent any more. */
static bool shard_count_in(struct shard *shard)
{
    if (shard->counted) return true;
    uint32_t busy = atomic_load(&shard->house->busy);
    while (busy > 0) {
        if (!atomic_compare_exchange_weak(&shard->house->busy, &busy, busy + 1)) continue;
        shard->counted = true;
        return true;
    }
    return false;
}

/* Was everything popped that this shard pushed? If not, the popper wakes it. What goes to main's shard is left out:
 * that one drains after all others have ended. */
static bool shard_all_popped(struct shard *shard)
{
    bool all = true;
    for (uint16_t to = 0; to <= shard->house->shards; to++) {
        if (to == shard->house->shards && to != shard->id) continue;
        struct pipe *pipe = shard->house->pipe[shard->id][to];
        if (pipe_room(pipe) == PIPE_SLOTS) continue;
        pipe_want_room(pipe);
        if (pipe_room(pipe) != PIPE_SLOTS) all = false;
    }
    return all;
}

static bool shard_is_stopped(struct shard *shard)
{
    return shard->stopping && (!shard->ops->is_stopped || shard->ops->is_stopped(shard));
}

static void shard_count_out(struct shard *shard)
{
    struct house *house = shard->house;
    if (!shard->counted || !atomic_load(&house->stopping)) return;
    if (!shard_is_mains(shard) && !shard_is_stopped(shard)) return;
    if (shard->credits_out > 0 || shard->works_out > 0 || !shard_all_popped(shard)) return;
    shard->counted = false;
    if (atomic_fetch_sub(&house->busy, 1) > 1) return;
    for (uint16_t id = 0; id <= house->shards; id++)
        house_wake(house, id);
}

static bool shard_may_end(struct shard *shard, bool drained)
{
    if (!shard_is_mains(shard)) return atomic_load(&shard->house->busy) == 0;
    /* on_stop of main's shard is called when the others have ended, so this looks at a house that is still. */
    return shard_is_stopped(shard) && drained && shard->works_out == 0;
}

/* ---- taking ---- */

static void shard_take(struct shard *shard, const struct parcel *parcel)
{
    switch (parcel_class[parcel->kind]) {
    case CLASS_ANSWER:
        /* Before on_parcel: what waited for a credit may take this one at once. */
        assert(shard->credits[parcel->from] > 0);
        shard->credits[parcel->from]--;
        shard->credits_out--;
        break;
    case CLASS_NONE:
        assert(!"a parcel of a kind that is not in the list");
        break;
    }
    if (parcel->kind == PARCEL_CALL) parcel->u.call.fn(shard, parcel->u.call.arg);
    else shard->ops->on_parcel(shard, parcel);
}

/* False: more is left. */
static bool shard_drain_pipe(struct shard *shard, struct pipe *pipe, uint16_t from)
{
    if (pipe_waiting(pipe) == 0) return true;
    shard_count_in(shard);
    struct parcel parcel;
    for (uint32_t n = 0; n < DRAIN_PARCELS_MAX && pipe_pop(pipe, &parcel); n++)
        shard_take(shard, &parcel);
    if (pipe_room_wanted(pipe)) shard_mark(shard, from);
    return pipe_waiting(pipe) == 0;
}

static bool shard_drain(struct shard *shard)
{
    bool all = true;
    for (uint16_t from = 0; from <= shard->house->shards; from++)
        all &= shard_drain_pipe(shard, shard->house->pipe[from][shard->id], from);
    all &= workers_drain(shard->house, shard);
    return all;
}

/* ---- sending ---- */

static void shard_put(struct shard *from, uint16_t to, const struct parcel *parcel)
{
    struct parcel copy = *parcel;
    copy.from = from->id;
    bool pushed = pipe_push(from->house->pipe[from->id][to], &copy);
    assert(pushed);    /* the arithmetic at the top */
    (void)pushed;
    shard_mark(from, to);
}

bool shard_request(struct shard *from, uint16_t to, const struct parcel *parcel)
{
    assert(shard_is_current(from) && parcel_class[parcel->kind] == CLASS_REQUEST);
    if (from->credits[to] == CREDITS_MAX || !shard_count_in(from)) return false;
    from->credits[to]++;
    from->credits_out++;
    shard_put(from, to, parcel);
    return true;
}

void shard_answer(struct shard *from, uint16_t to, const struct parcel *parcel)
{
    assert(shard_is_current(from) && parcel_class[parcel->kind] == CLASS_ANSWER);
    bool counted = shard_count_in(from);
    assert(counted);    /* who asked holds a credit and is counted, so the house has not ended */
    (void)counted;
    shard_put(from, to, parcel);
}

static bool push_if_room(struct shard *from, uint16_t to, const struct parcel *parcel)
{
    assert(parcel_class[parcel->kind] == CLASS_PUSH);
    if (!shard_count_in(from)) return false;
    struct pipe *pipe = from->house->pipe[from->id][to];
    if (!pipe_has_room(pipe, PUSH_ROOM)) {
        pipe_want_room(pipe);
        if (!pipe_has_room(pipe, PUSH_ROOM)) return false;
    }
    shard_put(from, to, parcel);
    return true;
}

bool shard_push(struct shard *from, uint16_t to, const struct parcel *parcel)
{
    assert(shard_is_current(from));
    return push_if_room(from, to, parcel);
}

bool house_call(struct house *house, uint16_t to, void (*fn)(struct shard *, void *), void *arg)
{
    struct shard *mains = house->shard[house->shards];
    /* Main's thread may be outside its loop: before it runs it, or in a test that never does. */
    assert(shard_is_current(mains) || current == NULL);
    struct parcel parcel = { .kind = PARCEL_CALL, .u.call = { fn, arg } };
    if (!push_if_room(mains, to, &parcel)) return false;
    if (!shard_is_current(mains)) shard_wake_marked(mains);
    return true;
}

/* ---- the turn ---- */

static void shard_stop_if_asked(struct shard *shard)
{
    struct house *house = shard->house;
    if (shard->stopping || !atomic_load(&house->stopping)) return;
    if (shard_is_mains(shard) && atomic_load(&house->running) > 0) return;
    shard->stopping = true;
    if (shard->ops->on_stop) shard->ops->on_stop(shard);
}

static void shard_on_timer(uv_timer_t *timer)
{
    struct shard *shard = timer->data;
    shard->timer_due_ms = UINT64_MAX;    /* the turn that follows sees what is due, and sets it again */
}

static void shard_set_timer(struct shard *shard)
{
    /* The loop's timer knows the real time only; whoever turns another clock wakes the shards (house_wake). */
    if (shard->house->clock != clock_real()) return;
    uint64_t after_ms = wheel_next_ms(&shard->wheel);
    if (after_ms == UINT64_MAX) return;
    /* One that comes too early costs a turn; setting it anew in every turn would cost more. */
    if (shard->now_ms + after_ms >= shard->timer_due_ms) return;
    shard->timer_due_ms = shard->now_ms + after_ms;
    uv_timer_start(&shard->timer, shard_on_timer, after_ms, 0);
}

static void shard_turn(uv_prepare_t *prepare)
{
    struct shard *shard = prepare->data;
    const struct shard_ops *ops = shard->ops;
    uv_idle_stop(&shard->idle);
    shard_read_clock(shard);
    shard_stop_if_asked(shard);

    bool drained = shard_drain(shard);
    bool fired = wheel_run(&shard->wheel, shard->now_ms, TIMEOUTS_PER_TURN_MAX);
    bool more = ops->slice && ops->slice(shard);
    if (ops->flush) ops->flush(shard);
    shard_wake_marked(shard);
    if (ops->turn_end) ops->turn_end(shard);
    shard_wake_marked(shard);    /* for what turn_end pushed */

    if (!drained || !fired || more) shard_again(shard);
    shard_set_timer(shard);
    shard_count_out(shard);
    if (shard_may_end(shard, drained)) uv_stop(&shard->loop);
}

/* ---- a shard's life ---- */

int shard_open(struct house *house, uint16_t id, struct shard **shard_out)
{
    /* On cache lines of its own: others read only the wake and the counters. */
    size_t bytes = (sizeof(struct shard) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct shard *shard = aligned_alloc(CACHE_LINE, bytes);
    if (!shard) return ERR_NOMEM;
    memset(shard, 0, bytes);
    shard->id = id;
    shard->house = house;
    shard->counted = !shard_is_mains(shard);
    shard->timer_due_ms = UINT64_MAX;
    shard_read_clock(shard);
    wheel_init(&shard->wheel, shard->now_ms);
    shard->wheel.clock = house->clock;

    int rc = uv_loop_init(&shard->loop);
    if (rc) goto fail_free;
    rc = uv_async_init(&shard->loop, &shard->wake, shard_on_wake);
    if (rc) goto fail_loop;
    uv_prepare_init(&shard->loop, &shard->prepare);    /* these three cannot fail */
    uv_idle_init(&shard->loop, &shard->idle);
    uv_timer_init(&shard->loop, &shard->timer);
    shard->prepare.data = shard->timer.data = shard;
    uv_prepare_start(&shard->prepare, shard_turn);
    *shard_out = shard;
    return 0;
fail_loop:
    uv_loop_close(&shard->loop);
fail_free:
    free(shard);
    return err_from_errno(-rc);
}

void shard_run(struct shard *shard)
{
    assert(current == NULL);
    current = shard;
    shard_read_clock(shard);
    if (shard->ops->on_start) shard->ops->on_start(shard);
    uv_run(&shard->loop, UV_RUN_DEFAULT);    /* until a turn finds that it may end */
    current = NULL;
}

void shard_close(struct shard *shard)
{
    if (!shard) return;
    uv_close((uv_handle_t *)&shard->wake, NULL);
    uv_close((uv_handle_t *)&shard->prepare, NULL);
    uv_close((uv_handle_t *)&shard->idle, NULL);
    uv_close((uv_handle_t *)&shard->timer, NULL);
    uv_run(&shard->loop, UV_RUN_NOWAIT);
    int rc = uv_loop_close(&shard->loop);
    assert(rc == 0);    /* UV_EBUSY: its owner left a handle open */
    (void)rc;
    free(shard);
}
