/* keeprig.c - logs on a disk, appended to and kept. See keeprig.h. */
#include "tests/harness/keeprig.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/logs.h"
#include "storage/view.h"
#include "tests/harness/chance.h"
#include "tests/harness/logrig.h"

static uint64_t on_flushed(void *arg, uint32_t log)
{
    const struct keeprig *rig = arg;
    return log < KEEPRIG_LOGS ? rig->flushed[log] : 0;
}

bool keeprig_may_go(const struct keeprig_record *record)
{
    return record->conv % 3 == 1 && record->seq % 4 == 1;
}

static int on_partition(void *arg, const struct conv_id *partition)
{
    struct keeprig *rig = arg;
    rig->partitions++;
    return 0;
}

static int on_fate(void *arg, const struct record *record, struct bytes whole, enum fate *fate_out)
{
    const struct keeprig *rig = arg;
    assert_true(rig_is_intact(record, whole));
    if (rig->lets_go && keeprig_may_go(&rig->records[record->log][record->number]))
        *fate_out = FATE_DROP;
    return 0;
}

static int on_pace(void *arg, uint64_t bytes, bool hurry)
{
    struct keeprig *rig = arg;
    int err = rig->pace_err;
    rig->paces++;
    rig->paced_bytes += bytes;
    rig->hurried |= hurry;
    rig->pace_err = 0;
    return err;
}

void keeprig_init(struct keeprig *rig, struct disk *disk, uint64_t seed)
{
    *rig = (struct keeprig){ .disk = disk, .random = seed, .segment_bytes = KEEPRIG_SEGMENT_BYTES, .body_max = 300 };
    rig->how = (struct keep_how){ .flushed = on_flushed, .fate = on_fate, .partition = on_partition, .pace = on_pace,
                                  .arg = rig, .now_ms = RIG_NOW_MS };
    for (int i = 0; i < KEEPRIG_LOGS; i++)
        rig->records[i] = calloc(KEEPRIG_RECORDS_MAX + 1, sizeof *rig->records[i]);
}

void keeprig_fini(struct keeprig *rig)
{
    for (int i = 0; i < KEEPRIG_LOGS; i++)
        free(rig->records[i]);
}

int keeprig_open(struct keeprig *rig)
{
    struct logs_opening how = { .segment_bytes = rig->segment_bytes, .now_ms = RIG_NOW_MS, .flushed = on_flushed,
                                .arg = rig };
    struct logs_report report;
    int err = logs_open(disk_fs(rig->disk), KEEPRIG_DIR, &how, &rig->logs, &report);
    if (err) {
        print_message("%s at %s %llu\n", err_name(err), report.bad_file, (unsigned long long)report.bad_offset);
        return err;
    }
    for (uint32_t i = 0; i < KEEPRIG_LOGS; i++)
        assert_int_equal(logs_log(rig->logs, i, &rig->log[i]), 0);
    return 0;
}

void keeprig_close(struct keeprig *rig)
{
    for (uint32_t i = 0; i < KEEPRIG_LOGS; i++)
        log_close(rig->log[i]);
    logs_close(rig->logs);
}

static void note(struct keeprig *rig, uint32_t at, uint32_t conv, uint64_t seq, bool is_mark)
{
    uint64_t number = log_appended(rig->log[at]);
    assert_true(number <= KEEPRIG_RECORDS_MAX);
    rig->last[at] = number;
    rig->records[at][number] = (struct keeprig_record){ .conv = (uint16_t)conv, .is_mark = is_mark, .seq = seq };
}

void keeprig_append(struct keeprig *rig, uint64_t most)
{
    uint32_t at = (uint32_t)chance_below(&rig->random, KEEPRIG_LOGS);
    for (uint64_t n = 1 + chance_below(&rig->random, most); n > 0; n--) {
        uint32_t conv = at + KEEPRIG_LOGS * (uint32_t)chance_below(&rig->random, KEEPRIG_CONVS / KEEPRIG_LOGS);
        if (chance_below(&rig->random, 8) == 0) {
            assert_int_equal(rig_append_mark(rig->log[at], conv, rig->seq[conv]), 0);
            note(rig, at, conv, rig->seq[conv], true);
            continue;
        }
        size_t len = chance_below(&rig->random, 30) ? chance_below(&rig->random, rig->body_max) : 5000;
        assert_int_equal(rig_append(rig->log[at], conv, ++rig->seq[conv], len), 0);
        note(rig, at, conv, rig->seq[conv], false);
    }
    assert_int_equal(log_commit(rig->log[at]), 0);
    rig->committed[at] = log_committed(rig->log[at]);
}

void keeprig_flush(struct keeprig *rig)
{
    for (int i = 0; i < KEEPRIG_LOGS; i++)
        rig->flushed[i] = rig->committed[i];
}

