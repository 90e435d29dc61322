/* logs.c - the node's set of segments: opening and counting it.
 *
 * All closed segments stand in one list (list.h); each log has its open one besides. Reading them is view.h's. */
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

uint64_t logs_serial_next(struct logs *logs)
{
    return atomic_fetch_add(&logs->serial, 1) + 1;
}
