/* test_backup_client.c - people whose server was restored: what they have stays, nothing is shown twice, and they go on.
 *
 * Real programs, a real server (tests/harness/story.h). */
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

static int count_of(const char *text, const char *what)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what)) count++;
    return count;
}

static void run(const char *command)
{
    if (system(command) != 0) fail_msg("%s", command);
}

static void hears_one(struct story *s, const char *home, const char *text)
{
    assert_int_equal(pipit(s, &p, home, WORDS("listen", "--count", "1")), 0);
    assert_int_equal(count_of(p.text, text), 1);
}

static void clients_keep_what_they_have_and_go_on(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT], backups[128], keys[160], folder[160], command[600], path[200];
    snprintf(backups, sizeof backups, "%s/backups", s->dir);
    snprintf(keys, sizeof keys, "%s.keys", backups);
    snprintf(folder, sizeof folder, "%s/restored", s->dir);
    sends(s, "alice", "bob", "before one", id);
    hears_one(s, "bob", "before one");
    sends(s, "bob", "alice", "before two", id);
    hears_one(s, "alice", "before two");
    assert_int_equal(ctl(s, &p, WORDS("backup", backups)), 0);
    assert_int_equal(sscanf(p.text, "backup %199s", path), 1);
    sends(s, "alice", "bob", "after the cut", id);               /* the restored server never heard of it */
    hears_one(s, "bob", "after the cut");
    sends(s, "alice", "bob", "after it too", id);
    hears_one(s, "bob", "after it too");

    server_down(s, SIGTERM);
    assert_int_equal(ctl(s, &p, WORDS("restore", path, "--to", folder, "--keys", keys)), 0);
    snprintf(command, sizeof command, "mv '%s/data' '%s/old' && mv '%s' '%s/data'", s->dir, s->dir, folder, s->dir);
    run(command);
    server_up(s);

    /* Sequences 3 and 4 are given again, to other messages. */
    sends(s, "alice", "bob", "restored one", id);
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "1")), 0);
    assert_int_equal(count_of(p.text, "restored one"), 1);
    assert_int_equal(count_of(p.text, "before"), 0);             /* told before, not told again */
    assert_int_equal(count_of(p.text, "after"), 0);
    sends(s, "bob", "alice", "restored two", id);
    hears_one(s, "alice", "restored two");
    sends(s, "alice", "bob", "restored three", id);
    hears_one(s, "bob", "restored three");

    static const char *const homes[] = { "alice", "bob" }, *const peers[] = { "bob", "alice" };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipit(s, &p, homes[i], WORDS("history", peers[i])), 0);
        assert_int_equal(count_of(p.text, "before one"), 1);
        assert_int_equal(count_of(p.text, "before two"), 1);
        assert_int_equal(count_of(p.text, "restored one"), 1);
        assert_int_equal(count_of(p.text, "restored two"), 1);
        assert_int_equal(count_of(p.text, "restored three"), 1);
        /* What only the devices have: found there. */
        assert_int_equal(pipit(s, &p, homes[i], WORDS("search", "after")), 0);
        assert_int_equal(count_of(p.text, "after the cut"), 1);
        assert_int_equal(count_of(p.text, "after it too"), 1);
    }
}

#define TOLD(test) cmocka_unit_test_setup_teardown(test, story_setup, story_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOLD(clients_keep_what_they_have_and_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
