/* inspect.h - looking into the files of a log folder, whoever writes them meanwhile. Part of storage's face.
 *
 * For tools. Nothing is opened for writing and no lock is taken, so a running server is not disturbed; it may remove a
 * file between two calls (ERR_NOT_FOUND: list again), and may be in the middle of a batch (ERR_TORN: read again).
 * Thread: any. All calls block. */
#ifndef PIPIT_STORAGE_INSPECT_H
#define PIPIT_STORAGE_INSPECT_H

#include "storage/log.h"

enum inspect_kind {
    INSPECT_UNSORTED,
    INSPECT_SORTED,
    INSPECT_UNFINISHED,                  /* being sorted or merged, or left over: it counts for nothing */
};
struct inspect_file {
    char name[FS_NAME_MAX + 1];
    enum inspect_kind kind;
    uint32_t log;                        /* UNSORTED: by its name */
    uint64_t number;                     /* UNSORTED: its first record, by its name; else the serial */
    uint64_t bytes;
};
/* The files of folder `dir` that are a log's: sorted ones by serial, then the others by (log, number). *files_out is
 * the caller's to free(). 0, ERR_NOT_FOUND (no such folder), ERR_IO or ERR_NOMEM. */
int inspect_list(const struct fsio *fs, const char *dir, struct inspect_file **files_out, size_t *count_out);
/* What a name says, without a look at the disk. False: it is no file of a log. */
bool inspect_name(const char *name, struct inspect_file *out);

/* Records first..last of a log, both included. */
struct inspect_span { uint32_t log; uint64_t first, last; };
struct inspect_summary {
    uint32_t log;                        /* UNSORTED */
    uint64_t made_ms, records, marks, batches;       /* records: marks included */
    uint64_t record_bytes;               /* as they are in the log; a sorted file has them in a shorter form */
    uint64_t partitions;                 /* SORTED; 0: not known */
    uint64_t first_ms, last_ms;          /* of the records' ids; 0: there is none */
    struct inspect_span *spans;          /* SORTED: what it stands for; UNSORTED: one, or none when it is empty */
    size_t span_count;
};
/* Every record of one file, in file order, checksums checked; with `each` NULL of a sorted file header and footer only.
 * `whole` also checks what no record needs: index, filter, the checksum over all.
 * *out is filled as far as it went, also after an error, and inspect_summary_fini() belongs to it.
 * *offset_out: where it is bad.
 * Returns 0, ERR_TORN, ERR_CORRUPT, ERR_NEWER, ERR_NOT_FOUND, ERR_IO, ERR_NOMEM, or each()'s non-zero answer. `batch`
 * is 0 in a sorted file. */
int inspect_file(const struct fsio *fs, const char *dir, const struct inspect_file *file, bool whole,
                 segment_record_fn *each, void *arg, struct inspect_summary *out, uint64_t *offset_out);
void inspect_summary_fini(struct inspect_summary *summary);

#endif
