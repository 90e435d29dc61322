/* When the disk fails: named errors, no Sent tick for what is not on disk, reads go on, and what was accepted stays. */
#include "tests/flow/flow.h"
#include "tests/harness/chance.h"

static struct rig *rig_of(uint16_t shards)
{
    struct rig *rig = rig_new(&(struct rig_options){ .shards = shards });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    return rig;
}

static const struct msg *history(struct talker *t, const struct conv_id *conv)
{
    return ask_history(t, (struct msg_history){ .to.conv = *conv, .limit = PAGE_RECORDS_MAX });
}

static size_t history_count(struct talker *t, const struct conv_id *conv)
{
    const struct msg *m = history(t, conv);
    struct msg_message record;
    size_t count = 0;
    assert_int_equal(m->type, MSG_PAGE);
    struct bytes rest = m->u.page.records;
    while (page_next(&rest, &record) == 0) count++;
    return count;
}

static void a_full_disk_is_told_by_name_and_the_same_send_succeeds_once_there_is_room(void **state)
{
    (void)state;
    struct rig *rig = rig_of(2);
    struct user_id bob = rig_user("bob");
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    struct conv_id conv = send_text(a, "bob", 1, "before").conv;
    expect_text(b, "before");
    disk_set_capacity(rig_disk(rig), disk_used(rig_disk(rig)));
    for (int i = 0; i < 3; i++) {
        const struct msg *m = talker_answer(a, talker_send_text(a, &bob, 2, 2, "into a full disk"));
        assert_error(m, ERR_STORAGE);
        assert_true(m->u.error.again);
    }
    assert_int_equal(history_count(a, &conv), 1);
    disk_set_capacity(rig_disk(rig), UINT64_MAX);
    struct msg_accepted accepted = send_text(a, "bob", 2, "into a full disk");
    assert_int_equal(accepted.seq, 2);
    expect_text(b, "into a full disk");
    rig_crash(rig, DISK_DROP_ALL, 0);
    talker_close_hard(a);
    talker_close_hard(b);
    a = rig_talk(rig, "alice", 0);
    assert_int_equal(history_count(a, &conv), 2);
    talker_close(a);
    rig_free(rig);
}

/* Cursor moves wait out a full disk and are told when they are durable. */
static void a_receipt_waits_for_room_and_is_not_lost(void **state)
{
    (void)state;
    struct rig *rig = rig_of(1);
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    struct conv_id conv = send_text(a, "bob", 1, "one").conv;
    expect_text(b, "one");
    talker_expect(a, MSG_SYNCED);
    disk_set_capacity(rig_disk(rig), disk_used(rig_disk(rig)));
    talker_cursor(b, MSG_READ, &conv, 1);
    talker_settle(b);
    talker_settle(a);
    disk_set_capacity(rig_disk(rig), UINT64_MAX);
    const struct msg *m = talker_expect(a, MSG_RECEIPT);
    assert_int_equal(m->u.receipt.read, 1);
    talker_close(a);
    talker_close(b);
    rig_free(rig);
}

static void after_a_failed_sync_nothing_is_accepted_until_a_restart_and_reads_go_on(void **state)
{
    (void)state;
    struct rig *rig = rig_of(1);
    struct user_id bob = rig_user("bob");
    struct talker *a = rig_talk(rig, "alice", 0);
    struct conv_id conv = send_text(a, "bob", 1, "before").conv;
    disk_fail_sync(rig_disk(rig), 1);
    const struct msg *m = talker_answer(a, talker_send_text(a, &bob, 2, 2, "lost?"));
    assert_int_equal(m->type, MSG_ERROR);
    assert_true(m->u.error.again);
    /* Either the sync of the log failed or that of the facts: in both cases nothing more may be promised … */
    m = talker_answer(a, talker_send_text(a, &bob, 2, 2, "lost?"));
    assert_error(m, ERR_READ_ONLY);
    assert_true(m->u.error.again);
    assert_int_equal(history_count(a, &conv), 1);
    struct buf body;
    int status;
    buf_init(&body, FRAME_BYTES_MAX);
    talker_http(rig_port(rig), "GET", "/healthz", BYTES_NONE, &status, &body);
    assert_int_equal(status, 503);
    buf_fini(&body);
    /* … and after a restart the same send is accepted, once. */
    rig_crash(rig, DISK_DROP_ALL, 0);
    talker_close_hard(a);
    a = rig_talk(rig, "alice", 0);
    send_text(a, "bob", 2, "lost?");
    assert_int_equal(history_count(a, &conv), 2);
    talker_close(a);
    rig_free(rig);
}

