/* sorted_scan.c - a sorted segment read from front to back: everything in it, verified, or by record number.
 *
 * What the lowest index pages must be follows from the blocks before them, so the scan makes each anew and compares. Of
 * the levels above, each entry is compared when the page that it leads to has been seen. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"
#include "storage/sorted_impl.h"

enum { SCAN_BYTES = 256 * 1024 };        /* one read; eight scans of a merge hold 2 MiB */
_Static_assert((int)SCAN_BYTES > (int)(PIECE_HEAD_BYTES + BLOCK_PAYLOAD_MAX), "a read holds any piece of the scan");

struct sorted_scan {
    struct sorted *table;                /* counted */
    struct buf bytes;                    /* of the file, from `start` */
    uint64_t start;
    uint64_t offset;                     /* of the block at hand, or of the piece that comes next */
    uint64_t block_end;                  /* 0: no block is at hand */
    bool is_block_new;                   /* no record of it was given yet */
    struct block_reader reader;
    uint64_t blocks, pages;              /* seen so far */
    uint8_t page[INDEX_PAGE_BYTES];      /* what the next lowest index page must be; payload only, from its start */
    uint32_t page_entries;
    struct buf above;                    /* room for a page above */
    struct index_page above_page;
    uint64_t above_number;               /* which one; UINT64_MAX: none */
    struct record last;                  /* without its sealed part; good when `records` or `marks` is not 0 */
    uint64_t time_ms;
    struct sorted_meta seen;
    struct buf whole;
    /* For sorted_verify(): */
    XXH3_state_t *hash;                  /* of all that was read; NULL: nobody wants it */
    const uint8_t *filter;               /* the file's, whole; NULL: nobody looks */
    int (*pace)(void *arg, uint64_t bytes);
    void *arg;
};

int sorted_scan_open(struct sorted *table, struct sorted_scan **out)
{
    struct sorted_scan *scan = calloc(1, sizeof *scan);
    if (!scan)
        return ERR_NOMEM;
    scan->table = sorted_ref(table);
    scan->offset = SORTED_HEADER_BYTES;
    scan->above_number = UINT64_MAX;
    buf_init(&scan->bytes, SCAN_BYTES);
    buf_init(&scan->above, INDEX_PAGE_BYTES);
    buf_init(&scan->whole, RECORD_BYTES_MAX);
    *out = scan;
    return 0;
}

void sorted_scan_close(struct sorted_scan *scan)
{
    buf_fini(&scan->bytes);
    buf_fini(&scan->above);
    buf_fini(&scan->whole);
    sorted_unref(scan->table);
    free(scan);
}

uint64_t sorted_scan_bytes(const struct sorted_scan *scan)
{
    return scan->start + scan->bytes.len;
}

/* ---- bytes ---- */

static struct bytes at_hand(const struct sorted_scan *scan)
{
    size_t skip = (size_t)(scan->offset - scan->start);
    return bytes_of(scan->bytes.at + skip, scan->bytes.len - skip);
}

/* Let go of what lies before scan->offset, read what follows what is here. *more_out is false at the footer. */
static int read_on(struct sorted_scan *scan, bool *more_out)
{
    size_t skip = (size_t)(scan->offset - scan->start), kept = scan->bytes.len > skip ? scan->bytes.len - skip : 0;
    uint64_t from = scan->start + scan->bytes.len, left = scan->table->layout.footer_offset - from;
    *more_out = left > 0;
    if (left == 0)
        return 0;
    if (skip > 0 && kept > 0)
        memmove(scan->bytes.at, scan->bytes.at + skip, kept);
    scan->bytes.len = kept;
    scan->start = from - kept;
    size_t len = SCAN_BYTES - kept < left ? SCAN_BYTES - kept : (size_t)left;
    assert(len > 0);
    uint8_t *to = buf_grow(&scan->bytes, len);
    if (!to)
        return scan->bytes.err;
    int err = sorted_read(scan->table, to, len, from);
    if (!err && scan->hash)
        XXH3_64bits_update(scan->hash, to, len);
    return !err && scan->pace ? scan->pace(scan->arg, len) : err;
}

/* The piece at scan->offset, of that type. */
static int take_piece(struct sorted_scan *scan, uint16_t type, struct bytes *payload_out, uint16_t *count_out)
{
    bool more = true;
    int err = 0;
    while (!err && more) {
        bool here = scan->bytes.len > 0 && scan->offset - scan->start < scan->bytes.len;
        struct bytes in = here ? at_hand(scan) : BYTES_NONE;
        if (in.len >= PIECE_HEAD_BYTES && in.len - PIECE_HEAD_BYTES >= get_u32(in.at + 8))
            return piece_check(in, type, BLOCK_PAYLOAD_MAX, scan->table->seed, scan->offset, payload_out,
                               count_out) ? 0 : ERR_CORRUPT;
        if (in.len == SCAN_BYTES)
            break;
        err = read_on(scan, &more);
    }
    return err ? err : ERR_CORRUPT;
}

