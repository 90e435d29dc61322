/* batch.c - a batch's header, and the buffer in which it is gathered. The layout stands in batch.h. */
#include "storage/batch.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"

enum { AT_MAGIC = 0, AT_LOG = 4, AT_NUMBER = 8, AT_FIRST = 16, AT_RECORDS = 24, AT_BYTES = 28, AT_PAYLOAD_SUM = 32,
       AT_HEAD_SUM = 40 };

static const uint8_t magic[4] = { 'P', 'B', 'A', 'T' };

_Static_assert(AT_HEAD_SUM + 8 == BATCH_HEADER_BYTES, "the table in batch.h");
_Static_assert(BATCH_BYTES_MAX >= 2 * RECORD_BYTES_MAX, "any record fits a batch that is not full");

void batch_head_put(uint8_t to[static BATCH_HEADER_BYTES], const struct batch_head *head, uint64_t seed)
{
    memcpy(to + AT_MAGIC, magic, sizeof magic);
    put_u32(to + AT_LOG, head->log);
    put_u64(to + AT_NUMBER, head->number);
    put_u64(to + AT_FIRST, head->first_number);
    put_u32(to + AT_RECORDS, head->records);
    put_u32(to + AT_BYTES, head->payload_bytes);
    put_u64(to + AT_PAYLOAD_SUM, head->payload_checksum);
    put_u64(to + AT_HEAD_SUM, XXH3_64bits_withSeed(to, AT_HEAD_SUM, seed));
}

bool batch_head_get(const uint8_t from[static BATCH_HEADER_BYTES], uint64_t seed, struct batch_head *out)
{
    if (memcmp(from + AT_MAGIC, magic, sizeof magic) != 0 ||
        get_u64(from + AT_HEAD_SUM) != XXH3_64bits_withSeed(from, AT_HEAD_SUM, seed))
        return false;
    *out = (struct batch_head){
        .log = get_u32(from + AT_LOG),
        .number = get_u64(from + AT_NUMBER),
        .first_number = get_u64(from + AT_FIRST),
        .records = get_u32(from + AT_RECORDS),
        .payload_bytes = get_u32(from + AT_BYTES),
        .payload_checksum = get_u64(from + AT_PAYLOAD_SUM),
    };
    return true;
}

size_t batch_head_find(struct bytes in, size_t from, uint64_t seed)
{
    while (from < in.len && in.len - from >= BATCH_HEADER_BYTES) {
        const uint8_t *at = memmem(in.at + from, in.len - from, magic, sizeof magic);
        if (!at)
            break;
        from = (size_t)(at - in.at);
        struct batch_head head;
        if (in.len - from >= BATCH_HEADER_BYTES && batch_head_get(at, seed, &head))
            return from;
        from++;
    }
    return in.len;
}

int batch_init(struct batch *batch, struct log *log)
{
    *batch = (struct batch){ .log = log };
    /* All at once, so that an append cannot run out of memory half way. Pages nobody wrote to cost nothing. */
    buf_init(&batch->bytes, BATCH_HEADER_BYTES + BATCH_BYTES_MAX);
    if (!buf_grow(&batch->bytes, batch->bytes.max))
        return batch->bytes.err;
    batch_clear(batch);
    return 0;
}

void batch_fini(struct batch *batch)
{
    buf_fini(&batch->bytes);
}

void batch_clear(struct batch *batch)
{
    buf_clear(&batch->bytes);
    buf_grow(&batch->bytes, BATCH_HEADER_BYTES);
    batch->records = 0;
    batch->first_number = 0;
    batch->roll_ms = 0;
    batch->segment = NULL;
    batch->offset = 0;
}

int batch_add(struct batch *batch, const struct record *head, const struct entry *entry,
              const uint8_t key[static RECORD_KEY_BYTES])
{
    size_t len = record_bytes(head, entry);
    if (len > RECORD_BYTES_MAX)
        return ERR_TOO_BIG;
    if (batch->records == BATCH_RECORDS_MAX || len > batch->bytes.max - batch->bytes.len)
        return ERR_FULL;
    int err = record_write(head, entry, key, &batch->bytes);
    assert(!err);                        /* its size was checked, its memory is there */
    batch->records++;
    return 0;
}

void batch_seal(struct batch *batch, uint64_t number, uint64_t seed)
{
    assert(batch->records > 0);
    struct bytes payload = batch_payload(batch);
    struct record first;
    size_t len;
    record_peek(payload.at, &first, &len);
    struct batch_head head = {
        .log = first.log,
        .number = number,
        .first_number = first.number,
        .records = batch->records,
        .payload_bytes = (uint32_t)payload.len,
        .payload_checksum = XXH3_64bits(payload.at, payload.len),
    };
    batch_head_put(batch->bytes.at, &head, seed);
}
