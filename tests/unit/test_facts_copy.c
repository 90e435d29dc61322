/* test_facts_copy.c - the copy is the snapshot: not a row less, not a row of what came later. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proto/err.h"
#include "storage/facts.h"
#include "storage/inside.h"
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"

enum { USERS = 500 };

static int setup(void **state)
{
    *state = disk_new(run_seed());
    return 0;
}

static int teardown(void **state)
{
    disk_free(*state);
    return 0;
}

static struct facts *facts_of(struct disk *disk, const char *path, bool writer)
{
    struct facts *facts;
    assert_int_equal(facts_open(disk_fs(disk), path, writer, &facts), 0);
    return facts;
}

static struct user_id user_of(unsigned i)
{
    char name[16];
    struct user_id user;
    snprintf(name, sizeof name, "user%u", i);
    assert_int_equal(user_id_parse(bytes_of_str(name), &user), 0);
    return user;
}

static void add_users(struct facts *facts, unsigned first, unsigned end)
{
    assert_int_equal(facts_begin(facts), 0);
    for (unsigned i = first; i < end; i++) {
        struct user_id user = user_of(i);
        assert_int_equal(facts_user_add(facts, &user, "$a password's hash that takes some room in its page", i), 0);
    }
    assert_int_equal(facts_commit(facts), 0);
}

static int add_more(void *arg, uint64_t bytes)
{
    static unsigned next = USERS;
    assert_true(bytes > 0);
    add_users(arg, next, next + 1);
    next++;
    return 0;
}

static void what_is_committed_while_it_runs_is_not_in_it(void **state)
{
    struct facts *writer = facts_of(*state, "/facts.db", true), *reader, *copy;
    uint64_t users, conversations, devices;
    struct node_row node, copied;
    add_users(writer, 0, USERS);
    assert_int_equal(facts_node(writer, &node), 0);
    reader = facts_of(*state, "/facts.db", false);
    assert_int_equal(facts_snapshot(reader), 0);
    add_users(writer, USERS + 1000, USERS + 1001);
    assert_int_equal(facts_copy(reader, "/copy.db", add_more, writer), 0);
    facts_snapshot_end(reader);
    assert_int_equal(facts_counts(reader, &users, &conversations, &devices), 0);
    assert_true(users > USERS + 1);

    uint64_t ops = disk_ops(*state);
    copy = facts_of(*state, "/copy.db", false);
    assert_int_equal(facts_counts(copy, &users, &conversations, &devices), 0);
    assert_int_equal(users, USERS);
    assert_int_equal(facts_node(copy, &copied), 0);
    assert_memory_equal(&node, &copied, sizeof node);
    facts_close(copy);
    assert_int_equal(disk_ops(*state), ops);                   /* reading it writes nothing */
    assert_int_equal(disk_file_count(*state, "/copy.db"), 1);
    facts_close(reader);
    facts_close(writer);
}

static void it_is_durable_with_its_folder(void **state)
{
    struct facts *writer = facts_of(*state, "/facts.db", true), *copy;
    add_users(writer, 0, USERS);
    struct facts *reader = facts_of(*state, "/facts.db", false);
    assert_int_equal(facts_snapshot(reader), 0);
    assert_int_equal(facts_copy(reader, "/copy.db", NULL, NULL), 0);
    facts_close(reader);
    struct disk *after = disk_crash(*state, DISK_DROP_ALL, 1);
    uint64_t users, conversations, devices;
    copy = facts_of(after, "/copy.db", true);
    assert_int_equal(facts_counts(copy, &users, &conversations, &devices), 0);
    assert_int_equal(users, USERS);
    facts_close(copy);
    disk_free(after);
    facts_close(writer);
}

static int stop(void *arg, uint64_t bytes)
{
    (void)arg, (void)bytes;
    return ERR_GOING;
}

static void it_stops_when_told_and_says_when_the_disk_is_full(void **state)
{
    struct facts *writer = facts_of(*state, "/facts.db", true);
    add_users(writer, 0, USERS);
    struct facts *reader = facts_of(*state, "/facts.db", false);
    assert_int_equal(facts_snapshot(reader), 0);
    assert_int_equal(facts_copy(reader, "/stopped.db", stop, NULL), ERR_GOING);
    disk_set_capacity(*state, disk_used(*state) + 5000);
    assert_int_equal(facts_copy(reader, "/full.db", NULL, NULL), ERR_NO_SPACE);
    disk_set_capacity(*state, UINT64_MAX);
    assert_int_equal(facts_copy(reader, "/nowhere/copy.db", NULL, NULL), ERR_NOT_FOUND);
    facts_close(reader);
    add_users(writer, USERS, USERS + 1);                       /* the source is none the worse */
    facts_close(writer);
}

static void another_generation_is_another_every_time(void **state)
{
    struct facts *facts = facts_of(*state, "/facts.db", true);
    struct node_row before, after;
    assert_int_equal(facts_node(facts, &before), 0);
    assert_int_equal(facts_begin(facts), 0);
    assert_int_equal(facts_node_renew(facts), 0);
    assert_int_equal(facts_commit(facts), 0);
    assert_int_equal(facts_node(facts, &after), 0);
    assert_memory_not_equal(before.generation, after.generation, sizeof before.generation);
    assert_memory_equal(before.hash_key, after.hash_key, sizeof before.hash_key);
    facts_close(facts);
}

#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_DISK(what_is_committed_while_it_runs_is_not_in_it),
        ON_A_DISK(it_is_durable_with_its_folder),
        ON_A_DISK(it_stops_when_told_and_says_when_the_disk_is_full),
        ON_A_DISK(another_generation_is_another_every_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
