/* test_tui_model.c - the open conversation shows what the store has, in its order, once, and remembers no more than
 * that. */
#include "tests/unit/tui_model_world.h"

/* ---- rows ---- */

static void days_stand_between_messages_and_are_named_by_nearness(void **state)
{
    struct fixture *f = *state;
    conv_put(f, &bob, 4, 4);
    said_from_ms = NOW_MS - 30 * DAY_MS;
    old(f, &bob, 1);
    said_from_ms = NOW_MS - DAY_MS;
    old(f, &bob, 2);
    said_from_ms = NOW_MS - 60 * MINUTE_MS;
    old(f, &bob, 3);
    old(f, &bob, 4);
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Sunday, 2 February 2025;<bob 1;=Yesterday;<bob 2;=Today;<bob 3;<bob 4;");
    assert_true(f->place.is_end);
    f->now_ms += DAY_MS;
    update(f);
    assert_string_equal(rows(f), "=Sunday, 2 February 2025;<bob 1;=Monday, 3 March 2025;<bob 2;"
                                 "=Yesterday;<bob 3;<bob 4;");
}

static void days_never_go_back_for_what_has_waited_since_yesterday(void **state)
{
    struct fixture *f = *state;
    conv_put(f, &bob, 1, 1);
    f->now_ms -= DAY_MS;
    open_with(f, &bob);
    say(f, &bob, "waits");
    update(f);
    assert_string_equal(rows(f), "=Today;.>waits;");
    f->now_ms += DAY_MS;
    comes(f, &bob, 1);
    assert_string_equal(rows(f), "=Today;<bob 1;.>waits;");
}

static void the_first_unread_message_of_an_opening_stays_marked(void **state)
{
    struct fixture *f = *state;
    struct model_seen seen;
    conv_put(f, &bob, 3, 1);
    old(f, &bob, 1);
    comes(f, &bob, 2);
    comes(f, &bob, 3);
    open_with(f, &bob);
    const char *all = "=Today;<bob 1;+new messages;<bob 2;<bob 3;";
    assert_string_equal(rows(f), all);
    assert_false(f->place.is_end);
    assert_int_equal(model_row_find(f->model, &f->place.row), 2);
    assert_true(see_all(f, true, &seen));
    conv_put(f, &bob, 3, 3);
    model_seen_done(f->model, &seen);
    update(f);
    assert_string_equal(rows(f), all);
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Today;<bob 1;<bob 2;<bob 3;");
    assert_true(f->place.is_end);
}

static void the_line_of_what_is_new_is_where_it_was_even_out_of_the_window(void **state)
{
    struct fixture *f = *state;
    conv_put(f, &bob, 900, 10);
    many_old(f, &bob, 1, 900);
    open_with(f, &bob);
    assert_true(model_row_find(f->model, &f->place.row) != SIZE_MAX);
    assert_int_equal(model_end(f->model), 0);
    assert_int_equal(model_row_find(f->model, &f->place.row), SIZE_MAX);
    expect_window(f, &bob, 801, 900);
}

static void unread_messages_that_were_deleted_are_not_new(void **state)
{
    struct fixture *f = *state;
    struct msg_id third = id_of(&bob, 3);
    conv_put(f, &bob, 3, 1);
    many_old(f, &bob, 1, 3);
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Today;<bob 1;+new messages;<bob 2;<bob 3;");
    struct row_id second = model_row(f->model, 3)->id;
    assert_int_equal(model_delete(f->model, &second), 0);
    assert_string_equal(rows(f), "=Today;<bob 1;+new messages;<bob 3;");
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Today;<bob 1;+new messages;<bob 3;");
    assert_int_equal(home_message_hide(f->home, &third), 0);
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Today;<bob 1;");
    assert_true(f->place.is_end);
}

