/* test_sync.c - a device sends exactly once, in order, whatever the server answers. */
#include "tests/unit/sync_world.h"

/* ---- sending ---- */

static void an_accepted_send_is_a_message_of_ones_own(void **state)
{
    struct fixture *f = *state;
    size_t count = 0;
    welcome(f);
    queue(f, &bob, "hi");
    forget(f);
    step(f);
    uint64_t ref = the_only(f, MSG_SEND)->ref;
    begin(f);
    accepted(f, ref, 1, 1);
    end(f);
    assert_int_equal(told(f, SYNC_ACCEPTED), 1);
    assert_int_equal(outbox_count(f), 0);
    assert_int_equal(fresh_count(f), 0);
    assert_int_equal(home_message_by_send(f->home, mine, 1, count_row, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(conv_of(f).stored, 1);    /* the first message of all: nothing is before it */
}

static void an_accepted_send_proves_nothing_about_what_was_before(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    queue(f, &bob, "hi");
    forget(f);
    step(f);
    uint64_t ref = the_only(f, MSG_SEND)->ref;
    forget(f);
    begin(f);
    accepted(f, ref, 58, 1);
    end(f);
    assert_int_equal(f->sent_count, 0);
    assert_false(conv_of(f).has_stored);
    begin(f);
    bob_says(f, 56);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 56);
    forget(f);
    begin(f);
    bob_says(f, 57);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 58);    /* with ours */
}

static void a_lost_link_repeats_the_same_number_and_bytes(void **state)
{
    struct fixture *f = *state;
    uint8_t body[64];
    welcome(f);
    queue(f, &bob, "hello");
    forget(f);
    step(f);
    const struct msg_send *first = &the_only(f, MSG_SEND)->u.send;
    size_t len = first->body.len;
    memcpy(body, first->body.at, len);
    sync_on_lost(f->sync);
    close_home(f);    /* even the program ends */
    open_home(f);
    f->client_seq_max = 1;    /* the server had it */
    forget(f);
    welcome(f);
    const struct msg_send *again = &the_only(f, MSG_SEND)->u.send;
    assert_int_equal(again->client_seq, 1);
    assert_true(bytes_equal(again->body, bytes_of(body, len)));
    assert_true(again->settled <= 1);
}

static void settled_is_the_lowest_number_without_an_answer(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    queue(f, &bob, "1");
    queue(f, &carol, "2");
    forget(f);
    step(f);
    assert_int_equal(count_of(f, MSG_SEND), 2);
    assert_int_equal(f->sent[1].u.send.client_seq, 2);
    assert_int_equal(f->sent[1].u.send.settled, 1);
    uint64_t ref = f->sent[0].ref;
    queue(f, &bob, "3");
    forget(f);
    begin(f);
    accepted(f, ref, 1, 1);
    end(f);
    assert_int_equal(the_only(f, MSG_SEND)->u.send.client_seq, 3);
    assert_int_equal(the_only(f, MSG_SEND)->u.send.settled, 2);
}

static void sends_to_one_user_go_one_after_the_other(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    queue(f, &bob, "1");
    queue(f, &bob, "2");
    queue(f, &carol, "3");
    forget(f);
    step(f);
    step(f);
    assert_int_equal(count_of(f, MSG_SEND), 2);
    assert_int_equal(f->sent[0].u.send.client_seq, 1);
    assert_int_equal(f->sent[1].u.send.client_seq, 3);
}

static void again_repeats_the_same_send_after_the_time_asked_for(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    queue(f, &bob, "1");
    queue(f, &bob, "2");
    forget(f);
    step(f);
    uint64_t ref = the_only(f, MSG_SEND)->ref;
    begin(f);
    error(f, ref, ERR_STORAGE, true, 700);
    end(f);
    forget(f);
    f->now.mono_ms += 699;
    step(f);
    assert_int_equal(f->sent_count, 0);    /* not the second one either: their order stays */
    f->now.mono_ms += 1;
    step(f);
    assert_int_equal(the_only(f, MSG_SEND)->u.send.client_seq, 1);
    assert_int_equal(told(f, SYNC_REFUSED), 0);
}

