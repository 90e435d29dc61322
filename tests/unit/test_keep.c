/* test_keep.c - the keeper over a disk in memory: what it does first, what it lets go of, and what it does when
 * something fails. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/logs.h"
#include "storage/tiers.h"
#include "tests/harness/chance.h"
#include "tests/harness/keeprig.h"
#include "tests/harness/logrig.h"

static int setup(void **state)
{
    struct keeprig *rig = calloc(1, sizeof *rig);
    keeprig_init(rig, disk_new(1), run_seed());
    assert_int_equal(keeprig_open(rig), 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct keeprig *rig = *state;
    keeprig_close(rig);
    disk_free(rig->disk);
    keeprig_fini(rig);
    free(rig);
    return 0;
}

static void append_many(struct keeprig *rig, int batches)
{
    for (int i = 0; i < batches; i++)
        keeprig_append(rig, 8);
}

static size_t waiting(struct keeprig *rig)
{
    struct segment_list *list = list_get(rig->logs);
    size_t count = list->segment_count;
    list_unref(list);
    return count;
}

/* Sort until `left` segments wait. While one can be sorted nothing is merged. */
static void sort_all_but(struct keeprig *rig, size_t left)
{
    while (waiting(rig) > left) {
        assert_int_equal(keeprig_step(rig), 0);
        assert_int_equal(rig->report.did, KEEP_SORTED);
    }
}

/* Files in the folder whose name has this in it, by what a start would list. */
struct counting { const char *part; size_t count; };
static int on_name(void *arg, const char *name)
{
    struct counting *counting = arg;
    counting->count += strstr(name, counting->part) != NULL;
    return 0;
}
static size_t files_with(struct keeprig *rig, const char *part)
{
    struct counting counting = { part, 0 };
    const struct fsio *fs = disk_fs(rig->disk);
    assert_int_equal(fs->list(fs->self, KEEPRIG_DIR, on_name, &counting), 0);
    return counting.count;
}

static void only_what_facts_cover_wholly_is_sorted(void **state)
{
    struct keeprig *rig = *state;
    append_many(rig, 100);
    size_t closed = waiting(rig);
    assert_true(closed > 5);
    assert_int_equal(keeprig_step(rig), 0);
    assert_int_equal(rig->report.did, KEEP_NOTHING);
    assert_int_equal(rig->report.unsorted, closed);
    rig->flushed[0] = rig->committed[0];
    keeprig_settle(rig);
    struct segment_list *list = list_get(rig->logs);
    for (size_t i = 0; i < list->segment_count; i++)
        assert_int_equal(list->segments[i]->head.log, 1);
    list_unref(list);
    keeprig_check(rig);
}

static void what_is_sorted_and_merged_is_found_as_before_and_old_files_go(void **state)
{
    struct keeprig *rig = *state;
    for (int i = 0; i < 40; i++) {
        append_many(rig, 12);
        keeprig_flush(rig);
        keeprig_settle(rig);
        assert_int_equal(waiting(rig), 0);
        if (i % 8 == 7)
            keeprig_check(rig);
    }
    assert_true(rig->sorted > 40 && rig->merged > 5);
    assert_int_equal(files_with(rig, "sorted-"), rig->report.tables);
    assert_int_equal(files_with(rig, ".new"), 0);
    assert_int_equal(files_with(rig, ".seg") - rig->report.tables, KEEPRIG_LOGS);
    assert_int_equal(keeprig_stored(rig), rig->committed[0] + rig->committed[1]);
    /* And after a start. */
    keeprig_close(rig);
    assert_int_equal(keeprig_open(rig), 0);
    keeprig_check(rig);
}

static void open_files_stay_few_however_many_segments_come(void **state)
{
    struct keeprig *rig = *state;
    size_t most = 0;
    for (int i = 0; i < 250; i++) {
        append_many(rig, 6);
        keeprig_flush(rig);
        keeprig_settle(rig);
        size_t open = disk_open_count(rig->disk);
        assert_int_equal(open, rig->report.tables + KEEPRIG_LOGS);
        most = open > most ? open : most;
    }
    print_message("%lu segments: at most %zu descriptors\n", (unsigned long)rig->sorted, most);
    assert_true(rig->sorted > 200 && most <= TIERS_TABLES_MAX + KEEPRIG_LOGS);
    keeprig_close(rig);
    assert_int_equal(disk_open_count(rig->disk), 0);
    assert_int_equal(keeprig_open(rig), 0);
    assert_true(disk_open_count(rig->disk) <= rig->report.tables + 2 * KEEPRIG_LOGS);   /* what was open is closed now */
}

