/* keeper.h - the thread that keeps the log in order: closed segments are sorted, sorted ones merged, one step after the
 * other (storage/keep.h says which).
 *
 * Main's shard looks every KEEPER_EVERY_MS whether there is something to do; while there is, a step follows the last one
 * at once. A step reads and writes no faster than keep_mib_per_s, so that who sends and reads meanwhile has the disk,
 * unless segments pile up that wait to be sorted: those are memory. Stopping ends a step within PACE_NAP_MS; nothing is
 * lost by that. When nothing was appended for KEEPER_IDLE_MS the node is idle, and merges further than it must.
 *
 * What fails is said with file and offset and tried again after KEEPER_RETRY_MS; the server goes on: what is not sorted is
 * found all the same. A file that is damaged is left alone until the next start.
 * Thread: main's; the steps run on a thread of their own. */
#ifndef PIPIT_SERVER_KEEPER_H
#define PIPIT_SERVER_KEEPER_H

#include "server/chat/chat.h"
#include "server/config.h"
#include "server/core/core.h"

enum {
    KEEPER_EVERY_MS = 1000,
    KEEPER_RETRY_MS = 30 * 1000,
    KEEPER_IDLE_MS = 60 * 1000,
    KEEPER_NICE = 5,             /* a third of who sends and reads gets, where there is no CPU for all: never nothing */
};

struct keeper;
/* What was done since the start, and what there is since the last step. */
struct keeper_state {
    uint64_t sorted, merged, failed;         /* steps */
    uint64_t bytes_out, dropped;             /* written; records let go */
    uint64_t forgotten;                      /* rows of deleted messages that are off the disk (storage/sweep.h) */
    uint32_t unsorted, tables;               /* closed segments that wait, sorted ones */
    uint64_t source_bytes, written_bytes;    /* over all sorted ones: what was appended, and all written for it */
    int err;                                 /* of the last step; 0: it was good */
};

/* `config` is main's, and may change between two turns of its loop. 0 or ERR_NOMEM. */
int keeper_new(struct house *house, const struct config *config, const struct chat_config *chat,
               struct keeper **keeper_out);
struct worker *keeper_worker(const struct keeper *keeper);       /* to be started and stopped with all others */
void keeper_start(struct keeper *keeper);
void keeper_stop(struct keeper *keeper);         /* a step under way ends soon, and is the last */
void keeper_free(struct keeper *keeper);         /* NULL is allowed */
const struct keeper_state *keeper_state(const struct keeper *keeper);

#endif
