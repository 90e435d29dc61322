/* test_store.c - a data folder opens whole or not at all, says why, and its rows agree with its logs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "proto/msg.h"
#include "storage/db.h"
#include "storage/store.h"
#include "storage/vfs.h"
#include "tests/harness/disk.h"

static const struct user_id alice = { "alice" }, bob = { "bob" };
static const struct device_id phone = { 0xf000000000000001 };

struct rig {
    struct disk *disk;
    struct store store;
    char why[256];
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->disk = disk_new(1);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    disk_free(rig->disk);
    free(rig);
    return 0;
}

static int store_try(struct rig *rig, uint32_t shards)
{
    struct store_opening how = { .shards = shards, .now_ms = 1000 };
    return store_open(disk_fs(rig->disk), "/data", &how, &rig->store, rig->why);
}

static void store_opened(struct rig *rig, uint32_t shards)
{
    int err = store_try(rig, shards);
    if (err) print_message("%s: %s\n", err_name(err), rig->why);
    assert_int_equal(err, 0);
}

static void assert_refused(struct rig *rig, int expected, const char *part_of_why)
{
    int err = store_try(rig, 1);
    assert_int_equal(err, expected);
    if (!strstr(rig->why, part_of_why)) fail_msg("\"%s\" does not say \"%s\"", rig->why, part_of_why);
}

static void poke(struct rig *rig, const char *path, const char *text)
{
    disk_file_cut(rig->disk, path, 0);
    disk_file_poke(rig->disk, path, 0, text, strlen(text));
}

/* -- a conversation of alice and bob ---------------------------------------------------------------------- */

static struct vault_key key_made(struct store *store, const struct conv_id *chat)
{
    struct vault_key key;
    assert_int_equal(vault_begin(store->vault), 0);
    assert_int_equal(vault_make(store->vault, chat, 5, &key), 0);
    assert_int_equal(vault_commit(store->vault), 0);
    return key;
}

/* Message `seq` from alice's `device`, appended to log `shard` and not yet committed. */
static int append_from(struct store *store, uint32_t shard, const struct conv_id *chat, const struct vault_key *key,
                       uint64_t seq, struct device_id device)
{
    struct msg_id none = { { 0 } };
    struct record head = { .partition = *chat, .key = key->number, .seq = seq, .kind = KIND_MESSAGE,
                           .flags = RECORD_COUNTS, .counted = seq };
    struct entry entry = { .sender = alice, .device = device, .client_seq = seq, .settled = seq,
                           .members = { alice, bob }, .member_count = seq == 1 ? 2 : 0,
                           .body = bytes_of_str("hello") };
    head.id = msg_id_next(&none, 1000 + seq, (const uint8_t[8]){ 1 });
    return log_append(store->log[shard], &head, &entry, key->key, NULL);
}

static int append(struct store *store, uint32_t shard, const struct conv_id *chat, const struct vault_key *key,
                  uint64_t seq)
{
    return append_from(store, shard, chat, key, seq, phone);
}

static void say_hello(struct store *store, uint32_t shard, const struct conv_id *chat, uint64_t from, uint64_t to)
{
    struct vault_key key = key_made(store, chat);
    for (uint64_t seq = from; seq <= to; seq++) {
        assert_int_equal(append(store, shard, chat, &key, seq), 0);
        assert_int_equal(log_commit(store->log[shard]), 0);
    }
}

static uint64_t head_of(struct facts *facts, const struct conv_id *chat)
{
    struct conv_row row;
    int err = facts_conv_get(facts, chat, &row);
    if (err == ERR_NOT_FOUND) return 0;
    assert_int_equal(err, 0);
    return row.head;
}

/* Run SQL of a test's own on one of the databases, as nothing in the program would. */
static void meddle(struct rig *rig, const char *path, const char *sql)
{
    struct vfs *vfs;
    sqlite3 *db;
    assert_int_equal(vfs_ref(disk_fs(rig->disk), &vfs), 0);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, vfs_name(vfs)), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA temp_store = MEMORY", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    vfs_unref(vfs);
}

static int on_name(void *arg, const char *name)
{
    strcpy(arg, name);
    return 1;
}

/* The folder has one segment: its path. */
static void segment_path(struct rig *rig, char out[static FS_PATH_MAX])
{
    char name[FS_NAME_MAX + 1];
    const struct fsio *fs = disk_fs(rig->disk);
    assert_int_equal(disk_file_count(rig->disk, "/data/log/"), 1);
    assert_int_equal(fs->list(fs->self, "/data/log", on_name, name), 1);
    fs_path(out, "/data/log", name);
}

