/* backup.h - a backup of a data folder while a server writes to it.
 *
 * One cut point: a reader's snapshot of the rows, taken first, and of every log exactly what those rows cover. Segments
 * are caught by a second name (DATA/backup.new/) before anything is copied, so sorting and merging may take theirs away
 * meanwhile; where the data folder's file system has no hard links they are held open instead. Sorted segments are linked
 * into the backup where that is possible, else copied, as to another file system; of the others, the open ones too, the
 * part up to the cut is copied. What the backup before has already is linked from there and not read
 * again. Keys are not in it: see keyfile.h. The manifest comes last: a folder without it is no backup.
 *
 * Thread: any; the connections are that thread's readers. Blocks, for as long as copying takes. */
#ifndef PIPIT_STORAGE_BACKUP_H
#define PIPIT_STORAGE_BACKUP_H

#include "storage/manifest.h"

enum { BACKUP_NAME_BYTES = 20 };                /* "20260131T235959Z", with room */

struct backup_how {
    const struct fsio *fs;
    const char *data;                           /* the data folder */
    struct facts *facts;                        /* a reader without a transaction */
    const char *to;                             /* the folder of backups; made when it is missing */
    /* The backup to take files from that have not changed; NULL: the newest whole one of this node in `to`, if any. */
    const char *since;
    uint64_t now_ms;
    /* After each piece of so many bytes: may sleep; non-zero stops the backup and is returned. NULL allowed. */
    int (*step)(void *arg, uint64_t bytes);
    /* How far it got on: of about `total` bytes `done` are there, linked ones included. NULL allowed. */
    void (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
};
struct backup_report {
    char path[FS_PATH_MAX];                     /* of the new backup */
    char since[FS_PATH_MAX];                    /* of the one files were taken from; empty: none */
    uint64_t users, conversations;
    uint64_t files, bytes;                      /* all of it */
    uint64_t files_linked, bytes_linked;        /* of which nothing was copied */
    char why[256];                              /* on error: what and where, in one clause */
};
/* 0: it is there, whole, after a power cut. On error nothing of it is left, as far as the disk lets us; what may be left
 * has no manifest. ERR_NOT_FOUND (a folder, or `since` is no backup), ERR_DENIED (`since` is of another node),
 * ERR_CORRUPT, ERR_NO_SPACE, ERR_IO, ERR_NOMEM, ERR_TOO_BIG (a path, or too many files), ERR_AGAIN (segments changed at
 * every try), or step's answer. */
int backup_make(const struct backup_how *how, struct backup_report *report_out);
/* Remove what a backup that was killed left in the data folder. Before a server uses it, and by each backup. */
int backup_tidy(const struct fsio *fs, const char *data);

#endif
