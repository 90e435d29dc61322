/* test_erase.c - erasing on a running server: what goes, who is told what, what goes on. That no byte of a key is left is
 * test_erase_bytes.c's, and what a crash leaves tests/unit/test_erase.c's. */
#include <stdlib.h>
#include <unistd.h>

#include "storage/facts_impl.h"
#include "tests/flow/flow.h"
#include "tests/harness/web.h"
#include "tests/harness/wire.h"

static const char erase_both[] = "{\"do\":\"erase-conversation\",\"with\":[\"alice\",\"bob\"]}";
static const char erase_alice[] = "{\"do\":\"erase-user\",\"user\":\"alice\"}";

/* How many records are there to be read, and the first one's sequence. */
static size_t records_of(const struct msg *m, uint64_t *first_out)
{
    struct msg_message record;
    size_t count = 0;
    assert_int_equal(m->type, MSG_PAGE);
    struct bytes rest = m->u.page.records;
    while (page_next(&rest, &record) == 0) {
        if (record.body.len == 0) continue;
        if (count++ == 0) *first_out = record.seq;
    }
    return count;
}

static const struct msg *say_text(struct talker *t, const char *to, uint64_t client_seq, const char *text)
{
    struct user_id user = rig_user(to);
    return talker_answer(t, talker_send_text(t, &user, client_seq, 1, text));
}

/* Five messages from alice to bob, of which bob has had three. */
static void talk(struct rig *rig)
{
    struct conv_id conv = conv_of("alice", "bob");
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    for (uint64_t i = 1; i <= 5; i++) send_text(a, "bob", i, "for nobody else");
    for (uint64_t i = 1; i <= 5; i++) expect_text(b, "for nobody else");
    talker_cursor(b, MSG_READ, &conv, 3);
    while (talker_expect(a, MSG_RECEIPT)->u.receipt.read < 3) continue;
    talker_close(a);
    talker_close(b);
}

static void what_was_destroyed_is_counted_and_audited(void **state)
{
    struct rig *rig = *state;
    char ending[160], id[CONV_ID_TEXT];
    struct conv_id conv = conv_of("alice", "bob");
    talk(rig);
    json_t *answer = ask(rig, erase_both);
    assert_true(is_ok(answer));
    assert_int_equal(number_of(answer, "keys"), 1);
    assert_int_equal(number_of(answer, "conversations"), 1);
    assert_int_equal(number_of(answer, "records"), 5);
    assert_true(number_of(answer, "rows") >= 4);
    assert_int_equal(json_array_size(json_object_get(answer, "key_files")), 0);
    json_decref(answer);
    conv_id_print(&conv, id);
    snprintf(ending, sizeof ending, " act=erase-conversation conversation=%s outcome=OK\n", id);
    assert_last_audit_line(rig, ending);

    answer = ask(rig, erase_both);                 /* there is nothing left to destroy */
    assert_true(is_ok(answer));
    assert_int_equal(number_of(answer, "keys"), 0);
    assert_int_equal(number_of(answer, "records"), 0);
    json_decref(answer);
    expect_refused(ask(rig, "{\"do\":\"erase-conversation\",\"with\":[\"alice\",\"alice\"]}"), ERR_NOT_FOUND, "no such");
    struct user_id alice = rig_user("alice");
    conv = conv_id_inbox(&alice);
    conv_id_print(&conv, id);
    snprintf(ending, sizeof ending, "{\"do\":\"erase-conversation\",\"conversation\":\"%s\"}", id);
    expect_refused(ask(rig, ending), ERR_NOT_FOUND, "no such");
}

