/* cut.c - see cut.h. What a cut finds is cut_survey.c's; here it is done.
 *
 * In this order, each step durable before the next:
 *
 *   settle   the last batch that stays is written once more: it may be in the page cache alone (recover.c)
 *   keep     what is cut of the file is copied to NAME.cut-OFFSET
 *   rows     a new generation when it is due; what the rows do not cover of what stays, and of what is cut as far as it
 *            can be read, becomes rows; then the flushed number rises over all that was or may have been given
 *   files    those behind it are renamed to NAME.cut-0; the file is truncated, or renamed when nothing of it stays
 *   gap      a sorted file without records takes the place of all numbers from the cut to the flushed one
 *
 * Until the last step a start refuses the folder: first for the damage that is still there, then because the log ends
 * below its flushed number, at this very position. Each step done twice is done once. */
#include "storage/cut.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/cut_impl.h"
#include "storage/inside.h"
#include "storage/outfile.h"
#include "storage/replay.h"
#include "storage/store.h"

enum { WHY_BYTES = 256, COPY_BYTES = 64 * 1024, NAME_ROOM = 96 };

int cut_say(struct cut *cut, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(cut->why, WHY_BYTES, format, args);
    va_end(args);
    return err;
}

void cut_kept_name(char out[static CUT_NAME_BYTES], const char *file, uint64_t offset)
{
    snprintf(out, CUT_NAME_BYTES, "%s.cut-%" PRIu64, file, offset);
}

/* ---- opening ---- */

static int open_rows(struct cut *cut, const char *dir)
{
    char path[FS_PATH_MAX];
    bool there = false;
    uint64_t size;
    /* A writer would make what is missing. */
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "facts.db" : "keys.db";
        fs_path(path, dir, name);
        int err = cut->fs->exists(cut->fs->self, path, &there, &size);
        if (err || !there)
            return cut_say(cut, err ? err : ERR_NOT_FOUND, "%s: %s", name, err ? err_text(err) : "missing");
    }
    fs_path(path, dir, "keys.db");
    int err = vault_open(cut->fs, path, true, &cut->vault);
    if (err)
        return cut_say(cut, err, "keys.db: %s", err_text(err));
    fs_path(path, dir, "facts.db");
    err = facts_open(cut->fs, path, true, &cut->facts);
    return err ? cut_say(cut, err, "facts.db: %s", err_text(err)) : 0;
}

int cut_open(const struct fsio *fs, const char *dir, const char *name, uint64_t offset, segment_record_fn *each,
             void *arg, struct cut **out, struct cut_report *report, char why[static 256])
{
    why[0] = '\0';
    memset(report, 0, sizeof *report);
    if (strlen(dir) + NAME_ROOM > FS_PATH_MAX) {
        snprintf(why, WHY_BYTES, "the data folder's path is too long");
        return ERR_TOO_BIG;
    }
    int lock;
    int err = store_lock(fs, dir, &lock, why);
    if (err)
        return err;
    struct cut *cut = calloc(1, sizeof *cut);
    if (!cut) {
        fs->unlock(fs->self, lock);
        return ERR_NOMEM;
    }
    cut->fs = fs;
    cut->lock = lock;
    cut->why = why;
    fs_path(cut->dir, dir, "log");
    cut->logs.fs = fs;
    strcpy(cut->logs.dir, cut->dir);
    sorted_pins_init(&cut->logs.pins, 0);
    err = open_rows(cut, dir);
    if (!err)
        err = cut_survey(cut, name, offset, each, arg);
    if (err) {
        cut_close(cut);
        return err;
    }
    *report = cut->report;
    *out = cut;
    return 0;
}

struct facts *cut_facts(struct cut *cut)
{
    return cut->facts;
}

void cut_close(struct cut *cut)
{
    tables_fini(&cut->tables);
    free(cut->files);
    facts_close(cut->facts);
    vault_close(cut->vault);
    cut->fs->unlock(cut->fs->self, cut->lock);
    free(cut);
}

/* ---- settle, keep ---- */

static void path_of(const struct cut *cut, const struct cut_file *file, char out[static FS_PATH_MAX])
{
    fs_path(out, cut->dir, file->name);
}

static int settle(struct cut *cut)
{
    const struct fsio *fs = cut->fs;
    const struct cut_report *r = &cut->report;
    if (!cut->last_batch_at || r->kept <= r->flushed)
        return 0;
    char path[FS_PATH_MAX];
    path_of(cut, &cut->files[cut->at], path);
    size_t len = (size_t)(r->offset - cut->last_batch_at), got = 0;
    uint8_t *batch = malloc(len);
    int fd;
    int err = batch ? fs->open(fs->self, path, FS_READ | FS_WRITE, &fd) : ERR_NOMEM;
    if (!err) {
        err = fs->pread(fs->self, fd, batch, len, cut->last_batch_at, &got);
        if (!err && got < len)
            err = ERR_IO;
        if (!err)
            err = fs->pwritev(fs->self, fd, &(struct iovec){ batch, len }, 1, cut->last_batch_at);
        if (!err)
            err = fs->sync(fs->self, fd);
        fs->close(fs->self, fd);
    }
    free(batch);
    return err;
}

