/* test_client_gone.c - `pipit delete` and `pipit timer`: what goes for everyone and what goes by itself, as people and
 * scripts see it. Real programs, a real server. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/story.h"

static struct process p, q;

static void expect(const char *what)
{
    if (!strstr(p.text, what)) fail_msg("no \"%s\" in: %s", what, p.text);
}

static void expect_no(const char *what)
{
    if (strstr(p.text, what)) fail_msg("\"%s\" in: %s", what, p.text);
}

/* As said(), with what goes to standard error. */
static int says(struct story *s, const char *home, const char *const *words)
{
    p.with_errors = true;
    int code = pipit(s, &p, home, words);
    p.with_errors = false;
    return code;
}

static void hears(struct story *s, const char *home, const char *text)
{
    assert_int_equal(pipit(s, &p, home, WORDS("listen", "--count", "1")), 0);
    expect(text);
}

static void what_is_deleted_is_gone_with_everybody(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT], wanted[MSG_ID_TEXT + 1];
    sends(s, "alice", "bob", "the secret", id);
    hears(s, "bob", "the secret");
    assert_int_equal(pipit(s, &p, "bob", WORDS("search", "secret")), 0);
    expect("the secret");
    assert_int_equal(pipit(s, &p, "alice", WORDS("delete", "bob", id)), 0);
    snprintf(wanted, sizeof wanted, "%s\n", id);
    assert_string_equal(p.text, wanted);
    assert_int_equal(pipit(s, &p, "alice", WORDS("search", "secret")), 0);
    assert_int_equal(p.len, 0);
    /* bob hears of it, and his device forgets it */
    sends(s, "alice", "bob", "something else", id);
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--json", "--count", "1")), 0);
    expect("\"event\":\"deleted\"");
    expect("\"seqs\":[1]");
    assert_int_equal(pipit(s, &p, "bob", WORDS("search", "secret")), 0);
    assert_int_equal(p.len, 0);
    assert_int_equal(pipit(s, &p, "bob", WORDS("history", "alice")), 0);
    expect(" alice deleted a message\n");
    expect_no("secret");
    assert_int_equal(pipit(s, &p, "bob", WORDS("list")), 0);
    expect("something else");
}

static void the_last_message_is_ones_own_last_wherever_it_was_said(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT], other[MSG_ID_TEXT], wanted[MSG_ID_TEXT + 1];
    assert_int_equal(pipit(s, &p, "alice2", WORDS("login", "alice")), 0);
    sends(s, "alice", "bob", "stays", other);
    sends(s, "alice2", "bob", "oops", id);
    sends(s, "bob", "alice", "what?", other);
    assert_int_equal(pipit(s, &p, "alice", WORDS("delete", "bob", "--last")), 0);    /* it never heard of it before */
    snprintf(wanted, sizeof wanted, "%s\n", id);
    assert_string_equal(p.text, wanted);
    assert_int_equal(pipit(s, &p, "bob", WORDS("history", "alice")), 0);
    expect("alice: stays");
    expect("bob: what?");
    expect_no("oops");
    assert_int_equal(says(s, "bob", WORDS("delete", "me", "--last")), 2);
    expect("none of the last");
}

