/* limit.c - see limit.h. */
#include "server/chat/limit.h"

#include "server/chat/state.h"

enum stage { STAGE_PAIR, STAGE_ADDRESS, STAGE_PAIR_BACK };

static uint16_t shard_of_pair(const struct shard *shard, const struct limit *l)
{
    return shard_of_user(shard->house, &l->pair.user);
}

static uint16_t home_of_address(const struct shard *shard, const struct limit *l)
{
    return shard_of_address(shard->house, BYTES_OF(l->address.address));
}

/* -- taking ----------------------------------------------------------------------------------------------------- */

static void take_run(struct chat *chat, struct errand *e)
{
    struct limit *l = (struct limit *)e;
    const struct chat_settings *settings = &chat->settings;
    uint64_t now_ms = chat->shard->now_ms;
    switch ((enum stage)l->stage) {
    case STAGE_PAIR:
        l->wait_ms = attempts_take(chat->attempts, &l->pair, settings->attempts_account, now_ms);
        break;
    case STAGE_ADDRESS:
        l->wait_ms = attempts_take(chat->attempts, &l->address, settings->attempts_address, now_ms);
        break;
    case STAGE_PAIR_BACK:
        attempts_give(chat->attempts, &l->pair, settings->attempts_account, now_ms);
        break;
    }
}

static void take_done(struct shard *shard, struct errand *e)
{
    struct limit *l = (struct limit *)e;
    if (l->stage == STAGE_PAIR && l->wait_ms == 0) {
        l->stage = STAGE_ADDRESS;
        errand_send(shard, home_of_address(shard, l), &l->errand);
        return;
    }
    if (l->stage == STAGE_ADDRESS && l->wait_ms > 0) {
        l->stage = STAGE_PAIR_BACK;
        errand_send(shard, shard_of_pair(shard, l), &l->errand);
        return;
    }
    l->taken = l->wait_ms == 0;
    l->done(shard, l);
}

void limit_take(struct shard *shard, struct limit *l, const struct user_id *user, const char *peer,
                void (*done)(struct shard *shard, struct limit *l))
{
    attempt_key_of(peer, &l->address);
    l->pair = l->address;
    l->pair.user = *user;
    l->stage = STAGE_PAIR;
    l->taken = false;
    l->done = done;
    l->errand.run = take_run;
    l->errand.done = take_done;
    errand_send(shard, shard_of_pair(shard, l), &l->errand);
}

/* -- giving back ------------------------------------------------------------------------------------------------- */

static void give_run(struct chat *chat, struct errand *e)
{
    struct limit *l = (struct limit *)e;
    const struct chat_settings *settings = &chat->settings;
    bool pair = l->stage == STAGE_PAIR;
    attempts_give(chat->attempts, pair ? &l->pair : &l->address,
                  pair ? settings->attempts_account : settings->attempts_address, chat->shard->now_ms);
}

static void give_done(struct shard *shard, struct errand *e)
{
    struct limit *l = (struct limit *)e;
    if (l->stage == STAGE_ADDRESS) {
        l->done(shard, l);
        return;
    }
    l->stage = STAGE_ADDRESS;
    errand_send(shard, home_of_address(shard, l), &l->errand);
}

bool limit_give(struct shard *shard, struct limit *l, void (*done)(struct shard *shard, struct limit *l))
{
    if (!l->taken) return false;
    l->taken = false;
    l->stage = STAGE_PAIR;
    l->done = done;
    l->errand.run = give_run;
    l->errand.done = give_done;
    errand_send(shard, shard_of_pair(shard, l), &l->errand);
    return true;
}
