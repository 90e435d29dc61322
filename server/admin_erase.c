/* admin_erase.c - erase-user, erase-conversation: what storage/erase.h tells, step by step on a running server.
 *
 *   begin ──sessions end──> LIST ──> HOLD ──> DESTROY ──> RELEASE ──┐        LAST ──> SCRUB ──> FILES ──> DONE ──> answer
 *                            ^    a slice of conversations          │         ^
 *                            └──────────────────────────────────────┴─none────┘
 *
 *   LIST      job: which of a user's conversations are left
 *   HOLD      each home lets go of its own and keeps everybody away (server/chat/hold.h)
 *   DESTROY   facts thread: keys, then rows
 *   RELEASE   who comes now finds them erased
 *   LAST      facts thread: the account's rows, leaving the hashes of its name
 *   SCRUB     facts thread: the WALs of both databases are emptied
 *   FILES     job: all known key files are written anew
 *   DONE      facts thread: noted
 *
 * From the first step on it is noted in the rows: what ends here with an error, or with the server, a start goes on with,
 * and so does the same request. A queue that is full or a reader that holds a WAL is waited for, not for ever. */
#include <sodium.h>
#include <stdlib.h>
#include <utlist.h>

#include "server/admin_impl.h"

enum {
    ERASE_SLICE = 64,                    /* conversations held at once: each costs its home a commit of folds at most */
    ERASE_RETRY_MS = 100,
    ERASE_TRIES_MAX = 300,               /* without any success: half a minute */
};

enum erase_step { ERASE_LIST, ERASE_HOLD, ERASE_DESTROY, ERASE_RELEASE, ERASE_LAST, ERASE_SCRUB, ERASE_FILES,
                  ERASE_DONE };

struct erase_task {
    struct task task;
    bool of_user;
    uint8_t step;                        /* enum erase_step */
    struct conv_id convs[ERASE_SLICE];   /* of the user; or [0] is the one */
    size_t count;
    struct hold holds[ERASE_SLICE];
    size_t out;                          /* of them */
    bool is_held[ERASE_SLICE];
    int err;                             /* of a slice, once some are held */
    struct erase_count now, total;       /* of the transaction under way; of those committed */
    uint64_t keys_now;
    struct work job;
    struct clerk_work clerk;
    struct timeout timer;
    uint32_t tries;                      /* since something was destroyed last */
    struct keyfiles_report *files;       /* owned */
    struct erase_task *prev, *next;
};

static void erase_go(struct erase_task *e, enum erase_step step);

static void erase_fini(struct task *t)
{
    free(((struct erase_task *)t)->files);
}

static struct erase_task *of_job(struct work *w)
{
    return (struct erase_task *)((char *)w - offsetof(struct erase_task, job));
}

static struct erase_task *of_clerk(struct clerk_work *w)
{
    return (struct erase_task *)((char *)w - offsetof(struct erase_task, clerk));
}

/* -- waiting and failing ------------------------------------------------------------------------------------- */

static void erase_fail(struct erase_task *e, int err)
{
    task_why(&e->task, err, "begun and not finished: %s; ask again, or the next start goes on with it",
             err == ERR_AGAIN ? "something reads the databases without an end, a backup perhaps" : err_text(err));
    task_undone(&e->task, err);
}

/* What is held is released first. */
static void erase_give_up(struct erase_task *e, int err)
{
    e->err = err;
    if (e->step == ERASE_DESTROY) erase_go(e, ERASE_RELEASE);
    else erase_fail(e, err);
}

static void erase_timer(struct timeout *timer)
{
    struct erase_task *e = (struct erase_task *)((char *)timer - offsetof(struct erase_task, timer));
    DL_DELETE(e->task.admin->erasures, e);
    erase_go(e, (enum erase_step)e->step);
}

/* The same step, in a moment. */
static void erase_wait(struct erase_task *e, int err)
{
    struct admin *admin = e->task.admin;
    if (admin->closing || e->tries++ == ERASE_TRIES_MAX) {
        erase_give_up(e, admin->closing ? ERR_GOING : err);
        return;
    }
    e->timer.fire = erase_timer;
    DL_APPEND(admin->erasures, e);
    wheel_set(&admin->shard->wheel, &e->timer, ERASE_RETRY_MS);
}

