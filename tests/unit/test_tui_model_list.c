/* test_tui_model_list.c - the list tells of each conversation what the store has, newest first, and keeps what is
 * selected. */
#include "tests/unit/tui_model_world.h"

static struct user_id user_number(unsigned n)
{
    struct user_id user = { "" };
    snprintf(user.v, sizeof user.v, "user%u", n);
    return user;
}

static const char *selected(struct fixture *f)
{
    size_t at = model_selected(f->model);
    return at == SIZE_MAX ? "" : model_conv(f->model, at)->name;
}

/* ---- what it tells ---- */

static void an_event_brings_its_conversation_up_to_date_and_to_its_place(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(list(f), "");
    comes(f, &bob, 1);
    assert_string_equal(list(f), "bob 1 bob 1 ;");
    comes(f, &carol, 2);
    assert_string_equal(list(f), "carol 1 carol 2 ;bob 1 bob 1 ;");
    comes(f, &bob, 3);
    assert_string_equal(list(f), "bob 2 bob 3 ;carol 1 carol 2 ;");
    conv_put(f, &bob, 3, 3);    /* read on another device */
    tell(f, SYNC_MOVED, &bob);
    unsigned changed;
    assert_int_equal(model_update(f->model, f->now_ms, &changed), 0);
    assert_int_equal(changed, MODEL_CHANGED_LIST);
    assert_string_equal(list(f), "bob 0 bob 3 ;carol 1 carol 2 ;");
    assert_int_equal(model_update(f->model, f->now_ms, &changed), 0);
    assert_int_equal(changed, 0);
}

static void names_are_those_of_contacts_made_safe(void **state)
{
    struct fixture *f = *state;
    struct contact_row row = { .name = "B\xc2\x9b" "ob", .user = bob };
    assert_int_equal(home_contact_put(f->home, &row), 0);
    comes(f, &bob, 1);
    comes(f, &carol, 2);
    put(f, &alice, &alice, mine, 9, 3, "buy milk", MESSAGE_SHOWN);
    conv_put(f, &alice, 3, 3);
    tell(f, SYNC_MOVED, &alice);
    update(f);
    assert_string_equal(list(f), "note to self 0 buy milks;carol 1 carol 2 ;B\xef\xbf\xbdob 1 bob 1 ;");
    open_with(f, &bob);
    assert_string_equal(model_row(f->model, 2)->from, "B\xef\xbf\xbdob");
    assert_int_equal(home_contact_remove(f->home, row.name), 0);
    model_on_change(f->model);
    update(f);
    assert_string_equal(model_row(f->model, 2)->from, "bob");
}

static void a_preview_is_one_safe_line_that_is_cut_between_characters(void **state)
{
    struct fixture *f = *state;
    char text[4 * MODEL_LINE_BYTES_MAX] = "";
    conv_put(f, &bob, 1, 1);
    for (size_t i = 0; i < MODEL_LINE_BYTES_MAX; i++) strcat(text, i % 50 == 49 ? "\n" : "\xc3\xa4");    /* ä */
    put(f, &bob, &bob, bobs, 1, 1, text, MESSAGE_SHOWN);
    tell(f, SYNC_MOVED, &bob);
    update(f);
    const char *last = model_conv(f->model, 0)->last;
    size_t len = strlen(last);
    assert_true(len > MODEL_LINE_BYTES_MAX - 5);
    assert_true(bytes_is_line(bytes_of_str(last)));
    assert_string_equal(last + len - 3, "…");
    memset(text, '\033', sizeof text - 1);
    put(f, &carol, &carol, bobs, 1, 2, text, MESSAGE_SHOWN);
    conv_put(f, &carol, 2, 2);
    tell(f, SYNC_MOVED, &carol);
    update(f);
    assert_true(bytes_is_line(bytes_of_str(model_conv(f->model, 0)->last)));
    assert_true(strlen(model_conv(f->model, 0)->last) <= MODEL_LINE_BYTES_MAX);
}

static void what_waits_or_was_refused_is_told_and_lifts_its_conversation(void **state)
{
    struct fixture *f = *state;
    comes(f, &carol, 1);
    comes(f, &bob, 2);
    uint64_t n = say(f, &carol, "hi carol");
    assert_string_equal(list(f), "carol 1 hi carol.;bob 1 bob 2 ;");
    assert_int_equal(model_conv(f->model, 0)->waiting, 1);
    assert_int_equal(home_outbox_remove(f->home, n), 0);
    struct sync_event e = { .kind = SYNC_REFUSED, .client_seq = n, .user = carol, .err = ERR_NOT_FOUND };
    model_on_event(f->model, &e);
    update(f);
    assert_string_equal(list(f), "carol 1 hi carolx;bob 1 bob 2 ;");
    assert_int_equal(model_conv(f->model, 0)->waiting, 0);
    assert_int_equal(model_conv(f->model, 0)->refused, 1);
}

