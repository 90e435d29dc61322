/* test_facts.c - opening, transactions, the node, accounts: facts.c, facts_schema.c, facts_account.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proto/err.h"
#include "storage/facts_impl.h"
#include "storage/inside.h"
#include "tests/harness/disk.h"

static const char path[] = "/facts.db";
static const struct user_id alice = { "alice" }, bob = { "bob" }, carol = { "carol" };
static const struct device_id phone = { 0xf000000000000001 };

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

static struct facts *facts_of(struct disk *disk, bool writer)
{
    struct facts *facts = NULL;
    assert_int_equal(facts_open(disk_fs(disk), path, writer, &facts), 0);
    return facts;
}

static void user_added(struct facts *facts, const struct user_id *user)
{
    assert_int_equal(facts_begin(facts), 0);
    assert_int_equal(facts_user_add(facts, user, "$argon2id$hash", 1000), 0);
    assert_int_equal(facts_commit(facts), 0);
}

static struct device_row device_of(const struct user_id *user, struct device_id device)
{
    struct device_row row = { .user = *user, .device = device, .name = "phone", .created_ms = 20, .live_ms = 21,
                              .client_seq_max = 3, .token_hash = "a hash of a token" };
    return row;
}

/* -- versions --------------------------------------------------------------------------------------------- */

/* Made by the first step alone, and filled by plain SQL. */
static void a_file_of_version_1_is_taken_and_keeps_its_rows(void **state)
{
    struct db *db;
    struct db_opening first = { .writer = true, .migrations = facts_migrations, .migration_count = 1, .cache_kib = 64 };
    assert_int_equal(db_open(disk_fs(*state), path, &first, &db), 0);
    assert_int_equal(db_exec(db,
        "INSERT INTO users (user, password_hash, created_ms) VALUES ('alice', 'h', 7);"
        "INSERT INTO convs (conv, type, created_ms, head) VALUES (zeroblob(16), 1, 8, 5);"
        "INSERT INTO members (conv, user, type, from_seq) VALUES (zeroblob(16), 'alice', 1, 1);"
        "INSERT INTO flushed VALUES (2, 40);"), 0);
    db_close(db);

    struct facts *facts = facts_of(*state, true);
    struct user_row user;
    struct conv_id conv = { { 0 } };
    struct conv_row row;
    assert_int_equal(facts_user_get(facts, &alice, &user), 0);
    assert_int_equal(user.created_ms, 7);
    assert_int_equal(facts_conv_get(facts, &conv, &row), 0);
    assert_int_equal(row.head, 5);
    assert_int_equal(facts_flushed(facts, 2), 40);
    facts_close(facts);
}

static void a_step_added_later_runs_on_a_file_that_lacks_it(void **state)
{
    facts_close(facts_of(*state, true));
    const char *steps[16];
    assert_in_range(facts_migration_count, 1, 15);
    for (int i = 0; i < facts_migration_count; i++) steps[i] = facts_migrations[i];
    steps[facts_migration_count] = "ALTER TABLE users ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'";
    struct db_opening next = { .writer = true, .migrations = steps, .migration_count = facts_migration_count + 1,
                               .cache_kib = 64 };
    struct db *db;
    assert_int_equal(db_open(disk_fs(*state), path, &next, &db), 0);
    assert_int_equal(db_exec(db, "UPDATE users SET colour = 'blue'"), 0);
    db_close(db);

    struct facts *facts;                   /* and what it leaves is too new for us */
    assert_int_equal(facts_open(disk_fs(*state), path, true, &facts), ERR_NEWER);
    assert_int_equal(facts_open(disk_fs(*state), path, false, &facts), ERR_NEWER);
}

/* -- transactions ----------------------------------------------------------------------------------------- */

static void a_failed_request_undoes_itself_and_no_other(void **state)
{
    struct facts *facts = facts_of(*state, true);
    struct user_row row;
    assert_int_equal(facts_begin(facts), 0);
    assert_int_equal(facts_savepoint(facts), 0);
    assert_int_equal(facts_user_add(facts, &alice, "h", 1), 0);
    assert_int_equal(facts_savepoint_end(facts, true), 0);
    assert_int_equal(facts_savepoint(facts), 0);
    assert_int_equal(facts_user_add(facts, &bob, "h", 1), 0);
    assert_int_equal(facts_user_add(facts, &alice, "h", 1), ERR_EXISTS);
    assert_int_equal(facts_savepoint_end(facts, false), 0);
    assert_int_equal(facts_savepoint(facts), 0);
    assert_int_equal(facts_user_add(facts, &carol, "h", 1), 0);
    assert_int_equal(facts_savepoint_end(facts, true), 0);
    assert_int_equal(facts_commit(facts), 0);
    assert_int_equal(facts_user_get(facts, &alice, &row), 0);
    assert_int_equal(facts_user_get(facts, &bob, &row), ERR_NOT_FOUND);
    assert_int_equal(facts_user_get(facts, &carol, &row), 0);
    facts_close(facts);
}

