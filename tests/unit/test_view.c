/* test_view.c - pages, wherever their records lie: compared with a model made of arrays. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/view_rig.h"

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

static void a_view_reads_on_when_its_files_are_gone(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 150; i++) {
        add(rig, 1, 100);
        commit(rig);
    }
    struct find find = find_all(1, FIND_RECORDS);
    struct view *view = log_view(rig->log[0], &find);
    keep_all(rig, true);
    assert_int_equal(rig->logs->list->segment_count, 0);
    assert_int_equal(view_read(view, &rig->page), 0);
    check_records(rig, &find);
    view_free(view);
    view = log_view(rig->log[0], &find);
    for (int i = 0; i < 150; i++) {
        add(rig, 1, 100);
        commit(rig);
    }
    keep_all(rig, true);                  /* and tables that are merged away */
    assert_int_equal(view_read(view, &rig->page), 0);
    assert_int_equal(rig->page.count, 150);
    view_free(view);
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
        TEST(a_view_reads_on_when_its_files_are_gone),
        TEST(a_sequence_in_two_files_is_given_once),
        TEST(lists_are_replaced_while_others_read_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