static void text_of_others_is_safe_and_what_cannot_be_shown_is_a_clause(void **state)
{
    struct fixture *f = *state;
    conv_put(f, &bob, 4, 4);
    put(f, &bob, &bob, bobs, 1, 1, "a\033[2Jb\tc\nd\n", MESSAGE_SHOWN);
    put_body(f, &bob, &bob, bobs, 2, 2, BYTES_NONE, KIND_TOMBSTONE, MESSAGE_SHOWN);
    put_body(f, &bob, &bob, bobs, 3, 3, BYTES_NONE, KIND_MESSAGE, MESSAGE_SHOWN);
    put_body(f, &bob, &bob, bobs, 4, 4, bytes_of("\x92\x09\xa1x", 4), KIND_MESSAGE, MESSAGE_SHOWN);
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Today;<a\xef\xbf\xbd[2Jb c\nd\n;<[message deleted];<[nothing for this device];"
                                 "<[something that a newer version shows];");
    assert_false(model_row(f->model, 1)->is_clause);
    for (size_t i = 2; i < 5; i++) assert_true(model_row(f->model, i)->is_clause);
}

static void notes_stay_behind_what_was_last_when_they_were_made(void **state)
{
    struct fixture *f = *state;
    open_with(f, &bob);
    assert_int_equal(model_note(f->model, "no connection"), 0);
    uint64_t n = say(f, &bob, "hi");
    assert_int_equal(model_note(f->model, "connected\nagain"), 0);
    assert_string_equal(rows(f), "#no connection;=Today;.>hi;#connected\nagain;");
    accepted(f, &bob, n, 1, "hi");
    comes(f, &bob, 2);
    assert_string_equal(rows(f), "#no connection;=Today;s>hi;#connected\nagain;<bob 2;");
    for (unsigned i = 0; i < MODEL_NOTES_MAX; i++) assert_int_equal(model_note(f->model, "n"), 0);
    assert_int_equal(model_row_count(f->model), 3 + MODEL_NOTES_MAX);
    open_with(f, &carol);
    conv_put(f, &bob, 2, 2);
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Today;s>hi;<bob 2;");
}

/* ---- own sends ---- */

static void a_send_becomes_its_message_in_place_and_keeps_its_row(void **state)
{
    struct fixture *f = *state;
    conv_put(f, &bob, 1, 1);
    old(f, &bob, 1);
    open_with(f, &bob);
    uint64_t one = say(f, &bob, "one"), two = say(f, &bob, "two");
    assert_string_equal(rows(f), "=Today;<bob 1;.>one;.>two;");
    struct row_id id = model_row(f->model, 2)->id;
    assert_false(model_row(f->model, 2)->is_stored);
    accepted(f, &bob, one, 2, "one");
    assert_string_equal(rows(f), "=Today;<bob 1;.>one;.>two;");    /* events alone change nothing */
    update(f);
    assert_string_equal(rows(f), "=Today;<bob 1;s>one;.>two;");
    assert_int_equal(model_row_find(f->model, &id), 2);
    assert_true(model_row(f->model, 2)->is_stored);
    accepted(f, &bob, two, 3, "two");
    tell(f, SYNC_WELCOME, &bob);    /* all is read again */
    update(f);
    assert_string_equal(rows(f), "=Today;<bob 1;s>one;s>two;");
}

static void a_message_that_came_back_before_its_answer_is_shown_once(void **state)
{
    struct fixture *f = *state;
    conv_put(f, &bob, 0, 0);
    open_with(f, &bob);
    uint64_t n = say(f, &bob, "hi");
    put(f, &bob, &alice, mine, n, 1, "hi", MESSAGE_SHOWN);    /* and still in the outbox */
    put(f, &bob, &alice, other_device, n, 2, "there", MESSAGE_SHOWN);    /* the same number of another device */
    tell(f, SYNC_MOVED, &bob);
    update(f);
    assert_string_equal(rows(f), "=Today;s>hi;s>there;");
}

