/* kill -9 of a real pipitd at random moments under load, round after round, with real clients: each message that a
 * client was told is sent is exactly once in the receiving client's store, in order.
 *
 * Three `pipit chat bob` are fed numbered lines, `pipit listen --json` of bob prints what comes. A round ends when bob
 * has printed a random number of further messages: then the server dies and is started again at the same port.
 * CRASH_ROUNDS rounds (5 by default, 30 for `make crash`); PIPIT_SEED repeats a run. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/chance.h"
#include "tests/harness/rig.h"

enum {
    SENDERS = 3, ROUNDS_DEFAULT = 5, AHEAD_MAX = 64, ROUND_MESSAGES_MAX = 120,
    /* A run that makes no progress at all for this long has failed; nothing is synchronised by it. */
    LAST_RESORT_MS = 60000,
};

static const char *const names[SENDERS] = { "alice", "carol", "dave" };

struct process { pid_t pid; int in, out; };

struct story {
    char dir[64], bin[256], address[32];
    struct process server, sender[SENDERS], listener;
    uint64_t said[SENDERS], heard[SENDERS];
    char line[8192];                      /* of the listener, so far */
    size_t line_len;
    uint64_t heard_all;
};

/* -- processes ----------------------------------------------------------------------------------------------------- */

static struct process start(const char *program, char *const argv[])
{
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        int quiet = open("/dev/null", O_WRONLY);
        if (!getenv("KILL_TEST_NOISY")) dup2(quiet, STDERR_FILENO);
        execv(program, argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    return (struct process){ pid, in[1], out[0] };
}

static int finish(struct process *p)
{
    int status;
    if (p->in >= 0) close(p->in);
    if (p->out >= 0) close(p->out);
    p->in = p->out = -1;
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* All of its output, then its exit code. */
static int finish_reading(struct process *p, char *out, size_t size)
{
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = read(p->out, out + len, size - 1 - len)) > 0) len += (size_t)n;
    out[len] = '\0';
    assert_true(len < size - 1);          /* or something of it was not read */
    return finish(p);
}

static char *path(const struct story *s, const char *name)
{
    static char text[4][320];
    static unsigned turn;
    char *to = text[turn++ % 4];
    snprintf(to, sizeof text[0], "%s/%s", s->bin, name);
    return to;
}

static char *home(const struct story *s, const char *name)
{
    static char text[SENDERS + 2][128];
    static unsigned turn;
    char *to = text[turn++ % (SENDERS + 2)];
    snprintf(to, sizeof text[0], "%s/home-%s", s->dir, name);
    return to;
}

static void start_server(struct story *s)
{
    char data[96], line[512], *at = NULL;
    size_t len = 0;
    snprintf(data, sizeof data, "%s/data", s->dir);
    char *argv[] = { "pipitd", "--data", data, "--listen", s->address[0] ? s->address : "127.0.0.1:0", "--shards", "2",
                     "--set", "password_mib=1", NULL };
    s->server = start(path(s, "pipitd"), argv);
    while (!at) {                         /* the ready line */
        ssize_t n = read(s->server.out, line + len, sizeof line - 1 - len);
        assert_true(n > 0);
        len += (size_t)n;
        line[len] = '\0';
        at = strchr(line, '\n') ? strstr(line, "127.0.0.1:") : NULL;
    }
    assert_int_equal(sscanf(at, "%31[0-9.:]", s->address), 1);
}

static void run_tool(const struct story *s, const char *program, char *const argv[], char *out, size_t size)
{
    struct process p = start(path(s, program), argv);
    assert_int_equal(finish_reading(&p, out, size), 0);
}

static void make_user(struct story *s, const char *name)
{
    char data[96], url[64], out[256];
    snprintf(data, sizeof data, "%s/data", s->dir);
    snprintf(url, sizeof url, "ws://%s", s->address);
    run_tool(s, "pipitctl", (char *[]){ "pipitctl", "--data", data, "user", "add", (char *)name, NULL }, out,
             sizeof out);
    run_tool(s, "pipit", (char *[]){ "pipit", "--server", url, "--home", home(s, name), "login", (char *)name, NULL },
             out, sizeof out);
}

static void start_sender(struct story *s, int i)
{
    s->sender[i] = start(path(s, "pipit"), (char *[]){ "pipit", "--home", home(s, names[i]), "chat", "bob", NULL });
    assert_int_equal(fcntl(s->sender[i].in, F_SETFL, O_NONBLOCK), 0);
}

/* -- the load ------------------------------------------------------------------------------------------------------ */

static void hear(struct story *s, const char *line)
{
    const char *text = strstr(line, "\"text\":\"");
    if (!strstr(line, "\"event\":\"message\"") || !text) return;
    for (int i = 0; i < SENDERS; i++) {
        char name[32];
        unsigned long long number;
        if (sscanf(text, "\"text\":\"%31[a-z] %llu\"", name, &number) != 2 || strcmp(name, names[i]) != 0) continue;
        assert_int_equal(number, s->heard[i] + 1);        /* once, and in order */
        s->heard[i] = number;
        s->heard_all++;
    }
}

static void read_listener(struct story *s)
{
    ssize_t n = read(s->listener.out, s->line + s->line_len, sizeof s->line - 1 - s->line_len);
    assert_true(n > 0);
    s->line_len += (size_t)n;
    s->line[s->line_len] = '\0';
    char *end;
    while ((end = strchr(s->line, '\n'))) {
        *end = '\0';
        hear(s, s->line);
        s->line_len -= (size_t)(end + 1 - s->line);
        memmove(s->line, end + 1, s->line_len + 1);
    }
}

