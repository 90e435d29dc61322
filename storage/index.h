/* index.h - where each record of one segment lies, by (partition, sequence), in memory.
 *
 * A hash from partition to two runs of places: its records, by sequence, and its marks, by (place, record number).
 * Records arrive in that order, so a run is only ever appended to and searched by halving; nothing is sorted. When
 * its segment is closed the runs are packed into one piece of memory without slack: 24 bytes a record, 48 and a
 * slot a partition.
 *
 * Thread: while its segment is open, the log's shard; afterwards nothing changes and everyone may read. */
#ifndef PIPIT_STORAGE_INDEX_H
#define PIPIT_STORAGE_INDEX_H

#include "storage/log.h"

struct index_entry {
    uint64_t seq;
    uint64_t number;
    uint32_t offset;
    uint32_t len : 24, kind : 8;
};
struct index_run { struct index_entry *at; uint32_t count, cap; };
struct index_part {
    struct conv_id partition;
    struct index_run records, marks;
};
struct index {
    struct index_part *parts;
    uint32_t part_count, part_cap;
    uint32_t *slots;              /* 1 + place in parts; 0: free */
    uint32_t slot_count;          /* a power of two, at least twice part_count; 0 before the first */
    struct index_entry *packed;   /* all runs, once packed; NULL before */
    uint64_t entry_count;
};

void index_init(struct index *index);
void index_fini(struct index *index);
/* Returns 0, ERR_NOMEM (unchanged), or ERR_CORRUPT: a sequence not above the partition's last, or a mark placed below
 * its last. No log holds that, so who replays one refuses it and who appends asserts. */
int index_add(struct index *index, const struct conv_id *partition, const struct index_entry *entry);
/* A record of this partition is about to be added: what that will look at is fetched into the cache, without waiting.
 * `step` 0 for all of them, then 1, then 2: each needs what the one before has fetched. Changes nothing. */
void index_warm(const struct index *index, const struct conv_id *partition, unsigned step);
/* After the last index_add(). Without memory for it the runs stay as they are: only slack is lost. */
void index_pack(struct index *index);
/* The entries with from <= seq <= to: the first of them in *first_out. */
size_t index_range(const struct index *index, const struct conv_id *partition, enum find_what what, uint64_t from,
                   uint64_t to, const struct index_entry **first_out);
uint64_t index_bytes(const struct index *index);

#endif
