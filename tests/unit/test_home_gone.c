/* test_home_gone.c - what is deleted for everyone or has had its time goes, keeps its place, and costs what it is; a
 * conversation's timer is the newest that was set. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/home_world.h"
#include "tools/client/home_db.h"

static const struct user_id alice = { "alice" }, bob = { "bob" };

struct fixture {
    char dir[WORLD_DIR];
    struct home *home;
    struct conv_id conv;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f || !world_make(f->dir)) return -1;
    f->home = home_at(f->dir);
    f->conv = conv_id_direct(&alice, &bob);
    struct account a = { .server = "ws://127.0.0.1:1", .user = alice, .device = { 5 } };
    struct conv_row row = { .id = f->conv, .peer = bob, .has_stored = true, .stored = 100000 };
    assert_int_equal(home_account_put(f->home, &a), 0);
    assert_int_equal(home_conv_put(f->home, &row), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    home_close(f->home);
    int rc = world_remove(f->dir);
    free(f);
    return rc;
}

static struct msg_message message(const struct fixture *f, uint64_t seq, uint64_t expiry_ms)
{
    static const uint8_t body[] = { 0x92, 0x00, 0xa2, 'h', 'i' };
    struct msg_message m = { .conv = f->conv, .seq = seq, .kind = KIND_MESSAGE, .flags = RECORD_COUNTS, .from = bob,
                             .device = { 9 }, .client_seq = seq, .body = BYTES_OF(body), .expiry_ms = expiry_ms };
    put_u64(m.id.v, seq << 16 | 0x7000);
    return m;
}

static void put(struct fixture *f, uint64_t seq, uint64_t expiry_ms)
{
    struct msg_message m = message(f, seq, expiry_ms);
    bool is_new;
    assert_int_equal(home_message_put(f->home, &m, MESSAGE_FRESH, &is_new), 0);
}

static int take_row(void *arg, const struct message_row *row)
{
    *(struct message_row *)arg = *row;
    return 0;
}

/* Its body is not good any more. */
static struct message_row row_of(struct fixture *f, uint64_t seq)
{
    struct msg_message m = message(f, seq, 0);
    struct message_row row = { .has_seq = false };
    assert_int_equal(home_message_by_id(f->home, &m.id, take_row, &row), 0);
    return row;
}

static int count_gone(void *arg, const struct conv_id *conv)
{
    (void)conv;
    ++*(size_t *)arg;
    return 0;
}

/* How many went. */
static size_t expire(struct fixture *f, uint64_t now_ms, bool *more)
{
    size_t count = 0;
    assert_int_equal(home_expire(f->home, now_ms, count_gone, &count, more), 0);
    return count;
}

static void what_has_had_its_time_is_gone_and_keeps_its_place(void **state)
{
    struct fixture *f = *state;
    uint64_t next = 0;
    bool more;
    put(f, 1, 5000);
    put(f, 2, 0);
    put(f, 3, 4000);
    assert_int_equal(home_expiry_next(f->home, &next), 0);
    assert_int_equal(next, 4000);
    assert_int_equal(expire(f, 3999, &more), 0);
    assert_int_equal(expire(f, 4000, &more), 1);
    assert_false(more);
    assert_true(row_of(f, 3).hidden);
    assert_int_equal(row_of(f, 3).m.body.len, 0);
    assert_int_equal(row_of(f, 3).m.seq, 3);
    assert_false(row_of(f, 1).hidden);
    home_close(f->home);
    f->home = home_at(f->dir);    /* nothing of it is in memory */
    assert_int_equal(expire(f, 1000000, &more), 1);
    assert_true(row_of(f, 1).hidden);
    assert_false(row_of(f, 2).hidden);
    assert_int_equal(home_expiry_next(f->home, &next), ERR_NOT_FOUND);
}

static void what_disappeared_does_not_come_back_by_coming_again(void **state)
{
    struct fixture *f = *state;
    uint64_t next;
    bool more;
    put(f, 1, 5000);
    assert_int_equal(expire(f, 5000, &more), 1);
    put(f, 1, 5000);
    assert_true(row_of(f, 1).hidden);
    assert_int_equal(row_of(f, 1).m.body.len, 0);
    assert_int_equal(home_expiry_next(f->home, &next), ERR_NOT_FOUND);
    /* known from a page without its time, it gets it with the event */
    put(f, 2, 0);
    put(f, 2, 7000);
    assert_int_equal(home_expiry_next(f->home, &next), 0);
    assert_int_equal(next, 7000);
}

static void much_that_is_due_goes_in_slices(void **state)
{
    struct fixture *f = *state;
    bool more;
    assert_int_equal(home_begin(f->home), 0);
    for (uint64_t i = 1; i <= EXPIRE_ROWS_MAX + 10; i++) put(f, i, 1000 + i);
    assert_int_equal(home_commit(f->home), 0);
    assert_int_equal(expire(f, 100000, &more), EXPIRE_ROWS_MAX);
    assert_true(more);
    assert_true(row_of(f, 1).hidden);    /* the oldest first */
    assert_int_equal(expire(f, 100000, &more), 10);
    assert_false(more);
}

