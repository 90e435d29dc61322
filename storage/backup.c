/* backup.c - see backup.h.
 *
 *   rows      a reader's snapshot is opened; it says how far each log goes
 *   stage     every segment gets a second name in DATA/backup.new/        ┐ again with a new snapshot when segments
 *   plan      which of them, and how much of each, are the logs up there  ┘ were sorted in between
 *   hold      without links there is no stage: those of the plan are kept open
 *   copy      rows, then segments, into TO/NAME/
 *   manifest  length and checksum of each, synced; then the folders above
 *
 * Whatever stops it before the manifest's rename leaves a folder that is no backup. */
#include "storage/backup.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/err.h"
#include "storage/backup_impl.h"
#include "storage/inside.h"
#include "storage/outfile.h"
#include "storage/store.h"
#include "storage/vfs.h"

#define STAGE "backup.new"

enum {
    /* Each is a moment's work; a sort between snapshot and stage is rare, and as many in a row do not happen. */
    CUT_TRIES = 10,
    NAME_TRIES = 10,              /* backups begun within one second */
    NAME_ROOM = 96,               /* below `to` and the data folder */
    COPY_BYTES = 64 * 1024,
};

struct making {
    const struct backup_how *how;
    const struct fsio *fs;
    struct backup_report *report;
    char stage[FS_PATH_MAX], log[FS_PATH_MAX], new_log[FS_PATH_MAX];
    struct manifest manifest, since;     /* since.count 0: none */
    struct plan plan;
    bool no_links;                       /* in the data folder */
    int *held;                           /* owned, no_links: the file of plan.files[i]; -1: not open */
    uint64_t done, total, rows;          /* for progress(); rows: about so many bytes of them */
    bool made;                           /* report->path is a folder of ours */
};

__attribute__((format(printf, 3, 4)))
static int say(struct making *m, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(m->report->why, sizeof m->report->why, format, args);
    va_end(args);
    return err;
}

/* -- folders ------------------------------------------------------------------------------------------------- */

struct removal { const struct fsio *fs; const char *dir; int err; };

static int remove_name(void *arg, const char *name)
{
    struct removal *r = arg;
    char path[FS_PATH_MAX];
    if (strlen(r->dir) + strlen(name) + 2 > sizeof path) return 0;
    fs_path(path, r->dir, name);
    int err = r->fs->unlink(r->fs->self, path);
    if (err && err != ERR_NOT_FOUND && !r->err) r->err = err;
    return 0;
}

/* A folder of files, and them; 0 when it is not there. Listing goes in rounds: what is listed changes meanwhile. */
static int remove_folder(const struct fsio *fs, const char *dir)
{
    struct removal r = { fs, dir, 0 };
    int err = 0;
    for (int i = 0; i < 3; i++) {
        err = fs->list(fs->self, dir, remove_name, &r);
        if (err) return err == ERR_NOT_FOUND ? 0 : err;
        err = fs->rmdir(fs->self, dir);
        if (err != ERR_IN_USE) break;
    }
    return err ? err : r.err;
}

int backup_tidy(const struct fsio *fs, const char *data)
{
    char stage[FS_PATH_MAX];
    fs_path(stage, data, STAGE);
    return remove_folder(fs, stage);
}

static int make_folder(struct making *m, const char *path)
{
    bool exists = false;
    uint64_t size;
    int err = m->fs->exists(m->fs->self, path, &exists, &size);
    if (err || exists) return err;
    err = m->fs->mkdir(m->fs->self, path);
    return err ? err : vfs_sync_folder_of(m->fs, path);
}

/* TO/20260131T235959Z: the first free second. */
static int make_place(struct making *m)
{
    int err = make_folder(m, m->how->to);
    if (err) return say(m, err, "cannot make %.150s: %s", m->how->to, err_text(err));
    for (int i = 0; i < NAME_TRIES; i++) {
        char name[BACKUP_NAME_BYTES];
        time_t at = (time_t)(m->how->now_ms / 1000) + i;
        struct tm tm;
        bool exists = false;
        uint64_t size;
        strftime(name, sizeof name, "%Y%m%dT%H%M%SZ", gmtime_r(&at, &tm));
        fs_path(m->report->path, m->how->to, name);
        err = m->fs->exists(m->fs->self, m->report->path, &exists, &size);
        if (err || !exists) break;
        err = ERR_EXISTS;
    }
    fs_path(m->new_log, m->report->path, "log");
    if (!err) err = m->fs->mkdir(m->fs->self, m->report->path);
    m->made = !err;
    if (!err) err = m->fs->mkdir(m->fs->self, m->new_log);
    return err ? say(m, err, "cannot make %.150s: %s", m->report->path, err_text(err)) : 0;
}

