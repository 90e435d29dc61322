/* test_errand.c - errands: done where they were sent, once, in order, however many there are; and none is lost when the
 * house ends.
 *
 * The checks on a shard's thread are plain asserts, see test_shard.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <assert.h>
#include <stdlib.h>

#include "server/chat/errand.h"

enum { SHARDS = 2, ERRANDS = 3 * CREDITS_MAX + 7 };      /* more than there are credits, and more than a ring holds */

static const uint8_t hash_key[16] = { 1, 2, 3 };

struct numbered { struct errand errand; uint32_t number; uint32_t ran, came_back; };

static struct numbered list[ERRANDS];
static uint32_t run_next[SHARDS];                       /* each shard's own: the number it expects */
static uint32_t done_count, late_done;                  /* the sender's own */
static struct house house;

/* Core never looks into it; an errand is run where there is one. */
static void on_start(struct shard *shard)
{
    shard->chat = (struct chat *)shard;
}

static void on_run(struct chat *chat, struct errand *e)
{
    struct numbered *n = (struct numbered *)e;
    uint16_t here = ((struct shard *)chat)->id;
    assert(here == e->to && n->ran == 0);
    assert(n->number >= run_next[here]);                /* in the order in which they were sent */
    run_next[here] = n->number + 1;
    n->ran++;
}

static void on_done(struct shard *shard, struct errand *e)
{
    struct numbered *n = (struct numbered *)e;
    assert(shard->id == e->origin && n->ran == 1 && n->came_back == 0);
    n->came_back++;
    if (++done_count == ERRANDS) house_stop(&house);
}

static void send_all(struct shard *shard)
{
    for (uint32_t i = 0; i < ERRANDS; i++) {
        list[i] = (struct numbered){ .errand = { .run = on_run, .done = on_done }, .number = i };
        errand_send(shard, i % SHARDS, &list[i].errand);
    }
    assert(shard->errands);                             /* some had to wait */
    assert(done_count == 0);                            /* none from within the call */
}

static void send_all_called(struct shard *shard, void *arg)
{
    (void)arg;
    send_all(shard);
}

static bool is_stopped(struct shard *shard)
{
    return !shard->errands;
}

static void check_all(void)
{
    assert_int_equal(done_count, ERRANDS);
    for (uint32_t i = 0; i < ERRANDS; i++) {
        assert_int_equal(list[i].ran, 1);
        assert_int_equal(list[i].came_back, 1);
    }
}

static const struct shard_ops ops = { .on_start = on_start, .on_parcel = errand_on_parcel, .is_stopped = is_stopped };

static int set_up(void **state)
{
    (void)state;
    done_count = late_done = 0;
    for (uint16_t i = 0; i < SHARDS; i++) run_next[i] = 0;
    return house_init(&house, SHARDS, clock_real(), hash_key);
}

static int tear_down(void **state)
{
    (void)state;
    house_fini(&house);
    return 0;
}

static void a_shard_sends_more_than_it_has_credits_and_all_come_back(void **state)
{
    (void)state;
    assert_int_equal(house_start(&house, &ops, NULL), 0);
    assert_true(house_call(&house, 1, send_all_called, NULL));
    house_join(&house);
    check_all();
}

static void on_late_done(struct shard *shard, struct errand *e)
{
    assert(shard->id == shard->house->shards && ((struct numbered *)e)->ran == 0);
    late_done++;
}

/* The others have ended by now: nobody is there to do it, and whoever waits for it must not wait for ever. */
static void send_late(struct shard *shard)
{
    static struct numbered late;
    late = (struct numbered){ .errand = { .run = on_run, .done = on_late_done } };
    errand_send(shard, 0, &late.errand);
    assert(late_done == 1);
}

static void mains_shard_sends_too_and_is_answered_when_all_others_have_ended(void **state)
{
    static const struct shard_ops main_ops = {
        .on_start = send_all, .on_parcel = errand_on_parcel, .on_stop = send_late, .is_stopped = is_stopped,
    };
    (void)state;
    assert_int_equal(house_start(&house, &ops, &main_ops), 0);
    house_run_main(&house);
    house_join(&house);
    check_all();
    assert_int_equal(late_done, 1);
}

static void a_stop_in_the_middle_waits_for_all_of_them(void **state)
{
    (void)state;
    assert_int_equal(house_start(&house, &ops, NULL), 0);
    assert_true(house_call(&house, 0, send_all_called, NULL));
    house_stop(&house);
    house_join(&house);
    /* The call may have come too late; if it came, everything it sent was done. */
    if (done_count > 0) check_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_shard_sends_more_than_it_has_credits_and_all_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mains_shard_sends_too_and_is_answered_when_all_others_have_ended, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_stop_in_the_middle_waits_for_all_of_them, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
