/* test_admin_reload.c - a reload that is asked for over the admin socket: it is answered when every shard has what it
 * brought, it tells what that is or what is wrong, and it meets others and the end. */
#include "tests/flow/flow.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/wire.h"

enum { USERS = 8 };

static const char *const users[USERS] = { "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi" };
static const char reload[] = "{\"do\":\"reload\"}";

static int setup(void **state)
{
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 4, .real_folder = true });
    for (int i = 0; i < USERS; i++) rig_add(rig, users[i], 1);
    rig_up(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static json_t *setting(json_t *answer, const char *key)
{
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(answer, "settings"), i, row) {
        if (strcmp(text_of(row, "key"), key) == 0) return row;
    }
    return NULL;
}

static void assert_setting(json_t *answer, const char *key, const char *was, const char *now, bool taken)
{
    json_t *row = setting(answer, key);
    assert_non_null(row);
    assert_string_equal(text_of(row, "was"), was);
    assert_string_equal(text_of(row, "now"), now);
    assert_int_equal(json_is_true(json_object_get(row, "taken")), taken);
}

static uint64_t heartbeat_told(struct rig *rig, const char *user)
{
    struct talker *t = rig_talk(rig, user, 0);
    uint64_t ms = talker_welcome(t)->heartbeat_ms;
    talker_close(t);
    return ms;
}

/* Eight users live on every one of four shards, or nearly: each of them is asked. */
static void it_is_answered_when_every_shard_has_what_it_brought(void **state)
{
    struct rig *rig = *state;
    struct config config[4];
    for (int round = 0; round < 4; round++) {
        char was[16], now[16];
        config[round] = *rig_config(rig);
        config[round].heartbeat_s = 40 + (uint64_t)round;
        rig_reads(rig, &config[round]);
        snprintf(was, sizeof was, "%d", round ? 39 + round : 30);
        snprintf(now, sizeof now, "%d", 40 + round);
        json_t *answer = ask(rig, reload);
        assert_true(is_ok(answer));
        assert_int_equal(json_array_size(json_object_get(answer, "settings")), 1);
        assert_setting(answer, "heartbeat_s", was, now, true);
        json_decref(answer);
        for (int i = 0; i < USERS; i++) assert_int_equal(heartbeat_told(rig, users[i]), (40 + round) * 1000);
    }
    json_t *answer = ask(rig, reload);               /* nothing is new */
    assert_true(is_ok(answer));
    assert_int_equal(json_array_size(json_object_get(answer, "settings")), 0);
    json_decref(answer);
    assert_int_equal(count_lines(audit_log(rig)), 5);
    assert_last_audit_line(rig, " act=reload outcome=OK\n");
}

static void what_needs_a_restart_is_told_each_time(void **state)
{
    struct rig *rig = *state;
    struct config config = *rig_config(rig);
    config.shards = 3;
    config.heartbeat_s = 50;
    strcpy(config.listen, "127.0.0.1:1");
    rig_reads(rig, &config);
    for (int round = 0; round < 2; round++) {
        json_t *answer = ask(rig, reload);
        assert_true(is_ok(answer));
        assert_setting(answer, "shards", "4", "3", false);
        assert_setting(answer, "listen", rig_config(rig)->listen, "127.0.0.1:1", false);
        if (round == 0) assert_setting(answer, "heartbeat_s", "30", "50", true);
        else assert_null(setting(answer, "heartbeat_s"));
        json_decref(answer);
    }
    assert_int_equal(heartbeat_told(rig, "alice"), 50000);
}

