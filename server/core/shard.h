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
 * their answer, so answers never fail; pushes use what room is left beside the reserve, and their source waits.
 * shard.c says why there is no circle of full pipes.
 *
 * Order, all on main's thread:
 *   house_init → worker_new, worker_start → house_start → house_run_main
 *   house_stop (any thread) → house_join → worker_stop, worker_free → house_fini
 * Stopping: each serving shard runs on_stop, goes on with its turns, and is quiet once is_stopped() says so, none of
 * its requests or works is out, and what it pushed to other serving shards was popped. When all are quiet at once
 * they end together, so nothing is ever sent to a thread that is gone. Main's shard is asked (on_stop) when the last
 * of them has ended, and ends when it is stopped itself and its pipes are empty. */
#ifndef PIPIT_CORE_SHARD_H
#define PIPIT_CORE_SHARD_H

#include <pthread.h>
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

/* What the folders above give the shard to call, all on its thread. Set by server.c before the thread starts; what a
 * shard does not need may be NULL (is_stopped: it is). After is_stopped() said true it stays so. */
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
    uint32_t credits_out;                    /* their sum */
    uint32_t works_out;                      /* submitted to workers and not come back */
    uint8_t pushed[(SHARDS_MAX + 8) / 8];    /* bit set: wake it at the end of the turn */
    uint64_t timer_due_ms;                   /* UINT64_MAX: the uv_timer is not set */
    bool stopping;                           /* on_stop was called */
    bool counted;                            /* in house->busy, see shard.c */
    pthread_t thread;                        /* house.c's */
    struct net *net;                /* of net/: this shard's connections */
    struct chat *chat;              /* of chat/: this shard's users and conversations */
    struct errand *errands;         /* of chat/: those that found no credit, on main's shard too */
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
    /* -- house.c and shard.c alone -- */
    pthread_mutex_t starting;       /* held while threads are made: none begins before all exist */
    bool started;                   /* under `starting` */
    _Atomic bool stopping;
    _Atomic bool main_ran;          /* house_run_main() was called */
    _Atomic uint32_t busy;          /* shards that are not quiet; once 0, for good */
    _Atomic uint32_t running;       /* serving shards that have not ended */
};

/* Make shards, loops and pipes; no thread yet. The rings are (shards + 1)^2 times 96 KiB of address space, of which
 * the kernel gives a page when it is first used. 0 or ERR_NOMEM, or ERR_IO when the process has no descriptors left. */
int house_init(struct house *house, uint16_t shards, const struct clock *clock, const uint8_t hash_key[static 16]);
void house_fini(struct house *house);           /* asserts that all pipes are empty and all the owner's handles
                                                 * closed */
/* Wire and run. Shard `shards` is run by the caller's thread: house_run_main(). 0, or ERR_NOMEM when a thread could not
 * be made; then none runs and no op was called. */
int house_start(struct house *house, const struct shard_ops *ops, const struct shard_ops *main_ops);
void house_run_main(struct house *house);       /* returns after house_stop(), when main's shard has ended too */
void house_stop(struct house *house);           /* any thread: ask all shards to stop */
/* Main: wait for the serving shards' threads. They may need main's shard to end (it answers and drains), so it is run
 * from here when house_run_main() was never called. */
void house_join(struct house *house);

/* Homes: SipHash-2-4 of the id under the data folder's key, modulo the number of shards. */
uint16_t shard_of_user(const struct house *house, const struct user_id *user);
uint16_t shard_of_conv(const struct house *house, const struct conv_id *conv);
uint16_t shard_of_address(const struct house *house, struct bytes address);    /* where its attempts are counted */
bool shard_is_current(const struct shard *shard);     /* called on its thread? for asserts */

/* A REQUEST: takes a credit; false: none left, the source waits. The answer gives it back by itself, before on_parcel
 * sees it. There is no wake of its own for "a credit is free again": it comes with an answer, thus within a turn. */
bool shard_request(struct shard *from, uint16_t to, const struct parcel *parcel);
/* An ANSWER to a request that came from `to`: never fails. `from` is set in the copy that travels, here and in the
 * other two; all three are called on from's own thread. */
void shard_answer(struct shard *from, uint16_t to, const struct parcel *parcel);
/* A PUSH: false: no room beside the reserve; on_parcel's turn of this shard comes again when there is (the shard is
 * woken), so a waiting source simply tries again in its next slice. */
bool shard_push(struct shard *from, uint16_t to, const struct parcel *parcel);
/* Run fn(shard, arg) on another shard, from main's thread (a PUSH from shard N). False: no room, or the house has
 * ended; fn will not run. */
bool house_call(struct house *house, uint16_t to, void (*fn)(struct shard *, void *), void *arg);
/* From worker threads and tests: the fence and the wake. */
void house_wake(struct house *house, uint16_t shard);
/* More to do at once: do not let the poll block before the next turn. */
void shard_again(struct shard *shard);
/* Read now_ms and wall_ms again. For callbacks that libuv runs from its poll: the turn was before the sleep, so its
 * time may be as old as the sleep was long. */
void shard_read_clock(struct shard *shard);

/* For house.c: the parts of a shard's life. */
int shard_open(struct house *house, uint16_t id, struct shard **shard_out);
void shard_run(struct shard *shard);            /* on its thread: on_start, turns, until it ends */
void shard_close(struct shard *shard);          /* no thread runs it; NULL is allowed */

#endif
