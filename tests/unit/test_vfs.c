/* test_vfs.c - SQLite's files, locks and WAL index over the seam: what each promises, and all of it under threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/vfs.h"
#include "tests/harness/disk.h"

static const char path[] = "/test.db";

struct rig {
    struct disk *disk;
    struct vfs *vfs;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->disk = disk_new(1);
    *state = rig;
    return vfs_ref(disk_fs(rig->disk), &rig->vfs);
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    vfs_unref(rig->vfs);
    disk_free(rig->disk);
    free(rig);
    return 0;
}

/* -- files opened as SQLite opens them -------------------------------------------------------------------- */

enum { MAIN = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
       WAL = SQLITE_OPEN_WAL | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE };

static sqlite3_vfs *base_of(struct rig *rig)
{
    return sqlite3_vfs_find(vfs_name(rig->vfs));
}

static sqlite3_file *file_open(struct rig *rig, const char *name, int flags)
{
    sqlite3_vfs *base = base_of(rig);
    sqlite3_file *f = calloc(1, (size_t)base->szOsFile);
    assert_int_equal(base->xOpen(base, name, f, flags, NULL), SQLITE_OK);
    return f;
}

static void file_close(sqlite3_file *f)
{
    assert_int_equal(f->pMethods->xClose(f), SQLITE_OK);
    free(f);
}

static int file_write(sqlite3_file *f, const char *text, sqlite3_int64 offset)
{
    return f->pMethods->xWrite(f, text, (int)strlen(text), offset);
}

static int file_sync(sqlite3_file *f)
{
    return f->pMethods->xSync(f, SQLITE_SYNC_FULL);
}

static int lock(sqlite3_file *f, int level)
{
    return f->pMethods->xLock(f, level);
}

static int unlock(sqlite3_file *f, int level)
{
    return f->pMethods->xUnlock(f, level);
}

static int shm(sqlite3_file *f, int from, int count, int flags)
{
    return f->pMethods->xShmLock(f, from, count, flags);
}

static void one_file_system_has_one_vfs_until_its_last_user_is_gone(void **state)
{
    struct rig *rig = *state;
    struct vfs *same, *other;
    struct disk *disk = disk_new(2);
    assert_int_equal(vfs_ref(disk_fs(rig->disk), &same), 0);
    assert_ptr_equal(same, rig->vfs);
    vfs_unref(same);
    assert_non_null(base_of(rig));
    assert_int_equal(vfs_ref(disk_fs(disk), &other), 0);
    assert_string_not_equal(vfs_name(other), vfs_name(rig->vfs));
    char name[32];
    snprintf(name, sizeof name, "%s", vfs_name(other));
    vfs_unref(other);
    assert_null(sqlite3_vfs_find(name));
    assert_string_not_equal(sqlite3_vfs_find(NULL)->zName, vfs_name(rig->vfs));    /* never the default */
    disk_free(disk);
}

static void what_lies_behind_the_end_reads_as_zeros(void **state)
{
    sqlite3_file *f = file_open(*state, path, MAIN);
    char got[6] = "......";
    sqlite3_int64 size;
    assert_int_equal(file_write(f, "abcd", 0), SQLITE_OK);
    assert_int_equal(f->pMethods->xRead(f, got, 4, 0), SQLITE_OK);
    assert_memory_equal(got, "abcd", 4);
    assert_int_equal(f->pMethods->xRead(f, got, 6, 2), SQLITE_IOERR_SHORT_READ);
    assert_memory_equal(got, "cd\0\0\0\0", 6);
    assert_int_equal(f->pMethods->xTruncate(f, 3), SQLITE_OK);
    assert_int_equal(f->pMethods->xFileSize(f, &size), SQLITE_OK);
    assert_int_equal(size, 3);
    file_close(f);
}

