/* gonerig.c - see gonerig.h. */
#include "tests/harness/gonerig.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "proto/msg.h"
#include "tests/harness/chance.h"

enum { USERS = 4, DAVE = 3 /* is erased */ };
static const struct user_id users[USERS] = { { "alice" }, { "bob" }, { "carol" }, { "dave" } };
static const int pairs[GONE_CONVS][2] = { { 0, 1 }, { 0, 2 }, { 1, 2 }, { 1, 3 }, { 2, 3 }, { 0, 3 } };

static uint64_t draw(struct gone_run *run, uint64_t below)
{
    return chance_below(&run->random, below);
}

static uint64_t ops_of(const struct gone_run *run)
{
    return disk_journal_ops(run->disk);
}

/* -- sorting, merging, forgetting ------------------------------------------------------------------------------- */

static uint64_t keep_flushed(void *arg, uint32_t log)
{
    return facts_flushed(((struct gone_keeping *)arg)->store->facts, log);
}

static int keep_partition(void *arg, const struct conv_id *of)
{
    return retainer_partition(&((struct gone_keeping *)arg)->retainer, of);
}

static int keep_fate(void *arg, const struct record *record, struct bytes whole, enum fate *fate_out)
{
    return retainer_fate(&((struct gone_keeping *)arg)->retainer, record, whole, fate_out);
}

static uint64_t keep_dead_since(void *arg, struct sorted *table)
{
    return retainer_dead_since(&((struct gone_keeping *)arg)->retainer, table);
}

void gone_keeping_begin(struct gone_keeping *k, struct store *store)
{
    memset(k, 0, sizeof *k);
    k->store = store;
    k->clock_ms = 2 * GONE_START_MS;
    sweep_init(&k->sweep);
}

void gone_keeping_end(struct gone_keeping *k)
{
    sweep_fini(&k->sweep);
}

static void keep(struct gone_keeping *k, const struct gone_rule *rule, uint64_t now_ms, bool idle,
                 struct keep_report *report)
{
    struct keep_how how = { .flushed = keep_flushed, .fate = keep_fate, .partition = keep_partition,
                            .dead_since = keep_dead_since, .due_ms = 1, .arg = k, .idle = idle };
    how.now_ms = k->clock_ms += KEEP_LOOK_MS;
    retainer_init(&k->retainer, k->store->facts, k->store->vault, &k->sweep);
    k->retainer.rules = (struct retain_rules){ now_ms, rule->age_ms, rule->drop_delivered, 1 };
    int err = logs_keep(k->store->logs, &how, report);
    retainer_fini(&k->retainer);
    if (err) fail_msg("keeping: %s %s", err_name(err), report->bad_file);
    if (report->did == KEEP_SORTED || report->did == KEEP_MERGED) k->dropped += report->dropped;
}

/* One slice, and what it found to be gone is forgotten. */
static void sweep(struct gone_keeping *k)
{
    struct deleted_row gone[SWEEP_ROWS];
    struct facts *facts = k->store->facts;
    size_t count = 0;
    k->clock_ms += SWEEP_EVERY_MS;
    assert_int_equal(sweep_step(&k->sweep, k->store->logs, facts, k->clock_ms, gone, &count), 0);
    if (!count) return;
    assert_int_equal(facts_begin(facts), 0);
    for (size_t i = 0; i < count; i++) assert_int_equal(facts_deleted_forget(facts, &gone[i].conv, gone[i].seq), 0);
    assert_int_equal(facts_commit(facts), 0);
    k->forgotten += count;
}

void gone_keep_all(struct gone_keeping *k, const struct gone_rule *rule, uint64_t now_ms)
{
    for (int i = 0; i < 3; i++) {
        struct keep_report report;
        do keep(k, rule, now_ms, true, &report);
        while (report.did != KEEP_NOTHING);
        do sweep(k);
        while (k->sweep.under_way);
    }
}

/* -- the run: opening, appending -------------------------------------------------------------------------------- */

void gone_store_open(struct disk *disk, uint32_t shards, uint64_t now_ms, struct store *store, uint64_t ops)
{
    struct store_opening how = { .shards = shards, .now_ms = now_ms, .segment_bytes = GONE_SEGMENT_BYTES };
    char why[256];
    int err = store_open(disk_fs(disk), GONE_DIR, &how, store, why);
    if (err) fail_msg("after %" PRIu64 " operations: %s: %s", ops, err_name(err), why);
}

static void run_open(struct gone_run *run, uint32_t shards)
{
    gone_store_open(run->disk, shards, run->now_ms, &run->store, ops_of(run));
    for (uint32_t i = 0; i < shards; i++) run->folds[i] = fold_new(i);
}

