/* segment.c - one file of the log: make it, read it batch by batch, read one record of it. See segment.h.
 *
 * scan_next() is where trust is decided, for recovery, tools and fuzzing alike. A write that did not finish leaves bad
 * bytes at the end of the file and nothing behind them, because batch n+1 is written only after n was synced. So bad
 * bytes with a valid later header behind them were whole once, and something else destroyed them. */
#include "storage/segment.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"

enum { AT_MAGIC = 0, AT_FORMAT = 8, AT_LOG = 12, AT_FIRST = 16, AT_BATCH = 24, AT_MADE = 32, AT_SUM = 40 };
enum {
    NAME_LOG_DIGITS = 4,
    NAME_NUMBER_DIGITS = 16,      /* 10^16 records: a million a second for 300 years */
    NAME_LEN = NAME_LOG_DIGITS + 1 + NAME_NUMBER_DIGITS + 4,
};

static const uint8_t magic[8] = { 'P', 'I', 'P', 'I', 'T', 'S', 'E', 'G' };

_Static_assert(AT_SUM + 8 == SEGMENT_HEADER_BYTES, "the table in segment.h");
_Static_assert((int)NAME_LEN < (int)SEGMENT_NAME_BYTES, "a name and its NUL");

/* ---- names ---- */

void segment_name(char out[static SEGMENT_NAME_BYTES], uint32_t log, uint64_t first_number)
{
    int len = snprintf(out, SEGMENT_NAME_BYTES, "%0*" PRIu32 "-%0*" PRIu64 ".seg", NAME_LOG_DIGITS, log,
                       NAME_NUMBER_DIGITS, first_number);
    assert(len == NAME_LEN);
}

static bool digits(const char *at, int count, uint64_t *out)
{
    *out = 0;
    for (int i = 0; i < count; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        *out = *out * 10 + (uint64_t)(at[i] - '0');
    }
    return true;
}

bool segment_name_parse(const char *name, uint32_t *log_out, uint64_t *first_number_out)
{
    uint64_t log;
    if (strlen(name) != NAME_LEN || !digits(name, NAME_LOG_DIGITS, &log) || name[NAME_LOG_DIGITS] != '-' ||
        !digits(name + NAME_LOG_DIGITS + 1, NAME_NUMBER_DIGITS, first_number_out) ||
        strcmp(name + NAME_LEN - 4, ".seg") != 0)
        return false;
    *log_out = (uint32_t)log;
    return true;
}

/* ---- header ---- */

static uint64_t head_put(uint8_t to[static SEGMENT_HEADER_BYTES], const struct segment_head *head)
{
    memcpy(to + AT_MAGIC, magic, sizeof magic);
    put_u32(to + AT_FORMAT, SEGMENT_FORMAT);
    put_u32(to + AT_LOG, head->log);
    put_u64(to + AT_FIRST, head->first_number);
    put_u64(to + AT_BATCH, head->first_batch);
    put_u64(to + AT_MADE, head->made_ms);
    uint64_t seed = XXH3_64bits(to, AT_SUM);
    put_u64(to + AT_SUM, seed);
    return seed;
}

int segment_head_read(const struct fsio *fs, int file, uint64_t size, struct segment_head *head_out,
                      uint64_t *seed_out)
{
    uint8_t from[SEGMENT_HEADER_BYTES];
    size_t got;
    if (size < SEGMENT_HEADER_BYTES)
        return ERR_TORN;
    int err = fs->pread(fs->self, file, from, sizeof from, 0, &got);
    if (err || got < sizeof from)
        return err ? err : ERR_IO;
    uint64_t sum = XXH3_64bits(from, AT_SUM);
    if (memcmp(from + AT_MAGIC, magic, sizeof magic) != 0 || get_u64(from + AT_SUM) != sum)
        return ERR_CORRUPT;
    if (get_u32(from + AT_FORMAT) != SEGMENT_FORMAT)
        return get_u32(from + AT_FORMAT) > SEGMENT_FORMAT ? ERR_NEWER : ERR_CORRUPT;
    *head_out = (struct segment_head){
        .log = get_u32(from + AT_LOG),
        .first_number = get_u64(from + AT_FIRST),
        .first_batch = get_u64(from + AT_BATCH),
        .made_ms = get_u64(from + AT_MADE),
    };
    *seed_out = sum;
    return 0;
}

/* ---- one segment ---- */

struct segment *segment_found(const struct fsio *fs, int file, const char *name, const struct segment_head *head,
                              uint64_t seed)
{
    struct segment *segment = calloc(1, sizeof *segment);
    if (!segment)
        return NULL;
    atomic_init(&segment->refs, 1);
    segment->fs = fs;
    segment->file = file;
    segment->head = *head;
    segment->seed = seed;
    snprintf(segment->name, sizeof segment->name, "%s", name);
    index_init(&segment->index);
    segment->bytes = SEGMENT_HEADER_BYTES;
    segment->last_batch = head->first_batch - 1;
    return segment;
}

