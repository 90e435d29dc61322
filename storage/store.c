/* store.c - a data folder, opened whole.
 *
 * Opening goes up in steps, each of which leans on the one before: folder, lock, format, keys, facts, replay, logs.
 * A step that fails says why and takes nothing with it; the ladder in store_open() then undoes those below.
 *
 * When replay (replay.h) is done the rows cover every record there is, so it does not matter which shard a conversation
 * belonged to before. */
#include "storage/store.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/erase.h"
#include "storage/inside.h"
#include "storage/outfile.h"
#include "storage/replay.h"
#include "storage/vfs.h"

enum {
    WHY_BYTES = 256,
    NAME_ROOM = 64,               /* the longest name below the folder, with SQLite's and our suffixes */
    FORMAT_BYTES_MAX = 64,
};

#define FORMAT_PREFIX "pipit data "
#define FORMAT_TEXT "pipit data 1\n"

/* Fill in `why` and give back `err`, for `return say(...)`. */
__attribute__((format(printf, 3, 4)))
static int say(int err, char why[static WHY_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, WHY_BYTES, format, args);
    va_end(args);
    return err;
}

/* -- folder, lock, format --------------------------------------------------------------------------------- */

static int make_folder(const struct fsio *fs, const char *dir)
{
    bool exists = false;
    uint64_t size;
    int err = fs->exists(fs->self, dir, &exists, &size);
    if (err || exists) return err;
    err = fs->mkdir(fs->self, dir);
    return err ? err : vfs_sync_folder_of(fs, dir);
}

/* With the folders above it that are missing, as `mkdir -p` does: `data/demo` works in a fresh clone. */
static int store_make_dir(struct store *store, const char *dir, char why[static WHY_BYTES])
{
    const struct fsio *fs = store->fs;
    char above[FS_PATH_MAX];
    int err = 0;
    if (strlen(dir) + NAME_ROOM > sizeof store->dir) return say(ERR_TOO_BIG, why, "the data folder's path is too long");
    strcpy(store->dir, dir);
    for (size_t i = 1; dir[0] && dir[i] && !err; i++) {
        if (dir[i] != '/' || dir[i - 1] == '/') continue;
        memcpy(above, dir, i);
        above[i] = '\0';
        err = make_folder(fs, above);
    }
    if (!err) err = make_folder(fs, dir);
    return err ? say(err, why, "cannot make the folder %.120s: %s", dir, err_text(err)) : 0;
}

static int take_lock(const struct fsio *fs, const char *dir, int *lock_out, char why[static WHY_BYTES])
{
    char path[FS_PATH_MAX];
    fs_path(path, dir, "lock");
    int err = fs->lock(fs->self, path, lock_out);
    return err ? say(err, why, "lock: %s", err_text(err)) : 0;
}

static int format_read(const struct fsio *fs, const char *path, char text[static FORMAT_BYTES_MAX])
{
    int file;
    size_t got = 0;
    int err = fs->open(fs->self, path, FS_READ, &file);
    if (err) return err;
    err = fs->pread(fs->self, file, text, FORMAT_BYTES_MAX - 1, 0, &got);
    text[got] = '\0';
    fs->close(fs->self, file);
    return err;
}

/* ERR_NOT_FOUND: there is none; `why` is not told then. */
static int format_check(const struct fsio *fs, const char *dir, char why[static WHY_BYTES])
{
    char path[FS_PATH_MAX], text[FORMAT_BYTES_MAX];
    fs_path(path, dir, "format");
    int err = format_read(fs, path, text);
    if (err == ERR_NOT_FOUND) return err;
    if (err) return say(err, why, "format: %s", err_text(err));
    if (strcmp(text, FORMAT_TEXT) == 0) return 0;
    text[strcspn(text, "\r\n")] = '\0';
    if (strncmp(text, FORMAT_PREFIX, strlen(FORMAT_PREFIX)) != 0)
        return say(ERR_CORRUPT, why, "format does not say \"%s…\": not a data folder of ours", FORMAT_PREFIX);
    return say(ERR_NEWER, why, "format says \"%s\", and this program knows \"%.*s\"", text,
               (int)strlen(FORMAT_TEXT) - 1, FORMAT_TEXT);
}