static void at_rest_one_table_is_left(void **state)
{
    struct keeprig *rig = *state;
    append_many(rig, 200);
    keeprig_flush(rig);
    rig->how.idle = true;
    keeprig_settle(rig);
    assert_int_equal(rig->report.tables, 1);
    assert_true(rig->report.written_bytes <= KEEP_AMPLIFICATION_MAX * rig->report.source_bytes);
    keeprig_check(rig);
}

static void what_may_go_is_gone_and_no_number_is_missing(void **state)
{
    struct keeprig *rig = *state;
    append_many(rig, 150);
    keeprig_flush(rig);
    rig->lets_go = true;
    rig->how.idle = true;
    keeprig_settle(rig);
    assert_true(rig->dropped > 20 && rig->partitions >= KEEPRIG_CONVS);
    assert_int_equal(rig->report.tables, 1);
    keeprig_check(rig);
    assert_int_equal(keeprig_stored(rig), rig->committed[0] + rig->committed[1] - rig->dropped);
    keeprig_close(rig);
    assert_int_equal(keeprig_open(rig), 0);
    assert_int_equal(log_committed(rig->log[0]), rig->committed[0]);
    assert_int_equal(log_committed(rig->log[1]), rig->committed[1]);
    keeprig_check(rig);
}

static int drop_all(void *arg, const struct record *record, struct bytes whole, enum fate *fate_out)
{
    *fate_out = FATE_DROP;
    return 0;
}

static void a_table_with_nothing_left_keeps_its_numbers_and_is_merged_away(void **state)
{
    struct keeprig *rig = *state;
    append_many(rig, 60);
    keeprig_flush(rig);
    uint64_t closed[KEEPRIG_LOGS];
    for (int i = 0; i < KEEPRIG_LOGS; i++)
        closed[i] = rig->log[i]->segment->head.first_number - 1;
    rig->how.fate = drop_all;
    rig->how.idle = true;
    keeprig_settle(rig);
    assert_int_equal(rig->report.tables, 1);
    assert_int_equal(keeprig_stored(rig), rig->committed[0] - closed[0] + rig->committed[1] - closed[1]);
    keeprig_close(rig);
    assert_int_equal(keeprig_open(rig), 0);
    for (int i = 0; i < KEEPRIG_LOGS; i++)
        assert_int_equal(log_committed(rig->log[i]), rig->committed[i]);
}

/* ---- what is due ---- */

static uint64_t dead_for_ever(void *arg, struct sorted *table)
{
    return RIG_NOW_MS - 1;
}

static void what_is_dead_is_rewritten_when_it_is_due_and_not_again_before_that(void **state)
{
    struct keeprig *rig = *state;
    append_many(rig, 40);
    keeprig_flush(rig);
    keeprig_settle(rig);
    uint64_t merged = rig->merged;
    rig->how.dead_since = dead_for_ever;
    keeprig_settle(rig);
    assert_int_equal(rig->merged, merged);
    /* Made at RIG_NOW_MS, they count from then. */
    rig->how.now_ms = RIG_NOW_MS + KEEP_DUE_MS - 1;
    keeprig_settle(rig);
    assert_int_equal(rig->merged, merged);
    rig->lets_go = true;
    rig->how.now_ms = RIG_NOW_MS + KEEP_DUE_MS - 1 + KEEP_LOOK_MS;
    keeprig_settle(rig);
    assert_true(rig->merged > merged && rig->dropped > 0);
    merged = rig->merged;
    for (int i = 0; i < 5; i++) {
        rig->how.now_ms += KEEP_LOOK_MS;
        keeprig_settle(rig);
    }
    assert_int_equal(rig->merged, merged);
    keeprig_check(rig);
}

