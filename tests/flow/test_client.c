/* test_client.c - the commands of `pipit` as people and scripts use them: real programs, a real server.
 *
 * Each story has a server of its own and homes for alice and bob (tests/harness/story.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness/story.h"

/* ---- stories ---- */

static struct process p, q;

/* What the server has heard it makes durable a moment later: asked until everybody has read it. */
static void until_read(struct story *s, const char *home, const char *id)
{
    do assert_int_equal(pipit(s, &p, home, WORDS("info", id, "--json")), 0);
    while (strstr(p.text, "null"));
}

static void what_was_sent_survives_kill_9_and_is_told_once(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT], wanted[96];
    assert_int_equal(pipit(s, &p, "alice", WORDS("send", "bob", "one", "two", "three")), 0);
    memcpy(id, p.text, MSG_ID_TEXT - 1);
    id[MSG_ID_TEXT - 1] = '\0';
    server_down(s, SIGKILL);
    server_up(s);
    assert_int_equal(pipit(s, &p, "alice", WORDS("info", id, "--json")), 0);
    assert_non_null(strstr(p.text, "\"delivered\":null,\"read\":null"));
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "1", "--json")), 0);
    snprintf(wanted, sizeof wanted, "\"id\":\"%s\"", id);
    assert_non_null(strstr(p.text, wanted));
    assert_non_null(strstr(p.text, "\"text\":\"one two three\""));
    assert_null(strstr(strstr(p.text, wanted) + 1, wanted));
    until_read(s, "alice", id);
    /* Shown once: a second listen has nothing to say of it. */
    sends(s, "alice", "bob", "next", id);
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "1", "--json")), 0);
    assert_null(strstr(p.text, "one two three"));
    assert_non_null(strstr(p.text, "\"text\":\"next\""));
}

static void a_message_that_came_during_another_command_is_shown_by_the_next_listen(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    sends(s, "alice", "bob", "waiting for you", id);
    sends(s, "bob", "alice", "on my way", id);    /* has the session meanwhile, and gets what waits */
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "1")), 0);
    assert_non_null(strstr(p.text, "alice: waiting for you\n"));
}

static void unread_stays_unread_with_no_read(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    sends(s, "alice", "bob", "hello", id);
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "1", "--no-read")), 0);
    assert_int_equal(pipit(s, &p, "alice", WORDS("info", id, "--json")), 0);
    assert_null(strstr(p.text, "\"delivered\":null"));
    assert_non_null(strstr(p.text, "\"read\":null"));
}

static void other_commands_go_out_by_the_session_of_a_listener(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    pipit_begin(s, &q, "bob", WORDS("listen", "--json"), false);
    hear_until(&q, "\"event\":\"synced\"");
    sends(s, "bob", "alice", "from beside", id);
    assert_int_equal(pipit(s, &p, "bob", WORDS("info", id, "--json")), 0);
    assert_int_equal(pipit(s, &p, "bob", WORDS("history", "alice", "--json")), 0);
    assert_non_null(strstr(p.text, "from beside"));
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--timeout", "1")), 4);    /* two would fight over it */
    sends(s, "alice", "bob", "still there?", id);
    hear_until(&q, "\"text\":\"still there?\"");    /* the listener was not thrown out */
    kill(q.pid, SIGTERM);
    assert_int_equal(finish(&q), 0);
}

static void a_send_outlives_the_listener_it_was_left_to(void **state)
{
    struct story *s = *state;
    struct pollfd out;
    pipit_begin(s, &q, "bob", WORDS("listen", "--json"), false);
    hear_until(&q, "\"event\":\"synced\"");
    kill(q.pid, SIGSTOP);    /* it has the session, and does nothing any more */
    pipit_begin(s, &p, "bob", WORDS("send", "alice", "anyway"), false);
    out = (struct pollfd){ .fd = p.out, .events = POLLIN };
    assert_int_equal(poll(&out, 1, 200), 0);    /* nobody can have accepted it */
    kill(q.pid, SIGKILL);
    assert_int_equal(finish(&p), 0);
    assert_int_equal(p.len, MSG_ID_TEXT);
    assert_int_equal(finish(&q), 128 + SIGKILL);
    assert_int_equal(pipit(s, &p, "alice", WORDS("listen", "--count", "1")), 0);
    assert_non_null(strstr(p.text, "bob: anyway\n"));
}

