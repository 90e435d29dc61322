/* keep_impl.h - the inside of the keeper, shared by keep.c, sort.c and merge.c.
 *
 * sort.c and merge.c make a file and know nothing of the list of segments; keep.c chooses, publishes and unlinks.
 * Thread: as keep.h says. */
#ifndef PIPIT_STORAGE_KEEP_IMPL_H
#define PIPIT_STORAGE_KEEP_IMPL_H

#include "storage/keep.h"
#include "storage/logs.h"
#include "storage/sorted.h"

enum {
    /* A piece waits for commits under way, so that their syncs have the disk for themselves, but no longer than 20 ms
     * in all: with KEEP_PIECE_BYTES at a time, 12 MiB a second go on under whatever load. Should that be too little,
     * segments pile up that wait to be sorted, and then it does not wait. */
    KEEP_YIELD_US = 200,
    KEEP_YIELDS_MAX = 100,
};

/* What one step works with. */
struct keep_work {
    const struct fsio *fs;
    const char *dir;
    const atomic_uint *commits;         /* under way just now, of all logs */
    const struct keep_how *how;
    struct keep_report *report;
    uint64_t serial;                    /* of the new file */
    bool hurry;
    uint64_t paced;                     /* bytes since pace() was called */
    uint64_t written;                   /* bytes of the new file that were paced for */
    bool has_partition;
    struct conv_id partition;           /* how->partition() was told of last */
};
/* `bytes` more were read or written. 0, or pace()'s answer. */
int keep_pace(struct keep_work *work, uint64_t bytes);
/* Ask about this record of the file `name`, and put it into the new file if it stays. 0, errors of sorted_writer_add()
 * with report->bad_*, or a callback's answer. */
int keep_put(struct keep_work *work, struct sorted_writer *writer, const char *name, uint64_t offset,
             const struct record *record, struct bytes whole);
/* Note the file and offset that `err` is about, if it is about one. Returns err. */
int keep_bad(struct keep_work *work, const char *name, uint64_t offset, int err);
int keep_bad_new(struct keep_work *work, int err);     /* the same for the new file */

/* Sort one closed segment into a file of work->serial, which has its name afterwards.
 * Returns 0, ERR_CORRUPT, ERR_NEWER, ERR_IO (report->bad_*), ERR_NO_SPACE, ERR_NOMEM or a callback's answer. */
int sort_segment(struct keep_work *work, const struct segment *segment);

/* A merge under way: its inputs, each with a reference, and the new file. */
struct merge;
/* Of 1..KEEP_INPUTS_MAX tables, into a file of work->serial. Errors of merge_step(). */
int merge_open(struct keep_work *work, struct sorted *const *inputs, size_t count, struct merge **merge_out);
/* Go on by about KEEP_STEP_BYTES. Returns 0, or what sort_segment() returns, and ERR_TOO_BIG; after an error only
 * merge_close() may follow. *more_out: go on with the next step; else the file is done and has its name. */
int merge_step(struct merge *merge, struct keep_work *work, bool *more_out);
void merge_close(struct merge *merge);  /* gives up what is not done; NULL is fine */
uint64_t merge_serial(const struct merge *merge);
/* Whose references the merge holds. */
size_t merge_inputs(const struct merge *merge, struct sorted *const **inputs_out);

/* With the merge under way. NULL is fine. */
void keep_free(struct keep *keep);

#endif
