/* test_vault.c - a key is there once committed, is given once, and an erased one is known to be erased. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proto/err.h"
#include "storage/db.h"
#include "storage/vault.h"
#include "storage/vfs.h"
#include "tests/harness/disk.h"

static const struct conv_id chat = { "a conversation.." }, other = { "another one....." };
static const char path[] = "/keys.db";

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

static struct vault *vault_of(struct disk *disk, bool writer)
{
    struct vault *vault = NULL;
    assert_int_equal(vault_open(disk_fs(disk), path, writer, &vault), 0);
    return vault;
}

static struct vault_key key_made(struct vault *vault, const struct conv_id *partition)
{
    struct vault_key key;
    assert_int_equal(vault_begin(vault), 0);
    assert_int_equal(vault_make(vault, partition, 5, &key), 0);
    assert_int_equal(vault_commit(vault), 0);
    return key;
}

/* Erasing is not the vault's yet, but what it leaves is in its tables: the row without the key. */
static void erase(struct disk *disk, const char *sql)
{
    struct vfs *vfs;
    sqlite3 *db;
    assert_int_equal(vfs_ref(disk_fs(disk), &vfs), 0);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, vfs_name(vfs)), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA temp_store = MEMORY", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    vfs_unref(vfs);
}

static void a_partition_has_one_key_found_by_itself_and_by_number(void **state)
{
    struct vault *vault = vault_of(*state, true);
    struct vault_key made = key_made(vault, &chat), again = key_made(vault, &chat);
    struct vault_key second = key_made(vault, &other), got;
    assert_memory_equal(&made, &again, sizeof made);
    assert_true(second.number > made.number);
    assert_memory_not_equal(made.key, second.key, sizeof made.key);
    assert_int_equal(vault_get(vault, &chat, &got), 0);
    assert_memory_equal(&got, &made, sizeof got);
    assert_int_equal(vault_get_number(vault, second.number, &got), 0);
    assert_memory_equal(&got, &second, sizeof got);
    vault_close(vault);
}

static void a_key_that_never_was_is_not_found(void **state)
{
    struct vault *vault = vault_of(*state, true);
    struct vault_key got;
    assert_int_equal(vault_get(vault, &chat, &got), ERR_NOT_FOUND);
    assert_int_equal(vault_get_number(vault, 1, &got), ERR_NOT_FOUND);
    assert_int_equal(vault_get_number(vault, UINT64_MAX, &got), ERR_NOT_FOUND);
    vault_close(vault);
}

static void a_rolled_back_key_never_was(void **state)
{
    struct vault *vault = vault_of(*state, true);
    struct vault_key key, got;
    assert_int_equal(vault_begin(vault), 0);
    assert_int_equal(vault_make(vault, &chat, 5, &key), 0);
    vault_rollback(vault);
    assert_int_equal(vault_get(vault, &chat, &got), ERR_NOT_FOUND);
    vault_close(vault);
}

static void a_committed_key_survives_any_crash(void **state)
{
    struct vault *vault = vault_of(*state, true);
    struct vault_key made = key_made(vault, &chat), got;
    for (int mode = 0; mode < DISK_CRASH_MODES; mode++) {
        struct disk *after = disk_crash(*state, (enum disk_crash)mode, 7);
        struct vault *reopened = vault_of(after, true);
        assert_int_equal(vault_get(reopened, &chat, &got), 0);
        assert_memory_equal(&got, &made, sizeof got);
        vault_close(reopened);
        disk_free(after);
    }
    vault_close(vault);
}

static void an_erased_key_is_gone_and_its_number_is_not_given_again(void **state)
{
    struct vault *vault = vault_of(*state, true);
    struct vault_key first = key_made(vault, &chat), second = key_made(vault, &other), got;
    vault_close(vault);
    erase(*state, "UPDATE keys SET key = NULL WHERE number = 1; DELETE FROM keys WHERE number = 2");
    vault = vault_of(*state, true);
    assert_int_equal(first.number, 1);
    assert_int_equal(second.number, 2);
    assert_int_equal(vault_get(vault, &chat, &got), ERR_GONE);
    assert_int_equal(vault_get_number(vault, 1, &got), ERR_GONE);
    struct vault_key third = key_made(vault, &chat);
    assert_int_equal(third.number, 3);
    assert_memory_not_equal(third.key, first.key, sizeof first.key);
    assert_int_equal(vault_get(vault, &chat, &got), 0);
    assert_int_equal(got.number, 3);
    assert_int_equal(vault_get_number(vault, 1, &got), ERR_GONE);
    vault_close(vault);
}

static bool file_holds(struct disk *disk, const char *name, const uint8_t *what, size_t len)
{
    uint64_t size = disk_file_size(disk, name);
    if (size == UINT64_MAX) return false;
    uint8_t *all = test_malloc(size + 1);
    disk_file_read(disk, name, 0, all, size);
    bool found = memmem(all, size, what, len) != NULL;
    test_free(all);
    return found;
}

static void an_erased_key_leaves_no_bytes_in_the_file(void **state)
{
    struct vault *vault = vault_of(*state, true);
    struct vault_key made = key_made(vault, &chat);
    key_made(vault, &other);
    vault_close(vault);
    assert_true(file_holds(*state, path, made.key, sizeof made.key));
    erase(*state, "PRAGMA secure_delete = ON; UPDATE keys SET key = NULL WHERE number = 1");
    assert_false(file_holds(*state, path, made.key, sizeof made.key));
    assert_false(file_holds(*state, "/keys.db-wal", made.key, sizeof made.key));
}

static void a_reader_sees_what_was_committed_after_it_opened(void **state)
{
    struct vault *vault = vault_of(*state, true), *reader = vault_of(*state, false);
    struct vault_key got;
    assert_int_equal(vault_get(reader, &chat, &got), ERR_NOT_FOUND);
    struct vault_key made = key_made(vault, &chat);
    assert_int_equal(vault_get(reader, &chat, &got), 0);
    assert_memory_equal(&got, &made, sizeof got);
    assert_int_equal(vault_make(reader, &other, 5, &got), ERR_READ_ONLY);
    vault_close(reader);
    vault_close(vault);
}

static void a_full_disk_is_an_error_and_no_key(void **state)
{
    struct vault *vault = vault_of(*state, true);
    struct vault_key key, got;
    disk_set_capacity(*state, disk_used(*state));
    assert_int_equal(vault_begin(vault), 0);
    int err = vault_make(vault, &chat, 5, &key);
    if (!err) err = vault_commit(vault);
    assert_int_equal(err, ERR_NO_SPACE);
    vault_rollback(vault);
    disk_set_capacity(*state, UINT64_MAX);
    assert_int_equal(vault_get(vault, &chat, &got), ERR_NOT_FOUND);
    key_made(vault, &chat);                /* and goes on when there is room */
    vault_close(vault);
}

#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_DISK(a_partition_has_one_key_found_by_itself_and_by_number),
        ON_A_DISK(a_key_that_never_was_is_not_found),
        ON_A_DISK(a_rolled_back_key_never_was),
        ON_A_DISK(a_committed_key_survives_any_crash),
        ON_A_DISK(an_erased_key_is_gone_and_its_number_is_not_given_again),
        ON_A_DISK(an_erased_key_leaves_no_bytes_in_the_file),
        ON_A_DISK(a_reader_sees_what_was_committed_after_it_opened),
        ON_A_DISK(a_full_disk_is_an_error_and_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
