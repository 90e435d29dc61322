/* test_cut.c - a folder that a start refuses is opened again by a cut at the place that the start names: what lies
 * before it is served, what lies behind it is kept beside, and no record number or sequence is given twice. cut.c,
 * cut_survey.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "proto/msg.h"
#include "storage/offline.h"
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"

#define DATA "/data"
#define FIRST "0000-0000000000000001.seg"

enum { CUTS_MAX = 50 };

static const struct user_id alice = { "alice" }, bob = { "bob" };
static const struct device_id phone = { 0xf000000000000001 };

struct world {
    struct disk *disk;
    struct store store;
    struct conv_id chat;
    struct vault_key key;
    struct node_row node;
    uint64_t seq;                     /* of the last message */
    struct fold *fold;
    struct cut_report report;
    char why[256];
};

static int setup(void **state)
{
    struct world *w = test_calloc(1, sizeof *w);
    w->disk = disk_new(run_seed());
    w->chat = conv_id_direct(&alice, &bob);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    fold_free(w->fold);
    disk_free(w->disk);
    test_free(w);
    return 0;
}

static int try_open(struct world *w)
{
    struct store_opening how = { .shards = 1, .now_ms = 1000 };
    return store_open(disk_fs(w->disk), DATA, &how, &w->store, w->why);
}

static void opened(struct world *w)
{
    int err = try_open(w);
    if (err) fail_msg("%s: %s", err_name(err), w->why);
    if (!w->fold) w->fold = fold_new(0);
}

/* A store with alice and bob. */
static void begun(struct world *w)
{
    opened(w);
    w->node = w->store.node;
    assert_int_equal(facts_begin(w->store.facts), 0);
    assert_int_equal(facts_user_add(w->store.facts, &alice, "x", 1), 0);
    assert_int_equal(facts_user_add(w->store.facts, &bob, "x", 1), 0);
    assert_int_equal(facts_conv_add_direct(w->store.facts, &w->chat, &alice, &bob, 1), 0);
    assert_int_equal(facts_commit(w->store.facts), 0);
    assert_int_equal(vault_begin(w->store.vault), 0);
    assert_int_equal(vault_make(w->store.vault, &w->chat, 5, &w->key), 0);
    assert_int_equal(vault_commit(w->store.vault), 0);
}

/* The next message, in a batch of its own. Its record number. */
static uint64_t say_one(struct world *w)
{
    struct msg_id none = { { 0 } };
    struct position pos;
    uint64_t seq = ++w->seq;
    struct record head = { .partition = w->chat, .key = w->key.number, .seq = seq, .kind = KIND_MESSAGE,
                           .flags = RECORD_COUNTS, .counted = seq };
    struct entry entry = { .sender = alice, .device = phone, .client_seq = seq, .settled = seq,
                           .members = { alice, bob }, .member_count = seq == 1 ? 2 : 0, .body = bytes_of_str("hello") };
    head.id = msg_id_next(&none, 1000 + seq, (const uint8_t[8]){ 1 });
    assert_int_equal(log_append(w->store.log[0], &head, &entry, w->key.key, &pos), 0);
    assert_int_equal(log_commit(w->store.log[0]), 0);
    head.log = pos.log;
    head.number = pos.number;
    assert_int_equal(fold_record(w->fold, &head, &entry), 0);
    return pos.number;
}

static void said(struct world *w, int count)
{
    while (count-- > 0) say_one(w);
}

static void flushed(struct world *w)
{
    assert_int_equal(facts_begin(w->store.facts), 0);
    assert_int_equal(facts_flush(w->store.facts, w->fold), 0);
    assert_int_equal(facts_commit(w->store.facts), 0);
    fold_free(w->fold);
    w->fold = fold_new(0);
}

static void closed(struct world *w)
{
    store_close(&w->store);
    fold_free(w->fold);
    w->fold = NULL;
}

static void flip(struct world *w, const char *path, uint64_t offset, unsigned bit)
{
    uint8_t byte;
    disk_file_read(w->disk, path, offset, &byte, 1);
    byte ^= (uint8_t)(1u << bit);
    disk_file_poke(w->disk, path, offset, &byte, 1);
}

/* Where the record of message `seq` begins in the first file: they are all of one size, but for the first. */
static uint64_t place_of(const struct world *w, uint64_t seq)
{
    uint64_t size = disk_file_size(w->disk, DATA "/log/" FIRST), each = (size - 48) / w->seq;
    uint64_t first = size - 48 - each * (w->seq - 1);          /* what names its members is longer */
    while (each * (w->seq - 1) + 48 + first > size) each--;
    return seq == 1 ? 48 + 48 : 48 + first + (seq - 2) * each + 48;
}

