/* test_roster.c - every member is in the slice of its own shard, once; what is held outlives its maker. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "server/chat/roster.h"
#include "server/core/core.h"

enum { USERS = 1024 };

static void every_member_is_once_in_the_slice_of_its_shard(void **state)
{
    (void)state;
    static struct user_id users[USERS];
    for (uint16_t shards = 1; shards <= 7; shards += 3) {
        static struct house house;
        const uint8_t key[16] = { 1, 2, 3 };
        assert_int_equal(house_init(&house, shards, clock_real(), key), 0);
        for (int i = 0; i < USERS; i++) {
            memset(&users[i], 0, sizeof users[i]);
            snprintf(users[i].v, sizeof users[i].v, "user%d", i);
        }
        for (uint32_t count = 1; count <= USERS; count = count * 3 + 1) {
            struct roster *r = roster_new(&house, users, count);
            bool seen[USERS] = { false };
            uint32_t next = 0;
            assert_non_null(r);
            assert_int_equal(r->user_count, count);
            assert_in_range(r->slice_count, 1, shards);
            for (uint16_t s = 0; s < r->slice_count; s++) {
                assert_true(s == 0 || r->slices[s].shard > r->slices[s - 1].shard);
                assert_int_equal(r->slices[s].first, next);
                assert_true(r->slices[s].count > 0);
                next += r->slices[s].count;
                for (uint32_t i = r->slices[s].first; i < next; i++) {
                    int number;
                    assert_int_equal(shard_of_user(&house, &r->users[i]), r->slices[s].shard);
                    assert_int_equal(sscanf(r->users[i].v, "user%d", &number), 1);
                    assert_false(seen[number]);
                    seen[number] = true;
                }
            }
            assert_int_equal(next, count);
            roster_unref(r);
        }
        house_fini(&house);
    }
}

static void who_holds_a_roster_may_read_it_after_its_maker_let_go(void **state)
{
    (void)state;
    static struct house house;
    const uint8_t key[16] = { 0 };
    struct user_id alice = { "alice" };
    assert_int_equal(house_init(&house, 2, clock_real(), key), 0);
    struct roster *r = roster_new(&house, &alice, 1), *held = roster_ref(r);
    roster_unref(r);
    assert_string_equal(held->users[0].v, "alice");
    roster_unref(held);
    roster_unref(NULL);
    house_fini(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_is_once_in_the_slice_of_its_shard),
        cmocka_unit_test(who_holds_a_roster_may_read_it_after_its_maker_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
