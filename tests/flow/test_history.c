/* What is stored and found again: pages of history, a device that comes later, many conversations, notes to oneself. */
#include <stdlib.h>

#include "tests/flow/flow.h"

#define NIL UINT64_MAX

static const struct msg *ask_page(struct talker *t, const char *with, uint64_t before, uint64_t after, uint64_t limit)
{
    return ask_history(t, (struct msg_history){ .to = { .is_user = true, .user = rig_user(with) },
                                                .has_before = before != NIL, .has_after = after != NIL, .before = before,
                                                .after = after, .limit = limit });
}

/* The page holds just the sequences first..last (none: first > last). */
static void assert_page(const struct msg *m, uint64_t first, uint64_t last, bool more)
{
    struct msg_message record;
    assert_int_equal(m->type, MSG_PAGE);
    struct bytes rest = m->u.page.records;
    for (uint64_t seq = first; seq <= last; seq++) {
        assert_int_equal(page_next(&rest, &record), 0);
        assert_int_equal(record.seq, seq);
    }
    assert_int_equal(page_next(&rest, &record), ERR_END);
    assert_int_equal(m->u.page.more, more);
}

static void pages_go_back_from_the_head_and_forward_from_a_sequence(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2 });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    for (uint64_t i = 1; i <= 30; i++) send_text(a, "bob", i, "x");
    assert_page(ask_page(a, "bob", NIL, NIL, 10), 21, 30, true);
    assert_page(ask_page(a, "bob", 21, NIL, 10), 11, 20, true);
    assert_page(ask_page(a, "bob", 11, NIL, 10), 1, 10, false);
    assert_page(ask_page(a, "bob", 1, NIL, 10), 1, 0, false);
    assert_page(ask_page(a, "bob", 1000, NIL, 10), 21, 30, true);
    assert_page(ask_page(a, "bob", NIL, 25, 10), 26, 30, false);
    assert_page(ask_page(a, "bob", NIL, 3, 10), 4, 13, true);
    assert_page(ask_page(a, "bob", NIL, 30, 10), 1, 0, false);
    assert_page(ask_page(a, "bob", NIL, NIL, PAGE_RECORDS_MAX), 1, 30, false);
    /* above 0 is everything, the first ones first */
    assert_page(ask_page(a, "bob", NIL, 0, 10), 1, 10, true);
    assert_page(ask_page(a, "bob", NIL, 0, PAGE_RECORDS_MAX), 1, 30, false);
    assert_page(ask_page(a, "bob", NIL, 1000, 10), 1, 0, false);
    assert_page(ask_page(a, "bob", 0, NIL, 10), 1, 0, false);        /* below 0 is nothing */
    assert_error(ask_page(a, "alice", NIL, NIL, 10), ERR_NOT_FOUND);    /* no notes to oneself yet */
    talker_close(a);
    rig_free(rig);
}

static void what_is_damaged_is_refused_by_name_and_all_else_is_served(void **state)
{
    (void)state;
    char path[FS_PATH_MAX], folder[FS_PATH_MAX];
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 1 });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_add(rig, "carol", 1);
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    send_text(a, "bob", 1, "one");
    for (uint64_t i = 1; i <= 3; i++) send_text(a, "carol", i, "x");
    talker_close(a);
    rig_down(rig);
    rig_up(rig);                       /* read and found good: what is damaged from now on only a reader finds */
    fs_path(folder, rig_folder(rig), "log");
    fs_path(path, folder, "0000-0000000000000001.seg");
    enum { IN_THE_FIRST_RECORD = 48 + 48 + 150 };
    uint8_t byte;
    disk_file_read(rig_disk(rig), path, IN_THE_FIRST_RECORD, &byte, 1);
    byte ^= 1;
    disk_file_poke(rig_disk(rig), path, IN_THE_FIRST_RECORD, &byte, 1);

    a = rig_talk(rig, "alice", 0);
    assert_error(ask_page(a, "bob", NIL, NIL, 10), ERR_DAMAGED);
    assert_page(ask_page(a, "carol", NIL, NIL, 10), 1, 3, false);
    assert_int_equal(send_text(a, "bob", 4, "two").seq, 2);
    assert_page(ask_page(a, "bob", NIL, 1, 10), 2, 2, false);

    /* Who is behind in both conversations goes on with the one that can be read, and hears what comes live. */
    struct talker *b = rig_talk(rig, "bob", 0);
    talker_expect(b, MSG_SYNCED);
    send_text(a, "bob", 5, "three");
    assert_int_equal(talker_expect(b, MSG_MESSAGE)->u.message.seq, 3);
    talker_close(a);
    talker_close(b);
    rig_free(rig);
}

