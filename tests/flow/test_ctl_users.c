/* test_ctl_users.c - users, their devices and invites, as pipitctl adds, lists, changes and removes them. */
#include "tests/flow/flow.h"
#include "tests/harness/owner.h"
#include "tests/harness/web.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>

/* -- users and invites --------------------------------------------------------------------------------------------- */

static void users_are_added_and_listed(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(ctl_on(rig, WORDS("user", "add", "bob", "carol")), 0);
    assert_string_equal(said.out, "added 2 users\n");
    assert_int_equal(ctl_on(rig, WORDS("user", "add", "dave", "bob")), 1);
    assert_said(said.err, "refused: bob: this name is taken (EXISTS)");
    assert_int_equal(ctl_on(rig, WORDS("user", "list")), 0);
    assert_null(strstr(said.out, "dave"));
    assert_said(line_with("alice"), "1 device");
    assert_said(line_with("carol"), "seen never");
    assert_said(line_with("carol"), "0 devices");
    assert_int_equal(ctl_on(rig, WORDS("user", "list", "--json")), 0);
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
    assert_int_equal(ctl_on(rig, WORDS("user", "add", "bob")), 2);
    assert_said(said.err, "no password: give a file or PIPIT_PASSWORD");
    assert_int_equal(ctl_on(rig, WORDS("user", "add", "bob", "--password-file", path)), 0);
    assert_int_equal(web_login(rig, NULL, "bob", "from the file", NULL), 200);
}

static void a_token_opens_a_session(void **state)
{
    struct rig *rig = *state;
    struct user_id alice = rig_user("alice");
    struct device_id device;
    uint8_t token[TOKEN_BYTES];
    char id[64], hex[2 * TOKEN_BYTES + 1];
    assert_int_equal(ctl_on(rig, WORDS("user", "token", "alice")), 0);
    assert_int_equal(sscanf(said.out, "alice %63s %64s", id, hex), 2);
    assert_int_equal(device_id_parse(bytes_of_str(id), &device), 0);
    assert_int_equal(sodium_hex2bin(token, sizeof token, hex, strlen(hex), NULL, NULL, NULL), 0);
    struct talker *a = talker_open(rig_port(rig), &alice, device, token);
    talker_expect(a, MSG_SYNCED);
    talker_close(a);
    assert_int_equal(ctl_on(rig, WORDS("user", "token", "alice", "nobody")), 1);
    assert_said(said.err, "nobody: ");
}

static void an_invite_is_made_listed_and_revoked(void **state)
{
    struct rig *rig = *state;
    char code[64];
    assert_int_equal(ctl_on(rig, WORDS("invite")), 0);
    assert_int_equal(sscanf(said.out, "%63s\n", code), 1);
    assert_int_equal(ctl_on(rig, WORDS("invite", "new", "--uses", "3", "--days", "2", "--note", "for bob and others")),
                     0);
    assert_int_equal(ctl_on(rig, WORDS("invite", "list")), 0);
    assert_null(strstr(said.out, code));
    assert_said(line_with("for bob and others"), "   2  good     3 of 3 left");
    assert_int_equal(ctl_on(rig, WORDS("invite", "revoke", "2")), 0);
    assert_string_equal(said.out, "invite 2 is revoked\n");
    assert_int_equal(ctl_on(rig, WORDS("invite", "revoke", code)), 0);
    assert_string_equal(said.out, "invite 1 is revoked\n");
    assert_int_equal(ctl_on(rig, WORDS("invite", "list")), 0);
    assert_string_equal(said.out, "");
    assert_int_equal(ctl_on(rig, WORDS("invite", "list", "--all")), 0);
    assert_said(line_with("for bob"), "revoked");
    assert_int_equal(ctl_on(rig, WORDS("invite", "revoke", "3")), 1);
    assert_said(said.err, "no such invite");
    assert_int_equal(ctl_on(rig, WORDS("invite", "--json", "--note", "x")), 0);
    json_t *answer = json_loads(said.out, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(answer, "number")), 3);
    assert_true(json_is_string(json_object_get(answer, "invite")));
    json_decref(answer);
    assert_int_equal(ctl_on(rig, WORDS("invite", "--uses", "100001")), 1);
    assert_said(said.err, "uses: a whole number from 1 to 100000");
}

static void users_are_disabled_and_enabled(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(ctl_on(rig, WORDS("user", "add", "bob")), 0);
    assert_int_equal(ctl_on(rig, WORDS("user", "disable", "alice", "bob")), 0);
    assert_string_equal(said.out, "alice is disabled\nbob is disabled\n");
    assert_int_equal(web_login(rig, NULL, "alice", "a password", NULL), 401);
    assert_int_equal(ctl_on(rig, WORDS("user", "list")), 0);
    assert_said(line_with("bob"), "disabled");
    assert_int_equal(ctl_on(rig, WORDS("user", "enable", "alice")), 0);
    assert_string_equal(said.out, "alice is enabled\n");
    assert_int_equal(web_login(rig, NULL, "alice", "a password", NULL), 200);
    assert_int_equal(ctl_on(rig, WORDS("user", "list")), 0);
    assert_null(strstr(line_with("alice"), "disabled"));
    assert_int_equal(ctl_on(rig, WORDS("user", "enable", "nobody", "bob")), 1);    /* stops there */
    assert_said(said.err, "refused: nobody: no such user (NOT_FOUND)");
    assert_string_equal(said.out, "");
}

