/* test_log_roll.c - an open segment that is closed before it is full: by its age, for what is dead in it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>

#include "proto/err.h"
#include "storage/view.h"
#include "tests/unit/log_world.h"

static void what_is_asked_to_close_is_closed_without_a_record_and_once(void **state)
{
    struct rig *rig = *state;
    log_roll(rig->log, RIG_NOW_MS);
    assert_null(log_take(rig->log));                           /* it is empty: it stays open */
    assert_false(log_is_aged(rig->log, UINT64_MAX, 0));
    assert_int_equal(rig_append(rig->log, 1, 1, 10), 0);
    assert_int_equal(log_commit(rig->log), 0);
    log_roll(rig->log, RIG_NOW_MS + 5000);
    assert_int_equal(log_commit(rig->log), 0);
    struct logs_stats own, closed;
    log_stats(rig->log, &own);
    logs_stats(rig->logs, &closed);
    assert_int_equal(own.records, 0);
    assert_int_equal(closed.records, 1);
    assert_int_equal(disk_file_size(rig->disk, DIR "/0000-0000000000000002.seg"), 48);
    log_roll(rig->log, RIG_NOW_MS + 9000);
    assert_null(log_take(rig->log));
    assert_int_equal(log_committed(rig->log), 1);
    assert_int_equal(rig_append(rig->log, 1, 2, 10), 0);
    assert_int_equal(log_commit(rig->log), 0);
    assert_true(rig_finds(rig->log, 1, 0, 9, false, 9, 1, 2));
    rig_close(rig);
    rig_open(rig, 0);
    assert_int_equal(log_committed(rig->log), 2);
    assert_true(rig_finds(rig->log, 1, 0, 9, false, 9, 1, 2));
}

static void what_comes_with_the_closing_goes_into_the_next_file(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_append(rig->log, 1, 1, 10), 0);
    assert_int_equal(log_commit(rig->log), 0);
    assert_int_equal(rig_append(rig->log, 1, 2, 10), 0);
    log_roll(rig->log, RIG_NOW_MS);
    struct batch *batch = log_take(rig->log);
    assert_int_equal(rig_append(rig->log, 1, 3, 10), 0);
    assert_int_equal(batch_sync(batch), 0);
    log_done(rig->log, batch, 0);
    assert_int_equal(log_commit(rig->log), 0);
    assert_int_equal(disk_file_count(rig->disk, DIR "/"), 2);
    struct logs_stats own;
    log_stats(rig->log, &own);
    assert_int_equal(own.records, 2);
    assert_true(rig_finds(rig->log, 1, 0, 9, false, 9, 1, 3));
}

static void age_counts_from_the_first_record_of_the_open_segment(void **state)
{
    struct rig *rig = *state;
    struct rig_message m;
    rig_message(&m, 1, 1, 10);
    uint64_t made_ms = msg_id_ms(&m.head.id);
    assert_int_equal(log_append(rig->log, &m.head, &m.entry, rig_key, NULL), 0);
    assert_false(log_is_aged(rig->log, made_ms + 1000, 1000)); /* nothing is on disk yet */
    assert_int_equal(log_commit(rig->log), 0);
    assert_false(log_is_aged(rig->log, made_ms + 999, 1000));
    assert_true(log_is_aged(rig->log, made_ms + 1000, 1000));
    assert_false(log_is_aged(rig->log, made_ms - 1, 0));       /* the clock was set back */
    log_roll(rig->log, made_ms + 1000);
    assert_int_equal(log_commit(rig->log), 0);
    assert_false(log_is_aged(rig->log, made_ms + 1000, 1000));
}

static void a_full_disk_leaves_it_open_and_a_failing_one_read_only(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_append(rig->log, 1, 1, 10), 0);
    assert_int_equal(log_commit(rig->log), 0);
    disk_set_capacity(rig->disk, disk_used(rig->disk) + 20);   /* not even a header */
    log_roll(rig->log, RIG_NOW_MS);
    struct batch *batch = log_take(rig->log);
    assert_int_equal(rig_append(rig->log, 1, 2, 10), 0);       /* behind it, and no part of it */
    assert_int_equal(batch_sync(batch), 0);
    log_done(rig->log, batch, 0);
    assert_int_equal(disk_file_count(rig->disk, DIR "/"), 1);
    disk_set_capacity(rig->disk, UINT64_MAX);
    assert_int_equal(log_commit(rig->log), 0);
    assert_true(rig_finds(rig->log, 1, 0, 9, false, 9, 1, 2));
    disk_fail_sync(rig->disk, 1);
    log_roll(rig->log, RIG_NOW_MS);
    assert_int_equal(log_commit(rig->log), ERR_IO);
    assert_true(log_is_read_only(rig->log));
    log_roll(rig->log, RIG_NOW_MS);
    assert_null(log_take(rig->log));
    assert_true(rig_finds(rig->log, 1, 0, 9, false, 9, 1, 2));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        TEST(what_is_asked_to_close_is_closed_without_a_record_and_once),
        TEST(what_comes_with_the_closing_goes_into_the_next_file),
        TEST(age_counts_from_the_first_record_of_the_open_segment),
        TEST(a_full_disk_leaves_it_open_and_a_failing_one_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
