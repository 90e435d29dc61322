/* disk.c - struct fsio over a disk in memory. What it promises stands in disk.h, how it works in disk_impl.h.
 *
 * Each function below checks, under the disk's mutex, whether the power is still on, turns the call into an effect
 * (a failing write into that part of it which happened) and applies that. */
#include "tests/harness/disk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "tests/harness/disk_impl.h"

static bool is_dead(const struct disk *disk) { return disk->ops >= disk->stop_at; }

static bool is_due(uint64_t *countdown)
{
    return *countdown > 0 && --*countdown == 0;
}

static struct handle *handle_of(struct disk *disk, int file)
{
    assert(file >= 0 && (size_t)file < disk->handle_count && disk->handles[file].used);
    return &disk->handles[file];
}

static int open_locked(struct disk *disk, const char *path, unsigned flags, int *file_out)
{
    if (is_dead(disk))
        return ERR_IO;
    struct name *name = names_find(&disk->now, path);
    if (name && name->is_dir)
        return ERR_IO;
    if (name && (flags & FS_CREATE) && (flags & FS_EXCLUSIVE))
        return ERR_EXISTS;
    uint32_t inode = name ? name->inode : (uint32_t)disk->inode_count;
    if (!name) {
        if (!(flags & FS_CREATE) || !folder_is_there(&disk->now, path))
            return ERR_NOT_FOUND;
        disk_apply(disk, &(struct effect){ .kind = MAKE, .inode = inode, .path = (char *)path });
    }
    size_t i = 0;
    while (i < disk->handle_count && disk->handles[i].used)
        i++;
    if (i == disk->handle_count) {
        disk->handles = disk_grown(disk->handles, i, &disk->handle_cap, sizeof *disk->handles);
        disk->handle_count++;
    }
    disk->handles[i] = (struct handle){ true, flags, inode };
    *file_out = (int)i;
    return 0;
}

static int mem_open(void *self, const char *path, unsigned flags, int *file_out)
{
    struct disk *disk = self;
    disk_lock(disk);
    int err = open_locked(disk, path, flags, file_out);
    disk_unlock(disk);
    return err;
}

static void mem_close(void *self, int file)
{
    struct disk *disk = self;
    disk_lock(disk);
    handle_of(disk, file)->used = false;
    disk_unlock(disk);
}

static int mem_pread(void *self, int file, void *to, size_t len, uint64_t offset, size_t *got_out)
{
    struct disk *disk = self;
    disk_lock(disk);
    if (disk->hold_read) {
        disk->hold_read = false;
        disk->read_held = true;
        pthread_cond_broadcast(&disk->moved);
        while (disk->read_held)
            pthread_cond_wait(&disk->moved, &disk->mutex);
    }
    struct handle *handle = handle_of(disk, file);
    int err = is_dead(disk) || !(handle->flags & FS_READ) ? ERR_IO : 0;
    if (!err) {
        const struct blob *now = disk->inodes[handle->inode].now;
        size_t got = offset < now->size ? now->size - offset : 0;
        if (got > len)
            got = len;
        if (got)
            memcpy(to, now->at + offset, got);
        *got_out = got;
    }
    disk_unlock(disk);
    return err;
}

/* A file with two names takes its room once. */
static bool is_counted(const struct disk *disk, size_t i)
{
    for (size_t k = 0; disk->any_links && k < i; k++)
        if (!disk->now.at[k].is_dir && disk->now.at[k].inode == disk->now.at[i].inode)
            return true;
    return false;
}

static uint64_t used_locked(const struct disk *disk)
{
    uint64_t used = 0;
    for (size_t i = 0; i < disk->now.count; i++)
        if (!disk->now.at[i].is_dir && !is_counted(disk, i))
            used += disk->inodes[disk->now.at[i].inode].now->size;
    return used;
}

/* How much of a write fits: overwriting is free, growing is not. */
static size_t room_for(const struct disk *disk, const struct inode *inode, uint64_t offset, size_t len)
{
    if (disk->capacity == UINT64_MAX || offset + len <= inode->now->size)
        return len;
    uint64_t used = used_locked(disk);
    uint64_t end_max = inode->now->size + (disk->capacity > used ? disk->capacity - used : 0);
    if (offset + len <= end_max)
        return len;
    return end_max > offset ? end_max - offset : 0;
}

