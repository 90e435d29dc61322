/* vfs.c - SQLite's files over struct fsio.
 *
 * SQLite asks three things of a VFS: files, locks, and memory shared between the connections to one database.
 *
 * Files go straight to fsio. Two promises are made here that SQLite leaves to the VFS: a file counts only after
 * its folder's sync, so the first sync of every file that may have been created syncs the folder too (whoever
 * created it: a reader may have made the WAL that the writer then fills); and a failed sync is never retried:
 * from then on that file refuses to sync, and nothing is called committed on the strength of a later good one.
 * A WAL is then cut to what was synced before: reads would go on showing the rest, the next start would take it
 * for committed and build on it, and a power cut would take both away.
 *
 * Locks and the WAL index (vfs_lock.c) are shared by the connections to one path: a struct vfs_node, counted. All
 * connections are in this process, so the locks are fields under a mutex and the index is heap. Nothing is lost
 * by that: SQLite rebuilds the index from the WAL whenever it finds it empty.
 *
 * Of the disk one thing is claimed, SQLITE_IOCAP_POWERSAFE_OVERWRITE: writing some bytes damages none beside them.
 * SQLite claims it by default on Unix. Without it a commit is padded to a whole sector by a frame whose second half
 * is written after the sync: a later failed sync could take that half away from under what was committed. */
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/err.h"
#include "storage/vfs_impl.h"

enum {
    WIPE_BYTES = 64 * 1024,
    SECTOR_BYTES = 4096,          /* what today's disks write at once; SQLite's page is as large */
};

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct vfs *registry;      /* every VFS registered with SQLite */
static unsigned registry_made;    /* ever: makes names unique */

/* SQLite's code for `err`; `otherwise` says what was being done. */
static int code_of(int err, int otherwise)
{
    switch (err) {
    case 0: return SQLITE_OK;
    case ERR_NO_SPACE: return SQLITE_FULL;
    case ERR_NOMEM: return SQLITE_IOERR_NOMEM;
    default: return otherwise;
    }
}

/* -- nodes ------------------------------------------------------------------------------------------------ */

static struct vfs_node *node_ref(struct vfs *vfs, const char *path)
{
    assert(strlen(path) < FS_PATH_MAX);    /* vfs_full_pathname() has seen it */
    pthread_mutex_lock(&vfs->mutex);
    struct vfs_node *node = vfs->nodes;
    while (node && strcmp(node->path, path) != 0) node = node->next;
    if (!node) {
        node = calloc(1, sizeof *node);
        if (node) {
            strcpy(node->path, path);
            node->next = vfs->nodes;
            vfs->nodes = node;
        }
    }
    if (node) node->refs++;
    pthread_mutex_unlock(&vfs->mutex);
    return node;
}

static void node_unref(struct vfs *vfs, struct vfs_node *node)
{
    pthread_mutex_lock(&vfs->mutex);
    if (--node->refs == 0) {
        assert(!node->regions);
        struct vfs_node **at = &vfs->nodes;
        while (*at != node) at = &(*at)->next;
        *at = node->next;
        free(node);
    }
    pthread_mutex_unlock(&vfs->mutex);
}

/* -- bytes ------------------------------------------------------------------------------------------------ */

static int vfs_read(sqlite3_file *base, void *to, int len, sqlite3_int64 offset)
{
    struct vfs_file *f = file_of(base);
    const struct fsio *fs = f->vfs->fs;
    size_t got = 0;
    int err = fs->pread(fs->self, f->file, to, (size_t)len, (uint64_t)offset, &got);
    if (err) return code_of(err, SQLITE_IOERR_READ);
    if (got == (size_t)len) return SQLITE_OK;
    memset((char *)to + got, 0, (size_t)len - got);    /* SQLite relies on the zeros */
    return SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *base, const void *from, int len, sqlite3_int64 offset)
{
    struct vfs_file *f = file_of(base);
    const struct fsio *fs = f->vfs->fs;
    struct iovec part = { (void *)from, (size_t)len };
    if ((uint64_t)offset < f->unsynced_from) f->unsynced_from = (uint64_t)offset;
    return code_of(fs->pwritev(fs->self, f->file, &part, 1, (uint64_t)offset), SQLITE_IOERR_WRITE);
}

