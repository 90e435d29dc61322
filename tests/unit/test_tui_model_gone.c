/* test_tui_model_gone.c - what is deleted for everyone and what disappears goes from the screen, timers have a line, and
 * neither makes anything look missing. */
#include "tests/unit/tui_model_world.h"

#include <sodium.h>

static const uint8_t a_day[] = { 0, 0, 0, 0, 0, 1, 0x51, 0x80 }, never[8] = { 0 };

static void put_timer(struct fixture *f, const struct user_id *from, uint64_t seq, struct bytes body,
                      enum message_state state)
{
    bool is_own = user_id_equal(from, &alice);
    put_body(f, &bob, from, is_own ? other_device : bobs, seq, seq, body, KIND_TIMER, state);
}

static void a_timer_has_a_line_where_it_was_set(void **state)
{
    struct fixture *f = *state;
    old(f, &bob, 1);
    put_timer(f, &bob, 2, BYTES_OF(a_day), MESSAGE_SHOWN);
    old(f, &bob, 3);
    put_timer(f, &alice, 4, BYTES_OF(never), MESSAGE_SHOWN);
    conv_put(f, &bob, 4, 4);
    update(f);
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Today;<bob 1;@messages disappear after 1 day (set by bob);<bob 3;"
                                 "@messages stay (set by you);");
    assert_string_equal(list(f), "bob 0 bob 3 ;");    /* nobody's last message */
}

static void a_timer_is_named_by_the_contact_and_a_strange_one_is_said_to_be(void **state)
{
    struct fixture *f = *state;
    struct contact_row contact = { .name = "Bob\033[2J", .user = bob };
    assert_int_equal(home_contact_put(f->home, &contact), 0);
    put_timer(f, &bob, 1, BYTES_OF(a_day), MESSAGE_SHOWN);
    put_timer(f, &bob, 2, bytes_of(a_day, 3), MESSAGE_SHOWN);
    conv_put(f, &bob, 2, 2);
    update(f);
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Today;@messages disappear after 1 day (set by Bob\xef\xbf\xbd[2J);"
                                 "@[something that a newer version shows];");
}

static void a_timer_in_sight_is_seen_like_a_message(void **state)
{
    struct fixture *f = *state;
    struct model_seen seen;
    old(f, &bob, 1);
    conv_put(f, &bob, 1, 1);
    update(f);
    open_with(f, &bob);
    put_timer(f, &bob, 2, BYTES_OF(a_day), MESSAGE_FRESH);
    conv_put(f, &bob, 2, 1);
    tell(f, SYNC_MESSAGE, &bob);
    update(f);
    assert_true(see_all(f, true, &seen));
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.seq, 2);
}

static void a_delete_has_no_line_and_leaves_no_gap(void **state)
{
    struct fixture *f = *state;
    static const uint8_t first[8] = { [7] = 1 };
    struct model_fetch fetch;
    struct model_seen seen;
    struct conv_id conv = conv_of(&bob);
    many_old(f, &bob, 1, 2);
    put_body(f, &bob, &bob, bobs, 3, 3, BYTES_OF(first), KIND_DELETE, MESSAGE_SHOWN);
    assert_int_equal(home_message_delete(f->home, &conv, 1), 0);
    put_body(f, &bob, &bob, bobs, 4, 4, bytes_of("x", 1), (enum record_kind)9, MESSAGE_SHOWN);    /* a newer server's */
    old(f, &bob, 5);
    conv_put(f, &bob, 5, 5);
    update(f);
    open_with(f, &bob);
    see_all(f, true, &seen);
    assert_string_equal(rows(f), "=Today;<[message deleted];<bob 2;<bob 5;");
    assert_false(model_fetch_take(f->model, &fetch));
}

static int ignore(void *arg, const struct conv_id *conv)
{
    (void)arg;
    (void)conv;
    return 0;
}

