/* test_wheel.c - timeouts fire once, never early, at most a tick late, whatever is done to them meanwhile. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>


#include "server/core/clock.h"
#include "server/core/wheel.h"
#include "tests/harness/chance.h"

enum {
    START_MS = 1000003,                              /* not on a tick */
    ROUND_MS = WHEEL_SLOTS * WHEEL_TICK_MS,
    ALL = 1000000,
};

/* A timeout that counts its firings and may do something to another one. */
struct alarm {
    struct timeout timeout;                          /* first: a timeout is an alarm */
    struct wheel *wheel;
    uint32_t fired;
    uint64_t fired_ms;                               /* the wheel's time */
    struct alarm *cancel;                            /* in fire */
    struct alarm *set;
    uint64_t set_after_ms;
};

static void alarm_fire(struct timeout *t)
{
    struct alarm *a = (struct alarm *)t;
    assert_false(timeout_is_set(t));
    a->fired++;
    a->fired_ms = a->wheel->now_ms;
    if (a->cancel) wheel_cancel(a->wheel, &a->cancel->timeout);
    if (a->set) wheel_set(a->wheel, &a->set->timeout, a->set_after_ms);
}

static struct alarm alarm_on(struct wheel *wheel)
{
    return (struct alarm){ .timeout.fire = alarm_fire, .wheel = wheel };
}

static void a_timeout_is_not_early_and_at_most_a_tick_late(void **state)
{
    (void)state;
    static const uint64_t after[] = { 0, 1, 63, 64, 65, 1000, ROUND_MS - 1, ROUND_MS, ROUND_MS + 1, 5 * ROUND_MS + 77 };
    for (size_t i = 0; i < sizeof after / sizeof after[0]; i++) {
        for (uint64_t start_ms = START_MS; start_ms < START_MS + 2 * WHEEL_TICK_MS; start_ms++) {
            struct wheel wheel;
            wheel_init(&wheel, start_ms);
            struct alarm a = alarm_on(&wheel);
            wheel_set(&wheel, &a.timeout, after[i]);
            uint64_t due_ms = start_ms + after[i], now_ms = start_ms;
            if (due_ms > start_ms) {
                now_ms = due_ms - 1;
                assert_true(wheel_run(&wheel, now_ms, ALL));
                assert_int_equal(a.fired, 0);
            }
            while (!a.fired) assert_true(wheel_run(&wheel, ++now_ms, ALL));
            assert_true(now_ms >= due_ms && now_ms <= due_ms + WHEEL_TICK_MS);
            assert_int_equal(wheel.count, 0);
        }
    }
}

static void a_cancelled_timeout_does_not_fire_and_cancelling_twice_is_harmless(void **state)
{
    (void)state;
    struct wheel wheel;
    wheel_init(&wheel, START_MS);
    struct alarm a = alarm_on(&wheel);
    wheel_cancel(&wheel, &a.timeout);
    wheel_set(&wheel, &a.timeout, 100);
    assert_true(timeout_is_set(&a.timeout));
    wheel_cancel(&wheel, &a.timeout);
    wheel_cancel(&wheel, &a.timeout);
    assert_false(timeout_is_set(&a.timeout));
    assert_true(wheel_next_ms(&wheel) == UINT64_MAX);
    wheel_run(&wheel, START_MS + ROUND_MS, ALL);
    assert_int_equal(a.fired, 0);
}

static void setting_again_moves_it(void **state)
{
    (void)state;
    struct wheel wheel;
    wheel_init(&wheel, START_MS);
    struct alarm a = alarm_on(&wheel);
    wheel_set(&wheel, &a.timeout, 100);
    wheel_set(&wheel, &a.timeout, 5000);
    assert_int_equal(wheel.count, 1);
    wheel_run(&wheel, START_MS + 4999, ALL);
    assert_int_equal(a.fired, 0);
    wheel_run(&wheel, START_MS + 5000 + WHEEL_TICK_MS, ALL);
    assert_int_equal(a.fired, 1);
}

