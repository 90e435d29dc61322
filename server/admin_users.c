/* admin_users.c - user-add, -list, -disable, -enable, -remove, -password: the accounts, as the owner of the server sees
 * and changes them. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/admin_impl.h"

enum { LIST_ROWS = 500 };                /* in one answer: about 50 KiB */

/* -- user-add: one password for all the names ---------------------------------------------------------------------- */

struct password_task {
    struct task task;
    bool keep_devices;                   /* user-password */
    char *password;                      /* owned; wiped with the task */
    struct password_cost cost;           /* a copy: settings may change meanwhile */
    char hash[PASSWORD_HASH_MAX];
};

static void password_fini(struct task *t)
{
    struct password_task *p = (struct password_task *)t;
    if (p->password) sodium_memzero(p->password, strlen(p->password));
    free(p->password);
}

/* Takes the password out of the request and wipes it there. */
static int take_password(struct password_task *p, json_t *request)
{
    json_t *value = json_object_get(request, "password");
    const char *password = json_string_value(value);
    size_t len = password ? json_string_length(value) : 0;
    if (!password || len < PASSWORD_BYTES_MIN || len > PASSWORD_BYTES_MAX || memchr(password, 0, len)) {
        return task_why(&p->task, ERR_PASSWORD, "password: %s", err_text(ERR_PASSWORD));
    }
    p->cost = p->task.admin->config.settings->password_cost;
    p->password = strdup(password);
    sodium_memzero((char *)password, len);
    return p->password ? 0 : ERR_NOMEM;
}

static void hash_run(struct work *work, void *context)
{
    struct password_task *p = (struct password_task *)work;
    (void)context;
    work->err = account_hash_password(p->password, &p->cost, p->hash);
}

static int add_keys(struct clerk_work *w, struct vault *vault)
{
    struct task *t = task_of_clerk(w);
    int err = 0;
    for (size_t i = 0; i < t->whom_count && !err; i++) err = account_make_key(vault, &t->whom[i], t->now_ms);
    return err;
}

static int add_rows(struct task *t, struct facts *facts)
{
    struct password_task *p = (struct password_task *)t;
    for (size_t i = 0; i < t->whom_count; i++) {
        bool alike = false;
        int err = facts_name_check(facts, &t->whom[i], &alike);
        if (err && alike) return task_why(t, err, "%s: looks like a name that is taken", t->whom[i].v);
        if (!err) err = account_add(facts, &t->whom[i], p->hash, t->now_ms);
        if (err) return task_why_user(t, &t->whom[i], err);
    }
    return 0;
}

static void add_hashed(struct task *t)
{
    int err = task_write(t, add_keys, add_rows, NULL);
    if (err) task_end(t, err);
}

static int start_user_add(struct task *t, json_t *request)
{
    int err = take_password((struct password_task *)t, request);
    return err ? err : task_hash(t, hash_run, add_hashed);
}

/* -- user-list ----------------------------------------------------------------------------------------------------- */

struct list_task {
    struct task task;
    struct user_id after;
    bool has_after;
    struct user_summary *rows;           /* owned */
    size_t count;
};

static void list_fini(struct task *t)
{
    free(((struct list_task *)t)->rows);
}

static void list_run(struct work *work, void *context)
{
    struct list_task *l = (struct list_task *)work;
    struct job_reader *reader = context;
    l->rows = calloc(LIST_ROWS, sizeof *l->rows);
    work->err = l->rows ? facts_user_list(reader->facts, l->has_after ? &l->after : NULL, LIST_ROWS, l->rows, &l->count)
                        : ERR_NOMEM;
}

static void list_back(struct task *t)
{
    struct list_task *l = (struct list_task *)t;
    json_t *list = json_array();
    for (size_t i = 0; i < l->count; i++) {
        const struct user_summary *row = &l->rows[i];
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:b}", "user", row->user.v, "created",
                                              (json_int_t)row->created_ms, "seen", (json_int_t)row->seen_ms, "devices",
                                              (json_int_t)row->devices, "disabled", row->disabled));
    }
    t->answer = json_pack("{s:o, s:b}", "users", list, "more", l->count == LIST_ROWS);
    task_end(t, t->answer ? 0 : ERR_NOMEM);
}

