/* test_facts_keyfile.c - where key files were written is known, bounded, and can be forgotten. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "proto/err.h"
#include "storage/facts.h"
#include "tests/harness/disk.h"

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
    assert_int_equal(facts_open(disk_fs(disk), "facts.db", true, &facts), 0);
    return facts;
}

static void they_are_given_by_path_as_they_were_last_put(void **state)
{
    struct facts *facts = facts_of(*state);
    struct keyfile_row row = { .path = "" };
    assert_int_equal(facts_keyfile_next(facts, "", &row), ERR_NOT_FOUND);
    assert_int_equal(facts_keyfile_put(facts, "/b", 5, true), 0);
    assert_int_equal(facts_keyfile_put(facts, "/a", 6, true), 0);
    assert_int_equal(facts_keyfile_put(facts, "/b", 7, false), 0);
    assert_int_equal(facts_keyfile_next(facts, "", &row), 0);
    assert_string_equal(row.path, "/a");
    assert_int_equal(row.written_ms, 6);
    assert_true(row.ok);
    assert_int_equal(facts_keyfile_next(facts, row.path, &row), 0);
    assert_string_equal(row.path, "/b");
    assert_int_equal(row.written_ms, 7);
    assert_false(row.ok);
    assert_int_equal(facts_keyfile_next(facts, row.path, &row), ERR_NOT_FOUND);
    facts_close(facts);
}

static void a_forgotten_one_is_not_given_again(void **state)
{
    struct facts *facts = facts_of(*state);
    struct keyfile_row row;
    assert_int_equal(facts_keyfile_put(facts, "/a", 6, true), 0);
    assert_int_equal(facts_keyfile_forget(facts, "/b"), ERR_NOT_FOUND);
    assert_int_equal(facts_keyfile_forget(facts, "/a"), 0);
    assert_int_equal(facts_keyfile_next(facts, "", &row), ERR_NOT_FOUND);
    facts_close(facts);
}

static void there_are_never_more_than_the_limit(void **state)
{
    struct facts *facts = facts_of(*state);
    char path[16];
    for (int i = 0; i < KEYFILES_MAX; i++) {
        snprintf(path, sizeof path, "/%d", i);
        assert_int_equal(facts_keyfile_put(facts, path, 1, true), 0);
    }
    assert_int_equal(facts_keyfile_put(facts, "/one more", 1, true), ERR_FULL);
    assert_int_equal(facts_keyfile_put(facts, "/7", 2, true), 0);
    facts_close(facts);
}

static void the_last_backup_is_what_was_put_last(void **state)
{
    struct facts *facts = facts_of(*state);
    struct backup_row row;
    assert_int_equal(facts_backup_get(facts, &row), ERR_NOT_FOUND);
    assert_int_equal(facts_backup_put(facts, &(struct backup_row){ 5, "/backups/one", 6 }), 0);
    assert_int_equal(facts_backup_put(facts, &(struct backup_row){ 7, "/backups/two", 8 }), 0);
    assert_int_equal(facts_backup_get(facts, &row), 0);
    assert_int_equal(row.made_ms, 7);
    assert_string_equal(row.path, "/backups/two");
    assert_int_equal(row.bytes, 8);
    facts_close(facts);
}

#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_DISK(they_are_given_by_path_as_they_were_last_put),
        ON_A_DISK(a_forgotten_one_is_not_given_again),
        ON_A_DISK(there_are_never_more_than_the_limit),
        ON_A_DISK(the_last_backup_is_what_was_put_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
