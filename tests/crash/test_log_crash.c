/* test_log_crash.c - the log loses power at every operation of a recorded run, and in every way.
 *
 * What must hold whatever happened: each record whose batch_sync() said 0 is there once, whole and in its place; behind
 * the last of them at most what had been handed to batch_sync(); nothing else; and the log goes on.
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
#include "storage/view.h"
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"
#include "tests/harness/logrig.h"
#include "tests/harness/sanitized.h"

#define DIR "/log"

/* Under the thread sanitizer one thread has no race to show and takes fifteen times as long: every eighth operation. */
enum { STRIDE = SANITIZED_THREAD ? 8 : 1 };

enum {
    LOG_COUNT = 2,
    CONVS = 3,                    /* of each log */
    RUN_COMMITS = 160,
    SEGMENT_BYTES = 3000,         /* a roll every few commits */
    RECORDS_MAX = 4000,
    LIVES = 40,                   /* of the random part */
};

static uint64_t seed;

static unsigned rounds(void)
{
    const char *given = getenv("CRASH_ROUNDS");
    int n = given ? atoi(given) : 1;
    return n > 0 ? (unsigned)n : 1;
}

/* ---- what a log holds, as replay tells it ---- */

struct held { uint8_t *at[RECORDS_MAX + 1]; size_t len[RECORDS_MAX + 1]; uint64_t count; };

static void held_clear(struct held *held)
{
    for (uint64_t i = 1; i <= held->count; i++)
        free(held->at[i]);
    held->count = 0;
}

/* Records must come numbered without a gap. */
static int on_replay(void *arg, const struct record *record, struct bytes whole)
{
    struct held *held = (struct held *)arg + record->log;
    assert_true(record->log < LOG_COUNT && record->number == held->count + 1 && record->number <= RECORDS_MAX);
    held->count++;
    held->at[held->count] = malloc(whole.len);
    held->len[held->count] = whole.len;
    memcpy(held->at[held->count], whole.at, whole.len);
    return 0;
}

static int open_held(struct disk *disk, struct held held[LOG_COUNT], struct logs **logs_out,
                     struct logs_report *report)
{
    struct logs_opening how = { .segment_bytes = SEGMENT_BYTES, .now_ms = RIG_NOW_MS, .replay = on_replay,
                                .arg = held };
    held_clear(&held[0]);
    held_clear(&held[1]);
    return logs_open(disk_fs(disk), DIR, &how, logs_out, report);
}

/* ---- the recorded run ---- */

struct moment { uint64_t ops, number; };      /* at so many operations, a log stood at this record */
struct moments { struct moment at[RUN_COMMITS + 1]; size_t count; };

static struct run {
    struct disk *disk;
    struct moments given[LOG_COUNT];          /* handed to batch_sync() */
    struct moments acked[LOG_COUNT];          /* batch_sync() said 0 */
    struct held held[LOG_COUNT];              /* every record, at the end */
    uint64_t ops;
} run;

static struct held held[LOG_COUNT];           /* of the image at hand */

static uint64_t moment_at(const struct moments *moments, uint64_t ops)
{
    uint64_t number = 0;
    for (size_t i = 0; i < moments->count && moments->at[i].ops <= ops; i++)
        number = moments->at[i].number;
    return number;
}

static void note(struct moments *moments, uint64_t number)
{
    moments->at[moments->count++] = (struct moment){ disk_journal_ops(run.disk), number };
}

static void run_open(struct logs **logs, struct log *log[LOG_COUNT])
{
    struct logs_report report;
    assert_int_equal(rig_logs_open(disk_fs(run.disk), DIR, SEGMENT_BYTES, logs, &report), 0);
    for (uint32_t i = 0; i < LOG_COUNT; i++)
        assert_int_equal(logs_log(*logs, i, &log[i]), 0);
}

static void run_close(struct logs *logs, struct log *log[LOG_COUNT])
{
    for (uint32_t i = 0; i < LOG_COUNT; i++)
        log_close(log[i]);
    logs_close(logs);
}