static void remove_place(struct making *m)
{
    char path[FS_PATH_MAX];
    fs_path(path, m->report->path, MANIFEST_NAME);       /* first: from here on it is no backup, whatever is left */
    m->fs->unlink(m->fs->self, path);
    remove_folder(m->fs, m->new_log);
    remove_folder(m->fs, m->report->path);
}

/* -- the backup before --------------------------------------------------------------------------------------- */

struct newest { char below[BACKUP_NAME_BYTES], found[BACKUP_NAME_BYTES]; };

static bool is_backup_name(const char *name)
{
    return strlen(name) == 16 && name[8] == 'T' && strspn(name, "0123456789") == 8 &&
           strspn(name + 9, "0123456789") == 6 && name[15] == 'Z';
}

static int on_backup(void *arg, const char *name)
{
    struct newest *n = arg;
    if (!is_backup_name(name) || strcmp(name, n->below) >= 0 || strcmp(name, n->found) <= 0) return 0;
    strcpy(n->found, name);
    return 0;
}

/* Names are given twice in another life of the node. */
static bool is_usable(const struct making *m)
{
    return memcmp(m->since.node, m->manifest.node, sizeof m->since.node) == 0 &&
           memcmp(m->since.generation, m->manifest.generation, sizeof m->since.generation) == 0;
}

static int find_newest(struct making *m)
{
    struct newest n = { "~", "" };
    for (;;) {
        n.found[0] = '\0';
        int err = m->fs->list(m->fs->self, m->how->to, on_backup, &n);
        if (err || !n.found[0]) return err == ERR_NOT_FOUND ? 0 : err;
        fs_path(m->report->since, m->how->to, n.found);
        if (manifest_read(m->fs, m->report->since, &m->since) == 0 && is_usable(m)) return 0;
        manifest_fini(&m->since);                        /* unfinished, damaged or another's: an older one may do */
        m->report->since[0] = '\0';
        strcpy(n.below, n.found);
    }
}

static int find_since(struct making *m)
{
    const char *since = m->how->since;
    if (!since) return find_newest(m);
    strcpy(m->report->since, since);
    int err = manifest_read(m->fs, since, &m->since);
    if (err) return say(m, err, "%.150s: %s", since, err == ERR_NOT_FOUND ? "no backup" : err_text(err));
    return is_usable(m) ? 0 : say(m, ERR_DENIED, "%.150s: of another server, or from before a restore", since);
}

/* -- the cut ------------------------------------------------------------------------------------------------- */

static int on_flushed(void *arg, uint32_t log, uint64_t number)
{
    struct making *m = arg;
    if (log >= LOGS_MAX) return ERR_CORRUPT;
    m->manifest.flushed[log] = number;
    return 0;
}

static int read_rows(struct making *m)
{
    struct node_row node;
    uint64_t devices;
    memset(m->manifest.flushed, 0, sizeof m->manifest.flushed);
    int err = facts_node(m->how->facts, &node);
    if (!err) err = facts_flushed_each(m->how->facts, on_flushed, m);
    if (!err) err = facts_counts(m->how->facts, &m->manifest.users, &m->manifest.conversations, &devices);
    if (err) return err;
    keyfile_node_id(&node, m->manifest.node);
    memcpy(m->manifest.generation, node.generation, sizeof node.generation);
    return 0;
}

/* A name that went away between listing and linking: its content is elsewhere by now, or the plan has a gap. */
static int stage_name(void *arg, const char *name)
{
    struct making *m = arg;
    char from[FS_PATH_MAX], to[FS_PATH_MAX];
    uint32_t log;
    uint64_t number;
    if (!sorted_name_parse(name, &number) && !segment_name_parse(name, &log, &number)) return 0;
    fs_path(from, m->log, name);
    fs_path(to, m->stage, name);
    int err = m->fs->link(m->fs->self, from, to);
    return err == ERR_NOT_FOUND || err == ERR_EXISTS ? 0 : err;
}

static int stage_all(struct making *m)
{
    int err = remove_folder(m->fs, m->stage);
    if (!err) err = m->fs->mkdir(m->fs->self, m->stage);
    if (!err) err = m->fs->list(m->fs->self, m->log, stage_name, m);
    m->no_links = err == ERR_UNSUPPORTED;
    if (m->no_links) return 0;
    return err ? say(m, err, "%.150s: %s", m->stage, err_text(err)) : 0;
}

static void let_go(struct making *m)
{
    for (size_t i = 0; m->held && i < m->plan.count; i++)
        if (m->held[i] >= 0) m->fs->close(m->fs->self, m->held[i]);
    free(m->held);
    m->held = NULL;
    plan_fini(&m->plan);
}

