/* test_client_account.c - what a user does with account and devices by `pipit`: log out, another password, export,
 * revoke, delete. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/story.h"

static struct process p, q;

static int run(struct story *s, const char *home, const char *const *words)
{
    p.with_errors = true;
    return pipit(s, &p, home, words);
}

/* The device of a home, as `whoami` tells it. */
static void device_of(struct story *s, const char *home, char device[static DEVICE_ID_TEXT])
{
    assert_int_equal(run(s, home, WORDS("whoami", "--json")), 0);
    const char *at = strstr(p.text, "\"device\":\"");
    assert_non_null(at);
    memcpy(device, at + 10, 16);
    device[16] = '\0';
}

static bool home_is_there(struct story *s, const char *home)
{
    char path[160];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", s->dir, home);
    return stat(path, &st) == 0;
}

static void devices_are_listed_named_and_revoked(void **state)
{
    struct story *s = *state;
    char second[DEVICE_ID_TEXT], line[64];
    assert_int_equal(run(s, "alice-2", WORDS("login", "alice")), 0);
    device_of(s, "alice-2", second);
    assert_int_equal(run(s, "alice", WORDS("devices", "name", second, "the old phone")), 0);
    assert_int_equal(run(s, "alice", WORDS("devices")), 0);
    assert_non_null(strstr(p.text, "(this one)"));
    assert_non_null(strstr(p.text, "the old phone\n"));
    assert_int_equal(run(s, "alice", WORDS("devices", "--json")), 0);
    snprintf(line, sizeof line, "\"device\":\"%s\",\"name\":\"the old phone\"", second);
    assert_non_null(strstr(p.text, line));
    q.with_errors = true;
    pipit_begin(s, &q, "alice-2", WORDS("listen", "--json"), false);
    hear_until(&q, "\"synced\"");
    assert_int_equal(run(s, "alice", WORDS("devices", "revoke", second)), 0);
    assert_null(strstr(p.text, second));
    assert_int_equal(finish(&q), 1);
    assert_non_null(strstr(q.text, "the server does not take this device any more"));
    assert_int_equal(run(s, "alice-2", WORDS("send", "bob", "x")), 1);
    assert_int_equal(run(s, "alice", WORDS("devices", "revoke", second)), 1);
    assert_non_null(strstr(p.text, "no such device"));
    assert_int_equal(run(s, "alice", WORDS("devices", "revoke", "12")), 2);
    char own[DEVICE_ID_TEXT];
    device_of(s, "alice", own);
    assert_int_equal(run(s, "alice", WORDS("devices", "revoke", own)), 2);
}

static void a_new_device_is_told_to_those_who_listen(void **state)
{
    struct story *s = *state;
    char device[DEVICE_ID_TEXT];
    q.with_errors = true;
    pipit_begin(s, &q, "alice", WORDS("listen", "--json"), false);
    hear_until(&q, "\"synced\"");
    assert_int_equal(run(s, "alice-2", WORDS("login", "alice")), 0);
    hear_until(&q, "\"event\":\"device\",\"what\":\"added\"");
    device_of(s, "alice-2", device);
    hear_until(&q, device);
    assert_int_equal(run(s, "alice-2", WORDS("logout")), 0);
    hear_until(&q, "\"what\":\"revoked\"");
    kill(q.pid, SIGTERM);
    assert_int_equal(finish(&q), 0);
    q.with_errors = true;
    pipit_begin(s, &q, "alice", WORDS("listen"), false);
    sends(s, "bob", "alice", "there you are", (char[MSG_ID_TEXT]){ 0 });
    hear_until(&q, "there you are");    /* so it is connected */
    assert_int_equal(run(s, "alice-3", WORDS("login", "alice")), 0);
    hear_until(&q, "a new device is logged in: ");
    kill(q.pid, SIGTERM);
    assert_int_equal(finish(&q), 0);
}

static void logging_out_empties_the_home_and_ends_its_listener(void **state)
{
    struct story *s = *state;
    q.with_errors = true;
    pipit_begin(s, &q, "alice", WORDS("listen", "--json"), false);
    hear_until(&q, "\"synced\"");
    assert_int_equal(run(s, "alice", WORDS("logout")), 0);
    assert_int_equal(finish(&q), 1);
    assert_false(home_is_there(s, "alice"));
    assert_int_equal(run(s, "alice", WORDS("send", "bob", "x")), 2);
    assert_non_null(strstr(p.text, "nobody is logged in"));
    assert_int_equal(run(s, "alice", WORDS("login", "alice")), 0);    /* as a new device */
    assert_int_equal(run(s, "alice", WORDS("devices")), 0);
    assert_ptr_equal(strchr(p.text, '\n'), p.text + p.len - 1);       /* the only one */
}

