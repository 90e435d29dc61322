/* outfile.h - files written and read from one end to the other, with a running checksum.
 *
 * What key files, manifests and copies have in common. An outfile is written through one buffer; aside, it stands as
 * PATH.new until outfile_finish(), which syncs it, renames it into place and syncs the folder, so that the name has its
 * whole content or does not lead there. An infile is the reading half.
 * Both wipe their buffer: keys go through them.
 * Thread: one at a time. Calls block. */
#ifndef PIPIT_STORAGE_OUTFILE_H
#define PIPIT_STORAGE_OUTFILE_H

#include <xxhash.h>

#include "storage/fsio.h"

/* One read or write to the disk: what a spinning disk does in a few ms, and a solid one without a pause. */
enum { OUTFILE_BUFFER_BYTES = 256 * 1024 };

struct outfile {
    const struct fsio *fs;
    char path[FS_PATH_MAX], at[FS_PATH_MAX];    /* its name, and where it stands until it is finished */
    int file;
    int err;                                    /* sticky; outfile_finish() gives it back */
    uint64_t bytes;                             /* put so far */
    XXH3_state_t *hash;                         /* of them */
    uint8_t *buffer;
    size_t len;
};
/* `aside` or in place; whatever is left of an earlier try is removed first. In place: ERR_EXISTS when it is there.
 * ERR_TOO_BIG (the path), ERR_NOT_FOUND (its folder), ERR_NO_SPACE, ERR_IO, ERR_NOMEM. On error nothing is held. */
int outfile_open(const struct fsio *fs, const char *path, bool aside, struct outfile *out);
void outfile_put(struct outfile *out, const void *at, size_t len);
uint64_t outfile_sum(const struct outfile *out);    /* XXH3-64 of all put so far */
/* 0: it is there, whole, after a power cut; in place: once its folder is synced. On error nothing is left of it. */
int outfile_finish(struct outfile *out);
void outfile_abort(struct outfile *out);            /* removes it */

struct infile {
    const struct fsio *fs;
    int file;
    uint64_t bytes, size;                       /* given so far, of so many */
    XXH3_state_t *hash;
    uint8_t *buffer;
    size_t from, len;
};
int infile_open(const struct fsio *fs, const char *path, struct infile *in);
int infile_take(const struct fsio *fs, int file, struct infile *in);    /* of one that is open: closed on error too */
/* The next 1..max bytes, in place, good until the next call. *got_out 0: the end. ERR_IO. */
int infile_next(struct infile *in, size_t max, struct bytes *out);
/* Exactly `len` of them. ERR_END: the file has fewer left. */
int infile_read(struct infile *in, void *to, size_t len);
uint64_t infile_sum(const struct infile *in);       /* of all given so far */
void infile_close(struct infile *in);

#endif
