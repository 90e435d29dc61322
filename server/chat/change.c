/* change.c - see change.h. */
#include "server/chat/change.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server/chat/state.h"

struct change *change_new(const struct user_id *user)
{
    struct change *c = calloc(1, sizeof *c);
    if (c) c->user = *user;
    return c;
}

void change_free(struct change *c)
{
    free(c);
}

void change_tell(struct change *c, enum device_change what, struct device_id device, const char *name)
{
    assert(c->told_count < DEVICES_PER_USER_MAX);
    struct change_told *told = &c->told[c->told_count++];
    told->what = what;
    told->device = device;
    assert(strlen(name) < sizeof told->name);
    strcpy(told->name, name);
}

void change_revoked(struct change *c, struct device_choice choice, const struct device_row *rows, size_t count,
                    uint64_t list_version)
{
    c->close = ERR_REVOKED;
    c->choice = choice;
    c->list_version = list_version;
    for (size_t i = 0; i < count; i++) change_tell(c, DEVICE_REVOKED, rows[i].device, rows[i].name);
}

/* -- on the user's shard ---------------------------------------------------------------------------------------- */

static bool is_chosen(struct device_choice choice, struct device_id device)
{
    return (choice.only.v == 0 || choice.only.v == device.v) && choice.except.v != device.v;
}

static void close_chosen(struct user *user, const struct change *c)
{
    struct session *s, *next;
    /* The user goes with the last of its sessions, so `user` may be gone when this ends. */
    for (s = user->sessions; s; s = next) {
        next = s->user_next;
        if (is_chosen(c->choice, s->device)) session_close(s, c->close);
    }
}

static void tell_one(struct session *s, const struct change *c, const struct change_told *told)
{
    struct msg m = { .type = MSG_DEVICE_CHANGED };
    m.u.device_changed = (struct msg_device_changed){ c->list_version, told->what, told->device,
                                                      bytes_of_str(told->name) };
    session_send(s, &m);
}

static void change_run(struct chat *chat, struct errand *e)
{
    struct change *c = (struct change *)e;
    struct user *user = user_find(chat, &c->user);
    if (user && c->close) {
        close_chosen(user, c);
        user = user_find(chat, &c->user);
    }
    hellos_again(chat, &c->user);
    struct session *s, *next;
    for (s = user ? user->sessions : NULL; s; s = next) {
        next = s->user_next;
        if (c->asker_number != 0 && s->number == c->asker_number) continue;
        for (uint32_t i = 0; i < c->told_count; i++) tell_one(s, c, &c->told[i]);
    }
}

static void change_done(struct shard *shard, struct errand *e)
{
    struct change *c = (struct change *)e;
    c->done(shard, c);
}

void change_send(struct shard *shard, struct change *c)
{
    c->errand.run = change_run;
    c->errand.done = change_done;
    errand_send(shard, shard_of_user(shard->house, &c->user), &c->errand);
}
