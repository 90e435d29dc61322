/* test_recover_sorted.c - a start that finds sorted files: which of them count, what they replace, what is refused.
 *
 * Record n of log 0 is sequence n of conversation 1 and a batch of its own: each file can be made from two numbers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/logs.h"
#include "storage/view.h"
#include "tests/harness/disk.h"
#include "tests/harness/logrig.h"

#define DIR "/log"

enum { BODY = 50 };

struct rig {
    struct disk *disk;
    struct fsio fs;               /* of the disk, with reading counted */
    const struct fsio *below;
    uint64_t reads, bytes_read;
    struct logs *logs;
    struct logs_report report;
    uint64_t flushed;             /* of log 0 */
    size_t replayed;
};

static int counted_pread(void *self, int file, void *to, size_t len, uint64_t offset, size_t *got_out)
{
    struct rig *rig = self;
    int err = rig->below->pread(rig->below->self, file, to, len, offset, got_out);
    rig->reads++;
    rig->bytes_read += err ? 0 : *got_out;
    return err;
}

/* The same disk, for reading alone: `self` is the rig there. */
static int counted_open(void *self, const char *path, unsigned flags, int *file_out)
{
    struct rig *rig = self;
    return rig->below->open(rig->below->self, path, flags, file_out);
}
static void counted_close(void *self, int file)
{
    struct rig *rig = self;
    rig->below->close(rig->below->self, file);
}
static int counted_size(void *self, int file, uint64_t *size_out)
{
    struct rig *rig = self;
    return rig->below->size(rig->below->self, file, size_out);
}
static int counted_list(void *self, const char *path, int (*each)(void *arg, const char *name), void *arg)
{
    struct rig *rig = self;
    return rig->below->list(rig->below->self, path, each, arg);
}
static int counted_exists(void *self, const char *path, bool *exists_out, uint64_t *size_out)
{
    struct rig *rig = self;
    return rig->below->exists(rig->below->self, path, exists_out, size_out);
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    *state = rig;
    rig->disk = disk_new(1);
    rig->below = disk_fs(rig->disk);
    rig->fs = (struct fsio){ .self = rig, .open = counted_open, .close = counted_close, .pread = counted_pread,
                             .size = counted_size, .list = counted_list, .exists = counted_exists };
    assert_int_equal(rig->below->mkdir(rig->below->self, DIR), 0);
    assert_int_equal(rig->below->sync_dir(rig->below->self, "/"), 0);
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    logs_close(rig->logs);
    disk_free(rig->disk);
    free(rig);
    return 0;
}

static uint64_t on_flushed(void *arg, uint32_t log)
{
    return log == 0 ? ((struct rig *)arg)->flushed : 0;
}

static int on_replay(void *arg, const struct record *record, struct bytes whole)
{
    struct rig *rig = arg;
    rig->replayed++;
    assert_true(record->number > rig->flushed && rig_is_intact(record, whole));
    return 0;
}

static int open_with(struct rig *rig, const struct fsio *fs)
{
    struct logs_opening how = { .now_ms = RIG_NOW_MS, .flushed = on_flushed, .replay = on_replay, .arg = rig };
    logs_close(rig->logs);
    rig->logs = NULL;
    rig->replayed = 0;
    return logs_open(fs, DIR, &how, &rig->logs, &rig->report);
}

static int open_again(struct rig *rig)
{
    return open_with(rig, rig->below);
}

static const char *table_path(uint64_t serial)
{
    static char path[FS_PATH_MAX];
    char name[SORTED_NAME_BYTES];
    sorted_name(name, serial);
    fs_path(path, DIR, name);
    return path;
}

static const char *segment_path(uint64_t first)
{
    static char path[FS_PATH_MAX];
    char name[SEGMENT_NAME_BYTES];
    segment_name(name, 0, first);
    fs_path(path, DIR, name);
    return path;
}

static bool is_there(const struct rig *rig, const char *path)
{
    return disk_file_size(rig->disk, path) != UINT64_MAX;
}

/* A sorted file of records first..last. */
static void make_table(struct rig *rig, uint64_t serial, uint64_t first, uint64_t last)
{
    struct sorted_making making = { .serial = serial, .made_ms = RIG_NOW_MS, .partitions_max = 1 };
    struct sorted_span span = { 0, first, last, first, last };
    struct sorted_writer *writer;
    struct buf bytes;
    buf_init(&bytes, RECORD_BYTES_MAX);
    assert_int_equal(sorted_writer_open(rig->below, DIR, &making, &writer), 0);
    for (uint64_t n = first; n <= last; n++) {
        struct rig_message message;
        struct record record;
        size_t len;
        rig_message(&message, 1, n, BODY);
        message.head.number = n;
        buf_clear(&bytes);
        assert_int_equal(record_write(&message.head, &message.entry, rig_key, &bytes), 0);
        assert_int_equal(record_parse(buf_bytes(&bytes), &record, &len), 0);
        assert_int_equal(sorted_writer_add(writer, &record, buf_bytes(&bytes)), 0);
    }
    assert_int_equal(sorted_writer_finish(writer, &span, 1, 1000, 0, NULL), 0);
    buf_fini(&bytes);
}

