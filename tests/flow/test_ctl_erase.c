/* test_ctl_erase.c - pipitctl erase and export, as the owner types them. */
#include <sodium.h>
#include <stdlib.h>

#include "tests/flow/flow.h"
#include "tests/harness/owner.h"
#include "tests/harness/wire.h"

static void two_talk(struct rig *rig, int messages)
{
    expect_ok(rig, "{\"do\":\"user-add\",\"users\":[\"bob\",\"carol\"],\"password\":\"a password\"}");
    struct talker *a = rig_talk(rig, "alice", 0);
    for (int i = 1; i <= messages; i++) send_text(a, "bob", (uint64_t)i, "hello bob");
    send_text(a, "carol", (uint64_t)messages + 1, "hello carol");
    talker_close(a);
}

static void what_cannot_be_undone_is_asked_for_twice(void **state)
{
    struct rig *rig = *state;
    two_talk(rig, 3);
    assert_int_equal(ctl_on(rig, WORDS("erase", "user", "alice")), 2);
    assert_said(said.err, "--yes does it without asking");
    assert_int_equal(ctl_on_terminal(rig, WORDS("erase", "user", "alice"), "bob\n"), 2);
    assert_said(said.out, "nothing was done");
    assert_int_equal(ctl_on(rig, WORDS("erase", "conversation", "--with", "alice")), 2);
    assert_int_equal(ctl_on(rig, WORDS("erase", "conversation", "17", "--yes")), 2);
    assert_said(said.err, "32 hexadecimal digits");
    assert_true(has_user(rig, "alice"));
    assert_int_equal(ctl_on_terminal(rig, WORDS("erase", "user", "alice"), "alice\n"), 0);
    assert_said(said.out, "erased user alice");
    assert_false(has_user(rig, "alice"));
    assert_int_equal(ctl_on(rig, WORDS("erase", "user", "alice", "--yes")), 1);
    assert_said(said.err, "erased already");
}

static void what_was_destroyed_is_printed(void **state)
{
    struct rig *rig = *state;
    two_talk(rig, 3);
    assert_int_equal(ctl_on(rig, WORDS("erase", "conversation", "--with", "alice", "bob", "--yes")), 0);
    assert_said(said.out, "1 key destroyed");
    assert_said(said.out, "3 messages that nobody can open any more");
    assert_int_equal(ctl_on(rig, WORDS("erase", "conversation", "--with", "bob", "carol", "--yes")), 1);
    assert_said(said.err, "no such conversation");
}

/* The line that says `line` and has `value` in the member `name`; fails the test when there is none. */
static json_t *line_of(const char *line, const char *name, const char *value)
{
    static char all[CTL_OUT_MAX];
    char *rest = strcpy(all, said.out), *text;
    while ((text = strsep(&rest, "\n"))) {
        json_t *row = json_loads(text, 0, NULL);
        if (!strcmp(text_of(row, "line"), line) && !strcmp(text_of(row, name), value)) return row;
        json_decref(row);
    }
    fail_msg("no %s with %s = %s in: %s", line, name, value, said.out);
    return NULL;
}

static size_t count_of(const char *what)
{
    size_t count = 0;
    for (const char *at = said.out; (at = strstr(at, what)); at++) count++;
    return count;
}

static void an_export_has_account_devices_conversations_and_every_message(void **state)
{
    enum { MESSAGES = 130 };             /* more than a page */
    struct rig *rig = *state;
    two_talk(rig, MESSAGES);
    rig_down(rig);                       /* rows are a flush behind the log while it runs */
    rig_up(rig);
    assert_int_equal(ctl_on(rig, WORDS("export", "user", "alice")), 0);
    json_decref(line_of("account", "user", "alice"));
    json_decref(line_of("device", "name", "alice"));
    json_t *row = line_of("conversation", "with", "bob");
    assert_int_equal(number_of(row, "head"), MESSAGES);
    assert_int_equal(json_array_size(json_object_get(row, "members")), 2);
    json_decref(row);
    assert_int_equal(count_of("\"line\":\"message\""), MESSAGES + 1);
    row = line_of("message", "from", "alice");
    uint8_t body[64];
    size_t len = 0;
    struct bytes text;
    assert_int_equal(sodium_base642bin(body, sizeof body, text_of(row, "body"), strlen(text_of(row, "body")), NULL, &len,
                                       NULL, sodium_base64_VARIANT_ORIGINAL), 0);
    assert_int_equal(content_text_decode(bytes_of(body, len), &text), 0);
    assert_memory_equal(text.at, "hello ", 6);
    json_decref(row);
    assert_last_audit_line(rig, " act=export whom=alice outcome=OK\n");

    expect_ok(rig, "{\"do\":\"user-remove\",\"user\":\"alice\"}");
    assert_int_equal(ctl_on(rig, WORDS("export", "user", "alice")), 0);    /* what is kept of a deleted one */
    assert_int_equal(count_of("\"line\":\"message\""), MESSAGES + 1);
    assert_int_equal(ctl_on(rig, WORDS("erase", "user", "alice", "--yes")), 0);
    assert_int_equal(ctl_on(rig, WORDS("export", "user", "alice")), 1);
    assert_said(said.err, "no such user");
}