int keeprig_step(struct keeprig *rig)
{
    int err = logs_keep(rig->logs, &rig->how, &rig->report);
    if (!err && rig->report.did != KEEP_NOTHING) {
        rig->sorted += rig->report.did == KEEP_SORTED;
        rig->merged += rig->report.did == KEEP_MERGED;
        rig->dropped += rig->report.did != KEEP_MERGING ? rig->report.dropped : 0;
    }
    return err;
}

void keeprig_settle(struct keeprig *rig)
{
    int steps = 0;
    do {
        assert_int_equal(keeprig_step(rig), 0);
        assert_true(steps++ < KEEPRIG_RECORDS_MAX);
    } while (rig->report.did != KEEP_NOTHING);
}

/* ---- checking ---- */

/* How often each record number is stored, by log. */
struct counts { uint8_t of[KEEPRIG_LOGS][KEEPRIG_RECORDS_MAX + 1]; };

static void count_segment(const struct segment *segment, uint8_t *counts)
{
    for (uint32_t i = 0; i < segment->index.part_count; i++) {
        const struct index_part *part = &segment->index.parts[i];
        for (uint32_t k = 0; k < part->records.count; k++)
            counts[part->records.at[k].number]++;
        for (uint32_t k = 0; k < part->marks.count; k++)
            counts[part->marks.at[k].number]++;
    }
}

static void count_table(const struct keeprig *rig, struct sorted *table, struct counts *counts)
{
    struct sorted_scan *scan;
    struct record record;
    struct bytes whole;
    int err;
    assert_int_equal(sorted_scan_open(table, &scan), 0);
    while (!(err = sorted_scan_next(scan, &record, &whole, NULL))) {
        assert_true(rig_is_intact(&record, whole));
        const struct keeprig_record *given = &rig->records[record.log][record.number];
        assert_true(rig_conv_number(&record.partition) == given->conv && record.seq == given->seq);
        counts->of[record.log][record.number]++;
    }
    assert_int_equal(err, ERR_END);
    sorted_scan_close(scan);
}

static struct counts *count_all(const struct keeprig *rig)
{
    struct counts *counts = calloc(1, sizeof *counts);
    struct segment_list *list = list_get(rig->logs);
    for (size_t i = 0; i < list->segment_count; i++)
        count_segment(list->segments[i], counts->of[list->segments[i]->head.log]);
    for (size_t i = 0; i < list->table_count; i++)
        count_table(rig, list->tables[i], counts);
    list_unref(list);
    for (uint32_t at = 0; at < KEEPRIG_LOGS; at++)
        count_segment(rig->log[at]->segment, counts->of[at]);
    return counts;
}

/* Whether a page says of each sequence (or mark) of the conversation what the counts say. */
static void check_found(struct keeprig *rig, uint32_t conv, enum find_what what, const struct counts *counts)
{
    uint32_t at = conv % KEEPRIG_LOGS;
    struct find find = { .partition = rig_conv(conv), .what = what, .to = UINT64_MAX, .max = KEEPRIG_RECORDS_MAX,
                         .bytes_max = SIZE_MAX, .newest = chance_below(&rig->random, 2) };
    struct record_page page;
    struct view *view = log_view(rig->log[at], &find);
    record_page_init(&page);
    assert_non_null(view);
    assert_int_equal(view_read(view, &page), 0);
    size_t found = 0;
    for (uint64_t n = 1; n <= rig->last[at]; n++) {
        const struct keeprig_record *given = &rig->records[at][n];
        if (!counts->of[at][n] || given->conv != conv || given->is_mark != (what == FIND_MARKS))
            continue;
        assert_true(found < page.count);
        const struct page_record *got = &page.records[found++];
        assert_true(got->record.number == n && got->record.seq == given->seq);
        assert_true(rig_is_intact(&got->record, got->whole));
    }
    assert_int_equal(found, page.count);
    record_page_fini(&page);
    view_free(view);
}

void keeprig_check(struct keeprig *rig)
{
    struct counts *counts = count_all(rig);
    for (uint32_t at = 0; at < KEEPRIG_LOGS; at++) {
        assert_true(rig->committed[at] <= rig->last[at]);
        for (uint64_t n = 1; n <= rig->last[at]; n++) {
            bool may_lack = n > rig->committed[at] || (rig->lets_go && keeprig_may_go(&rig->records[at][n]));
            assert_true(counts->of[at][n] == 1 || (counts->of[at][n] == 0 && may_lack));
        }
    }
    for (uint32_t conv = 0; conv < KEEPRIG_CONVS; conv++) {
        check_found(rig, conv, FIND_RECORDS, counts);
        check_found(rig, conv, FIND_MARKS, counts);
    }
    free(counts);
}

uint64_t keeprig_stored(struct keeprig *rig)
{
    struct counts *counts = count_all(rig);
    uint64_t all = 0;
    for (uint32_t at = 0; at < KEEPRIG_LOGS; at++)
        for (uint64_t n = 1; n <= rig->last[at]; n++)
            all += counts->of[at][n];
    free(counts);
    return all;
}