/* -- the folder ------------------------------------------------------------------------------------------- */

static void a_new_folder_is_made_and_found_again(void **state)
{
    struct rig *rig = *state;
    char text[32] = "";
    store_opened(rig, 2);
    struct node_row node = rig->store.node;
    assert_int_equal(rig->store.log_count, 2);
    assert_int_equal(rig->store.report.replayed, 0);
    store_close(&rig->store);
    assert_int_equal(disk_file_size(rig->disk, "/data/format"), strlen("pipit data 1\n"));
    disk_file_read(rig->disk, "/data/format", 0, text, strlen("pipit data 1\n"));
    assert_string_equal(text, "pipit data 1\n");
    store_opened(rig, 2);
    assert_memory_equal(&rig->store.node, &node, sizeof node);
    store_close(&rig->store);
}

static void folders_above_that_are_missing_are_made_too(void **state)
{
    struct rig *rig = *state;
    struct store_opening how = { .shards = 1, .now_ms = 1000 };
    /* And once more when all of it is there. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_open(disk_fs(rig->disk), "/a/b/c", &how, &rig->store, rig->why), 0);
        store_close(&rig->store);
    }
    struct disk *after = disk_crash(rig->disk, DISK_DROP_ALL, 1);      /* and they are there to stay */
    bool exists = false;
    uint64_t size;
    assert_int_equal(disk_fs(after)->exists(disk_fs(after)->self, "/a/b/c/format", &exists, &size), 0);
    assert_true(exists);
    disk_free(after);
}

static void a_folder_in_use_is_refused_until_it_is_closed(void **state)
{
    struct rig *rig = *state, other = { .disk = rig->disk };
    store_opened(rig, 1);
    assert_refused(&other, ERR_IN_USE, "lock: the data folder is in use");
    store_close(&rig->store);
    store_opened(&other, 1);
    store_close(&other.store);
}

static void a_folder_of_another_format_is_refused_and_left_alone(void **state)
{
    struct rig *rig = *state;
    store_opened(rig, 1);
    store_close(&rig->store);
    poke(rig, "/data/format", "pipit data 2\n");
    uint64_t ops = disk_ops(rig->disk);
    assert_refused(rig, ERR_NEWER, "format says \"pipit data 2\", and this program knows \"pipit data 1\"");
    poke(rig, "/data/format", "something else");
    assert_refused(rig, ERR_CORRUPT, "not a data folder of ours");
    poke(rig, "/data/format", "");
    assert_refused(rig, ERR_CORRUPT, "not a data folder of ours");
    assert_int_equal(disk_ops(rig->disk), ops);
    assert_int_equal(disk_fs(rig->disk)->unlink(disk_fs(rig->disk)->self, "/data/format"), 0);
    assert_refused(rig, ERR_CORRUPT, "facts.db is there and format is missing");
}

static void a_database_of_a_newer_version_is_refused_by_name(void **state)
{
    struct rig *rig = *state;
    store_opened(rig, 1);
    store_close(&rig->store);
    meddle(rig, "/data/facts.db", "PRAGMA user_version = 99");
    assert_refused(rig, ERR_NEWER, "facts.db: ");
    meddle(rig, "/data/facts.db", "PRAGMA user_version = 1");
    meddle(rig, "/data/keys.db", "PRAGMA user_version = 99");
    assert_refused(rig, ERR_NEWER, "keys.db: ");
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    struct rig *rig = *state;
    struct store_opening how = { .shards = 1 };
    char dir[FS_PATH_MAX];
    memset(dir, 'x', sizeof dir);
    dir[0] = '/';
    dir[sizeof dir - 1] = '\0';
    assert_int_equal(store_open(disk_fs(rig->disk), dir, &how, &rig->store, rig->why), ERR_TOO_BIG);
    assert_non_null(strstr(rig->why, "too long"));
}

/* -- replay ----------------------------------------------------------------------------------------------- */