static void one_that_fires_may_cancel_another_that_is_due_too(void **state)
{
    (void)state;
    /* Both orders of setting: in one of them the other comes after it in the list, at its end. */
    for (int order = 0; order < 2; order++) {
        struct wheel wheel;
        wheel_init(&wheel, START_MS);
        struct alarm a = alarm_on(&wheel), b = alarm_on(&wheel), after = alarm_on(&wheel);
        a.cancel = &b;
        b.cancel = &a;
        wheel_set(&wheel, order ? &a.timeout : &b.timeout, 100);
        wheel_set(&wheel, order ? &b.timeout : &a.timeout, 100);
        assert_true(wheel_run(&wheel, START_MS + 200, ALL));
        assert_int_equal(a.fired + b.fired, 1);
        assert_int_equal(wheel.count, 0);
        /* The list it was cut from is whole. */
        wheel_set(&wheel, &after.timeout, 100);
        assert_true(wheel_run(&wheel, START_MS + 400, ALL));
        assert_int_equal(after.fired, 1);
    }
}

static void one_that_fires_may_set_itself_and_fires_once_a_run(void **state)
{
    (void)state;
    struct wheel wheel;
    wheel_init(&wheel, START_MS);
    struct alarm a = alarm_on(&wheel);
    a.set = &a;
    a.set_after_ms = 0;
    wheel_set(&wheel, &a.timeout, 0);
    for (uint32_t i = 1; i <= 100; i++) {
        assert_true(wheel_run(&wheel, START_MS + i * WHEEL_TICK_MS, ALL));
        assert_int_equal(a.fired, i);
    }
}

static void one_that_fires_may_move_another_that_is_due_too(void **state)
{
    (void)state;
    struct wheel wheel;
    wheel_init(&wheel, START_MS);
    struct alarm a = alarm_on(&wheel), b = alarm_on(&wheel);
    a.set = &b;
    b.set = &a;
    a.set_after_ms = b.set_after_ms = 1000;
    wheel_set(&wheel, &a.timeout, 10);
    wheel_set(&wheel, &b.timeout, 10);
    wheel_run(&wheel, START_MS + 100, ALL);
    assert_int_equal(a.fired + b.fired, 1);
    wheel_run(&wheel, START_MS + 1099, ALL);
    assert_int_equal(a.fired + b.fired, 1);
    wheel_run(&wheel, START_MS + 1100 + WHEEL_TICK_MS, ALL);
    assert_int_equal(a.fired, 1);
    assert_int_equal(b.fired, 1);
}

static void a_limit_leaves_the_rest_to_the_next_run_and_says_so(void **state)
{
    (void)state;
    enum { ALARMS = 100 };
    struct wheel wheel;
    struct alarm a[ALARMS];
    wheel_init(&wheel, START_MS);
    for (int i = 0; i < ALARMS; i++) {
        a[i] = alarm_on(&wheel);
        wheel_set(&wheel, &a[i].timeout, 10);
    }
    assert_false(wheel_run(&wheel, START_MS + 100, 40));
    assert_true(wheel_next_ms(&wheel) == 0);
    assert_false(wheel_run(&wheel, START_MS + 100, 59));
    assert_true(wheel_run(&wheel, START_MS + 100, 1));
    for (int i = 0; i < ALARMS; i++) assert_int_equal(a[i].fired, 1);
    assert_true(wheel_next_ms(&wheel) == UINT64_MAX);
}

static void what_a_limit_left_can_still_be_cancelled(void **state)
{
    (void)state;
    struct wheel wheel;
    wheel_init(&wheel, START_MS);
    struct alarm a = alarm_on(&wheel), b = alarm_on(&wheel);
    wheel_set(&wheel, &a.timeout, 10);
    wheel_set(&wheel, &b.timeout, 10);
    assert_false(wheel_run(&wheel, START_MS + 100, 1));
    struct alarm *left = a.fired ? &b : &a;
    wheel_cancel(&wheel, &left->timeout);
    assert_true(wheel_run(&wheel, START_MS + 200, 1));
    assert_int_equal(a.fired + b.fired, 1);
}

static void a_wheel_with_a_clock_counts_from_now_not_from_its_last_run(void **state)
{
    (void)state;
    struct clock_hand hand;
    struct wheel wheel;
    clock_hand_init(&hand, START_MS);
    wheel_init(&wheel, START_MS);
    wheel.clock = &hand.clock;
    struct alarm a = alarm_on(&wheel);
    clock_hand_advance(&hand, 10000);    /* the loop slept, and a callback sets a timeout */
    wheel_set(&wheel, &a.timeout, 5000);
    wheel_run(&wheel, START_MS + 14999, ALL);
    assert_int_equal(a.fired, 0);
    wheel_run(&wheel, START_MS + 15000 + WHEEL_TICK_MS, ALL);
    assert_int_equal(a.fired, 1);
}

