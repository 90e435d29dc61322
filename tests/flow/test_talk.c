/* Two people talk: the main job, on one shard and on four. */
#include "tests/flow/flow.h"

static int set_up(void **state)
{
    uint16_t shards = *state ? *(const uint16_t *)*state : 1;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = shards });
    rig_add(rig, "alice", 2);
    rig_add(rig, "bob", 2);
    rig_add(rig, "carol", 1);
    rig_up(rig);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_free(*state);
    return 0;
}

static void a_message_arrives_and_its_three_receipts_come_back(void **state)
{
    struct rig *rig = *state;
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    struct user_id alice = rig_user("alice"), bob = rig_user("bob");
    struct conv_id conv = conv_id_direct(&alice, &bob);
    talker_expect(a, MSG_SYNCED);
    talker_expect(b, MSG_SYNCED);

    uint64_t ref = talker_send_text(a, &bob, 1, 1, "one two three");
    struct msg accepted = *talker_answer(a, ref);
    assert_int_equal(accepted.type, MSG_ACCEPTED);
    assert_int_equal(accepted.u.accepted.seq, 1);
    assert_true(conv_id_equal(&accepted.u.accepted.conv, &conv));

    const struct msg *m = talker_expect(b, MSG_MESSAGE);
    assert_text(m, "one two three");
    assert_int_equal(m->u.message.seq, 1);
    assert_int_equal(m->u.message.counted, 1);
    assert_int_equal(msg_id_compare(&m->u.message.id, &accepted.u.accepted.id), 0);
    assert_true(user_id_equal(&m->u.message.from, &alice));

    talker_cursor(b, MSG_DELIVERED, &conv, 1);
    m = talker_expect(a, MSG_RECEIPT);
    assert_true(user_id_equal(&m->u.receipt.user, &bob));
    assert_int_equal(m->u.receipt.delivered, 1);
    assert_int_equal(m->u.receipt.read, 0);

    talker_cursor(b, MSG_READ, &conv, 1);
    m = talker_expect(a, MSG_RECEIPT);
    assert_int_equal(m->u.receipt.read, 1);
    talker_close(a);
    talker_close(b);
}

static void what_came_while_offline_is_sent_before_synced(void **state)
{
    struct rig *rig = *state;
    struct user_id bob = rig_user("bob");
    struct talker *a = rig_talk(rig, "alice", 0);
    for (uint64_t i = 1; i <= 150; i++) {
        char text[16];
        snprintf(text, sizeof text, "number %d", (int)i);
        assert_int_equal(talker_answer(a, talker_send_text(a, &bob, i, i, text))->type, MSG_ACCEPTED);
    }
    struct talker *b = rig_talk(rig, "bob", 0);
    struct conv_id conv = { { 0 } };
    for (uint64_t i = 1; i <= 150; i++) {
        char text[16];
        snprintf(text, sizeof text, "number %d", (int)i);
        const struct msg *m = talker_next(b);
        assert_text(m, text);
        assert_int_equal(m->u.message.seq, i);
        conv = m->u.message.conv;
        talker_cursor(b, MSG_DELIVERED, &conv, i);
    }
    talker_expect(b, MSG_SYNCED);
    talker_close(a);
    talker_close(b);
}

static void the_senders_other_device_gets_the_message_too(void **state)
{
    struct rig *rig = *state;
    struct user_id bob = rig_user("bob");
    struct talker *a0 = rig_talk(rig, "alice", 0), *a1 = rig_talk(rig, "alice", 1);
    talker_expect(a0, MSG_SYNCED);
    talker_expect(a1, MSG_SYNCED);
    assert_int_equal(talker_answer(a0, talker_send_text(a0, &bob, 1, 1, "from my phone"))->type, MSG_ACCEPTED);
    assert_text(talker_expect(a1, MSG_MESSAGE), "from my phone");
    assert_int_equal(talker_settle(a0), 0);
    talker_close(a0);
    talker_close(a1);
}

static void a_repeat_of_a_send_gets_its_first_answer_and_makes_no_second_message(void **state)
{
    struct rig *rig = *state;
    struct user_id bob = rig_user("bob");
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    talker_expect(b, MSG_SYNCED);
    struct msg first = *talker_answer(a, talker_send_text(a, &bob, 7, 7, "once"));
    struct msg again = *talker_answer(a, talker_send_text(a, &bob, 7, 7, "once"));
    assert_int_equal(again.type, MSG_ACCEPTED);
    assert_int_equal(again.u.accepted.seq, first.u.accepted.seq);
    assert_int_equal(msg_id_compare(&again.u.accepted.id, &first.u.accepted.id), 0);
    struct msg next = *talker_answer(a, talker_send_text(a, &bob, 8, 8, "twice"));
    assert_int_equal(next.u.accepted.seq, 2);
    assert_text(talker_expect(b, MSG_MESSAGE), "once");
    assert_text(talker_expect(b, MSG_MESSAGE), "twice");

    /* 7 is settled now: to say it again is an error. */
    const struct msg *m = talker_answer(a, talker_send_text(a, &bob, 7, 7, "once"));
    assert_int_equal(m->type, MSG_ERROR);
    assert_int_equal(m->u.error.code, -ERR_SETTLED);
    talker_close(a);
    talker_close(b);
}

