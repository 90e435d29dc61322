/* test_engine.c - random lives of a store on a disk in memory, compared with a model after each reading.
 *
 * ENGINE_SEEDS (default 100) lives, each from a seed of its own. A life has restarts with other numbers of shards, and
 * crashes: between two acts, or in the middle of one, at any operation of the disk. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"
#include "tests/harness/engine.h"
#include "tests/harness/sanitized.h"

#define DIR "/data"

enum { OPENINGS = 6, ACTS_MAX = 60, STOP_WITHIN_OPS = 60 };

static unsigned lives(void)
{
    const char *given = getenv("ENGINE_SEEDS");
    int n = given ? atoi(given) : SANITIZED_THREAD ? 10 : 100;
    return n > 0 ? (unsigned)n : 1;
}

struct life { uint64_t seed, random; struct disk *disk; struct engine *engine; struct engine_model model; };

static void fail_life(const struct life *l, int err, const char *why)
{
    fail_msg("PIPIT_SEED of this life %llu, act %llu: %s %s", (unsigned long long)l->seed,
             (unsigned long long)l->model.acts, err_name(err), why);
}

static void open_again(struct life *l)
{
    char why[ENGINE_WHY_MAX];
    int err = engine_open(disk_fs(l->disk), DIR, 1 + (uint32_t)chance_below(&l->random, ENGINE_LOGS_MAX),
                          chance(&l->random), &l->model, &l->engine, why);
    if (err) fail_life(l, err, why);
}

static void lose_power(struct life *l)
{
    struct disk *after = disk_crash(l->disk, chance_below(&l->random, DISK_CRASH_MODES), chance(&l->random));
    engine_abandon(l->engine);
    disk_free(l->disk);
    l->disk = after;
}

/* Acts until the disk stops, or for a while. */
static void act(struct life *l, bool stops)
{
    char why[ENGINE_WHY_MAX];
    uint64_t acts = chance_below(&l->random, ACTS_MAX);
    if (stops) disk_stop_at(l->disk, disk_ops(l->disk) + chance_below(&l->random, STOP_WITHIN_OPS));
    for (uint64_t i = 0; i < acts; i++) {
        int err = engine_act(l->engine, why);
        if (disk_is_stopped(l->disk)) return;
        if (err) fail_life(l, err, why);
    }
}

static struct { uint64_t acts, pages, sorts, merges, erases, opens; } all;     /* lives together */

static void live(uint64_t seed)
{
    static struct life l;
    memset(&l, 0, sizeof l);
    l.seed = l.random = seed;
    l.disk = disk_new(seed);
    for (int i = 0; i < OPENINGS; i++) {
        open_again(&l);
        uint64_t how = chance_below(&l.random, 3);       /* closed, or stopped between two acts, or within one */
        act(&l, how == 2);
        if (how == 0) engine_close(l.engine);
        else lose_power(&l);
    }
    open_again(&l);
    engine_close(l.engine);
    disk_free(l.disk);
    all.acts += l.model.acts;
    all.pages += l.model.pages;
    all.sorts += l.model.sorts;
    all.merges += l.model.merges;
    all.erases += l.model.erases;
    all.opens += l.model.opens;
}

static void a_store_holds_what_its_model_holds(void **state)
{
    uint64_t random = run_seed();
    (void)state;
    for (unsigned i = lives(); i > 0; i--) live(chance(&random));
    print_message("%llu acts, %llu pages, %llu sorts, %llu merges, %llu erases, %llu openings\n",
                  (unsigned long long)all.acts, (unsigned long long)all.pages, (unsigned long long)all.sorts,
                  (unsigned long long)all.merges, (unsigned long long)all.erases, (unsigned long long)all.opens);
    assert_true(all.sorts > 0 && all.merges > 0);        /* else it proves nothing of them */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_store_holds_what_its_model_holds) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
