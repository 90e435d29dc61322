/* test_cut_client.c - people whose server has lost the end of its log: what they have stays, nothing is shown twice, nothing
 * goes round in circles, and they go on. Whether the rows had covered what was cut, or not.
 *
 * Real programs, a real server (tests/harness/story.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/harness/story.h"

static struct process p;

static int count_of(const char *text, const char *what)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what)) count++;
    return count;
}

static void hears_one(struct story *s, const char *home, const char *text)
{
    assert_int_equal(pipit(s, &p, home, WORDS("listen", "--count", "1")), 0);
    assert_int_equal(count_of(p.text, text), 1);
    assert_int_equal(count_of(p.text, ": "), 1);               /* and no other */
}

/* The largest file of the log: that of the conversation. */
static long largest(struct story *s, char path[static 400])
{
    char dir[128], at[400];
    struct stat st;
    struct dirent *entry;
    long bytes = -1;
    snprintf(dir, sizeof dir, "%s/data/log", s->dir);
    DIR *d = opendir(dir);
    assert_non_null(d);
    while ((entry = readdir(d))) {
        if (!strstr(entry->d_name, ".seg")) continue;
        snprintf(at, sizeof at, "%s/%.200s", dir, entry->d_name);
        assert_int_equal(stat(at, &st), 0);
        if ((long)st.st_size <= bytes) continue;
        bytes = (long)st.st_size;
        strcpy(path, at);
    }
    closedir(d);
    return bytes;
}

static void flip(const char *path, long offset)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    int byte = fgetc(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 1, f), byte ^ 1);
    assert_int_equal(fclose(f), 0);
}

static void tell(struct story *s, const char *what, int how)
{
    char id[MSG_ID_TEXT], path[400], text[64];
    for (int i = 0; i < 6; i++) {
        snprintf(text, sizeof text, "%s %d", what, i);
        sends(s, "alice", "bob", text, id);
        hears_one(s, "bob", text);
        if (how == SIGKILL) continue;
        snprintf(text, sizeof text, "%s answer %d", what, i);
        sends(s, "bob", "alice", text, id);
        hears_one(s, "alice", text);
    }
    server_down(s, how);
    long bytes = largest(s, path);
    assert_true(bytes > 600);
    flip(path, bytes / 2);
    p.with_errors = true;
    assert_int_equal(ctl(s, &p, WORDS("log", "verify")), 1);
    p.with_errors = false;
    char *end = strstr(p.text, ": ");
    assert_non_null(end);
    char place[500];
    snprintf(place, sizeof place, "%.*s", (int)(end - p.text), p.text);
    assert_int_equal(ctl(s, &p, WORDS("log", "cut", "--at", place, "--yes")), 0);
    server_up(s);
}

static void expect_all_kept(struct story *s, const char *what, int count)
{
    char text[64];
    assert_int_equal(pipit(s, &p, "bob", WORDS("search", what)), 0);
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof text, "alice: %s %d", what, i);
        assert_int_equal(count_of(p.text, text), 1);
    }
}

static void they_go_on(struct story *s, const char *what)
{
    char id[MSG_ID_TEXT], text[64];
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "%s: on %d", what, i);
        sends(s, "alice", "bob", text, id);
        assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--count", "1")), 0);
        assert_int_equal(count_of(p.text, text), 1);
        snprintf(text, sizeof text, "%s: back %d", what, i);
        sends(s, "bob", "alice", text, id);
        assert_int_equal(pipit(s, &p, "alice", WORDS("listen", "--count", "1")), 0);
        assert_int_equal(count_of(p.text, text), 1);
    }
}

static void who_had_what_was_cut_keeps_it_and_goes_on(void **state)
{
    struct story *s = *state;
    tell(s, "covered", SIGTERM);
    expect_all_kept(s, "covered", 6);
    they_go_on(s, "one");
    expect_all_kept(s, "covered", 6);
    /* Again, and this time the server has no time to write rows of the last second. */
    tell(s, "uncovered", SIGKILL);
    expect_all_kept(s, "uncovered", 6);
    they_go_on(s, "two");
    expect_all_kept(s, "covered", 6);
    expect_all_kept(s, "uncovered", 6);
}

#define TOLD(test) cmocka_unit_test_setup_teardown(test, story_setup, story_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOLD(who_had_what_was_cut_keeps_it_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