void admin_erase_stop(struct admin *admin)
{
    while (admin->erasures) {
        struct erase_task *e = admin->erasures;
        DL_DELETE(admin->erasures, e);
        wheel_cancel(&admin->shard->wheel, &e->timer);
            erase_give_up(e, ERR_GOING);
    }
}

static void job_start(struct erase_task *e, void (*run)(struct work *w, void *context),
                      void (*done)(struct shard *shard, struct work *w))
{
    e->job.run = run;
    e->job.done = done;
    if (!worker_submit(e->task.admin->config.chat->jobs, e->task.admin->shard, &e->job)) erase_wait(e, ERR_BUSY);
}

static void clerk_start(struct erase_task *e, struct clerk_work work)
{
    e->clerk = work;
    e->now = (struct erase_count){ 0 };
    e->keys_now = 0;
    if (!worker_submit(e->task.admin->config.chat->facts, e->task.admin->shard, &e->clerk.work)) erase_wait(e, ERR_BUSY);
}

static void take_count(struct erase_task *e)
{
    e->tries = 0;
    e->total.keys += e->keys_now;
    e->total.rows += e->now.rows;
    e->total.conversations += e->now.conversations;
    e->total.records += e->now.records;
}

/* -- LIST ------------------------------------------------------------------------------------------------------ */

static void list_run(struct work *w, void *context)
{
    struct erase_task *e = of_job(w);
    w->err = facts_erase_list(((struct job_reader *)context)->facts, &e->task.whom[0], ERASE_SLICE, e->convs, &e->count);
}

static void list_done(struct shard *shard, struct work *w)
{
    struct erase_task *e = of_job(w);
    (void)shard;
    if (w->err) erase_fail(e, w->err);
    else erase_go(e, e->count ? ERASE_HOLD : ERASE_LAST);
}

/* -- HOLD and RELEASE ------------------------------------------------------------------------------------------ */

static void each_held(struct shard *shard, struct hold *h)
{
    struct erase_task *e = h->arg;
    (void)shard;
    e->is_held[h - e->holds] = h->err == 0;
    if (h->err && !e->err) e->err = h->err;
    if (--e->out > 0) return;
    erase_go(e, e->err ? ERASE_RELEASE : ERASE_DESTROY);
}

static void each_released(struct shard *shard, struct hold *h)
{
    struct erase_task *e = h->arg;
    (void)shard;
    if (--e->out > 0) return;
    if (e->err == ERR_BUSY) {            /* another erasure has one of them */
        e->step = ERASE_HOLD;
        erase_wait(e, ERR_BUSY);
    } else if (e->err) {
        erase_fail(e, e->err);
    } else {
        erase_go(e, e->of_user ? ERASE_LIST : ERASE_SCRUB);
    }
}

static void hold_all(struct erase_task *e)
{
    e->err = 0;
    e->out = e->count + 1;               /* one for us: an errand that nobody can take is done at once */
    for (size_t i = 0; i < e->count; i++) {
        e->holds[i] = (struct hold){ .conv = e->convs[i], .done = each_held, .arg = e };
        hold_send(e->task.admin->shard, &e->holds[i]);
    }
    if (--e->out == 0) erase_go(e, e->err ? ERASE_RELEASE : ERASE_DESTROY);
}

static void release_all(struct erase_task *e)
{
    struct hold *last = NULL;
    e->out = 1;
    for (size_t i = 0; i < e->count; i++) {
        if (!e->is_held[i]) continue;
        last = &e->holds[i];
        last->done = each_released;
        e->out++;
        hold_release(e->task.admin->shard, last);
    }
    e->holds[0].arg = e;
    each_released(e->task.admin->shard, last ? last : &e->holds[0]);
}

/* -- DESTROY --------------------------------------------------------------------------------------------------- */

static int destroy_keys(struct clerk_work *w, struct vault *vault)
{
    struct erase_task *e = of_clerk(w);
    int err = 0;
    for (size_t i = 0; i < e->count && !err; i++) {
        uint64_t keys = 0;
        err = vault_erase(vault, &e->convs[i], &keys);
        e->keys_now += keys;
    }
    return err;
}

