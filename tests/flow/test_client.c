/* test_client.c - the commands of `pipit` as people and scripts use them: real programs, a real server.
 *
 * Each story has a server of its own and homes for alice and bob. Programs are started, fed and read by pipes (chat by a
 * terminal of its own); what is waited for is a line they print. LAST_RESORT_MS only turns a hang into a failure. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/proto.h"

enum { LAST_RESORT_MS = 60000, ARGS_MAX = 16, OUT_MAX = 64 * 1024 };

struct process {
    pid_t pid;
    int in, out;                  /* of a terminal: the same */
    char text[OUT_MAX];           /* all it has printed so far */
    size_t len;
};

struct story {
    char dir[64], bin[256], address[32];
    struct process server;
};

/* ---- processes ---- */

static void start(struct process *p, const char *program, char *const argv[], bool on_terminal)
{
    int in[2], out[2];
    memset(p, 0, sizeof *p);
    if (on_terminal) {
        const struct winsize size = { .ws_row = 24, .ws_col = 80 };
        p->pid = forkpty(&p->in, NULL, NULL, &size);
        p->out = p->in;
        assert_true(p->pid >= 0);
        if (p->pid == 0) {
            setenv("TERM", "xterm", 1);
            unsetenv("NO_COLOR");
            execv(program, argv);
            _exit(127);
        }
        return;
    }
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        int quiet = open("/dev/null", O_WRONLY);
        if (!getenv("CLIENT_TEST_NOISY")) dup2(quiet, STDERR_FILENO);
        execv(program, argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    p->in = in[1];
    p->out = out[0];
}

/* Reads once. False: nothing more comes. */
static bool hear(struct process *p)
{
    struct pollfd wait = { .fd = p->out, .events = POLLIN };
    assert_int_equal(poll(&wait, 1, LAST_RESORT_MS), 1);
    assert_true(p->len < OUT_MAX - 1);
    ssize_t n = read(p->out, p->text + p->len, OUT_MAX - 1 - p->len);
    if (n <= 0) return false;    /* a terminal says EIO at its end */
    p->len += (size_t)n;
    p->text[p->len] = '\0';
    return true;
}

static void hear_until(struct process *p, const char *what)
{
    while (!strstr(p->text, what)) {
        if (hear(p)) continue;
        fprintf(stderr, "ended before \"%s\" came; it said:\n%s\n", what, p->text);
        fail();
    }
}

static void forget(struct process *p)
{
    p->len = 0;
    p->text[0] = '\0';
}

/* All the rest of its output, then its exit code. */
static int finish(struct process *p)
{
    int status;
    while (hear(p)) { }
    if (p->in != p->out) close(p->in);
    close(p->out);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void type(struct process *p, const char *text)
{
    assert_int_equal(write(p->in, text, strlen(text)), (ssize_t)strlen(text));
}

/* ---- pipit ---- */

static void pipit_start(struct story *s, struct process *p, const char *home, const char *const *words, bool terminal)
{
    char program[320], dir[128], url[64];
    char *argv[ARGS_MAX] = { "pipit", "--home", dir, "--server", url };
    int argc = 5;
    snprintf(program, sizeof program, "%s/pipit", s->bin);
    snprintf(dir, sizeof dir, "%s/%s", s->dir, home);
    snprintf(url, sizeof url, "ws://%s", s->address);
    while (*words) {
        assert_true(argc < ARGS_MAX - 1);
        argv[argc++] = (char *)*words++;
    }
    start(p, program, argv, terminal);
}
#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Runs a command with an empty input; its output is in *p, its exit code the answer. */
static int pipit(struct story *s, struct process *p, const char *home, const char *const *words)
{
    pipit_start(s, p, home, words, false);
    close(p->in);
    p->in = p->out;
    return finish(p);
}

/* Sends and gives the message id. */
static void sends(struct story *s, const char *home, const char *to, const char *text, char id[static MSG_ID_TEXT])
{
    static struct process p;
    struct msg_id parsed;
    assert_int_equal(pipit(s, &p, home, WORDS("send", to, text)), 0);
    assert_int_equal(p.len, MSG_ID_TEXT);    /* the id alone, and its line end */
    memcpy(id, p.text, MSG_ID_TEXT - 1);
    id[MSG_ID_TEXT - 1] = '\0';
    assert_int_equal(msg_id_parse(bytes_of_str(id), &parsed), 0);
}

/* ---- the server ---- */

static void server_up(struct story *s)
{
    char data[96], program[320];
    char *argv[] = { "pipitd", "--data", data, "--listen", s->address[0] ? s->address : "127.0.0.1:0", "--shards", "2",
                     "--set", "password_mib=1", NULL };
    snprintf(data, sizeof data, "%s/data", s->dir);
    snprintf(program, sizeof program, "%s/pipitd", s->bin);
    start(&s->server, program, argv, false);
    hear_until(&s->server, "\n");
    const char *at = strstr(s->server.text, "127.0.0.1:");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "%31[0-9.:]", s->address), 1);
}