/* Zeros from `at` to `end`, and synced. */
static int wal_overwrite(struct vfs_file *f, uint64_t at, uint64_t end)
{
    static const uint8_t zeros[WIPE_BYTES];
    const struct fsio *fs = f->vfs->fs;
    for (; at < end; at += WIPE_BYTES) {
        struct iovec part = { (void *)zeros, end - at < WIPE_BYTES ? (size_t)(end - at) : WIPE_BYTES };
        int err = fs->pwritev(fs->self, f->file, &part, 1, at);
        if (err) return err;
    }
    return fs->sync(fs->self, f->file);
}

/* SQLite empties a WAL when all of it is in the database, durably, and nobody reads it: a scrub (db.h) asks for that.
 * What lies in it is overwritten first, or the blocks that are given back would still have it. The header goes first
 * and alone: a WAL of which the end is missing would be taken for a shorter one, older than the database. */
static int wal_empty(struct vfs_file *f)
{
    const struct fsio *fs = f->vfs->fs;
    uint64_t size = 0;
    int err = fs->size(fs->self, f->file, &size);
    if (err) return code_of(err, SQLITE_IOERR_FSTAT);
    if (f->sync_failed) return SQLITE_IOERR_FSYNC;
    if (size > 0) err = wal_overwrite(f, 0, size < SECTOR_BYTES ? size : SECTOR_BYTES);
    if (!err && size > SECTOR_BYTES) err = wal_overwrite(f, SECTOR_BYTES, size);
    if (!err) err = fs->truncate(fs->self, f->file, 0);
    if (!err && size > 0) err = fs->sync(fs->self, f->file);
    if (!err) f->unsynced_from = UINT64_MAX;
    else f->sync_failed = true;            /* what of it is on the disk is unknown: nothing is built on it */
    return code_of(err, SQLITE_IOERR_TRUNCATE);
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct vfs_file *f = file_of(base);
    const struct fsio *fs = f->vfs->fs;
    if (f->is_wal && size == 0) return wal_empty(f);
    return code_of(fs->truncate(fs->self, f->file, (uint64_t)size), SQLITE_IOERR_TRUNCATE);
}

