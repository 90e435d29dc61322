/* vfs.h - SQLite's files over struct fsio, so that log and databases share one order of writes.
 *
 * One VFS for each struct fsio, made at the first vfs_ref() and gone with the last vfs_unref(). It serves
 * databases in WAL mode with any number of connections of this process: what SQLite would keep in a -shm file
 * (the WAL index) and in byte-range locks lives in the process's memory. Other processes are kept out by the
 * data folder's lock, not here.
 * Thread: all functions from any thread. */
#ifndef PIPIT_STORAGE_VFS_H
#define PIPIT_STORAGE_VFS_H

#include "storage/fsio.h"

struct vfs;

/* The VFS of `fs`, which must outlive it. 0 or ERR_NOMEM. */
int vfs_ref(const struct fsio *fs, struct vfs **vfs_out);
/* After the last database opened through it was closed. */
void vfs_unref(struct vfs *vfs);
/* For sqlite3_open_v2(). */
const char *vfs_name(const struct vfs *vfs);
/* sync_dir() of the folder that holds `path`: "." for a bare name. */
int vfs_sync_folder_of(const struct fsio *fs, const char *path);

#endif
