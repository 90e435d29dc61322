/* What peers get wrong: each gets a named error or close code, is counted, and disturbs nobody else. */
#include <unistd.h>

#include "tests/flow/flow.h"
#include "tests/harness/chance.h"
#include "tests/harness/feed.h"
#include "tests/harness/peer.h"

static int set_up(void **state)
{
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2 });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    /* Whatever a test did, two people still talk. */
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    uint64_t seq = send_text(a, "bob", talker_welcome(a)->client_seq_max + 1, "still here").seq;
    while (talker_expect(b, MSG_MESSAGE)->u.message.seq != seq) continue;
    talker_close(a);
    talker_close(b);
    rig_free(rig);
    return 0;
}

static void speak(struct talker *t, const char *bytes, size_t len)
{
    talker_send_binary(t, bytes_of(bytes, len));
}
#define SAY(t, literal) speak(t, literal, sizeof literal - 1)

static void bytes_that_are_no_frame_get_a_named_error_and_the_session_goes_on(void **state)
{
    struct rig *rig = *state;
    struct talker *a = rig_talk(rig, "alice", 0);
    talker_expect(a, MSG_SYNCED);
    uint64_t refused = rig_stat(rig, "frames_refused");
    SAY(a, "\xc1");                                            /* never used in MessagePack */
    assert_error(talker_expect(a, MSG_ERROR), ERR_MALFORMED);
    SAY(a, "\x93\x02");                                        /* an array that ends too soon */
    assert_error(talker_expect(a, MSG_ERROR), ERR_MALFORMED);
    SAY(a, "\xdd\xff\xff\xff\xff\x02");                        /* four thousand million elements, it says */
    assert_error(talker_expect(a, MSG_ERROR), ERR_MALFORMED);
    SAY(a, "\x93\x12\x05\xdb\xff\xff\xff\xff");                /* a string as long */
    assert_error(talker_expect(a, MSG_ERROR), ERR_MALFORMED);
    SAY(a, "\x81\x01\x02");                                    /* a map */
    assert_error(talker_expect(a, MSG_ERROR), ERR_MALFORMED);
    SAY(a, "\x92\x12\x05\x00");                                /* PING and a byte too many */
    assert_error(talker_expect(a, MSG_ERROR), ERR_MALFORMED);
    SAY(a, "\x92\xcd\x03\xe7\x07");                            /* type 999, ref 7 */
    const struct msg *m = talker_answer(a, 7);
    assert_error(m, ERR_UNKNOWN_TYPE);
    SAY(a, "\x94\x04\x08\x2a\x01");                            /* DELIVERED for a conversation that is a number */
    assert_error(talker_answer(a, 8), ERR_TYPE);
    SAY(a, "\x95\x02\x09\xa1!\x01\x01");                       /* SEND to a name that is none */
    assert_error(talker_answer(a, 9), ERR_NAME);
    SAY(a, "\x92\x40\x0a");                                    /* a WELCOME, from a client */
    assert_int_equal(talker_answer(a, 10)->type, MSG_ERROR);
    assert_int_equal(talker_settle(a), 0);                     /* nothing else was said */
    assert_true(rig_stat(rig, "frames_refused") >= refused + 10);
    talker_close(a);
}

static void a_message_of_more_than_64_KiB_closes_the_connection_as_too_big(void **state)
{
    struct rig *rig = *state;
    static uint8_t large[FRAME_BYTES_MAX + 1];
    struct talker *a = rig_talk(rig, "alice", 0);
    talker_send_binary(a, BYTES_OF(large));
    assert_int_equal(talker_expect_close(a), 1009);
    talker_close(a);
}

static void a_body_over_its_limit_is_refused_by_name(void **state)
{
    struct rig *rig = *state;
    static uint8_t body[BODY_BYTES_MAX + 1];
    struct buf frame;
    struct talker *a = rig_talk(rig, "alice", 0);
    /* By hand: the encoder would not do it. [SEND, 5, "bob", 1, 1, bin] */
    buf_init(&frame, FRAME_BYTES_MAX);
    buf_put(&frame, "\x96\x02\x05\xa3" "bob\x01\x01\xc5", 10);
    buf_put_u16(&frame, sizeof body);
    buf_put(&frame, body, sizeof body);
    talker_send_binary(a, buf_bytes(&frame));
    assert_error(talker_answer(a, 5), ERR_TOO_BIG);
    buf_fini(&frame);
    talker_close(a);
}

static void text_instead_of_binary_closes_the_session_as_not_accepted(void **state)
{
    struct rig *rig = *state;
    struct talker *a = rig_talk(rig, "alice", 0);
    talker_send_frame(a, 0x81, true, bytes_of_str("hello"));
    assert_error(talker_expect(a, MSG_ERROR), ERR_NOT_BINARY);
    assert_int_equal(talker_expect_close(a), 1003);
    talker_close(a);
}

