/* test_fold.c - a fold is a maximum: of any record, any number of times.
 *
 * fold.c is compiled into this program, so that its allocations can be made to fail one after the other. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long allocations_left = -1;    /* -1: as many as one likes */

static bool allocation_fails(void)
{
    if (allocations_left == 0) return true;
    if (allocations_left > 0) allocations_left--;
    return false;
}

static void *scarce_malloc(size_t len)
{
    return allocation_fails() ? NULL : malloc(len);
}

static void *scarce_calloc(size_t count, size_t len)
{
    return allocation_fails() ? NULL : calloc(count, len);
}

#define malloc scarce_malloc
#define calloc scarce_calloc
#include "storage/fold.c"
#undef malloc
#undef calloc

#include "proto/msg.h"
#include "tests/harness/chance.h"

_Static_assert((int)FOLD_KIND_MESSAGE == (int)KIND_MESSAGE, "storage and wire mean the same kind");
_Static_assert((int)FOLD_KIND_DELETE == (int)KIND_DELETE, "storage and wire mean the same kind");
_Static_assert((int)FOLD_KIND_TIMER == (int)KIND_TIMER, "storage and wire mean the same kind");
_Static_assert((int)RECORD_KIND_MARKS == (int)KIND_MARKS, "storage and wire mean the same kind");
_Static_assert((int)FOLD_SENDER_CAUGHT_UP == (int)RECORD_SENDER_CAUGHT_UP, "storage and wire mean the same flag");

static const struct user_id alice = { "alice" }, bob = { "bob" };
static const struct device_id phone = { 0xf000000000000001 }, laptop = { 7 };
static const struct conv_id conv = { "a conversation.." };

static struct msg_id id_at(uint64_t ms, uint8_t last)
{
    struct msg_id none = { { 0 } };
    uint8_t random[8] = { [7] = last };
    return msg_id_next(&none, ms, random);
}

static struct record message(uint64_t number, uint64_t seq)
{
    return (struct record){ .partition = conv, .number = number, .seq = seq, .counted = seq, .kind = KIND_MESSAGE,
                            .flags = RECORD_COUNTS, .id = id_at(1000 + seq, (uint8_t)seq) };
}

static struct entry sent_by(const struct user_id *user, struct device_id device, uint64_t client_seq)
{
    return (struct entry){ .sender = *user, .device = device, .client_seq = client_seq };
}

static struct record marks(uint64_t number, uint64_t seq)
{
    struct record r = message(number, seq);
    r.kind = KIND_MARKS;
    r.flags = 0;
    return r;
}

/* The row as the fold has it, or NULL. */
static const struct fold_row *find(struct fold *fold, enum fold_kind kind, const struct user_id *user,
                                   struct device_id device, uint64_t client_seq)
{
    bool of_conv = kind != FOLD_DEVICE;
    struct fold_key key = key_of(kind, of_conv ? &conv : NULL, user, device, client_seq);
    if (kind == FOLD_REPEAT) key.kind = FOLD_CURSOR, key.client_seq = 0;
    struct fold_node *node;
    HASH_FIND(hh, fold->table, &key, sizeof key, node);
    if (!node || kind != FOLD_REPEAT) return node ? &node->row : NULL;
    struct fold_repeat *repeat;
    DL_SEARCH_SCALAR(node->repeats, repeat, row.key.client_seq, client_seq);
    return repeat ? &repeat->row : NULL;
}

static void assert_same(struct fold *a, struct fold *b)
{
    const struct fold_row **rows_a, **rows_b;
    size_t count_a, count_b;
    assert_int_equal(fold_sorted(a, &rows_a, &count_a), 0);
    assert_int_equal(fold_sorted(b, &rows_b, &count_b), 0);
    assert_int_equal(count_a, count_b);
    assert_int_equal(fold_number(a), fold_number(b));
    for (size_t i = 0; i < count_a; i++) assert_memory_equal(rows_a[i], rows_b[i], sizeof *rows_a[i]);
    free(rows_a);
    free(rows_b);
}