/* ---- the index against the data ---- */

/* Entry `number` of `level` must be this one. */
static int compare_above(struct sorted_scan *scan, uint32_t level, uint64_t number, const struct sorted_entry *want)
{
    uint32_t reads = 0, *from_disk = scan->hash ? NULL : &reads;
    if (scan->above_number != number / INDEX_PAGE_ENTRIES) {
        scan->above_number = number / INDEX_PAGE_ENTRIES;
        int err = sorted_page(scan->table, level, scan->above_number, 0, &scan->above, &scan->above_page, from_disk);
        if (err) {
            scan->offset = scan->above_page.offset;
            return err;
        }
    }
    uint8_t entry[INDEX_ENTRY_BYTES];
    sorted_entry_put(entry, want);
    size_t at = number % INDEX_PAGE_ENTRIES * INDEX_ENTRY_BYTES;
    if (memcmp(scan->above_page.entries + at, entry, sizeof entry) == 0)
        return 0;
    scan->offset = scan->above_page.offset;
    return ERR_CORRUPT;
}

static int take_page(struct sorted_scan *scan)
{
    struct bytes payload;
    uint16_t count;
    int err = take_piece(scan, PIECE_INDEX, &payload, &count);
    if (err)
        return err;
    if (count != scan->page_entries || payload.len != count * (size_t)INDEX_ENTRY_BYTES ||
        memcmp(payload.at, scan->page, payload.len) != 0)
        return ERR_CORRUPT;
    if (scan->table->layout.height > 1) {
        struct sorted_entry first;
        sorted_entry_get(scan->page, &first);
        first.offset = scan->offset;
        err = compare_above(scan, 1, scan->pages, &first);
        if (err)
            return err;
    }
    scan->offset += PIECE_HEAD_BYTES + payload.len;
    scan->page_entries = 0;
    scan->pages++;
    return 0;
}

/* ---- records ---- */

static int begin_block(struct sorted_scan *scan)
{
    struct bytes payload;
    uint16_t count;
    int err = take_piece(scan, PIECE_RECORDS, &payload, &count);
    if (err)
        return err;
    block_reader_init(&scan->reader, payload, count);
    scan->block_end = scan->offset + PIECE_HEAD_BYTES + payload.len;
    scan->is_block_new = true;
    return 0;
}

static void end_block(struct sorted_scan *scan)
{
    scan->seen.data_bytes += scan->block_end - scan->offset;
    scan->offset = scan->block_end;
    scan->block_end = 0;
    scan->blocks++;
}

/* Order, spans, filter, and what the footer will be compared with. False: it cannot stand here. */
static bool account(struct sorted_scan *scan, const struct record *record)
{
    struct sorted_meta *seen = &scan->seen;
    const struct sorted_meta *meta = &scan->table->meta;
    bool any = seen->records + seen->marks > 0;
    if ((any && sorted_order(&scan->last, record) >= 0) ||
        !spans_hold(meta->spans, meta->span_count, record->log, record->number))
        return false;
    if (!any || !conv_id_equal(&scan->last.partition, &record->partition)) {
        scan->time_ms = 0;
        seen->partitions++;
        uint64_t hash = filter_hash(&record->partition, scan->table->seed);
        if (scan->filter &&
            !filter_has(scan->filter + filter_block(hash, scan->table->layout.filter_log) * FILTER_BLOCK_BYTES, hash))
            return false;
    }
    sorted_meta_add(seen, record);
    scan->time_ms = sorted_time_after(scan->time_ms, record);
    scan->last = *record;
    scan->last.sealed = BYTES_NONE;
    if (scan->is_block_new) {
        struct sorted_entry entry = { record->partition, record->seq, scan->time_ms, scan->offset };
        sorted_entry_put(scan->page + (size_t)scan->page_entries++ * INDEX_ENTRY_BYTES, &entry);
        scan->is_block_new = false;
    }
    return true;
}

static bool counts_are_right(const struct sorted_scan *scan)
{
    const struct sorted_meta *seen = &scan->seen, *meta = &scan->table->meta;
    return seen->records == meta->records && seen->marks == meta->marks && seen->partitions == meta->partitions &&
           seen->data_bytes == meta->data_bytes && seen->expiry_min_ms == meta->expiry_min_ms &&
           seen->mark_min_ms == meta->mark_min_ms && msg_id_compare(&seen->min_id, &meta->min_id) == 0 &&
           msg_id_compare(&seen->max_id, &meta->max_id) == 0;
}

