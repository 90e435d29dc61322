/* inspect.c - see inspect.h. */
#include "storage/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/record.h"
#include "storage/segment.h"
#include "storage/sorted.h"

#define UNFINISHED ".new"

/* ---- names ---- */

bool inspect_name(const char *name, struct inspect_file *out)
{
    size_t len = strlen(name), end = strlen(UNFINISHED);
    if (len >= sizeof out->name)
        return false;
    *out = (struct inspect_file){ .kind = INSPECT_SORTED };
    memcpy(out->name, name, len + 1);
    if (sorted_name_parse(name, &out->number))
        return true;
    out->kind = INSPECT_UNSORTED;
    if (segment_name_parse(name, &out->log, &out->number))
        return true;
    if (len <= end || strcmp(name + len - end, UNFINISHED) != 0)
        return false;
    char stem[FS_NAME_MAX + 1];
    memcpy(stem, name, len - end);
    stem[len - end] = '\0';
    out->kind = INSPECT_UNFINISHED;
    return sorted_name_parse(stem, &out->number);
}

struct listing {
    const struct fsio *fs;
    const char *dir;
    struct inspect_file *files;
    size_t count, cap;
};

static int on_name(void *arg, const char *name)
{
    struct listing *l = arg;
    struct inspect_file file;
    if (!inspect_name(name, &file))
        return 0;
    char path[FS_PATH_MAX];
    bool there;
    fs_path(path, l->dir, name);
    int err = l->fs->exists(l->fs->self, path, &there, &file.bytes);
    if (err || !there)
        return err;
    if (l->count == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        struct inspect_file *grown = realloc(l->files, cap * sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        l->files = grown;
        l->cap = cap;
    }
    l->files[l->count++] = file;
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct inspect_file *x = a, *y = b;
    if ((x->kind == INSPECT_UNSORTED) != (y->kind == INSPECT_UNSORTED))
        return x->kind == INSPECT_UNSORTED ? 1 : -1;
    if (x->log != y->log)
        return x->log < y->log ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (int)x->kind - (int)y->kind;
}

int inspect_list(const struct fsio *fs, const char *dir, struct inspect_file **files_out, size_t *count_out)
{
    struct listing l = { .fs = fs, .dir = dir };
    int err = fs->list(fs->self, dir, on_name, &l);
    if (err) {
        free(l.files);
        return err;
    }
    if (l.count)
        qsort(l.files, l.count, sizeof *l.files, by_place);
    *files_out = l.files;
    *count_out = l.count;
    return 0;
}

/* ---- records ---- */

struct walk {
    struct inspect_summary *out;
    segment_record_fn *each;
    void *arg;
    uint64_t last_number, last_batch;
};

static int on_record(void *arg, uint64_t offset, uint64_t batch, const struct record *record, struct bytes whole)
{
    struct walk *w = arg;
    struct inspect_summary *s = w->out;
    uint64_t ms = msg_id_ms(&record->id);
    s->records++;
    s->marks += record->kind == RECORD_KIND_MARKS;
    s->record_bytes += whole.len;
    if (batch != w->last_batch)
        s->batches++;
    w->last_batch = batch;
    w->last_number = record->number;
    if (!s->first_ms || ms < s->first_ms)
        s->first_ms = ms;
    if (ms > s->last_ms)
        s->last_ms = ms;
    return w->each ? w->each(w->arg, offset, batch, record, whole) : 0;
}

static int walk_unsorted(const struct fsio *fs, const char *dir, const struct inspect_file *file, struct walk *w,
                         uint64_t *offset_out)
{
    struct inspect_summary *s = w->out;
    struct segment_head head = { 0 };
    char path[FS_PATH_MAX];
    fs_path(path, dir, file->name);
    int err = segment_walk(fs, path, &head, on_record, w, offset_out);
    s->log = file->log;
    s->made_ms = head.made_ms;
    if (!err && (head.log != file->log || head.first_number != file->number)) {
        *offset_out = 0;          /* the header is another file's */
        err = ERR_CORRUPT;
    }
    if (s->records == 0)
        return err;
    s->spans = malloc(sizeof *s->spans);
    if (!s->spans)
        return err ? err : ERR_NOMEM;
    s->spans[0] = (struct inspect_span){ file->log, head.first_number, w->last_number };
    s->span_count = 1;
    return err;
}

static int scan_sorted(struct sorted *table, struct walk *w, uint64_t *offset_out)
{
    struct sorted_scan *scan;
    struct record record;
    struct bytes whole;
    int err = sorted_scan_open(table, &scan);
    if (err)
        return err;
    while (!(err = sorted_scan_next(scan, &record, &whole, offset_out))) {
        err = on_record(w, *offset_out, 0, &record, whole);
        if (err)
            break;
    }
    sorted_scan_close(scan);
    return err == ERR_END ? 0 : err;
}

static int take_meta(const struct sorted_meta *meta, struct inspect_summary *s)
{
    s->made_ms = meta->made_ms;
    s->records = meta->records + meta->marks;
    s->marks = meta->marks;
    s->partitions = meta->partitions;
    s->first_ms = meta->records ? msg_id_ms(&meta->min_id) : 0;
    s->last_ms = meta->records ? msg_id_ms(&meta->max_id) : 0;
    s->spans = calloc(meta->span_count, sizeof *s->spans);
    if (!s->spans)
        return ERR_NOMEM;
    for (s->span_count = 0; s->span_count < meta->span_count; s->span_count++) {
        const struct sorted_span *span = &meta->spans[s->span_count];
        s->spans[s->span_count] = (struct inspect_span){ span->log, span->first_number, span->last_number };
    }
    return 0;
}

static int walk_sorted(const struct fsio *fs, const char *dir, const struct inspect_file *file, bool whole,
                       struct walk *w, uint64_t *offset_out)
{
    struct sorted *table;
    int err = sorted_open(fs, dir, file->name, NULL, &table, offset_out);
    if (err)
        return err;
    err = take_meta(sorted_meta(table), w->out);
    if (!err && whole)
        err = sorted_verify(table, NULL, NULL, offset_out);
    if (!err && w->each) {
        w->out->records = w->out->marks = 0;          /* counted again */
        err = scan_sorted(table, w, offset_out);
        w->out->batches = 0;
    }
    sorted_unref(table);
    return err;
}

int inspect_file(const struct fsio *fs, const char *dir, const struct inspect_file *file, bool whole,
                 segment_record_fn *each, void *arg, struct inspect_summary *out, uint64_t *offset_out)
{
    struct walk w = { .out = out, .each = each, .arg = arg };
    *out = (struct inspect_summary){ 0 };
    *offset_out = 0;
    if (file->kind == INSPECT_UNSORTED)
        return walk_unsorted(fs, dir, file, &w, offset_out);
    if (file->kind == INSPECT_SORTED)
        return walk_sorted(fs, dir, file, whole, &w, offset_out);
    return 0;
}

void inspect_summary_fini(struct inspect_summary *summary)
{
    free(summary->spans);
}