/* Feed and listen until bob has heard `until` messages in all. */
static void carry_on(struct story *s, uint64_t until, bool feed)
{
    while (s->heard_all < until) {
        struct pollfd p[1 + 2 * SENDERS] = { { .fd = s->listener.out, .events = POLLIN } };
        for (int i = 0; i < SENDERS; i++) {
            bool may = feed && s->said[i] - s->heard[i] < AHEAD_MAX;
            p[1 + i] = (struct pollfd){ .fd = may ? s->sender[i].in : -1, .events = POLLOUT };
            p[1 + SENDERS + i] = (struct pollfd){ .fd = s->sender[i].out, .events = POLLIN };
        }
        int ready = poll(p, 1 + 2 * SENDERS, LAST_RESORT_MS);
        if (ready < 0 && errno == EINTR) continue;
        assert_true(ready > 0);
        if (p[0].revents) read_listener(s);
        for (int i = 0; i < SENDERS; i++) {
            char room[4096];
            if (p[1 + i].revents) {
                int len = snprintf(room, sizeof room, "%s %llu\n", names[i], (unsigned long long)s->said[i] + 1);
                if (write(s->sender[i].in, room, (size_t)len) == len) s->said[i]++;
            }
            if (p[1 + SENDERS + i].revents) {
                ssize_t n = read(s->sender[i].out, room, sizeof room);
                (void)n;                  /* its screen: nobody looks */
            }
        }
    }
}

/* -- the store ----------------------------------------------------------------------------------------------------- */

static void check_store(const struct story *s)
{
    char file[160];
    sqlite3 *db;
    sqlite3_stmt *q;
    uint64_t seen[SENDERS] = { 0 }, count = 0;
    snprintf(file, sizeof file, "%s/client.db", home(s, "bob"));
    assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT sender, body FROM messages ORDER BY conversation, seq", -1, &q,
                                        NULL),
                     SQLITE_OK);
    while (sqlite3_step(q) == SQLITE_ROW) {
        const char *from = (const char *)sqlite3_column_text(q, 0);
        struct bytes body = { sqlite3_column_blob(q, 1), (size_t)sqlite3_column_bytes(q, 1) }, text;
        char name[32], copy[64] = "";
        unsigned long long number;
        assert_int_equal(content_text_decode(body, &text), 0);
        memcpy(copy, text.at, text.len < sizeof copy - 1 ? text.len : sizeof copy - 1);
        assert_int_equal(sscanf(copy, "%31[a-z] %llu", name, &number), 2);
        assert_string_equal(from, name);
        for (int i = 0; i < SENDERS; i++) {
            if (strcmp(names[i], name) != 0) continue;
            assert_int_equal(number, seen[i] + 1);
            seen[i] = number;
        }
        count++;
    }
    sqlite3_finalize(q);
    sqlite3_close(db);
    for (int i = 0; i < SENDERS; i++) assert_int_equal(seen[i], s->said[i]);
    printf("%llu messages, each once and in order\n", (unsigned long long)count);
}

static void a_server_killed_at_random_moments_loses_nothing_and_doubles_nothing(void **state)
{
    (void)state;
    static struct story s;
    const char *build = getenv("BUILD"), *given = getenv("CRASH_ROUNDS");
    int rounds = given ? atoi(given) : ROUNDS_DEFAULT;
    unsigned short dice[3];
    uint64_t seed = run_seed();
    static char out[65536];               /* `listen` tells receipts before what is waited for */
    char url[64], command[96];
    memcpy(dice, &seed, sizeof dice);
    signal(SIGPIPE, SIG_IGN);
    setenv("PIPIT_PASSWORD", "a password", 1);
    snprintf(s.bin, sizeof s.bin, "%s", build ? build : "build");
    strcpy(s.dir, "/tmp/pipit-kill-XXXXXX");
    assert_non_null(mkdtemp(s.dir));
    start_server(&s);
    for (int i = 0; i < SENDERS; i++) make_user(&s, names[i]);
    make_user(&s, "bob");
    for (int i = 0; i < SENDERS; i++) start_sender(&s, i);
    s.listener = start(path(&s, "pipit"), (char *[]){ "pipit", "--home", home(&s, "bob"), "listen", "--json", NULL });

    for (int round = 0; round < rounds; round++) {
        carry_on(&s, s.heard_all + 1 + (uint64_t)nrand48(dice) % ROUND_MESSAGES_MAX, true);
        kill(s.server.pid, SIGKILL);
        assert_int_equal(finish(&s.server), 128 + SIGKILL);
        start_server(&s);
    }
    uint64_t all = 0;
    for (int i = 0; i < SENDERS; i++) all += s.said[i];
    carry_on(&s, all, false);
    for (int i = 0; i < SENDERS; i++) {
        char room[65536];
        close(s.sender[i].in);
        s.sender[i].in = -1;
        assert_int_equal(finish_reading(&s.sender[i], room, sizeof room), 0);
    }
    kill(s.listener.pid, SIGTERM);
    finish(&s.listener);
    check_store(&s);
    /* Nothing more waits for bob. */
    snprintf(url, sizeof url, "ws://%s", s.address);
    run_tool(&s, "pipit",
             (char *[]){ "pipit", "--server", url, "--home", home(&s, "alice"), "send", "bob", "end", NULL },
             out, sizeof out);
    /* What the listener was killed over may be shown again; then comes the end, and nothing of the old is behind it. */
    do {
        run_tool(&s, "pipit",
                 (char *[]){ "pipit", "--home", home(&s, "bob"), "listen", "--json", "--count", "1", NULL },
                 out, sizeof out);
    } while (!strstr(out, "\"text\":\"end\""));
    kill(s.server.pid, SIGINT);
    assert_int_equal(finish(&s.server), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", s.dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_killed_at_random_moments_loses_nothing_and_doubles_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