/* The next record as it lies in its block. *at_out: where in the file it, or what is wrong, lies. */
static int next_record(struct sorted_scan *scan, struct record *out, uint64_t *at_out)
{
    int err;
    for (;;) {
        uint64_t count = scan->table->meta.block_count;
        if (scan->block_end > 0) {
            err = block_reader_next(&scan->reader, out);
            *at_out = scan->offset + PIECE_HEAD_BYTES + scan->reader.at;
            if (!err && !account(scan, out))
                err = ERR_CORRUPT;
            if (err != ERR_END)
                return err;
            end_block(scan);
        } else if (scan->page_entries == INDEX_PAGE_ENTRIES || (scan->page_entries > 0 && scan->blocks == count)) {
            err = take_page(scan);
            *at_out = scan->offset;
            if (err)
                return err;
        } else if (scan->blocks < count) {
            err = begin_block(scan);
            *at_out = scan->offset;
            if (err)
                return err;
        } else {
            *at_out = scan->table->layout.footer_offset;
            return counts_are_right(scan) ? ERR_END : ERR_CORRUPT;
        }
    }
}

int sorted_scan_next(struct sorted_scan *scan, struct record *record_out, struct bytes *whole_out,
                     uint64_t *offset_out)
{
    struct record record;
    uint64_t at;
    int err = next_record(scan, &record, &at);
    if (offset_out)
        *offset_out = at;
    if (err)
        return err;
    buf_clear(&scan->whole);
    uint8_t *to = buf_grow(&scan->whole, RECORD_HEADER_BYTES + record.sealed.len);
    if (!to)
        return scan->whole.err;
    size_t len;
    record_restore(&record, to);
    record_peek(to, record_out, &len);
    *whole_out = bytes_of(to, len);
    return 0;
}

/* ---- verifying ---- */

/* The levels above level 1, whose entries were compared on the way: each entry against the page it leads to. */
static int verify_above(struct sorted_scan *scan, uint64_t *bad_offset)
{
    const struct sorted_layout *layout = &scan->table->layout;
    struct buf room;
    buf_init(&room, INDEX_PAGE_BYTES);
    int err = 0;
    for (uint32_t level = 2; !err && level < layout->height; level++) {
        scan->above_number = UINT64_MAX;
        for (uint64_t number = 0; !err && number < layout->pages[level - 1]; number++) {
            struct index_page page;
            err = sorted_page(scan->table, level - 1, number, 0, &room, &page, NULL);
            *bad_offset = page.offset;
            if (err)
                break;
            struct sorted_entry first;
            sorted_entry_get(page.entries, &first);
            first.offset = page.offset;
            err = compare_above(scan, level, number, &first);
            *bad_offset = scan->offset;
        }
    }
    buf_fini(&room);
    return err;
}

/* The filter whole, its blocks checked; the caller's to free. */
static int read_filter(const struct sorted *table, uint8_t **out, uint64_t *bad_offset)
{
    uint64_t from = table->layout.filter_offset;
    size_t len = (size_t)(table->layout.spans_offset - from);
    *bad_offset = from;
    *out = malloc(len);
    if (!*out)
        return ERR_NOMEM;
    int err = sorted_read(table, *out, len, from);
    for (size_t at = 0; !err && at < len; at += FILTER_BLOCK_BYTES) {
        *bad_offset = from + at;
        if (!filter_check(*out + at, table->seed, from + at))
            err = ERR_CORRUPT;
    }
    return err;
}

/* Header, footer and spans once more: the file may have changed since it was opened. */
static int verify_ends(const struct sorted *table, uint64_t *bad_offset)
{
    uint8_t header[SORTED_HEADER_BYTES], footer[SORTED_FOOTER_BYTES];
    uint64_t serial, made_ms, seed;
    struct sorted_foot foot;
    *bad_offset = 0;
    int err = sorted_read(table, header, sizeof header, 0);
    if (!err)
        err = sorted_header_get(header, &serial, &made_ms, &seed);
    if (!err && seed != table->seed)
        err = ERR_CORRUPT;
    if (err)
        return err;
    *bad_offset = table->layout.footer_offset;
    err = sorted_read(table, footer, sizeof footer, *bad_offset);
    if (!err && !sorted_foot_get(footer, &foot, table->seed, *bad_offset))
        err = ERR_CORRUPT;
    if (err)
        return err;
    *bad_offset = table->layout.spans_offset;
    uint8_t *piece;
    struct bytes payload;
    err = sorted_read_spans(table, &piece, &payload);
    free(piece);
    return err;
}