static void who_was_never_talked_with_is_listed_while_something_is_there(void **state)
{
    struct fixture *f = *state;
    comes(f, &carol, 1);
    open_with(f, &bob);
    assert_string_equal(list(f), "bob 0  ;carol 1 carol 1 ;");
    assert_false(model_conv(f->model, 0)->is_known);
    open_with(f, &carol);
    assert_string_equal(list(f), "carol 1 carol 1 ;");
    open_with(f, &bob);
    uint64_t n = say(f, &bob, "hi");
    model_close(f->model);
    update(f);
    assert_string_equal(list(f), "bob 0 hi.;carol 1 carol 1 ;");
    accepted(f, &bob, n, 9, "hi");
    update(f);
    assert_string_equal(list(f), "bob 0 his;carol 1 carol 1 ;");
    assert_true(model_conv(f->model, 0)->is_known);
}

static void a_draft_is_told(void **state)
{
    struct fixture *f = *state;
    struct buf text;
    buf_init(&text, BODY_BYTES_MAX);
    comes(f, &bob, 1);
    open_with(f, &bob);
    assert_int_equal(model_draft_put(f->model, bytes_of_str("half a thou")), 0);
    assert_string_equal(list(f), "bob 1 bob 1 draft;");
    model_free(f->model);
    start_model(f);
    assert_string_equal(list(f), "bob 1 bob 1 draft;");
    open_with(f, &bob);
    assert_int_equal(model_draft_get(f->model, &text), 0);
    assert_true(bytes_equal(buf_bytes(&text), bytes_of_str("half a thou")));
    assert_int_equal(model_draft_put(f->model, BYTES_NONE), 0);
    assert_string_equal(list(f), "bob 1 bob 1 ;");
    open_with(f, &carol);
    assert_int_equal(model_draft_put(f->model, bytes_of_str("dear")), 0);
    open_with(f, &bob);
    assert_string_equal(list(f), "carol 0  draft;bob 1 bob 1 ;");
    model_on_change(f->model);
    update(f);
    assert_string_equal(list(f), "carol 0  draft;bob 1 bob 1 ;");    /* though nothing was ever said to her */
    buf_fini(&text);
}

static void a_mark_goes_when_the_conversation_is_opened(void **state)
{
    struct fixture *f = *state;
    comes(f, &bob, 1);
    conv_put(f, &bob, 1, 1);
    assert_int_equal(model_conv_mark(f->model, &carol, true), ERR_NOT_FOUND);
    assert_int_equal(model_conv_mark(f->model, &bob, true), 0);
    assert_string_equal(list(f), "bob 0! bob 1 ;");
    assert_int_equal(model_unread_convs(f->model), 1);
    open_with(f, &bob);
    assert_string_equal(list(f), "bob 0 bob 1 ;");
    assert_int_equal(model_conv_mark(f->model, &bob, true), 0);    /* while it is open: that is meant */
    assert_true(model_opened(f->model)->marked);
}

static void a_deleted_conversation_leaves_until_something_comes(void **state)
{
    struct fixture *f = *state;
    comes(f, &bob, 1);
    comes(f, &carol, 2);
    assert_int_equal(model_conv_mark(f->model, &bob, true), 0);
    assert_int_equal(model_conv_delete(f->model, &bob), 0);
    assert_string_equal(list(f), "carol 1 carol 2 ;");
    assert_int_equal(model_conv_delete(f->model, &bob), 0);    /* again: it is there, and empty */
    comes(f, &bob, 3);
    assert_string_equal(list(f), "bob 1 bob 3 ;carol 1 carol 2 ;");
}

