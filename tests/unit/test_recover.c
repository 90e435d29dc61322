/* test_recover.c - what a start makes of what it finds: torn tails, rot, gaps, leftovers, flushed numbers. */
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
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"
#include "tests/harness/logrig.h"

#define DIR "/data/log"
#define FILE_1 "0000-0000000000000001.seg"

enum { BATCHES = 6, PER_BATCH = 3, RECORDS = BATCHES * PER_BATCH, BODY = 400 };

struct rig {
    struct disk *disk;
    struct logs *logs;
    struct logs_report report;
    uint64_t ends[BATCHES + 1];           /* of FILE_1 after so many batches */
    uint64_t flushed;                     /* of every log */
    uint64_t replayed[RECORDS + 8];       /* numbers, as they came */
    size_t replay_count;
    int replay_answer;                    /* what on_replay() returns */
};

static uint64_t flushed(void *arg, uint32_t log)
{
    return log == 0 ? ((struct rig *)arg)->flushed : 0;
}

static int on_replay(void *arg, const struct record *record, struct bytes whole)
{
    struct rig *rig = arg;
    assert_true(rig_is_intact(record, whole));
    assert_true(rig->replay_count < sizeof rig->replayed / sizeof rig->replayed[0]);
    rig->replayed[rig->replay_count++] = record->number;
    return rig->replay_answer;
}

static int reopen(struct rig *rig)
{
    struct logs_opening how = { .now_ms = RIG_NOW_MS, .flushed = flushed, .replay = on_replay, .arg = rig };
    rig->replay_count = 0;
    rig->logs = NULL;
    return logs_open(disk_fs(rig->disk), DIR, &how, &rig->logs, &rig->report);
}

static struct log *log_of(struct rig *rig, uint32_t number)
{
    struct log *log;
    assert_int_equal(logs_log(rig->logs, number, &log), 0);
    return log;
}

/* One file of six batches of three records, closed again. */
static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    *state = rig;
    rig->disk = disk_new(1);
    const struct fsio *fs = disk_fs(rig->disk);
    assert_int_equal(fs->mkdir(fs->self, "/data"), 0);
    assert_int_equal(fs->sync_dir(fs->self, "/"), 0);
    assert_int_equal(reopen(rig), 0);
    struct log *log = log_of(rig, 0);
    for (uint64_t i = 0; i < BATCHES; i++) {
        rig->ends[i] = disk_file_size(rig->disk, DIR "/" FILE_1);
        for (uint64_t n = 1; n <= PER_BATCH; n++)
            assert_int_equal(rig_append(log, 1, i * PER_BATCH + n, BODY), 0);
        assert_int_equal(log_commit(log), 0);
    }
    rig->ends[BATCHES] = disk_file_size(rig->disk, DIR "/" FILE_1);
    log_close(log);
    logs_close(rig->logs);
    rig->logs = NULL;
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

static void expect_corrupt(struct rig *rig, const char *file, uint64_t offset)
{
    uint64_t ops = disk_ops(rig->disk);
    assert_int_equal(reopen(rig), ERR_CORRUPT);
    assert_string_equal(rig->report.bad_file, file);
    assert_int_equal(rig->report.bad_offset, offset);
    assert_int_equal(disk_ops(rig->disk), ops);           /* nothing was changed */
    assert_int_equal(rig->replay_count, 0);
}

static void poke(struct rig *rig, uint64_t offset)
{
    uint8_t byte;
    disk_file_read(rig->disk, DIR "/" FILE_1, offset, &byte, 1);
    byte ^= 0x40;
    disk_file_poke(rig->disk, DIR "/" FILE_1, offset, &byte, 1);
}

