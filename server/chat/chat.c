/* chat.c - a shard's chat: opening, what parcels do, the slices of a turn, stopping. */
#include "server/chat/chat.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/proto.h"
#include "server/chat/accept.h"
#include "server/chat/commit.h"
#include "server/chat/fanout.h"
#include "server/chat/flush.h"
#include "server/chat/hold.h"
#include "server/chat/reading.h"
#include "server/chat/receipts.h"
#include "server/chat/state.h"

void ask_answer(struct chat *chat, struct ask *ask, int err, const char *why)
{
    struct parcel parcel = { .kind = PARCEL_ANSWERED, .u.ask = ask };
    ask->err = err;
    ask->why = why;
    if (ask->answered) {
        ask->answered(chat, ask);
        return;
    }
    shard_answer(chat->shard, ask->origin, &parcel);
}

bool clerk_submit(struct chat *chat, struct clerk_work *w)
{
    return worker_submit(chat->config->facts, chat->shard, &w->work);
}

/* -- trying again ------------------------------------------------------------------------------------------- */

void chat_retry_later(struct chat *chat)
{
    if (!timeout_is_set(&chat->retry)) wheel_set(&chat->shard->wheel, &chat->retry, RETRY_MS);
}

static void chat_on_retry(struct timeout *t)
{
    struct chat *chat = (struct chat *)((char *)t - offsetof(struct chat, retry));
    conv_retry(chat);
    reading_retry(chat);
    accept_retry(chat);
    partings_retry(chat);
    sessions_retry(chat);
    if (chat->shard->errands) errands_retry(chat->shard);
}

/* -- parcels ------------------------------------------------------------------------------------------------ */

static void on_delivery(struct chat *chat, struct delivery *d, uint32_t slice_number)
{
    const struct roster_slice *slice = &d->roster->slices[slice_number];
    for (uint32_t i = 0; i < slice->count; i++) {
        struct user *user = user_find(chat, &d->roster->users[slice->first + i]);
        if (!user) continue;
        struct session *s, *tmp;
        DL_FOREACH_SAFE2(user->sessions, s, tmp, user_next) {
            /* A later session of the sending device has no ACCEPTED to expect: it gets the message. */
            bool own = s->device.v == d->device.v && s->number == d->session_number;
            enum live what = own ? LIVE_OWN : d->frame ? LIVE_FRAME : LIVE_NEWS;
            if (d->deletes) catchup_drop_page(s);     /* it may hold what is deleted */
            behind_on_live(s->behind, &d->conv, d->type, d->seq, what, what == LIVE_FRAME ? d->frame : NULL);
            session_step(s);
        }
    }
    delivery_unref(d);
}

static void on_notice(struct chat *chat, struct notice *n, uint32_t slice_number)
{
    const struct roster_slice *slice = &n->roster->slices[slice_number];
    for (uint32_t i = 0; i < slice->count; i++) {
        const struct user_id *id = &n->roster->users[slice->first + i];
        if (!n->to_own && user_id_equal(id, &n->about)) continue;
        struct user *user = user_find(chat, id);
        if (!user) continue;
        struct session *s, *tmp;
        DL_FOREACH_SAFE2(user->sessions, s, tmp, user_next) {
            behind_on_cursors(s->behind, &n->conv, n->type, n->frame);
            STAT_ADD(&chat->shard->stats, receipts, 1);
            session_step(s);
        }
    }
    notice_unref(n);
}

void chat_on_parcel(struct shard *shard, const struct parcel *parcel)
{
    struct chat *chat = chat_of(shard);
    switch (parcel->kind) {
    case PARCEL_CONN:
        handoff_receive(shard, parcel->u.conn);
        break;
    case PARCEL_ASK:
        if (parcel->u.ask->kind == ASK_HEADS) reading_heads(chat, parcel->u.ask);
        else conv_on_ask(chat, parcel->u.ask);
        break;
    case PARCEL_ANSWERED:
        session_on_answer(chat, parcel->u.ask);
        break;
    case PARCEL_ERRAND:
    case PARCEL_ERRAND_DONE:
        errand_on_parcel(shard, parcel);
        break;
    case PARCEL_DELIVER:
        on_delivery(chat, parcel->u.delivery, parcel->slice);
        break;
    case PARCEL_RECEIPT:
        on_notice(chat, parcel->u.notice, parcel->slice);
        break;
    default:
        assert(!"a parcel that chat does not know");
    }
}

