/* wheel.h - many timeouts on one uv_timer_t.
 *
 * A hashed wheel of WHEEL_SLOTS slots of WHEEL_TICK_MS each; a timer further away goes round again. Adding and
 * cancelling are O(1) and allocate nothing: the timer is embedded in its owner. Timers fire late by up to one
 * tick and never early. Thread: the wheel's shard. */
#ifndef PIPIT_CORE_WHEEL_H
#define PIPIT_CORE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

enum { WHEEL_SLOTS = 512, WHEEL_TICK_MS = 64 };

struct clock;
struct timeout {
    struct timeout *next, **link;        /* link NULL: not set */
    uint64_t due_ms;                     /* already rounded up to a tick */
    void (*fire)(struct timeout *t);     /* t is no longer set when this runs; it may be set again in it */
};
struct wheel {
    struct timeout *slot[WHEEL_SLOTS];
    uint64_t now_ms;                     /* up to which all has fired */
    uint32_t count;                      /* set */
    uint64_t used[WHEEL_SLOTS / 64];     /* bit set: something is in that slot */
    struct timeout *due, **due_end;      /* found due, not fired yet */
    /* Where wheel_set() reads the time from. NULL: time stands still between two runs. A shard needs it: what is
     * set from a callback would otherwise count from before the sleep, and fire early by its length. */
    const struct clock *clock;
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);
void wheel_set(struct wheel *wheel, struct timeout *t, uint64_t after_ms);   /* moves it when it is set already */
void wheel_cancel(struct wheel *wheel, struct timeout *t);                   /* harmless when not set */
bool timeout_is_set(const struct timeout *t);
/* Fire all that is due at now_ms, at most `max` of them; false: some are left for the next turn. */
bool wheel_run(struct wheel *wheel, uint64_t now_ms, uint32_t max);
/* ms after now_ms at which the loop must look again; UINT64_MAX: nothing is set. Never too late; it may be too early
 * (at most once a round) when what is next is more than a round away. */
uint64_t wheel_next_ms(const struct wheel *wheel);

#endif