int sorted_verify(struct sorted *table, int (*pace)(void *arg, uint64_t bytes), void *arg, uint64_t *bad_offset_out)
{
    struct sorted_scan *scan;
    uint8_t *filter = NULL;
    int err = sorted_scan_open(table, &scan);
    if (err)
        return err;
    scan->hash = XXH3_createState();
    scan->pace = pace;
    scan->arg = arg;
    err = !scan->hash || XXH3_64bits_reset(scan->hash) == XXH_ERROR ? ERR_NOMEM : verify_ends(table, bad_offset_out);
    if (!err)
        err = read_filter(table, &filter, bad_offset_out);
    scan->filter = filter;
    while (!err) {
        struct record record;
        err = next_record(scan, &record, bad_offset_out);
    }
    if (err == ERR_END)
        err = verify_above(scan, bad_offset_out);
    /* What no scan looks at goes into the checksum too, and what it found right may have been copied there whole. */
    for (bool more = true; !err && more;) {
        scan->offset = scan->start + scan->bytes.len;
        err = read_on(scan, &more);
    }
    if (!err && XXH3_64bits_digest(scan->hash) != table->checksum) {
        *bad_offset_out = table->layout.footer_offset;
        err = ERR_CORRUPT;
    }
    XXH3_freeState(scan->hash);
    free(filter);
    sorted_scan_close(scan);
    return err;
}

/* ---- by record number ---- */

struct spot { uint64_t block; uint32_t block_bytes; uint32_t at; };     /* block 0: no such record */

/* Where the records of the window lie. */
static int find_spots(struct sorted *table, uint32_t log, uint64_t first, uint32_t window, struct spot *spots,
                      uint64_t *bad_offset)
{
    struct sorted_scan *scan;
    int err = sorted_scan_open(table, &scan);
    if (err)
        return err;
    struct record record;
    while (!(err = next_record(scan, &record, bad_offset)))
        if (record.log == log && record.number >= first && record.number - first < window)
            spots[record.number - first] = (struct spot){ scan->offset, (uint32_t)(scan->block_end - scan->offset),
                                                          (uint32_t)scan->reader.at };
    sorted_scan_close(scan);
    return err == ERR_END ? 0 : err;
}

/* The record at that spot, of a block that may be at hand already. It was checked in the first pass, and is again. */
static int take_spot(struct sorted *table, const struct spot *spot, uint64_t *at_hand_offset, struct buf *block,
                     struct record *out)
{
    if (*at_hand_offset != spot->block) {
        *at_hand_offset = 0;
        buf_clear(block);
        uint8_t *to = buf_grow(block, spot->block_bytes);
        if (!to)
            return block->err;
        int err = sorted_read(table, to, spot->block_bytes, spot->block);
        if (err)
            return err;
        *at_hand_offset = spot->block;
    }
    struct bytes payload;
    uint16_t count;
    struct block_reader reader;
    if (!piece_check(buf_bytes(block), PIECE_RECORDS, BLOCK_PAYLOAD_MAX, table->seed, spot->block, &payload, &count))
        return ERR_CORRUPT;
    block_reader_init(&reader, payload, count);
    int err;
    while (!(err = block_reader_next(&reader, out)) && reader.at < spot->at)
        ;
    return !err && reader.at == spot->at ? 0 : ERR_CORRUPT;
}

static bool is_touched(const struct sorted_meta *meta, uint32_t log, uint64_t first, uint64_t last)
{
    for (uint32_t i = 0; i < meta->span_count; i++)
        if (meta->spans[i].log == log && meta->spans[i].first_number <= last && meta->spans[i].last_number >= first)
            return true;
    return false;
}

int sorted_numbers(struct sorted *table, uint32_t log, uint64_t first, uint32_t window,
                   int (*each)(void *arg, const struct record *record, struct bytes whole), void *arg,
                   uint64_t *bad_offset_out)
{
    assert(window > 0 && window <= SORTED_WINDOW_MAX);
    uint64_t last = first > UINT64_MAX - (window - 1) ? UINT64_MAX : first + (window - 1);
    if (!is_touched(&table->meta, log, first, last))
        return 0;
    struct spot *spots = calloc(window, sizeof *spots);
    uint8_t *whole = malloc(RECORD_BYTES_MAX);
    struct buf block;
    buf_init(&block, PIECE_HEAD_BYTES + BLOCK_PAYLOAD_MAX);
    int err = spots && whole ? find_spots(table, log, first, window, spots, bad_offset_out) : ERR_NOMEM;
    uint64_t at_hand_offset = 0;
    for (uint32_t i = 0; !err && i < window; i++) {
        struct record inside, record;
        if (spots[i].block == 0)
            continue;
        err = take_spot(table, &spots[i], &at_hand_offset, &block, &inside);
        *bad_offset_out = spots[i].block;
        if (err)
            break;
        size_t len = record_restore(&inside, whole);
        record_peek(whole, &record, &len);
        err = each(arg, &record, bytes_of(whole, len));
    }
    buf_fini(&block);
    free(whole);
    free(spots);
    return err;
}