static void records_above_the_flushed_number_are_replayed_in_order(void **state)
{
    struct rig *rig = *state;
    for (rig->flushed = 0; rig->flushed <= RECORDS; rig->flushed++) {
        assert_int_equal(reopen(rig), 0);
        assert_int_equal(rig->replay_count, RECORDS - rig->flushed);
        assert_int_equal(rig->report.replayed, rig->replay_count);
        for (size_t i = 0; i < rig->replay_count; i++)
            assert_int_equal(rig->replayed[i], rig->flushed + 1 + i);
        logs_close(rig->logs);
    }
    rig->logs = NULL;
    rig->flushed = 0;
}

static void what_replay_answers_stops_the_opening(void **state)
{
    struct rig *rig = *state;
    rig->replay_answer = ERR_GONE;
    assert_int_equal(reopen(rig), ERR_GONE);
    assert_int_equal(rig->replay_count, 1);
}

static void a_tail_torn_at_any_byte_is_cut_at_the_last_whole_batch(void **state)
{
    struct rig *rig = *state;
    for (uint64_t size = rig->ends[BATCHES - 1] + 1; size < rig->ends[BATCHES]; size += 13) {
        struct rig again = { .disk = disk_crash(rig->disk, DISK_KEEP_ALL, 1) };
        disk_file_cut(again.disk, DIR "/" FILE_1, size);
        assert_int_equal(reopen(&again), 0);
        assert_int_equal(again.report.torn_count, 1);
        assert_string_equal(again.report.torn_file, FILE_1);
        assert_int_equal(again.report.torn_offset, rig->ends[BATCHES - 1]);
        assert_int_equal(again.report.torn_bytes, size - rig->ends[BATCHES - 1]);
        assert_int_equal(again.replay_count, RECORDS - PER_BATCH);
        assert_int_equal(disk_file_size(again.disk, DIR "/" FILE_1), rig->ends[BATCHES - 1]);
        logs_close(again.logs);
        /* Cut for good: the next start has nothing to report. */
        struct disk *after = disk_crash(again.disk, DISK_DROP_ALL, 1);
        disk_free(again.disk);
        again.disk = after;
        assert_int_equal(reopen(&again), 0);
        assert_int_equal(again.report.torn_count, 0);
        assert_int_equal(again.replay_count, RECORDS - PER_BATCH);
        logs_close(again.logs);
        disk_free(again.disk);
    }
}

static void after_a_cut_the_log_goes_on_in_a_new_segment_with_the_same_numbers(void **state)
{
    struct rig *rig = *state;
    disk_file_cut(rig->disk, DIR "/" FILE_1, rig->ends[BATCHES] - 1);
    assert_int_equal(reopen(rig), 0);
    struct log *log = log_of(rig, 0);
    assert_int_equal(log_committed(log), RECORDS - PER_BATCH);
    assert_int_equal(rig_append(log, 1, RECORDS - PER_BATCH + 1, 20), 0);
    assert_int_equal(log_commit(log), 0);
    assert_true(rig_finds(log, 1, 0, UINT64_MAX, false, 100, 1, RECORDS - PER_BATCH + 1));
    assert_true(disk_file_size(rig->disk, DIR "/0000-0000000000000016.seg") != UINT64_MAX);
    log_close(log);
    logs_close(rig->logs);
    assert_int_equal(reopen(rig), 0);
    assert_int_equal(rig->replay_count, RECORDS - PER_BATCH + 1);
}

static void rot_in_the_last_batch_above_the_flushed_number_is_a_torn_tail(void **state)
{
    struct rig *rig = *state;
    rig->flushed = RECORDS - PER_BATCH;
    poke(rig, rig->ends[BATCHES] - 10);
    assert_int_equal(reopen(rig), 0);
    assert_int_equal(rig->report.torn_count, 1);
    assert_int_equal(rig->replay_count, 0);
}

static void rot_below_the_flushed_number_is_corruption_even_in_the_last_batch(void **state)
{
    struct rig *rig = *state;
    rig->flushed = RECORDS - PER_BATCH + 1;
    poke(rig, rig->ends[BATCHES - 1] + 20);               /* its header */
    expect_corrupt(rig, FILE_1, rig->ends[BATCHES - 1]);
}