static void what_came_while_nobody_was_logged_in_is_there_after_the_next_log_in(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    sends(s, "bob", "alice", "before", id);
    assert_int_equal(run(s, "alice", WORDS("listen", "--count", "1")), 0);
    assert_int_equal(run(s, "alice", WORDS("logout")), 0);
    sends(s, "bob", "alice", "meanwhile", id);
    assert_int_equal(run(s, "alice", WORDS("login", "alice")), 0);
    assert_int_equal(run(s, "alice", WORDS("listen", "--count", "1")), 0);
    assert_non_null(strstr(p.text, "bob: meanwhile"));
    assert_null(strstr(p.text, "before"));
    assert_int_equal(run(s, "bob", WORDS("info", id)), 0);
    assert_non_null(strstr(p.text, "alice: delivered"));
}

static void logging_out_without_a_server_or_with_unsent_messages_wants_a_word(void **state)
{
    struct story *s = *state;
    server_down(s, SIGINT);
    assert_int_equal(run(s, "bob", WORDS("logout")), 3);
    assert_true(home_is_there(s, "bob"));
    assert_int_equal(run(s, "alice", WORDS("send", "--timeout", "1", "bob", "waits")), 3);
    assert_int_equal(run(s, "alice", WORDS("logout")), 2);
    assert_non_null(strstr(p.text, "1 messages wait"));
    assert_int_equal(run(s, "alice", WORDS("logout", "--yes")), 0);
    assert_false(home_is_there(s, "alice"));
    server_up(s);
    assert_int_equal(run(s, "bob", WORDS("logout")), 0);
}

static void a_password_is_changed_and_others_logged_out(void **state)
{
    struct story *s = *state;
    assert_int_equal(run(s, "alice-2", WORDS("login", "alice")), 0);
    setenv("PIPIT_NEW_PASSWORD", "another password", 1);
    setenv("PIPIT_PASSWORD", "not the password", 1);
    assert_int_equal(run(s, "alice", WORDS("passwd", "--log-out-others")), 1);
    setenv("PIPIT_PASSWORD", "a password", 1);
    assert_int_equal(run(s, "alice-2", WORDS("send", "bob", "still here")), 0);
    setenv("PIPIT_NEW_PASSWORD", "short", 1);
    assert_int_equal(run(s, "alice", WORDS("passwd")), 2);
    setenv("PIPIT_NEW_PASSWORD", "another password", 1);
    assert_int_equal(run(s, "alice", WORDS("passwd", "--log-out-others")), 0);
    assert_non_null(strstr(p.text, "1 other devices were logged out"));
    assert_int_equal(run(s, "alice-2", WORDS("send", "bob", "gone")), 1);
    assert_int_equal(run(s, "alice", WORDS("send", "bob", "still here")), 0);
    assert_int_equal(run(s, "alice-3", WORDS("login", "alice")), 1);
    setenv("PIPIT_PASSWORD", "another password", 1);
    assert_int_equal(run(s, "alice-3", WORDS("login", "alice")), 0);
    setenv("PIPIT_PASSWORD", "a password", 1);
    unsetenv("PIPIT_NEW_PASSWORD");
}