/* Room is not reserved ahead. Tried on ext4 (virtual disk, appends of 0.3 to 12 KiB, each with fdatasync): 5,500 syncs
 * a second plain, 6,500 with fallocate() of the segment, 7,400 to 9,000 over a file filled with zeros before. A fifth
 * is not worth 64 MiB of empty disk for every shard at every start, on machines where people self-host. */
int segment_create(const struct fsio *fs, const char *dir, const struct segment_head *head,
                   struct segment **segment_out)
{
    char name[SEGMENT_NAME_BYTES], path[FS_PATH_MAX];
    segment_name(name, head->log, head->first_number);
    fs_path(path, dir, name);
    int file;
    int err = fs->open(fs->self, path, FS_READ | FS_WRITE | FS_CREATE | FS_EXCLUSIVE, &file);
    if (err)
        return err;
    uint8_t header[SEGMENT_HEADER_BYTES];
    uint64_t seed = head_put(header, head);
    struct segment *segment = NULL;
    err = fs->pwritev(fs->self, file, &(struct iovec){ header, sizeof header }, 1, 0);
    if (!err)
        err = fs->sync(fs->self, file);
    if (!err)
        err = fs->sync_dir(fs->self, dir);
    if (err)
        goto fail;
    segment = segment_found(fs, file, name, head, seed);
    err = segment ? 0 : ERR_NOMEM;
    if (err)
        goto fail;
    *segment_out = segment;
    return 0;
fail:
    fs->close(fs->self, file);
    /* It holds no record, so it does no harm should this fail, or not be durable: recovery removes it. */
    fs->unlink(fs->self, path);
    return err;
}

struct segment *segment_ref(struct segment *segment)
{
    atomic_fetch_add_explicit(&segment->refs, 1, memory_order_relaxed);
    return segment;
}

void segment_unref(struct segment *segment)
{
    /* Release: our reads are done; acquire: the last one sees that of all others before it frees. */
    if (atomic_fetch_sub_explicit(&segment->refs, 1, memory_order_acq_rel) > 1)
        return;
    segment->fs->close(segment->fs->self, segment->file);
    index_fini(&segment->index);
    free(segment);
}

static void note_id(struct segment *segment, const struct msg_id *id)
{
    static const struct msg_id none;
    bool first = memcmp(segment->max_id.v, none.v, sizeof none.v) == 0;
    if (first || memcmp(id->v, segment->min_id.v, sizeof id->v) < 0)
        segment->min_id = *id;
    if (first || memcmp(id->v, segment->max_id.v, sizeof id->v) > 0)
        segment->max_id = *id;
}

int segment_add(struct segment *segment, const struct record *record, uint64_t offset, size_t len)
{
    assert(offset + len <= UINT32_MAX && len <= RECORD_BYTES_MAX);
    struct index_entry entry = {
        .seq = record->seq,
        .number = record->number,
        .offset = (uint32_t)offset,
        .len = (uint32_t)len,
        .kind = record->kind,
    };
    int err = index_add(&segment->index, &record->partition, &entry);
    if (err)
        return err;
    segment->records++;
    if (record->kind != RECORD_KIND_MARKS)
        note_id(segment, &record->id);
    return 0;
}

int segment_read(const struct segment *segment, uint64_t from, uint64_t to, struct buf *out)
{
    size_t len = (size_t)(to - from), got;
    buf_clear(out);
    uint8_t *at = buf_grow(out, len);
    if (!at)
        return out->err == ERR_NOMEM ? ERR_NOMEM : ERR_CORRUPT;
    int err = segment->fs->pread(segment->fs->self, segment->file, at, len, from, &got);
    return err ? err : got < len ? ERR_CORRUPT : 0;
}

int segment_record(const struct segment *segment, const struct index_entry *entry, struct bytes bytes, uint64_t from,
                   struct record *out, struct bytes *whole_out)
{
    uint64_t at = entry->offset - from;
    assert(entry->offset >= from && at <= bytes.len && entry->len <= bytes.len - at);
    size_t len;
    *whole_out = bytes_of(bytes.at + at, entry->len);
    if (record_parse(*whole_out, out, &len) || len != entry->len || out->number != entry->number ||
        out->seq != entry->seq || out->kind != entry->kind || out->log != segment->head.log)
        return ERR_CORRUPT;
    return 0;
}

/* ---- scanning ---- */

void scan_init(struct scan *scan, const struct fsio *fs, int file, const struct segment_head *head, uint64_t seed,
               uint64_t size)
{
    *scan = (struct scan){
        .fs = fs, .file = file, .log = head->log, .seed = seed, .size = size, .offset = SEGMENT_HEADER_BYTES,
        .next_batch = head->first_batch, .next_number = head->first_number,
    };
    buf_init(&scan->bytes, BATCH_BYTES_MAX + BATCH_HEADER_BYTES);
}

void scan_fini(struct scan *scan)
{
    buf_fini(&scan->bytes);
}

/* `len` bytes at `offset`, which the file's size says are there, into scan->bytes. */
static int scan_read(struct scan *scan, uint64_t offset, size_t len)
{
    buf_clear(&scan->bytes);
    uint8_t *to = buf_grow(&scan->bytes, len);
    if (!to)
        return scan->bytes.err;
    size_t got;
    int err = scan->fs->pread(scan->fs->self, scan->file, to, len, offset, &got);
    return err ? err : got < len ? ERR_IO : 0;
}

