/* disk_crash.c - images of a memory disk: after a power cut, along its journal, and for a test's own hands. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/disk_impl.h"

static bool keep_some(uint64_t *random) { return disk_random(random) & 1; }
static bool keep_first(uint64_t *left) { return *left > 0 && (*left)--; }

/* The last write of all that is not synced, over all files; NULL when there is none. */
static const struct change *last_change(const struct disk *disk)
{
    const struct change *last = NULL;
    for (size_t i = 0; i < disk->now.count; i++) {
        if (disk->now.at[i].is_dir)
            continue;
        const struct inode *inode = &disk->inodes[disk->now.at[i].inode];
        if (!inode->change_count)
            continue;
        const struct change *change = &inode->changes[inode->change_count - 1];
        if (!last || change->order > last->order)
            last = change;
    }
    return last;
}

static void change_random(struct blob *blob, const struct change *change, uint64_t *random)
{
    uint64_t choice = disk_random(random) % 4;
    if (choice == 0)
        return;
    if (choice < 3 || change->is_truncate) {
        change_apply(blob, change);
        return;
    }
    /* The new size may reach the disk before the data: what is missing then reads as zeros. */
    if (disk_random(random) & 1 && change->offset + change->len > blob->size)
        blob_resize(blob, change->offset + change->len);
    change_tear(blob, change, keep_some, random);
}

static struct blob *inode_crash(const struct inode *inode, enum disk_crash mode, const struct change *last,
                                uint64_t *random)
{
    if (mode == DISK_KEEP_ALL && !inode->durable)
        return blob_ref(inode->now);
    struct blob *blob = inode_base(inode);
    if (mode == DISK_DROP_ALL || !inode->change_count)
        return blob;
    blob_own(&blob);
    for (size_t i = 0; i < inode->change_count; i++) {
        const struct change *change = &inode->changes[i];
        if (mode == DISK_RANDOM) {
            change_random(blob, change, random);
        } else if (mode == DISK_TEAR_LAST && change == last) {
            uint64_t sectors = change->len / DISK_SECTOR_BYTES + 1;
            uint64_t left = disk_random(random) % sectors;
            if (!change->is_truncate)
                change_tear(blob, change, keep_first, &left);
        } else {
            change_apply(blob, change);
        }
    }
    return blob;
}

/* Names whose folder was lost are lost with it. */
static void names_prune(struct names *names)
{
    for (size_t i = 0; i < names->count;) {
        if (folder_is_there(names, names->at[i].path)) {
            i++;
            continue;
        }
        free(names->at[i].path);
        names->at[i] = names->at[--names->count];
        i = 0;                            /* what moved here, and what lay in it, is looked at again */
    }
}

/* `names`, with contents from `content` of each file's inode, become the image's, all durable. */
static void image_fill(struct disk *image, const struct names *names, struct blob **content)
{
    for (size_t i = 0; i < names->count; i++) {
        const struct name *name = &names->at[i];
        uint32_t inode = name->is_dir ? 0 : inode_add(image, blob_ref(content[name->inode]));
        names_set(&image->now, name->path, inode, name->is_dir);
    }
    names_copy(&image->durable, &image->now);
}

struct disk *disk_crash(struct disk *disk, enum disk_crash mode, uint64_t seed)
{
    struct disk *image = disk_new(seed);
    uint64_t random = seed;
    struct names names = { 0 };
    disk_lock(disk);
    names_copy(&names, &disk->durable);
    for (size_t i = 0; i < disk->unsynced.count; i++)
        if (mode == DISK_KEEP_ALL || mode == DISK_TEAR_LAST || (mode == DISK_RANDOM && keep_some(&random)))
            names_apply(&names, &disk->unsynced.at[i]);
    names_prune(&names);

