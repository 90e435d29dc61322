/* disk_impl.h - the inside of the memory disk, shared by disk.c, disk_state.c and disk_crash.c.
 *
 * A file's content is kept as it is now, with a list of the changes no sync has covered, each with the bytes it
 * replaced. A sync throws that list away, so it costs nothing, which matters: a run syncs often and crashes rarely. A
 * crash image walks the list backwards to what was durable, and then forwards again with the changes it chooses. Only
 * after a failed sync is the durable content kept on its own, because what is shown no longer leads back to it.
 *
 * Every operation becomes an effect first, and effects alone change the disk. The journal is a list of effects, so a
 * shadow disk that applies them goes through exactly the states the first one went through.
 * All functions here want the disk's mutex held. Out of memory, a test may as well stop: nothing returns NULL. */
#ifndef PIPIT_TESTS_HARNESS_DISK_IMPL_H
#define PIPIT_TESTS_HARNESS_DISK_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/harness/disk.h"

/* Contents are shared between a disk and its images until one of them writes. */
struct blob {
    atomic_uint refs;
    size_t size, cap;
    uint8_t *at;
};

struct change {                   /* not yet covered by a sync */
    uint64_t order;               /* the operation that made it */
    bool is_truncate;
    uint64_t offset;              /* of a truncation: the new size */
    size_t len;
    uint8_t *fresh;               /* what was written */
    uint8_t *old;                 /* what it replaced: from `offset` to the old end at most */
    size_t old_len;
    uint64_t old_size;
};

struct inode {
    struct blob *now;
    struct blob *durable;         /* after a failed sync; else NULL: `now` with `changes` undone */
    struct change *changes;
    size_t change_count, change_cap;
};

struct name {
    char *path;
    uint32_t inode;
    bool is_dir;
};
struct names { struct name *at; size_t count, cap; };

enum effect_kind { MAKE, WRITE, TRUNCATE, SYNC, LOSE, RENAME, LINK, UNLINK, MKDIR, SYNC_DIR, LOSE_DIR };
struct effect {
    enum effect_kind kind;
    uint32_t inode;
    char *path, *to;
    uint64_t offset;
    size_t len;
    uint8_t *data;
};
struct effects { struct effect *at; size_t count, cap; };

struct handle { bool used; unsigned flags; uint32_t inode; };

struct disk {
    struct fsio fs;
    pthread_mutex_t mutex;
    pthread_cond_t moved;                 /* held or holding changed */
    bool holding;                         /* syncs wait */
    size_t held;                          /* so many do */
    bool any_links;                       /* there were some */
    bool refuse_links;                    /* another file system, to all of them */
    bool hold_read;                       /* the next read is to wait … */
    bool read_held;                       /* … and does, until this is false */
    uint64_t random;
    uint64_t ops, stop_at, capacity;
    uint64_t fail_write, fail_sync;       /* counts down; 0: off */
    struct inode *inodes;                 /* by number; kept to the end, so that numbers mean the same in a shadow */
    size_t inode_count, inode_cap;
    struct names now, durable;
    struct effects unsynced;              /* of names, in order */
    struct handle *handles;
    size_t handle_count, handle_cap;
    char **locks;                         /* by lock number; NULL: free */
    size_t lock_count, lock_cap;
    bool journaling;
    struct effects journal;
    struct disk *origin;                  /* as it was when the journal started */
    uint64_t origin_ops;
};

static inline void disk_lock(struct disk *disk) { pthread_mutex_lock(&disk->mutex); }
static inline void disk_unlock(struct disk *disk) { pthread_mutex_unlock(&disk->mutex); }
/* One assignment or read under the mutex. */
#define LOCKED(disk, statement) do { disk_lock(disk); statement; disk_unlock(disk); } while (0)

void *disk_must(void *at);
void *disk_grown(void *array, size_t count, size_t *cap, size_t each);    /* room for one more element */
uint64_t disk_random(uint64_t *state);

struct blob *blob_ref(struct blob *blob);
void blob_unref(struct blob *blob);
void blob_own(struct blob **blob);                      /* makes *blob ours alone */
void blob_resize(struct blob *blob, size_t size);
void blob_write(struct blob *blob, uint64_t offset, const uint8_t *from, size_t len);

/* What of the file is durable for sure, as a blob of the caller's own. */
struct blob *inode_base(const struct inode *inode);
uint32_t inode_add(struct disk *disk, struct blob *now);    /* takes the blob over */
void changes_clear(struct inode *inode);
void change_apply(struct blob *blob, const struct change *change);
/* Only some sectors of a write: those for which `keep` says so. Sectors are the file's, not the write's. */
void change_tear(struct blob *blob, const struct change *change, bool (*keep)(uint64_t *state), uint64_t *state);

struct name *names_find(const struct names *names, const char *path);
void names_set(struct names *names, const char *path, uint32_t inode, bool is_dir);
void names_remove(struct names *names, const char *path);
void names_copy(struct names *to, const struct names *from);
void names_clear(struct names *names);
void names_apply(struct names *names, const struct effect *effect);
bool is_in_folder(const char *path, const char *folder);
bool folder_is_there(const struct names *names, const char *path);    /* the one `path` lies in */

void effects_clear(struct effects *effects);
/* The only place where a disk changes. */
void disk_apply(struct disk *disk, const struct effect *effect);

#endif