static void who_may_not_delete_is_told_why(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT], mine[MSG_ID_TEXT];
    sends(s, "alice", "bob", "hers", id);
    sends(s, "bob", "alice", "his", mine);
    assert_int_equal(says(s, "bob", WORDS("delete", "alice", id)), 2);
    expect("only who sent a message");
    assert_int_equal(says(s, "bob", WORDS("delete", "alice", "01a20bfa-23c9-7000-987a-b99035f32f5a")), 2);
    expect("knows no such message");
    assert_int_equal(says(s, "bob", WORDS("delete", "me", mine)), 2);
    expect("not of the conversation with me");
    assert_int_equal(says(s, "bob", WORDS("delete", mine)), 2);          /* for whom? */
    expect("for everyone");
    expect("--here");
    assert_int_equal(says(s, "bob", WORDS("delete", "alice")), 2);
    expect("--last");
    assert_int_equal(says(s, "bob", WORDS("delete", "alice", "nonsense")), 2);
    assert_int_equal(says(s, "bob", WORDS("delete", "alice", mine, "--last")), 2);
    assert_int_equal(says(s, "bob", WORDS("delete", "alice", "--here", "--last")), 2);
    assert_int_equal(pipit(s, &p, "bob", WORDS("history", "alice")), 0);
    expect("his");
    expect("hers");
    assert_int_equal(pipit(s, &p, "bob", WORDS("delete", "alice", mine)), 0);
    assert_int_equal(says(s, "bob", WORDS("delete", "alice", mine)), 2);
    expect("deleted already");
    /* it is over for what was sent too long ago */
    sends(s, "bob", "alice", "too late", mine);
    server_down(s, SIGTERM);
    server_up_with(s, WORDS("--delete-for-everyone-s", "0"));
    assert_int_equal(says(s, "bob", WORDS("delete", "alice", mine)), 1);
    expect("sent too long ago");
    assert_int_equal(pipit(s, &p, "bob", WORDS("search", "too late")), 0);
    expect("too late");
}

static void here_alone_nobody_else_is_told(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    sends(s, "alice", "bob", "for you", id);
    hears(s, "bob", "for you");
    assert_int_equal(pipit(s, &p, "bob", WORDS("delete", "--here", "alice", id)), 0);
    assert_int_equal(pipit(s, &p, "bob", WORDS("history", "alice")), 0);
    expect_no("for you");
    assert_int_equal(pipit(s, &p, "alice", WORDS("history", "bob")), 0);
    expect("for you");
}

static void what_could_not_be_deleted_yet_is_when_the_server_is_back(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT], next[MSG_ID_TEXT];
    sends(s, "alice", "bob", "rash", id);
    server_down(s, SIGKILL);
    assert_int_equal(says(s, "alice", WORDS("delete", "bob", id, "--timeout", "1")), 3);
    expect("stays in the outbox");
    server_up(s);
    sends(s, "alice", "bob", "calm", next);
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "1")), 0);
    expect("alice: calm");
    expect_no("rash");
}

static void a_delete_goes_out_by_the_session_of_a_listener_which_tells_of_others(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    pipit_begin(s, &q, "alice", WORDS("listen", "--json"), false);
    hear_until(&q, "\"event\":\"synced\"");
    sends(s, "alice", "bob", "beside a listener", id);
    assert_int_equal(pipit(s, &p, "alice", WORDS("delete", "bob", "--last")), 0);
    assert_int_equal(pipit(s, &p, "bob", WORDS("timer", "alice", "7d")), 0);
    hear_until(&q, "\"event\":\"timer\"");
    hear_until(&q, "\"seconds\":604800");
    kill(q.pid, SIGTERM);
    assert_int_equal(finish(&q), 0);
}

/* ---- the timer ---- */

static void a_timer_is_set_for_both_and_shown_to_both(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    assert_int_equal(pipit(s, &p, "alice", WORDS("timer", "bob")), 0);
    assert_string_equal(p.text, "messages stay\n");
    assert_int_equal(pipit(s, &p, "alice", WORDS("timer", "bob", "1d")), 0);
    assert_string_equal(p.text, "messages disappear after 1 day (set by alice)\n");
    assert_int_equal(pipit(s, &p, "bob", WORDS("timer", "alice")), 0);
    assert_string_equal(p.text, "messages disappear after 1 day (set by alice)\n");
    assert_int_equal(pipit(s, &p, "bob", WORDS("timer", "alice", "--json")), 0);
    assert_string_equal(p.text, "{\"with\":\"alice\",\"seconds\":86400,\"by\":\"alice\"}\n");
    sends(s, "bob", "alice", "for a day", id);
    assert_int_equal(pipit(s, &p, "alice", WORDS("listen", "--json", "--count", "1")), 0);
    expect("\"text\":\"for a day\",\"deleted\":false,\"expires\":1");
    assert_int_equal(pipit(s, &p, "alice", WORDS("history", "bob")), 0);
    expect(" timer set to 1 day by alice\n");
    assert_int_equal(pipit(s, &p, "bob", WORDS("timer", "alice", "off")), 0);
    assert_string_equal(p.text, "messages stay (set by bob)\n");
    assert_int_equal(pipit(s, &p, "alice", WORDS("timer", "bob")), 0);
    assert_string_equal(p.text, "messages stay (set by bob)\n");
}

