/* test_facts_conv.c - conversations, members, cursors and repeats as they are made and read; and the scan. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/facts_impl.h"
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"

static const struct user_id alice = { "alice" }, bob = { "bob" }, nobody = { "nobody" };
static const struct device_id phone = { 0xf000000000000001 }, laptop = { 7 };

struct rig {
    struct disk *disk;
    struct facts *facts;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->disk = disk_new(1);
    *state = rig;
    if (facts_open(disk_fs(rig->disk), "/facts.db", true, &rig->facts)) return -1;
    return facts_user_add(rig->facts, &alice, "h", 1) || facts_user_add(rig->facts, &bob, "h", 1);
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    facts_close(rig->facts);
    disk_free(rig->disk);
    free(rig);
    return 0;
}

static struct facts *facts_of(void **state)
{
    return ((struct rig *)*state)->facts;
}

static int on_member(void *arg, const struct member_row *row)
{
    char *text = arg;
    snprintf(text + strlen(text), 200 - strlen(text), "%s %d-%d d%d@%d r%d@%d s%d;", row->user.v, (int)row->from_seq,
             (int)row->to_seq, (int)row->delivered, (int)row->delivered_ms, (int)row->read, (int)row->read_ms,
             (int)row->sent);
    return 0;
}

static int on_cursor(void *arg, const struct cursor_row *row)
{
    char *text = arg;
    snprintf(text + strlen(text), 200 - strlen(text), "%s/%llx d%d s%d;", row->user.v,
             (unsigned long long)row->device.v, (int)row->delivered, (int)row->settled);
    return 0;
}

static int on_repeat(void *arg, const struct repeat_row *row)
{
    char *text = arg;
    snprintf(text + strlen(text), 200 - strlen(text), "%s/%llx %d=%d,%d;", row->user.v,
             (unsigned long long)row->device.v, (int)row->client_seq, (int)row->seq, row->id.v[0]);
    return 0;
}

static int stop_at_first(void *arg)
{
    int *calls = arg;
    ++*calls;
    return -42;
}
static int stop_member(void *arg, const struct member_row *row) { (void)row; return stop_at_first(arg); }
static int stop_cursor(void *arg, const struct cursor_row *row) { (void)row; return stop_at_first(arg); }
static int stop_repeat(void *arg, const struct repeat_row *row) { (void)row; return stop_at_first(arg); }

static void a_direct_conversation_has_its_two_members_once(void **state)
{
    struct facts *facts = facts_of(state);
    struct conv_id chat = conv_id_direct(&alice, &bob);
    struct conv_row row;
    char members[200] = "";
    assert_int_equal(facts_conv_get(facts, &chat, &row), ERR_NOT_FOUND);
    assert_int_equal(facts_conv_add_direct(facts, &chat, &alice, &nobody, 5), ERR_NOT_FOUND);
    assert_int_equal(facts_conv_get(facts, &chat, &row), ERR_NOT_FOUND);
    assert_int_equal(facts_conv_add_direct(facts, &chat, &bob, &alice, 5), 0);
    assert_int_equal(db_exec(facts->db, "UPDATE convs SET head = 3; UPDATE members SET sent = 2"), 0);
    assert_int_equal(facts_conv_add_direct(facts, &chat, &alice, &bob, 6), 0);      /* takes nothing back */
    assert_int_equal(facts_conv_get(facts, &chat, &row), 0);
    assert_int_equal(row.type, CONV_DIRECT);
    assert_int_equal(row.created_ms, 5);
    assert_int_equal(row.head, 3);
    assert_int_equal(facts_members(facts, &chat, on_member, members), 0);
    assert_string_equal(members, "alice 1-0 d0@0 r0@0 s2;bob 1-0 d0@0 r0@0 s2;");
}

static void notes_to_oneself_have_one_member(void **state)
{
    struct facts *facts = facts_of(state);
    struct conv_id notes = conv_id_direct(&alice, &alice);
    char members[200] = "";
    assert_int_equal(facts_conv_add_direct(facts, &notes, &alice, &alice, 5), 0);
    assert_int_equal(facts_members(facts, &notes, on_member, members), 0);
    assert_string_equal(members, "alice 1-0 d0@0 r0@0 s0;");
}

static void an_inbox_is_its_users_alone(void **state)
{
    struct facts *facts = facts_of(state);
    struct conv_id inbox = conv_id_inbox(&bob);
    struct conv_row row;
    char members[200] = "";
    assert_int_equal(facts_inbox_add(facts, &nobody, 5), ERR_NOT_FOUND);
    assert_int_equal(facts_inbox_add(facts, &bob, 5), 0);
    assert_int_equal(facts_inbox_add(facts, &bob, 6), 0);
    assert_int_equal(facts_conv_get(facts, &inbox, &row), 0);
    assert_int_equal(row.type, CONV_INBOX);
    assert_int_equal(facts_members(facts, &inbox, on_member, members), 0);
    assert_string_equal(members, "bob 1-0 d0@0 r0@0 s0;");
}