static void what_could_not_be_sent_goes_out_with_the_next_command_in_order(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    server_down(s, SIGINT);
    assert_int_equal(pipit(s, &p, "alice", WORDS("send", "--timeout", "1", "bob", "first")), 3);
    assert_int_equal(p.len, 0);
    assert_int_equal(pipit(s, &p, "alice", WORDS("listen", "--timeout", "1")), 3);
    server_up(s);
    sends(s, "alice", "bob", "second", id);
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "2")), 0);
    char *first = strstr(p.text, "alice: first\n"), *second = strstr(p.text, "alice: second\n");
    assert_non_null(first);
    assert_non_null(second);
    assert_true(first < second);
}

static void a_refused_send_is_told_and_gone(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    assert_int_equal(pipit(s, &p, "alice", WORDS("send", "nobody-here", "hello")), 1);
    assert_int_equal(p.len, 0);
    sends(s, "alice", "bob", "works", id);
}

static void a_text_comes_from_standard_input_too(void **state)
{
    struct story *s = *state;
    pipit_begin(s, &p, "alice", WORDS("send", "bob", "-"), false);
    type(&p, "from a pipe\nwith two lines\n");
    close_input(&p);
    assert_int_equal(finish(&p), 0);
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "1", "--json")), 0);
    assert_non_null(strstr(p.text, "\"text\":\"from a pipe\\nwith two lines\""));
}