static int start_user_list(struct task *t, json_t *request)
{
    struct list_task *l = (struct list_task *)t;
    json_t *after = json_object_get(request, "after");
    const char *name = json_string_value(after);
    l->has_after = after != NULL;
    if (after && (!name || user_id_parse(bytes_of_str(name), &l->after))) {
        return task_why(t, ERR_NAME, "after: a user name");
    }
    return task_read(t, list_run, list_back);
}

/* -- user-disable, user-enable, user-remove ------------------------------------------------------------------------ */

static int start_change(struct task *t, int (*rows)(struct task *t, struct facts *facts))
{
    t->change = change_new(&t->whom[0]);
    return t->change ? task_write(t, NULL, rows, task_tell) : ERR_NOMEM;
}

static int disable_rows(struct task *t, struct facts *facts)
{
    t->change->close = ERR_AUTH;
    int err = facts_user_disable(facts, &t->whom[0], true);
    return err ? task_why_user(t, &t->whom[0], err) : 0;
}

static int start_user_disable(struct task *t, json_t *request)
{
    (void)request;
    return start_change(t, disable_rows);
}

static int enable_rows(struct task *t, struct facts *facts)
{
    int err = facts_user_disable(facts, &t->whom[0], false);
    return err ? task_why_user(t, &t->whom[0], err) : 0;
}

static int start_user_enable(struct task *t, json_t *request)
{
    (void)request;
    return start_change(t, enable_rows);
}

/* As the user could by itself: POST /v1/delete. */
static int remove_rows(struct task *t, struct facts *facts)
{
    t->change->close = ERR_REVOKED;
    int err = facts_user_delete(facts, &t->whom[0], t->now_ms);
    return err ? task_why_user(t, &t->whom[0], err) : 0;
}

static int start_user_remove(struct task *t, json_t *request)
{
    (void)request;
    return start_change(t, remove_rows);
}

/* -- user-password: another one, and who had the old one is out ---------------------------------------------------- */

static int reset_rows(struct task *t, struct facts *facts)
{
    struct password_task *p = (struct password_task *)t;
    struct device_row rows[DEVICES_PER_USER_MAX];
    struct device_choice all = { { 0 }, { 0 } };
    uint64_t version = 0;
    size_t count = 0;
    int err = facts_user_password(facts, &t->whom[0], NULL, p->hash);
    if (err == ERR_AUTH) return task_why_user(t, &t->whom[0], ERR_NOT_FOUND);
    if (!err && !p->keep_devices) err = facts_device_revoke(facts, &t->whom[0], all, rows, &count, &version);
    if (err) return err;
    if (count) change_revoked(t->change, all, rows, count, version);
    task_detail(t, "revoked=%zu", count);
    json_object_set_new(t->answer, "revoked", json_integer((json_int_t)count));
    return 0;
}

static void reset_hashed(struct task *t)
{
    int err = task_write(t, NULL, reset_rows, task_tell);
    if (err) task_end(t, err);
}

static int start_user_password(struct task *t, json_t *request)
{
    struct password_task *p = (struct password_task *)t;
    int err = task_flag(t, request, "keep_devices", &p->keep_devices);
    if (!err) err = take_password(p, request);
    if (err) return err;
    t->change = change_new(&t->whom[0]);
    t->answer = json_object();
    return t->change && t->answer ? task_hash(t, hash_run, reset_hashed) : ERR_NOMEM;
}

const struct request admin_user_requests[] = {
    { "user-add", "users password ", WHOM_MANY, true, sizeof(struct password_task), start_user_add, password_fini },
    { "user-list", "after ", WHOM_NONE, false, sizeof(struct list_task), start_user_list, list_fini },
    { "user-disable", "user ", WHOM_ONE, true, sizeof(struct task), start_user_disable, NULL },
    { "user-enable", "user ", WHOM_ONE, true, sizeof(struct task), start_user_enable, NULL },
    { "user-remove", "user ", WHOM_ONE, true, sizeof(struct task), start_user_remove, NULL },
    { "user-password", "user password keep_devices ", WHOM_ONE, true, sizeof(struct password_task), start_user_password,
      password_fini },
    { NULL, NULL, WHOM_NONE, false, 0, NULL, NULL },
};
