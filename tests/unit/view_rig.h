/* view_rig.h - logs, a keeper and a model of what was committed to them, made of arrays: for tests of pages. */
#ifndef PIPIT_TESTS_UNIT_VIEW_RIG_H
#define PIPIT_TESTS_UNIT_VIEW_RIG_H

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/keep.h"
#include "storage/logs.h"
#include "storage/view.h"
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"
#include "tests/harness/logrig.h"

#define DIR "/log"

enum { LOGS = 3, CONVS = 5, SEQS_MAX = 4000, MARKS_MAX = 4000, BODY_MAX = 300, SEGMENT_BYTES = 6000 };

/* What was committed, and where its places are: nothing of how it is stored. */
struct model_mark { uint64_t seq, number; uint32_t log; };
struct model {
    uint64_t seqs;
    size_t bytes[SEQS_MAX + 1];           /* of each record */
    struct model_mark marks[MARKS_MAX];
    size_t mark_count;
};

struct rig {
    struct disk *disk;
    struct logs *logs;
    struct log *log[LOGS];
    uint32_t home[CONVS];                 /* which log a conversation is appended to, until the next start */
    struct model conv[CONVS];
    uint64_t segment_bytes;
    struct record_page page;
};

static inline void rig_open(struct rig *rig)
{
    struct logs_report report;
    assert_int_equal(rig_logs_open(disk_fs(rig->disk), DIR, rig->segment_bytes, &rig->logs, &report), 0);
    for (uint32_t i = 0; i < LOGS; i++)
        assert_int_equal(logs_log(rig->logs, i, &rig->log[i]), 0);
}

static inline void rig_close(struct rig *rig)
{
    for (uint32_t i = 0; i < LOGS; i++)
        log_close(rig->log[i]);
    logs_close(rig->logs);
}

static inline int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    *state = rig;
    rig->disk = disk_new(1);
    rig->segment_bytes = SEGMENT_BYTES;
    record_page_init(&rig->page);
    rig_open(rig);
    return 0;
}

static inline int teardown(void **state)
{
    struct rig *rig = *state;
    record_page_fini(&rig->page);
    rig_close(rig);
    disk_free(rig->disk);
    free(rig);
    return 0;
}

static inline void add(struct rig *rig, uint32_t conv, size_t body)
{
    struct model *m = &rig->conv[conv];
    struct rig_message message;
    assert_true(m->seqs < SEQS_MAX);
    m->seqs++;
    rig_message(&message, conv, m->seqs, body);
    m->bytes[m->seqs] = record_bytes(&message.head, &message.entry);
    assert_int_equal(rig_append(rig->log[rig->home[conv]], conv, m->seqs, body), 0);
}

static inline void add_mark(struct rig *rig, uint32_t conv)
{
    struct model *m = &rig->conv[conv];
    uint32_t log = rig->home[conv];
    assert_true(m->mark_count < MARKS_MAX);
    assert_int_equal(rig_append_mark(rig->log[log], conv, m->seqs), 0);
    m->marks[m->mark_count++] = (struct model_mark){ m->seqs, log_appended(rig->log[log]), log };
}

static inline void commit(struct rig *rig)
{
    for (uint32_t i = 0; i < LOGS; i++)
        assert_int_equal(log_commit(rig->log[i]), 0);
}

static inline uint64_t all_flushed(void *arg, uint32_t log)
{
    return log < LOGS ? log_committed(((struct rig *)arg)->log[log]) : 0;
}

/* One step of the keeper. Whether it did anything. */
static inline bool keep(struct rig *rig, bool idle)
{
    struct keep_how how = { .flushed = all_flushed, .arg = rig, .now_ms = RIG_NOW_MS, .idle = idle };
    struct keep_report report;
    assert_int_equal(logs_keep(rig->logs, &how, &report), 0);
    return report.did != KEEP_NOTHING;
}

static inline void keep_all(struct rig *rig, bool idle)
{
    while (keep(rig, idle))
        continue;
}

/* A start: everything is closed and opened, and conversations may move to another log. */
static inline void restart(struct rig *rig)
{
    rig_close(rig);
    rig_open(rig);
}

static inline int read_page(struct rig *rig, const struct find *find)
{
    struct view *view = log_view(rig->log[rig->home[rig_conv_number(&find->partition)]], find);
    assert_non_null(view);
    int err = view_read(view, &rig->page);
    view_free(view);
    return err;
}

/* ---- the model's answer ---- */

