/* test_contacts.c - people find each other by links, have names here, and what a device has is listed, searched and
 * deleted without a server. */
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

static struct process p;

static int run(struct story *s, const char *home, const char *const *words)
{
    p.with_errors = true;
    return pipit(s, &p, home, words);
}

/* The link of a home's user, without its line end. */
static void link_of(struct story *s, const char *home, char link[static 320])
{
    p.with_errors = false;
    assert_int_equal(pipit(s, &p, home, WORDS("link", "--plain")), 0);
    assert_true(p.len > 1 && p.len < 320);
    memcpy(link, p.text, p.len - 1);
    link[p.len - 1] = '\0';
}

static void a_link_makes_a_contact_that_commands_know(void **state)
{
    struct story *s = *state;
    char link[320], id[MSG_ID_TEXT];
    link_of(s, "bob", link);
    assert_non_null(strstr(link, "/u/bob"));
    assert_int_equal(run(s, "alice", WORDS("add", link, "--as", "Bob from work")), 0);
    assert_int_equal(run(s, "alice", WORDS("contacts")), 0);
    assert_string_equal(p.text, "Bob from work: bob\n");
    sends(s, "alice", "Bob from work", "by name", id);
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "1")), 0);
    assert_non_null(strstr(p.text, "alice: by name\n"));
    assert_int_equal(run(s, "alice", WORDS("history", "Bob from work")), 0);
    assert_non_null(strstr(p.text, "alice: by name\n"));
    assert_int_equal(run(s, "alice", WORDS("contacts", "rename", "Bob from work", "Bobby")), 0);
    assert_int_equal(run(s, "alice", WORDS("send", "Bob from work", "x")), 2);
    sends(s, "alice", "Bobby", "by the new name", id);
    assert_int_equal(run(s, "alice", WORDS("list")), 0);
    assert_non_null(strstr(p.text, "Bobby (bob)"));
    assert_int_equal(run(s, "alice", WORDS("contacts", "remove", "Bobby")), 0);
    assert_int_equal(run(s, "alice", WORDS("contacts")), 0);
    assert_string_equal(p.text, "");
    assert_int_equal(run(s, "alice", WORDS("contacts", "remove", "Bobby")), 2);
}

static void a_link_to_another_server_is_told_apart(void **state)
{
    struct story *s = *state;
    assert_int_equal(run(s, "alice", WORDS("add", "https://chat.example.org/u/robert")), 2);
    assert_non_null(strstr(p.text, "chat.example.org"));
    assert_non_null(strstr(p.text, "servers do not reach each other yet"));
    assert_int_equal(run(s, "alice", WORDS("add", "https://chat.example.org/robert")), 2);
    assert_int_equal(run(s, "alice", WORDS("add", "not a name")), 2);
    assert_int_equal(run(s, "alice", WORDS("add", "alice")), 2);
    assert_non_null(strstr(p.text, "that is you"));
    assert_int_equal(run(s, "alice", WORDS("contacts")), 0);
    assert_string_equal(p.text, "");
}

/* Whom a name means must never change under somebody who has used it. */
static void a_name_hides_nobody(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    make_user(s, "carol");
    sends(s, "alice", "bob", "hello", id);
    assert_int_equal(run(s, "alice", WORDS("add", "carol", "--as", "bob")), 2);    /* alice talks with bob */
    assert_int_equal(run(s, "alice", WORDS("add", "carol", "--as", "mum")), 0);
    assert_int_equal(run(s, "alice", WORDS("add", "bob", "--as", "mum")), 2);
    assert_int_equal(run(s, "alice", WORDS("add", "bob", "--as", "me")), 2);
    assert_int_equal(run(s, "alice", WORDS("add", "bob", "--as", "@x")), 2);
    assert_int_equal(run(s, "alice", WORDS("add", "bob", "--as", "two\nlines")), 2);
    sends(s, "alice", "mum", "for carol", id);
    assert_int_equal(run(s, "carol", WORDS("listen", "--count", "1")), 0);
    assert_int_equal(run(s, "alice", WORDS("send", "@mum", "to a user of that name")), 1);    /* there is none */
}