static void what_no_flush_covered_is_in_the_rows_after_the_next_start(void **state)
{
    struct rig *rig = *state;
    struct conv_id chat = conv_id_direct(&alice, &bob), notes = conv_id_direct(&alice, &alice);
    store_opened(rig, 3);
    say_hello(&rig->store, 0, &chat, 1, 3);
    say_hello(&rig->store, 2, &notes, 1, 2);
    assert_int_equal(head_of(rig->store.facts, &chat), 0);
    store_close(&rig->store);

    store_opened(rig, 1);                   /* with fewer shards: log 2 has none now */
    assert_int_equal(rig->store.report.replayed, 5);
    assert_int_equal(head_of(rig->store.facts, &chat), 3);
    assert_int_equal(head_of(rig->store.facts, &notes), 2);
    assert_int_equal(facts_flushed(rig->store.facts, 0), 3);
    assert_int_equal(facts_flushed(rig->store.facts, 2), 2);
    say_hello(&rig->store, 0, &notes, 3, 4);
    store_close(&rig->store);

    store_opened(rig, 4);
    assert_int_equal(rig->store.report.replayed, 2);
    assert_int_equal(head_of(rig->store.facts, &notes), 4);
    store_close(&rig->store);
    store_opened(rig, 4);
    assert_int_equal(rig->store.report.replayed, 0);
    store_close(&rig->store);
}

static int count_repeat(void *arg, const struct repeat_row *row)
{
    (void)row;
    ++*(int *)arg;
    return 0;
}

static void a_tail_of_many_rows_is_flushed_in_parts(void **state)
{
    struct rig *rig = *state;
    struct conv_id chat = conv_id_direct(&alice, &bob);
    /* each from another device: a cursor, a repeat, a device's number */
    uint64_t last = FOLD_ROWS_SOON / 3 + 500;
    store_opened(rig, 1);
    struct vault_key key = key_made(&rig->store, &chat);
    for (uint64_t seq = 1; seq <= last; seq++) {
        struct device_id device = { seq };
        int err = append_from(&rig->store, 0, &chat, &key, seq, device);
        if (err == ERR_FULL) {
            assert_int_equal(log_commit(rig->store.log[0]), 0);
            err = append_from(&rig->store, 0, &chat, &key, seq, device);
        }
        assert_int_equal(err, 0);
    }
    assert_int_equal(log_commit(rig->store.log[0]), 0);
    store_close(&rig->store);
    store_opened(rig, 1);
    assert_int_equal(rig->store.report.replayed, last);
    assert_int_equal(head_of(rig->store.facts, &chat), last);
    assert_int_equal(facts_flushed(rig->store.facts, 0), last);
    int repeats = 0;
    assert_int_equal(facts_repeats(rig->store.facts, &chat, count_repeat, &repeats), 0);
    assert_int_equal(repeats, last);
    store_close(&rig->store);
}

static int on_member(void *arg, const struct member_row *row)
{
    uint64_t *sent = arg;
    *sent += row->sent;
    return 0;
}

static void records_under_an_erased_key_move_the_head_only(void **state)
{
    struct rig *rig = *state;
    struct conv_id chat = conv_id_direct(&alice, &bob);
    uint64_t sent = 0;
    int repeats = 0;
    store_opened(rig, 1);
    assert_int_equal(facts_user_add(rig->store.facts, &alice, "h", 1), 0);
    assert_int_equal(facts_user_add(rig->store.facts, &bob, "h", 1), 0);
    assert_int_equal(facts_conv_add_direct(rig->store.facts, &chat, &alice, &bob, 5), 0);
    say_hello(&rig->store, 0, &chat, 1, 3);
    store_close(&rig->store);
    meddle(rig, "/data/keys.db", "UPDATE keys SET key = NULL");
    store_opened(rig, 1);
    assert_int_equal(rig->store.report.replayed, 3);
    assert_int_equal(head_of(rig->store.facts, &chat), 3);
    assert_int_equal(facts_members(rig->store.facts, &chat, on_member, &sent), 0);
    assert_int_equal(sent, 0);
    assert_int_equal(facts_repeats(rig->store.facts, &chat, count_repeat, &repeats), 0);
    assert_int_equal(repeats, 0);
    store_close(&rig->store);
}

/* Erased, and written to again: its numbering goes on, and each record is opened with its own key or none. */
static void a_replay_opens_each_record_of_a_conversation_with_its_own_key(void **state)
{
    struct rig *rig = *state;
    struct conv_id chat = conv_id_direct(&alice, &bob);
    uint64_t sent = 0, erased = 0;
    int repeats = 0;
    store_opened(rig, 1);
    assert_int_equal(facts_user_add(rig->store.facts, &alice, "h", 1), 0);
    assert_int_equal(facts_user_add(rig->store.facts, &bob, "h", 1), 0);
    assert_int_equal(facts_conv_add_direct(rig->store.facts, &chat, &alice, &bob, 5), 0);
    say_hello(&rig->store, 0, &chat, 1, 3);
    assert_int_equal(vault_begin(rig->store.vault), 0);
    assert_int_equal(vault_erase(rig->store.vault, &chat, &erased), 0);
    assert_int_equal(vault_commit(rig->store.vault), 0);
    assert_int_equal(erased, 1);
    say_hello(&rig->store, 0, &chat, 4, 5);
    store_close(&rig->store);
    store_opened(rig, 1);
    assert_int_equal(rig->store.report.replayed, 5);
    assert_int_equal(head_of(rig->store.facts, &chat), 5);
    assert_int_equal(facts_members(rig->store.facts, &chat, on_member, &sent), 0);
    assert_int_equal(sent, 5);
    assert_int_equal(facts_repeats(rig->store.facts, &chat, count_repeat, &repeats), 0);
    assert_int_equal(repeats, 1);
    store_close(&rig->store);
}

