/* test_shard.c - what passes between shards, their turn and their time. Their end is in test_house.c.
 *
 * Each test runs a house of its own. What a shard does in it stands in a struct peer, its `owner`. Nothing here waits
 * for a time to pass: a wake that is lost makes the test hang, which the runner reports. On a shard's thread the checks
 * are plain asserts; cmocka's jump back into the test, which only its own thread may do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <assert.h>
#include <semaphore.h>
#include <string.h>

#include "server/core/core.h"
#include "tests/harness/chance.h"
#include "tests/harness/sanitized.h"

enum {
    SHARDS = 4,
    PEERS = SHARDS + 1,                         /* main's shard takes part */
    FLOOD_PER_PAIR = SANITIZED_THREAD ? 8000 : 100000,      /* requests and pushes; 25 pairs, and the answers on top */
    BURST_MAX = 300,
};

static const uint8_t hash_key[16] = { 1, 2, 3 };

/* ---- a house whose shards flood one another ---- */

struct peer {
    uint64_t random;
    uint32_t sent[PEERS];            /* requests and pushes */
    uint32_t number[PEERS];          /* of the last parcel of any kind to that peer */
    uint32_t expected[PEERS];        /* of the next parcel of any kind from that peer */
    uint32_t answers, requests;      /* taken in, sent */
    uint32_t owed[PEERS];            /* answers held back */
    uint64_t taken, pushed;          /* parcels */
    uint32_t out_of_order;
    bool asked_to_stop;              /* main's: it has called house_stop() */
};
static struct peer peers[PEERS];

static struct peer *peer_of(struct shard *shard)
{
    return &peers[shard->id];
}

static void flood_answer(struct shard *shard, uint16_t to)
{
    struct peer *p = peer_of(shard);
    struct parcel answer = { .kind = PARCEL_ANSWERED, .slice = ++p->number[to] };
    p->owed[to]--;
    p->pushed++;
    shard_answer(shard, to, &answer);
}

static void flood_on_parcel(struct shard *shard, const struct parcel *parcel)
{
    struct peer *p = peer_of(shard);
    p->taken++;
    if (parcel->slice != ++p->expected[parcel->from]) p->out_of_order++;
    if (parcel->kind == PARCEL_ANSWERED) p->answers++;
    if (parcel->kind != PARCEL_ASK) return;
    p->owed[parcel->from]++;
    /* Some at once, some later and then many in a row. */
    if (chance_below(&p->random, 4) == 0)
        while (p->owed[parcel->from]) flood_answer(shard, parcel->from);
}

/* False: nothing more can be sent to that peer now. */
static bool flood_send(struct shard *shard, uint16_t to)
{
    struct peer *p = peer_of(shard);
    for (uint32_t burst = chance_below(&p->random, BURST_MAX); burst > 0; burst--) {
        if (p->sent[to] == FLOOD_PER_PAIR) return false;
        bool request = chance_below(&p->random, 2);
        struct parcel parcel = { .kind = request ? PARCEL_ASK : PARCEL_DELIVER, .slice = p->number[to] + 1 };
        bool went = request ? shard_request(shard, to, &parcel) : shard_push(shard, to, &parcel);
        if (!went) return false;
        p->requests += request;
        p->sent[to]++;
        p->number[to]++;
        p->pushed++;
    }
    return true;
}

/* When all directions are stuck this says false, and the shard sleeps until it is woken because there is room. */
static bool flood_slice(struct shard *shard)
{
    struct peer *p = peer_of(shard);
    bool more = false;
    for (uint16_t to = 0; to < PEERS; to++) {
        more |= flood_send(shard, to);
        while (p->owed[to]) flood_answer(shard, to);
    }
    return more;
}

static bool flood_is_stopped(struct shard *shard)
{
    const struct peer *p = peer_of(shard);
    for (uint16_t to = 0; to < PEERS; to++)
        if (p->sent[to] < FLOOD_PER_PAIR) return false;
    return p->answers == p->requests;
}

/* Main's shard stops the house as soon as it has sent its own, in the middle of the others' flood. */
static bool flood_main_slice(struct shard *shard)
{
    struct peer *p = peer_of(shard);
    bool more = flood_slice(shard);
    if (!p->asked_to_stop && flood_is_stopped(shard)) {
        p->asked_to_stop = true;
        house_stop(shard->house);
    }
    return more;
}

