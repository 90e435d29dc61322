/* test_merge.c - several sorted files become one: all of their records in order, what is bad is told, and a long merge
 * rests while segments are sorted. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/keep_impl.h"
#include "storage/sorted_impl.h"
#include "tests/harness/chance.h"
#include "tests/harness/keeprig.h"
#include "tests/harness/logrig.h"

enum { TABLES = 5 };

struct merging {
    struct keeprig rig;
    struct keep_report report;
    struct keep_work work;
    struct sorted *tables[TABLES + 1];
};

static struct sorted *open_table(struct merging *m, uint64_t serial)
{
    char name[SORTED_NAME_BYTES];
    uint64_t offset;
    struct sorted *table;
    sorted_name(name, serial);
    assert_int_equal(sorted_open(m->work.fs, m->work.dir, name, NULL, &table, &offset), 0);
    return table;
}

static const atomic_uint none;           /* no commit is under way */

/* TABLES tables of as many segments, and one more of the last segment again. */
static int setup(void **state)
{
    struct merging *m = calloc(1, sizeof *m);
    keeprig_init(&m->rig, disk_new(1), run_seed());
    assert_int_equal(keeprig_open(&m->rig), 0);
    for (int i = 0; i < 80; i++)
        keeprig_append(&m->rig, 6);
    m->work = (struct keep_work){ .fs = disk_fs(m->rig.disk), .dir = KEEPRIG_DIR, .commits = &none, .how = &m->rig.how,
                                  .report = &m->report };
    struct segment_list *list = list_get(m->rig.logs);
    assert_true(list->segment_count >= TABLES);
    for (uint64_t i = 0; i <= TABLES; i++) {
        m->work = (struct keep_work){ .fs = disk_fs(m->rig.disk), .dir = KEEPRIG_DIR, .commits = &none,
                                      .how = &m->rig.how, .report = &m->report, .serial = i + 1 };
        assert_int_equal(sort_segment(&m->work, list->segments[i < TABLES ? i : TABLES - 1]), 0);
        m->tables[i] = open_table(m, i + 1);
    }
    list_unref(list);
    m->report = (struct keep_report){ .did = KEEP_NOTHING };
    m->work.serial = 100;
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    struct merging *m = *state;
    for (int i = 0; i <= TABLES; i++)
        sorted_unref(m->tables[i]);
    keeprig_close(&m->rig);
    disk_free(m->rig.disk);
    keeprig_fini(&m->rig);
    free(m);
    return 0;
}

static uint64_t all_flushed(void *arg, uint32_t log)
{
    (void)arg, (void)log;
    return UINT64_MAX;
}

static void all_records_of_the_inputs_come_out_in_order(void **state)
{
    struct merging *m = *state;
    struct merge *merge;
    assert_int_equal(merge_open(&m->work, m->tables, TABLES, &merge), 0);
    assert_int_equal(merge_serial(merge), 100);
    bool more;
    assert_int_equal(merge_step(merge, &m->work, &more), 0);
    assert_false(more);
    merge_close(merge);
    struct sorted *table = open_table(m, 100);
    const struct sorted_meta *meta = sorted_meta(table);
    uint64_t records = 0, source = 0, written = 0, numbers = 0, covered = 0;
    for (int i = 0; i < TABLES; i++) {
        const struct sorted_meta *input = sorted_meta(m->tables[i]);
        records += input->records + input->marks;
        source += input->source_bytes;
        written += input->written_bytes;
        numbers += input->spans[0].last_number - input->spans[0].first_number + 1;
    }
    for (uint32_t i = 0; i < meta->span_count; i++)
        covered += meta->spans[i].last_number - meta->spans[i].first_number + 1;
    assert_int_equal(meta->records + meta->marks, records);
    assert_int_equal(meta->source_bytes, source);
    assert_int_equal(meta->written_bytes, written + meta->bytes);
    assert_int_equal(covered, numbers);
    assert_true(meta->span_count <= KEEPRIG_LOGS);
    assert_int_equal(m->report.records, records);
    struct sorted_scan *scan;
    struct record record, before;
    struct bytes whole;
    uint64_t count = 0;
    assert_int_equal(sorted_scan_open(table, &scan), 0);
    while (!sorted_scan_next(scan, &record, &whole, NULL)) {
        assert_true(rig_is_intact(&record, whole));
        assert_true(count == 0 || sorted_order(&before, &record) < 0);
        before = record;
        count++;
    }
    assert_int_equal(count, records);
    sorted_scan_close(scan);
    sorted_unref(table);
}

