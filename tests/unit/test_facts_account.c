/* test_facts_account.c - names, passwords, deleted accounts, the list of devices: facts_account.c, facts_device.c, and
 * what is kept of conversations. The first rows of both are test_facts.c's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proto/err.h"
#include "storage/facts_impl.h"
#include "tests/harness/disk.h"

static const char path[] = "/facts.db";
static const struct user_id alice = { "alice" }, bob = { "bob" }, carol = { "carol" };

struct world { struct disk *disk; struct facts *facts; };

static int setup(void **state)
{
    static struct world w;
    w.disk = disk_new(1);
    assert_int_equal(facts_open(disk_fs(w.disk), path, true, &w.facts), 0);
    assert_int_equal(facts_user_add(w.facts, &alice, "hash", 1000), 0);
    assert_int_equal(facts_user_add(w.facts, &bob, "hash", 1001), 0);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    facts_close(w->facts);
    disk_free(w->disk);
    return 0;
}

static struct facts *facts_in(void **state)
{
    return ((struct world *)*state)->facts;
}

static void device_added(struct facts *facts, const struct user_id *user, uint64_t device)
{
    struct device_row row = { .user = *user, .device = { device }, .name = "phone", .created_ms = 100 + device % 1000 };
    assert_int_equal(facts_device_add(facts, &row), 0);
}

static uint64_t version_of(struct facts *facts, const struct user_id *user)
{
    struct user_row row;
    assert_int_equal(facts_user_get(facts, user, &row), 0);
    return row.list_version;
}

/* -- names ------------------------------------------------------------------------------------------------ */

static struct user_id name_of(const char *text)
{
    struct user_id user;
    if (user_id_parse(bytes_of_str(text), &user) != 0) fail_msg("%s is no name", text);
    return user;
}

static void a_name_that_looks_like_one_taken_is_told_from_one_that_is_taken(void **state)
{
    static const struct { const char *taken, *asked; int err; bool alike; } cases[] = {
        { "john", "john", ERR_EXISTS, false },       { "john", "j0hn", ERR_EXISTS, true },
        { "john", "jo-hn", ERR_EXISTS, true },       { "john", "john.", ERR_EXISTS, true },
        { "john", "j.o_h-n", ERR_EXISTS, true },     { "john", "johan", 0, false },
        { "paul", "pau1", ERR_EXISTS, true },        { "norman", "nonnan", 0, false },
        { "norman", "nomian", 0, false },            { "tom", "torn", ERR_EXISTS, true },
        { "torn7", "tom7", ERR_EXISTS, true },       { "tor-n8", "tom8", ERR_EXISTS, true },
        { "owen", "ovven", ERR_EXISTS, true },       { "ovven2", "owen2", ERR_EXISTS, true },
        { "r0-0t", "root", ERR_EXISTS, true },       { "r.o.o.t.", "r0_0t", ERR_EXISTS, true },
        { "al", "a1", ERR_EXISTS, true },            { "xi", "x1", 0, false },
    };
    struct facts *facts = facts_in(state);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct user_id taken = name_of(cases[i].taken), asked = name_of(cases[i].asked);
        bool alike = !cases[i].alike;
        assert_int_equal(facts_savepoint(facts), 0);
        assert_int_equal(facts_user_add(facts, &taken, "h", 1), 0);
        int err = facts_name_check(facts, &asked, &alike);
        if (err != cases[i].err || alike != cases[i].alike)
            fail_msg("%s beside %s: %s, %d", cases[i].asked, cases[i].taken, err_name(err), alike);
        assert_int_equal(facts_savepoint_end(facts, false), 0);
    }
}

static void a_taken_name_is_never_called_alike_only(void **state)
{
    struct facts *facts = facts_in(state);
    struct user_id one = name_of("j0hn"), two = name_of("jo.hn");
    bool alike = true;
    assert_int_equal(facts_user_add(facts, &one, "h", 1), 0);
    assert_int_equal(facts_user_add(facts, &two, "h", 1), 0);    /* the operator may */
    assert_int_equal(facts_name_check(facts, &two, &alike), ERR_EXISTS);
    assert_false(alike);
    assert_int_equal(facts_name_check(facts, &one, &alike), ERR_EXISTS);
    assert_false(alike);
}