/* The next unsorted file, up to record `last`. */
static void make_segment(struct rig *rig, uint64_t last)
{
    struct log *log;
    assert_int_equal(open_again(rig), 0);
    assert_int_equal(logs_log(rig->logs, 0, &log), 0);
    for (uint64_t n = log_committed(log) + 1; n <= last; n++) {
        assert_int_equal(rig_append(log, 1, n, BODY), 0);
        assert_int_equal(log_commit(log), 0);
    }
    log_close(log);
    logs_close(rig->logs);
    rig->logs = NULL;
}

/* Records 1..last, each once, from wherever they are. */
static void expect_records(struct rig *rig, uint64_t last)
{
    struct log *log;
    struct record_page page;
    struct find find = { .partition = rig_conv(1), .what = FIND_RECORDS, .from = 1, .to = UINT64_MAX, .max = 10000,
                         .bytes_max = SIZE_MAX };
    assert_int_equal(open_again(rig), 0);
    assert_int_equal(logs_log(rig->logs, 0, &log), 0);
    assert_int_equal(log_committed(log), last);
    record_page_init(&page);
    struct view *view = log_view(log, &find);
    assert_int_equal(view_read(view, &page), 0);
    assert_int_equal(page.count, last);
    for (uint64_t n = 1; n <= last; n++) {
        assert_int_equal(page.records[n - 1].record.number, n);
        assert_true(rig_is_intact(&page.records[n - 1].record, page.records[n - 1].whole));
    }
    view_free(view);
    record_page_fini(&page);
    log_close(log);
}

static void expect_corrupt(struct rig *rig, const char *path)
{
    uint64_t ops = disk_ops(rig->disk);
    assert_int_equal(open_again(rig), ERR_CORRUPT);
    assert_string_equal(rig->report.bad_file, strrchr(path, '/') + 1);
    assert_int_equal(disk_ops(rig->disk), ops);           /* nothing was changed */
    assert_int_equal(rig->replayed, 0);
}

static void sorted_and_unsorted_files_are_one_log(void **state)
{
    struct rig *rig = *state;
    make_table(rig, 1, 1, 10);
    make_table(rig, 2, 11, 15);
    rig->flushed = 15;
    make_segment(rig, 20);
    make_segment(rig, 23);
    rig->flushed = 18;
    assert_int_equal(open_again(rig), 0);
    assert_int_equal(rig->report.segments, 4);
    assert_int_equal(rig->report.sorted, 2);
    assert_int_equal(rig->replayed, 5);
    expect_records(rig, 23);
}

static void an_unsorted_file_that_was_sorted_is_removed_unread(void **state)
{
    struct rig *rig = *state;
    make_segment(rig, 10);
    make_segment(rig, 20);
    make_segment(rig, 30);
    rig->flushed = 20;
    make_table(rig, 1, 11, 20);
    disk_file_poke(rig->disk, segment_path(11), 0, "rotten", 6);       /* nobody looks */
    expect_records(rig, 30);
    assert_true(is_there(rig, segment_path(1)));
    assert_false(is_there(rig, segment_path(11)));
    assert_true(is_there(rig, segment_path(21)));
}

static void of_two_sorted_files_the_higher_serial_wins_and_the_other_is_removed_unread(void **state)
{
    struct rig *rig = *state;
    rig->flushed = 30;
    make_table(rig, 1, 1, 10);
    make_table(rig, 2, 11, 20);
    make_table(rig, 3, 21, 30);
    make_table(rig, 4, 1, 20);
    assert_int_equal(open_again(rig), 0);
    assert_int_equal(rig->report.sorted, 2);
    assert_false(is_there(rig, table_path(1)));
    assert_false(is_there(rig, table_path(2)));
    expect_records(rig, 30);
    make_table(rig, 9, 1, 30);                    /* all of them, those that were merged too */
    make_table(rig, 5, 1, 20);
    expect_records(rig, 30);
    assert_int_equal(rig->report.sorted, 1);
    assert_false(is_there(rig, table_path(5)));
    assert_true(is_there(rig, table_path(9)));
}

static void sorted_files_that_overlap_in_part_are_refused(void **state)
{
    struct rig *rig = *state;
    rig->flushed = 30;
    make_table(rig, 1, 1, 20);
    make_table(rig, 2, 15, 30);
    expect_corrupt(rig, table_path(2));
}