static void a_user_is_removed_only_by_who_is_sure(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(ctl_on(rig, WORDS("user", "remove", "alice")), 2);
    assert_said(said.err, "there is no terminal to ask on; --yes does it without asking");
    assert_int_equal(ctl_on_terminal(rig, WORDS("user", "remove", "alice"), "alcie\n"), 2);
    assert_said(said.out, "not the same: nothing was done");
    assert_int_equal(web_login(rig, NULL, "alice", "a password", NULL), 200);
    assert_int_equal(ctl_on_terminal(rig, WORDS("user", "remove", "alice"), "alice\n"), 0);
    assert_said(said.out, "alice is removed");
    assert_int_equal(web_login(rig, NULL, "alice", "a password", NULL), 401);
    assert_int_equal(ctl_on(rig, WORDS("user", "add", "alice")), 1);
    assert_said(said.err, "alice: this name is taken");
    assert_int_equal(ctl_on(rig, WORDS("user", "add", "bob")), 0);
    assert_int_equal(ctl_on(rig, WORDS("user", "remove", "--yes", "bob")), 0);
    assert_string_equal(said.out, "bob is removed\n");
}

static void a_password_is_made_and_printed_once_or_taken(void **state)
{
    struct rig *rig = *state;
    char first[64], second[64];
    unsetenv("PIPIT_PASSWORD");
    assert_int_equal(ctl_on(rig, WORDS("user", "reset-password", "alice")), 0);
    assert_int_equal(sscanf(said.out, "%63s", first), 1);
    assert_int_equal(strlen(first), 23);
    assert_int_equal(strlen(said.out), 24);       /* the password alone, and its line end */
    assert_said(said.err, "1 device was logged out");
    assert_int_equal(web_login(rig, NULL, "alice", "a password", NULL), 401);
    assert_int_equal(web_login(rig, NULL, "alice", first, NULL), 200);
    assert_int_equal(ctl_on(rig, WORDS("user", "reset-password", "alice", "--keep-devices")), 0);
    assert_int_equal(sscanf(said.out, "%63s", second), 1);
    assert_string_not_equal(first, second);
    assert_said(said.err, "0 devices were logged out");
    setenv("PIPIT_PASSWORD", "one of my own", 1);
    assert_int_equal(ctl_on(rig, WORDS("user", "reset-password", "alice")), 0);
    assert_string_equal(said.out, "");            /* no secret that is known already */
    assert_null(strstr(said.err, "my own"));
    assert_int_equal(web_login(rig, NULL, "alice", "one of my own", NULL), 200);
    assert_int_equal(ctl_on(rig, WORDS("user", "reset-password", "alice", "--ask")), 2);
    assert_said(said.err, "there is no terminal to ask on");
    assert_int_equal(ctl_on(rig, WORDS("user", "reset-password", "nobody")), 1);
    assert_said(said.err, "nobody: no such user");
}

static void a_device_is_revoked_by_its_id(void **state)
{
    struct rig *rig = *state;
    char id[DEVICE_ID_TEXT];
    device_id_print(rig_device(rig, "alice", 0)->device, id);
    assert_int_equal(ctl_on(rig, WORDS("user", "devices", "alice")), 0);
    assert_said(line_with(id), "seen never");
    assert_null(strstr(said.out, "revoked"));
    assert_int_equal(ctl_on(rig, WORDS("user", "revoke", "alice", id)), 0);
    assert_int_equal(ctl_on(rig, WORDS("user", "devices", "alice")), 0);
    assert_said(line_with(id), "revoked");
    assert_int_equal(ctl_on(rig, WORDS("user", "devices", "alice", "--json")), 0);
    json_t *row = json_loads(line_with(id), 0, NULL);
    assert_true(json_is_true(json_object_get(row, "revoked")));
    json_decref(row);
    assert_int_equal(ctl_on(rig, WORDS("user", "revoke", "alice", id)), 1);
    assert_int_equal(ctl_on(rig, WORDS("user", "revoke", "alice")), 2);
    assert_int_equal(ctl_on(rig, WORDS("user", "devices", "nobody")), 1);
}

#define ON_A_SERVER(test) cmocka_unit_test_setup_teardown(test, owner_setup, owner_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_SERVER(users_are_added_and_listed),
        ON_A_SERVER(a_password_is_taken_from_a_file_or_there_is_none),
        ON_A_SERVER(a_token_opens_a_session),
        ON_A_SERVER(users_are_disabled_and_enabled),
        ON_A_SERVER(a_user_is_removed_only_by_who_is_sure),
        ON_A_SERVER(a_password_is_made_and_printed_once_or_taken),
        ON_A_SERVER(a_device_is_revoked_by_its_id),
        ON_A_SERVER(an_invite_is_made_listed_and_revoked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
