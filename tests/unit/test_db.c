/* test_db.c - migrations go forward only, a transaction is whole or not there, and a bad disk ends the writing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proto/err.h"
#include "storage/db.h"
#include "tests/harness/disk.h"

static const char path[] = "/test.db";

static const char *const steps[] = {
    "CREATE TABLE notes (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT",
    ("ALTER TABLE notes ADD COLUMN stars INTEGER NOT NULL DEFAULT 3;"
     "CREATE TABLE tags (tag TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;"),
    "INSERT INTO tags VALUES ('new'), ('old')",
};

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

static int open_at(struct disk *disk, int version, bool writer, struct db **db_out)
{
    struct db_opening how = { .writer = writer, .migrations = steps, .migration_count = version, .cache_kib = 64 };
    *db_out = NULL;
    return db_open(disk_fs(disk), path, &how, db_out);
}

static struct db *db_at(struct disk *disk, int version)
{
    struct db *db;
    assert_int_equal(open_at(disk, version, true, &db), 0);
    return db;
}

static int note_add(struct db *db, uint64_t number, const char *text)
{
    struct query q;
    query_start(&q, db, "INSERT INTO notes (number, text) VALUES (?, ?)");
    query_put_u64(&q, number);
    query_put_text(&q, text);
    return query_run(&q);
}

static uint64_t number_of(struct db *db, const char *sql)
{
    struct query q;
    uint64_t number = UINT64_MAX;
    query_start(&q, db, sql);
    int err = query_row(&q);
    if (!err) number = query_get_u64(&q);
    assert_int_equal(query_end(&q, err), 0);
    return number;
}

static uint64_t version_of(struct db *db)
{
    return number_of(db, "PRAGMA user_version");
}

static uint64_t notes_in(struct db *db)
{
    return number_of(db, "SELECT count(*) FROM notes");
}

/* Notes from..to in one transaction. */
static int notes_commit(struct db *db, uint64_t from, uint64_t to, const char *text)
{
    int err = db_begin(db);
    for (uint64_t i = from; i <= to && !err; i++) err = note_add(db, i, text);
    if (!err) return db_commit(db);
    db_rollback(db);
    return err;
}