static const struct shard_ops flood_ops = {
    .on_parcel = flood_on_parcel, .slice = flood_slice, .is_stopped = flood_is_stopped,
};
static const struct shard_ops flood_main_ops = {
    .on_parcel = flood_on_parcel, .slice = flood_main_slice, .is_stopped = flood_is_stopped,
};

/* Stopping is asked for in the middle: whoever has sent all its own must still answer, and take, to the last parcel
 * of the slowest. */
static void every_parcel_of_a_flood_arrives_once_and_in_order(void **state)
{
    (void)state;
    struct house house;
    memset(peers, 0, sizeof peers);
    for (int i = 0; i < PEERS; i++) peers[i].random = run_seed() * PEERS + (uint64_t)i;
    assert_int_equal(house_init(&house, SHARDS, clock_real(), hash_key), 0);
    assert_int_equal(house_start(&house, &flood_ops, &flood_main_ops), 0);
    house_run_main(&house);
    house_join(&house);

    uint64_t pushed = 0, taken = 0;
    for (int i = 0; i < PEERS; i++) {
        assert_int_equal(peers[i].out_of_order, 0);
        assert_int_equal(peers[i].answers, peers[i].requests);
        for (int to = 0; to < PEERS; to++) {
            assert_int_equal(peers[i].sent[to], FLOOD_PER_PAIR);
            assert_int_equal(peers[i].number[to], peers[to].expected[i]);
        }
        pushed += peers[i].pushed;
        taken += peers[i].taken;
    }
    assert_true(pushed == taken);
    house_fini(&house);
}

/* ---- full pipes, held full ---- */

/* Shard 1 sits in `stand` while shard 0 fills the ring to it; neither is left to chance. */
static struct {
    sem_t shard_1_stands, go_on;
    uint32_t pushes, requests, answers;          /* how many shard 0 could send */
    uint32_t pushes_taken, asks_taken, answers_taken;
    bool refused_push, pushed_later;
    uint32_t answered_then_free;                 /* credits free again, seen in the answer's on_parcel */
} full;

static void full_stand(struct shard *shard, void *arg)
{
    (void)arg;
    /* First as many requests as it has credits for: shard 0 will owe that many answers. */
    struct parcel ask = { .kind = PARCEL_ASK };
    while (shard_request(shard, 0, &ask)) {}
    sem_post(&full.shard_1_stands);
    sem_wait(&full.go_on);
}

static void full_fill(struct shard *shard, void *arg)
{
    (void)arg;
    struct parcel push = { .kind = PARCEL_DELIVER }, ask = { .kind = PARCEL_ASK }, answer = { .kind = PARCEL_ANSWERED };
    while (shard_push(shard, 1, &push)) full.pushes++;
    full.refused_push = true;
    while (shard_request(shard, 1, &ask)) full.requests++;
    for (; full.answers < CREDITS_MAX; full.answers++) shard_answer(shard, 1, &answer);
    full.pushed_later = shard_push(shard, 1, &push);    /* not yet: that one comes in a later slice */
    assert(!full.pushed_later);
    sem_post(&full.go_on);
}

static void full_on_parcel(struct shard *shard, const struct parcel *parcel)
{
    struct parcel answer = { .kind = PARCEL_ANSWERED };
    if (shard->id == 0) {
        /* Shard 1's requests are answered in full_fill(), all in a row. */
        if (parcel->kind == PARCEL_ANSWERED && shard->credits[1] < CREDITS_MAX) full.answered_then_free++;
        return;
    }
    full.pushes_taken += parcel->kind == PARCEL_DELIVER;
    full.asks_taken += parcel->kind == PARCEL_ASK;
    full.answers_taken += parcel->kind == PARCEL_ANSWERED;
    if (parcel->kind == PARCEL_ASK) shard_answer(shard, 0, &answer);
}

static bool full_slice(struct shard *shard)
{
    struct parcel push = { .kind = PARCEL_DELIVER };
    if (shard->id == 0 && full.refused_push && !full.pushed_later) full.pushed_later = shard_push(shard, 1, &push);
    return false;    /* what comes next is a wake */
}

