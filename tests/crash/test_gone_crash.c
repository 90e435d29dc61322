/* test_gone_crash.c - what is deleted, has expired, is too old, is had by all or is erased: gone for good wherever the
 * power goes, and nothing else with it.
 *
 * A run (gonerig.h) is recorded once. Then the disk is taken back to each of its operations, loses power in one of the
 * ways disk.h knows, and is opened again. What is found is held against what the run noted; then all is sorted, merged and
 * forgotten there is, and held against it again: no row of a deleted message may be left then.
 *
 * CRASH_ROUNDS (default 1) multiplies the runs; PIPIT_SEED repeats them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "tests/harness/chance.h"
#include "tests/harness/gonerig.h"
#include "tests/harness/sanitized.h"

enum { SANITIZED = SANITIZED_THREAD || SANITIZED_ADDRESS, IMAGES = SANITIZED ? 60 : 1500 };    /* of each run */

static uint64_t seed;

static unsigned rounds(void)
{
    const char *given = getenv("CRASH_ROUNDS");
    int n = given ? atoi(given) : 1;
    return n > 0 ? (unsigned)n : 1;
}

struct check {
    const struct gone_run *run;
    struct store *store;
    uint64_t ops, now_ms;
    bool found[GONE_RECORDS_MAX];
    struct buf plain;
    struct entry_room room;
};

