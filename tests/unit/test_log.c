/* test_log.c - appending, committing, finding; full disks and failing ones; three threads at once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/logs.h"
#include "storage/view.h"
#include "tests/unit/log_world.h"

static void a_record_is_found_only_after_log_done(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_append(rig->log, 1, 1, 100), 0);
    assert_true(log_is_busy(rig->log));
    assert_true(rig_finds(rig->log, 1, 0, UINT64_MAX, false, 10, 1, 0));
    struct batch *batch = log_take(rig->log);
    assert_non_null(batch);
    assert_int_equal(batch_sync(batch), 0);
    assert_true(rig_finds(rig->log, 1, 0, UINT64_MAX, false, 10, 1, 0));
    assert_int_equal(log_committed(rig->log), 0);
    log_done(rig->log, batch, 0);
    assert_true(rig_finds(rig->log, 1, 0, UINT64_MAX, false, 10, 1, 1));
    assert_int_equal(log_committed(rig->log), 1);
    assert_false(log_is_busy(rig->log));
}

static void one_batch_is_in_flight_at_most_and_the_next_fills_meanwhile(void **state)
{
    struct rig *rig = *state;
    assert_null(log_take(rig->log));
    assert_int_equal(rig_append(rig->log, 1, 1, 10), 0);
    struct batch *first = log_take(rig->log);
    assert_int_equal(rig_append(rig->log, 1, 2, 10), 0);
    assert_null(log_take(rig->log));
    assert_int_equal(batch_sync(first), 0);
    log_done(rig->log, first, 0);
    struct batch *second = log_take(rig->log);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    assert_int_equal(batch_sync(second), 0);
    log_done(rig->log, second, 0);
    assert_true(rig_finds(rig->log, 1, 1, 9, false, 10, 1, 2));
}

static void positions_count_up_and_name_the_log(void **state)
{
    struct rig *rig = *state;
    struct log *other;
    assert_int_equal(logs_log(rig->logs, 200, &other), 0);
    struct rig_message m;
    struct position at;
    for (uint64_t i = 1; i <= 3; i++) {
        rig_message(&m, 5, i, 8);
        assert_int_equal(log_append(other, &m.head, &m.entry, rig_key, &at), 0);
        assert_int_equal(at.log, 200);
        assert_int_equal(at.number, i);
        assert_int_equal(log_appended(other), i);
    }
    assert_int_equal(log_commit(other), 0);
    assert_true(rig_finds(other, 5, 1, 3, false, 9, 1, 3));
    log_close(other);
}

static void a_full_batch_refuses_and_takes_again_after_done(void **state)
{
    struct rig *rig = *state;
    uint64_t seq = 0;
    int err;
    while (!(err = rig_append(rig->log, 1, seq + 1, 16000)))
        seq++;
    assert_int_equal(err, ERR_FULL);
    assert_true(seq >= BATCH_BYTES_MAX / 16384 - 1);
    assert_int_equal(log_appended(rig->log), seq);
    assert_int_equal(log_commit(rig->log), 0);
    assert_int_equal(rig_append(rig->log, 1, seq + 1, 16000), 0);
    assert_int_equal(log_commit(rig->log), 0);
    assert_true(rig_finds(rig->log, 1, 1, UINT64_MAX, false, seq + 5, 1, seq + 1));
}

static void a_batch_is_full_at_its_count_of_records_too(void **state)
{
    struct rig *rig = *state;
    /* Nothing is shorter than marks of nobody: 8192 of them fit a batch in bytes. */
    struct record head = { .partition = rig_conv(1), .kind = RECORD_KIND_MARKS };
    struct entry nobody = { .mark_count = 0 };
    for (uint64_t i = 0; i < BATCH_RECORDS_MAX; i++)
        assert_int_equal(log_append(rig->log, &head, &nobody, rig_key, NULL), 0);
    assert_int_equal(log_append(rig->log, &head, &nobody, rig_key, NULL), ERR_FULL);
    assert_int_equal(log_commit(rig->log), 0);
    assert_int_equal(log_committed(rig->log), BATCH_RECORDS_MAX);
    rig_close(rig);
    rig_open(rig, 0);
    assert_int_equal(log_committed(rig->log), BATCH_RECORDS_MAX);
}

