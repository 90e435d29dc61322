/* test_attempts.c - buckets of attempts: how many, from whom, for how long, and never more memory than was said. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/chat/attempts.h"
#include "tests/harness/chance.h"
#include "tests/harness/rig.h"

enum { REFILL_MS = 10000 };
static const struct attempt_limit three = { 3, REFILL_MS };
static const uint64_t start_ms = 1000000;

static struct attempt_key key_of(const char *peer, const char *user)
{
    struct attempt_key key;
    attempt_key_of(peer, &key);
    if (user) key.user = rig_user(user);
    return key;
}

static void a_bucket_gives_its_tokens_and_then_tells_when_the_next_one_comes(void **state)
{
    (void)state;
    struct attempts *a = attempts_new(100);
    struct attempt_key key = key_of("192.0.2.1", "alice");
    uint64_t now = start_ms;
    for (int i = 0; i < 3; i++) assert_int_equal(attempts_take(a, &key, three, now), 0);
    assert_int_equal(attempts_take(a, &key, three, now), REFILL_MS);
    now += 4000;
    assert_int_equal(attempts_take(a, &key, three, now), REFILL_MS - 4000);      /* refusals cost nothing */
    now += REFILL_MS - 4000 - 1;
    assert_int_equal(attempts_take(a, &key, three, now), 1);
    now += 1;
    assert_int_equal(attempts_take(a, &key, three, now), 0);
    assert_int_equal(attempts_take(a, &key, three, now), REFILL_MS);
    now += 10 * REFILL_MS;                                                       /* never more than full */
    for (int i = 0; i < 3; i++) assert_int_equal(attempts_take(a, &key, three, now), 0);
    assert_true(attempts_take(a, &key, three, now) > 0);
    attempts_free(a);
}

static void what_is_said_is_true_whatever_the_times(void **state)
{
    (void)state;
    srand((unsigned)run_seed());
    for (int round = 0; round < 200; round++) {
        struct attempts *a = attempts_new(100);
        struct attempt_key key = key_of("192.0.2.1", NULL);
        struct attempt_limit limit = { (uint32_t)(1 + rand() % 5), (uint32_t)(1 + rand() % 1000) };
        uint64_t now = start_ms, refused_until = 0, taken[64];
        size_t count = 0;
        for (int i = 0; i < 64; i++) {
            now += (uint64_t)(rand() % 400);
            uint64_t wait = attempts_take(a, &key, limit, now);
            if (now >= refused_until && refused_until) assert_int_equal(wait, 0);    /* the time had come */
            refused_until = wait ? now + wait : 0;
            if (wait) continue;
            taken[count++] = now;
            /* In any span no more than a full bucket and what came in meanwhile. */
            for (size_t k = 0; k < count; k++)
                assert_true(count - k <= limit.max + (now - taken[k]) / limit.refill_ms);
        }
        attempts_free(a);
    }
}

static void nobody_is_kept_out_by_somebody_else(void **state)
{
    (void)state;
    struct attempts *a = attempts_new(100);
    struct attempt_key guess = key_of("192.0.2.1", "alice");
    static const char *const others[][2] = {
        { "192.0.2.2", "alice" }, { "192.0.2.1", "bob" }, { "192.0.2.1", NULL }, { "2001:db8::1", "alice" },
    };
    while (attempts_take(a, &guess, three, start_ms) == 0) continue;
    for (size_t i = 0; i < 4; i++) {
        struct attempt_key key = key_of(others[i][0], others[i][1]);
        assert_int_equal(attempts_take(a, &key, three, start_ms), 0);
    }
    attempts_free(a);
}