static inline int mark_order(const void *a, const void *b)
{
    const struct model_mark *x = a, *y = b;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->log < y->log ? -1 : x->log > y->log;
}

static inline bool is_in(const struct model_mark *mark, const struct find *find)
{
    const struct model_mark after = { find->from, find->after.number, find->after.log };
    return mark->seq >= find->from && mark->seq <= find->to && mark_order(&after, mark) < 0;
}

/* Walks from one end until max or bytes_max stops it. */
static inline void check_records(struct rig *rig, const struct find *find)
{
    const struct model *m = &rig->conv[rig_conv_number(&find->partition)];
    uint64_t low = find->from > 1 ? find->from : 1, high = find->to < m->seqs ? find->to : m->seqs;
    uint64_t in_range = high >= low ? high - low + 1 : 0, count = 0, bytes = 0;
    while (count < in_range && count < find->max) {
        size_t next = m->bytes[find->newest ? high - count : low + count];
        if (count > 0 && bytes + next > find->bytes_max)
            break;
        bytes += next;
        count++;
    }
    assert_int_equal(rig->page.count, count);
    if (count < in_range)
        assert_true(rig->page.more);
    else if (count < find->max)
        assert_false(rig->page.more);
    for (uint64_t i = 0; i < count; i++) {
        const struct page_record *r = &rig->page.records[i];
        assert_int_equal(r->record.seq, find->newest ? high - count + 1 + i : low + i);
        assert_true(conv_id_equal(&r->record.partition, &find->partition));
        assert_true(rig_is_intact(&r->record, r->whole));
    }
}

static inline void check_marks(struct rig *rig, const struct find *find)
{
    struct model *m = &rig->conv[rig_conv_number(&find->partition)];
    static struct model_mark in[MARKS_MAX];
    size_t in_range = 0;
    for (size_t i = 0; i < m->mark_count; i++)
        if (is_in(&m->marks[i], find))
            in[in_range++] = m->marks[i];
    qsort(in, in_range, sizeof in[0], mark_order);
    size_t count = rig->page.count;
    assert_true(count <= in_range && count <= find->max);
    assert_true(count == in_range || rig->page.more);
    if (find->bytes_max == SIZE_MAX)
        assert_int_equal(count, in_range < find->max ? in_range : find->max);
    assert_true(count > 0 || in_range == 0);
    const struct model_mark *first = find->newest ? in + (in_range - count) : in;
    for (size_t i = 0; i < count; i++) {
        const struct page_record *r = &rig->page.records[i];
        assert_int_equal(r->record.kind, RECORD_KIND_MARKS);
        assert_int_equal(r->record.seq, first[i].seq);
        assert_int_equal(r->record.number, first[i].number);
        assert_int_equal(r->record.log, first[i].log);
        assert_true(rig_is_intact(&r->record, r->whole));
    }
}

static inline struct find find_all(uint32_t conv, enum find_what what)
{
    return (struct find){ .partition = rig_conv(conv), .what = what, .from = 0, .to = UINT64_MAX, .max = 100000,
                          .bytes_max = SIZE_MAX };
}

static inline struct find find_any(const struct rig *rig, uint64_t *random)
{
    uint32_t conv = (uint32_t)chance_below(random, CONVS);
    uint64_t seqs = rig->conv[conv].seqs;
    struct find find = find_all(conv, chance_below(random, 4) ? FIND_RECORDS : FIND_MARKS);
    if (chance_below(random, 3)) {
        find.from = chance_below(random, seqs + 3);
        find.to = chance_below(random, 3) ? find.from + chance_below(random, seqs + 3) : UINT64_MAX;
    }
    find.newest = chance_below(random, 2);
    if (chance_below(random, 4))
        find.max = 1 + chance_below(random, 60);
    const struct model *m = &rig->conv[conv];
    if (find.what == FIND_MARKS && !find.newest && m->mark_count && chance_below(random, 2)) {
        const struct model_mark *mark = &m->marks[chance_below(random, m->mark_count)];
        find.from = mark->seq;
        find.to = UINT64_MAX;
        find.after = (struct position){ mark->log, mark->number };
    }
    if (!chance_below(random, 3))
        find.bytes_max = chance_below(random, 20 * BODY_MAX);
    return find;
}

static inline void check(struct rig *rig, const struct find *find)
{
    assert_int_equal(read_page(rig, find), 0);
    if (find->what == FIND_RECORDS)
        check_records(rig, find);
    else
        check_marks(rig, find);
}

#endif
