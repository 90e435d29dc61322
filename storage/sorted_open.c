/* sorted_open.c - a sorted segment: opened, counted, its index pages and filter found in memory or on disk.
 *
 * Four numbers of the footer (blocks, their bytes, filter blocks, spans) say where everything lies, so the offsets in
 * it and the size of the file are one more check rather than something to believe. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/sorted_impl.h"

/* ---- the budget ---- */

void sorted_pins_init(struct sorted_pins *pins, uint64_t bytes_max)
{
    pins->bytes_max = bytes_max;
    atomic_init(&pins->bytes, 0);
}

/* As long as no more than `bytes_max` are taken in all. */
static bool pins_take(struct sorted_pins *pins, uint64_t bytes, uint64_t bytes_max)
{
    uint_least64_t taken = atomic_load_explicit(&pins->bytes, memory_order_relaxed);
    do {
        if (bytes > bytes_max || taken > bytes_max - bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&pins->bytes, &taken, taken + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static void pins_give(struct sorted_pins *pins, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&pins->bytes, bytes, memory_order_relaxed);
}

static uint64_t index_bytes(const struct sorted *table)
{
    return table->layout.filter_offset - table->layout.index_offset;
}

static uint64_t filter_bytes(const struct sorted *table)
{
    return table->layout.spans_offset - table->layout.filter_offset;
}

static uint64_t pages_bytes(const struct sorted *table)
{
    return table->layout.pages[0] * INDEX_PAGE_BYTES;
}

/* ---- counted ---- */

struct sorted *sorted_ref(struct sorted *table)
{
    atomic_fetch_add_explicit(&table->refs, 1, memory_order_relaxed);
    return table;
}

void sorted_unref(struct sorted *table)
{
    /* Release: our reads are done; acquire: the last one sees that of all others before it frees. */
    if (atomic_fetch_sub_explicit(&table->refs, 1, memory_order_acq_rel) > 1)
        return;
    table->fs->close(table->fs->self, table->file);
    if (table->index)
        pins_give(table->pins, index_bytes(table));
    if (table->filter)
        pins_give(table->pins, filter_bytes(table));
    if (table->pages)
        pins_give(table->pins, pages_bytes(table));
    free(table->index);
    free(table->pages);
    free(table->filter);
    free(table->meta.spans);
    free(table);
}

const struct sorted_meta *sorted_meta(const struct sorted *table)
{
    return &table->meta;
}

const char *sorted_file_name(const struct sorted *table)
{
    return table->name;
}

/* ---- reading parts ---- */

int sorted_read(const struct sorted *table, void *to, size_t len, uint64_t offset)
{
    size_t got;
    int err = table->fs->pread(table->fs->self, table->file, to, len, offset, &got);
    return err ? err : got < len ? ERR_CORRUPT : 0;
}

static uint32_t page_entries(const struct sorted *table, uint32_t level, uint64_t number)
{
    uint64_t left = table->layout.entries[level] - number * INDEX_PAGE_ENTRIES;
    return left < INDEX_PAGE_ENTRIES ? (uint32_t)left : INDEX_PAGE_ENTRIES;
}

static bool page_check(const struct sorted *table, const uint8_t *page, uint32_t level, const struct index_page *want)
{
    size_t len = want->count * INDEX_ENTRY_BYTES;
    struct bytes payload;
    uint16_t count;
    return piece_check(bytes_of(page, PIECE_HEAD_BYTES + len), (uint16_t)(PIECE_INDEX + level), len, table->seed,
                       want->offset, &payload, &count) &&
           payload.len == len && count == want->count;
}

bool sorted_page_fits(const struct sorted *table, uint64_t number, uint64_t offset)
{
    uint64_t len = PIECE_HEAD_BYTES + (uint64_t)page_entries(table, 0, number) * INDEX_ENTRY_BYTES;
    return offset > SORTED_HEADER_BYTES && offset < table->layout.index_offset &&
           table->layout.index_offset - offset >= len;
}

int sorted_page(const struct sorted *table, uint32_t level, uint64_t number, uint64_t offset, struct buf *room,
                struct index_page *out, uint32_t *reads)
{
    const struct sorted_layout *layout = &table->layout;
    assert(level < layout->height && number < layout->pages[level]);
    bool is_above = layout->level_offset[level] > 0;
    out->count = page_entries(table, level, number);
    out->offset = is_above ? layout->level_offset[level] + number * INDEX_PAGE_BYTES : offset;
    if (is_above && table->index && reads) {
        out->entries = table->index + (out->offset - layout->index_offset) + PIECE_HEAD_BYTES;
        return 0;
    }
    if (!is_above && table->pages && reads) {
        out->entries = table->pages + number * INDEX_PAGE_BYTES + PIECE_HEAD_BYTES;
        return 0;
    }
    buf_clear(room);
    size_t len = PIECE_HEAD_BYTES + out->count * INDEX_ENTRY_BYTES;
    uint8_t *to = buf_grow(room, len);
    if (!to)
        return room->err;
    if (reads)
        ++*reads;
    int err = sorted_read(table, to, len, out->offset);
    if (!err && !page_check(table, to, level, out))
        err = ERR_CORRUPT;
    out->entries = to + PIECE_HEAD_BYTES;
    return err;
}

int sorted_filter(const struct sorted *table, const struct conv_id *partition, bool *perhaps_out, uint32_t *reads,
                  uint64_t *bad_offset)
{
    uint64_t hash = filter_hash(partition, table->seed);
    uint64_t at = filter_block(hash, table->layout.filter_log) * FILTER_BLOCK_BYTES;
    if (table->filter) {
        *perhaps_out = filter_has(table->filter + at, hash);
        return 0;
    }
    uint8_t block[FILTER_BLOCK_BYTES];
    *bad_offset = table->layout.filter_offset + at;
    ++*reads;
    int err = sorted_read(table, block, sizeof block, *bad_offset);
    if (!err && !filter_check(block, table->seed, *bad_offset))
        err = ERR_CORRUPT;
    *perhaps_out = !err && filter_has(block, hash);
    return err;
}

/* ---- opening ---- */

/* Of a filter of so many bytes; above FILTER_LOG_MAX when there is none. */
static uint32_t filter_log(uint64_t bytes)
{
    uint32_t log = 0;
    while (log <= FILTER_LOG_MAX && (uint64_t)FILTER_BLOCK_BYTES << log != bytes)
        log++;
    return log;
}

static bool meta_is_likely(const struct sorted_meta *meta)
{
    /* The first two keep the sum from overflowing. */
    return meta->records <= meta->data_bytes && meta->marks <= meta->data_bytes &&
           meta->block_count <= meta->records + meta->marks && meta->partitions <= meta->records + meta->marks &&
           (meta->partitions > 0) == (meta->block_count > 0);
}

/* Header and footer: meta without spans, seed, layout. */
static int read_ends(struct sorted *table, uint64_t serial, uint64_t *bad_offset)
{
    uint64_t size;
    int err = table->fs->size(table->fs->self, table->file, &size);
    if (err)
        return err;
    uint8_t header[SORTED_HEADER_BYTES], footer[SORTED_FOOTER_BYTES];
    if (size < sizeof header + sizeof footer) {
        *bad_offset = size;
        return ERR_CORRUPT;
    }
    *bad_offset = 0;
    uint64_t header_serial, made_ms;
    err = sorted_read(table, header, sizeof header, 0);
    if (!err)
        err = sorted_header_get(header, &header_serial, &made_ms, &table->seed);
    if (!err && header_serial != serial)
        err = ERR_CORRUPT;
    if (err)
        return err;
    uint64_t at = size - sizeof footer;
    struct sorted_foot foot;
    *bad_offset = at;
    err = sorted_read(table, footer, sizeof footer, at);
    if (err)
        return err;
    if (!sorted_foot_get(footer, &foot, table->seed, at) || foot.meta.serial != serial ||
        !meta_is_likely(&foot.meta) || foot.spans_offset < foot.filter_offset ||
        !sorted_layout(&table->layout, foot.meta.block_count, foot.meta.data_bytes,
                       filter_log(foot.spans_offset - foot.filter_offset), foot.meta.span_count) ||
        table->layout.index_offset != foot.index_offset || table->layout.filter_offset != foot.filter_offset ||
        table->layout.spans_offset != foot.spans_offset || table->layout.footer_offset != at)
        return ERR_CORRUPT;
    table->meta = foot.meta;
    table->meta.made_ms = made_ms;
    table->meta.bytes = size;
    table->checksum = foot.checksum;
    return 0;
}

static bool span_follows(const struct sorted_span *before, const struct sorted_span *span)
{
    if (span->log >= LOGS_MAX || span->first_number == 0 || span->first_number > span->last_number ||
        span->first_batch > span->last_batch)
        return false;
    return !before || before->log < span->log ||
           (before->log == span->log && before->last_number < span->first_number);
}

int sorted_read_spans(const struct sorted *table, uint8_t **piece_out, struct bytes *payload_out)
{
    size_t payload_bytes = table->meta.span_count * (size_t)SPAN_BYTES, len = PIECE_HEAD_BYTES + payload_bytes;
    uint64_t offset = table->layout.spans_offset;
    *piece_out = malloc(len);
    if (!*piece_out)
        return ERR_NOMEM;
    int err = sorted_read(table, *piece_out, len, offset);
    uint16_t count;
    if (!err && (!piece_check(bytes_of(*piece_out, len), PIECE_SPANS, payload_bytes, table->seed, offset, payload_out,
                              &count) ||
                 payload_out->len != payload_bytes || count != table->meta.span_count))
        err = ERR_CORRUPT;
    return err;
}

static int take_spans(struct sorted *table, uint64_t *bad_offset)
{
    uint32_t count = table->meta.span_count;
    uint8_t *piece;
    struct bytes payload;
    *bad_offset = table->layout.spans_offset;
    int err = sorted_read_spans(table, &piece, &payload);
    table->meta.spans = malloc(count * sizeof *table->meta.spans);
    if (!table->meta.spans)
        err = ERR_NOMEM;
    for (uint32_t i = 0; !err && i < count; i++) {
        struct sorted_span *span = &table->meta.spans[i];
        span_get(payload.at + i * SPAN_BYTES, span);
        if (!span_follows(i > 0 ? span - 1 : NULL, span))
            err = ERR_CORRUPT;
    }
    free(piece);
    return err;
}

/* From the file into memory of the budget's; *out stays NULL when it has no room, which is no error. */
static int pin(struct sorted *table, uint64_t from, uint64_t len, uint8_t **out)
{
    if (len == 0 || !table->pins || !pins_take(table->pins, len, table->pins->bytes_max))
        return 0;
    *out = malloc(len);
    if (!*out) {
        pins_give(table->pins, len);
        return ERR_NOMEM;
    }
    return sorted_read(table, *out, len, from);
}

static int pin_index(struct sorted *table, uint64_t *bad_offset)
{
    const struct sorted_layout *layout = &table->layout;
    *bad_offset = layout->index_offset;
    int err = pin(table, layout->index_offset, index_bytes(table), &table->index);
    if (err || !table->index)
        return err;
    for (uint32_t level = layout->height > 1 ? 1 : 0; level < layout->height; level++) {
        for (uint64_t number = 0; number < layout->pages[level]; number++) {
            struct index_page page = { .count = page_entries(table, level, number),
                                       .offset = layout->level_offset[level] + number * INDEX_PAGE_BYTES };
            *bad_offset = page.offset;
            if (!page_check(table, table->index + (page.offset - layout->index_offset), level, &page))
                return ERR_CORRUPT;
        }
    }
    return 0;
}

static int pin_filter(struct sorted *table, uint64_t *bad_offset)
{
    *bad_offset = table->layout.filter_offset;
    int err = pin(table, table->layout.filter_offset, filter_bytes(table), &table->filter);
    if (err || !table->filter)
        return err;
    for (uint64_t at = 0; at < filter_bytes(table); at += FILTER_BLOCK_BYTES) {
        *bad_offset = table->layout.filter_offset + at;
        if (!filter_check(table->filter + at, table->seed, *bad_offset))
            return ERR_CORRUPT;
    }
    return 0;
}

/* Page `number` to `to`, from where the entry above says, checked as it would be each time it is read. */
static bool read_lowest(const struct sorted *table, uint64_t number, uint8_t *to)
{
    const struct sorted_layout *layout = &table->layout;
    uint64_t above = layout->level_offset[1] - layout->index_offset + number / INDEX_PAGE_ENTRIES * INDEX_PAGE_BYTES;
    struct sorted_entry entry;
    sorted_entry_get(table->index + above + PIECE_HEAD_BYTES + number % INDEX_PAGE_ENTRIES * INDEX_ENTRY_BYTES, &entry);
    struct index_page page = { .count = page_entries(table, 0, number), .offset = entry.offset };
    size_t len = PIECE_HEAD_BYTES + (size_t)page.count * INDEX_ENTRY_BYTES;
    return sorted_page_fits(table, number, entry.offset) && sorted_read(table, to, len, entry.offset) == 0 &&
           page_check(table, to, 0, &page);
}

/* The lowest pages of a small table. One that is damaged, or for which there is no memory, is read when it is needed,
 * and told then. */
static void pin_pages(struct sorted *table)
{
    uint64_t bytes = pages_bytes(table);
    if (table->layout.height < 2 || !table->index || bytes > SORTED_PAGES_PINNED_MAX ||
        !pins_take(table->pins, bytes, table->pins->bytes_max / 2))
        return;
    table->pages = malloc(bytes);
    bool good = table->pages != NULL;
    for (uint64_t number = 0; good && number < table->layout.pages[0]; number++)
        good = read_lowest(table, number, table->pages + number * INDEX_PAGE_BYTES);
    if (good)
        return;
    pins_give(table->pins, bytes);
    free(table->pages);
    table->pages = NULL;
}

int sorted_open(const struct fsio *fs, const char *dir, const char *name, struct sorted_pins *pins,
                struct sorted **out, uint64_t *bad_offset_out)
{
    uint64_t serial;
    *bad_offset_out = 0;
    if (!sorted_name_parse(name, &serial))
        return ERR_NOT_FOUND;
    char path[FS_PATH_MAX];
    fs_path(path, dir, name);
    struct sorted *table = calloc(1, sizeof *table);
    if (!table)
        return ERR_NOMEM;
    atomic_init(&table->refs, 1);
    table->fs = fs;
    table->pins = pins;
    snprintf(table->name, sizeof table->name, "%s", name);
    int err = fs->open(fs->self, path, FS_READ, &table->file);
    if (err) {
        free(table);
        return err;
    }
    err = read_ends(table, serial, bad_offset_out);
    if (!err)
        err = take_spans(table, bad_offset_out);
    if (!err)
        err = pin_index(table, bad_offset_out);
    if (!err)
        err = pin_filter(table, bad_offset_out);
    if (err) {
        sorted_unref(table);
        return err;
    }
    pin_pages(table);
    *out = table;
    return 0;
}