static void run_close(struct gone_run *run)
{
    for (uint32_t i = 0; i < run->store.log_count; i++) fold_free(run->folds[i]);
    store_close(&run->store);
}

static void key_made(struct gone_run *run, struct gone_conv *conv)
{
    assert_int_equal(vault_begin(run->store.vault), 0);
    assert_int_equal(vault_make(run->store.vault, &conv->id, run->now_ms, &conv->key), 0);
    assert_int_equal(vault_commit(run->store.vault), 0);
}

static void people_made(struct gone_run *run)
{
    struct facts *facts = run->store.facts;
    assert_int_equal(facts_begin(facts), 0);
    for (int u = 0; u < USERS; u++) {
        struct device_row row = { .user = users[u], .device = { 100 + (uint64_t)u }, .created_ms = GONE_START_MS };
        assert_int_equal(facts_user_add(facts, &users[u], "hash", GONE_START_MS), 0);
        assert_int_equal(facts_device_add(facts, &row), 0);
    }
    assert_int_equal(facts_commit(facts), 0);
}

static void conv_opened(struct gone_run *run, int c)
{
    struct gone_conv *conv = &run->convs[c];
    if (conv->open || conv->erased) return;
    conv->id = conv_id_direct(&users[pairs[c][0]], &users[pairs[c][1]]);
    key_made(run, conv);
    assert_int_equal(facts_begin(run->store.facts), 0);
    assert_int_equal(facts_conv_add_direct(run->store.facts, &conv->id, &users[pairs[c][0]], &users[pairs[c][1]],
                                           run->now_ms), 0);
    assert_int_equal(facts_commit(run->store.facts), 0);
    conv->open = true;
}

static uint32_t home_of(const struct gone_run *run, int c)
{
    return (uint32_t)c % run->store.log_count;
}

/* Append what the record's head and `entry` say; ids, numbers and keys are filled in. */
static void append(struct gone_run *run, int c, struct record *head, struct entry *entry)
{
    static const struct msg_id none;
    struct gone_conv *conv = &run->convs[c];
    struct position at;
    uint8_t random[8];
    uint64_t bits = chance(&run->random);
    memcpy(random, &bits, sizeof random);
    head->partition = conv->id;
    head->key = conv->key.number;
    head->id = msg_id_next(head->kind == KIND_MARKS ? &none : &conv->last_id, run->now_ms, random);
    if (head->expiry_ms) head->expiry_ms += msg_id_ms(&head->id);
    assert_int_equal(log_append(run->store.log[home_of(run, c)], head, entry, conv->key.key, &at), 0);
    head->log = at.log;
    head->number = at.number;
}

static struct gone_record *say(struct gone_run *run, int c, uint8_t kind, uint64_t expire_ms, const void *body,
                               size_t len)
{
    struct gone_conv *conv = &run->convs[c];
    struct gone_record *r = &run->records[run->count++];
    assert_true(run->count < GONE_RECORDS_MAX && len <= sizeof r->body);
    memset(r, 0, sizeof *r);
    int u = pairs[c][draw(run, 2)];
    r->conv = c;
    r->body_len = len;
    memcpy(r->body, body, len);
    r->there = r->gone = (struct gone_span){ GONE_NEVER, GONE_NEVER };
    r->head = (struct record){ .kind = kind, .seq = ++conv->head, .expiry_ms = expire_ms };
    struct entry entry = { .sender = users[u], .device = { 100 + (uint64_t)u }, .client_seq = ++run->client_seq,
                           .settled = run->client_seq, .member_count = r->head.seq == 1 ? 2 : 0,
                           .members = { users[pairs[c][0]], users[pairs[c][1]] }, .body = bytes_of(r->body, len) };
    append(run, c, &r->head, &entry);
    conv->last_id = r->head.id;
    return r;
}

static void act_send(struct gone_run *run, int c)
{
    uint8_t body[40];
    for (size_t i = 0; i < sizeof body; i++) body[i] = (uint8_t)draw(run, 256);
    say(run, c, KIND_MESSAGE, draw(run, 6) ? 0 : 1 + draw(run, 2000), body, draw(run, sizeof body + 1));
}

