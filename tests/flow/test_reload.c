/* test_reload.c - settings change under a server that runs: every shard takes them, who was told something keeps it,
 * what cannot change is counted and left alone, and what is wrong changes nothing. */
#include "tests/flow/flow.h"

enum { USERS = 12 };

static const char *const users[USERS] = { "alice", "bob", "carol", "dave", "erin", "frank",
                                          "grace", "heidi", "ivan", "judy", "mallory", "peggy" };

static struct rig *rig_with(const struct rig_options *options)
{
    struct rig *rig = rig_new(options);
    for (int i = 0; i < USERS; i++) rig_add(rig, users[i], 1);
    rig_up(rig);
    return rig;
}

/* Twelve users live on every one of four shards, or nearly: each of them is asked. */
static void every_shard_has_what_a_reload_brought_when_it_is_reported(void **state)
{
    (void)state;
    struct rig *rig = rig_with(&(struct rig_options){ .shards = 4 });
    struct config config = *rig_config(rig);
    for (uint64_t seconds = 40; seconds < 44; seconds++) {
        config.heartbeat_s = seconds;
        struct reload_report report = rig_reload(rig, &config);
        assert_int_equal(report.err, 0);
        assert_int_equal(report.changed, 1);
        assert_int_equal(report.needs_restart, 0);
        for (int i = 0; i < USERS; i++) {
            struct talker *t = rig_talk(rig, users[i], 0);
            assert_int_equal(talker_welcome(t)->heartbeat_ms, seconds * 1000);
            talker_close(t);
        }
    }
    assert_int_equal(rig_reload(rig, &config).changed, 0);
    rig_free(rig);
}

static void a_session_keeps_the_heartbeat_it_was_told(void **state)
{
    (void)state;
    static struct clock_hand hand;
    clock_hand_init(&hand, UINT64_C(1800000000000));
    struct rig *rig = rig_with(&(struct rig_options){ .shards = 1, .hand = &hand });
    struct config config = *rig_config(rig);
    struct talker *before = rig_talk(rig, "alice", 0);
    config.heartbeat_s = 1;
    assert_int_equal(rig_reload(rig, &config).changed, 1);
    struct talker *after = rig_talk(rig, "bob", 0);
    assert_int_equal(talker_welcome(before)->heartbeat_ms, 30000);
    assert_int_equal(talker_welcome(after)->heartbeat_ms, 1000);
    talker_freeze(after);
    for (int i = 0; i < 4; i++) {
        rig_turn_clock(rig, 1000 + WHEEL_TICK_MS);
        /* Somebody else's turn, so that the one before is over. */
        talker_close(rig_talk(rig, "carol", 0));
    }
    /* Thirty seconds of silence: nothing to one who was told thirty, far too much for one who was told one. */
    rig_turn_clock(rig, 30000);
    talker_close(rig_talk(rig, "carol", 0));
    talker_thaw(after);
    assert_int_equal(talker_expect_close(after), err_close_code(ERR_IDLE));
    talker_settle(before);
    talker_close(before);
    talker_close(after);
    rig_free(rig);
}

static int status_of_health(struct rig *rig)
{
    struct buf body;
    int status;
    buf_init(&body, FRAME_BYTES_MAX);
    talker_http(rig_port(rig), "GET", "/healthz", BYTES_NONE, &status, &body);
    buf_fini(&body);
    return status;
}

static void a_limit_of_connections_counts_for_those_who_come_after_it(void **state)
{
    (void)state;
    struct rig *rig = rig_with(&(struct rig_options){ .shards = 1 });
    struct config config = *rig_config(rig);
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    config.connections_max = 1;
    assert_int_equal(rig_reload(rig, &config).changed, 1);
    assert_int_equal(status_of_health(rig), 503);
    send_text(a, "bob", 1, "we are here still");
    expect_text(b, "we are here still");
    config.connections_max = 100;
    assert_int_equal(rig_reload(rig, &config).changed, 1);
    assert_int_equal(status_of_health(rig), 200);
    talker_close(a);
    talker_close(b);
    rig_free(rig);
}

static void what_needs_a_restart_is_counted_and_stays_as_it_is(void **state)
{
    (void)state;
    struct rig *rig = rig_with(&(struct rig_options){ .shards = 2 });
    struct config config = *rig_config(rig);
    config.shards = 3;
    config.segment_mib = 8;
    config.heartbeat_s = 50;
    strcpy(config.listen, "127.0.0.1:1");
    struct reload_report report = rig_reload(rig, &config);
    assert_int_equal(report.err, 0);
    assert_int_equal(report.changed, 1);
    assert_int_equal(report.needs_restart, 3);
    assert_int_equal(server_shards(rig_server(rig)), 2);
    assert_int_equal(status_of_health(rig), 200);
    /* Named again each time: it is still to be done. */
    report = rig_reload(rig, &config);
    assert_int_equal(report.changed, 0);
    assert_int_equal(report.needs_restart, 3);
    rig_free(rig);
}

static void what_is_wrong_changes_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_with(&(struct rig_options){ .shards = 2 });
    struct reload_report report = rig_reload(rig, NULL);
    assert_int_equal(report.err, ERR_CONFIG);
    assert_int_equal(report.problems, 1);
    assert_int_equal(report.changed, 0);
    struct talker *t = rig_talk(rig, "alice", 0);
    assert_int_equal(talker_welcome(t)->heartbeat_ms, 30000);
    talker_close(t);
    rig_free(rig);
}

/* Nobody waits for them: they meet each other, messages under way, and the end. */
static void reloads_under_traffic_and_at_the_end_lose_and_leave_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_with(&(struct rig_options){ .shards = 4 });
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    struct conv_id conv = conv_of("alice", "bob");
    char text[32];
    for (uint64_t i = 1; i <= 100; i++) {
        struct config config = *rig_config(rig);
        config.heartbeat_s = 10 + i;
        snprintf(text, sizeof text, "number %d", (int)i);
        struct user_id bob = rig_user("bob");
        uint64_t ref = talker_send_text(a, &bob, i, i, text);
        assert_int_equal(rig_reload(rig, &config).changed, 1);
        assert_int_equal(talker_answer(a, ref)->type, MSG_ACCEPTED);
        expect_text(b, text);
        talker_cursor(b, MSG_DELIVERED, &conv, i);
    }
    talker_close(a);
    talker_close(b);
    struct config last = *rig_config(rig);
    last.heartbeat_s = 3;
    for (int i = 0; i < 50; i++) {
        rig_reload_soon(rig, &last);
        if (i % 10 == 9) {
            rig_down(rig);
            rig_up(rig);
        }
    }
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shard_has_what_a_reload_brought_when_it_is_reported),
        cmocka_unit_test(a_session_keeps_the_heartbeat_it_was_told),
        cmocka_unit_test(a_limit_of_connections_counts_for_those_who_come_after_it),
        cmocka_unit_test(what_needs_a_restart_is_counted_and_stays_as_it_is),
        cmocka_unit_test(what_is_wrong_changes_nothing),
        cmocka_unit_test(reloads_under_traffic_and_at_the_end_lose_and_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
