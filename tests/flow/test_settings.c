/* test_settings.c - pipitd as an operator meets it: what it says of good and broken settings, what a hang-up does,
 * and that its log lines are what docs/operating.md promises.
 *
 * tests/config/NAME.conf is tried as it is, and what the program says of it is NAME.expected. The program runs in the
 * top folder of the tree, with nothing in its environment but what a test puts there. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/talker.h"

enum { OUT_MAX = 65536, ARGS_MAX = 16 };

struct story {
    char program[320];
    char dir[64];                        /* its own, gone at the end */
    char conf[96];                       /* DIR/pipitd.conf */
};

struct process {
    pid_t pid;
    int out;                             /* both of its outputs */
    char text[OUT_MAX];
    size_t len;
};

#define WORDS(...) (const char *const[]){ __VA_ARGS__, NULL }

/* ---- the program ---- */

/* What a child does before it becomes pipitd. */
enum before { NOTHING, NOBODY, JOURNAL };

static void become(struct story *s, enum before before, char **argv, char **environment)
{
    static char stream[80];
    struct stat st;
    switch (before) {
    case NOTHING:
        break;
    case NOBODY:
        if (geteuid() == 0 && setuid(65534) != 0) _exit(126);
        break;
    case JOURNAL:
        if (fstat(STDERR_FILENO, &st) != 0) _exit(126);
        snprintf(stream, sizeof stream, "JOURNAL_STREAM=%llu:%llu", (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino);
        environment[0] = stream;
        break;
    }
    execve(s->program, argv, environment);
    _exit(127);
}

/* Both outputs come as one. `variables` may be NULL. */
static struct process *start(struct story *s, enum before before, const char *const *words, char **variables)
{
    static struct process p;
    char *argv[ARGS_MAX] = { "pipitd" }, *none[2] = { NULL, NULL };
    int out[2], argc = 1;
    memset(&p, 0, sizeof p);
    while (*words) {
        assert_true(argc < ARGS_MAX - 1);
        argv[argc++] = (char *)*words++;
    }
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    fflush(stdout);
    p.pid = fork();
    assert_true(p.pid >= 0);
    if (p.pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        dup2(out[1], STDERR_FILENO);
        become(s, before, argv, variables ? variables : none);
    }
    close(out[1]);
    p.out = out[0];
    return &p;
}

static bool hear(struct process *p)
{
    struct pollfd wait = { .fd = p->out, .events = POLLIN };
    assert_int_equal(poll(&wait, 1, TALKER_LAST_RESORT_MS), 1);
    assert_true(p->len < OUT_MAX - 1);
    ssize_t n = read(p->out, p->text + p->len, OUT_MAX - 1 - p->len);
    if (n <= 0) return false;
    p->len += (size_t)n;
    p->text[p->len] = '\0';
    return true;
}

static void hear_until(struct process *p, const char *what)
{
    while (!strstr(p->text, what)) {
        if (!hear(p)) fail_msg("ended before \"%s\" came; it said:\n%s", what, p->text);
    }
}

static void forget(struct process *p)
{
    p->len = 0;
    p->text[0] = '\0';
}

/* All the rest, then its exit code. */
static int finish(struct process *p)
{
    int status;
    while (hear(p)) continue;
    close(p->out);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int end(struct process *p, int how)
{
    kill(p->pid, how);
    return finish(p);
}

static void expect(const struct process *p, const char *what)
{
    if (!strstr(p->text, what)) fail_msg("\"%s\" is missing; it said:\n%s", what, p->text);
}

/* ---- files ---- */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* The settings of a server of this story, and these lines. */
static void write_conf(struct story *s, const char *lines)
{
    char text[1024];
    snprintf(text, sizeof text, "listen = 127.0.0.1:0\ndata = %s/data\nshards = 2\npassword_mib = 1\n%s", s->dir,
             lines);
    write_file(s->conf, text);
}

static int setup(void **state)
{
    struct story *s = calloc(1, sizeof *s);
    const char *build = getenv("BUILD");
    signal(SIGPIPE, SIG_IGN);
    if (!s) return -1;
    snprintf(s->program, sizeof s->program, "%s/pipitd", build ? build : "build");
    strcpy(s->dir, "/tmp/pipit-settings-XXXXXX");
    if (!mkdtemp(s->dir)) return -1;
    snprintf(s->conf, sizeof s->conf, "%s/pipitd.conf", s->dir);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct story *s = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", s->dir);
    if (system(command) != 0) return -1;
    free(s);
    return 0;
}

/* ---- checking ---- */

static void check_file(struct story *s, const char *name)
{
    char path[320], expected[OUT_MAX] = "";
    snprintf(path, sizeof path, "tests/config/%s.expected", name);
    FILE *f = fopen(path, "r");
    if (!f) fail_msg("%s is missing", path);
    size_t len = fread(expected, 1, sizeof expected - 1, f);
    fclose(f);
    snprintf(path, sizeof path, "tests/config/%s.conf", name);
    struct process *p = start(s, NOTHING, WORDS("--config", path, "--check-config"), NULL);
    int code = finish(p);
    if (strcmp(name, "good") == 0) {
        /* Each line that is expected is there, among those of defaults. */
        char *rest = expected;
        for (char *line; (line = strsep(&rest, "\n")) && rest;) expect(p, line);
        assert_int_equal(code, 0);
        return;
    }
    if (p->len != len || memcmp(p->text, expected, len) != 0) {
        fail_msg("%s: it said\n%s\ninstead of\n%s", path, p->text, expected);
    }
    assert_int_equal(code, 2);
    /* It does not start with it either. */
    p = start(s, NOTHING, WORDS("--config", path), NULL);
    assert_int_equal(finish(p), 2);
    assert_int_equal(p->len, len);
}

static void every_broken_file_is_answered_with_line_key_and_remedy(void **state)
{
    DIR *dir = opendir("tests/config");
    int files = 0;
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char name[64], *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".conf") != 0) continue;
        snprintf(name, sizeof name, "%.*s", (int)(dot - e->d_name), e->d_name);
        check_file(*state, name);
        files++;
    }
    closedir(dir);
    assert_true(files >= 11);
}