/* bob's message disappears. */
static void expire(struct fixture *f, uint64_t seq)
{
    struct msg_message m = { .conv = conv_of(&bob), .seq = seq, .kind = KIND_MESSAGE, .from = bob, .device = bobs,
                             .client_seq = seq, .id = id_of(&bob, seq), .expiry_ms = 1 };
    bool is_new, more;
    assert_int_equal(home_message_put(f->home, &m, MESSAGE_SHOWN, &is_new), 0);
    assert_int_equal(home_expire(f->home, f->now_ms, ignore, NULL, &more), 0);
    tell(f, SYNC_MOVED, &bob);
    update(f);
}

static void what_disappears_goes_and_the_rest_stays_where_it_is(void **state)
{
    struct fixture *f = *state;
    struct model_fetch fetch;
    struct model_seen seen;
    many_old(f, &bob, 1, 3);
    conv_put(f, &bob, 3, 3);
    update(f);
    open_with(f, &bob);
    see_all(f, true, &seen);
    struct row_id third = model_row(f->model, 3)->id;
    expire(f, 2);
    assert_string_equal(rows(f), "=Today;<bob 1;<bob 3;");
    assert_int_equal(model_row_find(f->model, &third), 2);
    see_all(f, true, &seen);
    assert_false(model_fetch_take(f->model, &fetch));    /* nothing looks missing */
    expire(f, 3);
    assert_string_equal(list(f), "bob 0 bob 1 ;");
}

static void what_is_gone_is_no_result_of_a_search_any_more(void **state)
{
    struct fixture *f = *state;
    struct conv_id conv = conv_of(&bob);
    bool more = true;
    many_old(f, &bob, 1, 3);
    conv_put(f, &bob, 3, 3);
    update(f);
    assert_int_equal(model_search(f->model, "bob", NULL), 0);
    while (more) assert_int_equal(model_search_step(f->model, &more), 0);
    assert_int_equal(model_found_count(f->model), 3);
    expire(f, 2);
    assert_int_equal(model_found_count(f->model), 2);
    assert_string_equal(model_found(f->model, 1)->text, "bob 1");
    assert_int_equal(home_message_delete(f->home, &conv, 1), 0);
    model_on_change(f->model);    /* another program did it */
    update(f);
    assert_int_equal(model_found_count(f->model), 1);
    assert_string_equal(model_found(f->model, 0)->text, "bob 3");
}

static void what_waits_to_be_deleted_is_no_send(void **state)
{
    struct fixture *f = *state;
    uint64_t number;
    old(f, &bob, 1);
    conv_put(f, &bob, 1, 1);
    assert_int_equal(home_outbox_add_as(f->home, &bob, KIND_TIMER, BYTES_OF(a_day), 1, &number), 0);
    model_on_change(f->model);
    update(f);
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Today;<bob 1;");
    assert_int_equal(model_conv(f->model, 0)->waiting, 0);
}

static void a_timer_set_by_oneself_does_not_make_what_came_before_it_read(void **state)
{
    struct fixture *f = *state;
    comes(f, &bob, 1);
    put_timer(f, &alice, 2, BYTES_OF(a_day), MESSAGE_SHOWN);
    conv_put(f, &bob, 2, 0);
    tell(f, SYNC_MOVED, &bob);
    update(f);
    assert_string_equal(list(f), "bob 1 bob 1 ;");
    open_with(f, &bob);
    assert_false(f->place.is_end);
    assert_string_equal(rows(f), "=Today;+new messages;<bob 1;@messages disappear after 1 day (set by you);");
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CLAIM(a_timer_has_a_line_where_it_was_set),
        CLAIM(a_timer_is_named_by_the_contact_and_a_strange_one_is_said_to_be),
        CLAIM(a_timer_in_sight_is_seen_like_a_message),
        CLAIM(a_delete_has_no_line_and_leaves_no_gap),
        CLAIM(what_disappears_goes_and_the_rest_stays_where_it_is),
        CLAIM(what_is_gone_is_no_result_of_a_search_any_more),
        CLAIM(what_waits_to_be_deleted_is_no_send),
        CLAIM(a_timer_set_by_oneself_does_not_make_what_came_before_it_read),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
