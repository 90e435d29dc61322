/* test_behind.c - each rule of behind.h by itself, with the real limits; test_behind_model.c has their interplay. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "server/chat/behind.h"

enum { DIRECT = 1, GROUP = 2, LOG_MAX = 400 };

struct rig {
    struct behind *b;
    bool stalled, refuse_fetch, refuse_scan;
    uint32_t scans, synced, fetches, writes;
    struct { uint8_t type; struct conv_id conv; } scan;                       /* the last one */
    struct { struct conv_id conv; bool have_after, cursors; uint64_t after; } fetch[LOG_MAX];
    const struct frame *write[LOG_MAX];
};

static bool on_fetch(void *arg, const struct conv_id *conv, bool have_after, uint64_t after, bool cursors)
{
    struct rig *r = arg;
    if (r->refuse_fetch) return false;
    assert_true(r->fetches < LOG_MAX);
    r->fetch[r->fetches].conv = *conv;
    r->fetch[r->fetches].have_after = have_after;
    r->fetch[r->fetches].cursors = cursors;
    r->fetch[r->fetches++].after = after;
    return true;
}

static bool on_scan(void *arg, uint8_t after_type, const struct conv_id *after_conv)
{
    struct rig *r = arg;
    if (r->refuse_scan) return false;
    r->scans++;
    r->scan.type = after_type;
    r->scan.conv = *after_conv;
    return true;
}

static void on_write(void *arg, struct frame *frame)
{
    struct rig *r = arg;
    assert_true(r->writes < LOG_MAX);
    r->write[r->writes++] = frame;
}

static bool on_can_write(void *arg)
{
    return !((struct rig *)arg)->stalled;
}

static void on_synced(void *arg)
{
    ((struct rig *)arg)->synced++;
}

static const struct behind_ops ops = { on_fetch, on_scan, on_write, on_can_write, on_synced };

static struct conv_id conv(uint8_t n)
{
    return (struct conv_id){ { n } };
}

static struct behind_view look(struct rig *r)
{
    struct behind_view view;
    behind_look(r->b, &view);
    return view;
}

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->b = behind_new(&ops, r);
    assert_non_null(r->b);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    behind_free(r->b);
    free(r);
    return 0;
}

/* A session that has nothing to catch up with: everything is pushed to it. */
static struct rig *synced_rig(void **state)
{
    struct rig *r = *state;
    behind_start(r->b);
    behind_on_slice(r->b, NULL, 0, true);
    assert_int_equal(r->synced, 1);
    return r;
}

static struct frame *frame_of(size_t len)
{
    struct frame *f = frame_new(len);
    assert_non_null(f);
    memset(f->at, 0, len);
    return f;
}

/* Whoever makes the frame keeps no reference: behind.c has what it wrote, or it does not matter. */
static void live(struct rig *r, uint8_t c, uint8_t type, uint64_t seq, size_t len)
{
    struct conv_id id = conv(c);
    struct frame *f = frame_of(len);
    behind_on_live(r->b, &id, type, seq, LIVE_FRAME, f);
    assert_int_equal(f->refs, 1);
    frame_unref(f);
}

static void cursors(struct rig *r, uint8_t c)
{
    struct conv_id id = conv(c);
    struct frame *f = frame_of(1);
    behind_on_cursors(r->b, &id, DIRECT, f);
    assert_int_equal(f->refs, 1);
    frame_unref(f);
}

static void ack(struct rig *r, uint8_t c, uint64_t seq)
{
    struct conv_id id = conv(c);
    behind_on_ack(r->b, &id, seq);
}

/* Answer the last fetch with records from..reached of 10 bytes each. */
static void give_page(struct rig *r, uint64_t from, uint64_t reached, uint64_t end)
{
    assert_true(r->fetches > 0);
    struct page *page = page_new(&r->fetch[r->fetches - 1].conv, (uint32_t)(reached + 2 - from));
    assert_non_null(page);
    for (uint64_t seq = from; seq <= reached; seq++) {
        page->items[page->count++] = (struct page_item){ frame_of(10), seq };
    }
    if (r->fetch[r->fetches - 1].cursors) page->items[page->count++] = (struct page_item){ frame_of(1), 0 };
    page->reached = reached;
    page->end = end;
    behind_on_page(r->b, page);
}

