/* admin_devices.c - device-add, device-list, device-revoke: devices of any user, as the owner of the server sees and
 * changes them. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/admin_impl.h"

/* -- device-add: a device for each name, its token told once ------------------------------------------------------- */

struct add_task {
    struct task task;
    struct device_row *devices;          /* owned; task.whom_count of them */
    uint64_t *versions;                  /* owned: of each user's list, with it */
    size_t told;                         /* of them */
};

static void add_fini(struct task *t)
{
    struct add_task *a = (struct add_task *)t;
    free(a->devices);
    free(a->versions);
}

static int add_rows(struct task *t, struct facts *facts)
{
    struct add_task *a = (struct add_task *)t;
    for (size_t i = 0; i < t->whom_count; i++) {
        int err = facts_device_add(facts, &a->devices[i]);
        if (err == ERR_TOO_MANY) {
            return task_why(t, err, "%s: has %d devices, as many as a user may have", t->whom[i].v,
                            DEVICES_PER_USER_MAX);
        }
        struct device_row row;           /* for the version of its user's list */
        if (!err) err = facts_device_get(facts, &t->whom[i], a->devices[i].device, &row);
        if (err) return task_why_user(t, &t->whom[i], err);
        a->versions[i] = row.list_version;
    }
    return 0;
}

/* Each user's sessions hear of it, one user after the other. */
static void add_tell(struct task *t);

static void add_told(struct shard *shard, struct change *c)
{
    struct task *t = c->arg;
    (void)shard;
    change_free(c);
    add_tell(t);
}

static void add_tell(struct task *t)
{
    struct add_task *a = (struct add_task *)t;
    size_t i = a->told++;
    struct change *c = i < t->whom_count ? change_new(&t->whom[i]) : NULL;
    if (!c) {
        /* all of them; or out of memory: a session that was not told asks for its list */
        task_end(t, 0);
        return;
    }
    c->list_version = a->versions[i];
    change_tell(c, DEVICE_ADDED, a->devices[i].device, a->devices[i].name);
    c->arg = t;
    c->done = add_told;
    change_send(t->admin->shard, c);
}

static int start_device_add(struct task *t, json_t *request)
{
    struct add_task *a = (struct add_task *)t;
    const char *name;
    int err = task_text(t, request, "name", NAME_BYTES_MAX, &name);
    if (err) return err;
    json_t *list = json_array();
    t->answer = json_pack("{s:o}", "devices", list);
    a->devices = calloc(t->whom_count, sizeof *a->devices);
    a->versions = calloc(t->whom_count, sizeof *a->versions);
    if (!a->devices || !a->versions || !t->answer) return ERR_NOMEM;
    for (size_t i = 0; i < t->whom_count; i++) {
        uint8_t token[TOKEN_BYTES];
        char device[DEVICE_ID_TEXT], text[2 * TOKEN_BYTES + 1];
        account_new_device(&t->whom[i], name ? name : "admin", t->now_ms, &a->devices[i], token);
        device_id_print(a->devices[i].device, device);
        sodium_bin2hex(text, sizeof text, token, sizeof token);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s}", "user", t->whom[i].v, "device", device, "token", text));
        sodium_memzero(token, sizeof token);
        sodium_memzero(text, sizeof text);
    }
    return task_write(t, NULL, add_rows, add_tell);
}

/* -- device-list --------------------------------------------------------------------------------------------------- */

struct list_task {
    struct task task;
    struct device_row rows[DEVICE_ROWS_MAX];
    size_t count;
};

static void list_run(struct work *work, void *context)
{
    struct list_task *l = (struct list_task *)work;
    struct job_reader *reader = context;
    const struct user_id *user = &l->task.whom[0];
    struct user_row row;
    work->err = facts_user_get(reader->facts, user, &row);
    if (work->err) task_why_user(&l->task, user, work->err);
    else work->err = facts_device_list(reader->facts, user, l->rows, &l->count);
}

static void list_back(struct task *t)
{
    struct list_task *l = (struct list_task *)t;
    json_t *list = json_array();
    for (size_t i = 0; i < l->count; i++) {
        const struct device_row *row = &l->rows[i];
        char device[DEVICE_ID_TEXT];
        device_id_print(row->device, device);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:I, s:I, s:b}", "device", device, "name", row->name, "created",
                                              (json_int_t)row->created_ms, "seen", (json_int_t)row->seen_ms, "revoked",
                                              row->revoked));
    }
    t->answer = json_pack("{s:o}", "devices", list);
    task_end(t, t->answer ? 0 : ERR_NOMEM);
}

static int start_device_list(struct task *t, json_t *request)
{
    (void)request;
    return task_read(t, list_run, list_back);
}

/* -- device-revoke ------------------------------------------------------------------------------------------------- */

struct revoke_task {
    struct task task;
    struct device_id device;
};

static int revoke_rows(struct task *t, struct facts *facts)
{
    struct device_choice one = { .only = ((struct revoke_task *)t)->device };
    struct device_row rows[DEVICES_PER_USER_MAX];
    uint64_t version = 0;
    size_t count = 0;
    int err = facts_device_revoke(facts, &t->whom[0], one, rows, &count, &version);
    if (err == ERR_NOT_FOUND)
        return task_why(t, err, "%s: no such device of this user, or revoked already", t->whom[0].v);
    if (!err) change_revoked(t->change, one, rows, count, version);
    return err;
}

static int start_device_revoke(struct task *t, json_t *request)
{
    struct revoke_task *r = (struct revoke_task *)t;
    const char *device = json_string_value(json_object_get(request, "device"));
    if (!device || device_id_parse(bytes_of_str(device), &r->device) || r->device.v == 0) {
        return task_why(t, ERR_RANGE, "device: its id, as device-list tells it");
    }
    task_detail(t, "device=%s", device);
    t->change = change_new(&t->whom[0]);
    return t->change ? task_write(t, NULL, revoke_rows, task_tell) : ERR_NOMEM;
}

const struct request admin_device_requests[] = {
    { "device-add", "users name ", WHOM_MANY, true, sizeof(struct add_task), start_device_add, add_fini },
    { "device-list", "user ", WHOM_ONE, false, sizeof(struct list_task), start_device_list, NULL },
    { "device-revoke", "user device ", WHOM_ONE, true, sizeof(struct revoke_task), start_device_revoke, NULL },
    { NULL, NULL, WHOM_NONE, false, 0, NULL, NULL },
};