static int cut_at(struct world *w, const char *name, uint64_t offset)
{
    struct cut *cut;
    int err = cut_open(disk_fs(w->disk), DATA, name, offset, NULL, NULL, &cut, &w->report, w->why);
    if (err) return err;
    err = cut_make(cut, 2000, w->why);
    cut_close(cut);
    return err;
}

static void cut_done(struct world *w, const char *name, uint64_t offset)
{
    int err = cut_at(w, name, offset);
    if (err) fail_msg("%s:%llu: %s: %s", name, (unsigned long long)offset, err_name(err), w->why);
}

/* A start is refused, and names a place. */
static void refused(struct world *w, char name[static FS_NAME_MAX + 1], uint64_t *offset)
{
    int err = try_open(w);
    if (err != ERR_CORRUPT) fail_msg("%s: %s", err_name(err), w->why);
    strcpy(name, w->store.report.bad_file);
    *offset = w->store.report.bad_offset;
}

/* Of the sequences from..to just those from first to last are there. */
static void expect_page(struct world *w, uint64_t from, uint64_t to, uint64_t first, uint64_t last)
{
    struct find find = { .partition = w->chat, .what = FIND_RECORDS, .from = from, .to = to, .max = 1000,
                         .bytes_max = 1000000 };
    struct record_page page;
    struct view *view = log_view(w->store.log[0], &find);
    assert_non_null(view);
    record_page_init(&page);
    assert_int_equal(view_read(view, &page), 0);
    view_free(view);
    assert_false(page.more);
    assert_int_equal(page.count, last - first + 1);
    for (size_t i = 0; i < page.count; i++) assert_int_equal(page.records[i].record.seq, first + i);
    record_page_fini(&page);
}

static void expect_served(struct world *w, uint64_t first, uint64_t last)
{
    expect_page(w, 1, UINT64_MAX, first, last);
}

static uint64_t head_of(struct world *w)
{
    struct conv_row row;
    assert_int_equal(facts_conv_get(w->store.facts, &w->chat, &row), 0);
    return row.head;
}

static bool same_generation(const struct world *w)
{
    return memcmp(w->node.generation, w->store.node.generation, sizeof w->node.generation) == 0;
}

static uint64_t all_flushed(void *arg, uint32_t log)
{
    (void)arg, (void)log;
    return UINT64_MAX;
}

static void all_sorted(struct world *w)
{
    struct keep_report report;
    struct keep_how how = { .flushed = all_flushed, .now_ms = 3000, .idle = true };
    do {
        assert_int_equal(logs_keep(w->store.logs, &how, &report), 0);
    } while (report.did != KEEP_NOTHING);
}

/* Whoever wrote goes on writing, with new numbers; then all is closed, opened, sorted, and opened once more. */
static void expect_goes_on(struct world *w, uint64_t kept, uint64_t number)
{
    w->seq = head_of(w);
    uint64_t first = w->seq + 1;
    assert_true(say_one(w) >= number);
    said(w, 9);
    flushed(w);
    for (int i = 0; i < 3; i++) {
        expect_page(w, 1, first - 1, 1, kept);
        expect_page(w, first, UINT64_MAX, first, first + 9);
        if (i == 1) all_sorted(w);
        closed(w);
        opened(w);
    }
    closed(w);
}

/* -- what a cut does ------------------------------------------------------------------------------------------ */

static void what_lies_before_the_damage_is_served_and_numbers_go_on_above_what_was_cut(void **state)
{
    struct world *w = *state;
    char name[FS_NAME_MAX + 1];
    uint64_t offset;
    begun(w);
    said(w, 40);
    flushed(w);
    closed(w);
    flip(w, DATA "/log/" FIRST, place_of(w, 25) + 100, 3);
    refused(w, name, &offset);
    assert_string_equal(name, FIRST);
    assert_int_equal(offset, place_of(w, 25));
    uint64_t size = disk_file_size(w->disk, DATA "/log/" FIRST);
    cut_done(w, name, offset);
    assert_int_equal(w->report.kept, 24);
    assert_int_equal(w->report.offset, offset - 48);           /* where its batch begins */
    assert_int_equal(w->report.bytes, size - w->report.offset);
    assert_int_equal(w->report.records, 15);
    assert_int_equal(w->report.lost_records, 1);
    assert_int_equal(w->report.flushed, 40);
    assert_int_equal(w->report.goes_on, 40 + CUT_NUMBERS_SPARE + 1);
    assert_false(w->report.is_blind);
    assert_int_equal(disk_file_size(w->disk, DATA "/log/" FIRST), w->report.offset);
    opened(w);
    assert_true(same_generation(w));
    assert_int_equal(head_of(w), 40);
    expect_served(w, 1, 24);
    expect_goes_on(w, 24, w->report.goes_on);
}

