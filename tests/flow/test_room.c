/* Near a budget sends are refused by name, all else goes on, and when there is room again so do they. */
#include "tests/flow/flow.h"

#define MIB(n) ((uint64_t)(n) << 20)
enum { TEXT_BYTES = 3000 };

struct story {
    struct clock_hand hand;
    struct rig *rig;
    struct talker *a, *b;
    struct conv_id conv;
    uint64_t accepted;               /* client sequences 1 to this; their sequences are the same numbers */
};

/* Two shards, a clock turned by hand, and "one" is said and received. */
static struct story *story_begin(uint64_t disk_max, uint64_t disk_reserve)
{
    static struct story one;
    struct story *s = &one;
    memset(s, 0, sizeof *s);
    clock_hand_init(&s->hand, 1700000000000);
    s->rig = rig_new(&(struct rig_options){ .shards = 2, .hand = &s->hand });
    rig_config(s->rig)->disk_max = disk_max;
    rig_config(s->rig)->disk_reserve = disk_reserve;
    rig_add(s->rig, "alice", 1);
    rig_add(s->rig, "bob", 1);
    rig_up(s->rig);
    s->a = rig_talk(s->rig, "alice", 0);
    s->b = rig_talk(s->rig, "bob", 0);
    s->conv = send_text(s->a, "bob", 1, "one").conv;
    s->accepted = 1;
    expect_text(s->b, "one");
    talker_cursor(s->b, MSG_DELIVERED, &s->conv, 1);
    return s;
}

static void story_end(struct story *s)
{
    talker_close(s->a);
    talker_close(s->b);
    rig_free(s->rig);
}

static const struct msg *say_long(struct story *s, uint64_t client_seq)
{
    static char text[TEXT_BYTES + 1];
    struct user_id bob = rig_user("bob");
    memset(text, 'x', TEXT_BYTES);
    return talker_answer(s->a, talker_send_text(s->a, &bob, client_seq, client_seq - 1, text));
}

/* Says more and more, a second for each message, until one is refused. */
static struct msg_error fill(struct story *s)
{
    for (;;) {
        const struct msg *m = say_long(s, s->accepted + 1);
        if (m->type == MSG_ERROR) return m->u.error;
        assert_int_equal(m->type, MSG_ACCEPTED);
        s->accepted++;
        assert_int_equal(m->u.accepted.seq, s->accepted);
        assert_int_equal(talker_expect(s->b, MSG_MESSAGE)->u.message.seq, s->accepted);
        talker_cursor(s->b, MSG_DELIVERED, &s->conv, s->accepted);
        rig_turn_clock(s->rig, 1000);
    }
}

/* The refused one again, until there is room. A measurement may take many turns of the clock: who only listens says
 * something in each, or is given up as silent. */
static void say_until_accepted(struct story *s)
{
    const struct msg *m;
    while ((m = say_long(s, s->accepted + 1))->type == MSG_ERROR) {
        assert_error(m, ERR_NO_ROOM);
        rig_turn_clock(s->rig, 1000);
        talker_settle(s->b);
    }
    assert_int_equal(m->type, MSG_ACCEPTED);
    s->accepted++;
    assert_int_equal(m->u.accepted.seq, s->accepted);
    assert_int_equal(talker_expect(s->b, MSG_MESSAGE)->u.message.seq, s->accepted);
}

/* Page by page from the newest back to sequence 1: none may be missing. */
static uint64_t history_count(struct story *s)
{
    uint64_t count = 0, before = 0;
    do {
        struct msg m = { .type = MSG_HISTORY, .has_ref = true, .ref = talker_ref(s->a) };
        struct msg_message record;
        m.u.history.to.conv = s->conv;
        m.u.history.has_before = before != 0;
        m.u.history.before = before;
        m.u.history.limit = PAGE_RECORDS_MAX;
        talker_send(s->a, &m);
        const struct msg *page = talker_answer(s->a, m.ref);
        assert_int_equal(page->type, MSG_PAGE);
        struct bytes rest = page->u.page.records;
        uint64_t first = 0, last = 0;
        while (page_next(&rest, &record) == 0) {
            if (!first) first = record.seq;
            else assert_int_equal(record.seq, last + 1);
            last = record.seq;
            count++;
        }
        assert_true(first > 0);
        if (before) assert_int_equal(last, before - 1);
        before = first;
    } while (before > 1);
    return count;
}

