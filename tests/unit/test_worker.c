/* test_worker.c - works run on threads of their own and come back to the shard that submitted them.
 *
 * On other threads than the test's the checks are plain asserts: cmocka's jump back into the test. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "proto/err.h"
#include "server/core/core.h"
#include "tests/harness/sanitized.h"

enum { SHARDS = 3, WORKS_PER_SHARD = SANITIZED_THREAD ? 5000 : 50000, OUT_PER_SHARD = 40 };

static const uint8_t hash_key[16];

/* ---- a house in which every shard, main's too, keeps a worker busy ---- */

struct job {
    struct work work;                  /* first: a work is a job */
    uint32_t number;                   /* what to run */
    uint32_t answer;                   /* number * 2 + 1, set by the thread */
};

struct client {
    struct worker *worker;
    struct job job[OUT_PER_SHARD];
    struct job *free[OUT_PER_SHARD];
    uint32_t free_count, submitted, back, refused;
    uint32_t last_number;
    bool in_order;
};
static struct client clients[SHARDS + 1];
static _Atomic uint32_t at_once, at_once_max;

static void job_run(struct work *work, void *context)
{
    struct job *job = (struct job *)work;
    assert(context == &at_once);
    uint32_t now = atomic_fetch_add(&at_once, 1) + 1, max = atomic_load(&at_once_max);
    while (now > max && !atomic_compare_exchange_weak(&at_once_max, &max, now)) {}
    job->answer = job->number * 2 + 1;
    job->work.err = job->number % 7 ? 0 : ERR_BUSY;
    atomic_fetch_sub(&at_once, 1);
}

static void job_run_all(struct work *list, void *context)
{
    for (; list; list = list->next) job_run(list, context);
}

static void job_done(struct shard *shard, struct work *work)
{
    struct job *job = (struct job *)work;
    struct client *c = shard->owner;
    assert(shard_is_current(shard) && work->home == shard->id);
    assert(job->answer == job->number * 2 + 1);
    assert(work->err == (job->number % 7 ? 0 : ERR_BUSY));
    job->answer = 0;
    if (job->number != c->last_number + 1) c->in_order = false;
    c->last_number = job->number;
    c->back++;
    c->free[c->free_count++] = job;
}

static bool client_slice(struct shard *shard)
{
    struct client *c = shard->owner;
    while (c->submitted < WORKS_PER_SHARD && c->free_count > 0) {
        struct job *job = c->free[c->free_count - 1];
        job->number = c->submitted + 1;
        job->work.run = job_run;
        job->work.done = job_done;
        if (!worker_submit(c->worker, shard, &job->work)) {
            c->refused++;
            return true;    /* others' works fill the queue: try again */
        }
        c->free_count--;
        c->submitted++;
    }
    return false;    /* the next turn comes with a work that is done */
}

static bool client_is_stopped(struct shard *shard)
{
    const struct client *c = shard->owner;
    return c->back == WORKS_PER_SHARD;
}

static bool client_main_slice(struct shard *shard)
{
    bool more = client_slice(shard);
    if (client_is_stopped(shard)) house_stop(shard->house);
    return more;
}

static int context_open(void *arg, void **context_out)
{
    *context_out = arg;
    return 0;
}

static void run_clients(const struct worker_config *config)
{
    static const struct shard_ops ops = { .slice = client_slice, .is_stopped = client_is_stopped };
    static const struct shard_ops main_ops = { .slice = client_main_slice, .is_stopped = client_is_stopped };
    struct house house;
    struct worker *worker;
    memset(clients, 0, sizeof clients);
    atomic_store(&at_once_max, 0);
    assert_int_equal(house_init(&house, SHARDS, clock_real(), hash_key), 0);
    assert_int_equal(worker_new(&house, config, &worker), 0);
    assert_int_equal(worker_start(worker), 0);
    for (int i = 0; i <= SHARDS; i++) {
        struct client *c = &clients[i];
        c->worker = worker;
        c->in_order = true;
        for (int j = 0; j < OUT_PER_SHARD; j++) c->free[c->free_count++] = &c->job[j];
        house.shard[i]->owner = c;
    }
    assert_int_equal(house_start(&house, &ops, &main_ops), 0);
    house_run_main(&house);
    house_join(&house);
    assert_int_equal(worker_queued(worker), 0);
    worker_stop(worker);
    worker_free(worker);
    house_fini(&house);
    for (int i = 0; i <= SHARDS; i++) {
        assert_int_equal(clients[i].back, WORKS_PER_SHARD);
        assert_int_equal(clients[i].free_count, OUT_PER_SHARD);
    }
}

