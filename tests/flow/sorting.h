/* sorting.h - what the keeper makes of the folder of a server that is down. */
#ifndef PIPIT_TESTS_SORTING_H
#define PIPIT_TESTS_SORTING_H

#include "storage/storage.h"
#include "tests/harness/rig.h"

static uint64_t all_flushed(void *arg, uint32_t log)
{
    (void)arg;
    (void)log;
    return UINT64_MAX;
}

static void sort_all(struct rig *rig, uint16_t shards)
{
    char why[256];
    struct store store;
    struct store_opening opening = { .shards = shards, .now_ms = 1700000000000 };
    struct keep_how how = { .flushed = all_flushed, .now_ms = 1700000000000 };
    struct keep_report report;
    assert_int_equal(store_open(fsio_posix(), rig_folder(rig), &opening, &store, why), 0);
    do {
        assert_int_equal(logs_keep(store.logs, &how, &report), 0);
    } while (report.did != KEEP_NOTHING);
    assert_true(report.tables > 0);
    store_close(&store);
}

#endif
