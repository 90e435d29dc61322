/* clock.h - the one source of time. Nothing else in server/ calls clock_gettime or time.
 *
 * Wall time stamps ids and rows, monotonic time drives timers. A test gives a clock that it turns by hand.
 * Thread: any. */
#ifndef PIPIT_CORE_CLOCK_H
#define PIPIT_CORE_CLOCK_H

#include <stdint.h>

struct clock {
    uint64_t (*wall_ms)(void *self);     /* since 1970, UTC; may step */
    uint64_t (*mono_us)(void *self);     /* never steps back */
    void *self;
};

const struct clock *clock_real(void);

/* Turned by hand: both hands start at `wall_ms` and move only by clock_hand_advance(). Reading and advancing
 * are atomic, so shards may read while a test turns. */
struct clock_hand {
    struct clock clock;
    _Atomic uint64_t wall_ms_now;
    _Atomic uint64_t mono_us_now;
};
void clock_hand_init(struct clock_hand *hand, uint64_t wall_ms);
void clock_hand_advance(struct clock_hand *hand, uint64_t ms);

#endif
