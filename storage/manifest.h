/* manifest.h - what a backup says of itself, in a file of its own that is written last.
 *
 * A backup is a folder:
 *
 *   backup       the manifest: of which node, up to where, and length and checksum of every other file
 *   facts.db     the rows, one snapshot
 *   log/         segments: sorted ones whole, the others up to the batch with the record number in the rows
 *
 * Without a whole manifest it is none. docs/disk.md has its lines; every manifest has one spelling only.
 * Thread: a manifest belongs to whoever holds it. Reading and writing block. */
#ifndef PIPIT_STORAGE_MANIFEST_H
#define PIPIT_STORAGE_MANIFEST_H

#include "storage/keyfile.h"
#include "storage/log.h"

#define MANIFEST_NAME "backup"

enum {
    MANIFEST_FORMAT = 1,
    MANIFEST_FILES_MAX = 64 * 1024,             /* of a node with thousands of sorted files, and room */
    MANIFEST_FILE_NAME_MAX = 63,                /* "facts.db" or "log/…" */
    MANIFEST_BYTES_MAX = 8 * 1024 * 1024,       /* so many lines of files, each at its longest */
};

struct manifest_file {
    char name[MANIFEST_FILE_NAME_MAX + 1];      /* below the folder: "facts.db" or "log/" and a name */
    uint64_t bytes, sum;                        /* XXH3-64 */
};

struct manifest {
    uint32_t data;                              /* the data folder's format */
    uint8_t node[NODE_ID_BYTES];
    uint8_t generation[16];                     /* of the node when it was made */
    uint64_t cut_ms;
    uint64_t users, conversations;              /* that the rows have */
    uint64_t flushed[LOGS_MAX];                 /* the record number up to which each log goes; 0: it has none */
    struct manifest_file *files;                /* owned; by name */
    size_t count, cap;
};

void manifest_init(struct manifest *m);
void manifest_fini(struct manifest *m);
/* In order of name. ERR_TOO_BIG (the name, or too many), ERR_NOMEM. */
int manifest_add(struct manifest *m, const char *name, uint64_t bytes, uint64_t sum);
const struct manifest_file *manifest_find(const struct manifest *m, const char *name);    /* NULL: it has none */

/* ERR_CORRUPT, ERR_NEWER, ERR_NOMEM; *m is to be finished in any case. */
int manifest_parse(struct bytes text, struct manifest *m);
int manifest_print(const struct manifest *m, struct buf *to);
/* Of the backup in folder `dir`; ERR_NOT_FOUND: it is none. */
int manifest_read(const struct fsio *fs, const char *dir, struct manifest *m);
int manifest_write(const struct fsio *fs, const char *dir, const struct manifest *m);

#endif
