/* test_keep_crash.c - power is lost at every operation of a run that appends, sorts, merges and lets go, in every way.
 *
 * What must hold whatever happened: the folder opens; each record that was durable is there once, in its place, bit for
 * bit, or may have been let go of; keeping goes on from there to the end; and all of that survives the next cut.
 *
 * CRASH_ROUNDS (default 1) multiplies the random part. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/log.h"
#include "tests/harness/chance.h"
#include "tests/harness/keeprig.h"
#include "tests/harness/sanitized.h"

/* What a sanitizer looks for shows at any operation; all of them would take it minutes. */
enum {
    STRIDE = SANITIZED_THREAD ? 16 : SANITIZED_ADDRESS ? 4 : 1,
    AGAIN_STRIDE = 41 * (SANITIZED_THREAD ? 3 : SANITIZED_ADDRESS ? 2 : 1),
};

enum {
    RUN_COMMITS = 60,
    MOMENTS_MAX = 400,
};

struct moment { uint64_t ops, acked[KEEPRIG_LOGS], flushed[KEEPRIG_LOGS]; };

static struct run {
    struct keeprig rig;
    struct moment at[MOMENTS_MAX];
    size_t count;
    uint64_t ops;
} run;

static uint64_t seed;

static unsigned rounds(void)
{
    const char *given = getenv("CRASH_ROUNDS");
    int n = given ? atoi(given) : 1;
    return n > 0 ? (unsigned)n : 1;
}

static void note(void)
{
    assert_true(run.count < MOMENTS_MAX);
    struct moment *moment = &run.at[run.count++];
    moment->ops = disk_journal_ops(run.rig.disk);
    memcpy(moment->acked, run.rig.committed, sizeof moment->acked);
    memcpy(moment->flushed, run.rig.flushed, sizeof moment->flushed);
}

/* What was known to be durable after so many operations. */
static const struct moment *moment_at(uint64_t ops)
{
    static const struct moment nothing;
    const struct moment *moment = &nothing;
    for (size_t i = 0; i < run.count && run.at[i].ops <= ops; i++)
        moment = &run.at[i];
    return moment;
}

static int record_the_run(void **state)
{
    seed = run_seed();
    keeprig_init(&run.rig, disk_new(seed), seed);
    run.rig.segment_bytes = 2500;
    run.rig.lets_go = true;
    disk_journal_start(run.rig.disk);
    assert_int_equal(keeprig_open(&run.rig), 0);
    for (int i = 0; i < RUN_COMMITS; i++) {
        keeprig_append(&run.rig, 4);
        note();
        if (i % 5 == 4) {
            keeprig_flush(&run.rig);
            note();
        }
        /* A step now and then, so that appends and steps stand in any order. */
        run.rig.how.idle = i % 2 == 0;
        if (i % 3 == 0)
            assert_int_equal(keeprig_step(&run.rig), 0);
        if (i == RUN_COMMITS / 4)
            keeprig_settle(&run.rig);
        if (i == RUN_COMMITS / 2) {
            keeprig_close(&run.rig);
            assert_int_equal(keeprig_open(&run.rig), 0);
        }
    }
    keeprig_flush(&run.rig);
    note();
    keeprig_settle(&run.rig);
    run.rig.how.idle = true;
    keeprig_settle(&run.rig);
    keeprig_check(&run.rig);
    keeprig_close(&run.rig);
    run.ops = disk_journal_ops(run.rig.disk);
    assert_true(run.rig.sorted > 5 && run.rig.merged > 0 && run.rig.dropped > 0);
    return 0;
}

static int forget_the_run(void **state)
{
    disk_free(run.rig.disk);
    keeprig_fini(&run.rig);
    return 0;
}

/* A rig over an image: the same records, known to be there as far as they were then. */
static void rig_over(struct keeprig *rig, struct disk *image, uint64_t ops)
{
    const struct moment *moment = moment_at(ops);
    *rig = run.rig;
    rig->disk = image;
    rig->how.arg = rig;
    rig->how.idle = false;
    memcpy(rig->committed, moment->acked, sizeof rig->committed);
    memcpy(rig->flushed, moment->flushed, sizeof rig->flushed);
}