/* A file that went away since it was planned: its content is elsewhere by now. */
static int hold_all(struct making *m)
{
    int err = 0;
    m->held = malloc((m->plan.count + 1) * sizeof *m->held);
    if (!m->held) return ERR_NOMEM;
    for (size_t i = 0; i < m->plan.count; i++) m->held[i] = -1;
    for (size_t i = 0; !err && i < m->plan.count; i++) {
        char path[FS_PATH_MAX];
        fs_path(path, m->log, m->plan.files[i].name);
        if (!m->plan.files[i].dropped) err = m->fs->open(m->fs->self, path, FS_READ, &m->held[i]);
    }
    return err;
}

static int plan_all(struct making *m)
{
    int err = plan_make(m->fs, m->no_links ? m->log : m->stage, m->manifest.flushed, &m->plan);
    if (!err && m->no_links) err = hold_all(m);
    return err == ERR_NOT_FOUND && m->no_links ? ERR_AGAIN : err;
}

/* On 0 the snapshot is open, and the plan is that of the same moment. */
static int cut(struct making *m)
{
    int err = ERR_AGAIN;
    for (int i = 0; i < CUT_TRIES && err == ERR_AGAIN; i++) {
        let_go(m);
        err = facts_snapshot(m->how->facts);
        if (err) return say(m, err, "facts.db: %s", err_text(err));
        err = read_rows(m);
        if (err) say(m, err, "facts.db: %s", err_text(err));
        if (!err) err = stage_all(m);
        if (!err) {
            err = plan_all(m);
            if (err == ERR_CORRUPT || err == ERR_NEWER)
                say(m, err, "log/%s:%llu: %s", m->plan.bad_file, (unsigned long long)m->plan.bad_offset,
                    err_text(err));
            else if (err) say(m, err, "the log: %s", err == ERR_AGAIN ? "its segments are not whole" : err_text(err));
        }
        if (err) facts_snapshot_end(m->how->facts);
    }
    return err;
}

/* -- copying ------------------------------------------------------------------------------------------------- */

static int stepped(struct making *m, uint64_t bytes)
{
    return m->how->step ? m->how->step(m->how->arg, bytes) : 0;
}

static void got_on(struct making *m, uint64_t bytes)
{
    m->done = m->total - m->done < bytes ? m->total : m->done + bytes;
    if (m->how->progress) m->how->progress(m->how->arg, m->done, m->total);
}

/* The first `bytes` of `in`, which is taken; to `to` unless that is NULL. */
static int copy_open(struct making *m, struct infile *in, const char *to, uint64_t bytes, uint64_t *sum_out)
{
    struct outfile out;
    struct bytes part;
    int err = in->size < bytes ? ERR_CORRUPT : 0;
    bool opened = false;
    if (!err && to) {
        err = outfile_open(m->fs, to, false, &out);
        opened = !err;
    }
    while (!err && in->bytes < bytes) {
        uint64_t left = bytes - in->bytes;
        err = infile_next(in, left < COPY_BYTES ? (size_t)left : COPY_BYTES, &part);
        if (!err && part.len == 0) err = ERR_CORRUPT;
        if (!err && opened) outfile_put(&out, part.at, part.len);
        if (!err) got_on(m, part.len);
        if (!err) err = stepped(m, part.len);
    }
    *sum_out = infile_sum(in);
    infile_close(in);
    if (!opened) return err;
    if (!err) return outfile_finish(&out);
    outfile_abort(&out);
    return err;
}

static int copy_bytes(struct making *m, const char *from, const char *to, uint64_t bytes, uint64_t *sum_out)
{
    struct infile in;
    int err = infile_open(m->fs, from, &in);
    return err ? err : copy_open(m, &in, to, bytes, sum_out);
}

static int copy_held(struct making *m, int *held, const char *to, uint64_t bytes, uint64_t *sum_out)
{
    struct infile in;
    int err = infile_take(m->fs, *held, &in);
    *held = -1;
    return err ? err : copy_open(m, &in, to, bytes, sum_out);
}

static int from_since(struct making *m, const char *name, const char *to, uint64_t bytes, uint64_t *sum_out)
{
    char from[FS_PATH_MAX];
    const struct manifest_file *old = manifest_find(&m->since, name);
    if (!old || old->bytes != bytes) return ERR_NOT_FOUND;
    if (strlen(m->report->since) + strlen(name) + 2 > sizeof from) return ERR_NOT_FOUND;
    fs_path(from, m->report->since, name);
    int err = m->fs->link(m->fs->self, from, to);
    *sum_out = old->sum;
    if (!err) got_on(m, bytes);
    return err;
}