/* Bob acknowledges each message for itself and waits for the tick of it: so each is a record of marks, and more of them
 * than a page. Alice reads her own at the end. */
static void an_export_has_every_move_of_the_cursors_and_the_inbox(void **state)
{
    enum { MESSAGES = 300 };
    struct rig *rig = *state;
    struct conv_id conv = conv_of("alice", "bob");
    rig_down(rig);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    for (uint64_t i = 1; i <= MESSAGES; i++) send_text(a, "bob", i, "x");
    for (uint64_t i = 1; i <= MESSAGES; i++) {
        while (talker_expect(b, MSG_MESSAGE)->u.message.seq < i) continue;
        talker_cursor(b, MSG_DELIVERED, &conv, i);
        while (talker_expect(a, MSG_RECEIPT)->u.receipt.delivered < i) continue;
    }
    talker_cursor(b, MSG_READ, &conv, MESSAGES);
    while (talker_expect(a, MSG_RECEIPT)->u.receipt.read < MESSAGES) continue;
    talker_close(a);
    talker_close(b);
    rig_down(rig);
    rig_up(rig);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ctl_on(rig, WORDS("export", "user", i ? "alice" : "bob")), 0);
        assert_true(strlen(said.out) < CTL_OUT_MAX - 1);
        assert_true(count_of("\"line\":\"mark\"") > 256);
        json_decref(line_of("inbox", "with", ""));
        json_t *row = line_of("mark", "user", "bob");
        assert_int_equal(number_of(row, "at"), MESSAGES);
        assert_int_equal(number_of(row, "delivered"), 1);
        assert_int_equal(number_of(row, "read"), 0);
        assert_true(number_of(row, "time") > 0);
        assert_int_equal(text_of(row, "device")[0] != '\0', !i);      /* one's own alone */
        json_decref(row);
        char read[64];
        snprintf(read, sizeof read, "\"read\":%d,\"time\"", MESSAGES);
        assert_int_equal(count_of(read), 1);
    }
}

static void a_place_that_no_answer_named_is_refused(void **state)
{
    static const char *const bad[] = { "x", "00", "00112233445566778899aabbccddeeff.", "00112233445566778899aabbccddeeff.0",
                                       "00112233445566778899aabbccddeeff.1x", "00112233445566778899aabbccddeeff1",
                                       "00112233445566778899aabbccddeeff.99999999999999999999",
                                       "00112233445566778899aabbccddeeff:", "00112233445566778899aabbccddeeff:1",
                                       "00112233445566778899aabbccddeeff:1.2", "00112233445566778899aabbccddeeff:1.2.",
                                       "00112233445566778899aabbccddeeff:1.2.3.4", "00112233445566778899aabbccddeeff:1.-2.3",
                                       "00112233445566778899aabbccddeeff:1.99999.3" };
    char line[160];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "{\"do\":\"export-page\",\"user\":\"alice\",\"after\":\"%s\"}", bad[i]);
        expect_refused(ask(*state, line), ERR_RANGE, "after:");
    }
    expect_ok(*state, "{\"do\":\"export-page\",\"user\":\"alice\",\"after\":\"00112233445566778899aabbccddeeff.7\"}");
    expect_ok(*state, "{\"do\":\"export-page\",\"user\":\"alice\",\"after\":\"00112233445566778899aabbccddeeff:7.1.3\"}");
}

#define ON_A_SERVER(test) cmocka_unit_test_setup_teardown(test, owner_setup, owner_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_SERVER(what_cannot_be_undone_is_asked_for_twice),
        ON_A_SERVER(what_was_destroyed_is_printed),
        ON_A_SERVER(an_export_has_account_devices_conversations_and_every_message),
        ON_A_SERVER(an_export_has_every_move_of_the_cursors_and_the_inbox),
        ON_A_SERVER(a_place_that_no_answer_named_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