static void what_is_checked_is_a_settings_file_again_and_tells_where_values_came_from(void **state)
{
    struct story *s = *state;
    char *variables[] = { "PIPIT_HEARTBEAT_S=40", "PIPIT_SERVER=ws://elsewhere", "PIPIT_HOME=/x", "PIPIT_PASSWORD=x",
                          NULL };
    char again[96], source[128];
    write_conf(s, "heartbeat_s = 20\nlog_level = warn\n");
    struct process *p = start(s, NOTHING, WORDS("--config", s->conf, "--check-config", "--shards", "3",
                                                "--segment_mib=8", "--set", "http_request_s=9"), variables);
    assert_int_equal(finish(p), 0);
    snprintf(source, sizeof source, "; %s:6\n", s->conf);
    expect(p, source);
    expect(p, "; environment PIPIT_HEARTBEAT_S\n");
    expect(p, "; --shards\n");
    expect(p, "; --segment-mib\n");
    expect(p, "; --http-request-s\n");
    expect(p, "; default\n");
    snprintf(again, sizeof again, "%s/again.conf", s->dir);
    write_file(again, p->text);
    p = start(s, NOTHING, WORDS("--config", again, "--check-config"), NULL);
    assert_int_equal(finish(p), 0);
    expect(p, "heartbeat_s = 40 ");
    expect(p, "shards = 3 ");
    expect(p, "http_request_s = 9 ");
    assert_null(strstr(p->text, "default"));
}

static void flags_that_are_none_are_told_all_at_once(void **state)
{
    struct process *p = start(*state, NOTHING, WORDS("--hartbeat-s", "3", "--shards", "many", "word", "--set", "x",
                                                     "--nonsense=1", "--data"), NULL);
    assert_int_equal(finish(p), 2);
    expect(p, "--hartbeat-s: there is no such setting; did you mean heartbeat_s?\n");
    expect(p, "--shards: shards = many: not a whole number; allowed is 0 to 255");
    expect(p, "word: not an option");
    expect(p, "--set: KEY=VALUE is missing");
    expect(p, "--nonsense: there is no such setting\n");
    expect(p, "--data: its value is missing");
    expect(p, "pipitd: 6 errors in the settings; nothing was started\n");
}

