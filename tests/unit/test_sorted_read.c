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

/* ---- against an array ---- */

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

static void compare_pinned_and_bare(struct world *w, uint32_t convs, int rounds)
{
    world_write(w);
    struct sorted_pins pins;
    sorted_pins_init(&pins, SORTED_PINNED_BYTES_MAX);
    struct sorted *pinned = world_open(w, &pins), *bare = world_open(w, NULL);
    compare_walks(w, pinned, convs, rounds);
    compare_walks(w, bare, convs, rounds);
    sorted_unref(pinned);
    sorted_unref(bare);
}

static void every_range_gives_what_an_array_gives(void **state)
{
    struct world *w = *state;
    world_fill(w, 20, 400, 600, 2);
    compare_pinned_and_bare(w, 20, 300);
}

static void every_range_does_in_blocks_of_one_record(void **state)
{
    struct world *w = *state;
    w->block_bytes = 1;
    world_fill(w, 20, 400, 100, 2);
    compare_pinned_and_bare(w, 20, 300);
}

static void every_range_does_with_records_above_a_block_and_above_a_read(void **state)
{
    struct world *w = *state;
    world_fill(w, 4, 40, 30000, 1);
    for (uint64_t seq = 2000; seq < 2005; seq++)
        world_add(w, 2, seq, 1, RECORD_BYTES_MAX - RECORD_HEADER_BYTES);
    world_sort(w);
    compare_pinned_and_bare(w, 4, 200);
    struct sorted *table = world_open(w, NULL);
    struct sorted_cursor c;
    sorted_cursor_init(&c);
    compare_walk(w, &c, table, 2, FIND_RECORDS, 0, UINT64_MAX, true, 10, SIZE_MAX);
    compare_walk(w, &c, table, 2, FIND_RECORDS, 0, UINT64_MAX, false, 10, SIZE_MAX);
    sorted_cursor_fini(&c);
    sorted_unref(table);
}

static void every_range_does_under_an_index_of_three_levels(void **state)
{
    struct world *w = *state;
    w->block_bytes = 1;
    for (uint32_t conv = 0; conv < 170; conv++)
        for (uint64_t seq = 1; seq <= 1000; seq++)
            world_add(w, conv, seq, 1, RECORD_TAG_BYTES);
    world_sort(w);
    world_write(w);
    struct sorted_pins pins;
    sorted_pins_init(&pins, SORTED_PINNED_BYTES_MAX);
    struct sorted *pinned = world_open(w, &pins), *bare = world_open(w, NULL);
    assert_int_equal(bare->layout.height, 3);
    compare_walks(w, pinned, 170, 50);
    compare_walks(w, bare, 170, 50);
    uint64_t bad_offset;
    assert_int_equal(sorted_verify(bare, NULL, NULL, &bad_offset), 0);
    sorted_unref(pinned);
    sorted_unref(bare);
}

static void an_empty_file_gives_nothing(void **state)
{
    struct world *w = *state;
    compare_pinned_and_bare(w, 3, 20);
}

static void a_time_is_found_where_the_first_record_made_then_or_later_is(void **state)
{
    struct world *w = *state;
    world_fill(w, 12, 300, 300, 3);
    world_write(w);
    struct sorted *table = world_open(w, NULL);
    struct sorted_cursor c;
    sorted_cursor_init(&c);
    for (int round = 0; round < 500; round++) {
        struct conv_id id = world_conv((uint32_t)chance_below(&w->random, 13));
        uint64_t ms = WORLD_MS - 1000 + chance_below(&w->random, 1400 * 1000), seq = 0;
        size_t i = 0;
        while (i < w->count && (!is_wanted(&w->items[i], &id, FIND_RECORDS, 0, UINT64_MAX) ||
                                msg_id_ms(&w->items[i].record.id) < ms))
            i++;
        assert_int_equal(sorted_find_time(&c, table, &id, ms, &seq), i < w->count ? 0 : ERR_END);
        if (i < w->count)
            assert_int_equal(seq, w->items[i].record.seq);
    }
    sorted_cursor_fini(&c);
    sorted_unref(table);
}

