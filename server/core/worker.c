/* worker.c - a bounded queue, the threads that empty it, and the pipes that bring the works back.
 *
 *   shard ──submit──> queue (mutex) ──take──> thread ──pipe of (thread, shard)──> shard: done()
 *
 * `out` counts every work from its submit until done() is about to be called, and never exceeds queue_max. Each ring
 * has at least queue_max places, so a thread that brings one back always finds one: everything in its ring is
 * counted, and so is the work in its hand. (The count falls after the pop, with release, and rises with acquire; the
 * mutex then leads to the thread: it sees the slot free that the count says is free.)
 *
 * Which shards have works out at which worker is counted too, by the shard for itself, so that a turn looks only at
 * the pipes through which something may come: with a committer for each shard, all others' stay untouched. */
#include "server/core/worker.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "proto/err.h"
#include "server/core/shard.h"

enum { CACHE_LINE = 64, THREAD_NAME_BYTES = 16 };    /* the second is Linux's, with the NUL */

enum thread_state { THREAD_NONE, THREAD_OPENING, THREAD_RUNS, THREAD_FAILED };

struct thread {
    struct worker *worker;
    pthread_t id;
    enum thread_state state;                         /* under the worker's mutex until joined */
    int err;                                         /* what context_open said */
    void *context;                                   /* the thread's */
    uint8_t finished[(SHARDS_MAX + 8) / 8];          /* the thread's: shards to wake for what it pushed */
    struct pipe *pipe[SHARDS_MAX + 1];               /* to each shard; pushed by the thread */
};

struct home {
    _Alignas(CACHE_LINE) uint32_t out;               /* of this shard's works; its thread only */
};

struct worker {
    struct worker *next;                             /* in house->workers; fixed before the shards run */
    struct house *house;
    struct worker_config config;
    char name[THREAD_NAME_BYTES];
    _Atomic uint32_t out;
    struct home *home;                               /* [shards + 1] */
    pthread_mutex_t mutex;                           /* held for a few instructions; guards what follows */
    pthread_cond_t changed;
    struct work *first, **end;                       /* the queue, in order */
    bool stopping;
    struct thread thread[];                          /* [config.threads] */
};

static uint32_t round_up_to_power_of_two(uint32_t n)
{
    uint32_t p = 1;
    while (p < n) p *= 2;
    return p;
}

/* ---- a worker's thread ---- */

/* The next work, or all of them; NULL: told to stop and nothing is left. */
static struct work *worker_take(struct worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    while (!worker->first && !worker->stopping)
        pthread_cond_wait(&worker->changed, &worker->mutex);
    struct work *taken = worker->first;
    if (taken && worker->config.run_all) {
        worker->first = NULL;
    } else if (taken) {
        worker->first = taken->next;
        taken->next = NULL;
    }
    if (!worker->first) worker->end = &worker->first;
    pthread_mutex_unlock(&worker->mutex);
    return taken;
}

/* Bring the works back, then wake each of their shards once. */
static void thread_bring_back(struct thread *thread, struct work *list)
{
    struct house *house = thread->worker->house;
    while (list) {
        struct work *work = list;
        uint16_t home = work->home;
        list = work->next;
        work->next = NULL;
        struct parcel parcel = { .kind = PARCEL_WORK_DONE, .from = PARCEL_FROM_WORKER, .u.work = work };
        bool pushed = pipe_push(thread->pipe[home], &parcel);    /* the shard's from here on */
        assert(pushed);
        (void)pushed;
        thread->finished[home / 8] |= (uint8_t)(1u << home % 8);
    }
    for (uint16_t home = 0; home <= house->shards; home++) {
        if (!(thread->finished[home / 8] & 1u << home % 8)) continue;
        thread->finished[home / 8] &= (uint8_t)~(1u << home % 8);
        house_wake(house, home);
    }
}

/* Tell worker_start() how it went. */
static void thread_enter(struct thread *thread, enum thread_state state, int err)
{
    struct worker *worker = thread->worker;
    pthread_mutex_lock(&worker->mutex);
    thread->state = state;
    thread->err = err;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->mutex);
}

static void *thread_main(void *arg)
{
    struct thread *thread = arg;
    const struct worker_config *config = &thread->worker->config;
    pthread_setname_np(pthread_self(), thread->worker->name);
    if (config->nice) setpriority(PRIO_PROCESS, 0, config->nice);    /* on Linux, of this thread alone */

    int err = config->context_open ? config->context_open(config->arg, &thread->context) : 0;
    thread_enter(thread, err ? THREAD_FAILED : THREAD_RUNS, err);
    if (err) return NULL;

    struct work *list;
    while ((list = worker_take(thread->worker))) {
        if (config->run_all) config->run_all(list, thread->context);
        else list->run(list, thread->context);
        thread_bring_back(thread, list);
    }
    if (config->context_close) config->context_close(thread->context);
    return NULL;
}

/* ---- main ---- */