static void a_message_moves_head_sender_repeat_and_device(void **state)
{
    (void)state;
    struct fold *fold = fold_new(3);
    struct record r = message(9, 4);
    struct entry e = sent_by(&alice, phone, 17);
    e.settled = 12;
    assert_int_equal(fold_record(fold, &r, &e), 0);
    assert_int_equal(fold_log(fold), 3);
    assert_int_equal(fold_number(fold), 9);
    assert_int_equal(fold_rows(fold), 5);
    const struct fold_row *row = find(fold, FOLD_CONV, NULL, no_device, 0);
    assert_int_equal(row->u.conv.head, 4);
    assert_int_equal(row->u.conv.counted, 4);
    assert_memory_equal(&row->u.conv.last_id, &r.id, sizeof r.id);
    assert_false(row->u.conv.is_new);
    row = find(fold, FOLD_MEMBER, &alice, no_device, 0);
    assert_int_equal(row->u.member.sent, 4);
    assert_int_equal(row->u.member.delivered, 0);
    row = find(fold, FOLD_CURSOR, &alice, phone, 0);
    assert_int_equal(row->u.cursor.settled, 12);
    assert_int_equal(row->u.cursor.delivered, 0);
    row = find(fold, FOLD_REPEAT, &alice, phone, 17);
    assert_int_equal(row->u.repeat.seq, 4);
    assert_memory_equal(&row->u.repeat.id, &r.id, sizeof r.id);
    row = find(fold, FOLD_DEVICE, &alice, phone, 0);
    assert_int_equal(row->u.device.client_seq_max, 17);
    fold_free(fold);
}

static void a_message_of(struct fold *fold, uint64_t client_seq, uint64_t settled)
{
    struct record r = message(fold_number(fold) + 1, fold_number(fold) + 1);
    struct entry e = sent_by(&alice, phone, client_seq);
    e.settled = settled;
    assert_int_equal(fold_record(fold, &r, &e), 0);
}

static void settled_repeats_leave_and_the_others_stay_in_order(void **state)
{
    (void)state;
    struct fold *fold = fold_new(0);
    const uint64_t sent[] = { 20, 25, 10, 30, 22, 1 }, left[] = { 20, 22, 25, 30 };
    for (int i = 0; i < 6; i++) a_message_of(fold, sent[i], 1);
    assert_int_equal(fold_rows(fold), 4 + 6);
    a_message_of(fold, 31, 20);
    a_message_of(fold, 19, 2);           /* replayed: settled since */
    a_message_of(fold, 22, 2);           /* and this one is there */
    assert_int_equal(fold_rows(fold), 4 + 5);
    const struct fold_row **rows;
    size_t count, at = 0;
    assert_int_equal(fold_sorted(fold, &rows, &count), 0);
    assert_int_equal(count, 4 + 5);
    while (rows[at]->key.kind != FOLD_REPEAT) at++;
    for (int i = 0; i < 4; i++) assert_int_equal(rows[at + i]->key.client_seq, left[i]);
    assert_int_equal(rows[at + 1]->u.repeat.seq, 5);     /* of the first that had the number */
    free(rows);
    for (uint64_t client_seq = 32; client_seq < 1000; client_seq++) a_message_of(fold, client_seq, client_seq);
    assert_int_equal(fold_rows(fold), 4 + 1);
    fold_free(fold);
}

static void a_sender_that_had_all_has_its_own_message_too(void **state)
{
    (void)state;
    struct fold *fold = fold_new(0);
    struct record r = message(1, 5);
    r.flags |= RECORD_SENDER_CAUGHT_UP;
    struct entry e = sent_by(&alice, phone, 1);
    assert_int_equal(fold_record(fold, &r, &e), 0);
    assert_int_equal(find(fold, FOLD_CURSOR, &alice, phone, 0)->u.cursor.delivered, 5);
    assert_int_equal(find(fold, FOLD_MEMBER, &alice, no_device, 0)->u.member.delivered, 5);
    assert_int_equal(find(fold, FOLD_MEMBER, &alice, no_device, 0)->u.member.delivered_ms, 1005);
    assert_int_equal(find(fold, FOLD_MEMBER, &alice, no_device, 0)->u.member.read, 0);
    fold_free(fold);
}

