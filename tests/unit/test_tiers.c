/* test_tiers.c - which tables are merged next: the rules one by one, and thousands of steps of made-up stores. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "storage/sorted.h"
#include "storage/tiers.h"
#include "tests/harness/chance.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define SEGMENT (64 * MIB)
#define DAY_MS (UINT64_C(24) * 3600 * 1000)
#define NOW_MS UINT64_C(1700000000000)

enum { TABLES_MAX = 4096 };

/* One stretch of history whose sorted tables are written whenever the rules say so. */
struct store {
    struct tiers_table at[TABLES_MAX];
    size_t count;
    struct tiers_rule rule;
    uint64_t merges, merged_bytes;
};

static void store_init(struct store *store)
{
    store->count = 0;
    store->merges = store->merged_bytes = 0;
    store->rule = (struct tiers_rule){ .segment_bytes = SEGMENT, .room = UINT64_MAX, .now_ms = NOW_MS,
                                       .due_ms = KEEP_DUE_MS };
}

/* A closed segment of `source` bytes was sorted: it takes four fifths of that. */
static void store_add(struct store *store, uint64_t source)
{
    assert_true(store->count < TABLES_MAX);
    uint64_t bytes = source - source / 5;
    store->at[store->count++] = (struct tiers_table){ .bytes = bytes, .source_bytes = source, .written_bytes = bytes,
                                                      .spans = 1 };
}

/* Neighbours become one; what is dead in them is gone, and takes `dead` of 16 parts of them along. */
static void store_merge(struct store *store, size_t first, size_t count, uint64_t dead)
{
    assert_true(count >= 1 && count <= KEEP_INPUTS_MAX && first + count <= store->count);
    struct tiers_table into = { 0 };
    for (size_t i = first; i < first + count; i++) {
        into.bytes += store->at[i].bytes;
        into.source_bytes += store->at[i].source_bytes;
        into.written_bytes += store->at[i].written_bytes;
        into.spans += store->at[i].spans;
    }
    assert_true(count > 1 || store->at[first].dead_ms);
    assert_true(into.bytes <= KEEP_BYTES_MAX && into.bytes <= store->rule.room && into.spans <= SORTED_SPANS_MAX);
    into.spans = 1;
    into.bytes -= into.bytes / 16 * dead;
    into.written_bytes += into.bytes;
    store->merges++;
    store->merged_bytes += into.bytes;
    store->at[first] = into;
    memmove(&store->at[first + 1], &store->at[first + count], (store->count - first - count) * sizeof *store->at);
    store->count -= count - 1;
}

static bool store_step(struct store *store)
{
    size_t first, count;
    if (!tiers_pick(store->at, store->count, &store->rule, &first, &count))
        return false;
    store_merge(store, first, count, 0);
    return true;
}

/* Until nothing is asked for: it must come to an end. */
static void store_rest(struct store *store)
{
    for (int i = 0; store_step(store); i++)
        assert_true(i < 2 * TABLES_MAX);
}

/* Bytes written for a byte appended, in hundredths. */
static uint64_t amplification(const struct store *store)
{
    uint64_t source = 0, written = 0;
    for (size_t i = 0; i < store->count; i++) {
        source += store->at[i].source_bytes;
        written += store->at[i].source_bytes + store->at[i].written_bytes;
    }
    return source ? 100 * written / source : 0;
}

static struct store store;

/* ---- the rules ---- */

static void tiers_are_a_factor_of_eight_apart_and_a_sorted_segment_is_in_the_middle(void **state)
{
    assert_int_equal(tiers_of(0, SEGMENT), 0);
    assert_int_equal(tiers_of(64 * 1024 - 1, SEGMENT), 0);
    assert_int_equal(tiers_of(64 * 1024, SEGMENT), 1);
    assert_int_equal(tiers_of(32 * MIB - 1, SEGMENT), 3);
    assert_int_equal(tiers_of(51 * MIB, SEGMENT), 4);
    assert_int_equal(tiers_of(256 * MIB - 1, SEGMENT), 4);
    assert_int_equal(tiers_of(256 * MIB, SEGMENT), 5);
    assert_true(tiers_of(KEEP_BYTES_MAX, SEGMENT) >= tiers_of(KEEP_BYTES_MAX / 2, SEGMENT));
    assert_int_equal(tiers_of(UINT64_MAX, SEGMENT), tiers_of(UINT64_MAX / 2, SEGMENT));
    assert_int_equal(tiers_of(0, 1), 0);
}

