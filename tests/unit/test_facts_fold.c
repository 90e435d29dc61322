/* test_facts_fold.c - a fold becomes rows: by maximum, any number of times, and nothing more than it says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "proto/msg.h"
#include "storage/facts_impl.h"
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"

static const struct user_id alice = { "alice" }, bob = { "bob" };
static const struct device_id phone = { 0xf000000000000001 }, laptop = { 7 };
static const struct conv_id chat = { "a conversation.." };

struct rig {
    struct disk *disk;
    struct facts *facts;
    uint64_t random;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->random = run_seed();
    rig->disk = disk_new(1);
    *state = rig;
    return facts_open(disk_fs(rig->disk), "/facts.db", true, &rig->facts);
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    facts_close(rig->facts);
    disk_free(rig->disk);
    free(rig);
    return 0;
}

static uint64_t draw(struct rig *rig, uint64_t below)
{
    return chance_below(&rig->random, below);
}

static struct record record_of(uint8_t kind, uint64_t number, uint64_t seq)
{
    struct record r = { .partition = chat, .number = number, .seq = seq, .counted = seq * 2, .kind = kind };
    struct msg_id none = { { 0 } };
    r.id = msg_id_next(&none, 1000 + seq, (const uint8_t[8]){ 1 });
    return r;
}

static struct entry sent_by(const struct user_id *user, struct device_id device, uint64_t client_seq, uint64_t settled)
{
    struct entry e = { .sender = *user, .device = device, .client_seq = client_seq, .settled = settled };
    return e;
}

/* The conversation's first record, which names its members. */
static void fold_first(struct fold *fold)
{
    struct record r = record_of(KIND_MESSAGE, 1, 1);
    struct entry e = sent_by(&alice, phone, 1, 1);
    e.member_count = 2;
    e.members[0] = alice;
    e.members[1] = bob;
    assert_int_equal(fold_record(fold, &r, &e), 0);
}

static void flush(struct facts *facts, const struct fold *fold)
{
    assert_int_equal(facts_begin(facts), 0);
    assert_int_equal(facts_flush(facts, fold), 0);
    assert_int_equal(facts_commit(facts), 0);
}

/* Every row that folds touch, as text. To be freed. */
static char *dump(struct facts *facts)
{
    static const char *const all[] = {
        "SELECT hex(conv) || ' ' || type || ' ' || created_ms || ' ' || head || ' ' || counted || ' ' || hex(last_id)"
        " || ' ' || marked_ms FROM convs ORDER BY conv",
        "SELECT user || ' ' || from_seq || ' ' || to_seq || ' ' || read || '@' || read_ms || ' ' || delivered || '@'"
        " || delivered_ms || ' ' || sent FROM members ORDER BY conv, user",
        "SELECT user || ' ' || device || ' ' || delivered || ' ' || settled FROM cursors ORDER BY conv, user, device",
        "SELECT user || ' ' || device || ' ' || client_seq || ' ' || seq || ' ' || hex(id) FROM repeats"
        " ORDER BY conv, user, device, client_seq",
        "SELECT user || ' ' || device || ' ' || client_seq_max FROM devices ORDER BY user, device",
        "SELECT log || ' ' || number FROM flushed ORDER BY log",
    };
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct query q;
        char line[256];
        query_start(&q, facts->db, all[i]);
        while (query_row(&q) == 0) {
            query_get_text(&q, line, sizeof line);
            fprintf(out, "%zu %s\n", i, line);
        }
        assert_int_equal(query_end(&q, 0), 0);
    }
    fclose(out);
    return text;
}

static uint64_t number_of(struct facts *facts, const char *sql)
{
    struct query q;
    query_start(&q, facts->db, sql);
    assert_int_equal(query_row(&q), 0);
    uint64_t number = query_get_u64(&q);
    assert_int_equal(query_end(&q, 0), 0);
    return number;
}

