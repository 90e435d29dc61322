/* test_admin_users.c - users, devices and invites over the admin socket. What a request changes is looked for where it
 * matters: in a session, in a log-in, in the next list, in DIR/audit.log. */
#include "tests/flow/flow.h"

#include <sodium.h>
#include <stdlib.h>

#include "tests/harness/web.h"
#include "tests/harness/wire.h"

/* -- users --------------------------------------------------------------------------------------------------------- */

static void a_name_given_twice_leaves_none_of_its_request_behind(void **state)
{
    struct rig *rig = *state;
    expect_refused(ask(rig,
                       "{\"do\":\"user-add\",\"users\":[\"carol\",\"dave\",\"carol\"],\"password\":\"a password\"}"),
                   ERR_EXISTS, "carol: ");
    assert_false(has_user(rig, "carol"));
    assert_false(has_user(rig, "dave"));
    expect_refused(ask(rig, "{\"do\":\"user-add\",\"users\":[\"carol\",\"alice\"],\"password\":\"a password\"}"),
                   ERR_EXISTS, "alice: ");
    assert_false(has_user(rig, "carol"));
    assert_last_audit_line(rig, " act=user-add whom=carol,alice outcome=EXISTS\n");
    expect_ok(rig, "{\"do\":\"user-add\",\"users\":[\"carol\",\"dave\"],\"password\":\"a password\"}");
    assert_true(has_user(rig, "dave"));
    assert_last_audit_line(rig, " act=user-add whom=carol,dave outcome=OK\n");
    assert_null(strstr(audit_log(rig), "a password"));
}

static void a_long_list_of_users_comes_in_pages_each_once_and_in_order(void **state)
{
    enum { USERS = 1203 };
    struct rig *rig = *state;
    json_t *names = json_array(), *row;
    char name[16], line[128], last[40] = "";
    for (int i = 0; i < USERS; i++) {
        snprintf(name, sizeof name, "u%04d", i);
        json_array_append_new(names, json_string(name));
    }
    json_t *request = json_pack("{s:s, s:o, s:s}", "do", "user-add", "users", names, "password", "a password");
    char *text = json_dumps(request, JSON_COMPACT);
    expect_ok(rig, text);
    free(text);
    json_decref(request);

    size_t seen = 0, pages = 0, i;
    bool more = true;
    struct wire w;
    wire_open(&w, rig);
    while (more) {
        if (last[0]) snprintf(line, sizeof line, "{\"do\":\"user-list\",\"after\":\"%s\"}", last);
        else snprintf(line, sizeof line, "{\"do\":\"user-list\"}");
        json_t *answer = wire_ask(&w, line), *users = json_object_get(answer, "users");
        assert_true(json_array_size(users) <= 500);
        json_array_foreach(users, i, row) {
            assert_true(strcmp(text_of(row, "user"), last) > 0);
            snprintf(last, sizeof last, "%s", text_of(row, "user"));
            seen++;
        }
        more = json_is_true(json_object_get(answer, "more"));
        pages++;
        json_decref(answer);
    }
    wire_close(&w);
    assert_int_equal(seen, USERS + 2);
    assert_int_equal(pages, 3);
}

static void the_list_shows_devices_and_when_one_was_last_seen(void **state)
{
    struct rig *rig = *state;
    json_t *row = user_row(rig, "alice");
    assert_int_equal(number_of(row, "devices"), 2);
    assert_int_equal(number_of(row, "seen"), 0);
    assert_false(json_is_true(json_object_get(row, "disabled")));
    assert_true(number_of(row, "created") > 0);
    json_decref(row);
    struct talker *a = rig_talk(rig, "alice", 0);
    talker_expect(a, MSG_SYNCED);
    talker_close(a);
    json_int_t seen = 0;
    while (seen == 0) {                  /* noted when the session has ended */
        row = user_row(rig, "alice");
        seen = number_of(row, "seen");
        json_decref(row);
    }
}

/* Two sessions of alice, synced, and one of bob. */
struct sessions { struct talker *a, *b, *bob; };

static struct sessions sessions_open(struct rig *rig)
{
    struct sessions s = { rig_talk(rig, "alice", 0), rig_talk(rig, "alice", 1), rig_talk(rig, "bob", 0) };
    talker_expect(s.a, MSG_SYNCED);
    talker_expect(s.b, MSG_SYNCED);
    talker_expect(s.bob, MSG_SYNCED);
    return s;
}

static void sessions_close(struct sessions *s)
{
    talker_close(s->a);
    talker_close(s->b);
    talker_close(s->bob);
}