static void what_was_cut_lies_beside_byte_for_byte(void **state)
{
    struct world *w = *state;
    uint8_t before[16384], after[16384];
    char path[FS_PATH_MAX];
    begun(w);
    said(w, 30);
    flushed(w);
    closed(w);
    flip(w, DATA "/log/" FIRST, place_of(w, 11), 0);
    uint64_t size = disk_file_size(w->disk, DATA "/log/" FIRST);
    assert_true(size <= sizeof before);
    disk_file_read(w->disk, DATA "/log/" FIRST, 0, before, size);
    cut_done(w, FIRST, place_of(w, 11));
    snprintf(path, sizeof path, DATA "/log/" FIRST ".cut-%llu", (unsigned long long)w->report.offset);
    assert_int_equal(disk_file_size(w->disk, path), size - w->report.offset);
    disk_file_read(w->disk, DATA "/log/" FIRST, 0, after, w->report.offset);
    disk_file_read(w->disk, path, 0, after + w->report.offset, size - w->report.offset);
    assert_memory_equal(before, after, size);
}

static void rows_learn_what_they_lack_of_what_stays_and_of_what_can_be_read(void **state)
{
    struct world *w = *state;
    begun(w);
    said(w, 10);
    flushed(w);
    said(w, 30);                                               /* in the log alone */
    closed(w);
    flip(w, DATA "/log/" FIRST, place_of(w, 25) + 100, 3);
    cut_done(w, FIRST, place_of(w, 25));
    assert_int_equal(w->report.flushed, 10);
    assert_true(w->report.is_blind);                           /* 25 may have been of another conversation */
    opened(w);
    assert_false(same_generation(w));
    assert_int_equal(head_of(w), 40);
    expect_served(w, 1, 24);
    expect_goes_on(w, 24, w->report.goes_on);
}

static void a_file_whose_header_is_bad_goes_whole_and_files_behind_it_too(void **state)
{
    struct world *w = *state;
    char second[FS_PATH_MAX], name[FS_NAME_MAX + 1];
    uint64_t offset;
    begun(w);
    said(w, 10);
    closed(w);
    opened(w);
    said(w, 10);
    closed(w);
    opened(w);                                                 /* a third */
    said(w, 10);
    flushed(w);
    closed(w);
    snprintf(second, sizeof second, DATA "/log/0000-%016d.seg", 11);
    flip(w, second, 20, 1);
    refused(w, name, &offset);
    assert_int_equal(offset, 0);
    cut_done(w, name, offset);
    assert_int_equal(w->report.kept, 10);
    assert_int_equal(w->report.files, 1);
    assert_int_equal(w->report.records, 10);                   /* of the third */
    assert_true(w->report.lost_records >= 10);
    assert_int_equal(disk_file_count(w->disk, DATA "/log/0000-0000000000000011.seg.cut-0"), 1);
    assert_int_equal(disk_file_count(w->disk, DATA "/log/0000-0000000000000021.seg.cut-0"), 1);
    opened(w);
    expect_served(w, 1, 10);
    assert_int_equal(head_of(w), 30);
    expect_goes_on(w, 10, 31);
}

static void a_log_that_has_lost_its_end_goes_on_behind_it(void **state)
{
    struct world *w = *state;
    char name[FS_NAME_MAX + 1];
    uint64_t offset;
    begun(w);
    said(w, 40);
    flushed(w);
    closed(w);
    uint64_t end = place_of(w, 31) - 48;
    disk_file_cut(w->disk, DATA "/log/" FIRST, end);
    refused(w, name, &offset);
    assert_int_equal(offset, end);
    cut_done(w, name, offset);
    assert_int_equal(w->report.bytes, 0);
    assert_int_equal(w->report.kept, 30);
    assert_true(w->report.is_blind);
    opened(w);
    assert_false(same_generation(w));
    expect_served(w, 1, 30);
    expect_goes_on(w, 30, 41);
}