static void seven_tables_of_a_tier_stay_and_eight_become_one(void **state)
{
    store_init(&store);
    for (int i = 0; i < KEEP_FANIN - 1; i++)
        store_add(&store, SEGMENT);
    assert_false(store_step(&store));
    store_add(&store, SEGMENT);
    assert_true(store_step(&store));
    assert_int_equal(store.count, 1);
    assert_false(store_step(&store));
}

static void smaller_neighbours_go_along_and_larger_ones_do_not(void **state)
{
    store_init(&store);
    store_add(&store, 10 * SEGMENT);
    for (int i = 0; i < KEEP_FANIN; i++) {
        store_add(&store, MIB);
        store_add(&store, SEGMENT);
    }
    store.at[3].bytes = 100;
    size_t first, count;
    assert_true(tiers_pick(store.at, store.count, &store.rule, &first, &count));
    assert_int_equal(first, 1);
    assert_int_equal(count, 2 * KEEP_FANIN);
}

static void the_smallest_tier_is_merged_first(void **state)
{
    store_init(&store);
    for (int i = 0; i < KEEP_FANIN; i++)
        store_add(&store, SEGMENT);
    for (int i = 0; i < KEEP_FANIN; i++)
        store_add(&store, 1000);
    size_t first, count;
    assert_true(tiers_pick(store.at, store.count, &store.rule, &first, &count));
    assert_int_equal(first, KEEP_FANIN);
    assert_int_equal(count, KEEP_FANIN);
}

static void a_backlog_is_merged_many_at_a_time(void **state)
{
    store_init(&store);
    for (int i = 0; i < 100; i++)
        store_add(&store, SEGMENT);
    size_t first, count;
    assert_true(tiers_pick(store.at, store.count, &store.rule, &first, &count));
    assert_int_equal(count, KEEP_INPUTS_MAX);
}

static void what_is_dead_is_due_after_a_while_and_then_before_all_else(void **state)
{
    store_init(&store);
    for (int i = 0; i < KEEP_FANIN; i++)
        store_add(&store, SEGMENT);
    size_t first, count;
    store.at[5].dead_ms = NOW_MS - KEEP_DUE_MS + 1;
    assert_true(tiers_pick(store.at, store.count, &store.rule, &first, &count));
    assert_int_equal(count, KEEP_FANIN);
    store.at[5].dead_ms--;
    assert_true(tiers_pick(store.at, store.count, &store.rule, &first, &count));
    assert_int_equal(first, 5);
    assert_int_equal(count, 1);
    /* A clock that was set back. */
    store.at[5].dead_ms = NOW_MS + KEEP_DUE_MS;
    assert_true(tiers_pick(store.at, store.count, &store.rule, &first, &count));
    assert_int_equal(count, KEEP_FANIN);
}

static void neighbours_that_are_due_too_are_rewritten_together(void **state)
{
    store_init(&store);
    for (int i = 0; i < 7; i++)
        store_add(&store, SEGMENT);
    for (int i = 2; i < 6; i++)
        store.at[i].dead_ms = NOW_MS - KEEP_DUE_MS - (uint64_t)i;
    store.at[4].dead_ms = NOW_MS;
    size_t first, count;
    assert_true(tiers_pick(store.at, store.count, &store.rule, &first, &count));
    assert_int_equal(first, 5);
    assert_int_equal(count, 1);
    store.at[5].dead_ms = 0;
    assert_true(tiers_pick(store.at, store.count, &store.rule, &first, &count));
    assert_int_equal(first, 2);
    assert_int_equal(count, 2);
}

static void nothing_is_begun_that_has_no_room(void **state)
{
    store_init(&store);
    for (int i = 0; i < KEEP_FANIN; i++)
        store_add(&store, SEGMENT);
    store.at[0].dead_ms = NOW_MS - KEEP_DUE_MS;
    size_t first, count;
    store.rule.room = store.at[0].bytes - 1;
    assert_false(tiers_pick(store.at, store.count, &store.rule, &first, &count));
    store.rule.room = store.at[0].bytes;
    assert_true(tiers_pick(store.at, store.count, &store.rule, &first, &count));
    assert_int_equal(count, 1);
    store.at[0].dead_ms = 0;
    assert_false(tiers_pick(store.at, store.count, &store.rule, &first, &count));
    store.rule.room = store.at[0].bytes * KEEP_FANIN;
    assert_true(tiers_pick(store.at, store.count, &store.rule, &first, &count));
}