static bool full_is_stopped(struct shard *shard)
{
    return shard->id == 1 || full.pushed_later;
}

static void a_full_pipe_refuses_pushes_and_still_takes_every_request_and_answer(void **state)
{
    (void)state;
    static const struct shard_ops ops = {
        .on_parcel = full_on_parcel, .slice = full_slice, .is_stopped = full_is_stopped,
    };
    struct house house;
    memset(&full, 0, sizeof full);
    sem_init(&full.shard_1_stands, 0, 0);
    sem_init(&full.go_on, 0, 0);
    assert_int_equal(house_init(&house, 2, clock_real(), hash_key), 0);
    assert_int_equal(house_start(&house, &ops, NULL), 0);
    assert_true(house_call(&house, 1, full_stand, NULL));
    sem_wait(&full.shard_1_stands);
    assert_true(house_call(&house, 0, full_fill, NULL));
    house_stop(&house);    /* ends when the push that waited has gone through */
    house_join(&house);

    assert_int_equal(full.pushes, 2 * CREDITS_MAX);
    assert_int_equal(full.requests, CREDITS_MAX);
    assert_int_equal(full.answers, CREDITS_MAX);
    assert_int_equal(full.pushes_taken, full.pushes + 1);
    assert_int_equal(full.asks_taken, CREDITS_MAX);
    assert_int_equal(full.answers_taken, CREDITS_MAX);
    assert_int_equal(full.answered_then_free, CREDITS_MAX);
    house_fini(&house);
    sem_destroy(&full.shard_1_stands);
    sem_destroy(&full.go_on);
}

/* ---- the turn ---- */

/* What shard 0 did in the turn that took the parcel, one letter each. */
static struct { char steps[16]; size_t len; bool noting; } turn;

static void turn_step(struct shard *shard, char letter)
{
    if (shard->id != 0 || !turn.noting || turn.len == sizeof turn.steps - 1) return;
    turn.steps[turn.len++] = letter;
}

static void turn_on_parcel(struct shard *shard, const struct parcel *parcel)
{
    (void)parcel;
    turn.noting = true;
    turn_step(shard, 'p');
}
static struct timeout turn_timeout;
static void turn_fire(struct timeout *t) { (void)t; if (turn.noting) turn.steps[turn.len++] = 't'; }
static bool turn_slice(struct shard *shard) { turn_step(shard, 's'); return false; }
static void turn_flush(struct shard *shard) { turn_step(shard, 'f'); }
static void turn_end(struct shard *shard) { turn_step(shard, 'e'); turn.noting = false; }

static struct clock_hand turn_clock;

static void turn_send(struct shard *shard, void *arg)
{
    (void)arg;
    struct parcel parcel = { .kind = PARCEL_DELIVER };
    wheel_set(&shard->wheel, &turn_timeout, 0);
    /* Due by the next turn, the one that takes the parcel from this shard's own ring. */
    clock_hand_advance(&turn_clock, 2 * WHEEL_TICK_MS);
    bool pushed = shard_push(shard, 0, &parcel);
    assert(pushed);
    (void)pushed;
}

static void a_turn_is_parcels_timeouts_slices_flush_end(void **state)
{
    (void)state;
    static const struct shard_ops ops = {
        .on_parcel = turn_on_parcel, .slice = turn_slice, .flush = turn_flush, .turn_end = turn_end,
    };
    struct house house;
    memset(&turn, 0, sizeof turn);
    turn_timeout = (struct timeout){ .fire = turn_fire };
    clock_hand_init(&turn_clock, 1000000);
    assert_int_equal(house_init(&house, 1, &turn_clock.clock, hash_key), 0);
    assert_int_equal(house_start(&house, &ops, NULL), 0);
    assert_true(house_call(&house, 0, turn_send, NULL));
    house_stop(&house);
    house_join(&house);
    house_fini(&house);
    assert_string_equal(turn.steps, "ptsfe");
}

static struct { uint32_t taken; bool send; } itself;

static void itself_send(struct shard *shard)
{
    struct parcel parcel = { .kind = PARCEL_DELIVER };
    bool pushed = shard_push(shard, 0, &parcel);
    assert(pushed);
    (void)pushed;
    itself.send = false;
}

