/* hold.c - see hold.h. */
#include "server/chat/hold.h"

#include <assert.h>

#include "server/chat/flush.h"
#include "server/chat/receipts.h"
#include "server/chat/state.h"

static struct conv *conv_of(struct chat *chat, const struct hold *h)
{
    struct conv *conv;
    HASH_FIND(hh, chat->convs, &h->conv, sizeof h->conv, conv);
    return conv;
}

static void hold_answer(struct chat *chat, struct hold *h, int err)
{
    struct conv *conv = conv_of(chat, h);
    assert(conv && conv->hold == h);
    conv->hold = NULL;
    if (err && conv->state == CONV_HELD) conv_unhold(chat, conv);
    h->err = err;
    DL_DELETE(chat->holds, h);
    errand_answer(chat->shard, &h->errand);
}

/* What is noted and in no batch yet is forgotten: cursors are about to be. */
static bool conv_is_free(struct chat *chat, struct conv *conv)
{
    receipts_unlist(chat, conv);
    return !conv->pending && !conv->readings && !conv->in_fanout && !conv->in_receipts;
}

void hold_step(struct chat *chat)
{
    struct hold *h, *next;
    DL_FOREACH_SAFE(chat->holds, h, next) {
        struct conv *conv = conv_of(chat, h);
        if (conv->state == CONV_LOADING || conv->state == CONV_CREATING) continue;
        if (conv->state == CONV_READY) conv_hold(chat, conv);
        if (!conv_is_free(chat, conv)) continue;
        if (conv->dirty_number <= chat->flushed) {
            conv_empty(chat, conv);
            hold_answer(chat, h, 0);
        } else if (chat->facts_broken) {
            hold_answer(chat, h, ERR_READ_ONLY);
        } else if (chat->facts_failed) {
            hold_answer(chat, h, ERR_STORAGE);
        } else {
            flush_now(chat);
        }
    }
}

void hold_stop(struct chat *chat)
{
    while (chat->holds) hold_answer(chat, chat->holds, ERR_GOING);
}

static void hold_run(struct chat *chat, struct errand *e)
{
    struct hold *h = (struct hold *)e;
    struct conv *conv = conv_of(chat, h);
    h->err = 0;
    if (chat->stopping) {
        h->err = ERR_GOING;
    } else if (!conv) {                               /* facts have all of it */
        conv = conv_held_new(chat, &h->conv);
        if (!conv) h->err = ERR_BUSY;
    } else if (conv->hold || conv->state == CONV_HELD) {
        h->err = ERR_BUSY;
    } else {
        conv->hold = h;
        e->later = true;
        DL_APPEND(chat->holds, h);
        shard_again(chat->shard);
    }
}

static void release_run(struct chat *chat, struct errand *e)
{
    struct conv *conv = conv_of(chat, (struct hold *)e);
    assert(conv && conv->state == CONV_HELD && !conv->hold);
    conv_free(chat, conv);
}

static void hold_done(struct shard *shard, struct errand *e)
{
    struct hold *h = (struct hold *)e;
    h->done(shard, h);
}

static void hold_go(struct shard *shard, struct hold *h, void (*run)(struct chat *chat, struct errand *e))
{
    h->err = ERR_GOING;                               /* unless somebody is there to say otherwise */
    h->errand.run = run;
    h->errand.done = hold_done;
    errand_send(shard, shard_of_conv(shard->house, &h->conv), &h->errand);
}

void hold_send(struct shard *shard, struct hold *h)
{
    hold_go(shard, h, hold_run);
}

void hold_release(struct shard *shard, struct hold *h)
{
    hold_go(shard, h, release_run);
}