static void fetched(struct rig *r, uint32_t number, uint8_t c, uint64_t after)
{
    struct conv_id id = conv(c);
    assert_int_equal(r->fetches, number);
    assert_memory_equal(&r->fetch[number - 1].conv, &id, sizeof id);
    assert_int_equal(r->fetch[number - 1].have_after, after > 0);
    assert_int_equal(r->fetch[number - 1].after, after);
}

/* -- what it costs ------------------------------------------------------------------------------------------- */

static void an_idle_session_costs_less_than_200_bytes(void **state)
{
    struct rig *r = *state;
    assert_true(malloc_usable_size(r->b) < 200);
}

static void nothing_happens_before_the_start(void **state)
{
    struct rig *r = *state;
    live(r, 1, DIRECT, 1, 10);
    cursors(r, 1);
    assert_false(behind_step(r->b));
    assert_int_equal(r->scans + r->fetches + r->writes + r->synced, 0);
    assert_int_equal(look(r).set, 0);
}

/* -- pushing --------------------------------------------------------------------------------------------------- */

static void a_live_message_is_pushed_once(void **state)
{
    struct rig *r = synced_rig(state);
    live(r, 1, DIRECT, 7, 10);
    live(r, 1, DIRECT, 7, 10);
    live(r, 1, DIRECT, 6, 10);
    assert_int_equal(r->writes, 1);
    assert_int_equal(look(r).window_messages, 1);
    assert_int_equal(look(r).window_bytes, 10);
    ack(r, 1, 7);
    assert_int_equal(look(r).window_messages, 0);
}

static void an_own_send_needs_nothing(void **state)
{
    struct rig *r = synced_rig(state);
    struct conv_id id = conv(1);
    live(r, 1, DIRECT, 1, 10);
    behind_on_live(r->b, &id, DIRECT, 2, LIVE_OWN, NULL);
    live(r, 1, DIRECT, 3, 10);
    assert_int_equal(r->writes, 2);
    assert_int_equal(r->fetches, 0);
}

static void news_without_a_frame_is_fetched(void **state)
{
    struct rig *r = synced_rig(state);
    struct conv_id id = conv(1);
    live(r, 1, DIRECT, 4, 10);
    behind_on_live(r->b, &id, DIRECT, 4, LIVE_NEWS, NULL);       /* the window holds it */
    assert_int_equal(r->fetches, 0);
    behind_on_live(r->b, &id, DIRECT, 6, LIVE_NEWS, NULL);
    fetched(r, 1, 1, 4);
    give_page(r, 5, 6, 6);
    assert_int_equal(r->writes, 3);
    assert_int_equal(look(r).set, 0);
}

static void a_full_window_is_never_overrun(void **state)
{
    struct rig *r = synced_rig(state);
    for (uint64_t seq = 1; seq <= WINDOW_MESSAGES_MAX + 5; seq++) live(r, 1, DIRECT, seq, 10);
    assert_int_equal(r->writes, WINDOW_MESSAGES_MAX);
    assert_int_equal(look(r).set, 1);
    assert_int_equal(r->fetches, 0);                             /* a page now would only be kept */
    ack(r, 1, WINDOW_MESSAGES_MAX / 2 - 1);
    assert_int_equal(r->fetches, 0);
    ack(r, 1, WINDOW_MESSAGES_MAX / 2);
    fetched(r, 1, 1, WINDOW_MESSAGES_MAX);
    give_page(r, WINDOW_MESSAGES_MAX + 1, WINDOW_MESSAGES_MAX + 5, WINDOW_MESSAGES_MAX + 5);
    assert_int_equal(r->writes, WINDOW_MESSAGES_MAX + 5);
    assert_int_equal(look(r).set, 0);
}

static void largest_frames_fill_the_window_by_their_bytes(void **state)
{
    struct rig *r = synced_rig(state);
    for (uint64_t seq = 1; seq <= 6; seq++) live(r, 1, DIRECT, seq, FRAME_BYTES_MAX);
    assert_int_equal(r->writes, WINDOW_BYTES_MAX / FRAME_BYTES_MAX);
    assert_int_equal(look(r).window_bytes, WINDOW_BYTES_MAX);
    assert_int_equal(look(r).set, 1);
}

