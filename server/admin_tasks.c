/* admin_tasks.c - the list of requests, and what every task goes through.
 *
 *   line ── parse, check members and names ── start ──┬─ task_read ── job thread ─────────────────────────────── answer
 *                                                     └─ task_hash ── task_write ── facts thread ── task_tell ── answer
 *
 * What takes time goes where everyone's does: passwords to the hashing thread, reads to a job, rows to the clerk.
 *
 * Every act leaves a line in the audit log (audit.h). It is written on the facts thread when the act's rows are, and
 * before they are committed: no line, no act. What a failed commit then took back has its line corrected; of what a
 * crash between the two took back, it goes on to say OK. */
#include <ctype.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/admin_impl.h"

enum { ADMIN_NAMES_MAX = 10000 };        /* users in one request: one transaction */

int task_why(struct task *t, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(t->why, sizeof t->why, format, args);
    va_end(args);
    return err;
}

int task_why_user(struct task *t, const struct user_id *user, int err)
{
    return task_why(t, err, "%s: %s", user->v, err == ERR_NOT_FOUND ? "no such user" : err_text(err));
}

void task_detail(struct task *t, const char *format, ...)
{
    va_list args;
    size_t len = strlen(t->act.detail);
    va_start(args, format);
    vsnprintf(t->act.detail + len, sizeof t->act.detail - len, format, args);
    va_end(args);
}

static void task_free(struct task *t)
{
    if (t->request->fini) t->request->fini(t);
    free(t->whom);
    json_decref(t->answer);
    json_decref(t->refusal);
    change_free(t->change);
    free(t);
}

void task_end(struct task *t, int err)
{
    struct client *c = t->client;
    if (t->request->is_act) {
        t->act.outcome = err;
        audit_say(&t->act);
    }
    if (err) {
        client_refuse(c, err, t->why[0] ? t->why : NULL, t->refusal);
    } else {
        client_answer(c, t->answer);
        t->answer = NULL;
    }
    task_free(t);
    client_done(c);
}

/* -- steps --------------------------------------------------------------------------------------------------------- */

static void work_back(struct shard *shard, struct work *work)
{
    struct task *t = (struct task *)work;
    (void)shard;
    if (work->err || !t->back) task_end(t, work->err);
    else t->back(t);
}

static int task_submit(struct task *t, struct worker *worker, void (*run)(struct work *work, void *context),
                       void (*back)(struct task *t))
{
    t->work.run = run;
    t->work.done = work_back;
    t->back = back;
    return worker_submit(worker, t->admin->shard, &t->work) ? 0 : ERR_BUSY;
}

int task_hash(struct task *t, void (*run)(struct work *work, void *context), void (*back)(struct task *t))
{
    return task_submit(t, t->admin->config.chat->hashing, run, back);
}

int task_read(struct task *t, void (*run)(struct work *work, void *context), void (*back)(struct task *t))
{
    return task_submit(t, t->admin->config.chat->jobs, run, back);
}

/* On a worker's thread. What becomes of an act that went as `err` says so far. */
static int task_write_audit(struct task *t, int err)
{
    t->act.outcome = err;
    int audit_err = audit_write(t->admin->audit, &t->act);
    t->audited = audit_err == 0;
    if (err || !audit_err) return err;
    return task_why(t, audit_err, "the audit log cannot be written (%s): nothing was done", err_text(audit_err));
}

static int clerk_rows(struct clerk_work *w, struct facts *facts)
{
    struct task *t = task_of_clerk(w);
    return task_write_audit(t, t->rows(t, facts));
}

static void undone_run(struct work *work, void *context)
{
    struct task *t = (struct task *)work;
    (void)context;
    work->err = t->act.outcome;
    (void)audit_correct(t->admin->audit, &t->act);     /* the disk may well be full: the log line will tell */
}

