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
     * the filter of each. Tiers alone leave about 30, so only many expired ones between large ones come to it. */
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
