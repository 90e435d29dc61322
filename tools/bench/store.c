/* store.c - the commands that fill a folder and measure it. */
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/bench/histogram.h"
#include "tools/bench/store.h"

#define TEN_YEARS_MS (UINT64_C(3652) * 24 * 3600 * 1000)

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* -- keeping ------------------------------------------------------------------------------------------------------- */

struct keeper {
    struct town *town;
    uint64_t flushed;
    uint64_t rate;                     /* bytes a second; 0: as fast as it goes */
    uint64_t began_ns, bytes;
    atomic_bool stop;
};

static uint64_t keeper_flushed(void *arg, uint32_t log)
{
    return log == 0 ? ((struct keeper *)arg)->flushed : 0;
}

static int keeper_pace(void *arg, uint64_t bytes, bool hurry)
{
    struct keeper *k = arg;
    if (atomic_load(&k->stop)) return ERR_AGAIN;
    if (!k->rate || hurry) return 0;
    k->bytes += bytes;
    uint64_t due = k->bytes * 1000000000 / k->rate, now = now_ns() - k->began_ns;
    if (due > now) {
        struct timespec wait = { (time_t)((due - now) / 1000000000), (long)((due - now) % 1000000000) };
        while (nanosleep(&wait, &wait) && errno == EINTR) {}
    }
    return 0;
}

static void keep_all(struct keeper *k, struct town_keeping *out)
{
    struct keep_how how = { .flushed = keeper_flushed, .pace = keeper_pace, .arg = k, .now_ms = wall_ms(), .idle = true };
    struct keep_report report;
    memset(out, 0, sizeof *out);
    k->began_ns = now_ns();
    int err;
    while (!(err = logs_keep(k->town->store.logs, &how, &report)) && report.did != KEEP_NOTHING) {
        if (report.did == KEEP_MERGING) continue;            /* its bytes are told when it is done */
        if (report.did == KEEP_SORTED) out->sorted++;
        else out->merged++;
        out->bytes_in += report.bytes_in;
        out->bytes_out += report.bytes_out;
    }
    if (err && err != ERR_AGAIN) die("keeping: %s in %s", err_text(err), report.bad_file);
    out->ms = (now_ns() - k->began_ns) / 1000000;
}

void town_keep(struct town *town, struct town_keeping *out)
{
    struct keeper k = { .town = town, .flushed = log_committed(town->store.log[0]) };
    town_flush(town);
    keep_all(&k, out);
}

/* -- how long the foreground waits while the keeper works ---------------------------------------------------------- */

enum { STALL_SECONDS = 10, STALL_BATCH = 16, STALL_PER_SECOND = 100 };

static void *keeper_run(void *arg)
{
    struct town_keeping kept;
    keep_all(arg, &kept);
    return NULL;
}

/* A batch of sixteen messages at fixed times; latency counts from when it was due. */
static void commit_steadily(struct town *town, struct histogram *h)
{
    uint64_t began = now_ns(), now_ms = msg_id_ms(&town->convs[0].last_id);
    for (uint64_t i = 0; i < STALL_SECONDS * STALL_PER_SECOND; i++) {
        uint64_t due = began + i * (1000000000 / STALL_PER_SECOND), now = now_ns();
        if (due > now) {
            struct timespec wait = { (time_t)((due - now) / 1000000000), (long)((due - now) % 1000000000) };
            while (nanosleep(&wait, &wait) && errno == EINTR) {}
        }
        for (int k = 0; k < STALL_BATCH; k++) {
            int err = town_say(town, town_draw(town), now_ms);
            if (err) die("append: %s", err_text(err));
        }
        int err = log_commit(town->store.log[0]);
        if (err) die("commit: %s", err_text(err));
        histogram_add(h, now_ns() - due);
    }
}

void store_stall(struct town *town)
{
    static struct histogram alone, kept;
    pthread_t thread;
    town_flush(town);
    struct keeper k = { .town = town, .flushed = log_committed(town->store.log[0]), .rate = UINT64_C(32) << 20 };
    histogram_clear(&alone);
    histogram_clear(&kept);
    commit_steadily(town, &alone);
    if (pthread_create(&thread, NULL, keeper_run, &k)) die("cannot start a thread");
    commit_steadily(town, &kept);
    atomic_store(&k.stop, true);
    pthread_join(thread, NULL);
    double a50 = (double)histogram_quantile(&alone, 0.5) / 1e3, a99 = (double)histogram_quantile(&alone, 0.99) / 1e3;
    double k50 = (double)histogram_quantile(&kept, 0.5) / 1e3, k99 = (double)histogram_quantile(&kept, 0.99) / 1e3;
    puts("| a batch of 16, 100 a second | while sorting and merging | without | ratio |\n|---|---:|---:|---:|");
    printf("| due to durable, us: p50 / p99 | %.0f / %.0f | %.0f / %.0f | %.2f / %.2f |\n", k50, k99, a50, a99,
           k50 / a50, k99 / a99);
    printf("| keeper meanwhile, MiB | %lu | | |\n", (unsigned long)(k.bytes >> 20));
}

/* -- the commands -------------------------------------------------------------------------------------------------- */

static struct town town;

void store_fill(const char *dir, uint64_t messages, bool crash)
{
    struct town_keeping kept;
    uint64_t now_ms = wall_ms(), began = now_ns();
    town_open(&town, dir, NULL);
    town_load(&town, messages, now_ms - TEN_YEARS_MS, now_ms);
    town_flush(&town);
    printf("loaded %lu messages and %lu marks in %lu s\n", (unsigned long)town.messages, (unsigned long)town.marks,
           (unsigned long)((now_ns() - began) / 1000000000));
    printf("bytes appended: %lu of messages, %lu of marks\n", (unsigned long)town.message_bytes,
           (unsigned long)town.mark_bytes);
    town_keep(&town, &kept);
    printf("kept: %lu sorted, %lu merges, %lu MiB read, %lu MiB written, %lu s\n", (unsigned long)kept.sorted,
           (unsigned long)kept.merged, (unsigned long)(kept.bytes_in >> 20), (unsigned long)(kept.bytes_out >> 20),
           (unsigned long)(kept.ms / 1000));
    if (crash) {
        for (int i = 0; i < 20000; i++) {
            if (town_say(&town, town_draw(&town), now_ms) == ERR_FULL) log_commit(town.store.log[0]);
        }
        log_commit(town.store.log[0]);
        fflush(stdout);
        _exit(0);                      /* nothing is closed, nothing is flushed */
    }
    town_close(&town);
}

void store_measure(const char *dir)
{
    struct logs_stats stats;
    uint64_t ms;
    town_open(&town, dir, &ms);
    struct town_keeping kept;
    town_keep(&town, &kept);                /* what the last stop left unsorted */
    logs_stats(town.store.logs, &stats);
    printf("opened in %lu ms: %lu segments, %lu of them sorted, %lu records, %lu MiB; replayed %lu\n", (unsigned long)ms,
           (unsigned long)stats.segments, (unsigned long)stats.sorted, (unsigned long)stats.records,
           (unsigned long)(stats.bytes >> 20), (unsigned long)town.store.report.replayed);
    printf("written for each byte of record: %.2f\n", (double)stats.written_bytes / (double)stats.source_bytes);
    store_pages(&town);
    store_stall(&town);
    town_close(&town);
}