static void nothing_is_read_of_an_erased_conversation_and_its_numbering_goes_on(void **state)
{
    struct rig *rig = *state;
    uint64_t first = 0;
    talk(rig);
    expect_ok(rig, erase_both);
    for (int restarted = 0; restarted < 2; restarted++) {
        struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
        const struct msg *m = ask_newest(b, "alice", 0);
        assert_int_equal(records_of(m, &first), restarted ? 1 : 0);
        assert_int_equal(m->u.page.head, restarted ? 6 : 5);
        if (restarted) assert_int_equal(first, 6);
        struct msg_accepted sent = send_text(a, "bob", 6 + (uint64_t)restarted, "anew");
        assert_int_equal(sent.seq, 6 + (uint64_t)restarted);
        for (uint64_t seq = 6; seq <= sent.seq; seq++) {
            m = talker_expect(b, MSG_MESSAGE);
            assert_text(m, "anew");
            assert_int_equal(m->u.message.seq, seq);
        }
        assert_int_equal(records_of(ask_newest(a, "bob", 0), &first), 1 + restarted);
        talker_close(a);
        talker_close(b);
        rig_down(rig);
        rig_up(rig);
    }
}

/* Members see nothing below the erasure. Should a row ever let them look there: the old records are under a key that is
 * no more, beside new ones under another. */
static void what_lies_under_an_older_key_is_gone_and_never_damaged(void **state)
{
    struct rig *rig = *state;
    char path[FS_PATH_MAX];
    uint64_t first = 0;
    talk(rig);
    expect_ok(rig, erase_both);
    struct talker *a = rig_talk(rig, "alice", 0);
    assert_int_equal(send_text(a, "bob", 6, "anew").seq, 6);
    talker_close(a);
    rig_down(rig);
    struct facts *facts;
    const struct fsio *fs = fsio_posix();
    fs_path(path, rig_folder(rig), "facts.db");
    assert_int_equal(facts_open(fs, path, true, &facts), 0);
    assert_int_equal(db_exec(facts->db, "UPDATE members SET from_seq = 1"), 0);
    facts_close(facts);
    for (int restarted = 0; restarted < 2; restarted++) {          /* the second time they are sorted, perhaps */
        rig_up(rig);
        struct talker *b = rig_talk(rig, "bob", 0);
        const struct msg *m = talker_expect(b, MSG_MESSAGE);
        assert_text(m, "anew");
        assert_int_equal(m->u.message.seq, 6);
        m = ask_newest(b, "alice", 0);
        assert_int_equal(records_of(m, &first), 1);
        assert_int_equal(first, 6);
        struct msg info = { .type = MSG_INFO, .has_ref = true, .ref = talker_ref(b) };
        info.u.info = (struct msg_info){ .to = { .is_user = true, .user = rig_user("alice") }, .seq = 2 };
        talker_send(b, &info);
        assert_error(talker_answer(b, info.ref), ERR_NOT_FOUND);
        talker_close(b);
        rig_down(rig);
    }
    rig_up(rig);
}

static void a_device_that_was_behind_is_synced_at_once(void **state)
{
    struct rig *rig = *state;
    talk(rig);
    expect_ok(rig, erase_both);
    struct talker *b = rig_talk(rig, "bob", 0);
    const struct msg *m = talker_next(b);
    while (m->type != MSG_SYNCED) {
        assert_int_not_equal(m->type, MSG_MESSAGE);
        assert_int_not_equal(m->type, MSG_ERROR);
        m = talker_next(b);
    }
    struct conv_id conv = conv_of("alice", "bob");
    talker_cursor(b, MSG_DELIVERED, &conv, 5);     /* of what it had before: no error, and no tick for anyone */
    struct talker *a = rig_talk(rig, "alice", 0);
    talker_expect(a, MSG_SYNCED);
    send_text(a, "bob", 6, "anew");
    expect_text(b, "anew");
    talker_cursor(b, MSG_DELIVERED, &conv, 6);
    assert_int_equal(talker_expect(a, MSG_RECEIPT)->u.receipt.delivered, 6);
    talker_close(a);
    talker_close(b);
}

