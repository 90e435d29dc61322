/* test_store_crash.c - log, facts and keys lose power together, at every operation of a recorded run.
 *
 * What must hold is told in storerig.h. The run is recorded once: conversations are opened, batches synced, folds
 * flushed, the disk is full for a while, the server restarts with another number of shards. Then the disk is
 * taken back to each of its operations, loses power in one of the ways disk.h knows, and is opened again.
 *
 * CRASH_ROUNDS (default 1) multiplies the runs; PIPIT_SEED repeats them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "proto/msg.h"
#include "tests/harness/chance.h"
#include "tests/harness/logrig.h"
#include "tests/harness/sanitized.h"
#include "tests/harness/storerig.h"

enum {
    SANITIZED = SANITIZED_THREAD || SANITIZED_ADDRESS,
    IMAGES = SANITIZED ? 150 : 1500,      /* of each round; a run has some 2,500 operations, four images each */
    FAILURES = SANITIZED ? 8 : 40,
};

enum { RUN_STEPS = 500, FULL_STEPS = 60, FAILING_STEPS = 150 };

static uint64_t seed;

static unsigned rounds(void)
{
    const char *given = getenv("CRASH_ROUNDS");
    int n = given ? atoi(given) : 1;
    return n > 0 ? (unsigned)n : 1;
}

static void store_opened(struct disk *disk, uint32_t shards, struct store *store, uint64_t ops)
{
    struct store_opening how = { .shards = shards, .now_ms = RIG_NOW_MS, .segment_bytes = RIG_SEGMENT_BYTES };
    char why[256];
    int err = store_open(disk_fs(disk), RIG_DIR, &how, store, why);
    if (err) fail_msg("after %llu operations: %s: %s", (unsigned long long)ops, err_name(err), why);
}

/* Open what the power left of `disk` after `ops` of its operations; then again, when nothing may have changed. */
static void check_image(const struct storerig *rig, struct disk *disk, uint64_t ops, enum disk_crash mode,
                        uint64_t salt)
{
    struct disk *after = disk_crash(disk, mode, seed + salt);
    struct store store;
    store_opened(after, 1 + salt % 3, &store, ops);
    storerig_check(rig, &store, ops);
    store_close(&store);

    store_opened(after, 1 + (salt + 1) % 3, &store, ops);
    assert_int_equal(store.report.replayed, 0);
    assert_int_equal(store.report.torn_count, 0);
    storerig_check(rig, &store, ops);
    store_close(&store);
    disk_free(after);
}

static struct storerig *recorded_run(uint64_t run_seed)
{
    struct storerig *rig = storerig_new(run_seed);
    storerig_run(rig, RUN_STEPS, 2);
    storerig_restart(rig, 3);
    storerig_run(rig, RUN_STEPS / 2, 3);

    rig->disk_is_good = false;
    disk_set_capacity(rig->disk, disk_used(rig->disk) + 10000);
    storerig_run(rig, FULL_STEPS, 3);
    disk_set_capacity(rig->disk, UINT64_MAX);
    rig->disk_is_good = true;

    storerig_run(rig, RUN_STEPS / 2, 3);
    storerig_restart(rig, 1);
    storerig_run(rig, RUN_STEPS / 4, 1);
    storerig_close(rig);
    return rig;
}

static void nothing_acknowledged_is_lost_wherever_the_power_goes(void **state)
{
    (void)state;
    for (unsigned round = 0; round < rounds(); round++) {
        struct storerig *rig = recorded_run(seed + round);
        uint64_t last = disk_journal_ops(rig->disk);
        /* One stride through operations and modes alike: coprime with the number of modes, so all pairs come up. */
        uint64_t stride = (last * DISK_CRASH_MODES / IMAGES) | 1, images = 0;
        struct disk *shadow = disk_shadow(rig->disk);
        for (uint64_t i = (seed + round) % stride; i <= last * DISK_CRASH_MODES; i += stride, images++) {
            uint64_t ops = i / DISK_CRASH_MODES;
            disk_shadow_to(shadow, rig->disk, ops);
            check_image(rig, shadow, ops, (enum disk_crash)(i % DISK_CRASH_MODES), i);
        }
        print_message("%zu records, %llu operations, %llu images\n", rig->count, (unsigned long long)last,
                      (unsigned long long)images);
        assert_true(rig->count > 500 && last > 1000 && images >= IMAGES / 2);
        disk_free(shadow);
        storerig_free(rig);
    }
}

