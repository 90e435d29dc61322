/* sorted_world.h - records for tests of sorted segments, kept in an array beside the file: what a walk of the file must
 * give is what a walk of the array gives. Their sealed parts are noise; storage does not look into them. */
#ifndef PIPIT_TESTS_UNIT_SORTED_WORLD_H
#define PIPIT_TESTS_UNIT_SORTED_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/sorted_impl.h"
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"

#define WORLD_DIR "/log"
#define WORLD_MS UINT64_C(1700000000000)

enum { WORLD_LOGS = 3 };

struct item { struct record record; uint8_t *whole; size_t len; };

struct world {
    struct disk *disk;
    const struct fsio *fs;
    uint64_t random;
    struct item *items;                  /* in the order of the file once world_sort() was called */
    size_t count, cap;
    uint64_t numbers[WORLD_LOGS];        /* the last given */
    uint64_t serial;
    uint32_t block_bytes;                /* 0: as usual */
    char name[SORTED_NAME_BYTES];
    char path[FS_PATH_MAX];
};

static inline void world_init(struct world *w)
{
    *w = (struct world){ .disk = disk_new(1), .random = run_seed(), .serial = 7 };
    w->fs = disk_fs(w->disk);
    assert_int_equal(w->fs->mkdir(w->fs->self, WORLD_DIR), 0);
    assert_int_equal(w->fs->sync_dir(w->fs->self, "/"), 0);
    sorted_name(w->name, w->serial);
    fs_path(w->path, WORLD_DIR, w->name);
}

static inline void world_fini(struct world *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->items[i].whole);
    free(w->items);
    disk_free(w->disk);
}

static inline struct conv_id world_conv(uint32_t number)
{
    struct conv_id conv = { { 0 } };
    put_u32(conv.v, number * UINT32_C(2654435761));      /* spread, so that order and number differ */
    put_u32(conv.v + 12, number);
    return conv;
}

/* A record made from its place in the world and noise. */
static inline void world_add(struct world *w, uint32_t conv, uint64_t seq, uint8_t kind, size_t sealed_bytes)
{
    if (w->count == w->cap) {
        w->cap = w->cap ? 2 * w->cap : 64;
        w->items = realloc(w->items, w->cap * sizeof *w->items);
        assert_non_null(w->items);
    }
    struct item *item = &w->items[w->count++];
    uint8_t *sealed = malloc(sealed_bytes);
    for (size_t i = 0; i < sealed_bytes; i += 8) {
        uint64_t noise = chance(&w->random);
        memcpy(sealed + i, &noise, sealed_bytes - i < 8 ? sealed_bytes - i : 8);
    }
    uint32_t log = (uint32_t)chance_below(&w->random, WORLD_LOGS);
    struct record record = {
        .partition = world_conv(conv), .log = log, .number = ++w->numbers[log], .key = 1 + conv, .seq = seq,
        .kind = kind, .flags = (uint16_t)chance_below(&w->random, 4), .counted = seq / 2,
        .expiry_ms = chance_below(&w->random, 10) ? 0 : WORLD_MS + chance_below(&w->random, 1000000),
        .sealed = bytes_of(sealed, sealed_bytes),
    };
    uint8_t noise[8];
    put_u64(noise, chance(&w->random));
    struct msg_id before = { { 0 } };
    record.id = msg_id_next(&before, WORLD_MS + seq * 1000 + (kind == RECORD_KIND_MARKS ? 500 : 0), noise);
    item->whole = malloc(RECORD_HEADER_BYTES + sealed_bytes);
    item->len = record_restore(&record, item->whole);
    free(sealed);
    size_t len;
    assert_int_equal(record_parse(bytes_of(item->whole, item->len), &item->record, &len), 0);
}

static inline int world_compare(const void *a, const void *b)
{
    return sorted_order(&((const struct item *)a)->record, &((const struct item *)b)->record);
}

static inline void world_sort(struct world *w)
{
    if (w->count > 0)
        qsort(w->items, w->count, sizeof *w->items, world_compare);
}

/* Conversations of skewed size, some sequences missing, marks strewn in, some from 0; records of any size. */
static inline void world_fill(struct world *w, uint32_t convs, uint64_t seqs_max, size_t bytes_max, unsigned marks)
{
    for (uint32_t conv = 0; conv < convs; conv++) {
        uint64_t seqs = 1 + chance_below(&w->random, seqs_max / (1 + conv % 7));
        uint64_t first = chance_below(&w->random, 3) ? 0 : chance_below(&w->random, 1000);
        for (uint64_t seq = first; seq <= first + seqs; seq++) {
            if (seq > 0 && chance_below(&w->random, 12))
                world_add(w, conv, seq, chance_below(&w->random, 9) ? 1 : 2,
                          RECORD_TAG_BYTES + chance_below(&w->random, bytes_max));
            for (unsigned i = (unsigned)chance_below(&w->random, marks + 1); i > 0; i--)
                world_add(w, conv, seq, RECORD_KIND_MARKS, RECORD_TAG_BYTES + 50);
        }
    }
    world_sort(w);
}

/* One for each log with records. Returns how many. */
static inline size_t world_spans(const struct world *w, struct sorted_span spans[static WORLD_LOGS])
{
    size_t count = 0;
    for (uint32_t log = 0; log < WORLD_LOGS; log++)
        if (w->numbers[log] > 0 || log == 0)
            spans[count++] = (struct sorted_span){ log, 1, w->numbers[log] + 1, 1, 10 };
    return count;
}

static inline void world_same_span(const struct sorted_span *a, const struct sorted_span *b)
{
    uint8_t one[SPAN_BYTES], other[SPAN_BYTES];
    span_put(one, a);
    span_put(other, b);
    assert_memory_equal(one, other, SPAN_BYTES);
}

/* Write the items as they stand. The writer's first error, the file gone then. */
static inline int world_write_to(const struct world *w, const struct fsio *fs, struct sorted_meta *meta_out)
{
    struct sorted_making making = { .serial = w->serial, .made_ms = WORLD_MS, .partitions_max = w->count,
                                    .block_bytes = w->block_bytes };
    struct sorted_writer *writer;
    int err = sorted_writer_open(fs, WORLD_DIR, &making, &writer);
    if (err)
        return err;
    for (size_t i = 0; i < w->count; i++) {
        err = sorted_writer_add(writer, &w->items[i].record, bytes_of(w->items[i].whole, w->items[i].len));
        if (err) {
            sorted_writer_abort(writer);
            return err;
        }
    }
    struct sorted_span spans[WORLD_LOGS];
    size_t count = world_spans(w, spans);
    return sorted_writer_finish(writer, spans, count, 1000000, 5000, meta_out);
}

static inline void world_write(const struct world *w)
{
    assert_int_equal(world_write_to(w, w->fs, NULL), 0);
}

static inline struct sorted *world_open(const struct world *w, struct sorted_pins *pins)
{
    struct sorted *table;
    uint64_t bad_offset;
    assert_int_equal(sorted_open(w->fs, WORLD_DIR, w->name, pins, &table, &bad_offset), 0);
    return table;
}

static inline void world_same(const struct item *item, const struct record *record, struct bytes whole)
{
    assert_int_equal(whole.len, item->len);
    assert_memory_equal(whole.at, item->whole, whole.len);
    struct record again;
    size_t len;
    assert_int_equal(record_parse(whole, &again, &len), 0);
    assert_memory_equal(record->partition.v, again.partition.v, 16);
    assert_true(record->seq == again.seq && record->number == again.number && record->log == again.log &&
                record->kind == again.kind && record->sealed.at == again.sealed.at);
}

#endif