static void the_first_record_makes_the_rows_that_are_missing(void **state)
{
    struct facts *facts = ((struct rig *)*state)->facts;
    struct fold *fold = fold_new(4);
    fold_first(fold);
    flush(facts, fold);
    char *rows = dump(facts), expected[800], id[33];
    struct record r = record_of(KIND_MESSAGE, 1, 1);
    for (int i = 0; i < 16; i++) snprintf(id + 2 * i, 3, "%02X", r.id.v[i]);
    snprintf(expected, sizeof expected,
             "0 6120636F6E766572736174696F6E2E2E 1 1001 1 2 %s 0\n"
             "1 alice 1 0 0@0 0@0 1\n1 bob 1 0 0@0 0@0 0\n"
             "2 alice -1152921504606846975 0 1\n"
             "3 alice -1152921504606846975 1 1 %s\n5 4 1\n", id, id);
    assert_string_equal(rows, expected);
    free(rows);
    fold_free(fold);
}

static void marks_move_cursors_members_and_the_conversations_time(void **state)
{
    struct facts *facts = ((struct rig *)*state)->facts;
    struct fold *fold = fold_new(0);
    struct mark moves[] = { { bob, laptop, 5, 3, 700 }, { alice, phone, 2, 0, 800 } };
    struct record r = record_of(KIND_MARKS, 2, 6);
    struct entry e = { .marks = moves, .mark_count = 2 };
    fold_first(fold);
    assert_int_equal(fold_record(fold, &r, &e), 0);
    flush(facts, fold);
    assert_int_equal(number_of(facts, "SELECT head FROM convs"), 1);
    assert_int_equal(number_of(facts, "SELECT marked_ms FROM convs"), 800);
    assert_int_equal(number_of(facts, "SELECT count(*) FROM members WHERE user = 'bob' AND delivered = 5"
                                      " AND delivered_ms = 700 AND read = 3 AND read_ms = 700"), 1);
    assert_int_equal(number_of(facts, "SELECT count(*) FROM members WHERE user = 'alice' AND delivered = 2"
                                      " AND delivered_ms = 800 AND read = 0 AND read_ms = 0"), 1);
    assert_int_equal(number_of(facts, "SELECT delivered FROM cursors WHERE user = 'bob' AND device = 7"), 5);
    fold_free(fold);
}

static void a_device_only_raises_its_highest_client_sequence(void **state)
{
    struct facts *facts = ((struct rig *)*state)->facts;
    struct device_row row = { .user = alice, .device = phone, .client_seq_max = 5 };
    assert_int_equal(facts_user_add(facts, &alice, "h", 1), 0);
    assert_int_equal(facts_device_add(facts, &row), 0);
    for (uint64_t client_seq = 3; client_seq <= 8; client_seq += 5) {
        struct fold *fold = fold_new(0);
        struct record r = record_of(KIND_MESSAGE, client_seq, client_seq);
        struct entry e = sent_by(&alice, phone, client_seq, 1);
        assert_int_equal(fold_record(fold, &r, &e), 0);
        flush(facts, fold);
        fold_free(fold);
        assert_int_equal(number_of(facts, "SELECT client_seq_max FROM devices"), client_seq < 5 ? 5 : client_seq);
    }
}

static void what_has_no_rows_is_not_brought_back(void **state)
{
    struct facts *facts = ((struct rig *)*state)->facts;
    struct fold *fold = fold_new(0);
    struct mark move = { bob, laptop, 5, 3, 700 };
    struct record later = record_of(KIND_MESSAGE, 9, 4), marks = record_of(KIND_MARKS, 10, 4);
    struct entry e = sent_by(&alice, phone, 1, 1), m = { .marks = &move, .mark_count = 1 };
    assert_int_equal(fold_record(fold, &later, &e), 0);
    assert_int_equal(fold_record(fold, &marks, &m), 0);
    flush(facts, fold);
    char *rows = dump(facts);
    assert_string_equal(rows, "5 0 10\n");
    free(rows);
    fold_free(fold);
}