static void the_first_record_names_the_members(void **state)
{
    (void)state;
    struct fold *fold = fold_new(0);
    struct record r = message(1, 1);
    struct entry e = sent_by(&bob, laptop, 1);
    e.member_count = 2;
    e.members[0] = alice;
    e.members[1] = bob;
    assert_int_equal(fold_record(fold, &r, &e), 0);
    const struct fold_row *row = find(fold, FOLD_CONV, NULL, no_device, 0);
    assert_true(row->u.conv.is_new);
    assert_true(user_id_equal(&row->u.conv.members[0], &alice));
    assert_true(user_id_equal(&row->u.conv.members[1], &bob));
    assert_int_equal(row->u.conv.created_ms, 1001);
    fold_free(fold);
}

static void marks_move_cursors_and_their_times_and_no_head(void **state)
{
    (void)state;
    struct fold *fold = fold_new(0);
    struct mark moves[] = {
        { bob, phone, 7, 0, 100 },
        { bob, laptop, 0, 5, 200 },      /* read up to 5: this device has them too */
        { bob, phone, 6, 6, 300 },       /* delivered was further already */
    };
    struct record r = marks(1, 9);
    struct entry e = { .marks = moves, .mark_count = 3 };
    assert_int_equal(fold_record(fold, &r, &e), 0);
    assert_int_equal(find(fold, FOLD_CURSOR, &bob, phone, 0)->u.cursor.delivered, 7);
    assert_int_equal(find(fold, FOLD_CURSOR, &bob, laptop, 0)->u.cursor.delivered, 5);
    const struct fold_row *member = find(fold, FOLD_MEMBER, &bob, no_device, 0);
    assert_int_equal(member->u.member.delivered, 7);
    assert_int_equal(member->u.member.delivered_ms, 100);
    assert_int_equal(member->u.member.read, 6);
    assert_int_equal(member->u.member.read_ms, 300);
    const struct fold_row *row = find(fold, FOLD_CONV, NULL, no_device, 0);
    assert_int_equal(row->u.conv.marked_ms, 300);
    assert_int_equal(row->u.conv.head, 0);
    fold_free(fold);
}

static void what_cannot_be_opened_moves_the_head_only(void **state)
{
    (void)state;
    struct fold *fold = fold_new(0);
    struct record r = message(1, 3), tombstone = message(2, 4), m = marks(3, 4), nobodys = message(4, 5);
    struct entry e = sent_by(&alice, phone, 1), nobody = { .client_seq = 8 };
    tombstone.kind = KIND_TOMBSTONE;
    assert_int_equal(fold_record(fold, &r, NULL), 0);            /* its key is gone */
    assert_int_equal(fold_record(fold, &tombstone, &e), 0);      /* by kind */
    assert_int_equal(fold_record(fold, &m, NULL), 0);
    assert_int_equal(fold_rows(fold), 1);
    assert_int_equal(find(fold, FOLD_CONV, NULL, no_device, 0)->u.conv.head, 4);
    assert_int_equal(fold_number(fold), 3);
    assert_int_equal(fold_record(fold, &nobodys, &nobody), 0);
    assert_int_equal(fold_rows(fold), 1);
    assert_int_equal(find(fold, FOLD_CONV, NULL, no_device, 0)->u.conv.head, 5);
    fold_free(fold);
}

static void numbers_no_row_can_hold_are_refused_and_change_nothing(void **state)
{
    (void)state;
    struct fold *fold = fold_new(0), *empty = fold_new(0);
    struct record r = message(1, 1), high = message(1, 1), m = marks(1, 1);
    high.seq = FOLD_SEQ_MAX + 1;
    struct entry client = sent_by(&alice, phone, FOLD_SEQ_MAX + 1), settled = sent_by(&alice, phone, 1);
    settled.settled = UINT64_MAX;
    struct mark move = { bob, phone, FOLD_SEQ_MAX + 1, 0, 5 };
    struct entry e = { .marks = &move, .mark_count = 1 };
    assert_int_equal(fold_record(fold, &high, NULL), ERR_RANGE);
    assert_int_equal(fold_record(fold, &r, &client), ERR_RANGE);
    assert_int_equal(fold_record(fold, &r, &settled), ERR_RANGE);
    assert_int_equal(fold_record(fold, &m, &e), ERR_RANGE);
    move = (struct mark){ bob, phone, 0, UINT64_MAX, 5 };
    assert_int_equal(fold_record(fold, &m, &e), ERR_RANGE);
    assert_same(fold, empty);
    struct entry most = sent_by(&alice, phone, FOLD_SEQ_MAX);
    assert_int_equal(fold_record(fold, &r, &most), 0);
    fold_free(fold);
    fold_free(empty);
}

