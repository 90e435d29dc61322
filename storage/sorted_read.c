/* sorted_read.c - walks a range of one partition of a sorted segment.
 *
 * The index is searched for the last block that begins below the range (rising) or not above it (falling); from there
 * blocks are taken one by one, and read as many at once as the records still likely to be asked for need, going by the
 * sequences that blocks begin with. Too much is read rather than too little: a neighbouring block costs microseconds, a
 * second read a seek. Each block is checked when its turn comes, so what nobody asks for costs its read alone.
 *
 * A block's records stand in an array before they are given, because the compact form can only be read forwards. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/sorted_impl.h"

enum { AT_SEQ = 16, AT_TIME = 24, AT_OFFSET = 32, RECORDS_CAP_FIRST = 64 };
enum bound { SEQ_BELOW, SEQ_UPTO, TIME_BELOW };

void sorted_cursor_init(struct sorted_cursor *c)
{
    *c = (struct sorted_cursor){ .ended = true };
    buf_init(&c->page, INDEX_PAGE_BYTES);
    buf_init(&c->data, PIECE_HEAD_BYTES + BLOCK_PAYLOAD_MAX);
    buf_init(&c->whole, RECORD_BYTES_MAX);
}
_Static_assert(PIECE_HEAD_BYTES + BLOCK_PAYLOAD_MAX >= SORTED_READ_BYTES_MAX, "a read fits where a block does");

void sorted_cursor_fini(struct sorted_cursor *c)
{
    buf_fini(&c->page);
    buf_fini(&c->data);
    buf_fini(&c->whole);
    free(c->records);
}

/* ---- the index ---- */

static const uint8_t *entry_at(const struct sorted_cursor *c, uint32_t slot)
{
    return c->entries + (size_t)slot * INDEX_ENTRY_BYTES;
}

static uint64_t seq_at(const struct sorted_cursor *c, uint32_t slot)
{
    return get_u64(entry_at(c, slot) + AT_SEQ);
}

static bool is_ours(const struct sorted_cursor *c, uint32_t slot)
{
    return memcmp(entry_at(c, slot), c->partition.v, sizeof c->partition.v) == 0;
}

static bool is_within(const uint8_t *entry, const struct conv_id *partition, enum bound bound, uint64_t value)
{
    int order = memcmp(entry, partition->v, sizeof partition->v);
    if (order)
        return order < 0;
    uint64_t has = get_u64(entry + (bound == TIME_BELOW ? AT_TIME : AT_SEQ));
    return bound == SEQ_UPTO ? has <= value : has < value;
}

