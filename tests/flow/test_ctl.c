/* test_ctl.c - pipitctl's words, its exit codes, and what it says where no server is, or one that is none. */
#include "tests/flow/flow.h"
#include "tests/harness/owner.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* -- words --------------------------------------------------------------------------------------------------------- */

static void help_tells_every_command_and_each_tells_more(void **state)
{
    char help[CTL_OUT_MAX], *line, *next;
    int count = 0;
    (void)state;
    assert_int_equal(ctl_at(NULL, WORDS("--help")), 0);
    assert_string_equal(said.err, "");
    assert_said(said.out, "Exit codes: 0 ");
    strcpy(help, said.out);
    for (line = strstr(help, "\n\n") + 2; *line == ' '; line = next + 1, count++) {
        char first[32] = "", second[32] = "", usage[256];
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
        { { "frobnicate" }, "no such command: frobnicate; there are: user, erase, export, invite, status" },
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
        assert_int_equal(ctl_on(*state, wrong[i].words), 2);
        assert_said(said.err, wrong[i].clause);
        assert_string_equal(said.out, "");
    }
    assert_int_equal(ctl_at(NULL, WORDS(NULL)), 2);
    assert_said(said.err, "usage: pipitctl");
}

/* -- no server ----------------------------------------------------------------------------------------------------- */

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
    assert_int_equal(ctl_on(rig, WORDS("status")), 3);
    assert_said(said.err, "no server runs on /tmp/");
    /* What a killed server leaves: a socket that nobody listens at. */
    struct sockaddr_un dead = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(dead.sun_path, sizeof dead.sun_path, "%s/admin.sock", rig_folder(rig));
    assert_int_equal(bind(fd, (struct sockaddr *)&dead, sizeof dead), 0);
    close(fd);
    assert_int_equal(ctl_on(rig, WORDS("status")), 3);
    assert_said(said.err, "no server runs on /tmp/");
    rig_up(rig);
    assert_int_equal(ctl_on(rig, WORDS("status")), 0);
}

static void the_folder_comes_from_the_environment_too(void **state)
{
    setenv("PIPIT_DATA", rig_folder(*state), 1);
    assert_int_equal(ctl_at(NULL, WORDS("status")), 0);
    setenv("PIPIT_DATA", "/nowhere", 1);
    assert_int_equal(ctl_on(*state, WORDS("status")), 0);    /* --data wins */
    unsetenv("PIPIT_DATA");
}

/* As somebody else when we are root, whom no mode stops; else the folder is closed to us. */
static void who_may_not_is_told_so(void **state)
{
    struct rig *rig = *state;
    if (getuid() != 0) {
        assert_int_equal(chmod(rig_folder(rig), 0), 0);
        int code = ctl_on(rig, WORDS("status"));
        assert_int_equal(chmod(rig_folder(rig), 0700), 0);
        assert_int_equal(code, 4);
        assert_said(said.err, "permission denied");
        return;
    }
    assert_int_equal(ctl_as_nobody(rig, WORDS("status")), 4);
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
    pid_t pid = ctl_begin(dir, WORDS("invite"));
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(client >= 0);
    assert_true(read(client, line, sizeof line) > 0);
    if (answer) assert_int_equal(send(client, answer, strlen(answer), MSG_NOSIGNAL), (ssize_t)strlen(answer));
    close(client);
    close(listener);
    int code = ctl_end(pid);
    unlink(at.sun_path);
    unlink(format);
    rmdir(dir);
    return code;
}

static void what_is_no_answer_is_not_taken_for_one(void **state)
{
    static const char *const broken[] = {
        "hello\n", "{\"ok\":true", "[]\n", "{\"ok\":1}\n", "{\"invite\":\"x\"}\n", "\n",
    };
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

/* -- the server ---------------------------------------------------------------------------------------------------- */

static void status_tells_and_shutdown_stops(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(ctl_on(rig, WORDS("status")), 0);
    assert_said(said.out, "users          1, 1 devices\n");
    assert_said(said.out, "log 1 ");
    assert_said(said.out, "MiB used, ");
    assert_said(said.out, "log            ");
    assert_said(said.out, " sorted files, ");
    assert_null(strstr(said.out, "NO ROOM"));
    assert_int_equal(ctl_on(rig, WORDS("status", "--json")), 0);
    json_t *status = json_loads(said.out, 0, NULL), *room = json_object_get(status, "room");
    assert_int_equal(json_array_size(json_object_get(status, "shards")), 2);
    assert_true(json_is_false(json_object_get(room, "no_room")));
    assert_true(json_integer_value(json_object_get(room, "disk_used")) > 4096);
    assert_true(json_integer_value(json_object_get(room, "disk_free")) > 0);
    json_decref(status);
    assert_int_equal(ctl_on(rig, WORDS("shutdown")), 0);
    assert_string_equal(said.out, "stopping\n");
    rig_down(rig);
    assert_int_equal(ctl_on(rig, WORDS("status")), 3);
}

static void a_server_without_room_says_so_and_why(void **state)
{
    struct rig *rig = *state;
    rig_down(rig);
    rig_config(rig)->memory_max = 1;
    rig_config(rig)->disk_max = 500;
    rig_up(rig);
    assert_int_equal(ctl_on(rig, WORDS("status")), 0);
    assert_said(said.out, " MiB resident of 1 at most\n");
    assert_said(said.out, " MiB used of 500 at most, ");
    assert_said(said.out, "NO ROOM        sends are refused: memory_max\n");
    assert_int_equal(ctl_on(rig, WORDS("status", "--json")), 0);
    json_t *status = json_loads(said.out, 0, NULL), *room = json_object_get(status, "room");
    assert_true(json_is_true(json_object_get(room, "no_room")));
    assert_string_equal(json_string_value(json_object_get(room, "limit")), "memory_max");
    json_decref(status);
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
    assert_said(said.out, "unsorted, made ");
    assert_int_equal(ctl_at(NULL, WORDS("log", "show", "/0000-0000000000000001.seg", path)), 1);
    assert_said(said.err, "/0000-0000000000000001.seg: no such file");
    assert_said(said.out, "unsorted, made ");
    assert_int_equal(ctl_at(NULL, WORDS("log", "show", "/nowhere.seg", path)), 1);
    assert_said(said.err, "/nowhere.seg: this is not the name of a file of a log");
}

#define ON_A_SERVER(test) cmocka_unit_test_setup_teardown(test, owner_setup, owner_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_tells_every_command_and_each_tells_more),
        ON_A_SERVER(a_wrong_word_is_told_what_there_is),
        ON_A_SERVER(a_wrong_folder_and_a_missing_server_are_told_apart),
        ON_A_SERVER(the_folder_comes_from_the_environment_too),
        ON_A_SERVER(who_may_not_is_told_so),
        cmocka_unit_test(what_is_no_answer_is_not_taken_for_one),
        ON_A_SERVER(status_tells_and_shutdown_stops),
        ON_A_SERVER(a_server_without_room_says_so_and_why),
        ON_A_SERVER(a_log_is_shown_without_a_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
