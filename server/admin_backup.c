/* admin_backup.c - backup: a copy of everything but the keys, and the key file, while the server runs.
 *
 *   facts thread   where the key file goes is noted, and the line of the audit log
 *   backup thread  wait until the rows have what was committed when the request came; backup_make(); key files
 *   facts thread   which key files were reached
 *
 * One at a time, no faster than backup_mib_per_s. It goes on when its client goes away, and is stopped by the server's
 * stop: then nothing of it stays. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/admin_impl.h"
#include "server/pace.h"

enum {
    PATH_ROOM = 100,                     /* for names below it */
    ROWS_WAIT_MS = 30 * 1000,            /* a flush comes about once a second; later than this it does not come */
    ROWS_LOOK_MS = 20,
};

struct backup_task {
    struct task task;
    char to[FS_PATH_MAX], since[FS_PATH_MAX], keys[FS_PATH_MAX];
    uint64_t bytes_per_s;
    struct pace pace;
    uint64_t committed[SHARDS_MAX];      /* of each shard's log, when the request came */
    struct backup_report report;
    struct keyfiles_report keyfiles;
    char key_why[ADMIN_WHY_MAX];         /* the backup is there, and its key file is not; empty: it is */
    bool keys_are_new;                   /* noted by this backup */
    int err;                             /* why it failed, while that is taken back */
};

/* -- places -------------------------------------------------------------------------------------------------------- */

/* Whether `path` is `folder` or below it. Folders that are there are compared as they really are. */
static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static int check_places(struct backup_task *b, const char *data)
{
    struct task *t = &b->task;
    char *real = realpath(data, NULL), *to = realpath(b->to, NULL);
    const char *own = real ? real : data, *folder = to ? to : b->to;
    int err = 0;
    if (is_below(folder, own)) err = task_why(t, ERR_DENIED, "a backup inside the data folder is lost with it");
    if (!err && b->keys[0] && (is_below(b->keys, folder) || is_below(b->keys, b->to)))
        err = task_why(t, ERR_DENIED, "a key file among the backups opens them all to whoever has one");
    if (!err && b->keys[0] && is_below(b->keys, own))
        err = task_why(t, ERR_DENIED, "a key file inside the data folder is lost with it");
    free(real);
    free(to);
    return err;
}

/* Noted before it is written: whatever happens, an erasure from here on knows of it. */
static int backup_rows(struct task *t, struct facts *facts)
{
    struct backup_task *b = (struct backup_task *)t;
    struct keyfile_row row;
    int err = check_places(b, t->admin->config.dir);
    if (err) return err;
    if (!b->keys[0]) {
        err = facts_keyfile_next(facts, "", &row);
        if (err != ERR_NOT_FOUND) return err;            /* known ones are written anew, no other is made */
        snprintf(b->keys, sizeof b->keys, "%.*s.keys", FS_PATH_MAX - PATH_ROOM, b->to);
    }
    /* One that is known keeps the time of its last writing. */
    bool known = false;
    row.path[0] = '\0';
    while (!known && (err = facts_keyfile_next(facts, row.path, &row)) == 0) known = strcmp(row.path, b->keys) == 0;
    if (err && err != ERR_NOT_FOUND) return err;
    b->keys_are_new = !known;
    err = known ? 0 : facts_keyfile_put(facts, b->keys, 0, false);
    return err == ERR_FULL ? task_why(t, err, "%d key files are known, and no more can be", KEYFILES_MAX) : err;
}

/* -- on the backup thread ------------------------------------------------------------------------------------------ */

static int backup_step(void *arg, uint64_t bytes)
{
    struct backup_task *b = arg;
    return pace_hold(&b->pace, bytes, b->bytes_per_s, &b->task.admin->backup_stop);
}

static void backup_progress(void *arg, uint64_t done, uint64_t total)
{
    struct admin *admin = ((struct backup_task *)arg)->task.admin;
    atomic_store_explicit(&admin->backup_done, done, memory_order_relaxed);
    atomic_store_explicit(&admin->backup_total, total, memory_order_relaxed);
}

static bool rows_are_there(const struct backup_task *b, struct facts *facts)
{
    const struct house *house = b->task.admin->shard->house;
    for (uint16_t i = 0; i < house->shards; i++)
        if (facts_flushed(facts, i) < b->committed[i]) return false;
    return true;
}