static void what_never_fits_a_record_is_refused_and_takes_no_number(void **state)
{
    struct rig *rig = *state;
    static uint8_t huge[RECORD_BYTES_MAX];
    struct rig_message m;
    rig_message(&m, 1, 1, 1);
    m.entry.envelopes = BYTES_OF(huge);
    assert_int_equal(log_append(rig->log, &m.head, &m.entry, rig_key, NULL), ERR_TOO_BIG);
    assert_int_equal(log_appended(rig->log), 0);
    assert_false(log_is_busy(rig->log));
}

/* 40 small segments of two conversations. */
static void fill(struct rig *rig, uint64_t *seq_a, uint64_t *seq_b)
{
    for (int i = 0; i < 120; i++) {
        assert_int_equal(rig_append(rig->log, 1, ++*seq_a, 100 + (size_t)i), 0);
        if (i % 3 == 0)
            assert_int_equal(rig_append(rig->log, 2, ++*seq_b, 40), 0);
        assert_int_equal(log_commit(rig->log), 0);
    }
}

static void pages_run_over_segments_restarts_and_both_directions(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    rig_open(rig, 1000);
    uint64_t a = 0, b = 0;
    fill(rig, &a, &b);
    rig_close(rig);
    rig_open(rig, 1000);
    assert_true(rig->report.segments > 20);
    fill(rig, &a, &b);
    for (uint64_t from = 1; from <= a + 1; from += 7) {
        uint64_t last = from + 9 < a ? from + 9 : a;
        assert_true(rig_finds(rig->log, 1, from, UINT64_MAX, false, 10, from, last));
        uint64_t first = from > 10 ? from - 9 : 1;
        if (from <= a)
            assert_true(rig_finds(rig->log, 1, 0, from, true, 10, first, from));
    }
    assert_true(rig_finds(rig->log, 2, 0, UINT64_MAX, false, 1000, 1, b));
    assert_true(rig_finds(rig->log, 2, b, b, true, 1, b, b));
    assert_true(rig_finds(rig->log, 3, 0, UINT64_MAX, true, 10, 1, 0));
    assert_true(rig_finds(rig->log, 1, 5, 4, false, 10, 1, 0));
}

static void a_partition_that_moved_between_logs_is_one_row(void **state)
{
    struct rig *rig = *state;
    uint64_t seq = 0;
    for (int run = 0; run < 6; run++) {
        struct log *log = rig->log;
        if (run % 2)
            assert_int_equal(logs_log(rig->logs, 3, &log), 0);
        for (int i = 0; i < 5; i++)
            assert_int_equal(rig_append(log, 1, ++seq, 30), 0);
        assert_int_equal(log_commit(log), 0);
        assert_true(rig_finds(log, 1, 0, UINT64_MAX, false, 100, 1, seq));
        assert_true(rig_finds(log, 1, 0, UINT64_MAX, true, 7, seq > 7 ? seq - 6 : 1, seq));
        if (run % 2)
            log_close(log);
        rig_close(rig);
        rig_open(rig, 0);
    }
}

static void marks_are_found_by_their_place_beside_the_records(void **state)
{
    struct rig *rig = *state;
    for (uint64_t seq = 1; seq <= 10; seq++) {
        assert_int_equal(rig_append(rig->log, 1, seq, 20), 0);
        assert_int_equal(rig_append_mark(rig->log, 1, seq), 0);
        assert_int_equal(rig_append_mark(rig->log, 1, seq), 0);
        assert_int_equal(log_commit(rig->log), 0);
    }
    struct find find = { .partition = rig_conv(1), .what = FIND_MARKS, .from = 4, .to = 6, .max = 8,
                         .bytes_max = SIZE_MAX };
    struct record_page page;
    struct view *view = log_view(rig->log, &find);
    record_page_init(&page);
    assert_int_equal(view_read(view, &page), 0);
    assert_int_equal(page.count, 6);
    for (size_t i = 0; i < page.count; i++) {
        const struct page_record *r = &page.records[i];
        assert_int_equal(r->record.seq, 4 + i / 2);
        assert_true(i == 0 || r->record.number > page.records[i - 1].record.number);
        assert_true(rig_is_intact(&r->record, r->whole));
    }
    record_page_fini(&page);
    view_free(view);
    assert_true(rig_finds(rig->log, 1, 0, UINT64_MAX, false, 50, 1, 10));
}

