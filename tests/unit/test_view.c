/* test_view.c - pages, wherever their records lie: compared with a model made of arrays. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
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

enum { LOGS = 3, CONVS = 5, SEQS_MAX = 4000, MARKS_MAX = 4000, BODY_MAX = 300, SEGMENT_BYTES = 6000 };

/* What was committed, and where its places are: nothing of how it is stored. */
struct model_mark { uint64_t seq, number; uint32_t log; };
struct model {
    uint64_t seqs;
    size_t bytes[SEQS_MAX + 1];           /* of each record */
    struct model_mark marks[MARKS_MAX];
    size_t mark_count;
};

struct rig {
    struct disk *disk;
    struct logs *logs;
    struct log *log[LOGS];
    uint32_t home[CONVS];                 /* which log a conversation is appended to, until the next start */
    struct model conv[CONVS];
    uint64_t segment_bytes;
    struct record_page page;
};

static void rig_open(struct rig *rig)
{
    struct logs_report report;
    assert_int_equal(rig_logs_open(disk_fs(rig->disk), DIR, rig->segment_bytes, &rig->logs, &report), 0);
    for (uint32_t i = 0; i < LOGS; i++)
        assert_int_equal(logs_log(rig->logs, i, &rig->log[i]), 0);
}

static void rig_close(struct rig *rig)
{
    for (uint32_t i = 0; i < LOGS; i++)
        log_close(rig->log[i]);
    logs_close(rig->logs);
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    *state = rig;
    rig->disk = disk_new(1);
    rig->segment_bytes = SEGMENT_BYTES;
    record_page_init(&rig->page);
    rig_open(rig);
    return 0;
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

static void add(struct rig *rig, uint32_t conv, size_t body)
{
    struct model *m = &rig->conv[conv];
    struct rig_message message;
    assert_true(m->seqs < SEQS_MAX);
    m->seqs++;
    rig_message(&message, conv, m->seqs, body);
    m->bytes[m->seqs] = record_bytes(&message.head, &message.entry);
    assert_int_equal(rig_append(rig->log[rig->home[conv]], conv, m->seqs, body), 0);
}

static void add_mark(struct rig *rig, uint32_t conv)
{
    struct model *m = &rig->conv[conv];
    uint32_t log = rig->home[conv];
    assert_true(m->mark_count < MARKS_MAX);
    assert_int_equal(rig_append_mark(rig->log[log], conv, m->seqs), 0);
    m->marks[m->mark_count++] = (struct model_mark){ m->seqs, log_appended(rig->log[log]), log };
}

static void commit(struct rig *rig)
{
    for (uint32_t i = 0; i < LOGS; i++)
        assert_int_equal(log_commit(rig->log[i]), 0);
}

static uint64_t all_flushed(void *arg, uint32_t log)
{
    return log < LOGS ? log_committed(((struct rig *)arg)->log[log]) : 0;
}

/* One step of the keeper. Whether it did anything. */
static bool keep(struct rig *rig, bool idle)
{
    struct keep_how how = { .flushed = all_flushed, .arg = rig, .now_ms = RIG_NOW_MS, .idle = idle };
    struct keep_report report;
    assert_int_equal(logs_keep(rig->logs, &how, &report), 0);
    return report.did != KEEP_NOTHING;
}

static void keep_all(struct rig *rig, bool idle)
{
    while (keep(rig, idle))
        continue;
}

/* A start: everything is closed and opened, and conversations may move to another log. */
static void restart(struct rig *rig)
{
    rig_close(rig);
    rig_open(rig);
}

static int read_page(struct rig *rig, const struct find *find)
{
    struct view *view = log_view(rig->log[rig->home[rig_conv_number(&find->partition)]], find);
    assert_non_null(view);
    int err = view_read(view, &rig->page);
    view_free(view);
    return err;
}

/* ---- the model's answer ---- */

static int mark_order(const void *a, const void *b)
{
    const struct model_mark *x = a, *y = b;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->log < y->log ? -1 : x->log > y->log;
}

static bool is_in(const struct model_mark *mark, const struct find *find)
{
    const struct model_mark after = { find->from, find->after.number, find->after.log };
    return mark->seq >= find->from && mark->seq <= find->to && mark_order(&after, mark) < 0;
}

/* Walks from one end until max or bytes_max stops it. */
static void check_records(struct rig *rig, const struct find *find)
{
    const struct model *m = &rig->conv[rig_conv_number(&find->partition)];
    uint64_t low = find->from > 1 ? find->from : 1, high = find->to < m->seqs ? find->to : m->seqs;
    uint64_t in_range = high >= low ? high - low + 1 : 0, count = 0, bytes = 0;
    while (count < in_range && count < find->max) {
        size_t next = m->bytes[find->newest ? high - count : low + count];
        if (count > 0 && bytes + next > find->bytes_max)
            break;
        bytes += next;
        count++;
    }
    assert_int_equal(rig->page.count, count);
    if (count < in_range)
        assert_true(rig->page.more);
    else if (count < find->max)
        assert_false(rig->page.more);
    for (uint64_t i = 0; i < count; i++) {
        const struct page_record *r = &rig->page.records[i];
        assert_int_equal(r->record.seq, find->newest ? high - count + 1 + i : low + i);
        assert_true(conv_id_equal(&r->record.partition, &find->partition));
        assert_true(rig_is_intact(&r->record, r->whole));
    }
}

static void check_marks(struct rig *rig, const struct find *find)
{
    struct model *m = &rig->conv[rig_conv_number(&find->partition)];
    static struct model_mark in[MARKS_MAX];
    size_t in_range = 0;
    for (size_t i = 0; i < m->mark_count; i++)
        if (is_in(&m->marks[i], find))
            in[in_range++] = m->marks[i];
    qsort(in, in_range, sizeof in[0], mark_order);
    size_t count = rig->page.count;
    assert_true(count <= in_range && count <= find->max);
    assert_true(count == in_range || rig->page.more);
    if (find->bytes_max == SIZE_MAX)
        assert_int_equal(count, in_range < find->max ? in_range : find->max);
    assert_true(count > 0 || in_range == 0);
    const struct model_mark *first = find->newest ? in + (in_range - count) : in;
    for (size_t i = 0; i < count; i++) {
        const struct page_record *r = &rig->page.records[i];
        assert_int_equal(r->record.kind, RECORD_KIND_MARKS);
        assert_int_equal(r->record.seq, first[i].seq);
        assert_int_equal(r->record.number, first[i].number);
        assert_int_equal(r->record.log, first[i].log);
        assert_true(rig_is_intact(&r->record, r->whole));
    }
}

static struct find find_all(uint32_t conv, enum find_what what)
{
    return (struct find){ .partition = rig_conv(conv), .what = what, .from = 0, .to = UINT64_MAX, .max = 100000,
                          .bytes_max = SIZE_MAX };
}

static struct find find_any(const struct rig *rig, uint64_t *random)
{
    uint32_t conv = (uint32_t)chance_below(random, CONVS);
    uint64_t seqs = rig->conv[conv].seqs;
    struct find find = find_all(conv, chance_below(random, 4) ? FIND_RECORDS : FIND_MARKS);
    if (chance_below(random, 3)) {
        find.from = chance_below(random, seqs + 3);
        find.to = chance_below(random, 3) ? find.from + chance_below(random, seqs + 3) : UINT64_MAX;
    }
    find.newest = chance_below(random, 2);
    if (chance_below(random, 4))
        find.max = 1 + chance_below(random, 60);
    const struct model *m = &rig->conv[conv];
    if (find.what == FIND_MARKS && !find.newest && m->mark_count && chance_below(random, 2)) {
        const struct model_mark *mark = &m->marks[chance_below(random, m->mark_count)];
        find.from = mark->seq;
        find.to = UINT64_MAX;
        find.after = (struct position){ mark->log, mark->number };
    }
    if (!chance_below(random, 3))
        find.bytes_max = chance_below(random, 20 * BODY_MAX);
    return find;
}

static void check(struct rig *rig, const struct find *find)
{
    assert_int_equal(read_page(rig, find), 0);
    if (find->what == FIND_RECORDS)
        check_records(rig, find);
    else
        check_marks(rig, find);
}

static void a_page_is_what_an_array_would_give_whatever_was_sorted_merged_or_moved(void **state)
{
    struct rig *rig = *state;
    uint64_t random = run_seed(), mixed = 0;
    for (int round = 0; round < 700; round++) {
        for (uint64_t n = chance_below(&random, 12); n > 0; n--) {
            uint32_t conv = (uint32_t)(chance_below(&random, 2) ? 0 : chance_below(&random, CONVS));
            if (chance_below(&random, 5))
                add(rig, conv, chance_below(&random, BODY_MAX));
            else
                add_mark(rig, conv);
        }
        commit(rig);
        if (!chance_below(&random, 4))
            keep(rig, chance_below(&random, 2));
        if (!chance_below(&random, 80)) {
            restart(rig);
            for (uint32_t c = 0; c < CONVS; c++)
                rig->home[c] = (uint32_t)chance_below(&random, LOGS);
        }
        mixed += rig->logs->list->segment_count > 0 && rig->logs->list->table_count > 0;
        for (int i = 0; i < 4; i++) {
            struct find find = find_any(rig, &random);
            check(rig, &find);
        }
    }
    assert_true(mixed > 20);              /* both kinds at once, or this has shown little */
}

static void what_is_committed_after_the_view_was_taken_is_not_in_it(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 10; i++)
        add(rig, 1, 100);
    commit(rig);
    struct find find = find_all(1, FIND_RECORDS);
    struct view *view = log_view(rig->log[0], &find);
    for (int i = 0; i < 200; i++) {       /* rolls, sorts and merges */
        add(rig, 1, 100);
        commit(rig);
        keep(rig, true);
    }
    assert_int_equal(view_read(view, &rig->page), 0);
    assert_int_equal(rig->page.count, 10);
    assert_int_equal(view_read(view, &rig->page), 0);      /* as often as one likes */
    assert_int_equal(rig->page.count, 10);
    view_free(view);
}

