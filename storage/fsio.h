/* fsio.h - the seam through which every file of the server is reached.
 *
 * One table of functions. fsio_posix() is the real disk. Tests give a disk in memory that records one order of
 * writes over log and SQLite, stops anywhere, tears and reorders what was not synced, fills up, and says EIO
 * (tests/harness/disk.h). Nothing else in storage/ calls open(2), write(2) or friends.
 *
 * Paths are what the caller was given (the data folder) plus names of ours. Errors: 0 or ERR_*: ERR_NOT_FOUND,
 * ERR_EXISTS, ERR_NO_SPACE (also a quota or RLIMIT_FSIZE), ERR_NOMEM, ERR_IO for the rest.
 * Thread: every function may be called from any thread; a file is used by one thread at a time, except pread,
 * which is free. All calls may block: never on a shard's thread. */
#ifndef PIPIT_STORAGE_FSIO_H
#define PIPIT_STORAGE_FSIO_H

#include <sys/uio.h>

#include "proto/bytes.h"

enum fs_open {
    FS_READ = 1,
    FS_WRITE = 2,
    FS_CREATE = 4,        /* with FS_WRITE: make it when it is not there, mode 0600 */
    FS_EXCLUSIVE = 8,     /* with FS_CREATE: ERR_EXISTS when it is there */
};

enum { FS_NAME_MAX = 255, FS_PATH_MAX = 1024 };

struct fsio {
    void *self;           /* first argument of every function below */

    int (*open)(void *self, const char *path, unsigned flags, int *file_out);
    void (*close)(void *self, int file);
    /* Up to `len` bytes at `offset`; *got_out is less only at the end of the file. */
    int (*pread)(void *self, int file, void *to, size_t len, uint64_t offset, size_t *got_out);
    /* All of it or an error; after an error any part of it may have been written. */
    int (*pwritev)(void *self, int file, const struct iovec *parts, int count, uint64_t offset);
    /* 0: all that was written before is on disk (fdatasync). After an error what was written since the last
     * good sync is unknown for ever: never call it again for the same data. */
    int (*sync)(void *self, int file);
    /* Have what was written to `len` bytes at `offset` on its way to the disk now, and wait for what lies in the
     * `behind` bytes before it. It promises nothing, as only sync() does: it leaves less for that one to do, so that
     * who syncs another file meanwhile does not stand behind all of it. An error is one of sync()'s. */
    int (*write_back)(void *self, int file, uint64_t offset, uint64_t len, uint64_t behind);
    int (*truncate)(void *self, int file, uint64_t size);
    int (*size)(void *self, int file, uint64_t *size_out);

    /* The changes below are on disk after sync_dir() of the folder. */
    int (*rename)(void *self, const char *from, const char *to);     /* replaces `to` */
    int (*unlink)(void *self, const char *path);
    /* Another name for the file `from`. ERR_EXISTS, ERR_NOT_FOUND; ERR_UNSUPPORTED: not here, or not there: another file
     * system, one without links, or no more links to this file. */
    int (*link)(void *self, const char *from, const char *to);
    int (*rmdir)(void *self, const char *path);                      /* ERR_IN_USE: something is in it */
    int (*mkdir)(void *self, const char *path);                      /* 0700; 0 when it is there */
    int (*sync_dir)(void *self, const char *path);
    /* Calls `each` with every file name in the folder but . and .., in no order; stops at its first non-zero
     * answer and returns that. */
    int (*list)(void *self, const char *path, int (*each)(void *arg, const char *name), void *arg);
    int (*exists)(void *self, const char *path, bool *exists_out, uint64_t *size_out);

    /* An exclusive lock on `path` (made when missing) for the life of the process or until unlock; ERR_IN_USE
     * when another process holds it. Released by unlocking, never by closing: closing any copy of a
     * descriptor would drop a POSIX lock. */
    int (*lock)(void *self, const char *path, int *lock_out);
    void (*unlock)(void *self, int lock);
    /* Bytes free to us on the file system of `path`. */
    int (*space)(void *self, const char *path, uint64_t *free_out);
};

const struct fsio *fsio_posix(void);

/* "dir/name" into `out`; asserts that it fits. */
void fs_path(char out[static FS_PATH_MAX], const char *dir, const char *name);

#endif