static int destroy_rows(struct clerk_work *w, struct facts *facts)
{
    struct erase_task *e = of_clerk(w);
    int err = 0;
    for (size_t i = 0; i < e->count && !err; i++) {
        err = e->of_user ? facts_erase_whole(facts, &e->convs[i], &e->now) : facts_erase_conv(facts, &e->convs[i], &e->now);
    }
    return err;
}

static void destroyed(struct shard *shard, struct work *w)
{
    struct erase_task *e = of_clerk((struct clerk_work *)w);
    (void)shard;
    e->err = w->err;
    if (!w->err) take_count(e);
    erase_go(e, ERASE_RELEASE);
}

/* -- LAST ------------------------------------------------------------------------------------------------------ */

static int last_rows(struct clerk_work *w, struct facts *facts)
{
    struct erase_task *e = of_clerk(w);
    return facts_erase_user(facts, &e->task.whom[0], &e->now);
}

static void last_done(struct shard *shard, struct work *w)
{
    struct erase_task *e = of_clerk((struct clerk_work *)w);
    (void)shard;
    if (w->err) {
        erase_fail(e, w->err);
        return;
    }
    take_count(e);
    erase_go(e, ERASE_SCRUB);
}

/* -- SCRUB, FILES, DONE ---------------------------------------------------------------------------------------- */

static int scrub_apart(struct clerk_work *w, struct facts *facts, struct vault *vault)
{
    (void)w;
    int err = vault_scrub(vault);
    return err ? err : facts_scrub(facts);
}

static void scrubbed(struct shard *shard, struct work *w)
{
    struct erase_task *e = of_clerk((struct clerk_work *)w);
    (void)shard;
    if (w->err == ERR_AGAIN) erase_wait(e, w->err);
    else if (w->err) erase_fail(e, w->err);
    else erase_go(e, ERASE_FILES);
}

static void files_run(struct work *w, void *context)
{
    struct erase_task *e = of_job(w);
    struct job_reader *reader = context;
    const struct store *store = e->task.admin->config.chat->store;
    if (!e->files) e->files = malloc(sizeof *e->files);
    w->err = e->files ? keyfiles_rewrite(store->fs, reader->facts, reader->vault, e->task.now_ms, e->files) : ERR_NOMEM;
}

static void files_done(struct shard *shard, struct work *w)
{
    struct erase_task *e = of_job(w);
    (void)shard;
    if (w->err) erase_fail(e, w->err);
    else erase_go(e, ERASE_DONE);
}

static int done_rows(struct clerk_work *w, struct facts *facts)
{
    struct erase_task *e = of_clerk(w);
    int err = keyfiles_note(facts, e->files);
    return err ? err : facts_scrub_done(facts);
}

static json_t *answer_of(const struct erase_task *e)
{
    json_t *written = json_array(), *missed = json_array();
    for (size_t i = 0; i < e->files->count; i++) {
        const struct keyfile_result *r = &e->files->results[i];
        if (!r->err) {
            json_array_append_new(written, json_string(r->path));
            continue;
        }
        json_array_append_new(missed, json_pack("{s:s, s:s, s:s, s:I}", "path", r->path, "error", err_name(r->err), "text",
                                                err_text(r->err), "written", (json_int_t)r->written_ms));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o}", "keys", (json_int_t)e->total.keys, "rows",
                     (json_int_t)e->total.rows, "conversations", (json_int_t)e->total.conversations, "records",
                     (json_int_t)e->total.records, "key_files", written, "key_files_missed", missed);
}

static void all_done(struct shard *shard, struct work *w)
{
    struct erase_task *e = of_clerk((struct clerk_work *)w);
    (void)shard;
    if (w->err) {
        erase_fail(e, w->err);
        return;
    }
    e->task.answer = answer_of(e);
    task_end(&e->task, e->task.answer ? 0 : ERR_NOMEM);
}

