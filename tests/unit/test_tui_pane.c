/* test_tui_pane.c - a reader's place in a conversation stays, whatever comes, goes or changes its size. */
#include "tests/harness/chance.h"
#include "tests/unit/tui_model_world.h"
#include "tools/client/tui/pane.h"
#include "tools/client/tui/text.h"

static const struct rect wide = { .rows = 10, .cols = 60 };
enum { WIDE_TEXT = 60 - 5 - 1 - 5 - 1 - 3 };    /* without time, the name "alice" and ticks */

static void open_pane(struct fixture *f, struct pane *p, struct rect at)
{
    open_with(f, &bob);
    *p = (struct pane){ .own = "alice" };
    pane_begin(p, &f->place);
    assert_int_equal(pane_settle(p, f->model, at), 0);
}

/* As the chat does after each drawing. */
static void drawn(struct fixture *f, struct pane *p, struct rect at)
{
    struct model_seen seen;
    update(f);
    assert_int_equal(pane_settle(p, f->model, at), 0);
    model_seen(f->model, p->first, p->count, false, &seen);
}

static const char *text_at(const struct fixture *f, size_t at)
{
    return model_row(f->model, at)->text;
}

static const char *top(const struct fixture *f, const struct pane *p)
{
    return text_at(f, p->first);
}

static const char *bottom(const struct fixture *f, const struct pane *p)
{
    return text_at(f, p->first + p->count - 1);
}

static void at_its_end_it_follows_what_comes(void **state)
{
    struct fixture *f = *state;
    struct pane p;
    conv_put(f, &bob, 30, 30);
    many_old(f, &bob, 1, 30);
    open_pane(f, &p, wide);
    assert_true(p.is_end);
    assert_int_equal(p.count, 10);
    assert_string_equal(bottom(f, &p), "bob 30");
    comes(f, &bob, 31);
    drawn(f, &p, wide);
    assert_string_equal(top(f, &p), "bob 22");
    assert_string_equal(bottom(f, &p), "bob 31");
}

static void an_empty_one_is_followed_as_it_fills_however_many_come_at_once(void **state)
{
    struct fixture *f = *state;
    struct pane p;
    char text[48];
    open_pane(f, &p, wide);
    for (uint64_t seq = 1; seq <= 100;) {
        conv_put(f, &bob, seq + 14, 0);
        for (unsigned i = 0; i < 15; i++) {
            snprintf(text, sizeof text, "bob %u", (unsigned)seq);
            put(f, &bob, &bob, bobs, seq, seq, text, MESSAGE_FRESH);
            seq++;
        }
        tell(f, SYNC_MESSAGE, &bob);
        drawn(f, &p, wide);
        assert_true(p.is_end);
        assert_string_equal(bottom(f, &p), text);
    }
}

static void scrolled_up_nothing_that_comes_moves_what_is_read(void **state)
{
    struct fixture *f = *state;
    struct pane p;
    conv_put(f, &bob, 30, 30);
    many_old(f, &bob, 1, 30);
    open_pane(f, &p, wide);
    assert_int_equal(pane_scroll(&p, f->model, -3), 0);
    assert_string_equal(bottom(f, &p), "bob 27");
    for (uint64_t seq = 31; seq < 60; seq++) {
        comes(f, &bob, seq);
        drawn(f, &p, wide);
        assert_string_equal(top(f, &p), "bob 18");
        assert_string_equal(bottom(f, &p), "bob 27");
    }
    assert_false(p.is_end);
    pane_to_end(&p);
    drawn(f, &p, wide);
    assert_string_equal(bottom(f, &p), "bob 59");
}

static void a_message_higher_than_the_pane_goes_by_line_by_line(void **state)
{
    struct fixture *f = *state;
    struct pane p;
    char text[WIDE_TEXT * 25 + 1];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    conv_put(f, &bob, 3, 3);
    old(f, &bob, 1);
    put(f, &bob, &bob, bobs, 2, 2, text, MESSAGE_SHOWN);
    old(f, &bob, 3);
    open_pane(f, &p, wide);
    assert_int_equal(p.count, 2);
    for (unsigned i = 1; i <= 25; i++) {    /* 27 lines and that of the day, of which 10 are in sight */
        assert_int_equal(pane_scroll(&p, f->model, -1), 0);
        assert_int_equal(p.hidden, i == 1 ? 0 : i - 1 < 18 ? i - 1 : 17);
    }
    assert_int_equal(p.first, 0);
    assert_int_equal(pane_scroll(&p, f->model, 17), 0);
    assert_false(p.is_end);
    assert_int_equal(pane_scroll(&p, f->model, 1), 0);
    assert_true(p.is_end);
}

