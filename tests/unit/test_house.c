/* test_house.c - calls, homes, and an end that leaves nothing behind.
 *
 * Nothing here waits for a time to pass: what must happen on two threads in an order is put in that order by
 * semaphores, and a wake that is lost makes the test hang. On a shard's thread the checks are plain asserts; cmocka's
 * jump back into the test, which only its own thread may do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <assert.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "proto/id.h"
#include "server/core/core.h"

enum { SHARDS = 4, PEERS = SHARDS + 1 };    /* main's shard too */

static const uint8_t hash_key[16] = { 1, 2, 3 };

/* ---- calls ---- */

static struct { uint16_t ran_on[PEERS]; } calls;

static void call_note(struct shard *shard, void *arg)
{
    assert(shard_is_current(shard));
    *(uint16_t *)arg = shard->id;
}

static void a_call_runs_on_the_shard_it_names_also_on_mains(void **state)
{
    (void)state;
    struct house house;
    memset(&calls, 0xff, sizeof calls);
    assert_int_equal(house_init(&house, SHARDS, clock_real(), hash_key), 0);
    assert_int_equal(house_start(&house, NULL, NULL), 0);
    for (uint16_t to = 0; to < PEERS; to++) {
        assert_false(shard_is_current(house.shard[to]));
        assert_true(house_call(&house, to, call_note, &calls.ran_on[to]));
    }
    house_stop(&house);
    house_join(&house);
    for (uint16_t to = 0; to < PEERS; to++) assert_int_equal(calls.ran_on[to], to);
    house_fini(&house);
}

static void a_call_to_a_house_that_has_ended_is_refused(void **state)
{
    (void)state;
    struct house house;
    uint16_t ran_on = 0xffff;
    assert_int_equal(house_init(&house, 2, clock_real(), hash_key), 0);
    assert_int_equal(house_start(&house, NULL, NULL), 0);
    house_stop(&house);
    house_join(&house);
    assert_false(house_call(&house, 0, call_note, &ran_on));
    house_fini(&house);
    assert_int_equal(ran_on, 0xffff);
}

static void a_house_that_never_started_can_be_taken_down(void **state)
{
    (void)state;
    struct house house;
    assert_int_equal(house_init(&house, 3, clock_real(), hash_key), 0);
    house_join(&house);
    house_fini(&house);
}

/* ---- homes ---- */

static void homes_depend_on_the_id_and_the_key_and_reach_every_shard(void **state)
{
    (void)state;
    struct house a, b;
    static const uint8_t other_key[16] = { 9 };
    assert_int_equal(house_init(&a, SHARDS, clock_real(), hash_key), 0);
    assert_int_equal(house_init(&b, SHARDS, clock_real(), other_key), 0);
    uint32_t users[SHARDS] = { 0 }, convs[SHARDS] = { 0 }, moved = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "user%u", (unsigned)i);
        struct user_id user, again;
        assert_int_equal(user_id_parse(bytes_of_str(name), &user), 0);
        assert_int_equal(user_id_parse(bytes_of_str(name), &again), 0);
        uint16_t home = shard_of_user(&a, &user);
        assert_in_range(home, 0, SHARDS - 1);
        assert_int_equal(home, shard_of_user(&a, &again));
        users[home]++;
        moved += home != shard_of_user(&b, &user);
        struct conv_id conv = conv_id_inbox(&user);
        convs[shard_of_conv(&a, &conv)]++;
    }
    /* 250 are expected of each; a fair hash stays within 10 standard deviations of it. */
    for (int i = 0; i < SHARDS; i++) {
        assert_in_range(users[i], 110, 390);
        assert_in_range(convs[i], 110, 390);
    }
    assert_in_range(moved, 610, 890);    /* three of four go elsewhere under another key */
    house_fini(&a);
    house_fini(&b);
}

static void with_one_shard_all_is_at_home_there(void **state)
{
    (void)state;
    struct house house;
    struct user_id user;
    assert_int_equal(house_init(&house, 1, clock_real(), hash_key), 0);
    assert_int_equal(user_id_parse(bytes_of_str("alice"), &user), 0);
    assert_int_equal(shard_of_user(&house, &user), 0);
    house_fini(&house);
}

/* ---- the end ---- */

static struct { bool serving_ended[SHARDS], main_was_last; } ending;

static void ending_on_stop(struct shard *shard)
{
    if (shard->id < SHARDS) ending.serving_ended[shard->id] = true;
}

static void ending_main_on_stop(struct shard *shard)
{
    (void)shard;
    ending.main_was_last = true;
    for (int i = 0; i < SHARDS; i++) ending.main_was_last &= ending.serving_ended[i];
}