/* Keep to the end, lose power again, and find all of it. */
static void check_goes_on(struct keeprig *rig)
{
    for (int i = 0; i < KEEPRIG_LOGS; i++)
        rig->committed[i] = log_committed(rig->log[i]);
    keeprig_flush(rig);
    rig->how.idle = true;
    keeprig_settle(rig);
    assert_int_equal(rig->report.unsorted, 0);
    assert_true(rig->report.tables < KEEP_FANIN);
    keeprig_check(rig);
    keeprig_close(rig);
    struct disk *after = disk_crash(rig->disk, DISK_DROP_ALL, 0);
    disk_free(rig->disk);
    rig->disk = after;
    assert_int_equal(keeprig_open(rig), 0);
    for (int i = 0; i < KEEPRIG_LOGS; i++)
        assert_int_equal(log_committed(rig->log[i]), rig->committed[i]);
    keeprig_check(rig);
    keeprig_close(rig);
}

static void whatever_a_crash_leaves_each_record_is_there_once_and_keeping_goes_on(void **state)
{
    struct disk *shadow = disk_shadow(run.rig.disk);
    for (uint64_t k = 0; k <= run.ops; k += STRIDE) {
        disk_shadow_to(shadow, run.rig.disk, k);
        for (unsigned mode = 0; mode < DISK_CRASH_MODES + 2 * (rounds() - 1); mode++) {
            enum disk_crash how = mode < DISK_CRASH_MODES ? (enum disk_crash)mode : DISK_RANDOM;
            struct keeprig rig;
            rig_over(&rig, disk_crash(shadow, how, seed + k * 1000 + mode), k);
            int err = keeprig_open(&rig);
            if (err)
                print_message("operation %llu mode %u\n", (unsigned long long)k, mode);
            assert_int_equal(err, 0);
            keeprig_check(&rig);
            check_goes_on(&rig);
            disk_free(rig.disk);
        }
    }
    disk_free(shadow);
}

/* Power goes, and goes again at any operation of the start or of the steps that follow it. */
static void keeping_after_a_crash_may_be_cut_short_anywhere(void **state)
{
    struct disk *shadow = disk_shadow(run.rig.disk);
    uint64_t cuts = 0;
    for (uint64_t k = seed % 41; k <= run.ops; k += AGAIN_STRIDE) {
        disk_shadow_to(shadow, run.rig.disk, k);
        struct keeprig rig;
        rig_over(&rig, disk_crash(shadow, DISK_RANDOM, seed + k), k);
        disk_journal_start(rig.disk);
        assert_int_equal(keeprig_open(&rig), 0);
        uint64_t opened = disk_journal_ops(rig.disk);
        for (int i = 0; i < 3; i++)
            assert_int_equal(keeprig_step(&rig), 0);
        keeprig_close(&rig);
        uint64_t ops = disk_journal_ops(rig.disk);
        struct disk *again = disk_shadow(rig.disk);
        for (uint64_t j = 0; j <= ops; j++) {
            disk_shadow_to(again, rig.disk, j);
            for (unsigned mode = 0; mode < DISK_CRASH_MODES; mode++) {
                struct keeprig second;
                rig_over(&second, disk_crash(again, (enum disk_crash)mode, seed + k + j), k);
                assert_int_equal(keeprig_open(&second), 0);
                keeprig_check(&second);
                keeprig_close(&second);
                disk_free(second.disk);
                cuts += j > opened;
            }
        }
        disk_free(again);
        disk_free(rig.disk);
    }
    assert_true(cuts > 0);               /* else it proves nothing */
    disk_free(shadow);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_a_crash_leaves_each_record_is_there_once_and_keeping_goes_on),
        cmocka_unit_test(keeping_after_a_crash_may_be_cut_short_anywhere),
    };
    return cmocka_run_group_tests(tests, record_the_run, forget_the_run);
}