static void a_log_whose_only_file_is_gone_goes_on(void **state)
{
    struct world *w = *state;
    char name[FS_NAME_MAX + 1];
    uint64_t offset;
    const struct fsio *fs = disk_fs(w->disk);
    begun(w);
    said(w, 5);
    flushed(w);
    closed(w);
    assert_int_equal(fs->unlink(fs->self, DATA "/log/" FIRST), 0);
    refused(w, name, &offset);
    cut_done(w, name, offset);
    opened(w);
    assert_int_equal(head_of(w), 5);
    expect_goes_on(w, 0, 6);
}

/* -- what it refuses ------------------------------------------------------------------------------------------ */

static void expect_no(struct world *w, const char *name, uint64_t offset, int err, const char *clause)
{
    assert_int_equal(cut_at(w, name, offset), err);
    if (!strstr(w->why, clause)) fail_msg("\"%s\" does not say \"%s\"", w->why, clause);
    assert_int_equal(disk_file_count(w->disk, DATA "/log/" FIRST ".cut"), 0);
}

static void what_is_no_tail_or_not_there_is_refused_and_left_alone(void **state)
{
    struct world *w = *state;
    begun(w);
    said(w, 20);
    flushed(w);
    expect_no(w, FIRST, 48, ERR_IN_USE, "in use");
    closed(w);
    uint64_t size = disk_file_size(w->disk, DATA "/log/" FIRST);
    expect_no(w, FIRST, size, ERR_NOT_FOUND, "nothing lies there");
    expect_no(w, FIRST, size + 1, ERR_NOT_FOUND, "ends at byte");
    expect_no(w, "sorted-0000000000000001.seg", 0, ERR_NOT_FOUND, "sorted ones cannot");
    expect_no(w, "0000-0000000000000001.seg.bak", 0, ERR_NOT_FOUND, "no name of a file");
    expect_no(w, "0300-0000000000000001.seg", 0, ERR_NOT_FOUND, "no name of a file");
    flip(w, DATA "/log/" FIRST, place_of(w, 5) + 20, 0);
    expect_no(w, FIRST, place_of(w, 9), ERR_CORRUPT, "damage before the position");
    expect_no(w, "0000-0000000000000021.seg", 0, ERR_CORRUPT, "it has to be cut there");
    flip(w, DATA "/log/" FIRST, place_of(w, 5) + 20, 0);
    opened(w);
    all_sorted(w);
    closed(w);
    expect_no(w, FIRST, 0, ERR_UNSUPPORTED, "in a sorted file");
    disk_file_poke(w->disk, DATA "/format", 11, "2", 1);
    expect_no(w, FIRST, 0, ERR_NEWER, "this program knows");
}

static void a_folder_that_is_none_is_not_made_into_one(void **state)
{
    struct world *w = *state;
    assert_int_equal(cut_at(w, FIRST, 0), ERR_NOT_FOUND);
    assert_int_equal(disk_file_count(w->disk, "/"), 0);
}

/* -- stopped, and whatever it meets ------------------------------------------------------------------------------ */

/* Cuts where starts say, until one opens. How many cuts it took. */
static int cut_until_open(struct world *w)
{
    int cuts = 0;
    for (; cuts < CUTS_MAX; cuts++) {
        int err = try_open(w);
        if (!err) return cuts;
        if (err != ERR_CORRUPT) fail_msg("%s: %s", err_name(err), w->why);
        char name[FS_NAME_MAX + 1];
        strcpy(name, w->store.report.bad_file);
        cut_done(w, name, w->store.report.bad_offset);
    }
    fail_msg("%d cuts, and still: %s", cuts, w->why);
    return cuts;
}

static void power_lost_anywhere_leaves_what_the_same_cut_brings_to_its_end(void **state)
{
    struct world *w = *state;
    begun(w);
    said(w, 10);
    closed(w);
    opened(w);
    said(w, 20);
    flushed(w);
    said(w, 5);
    closed(w);
    opened(w);
    said(w, 3);                                                /* a third file */
    closed(w);
    char path[FS_PATH_MAX];
    snprintf(path, sizeof path, DATA "/log/0000-%016d.seg", 11);
    flip(w, path, 48 + 48 + 5, 2);                             /* the first of the second file */
    struct disk *damaged = disk_crash(w->disk, DISK_KEEP_ALL, 1);
    disk_free(w->disk);
    w->disk = damaged;
    disk_journal_start(damaged);
    cut_done(w, "0000-0000000000000011.seg", 48 + 48);
    uint64_t ops = disk_journal_ops(damaged), goes_on = w->report.goes_on;
    assert_true(ops > 10);
    struct disk *shadow = disk_shadow(damaged);
    int opened_at_once = 0;
    for (uint64_t k = 0; k <= ops; k++) {
        disk_shadow_to(shadow, damaged, k);
        for (int mode = 0; mode < DISK_CRASH_MODES; mode++) {
            w->disk = disk_crash(shadow, (enum disk_crash)mode, run_seed() + k);
            int cuts = cut_until_open(w);
            assert_true(cuts <= 1);
            opened_at_once += cuts == 0;
            w->fold = fold_new(0);
            expect_served(w, 1, 10);
            w->seq = head_of(w);
            assert_int_equal(w->seq, 38);
            assert_true(log_committed(w->store.log[0]) >= goes_on - 1);
            closed(w);
            assert_true(disk_file_count(w->disk, DATA "/log/0000-0000000000000011.seg.cut-") >= 1);
            disk_free(w->disk);
        }
    }
    assert_true(opened_at_once > 0);
    disk_free(shadow);
    w->disk = damaged;
}