static void ticks_follow_the_cursors_of_the_other(void **state)
{
    struct fixture *f = *state;
    struct conv_id conv = conv_of(&bob);
    bool moved;
    conv_put(f, &bob, 3, 3);
    for (uint64_t seq = 1; seq <= 3; seq++) put(f, &bob, &alice, mine, seq, seq, "hi", MESSAGE_SHOWN);
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Today;s>hi;s>hi;s>hi;");
    assert_int_equal(home_cursor_raise(f->home, &conv, &bob, 2, 1, &moved), 0);
    tell(f, SYNC_RECEIPT, &bob);
    update(f);
    assert_string_equal(rows(f), "=Today;r>hi;d>hi;s>hi;");
    assert_string_equal(list(f), "bob 0 his;");
    assert_int_equal(home_cursor_raise(f->home, &conv, &bob, 3, 3, &moved), 0);
    tell(f, SYNC_RECEIPT, &bob);
    update(f);
    assert_string_equal(rows(f), "=Today;r>hi;r>hi;r>hi;");
    assert_string_equal(list(f), "bob 0 hir;");
}

static void a_refused_send_keeps_its_text_until_it_is_taken(void **state)
{
    struct fixture *f = *state;
    struct buf text;
    buf_init(&text, BODY_BYTES_MAX);
    uint64_t n = say(f, &bob, "to bob\t!");
    open_with(f, &carol);
    struct sync_event later = { .kind = SYNC_LATER, .client_seq = n, .user = bob, .err = ERR_RATE, .text = "too fast" };
    model_on_event(f->model, &later);
    update(f);
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Today;.>to bob !;");
    assert_string_equal(model_row(f->model, 1)->why, "too fast");
    assert_int_equal(home_outbox_remove(f->home, n), 0);
    struct sync_event e = { .kind = SYNC_REFUSED, .client_seq = n, .user = bob, .err = ERR_DENIED, .text = "no\033" };
    model_on_event(f->model, &e);
    tell(f, SYNC_WELCOME, &bob);
    update(f);
    assert_string_equal(rows(f), "=Today;x>to bob !;");
    assert_string_equal(model_row(f->model, 1)->why, "no\xef\xbf\xbd");
    assert_string_equal(list(f), "bob 0 to bob !x;");
    struct row_id id = model_row(f->model, 1)->id;
    assert_int_equal(model_refused_take(f->model, &id, &text), 0);
    assert_true(bytes_equal(buf_bytes(&text), bytes_of_str("to bob\t!")));
    assert_int_equal(model_refused_take(f->model, &id, &text), ERR_NOT_FOUND);
    assert_string_equal(rows(f), "");
    buf_fini(&text);
}

static void a_program_that_starts_finds_what_waits(void **state)
{
    struct fixture *f = *state;
    char text[16];
    model_free(f->model);
    assert_int_equal(home_begin(f->home), 0);
    for (unsigned i = 1; i <= MODEL_WAITING_MAX + 10; i++) {
        snprintf(text, sizeof text, "w%u", i);
        queue(f, &bob, text);
    }
    assert_int_equal(home_commit(f->home), 0);
    start_model(f);
    open_with(f, &bob);
    assert_int_equal(model_row_count(f->model), 1 + MODEL_WAITING_MAX);    /* the newest */
    assert_string_equal(model_row(f->model, 1)->text, "w11");
    accepted(f, &bob, 1, 1, "w1");    /* one that was not among them */
    update(f);
    assert_int_equal(model_row_count(f->model), 2 + MODEL_WAITING_MAX);
    assert_string_equal(model_row(f->model, 1)->text, "w1");
    assert_int_equal(model_row(f->model, 1)->ticks, TICKS_SENT);
}

/* ---- the window ---- */

static void the_window_moves_over_a_long_history_and_holds_no_more_of_it(void **state)
{
    struct fixture *f = *state;
    uint64_t last = 3 * MODEL_WINDOW_MAX;
    conv_put(f, &bob, last, last);
    many_old(f, &bob, 1, last);
    open_with(f, &bob);
    expect_window(f, &bob, last - MODEL_PAGE + 1, last);
    for (unsigned i = 1; i < MODEL_WINDOW_MAX / MODEL_PAGE; i++) assert_int_equal(model_older(f->model), 0);
    expect_window(f, &bob, last - MODEL_WINDOW_MAX + 1, last);
    assert_false(model_has_newer(f->model));
    assert_int_equal(model_older(f->model), 0);
    expect_window(f, &bob, last - MODEL_WINDOW_MAX - MODEL_PAGE + 1, last - MODEL_PAGE);
    assert_true(model_has_newer(f->model));
    for (unsigned i = 0; model_has_older(f->model); i++) {
        assert_true(i < 20);
        assert_int_equal(model_older(f->model), 0);
    }
    expect_window(f, &bob, 1, MODEL_WINDOW_MAX);
    assert_int_equal(model_newer(f->model), 0);
    expect_window(f, &bob, MODEL_PAGE + 1, MODEL_WINDOW_MAX + MODEL_PAGE);
    assert_int_equal(model_end(f->model), 0);
    expect_window(f, &bob, last - MODEL_PAGE + 1, last);
}