static void addresses_of_one_customer_are_one(void **state)
{
    (void)state;
    static const struct { const char *a, *b; bool same; } cases[] = {
        { "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true }, { "2001:db8:1:2::1", "2001:db8:1:3::1", false },
        { "192.0.2.1", "::ffff:192.0.2.1", true },           { "192.0.2.1", "192.0.2.2", false },
        { "::ffff:192.0.2.1", "::ffff:192.0.2.2", false },   { "::1", "127.0.0.1", false },
        { "unix", "unix", true },                            { "unix", "other", false },
        { "unix", "::", false },                             { "", "0.0.0.0", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct attempt_key a = key_of(cases[i].a, NULL), b = key_of(cases[i].b, NULL);
        if ((memcmp(&a, &b, sizeof a) == 0) != cases[i].same) fail_msg("%s and %s", cases[i].a, cases[i].b);
    }
}

static void a_token_given_back_was_never_taken(void **state)
{
    (void)state;
    struct attempts *a = attempts_new(100);
    struct attempt_key key = key_of("192.0.2.1", "alice");
    for (int i = 0; i < 100; i++) {
        assert_int_equal(attempts_take(a, &key, three, start_ms), 0);
        attempts_give(a, &key, three, start_ms);
        assert_int_equal(attempts_kept(a), 0);                                   /* a full one is not kept */
    }
    for (int i = 0; i < 3; i++) assert_int_equal(attempts_take(a, &key, three, start_ms), 0);
    attempts_give(a, &key, three, start_ms);
    assert_int_equal(attempts_take(a, &key, three, start_ms), 0);
    assert_true(attempts_take(a, &key, three, start_ms) > 0);
    attempts_give(a, &key, three, start_ms + 100 * REFILL_MS);                   /* late, when it is full anyway */
    attempts_give(a, &key, three, start_ms + 100 * REFILL_MS);
    for (int i = 0; i < 3; i++) assert_int_equal(attempts_take(a, &key, three, start_ms + 100 * REFILL_MS), 0);
    assert_true(attempts_take(a, &key, three, start_ms + 100 * REFILL_MS) > 0);
    attempts_free(a);
}

static void no_limit_keeps_nothing(void **state)
{
    (void)state;
    struct attempts *a = attempts_new(100);
    struct attempt_key key = key_of("192.0.2.1", NULL);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(attempts_take(a, &key, (struct attempt_limit){ 0, 1 }, start_ms), 0);
    assert_int_equal(attempts_kept(a), 0);
    attempts_free(a);
}

static void the_table_is_bounded_and_the_oldest_goes_first(void **state)
{
    (void)state;
    enum { KEPT = 50 };
    struct attempts *a = attempts_new(KEPT);
    struct attempt_key first = key_of("192.0.2.1", "first"), kept = key_of("192.0.2.1", "kept");
    while (attempts_take(a, &first, three, start_ms) == 0) continue;
    while (attempts_take(a, &kept, three, start_ms) == 0) continue;
    for (uint32_t i = 0; i < KEPT - 2; i++) {
        char peer[32];
        snprintf(peer, sizeof peer, "198.51.%u.%u", i / 256, i % 256);
        struct attempt_key key = key_of(peer, NULL);
        assert_int_equal(attempts_take(a, &key, three, start_ms + 1), 0);
    }
    assert_int_equal(attempts_kept(a), KEPT);
    struct attempt_key more = key_of("203.0.113.1", NULL);
    assert_int_equal(attempts_take(a, &more, three, start_ms + 2), 0);
    assert_int_equal(attempts_kept(a), KEPT);
    assert_int_equal(attempts_take(a, &first, three, start_ms + 2), 0);          /* forgotten */
    attempts_set_max(a, 2);
    assert_int_equal(attempts_kept(a), 2);
    attempts_free(a);
}

static void full_buckets_make_room_for_those_in_use(void **state)
{
    (void)state;
    struct attempts *a = attempts_new(1000);
    for (uint32_t i = 0; i < 500; i++) {
        char peer[32];
        snprintf(peer, sizeof peer, "198.51.%u.%u", i / 256, i % 256);
        struct attempt_key key = key_of(peer, NULL);
        assert_int_equal(attempts_take(a, &key, three, start_ms), 0);
    }
    assert_int_equal(attempts_kept(a), 500);
    uint64_t later = start_ms + REFILL_MS;                                       /* all are full again */
    for (uint32_t i = 0; i < 300; i++) {
        char peer[32];
        snprintf(peer, sizeof peer, "203.0.%u.%u", i / 256, i % 256);
        struct attempt_key key = key_of(peer, NULL);
        assert_int_equal(attempts_take(a, &key, three, later), 0);
    }
    assert_int_equal(attempts_kept(a), 300);
    attempts_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_gives_its_tokens_and_then_tells_when_the_next_one_comes),
        cmocka_unit_test(what_is_said_is_true_whatever_the_times),
        cmocka_unit_test(nobody_is_kept_out_by_somebody_else),
        cmocka_unit_test(addresses_of_one_customer_are_one),
        cmocka_unit_test(a_token_given_back_was_never_taken),
        cmocka_unit_test(no_limit_keeps_nothing),
        cmocka_unit_test(the_table_is_bounded_and_the_oldest_goes_first),
        cmocka_unit_test(full_buckets_make_room_for_those_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
