/* keep.h - the keeper: sorts closed segments, merges sorted ones, and lets go of what may go.
 *
 * One call is one step, and bounded: it sorts one segment, or takes a merge on by KEEP_STEP_BYTES. A merge may take
 * minutes, and segments are closed meanwhile; so it rests between steps and sorting comes first.
 *
 *   open → closed, unsorted ──sort──→ sorted ──merge──→ sorted, fewer and larger ──merge──→ …
 *
 * A step writes a file aside (*.new), gives it its name, syncs the folder, swaps the list and unlinks what the file
 * replaces, in this order. A crash anywhere leaves one good copy of each record: a start removes every *.new, and each
 * file whose record numbers are covered by one of a higher serial (docs/disk.md). Readers with an older list go on
 * reading files that have lost their names.
 *
 * What is done first, and why:
 *   1. The oldest closed segment that facts cover wholly is sorted: its index is memory.
 *   2. A table with something dead in it for longer than due_ms is rewritten, with its neighbours that are due too:
 *      that is a promise to people. Each table is rewritten for this once in due_ms at most.
 *   3. KEEP_FANIN neighbours of one tier, by age, become one table of a higher tier, smallest tier first. Tiers are a
 *      factor of KEEP_FANIN apart, so a record is rewritten once for each of them, and a tier holds fewer than
 *      KEEP_FANIN tables. Only neighbours: a table then spans one stretch of time, and a page looks into few.
 *   4. When idle: neighbours are merged further, the most tables saved for the bytes written first, as long as all
 *      written for these records leaves room below KEEP_AMPLIFICATION_MAX for one more rewriting of everything.
 *
 * Thread: one at a time, any one, for all of struct logs; blocks. Shards and readers go on meanwhile. */
#ifndef PIPIT_STORAGE_KEEP_H
#define PIPIT_STORAGE_KEEP_H

#include "storage/log.h"

enum {
    /* Tables of one tier that become one. Four would write a byte half as often again, sixteen would leave a page
     * twice as many tables to look into. */
    KEEP_FANIN = 8,
    /* Tables that one merge reads: a backlog is merged in one pass instead of tier by tier. Each input has a buffer. */
    KEEP_INPUTS_MAX = 32,
    KEEP_PIECE_BYTES = 256 * 1024,          /* between two calls of pace(): about a millisecond of a disk */
    KEEP_STEP_BYTES = 64 * 1024 * 1024,     /* read by one step of a merge: as much as sorting a segment reads */
    /* Closed segments that wait to be sorted before pace() is told to hurry: each holds about 5 MiB of index. */
    KEEP_UNSORTED_MAX = 8,
    /* Bytes written in all for a byte appended: log, sorting, merging. What is due may go above it. */
    KEEP_AMPLIFICATION_MAX = 5,
    KEEP_LOOK_MS = 60 * 1000,               /* dead_since() is asked once in so long for each table */
    KEEP_FAILED_MAX = 64,                   /* files left alone until a restart; with more of them nothing is kept */
};
/* A merge takes as much free room as it writes, and its time: larger ones are not begun. None is begun that would leave
 * less room than a segment for the log. */
#define KEEP_BYTES_MAX (UINT64_C(64) << 30)
/* What is dead leaves the disk within a week. A day would rewrite a store in which people delete something every day
 * seven times as often; a month is longer than people believe of "deleted". */
#define KEEP_DUE_MS (UINT64_C(7) * 24 * 3600 * 1000)

struct sorted;

enum fate { FATE_KEEP, FATE_DROP };
struct keep_how {
    /* Durable facts cover this log up to here: only segments wholly below are sorted. */
    uint64_t (*flushed)(void *arg, uint32_t log);

    /* May this record go? Asked for every record that is sorted or merged, in the order of the new file: by partition,
     * sequence by sequence, the record of it and then the marks placed at it. NULL: all stay. Non-zero ends the step,
     * which changed nothing then; it is tried again.
     * A mark is thinned without looking ahead: the rows of facts hold the furthest cursors of each device, so a mark
     * none of whose moves reaches them has a later one. */
    int (*fate)(void *arg, const struct record *record, struct bytes whole, enum fate *fate_out);
    /* Before the first record of a partition is asked about, and again for the same one when a merge goes on in the
     * middle of it. May be NULL. */
    int (*partition)(void *arg, const struct conv_id *partition);
    /* Since when, in ms since 1970, has something in this table been dead? 0: nothing is, as far as is known. Answered
     * from sorted_meta() (earliest expiry, ids) and from what a walk over the rows of what was deleted has found in it
     * (sweep.h). May block. May be NULL. */
    uint64_t (*dead_since)(void *arg, struct sorted *table);
    uint64_t due_ms;              /* 0: KEEP_DUE_MS */

    /* After each KEEP_PIECE_BYTES or so of reading and writing, `bytes` of them: may sleep to hold a rate and let
     * others go first. `hurry`: segments wait to be sorted, do not. Non-zero ends the step, which changed nothing
     * then and is tried again. May be NULL. */
    int (*pace)(void *arg, uint64_t bytes, bool hurry);
    void *arg;

    uint64_t now_ms;
    bool idle;                    /* merge further than the tiers ask */
};

enum keep_did {
    KEEP_NOTHING,                 /* there is nothing to do now */
    KEEP_SORTED,                  /* one segment */
    KEEP_MERGING,                 /* a merge got on; it goes on with the next steps */
    KEEP_MERGED,                  /* a merge is done */
};
struct keep_report {
    enum keep_did did;            /* or was tried, when logs_keep() gave an error */
    uint32_t inputs;              /* files that the new one replaces */
    uint64_t serial;              /* of the new file */
    uint64_t bytes_in, bytes_out; /* of the inputs; of the new file, so far */
    uint64_t records, dropped;    /* read so far, and of these let go; marks included */
    /* With ERR_CORRUPT, ERR_NEWER and ERR_IO: the file, and where in it; the new file and 0 when that one could not be
     * written. Empty when the error is a callback's. */
    char bad_file[FS_NAME_MAX + 1];
    uint64_t bad_offset;
    /* What there is afterwards. */
    uint32_t unsorted, tables;    /* closed segments that wait, sorted ones */
    uint64_t source_bytes, written_bytes;   /* over all tables: what was appended, and all that was written for it */
};

/* One step. On an error the list and its files are as before, *.new is removed, and a merge begins again:
 *   ERR_NO_SPACE               there is no room for what ought to be done. Try later
 *   ERR_CORRUPT, ERR_NEWER     an input is bad at report->bad_*: it is left alone until the next start; reading goes on
 *   ERR_IO                     the same; when it was the new file that failed, for all inputs
 *   ERR_NOMEM, or what a callback returned: try later */
int logs_keep(struct logs *logs, const struct keep_how *how, struct keep_report *out);

#endif