static void a_user_who_does_not_exist_and_a_conversation_of_others_look_the_same(void **state)
{
    struct rig *rig = *state;
    struct user_id alice = rig_user("alice"), bob = rig_user("bob"), nobody = rig_user("nobody");
    struct talker *a = rig_talk(rig, "alice", 0), *c = rig_talk(rig, "carol", 0);
    const struct msg *m = talker_answer(a, talker_send_text(a, &nobody, 1, 1, "hello?"));
    assert_int_equal(m->type, MSG_ERROR);
    assert_int_equal(m->u.error.code, -ERR_NOT_FOUND);
    assert_int_equal(talker_answer(a, talker_send_text(a, &bob, 2, 2, "hello"))->type, MSG_ACCEPTED);

    struct msg h = { .type = MSG_HISTORY, .has_ref = true, .ref = talker_ref(c) };
    h.u.history.to.conv = conv_id_direct(&alice, &bob);
    h.u.history.limit = 10;
    talker_send(c, &h);
    m = talker_answer(c, h.ref);
    assert_int_equal(m->type, MSG_ERROR);
    assert_int_equal(m->u.error.code, -ERR_NOT_FOUND);
    talker_close(a);
    talker_close(c);
}

static void a_killed_server_has_every_accepted_message(void **state)
{
    struct rig *rig = *state;
    struct user_id alice = rig_user("alice"), bob = rig_user("bob");
    struct conv_id conv = conv_id_direct(&alice, &bob);
    struct talker *a = rig_talk(rig, "alice", 0);
    assert_int_equal(talker_answer(a, talker_send_text(a, &bob, 1, 1, "one"))->type, MSG_ACCEPTED);
    rig_crash(rig, DISK_DROP_ALL, 0);
    talker_close_hard(a);
    a = rig_talk(rig, "alice", 0);
    assert_int_equal(talker_welcome(a)->client_seq_max, 1);
    struct msg again = *talker_answer(a, talker_send_text(a, &bob, 1, 1, "one"));
    assert_int_equal(again.u.accepted.seq, 1);
    talker_expect(a, MSG_SYNCED);        /* or her sync might tell her own cursor beside bob's */
    struct talker *b = rig_talk(rig, "bob", 0);
    assert_text(talker_next(b), "one");
    talker_expect(b, MSG_SYNCED);
    talker_cursor(b, MSG_READ, &conv, 1);
    const struct msg *m = talker_expect(a, MSG_RECEIPT);
    assert_int_equal(m->u.receipt.read, 1);

    rig_crash(rig, DISK_DROP_ALL, 0);
    talker_close_hard(a);
    talker_close_hard(b);
    b = rig_talk(rig, "bob", 0);
    while ((m = talker_next(b))->type != MSG_SYNCED) assert_int_equal(m->type, MSG_RECEIPT);   /* nothing it has read */
    a = rig_talk(rig, "alice", 0);
    struct msg info = { .type = MSG_INFO, .has_ref = true, .ref = talker_ref(a) };
    info.u.info.to.conv = conv;
    info.u.info.seq = 1;
    talker_send(a, &info);
    m = talker_answer(a, info.ref);
    assert_int_equal(m->type, MSG_INFO_ANSWER);
    struct bytes members = m->u.info_answer.members;
    struct member_state member;
    assert_int_equal(members_next(&members, &member), 0);
    assert_true(user_id_equal(&member.user, &bob));
    assert_true(member.delivered_ms > 0 && member.read_ms > 0);
    assert_int_equal(members_next(&members, &member), ERR_END);
    talker_close(a);
    talker_close(b);
}

int main(void)
{
    static uint16_t one = 1, four = 4;
#define BOTH(test)                                             \
    { #test "_on_one_shard", test, set_up, tear_down, &one }, \
    { #test "_on_four_shards", test, set_up, tear_down, &four }
    const struct CMUnitTest tests[] = {
        BOTH(a_message_arrives_and_its_three_receipts_come_back),
        BOTH(what_came_while_offline_is_sent_before_synced),
        BOTH(the_senders_other_device_gets_the_message_too),
        BOTH(a_repeat_of_a_send_gets_its_first_answer_and_makes_no_second_message),
        BOTH(a_user_who_does_not_exist_and_a_conversation_of_others_look_the_same),
        BOTH(a_killed_server_has_every_accepted_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
