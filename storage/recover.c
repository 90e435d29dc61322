/* recover.c - from the files of a folder to a log that can be trusted.
 *
 * Three steps over all logs, one after the other:
 *
 *   survey   open every sorted file by its footer; read, check and index every other one, but for those that a sorted
 *            file has replaced. Changes nothing, so that ERR_CORRUPT leaves all as it was.
 *   mend     remove files that were replaced, never finished or have no records; cut a torn tail, settle the last
 *            batch. All of it may be cut short by another crash and is simply done again.
 *   replay   give the caller each record above its flushed number.
 *
 * What may be wrong after a power cut, and is mended: the last file of a log may be empty, short or have a bad header
 * (it was just being made: a batch is written only when header and name are durable), or its last batch may be torn.
 * Nothing else. A torn batch was never acknowledged, so it goes whole, and its record numbers are given again; the
 * message ids in it are not, they are random. All else that does not check out was durable once: ERR_CORRUPT, with
 * file and offset, and nobody guesses.
 *
 * The price of having no marker behind a batch: should the very last batch of a log rot before facts cover it (about a
 * second), it looks like a torn one and is cut.
 *
 * Settling. A batch may be whole in the page cache and not on disk: the process was killed before its sync, or the
 * sync failed, after which Linux calls the pages clean, and a later sync says 0 and writes nothing. Replaying it would
 * let facts remember a record that the next power cut takes away. So the last batch of a log that facts do not cover
 * is written again, the same bytes to the same place, and synced, before anything is replayed. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/recover.h"

struct found {                    /* one file */
    char name[SEGMENT_NAME_BYTES];
    uint32_t log;
    uint64_t first_number;
    struct segment *segment;      /* once its header was read; NULL: a file that never got one */
    uint64_t size;
    uint64_t end;                 /* of its last whole batch */
    bool replaced;                /* a sorted file has its records */
    bool torn;                    /* bytes behind `end` are a torn batch */
    uint64_t last_batch_at;       /* offset of the last whole batch; 0: it has none */
};

struct recovery {
    struct logs *logs;
    const struct logs_opening *how;
    struct logs_report *report;
    struct found *found;          /* sorted by log and first number */
    size_t count, cap;
    struct found_tables tables;
    uint64_t flushed[LOGS_MAX];
};

static int bad(struct recovery *r, const char *name, uint64_t offset, int err)
{
    snprintf(r->report->bad_file, sizeof r->report->bad_file, "%s", name);
    r->report->bad_offset = offset;
    return err;
}

static void file_path(const struct recovery *r, const struct found *file, char out[static FS_PATH_MAX])
{
    fs_path(out, r->logs->dir, file->name);
}

/* ---- survey ---- */

static int on_name(void *arg, const char *name)
{
    struct recovery *r = arg;
    uint32_t log;
    uint64_t first_number;
    bool is_sorted;
    int err = tables_on_name(&r->tables, name, &is_sorted);
    if (err || is_sorted)
        return err;
    if (!segment_name_parse(name, &log, &first_number))
        return 0;                        /* not ours: a lost+found, somebody's notes */
    if (log >= LOGS_MAX || first_number == 0)
        return bad(r, name, 0, ERR_CORRUPT);
    if (r->count == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 64;
        struct found *grown = realloc(r->found, cap * sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        r->found = grown;
        r->cap = cap;
    }
    struct found *file = &r->found[r->count++];
    *file = (struct found){ .log = log, .first_number = first_number };
    snprintf(file->name, sizeof file->name, "%s", name);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->name, ((const struct found *)b)->name);
}

/* Open the file and read its header. A file too young to have one keeps segment NULL. */
static int survey_head(struct recovery *r, struct found *file, bool is_last)
{
    const struct fsio *fs = r->logs->fs;
    char path[FS_PATH_MAX];
    file_path(r, file, path);
    int fd;
    int err = fs->open(fs->self, path, FS_READ, &fd);
    if (err)
        return err;
    struct segment_head head;
    uint64_t seed;
    err = fs->size(fs->self, fd, &file->size);
    if (!err)
        err = segment_head_read(fs, fd, file->size, &head, &seed);
    if (!err && (head.log != file->log || head.first_number != file->first_number))
        err = ERR_CORRUPT;               /* renamed, or copied over another */
    else if ((err == ERR_TORN || err == ERR_CORRUPT) && is_last && file->size <= SEGMENT_HEADER_BYTES) {
        fs->close(fs->self, fd);
        return 0;
    }
    if (!err) {
        file->segment = segment_found(fs, fd, file->name, &head, seed);
        if (file->segment)
            return 0;
        err = ERR_NOMEM;
    }
    fs->close(fs->self, fd);
    if (err == ERR_TORN)
        err = ERR_CORRUPT;
    return err == ERR_CORRUPT || err == ERR_NEWER ? bad(r, file->name, 0, err) : err;
}