static int write_locked(struct disk *disk, int file, const uint8_t *data, size_t len, uint64_t offset)
{
    struct handle *handle = handle_of(disk, file);
    if (is_dead(disk) || !(handle->flags & FS_WRITE))
        return ERR_IO;
    struct effect effect = { .kind = WRITE, .inode = handle->inode, .offset = offset, .len = len,
                             .data = (uint8_t *)data };
    int err = 0;
    if (is_due(&disk->fail_write)) {
        effect.len = disk_random(&disk->random) % (len + 1);
        err = ERR_IO;
    } else {
        effect.len = room_for(disk, &disk->inodes[handle->inode], offset, len);
        err = effect.len < len ? ERR_NO_SPACE : 0;
    }
    disk_apply(disk, &effect);
    return err;
}

static int mem_pwritev(void *self, int file, const struct iovec *parts, int count, uint64_t offset)
{
    struct disk *disk = self;
    size_t len = 0, done = 0;
    for (int i = 0; i < count; i++)
        len += parts[i].iov_len;
    uint8_t *data = disk_must(malloc(len ? len : 1));
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len)
            memcpy(data + done, parts[i].iov_base, parts[i].iov_len);
        done += parts[i].iov_len;
    }
    disk_lock(disk);
    int err = write_locked(disk, file, data, len, offset);
    disk_unlock(disk);
    free(data);
    return err;
}

static int mem_sync(void *self, int file)
{
    struct disk *disk = self;
    disk_lock(disk);
    disk->held++;
    pthread_cond_broadcast(&disk->moved);
    while (disk->holding)
        pthread_cond_wait(&disk->moved, &disk->mutex);
    disk->held--;
    int err = is_dead(disk) ? ERR_IO : 0;
    if (!err) {
        err = is_due(&disk->fail_sync) ? ERR_IO : 0;
        disk_apply(disk, &(struct effect){ .kind = err ? LOSE : SYNC, .inode = handle_of(disk, file)->inode });
    }
    disk_unlock(disk);
    return err;
}

/* What is not synced may reach this disk at any time: nothing is new when it is asked to. It fails as a write does. */
static int mem_write_back(void *self, int file, uint64_t offset, uint64_t len, uint64_t behind)
{
    struct disk *disk = self;
    (void)file;
    assert(behind <= offset && len > 0);
    disk_lock(disk);
    int err = is_dead(disk) || is_due(&disk->fail_write) ? ERR_IO : 0;
    disk_unlock(disk);
    return err;
}

static int mem_truncate(void *self, int file, uint64_t size)
{
    struct disk *disk = self;
    disk_lock(disk);
    struct handle *handle = handle_of(disk, file);
    int err = is_dead(disk) || !(handle->flags & FS_WRITE) || is_due(&disk->fail_write) ? ERR_IO : 0;
    if (!err)
        disk_apply(disk, &(struct effect){ .kind = TRUNCATE, .inode = handle->inode, .offset = size });
    disk_unlock(disk);
    return err;
}

static int mem_size(void *self, int file, uint64_t *size_out)
{
    struct disk *disk = self;
    disk_lock(disk);
    int err = is_dead(disk) ? ERR_IO : 0;
    if (!err)
        *size_out = disk->inodes[handle_of(disk, file)->inode].now->size;
    disk_unlock(disk);
    return err;
}

static int rename_locked(struct disk *disk, const char *from, const char *to)
{
    if (is_dead(disk))
        return ERR_IO;
    struct name *name = names_find(&disk->now, from);
    if (!name || !folder_is_there(&disk->now, to))
        return ERR_NOT_FOUND;
    struct name *target = names_find(&disk->now, to);
    if (name->is_dir || (target && target->is_dir))
        return ERR_IO;                    /* nothing of ours renames folders */
    if (name == target)
        return 0;
    disk_apply(disk, &(struct effect){ .kind = RENAME, .inode = name->inode, .path = (char *)from,
                                         .to = (char *)to });
    return 0;
}

static int mem_rename(void *self, const char *from, const char *to)
{
    struct disk *disk = self;
    disk_lock(disk);
    int err = rename_locked(disk, from, to);
    disk_unlock(disk);
    return err;
}

static int mem_unlink(void *self, const char *path)
{
    struct disk *disk = self;
    disk_lock(disk);
    struct name *name = names_find(&disk->now, path);
    int err = is_dead(disk) || (name && name->is_dir) ? ERR_IO : name ? 0 : ERR_NOT_FOUND;
    if (!err)
        disk_apply(disk, &(struct effect){ .kind = UNLINK, .path = (char *)path });
    disk_unlock(disk);
    return err;
}

static int link_locked(struct disk *disk, const char *from, const char *to)
{
    struct name *name = names_find(&disk->now, from);
    if (is_dead(disk))
        return ERR_IO;
    if (!name || !folder_is_there(&disk->now, to))
        return ERR_NOT_FOUND;
    if (names_find(&disk->now, to))
        return ERR_EXISTS;
    if (name->is_dir || disk->refuse_links)
        return ERR_UNSUPPORTED;
    disk->any_links = true;
    disk_apply(disk, &(struct effect){ .kind = LINK, .inode = name->inode, .path = (char *)from, .to = (char *)to });
    return 0;
}

