/* facts_copy.c - facts.db as a reader's snapshot sees it, into a file of its own.
 *
 * SQLite's backup goes page by page from inside the reader's transaction, so what others commit meanwhile is not in it,
 * and never begins anew. Both sides go through the VFS. The copy leaves WAL mode: it can be opened where nothing may be
 * written, and has no second file. */
#include <stdio.h>
#include <string.h>

#include "proto/err.h"
#include "storage/facts_impl.h"
#include "storage/inside.h"
#include "storage/vfs.h"

enum {
    COPY_PAGES = 64,              /* at once: 256 KiB, then whoever wants may slow or stop it */
    COPY_CACHE_KIB = 1024,
};

static int copy_err(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK: case SQLITE_DONE: return 0;
    case SQLITE_FULL: return ERR_NO_SPACE;
    case SQLITE_NOMEM: return ERR_NOMEM;
    case SQLITE_CORRUPT: case SQLITE_NOTADB: return ERR_CORRUPT;
    case SQLITE_CANTOPEN: return ERR_NOT_FOUND;
    default: return ERR_IO;
    }
}

static int copy_open(struct facts *facts, const char *path, sqlite3 **to_out)
{
    char sql[160];
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int code = sqlite3_open_v2(path, to_out, flags, vfs_name(facts->db->vfs));
    if (code != SQLITE_OK) return copy_err(code);
    sqlite3_extended_result_codes(*to_out, 1);
    /* No journal: a copy that is not finished is thrown away. */
    snprintf(sql, sizeof sql, "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA cache_size = -%d;"
                              "PRAGMA journal_mode = OFF; PRAGMA synchronous = FULL;", COPY_CACHE_KIB);
    return copy_err(sqlite3_exec(*to_out, sql, NULL, NULL, NULL));
}

static int copy_pages(struct facts *facts, sqlite3 *to, int (*step)(void *arg, uint64_t bytes), void *arg)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", facts->db->sqlite, "main");
    if (!backup) return copy_err(sqlite3_extended_errcode(to));
    int err = 0, code = SQLITE_OK;
    while (!err && code == SQLITE_OK) {
        code = sqlite3_backup_step(backup, COPY_PAGES);
        err = copy_err(code);
        if (!err && step) err = step(arg, (uint64_t)COPY_PAGES * 4096);
    }
    code = sqlite3_backup_finish(backup);
    return err ? err : copy_err(code);
}

static int on_mode(void *arg, int columns, char **values, char **names)
{
    (void)names;
    *(bool *)arg = columns == 1 && values[0] && strcmp(values[0], "delete") == 0;
    return 0;
}

int facts_copy(struct facts *facts, const char *path, int (*step)(void *arg, uint64_t bytes), void *arg)
{
    sqlite3 *to = NULL;
    bool left_wal = false;
    int err = copy_open(facts, path, &to);
    if (!err) err = copy_pages(facts, to, step, arg);
    if (!err) err = copy_err(sqlite3_exec(to, "PRAGMA journal_mode = DELETE", on_mode, &left_wal, NULL));
    if (!err && !left_wal) err = ERR_IO;
    int code = sqlite3_close(to);
    return err ? err : copy_err(code);
}
