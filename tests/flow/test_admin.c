/* test_admin.c - the admin socket, spoken to as pipitctl does and as it should not be: lines of JSON over
 * DIR/admin.sock, and what each act leaves in DIR/audit.log. What requests are about is in test_admin_users.c and
 * test_admin_reload.c. */
#include "tests/flow/flow.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/wire.h"

enum { CLIENTS_TRIED = 64 };

/* -- lines --------------------------------------------------------------------------------------------------------- */

static void what_is_no_request_is_refused_by_name_and_the_next_line_is_served(void **state)
{
    static const struct { const char *line; int err; const char *clause; } bad[] = {
        { "", ERR_MALFORMED, "not JSON" },
        { "hello", ERR_MALFORMED, "not JSON, at byte" },
        { "{\"do\":\"status\"", ERR_MALFORMED, "not JSON" },
        { "{\"do\":\"status\",\"do\":\"status\"}", ERR_MALFORMED, "duplicate" },
        { "{}", ERR_MALFORMED, "`do`" },
        { "[\"status\"]", ERR_MALFORMED, "`do`" },
        { "{\"do\":7}", ERR_MALFORMED, "`do`" },
        { "{\"do\":\"frobnicate\"}", ERR_UNKNOWN_TYPE, "frobnicate: no such request" },
        { "{\"do\":\"\"}", ERR_UNKNOWN_TYPE, "no such request" },
        { "{\"do\":\"status\",\"verbose\":true}", ERR_UNSUPPORTED, "verbose: not a member of status" },
        { "{\"do\":\"invite\",\"use\":5}", ERR_UNSUPPORTED,
          "use: not a member of invite, which may have: uses days note" },
        { "{\"do\":\"invite\",\"\":5}", ERR_UNSUPPORTED, "not a member" },
        { "{\"do\":\"user-add\",\"password\":\"a password\"}", ERR_RANGE, "users: a list of 1 to 10000" },
        { "{\"do\":\"user-add\",\"users\":\"carol\",\"password\":\"a password\"}", ERR_RANGE, "users:" },
        { "{\"do\":\"user-add\",\"users\":[7],\"password\":\"a password\"}", ERR_NAME, "not a text:" },
        { "{\"do\":\"user-add\",\"users\":[\"Carol\"],\"password\":\"a password\"}", ERR_NAME, "Carol:" },
        { "{\"do\":\"user-add\",\"users\":[\"carol\"]}", ERR_PASSWORD, "password:" },
        { "{\"do\":\"user-add\",\"users\":[\"carol\"],\"password\":\"short\"}", ERR_PASSWORD, "8 to 256" },
        { "{\"do\":\"user-list\",\"after\":7}", ERR_NAME, "after:" },
        { "{\"do\":\"device-add\",\"users\":[\"bob\"],\"name\":\"a\\nb\"}", ERR_RANGE, "name: a text of at most 64" },
    };
    struct rig *rig = *state;
    struct wire w;
    wire_open(&w, rig);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused(wire_ask(&w, bad[i].line), bad[i].err, bad[i].clause);
    json_t *answer = wire_ask(&w, "{\"do\":\"status\"}");
    assert_true(is_ok(answer));
    assert_int_equal(number_of(answer, "users"), 2);
    json_t *log = json_object_get(answer, "log");
    assert_int_equal(number_of(log, "files"), json_array_size(json_object_get(answer, "shards")));   /* the open ones */
    assert_int_equal(number_of(log, "forgotten"), 0);
    json_decref(answer);
    wire_close(&w);
    assert_string_equal(audit_log(rig), "");
}

static void a_line_over_the_limit_is_refused_and_ends_the_connection(void **state)
{
    struct rig *rig = *state;
    struct wire w;
    char *line = malloc(WIRE_LINE_MAX + 1);
    assert_non_null(line);
    memset(line, ' ', WIRE_LINE_MAX + 1);
    wire_open(&w, rig);
    (void)wire_write(&w, line, WIRE_LINE_MAX + 1);
    free(line);
    json_t *answer = wire_hear(&w);
    assert_non_null(answer);
    expect_refused(answer, ERR_TOO_BIG, "1 MiB");
    assert_null(wire_hear(&w));
    wire_close(&w);
    expect_ok(rig, "{\"do\":\"status\"}");
}

static void requests_of_one_write_are_answered_in_order(void **state)
{
    struct rig *rig = *state;
    struct wire w;
    wire_open(&w, rig);
    /* The first takes a password to hash, the last two nothing at all. */
    wire_say(&w, "{\"do\":\"user-add\",\"users\":[\"carol\"],\"password\":\"a password\"}\n"
                 "{\"do\":\"user-list\",\"after\":\"bob\"}\n{\"do\":\"nothing\"}\n{\"do\":\"invite\",\"uses\":0}");
    json_t *answer = wire_hear(&w);
    assert_true(is_ok(answer));
    assert_null(json_object_get(answer, "users"));
    json_decref(answer);
    answer = wire_hear(&w);
    assert_string_equal(text_of(json_array_get(json_object_get(answer, "users"), 0), "user"), "carol");
    json_decref(answer);
    expect_refused(wire_hear(&w), ERR_UNKNOWN_TYPE, "nothing");
    expect_refused(wire_hear(&w), ERR_RANGE, "uses");
    wire_close(&w);
}

