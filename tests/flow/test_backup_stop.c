/* test_backup_stop.c - a backup whose client goes away goes on; one whose server stops leaves nothing that looks like a
 * backup, and the next one is made as if it had not been. */
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/flow/flow.h"
#include "tests/harness/owner.h"
#include "tests/harness/sanitized.h"
#include "tests/harness/wire.h"

enum { SENDS = 1000, AT_ONCE = 50, TEXT = 4000 };         /* 4 MB of log: some seconds at a MiB a second */

static char backups[256], keys[300], request[400];

static json_t *backup_state(struct rig *rig)
{
    json_t *answer = ask(rig, "{\"do\":\"status\"}"), *state = json_incref(json_object_get(answer, "backup"));
    assert_true(is_ok(answer));
    json_decref(answer);
    return state;
}

static bool is_under_way(json_t *state)
{
    return json_is_true(json_object_get(state, "under_way"));
}

/* Files of the log are what it takes longest for: done_bytes is above what the rows have. */
static void until_it_copies(struct rig *rig)
{
    bool copies = false;
    while (!copies) {
        json_t *state = backup_state(rig);
        json_int_t done = number_of(state, "done_bytes"), total = number_of(state, "total_bytes");
        assert_true(done <= total);
        copies = done > 0;
        assert_true(copies || is_under_way(state) || number_of(state, "failed") == 0);
        json_decref(state);
    }
}

static int setup(void **state)
{
    static char text[TEXT + 1];
    struct user_id bob = rig_user("bob");
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .real_folder = true });
    uint64_t ref[AT_ONCE];
    unsetenv("PIPIT_DATA");
    snprintf(backups, sizeof backups, "%s.backups", rig_folder(rig));
    snprintf(keys, sizeof keys, "%s.keys", backups);
    snprintf(request, sizeof request, "{\"do\":\"backup\",\"to\":\"%s\"}", backups);
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_config(rig)->backup_mib_per_s = 1;
    rig_up(rig);
    memset(text, 'x', TEXT);
    struct talker *a = rig_talk(rig, "alice", 0);
    for (uint64_t i = 0; i < SENDS; i += AT_ONCE) {
        for (uint64_t k = 0; k < AT_ONCE; k++) ref[k] = talker_send_text(a, &bob, i + k + 1, i + k + 1, text);
        for (uint64_t k = 0; k < AT_ONCE; k++) assert_int_equal(talker_answer(a, ref[k])->type, MSG_ACCEPTED);
    }
    talker_close(a);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    char command[1000];
    rig_free(*state);
    snprintf(command, sizeof command, "rm -rf '%s' '%s'", backups, keys);
    return system(command);
}

/* Only while the server is down: a descriptor that it closed by itself, used again here, looks like a race. */
static size_t count_backups(void)
{
    DIR *dir = opendir(backups);
    size_t count = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s/backup", backups, e->d_name);
        count += access(path, F_OK) == 0;
    }
    if (dir) closedir(dir);
    return count;
}

static void its_client_goes_and_it_goes_on(void **state)
{
    struct rig *rig = *state;
    struct wire w;
    bool going = true;
    wire_open(&w, rig);
    wire_say(&w, request);
    until_it_copies(rig);
    wire_close(&w);
    expect_refused(ask(rig, request), ERR_BUSY, "a backup is being made");
    while (going) {
        json_t *now = backup_state(rig);
        going = is_under_way(now);
        if (!going) {
            assert_int_equal(number_of(now, "failed"), 0);
            assert_true(number_of(now, "made") > 0);
            assert_int_equal(ctl_at(NULL, WORDS("restore", "--verify", text_of(now, "path"), "--keys", keys)), 0);
        }
        json_decref(now);
    }
    rig_down(rig);
    assert_int_equal(count_backups(), 1);
}

static void its_server_stops_and_nothing_of_it_is_left(void **state)
{
    struct rig *rig = *state;
    struct wire w;
    char stage[300];
    if (SANITIZED_THREAD) skip();                          /* it misses that libuv closes the listener, and takes the
                                                            * next use of that number for a race */
    wire_open(&w, rig);
    wire_say(&w, request);
    until_it_copies(rig);
    rig_down(rig);
    json_t *answer = wire_hear(&w);                        /* GOING, unless the connection was closed before */
    bool made = answer && is_ok(answer);                   /* or it was faster than we: then it is whole */
    json_decref(answer);
    wire_close(&w);
    if (made) print_message("the backup was made before the server stopped\n");
    assert_int_equal(count_backups(), made);
    snprintf(stage, sizeof stage, "%s/backup.new", rig_folder(rig));
    assert_int_not_equal(access(stage, F_OK), 0);

    rig_config(rig)->backup_mib_per_s = 1000;
    rig_up(rig);
    assert_int_equal(ctl_on(rig, WORDS("backup", backups)), 0);
    char path[400];
    assert_int_equal(sscanf(line_with("backup  "), "backup %399s", path), 1);
    assert_int_equal(ctl_at(NULL, WORDS("restore", "--verify", path, "--keys", keys)), 0);
    rig_down(rig);
    assert_int_equal(count_backups(), made + 1);
}

#define OF_SOME_SIZE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OF_SOME_SIZE(its_client_goes_and_it_goes_on),
        OF_SOME_SIZE(its_server_stops_and_nothing_of_it_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
