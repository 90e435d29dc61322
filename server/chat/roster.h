/* roster.h - who gets a record: the members as of it, sorted into one slice for each shard.
 *
 * Immutable and counted. A conversation keeps one until its membership changes; messages and parcels on their way hold
 * theirs, so that a removal never takes a message back and never delays one. Thread: any, by reference. */
#ifndef PIPIT_CHAT_ROSTER_H
#define PIPIT_CHAT_ROSTER_H

#include <stdatomic.h>

#include "server/core/core.h"

struct roster_slice { uint16_t shard; uint32_t first, count; };

struct roster {
    _Atomic uint32_t refs;
    uint32_t user_count;
    uint16_t slice_count;
    struct roster_slice *slices;      /* by rising shard */
    struct user_id *users;
};

/* NULL: out of memory. */
struct roster *roster_new(const struct house *house, const struct user_id *users, uint32_t count);
struct roster *roster_ref(struct roster *roster);
void roster_unref(struct roster *roster);         /* NULL is allowed */

#endif