static void a_file_that_cannot_be_read_is_told_and_why(void **state)
{
    struct story *s = *state;
    struct process *p = start(s, NOTHING, WORDS("--config", "/no/such/file", "--check-config"), NULL);
    assert_int_equal(finish(p), 2);
    expect(p, "/no/such/file: cannot be read: No such file or directory\n");
    p = start(s, NOTHING, WORDS("--config", s->dir, "--check-config"), NULL);
    assert_int_equal(finish(p), 2);
    expect(p, "is a folder; --config takes a file\n");
    write_conf(s, "");
    assert_int_equal(chmod(s->conf, 0), 0);
    assert_int_equal(chmod(s->dir, 0755), 0);
    p = start(s, NOBODY, WORDS("--config", s->conf, "--check-config"), NULL);
    int code = finish(p);
    if (code == 127) skip();             /* the program itself lies where nobody may go */
    assert_int_equal(code, 2);
    expect(p, "pipitd.conf: cannot be read: Permission denied\n");
}

static void a_folder_that_may_not_be_written_is_told_before_anything_starts(void **state)
{
    struct story *s = *state;
    char locked[96], inside[128];
    snprintf(locked, sizeof locked, "%s/locked", s->dir);
    snprintf(inside, sizeof inside, "%s/deep/data", locked);
    assert_int_equal(mkdir(locked, 0555), 0);
    assert_int_equal(chmod(s->dir, 0755), 0);
    struct process *p = start(s, NOBODY, WORDS("--data", locked, "--check-config"), NULL);
    int code = finish(p);
    if (code == 127) skip();
    assert_int_equal(code, 2);
    expect(p, "--data: data = ");
    expect(p, "the folder may not be written by this user: Permission denied\n");
    p = start(s, NOBODY, WORDS("--data", inside, "--check-config"), NULL);
    assert_int_equal(finish(p), 2);
    expect(p, "it cannot be made in ");
}

static void a_port_that_this_user_may_not_have_is_told_with_the_remedy(void **state)
{
    struct story *s = *state;
    char data[96];
    unsigned first = 1024;
    FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
    if (f && fscanf(f, "%u", &first) != 1) first = 1024;
    if (f) fclose(f);
    if (first < 80) skip();              /* here anybody may have it */
    snprintf(data, sizeof data, "%s/data", s->dir);
    assert_int_equal(chmod(s->dir, 0777), 0);
    struct process *p = start(s, NOBODY, WORDS("--data", data, "--listen", "127.0.0.1:79"), NULL);
    int code = finish(p);
    if (code == 127) skip();
    assert_int_equal(code, 2);
    expect(p, "127.0.0.1:79");
    expect(p, "setcap");
    expect(p, "AmbientCapabilities");
}

/* ---- a hang-up ---- */

static struct process *start_server(struct story *s, enum before before)
{
    struct process *p = start(s, before, WORDS("--config", s->conf), NULL);
    hear_until(p, " ready on ");
    return p;
}

static void a_hang_up_reads_the_file_again_and_takes_what_can_be_taken(void **state)
{
    struct story *s = *state;
    write_conf(s, "heartbeat_s = 20\n");
    struct process *p = start_server(s, NOTHING);
    write_conf(s, "heartbeat_s = 25\nsegment_mib = 8\n");
    kill(p->pid, SIGHUP);
    hear_until(p, "info reloaded changed=1 needs_restart=1\n");
    expect(p, "info setting_changed key=heartbeat_s was=20 now=25\n");
    expect(p, "warn setting_needs_restart key=segment_mib is=64 then=8\n");

    forget(p);
    write_conf(s, "heartbeat_s = 25s\nhartbeat_s = 1\nlog_level = warn\n");
    kill(p->pid, SIGHUP);
    hear_until(p, "error reload_refused");
    expect(p, "heartbeat_s = 25s: the unit is not written");
    expect(p, "did you mean heartbeat_s?");
    assert_int_equal(unlink(s->conf), 0);
    forget(p);
    kill(p->pid, SIGHUP);
    hear_until(p, "error reload_refused");
    expect(p, "pipitd.conf: cannot be read");

    /* The level is taken at once: what is info is not said any more, what is JSON is. */
    forget(p);
    write_conf(s, "heartbeat_s = 26\nlog_level = debug\nlog_format = json\n");
    kill(p->pid, SIGHUP);
    hear_until(p, "\"event\":\"reloaded\"");
    assert_int_equal(end(p, SIGTERM), 0);
    expect(p, "\"event\":\"stopping\",\"by\":\"SIGTERM\"}\n");
}