/* GOODBYE says why, and the connection ends. */
static void assert_thrown_out(struct talker *t, int err)
{
    const struct msg *m = talker_expect(t, MSG_GOODBYE);
    assert_string_equal(err_name(-(int)m->u.goodbye.code), err_name(err));
    talker_expect_close(t);
}

static void assert_hello_refused(struct rig *rig, const char *user, uint32_t index, int err)
{
    const struct rig_device *d = rig_device(rig, user, index);
    struct talker *t = talker_upgrade(rig_port(rig));
    talker_hello(t, &d->user, d->device, d->token);
    const struct msg *m = talker_next(t);
    if (m->type == MSG_ERROR) assert_error(m, err);
    else assert_string_equal(err_name(-(int)m->u.goodbye.code), err_name(err));
    talker_close(t);
}

static void a_disabled_user_is_out_at_once_until_enabled(void **state)
{
    struct rig *rig = *state;
    struct sessions s = sessions_open(rig);
    expect_ok(rig, "{\"do\":\"user-disable\",\"user\":\"alice\"}");
    assert_last_audit_line(rig, " act=user-disable whom=alice outcome=OK\n");
    assert_thrown_out(s.a, ERR_AUTH);
    assert_thrown_out(s.b, ERR_AUTH);
    assert_int_equal(web_login(rig, NULL, "alice", "a password", NULL), 401);
    assert_hello_refused(rig, "alice", 0, ERR_AUTH);
    json_t *row = user_row(rig, "alice");
    assert_true(json_is_true(json_object_get(row, "disabled")));
    json_decref(row);
    send_text(s.bob, "alice", 1, "are you there");       /* bob is let alone, and what he says is kept */
    expect_ok(rig, "{\"do\":\"user-enable\",\"user\":\"alice\"}");
    assert_last_audit_line(rig, " act=user-enable whom=alice outcome=OK\n");
    struct talker *again = rig_talk(rig, "alice", 0);
    expect_text(again, "are you there");
    talker_close(again);
    assert_int_equal(web_login(rig, NULL, "alice", "a password", NULL), 200);
    sessions_close(&s);
    expect_refused(ask(rig, "{\"do\":\"user-disable\",\"user\":\"nobody\"}"), ERR_NOT_FOUND, "nobody: no such user");
    expect_refused(ask(rig, "{\"do\":\"user-enable\",\"user\":\"nobody\"}"), ERR_NOT_FOUND, "nobody: no such user");
    expect_refused(ask(rig, "{\"do\":\"user-disable\"}"), ERR_NAME, "not a text:");
}

static void a_removed_user_is_gone_and_its_name_stays_taken(void **state)
{
    struct rig *rig = *state;
    struct sessions s = sessions_open(rig);
    expect_ok(rig, "{\"do\":\"user-remove\",\"user\":\"alice\"}");
    assert_last_audit_line(rig, " act=user-remove whom=alice outcome=OK\n");
    assert_thrown_out(s.a, ERR_REVOKED);
    assert_thrown_out(s.b, ERR_REVOKED);
    assert_int_equal(talker_settle(s.bob), 0);
    sessions_close(&s);
    assert_false(has_user(rig, "alice"));
    assert_int_equal(web_login(rig, NULL, "alice", "a password", NULL), 401);
    expect_refused(ask(rig, "{\"do\":\"user-add\",\"users\":[\"alice\"],\"password\":\"a password\"}"), ERR_EXISTS,
                   "alice: ");
    expect_refused(ask(rig, "{\"do\":\"user-remove\",\"user\":\"alice\"}"), ERR_NOT_FOUND, "alice: no such user");
    expect_refused(ask(rig, "{\"do\":\"user-disable\",\"user\":\"alice\"}"), ERR_NOT_FOUND, "alice: ");
}

