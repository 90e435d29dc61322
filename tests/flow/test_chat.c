/* test_chat.c - what `pipit chat`, line by line, tells besides messages and ticks: on a terminal and without one. Those
 * are test_client.c's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/harness/rig.h"
#include "tests/harness/story.h"

static struct process p, q;

/* bob's home knows the message: so a chat that shows it is connected. */
static void begin_connected(struct story *s, bool on_terminal)
{
    char id[MSG_ID_TEXT];
    sends(s, "bob", "alice", "is it you?", id);
    pipit_begin(s, &p, "alice", WORDS("chat", "--plain", "bob"), on_terminal);
    hear_until(&p, "bob: is it you?");
    if (on_terminal) hear_until(&p, "> ");
    forget(&p);
}

static void end_chat(bool on_terminal)
{
    if (on_terminal) type(&p, "\x04");
    else close_input(&p);
    assert_int_equal(finish(&p), 0);
}

static void device_of(struct story *s, const char *home, char id[static DEVICE_ID_TEXT])
{
    assert_int_equal(pipit(s, &q, home, WORDS("whoami", "--json")), 0);
    const char *at = strstr(q.text, "\"device\":\"");
    assert_non_null(at);
    memcpy(id, at + strlen("\"device\":\""), DEVICE_ID_TEXT - 1);
    id[DEVICE_ID_TEXT - 1] = '\0';
}

static void devices_that_come_and_go_are_told(struct story *s, bool on_terminal)
{
    char id[DEVICE_ID_TEXT], line[160];
    begin_connected(s, on_terminal);
    assert_int_equal(pipit(s, &q, "alice-2", WORDS("login", "alice")), 0);
    device_of(s, "alice-2", id);
    hear_until(&p, "  a new device is logged in: ");
    snprintf(line, sizeof line, "(%s); if it is none of yours: `pipit devices revoke`", id);
    hear_until(&p, line);
    /* What would turn the rest of the line around comes as a sign that something was there. */
    assert_int_equal(pipit(s, &q, "alice-2", WORDS("devices", "name", id, "a \u202e""cat")), 0);
    snprintf(line, sizeof line, "  a device has a new name: a \ufffd""cat (%s)", id);
    hear_until(&p, line);
    assert_null(strstr(p.text, "\u202e"));
    assert_int_equal(pipit(s, &q, "alice-2", WORDS("logout")), 0);
    snprintf(line, sizeof line, "  a device was logged out: a \ufffd""cat (%s)", id);
    hear_until(&p, line);
    end_chat(on_terminal);
}

static void devices_that_come_and_go_are_told_on_a_terminal(void **state)
{
    devices_that_come_and_go_are_told(*state, true);
}

static void devices_that_come_and_go_are_told_without_a_terminal(void **state)
{
    devices_that_come_and_go_are_told(*state, false);
}

static void what_the_server_cannot_do_now_is_told(struct story *s, bool on_terminal)
{
    const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
    const struct rlimit full = { 1, RLIM_INFINITY };
    begin_connected(s, on_terminal);
    assert_int_equal(prlimit(s->server.pid, RLIMIT_FSIZE, &full, NULL), 0);
    type(&p, on_terminal ? "while it is full\r" : "while it is full\n");
    hear_until(&p, "  bob: the server cannot store it now (");
    hear_until(&p, "): trying again");
    assert_null(strstr(p.text, "while it is full \u2713"));
    assert_int_equal(prlimit(s->server.pid, RLIMIT_FSIZE, &none, NULL), 0);
    hear_until(&p, "alice: while it is full \u2713");
    /* Once, however often it was tried. */
    const char *first = strstr(p.text, "cannot store it now");
    assert_null(strstr(first + 1, "cannot store it now"));
    end_chat(on_terminal);
}

static void what_the_server_cannot_do_now_is_told_on_a_terminal(void **state)
{
    what_the_server_cannot_do_now_is_told(*state, true);
}

static void what_the_server_cannot_do_now_is_told_without_a_terminal(void **state)
{
    what_the_server_cannot_do_now_is_told(*state, false);
}

/* A server in this process, whose clock is turned by hand: it stands at the year 2027 for ever. */
static void a_clock_that_is_off_is_told_once_before_the_first_message(void **state)
{
    struct story s = { .dir = "/tmp/pipit-story-XXXXXX" };
    struct clock_hand hand;
    char command[96], id[MSG_ID_TEXT];
    const char *build = getenv("BUILD");
    (void)state;
    assert_non_null(mkdtemp(s.dir));
    snprintf(s.bin, sizeof s.bin, "%s", build ? build : "build");
    setenv("PIPIT_PASSWORD", "a password", 1);
    clock_hand_init(&hand, UINT64_C(1800000000000));
    struct rig *rig = rig_new(&(struct rig_options){ .hand = &hand });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    snprintf(s.address, sizeof s.address, "127.0.0.1:%u", rig_port(rig));
    assert_int_equal(pipit(&s, &p, "alice", WORDS("login", "alice")), 0);
    assert_int_equal(pipit(&s, &p, "bob", WORDS("login", "bob")), 0);
    sends(&s, "bob", "alice", "what time is it?", id);
    pipit_begin(&s, &p, "alice", WORDS("chat", "bob"), false);
    hear_until(&p, "bob: what time is it?");
    end_chat(false);
    const char *clock = strstr(p.text, "  the clock of this device is ");
    assert_non_null(clock);
    assert_non_null(strstr(clock, " the server's; times shown are the server's\n"));
    assert_true(clock < strstr(p.text, "bob: what time is it?"));
    assert_null(strstr(clock + 4, "the clock of this device"));
    rig_free(rig);
    snprintf(command, sizeof command, "rm -rf '%s'", s.dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, story_setup, story_teardown)
    const struct CMUnitTest tests[] = {
        STORY(devices_that_come_and_go_are_told_on_a_terminal),
        STORY(devices_that_come_and_go_are_told_without_a_terminal),
        STORY(what_the_server_cannot_do_now_is_told_on_a_terminal),
        STORY(what_the_server_cannot_do_now_is_told_without_a_terminal),
        cmocka_unit_test(a_clock_that_is_off_is_told_once_before_the_first_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
