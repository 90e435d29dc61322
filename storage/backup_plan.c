/* backup_plan.c - from the names in a folder to the logs exactly up to the cut.
 *
 * A folder that others sort and merge in may show a file and the one that replaced it; the rule is that of a start: the
 * higher serial covers the lower. It may as well show too little, when a file came and went while the names were
 * listed: then the numbers have a gap, and the caller looks again. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/backup_impl.h"

void plan_fini(struct plan *plan)
{
    free(plan->files);
    free(plan->spans);
    memset(plan, 0, sizeof *plan);
}

static int on_name(void *arg, const char *name)
{
    struct plan *plan = arg;
    uint32_t log;
    uint64_t first, serial = 0;
    if (!sorted_name_parse(name, &serial) && !segment_name_parse(name, &log, &first)) return 0;
    if (plan->count == MANIFEST_FILES_MAX) return ERR_TOO_BIG;
    if (plan->count == plan->cap) {
        size_t cap = plan->cap ? 2 * plan->cap : 64;
        struct plan_file *grown = realloc(plan->files, cap * sizeof *grown);
        if (!grown) return ERR_NOMEM;
        plan->files = grown;
        plan->cap = cap;
    }
    struct plan_file *file = &plan->files[plan->count++];
    *file = (struct plan_file){ .serial = serial };
    assert(strlen(name) < sizeof file->name);
    strcpy(file->name, name);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct plan_file *)a)->name, ((const struct plan_file *)b)->name);
}

static int by_span(const void *a, const void *b)
{
    const struct plan_span *x = a, *y = b;
    if (x->log != y->log) return x->log < y->log ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static int span_add(struct plan *plan, uint32_t log, uint64_t first, uint64_t last)
{
    if (plan->span_count == plan->span_cap) {
        size_t cap = plan->span_cap ? 2 * plan->span_cap : 64;
        struct plan_span *grown = realloc(plan->spans, cap * sizeof *grown);
        if (!grown) return ERR_NOMEM;
        plan->spans = grown;
        plan->span_cap = cap;
    }
    plan->spans[plan->span_count++] = (struct plan_span){ log, first, last };
    return 0;
}

static bool is_covered(const struct plan *plan, uint32_t log, uint64_t number)
{
    for (size_t i = 0; i < plan->span_count; i++) {
        const struct plan_span *span = &plan->spans[i];
        if (span->log == log && span->first <= number && number <= span->last) return true;
    }
    return false;
}

static int bad(struct plan *plan, const struct plan_file *file, uint64_t offset, int err)
{
    if (err == ERR_CORRUPT || err == ERR_NEWER) {
        strcpy(plan->bad_file, file->name);
        plan->bad_offset = offset;
    }
    return err;
}

/* By falling serial, so that what covers it is there already. */
static int plan_sorted(const struct fsio *fs, const char *dir, const uint64_t flushed[static LOGS_MAX],
                       struct plan *plan, struct plan_file *file)
{
    struct sorted *table;
    uint64_t offset = 0;
    int err = sorted_open(fs, dir, file->name, NULL, &table, &offset);
    if (err) return bad(plan, file, offset, err);
    const struct sorted_meta *meta = sorted_meta(table);
    file->bytes = meta->bytes;
    file->dropped = is_covered(plan, meta->spans[0].log, meta->spans[0].first_number);
    for (uint32_t i = 0; !err && !file->dropped && i < meta->span_count; i++) {
        const struct sorted_span *span = &meta->spans[i];
        if (span->log >= LOGS_MAX) err = bad(plan, file, 0, ERR_CORRUPT);
        else if (span->last_number > flushed[span->log]) err = ERR_AGAIN;     /* sorted after our snapshot */
        else err = span_add(plan, span->log, span->first_number, span->last_number);
    }
    sorted_unref(table);
    return err;
}

/* Every batch is checked on the way: what is damaged is not copied into a backup. */
static int plan_batches(struct scan *scan, uint64_t flushed, uint64_t *last_out, uint64_t *bytes_out)
{
    struct batch_head head;
    struct bytes payload;
    uint64_t at;
    int err = 0;
    while (!err && *last_out < flushed) {
        err = scan_next(scan, &head, &payload, &at);
        if (err) break;
        *last_out = head.first_number + head.records - 1;
        *bytes_out = scan->offset;
    }
    return err == ERR_END ? 0 : err;
}

static int plan_segment(const struct fsio *fs, const char *dir, const uint64_t flushed[static LOGS_MAX],
                        struct plan *plan, struct plan_file *file)
{
    char path[FS_PATH_MAX];
    struct segment_head head;
    struct scan scan;
    uint32_t log;
    uint64_t first, size, seed, offset = 0;
    int fd;
    segment_name_parse(file->name, &log, &first);
    file->dropped = log >= LOGS_MAX || first > flushed[log] || is_covered(plan, log, first);
    if (file->dropped) return 0;
    fs_path(path, dir, file->name);
    int err = fs->open(fs->self, path, FS_READ, &fd);
    if (err) return err;
    err = fs->size(fs->self, fd, &size);
    if (!err) err = segment_head_read(fs, fd, size, &head, &seed);
    if (!err && (head.log != log || head.first_number != first)) err = ERR_CORRUPT;
    if (!err) {
        uint64_t last = first - 1;
        scan_init(&scan, fs, fd, &head, seed, size);
        err = plan_batches(&scan, flushed[log], &last, &file->bytes);
        offset = scan.bad_offset;
        scan_fini(&scan);
        file->dropped = !err && last < first;
        if (!err && !file->dropped) err = span_add(plan, log, first, last);
    }
    fs->close(fs->self, fd);
    return bad(plan, file, offset, err == ERR_TORN ? ERR_CORRUPT : err);
}

/* Without a gap from each log's first record to the cut. */
static int plan_check(struct plan *plan, const uint64_t flushed[static LOGS_MAX])
{
    uint64_t ends[LOGS_MAX] = { 0 };
    if (plan->span_count) qsort(plan->spans, plan->span_count, sizeof *plan->spans, by_span);
    for (size_t i = 0; i < plan->span_count; i++) {
        const struct plan_span *span = &plan->spans[i];
        if (ends[span->log] && span->first != ends[span->log] + 1) return ERR_AGAIN;
        ends[span->log] = span->last;
    }
    for (unsigned log = 0; log < LOGS_MAX; log++)
        if (ends[log] < flushed[log]) return ERR_AGAIN;
    return 0;
}

int plan_make(const struct fsio *fs, const char *dir, const uint64_t flushed[static LOGS_MAX], struct plan *plan)
{
    memset(plan, 0, sizeof *plan);
    int err = fs->list(fs->self, dir, on_name, plan);
    if (plan->count) qsort(plan->files, plan->count, sizeof *plan->files, by_name);
    /* Names of sorted files rise with their serials, and come behind those of all others: from the end to the front. */
    for (size_t i = plan->count; !err && i > 0; i--) {
        struct plan_file *file = &plan->files[i - 1];
        if (file->serial) err = plan_sorted(fs, dir, flushed, plan, file);
    }
    for (size_t i = 0; !err && i < plan->count; i++)
        if (!plan->files[i].serial) err = plan_segment(fs, dir, flushed, plan, &plan->files[i]);
    return err ? err : plan_check(plan, flushed);
}
