/* test_handoff.c - a connection that moves loses nothing, repeats nothing, and ends once, whatever happens meanwhile.
 *
 * The kernel chooses the shard that accepts, so a test that wants moves makes several connections, and checks the
 * count of moves where it matters. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "proto/err.h"
#include "server/net/inside.h"
#include "tests/harness/chance.h"
#include "tests/harness/feed.h"
#include "tests/harness/netrig.h"
#include "tests/harness/peer.h"

enum { SHARDS = 3 };

static int up(void **state)
{
    *state = netrig_up(&(struct netrig_options){ .shards = SHARDS });
    return 0;
}

static int down(void **state)
{
    netrig_down(*state);
    return 0;
}

static void put(struct buf *b, const char *text)
{
    feed_frame(b, 0x82, true, bytes_of_str(text));
}

static void expect_numbered(struct peer *p, const char *prefix, int from, int to)
{
    char text[32];
    for (int i = from; i < to; i++) {
        snprintf(text, sizeof text, "%s%d", prefix, i);
        peer_expect(p, text);
    }
}

/* Everything in one stream: the upgrade, messages before HELLO, HELLO, messages behind it. */
static void conversation(struct netrig *rig, char home, size_t piece_max)
{
    char hello[] = { 'H', home, '!', 0 }, welcome[] = { 'W', home, '!', 0 }, text[32];
    struct buf b;
    struct bytes piece;
    buf_init(&b, 1 << 20);
    buf_put(&b, PEER_UPGRADE, strlen(PEER_UPGRADE));
    for (int i = 0; i < 5; i++) snprintf(text, sizeof text, "before%d", i), put(&b, text);
    put(&b, hello);
    for (int i = 0; i < 50; i++) snprintf(text, sizeof text, "after%d", i), put(&b, text);
    struct peer *p = peer_dial(netrig_port(rig));
    struct feed feed = { buf_bytes(&b), piece_max, (uint64_t)home };
    while (feed_next(&feed, &piece)) assert_true(peer_put(p, piece));
    peer_expect_upgrade(p);
    expect_numbered(p, "before", 0, 5);
    peer_expect(p, welcome);
    expect_numbered(p, "after", 0, 50);
    buf_fini(&b);
    peer_free(p);
    assert_int_equal(netrig_closed(rig), ERR_PEER);
}

static void all_bytes_arrive_once_and_in_order_however_they_are_cut(void **state)
{
    static const size_t pieces[] = { SIZE_MAX, 1, 40 };
    struct netrig *rig = *state;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        for (int n = 0; n < 12; n++) conversation(rig, (char)('0' + n % SHARDS), pieces[i]);
    }
    assert_true(netrig_stat(rig, "handoffs") > 0);
    assert_int_equal(netrig_stat(rig, "conns"), 0);
}

static void a_large_hello_travels_whole(void **state)
{
    struct netrig *rig = *state;
    static char text[60001];
    for (int n = 0; n < 2 * SHARDS; n++) {
        memset(text, 'a' + n, sizeof text - 1);
        text[0] = 'H';
        text[1] = (char)('0' + n % SHARDS);
        struct peer *p = peer_open(netrig_port(rig));
        peer_say(p, text);
        text[0] = 'W';
        peer_expect(p, text);
        peer_free(p);
    }
}

static void a_connection_may_move_on_again(void **state)
{
    struct netrig *rig = *state;
    uint64_t moves = 0;
    for (int n = 0; n < 12; n++) {
        char hello[] = { 'M', (char)('0' + n % SHARDS), 0 }, welcome[] = { 'W', hello[1], 0 };
        struct peer *p = peer_dial(netrig_port(rig));
        struct buf b;
        buf_init(&b, 4096);
        buf_put(&b, PEER_UPGRADE, strlen(PEER_UPGRADE));
        put(&b, hello);
        put(&b, "behind");
        peer_put(p, buf_bytes(&b));
        peer_expect_upgrade(p);
        peer_expect(p, welcome);
        peer_expect(p, "behind");
        if (netrig_stat(rig, "handoffs") == moves + 2) n = 100;       /* one went two steps: that was it */
        moves = netrig_stat(rig, "handoffs");
        buf_fini(&b);
        peer_free(p);
    }
    assert_true(moves > 0);
}

/* -- while it talks -- */

struct talk { struct netrig *rig; uint64_t random; int rounds; };

