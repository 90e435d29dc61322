/* test_view_reads.c - pages: how many reads they take, and what damage they meet. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/view_rig.h"

/* Tables that follow one another in time, not merged. */
static void make_tables(struct rig *rig, size_t tables)
{
    while (rig->logs->list->table_count < tables) {
        add(rig, 1, 100);
        commit(rig);
        if (rig->logs->list->segment_count > 0)
            keep(rig, false);
    }
}

static void a_page_opens_only_files_that_may_hold_it(void **state)
{
    struct rig *rig = *state;
    make_tables(rig, 6);
    uint64_t seqs = rig->conv[1].seqs;
    struct find all = find_all(1, FIND_RECORDS);
    assert_int_equal(read_page(rig, &all), 0);
    uint32_t reads_all = rig->page.reads;

    struct find old = { .partition = rig_conv(1), .what = FIND_RECORDS, .from = 1, .to = UINT64_MAX, .max = 3,
                        .bytes_max = SIZE_MAX };
    check(rig, &old);
    assert_true(rig->page.reads * 3 < reads_all);

    /* The newest three: the open segment and perhaps the last table. */
    struct find new = { .partition = rig_conv(1), .what = FIND_RECORDS, .from = 1, .to = UINT64_MAX, .max = 3,
                        .bytes_max = SIZE_MAX, .newest = true };
    check(rig, &new);
    assert_true(rig->page.reads * 3 < reads_all);
    assert_true(seqs > 60);
}

/* Tables that all have all conversations, and follow one another in time. */
static void make_mixed_tables(struct rig *rig, size_t tables)
{
    while (rig->logs->list->table_count < tables) {
        for (uint32_t conv = 0; conv < CONVS; conv++)
            add(rig, conv, 100);
        commit(rig);
        if (rig->logs->list->segment_count > 0)
            keep(rig, false);
    }
}

/* The most reads that one record takes, whichever it is, from above or from below. */
static uint32_t most_reads(struct rig *rig, bool newest)
{
    uint32_t most = 0, last = (uint32_t)rig->conv[2].seqs;
    for (uint32_t seq = 1; seq <= last; seq++) {
        struct find find = { .partition = rig_conv(2), .what = FIND_RECORDS, .from = newest ? 1 : seq,
                             .to = newest ? seq : last, .max = 1, .bytes_max = SIZE_MAX, .newest = newest };
        check(rig, &find);
        most = rig->page.reads > most ? rig->page.reads : most;
    }
    return most;
}

static void the_file_of_a_page_far_from_both_ends_is_found_by_halves(void **state)
{
    struct rig *rig = *state;
    make_mixed_tables(rig, KEEP_FANIN - 1);
    assert_true(rig->conv[2].seqs > 3 * KEEP_FANIN);
    /* The first one, three of the other six, and a second block where one ends just before. */
    assert_true(most_reads(rig, true) <= 5);
    assert_true(most_reads(rig, false) <= 5);
}

static void damage_met_on_the_way_to_a_page_harms_only_pages_that_need_it(void **state)
{
    struct rig *rig = *state;
    make_mixed_tables(rig, KEEP_FANIN - 1);
    const struct segment_list *list = rig->logs->list;
    for (size_t bad = 0; bad < list->table_count; bad++) {
        char path[FS_PATH_MAX];
        uint8_t was, rot;
        fs_path(path, DIR, sorted_file_name(list->tables[bad]));
        disk_file_read(rig->disk, path, 400, &was, 1);
        rot = was ^ 0x5a;
        disk_file_poke(rig->disk, path, 400, &rot, 1);
        uint64_t last = rig->conv[2].seqs, failed = 0;
        for (uint64_t seq = 1; seq <= last; seq++) {
            struct find find = { .partition = rig_conv(2), .what = FIND_RECORDS, .from = 1, .to = seq, .max = 1,
                                 .bytes_max = SIZE_MAX, .newest = true };
            int err = read_page(rig, &find);
            assert_true(err == 0 || err == ERR_CORRUPT);
            assert_string_equal(rig->page.bad_file, err ? sorted_file_name(list->tables[bad]) : "");
            failed += err != 0;
        }
        /* Its own, and those of the table after it for which nobody could tell that it has nothing. */
        assert_true(failed <= 2 * last / list->table_count + 2);
        disk_file_poke(rig->disk, path, 400, &was, 1);
    }
}