static void rows_come_in_their_order_until_one_says_stop(void **state)
{
    struct facts *facts = facts_of(state);
    struct conv_id chat = { { 0 } };
    assert_int_equal(db_exec(facts->db,
        "INSERT INTO members (conv, user, type, from_seq, to_seq, read, read_ms, delivered, delivered_ms, sent) VALUES"
        " (zeroblob(16), 'bob', 1, 1, 9, 2, 3, 4, 5, 6), (zeroblob(16), 'alice', 1, 1, 0, 0, 0, 0, 0, 0);"
        "INSERT INTO cursors VALUES (zeroblob(16), 'bob', 7, 1, 2), (zeroblob(16), 'bob', -9, 3, 4),"
        " (zeroblob(16), 'alice', 8, 5, 6);"
        "INSERT INTO repeats VALUES (zeroblob(16), 'bob', 7, 20, 5, x'01000000000000000000000000000000', 0),"
        " (zeroblob(16), 'bob', 7, 3, 6, x'02000000000000000000000000000000', 0),"
        " (zeroblob(16), 'alice', 1, 9, 7, x'03000000000000000000000000000000', 0);"), 0);
    char members[200] = "", cursors[200] = "", repeats[200] = "";
    assert_int_equal(facts_members(facts, &chat, on_member, members), 0);
    assert_string_equal(members, "alice 1-0 d0@0 r0@0 s0;bob 1-9 d4@5 r2@3 s6;");
    assert_int_equal(facts_cursors(facts, &chat, on_cursor, cursors), 0);
    assert_string_equal(cursors, "alice/8 d5 s6;bob/fffffffffffffff7 d3 s4;bob/7 d1 s2;");
    assert_int_equal(facts_repeats(facts, &chat, on_repeat, repeats), 0);
    assert_string_equal(repeats, "alice/1 9=7,3;bob/7 3=6,2;bob/7 20=5,1;");
    int calls = 0;
    assert_int_equal(facts_members(facts, &chat, stop_member, &calls), -42);
    assert_int_equal(facts_cursors(facts, &chat, stop_cursor, &calls), -42);
    assert_int_equal(facts_repeats(facts, &chat, stop_repeat, &calls), -42);
    assert_int_equal(calls, 3);
}

static void a_row_that_does_not_fit_is_corrupt(void **state)
{
    struct facts *facts = facts_of(state);
    struct conv_id chat = { { 0 } };
    char text[200] = "";
    assert_int_equal(db_exec(facts->db,
        "INSERT INTO members (conv, user, type, from_seq) VALUES (zeroblob(16), 'bob', 1, -1);"
        "INSERT INTO cursors VALUES (zeroblob(16), 'a name longer than any user could have had', 7, 1, 2);"
        "INSERT INTO repeats VALUES (zeroblob(16), 'bob', 7, 20, 5, x'0100', 0);"
        "INSERT INTO convs (conv, type, created_ms, last_id) VALUES (zeroblob(16), 1, 1, x'');"), 0);
    struct conv_row row;
    assert_int_equal(facts_members(facts, &chat, on_member, text), ERR_CORRUPT);
    assert_int_equal(facts_cursors(facts, &chat, on_cursor, text), ERR_CORRUPT);
    assert_int_equal(facts_repeats(facts, &chat, on_repeat, text), ERR_CORRUPT);
    assert_int_equal(facts_conv_get(facts, &chat, &row), ERR_CORRUPT);
    assert_string_equal(text, "");
}

/* -- the scan --------------------------------------------------------------------------------------------- */

enum { SCAN_CONVS = 40 };

static int by_type_and_id(const void *a, const void *b)
{
    const struct scan_row *x = a, *y = b;
    return x->type != y->type ? x->type - y->type : memcmp(x->conv.v, y->conv.v, sizeof x->conv.v);
}

/* Conversations of types 1 and 2 with and without a cursor of the phone, of which alice's devices have something or
 * nothing; `expected` in the order of the scan. */