/* The same conversations in every input: the filter is for those that are there, not for the sum of what the inputs have. */
static void the_filter_is_for_conversations_that_are_there_once_or_often(void **state)
{
    enum { CONVS = 300, SEGMENTS = 8, BEGUN_LOG = 6, NEEDED_LOG = 3 };   /* 64 blocks for 2,400, 8 for 300 */
    struct disk *disk = disk_new(1);
    struct logs *logs;
    struct log *log;
    struct logs_report opened;
    struct keep_report report;
    struct keep_how how = { .flushed = all_flushed, .now_ms = RIG_NOW_MS };
    (void)state;
    assert_int_equal(rig_logs_open(disk_fs(disk), KEEPRIG_DIR, 0, &logs, &opened), 0);
    assert_int_equal(logs_log(logs, 0, &log), 0);
    for (uint64_t seq = 1; seq <= SEGMENTS; seq++) {
        for (uint32_t conv = 0; conv < CONVS; conv++) assert_int_equal(rig_append(log, conv, seq, 20), 0);
        assert_int_equal(log_commit(log), 0);
        log_roll(log, RIG_NOW_MS);
        assert_int_equal(log_commit(log), 0);
    }
    do assert_int_equal(logs_keep(logs, &how, &report), 0);
    while (report.did != KEEP_NOTHING);
    assert_int_equal(report.tables, 1);
    struct segment_list *list = list_get(logs);
    assert_int_equal(sorted_meta(list->tables[0])->partitions, CONVS);
    assert_int_equal(list->tables[0]->layout.filter_log, NEEDED_LOG);
    print_message("filter: %d bytes begun with, %d written\n", FILTER_BLOCK_BYTES << BEGUN_LOG,
                  FILTER_BLOCK_BYTES << NEEDED_LOG);
    list_unref(list);
    log_close(log);
    logs_close(logs);
    disk_free(disk);
}

static void a_record_that_two_inputs_have_is_corrupt_in_the_second(void **state)
{
    struct merging *m = *state;
    struct merge *merge;
    assert_int_equal(merge_open(&m->work, m->tables, TABLES + 1, &merge), 0);
    bool more;
    assert_int_equal(merge_step(merge, &m->work, &more), ERR_CORRUPT);
    assert_false(more);
    assert_true(strcmp(m->report.bad_file, sorted_file_name(m->tables[TABLES - 1])) == 0 ||
                strcmp(m->report.bad_file, sorted_file_name(m->tables[TABLES])) == 0);
    assert_true(m->report.bad_offset > 0);
    merge_close(merge);
    assert_int_equal(disk_file_count(m->rig.disk, KEEPRIG_DIR "/sorted-0000000000000100"), 0);
}

static void a_merge_given_up_leaves_nothing(void **state)
{
    struct merging *m = *state;
    struct merge *merge;
    assert_int_equal(merge_open(&m->work, m->tables, TABLES, &merge), 0);
    assert_int_equal(disk_file_count(m->rig.disk, KEEPRIG_DIR "/sorted-0000000000000100"), 1);
    merge_close(merge);
    assert_int_equal(disk_file_count(m->rig.disk, KEEPRIG_DIR "/sorted-0000000000000100"), 0);
}

static void a_long_merge_rests_while_segments_are_sorted(void **state)
{
    struct keeprig *rig = calloc(1, sizeof *rig);
    keeprig_init(rig, disk_new(1), run_seed());
    rig->segment_bytes = 8 * 1024 * 1024;
    rig->body_max = 16000;
    rig->how.fate = NULL;
    assert_int_equal(keeprig_open(rig), 0);
    /* More than a step reads. */
    while (rig->committed[0] + rig->committed[1] < 13000)
        keeprig_append(rig, 60);
    keeprig_flush(rig);
    rig->how.idle = true;
    do
        assert_int_equal(keeprig_step(rig), 0);
    while (rig->report.did == KEEP_SORTED);
    assert_int_equal(rig->report.did, KEEP_MERGING);
    uint64_t serial = rig->report.serial, records = rig->report.records;
    assert_true(records > 0 && rig->report.bytes_out > 0);
    /* A segment is closed meanwhile. */
    for (int i = 0; i < 2000 && rig->report.unsorted == 0; i++) {
        keeprig_append(rig, 60);
        struct segment_list *list = list_get(rig->logs);
        rig->report.unsorted = (uint32_t)list->segment_count;
        list_unref(list);
    }
    keeprig_flush(rig);
    assert_int_equal(keeprig_step(rig), 0);
    assert_int_equal(rig->report.did, KEEP_SORTED);
    assert_true(rig->report.serial > serial);
    assert_int_equal(keeprig_step(rig), 0);
    assert_int_equal(rig->report.did, KEEP_MERGED);
    assert_int_equal(rig->report.serial, serial);
    assert_true(rig->report.records > records);
    keeprig_check(rig);
    keeprig_close(rig);
    assert_int_equal(keeprig_open(rig), 0);
    assert_int_equal(keeprig_stored(rig), rig->committed[0] + rig->committed[1]);
    keeprig_close(rig);
    disk_free(rig->disk);
    keeprig_fini(rig);
    free(rig);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_records_of_the_inputs_come_out_in_order),
        cmocka_unit_test(the_filter_is_for_conversations_that_are_there_once_or_often),
        TEST(a_record_that_two_inputs_have_is_corrupt_in_the_second),
        TEST(a_merge_given_up_leaves_nothing),
        cmocka_unit_test(a_long_merge_rests_while_segments_are_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