static void notes_to_oneself_are_a_conversation(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    sends(s, "alice", "me", "the key is under the stone", id);
    assert_int_equal(run(s, "alice", WORDS("history", "me")), 0);
    assert_non_null(strstr(p.text, "alice: the key is under the stone\n"));
    assert_int_equal(run(s, "alice", WORDS("list")), 0);
    assert_int_equal(strncmp(p.text, "     me  ", 9), 0);    /* and nothing unread */
    assert_int_equal(run(s, "alice", WORDS("info", id)), 0);
}

static void what_a_device_has_is_listed_searched_marked_and_deleted(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT], second[MSG_ID_TEXT];
    sends(s, "alice", "bob", "a Blue d\xc3\xb6or", id);
    sends(s, "alice", "bob", "something else", second);
    sends(s, "bob", "me", "blue is a colour", second);    /* gets what waits, too */
    server_down(s, SIGINT);
    assert_int_equal(run(s, "bob", WORDS("list")), 0);
    assert_non_null(strstr(p.text, "   2 alice  "));
    assert_int_equal(run(s, "bob", WORDS("search", "BLUE", "DOOR")), 0);
    assert_non_null(strstr(p.text, "alice: a Blue d\xc3\xb6or\n"));
    assert_int_equal(run(s, "bob", WORDS("search", "blue", "--with", "me")), 0);
    assert_null(strstr(p.text, "d\xc3\xb6or"));
    assert_non_null(strstr(p.text, "blue is a colour"));
    assert_int_equal(run(s, "bob", WORDS("search", "blue", "--limit", "1")), 0);
    assert_null(strstr(p.text, "d\xc3\xb6or"));
    assert_int_equal(run(s, "bob", WORDS("search", "")), 2);
    assert_int_equal(run(s, "bob", WORDS("delete", "--here", id)), 0);
    assert_int_equal(run(s, "bob", WORDS("search", "door")), 0);
    assert_string_equal(p.text, "");
    assert_int_equal(run(s, "bob", WORDS("delete", "--here", "01a20bfa-23c9-7000-987a-b99035f32f5a")), 2);
    server_up(s);
    assert_int_equal(run(s, "bob", WORDS("history", "alice")), 0);    /* the server has it still */
    assert_null(strstr(p.text, "d\xc3\xb6or"));
    assert_non_null(strstr(p.text, "something else"));
    assert_int_equal(run(s, "alice", WORDS("history", "bob")), 0);
    assert_non_null(strstr(p.text, "d\xc3\xb6or"));
    assert_int_equal(run(s, "bob", WORDS("listen", "--count", "1")), 0);
    assert_int_equal(run(s, "bob", WORDS("unread", "alice")), 0);
    assert_int_equal(run(s, "bob", WORDS("list")), 0);
    assert_non_null(strstr(p.text, "   * alice  "));
    assert_int_equal(run(s, "bob", WORDS("unread", "nobody-here")), 2);
}

static void whoami_says_who_has_the_session(void **state)
{
    static struct process listener;
    struct story *s = *state;
    assert_int_equal(run(s, "alice", WORDS("whoami")), 0);
    assert_non_null(strstr(p.text, "user     alice\n"));
    assert_non_null(strstr(p.text, "session  none\n"));
    assert_non_null(strstr(p.text, "waiting  0 "));
    pipit_begin(s, &listener, "alice", WORDS("listen", "--json"), false);
    hear_until(&listener, "\"synced\"");
    assert_int_equal(run(s, "alice", WORDS("whoami", "--json")), 0);
    assert_non_null(strstr(p.text, ", listen\""));
    kill(listener.pid, SIGTERM);
    assert_int_equal(finish(&listener), 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, story_setup, story_teardown)
    const struct CMUnitTest tests[] = {
        STORY(a_link_makes_a_contact_that_commands_know),
        STORY(a_link_to_another_server_is_told_apart),
        STORY(a_name_hides_nobody),
        STORY(notes_to_oneself_are_a_conversation),
        STORY(what_a_device_has_is_listed_searched_marked_and_deleted),
        STORY(whoami_says_who_has_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