static void a_skeleton_is_what_the_index_holds(void **state)
{
    static const char *const pairs[][2] = {
        { "john", "john" }, { "j0h-n", "john" }, { "a.d_m-in", "admin" }, { "1vv", "lw" }, { "rnrn", "mm" },
        { "rrnn", "rmn" }, { "vvv", "wv" }, { "r.n", "m" },
    };
    struct facts *facts = facts_in(state);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char out[USER_ID_LEN_MAX + 1];
        assert_int_equal(facts_skeleton(facts, pairs[i][0], out), 0);
        assert_string_equal(out, pairs[i][1]);
    }
}

/* -- accounts --------------------------------------------------------------------------------------------- */

static void a_password_is_changed_only_from_the_one_that_was_checked(void **state)
{
    struct facts *facts = facts_in(state);
    struct user_row row;
    assert_int_equal(facts_user_password(facts, &alice, "another", "new"), ERR_AUTH);
    assert_int_equal(facts_user_password(facts, &carol, "hash", "new"), ERR_AUTH);
    assert_int_equal(facts_user_password(facts, &alice, "hash", "new"), 0);
    assert_int_equal(facts_user_get(facts, &alice, &row), 0);
    assert_string_equal(row.password_hash, "new");
    assert_int_equal(facts_user_password(facts, &alice, "hash", "newer"), ERR_AUTH);
    assert_int_equal(facts_user_password(facts, &alice, NULL, "newest"), 0);
    assert_int_equal(facts_user_get(facts, &alice, &row), 0);
    assert_string_equal(row.password_hash, "newest");
    assert_int_equal(facts_user_get(facts, &bob, &row), 0);
    assert_string_equal(row.password_hash, "hash");
}

