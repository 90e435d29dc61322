/* retain.h - the one rule which records are dead: used where they are read, and where they are let go.
 *
 * A record is dead when its key was erased, when its sender deleted it, when its time has come, when it is older than
 * the node keeps anything, or (where that is wanted) when every device that is owed it has it. What is dead stays dead:
 * time only goes on, cursors and deletes only add up, a device that logs in later is not owed what came before. Marks
 * follow a rule of their own: after `marks_ms` the last of each device is left.
 *
 * retain_judge() and retain_mark_stays() are pure: a record's header, the rules, and rows. struct retain_part holds the
 * rows of one partition, bounded, and fetches more from a facts reader as the sequences rise.
 *
 * A body is unreadable from the moment its record is dead; its bytes leave the disk with the next merge. */
#ifndef PIPIT_STORAGE_RETAIN_H
#define PIPIT_STORAGE_RETAIN_H

#include "storage/facts.h"

enum {
    /* Devices that must have a message, as far as they are held: sixteen for each of two members, and as many again.
     * Of a partition with more of them nothing is dead for being delivered. */
    RETAIN_HOLDERS_MAX = 64,
    RETAIN_DELETED_MAX = 1024,    /* sequences held at a time; the rest is fetched when it is asked for */
};

struct retain_rules {
    uint64_t now_ms;
    uint64_t age_ms;              /* a record older than this is dead; 0: for no age */
    bool drop_delivered;
    uint64_t marks_ms;            /* marks older than this are thinned */
};

struct retain_holder {
    struct device_id device;
    uint64_t since_ms, delivered, member_delivered, member_read;
};

/* What is known of a partition, for the sequence that is judged. */
struct retain_rows {
    const uint64_t *deleted;      /* rising */
    size_t deleted_count;
    const struct retain_holder *holders;
    size_t holder_count;          /* above RETAIN_HOLDERS_MAX: not all of them are there */
};

enum retain_why { RETAIN_STAYS, RETAIN_DELETED, RETAIN_EXPIRED, RETAIN_OLD, RETAIN_DELIVERED };
/* Of any record but marks. */
enum retain_why retain_judge(const struct retain_rules *rules, const struct retain_rows *rows,
                             const struct record *record);
/* A marks record old enough to be thinned, opened: does one of its moves reach the furthest cursor of its device, or of
 * its user's reading? */
bool retain_mark_stays(const struct retain_rows *rows, const struct entry *entry);
/* Is it old enough that its exact time may be gone? */
bool retain_mark_is_old(const struct retain_rules *rules, uint64_t time_ms);

/* -- rows of one partition ---------------------------------------------------------------------------------- */
struct retain_part {
    struct retain_rules rules;
    struct conv_id conv;
    uint64_t deleted[RETAIN_DELETED_MAX];
    size_t deleted_count;
    uint64_t deleted_from, deleted_to;      /* known of these sequences; from > to: of none */
    struct retain_holder holders[RETAIN_HOLDERS_MAX];
    size_t holder_count;
    bool holders_known;
};
/* Forgets all it knew. Touches no disk. */
void retain_part_begin(struct retain_part *part, const struct retain_rules *rules, const struct conv_id *conv);
/* Is this record of the partition dead? Cheapest when sequences rise. Errors of facts. Blocks. */
int retain_part_judge(struct retain_part *part, struct facts *facts, const struct record *record,
                      enum retain_why *why_out);
/* The same question of a marks record older than marks_ms; `entry` is its opened seal. */
int retain_part_mark(struct retain_part *part, struct facts *facts, const struct entry *entry, bool *stays_out);

#endif
