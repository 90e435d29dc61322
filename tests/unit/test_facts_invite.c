/* test_facts_invite.c - invites: facts_invite.c, and the step of facts_schema.c that gave them numbers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proto/err.h"
#include "storage/facts_impl.h"
#include "tests/harness/disk.h"

static const char path[] = "facts.db";
static const uint8_t code[SECRET_HASH_BYTES] = "a code", other[SECRET_HASH_BYTES] = "another",
                     third[SECRET_HASH_BYTES] = "a third";

static int setup(void **state)
{
    *state = disk_new(1);
    return 0;
}

static int teardown(void **state)
{
    disk_free(*state);
    return 0;
}

static struct facts *facts_of(struct disk *disk)
{
    struct facts *facts;
    assert_int_equal(facts_open(disk_fs(disk), path, true, &facts), 0);
    return facts;
}

static uint64_t invite_added(struct facts *facts, const uint8_t hash[static SECRET_HASH_BYTES], uint32_t uses,
                             uint64_t expires_ms)
{
    struct invite_row row = { .uses = uses, .created_ms = 5, .expires_ms = expires_ms, .note = "for bob" };
    uint64_t number;
    assert_int_equal(facts_invite_add(facts, hash, &row, &number), 0);
    return number;
}

static void an_invite_is_good_for_its_uses_until_it_expires(void **state)
{
    struct facts *facts = facts_of(*state);
    struct invite_row row = { .uses = 2, .created_ms = 5, .expires_ms = 100 };
    uint64_t number = 0;
    assert_int_equal(facts_invite_use(facts, code, 10), ERR_INVITE);
    assert_int_equal(facts_invite_add(facts, code, &row, &number), 0);
    assert_int_equal(facts_invite_add(facts, code, &row, &number), ERR_EXISTS);
    assert_int_equal(facts_invite_check(facts, code, 99), 0);
    assert_int_equal(facts_invite_check(facts, code, 100), ERR_INVITE);
    assert_int_equal(facts_invite_check(facts, other, 50), ERR_INVITE);
    assert_int_equal(facts_invite_use(facts, code, 100), ERR_INVITE);
    assert_int_equal(facts_invite_use(facts, code, 50), 0);      /* the refusals took nothing */
    assert_int_equal(facts_invite_use(facts, code, 50), 0);
    assert_int_equal(facts_invite_use(facts, code, 50), ERR_INVITE);
    assert_int_equal(facts_invite_check(facts, code, 50), ERR_INVITE);
    facts_close(facts);
}

static void a_revoked_invite_is_good_for_nothing(void **state)
{
    struct facts *facts = facts_of(*state);
    uint64_t first = invite_added(facts, code, 3, 100), number;
    invite_added(facts, other, 3, 100);
    assert_int_equal(facts_invite_find(facts, code, &number), 0);
    assert_int_equal(number, first);
    assert_int_equal(facts_invite_find(facts, third, &number), ERR_INVITE);
    assert_int_equal(facts_invite_revoke(facts, first), 0);
    assert_int_equal(facts_invite_revoke(facts, first), 0);
    assert_int_equal(facts_invite_revoke(facts, 99), ERR_INVITE);
    assert_int_equal(facts_invite_check(facts, code, 50), ERR_INVITE);
    assert_int_equal(facts_invite_use(facts, code, 50), ERR_INVITE);
    assert_int_equal(facts_invite_use(facts, other, 50), 0);
    assert_int_equal(facts_invite_find(facts, code, &number), 0);
    facts_close(facts);
}

static void invites_are_listed_by_number_a_slice_at_a_time(void **state)
{
    struct facts *facts = facts_of(*state);
    struct invite_row rows[2];
    size_t count = 9;
    assert_int_equal(facts_invite_list(facts, 0, 2, rows, &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(invite_added(facts, code, 3, 100), 1);
    assert_int_equal(invite_added(facts, other, 1, 200), 2);
    assert_int_equal(invite_added(facts, third, 1, 300), 3);
    assert_int_equal(facts_invite_use(facts, code, 50), 0);
    assert_int_equal(facts_invite_revoke(facts, 3), 0);
    assert_int_equal(facts_invite_list(facts, 0, 2, rows, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].number, 1);
    assert_int_equal(rows[0].uses, 3);
    assert_int_equal(rows[0].uses_left, 2);
    assert_int_equal(rows[0].created_ms, 5);
    assert_int_equal(rows[0].expires_ms, 100);
    assert_string_equal(rows[0].note, "for bob");
    assert_false(rows[0].revoked);
    assert_int_equal(rows[1].number, 2);
    assert_int_equal(facts_invite_list(facts, 2, 2, rows, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].number, 3);
    assert_true(rows[0].revoked);
    facts_close(facts);
}

static void a_forgotten_invites_number_is_not_given_again(void **state)
{
    struct facts *facts = facts_of(*state);
    uint64_t number;
    invite_added(facts, code, 1, 100);
    invite_added(facts, other, 1, 200);
    assert_int_equal(facts_invite_forget(facts, 200), 0);        /* the second expires at 200, not before */
    assert_int_equal(facts_invite_find(facts, code, &number), ERR_INVITE);
    assert_int_equal(facts_invite_find(facts, other, &number), 0);
    assert_int_equal(facts_invite_forget(facts, 201), 0);
    assert_int_equal(facts_invite_find(facts, other, &number), ERR_INVITE);
    assert_int_equal(invite_added(facts, third, 1, 300), 3);
    facts_close(facts);
}

/* The step of the schema: an invite given out before it still opens the door, once, and has a number. */
static void an_invite_of_version_1_is_kept(void **state)
{
    struct db *db;
    struct db_opening first = { .writer = true, .migrations = facts_migrations, .migration_count = 1, .cache_kib = 64 };
    struct query q;
    assert_int_equal(db_open(disk_fs(*state), path, &first, &db), 0);
    query_start(&q, db, "INSERT INTO invites (hash, uses_left, expires_ms, created_ms) VALUES (?, 1, 100, 5)");
    query_put_blob(&q, code, sizeof code);
    assert_int_equal(query_run(&q), 0);
    db_close(db);

    struct facts *facts = facts_of(*state);
    uint64_t number;
    assert_int_equal(facts_invite_find(facts, code, &number), 0);
    assert_int_equal(number, 1);
    assert_int_equal(facts_invite_use(facts, code, 50), 0);
    assert_int_equal(facts_invite_use(facts, code, 50), ERR_INVITE);
    facts_close(facts);
}

#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_DISK(an_invite_is_good_for_its_uses_until_it_expires),
        ON_A_DISK(a_revoked_invite_is_good_for_nothing),
        ON_A_DISK(invites_are_listed_by_number_a_slice_at_a_time),
        ON_A_DISK(a_forgotten_invites_number_is_not_given_again),
        ON_A_DISK(an_invite_of_version_1_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