static void a_view_reads_on_when_its_files_are_gone_and_the_logs_closed(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 150; i++) {
        add(rig, 1, 100);
        commit(rig);
    }
    struct find find = find_all(1, FIND_RECORDS);
    struct view *view = log_view(rig->log[0], &find);
    keep_all(rig, true);
    restart(rig);
    assert_int_equal(view_read(view, &rig->page), 0);
    check_records(rig, &find);
    view_free(view);
}

/* Tables that follow one another in time, not merged. */
static void make_tables(struct rig *rig, size_t tables)
{
    while (rig->logs->list->table_count < tables) {
        add(rig, 1, 100);
        commit(rig);
        if (rig->logs->list->segment_count > 0)
            keep(rig, false);
    }
}

static void a_page_opens_only_files_that_may_hold_it(void **state)
{
    struct rig *rig = *state;
    make_tables(rig, 6);
    uint64_t seqs = rig->conv[1].seqs;
    struct find all = find_all(1, FIND_RECORDS);
    assert_int_equal(read_page(rig, &all), 0);
    uint32_t reads_all = rig->page.reads;

    struct find old = { .partition = rig_conv(1), .what = FIND_RECORDS, .from = 1, .to = UINT64_MAX, .max = 3,
                        .bytes_max = SIZE_MAX };
    check(rig, &old);
    assert_true(rig->page.reads * 3 < reads_all);

    /* The newest three: the open segment and perhaps the last table. */
    struct find new = { .partition = rig_conv(1), .what = FIND_RECORDS, .from = 1, .to = UINT64_MAX, .max = 3,
                        .bytes_max = SIZE_MAX, .newest = true };
    check(rig, &new);
    assert_true(rig->page.reads * 3 < reads_all);
    assert_true(seqs > 60);
}

