/* sorted_form.c - the bytes of a sorted segment; the tables stand in sorted_form.h.
 *
 * Everything here that reads takes bytes that anybody may have changed, with checksums to match: lengths and counts are
 * held against what is there before they are used, and nothing has two forms. */
#include "storage/sorted_form.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"

enum { NAME_DIGITS = 16, NAME_LEN = 7 + NAME_DIGITS + 4 };     /* as many digits as the numbers of other segments */
_Static_assert((int)NAME_LEN < (int)SORTED_NAME_BYTES, "a name and its NUL");

static const uint8_t magic[8] = { 'P', 'I', 'P', 'I', 'T', 'S', 'R', 'T' };
static const uint8_t end_magic[8] = { 'P', 'I', 'P', 'I', 'T', 'E', 'N', 'D' };

/* ---- names and order ---- */

void sorted_name(char out[static SORTED_NAME_BYTES], uint64_t serial)
{
    int len = snprintf(out, SORTED_NAME_BYTES, "sorted-%0*" PRIu64 ".seg", NAME_DIGITS, serial);
    assert(len == NAME_LEN);
}

bool sorted_name_parse(const char *name, uint64_t *serial_out)
{
    if (strlen(name) != NAME_LEN || memcmp(name, "sorted-", 7) != 0 || strcmp(name + NAME_LEN - 4, ".seg") != 0)
        return false;
    uint64_t serial = 0;
    for (int i = 7; i < 7 + NAME_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        serial = serial * 10 + (uint64_t)(name[i] - '0');
    }
    *serial_out = serial;
    return true;
}

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int sorted_order(const struct record *a, const struct record *b)
{
    int order = memcmp(a->partition.v, b->partition.v, sizeof a->partition.v);
    if (!order)
        order = compare(a->seq, b->seq);
    bool a_marks = a->kind == RECORD_KIND_MARKS, b_marks = b->kind == RECORD_KIND_MARKS;
    if (!order)
        order = (int)a_marks - (int)b_marks;
    if (!order && a_marks)
        order = compare(a->number, b->number);
    if (!order && a_marks)
        order = compare(a->log, b->log);
    return order;
}

/* ---- header, footer, layout ---- */

uint64_t sorted_header_put(uint8_t to[static SORTED_HEADER_BYTES], uint64_t serial, uint64_t made_ms)
{
    memcpy(to, magic, sizeof magic);
    put_u32(to + 8, SORTED_FORMAT);
    put_u32(to + 12, 0);
    put_u64(to + 16, serial);
    put_u64(to + 24, made_ms);
    uint64_t seed = XXH3_64bits(to, 32);
    put_u64(to + 32, seed);
    return seed;
}

int sorted_header_get(const uint8_t from[static SORTED_HEADER_BYTES], uint64_t *serial_out, uint64_t *made_ms_out,
                      uint64_t *seed_out)
{
    uint64_t seed = XXH3_64bits(from, 32);
    if (memcmp(from, magic, sizeof magic) != 0 || get_u64(from + 32) != seed)
        return ERR_CORRUPT;
    if (get_u32(from + 8) != SORTED_FORMAT)
        return get_u32(from + 8) > SORTED_FORMAT ? ERR_NEWER : ERR_CORRUPT;
    if (get_u32(from + 12) != 0)
        return ERR_CORRUPT;
    *serial_out = get_u64(from + 16);
    *made_ms_out = get_u64(from + 24);
    *seed_out = seed;
    return 0;
}

void sorted_foot_put(uint8_t to[static SORTED_FOOTER_BYTES], const struct sorted_foot *foot, uint64_t seed,
                     uint64_t offset)
{
    const struct sorted_meta *meta = &foot->meta;
    memcpy(to, end_magic, sizeof end_magic);
    put_u64(to + 8, meta->serial);
    put_u64(to + 16, meta->records);
    put_u64(to + 24, meta->marks);
    put_u64(to + 32, meta->partitions);
    put_u64(to + 40, meta->block_count);
    put_u64(to + 48, meta->data_bytes);
    put_u64(to + 56, foot->index_offset);
    put_u64(to + 64, foot->filter_offset);
    put_u64(to + 72, foot->spans_offset);
    put_u32(to + 80, meta->span_count);
    put_u32(to + 84, 0);
    put_u64(to + 88, meta->source_bytes);
    put_u64(to + 96, meta->written_bytes);
    put_u64(to + 104, meta->expiry_min_ms);
    put_u64(to + 112, meta->mark_min_ms);
    memcpy(to + 120, meta->min_id.v, 16);
    memcpy(to + 136, meta->max_id.v, 16);
    put_u64(to + 152, foot->checksum);
    put_u64(to + 160, sorted_checksum(to, 160, seed, offset));
}