static void another_password_logs_out_all_devices_or_keeps_them(void **state)
{
    struct rig *rig = *state;
    struct sessions s = sessions_open(rig);
    expect_ok(rig,
              "{\"do\":\"user-password\",\"user\":\"alice\",\"password\":\"the second one\",\"keep_devices\":true}");
    assert_last_audit_line(rig, " act=user-password whom=alice revoked=0 outcome=OK\n");
    assert_int_equal(web_login(rig, NULL, "alice", "a password", NULL), 401);
    assert_int_equal(web_login(rig, NULL, "alice", "the second one", NULL), 200);    /* a third device */
    send_text(s.a, "bob", 1, "still here");
    json_t *answer = ask(rig, "{\"do\":\"user-password\",\"user\":\"alice\",\"password\":\"the third one\"}");
    assert_true(is_ok(answer));
    assert_int_equal(number_of(answer, "revoked"), 3);
    json_decref(answer);
    assert_thrown_out(s.a, ERR_REVOKED);
    assert_thrown_out(s.b, ERR_REVOKED);
    assert_hello_refused(rig, "alice", 0, ERR_REVOKED);
    assert_int_equal(web_login(rig, NULL, "alice", "the second one", NULL), 401);
    assert_int_equal(web_login(rig, NULL, "alice", "the third one", NULL), 200);
    sessions_close(&s);
    assert_null(strstr(audit_log(rig), "second"));
    assert_null(strstr(audit_log(rig), "third"));
    expect_refused(ask(rig, "{\"do\":\"user-password\",\"user\":\"nobody\",\"password\":\"a password\"}"),
                   ERR_NOT_FOUND, "nobody: no such user");
    expect_refused(ask(rig, "{\"do\":\"user-password\",\"user\":\"bob\",\"password\":\"short\"}"), ERR_PASSWORD,
                   "password:");
    expect_refused(ask(rig,
                       "{\"do\":\"user-password\",\"user\":\"bob\",\"password\":\"a password\",\"keep_devices\":1}"),
                   ERR_TYPE, "keep_devices: true or false");
}

static void a_name_that_looks_like_another_is_not_added(void **state)
{
    struct rig *rig = *state;
    expect_refused(ask(rig, "{\"do\":\"user-add\",\"users\":[\"b0b\"],\"password\":\"a password\"}"), ERR_EXISTS,
                   "b0b: looks like a name that is taken");
    assert_false(has_user(rig, "b0b"));
}

/* -- devices ------------------------------------------------------------------------------------------------------- */

static void a_device_that_was_added_opens_a_session_with_its_token(void **state)
{
    struct rig *rig = *state;
    json_t *answer = ask(rig, "{\"do\":\"device-add\",\"users\":[\"alice\",\"bob\"],\"name\":\"a bot\"}");
    json_t *devices = json_object_get(answer, "devices"), *row = json_array_get(devices, 1);
    struct user_id bob = rig_user("bob");
    struct device_id device;
    uint8_t token[TOKEN_BYTES];
    assert_int_equal(json_array_size(devices), 2);
    assert_string_equal(text_of(row, "user"), "bob");
    assert_int_equal(device_id_parse(bytes_of_str(text_of(row, "device")), &device), 0);
    assert_int_equal(sodium_hex2bin(token, sizeof token, text_of(row, "token"), 2 * TOKEN_BYTES, NULL, NULL, NULL), 0);
    struct talker *b = talker_open(rig_port(rig), &bob, device, token);
    talker_expect(b, MSG_SYNCED);
    talker_close(b);
    assert_last_audit_line(rig, " act=device-add whom=alice,bob outcome=OK\n");
    assert_null(strstr(audit_log(rig), text_of(row, "token")));
    json_decref(answer);
}

static void a_users_sessions_hear_of_a_device_that_was_added(void **state)
{
    struct rig *rig = *state;
    struct sessions s = sessions_open(rig);
    json_t *answer = ask(rig, "{\"do\":\"device-add\",\"users\":[\"bob\",\"alice\"],\"name\":\"a bot\"}");
    assert_true(is_ok(answer));
    json_decref(answer);
    struct talker *all[] = { s.a, s.b, s.bob };
    for (int i = 0; i < 3; i++) {
        const struct msg *m = talker_expect(all[i], MSG_DEVICE_CHANGED);
        assert_int_equal(m->u.device_changed.what, DEVICE_ADDED);
        assert_int_equal(m->u.device_changed.name.len, 5);
    }
    sessions_close(&s);
}

