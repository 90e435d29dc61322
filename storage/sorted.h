/* sorted.h - one sorted segment: records by (partition, place), with an index, a filter and a footer at the end.
 *
 * Its name is "sorted-SSSSSSSSSSSSSSSS.seg": S, decimal, is the serial, which rises with every file made in a folder
 * and is never given twice. It is made by sorting closed unsorted segments or by merging sorted ones, and never changes
 * once it has that name. It says itself what it replaces, by spans of record numbers, so no list of files is kept
 * anywhere: of two files whose spans overlap the one with the higher serial covers all of the other.
 *
 * The order inside is sorted_order(): partition; then sequence by sequence the record that has it and behind it the
 * marks placed at it, by record number. Marks placed at 0 come before sequence 1.
 *
 *   header | blocks of records, their index pages between them | the index above | filter | spans | footer
 *
 * A block holds runs of records of one partition in a compact form, from which each record is made again byte for byte.
 * sorted_form.h has every byte. All are under checksums, seeded with the file and the offset, so that a block from
 * another place does not pass; who reads a block checks it.
 *
 * Memory: an open table holds its meta. The index above its lowest pages, and the filter, stay in memory only while the
 * node's budget (struct sorted_pins) has room, else they are read when they are needed; the lowest pages of small tables
 * likewise. Those of large ones and data are never kept: that is the kernel's page cache.
 *
 * Thread: a struct sorted is counted and may be read from any thread; cursors, scans and writers belong to one. All
 * calls but those on meta and counts block. */
#ifndef PIPIT_STORAGE_SORTED_H
#define PIPIT_STORAGE_SORTED_H

#include <stdatomic.h>

#include "storage/log.h"

enum {
    SORTED_NAME_BYTES = 32,                       /* "sorted-SSSSSSSSSSSSSSSS.seg", with room */
    SORTED_PINNED_BYTES_MAX = 8 * 1024 * 1024,    /* indexes and filters of all tables of a node, in memory */
    /* A small table's lowest index pages as well, as long as that leaves half of the budget: what was written last lies
     * in many of them, and each is one read then. This is what 100 MiB of records have. */
    SORTED_PAGES_PINNED_MAX = 512 * 1024,
    SORTED_SPANS_MAX = 4096,                      /* what one file covers, neighbours joined: 16 for each of 256 logs */
    /* Half a block is read too much at either end of a page of history; 40 bytes of index for each are half a percent. */
    SORTED_BLOCK_BYTES = 8 * 1024,
    SORTED_READ_BYTES_MAX = 64 * 1024,            /* of neighbours in one pread; a single block may be larger */
};

/* Record numbers first_number..last_number of a log, both included, and the batches they were committed in. A number in
 * it may have no record: it was let go. */
struct sorted_span {
    uint32_t log;
    uint64_t first_number, last_number;
    uint64_t first_batch, last_batch;
};

struct sorted_meta {
    uint64_t serial;
    uint64_t made_ms;
    uint64_t bytes;                      /* of the file */
    uint64_t records, marks;             /* those with a sequence of their own, and marks records */
    uint64_t partitions;
    uint64_t block_count, data_bytes;    /* blocks, with their heads */
    uint64_t source_bytes;               /* what its spans took when they were appended: batches and all */
    uint64_t written_bytes;              /* all that was ever written of sorted files for them, this one included */
    struct msg_id min_id, max_id;        /* of records, not marks; all zero: there is none */
    uint64_t expiry_min_ms;              /* the earliest expiry in it; 0: nothing in it expires */
    uint64_t mark_min_ms;                /* when its oldest mark was made; 0: no marks */
    struct sorted_span *spans;           /* by (log, first number), apart from one another */
    uint32_t span_count;                 /* at least 1 */
};

void sorted_name(char out[static SORTED_NAME_BYTES], uint64_t serial);
/* False for every other name, that of an unfinished file ("….seg.new") included. */
bool sorted_name_parse(const char *name, uint64_t *serial_out);

/* Below 0, 0 or above: the order of records in a sorted file. 0 is the same sequence, or the same mark. */
int sorted_order(const struct record *a, const struct record *b);

/* ---- reading ---- */