bool sorted_foot_get(const uint8_t from[static SORTED_FOOTER_BYTES], struct sorted_foot *foot_out, uint64_t seed,
                     uint64_t offset)
{
    if (memcmp(from, end_magic, sizeof end_magic) != 0 || get_u32(from + 84) != 0 ||
        get_u64(from + 160) != sorted_checksum(from, 160, seed, offset))
        return false;
    *foot_out = (struct sorted_foot){
        .meta = {
            .serial = get_u64(from + 8),
            .records = get_u64(from + 16),
            .marks = get_u64(from + 24),
            .partitions = get_u64(from + 32),
            .block_count = get_u64(from + 40),
            .data_bytes = get_u64(from + 48),
            .span_count = get_u32(from + 80),
            .source_bytes = get_u64(from + 88),
            .written_bytes = get_u64(from + 96),
            .expiry_min_ms = get_u64(from + 104),
            .mark_min_ms = get_u64(from + 112),
        },
        .index_offset = get_u64(from + 56),
        .filter_offset = get_u64(from + 64),
        .spans_offset = get_u64(from + 72),
        .checksum = get_u64(from + 152),
    };
    memcpy(foot_out->meta.min_id.v, from + 120, 16);
    memcpy(foot_out->meta.max_id.v, from + 136, 16);
    return true;
}

bool sorted_layout(struct sorted_layout *out, uint64_t block_count, uint64_t data_bytes, uint32_t filter_log,
                   uint64_t span_count)
{
    /* The smallest block has a head, a run and a record: with that and the first limit nothing below can overflow. */
    if (data_bytes > (uint64_t)INT64_MAX / 4 || filter_log > FILTER_LOG_MAX || span_count == 0 ||
        span_count > SORTED_SPANS_MAX ||
        block_count > data_bytes / (PIECE_HEAD_BYTES + RUN_BYTES_MIN + COMPACT_HEAD_BYTES_MIN + RECORD_TAG_BYTES))
        return false;
    *out = (struct sorted_layout){ .filter_log = filter_log };
    for (uint64_t entries = block_count; entries > 0;) {
        if (out->height == INDEX_LEVELS_MAX)
            return false;
        out->entries[out->height] = entries;
        entries = (entries + INDEX_PAGE_ENTRIES - 1) / INDEX_PAGE_ENTRIES;
        out->pages[out->height++] = entries;
        if (entries == 1)
            break;
    }
    uint64_t at = SORTED_HEADER_BYTES + data_bytes;
    for (uint32_t level = 0; level < out->height; level++) {
        if (level == 1 || out->height == 1)
            out->index_offset = at;
        if (level > 0 || out->height == 1)
            out->level_offset[level] = at;
        at += out->entries[level] * INDEX_ENTRY_BYTES + out->pages[level] * PIECE_HEAD_BYTES;
    }
    if (out->height == 0)
        out->index_offset = at;
    out->filter_offset = at;
    at += (uint64_t)FILTER_BLOCK_BYTES << filter_log;
    out->spans_offset = at;
    out->footer_offset = at + PIECE_HEAD_BYTES + span_count * SPAN_BYTES;
    return true;
}

/* ---- pieces ---- */

uint64_t sorted_checksum(const uint8_t *at, size_t len, uint64_t seed, uint64_t offset)
{
    return XXH3_64bits_withSeed(at, len, seed + offset);
}

void piece_seal(uint8_t *piece, size_t payload_bytes, uint16_t type, uint16_t count, uint64_t seed, uint64_t offset)
{
    put_u32(piece + 8, (uint32_t)payload_bytes);
    put_u16(piece + 12, type);
    put_u16(piece + 14, count);
    put_u64(piece, sorted_checksum(piece + 8, PIECE_HEAD_BYTES - 8 + payload_bytes, seed, offset));
}

