/* shard.h - a thread, its loop, and the pipes that reach it.
 *
 * A house has N shards that serve (numbers 0..N-1) and one more, number N, that is main's: it runs signals and the
 * admin socket on main's own thread and owns no users. All are the same struct and speak the same parcels.
 *
 * A turn, from a uv_prepare_t just before the loop would sleep, in this order, each part with a limit:
 *   drain pipes → timeouts → the owner's slices (shard_ops.slice) → flush connections that became dirty →
 *   one fence and one wake for each shard pushed to → end of turn (shard_ops.turn_end: the batch goes to the
 *   committer)
 * If a limit stopped one of these, a uv_idle_t keeps the poll from blocking until the next turn. Callbacks of
 * libuv only queue.
 *
 * A shard never stops draining its pipes. Requests hold a credit towards the receiver that reserves the place of
 * their answer, so answers never fail; pushes use what room is left beside the reserve, and their source waits. */
#ifndef PIPIT_CORE_SHARD_H
#define PIPIT_CORE_SHARD_H

#include <uv.h>

#include "proto/id.h"
#include "server/core/clock.h"
#include "server/core/parcel.h"
#include "server/core/pipe.h"
#include "server/core/stats.h"
#include "server/core/wheel.h"

enum {
    SHARDS_MAX = 255,               /* one less than the logs a data folder may have: main is one more */
    /* Requests of one shard to another that have no answer yet. Each ring has room for the requests of its
     * pusher, for the answers it owes, and as many pushes: 4 * CREDITS_MAX slots. */
    CREDITS_MAX = 1024,
    PIPE_SLOTS = 4 * CREDITS_MAX,
    DRAIN_PARCELS_MAX = 1024,       /* from one pipe in one turn */
    TIMEOUTS_PER_TURN_MAX = 4096,
};

struct house;
struct shard;
struct conn;

/* What the folders above give the shard to call. Set by server.c before the thread starts. */
struct shard_ops {
    void (*on_start)(struct shard *shard);                           /* on its thread, before its first turn */
    void (*on_parcel)(struct shard *shard, const struct parcel *p);  /* all kinds but WORK_DONE and CALL */
    /* A slice of fan-out and catch-up; true: more is left to do at once. */
    bool (*slice)(struct shard *shard);
    /* Flush dirty connections (net); before the wakes. */
    void (*flush)(struct shard *shard);
    void (*turn_end)(struct shard *shard);
    void (*on_stop)(struct shard *shard);                            /* begin to stop: close what you have */
    bool (*is_stopped)(struct shard *shard);                         /* all closed: the loop may end */
};

struct shard {
    uint16_t id;                    /* fixed before the thread starts */
    struct house *house;
    const struct shard_ops *ops;
    uv_async_t wake;                /* any thread, through house_wake() */
    struct stats stats;             /* written here, read anywhere */
    /* -- below: this shard's thread only -- */
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_idle_t idle;
    uv_timer_t timer;               /* the wheel's */
    struct wheel wheel;
    uint64_t now_ms;                /* monotonic, read once a turn */
    uint64_t wall_ms;               /* read once a turn */
    uint32_t credits[SHARDS_MAX + 1];        /* requests out, by receiver */
    uint8_t pushed[(SHARDS_MAX + 8) / 8];    /* bit set: wake it at the end of the turn */
    bool stopping;
    struct net *net;                /* of net/: this shard's connections */
    struct chat *chat;              /* of chat/: this shard's users and conversations */
    void *owner;                    /* main's shard: server.c's own */
};

struct house {
    uint16_t shards;                /* serving; shard[shards] is main's */
    struct shard *shard[SHARDS_MAX + 1];
    struct pipe *pipe[SHARDS_MAX + 1][SHARDS_MAX + 1];   /* [from][to]; also from == to */
    const struct clock *clock;
    uint8_t hash_key[16];
    /* pipes of worker threads towards shards hang in the workers (worker.c) and register here */
    struct worker *workers;
};

int house_init(struct house *house, uint16_t shards, const struct clock *clock, const uint8_t hash_key[static 16]);
void house_fini(struct house *house);
/* Wire and run. Shard `shards` is run by the caller's thread: house_run_main(). */
int house_start(struct house *house, const struct shard_ops *ops, const struct shard_ops *main_ops);
void house_run_main(struct house *house);       /* returns after house_stop() and all of main's handles closed */
void house_stop(struct house *house);           /* any thread: ask all serving shards to stop */
void house_join(struct house *house);           /* main: wait for the serving shards' threads */

/* Homes: SipHash-2-4 of the id under the data folder's key, modulo the number of shards. */
uint16_t shard_of_user(const struct house *house, const struct user_id *user);
uint16_t shard_of_conv(const struct house *house, const struct conv_id *conv);
bool shard_is_current(const struct shard *shard);     /* called on its thread? for asserts */

/* A REQUEST: takes a credit; false: none left, the source waits. The answer gives it back by itself. */
bool shard_request(struct shard *from, uint16_t to, const struct parcel *parcel);
/* An ANSWER to a request that came from `to`: never fails. */
void shard_answer(struct shard *from, uint16_t to, const struct parcel *parcel);
/* A PUSH: false: no room beside the reserve; on_parcel's turn of this shard comes again when there is (the shard is
 * woken), so a waiting source simply tries again in its next slice. */
bool shard_push(struct shard *from, uint16_t to, const struct parcel *parcel);
/* Run fn(shard, arg) on another shard, from main's thread (a PUSH from shard N). */
bool house_call(struct house *house, uint16_t to, void (*fn)(struct shard *, void *), void *arg);
/* From worker threads and tests: the fence and the wake. */
void house_wake(struct house *house, uint16_t shard);
/* More to do at once: do not let the poll block before the next turn. */
void shard_again(struct shard *shard);

#endif
