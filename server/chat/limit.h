/* limit.h - may this attempt go on? Asked where the buckets are, before anything else is looked at.
 *
 * First the bucket of (user, address), on the user's shard; then that of the address over all names, on the shard its
 * hash gives: in this order, so that an attempt that is refused for the account costs the address nothing. Who is
 * refused by the second gets the first one's token back.
 * Thread: its sender's shard. */
#ifndef PIPIT_CHAT_LIMIT_H
#define PIPIT_CHAT_LIMIT_H

#include "server/chat/attempts.h"
#include "server/chat/errand.h"

struct limit {
    struct errand errand;
    struct attempt_key pair, address;
    uint8_t stage;
    bool taken;                   /* tokens are out: limit_give() takes them back */
    uint64_t wait_ms;             /* the answer: 0: go on; else come back in so long */
    void (*done)(struct shard *shard, struct limit *l);
};

/* `l` is the caller's, which must keep it until done(). */
void limit_take(struct shard *shard, struct limit *l, const struct user_id *user, const char *peer,
                void (*done)(struct shard *shard, struct limit *l));
/* Nothing was guessed: the tokens go back, and then done() is called, so that who is answered in it may try again at
 * once. False: none were taken, and done() is not called. `l` is kept until then, as above. */
bool limit_give(struct shard *shard, struct limit *l, void (*done)(struct shard *shard, struct limit *l));

#endif