bool piece_check(struct bytes in, uint16_t type, size_t payload_max, uint64_t seed, uint64_t offset,
                 struct bytes *payload_out, uint16_t *count_out)
{
    if (in.len < PIECE_HEAD_BYTES)
        return false;
    size_t len = get_u32(in.at + 8);
    if (len == 0 || len > payload_max || len > in.len - PIECE_HEAD_BYTES || get_u16(in.at + 12) != type ||
        get_u64(in.at) != sorted_checksum(in.at + 8, PIECE_HEAD_BYTES - 8 + len, seed, offset))
        return false;
    *payload_out = bytes_of(in.at + PIECE_HEAD_BYTES, len);
    *count_out = get_u16(in.at + 14);
    return true;
}

/* ---- records ---- */

static size_t varint_put(uint8_t *to, uint64_t v)
{
    size_t len = 0;
    for (; v >= 0x80; v >>= 7)
        to[len++] = (uint8_t)(v | 0x80);
    to[len++] = (uint8_t)v;
    return len;
}

/* Up to `max`; anything else, and every form but the shortest, makes the reader bad. */
static uint64_t varint_get(struct reader *in, uint64_t max)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_u8(in);
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        if (v > max || (byte == 0 && shift > 0))
            break;
        return v;
    }
    in->bad = true;
    return 0;
}

void compact_put(struct buf *to, const struct record *record, uint64_t before)
{
    uint8_t head[COMPACT_HEAD_BYTES_MAX];
    size_t len = varint_put(head, record->sealed.len);
    head[len++] = record->kind;
    len += varint_put(head + len, record->flags);
    len += varint_put(head + len, record->log);
    len += varint_put(head + len, record->number);
    len += varint_put(head + len, record->key);
    len += varint_put(head + len, record->seq - before);
    memcpy(head + len, record->id.v, sizeof record->id.v);
    len += sizeof record->id.v;
    len += varint_put(head + len, record->counted);
    len += varint_put(head + len, record->expiry_ms);
    buf_put(to, head, len);
    buf_put(to, record->sealed.at, record->sealed.len);
}

void sorted_meta_add(struct sorted_meta *meta, const struct record *record)
{
    uint64_t made_ms = msg_id_ms(&record->id);
    if (record->kind == RECORD_KIND_MARKS) {
        if (meta->marks == 0 || made_ms < meta->mark_min_ms)
            meta->mark_min_ms = made_ms;
        meta->marks++;
    } else {
        if (meta->records == 0 || msg_id_compare(&record->id, &meta->min_id) < 0)
            meta->min_id = record->id;
        if (meta->records == 0 || msg_id_compare(&record->id, &meta->max_id) > 0)
            meta->max_id = record->id;
        meta->records++;
    }
    if (record->expiry_ms > 0 && (meta->expiry_min_ms == 0 || record->expiry_ms < meta->expiry_min_ms))
        meta->expiry_min_ms = record->expiry_ms;
}

uint64_t sorted_time_after(uint64_t ms, const struct record *record)
{
    uint64_t made_ms = msg_id_ms(&record->id);
    return record->kind != RECORD_KIND_MARKS && made_ms > ms ? made_ms : ms;
}

void block_reader_init(struct block_reader *b, struct bytes payload, uint16_t count)
{
    *b = (struct block_reader){ .in = reader_of(payload), .start = payload.at, .left = count };
}

static size_t block_at(const struct block_reader *b)
{
    return (size_t)(b->in.at - b->start);
}

int block_reader_next(struct block_reader *b, struct record *out)
{
    struct reader *in = &b->in;
    b->at = block_at(b);
    uint64_t len = b->in_run ? varint_get(in, RECORD_BYTES_MAX - RECORD_HEADER_BYTES) : 0;
    if (in->bad)
        return ERR_CORRUPT;
    if (len == 0) {                      /* the run ends, or none has begun */
        if (in->left == 0 && b->left == 0)
            return b->any ? ERR_END : ERR_CORRUPT;
        struct bytes partition = reader_bytes(in, sizeof out->partition.v);
        if (in->bad || (b->any && memcmp(partition.at, b->last.partition.v, partition.len) <= 0))
            return ERR_CORRUPT;
        memcpy(b->last.partition.v, partition.at, partition.len);
        b->last.seq = 0;
        b->in_run = true;
        b->at = block_at(b);
        len = varint_get(in, RECORD_BYTES_MAX - RECORD_HEADER_BYTES);
        b->any = false;
    }
    struct record r = { .partition = b->last.partition };
    r.kind = reader_u8(in);
    r.flags = (uint16_t)varint_get(in, UINT16_MAX);
    r.log = (uint32_t)varint_get(in, LOGS_MAX - 1);
    r.number = varint_get(in, UINT64_MAX);
    r.key = varint_get(in, UINT64_MAX);
    r.seq = b->last.seq + varint_get(in, UINT64_MAX - b->last.seq);
    struct bytes id = reader_bytes(in, sizeof r.id.v);
    r.counted = varint_get(in, UINT64_MAX);
    r.expiry_ms = varint_get(in, UINT64_MAX);
    r.sealed = reader_bytes(in, len);
    if (in->bad || len < RECORD_TAG_BYTES || b->left == 0)
        return ERR_CORRUPT;
    memcpy(r.id.v, id.at, id.len);
    if (b->any && sorted_order(&b->last, &r) >= 0)
        return ERR_CORRUPT;
    b->left--;
    b->any = true;
    b->last = r;
    *out = r;
    return 0;
}