static void a_failed_write_turns_the_log_read_only(void **state)
{
    (void)state;
    struct rig *rig = rig_of(1);
    struct user_id bob = rig_user("bob");
    struct talker *a = rig_talk(rig, "alice", 0);
    send_text(a, "bob", 1, "before");
    disk_fail_write(rig_disk(rig), 1);
    assert_error(talker_answer(a, talker_send_text(a, &bob, 2, 2, "x")), ERR_READ_ONLY);
    assert_error(talker_answer(a, talker_send_text(a, &bob, 2, 2, "x")), ERR_READ_ONLY);
    rig_crash(rig, DISK_RANDOM, run_seed());
    talker_close_hard(a);
    a = rig_talk(rig, "alice", 0);
    struct msg_accepted accepted = send_text(a, "bob", 2, "x");
    assert_int_equal(accepted.seq, 2);
    talker_close(a);
    rig_free(rig);
}

static void a_folder_in_use_is_refused(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&(struct rig_options){ .real_folder = true });
    rig_up(rig);
    struct config config;
    struct server *second;
    char why[256];
    config_defaults(&config);
    strcpy(config.listen, "127.0.0.1:0");
    strcpy(config.data, rig_folder(rig));
    struct server_options options = { .config = &config };
    assert_int_equal(server_open(&options, &second, why), ERR_IN_USE);
    assert_non_null(strstr(why, "in use"));
    rig_free(rig);
}

static void a_port_that_is_taken_is_refused_by_its_address(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&(struct rig_options){ .real_folder = true });
    struct rig *other = rig_new(&(struct rig_options){ .real_folder = true });
    rig_up(rig);
    struct config config;
    struct server *second;
    char why[256];
    config_defaults(&config);
    snprintf(config.listen, sizeof config.listen, "127.0.0.1:%u", rig_port(rig));
    strcpy(config.data, rig_folder(other));
    struct server_options options = { .config = &config };
    assert_int_equal(server_open(&options, &second, why), ERR_IN_USE);
    assert_non_null(strstr(why, config.listen));
    rig_free(rig);
    rig_free(other);
}

static void the_number_of_shards_may_change_at_any_start(void **state)
{
    (void)state;
    static const uint16_t shards[] = { 4, 1, 3, 2 };
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2 });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_add(rig, "carol", 1);
    struct conv_id with_bob = conv_of("alice", "bob"), with_carol = conv_of("alice", "carol");
    for (uint64_t round = 1; round <= sizeof shards / sizeof shards[0]; round++) {
        char text[32];
        rig_set_shards(rig, shards[round - 1]);
        rig_up(rig);
        struct talker *a = rig_talk(rig, "alice", 0);
        snprintf(text, sizeof text, "round %d", (int)round);
        assert_int_equal(send_text(a, "bob", 2 * round, text).seq, round);
        assert_int_equal(send_text(a, "carol", 2 * round + 1, text).seq, round);
        assert_int_equal(history_count(a, &with_bob), round);
        assert_int_equal(history_count(a, &with_carol), round);
        talker_close(a);
        if (round % 2) rig_down(rig);
        else rig_kill(rig), rig_down(rig);
    }
    rig_up(rig);
    struct talker *b = rig_talk(rig, "bob", 0);
    for (int round = 1; round <= 4; round++) {
        char text[32];
        snprintf(text, sizeof text, "round %d", round);
        assert_text(talker_next(b), text);
    }
    talker_close(b);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_is_told_by_name_and_the_same_send_succeeds_once_there_is_room),
        cmocka_unit_test(a_receipt_waits_for_room_and_is_not_lost),
        cmocka_unit_test(after_a_failed_sync_nothing_is_accepted_until_a_restart_and_reads_go_on),
        cmocka_unit_test(a_failed_write_turns_the_log_read_only),
        cmocka_unit_test(a_folder_in_use_is_refused),
        cmocka_unit_test(a_port_that_is_taken_is_refused_by_its_address),
        cmocka_unit_test(the_number_of_shards_may_change_at_any_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
