/* logs.c - the node's set of segments: opening it, finding records in it, counting it.
 *
 * All closed segments stand in one list (list.h); each log has its open one besides. A partition may have records in
 * several logs, one after the other, when the number of shards changed. Each segment then holds one stretch of its
 * sequences; log_find() merges the stretches by sequence and does not care which log they came from. It sees unsorted
 * segments alone: view.h sees all. */
#include "storage/keep_impl.h"
#include "storage/logs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"

/* A folder's own name is durable once the folder it lies in was synced. */
static int dir_make(const struct fsio *fs, const char *dir)
{
    bool there;
    uint64_t size;
    int err = fs->exists(fs->self, dir, &there, &size);
    if (err || there)
        return err;
    err = fs->mkdir(fs->self, dir);
    if (err)
        return err;
    char parent[FS_PATH_MAX];
    const char *slash = strrchr(dir, '/');
    size_t len = slash ? (size_t)(slash - dir) : 0;
    if (!slash)
        strcpy(parent, ".");
    else if (len == 0)
        strcpy(parent, "/");
    else {
        memcpy(parent, dir, len);
        parent[len] = '\0';
    }
    return fs->sync_dir(fs->self, parent);
}

int logs_open(const struct fsio *fs, const char *dir, const struct logs_opening *how, struct logs **logs_out,
              struct logs_report *report_out)
{
    assert(how->segment_bytes <= SEGMENT_BYTES_MAX && strlen(dir) < FS_PATH_MAX);
    memset(report_out, 0, sizeof *report_out);
    struct logs *logs = calloc(1, sizeof *logs);
    if (!logs)
        return ERR_NOMEM;
    logs->fs = fs;
    strcpy(logs->dir, dir);
    logs->segment_bytes = how->segment_bytes ? how->segment_bytes : SEGMENT_BYTES_DEFAULT;
    logs->now_ms = how->now_ms;
    sorted_pins_init(&logs->pins, SORTED_PINNED_BYTES_MAX);
    pthread_mutex_init(&logs->list_lock, NULL);
    pthread_mutex_init(&logs->change_lock, NULL);
    int err = dir_make(fs, dir);
    if (!err)
        err = logs_recover(logs, how, report_out);
    if (err) {
        logs_close(logs);
        return err;
    }
    *logs_out = logs;
    return 0;
}

void logs_close(struct logs *logs)
{
    if (!logs)
        return;
    for (size_t i = 0; i < LOGS_MAX; i++)
        assert(!logs->ends[i].in_use);
    keep_free(logs->keep);
    list_unref(logs->list);
    pthread_mutex_destroy(&logs->change_lock);
    pthread_mutex_destroy(&logs->list_lock);
    free(logs);
}

/* ---- finding ---- */

static void ranges_grow(struct log *log, size_t count)
{
    if (count <= log->range_cap)
        return;
    log->range_cap = 2 * count;
    log->ranges = realloc(log->ranges, log->range_cap * sizeof *log->ranges);
    assert(log->ranges);
}

static void ranges_add(struct log *log, size_t *count, struct segment *segment, const struct conv_id *partition,
                       enum find_what what, uint64_t from, uint64_t to)
{
    struct log_range range = { .segment = segment };
    range.count = index_range(&segment->index, partition, what, from, to, &range.at);
    if (range.count)
        log->ranges[(*count)++] = range;
}

static bool is_before(const struct index_entry *a, const struct index_entry *b)
{
    return a->seq < b->seq || (a->seq == b->seq && a->number < b->number);
}

/* The range whose next entry comes first (or last), NULL when all are used up. Ranges seldom number more than two or
 * three, so a heap would cost more than it saves. */
static struct log_range *ranges_pick(struct log_range *ranges, size_t count, bool newest)
{
    struct log_range *best = NULL;
    for (size_t i = 0; i < count; i++) {
        struct log_range *range = &ranges[i];
        if (!range->count)
            continue;
        if (!best || (newest ? is_before(&best->at[best->count - 1], &range->at[range->count - 1])
                             : is_before(range->at, best->at)))
            best = range;
    }
    return best;
}

static struct index_entry range_take(struct log_range *range, bool newest)
{
    range->count--;
    return newest ? range->at[range->count] : *range->at++;
}

size_t log_find(struct log *log, const struct conv_id *partition, enum find_what what, uint64_t from, uint64_t to,
                bool newest, size_t max, struct place *places_out)
{
    struct segment_list *list = list_get(log->logs);
    size_t count = 0;
    ranges_grow(log, list->segment_count + 1);
    for (size_t i = 0; i < list->segment_count; i++)
        ranges_add(log, &count, list->segments[i], partition, what, from, to);
    ranges_add(log, &count, log->segment, partition, what, from, to);

    size_t found = 0;
    struct log_range *range;
    uint64_t last_seq = 0;
    while (found < max && (range = ranges_pick(log->ranges, count, newest))) {
        struct index_entry entry = range_take(range, newest);
        /* One segment never holds a sequence twice (index_add), and two never should: a conversation goes on above
         * all that recovery found. If it ever happened, one answer is better than two. */
        if (what == FIND_RECORDS && found > 0 && entry.seq == last_seq)
            continue;
        last_seq = entry.seq;
        places_out[newest ? max - 1 - found : found] = (struct place){
            .segment = segment_ref(range->segment),
            .offset = entry.offset,
            .len = entry.len,
            .kind = entry.kind,
            .seq = entry.seq,
            .number = entry.number,
        };
        found++;
    }
    if (newest && found < max)
        memmove(places_out, places_out + (max - found), found * sizeof *places_out);
    list_unref(list);
    return found;
}

/* ---- counting ---- */

static void stats_add(const struct segment *segment, struct logs_stats *out)
{
    out->segments++;
    out->bytes += segment->bytes;
    out->records += segment->records;
    out->index_bytes += index_bytes(&segment->index);
}

void logs_stats(struct logs *logs, struct logs_stats *out)
{
    struct segment_list *list = list_get(logs);
    *out = (struct logs_stats){ .segments = list->table_count, .sorted = list->table_count };
    for (size_t i = 0; i < list->segment_count; i++)
        stats_add(list->segments[i], out);
    for (size_t i = 0; i < list->table_count; i++) {
        const struct sorted_meta *meta = sorted_meta(list->tables[i]);
        out->bytes += meta->bytes;
        out->records += meta->records + meta->marks;
        out->source_bytes += meta->source_bytes;
        out->written_bytes += meta->source_bytes + meta->written_bytes;
    }
    list_unref(list);
    out->index_bytes += atomic_load(&logs->pins.bytes);
}

void log_stats(const struct log *log, struct logs_stats *out)
{
    *out = (struct logs_stats){ 0 };
    stats_add(log->segment, out);
}

uint64_t logs_serial(const struct logs *logs)
{
    return atomic_load(&logs->serial);
}

uint64_t logs_serial_next(struct logs *logs)
{
    return atomic_fetch_add(&logs->serial, 1) + 1;
}