static void a_page_of_large_messages_ends_before_the_frame_is_full(void **state)
{
    (void)state;
    static char text[TEXT_BYTES_MAX + 1];
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 1 });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    memset(text, 'x', TEXT_BYTES_MAX);
    struct talker *a = rig_talk(rig, "alice", 0);
    for (uint64_t i = 1; i <= 40; i++) send_text(a, "bob", i, text);
    uint64_t before = NIL, seen = 0;
    bool more = true;
    while (more) {
        const struct msg *m = ask_page(a, "bob", before, NIL, PAGE_RECORDS_MAX);
        struct msg_message record;
        assert_int_equal(m->type, MSG_PAGE);
        struct bytes rest = m->u.page.records;
        before = 0;
        while (page_next(&rest, &record) == 0) {
            if (before == 0) before = record.seq;
            seen++;
        }
        more = m->u.page.more;
        assert_true(before > 0);
    }
    assert_int_equal(seen, 40);
    /* The same for one who was away: pages of the catch-up have a bound of their own. */
    struct talker *b = rig_talk(rig, "bob", 0);
    for (uint64_t i = 1; i <= 40; i++) {
        const struct msg *m = talker_expect(b, MSG_MESSAGE);
        assert_int_equal(m->u.message.seq, i);
        talker_cursor(b, MSG_DELIVERED, &m->u.message.conv, i);
    }
    talker_close(a);
    talker_close(b);
    rig_free(rig);
}

static void the_first_device_gets_what_waited_and_a_later_one_what_comes_after_it(void **state)
{
    (void)state;
    static struct clock_hand hand;
    clock_hand_init(&hand, UINT64_C(1800000000000));
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .hand = &hand });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 0);                                   /* an account, and no device yet */
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    for (uint64_t i = 1; i <= 9; i++) send_text(a, "bob", i, "early");
    talker_close(a);
    rig_down(rig);
    clock_hand_advance(&hand, 1000);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    struct talker *first = rig_talk(rig, "bob", 0);
    for (uint64_t i = 1; i <= 9; i++) assert_int_equal(talker_expect(first, MSG_MESSAGE)->u.message.seq, i);
    a = rig_talk(rig, "alice", 0);
    struct conv_id conv = conv_of("alice", "bob");
    talker_cursor(first, MSG_DELIVERED, &conv, 9);
    while (talker_expect(a, MSG_RECEIPT)->u.receipt.delivered < 9) continue;
    talker_close(a);
    talker_close(first);
    rig_down(rig);
    clock_hand_advance(&hand, 1000);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    a = rig_talk(rig, "alice", 0);
    for (uint64_t i = 10; i <= 13; i++) send_text(a, "bob", i, "late");
    struct talker *second = rig_talk(rig, "bob", 1);
    for (uint64_t i = 10; i <= 13; i++) {
        const struct msg *m = talker_next(second);
        while (m->type == MSG_RECEIPT) m = talker_next(second);
        assert_int_equal(m->type, MSG_MESSAGE);
        assert_int_equal(m->u.message.seq, i);
    }
    assert_page(ask_page(second, "alice", NIL, NIL, 100), 1, 13, false);
    talker_close(a);
    talker_close(second);
    rig_free(rig);
}