static void it_is_full_whenever_there_is_enough_to_fill_it(void **state)
{
    struct fixture *f = *state;
    struct pane p;
    conv_put(f, &bob, 12, 12);
    many_old(f, &bob, 1, 12);
    open_pane(f, &p, wide);
    assert_int_equal(pane_scroll(&p, f->model, -100), 0);
    assert_string_equal(top(f, &p), "Today");
    assert_int_equal(p.count, 10);
    drawn(f, &p, (struct rect){ .rows = 13, .cols = 60 });    /* higher: there are 13 lines, so all are in sight */
    assert_int_equal(p.count, 13);
    assert_true(p.is_end);
    drawn(f, &p, (struct rect){ .rows = 40, .cols = 60 });
    assert_int_equal(p.count, 13);
}

static void scrolling_reaches_both_ends_of_a_history_longer_than_the_window(void **state)
{
    struct fixture *f = *state;
    struct pane p;
    const uint64_t last = 2 * MODEL_WINDOW_MAX + 200;
    char text[48];
    conv_put(f, &bob, last, last);
    many_old(f, &bob, 1, last);
    open_pane(f, &p, wide);
    for (uint64_t i = 0; i < 2 * last && strcmp(top(f, &p), "Today") != 0; i += 9) {
        assert_int_equal(pane_scroll(&p, f->model, -9), 0);
        drawn(f, &p, wide);
    }
    assert_string_equal(text_at(f, p.first + 1), "bob 1");
    assert_true(model_row_count(f->model) <= MODEL_WINDOW_MAX + 1);
    for (uint64_t i = 0; i < 2 * last && !p.is_end; i += 9) {
        assert_int_equal(pane_scroll(&p, f->model, 9), 0);
        drawn(f, &p, wide);
    }
    snprintf(text, sizeof text, "bob %u", (unsigned)last);
    assert_string_equal(bottom(f, &p), text);
}

static void a_neighbour_stands_for_a_row_that_is_deleted(void **state)
{
    struct fixture *f = *state;
    struct pane p;
    conv_put(f, &bob, 30, 30);
    many_old(f, &bob, 1, 30);
    open_pane(f, &p, wide);
    assert_int_equal(pane_scroll(&p, f->model, -5), 0);
    assert_string_equal(bottom(f, &p), "bob 25");
    struct row_id row = model_row(f->model, p.first + p.count - 1)->id;
    assert_int_equal(model_delete(f->model, &row), 0);
    drawn(f, &p, wide);
    assert_string_equal(bottom(f, &p), "bob 26");
    assert_int_equal(model_conv_delete(f->model, &bob), 0);
    drawn(f, &p, wide);
    assert_int_equal(p.count, 0);
    comes(f, &bob, 31);
    drawn(f, &p, wide);
    assert_string_equal(bottom(f, &p), "bob 31");
}

static void what_was_unread_begins_in_sight_with_some_of_what_was_said_before(void **state)
{
    struct fixture *f = *state;
    struct pane p;
    conv_put(f, &bob, 20, 20);
    many_old(f, &bob, 1, 20);
    for (uint64_t seq = 21; seq <= 60; seq++) comes(f, &bob, seq);
    open_pane(f, &p, wide);
    assert_false(p.is_end);
    assert_int_equal(model_row(f->model, p.first + 3)->id.kind, ROW_NEW);
    assert_string_equal(top(f, &p), "bob 18");
    assert_string_equal(bottom(f, &p), "bob 26");
}

static void a_message_is_picked_and_brought_into_sight(void **state)
{
    struct fixture *f = *state;
    struct pane p;
    bool picked;
    conv_put(f, &bob, 30, 30);
    many_old(f, &bob, 1, 30);
    open_pane(f, &p, wide);
    assert_null(pane_picked(&p, f->model));
    for (unsigned i = 30; i >= 1; i--) {
        char text[48];
        snprintf(text, sizeof text, "bob %u", i);
        assert_int_equal(pane_pick(&p, f->model, -1, &picked), 0);
        assert_true(picked);
        assert_string_equal(pane_picked(&p, f->model)->text, text);
        size_t at = model_row_find(f->model, &p.picked);
        assert_true(at >= p.first && at < p.first + p.count);
    }
    assert_int_equal(pane_pick(&p, f->model, -1, &picked), 0);    /* there is nothing above the first */
    assert_string_equal(pane_picked(&p, f->model)->text, "bob 1");
    for (unsigned i = 0; i < 40; i++) assert_int_equal(pane_pick(&p, f->model, 1, &picked), 0);
    assert_string_equal(pane_picked(&p, f->model)->text, "bob 30");
    pane_pick_end(&p);
    assert_null(pane_picked(&p, f->model));
}