/* Written aside and renamed: the name is there with its whole content, or it is not there. */
int store_write_format(const struct fsio *fs, const char *dir)
{
    char path[FS_PATH_MAX];
    struct outfile out;
    fs_path(path, dir, "format");
    int err = outfile_open(fs, path, true, &out);
    if (err) return err;
    outfile_put(&out, FORMAT_TEXT, strlen(FORMAT_TEXT));
    return outfile_finish(&out);
}

static int store_check_format(struct store *store, char why[static WHY_BYTES])
{
    const struct fsio *fs = store->fs;
    char facts[FS_PATH_MAX];
    int err = format_check(fs, store->dir, why);
    if (err != ERR_NOT_FOUND) return err;
    bool exists = false;
    uint64_t size;
    fs_path(facts, store->dir, "facts.db");
    err = fs->exists(fs->self, facts, &exists, &size);
    if (!err && exists) return say(ERR_CORRUPT, why, "facts.db is there and format is missing");
    if (!err) err = store_write_format(fs, store->dir);
    return err ? say(err, why, "cannot write format: %s", err_text(err)) : 0;
}

int store_lock(const struct fsio *fs, const char *dir, int *lock_out, char why[static 256])
{
    int err = format_check(fs, dir, why);
    if (err == ERR_NOT_FOUND) return say(err, why, "%.150s: no data folder", dir);
    if (!err) err = take_lock(fs, dir, lock_out, why);
    return err;
}

/* -- keys and facts --------------------------------------------------------------------------------------- */

static int store_open_vault(struct store *store, char why[static WHY_BYTES])
{
    char path[FS_PATH_MAX];
    fs_path(path, store->dir, "keys.db");
    int err = vault_open(store->fs, path, true, &store->vault);
    return err ? say(err, why, "keys.db: %s", err_text(err)) : 0;
}

static int store_open_facts(struct store *store, char why[static WHY_BYTES])
{
    char path[FS_PATH_MAX];
    fs_path(path, store->dir, "facts.db");
    int err = facts_open(store->fs, path, true, &store->facts);
    if (err) return say(err, why, "facts.db: %s", err_text(err));
    err = facts_node(store->facts, &store->node);
    if (!err) return 0;
    facts_close(store->facts);
    return say(err, why, "facts.db: node: %s", err_text(err));
}

/* -- replay ----------------------------------------------------------------------------------------------- */

struct rows { uint64_t flushed[LOGS_MAX]; struct replay *replay; };     /* of each log, as facts say */

static int rows_on_flushed(void *arg, uint32_t log, uint64_t number)
{
    struct rows *rows = arg;
    if (log >= LOGS_MAX) return ERR_CORRUPT;
    rows->flushed[log] = number;
    return 0;
}

static uint64_t rows_flushed(void *arg, uint32_t log)
{
    const struct rows *rows = arg;
    return log < LOGS_MAX ? rows->flushed[log] : 0;
}

static int rows_on_record(void *arg, const struct record *record, struct bytes whole)
{
    struct rows *rows = arg;
    return replay_record(rows->replay, record, whole);
}

static int store_replay_with(struct store *store, const struct store_opening *how, struct rows *rows,
                             char why[static WHY_BYTES])
{
    char path[FS_PATH_MAX];
    int err = facts_flushed_each(store->facts, rows_on_flushed, rows);
    if (err) return say(err, why, "facts.db: flushed: %s", err_text(err));

    struct logs_opening opening = {
        .segment_bytes = how->segment_bytes,
        .flushed = rows_flushed,
        .replay = rows_on_record,
        .arg = rows,
        .now_ms = how->now_ms,
    };
    fs_path(path, store->dir, "log");
    err = logs_open(store->fs, path, &opening, &store->logs, &store->report);
    const struct logs_report *report = &store->report;
    if (err) {
        char what[WHY_BYTES];               /* replay_record() may have said it already */
        snprintf(what, sizeof what, "%s", why[0] ? why : err_text(err));
        if (!report->bad_file[0]) return say(err, why, "log: %s", what);
        return say(err, why, "log/%.64s:%llu: %.140s", report->bad_file, (unsigned long long)report->bad_offset, what);
    }

    err = replay_end(rows->replay);
    if (err) logs_close(store->logs);
    return err;
}

