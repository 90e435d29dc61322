/* test_sorted_read.c - walks of one partition: every range, both directions, and how many reads they take. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/sorted_world.h"

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    world_init(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_fini(*state);
    free(*state);
    return 0;
}

static bool is_wanted(const struct item *item, const struct conv_id *conv, enum find_what what, uint64_t from,
                      uint64_t to)
{
    return conv_id_equal(&item->record.partition, conv) && item->record.seq >= from && item->record.seq <= to &&
           (item->record.kind == RECORD_KIND_MARKS) == (what == FIND_MARKS);
}

/* The walk gives what the array has, up to `max` of it. */
static void compare_walk(struct world *w, struct sorted_cursor *c, struct sorted *table, uint32_t conv,
                         enum find_what what, uint64_t from, uint64_t to, bool newest, size_t likely, size_t max)
{
    struct conv_id id = world_conv(conv);
    assert_int_equal(sorted_seek(c, table, &id, what, from, to, newest, likely), 0);
    struct record record;
    struct bytes whole;
    size_t given = 0;
    for (size_t i = 0; i < w->count && given < max; i++) {
        const struct item *item = &w->items[newest ? w->count - 1 - i : i];
        if (!is_wanted(item, &id, what, from, to))
            continue;
        assert_int_equal(sorted_next(c, &record, &whole), 0);
        world_same(item, &record, whole);
        given++;
    }
    if (given < max)
        for (int i = 0; i < 2; i++)
            assert_int_equal(sorted_next(c, &record, &whole), ERR_END);
}

static void compare_walks(struct world *w, struct sorted *table, uint32_t convs, int rounds)
{
    struct sorted_cursor c;
    sorted_cursor_init(&c);
    for (int i = 0; i < rounds; i++) {
        uint64_t from = chance_below(&w->random, 3) ? chance_below(&w->random, 1100) : 0;
        uint64_t to = chance_below(&w->random, 3) ? from + chance_below(&w->random, 200) : UINT64_MAX;
        if (chance_below(&w->random, 20) == 0)
            to = from - 1;
        compare_walk(w, &c, table, (uint32_t)chance_below(&w->random, convs + 2),
                     chance_below(&w->random, 3) ? FIND_RECORDS : FIND_MARKS, from, to, chance_below(&w->random, 2),
                     chance_below(&w->random, 2) * chance_below(&w->random, 80),
                     chance_below(&w->random, 2) ? SIZE_MAX : chance_below(&w->random, 60));
    }
    sorted_cursor_fini(&c);
}

static void every_range_gives_what_an_array_gives(void **state)
{
    struct world *w = *state;
    world_fill(w, 20, 400, 600, 2);
    world_write(w);
    struct sorted_pins pins;
    sorted_pins_init(&pins, SORTED_PINNED_BYTES_MAX);
    struct sorted *pinned = world_open(w, &pins), *bare = world_open(w, NULL);
    compare_walks(w, pinned, 20, 300);
    compare_walks(w, bare, 20, 300);
    sorted_unref(pinned);
    sorted_unref(bare);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_range_gives_what_an_array_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
