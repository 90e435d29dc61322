/* retain_keep.h - what the keeper asks of each record that it rewrites: may it go? The rule is retain.h's.
 *
 * Records under an erased key go, and what is dead, and marks that are thinned. Thread: the keeper's; blocks. */
#ifndef PIPIT_STORAGE_RETAIN_KEEP_H
#define PIPIT_STORAGE_RETAIN_KEEP_H

#include "storage/keep.h"
#include "storage/retain.h"
#include "storage/sweep.h"
#include "storage/vault.h"

struct retainer {
    struct facts *facts;              /* readers of its own, the caller's to close … */
    struct vault *vault;
    const struct sweep *sweep;        /* what it has found; NULL: nothing is looked for */
    struct retain_rules rules;        /* … and set before each step */
    struct retain_part part;
    struct vault_key key;             /* the last that was asked for; number 0: none */
    bool key_is_gone;
    struct buf plain;
    struct entry_room room;
};
void retainer_init(struct retainer *r, struct facts *facts, struct vault *vault, const struct sweep *sweep);
void retainer_fini(struct retainer *r);                       /* wipes the key */
/* For keep_how.partition and keep_how.fate. */
int retainer_partition(struct retainer *r, const struct conv_id *partition);
int retainer_fate(struct retainer *r, const struct record *record, struct bytes whole, enum fate *fate_out);
/* For keep_how.dead_since: the earliest time that something in it has been dead for, by its expiry, by age, or because it
 * was deleted and the sweep has found it here. What is dead because all have it, or by its key, waits for another
 * reason. */
uint64_t retainer_dead_since(struct retainer *r, struct sorted *table);

#endif
