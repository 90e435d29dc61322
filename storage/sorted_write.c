/* sorted_write.c - writes a sorted segment: aside, front to back, and names it when all of it is on disk.
 *
 * What is held grows with neither records nor bytes: one block, one lowest index page, what is not yet written out, the
 * filter, and one index entry for each lowest page. The filter begins as large as partitions_max needs and is folded to
 * what the partitions that came do need: two neighbouring blocks become one, the one that the hash chooses with one bit
 * less of it.
 *
 * The inputs of a file go when it has its name. So each record is made again from what goes into it, and held against
 * what came, before it is taken: what would not come back the same is a broken promise found while it can be. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"
#include "storage/sorted_form.h"

enum {
    OUT_BYTES = 256 * 1024,              /* one write; what a disk does in a millisecond or few */
    OUT_BYTES_MAX = OUT_BYTES + 256 * 1024,
    ABOVE_BYTES_MAX = 1 << 30,           /* entries of 26 million lowest pages, 80 TiB */
};
_Static_assert(OUT_BYTES_MAX - OUT_BYTES > PIECE_HEAD_BYTES + BLOCK_PAYLOAD_MAX, "a block fits what is not written");
_Static_assert(OUT_BYTES_MAX - OUT_BYTES > PIECE_HEAD_BYTES + SORTED_SPANS_MAX * SPAN_BYTES, "so do the spans");

struct sorted_writer {
    const struct fsio *fs;
    char dir[FS_PATH_MAX], path[FS_PATH_MAX], aside[FS_PATH_MAX];
    int file;
    uint64_t seed;
    uint32_t block_bytes;
    XXH3_state_t *hash;                  /* of all before `offset` */
    uint64_t offset;                     /* where `out` will be written */
    uint64_t behind;                     /* bytes before it that are on their way to the disk */
    struct buf out;
    struct buf block;                    /* the head's room, and the payload so far */
    uint16_t block_records;
    bool in_run;
    struct sorted_entry entry;           /* of the block being filled */
    struct buf page;                     /* the lowest index page being filled, head's room included */
    uint16_t page_entries;
    struct buf above;                    /* entries of the level above */
    uint8_t *filter;
    uint32_t filter_log;
    struct record last;                  /* without its sealed part; good when any came */
    uint64_t time_ms;                    /* of the newest record of its partition so far */
    struct sorted_meta meta;
    struct { uint64_t first, last; } seen[LOGS_MAX];    /* record numbers; last 0: none */
    uint8_t again[RECORD_BYTES_MAX];
};

/* ---- making the file and going back on it ---- */

static void writer_free(struct sorted_writer *w)
{
    buf_fini(&w->out);
    buf_fini(&w->block);
    buf_fini(&w->page);
    buf_fini(&w->above);
    XXH3_freeState(w->hash);
    free(w->filter);
    free(w);
}

int sorted_writer_open(const struct fsio *fs, const char *dir, const struct sorted_making *making,
                       struct sorted_writer **out)
{
    assert(making->serial > 0 && making->block_bytes <= SORTED_BLOCK_BYTES);
    struct sorted_writer *w = calloc(1, sizeof *w);
    if (!w)
        return ERR_NOMEM;
    w->fs = fs;
    w->block_bytes = making->block_bytes > 0 ? making->block_bytes : SORTED_BLOCK_BYTES;
    w->meta = (struct sorted_meta){ .serial = making->serial, .made_ms = making->made_ms };
    buf_init(&w->out, OUT_BYTES_MAX);
    buf_init(&w->block, PIECE_HEAD_BYTES + BLOCK_PAYLOAD_MAX);
    buf_init(&w->page, INDEX_PAGE_BYTES);
    buf_init(&w->above, ABOVE_BYTES_MAX);
    while (w->filter_log < FILTER_LOG_MAX && making->partitions_max >> w->filter_log > FILTER_PARTITIONS)
        w->filter_log++;
    w->filter = calloc((size_t)1 << w->filter_log, FILTER_BLOCK_BYTES);
    w->hash = XXH3_createState();
    int err = ERR_NOMEM;
    if (!w->filter || !w->hash || XXH3_64bits_reset(w->hash) == XXH_ERROR)
        goto fail;