static void errors_of_the_disk_are_told_and_the_same_cut_goes_on(void **state)
{
    struct world *w = *state;
    begun(w);
    said(w, 10);
    flushed(w);
    said(w, 10);
    closed(w);
    flip(w, DATA "/log/" FIRST, place_of(w, 8) + 20, 2);
    uint64_t offset = place_of(w, 8);
    struct disk *damaged = w->disk;
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        w->disk = disk_crash(damaged, DISK_KEEP_ALL, n);
        disk_fail_write(w->disk, n);
        disk_fail_sync(w->disk, n);
        failed = cut_at(w, FIRST, offset) != 0;
        assert_true(!failed || w->why[0]);
        struct disk *after = disk_crash(w->disk, DISK_RANDOM, run_seed() + n);
        disk_free(w->disk);
        w->disk = after;
        cut_until_open(w);
        expect_served(w, 1, 7);
        closed(w);
        disk_free(w->disk);
    }
    w->disk = damaged;
}

static void whatever_is_damaged_cutting_where_the_start_says_ends_with_a_start(void **state)
{
    struct world *w = *state;
    uint64_t random = run_seed();
    begun(w);
    said(w, 15);
    closed(w);
    opened(w);
    said(w, 15);
    flushed(w);
    said(w, 10);
    closed(w);
    struct disk *whole = w->disk;
    for (int round = 0; round < 150; round++) {
        char path[FS_PATH_MAX];
        w->disk = disk_crash(whole, DISK_KEEP_ALL, 1);
        for (uint64_t flips = 1 + chance_below(&random, 6); flips > 0; flips--) {
            snprintf(path, sizeof path, DATA "/log/0000-%016d.seg", chance_below(&random, 2) ? 1 : 16);
            uint64_t size = disk_file_size(w->disk, path);
            flip(w, path, chance_below(&random, size), (unsigned)chance_below(&random, 8));
            if (chance_below(&random, 6) == 0 && size > 100)
                disk_file_cut(w->disk, path, chance_below(&random, size - 1) + 1);
        }
        cut_until_open(w);
        uint64_t committed = log_committed(w->store.log[0]);
        w->fold = fold_new(0);
        w->seq = head_of(w);
        assert_true(w->seq >= 30);                             /* what the rows knew */
        assert_true(say_one(w) > committed);
        closed(w);
        opened(w);                                             /* and stays open */
        closed(w);
        disk_free(w->disk);
    }
    w->disk = whole;
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(what_lies_before_the_damage_is_served_and_numbers_go_on_above_what_was_cut),
        IN_A_WORLD(what_was_cut_lies_beside_byte_for_byte),
        IN_A_WORLD(rows_learn_what_they_lack_of_what_stays_and_of_what_can_be_read),
        IN_A_WORLD(a_file_whose_header_is_bad_goes_whole_and_files_behind_it_too),
        IN_A_WORLD(a_log_that_has_lost_its_end_goes_on_behind_it),
        IN_A_WORLD(a_log_whose_only_file_is_gone_goes_on),
        IN_A_WORLD(what_is_no_tail_or_not_there_is_refused_and_left_alone),
        IN_A_WORLD(a_folder_that_is_none_is_not_made_into_one),
        IN_A_WORLD(power_lost_anywhere_leaves_what_the_same_cut_brings_to_its_end),
        IN_A_WORLD(errors_of_the_disk_are_told_and_the_same_cut_goes_on),
        IN_A_WORLD(whatever_is_damaged_cutting_where_the_start_says_ends_with_a_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