static void an_empty_file_does_not_count_as_a_journal(void **state)
{
    struct rig *rig = *state;
    sqlite3_vfs *base = base_of(rig);
    int there = -1;
    assert_int_equal(base->xAccess(base, path, SQLITE_ACCESS_EXISTS, &there), SQLITE_OK);
    assert_int_equal(there, 0);
    sqlite3_file *f = file_open(rig, path, MAIN);
    assert_int_equal(base->xAccess(base, path, SQLITE_ACCESS_EXISTS, &there), SQLITE_OK);
    assert_int_equal(there, 0);
    assert_int_equal(base->xAccess(base, path, SQLITE_ACCESS_READWRITE, &there), SQLITE_OK);
    assert_int_equal(there, 1);
    assert_int_equal(file_write(f, "x", 0), SQLITE_OK);
    assert_int_equal(base->xAccess(base, path, SQLITE_ACCESS_EXISTS, &there), SQLITE_OK);
    assert_int_equal(there, 1);
    file_close(f);
    assert_int_equal(base->xDelete(base, path, 1), SQLITE_OK);
    assert_int_equal(base->xDelete(base, path, 1), SQLITE_IOERR_DELETE_NOENT);
}

static void there_are_no_temporary_files(void **state)
{
    sqlite3_vfs *base = base_of(*state);
    sqlite3_file *f = calloc(1, (size_t)base->szOsFile);
    assert_int_equal(base->xOpen(base, NULL, f, SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_READWRITE, NULL), SQLITE_CANTOPEN);
    assert_null(f->pMethods);
    free(f);
}

static uint64_t size_after_a_crash(struct rig *rig, const char *name)
{
    struct disk *after = disk_crash(rig->disk, DISK_DROP_ALL, 1);
    uint64_t size = disk_file_size(after, name);
    disk_free(after);
    return size;
}

/* A reader may make the WAL that the writer fills: the writer's first sync must make its name durable all the same. */
static void the_first_sync_makes_a_new_file_findable_whoever_made_it(void **state)
{
    struct rig *rig = *state;
    sqlite3_file *maker = file_open(rig, "/test.db-wal", WAL), *writer = file_open(rig, "/test.db-wal", WAL);
    assert_int_equal(file_write(writer, "frame", 0), SQLITE_OK);
    assert_int_equal(size_after_a_crash(rig, "/test.db-wal"), UINT64_MAX);
    assert_int_equal(file_sync(writer), SQLITE_OK);
    assert_int_equal(size_after_a_crash(rig, "/test.db-wal"), 5);
    file_close(maker);
    file_close(writer);
}

static void a_deletion_with_its_folder_synced_is_for_good(void **state)
{
    struct rig *rig = *state;
    sqlite3_vfs *base = base_of(rig);
    sqlite3_file *f = file_open(rig, path, MAIN);
    assert_int_equal(file_write(f, "abcd", 0), SQLITE_OK);
    assert_int_equal(file_sync(f), SQLITE_OK);
    file_close(f);
    assert_int_equal(base->xDelete(base, path, 0), SQLITE_OK);
    assert_int_equal(size_after_a_crash(rig, path), 4);
    f = file_open(rig, path, MAIN);
    file_close(f);
    assert_int_equal(base->xDelete(base, path, 1), SQLITE_OK);
    assert_int_equal(size_after_a_crash(rig, path), UINT64_MAX);
}

static void a_failed_sync_is_never_retried_and_cuts_the_wal_only(void **state)
{
    struct rig *rig = *state;
    sqlite3_file *wal = file_open(rig, "/test.db-wal", WAL), *db = file_open(rig, path, MAIN);
    assert_int_equal(file_write(wal, "synced", 0), SQLITE_OK);
    assert_int_equal(file_sync(wal), SQLITE_OK);
    assert_int_equal(file_write(wal, "more", 10), SQLITE_OK);
    assert_int_equal(file_write(wal, "lost", 6), SQLITE_OK);
    assert_int_equal(file_write(db, "page", 0), SQLITE_OK);
    disk_fail_sync(rig->disk, 1);
    assert_int_equal(file_sync(wal), SQLITE_IOERR_FSYNC);
    assert_int_equal(disk_file_size(rig->disk, "/test.db-wal"), 6);
    uint64_t ops = disk_ops(rig->disk);
    assert_int_equal(file_sync(wal), SQLITE_IOERR_FSYNC);
    assert_int_equal(disk_ops(rig->disk), ops);              /* the disk was not asked again */
    disk_fail_sync(rig->disk, 1);
    assert_int_equal(file_sync(db), SQLITE_IOERR_FSYNC);
    assert_int_equal(disk_file_size(rig->disk, path), 4);
    file_close(wal);
    file_close(db);
}

