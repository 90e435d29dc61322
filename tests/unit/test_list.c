/* test_list.c - the list of closed segments: swapped whole, and kept by whoever looks at it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>

#include "storage/keep.h"
#include "storage/logs.h"
#include "tests/harness/disk.h"
#include "tests/harness/logrig.h"

#define DIR "/log"

enum { ROLL_BYTES = 1000 };

struct rig {
    struct disk *disk;
    struct logs *logs;
    struct log *log[2];
    uint64_t seq[2];
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct logs_report report;
    *state = rig;
    rig->disk = disk_new(1);
    assert_int_equal(rig_logs_open(disk_fs(rig->disk), DIR, ROLL_BYTES, &rig->logs, &report), 0);
    assert_int_equal(logs_log(rig->logs, 0, &rig->log[0]), 0);
    assert_int_equal(logs_log(rig->logs, 1, &rig->log[1]), 0);
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    log_close(rig->log[0]);
    log_close(rig->log[1]);
    logs_close(rig->logs);
    disk_free(rig->disk);
    free(rig);
    return 0;
}

/* A record as large as a segment: the one before it is closed. */
static void add(struct rig *rig, uint32_t log)
{
    assert_int_equal(rig_append(rig->log[log], log, ++rig->seq[log], ROLL_BYTES), 0);
    assert_int_equal(log_commit(rig->log[log]), 0);
}

static uint64_t all_flushed(void *arg, uint32_t log)
{
    return log < 2 ? log_committed(((struct rig *)arg)->log[log]) : 0;
}

static bool sort_one(struct rig *rig)
{
    struct keep_how how = { .flushed = all_flushed, .arg = rig, .now_ms = RIG_NOW_MS };
    struct keep_report report;
    assert_int_equal(logs_keep(rig->logs, &how, &report), 0);
    return report.did == KEEP_SORTED;
}

static void a_segment_is_in_the_list_once_it_is_closed(void **state)
{
    struct rig *rig = *state;
    struct segment_list *list = list_get(rig->logs);
    assert_int_equal(list->segment_count, 0);
    list_unref(list);
    add(rig, 0);                          /* open */
    list = list_get(rig->logs);
    assert_int_equal(list->segment_count, 0);
    list_unref(list);
    add(rig, 0);
    list = list_get(rig->logs);
    assert_int_equal(list->segment_count, 1);
    assert_int_equal(list->segments[0]->head.first_number, 1);
    assert_int_equal(list->segments[0]->records, 1);
    assert_non_null(list->segments[0]->index.packed);
    list_unref(list);
}

static void segments_stand_by_log_and_number_and_tables_by_serial(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 6; i++) {
        add(rig, 1);
        add(rig, 0);
    }
    assert_true(sort_one(rig));
    assert_true(sort_one(rig));
    struct segment_list *list = list_get(rig->logs);
    assert_int_equal(list->segment_count, 8);
    for (size_t i = 1; i < list->segment_count; i++) {
        const struct segment_head *a = &list->segments[i - 1]->head, *b = &list->segments[i]->head;
        assert_true(a->log < b->log || (a->log == b->log && a->first_number < b->first_number));
    }
    assert_int_equal(list->table_count, 2);
    assert_true(sorted_meta(list->tables[0])->serial < sorted_meta(list->tables[1])->serial);
    list_unref(list);
}

static void a_list_that_somebody_holds_never_changes(void **state)
{
    struct rig *rig = *state;
    add(rig, 0);
    add(rig, 0);
    struct segment_list *before = list_get(rig->logs);
    struct segment *segment = before->segments[0];
    add(rig, 0);
    assert_true(sort_one(rig));           /* and the file of `segment` is gone */
    assert_true(sort_one(rig));
    assert_int_equal(before->segment_count, 1);
    assert_int_equal(before->table_count, 0);
    assert_ptr_equal(before->segments[0], segment);
    uint8_t byte;
    size_t got;
    assert_int_equal(segment->fs->pread(segment->fs->self, segment->file, &byte, 1, 0, &got), 0);
    assert_int_equal(got, 1);
    struct segment_list *after = list_get(rig->logs);
    assert_ptr_not_equal(before, after);
    assert_int_equal(after->segment_count, 0);
    assert_int_equal(after->table_count, 2);
    list_unref(after);
    list_unref(before);                   /* the last reference: the address sanitizer would see one too few */
}

static void replacing_takes_out_and_puts_in_at_once(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 4; i++)
        add(rig, 0);
    assert_true(sort_one(rig));
    assert_true(sort_one(rig));
    struct segment_list *list = list_get(rig->logs);
    assert_int_equal(list->segment_count, 1);
    assert_int_equal(list->table_count, 2);
    /* Any table will do as the one that is added: a list looks at serials alone. */
    assert_int_equal(list_replace(rig->logs, list->segments, 1, list->tables, 1, list->tables[0]), 0);
    struct segment_list *next = list_get(rig->logs);
    assert_int_equal(next->segment_count, 0);
    assert_int_equal(next->table_count, 2);
    list_unref(next);
    list_unref(list);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        TEST(a_segment_is_in_the_list_once_it_is_closed),
        TEST(segments_stand_by_log_and_number_and_tables_by_serial),
        TEST(a_list_that_somebody_holds_never_changes),
        TEST(replacing_takes_out_and_puts_in_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