static void a_snapshot_stays_as_it_was(void **state)
{
    struct facts *facts = facts_of(*state, true), *reader = facts_of(*state, false);
    struct user_row row;
    assert_int_equal(facts_snapshot(reader), 0);
    user_added(facts, &alice);             /* committed before the snapshot's first own question */
    assert_int_equal(facts_user_get(reader, &alice, &row), ERR_NOT_FOUND);
    facts_snapshot_end(reader);
    assert_int_equal(facts_user_get(reader, &alice, &row), 0);
    facts_close(reader);
    facts_close(facts);
}

static void what_was_committed_survives_any_crash(void **state)
{
    struct facts *facts = facts_of(*state, true);
    user_added(facts, &alice);
    for (int mode = 0; mode < DISK_CRASH_MODES; mode++) {
        struct disk *after = disk_crash(*state, (enum disk_crash)mode, 5);
        struct facts *reopened = facts_of(after, true);
        struct user_row row;
        assert_int_equal(facts_user_get(reopened, &alice, &row), 0);
        facts_close(reopened);
        disk_free(after);
    }
    facts_close(facts);
}

/* -- the node --------------------------------------------------------------------------------------------- */

static void the_node_is_made_once_by_the_writer(void **state)
{
    struct facts *facts = facts_of(*state, true), *reader = facts_of(*state, false);
    struct node_row first, again;
    assert_int_equal(facts_node(reader, &first), ERR_NOT_FOUND);
    assert_int_equal(facts_node(facts, &first), 0);
    assert_int_equal(facts_node(reader, &again), 0);
    assert_memory_equal(&first, &again, sizeof first);
    assert_memory_not_equal(first.generation, first.hash_key, sizeof first.hash_key);
    facts_close(reader);
    facts_close(facts);
    facts = facts_of(*state, true);
    assert_int_equal(facts_node(facts, &again), 0);
    assert_memory_equal(&first, &again, sizeof first);
    facts_close(facts);
}

static int on_flushed(void *arg, uint32_t log, uint64_t number)
{
    uint64_t *sum = arg;
    *sum = *sum * 100 + log * 10 + number;
    return log == 7 ? -77 : 0;
}

static void flushed_numbers_come_in_the_order_of_logs(void **state)
{
    struct facts *facts = facts_of(*state, true);
    uint64_t sum = 0;
    assert_int_equal(facts_flushed(facts, 1), 0);
    assert_int_equal(facts_flushed_each(facts, on_flushed, &sum), 0);
    assert_int_equal(sum, 0);
    assert_int_equal(db_exec(facts->db, "INSERT INTO flushed VALUES (3, 4), (1, 2)"), 0);
    assert_int_equal(facts_flushed_each(facts, on_flushed, &sum), 0);
    assert_int_equal(sum, 1234);
    assert_int_equal(facts_flushed(facts, 3), 4);
    assert_int_equal(db_exec(facts->db, "INSERT INTO flushed VALUES (7, 1), (8, 1)"), 0);
    sum = 0;
    assert_int_equal(facts_flushed_each(facts, on_flushed, &sum), -77);
    assert_int_equal(sum, 123471);
    facts_close(facts);
}

/* -- accounts --------------------------------------------------------------------------------------------- */

static void a_user_is_found_as_it_was_added_and_its_name_is_taken(void **state)
{
    struct facts *facts = facts_of(*state, true);
    struct user_row row;
    assert_int_equal(facts_user_get(facts, &alice, &row), ERR_NOT_FOUND);
    user_added(facts, &alice);
    assert_int_equal(facts_user_get(facts, &alice, &row), 0);
    assert_true(user_id_equal(&row.user, &alice));
    assert_string_equal(row.password_hash, "$argon2id$hash");
    assert_int_equal(row.created_ms, 1000);
    assert_int_equal(row.list_version, 0);
    assert_false(row.disabled);
    assert_int_equal(facts_user_add(facts, &alice, "other", 5), ERR_EXISTS);
    facts_close(facts);
}

