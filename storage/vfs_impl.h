/* vfs_impl.h - the inside of a VFS, shared by vfs.c and vfs_lock.c. */
#ifndef PIPIT_STORAGE_VFS_IMPL_H
#define PIPIT_STORAGE_VFS_IMPL_H

#include <pthread.h>
#include <sqlite3.h>

#include "storage/vfs.h"

enum { VFS_NAME_BYTES = 32 };

/* What all connections to one database share. */
struct vfs_node {
    struct vfs_node *next;        /* in vfs->nodes */
    char path[FS_PATH_MAX];
    unsigned refs;                /* open files; zero frees the node */
    /* -- the database's lock: see node_lock() -- */
    unsigned shared_count;        /* connections at SHARED or above */
    const struct vfs_file *writer;   /* the one at RESERVED or above */
    bool pending;                 /* the writer waits for readers to leave, or is alone: nobody may enter */
    /* -- the WAL index -- */
    unsigned shm_refs;            /* connections that mapped it; zero frees the regions */
    void **regions;
    int region_count;
    unsigned shm_shared[SQLITE_SHM_NLOCK];   /* holders of each lock, shared */
    unsigned shm_exclusive;       /* bit i: lock i is held exclusively */
};

struct vfs {
    sqlite3_vfs base;             /* its pAppData is this struct */
    char name[VFS_NAME_BYTES];
    const struct fsio *fs;
    struct vfs *next;             /* under registry_mutex, as is refs */
    unsigned refs;
    pthread_mutex_t mutex;        /* guards all below, and every node */
    struct vfs_node *nodes;
};

/* One open file: one connection's, so one thread's at a time. */
struct vfs_file {
    sqlite3_file base;            /* first: SQLite sees only this */
    struct vfs *vfs;
    struct vfs_node *node;        /* of the main database file; NULL for WAL and journal */
    const char *path;             /* SQLite keeps it alive until xClose */
    int file;
    int level;                    /* SQLITE_LOCK_* held */
    bool folder_unsynced;         /* may be new in its folder */
    bool sync_failed;
    bool is_wal;
    uint64_t unsynced_from;       /* lowest offset written since the last good sync; UINT64_MAX: none */
    bool shm_mapped;
    unsigned shm_shared;          /* bit i: holds lock i shared */
    unsigned shm_exclusive;
};

static inline struct vfs_file *file_of(sqlite3_file *base)
{
    return (struct vfs_file *)base;
}

/* vfs_lock.c: methods of sqlite3_io_methods, as sqlite3.h tells. */
int vfs_lock(sqlite3_file *base, int level);
int vfs_unlock(sqlite3_file *base, int level);
int vfs_check_reserved_lock(sqlite3_file *base, int *reserved_out);
int vfs_shm_map(sqlite3_file *base, int region, int region_bytes, int extend, void volatile **at_out);
int vfs_shm_lock(sqlite3_file *base, int from, int count, int flags);
void vfs_shm_barrier(sqlite3_file *base);
int vfs_shm_unmap(sqlite3_file *base, int delete_it);

#endif