static void a_stalled_socket_gets_nothing_until_it_drains(void **state)
{
    struct rig *r = synced_rig(state);
    r->stalled = true;
    live(r, 1, DIRECT, 1, 10);
    cursors(r, 2);
    assert_int_equal(r->writes + r->fetches, 0);
    assert_int_equal(look(r).set, 2);
    r->stalled = false;
    behind_on_drained(r->b);
    fetched(r, 1, 1, 0);
    r->stalled = true;
    give_page(r, 1, 1, 1);
    assert_int_equal(r->writes, 0);
    assert_true(look(r).page);
    r->stalled = false;
    behind_on_drained(r->b);
    assert_int_equal(r->writes, 1);
    fetched(r, 2, 2, 0);
    assert_true(r->fetch[1].cursors);
}

/* -- catching up -------------------------------------------------------------------------------------------------- */

static void fetches_go_round_direct_conversations_first(void **state)
{
    struct rig *r = synced_rig(state);
    r->stalled = true;
    live(r, 1, GROUP, 1, 10);
    live(r, 2, DIRECT, 1, 10);
    live(r, 3, DIRECT, 1, 10);
    live(r, 4, GROUP, 1, 10);
    r->stalled = false;
    behind_on_drained(r->b);
    static const uint8_t order[] = { 2, 3, 2, 3 };
    for (uint32_t i = 0; i < 4; i++) {
        fetched(r, i + 1, order[i], i < 2 ? 0 : 1);
        uint64_t seq = i / 2 + 1;
        give_page(r, seq, seq, 2);                               /* one record a page, two there are */
        ack(r, order[i], seq);
    }
    fetched(r, 5, 1, 0);
    give_page(r, 1, 1, 1);
    fetched(r, 6, 4, 0);
    give_page(r, 1, 1, 1);
    assert_int_equal(look(r).set, 0);
    assert_int_equal(r->writes, 6);
}

static void news_during_a_fetch_brings_another(void **state)
{
    struct rig *r = synced_rig(state);
    r->stalled = true;
    live(r, 1, DIRECT, 1, 10);
    r->stalled = false;
    behind_on_drained(r->b);
    live(r, 1, DIRECT, 2, 10);
    cursors(r, 1);
    assert_int_equal(r->writes, 0);
    give_page(r, 1, 1, 1);
    fetched(r, 2, 1, 1);
    assert_true(r->fetch[1].cursors);
    give_page(r, 2, 2, 2);
    assert_int_equal(r->writes, 3);
    assert_int_equal(look(r).set, 0);
    live(r, 1, DIRECT, 3, 10);                                   /* pushed again */
    assert_int_equal(r->writes, 4);
}

static void a_page_that_is_all_holes_is_passed(void **state)
{
    struct rig *r = synced_rig(state);
    struct conv_id id = conv(1);
    behind_on_live(r->b, &id, DIRECT, 9, LIVE_NEWS, NULL);
    fetched(r, 1, 1, 0);
    give_page(r, 6, 5, 9);
    fetched(r, 2, 1, 5);
    give_page(r, 6, 9, 9);
    assert_int_equal(look(r).set, 0);
}

static void a_failed_fetch_waits_for_the_next_step(void **state)
{
    struct rig *r = synced_rig(state);
    struct conv_id id = conv(1);
    r->stalled = true;
    cursors(r, 1);
    live(r, 1, DIRECT, 3, 10);
    r->stalled = false;
    behind_on_drained(r->b);
    behind_on_fetch_failed(r->b, &id, false);
    ack(r, 1, 2);
    assert_int_equal(r->fetches, 1);
    assert_true(look(r).waits);
    assert_false(behind_step(r->b));
    fetched(r, 2, 1, 0);
    assert_true(r->fetch[1].cursors);
}

static void a_conversation_that_is_gone_leaves_the_set(void **state)
{
    struct rig *r = *state;
    struct scan_row_now row = { .conv = conv(1), .type = DIRECT, .has_messages = true };
    behind_start(r->b);
    behind_on_slice(r->b, &row, 1, true);
    assert_int_equal(r->synced, 0);
    behind_on_fetch_failed(r->b, &row.conv, true);
    assert_int_equal(look(r).set, 0);
    assert_int_equal(r->synced, 1);
}