/* Up to three messages of it go; what was given is not sure before the batch is back. */
static void act_delete(struct gone_run *run, int c)
{
    uint8_t body[3 * FOLD_NUMBER_BYTES];
    size_t chosen[3], count = 0;
    for (int tries = 0; tries < 30 && count < 3; tries++) {
        size_t i = draw(run, run->count + 1);
        bool fits = i < run->pending && run->records[i].conv == c && run->records[i].head.kind == KIND_MESSAGE &&
                    run->records[i].gone.given == GONE_NEVER;
        for (size_t k = 0; k < count; k++) fits = fits && chosen[k] != i;
        if (!fits) continue;
        put_u64(body + count * FOLD_NUMBER_BYTES, run->records[i].head.seq);
        chosen[count++] = i;
    }
    if (!count) return;
    say(run, c, KIND_DELETE, 0, body, count * FOLD_NUMBER_BYTES);
    for (size_t k = 0; k < count; k++) run->records[chosen[k]].gone.given = ops_of(run);
    run->deletes++;
}

/* -- the run: what is sure from when on ------------------------------------------------------------------------- */

static bool is_deleted_by(const struct gone_record *r, const struct gone_record *by)
{
    if (by->head.kind != KIND_DELETE || by->conv != r->conv) return false;
    for (size_t at = 0; at < by->body_len; at += FOLD_NUMBER_BYTES)
        if (get_u64(by->body + at) == r->head.seq) return true;
    return false;
}

static void act_commit(struct gone_run *run)
{
    uint64_t given = ops_of(run);
    for (size_t i = run->pending; i < run->count; i++) run->records[i].there.given = given;
    for (uint32_t log = 0; log < run->store.log_count; log++) {
        assert_int_equal(log_commit(run->store.log[log]), 0);
        for (size_t i = run->pending; i < run->count; i++) {
            struct gone_record *r = &run->records[i];
            if (r->head.log != log) continue;
            r->there.acked = ops_of(run);
            run->convs[r->conv].committed = r->head.seq;
            struct entry entry = { .sender = users[pairs[r->conv][0]], .body = bytes_of(r->body, r->body_len) };
            assert_int_equal(fold_record(run->folds[log], &r->head, &entry), 0);
            for (size_t k = 0; k < i; k++)
                if (is_deleted_by(&run->records[k], r)) run->records[k].gone.acked = ops_of(run);
        }
    }
    run->pending = run->count;
}

/* From now on it is gone, for sure or perhaps not. */
static void now_gone(struct gone_run *run, struct gone_record *r, bool sure)
{
    if (r->gone.given > ops_of(run)) r->gone.given = ops_of(run);
    if (sure && r->gone.acked > ops_of(run)) r->gone.acked = ops_of(run);
}

static void time_goes_on(struct gone_run *run, uint64_t ms)
{
    run->now_ms += ms;
    for (size_t i = 0; i < run->count; i++) {
        struct gone_record *r = &run->records[i];
        bool expired = r->head.expiry_ms && r->head.expiry_ms <= run->now_ms;
        bool old = run->rule.age_ms && msg_id_ms(&r->head.id) + run->rule.age_ms <= run->now_ms;
        if (expired || old) now_gone(run, r, true);
    }
    assert_true(run->step_count < GONE_STEPS_MAX);
    run->steps[run->step_count].ops = ops_of(run);
    run->steps[run->step_count++].now_ms = run->now_ms;
}

/* Both devices have all that is committed, or one of them. A batch of its own. */
static void act_mark(struct gone_run *run, int c)
{
    struct gone_conv *conv = &run->convs[c];
    uint64_t upto = conv->committed;
    int only = (int)draw(run, 4);
    act_commit(run);
    if (upto == 0) return;
    struct record head = { .kind = KIND_MARKS, .seq = conv->committed };
    struct mark marks[2];
    struct entry entry = { .marks = marks };
    for (int m = 0; m < 2; m++) {
        if (only == m) continue;
        marks[entry.mark_count++] = (struct mark){ .user = users[pairs[c][m]], .device = { 100 + (uint64_t)pairs[c][m] },
                                                   .delivered = upto, .time_ms = run->now_ms };
        if (conv->delivered[m] < upto) conv->delivered[m] = upto;
    }
    append(run, c, &head, &entry);
    uint64_t all = conv->delivered[0] < conv->delivered[1] ? conv->delivered[0] : conv->delivered[1];
    for (int back = 0; back < 2; back++) {
        for (size_t i = 0; run->rule.drop_delivered && i < run->count; i++)
            if (run->records[i].conv == c && run->records[i].head.seq <= all) now_gone(run, &run->records[i], back);
        if (!back) assert_int_equal(log_commit(run->store.log[head.log]), 0);
    }
    assert_int_equal(fold_record(run->folds[head.log], &head, &entry), 0);
}

static void act_flush(struct gone_run *run, uint32_t log)
{
    struct facts *facts = run->store.facts;
    assert_int_equal(facts_begin(facts), 0);
    assert_int_equal(facts_flush(facts, run->folds[log]), 0);
    assert_int_equal(facts_commit(facts), 0);
    fold_free(run->folds[log]);
    run->folds[log] = fold_new(log);
}

