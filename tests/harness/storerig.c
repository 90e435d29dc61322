/* storerig.c - what a server does to a data folder, without the server. The checks stand in storerig_check.c. */
#include "tests/harness/storerig.h"

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
#include "tests/harness/storerig_people.h"

const struct user_id rig_users[RIG_USERS] = { { "alice" }, { "bob" }, { "carol" }, { "dave" } };
const struct device_id rig_devices[RIG_DEVICES] = { { 0x8000000000000005 }, { 7 } };    /* rows order them as signed */

uint64_t rig_draw(struct storerig *rig, uint64_t below)
{
    return chance_below(&rig->random, below);
}

uint64_t rig_ops(const struct storerig *rig)
{
    return disk_journal_ops(rig->disk);
}

bool rig_went_well(const struct storerig *rig, int err)
{
    if (err && (rig->disk_is_good || (err != ERR_NO_SPACE && err != ERR_IO && err != ERR_READ_ONLY)))
        fail_msg("%s on operation %llu", err_name(err), (unsigned long long)rig_ops(rig));
    return err == 0;
}

/* -- the store -------------------------------------------------------------------------------------------- */

static void rig_open(struct storerig *rig, uint32_t shards)
{
    struct store_opening how = { .shards = shards, .now_ms = rig->now_ms, .segment_bytes = RIG_SEGMENT_BYTES };
    char why[256];
    int err = store_open(disk_fs(rig->disk), RIG_DIR, &how, &rig->store, why);
    if (err) fail_msg("%s: %s", err_name(err), why);
    for (uint32_t i = 0; i < shards; i++) rig->folds[i] = fold_new(i);
    rig->facts_dead = rig->vault_dead = false;
}

void storerig_close(struct storerig *rig)
{
    for (uint32_t i = 0; i < RIG_LOGS_MAX; i++) {
        fold_free(rig->folds[i]);
        rig->folds[i] = NULL;
    }
    store_close(&rig->store);
}

struct storerig *storerig_new(uint64_t seed)
{
    struct storerig *rig = calloc(1, sizeof *rig);
    rig->records = calloc(RIG_RECORDS_MAX, sizeof *rig->records);
    rig->random = seed;
    rig->now_ms = RIG_NOW_MS;
    rig->disk_is_good = true;
    rig->disk = disk_new(seed);
    struct rig_conv *conv = rig->convs;
    for (int a = 0; a < RIG_USERS; a++) {
        for (int b = a; b < RIG_USERS; b++, conv++) {
            conv->id = conv_id_direct(&rig_users[a], &rig_users[b]);
            conv->users[0] = a;
            conv->users[1] = b;
            conv->rows_ops = RIG_NEVER;
        }
    }
    disk_journal_start(rig->disk);
    rig_open(rig, 2);
    rig->opened_ops = rig_ops(rig);
    rig->node = rig->store.node;
    rig->people = rig_people_new();
    rig_people_begin(rig);
    return rig;
}

void storerig_free(struct storerig *rig)
{
    for (uint32_t i = 0; i < RIG_LOGS_MAX; i++) fold_free(rig->folds[i]);
    disk_free(rig->disk);
    rig_people_free(rig->people);
    free(rig->records);
    free(rig);
}

/* -- appending -------------------------------------------------------------------------------------------- */

static uint32_t home_of(const struct storerig *rig, int conv)
{
    return (uint32_t)conv % rig->store.log_count;
}

/* Append what has been filled in as the next of rig->records. */
static bool rig_record_append(struct storerig *rig, struct rig_record *r)
{
    struct rig_conv *conv = &rig->convs[r->conv];
    uint32_t home = home_of(rig, r->conv);
    struct position at;
    uint8_t random[8];
    uint64_t bits = chance(&rig->random);
    memcpy(random, &bits, sizeof random);
    assert_true(rig->count < RIG_RECORDS_MAX);
    r->head.partition = conv->id;
    r->head.key = conv->key.number;
    r->head.id = msg_id_next(&conv->now.last_id, rig->now_ms, random);
    r->given_ops = r->acked_ops = RIG_NEVER;
    if (!rig_went_well(rig, log_append(rig->store.log[home], &r->head, &r->entry, conv->key.key, &at))) return false;
    assert_true(at.number < RIG_NUMBERS_MAX);
    r->head.log = at.log;
    r->head.number = at.number;
    r->same_number = rig->latest[at.log][at.number];
    rig->latest[at.log][at.number] = r;
    rig->count++;
    return true;
}

