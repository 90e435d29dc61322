/* test_ctl.c - pipitctl as an owner types it: the real program, a server in this process, and servers that are not one.
 *
 * The program's output goes to files in memory; it is waited for, never timed. It has no terminal but where a test gives
 * it one. */
#include "tests/flow/flow.h"

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pty.h>
#include <sodium.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 16, OUT_MAX = 64 * 1024, LAST_RESORT_MS = 60000 };

extern char **environ;

static struct {
    char out[OUT_MAX], err[OUT_MAX];
} said;

/* -- the program ---------------------------------------------------------------------------------------------------------- */

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void program_path(char out[static 512])
{
    const char *build = getenv("BUILD");
    snprintf(out, 512, "%s/pipitctl", build ? build : "build");
}

/* `data` NULL: without --data. */
static void make_args(char *argv[static ARGS_MAX], const char *data, const char *const *words)
{
    int argc = 0;
    argv[argc++] = "pipitctl";
    if (data) {
        argv[argc++] = "--data";
        argv[argc++] = (char *)data;
    }
    while (*words) {
        assert_true(argc < ARGS_MAX - 1);
        argv[argc++] = (char *)*words++;
    }
    argv[argc] = NULL;
}

static void read_back(int fd, char *to)
{
    ssize_t n = pread(fd, to, OUT_MAX - 1, 0);
    assert_true(n >= 0);
    to[n] = '\0';
}

/* Made once, before any server is there: a number that libuv closed by itself, used again here, looks like a race to
 * ThreadSanitizer. */
struct run { pid_t pid; int out, err; };

static struct run new_run(void)
{
    static int out = -1, err = -1;
    if (out < 0) {
        out = memfd_create("out", MFD_CLOEXEC);
        err = memfd_create("err", MFD_CLOEXEC);
    }
    assert_int_equal(ftruncate(out, 0) | ftruncate(err, 0), 0);
    assert_int_equal(lseek(out, 0, SEEK_SET) | lseek(err, 0, SEEK_SET), 0);
    return (struct run){ 0, out, err };
}

static struct run begin(const char *data, const char *const *words)
{
    char path[512], *argv[ARGS_MAX];
    struct run r = new_run();
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    program_path(path);
    make_args(argv, data, words);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, r.out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, r.err, STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);    /* no terminal to ask on */
    assert_int_equal(posix_spawn(&r.pid, path, &actions, &attributes, argv, environ), 0);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* Its exit code; what it said is in `said`. */