static void every_work_comes_back_once_to_its_shard_from_many_threads(void **state)
{
    (void)state;
    struct worker_config config = {
        .name = "jobs", .threads = 3, .queue_max = 50, .context_open = context_open, .arg = &at_once,
    };
    run_clients(&config);
    assert_in_range(at_once_max, 1, 3);
}

static void one_thread_runs_them_in_the_order_they_were_submitted(void **state)
{
    (void)state;
    struct worker_config config = {
        .name = "facts", .threads = 1, .queue_max = 4 * OUT_PER_SHARD, .context_open = context_open, .arg = &at_once,
        .run_all = job_run_all,
    };
    run_clients(&config);
    for (int i = 0; i <= SHARDS; i++) {
        assert_true(clients[i].in_order);
        assert_int_equal(clients[i].refused, 0);    /* queue_max has room for all */
    }
    assert_int_equal(at_once_max, 1);
}

/* ---- a committer: a thread held at a gate, one or two works ---- */

static struct {
    struct worker *worker;
    struct work work[4];
    sem_t entered, gate;               /* the thread has begun; it may go on */
    sem_t submitted;                   /* all four were tried; the test may stop the house */
    uint32_t accepted, back, lists, longest_list;
    bool resubmitted, stop_seen_before_back;
} held;

static void held_run_all(struct work *list, void *context)
{
    (void)context;
    held.lists++;
    sem_post(&held.entered);
    sem_wait(&held.gate);
    uint32_t length = 0;
    for (; list; list = list->next) length++;
    if (length > held.longest_list) held.longest_list = length;
}

static void held_done(struct shard *shard, struct work *work)
{
    (void)shard;
    (void)work;
    held.back++;
}

/* Submit all; `arg` is how many should be taken. */
static void held_submit(struct shard *shard, void *arg)
{
    for (int i = 0; i < 4; i++) {
        held.work[i].done = held_done;
        if (worker_submit(held.worker, shard, &held.work[i])) held.accepted++;
        /* The thread holds the first alone; what is submitted now waits. */
        if (i == 0) sem_wait(&held.entered);
    }
    assert(held.accepted == *(uint32_t *)arg);
    sem_post(&held.submitted);
}

static void held_on_stop(struct shard *shard)
{
    (void)shard;
    held.stop_seen_before_back = held.back == 0;
    /* Only now may the thread finish: the shard has nothing else to wait for. */
    for (int i = 0; i < 4; i++) sem_post(&held.gate);
}

static void run_held(uint32_t queue_max)
{
    static const struct shard_ops ops = { .on_stop = held_on_stop };
    struct worker_config config = { .name = "commit-0", .threads = 1, .queue_max = queue_max, .run_all = held_run_all };
    struct house house;
    uint32_t expected = queue_max < 4 ? queue_max : 4;
    memset(&held, 0, sizeof held);
    sem_init(&held.entered, 0, 0);
    sem_init(&held.gate, 0, 0);
    sem_init(&held.submitted, 0, 0);
    assert_int_equal(house_init(&house, 1, clock_real(), hash_key), 0);
    assert_int_equal(worker_new(&house, &config, &held.worker), 0);
    assert_int_equal(worker_start(held.worker), 0);
    assert_int_equal(house_start(&house, &ops, NULL), 0);
    assert_true(house_call(&house, 0, held_submit, &expected));
    sem_wait(&held.submitted);
    house_stop(&house);
    house_join(&house);
    worker_free(held.worker);
    house_fini(&house);
    sem_destroy(&held.entered);
    sem_destroy(&held.gate);
    sem_destroy(&held.submitted);
}

static void a_full_queue_refuses_and_leaves_the_work_with_its_owner(void **state)
{
    (void)state;
    run_held(1);
    assert_int_equal(held.accepted, 1);
    assert_int_equal(held.back, 1);
    run_held(3);
    assert_int_equal(held.accepted, 3);
    assert_int_equal(held.back, 3);
}

static void what_queued_while_the_thread_was_busy_becomes_one_list(void **state)
{
    (void)state;
    run_held(100);
    assert_int_equal(held.back, 4);
    assert_int_equal(held.lists, 2);
    assert_int_equal(held.longest_list, 3);
}

static void a_shard_does_not_end_before_its_works_have_come_back(void **state)
{
    (void)state;
    run_held(2);
    assert_true(held.stop_seen_before_back);
    assert_int_equal(held.back, 2);
}