static void flush_all(struct gone_run *run)
{
    act_commit(run);
    for (uint32_t log = 0; log < run->store.log_count; log++) act_flush(run, log);
}

static void conv_gone(struct gone_run *run, int c, bool sure)
{
    for (size_t i = 0; i < run->count; i++)
        if (run->records[i].conv == c) now_gone(run, &run->records[i], sure);
}

static void erase_rest(struct gone_run *run)
{
    struct erase_count count = { 0 };
    int err = erase_finish(disk_fs(run->disk), run->store.facts, run->store.vault, run->now_ms, &count);
    assert_int_equal(err, 0);
    run->erases++;
}

/* Its numbering goes on, under another key. */
static void act_erase(struct gone_run *run, int c)
{
    struct gone_conv *conv = &run->convs[c];
    flush_all(run);
    conv_gone(run, c, false);
    assert_int_equal(facts_begin(run->store.facts), 0);
    assert_int_equal(facts_erase_begin(run->store.facts, &conv->id), 0);
    assert_int_equal(facts_commit(run->store.facts), 0);
    erase_rest(run);
    conv_gone(run, c, true);
    conv->delivered[0] = conv->delivered[1] = 0;
    key_made(run, conv);
}

static void act_erase_user(struct gone_run *run, int u)
{
    flush_all(run);
    for (int c = 0; c < GONE_CONVS; c++)
        if (pairs[c][1] == u) conv_gone(run, c, false);
    assert_int_equal(facts_begin(run->store.facts), 0);
    assert_int_equal(facts_erase_begin_user(run->store.facts, &users[u], run->now_ms), 0);
    assert_int_equal(facts_commit(run->store.facts), 0);
    erase_rest(run);
    for (int c = 0; c < GONE_CONVS; c++) {
        if (pairs[c][1] != u) continue;
        conv_gone(run, c, true);
        run->convs[c].erased = true;
        run->convs[c].open = false;
    }
}

static void act_roll(struct gone_run *run, uint32_t log)
{
    act_commit(run);
    log_roll(run->store.log[log], run->now_ms);
    assert_int_equal(log_commit(run->store.log[log]), 0);
}

/* -- the run ---------------------------------------------------------------------------------------------------- */

static void act(struct gone_run *run, struct gone_keeping *k)
{
    uint64_t action = draw(run, 1000);
    int c = (int)draw(run, GONE_CONVS);
    uint32_t log = (uint32_t)draw(run, run->store.log_count);
    struct keep_report report;
    if (run->convs[c].erased) return;
    conv_opened(run, c);
    if (action < 400) act_send(run, c);
    else if (action < 480) act_delete(run, c);
    else if (action < 560) act_mark(run, c);
    else if (action < 680) act_commit(run);
    else if (action < 760) act_flush(run, log);
    else if (action < 800) act_roll(run, log);
    else if (action < 920) {
        keep(k, &run->rule, run->now_ms, draw(run, 2), &report);
        run->sorted += report.did == KEEP_SORTED;
        run->merged += report.did == KEEP_MERGED;
    } else if (action < 995) sweep(k);
    else act_erase(run, c);
}

struct gone_run *gone_run_new(uint64_t seed, const struct gone_rule *rule)
{
    struct gone_run *run = calloc(1, sizeof *run);
    run->records = calloc(GONE_RECORDS_MAX, sizeof *run->records);
    run->random = seed;
    run->now_ms = GONE_START_MS;
    run->rule = *rule;
    run->disk = disk_new(seed);
    disk_journal_start(run->disk);
    run_open(run, 2);
    people_made(run);
    for (int life = 0; life < 3; life++) {
        struct gone_keeping k;
        if (life) run_open(run, 1 + (uint32_t)life);
        gone_keeping_begin(&k, &run->store);
        for (int i = 0; i < GONE_STEPS / 3; i++) {
            time_goes_on(run, draw(run, 20));
            act(run, &k);
            if (life == 1 && i == GONE_STEPS / 6) act_erase_user(run, DAVE);
        }
        act_commit(run);
        run->dropped += k.dropped;
        run->forgotten += k.forgotten;
        gone_keeping_end(&k);
        run_close(run);
    }
    return run;
}

uint64_t gone_now_at(const struct gone_run *run, uint64_t ops)
{
    uint64_t now_ms = GONE_START_MS;
    for (size_t i = 0; i < run->step_count && run->steps[i].ops <= ops; i++) now_ms = run->steps[i].now_ms;
    return now_ms;
}

void gone_run_free(struct gone_run *run)
{
    disk_free(run->disk);
    free(run->records);
    free(run);
}
