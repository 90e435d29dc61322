/* test_sync_in.c - a device stores before it acknowledges, fills gaps before it goes on, and remembers its cursors. */
#include "tests/unit/sync_world.h"

/* ---- receiving ---- */

static void nothing_leaves_and_nothing_is_told_before_the_commit(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    forget(f);
    queue(f, &bob, "hi");
    begin(f);
    bob_says(f, 1);
    assert_int_equal(f->sent_count, 0);
    assert_int_equal(f->event_count, 0);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 1);
    assert_int_equal(the_only(f, MSG_SEND)->u.send.client_seq, 1);
    assert_int_equal(told(f, SYNC_MESSAGE), 1);
}

static int take_kind(void *arg, const struct message_row *row)
{
    *(uint64_t *)arg = row->m.kind + 1000 * row->m.body.len;
    return 0;
}

static void a_message_deleted_for_everyone_loses_its_body_here(void **state)
{
    struct fixture *f = *state;
    static const uint8_t body[] = { 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 99 };
    uint64_t kinds[3] = { 0 };
    welcome(f);
    begin(f);
    bob_says(f, 1);
    bob_says(f, 2);
    struct msg_message m = from_bob(f, 3);
    m.kind = KIND_DELETE;
    m.body = BYTES_OF(body);
    message(f, &m);
    end(f);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        struct msg_message is = from_bob(f, seq);
        assert_int_equal(home_message_by_id(f->home, &is.id, take_kind, &kinds[seq - 1]), 0);
    }
    assert_int_equal(kinds[0], KIND_TOMBSTONE);
    assert_int_equal(kinds[1], KIND_MESSAGE + 5000);
    assert_int_equal(kinds[2], KIND_DELETE + 16000);
}

static void what_was_undone_never_happened(void **state)
{
    struct fixture *f = *state;
    struct conv_row row;
    welcome(f);
    forget(f);
    begin(f);
    bob_says(f, 1);
    sync_abort(f->sync);
    assert_int_equal(f->sent_count + f->event_count, 0);
    assert_int_equal(home_conv_get(f->home, &f->conv, &row), ERR_NOT_FOUND);
}

static void a_burst_is_acknowledged_once(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    forget(f);
    begin(f);
    for (uint64_t seq = 1; seq <= 50; seq++) bob_says(f, seq);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 50);
    assert_int_equal(fresh_count(f), 50);
}

static void a_repeat_is_acknowledged_again_and_told_once(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    end(f);
    forget(f);
    begin(f);
    bob_says(f, 1);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 1);
    assert_int_equal(told(f, SYNC_MESSAGE), 0);
    assert_int_equal(fresh_count(f), 1);
}

static void a_new_device_is_due_what_comes_first_and_after(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    forget(f);
    begin(f);
    bob_says(f, 57);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 57);
    assert_int_equal(count_of(f, MSG_HISTORY), 0);
}

static void a_gap_is_filled_before_it_is_acknowledged(void **state)
{
    struct fixture *f = *state;
    static const uint64_t missing[] = { 2, 3 }, rest[] = { 4, 5 };
    welcome(f);
    begin(f);
    bob_says(f, 1);
    bob_says(f, 6);
    forget(f);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 1);
    const struct msg *ask = the_only(f, MSG_HISTORY);
    assert_int_equal(ask->u.history.after, 1);
    assert_int_equal(fresh_count(f), 1);    /* 6 is there, and waits for its turn */
    uint64_t ref = ask->ref;
    forget(f);
    begin(f);
    page(f, ref, missing, 2, 6, true);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 3);
    ref = the_only(f, MSG_HISTORY)->ref;
    forget(f);
    begin(f);
    page(f, ref, rest, 2, 6, true);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 6);
    assert_int_equal(count_of(f, MSG_HISTORY), 0);
    assert_int_equal(fresh_count(f), 6);
}

static void a_gap_that_the_server_does_not_know_is_stepped_over(void **state)
{
    struct fixture *f = *state;
    static const uint64_t what_there_is[] = { 4, 6 };
    welcome(f);
    begin(f);
    bob_says(f, 1);
    bob_says(f, 6);
    forget(f);
    end(f);
    uint64_t ref = the_only(f, MSG_HISTORY)->ref;
    forget(f);
    begin(f);
    page(f, ref, what_there_is, 2, 6, false);
    end(f);    /* 2 and 3 are nowhere; 5 is still missing */
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 4);
    ref = the_only(f, MSG_HISTORY)->ref;
    forget(f);
    begin(f);
    error(f, ref, ERR_NOT_FOUND, false, 0);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 6);
    assert_int_equal(count_of(f, MSG_HISTORY), 0);
}

