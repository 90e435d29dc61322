/* logs.h - the inside of struct logs and struct log, shared by logs.c, log.c and recover.c. */
#ifndef PIPIT_STORAGE_LOGS_H
#define PIPIT_STORAGE_LOGS_H

#include "storage/segment.h"

struct log_end {                  /* of one log, as recovery found it */
    uint64_t number;              /* last record; 0: none ever */
    uint64_t batch;
    bool in_use;                  /* logs_log() was called for it */
};

/* Nothing here changes after the start, so all shards read it without a lock. */
struct logs {
    const struct fsio *fs;
    char dir[FS_PATH_MAX];
    uint64_t segment_bytes;
    uint64_t now_ms;              /* of the start: when the first segments were made */
    struct segment **segments;    /* those found, by log and first number; none is empty */
    size_t segment_count;
    struct log_end ends[LOGS_MAX];
};

/* The writing end. It belongs to the committer while a batch is in flight, else to the shard. */
struct log_writer {
    struct segment *segment;      /* the open one */
    uint64_t end;                 /* its committed bytes: where the next batch goes */
    uint64_t next_batch;
    bool failed;                  /* a write or sync said EIO: never again */
};

struct log_range {                /* part of one segment's index, for log_find() */
    struct segment *segment;
    const struct index_entry *at;
    size_t count;
};

struct log {
    struct logs *logs;
    uint32_t number;
    struct log_writer writer;
    /* -- below: the log's shard only -- */
    struct batch batches[2];
    struct batch *open;           /* filling */
    struct batch *in_flight;      /* with the committer, or NULL */
    uint64_t committed, appended;
    bool read_only;
    struct segment **segments;    /* made since the start, the open one last; each holds a reference */
    size_t segment_count, segment_cap;
    struct log_range *ranges;     /* scratch of log_find(): one for each segment of logs and log */
};

/* recover.c: fill in segments and ends. On error the caller frees what is there. */
int logs_recover(struct logs *logs, const struct logs_opening *how, struct logs_report *report);

#endif