static void a_list_is_bounded_and_says_so(void **state)
{
    struct fixture *f = *state;
    unsigned count = MODEL_CONVS_MAX + 20;
    assert_int_equal(home_begin(f->home), 0);
    for (unsigned i = 1; i <= count; i++) {
        struct user_id user = user_number(i);
        put(f, &user, &user, bobs, 1, i, "hi", MESSAGE_SHOWN);
        conv_put(f, &user, i, i);
    }
    assert_int_equal(home_commit(f->home), 0);
    model_on_change(f->model);
    update(f);
    assert_int_equal(model_conv_count(f->model), MODEL_CONVS_MAX);
    assert_true(model_has_more_convs(f->model));
    assert_string_equal(model_conv(f->model, 0)->name, "user220");
    assert_string_equal(model_conv(f->model, MODEL_CONVS_MAX - 1)->name, "user21");
    struct user_id low = user_number(3), high = user_number(100);
    comes(f, &low, 500);
    assert_string_equal(model_conv(f->model, 0)->name, "user3");
    assert_string_equal(model_conv(f->model, MODEL_CONVS_MAX - 1)->name, "user22");
    assert_int_equal(model_conv_delete(f->model, &high), 0);    /* the next older one comes in */
    assert_int_equal(model_conv_count(f->model), MODEL_CONVS_MAX);
    assert_string_equal(model_conv(f->model, MODEL_CONVS_MAX - 1)->name, "user21");
    struct user_id lowest = user_number(1);
    queue(f, &lowest, "waits");
    model_on_change(f->model);
    update(f);
    assert_string_equal(model_conv(f->model, 0)->name, "user1");
}

/* ---- the selected one ---- */

static void the_selected_one_stays_selected_when_others_move(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(model_selected(f->model), SIZE_MAX);
    model_select_by(f->model, 1);
    comes(f, &bob, 1);
    comes(f, &carol, 2);
    assert_string_equal(selected(f), "carol");
    model_select_by(f->model, 1);
    assert_string_equal(selected(f), "bob");
    model_select_by(f->model, 5);
    assert_string_equal(selected(f), "bob");
    comes(f, &bob, 3);
    assert_string_equal(selected(f), "bob");
    model_select_by(f->model, -7);
    assert_string_equal(selected(f), "bob");
    comes(f, &carol, 4);
    assert_string_equal(selected(f), "bob");
    assert_int_equal(model_conv_delete(f->model, &bob), 0);
    assert_string_equal(selected(f), "carol");
}

static void one_is_selected_by_name_or_for_being_unread(void **state)
{
    struct fixture *f = *state;
    struct contact_row row = { .name = "Bobby", .user = bob };
    assert_int_equal(home_contact_put(f->home, &row), 0);
    comes(f, &alice, 1);
    comes(f, &bob, 2);
    comes(f, &carol, 3);
    conv_put(f, &alice, 1, 1);
    conv_put(f, &carol, 3, 3);
    model_on_change(f->model);
    update(f);
    assert_true(model_select_named(f->model, "BO"));
    assert_string_equal(selected(f), "Bobby");
    assert_true(model_select_named(f->model, "note"));
    assert_string_equal(selected(f), "note to self");
    assert_false(model_select_named(f->model, "zz"));
    assert_false(model_select_named(f->model, ""));
    assert_string_equal(selected(f), "note to self");
    assert_true(model_select_unread(f->model));    /* round the end */
    assert_string_equal(selected(f), "Bobby");
    assert_true(model_select_unread(f->model));    /* there is but one */
    assert_true(model_select_peer(f->model, &carol));
    assert_string_equal(selected(f), "carol");
    conv_put(f, &bob, 2, 2);
    tell(f, SYNC_MOVED, &bob);
    update(f);
    assert_false(model_select_unread(f->model));
    assert_string_equal(selected(f), "carol");
}

static void times_are_told_by_nearness(void **state)
{
    char text[16];
    (void)state;
    model_when(NOW_MS - 65 * MINUTE_MS, NOW_MS, text);
    assert_string_equal(text, "10:55");
    model_when(NOW_MS - DAY_MS, NOW_MS, text);
    assert_string_equal(text, "Yesterday");
    model_when(NOW_MS - 3 * DAY_MS, NOW_MS, text);
    assert_string_equal(text, "2025-03-01");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(an_event_brings_its_conversation_up_to_date_and_to_its_place),
        CLAIM(names_are_those_of_contacts_made_safe),
        CLAIM(a_preview_is_one_safe_line_that_is_cut_between_characters),
        CLAIM(what_waits_or_was_refused_is_told_and_lifts_its_conversation),
        CLAIM(who_was_never_talked_with_is_listed_while_something_is_there),
        CLAIM(a_draft_is_told),
        CLAIM(a_mark_goes_when_the_conversation_is_opened),
        CLAIM(a_deleted_conversation_leaves_until_something_comes),
        CLAIM(a_list_is_bounded_and_says_so),
        CLAIM(the_selected_one_stays_selected_when_others_move),
        CLAIM(one_is_selected_by_name_or_for_being_unread),
        CLAIM(times_are_told_by_nearness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