/* ---- what fails ---- */

static void a_full_disk_is_told_leaves_nothing_behind_and_is_tried_again(void **state)
{
    struct keeprig *rig = *state;
    append_many(rig, 100);
    keeprig_flush(rig);
    size_t closed = waiting(rig);
    /* Too full to begin. */
    disk_set_capacity(rig->disk, disk_used(rig->disk) + rig->segment_bytes);
    assert_int_equal(keeprig_step(rig), ERR_NO_SPACE);
    assert_int_equal(files_with(rig, ".new"), 0);
    assert_int_equal(waiting(rig), closed);
    disk_set_capacity(rig->disk, UINT64_MAX);
    keeprig_settle(rig);
    assert_int_equal(waiting(rig), 0);
    keeprig_check(rig);
}

/* The new file is a disk's that is fuller than it says: another one writes meanwhile. */
static int fill_up(void *arg, const struct record *record, struct bytes whole, enum fate *fate_out)
{
    struct keeprig *rig = arg;
    disk_set_capacity(rig->disk, disk_used(rig->disk));
    return 0;
}

static void a_disk_that_fills_up_meanwhile_is_the_same(void **state)
{
    struct keeprig *rig = *state;
    append_many(rig, 100);
    keeprig_flush(rig);
    size_t closed = waiting(rig);
    int (*fate)(void *, const struct record *, struct bytes, enum fate *) = rig->how.fate;
    rig->how.fate = fill_up;
    for (int i = 0; i < 3; i++) {
        disk_set_capacity(rig->disk, UINT64_MAX);
        assert_int_equal(keeprig_step(rig), ERR_NO_SPACE);
        assert_int_equal(files_with(rig, ".new") + files_with(rig, "sorted-"), 0);
        assert_int_equal(waiting(rig), closed);
    }
    rig->how.fate = fate;
    disk_set_capacity(rig->disk, UINT64_MAX);
    keeprig_settle(rig);
    keeprig_check(rig);
}

static void a_callback_that_stops_changes_nothing(void **state)
{
    struct keeprig *rig = *state;
    rig->body_max = 16000;
    rig->segment_bytes = 1 << 20;
    keeprig_close(rig);
    assert_int_equal(keeprig_open(rig), 0);
    append_many(rig, 100);
    keeprig_close(rig);
    assert_int_equal(keeprig_open(rig), 0);
    keeprig_flush(rig);
    size_t closed = waiting(rig);
    assert_true(closed >= 2);
    rig->pace_err = -12345;
    assert_int_equal(keeprig_step(rig), -12345);
    assert_int_equal(files_with(rig, ".new") + files_with(rig, "sorted-"), 0);
    assert_int_equal(waiting(rig), closed);
    keeprig_settle(rig);
    assert_true(rig->paces > 4 && rig->paced_bytes / rig->paces < 2 * KEEP_PIECE_BYTES);
    assert_false(rig->hurried);
    keeprig_check(rig);
}

/* Whatever it answers: ERR_AGAIN is what busy rows say, and no way to tell that a merge is not done yet. */
static void a_callback_that_stops_a_merge_has_it_begin_again(void **state)
{
    struct keeprig *rig = *state;
    rig->body_max = 16000;
    rig->segment_bytes = 1 << 18;
    keeprig_close(rig);
    assert_int_equal(keeprig_open(rig), 0);
    append_many(rig, 200);
    keeprig_close(rig);
    assert_int_equal(keeprig_open(rig), 0);
    keeprig_flush(rig);
    sort_all_but(rig, 0);
    rig->how.idle = true;
    for (int i = 0; i < 3; i++) {
        rig->pace_err = ERR_AGAIN;
        assert_int_equal(keeprig_step(rig), ERR_AGAIN);
        assert_int_equal(rig->report.did, KEEP_MERGING);
        assert_string_equal(rig->report.bad_file, "");
        assert_int_equal(files_with(rig, ".new"), 0);
    }
    keeprig_settle(rig);
    assert_true(rig->merged > 0);
    keeprig_check(rig);
}