static void a_fill_that_found_the_server_busy_is_asked_again(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    bob_says(f, 3);
    forget(f);
    end(f);
    uint64_t ref = the_only(f, MSG_HISTORY)->ref;
    begin(f);
    error(f, ref, ERR_BUSY, true, 200);
    end(f);
    assert_int_equal(sync_due_ms(f->sync), f->now.mono_ms + 200);
    forget(f);
    f->now.mono_ms += 199;
    step(f);
    assert_int_equal(f->sent_count, 0);
    f->now.mono_ms += 1;
    step(f);
    assert_int_not_equal(the_only(f, MSG_HISTORY)->ref, ref);
}

static void a_page_that_was_looked_at_is_not_acknowledged(void **state)
{
    struct fixture *f = *state;
    static const uint64_t older[] = { 3, 4, 5 };
    struct buf request, answer;
    struct msg m = { .type = MSG_HISTORY, .has_ref = true };
    uint64_t errand = 0;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    end(f);
    buf_init(&request, FRAME_BYTES_MAX);
    buf_init(&answer, FRAME_BYTES_MAX);
    m.u.history = (struct msg_history){ .to = { .conv = f->conv }, .limit = 10 };
    assert_int_equal(msg_encode(&m, &request), 0);
    assert_int_equal(home_errand_add(f->home, buf_bytes(&request), 1, &errand), 0);
    forget(f);
    step(f);
    uint64_t ref = the_only(f, MSG_HISTORY)->ref;
    step(f);
    assert_int_equal(count_of(f, MSG_HISTORY), 1);    /* asked once, while it is under way */
    begin(f);
    page(f, ref, older, 3, 5, false);
    end(f);
    assert_int_equal(home_errand_take(f->home, errand, &answer), 0);
    assert_int_equal(count_of(f, MSG_DELIVERED), 0);
    assert_int_equal(fresh_count(f), 1);
    /* Now they are due: what is in the store already counts, and is shown like all others. */
    forget(f);
    begin(f);
    bob_says(f, 2);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 5);
    assert_int_equal(fresh_count(f), 5);
    assert_int_equal(told(f, SYNC_MESSAGE), 1);    /* the others were new before: that they count now is told by this */
    assert_int_equal(told(f, SYNC_MOVED), 1);
    buf_fini(&request);
    buf_fini(&answer);
}

static void frames_that_break_the_protocol_are_errors(void **state)
{
    struct fixture *f = *state;
    static const uint8_t future[] = { 0x92, 0x7f, 0xc0 }, garbage[] = { 0xc1 };
    struct msg m = { .type = MSG_SYNCED };
    begin(f);
    assert_int_equal(give(f, &m), ERR_HELLO_FIRST);    /* before WELCOME */
    sync_abort(f->sync);
    welcome(f);
    begin(f);
    assert_int_equal(sync_on_frame(f->sync, BYTES_OF(future)), 0);    /* a newer server's event */
    assert_int_not_equal(sync_on_frame(f->sync, BYTES_OF(garbage)), 0);
    struct msg_message zero = from_bob(f, 0);
    m = (struct msg){ .type = MSG_MESSAGE };
    m.u.message = zero;
    assert_int_not_equal(give(f, &m), 0);
    sync_abort(f->sync);
}

/* ---- cursors ---- */

static void a_read_cursor_is_said_until_it_is_known_to_be_durable(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    bob_says(f, 2);
    end(f);
    forget(f);
    begin(f);
    assert_int_equal(sync_read(f->sync, &f->conv, 2), 0);
    end(f);
    assert_int_equal(the_only(f, MSG_READ)->u.cursor.seq, 2);
    sync_on_lost(f->sync);
    forget(f);
    welcome(f);
    assert_int_equal(the_only(f, MSG_READ)->u.cursor.seq, 2);
    begin(f);
    receipt(f, &alice, 2, 2);
    end(f);
    sync_on_lost(f->sync);
    forget(f);
    welcome(f);
    assert_int_equal(count_of(f, MSG_READ), 0);
}

static void a_read_cursor_moved_offline_is_said_later(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    end(f);
    sync_on_lost(f->sync);
    forget(f);
    begin(f);
    assert_int_equal(sync_read(f->sync, &f->conv, 1), 0);
    end(f);
    assert_int_equal(f->sent_count, 0);
    welcome(f);
    assert_int_equal(the_only(f, MSG_READ)->u.cursor.seq, 1);
}