    char name[SORTED_NAME_BYTES];
    sorted_name(name, making->serial);
    fs_path(w->path, dir, name);
    int len = snprintf(w->dir, sizeof w->dir, "%s", dir);
    len = len > 0 && len < (int)sizeof w->dir ? snprintf(w->aside, sizeof w->aside, "%s.new", w->path) : -1;
    assert(len > 0 && len < (int)sizeof w->aside);
    err = fs->open(fs->self, w->aside, FS_READ | FS_WRITE | FS_CREATE, &w->file);
    if (err)
        goto fail;
    err = fs->truncate(fs->self, w->file, 0);
    uint8_t header[SORTED_HEADER_BYTES];
    w->seed = sorted_header_put(header, making->serial, making->made_ms);
    buf_put(&w->out, header, sizeof header);
    if (!err)
        err = w->out.err;
    if (err) {
        sorted_writer_abort(w);
        return err;
    }
    *out = w;
    return 0;
fail:
    writer_free(w);
    return err;
}

void sorted_writer_abort(struct sorted_writer *w)
{
    if (!w)
        return;
    w->fs->close(w->fs->self, w->file);
    /* Should this fail, or not be durable, a start removes it. */
    w->fs->unlink(w->fs->self, w->aside);
    writer_free(w);
}

uint64_t sorted_writer_bytes(const struct sorted_writer *w)
{
    return w->offset;
}

/* ---- bytes out ---- */

static uint64_t here(const struct sorted_writer *w)
{
    return w->offset + w->out.len;
}

static int write_out(struct sorted_writer *w)
{
    if (w->out.len == 0)
        return 0;
    int err = w->fs->pwritev(w->fs->self, w->file, &(struct iovec){ w->out.at, w->out.len }, 1, w->offset);
    if (!err)
        err = w->fs->write_back(w->fs->self, w->file, w->offset, w->out.len, w->behind);
    if (err)
        return err;
    XXH3_64bits_update(w->hash, w->out.at, w->out.len);
    w->offset += w->out.len;
    w->behind = w->out.len;
    buf_clear(&w->out);
    return 0;
}

static int put_out(struct sorted_writer *w, const void *at, size_t len)
{
    buf_put(&w->out, at, len);
    if (w->out.err)
        return w->out.err;
    return w->out.len >= OUT_BYTES ? write_out(w) : 0;
}

/* ---- blocks and their index ---- */

static int page_close(struct sorted_writer *w)
{
    struct sorted_entry first;
    sorted_entry_get(w->page.at + PIECE_HEAD_BYTES, &first);
    first.offset = here(w);
    uint8_t *entry = buf_grow(&w->above, INDEX_ENTRY_BYTES);
    if (!entry)
        return w->above.err;
    sorted_entry_put(entry, &first);
    piece_seal(w->page.at, w->page.len - PIECE_HEAD_BYTES, PIECE_INDEX, w->page_entries, w->seed, here(w));
    int err = put_out(w, w->page.at, w->page.len);
    buf_clear(&w->page);
    w->page_entries = 0;
    return err;
}

static int block_close(struct sorted_writer *w)
{
    buf_put_u8(&w->block, 0);
    w->in_run = false;
    if (w->page.len == 0)
        buf_grow(&w->page, PIECE_HEAD_BYTES);
    uint8_t *entry = buf_grow(&w->page, INDEX_ENTRY_BYTES);
    if (!entry || w->block.err)
        return entry ? w->block.err : w->page.err;
    sorted_entry_put(entry, &w->entry);
    w->page_entries++;
    piece_seal(w->block.at, w->block.len - PIECE_HEAD_BYTES, PIECE_RECORDS, w->block_records, w->seed, here(w));
    w->meta.block_count++;
    w->meta.data_bytes += w->block.len;
    int err = put_out(w, w->block.at, w->block.len);
    buf_clear(&w->block);
    w->block_records = 0;
    return !err && w->page_entries == INDEX_PAGE_ENTRIES ? page_close(w) : err;
}

/* Which numbers came of which log: the spans must hold them. */
static void see_number(struct sorted_writer *w, const struct record *record)
{
    assert(record->log < LOGS_MAX && record->number > 0);
    if (w->seen[record->log].last == 0 || record->number < w->seen[record->log].first)
        w->seen[record->log].first = record->number;
    if (record->number > w->seen[record->log].last)
        w->seen[record->log].last = record->number;
}