static void rot_before_a_whole_later_batch_is_corruption_wherever_it_is(void **state)
{
    struct rig *rig = *state;
    uint64_t random = run_seed();
    for (int i = 0; i < 300; i++) {
        uint64_t at = rig->ends[0] + chance_below(&random, rig->ends[BATCHES - 1] - rig->ends[0]);
        poke(rig, at);
        uint64_t ops = disk_ops(rig->disk);
        assert_int_equal(reopen(rig), ERR_CORRUPT);
        assert_string_equal(rig->report.bad_file, FILE_1);
        assert_true(rig->report.bad_offset <= at);
        assert_true(at - rig->report.bad_offset < PER_BATCH * (BODY + 200));
        assert_int_equal(disk_ops(rig->disk), ops);
        poke(rig, at);
    }
    assert_int_equal(reopen(rig), 0);                     /* each poke was taken back */
}

static void the_report_names_the_bad_record_not_only_its_batch(void **state)
{
    struct rig *rig = *state;
    uint8_t bytes[4];
    uint64_t first = rig->ends[1] + 48;                   /* behind the second batch's header */
    disk_file_read(rig->disk, DIR "/" FILE_1, first, bytes, 4);
    uint64_t second = first + get_u32(bytes);
    poke(rig, second + 50);
    expect_corrupt(rig, FILE_1, second);
}

static void a_segment_header_that_rotted_is_corruption(void **state)
{
    struct rig *rig = *state;
    for (uint64_t at = 0; at < 48; at++) {
        poke(rig, at);
        expect_corrupt(rig, FILE_1, 0);
        poke(rig, at);
    }
}

static void a_file_cut_where_a_batch_ended_is_missed_when_facts_cover_more(void **state)
{
    struct rig *rig = *state;
    rig->flushed = RECORDS;
    disk_file_cut(rig->disk, DIR "/" FILE_1, rig->ends[BATCHES - 1]);
    expect_corrupt(rig, FILE_1, rig->ends[BATCHES - 1]);
}

static void a_missing_log_is_missed_when_facts_cover_it(void **state)
{
    struct rig *rig = *state;
    const struct fsio *fs = disk_fs(rig->disk);
    rig->flushed = 1;
    assert_int_equal(fs->unlink(fs->self, DIR "/" FILE_1), 0);
    expect_corrupt(rig, FILE_1, 0);
}

/* Three files of the log; then one in the middle goes. */
static void a_missing_file_between_two_others_is_missed(void **state)
{
    struct rig *rig = *state;
    const struct fsio *fs = disk_fs(rig->disk);
    for (uint64_t seq = RECORDS + 1; seq <= RECORDS + 2; seq++) {
        assert_int_equal(reopen(rig), 0);
        struct log *log = log_of(rig, 0);
        assert_int_equal(rig_append(log, 1, seq, 10), 0);
        assert_int_equal(log_commit(log), 0);
        log_close(log);
        logs_close(rig->logs);
    }
    rig->logs = NULL;
    assert_int_equal(fs->unlink(fs->self, DIR "/0000-0000000000000019.seg"), 0);
    expect_corrupt(rig, "0000-0000000000000020.seg", 0);
}

static void a_tear_in_a_file_that_is_not_the_last_is_corruption(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(reopen(rig), 0);
    struct log *log = log_of(rig, 0);
    assert_int_equal(rig_append(log, 1, RECORDS + 1, 10), 0);
    assert_int_equal(log_commit(log), 0);
    log_close(log);
    logs_close(rig->logs);
    disk_file_cut(rig->disk, DIR "/" FILE_1, rig->ends[BATCHES] - 1);
    assert_int_equal(reopen(rig), ERR_CORRUPT);
}

static void a_file_under_a_wrong_name_is_corruption(void **state)
{
    struct rig *rig = *state;
    const struct fsio *fs = disk_fs(rig->disk);
    assert_int_equal(fs->rename(fs->self, DIR "/" FILE_1, DIR "/0001-0000000000000001.seg"), 0);
    expect_corrupt(rig, "0001-0000000000000001.seg", 0);
}

