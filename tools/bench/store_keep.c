/* store_keep.c - the keeper of a town, at a rate or as fast as it goes, on this thread or beside it. */
#include <errno.h>
#include <sys/resource.h>
#include <time.h>

#include "tools/bench/store.h"

enum { NICE = 5 };

static uint64_t keep_flushed(void *arg, uint32_t log)
{
    return log == 0 ? ((struct keeping *)arg)->flushed : 0;
}

static void sleep_ns(uint64_t ns)
{
    struct timespec wait = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
    while (nanosleep(&wait, &wait) && errno == EINTR) {}
}

/* As the server's keeper does it: each piece moves the moment before which the next may not begin. */
static int keep_pace(void *arg, uint64_t bytes, bool hurry)
{
    struct keeping *k = arg;
    atomic_fetch_add(&k->bytes, bytes);
    while (atomic_load(&k->rest) && !atomic_load(&k->stop)) sleep_ns(1000000);
    if (atomic_load(&k->stop)) return ERR_AGAIN;
    uint64_t now = now_ns();
    if (k->due_ns < now) k->due_ns = now;
    if (!k->bytes_per_s || hurry) return 0;
    k->due_ns += bytes * 1000000000 / k->bytes_per_s;
    sleep_ns(k->due_ns - now);
    return 0;
}

/* With `rewrite`, something in every table that was there at the start has been dead for ever. */
static uint64_t keep_dead_since(void *arg, struct sorted *table)
{
    (void)arg;
    (void)table;
    return 1;
}

void keeping_run(struct keeping *k)
{
    struct keep_how how = { .flushed = keep_flushed, .pace = keep_pace, .arg = k, .now_ms = k->now_ms, .idle = k->idle,
                            .dead_since = k->rewrite ? keep_dead_since : NULL, .due_ms = k->rewrite ? 1 : 0 };
    struct keep_report report;
    int err;
    while (!(err = logs_keep(k->town->store.logs, &how, &report)) && report.did != KEEP_NOTHING) {
        if (report.did != KEEP_SORTED) continue;
        k->sorted++;
        k->sorting_bytes = atomic_load(&k->bytes);
    }
    if (err && err != ERR_AGAIN) die("keeping: %s in %s", err_text(err), report.bad_file);
}

/* As the server's, nicer than who commits and reads. */
static void *keeping_main(void *arg)
{
    setpriority(PRIO_PROCESS, 0, NICE);
    keeping_run(arg);
    return NULL;
}

void keeping_start(struct keeping *k)
{
    if (pthread_create(&k->thread, NULL, keeping_main, k)) die("cannot start a thread");
}

void keeping_wait(struct keeping *k)
{
    pthread_join(k->thread, NULL);
}