static void an_empty_fold_changes_nothing_and_the_number_only_rises(void **state)
{
    struct facts *facts = ((struct rig *)*state)->facts;
    struct fold *empty = fold_new(3), *ahead = fold_new(3), *behind = fold_new(3);
    struct record high = record_of(KIND_TOMBSTONE, 9, 4), low = record_of(KIND_TOMBSTONE, 5, 3);
    flush(facts, empty);
    assert_int_equal(facts_flushed(facts, 3), 0);
    assert_int_equal(fold_record(ahead, &high, NULL), 0);
    assert_int_equal(fold_record(behind, &low, NULL), 0);
    flush(facts, ahead);
    flush(facts, behind);
    assert_int_equal(facts_flushed(facts, 3), 9);
    assert_int_equal(facts_flushed(facts, 2), 0);
    fold_free(empty);
    fold_free(ahead);
    fold_free(behind);
}

static void settled_repeats_go_and_of_the_rest_the_newest_stay(void **state)
{
    struct facts *facts = ((struct rig *)*state)->facts;
    struct fold *fold = fold_new(0);
    uint64_t number = 1, last = REPEATS_MAX + 20;
    fold_first(fold);
    for (uint64_t client_seq = 2; client_seq <= last; client_seq++) {
        struct record r = record_of(KIND_MESSAGE, ++number, client_seq);
        struct entry e = sent_by(&alice, phone, client_seq, 1);
        assert_int_equal(fold_record(fold, &r, &e), 0);
    }
    struct record r = record_of(KIND_MESSAGE, ++number, last + 1);
    struct entry e = sent_by(&alice, laptop, 3, 1);      /* another device: its own set */
    assert_int_equal(fold_record(fold, &r, &e), 0);
    flush(facts, fold);
    fold_free(fold);
    assert_int_equal(number_of(facts, "SELECT count(*) FROM repeats WHERE device < 0"), REPEATS_MAX);
    assert_int_equal(number_of(facts, "SELECT min(client_seq) FROM repeats WHERE device < 0"), last - REPEATS_MAX + 1);
    assert_int_equal(number_of(facts, "SELECT count(*) FROM repeats WHERE device = 7"), 1);

    fold = fold_new(0);
    r = record_of(KIND_MESSAGE, ++number, last + 2);
    e = sent_by(&alice, phone, last + 1, last - 3);
    assert_int_equal(fold_record(fold, &r, &e), 0);
    flush(facts, fold);
    fold_free(fold);
    assert_int_equal(number_of(facts, "SELECT min(client_seq) FROM repeats WHERE device < 0"), last - 3);
    assert_int_equal(number_of(facts, "SELECT count(*) FROM repeats WHERE device < 0"), 5);
    assert_int_equal(number_of(facts, "SELECT count(*) FROM repeats WHERE device = 7"), 1);
}

/* -- random runs ------------------------------------------------------------------------------------------ */

enum { RUN_RECORDS = 200 };

/* Records 1..RUN_RECORDS of two people with two devices each, as they would have been appended. */
struct run {
    struct record record[RUN_RECORDS];
    struct entry entry[RUN_RECORDS];
    struct mark mark[RUN_RECORDS];
};

static void run_make(struct rig *rig, struct run *run)
{
    const struct user_id *users[] = { &alice, &bob };
    const struct device_id devices[] = { phone, laptop };
    uint64_t seq = 0, client_seq[2][2] = { { 0 } }, settled[2][2] = { { 1, 1 }, { 1, 1 } };
    for (unsigned i = 0; i < RUN_RECORDS; i++) {
        uint64_t u = draw(rig, 2), d = draw(rig, 2);
        if (i == 0 || draw(rig, 3)) {
            run->record[i] = record_of(i && !draw(rig, 9) ? KIND_TOMBSTONE : KIND_MESSAGE, i + 1, ++seq);
            run->record[i].flags = draw(rig, 2) ? RECORD_SENDER_CAUGHT_UP : 0;
            settled[u][d] += draw(rig, client_seq[u][d] - settled[u][d] + 2);
            run->entry[i] = sent_by(users[u], devices[d], ++client_seq[u][d], settled[u][d]);
            run->entry[i].member_count = i == 0 ? 2 : 0;
            run->entry[i].members[0] = alice;
            run->entry[i].members[1] = bob;
        } else {
            run->record[i] = record_of(KIND_MARKS, i + 1, seq);
            run->mark[i] = (struct mark){ *users[u], devices[d], draw(rig, seq + 1), draw(rig, seq + 1), 5000 + i };
            run->entry[i] = (struct entry){ .marks = &run->mark[i], .mark_count = 1 };
        }
    }
}

