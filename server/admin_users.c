/* admin_users.c - user-add, user-list: the accounts, as the owner of the server sees and changes them. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/admin_impl.h"

enum { LIST_ROWS = 500 };                /* in one answer: about 50 KiB */

/* -- user-add: one password for all the names ------------------------------------------------------------------------- */

struct password_task {
    struct task task;
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
        int err = account_add(facts, &t->whom[i], p->hash, t->now_ms);
        if (err) return task_why(t, err, "%s: %s", t->whom[i].v, err_text(err));
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

/* -- user-list --------------------------------------------------------------------------------------------------------- */

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

const struct request admin_user_requests[] = {
    { "user-add", "users password ", WHOM_MANY, true, sizeof(struct password_task), start_user_add, password_fini },
    { "user-list", "after ", WHOM_NONE, false, sizeof(struct list_task), start_user_list, list_fini },
    { NULL, NULL, WHOM_NONE, false, 0, NULL, NULL },
};
