/* test_client_history.c - `pipit history`: what is gone stands in its place, and a page around a time. Real programs, a
 * real server. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/harness/story.h"

static struct process p;

/* These stand in what was printed, in this order; nothing else is looked at. */
static void expect_in_order(const char *const *wanted)
{
    const char *at = p.text;
    for (; *wanted; wanted++) {
        const char *found = strstr(at, *wanted);
        if (!found) fail_msg("no \"%s\" here, or not in its place: %s", *wanted, p.text);
        at = found + strlen(*wanted);
    }
}

static size_t lines(void)
{
    size_t count = 0;
    for (const char *c = p.text; *c; c++) count += *c == '\n';
    return count;
}

static void says_in_turn(struct story *s, int count)
{
    char id[MSG_ID_TEXT], text[32];
    for (int i = 1; i <= count; i++) {
        snprintf(text, sizeof text, "number %d.", i);
        sends(s, "alice", "bob", text, id);
    }
}

static void deletes_her_last(struct story *s)
{
    assert_int_equal(pipit(s, &p, "alice", WORDS("delete", "bob", "--last")), 0);
}

static void what_is_gone_stands_in_its_place(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    says_in_turn(s, 4);
    deletes_her_last(s);
    deletes_her_last(s);
    deletes_her_last(s);                       /* 2, 3 and 4 are gone; 5, 6 and 7 say so */
    sends(s, "alice", "bob", "and on.", id);
    assert_int_equal(pipit(s, &p, "alice", WORDS("history", "bob")), 0);
    expect_in_order(WORDS("alice: number 1.\n[3 messages are gone]\n", "alice deleted a message\n",
                          "alice: and on.\n"));
    assert_int_equal(lines(), 6);
    assert_int_equal(pipit(s, &p, "alice", WORDS("history", "bob", "--json", "--limit", "100")), 0);
    expect_in_order(WORDS("number 1.", "{\"event\":\"gone\",\"conversation\":", "\"first\":2,\"last\":4}\n",
                          "and on."));
    /* bob was away: his device asks nothing in vain, and says what it did not get */
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--json", "--count", "2")), 0);
    expect_in_order(WORDS("\"event\":\"gone\"", "\"first\":2,\"last\":4}\n"));
    expect_in_order(WORDS("number 1.", "\"event\":\"deleted\"", "and on."));
    assert_int_equal(pipit(s, &p, "bob", WORDS("history", "alice")), 0);
    expect_in_order(WORDS("number 1.\n[3 messages are gone]\n", "and on.\n"));
    assert_int_equal(pipit(s, &p, "bob", WORDS("export", "-")), 0);
    expect_in_order(WORDS("number 1.", "{\"export\":\"gone\",\"conversation\":", "\"first\":2,\"last\":4}\n",
                          "\"end\""));
    /* one alone */
    sends(s, "alice", "bob", "oops", id);
    deletes_her_last(s);
    assert_int_equal(pipit(s, &p, "alice", WORDS("history", "bob", "--limit", "2")), 0);
    expect_in_order(WORDS("alice: and on.\n[a message is gone]\n", "alice deleted a message\n"));
    assert_int_equal(lines(), 3);
}

static void around_a_time_are_those_before_it_and_those_from_it_on(void **state)
{
    struct story *s = *state;
    says_in_turn(s, 6);
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "6")), 0);
    assert_int_equal(pipit(s, &p, "bob", WORDS("history", "alice", "--around", "1971-05-01", "--limit", "4")), 0);
    expect_in_order(WORDS("number 1.", "number 2."));
    assert_int_equal(lines(), 2);
    assert_int_equal(pipit(s, &p, "bob", WORDS("history", "alice", "--around", "2999-12-31 23:59", "--limit", "4")), 0);
    expect_in_order(WORDS("number 5.", "number 6."));
    assert_int_equal(lines(), 2);
    assert_int_equal(pipit(s, &p, "bob", WORDS("history", "alice", "--around", "2999-12-31", "--limit", "1")), 0);
    assert_int_equal(lines(), 0);
}

/* The time of a message, as `history` prints it, is one that --around takes. */
static void what_history_prints_can_be_asked_for(void **state)
{
    struct story *s = *state;
    char time[20];
    says_in_turn(s, 3);
    assert_int_equal(pipit(s, &p, "alice", WORDS("history", "bob", "--limit", "1")), 0);
    snprintf(time, sizeof time, "%.19s", p.text);
    const char *const words[] = { "history", "bob", "--around", time, "--limit", "100", NULL };
    assert_int_equal(pipit(s, &p, "alice", words), 0);
    expect_in_order(WORDS("number 1.", "number 2.", "number 3."));
    assert_int_equal(lines(), 3);
}

static void a_time_that_is_none_is_a_slip(void **state)
{
    struct story *s = *state;
    static const struct { const char *words[9]; const char *said; } slips[] = {
        { { "history", "bob", "--around", "yesterday" }, "--around is a day" },
        { { "history", "bob", "--around", "2026-02-30" }, "--around is a day" },
        { { "history", "bob", "--around", "2026-05-01 25:00" }, "--around is a day" },
        { { "history", "bob", "--around", "2026-05-01", "--before", "5" }, "do not go together" },
        { { "history", "bob", "--around", "2026-05-01", "--limit", "101" }, "1 to 100" },
        { { "history", "bob", "--before", "x" }, "--before is the number of a message" },
        { { "history", "bob", "--limit", "10001" }, "1 to 10000" },
    };
    for (size_t i = 0; i < sizeof slips / sizeof slips[0]; i++) {
        p.with_errors = true;
        int code = pipit(s, &p, "alice", slips[i].words);
        p.with_errors = false;
        assert_int_equal(code, 2);
        expect_in_order(WORDS(slips[i].said));
    }
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, story_setup, story_teardown)
    const struct CMUnitTest tests[] = {
        STORY(what_is_gone_stands_in_its_place),
        STORY(around_a_time_are_those_before_it_and_those_from_it_on),
        STORY(what_history_prints_can_be_asked_for),
        STORY(a_time_that_is_none_is_a_slip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
