/* on_devices.c - DEVICES: a user's own devices, listed, named, revoked.
 *
 * Looking is a job. A change is rows, then a change (change.h) to this very shard, where the user's sessions are; then
 * the list is told as it was in the transaction that changed it. */
#include <stdlib.h>
#include <string.h>

#include "server/chat/session.h"
#include "server/chat/state.h"

struct devices_task {
    struct work job;                  /* DEVICES_LIST */
    struct clerk_work rows;           /* else */
    struct session *session;          /* held, and counted as one of its asks */
    struct chat *chat;
    struct change *change;            /* NULL for DEVICES_LIST */
    struct user_id user;              /* the session's, for other threads */
    uint64_t ref, action;
    struct device_id device;
    char name[NAME_BYTES_MAX + 1];
    struct device_row *list;          /* owned; made where it is read */
    size_t count;
    uint64_t version;
};

static void task_free(struct devices_task *t)
{
    change_free(t->change);
    free(t->list);
    free(t);
}

static bool is_connected(const struct session *s, struct device_id device)
{
    const struct session *other;
    DL_FOREACH2(s->user->sessions, other, user_next) {
        if (other->device.v == device.v) return true;
    }
    return false;
}

static int encode_list(const struct devices_task *t, struct buf *devices, uint32_t *count_out)
{
    const struct session *s = t->session;
    for (size_t i = 0; i < t->count; i++) {
        const struct device_row *row = &t->list[i];
        if (row->revoked) continue;
        struct device_entry entry = {
            .device = row->device, .name = bytes_of_str(row->name), .created_ms = row->created_ms,
            .live_ms = is_connected(s, row->device) ? t->chat->shard->wall_ms : row->seen_ms,
            .mine = row->device.v == s->device.v,
        };
        devices_add(devices, &entry);
        ++*count_out;
    }
    return devices->err;
}

static void answer_list(const struct devices_task *t)
{
    struct msg m = { .type = MSG_DEVICE_LIST, .has_ref = true, .ref = t->ref };
    struct buf devices;
    uint32_t count = 0;
    buf_init(&devices, FRAME_BYTES_MAX / 2);
    int err = encode_list(t, &devices, &count);
    m.u.device_list = (struct msg_device_list){ t->version, buf_bytes(&devices) };
    if (err) session_error(t->session, true, t->ref, ERR_BUSY, NULL);
    else session_send(t->session, &m);
    buf_fini(&devices);
}

static void task_end(struct devices_task *t, int err)
{
    struct session *s = t->session;
    session_count_out(s);
    if (s->state == SESSION_OPEN) {
        if (!err) answer_list(t);
        else session_error(s, true, t->ref, err_for_peer(err), err == ERR_NOT_FOUND ? "no such device of yours" : NULL);
    }
    task_free(t);
    session_release(s);
}

/* -- on other threads ------------------------------------------------------------------------------------------ */

static int read_list(struct devices_task *t, struct facts *facts)
{
    struct user_row user;
    t->list = calloc(DEVICE_ROWS_MAX, sizeof *t->list);
    if (!t->list) return ERR_NOMEM;
    int err = facts_user_get(facts, &t->user, &user);
    if (err) return err == ERR_NOT_FOUND ? ERR_AUTH : err;
    t->version = user.list_version;
    return facts_device_list(facts, &t->user, t->list, &t->count);
}

static void list_run(struct work *work, void *context)
{
    struct devices_task *t = (struct devices_task *)work;
    struct facts *facts = ((struct job_reader *)context)->facts;
    work->err = facts_snapshot(facts);
    if (work->err) return;
    work->err = read_list(t, facts);
    facts_snapshot_end(facts);
}

static struct devices_task *task_of_rows(struct clerk_work *w)
{
    return (struct devices_task *)((char *)w - offsetof(struct devices_task, rows));
}

static int name_rows(struct clerk_work *w, struct facts *facts)
{
    struct devices_task *t = task_of_rows(w);
    int err = facts_device_name(facts, &t->user, t->device, t->name, &t->change->list_version);
    if (err) return err;
    change_tell(t->change, DEVICE_NAMED, t->device, t->name);
    return read_list(t, facts);
}

static int revoke_rows(struct clerk_work *w, struct facts *facts)
{
    struct devices_task *t = task_of_rows(w);
    struct device_choice one = { .only = t->device };
    struct device_row rows[DEVICES_PER_USER_MAX];
    uint64_t version;
    size_t count;
    int err = facts_device_revoke(facts, &t->user, one, rows, &count, &version);
    if (err) return err;
    change_revoked(t->change, one, rows, count, version);
    return read_list(t, facts);
}

/* -- steps ------------------------------------------------------------------------------------------------------ */

static void list_done(struct shard *shard, struct work *work)
{
    (void)shard;
    task_end((struct devices_task *)work, work->err);
}

static void told(struct shard *shard, struct change *c)
{
    (void)shard;
    task_end(c->arg, 0);
}

static void rows_done(struct shard *shard, struct work *work)
{
    struct devices_task *t = task_of_rows((struct clerk_work *)work);
    if (work->err) {
        task_end(t, work->err);
        return;
    }
    if (t->action == DEVICES_REVOKE) {
        char by[DEVICE_ID_TEXT], device[DEVICE_ID_TEXT];
        device_id_print(t->session->device, by);
        device_id_print(t->device, device);
        say(SAY_INFO, "device_revoked", SAY_TEXT("user", t->user.v), SAY_TEXT("device", device), SAY_TEXT("by", by));
    }
    t->change->arg = t;
    t->change->done = told;
    t->change->asker_number = t->session->number;
    change_send(shard, t->change);
}

void on_devices(struct session *s, const struct msg *msg)
{
    const struct msg_devices *m = &msg->u.devices;
    struct chat *chat = s->chat;
    if (m->action > DEVICES_REVOKE) {
        session_error(s, true, msg->ref, ERR_UNSUPPORTED, "action is not 0, 1 or 2");
        return;
    }
    struct devices_task *t = calloc(1, sizeof *t);
    if (t && m->action != DEVICES_LIST) t->change = change_new(&s->user_id);
    if (!t || (m->action != DEVICES_LIST && !t->change)) {
        free(t);
        session_error(s, true, msg->ref, ERR_BUSY, NULL);
        return;
    }
    t->session = s;
    t->chat = chat;
    t->user = s->user_id;
    t->ref = msg->ref;
    t->action = m->action;
    t->device = m->device;
    if (m->has_name && m->name.len) memcpy(t->name, m->name.at, m->name.len);
    t->job.run = list_run;
    t->job.done = list_done;
    t->rows.rows = m->action == DEVICES_NAME ? name_rows : revoke_rows;
    t->rows.work.done = rows_done;
    session_hold(s);
    session_count_in(s);
    bool taken = m->action == DEVICES_LIST ? worker_submit(chat->config->jobs, chat->shard, &t->job)
                                           : clerk_submit(chat, &t->rows);
    if (!taken) task_end(t, ERR_BUSY);
}