static void a_full_disk_fails_both_batches_and_goes_on_when_there_is_room(void **state)
{
    struct rig *rig = *state;
    const char *file = DIR "/0000-0000000000000001.seg";
    assert_int_equal(rig_append(rig->log, 1, 1, 300), 0);
    assert_int_equal(log_commit(rig->log), 0);
    uint64_t size = disk_file_size(rig->disk, file);

    assert_int_equal(rig_append(rig->log, 1, 2, 5000), 0);
    disk_set_capacity(rig->disk, disk_used(rig->disk) + 2000);
    struct batch *batch = log_take(rig->log);
    assert_int_equal(rig_append(rig->log, 1, 3, 10), 0);       /* the next one, numbered behind it */
    assert_int_equal(batch_sync(batch), ERR_NO_SPACE);
    assert_int_equal(disk_file_size(rig->disk, file), size);
    log_done(rig->log, batch, ERR_NO_SPACE);
    assert_false(log_is_busy(rig->log));
    assert_false(log_is_read_only(rig->log));
    assert_int_equal(log_appended(rig->log), 1);
    assert_true(rig_finds(rig->log, 1, 0, 9, false, 9, 1, 1));

    disk_set_capacity(rig->disk, UINT64_MAX);
    assert_int_equal(rig_append(rig->log, 1, 2, 700), 0);
    assert_int_equal(log_commit(rig->log), 0);
    assert_true(rig_finds(rig->log, 1, 0, 9, false, 9, 1, 2));
    rig_close(rig);
    rig_open(rig, 0);
    assert_int_equal(rig->report.torn_count, 0);
    assert_true(rig_finds(rig->log, 1, 0, 9, false, 9, 1, 2));
}

static void a_disk_full_at_the_roll_leaves_no_file_and_rolls_later(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    rig_open(rig, 1000);
    assert_int_equal(rig_append(rig->log, 1, 1, 2000), 0);
    assert_int_equal(log_commit(rig->log), 0);
    size_t files = disk_file_count(rig->disk, DIR "/");
    disk_set_capacity(rig->disk, disk_used(rig->disk) + 20);   /* not even a header */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_append(rig->log, 1, 2, 50), 0);
        assert_int_equal(log_commit(rig->log), ERR_NO_SPACE);
        assert_int_equal(disk_file_count(rig->disk, DIR "/"), files);
    }
    disk_set_capacity(rig->disk, disk_used(rig->disk) + 100);  /* a header, and no batch */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_append(rig->log, 1, 2, 50), 0);
        assert_int_equal(log_commit(rig->log), ERR_NO_SPACE);
        assert_int_equal(disk_file_count(rig->disk, DIR "/"), files + 1);
    }
    disk_set_capacity(rig->disk, UINT64_MAX);
    assert_int_equal(rig_append(rig->log, 1, 2, 50), 0);
    assert_int_equal(log_commit(rig->log), 0);
    assert_int_equal(disk_file_count(rig->disk, DIR "/"), files + 1);
    assert_true(rig_finds(rig->log, 1, 0, 9, false, 9, 1, 2));
}

static void a_truncation_that_fails_on_a_full_disk_makes_the_log_read_only(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_append(rig->log, 1, 1, 5000), 0);
    disk_set_capacity(rig->disk, disk_used(rig->disk) + 2000);
    disk_fail_sync(rig->disk, 1);
    assert_int_equal(log_commit(rig->log), ERR_IO);
    assert_true(log_is_read_only(rig->log));
}