static void what_comes_while_scrolled_up_is_counted_and_moves_nothing(void **state)
{
    struct fixture *f = *state;
    struct model_seen seen;
    uint32_t below = 99;
    conv_put(f, &bob, 600, 600);
    many_old(f, &bob, 1, 600);
    open_with(f, &bob);
    for (unsigned i = 0; i < 4; i++) assert_int_equal(model_older(f->model), 0);
    expect_window(f, &bob, 101, 600);
    assert_false(model_seen(f->model, 0, 20, true, &seen));
    comes(f, &bob, 601);
    comes(f, &bob, 602);
    expect_window(f, &bob, 101, 600);
    assert_true(model_has_newer(f->model));
    assert_int_equal(model_below(f->model, &below), 0);
    assert_int_equal(below, 2);
    assert_int_equal(model_end(f->model), 0);
    expect_window(f, &bob, 503, 602);
    assert_true(see_all(f, true, &seen));
    assert_int_equal(seen.count, 2);
    assert_int_equal(model_below(f->model, &below), 0);
    assert_int_equal(below, 0);
}

static void a_window_whose_end_is_in_sight_follows_a_burst(void **state)
{
    struct fixture *f = *state;
    struct model_seen seen;
    conv_put(f, &bob, 50, 50);
    many_old(f, &bob, 1, 50);
    open_with(f, &bob);
    see_all(f, true, &seen);
    many_old(f, &bob, 51, 2000);
    conv_put(f, &bob, 2000, 50);
    tell(f, SYNC_MOVED, &bob);
    update(f);
    assert_false(model_has_newer(f->model));
    expect_window(f, &bob, 2001 - (MODEL_WINDOW_MAX - MODEL_PAGE), 2000);
}

static void what_waits_in_sight_stays_when_a_full_window_gets_more(void **state)
{
    struct fixture *f = *state;
    struct model_seen seen;
    uint64_t last = MODEL_WINDOW_MAX + MODEL_PAGE;
    conv_put(f, &bob, last, last);
    many_old(f, &bob, 1, last);
    open_with(f, &bob);
    for (unsigned i = 0; i < 4; i++) assert_int_equal(model_older(f->model), 0);
    say(f, &bob, "one");
    say(f, &bob, "two");
    size_t count = model_row_count(f->model);
    struct row_id one = model_row(f->model, count - 2)->id;
    model_seen(f->model, count - 10, 9, true, &seen);    /* "two" is just out of sight: nothing follows */
    many_old(f, &bob, last + 1, last + 150);
    conv_put(f, &bob, last + 150, last);
    tell(f, SYNC_MOVED, &bob);
    update(f);
    assert_false(model_has_newer(f->model));
    assert_int_equal(model_row_find(f->model, &one), model_row_count(f->model) - 2);
    struct row_id in_sight = { .kind = ROW_MESSAGE, .id = id_of(&bob, last - 7) };
    assert_true(model_row_find(f->model, &in_sight) != SIZE_MAX);
}

static void what_fills_a_gap_comes_to_lie_in_the_middle(void **state)
{
    struct fixture *f = *state;
    struct conv_row row;
    struct conv_id conv = conv_of(&bob);
    conv_put(f, &bob, 1, 1);
    old(f, &bob, 1);
    put(f, &bob, &alice, mine, 1, 4, "mine", MESSAGE_SHOWN);
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Today;<bob 1;s>mine;");    /* no gap is told of: 2 and 3 are due */
    old(f, &bob, 2);
    old(f, &bob, 3);
    assert_int_equal(home_conv_get(f->home, &conv, &row), 0);
    row.stored = 4;
    assert_int_equal(home_conv_put(f->home, &row), 0);
    tell(f, SYNC_MOVED, &bob);
    update(f);
    assert_string_equal(rows(f), "=Today;<bob 1;<bob 2;<bob 3;s>mine;");
}