static int record_the_run(void **state)
{
    uint64_t random = seed = run_seed();
    uint64_t seq[LOG_COUNT][CONVS] = { { 0 } };
    struct logs *logs;
    struct log *log[LOG_COUNT];
    run.disk = disk_new(seed);
    disk_journal_start(run.disk);
    run_open(&logs, log);
    for (int i = 0; i < RUN_COMMITS; i++) {
        if (i == RUN_COMMITS / 2) {           /* a restart in the middle: recovery's own operations count too */
            run_close(logs, log);
            run_open(&logs, log);
        }
        uint32_t at = chance_below(&random, LOG_COUNT);
        for (uint64_t n = 1 + chance_below(&random, 4); n > 0; n--) {
            uint32_t c = chance_below(&random, CONVS);
            size_t len = chance_below(&random, 8) ? chance_below(&random, 300) : 2000;
            assert_int_equal(rig_append(log[at], at * CONVS + c, ++seq[at][c], len), 0);
            if (chance_below(&random, 3) == 0)
                assert_int_equal(rig_append_mark(log[at], at * CONVS + c, seq[at][c]), 0);
        }
        note(&run.given[at], log_appended(log[at]));
        assert_int_equal(log_commit(log[at]), 0);
        note(&run.acked[at], log_appended(log[at]));
    }
    run_close(logs, log);
    run.ops = disk_journal_ops(run.disk);

    struct logs_report report;
    struct disk *end = disk_crash(run.disk, DISK_DROP_ALL, 0);
    assert_int_equal(open_held(end, run.held, &logs, &report), 0);
    assert_true(report.segments > 20);
    for (uint32_t i = 0; i < LOG_COUNT; i++) {
        assert_int_equal(run.held[i].count, moment_at(&run.acked[i], run.ops));
        for (uint64_t n = 1; n <= run.held[i].count; n++) {
            struct record record;
            size_t len;
            struct bytes whole = bytes_of(run.held[i].at[n], run.held[i].len[n]);
            assert_int_equal(record_parse(whole, &record, &len), 0);
            assert_true(rig_is_intact(&record, whole));
        }
    }
    logs_close(logs);
    disk_free(end);
    return 0;
}

static int forget_the_run(void **state)
{
    for (uint32_t i = 0; i < LOG_COUNT; i++) {
        held_clear(&run.held[i]);
        held_clear(&held[i]);
    }
    disk_free(run.disk);
    return 0;
}

/* The image holds what a crash after `ops` operations may hold. */
static void check_held(uint64_t ops)
{
    for (uint32_t i = 0; i < LOG_COUNT; i++) {
        assert_true(held[i].count >= moment_at(&run.acked[i], ops));
        assert_true(held[i].count <= moment_at(&run.given[i], ops));
        for (uint64_t n = 1; n <= held[i].count; n++)
            assert_true(bytes_equal(bytes_of(held[i].at[n], held[i].len[n]),
                                    bytes_of(run.held[i].at[n], run.held[i].len[n])));
    }
}

/* Append to each log, crash hard, and find all of it again. */
static void check_goes_on(struct disk *image, struct logs *logs)
{
    enum { CONV = 1000 };         /* one that the run did not use */
    uint64_t before[LOG_COUNT];
    struct log *log[LOG_COUNT];
    for (uint32_t i = 0; i < LOG_COUNT; i++) {
        before[i] = held[i].count;
        assert_int_equal(logs_log(logs, i, &log[i]), 0);
        assert_int_equal(log_committed(log[i]), before[i]);
        assert_int_equal(rig_append(log[i], CONV + i, 1, 700), 0);
        assert_int_equal(rig_append(log[i], CONV + i, 2, 10), 0);
        assert_int_equal(log_commit(log[i]), 0);
        assert_true(rig_finds(log[i], CONV + i, 0, UINT64_MAX, false, 9, 1, 2));
    }
    run_close(logs, log);
    struct logs_report report;
    struct disk *after = disk_crash(image, DISK_DROP_ALL, 0);
    assert_int_equal(open_held(after, held, &logs, &report), 0);
    assert_int_equal(report.torn_count, 0);
    for (uint32_t i = 0; i < LOG_COUNT; i++)
        assert_int_equal(held[i].count, before[i] + 2);
    logs_close(logs);
    disk_free(after);
}

