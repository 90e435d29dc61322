/* Slow, silent and greedy devices: they cost what everyone costs, and everyone else is served. */
#include <stdlib.h>
#include <unistd.h>

#include "tests/flow/flow.h"
#include "tests/harness/sanitized.h"

static void fill(struct rig *rig, const char *from, const char *to, uint64_t count)
{
    struct talker *t = rig_talk(rig, from, 0);
    uint64_t next = talker_welcome(t)->client_seq_max;
    for (uint64_t i = 1; i <= count; i++) {
        char text[24];
        snprintf(text, sizeof text, "number %d", (int)i);
        send_text(t, to, next + i, text);
    }
    talker_close(t);
}

static struct conv_id expect_numbers(struct talker *t, uint64_t from, uint64_t to, bool acknowledge)
{
    struct conv_id conv = { { 0 } };
    for (uint64_t i = from; i <= to; i++) {
        const struct msg *m = talker_expect(t, MSG_MESSAGE);
        assert_int_equal(m->u.message.seq, i);
        conv = m->u.message.conv;
        if (acknowledge) talker_cursor(t, MSG_DELIVERED, &conv, i);
    }
    return conv;
}

static void who_never_acknowledges_gets_one_window_and_the_rest_once_it_does(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2 });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 2);
    rig_up(rig);
    struct talker *b0 = rig_talk(rig, "bob", 0);
    fill(rig, "alice", "bob", 200);
    struct conv_id conv = expect_numbers(b0, 1, WINDOW_MESSAGES_MAX, false);
    talker_settle(b0);
    /* Nothing more, however long the other device of the same user takes its time. */
    struct talker *b1 = rig_talk(rig, "bob", 1);
    expect_numbers(b1, 1, 200, true);
    talker_close(b1);
    /* from before the messages; no message is queued behind */
    talker_expect(b0, MSG_SYNCED);
    size_t queued = talker_settle(b0);
    for (size_t i = 0; i < queued; i++) assert_int_not_equal(talker_next(b0)->type, MSG_MESSAGE);
    talker_cursor(b0, MSG_DELIVERED, &conv, WINDOW_MESSAGES_MAX);
    expect_numbers(b0, WINDOW_MESSAGES_MAX + 1, 200, true);
    talker_close(b0);
    rig_free(rig);
}

static void who_holds_the_last_page_and_never_acknowledges_keeps_nobody_waiting(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 1, .pages_max = 1 });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 2);
    rig_add(rig, "carol", 1);
    rig_up(rig);
    fill(rig, "alice", "bob", 200);
    fill(rig, "alice", "carol", 200);
    struct talker *b0 = rig_talk(rig, "bob", 0);
    struct conv_id conv = expect_numbers(b0, 1, WINDOW_MESSAGES_MAX, false);
    struct talker *c = rig_talk(rig, "carol", 0);
    expect_numbers(c, 1, 200, true);
    talker_expect(c, MSG_SYNCED);
    talker_cursor(b0, MSG_DELIVERED, &conv, WINDOW_MESSAGES_MAX);
    expect_numbers(b0, WINDOW_MESSAGES_MAX + 1, 200, true);    /* and it still gets all of its own */
    talker_expect(b0, MSG_SYNCED);
    talker_close(b0);
    talker_close(c);
    rig_free(rig);
}

static long resident_pages(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
    fclose(f);
    return pages;
}

static void who_asks_without_reading_costs_little_and_gets_every_answer_later(void **state)
{
    (void)state;
    enum { ASKS = 800, PAGE_MIB_MAX = 24 };                    /* the answers are some 40 MiB */
    static char text[TEXT_BYTES_MAX + 1];
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2 });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_add(rig, "carol", 1);
    rig_up(rig);
    memset(text, 'x', TEXT_BYTES_MAX);
    struct talker *a = rig_talk(rig, "alice", 0), *c = rig_talk(rig, "carol", 0);
    for (uint64_t i = 1; i <= 14; i++) send_text(a, "bob", i, text);
    talker_expect(a, MSG_SYNCED);
    uint64_t first = 0, last = 0;
    long before = resident_pages();
    for (int i = 0; i < ASKS; i++) {
        struct msg m = { .type = MSG_HISTORY, .has_ref = true, .ref = talker_ref(a) };
        m.u.history.to.conv = conv_of("alice", "bob");
        m.u.history.limit = PAGE_RECORDS_MAX;
        talker_send(a, &m);
        if (i == 0) first = m.ref;
        last = m.ref;
    }
    /* Others talk, and not a frame of the greedy one's is in their way. */
    struct talker *b = rig_talk(rig, "bob", 0);
    for (uint64_t i = 1; i <= 100; i++) {
        send_text(c, "bob", i, "meanwhile");
        const struct msg *m;
        do m = talker_expect(b, MSG_MESSAGE);
        while (strcmp(m->u.message.from.v, "carol") != 0);
        assert_int_equal(m->u.message.seq, i);
        talker_cursor(b, MSG_DELIVERED, &m->u.message.conv, i);
    }
    long grown = resident_pages() - before;
    if (!(SANITIZED_ADDRESS || SANITIZED_THREAD)) assert_true(grown * sysconf(_SC_PAGESIZE) < (long)PAGE_MIB_MAX << 20);
    for (uint64_t ref = first; ref <= last; ref++) {
        const struct msg *m = talker_answer(a, ref);
        assert_true(m->type == MSG_PAGE || (m->type == MSG_ERROR && m->u.error.again));
    }
    talker_close(a);
    talker_close(b);
    talker_close(c);
    rig_free(rig);
}

static void a_half_open_link_is_found_by_its_silence_and_what_it_swallowed_comes_again(void **state)
{
    (void)state;
    static struct clock_hand hand;
    enum { BEAT_MS = 30000 };
    clock_hand_init(&hand, UINT64_C(1800000000000));
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 1, .hand = &hand, .heartbeat_ms = BEAT_MS });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    talker_expect(b, MSG_SYNCED);
    send_text(a, "bob", 1, "into the void");
    talker_freeze(b);                                          /* takes it, says nothing ever again */
    for (int i = 0; i < 4; i++) {
        rig_turn_clock(rig, BEAT_MS + WHEEL_TICK_MS);
        talker_settle(a);                                      /* whoever says anything is alive */
    }
    assert_int_equal(rig_stat(rig, "heartbeats_missed"), 1);
    assert_int_equal(rig_stat(rig, "sessions"), 1);
    talker_thaw(b);
    assert_int_equal(talker_expect_close(b), err_close_code(ERR_IDLE));
    talker_close(b);
    b = rig_talk(rig, "bob", 0);
    expect_text(b, "into the void");
    talker_close(a);
    talker_close(b);
    rig_free(rig);
}

static void a_second_HELLO_of_a_device_ends_its_first_session(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2 });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    struct talker *first = rig_talk(rig, "alice", 0), *second = rig_talk(rig, "alice", 0);
    assert_int_equal(talker_expect_close(first), err_close_code(ERR_REPLACED));
    send_text(second, "bob", 1, "still me");
    assert_int_equal(rig_stat(rig, "sessions"), 1);
    talker_close(first);
    talker_close(second);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_never_acknowledges_gets_one_window_and_the_rest_once_it_does),
        cmocka_unit_test(who_holds_the_last_page_and_never_acknowledges_keeps_nobody_waiting),
        cmocka_unit_test(who_asks_without_reading_costs_little_and_gets_every_answer_later),
        cmocka_unit_test(a_half_open_link_is_found_by_its_silence_and_what_it_swallowed_comes_again),
        cmocka_unit_test(a_second_HELLO_of_a_device_ends_its_first_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