static void a_connection_is_set_up_as_promised(void **state)
{
    struct db *db = db_at(*state, 1);
    assert_int_equal(number_of(db, "PRAGMA synchronous"), 2);          /* FULL */
    assert_int_equal(number_of(db, "PRAGMA temp_store"), 2);           /* MEMORY */
    assert_int_equal(number_of(db, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'"), 1);
    struct query q;
    query_start(&q, db, "PRAGMA cache_size");
    assert_int_equal(query_row(&q), 0);
    assert_int_equal(sqlite3_column_int64(q.stmt, 0), -64);
    query_end(&q, 0);
    db_close(db);
}

static void an_old_file_is_migrated_and_keeps_its_rows(void **state)
{
    struct db *db = db_at(*state, 1);
    assert_int_equal(notes_commit(db, 1, 5, "old"), 0);
    db_close(db);
    db = db_at(*state, 3);
    assert_int_equal(version_of(db), 3);
    assert_int_equal(number_of(db, "SELECT sum(stars) FROM notes WHERE text = 'old'"), 15);
    assert_int_equal(number_of(db, "SELECT count(*) FROM tags"), 2);
    db_close(db);
    db = db_at(*state, 3);                 /* a second opening runs nothing again */
    assert_int_equal(number_of(db, "SELECT count(*) FROM tags"), 2);
    db_close(db);
}

static void a_newer_file_is_refused_and_left_alone(void **state)
{
    struct db *db = db_at(*state, 2);
    db_close(db);
    uint64_t ops = disk_ops(*state);
    assert_int_equal(open_at(*state, 1, true, &db), ERR_NEWER);
    assert_int_equal(open_at(*state, 1, false, &db), ERR_NEWER);
    /* Opening makes an empty WAL and removes it again: that is all. */
    struct disk *copy = disk_crash(*state, DISK_KEEP_ALL, 1);
    assert_true(disk_ops(*state) - ops <= 4);
    db = db_at(copy, 2);
    assert_int_equal(version_of(db), 2);
    db_close(db);
    disk_free(copy);
}

static void a_reader_waits_for_a_writer_of_its_version(void **state)
{
    struct db *db, *reader;
    assert_int_equal(open_at(*state, 1, false, &reader), ERR_NOT_FOUND);
    db = db_at(*state, 1);
    assert_int_equal(open_at(*state, 2, false, &reader), ERR_NOT_FOUND);
    assert_int_equal(open_at(*state, 1, false, &reader), 0);
    assert_int_equal(notes_in(reader), 0);
    assert_int_equal(note_add(reader, 1, "no"), ERR_READ_ONLY);
    db_close(reader);
    db_close(db);
}

static void a_failed_migration_leaves_the_version_before(void **state)
{
    static const char *const bad[] = {
        "CREATE TABLE notes (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT",
        "INSERT INTO notes VALUES (1, 'one'); INSERT INTO notes VALUES (1, 'again')",
    };
    struct db *db = db_at(*state, 1);
    db_close(db);
    struct db_opening how = { .writer = true, .migrations = bad, .migration_count = 2, .cache_kib = 64 };
    assert_int_equal(db_open(disk_fs(*state), path, &how, &db), ERR_EXISTS);
    db = db_at(*state, 1);
    assert_int_equal(version_of(db), 1);
    assert_int_equal(notes_in(db), 0);
    db_close(db);
}

/* Power goes at every operation of a migration, in every mode: what is found is a whole version. */
static void a_migration_is_whole_after_any_crash(void **state)
{
    struct db *db = db_at(*state, 1);
    assert_int_equal(notes_commit(db, 1, 5, "old"), 0);
    db_close(db);
    struct disk *disk = disk_crash(*state, DISK_KEEP_ALL, 1);
    disk_journal_start(disk);
    db = db_at(disk, 3);
    db_close(db);
    struct disk *shadow = disk_shadow(disk);
    for (uint64_t k = 0; k <= disk_journal_ops(disk); k++) {
        disk_shadow_to(shadow, disk, k);
        for (int mode = 0; mode < DISK_CRASH_MODES; mode++) {
            struct disk *after = disk_crash(shadow, (enum disk_crash)mode, k);
            /* A crash in the middle of three steps: whatever version that left, the rest is done now. */
            db = db_at(after, 3);
            assert_int_equal(version_of(db), 3);
            assert_int_equal(number_of(db, "SELECT sum(stars) FROM notes"), 15);
            assert_int_equal(number_of(db, "SELECT count(*) FROM tags"), 2);
            db_close(db);
            disk_free(after);
        }
    }
    disk_free(shadow);
    disk_free(disk);
}

static void what_was_rolled_back_never_was(void **state)
{
    struct db *db = db_at(*state, 1);
    assert_int_equal(db_begin(db), 0);
    assert_int_equal(note_add(db, 1, "no"), 0);
    db_rollback(db);
    db_rollback(db);                       /* harmless */
    assert_int_equal(notes_in(db), 0);
    assert_int_equal(notes_commit(db, 1, 1, "yes"), 0);
    assert_int_equal(notes_commit(db, 1, 1, "twice"), ERR_EXISTS);
    assert_int_equal(notes_in(db), 1);
    db_close(db);
}

static void a_commit_that_does_not_fit_is_not_there_and_the_next_is(void **state)
{
    struct db *db = db_at(*state, 1);
    assert_int_equal(notes_commit(db, 1, 3, "kept"), 0);
    disk_set_capacity(*state, disk_used(*state));
    assert_int_equal(notes_commit(db, 4, 6, "lost"), ERR_NO_SPACE);
    assert_int_equal(notes_in(db), 3);     /* reads go on */
    disk_set_capacity(*state, UINT64_MAX);
    assert_int_equal(notes_commit(db, 4, 6, "room"), 0);
    assert_int_equal(notes_in(db), 6);
    db_close(db);
}

/* On a full disk SQLite undoes a whole transaction in the middle of it. What its owner goes on to write must not be
 * taken for a transaction of its own. */
static void a_transaction_that_was_given_up_takes_nothing_more(void **state)
{
    struct db *db = db_at(*state, 1);
    assert_int_equal(notes_commit(db, 1, 1, "kept"), 0);
    disk_set_capacity(*state, disk_used(*state) + 64 * 1024);
    char text[1001];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(db_begin(db), 0);
    int err = 0;
    uint64_t number = 2;
    while (!err && number < 10000) err = note_add(db, number++, text);
    assert_int_equal(err, ERR_NO_SPACE);   /* the cache of 64 KiB overflowed into the WAL */
    assert_true(sqlite3_get_autocommit(db->sqlite));
    disk_set_capacity(*state, UINT64_MAX);
    assert_int_equal(note_add(db, number, "alone"), ERR_NO_SPACE);
    assert_int_equal(db_commit(db), ERR_NO_SPACE);
    db_rollback(db);
    assert_int_equal(notes_in(db), 1);
    assert_int_equal(notes_commit(db, 2, 2, "next"), 0);
    db_close(db);
}

static void after_a_failed_sync_the_writer_writes_no_more_and_readers_go_on(void **state)
{
    struct db *db = db_at(*state, 1), *reader;
    assert_int_equal(notes_commit(db, 1, 3, "kept"), 0);
    assert_int_equal(open_at(*state, 1, false, &reader), 0);
    disk_fail_sync(*state, 1);
    assert_int_equal(notes_commit(db, 4, 6, "unknown"), ERR_IO);
    uint64_t ops = disk_ops(*state);
    assert_int_equal(db_begin(db), ERR_IO);
    assert_int_equal(db_checkpoint(db), ERR_IO);
    assert_int_equal(disk_ops(*state), ops);
    assert_int_equal(notes_in(reader), 3);
    assert_int_equal(notes_in(db), 3);
    db_close(reader);
    db_close(db);
    db = db_at(*state, 1);                 /* a new start may, and finds nothing of what failed */
    assert_int_equal(notes_in(db), 3);
    assert_int_equal(notes_commit(db, 4, 6, "again"), 0);
    struct disk *after = disk_crash(*state, DISK_DROP_ALL, 1);
    struct db *reopened = db_at(after, 1);
    assert_int_equal(notes_in(reopened), 6);
    db_close(reopened);
    disk_free(after);
    db_close(db);
}

/* The checkpoint's sync is not the commit's: what is in the WAL stays committed. */
static void a_checkpoint_that_fails_stops_the_next_transaction_only(void **state)
{
    struct db *db = db_at(*state, 1);
    char text[3001];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    disk_fail_sync(*state, 3);             /* the commit's, the WAL's before it is copied, and then the file's */
    assert_int_equal(notes_commit(db, 1, 1200, text), 0);
    assert_int_equal(db_begin(db), ERR_IO);
    assert_int_equal(notes_in(db), 1200);
    struct disk *after = disk_crash(*state, DISK_DROP_ALL, 1);
    struct db *reopened = db_at(after, 1);
    assert_int_equal(notes_in(reopened), 1200);
    db_close(reopened);
    disk_free(after);
    db_close(db);
}

static void columns_that_do_not_fit_are_corrupt(void **state)
{
    struct db *db = db_at(*state, 1);
    assert_int_equal(db_exec(db, "INSERT INTO notes VALUES (1, 'four'), (-1, 'minus')"), 0);
    struct query q;
    char text[5], small[4], blob[5];
    query_start(&q, db, "SELECT number, text, CAST(text AS BLOB) FROM notes ORDER BY number DESC");
    assert_int_equal(query_row(&q), 0);
    assert_int_equal(query_get_u64(&q), 1);
    query_get_text(&q, text, sizeof text);
    assert_string_equal(text, "four");
    assert_int_equal(query_end(&q, 0), 0);

    query_start(&q, db, "SELECT text FROM notes WHERE number = 1");
    assert_int_equal(query_row(&q), 0);
    query_get_text(&q, small, sizeof small);
    assert_int_equal(query_end(&q, 0), ERR_CORRUPT);

    query_start(&q, db, "SELECT CAST(text AS BLOB) FROM notes WHERE number = 1");
    assert_int_equal(query_row(&q), 0);
    query_get_blob(&q, blob, sizeof blob);
    assert_int_equal(query_end(&q, 0), ERR_CORRUPT);

    query_start(&q, db, "SELECT number FROM notes WHERE number < 0");
    assert_int_equal(query_row(&q), 0);
    query_get_u64(&q);
    assert_int_equal(query_end(&q, 0), ERR_CORRUPT);
    db_close(db);
}

static void tables_other_than_the_version_promises_are_corrupt(void **state)
{
    struct db *db = db_at(*state, 1);
    assert_int_equal(db_exec(db, "DROP TABLE notes"), 0);
    assert_int_equal(note_add(db, 1, "where?"), ERR_CORRUPT);
    db_close(db);
    static const char noise[4096] = "this is not a database";
    disk_file_poke(*state, path, 0, noise, sizeof noise);
    assert_int_equal(open_at(*state, 1, true, &db), ERR_CORRUPT);
}

#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_DISK(a_connection_is_set_up_as_promised),
        ON_A_DISK(an_old_file_is_migrated_and_keeps_its_rows),
        ON_A_DISK(a_newer_file_is_refused_and_left_alone),
        ON_A_DISK(a_reader_waits_for_a_writer_of_its_version),
        ON_A_DISK(a_failed_migration_leaves_the_version_before),
        ON_A_DISK(a_migration_is_whole_after_any_crash),
        ON_A_DISK(what_was_rolled_back_never_was),
        ON_A_DISK(a_commit_that_does_not_fit_is_not_there_and_the_next_is),
        ON_A_DISK(a_transaction_that_was_given_up_takes_nothing_more),
        ON_A_DISK(after_a_failed_sync_the_writer_writes_no_more_and_readers_go_on),
        ON_A_DISK(a_checkpoint_that_fails_stops_the_next_transaction_only),
        ON_A_DISK(columns_that_do_not_fit_are_corrupt),
        ON_A_DISK(tables_other_than_the_version_promises_are_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
