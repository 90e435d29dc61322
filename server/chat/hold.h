/* hold.h - a conversation that is being erased is let go by its home, and stays away until that is done.
 *
 *   READY ──held──> HELD ──committed, read, told, flushed──> (nothing of it in memory) ──released──> gone from the table
 *
 * While it is held, sends to it are answered BUSY (repeat: the number stays free) and so are reads; cursors move nothing.
 * What was accepted before is committed and flushed first: a fold that came after its rows were deleted would bring them
 * back. Then its keys are wiped here. Main's shard sends both errands (server/admin_erase.c); a hold that came back with
 * 0 must be released.
 * Thread: its sender's shard, and the home while it is there. */
#ifndef PIPIT_CHAT_HOLD_H
#define PIPIT_CHAT_HOLD_H

#include "proto/proto.h"
#include "server/chat/errand.h"

struct hold {
    struct errand errand;
    struct conv_id conv;
    /* 0: it is held. ERR_BUSY: another one holds it, or no memory; ERR_STORAGE, ERR_READ_ONLY: what was accepted cannot
     * become rows now; ERR_GOING: the server stops. */
    int err;
    void (*done)(struct shard *shard, struct hold *hold);   /* on the sender's shard */
    void *arg;                                              /* the sender's */
    struct hold *prev, *next;                               /* the home's: chat->holds */
};

/* errand_send()'s rule for done() holds for both. */
void hold_send(struct shard *shard, struct hold *hold);
void hold_release(struct shard *shard, struct hold *hold);

/* -- the home's ----------------------------------------------------------------------------------------------- */
/* Once a turn: has anything become free? */
void hold_step(struct chat *chat);
/* Nothing is held any more: the server stops. */
void hold_stop(struct chat *chat);

#endif