int worker_new(struct house *house, const struct worker_config *config, struct worker **worker_out)
{
    assert(config->threads >= 1 && config->queue_max >= 1);
    assert(!config->run_all || config->threads == 1);    /* "in order" means one thread */
    size_t shards = (size_t)house->shards + 1;
    struct worker *worker = calloc(1, sizeof *worker + config->threads * sizeof worker->thread[0]);
    if (!worker) return ERR_NOMEM;
    worker->house = house;
    worker->config = *config;
    snprintf(worker->name, sizeof worker->name, "%s", config->name ? config->name : "worker");
    worker->end = &worker->first;
    pthread_mutex_init(&worker->mutex, NULL);
    pthread_cond_init(&worker->changed, NULL);

    int err = ERR_NOMEM;
    worker->home = aligned_alloc(CACHE_LINE, shards * sizeof worker->home[0]);
    if (!worker->home) goto fail;
    memset(worker->home, 0, shards * sizeof worker->home[0]);
    uint32_t slots = round_up_to_power_of_two(config->queue_max);
    for (uint32_t i = 0; i < config->threads; i++) {
        worker->thread[i].worker = worker;
        for (size_t to = 0; to < shards; to++) {
            err = pipe_new(slots, &worker->thread[i].pipe[to]);
            if (err) goto fail;
        }
    }
    worker->next = house->workers;
    house->workers = worker;
    *worker_out = worker;
    return 0;
fail:
    worker_free(worker);
    return err;
}

/* Wait until the thread has opened its context; what came of it. */
static int thread_wait_open(struct thread *thread)
{
    struct worker *worker = thread->worker;
    pthread_mutex_lock(&worker->mutex);
    while (thread->state == THREAD_OPENING)
        pthread_cond_wait(&worker->changed, &worker->mutex);
    int err = thread->err;
    pthread_mutex_unlock(&worker->mutex);
    return err;
}

int worker_start(struct worker *worker)
{
    int err = 0;
    for (uint32_t i = 0; i < worker->config.threads && !err; i++) {
        struct thread *thread = &worker->thread[i];
        thread->state = THREAD_OPENING;
        if (pthread_create(&thread->id, NULL, thread_main, thread)) {
            thread->state = THREAD_NONE;
            err = ERR_NOMEM;
        } else {
            err = thread_wait_open(thread);
        }
    }
    if (err) worker_stop(worker);
    return err;
}

void worker_stop(struct worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    worker->stopping = true;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->mutex);
    for (uint32_t i = 0; i < worker->config.threads; i++) {
        if (worker->thread[i].state == THREAD_NONE) continue;
        pthread_join(worker->thread[i].id, NULL);
        worker->thread[i].state = THREAD_NONE;
    }
}

void worker_free(struct worker *worker)
{
    if (!worker) return;
    worker_stop(worker);
    assert(atomic_load(&worker->out) == 0);
    for (struct worker **at = &worker->house->workers; *at; at = &(*at)->next) {
        if (*at != worker) continue;
        *at = worker->next;
        break;
    }
    for (uint32_t i = 0; i < worker->config.threads; i++)
        for (size_t to = 0; to <= worker->house->shards; to++)
            pipe_free(worker->thread[i].pipe[to]);
    pthread_cond_destroy(&worker->changed);
    pthread_mutex_destroy(&worker->mutex);
    free(worker->home);
    free(worker);
}

/* ---- shards ---- */

/* One more out, if that many may be. */
static bool worker_reserve(struct worker *worker)
{
    uint32_t out = atomic_load_explicit(&worker->out, memory_order_relaxed);
    while (out < worker->config.queue_max) {
        if (atomic_compare_exchange_weak_explicit(&worker->out, &out, out + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    }
    return false;
}

bool worker_submit(struct worker *worker, struct shard *shard, struct work *work)
{
    assert(shard_is_current(shard));
    assert(work->done && (work->run || worker->config.run_all));
    if (!worker_reserve(worker)) return false;
    work->next = NULL;
    work->home = shard->id;
    work->err = 0;
    worker->home[shard->id].out++;
    shard->works_out++;

    pthread_mutex_lock(&worker->mutex);
    assert(!worker->stopping);
    *worker->end = work;
    worker->end = &work->next;
    pthread_cond_signal(&worker->changed);
    pthread_mutex_unlock(&worker->mutex);
    return true;
}

/* What came back from one thread. */
static bool thread_drain(struct thread *thread, struct shard *shard)
{
    struct worker *worker = thread->worker;
    struct parcel parcel;
    for (uint32_t n = 0; n < DRAIN_PARCELS_MAX; n++) {
        if (!pipe_pop(thread->pipe[shard->id], &parcel)) return true;
        struct work *work = parcel.u.work;
        /* Before done(): it may submit the same work again. */
        worker->home[shard->id].out--;
        shard->works_out--;
        atomic_fetch_sub_explicit(&worker->out, 1, memory_order_release);
        work->done(shard, work);
    }
    return pipe_waiting(thread->pipe[shard->id]) == 0;
}

bool workers_drain(struct house *house, struct shard *shard)
{
    bool all = true;
    for (struct worker *worker = house->workers; worker; worker = worker->next) {
        for (uint32_t i = 0; i < worker->config.threads && worker->home[shard->id].out > 0; i++)
            all &= thread_drain(&worker->thread[i], shard);
    }
    return all;
}

uint32_t worker_queued(const struct worker *worker)
{
    return atomic_load_explicit(&worker->out, memory_order_relaxed);
}