static void a_newer_segment_is_refused_as_newer(void **state)
{
    struct disk *disk = disk_new(2);
    /* A header of format 2 and its checksum, worked out apart from this code. */
    static const uint8_t newer[48] = {
        'P', 'I', 'P', 'I', 'T', 'S', 'E', 'G', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x63, 0xC0, 0x1A, 0xF3, 0x6A, 0xAE, 0xBE
    };
    const struct fsio *fs = disk_fs(disk);
    struct logs *logs;
    struct logs_report report;
    int file;
    assert_int_equal(fs->mkdir(fs->self, "/data"), 0);
    assert_int_equal(fs->mkdir(fs->self, DIR), 0);
    assert_int_equal(fs->open(fs->self, DIR "/" FILE_1, FS_WRITE | FS_CREATE, &file), 0);
    assert_int_equal(fs->pwritev(fs->self, file, &(struct iovec){ (void *)newer, sizeof newer }, 1, 0), 0);
    fs->close(fs->self, file);
    assert_int_equal(rig_logs_open(fs, DIR, 0, &logs, &report), ERR_NEWER);
    assert_string_equal(report.bad_file, FILE_1);
    disk_free(disk);
}

static void a_file_that_was_just_being_made_is_removed_and_nothing_is_reported(void **state)
{
    struct rig *rig = *state;
    const struct fsio *fs = disk_fs(rig->disk);
    static const char half[] = "PIPITSEG\0\0\0\1\0\0";
    for (size_t len = 0; len < sizeof half; len += 7) {
        int file;
        assert_int_equal(fs->open(fs->self, DIR "/0000-0000000000000019.seg", FS_WRITE | FS_CREATE, &file), 0);
        assert_int_equal(fs->pwritev(fs->self, file, &(struct iovec){ (void *)half, len }, 1, 0), 0);
        fs->close(fs->self, file);
        assert_int_equal(reopen(rig), 0);
        assert_int_equal(rig->report.torn_count, 0);
        assert_int_equal(rig->replay_count, RECORDS);
        assert_int_equal(disk_file_count(rig->disk, DIR "/"), 1);
        logs_close(rig->logs);
    }
    rig->logs = NULL;
}

static void names_that_are_not_ours_are_left_alone(void **state)
{
    struct rig *rig = *state;
    const struct fsio *fs = disk_fs(rig->disk);
    static const char *const names[] = { "notes", "0000-1.seg", "0000-0000000000000001.seg.old",
                                         "000a-0000000000000001.seg", "0000_0000000000000001.seg" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[FS_PATH_MAX];
        int file;
        fs_path(path, DIR, names[i]);
        assert_int_equal(fs->open(fs->self, path, FS_WRITE | FS_CREATE, &file), 0);
        fs->close(fs->self, file);
    }
    assert_int_equal(reopen(rig), 0);
    assert_int_equal(disk_file_count(rig->disk, DIR "/"), 1 + sizeof names / sizeof *names);
    assert_int_equal(rig->replay_count, RECORDS);
}

static void logs_without_a_shard_are_read_and_replayed_like_all_others(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(reopen(rig), 0);
    struct log *high = log_of(rig, LOGS_MAX - 1);
    assert_int_equal(rig_append(high, 7, 1, 10), 0);
    assert_int_equal(log_commit(high), 0);
    log_close(high);
    logs_close(rig->logs);
    assert_int_equal(reopen(rig), 0);
    assert_int_equal(rig->replay_count, RECORDS + 1);
    struct log *log = log_of(rig, 0);
    assert_true(rig_finds(log, 7, 1, 9, false, 9, 1, 1));
    log_close(log);
}

/* A batch that reached the page cache and never the disk: its sync failed, the process was killed, the machine went
 * on. What replay was told of it must survive the next power cut. */
