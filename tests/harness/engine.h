/* engine.h - the store beside a model of it: random appends, pages, sorts, merges, erases, restarts and crashes.
 *
 * What a record holds follows from its conversation and sequence, so the model of a conversation is a few numbers, with
 * no pointer in them: it may lie in memory that survives the process that works on the store (tests/soak). After every
 * act of reading, what the store gave is compared with what the model says must be there, bit for bit.
 *
 * Removing: `gone_to` rises now and then, as an age limit does; what lies at or below it may be found or not, and leaves
 * the disk with the next merge. `erased_to`: the key of all up to there was destroyed; none of it may ever open again. */
#ifndef PIPIT_TESTS_HARNESS_ENGINE_H
#define PIPIT_TESTS_HARNESS_ENGINE_H

#include <stdatomic.h>

#include "storage/storage.h"

enum { ENGINE_CONVS = 24, ENGINE_LOGS_MAX = 3, ENGINE_WHY_MAX = 200 };

struct engine_conv {
    uint64_t committed;           /* these must be there */
    uint64_t given;               /* these may be: handed to a commit that has not answered */
    _Atomic uint64_t gone_to, erased_to;
    bool erasing;                 /* an erase was begun and not answered: either way is right */
};
struct engine_model {
    struct engine_conv convs[ENGINE_CONVS];
    uint64_t acts, records, pages, erases, opens;
    _Atomic uint64_t sorts, merges;
};

struct engine;
/* Opens the store in `dir` with `shards` logs and takes from it where each conversation ends, which must be between what
 * was committed and what was given; then compares all of it with the model. 0, or ERR_*; ERR_CORRUPT with a `why` when
 * store and model differ. The model is the caller's. */
int engine_open(const struct fsio *fs, const char *dir, uint32_t shards, uint64_t seed, struct engine_model *model,
                struct engine **engine_out, char why[static ENGINE_WHY_MAX]);
/* One act, drawn at random. Errors as above; those of a disk that was told to fail come as they are. */
int engine_act(struct engine *engine, char why[static ENGINE_WHY_MAX]);
/* From now on a thread of its own keeps, beside the acts; 0 or ERR_NOMEM. */
int engine_keep_beside(struct engine *engine);
/* Every record of every conversation, both ways. */
int engine_compare(struct engine *engine, char why[static ENGINE_WHY_MAX]);
void engine_close(struct engine *engine);     /* as a server stops */
void engine_abandon(struct engine *engine);   /* as a server is killed: memory is freed, nothing more is written */

#endif
