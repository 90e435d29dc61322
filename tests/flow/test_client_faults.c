/* test_client_faults.c - when something is wrong, a command says what, what to do about it, and ends with the exit code
 * that its help tells. What was accepted is never lost by it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/story.h"

static struct process p, q;

static int run(struct story *s, const char *home, const char *const *words)
{
    p.with_errors = true;
    return pipit(s, &p, home, words);
}

static void said(const char *what)
{
    if (!strstr(p.text, what)) fprintf(stderr, "it said: %s\n", p.text);
    assert_non_null(strstr(p.text, what));
}

static void a_server_that_cannot_be_reached_is_told_with_what_to_look_at(void **state)
{
    static const struct { const char *url, *said; int code; } cases[] = {
        { "ws://127.0.0.1:1", "127.0.0.1:1: Connection refused (is the server running there? is this its port?)", 3 },
        { "ws://no-such-host.invalid", "no-such-host.invalid: ", 3 },
        { "http://127.0.0.1:1", "is no URL of the form ws://HOST:PORT", 2 },
        { "ws://127.0.0.1:1/v1/ws", "leave the path out", 2 },
        { "wss://127.0.0.1:99999", "not a number from 1 to 65535", 2 },
    };
    struct story *s = *state;
    char url[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(run(s, "carol", WORDS("--server", cases[i].url, "login", "carol")), cases[i].code);
        said(cases[i].said);
        assert_int_equal(run(s, "alice", WORDS("--server", cases[i].url, "send", "--timeout", "1", "bob", "x")),
                         cases[i].code);
        said(cases[i].said);
    }
    snprintf(url, sizeof url, "wss://%s", s->address);
    assert_int_equal(run(s, "carol", WORDS("--server", url, "login", "carol")), 3);
    said("(a server without TLS is ws://)");
}

/* A listener that answers as a TLS server does to what is not TLS. */
static void a_server_with_tls_is_told_by_what_it_answers(void **state)
{
    static const uint8_t alert[] = { 21, 3, 1, 0, 2, 2, 70 };
    struct story *s = *state;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    char url[64], head[512];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u", ntohs(at.sin_port));
    p.with_errors = true;
    pipit_begin(s, &p, "carol", WORDS("--server", url, "login", "carol"), false);
    int fd = accept(listener, NULL, NULL);
    assert_true(recv(fd, head, sizeof head, 0) > 0);
    assert_int_equal(send(fd, alert, sizeof alert, MSG_NOSIGNAL), sizeof alert);
    shutdown(fd, SHUT_WR);
    assert_int_equal(finish(&p), 3);
    close(fd);
    close(listener);
    said("its URL begins with wss://");
}

static void a_home_that_cannot_be_used_is_named(void **state)
{
    struct story *s = *state;
    char path[160];
    FILE *f;
    snprintf(path, sizeof path, "%s/file", s->dir);
    assert_non_null(f = fopen(path, "w"));
    fclose(f);
    assert_int_equal(run(s, "file", WORDS("login", "carol")), 2);
    said("is not a folder");
    assert_int_equal(run(s, "file/inside", WORDS("send", "bob", "x")), 2);
    said("file/inside");
    snprintf(path, sizeof path, "%s/broken", s->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/broken/client.db", s->dir);
    assert_non_null(f = fopen(path, "w"));
    for (int i = 0; i < 1000; i++) fputs("this is no database ", f);
    fclose(f);
    assert_int_equal(run(s, "broken", WORDS("whoami")), 2);
    said("broken/client.db: file is not a database");
    if (geteuid() == 0) return;           /* whom no permission stops */
    snprintf(path, sizeof path, "%s/alice", s->dir);
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(run(s, "alice", WORDS("whoami")), 2);
    said("alice");
    assert_int_equal(chmod(path, 0700), 0);
}

static void a_home_that_another_program_keeps_is_named_and_still_of_use(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT], holder[64];
    pipit_begin(s, &q, "bob", WORDS("listen", "--json"), false);
    hear_until(&q, "\"synced\"");
    snprintf(holder, sizeof holder, "(pid %ld, listen) has the session", (long)q.pid);
    assert_int_equal(run(s, "bob", WORDS("listen")), 4);
    said(holder);
    assert_int_equal(run(s, "bob", WORDS("chat", "alice")), 4);
    said(holder);
    assert_int_equal(run(s, "bob", WORDS("listen", "--loudly")), 2);    /* what is wrong usage stays that */
    sends(s, "bob", "alice", "all the same", id);
    kill(q.pid, SIGTERM);
    assert_int_equal(finish(&q), 0);
}