/* -- a disk that says no ---------------------------------------------------------------------------------- */

/* The n-th write or sync fails. The run goes on with what still works; then the power goes, or the server is started
 * again on the same machine, which still shows what the disk has lost, works on, and then the power goes. */
static void after_a_failure(void (*fail_nth)(struct disk *disk, uint64_t nth), uint64_t run_seed, uint64_t nth)
{
    struct storerig *rig = storerig_new(run_seed);
    rig->disk_is_good = false;
    fail_nth(rig->disk, nth);
    storerig_run(rig, FAILING_STEPS, 2);
    fail_nth(rig->disk, UINT64_MAX);
    for (int mode = 0; mode < DISK_CRASH_MODES; mode++)
        check_image(rig, rig->disk, disk_journal_ops(rig->disk), (enum disk_crash)mode, nth + (uint64_t)mode);

    storerig_restart(rig, 3);
    storerig_check(rig, &rig->store, disk_journal_ops(rig->disk));
    rig->disk_is_good = true;
    storerig_run(rig, FAILING_STEPS, 3);
    for (int mode = 0; mode < DISK_CRASH_MODES; mode++)
        check_image(rig, rig->disk, disk_journal_ops(rig->disk), (enum disk_crash)mode, nth + (uint64_t)mode);
    storerig_close(rig);
    storerig_free(rig);
}

static void failures_at_any(void (*fail_nth)(struct disk *disk, uint64_t nth))
{
    for (unsigned round = 0; round < rounds(); round++)
        for (uint64_t n = 0; n < FAILURES; n++) after_a_failure(fail_nth, seed + round, 1 + n * 5 + (seed + round) % 5);
}

static void nothing_acknowledged_is_lost_when_a_write_fails(void **state)
{
    (void)state;
    failures_at_any(disk_fail_write);
}

static void nothing_acknowledged_is_lost_when_a_sync_fails(void **state)
{
    (void)state;
    failures_at_any(disk_fail_sync);
}

/* However little room there is: what was acknowledged is there, also when the power goes while the disk is full, and
 * the server goes on once there is room. */
static void nothing_acknowledged_is_lost_when_the_disk_is_full(void **state)
{
    (void)state;
    for (unsigned round = 0; round < rounds(); round++) {
        for (uint64_t n = 0; n < FAILURES; n++) {
            struct storerig *rig = storerig_new(seed + round);
            rig->disk_is_good = false;
            disk_set_capacity(rig->disk, disk_used(rig->disk) + n * 3001);
            storerig_run(rig, FAILING_STEPS, 2);
            check_image(rig, rig->disk, disk_journal_ops(rig->disk), (enum disk_crash)(n % DISK_CRASH_MODES), n);
            disk_set_capacity(rig->disk, UINT64_MAX);
            rig->disk_is_good = true;
            storerig_run(rig, FAILING_STEPS, 2);
            check_image(rig, rig->disk, disk_journal_ops(rig->disk), (enum disk_crash)(n % DISK_CRASH_MODES), n);
            storerig_close(rig);
            storerig_free(rig);
        }
    }
}

int main(void)
{
    seed = run_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost_wherever_the_power_goes),
        cmocka_unit_test(nothing_acknowledged_is_lost_when_a_write_fails),
        cmocka_unit_test(nothing_acknowledged_is_lost_when_a_sync_fails),
        cmocka_unit_test(nothing_acknowledged_is_lost_when_the_disk_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