static int store_replay(struct store *store, const struct store_opening *how, char why[static WHY_BYTES])
{
    struct rows *rows = calloc(1, sizeof *rows);
    int err = rows ? replay_new(store->facts, store->vault, why, &rows->replay) : ERR_NOMEM;
    if (!err) {
        err = store_replay_with(store, how, rows, why);
        replay_free(rows->replay);
    } else {
        say(err, why, "replay: %s", err_text(err));
    }
    free(rows);
    return err;
}

/* -- what was being erased ---------------------------------------------------------------------------------- */

static int store_finish_erasing(struct store *store, uint64_t now_ms, char why[static WHY_BYTES])
{
    int err = erase_finish(store->fs, store->facts, store->vault, now_ms, &store->erased);
    return err ? say(err, why, "erasing what was begun: %s", err_text(err)) : 0;
}

/* -- logs ------------------------------------------------------------------------------------------------- */

static void store_close_logs(struct store *store)
{
    while (store->log_count > 0) log_close(store->log[--store->log_count]);
    logs_close(store->logs);
}

static int store_open_logs(struct store *store, uint32_t shards, char why[static WHY_BYTES])
{
    while (store->log_count < shards) {
        int err = logs_log(store->logs, store->log_count, &store->log[store->log_count]);
        if (err) return say(err, why, "log of shard %u: %s", store->log_count, err_text(err));
        store->log_count++;
    }
    return 0;
}

/* -- the store -------------------------------------------------------------------------------------------- */

int store_open(const struct fsio *fs, const char *dir, const struct store_opening *how, struct store *store,
               char why[static 256])
{
    assert(how->shards >= 1 && how->shards <= LOGS_MAX);
    memset(store, 0, sizeof *store);
    store->fs = fs;
    why[0] = '\0';
    int err = store_make_dir(store, dir, why);
    if (err) return err;
    err = take_lock(fs, store->dir, &store->lock, why);
    if (err) return err;
    err = store_check_format(store, why);
    if (err) goto fail_lock;
    err = store_open_vault(store, why);     /* first: replay opens records with its keys */
    if (err) goto fail_lock;
    err = store_open_facts(store, why);
    if (err) goto fail_vault;
    err = store_replay(store, how, why);
    if (err) goto fail_facts;
    err = store_finish_erasing(store, how->now_ms, why);
    if (err) goto fail_logs;
    err = store_open_logs(store, how->shards, why);
    if (err) goto fail_logs;
    return 0;
fail_logs:
    store_close_logs(store);
fail_facts:
    facts_close(store->facts);
fail_vault:
    vault_close(store->vault);
fail_lock:
    fs->unlock(fs->self, store->lock);
    return err;
}

void store_close(struct store *store)
{
    store_close_logs(store);
    facts_checkpoint(store->facts);         /* a failure costs the next start a moment, nothing else */
    facts_close(store->facts);
    vault_close(store->vault);
    store->fs->unlock(store->fs->self, store->lock);
}

int store_reader_open(const struct store *store, struct facts **facts_out, struct vault **vault_out)
{
    char path[FS_PATH_MAX];
    fs_path(path, store->dir, "facts.db");
    int err = facts_open(store->fs, path, false, facts_out);
    if (err) return err;
    fs_path(path, store->dir, "keys.db");
    err = vault_open(store->fs, path, false, vault_out);
    if (err) facts_close(*facts_out);
    return err;
}