/* A limit on the size of files is a disk that is full for one process alone; it is lifted while the command waits. */
static void a_server_that_cannot_store_is_told_and_what_was_sent_arrives_later(void **state)
{
    const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
    struct rlimit full = { 1, RLIM_INFINITY };
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    sends(s, "alice", "bob", "before", id);
    assert_int_equal(prlimit(s->server.pid, RLIMIT_FSIZE, &full, NULL), 0);
    p.with_errors = true;
    pipit_begin(s, &p, "alice", WORDS("send", "bob", "while it is full"), false);
    close_input(&p);
    hear_until(&p, "the server cannot store it now");
    hear_until(&p, "trying again");
    assert_int_equal(prlimit(s->server.pid, RLIMIT_FSIZE, &none, NULL), 0);
    assert_int_equal(finish(&p), 0);          /* it went on by itself */
    assert_int_equal(run(s, "bob", WORDS("listen", "--count", "2")), 0);
    said("alice: while it is full\n");
}

static void a_home_that_may_not_grow_is_told_and_ends_no_command_by_a_signal(void **state)
{
    struct story *s = *state;
    struct rlimit before, full;
    char id[MSG_ID_TEXT];
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    full = (struct rlimit){ 1, before.rlim_max };
    p.with_errors = true;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);    /* for the command, which inherits it */
    pipit_begin(s, &p, "alice", WORDS("send", "bob", "x"), false);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    close_input(&p);
    assert_int_equal(finish(&p), 2);
    said("alice/client.db: the disk is full");
    sends(s, "alice", "bob", "with room", id);
}

static void a_device_that_was_revoked_says_so_whatever_it_does(void **state)
{
    static const char *const commands[][4] = {
        { "send", "bob", "x" }, { "listen" }, { "history", "bob" }, { "devices" }, { "passwd" }, { "export", "-" },
    };
    struct story *s = *state;
    setenv("PIPIT_NEW_PASSWORD", "another password", 1);
    assert_int_equal(run(s, "alice-2", WORDS("login", "alice")), 0);
    assert_int_equal(run(s, "alice-2", WORDS("passwd", "--log-out-others")), 0);
    setenv("PIPIT_PASSWORD", "another password", 1);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        assert_int_equal(run(s, "alice", commands[i]), 1);
        said("log in again with another --home");
    }
    setenv("PIPIT_PASSWORD", "a password", 1);
    unsetenv("PIPIT_NEW_PASSWORD");
    assert_int_equal(run(s, "alice", WORDS("logout", "--yes")), 0);    /* it is what the server thinks anyway */
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, story_setup, story_teardown)
    const struct CMUnitTest tests[] = {
        STORY(a_server_that_cannot_be_reached_is_told_with_what_to_look_at),
        STORY(a_server_with_tls_is_told_by_what_it_answers),
        STORY(a_home_that_cannot_be_used_is_named),
        STORY(a_home_that_another_program_keeps_is_named_and_still_of_use),
        STORY(a_server_that_cannot_store_is_told_and_what_was_sent_arrives_later),
        STORY(a_home_that_may_not_grow_is_told_and_ends_no_command_by_a_signal),
        STORY(a_device_that_was_revoked_says_so_whatever_it_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
