/* disk.h - a disk in memory that can lose power.
 *
 * It serves a struct fsio, and remembers for each file which writes no sync has covered yet, and for each folder which
 * names no sync_dir has. From that it makes crash images: new disks that hold what a real one might hold after the
 * power went, each unsynced change kept, dropped or torn. It keeps one order of operations over all files, can stop
 * at any of them, fill up, and say EIO.
 *
 * Going through every operation of a long run: record it once with disk_journal_start(), then walk a second disk
 * through the journal with disk_shadow() and disk_shadow_to(), taking images of the second one:
 *
 *     struct disk *shadow = disk_shadow(disk);
 *     for (uint64_t k = 0; k <= disk_journal_ops(disk); k++) {
 *         disk_shadow_to(shadow, disk, k);
 *         struct disk *after = disk_crash(shadow, DISK_RANDOM, seed + k);
 *         … open the stores on disk_fs(after) and check …
 *         disk_free(after);
 *     }
 *
 * An operation is one call that changes something: a creation, write, truncation, sync, rename, link, unlink, mkdir,
 * rmdir or sync_dir. Reading is not one. The folders "/" and "." always exist.
 * Thread: one mutex for each disk; all but disk_free() from any thread. */
#ifndef PIPIT_TESTS_HARNESS_DISK_H
#define PIPIT_TESTS_HARNESS_DISK_H

#include "storage/fsio.h"

struct disk;

struct disk *disk_new(uint64_t seed);         /* the seed decides what a failed write left behind */
void disk_free(struct disk *disk);            /* open files and locks go with it */
const struct fsio *disk_fs(struct disk *disk);

uint64_t disk_ops(struct disk *disk);         /* operations so far */
/* From operation `op` on (0: the first ever) the power is gone: every call fails with ERR_IO and changes nothing. */
void disk_stop_at(struct disk *disk, uint64_t op);
bool disk_is_stopped(struct disk *disk);
/* The n-th write or truncation (or sync, of file or folder) from now on fails with ERR_IO, once; 1 is the next. A
 * failed write leaves a part behind. A failed sync loses what it should have synced, for ever, though reads go on
 * showing it: what Linux does. */
void disk_fail_write(struct disk *disk, uint64_t nth);
void disk_fail_sync(struct disk *disk, uint64_t nth);
/* While held every sync of a file waits, as on a disk that is slow, and all that needs it waits with it. Await returns
 * when at least one waits. Give it back before whoever waits is to be stopped. */
void disk_hold_syncs(struct disk *disk, bool hold);
void disk_await_held(struct disk *disk);
/* The next one to read a file waits until it is let go; all others read on meanwhile. Await returns when it waits. */
void disk_hold_one_read(struct disk *disk);
void disk_await_held_read(struct disk *disk);
void disk_let_read(struct disk *disk);
/* All files together may hold this much; beyond it writes stop short with ERR_NO_SPACE. UINT64_MAX: no limit. */
void disk_set_capacity(struct disk *disk, uint64_t bytes);
uint64_t disk_used(struct disk *disk);
/* Every link() is refused, as between two file systems. */
void disk_refuse_links(struct disk *disk, bool refuse);

enum disk_crash {
    DISK_KEEP_ALL,        /* everything written is there: a killed process, not a lost disk */
    DISK_DROP_ALL,        /* nothing unsynced is there */
    DISK_TEAR_LAST,       /* all but the last write, which stops at a 512-byte boundary */
    DISK_RANDOM,          /* each change on its own: kept, dropped, or only some of its 512-byte sectors */
};
enum { DISK_CRASH_MODES = 4, DISK_SECTOR_BYTES = 512 };
/* A new disk with what `disk` holds after a power cut now, all of it durable, nothing open or locked, no failure set.
 * `disk` is unchanged; file contents are shared until one side writes. */
struct disk *disk_crash(struct disk *disk, enum disk_crash mode, uint64_t seed);

void disk_journal_start(struct disk *disk);   /* once, before the run; nothing may be unsynced */
uint64_t disk_journal_ops(struct disk *disk); /* operations since */
struct disk *disk_shadow(struct disk *disk);  /* as `disk` was when its journal started */
void disk_shadow_to(struct disk *shadow, struct disk *disk, uint64_t ops);   /* forward only */

/* For tests that look at or damage a file. The size, or UINT64_MAX when there is no such file. */
uint64_t disk_file_size(struct disk *disk, const char *path);
void disk_file_read(struct disk *disk, const char *path, uint64_t offset, void *to, size_t len);
/* Replaces bytes as if they had always been so; grows the file when needed. */
void disk_file_poke(struct disk *disk, const char *path, uint64_t offset, const void *from, size_t len);
void disk_file_cut(struct disk *disk, const char *path, uint64_t size);
/* Descriptors that are open now. */
size_t disk_open_count(struct disk *disk);
/* Files (not folders) whose path begins with `prefix`. */
size_t disk_file_count(struct disk *disk, const char *prefix);

#endif
