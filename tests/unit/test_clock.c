/* test_clock.c - time comes from here, and a test may turn it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "server/core/clock.h"

static void the_real_clock_tells_the_systems_wall_time(void **state)
{
    (void)state;
    const struct clock *clock = clock_real();
    struct timespec before, after;
    clock_gettime(CLOCK_REALTIME, &before);
    uint64_t told_ms = clock->wall_ms(clock->self);
    clock_gettime(CLOCK_REALTIME, &after);
    assert_true(told_ms >= (uint64_t)before.tv_sec * 1000 + (uint64_t)before.tv_nsec / 1000000);
    assert_true(told_ms <= (uint64_t)after.tv_sec * 1000 + (uint64_t)after.tv_nsec / 1000000);
}

static void the_real_monotonic_clock_never_steps_back(void **state)
{
    (void)state;
    const struct clock *clock = clock_real();
    uint64_t last_us = clock->mono_us(clock->self);
    for (int i = 0; i < 100000; i++) {
        uint64_t now_us = clock->mono_us(clock->self);
        assert_true(now_us >= last_us);
        last_us = now_us;
    }
}

static void a_hand_clock_stands_still_until_it_is_turned(void **state)
{
    (void)state;
    struct clock_hand hand;
    clock_hand_init(&hand, 1700000000000);
    const struct clock *clock = &hand.clock;
    assert_true(clock->wall_ms(clock->self) == 1700000000000);
    assert_true(clock->mono_us(clock->self) == 1700000000000000);
    assert_true(clock->wall_ms(clock->self) == 1700000000000);
}

static void turning_moves_both_hands_by_the_same(void **state)
{
    (void)state;
    struct clock_hand hand;
    clock_hand_init(&hand, 5);
    clock_hand_advance(&hand, 10);
    clock_hand_advance(&hand, 32);
    assert_true(hand.clock.wall_ms(hand.clock.self) == 47);
    assert_true(hand.clock.mono_us(hand.clock.self) == 47000);
}

static void two_hand_clocks_do_not_know_of_each_other(void **state)
{
    (void)state;
    struct clock_hand a, b;
    clock_hand_init(&a, 1);
    clock_hand_init(&b, 1);
    clock_hand_advance(&a, 1000);
    assert_true(a.clock.wall_ms(a.clock.self) == 1001);
    assert_true(b.clock.wall_ms(b.clock.self) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_real_clock_tells_the_systems_wall_time),
        cmocka_unit_test(the_real_monotonic_clock_never_steps_back),
        cmocka_unit_test(a_hand_clock_stands_still_until_it_is_turned),
        cmocka_unit_test(turning_moves_both_hands_by_the_same),
        cmocka_unit_test(two_hand_clocks_do_not_know_of_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
