/* test_facts_retain.c - rows of what was deleted and of who has what. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proto/proto.h"
#include "storage/facts_impl.h"
#include "storage/retain.h"
#include "tests/harness/disk.h"

struct room { struct disk *disk; struct facts *facts; };

static void room_open(struct room *room)
{
    room->disk = disk_new(1);
    const struct fsio *fs = disk_fs(room->disk);
    assert_int_equal(facts_open(fs, "facts.db", true, &room->facts), 0);
    assert_int_equal(facts_begin(room->facts), 0);
}

static void room_close(struct room *room)
{
    facts_rollback(room->facts);
    facts_close(room->facts);
    disk_free(room->disk);
}

static const struct conv_id chat = { { 7 } };

static void run(struct room *room, const char *sql)
{
    assert_int_equal(db_exec(room->facts->db, sql), 0);
}
#define CHAT "x'07000000000000000000000000000000'"

static void deleted_rows_come_by_sequence_and_by_time_until_they_are_forgotten(void **state)
{
    (void)state;
    struct room room;
    struct deleted_row rows[4];
    size_t count;
    room_open(&room);
    run(&room, "INSERT INTO deleted (conv, seq, ms) VALUES (" CHAT ", 3, 30), (" CHAT ", 1, 50), (" CHAT ", 9, 10),"
               " (zeroblob(16), 3, 5);");
    assert_int_equal(facts_deleted(room.facts, &chat, 2, UINT64_MAX, 4, rows, &count), 0);
    assert_int_equal(count, 2);
    assert_true(rows[0].seq == 3 && rows[1].seq == 9 && rows[0].ms == 30);
    assert_int_equal(facts_deleted(room.facts, &chat, 0, 9, 2, rows, &count), 0);
    assert_true(count == 2 && rows[0].seq == 1 && rows[1].seq == 3);
    struct deleted_row after = { .ms = 0 };
    assert_int_equal(facts_deleted_oldest(room.facts, &after, 2, rows, &count), 0);
    assert_true(count == 2 && rows[0].ms == 5 && rows[1].ms == 10 && conv_id_equal(&rows[1].conv, &chat));
    after = rows[1];
    assert_int_equal(facts_deleted_oldest(room.facts, &after, 4, rows, &count), 0);
    assert_true(count == 2 && rows[0].ms == 30 && rows[1].ms == 50);
    /* Many were deleted by one record, in one millisecond. */
    run(&room, "INSERT INTO deleted (conv, seq, ms, log, number) VALUES (" CHAT ", 20, 60, 2, 7), (" CHAT ", 21, 60, 2, 7),"
               " (x'08000000000000000000000000000000', 1, 60, 3, 8);");
    after = rows[1];
    for (uint64_t seq = 20; seq < 22; seq++) {
        assert_int_equal(facts_deleted_oldest(room.facts, &after, 1, rows, &count), 0);
        assert_true(count == 1 && rows[0].seq == seq && rows[0].log == 2 && rows[0].number == 7);
        after = rows[0];
    }
    assert_int_equal(facts_deleted_oldest(room.facts, &after, 4, rows, &count), 0);
    assert_true(count == 1 && rows[0].conv.v[0] == 8 && rows[0].log == 3 && rows[0].number == 8);
    assert_int_equal(facts_deleted_forget(room.facts, &chat, 9), 0);
    assert_int_equal(facts_deleted_forget(room.facts, &chat, 9), 0);
    assert_int_equal(facts_deleted(room.facts, &chat, 4, 10, 4, rows, &count), 0);
    assert_int_equal(count, 0);
    room_close(&room);
}

static int on_holder(void *arg, const struct holder_row *row)
{
    char *to = arg;
    sprintf(to + strlen(to), "%s/%llu since %llu d%llu m%llu;", row->user.v, (unsigned long long)row->device.v,
            (unsigned long long)row->since_ms, (unsigned long long)row->delivered,
            (unsigned long long)row->member_delivered);
    return 0;
}

static void holders_are_the_live_devices_of_accounts_that_are_there(void **state)
{
    (void)state;
    struct room room;
    char text[400] = "";
    room_open(&room);
    run(&room,
        "INSERT INTO users (user, password_hash, created_ms, deleted_ms) VALUES"
        " ('alice', '', 1, 0), ('bob', '', 1, 0), ('carol', '', 1, 5);"
        "INSERT INTO members (conv, user, type, from_seq, to_seq, delivered) VALUES"
        " (" CHAT ", 'alice', 1, 1, 0, 4), (" CHAT ", 'bob', 1, 1, 0, 2), (" CHAT ", 'carol', 1, 1, 0, 0);"
        "INSERT INTO devices (user, device, token_hash, name, created_ms, since_ms, live_ms, client_seq_max, revoked)"
        " VALUES ('alice', 1, x'', '', 1, 10, 0, 0, 0), ('alice', 2, x'', '', 1, 20, 0, 0, 0),"
        " ('alice', 3, x'', '', 1, 30, 0, 0, 1), ('carol', 4, x'', '', 1, 40, 0, 0, 0);"
        "INSERT INTO cursors VALUES (" CHAT ", 'alice', 1, 4, 0), (" CHAT ", 'alice', 3, 1, 0);");
    assert_int_equal(facts_holders(room.facts, &chat, on_holder, text), 0);
    assert_string_equal(text, "alice/1 since 10 d4 m4;alice/2 since 20 d0 m4;bob/0 since 0 d0 m2;");
    room_close(&room);
}

static void a_part_knows_thousands_of_deleted_sequences_in_pieces(void **state)
{
    (void)state;
    struct room room;
    static struct retain_part part;
    struct retain_rules rules = { .now_ms = 1, .marks_ms = 1 };
    room_open(&room);
    run(&room, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
               " INSERT INTO deleted (conv, seq, ms) SELECT " CHAT ", 2 * i, 1 FROM n;");
    retain_part_begin(&part, &rules, &chat);
    for (uint64_t seq = 1; seq <= 10002; seq++) {
        struct record r = { .partition = chat, .seq = seq };
        enum retain_why why;
        assert_int_equal(retain_part_judge(&part, room.facts, &r, &why), 0);
        assert_int_equal(why, seq % 2 == 0 && seq <= 10000 ? RETAIN_DELETED : RETAIN_STAYS);
    }
    struct record back = { .partition = chat, .seq = 2 };
    enum retain_why why;
    assert_int_equal(retain_part_judge(&part, room.facts, &back, &why), 0);
    assert_int_equal(why, RETAIN_DELETED);
    room_close(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deleted_rows_come_by_sequence_and_by_time_until_they_are_forgotten),
        cmocka_unit_test(holders_are_the_live_devices_of_accounts_that_are_there),
        cmocka_unit_test(a_part_knows_thousands_of_deleted_sequences_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