static void a_damaged_segment_is_told_with_its_offset_and_left_alone_until_the_next_start(void **state)
{
    struct keeprig *rig = *state;
    append_many(rig, 30);
    keeprig_flush(rig);
    struct segment_list *list = list_get(rig->logs);
    struct segment *segment = list->segments[0];
    const struct index_entry *entry = &segment->index.parts[0].records.at[0];
    char name[SEGMENT_NAME_BYTES], path[FS_PATH_MAX];
    uint8_t byte;
    strcpy(name, segment->name);
    fs_path(path, KEEPRIG_DIR, name);
    uint64_t offset = entry->offset;
    disk_file_read(rig->disk, path, offset + 50, &byte, 1);
    byte ^= 4;
    disk_file_poke(rig->disk, path, offset + 50, &byte, 1);
    list_unref(list);
    int bad = 0;
    for (int i = 0; i < 100; i++) {
        int err = keeprig_step(rig);
        if (!err)
            continue;
        bad++;
        assert_int_equal(err, ERR_CORRUPT);
        assert_string_equal(rig->report.bad_file, name);
        assert_int_equal(rig->report.bad_offset, offset);
    }
    assert_int_equal(bad, 1);
    assert_int_equal(waiting(rig), 1);
    assert_int_equal(files_with(rig, ".new"), 0);
    byte ^= 4;
    disk_file_poke(rig->disk, path, offset + 50, &byte, 1);
    keeprig_check(rig);
    keeprig_close(rig);
    assert_int_equal(keeprig_open(rig), 0);
    keeprig_settle(rig);
    assert_int_equal(waiting(rig), 0);
    keeprig_check(rig);
}

static void a_damaged_table_is_told_with_its_offset_and_the_others_are_merged_without_it(void **state)
{
    struct keeprig *rig = *state;
    append_many(rig, 60);
    keeprig_flush(rig);
    sort_all_but(rig, 0);
    assert_true(rig->report.tables > 2);
    struct segment_list *list = list_get(rig->logs);
    char name[SORTED_NAME_BYTES], path[FS_PATH_MAX];
    strcpy(name, sorted_file_name(list->tables[0]));
    list_unref(list);
    fs_path(path, KEEPRIG_DIR, name);
    uint8_t byte;
    disk_file_read(rig->disk, path, 300, &byte, 1);
    byte ^= 1;
    disk_file_poke(rig->disk, path, 300, &byte, 1);
    rig->how.idle = true;
    int bad = 0;
    for (int i = 0; i < 50; i++) {
        int err = keeprig_step(rig);
        if (!err)
            continue;
        bad++;
        assert_int_equal(err, ERR_CORRUPT);
        assert_string_equal(rig->report.bad_file, name);
        assert_true(rig->report.bad_offset > 0 && rig->report.bad_offset <= 300);
    }
    assert_int_equal(bad, 1);
    assert_true(rig->report.tables >= 2 && rig->report.tables < KEEP_FANIN);
    byte ^= 1;
    disk_file_poke(rig->disk, path, 300, &byte, 1);
    keeprig_check(rig);
}

static void whatever_write_or_sync_fails_nothing_is_lost_and_no_input_is_used_twice(void **state)
{
    struct keeprig *first = *state;
    uint64_t seed = first->random;
    int failures = 0;
    for (uint64_t nth = 1; nth <= 60; nth++) {
        struct keeprig *rig = calloc(1, sizeof *rig);
        keeprig_init(rig, disk_new(nth), seed);
        assert_int_equal(keeprig_open(rig), 0);
        append_many(rig, 40);
        keeprig_flush(rig);
        rig->how.idle = true;
        if (nth % 2)
            disk_fail_write(rig->disk, nth / 2 + 1);
        else
            disk_fail_sync(rig->disk, nth / 2);
        int errors = 0;
        for (int i = 0; i < 60; i++) {
            int err = keeprig_step(rig);
            assert_true(!err || err == ERR_IO);
            errors += err != 0;
        }
        assert_true(errors <= 1);
        failures += errors;
        disk_fail_write(rig->disk, 0);
        disk_fail_sync(rig->disk, 0);
        keeprig_check(rig);
        keeprig_close(rig);
        /* Power goes: what a failed sync lost is lost, and all is there all the same. */
        struct disk *after = disk_crash(rig->disk, DISK_DROP_ALL, seed);
        disk_free(rig->disk);
        rig->disk = after;
        assert_int_equal(keeprig_open(rig), 0);
        keeprig_check(rig);
        keeprig_settle(rig);
        assert_int_equal(waiting(rig), 0);
        keeprig_check(rig);
        keeprig_close(rig);
        disk_free(rig->disk);
        keeprig_fini(rig);
        free(rig);
    }
    assert_true(failures > 10);
}

