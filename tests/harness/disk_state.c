/* disk_state.c - what a memory disk holds: contents, changes, names, and the effects that move them (disk_impl.h). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/disk_impl.h"

/* ---- small tools ---- */

void *disk_must(void *at)
{
    if (!at)
        abort();
    return at;
}

void *disk_grown(void *array, size_t count, size_t *cap, size_t each)
{
    if (count < *cap)
        return array;
    *cap = *cap ? 2 * *cap : 8;
    return disk_must(realloc(array, *cap * each));
}

static uint8_t *copied(const void *from, size_t len)
{
    uint8_t *to = disk_must(malloc(len ? len : 1));
    if (len)
        memcpy(to, from, len);
    return to;
}

uint64_t disk_random(uint64_t *state)            /* splitmix64 */
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* ---- contents ---- */

static struct blob *blob_new(void)
{
    struct blob *blob = disk_must(calloc(1, sizeof *blob));
    atomic_init(&blob->refs, 1);
    return blob;
}

struct blob *blob_ref(struct blob *blob)
{
    atomic_fetch_add(&blob->refs, 1);
    return blob;
}

void blob_unref(struct blob *blob)
{
    if (!blob || atomic_fetch_sub(&blob->refs, 1) > 1)
        return;
    free(blob->at);
    free(blob);
}

void blob_own(struct blob **blob)
{
    if (atomic_load(&(*blob)->refs) == 1)
        return;
    struct blob *own = blob_new();
    own->size = own->cap = (*blob)->size;
    own->at = copied((*blob)->at, own->size);
    blob_unref(*blob);
    *blob = own;
}

void blob_resize(struct blob *blob, size_t size)
{
    if (size > blob->cap) {
        blob->cap = size > 2 * blob->cap ? size : 2 * blob->cap;
        blob->at = disk_must(realloc(blob->at, blob->cap));
    }
    if (size > blob->size)
        memset(blob->at + blob->size, 0, size - blob->size);
    blob->size = size;
}

void blob_write(struct blob *blob, uint64_t offset, const uint8_t *from, size_t len)
{
    if (!len)
        return;
    if (offset + len > blob->size)
        blob_resize(blob, offset + len);
    memcpy(blob->at + offset, from, len);
}

/* ---- changes ---- */

void changes_clear(struct inode *inode)
{
    for (size_t i = 0; i < inode->change_count; i++) {
        free(inode->changes[i].fresh);
        free(inode->changes[i].old);
    }
    inode->change_count = 0;
}

void change_apply(struct blob *blob, const struct change *change)
{
    if (change->is_truncate)
        blob_resize(blob, change->offset);
    else
        blob_write(blob, change->offset, change->fresh, change->len);
}

void change_tear(struct blob *blob, const struct change *change, bool (*keep)(uint64_t *state), uint64_t *state)
{
    uint64_t at = change->offset, end = change->offset + change->len;
    while (at < end) {
        uint64_t next = (at / DISK_SECTOR_BYTES + 1) * DISK_SECTOR_BYTES;
        if (next > end)
            next = end;
        if (keep(state))
            blob_write(blob, at, change->fresh + (at - change->offset), next - at);
        at = next;
    }
}

struct blob *inode_base(const struct inode *inode)
{
    struct blob *base = blob_ref(inode->durable ? inode->durable : inode->now);
    if (inode->durable || !inode->change_count)
        return base;
    blob_own(&base);
    for (size_t i = inode->change_count; i-- > 0;) {
        const struct change *change = &inode->changes[i];
        blob_resize(base, change->old_size);
        blob_write(base, change->offset, change->old, change->old_len);
    }
    return base;
}

static void inode_change(struct inode *inode, uint64_t order, bool is_truncate, uint64_t offset, const uint8_t *data,
                         size_t len)
{
    inode->changes = disk_grown(inode->changes, inode->change_count, &inode->change_cap, sizeof *inode->changes);
    struct change *change = &inode->changes[inode->change_count++];
    *change = (struct change){ .order = order, .is_truncate = is_truncate, .offset = offset, .len = len,
                               .old_size = inode->now->size };
    uint64_t old_end = is_truncate || offset + len > inode->now->size ? inode->now->size : offset + len;
    if (old_end > offset)
        change->old_len = old_end - offset;
    if (change->old_len)
        change->old = copied(inode->now->at + offset, change->old_len);
    if (!is_truncate)
        change->fresh = copied(data, len);
    blob_own(&inode->now);
    change_apply(inode->now, change);
}

static void inode_sync(struct inode *inode)
{
    if (inode->durable) {
        blob_own(&inode->durable);
        for (size_t i = 0; i < inode->change_count; i++)
            change_apply(inode->durable, &inode->changes[i]);
    }
    changes_clear(inode);
}

static void inode_lose(struct inode *inode)
{
    struct blob *base = inode_base(inode);
    blob_unref(inode->durable);
    inode->durable = base;
    changes_clear(inode);
}

/* ---- names ---- */