static void anything_before_HELLO_is_refused(void **state)
{
    struct rig *rig = *state;
    struct talker *t = talker_upgrade(rig_port(rig));
    struct msg ping = { .type = MSG_PING, .has_ref = true, .ref = 3 };
    talker_send(t, &ping);
    assert_error(talker_answer(t, 3), ERR_HELLO_FIRST);
    assert_int_equal(talker_expect_close(t), err_close_code(ERR_HELLO_FIRST));
    talker_close(t);
}

static void a_second_HELLO_is_refused_and_the_session_goes_on(void **state)
{
    struct rig *rig = *state;
    const struct rig_device *d = rig_device(rig, "alice", 0);
    struct talker *a = rig_talk(rig, "alice", 0);
    talker_expect(a, MSG_SYNCED);
    talker_hello(a, &d->user, d->device, d->token);
    assert_error(talker_expect(a, MSG_ERROR), ERR_HELLO_TWICE);
    assert_int_equal(talker_settle(a), 0);
    talker_close(a);
}

static void a_wrong_token_an_unknown_device_and_an_unknown_user_look_the_same(void **state)
{
    struct rig *rig = *state;
    struct rig_device d = *rig_device(rig, "alice", 0);
    struct user_id nobody = rig_user("nobody");
    d.token[0] ^= 1;
    struct device_id other = { d.device.v ^ 1 };
    uint64_t refused = rig_stat(rig, "hellos_refused");
    for (int i = 0; i < 3; i++) {
        struct talker *t = talker_upgrade(rig_port(rig));
        talker_hello(t, i == 2 ? &nobody : &d.user, i == 1 ? other : d.device, d.token);
        assert_error(talker_expect(t, MSG_ERROR), ERR_AUTH);
        assert_int_equal(talker_expect_close(t), err_close_code(ERR_AUTH));
        talker_close(t);
    }
    assert_int_equal(rig_stat(rig, "hellos_refused"), refused + 3);
}

static void cursors_of_nothing_and_past_the_head_are_refused(void **state)
{
    struct rig *rig = *state;
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    struct msg m = { .type = MSG_DELIVERED, .has_ref = true };
    m.u.cursor.to.conv = conv_of("alice", "bob");
    m.u.cursor.seq = 1;
    m.ref = talker_ref(b);
    talker_send(b, &m);                                        /* no such conversation yet */
    assert_error(talker_answer(b, m.ref), ERR_NOT_FOUND);
    struct msg_accepted accepted = send_text(a, "bob", 1, "one");
    m.u.cursor.to.conv = accepted.conv;
    m.u.cursor.seq = accepted.seq + 1;
    m.type = MSG_READ;
    m.ref = talker_ref(b);
    talker_send(b, &m);
    assert_error(talker_answer(b, m.ref), ERR_PAST_HEAD);
    talker_close(a);
    talker_close(b);
}

static void an_inbox_is_no_conversation(void **state)
{
    struct rig *rig = *state;
    struct talker *a = rig_talk(rig, "alice", 0);
    struct user_id alice = rig_user("alice"), bob = rig_user("bob");
    for (int i = 0; i < 2; i++) {
        struct msg_history inbox = { .to.conv = conv_id_inbox(i ? &alice : &bob), .limit = 1 };
        assert_error(ask_history(a, inbox), ERR_NOT_FOUND);
    }
    talker_close(a);
}

static void fields_of_later_versions_are_refused_by_their_name(void **state)
{
    struct rig *rig = *state;
    struct talker *a = rig_talk(rig, "alice", 0);
    /* [SEND, 5, "bob", 1, 1, bin "x", nil, nil, {1: bin "y"}]: an envelope */
    SAY(a, "\x99\x02\x05\xa3" "bob\x01\x01\xc4\x01x\xc0\xc0\x81\x01\xc4\x01y");
    const struct msg *m = talker_answer(a, 5);
    assert_error(m, ERR_UNSUPPORTED);
    assert_non_null(memmem(m->u.error.text.at, m->u.error.text.len, "envelopes", 9));
    talker_close(a);
}