/* The node's budget for what open tables keep in memory. Any thread; outlives every table opened with it. */
struct sorted_pins {
    uint64_t bytes_max;
    atomic_uint_least64_t bytes;         /* taken of it */
};
void sorted_pins_init(struct sorted_pins *pins, uint64_t bytes_max);

struct sorted;
/* Open dir/name: header, footer and spans are read and checked, and what of index and filter fits the budget; data is
 * not read. pins may be NULL: nothing is kept in memory.
 * Returns 0, ERR_CORRUPT (*bad_offset_out tells where in the file), ERR_NEWER, ERR_NOT_FOUND, ERR_IO or ERR_NOMEM. */
int sorted_open(const struct fsio *fs, const char *dir, const char *name, struct sorted_pins *pins,
                struct sorted **out, uint64_t *bad_offset_out);
struct sorted *sorted_ref(struct sorted *table);
void sorted_unref(struct sorted *table);                     /* the last one closes the file; any thread */
const struct sorted_meta *sorted_meta(const struct sorted *table);   /* good while the reference is held */
const char *sorted_file_name(const struct sorted *table);    /* as it was given to sorted_open() */

/* Walks a range of one partition in either direction. One cursor serves any number of seeks, in any tables, and keeps
 * its memory between them: at most a read (SORTED_READ_BYTES_MAX, or one block), an index page and a record. */
struct sorted_cursor {
    uint32_t reads;                      /* preads since init, of index, filter and data; the caller may reset it */
    /* A record of the partition that lies just outside of where the walk began was seen on the way to there: its id. Of
     * records only. False may mean that none is in this table, or that none was met. */
    bool has_beyond;
    struct msg_id beyond;
    uint64_t bad_offset;                 /* after ERR_CORRUPT: where in the file */
    /* -- below: sorted_read.c alone -- */
    struct sorted *table;                /* not counted: the caller's reference must outlast the walk */
    struct conv_id partition;
    enum find_what what;
    uint64_t from, to;
    bool newest, ended;
    uint64_t left;                       /* records still likely to be asked for; UINT64_MAX: all */
    struct buf page;                     /* the lowest index page at hand, when it is not the table's */
    const uint8_t *entries;              /* its entries … */
    uint32_t entry_count;
    uint64_t page_number, page_offset;   /* … which one it is, and where */
    uint32_t slot;                       /* the entry of the next block; when newest, one above it */
    struct buf data;                     /* neighbouring blocks: those of entries first..last - 1 */
    uint32_t first, last;
    struct record *records;              /* of the block at hand, those looked for; sealed parts lie in data */
    size_t count, cap, at;
    struct buf whole;
};
void sorted_cursor_init(struct sorted_cursor *c);
void sorted_cursor_fini(struct sorted_cursor *c);

/* Stand before the records (every kind with a sequence) or the marks of the partition with from <= sequence (or place)
 * <= to; with newest behind them, to walk downwards. `likely`: how many will be asked for, to read so much at once; 0:
 * all. Reads filter and index only, no data. A partition that is not there is no error: the walk is empty.
 * Returns 0, ERR_CORRUPT, ERR_IO or ERR_NOMEM; the walk is over then. */
int sorted_seek(struct sorted_cursor *c, struct sorted *table, const struct conv_id *partition, enum find_what what,
                uint64_t from, uint64_t to, bool newest, size_t likely);
/* The next record: rising by sequence, or by (place, number, log) for marks; falling when newest. Both views are good
 * until the next call on the cursor.
 * Returns 0, ERR_END, ERR_CORRUPT (also: a record that no span covers), ERR_IO or ERR_NOMEM. */
int sorted_next(struct sorted_cursor *c, struct record *record_out, struct bytes *whole_out);
/* The sequence of the partition's first record (not mark) made at `ms` or later, by its id. Ends the cursor's walk.
 * Returns 0, ERR_END (none is in this table), ERR_CORRUPT, ERR_IO or ERR_NOMEM. */
int sorted_find_time(struct sorted_cursor *c, struct sorted *table, const struct conv_id *partition, uint64_t ms,
                     uint64_t *seq_out);

/* Every record in file order, by large sequential reads, every checksum and the order checked on the way, and the
 * counts of the footer at the end: for merging and looking inside. */