struct name *names_find(const struct names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->at[i].path, path) == 0)
            return &names->at[i];
    return NULL;
}

void names_remove(struct names *names, const char *path)
{
    struct name *name = names_find(names, path);
    if (!name)
        return;
    free(name->path);
    *name = names->at[--names->count];
}

void names_set(struct names *names, const char *path, uint32_t inode, bool is_dir)
{
    names_remove(names, path);
    names->at = disk_grown(names->at, names->count, &names->cap, sizeof *names->at);
    names->at[names->count++] = (struct name){ disk_must(strdup(path)), inode, is_dir };
}

void names_copy(struct names *to, const struct names *from)
{
    for (size_t i = 0; i < from->count; i++)
        names_set(to, from->at[i].path, from->at[i].inode, from->at[i].is_dir);
}

void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->at[i].path);
    free(names->at);
    *names = (struct names){ 0 };
}

/* Length of the folder part of a path; "" for a bare name. */
static size_t folder_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

bool is_in_folder(const char *path, const char *folder)
{
    size_t len = folder_len(path);
    if (!strchr(path, '/'))
        return strcmp(folder, ".") == 0;
    if (len == 0)
        return strcmp(folder, "/") == 0;
    return strlen(folder) == len && memcmp(path, folder, len) == 0;
}

bool folder_is_there(const struct names *names, const char *path)
{
    if (folder_len(path) == 0)
        return true;                      /* "/" and "." */
    for (size_t i = 0; i < names->count; i++)
        if (names->at[i].is_dir && is_in_folder(path, names->at[i].path))
            return true;
    return false;
}

/* A rename names the file by its inode: when the name it came from was never durable, the new one still is. */
void names_apply(struct names *names, const struct effect *effect)
{
    switch (effect->kind) {
    case MAKE:   names_set(names, effect->path, effect->inode, false); break;
    case MKDIR:  names_set(names, effect->path, 0, true); break;
    case UNLINK: names_remove(names, effect->path); break;
    case RENAME:
        names_remove(names, effect->path);
        names_set(names, effect->to, effect->inode, false);
        break;
    case LINK:   names_set(names, effect->to, effect->inode, false); break;
    default: assert(!"an effect on names");
    }
}

/* ---- effects ---- */

static void effect_free(struct effect *effect)
{
    free(effect->path);
    free(effect->to);
    free(effect->data);
}

void effects_clear(struct effects *effects)
{
    for (size_t i = 0; i < effects->count; i++)
        effect_free(&effects->at[i]);
    free(effects->at);
    *effects = (struct effects){ 0 };
}

static void effects_add(struct effects *effects, const struct effect *effect)
{
    effects->at = disk_grown(effects->at, effects->count, &effects->cap, sizeof *effects->at);
    struct effect *copy = &effects->at[effects->count++];
    *copy = *effect;
    copy->path = effect->path ? disk_must(strdup(effect->path)) : NULL;
    copy->to = effect->to ? disk_must(strdup(effect->to)) : NULL;
    copy->data = effect->data ? copied(effect->data, effect->len) : NULL;
}

static void folder_settle(struct disk *disk, const char *folder, bool durable)
{
    size_t kept = 0;
    for (size_t i = 0; i < disk->unsynced.count; i++) {
        struct effect *effect = &disk->unsynced.at[i];
        if (!is_in_folder(effect->to ? effect->to : effect->path, folder)) {
            disk->unsynced.at[kept++] = *effect;
            continue;
        }
        if (durable)
            names_apply(&disk->durable, effect);
        effect_free(effect);
    }
    disk->unsynced.count = kept;
}

uint32_t inode_add(struct disk *disk, struct blob *now)
{
    disk->inodes = disk_grown(disk->inodes, disk->inode_count, &disk->inode_cap, sizeof *disk->inodes);
    disk->inodes[disk->inode_count] = (struct inode){ .now = now };
    return (uint32_t)disk->inode_count++;
}

void disk_apply(struct disk *disk, const struct effect *effect)
{
    uint64_t order = disk->ops++;
    switch (effect->kind) {
    case MAKE: {
        uint32_t inode = inode_add(disk, blob_new());
        assert(inode == effect->inode);
    }   /* fall through */
    case RENAME:
    case LINK:
    case UNLINK:
    case MKDIR:
        names_apply(&disk->now, effect);
        effects_add(&disk->unsynced, effect);
        break;
    case WRITE:
        inode_change(&disk->inodes[effect->inode], order, false, effect->offset, effect->data, effect->len);
        break;
    case TRUNCATE:
        inode_change(&disk->inodes[effect->inode], order, true, effect->offset, NULL, 0);
        break;
    case SYNC:     inode_sync(&disk->inodes[effect->inode]); break;
    case LOSE:     inode_lose(&disk->inodes[effect->inode]); break;
    case SYNC_DIR: folder_settle(disk, effect->path, true); break;
    case LOSE_DIR: folder_settle(disk, effect->path, false); break;
    }
    if (disk->journaling)
        effects_add(&disk->journal, effect);
}
