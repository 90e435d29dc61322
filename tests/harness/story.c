/* story.c - see story.h. */
#include "tests/harness/story.h"

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

/* ---- processes ---- */

void start(struct process *p, const char *program, char *const argv[], bool on_terminal)
{
    int in[2], out[2];
    bool with_errors = p->with_errors;
    memset(p, 0, sizeof *p);
    p->with_errors = with_errors;
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
        int errors = with_errors ? out[1] : open("/dev/null", O_WRONLY);
        if (with_errors || !getenv("STORY_NOISY")) dup2(errors, STDERR_FILENO);
        execv(program, argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    p->in = in[1];
    p->out = out[0];
}

bool hear(struct process *p)
{
    struct pollfd wait = { .fd = p->out, .events = POLLIN };
    assert_int_equal(poll(&wait, 1, STORY_MS_MAX), 1);
    assert_true(p->len < STORY_OUT_MAX - 1);
    ssize_t n = read(p->out, p->text + p->len, STORY_OUT_MAX - 1 - p->len);
    if (n <= 0) return false;    /* a terminal says EIO at its end */
    p->len += (size_t)n;
    p->text[p->len] = '\0';
    return true;
}

void hear_until(struct process *p, const char *what)
{
    while (!strstr(p->text, what)) {
        if (hear(p)) continue;
        fprintf(stderr, "ended before \"%s\" came; it said:\n%s\n", what, p->text);
        fail();
    }
}

void forget(struct process *p)
{
    p->len = 0;
    p->text[0] = '\0';
}

int finish(struct process *p)
{
    int status;
    while (hear(p)) { }
    if (p->in != p->out) close(p->in);
    close(p->out);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void close_input(struct process *p)
{
    close(p->in);
    p->in = p->out;
}

void type(struct process *p, const char *text)
{
    assert_int_equal(write(p->in, text, strlen(text)), (ssize_t)strlen(text));
}

/* ---- pipit ---- */

void pipit_begin(struct story *s, struct process *p, const char *home, const char *const *words, bool on_terminal)
{
    char program[320], dir[128], url[64];
    char *argv[STORY_ARGS_MAX] = { "pipit", "--home", dir, "--server", url };
    int argc = 5;
    snprintf(program, sizeof program, "%s/pipit", s->bin);
    snprintf(dir, sizeof dir, "%s/%s", s->dir, home);
    snprintf(url, sizeof url, "ws://%s", s->address);
    while (*words) {
        assert_true(argc < STORY_ARGS_MAX - 1);
        argv[argc++] = (char *)*words++;
    }
    start(p, program, argv, on_terminal);
}

int pipit(struct story *s, struct process *p, const char *home, const char *const *words)
{
    pipit_begin(s, p, home, words, false);
    close_input(p);
    return finish(p);
}

void sends(struct story *s, const char *home, const char *to, const char *text, char id[static MSG_ID_TEXT])
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

void server_up_with(struct story *s, const char *const *words)
{
    char data[96], program[320];
    char *argv[STORY_ARGS_MAX] = { "pipitd", "--data", data, "--listen", s->address[0] ? s->address : "127.0.0.1:0",
                                   "--shards", "2", "--set", "password_mib=1" };
    int argc = 9;
    snprintf(data, sizeof data, "%s/data", s->dir);
    snprintf(program, sizeof program, "%s/pipitd", s->bin);
    while (*words) {
        assert_true(argc < STORY_ARGS_MAX - 1);
        argv[argc++] = (char *)*words++;
    }
    start(&s->server, program, argv, false);
    hear_until(&s->server, "\n");
    const char *at = strstr(s->server.text, "127.0.0.1:");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "%31[0-9.:]", s->address), 1);
}

void server_up(struct story *s)
{
    server_up_with(s, (const char *const[]){ NULL });
}

void server_down(struct story *s, int how)
{
    kill(s->server.pid, how);
    assert_int_equal(finish(&s->server), how == SIGKILL ? 128 + SIGKILL : 0);
}

int ctl(struct story *s, struct process *p, const char *const *words)
{
    char data[96], program[320];
    char *argv[STORY_ARGS_MAX] = { "pipitctl", "--data", data };
    int argc = 3;
    snprintf(data, sizeof data, "%s/data", s->dir);
    snprintf(program, sizeof program, "%s/pipitctl", s->bin);
    while (*words) {
        assert_true(argc < STORY_ARGS_MAX - 1);
        argv[argc++] = (char *)*words++;
    }
    start(p, program, argv, false);
    close_input(p);
    return finish(p);
}

void make_user(struct story *s, const char *name)
{
    static struct process p;
    assert_int_equal(ctl(s, &p, WORDS("user", "add", name)), 0);
    assert_int_equal(pipit(s, &p, name, WORDS("login", name)), 0);
}

int story_setup(void **state)
{
    struct story *s = calloc(1, sizeof *s);
    const char *build = getenv("BUILD");
    if (!s) return -1;
    signal(SIGPIPE, SIG_IGN);
    setenv("PIPIT_PASSWORD", "a password", 1);
    snprintf(s->bin, sizeof s->bin, "%s", build ? build : "build");
    strcpy(s->dir, "/tmp/pipit-story-XXXXXX");
    if (!mkdtemp(s->dir)) return -1;
    server_up(s);
    make_user(s, "alice");
    make_user(s, "bob");
    *state = s;
    return 0;
}

int story_teardown(void **state)
{
    struct story *s = *state;
    char command[96];
    server_down(s, SIGINT);
    snprintf(command, sizeof command, "rm -rf '%s'", s->dir);
    int rc = system(command);
    free(s);
    return rc;
}
