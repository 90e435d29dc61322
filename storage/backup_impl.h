/* backup_impl.h - between backup.c and backup_plan.c: which files of the log are copied, and how much of each. */
#ifndef PIPIT_STORAGE_BACKUP_IMPL_H
#define PIPIT_STORAGE_BACKUP_IMPL_H

#include "storage/backup.h"
#include "storage/segment.h"
#include "storage/sorted.h"

struct plan_span { uint32_t log; uint64_t first, last; };
struct plan_file {
    char name[SEGMENT_NAME_BYTES];
    uint64_t serial;              /* of a sorted one; 0: it is not */
    uint64_t bytes;               /* so many from the beginning */
    bool dropped;                 /* others have all of it, or nothing of it is below the cut */
};
struct plan {
    struct plan_file *files;      /* owned; by name */
    size_t count, cap;
    struct plan_span *spans;      /* owned: what the files that are not dropped cover */
    size_t span_count, span_cap;
    char bad_file[SEGMENT_NAME_BYTES];
    uint64_t bad_offset;          /* with ERR_CORRUPT or ERR_NEWER */
};

/* What lies in folder `dir` and makes up the logs up to flushed[]. ERR_AGAIN: they are not whole there, or go further in
 * sorted files; else ERR_CORRUPT, ERR_NEWER, ERR_IO, ERR_NOMEM. */
int plan_make(const struct fsio *fs, const char *dir, const uint64_t flushed[static LOGS_MAX], struct plan *plan);
void plan_fini(struct plan *plan);

#endif