static void what_must_wait_is_told_once_for_each_reason(void **state)
{
    static const struct { int err; size_t told; } answers[] = {
        { ERR_STORAGE, 1 }, { ERR_STORAGE, 0 }, { ERR_BUSY, 1 }, { ERR_STORAGE, 1 },
    };
    struct fixture *f = *state;
    welcome(f);
    uint64_t client_seq = queue(f, &bob, "1");
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        forget(f);
        step(f);
        uint64_t ref = the_only(f, MSG_SEND)->ref;
        begin(f);
        error(f, ref, answers[i].err, true, 700);
        end(f);
        assert_int_equal(told(f, SYNC_LATER), answers[i].told);
        for (size_t k = 0; k < f->event_count; k++) {
            assert_int_equal(f->events[k].err, answers[i].err);
            assert_int_equal(f->events[k].client_seq, client_seq);
            assert_int_equal(f->events[k].time_ms, 700);
            assert_string_equal(f->events[k].user.v, bob.v);
            assert_string_equal(f->events[k].text, "because");
        }
        f->now.mono_ms += 700;
    }
    assert_int_equal(outbox_count(f), 1);
}

static void without_a_time_each_wait_is_longer(void **state)
{
    struct fixture *f = *state;
    uint64_t before = 0;
    welcome(f);
    queue(f, &bob, "1");
    for (int i = 0; i < 10; i++) {
        forget(f);
        step(f);
        uint64_t ref = the_only(f, MSG_SEND)->ref;
        begin(f);
        error(f, ref, ERR_BUSY, true, 0);
        end(f);
        uint64_t wait = sync_due_ms(f->sync) - f->now.mono_ms;
        assert_true(wait > before || wait == RETRY_MS_MAX);
        before = wait;
        f->now.mono_ms += wait;
    }
    assert_int_equal(before, RETRY_MS_MAX);
}

static void a_refused_send_is_out_of_the_outbox_and_told_to_who_waits(void **state)
{
    struct fixture *f = *state;
    char text[256];
    int err = 0;
    welcome(f);
    queue(f, &bob, "1");
    queue(f, &bob, "2");
    forget(f);
    step(f);
    uint64_t ref = the_only(f, MSG_SEND)->ref;
    forget(f);
    begin(f);
    error(f, ref, ERR_NOT_FOUND, false, 0);
    end(f);
    assert_int_equal(told(f, SYNC_REFUSED), 1);
    assert_int_equal(home_refusal_take(f->home, 1, &err, text), 0);
    assert_int_equal(err, ERR_NOT_FOUND);
    assert_int_equal(the_only(f, MSG_SEND)->u.send.client_seq, 2);    /* the next one goes */
}

static void ones_own_message_in_catch_up_is_as_good_as_accepted(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    queue(f, &bob, "hi");
    forget(f);
    step(f);
    uint64_t ref = the_only(f, MSG_SEND)->ref;
    struct msg_message own = record(f, 1, &alice, mine, 1);
    forget(f);
    begin(f);
    message(f, &own);
    end(f);
    assert_int_equal(told(f, SYNC_ACCEPTED), 1);
    assert_int_equal(told(f, SYNC_MESSAGE), 0);
    assert_int_equal(outbox_count(f), 0);
    begin(f);
    accepted(f, ref, 1, 1);    /* late */
    end(f);
    assert_int_equal(told(f, SYNC_ACCEPTED), 1);
}

static void a_message_of_ones_other_device_settles_nothing(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    queue(f, &bob, "hi");
    step(f);
    struct msg_message theirs = record(f, 1, &alice, other_device, 1);    /* the same number, another device */
    begin(f);
    message(f, &theirs);
    end(f);
    assert_int_equal(outbox_count(f), 1);
    assert_int_equal(fresh_count(f), 1);
}

static void numbers_go_on_above_what_the_server_knows(void **state)
{
    struct fixture *f = *state;
    queue(f, &bob, "written offline");
    f->client_seq_max = 40;
    welcome(f);
    assert_int_equal(the_only(f, MSG_SEND)->u.send.client_seq, 41);
    assert_int_equal(queue(f, &bob, "next"), 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(an_accepted_send_is_a_message_of_ones_own),
        CLAIM(an_accepted_send_proves_nothing_about_what_was_before),
        CLAIM(a_lost_link_repeats_the_same_number_and_bytes),
        CLAIM(settled_is_the_lowest_number_without_an_answer),
        CLAIM(sends_to_one_user_go_one_after_the_other),
        CLAIM(again_repeats_the_same_send_after_the_time_asked_for),
        CLAIM(what_must_wait_is_told_once_for_each_reason),
        CLAIM(without_a_time_each_wait_is_longer),
        CLAIM(a_refused_send_is_out_of_the_outbox_and_told_to_who_waits),
        CLAIM(ones_own_message_in_catch_up_is_as_good_as_accepted),
        CLAIM(a_message_of_ones_other_device_settles_nothing),
        CLAIM(numbers_go_on_above_what_the_server_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