static int end(struct run *r)
{
    int status;
    assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
    read_back(r->out, said.out);
    read_back(r->err, said.err);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int ctl_at(const char *data, const char *const *words)
{
    struct run r = begin(data, words);
    return end(&r);
}

static int ctl(struct rig *rig, const char *const *words)
{
    return ctl_at(rig_folder(rig), words);
}

static void assert_said(const char *what, const char *clause)
{
    if (!strstr(what, clause)) fprintf(stderr, "\"%s\" is not in what it said:\n%s\n", clause, what);
    assert_non_null(strstr(what, clause));
}

/* The line of the output that has `word` in it, without its end. */
static const char *line_with(const char *word)
{
    static char line[512];
    const char *at = strstr(said.out, word);
    if (!at) fprintf(stderr, "\"%s\" is not in what it said:\n%s\n", word, said.out);
    assert_non_null(at);
    while (at > said.out && at[-1] != '\n') at--;
    snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
    return line;
}

static int setup(void **state)
{
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .real_folder = true });
    unsetenv("PIPIT_DATA");
    setenv("PIPIT_PASSWORD", "a password", 1);
    rig_add(rig, "alice", 1);
    rig_up(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

/* -- words ---------------------------------------------------------------------------------------------------------------- */

static void help_tells_every_command_and_each_tells_more(void **state)
{
    char help[OUT_MAX], *line, *next;
    int count = 0;
    (void)state;
    assert_int_equal(ctl_at(NULL, WORDS("--help")), 0);
    assert_string_equal(said.err, "");
    assert_said(said.out, "Exit codes: 0 ");
    strcpy(help, said.out);
    for (line = strstr(help, "\n\n") + 2; *line == ' '; line = next + 1, count++) {
        char first[32] = "", second[32] = "", usage[80];
        next = strchr(line, '\n');
        *next = '\0';
        int words = sscanf(line, " %31[a-z-] %31[a-z-]", first, second);
        if (words == 2) assert_int_equal(ctl_at(NULL, WORDS(first, second, "--help")), 0);
        else assert_int_equal(ctl_at(NULL, WORDS(first, "--help")), 0);
        snprintf(usage, sizeof usage, "usage: pipitctl %s\n\n", line + 2);
        assert_said(said.out, usage);
        assert_true(strlen(said.out) > strlen(usage) + 10);
    }
    assert_true(count >= 9);
    assert_int_equal(ctl_at(NULL, WORDS("invite", "--help")), 0);
    assert_said(said.out, "usage: pipitctl invite new ");
    assert_said(said.out, "usage: pipitctl invite revoke ");
    assert_int_equal(ctl_at(NULL, WORDS("--version")), 0);
    assert_said(said.out, "pipitctl " PIPIT_VERSION "\n");
}

static void a_wrong_word_is_told_what_there_is(void **state)
{
    static const struct { const char *words[6]; const char *clause; } wrong[] = {
        { { "frobnicate" }, "no such command: frobnicate; there are: user, invite, status" },
        { { "usr", "list" }, "did you mean user?" },
        { { "user", "lst" }, "no such command: user lst; did you mean user list? There are: add, " },
        { { "user" }, "user what? There are: add, " },
        { { "invite", "0" }, "no such command: invite 0; there are: new, list, revoke" },
        { { "invite", "revoke" }, "usage: pipitctl invite revoke NUMBER|CODE" },
        { { "user", "list", "alice" }, "alice: one word too many" },
        { { "user", "list", "--days", "3" }, "--days is not an option of this command\nusage: pipitctl user list" },
        { { "status", "--verbose" }, "--verbose" },
        { { "invite", "--uses", "none" }, "--uses wants a number above 0" },
        { { "invite", "--uses", "0" }, "--uses wants" },
        { { "invite", "--days", "3x" }, "--days wants" },
        { { "user", "add", "bob", "Carol" }, "Carol: a user name is" },
        { { "user", "token", "" }, "a user name is" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(ctl(*state, wrong[i].words), 2);
        assert_said(said.err, wrong[i].clause);
        assert_string_equal(said.out, "");
    }
    assert_int_equal(ctl_at(NULL, WORDS(NULL)), 2);
    assert_said(said.err, "usage: pipitctl");
}

/* -- no server -------------------------------------------------------------------------------------------------------------- */

static void a_wrong_folder_and_a_missing_server_are_told_apart(void **state)
{
    struct rig *rig = *state;
    char path[512];
    assert_int_equal(ctl_at("/nowhere/at/all", WORDS("status")), 3);
    assert_said(said.err, "/nowhere/at/all: no such folder");
    assert_int_equal(ctl_at("/tmp", WORDS("status")), 3);
    assert_said(said.err, "/tmp: not the data folder of a pipitd");
    memset(path, 'd', 200);
    path[200] = '\0';
    assert_int_equal(ctl_at(path, WORDS("status")), 3);
    assert_said(said.err, "the path is too long for a Unix socket");

    rig_down(rig);
    assert_int_equal(ctl(rig, WORDS("status")), 3);
    assert_said(said.err, "no server runs on /tmp/");
    /* What a killed server leaves: a socket that nobody listens at. */
    struct sockaddr_un dead = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(dead.sun_path, sizeof dead.sun_path, "%s/admin.sock", rig_folder(rig));
    assert_int_equal(bind(fd, (struct sockaddr *)&dead, sizeof dead), 0);
    close(fd);
    assert_int_equal(ctl(rig, WORDS("status")), 3);
    assert_said(said.err, "no server runs on /tmp/");
    rig_up(rig);
    assert_int_equal(ctl(rig, WORDS("status")), 0);
}

static void the_folder_comes_from_the_environment_too(void **state)
{
    setenv("PIPIT_DATA", rig_folder(*state), 1);
    assert_int_equal(ctl_at(NULL, WORDS("status")), 0);
    setenv("PIPIT_DATA", "/nowhere", 1);
    assert_int_equal(ctl(*state, WORDS("status")), 0);    /* --data wins */
    unsetenv("PIPIT_DATA");
}

/* As somebody else when we are root, whom no mode stops; else the folder is closed to us. */
static void who_may_not_is_told_so(void **state)
{
    enum { NOBODY = 65534 };
    struct rig *rig = *state;
    if (getuid() != 0) {
        assert_int_equal(chmod(rig_folder(rig), 0), 0);
        int code = ctl(rig, WORDS("status"));
        assert_int_equal(chmod(rig_folder(rig), 0700), 0);
        assert_int_equal(code, 4);
        assert_said(said.err, "permission denied");
        return;
    }
    char path[512], *argv[ARGS_MAX];
    struct run r = new_run();
    program_path(path);
    make_args(argv, rig_folder(rig), WORDS("status"));
    int program = open(path, O_RDONLY | O_CLOEXEC);       /* nobody may not get to it by its path */
    assert_true(program >= 0);
    r.pid = fork();
    assert_true(r.pid >= 0);
    if (r.pid == 0) {
        dup2(r.out, STDOUT_FILENO);
        dup2(r.err, STDERR_FILENO);
        if (setgid(NOBODY) == 0 && setuid(NOBODY) == 0) fexecve(program, argv, environ);
        _exit(127);
    }
    close(program);
    assert_int_equal(end(&r), 4);
    assert_said(said.err, "permission denied; only the user that runs the server may use it, and root");
}

/* A folder with a socket that answers `answer` to whatever line comes, NULL: closes without one. */
static int ctl_with_answer(const char *answer)
{
    char dir[] = "/tmp/pipit-ctl-XXXXXX", format[64], line[4096];
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    assert_non_null(mkdtemp(dir));
    snprintf(format, sizeof format, "%s/format", dir);
    close(open(format, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    snprintf(at.sun_path, sizeof at.sun_path, "%s/admin.sock", dir);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    struct run r = begin(dir, WORDS("invite"));
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(client >= 0);
    assert_true(read(client, line, sizeof line) > 0);
    if (answer) assert_int_equal(send(client, answer, strlen(answer), MSG_NOSIGNAL), (ssize_t)strlen(answer));
    close(client);
    close(listener);
    int code = end(&r);
    unlink(at.sun_path);
    unlink(format);
    rmdir(dir);
    return code;
}

static void what_is_no_answer_is_not_taken_for_one(void **state)
{
    static const char *const broken[] = { "hello\n", "{\"ok\":true", "[]\n", "{\"ok\":1}\n", "{\"invite\":\"x\"}\n", "\n" };
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_int_equal(ctl_with_answer(broken[i]), 5);
        assert_said(said.err, "is no answer");
        assert_string_equal(said.out, "");
    }
    assert_int_equal(ctl_with_answer(NULL), 5);
    assert_said(said.err, "without an answer; look whether it was done");
    assert_int_equal(ctl_with_answer("{\"ok\":false,\"error\":\"BUSY\",\"text\":\"not now\"}\n"), 1);
    assert_said(said.err, "refused: not now (BUSY)");
    assert_int_equal(ctl_with_answer("{\"ok\":true,\"invite\":\"a-code\"}\n"), 0);
    assert_string_equal(said.out, "a-code\n");
}

/* -- users and invites ------------------------------------------------------------------------------------------------------ */

static void users_are_added_and_listed(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(ctl(rig, WORDS("user", "add", "bob", "carol")), 0);
    assert_string_equal(said.out, "added 2 users\n");
    assert_int_equal(ctl(rig, WORDS("user", "add", "dave", "bob")), 1);
    assert_said(said.err, "refused: bob: this name is taken (EXISTS)");
    assert_int_equal(ctl(rig, WORDS("user", "list")), 0);
    assert_null(strstr(said.out, "dave"));
    assert_said(line_with("alice"), "1 device");
    assert_said(line_with("carol"), "seen never");
    assert_said(line_with("carol"), "0 devices");
    assert_int_equal(ctl(rig, WORDS("user", "list", "--json")), 0);
    json_t *row = json_loads(line_with("bob"), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(row, "user")), "bob");
    assert_int_equal(json_integer_value(json_object_get(row, "seen")), 0);
    json_decref(row);
}

static void a_password_is_taken_from_a_file_or_there_is_none(void **state)
{
    struct rig *rig = *state;
    char path[256];
    snprintf(path, sizeof path, "%s/secret", rig_folder(rig));
    FILE *f = fopen(path, "w");
    fputs("from the file\nnot this\n", f);
    fclose(f);
    unsetenv("PIPIT_PASSWORD");
    assert_int_equal(ctl(rig, WORDS("user", "add", "bob")), 2);
    assert_said(said.err, "no password: give a file or PIPIT_PASSWORD");
    assert_int_equal(ctl(rig, WORDS("user", "add", "bob", "--password-file", path)), 0);
    struct buf body;
    int status;
    buf_init(&body, 4096);
    talker_http(rig_port(rig), "POST", "/v1/login", bytes_of_str("{\"user\":\"bob\",\"password\":\"from the file\"}"), &status,
                &body);
    assert_int_equal(status, 200);
    buf_fini(&body);
}

static void a_token_opens_a_session(void **state)
{
    struct rig *rig = *state;
    struct user_id alice = rig_user("alice");
    struct device_id device;
    uint8_t token[TOKEN_BYTES];
    char id[64], hex[2 * TOKEN_BYTES + 1];
    assert_int_equal(ctl(rig, WORDS("user", "token", "alice")), 0);
    assert_int_equal(sscanf(said.out, "alice %63s %64s", id, hex), 2);
    assert_int_equal(device_id_parse(bytes_of_str(id), &device), 0);
    assert_int_equal(sodium_hex2bin(token, sizeof token, hex, strlen(hex), NULL, NULL, NULL), 0);
    struct talker *a = talker_open(rig_port(rig), &alice, device, token);
    talker_expect(a, MSG_SYNCED);
    talker_close(a);
    assert_int_equal(ctl(rig, WORDS("user", "token", "alice", "nobody")), 1);
    assert_said(said.err, "nobody: ");
}

static void an_invite_is_made_listed_and_revoked(void **state)
{
    struct rig *rig = *state;
    char code[64];
    assert_int_equal(ctl(rig, WORDS("invite")), 0);
    assert_int_equal(sscanf(said.out, "%63s\n", code), 1);
    assert_int_equal(ctl(rig, WORDS("invite", "new", "--uses", "3", "--days", "2", "--note", "for bob and others")), 0);
    assert_int_equal(ctl(rig, WORDS("invite", "list")), 0);
    assert_null(strstr(said.out, code));
    assert_said(line_with("for bob and others"), "   2  good     3 of 3 left");
    assert_int_equal(ctl(rig, WORDS("invite", "revoke", "2")), 0);
    assert_string_equal(said.out, "invite 2 is revoked\n");
    assert_int_equal(ctl(rig, WORDS("invite", "revoke", code)), 0);
    assert_string_equal(said.out, "invite 1 is revoked\n");
    assert_int_equal(ctl(rig, WORDS("invite", "list")), 0);
    assert_string_equal(said.out, "");
    assert_int_equal(ctl(rig, WORDS("invite", "list", "--all")), 0);
    assert_said(line_with("for bob"), "revoked");
    assert_int_equal(ctl(rig, WORDS("invite", "revoke", "3")), 1);
    assert_said(said.err, "no such invite");
    assert_int_equal(ctl(rig, WORDS("invite", "--json", "--note", "x")), 0);
    json_t *answer = json_loads(said.out, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(answer, "number")), 3);
    assert_true(json_is_string(json_object_get(answer, "invite")));
    json_decref(answer);
    assert_int_equal(ctl(rig, WORDS("invite", "--uses", "100001")), 1);
    assert_said(said.err, "uses: a whole number from 1 to 100000");
}

static int log_in(struct rig *rig, const char *user, const char *password)
{
    char text[256];
    struct buf body;
    int status;
    buf_init(&body, 4096);
    snprintf(text, sizeof text, "{\"user\":\"%s\",\"password\":\"%s\"}", user, password);
    talker_http(rig_port(rig), "POST", "/v1/login", bytes_of_str(text), &status, &body);
    buf_fini(&body);
    return status;
}

static void users_are_disabled_and_enabled(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(ctl(rig, WORDS("user", "add", "bob")), 0);
    assert_int_equal(ctl(rig, WORDS("user", "disable", "alice", "bob")), 0);
    assert_string_equal(said.out, "alice is disabled\nbob is disabled\n");
    assert_int_equal(log_in(rig, "alice", "a password"), 401);
    assert_int_equal(ctl(rig, WORDS("user", "list")), 0);
    assert_said(line_with("bob"), "disabled");
    assert_int_equal(ctl(rig, WORDS("user", "enable", "alice")), 0);
    assert_string_equal(said.out, "alice is enabled\n");
    assert_int_equal(log_in(rig, "alice", "a password"), 200);
    assert_int_equal(ctl(rig, WORDS("user", "list")), 0);
    assert_null(strstr(line_with("alice"), "disabled"));
    assert_int_equal(ctl(rig, WORDS("user", "enable", "nobody", "bob")), 1);    /* stops there */
    assert_said(said.err, "refused: nobody: no such user (NOT_FOUND)");
    assert_string_equal(said.out, "");
}

/* On a terminal of its own, where `typed` is typed when it asks. What it printed is in said.out. */
static int ctl_on_terminal(struct rig *rig, const char *const *words, const char *typed)
{
    char path[512], *argv[ARGS_MAX];
    const struct winsize size = { .ws_row = 24, .ws_col = 80 };
    size_t len = 0;
    bool asked = false;
    int tty, status;
    program_path(path);
    make_args(argv, rig_folder(rig), words);
    pid_t pid = forkpty(&tty, NULL, NULL, &size);
    assert_true(pid >= 0);
    if (pid == 0) {
        execv(path, argv);
        _exit(127);
    }
    for (;;) {
        struct pollfd wait = { .fd = tty, .events = POLLIN };
        assert_int_equal(poll(&wait, 1, LAST_RESORT_MS), 1);
        ssize_t n = read(tty, said.out + len, OUT_MAX - 1 - len);
        if (n <= 0) break;                    /* a terminal says EIO at its end */
        len += (size_t)n;
        said.out[len] = '\0';
        if (asked || !strstr(said.out, "once more: ")) continue;
        asked = true;
        assert_int_equal(write(tty, typed, strlen(typed)), (ssize_t)strlen(typed));
    }
    close(tty);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_user_is_removed_only_by_who_is_sure(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(ctl(rig, WORDS("user", "remove", "alice")), 2);
    assert_said(said.err, "there is no terminal to ask on; --yes removes without asking");
    assert_int_equal(ctl_on_terminal(rig, WORDS("user", "remove", "alice"), "alcie\n"), 2);
    assert_said(said.out, "not the same: nothing was done");
    assert_int_equal(log_in(rig, "alice", "a password"), 200);
    assert_int_equal(ctl_on_terminal(rig, WORDS("user", "remove", "alice"), "alice\n"), 0);
    assert_said(said.out, "alice is removed");
    assert_int_equal(log_in(rig, "alice", "a password"), 401);
    assert_int_equal(ctl(rig, WORDS("user", "add", "alice")), 1);
    assert_said(said.err, "alice: this name is taken");
    assert_int_equal(ctl(rig, WORDS("user", "add", "bob")), 0);
    assert_int_equal(ctl(rig, WORDS("user", "remove", "--yes", "bob")), 0);
    assert_string_equal(said.out, "bob is removed\n");
}

static void a_password_is_made_and_printed_once_or_taken(void **state)
{
    struct rig *rig = *state;
    char first[64], second[64];
    unsetenv("PIPIT_PASSWORD");
    assert_int_equal(ctl(rig, WORDS("user", "reset-password", "alice")), 0);
    assert_int_equal(sscanf(said.out, "%63s", first), 1);
    assert_int_equal(strlen(first), 23);
    assert_int_equal(strlen(said.out), 24);       /* the password alone, and its line end */
    assert_said(said.err, "1 device was logged out");
    assert_int_equal(log_in(rig, "alice", "a password"), 401);
    assert_int_equal(log_in(rig, "alice", first), 200);
    assert_int_equal(ctl(rig, WORDS("user", "reset-password", "alice", "--keep-devices")), 0);
    assert_int_equal(sscanf(said.out, "%63s", second), 1);
    assert_string_not_equal(first, second);
    assert_said(said.err, "0 devices were logged out");
    setenv("PIPIT_PASSWORD", "one of my own", 1);
    assert_int_equal(ctl(rig, WORDS("user", "reset-password", "alice")), 0);
    assert_string_equal(said.out, "");            /* no secret that is known already */
    assert_null(strstr(said.err, "my own"));
    assert_int_equal(log_in(rig, "alice", "one of my own"), 200);
    assert_int_equal(ctl(rig, WORDS("user", "reset-password", "alice", "--ask")), 2);
    assert_said(said.err, "there is no terminal to ask on");
    assert_int_equal(ctl(rig, WORDS("user", "reset-password", "nobody")), 1);
    assert_said(said.err, "nobody: no such user");
}

static void a_device_is_revoked_by_its_id(void **state)
{
    struct rig *rig = *state;
    char id[DEVICE_ID_TEXT];
    device_id_print(rig_device(rig, "alice", 0)->device, id);
    assert_int_equal(ctl(rig, WORDS("user", "devices", "alice")), 0);
    assert_said(line_with(id), "seen never");
    assert_null(strstr(said.out, "revoked"));
    assert_int_equal(ctl(rig, WORDS("user", "revoke", "alice", id)), 0);
    assert_int_equal(ctl(rig, WORDS("user", "devices", "alice")), 0);
    assert_said(line_with(id), "revoked");
    assert_int_equal(ctl(rig, WORDS("user", "devices", "alice", "--json")), 0);
    json_t *row = json_loads(line_with(id), 0, NULL);
    assert_true(json_is_true(json_object_get(row, "revoked")));
    json_decref(row);
    assert_int_equal(ctl(rig, WORDS("user", "revoke", "alice", id)), 1);
    assert_int_equal(ctl(rig, WORDS("user", "revoke", "alice")), 2);
    assert_int_equal(ctl(rig, WORDS("user", "devices", "nobody")), 1);
}

/* -- the server --------------------------------------------------------------------------------------------------------------- */

static void status_tells_and_shutdown_stops(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(ctl(rig, WORDS("status")), 0);
    assert_said(said.out, "users          1, 1 devices\n");
    assert_said(said.out, "log 1 ");
    assert_int_equal(ctl(rig, WORDS("status", "--json")), 0);
    json_t *status = json_loads(said.out, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(status, "shards")), 2);
    json_decref(status);
    assert_int_equal(ctl(rig, WORDS("shutdown")), 0);
    assert_string_equal(said.out, "stopping\n");
    rig_down(rig);
    assert_int_equal(ctl(rig, WORDS("status")), 3);
}

static void a_log_is_shown_without_a_server(void **state)
{
    struct rig *rig = *state;
    char command[512], path[512];
    rig_down(rig);
    snprintf(command, sizeof command, "ls %s/log/*.seg", rig_folder(rig));
    FILE *f = popen(command, "r");
    assert_int_equal(fscanf(f, "%511s", path), 1);
    pclose(f);
    assert_int_equal(ctl_at(NULL, WORDS("log", "show", path)), 0);
    assert_said(said.out, "from record 1");
    assert_int_equal(ctl_at(NULL, WORDS("log", "show", "/nowhere.seg", path)), 1);
    assert_said(said.err, "/nowhere.seg: no such file");
    assert_said(said.out, "from record 1");
}

#define ON_A_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_tells_every_command_and_each_tells_more),
        ON_A_SERVER(a_wrong_word_is_told_what_there_is),
        ON_A_SERVER(a_wrong_folder_and_a_missing_server_are_told_apart),
        ON_A_SERVER(the_folder_comes_from_the_environment_too),
        ON_A_SERVER(who_may_not_is_told_so),
        cmocka_unit_test(what_is_no_answer_is_not_taken_for_one),
        ON_A_SERVER(users_are_added_and_listed),
        ON_A_SERVER(a_password_is_taken_from_a_file_or_there_is_none),
        ON_A_SERVER(a_token_opens_a_session),
        ON_A_SERVER(users_are_disabled_and_enabled),
        ON_A_SERVER(a_user_is_removed_only_by_who_is_sure),
        ON_A_SERVER(a_password_is_made_and_printed_once_or_taken),
        ON_A_SERVER(a_device_is_revoked_by_its_id),
        ON_A_SERVER(an_invite_is_made_listed_and_revoked),
        ON_A_SERVER(status_tells_and_shutdown_stops),
        ON_A_SERVER(a_log_is_shown_without_a_server),
    };
    (void)new_run();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