static int survey_batch(struct found *file, struct bytes payload, uint64_t at, uint64_t *bad_offset)
{
    int err = 0;
    for (size_t done = 0, len; !err && done < payload.len; done += len) {
        struct record record;
        record_peek(payload.at + done, &record, &len);
        *bad_offset = at + done;
        err = segment_add(file->segment, &record, at + done, len);
    }
    return err;
}

/* Walk all batches of the file. *end moves with them. */
static int survey_batches(struct recovery *r, struct found *file, struct log_end *end)
{
    const struct segment *segment = file->segment;
    struct scan scan;
    scan_init(&scan, segment->fs, segment->file, &segment->head, segment->seed, file->size);
    struct batch_head head;
    struct bytes payload;
    uint64_t at, bad_offset;
    int err;
    for (;;) {
        err = scan_next(&scan, &head, &payload, &at);
        bad_offset = scan.bad_offset;
        if (!err)
            err = survey_batch(file, payload, at, &bad_offset);
        if (err)
            break;
        file->last_batch_at = at - BATCH_HEADER_BYTES;
        end->batch = file->segment->last_batch = head.number;
        end->number = head.first_number + head.records - 1;
    }
    file->end = scan.offset;
    file->segment->bytes = scan.offset;
    scan_fini(&scan);
    /* What facts cover was durable: no torn write takes it away. */
    if (err == ERR_TORN && end->number >= r->flushed[file->log]) {
        file->torn = true;
        err = 0;
    }
    if (err == ERR_TORN)
        err = ERR_CORRUPT;
    if (err == ERR_CORRUPT || err == ERR_NEWER)
        return bad(r, file->name, bad_offset, err);
    return err == ERR_END ? 0 : err;
}

/* Sorted files hold the next records of the log, or none do. */
static int survey_spans(struct recovery *r, uint32_t log, struct log_end *end, bool *begun)
{
    const struct found_tables *tables = &r->tables;
    for (const struct found_span *s; (s = tables_find(tables, log, end->number + 1)); *begun = true) {
        if (s->span.first_number != end->number + 1 || s->span.first_batch != end->batch + 1)
            return bad(r, tables->at[s->table].name, 0, ERR_CORRUPT);
        end->number = s->span.last_number;
        end->batch = s->span.last_batch;
    }
    return 0;
}

/* The file's header must follow what is before it, and its batches each other. */
static int survey_file(struct recovery *r, struct found *file, bool is_last, struct log_end *end, bool *begun,
                       const struct found *torn)
{
    int err = survey_head(r, file, is_last);
    if (err || !file->segment)
        return err;
    const struct segment_head *head = &file->segment->head;
    if (!*begun) {
        end->number = head->first_number - 1;
        end->batch = head->first_batch - 1;
        *begun = true;
    }
    /* A gap: a file is missing, or one was cut where a batch ended. */
    if (head->first_number != end->number + 1 || head->first_batch != end->batch + 1)
        return bad(r, file->name, 0, ERR_CORRUPT);
    if (torn && file->size > SEGMENT_HEADER_BYTES)
        return bad(r, torn->name, torn->end, ERR_CORRUPT);
    return survey_batches(r, file, end);
}

/* Of this log: where it begins in sorted files, if it does. */
static void survey_begin(const struct recovery *r, uint32_t log, const struct found *first, struct log_end *end,
                         bool *begun)
{
    for (size_t i = 0; i < r->tables.span_count; i++) {
        const struct sorted_span *span = &r->tables.spans[i].span;
        if (span->log != log)
            continue;
        if (first && first->first_number < span->first_number)
            return;
        end->number = span->first_number - 1;
        end->batch = span->first_batch - 1;
        *begun = true;
        return;
    }
}