struct sorted_scan;
int sorted_scan_open(struct sorted *table, struct sorted_scan **out);     /* takes a reference. 0 or ERR_NOMEM */
void sorted_scan_close(struct sorted_scan *scan);
/* Both views are good until the next call. *offset_out (may be NULL): where in the file the record lies.
 * Returns 0, ERR_END, ERR_CORRUPT (*offset_out: where), ERR_IO or ERR_NOMEM. */
int sorted_scan_next(struct sorted_scan *scan, struct record *record_out, struct bytes *whole_out,
                     uint64_t *offset_out);
uint64_t sorted_scan_bytes(const struct sorted_scan *scan);               /* read so far: for pacing */

/* The whole file: all of the above, index and filter against the data, and the checksum over everything.
 * `pace` (may be NULL) is told after each large read how many bytes it was; non-zero stops and is returned.
 * Returns 0, ERR_CORRUPT (*bad_offset_out: where), ERR_IO, ERR_NOMEM or pace's answer. */
int sorted_verify(struct sorted *table, int (*pace)(void *arg, uint64_t bytes), void *arg, uint64_t *bad_offset_out);

enum { SORTED_WINDOW_MAX = 64 * 1024 };  /* numbers looked for in one pass: 1 MiB of places */
/* The records of `log` with first <= number < first + window that are here, by rising number, for a consumer that is
 * far back. One pass over the file, unless no span touches the window, then a read for each record or few of them.
 * window  1..SORTED_WINDOW_MAX
 * each    views are good for the call; non-zero stops and is returned.
 * Returns 0, ERR_CORRUPT (*bad_offset_out: where), ERR_IO, ERR_NOMEM or each's answer. */
int sorted_numbers(struct sorted *table, uint32_t log, uint64_t first, uint32_t window,
                   int (*each)(void *arg, const struct record *record, struct bytes whole), void *arg,
                   uint64_t *bad_offset_out);

/* ---- writing ---- */

/* Aside, as dir/NAME.new, in order, and sequentially, each write on its way to the disk before the next, so that the
 * sync at the end has little to do; memory is bounded but for the filter (2 to 4 bytes for each of
 * partitions_max, 16 MiB at most) and 40 bytes for each 3 MiB written. */
struct sorted_writer;
struct sorted_making {
    uint64_t serial;                     /* 1 to 10^16 - 1 */
    uint64_t made_ms;                    /* for people, and to tell two files of one name apart */
    uint64_t partitions_max;             /* if more come, the filter says "perhaps" more often, that is all */
    uint32_t block_bytes;                /* a block is closed at the first record end above; 0: SORTED_BLOCK_BYTES */
};
/* Returns 0, ERR_NO_SPACE, ERR_IO or ERR_NOMEM. A left-over .new of the same name is overwritten. */
int sorted_writer_open(const struct fsio *fs, const char *dir, const struct sorted_making *making,
                       struct sorted_writer **out);
/* `whole` are the bytes of `record` as record_parse() took them; both stay the caller's.
 * Returns 0, ERR_CORRUPT (not above the record before, by sorted_order(): a sequence that was given twice),
 * ERR_NO_SPACE, ERR_IO or ERR_NOMEM. After an error only sorted_writer_abort() may follow. */
int sorted_writer_add(struct sorted_writer *w, const struct record *record, struct bytes whole);
uint64_t sorted_writer_bytes(const struct sorted_writer *w);     /* given to the file system so far: for pacing */
/* Write the rest, sync, give the file its name, sync the folder. Every record must lie in a span (asserted by log).
 * spans           1..SORTED_SPANS_MAX, in any order; those that touch are joined
 * source_bytes    what the spans took when they were appended
 * written_before  written_bytes of all inputs that are sorted themselves; 0 when none is
 * meta_out        may be NULL. Without its spans: open the file for those
 * Frees the writer in any case; after an error the .new is gone, or as gone as the disk lets us.
 * Returns 0, ERR_NO_SPACE, ERR_IO, ERR_NOMEM, or ERR_TOO_BIG (more than SORTED_SPANS_MAX spans). After ERR_IO the name
 * may stand on disk at the next start, and then counts: build nothing else from the same inputs before that. */
int sorted_writer_finish(struct sorted_writer *w, const struct sorted_span *spans, size_t count, uint64_t source_bytes,
                         uint64_t written_before, struct sorted_meta *meta_out);
void sorted_writer_abort(struct sorted_writer *w);               /* frees it, removes the .new; NULL is fine */

#endif
