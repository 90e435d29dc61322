/* logs.h - the inside of struct logs and struct log, shared by logs.c, log.c, list.c, view.c,
 * recover*.c and the keeper. */
#ifndef PIPIT_STORAGE_LOGS_H
#define PIPIT_STORAGE_LOGS_H

#include <pthread.h>

#include "storage/list.h"
#include "storage/segment.h"
#include "storage/sorted.h"

struct log_end {                  /* of one log, as recovery found it */
    uint64_t number;              /* last record; 0: none ever */
    uint64_t batch;
    bool in_use;                  /* logs_log() was called for it */
};

struct keep;                      /* what the keeper remembers between its steps (keep.c) */

struct logs {
    /* -- never changes after the start -- */
    const struct fsio *fs;
    char dir[FS_PATH_MAX];
    uint64_t segment_bytes;
    uint64_t now_ms;              /* of the start: when the first segments were made */
    /* -- all threads -- */
    struct sorted_pins pins;
    atomic_uint_least64_t serial; /* the highest given to a sorted file */
    atomic_uint lists_alive;      /* the list below, and older ones that somebody still looks at */
    atomic_uint commits;          /* batch_sync() calls under way: the keeper lets them go first */
    pthread_mutex_t list_lock;    /* while the pointer below is taken or exchanged */
    pthread_mutex_t change_lock;  /* while the next list is made of it */
    struct segment_list *list;    /* all closed segments (list.h) */
    /* -- the keeper's thread alone -- */
    struct keep *keep;
    /* -- main alone -- */
    struct log_end ends[LOGS_MAX];
};

/* The writing end. It belongs to the committer while a batch is in flight, else to the shard. */
struct log_writer {
    struct segment *segment;      /* the open one */
    uint64_t end;                 /* its committed bytes: where the next batch goes */
    uint64_t next_batch;
    bool failed;                  /* a write or sync said EIO: never again */
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
    uint64_t roll_ms;             /* the next batch closes the segment: since when that is wanted; 0: it does not */
    uint64_t since_ms;            /* when the segment's first record was made */
    struct segment *segment;      /* the open one, as far as it is findable; holds a reference */
};

/* True while appends wait for log_take() or a batch is in flight. */
bool log_is_busy(const struct log *log);
/* The next serial of a sorted file, never given before in this folder. Any thread. */
uint64_t logs_serial_next(struct logs *logs);
/* recover.c: fill in list, serial and ends. On error the caller frees what is there. */
int logs_recover(struct logs *logs, const struct logs_opening *how, struct logs_report *report);

#endif
