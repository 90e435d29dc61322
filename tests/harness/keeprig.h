/* keeprig.h - logs on a disk, appended to at random and kept: what the keeper is tested with.
 *
 * Conversation c lives in log c % KEEPRIG_LOGS. The rig remembers which record has which number, so that whoever opens
 * the folder again can say that each is there once, or was let go of and might be.
 * Asserts by cmocka. */
#ifndef PIPIT_TESTS_HARNESS_KEEPRIG_H
#define PIPIT_TESTS_HARNESS_KEEPRIG_H

#include "storage/keep.h"
#include "tests/harness/disk.h"

#define KEEPRIG_DIR "/log"

enum {
    KEEPRIG_LOGS = 2,
    KEEPRIG_CONVS = 14,
    KEEPRIG_RECORDS_MAX = 20000,      /* of one log */
    KEEPRIG_SEGMENT_BYTES = 8000,     /* a roll every few commits */
};

struct keeprig_record { uint16_t conv; bool is_mark; uint64_t seq; };
struct keeprig {
    struct disk *disk;
    struct logs *logs;
    struct log *log[KEEPRIG_LOGS];
    uint64_t random;
    uint64_t segment_bytes;
    size_t body_max;
    uint64_t seq[KEEPRIG_CONVS];
    struct keeprig_record *records[KEEPRIG_LOGS];     /* by number */
    uint64_t last[KEEPRIG_LOGS];                      /* the highest number given */
    uint64_t committed[KEEPRIG_LOGS];                 /* known to be durable: must be there */
    uint64_t flushed[KEEPRIG_LOGS];
    bool lets_go;                     /* keeprig_may_go() is the fate */
    struct keep_how how;              /* may be changed between steps */
    struct keep_report report;        /* of the last step */
    uint64_t sorted, merged, dropped, paces, paced_bytes, partitions;
    int pace_err;                     /* what pace() answers the next time */
    bool hurried;
};

void keeprig_init(struct keeprig *rig, struct disk *disk, uint64_t seed);
void keeprig_fini(struct keeprig *rig);               /* the disk stays */
int keeprig_open(struct keeprig *rig);                /* the logs, all facts flushed up to rig->flushed */
void keeprig_close(struct keeprig *rig);
/* One batch of up to `most` records to some log, committed. */
void keeprig_append(struct keeprig *rig, uint64_t most);
void keeprig_flush(struct keeprig *rig);
int keeprig_step(struct keeprig *rig);
void keeprig_settle(struct keeprig *rig);             /* until there is nothing to do */
bool keeprig_may_go(const struct keeprig_record *record);
/* Each record up to `committed` is there once, in its place, bit for bit, and is found; behind them none but what was
 * given. Of those that may go none is there twice. */
void keeprig_check(struct keeprig *rig);
/* Records there are now, in files of any kind. */
uint64_t keeprig_stored(struct keeprig *rig);

#endif
