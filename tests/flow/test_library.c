/* test_library.c - libpipit as a stranger uses it: the example bot, over a server that is killed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/story.h"

static struct process p, bot;

static void bot_begin(struct story *s)
{
    char program[320], home[96], url[64];
    snprintf(program, sizeof program, "%s/example/echo", s->bin);
    snprintf(home, sizeof home, "%s/echo", s->dir);
    snprintf(url, sizeof url, "ws://%s", s->address);
    bot.with_errors = true;
    start(&bot, program, (char *[]){ "echo", home, NULL }, false);
    hear_until(&bot, "echo: connected");
}

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what)) count++;
    return count;
}

static void the_example_says_back_what_is_said_to_it(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    make_user(s, "echo");
    bot_begin(s);
    sends(s, "alice", "echo", "hello there", id);
    assert_int_equal(pipit(s, &p, "alice", WORDS("listen", "--count", "1")), 0);
    assert_non_null(strstr(p.text, "echo: hello there\n"));
    do assert_int_equal(pipit(s, &p, "alice", WORDS("info", id, "--json")), 0);
    while (strstr(p.text, "\"read\":null"));
    kill(bot.pid, SIGTERM);
    assert_int_equal(finish(&bot), 0);
}

/* Killed again and again, each time with messages on their way, it answers each of them exactly once. */
static void each_message_is_answered_once_however_often_bot_and_server_are_killed(void **state)
{
    enum { ROUNDS = 6 };
    struct story *s = *state;
    char id[MSG_ID_TEXT], text[32];
    make_user(s, "echo");
    for (int i = 0; i < ROUNDS; i++) {
        bot_begin(s);
        snprintf(text, sizeof text, "number %d", i);
        sends(s, "alice", "echo", text, id);
        if (i % 2) server_down(s, SIGKILL);
        kill(bot.pid, SIGKILL);
        assert_int_equal(finish(&bot), 128 + SIGKILL);
        if (i % 2) server_up(s);
    }
    bot_begin(s);
    assert_int_equal(pipit(s, &p, "alice", WORDS("listen", "--count", "6")), 0);
    sends(s, "alice", "echo", "the last", id);
    assert_int_equal(pipit(s, &p, "alice", WORDS("listen", "--count", "1")), 0);    /* in order: all others are there */
    assert_non_null(strstr(p.text, "echo: the last\n"));
    assert_int_equal(pipit(s, &p, "alice", WORDS("history", "echo", "--limit", "100")), 0);
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(text, sizeof text, " echo: number %d\n", i);
        assert_int_equal(count_of(p.text, text), 1);
    }
    kill(bot.pid, SIGTERM);
    assert_int_equal(finish(&bot), 0);
}

static void a_home_that_another_program_keeps_is_told_by_name(void **state)
{
    struct story *s = *state;
    make_user(s, "echo");
    bot_begin(s);
    p.with_errors = true;
    assert_int_equal(pipit(s, &p, "echo", WORDS("listen")), 4);
    assert_non_null(strstr(p.text, ", echo) has the session of this home"));
    assert_int_equal(pipit(s, &p, "echo", WORDS("send", "alice", "beside")), 0);    /* by the bot's session */
    kill(bot.pid, SIGTERM);
    assert_int_equal(finish(&bot), 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, story_setup, story_teardown)
    const struct CMUnitTest tests[] = {
        STORY(the_example_says_back_what_is_said_to_it),
        STORY(each_message_is_answered_once_however_often_bot_and_server_are_killed),
        STORY(a_home_that_another_program_keeps_is_told_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