    const struct change *last = mode == DISK_TEAR_LAST ? last_change(disk) : NULL;
    struct blob **content = disk_must(calloc(disk->inode_count + 1, sizeof *content));
    for (size_t i = 0; i < names.count; i++)
        if (!names.at[i].is_dir && !content[names.at[i].inode])
            content[names.at[i].inode] = inode_crash(&disk->inodes[names.at[i].inode], mode, last, &random);
    image_fill(image, &names, content);
    for (size_t i = 0; i < disk->inode_count; i++)
        blob_unref(content[i]);
    disk_unlock(disk);
    free(content);
    names_clear(&names);
    return image;
}

/* ---- the journal ---- */

/* All of it by inode number, unnamed ones too: effects name inodes by number. */
static struct disk *disk_copy(const struct disk *disk)
{
    struct disk *copy = disk_new(0);
    for (size_t i = 0; i < disk->inode_count; i++) {
        assert(!disk->inodes[i].change_count && !disk->inodes[i].durable);
        inode_add(copy, blob_ref(disk->inodes[i].now));
    }
    names_copy(&copy->now, &disk->now);
    names_copy(&copy->durable, &disk->durable);
    return copy;
}

void disk_journal_start(struct disk *disk)
{
    disk_lock(disk);
    assert(!disk->journaling && !disk->unsynced.count);
    disk->origin = disk_copy(disk);
    disk->journaling = true;
    disk_unlock(disk);
}

uint64_t disk_journal_ops(struct disk *disk)
{
    uint64_t ops;
    LOCKED(disk, ops = disk->journal.count);
    return ops;
}

struct disk *disk_shadow(struct disk *disk)
{
    struct disk *shadow;
    LOCKED(disk, shadow = disk_copy(disk->origin));
    return shadow;
}

void disk_shadow_to(struct disk *shadow, struct disk *disk, uint64_t ops)
{
    disk_lock(disk);
    assert(ops <= disk->journal.count && shadow->ops <= ops);
    while (shadow->ops < ops)
        disk_apply(shadow, &disk->journal.at[shadow->ops]);
    disk_unlock(disk);
}

/* ---- files, for a test's own hands ---- */

static struct inode *inode_at(struct disk *disk, const char *path)
{
    struct name *name = names_find(&disk->now, path);
    return name && !name->is_dir ? &disk->inodes[name->inode] : NULL;
}

uint64_t disk_file_size(struct disk *disk, const char *path)
{
    disk_lock(disk);
    const struct inode *inode = inode_at(disk, path);
    uint64_t size = inode ? inode->now->size : UINT64_MAX;
    disk_unlock(disk);
    return size;
}

void disk_file_read(struct disk *disk, const char *path, uint64_t offset, void *to, size_t len)
{
    disk_lock(disk);
    const struct inode *inode = inode_at(disk, path);
    assert(inode && offset + len <= inode->now->size);
    if (len)
        memcpy(to, inode->now->at + offset, len);
    disk_unlock(disk);
}

/* A file that a test changes by hand must be settled: an undo list would bring back what it had. */
static struct inode *inode_by_hand(struct disk *disk, const char *path)
{
    struct inode *inode = inode_at(disk, path);
    assert(inode && !inode->change_count && !inode->durable);
    blob_own(&inode->now);
    return inode;
}

void disk_file_poke(struct disk *disk, const char *path, uint64_t offset, const void *from, size_t len)
{
    LOCKED(disk, blob_write(inode_by_hand(disk, path)->now, offset, from, len));
}

void disk_file_cut(struct disk *disk, const char *path, uint64_t size)
{
    LOCKED(disk, blob_resize(inode_by_hand(disk, path)->now, size));
}

size_t disk_file_count(struct disk *disk, const char *prefix)
{
    size_t count = 0;
    disk_lock(disk);
    for (size_t i = 0; i < disk->now.count; i++)
        if (!disk->now.at[i].is_dir && strncmp(disk->now.at[i].path, prefix, strlen(prefix)) == 0)
            count++;
    disk_unlock(disk);
    return count;
}

size_t disk_open_count(struct disk *disk)
{
    size_t count = 0;
    disk_lock(disk);
    for (size_t i = 0; i < disk->handle_count; i++)
        count += disk->handles[i].used;
    disk_unlock(disk);
    return count;
}