/* What a statement would do, in SQLite's words. */
static void plan_of(struct fixture *f, const char *sql, char *out, size_t size)
{
    char explain[4096];
    sqlite3_stmt *stmt = NULL;
    out[0] = '\0';
    snprintf(explain, sizeof explain, "EXPLAIN QUERY PLAN %s", sql);
    assert_int_equal(sqlite3_prepare_v2(f->home->db, explain, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        size_t len = strlen(out);
        snprintf(out + len, size - len, "%s\n", (const char *)sqlite3_column_text(stmt, 3));
    }
    sqlite3_finalize(stmt);
}

static void what_is_due_and_what_is_last_are_found_by_an_index_not_by_a_walk(void **state)
{
#define TEXT_OF(name, sql) [SQL_##name] = sql,
    static const char *const texts[] = { HOME_SQL(TEXT_OF) };
#undef TEXT_OF
    struct fixture *f = *state;
    char plan[2048];
    plan_of(f, texts[SQL_EXPIRED], plan, sizeof plan);
    assert_non_null(strstr(plan, "messages_expiry"));
    plan_of(f, texts[SQL_EXPIRY_NEXT], plan, sizeof plan);
    assert_non_null(strstr(plan, "messages_expiry"));
    /* thousands that disappeared may lie behind the last one that is there */
    plan_of(f, texts[SQL_SUMMARY_GET], plan, sizeof plan);
    assert_non_null(strstr(plan, "messages_there"));
}

static void a_message_deleted_for_everyone_is_a_tombstone_and_goes_when_its_time_comes(void **state)
{
    struct fixture *f = *state;
    bool more;
    put(f, 1, 5000);
    assert_int_equal(home_message_delete(f->home, &f->conv, 1), 0);
    assert_int_equal(home_message_delete(f->home, &f->conv, 77), 0);    /* not there: nothing */
    assert_int_equal(row_of(f, 1).m.kind, KIND_TOMBSTONE);
    assert_int_equal(row_of(f, 1).m.body.len, 0);
    assert_false(row_of(f, 1).hidden);
    assert_int_equal(expire(f, 5000, &more), 1);
    assert_true(row_of(f, 1).hidden);
}

static struct timer_row timer_of(struct fixture *f)
{
    struct timer_row timer;
    assert_int_equal(home_timer_get(f->home, &f->conv, &timer), 0);
    return timer;
}

static void the_newest_record_sets_the_timer_in_whatever_order_they_come(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(timer_of(f).seconds, 0);
    assert_false(timer_of(f).is_told);
    assert_int_equal(home_timer_put(f->home, &f->conv, 7, &bob, 86400), 0);
    assert_int_equal(home_timer_put(f->home, &f->conv, 3, &alice, 60), 0);
    assert_int_equal(timer_of(f).seconds, 86400);
    assert_string_equal(timer_of(f).by.v, "bob");
    assert_int_equal(home_timer_put(f->home, &f->conv, 9, &alice, 0), 0);
    assert_int_equal(timer_of(f).seconds, 0);
    assert_true(timer_of(f).is_told);
    struct conv_id other = { { 1 } };
    struct timer_row timer;
    assert_int_equal(home_timer_get(f->home, &other, &timer), ERR_NOT_FOUND);
}

static void messages_tell_the_timer_until_a_record_does(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(home_timer_learn(f->home, &f->conv, 10, 0), 0);
    assert_int_equal(home_timer_learn(f->home, &f->conv, 5, 60), 0);     /* an old one, out of a page */
    assert_int_equal(timer_of(f).seconds, 0);
    assert_int_equal(home_timer_learn(f->home, &f->conv, 11, 3600), 0);
    assert_int_equal(timer_of(f).seconds, 3600);
    assert_false(timer_of(f).is_told);
    assert_int_equal(home_timer_put(f->home, &f->conv, 12, &bob, 86400), 0);
    assert_int_equal(home_timer_learn(f->home, &f->conv, 13, 60), 0);    /* its sender wanted less */
    assert_int_equal(timer_of(f).seconds, 86400);
}

static void the_servers_clock_is_kept(void **state)
{
    struct fixture *f = *state;
    struct account a;
    assert_int_equal(home_clock_put(f->home, -120000), 0);
    assert_int_equal(home_account_get(f->home, &a), 0);
    assert_int_equal(account_clock(&a, 500000), 380000);
    assert_int_equal(account_clock(&a, 5), 0);
    assert_int_equal(home_clock_put(f->home, 120000), 0);
    assert_int_equal(home_account_get(f->home, &a), 0);
    assert_int_equal(account_clock(&a, 500000), 620000);
    assert_true(account_clock(&a, NUMBER_MAX) == NUMBER_MAX);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CLAIM(what_has_had_its_time_is_gone_and_keeps_its_place),
        CLAIM(what_disappeared_does_not_come_back_by_coming_again),
        CLAIM(much_that_is_due_goes_in_slices),
        CLAIM(what_is_due_and_what_is_last_are_found_by_an_index_not_by_a_walk),
        CLAIM(a_message_deleted_for_everyone_is_a_tombstone_and_goes_when_its_time_comes),
        CLAIM(the_newest_record_sets_the_timer_in_whatever_order_they_come),
        CLAIM(messages_tell_the_timer_until_a_record_does),
        CLAIM(the_servers_clock_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