/* A copy that ended at the NUL was once read, and wiped, to the end of the line. */
static void a_line_with_a_nul_in_it_is_no_request(void **state)
{
    static const char line[] = "{\"do\":\0\"status\"} and more behind it than there was before it\n";
    struct wire w;
    wire_open(&w, *state);
    assert_true(wire_write(&w, line, sizeof line - 1));
    expect_refused(wire_hear(&w), ERR_MALFORMED, "not JSON");
    json_t *answer = wire_ask(&w, "{\"do\":\"status\"}");
    assert_true(is_ok(answer));
    json_decref(answer);
    wire_close(&w);
}

static void a_line_may_come_byte_by_byte(void **state)
{
    struct rig *rig = *state;
    struct wire w;
    wire_open(&w, rig);
    for (const char *at = "{\"do\":\"status\"}\n"; *at; at++) assert_true(wire_write(&w, at, 1));
    json_t *answer = wire_hear(&w);
    assert_true(is_ok(answer));
    json_decref(answer);
    wire_close(&w);
}

static void what_a_client_asked_for_is_done_though_it_has_gone(void **state)
{
    struct rig *rig = *state;
    struct wire w;
    wire_open(&w, rig);
    wire_say(&w, "{\"do\":\"user-add\",\"users\":[\"carol\"],\"password\":\"a password\"}");
    wire_close(&w);
    while (!has_user(rig, "carol")) { }
}

static void more_clients_than_allowed_are_told_so(void **state)
{
    struct rig *rig = *state;
    struct wire w[CLIENTS_TRIED];
    int count = 0;
    json_t *answer = NULL;
    while (count < CLIENTS_TRIED) {
        wire_open(&w[count], rig);
        (void)wire_write(&w[count], "{\"do\":\"status\"}\n", 16);
        answer = wire_hear(&w[count++]);
        assert_non_null(answer);
        if (!is_ok(answer)) break;
        json_decref(answer);
    }
    assert_in_range(count, 3, CLIENTS_TRIED - 1);
    expect_refused(answer, ERR_BUSY, "too many clients");
    assert_null(wire_hear(&w[count - 1]));
    while (count > 0) wire_close(&w[--count]);
    bool served = false;             /* as soon as the server has seen one of them go */
    while (!served) {
        wire_open(&w[0], rig);
        (void)wire_write(&w[0], "{\"do\":\"status\"}\n", 16);
        answer = wire_hear(&w[0]);
        served = is_ok(answer);
        json_decref(answer);
        wire_close(&w[0]);
    }
}