static void reading_never_passes_what_is_stored(void **state)
{
    struct fixture *f = *state;
    struct msg synced = { .type = MSG_SYNCED };
    welcome(f);
    begin(f);
    bob_says(f, 4);
    bob_says(f, 6);
    end(f);
    forget(f);
    begin(f);
    assert_int_equal(sync_read(f->sync, &f->conv, 6), 0);    /* READ says DELIVERED too, and 5 is missing */
    end(f);
    assert_int_equal(the_only(f, MSG_READ)->u.cursor.seq, 4);
    /* Where nothing is known to be due, only SYNCED tells that nothing is. */
    struct conv_row row = { .id = conv_id_direct(&alice, &carol), .peer = carol };
    assert_int_equal(home_conv_put(f->home, &row), 0);
    forget(f);
    begin(f);
    assert_int_equal(sync_read(f->sync, &row.id, 9), 0);
    end(f);
    assert_int_equal(count_of(f, MSG_READ), 0);
    begin(f);
    assert_int_equal(give(f, &synced), 0);
    assert_int_equal(sync_read(f->sync, &row.id, 9), 0);
    end(f);
    assert_int_equal(the_only(f, MSG_READ)->u.cursor.seq, 9);
}

static void ones_own_cursors_that_the_server_lost_are_said_again(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    for (uint64_t seq = 1; seq <= 5; seq++) bob_says(f, seq);
    end(f);
    begin(f);
    assert_int_equal(sync_read(f->sync, &f->conv, 4), 0);
    end(f);
    forget(f);
    begin(f);
    receipt(f, &alice, 3, 2);
    end(f);
    assert_int_equal(the_only(f, MSG_READ)->u.cursor.seq, 4);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 5);
    assert_int_equal(told(f, SYNC_RECEIPT), 0);
}

static void a_read_on_another_device_counts_here(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    for (uint64_t seq = 1; seq <= 5; seq++) bob_says(f, seq);
    receipt(f, &alice, 5, 5);
    end(f);
    assert_int_equal(conv_of(f).read, 5);
    forget(f);
    begin(f);
    assert_int_equal(sync_read(f->sync, &f->conv, 3), 0);    /* behind it: nothing to say */
    end(f);
    assert_int_equal(f->sent_count, 0);
}

static void what_the_server_says_is_told_safe_and_in_whole_characters(void **state)
{
    struct fixture *f = *state;
    char words[200] = "a \x1b[2J\n\xe2\x80\xae";
    size_t room = sizeof f->events[0].text - 1, used = strlen(words);
    while (used < 198) used += (size_t)sprintf(words + used, "\xc3\xa9");
    struct msg m = { .type = MSG_GOODBYE };
    m.u.goodbye = (struct msg_goodbye){ .code = 1, .text = bytes_of_str(words) };
    welcome(f);
    forget(f);
    begin(f);
    assert_int_equal(give(f, &m), 0);
    end(f);
    const char *told_text = NULL;
    for (size_t i = 0; i < f->event_count; i++) {
        if (f->events[i].kind == SYNC_GOODBYE) told_text = f->events[i].text;
    }
    assert_non_null(told_text);
    assert_int_equal(strncmp(told_text, "a \xef\xbf\xbd[2J \xef\xbf\xbd\xc3\xa9", 14), 0);
    assert_in_range(strlen(told_text), room - 1, room);
    assert_true(bytes_is_line(bytes_of_str(told_text)));
}

static void each_conversation_that_changed_is_told_of_once_and_last(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    bob_says(f, 2);
    forget(f);
    end(f);
    assert_int_equal(told(f, SYNC_MOVED), 1);
    assert_int_equal(f->events[f->event_count - 1].kind, SYNC_MOVED);
    assert_true(conv_id_equal(&f->events[f->event_count - 1].conv, &f->conv));
    forget(f);
    begin(f);
    receipt(f, &alice, 2, 1);
    end(f);
    assert_int_equal(told(f, SYNC_MOVED), 1);
    forget(f);
    begin(f);
    receipt(f, &alice, 2, 1);    /* again: nothing moved */
    receipt(f, &bob, 2, 2);
    end(f);
    assert_int_equal(told(f, SYNC_MOVED), 0);
}

static void a_receipt_is_told_when_something_moved(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    forget(f);
    begin(f);
    receipt(f, &bob, 5, 3);
    receipt(f, &bob, 5, 3);
    receipt(f, &bob, 4, 2);
    end(f);
    assert_int_equal(told(f, SYNC_RECEIPT), 1);
    begin(f);
    receipt(f, &bob, 5, 5);
    end(f);
    assert_int_equal(told(f, SYNC_RECEIPT), 2);
}

