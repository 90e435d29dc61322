/* test_sort.c - one closed segment becomes one sorted file: record for record, with the numbers it stands for. */
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
#include "tests/harness/chance.h"
#include "tests/harness/keeprig.h"
#include "tests/harness/logrig.h"

struct sorting {
    struct keeprig rig;
    struct segment_list *list;
    struct segment *segment;
    struct keep_report report;
    struct keep_work work;
};

static int setup(void **state)
{
    struct sorting *s = calloc(1, sizeof *s);
    keeprig_init(&s->rig, disk_new(1), run_seed());
    s->rig.segment_bytes = 40000;
    assert_int_equal(keeprig_open(&s->rig), 0);
    for (int i = 0; i < 250; i++)
        keeprig_append(&s->rig, 6);
    s->list = list_get(s->rig.logs);
    assert_true(s->list->segment_count > 2);
    s->segment = s->list->segments[1];
    s->work = (struct keep_work){ .fs = disk_fs(s->rig.disk), .dir = KEEPRIG_DIR, .how = &s->rig.how,
                                  .report = &s->report, .serial = 77 };
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct sorting *s = *state;
    list_unref(s->list);
    keeprig_close(&s->rig);
    disk_free(s->rig.disk);
    keeprig_fini(&s->rig);
    free(s);
    return 0;
}

static struct sorted *open_sorted(struct sorting *s)
{
    char name[SORTED_NAME_BYTES];
    uint64_t offset;
    struct sorted *table;
    sorted_name(name, s->work.serial);
    assert_int_equal(sorted_open(s->work.fs, s->work.dir, name, NULL, &table, &offset), 0);
    return table;
}

/* Walk the file: how many records it has, each above the one before and as it was appended. */
static uint64_t walk(struct sorting *s, struct sorted *table, bool (*may_be)(const struct keeprig_record *))
{
    struct sorted_scan *scan;
    struct record record, before;
    struct bytes whole;
    uint64_t count = 0;
    int err;
    assert_int_equal(sorted_scan_open(table, &scan), 0);
    while (!(err = sorted_scan_next(scan, &record, &whole, NULL))) {
        assert_true(rig_is_intact(&record, whole));
        const struct keeprig_record *given = &s->rig.records[record.log][record.number];
        assert_int_equal(given->conv, rig_conv_number(&record.partition));
        assert_true(!may_be || may_be(given));
        assert_true(count == 0 || sorted_order(&before, &record) < 0);
        before = record;
        count++;
    }
    assert_int_equal(err, ERR_END);
    sorted_scan_close(scan);
    return count;
}

static void a_segment_is_sorted_record_for_record(void **state)
{
    struct sorting *s = *state;
    assert_int_equal(sort_segment(&s->work, s->segment), 0);
    struct sorted *table = open_sorted(s);
    const struct sorted_meta *meta = sorted_meta(table);
    assert_int_equal(walk(s, table, NULL), s->segment->records);
    assert_int_equal(meta->records + meta->marks, s->segment->records);
    assert_int_equal(meta->partitions, s->segment->index.part_count);
    assert_int_equal(meta->source_bytes, s->segment->bytes);
    assert_int_equal(meta->written_bytes, meta->bytes);
    assert_int_equal(meta->span_count, 1);
    assert_int_equal(meta->spans[0].log, s->segment->head.log);
    assert_int_equal(meta->spans[0].first_number, s->segment->head.first_number);
    assert_int_equal(meta->spans[0].last_number, s->segment->head.first_number + s->segment->records - 1);
    assert_int_equal(meta->spans[0].first_batch, s->segment->head.first_batch);
    /* The next one of the log says where its batches ended. */
    const struct segment *next = s->list->segments[2];
    assert_int_equal(next->head.log, s->segment->head.log);
    assert_int_equal(meta->spans[0].last_batch + 1, next->head.first_batch);
    assert_int_equal(s->report.records, s->segment->records);
    assert_int_equal(s->report.bytes_in, s->segment->bytes);
    assert_int_equal(s->report.bytes_out, meta->bytes);
    assert_int_equal(s->rig.partitions, s->segment->index.part_count);
    sorted_unref(table);
}

static bool stays(const struct keeprig_record *record)
{
    return !keeprig_may_go(record);
}

static void what_is_let_go_of_leaves_its_numbers(void **state)
{
    struct sorting *s = *state;
    s->rig.lets_go = true;
    assert_int_equal(sort_segment(&s->work, s->segment), 0);
    struct sorted *table = open_sorted(s);
    assert_true(s->report.dropped > 0);
    assert_int_equal(walk(s, table, stays), s->segment->records - s->report.dropped);
    assert_int_equal(sorted_meta(table)->spans[0].last_number,
                     s->segment->head.first_number + s->segment->records - 1);
    sorted_unref(table);
}

static void a_file_that_lost_its_end_is_corrupt_there(void **state)
{
    struct sorting *s = *state;
    char path[FS_PATH_MAX];
    fs_path(path, KEEPRIG_DIR, s->segment->name);
    disk_file_cut(s->rig.disk, path, s->segment->bytes - 1);
    assert_int_equal(sort_segment(&s->work, s->segment), ERR_CORRUPT);
    assert_string_equal(s->report.bad_file, s->segment->name);
    assert_int_equal(disk_file_count(s->rig.disk, KEEPRIG_DIR "/sorted"), 0);
}

static void a_record_that_is_not_the_one_indexed_is_corrupt(void **state)
{
    struct sorting *s = *state;
    /* One record in another's place: it is whole. */
    struct index_part *part = s->segment->index.parts;
    while (part->records.count < 2)
        part++;
    assert_true(part < s->segment->index.parts + s->segment->index.part_count);
    struct index_entry first = part->records.at[0], second = part->records.at[1];
    part->records.at[0].offset = second.offset;
    part->records.at[0].len = second.len;
    assert_int_equal(sort_segment(&s->work, s->segment), ERR_CORRUPT);
    assert_string_equal(s->report.bad_file, s->segment->name);
    assert_int_equal(s->report.bad_offset, second.offset);
    part->records.at[0] = first;
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_segment_is_sorted_record_for_record),
        TEST(what_is_let_go_of_leaves_its_numbers),
        TEST(a_file_that_lost_its_end_is_corrupt_there),
        TEST(a_record_that_is_not_the_one_indexed_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