int vfs_sync_folder_of(const struct fsio *fs, const char *path)
{
    char dir[FS_PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (len >= sizeof dir) return ERR_IO;
    if (!slash) strcpy(dir, ".");
    else if (len == 0) strcpy(dir, "/");
    else {
        memcpy(dir, path, len);
        dir[len] = '\0';
    }
    return fs->sync_dir(fs->self, dir);
}

static int vfs_sync(sqlite3_file *base, int flags)
{
    (void)flags;                  /* NORMAL, FULL, DATAONLY: fsio knows one sync, the strong one */
    struct vfs_file *f = file_of(base);
    const struct fsio *fs = f->vfs->fs;
    if (f->sync_failed) return SQLITE_IOERR_FSYNC;
    int err = fs->sync(fs->self, f->file);
    if (!err && f->folder_unsynced) err = vfs_sync_folder_of(fs, f->path);
    if (err) {
        f->sync_failed = true;
        /* In a WAL nothing lies behind that but the transaction that now fails, and frames of an earlier round that
         * are in the database already. */
        if (f->is_wal && f->unsynced_from != UINT64_MAX) fs->truncate(fs->self, f->file, f->unsynced_from);
        return SQLITE_IOERR_FSYNC;    /* a full disk too: what of it was written is unknown for ever */
    }
    f->unsynced_from = UINT64_MAX;
    f->folder_unsynced = false;
    return SQLITE_OK;
}

static int vfs_file_size(sqlite3_file *base, sqlite3_int64 *size_out)
{
    struct vfs_file *f = file_of(base);
    const struct fsio *fs = f->vfs->fs;
    uint64_t size = 0;
    int err = fs->size(fs->self, f->file, &size);
    *size_out = (sqlite3_int64)size;
    return code_of(err, SQLITE_IOERR_FSTAT);
}

static int vfs_file_control(sqlite3_file *base, int op, void *arg)
{
    (void)base, (void)op, (void)arg;
    return SQLITE_NOTFOUND;       /* no hints are taken, no questions answered */
}

static int vfs_sector_size(sqlite3_file *base)
{
    (void)base;
    return SECTOR_BYTES;
}

static int vfs_characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* -- opening and closing ---------------------------------------------------------------------------------- */

static int vfs_close(sqlite3_file *base)
{
    struct vfs_file *f = file_of(base);
    const struct fsio *fs = f->vfs->fs;
    if (f->node) {
        vfs_shm_unmap(base, 0);
        vfs_unlock(base, SQLITE_LOCK_NONE);
        node_unref(f->vfs, f->node);
    }
    fs->close(fs->self, f->file);
    return SQLITE_OK;
}

static const sqlite3_io_methods vfs_methods = {
    .iVersion = 2,                /* with a WAL index, without memory-mapped files */
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_file_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_check_reserved_lock,
    .xFileControl = vfs_file_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_characteristics,
    .xShmMap = vfs_shm_map,
    .xShmLock = vfs_shm_lock,
    .xShmBarrier = vfs_shm_barrier,
    .xShmUnmap = vfs_shm_unmap,
};

static int vfs_open(sqlite3_vfs *base, const char *path, sqlite3_file *to, int flags, int *flags_out)
{
    struct vfs *vfs = base->pAppData;
    struct vfs_file *f = file_of(to);
    memset(f, 0, sizeof *f);      /* pMethods NULL: after an error SQLite must not call xClose */
    /* Temporary files have no name. There are none: every connection sets temp_store=MEMORY. */
    if (!path) return SQLITE_CANTOPEN;
    f->vfs = vfs;
    f->path = path;
    f->folder_unsynced = flags & SQLITE_OPEN_CREATE;
    f->is_wal = flags & SQLITE_OPEN_WAL;
    f->unsynced_from = UINT64_MAX;
    if (flags & SQLITE_OPEN_MAIN_DB) {
        f->node = node_ref(vfs, path);
        if (!f->node) return SQLITE_NOMEM;
    }
    unsigned how = FS_READ;
    if (flags & SQLITE_OPEN_READWRITE) how |= FS_WRITE;
    if (flags & SQLITE_OPEN_CREATE) how |= FS_CREATE;
    if (flags & SQLITE_OPEN_EXCLUSIVE) how |= FS_EXCLUSIVE;
    int err = vfs->fs->open(vfs->fs->self, path, how, &f->file);
    if (err) {
        if (f->node) node_unref(vfs, f->node);
        return code_of(err, SQLITE_CANTOPEN);
    }
    f->base.pMethods = &vfs_methods;
    if (flags_out) *flags_out = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *base, const char *path, int sync_folder)
{
    const struct fsio *fs = ((struct vfs *)base->pAppData)->fs;
    int err = fs->unlink(fs->self, path);
    if (err == ERR_NOT_FOUND) return SQLITE_IOERR_DELETE_NOENT;
    if (err) return code_of(err, SQLITE_IOERR_DELETE);
    if (sync_folder && vfs_sync_folder_of(fs, path)) return SQLITE_IOERR_DIR_FSYNC;
    return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *base, const char *path, int what, int *answer_out)
{
    const struct fsio *fs = ((struct vfs *)base->pAppData)->fs;
    bool exists = false;
    uint64_t size = 0;
    int err = fs->exists(fs->self, path, &exists, &size);
    /* An empty journal is one whose content never reached the disk: SQLite wants it called absent. */
    *answer_out = exists && (what != SQLITE_ACCESS_EXISTS || size > 0);
    return code_of(err, SQLITE_IOERR_ACCESS);
}

static int vfs_full_pathname(sqlite3_vfs *base, const char *path, int out_bytes, char *out)
{
    (void)base;                   /* the process never changes its folder: a relative path stays good */
    int len = snprintf(out, (size_t)out_bytes, "%s", path);
    return len < out_bytes ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int vfs_randomness(sqlite3_vfs *base, int len, char *out)
{
    (void)base;                   /* salts the WAL's checksums */
    randombytes_buf(out, (size_t)len);
    return len;
}

static int vfs_sleep(sqlite3_vfs *base, int microseconds)
{
    (void)base;                   /* between two tries for a lock that another connection holds */
    struct timespec t = { microseconds / 1000000, microseconds % 1000000 * 1000L };
    nanosleep(&t, NULL);
    return microseconds;
}

/* Milliseconds since Julian day 0, as SQLite counts time. For SQL's date functions, which we never use: every time
 * we store is an argument. */
static int vfs_current_time_ms(sqlite3_vfs *base, sqlite3_int64 *out)
{
    (void)base;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const sqlite3_int64 unix_epoch_ms = 24405875 * (sqlite3_int64)8640000;
    *out = unix_epoch_ms + (sqlite3_int64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    return SQLITE_OK;
}

static int vfs_current_time(sqlite3_vfs *base, double *out)
{
    sqlite3_int64 ms = 0;
    vfs_current_time_ms(base, &ms);
    *out = (double)ms / 86400000.0;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *base, int len, char *out)
{
    (void)base, (void)len, (void)out;
    return 0;                     /* fsio has turned errno into ERR_* already */
}

/* -- the registry ----------------------------------------------------------------------------------------- */

static struct vfs *vfs_new(const struct fsio *fs)
{
    struct vfs *vfs = calloc(1, sizeof *vfs);
    if (!vfs) return NULL;
    pthread_mutex_init(&vfs->mutex, NULL);
    vfs->fs = fs;
    snprintf(vfs->name, sizeof vfs->name, "pipit-%u", ++registry_made);
    vfs->base = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = sizeof(struct vfs_file),
        .mxPathname = FS_PATH_MAX,
        .zName = vfs->name,
        .pAppData = vfs,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_pathname,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_current_time,
        .xCurrentTimeInt64 = vfs_current_time_ms,
        .xGetLastError = vfs_last_error,
        /* No xDl*: loading extensions is off, and stays off. */
    };
    if (sodium_init() < 0 || sqlite3_vfs_register(&vfs->base, 0) != SQLITE_OK) {
        pthread_mutex_destroy(&vfs->mutex);
        free(vfs);
        return NULL;
    }
    return vfs;
}

int vfs_ref(const struct fsio *fs, struct vfs **vfs_out)
{
    pthread_mutex_lock(&registry_mutex);
    struct vfs *vfs = registry;
    while (vfs && vfs->fs != fs) vfs = vfs->next;
    if (!vfs) {
        vfs = vfs_new(fs);
        if (vfs) {
            vfs->next = registry;
            registry = vfs;
        }
    }
    if (vfs) vfs->refs++;
    pthread_mutex_unlock(&registry_mutex);
    if (!vfs) return ERR_NOMEM;
    *vfs_out = vfs;
    return 0;
}

void vfs_unref(struct vfs *vfs)
{
    pthread_mutex_lock(&registry_mutex);
    if (--vfs->refs == 0) {
        assert(!vfs->nodes);
        struct vfs **at = &registry;
        while (*at != vfs) at = &(*at)->next;
        *at = vfs->next;
        sqlite3_vfs_unregister(&vfs->base);
        pthread_mutex_destroy(&vfs->mutex);
        free(vfs);
    }
    pthread_mutex_unlock(&registry_mutex);
}

const char *vfs_name(const struct vfs *vfs)
{
    return vfs->name;
}