static void *keep_talking(void *arg)
{
    struct peer *p = arg;
    char text[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(text, sizeof text, "m%d", i);
        if (i == 1000) peer_say(p, "H1");
        peer_say(p, text);
    }
    return NULL;
}

static void what_is_said_before_during_and_after_the_move_comes_back_in_order(void **state)
{
    struct netrig *rig = *state;
    for (int n = 0; n < 6; n++) {
        pthread_t writer;
        struct peer *p = peer_open(netrig_port(rig));
        /* The writer uses p's scratch for frames only, the reader the rest. */
        assert_int_equal(pthread_create(&writer, NULL, keep_talking, p), 0);
        expect_numbered(p, "m", 0, 1000);
        peer_expect(p, "W1");
        expect_numbered(p, "m", 1000, 2000);
        pthread_join(writer, NULL);
        peer_free(p);
    }
    assert_true(netrig_stat(rig, "handoffs") > 0);
}

static void *move_often(void *arg)
{
    struct talk *t = arg;
    for (int i = 0; i < t->rounds; i++) {
        char home = (char)('0' + chance_below(&t->random, SHARDS));
        char hello[] = { 'H', home, 0 }, welcome[] = { 'W', home, 0 };
        struct peer *p = peer_open(netrig_port(t->rig));
        struct buf b;
        buf_init(&b, 4096);
        put(&b, hello);
        put(&b, "one");
        put(&b, "two");
        /* Cut where chance wants it. */
        size_t cut = chance_below(&t->random, b.len + 1);
        peer_put(p, bytes_of(b.at, cut));
        peer_put(p, bytes_of(b.at + cut, b.len - cut));
        peer_expect(p, welcome);
        peer_expect(p, "one");
        peer_expect(p, "two");
        buf_fini(&b);
        if (chance_below(&t->random, 2)) peer_free(p);
        else peer_reset(p);
    }
    return NULL;
}