static int mem_link(void *self, const char *from, const char *to)
{
    struct disk *disk = self;
    int err;
    LOCKED(disk, err = link_locked(disk, from, to));
    return err;
}

static int rmdir_locked(struct disk *disk, const char *path)
{
    struct name *name = names_find(&disk->now, path);
    if (is_dead(disk) || (name && !name->is_dir))
        return ERR_IO;
    if (!name)
        return ERR_NOT_FOUND;
    for (size_t i = 0; i < disk->now.count; i++)
        if (is_in_folder(disk->now.at[i].path, path))
            return ERR_IN_USE;
    disk_apply(disk, &(struct effect){ .kind = UNLINK, .path = (char *)path });
    return 0;
}

static int mem_rmdir(void *self, const char *path)
{
    struct disk *disk = self;
    int err;
    LOCKED(disk, err = rmdir_locked(disk, path));
    return err;
}

static int mem_mkdir(void *self, const char *path)
{
    struct disk *disk = self;
    disk_lock(disk);
    struct name *name = names_find(&disk->now, path);
    int err = is_dead(disk) ? ERR_IO : name && !name->is_dir ? ERR_EXISTS : 0;
    if (!err && !name && !folder_is_there(&disk->now, path))
        err = ERR_NOT_FOUND;
    if (!err && !name)
        disk_apply(disk, &(struct effect){ .kind = MKDIR, .path = (char *)path });
    disk_unlock(disk);
    return err;
}

static int mem_sync_dir(void *self, const char *path)
{
    struct disk *disk = self;
    disk_lock(disk);
    struct name *name = names_find(&disk->now, path);
    bool there = strcmp(path, "/") == 0 || strcmp(path, ".") == 0 || (name && name->is_dir);
    int err = is_dead(disk) ? ERR_IO : there ? 0 : ERR_NOT_FOUND;
    if (!err) {
        err = is_due(&disk->fail_sync) ? ERR_IO : 0;
        disk_apply(disk, &(struct effect){ .kind = err ? LOSE_DIR : SYNC_DIR, .path = (char *)path });
    }
    disk_unlock(disk);
    return err;
}

/* The names are copied first: `each` may well change the folder. */
static int mem_list(void *self, const char *path, int (*each)(void *arg, const char *name), void *arg)
{
    struct disk *disk = self;
    struct names found = { 0 };
    disk_lock(disk);
    struct name *folder = names_find(&disk->now, path);
    int err = is_dead(disk) ? ERR_IO : folder && folder->is_dir ? 0 : ERR_NOT_FOUND;
    if (strcmp(path, "/") == 0 || strcmp(path, ".") == 0)
        err = is_dead(disk) ? ERR_IO : 0;
    for (size_t i = 0; !err && i < disk->now.count; i++)
        if (is_in_folder(disk->now.at[i].path, path))
            names_set(&found, disk->now.at[i].path, 0, false);
    disk_unlock(disk);
    for (size_t i = 0; !err && i < found.count; i++) {
        const char *slash = strrchr(found.at[i].path, '/');
        err = each(arg, slash ? slash + 1 : found.at[i].path);
    }
    names_clear(&found);
    return err;
}

static int mem_exists(void *self, const char *path, bool *exists_out, uint64_t *size_out)
{
    struct disk *disk = self;
    disk_lock(disk);
    int err = is_dead(disk) ? ERR_IO : 0;
    if (!err) {
        const struct name *name = names_find(&disk->now, path);
        *exists_out = name || strcmp(path, "/") == 0 || strcmp(path, ".") == 0;
        *size_out = name && !name->is_dir ? disk->inodes[name->inode].now->size : 0;
    }
    disk_unlock(disk);
    return err;
}

static int mem_lock(void *self, const char *path, int *lock_out)
{
    struct disk *disk = self;
    int file;
    int err = mem_open(self, path, FS_READ | FS_WRITE | FS_CREATE, &file);
    if (err)
        return err;
    mem_close(self, file);
    disk_lock(disk);
    size_t free_at = disk->lock_count;
    for (size_t i = 0; i < disk->lock_count; i++) {
        if (!disk->locks[i])
            free_at = i;
        else if (strcmp(disk->locks[i], path) == 0)
            err = ERR_IN_USE;
    }
    if (!err) {
        if (free_at == disk->lock_count) {
            disk->locks = disk_grown(disk->locks, free_at, &disk->lock_cap, sizeof *disk->locks);
            disk->lock_count++;
        }
        disk->locks[free_at] = disk_must(strdup(path));
        *lock_out = (int)free_at;
    }
    disk_unlock(disk);
    return err;
}