/* Of the file with the position; those behind it keep what they have under another name. */
static int keep_copy(struct cut *cut)
{
    const struct cut_file *file = &cut->files[cut->at];
    char from[FS_PATH_MAX], to[FS_PATH_MAX], name[CUT_NAME_BYTES];
    if (cut->report.offset == 0 || file->size <= cut->report.offset)
        return 0;
    struct outfile out;
    path_of(cut, file, from);
    cut_kept_name(name, file->name, cut->report.offset);
    fs_path(to, cut->dir, name);
    uint8_t *piece = malloc(COPY_BYTES);
    int fd;
    int err = piece ? cut->fs->open(cut->fs->self, from, FS_READ, &fd) : ERR_NOMEM;
    if (err)
        goto out;
    err = outfile_open(cut->fs, to, true, &out);
    if (!err) {
        size_t got = 1;
        for (uint64_t at = cut->report.offset; !err && !out.err && got > 0; at += got) {
            err = cut->fs->pread(cut->fs->self, fd, piece, COPY_BYTES, at, &got);
            if (!err)
                outfile_put(&out, piece, got);
        }
        if (!err)
            err = outfile_finish(&out);
        else
            outfile_abort(&out);
    }
    cut->fs->close(cut->fs->self, fd);
out:
    free(piece);
    return err;
}

/* ---- rows ---- */

static int replay_kept(void *arg, uint64_t offset, uint64_t batch, const struct record *record, struct bytes whole)
{
    (void)offset, (void)batch;
    return replay_record(arg, record, whole);
}

struct replay_cut { struct replay *replay; uint64_t above; };

static int replay_lost(void *arg, uint64_t offset, uint64_t batch, const struct record *record, struct bytes whole)
{
    struct replay_cut *to = arg;
    (void)offset, (void)batch;
    if (record->number <= to->above)
        return 0;
    int err = replay_record(to->replay, record, whole);
    if (err == ERR_CORRUPT || err == ERR_NEWER || err == ERR_RANGE)
        err = replay_head(to->replay, record);      /* perhaps just why it is cut */
    return err == ERR_RANGE ? 0 : err;
}

static int rows_renew(struct cut *cut)
{
    int err = facts_begin(cut->facts);
    if (err)
        return err;
    err = facts_node_renew(cut->facts);
    if (!err)
        return facts_commit(cut->facts);
    facts_rollback(cut->facts);
    return err;
}

static int rows_raise(struct cut *cut)
{
    int err = facts_begin(cut->facts);
    if (err)
        return err;
    err = facts_flushed_raise(cut->facts, cut->report.log, cut->report.goes_on - 1);
    if (!err)
        return facts_commit(cut->facts);
    facts_rollback(cut->facts);
    return err;
}

static int rows_settle(struct cut *cut)
{
    struct replay *replay;
    int err = replay_new(cut->facts, cut->vault, cut->why, &replay);
    if (err)
        return err;
    struct replay_cut lost = { replay, cut->report.flushed };
    /* First: once the flushed number has moved, nobody can tell any more that it is due. */
    if (cut->report.is_blind)
        err = rows_renew(cut);
    if (!err)
        err = cut_each_kept(cut, cut->report.flushed, replay_kept, replay);
    if (!err)
        err = cut_each(cut, replay_lost, &lost);
    if (!err)
        err = replay_end(replay);
    if (!err)
        err = rows_raise(cut);
    replay_free(replay);
    return err;
}

/* ---- files ---- */

static int move_away(struct cut *cut, const struct cut_file *file)
{
    char from[FS_PATH_MAX], to[FS_PATH_MAX], name[CUT_NAME_BYTES];
    path_of(cut, file, from);
    if (!file->there)
        return 0;
    if (file->size <= SEGMENT_HEADER_BYTES)         /* it has nothing in it */
        return cut->fs->unlink(cut->fs->self, from);
    cut_kept_name(name, file->name, 0);
    fs_path(to, cut->dir, name);
    return cut->fs->rename(cut->fs->self, from, to);
}

static int truncate_file(struct cut *cut)
{
    const struct fsio *fs = cut->fs;
    char path[FS_PATH_MAX];
    path_of(cut, &cut->files[cut->at], path);
    int fd;
    int err = fs->open(fs->self, path, FS_READ | FS_WRITE, &fd);
    if (err)
        return err;
    err = fs->truncate(fs->self, fd, cut->report.offset);
    if (!err)
        err = fs->sync(fs->self, fd);
    fs->close(fs->self, fd);
    return err;
}

/* From the end, so that what is left is always a log up to somewhere. */
static int files_cut(struct cut *cut)
{
    int err = 0;
    size_t first = cut->at + (cut->report.offset > 0);
    for (size_t i = cut->count; !err && i > first; i--)
        err = move_away(cut, &cut->files[i - 1]);
    if (!err)
        err = cut->fs->sync_dir(cut->fs->self, cut->dir);
    if (!err && cut->report.offset > 0)
        err = truncate_file(cut);
    return err;
}

/* ---- the gap ---- */

static int gap_write(struct cut *cut, uint64_t now_ms)
{
    const struct cut_report *r = &cut->report;
    /* A batch has a record at least: so no batch number is given again either. */
    struct sorted_span span = {
        .log = r->log,
        .first_number = r->kept + 1, .last_number = r->goes_on - 1,
        .first_batch = cut->last_batch + 1, .last_batch = cut->last_batch + (r->goes_on - 1 - r->kept),
    };
    struct sorted_making making = { .serial = cut->tables.serial + 1, .made_ms = now_ms };
    struct sorted_writer *writer;
    int err = sorted_writer_open(cut->fs, cut->dir, &making, &writer);
    return err ? err : sorted_writer_finish(writer, &span, 1, r->bytes, 0, NULL);
}

/* ---- all of it ---- */

int cut_make(struct cut *cut, uint64_t now_ms, char why[static 256])
{
    cut->why = why;
    why[0] = '\0';
    int err = settle(cut);
    if (!err)
        err = keep_copy(cut);
    if (!err)
        err = rows_settle(cut);
    if (!err)
        err = files_cut(cut);
    if (!err)
        err = gap_write(cut, now_ms);
    if (err && !why[0])
        cut_say(cut, err, "log/%s: %s", cut->report.file, err_text(err));
    return err;
}
