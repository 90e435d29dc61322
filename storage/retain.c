/* retain.c - which records are dead. See retain.h. */
#include "storage/retain.h"

#include <string.h>

/* -- the rule --------------------------------------------------------------------------------------------- */

static bool is_deleted(const struct retain_rows *rows, uint64_t seq)
{
    size_t low = 0, high = rows->deleted_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows->deleted[middle] < seq) low = middle + 1;
        else high = middle;
    }
    return low < rows->deleted_count && rows->deleted[low] == seq;
}

/* Every member has it on a device, and every device that is owed it has acknowledged it. */
static bool all_have(const struct retain_rows *rows, const struct record *record)
{
    uint64_t made_ms = msg_id_ms(&record->id);
    if (rows->holder_count == 0 || rows->holder_count > RETAIN_HOLDERS_MAX) return false;
    for (size_t i = 0; i < rows->holder_count; i++) {
        const struct retain_holder *h = &rows->holders[i];
        if (h->member_delivered < record->seq) return false;
        bool is_owed = h->device.v != 0 && h->since_ms <= made_ms;
        if (is_owed && h->delivered < record->seq) return false;
    }
    return true;
}

enum retain_why retain_judge(const struct retain_rules *rules, const struct retain_rows *rows,
                             const struct record *record)
{
    if (is_deleted(rows, record->seq)) return RETAIN_DELETED;
    if (record->expiry_ms && record->expiry_ms <= rules->now_ms) return RETAIN_EXPIRED;
    if (rules->age_ms && msg_id_ms(&record->id) + rules->age_ms <= rules->now_ms) return RETAIN_OLD;
    if (rules->drop_delivered && all_have(rows, record)) return RETAIN_DELIVERED;
    return RETAIN_STAYS;
}

bool retain_mark_is_old(const struct retain_rules *rules, uint64_t time_ms)
{
    return time_ms + rules->marks_ms <= rules->now_ms;
}

bool retain_mark_stays(const struct retain_rows *rows, const struct entry *entry)
{
    if (rows->holder_count > RETAIN_HOLDERS_MAX) return true;
    for (uint32_t i = 0; i < entry->mark_count; i++) {
        const struct mark *mark = &entry->marks[i];
        for (size_t k = 0; k < rows->holder_count; k++) {
            const struct retain_holder *h = &rows->holders[k];
            if (h->device.v != mark->device.v) continue;
            if (mark->delivered && mark->delivered >= h->delivered) return true;
            if (mark->read && mark->read >= h->member_read) return true;
        }
    }
    return false;
}

/* -- rows of one partition ---------------------------------------------------------------------------------- */

void retain_part_begin(struct retain_part *part, const struct retain_rules *rules, const struct conv_id *conv)
{
    part->rules = *rules;
    part->conv = *conv;
    part->deleted_count = 0;
    part->deleted_from = 1;
    part->deleted_to = 0;
    part->holder_count = 0;
    part->holders_known = false;
}

static int take_holder(void *arg, const struct holder_row *row)
{
    struct retain_part *part = arg;
    if (part->holder_count++ >= RETAIN_HOLDERS_MAX) return 0;
    part->holders[part->holder_count - 1] = (struct retain_holder){
        .device = row->device, .since_ms = row->since_ms, .delivered = row->delivered,
        .member_delivered = row->member_delivered, .member_read = row->member_read,
    };
    return 0;
}

static int know_holders(struct retain_part *part, struct facts *facts)
{
    if (part->holders_known) return 0;
    part->holder_count = 0;
    int err = facts_holders(facts, &part->conv, take_holder, part);
    part->holders_known = !err;
    return err;
}

/* Fetch what was deleted from `seq` on: as many as there is room for. */
static int know_deleted(struct retain_part *part, struct facts *facts, uint64_t seq)
{
    enum { AT_ONCE = 128 };
    struct deleted_row rows[AT_ONCE];
    size_t count = AT_ONCE;
    if (seq >= part->deleted_from && seq <= part->deleted_to) return 0;
    part->deleted_count = 0;
    part->deleted_from = seq;
    part->deleted_to = 0;
    while (part->deleted_count + AT_ONCE <= RETAIN_DELETED_MAX && count == AT_ONCE) {
        uint64_t from = part->deleted_count ? part->deleted[part->deleted_count - 1] + 1 : seq;
        int err = facts_deleted(facts, &part->conv, from, UINT64_MAX, AT_ONCE, rows, &count);
        if (err) return err;
        for (size_t i = 0; i < count; i++) part->deleted[part->deleted_count++] = rows[i].seq;
    }
    part->deleted_to = count < AT_ONCE ? UINT64_MAX : part->deleted[part->deleted_count - 1];
    return 0;
}

static struct retain_rows rows_of(const struct retain_part *part)
{
    return (struct retain_rows){ part->deleted, part->deleted_count, part->holders, part->holder_count };
}

int retain_part_judge(struct retain_part *part, struct facts *facts, const struct record *record,
                      enum retain_why *why_out)
{
    int err = know_deleted(part, facts, record->seq);
    if (!err && part->rules.drop_delivered) err = know_holders(part, facts);
    if (err) return err;
    struct retain_rows rows = rows_of(part);
    *why_out = retain_judge(&part->rules, &rows, record);
    return 0;
}

int retain_part_mark(struct retain_part *part, struct facts *facts, const struct entry *entry, bool *stays_out)
{
    int err = know_holders(part, facts);
    if (err) return err;
    struct retain_rows rows = rows_of(part);
    *stays_out = retain_mark_stays(&rows, entry);
    return 0;
}