static int wait_for_rows(struct backup_task *b, struct facts *facts)
{
    for (int waited = 0; !rows_are_there(b, facts); waited += ROWS_LOOK_MS) {
        struct timespec moment = { 0, ROWS_LOOK_MS * 1000000L };
        if (waited >= ROWS_WAIT_MS)
            return task_why(&b->task, ERR_BUSY, "the rows are behind the log: look at the log for facts_flush_failed");
        nanosleep(&moment, NULL);
        int err = backup_step(b, 0);
        if (err) return err;
    }
    return 0;
}

static void write_keys(struct backup_task *b, struct job_reader *reader)
{
    const struct store *store = b->task.admin->config.chat->store;
    uint64_t now_ms = b->task.now_ms;
    int err = 0;
    if (b->keys[0]) err = keyfile_write(store->fs, b->keys, reader->vault, &store->node, now_ms, NULL);
    if (err) snprintf(b->key_why, sizeof b->key_why, "%.180s: %s", b->keys,
                      err == ERR_EXISTS ? "something else than a key file of this server is there" : err_text(err));
    err = keyfiles_rewrite(store->fs, reader->facts, reader->vault, now_ms, &b->keyfiles);
    if (err) snprintf(b->key_why, sizeof b->key_why, "key files: %s", err_text(err));
    else if (b->keyfiles.failed == b->keyfiles.count && !b->key_why[0])
        snprintf(b->key_why, sizeof b->key_why, "no key file could be reached");
}

static void backup_run(struct work *work, void *context)
{
    struct backup_task *b = (struct backup_task *)work;
    struct job_reader *reader = context;
    const struct store *store = b->task.admin->config.chat->store;
    struct backup_how how = {
        .fs = store->fs, .data = store->dir, .facts = reader->facts, .to = b->to,
        .since = b->since[0] ? b->since : NULL, .now_ms = b->task.now_ms, .step = backup_step,
        .progress = backup_progress, .arg = b,
    };
    work->err = wait_for_rows(b, reader->facts);
    if (!work->err) {
        work->err = backup_make(&how, &b->report);
        if (work->err) task_why(&b->task, work->err, "%s", b->report.why[0] ? b->report.why : err_text(work->err));
    }
    if (!work->err) write_keys(b, reader);
}

/* -- afterwards ---------------------------------------------------------------------------------------------------- */

/* A place that never had one was a slip of the pen. */
static int note_rows(struct clerk_work *w, struct facts *facts)
{
    struct backup_task *b = (struct backup_task *)task_of_clerk(w);
    struct backup_row row = { .made_ms = b->task.now_ms, .bytes = b->report.bytes };
    strcpy(row.path, b->report.path);
    int err = facts_backup_put(facts, &row);
    if (!err) err = keyfiles_note(facts, &b->keyfiles);
    for (size_t i = 0; !err && i < b->keyfiles.count; i++) {
        const struct keyfile_result *r = &b->keyfiles.results[i];
        if (r->err && r->written_ms == 0) err = facts_keyfile_forget(facts, r->path);
    }
    return err;
}

static json_t *describe_keys(const struct backup_task *b)
{
    json_t *list = json_array();
    for (size_t i = 0; i < b->keyfiles.count; i++) {
        const struct keyfile_result *r = &b->keyfiles.results[i];
        json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "path", r->path, "written_ms",
                                              (json_int_t)r->written_ms, "outcome", err_name(r->err)));
    }
    return list;
}

static void backup_fail(struct backup_task *b, int err)
{
    struct admin *admin = b->task.admin;
    const char *why = b->task.why[0] ? b->task.why : err_text(err);
    admin->backup_failed_ms = admin->shard->wall_ms;
    admin->backup_err = err;
    snprintf(admin->backup_why, sizeof admin->backup_why, "%s", why);
    say(SAY_ERROR, "backup_failed", SAY_TEXT("to", b->to), SAY_TEXT("error", err_name(err)), SAY_TEXT("why", why));
    task_undone(&b->task, err);
}

static void noted(struct shard *shard, struct work *work)
{
    struct backup_task *b = (struct backup_task *)task_of_clerk((struct clerk_work *)work);
    const struct backup_report *r = &b->report;
    (void)shard;
    if (work->err) {
        backup_fail(b, task_why(&b->task, work->err, "%.150s is whole; its key files could not be noted: %s", r->path,
                                err_text(work->err)));
        return;
    }
    b->task.admin->backup_failed_ms = 0;
    say(SAY_INFO, "backup_made", SAY_TEXT("path", r->path), SAY_U64("bytes", r->bytes), SAY_U64("linked", r->bytes_linked),
        SAY_U64("ms", b->task.admin->shard->wall_ms - b->task.now_ms), SAY_TEXT("keys_missing", b->key_why));
    b->task.answer = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:s}", "path", r->path, "since", r->since,
                               "users", (json_int_t)r->users, "conversations", (json_int_t)r->conversations,
                               "files", (json_int_t)r->files, "bytes", (json_int_t)r->bytes,
                               "files_linked", (json_int_t)r->files_linked,
                               "bytes_linked", (json_int_t)r->bytes_linked, "key_files", describe_keys(b),
                               "keys_missing", b->key_why);
    task_end(&b->task, b->task.answer ? 0 : ERR_NOMEM);
}