static void run_flush(struct run *run, struct facts *facts, uint64_t from, uint64_t to)
{
    struct fold *fold = fold_new(0);
    for (uint64_t i = from; i < to; i++) assert_int_equal(fold_record(fold, &run->record[i], &run->entry[i]), 0);
    flush(facts, fold);
    fold_free(fold);
}

static void any_cut_into_flushes_and_any_replay_ends_in_the_same_rows(void **state)
{
    struct rig *rig = *state;
    static struct run run;
    for (int round = 0; round < 10; round++) {
        struct facts *once, *pieces;
        char path[2][32];
        snprintf(path[0], sizeof path[0], "/once-%d.db", round);
        snprintf(path[1], sizeof path[1], "/pieces-%d.db", round);
        assert_int_equal(facts_open(disk_fs(rig->disk), path[0], true, &once), 0);
        assert_int_equal(facts_open(disk_fs(rig->disk), path[1], true, &pieces), 0);
        run_make(rig, &run);
        run_flush(&run, once, 0, RUN_RECORDS);
        for (uint64_t at = 0; at < RUN_RECORDS;) {
            uint64_t to = at + 1 + draw(rig, 40), from = at - draw(rig, at + 1);    /* some of it again */
            if (to > RUN_RECORDS) to = RUN_RECORDS;
            run_flush(&run, pieces, from, to);
            at = to;
        }
        char *a = dump(once), *b = dump(pieces);
        assert_string_equal(a, b);
        free(a);
        free(b);
        facts_close(once);
        facts_close(pieces);
    }
}

static void a_flush_that_fails_leaves_rows_and_number_as_they_were(void **state)
{
    struct rig *rig = *state;
    static struct run run;
    run_make(rig, &run);
    run_flush(&run, rig->facts, 0, RUN_RECORDS / 2);
    char *before = dump(rig->facts);
    struct fold *fold = fold_new(0);
    for (unsigned i = RUN_RECORDS / 2; i < RUN_RECORDS; i++)
        assert_int_equal(fold_record(fold, &run.record[i], &run.entry[i]), 0);
    disk_set_capacity(rig->disk, disk_used(rig->disk) + 5000);
    assert_int_equal(facts_begin(rig->facts), 0);
    int err = facts_flush(rig->facts, fold);
    if (!err) err = facts_commit(rig->facts);
    else facts_rollback(rig->facts);
    assert_int_equal(err, ERR_NO_SPACE);
    char *after = dump(rig->facts);
    assert_string_equal(before, after);
    disk_set_capacity(rig->disk, UINT64_MAX);
    flush(rig->facts, fold);                /* the fold is whole still, and there is room */
    assert_int_equal(facts_flushed(rig->facts, 0), RUN_RECORDS);
    fold_free(fold);
    free(before);
    free(after);
}

#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_DISK(the_first_record_makes_the_rows_that_are_missing),
        ON_A_DISK(marks_move_cursors_members_and_the_conversations_time),
        ON_A_DISK(a_device_only_raises_its_highest_client_sequence),
        ON_A_DISK(what_has_no_rows_is_not_brought_back),
        ON_A_DISK(an_empty_fold_changes_nothing_and_the_number_only_rises),
        ON_A_DISK(settled_repeats_go_and_of_the_rest_the_newest_stay),
        ON_A_DISK(any_cut_into_flushes_and_any_replay_ends_in_the_same_rows),
        ON_A_DISK(a_flush_that_fails_leaves_rows_and_number_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
