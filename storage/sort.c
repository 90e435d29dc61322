/* sort.c - one closed segment becomes one sorted file.
 *
 * Nothing is sorted but the partitions: a segment's index has the places of each partition in order already
 * (index.h). So memory is that index, which is there anyway, and a pointer for each partition. Records are then read
 * one by one in the new order, all over the file. It is brought into the page cache first by one pass over it, which
 * costs nothing when it is there still, and is one sequential read when it is not. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/keep_impl.h"

struct sorting {
    struct keep_work *work;
    const struct segment *segment;
    const struct index_part **parts;    /* in order */
    struct buf bytes;                   /* a piece of the file, then a record */
    struct sorted_writer *writer;
};

static int by_partition(const void *a, const void *b)
{
    const struct index_part *const *left = a, *const *right = b;
    return memcmp((*left)->partition.v, (*right)->partition.v, sizeof (*left)->partition.v);
}

static int read_at(struct sorting *s, uint64_t offset, size_t len)
{
    const struct segment *segment = s->segment;
    buf_clear(&s->bytes);
    uint8_t *to = buf_grow(&s->bytes, len);
    if (!to)
        return s->bytes.err;
    size_t got;
    int err = segment->fs->pread(segment->fs->self, segment->file, to, len, offset, &got);
    if (!err && got < len)
        err = ERR_CORRUPT;               /* it was there once */
    return keep_bad(s->work, segment->name, offset, err);
}

static int warm(struct sorting *s)
{
    int err = 0;
    for (uint64_t at = 0, len; !err && at < s->segment->bytes; at += len) {
        len = s->segment->bytes - at;
        if (len > KEEP_PIECE_BYTES)
            len = KEEP_PIECE_BYTES;
        err = read_at(s, at, (size_t)len);
        if (!err)
            err = keep_pace(s->work, len);
    }
    return err;
}

/* The index was made from this very record, so what differs from it is damage. */
static int put_entry(struct sorting *s, const struct index_part *part, const struct index_entry *entry)
{
    int err = read_at(s, entry->offset, entry->len);
    if (err)
        return err;
    struct record record;
    size_t len;
    struct bytes whole = buf_bytes(&s->bytes);
    err = record_parse(whole, &record, &len);
    if (err == ERR_TORN ||
        (!err && (len != entry->len || record.seq != entry->seq || record.number != entry->number ||
                  record.kind != entry->kind || record.log != s->segment->head.log ||
                  !conv_id_equal(&record.partition, &part->partition))))
        err = ERR_CORRUPT;
    if (err)
        return keep_bad(s->work, s->segment->name, entry->offset, err);
    return keep_put(s->work, s->writer, s->segment->name, entry->offset, &record, whole);
}

/* A record, then the marks placed at it. */
static int put_part(struct sorting *s, const struct index_part *part)
{
    uint32_t record = 0, mark = 0;
    int err = 0;
    while (!err && (record < part->records.count || mark < part->marks.count)) {
        bool take_mark = record == part->records.count ||
                         (mark < part->marks.count && part->marks.at[mark].seq < part->records.at[record].seq);
        err = put_entry(s, part, take_mark ? &part->marks.at[mark++] : &part->records.at[record++]);
    }
    return err;
}

static int put_all(struct sorting *s)
{
    const struct index *index = &s->segment->index;
    for (uint32_t i = 0; i < index->part_count; i++)
        s->parts[i] = &index->parts[i];
    qsort(s->parts, index->part_count, sizeof *s->parts, by_partition);
    int err = warm(s);
    for (uint32_t i = 0; !err && i < index->part_count; i++)
        err = put_part(s, s->parts[i]);
    return err;
}

int sort_segment(struct keep_work *work, const struct segment *segment)
{
    assert(segment->records > 0);
    struct sorting s = { .work = work, .segment = segment };
    s.parts = calloc(segment->index.part_count, sizeof *s.parts);
    if (!s.parts)
        return ERR_NOMEM;
    buf_init(&s.bytes, KEEP_PIECE_BYTES);
    struct sorted_making making = { .serial = work->serial, .made_ms = work->how->now_ms,
                                    .partitions_max = segment->index.part_count };
    int err = keep_bad_new(work, sorted_writer_open(work->fs, work->dir, &making, &s.writer));
    if (err)
        goto out;
    err = put_all(&s);
    if (err) {
        sorted_writer_abort(s.writer);
        goto out;
    }
    struct sorted_span span = {
        .log = segment->head.log,
        .first_number = segment->head.first_number,
        .last_number = segment->head.first_number + segment->records - 1,
        .first_batch = segment->head.first_batch,
        .last_batch = segment->last_batch,
    };
    struct sorted_meta meta;
    err = keep_bad_new(work, sorted_writer_finish(s.writer, &span, 1, segment->bytes, 0, &meta));
    work->report->bytes_in = segment->bytes;
    work->report->bytes_out = err ? 0 : meta.bytes;
out:
    buf_fini(&s.bytes);
    free(s.parts);
    return err;
}
