/* store.c - the commands that fill a folder and say what it takes. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench/store.h"

enum {
    LAST_MESSAGES = 100000,            /* since the last start, of a server that is killed … */
    UNFLUSHED_MESSAGES = 20000,        /* … and of these, what the rows do not know yet */
    WEIGHED_RECORDS_MAX = 4000000,
};
#define TEN_YEARS_MS (UINT64_C(3652) * 24 * 3600 * 1000)

void figure(double value, const char *name, ...)
{
    va_list args;
    va_start(args, name);
    vprintf(name, args);
    va_end(args);
    printf(" %.10g\n", value);
    fflush(stdout);
}

static struct town town;

/* All that is closed and the rows cover, and further than must be: how a night leaves it. */
static void settle(uint64_t now_ms)
{
    struct keeping k = { .town = &town, .flushed = log_committed(town.store.log[0]), .idle = true, .now_ms = now_ms };
    keeping_run(&k);
}

static double seconds_since(uint64_t began_ns)
{
    return (double)(now_ns() - began_ns) / 1e9;
}

void store_fill(const char *dir, uint64_t messages, bool crash)
{
    uint64_t now_ms = wall_ms(), began = now_ns();
    town_open(&town, dir, NULL);
    if (crash) {
        town_load(&town, LAST_MESSAGES, now_ms, now_ms, false);
        for (int i = 0; i < UNFLUSHED_MESSAGES; i++)
            if (town_say(&town, town_draw(&town), now_ms) == ERR_FULL) log_commit(town.store.log[0]);
        log_commit(town.store.log[0]);
        fflush(stdout);
        raise(SIGKILL);                /* nothing is closed, nothing is flushed */
    }
    town_load(&town, messages, now_ms - TEN_YEARS_MS, now_ms, true);
    figure(seconds_since(began), "load_s");
    town_close(&town);
    /* What the stop left is closed by the next start, and sorted. */
    began = now_ns();
    town_open(&town, dir, NULL);
    settle(now_ms);
    figure(seconds_since(began), "settle_s");
    town_close(&town);
}

/* -- what it takes ------------------------------------------------------------------------------------------------- */

/* Between one record's place in the file and the next one's lie its bytes, and those of heads and index pages. */
struct weighing { uint64_t records, offset, bytes[2], count[2]; bool is_mark, any; };

static int weigh_record(void *arg, uint64_t offset, uint64_t batch, const struct record *record, struct bytes whole)
{
    struct weighing *w = arg;
    (void)batch;
    (void)whole;
    if (w->any) w->bytes[w->is_mark] += offset - w->offset;
    w->any = true;
    w->offset = offset;
    w->is_mark = record->kind == RECORD_KIND_MARKS;
    w->count[w->is_mark]++;
    return ++w->records == WEIGHED_RECORDS_MAX ? ERR_AGAIN : 0;
}

static void weigh(const char *dir)
{
    struct inspect_file *files;
    size_t count;
    struct weighing w = { 0 };
    char path[FS_PATH_MAX];
    fs_path(path, dir, "log");
    int err = inspect_list(fsio_posix(), path, &files, &count);
    if (err) die("%s: %s", path, err_text(err));
    for (size_t i = 0; i < count && w.records < WEIGHED_RECORDS_MAX; i++) {
        if (files[i].kind != INSPECT_SORTED) continue;
        struct inspect_summary summary;
        uint64_t offset;
        w.any = false;
        err = inspect_file(fsio_posix(), path, &files[i], false, weigh_record, &w, &summary, &offset);
        inspect_summary_fini(&summary);
        if (err && err != ERR_AGAIN) die("%s: %s", files[i].name, err_text(err));
        /* The last one's bytes, and what stands at the end of the file for all of them. */
        if (!err) w.bytes[0] += files[i].bytes - w.offset;
    }
    free(files);
    if (!w.count[0] || !w.count[1]) die("nothing is sorted in %s", path);
    figure((double)w.bytes[0] / (double)w.count[0], "message_bytes");
    figure((double)w.bytes[1] / (double)w.count[1], "mark_bytes");
}

void store_room(const char *dir)
{
    struct logs_stats stats;
    uint64_t ms;
    town_open(&town, dir, &ms);
    logs_stats(town.store.logs, &stats);
    figure((double)ms, "open_ms");
    figure((double)stats.sorted, "tables");
    figure((double)stats.bytes, "disk_bytes");
    figure((double)stats.index_bytes, "index_bytes");
    figure((double)stats.written_bytes / (double)stats.source_bytes, "amplification");
    town_close(&town);
    weigh(dir);
}
