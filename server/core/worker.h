/* worker.h - threads that may block, so that shards need not.
 *
 * Three of them exist: a committer for each shard (one thread, one batch at a time), the facts thread (one
 * thread, everything queued becomes one transaction) and the job pool (a few threads, milliseconds each). A shard
 * submits a struct work; a thread runs it; it comes back to that shard as PARCEL_WORK_DONE through a pipe of that
 * thread, and `done` is called there. The queue is bounded; a full one answers "busy" and the source waits or
 * says so to its peer.
 *
 * The queue inside is a mutex and a condition, held for a few instructions: a shard never waits for work being
 * done, only for a pointer being linked. */
#ifndef PIPIT_CORE_WORKER_H
#define PIPIT_CORE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

struct shard;
struct worker;
struct house;

struct work {
    struct work *next;                                   /* the worker's while it has it */
    uint16_t home;                                       /* shard that submitted it; set by worker_submit */
    int err;                                             /* result; `run` or the batch function sets it */
    void (*run)(struct work *work, void *context);       /* on a worker's thread; context is that thread's */
    void (*done)(struct shard *shard, struct work *work);/* on the home shard; frees or reuses it */
};

struct worker_config {
    const char *name;                                    /* thread name, at most 11 characters */
    uint32_t threads;                                    /* 1.. */
    int nice;                                            /* of each thread: above 0, others have the CPU first */
    /* Works queued, running or on their way back, all shards together. Each thread has a ring of as many places
     * to every shard, so that bringing one back never fails: small where one batch is out at a time. */
    uint32_t queue_max;
    /* Per thread, on that thread: may be NULL. context_open returns 0 or ERR_*, which worker_start returns. */
    int (*context_open)(void *arg, void **context_out);
    void (*context_close)(void *context);
    void *arg;
    /* NULL: `run` each one. Else called with all that was queued, linked by next, in order, when threads == 1. It
     * must run each and set each err. */
    void (*run_all)(struct work *list, void *context);
};

/* Main, after house_init() and before house_start(): registers with the house. 0 or ERR_NOMEM. */
int worker_new(struct house *house, const struct worker_config *config, struct worker **worker_out);
int worker_start(struct worker *worker);                 /* main, before shards run; 0, ERR_NOMEM or context_open's */
/* Shard thread. False: queue_max reached; the work stays the caller's. */
bool worker_submit(struct worker *worker, struct shard *shard, struct work *work);
/* Finish what is queued, end the threads, join. Main. Usually after house_join(), when all has come back; if works are
 * still out, their shards must drain afterwards. Harmless when not started, or twice. */
void worker_stop(struct worker *worker);
void worker_free(struct worker *worker);                 /* stops; asserts that no work is out. NULL is allowed */
uint32_t worker_queued(const struct worker *worker);     /* as counted against queue_max; any thread, may be stale */
/* For shard.c: call done() of the works that came back to `shard`, from all workers of its house, at most
 * DRAIN_PARCELS_MAX from each thread. False: more are left. Shard thread. */
bool workers_drain(struct house *house, struct shard *shard);

#endif