static int copy_segment(struct making *m, size_t i)
{
    const struct plan_file *file = &m->plan.files[i];
    char name[MANIFEST_FILE_NAME_MAX + 1], from[FS_PATH_MAX], to[FS_PATH_MAX];
    uint64_t sum = 0;
    snprintf(name, sizeof name, "log/%s", file->name);
    fs_path(from, m->stage, file->name);
    fs_path(to, m->report->path, name);
    int err = from_since(m, name, to, file->bytes, &sum);
    bool linked = !err;
    if (err && m->held) {
        err = copy_held(m, &m->held[i], to, file->bytes, &sum);
    } else if (err && file->serial) {
        err = m->fs->link(m->fs->self, from, to);
        linked = !err;
        if (!err) err = copy_bytes(m, from, NULL, file->bytes, &sum);
        else err = copy_bytes(m, from, to, file->bytes, &sum);
    } else if (err) {
        err = copy_bytes(m, from, to, file->bytes, &sum);
    }
    if (err) return say(m, err, "%s: %s", name, err_text(err));
    m->report->files_linked += linked;
    m->report->bytes_linked += linked ? file->bytes : 0;
    m->report->bytes += file->bytes;
    return manifest_add(&m->manifest, name, file->bytes, sum);
}

static int rows_stepped(void *arg, uint64_t bytes)
{
    struct making *m = arg;
    got_on(m, m->rows - m->done < bytes ? m->rows - m->done : bytes);
    return stepped(m, bytes);
}

/* The rows are written and then read again, for their checksum. */
static int copy_rows(struct making *m)
{
    char path[FS_PATH_MAX];
    bool exists;
    uint64_t bytes = 0, sum = 0, segments = 0;
    for (size_t i = 0; i < m->plan.count; i++) segments += m->plan.files[i].dropped ? 0 : m->plan.files[i].bytes;
    fs_path(path, m->how->data, "facts.db");
    int err = m->fs->exists(m->fs->self, path, &exists, &bytes);
    m->rows = bytes;
    m->total = segments + 2 * bytes;
    fs_path(path, m->report->path, "facts.db");
    if (!err) err = facts_copy(m->how->facts, path, rows_stepped, m);
    facts_snapshot_end(m->how->facts);                   /* its WAL may go on from here */
    if (!err) err = m->fs->exists(m->fs->self, path, &exists, &bytes);
    m->total = segments + 2 * bytes;
    m->done = bytes;
    if (!err) err = copy_bytes(m, path, NULL, bytes, &sum);
    m->report->bytes += bytes;
    if (!err) err = manifest_add(&m->manifest, "facts.db", bytes, sum);
    return err ? say(m, err, "facts.db: %s", err_text(err)) : 0;
}

static int copy_all(struct making *m)
{
    int err = copy_rows(m);
    for (size_t i = 0; !err && i < m->plan.count; i++)
        if (!m->plan.files[i].dropped) err = copy_segment(m, i);
    if (!err) err = m->fs->sync_dir(m->fs->self, m->new_log);
    if (!err) err = m->fs->sync_dir(m->fs->self, m->report->path);
    if (!err) err = m->fs->sync_dir(m->fs->self, m->how->to);
    if (!err) err = manifest_write(m->fs, m->report->path, &m->manifest);
    return err && !m->report->why[0] ? say(m, err, "%.150s: %s", m->report->path, err_text(err)) : err;
}

/* -- all of it ----------------------------------------------------------------------------------------------- */

static int make(struct making *m)
{
    int err = cut(m);
    if (err) return err;
    m->report->why[0] = '\0';
    err = find_since(m);
    if (!err) err = make_place(m);
    if (err) {
        facts_snapshot_end(m->how->facts);
        return err;
    }
    return copy_all(m);
}

int backup_make(const struct backup_how *how, struct backup_report *report_out)
{
    memset(report_out, 0, sizeof *report_out);
    struct making *m = calloc(1, sizeof *m);
    if (!m) return ERR_NOMEM;
    m->how = how;
    m->fs = how->fs;
    m->report = report_out;
    manifest_init(&m->manifest);
    manifest_init(&m->since);
    m->manifest.data = STORE_DATA_FORMAT;
    m->manifest.cut_ms = how->now_ms;
    int err = 0;
    if (strlen(how->data) + NAME_ROOM > FS_PATH_MAX || strlen(how->to) + NAME_ROOM > FS_PATH_MAX ||
        (how->since && strlen(how->since) + NAME_ROOM > FS_PATH_MAX))
        err = say(m, ERR_TOO_BIG, "a path is too long");
    if (!err) {
        fs_path(m->stage, how->data, STAGE);
        fs_path(m->log, how->data, "log");
        err = make(m);
        if (err && m->made) remove_place(m);
        remove_folder(m->fs, m->stage);
    }
    report_out->users = m->manifest.users;
    report_out->conversations = m->manifest.conversations;
    report_out->files = m->manifest.count;
    let_go(m);
    manifest_fini(&m->manifest);
    manifest_fini(&m->since);
    free(m);
    return err;
}
