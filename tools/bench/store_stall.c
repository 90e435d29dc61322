/* store_stall.c - how long who writes and reads waits while the keeper sorts and merges, and without.
 *
 * A folder of tables and of closed segments that wait to be sorted. Commits of sixteen messages at fixed times, as
 * another thread reads pages; the keeper works at the rate of the server's default. It rests in every other second:
 * those are the "without", so that both have the same minutes of the disk. Latency counts from when it was
 * due. */
#include <errno.h>
#include <time.h>

#include "tools/bench/histogram.h"
#include "tools/bench/store.h"

enum {
    SORTED_MESSAGES = 500000, WAITING_MESSAGES = 150000,
    SLICES = 15, SLICE_MS = 1000, EVERY_US = 10000, BATCH = 16, PAGE = 50, PAGE_EVERY_US = 2000,
};

struct page_reader {
    struct town *town;
    struct histogram *pages;           /* [2]: without, with */
    atomic_int which;                  /* of the two; below 0: end */
};

static void wait_until(uint64_t due_ns)
{
    struct timespec t = { (time_t)(due_ns / 1000000000), (long)(due_ns % 1000000000) };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {}
}

/* The first half of a page is a shard's. Both threads take turns at being it, under the lock. */
static pthread_mutex_t shard = PTHREAD_MUTEX_INITIALIZER;

static void *reader_main(void *arg)
{
    struct page_reader *r = arg;
    struct town *town = r->town;
    struct record_page page;
    uint64_t due = now_ns(), random = 1;
    record_page_init(&page);
    for (int which; (which = atomic_load(&r->which)) >= 0; due += PAGE_EVERY_US * UINT64_C(1000)) {
        wait_until(due);
        random = random * UINT64_C(6364136223846793005) + 1;
        struct find find = { .partition = town->convs[(random >> 33) % TOWN_CONVS].id, .what = FIND_RECORDS, .from = 1,
                             .to = UINT64_MAX, .newest = true, .max = PAGE, .bytes_max = SIZE_MAX };
        pthread_mutex_lock(&shard);
        uint64_t began = now_ns();     /* waiting for the other thread is not the engine's */
        struct view *view = log_view(town->store.log[0], &find);
        pthread_mutex_unlock(&shard);
        if (!view || view_read(view, &page)) die("a page cannot be read");
        view_free(view);
        histogram_add(&r->pages[which], now_ns() - began);
    }
    record_page_fini(&page);
    return NULL;
}

static void commit_slice(struct town *town, struct histogram *h)
{
    uint64_t due = now_ns(), now_ms = msg_id_ms(&town->convs[0].last_id);
    for (int i = 0; i < SLICE_MS * 1000 / EVERY_US; i++, due += EVERY_US * UINT64_C(1000)) {
        wait_until(due);
        pthread_mutex_lock(&shard);
        for (int k = 0; k < BATCH; k++) {
            int err = town_say(town, town_draw(town), now_ms);
            if (err) die("append: %s", err_text(err));
        }
        struct batch *batch = log_take(town->store.log[0]);
        pthread_mutex_unlock(&shard);
        int err = batch_sync(batch);
        if (err) die("commit: %s", err_text(err));
        histogram_add(h, now_ns() - due);
        pthread_mutex_lock(&shard);
        log_done(town->store.log[0], batch, 0);
        pthread_mutex_unlock(&shard);
    }
}

static void print(const char *what, const struct histogram *h)
{
    figure((double)histogram_quantile(h, 0.5) / 1e3, "%s_p50", what);
    figure((double)histogram_quantile(h, 0.99) / 1e3, "%s_p99", what);
}

void store_stall(const char *dir)
{
    static struct town town;
    static struct histogram commits[2], pages[2];
    pthread_t thread;
    uint64_t now_ms = wall_ms();
    town_open(&town, dir, NULL);
    town_load(&town, SORTED_MESSAGES, now_ms, now_ms, true);
    town_load(&town, WAITING_MESSAGES, now_ms, now_ms, false);
    struct keeping k = { .town = &town, .flushed = log_committed(town.store.log[0]), .bytes_per_s = UINT64_C(32) << 20,
                         .rewrite = true, .rest = true, .now_ms = now_ms + 1000 };
    struct page_reader r = { .town = &town, .pages = pages };
    keeping_start(&k);
    if (pthread_create(&thread, NULL, reader_main, &r)) die("cannot start a thread");
    for (int i = 0; i < 2 * SLICES; i++) {
        atomic_store(&k.rest, i % 2 == 0);
        atomic_store(&r.which, i % 2);
        commit_slice(&town, &commits[i % 2]);
    }
    atomic_store(&r.which, -1);
    pthread_join(thread, NULL);
    atomic_store(&k.stop, true);
    keeping_wait(&k);
    print("stall_commit_without", &commits[0]);
    print("stall_commit_with", &commits[1]);
    print("stall_page_without", &pages[0]);
    print("stall_page_with", &pages[1]);
    figure((double)k.bytes / (1 << 20), "stall_keeper_mib");
    figure((double)k.sorted, "stall_sorted");
    figure((double)(k.bytes - k.sorting_bytes) / (1 << 20), "stall_merge_mib");
    town_close(&town);
}