/* ---- reads ---- */

/* Pages of `count` in every conversation, where sequences 1..seqs are. How many of them took more than `reads`. */
static size_t pages_above(struct world *w, struct sorted *table, uint32_t convs, uint64_t seqs, size_t count,
                          uint32_t reads)
{
    struct sorted_cursor c;
    sorted_cursor_init(&c);
    size_t above = 0;
    for (uint32_t i = 0; i < 4 * convs; i++) {
        struct conv_id id = world_conv(i / 4);
        bool newest = i % 2;
        uint64_t at = 1 + chance_below(&w->random, seqs - count);
        struct record record;
        struct bytes whole;
        c.reads = 0;
        int err = sorted_seek(&c, table, &id, FIND_RECORDS, newest || i % 4 == 0 ? 0 : at,
                              newest && i % 4 == 1 ? at + count - 1 : UINT64_MAX, newest, count);
        for (size_t k = 0; !err && k < count; k++)
            err = sorted_next(&c, &record, &whole);
        assert_int_equal(err, 0);
        above += c.reads > reads;
        assert_true(c.reads <= reads + 3);         /* where two index pages meet: at most root, page and data again */
    }
    sorted_cursor_fini(&c);
    return above;
}

static void a_page_of_fifty_is_one_index_read_and_one_data_read(void **state)
{
    struct world *w = *state;
    for (uint32_t conv = 0; conv < 60; conv++)
        for (uint64_t seq = 1; seq <= 300; seq++)
            world_add(w, conv, seq, 1, 253);       /* a body of 200 bytes */
    world_sort(w);
    world_write(w);
    struct sorted_pins pins;
    sorted_pins_init(&pins, SORTED_PINNED_BYTES_MAX);
    struct sorted *pinned = world_open(w, &pins), *bare = world_open(w, NULL);
    assert_int_equal(pinned->layout.height, 2);
    assert_in_range(pages_above(w, pinned, 60, 300, 50, 2), 0, 6);
    assert_in_range(pages_above(w, bare, 60, 300, 50, 4), 0, 6);        /* filter and root besides */
    sorted_unref(pinned);
    sorted_unref(bare);
}

static void a_page_of_a_small_file_is_one_read(void **state)
{
    struct world *w = *state;
    for (uint32_t conv = 0; conv < 10; conv++)
        for (uint64_t seq = 1; seq <= 100; seq++)
            world_add(w, conv, seq, 1, 253);
    world_sort(w);
    world_write(w);
    struct sorted_pins pins;
    sorted_pins_init(&pins, SORTED_PINNED_BYTES_MAX);
    struct sorted *pinned = world_open(w, &pins);
    assert_int_equal(pages_above(w, pinned, 10, 100, 50, 1), 0);
    sorted_unref(pinned);
}

static void a_partition_that_is_not_there_takes_no_read_or_one(void **state)
{
    struct world *w = *state;
    for (uint32_t conv = 0; conv < 2000; conv++)
        world_add(w, conv, 1, 1, 20);
    world_sort(w);
    world_write(w);
    struct sorted_pins pins;
    sorted_pins_init(&pins, SORTED_PINNED_BYTES_MAX);
    struct sorted *pinned = world_open(w, &pins), *bare = world_open(w, NULL);
    struct sorted_cursor c, d;
    sorted_cursor_init(&c);
    sorted_cursor_init(&d);
    int perhaps = 0;
    for (uint32_t conv = 2000; conv < 22000; conv++) {
        struct conv_id id = world_conv(conv);
        c.reads = d.reads = 0;
        assert_int_equal(sorted_seek(&c, pinned, &id, FIND_RECORDS, 0, UINT64_MAX, true, 50), 0);
        assert_int_equal(sorted_seek(&d, bare, &id, FIND_RECORDS, 0, UINT64_MAX, true, 50), 0);
        if (d.reads > 1) {
            perhaps++;
        } else {
            assert_int_equal(c.reads, 0);
            assert_int_equal(d.reads, 1);
        }
    }
    assert_in_range(perhaps, 0, 400);              /* 2 of 100; 1 of 150 is likely at most */
    sorted_cursor_fini(&c);
    sorted_cursor_fini(&d);
    sorted_unref(pinned);
    sorted_unref(bare);
}