static void the_socket_is_its_owners_alone(void **state)
{
    struct rig *rig = *state;
    char path[256];
    struct stat st;
    snprintf(path, sizeof path, "%s/admin.sock", rig_folder(rig));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void shutdown_is_answered_and_stops_the_server(void **state)
{
    struct rig *rig = *state;
    struct wire w;
    wire_open(&w, rig);
    json_t *answer = wire_ask(&w, "{\"do\":\"shutdown\"}");
    assert_true(is_ok(answer));
    json_decref(answer);
    assert_null(wire_hear(&w));
    wire_close(&w);
    assert_last_audit_line(rig, " act=shutdown outcome=OK\n");
    rig_down(rig);
    rig_up(rig);
    expect_ok(rig, "{\"do\":\"status\"}");
}

/* -- audit --------------------------------------------------------------------------------------------------------- */

static void each_act_leaves_a_line_that_says_who_did_it_and_a_question_leaves_none(void **state)
{
    struct rig *rig = *state;
    char who[64];
    expect_ok(rig, "{\"do\":\"status\"}");
    expect_ok(rig, "{\"do\":\"user-list\"}");
    expect_ok(rig, "{\"do\":\"invite-list\"}");
    assert_string_equal(audit_log(rig), "");
    expect_ok(rig, "{\"do\":\"invite\"}");
    expect_ok(rig, "{\"do\":\"device-add\",\"users\":[\"bob\"]}");
    assert_int_equal(count_lines(audit_log(rig)), 2);
    snprintf(who, sizeof who, "Z uid=%lu pid=%ld act=invite ", (unsigned long)getuid(), (long)getpid());
    assert_non_null(strstr(audit_log(rig), who));
    rig_down(rig);
    rig_up(rig);
    expect_ok(rig, "{\"do\":\"invite\"}");
    assert_int_equal(count_lines(audit_log(rig)), 3);
}

static void what_cannot_be_audited_is_not_done(void **state)
{
    struct rig *rig = *state;
    char path[256];
    snprintf(path, sizeof path, "%s/audit.log", rig_folder(rig));
    assert_int_equal(mkdir(path, 0700), 0);       /* nobody can write a line into a folder, root included */
    expect_refused(ask(rig, "{\"do\":\"user-add\",\"users\":[\"carol\"],\"password\":\"a password\"}"), ERR_IO,
                   "the audit log cannot be written");
    assert_false(has_user(rig, "carol"));
    expect_refused(ask(rig, "{\"do\":\"invite\"}"), ERR_IO, "nothing was done");
    expect_refused(ask(rig, "{\"do\":\"device-add\",\"users\":[\"bob\"]}"), ERR_IO, "nothing was done");
    expect_refused(ask(rig, "{\"do\":\"shutdown\"}"), ERR_IO, "nothing was done");
    json_t *answer = ask(rig, "{\"do\":\"invite-list\"}"), *row = user_row(rig, "bob");
    assert_int_equal(json_array_size(json_object_get(answer, "invites")), 0);
    assert_int_equal(number_of(row, "devices"), 1);
    json_decref(answer);
    json_decref(row);
    assert_int_equal(rmdir(path), 0);
    expect_ok(rig, "{\"do\":\"user-add\",\"users\":[\"carol\"],\"password\":\"a password\"}");
    assert_true(has_user(rig, "carol"));
}

static void the_audit_log_may_be_moved_away_while_the_server_runs(void **state)
{
    struct rig *rig = *state;
    char path[256], old[272];
    snprintf(path, sizeof path, "%s/audit.log", rig_folder(rig));
    snprintf(old, sizeof old, "%s.1", path);
    expect_ok(rig, "{\"do\":\"invite\"}");
    assert_int_equal(rename(path, old), 0);
    expect_ok(rig, "{\"do\":\"invite\"}");
    assert_int_equal(count_lines(audit_log(rig)), 1);
    assert_last_audit_line(rig, " outcome=OK\n");
}

/* A server whose files are in memory, and its socket in a folder. */
static struct rig *rig_on_a_disk(struct disk **disk_out)
{
    *disk_out = disk_new(1);
    struct rig *rig = rig_new(&(struct rig_options){ .real_folder = true, .disk = *disk_out });
    rig_add(rig, "alice", 1);
    rig_up(rig);
    expect_ok(rig, "{\"do\":\"invite\"}");
    return rig;
}

/* In the next two the line is on disk when the rows turn out not to be. */
static void what_a_full_disk_took_back_is_not_audited_as_done(void **state)
{
    (void)state;
    struct disk *disk;
    struct rig *rig = rig_on_a_disk(&disk);
    disk_set_capacity(disk, disk_used(disk) + 600);    /* room for lines, and for no page of a database */
    expect_refused(ask(rig, "{\"do\":\"invite\"}"), ERR_NO_SPACE, "full");
    assert_null(strstr(audit_log(rig), " act=invite invite=2 "));
    expect_refused(ask(rig, "{\"do\":\"user-add\",\"users\":[\"carol\",\"dave\"],\"password\":\"a password\"}"),
                   ERR_NO_SPACE, "full");
    disk_set_capacity(disk, UINT64_MAX);
    assert_false(has_user(rig, "carol"));
    expect_ok(rig, "{\"do\":\"invite\"}");
    json_t *answer = ask(rig, "{\"do\":\"invite-list\"}");
    assert_int_equal(json_array_size(json_object_get(answer, "invites")), 2);
    json_decref(answer);
    assert_int_equal(count_lines(audit_log(rig)), 2);
    rig_free(rig);
}

static void what_a_failing_disk_took_back_has_its_line_corrected(void **state)
{
    (void)state;
    struct disk *disk;
    struct rig *rig = rig_on_a_disk(&disk);
    disk_fail_write(disk, 2);                          /* 1: the line */
    expect_refused(ask(rig, "{\"do\":\"invite\"}"), ERR_IO, "");
    assert_int_equal(count_lines(audit_log(rig)), 2);
    assert_non_null(strstr(audit_log(rig), " act=invite invite=2 "));
    assert_last_audit_line(rig, " outcome=IO\n");
    rig_free(rig);
}

#define ON_A_SERVER(test) cmocka_unit_test_setup_teardown(test, wire_setup, wire_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_SERVER(what_is_no_request_is_refused_by_name_and_the_next_line_is_served),
        ON_A_SERVER(a_line_over_the_limit_is_refused_and_ends_the_connection),
        ON_A_SERVER(requests_of_one_write_are_answered_in_order),
        ON_A_SERVER(a_line_with_a_nul_in_it_is_no_request),
        ON_A_SERVER(a_line_may_come_byte_by_byte),
        ON_A_SERVER(what_a_client_asked_for_is_done_though_it_has_gone),
        ON_A_SERVER(more_clients_than_allowed_are_told_so),
        ON_A_SERVER(the_socket_is_its_owners_alone),
        ON_A_SERVER(shutdown_is_answered_and_stops_the_server),
        ON_A_SERVER(each_act_leaves_a_line_that_says_who_did_it_and_a_question_leaves_none),
        ON_A_SERVER(what_cannot_be_audited_is_not_done),
        cmocka_unit_test(what_a_full_disk_took_back_is_not_audited_as_done),
        cmocka_unit_test(what_a_failing_disk_took_back_has_its_line_corrected),
        ON_A_SERVER(the_audit_log_may_be_moved_away_while_the_server_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