static void what_was_replayed_is_on_disk_though_its_sync_had_failed(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(reopen(rig), 0);
    struct log *log = log_of(rig, 0);
    assert_int_equal(rig_append(log, 1, RECORDS + 1, 900), 0);
    disk_fail_sync(rig->disk, 1);
    assert_int_equal(log_commit(log), ERR_IO);
    log_close(log);
    logs_close(rig->logs);

    assert_int_equal(reopen(rig), 0);
    size_t replayed = rig->replay_count;
    assert_int_equal(replayed, RECORDS + 1);
    logs_close(rig->logs);
    rig->logs = NULL;
    struct disk *after = disk_crash(rig->disk, DISK_DROP_ALL, 1);
    disk_free(rig->disk);
    rig->disk = after;
    rig->flushed = replayed;                              /* facts remember it */
    assert_int_equal(reopen(rig), 0);
    assert_int_equal(rig->replay_count, 0);
}

static void a_start_with_all_flushed_writes_nothing(void **state)
{
    struct rig *rig = *state;
    rig->flushed = RECORDS;
    uint64_t ops = disk_ops(rig->disk);
    assert_int_equal(reopen(rig), 0);
    assert_int_equal(disk_ops(rig->disk), ops);
}

static void a_sequence_twice_in_one_segment_is_corruption(void **state)
{
    struct logs *logs;
    struct logs_report report;
    struct log *log;
    struct disk *disk = disk_new(3);
    assert_int_equal(rig_logs_open(disk_fs(disk), "/x", 0, &logs, &report), 0);
    assert_int_equal(logs_log(logs, 0, &log), 0);
    assert_int_equal(rig_append(log, 1, 5, 30), 0);
    assert_int_equal(rig_append(log, 1, 5, 30), 0);
    struct batch *batch = log_take(log);
    assert_int_equal(batch_sync(batch), 0);
    log_done(log, batch, ERR_NO_SPACE);                   /* forget it: indexing it would assert */
    log_close(log);
    logs_close(logs);
    assert_int_equal(rig_logs_open(disk_fs(disk), "/x", 0, &logs, &report), ERR_CORRUPT);
    assert_string_equal(report.bad_file, FILE_1);
    assert_true(report.bad_offset > 48 + 48);
    disk_free(disk);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        TEST(records_above_the_flushed_number_are_replayed_in_order),
        TEST(what_replay_answers_stops_the_opening),
        TEST(a_tail_torn_at_any_byte_is_cut_at_the_last_whole_batch),
        TEST(after_a_cut_the_log_goes_on_in_a_new_segment_with_the_same_numbers),
        TEST(rot_in_the_last_batch_above_the_flushed_number_is_a_torn_tail),
        TEST(rot_below_the_flushed_number_is_corruption_even_in_the_last_batch),
        TEST(rot_before_a_whole_later_batch_is_corruption_wherever_it_is),
        TEST(the_report_names_the_bad_record_not_only_its_batch),
        TEST(a_segment_header_that_rotted_is_corruption),
        TEST(a_file_cut_where_a_batch_ended_is_missed_when_facts_cover_more),
        TEST(a_missing_log_is_missed_when_facts_cover_it),
        TEST(a_missing_file_between_two_others_is_missed),
        TEST(a_tear_in_a_file_that_is_not_the_last_is_corruption),
        TEST(a_file_under_a_wrong_name_is_corruption),
        cmocka_unit_test(a_newer_segment_is_refused_as_newer),
        TEST(a_file_that_was_just_being_made_is_removed_and_nothing_is_reported),
        TEST(names_that_are_not_ours_are_left_alone),
        TEST(logs_without_a_shard_are_read_and_replayed_like_all_others),
        TEST(what_was_replayed_is_on_disk_though_its_sync_had_failed),
        TEST(a_start_with_all_flushed_writes_nothing),
        cmocka_unit_test(a_sequence_twice_in_one_segment_is_corruption),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