/* All files of one log, from found[first] up to found[end_index], and the spans of sorted ones before and between. */
static int survey_log(struct recovery *r, uint32_t log, size_t first, size_t end_index)
{
    struct log_end *end = &r->logs->ends[log];
    struct found *torn = NULL;
    bool begun = false;
    int err;
    survey_begin(r, log, first < end_index ? &r->found[first] : NULL, end, &begun);
    for (size_t i = first; i < end_index; i++) {
        struct found *file = &r->found[i];
        file->replaced = tables_find(&r->tables, log, file->first_number);
        if (file->replaced)
            continue;
        err = begun ? survey_spans(r, log, end, &begun) : 0;
        if (!err)
            err = survey_file(r, file, i + 1 == end_index, end, &begun, torn);
        if (err)
            return err;
        if (file->torn)
            torn = file;
    }
    uint64_t files_end = end->number;
    err = begun ? survey_spans(r, log, end, &begun) : 0;
    if (err)
        return err;
    if (torn && end->number > files_end)
        return bad(r, torn->name, torn->end, ERR_CORRUPT);
    /* What a sorted file holds must have been reached: else something is missing before it. */
    for (size_t i = 0; i < r->tables.span_count; i++) {
        const struct found_span *s = &r->tables.spans[i];
        if (s->span.log == log && s->span.last_number > end->number)
            return bad(r, r->tables.at[s->table].name, 0, ERR_CORRUPT);
        /* Only what rows cover is ever sorted, so they have lost some: nobody could tell them what. */
        if (s->span.log == log && r->how->flushed && s->span.last_number > r->flushed[log])
            return bad(r, r->tables.at[s->table].name, 0, ERR_CORRUPT);
    }
    if (end->number >= r->flushed[log])
        return 0;
    char name[SEGMENT_NAME_BYTES];
    segment_name(name, log, end->number + 1);
    const struct found *last = first < end_index ? &r->found[end_index - 1] : NULL;
    return bad(r, last ? last->name : name, last ? last->end : 0, ERR_CORRUPT);
}

static int survey(struct recovery *r)
{
    const struct fsio *fs = r->logs->fs;
    const char *bad_name;
    uint64_t bad_offset;
    int err = fs->list(fs->self, r->logs->dir, on_name, r);
    if (err)
        return err;
    if (r->count)
        qsort(r->found, r->count, sizeof *r->found, by_name);
    err = tables_survey(&r->tables, r->logs, &bad_name, &bad_offset);
    if (err == ERR_CORRUPT || err == ERR_NEWER)
        return bad(r, bad_name, bad_offset, err);
    atomic_store(&r->logs->serial, r->tables.serial);
    size_t at = 0;
    for (uint32_t log = 0; !err && log < LOGS_MAX; log++) {
        size_t first = at;
        while (at < r->count && r->found[at].log == log)
            at++;
        err = survey_log(r, log, first, at);
    }
    return err;
}

/* ---- mend ---- */

/* Cut what is torn, and write the last batch again. See "Settling" above. */
static int mend_file(struct recovery *r, struct found *file)
{
    const struct fsio *fs = r->logs->fs;
    char path[FS_PATH_MAX];
    file_path(r, file, path);
    int fd;
    int err = fs->open(fs->self, path, FS_READ | FS_WRITE, &fd);
    if (err)
        return err;
    size_t len = file->end - file->last_batch_at, got;
    uint8_t *batch = malloc(len);
    err = batch ? 0 : ERR_NOMEM;
    if (!err)
        err = fs->pread(fs->self, fd, batch, len, file->last_batch_at, &got);
    if (!err && got < len)
        err = ERR_IO;
    if (!err && file->torn)
        err = fs->truncate(fs->self, fd, file->end);
    if (!err)
        err = fs->pwritev(fs->self, fd, &(struct iovec){ batch, len }, 1, file->last_batch_at);
    if (!err)
        err = fs->sync(fs->self, fd);
    free(batch);
    fs->close(fs->self, fd);
    return err;
}

static void report_torn(struct recovery *r, const struct found *file)
{
    snprintf(r->report->torn_file, sizeof r->report->torn_file, "%s", file->name);
    r->report->torn_count++;
    r->report->torn_offset = file->end;
    r->report->torn_bytes = file->size - file->end;
}