static void assert_no_room(const struct msg_error *e)
{
    assert_string_equal(err_name(-(int)e->code), "NO_ROOM");
    assert_true(e->again);
    assert_int_equal(e->again_in_ms, 10000);
}

static void sends_stop_before_the_disk_is_full_and_go_on_when_there_is_room(void **state)
{
    (void)state;
    struct story *s = story_begin(0, 1);
    disk_set_capacity(rig_disk(s->rig), disk_used(rig_disk(s->rig)) + MIB(2));
    struct msg_error refused = fill(s);
    assert_no_room(&refused);
    assert_true(s->accepted > 30);
    /* Nothing is refused but sends, and a repeat of what was accepted has its answer. */
    const struct msg *m = say_long(s, s->accepted);
    assert_int_equal(m->type, MSG_ACCEPTED);
    assert_int_equal(m->u.accepted.seq, s->accepted);
    talker_cursor(s->b, MSG_READ, &s->conv, s->accepted);
    while (talker_expect(s->a, MSG_RECEIPT)->u.receipt.read != s->accepted) { }
    assert_int_equal(history_count(s), s->accepted);
    /* No new conversation either. */
    struct user_id alice = rig_user("alice");
    m = talker_answer(s->a, talker_send_text(s->a, &alice, 100000, 1, "to myself"));
    assert_error(m, ERR_NO_ROOM);

    disk_set_capacity(rig_disk(s->rig), UINT64_MAX);
    say_until_accepted(s);
    uint64_t all = s->accepted;
    talker_close_hard(s->a);
    talker_close_hard(s->b);
    rig_crash(s->rig, DISK_DROP_ALL, 0);
    s->a = rig_talk(s->rig, "alice", 0);
    s->b = rig_talk(s->rig, "bob", 0);
    assert_int_equal(history_count(s), all);
    story_end(s);
}

static void what_log_and_databases_take_is_counted_and_a_higher_limit_is_taken_by_a_reload(void **state)
{
    (void)state;
    struct story *s = story_begin(2, 0);
    struct msg_error refused = fill(s);
    assert_no_room(&refused);
    uint64_t used = disk_used(rig_disk(s->rig));
    assert_true(used > MIB(2) / 32 * 31);
    assert_true(used < MIB(2) + MIB(1));
    struct config more = *rig_config(s->rig);
    more.disk_max = 100;
    assert_int_equal(rig_reload(s->rig, &more).changed, 1);
    say_until_accepted(s);
    story_end(s);
}

static void a_start_without_room_refuses_from_the_first_send_on(void **state)
{
    (void)state;
    struct story *s = story_begin(0, 0);
    talker_close(s->a);
    talker_close(s->b);
    rig_down(s->rig);
    rig_config(s->rig)->memory_max = 1;              /* less than any program takes */
    rig_up(s->rig);
    s->a = rig_talk(s->rig, "alice", 0);
    s->b = rig_talk(s->rig, "bob", 0);
    const struct msg *m = say_long(s, 2);
    assert_int_equal(m->type, MSG_ERROR);
    assert_no_room(&m->u.error);
    struct config more = *rig_config(s->rig);
    more.memory_max = 0;
    rig_reload(s->rig, &more);
    say_until_accepted(s);
    story_end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_stop_before_the_disk_is_full_and_go_on_when_there_is_room),
        cmocka_unit_test(what_log_and_databases_take_is_counted_and_a_higher_limit_is_taken_by_a_reload),
        cmocka_unit_test(a_start_without_room_refuses_from_the_first_send_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
