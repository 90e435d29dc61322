/* test_view_search.c - pages without what nobody wants, and where a time lies: compared with arithmetic over the
 * sequences, wherever the records are. (What a page holds: test_view.c.) */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/keep.h"
#include "storage/logs.h"
#include "storage/view.h"
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"
#include "tests/harness/logrig.h"

#define DIR "/log"

enum { CONVS = 3, STEPS_MAX = 3 };

struct rig {
    struct disk *disk;
    struct logs *logs;
    struct log *log;
    uint64_t seqs[CONVS];                 /* the record of sequence s was made RIG_NOW_MS + s */
    uint64_t segment_bytes;
    struct record_page page;
};

static void rig_open(struct rig *rig)
{
    struct logs_report report;
    assert_int_equal(rig_logs_open(disk_fs(rig->disk), DIR, rig->segment_bytes, &rig->logs, &report), 0);
    assert_int_equal(logs_log(rig->logs, 0, &rig->log), 0);
}

static void rig_close(struct rig *rig)
{
    log_close(rig->log);
    logs_close(rig->logs);
}

static int setup_with(void **state, uint64_t segment_bytes)
{
    struct rig *rig = calloc(1, sizeof *rig);
    *state = rig;
    rig->disk = disk_new(1);
    rig->segment_bytes = segment_bytes;
    record_page_init(&rig->page);
    rig_open(rig);
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 6000);
}

static int setup_large(void **state)
{
    return setup_with(state, 64 * 1024 * 1024);
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    record_page_fini(&rig->page);
    rig_close(rig);
    disk_free(rig->disk);
    free(rig);
    return 0;
}

static void add(struct rig *rig, uint32_t conv, uint64_t count)
{
    for (uint64_t i = 1; i <= count; i++) {
        assert_int_equal(rig_append(rig->log, conv, ++rig->seqs[conv], 20), 0);
        if (i % 500 == 0)
            assert_int_equal(log_commit(rig->log), 0);
    }
    assert_int_equal(log_commit(rig->log), 0);
}

static uint64_t all_flushed(void *arg, uint32_t log)
{
    return log == 0 ? log_committed(((struct rig *)arg)->log) : 0;
}

static bool keep(struct rig *rig, bool idle)
{
    struct keep_how how = { .flushed = all_flushed, .arg = rig, .now_ms = RIG_NOW_MS, .idle = idle };
    struct keep_report report;
    assert_int_equal(logs_keep(rig->logs, &how, &report), 0);
    return report.did != KEEP_NOTHING;
}

/* A life in which records come to lie in the open segment, closed ones, sorted ones and merged ones. */
static void live(struct rig *rig, uint64_t *random)
{
    for (uint32_t c = 0; c < CONVS; c++)
        add(rig, c, chance_below(random, 12));
    if (!chance_below(random, 4))
        keep(rig, chance_below(random, 2));
    if (chance_below(random, 60))
        return;
    rig_close(rig);
    rig_open(rig);
}

/* ---- passing over ---- */

struct wish { uint64_t salt, one_of, asked; int err; };

static bool is_unwanted(const struct wish *w, uint64_t seq)
{
    uint64_t random = w->salt ^ seq;
    return w->one_of == 0 || chance_below(&random, w->one_of) != 0;
}

static int pass(void *arg, const struct record *record, bool *pass_out)
{
    struct wish *w = arg;
    w->asked++;
    *pass_out = is_unwanted(w, record->seq);
    return w->err;
}

static int read_passing(struct rig *rig, const struct find *find, struct wish *wish)
{
    struct view *view = log_view(rig->log, find);
    assert_non_null(view);
    int err = view_read_passing(view, &rig->page, pass, wish);
    view_free(view);
    return err;
}