static void users_are_listed_by_name_a_slice_at_a_time(void **state)
{
    struct facts *facts = facts_of(*state, true);
    struct user_summary rows[2];
    size_t count = 9;
    user_added(facts, &carol);
    user_added(facts, &alice);
    user_added(facts, &bob);
    assert_int_equal(facts_user_list(facts, NULL, 2, rows, &count), 0);
    assert_int_equal(count, 2);
    assert_string_equal(rows[0].user.v, "alice");
    assert_string_equal(rows[1].user.v, "bob");
    assert_int_equal(facts_user_list(facts, &rows[1].user, 2, rows, &count), 0);
    assert_int_equal(count, 1);
    assert_string_equal(rows[0].user.v, "carol");
    assert_int_equal(facts_user_list(facts, &carol, 2, rows, &count), 0);
    assert_int_equal(count, 0);
    facts_close(facts);
}

static void a_listed_user_shows_its_live_devices_and_when_one_was_last_seen(void **state)
{
    struct facts *facts = facts_of(*state, true);
    struct user_summary row;
    size_t count;
    struct device_row device = device_of(&alice, phone);
    user_added(facts, &alice);
    assert_int_equal(facts_user_list(facts, NULL, 1, &row, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(row.created_ms, 1000);
    assert_int_equal(row.devices, 0);
    assert_int_equal(row.seen_ms, 0);
    assert_int_equal(facts_device_add(facts, &device), 0);
    device.device.v = 2;
    device.revoked = true;
    assert_int_equal(facts_device_add(facts, &device), 0);
    assert_int_equal(facts_device_seen(facts, &alice, device.device, 50, 77, 0), 0);
    assert_int_equal(facts_user_list(facts, NULL, 1, &row, &count), 0);
    assert_int_equal(row.devices, 1);
    assert_int_equal(row.seen_ms, 77);
    facts_close(facts);
}

static void a_disabled_user_is_shown_as_such_until_enabled(void **state)
{
    struct facts *facts = facts_of(*state, true);
    struct device_row device = device_of(&alice, phone);
    struct user_summary listed[2];
    struct user_row row;
    size_t count;
    assert_int_equal(facts_user_disable(facts, &alice, true), ERR_NOT_FOUND);
    user_added(facts, &alice);
    user_added(facts, &bob);
    assert_int_equal(facts_device_add(facts, &device), 0);
    for (int disabled = 1; disabled >= 0; disabled--) {
        assert_int_equal(facts_user_disable(facts, &alice, disabled), 0);
        assert_int_equal(facts_user_disable(facts, &alice, disabled), 0);
        assert_int_equal(facts_user_get(facts, &alice, &row), 0);
        assert_int_equal(row.disabled, disabled);
        assert_int_equal(facts_device_get(facts, &alice, phone, &device), 0);
        assert_int_equal(device.user_disabled, disabled);
        assert_int_equal(facts_user_list(facts, NULL, 2, listed, &count), 0);
        assert_int_equal(listed[0].disabled, disabled);
        assert_false(listed[1].disabled);
    }
    facts_close(facts);
}

static void a_device_is_found_with_its_users_version(void **state)
{
    struct facts *facts = facts_of(*state, true);
    struct device_row added = device_of(&alice, phone), row;
    assert_int_equal(facts_device_add(facts, &added), ERR_NOT_FOUND);
    user_added(facts, &alice);
    user_added(facts, &bob);
    assert_int_equal(facts_device_get(facts, &alice, phone, &row), ERR_NOT_FOUND);
    assert_int_equal(facts_device_add(facts, &added), 0);
    assert_int_equal(facts_device_add(facts, &added), ERR_EXISTS);
    assert_int_equal(facts_device_get(facts, &bob, phone, &row), ERR_NOT_FOUND);
    assert_int_equal(facts_device_get(facts, &alice, phone, &row), 0);
    assert_true(user_id_equal(&row.user, &alice));
    assert_true(row.device.v == phone.v);
    assert_memory_equal(row.token_hash, added.token_hash, SECRET_HASH_BYTES);
    assert_string_equal(row.name, "phone");
    assert_int_equal(row.created_ms, 20);
    assert_int_equal(row.live_ms, 21);
    assert_int_equal(row.client_seq_max, 3);
    assert_int_equal(row.list_version, 1);
    assert_false(row.revoked);
    assert_false(row.user_disabled);
    struct user_row user;
    assert_int_equal(facts_user_get(facts, &alice, &user), 0);
    assert_int_equal(user.list_version, 1);
    facts_close(facts);
}

static void a_device_is_due_what_comes_after_it_was_made(void **state)
{
    struct facts *facts = facts_of(*state, true);
    struct device_row row = device_of(&alice, phone);
    user_added(facts, &alice);
    row.created_ms = 700;
    row.since_ms = 3;                             /* not for the caller to say */
    assert_int_equal(facts_device_add(facts, &row), 0);
    assert_int_equal(facts_device_get(facts, &alice, phone, &row), 0);
    assert_int_equal(row.since_ms, 700);
    assert_int_equal(row.created_ms, 700);
    assert_int_equal(row.live_ms, 21);
    facts_close(facts);
}

static void a_user_has_so_many_live_devices_and_no_more(void **state)
{
    struct facts *facts = facts_of(*state, true);
    user_added(facts, &alice);
    user_added(facts, &bob);
    for (uint64_t i = 1; i <= DEVICES_PER_USER_MAX; i++) {
        struct device_row row = device_of(&alice, (struct device_id){ i });
        assert_int_equal(facts_device_add(facts, &row), 0);
    }
    struct device_row more = device_of(&alice, phone), bobs = device_of(&bob, phone);
    assert_int_equal(facts_device_add(facts, &more), ERR_TOO_MANY);
    assert_int_equal(facts_device_add(facts, &bobs), 0);
    assert_int_equal(db_exec(facts->db, "UPDATE devices SET revoked = 1 WHERE user = 'alice' AND device = 3"), 0);
    assert_int_equal(facts_device_add(facts, &more), 0);
    struct device_row row;
    assert_int_equal(facts_device_get(facts, &alice, (struct device_id){ 3 }, &row), 0);
    assert_true(row.revoked);
    facts_close(facts);
}

static void what_a_device_was_seen_at_only_rises(void **state)
{
    struct facts *facts = facts_of(*state, true);
    struct device_row row = device_of(&alice, phone);
    user_added(facts, &alice);
    assert_int_equal(facts_device_add(facts, &row), 0);
    assert_int_equal(facts_device_seen(facts, &alice, phone, 50, 60, 2), 0);
    assert_int_equal(facts_device_get(facts, &alice, phone, &row), 0);
    assert_int_equal(row.live_ms, 50);
    assert_int_equal(row.client_seq_max, 3);
    assert_int_equal(facts_device_seen(facts, &alice, phone, 40, 55, 9), 0);
    assert_int_equal(facts_device_get(facts, &alice, phone, &row), 0);
    assert_int_equal(row.live_ms, 50);
    assert_int_equal(row.seen_ms, 60);
    assert_int_equal(row.client_seq_max, 9);
    assert_int_equal(facts_device_seen(facts, &bob, phone, 40, 55, 9), 0);     /* no one: nothing */
    facts_close(facts);
}

static void counts_are_of_users_conversations_and_live_devices(void **state)
{
    struct facts *facts = facts_of(*state, true);
    uint64_t users, convs, devices;
    struct device_row row = device_of(&alice, phone);
    struct conv_id chat = conv_id_direct(&alice, &bob);
    user_added(facts, &alice);
    user_added(facts, &bob);
    assert_int_equal(facts_device_add(facts, &row), 0);
    row.device.v = 2;
    row.revoked = true;
    assert_int_equal(facts_device_add(facts, &row), 0);
    assert_int_equal(facts_conv_add_direct(facts, &chat, &alice, &bob, 5), 0);
    assert_int_equal(facts_inbox_add(facts, &alice, 5), 0);
    assert_int_equal(facts_counts(facts, &users, &convs, &devices), 0);
    assert_int_equal(users, 2);
    assert_int_equal(convs, 1);
    assert_int_equal(devices, 1);
    facts_close(facts);
}

#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_DISK(a_file_of_version_1_is_taken_and_keeps_its_rows),
        ON_A_DISK(a_step_added_later_runs_on_a_file_that_lacks_it),
        ON_A_DISK(a_failed_request_undoes_itself_and_no_other),
        ON_A_DISK(a_snapshot_stays_as_it_was),
        ON_A_DISK(what_was_committed_survives_any_crash),
        ON_A_DISK(the_node_is_made_once_by_the_writer),
        ON_A_DISK(flushed_numbers_come_in_the_order_of_logs),
        ON_A_DISK(a_user_is_found_as_it_was_added_and_its_name_is_taken),
        ON_A_DISK(users_are_listed_by_name_a_slice_at_a_time),
        ON_A_DISK(a_listed_user_shows_its_live_devices_and_when_one_was_last_seen),
        ON_A_DISK(a_disabled_user_is_shown_as_such_until_enabled),
        ON_A_DISK(a_device_is_found_with_its_users_version),
        ON_A_DISK(a_device_is_due_what_comes_after_it_was_made),
        ON_A_DISK(a_user_has_so_many_live_devices_and_no_more),
        ON_A_DISK(what_a_device_was_seen_at_only_rises),
        ON_A_DISK(counts_are_of_users_conversations_and_live_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