static void mem_unlock(void *self, int lock)
{
    struct disk *disk = self;
    disk_lock(disk);
    assert(lock >= 0 && (size_t)lock < disk->lock_count && disk->locks[lock]);
    free(disk->locks[lock]);
    disk->locks[lock] = NULL;
    disk_unlock(disk);
}

static int mem_space(void *self, const char *path, uint64_t *free_out)
{
    struct disk *disk = self;
    disk_lock(disk);
    uint64_t used = used_locked(disk);
    *free_out = disk->capacity > used ? disk->capacity - used : 0;
    int err = is_dead(disk) ? ERR_IO : 0;
    disk_unlock(disk);
    return err;
}

/* ---- the disk ---- */

struct disk *disk_new(uint64_t seed)
{
    struct disk *disk = disk_must(calloc(1, sizeof *disk));
    pthread_mutex_init(&disk->mutex, NULL);
    pthread_cond_init(&disk->moved, NULL);
    disk->random = seed;
    disk->stop_at = disk->capacity = UINT64_MAX;
    disk->fs = (struct fsio){
        .self = disk, .open = mem_open, .close = mem_close, .pread = mem_pread, .pwritev = mem_pwritev,
        .sync = mem_sync, .write_back = mem_write_back, .truncate = mem_truncate, .size = mem_size, .rename = mem_rename, .unlink = mem_unlink,
        .link = mem_link, .rmdir = mem_rmdir,
        .mkdir = mem_mkdir, .sync_dir = mem_sync_dir, .list = mem_list, .exists = mem_exists, .lock = mem_lock,
        .unlock = mem_unlock, .space = mem_space,
    };
    return disk;
}

void disk_free(struct disk *disk)
{
    if (!disk)
        return;
    for (size_t i = 0; i < disk->inode_count; i++) {
        changes_clear(&disk->inodes[i]);
        free(disk->inodes[i].changes);
        blob_unref(disk->inodes[i].now);
        blob_unref(disk->inodes[i].durable);
    }
    free(disk->inodes);
    names_clear(&disk->now);
    names_clear(&disk->durable);
    effects_clear(&disk->unsynced);
    effects_clear(&disk->journal);
    free(disk->handles);
    for (size_t i = 0; i < disk->lock_count; i++)
        free(disk->locks[i]);
    free(disk->locks);
    disk_free(disk->origin);
    pthread_cond_destroy(&disk->moved);
    pthread_mutex_destroy(&disk->mutex);
    free(disk);
}

const struct fsio *disk_fs(struct disk *disk) { return &disk->fs; }

uint64_t disk_ops(struct disk *disk)
{
    uint64_t ops;
    LOCKED(disk, ops = disk->ops);
    return ops;
}

bool disk_is_stopped(struct disk *disk)
{
    bool stopped;
    LOCKED(disk, stopped = is_dead(disk));
    return stopped;
}

uint64_t disk_used(struct disk *disk)
{
    uint64_t used;
    LOCKED(disk, used = used_locked(disk));
    return used;
}

void disk_stop_at(struct disk *disk, uint64_t op) { LOCKED(disk, disk->stop_at = op); }
void disk_fail_write(struct disk *disk, uint64_t nth) { LOCKED(disk, disk->fail_write = nth); }
void disk_fail_sync(struct disk *disk, uint64_t nth) { LOCKED(disk, disk->fail_sync = nth); }

void disk_hold_syncs(struct disk *disk, bool hold)
{
    disk_lock(disk);
    disk->holding = hold;
    pthread_cond_broadcast(&disk->moved);
    disk_unlock(disk);
}

void disk_await_held(struct disk *disk)
{
    disk_lock(disk);
    while (disk->held == 0)
        pthread_cond_wait(&disk->moved, &disk->mutex);
    disk_unlock(disk);
}

void disk_hold_one_read(struct disk *disk) { LOCKED(disk, disk->hold_read = true); }

void disk_await_held_read(struct disk *disk)
{
    disk_lock(disk);
    while (!disk->read_held)
        pthread_cond_wait(&disk->moved, &disk->mutex);
    disk_unlock(disk);
}

void disk_let_read(struct disk *disk)
{
    disk_lock(disk);
    disk->read_held = false;
    pthread_cond_broadcast(&disk->moved);
    disk_unlock(disk);
}

void disk_set_capacity(struct disk *disk, uint64_t bytes) { LOCKED(disk, disk->capacity = bytes); }
void disk_refuse_links(struct disk *disk, bool refuse) { LOCKED(disk, disk->refuse_links = refuse); }
