/* sorted_form.h - the bytes of a sorted segment, for those who write and read it. Numbers are big-endian, but varints.
 *
 *   header, 40 bytes            footer, 168 bytes, the last of the file
 *   at  size                    at  size
 *    0    8  "PIPITSRT"          0    8  "PIPITEND"
 *    8    4  format, 1           8    8  serial
 *   12    4  0                  16    8  records (not marks)
 *   16    8  serial             24    8  marks records
 *   24    8  made, ms           32    8  partitions
 *   32    8  XXH3-64 of 0..32   40    8  blocks
 *            and the seed       48    8  their bytes, heads included
 *                               56    8  where the index above begins
 *   piece, anywhere             64    8  where the filter begins
 *    0    8  checksum of the    72    8  where the spans begin
 *            rest               80    4  how many spans
 *    8    4  length of payload  84    4  0
 *   12    2  type               88    8  source bytes
 *   14    2  how many in it     96    8  written bytes
 *   16    …  payload           104    8  earliest expiry
 *                              112    8  oldest mark
 *   filter block, 64 bytes     120   16  smallest id of a record
 *    0    8  checksum          136   16  largest
 *    8   56  448 bits          152    8  XXH3-64 of the file before the footer
 *                              160    8  checksum of 0..160
 *
 * The checksum of a piece, a filter block or the footer is XXH3-64 seeded with (seed + offset of that piece, block or
 * footer) mod 2^64. Types of pieces: 0 records, 1 the lowest index page, 2 and up those above, 65535 spans.
 *
 * Payload of records: runs. A run: partition, 16 bytes; its records; a byte 0. A record: varint length of its sealed
 * part, kind (1 byte), varints flags, log, number, key, sequence less that of the record before it in the run (of the
 * first: itself), id (16 bytes), varints counted, expiry; the sealed part. A varint has 7 bits in a byte, the lowest
 * first, and bit 7 set in all but the last; the shortest form is the only one.
 * Payload of an index page: entries of 40 bytes: partition 16, sequence 8, time 8, offset 8: of a block (or of the page
 * below) what it begins with. Time is that of the newest record (by id, marks do not count) of that partition from its
 * beginning in this file up to and including the one the block begins with; 0: none.
 * Payload of spans: log 4, first number 8, last number 8, first batch 8, last batch 8 for each.
 *
 * Filter: h = XXH3-64 of the partition, seeded with the seed. There are 2^n blocks; the highest n bits of h choose one.
 * With g = h * 0x9E3779B97F4A7C15 mod 2^64, bits ((g >> 10 i) mod 1024) * 448 / 1024 for i = 0..5 of it are set; bit b
 * is bit b mod 8 (lowest: 0) of byte b / 8. */
#ifndef PIPIT_STORAGE_SORTED_FORM_H
#define PIPIT_STORAGE_SORTED_FORM_H

#include "storage/sorted.h"

enum {
    SORTED_FORMAT = 1,
    SORTED_HEADER_BYTES = 40,
    SORTED_FOOTER_BYTES = 168,
    PIECE_HEAD_BYTES = 16,
    PIECE_RECORDS = 0, PIECE_INDEX = 1, PIECE_SPANS = 0xffff,
    RUN_BYTES_MIN = 16 + 1,
    COMPACT_HEAD_BYTES_MAX = 3 + 1 + 3 + 5 + 3 * 10 + 16 + 2 * 10,
    COMPACT_HEAD_BYTES_MIN = 1 + 1 + 1 + 1 + 3 * 1 + 16 + 2 * 1,
    BLOCK_PAYLOAD_MAX = SORTED_BLOCK_BYTES + RUN_BYTES_MIN + COMPACT_HEAD_BYTES_MAX + RECORD_BYTES_MAX,
    BLOCK_RECORDS_MAX = BLOCK_PAYLOAD_MAX / (COMPACT_HEAD_BYTES_MIN + RECORD_TAG_BYTES),
    INDEX_ENTRY_BYTES = 40,
    INDEX_PAGE_ENTRIES = 400,                  /* a page of 16 KiB leads to 3 MiB of records */
    INDEX_PAGE_BYTES = PIECE_HEAD_BYTES + INDEX_PAGE_ENTRIES * INDEX_ENTRY_BYTES,
    INDEX_LEVELS_MAX = 8,                      /* 400^8 blocks: more than a file can have */
    SPAN_BYTES = 36,
    FILTER_BLOCK_BYTES = 64,                   /* a cache line */
    FILTER_BITS = (FILTER_BLOCK_BYTES - 8) * 8,
    FILTER_PROBES = 6,
    FILTER_PARTITIONS = 37,                    /* to a block: 12 bits each, 1 "perhaps" of 150 is wrong */
    FILTER_LOG_MAX = 18,                       /* 2^18 blocks, 16 MiB: 9.7 million partitions until it gets worse */
};
_Static_assert(BLOCK_RECORDS_MAX <= UINT16_MAX, "the head of a piece counts with 16 bits");
_Static_assert(BLOCK_PAYLOAD_MAX < SORTED_READ_BYTES_MAX * 2, "a block may be larger than a read, not by much");

