/* index.c - where each record of one segment lies. See index.h for its shape.
 *
 * The hash is open addressing with linear probing over XXH3 of the partition: one table for a whole segment is looked
 * at by every find that passes it, so a miss must cost about one cache line. Partitions never leave, so there is no
 * deletion. */
#include "storage/index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"

enum {
    SLOTS_FIRST = 16,
    /* Most partitions of a segment have a handful of records: two people saying good morning. */
    RUN_FIRST = 4,
};

void index_init(struct index *index)
{
    *index = (struct index){ 0 };
}

void index_fini(struct index *index)
{
    for (uint32_t i = 0; !index->packed && i < index->part_count; i++) {
        free(index->parts[i].records.at);
        free(index->parts[i].marks.at);
    }
    free(index->packed);
    free(index->parts);
    free(index->slots);
    *index = (struct index){ 0 };
}

/* The slot that holds the partition, or the free one where it belongs. */
static uint32_t *slot_of(const struct index *index, const struct conv_id *partition)
{
    uint32_t mask = index->slot_count - 1;
    uint32_t i = (uint32_t)XXH3_64bits(partition->v, sizeof partition->v) & mask;
    while (index->slots[i] && !conv_id_equal(&index->parts[index->slots[i] - 1].partition, partition))
        i = (i + 1) & mask;
    return &index->slots[i];
}

static struct index_part *part_find(const struct index *index, const struct conv_id *partition)
{
    if (!index->slot_count)
        return NULL;
    uint32_t slot = *slot_of(index, partition);
    return slot ? &index->parts[slot - 1] : NULL;
}

/* Room for one more partition. */
static int parts_grow(struct index *index)
{
    if (index->part_count == index->part_cap) {
        uint32_t cap = index->part_cap ? 2 * index->part_cap : SLOTS_FIRST / 2;
        struct index_part *parts = realloc(index->parts, cap * sizeof *parts);
        if (!parts)
            return ERR_NOMEM;
        index->parts = parts;
        index->part_cap = cap;
    }
    if (2 * (index->part_count + 1) <= index->slot_count)
        return 0;
    uint32_t count = index->slot_count ? 2 * index->slot_count : SLOTS_FIRST;
    uint32_t *slots = calloc(count, sizeof *slots);
    if (!slots)
        return ERR_NOMEM;
    free(index->slots);
    index->slots = slots;
    index->slot_count = count;
    for (uint32_t i = 0; i < index->part_count; i++)
        *slot_of(index, &index->parts[i].partition) = i + 1;
    return 0;
}

static int part_get(struct index *index, const struct conv_id *partition, struct index_part **part_out)
{
    *part_out = part_find(index, partition);
    if (*part_out)
        return 0;
    int err = parts_grow(index);
    if (err)
        return err;
    struct index_part *part = &index->parts[index->part_count++];
    *part = (struct index_part){ .partition = *partition };
    *slot_of(index, partition) = index->part_count;
    *part_out = part;
    return 0;
}

static int run_add(struct index_run *run, const struct index_entry *entry)
{
    if (run->count == run->cap) {
        uint32_t cap = run->cap ? 2 * run->cap : RUN_FIRST;
        struct index_entry *at = realloc(run->at, cap * sizeof *at);
        if (!at)
            return ERR_NOMEM;
        run->at = at;
        run->cap = cap;
    }
    run->at[run->count++] = *entry;
    return 0;
}

int index_add(struct index *index, const struct conv_id *partition, const struct index_entry *entry)
{
    assert(!index->packed);
    struct index_part *part;
    int err = part_get(index, partition, &part);
    if (err)
        return err;
    bool is_mark = entry->kind == RECORD_KIND_MARKS;
    struct index_run *run = is_mark ? &part->marks : &part->records;
    if (run->count > 0) {
        uint64_t last = run->at[run->count - 1].seq;
        if (is_mark ? entry->seq < last : entry->seq <= last)
            return ERR_CORRUPT;
    }
    err = run_add(run, entry);
    if (!err)
        index->entry_count++;
    return err;
}

void index_warm(const struct index *index, const struct conv_id *partition, unsigned step)
{
    if (!index->slot_count)
        return;
    uint32_t slot = (uint32_t)XXH3_64bits(partition->v, sizeof partition->v) & (index->slot_count - 1);
    if (step == 0) {
        __builtin_prefetch(&index->slots[slot]);
        return;
    }
    if (!index->slots[slot])
        return;
    /* Where probing went on it is another's, and nothing is gained. */
    const struct index_part *part = &index->parts[index->slots[slot] - 1];
    if (step == 1) {
        __builtin_prefetch(part);
        __builtin_prefetch((const char *)part + sizeof *part - 1);
    } else if (part->records.at) {
        __builtin_prefetch(part->records.at + (part->records.count ? part->records.count - 1 : 0));
    }
}

static struct index_entry *run_pack(struct index_run *run, struct index_entry *to)
{
    if (run->count)
        memcpy(to, run->at, run->count * sizeof *to);
    free(run->at);
    *run = (struct index_run){ to, run->count, run->count };
    return to + run->count;
}

void index_pack(struct index *index)
{
    if (index->packed || !index->entry_count)
        return;
    index->packed = malloc(index->entry_count * sizeof *index->packed);
    if (!index->packed)
        return;
    struct index_entry *to = index->packed;
    for (uint32_t i = 0; i < index->part_count; i++) {
        to = run_pack(&index->parts[i].records, to);
        to = run_pack(&index->parts[i].marks, to);
    }
    assert(to == index->packed + index->entry_count);
    struct index_part *parts = realloc(index->parts, index->part_count * sizeof *parts);
    if (parts) {
        index->parts = parts;
        index->part_cap = index->part_count;
    }
}

/* How many entries at the start of the run lie below `seq`. */
static uint32_t run_below(const struct index_run *run, uint64_t seq)
{
    uint32_t low = 0, high = run->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (run->at[middle].seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t index_range(const struct index *index, const struct conv_id *partition, enum find_what what, uint64_t from,
                   uint64_t to, const struct index_entry **first_out)
{
    const struct index_part *part = part_find(index, partition);
    *first_out = NULL;
    if (!part || from > to)
        return 0;
    const struct index_run *run = what == FIND_MARKS ? &part->marks : &part->records;
    uint32_t first = run_below(run, from);
    uint32_t end = to == UINT64_MAX ? run->count : run_below(run, to + 1);
    if (end > first)
        *first_out = run->at + first;
    return end - first;
}

uint64_t index_bytes(const struct index *index)
{
    uint64_t bytes = (uint64_t)index->part_cap * sizeof *index->parts +
                     (uint64_t)index->slot_count * sizeof *index->slots;
    if (index->packed)
        return bytes + index->entry_count * sizeof *index->packed;
    for (uint32_t i = 0; i < index->part_count; i++)
        bytes += ((uint64_t)index->parts[i].records.cap + index->parts[i].marks.cap) * sizeof(struct index_entry);
    return bytes;
}
