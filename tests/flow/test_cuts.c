/* test_cuts.c - a user's first minute with all its bytes in pieces: register, log in, upgrade, HELLO, SEND.
 *
 * The parsers have tests of their own for cuts. Here a whole server is fed a byte at a time and in random pieces, over
 * the hand-off to the user's shard, and must do what it does for whole reads. */
#include "tests/flow/flow.h"
#include "tests/harness/chance.h"
#include "tests/harness/feed.h"
#include "tests/harness/peer.h"

enum { STREAM_MAX = 64 * 1024, ROUNDS = 12, INVITE_USES = 100 };

struct world {
    struct rig *rig;
    struct talker *bob;
    uint64_t random;
    size_t piece_max;             /* of the feed */
};

static int set_up_on(void **state, uint16_t shards)
{
    static struct world w;
    w = (struct world){ .random = run_seed() };
    w.rig = rig_new(&(struct rig_options){ .shards = shards });
    rig_add(w.rig, "bob", 1);
    rig_invite(w.rig, "come in", INVITE_USES);
    rig_up(w.rig);
    w.bob = rig_talk(w.rig, "bob", 0);
    talker_expect(w.bob, MSG_SYNCED);
    *state = &w;
    return 0;
}

static int on_one(void **state) { return set_up_on(state, 1); }
static int on_four(void **state) { return set_up_on(state, 4); }

static int tear_down(void **state)
{
    struct world *w = *state;
    talker_close(w->bob);
    rig_free(w->rig);
    return 0;
}

static void say_in_pieces(struct world *w, struct peer *p, struct bytes all)
{
    struct feed feed = { all, w->piece_max, chance(&w->random) };
    struct bytes piece;
    while (feed_next(&feed, &piece)) assert_true(peer_put(p, piece));
}

static void put_request(struct buf *to, const char *path, const char *user, const char *more)
{
    char body[200], head[200];
    int len = snprintf(body, sizeof body, "{\"user\":\"%s\",\"password\":\"a password\"%s}", user, more);
    int head_len = snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, len);
    buf_put(to, head, (size_t)head_len);
    buf_put(to, body, (size_t)len);
}

/* Both on one connection, the second said before the first is answered. */
static struct account_answer register_and_log_in(struct world *w, const char *user)
{
    struct peer *p = peer_dial(rig_port(w->rig));
    struct account_answer a;
    struct buf said;
    buf_init(&said, STREAM_MAX);
    put_request(&said, "/v1/register", user, ",\"invite\":\"come in\"");
    put_request(&said, "/v1/login", user, ",\"device\":\"phone\"");
    say_in_pieces(w, p, buf_bytes(&said));
    assert_int_equal(peer_answer(p), 201);
    assert_int_equal(peer_answer(p), 200);
    assert_int_equal(account_answer_decode(buf_bytes(&p->body), &a), 0);
    assert_true(a.has_device);
    buf_fini(&said);
    peer_free(p);
    return a;
}

/* As frames of a client: whole, or in two with a ping between. */
static void put_message(struct world *w, struct buf *to, const struct msg *msg)
{
    struct buf frame;
    buf_init(&frame, FRAME_BYTES_MAX);
    assert_int_equal(msg_encode(msg, &frame), 0);
    struct bytes all = buf_bytes(&frame);
    size_t cut = chance_below(&w->random, all.len + 1);
    if (chance_below(&w->random, 2)) {
        feed_frame(to, 0x82, true, all);
    } else {
        feed_frame(to, 0x02, true, bytes_of(all.at, cut));
        feed_frame(to, 0x89, true, bytes_of_str("between"));
        feed_frame(to, 0x80, true, bytes_of(all.at + cut, all.len - cut));
    }
    buf_fini(&frame);
}

/* The next message, past pongs of WebSocket's. */
static struct msg hear(struct peer *p)
{
    struct msg m;
    do assert_true(peer_next(p)); while (p->first == 0x8a);
    assert_int_equal(p->first, 0x82);
    assert_int_equal(msg_decode(buf_bytes(&p->body), &m, NULL), 0);
    return m;
}

static struct msg hear_type(struct peer *p, enum msg_type type)
{
    struct msg m;
    do m = hear(p); while (m.type != type);
    return m;
}

/* Upgrade, HELLO, two SENDs and a PING, all said before anything is answered. */
static void say_hello_and_send(struct world *w, const struct account_answer *a, const char *texts[static 2])
{
    struct peer *p = peer_dial(rig_port(w->rig));
    struct buf said, body;
    buf_init(&said, STREAM_MAX);
    buf_init(&body, BODY_BYTES_MAX);
    buf_put(&said, PEER_UPGRADE, sizeof PEER_UPGRADE - 1);
    struct msg hello = { .type = MSG_HELLO, .has_ref = true, .ref = 1 };
    hello.u.hello = (struct msg_hello){ .version = PROTOCOL_VERSION, .user = a->user, .device = a->device,
                                        .token = BYTES_OF(a->token), .agent = bytes_of_str("cuts") };
    put_message(w, &said, &hello);
    for (uint64_t i = 0; i < 2; i++) {
        struct msg send = { .type = MSG_SEND, .has_ref = true, .ref = 2 + i };
        buf_clear(&body);
        assert_int_equal(content_text_encode(bytes_of_str(texts[i]), &body), 0);
        send.u.send = (struct msg_send){ .to = { .is_user = true, .user = rig_user("bob") }, .client_seq = 1 + i,
                                         .settled = 1, .body = buf_bytes(&body) };
        put_message(w, &said, &send);
    }
    struct msg ping = { .type = MSG_PING, .has_ref = true, .ref = 9 };
    put_message(w, &said, &ping);
    say_in_pieces(w, p, buf_bytes(&said));

    peer_expect_upgrade(p);
    struct msg m = hear(p);
    assert_int_equal(m.type, MSG_WELCOME);
    assert_int_equal(m.ref, 1);
    for (uint64_t i = 0; i < 2; i++) {
        m = hear_type(p, MSG_ACCEPTED);
        assert_int_equal(m.ref, 2 + i);
        assert_int_equal(m.u.accepted.seq, 1 + i);
    }
    for (int i = 0; i < 2; i++) expect_text(w->bob, texts[i]);
    buf_fini(&body);
    buf_fini(&said);
    peer_free(p);
}

static void a_first_minute_may_come_in_any_pieces(void **state)
{
    static const size_t pieces[] = { 1, SIZE_MAX, 2, 7, 60, 500 };
    struct world *w = *state;
    char user[32], first[32], second[32];
    for (int round = 0; round < ROUNDS; round++) {
        w->piece_max = pieces[(size_t)round % (sizeof pieces / sizeof pieces[0])];
        snprintf(user, sizeof user, "user-%d", round);
        snprintf(first, sizeof first, "first of %d", round);
        snprintf(second, sizeof second, "second of %d", round);
        struct account_answer a = register_and_log_in(w, user);
        say_hello_and_send(w, &a, (const char *[]){ first, second });
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "a_first_minute_may_come_in_any_pieces_on_one_shard", a_first_minute_may_come_in_any_pieces, on_one,
          tear_down, NULL },
        { "a_first_minute_may_come_in_any_pieces_on_four_shards", a_first_minute_may_come_in_any_pieces, on_four,
          tear_down, NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