static void a_revoked_device_is_out_at_once_and_the_others_hear_of_it(void **state)
{
    struct rig *rig = *state;
    struct sessions s = sessions_open(rig);
    char id[DEVICE_ID_TEXT], line[200], ending[128];
    device_id_print(rig_device(rig, "alice", 1)->device, id);
    json_t *answer = ask(rig, "{\"do\":\"device-list\",\"user\":\"alice\"}"), *row;
    size_t i, found = 0;
    assert_int_equal(json_array_size(json_object_get(answer, "devices")), 2);
    json_array_foreach(json_object_get(answer, "devices"), i, row) found += strcmp(text_of(row, "device"), id) == 0;
    assert_int_equal(found, 1);
    json_decref(answer);
    snprintf(line, sizeof line, "{\"do\":\"device-revoke\",\"user\":\"alice\",\"device\":\"%s\"}", id);
    expect_ok(rig, line);
    snprintf(ending, sizeof ending, " act=device-revoke whom=alice device=%s outcome=OK\n", id);
    assert_last_audit_line(rig, ending);
    assert_thrown_out(s.b, ERR_REVOKED);
    assert_int_equal(talker_expect(s.a, MSG_DEVICE_CHANGED)->u.device_changed.what, DEVICE_REVOKED);
    assert_hello_refused(rig, "alice", 1, ERR_REVOKED);
    sessions_close(&s);
    answer = ask(rig, "{\"do\":\"device-list\",\"user\":\"alice\"}");
    json_array_foreach(json_object_get(answer, "devices"), i, row) {
        assert_int_equal(json_is_true(json_object_get(row, "revoked")), strcmp(text_of(row, "device"), id) == 0);
    }
    json_decref(answer);
    expect_refused(ask(rig, line), ERR_NOT_FOUND, "alice: no such device");
    expect_refused(ask(rig, "{\"do\":\"device-revoke\",\"user\":\"alice\",\"device\":\"7\"}"), ERR_RANGE, "device:");
    expect_refused(ask(rig, "{\"do\":\"device-list\",\"user\":\"nobody\"}"), ERR_NOT_FOUND, "nobody: no such user");
}

static void a_device_for_nobody_adds_none(void **state)
{
    struct rig *rig = *state;
    expect_refused(ask(rig, "{\"do\":\"device-add\",\"users\":[\"bob\",\"nobody\"]}"), ERR_NOT_FOUND, "nobody: ");
    json_t *row = user_row(rig, "bob");
    assert_int_equal(number_of(row, "devices"), 1);
    json_decref(row);
    assert_last_audit_line(rig, " act=device-add whom=bob,nobody outcome=NOT_FOUND\n");
}

/* -- invites ------------------------------------------------------------------------------------------------------- */

static int register_with(struct rig *rig, const char *user, const char *code)
{
    static struct web w;
    char body[256];
    snprintf(body, sizeof body, "{\"user\":\"%s\",\"password\":\"a password\",\"invite\":\"%s\"}", user, code);
    return web_ask(rig, NULL, "POST", "/v1/register", NULL, body, &w);
}

/* The invite's row; decref it. */
static json_t *invite_row(struct rig *rig, json_int_t number)
{
    json_t *answer = ask(rig, "{\"do\":\"invite-list\"}"), *row, *found = NULL;
    size_t i;
    json_array_foreach(json_object_get(answer, "invites"), i, row) {
        if (number_of(row, "number") == number) found = json_incref(row);
    }
    json_decref(answer);
    assert_non_null(found);
    return found;
}

static void an_invites_bounds_are_told(void **state)
{
    static const struct { const char *line, *clause; } bad[] = {
        { "{\"do\":\"invite\",\"uses\":0}", "uses: a whole number from 1 to 100000" },
        { "{\"do\":\"invite\",\"uses\":100001}", "uses:" },
        { "{\"do\":\"invite\",\"uses\":\"3\"}", "uses:" },
        { "{\"do\":\"invite\",\"uses\":1.5}", "uses:" },
        { "{\"do\":\"invite\",\"days\":0}", "days: a whole number from 1 to 3650" },
        { "{\"do\":\"invite\",\"days\":4000}", "days:" },
        { "{\"do\":\"invite\",\"days\":-1}", "days:" },
        { "{\"do\":\"invite\",\"note\":7}", "note: a text of at most 200 bytes" },
        { "{\"do\":\"invite\",\"note\":\"a\\u001bb\"}", "note:" },
        { "{\"do\":\"invite-list\",\"after\":-1}", "after:" },
        { "{\"do\":\"invite-revoke\"}", "either `number`" },
        { "{\"do\":\"invite-revoke\",\"number\":0}", "either `number`" },
        { "{\"do\":\"invite-revoke\",\"number\":1,\"invite\":\"x\"}", "either `number`" },
    };
    struct rig *rig = *state;
    char line[300];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused(ask(rig, bad[i].line), ERR_RANGE, bad[i].clause);
    snprintf(line, sizeof line, "{\"do\":\"invite\",\"note\":\"%0201d\"}", 0);
    expect_refused(ask(rig, line), ERR_RANGE, "note:");
    json_t *answer = ask(rig, "{\"do\":\"invite-list\"}");
    assert_int_equal(json_array_size(json_object_get(answer, "invites")), 0);
    json_decref(answer);
}