static void a_record_whose_key_is_unknown_or_wrong_is_refused_by_number(void **state)
{
    struct rig *rig = *state;
    struct conv_id chat = conv_id_direct(&alice, &bob);
    store_opened(rig, 1);
    say_hello(&rig->store, 0, &chat, 1, 1);
    store_close(&rig->store);
    meddle(rig, "/data/keys.db", "UPDATE keys SET key = randomblob(32)");
    assert_refused(rig, ERR_CORRUPT, "log/0000-0000000000000001.seg:");
    meddle(rig, "/data/keys.db", "DELETE FROM keys");
    assert_refused(rig, ERR_CORRUPT, ": log 0, record 1: its key, number 1, is not in keys.db");
}

static void a_bad_record_that_rows_cover_is_refused_with_file_and_offset(void **state)
{
    struct rig *rig = *state;
    struct conv_id chat = conv_id_direct(&alice, &bob);
    char path[FS_PATH_MAX], expected[FS_PATH_MAX + 32];
    store_opened(rig, 1);
    say_hello(&rig->store, 0, &chat, 1, 3);
    store_close(&rig->store);
    segment_path(rig, path);
    meddle(rig, "/data/facts.db", "INSERT INTO flushed VALUES (0, 3)");
    uint64_t size = disk_file_size(rig->disk, path);
    uint8_t last;
    disk_file_read(rig->disk, path, size - 1, &last, 1);
    last ^= 1;
    disk_file_poke(rig->disk, path, size - 1, &last, 1);
    uint64_t ops = disk_ops(rig->disk);
    snprintf(expected, sizeof expected, "log/%s:", path + strlen("/data/log/"));
    assert_refused(rig, ERR_CORRUPT, expected);
    assert_true(rig->store.report.bad_offset > 0 && rig->store.report.bad_offset < size);
    assert_int_equal(disk_file_size(rig->disk, path), size);         /* nothing was cut */
    assert_true(disk_ops(rig->disk) >= ops);
}

static void a_torn_tail_is_cut_and_told(void **state)
{
    struct rig *rig = *state;
    struct conv_id chat = conv_id_direct(&alice, &bob);
    char path[FS_PATH_MAX];
    store_opened(rig, 1);
    say_hello(&rig->store, 0, &chat, 1, 3);
    store_close(&rig->store);
    segment_path(rig, path);
    disk_file_cut(rig->disk, path, disk_file_size(rig->disk, path) - 1);
    store_opened(rig, 1);
    assert_int_equal(rig->store.report.torn_count, 1);
    assert_string_equal(rig->store.report.torn_file, path + strlen("/data/log/"));
    assert_int_equal(head_of(rig->store.facts, &chat), 2);
    say_hello(&rig->store, 0, &chat, 3, 3);
    store_close(&rig->store);
    store_opened(rig, 1);
    assert_int_equal(head_of(rig->store.facts, &chat), 3);
    store_close(&rig->store);
}

static void readers_see_what_the_writer_committed(void **state)
{
    struct rig *rig = *state;
    struct conv_id chat = conv_id_direct(&alice, &bob);
    struct facts *facts;
    struct vault *vault;
    struct vault_key key, got;
    struct user_row row;
    store_opened(rig, 1);
    assert_int_equal(store_reader_open(&rig->store, &facts, &vault), 0);
    key = key_made(&rig->store, &chat);
    assert_int_equal(facts_user_add(rig->store.facts, &alice, "h", 1), 0);
    assert_int_equal(vault_get(vault, &chat, &got), 0);
    assert_memory_equal(&got, &key, sizeof key);
    assert_int_equal(facts_user_get(facts, &alice, &row), 0);
    facts_close(facts);
    vault_close(vault);
    store_close(&rig->store);
}

/* -- failures --------------------------------------------------------------------------------------------- */