static void tables_that_cover_too_many_spans_are_not_merged(void **state)
{
    store_init(&store);
    for (int i = 0; i < 2 * KEEP_FANIN; i++)
        store_add(&store, SEGMENT);
    for (int i = 0; i < 2 * KEEP_FANIN; i++)
        store.at[i].spans = SORTED_SPANS_MAX / KEEP_FANIN;
    size_t first, count;
    assert_true(tiers_pick(store.at, store.count, &store.rule, &first, &count));
    assert_int_equal(count, KEEP_FANIN);
    for (int i = 0; i < 2 * KEEP_FANIN; i++)
        store.at[i].spans = SORTED_SPANS_MAX / 2 + 1;
    assert_false(tiers_pick(store.at, store.count, &store.rule, &first, &count));
}

static void tables_at_the_size_limit_are_left(void **state)
{
    store_init(&store);
    store.rule.idle = true;
    for (int i = 0; i < 2 * KEEP_FANIN; i++)
        store_add(&store, KEEP_BYTES_MAX);
    assert_false(store_step(&store));
}

static void rest_merges_what_the_account_allows_and_no_more(void **state)
{
    store_init(&store);
    store_add(&store, 100 * SEGMENT);
    store_add(&store, SEGMENT);
    store_add(&store, SEGMENT);
    assert_false(store_step(&store));
    store.rule.idle = true;
    /* Of 5, 1 is the log's, 0.8 were written behind it and 0.8 stay in reserve: there is room for three merges. */
    size_t first, count;
    assert_true(tiers_pick(store.at, store.count, &store.rule, &first, &count));
    assert_int_equal(count, 3);
    for (int i = 0; i < 3; i++) {
        store_rest(&store);
        assert_int_equal(store.count, 1);
        store_add(&store, SEGMENT);
    }
    assert_false(store_step(&store));
    /* What is new has room of its own. */
    store_add(&store, SEGMENT);
    assert_true(tiers_pick(store.at, store.count, &store.rule, &first, &count));
    assert_int_equal(first, 1);
    assert_int_equal(count, 2);
}

/* ---- whole lives ---- */

static void twenty_million_messages_settle_at_one_table_within_the_promise(void **state)
{
    /* 108 segments of 64 MiB, merged while they come. */
    store_init(&store);
    for (int i = 0; i < 108; i++) {
        store_add(&store, SEGMENT);
        store_rest(&store);
    }
    assert_true(store.count <= 2 * KEEP_FANIN);
    assert_true(amplification(&store) <= 350);
    store.rule.idle = true;
    store_rest(&store);
    assert_int_equal(store.count, 1);
    assert_true(amplification(&store) <= 420);
    /* And as a backlog. */
    store_init(&store);
    for (int i = 0; i < 108; i++)
        store_add(&store, SEGMENT);
    store.rule.idle = true;
    store_rest(&store);
    assert_int_equal(store.count, 1);
    assert_true(amplification(&store) <= 400);
}

static void a_house_that_restarts_every_night_for_years_keeps_few_tables(void **state)
{
    store_init(&store);
    uint64_t random = run_seed(), most = 0;
    for (int night = 0; night < 3000; night++) {
        store_add(&store, 1000 + chance_below(&random, 3 * MIB));
        store_rest(&store);
        most = store.count > most ? store.count : most;
    }
    assert_true(most <= 5 * (KEEP_FANIN - 1));
    assert_true(amplification(&store) <= 500);
    store.rule.idle = true;
    for (int night = 0; night < 1000; night++) {
        store_add(&store, 1000 + chance_below(&random, 3 * MIB));
        store_rest(&store);
        assert_true(amplification(&store) <= 500);
    }
    assert_true(store.count <= 4 * (KEEP_FANIN - 1));
}