/* All pages of the account, all pages of each conversation: more of both than one page holds. */
static void an_export_has_everything_once_and_in_order(void **state)
{
    enum { MESSAGES = 230, OTHERS = 103 };
    struct story *s = *state;
    char path[128], line[4096], text[64];
    static char names[OTHERS][16];
    for (int i = 0; i < OTHERS; i++) snprintf(names[i], sizeof names[i], "x%d", i);
    for (int i = 0; i < OTHERS; i += 10) {
        const char *some[14] = { "user", "add" };
        for (int k = 0; k < 10 && i + k < OTHERS; k++) some[2 + k] = names[i + k];
        assert_int_equal(ctl(s, &p, some), 0);
    }
    pipit_begin(s, &q, "alice", WORDS("listen", "--json"), false);
    hear_until(&q, "\"synced\"");
    for (int i = 0; i < OTHERS; i++) assert_int_equal(run(s, "alice", WORDS("send", names[i], "one")), 0);
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(text, sizeof text, "number %d", i);
        assert_int_equal(run(s, i % 2 ? "alice" : "bob", WORDS("send", i % 2 ? "bob" : "alice", text)), 0);
    }
    kill(q.pid, SIGTERM);
    assert_int_equal(finish(&q), 0);
    snprintf(path, sizeof path, "%s/all.jsonl", s->dir);
    assert_int_equal(run(s, "alice", WORDS("export", path)), 0);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    int conversations = 0, messages = 0, with_bob = 0, devices = 0, accounts = 0, ends = 0;
    while (fgets(line, sizeof line, f)) {
        json_t *o = json_loads(line, 0, NULL);
        assert_non_null(o);
        assert_int_equal(ends, 0);
        const char *what = json_string_value(json_object_get(o, "export"));
        const char *said = json_string_value(json_object_get(o, "text"));
        accounts += strcmp(what, "account") == 0;
        devices += strcmp(what, "device") == 0;
        conversations += strcmp(what, "conversation") == 0;
        messages += strcmp(what, "message") == 0;
        ends += strcmp(what, "end") == 0;
        if (said && strncmp(said, "number ", 7) == 0) assert_int_equal(atoi(said + 7), with_bob++);
        json_decref(o);
    }
    fclose(f);
    assert_int_equal(accounts, 1);
    assert_int_equal(devices, 1);
    assert_int_equal(conversations, OTHERS + 1);
    assert_int_equal(with_bob, MESSAGES);
    assert_int_equal(messages, MESSAGES + OTHERS);
    assert_int_equal(ends, 1);
    assert_int_equal(run(s, "alice", WORDS("export", "/nowhere/x")), 2);
    p.with_errors = false;
    assert_int_equal(pipit(s, &p, "bob", WORDS("export", "-")), 0);
    assert_non_null(strstr(p.text, "{\"export\":\"end\",\"conversations\":1,\"messages\":230}\n"));
}

static void a_deleted_account_is_gone_with_its_home(void **state)
{
    struct story *s = *state;
    assert_int_equal(run(s, "alice", WORDS("account", "delete")), 2);    /* there is nobody to ask */
    setenv("PIPIT_PASSWORD", "not the password", 1);
    assert_int_equal(run(s, "alice", WORDS("account", "delete", "--yes")), 1);
    setenv("PIPIT_PASSWORD", "a password", 1);
    assert_true(home_is_there(s, "alice"));
    assert_int_equal(run(s, "alice", WORDS("account", "delete", "--yes")), 0);
    assert_false(home_is_there(s, "alice"));
    assert_int_equal(run(s, "alice", WORDS("login", "alice")), 1);
    assert_int_equal(run(s, "bob", WORDS("send", "alice", "hello?")), 1);
}

static void registering_asks_the_server_first_whether_an_invite_is_needed(void **state)
{
    struct story *s = *state;
    char code[80] = "";
    assert_int_equal(run(s, "carol", WORDS("register", "carol")), 2);
    assert_non_null(strstr(p.text, "--invite CODE"));
    assert_int_equal(ctl(s, &p, WORDS("invite", "new")), 0);
    assert_int_equal(sscanf(p.text, "%79s", code), 1);
    assert_int_equal(run(s, "carol", WORDS("register", "carol", "--invite", code)), 0);
    assert_non_null(strstr(p.text, "registered carol\n"));
    assert_int_equal(run(s, "carol", WORDS("whoami")), 0);    /* and logged in: there was nobody to ask */
    assert_int_equal(run(s, "dave", WORDS("register", "dave", "--invite", code)), 1);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, story_setup, story_teardown)
    const struct CMUnitTest tests[] = {
        STORY(devices_are_listed_named_and_revoked),
        STORY(a_new_device_is_told_to_those_who_listen),
        STORY(logging_out_empties_the_home_and_ends_its_listener),
        STORY(what_came_while_nobody_was_logged_in_is_there_after_the_next_log_in),
        STORY(logging_out_without_a_server_or_with_unsent_messages_wants_a_word),
        STORY(a_password_is_changed_and_others_logged_out),
        STORY(an_export_has_everything_once_and_in_order),
        STORY(a_deleted_account_is_gone_with_its_home),
        STORY(registering_asks_the_server_first_whether_an_invite_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