static void a_device_that_came_later_knows_the_timer_too(void **state)
{
    struct story *s = *state;
    assert_int_equal(pipit(s, &p, "alice", WORDS("timer", "bob", "12h")), 0);
    assert_int_equal(pipit(s, &p, "alice2", WORDS("login", "alice")), 0);
    assert_int_equal(pipit(s, &p, "alice2", WORDS("timer", "bob")), 0);
    assert_string_equal(p.text, "messages disappear after 12 hours (set by alice)\n");
    server_down(s, SIGTERM);
    assert_int_equal(says(s, "alice2", WORDS("timer", "bob", "--timeout", "1")), 3);    /* what this device knows */
    expect("messages disappear after 12 hours (set by alice)\n");
    server_up(s);
}

static void no_timer_is_set_by_a_slip(void **state)
{
    struct story *s = *state;
    static const char *const slips[] = { "1", "1y", "0", "-1d", "", "1d2h", "on" };
    static const char *const out_of_range[] = { "59s", "366d" };
    for (size_t i = 0; i < sizeof slips / sizeof slips[0]; i++) {
        assert_int_equal(says(s, "alice", WORDS("timer", "bob", "--", slips[i])), 2);
        expect("how long is a number");
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(says(s, "alice", WORDS("timer", "bob", out_of_range[i])), 2);
        expect("a minute to a year");
    }
    assert_int_equal(says(s, "alice", WORDS("timer", "nobody-here", "1d")), 1);
    assert_int_equal(pipit(s, &p, "alice", WORDS("timer", "bob")), 0);
    assert_string_equal(p.text, "messages stay\n");
}

/* As if all that has a time had had it. How many there were. */
static int time_passes(struct story *s, const char *home)
{
    char path[160];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/%s/client.db", s->dir, home);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    assert_int_equal(sqlite3_exec(db, "UPDATE messages SET expiry = 1 WHERE expiry IS NOT NULL", NULL, NULL, NULL),
                     SQLITE_OK);
    int changed = sqlite3_changes(db);
    sqlite3_close(db);
    return changed;
}

static void messages_disappear_from_a_device_that_is_offline(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    sends(s, "alice", "bob", "stays here", id);
    assert_int_equal(pipit(s, &p, "alice", WORDS("timer", "bob", "1h")), 0);
    sends(s, "alice", "bob", "goes away", id);
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "2")), 0);
    expect("goes away");
    server_down(s, SIGTERM);
    static const char *const homes[] = { "alice", "bob" };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipit(s, &p, homes[i], WORDS("search", "away")), 0);
        expect("goes away");
        assert_int_equal(time_passes(s, homes[i]), 1);
        assert_int_equal(pipit(s, &p, homes[i], WORDS("search", "away")), 0);
        assert_int_equal(p.len, 0);
        assert_int_equal(pipit(s, &p, homes[i], WORDS("list")), 0);
        expect("stays here");
        char path[400];
        snprintf(path, sizeof path, "! grep -q 'goes away' '%s/%s/client.db'", s->dir, homes[i]);
        assert_int_equal(system(path), 0);
    }
    server_up(s);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, story_setup, story_teardown)
    const struct CMUnitTest tests[] = {
        STORY(what_is_deleted_is_gone_with_everybody),
        STORY(the_last_message_is_ones_own_last_wherever_it_was_said),
        STORY(who_may_not_delete_is_told_why),
        STORY(here_alone_nobody_else_is_told),
        STORY(what_could_not_be_deleted_yet_is_when_the_server_is_back),
        STORY(a_delete_goes_out_by_the_session_of_a_listener_which_tells_of_others),
        STORY(a_timer_is_set_for_both_and_shown_to_both),
        STORY(a_device_that_came_later_knows_the_timer_too),
        STORY(no_timer_is_set_by_a_slip),
        STORY(messages_disappear_from_a_device_that_is_offline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