static void any_mixture_of_sizes_loads_rests_and_deaths_ends_and_stays_within_bounds(void **state)
{
    uint64_t seed = run_seed();
    for (int round = 0; round < 30; round++) {
        uint64_t random = seed + (uint64_t)round, tail = 0;
        store_init(&store);
        bool deaths = round % 2;
        for (int i = 0; i < 1500; i++) {
            static const uint64_t sizes[] = { 1000, 100 * 1000, 5 * MIB, SEGMENT, SEGMENT, SEGMENT, 4 * SEGMENT };
            store_add(&store, 1 + chance_below(&random, sizes[chance_below(&random, 7)]));
            store.rule.idle = chance_below(&random, 4) == 0;
            store.rule.now_ms += DAY_MS / 10;
            if (deaths && chance_below(&random, 10) == 0) {
                struct tiers_table *table = &store.at[chance_below(&random, store.count)];
                if (!table->dead_ms)
                    table->dead_ms = store.rule.now_ms;
            }
            size_t first, count;
            for (int steps = 0; tiers_pick(store.at, store.count, &store.rule, &first, &count); steps++) {
                assert_true(steps < TABLES_MAX);
                store_merge(&store, first, count, deaths ? chance_below(&random, 17) : 0);
            }
            assert_true(store.count <= TIERS_TABLES_MAX);
            for (size_t t = 0; t < store.count; t++)
                assert_true(!store.at[t].dead_ms || store.rule.now_ms - store.at[t].dead_ms < KEEP_DUE_MS);
            if (!deaths)
                assert_true(amplification(&store) <= 100 * KEEP_AMPLIFICATION_MAX);
            tail = store.count > tail ? store.count : tail;
        }
        assert_true(tail >= 2);
    }
}

/* What tiers.h proves: a process has few files open, however much is stored. Busy all the time, with restarts and deaths. */
static void a_terabyte_of_segments_is_few_tables(void **state)
{
    uint64_t random = run_seed(), most = 0;
    store_init(&store);
    for (int i = 0; i < 20000; i++) {                /* 20,000 full segments, a terabyte */
        store_add(&store, chance_below(&random, 50) ? SEGMENT : 1 + chance_below(&random, SEGMENT));
        store.rule.now_ms += DAY_MS / 50;
        if (chance_below(&random, 50) == 0)
            store.at[chance_below(&random, store.count)].dead_ms = store.rule.now_ms;
        size_t first, count;
        while (tiers_pick(store.at, store.count, &store.rule, &first, &count))
            store_merge(&store, first, count, 1);
        most = store.count > most ? store.count : most;
    }
    print_message("20,000 segments: at most %lu tables\n", (unsigned long)most);
    assert_true(most <= TIERS_TABLES_MAX);
    /* As large as files get: then two neighbours are more than one file, and that is all the bound there is. */
    store_init(&store);
    for (int i = 0; i < 3000; i++) {
        store_add(&store, 1 + chance_below(&random, chance_below(&random, 2) ? KEEP_BYTES_MAX : GIB));
        store_rest(&store);
        uint64_t bytes = 0;
        for (size_t t = 0; t < store.count; t++)
            bytes += store.at[t].bytes;
        assert_true(store.count <= TIERS_TABLES_MAX + 2 * bytes / KEEP_BYTES_MAX);
    }
    assert_true(store.count > TIERS_TABLES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiers_are_a_factor_of_eight_apart_and_a_sorted_segment_is_in_the_middle),
        cmocka_unit_test(seven_tables_of_a_tier_stay_and_eight_become_one),
        cmocka_unit_test(smaller_neighbours_go_along_and_larger_ones_do_not),
        cmocka_unit_test(the_smallest_tier_is_merged_first),
        cmocka_unit_test(a_backlog_is_merged_many_at_a_time),
        cmocka_unit_test(what_is_dead_is_due_after_a_while_and_then_before_all_else),
        cmocka_unit_test(neighbours_that_are_due_too_are_rewritten_together),
        cmocka_unit_test(nothing_is_begun_that_has_no_room),
        cmocka_unit_test(tables_that_cover_too_many_spans_are_not_merged),
        cmocka_unit_test(tables_at_the_size_limit_are_left),
        cmocka_unit_test(rest_merges_what_the_account_allows_and_no_more),
        cmocka_unit_test(twenty_million_messages_settle_at_one_table_within_the_promise),
        cmocka_unit_test(a_house_that_restarts_every_night_for_years_keeps_few_tables),
        cmocka_unit_test(a_terabyte_of_segments_is_few_tables),
        cmocka_unit_test(any_mixture_of_sizes_loads_rests_and_deaths_ends_and_stays_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
