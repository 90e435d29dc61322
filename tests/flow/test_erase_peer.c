/* test_erase_peer.c - what is left to the people who talked with a user that was erased: what their devices have, a plain
 * word for what they try, and everything else.
 *
 * Real programs, a real server (tests/harness/story.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/story.h"

static struct process p;

static void assert_heard(const char *what)
{
    if (!strstr(p.text, what)) fail_msg("\"%s\" is not in: %s", what, p.text);
}

static json_int_t counter(struct story *s, const char *name)
{
    p.with_errors = false;
    assert_int_equal(ctl(s, &p, WORDS("status", "--json")), 0);
    p.with_errors = true;
    json_t *status = json_loads(p.text, 0, NULL);
    json_int_t n = json_integer_value(json_object_get(json_object_get(status, "counters"), name));
    assert_non_null(status);
    json_decref(status);
    return n;
}

/* Three has come to bob's device while it sent, and was not shown yet. */
static void they_talk(struct story *s, char id[static MSG_ID_TEXT])
{
    char other[MSG_ID_TEXT];
    make_user(s, "carol");
    p.with_errors = true;
    sends(s, "alice", "bob", "one", other);
    sends(s, "bob", "alice", "two", id);
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "1")), 0);
    sends(s, "alice", "bob", "three", other);
    sends(s, "bob", "alice", "four", other);
}

static void what_their_devices_have_stays_and_the_rest_is_refused_by_name(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT], other[MSG_ID_TEXT];
    they_talk(s, id);
    assert_int_equal(ctl(s, &p, WORDS("erase", "user", "alice", "--yes")), 0);
    for (int restarted = 0; restarted < 2; restarted++) {
        assert_int_equal(pipit(s, &p, "bob", WORDS("list")), 0);
        assert_heard("alice");
        assert_int_equal(pipit(s, &p, "bob", WORDS("history", "alice")), 0);
        assert_heard("alice: one");
        assert_heard("the server has nothing of this conversation any more");
        assert_int_equal(pipit(s, &p, "bob", WORDS("search", "one")), 0);
        assert_heard("alice: one");
        assert_int_equal(pipit(s, &p, "bob", WORDS("info", id)), 1);
        assert_heard("no such conversation, message or user");
        assert_int_equal(pipit(s, &p, "bob", WORDS("send", "alice", "are you there?")), 1);
        assert_heard("no such conversation, message or user");
        assert_int_equal(pipit(s, &p, "carol", WORDS("history", "alice")), 1);    /* who has nothing is told so */
        assert_heard("no such conversation, message or user");
        server_down(s, SIGTERM);
        server_up(s);
    }
    sends(s, "carol", "bob", "something new", other);
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "2")), 0);
    assert_heard("alice: three");
    assert_heard("something new");
    /* Nothing waits in an outbox, and nothing is asked for again, however often bob comes back. */
    json_int_t refused = counter(s, "frames_refused"), sends_refused = counter(s, "sends_refused");
    for (int i = 0; i < 3; i++) {
        sends(s, "carol", "bob", "something else", other);
        assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "1")), 0);
        assert_heard("something else");
    }
    assert_int_equal(counter(s, "frames_refused"), refused);
    assert_int_equal(counter(s, "sends_refused"), sends_refused);
}

static void their_own_devices_are_out(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    they_talk(s, id);
    assert_int_equal(ctl(s, &p, WORDS("erase", "user", "alice", "--yes")), 0);
    assert_int_equal(pipit(s, &p, "alice", WORDS("send", "bob", "still here")), 1);
    assert_heard("the server does not take this device any more");
    assert_int_equal(pipit(s, &p, "alice", WORDS("search", "one")), 0);
    assert_heard("one");
}

#define TOLD(test) cmocka_unit_test_setup_teardown(test, story_setup, story_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOLD(what_their_devices_have_stays_and_the_rest_is_refused_by_name),
        TOLD(their_own_devices_are_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