static void a_lower_serial_does_not_win_over_a_higher_one_inside_it(void **state)
{
    struct rig *rig = *state;
    rig->flushed = 30;
    make_table(rig, 1, 1, 30);
    make_table(rig, 2, 11, 20);
    expect_corrupt(rig, table_path(2));
}

static void an_unsorted_file_sorted_in_part_is_refused(void **state)
{
    struct rig *rig = *state;
    make_segment(rig, 10);
    make_segment(rig, 20);
    rig->flushed = 20;
    make_table(rig, 1, 1, 5);                     /* 6..10 would be lost with their file */
    expect_corrupt(rig, segment_path(11));
}

static void a_gap_between_sorted_files_is_refused(void **state)
{
    struct rig *rig = *state;
    rig->flushed = 30;
    make_table(rig, 1, 1, 10);
    make_table(rig, 2, 12, 30);
    expect_corrupt(rig, table_path(2));
}

static void a_log_whose_sorted_files_end_below_the_flushed_number_is_refused(void **state)
{
    struct rig *rig = *state;
    make_table(rig, 1, 1, 10);
    rig->flushed = 11;
    expect_corrupt(rig, segment_path(11));
}

static void rows_that_end_inside_a_sorted_file_are_refused(void **state)
{
    struct rig *rig = *state;
    make_table(rig, 1, 1, 10);
    rig->flushed = 9;
    expect_corrupt(rig, table_path(1));
}

static void an_unfinished_file_is_removed_and_its_serial_not_given_again(void **state)
{
    struct rig *rig = *state;
    char unfinished[FS_PATH_MAX + 8];
    int file;
    make_segment(rig, 10);
    snprintf(unfinished, sizeof unfinished, "%s.new", table_path(7));
    assert_int_equal(rig->below->open(rig->below->self, unfinished, FS_WRITE | FS_CREATE, &file), 0);
    rig->below->close(rig->below->self, file);
    assert_int_equal(open_again(rig), 0);
    assert_false(is_there(rig, unfinished));
    assert_int_equal(logs_serial_next(rig->logs), 8);
    expect_records(rig, 10);
}

static void what_a_start_removes_stays_removed(void **state)
{
    struct rig *rig = *state;
    rig->flushed = 20;
    make_table(rig, 1, 1, 20);
    make_table(rig, 2, 1, 20);
    assert_int_equal(open_again(rig), 0);
    logs_close(rig->logs);
    rig->logs = NULL;
    struct disk *after = disk_crash(rig->disk, DISK_DROP_ALL, 1);
    assert_int_equal(disk_file_count(after, DIR "/"), 1);
    disk_free(after);
}

static void a_damaged_footer_is_refused_with_its_file(void **state)
{
    struct rig *rig = *state;
    rig->flushed = 10;
    make_table(rig, 1, 1, 10);
    disk_file_poke(rig->disk, table_path(1), disk_file_size(rig->disk, table_path(1)) - 20, "rot", 3);
    expect_corrupt(rig, table_path(1));
}

/* What makes a start fast is how little it reads, so that is counted, not time. */
static void a_thousand_sorted_files_are_opened_without_their_data(void **state)
{
    struct rig *rig = *state;
    enum { TABLES = 1000, EACH = 20 };
    for (uint64_t i = 0; i < TABLES; i++)
        make_table(rig, i + 1, i * EACH + 1, (i + 1) * EACH);
    rig->flushed = TABLES * EACH;
    assert_int_equal(open_with(rig, &rig->fs), 0);
    assert_int_equal(rig->report.sorted, TABLES);
    assert_int_equal(rig->report.segments, TABLES);
    assert_true(rig->reads <= 6 * TABLES);
    assert_true(rig->bytes_read < rig->report.bytes / 2);
    struct logs_stats stats;
    logs_stats(rig->logs, &stats);
    assert_int_equal(stats.records, TABLES * EACH);
    assert_true(stats.index_bytes <= SORTED_PINNED_BYTES_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        TEST(sorted_and_unsorted_files_are_one_log),
        TEST(an_unsorted_file_that_was_sorted_is_removed_unread),
        TEST(of_two_sorted_files_the_higher_serial_wins_and_the_other_is_removed_unread),
        TEST(sorted_files_that_overlap_in_part_are_refused),
        TEST(a_lower_serial_does_not_win_over_a_higher_one_inside_it),
        TEST(an_unsorted_file_sorted_in_part_is_refused),
        TEST(a_gap_between_sorted_files_is_refused),
        TEST(a_log_whose_sorted_files_end_below_the_flushed_number_is_refused),
        TEST(rows_that_end_inside_a_sorted_file_are_refused),
        TEST(an_unfinished_file_is_removed_and_its_serial_not_given_again),
        TEST(what_a_start_removes_stays_removed),
        TEST(a_damaged_footer_is_refused_with_its_file),
        TEST(a_thousand_sorted_files_are_opened_without_their_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
