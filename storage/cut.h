/* cut.h - the way out for a damaged tail: what a log has from a position on is taken away. Part of storage's face.
 *
 * For a folder that a start refuses. Nothing is destroyed: what is cut is kept beside, as NAME.cut-OFFSET, and what the
 * rows know of it stays. Record numbers are never given again: a sorted file without records takes the place of those
 * that were cut, and of a million more that lost bytes may have given, and the log goes on above it.
 *
 *   cut_open   takes the folder's lock and looks; changes nothing but the rows' form, to that of this version
 *   cut_make   does it, see cut.c for the order; stopped anywhere it is begun again with the same position
 *   cut_close
 * Thread: one. All calls block. */
#ifndef PIPIT_STORAGE_CUT_H
#define PIPIT_STORAGE_CUT_H

#include "storage/facts.h"
#include "storage/log.h"

/* Of the numbers that bytes which are gone may have given, nobody knows. They were given after the rows' last flush, a
 * second or so before the end: a million is more than one log takes in that. */
enum { CUT_NUMBERS_SPARE = 1000000 };

struct cut_report {
    uint32_t log;
    char file[SEGMENT_NAME_BYTES];
    uint64_t offset;                     /* where it is cut: where the batch that holds the position begins, or 0 */
    uint64_t kept;                       /* the last record number that stays; 0: none */
    uint64_t bytes;                      /* that are cut, of all files */
    uint32_t files;                      /* so many files behind this one are taken away whole */
    uint64_t records, marks;             /* that can be read in them; records: marks included */
    uint64_t first_ms, last_ms;          /* of the ids of those that are no marks; 0: there is none */
    uint64_t lost_bytes;                 /* that no record can be made of … */
    uint64_t lost_records;               /* … and so many records, at most, were in them */
    uint64_t flushed;                    /* the rows cover the log's records up to here */
    uint64_t goes_on;                    /* the next record's number */
    /* Records may be lost that neither the rows nor anybody know of, so that their sequences will be given again: the
     * node gets a new generation, as by a restore. */
    bool is_blind;
    bool is_begun;                       /* the same cut was made before, and not to its end */
};

struct cut;
/* `name` is a file of DIR/log, not a sorted one; `offset` any byte of it, or its end. `each` (may be NULL) gets every
 * record that can be read of what will be cut, its offset in its file, and batch 0.
 * 0, ERR_IN_USE (a server runs), ERR_NOT_FOUND (no such file, or nothing is there to be cut), ERR_UNSUPPORTED (it is
 * sorted, or sorted files have what follows), ERR_CORRUPT (damage before the position, or in what it needs besides),
 * ERR_NEWER, ERR_IO, ERR_NO_SPACE, ERR_NOMEM, ERR_TOO_BIG (the path), or each()'s answer. On error nothing is held, and
 * `why` says what and where in one clause. */
int cut_open(const struct fsio *fs, const char *dir, const char *name, uint64_t offset, segment_record_fn *each,
             void *arg, struct cut **out, struct cut_report *report, char why[static 256]);
struct facts *cut_facts(struct cut *cut);        /* to tell whose conversations they are */
/* Errors as of cut_open(). On error a part may be done: begin again with the same position. */
int cut_make(struct cut *cut, uint64_t now_ms, char why[static 256]);
void cut_close(struct cut *cut);

#endif