static void when_a_new_file_fails_its_inputs_are_left_alone_until_the_next_start(void **state)
{
    struct keeprig *rig = *state;
    append_many(rig, 40);
    keeprig_flush(rig);
    disk_fail_sync(rig->disk, 1);
    assert_int_equal(keeprig_step(rig), ERR_IO);
    assert_string_equal(rig->report.bad_file, "sorted-0000000000000001.seg");
    sort_all_but(rig, 1);
    rig->how.idle = true;
    disk_fail_sync(rig->disk, 1);
    uint32_t tables = rig->report.tables;
    assert_int_equal(keeprig_step(rig), ERR_IO);
    keeprig_settle(rig);
    assert_int_equal(rig->report.tables, tables);
    keeprig_check(rig);
    keeprig_close(rig);
    assert_int_equal(keeprig_open(rig), 0);
    keeprig_settle(rig);
    assert_int_equal(waiting(rig), 0);
    assert_true(rig->report.tables < tables);
    keeprig_check(rig);
}

static void serials_rise_over_starts(void **state)
{
    struct keeprig *rig = *state;
    uint64_t last = 0;
    for (int i = 0; i < 5; i++) {
        append_many(rig, 20);
        keeprig_flush(rig);
        rig->how.idle = true;
        while (assert_int_equal(keeprig_step(rig), 0), rig->report.did != KEEP_NOTHING) {
            assert_true(rig->report.serial > last);
            last = rig->report.serial;
            assert_int_equal(atomic_load(&rig->logs->serial), last);
        }
        keeprig_close(rig);
        assert_int_equal(keeprig_open(rig), 0);
    }
    assert_true(last > 5);
}

static void commits_under_way_hold_the_keeper_up_and_do_not_stop_it(void **state)
{
    struct keeprig *rig = *state;
    append_many(rig, 60);
    keeprig_flush(rig);
    rig->body_max = 4000;
    atomic_store(&rig->logs->commits, 1);          /* one that never ends: a disk that hangs */
    keeprig_settle(rig);
    assert_true(rig->sorted > 0 && rig->merged > 0);
    atomic_store(&rig->logs->commits, 0);
    keeprig_check(rig);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(only_what_facts_cover_wholly_is_sorted),
        TEST(what_is_sorted_and_merged_is_found_as_before_and_old_files_go),
        TEST(open_files_stay_few_however_many_segments_come),
        TEST(at_rest_one_table_is_left),
        TEST(what_may_go_is_gone_and_no_number_is_missing),
        TEST(a_table_with_nothing_left_keeps_its_numbers_and_is_merged_away),
        TEST(what_is_dead_is_rewritten_when_it_is_due_and_not_again_before_that),
        TEST(a_full_disk_is_told_leaves_nothing_behind_and_is_tried_again),
        TEST(a_disk_that_fills_up_meanwhile_is_the_same),
        TEST(a_callback_that_stops_changes_nothing),
        TEST(a_callback_that_stops_a_merge_has_it_begin_again),
        TEST(a_damaged_segment_is_told_with_its_offset_and_left_alone_until_the_next_start),
        TEST(a_damaged_table_is_told_with_its_offset_and_the_others_are_merged_without_it),
        TEST(whatever_write_or_sync_fails_nothing_is_lost_and_no_input_is_used_twice),
        TEST(when_a_new_file_fails_its_inputs_are_left_alone_until_the_next_start),
        TEST(serials_rise_over_starts),
        TEST(commits_under_way_hold_the_keeper_up_and_do_not_stop_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
