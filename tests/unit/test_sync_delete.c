/* test_sync_delete.c - deleting for everyone and disappearing messages, by the rules of docs/protocol.md. */
#include "tests/unit/sync_world.h"

static int take_row(void *arg, const struct message_row *row)
{
    *(struct message_row *)arg = *row;    /* its body is not good any more */
    return 0;
}

static struct message_row row_of(struct fixture *f, uint64_t seq)
{
    struct msg_message m = from_bob(f, seq);
    struct message_row row = { .has_seq = false };
    assert_int_equal(home_message_by_id(f->home, &m.id, take_row, &row), 0);
    return row;
}

static uint64_t queue_as(struct fixture *f, enum record_kind kind, uint64_t number)
{
    uint8_t body[8];
    uint64_t client_seq = 0;
    put_u64(body, number);
    assert_int_equal(home_outbox_add_as(f->home, &bob, kind, BYTES_OF(body), f->now.wall_ms, &client_seq), 0);
    return client_seq;
}

/* Our "hi", accepted as the first of the conversation. */
static void say_first(struct fixture *f)
{
    uint64_t client_seq = queue(f, &bob, "hi");
    welcome(f);
    step(f);
    begin(f);
    accepted(f, the_only(f, MSG_SEND)->ref, 1, client_seq);
    end(f);
    forget(f);
}

static const struct sync_event *event_of(const struct fixture *f, enum sync_kind kind)
{
    assert_int_equal(told(f, kind), 1);
    for (size_t i = 0; i < f->event_count; i++)
        if (f->events[i].kind == kind) return &f->events[i];
    return NULL;
}

static void a_delete_leaves_as_it_is_asked_for_and_takes_the_body_when_it_is_accepted(void **state)
{
    struct fixture *f = *state;
    uint64_t seq;
    say_first(f);
    uint64_t client_seq = queue_as(f, KIND_DELETE, 1);
    step(f);
    const struct msg *m = the_only(f, MSG_DELETE);
    struct bytes rest = m->u.remove.seqs;
    assert_true(m->u.remove.to.is_user);
    assert_int_equal(m->u.remove.client_seq, client_seq);
    assert_int_equal(m->u.remove.settled, client_seq);
    assert_int_equal(seqs_next(&rest, &seq), 0);
    assert_int_equal(seq, 1);
    assert_int_equal(seqs_next(&rest, &seq), ERR_END);
    assert_int_equal(row_of(f, 1).m.kind, KIND_MESSAGE);    /* the server has not said so yet */
    begin(f);
    accepted(f, m->ref, 2, client_seq);
    end(f);
    assert_int_equal(row_of(f, 1).m.kind, KIND_TOMBSTONE);
    assert_int_equal(row_of(f, 1).m.body.len, 0);
    assert_int_equal(row_of(f, 2).m.kind, KIND_DELETE);
    assert_int_equal(row_of(f, 2).m.flags & RECORD_COUNTS, 0);
    assert_int_equal(event_of(f, SYNC_ACCEPTED)->record, KIND_DELETE);
    assert_int_equal(outbox_count(f), 0);
}

static void a_refused_delete_is_told_as_one_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    char text[256];
    int err = 0;
    say_first(f);
    uint64_t client_seq = queue_as(f, KIND_DELETE, 1);
    step(f);
    begin(f);
    error(f, the_only(f, MSG_DELETE)->ref, ERR_DENIED, false, 0);
    end(f);
    assert_int_equal(event_of(f, SYNC_REFUSED)->record, KIND_DELETE);
    assert_string_equal(event_of(f, SYNC_REFUSED)->user.v, "bob");
    assert_int_equal(row_of(f, 1).m.kind, KIND_MESSAGE);
    assert_int_equal(home_refusal_take(f->home, client_seq, &err, text), 0);
    assert_int_equal(err, ERR_DENIED);
}

static void a_delete_that_was_not_answered_is_repeated_as_it_was(void **state)
{
    struct fixture *f = *state;
    say_first(f);
    uint64_t client_seq = queue_as(f, KIND_DELETE, 1);
    step(f);
    forget(f);
    sync_on_lost(f->sync);
    f->client_seq_max = client_seq;
    welcome(f);
    assert_int_equal(the_only(f, MSG_DELETE)->u.remove.client_seq, client_seq);
}