static void after_a_failed_write_or_sync_the_log_only_reads(void **state)
{
    struct rig *rig = *state;
    for (int which = 0; which < 2; which++) {
        uint64_t seq = 10 * (uint64_t)which;
        assert_int_equal(rig_append(rig->log, 1, seq + 1, 100), 0);
        assert_int_equal(log_commit(rig->log), 0);
        if (which)
            disk_fail_sync(rig->disk, 1);
        else
            disk_fail_write(rig->disk, 1);
        assert_int_equal(rig_append(rig->log, 1, seq + 2, 100), 0);
        struct batch *batch = log_take(rig->log);
        assert_int_equal(rig_append(rig->log, 1, seq + 3, 100), 0);
        assert_int_equal(batch_sync(batch), ERR_IO);
        uint64_t ops = disk_ops(rig->disk);
        log_done(rig->log, batch, ERR_IO);
        assert_true(log_is_read_only(rig->log));
        assert_int_equal(rig_append(rig->log, 1, seq + 2, 100), ERR_READ_ONLY);
        assert_null(log_take(rig->log));
        assert_false(log_is_busy(rig->log));
        assert_true(rig_finds(rig->log, 1, seq + 1, seq + 9, false, 9, seq + 1, seq + 1));
        assert_int_equal(disk_ops(rig->disk), ops);            /* and no second sync of the same data */
        struct disk *after = disk_crash(rig->disk, DISK_DROP_ALL, 1);
        rig_close(rig);
        disk_free(rig->disk);
        rig->disk = after;
        rig_open(rig, 0);
    }
}

static void an_empty_log_left_by_restarts_leaves_one_file(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 5; i++) {
        rig_close(rig);
        rig_open(rig, 0);
        assert_int_equal(disk_file_count(rig->disk, DIR "/"), 1);
    }
    assert_int_equal(rig_append(rig->log, 1, 1, 10), 0);
    assert_int_equal(log_commit(rig->log), 0);
    for (int i = 0; i < 5; i++) {
        rig_close(rig);
        rig_open(rig, 0);
        assert_int_equal(disk_file_count(rig->disk, DIR "/"), 2);
    }
}

static void stats_add_up(void **state)
{
    struct rig *rig = *state;
    struct logs_stats all, own;
    for (uint64_t i = 1; i <= 7; i++)
        assert_int_equal(rig_append(rig->log, 1, i, 100), 0);
    assert_int_equal(log_commit(rig->log), 0);
    log_stats(rig->log, &own);
    assert_int_equal(own.records, 7);
    assert_int_equal(own.segments, 1);
    assert_int_equal(own.bytes, disk_file_size(rig->disk, DIR "/0000-0000000000000001.seg"));
    assert_true(own.index_bytes >= 7 * 24);
    rig_close(rig);
    rig_open(rig, 0);
    logs_stats(rig->logs, &all);
    log_stats(rig->log, &own);
    assert_int_equal(all.records, 7);
    assert_int_equal(own.records, 0);
    assert_int_equal(all.bytes, rig->report.bytes);
    assert_true(all.index_bytes >= 7 * 24);
}

/* ---- three threads: the shard appends, a committer syncs, a reader reads what the shard found ---- */

enum { ROUNDS = 300, PER_ROUND = 5 };

struct box {                                /* a hand-over of one pointer */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    void *item;
    bool full, closed;
};

static void box_put(struct box *box, void *item)
{
    pthread_mutex_lock(&box->mutex);
    while (box->full)
        pthread_cond_wait(&box->changed, &box->mutex);
    box->item = item;
    box->full = true;
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->mutex);
}

static bool box_get(struct box *box, void **item_out)
{
    pthread_mutex_lock(&box->mutex);
    while (!box->full && !box->closed)
        pthread_cond_wait(&box->changed, &box->mutex);
    bool got = box->full;
    *item_out = box->item;
    box->full = false;
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->mutex);
    return got;
}