static void what_lies_close_together_in_an_unsorted_file_is_read_at_once(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 10; i++)
        for (uint32_t conv = 0; conv < CONVS; conv++)
            add(rig, conv, 100);
    commit(rig);
    struct find find = find_all(2, FIND_RECORDS);
    for (int newest = 0; newest < 2; newest++) {
        find.newest = newest;
        check(rig, &find);
        assert_int_equal(rig->page.reads, 1);
    }
    /* What is between may rot. */
    const uint64_t first = SEGMENT_HEADER_BYTES + BATCH_HEADER_BYTES;
    disk_file_poke(rig->disk, DIR "/0000-0000000000000001.seg", first + 50, "rot", 3);
    check(rig, &find);
    for (int i = 0; i < 200; i++)
        add(rig, 3, 100);                 /* 40 KiB of others' */
    add(rig, 2, 100);
    rig->home[3] = rig->home[2];
    commit(rig);
    check(rig, &find);
}

static void a_damaged_table_fails_only_pages_that_need_it(void **state)
{
    struct rig *rig = *state;
    make_tables(rig, 4);
    const struct segment_list *list = rig->logs->list;
    struct sorted *second = list->tables[1];
    char path[FS_PATH_MAX];
    uint8_t bytes[16];
    fs_path(path, DIR, sorted_file_name(second));
    disk_file_read(rig->disk, path, 400, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] ^= 0x5a;
    disk_file_poke(rig->disk, path, 400, bytes, sizeof bytes);

    struct find find = find_all(1, FIND_RECORDS);
    assert_int_equal(read_page(rig, &find), ERR_CORRUPT);
    assert_int_equal(rig->page.count, 0);
    assert_string_equal(rig->page.bad_file, sorted_file_name(second));
    assert_true(rig->page.bad_offset > 0 && rig->page.bad_offset <= 416);

    find.max = 10;                        /* those of the first table … */
    check(rig, &find);
    assert_string_equal(rig->page.bad_file, "");
    find.newest = true;                   /* … and those of the last */
    check(rig, &find);
    find.from = find.to = rig->conv[1].seqs / 4 * 3;
    check(rig, &find);
}

static void a_damaged_unsorted_segment_names_file_and_offset(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 3; i++)
        add(rig, 1, 100);
    commit(rig);
    const uint64_t first = SEGMENT_HEADER_BYTES + BATCH_HEADER_BYTES;
    disk_file_poke(rig->disk, DIR "/0000-0000000000000001.seg", first + 50, "rot", 3);
    struct find find = find_all(1, FIND_RECORDS);
    assert_int_equal(read_page(rig, &find), ERR_CORRUPT);
    assert_string_equal(rig->page.bad_file, "0000-0000000000000001.seg");
    assert_int_equal(rig->page.bad_offset, first);
    find.from = 2;
    check(rig, &find);
}

static void nothing_there_is_an_empty_page_and_costs_no_read(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 200; i++) {
        add(rig, 1, 100);
        commit(rig);
    }
    struct find find = find_all(2, FIND_RECORDS);
    check(rig, &find);
    assert_int_equal(rig->page.count, 0);
    assert_int_equal(rig->page.reads, 0);
    find = find_all(1, FIND_RECORDS);
    find.from = 10;
    find.to = 9;
    check(rig, &find);
    assert_int_equal(rig->page.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        TEST(a_page_opens_only_files_that_may_hold_it),
        TEST(the_file_of_a_page_far_from_both_ends_is_found_by_halves),
        TEST(damage_met_on_the_way_to_a_page_harms_only_pages_that_need_it),
        TEST(what_lies_close_together_in_an_unsorted_file_is_read_at_once),
        TEST(a_damaged_table_fails_only_pages_that_need_it),
        TEST(a_damaged_unsorted_segment_names_file_and_offset),
        TEST(nothing_there_is_an_empty_page_and_costs_no_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
