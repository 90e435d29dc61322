/* What a new device is due: what came after it was added and, before that, what no device of its user has. So a message
 * that got its tick reaches somebody, whatever devices come and go meanwhile. */
#include "tests/flow/flow.h"
#include "tests/harness/chance.h"
#include "tests/harness/web.h"

/* The clock is turned by hand: what lies before a log-in has an earlier time than the log-in. */
struct world {
    struct clock_hand hand;
    struct rig *rig;
    struct talker *bob;
    uint64_t client_seq;              /* of bob's device */
};

enum {
    A_WHILE_MS = 1000,                /* nobody is taken for dead within it */
    A_LONG_WHILE_MS = 3600 * 1000,
};

static int set_up_on(void **state, uint16_t shards)
{
    static struct world w;
    w = (struct world){ .client_seq = 0 };
    clock_hand_init(&w.hand, 1700000000000);
    w.rig = rig_new(&(struct rig_options){ .shards = shards, .hand = &w.hand });
    rig_add(w.rig, "alice", 1);
    rig_add(w.rig, "bob", 1);
    rig_up(w.rig);
    w.bob = rig_talk(w.rig, "bob", 0);
    *state = &w;
    return 0;
}

static int on_one(void **state)
{
    return set_up_on(state, 1);
}

static int on_four(void **state)
{
    return set_up_on(state, 4);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    talker_close(w->bob);
    rig_free(w->rig);
    return 0;
}

/* -- what people do ------------------------------------------------------------------------------------------ */

static void bob_says(struct world *w, const char *text)
{
    w->client_seq++;
    send_text(w->bob, "alice", w->client_seq, text);
}

static struct web_device alice_logs_in(struct world *w)
{
    struct web_device made;
    rig_turn_clock(w->rig, A_WHILE_MS);
    assert_int_equal(web_login(w->rig, NULL, "alice", "a password", &made), 200);
    return made;
}

static void alice_logs_out(struct world *w, const struct web_device *device)
{
    static struct web web;
    assert_int_equal(web_ask(w->rig, NULL, "POST", "/v1/logout", device, NULL, &web), 200);
}

static struct web_device alices_first(struct world *w)
{
    return web_device_of(rig_device(w->rig, "alice", 0));
}

/* The device says that it has all up to `seq`, and bob is told: from then on it is on disk. */
static void acknowledge(struct world *w, struct talker *alice, uint64_t seq)
{
    struct conv_id conv = conv_of("alice", "bob");
    talker_cursor(alice, MSG_DELIVERED, &conv, seq);
    while (talker_expect(w->bob, MSG_RECEIPT)->u.receipt.delivered < seq) continue;
}

/* It is sent these messages in this order, from `first` on, and then no other. `texts` ends in NULL. */
static void expect_due(struct talker *t, uint64_t first, const char *const *texts)
{
    for (uint64_t i = 0; texts[i]; i++) {
        const struct msg *m = talker_expect(t, MSG_MESSAGE);
        assert_text(m, texts[i]);
        assert_int_equal(m->u.message.seq, first + i);
    }
    talker_expect(t, MSG_SYNCED);
    while (talker_settle(t) > 0) assert_int_not_equal(talker_next(t)->type, MSG_MESSAGE);
}
#define TEXTS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NO_TEXTS ((const char *const[]){ NULL })

/* Alice's first device has "one" and "two" and is gone; bob says "three" and "four" to nobody. */
static void nobody_is_there_for_three_and_four(struct world *w)
{
    struct web_device first = alices_first(w);
    struct talker *t = web_talk(w->rig, &first);
    bob_says(w, "one");
    bob_says(w, "two");
    talker_expect(t, MSG_MESSAGE);
    talker_expect(t, MSG_MESSAGE);
    acknowledge(w, t, 2);
    alice_logs_out(w, &first);
    talker_close(t);
    rig_turn_clock(w->rig, A_WHILE_MS);
    bob_says(w, "three");
    bob_says(w, "four");
}

/* -- tests --------------------------------------------------------------------------------------------------- */

static void what_came_while_nobody_was_logged_in_is_due_to_the_next(void **state)
{
    struct world *w = *state;
    nobody_is_there_for_three_and_four(w);
    struct web_device next = alice_logs_in(w);
    struct talker *t = web_talk(w->rig, &next);
    expect_due(t, 3, TEXTS("three", "four"));
    acknowledge(w, t, 4);
    talker_close(t);
    t = web_talk(w->rig, &next);
    expect_due(t, 5, NO_TEXTS);
    talker_close(t);
}

static void a_restart_or_a_power_cut_changes_nothing_of_that(void **state)
{
    struct world *w = *state;
    nobody_is_there_for_three_and_four(w);
    rig_crash(w->rig, DISK_DROP_ALL, run_seed());
    struct web_device next = alice_logs_in(w);
    rig_crash(w->rig, DISK_DROP_ALL, run_seed());
    struct talker *t = web_talk(w->rig, &next);
    expect_due(t, 3, TEXTS("three", "four"));    /* not acknowledged yet: due again */
    talker_close(t);
    rig_down(w->rig);
    rig_up(w->rig);
    t = web_talk(w->rig, &next);
    expect_due(t, 3, TEXTS("three", "four"));
    talker_close(t);
    talker_close(w->bob);
    w->bob = NULL;
}

