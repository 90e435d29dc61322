/* tiers.h - which sorted tables are merged next: arithmetic over their sizes, no files.
 *
 * The tables stand in order of age, so that what is merged is one stretch of time. A tier is a range of sizes, each a
 * factor of KEEP_FANIN above the one below; one sorted segment falls into the middle one. keep.h tells the rules.
 *
 * Every pick ends: one for what is due leaves nothing dead, and all others leave fewer tables.
 * Thread: any; no state. */
#ifndef PIPIT_STORAGE_TIERS_H
#define PIPIT_STORAGE_TIERS_H

#include "storage/keep.h"

enum {
    /* More tables than this are merged further, whatever was written for them: each is an open file, and a page asks
     * the filter of each. Tiers alone leave about 30, so only many expired ones between large ones come to it.
     *
     * So descriptors are few, however much is stored. Where nothing is picked there are at most so many tables, or no two
     * neighbours make one file: every two of them have more than KEEP_BYTES_MAX together, so that n tables have more than
     * n / 2 - 1 times that. The 65th comes with 2 TiB, the 1,000th with 31 TiB. (Two neighbours of more spans than a file
     * takes need 4,096 stretches of records that do not touch: a table has one for each log.) Segments that wait
     * are few while the keeper can work at all: each wait costs memory long before it is short of descriptors. With no
     * room to merge, sends are refused (disk_reserve) before many come. Of tables that were replaced those stay open that
     * somebody still reads. */
    TIERS_TABLES_MAX = 64,
};

struct tiers_table {
    uint64_t bytes;                     /* what merging it reads, and at most writes */
    uint64_t source_bytes;              /* what was appended for it */
    uint64_t written_bytes;             /* what was written for it behind the log: sorting, merging */
    uint64_t dead_ms;                   /* since when something in it is dead; 0: nothing is */
    uint32_t spans;
};
struct tiers_rule {
    uint64_t segment_bytes;             /* at which a segment is closed */
    uint64_t room;                      /* that a new file may take: at most KEEP_BYTES_MAX is used of it */
    uint64_t now_ms, due_ms;
    bool idle;
};
/* The tables [*first_out, *first_out + *count_out) should become one; one alone is rewritten. False: all is well. */
bool tiers_pick(const struct tiers_table *tables, size_t count, const struct tiers_rule *rule, size_t *first_out,
                size_t *count_out);
/* 0 for the smallest tables. */
unsigned tiers_of(uint64_t bytes, uint64_t segment_bytes);

#endif
