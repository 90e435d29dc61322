/* log_world.h - a log of its own on a simulated disk: what the tests of log.c begin with. */
#ifndef PIPIT_TESTS_LOG_WORLD_H
#define PIPIT_TESTS_LOG_WORLD_H

#include <stdlib.h>

#include "storage/logs.h"
#include "tests/harness/disk.h"
#include "tests/harness/logrig.h"

#define DIR "/log"

struct rig {
    struct disk *disk;
    struct logs *logs;
    struct log *log;
    struct logs_report report;
};

static void rig_open(struct rig *rig, uint64_t segment_bytes)
{
    assert_int_equal(rig_logs_open(disk_fs(rig->disk), DIR, segment_bytes, &rig->logs, &rig->report), 0);
    assert_int_equal(logs_log(rig->logs, 0, &rig->log), 0);
}

static void rig_close(struct rig *rig)
{
    log_close(rig->log);
    logs_close(rig->logs);
    rig->log = NULL;
    rig->logs = NULL;
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->disk = disk_new(1);
    rig_open(rig, 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    disk_free(rig->disk);
    free(rig);
    return 0;
}

#endif