static void whatever_a_crash_leaves_all_acknowledged_is_there_once_and_the_log_goes_on(void **state)
{
    struct disk *shadow = disk_shadow(run.disk);
    uint64_t torn = 0;
    for (uint64_t k = 0; k <= run.ops; k += STRIDE) {
        disk_shadow_to(shadow, run.disk, k);
        for (unsigned mode = 0; mode < DISK_CRASH_MODES + 2 * rounds(); mode++) {
            enum disk_crash how = mode < DISK_CRASH_MODES ? (enum disk_crash)mode : DISK_RANDOM;
            struct disk *image = disk_crash(shadow, how, seed + k * 1000 + mode);
            struct logs *logs;
            struct logs_report report;
            int err = open_held(image, held, &logs, &report);
            if (err)
                print_message("operation %llu mode %u: %s at %s %llu\n", (unsigned long long)k, mode, err_name(err),
                              report.bad_file, (unsigned long long)report.bad_offset);
            assert_int_equal(err, 0);
            torn += report.torn_count;
            check_held(k);
            check_goes_on(image, logs);
            disk_free(image);
        }
    }
    /* Or the run was too tame to prove anything. With a stride few cuts are left to tear at: chance may spare them. */
    assert_true(torn > 20 || STRIDE > 1);
    disk_free(shadow);
}

/* Crash, recover, and crash at every operation of that recovery. */
static void recovery_itself_may_be_cut_short_anywhere(void **state)
{
    struct disk *shadow = disk_shadow(run.disk);
    uint64_t cuts = 0;
    for (uint64_t k = seed % 5; k <= run.ops; k += 5 * STRIDE) {
        disk_shadow_to(shadow, run.disk, k);
        struct disk *image = disk_crash(shadow, DISK_RANDOM, seed + k);
        struct logs *logs;
        struct logs_report report;
        disk_journal_start(image);
        assert_int_equal(open_held(image, held, &logs, &report), 0);
        logs_close(logs);
        uint64_t replayed[LOG_COUNT] = { held[0].count, held[1].count };
        uint64_t ops = disk_journal_ops(image);
        struct disk *again = disk_shadow(image);
        for (uint64_t j = 0; j <= ops; j++) {
            disk_shadow_to(again, image, j);
            for (unsigned mode = 0; mode < DISK_CRASH_MODES; mode++) {
                struct disk *second = disk_crash(again, (enum disk_crash)mode, seed + k + j);
                assert_int_equal(open_held(second, held, &logs, &report), 0);
                check_held(k);
                /* Replay comes last: by then everything replayed survives any further crash. */
                for (uint32_t i = 0; j == ops && i < LOG_COUNT; i++)
                    assert_int_equal(held[i].count, replayed[i]);
                logs_close(logs);
                disk_free(second);
                cuts++;
            }
        }
        disk_free(again);
        disk_free(image);
    }
    assert_true(cuts > 100 / STRIDE);
    disk_free(shadow);
}

/* ---- lives: full disks, failing writes and syncs, kills and power cuts, one after the other on one disk ---- */

struct life {
    struct disk *disk;
    uint64_t random;
    uint64_t acked, flushed;      /* of log 0 */
    uint64_t last;                /* record number given, acknowledged or not */
    uint64_t seq[CONVS];
    uint8_t *sum[RECORDS_MAX + 1];        /* acknowledged records, whole */
    size_t sum_len[RECORDS_MAX + 1];
    uint64_t replayed;
    uint64_t faults, cuts;
};

static uint64_t life_flushed(void *arg, uint32_t log)
{
    const struct life *life = arg;
    return log == 0 ? life->flushed : 0;
}

static void life_keep(struct life *life, uint64_t number, struct bytes whole)
{
    assert_true(number <= RECORDS_MAX);
    free(life->sum[number]);
    life->sum[number] = malloc(whole.len);
    memcpy(life->sum[number], whole.at, whole.len);
    life->sum_len[number] = whole.len;
}

static int life_replay(void *arg, const struct record *record, struct bytes whole)
{
    struct life *life = arg;
    assert_int_equal(record->number, life->replayed + 1);
    life->replayed++;
    assert_true(record->number <= life->last);
    assert_true(rig_is_intact(record, whole));
    if (record->number <= life->acked)
        assert_true(bytes_equal(whole, bytes_of(life->sum[record->number], life->sum_len[record->number])));
    life_keep(life, record->number, whole);
    uint64_t *seq = &life->seq[rig_conv_number(&record->partition)];
    if (*seq < record->seq)
        *seq = record->seq;
    return 0;
}