/* The bytes at scan->offset are bad. Does a later batch follow? */
static int scan_bad(struct scan *scan)
{
    uint64_t at = scan->offset + 1;
    while (at < scan->size && scan->size - at >= BATCH_HEADER_BYTES) {
        uint64_t left = scan->size - at;
        size_t len = left > scan->bytes.max ? scan->bytes.max : (size_t)left;
        int err = scan_read(scan, at, len);
        if (err)
            return err;
        if (batch_head_find(buf_bytes(&scan->bytes), 0, scan->seed) < len)
            return ERR_CORRUPT;
        at += len - (BATCH_HEADER_BYTES - 1);      /* one may lie across the border of two reads */
    }
    return ERR_TORN;
}

/* The first record that is not as it should be, for the report; the batch's checksum has failed already. */
static uint64_t first_bad_record(struct bytes payload, uint64_t at)
{
    size_t done = 0, len;
    struct record record;
    while (done < payload.len && !record_parse(bytes_of(payload.at + done, payload.len - done), &record, &len))
        done += len;
    return at + done;
}

/* The batch is whole, so its records are what somebody wrote: what does not fit now is no torn write. */
static int records_check(struct scan *scan, const struct batch_head *head, struct bytes payload, uint64_t at)
{
    size_t done = 0, len;
    uint32_t count = 0;
    while (done < payload.len) {
        struct record record;
        int err = record_parse(bytes_of(payload.at + done, payload.len - done), &record, &len);
        if (!err && (record.log != head->log || record.number != head->first_number + count))
            err = ERR_CORRUPT;
        if (err) {
            scan->bad_offset = at + done;
            return err == ERR_NEWER ? ERR_NEWER : ERR_CORRUPT;
        }
        done += len;
        count++;
    }
    return count == head->records ? 0 : ERR_CORRUPT;
}

int scan_next(struct scan *scan, struct batch_head *head_out, struct bytes *payload_out, uint64_t *at_out)
{
    uint64_t left = scan->size - scan->offset;
    scan->bad_offset = scan->offset;
    if (left == 0)
        return ERR_END;
    if (left < BATCH_HEADER_BYTES)
        return ERR_TORN;
    if (scan->size > UINT32_MAX)
        return ERR_CORRUPT;              /* no writer of ours lets a segment grow so far */
    int err = scan_read(scan, scan->offset, BATCH_HEADER_BYTES);
    if (err)
        return err;
    struct batch_head head;
    if (!batch_head_get(scan->bytes.at, scan->seed, &head))
        return scan_bad(scan);
    if (head.log != scan->log || head.number != scan->next_batch || head.first_number != scan->next_number ||
        head.payload_bytes > BATCH_BYTES_MAX || head.records == 0 || head.records > BATCH_RECORDS_MAX)
        return ERR_CORRUPT;
    if (left - BATCH_HEADER_BYTES < head.payload_bytes)
        return scan_bad(scan);
    uint64_t at = scan->offset + BATCH_HEADER_BYTES;
    err = scan_read(scan, at, head.payload_bytes);
    if (err)
        return err;
    struct bytes payload = buf_bytes(&scan->bytes);
    if (XXH3_64bits(payload.at, payload.len) != head.payload_checksum) {
        scan->bad_offset = first_bad_record(payload, at);
        return scan_bad(scan);
    }
    err = records_check(scan, &head, payload, at);
    if (err)
        return err;
    scan->offset = at + head.payload_bytes;
    scan->bad_offset = scan->offset;
    scan->next_batch++;
    scan->next_number += head.records;
    *head_out = head;
    *payload_out = payload;
    *at_out = at;
    return 0;
}

static int batch_walk(const struct batch_head *head, struct bytes payload, uint64_t at, segment_record_fn *each,
                      void *arg)
{
    int err = 0;
    for (size_t done = 0, len; !err && done < payload.len; done += len) {
        struct record record;
        record_peek(payload.at + done, &record, &len);
        err = each(arg, at + done, head->number, &record, bytes_of(payload.at + done, len));
    }
    return err;
}

int segment_walk(const struct fsio *fs, const char *path, struct segment_head *head_out, segment_record_fn *each,
                 void *arg, uint64_t *offset_out)
{
    int file;
    *offset_out = 0;
    int err = fs->open(fs->self, path, FS_READ, &file);
    if (err)
        return err;
    uint64_t size, seed;
    err = fs->size(fs->self, file, &size);
    if (!err)
        err = segment_head_read(fs, file, size, head_out, &seed);
    if (err)
        goto out;
    struct scan scan;
    scan_init(&scan, fs, file, head_out, seed, size);
    struct batch_head head;
    struct bytes payload;
    uint64_t at;
    while (!(err = scan_next(&scan, &head, &payload, &at))) {
        err = batch_walk(&head, payload, at, each, arg);
        if (err)
            break;
    }
    *offset_out = scan.bad_offset;
    scan_fini(&scan);
    if (err == ERR_END)
        err = 0;
out:
    fs->close(fs->self, file);
    return err;
}
