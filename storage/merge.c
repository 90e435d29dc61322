/* merge.c - several sorted files become one, step by step.
 *
 * Each input is walked by a scan of its own, and a heap of them gives the next record of all: memory is one read and
 * one record for each input, whatever their size. Every checksum is checked on the way, so a merge never carries damage
 * on, and a bad input is told with its offset. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/keep_impl.h"

struct input {
    struct sorted *table;
    struct sorted_scan *scan;
    uint64_t scanned;                   /* bytes read and paced for */
    struct record record;               /* the next one; a view into the scan, as `whole` */
    struct bytes whole;
    uint64_t offset;
};

struct merge {
    uint64_t serial;
    struct sorted_writer *writer;       /* NULL once it is done, or has failed */
    uint64_t records, dropped;
    uint64_t bytes_in;
    size_t count;
    struct sorted *tables[KEEP_INPUTS_MAX];
    struct input inputs[KEEP_INPUTS_MAX];
    /* Those that have a next record, the one whose is first on top: no child comes before its parent. */
    struct input *heap[KEEP_INPUTS_MAX];
    size_t heap_count;
};

/* Sink what lies at `at` below all that come before it. */
static void heap_sink(struct merge *merge, size_t at)
{
    struct input *sinking = merge->heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= merge->heap_count)
            break;
        if (child + 1 < merge->heap_count &&
            sorted_order(&merge->heap[child + 1]->record, &merge->heap[child]->record) < 0)
            child++;
        if (sorted_order(&sinking->record, &merge->heap[child]->record) <= 0)
            break;
        merge->heap[at] = merge->heap[child];
        at = child;
    }
    merge->heap[at] = sinking;
}

/* The input's next record. ERR_END: there is none. */
static int input_next(struct input *input, struct keep_work *work)
{
    input->offset = 0;
    int err = sorted_scan_next(input->scan, &input->record, &input->whole, &input->offset);
    if (err)
        return keep_bad(work, sorted_file_name(input->table), input->offset, err);
    uint64_t scanned = sorted_scan_bytes(input->scan);
    uint64_t more = scanned - input->scanned;
    input->scanned = scanned;
    return more ? keep_pace(work, more) : 0;
}

int merge_open(struct keep_work *work, struct sorted *const *inputs, size_t count, struct merge **merge_out)
{
    assert(count > 0 && count <= KEEP_INPUTS_MAX);
    struct merge *merge = calloc(1, sizeof *merge);
    if (!merge)
        return ERR_NOMEM;
    merge->serial = work->serial;
    struct sorted_making making = { .serial = work->serial, .made_ms = work->how->now_ms };
    int err = 0;
    for (size_t i = 0; !err && i < count; i++) {
        struct input *input = &merge->inputs[i];
        making.partitions_max += sorted_meta(inputs[i])->partitions;
        merge->bytes_in += sorted_meta(inputs[i])->bytes;
        merge->tables[merge->count++] = input->table = sorted_ref(inputs[i]);
        err = sorted_scan_open(input->table, &input->scan);
        if (!err)
            err = input_next(input, work);
        if (!err)
            merge->heap[merge->heap_count++] = input;
        else if (err == ERR_END)
            err = 0;                    /* all of it was let go of before */
    }
    for (size_t i = merge->heap_count / 2; !err && i-- > 0;)
        heap_sink(merge, i);
    if (!err)
        err = keep_bad_new(work, sorted_writer_open(work->fs, work->dir, &making, &merge->writer));
    if (err) {
        merge_close(merge);
        return err;
    }
    *merge_out = merge;
    return 0;
}

static int merge_finish(struct merge *merge, struct keep_work *work)
{
    size_t span_count = 0;
    uint64_t source_bytes = 0, written_before = 0;
    for (size_t i = 0; i < merge->count; i++) {
        const struct sorted_meta *meta = sorted_meta(merge->tables[i]);
        span_count += meta->span_count;
        source_bytes += meta->source_bytes;
        written_before += meta->written_bytes;
    }
    struct sorted_span *spans = malloc(span_count * sizeof *spans);
    if (!spans)
        return ERR_NOMEM;
    size_t at = 0;
    for (size_t i = 0; i < merge->count; i++) {
        const struct sorted_meta *meta = sorted_meta(merge->tables[i]);
        memcpy(spans + at, meta->spans, meta->span_count * sizeof *spans);
        at += meta->span_count;
    }
    struct sorted_meta meta;
    int err = sorted_writer_finish(merge->writer, spans, span_count, source_bytes, written_before, &meta);
    merge->writer = NULL;
    work->written = err ? work->written : meta.bytes;
    free(spans);
    return keep_bad_new(work, err);
}

int merge_step(struct merge *merge, struct keep_work *work, bool *more_out)
{
    work->serial = merge->serial;
    work->written = sorted_writer_bytes(merge->writer);
    struct keep_report *report = work->report;
    report->records = merge->records;
    report->dropped = merge->dropped;
    uint64_t read = 0;
    int err = 0;
    while (!err && merge->heap_count > 0 && read < KEEP_STEP_BYTES) {
        struct input *input = merge->heap[0];
        err = keep_put(work, merge->writer, sorted_file_name(input->table), input->offset, &input->record,
                       input->whole);
        if (err)
            break;
        uint64_t before = input->scanned;
        err = input_next(input, work);
        read += input->scanned - before;
        if (err == ERR_END) {
            err = 0;
            merge->heap[0] = merge->heap[--merge->heap_count];
        }
        if (!err && merge->heap_count > 0)
            heap_sink(merge, 0);
    }
    *more_out = !err && merge->heap_count > 0;
    if (!err && !*more_out)
        err = merge_finish(merge, work);
    merge->records = report->records;
    merge->dropped = report->dropped;
    report->bytes_in = merge->bytes_in;
    report->bytes_out = work->written;
    return err;
}

void merge_close(struct merge *merge)
{
    if (!merge)
        return;
    if (merge->writer)
        sorted_writer_abort(merge->writer);
    for (size_t i = 0; i < merge->count; i++) {
        if (merge->inputs[i].scan)
            sorted_scan_close(merge->inputs[i].scan);
        sorted_unref(merge->tables[i]);
    }
    free(merge);
}

uint64_t merge_serial(const struct merge *merge)
{
    return merge->serial;
}

size_t merge_inputs(const struct merge *merge, struct sorted *const **inputs_out)
{
    *inputs_out = merge->tables;
    return merge->count;
}