/* ---- damage ---- */

static void a_damaged_block_refuses_its_own_pages_and_no_others(void **state)
{
    struct world *w = *state;
    for (uint32_t conv = 0; conv < 3; conv++)
        for (uint64_t seq = 1; seq <= 200; seq++)
            world_add(w, conv, seq, 1, 253);
    world_sort(w);
    world_write(w);
    struct sorted *table = world_open(w, NULL);
    struct sorted_cursor c;
    sorted_cursor_init(&c);
    uint64_t at = SORTED_HEADER_BYTES + PIECE_HEAD_BYTES + 100;         /* the first block: of conversation 0 */
    uint8_t byte;
    disk_file_read(w->disk, w->path, at, &byte, 1);
    byte ^= 4;
    disk_file_poke(w->disk, w->path, at, &byte, 1);
    struct conv_id id = world_conv(0);
    assert_true(conv_id_equal(&w->items[0].record.partition, &id));
    struct record record;
    struct bytes whole;
    for (int newest = 0; newest < 2; newest++) {
        assert_int_equal(sorted_seek(&c, table, &id, FIND_RECORDS, 1, 3, newest, 0), 0);
        assert_int_equal(sorted_next(&c, &record, &whole), ERR_CORRUPT);
        assert_int_equal(c.bad_offset, SORTED_HEADER_BYTES);
        assert_int_equal(sorted_next(&c, &record, &whole), ERR_END);
    }
    compare_walk(w, &c, table, 0, FIND_RECORDS, 100, 200, false, 0, SIZE_MAX);
    compare_walk(w, &c, table, 0, FIND_RECORDS, 100, 200, true, 50, SIZE_MAX);
    compare_walk(w, &c, table, 1, FIND_RECORDS, 0, UINT64_MAX, true, 50, SIZE_MAX);
    sorted_cursor_fini(&c);
    sorted_unref(table);
}

static void a_record_that_no_span_covers_is_corrupt(void **state)
{
    struct world *w = *state;
    world_fill(w, 3, 50, 100, 1);
    world_write(w);
    struct sorted *table = world_open(w, NULL);
    table->meta.spans[0].first_number++;           /* number 1 of log 0 is outside now */
    const struct item *item = w->items;
    while (item->record.log != 0 || item->record.number != 1)
        item++;
    enum find_what what = item->record.kind == RECORD_KIND_MARKS ? FIND_MARKS : FIND_RECORDS;
    struct sorted_cursor c;
    sorted_cursor_init(&c);
    struct record record;
    struct bytes whole;
    int err = sorted_seek(&c, table, &item->record.partition, what, item->record.seq, item->record.seq, false, 0);
    while (!err)
        err = sorted_next(&c, &record, &whole);
    assert_int_equal(err, ERR_CORRUPT);
    uint64_t bad_offset;
    assert_int_equal(sorted_verify(table, NULL, NULL, &bad_offset), ERR_CORRUPT);
    sorted_cursor_fini(&c);
    sorted_unref(table);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_range_gives_what_an_array_gives),
        TEST(every_range_does_in_blocks_of_one_record),
        TEST(every_range_does_with_records_above_a_block_and_above_a_read),
        TEST(every_range_does_under_an_index_of_three_levels),
        TEST(an_empty_file_gives_nothing),
        TEST(a_time_is_found_where_the_first_record_made_then_or_later_is),
        TEST(a_page_of_fifty_is_one_index_read_and_one_data_read),
        TEST(a_page_of_a_small_file_is_one_read),
        TEST(a_partition_that_is_not_there_takes_no_read_or_one),
        TEST(a_damaged_block_refuses_its_own_pages_and_no_others),
        TEST(a_record_that_no_span_covers_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