static void a_damaged_table_fails_only_pages_that_need_it(void **state)
{
    struct rig *rig = *state;
    make_tables(rig, 4);
    const struct segment_list *list = rig->logs->list;
    struct sorted *second = list->tables[1];
    char path[FS_PATH_MAX];
    uint8_t bytes[16];
    fs_path(path, DIR, sorted_file_name(second));
    disk_file_read(rig->disk, path, 400, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] ^= 0x5a;
    disk_file_poke(rig->disk, path, 400, bytes, sizeof bytes);

    struct find find = find_all(1, FIND_RECORDS);
    assert_int_equal(read_page(rig, &find), ERR_CORRUPT);
    assert_int_equal(rig->page.count, 0);
    assert_string_equal(rig->page.bad_file, sorted_file_name(second));
    assert_true(rig->page.bad_offset > 0 && rig->page.bad_offset <= 416);

    find.max = 10;                        /* those of the first table … */
    check(rig, &find);
    assert_string_equal(rig->page.bad_file, "");
    find.newest = true;                   /* … and those of the last */
    check(rig, &find);
    find.from = find.to = rig->conv[1].seqs / 4 * 3;
    check(rig, &find);
}

static void a_damaged_unsorted_segment_names_file_and_offset(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 3; i++)
        add(rig, 1, 100);
    commit(rig);
    const uint64_t first = SEGMENT_HEADER_BYTES + BATCH_HEADER_BYTES;
    disk_file_poke(rig->disk, DIR "/0000-0000000000000001.seg", first + 50, "rot", 3);
    struct find find = find_all(1, FIND_RECORDS);
    assert_int_equal(read_page(rig, &find), ERR_CORRUPT);
    assert_string_equal(rig->page.bad_file, "0000-0000000000000001.seg");
    assert_int_equal(rig->page.bad_offset, first);
    find.from = 2;
    check(rig, &find);
}

/* No writer of ours leaves this; should it happen, one answer is better than two. */
static void a_sequence_in_two_files_is_given_once(void **state)
{
    struct rig *rig = *state;
    add(rig, 1, 50);
    add(rig, 1, 50);
    commit(rig);
    rig->conv[1].seqs = 1;                /* 2 again, in another log */
    rig->home[1] = 1;
    add(rig, 1, 50);
    add(rig, 1, 50);
    commit(rig);
    restart(rig);
    struct find find = find_all(1, FIND_RECORDS);
    for (int newest = 0; newest < 2; newest++) {
        find.newest = newest;
        assert_int_equal(read_page(rig, &find), 0);
        check_records(rig, &find);
    }
}