static void a_deleted_account_is_gone_and_its_name_stays_taken(void **state)
{
    struct facts *facts = facts_in(state);
    struct user_row row;
    struct device_row device;
    struct user_summary rows[4];
    struct user_id look = name_of("a1ice");
    struct conv_id old = conv_id_direct(&alice, &bob), later = conv_id_direct(&alice, &carol);
    uint64_t users, convs, devices;
    size_t count;
    bool alike;
    device_added(facts, &alice, 1);
    device_added(facts, &bob, 2);
    assert_int_equal(facts_user_add(facts, &carol, "h", 1), 0);
    assert_int_equal(facts_conv_add_direct(facts, &old, &alice, &bob, 5), 0);
    assert_int_equal(facts_user_delete(facts, &alice, 9), 0);
    assert_int_equal(facts_user_delete(facts, &alice, 9), ERR_NOT_FOUND);
    assert_int_equal(facts_user_get(facts, &alice, &row), ERR_NOT_FOUND);
    assert_int_equal(facts_device_get(facts, &alice, (struct device_id){ 1 }, &device), ERR_NOT_FOUND);
    assert_int_equal(facts_user_add(facts, &alice, "h", 10), ERR_EXISTS);
    assert_int_equal(facts_name_check(facts, &alice, &alike), ERR_EXISTS);
    assert_false(alike);
    assert_int_equal(facts_name_check(facts, &look, &alike), ERR_EXISTS);
    assert_int_equal(facts_user_password(facts, &alice, NULL, "x"), ERR_AUTH);
    assert_int_equal(facts_user_password(facts, &alice, "", "x"), ERR_AUTH);
    assert_int_equal(facts_user_disable(facts, &alice, true), ERR_NOT_FOUND);
    device = (struct device_row){ .user = alice, .device = { 3 } };
    assert_int_equal(facts_device_add(facts, &device), ERR_NOT_FOUND);
    assert_int_equal(facts_user_list(facts, NULL, 4, rows, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(facts_counts(facts, &users, &convs, &devices), 0);
    assert_int_equal(users, 2);
    assert_int_equal(convs, 1);                                  /* bob keeps it */
    assert_int_equal(devices, 1);
    assert_int_equal(facts_conv_add_direct(facts, &later, &carol, &alice, 5), ERR_NOT_FOUND);
    assert_int_equal(facts_device_get(facts, &bob, (struct device_id){ 2 }, &device), 0);
}

/* -- devices ---------------------------------------------------------------------------------------------- */

static void devices_are_listed_oldest_first_with_those_revoked(void **state)
{
    struct facts *facts = facts_in(state);
    struct device_row rows[DEVICE_ROWS_MAX];
    uint64_t version;
    size_t count = 9;
    assert_int_equal(facts_device_list(facts, &alice, rows, &count), 0);
    assert_int_equal(count, 0);
    device_added(facts, &alice, 3);
    device_added(facts, &alice, 1);
    device_added(facts, &alice, UINT64_MAX);                     /* all 64 bits */
    device_added(facts, &bob, 2);
    assert_int_equal(facts_device_seen(facts, &alice, (struct device_id){ 1 }, 5, 77, 4), 0);
    assert_int_equal(facts_device_revoke(facts, &alice, (struct device_choice){ .only = { 3 } }, rows, &count,
                                         &version), 0);
    assert_int_equal(facts_device_list(facts, &alice, rows, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(rows[0].device.v, 1);
    assert_int_equal(rows[0].seen_ms, 77);
    assert_int_equal(rows[1].device.v, 3);
    assert_true(rows[1].revoked);
    assert_true(rows[2].device.v == UINT64_MAX);
    assert_string_equal(rows[2].name, "phone");
}

static void a_device_is_named_while_it_lives(void **state)
{
    struct facts *facts = facts_in(state);
    struct device_row row;
    uint64_t version = 0;
    size_t count;
    device_added(facts, &alice, 1);
    assert_int_equal(facts_device_name(facts, &alice, (struct device_id){ 1 }, "laptop", &version), 0);
    assert_int_equal(version, 2);
    assert_int_equal(version_of(facts, &alice), 2);
    assert_int_equal(facts_device_get(facts, &alice, (struct device_id){ 1 }, &row), 0);
    assert_string_equal(row.name, "laptop");
    assert_int_equal(facts_device_name(facts, &alice, (struct device_id){ 2 }, "x", &version), ERR_NOT_FOUND);
    assert_int_equal(facts_device_name(facts, &bob, (struct device_id){ 1 }, "x", &version), ERR_NOT_FOUND);
    assert_int_equal(facts_device_revoke(facts, &alice, (struct device_choice){ .only = { 1 } }, &row, &count,
                                         &version), 0);
    assert_int_equal(facts_device_name(facts, &alice, (struct device_id){ 1 }, "x", &version), ERR_NOT_FOUND);
    assert_int_equal(version_of(facts, &alice), 3);
}

static void one_all_or_all_but_one_are_revoked(void **state)
{
    struct facts *facts = facts_in(state);
    struct device_row rows[DEVICES_PER_USER_MAX], row;
    uint64_t version = 0;
    size_t count = 0;
    for (uint64_t i = 1; i <= DEVICES_PER_USER_MAX; i++) device_added(facts, &alice, i);
    device_added(facts, &bob, 1);
    assert_int_equal(facts_device_revoke(facts, &alice, (struct device_choice){ .only = { 2 } }, rows, &count,
                                         &version), 0);
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].device.v, 2);
    assert_int_equal(version, DEVICES_PER_USER_MAX + 1);
    assert_int_equal(facts_device_revoke(facts, &alice, (struct device_choice){ .only = { 2 } }, rows, &count,
                                         &version),
                     ERR_NOT_FOUND);
    assert_int_equal(facts_device_revoke(facts, &alice, (struct device_choice){ .only = { 99 } }, rows, &count,
                                         &version),
                     ERR_NOT_FOUND);
    assert_int_equal(version_of(facts, &alice), DEVICES_PER_USER_MAX + 1);
    assert_int_equal(facts_device_revoke(facts, &alice, (struct device_choice){ .except = { 5 } }, rows, &count,
                                         &version), 0);
    assert_int_equal(count, DEVICES_PER_USER_MAX - 2);
    assert_int_equal(facts_device_get(facts, &alice, (struct device_id){ 5 }, &row), 0);
    assert_false(row.revoked);
    assert_int_equal(facts_device_get(facts, &alice, (struct device_id){ 6 }, &row), 0);
    assert_true(row.revoked);
    assert_int_equal(facts_device_revoke(facts, &alice, (struct device_choice){ .except = { 5 } }, rows, &count,
                                         &version), 0);
    assert_int_equal(count, 0);                                  /* nothing to do is fine */
    assert_int_equal(facts_device_revoke(facts, &alice, (struct device_choice){ { 0 }, { 0 } }, rows, &count, &version),
                     0);
    assert_int_equal(count, 1);
    assert_int_equal(facts_device_get(facts, &bob, (struct device_id){ 1 }, &row), 0);
    assert_false(row.revoked);
}

static void revoked_devices_do_not_heap_up(void **state)
{
    struct facts *facts = facts_in(state);
    struct device_row rows[DEVICE_ROWS_MAX + 1], row;
    uint64_t version, last = 3 * DEVICE_ROWS_MAX;
    size_t count;
    for (uint64_t i = 1; i <= last; i++) {
        device_added(facts, &alice, i);
        if (i == 1) continue;
        assert_int_equal(facts_device_revoke(facts, &alice, (struct device_choice){ .only = { i } }, rows, &count,
                                             &version), 0);
    }
    assert_int_equal(facts_device_list(facts, &alice, rows, &count), 0);
    assert_int_equal(count, DEVICE_ROWS_MAX - DEVICES_PER_USER_MAX + 1);
    assert_int_equal(rows[0].device.v, 1);                       /* a live one never goes */
    assert_int_equal(rows[count - 1].device.v, last);            /* the newest stay */
    assert_int_equal(facts_device_get(facts, &alice, (struct device_id){ 2 }, &row), ERR_NOT_FOUND);
}

/* -- what is kept ----------------------------------------------------------------------------------------- */

static void what_is_kept_of_conversations_comes_in_slices_by_id(void **state)
{
    struct facts *facts = facts_in(state);
    struct kept_row rows[2];
    struct conv_id after = { { 0 } };
    size_t count, seen = 0;
    assert_int_equal(facts_user_add(facts, &carol, "h", 1), 0);
    const struct user_id *peers[] = { &alice, &bob, &carol };
    for (size_t i = 0; i < 3; i++) {
        struct conv_id conv = conv_id_direct(&alice, peers[i]);
        assert_int_equal(facts_conv_add_direct(facts, &conv, &alice, peers[i], 5), 0);
    }
    struct conv_id others = conv_id_direct(&bob, &carol);
    assert_int_equal(facts_conv_add_direct(facts, &others, &bob, &carol, 5), 0);
    assert_int_equal(facts_inbox_add(facts, &alice, 5), 0);
    assert_int_equal(db_exec(facts->db,
        "UPDATE members SET read = 3, read_ms = 4, delivered = 5, delivered_ms = 6, sent = 2 WHERE user = 'alice'"), 0);
    assert_int_equal(db_exec(facts->db, "UPDATE convs SET head = 7, counted = 6"), 0);
    do {
        assert_int_equal(facts_kept(facts, &alice, &after, 2, rows, &count), 0);
        for (size_t i = 0; i < count; i++) {
            struct conv_id want = conv_id_direct(&alice, &rows[i].peer);
            assert_true(conv_id_equal(&rows[i].conv.conv, &want));
            assert_true(memcmp(after.v, want.v, sizeof want.v) < 0);
            assert_int_equal(rows[i].conv.head, 7);
            assert_int_equal(rows[i].conv.counted, 6);
            assert_int_equal(rows[i].member.read, 3);
            assert_int_equal(rows[i].member.read_ms, 4);
            assert_int_equal(rows[i].member.delivered, 5);
            assert_int_equal(rows[i].member.delivered_ms, 6);
            assert_int_equal(rows[i].member.sent, 2);
            after = want;
            seen++;
        }
    } while (count == 2);
    assert_int_equal(seen, 3);
}

#define WITH_TWO_USERS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TWO_USERS(a_name_that_looks_like_one_taken_is_told_from_one_that_is_taken),
        WITH_TWO_USERS(a_taken_name_is_never_called_alike_only),
        WITH_TWO_USERS(a_skeleton_is_what_the_index_holds),
        WITH_TWO_USERS(a_password_is_changed_only_from_the_one_that_was_checked),
        WITH_TWO_USERS(a_deleted_account_is_gone_and_its_name_stays_taken),
        WITH_TWO_USERS(devices_are_listed_oldest_first_with_those_revoked),
        WITH_TWO_USERS(a_device_is_named_while_it_lives),
        WITH_TWO_USERS(one_all_or_all_but_one_are_revoked),
        WITH_TWO_USERS(revoked_devices_do_not_heap_up),
        WITH_TWO_USERS(what_is_kept_of_conversations_comes_in_slices_by_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
