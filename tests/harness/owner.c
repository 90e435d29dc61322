/* owner.c - see owner.h. */
#include "tests/harness/owner.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LAST_RESORT_MS = 60000 };

extern char **environ;

struct ctl_said said;

static void ctl_path(char out[static 512])
{
    const char *build = getenv("BUILD");
    snprintf(out, 512, "%s/pipitctl", build ? build : "build");
}

/* `data` NULL: without --data. */
static void ctl_args(char *argv[static CTL_ARGS_MAX], const char *data, const char *const *words)
{
    int argc = 0;
    argv[argc++] = "pipitctl";
    if (data) {
        argv[argc++] = "--data";
        argv[argc++] = (char *)data;
    }
    while (*words) {
        assert_true(argc < CTL_ARGS_MAX - 1);
        argv[argc++] = (char *)*words++;
    }
    argv[argc] = NULL;
}

static void read_back(int fd, char *to)
{
    ssize_t n = pread(fd, to, CTL_OUT_MAX - 1, 0);
    assert_true(n >= 0);
    to[n] = '\0';
}

/* Where a program's output goes, and its errors: made once, before any server is there. A number that libuv closed by
 * itself, used again here, looks like a race to ThreadSanitizer. */
static int output = -1, errors = -1;

static void make_outputs(void)
{
    if (output >= 0) return;
    output = memfd_create("out", MFD_CLOEXEC);
    errors = memfd_create("err", MFD_CLOEXEC);
    assert_true(output >= 0 && errors >= 0);
}

static void empty_outputs(void)
{
    make_outputs();
    assert_int_equal(ftruncate(output, 0) | ftruncate(errors, 0), 0);
    assert_int_equal(lseek(output, 0, SEEK_SET) | lseek(errors, 0, SEEK_SET), 0);
}

pid_t ctl_begin(const char *data, const char *const *words)
{
    char path[512], *argv[CTL_ARGS_MAX];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    ctl_path(path);
    ctl_args(argv, data, words);
    empty_outputs();
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);    /* no terminal to ask on */
    assert_int_equal(posix_spawn(&pid, path, &actions, &attributes, argv, environ), 0);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

int ctl_end(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    read_back(output, said.out);
    read_back(errors, said.err);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

int ctl_at(const char *data, const char *const *words)
{
    return ctl_end(ctl_begin(data, words));
}

int ctl_on(struct rig *rig, const char *const *words)
{
    return ctl_at(rig_folder(rig), words);
}

void assert_said(const char *what, const char *clause)
{
    if (!strstr(what, clause)) fprintf(stderr, "\"%s\" is not in what it said:\n%s\n", clause, what);
    assert_non_null(strstr(what, clause));
}

const char *line_with(const char *word)
{
    static char line[512];
    const char *at = strstr(said.out, word);
    if (!at) fprintf(stderr, "\"%s\" is not in what it said:\n%s\n", word, said.out);
    assert_non_null(at);
    while (at > said.out && at[-1] != '\n') at--;
    snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
    return line;
}

int ctl_on_terminal(struct rig *rig, const char *const *words, const char *typed)
{
    char path[512], *argv[CTL_ARGS_MAX];
    const struct winsize size = { .ws_row = 24, .ws_col = 80 };
    size_t len = 0;
    bool asked = false;
    int tty, status;
    ctl_path(path);
    ctl_args(argv, rig_folder(rig), words);
    pid_t pid = forkpty(&tty, NULL, NULL, &size);
    assert_true(pid >= 0);
    if (pid == 0) {
        execv(path, argv);
        _exit(127);
    }
    for (;;) {
        struct pollfd wait = { .fd = tty, .events = POLLIN };
        assert_int_equal(poll(&wait, 1, LAST_RESORT_MS), 1);
        ssize_t n = read(tty, said.out + len, CTL_OUT_MAX - 1 - len);
        if (n <= 0) break;                    /* a terminal says EIO at its end */
        len += (size_t)n;
        said.out[len] = '\0';
        if (asked || !(strstr(said.out, "once more: ") || strstr(said.out, "Type yes: "))) continue;
        asked = true;
        assert_int_equal(write(tty, typed, strlen(typed)), (ssize_t)strlen(typed));
    }
    close(tty);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

int ctl_as_nobody(struct rig *rig, const char *const *words)
{
    enum { NOBODY = 65534 };
    char path[512], *argv[CTL_ARGS_MAX];
    ctl_path(path);
    ctl_args(argv, rig_folder(rig), words);
    empty_outputs();
    int program = open(path, O_RDONLY | O_CLOEXEC);       /* nobody may not get to it by its path */
    assert_true(program >= 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(output, STDOUT_FILENO);
        dup2(errors, STDERR_FILENO);
        if (setgid(NOBODY) == 0 && setuid(NOBODY) == 0) fexecve(program, argv, environ);
        _exit(127);
    }
    close(program);
    return ctl_end(pid);
}

int owner_setup(void **state)
{
    make_outputs();
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .real_folder = true });
    unsetenv("PIPIT_DATA");
    setenv("PIPIT_PASSWORD", "a password", 1);
    rig_add(rig, "alice", 1);
    rig_up(rig);
    *state = rig;
    return 0;
}

int owner_teardown(void **state)
{
    rig_free(*state);
    return 0;
}
