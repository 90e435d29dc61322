/* segment.h - one file of the log.
 *
 * Its name is "LLLL-NNNNNNNNNNNNNNNN.seg": log and first record number, decimal, so that names sort like records. It
 * begins with a header, big-endian, and goes on with batches (batch.h):
 *
 *   at  size
 *    0    8  magic "PIPITSEG"
 *    8    4  format: SEGMENT_FORMAT
 *   12    4  log
 *   16    8  number of the first record it will hold
 *   24    8  number of the first batch
 *   32    8  made when, ms since 1970: for people, and to tell two files of one name apart
 *   40    8  XXH3-64 of bytes 0..40; also the seed of the batch headers' checksums
 *
 * A segment is counted: the lists and the views it stands in hold references, and its file is closed with the last. So
 * it can be read from any thread whatever becomes of the list.
 * Thread: file, head, seed and name never change after creation. Index, bytes and records belong to the log's shard
 * while the segment is open, and never change afterwards; ids likewise. */
#ifndef PIPIT_STORAGE_SEGMENT_H
#define PIPIT_STORAGE_SEGMENT_H

#include <stdatomic.h>

#include "storage/batch.h"
#include "storage/index.h"

struct segment_head { uint32_t log; uint64_t first_number, first_batch, made_ms; };

enum { SEGMENT_FORMAT = 1, SEGMENT_HEADER_BYTES = 48 };

struct segment {
    atomic_uint refs;
    const struct fsio *fs;
    int file;
    struct segment_head head;
    uint64_t seed;
    char name[SEGMENT_NAME_BYTES];
    struct index index;
    uint64_t bytes;               /* committed, header included */
    uint64_t records;
    uint64_t last_batch;          /* committed; before the first, the last one of the segment before */
    struct msg_id min_id, max_id; /* of its records, not of marks; all zero: it has none */
};

void segment_name(char out[static SEGMENT_NAME_BYTES], uint32_t log, uint64_t first_number);
bool segment_name_parse(const char *name, uint32_t *log_out, uint64_t *first_number_out);

/* Make the file, write its header, sync it and its folder. On error nothing of it is left, as far as the disk lets us:
 * recovery removes what is. Returns 0, ERR_NO_SPACE, ERR_IO, ERR_EXISTS or ERR_NOMEM. */
int segment_create(const struct fsio *fs, const char *dir, const struct segment_head *head,
                   struct segment **segment_out);
/* Take over an open file whose header was read. NULL: out of memory. */
struct segment *segment_found(const struct fsio *fs, int file, const char *name, const struct segment_head *head,
                              uint64_t seed);
struct segment *segment_ref(struct segment *segment);
void segment_unref(struct segment *segment);

/* Read and check a file's header. Returns 0, ERR_TORN (the file is shorter), ERR_CORRUPT, ERR_NEWER or ERR_IO. */
int segment_head_read(const struct fsio *fs, int file, uint64_t size, struct segment_head *head_out,
                      uint64_t *seed_out);
/* Index the record of `len` bytes at `offset`. Errors of index_add(). */
int segment_add(struct segment *segment, const struct record *record, uint64_t offset, size_t len);

/* The bytes [from, to) of it, committed ones, into `out` (cleared first). Returns 0, ERR_CORRUPT (they are not there),
 * ERR_IO or ERR_NOMEM. Any thread. */
int segment_read(const struct segment *segment, uint64_t from, uint64_t to, struct buf *out);
/* The record of `entry` in `bytes`, which were read from `from` on and hold it: its whole, parsed into *out; both point
 * into `bytes`. 0, or ERR_CORRUPT: its checksum is wrong, or it is not the record looked for. Any thread. */
int segment_record(const struct segment *segment, const struct index_entry *entry, struct bytes bytes, uint64_t from,
                   struct record *out, struct bytes *whole_out);

/* Reads a file batch by batch and believes nothing. */
struct scan {
    const struct fsio *fs;
    int file;
    uint32_t log;
    uint64_t seed;
    uint64_t size;                /* of the file */
    uint64_t offset;              /* where the next batch begins; after an error, the bad one */
    uint64_t next_batch, next_number;
    uint64_t bad_offset;          /* after an error: the record that is bad when it is one, else the batch */
    struct buf bytes;
};
void scan_init(struct scan *scan, const struct fsio *fs, int file, const struct segment_head *head, uint64_t seed,
               uint64_t size);
void scan_fini(struct scan *scan);
/* The next batch, every checksum and number of it checked. *payload_out is good until the next call; its records
 * begin at *at_out in the file. Returns
 *   0            the batch is whole
 *   ERR_END      the file ends where the last batch ends
 *   ERR_TORN     the bytes from `offset` on are no whole batch, and no later batch follows them: perhaps a torn tail
 *   ERR_CORRUPT  they are none and a later batch does follow, or the batch is whole and cannot stand here
 *   ERR_NEWER    a record of a format this version does not know
 *   ERR_IO, ERR_NOMEM */
int scan_next(struct scan *scan, struct batch_head *head_out, struct bytes *payload_out, uint64_t *at_out);

/* All of one file: `each` gets every record with its offset and batch number.
 * Returns 0, ERR_TORN (stopped at *offset_out), ERR_CORRUPT, ERR_NEWER, ERR_IO, or each()'s non-zero answer. */
int segment_walk(const struct fsio *fs, const char *path, struct segment_head *head_out,
                 segment_record_fn *each, void *arg, uint64_t *offset_out);

#endif