static void server_down(struct story *s, int how)
{
    kill(s->server.pid, how);
    assert_int_equal(finish(&s->server), how == SIGKILL ? 128 + SIGKILL : 0);
}

static void make_user(struct story *s, const char *name)
{
    static struct process p;
    char data[96], program[320];
    snprintf(data, sizeof data, "%s/data", s->dir);
    snprintf(program, sizeof program, "%s/pipitctl", s->bin);
    start(&p, program, (char *[]){ "pipitctl", "--data", data, "user", "add", (char *)name, NULL }, false);
    assert_int_equal(finish(&p), 0);
    assert_int_equal(pipit(s, &p, name, WORDS("login", name)), 0);
}

static int setup(void **state)
{
    struct story *s = calloc(1, sizeof *s);
    const char *build = getenv("BUILD");
    if (!s) return -1;
    signal(SIGPIPE, SIG_IGN);
    setenv("PIPIT_PASSWORD", "a password", 1);
    snprintf(s->bin, sizeof s->bin, "%s", build ? build : "build");
    strcpy(s->dir, "/tmp/pipit-client-XXXXXX");
    if (!mkdtemp(s->dir)) return -1;
    server_up(s);
    make_user(s, "alice");
    make_user(s, "bob");
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct story *s = *state;
    char command[96];
    server_down(s, SIGINT);
    snprintf(command, sizeof command, "rm -rf '%s'", s->dir);
    int rc = system(command);
    free(s);
    return rc;
}

/* ---- stories ---- */

static struct process p, q;

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
    assert_int_equal(pipit(s, &p, "alice", WORDS("info", id, "--json")), 0);
    assert_null(strstr(p.text, "null"));
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
    pipit_start(s, &q, "bob", WORDS("listen", "--json"), false);
    hear_until(&q, "\"event\":\"synced\"");
    sends(s, "bob", "alice", "from beside", id);
    assert_int_equal(pipit(s, &p, "bob", WORDS("info", id, "--json")), 0);
    assert_int_equal(pipit(s, &p, "bob", WORDS("history", "alice", "--json")), 0);
    assert_non_null(strstr(p.text, "from beside"));
    assert_int_equal(pipit(s, &p, "bob", WORDS("listen", "--timeout", "1")), 2);    /* two would fight over it */
    sends(s, "alice", "bob", "still there?", id);
    hear_until(&q, "\"text\":\"still there?\"");    /* the listener was not thrown out */
    kill(q.pid, SIGTERM);
    assert_int_equal(finish(&q), 0);
}

static void a_send_outlives_the_listener_it_was_left_to(void **state)
{
    struct story *s = *state;
    struct pollfd out;
    pipit_start(s, &q, "bob", WORDS("listen", "--json"), false);
    hear_until(&q, "\"event\":\"synced\"");
    kill(q.pid, SIGSTOP);    /* it has the session, and does nothing any more */
    pipit_start(s, &p, "bob", WORDS("send", "alice", "anyway"), false);
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
    pipit_start(s, &p, "alice", WORDS("send", "bob", "-"), false);
    type(&p, "from a pipe\nwith two lines\n");
    close(p.in);
    p.in = p.out;
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
    pipit_start(s, &q, "alice-2", WORDS("listen", "--json", "--count", "1"), false);
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
    pipit_start(s, &q, "bob", WORDS("listen", "--json"), false);
    hear_until(&q, "\"event\":\"synced\"");
    assert_int_equal(pipit(s, &p, "bob-copy", WORDS("send", "alice", "from the copy")), 0);
    assert_int_equal(finish(&q), 1);
}

static void a_chat_shows_ticks_as_they_come(void **state)
{
    struct story *s = *state;
    char id[MSG_ID_TEXT];
    sends(s, "bob", "alice", "said before", id);
    pipit_start(s, &p, "alice", WORDS("chat", "bob"), true);
    hear_until(&p, "bob: said before");
    hear_until(&p, "> ");
    forget(&p);
    type(&p, "hello bob\r");
    hear_until(&p, "alice: hello bob \xe2\x9c\x93");
    assert_null(strstr(p.text, "\xe2\x9c\x93\xe2\x9c\x93"));
    pipit_start(s, &q, "bob", WORDS("listen", "--json", "--no-read", "--count", "1"), false);
    hear_until(&p, "alice: hello bob \xe2\x9c\x93\xe2\x9c\x93");
    assert_int_equal(finish(&q), 0);
    assert_null(strstr(p.text, "\033[1;34m"));
    forget(&p);
    pipit_start(s, &q, "bob", WORDS("chat", "alice"), true);    /* reads it */
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
    pipit_start(s, &p, "alice", WORDS("chat", "bob"), true);
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
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
