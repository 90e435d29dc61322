/* test_window.c - what was sent and not acknowledged is counted, bounded, and let go of in any order. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "server/chat/window.h"
#include "tests/harness/chance.h"
#include "tests/harness/feed.h"

static struct conv_id conv(uint8_t n)
{
    return (struct conv_id){ { n } };
}

static void add(struct window *w, uint8_t c, uint64_t seq, uint32_t bytes)
{
    struct conv_id id = conv(c);
    assert_true(window_has_room(w, bytes));
    assert_true(window_add(w, &id, seq, bytes));
}

static uint64_t last(const struct window *w, uint8_t c)
{
    struct conv_id id = conv(c);
    return window_last(w, &id);
}

static void ack(struct window *w, uint8_t c, uint64_t seq)
{
    struct conv_id id = conv(c);
    window_ack(w, &id, seq);
}

static void an_empty_window_has_no_memory(void **state)
{
    struct window w;
    (void)state;
    window_init(&w, 4, 100);
    assert_null(w.items);
    add(&w, 1, 1, 10);
    assert_non_null(w.items);
    ack(&w, 1, 1);
    assert_null(w.items);
    assert_int_equal(w.bytes, 0);
    window_fini(&w);
}

static void no_more_messages_than_the_limit_have_room(void **state)
{
    struct window w;
    (void)state;
    window_init(&w, 3, 1000);
    for (uint8_t i = 1; i <= 3; i++) add(&w, i, 1, 1);
    assert_false(window_has_room(&w, 1));
    assert_false(window_has_room(&w, 0));
    ack(&w, 2, 1);
    assert_true(window_has_room(&w, 1));
    window_fini(&w);
}

static void no_more_bytes_than_the_limit_have_room(void **state)
{
    struct window w;
    (void)state;
    window_init(&w, 10, 100);
    add(&w, 1, 1, 60);
    assert_true(window_has_room(&w, 40));
    assert_false(window_has_room(&w, 41));
    assert_false(window_has_room(&w, UINT32_MAX));
    window_fini(&w);
}

static void an_empty_window_takes_a_frame_of_any_size(void **state)
{
    struct window w;
    (void)state;
    window_init(&w, 10, 100);
    add(&w, 1, 1, 5000);
    assert_false(window_has_room(&w, 0));
    ack(&w, 1, 1);
    assert_true(window_has_room(&w, 5000));
    window_fini(&w);
}

static void half_is_half_of_messages_and_of_bytes(void **state)
{
    struct window w;
    (void)state;
    window_init(&w, 4, 100);
    assert_true(window_is_half_free(&w));
    add(&w, 1, 1, 10);
    add(&w, 1, 2, 10);
    assert_true(window_is_half_free(&w));
    add(&w, 1, 3, 10);
    assert_false(window_is_half_free(&w));
    ack(&w, 1, 3);
    add(&w, 1, 4, 50);
    assert_true(window_is_half_free(&w));
    add(&w, 1, 5, 1);
    assert_false(window_is_half_free(&w));
    window_fini(&w);
}

static void an_acknowledgement_covers_all_before_it_in_its_conversation_only(void **state)
{
    struct window w;
    (void)state;
    window_init(&w, 10, 1000);
    add(&w, 1, 5, 1);
    add(&w, 2, 1, 2);
    add(&w, 1, 6, 4);
    add(&w, 2, 2, 8);
    add(&w, 1, 9, 16);
    ack(&w, 1, 8);                                       /* own sends leave gaps: 8 was never in it */
    assert_int_equal(w.count, 3);
    assert_int_equal(w.bytes, 2 + 8 + 16);
    assert_int_equal(last(&w, 1), 9);
    assert_int_equal(last(&w, 2), 2);
    ack(&w, 1, UINT64_MAX);
    assert_int_equal(last(&w, 1), 0);
    assert_int_equal(w.bytes, 2 + 8);
    window_fini(&w);
}

static void an_acknowledgement_of_nothing_changes_nothing(void **state)
{
    struct window w;
    (void)state;
    window_init(&w, 10, 1000);
    ack(&w, 1, 7);
    add(&w, 1, 5, 1);
    ack(&w, 1, 4);
    ack(&w, 2, 9);
    assert_int_equal(w.count, 1);
    assert_int_equal(last(&w, 1), 5);
    assert_int_equal(last(&w, 2), 0);
    window_fini(&w);
}

/* Against a list that is searched in the plainest way. */
enum { STEPS = 20000, MODEL_CONVS = 5, MODEL_MAX = 64 };

struct plain { struct { uint8_t conv; uint64_t seq; uint32_t bytes; } at[MODEL_MAX]; size_t count; };

static void plain_ack(struct plain *p, uint8_t c, uint64_t seq)
{
    for (size_t i = p->count; i-- > 0;) {
        if (p->at[i].conv != c || p->at[i].seq > seq) continue;
        p->count--;
        for (size_t k = i; k < p->count; k++) p->at[k] = p->at[k + 1];
    }
}

static void a_random_life_agrees_with_a_plain_list(void **state)
{
    struct window w;
    struct plain p = { .count = 0 };
    uint64_t seed = run_seed(), next[MODEL_CONVS] = { 0 };
    (void)state;
    window_init(&w, MODEL_MAX, 2000);
    for (int step = 0; step < STEPS; step++) {
        uint8_t c = (uint8_t)(chance_below(&seed, MODEL_CONVS));
        uint32_t bytes = (uint32_t)(chance_below(&seed, 100)), sum = 0;
        for (size_t i = 0; i < p.count; i++) sum += p.at[i].bytes;
        bool room = p.count == 0 || (p.count < MODEL_MAX && sum + bytes <= 2000);
        assert_int_equal(window_has_room(&w, bytes), room);
        if (room && chance_below(&seed, 3)) {
            next[c] += 1 + chance_below(&seed, 2);
            add(&w, c, next[c], bytes);
            p.at[p.count].conv = c;
            p.at[p.count].seq = next[c];
            p.at[p.count++].bytes = bytes;
        } else {
            uint64_t back = chance_below(&seed, 12), seq = next[c] > back ? next[c] - back : 0;
            ack(&w, c, seq);
            plain_ack(&p, c, seq);
        }
        assert_int_equal(w.count, p.count);
        for (uint8_t k = 0; k < MODEL_CONVS; k++) {
            uint64_t highest = 0;
            for (size_t i = 0; i < p.count; i++) if (p.at[i].conv == k) highest = p.at[i].seq;
            assert_int_equal(last(&w, k), highest);
        }
    }
    window_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_window_has_no_memory),
        cmocka_unit_test(no_more_messages_than_the_limit_have_room),
        cmocka_unit_test(no_more_bytes_than_the_limit_have_room),
        cmocka_unit_test(an_empty_window_takes_a_frame_of_any_size),
        cmocka_unit_test(half_is_half_of_messages_and_of_bytes),
        cmocka_unit_test(an_acknowledgement_covers_all_before_it_in_its_conversation_only),
        cmocka_unit_test(an_acknowledgement_of_nothing_changes_nothing),
        cmocka_unit_test(a_random_life_agrees_with_a_plain_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