static void HTTP_says_what_was_wrong(void **state)
{
    struct rig *rig = *state;
    static const struct { const char *method, *path, *body; int status; const char *error; } cases[] = {
        { "GET", "/healthz", "", 200, "\"ok\"" },
        { "GET", "/nothing", "", 404, "NOT_FOUND" },
        { "GET", "/v1/login", "", 405, "UNSUPPORTED" },
        { "POST", "/v1/login", "not json", 400, "MALFORMED" },
        { "POST", "/v1/login", "{\"user\":\"Alice\",\"password\":\"a password\"}", 400, "NAME" },
        { "POST", "/v1/login", "{\"user\":\"alice\",\"password\":\"short\"}", 400, "PASSWORD" },
        { "POST", "/v1/login", "{\"user\":\"alice\",\"password\":\"not her password\"}", 401, "AUTH" },
        { "POST", "/v1/login", "{\"user\":\"nobody\",\"password\":\"a password\"}", 401, "AUTH" },
        { "POST", "/v1/login", "{\"user\":\"alice\",\"password\":\"a password\"}", 200, "token" },
        { "POST", "/v1/register", "{\"user\":\"carol\",\"password\":\"a password\"}", 403, "INVITE" },
        { "POST", "/v1/register", "{\"user\":\"carol\",\"password\":\"a password\",\"invite\":\"guess\"}", 403,
          "INVITE" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf body;
        int status;
        buf_init(&body, FRAME_BYTES_MAX);
        talker_http(rig_port(rig), cases[i].method, cases[i].path, bytes_of_str(cases[i].body), &status, &body);
        assert_int_equal(status, cases[i].status);
        assert_non_null(memmem(body.at, body.len, cases[i].error, strlen(cases[i].error)));
        buf_fini(&body);
    }
}

/* -- connections that want nothing good, by the hundred -- */

static void those_that_hang_are_all_cut_and_nothing_of_them_is_left(void **state)
{
    enum { EACH = 100, KINDS = 4 };
    (void)state;
    static struct clock_hand hand;
    clock_hand_init(&hand, 1700000000000);
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .hand = &hand });
    struct peer *p[EACH * KINDS];
    static const char *const says[KINDS] = { "", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
                                             "POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{",
                                             PEER_UPGRADE "\x82\xfe\xea\x60\x01\x02\x03\x04slow" };
    rig_up(rig);
    for (int i = 0; i < EACH * KINDS; i++) {
        p[i] = peer_dial(rig_port(rig));
        peer_puts(p[i], says[i % KINDS]);
        if (i % KINDS == 3) peer_expect_upgrade(p[i]);
    }
    while (rig_stat(rig, "conns_accepted") < EACH * KINDS) server_wake(rig_server(rig));
    uint64_t bytes = 0;
    for (int i = 0; i < KINDS; i++) bytes += EACH * strlen(says[i]);
    while (rig_stat(rig, "bytes_in") < bytes) server_wake(rig_server(rig));
    assert_int_equal(rig_stat(rig, "conns"), EACH * KINDS);
    rig_turn_clock(rig, 21000);
    for (int i = 0; i < EACH * KINDS; i++) {
        if (i % KINDS == 1 || i % KINDS == 2) {
            assert_int_equal(peer_answer(p[i]), 408);
            assert_non_null(strstr((char *)p[i]->body.at, "\"IDLE\""));
        } else if (i % KINDS == 3) {
            assert_int_equal(peer_expect_close(p[i]), err_close_code(ERR_IDLE));
        }
        assert_true(peer_ended(p[i]));
        peer_free(p[i]);
    }
    while (rig_stat(rig, "conns") > 0) server_wake(rig_server(rig));
    rig_free(rig);
}

/* What is said on one connection comes to the same answers however it is cut. */
static void a_whole_conversation_may_come_in_any_pieces(void **state)
{
    struct rig *rig = *state;
    static const char requests[] =
        "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        "\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
        "PUT /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
        "POST /v1/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n5\r\n json\r\n0\r\n\r\n"
        "POST /v1/login HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\nContent-Length: 2\r\n\r\n{}"
        PEER_UPGRADE;
    static const int statuses[] = { 200, 404, 405, 400, 403 };
    uint64_t random = run_seed();
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_put(&b, requests, sizeof requests - 1);
    feed_frame(&b, 0x89, true, bytes_of_str("ping"));
    feed_frame(&b, 0x02, true, bytes_of_str("\x92\x12"));        /* PING 5 before HELLO, in fragments */
    feed_frame(&b, 0x80, true, bytes_of_str("\x05"));
    static const size_t pieces[] = { SIZE_MAX, 1, 3, 40, 400 };
    for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++) {
        struct feed feed = { buf_bytes(&b), pieces[k], chance(&random) };
        struct bytes piece;
        struct peer *p = peer_dial(rig_port(rig));
        while (feed_next(&feed, &piece)) assert_true(peer_put(p, piece));
        for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) assert_int_equal(peer_answer(p), statuses[i]);
        peer_expect_upgrade(p);
        assert_int_equal(peer_expect_close(p), err_close_code(ERR_HELLO_FIRST));
        peer_free(p);
    }
    buf_fini(&b);
}

int main(void)
{
#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_RIG(bytes_that_are_no_frame_get_a_named_error_and_the_session_goes_on),
        WITH_RIG(a_message_of_more_than_64_KiB_closes_the_connection_as_too_big),
        WITH_RIG(a_body_over_its_limit_is_refused_by_name),
        WITH_RIG(text_instead_of_binary_closes_the_session_as_not_accepted),
        WITH_RIG(anything_before_HELLO_is_refused),
        WITH_RIG(a_second_HELLO_is_refused_and_the_session_goes_on),
        WITH_RIG(a_wrong_token_an_unknown_device_and_an_unknown_user_look_the_same),
        WITH_RIG(cursors_of_nothing_and_past_the_head_are_refused),
        WITH_RIG(an_inbox_is_no_conversation),
        WITH_RIG(fields_of_later_versions_are_refused_by_their_name),
        WITH_RIG(HTTP_says_what_was_wrong),
        WITH_RIG(a_whole_conversation_may_come_in_any_pieces),
        cmocka_unit_test(those_that_hang_are_all_cut_and_nothing_of_them_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