static struct rig_record *next_record(struct storerig *rig, int conv)
{
    struct rig_record *r = &rig->records[rig->count];
    memset(r, 0, sizeof *r);
    r->conv = conv;
    return r;
}

static void rig_send(struct storerig *rig, int c)
{
    struct rig_conv *conv = &rig->convs[c];
    struct rig_record *r = next_record(rig, c);
    int user = conv->users[rig_draw(rig, 2)], device = (int)rig_draw(rig, RIG_DEVICES);
    uint64_t client_seq = ++rig->client_seq[user][device];
    uint64_t behind = rig_draw(rig, 6);                    /* answers this device still waits for, as far as it knows */
    size_t len = rig_draw(rig, RIG_BODY_MAX + 1);
    for (size_t i = 0; i < len; i++) r->body[i] = (uint8_t)rig_draw(rig, 256);
    r->head.kind = KIND_MESSAGE;
    r->head.flags = RECORD_COUNTS | (rig_draw(rig, 2) ? RECORD_SENDER_CAUGHT_UP : 0);
    r->head.seq = conv->now.seq + 1;
    r->head.counted = conv->now.counted + 1;
    r->entry = (struct entry){
        .sender = rig_users[user], .device = rig_devices[device], .client_seq = client_seq,
        .settled = client_seq > behind ? client_seq - behind : 1,
        .member_count = r->head.seq == 1 ? 2 : 0,
        .body = bytes_of(r->body, len),
    };
    for (int i = 0; i < r->entry.member_count; i++) r->entry.members[i] = rig_users[conv->users[i]];
    if (rig_record_append(rig, r)) conv->now = (struct rig_place){ r->head.seq, r->head.counted, r->head.id };
}

/* Some members' devices acknowledge and read, up to what is committed. */
static void rig_mark(struct storerig *rig, int c)
{
    struct rig_conv *conv = &rig->convs[c];
    struct rig_record *r = next_record(rig, c);
    if (conv->committed.seq == 0) return;
    r->head.kind = KIND_MARKS;
    r->head.seq = conv->committed.seq;
    r->head.counted = conv->committed.counted;
    r->entry.marks = r->marks;
    r->entry.mark_count = 1 + (uint32_t)rig_draw(rig, RIG_MARKS_MAX);
    for (uint32_t i = 0; i < r->entry.mark_count; i++) {
        r->marks[i] = (struct mark){
            .user = rig_users[conv->users[rig_draw(rig, 2)]], .device = rig_devices[rig_draw(rig, RIG_DEVICES)],
            .delivered = rig_draw(rig, conv->committed.seq + 1), .read = rig_draw(rig, conv->committed.seq + 1),
            .time_ms = rig->now_ms,
        };
    }
    rig_record_append(rig, r);
}

static void rig_converse(struct storerig *rig, int c)
{
    struct rig_conv *conv = &rig->convs[c];
    struct vault *vault = rig->store.vault;
    struct facts *facts = rig->store.facts;
    if (conv->is_open || rig->vault_dead || rig->facts_dead) return;
    if (!rig_person_is_there(rig, conv->users[0]) || !rig_person_is_there(rig, conv->users[1])) return;
    int err = vault_begin(vault);
    if (!err) err = vault_make(vault, &conv->id, rig->now_ms, &conv->key);
    if (!err) err = vault_commit(vault);
    else vault_rollback(vault);
    if (err == ERR_IO) rig->vault_dead = true;
    if (!rig_went_well(rig, err)) return;

    err = facts_begin(facts);
    if (!err) err = facts_conv_add_direct(facts, &conv->id, &rig_users[conv->users[0]], &rig_users[conv->users[1]],
                                          rig->now_ms);
    if (!err) err = facts_commit(facts);
    else facts_rollback(facts);
    if (err == ERR_IO) rig->facts_dead = true;
    if (!rig_went_well(rig, err)) return;
    conv->is_open = true;
    if (conv->rows_ops == RIG_NEVER) conv->rows_ops = rig_ops(rig);
    rig_send(rig, c);
}