static void time_that_steps_back_fires_nothing_and_breaks_nothing(void **state)
{
    (void)state;
    struct wheel wheel;
    wheel_init(&wheel, START_MS);
    struct alarm a = alarm_on(&wheel);
    wheel_set(&wheel, &a.timeout, 100);
    assert_true(wheel_run(&wheel, START_MS - 5000, ALL));
    assert_int_equal(a.fired, 0);
    wheel_run(&wheel, START_MS + 100 + WHEEL_TICK_MS, ALL);
    assert_int_equal(a.fired, 1);
}

/* ---- against a model ---- */

/* Many alarms set, moved and cancelled at random, time in steps from nothing to several rounds, runs with limits. The
 * model is when each is due, and nothing else. */
static void random_use_agrees_with_a_list_of_times(void **state)
{
    (void)state;
    enum { ALARMS = 300, STEPS = 40000 };
    static struct alarm a[ALARMS];
    static uint64_t due_ms[ALARMS];      /* UINT64_MAX: not set */
    static uint32_t fired[ALARMS];
    uint64_t random = run_seed(), now_ms = START_MS + chance_below(&random, 1000);
    struct wheel wheel;
    wheel_init(&wheel, now_ms);
    for (int i = 0; i < ALARMS; i++) {
        a[i] = alarm_on(&wheel);
        due_ms[i] = UINT64_MAX;
    }
    for (int step = 0; step < STEPS; step++) {
        uint32_t i = chance_below(&random, ALARMS);
        switch (chance_below(&random, 8)) {
        case 0:
            wheel_cancel(&wheel, &a[i].timeout);
            due_ms[i] = UINT64_MAX;
            break;
        case 1: case 2: case 3: case 4: {
            uint64_t after_ms = chance_below(&random, chance_below(&random, 2) ? 500 : 4 * ROUND_MS);
            wheel_set(&wheel, &a[i].timeout, after_ms);
            due_ms[i] = now_ms + after_ms;
            break;
        }
        default: {
            static const uint32_t steps[] = { 1, 10, WHEEL_TICK_MS + 1, 3000, 2 * ROUND_MS };
            /* Sometimes exactly as far as the wheel wants to sleep. */
            uint64_t sleep_ms = wheel_next_ms(&wheel);
            uint64_t ms = chance_below(&random, steps[chance_below(&random, 5)]);
            if (sleep_ms != UINT64_MAX && chance_below(&random, 2)) ms = sleep_ms;
            now_ms += ms;
            while (!wheel_run(&wheel, now_ms, 1 + chance_below(&random, 20))) {}
            for (int j = 0; j < ALARMS; j++) {
                uint32_t new_ones = a[j].fired - fired[j];
                fired[j] = a[j].fired;
                if (new_ones) {
                    assert_int_equal(new_ones, 1);
                    assert_true(due_ms[j] <= now_ms);
                    due_ms[j] = UINT64_MAX;
                }
                /* Not set, or not due longer than a tick. */
                assert_true(due_ms[j] == UINT64_MAX || now_ms <= due_ms[j] + WHEEL_TICK_MS);
                assert_int_equal(timeout_is_set(&a[j].timeout), due_ms[j] != UINT64_MAX);
            }
        }
        }
        /* Whoever sleeps as long as told is never later than a tick. */
        uint64_t soonest_ms = UINT64_MAX;
        for (int j = 0; j < ALARMS; j++)
            if (due_ms[j] < soonest_ms) soonest_ms = due_ms[j];
        if (soonest_ms == UINT64_MAX) assert_true(wheel_next_ms(&wheel) == UINT64_MAX);
        else assert_true(now_ms + wheel_next_ms(&wheel) <= soonest_ms + WHEEL_TICK_MS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeout_is_not_early_and_at_most_a_tick_late),
        cmocka_unit_test(a_cancelled_timeout_does_not_fire_and_cancelling_twice_is_harmless),
        cmocka_unit_test(setting_again_moves_it),
        cmocka_unit_test(one_that_fires_may_cancel_another_that_is_due_too),
        cmocka_unit_test(one_that_fires_may_set_itself_and_fires_once_a_run),
        cmocka_unit_test(one_that_fires_may_move_another_that_is_due_too),
        cmocka_unit_test(a_limit_leaves_the_rest_to_the_next_run_and_says_so),
        cmocka_unit_test(what_a_limit_left_can_still_be_cancelled),
        cmocka_unit_test(a_wheel_with_a_clock_counts_from_now_not_from_its_last_run),
        cmocka_unit_test(time_that_steps_back_fires_nothing_and_breaks_nothing),
        cmocka_unit_test(random_use_agrees_with_a_list_of_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