void task_undone(struct task *t, int err)
{
    bool says_done = t->audited && t->act.outcome == 0;
    t->act.outcome = err;
    if (!says_done || task_read(t, undone_run, NULL)) task_end(t, err);
}

static void clerk_back(struct shard *shard, struct work *work)
{
    struct task *t = task_of_clerk((struct clerk_work *)work);
    (void)shard;
    if (work->err) task_undone(t, work->err);
    else if (t->then) t->then(t);
    else task_end(t, 0);
}

int task_write(struct task *t, int (*key)(struct clerk_work *w, struct vault *vault),
               int (*rows)(struct task *t, struct facts *facts), void (*then)(struct task *t))
{
    t->rows = rows;
    t->then = then;
    t->clerk.key = key;
    t->clerk.rows = clerk_rows;
    t->clerk.work.done = clerk_back;
    return worker_submit(t->admin->config.chat->facts, t->admin->shard, &t->clerk.work) ? 0 : ERR_BUSY;
}

static void audit_run(struct work *work, void *context)
{
    (void)context;
    work->err = task_write_audit((struct task *)work, 0);
}

int task_audit(struct task *t, void (*then)(struct task *t))
{
    return task_read(t, audit_run, then);
}

static void told(struct shard *shard, struct change *c)
{
    struct task *t = c->arg;
    (void)shard;
    t->change = c;
    task_end(t, 0);
}

void task_tell(struct task *t)
{
    struct change *c = t->change;
    t->change = NULL;
    c->arg = t;
    c->done = told;
    change_send(t->admin->shard, c);
}

/* -- shutdown ------------------------------------------------------------------------------------------------------ */

static void shut_down(struct task *t)
{
    struct admin *admin = t->admin;
    task_end(t, 0);                      /* first: the answer is on its way before the socket closes */
    admin->config.shutdown(admin->config.arg);
}

static int start_shutdown(struct task *t, json_t *request)
{
    (void)request;
    return task_audit(t, shut_down);
}

static const struct request own_requests[] = {
    { "shutdown", "", WHOM_NONE, true, sizeof(struct task), start_shutdown, NULL },
    { NULL, NULL, WHOM_NONE, false, 0, NULL, NULL },
};

/* -- what a request says ------------------------------------------------------------------------------------------- */

int task_number(struct task *t, json_t *request, const char *field, int64_t least, int64_t most, int64_t otherwise,
                int64_t *out)
{
    json_t *value = json_object_get(request, field);
    *out = value ? json_integer_value(value) : otherwise;
    if ((!value || json_is_integer(value)) && *out >= least && *out <= most) return 0;
    return task_why(t, ERR_RANGE, "%s: a whole number from %lld to %lld", field, (long long)least, (long long)most);
}

int task_flag(struct task *t, json_t *request, const char *field, bool *out)
{
    json_t *value = json_object_get(request, field);
    *out = json_is_true(value);
    return !value || json_is_boolean(value) ? 0 : task_why(t, ERR_TYPE, "%s: true or false", field);
}

int task_text(struct task *t, json_t *request, const char *field, size_t bytes_max, const char **out)
{
    json_t *value = json_object_get(request, field);
    *out = json_string_value(value);
    bool good = !value || *out;
    for (const char *at = *out; good && at && *at; at++) good = !iscntrl((unsigned char)*at);
    if (good && (!*out || strlen(*out) <= bytes_max)) return 0;
    return task_why(t, ERR_RANGE, "%s: a text of at most %zu bytes, without control characters", field, bytes_max);
}

static int take_name(struct task *t, json_t *value)
{
    const char *name = json_string_value(value);
    if (name && user_id_parse(bytes_of_str(name), &t->whom[t->whom_count]) == 0) {
        t->whom_count++;
        return 0;
    }
    return task_why(t, ERR_NAME, "%.40s: %s", name ? name : "not a text", err_text(ERR_NAME));
}

