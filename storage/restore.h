/* restore.h - from a backup and a key file to a data folder; and whether that would work.
 *
 * restore_make() checks all it copies against the manifest, makes keys.db of the key file, and gives the node a new
 * generation: clients then drop sequences and cursors, and keep messages by id. What was erased after the backup has no
 * key any more, and is erased in the restored rows as well. DATA/format comes last: before it the folder is not opened by
 * a server. What was revoked or changed after the cut is as it was at the cut.
 *
 * restore_verify() reads all of a backup and changes nothing.
 * Thread: any. Blocks, for as long as reading takes. */
#ifndef PIPIT_STORAGE_RESTORE_H
#define PIPIT_STORAGE_RESTORE_H

#include "storage/manifest.h"

struct restore_how {
    const struct fsio *fs;
    const char *from;             /* the backup: the folder with the manifest */
    const char *keys;             /* the key file; verify: NULL: seals are not opened */
    const char *to;               /* the data folder to be: missing or empty. verify: not looked at */
    uint64_t now_ms;
};
struct restore_report {
    uint64_t cut_ms, users, conversations;
    uint64_t files, bytes;
    uint64_t records, marks;      /* each checked */
    uint64_t keys, keys_erased, keys_ms;          /* in the key file, and when that was written */
    uint64_t opened;              /* verify with keys: so many records opened … */
    uint64_t sealed_for_ever;     /* … so many belong to an erased key … */
    uint64_t without_key;         /* … and of so many the key file does not know the key: it is too old */
    struct conv_id without_key_of;                /* a partition of these */
    uint64_t erased;              /* restore: conversations and inboxes erased since the cut, and now here too */
    char why[256];                /* on error: what and where, in one clause */
};

/* ERR_EXISTS: the data folder is not empty. ERR_DENIED: the key file is of another server. ERR_NOT_FOUND, ERR_CORRUPT,
 * ERR_NEWER, ERR_NO_SPACE, ERR_IO, ERR_NOMEM, ERR_TOO_BIG. On error what was copied stays, without `format`. */
int restore_make(const struct restore_how *how, struct restore_report *report_out);
/* 0: every checksum is right, every record is one, the logs are whole up to the cut, and the rows go exactly so far; with
 * keys, all that were not erased open. ERR_CORRUPT (why: file and offset, or what disagrees), ERR_DENIED, ERR_GONE: all is
 * well but for records the key file has no key of; and the errors above. */
int restore_verify(const struct restore_how *how, struct restore_report *report_out);

#endif