static void mains_shard_is_asked_to_stop_when_all_others_have_ended(void **state)
{
    (void)state;
    static const struct shard_ops ops = { .on_stop = ending_on_stop }, main_ops = { .on_stop = ending_main_on_stop };
    struct house house;
    memset(&ending, 0, sizeof ending);
    assert_int_equal(house_init(&house, SHARDS, clock_real(), hash_key), 0);
    assert_int_equal(house_start(&house, &ops, &main_ops), 0);
    house_stop(&house);
    house_run_main(&house);
    house_join(&house);
    house_fini(&house);
    assert_true(ending.main_was_last);
}

/* Shard 0 is quiet when shard 1 sends to it, and shard 1 is quiet too while shard 0 still works on what it took. */
static struct { sem_t sender_quiet; uint32_t turns; bool sent, passed_on, came_back; } late;

static bool late_slice(struct shard *shard)
{
    struct parcel parcel = { .kind = PARCEL_DELIVER };
    if (shard->id != 1) return false;
    if (!late.sent) {
        /* One is left in the count: this shard, which is not stopped yet. */
        late.sent = atomic_load(&shard->house->busy) == 1 && shard_push(shard, 0, &parcel);
        return true;
    }
    /* The turn after the one that saw all popped, at the latest, finds this shard out of the count. */
    if (pipe_room(shard->house->pipe[1][0]) == PIPE_SLOTS && ++late.turns == 2) sem_post(&late.sender_quiet);
    return late.turns < 2;
}

static void late_on_parcel(struct shard *shard, const struct parcel *parcel)
{
    (void)parcel;
    struct parcel back = { .kind = PARCEL_DELIVER };
    if (shard->id == 1) {
        late.came_back = true;
        return;
    }
    sem_wait(&late.sender_quiet);
    late.passed_on = shard_push(shard, 1, &back);
}

static bool late_is_stopped(struct shard *shard)
{
    return shard->id == 0 || late.sent;
}

static void what_a_quiet_shard_takes_it_may_pass_on(void **state)
{
    (void)state;
    static const struct shard_ops ops = {
        .on_parcel = late_on_parcel, .slice = late_slice, .is_stopped = late_is_stopped,
    };
    struct house house;
    memset(&late, 0, sizeof late);
    sem_init(&late.sender_quiet, 0, 0);
    assert_int_equal(house_init(&house, 2, clock_real(), hash_key), 0);
    assert_int_equal(house_start(&house, &ops, NULL), 0);
    house_stop(&house);
    house_join(&house);
    house_fini(&house);
    sem_destroy(&late.sender_quiet);
    assert_true(late.passed_on);
    assert_true(late.came_back);
}

/* Shard 0 has asked and would be quiet but for the credit; shard 1 is quiet and owes the answer. */
static struct { sem_t asker_waits; uint32_t turns; bool owed, answered; } debt;

static void debt_start(struct shard *shard)
{
    struct parcel ask = { .kind = PARCEL_ASK };
    if (shard->id != 0) return;
    bool asked = shard_request(shard, 1, &ask);
    assert(asked);
    (void)asked;
}

static void debt_on_parcel(struct shard *shard, const struct parcel *parcel)
{
    (void)shard;
    if (parcel->kind == PARCEL_ASK) debt.owed = true;
    else debt.answered = true;
}

static bool debt_slice(struct shard *shard)
{
    struct parcel answer = { .kind = PARCEL_ANSWERED };
    if (shard->id == 0) {
        if (shard->stopping && pipe_room(shard->house->pipe[0][1]) == PIPE_SLOTS && ++debt.turns == 2)
            sem_post(&debt.asker_waits);
        return debt.turns < 2;
    }
    if (!debt.owed) return false;
    if (shard->counted) return true;
    sem_wait(&debt.asker_waits);
    shard_answer(shard, 0, &answer);
    debt.owed = false;
    return false;
}

static void a_shard_does_not_end_before_its_request_is_answered(void **state)
{
    (void)state;
    static const struct shard_ops ops = {
        .on_start = debt_start, .on_parcel = debt_on_parcel, .slice = debt_slice,
    };
    struct house house;
    memset(&debt, 0, sizeof debt);
    sem_init(&debt.asker_waits, 0, 0);
    assert_int_equal(house_init(&house, 2, clock_real(), hash_key), 0);
    assert_int_equal(house_start(&house, &ops, NULL), 0);
    house_stop(&house);
    house_join(&house);
    house_fini(&house);
    sem_destroy(&debt.asker_waits);
    assert_true(debt.answered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_runs_on_the_shard_it_names_also_on_mains),
        cmocka_unit_test(a_call_to_a_house_that_has_ended_is_refused),
        cmocka_unit_test(a_house_that_never_started_can_be_taken_down),
        cmocka_unit_test(homes_depend_on_the_id_and_the_key_and_reach_every_shard),
        cmocka_unit_test(with_one_shard_all_is_at_home_there),
        cmocka_unit_test(mains_shard_is_asked_to_stop_when_all_others_have_ended),
        cmocka_unit_test(what_a_quiet_shard_takes_it_may_pass_on),
        cmocka_unit_test(a_shard_does_not_end_before_its_request_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