static void a_repeat_of_an_erased_send_is_no_message_again(void **state)
{
    struct rig *rig = *state;
    uint64_t first = 0;
    talk(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    assert_error(say_text(a, "carol", 6, "nobody"), ERR_NOT_FOUND);
    expect_ok(rig, erase_both);
    assert_error(say_text(a, "bob", 5, "for nobody else"), ERR_SETTLED);
    assert_int_equal(say_text(a, "bob", 7, "anew")->type, MSG_ACCEPTED);
    assert_int_equal(records_of(ask_newest(a, "bob", 0), &first), 1);
    talker_close(a);
}

/* Sends that do not wait for their answers, while the conversation is erased again and again: each is accepted once or
 * told to come again, and the sequences of all that were accepted are without gap and without double. */
static void sends_during_an_erasure_are_accepted_or_told_to_come_again(void **state)
{
    enum { SENDS = 400, ROUNDS = 8 };
    static bool seen[SENDS * 2];
    struct rig *rig = *state;
    struct user_id bob = rig_user("bob");
    struct talker *a = rig_talk(rig, "alice", 0);
    struct wire w;
    uint64_t ref[SENDS], client_seq = 1, accepted = 0, highest = 0, busy = 0;
    send_text(a, "bob", client_seq++, "first");
    highest = accepted = 1;
    memset(seen, 0, sizeof seen);
    wire_open(&w, rig);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < SENDS / ROUNDS; i++) {
            ref[i] = talker_send_text(a, &bob, client_seq, client_seq, "again and again");
            client_seq++;
            if (i == SENDS / ROUNDS / 2) wire_say(&w, erase_both);
        }
        for (int i = 0; i < SENDS / ROUNDS; i++) {
            const struct msg *m = talker_answer(a, ref[i]);
            if (m->type == MSG_ERROR) {
                assert_error(m, ERR_BUSY);
                assert_true(m->u.error.again);
                busy++;
                continue;
            }
            assert_int_equal(m->type, MSG_ACCEPTED);
            assert_false(seen[m->u.accepted.seq]);
            seen[m->u.accepted.seq] = true;
            accepted++;
            if (m->u.accepted.seq > highest) highest = m->u.accepted.seq;
        }
        json_t *answer = wire_hear(&w);
        assert_true(is_ok(answer));
        json_decref(answer);
    }
    assert_int_equal(highest, accepted);
    print_message("%d sends, %d accepted, %d told to come again\n", SENDS, (int)accepted, (int)busy);
    wire_close(&w);
    talker_close(a);
}

static void an_erased_user_is_out_and_nothing_is_left_but_a_name_that_nobody_gets(void **state)
{
    struct rig *rig = *state;
    talk(rig);
    struct talker *a = rig_talk(rig, "alice", 0), *a2 = rig_talk(rig, "alice", 1), *b = rig_talk(rig, "bob", 0);
    send_text(a, "alice", 6, "a note to oneself");
    json_t *answer = ask(rig, erase_alice);
    assert_true(is_ok(answer));
    assert_int_equal(number_of(answer, "conversations"), 3);       /* bob's, her notes, her inbox */
    assert_int_equal(number_of(answer, "keys"), 3);
    assert_int_equal(number_of(answer, "records"), 6);
    json_decref(answer);
    assert_int_equal(-(int)talker_expect(a, MSG_GOODBYE)->u.goodbye.code, ERR_REVOKED);
    assert_int_equal(-(int)talker_expect(a2, MSG_GOODBYE)->u.goodbye.code, ERR_REVOKED);
    assert_last_audit_line(rig, " act=erase-user whom=alice outcome=OK\n");
    talker_close(a);
    talker_close(a2);

    for (int restarted = 0; restarted < 2; restarted++) {
        assert_false(has_user(rig, "alice"));
        assert_error(say_text(b, "alice", 1 + (uint64_t)restarted, "are you there?"), ERR_NOT_FOUND);
        assert_error(ask_newest(b, "alice", 0), ERR_NOT_FOUND);
        expect_refused(ask(rig, "{\"do\":\"user-add\",\"users\":[\"alice\"],\"password\":\"a password\"}"), ERR_EXISTS,
                       "alice: ");
        expect_refused(ask(rig, "{\"do\":\"user-add\",\"users\":[\"a1ice\"],\"password\":\"a password\"}"), ERR_EXISTS,
                       "looks like");
        expect_refused(ask(rig, erase_alice), ERR_GONE, "erased already");
        expect_refused(ask(rig, "{\"do\":\"user-remove\",\"user\":\"alice\"}"), ERR_NOT_FOUND, "no such user");
        talker_close(b);
        rig_down(rig);
        rig_up(rig);
        b = rig_talk(rig, "bob", 0);
        talker_expect(b, MSG_SYNCED);
    }
    talker_close(b);
    expect_refused(ask(rig, "{\"do\":\"erase-user\",\"user\":\"nobody\"}"), ERR_NOT_FOUND, "no such user");
}