/* More conversations than stay in memory, more than a slice of the scan, more than a session's set. */
static void conversations_let_go_of_come_back_whole(void **state)
{
    (void)state;
    enum { PEERS = 48, ROUNDS = 3, HOT = 16 };
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .conversations_hot_max = HOT });
    rig_add(rig, "alice", 1);
    char name[PEERS][16];
    for (int p = 0; p < PEERS; p++) {
        snprintf(name[p], sizeof name[p], "peer%02d", p);
        rig_add(rig, name[p], 1);
    }
    rig_up(rig);
    uint64_t client_seq[PEERS] = { 0 };
    for (int round = 1; round <= ROUNDS; round++) {
        for (int p = 0; p < PEERS; p++) {
            struct talker *t = rig_talk(rig, name[p], 0);
            assert_int_equal(send_text(t, "alice", ++client_seq[p], name[p]).seq, round);
            /* And the same again: what was let go of still knows its repeats. */
            assert_int_equal(send_text(t, "alice", client_seq[p], name[p]).seq, round);
            talker_close(t);
        }
        if (round == 2) rig_down(rig), rig_up(rig);
    }
    struct talker *a = rig_talk(rig, "alice", 0);
    uint64_t last[PEERS] = { 0 }, count = 0;
    const struct msg *m;
    while ((m = talker_next(a))->type != MSG_SYNCED) {
        if (m->type != MSG_MESSAGE) continue;
        int p = atoi(m->u.message.from.v + 4);
        assert_int_equal(m->u.message.seq, ++last[p]);
        count++;
        talker_cursor(a, MSG_READ, &m->u.message.conv, m->u.message.seq);
    }
    assert_int_equal(count, PEERS * ROUNDS);
    talker_settle(a);
    talker_close(a);
    /* All of it was acknowledged: nothing comes twice. */
    a = rig_talk(rig, "alice", 0);
    while ((m = talker_next(a))->type != MSG_SYNCED) assert_int_not_equal(m->type, MSG_MESSAGE);
    talker_close(a);
    rig_free(rig);
}

static void notes_to_oneself_reach_ones_other_devices_and_count_for_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2 });
    rig_add(rig, "alice", 2);
    rig_up(rig);
    struct talker *a0 = rig_talk(rig, "alice", 0), *a1 = rig_talk(rig, "alice", 1);
    talker_expect(a1, MSG_SYNCED);
    send_text(a0, "alice", 1, "buy milk");
    const struct msg *m = talker_expect(a1, MSG_MESSAGE);
    assert_text(m, "buy milk");
    assert_int_equal(m->u.message.flags & RECORD_COUNTS, 0);
    assert_int_equal(m->u.message.counted, 0);
    talker_close(a0);
    talker_close(a1);
    rig_free(rig);
}

/* Alice is away while bob reads: the ticks she missed are told when she comes back. */
static void receipts_missed_while_away_come_with_the_sync(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2 });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    struct conv_id conv = send_text(a, "bob", 1, "one").conv;
    talker_close(a);
    struct talker *b = rig_talk(rig, "bob", 0);
    expect_text(b, "one");
    talker_cursor(b, MSG_READ, &conv, 1);
    talker_settle(b);
    talker_close(b);
    rig_down(rig);                                            /* durable and flushed, whatever the clocks did */
    rig_up(rig);
    a = rig_talk(rig, "alice", 0);
    const struct msg *m;
    bool told = false;
    while ((m = talker_next(a))->type != MSG_SYNCED) {
        struct user_id bob = rig_user("bob");
        if (m->type == MSG_RECEIPT && user_id_equal(&m->u.receipt.user, &bob)) told = m->u.receipt.read == 1;
    }
    assert_true(told);
    talker_close(a);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_go_back_from_the_head_and_forward_from_a_sequence),
        cmocka_unit_test(what_is_damaged_is_refused_by_name_and_all_else_is_served),
        cmocka_unit_test(a_page_of_large_messages_ends_before_the_frame_is_full),
        cmocka_unit_test(the_first_device_gets_what_waited_and_a_later_one_what_comes_after_it),
        cmocka_unit_test(conversations_let_go_of_come_back_whole),
        cmocka_unit_test(notes_to_oneself_reach_ones_other_devices_and_count_for_nothing),
        cmocka_unit_test(receipts_missed_while_away_come_with_the_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