#define check_that(c, r, what) \
    do { \
        if (!(what)) \
            fail_msg("after %" PRIu64 " operations, conversation %d, record %" PRIu64 " (there %" PRIu64 " %" PRIu64 \
                     ", gone %" PRIu64 " %" PRIu64 "): %s", (c)->ops, (r)->conv, (r)->head.seq, (r)->there.given, \
                     (r)->there.acked, (r)->gone.given, (r)->gone.acked, #what); \
    } while (0)

static const struct gone_record *rec_of(const struct check *c, const struct record *record)
{
    for (size_t i = 0; i < c->run->count; i++) {
        const struct gone_record *r = &c->run->records[i];
        if (r->head.log == record->log && r->head.number == record->number) return r;
    }
    fail_msg("log %u, record %" PRIu64 " was never appended", record->log, record->number);
    return NULL;
}

/* Whether anybody is given what is in it; if so, it is what was said. */
static bool is_readable(struct check *c, struct retain_part *part, const struct gone_record *r,
                        const struct page_record *found)
{
    struct vault_key key;
    struct entry entry;
    enum retain_why why;
    int err = vault_get_number(c->store->vault, found->record.key, &key);
    if (err == ERR_GONE) return false;
    check_that(c, r, err == 0);
    check_that(c, r, record_open(found->whole, &found->record, key.key, &c->plain, &c->room, &entry) == 0);
    check_that(c, r, bytes_equal(entry.body, bytes_of(r->body, r->body_len)));
    assert_int_equal(retain_part_judge(part, c->store->facts, &found->record, &why), 0);
    return why == RETAIN_STAYS;
}

static void check_conv(struct check *c, int conv, struct retain_part *part)
{
    struct find find = { .partition = c->run->convs[conv].id, .what = FIND_RECORDS, .from = 0, .to = UINT64_MAX,
                         .max = GONE_RECORDS_MAX, .bytes_max = SIZE_MAX };
    struct retain_rules rules = { c->now_ms, c->run->rule.age_ms, c->run->rule.drop_delivered, 1 };
    struct record_page page;
    struct view *view = log_view(c->store->log[0], &find);
    assert_non_null(view);
    record_page_init(&page);
    assert_int_equal(view_read(view, &page), 0);
    view_free(view);
    retain_part_begin(part, &rules, &find.partition);
    for (size_t i = 0; i < page.count; i++) {
        const struct gone_record *r = rec_of(c, &page.records[i].record);
        check_that(c, r, r->there.given <= c->ops);
        check_that(c, r, !c->found[r - c->run->records]);
        c->found[r - c->run->records] = true;
        bool readable = is_readable(c, part, r, &page.records[i]);
        check_that(c, r, readable || r->gone.given <= c->ops);
        check_that(c, r, !readable || r->gone.acked > c->ops);
    }
    record_page_fini(&page);
}

static void check_image(const struct gone_run *run, struct store *store, uint64_t ops)
{
    static struct check c;
    static struct retain_part part;
    memset(&c, 0, sizeof c);
    c.run = run;
    c.store = store;
    c.ops = ops;
    c.now_ms = gone_now_at(run, ops);
    buf_init(&c.plain, RECORD_BYTES_MAX);
    for (int i = 0; i < GONE_CONVS; i++) check_conv(&c, i, &part);
    for (size_t i = 0; i < run->count; i++) {
        const struct gone_record *r = &run->records[i];
        check_that(&c, r, c.found[i] || r->there.acked > ops || r->gone.given <= ops);
    }
    buf_fini(&c.plain);
}

static size_t deleted_rows(struct store *store)
{
    struct deleted_row rows[4];
    size_t count;
    assert_int_equal(facts_deleted_oldest(store->facts, &(struct deleted_row){ .ms = 0 }, 4, rows, &count), 0);
    return count;
}

static void open_and_check(const struct gone_run *run, struct disk *disk, uint64_t ops, enum disk_crash mode,
                           uint64_t salt)
{
    struct disk *after = disk_crash(disk, mode, seed + salt);
    struct store store;
    struct gone_keeping k;
    uint64_t now_ms = gone_now_at(run, ops);
    gone_store_open(after, 1 + (uint32_t)(salt % GONE_LOGS), now_ms, &store, ops);
    check_image(run, &store, ops);
    gone_keeping_begin(&k, &store);
    gone_keep_all(&k, &run->rule, now_ms);
    check_image(run, &store, ops);
    assert_int_equal(deleted_rows(&store), 0);
    gone_keeping_end(&k);
    store_close(&store);
    gone_store_open(after, 1, now_ms, &store, ops);
    check_image(run, &store, ops);
    assert_int_equal(deleted_rows(&store), 0);
    store_close(&store);
    disk_free(after);
}

static void gone_for_good(const struct gone_rule *rule, uint64_t run_seed)
{
    struct gone_run *run = gone_run_new(run_seed, rule);
    uint64_t last = disk_journal_ops(run->disk), images = 0;
    /* One stride through operations and modes alike: odd, so all pairs come up. */
    uint64_t stride = (last * DISK_CRASH_MODES / IMAGES) | 1;
    struct disk *shadow = disk_shadow(run->disk);
    for (uint64_t i = run_seed % stride; i <= last * DISK_CRASH_MODES; i += stride, images++) {
        uint64_t ops = i / DISK_CRASH_MODES;
        disk_shadow_to(shadow, run->disk, ops);
        open_and_check(run, shadow, ops, (enum disk_crash)(i % DISK_CRASH_MODES), i);
    }
    print_message("%zu records, %lu deletes, %lu erasures, %lu dropped, %lu forgotten, %lu sorted, %lu merged; "
                  "%lu operations, %lu images\n", run->count, (unsigned long)run->deletes, (unsigned long)run->erases,
                  (unsigned long)run->dropped, (unsigned long)run->forgotten, (unsigned long)run->sorted,
                  (unsigned long)run->merged, (unsigned long)last, (unsigned long)images);
    assert_true(run->deletes > 5 && run->erases >= 1 && run->dropped > 5 && run->sorted > 5 && images >= IMAGES / 2);
    disk_free(shadow);
    gone_run_free(run);
}

static void every_round(const struct gone_rule *rule)
{
    for (unsigned round = 0; round < rounds(); round++) gone_for_good(rule, seed + round);
}

static void what_was_deleted_expired_or_erased_is_gone_for_good_and_nothing_else(void **state)
{
    (void)state;
    every_round(&(struct gone_rule){ 0, false });
}

static void what_is_too_old_too(void **state)
{
    (void)state;
    every_round(&(struct gone_rule){ GONE_AGE_MS, false });
}

static void what_everybody_has_too(void **state)
{
    (void)state;
    every_round(&(struct gone_rule){ 0, true });
}

int main(void)
{
    seed = run_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_deleted_expired_or_erased_is_gone_for_good_and_nothing_else),
        cmocka_unit_test(what_is_too_old_too),
        cmocka_unit_test(what_everybody_has_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
