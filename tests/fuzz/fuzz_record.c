/* fuzz_record.c - bytes that claim to be a record, or the inside of one.
 *
 * The first byte chooses. Odd: the rest is parsed as it came, and once more with length and checksum put right, or
 * nothing would get past them. Even: the rest is sealed content that opened, decoded as marks or as a message. What
 * is understood must encode to the very bytes it came from, so that nothing hides in a record. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"
#include "storage/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_parse(struct bytes in)
{
    static const uint8_t key[RECORD_KEY_BYTES] = { 1 };
    static struct entry_room room;
    struct record record;
    struct entry entry;
    size_t len;
    if (record_parse(in, &record, &len))
        return;
    assert(len <= in.len && len <= RECORD_BYTES_MAX);
    assert(record.sealed.at == in.at + RECORD_HEADER_BYTES && record.sealed.at + record.sealed.len == in.at + len);
    struct buf plain;
    buf_init(&plain, RECORD_BYTES_MAX);
    /* Nobody makes a tag by chance. */
    assert(record_open(bytes_of(in.at, len), &record, key, &plain, &room, &entry) == ERR_CORRUPT);
    buf_fini(&plain);
}

static void try_record(const uint8_t *data, size_t size)
{
    try_parse(bytes_of(data, size));
    if (size < RECORD_HEADER_BYTES + RECORD_TAG_BYTES || size > RECORD_BYTES_MAX)
        return;
    uint8_t *right = malloc(size);
    memcpy(right, data, size);
    put_u32(right, (uint32_t)size);
    put_u64(right + 4, XXH3_64bits(right + 12, size - 12));
    try_parse(bytes_of(right, size));
    free(right);
}

static void try_entry(uint8_t kind, struct bytes in)
{
    static struct entry_room room;
    struct entry entry;
    if (entry_decode(kind, in, &room, &entry))
        return;
    struct buf again;
    buf_init(&again, in.len + 1);
    assert(entry_bytes(kind, &entry) == in.len || in.len > RECORD_BYTES_MAX);
    entry_encode(kind, &entry, &again);
    assert(bytes_equal(in, buf_bytes(&again)));
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        try_record(data + 1, size - 1);
    else
        try_entry(data[0] & 2 ? RECORD_KIND_MARKS : 1, bytes_of(data + 1, size - 1));
    return 0;
}