/* ---- index entries and spans ---- */

void sorted_entry_put(uint8_t to[static INDEX_ENTRY_BYTES], const struct sorted_entry *entry)
{
    memcpy(to, entry->partition.v, 16);
    put_u64(to + 16, entry->seq);
    put_u64(to + 24, entry->time_ms);
    put_u64(to + 32, entry->offset);
}

void sorted_entry_get(const uint8_t from[static INDEX_ENTRY_BYTES], struct sorted_entry *out)
{
    memcpy(out->partition.v, from, 16);
    out->seq = get_u64(from + 16);
    out->time_ms = get_u64(from + 24);
    out->offset = get_u64(from + 32);
}

bool spans_hold(const struct sorted_span *spans, uint32_t count, uint32_t log, uint64_t number)
{
    uint32_t low = 0, high = count;      /* the last that begins at or before (log, number) is below high */
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (spans[mid].log < log || (spans[mid].log == log && spans[mid].first_number <= number))
            low = mid + 1;
        else
            high = mid;
    }
    return low > 0 && spans[low - 1].log == log && number <= spans[low - 1].last_number;
}

void span_put(uint8_t to[static SPAN_BYTES], const struct sorted_span *span)
{
    put_u32(to, span->log);
    put_u64(to + 4, span->first_number);
    put_u64(to + 12, span->last_number);
    put_u64(to + 20, span->first_batch);
    put_u64(to + 28, span->last_batch);
}

void span_get(const uint8_t from[static SPAN_BYTES], struct sorted_span *out)
{
    *out = (struct sorted_span){
        .log = get_u32(from),
        .first_number = get_u64(from + 4),
        .last_number = get_u64(from + 12),
        .first_batch = get_u64(from + 20),
        .last_batch = get_u64(from + 28),
    };
}

/* ---- filter ---- */

uint64_t filter_hash(const struct conv_id *partition, uint64_t seed)
{
    return XXH3_64bits_withSeed(partition->v, sizeof partition->v, seed);
}

size_t filter_block(uint64_t hash, uint32_t filter_log)
{
    return filter_log == 0 ? 0 : (size_t)(hash >> (64 - filter_log));
}

/* The highest bits of the hash chose the block and are the same for all in it, so the probes come from a product in
 * which they reach only the highest bits. */
static unsigned probe(uint64_t hash, unsigned i)
{
    uint64_t mixed = hash * UINT64_C(0x9E3779B97F4A7C15);
    return (unsigned)((mixed >> (10 * i) & 1023) * FILTER_BITS >> 10);
}

void filter_set(uint8_t block[static FILTER_BLOCK_BYTES], uint64_t hash)
{
    for (unsigned i = 0; i < FILTER_PROBES; i++) {
        unsigned bit = probe(hash, i);
        block[8 + bit / 8] |= (uint8_t)(1 << bit % 8);
    }
}

bool filter_has(const uint8_t block[static FILTER_BLOCK_BYTES], uint64_t hash)
{
    for (unsigned i = 0; i < FILTER_PROBES; i++) {
        unsigned bit = probe(hash, i);
        if (!(block[8 + bit / 8] >> bit % 8 & 1))
            return false;
    }
    return true;
}

void filter_seal(uint8_t block[static FILTER_BLOCK_BYTES], uint64_t seed, uint64_t offset)
{
    put_u64(block, sorted_checksum(block + 8, FILTER_BLOCK_BYTES - 8, seed, offset));
}

bool filter_check(const uint8_t block[static FILTER_BLOCK_BYTES], uint64_t seed, uint64_t offset)
{
    return get_u64(block) == sorted_checksum(block + 8, FILTER_BLOCK_BYTES - 8, seed, offset);
}