static void an_op_that_says_not_now_is_asked_again_by_step(void **state)
{
    struct rig *r = *state;
    r->refuse_scan = r->refuse_fetch = true;
    behind_start(r->b);
    assert_true(look(r).waits);
    assert_true(behind_step(r->b));
    r->refuse_scan = false;
    assert_false(behind_step(r->b));
    assert_int_equal(r->scans, 1);
    struct scan_row_now row = { .conv = conv(1), .type = DIRECT, .has_cursors = true };
    behind_on_slice(r->b, &row, 1, true);
    assert_true(behind_step(r->b));
    r->refuse_fetch = false;
    assert_false(behind_step(r->b));
    fetched(r, 1, 1, 0);
}

static void a_page_taken_back_is_fetched_again_from_where_it_stood(void **state)
{
    struct rig *r = synced_rig(state);
    struct conv_id id = conv(1);
    assert_false(behind_drop_page(r->b));
    behind_on_live(r->b, &id, DIRECT, 100, LIVE_NEWS, NULL);
    cursors(r, 1);
    give_page(r, 1, 100, 100);
    assert_int_equal(r->writes, WINDOW_MESSAGES_MAX);
    assert_true(look(r).page);
    assert_true(behind_drop_page(r->b));
    assert_false(look(r).page);
    assert_false(behind_step(r->b));
    assert_int_equal(r->fetches, 1);                             /* not before it can be written */
    ack(r, 1, WINDOW_MESSAGES_MAX);
    fetched(r, 2, 1, WINDOW_MESSAGES_MAX);
    assert_true(r->fetch[1].cursors);
    give_page(r, WINDOW_MESSAGES_MAX + 1, 100, 100);
    assert_int_equal(r->writes, 101);
    assert_int_equal(look(r).set, 0);
}

/* -- the scan ------------------------------------------------------------------------------------------------------ */

static void synced_is_said_when_the_scan_has_ended_and_the_set_is_empty(void **state)
{
    struct rig *r = *state;
    struct scan_row_now rows[] = {
        { .conv = conv(1), .type = DIRECT, .has_messages = true },
        { .conv = conv(2), .type = DIRECT },
        { .conv = conv(3), .type = GROUP, .has_cursors = true },
    };
    behind_start(r->b);
    assert_int_equal(r->scan.type, 0);
    behind_on_slice(r->b, rows, 3, false);
    assert_int_equal(r->scans, 2);
    assert_int_equal(r->scan.type, GROUP);
    assert_memory_equal(&r->scan.conv, &rows[2].conv, sizeof rows[2].conv);
    give_page(r, 1, 1, 1);
    give_page(r, 1, 0, 0);
    assert_int_equal(look(r).set, 0);
    assert_int_equal(r->synced, 0);
    behind_on_slice(r->b, NULL, 0, true);
    assert_int_equal(r->synced, 1);
}

static void rows_without_room_are_read_again(void **state)
{
    struct rig *r = *state;
    struct scan_row_now rows[SCAN_SLICE_ROWS];
    for (uint8_t i = 0; i < SCAN_SLICE_ROWS; i++) {
        rows[i] = (struct scan_row_now){ .conv = conv((uint8_t)(i + 1)), .type = DIRECT, .has_messages = true };
    }
    behind_start(r->b);
    behind_on_slice(r->b, rows, SCAN_SLICE_ROWS, true);
    assert_int_equal(look(r).set, BEHIND_SET_MAX);
    assert_int_equal(r->scans, 1);
    for (uint32_t i = 1; i <= SCAN_ROOM_MIN; i++) {
        assert_int_equal(r->scans, 1);
        fetched(r, i, (uint8_t)i, 0);
        give_page(r, 1, 1, 1);
        ack(r, (uint8_t)i, 1);
    }
    assert_int_equal(r->scans, 2);
    assert_memory_equal(&r->scan.conv, &rows[BEHIND_SET_MAX - 1].conv, sizeof rows[0].conv);
    behind_on_slice(r->b, rows + BEHIND_SET_MAX, SCAN_SLICE_ROWS - BEHIND_SET_MAX, true);
    assert_int_equal(look(r).set, BEHIND_SET_MAX);
    assert_true(look(r).scanning);
}

