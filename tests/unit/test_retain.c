/* test_retain.c - which records are dead. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proto/proto.h"
#include "storage/retain.h"

#define NOW UINT64_C(1700000000000)

static struct record record_at(uint64_t seq, uint64_t made_ms)
{
    struct record r = { .seq = seq, .kind = KIND_MESSAGE };
    for (int i = 0; i < 6; i++) r.id.v[i] = (uint8_t)(made_ms >> (40 - 8 * i));
    return r;
}

static const struct retain_rules for_ever = { .now_ms = NOW, .marks_ms = 1000 };
static const struct retain_rows no_rows;

static void a_record_stays_where_nothing_says_otherwise(void **state)
{
    (void)state;
    struct record r = record_at(7, 1);
    assert_int_equal(retain_judge(&for_ever, &no_rows, &r), RETAIN_STAYS);
    /* nobody has anything where nobody is known, and that is not "everybody has it" */
    struct retain_rules delivered = for_ever;
    delivered.drop_delivered = true;
    assert_int_equal(retain_judge(&delivered, &no_rows, &r), RETAIN_STAYS);
}

static void only_the_sequences_that_were_deleted_are_dead(void **state)
{
    (void)state;
    static const uint64_t deleted[] = { 2, 3, 9, 100 };
    struct retain_rows rows = { .deleted = deleted, .deleted_count = 4 };
    for (uint64_t seq = 1; seq <= 101; seq++) {
        struct record r = record_at(seq, NOW);
        bool is = seq == 2 || seq == 3 || seq == 9 || seq == 100;
        assert_int_equal(retain_judge(&for_ever, &rows, &r), is ? RETAIN_DELETED : RETAIN_STAYS);
    }
}

static void a_record_is_dead_from_the_millisecond_of_its_expiry(void **state)
{
    (void)state;
    struct record r = record_at(1, NOW - 60000);
    r.expiry_ms = NOW + 1;
    assert_int_equal(retain_judge(&for_ever, &no_rows, &r), RETAIN_STAYS);
    r.expiry_ms = NOW;
    assert_int_equal(retain_judge(&for_ever, &no_rows, &r), RETAIN_EXPIRED);
}

static void a_record_is_dead_from_the_millisecond_of_its_age(void **state)
{
    (void)state;
    struct retain_rules rules = { .now_ms = NOW, .age_ms = 1000 };
    struct record r = record_at(1, NOW - 999);
    assert_int_equal(retain_judge(&rules, &no_rows, &r), RETAIN_STAYS);
    r = record_at(1, NOW - 1000);
    assert_int_equal(retain_judge(&rules, &no_rows, &r), RETAIN_OLD);
}

static void a_device_is_owed_what_came_after_its_log_in(void **state)
{
    (void)state;
    struct retain_rules rules = { .now_ms = NOW, .drop_delivered = true };
    struct retain_holder holders[] = {
        { .device = { 1 }, .since_ms = 10, .delivered = 5, .member_delivered = 5 },
        { .device = { 2 }, .since_ms = 1000, .delivered = 0, .member_delivered = 5 },     /* came later */
    };
    struct retain_rows rows = { .holders = holders, .holder_count = 2 };
    struct record before = record_at(5, 999), after = record_at(5, 1000), beyond = record_at(6, 999);
    assert_int_equal(retain_judge(&rules, &rows, &before), RETAIN_DELIVERED);
    assert_int_equal(retain_judge(&rules, &rows, &after), RETAIN_STAYS);
    assert_int_equal(retain_judge(&rules, &rows, &beyond), RETAIN_STAYS);
    /* a member without a device has what its devices had */
    holders[1] = (struct retain_holder){ .member_delivered = 4 };
    assert_int_equal(retain_judge(&rules, &rows, &before), RETAIN_STAYS);
    holders[1].member_delivered = 5;
    assert_int_equal(retain_judge(&rules, &rows, &before), RETAIN_DELIVERED);
    /* and of more than can be held nothing is said */
    rows.holder_count = RETAIN_HOLDERS_MAX + 1;
    assert_int_equal(retain_judge(&rules, &rows, &before), RETAIN_STAYS);
}

static void the_furthest_mark_of_a_device_stays(void **state)
{
    (void)state;
    struct retain_holder holders[] = {
        { .device = { 1 }, .delivered = 9, .member_read = 8 }, { .device = { 2 }, .delivered = 4 },
    };
    struct retain_rows rows = { .holders = holders, .holder_count = 2 };
    struct mark marks[2] = { { .device = { 1 }, .delivered = 8, .time_ms = 1 },
                             { .device = { 2 }, .delivered = 3, .time_ms = 1 } };
    struct entry entry = { .marks = marks, .mark_count = 2 };
    assert_false(retain_mark_stays(&rows, &entry));
    marks[1].delivered = 4;
    assert_true(retain_mark_stays(&rows, &entry));
    marks[1].delivered = 3;
    marks[0].read = 8;
    assert_true(retain_mark_stays(&rows, &entry));
    marks[0].read = 7;
    marks[0].device.v = 3;             /* a device that is gone keeps nothing */
    assert_false(retain_mark_stays(&rows, &entry));
    assert_false(retain_mark_is_old(&for_ever, NOW - 999));
    assert_true(retain_mark_is_old(&for_ever, NOW - 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_stays_where_nothing_says_otherwise),
        cmocka_unit_test(only_the_sequences_that_were_deleted_are_dead),
        cmocka_unit_test(a_record_is_dead_from_the_millisecond_of_its_expiry),
        cmocka_unit_test(a_record_is_dead_from_the_millisecond_of_its_age),
        cmocka_unit_test(a_device_is_owed_what_came_after_its_log_in),
        cmocka_unit_test(the_furthest_mark_of_a_device_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