static void many_move_in_all_directions_at_once(void **state)
{
    enum { THREADS = 6, ROUNDS = 100 };
    struct netrig *rig = *state;
    uint64_t seed = run_seed();
    pthread_t thread[THREADS];
    struct talk talk[THREADS];
    for (int i = 0; i < THREADS; i++) {
        talk[i] = (struct talk){ .rig = rig, .random = seed + (uint64_t)i, .rounds = ROUNDS };
        assert_int_equal(pthread_create(&thread[i], NULL, move_often, &talk[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < THREADS * ROUNDS; i++) assert_int_equal(netrig_closed(rig), ERR_PEER);
    assert_true(netrig_stat(rig, "handoffs") > THREADS * ROUNDS / 4);
    assert_int_equal(netrig_stat(rig, "conns"), 0);
}

static void a_peer_that_leaves_while_it_moves_is_told_closed_once(void **state)
{
    enum { PEERS = 300 };
    struct netrig *rig = *state;
    uint64_t random = run_seed();
    for (int i = 0; i < PEERS; i++) {
        char hello[] = { 'H', (char)('0' + i % SHARDS), 0 };
        struct peer *p = peer_open(netrig_port(rig));
        peer_say(p, hello);
        if (chance_below(&random, 2)) peer_say(p, "ghost");
        if (chance_below(&random, 2)) peer_free(p);
        else peer_reset(p);
    }
    for (int i = 0; i < PEERS; i++) assert_int_equal(netrig_closed(rig), ERR_PEER);
    assert_int_equal(netrig_closed_count(rig), 0);
}

/* -- with something queued -- */

static void expect_sent(struct peer *p, int i)
{
    char number[16];
    snprintf(number, sizeof number, "%04d", i);
    assert_true(peer_next(p));
    assert_int_equal(p->body.len, 60000);
    assert_memory_equal(p->body.at, number, 4);
}

static void what_is_queued_goes_out_before_the_answer_over_there(void **state)
{
    struct netrig *rig = *state;
    for (int n = 0; n < 2 * SHARDS; n++) {
        char hello[] = { 'H', (char)('0' + n % SHARDS), 0 }, welcome[] = { 'W', hello[1], 0 };
        struct peer *p = peer_open(netrig_port(rig));
        peer_say(p, "S100 60000");
        peer_say(p, hello);
        peer_say(p, "behind");
        for (int i = 1; i <= 100; i++) expect_sent(p, i);
        peer_expect(p, welcome);
        peer_expect(p, "behind");
        peer_free(p);
    }
}

struct place { int shard; bool writing; };

static void look_for_it(struct shard *shard, void *arg)
{
    struct place *place = arg;
    struct conn *c;
    TAILQ_FOREACH(c, &shard->net->conns, all) {
        if (c->state != CONN_WS) continue;
        place->shard = shard->id;
        place->writing = c->writing > 0;
    }
}

static struct place where(struct netrig *rig)
{
    struct place place = { .shard = -1 };
    for (uint16_t i = 0; i < SHARDS; i++) netrig_call(rig, i, look_for_it, &place);
    return place;
}

/* A write under way belongs to the handle that stays behind. */
static void a_move_waits_for_the_write_under_way(void **state)
{
    struct netrig *rig = *state;
    struct peer *p = peer_open(netrig_port(rig));
    int sent = 0;
    do {                                        /* until the socket takes no more: little is queued then */
        peer_say(p, "S1 60000");
        netrig_await(rig, "frames_in", (uint64_t)++sent);
        netrig_settle(rig);
    } while (!where(rig).writing);
    struct place from = where(rig);
    char hello[] = { 'H', (char)('0' + (from.shard + 1) % SHARDS), 0 }, welcome[] = { 'W', hello[1], 0 };
    peer_say(p, hello);
    peer_say(p, "behind");
    netrig_await(rig, "frames_in", (uint64_t)sent + 1);
    netrig_settle(rig);
    assert_int_equal(netrig_stat(rig, "handoffs"), 0);
    for (int i = 0; i < sent; i++) expect_sent(p, 1);
    peer_expect(p, welcome);
    peer_expect(p, "behind");
    assert_int_equal(netrig_stat(rig, "handoffs"), 1);
    peer_free(p);
}

static void a_ping_before_the_move_gets_its_pong_behind_it(void **state)
{
    struct netrig *rig = *state;
    for (int n = 0; n < 3 * SHARDS; n++) {
        char hello[] = { 'H', (char)('0' + n % SHARDS), 0 };
        struct peer *p = peer_open(netrig_port(rig));
        struct buf b;
        buf_init(&b, 1024);
        feed_frame(&b, 0x89, true, bytes_of_str("ping"));
        put(&b, hello);
        peer_put(p, buf_bytes(&b));
        bool pong = false, welcome = false;
        for (int i = 0; i < 2; i++) {
            assert_true(peer_next(p));
            if (p->first == 0x8a) pong = true;
            if (p->first == 0x82 && p->body.at[0] == 'W') welcome = true;
        }
        assert_true(pong && welcome);
        buf_fini(&b);
        peer_free(p);
    }
}

/* -- a pipe without room -- */

static sem_t asleep, awake;

static void sleep_in_a_turn(struct shard *shard, void *arg)
{
    (void)shard;
    (void)arg;
    sem_post(&asleep);
    while (sem_wait(&awake) != 0) {}
}

static void nothing(struct shard *shard, void *arg)
{
    (void)shard;
    (void)arg;
}

/* On shard 0: shard 1 stands still, and the pipe to it is full. */
static void fill_the_pipe(struct shard *shard, void *arg)
{
    struct parcel parcel = { .kind = PARCEL_CALL, .u.call = { nothing, NULL } };
    (void)arg;
    while (shard_push(shard, 1, &parcel)) {}
}

static void stop_shard_1(struct shard *shard, void *arg)
{
    struct parcel parcel = { .kind = PARCEL_CALL, .u.call = { sleep_in_a_turn, NULL } };
    (void)arg;
    assert_true(shard_push(shard, 1, &parcel));
}

static void count_moves(struct shard *shard, void *arg)
{
    struct conn *c;
    int *count = arg;
    *count = 0;
    STAILQ_FOREACH(c, &shard->net->moves, dirty) (*count)++;
}

enum { WAITING = 40 };

/* WAITING connections that want to shard 1; those accepted by shard 0 wait for room. Returns how many. */
static int make_some_wait(struct netrig *rig, struct peer *p[WAITING])
{
    sem_init(&asleep, 0, 0);
    sem_init(&awake, 0, 0);
    for (int i = 0; i < WAITING; i++) p[i] = peer_open(netrig_port(rig));
    uint64_t before = netrig_stat(rig, "frames_in");
    netrig_call(rig, 0, stop_shard_1, NULL);
    while (sem_wait(&asleep) != 0) {}
    netrig_call(rig, 0, fill_the_pipe, NULL);
    for (int i = 0; i < WAITING; i++) peer_say(p[i], "H1");
    /* Shard 1 hears nothing now; shard 0 takes its own, and then lets go of their handles: two turns at most. */
    int count = 0, last = -1;
    while (count == 0 || count != last) {
        last = count;
        for (int i = 0; i < 20; i++) netrig_call(rig, 0, count_moves, &count);
    }
    assert_true(netrig_stat(rig, "frames_in") > before);
    return count;
}

static void a_move_waits_while_the_pipe_has_no_room(void **state)
{
    struct netrig *rig = *state;
    struct peer *p[WAITING];
    assert_true(make_some_wait(rig, p) > 0);
    sem_post(&awake);
    for (int i = 0; i < WAITING; i++) {
        peer_expect(p[i], "W1");
        peer_free(p[i]);
    }
    int left;
    netrig_call(rig, 0, count_moves, &left);
    assert_int_equal(left, 0);
}

static void a_stop_ends_those_that_wait_for_room(void **state)
{
    struct netrig *rig = *state;
    struct peer *p[WAITING];
    int waiting = make_some_wait(rig, p);
    netrig_stop(rig);
    for (int i = 0; i < waiting; i++) assert_int_equal(netrig_closed(rig), ERR_GOING);
    sem_post(&awake);
    for (int i = 0; i < WAITING; i++) peer_free(p[i]);
}

static void a_stop_in_the_midst_of_moves_ends_every_one_once(void **state)
{
    enum { ROUNDS = 20, PEERS = 60 };
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct netrig *rig = netrig_up(&(struct netrig_options){ .shards = SHARDS });
        struct peer *p[PEERS];
        for (int i = 0; i < PEERS; i++) p[i] = peer_open(netrig_port(rig));
        for (int i = 0; i < PEERS; i++) {
            char hello[] = { 'H', (char)('0' + i % SHARDS), 0 };
            peer_say(p[i], hello);
            if (i == PEERS / 2 + round - ROUNDS / 2) netrig_stop(rig);
        }
        netrig_down(rig);               /* fails when one was not told closed, or twice */
        for (int i = 0; i < PEERS; i++) peer_free(p[i]);
    }
}

static void without_a_descriptor_the_peer_is_told_busy(void **state)
{
    enum { PEERS = 12 };
    struct netrig *rig = *state;
    struct peer *p[PEERS];
    struct rlimit before, none;
    int busy = 0, moved = 0;
    for (int i = 0; i < PEERS; i++) p[i] = peer_open(netrig_port(rig));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;                  /* open ones stay, no more are given */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < PEERS; i++) peer_say(p[i], "H1");
    for (int i = 0; i < PEERS; i++) {
        assert_true(peer_next(p[i]));
        if (p[i]->first == 0x82) moved++;       /* lives there already */
        else busy += get_u16(p[i]->body.at) == err_close_code(ERR_BUSY);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(busy + moved, PEERS);
    assert_true(busy > 0);
    assert_int_equal(netrig_stat(rig, "handoffs"), 0);
    for (int i = 0; i < PEERS; i++) peer_free(p[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_bytes_arrive_once_and_in_order_however_they_are_cut),
        TEST(a_large_hello_travels_whole),
        TEST(a_connection_may_move_on_again),
        TEST(what_is_said_before_during_and_after_the_move_comes_back_in_order),
        TEST(many_move_in_all_directions_at_once),
        TEST(a_peer_that_leaves_while_it_moves_is_told_closed_once),
        TEST(what_is_queued_goes_out_before_the_answer_over_there),
        TEST(a_move_waits_for_the_write_under_way),
        TEST(a_ping_before_the_move_gets_its_pong_behind_it),
        TEST(a_move_waits_while_the_pipe_has_no_room),
        TEST(a_stop_ends_those_that_wait_for_room),
        cmocka_unit_test(a_stop_in_the_midst_of_moves_ends_every_one_once),
        TEST(without_a_descriptor_the_peer_is_told_busy),
    };
    int failed = cmocka_run_group_tests_name("handoff", tests, NULL, NULL);
    netrig_speak_tls();
    return failed + cmocka_run_group_tests_name("handoff over TLS", tests, NULL, NULL);
}
