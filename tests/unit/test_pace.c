/* test_pace.c - work that holds a rate takes at least so long, and ends soon when it is to stop. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "proto/err.h"
#include "server/pace.h"

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void pieces_take_at_least_what_the_rate_says(void **state)
{
    struct pace pace = { 0 };
    _Atomic _Bool stop = false;
    uint64_t began = now_ms();
    (void)state;
    for (int i = 0; i < 5; i++) assert_int_equal(pace_hold(&pace, 10000, 1000000, &stop), 0);
    assert_true(now_ms() - began >= 49);             /* 50,000 bytes at a million a second, less what is cut off */
}

static void what_is_forgotten_is_not_waited_for(void **state)
{
    struct pace pace = { 0 };
    _Atomic _Bool stop = true;
    (void)state;
    assert_int_equal(pace_hold(&pace, UINT64_C(1) << 30, 1, &stop), ERR_GOING);
    stop = false;
    pace_forget(&pace);                              /* or it would wait for 30 years */
    assert_int_equal(pace_hold(&pace, 0, 1, &stop), 0);
}

static void *set(void *arg)
{
    atomic_store((_Atomic _Bool *)arg, true);
    return NULL;
}

static void who_sleeps_is_stopped(void **state)
{
    struct pace pace = { 0 };
    static _Atomic _Bool stop;
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, set, (void *)&stop), 0);
    assert_int_equal(pace_hold(&pace, UINT64_C(1) << 30, 1, &stop), ERR_GOING);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_take_at_least_what_the_rate_says),
        cmocka_unit_test(what_is_forgotten_is_not_waited_for),
        cmocka_unit_test(who_sleeps_is_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
