/* retain_keep.c - see retain_keep.h. */
#include "storage/retain_keep.h"

#include <sodium.h>
#include <string.h>

#include "proto/err.h"
#include "storage/sorted.h"

void retainer_init(struct retainer *r, struct facts *facts, struct vault *vault, const struct sweep *sweep)
{
    memset(r, 0, sizeof *r);
    r->sweep = sweep;
    r->facts = facts;
    r->vault = vault;
    buf_init(&r->plain, RECORD_BYTES_MAX);
}

void retainer_fini(struct retainer *r)
{
    buf_fini(&r->plain);
    sodium_memzero(&r->key, sizeof r->key);
}

int retainer_partition(struct retainer *r, const struct conv_id *partition)
{
    retain_part_begin(&r->part, &r->rules, partition);
    r->key.number = 0;                /* it may have been erased since */
    return 0;
}

static int need_key(struct retainer *r, uint64_t number)
{
    if (r->key.number == number && number != 0) return 0;
    int err = vault_get_number(r->vault, number, &r->key);
    r->key_is_gone = err == ERR_GONE;
    if (err && err != ERR_GONE) {
        r->key.number = 0;
        return err;
    }
    r->key.number = number;
    return 0;
}

static int marks_stay(struct retainer *r, const struct record *record, struct bytes whole, bool *stays_out)
{
    struct entry entry;
    *stays_out = true;
    if (!retain_mark_is_old(&r->rules, msg_id_ms(&record->id))) return 0;
    int err = record_open(whole, record, r->key.key, &r->plain, &r->room, &entry);
    return err ? err : retain_part_mark(&r->part, r->facts, &entry, stays_out);
}

int retainer_fate(struct retainer *r, const struct record *record, struct bytes whole, enum fate *fate_out)
{
    enum retain_why why = RETAIN_STAYS;
    bool stays = true;
    int err = need_key(r, record->key);
    if (!err && r->key_is_gone) stays = false;
    else if (!err && record->kind == RECORD_KIND_MARKS) err = marks_stay(r, record, whole, &stays);
    else if (!err) err = retain_part_judge(&r->part, r->facts, record, &why);
    *fate_out = stays && why == RETAIN_STAYS ? FATE_KEEP : FATE_DROP;
    return err;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

uint64_t retainer_dead_since(struct retainer *r, struct sorted *table)
{
    const struct sorted_meta *meta = sorted_meta(table);
    const struct retain_rules *rules = &r->rules;
    uint64_t since_ms = meta->expiry_min_ms <= rules->now_ms ? meta->expiry_min_ms : 0;
    uint64_t old_ms = rules->age_ms && meta->records ? msg_id_ms(&meta->min_id) + rules->age_ms : 0;
    if (old_ms <= rules->now_ms) since_ms = earlier(since_ms, old_ms);
    return r->sweep ? earlier(since_ms, sweep_dead_since(r->sweep, table)) : since_ms;
}