/* The same walk over numbers. */
static void check_passing(struct rig *rig, uint32_t conv, const struct find *find, const struct wish *wish)
{
    uint64_t low = find->from > 1 ? find->from : 1, high = find->to < rig->seqs[conv] ? find->to : rig->seqs[conv];
    uint64_t left = high >= low ? high - low + 1 : 0, seq = find->newest ? high : low, passed = 0, walked = 0;
    size_t count = 0, at;
    while (left && count < find->max && passed < FIND_PASS_MAX) {
        walked = seq;
        if (is_unwanted(wish, seq)) {
            passed++;
        } else {
            at = find->newest ? rig->page.count - 1 - count : count;
            assert_true(count < rig->page.count);
            assert_int_equal(rig->page.records[at].record.seq, seq);
            assert_true(rig_is_intact(&rig->page.records[at].record, rig->page.records[at].whole));
            count++;
        }
        seq = find->newest ? seq - 1 : seq + 1;
        left--;
    }
    assert_int_equal(rig->page.count, count);
    if (left)
        assert_true(rig->page.more);
    if (walked)
        assert_int_equal(rig->page.walked, walked);
}

static void what_is_passed_over_takes_no_place_in_a_page(void **state)
{
    struct rig *rig = *state;
    uint64_t random = run_seed();
    for (int round = 0; round < 300; round++) {
        live(rig, &random);
        for (int i = 0; i < 4; i++) {
            uint32_t conv = (uint32_t)chance_below(&random, CONVS);
            struct wish wish = { .salt = chance(&random), .one_of = chance_below(&random, 30) };
            struct find find = { .partition = rig_conv(conv), .what = FIND_RECORDS, .to = UINT64_MAX,
                                 .bytes_max = SIZE_MAX, .max = 1 + chance_below(&random, 40),
                                 .newest = chance_below(&random, 2), .passing = true };
            if (chance_below(&random, 2)) {
                find.from = chance_below(&random, rig->seqs[conv] + 3);
                find.to = find.from + chance_below(&random, rig->seqs[conv] + 3);
            }
            assert_int_equal(read_passing(rig, &find, &wish), 0);
            check_passing(rig, conv, &find, &wish);
        }
    }
}

static void one_read_passes_over_so_many_and_says_how_far_it_got(void **state)
{
    struct rig *rig = *state;
    add(rig, 0, 3 * FIND_PASS_MAX + 10);
    for (int newest = 0; newest < 2; newest++) {
        struct wish none = { .one_of = 0 };
        struct find find = { .partition = rig_conv(0), .what = FIND_RECORDS, .from = 1, .to = rig->seqs[0], .max = 5,
                             .bytes_max = SIZE_MAX, .newest = newest, .passing = true };
        for (int step = 1; step <= 3; step++) {
            none.asked = 0;
            assert_int_equal(read_passing(rig, &find, &none), 0);
            assert_int_equal(rig->page.count, 0);
            assert_true(rig->page.more);
            assert_int_equal(none.asked, FIND_PASS_MAX);
            if (newest)
                find.to = rig->page.walked - 1;
            else
                find.from = rig->page.walked + 1;
        }
        assert_int_equal(find.to - find.from, 9);
        assert_int_equal(read_passing(rig, &find, &none), 0);
        assert_false(rig->page.more);
        keep(rig, true);                  /* the second time from a sorted file, once it was closed */
        rig_close(rig);
        rig_open(rig);
        while (keep(rig, true))
            continue;
    }
    assert_true(rig->logs->list->table_count > 0);
}

static void an_error_of_who_is_asked_ends_the_page(void **state)
{
    struct rig *rig = *state;
    struct wish wish = { .one_of = 1, .err = ERR_IO };
    struct find find = { .partition = rig_conv(0), .what = FIND_RECORDS, .from = 1, .to = 9, .max = 5,
                         .bytes_max = SIZE_MAX, .passing = true };
    add(rig, 0, 9);
    assert_int_equal(read_passing(rig, &find, &wish), ERR_IO);
    assert_int_equal(rig->page.count, 0);
    assert_int_equal(wish.asked, 1);
}

/* ---- where a time lies ---- */

/* As many steps as it takes; *reads_out: of files, over all of them. */
static uint64_t find_time(struct rig *rig, uint32_t conv, uint64_t from, uint64_t to, uint64_t ms, uint32_t *reads_out)
{
    uint64_t low = from, high = to;
    *reads_out = 0;
    for (int step = 1; ; step++) {
        struct find find = { .partition = rig_conv(conv), .what = FIND_RECORDS, .from = low, .to = high,
                             .max = FIND_SPREAD_MAX, .bytes_max = SIZE_MAX, .spread = true };
        struct view *view = log_view(rig->log, &find);
        assert_non_null(view);
        assert_int_equal(view_find_time(view, &rig->page, ms, &low, &high), 0);
        view_free(view);
        *reads_out += rig->page.reads;
        assert_int_equal(rig->page.count, 0);
        assert_true(low >= from && high <= to && low <= to + 1);
        if (low >= high)
            return low;
        assert_true(step < STEPS_MAX);
    }
}