static void an_empty_conversation_and_an_empty_pane_are_no_special_cases(void **state)
{
    struct fixture *f = *state;
    struct pane p;
    bool picked;
    open_pane(f, &p, wide);
    assert_int_equal(p.count, 0);
    assert_int_equal(pane_scroll(&p, f->model, -5), 0);
    assert_int_equal(pane_scroll(&p, f->model, 5), 0);
    assert_int_equal(pane_pick(&p, f->model, -1, &picked), 0);
    assert_false(picked);
    comes(f, &bob, 1);
    drawn(f, &p, (struct rect){ 0 });
    assert_int_equal(p.count, 0);
    assert_int_equal(pane_scroll(&p, f->model, -5), 0);
    drawn(f, &p, (struct rect){ .rows = 1, .cols = 1 });
    drawn(f, &p, wide);
    assert_string_equal(bottom(f, &p), "bob 1");
}

/* ---- at random ---- */

static uint64_t seed;

static unsigned draw(unsigned n)
{
    return (unsigned)chance_below(&seed, n);
}

/* In sight is a stretch of rows, no more than there are lines, and nothing below the end is missing. */
static void check(const struct fixture *f, const struct pane *p)
{
    size_t count = model_row_count(f->model);
    assert_true(p->first + p->count <= count);
    assert_true(p->count <= p->at.rows);
    if (count > 0 && p->at.rows > 0 && p->at.cols > 0) assert_true(p->count > 0);
    if (p->is_end && p->count > 0) assert_int_equal(p->first + p->count, count);
    if (p->is_end) assert_int_equal(p->hidden, 0);
}

static void random_steps_keep_it_whole_and_the_end_is_always_reached(void **state)
{
    struct fixture *f = *state;
    struct pane p;
    uint64_t next = 1;
    bool picked;
    seed = run_seed();
    conv_put(f, &bob, 0, 0);
    open_pane(f, &p, wide);
    struct rect at = wide;
    for (unsigned step = 0; step < 600; step++) {
        size_t rows = model_row_count(f->model);
        switch (draw(9)) {
        case 0: case 1:
            for (unsigned n = draw(12); n > 0; n--) comes(f, &bob, next++);
            break;
        case 2:
            assert_int_equal(pane_scroll(&p, f->model, (long)draw(100) - 60), 0);
            break;
        case 3:
            at = (struct rect){ .rows = draw(40), .cols = draw(90) };
            break;
        case 4:
            assert_int_equal(pane_pick(&p, f->model, draw(2) ? 1 : -1, &picked), 0);
            break;
        case 5:
            pane_to_top(&p, f->model);
            break;
        case 6:
            assert_int_equal(model_note(f->model, "a note that is long enough to wrap in a narrow pane"), 0);
            break;
        case 7:
            if (rows > 0) {
                struct row_id row = model_row(f->model, draw((unsigned)rows))->id;
                if (row.kind == ROW_MESSAGE) assert_int_equal(model_delete(f->model, &row), 0);
            }
            break;
        default:
            if (draw(4) == 0) assert_int_equal(model_conv_delete(f->model, &bob), 0);
        }
        drawn(f, &p, at);
        check(f, &p);
    }
    assert_int_equal(model_end(f->model), 0);
    pane_to_end(&p);
    comes(f, &bob, next);
    drawn(f, &p, wide);
    check(f, &p);
    char last[48];
    snprintf(last, sizeof last, "bob %u", (unsigned)next);
    assert_string_equal(bottom(f, &p), last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(at_its_end_it_follows_what_comes),
        CLAIM(an_empty_one_is_followed_as_it_fills_however_many_come_at_once),
        CLAIM(scrolled_up_nothing_that_comes_moves_what_is_read),
        CLAIM(a_message_higher_than_the_pane_goes_by_line_by_line),
        CLAIM(it_is_full_whenever_there_is_enough_to_fill_it),
        CLAIM(scrolling_reaches_both_ends_of_a_history_longer_than_the_window),
        CLAIM(a_neighbour_stands_for_a_row_that_is_deleted),
        CLAIM(what_was_unread_begins_in_sight_with_some_of_what_was_said_before),
        CLAIM(a_message_is_picked_and_brought_into_sight),
        CLAIM(an_empty_conversation_and_an_empty_pane_are_no_special_cases),
        CLAIM(random_steps_keep_it_whole_and_the_end_is_always_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