static void a_delete_does_not_outlive_the_numbering_it_was_made_in(void **state)
{
    struct fixture *f = *state;
    char text[256];
    int err = 0;
    say_first(f);
    sync_on_lost(f->sync);
    uint64_t client_seq = queue_as(f, KIND_DELETE, 1), timer = queue_as(f, KIND_TIMER, 3600);
    f->generation++;    /* restored: 1 may be another message now */
    welcome(f);
    step(f);
    assert_int_equal(count_of(f, MSG_DELETE), 0);
    assert_int_equal(the_only(f, MSG_TIMER)->u.timer.client_seq, timer);
    assert_int_equal(home_refusal_take(f->home, client_seq, &err, text), 0);
    assert_int_equal(err, ERR_NOT_FOUND);
}

static void a_timer_leaves_as_it_is_asked_for_and_holds_when_it_is_accepted(void **state)
{
    struct fixture *f = *state;
    struct timer_row timer;
    say_first(f);
    uint64_t client_seq = queue_as(f, KIND_TIMER, 3600);
    step(f);
    const struct msg *m = the_only(f, MSG_TIMER);
    assert_int_equal(m->u.timer.expire_s, 3600);
    assert_int_equal(home_timer_get(f->home, &f->conv, &timer), 0);
    assert_int_equal(timer.seconds, 0);
    begin(f);
    accepted(f, m->ref, 2, client_seq);
    end(f);
    assert_int_equal(home_timer_get(f->home, &f->conv, &timer), 0);
    assert_int_equal(timer.seconds, 3600);
    assert_string_equal(timer.by.v, "alice");
}

static void a_timer_that_another_sets_is_known(void **state)
{
    struct fixture *f = *state;
    static const uint8_t day[8] = { 0, 0, 0, 0, 0, 1, 0x51, 0x80 };
    struct timer_row timer;
    welcome(f);
    struct msg_message m = from_bob(f, 1);
    m.kind = KIND_TIMER;
    m.flags = 0;
    m.body = BYTES_OF(day);
    begin(f);
    message(f, &m);
    end(f);
    assert_int_equal(home_timer_get(f->home, &f->conv, &timer), 0);
    assert_int_equal(timer.seconds, 86400);
    assert_string_equal(timer.by.v, "bob");
    assert_int_equal(event_of(f, SYNC_MESSAGE)->record, KIND_TIMER);
    /* one that cannot be read sets nothing, and keeps its place */
    m = from_bob(f, 2);
    m.kind = KIND_TIMER;
    m.body = bytes_of(day, 3);
    begin(f);
    message(f, &m);
    end(f);
    assert_int_equal(home_timer_get(f->home, &f->conv, &timer), 0);
    assert_int_equal(timer.seconds, 86400);
    assert_int_equal(conv_of(f).stored, 2);
}

static void bob_says_for(struct fixture *f, uint64_t seq, uint64_t expiry_ms)
{
    struct msg_message m = from_bob(f, seq);
    m.expiry_ms = expiry_ms;
    begin(f);
    message(f, &m);
    end(f);
}

static void a_message_disappears_at_its_time_without_a_link_too(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    assert_true(sync_due_ms(f->sync) == UINT64_MAX);
    bob_says_for(f, 1, f->now.wall_ms + 5000);
    assert_int_equal(sync_due_ms(f->sync), f->now.mono_ms + 5000);
    sync_on_lost(f->sync);
    f->now.mono_ms += 4999;
    f->now.wall_ms += 4999;
    step(f);
    assert_false(row_of(f, 1).hidden);
    forget(f);
    f->now.mono_ms++;
    f->now.wall_ms++;
    step(f);
    assert_true(row_of(f, 1).hidden);
    assert_int_equal(told(f, SYNC_MOVED), 1);
    assert_int_equal(fresh_count(f), 0);
    assert_true(sync_due_ms(f->sync) == UINT64_MAX);
}

