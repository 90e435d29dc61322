/* test_sync_gone.c - a device steps over what is gone, once it has all before it, and asks for nothing in vain. */
#include "tests/unit/sync_world.h"

static const struct sync_event *the_event(const struct fixture *f, enum sync_kind kind)
{
    const struct sync_event *found = NULL;
    for (size_t i = 0; i < f->event_count; i++) {
        if (f->events[i].kind != kind) continue;
        assert_null(found);
        found = &f->events[i];
    }
    assert_non_null(found);
    return found;
}

static void a_tombstone_is_acknowledged_like_the_messages_in_it(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    bob_says(f, 2);
    tombstone(f, 3, 100002);
    bob_says(f, 100003);
    forget(f);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 100003);
    assert_int_equal(count_of(f, MSG_HISTORY), 0);
    assert_int_equal(fresh_count(f), 3);
    const struct sync_event *e = the_event(f, SYNC_GONE);
    assert_int_equal(e->seq, 3);
    assert_int_equal(e->number, 100002);
    assert_string_equal(e->user.v, "bob");
}

static void a_tombstone_that_comes_again_is_acknowledged_and_told_once(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    tombstone(f, 2, 5);
    end(f);
    forget(f);
    begin(f);
    tombstone(f, 2, 5);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 5);
    assert_int_equal(told(f, SYNC_GONE), 0);
    begin(f);
    tombstone(f, 1, 9);                         /* more of it is gone by now */
    end(f);
    assert_int_equal(conv_of(f).stored, 9);
    assert_int_equal(the_event(f, SYNC_GONE)->seq, 6);
    assert_int_equal(fresh_count(f), 1);        /* what came before it was gone stays */
}

static void what_is_gone_from_the_start_is_where_a_device_begins(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    tombstone(f, 1, 9);                         /* of a conversation that never was here */
    forget(f);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 9);
    struct conv_row row;
    assert_int_equal(home_conv_get(f->home, &f->conv, &row), ERR_NOT_FOUND);
    begin(f);
    bob_says(f, 10);
    forget(f);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 10);
    assert_int_equal(count_of(f, MSG_HISTORY), 0);
}

static void before_a_tombstone_a_gap_is_filled(void **state)
{
    struct fixture *f = *state;
    static const uint64_t missing[] = { 2, 3 };
    static const struct gone gone[] = { { 4, 8 } };
    welcome(f);
    begin(f);
    bob_says(f, 1);
    tombstone(f, 4, 8);
    forget(f);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 1);
    const struct msg *ask = the_only(f, MSG_HISTORY);
    assert_int_equal(ask->u.history.after, 1);
    uint64_t ref = ask->ref;
    forget(f);
    begin(f);
    page_with_gone(f, ref, missing, 2, 8, false, gone, 1);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 8);
    assert_int_equal(count_of(f, MSG_HISTORY), 0);
    assert_int_equal(fresh_count(f), 3);
}

static void a_page_fills_a_gap_with_what_is_gone(void **state)
{
    struct fixture *f = *state;
    static const uint64_t there[] = { 4, 6 };
    static const struct gone gone[] = { { 2, 3 }, { 5, 5 }, { 7, 9 } };
    welcome(f);
    begin(f);
    bob_says(f, 1);
    bob_says(f, 10);
    forget(f);
    end(f);
    uint64_t ref = the_only(f, MSG_HISTORY)->ref;
    forget(f);
    begin(f);
    page_with_gone(f, ref, there, 2, 10, true, gone, 3);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 10);
    assert_int_equal(count_of(f, MSG_HISTORY), 0);
    assert_int_equal(fresh_count(f), 4);
    assert_int_equal(told(f, SYNC_GONE), 3);
}

static void a_gap_of_which_nothing_is_left_needs_one_page(void **state)
{
    struct fixture *f = *state;
    static const struct gone gone[] = { { 2, 9 } };
    welcome(f);
    begin(f);
    bob_says(f, 1);
    tombstone(f, 5, 9);
    forget(f);
    end(f);
    uint64_t ref = the_only(f, MSG_HISTORY)->ref;
    forget(f);
    begin(f);
    page_with_gone(f, ref, NULL, 0, 9, false, gone, 1);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 9);
    assert_int_equal(count_of(f, MSG_HISTORY), 0);
}

static void what_a_page_of_errand_says_is_gone_moves_nothing(void **state)
{
    struct fixture *f = *state;
    static const struct gone gone[] = { { 1, 9 } };
    struct msg ask = { .type = MSG_HISTORY, .has_ref = true, .ref = 1 };
    struct buf request;
    uint64_t number;
    welcome(f);
    begin(f);
    bob_says(f, 10);
    end(f);
    forget(f);
    ask.u.history = (struct msg_history){ .to = { .conv = f->conv }, .limit = 10 };
    buf_init(&request, FRAME_BYTES_MAX);
    assert_int_equal(msg_encode(&ask, &request), 0);
    assert_int_equal(home_errand_add(f->home, buf_bytes(&request), 1, &number), 0);
    buf_fini(&request);
    step(f);
    uint64_t ref = the_only(f, MSG_HISTORY)->ref;
    forget(f);
    begin(f);
    page_with_gone(f, ref, NULL, 0, 10, false, gone, 1);
    end(f);
    assert_int_equal(f->sent_count, 0);
    assert_int_equal(told(f, SYNC_GONE), 0);
    assert_int_equal(conv_of(f).stored, 10);
}

static void a_tombstone_settles_no_send(void **state)
{
    struct fixture *f = *state;
    queue(f, &bob, "hi");
    welcome(f);
    begin(f);
    tombstone(f, 1, 3);
    end(f);
    assert_int_equal(outbox_count(f), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_tombstone_is_acknowledged_like_the_messages_in_it),
        CLAIM(a_tombstone_that_comes_again_is_acknowledged_and_told_once),
        CLAIM(what_is_gone_from_the_start_is_where_a_device_begins),
        CLAIM(before_a_tombstone_a_gap_is_filled),
        CLAIM(a_page_fills_a_gap_with_what_is_gone),
        CLAIM(a_gap_of_which_nothing_is_left_needs_one_page),
        CLAIM(what_a_page_of_errand_says_is_gone_moves_nothing),
        CLAIM(a_tombstone_settles_no_send),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