static void what_is_wrong_is_listed_and_nothing_is_taken(void **state)
{
    struct rig *rig = *state;
    rig_reads(rig, NULL);
    json_t *answer = ask(rig, reload), *problems = json_incref(json_object_get(answer, "problems"));
    expect_refused(answer, ERR_CONFIG, "1 error in the settings; nothing was taken");
    assert_int_equal(json_array_size(problems), 1);
    assert_string_equal(json_string_value(json_array_get(problems, 0)), "rig.conf:1: something is wrong");
    json_decref(problems);
    assert_int_equal(heartbeat_told(rig, "alice"), 30000);
    /* The line that said it was done before it was known has been corrected. */
    assert_int_equal(count_lines(audit_log(rig)), 1);
    assert_last_audit_line(rig, " act=reload outcome=CONFIG\n");
}

static void what_cannot_be_audited_is_not_read(void **state)
{
    struct rig *rig = *state;
    struct config config = *rig_config(rig);
    char path[256];
    config.heartbeat_s = 50;
    rig_reads(rig, &config);
    snprintf(path, sizeof path, "%s/audit.log", rig_folder(rig));
    assert_int_equal(mkdir(path, 0700), 0);
    expect_refused(ask(rig, reload), ERR_IO, "nothing was done");
    assert_int_equal(heartbeat_told(rig, "alice"), 30000);
    assert_int_equal(rmdir(path), 0);
}

/* Another reload is under way that has read what was there before: who asks now is told of one that begins after it. */
static void what_stands_there_when_somebody_asks_is_read(void **state)
{
    struct rig *rig = *state;
    struct config before = *rig_config(rig), now = before;
    struct wire early, late;
    before.heartbeat_s = 40;
    now.heartbeat_s = 50;
    wire_open(&early, rig);
    wire_open(&late, rig);
    rig_reads(rig, &before);
    rig_hold_read(rig);
    wire_say(&early, reload);
    rig_await_held_read(rig);
    rig_reads(rig, &now);
    wire_say(&late, reload);
    while (count_lines(audit_log(rig)) < 2) expect_ok(rig, "{\"do\":\"status\"}");    /* it has asked, or is about to */
    expect_ok(rig, "{\"do\":\"status\"}");
    rig_let_read(rig);
    json_t *answer = wire_hear(&early);
    assert_setting(answer, "heartbeat_s", "30", "40", true);
    json_decref(answer);
    answer = wire_hear(&late);
    assert_setting(answer, "heartbeat_s", "40", "50", true);
    json_decref(answer);
    assert_int_equal(heartbeat_told(rig, "alice"), 50000);
    wire_close(&early);
    wire_close(&late);
}

/* Asked and not waited for, while the server stops: each is answered, as done or as too late, or hears nothing. */
static void one_that_meets_the_end_is_answered_or_cut_off(void **state)
{
    enum { ROUNDS = 9, WIRES = 4 };
    struct rig *rig = *state;
    struct config config[2] = { *rig_config(rig), *rig_config(rig) };
    config[1].heartbeat_s = 50;
    for (int round = 0; round < ROUNDS; round++) {
        struct wire wires[WIRES];
        rig_reads(rig, &config[round % 2]);
        for (int i = 0; i < WIRES; i++) {
            wire_open(&wires[i], rig);
            wire_say(&wires[i], reload);
        }
        if (round % 3 == 0) json_decref(wire_hear(&wires[0]));
        rig_down(rig);
        for (int i = round % 3 == 0; i < WIRES; i++) {
            json_t *answer = wire_hear(&wires[i]);
            if (answer && !is_ok(answer)) assert_string_equal(text_of(answer, "error"), err_name(ERR_GOING));
            json_decref(answer);
        }
        for (int i = 0; i < WIRES; i++) wire_close(&wires[i]);
        rig_up(rig);
    }
}

#define ON_A_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_SERVER(it_is_answered_when_every_shard_has_what_it_brought),
        ON_A_SERVER(what_needs_a_restart_is_told_each_time),
        ON_A_SERVER(what_is_wrong_is_listed_and_nothing_is_taken),
        ON_A_SERVER(what_cannot_be_audited_is_not_read),
        ON_A_SERVER(what_stands_there_when_somebody_asks_is_read),
        ON_A_SERVER(one_that_meets_the_end_is_answered_or_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