static void a_jump_shows_the_messages_around_it(void **state)
{
    struct fixture *f = *state;
    conv_put(f, &bob, 1000, 1000);
    many_old(f, &bob, 1, 1000);
    struct msg_id id = id_of(&bob, 300), none = id_of(&carol, 300);
    assert_int_equal(model_open_at(f->model, &bob, &none, &f->place), ERR_NOT_FOUND);
    assert_null(model_opened(f->model));
    assert_int_equal(model_open_at(f->model, &bob, &id, &f->place), 0);
    expect_window(f, &bob, 300 - MODEL_PAGE, 300 - MODEL_PAGE + MODEL_WINDOW_MAX - 1);
    size_t at = model_row_find(f->model, &f->place.row);
    assert_true(at != SIZE_MAX);
    assert_string_equal(model_row(f->model, at)->text, "bob 300");
}

/* ---- deleting ---- */

static void what_is_deleted_leaves_the_window_and_the_list(void **state)
{
    struct fixture *f = *state;
    conv_put(f, &bob, 3, 3);
    many_old(f, &bob, 1, 3);
    open_with(f, &bob);
    struct row_id id = model_row(f->model, 3)->id, day = model_row(f->model, 0)->id;
    assert_int_equal(model_delete(f->model, &id), 0);
    assert_string_equal(rows(f), "=Today;<bob 1;<bob 2;");
    assert_string_equal(list(f), "bob 0 bob 2 ;");
    assert_int_equal(model_delete(f->model, &id), ERR_NOT_FOUND);
    assert_int_equal(model_delete(f->model, &day), ERR_NOT_FOUND);
    say(f, &bob, "waits");
    id = model_row(f->model, 3)->id;
    assert_int_equal(model_delete(f->model, &id), ERR_AGAIN);
    assert_int_equal(model_conv_delete(f->model, &bob), 0);
    assert_string_equal(rows(f), "=Today;.>waits;");
    assert_int_equal(model_conv_delete(f->model, &carol), ERR_NOT_FOUND);
    comes(f, &bob, 4);
    assert_string_equal(rows(f), "=Today;<bob 4;.>waits;");
}

static void many_deleted_messages_are_walked_over_in_steps(void **state)
{
    struct fixture *f = *state;
    struct conv_id conv = conv_of(&bob);
    uint64_t deleted = 2 * MODEL_SCAN_MAX + 500;
    conv_put(f, &bob, deleted + 1, deleted + 1);
    assert_int_equal(home_begin(f->home), 0);
    for (uint64_t seq = 2; seq <= deleted; seq++) put(f, &bob, &bob, bobs, seq, seq, "x", MESSAGE_SHOWN);
    assert_int_equal(home_conv_hide(f->home, &conv), 0);
    assert_int_equal(home_commit(f->home), 0);
    old(f, &bob, 1);
    old(f, &bob, deleted + 1);
    open_with(f, &bob);
    char last[48];
    snprintf(last, sizeof last, "=Today;<bob %u;", (unsigned)(deleted + 1));
    assert_string_equal(rows(f), last);
    unsigned steps = 0;
    for (; model_has_older(f->model); steps++) {
        assert_true(steps < 10);
        assert_int_equal(model_older(f->model), 0);
    }
    assert_int_equal(steps, 2);
    assert_non_null(strstr(rows(f), "<bob 1;"));
}

/* ---- what was seen ---- */