int sorted_writer_add(struct sorted_writer *w, const struct record *record, struct bytes whole)
{
    bool any = w->meta.records + w->meta.marks > 0;
    if (any && sorted_order(&w->last, record) >= 0)
        return ERR_CORRUPT;
    size_t len = record_restore(record, w->again);
    assert(len == whole.len && memcmp(w->again, whole.at, len) == 0);

    bool goes_on = any && conv_id_equal(&w->last.partition, &record->partition);
    if (!goes_on) {
        if (w->in_run)
            buf_put_u8(&w->block, 0);
        w->in_run = false;
        w->time_ms = 0;
        w->meta.partitions++;
        uint64_t hash = filter_hash(&record->partition, w->seed);
        filter_set(w->filter + filter_block(hash, w->filter_log) * FILTER_BLOCK_BYTES, hash);
    }
    see_number(w, record);
    sorted_meta_add(&w->meta, record);
    w->time_ms = sorted_time_after(w->time_ms, record);
    if (w->block.len == 0) {
        buf_grow(&w->block, PIECE_HEAD_BYTES);
        w->entry = (struct sorted_entry){ record->partition, record->seq, w->time_ms, here(w) };
    }
    if (!w->in_run)
        buf_put(&w->block, record->partition.v, sizeof record->partition.v);
    compact_put(&w->block, record, w->in_run ? w->last.seq : 0);
    if (w->block.err)
        return w->block.err;
    w->in_run = true;
    w->block_records++;
    w->last = *record;
    w->last.sealed = BYTES_NONE;
    return w->block.len - PIECE_HEAD_BYTES >= w->block_bytes ? block_close(w) : 0;
}

/* ---- the end of the file ---- */

/* Every level above the lowest, until one page is the top. */
static int write_above(struct sorted_writer *w)
{
    uint8_t page[INDEX_PAGE_BYTES];
    size_t count = w->above.len / INDEX_ENTRY_BYTES;
    for (uint16_t type = PIECE_INDEX + 1; count > 1; type++) {
        size_t pages = 0;
        for (size_t done = 0; done < count; done += INDEX_PAGE_ENTRIES, pages++) {
            size_t entries = count - done < INDEX_PAGE_ENTRIES ? count - done : INDEX_PAGE_ENTRIES;
            uint8_t *from = w->above.at + done * INDEX_ENTRY_BYTES;
            memcpy(page + PIECE_HEAD_BYTES, from, entries * INDEX_ENTRY_BYTES);
            piece_seal(page, entries * INDEX_ENTRY_BYTES, type, (uint16_t)entries, w->seed, here(w));
            struct sorted_entry first;
            sorted_entry_get(from, &first);
            first.offset = here(w);
            /* Where this level's entries stood, those of the next one gather: one for each page, so never ahead. */
            sorted_entry_put(w->above.at + pages * INDEX_ENTRY_BYTES, &first);
            int err = put_out(w, page, PIECE_HEAD_BYTES + entries * INDEX_ENTRY_BYTES);
            if (err)
                return err;
        }
        count = pages;
    }
    return 0;
}

static int write_filter(struct sorted_writer *w)
{
    while (w->filter_log > 0 && w->meta.partitions >> (w->filter_log - 1) <= FILTER_PARTITIONS) {
        w->filter_log--;
        for (size_t i = 0; i < (size_t)1 << w->filter_log; i++)
            for (size_t k = 0; k < FILTER_BLOCK_BYTES; k++)
                w->filter[i * FILTER_BLOCK_BYTES + k] = w->filter[2 * i * FILTER_BLOCK_BYTES + k] |
                                                        w->filter[(2 * i + 1) * FILTER_BLOCK_BYTES + k];
    }
    int err = 0;
    for (size_t i = 0; !err && i < (size_t)1 << w->filter_log; i++) {
        filter_seal(w->filter + i * FILTER_BLOCK_BYTES, w->seed, here(w));
        err = put_out(w, w->filter + i * FILTER_BLOCK_BYTES, FILTER_BLOCK_BYTES);
    }
    return err;
}

static int span_compare(const void *a, const void *b)
{
    const struct sorted_span *x = a, *y = b;
    if (x->log != y->log)
        return x->log < y->log ? -1 : 1;
    return (x->first_number > y->first_number) - (x->first_number < y->first_number);
}