static void scan_fill(struct facts *facts, uint64_t *random, struct scan_row *expected)
{
    assert_int_equal(facts_begin(facts), 0);
    for (int i = 0; i < SCAN_CONVS; i++) {
        struct scan_row *row = &expected[i];
        *row = (struct scan_row){ .type = (uint8_t)(1 + chance_below(random, 2)),
                                  .head = 10 + chance_below(random, 10), .delivered = chance_below(random, 10),
                                  .last_ms = chance_below(random, 1000), .marked_ms = chance_below(random, 1000) };
        row->has_cursor = row->delivered > 0;
        struct msg_id last_id = msg_id_next(&(struct msg_id){ { 0 } }, row->last_ms, (const uint8_t[8]){ 1 });
        for (int b = 0; b < 16; b++) row->conv.v[b] = (uint8_t)chance_below(random, 256);
        assert_int_equal(facts_conv_rows(facts, &row->conv, &alice, &bob, 5), 0);
        struct query q;
        query_start(&q, facts->db, "UPDATE convs SET type = ?, head = ?, last_id = ?, marked_ms = ? WHERE conv = ?");
        query_put_u64(&q, row->type);
        query_put_u64(&q, row->head);
        query_put_blob(&q, last_id.v, sizeof last_id.v);
        query_put_u64(&q, row->marked_ms);
        query_put_blob(&q, row->conv.v, 16);
        assert_int_equal(query_run(&q), 0);
        uint64_t furthest = row->delivered + chance_below(random, 2) * chance_below(random, 5);
        query_start(&q, facts->db,
                    "UPDATE members SET type = ?, delivered = CASE user WHEN 'alice' THEN ? ELSE 10 END"
                    " WHERE conv = ?");
        query_put_u64(&q, row->type);
        query_put_u64(&q, furthest);
        query_put_blob(&q, row->conv.v, 16);
        assert_int_equal(query_run(&q), 0);
        query_start(&q, facts->db, "INSERT INTO cursors VALUES (?, 'alice', ?, ?, 0)");
        query_put_blob(&q, row->conv.v, 16);
        query_put_device(&q, row->delivered || chance_below(random, 2) ? phone : laptop);
        query_put_u64(&q, row->delivered);
        assert_int_equal(query_run(&q), 0);
        if (!row->has_cursor) row->delivered = furthest;
    }
    assert_int_equal(facts_inbox_add(facts, &alice, 5), 0);
    assert_int_equal(facts_commit(facts), 0);
    qsort(expected, SCAN_CONVS, sizeof *expected, by_type_and_id);
}

static void a_scan_in_slices_gives_each_conversation_once_in_order(void **state)
{
    struct facts *facts = facts_of(state);
    uint64_t random = run_seed();
    struct scan_row expected[SCAN_CONVS], rows[7];
    scan_fill(facts, &random, expected);

    struct scan_row last = { .type = 0 };
    size_t seen = 0, count;
    do {
        size_t max = 1 + chance_below(&random, 7);
        assert_int_equal(facts_scan(facts, &alice, phone, last.type, &last.conv, max, rows, &count), 0);
        assert_true(count == max || seen + count == SCAN_CONVS);
        for (size_t i = 0; i < count; i++, seen++) {
            assert_int_equal(by_type_and_id(&rows[i], &expected[seen]), 0);
            assert_int_equal(rows[i].head, expected[seen].head);
            assert_int_equal(rows[i].last_ms, expected[seen].last_ms);
            assert_int_equal(rows[i].has_cursor, expected[seen].has_cursor);
            assert_int_equal(rows[i].delivered, expected[seen].delivered);
            assert_int_equal(rows[i].marked_ms, expected[seen].marked_ms);
            last = rows[i];
        }
    } while (seen < SCAN_CONVS);
    assert_int_equal(facts_scan(facts, &alice, phone, last.type, &last.conv, 7, rows, &count), 0);
    assert_int_equal(count, 0);                                   /* the inbox is left out */
    assert_int_equal(facts_scan(facts, &nobody, phone, 0, &(struct conv_id){ { 0 } }, 7, rows, &count), 0);
    assert_int_equal(count, 0);
}

/* However many conversations and users there are, a slice costs its own rows. SQLite tells how: a walk of the index
 * from a place on, two or three look-ups by key, and no sorting. */
static void a_slice_of_the_scan_reads_only_its_own_rows(void **state)
{
    struct facts *facts = facts_of(state);
    uint64_t random = 1;
    struct scan_row expected[SCAN_CONVS], row;
    size_t count;
    scan_fill(facts, &random, expected);
    assert_int_equal(facts_scan(facts, &alice, phone, 1, &expected[3].conv, 1, &row, &count), 0);
    sqlite3_stmt *scan = facts->db->statements[facts->db->statement_count - 1].stmt;
    assert_non_null(strstr(sqlite3_sql(scan), "members_by_user"));
    assert_int_equal(sqlite3_stmt_status(scan, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1), 0);
    assert_int_equal(sqlite3_stmt_status(scan, SQLITE_STMTSTATUS_SORT, 1), 0);
    int steps = sqlite3_stmt_status(scan, SQLITE_STMTSTATUS_VM_STEP, 1);
    assert_int_equal(facts_scan(facts, &alice, phone, 0, &(struct conv_id){ { 0 } }, 1, &row, &count), 0);
    assert_in_range(sqlite3_stmt_status(scan, SQLITE_STMTSTATUS_VM_STEP, 1), steps / 2, steps * 2);
}

#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_DISK(a_direct_conversation_has_its_two_members_once),
        ON_A_DISK(notes_to_oneself_have_one_member),
        ON_A_DISK(an_inbox_is_its_users_alone),
        ON_A_DISK(rows_come_in_their_order_until_one_says_stop),
        ON_A_DISK(a_row_that_does_not_fit_is_corrupt),
        ON_A_DISK(a_scan_in_slices_gives_each_conversation_once_in_order),
        ON_A_DISK(a_slice_of_the_scan_reads_only_its_own_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
