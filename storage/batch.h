/* batch.h - the unit of commit: a header and the records appended in one turn of a shard.
 *
 * On disk, big-endian:
 *
 *   at  size
 *    0    4  magic "PBAT"
 *    4    4  log
 *    8    8  batch number: 1, 2, 3, … in that log
 *   16    8  record number of its first record
 *   24    4  records
 *   28    4  bytes of all records
 *   32    8  XXH3-64 of those bytes
 *   40    8  XXH3-64 of bytes 0..40, seeded with the checksum in its segment's header
 *   48    …  the records, one behind the other
 *
 * A batch is there whole or not at all: one checksum covers its records, besides their own. The seed ties a header to
 * its file, so one that strayed in with recycled disk blocks of another segment is never taken for ours; recovery
 * builds on that when it asks whether a later batch follows.
 *
 * In memory a batch is a buffer with room for the header in front, so that it is written by one call. Each log has
 * two, used in turn. A batch belongs to one thread at a time: the shard fills it, the committer writes it. */
#ifndef PIPIT_STORAGE_BATCH_H
#define PIPIT_STORAGE_BATCH_H

#include "storage/log.h"

enum { BATCH_HEADER_BYTES = 48 };

struct batch_head {
    uint32_t log;
    uint64_t number;
    uint64_t first_number;
    uint32_t records;
    uint32_t payload_bytes;
    uint64_t payload_checksum;
};
void batch_head_put(uint8_t to[static BATCH_HEADER_BYTES], const struct batch_head *head, uint64_t seed);
/* False when these bytes are not a header of the segment with this seed. */
bool batch_head_get(const uint8_t from[static BATCH_HEADER_BYTES], uint64_t seed, struct batch_head *out);
/* Offset of the first valid header in `in` at or behind `from`; in.len when there is none. */
size_t batch_head_find(struct bytes in, size_t from, uint64_t seed);

struct batch {
    struct log *log;
    struct buf bytes;             /* header room, then records; all its memory is there from the start */
    uint32_t records;
    uint64_t first_number;        /* of its first record, or of the next one when it has none; set by log_take() */
    uint64_t roll_ms;             /* log_roll() was asked for, then; 0: it was not */
    /* -- below: set by batch_sync(), read by log_done() -- */
    struct segment *segment;      /* where it was written … */
    uint64_t offset;              /* … and at which offset its header lies */
};

int batch_init(struct batch *batch, struct log *log);      /* 0 or ERR_NOMEM */
void batch_fini(struct batch *batch);
void batch_clear(struct batch *batch);
/* Append one record. Returns 0, ERR_TOO_BIG (never fits a record) or ERR_FULL. */
int batch_add(struct batch *batch, const struct record *head, const struct entry *entry,
              const uint8_t key[static RECORD_KEY_BYTES]);
static inline struct bytes batch_payload(const struct batch *batch)
{
    return bytes_of(batch->bytes.at + BATCH_HEADER_BYTES, batch->bytes.len - BATCH_HEADER_BYTES);
}
/* Fill in the header. The first record says log and first number. */
void batch_seal(struct batch *batch, uint64_t number, uint64_t seed);

#endif
