/* vfs_lock.c - what SQLite's connections to one database share: its lock, and the WAL index. See vfs.c. */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "storage/vfs_impl.h"

/* -- the database's lock ---------------------------------------------------------------------------------- */

/* NONE -> SHARED -> RESERVED -> (PENDING) -> EXCLUSIVE, as sqlite3.h tells. Many may be at SHARED; one may be at
 * RESERVED beside them; EXCLUSIVE is alone. PENDING is an EXCLUSIVE that still waits for readers: it keeps new
 * ones out, so that it cannot starve. */
static int node_lock(struct vfs_node *node, struct vfs_file *f, int level)
{
    if (level == SQLITE_LOCK_SHARED) {
        if (node->pending) return SQLITE_BUSY;
        node->shared_count++;
        f->level = SQLITE_LOCK_SHARED;
        return SQLITE_OK;
    }
    if (node->writer && node->writer != f) return SQLITE_BUSY;
    node->writer = f;
    f->level = SQLITE_LOCK_RESERVED;
    if (level == SQLITE_LOCK_RESERVED) return SQLITE_OK;
    node->pending = true;
    f->level = SQLITE_LOCK_PENDING;
    if (node->shared_count > 1) return SQLITE_BUSY;
    f->level = SQLITE_LOCK_EXCLUSIVE;
    return SQLITE_OK;
}

int vfs_lock(sqlite3_file *base, int level)
{
    struct vfs_file *f = file_of(base);
    if (f->level >= level) return SQLITE_OK;
    pthread_mutex_lock(&f->vfs->mutex);
    int code = node_lock(f->node, f, level);
    pthread_mutex_unlock(&f->vfs->mutex);
    return code;
}

int vfs_unlock(sqlite3_file *base, int level)
{
    struct vfs_file *f = file_of(base);
    if (f->level <= level) return SQLITE_OK;
    pthread_mutex_lock(&f->vfs->mutex);
    if (f->level > SQLITE_LOCK_SHARED) {
        assert(f->node->writer == f);
        f->node->writer = NULL;
        f->node->pending = false;
    }
    if (level == SQLITE_LOCK_NONE) f->node->shared_count--;
    f->level = level;
    pthread_mutex_unlock(&f->vfs->mutex);
    return SQLITE_OK;
}

int vfs_check_reserved_lock(sqlite3_file *base, int *reserved_out)
{
    struct vfs_file *f = file_of(base);
    pthread_mutex_lock(&f->vfs->mutex);
    *reserved_out = f->node->writer != NULL;
    pthread_mutex_unlock(&f->vfs->mutex);
    return SQLITE_OK;
}

/* -- the WAL index ---------------------------------------------------------------------------------------- */

int vfs_shm_map(sqlite3_file *base, int region, int region_bytes, int extend, void volatile **at_out)
{
    struct vfs_file *f = file_of(base);
    struct vfs_node *node = f->node;
    int code = SQLITE_OK;
    *at_out = NULL;
    pthread_mutex_lock(&f->vfs->mutex);
    if (!f->shm_mapped) {
        f->shm_mapped = true;
        node->shm_refs++;
    }
    while (extend && node->region_count <= region && code == SQLITE_OK) {
        /* The array moves, the regions never do: SQLite keeps pointers into them. */
        void **grown = realloc(node->regions, (size_t)(node->region_count + 1) * sizeof *grown);
        if (grown) node->regions = grown;
        void *fresh = grown ? calloc(1, (size_t)region_bytes) : NULL;
        if (fresh) node->regions[node->region_count++] = fresh;
        else code = SQLITE_IOERR_NOMEM;
    }
    if (region < node->region_count) *at_out = node->regions[region];
    pthread_mutex_unlock(&f->vfs->mutex);
    return code;                  /* not there and not to be made: NULL and SQLITE_OK */
}

static int shm_take(struct vfs_node *node, struct vfs_file *f, int from, int count, bool shared)
{
    unsigned mask = ((1u << count) - 1) << from;
    if (shared) {
        assert(count == 1);
        if (f->shm_shared & mask) return SQLITE_OK;
        if (node->shm_exclusive & mask) return SQLITE_BUSY;
        node->shm_shared[from]++;
        f->shm_shared |= mask;
        return SQLITE_OK;
    }
    assert(!(f->shm_shared & mask));
    if (node->shm_exclusive & mask & ~f->shm_exclusive) return SQLITE_BUSY;
    for (int i = from; i < from + count; i++)
        if (node->shm_shared[i]) return SQLITE_BUSY;
    node->shm_exclusive |= mask;
    f->shm_exclusive |= mask;
    return SQLITE_OK;
}

/* What `f` holds of these locks, and no one else's. */
static void shm_release(struct vfs_node *node, struct vfs_file *f, int from, int count)
{
    for (int i = from; i < from + count; i++) {
        unsigned bit = 1u << i;
        if (f->shm_shared & bit) node->shm_shared[i]--;
        if (f->shm_exclusive & bit) node->shm_exclusive &= ~bit;
        f->shm_shared &= ~bit;
        f->shm_exclusive &= ~bit;
    }
}

int vfs_shm_lock(sqlite3_file *base, int from, int count, int flags)
{
    struct vfs_file *f = file_of(base);
    int code = SQLITE_OK;
    assert(from >= 0 && count >= 1 && from + count <= SQLITE_SHM_NLOCK);
    pthread_mutex_lock(&f->vfs->mutex);
    if (flags & SQLITE_SHM_UNLOCK) shm_release(f->node, f, from, count);
    else code = shm_take(f->node, f, from, count, flags & SQLITE_SHM_SHARED);
    pthread_mutex_unlock(&f->vfs->mutex);
    return code;
}

/* The index is read without a lock: a reader copies its header twice and compares. The fence is the full one
 * that needs; the mutex orders the same for tools that do not understand fences. */
void vfs_shm_barrier(sqlite3_file *base)
{
    struct vfs_file *f = file_of(base);
    atomic_thread_fence(memory_order_seq_cst);
    pthread_mutex_lock(&f->vfs->mutex);
    pthread_mutex_unlock(&f->vfs->mutex);
}

int vfs_shm_unmap(sqlite3_file *base, int delete_it)
{
    (void)delete_it;              /* there is no file; the memory goes with its last user */
    struct vfs_file *f = file_of(base);
    struct vfs_node *node = f->node;
    if (!f->shm_mapped) return SQLITE_OK;
    pthread_mutex_lock(&f->vfs->mutex);
    shm_release(node, f, 0, SQLITE_SHM_NLOCK);
    f->shm_mapped = false;
    if (--node->shm_refs == 0) {
        for (int i = 0; i < node->region_count; i++) free(node->regions[i]);
        free(node->regions);
        node->regions = NULL;
        node->region_count = 0;
    }
    pthread_mutex_unlock(&f->vfs->mutex);
    return SQLITE_OK;
}