static void itself_on_parcel(struct shard *shard, const struct parcel *parcel)
{
    (void)parcel;
    itself.send = ++itself.taken < 10;
    if (!itself.send) house_stop(shard->house);
}

/* Sent when the turn has drained already: only another turn takes it. */
static void itself_flush(struct shard *shard) { if (itself.send && itself.taken % 2) itself_send(shard); }
static void itself_turn_end(struct shard *shard) { if (itself.send) itself_send(shard); }

static void what_a_shard_sends_itself_comes_without_any_wake(void **state)
{
    (void)state;
    static const struct shard_ops ops = {
        .on_start = itself_send, .on_parcel = itself_on_parcel, .flush = itself_flush, .turn_end = itself_turn_end,
    };
    struct house house;
    memset(&itself, 0, sizeof itself);
    assert_int_equal(house_init(&house, 1, clock_real(), hash_key), 0);
    assert_int_equal(house_start(&house, &ops, NULL), 0);
    house_join(&house);
    house_fini(&house);
    assert_int_equal(itself.taken, 10);
}

/* ---- time ---- */

static struct {
    struct timeout timeout;
    sem_t set;
    uint32_t fired;
    uint64_t wall_ms, now_ms;       /* the shard's, when it fired */
    struct shard *shard;
} timed;

static void timed_fire(struct timeout *t)
{
    (void)t;
    timed.fired++;
    timed.wall_ms = timed.shard->wall_ms;
    timed.now_ms = timed.shard->now_ms;
}

static void timed_start(struct shard *shard)
{
    timed.shard = shard;
    timed.timeout = (struct timeout){ .fire = timed_fire };
    wheel_set(&shard->wheel, &timed.timeout, *(uint64_t *)shard->owner);
    sem_post(&timed.set);
}

static bool timed_is_stopped(struct shard *shard)
{
    (void)shard;
    return timed.fired > 0;
}

static const struct shard_ops timed_ops = { .on_start = timed_start, .is_stopped = timed_is_stopped };

static void timed_run(const struct clock *clock, struct clock_hand *hand, uint64_t after_ms)
{
    struct house house;
    memset(&timed, 0, sizeof timed);
    sem_init(&timed.set, 0, 0);
    assert_int_equal(house_init(&house, 1, clock, hash_key), 0);
    house.shard[0]->owner = &after_ms;
    assert_int_equal(house_start(&house, &timed_ops, NULL), 0);
    house_stop(&house);    /* it ends once the timeout has fired */
    if (hand) {
        sem_wait(&timed.set);
        clock_hand_advance(hand, after_ms + WHEEL_TICK_MS);
        house_wake(&house, 0);
    }
    house_join(&house);
    house_fini(&house);
    sem_destroy(&timed.set);
    assert_int_equal(timed.fired, 1);
}

static void a_clock_turned_by_hand_fires_timeouts_at_the_next_wake(void **state)
{
    (void)state;
    struct clock_hand hand;
    clock_hand_init(&hand, 5000000);
    timed_run(&hand.clock, &hand, 3600 * 1000);
    assert_true(timed.wall_ms == 5000000 + 3600 * 1000 + WHEEL_TICK_MS);
    assert_true(timed.now_ms == timed.wall_ms);
}

static void a_timeout_wakes_a_loop_that_sleeps_and_is_not_early(void **state)
{
    (void)state;
    uint64_t began_ms = clock_real()->mono_us(NULL) / 1000;
    timed_run(clock_real(), NULL, 5);
    assert_true(timed.now_ms >= began_ms + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_parcel_of_a_flood_arrives_once_and_in_order),
        cmocka_unit_test(a_full_pipe_refuses_pushes_and_still_takes_every_request_and_answer),
        cmocka_unit_test(a_turn_is_parcels_timeouts_slices_flush_end),
        cmocka_unit_test(what_a_shard_sends_itself_comes_without_any_wake),
        cmocka_unit_test(a_clock_turned_by_hand_fires_timeouts_at_the_next_wake),
        cmocka_unit_test(a_timeout_wakes_a_loop_that_sleeps_and_is_not_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