/* -- committing ------------------------------------------------------------------------------------------- */

/* Forget what is not committed: the conversations stand where their last committed record put them. */
static void rig_forget(struct storerig *rig, uint32_t log)
{
    for (int c = 0; c < RIG_CONVS; c++)
        if (home_of(rig, c) == log) rig->convs[c].now = rig->convs[c].committed;
}

static void rig_commit(struct storerig *rig, uint32_t log)
{
    size_t from = rig->pending[log];
    for (size_t i = from; i < rig->count; i++)
        if (rig->records[i].head.log == log) rig->records[i].given_ops = rig_ops(rig);
    int err = log_commit(rig->store.log[log]);
    rig->pending[log] = rig->count;
    if (!rig_went_well(rig, err)) {
        rig_forget(rig, log);
        return;
    }
    for (size_t i = from; i < rig->count; i++) {
        struct rig_record *r = &rig->records[i];
        if (r->head.log != log) continue;
        r->acked_ops = rig_ops(rig);
        assert_int_equal(fold_record(rig->folds[log], &r->head, &r->entry), 0);
        if (r->head.kind == KIND_MESSAGE)
            rig->convs[r->conv].committed = (struct rig_place){ r->head.seq, r->head.counted, r->head.id };
    }
}

static void rig_flush(struct storerig *rig, uint32_t log)
{
    struct facts *facts = rig->store.facts;
    if (rig->facts_dead) return;
    int err = facts_begin(facts);
    if (!err) err = facts_flush(facts, rig->folds[log]);
    if (!err) err = facts_commit(facts);
    else facts_rollback(facts);
    if (err == ERR_IO) rig->facts_dead = true;
    if (!rig_went_well(rig, err)) return;       /* the fold waits */
    fold_free(rig->folds[log]);
    rig->folds[log] = fold_new(log);
}

void storerig_run(struct storerig *rig, int steps, uint32_t shards)
{
    assert_int_equal(rig->store.log_count, shards);
    for (int i = 0; i < steps; i++) {
        uint64_t action = rig_draw(rig, 100);
        int c = (int)rig_draw(rig, RIG_CONVS);
        uint32_t log = (uint32_t)rig_draw(rig, shards);
        rig->now_ms += rig_draw(rig, 5);
        if (action < 8) rig_people_act(rig);
        else if (action < 14 || !rig->convs[c].is_open) rig_converse(rig, c);
        else if (action < 54) rig_send(rig, c);
        else if (action < 68) rig_mark(rig, c);
        else if (action < 92) rig_commit(rig, log);
        else rig_flush(rig, log);
    }
}

void storerig_restart(struct storerig *rig, uint32_t shards)
{
    for (uint32_t log = 0; log < rig->store.log_count; log++) rig_forget(rig, log);
    storerig_close(rig);
    /* What was handed over and not acknowledged may be there all the same: the folder says where we stand. */
    rig_open(rig, shards);
    rig_people_resume(rig);
    for (uint32_t log = 0; log < RIG_LOGS_MAX; log++) rig->pending[log] = rig->count;
    for (int c = 0; c < RIG_CONVS; c++) {
        struct rig_conv *conv = &rig->convs[c];
        struct conv_row row;
        if (facts_conv_get(rig->store.facts, &conv->id, &row)) continue;
        conv->committed = conv->now = (struct rig_place){ row.head, row.counted, row.last_id };
    }
}
