/* Many at once: sends while a batch is under way, more than a batch holds, more than may be unsettled, and cursors that
 * find no way out for a while. The disk is held still meanwhile, so that what waits surely waits. */
#include <stdlib.h>

#include "tests/flow/flow.h"

/* Talkers say nothing while others are waited for, long on a slow machine: nobody is to be taken for dead. */
enum { PATIENCE_MS = 3600 * 1000 };

/* A SEND of `len` bytes without waiting for its answer; returns its ref. */
static uint64_t say_bytes(struct talker *t, const char *to, uint64_t client_seq, uint64_t settled, size_t len)
{
    static uint8_t body[BODY_BYTES_MAX];
    struct msg m = { .type = MSG_SEND, .has_ref = true, .ref = talker_ref(t) };
    assert_true(len <= sizeof body);
    m.u.send.to.is_user = true;
    m.u.send.to.user = rig_user(to);
    m.u.send.client_seq = client_seq;
    m.u.send.settled = settled;
    m.u.send.body = bytes_of(body, len);
    talker_send(t, &m);
    return m.ref;
}

static struct msg_accepted accepted(struct talker *t, uint64_t ref)
{
    const struct msg *m = talker_answer(t, ref);
    assert_int_equal(m->type, MSG_ACCEPTED);
    return m->u.accepted;
}

static void a_send_repeated_while_it_is_being_written_gets_one_id(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .heartbeat_ms = PATIENCE_MS });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    uint64_t refs[3];
    send_text(a, "bob", 1, "the conversation is there");
    expect_text(b, "the conversation is there");
    uint64_t before = rig_stat(rig, "sends_accepted");
    disk_hold_syncs(rig_disk(rig), true);
    for (int i = 0; i < 3; i++) {
        refs[i] = say_bytes(a, "bob", 2, 2, 10);
        disk_await_held(rig_disk(rig));
        talker_settle(a);                             /* it is where it waits, and nothing was answered */
    }
    disk_hold_syncs(rig_disk(rig), false);
    struct msg_accepted first = accepted(a, refs[0]);
    for (int i = 1; i < 3; i++) {
        struct msg_accepted again = accepted(a, refs[i]);
        assert_int_equal(again.seq, first.seq);
        assert_memory_equal(again.id.v, first.id.v, sizeof first.id.v);
    }
    assert_int_equal(talker_expect(b, MSG_MESSAGE)->u.message.seq, 2);
    send_text(a, "bob", 3, "the next");
    expect_text(b, "the next");                       /* and no second one in between */
    assert_int_equal(rig_stat(rig, "sends_accepted"), before + 2);
    talker_close(a);
    talker_close(b);
    rig_free(rig);
}

static void more_than_a_batch_holds_is_accepted_in_order_once_each(void **state)
{
    enum { DEVICES = 5, EACH = 40 };
    (void)state;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 1, .heartbeat_ms = PATIENCE_MS });
    struct talker *a[DEVICES];
    uint64_t refs[DEVICES][EACH];
    bool taken[DEVICES * EACH + 2] = { false };
    _Static_assert((DEVICES - 1) * EACH * BODY_BYTES_MAX > 2 * BATCH_BYTES_MAX, "several batches' worth");
    rig_add(rig, "alice", DEVICES);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    for (uint32_t i = 0; i < DEVICES; i++) a[i] = rig_talk(rig, "alice", i);
    send_text(a[0], "bob", 1, "the conversation is there");
    uint64_t before = rig_stat(rig, "batches");
    disk_hold_syncs(rig_disk(rig), true);
    for (uint64_t n = 0; n < EACH; n++) {
        for (uint32_t i = 0; i < DEVICES; i++) refs[i][n] = say_bytes(a[i], "bob", n + 2, 2, BODY_BYTES_MAX);
    }
    disk_await_held(rig_disk(rig));
    for (uint32_t i = 0; i < DEVICES; i++) talker_settle(a[i]);
    disk_hold_syncs(rig_disk(rig), false);
    for (uint32_t i = 0; i < DEVICES; i++) {
        uint64_t last = 1;
        for (uint64_t n = 0; n < EACH; n++) {
            struct msg_accepted m = accepted(a[i], refs[i][n]);
            assert_int_equal(m.client_seq, n + 2);
            assert_true(m.seq > last && m.seq <= DEVICES * EACH + 1 && !taken[m.seq]);
            taken[m.seq] = true;
            last = m.seq;
        }
    }
    assert_true(rig_stat(rig, "batches") >= before + DEVICES * EACH * BODY_BYTES_MAX / BATCH_BYTES_MAX);
    for (uint32_t i = 0; i < DEVICES; i++) talker_close(a[i]);
    rig_free(rig);
}