static void an_overflow_sends_the_scan_back_to_its_beginning(void **state)
{
    struct rig *r = synced_rig(state);
    r->stalled = true;
    for (uint8_t i = 1; i <= BEHIND_SET_MAX; i++) live(r, i, DIRECT, 1, 10);
    assert_false(look(r).scanning);
    live(r, 200, DIRECT, 1, 10);
    assert_true(look(r).scanning);
    assert_int_equal(look(r).set, BEHIND_SET_MAX);
    r->stalled = false;
    behind_on_drained(r->b);
    for (uint32_t i = 1; i <= SCAN_ROOM_MIN; i++) give_page(r, 1, 1, 1);
    assert_int_equal(r->scans, 2);
    assert_int_equal(r->scan.type, 0);
    uint32_t writes = r->writes;
    live(r, 201, DIRECT, 1, 10);                                 /* a slice is being read: into the set */
    assert_int_equal(r->writes, writes);
    assert_int_equal(look(r).set, BEHIND_SET_MAX - SCAN_ROOM_MIN + 1);
    assert_int_equal(r->synced, 1);
}

static void a_slice_that_failed_is_asked_for_by_step(void **state)
{
    struct rig *r = *state;
    behind_start(r->b);
    behind_on_slice_failed(r->b);
    assert_int_equal(r->scans, 1);
    assert_true(look(r).waits);
    assert_false(behind_step(r->b));
    assert_int_equal(r->scans, 2);
}

static void the_slice_after_a_spoiled_one_counts(void **state)
{
    struct rig *r = *state;
    behind_start(r->b);
    for (uint8_t i = 1; i <= BEHIND_SET_MAX + 1; i++) live(r, i, DIRECT, 1, 10);
    behind_on_slice_failed(r->b);
    for (uint32_t i = 1; i <= SCAN_ROOM_MIN; i++) give_page(r, 1, 1, 1);
    assert_false(behind_step(r->b));
    assert_int_equal(r->scans, 2);
    behind_on_slice(r->b, NULL, 0, true);
    assert_false(look(r).scanning);
}

static void a_live_message_behind_the_place_of_the_scan_is_left_to_it(void **state)
{
    struct rig *r = *state;
    struct scan_row_now row = { .conv = conv(5), .type = DIRECT };
    behind_start(r->b);
    r->refuse_scan = true;                                       /* no slice is being read after this one */
    behind_on_slice(r->b, &row, 1, false);
    live(r, 5, DIRECT, 1, 10);
    live(r, 4, DIRECT, 1, 10);
    assert_int_equal(r->writes, 2);
    live(r, 6, DIRECT, 1, 10);
    live(r, 1, GROUP, 1, 10);
    assert_int_equal(r->writes, 2);
    assert_int_equal(look(r).set, 0);
}

static void it_may_end_with_a_page_in_hand(void **state)
{
    struct rig *r = synced_rig(state);
    struct conv_id id = conv(1);
    behind_on_live(r->b, &id, DIRECT, 100, LIVE_NEWS, NULL);
    give_page(r, 1, 100, 100);
    assert_true(look(r).page);                                   /* the leak checker says whether it went with it */
    page_free(NULL);
    behind_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_idle_session_costs_less_than_200_bytes),
        TEST(nothing_happens_before_the_start),
        TEST(a_live_message_is_pushed_once),
        TEST(an_own_send_needs_nothing),
        TEST(news_without_a_frame_is_fetched),
        TEST(a_full_window_is_never_overrun),
        TEST(largest_frames_fill_the_window_by_their_bytes),
        TEST(a_stalled_socket_gets_nothing_until_it_drains),
        TEST(fetches_go_round_direct_conversations_first),
        TEST(news_during_a_fetch_brings_another),
        TEST(a_page_that_is_all_holes_is_passed),
        TEST(a_failed_fetch_waits_for_the_next_step),
        TEST(a_conversation_that_is_gone_leaves_the_set),
        TEST(an_op_that_says_not_now_is_asked_again_by_step),
        TEST(a_page_taken_back_is_fetched_again_from_where_it_stood),
        TEST(synced_is_said_when_the_scan_has_ended_and_the_set_is_empty),
        TEST(rows_without_room_are_read_again),
        TEST(an_overflow_sends_the_scan_back_to_its_beginning),
        TEST(a_slice_that_failed_is_asked_for_by_step),
        TEST(the_slice_after_a_spoiled_one_counts),
        TEST(a_live_message_behind_the_place_of_the_scan_is_left_to_it),
        TEST(it_may_end_with_a_page_in_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