/* -- random runs ------------------------------------------------------------------------------------------ */

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
    return chance_below(&random_state, below);
}

enum { RUN_RECORDS = 300, RUN_MARKS = 4 };
struct run {
    struct record record[RUN_RECORDS];
    struct entry entry[RUN_RECORDS];
    struct mark marks[RUN_RECORDS][RUN_MARKS];
};

/* Records as a conversation of two makes them, numbered 1, 2, 3, … */
static void run_make(struct run *run)
{
    const struct user_id *users[] = { &alice, &bob };
    const struct device_id devices[] = { phone, laptop };
    uint64_t seq = 0, client_seq[2][2] = { { 0 } };
    for (unsigned i = 0; i < RUN_RECORDS; i++) {
        uint64_t u = draw(2), d = draw(2);
        if (seq == 0 || draw(3)) {
            run->record[i] = message(i + 1, ++seq);
            if (draw(4) == 0) run->record[i].flags |= RECORD_SENDER_CAUGHT_UP;
            if (draw(8) == 0) run->record[i].kind = KIND_TOMBSTONE;
            uint64_t mine = ++client_seq[u][d];
            run->entry[i] = sent_by(users[u], devices[d], mine);
            run->entry[i].settled = mine - draw(mine < 5 ? mine : 5);
        } else {
            run->record[i] = marks(i + 1, seq);
            run->entry[i] = (struct entry){ .marks = run->marks[i], .mark_count = 1 + (uint32_t)draw(RUN_MARKS) };
            for (uint32_t m = 0; m < run->entry[i].mark_count; m++)
                run->marks[i][m] = (struct mark){ *users[draw(2)], devices[draw(2)], draw(seq + 1), draw(seq + 1),
                                                  5000 + i };
        }
    }
}

static void a_delete_makes_a_row_for_each_sequence_and_says_nothing(void **state)
{
    (void)state;
    static const uint8_t body[] = { 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1, 0, 9 };
    struct fold *fold = fold_new(2);
    struct record r = message(9, 5);
    struct entry entry = sent_by(&alice, phone, 17);
    r.kind = KIND_DELETE;
    entry.body = BYTES_OF(body);
    assert_int_equal(fold_record(fold, &r, &entry), 0);
    const struct fold_row **rows;
    size_t count, deleted = 0;
    assert_int_equal(fold_sorted(fold, &rows, &count), 0);
    for (size_t i = 0; i < count; i++) {
        if (rows[i]->key.kind != FOLD_DELETED) continue;
        assert_int_equal(rows[i]->key.client_seq, deleted++ == 0 ? 3 : 256);
        assert_int_equal(rows[i]->u.deleted.ms, 1005);
    }
    assert_int_equal(deleted, 2);
    free(rows);
    assert_int_equal(find(fold, FOLD_CONV, NULL, no_device, 0)->u.conv.head, 5);
    assert_int_equal(find(fold, FOLD_MEMBER, &alice, no_device, 0)->u.member.sent, 0);
    assert_int_equal(find(fold, FOLD_REPEAT, &alice, phone, 17)->u.repeat.seq, 5);
    static const uint8_t far[] = { 0x80, 0, 0, 0, 0, 0, 0, 0 };
    entry.body = BYTES_OF(far);
    assert_int_equal(fold_record(fold, &r, &entry), ERR_RANGE);
    fold_free(fold);
}

static void the_last_timer_of_the_conversation_holds(void **state)
{
    (void)state;
    static const uint8_t minute[] = { 0, 0, 0, 0, 0, 0, 0, 60 }, off[8] = { 0 };
    struct fold *fold = fold_new(2);
    struct record first = message(9, 5), last = message(10, 6);
    struct entry set = sent_by(&alice, phone, 17), unset = sent_by(&alice, phone, 18), empty = sent_by(&alice, phone, 19);
    first.kind = last.kind = KIND_TIMER;
    set.body = BYTES_OF(minute);
    unset.body = BYTES_OF(off);
    assert_int_equal(fold_record(fold, &first, &set), 0);
    assert_int_equal(find(fold, FOLD_CONV, NULL, no_device, 0)->u.conv.timer_s, 60);
    assert_int_equal(fold_record(fold, &last, &unset), 0);
    assert_int_equal(fold_record(fold, &first, &set), 0);      /* again, as a replay does */
    assert_int_equal(find(fold, FOLD_CONV, NULL, no_device, 0)->u.conv.timer_s, 0);
    assert_int_equal(find(fold, FOLD_CONV, NULL, no_device, 0)->u.conv.timer_seq, 6);
    assert_int_equal(fold_record(fold, &last, &empty), ERR_RANGE);
    fold_free(fold);
}