/* Sequences go on above all that survived: heads of facts, so to say, are those of the flushed records. */
static void life_open(struct life *life, struct logs **logs, struct log **log)
{
    struct logs_opening how = { .segment_bytes = SEGMENT_BYTES, .now_ms = RIG_NOW_MS, .flushed = life_flushed,
                                .replay = life_replay, .arg = life };
    struct logs_report report;
    memset(life->seq, 0, sizeof life->seq);
    for (uint64_t n = 1; n <= life->flushed; n++) {
        struct record record;
        size_t len;
        record_peek(life->sum[n], &record, &len);
        uint64_t *seq = &life->seq[rig_conv_number(&record.partition)];
        if (*seq < record.seq)
            *seq = record.seq;
    }
    life->replayed = life->flushed;
    assert_int_equal(logs_open(disk_fs(life->disk), DIR, &how, logs, &report), 0);
    assert_true(life->replayed >= life->acked);
    life->acked = life->last = life->replayed;
    life->flushed += chance_below(&life->random, life->acked - life->flushed + 1);
    assert_int_equal(logs_log(*logs, 0, log), 0);
    assert_int_equal(log_committed(*log), life->acked);
}

static void life_trouble(struct life *life)
{
    switch (chance_below(&life->random, 8)) {
    case 0: disk_set_capacity(life->disk, disk_used(life->disk) + chance_below(&life->random, 3000)); break;
    case 1: disk_fail_write(life->disk, 1 + chance_below(&life->random, 10)); break;
    case 2: disk_fail_sync(life->disk, 1 + chance_below(&life->random, 10)); break;
    case 3: disk_set_capacity(life->disk, UINT64_MAX); break;
    default: break;
    }
}

/* Append and commit until the log is read-only or the life is over. */
static void life_run(struct life *life, struct log *log)
{
    struct record_page page;
    record_page_init(&page);
    for (int i = 0; i < 25 && !log_is_read_only(log); i++) {
        uint64_t seq[CONVS];
        memcpy(seq, life->seq, sizeof seq);
        life_trouble(life);
        for (uint64_t n = 1 + chance_below(&life->random, 3); n > 0; n--) {
            uint32_t c = chance_below(&life->random, CONVS);
            assert_int_equal(rig_append(log, c, ++seq[c], chance_below(&life->random, 700)), 0);
        }
        if (life->last < log_appended(log))
            life->last = log_appended(log);
        int err = log_commit(log);
        if (err) {
            life->faults++;
            continue;             /* "forget every conversation state with uncommitted appends" */
        }
        memcpy(life->seq, seq, sizeof seq);
        for (uint32_t c = 0; c < CONVS; c++) {
            struct find find = { .partition = rig_conv(c), .what = FIND_RECORDS, .from = 1, .to = UINT64_MAX,
                                 .newest = true, .max = 3, .bytes_max = SIZE_MAX };   /* as many as were appended */
            struct view *view = log_view(log, &find);
            assert_int_equal(view_read(view, &page), 0);
            view_free(view);
            for (size_t n = 0; n < page.count; n++)
                if (page.records[n].record.number > life->acked)
                    life_keep(life, page.records[n].record.number, page.records[n].whole);
        }
        life->acked = log_committed(log);
    }
    record_page_fini(&page);
}

static void a_long_life_of_faults_and_crashes_loses_nothing_acknowledged(void **state)
{
    struct life *life = calloc(1, sizeof *life);
    for (unsigned round = 0; round < rounds(); round++) {
        *life = (struct life){ .disk = disk_new(seed + round), .random = seed + round };
        for (int i = 0; i < LIVES; i++) {
            struct logs *logs;
            struct log *log;
            life_open(life, &logs, &log);
            life_run(life, log);
            log_close(log);
            logs_close(logs);
            disk_set_capacity(life->disk, UINT64_MAX);
            disk_fail_write(life->disk, 0);
            disk_fail_sync(life->disk, 0);
            /* A killed process leaves the disk as it shows itself; a power cut does not. */
            if (chance_below(&life->random, 3)) {
                enum disk_crash how = (enum disk_crash)(chance_below(&life->random, DISK_CRASH_MODES));
                struct disk *after = disk_crash(life->disk, how, chance(&life->random));
                disk_free(life->disk);
                life->disk = after;
                life->cuts++;
            }
        }
        assert_true(life->acked > LIVES && life->faults > 0 && life->cuts > 0);
        for (uint64_t n = 1; n <= RECORDS_MAX; n++)
            free(life->sum[n]);
        disk_free(life->disk);
    }
    free(life);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_a_crash_leaves_all_acknowledged_is_there_once_and_the_log_goes_on),
        cmocka_unit_test(recovery_itself_may_be_cut_short_anywhere),
        cmocka_unit_test(a_long_life_of_faults_and_crashes_loses_nothing_acknowledged),
    };
    return cmocka_run_group_tests(tests, record_the_run, forget_the_run);
}