static void check_time(struct rig *rig, uint32_t conv, uint64_t from, uint64_t to, uint64_t ms)
{
    uint32_t reads;
    uint64_t first = ms > RIG_NOW_MS ? ms - RIG_NOW_MS : 0, last = to < rig->seqs[conv] ? to : rig->seqs[conv];
    if (first < from)
        first = from;
    uint64_t at = find_time(rig, conv, from, to, ms, &reads);
    if (first > last)
        assert_int_equal(at, to + 1);
    else
        assert_int_equal(at, first);
}

static void a_time_is_found_wherever_its_record_lies(void **state)
{
    struct rig *rig = *state;
    uint64_t random = run_seed(), mixed = 0;
    for (int round = 0; round < 400; round++) {
        live(rig, &random);
        mixed += rig->logs->list->segment_count > 0 && rig->logs->list->table_count > 0;
        for (int i = 0; i < 4; i++) {
            uint32_t conv = (uint32_t)chance_below(&random, CONVS);
            uint64_t head = rig->seqs[conv] ? rig->seqs[conv] : 1;
            uint64_t from = chance_below(&random, 3) ? 1 : 1 + chance_below(&random, head);
            uint64_t to = from + chance_below(&random, rig->seqs[conv] + 5);
            check_time(rig, conv, from, to, RIG_NOW_MS - 2 + chance_below(&random, rig->seqs[conv] + 6));
        }
    }
    assert_true(mixed > 20);
    check_time(rig, 0, 1, rig->seqs[0], 0);
    check_time(rig, 0, 1, rig->seqs[0], UINT64_MAX);
}

/* A conversation that fills a segment: more places than a view takes along. */
static void a_time_in_a_full_open_segment_takes_few_steps_and_few_reads(void **state)
{
    struct rig *rig = *state;
    uint64_t random = run_seed();
    uint32_t reads;
    add(rig, 1, 50);
    add(rig, 0, 12 * FIND_SPREAD_MAX + 7);
    add(rig, 1, 50);
    for (int i = 0; i < 60; i++) {
        uint64_t seq = 1 + chance_below(&random, rig->seqs[0]);
        assert_int_equal(find_time(rig, 0, 1, rig->seqs[0], RIG_NOW_MS + seq, &reads), seq);
        assert_true(reads <= 2 * 12);
    }
    for (uint64_t seq = 1; seq <= 30; seq++)
        check_time(rig, 0, 1, rig->seqs[0], RIG_NOW_MS + seq);
    check_time(rig, 0, 1, rig->seqs[0], RIG_NOW_MS + rig->seqs[0]);
    check_time(rig, 0, 1, rig->seqs[0], RIG_NOW_MS + rig->seqs[0] + 1);
    check_time(rig, 1, 1, 100, RIG_NOW_MS + 60);
    rig_close(rig);                       /* the same in a closed one, and in a sorted one */
    rig_open(rig);
    for (int sorted = 0; sorted < 2; sorted++) {
        assert_int_equal(rig->logs->list->table_count, sorted);
        for (int i = 0; i < 60; i++) {
            uint64_t seq = 1 + chance_below(&random, rig->seqs[0]);
            assert_int_equal(find_time(rig, 0, 1, rig->seqs[0], RIG_NOW_MS + seq, &reads), seq);
            assert_true(reads <= (sorted ? 4 : 15));
        }
        keep(rig, true);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_LARGE(name) cmocka_unit_test_setup_teardown(name, setup_large, teardown)

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        TEST(what_is_passed_over_takes_no_place_in_a_page),
        TEST_LARGE(one_read_passes_over_so_many_and_says_how_far_it_got),
        TEST(an_error_of_who_is_asked_ends_the_page),
        TEST(a_time_is_found_wherever_its_record_lies),
        TEST_LARGE(a_time_in_a_full_open_segment_takes_few_steps_and_few_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