/* No key file was written: an erasure would miss it, and the next backup take it for one that is known. */
static int forget_rows(struct clerk_work *w, struct facts *facts)
{
    int err = facts_keyfile_forget(facts, ((struct backup_task *)task_of_clerk(w))->keys);
    return err == ERR_NOT_FOUND ? 0 : err;
}

static void forgotten(struct shard *shard, struct work *work)
{
    struct backup_task *b = (struct backup_task *)task_of_clerk((struct clerk_work *)work);
    (void)shard;
    backup_fail(b, b->err);
}

static void backup_undo(struct backup_task *b, int err)
{
    struct task *t = &b->task;
    b->err = err;
    t->clerk.key = NULL;
    t->clerk.rows = forget_rows;
    t->clerk.work.done = forgotten;
    if (!b->keys_are_new || !worker_submit(t->admin->config.chat->facts, t->admin->shard, &t->clerk.work))
        backup_fail(b, err);
}

static void backup_back(struct shard *shard, struct work *work)
{
    struct task *t = (struct task *)work;
    (void)shard;
    if (work->err) {
        backup_undo((struct backup_task *)t, work->err);
        return;
    }
    t->clerk.key = NULL;
    t->clerk.rows = note_rows;
    t->clerk.work.done = noted;
    if (!worker_submit(t->admin->config.chat->facts, t->admin->shard, &t->clerk.work))
        backup_fail((struct backup_task *)t, ERR_BUSY);
}

static void backup_begin(struct task *t)
{
    t->work.run = backup_run;
    t->work.done = backup_back;
    ((struct backup_task *)t)->bytes_per_s = t->admin->config.config->backup_mib_per_s << 20;
    t->admin->backup_began_ms = t->admin->shard->wall_ms;
    atomic_store_explicit(&t->admin->backup_done, 0, memory_order_relaxed);
    atomic_store_explicit(&t->admin->backup_total, 0, memory_order_relaxed);
    if (!worker_submit(t->admin->config.backup, t->admin->shard, &t->work))
        backup_fail((struct backup_task *)t, ERR_BUSY);
}

static int take_path(struct task *t, json_t *request, const char *field, char out[static FS_PATH_MAX])
{
    const char *text;
    int err = task_text(t, request, field, FS_PATH_MAX - PATH_ROOM, &text);
    if (err || !text) return err;
    if (text[0] != '/' || strstr(text, "/../")) return task_why(t, ERR_RANGE, "%s: a path from the root", field);
    size_t len = strlen(text);
    while (len > 1 && text[len - 1] == '/') len--;
    memcpy(out, text, len);
    out[len] = '\0';
    return 0;
}

static int start_backup(struct task *t, json_t *request)
{
    struct backup_task *b = (struct backup_task *)t;
    struct admin *admin = t->admin;
    const struct house *house = admin->shard->house;
    int err = take_path(t, request, "to", b->to);
    if (!err) err = take_path(t, request, "since", b->since);
    if (!err) err = take_path(t, request, "keys", b->keys);
    if (!err && !b->to[0]) err = task_why(t, ERR_RANGE, "to: the folder of backups");
    if (!err && admin->backing_up) err = task_why(t, ERR_BUSY, "a backup is being made");
    if (err) return err;
    for (uint16_t i = 0; i < house->shards; i++) b->committed[i] = STAT_GET(&house->shard[i]->stats, log_end);
    task_detail(t, "to=%.120s", b->to);
    err = task_write(t, NULL, backup_rows, backup_begin);
    if (!err) admin->backing_up = t;
    return err;
}

static void backup_fini(struct task *t)
{
    if (t->admin->backing_up == t) t->admin->backing_up = NULL;
}

const struct request admin_backup_requests[] = {
    { "backup", "to since keys ", WHOM_NONE, true, sizeof(struct backup_task), start_backup, backup_fini },
    { NULL, NULL, WHOM_NONE, false, 0, NULL, NULL },
};