static void a_time_that_is_far_is_looked_at_each_minute_since_clocks_are_set(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    bob_says_for(f, 1, f->now.wall_ms + UINT64_C(86400000));
    assert_int_equal(sync_due_ms(f->sync), f->now.mono_ms + EXPIRE_LOOK_MS);
    f->now.mono_ms += EXPIRE_LOOK_MS;
    f->now.wall_ms += UINT64_C(86400000);    /* set forward */
    step(f);
    assert_true(row_of(f, 1).hidden);
}

static void one_that_comes_after_its_time_is_acknowledged_and_never_told(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    forget(f);
    bob_says_for(f, 1, f->now.wall_ms);
    assert_int_equal(told(f, SYNC_MESSAGE), 0);
    assert_int_equal(fresh_count(f), 0);
    assert_true(row_of(f, 1).hidden);
    assert_int_equal(row_of(f, 1).m.body.len, 0);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 1);
}

static void a_wrong_clock_is_put_right_by_the_servers(void **state)
{
    struct fixture *f = *state;
    struct msg m = { .type = MSG_WELCOME, .has_ref = true, .ref = 1 };
    uint64_t hour = 3600000, server_ms = f->now.wall_ms - hour;    /* ours is an hour ahead */
    m.u.welcome = (struct msg_welcome){ .now_ms = server_ms, .heartbeat_ms = 30000, .server = bytes_of_str("test") };
    assert_int_equal(sync_on_up(f->sync), 0);
    begin(f);
    assert_int_equal(give(f, &m), 0);
    end(f);
    bob_says_for(f, 1, server_ms + 10000);
    assert_false(row_of(f, 1).hidden);
    close_home(f);    /* kept, for when there is no link */
    open_home(f);
    step(f);
    assert_false(row_of(f, 1).hidden);
    f->now.wall_ms += 10000;
    step(f);
    assert_true(row_of(f, 1).hidden);
}

static void what_one_says_oneself_disappears_too(void **state)
{
    struct fixture *f = *state;
    uint64_t client_seq = queue(f, &bob, "hi");
    welcome(f);
    step(f);
    struct msg m = { .type = MSG_ACCEPTED, .has_ref = true, .ref = the_only(f, MSG_SEND)->ref };
    m.u.accepted = (struct msg_accepted){ .conv = f->conv, .seq = 1, .client_seq = client_seq,
                                          .expiry_ms = f->now.wall_ms + 1000 };
    put_u64(m.u.accepted.id.v, 1 << 16 | 0x7000);
    begin(f);
    assert_int_equal(give(f, &m), 0);
    end(f);
    assert_false(row_of(f, 1).hidden);
    f->now.wall_ms += 1000;
    step(f);
    assert_true(row_of(f, 1).hidden);
}

static void what_was_undone_is_taken_away_later(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    bob_says_for(f, 1, f->now.wall_ms + 1000);
    f->now.wall_ms += 1000;
    begin(f);
    sync_abort(f->sync);
    assert_false(row_of(f, 1).hidden);
    assert_true(sync_due_ms(f->sync) <= f->now.mono_ms + EXPIRE_LOOK_MS);
    step(f);
    assert_true(row_of(f, 1).hidden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_delete_leaves_as_it_is_asked_for_and_takes_the_body_when_it_is_accepted),
        CLAIM(a_refused_delete_is_told_as_one_and_changes_nothing),
        CLAIM(a_delete_that_was_not_answered_is_repeated_as_it_was),
        CLAIM(a_delete_does_not_outlive_the_numbering_it_was_made_in),
        CLAIM(a_timer_leaves_as_it_is_asked_for_and_holds_when_it_is_accepted),
        CLAIM(a_timer_that_another_sets_is_known),
        CLAIM(a_message_disappears_at_its_time_without_a_link_too),
        CLAIM(a_time_that_is_far_is_looked_at_each_minute_since_clocks_are_set),
        CLAIM(one_that_comes_after_its_time_is_acknowledged_and_never_told),
        CLAIM(a_wrong_clock_is_put_right_by_the_servers),
        CLAIM(what_one_says_oneself_disappears_too),
        CLAIM(what_was_undone_is_taken_away_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