static void nothing_there_is_an_empty_page_and_costs_no_read(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 200; i++) {
        add(rig, 1, 100);
        commit(rig);
    }
    struct find find = find_all(2, FIND_RECORDS);
    check(rig, &find);
    assert_int_equal(rig->page.count, 0);
    assert_int_equal(rig->page.reads, 0);
    find = find_all(1, FIND_RECORDS);
    find.from = 10;
    find.to = 9;
    check(rig, &find);
    assert_int_equal(rig->page.count, 0);
}

/* ---- one thread sorts and merges, one appends, two read ---- */

enum { HANDS = 2, TURNS = 400 };
struct hands {
    pthread_mutex_t mutex;                /* stands for the parcels that carry a view from shard to job */
    struct view *view;
    uint64_t expected;                    /* the first and last sequence of that view are 1 and this */
    atomic_bool over;
    atomic_uint pages, wrong;
    struct rig *rig;
    atomic_uint_least64_t flushed;
};

static void *hand_main(void *arg)
{
    struct hands *h = arg;
    struct record_page page;
    record_page_init(&page);
    for (;;) {
        bool over = atomic_load(&h->over);
        pthread_mutex_lock(&h->mutex);
        struct view *view = h->view;
        uint64_t expected = h->expected;
        h->view = NULL;
        pthread_mutex_unlock(&h->mutex);
        if (!view && over)
            break;
        if (!view)
            continue;
        bool good = view_read(view, &page) == 0 && page.count == (expected < 20 ? expected : 20);
        for (size_t i = 0; good && i < page.count; i++)
            good = page.records[i].record.seq == expected - page.count + 1 + i;
        view_free(view);
        atomic_fetch_add(&h->pages, 1);
        atomic_fetch_add(&h->wrong, !good);
    }
    record_page_fini(&page);
    return NULL;
}

static uint64_t hands_flushed(void *arg, uint32_t log)
{
    return log == 0 ? atomic_load(&((struct hands *)arg)->flushed) : 0;
}

static void *keeper_main(void *arg)
{
    struct hands *h = arg;
    struct keep_how how = { .flushed = hands_flushed, .arg = h, .now_ms = RIG_NOW_MS, .idle = true };
    struct keep_report report;
    while (!atomic_load(&h->over))
        if (logs_keep(h->rig->logs, &how, &report))
            atomic_fetch_add(&h->wrong, 1);
    return NULL;
}

static void lists_are_replaced_while_others_read_views(void **state)
{
    struct rig *rig = *state;
    struct hands h = { .mutex = PTHREAD_MUTEX_INITIALIZER, .rig = rig };
    pthread_t hands[HANDS], keeper;
    for (int i = 0; i < HANDS; i++)
        assert_int_equal(pthread_create(&hands[i], NULL, hand_main, &h), 0);
    assert_int_equal(pthread_create(&keeper, NULL, keeper_main, &h), 0);
    struct find find = find_all(1, FIND_RECORDS);
    find.newest = true;
    find.max = 20;
    for (int turn = 0; turn < TURNS; turn++) {
        add(rig, 1, 200);
        add(rig, 1, 200);
        commit(rig);
        atomic_store(&h.flushed, log_committed(rig->log[0]));
        struct view *view = log_view(rig->log[0], &find);
        assert_non_null(view);
        pthread_mutex_lock(&h.mutex);
        struct view *unread = h.view;
        h.view = view;
        h.expected = rig->conv[1].seqs;
        pthread_mutex_unlock(&h.mutex);
        view_free(unread);
    }
    atomic_store(&h.over, true);
    for (int i = 0; i < HANDS; i++)
        pthread_join(hands[i], NULL);
    pthread_join(keeper, NULL);
    assert_true(atomic_load(&h.pages) > 0);
    assert_int_equal(atomic_load(&h.wrong), 0);
    keep_all(rig, true);
    assert_true(rig->logs->list->table_count > 0);
    find = find_all(1, FIND_RECORDS);
    check(rig, &find);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        TEST(a_page_is_what_an_array_would_give_whatever_was_sorted_merged_or_moved),
        TEST(what_is_committed_after_the_view_was_taken_is_not_in_it),
        TEST(a_view_reads_on_when_its_files_are_gone_and_the_logs_closed),
        TEST(a_page_opens_only_files_that_may_hold_it),
        TEST(a_damaged_table_fails_only_pages_that_need_it),
        TEST(a_damaged_unsorted_segment_names_file_and_offset),
        TEST(a_sequence_in_two_files_is_given_once),
        TEST(nothing_there_is_an_empty_page_and_costs_no_read),
        TEST(lists_are_replaced_while_others_read_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
