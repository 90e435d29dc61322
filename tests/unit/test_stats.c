/* test_stats.c - counters are written by one and walked by anyone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "server/core/stats.h"

#define STATS_ONE(name, kind, text) +1
enum { STATS_COUNT = STATS_LIST(STATS_ONE) };

struct seen {
    const char *want;
    int is_count;
    uint64_t value;
    uint32_t all;
};

static void see(void *arg, const char *name, int is_count, const char *text, uint64_t value)
{
    struct seen *seen = arg;
    seen->all++;
    assert_true(text[0] != '\0');
    if (strcmp(name, seen->want)) return;
    seen->is_count = is_count;
    seen->value = value;
}

static struct seen look(const struct stats *stats, const char *name)
{
    struct seen seen = { .want = name, .is_count = -1 };
    stats_each(stats, see, &seen);
    return seen;
}

static void a_walk_gives_each_counter_once(void **state)
{
    (void)state;
    struct stats stats = { 0 };
    assert_int_equal(look(&stats, "").all, STATS_COUNT);
}

static void a_walk_tells_value_and_kind_by_name(void **state)
{
    (void)state;
    struct stats stats = { 0 };
    STAT_ADD(&stats, frames_in, 3);
    STAT_ADD(&stats, frames_in, 4);
    STAT_ADD(&stats, conns, 5);
    STAT_SUB(&stats, conns, 2);
    STAT_SET(&stats, commit_us_max, 99);
    assert_true(look(&stats, "frames_in").value == 7);
    assert_int_equal(look(&stats, "frames_in").is_count, 1);
    assert_true(look(&stats, "conns").value == 3);
    assert_int_equal(look(&stats, "conns").is_count, 0);
    assert_true(look(&stats, "commit_us_max").value == 99);
    assert_true(look(&stats, "frames_out").value == 0);
    assert_true(STAT_GET(&stats, frames_in) == 7);
}

/* The thread sanitizer is the judge of the reading; what was read only rises. */
enum { ADDS = 100000 };

static void *add(void *arg)
{
    for (int i = 0; i < ADDS; i++) STAT_ADD((struct stats *)arg, bytes_in, 2);
    return NULL;
}

static void another_thread_may_read_while_the_owner_counts(void **state)
{
    (void)state;
    struct stats stats = { 0 };
    pthread_t owner;
    assert_int_equal(pthread_create(&owner, NULL, add, &stats), 0);
    uint64_t last = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t now = look(&stats, "bytes_in").value;
        assert_true(now >= last && now % 2 == 0);
        last = now;
    }
    pthread_join(owner, NULL);
    assert_true(STAT_GET(&stats, bytes_in) == 2 * ADDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_walk_gives_each_counter_once),
        cmocka_unit_test(a_walk_tells_value_and_kind_by_name),
        cmocka_unit_test(another_thread_may_read_while_the_owner_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