static void again_done(struct shard *shard, struct work *work)
{
    if (++held.back < 1000) held.resubmitted = worker_submit(held.worker, shard, work);
}

static void again_run(struct work *work, void *context)
{
    (void)work;
    (void)context;
}

static void again_start(struct shard *shard)
{
    held.work[0].run = again_run;
    held.work[0].done = again_done;
    held.accepted = worker_submit(held.worker, shard, &held.work[0]);
}

static void a_work_may_be_submitted_again_from_its_done_with_a_queue_of_one(void **state)
{
    (void)state;
    static const struct shard_ops ops = { .on_start = again_start };
    struct worker_config config = { .name = "commit-0", .threads = 1, .queue_max = 1 };
    struct house house;
    memset(&held, 0, sizeof held);
    assert_int_equal(house_init(&house, 1, clock_real(), hash_key), 0);
    assert_int_equal(worker_new(&house, &config, &held.worker), 0);
    assert_int_equal(worker_start(held.worker), 0);
    assert_int_equal(house_start(&house, &ops, NULL), 0);
    house_stop(&house);
    house_join(&house);
    worker_free(held.worker);
    house_fini(&house);
    assert_int_equal(held.accepted, 1);
    assert_true(held.resubmitted);
    assert_int_equal(held.back, 1000);
}

/* ---- contexts ---- */

static struct { _Atomic uint32_t opened, closed; uint32_t fail_at; pthread_t thread[4]; } contexts;

static int count_open(void *arg, void **context_out)
{
    (void)arg;
    uint32_t n = atomic_fetch_add(&contexts.opened, 1);
    if (n + 1 == contexts.fail_at) return ERR_IO;
    contexts.thread[n] = pthread_self();
    *context_out = &contexts.thread[n];
    return 0;
}

static void count_close(void *context)
{
    assert(pthread_equal(*(pthread_t *)context, pthread_self()));
    atomic_fetch_add(&contexts.closed, 1);
}

static int start_and_free(uint32_t fail_at)
{
    struct worker_config config = {
        .name = "jobs", .threads = 4, .queue_max = 8, .context_open = count_open, .context_close = count_close,
    };
    struct house house;
    struct worker *worker;
    memset(&contexts, 0, sizeof contexts);
    contexts.fail_at = fail_at;
    assert_int_equal(house_init(&house, 1, clock_real(), hash_key), 0);
    assert_int_equal(worker_new(&house, &config, &worker), 0);
    int err = worker_start(worker);
    worker_free(worker);
    house_fini(&house);
    return err;
}

static void each_thread_opens_and_closes_a_context_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(start_and_free(0), 0);
    assert_int_equal(contexts.opened, 4);
    assert_int_equal(contexts.closed, 4);
}

static void a_context_that_does_not_open_fails_the_start_and_closes_the_others(void **state)
{
    (void)state;
    assert_int_equal(start_and_free(3), ERR_IO);
    assert_int_equal(contexts.opened, 3);
    assert_int_equal(contexts.closed, 2);
}

static void a_worker_that_never_started_can_be_freed(void **state)
{
    (void)state;
    struct worker_config config = { .name = "jobs", .threads = 2, .queue_max = 5 };
    struct house house;
    struct worker *a, *b;
    assert_int_equal(house_init(&house, 2, clock_real(), hash_key), 0);
    assert_int_equal(worker_new(&house, &config, &a), 0);
    assert_int_equal(worker_new(&house, &config, &b), 0);
    worker_free(a);    /* in the middle of the house's list */
    assert_ptr_equal(house.workers, b);
    worker_free(b);
    worker_free(NULL);
    assert_null(house.workers);
    house_fini(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_work_comes_back_once_to_its_shard_from_many_threads),
        cmocka_unit_test(one_thread_runs_them_in_the_order_they_were_submitted),
        cmocka_unit_test(a_full_queue_refuses_and_leaves_the_work_with_its_owner),
        cmocka_unit_test(what_queued_while_the_thread_was_busy_becomes_one_list),
        cmocka_unit_test(a_shard_does_not_end_before_its_works_have_come_back),
        cmocka_unit_test(a_work_may_be_submitted_again_from_its_done_with_a_queue_of_one),
        cmocka_unit_test(each_thread_opens_and_closes_a_context_of_its_own),
        cmocka_unit_test(a_context_that_does_not_open_fails_the_start_and_closes_the_others),
        cmocka_unit_test(a_worker_that_never_started_can_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