/* Whoever shares a conversation with the user stays connected: nothing is sent to them of it, what they ask is answered
 * with a name, and everything else goes on. */
static void who_is_connected_finds_the_conversation_gone_and_all_else_as_it_was(void **state)
{
    struct rig *rig = *state;
    struct conv_id conv = conv_of("alice", "bob");
    talk(rig);
    struct talker *b = rig_talk(rig, "bob", 0);
    send_text(b, "bob", 1, "a note");
    talker_expect(b, MSG_SYNCED);
    expect_ok(rig, erase_alice);
    talker_cursor(b, MSG_DELIVERED, &conv, 5);             /* of what it had: without a ref nobody is answered */
    talker_cursor(b, MSG_READ, &conv, 5);
    struct msg_history rest = { .to.conv = conv, .has_after = true, .after = 3, .limit = PAGE_RECORDS_MAX };
    assert_error(ask_history(b, rest), ERR_NOT_FOUND);
    struct msg m = { .type = MSG_INFO, .has_ref = true, .ref = talker_ref(b) };
    m.u.info.to.conv = conv;
    m.u.info.seq = 2;
    talker_send(b, &m);
    assert_error(talker_answer(b, m.ref), ERR_NOT_FOUND);
    const struct msg *refused = say_text(b, "alice", 2, "are you there?");
    assert_error(refused, ERR_NOT_FOUND);
    assert_false(refused->u.error.again);
    assert_int_equal(send_text(b, "bob", 2, "another").seq, 2);    /* the number is free again */
    talker_settle(b);
    talker_close(b);
}

static void a_user_that_was_removed_can_be_erased_afterwards(void **state)
{
    struct rig *rig = *state;
    talk(rig);
    expect_ok(rig, "{\"do\":\"user-remove\",\"user\":\"alice\"}");
    json_t *answer = ask(rig, erase_alice);
    assert_true(is_ok(answer));
    assert_int_equal(number_of(answer, "conversations"), 2);
    assert_int_equal(number_of(answer, "records"), 5);
    json_decref(answer);
}

static void a_user_of_many_conversations_is_erased_in_slices(void **state)
{
    enum { PEERS = 150 };
    struct rig *rig = *state;
    char name[16];
    json_t *names = json_array();
    for (int i = 0; i < PEERS; i++) {
        snprintf(name, sizeof name, "u%04d", i);
        json_array_append_new(names, json_string(name));
    }
    json_t *request = json_pack("{s:s, s:o, s:s}", "do", "user-add", "users", names, "password", "a password");
    char *text = json_dumps(request, JSON_COMPACT);
    expect_ok(rig, text);
    free(text);
    json_decref(request);
    struct talker *a = rig_talk(rig, "alice", 0);
    for (uint64_t i = 0; i < PEERS; i++) {
        snprintf(name, sizeof name, "u%04d", (int)i);
        send_text(a, name, i + 1, "hello");
    }
    talker_close(a);
    json_t *answer = ask(rig, erase_alice);
    assert_true(is_ok(answer));
    assert_int_equal(number_of(answer, "conversations"), PEERS + 1);
    assert_int_equal(number_of(answer, "keys"), PEERS + 1);
    json_decref(answer);
}