/* -- the turn ------------------------------------------------------------------------------------------------ */

bool chat_slice(struct shard *shard)
{
    struct chat *chat = chat_of(shard);
    bool more = fanout_run(chat);
    more = receipts_run(chat) || more;
    if (chat->holds) hold_step(chat);
    if (chat->page_freed) {                           /* others wait for the retry timer: a failure is no hurry */
        chat->page_freed = false;
        sessions_retry(chat);
    }
    return more;
}

void chat_turn_end(struct shard *shard)
{
    commit_turn_end(chat_of(shard));
}

/* -- opening and stopping --------------------------------------------------------------------------------------- */

int chat_open(struct shard *shard, const struct chat_config *config)
{
    struct chat *chat = calloc(1, sizeof *chat);
    if (!chat) return ERR_NOMEM;
    chat->shard = shard;
    chat->config = config;
    chat->settings = config->settings;
    chat->log = config->store->log[shard->id];
    chat->retry.fire = chat_on_retry;
    buf_init(&chat->scratch, FRAME_BYTES_MAX);
    shard->chat = chat;
    int err = commit_open(chat);
    if (!err) err = flush_open(chat);
    if (err) return err;
    chat->attempts = attempts_new(chat->settings.attempts_kept_max);
    if (!chat->attempts) err = ERR_NOMEM;
    return err;
}

void chat_set(struct shard *shard, const struct chat_settings *settings)
{
    chat_of(shard)->settings = *settings;
    attempts_set_max(chat_of(shard)->attempts, settings->attempts_kept_max);
}

void chat_stop(struct shard *shard)
{
    struct chat *chat = chat_of(shard);
    chat->stopping = true;
    while (chat->sessions) session_close(chat->sessions, ERR_GOING);
    hold_stop(chat);
    flush_now(chat);
}

bool chat_is_stopped(const struct shard *shard)
{
    struct chat *chat = chat_of(shard);
    if (chat->sessions || chat->tasks || shard->errands || chat->readings || chat->load_wait || chat->full_wait)
        return false;
    if (!commit_is_idle(chat)) return false;
    flush_now(chat);
    if (!flush_is_done(chat)) return false;
    struct parting *p;
    DL_FOREACH(chat->partings, p) {
        if (p->under_way) return false;
    }
    return true;
}

void chat_free(struct shard *shard)
{
    struct chat *chat = chat_of(shard);
    if (!chat) return;
    wheel_cancel(&shard->wheel, &chat->retry);
    struct conv *conv, *next;
    HASH_ITER(hh, chat->convs, conv, next) {
        while (conv->fan) {                           /* members who left with the sessions */
            struct fan_item *item = conv->fan;
            DL_DELETE(conv->fan, item);
            delivery_unref(item->delivery);
            free(item);
        }
        if (conv->in_fanout) DL_DELETE2(chat->fanout, conv, fan_prev, fan_next);
        if (conv->in_receipts) DL_DELETE2(chat->receipts, conv, tell_prev, tell_next);
        conv->in_fanout = conv->in_receipts = false;
        receipts_unlist(chat, conv);
        conv_free(chat, conv);
    }
    struct parting *p, *tmp;
    DL_FOREACH_SAFE(chat->partings, p, tmp) {
        DL_DELETE(chat->partings, p);
        free(p);
    }
    flush_close(chat);
    commit_close(chat);
    attempts_free(chat->attempts);
    buf_fini(&chat->scratch);
    shard->chat = NULL;
    free(chat);
}
