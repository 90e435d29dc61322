/* errand.h - what a shard has done by another, for a user or an address that lives there, and hears when it is done.
 *
 * An ask belongs to a session and goes to a conversation; an errand belongs to whoever sends it: a request over HTTP,
 * one about devices, one on the admin socket (main's shard sends them too). It travels as PARCEL_ERRAND under a credit,
 * is done at once where it arrives, or kept there until it is, and comes back as PARCEL_ERRAND_DONE. One that finds no
 * credit waits at its sender, in order, and is never refused: rows are committed by then, and sessions must hear of it.
 * How many there are is bounded by what sends them: a connection has one request under way.
 * Thread: its sender's shard, and the other one while it is there. */
#ifndef PIPIT_CHAT_ERRAND_H
#define PIPIT_CHAT_ERRAND_H

#include "server/core/core.h"

struct chat;

struct errand {
    struct errand *prev, *next;                            /* while it waits for a credit */
    uint16_t origin, to;
    bool later;                                            /* set by run(): errand_answer() sends it back */
    void (*run)(struct chat *chat, struct errand *e);      /* on shard `to`: may not wait for anything */
    void (*done)(struct shard *shard, struct errand *e);   /* on its sender's shard: frees or reuses it */
};

/* The sender's until done() is called, and that is never from within this call, but for one case: main's shard, when
 * all others have ended already. Nobody has a session then. */
void errand_send(struct shard *shard, uint16_t to, struct errand *e);
/* Those that found no credit: again, when one may have come back. */
void errands_retry(struct shard *shard);
/* On shard `to`: one that run() kept is done. A shard that stops must not keep any. */
void errand_answer(struct shard *shard, struct errand *e);
/* Both parcels. */
void errand_on_parcel(struct shard *shard, const struct parcel *parcel);

#endif