static void more_than_256_unsettled_sends_are_refused_until_some_are_settled(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .heartbeat_ms = PATIENCE_MS });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    for (uint64_t n = 1; n <= REPEATS_MAX; n++) accepted(a, say_bytes(a, "bob", n, 1, 1));
    assert_error(talker_answer(a, say_bytes(a, "bob", REPEATS_MAX + 1, 1, 1)), ERR_TOO_MANY);
    /* A repeat is still answered, and the refused one is done with: the next number is the way on. */
    assert_int_equal(accepted(a, say_bytes(a, "bob", 1, 1, 1)).seq, 1);
    assert_int_equal(accepted(a, say_bytes(a, "bob", REPEATS_MAX + 2, 2, 1)).seq, REPEATS_MAX + 1);
    assert_error(talker_answer(a, say_bytes(a, "bob", REPEATS_MAX + 3, 2, 1)), ERR_TOO_MANY);
    assert_error(talker_answer(a, say_bytes(a, "bob", 1, 1, 1)), ERR_SETTLED);
    talker_close(a);
    rig_free(rig);
}

static void acknowledgements_that_find_no_way_out_for_a_while_are_not_lost(void **state)
{
    /* a session that waits for 64 answers, pages included, is not read */
    enum { DEVICES = 16, EACH = 48 };
    (void)state;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 1, .heartbeat_ms = PATIENCE_MS });
    struct talker *crowd[2 * DEVICES];
    static const char *const names[] = { "carol", "dave" };
    _Static_assert(2 * DEVICES * EACH > CREDITS_MAX, "all credits are out");
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_add(rig, "carol", DEVICES);
    rig_add(rig, "dave", DEVICES);
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    struct conv_id conv = conv_of("alice", "bob");
    for (uint64_t n = 1; n <= 3; n++) send_text(a, "bob", n, "hello");
    for (int n = 1; n <= 3; n++) expect_text(b, "hello");
    for (uint32_t i = 0; i < 2 * DEVICES; i++) {
        crowd[i] = rig_talk(rig, names[i / DEVICES], i % DEVICES);
        if (i % DEVICES == 0) send_text(crowd[i], "alice", 1, "the conversation is there");
    }
    disk_hold_syncs(rig_disk(rig), true);
    for (uint64_t n = 0; n < EACH; n++) {
        for (uint32_t i = 0; i < 2 * DEVICES; i++) say_bytes(crowd[i], "alice", n + 2, 2, 1);
    }
    for (uint32_t i = 0; i < 2 * DEVICES; i++) talker_settle(crowd[i]);
    for (uint64_t seq = 1; seq <= 3; seq++) talker_cursor(b, MSG_DELIVERED, &conv, seq);
    talker_cursor(b, MSG_READ, &conv, 2);
    struct msg m = { .type = MSG_READ, .has_ref = true, .ref = talker_ref(b) };
    m.u.cursor.to.conv = conv;
    m.u.cursor.seq = 4;                               /* wants an answer: it may not be one with the others */
    talker_send(b, &m);
    talker_settle(b);
    disk_hold_syncs(rig_disk(rig), false);
    assert_error(talker_answer(b, m.ref), ERR_PAST_HEAD);
    const struct msg *receipt;
    do receipt = talker_expect(a, MSG_RECEIPT);
    while (receipt->u.receipt.delivered < 3 || receipt->u.receipt.read < 2);
    assert_int_equal(receipt->u.receipt.delivered, 3);
    assert_int_equal(receipt->u.receipt.read, 2);
    for (uint32_t i = 0; i < 2 * DEVICES; i++) talker_close(crowd[i]);
    talker_close(a);
    talker_close(b);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_send_repeated_while_it_is_being_written_gets_one_id),
        cmocka_unit_test(more_than_a_batch_holds_is_accepted_in_order_once_each),
        cmocka_unit_test(more_than_256_unsettled_sends_are_refused_until_some_are_settled),
        cmocka_unit_test(acknowledgements_that_find_no_way_out_for_a_while_are_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