static int take_whom(struct task *t, json_t *request)
{
    bool one = t->request->whom == WHOM_ONE;
    json_t *users = json_object_get(request, one ? "user" : "users");
    size_t count = one ? 1 : json_array_size(users);
    if (count < 1 || count > ADMIN_NAMES_MAX) {
        return task_why(t, ERR_RANGE, "users: a list of 1 to %d names", ADMIN_NAMES_MAX);
    }
    t->whom = calloc(count, sizeof *t->whom);
    if (!t->whom) return ERR_NOMEM;
    int err = one ? take_name(t, users) : 0;
    for (size_t i = 0; i < count && !one && !err; i++) err = take_name(t, json_array_get(users, i));
    t->act.whom = t->whom;
    t->act.whom_count = t->whom_count;
    return err;
}

/* A member nobody reads is a mistake that would go unseen: `"use": 5` makes an invite for one. */
static int check_fields(struct task *t, json_t *request)
{
    const char *name, *fields = t->request->fields;
    json_t *value;
    json_object_foreach(request, name, value) {
        size_t len = strlen(name);
        const char *at = fields;
        while (*at && (strncmp(at, name, len) != 0 || at[len] != ' ')) at = strchr(at, ' ') + 1;
        if ((*at && len) || strcmp(name, "do") == 0) continue;
        return task_why(t, ERR_UNSUPPORTED, "%.40s: not a member of %s%s%s", name, t->request->name,
                        fields[0] ? ", which may have: " : "", fields);
    }
    return 0;
}

static int task_begin(struct task *t, json_t *request)
{
    int err = check_fields(t, request);
    if (!err && t->request->whom != WHOM_NONE) err = take_whom(t, request);
    return err ? err : t->request->start(t, request);
}

static void start_task(struct client *c, const struct request *r, json_t *request)
{
    struct task *t = calloc(1, r->size);
    if (!t) {
        client_refuse(c, ERR_NOMEM, NULL, NULL);
        return;
    }
    shard_read_clock(c->admin->shard);   /* a callback of the poll: the turn's time is from before the sleep */
    t->request = r;
    t->admin = c->admin;
    t->client = c;
    t->now_ms = c->admin->shard->wall_ms;
    t->act = (struct audit_act){ .now_ms = t->now_ms, .uid = c->uid, .pid = c->pid, .act = r->name };
    c->busy = true;
    int err = task_begin(t, request);
    if (!err) return;
    if (r->is_act) {
        t->act.outcome = err;
        audit_say(&t->act);
    }
    c->busy = false;                     /* not client_done(): its lines are being served by our caller */
    client_refuse(c, err, t->why[0] ? t->why : NULL, t->refusal);
    task_free(t);
}

static const struct request *find_request(const char *name)
{
    static const struct request *const lists[] = { admin_user_requests, admin_device_requests, admin_invite_requests,
                                                   admin_status_requests, admin_reload_requests, admin_erase_requests,
                                                   admin_backup_requests, admin_export_requests, own_requests };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (const struct request *r = lists[i]; r->name; r++) {
            if (strcmp(r->name, name) == 0) return r;
        }
    }
    return NULL;
}

void admin_serve_line(struct client *c, const char *line, size_t len)
{
    json_error_t where;
    char why[ADMIN_WHY_MAX];
    json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &where);
    const char *name = json_string_value(json_object_get(request, "do"));
    const struct request *r = name ? find_request(name) : NULL;
    if (r) {
        start_task(c, r, request);
    } else if (!request) {
        snprintf(why, sizeof why, "not JSON, at byte %d: %s", where.position, where.text);
        client_refuse(c, ERR_MALFORMED, why, NULL);
    } else if (!name) {
        client_refuse(c, ERR_MALFORMED, "not an object with a text `do`", NULL);
    } else {
        snprintf(why, sizeof why, "%.40s: no such request", name);
        client_refuse(c, ERR_UNKNOWN_TYPE, why, NULL);
    }
    json_decref(request);
}