static void an_invite_is_listed_by_number_with_what_is_left_of_it(void **state)
{
    struct rig *rig = *state;
    json_t *answer = ask(rig, "{\"do\":\"invite\",\"uses\":2,\"days\":3,\"note\":\"the ch\xc3\xa2teau\"}");
    json_int_t number = number_of(answer, "number");
    char code[64];
    snprintf(code, sizeof code, "%s", text_of(answer, "invite"));
    assert_true(number > 0);
    json_t *row = invite_row(rig, number);
    assert_string_equal(text_of(row, "state"), "good");
    assert_string_equal(text_of(row, "note"), "the ch\xc3\xa2teau");
    assert_int_equal(number_of(row, "uses"), 2);
    assert_int_equal(number_of(row, "uses_left"), 2);
    assert_int_equal(number_of(row, "expires") - number_of(row, "created"), 3 * 24 * 3600 * 1000);
    assert_int_equal(number_of(row, "expires"), number_of(answer, "expires"));
    json_decref(row);
    json_decref(answer);
    assert_int_equal(register_with(rig, "carol", code), 201);
    row = invite_row(rig, number);
    assert_int_equal(number_of(row, "uses_left"), 1);
    json_decref(row);
    assert_int_equal(register_with(rig, "dave", code), 201);
    assert_int_equal(register_with(rig, "erin", code), 403);
    row = invite_row(rig, number);
    assert_string_equal(text_of(row, "state"), "used");
    json_decref(row);
    assert_null(strstr(audit_log(rig), code));
    assert_non_null(strstr(audit_log(rig), " act=invite invite=1 uses=2 expires="));
}

static void a_revoked_invite_lets_nobody_in(void **state)
{
    struct rig *rig = *state;
    char line[128], code[2][64];
    json_int_t number[2];
    for (int i = 0; i < 2; i++) {
        json_t *answer = ask(rig, "{\"do\":\"invite\",\"uses\":5}");
        snprintf(code[i], sizeof code[i], "%s", text_of(answer, "invite"));
        number[i] = number_of(answer, "number");
        json_decref(answer);
    }
    assert_int_not_equal(number[0], number[1]);
    snprintf(line, sizeof line, "{\"do\":\"invite-revoke\",\"number\":%lld}", (long long)number[0]);
    expect_ok(rig, line);
    assert_last_audit_line(rig, " act=invite-revoke invite=1 outcome=OK\n");
    assert_int_equal(register_with(rig, "carol", code[0]), 403);
    assert_int_equal(register_with(rig, "carol", code[1]), 201);
    snprintf(line, sizeof line, "{\"do\":\"invite-revoke\",\"invite\":\"%s\"}", code[1]);
    json_t *answer = ask(rig, line), *row = invite_row(rig, number[1]);
    assert_int_equal(number_of(answer, "number"), number[1]);
    assert_string_equal(text_of(row, "state"), "revoked");
    assert_int_equal(number_of(row, "uses_left"), 4);
    json_decref(answer);
    json_decref(row);
    assert_int_equal(register_with(rig, "dave", code[1]), 403);
    assert_null(strstr(audit_log(rig), code[1]));
    expect_refused(ask(rig, "{\"do\":\"invite-revoke\",\"number\":99}"), ERR_INVITE, "no such invite");
    expect_refused(ask(rig, "{\"do\":\"invite-revoke\",\"invite\":\"guessed\"}"), ERR_INVITE, "no such invite");
    assert_null(strstr(audit_log(rig), "guessed"));
}

#define ON_A_SERVER(test) cmocka_unit_test_setup_teardown(test, wire_setup, wire_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_SERVER(a_name_given_twice_leaves_none_of_its_request_behind),
        ON_A_SERVER(a_long_list_of_users_comes_in_pages_each_once_and_in_order),
        ON_A_SERVER(the_list_shows_devices_and_when_one_was_last_seen),
        ON_A_SERVER(a_disabled_user_is_out_at_once_until_enabled),
        ON_A_SERVER(a_removed_user_is_gone_and_its_name_stays_taken),
        ON_A_SERVER(another_password_logs_out_all_devices_or_keeps_them),
        ON_A_SERVER(a_name_that_looks_like_another_is_not_added),
        ON_A_SERVER(a_users_sessions_hear_of_a_device_that_was_added),
        ON_A_SERVER(a_revoked_device_is_out_at_once_and_the_others_hear_of_it),
        ON_A_SERVER(a_device_that_was_added_opens_a_session_with_its_token),
        ON_A_SERVER(a_device_for_nobody_adds_none),
        ON_A_SERVER(an_invites_bounds_are_told),
        ON_A_SERVER(an_invite_is_listed_by_number_with_what_is_left_of_it),
        ON_A_SERVER(a_revoked_invite_lets_nobody_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