static void a_full_disk_and_a_bad_one_are_told_apart(void **state)
{
    struct rig *rig = *state;
    sqlite3_file *f = file_open(rig, path, MAIN);
    disk_set_capacity(rig->disk, 4);
    assert_int_equal(file_write(f, "12345", 0), SQLITE_FULL);
    disk_set_capacity(rig->disk, UINT64_MAX);
    disk_fail_write(rig->disk, 1);
    assert_int_equal(file_write(f, "12345", 0), SQLITE_IOERR_WRITE);
    disk_fail_write(rig->disk, 1);
    assert_int_equal(f->pMethods->xTruncate(f, 0), SQLITE_IOERR_TRUNCATE);
    assert_int_equal(file_write(f, "12345", 0), SQLITE_OK);
    file_close(f);
}

/* -- locks ------------------------------------------------------------------------------------------------ */

static void one_connection_writes_while_others_read(void **state)
{
    sqlite3_file *a = file_open(*state, path, MAIN), *b = file_open(*state, path, MAIN);
    int reserved = -1;
    assert_int_equal(lock(a, SQLITE_LOCK_SHARED), SQLITE_OK);
    assert_int_equal(lock(b, SQLITE_LOCK_SHARED), SQLITE_OK);
    assert_int_equal(a->pMethods->xCheckReservedLock(a, &reserved), SQLITE_OK);
    assert_int_equal(reserved, 0);
    assert_int_equal(lock(a, SQLITE_LOCK_RESERVED), SQLITE_OK);
    assert_int_equal(lock(b, SQLITE_LOCK_RESERVED), SQLITE_BUSY);
    assert_int_equal(b->pMethods->xCheckReservedLock(b, &reserved), SQLITE_OK);
    assert_int_equal(reserved, 1);
    assert_int_equal(unlock(a, SQLITE_LOCK_SHARED), SQLITE_OK);
    assert_int_equal(lock(b, SQLITE_LOCK_RESERVED), SQLITE_OK);
    file_close(b);                              /* closing lets go of everything */
    assert_int_equal(lock(a, SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
    file_close(a);
}

static void an_exclusive_lock_waits_for_readers_and_keeps_new_ones_out(void **state)
{
    sqlite3_file *a = file_open(*state, path, MAIN), *b = file_open(*state, path, MAIN),
                 *c = file_open(*state, path, MAIN), *elsewhere = file_open(*state, "/other.db", MAIN);
    assert_int_equal(lock(a, SQLITE_LOCK_SHARED), SQLITE_OK);
    assert_int_equal(lock(b, SQLITE_LOCK_SHARED), SQLITE_OK);
    assert_int_equal(lock(a, SQLITE_LOCK_EXCLUSIVE), SQLITE_BUSY);
    assert_int_equal(lock(c, SQLITE_LOCK_SHARED), SQLITE_BUSY);
    assert_int_equal(lock(b, SQLITE_LOCK_EXCLUSIVE), SQLITE_BUSY);
    assert_int_equal(unlock(b, SQLITE_LOCK_NONE), SQLITE_OK);
    assert_int_equal(lock(c, SQLITE_LOCK_SHARED), SQLITE_BUSY);
    assert_int_equal(lock(a, SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
    assert_int_equal(lock(c, SQLITE_LOCK_SHARED), SQLITE_BUSY);
    assert_int_equal(lock(elsewhere, SQLITE_LOCK_SHARED), SQLITE_OK);
    assert_int_equal(unlock(a, SQLITE_LOCK_SHARED), SQLITE_OK);
    assert_int_equal(lock(c, SQLITE_LOCK_SHARED), SQLITE_OK);
    file_close(a);
    file_close(b);
    file_close(c);
    file_close(elsewhere);
}

/* -- the WAL index ---------------------------------------------------------------------------------------- */

static volatile char *map(sqlite3_file *f, int region, int extend)
{
    volatile void *at = NULL;
    assert_int_equal(f->pMethods->xShmMap(f, region, 32 * 1024, extend, &at), SQLITE_OK);
    return at;
}

static void connections_to_one_file_share_its_index_and_others_do_not(void **state)
{
    sqlite3_file *a = file_open(*state, path, MAIN), *b = file_open(*state, path, MAIN),
                 *elsewhere = file_open(*state, "/other.db", MAIN);
    assert_null(map(a, 0, 0));                  /* not made yet, and not asked for */
    volatile char *at = map(a, 0, 1);
    assert_int_equal(at[0], 0);
    at[0] = 'x';
    assert_ptr_equal(map(b, 0, 0), at);
    assert_ptr_not_equal(map(b, 2, 1), at);     /* makes 1 as well */
    assert_non_null(map(a, 1, 0));
    assert_ptr_equal(map(a, 0, 1), at);         /* and moves nothing */
    assert_ptr_not_equal(map(elsewhere, 0, 1), at);
    assert_int_equal(a->pMethods->xShmUnmap(a, 0), SQLITE_OK);
    assert_int_equal(map(b, 0, 0)[0], 'x');     /* b holds it still */
    file_close(b);
    assert_int_equal(map(a, 0, 1)[0], 0);       /* the last one took it along */
    file_close(a);
    file_close(elsewhere);
}

static void index_locks_are_shared_or_exclusive_each_by_itself(void **state)
{
    enum { S = SQLITE_SHM_LOCK | SQLITE_SHM_SHARED, X = SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE,
           NO_S = SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED, NO_X = SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE };
    sqlite3_file *a = file_open(*state, path, MAIN), *b = file_open(*state, path, MAIN);
    map(a, 0, 1);
    map(b, 0, 1);
    assert_int_equal(shm(a, 3, 1, S), SQLITE_OK);
    assert_int_equal(shm(b, 2, 2, X), SQLITE_BUSY);
    assert_int_equal(shm(b, 3, 1, S), SQLITE_OK);
    assert_int_equal(shm(b, 2, 1, X), SQLITE_OK);
    assert_int_equal(shm(a, 2, 1, S), SQLITE_BUSY);
    assert_int_equal(shm(a, 1, 2, X), SQLITE_BUSY);
    assert_int_equal(shm(a, 1, 1, X), SQLITE_OK);        /* what failed took no part of it */
    assert_int_equal(shm(a, 3, 1, NO_S), SQLITE_OK);
    assert_int_equal(shm(a, 3, 1, NO_S), SQLITE_OK);     /* twice takes nothing from b */
    assert_int_equal(shm(a, 3, 1, X), SQLITE_BUSY);
    assert_int_equal(shm(b, 3, 1, NO_S), SQLITE_OK);
    assert_int_equal(shm(a, 3, 1, X), SQLITE_OK);
    assert_int_equal(shm(a, 2, 1, NO_X), SQLITE_OK);     /* not a's to give */
    assert_int_equal(shm(a, 2, 1, S), SQLITE_BUSY);
    assert_int_equal(b->pMethods->xShmUnmap(b, 0), SQLITE_OK);
    assert_int_equal(shm(a, 2, 1, S), SQLITE_OK);        /* leaving lets go */
    file_close(a);
    file_close(b);
}

/* -- SQLite on top ---------------------------------------------------------------------------------------- */

static sqlite3 *db_open_at(struct vfs *vfs, int flags)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, vfs_name(vfs)), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    return db;
}

static int count_of(sqlite3 *db)
{
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(db, "SELECT count(*), sum(a + b) FROM t", -1, &stmt, NULL)) return -1;
    bool is_whole = sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_int64(stmt, 1) == 0;
    int count = is_whole ? sqlite3_column_int(stmt, 0) : -1;
    sqlite3_finalize(stmt);
    return count;
}

static sqlite3 *writer_open(struct vfs *vfs)
{
    sqlite3 *db = db_open_at(vfs, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    assert_int_equal(sqlite3_exec(db, "PRAGMA temp_store = MEMORY; PRAGMA journal_mode = WAL;"
                                      "PRAGMA wal_autocheckpoint = 20; CREATE TABLE t (a, b); INSERT INTO t VALUES (0, 0)",
                                  NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void a_snapshot_does_not_see_what_is_committed_meanwhile(void **state)
{
    struct rig *rig = *state;
    sqlite3 *db = writer_open(rig->vfs), *reader = db_open_at(rig->vfs, SQLITE_OPEN_READONLY);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "INSERT INTO t VALUES (1, -1)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(count_of(reader), 1);
    assert_int_equal(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(count_of(reader), 2);
    sqlite3_close(reader);
    sqlite3_close(db);
    assert_int_equal(disk_file_count(rig->disk, path), 1);       /* no WAL, no journal, nothing beside it */
}

enum { READERS = 3, COMMITS = 150 };
struct race {
    struct vfs *vfs;
    atomic_bool done;
    atomic_int bad;
};

/* Opens, reads, closes, again and again: each state it sees is one that was committed, and none is older than
 * the one before. */
static void *race_read(void *arg)
{
    struct race *race = arg;
    bool done;
    do {
        done = atomic_load(&race->done);
        sqlite3 *db = db_open_at(race->vfs, SQLITE_OPEN_READONLY);
        int last = 0;
        for (int i = 0; i < 20; i++) {
            int count = count_of(db);
            if (count < last || count < 1) atomic_fetch_add(&race->bad, 1);
            last = count;
        }
        sqlite3_close(db);
    } while (!done);
    return NULL;
}

static void readers_in_other_threads_see_whole_commits_in_order(void **state)
{
    struct rig *rig = *state;
    struct race race = { .vfs = rig->vfs };
    sqlite3 *db = writer_open(rig->vfs);
    pthread_t threads[READERS];
    for (int i = 0; i < READERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, race_read, &race), 0);
    for (int i = 1; i <= COMMITS; i++)
        assert_int_equal(sqlite3_exec(db, "BEGIN; INSERT INTO t VALUES (abs(random() % 1000), 0);"
                                          "UPDATE t SET b = -a WHERE rowid = last_insert_rowid(); COMMIT",
                                      NULL, NULL, NULL), SQLITE_OK);
    atomic_store(&race.done, true);
    for (int i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&race.bad), 0);
    assert_int_equal(count_of(db), COMMITS + 1);
    sqlite3_close(db);
}

#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_DISK(one_file_system_has_one_vfs_until_its_last_user_is_gone),
        ON_A_DISK(what_lies_behind_the_end_reads_as_zeros),
        ON_A_DISK(an_empty_file_does_not_count_as_a_journal),
        ON_A_DISK(there_are_no_temporary_files),
        ON_A_DISK(the_first_sync_makes_a_new_file_findable_whoever_made_it),
        ON_A_DISK(a_deletion_with_its_folder_synced_is_for_good),
        ON_A_DISK(a_failed_sync_is_never_retried_and_cuts_the_wal_only),
        ON_A_DISK(a_full_disk_and_a_bad_one_are_told_apart),
        ON_A_DISK(one_connection_writes_while_others_read),
        ON_A_DISK(an_exclusive_lock_waits_for_readers_and_keeps_new_ones_out),
        ON_A_DISK(connections_to_one_file_share_its_index_and_others_do_not),
        ON_A_DISK(index_locks_are_shared_or_exclusive_each_by_itself),
        ON_A_DISK(a_snapshot_does_not_see_what_is_committed_meanwhile),
        ON_A_DISK(readers_in_other_threads_see_whole_commits_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