static void only_what_stood_on_the_screen_in_the_foreground_is_marked(void **state)
{
    struct fixture *f = *state;
    struct model_seen seen;
    struct msg_id third = id_of(&bob, 3);
    conv_put(f, &bob, 0, 0);
    for (uint64_t seq = 1; seq <= 100; seq++) comes(f, &bob, seq);
    open_with(f, &bob);
    assert_string_equal(model_row(f->model, 2)->text, "bob 1");    /* behind the day and the line */
    assert_false(model_seen(f->model, 0, 10, false, &seen));
    assert_false(model_seen(f->model, 0, 2, true, &seen));
    assert_true(model_seen(f->model, 4, 2, true, &seen));
    assert_int_equal(seen.count, 2);
    assert_int_equal(msg_id_compare(&seen.ids[0], &third), 0);
    assert_true(seen.has_seq);
    assert_int_equal(seen.seq, 4);
    model_seen_done(f->model, &seen);
    assert_false(model_seen(f->model, 4, 2, true, &seen));    /* said once */
    assert_true(see_all(f, true, &seen));
    assert_int_equal(seen.count, MODEL_SEEN_MAX);
    model_seen_done(f->model, &seen);
    assert_true(see_all(f, true, &seen));
    assert_int_equal(seen.count, 100 - 2 - MODEL_SEEN_MAX);
    assert_false(seen.has_seq);
    model_seen_done(f->model, &seen);
    assert_false(see_all(f, true, &seen));
}

static void reading_stops_where_something_is_still_due(void **state)
{
    struct fixture *f = *state;
    struct model_seen seen;
    conv_put(f, &bob, 2, 0);
    old(f, &bob, 1);
    old(f, &bob, 2);
    old(f, &bob, 4);    /* known from before the server was restored, and shown then; 3 is on its way */
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Today;+new messages;<bob 1;<bob 2;<bob 4;");
    assert_true(see_all(f, true, &seen));
    assert_int_equal(seen.seq, 2);
}

static void reading_is_said_again_when_a_session_opens(void **state)
{
    struct fixture *f = *state;
    struct model_seen seen;
    conv_put(f, &bob, 1, 0);
    old(f, &bob, 1);
    open_with(f, &bob);
    assert_true(see_all(f, true, &seen));
    assert_int_equal(seen.count, 0);    /* shown before, by a program that did not read */
    assert_int_equal(seen.seq, 1);
    model_seen_done(f->model, &seen);
    update(f);
    assert_false(see_all(f, true, &seen));
    tell(f, SYNC_SYNCED, &bob);
    update(f);
    assert_true(see_all(f, true, &seen));
    assert_int_equal(seen.seq, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(days_stand_between_messages_and_are_named_by_nearness),
        CLAIM(days_never_go_back_for_what_has_waited_since_yesterday),
        CLAIM(the_first_unread_message_of_an_opening_stays_marked),
        CLAIM(the_line_of_what_is_new_is_where_it_was_even_out_of_the_window),
        CLAIM(unread_messages_that_were_deleted_are_not_new),
        CLAIM(text_of_others_is_safe_and_what_cannot_be_shown_is_a_clause),
        CLAIM(notes_stay_behind_what_was_last_when_they_were_made),
        CLAIM(a_message_that_came_back_before_its_answer_is_shown_once),
        CLAIM(a_send_becomes_its_message_in_place_and_keeps_its_row),
        CLAIM(ticks_follow_the_cursors_of_the_other),
        CLAIM(a_refused_send_keeps_its_text_until_it_is_taken),
        CLAIM(a_program_that_starts_finds_what_waits),
        CLAIM(the_window_moves_over_a_long_history_and_holds_no_more_of_it),
        CLAIM(what_comes_while_scrolled_up_is_counted_and_moves_nothing),
        CLAIM(a_window_whose_end_is_in_sight_follows_a_burst),
        CLAIM(what_waits_in_sight_stays_when_a_full_window_gets_more),
        CLAIM(what_fills_a_gap_comes_to_lie_in_the_middle),
        CLAIM(a_jump_shows_the_messages_around_it),
        CLAIM(what_is_deleted_leaves_the_window_and_the_list),
        CLAIM(many_deleted_messages_are_walked_over_in_steps),
        CLAIM(only_what_stood_on_the_screen_in_the_foreground_is_marked),
        CLAIM(reading_stops_where_something_is_still_due),
        CLAIM(reading_is_said_again_when_a_session_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