static void a_note_of_an_invite_loses_the_name(void **state)
{
    struct rig *rig = *state;
    expect_ok(rig, "{\"do\":\"invite\",\"note\":\"for Alice, from Bob\"}");
    expect_ok(rig, "{\"do\":\"invite\",\"note\":\"for malice\"}");
    expect_ok(rig, erase_alice);
    json_t *answer = ask(rig, "{\"do\":\"invite-list\"}"), *list = json_object_get(answer, "invites");
    assert_string_equal(text_of(json_array_get(list, 0), "note"), "");
    assert_string_equal(text_of(json_array_get(list, 1), "note"), "for malice");
    json_decref(answer);
}

static void two_erasures_at_once_are_both_done(void **state)
{
    struct rig *rig = *state;
    struct wire w[3];
    talk(rig);
    for (int i = 0; i < 3; i++) wire_open(&w[i], rig);
    wire_say(&w[0], erase_alice);
    wire_say(&w[1], erase_both);
    wire_say(&w[2], "{\"do\":\"erase-user\",\"user\":\"bob\"}");
    for (int i = 0; i < 3; i++) {
        json_t *answer = wire_hear(&w[i]);
        if (!is_ok(answer)) assert_string_equal(text_of(answer, "error"), "NOT_FOUND");     /* [1]: the user was first */
        if (i != 1) assert_true(is_ok(answer));
        json_decref(answer);
        wire_close(&w[i]);
    }
    assert_false(has_user(rig, "alice"));
    assert_false(has_user(rig, "bob"));
}

static void a_stop_in_the_middle_is_gone_on_with_at_the_next_start(void **state)
{
    struct rig *rig = *state;
    struct wire w;
    talk(rig);
    wire_open(&w, rig);
    wire_say(&w, erase_alice);
    rig_down(rig);
    json_t *answer = wire_hear(&w);                /* whatever came of it */
    json_decref(answer);
    wire_close(&w);
    rig_up(rig);
    if (has_user(rig, "alice")) return;            /* it had not begun */
    struct talker *b = rig_talk(rig, "bob", 0);
    assert_error(ask_newest(b, "alice", 0), ERR_NOT_FOUND);
    talker_close(b);
    expect_refused(ask(rig, erase_alice), ERR_GONE, "erased already");
}

#define ON_A_SERVER(test) cmocka_unit_test_setup_teardown(test, wire_setup, wire_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_SERVER(what_was_destroyed_is_counted_and_audited),
        ON_A_SERVER(nothing_is_read_of_an_erased_conversation_and_its_numbering_goes_on),
        ON_A_SERVER(what_lies_under_an_older_key_is_gone_and_never_damaged),
        ON_A_SERVER(a_device_that_was_behind_is_synced_at_once),
        ON_A_SERVER(a_repeat_of_an_erased_send_is_no_message_again),
        ON_A_SERVER(sends_during_an_erasure_are_accepted_or_told_to_come_again),
        ON_A_SERVER(an_erased_user_is_out_and_nothing_is_left_but_a_name_that_nobody_gets),
        ON_A_SERVER(who_is_connected_finds_the_conversation_gone_and_all_else_as_it_was),
        ON_A_SERVER(a_user_that_was_removed_can_be_erased_afterwards),
        ON_A_SERVER(a_user_of_many_conversations_is_erased_in_slices),
        ON_A_SERVER(a_note_of_an_invite_loses_the_name),
        ON_A_SERVER(two_erasures_at_once_are_both_done),
        ON_A_SERVER(a_stop_in_the_middle_is_gone_on_with_at_the_next_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