static void mistakes_are_told_before_anything_is_sent(void **state)
{
    struct story *s = *state;
    char longest[TEXT_BYTES_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[TEXT_BYTES_MAX + 1] = '\0';
    assert_int_equal(pipit(s, &p, "alice", WORDS("send", "bob", longest)), 2);
    assert_int_equal(pipit(s, &p, "alice", WORDS("send", "bob", "\xff\xfe")), 2);
    assert_int_equal(pipit(s, &p, "alice", WORDS("send", "bob", "")), 2);
    assert_int_equal(pipit(s, &p, "alice", WORDS("send", "Not A Name", "x")), 2);
    assert_int_equal(pipit(s, &p, "alice", WORDS("send")), 2);
    assert_int_equal(pipit(s, &p, "alice", WORDS("shout", "bob", "x")), 2);
    assert_int_equal(pipit(s, &p, "alice", WORDS("info", "not-an-id")), 2);
    assert_int_equal(pipit(s, &p, "alice", WORDS("listen", "--count", "many")), 2);
    assert_int_equal(pipit(s, &p, "nowhere", WORDS("send", "bob", "x")), 2);
    assert_int_equal(pipit(s, &p, "alice", WORDS("--help")), 0);
    longest[TEXT_BYTES_MAX] = '\0';
    assert_int_equal(pipit(s, &p, "alice", WORDS("send", "bob", longest)), 0);    /* the longest there may be */
}

static void logging_in_again_makes_no_second_device(void **state)
{
    struct story *s = *state;
    assert_int_equal(pipit(s, &p, "alice", WORDS("login", "alice")), 0);
    assert_int_equal(pipit(s, &p, "alice", WORDS("login", "bob")), 2);
    setenv("PIPIT_PASSWORD", "not the password", 1);
    assert_int_equal(pipit(s, &p, "elsewhere", WORDS("login", "alice")), 1);
    setenv("PIPIT_PASSWORD", "a password", 1);
    assert_int_equal(pipit(s, &p, "elsewhere", WORDS("send", "bob", "x")), 2);    /* nobody is logged in there */
}

static void another_device_of_the_same_user_gets_what_the_first_one_sends(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    sends(s, "alice", "bob", "before the second", id);
    assert_int_equal(pipit(s, &p, "alice-2", WORDS("login", "alice")), 0);
    pipit_begin(s, &q, "alice-2", WORDS("listen", "--json", "--count", "1"), false);
    hear_until(&q, "\"event\":\"synced\"");
    sends(s, "alice", "bob", "by the first", id);
    hear_until(&q, "\"text\":\"by the first\"");
    sends(s, "bob", "alice", "to both", id);
    assert_int_equal(finish(&q), 0);    /* one's own did not count */
    assert_non_null(strstr(q.text, "\"text\":\"to both\""));
    assert_int_equal(pipit(s, &p, "alice-2", WORDS("history", "bob", "--json")), 0);
    assert_non_null(strstr(p.text, "before the second"));
}

static void a_copied_home_does_not_fight_for_the_session(void **state)
{
    struct story *s = *state;
    char command[256];
    snprintf(command, sizeof command, "cp -r '%s/bob' '%s/bob-copy'", s->dir, s->dir);
    assert_int_equal(system(command), 0);
    pipit_begin(s, &q, "bob", WORDS("listen", "--json"), false);
    hear_until(&q, "\"event\":\"synced\"");
    assert_int_equal(pipit(s, &p, "bob-copy", WORDS("send", "alice", "from the copy")), 0);
    assert_int_equal(finish(&q), 1);
}

static void a_chat_shows_ticks_as_they_come(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    sends(s, "bob", "alice", "said before", id);
    pipit_begin(s, &p, "alice", WORDS("chat", "--plain", "bob"), true);
    hear_until(&p, "bob: said before");
    hear_until(&p, "> ");
    forget(&p);
    type(&p, "hello bob\r");
    hear_until(&p, "alice: hello bob \xe2\x9c\x93");
    assert_null(strstr(p.text, "\xe2\x9c\x93\xe2\x9c\x93"));
    pipit_begin(s, &q, "bob", WORDS("listen", "--json", "--no-read", "--count", "1"), false);
    hear_until(&p, "alice: hello bob \xe2\x9c\x93\xe2\x9c\x93");
    assert_int_equal(finish(&q), 0);
    assert_null(strstr(p.text, "\033[1;34m"));
    forget(&p);
    pipit_begin(s, &q, "bob", WORDS("chat", "--plain", "alice"), true);    /* reads it */
    hear_until(&p, "alice: hello bob \033[1;34m\xe2\x9c\x93\xe2\x9c\x93\033[0m");
    forget(&p);
    type(&q, "an answer\r");
    hear_until(&p, "bob: an answer");
    type(&p, "\x04");
    type(&q, "\x04");
    assert_int_equal(finish(&p), 0);
    assert_int_equal(finish(&q), 0);
}

static void what_is_typed_offline_goes_out_when_the_server_is_back(void **state)
{
    struct story *s = *state;
    pipit_begin(s, &p, "alice", WORDS("chat", "--plain", "bob"), true);
    hear_until(&p, "> ");
    server_down(s, SIGKILL);
    hear_until(&p, "no connection");
    type(&p, "into the dark\r");
    hear_until(&p, "alice: into the dark");
    assert_null(strstr(p.text, "into the dark \xe2\x9c\x93"));
    server_up(s);
    hear_until(&p, "into the dark \xe2\x9c\x93");
    type(&p, "\x03");    /* Ctrl-C ends it too, with the terminal as it was */
    assert_int_equal(finish(&p), 0);
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "1")), 0);
    assert_non_null(strstr(p.text, "alice: into the dark\n"));
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, story_setup, story_teardown)
    const struct CMUnitTest tests[] = {
        STORY(what_was_sent_survives_kill_9_and_is_told_once),
        STORY(a_message_that_came_during_another_command_is_shown_by_the_next_listen),
        STORY(unread_stays_unread_with_no_read),
        STORY(other_commands_go_out_by_the_session_of_a_listener),
        STORY(a_send_outlives_the_listener_it_was_left_to),
        STORY(what_could_not_be_sent_goes_out_with_the_next_command_in_order),
        STORY(a_refused_send_is_told_and_gone),
        STORY(a_text_comes_from_standard_input_too),
        STORY(mistakes_are_told_before_anything_is_sent),
        STORY(logging_in_again_makes_no_second_device),
        STORY(another_device_of_the_same_user_gets_what_the_first_one_sends),
        STORY(a_copied_home_does_not_fight_for_the_session),
        STORY(a_chat_shows_ticks_as_they_come),
        STORY(what_is_typed_offline_goes_out_when_the_server_is_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