/* In order, those that touch joined. Returns how many remain. */
static size_t spans_join(struct sorted_span *spans, size_t count)
{
    qsort(spans, count, sizeof *spans, span_compare);
    size_t joined = 0;
    for (size_t i = 0; i < count; i++) {
        struct sorted_span *before = joined > 0 ? &spans[joined - 1] : NULL;
        assert(spans[i].log < LOGS_MAX && spans[i].first_number > 0);
        assert(spans[i].first_number <= spans[i].last_number && spans[i].first_batch <= spans[i].last_batch);
        assert(!before || before->log < spans[i].log || before->last_number < spans[i].first_number);
        if (before && before->log == spans[i].log && before->last_number + 1 == spans[i].first_number &&
            before->last_batch + 1 == spans[i].first_batch) {
            before->last_number = spans[i].last_number;
            before->last_batch = spans[i].last_batch;
        } else {
            spans[joined++] = spans[i];
        }
    }
    return joined;
}

static int write_spans(struct sorted_writer *w, const struct sorted_span *given, size_t count)
{
    assert(count > 0);
    struct sorted_span *spans = malloc(count * sizeof *spans);
    if (!spans)
        return ERR_NOMEM;
    memcpy(spans, given, count * sizeof *spans);
    count = spans_join(spans, count);
    int err = count > SORTED_SPANS_MAX ? ERR_TOO_BIG : 0;
    if (err)
        goto out;
    w->meta.span_count = (uint32_t)count;
    for (uint32_t log = 0; log < LOGS_MAX; log++)
        assert(w->seen[log].last == 0 || (spans_hold(spans, (uint32_t)count, log, w->seen[log].first) &&
                                          spans_hold(spans, (uint32_t)count, log, w->seen[log].last)));
    size_t start = w->out.len;
    uint64_t offset = here(w);
    if (!buf_grow(&w->out, PIECE_HEAD_BYTES + count * SPAN_BYTES)) {
        err = w->out.err;
        goto out;
    }
    for (size_t i = 0; i < count; i++)
        span_put(w->out.at + start + PIECE_HEAD_BYTES + i * SPAN_BYTES, &spans[i]);
    piece_seal(w->out.at + start, count * SPAN_BYTES, PIECE_SPANS, (uint16_t)count, w->seed, offset);
out:
    free(spans);
    return err;
}

static int write_footer(struct sorted_writer *w, const struct sorted_layout *layout)
{
    int err = write_out(w);
    if (err)
        return err;
    assert(w->offset == layout->footer_offset);
    struct sorted_foot foot = {
        .meta = w->meta,
        .index_offset = layout->index_offset,
        .filter_offset = layout->filter_offset,
        .spans_offset = layout->spans_offset,
        .checksum = XXH3_64bits_digest(w->hash),
    };
    uint8_t footer[SORTED_FOOTER_BYTES];
    sorted_foot_put(footer, &foot, w->seed, w->offset);
    err = put_out(w, footer, sizeof footer);
    return err ? err : write_out(w);
}

/* All of the file, synced, still aside. */
static int write_rest(struct sorted_writer *w, const struct sorted_span *spans, size_t count)
{
    int err = w->block.len > 0 ? block_close(w) : 0;
    if (!err && w->page_entries > 0)
        err = page_close(w);
    if (!err)
        err = write_above(w);
    if (!err)
        err = write_filter(w);
    if (!err)
        err = write_spans(w, spans, count);
    if (err)
        return err;
    struct sorted_layout layout;
    bool fits = sorted_layout(&layout, w->meta.block_count, w->meta.data_bytes, w->filter_log, w->meta.span_count);
    assert(fits);
    w->meta.bytes = layout.footer_offset + SORTED_FOOTER_BYTES;
    w->meta.written_bytes += w->meta.bytes;
    err = write_footer(w, &layout);
    return err ? err : w->fs->sync(w->fs->self, w->file);
}

int sorted_writer_finish(struct sorted_writer *w, const struct sorted_span *spans, size_t count, uint64_t source_bytes,
                         uint64_t written_before, struct sorted_meta *meta_out)
{
    const struct fsio *fs = w->fs;
    w->meta.source_bytes = source_bytes;
    w->meta.written_bytes = written_before;
    int err = write_rest(w, spans, count);
    if (!err)
        err = fs->rename(fs->self, w->aside, w->path);
    if (err) {
        sorted_writer_abort(w);
        return err;
    }
    fs->close(fs->self, w->file);
    err = fs->sync_dir(fs->self, w->dir);
    if (err)
        fs->unlink(fs->self, w->path);
    else if (meta_out)
        *meta_out = w->meta;
    writer_free(w);
    return err;
}
