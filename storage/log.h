/* log.h - the append-only segmented log: what a shard commits, and what everyone reads.
 *
 * The node has one set of segments (struct logs). Each shard appends to a log of its own (struct log, numbered
 * like the shard); a log is a row of segments, one of them open. Segments whose log has no shard now are read
 * like all others, so the number of shards may change at any start.
 *
 * Appending, three steps, so that no shard ever waits for a disk:
 *   shard      log_append()* … log_take()   what was appended since the last take, as one batch
 *   committer  batch_sync()                 write, one fdatasync, roll to a new segment when full or asked to
 *   shard      log_done()                   the committed end moves, places become findable
 * One batch is in flight at most; the next one fills meanwhile. Nothing is findable, and nobody is told, before
 * log_done(0).
 *
 * Failure. ERR_NO_SPACE: batch_sync() has truncated and synced to the committed end; log_done() drops that batch
 * and the open one, and record numbers go on from the committed end. Any other error turns the log read-only
 * until a restart: a failed sync is never retried. Reads go on in both cases. */
#ifndef PIPIT_STORAGE_LOG_H
#define PIPIT_STORAGE_LOG_H

#include "storage/fsio.h"
#include "storage/record.h"

enum {
    SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024,   /* a segment is closed at the first batch end above it */
    BATCH_BYTES_MAX = 1024 * 1024,              /* one turn's appends; a disk writes it in a few ms */
    BATCH_RECORDS_MAX = 8192,
    LOGS_MAX = 256,                             /* shards, ever, in one data folder */
    SEGMENT_NAME_BYTES = 32,                    /* "LLLL-NNNNNNNNNNNNNNNN.seg", with room */
};
#define SEGMENT_BYTES_MAX (UINT64_C(2) << 30)   /* offsets are kept in 32 bits; the last batch may go above */

struct logs;
struct log;
struct batch;
struct segment;

struct position { uint32_t log; uint64_t number; };

struct logs_opening {
    uint64_t segment_bytes;                     /* 0: SEGMENT_BYTES_DEFAULT; at most SEGMENT_BYTES_MAX */
    /* How far facts cover a log: its records up to this number are not replayed. NULL: 0 for all. */
    uint64_t (*flushed)(void *arg, uint32_t log);
    /* Each record above it, in order within its log, before logs_open() returns. Non-zero stops the opening. What it
     * is given is on disk and will be found at every later start: it may be flushed at once. May be NULL. */
    int (*replay)(void *arg, const struct record *record, struct bytes whole);
    void *arg;
    uint64_t now_ms;
};
struct logs_report {
    uint64_t replayed;                          /* records */
    uint32_t segments, sorted;                  /* all, and the sorted ones of them */
    uint64_t bytes;
    uint32_t torn_count;                        /* tails cut off */
    char torn_file[FS_NAME_MAX + 1];            /* the last of them */
    uint64_t torn_offset, torn_bytes;
    char bad_file[FS_NAME_MAX + 1];             /* with ERR_CORRUPT or ERR_NEWER: where, and at which offset */
    uint64_t bad_offset;
};

/* Open folder `dir` (made when missing): check every segment's header, replay, cut torn tails (truncate, sync),
 * index all segments. A bad record below the flushed number, or followed by a valid header of a later batch,
 * is ERR_CORRUPT: nothing is changed and report->bad_* say where.
 * Returns 0, ERR_CORRUPT, ERR_NEWER, ERR_IO, ERR_NO_SPACE, ERR_NOMEM or what replay() returned. */
int logs_open(const struct fsio *fs, const char *dir, const struct logs_opening *how,
              struct logs **logs_out, struct logs_report *report_out);
void logs_close(struct logs *logs);             /* after every log_close() and view_free() */
/* Open log `number` for appending, in a new segment (made and its folder synced now). */
int logs_log(struct logs *logs, uint32_t number, struct log **log_out);
void log_close(struct log *log);                /* asserts that no batch is in flight */

/* Copy one record to the end of the open batch, sealed under `key`. head->log and head->number are set here;
 * *pos_out (may be NULL) tells them. In a partition, sequences must rise from record to record, and the places of
 * marks must not fall: the index is built on it, and log_done() asserts it.
 * Returns 0, ERR_TOO_BIG (never fits a record), ERR_FULL (the open batch is full: again after the next
 * log_done), ERR_READ_ONLY. Touches no file. Thread: the log's shard. */
int log_append(struct log *log, const struct record *head, const struct entry *entry,
               const uint8_t key[static RECORD_KEY_BYTES], struct position *pos_out);
/* The batch of all appends since the last take; NULL when there are none (and no log_roll()), or one is in flight. */
struct batch *log_take(struct log *log);
int batch_sync(struct batch *batch);            /* committer thread: blocks. 0, ERR_NO_SPACE, or ERR_IO */
void log_done(struct log *log, struct batch *batch, int err);
/* Close the open segment with the next batch, be it full or not, so that it is sorted and what is dead in it leaves the
 * disk: log_take() then gives a batch even when nothing was appended, which is written nowhere and makes the next
 * segment alone. One without records stays open. With a full disk it stays open too: ask again later. Touches no
 * file. Thread: the log's shard. */
void log_roll(struct log *log, uint64_t now_ms);
/* Is the oldest record of the open segment older than that? False while it has none. Thread: the log's shard. */
bool log_is_aged(const struct log *log, uint64_t now_ms, uint64_t age_ms);
/* Those three at once, for tests and tools. */
int log_commit(struct log *log);

uint64_t log_committed(const struct log *log);  /* last record number on disk; 0: none ever */
uint64_t log_appended(const struct log *log);   /* last record number given */
bool log_is_read_only(const struct log *log);

/* Records (all kinds with a sequence) or marks of a partition: reading them is view.h's. */
enum find_what { FIND_RECORDS, FIND_MARKS };

/* A record in a file, for tools: its offset, and the number of its batch. */
typedef int segment_record_fn(void *arg, uint64_t offset, uint64_t batch, const struct record *record,
                              struct bytes whole);

struct logs_stats {
    uint64_t bytes, records;                    /* marks included */
    uint64_t segments, sorted;                  /* all, and the sorted ones of them */
    uint64_t index_bytes;                       /* of memory */
    uint64_t source_bytes, written_bytes;       /* of the sorted: when appended, and all ever written for them */
};
/* Of all closed segments (any thread), and of a log's open one (its shard). */
void logs_stats(struct logs *logs, struct logs_stats *out);
void log_stats(const struct log *log, struct logs_stats *out);

#endif