static int mend(struct recovery *r)
{
    const struct fsio *fs = r->logs->fs;
    bool removed;
    int err = tables_mend(&r->tables, r->logs, &removed);
    for (size_t i = 0; !err && i < r->count; i++) {
        struct found *file = &r->found[i];
        const struct log_end *end = &r->logs->ends[file->log];
        if (file->torn)
            report_torn(r, file);
        if (!file->last_batch_at) {
            /* Replaced, or without records: left by a start with nothing to write, or never finished. */
            char path[FS_PATH_MAX];
            file_path(r, file, path);
            err = fs->unlink(fs->self, path);
            removed = true;
            continue;
        }
        bool ends_log = file->segment->head.first_number + file->segment->records - 1 == end->number;
        assert(ends_log || !file->torn);
        if (file->torn || (ends_log && end->number > r->flushed[file->log]))
            err = mend_file(r, file);
    }
    /* Before a new segment takes such a name: an unlink that comes late must not take that one away. */
    if (!err && removed)
        err = fs->sync_dir(fs->self, r->logs->dir);
    return err;
}

/* ---- replay ---- */

static int replay_batch(struct recovery *r, uint64_t flushed, struct bytes payload, uint64_t at, uint64_t *bad_offset)
{
    int err = 0;
    for (size_t done = 0, len; !err && done < payload.len; done += len) {
        struct record record;
        record_peek(payload.at + done, &record, &len);
        if (record.number <= flushed)
            continue;
        *bad_offset = at + done;
        err = r->how->replay(r->how->arg, &record, bytes_of(payload.at + done, len));
        r->report->replayed++;
    }
    return err;
}

static int replay_file(struct recovery *r, const struct found *file)
{
    const struct segment *segment = file->segment;
    uint64_t flushed = r->flushed[file->log];
    if (segment->head.first_number + segment->records - 1 <= flushed)
        return 0;
    struct scan scan;
    scan_init(&scan, segment->fs, segment->file, &segment->head, segment->seed, file->end);
    struct batch_head head;
    struct bytes payload;
    uint64_t at, bad_offset;
    int err;
    for (;;) {
        err = scan_next(&scan, &head, &payload, &at);
        bad_offset = scan.bad_offset;
        if (!err && head.first_number + head.records - 1 > flushed)
            err = replay_batch(r, flushed, payload, at, &bad_offset);
        if (err)
            break;
    }
    if (err == ERR_TORN || err == ERR_CORRUPT || err == ERR_NEWER)
        err = bad(r, file->name, bad_offset, ERR_CORRUPT);      /* it was good a moment ago, or cannot be opened */
    scan_fini(&scan);
    return err == ERR_END ? 0 : err;
}

/* ---- all of it ---- */

/* What has records becomes the node's list of segments. */
static int hand_over(struct recovery *r)
{
    struct segment **segments = calloc(r->count ? r->count : 1, sizeof *segments);
    struct sorted **tables = calloc(r->tables.count ? r->tables.count : 1, sizeof *tables);
    size_t count = 0;
    int err = segments && tables ? 0 : ERR_NOMEM;
    for (size_t i = 0; !err && i < r->count; i++) {
        struct found *file = &r->found[i];
        if (!file->last_batch_at)
            continue;
        index_pack(&file->segment->index);
        r->report->segments++;
        r->report->bytes += file->end;
        segments[count++] = file->segment;
    }
    size_t sorted = err ? 0 : tables_good(&r->tables, tables);
    for (size_t i = 0; i < sorted; i++)
        r->report->bytes += sorted_meta(tables[i])->bytes;
    r->report->sorted = (uint32_t)sorted;
    r->report->segments += (uint32_t)sorted;
    if (!err) {
        struct segment_list *list = list_new(segments, count, tables, sorted);
        if (list)
            list_begin(r->logs, list);
        else
            err = ERR_NOMEM;
    }
    free(segments);
    free(tables);
    return err;
}

int logs_recover(struct logs *logs, const struct logs_opening *how, struct logs_report *report)
{
    struct recovery *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NOMEM;
    r->logs = logs;
    r->how = how;
    r->report = report;
    for (uint32_t log = 0; how->flushed && log < LOGS_MAX; log++)
        r->flushed[log] = how->flushed(how->arg, log);

    int err = survey(r);
    if (!err)
        err = mend(r);
    for (size_t i = 0; !err && how->replay && i < r->count; i++)
        if (r->found[i].last_batch_at)
            err = replay_file(r, &r->found[i]);
    if (!err)
        err = hand_over(r);
    for (size_t i = 0; i < r->count; i++)
        if (r->found[i].segment)
            segment_unref(r->found[i].segment);
    tables_fini(&r->tables);
    free(r->found);
    free(r);
    return err;
}