static void erase_go(struct erase_task *e, enum erase_step step)
{
    e->step = (uint8_t)step;
    switch (step) {
    case ERASE_LIST:    job_start(e, list_run, list_done); break;
    case ERASE_HOLD:    hold_all(e); break;
    case ERASE_DESTROY:
        clerk_start(e, (struct clerk_work){ .work.done = destroyed, .key = destroy_keys, .rows = destroy_rows });
        break;
    case ERASE_RELEASE: release_all(e); break;
    case ERASE_LAST:    clerk_start(e, (struct clerk_work){ .work.done = last_done, .rows = last_rows }); break;
    case ERASE_SCRUB:   clerk_start(e, (struct clerk_work){ .work.done = scrubbed, .apart = scrub_apart }); break;
    case ERASE_FILES:   job_start(e, files_run, files_done); break;
    case ERASE_DONE:    clerk_start(e, (struct clerk_work){ .work.done = all_done, .rows = done_rows }); break;
    }
}

/* -- erase-user ------------------------------------------------------------------------------------------------ */

static int begin_user_rows(struct task *t, struct facts *facts)
{
    int err = facts_erase_begin_user(facts, &t->whom[0], t->now_ms);
    if (err == ERR_GONE) return task_why(t, err, "%s: erased already", t->whom[0].v);
    return err ? task_why_user(t, &t->whom[0], err) : 0;
}

static void sessions_ended(struct shard *shard, struct change *c)
{
    struct erase_task *e = c->arg;
    (void)shard;
    change_free(c);
    erase_go(e, ERASE_LIST);
}

static void user_begun(struct task *t)
{
    struct change *c = t->change;
    t->change = NULL;
    c->close = ERR_REVOKED;
    c->arg = t;
    c->done = sessions_ended;
    change_send(t->admin->shard, c);
}

static int start_erase_user(struct task *t, json_t *request)
{
    (void)request;
    ((struct erase_task *)t)->of_user = true;
    t->change = change_new(&t->whom[0]);
    return t->change ? task_write(t, NULL, begin_user_rows, user_begun) : ERR_NOMEM;
}

/* -- erase-conversation ----------------------------------------------------------------------------------------- */

static int begin_conv_rows(struct task *t, struct facts *facts)
{
    int err = facts_erase_begin(facts, &((struct erase_task *)t)->convs[0]);
    return err == ERR_NOT_FOUND ? task_why(t, err, "there is no such conversation") : err;
}

static void conv_begun(struct task *t)
{
    erase_go((struct erase_task *)t, ERASE_HOLD);
}

/* `conversation`: its id; or `with`: the two users of a direct one. */
static int take_conv(struct task *t, json_t *request, struct conv_id *out)
{
    json_t *id = json_object_get(request, "conversation"), *with = json_object_get(request, "with");
    const char *text = json_string_value(id);
    if (!id == !with) return task_why(t, ERR_MALFORMED, "conversation: its id; or with: the names of two users");
    if (id) {
        if (text && conv_id_parse(bytes_of_str(text), out) == 0) return 0;
        return task_why(t, ERR_RANGE, "conversation: its id, 32 hexadecimal digits");
    }
    struct user_id users[2];
    for (size_t i = 0; i < 2; i++) {
        const char *name = json_string_value(json_array_get(with, i));
        if (json_array_size(with) != 2 || !name || user_id_parse(bytes_of_str(name), &users[i]))
            return task_why(t, ERR_NAME, "with: the names of two users; twice the same for notes to oneself");
    }
    *out = conv_id_direct(&users[0], &users[1]);
    return 0;
}

static int start_erase_conversation(struct task *t, json_t *request)
{
    struct erase_task *e = (struct erase_task *)t;
    char text[CONV_ID_TEXT];
    int err = take_conv(t, request, &e->convs[0]);
    if (err) return err;
    e->count = 1;
    conv_id_print(&e->convs[0], text);
    task_detail(t, "conversation=%s", text);
    return task_write(t, NULL, begin_conv_rows, conv_begun);
}

const struct request admin_erase_requests[] = {
    { "erase-user", "user ", WHOM_ONE, true, sizeof(struct erase_task), start_erase_user, erase_fini },
    { "erase-conversation", "conversation with ", WHOM_NONE, true, sizeof(struct erase_task), start_erase_conversation,
      erase_fini },
    { NULL, NULL, WHOM_NONE, false, 0, NULL, NULL },
};
