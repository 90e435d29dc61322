/* admin_devices.c - device-add: devices of any user, as the owner of the server sees and changes them. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/admin_impl.h"

/* -- device-add: a device for each name, its token told once ----------------------------------------------------------- */

struct add_task {
    struct task task;
    struct device_row *devices;          /* owned; task.whom_count of them */
};

static void add_fini(struct task *t)
{
    free(((struct add_task *)t)->devices);
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
        if (err) return task_why(t, err, "%s: %s", t->whom[i].v, err_text(err));
    }
    return 0;
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
    if (!a->devices || !t->answer) return ERR_NOMEM;
    for (size_t i = 0; i < t->whom_count; i++) {
        uint8_t token[TOKEN_BYTES];
        char device[DEVICE_ID_TEXT], text[2 * TOKEN_BYTES + 1];
        account_new_device(&t->whom[i], name ? name : "admin", t->now_ms, &a->devices[i], token);
        device_id_print(a->devices[i].device, device);
        sodium_bin2hex(text, sizeof text, token, sizeof token);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "user", t->whom[i].v, "device", device, "token", text));
        sodium_memzero(token, sizeof token);
        sodium_memzero(text, sizeof text);
    }
    return task_write(t, NULL, add_rows, NULL);
}

const struct request admin_device_requests[] = {
    { "device-add", "users name ", WHOM_MANY, true, sizeof(struct add_task), start_device_add, add_fini },
    { NULL, NULL, WHOM_NONE, false, 0, NULL, NULL },
};
