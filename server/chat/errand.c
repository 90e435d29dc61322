/* errand.c - see errand.h. */
#include "server/chat/errand.h"

#include <assert.h>
#include <utlist.h>

#include "server/chat/chat.h"

static bool errand_try(struct shard *shard, struct errand *e)
{
    struct parcel parcel = { .kind = PARCEL_ERRAND, .u.errand = e };
    return shard_request(shard, e->to, &parcel);
}

void errand_send(struct shard *shard, uint16_t to, struct errand *e)
{
    e->origin = shard->id;
    e->to = to;
    e->later = false;
    if (!shard->errands && errand_try(shard, e)) return;
    if (shard->credits_out == 0 && !shard->errands) {
        /* Refused although all credits are here: the house has ended. Only main's shard outlives it. */
        assert(shard->id == shard->house->shards);
        e->done(shard, e);
        return;
    }
    DL_APPEND(shard->errands, e);
}

void errands_retry(struct shard *shard)
{
    struct errand *e, *next;
    DL_FOREACH_SAFE(shard->errands, e, next) {
        if (shard->credits[e->to] == CREDITS_MAX) continue;    /* others may have one */
        DL_DELETE(shard->errands, e);
        bool sent = errand_try(shard, e);
        assert(sent);    /* who waits holds credits, and a house does not end before they are back */
        (void)sent;
    }
}

void errand_answer(struct shard *shard, struct errand *e)
{
    struct parcel answer = { .kind = PARCEL_ERRAND_DONE, .u.errand = e };
    shard_answer(shard, e->origin, &answer);
}

void errand_on_parcel(struct shard *shard, const struct parcel *parcel)
{
    struct errand *e = parcel->u.errand;
    if (parcel->kind == PARCEL_ERRAND) {
        /* without it the shard never began, and has no sessions */
        if (shard->chat) e->run(shard->chat, e);
        if (!e->later) errand_answer(shard, e);
        return;
    }
    assert(parcel->kind == PARCEL_ERRAND_DONE);
    if (shard->errands) errands_retry(shard);
    e->done(shard, e);
}
