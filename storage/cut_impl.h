/* cut_impl.h - inside cut*.c only: what was found at a position, and who holds what. */
#ifndef PIPIT_STORAGE_CUT_IMPL_H
#define PIPIT_STORAGE_CUT_IMPL_H

#include "storage/cut.h"
#include "storage/recover.h"

/* One file of the log that is cut, by its name. */
struct cut_file {
    char name[SEGMENT_NAME_BYTES];
    uint64_t first_number;
    uint64_t size;
    bool there;                          /* false: only named; then its size is 0 */
};

struct cut {
    const struct fsio *fs;
    int lock;
    char dir[FS_PATH_MAX];               /* of the log's files */
    struct facts *facts;                 /* writers */
    struct vault *vault;
    struct logs logs;                    /* only what sorted files are opened with */
    struct found_tables tables;          /* the folder's sorted files */
    struct cut_file *files;              /* the log's others that no sorted one has replaced, by number */
    size_t count, cap;
    size_t at;                           /* the one with the position */
    struct cut_report report;
    uint64_t last_batch;                 /* the one that ends what stays; 0: none */
    uint64_t last_batch_at;              /* where it begins in the file; 0: in another */
    char *why;                           /* 256; the caller's */
};

enum { CUT_NAME_BYTES = SEGMENT_NAME_BYTES + 32 };
/* The name under which what is cut of a file at `offset` is kept beside it. */
void cut_kept_name(char out[static CUT_NAME_BYTES], const char *file, uint64_t offset);
int cut_say(struct cut *cut, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));
int cut_survey(struct cut *cut, const char *name, uint64_t offset, segment_record_fn *each, void *arg);
/* Every record that can be read of what is cut, in order. */
int cut_each(struct cut *cut, segment_record_fn *each, void *arg);
/* Every record above `number` of what stays, in order: all of it was checked. */
int cut_each_kept(struct cut *cut, uint64_t number, segment_record_fn *each, void *arg);

#endif