static void box_close(struct box *box)
{
    pthread_mutex_lock(&box->mutex);
    box->closed = true;
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->mutex);
}

#define BOX { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER }
struct trio { struct box to_committer, from_committer, to_reader; size_t read, wrong; };

static void *committer_main(void *arg)
{
    struct trio *trio = arg;
    void *batch;
    while (box_get(&trio->to_committer, &batch))
        box_put(&trio->from_committer, batch_sync(batch) ? NULL : batch);
    return NULL;
}

static void *reader_main(void *arg)
{
    struct trio *trio = arg;
    struct record_page page;
    record_page_init(&page);
    void *item;
    while (box_get(&trio->to_reader, &item)) {
        trio->read++;
        if (view_read(item, &page) || page.count != 1 || !rig_is_intact(&page.records[0].record, page.records[0].whole))
            trio->wrong++;
        view_free(item);
    }
    record_page_fini(&page);
    return NULL;
}

static void a_shard_a_committer_and_a_reader_share_the_log_without_a_lock(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    rig_open(rig, 4000);                    /* a roll every few batches */
    struct trio trio = { BOX, BOX, BOX, 0, 0 };
    pthread_t committer, reader;
    assert_int_equal(pthread_create(&committer, NULL, committer_main, &trio), 0);
    assert_int_equal(pthread_create(&reader, NULL, reader_main, &trio), 0);
    uint64_t seq = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PER_ROUND; i++)
            assert_int_equal(rig_append(rig->log, 1, ++seq, 60), 0);
        struct batch *batch = log_take(rig->log);
        assert_non_null(batch);
        box_put(&trio.to_committer, batch);
        /* Meanwhile the shard finds what is committed, and fills the next batch. */
        if (round > 0) {
            struct find find = { .partition = rig_conv(1), .max = 1, .bytes_max = SIZE_MAX };
            find.from = find.to = 1 + (uint64_t)round * 7 % log_committed(rig->log);
            struct view *view = log_view(rig->log, &find);
            assert_non_null(view);
            box_put(&trio.to_reader, view);
        }
        assert_int_equal(rig_append(rig->log, 1, ++seq, 60), 0);
        void *back;
        assert_true(box_get(&trio.from_committer, &back));
        assert_ptr_equal(back, batch);
        log_done(rig->log, batch, 0);
    }
    box_close(&trio.to_committer);
    box_close(&trio.to_reader);
    pthread_join(committer, NULL);
    pthread_join(reader, NULL);
    assert_true(trio.read > ROUNDS / 2);
    assert_int_equal(trio.wrong, 0);
    assert_int_equal(log_commit(rig->log), 0);
    assert_true(rig_finds(rig->log, 1, 1, UINT64_MAX, false, seq + 1, 1, seq));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        TEST(a_record_is_found_only_after_log_done),
        TEST(one_batch_is_in_flight_at_most_and_the_next_fills_meanwhile),
        TEST(positions_count_up_and_name_the_log),
        TEST(a_full_batch_refuses_and_takes_again_after_done),
        TEST(a_batch_is_full_at_its_count_of_records_too),
        TEST(what_never_fits_a_record_is_refused_and_takes_no_number),
        TEST(pages_run_over_segments_restarts_and_both_directions),
        TEST(a_partition_that_moved_between_logs_is_one_row),
        TEST(marks_are_found_by_their_place_beside_the_records),
        TEST(a_full_disk_fails_both_batches_and_goes_on_when_there_is_room),
        TEST(a_disk_full_at_the_roll_leaves_no_file_and_rolls_later),
        TEST(a_truncation_that_fails_on_a_full_disk_makes_the_log_read_only),
        TEST(after_a_failed_write_or_sync_the_log_only_reads),
        TEST(an_empty_log_left_by_restarts_leaves_one_file),
        TEST(stats_add_up),
        TEST(a_shard_a_committer_and_a_reader_share_the_log_without_a_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