static void a_hang_up_during_the_start_waits_and_is_taken_after_it(void **state)
{
    struct story *s = *state;
    char fifo[96], lines[512];
    snprintf(fifo, sizeof fifo, "%s/fifo", s->dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    struct process *p = start(s, NOTHING, WORDS("--config", fifo), NULL);
    FILE *f = fopen(fifo, "w");          /* waits until the program has begun to read it, */
    assert_non_null(f);
    kill(p->pid, SIGHUP);                /* so it is in the middle of its start */
    snprintf(lines, sizeof lines, "listen = 127.0.0.1:0\ndata = %s/data\nshards = 1\n", s->dir);
    fputs(lines, f);
    fclose(f);
    hear_until(p, " ready on ");
    f = fopen(fifo, "w");                /* waits until it reads again */
    assert_non_null(f);
    fputs(lines, f);
    fputs("heartbeat_s = 31\n", f);
    fclose(f);
    hear_until(p, "info reloaded changed=1 needs_restart=0\n");
    assert_int_equal(end(p, SIGTERM), 0);
}

static void the_demo_ends_when_its_terminal_does(void **state)
{
    struct story *s = *state;
    char data[96];
    snprintf(data, sizeof data, "%s/demo", s->dir);
    struct process *p = start(s, NOTHING, WORDS("--demo", "--data", data, "--listen", "127.0.0.1:0",
                                                "--password-mib", "1"), NULL);
    hear_until(p, "Ctrl-C stops it");
    assert_int_equal(end(p, SIGHUP), 0);
    expect(p, "info stopping by=SIGHUP\n");
}

/* ---- log lines ---- */

static uint16_t port_of(const struct process *p)
{
    unsigned port;
    const char *at = strstr(p->text, " ready on 127.0.0.1:");
    assert_non_null(at);
    assert_int_equal(sscanf(at, " ready on 127.0.0.1:%u", &port), 1);
    return (uint16_t)port;
}

static void every_log_line_in_json_is_an_object(void **state)
{
    struct story *s = *state;
    struct buf body;
    int status, lines = 0;
    write_conf(s, "log_format = json\nlog_level = debug\n");
    struct process *p = start_server(s, NOTHING);
    buf_init(&body, FRAME_BYTES_MAX);
    talker_http(port_of(p), "GET", "/healthz", BYTES_NONE, &status, &body);
    buf_fini(&body);
    assert_int_equal(status, 200);
    kill(p->pid, SIGHUP);
    hear_until(p, "\"reloaded\"");
    assert_int_equal(end(p, SIGTERM), 0);
    char *rest = p->text;
    for (char *line; (line = strsep(&rest, "\n")) && rest;) {
        if (strncmp(line, "pipitd ", 7) == 0) continue;      /* the ready line, on standard output */
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        if (!object) fail_msg("no JSON: %s", line);
        assert_true(json_is_string(json_object_get(object, "time")));
        assert_true(json_is_string(json_object_get(object, "event")));
        json_decref(object);
        lines++;
    }
    assert_true(lines >= 5);             /* opened, conn_opened, conn_closed, reloaded, stopping, stopped */
}

static void under_the_journal_lines_have_its_level_and_no_time(void **state)
{
    struct story *s = *state;
    char *variables[] = { NULL, NULL };
    write_conf(s, "");
    struct process *p = start(s, JOURNAL, WORDS("--config", s->conf), variables);
    hear_until(p, " ready on ");
    assert_int_equal(end(p, SIGTERM), 0);
    expect(p, "\n<6>info stopping by=SIGTERM\n");
    assert_null(strstr(p->text, "Z info"));
}

#define TOLD(claim) cmocka_unit_test_setup_teardown(claim, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOLD(every_broken_file_is_answered_with_line_key_and_remedy),
        TOLD(what_is_checked_is_a_settings_file_again_and_tells_where_values_came_from),
        TOLD(flags_that_are_none_are_told_all_at_once),
        TOLD(a_file_that_cannot_be_read_is_told_and_why),
        TOLD(a_folder_that_may_not_be_written_is_told_before_anything_starts),
        TOLD(a_port_that_this_user_may_not_have_is_told_with_the_remedy),
        TOLD(a_hang_up_reads_the_file_again_and_takes_what_can_be_taken),
        TOLD(a_hang_up_during_the_start_waits_and_is_taken_after_it),
        TOLD(the_demo_ends_when_its_terminal_does),
        TOLD(every_log_line_in_json_is_an_object),
        TOLD(under_the_journal_lines_have_its_level_and_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