static void a_restored_server_gets_everything_as_new_and_shows_nothing_twice(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    bob_says(f, 2);
    end(f);
    begin(f);
    assert_int_equal(sync_read(f->sync, &f->conv, 2), 0);
    end(f);
    struct msg_message m = from_bob(f, 1);
    assert_int_equal(home_message_show(f->home, &m.id), 0);
    sync_on_lost(f->sync);
    f->generation = 9;
    forget(f);
    welcome(f);
    assert_int_equal(f->sent_count, 1);    /* HELLO: nothing of the old cursors */
    forget(f);
    begin(f);
    bob_says(f, 1);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 1);
    assert_int_equal(told(f, SYNC_MESSAGE), 0);
    assert_int_equal(fresh_count(f), 0);
}

static void a_ping_is_known_by_its_pong(void **state)
{
    struct fixture *f = *state;
    struct msg m = { .type = MSG_PONG, .has_ref = true };
    assert_int_equal(sync_ping(f->sync), 0);    /* no session yet */
    welcome(f);
    forget(f);
    uint64_t number = sync_ping(f->sync);
    assert_int_not_equal(number, 0);
    m.ref = the_only(f, MSG_PING)->ref;
    begin(f);
    assert_int_equal(give(f, &m), 0);
    end(f);
    assert_int_equal(told(f, SYNC_PONG), 1);
    assert_int_equal(f->events[f->event_count - 1].number, number);
}

static void greet_at(struct fixture *f, uint64_t server_ms)
{
    struct msg m = { .type = MSG_WELCOME, .has_ref = true, .ref = 1 };
    m.u.welcome = (struct msg_welcome){ .now_ms = server_ms, .heartbeat_ms = 30000, .server = bytes_of_str("test") };
    forget(f);
    assert_int_equal(sync_on_up(f->sync), 0);
    begin(f);
    assert_int_equal(give(f, &m), 0);
    end(f);
    sync_on_lost(f->sync);
}

static void a_clock_that_is_more_than_a_minute_off_is_told_once(void **state)
{
    struct fixture *f = *state;
    greet_at(f, f->now.wall_ms + CLOCK_OFF_MS);
    assert_int_equal(told(f, SYNC_CLOCK), 0);
    greet_at(f, f->now.wall_ms - CLOCK_OFF_MS - 1);
    assert_int_equal(told(f, SYNC_CLOCK), 1);
    for (size_t i = 0; i < f->event_count; i++)
        if (f->events[i].kind == SYNC_CLOCK) assert_non_null(strstr(f->events[i].text, "1 min ahead of the server's"));
    greet_at(f, f->now.wall_ms + 3 * CLOCK_OFF_MS);
    assert_int_equal(told(f, SYNC_CLOCK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(nothing_leaves_and_nothing_is_told_before_the_commit),
        CLAIM(a_message_deleted_for_everyone_loses_its_body_here),
        CLAIM(what_was_undone_never_happened),
        CLAIM(a_burst_is_acknowledged_once),
        CLAIM(a_repeat_is_acknowledged_again_and_told_once),
        CLAIM(a_new_device_is_due_what_comes_first_and_after),
        CLAIM(a_gap_is_filled_before_it_is_acknowledged),
        CLAIM(a_gap_that_the_server_does_not_know_is_stepped_over),
        CLAIM(a_fill_that_found_the_server_busy_is_asked_again),
        CLAIM(a_page_that_was_looked_at_is_not_acknowledged),
        CLAIM(frames_that_break_the_protocol_are_errors),
        CLAIM(a_read_cursor_is_said_until_it_is_known_to_be_durable),
        CLAIM(a_read_cursor_moved_offline_is_said_later),
        CLAIM(reading_never_passes_what_is_stored),
        CLAIM(ones_own_cursors_that_the_server_lost_are_said_again),
        CLAIM(a_read_on_another_device_counts_here),
        CLAIM(what_the_server_says_is_told_safe_and_in_whole_characters),
        CLAIM(each_conversation_that_changed_is_told_of_once_and_last),
        CLAIM(a_receipt_is_told_when_something_moved),
        CLAIM(a_restored_server_gets_everything_as_new_and_shows_nothing_twice),
        CLAIM(a_ping_is_known_by_its_pong),
        CLAIM(a_clock_that_is_more_than_a_minute_off_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
