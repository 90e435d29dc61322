/* test_sweep.c - which rows of deleted messages may be forgotten, and which files have something deleted in them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>

#include "proto/err.h"
#include "storage/facts_impl.h"
#include "storage/keep.h"
#include "storage/logs.h"
#include "storage/sweep.h"
#include "storage/view.h"
#include "tests/harness/disk.h"
#include "tests/harness/logrig.h"

#define LOGS "/log"
#define FACTS "/facts.db"

enum { CONV = 1 };

struct rig {
    struct disk *disk;
    struct logs *logs;
    struct log *log;
    struct facts *facts;
    struct sweep sweep;
    struct deleted_row gone[SWEEP_ROWS];
    size_t gone_count;
    uint64_t now_ms;
    bool drops;                           /* what has a row is dropped by the keeper */
};

static void rig_open(struct rig *rig)
{
    struct logs_report report;
    assert_int_equal(facts_open(disk_fs(rig->disk), FACTS, true, &rig->facts), 0);
    assert_int_equal(rig_logs_open(disk_fs(rig->disk), LOGS, 0, &rig->logs, &report), 0);
    assert_int_equal(logs_log(rig->logs, 0, &rig->log), 0);
    sweep_init(&rig->sweep);
}

static void rig_close(struct rig *rig)
{
    sweep_fini(&rig->sweep);
    log_close(rig->log);
    logs_close(rig->logs);
    facts_close(rig->facts);
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->disk = disk_new(1);
    rig->now_ms = RIG_NOW_MS;
    rig_open(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    disk_free(rig->disk);
    free(rig);
    return 0;
}

static void add(struct rig *rig, uint64_t from, uint64_t to)
{
    for (uint64_t seq = from; seq <= to; seq++) assert_int_equal(rig_append(rig->log, CONV, seq, 50), 0);
    assert_int_equal(log_commit(rig->log), 0);
}

static void close_segment(struct rig *rig)
{
    log_roll(rig->log, rig->now_ms);
    assert_int_equal(log_commit(rig->log), 0);
}

/* Deleted at `ms` by the record `number`. */
static void delete(struct rig *rig, uint64_t seq, uint64_t ms, uint64_t number)
{
    struct query q;
    struct conv_id conv = rig_conv(CONV);
    query_start(&q, rig->facts->db, "INSERT INTO deleted (conv, seq, ms, log, number) VALUES (?, ?, ?, 0, ?)");
    query_put_blob(&q, conv.v, sizeof conv.v);
    query_put_u64(&q, seq);
    query_put_u64(&q, ms);
    query_put_u64(&q, number);
    assert_int_equal(query_run(&q), 0);
}

static uint64_t all_flushed(void *arg, uint32_t log)
{
    (void)arg, (void)log;
    return UINT64_MAX;
}

static int fate(void *arg, const struct record *record, struct bytes whole, enum fate *fate_out)
{
    struct rig *rig = arg;
    struct deleted_row row;
    size_t count;
    (void)whole;
    int err = facts_deleted(rig->facts, &record->partition, record->seq, record->seq, 1, &row, &count);
    *fate_out = rig->drops && count ? FATE_DROP : FATE_KEEP;
    return err;
}

static uint64_t dead_since(void *arg, struct sorted *table)
{
    return sweep_dead_since(&((struct rig *)arg)->sweep, table);
}

static void keep(struct rig *rig)
{
    struct keep_how how = { .flushed = all_flushed, .fate = fate, .dead_since = dead_since, .due_ms = 1, .arg = rig,
                            .now_ms = rig->now_ms };
    struct keep_report report;
    do assert_int_equal(logs_keep(rig->logs, &how, &report), 0);
    while (report.did != KEEP_NOTHING);
}

/* A whole walk: how many rows may be forgotten. */
static size_t walk(struct rig *rig)
{
    size_t gone = 0;
    rig->now_ms += SWEEP_EVERY_MS;
    do {
        assert_int_equal(sweep_step(&rig->sweep, rig->logs, rig->facts, rig->now_ms, rig->gone, &rig->gone_count), 0);
        gone += rig->gone_count;
    } while (rig->sweep.under_way);
    return gone;
}

static uint64_t table_is_dead_since(struct rig *rig)
{
    struct segment_list *list = list_get(rig->logs);
    uint64_t since = list->table_count ? sweep_dead_since(&rig->sweep, list->tables[0]) : 0;
    list_unref(list);
    return since;
}

static void a_row_goes_when_no_file_has_its_message_any_more(void **state)
{
    struct rig *rig = *state;
    struct conv_id conv = rig_conv(CONV);
    add(rig, 1, 6);
    delete(rig, 2, 2000, 5);
    delete(rig, 3, 1000, 6);
    assert_int_equal(walk(rig), 0);                      /* in the open segment */
    close_segment(rig);
    assert_int_equal(walk(rig), 0);                      /* in a closed one */
    keep(rig);
    assert_int_equal(table_is_dead_since(rig), 0);       /* nobody has looked there yet */
    assert_int_equal(walk(rig), 0);                      /* in a sorted one */
    assert_int_equal(table_is_dead_since(rig), 1000);
    rig->drops = true;
    keep(rig);
    assert_int_equal(walk(rig), 2);
    assert_true(rig->gone[0].seq == 3 && rig->gone[1].seq == 2 && conv_id_equal(&rig->gone[0].conv, &conv));
    assert_int_equal(table_is_dead_since(rig), 0);
    assert_int_equal(walk(rig), 2);                      /* as long as it is not forgotten */
    for (int i = 0; i < 2; i++) assert_int_equal(facts_deleted_forget(rig->facts, &conv, rig->gone[i].seq), 0);
    assert_int_equal(walk(rig), 0);
}

static void a_row_stays_while_the_record_that_made_it_may_lie_beside_its_message(void **state)
{
    struct rig *rig = *state;
    add(rig, 1, 3);
    close_segment(rig);
    rig->drops = true;
    add(rig, 4, 6);
    delete(rig, 5, 1000, 6);                             /* both in the open segment: in no file of the list */
    keep(rig);
    assert_int_equal(walk(rig), 0);
    close_segment(rig);
    keep(rig);
    assert_int_equal(walk(rig), 1);
}

static void a_row_stays_while_somebody_reads_an_older_list(void **state)
{
    struct rig *rig = *state;
    add(rig, 1, 3);
    close_segment(rig);
    struct find find = { .partition = rig_conv(CONV), .what = FIND_RECORDS, .from = 1, .to = 3, .max = 9,
                         .bytes_max = SIZE_MAX };
    struct view *view = log_view(rig->log, &find);
    struct record_page page;
    delete(rig, 2, 1000, 3);
    rig->drops = true;
    keep(rig);
    assert_int_equal(walk(rig), 0);
    record_page_init(&page);
    assert_int_equal(view_read(view, &page), 0);
    assert_int_equal(page.count, 3);                     /* it is in there */
    record_page_fini(&page);
    view_free(view);
    assert_int_equal(walk(rig), 1);
}

static void what_a_crash_kept_from_being_forgotten_is_found_after_the_next_start(void **state)
{
    struct rig *rig = *state;
    add(rig, 1, 3);
    close_segment(rig);
    delete(rig, 2, 1000, 3);
    rig->drops = true;
    keep(rig);
    assert_int_equal(walk(rig), 1);                      /* and now the power goes */
    struct disk *after = disk_crash(rig->disk, DISK_DROP_ALL, 1);
    rig_close(rig);
    disk_free(rig->disk);
    rig->disk = after;
    rig_open(rig);
    assert_int_equal(walk(rig), 1);
    assert_int_equal(rig->gone[0].seq, 2);
}

static void rows_of_one_moment_are_all_looked_at(void **state)
{
    struct rig *rig = *state;
    enum { MANY = 3 * SWEEP_ROWS };
    add(rig, 1, MANY);
    close_segment(rig);
    for (uint64_t seq = 1; seq <= MANY; seq++) delete(rig, seq, 1000, 0);
    keep(rig);
    assert_int_equal(walk(rig), 0);
    rig->drops = true;
    keep(rig);
    assert_int_equal(walk(rig), MANY);
}

static void a_walk_begins_once_in_a_while(void **state)
{
    struct rig *rig = *state;
    delete(rig, 1, 1000, 0);
    assert_int_equal(walk(rig), 1);
    for (int i = 0; i < 2; i++) {
        rig->now_ms += SWEEP_EVERY_MS / 3;
        assert_int_equal(sweep_step(&rig->sweep, rig->logs, rig->facts, rig->now_ms, rig->gone, &rig->gone_count), 0);
        assert_int_equal(rig->gone_count, 0);
    }
    assert_int_equal(walk(rig), 1);
    rig->now_ms -= 2 * SWEEP_EVERY_MS;                   /* the clock was set back */
    assert_int_equal(sweep_step(&rig->sweep, rig->logs, rig->facts, rig->now_ms, rig->gone, &rig->gone_count), 0);
    assert_int_equal(rig->gone_count, 1);
}

static void a_damaged_file_may_have_what_is_looked_for(void **state)
{
    struct rig *rig = *state;
    add(rig, 1, 3);
    close_segment(rig);
    keep(rig);
    struct segment_list *list = list_get(rig->logs);
    char path[FS_PATH_MAX];
    fs_path(path, LOGS, sorted_file_name(list->tables[0]));
    list_unref(list);
    uint8_t byte;
    enum { IN_THE_FIRST_BLOCK = 100 };
    disk_file_read(rig->disk, path, IN_THE_FIRST_BLOCK, &byte, 1);
    byte ^= 1;
    disk_file_poke(rig->disk, path, IN_THE_FIRST_BLOCK, &byte, 1);
    delete(rig, 2, 1000, 3);
    assert_int_equal(walk(rig), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        TEST(a_row_goes_when_no_file_has_its_message_any_more),
        TEST(a_row_stays_while_the_record_that_made_it_may_lie_beside_its_message),
        TEST(a_row_stays_while_somebody_reads_an_older_list),
        TEST(what_a_crash_kept_from_being_forgotten_is_found_after_the_next_start),
        TEST(rows_of_one_moment_are_all_looked_at),
        TEST(a_walk_begins_once_in_a_while),
        TEST(a_damaged_file_may_have_what_is_looked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