/* How many of the page's entries, which rise, are within. */
static uint32_t search(const struct index_page *page, const struct conv_id *partition, enum bound bound, uint64_t value)
{
    uint32_t low = 0, high = page->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (is_within(page->entries + (size_t)mid * INDEX_ENTRY_BYTES, partition, bound, value))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* A page below another: where its entry says, and beginning with what the entry says. */
static int page_below(struct sorted_cursor *c, const struct index_page *above, uint32_t slot, uint32_t level,
                      uint64_t number, struct index_page *out)
{
    uint8_t entry[INDEX_ENTRY_BYTES];    /* the page above may lie where the one below will */
    memcpy(entry, above->entries + (size_t)slot * INDEX_ENTRY_BYTES, sizeof entry);
    uint64_t offset = get_u64(entry + AT_OFFSET);
    c->bad_offset = above->offset;
    if (level == 0 && !sorted_page_fits(c->table, number, offset))
        return ERR_CORRUPT;
    int err = sorted_page(c->table, level, number, offset, &c->page, out, &c->reads);
    if (!err && (out->offset != offset || memcmp(out->entries, entry, AT_OFFSET) != 0))
        err = ERR_CORRUPT;
    if (out->offset == offset)
        c->bad_offset = offset;
    return err;
}

static void take_page(struct sorted_cursor *c, const struct index_page *page, uint64_t number)
{
    c->entries = page->entries;
    c->entry_count = page->count;
    c->page_number = number;
    c->page_offset = page->offset;
    c->first = c->last = 0;              /* what was read belongs to entries of another page */
}

/* From the top down to the lowest page in which the entries within end. *within_out of its entries are; none only when
 * the file's first is not. The table has blocks. */
static int descend(struct sorted_cursor *c, enum bound bound, uint64_t value, uint32_t *within_out)
{
    uint32_t level = c->table->layout.height - 1;
    uint64_t number = 0;
    struct index_page page;
    int err = sorted_page(c->table, level, 0, 0, &c->page, &page, &c->reads);
    c->bad_offset = page.offset;
    while (!err) {
        uint32_t within = search(&page, &c->partition, bound, value);
        if (level == 0) {
            take_page(c, &page, number);
            *within_out = within;
            return 0;
        }
        uint32_t slot = within > 0 ? within - 1 : 0;
        struct index_page above = page;
        number = number * INDEX_PAGE_ENTRIES + slot;
        err = page_below(c, &above, slot, --level, number, &page);
    }
    return err;
}

/* Lowest page `number` becomes the one at hand. There are levels above it. */
static int turn_page(struct sorted_cursor *c, uint64_t number)
{
    struct index_page above, page;
    int err = sorted_page(c->table, 1, number / INDEX_PAGE_ENTRIES, 0, &c->page, &above, &c->reads);
    c->bad_offset = above.offset;
    if (!err)
        err = page_below(c, &above, number % INDEX_PAGE_ENTRIES, 0, number, &page);
    if (!err)
        take_page(c, &page, number);
    return err;
}

/* ---- reading blocks ---- */

static uint64_t block_offset(const struct sorted_cursor *c, uint32_t slot)
{
    return get_u64(entry_at(c, slot) + AT_OFFSET);
}

/* With its head; 0 when the index cannot be right. Behind the last block of a lowest page lies that page. */
static uint64_t block_bytes(const struct sorted_cursor *c, uint32_t slot)
{
    uint64_t from = block_offset(c, slot);
    uint64_t to = slot + 1 < c->entry_count ? block_offset(c, slot + 1) : c->page_offset;
    return from >= SORTED_HEADER_BYTES && to > from && to <= c->page_offset && to - from > PIECE_HEAD_BYTES &&
           to - from <= PIECE_HEAD_BYTES + BLOCK_PAYLOAD_MAX ? to - from : 0;
}

/* The sequence from which (rising: up to which) records are likely to be wanted. */
static uint64_t likely_to(const struct sorted_cursor *c)
{
    uint64_t first = c->from;
    if (is_ours(c, c->slot))
        first = seq_at(c, c->slot) > first ? seq_at(c, c->slot) : first;
    else if (c->slot + 1 < c->entry_count && is_ours(c, c->slot + 1))
        first = seq_at(c, c->slot + 1) > first ? seq_at(c, c->slot + 1) : first;
    return c->left > c->to - (first < c->to ? first : c->to) ? c->to : first + c->left - 1;
}

static uint64_t likely_from(const struct sorted_cursor *c)
{
    uint64_t last = seq_at(c, c->slot);
    if (c->slot + 1 < c->entry_count && is_ours(c, c->slot + 1) && seq_at(c, c->slot + 1) > last)
        last = seq_at(c, c->slot + 1) - 1;
    last = last < c->to ? last : c->to;
    uint64_t from = last >= c->left ? last - c->left + 1 : 0;
    return from > c->from ? from : c->from;
}

/* Read the block of c->slot, and neighbours that will be wanted behind it, or before it. */
static int read_blocks(struct sorted_cursor *c)
{
    uint64_t bytes = block_bytes(c, c->slot), more;
    uint32_t first = c->slot, last = c->slot + 1;
    bool is_all = c->what == FIND_MARKS || c->left == UINT64_MAX;
    c->bad_offset = c->page_offset;
    if (bytes == 0)
        return ERR_CORRUPT;
    if (!c->newest) {
        uint64_t to = is_all ? c->to : likely_to(c);
        while (last < c->entry_count && is_ours(c, last) && seq_at(c, last) <= to) {
            more = block_bytes(c, last);
            if (more == 0 || bytes + more > SORTED_READ_BYTES_MAX)
                break;
            bytes += more;
            last++;
        }
    } else {
        uint64_t from = is_all ? c->from : likely_from(c);
        while (first > 0 && is_ours(c, first) && seq_at(c, first) >= from) {
            more = block_bytes(c, first - 1);
            if (more == 0 || bytes + more > SORTED_READ_BYTES_MAX)
                break;
            bytes += more;
            first--;
        }
    }
    buf_clear(&c->data);
    uint8_t *to = buf_grow(&c->data, bytes);
    if (!to)
        return c->data.err;
    c->reads++;
    c->bad_offset = block_offset(c, first);
    int err = sorted_read(c->table, to, bytes, c->bad_offset);
    c->first = err ? 0 : first;
    c->last = err ? 0 : last;
    return err;
}

static int keep_record(struct sorted_cursor *c, const struct record *record)
{
    if (c->count == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : RECORDS_CAP_FIRST;
        struct record *grown = realloc(c->records, cap * sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        c->records = grown;
        c->cap = cap;
    }
    c->records[c->count++] = *record;
    return 0;
}

/* Whether nothing of the range can lie before this record of the partition: marks at `from` come behind its record. */
static bool is_lowest(const struct sorted_cursor *c, const struct record *record)
{
    return record->seq < c->from || (record->seq == c->from && record->kind != RECORD_KIND_MARKS);
}

/* A record of the partition on this side of the range: the last such is next to it when the walk rises, the first when it
 * falls. */
static void note_beyond(struct sorted_cursor *c, const struct record *record)
{
    bool is_beyond = c->newest ? record->seq > c->to && !c->has_beyond : record->seq < c->from;
    if (is_beyond && record->kind != RECORD_KIND_MARKS) {
        c->has_beyond = true;
        c->beyond = record->id;
    }
}

/* The records looked for of the block of c->slot, which has been read. Sets c->ended when there can be none in those
 * that would follow. */
static int open_block(struct sorted_cursor *c)
{
    const uint8_t *entry = entry_at(c, c->slot);
    uint64_t offset = block_offset(c, c->slot), bytes = block_bytes(c, c->slot);
    struct bytes payload, in = bytes_of(c->data.at + (offset - block_offset(c, c->first)), bytes);
    uint16_t count;
    c->count = c->at = 0;
    c->bad_offset = offset;
    if (!piece_check(in, PIECE_RECORDS, BLOCK_PAYLOAD_MAX, c->table->seed, offset, &payload, &count) ||
        payload.len + PIECE_HEAD_BYTES != bytes)
        return ERR_CORRUPT;
    struct block_reader reader;
    struct record record;
    block_reader_init(&reader, payload, count);
    bool is_first = true;
    int err;
    while (!(err = block_reader_next(&reader, &record))) {
        if (is_first && (memcmp(record.partition.v, entry, AT_SEQ) != 0 || record.seq != get_u64(entry + AT_SEQ)))
            return ERR_CORRUPT;
        int order = memcmp(record.partition.v, c->partition.v, sizeof c->partition.v);
        if (is_first && c->newest && (order < 0 || (order == 0 && is_lowest(c, &record))))
            c->ended = true;
        is_first = false;
        if (order == 0)
            note_beyond(c, &record);
        if (order > 0 || (order == 0 && record.seq > c->to)) {
            c->ended = c->ended || !c->newest;
            return 0;
        }
        if (order == 0 && record.seq >= c->from &&
            (record.kind == RECORD_KIND_MARKS) == (c->what == FIND_MARKS))
            err = keep_record(c, &record);
        if (err)
            return err;
    }
    return err == ERR_END ? 0 : err;
}

/* The next block, or the end. */
static int step(struct sorted_cursor *c)
{
    int err = 0;
    if (c->newest && c->slot == 0) {
        c->ended = c->page_number == 0;
        err = c->ended ? 0 : turn_page(c, c->page_number - 1);
        c->slot = c->entry_count;
    } else if (!c->newest && c->slot == c->entry_count) {
        c->ended = c->page_number + 1 == c->table->layout.pages[0];
        err = c->ended ? 0 : turn_page(c, c->page_number + 1);
        c->slot = 0;
    }
    if (!err && !c->newest && !c->ended && !is_within(entry_at(c, c->slot), &c->partition, SEQ_UPTO, c->to))
        c->ended = true;
    if (err || c->ended)
        return err;
    if (c->newest)
        c->slot--;
    if (c->slot < c->first || c->slot >= c->last)
        err = read_blocks(c);
    if (!err)
        err = open_block(c);
    if (!c->newest)
        c->slot++;
    return err;
}

/* ---- the walk ---- */

static void begin(struct sorted_cursor *c, struct sorted *table, const struct conv_id *partition, enum find_what what,
                  uint64_t from, uint64_t to, bool newest)
{
    c->table = table;
    c->partition = *partition;
    c->what = what;
    c->from = from;
    c->to = to;
    c->newest = newest;
    c->left = UINT64_MAX;
    c->has_beyond = false;
    c->ended = true;
    c->count = c->at = 0;
    c->first = c->last = 0;
}

/* Filter and index: c->slot is where the walk begins, or c->ended still holds. */
static int stand(struct sorted_cursor *c, enum bound bound, uint64_t value)
{
    bool perhaps;
    if (c->table->layout.height == 0 || c->from > c->to)
        return 0;
    int err = sorted_filter(c->table, &c->partition, &perhaps, &c->reads, &c->bad_offset);
    if (err || !perhaps)
        return err;
    uint32_t within;
    err = descend(c, bound, value, &within);
    if (err)
        return err;
    c->ended = c->newest && within == 0;
    c->slot = c->newest || within == 0 ? within : within - 1;
    return 0;
}

int sorted_seek(struct sorted_cursor *c, struct sorted *table, const struct conv_id *partition, enum find_what what,
                uint64_t from, uint64_t to, bool newest, size_t likely)
{
    begin(c, table, partition, what, from, to, newest);
    if (likely > 0)
        c->left = likely;
    return stand(c, newest ? SEQ_UPTO : SEQ_BELOW, newest ? to : from);
}

/* The next record looked for, and to keep it simple nothing of it but its fields. */
static int next_record(struct sorted_cursor *c, struct record **out)
{
    while (c->at == c->count) {
        if (c->ended)
            return ERR_END;
        int err = step(c);
        if (err) {
            c->ended = true;
            c->count = c->at = 0;
            return err;
        }
    }
    struct record *record = &c->records[c->newest ? c->count - 1 - c->at : c->at];
    c->at++;
    if (c->left > 1 && c->left < UINT64_MAX)
        c->left--;
    const struct sorted_meta *meta = &c->table->meta;
    if (!spans_hold(meta->spans, meta->span_count, record->log, record->number)) {
        c->ended = true;
        c->count = c->at = 0;
        return ERR_CORRUPT;
    }
    *out = record;
    return 0;
}

int sorted_next(struct sorted_cursor *c, struct record *record_out, struct bytes *whole_out)
{
    struct record *record;
    int err = next_record(c, &record);
    if (err)
        return err;
    buf_clear(&c->whole);
    uint8_t *to = buf_grow(&c->whole, RECORD_HEADER_BYTES + record->sealed.len);
    if (!to)
        return c->whole.err;
    size_t len;
    record_restore(record, to);
    record_peek(to, record_out, &len);
    *whole_out = bytes_of(to, len);
    return 0;
}

int sorted_find_time(struct sorted_cursor *c, struct sorted *table, const struct conv_id *partition, uint64_t ms,
                     uint64_t *seq_out)
{
    begin(c, table, partition, FIND_RECORDS, 0, UINT64_MAX, false);
    c->left = 1;                         /* it lies in the block found, or the next with a record */
    int err = stand(c, TIME_BELOW, ms);
    struct record *record;
    while (!err && !(err = next_record(c, &record))) {
        if (msg_id_ms(&record->id) >= ms) {
            *seq_out = record->seq;
            break;
        }
    }
    c->ended = true;
    c->count = c->at = 0;
    return err;
}
