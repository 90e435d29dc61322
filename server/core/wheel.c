/* wheel.c - timeouts in slots by the tick they are due at.
 *
 * Time is cut into ticks of WHEEL_TICK_MS. A timeout's moment is rounded up to a tick, which is why it is never
 * early and at most one tick late, and the tick picks the slot: tick modulo WHEEL_SLOTS. A slot therefore holds
 * timeouts of this round and of later ones; the later ones are looked at once a round (33 s) and left.
 *
 * `now_ms / WHEEL_TICK_MS` is the last tick whose slot was emptied of what was due, and nothing set is due at or
 * before it, except what waits in `due`: wheel_run() moves what it finds there, in order, and fires from its
 * front. What a run's limit left stays there for the next run. A timeout in `due` is set like any other: it can be
 * cancelled or moved by the one that fires before it.
 *
 * Lists are linked in one direction, with a pointer back to the pointer that leads here (`link`), so that taking
 * one out needs neither the list nor its neighbour before. */
#include "server/core/wheel.h"

#include <assert.h>
#include <string.h>

#include "server/core/clock.h"

_Static_assert((WHEEL_SLOTS & (WHEEL_SLOTS - 1)) == 0, "slots are picked by masking the tick");
_Static_assert(WHEEL_SLOTS % 64 == 0, "one bit of a word for each slot");

static uint64_t tick_of(uint64_t ms)
{
    return ms / WHEEL_TICK_MS;
}

static uint32_t slot_of(uint64_t tick)
{
    return (uint32_t)(tick % WHEEL_SLOTS);
}

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
    memset(wheel, 0, sizeof *wheel);
    wheel->now_ms = now_ms;
    wheel->due_end = &wheel->due;
}

bool timeout_is_set(const struct timeout *t)
{
    return t->link != NULL;
}

/* Take it out of whichever list it is in. */
static void unlink_timeout(struct wheel *wheel, struct timeout *t)
{
    *t->link = t->next;
    if (t->next) t->next->link = t->link;
    if (wheel->due_end == &t->next) wheel->due_end = t->link;
    t->link = NULL;
    uint32_t slot = slot_of(tick_of(t->due_ms));
    if (!wheel->slot[slot]) wheel->used[slot / 64] &= ~(UINT64_C(1) << slot % 64);
}

void wheel_set(struct wheel *wheel, struct timeout *t, uint64_t after_ms)
{
    assert(t->fire);
    wheel_cancel(wheel, t);
    uint64_t now_ms = wheel->now_ms;
    if (wheel->clock) {
        /* The last run was before the loop slept, and may be long ago. */
        uint64_t clock_ms = wheel->clock->mono_us(wheel->clock->self) / 1000;
        if (clock_ms > now_ms) now_ms = clock_ms;
    }
    assert(after_ms < UINT64_MAX / 2);
    uint64_t tick = tick_of(now_ms + after_ms + WHEEL_TICK_MS - 1);
    /* The slot of the current tick was emptied already; the next one is the soonest that is looked at. */
    if (tick <= tick_of(wheel->now_ms)) tick = tick_of(wheel->now_ms) + 1;
    t->due_ms = tick * WHEEL_TICK_MS;

    uint32_t slot = slot_of(tick);
    t->next = wheel->slot[slot];
    t->link = &wheel->slot[slot];
    if (t->next) t->next->link = &t->next;
    wheel->slot[slot] = t;
    wheel->used[slot / 64] |= UINT64_C(1) << slot % 64;
    wheel->count++;
}

void wheel_cancel(struct wheel *wheel, struct timeout *t)
{
    if (!timeout_is_set(t)) return;
    unlink_timeout(wheel, t);
    wheel->count--;
}

/* Move what is due at `tick` or before from its slot to the end of `due`. */
static void collect_slot(struct wheel *wheel, uint32_t slot, uint64_t tick)
{
    struct timeout *next;
    for (struct timeout *t = wheel->slot[slot]; t; t = next) {
        next = t->next;
        if (tick_of(t->due_ms) > tick) continue;    /* a later round's */
        unlink_timeout(wheel, t);
        t->next = NULL;
        t->link = wheel->due_end;
        *wheel->due_end = t;
        wheel->due_end = &t->next;
    }
}

bool wheel_run(struct wheel *wheel, uint64_t now_ms, uint32_t max)
{
    if (now_ms > wheel->now_ms) {
        uint64_t from = tick_of(wheel->now_ms) + 1, to = tick_of(now_ms);
        /* After a long sleep every slot is looked at, once. */
        uint64_t last = to - from >= WHEEL_SLOTS && to >= from ? from + WHEEL_SLOTS - 1 : to;
        for (uint64_t tick = from; tick <= last; tick++)
            collect_slot(wheel, slot_of(tick), to);
        wheel->now_ms = now_ms;
    }
    for (; wheel->due && max > 0; max--) {
        struct timeout *t = wheel->due;
        wheel_cancel(wheel, t);
        t->fire(t);    /* may free t, and may set or cancel any other */
    }
    return wheel->due == NULL;
}

/* How many slots after `slot`, going round, the next used one is: 1..WHEEL_SLOTS (itself, a round later). */
static uint32_t next_used(const struct wheel *wheel, uint32_t slot)
{
    for (uint32_t step = 1; step <= WHEEL_SLOTS;) {
        uint32_t i = (slot + step) % WHEEL_SLOTS;
        uint64_t rest = wheel->used[i / 64] >> i % 64;
        if (rest) return step + (uint32_t)__builtin_ctzll(rest);
        step += 64 - i % 64;    /* on to the next word */
    }
    /* The first word is looked at twice, the second time from its start: all were covered. */
    assert(!"a timeout is set and no slot is used");
    return WHEEL_SLOTS;
}

uint64_t wheel_next_ms(const struct wheel *wheel)
{
    if (wheel->due) return 0;
    if (wheel->count == 0) return UINT64_MAX;
    uint64_t tick = tick_of(wheel->now_ms);
    return (tick + next_used(wheel, slot_of(tick))) * WHEEL_TICK_MS - wheel->now_ms;
}