static void what_a_device_had_not_acknowledged_when_it_went_is_due_to_the_next(void **state)
{
    struct world *w = *state;
    struct web_device first = alices_first(w);
    bob_says(w, "one");
    bob_says(w, "two");
    struct talker *t = web_talk(w->rig, &first);
    talker_expect(t, MSG_MESSAGE);
    talker_expect(t, MSG_MESSAGE);
    acknowledge(w, t, 1);                        /* "two" went out, and got lost with its telephone */
    alice_logs_out(w, &first);
    talker_close(t);
    struct web_device next = alice_logs_in(w);
    t = web_talk(w->rig, &next);
    expect_due(t, 2, TEXTS("two"));
    talker_close(t);
}

static void two_devices_that_go_one_after_the_other_leave_what_neither_has(void **state)
{
    struct world *w = *state;
    struct web_device first = alices_first(w), second = alice_logs_in(w);
    struct talker *t = web_talk(w->rig, &first), *u = web_talk(w->rig, &second);
    bob_says(w, "one");
    bob_says(w, "two");
    for (int i = 0; i < 2; i++) {
        talker_expect(t, MSG_MESSAGE);
        talker_expect(u, MSG_MESSAGE);
    }
    acknowledge(w, t, 2);                        /* the first has both … */
    alice_logs_out(w, &first);
    talker_close(t);
    bob_says(w, "three");
    talker_expect(u, MSG_MESSAGE);               /* … and the second says nothing of any */
    alice_logs_out(w, &second);
    talker_close(u);
    bob_says(w, "four");
    struct web_device next = alice_logs_in(w);
    t = web_talk(w->rig, &next);
    expect_due(t, 3, TEXTS("three", "four"));
    talker_close(t);
}

static void what_waits_for_a_device_that_stays_away_comes_to_a_new_one_too(void **state)
{
    struct world *w = *state;
    struct web_device first = alices_first(w);
    bob_says(w, "one");
    bob_says(w, "two");
    struct web_device next = alice_logs_in(w);
    struct talker *t = web_talk(w->rig, &next);
    expect_due(t, 1, TEXTS("one", "two"));
    acknowledge(w, t, 2);
    talker_close(t);
    t = web_talk(w->rig, &first);                /* it is still due everything itself */
    expect_due(t, 1, TEXTS("one", "two"));
    talker_close(t);
}

static void what_another_device_has_is_not_due_to_a_new_one(void **state)
{
    struct world *w = *state;
    struct web_device first = alices_first(w);
    struct talker *t = web_talk(w->rig, &first);
    bob_says(w, "one");
    bob_says(w, "two");
    talker_expect(t, MSG_MESSAGE);
    talker_expect(t, MSG_MESSAGE);
    acknowledge(w, t, 2);
    struct web_device next = alice_logs_in(w);
    bob_says(w, "three");
    talker_expect(t, MSG_MESSAGE);
    acknowledge(w, t, 3);                        /* what came after it was added is due all the same */
    struct talker *u = web_talk(w->rig, &next);
    expect_due(u, 3, TEXTS("three"));
    talker_close(t);
    talker_close(u);
}

/* What is due is found by the home's memory, or by rows. Long after the last cursor moved: news of cursors would bring
 * the page anyway. */
static void it_is_the_same_whether_the_conversation_is_in_memory_or_not(void **state)
{
    struct world *w = *state;
    nobody_is_there_for_three_and_four(w);
    talker_close(w->bob);
    w->bob = NULL;
    rig_turn_clock(w->rig, A_LONG_WHILE_MS);
    struct web_device next = alice_logs_in(w);
    struct talker *t = web_talk(w->rig, &next);
    expect_due(t, 3, TEXTS("three", "four"));    /* from memory: bob's sends loaded it */
    talker_close(t);
    rig_down(w->rig);
    rig_up(w->rig);
    t = web_talk(w->rig, &next);
    expect_due(t, 3, TEXTS("three", "four"));    /* from rows */
    talker_close(t);
}

/* The device's own word does not cover what it was not sent: who writes first still gets what waited. */
static void a_send_before_catching_up_covers_nothing_that_waits(void **state)
{
    struct world *w = *state;
    nobody_is_there_for_three_and_four(w);
    struct web_device next = alice_logs_in(w);
    struct talker *t = web_talk(w->rig, &next);
    struct msg_accepted five = send_text(t, "bob", 1, "five");
    assert_int_equal(five.seq, 5);
    talker_close(t);
    t = web_talk(w->rig, &next);
    expect_due(t, 3, TEXTS("three", "four", "five"));
    talker_close(t);
}

#define ON_ONE(test) cmocka_unit_test_setup_teardown(test, on_one, tear_down)
#define ON_ONE_AND_FOUR(test) ON_ONE(test), { #test "_on_four_shards", test, on_four, tear_down, NULL }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ONE_AND_FOUR(what_came_while_nobody_was_logged_in_is_due_to_the_next),
        ON_ONE_AND_FOUR(a_restart_or_a_power_cut_changes_nothing_of_that),
        ON_ONE(what_a_device_had_not_acknowledged_when_it_went_is_due_to_the_next),
        ON_ONE_AND_FOUR(two_devices_that_go_one_after_the_other_leave_what_neither_has),
        ON_ONE(what_waits_for_a_device_that_stays_away_comes_to_a_new_one_too),
        ON_ONE(what_another_device_has_is_not_due_to_a_new_one),
        ON_ONE(it_is_the_same_whether_the_conversation_is_in_memory_or_not),
        ON_ONE(a_send_before_catching_up_covers_nothing_that_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