/* A folder with an unflushed tail on a disk of its own; then its opening fails at the n-th write, or sync, for every
 * n. What failed holds nothing, and the next try finds everything. */
static void every_opening_fails(void (*fail_nth)(struct disk *disk, uint64_t nth))
{
    struct conv_id chat = conv_id_direct(&alice, &bob);
    struct disk *full = disk_new(1);
    struct rig rig = { .disk = full };
    store_opened(&rig, 2);
    say_hello(&rig.store, 0, &chat, 1, 3);
    store_close(&rig.store);
    int failures = 0, err;
    uint64_t nth = 0;
    do {
        rig.disk = disk_crash(full, DISK_KEEP_ALL, 1);
        fail_nth(rig.disk, ++nth);
        err = store_try(&rig, 3);
        if (err) {
            failures++;
            assert_int_equal(err, ERR_IO);
            assert_true(strlen(rig.why) > 0);
            fail_nth(rig.disk, UINT64_MAX);
            store_opened(&rig, 3);
        }
        assert_int_equal(head_of(rig.store.facts, &chat), 3);
        store_close(&rig.store);
        disk_free(rig.disk);
    } while (err || nth < 30);      /* some failures do no harm: closing a database undoes a file it need not keep */
    assert_true(failures > 5);
    disk_free(full);
}

static void an_opening_that_fails_at_any_write_gives_everything_back(void **state)
{
    (void)state;
    every_opening_fails(disk_fail_write);
}

static void an_opening_that_fails_at_any_sync_gives_everything_back(void **state)
{
    (void)state;
    every_opening_fails(disk_fail_sync);
}

/* A new folder, and the power goes at every operation of its making. */
static void a_folder_whose_making_was_cut_off_is_made_by_the_next_start(void **state)
{
    struct rig *rig = *state;
    disk_journal_start(rig->disk);
    store_opened(rig, 2);
    store_close(&rig->store);
    struct disk *shadow = disk_shadow(rig->disk);
    for (uint64_t k = 0; k <= disk_journal_ops(rig->disk); k++) {
        disk_shadow_to(shadow, rig->disk, k);
        for (int mode = 0; mode < DISK_CRASH_MODES; mode++) {
            struct rig after = { .disk = disk_crash(shadow, (enum disk_crash)mode, k) };
            store_opened(&after, 1);
            store_close(&after.store);
            disk_free(after.disk);
        }
    }
    disk_free(shadow);
}

static void a_full_disk_is_told_by_name_at_every_size(void **state)
{
    (void)state;
    int err;
    uint64_t room = 0, refused = 0;
    do {
        struct rig full = { .disk = disk_new(1) };
        disk_set_capacity(full.disk, room);
        err = store_try(&full, 1);
        if (err) {
            refused++;
            assert_int_equal(err, ERR_NO_SPACE);
            assert_true(strlen(full.why) > 0);
            disk_set_capacity(full.disk, UINT64_MAX);
            store_opened(&full, 1);
        }
        store_close(&full.store);
        disk_free(full.disk);
        room += 3000;
    } while (err);
    assert_true(refused > 5);
}

#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_DISK(a_new_folder_is_made_and_found_again),
        ON_A_DISK(folders_above_that_are_missing_are_made_too),
        ON_A_DISK(a_folder_in_use_is_refused_until_it_is_closed),
        ON_A_DISK(a_folder_of_another_format_is_refused_and_left_alone),
        ON_A_DISK(a_database_of_a_newer_version_is_refused_by_name),
        ON_A_DISK(a_path_that_is_too_long_is_refused),
        ON_A_DISK(what_no_flush_covered_is_in_the_rows_after_the_next_start),
        ON_A_DISK(a_tail_of_many_rows_is_flushed_in_parts),
        ON_A_DISK(records_under_an_erased_key_move_the_head_only),
        ON_A_DISK(a_replay_opens_each_record_of_a_conversation_with_its_own_key),
        ON_A_DISK(a_record_whose_key_is_unknown_or_wrong_is_refused_by_number),
        ON_A_DISK(a_bad_record_that_rows_cover_is_refused_with_file_and_offset),
        ON_A_DISK(a_torn_tail_is_cut_and_told),
        ON_A_DISK(readers_see_what_the_writer_committed),
        ON_A_DISK(an_opening_that_fails_at_any_write_gives_everything_back),
        ON_A_DISK(an_opening_that_fails_at_any_sync_gives_everything_back),
        ON_A_DISK(a_folder_whose_making_was_cut_off_is_made_by_the_next_start),
        ON_A_DISK(a_full_disk_is_told_by_name_at_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