struct sorted_entry {
    struct conv_id partition;
    uint64_t seq;
    uint64_t time_ms;
    uint64_t offset;
};

struct sorted_foot {
    struct sorted_meta meta;           /* without spans, made_ms and bytes */
    uint64_t index_offset, filter_offset, spans_offset;
    uint64_t checksum;                 /* of the file before the footer */
};

/* Where everything lies: follows from four numbers of the footer alone. */
struct sorted_layout {
    uint32_t height;                          /* levels of the index; 0: no blocks */
    uint64_t entries[INDEX_LEVELS_MAX];       /* of each level, the lowest first */
    uint64_t pages[INDEX_LEVELS_MAX];
    uint64_t level_offset[INDEX_LEVELS_MAX];  /* its first page; of level 0 only when that is all there is, else 0 */
    uint64_t index_offset;                    /* of level 1, or of the only page */
    uint64_t filter_offset;
    uint32_t filter_log;                      /* 2^this blocks */
    uint64_t spans_offset;
    uint64_t footer_offset;
};

/* Returns the seed. */
uint64_t sorted_header_put(uint8_t to[static SORTED_HEADER_BYTES], uint64_t serial, uint64_t made_ms);
/* 0, ERR_CORRUPT or ERR_NEWER. */
int sorted_header_get(const uint8_t from[static SORTED_HEADER_BYTES], uint64_t *serial_out, uint64_t *made_ms_out,
                      uint64_t *seed_out);
void sorted_foot_put(uint8_t to[static SORTED_FOOTER_BYTES], const struct sorted_foot *foot, uint64_t seed,
                     uint64_t offset);
bool sorted_foot_get(const uint8_t from[static SORTED_FOOTER_BYTES], struct sorted_foot *foot_out, uint64_t seed,
                     uint64_t offset);
/* False: no file can be so. Neither overruns nor loops long whatever the numbers are. */
bool sorted_layout(struct sorted_layout *out, uint64_t block_count, uint64_t data_bytes, uint32_t filter_log,
                   uint64_t span_count);

uint64_t sorted_checksum(const uint8_t *at, size_t len, uint64_t seed, uint64_t offset);

/* The head in front of a payload that lies behind it in one piece. */
void piece_seal(uint8_t *piece, size_t payload_bytes, uint16_t type, uint16_t count, uint64_t seed, uint64_t offset);
/* A piece of that type at the start of `in`, whole, checksum right, its payload 1..payload_max bytes. */
bool piece_check(struct bytes in, uint16_t type, size_t payload_max, uint64_t seed, uint64_t offset,
                 struct bytes *payload_out, uint16_t *count_out);

/* Counts the record, and widens the ranges of ids and times to hold it. */
void sorted_meta_add(struct sorted_meta *meta, const struct record *record);
/* The time of an index entry behind this record, which was `ms` before it; 0 where its partition begins. */
uint64_t sorted_time_after(uint64_t ms, const struct record *record);

/* A record in its compact form, to the end of `to`; `before`: the sequence of the one before it in the run, or 0. */
void compact_put(struct buf *to, const struct record *record, uint64_t before);

/* Reads the records of a block, and believes nothing. */
struct block_reader {
    struct reader in;
    const uint8_t *start;
    uint32_t left;                /* records, by the head */
    bool in_run, any;
    struct record last;
    size_t at;                    /* in the payload: where the last record given begins */
};
void block_reader_init(struct block_reader *b, struct bytes payload, uint16_t count);
/* The next record; its sealed part points into the payload. 0, ERR_END or ERR_CORRUPT (b->at: about where). */
int block_reader_next(struct block_reader *b, struct record *out);

void sorted_entry_put(uint8_t to[static INDEX_ENTRY_BYTES], const struct sorted_entry *entry);
void sorted_entry_get(const uint8_t from[static INDEX_ENTRY_BYTES], struct sorted_entry *out);

uint64_t filter_hash(const struct conv_id *partition, uint64_t seed);
size_t filter_block(uint64_t hash, uint32_t filter_log);     /* which */
void filter_set(uint8_t block[static FILTER_BLOCK_BYTES], uint64_t hash);
bool filter_has(const uint8_t block[static FILTER_BLOCK_BYTES], uint64_t hash);
void filter_seal(uint8_t block[static FILTER_BLOCK_BYTES], uint64_t seed, uint64_t offset);
bool filter_check(const uint8_t block[static FILTER_BLOCK_BYTES], uint64_t seed, uint64_t offset);

/* Whether `number` of `log` lies in one of the spans, which are in order. */
bool spans_hold(const struct sorted_span *spans, uint32_t count, uint32_t log, uint64_t number);
void span_put(uint8_t to[static SPAN_BYTES], const struct sorted_span *span);
void span_get(const uint8_t from[static SPAN_BYTES], struct sorted_span *out);

#endif
