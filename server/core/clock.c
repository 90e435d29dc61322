/* clock.c - the two clocks: the machine's, and one that a test turns by hand. */
#include "server/core/clock.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

static uint64_t read_us(clockid_t id)
{
    struct timespec t;
    int failed = clock_gettime(id, &t);
    assert(!failed);    /* both clocks exist on every Linux */
    (void)failed;
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t real_wall_ms(void *self)
{
    (void)self;
    return read_us(CLOCK_REALTIME) / 1000;
}

static uint64_t real_mono_us(void *self)
{
    (void)self;
    return read_us(CLOCK_MONOTONIC);
}

const struct clock *clock_real(void)
{
    static const struct clock real = { real_wall_ms, real_mono_us, NULL };
    return &real;
}

static uint64_t hand_wall_ms(void *self)
{
    return atomic_load(&((struct clock_hand *)self)->wall_ms_now);
}

static uint64_t hand_mono_us(void *self)
{
    return atomic_load(&((struct clock_hand *)self)->mono_us_now);
}

void clock_hand_init(struct clock_hand *hand, uint64_t wall_ms)
{
    hand->clock = (struct clock){ hand_wall_ms, hand_mono_us, hand };
    atomic_init(&hand->wall_ms_now, wall_ms);
    atomic_init(&hand->mono_us_now, wall_ms * 1000);
}

void clock_hand_advance(struct clock_hand *hand, uint64_t ms)
{
    /* Two stores, so a reader between them sees one hand moved and the other not yet: as with the real clocks,
     * nothing may be concluded from the difference of the two. */
    atomic_fetch_add(&hand->wall_ms_now, ms);
    atomic_fetch_add(&hand->mono_us_now, ms * 1000);
}
