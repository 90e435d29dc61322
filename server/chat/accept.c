/* accept.c - exactly once.
 *
 * (device, client sequence) names a send. For each device the conversation keeps the sends accepted at or above the
 * device's `settled`, pending ones included, at most REPEATS_MAX. The look-up comes first: a repeat gets its answer
 * whatever has changed since, and only a refusal after it frees the number. What cannot be decided now (a full disk, a
 * budget that is used up, a log that is read-only) is "unknown: repeat with the same number and bytes". */
#include "server/chat/accept.h"

#include <assert.h>
#include <stdlib.h>

#include "server/chat/commit.h"
#include "server/chat/deleting.h"
#include "server/chat/state.h"

struct repeat *accept_repeat_add(struct conv_device *d)
{
    if (d->repeat_count == d->repeat_cap) {
        uint32_t cap = d->repeat_cap ? d->repeat_cap * 2 : 2;
        struct repeat *grown = realloc(d->repeats, cap * sizeof *grown);
        if (!grown) return NULL;
        d->repeats = grown;
        d->repeat_cap = cap;
    }
    return &d->repeats[d->repeat_count++];
}

static void settle(struct conv_device *d, uint64_t settled)
{
    if (settled <= d->settled) return;
    d->settled = settled;
    for (uint32_t i = 0; i < d->repeat_count;) {
        /* A pending one stays: its answer is still on its way, whatever the device believes. */
        if (d->repeats[i].client_seq < settled && !d->repeats[i].pending) conv_repeat_drop(d, &d->repeats[i]);
        else i++;
    }
}

static void refuse(struct chat *chat, struct ask *ask, int err, const char *why)
{
    if (err_may_retry(err)) STAT_ADD(&chat->shard->stats, sends_unknown, 1);
    else STAT_ADD(&chat->shard->stats, sends_refused, 1);
    ask_answer(chat, ask, err, why);
}

/* 0: answered or pending; ERR_FULL: the open batch has no room, the ask is still the caller's. */
static int accept_once(struct chat *chat, struct conv *conv, struct ask *ask)
{
    struct conv_member *m = conv_member(conv, &ask->user);
    if (!m) {
        refuse(chat, ask, ERR_NOT_FOUND, NULL);       /* looks like no conversation at all */
        return 0;
    }
    struct conv_device *d = conv_device(conv, (uint32_t)(m - conv->members), ask->device);
    if (!d) {
        refuse(chat, ask, ERR_BUSY, NULL);
        return 0;
    }
    struct repeat *r = conv_repeat(d, ask->u.send.client_seq);
    if (r) {
        STAT_ADD(&chat->shard->stats, sends_repeated, 1);
        if (r->pending) {
            DL_APPEND(r->pending->repeats, ask);
            return 0;
        }
        ask->u.send.seq = r->seq;
        ask->u.send.id = r->id;
        ask->u.send.expiry_ms = r->expiry_ms;
        ask_answer(chat, ask, 0, NULL);
        return 0;
    }
    settle(d, ask->u.send.settled);
    if (ask->u.send.client_seq < d->settled) {
        refuse(chat, ask, ERR_SETTLED, NULL);
        return 0;
    }
    if (m->row.to_seq) {                              /* was a member once */
        refuse(chat, ask, ERR_NOT_FOUND, NULL);
        return 0;
    }
    if (d->repeat_count >= REPEATS_MAX) {
        refuse(chat, ask, ERR_TOO_MANY, NULL);
        return 0;
    }
    if (chat->facts_broken) {
        refuse(chat, ask, ERR_READ_ONLY, NULL);
        return 0;
    }
    if (chat_has_no_room(chat)) {
        refuse(chat, ask, ERR_NO_ROOM, NULL);
        return 0;
    }
    /* facts cannot be written: no more until they can */
    if (fold_rows(chat->fold) > chat->settings.fold_rows_max) {
        refuse(chat, ask, ERR_STORAGE, NULL);
        return 0;
    }
    if (ask->u.send.kind == KIND_DELETE && !ask->u.send.allowed) {
        deleting_check(chat, conv, ask);              /* comes back by conv_on_ask() */
        return 0;
    }
    int err = commit_append_send(chat, conv, d, ask);
    if (err == ERR_FULL) return err;
    if (err == ERR_NOMEM) err = ERR_BUSY;
    if (err) refuse(chat, ask, err, NULL);
    return 0;
}

void accept_send(struct chat *chat, struct conv *conv, struct ask *ask)
{
    /* Behind others that wait for a batch: the order of one device's sends is kept. */
    if (chat->full_wait || accept_once(chat, conv, ask) == ERR_FULL) DL_APPEND(chat->full_wait, ask);
}

void accept_retry(struct chat *chat)
{
    while (chat->full_wait) {
        struct ask *ask = chat->full_wait;
        struct conv *conv;
        DL_DELETE(chat->full_wait, ask);              /* first: it may be on its way back a moment later */
        HASH_FIND(hh, chat->convs, &ask->conv, sizeof ask->conv, conv);
        /* let go or erased meanwhile: by the front door again */
        if (!conv || conv->state != CONV_READY || !conv->key.number) {
            conv_on_ask(chat, ask);
        } else if (accept_once(chat, conv, ask) == ERR_FULL) {
            DL_PREPEND(chat->full_wait, ask);
            return;
        }
    }
}