static void run_fold(const struct run *run, struct fold *fold, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        assert_int_equal(fold_record(fold, &run->record[i], &run->entry[i]), 0);
}

static void folding_a_part_twice_changes_nothing(void **state)
{
    (void)state;
    static struct run run;
    for (int round = 0; round < 20; round++) {
        run_make(&run);
        unsigned cut = (unsigned)draw(RUN_RECORDS), back = (unsigned)draw(cut + 1);
        struct fold *once = fold_new(0), *twice = fold_new(0);
        run_fold(&run, once, 0, RUN_RECORDS);
        run_fold(&run, twice, 0, cut);
        run_fold(&run, twice, back, RUN_RECORDS);
        assert_same(once, twice);
        run_fold(&run, once, 0, RUN_RECORDS);
        assert_same(once, twice);
        fold_free(once);
        fold_free(twice);
    }
}

static void rows_come_sorted_and_each_once(void **state)
{
    (void)state;
    static struct run run;
    run_make(&run);
    struct fold *fold = fold_new(0);
    run_fold(&run, fold, 0, RUN_RECORDS);
    const struct fold_row **rows;
    size_t count;
    assert_int_equal(fold_sorted(fold, &rows, &count), 0);
    assert_int_equal(count, fold_rows(fold));
    for (size_t i = 1; i < count; i++) assert_true(fold_compare(&rows[i - 1], &rows[i]) < 0);
    free(rows);
    fold_free(fold);
}

/* The n-th allocation of each record fails, for every n it makes: the fold stays as it was, and takes the record
 * when there is memory again. */
static void without_memory_a_fold_stays_as_it_was(void **state)
{
    (void)state;
    static struct run run;
    run_make(&run);
    struct fold *fold = fold_new(0), *before = fold_new(0);
    uint64_t failures = 0;
    for (unsigned i = 0; i < RUN_RECORDS; i++) {
        int err;
        for (long n = 0;; n++) {
            allocations_left = n;
            err = fold_record(fold, &run.record[i], &run.entry[i]);
            allocations_left = -1;
            if (!err) break;
            assert_int_equal(err, ERR_NOMEM);
            assert_same(fold, before);
            failures++;
        }
        run_fold(&run, before, i, i + 1);
        assert_same(fold, before);
    }
    assert_true(failures >= fold_rows(fold));    /* each row was refused once before it was made */
    const struct fold_row **rows;
    size_t count;
    allocations_left = 0;
    int err = fold_sorted(fold, &rows, &count);
    struct fold *none = fold_new(0);
    allocations_left = -1;
    assert_int_equal(err, ERR_NOMEM);
    assert_null(none);
    fold_free(fold);
    fold_free(before);
}

int main(void)
{
    random_state = run_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_moves_head_sender_repeat_and_device),
        cmocka_unit_test(settled_repeats_leave_and_the_others_stay_in_order),
        cmocka_unit_test(a_sender_that_had_all_has_its_own_message_too),
        cmocka_unit_test(the_first_record_names_the_members),
        cmocka_unit_test(marks_move_cursors_and_their_times_and_no_head),
        cmocka_unit_test(what_cannot_be_opened_moves_the_head_only),
        cmocka_unit_test(numbers_no_row_can_hold_are_refused_and_change_nothing),
        cmocka_unit_test(a_delete_makes_a_row_for_each_sequence_and_says_nothing),
        cmocka_unit_test(the_last_timer_of_the_conversation_holds),
        cmocka_unit_test(folding_a_part_twice_changes_nothing),
        cmocka_unit_test(rows_come_sorted_and_each_once),
        cmocka_unit_test(without_memory_a_fold_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
