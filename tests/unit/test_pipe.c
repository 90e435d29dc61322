/* test_pipe.c - one pushes, one pops, nothing is lost, doubled or turned round. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>

#include "server/core/clock.h"
#include "server/core/pipe.h"
#include "tests/harness/chance.h"
#include "tests/harness/sanitized.h"

static struct parcel parcel_of(uint32_t n)
{
    return (struct parcel){ .kind = PARCEL_DELIVER, .from = 7, .slice = n, .u.call.arg = (void *)(uintptr_t)n };
}

static bool push(struct pipe *pipe, uint32_t n)
{
    struct parcel parcel = parcel_of(n);
    return pipe_push(pipe, &parcel);
}

/* -1: empty. Checks that the whole parcel came through. */
static int64_t pop(struct pipe *pipe)
{
    struct parcel parcel;
    if (!pipe_pop(pipe, &parcel)) return -1;
    assert_int_equal(parcel.kind, PARCEL_DELIVER);
    assert_int_equal(parcel.from, 7);
    assert_ptr_equal(parcel.u.call.arg, (void *)(uintptr_t)parcel.slice);
    return parcel.slice;
}

static void an_empty_pipe_gives_nothing(void **state)
{
    (void)state;
    struct pipe *pipe;
    assert_int_equal(pipe_new(4, &pipe), 0);
    assert_int_equal(pop(pipe), -1);
    assert_int_equal(pipe_waiting(pipe), 0);
    assert_int_equal(pipe_room(pipe), 4);
    pipe_free(pipe);
}

static void a_full_pipe_refuses_until_one_is_popped(void **state)
{
    (void)state;
    struct pipe *pipe;
    assert_int_equal(pipe_new(4, &pipe), 0);
    for (uint32_t i = 0; i < 4; i++) assert_true(push(pipe, i));
    assert_false(push(pipe, 99));
    assert_int_equal(pipe_room(pipe), 0);
    assert_int_equal(pipe_waiting(pipe), 4);
    assert_int_equal(pop(pipe), 0);
    assert_int_equal(pipe_room(pipe), 1);
    assert_true(push(pipe, 4));
    assert_false(push(pipe, 99));
    for (uint32_t i = 1; i <= 4; i++) assert_int_equal(pop(pipe), i);
    assert_int_equal(pop(pipe), -1);
    pipe_free(pipe);
}

static void a_pipe_of_one_slot_works(void **state)
{
    (void)state;
    struct pipe *pipe;
    assert_int_equal(pipe_new(1, &pipe), 0);
    for (uint32_t i = 0; i < 10; i++) {
        assert_true(push(pipe, i));
        assert_false(push(pipe, 99));
        assert_int_equal(pop(pipe), i);
    }
    pipe_free(pipe);
}

static void room_is_never_promised_that_is_not_there(void **state)
{
    (void)state;
    struct pipe *pipe;
    uint64_t random = run_seed();
    uint32_t pushed = 0, popped = 0;
    assert_int_equal(pipe_new(64, &pipe), 0);
    for (int i = 0; i < 100000; i++) {
        uint32_t ask = chance_below(&random, 70);
        assert_int_equal(pipe_room(pipe), 64 - (pushed - popped));
        /* The cheap question is exact too, when one thread asks and pops in turn. */
        assert_int_equal(pipe_has_room(pipe, ask), ask <= 64 - (pushed - popped));
        if (chance_below(&random, 2)) {
            bool room = pushed - popped < 64;
            assert_int_equal(push(pipe, pushed), room);
            pushed += room;
        } else {
            int64_t n = pop(pipe);
            assert_int_equal(n, pushed == popped ? -1 : (int64_t)popped);
            popped += n >= 0;
        }
    }
    while (pop(pipe) >= 0) {}
    pipe_free(pipe);
}

static void room_that_was_wanted_is_told_once(void **state)
{
    (void)state;
    struct pipe *pipe;
    assert_int_equal(pipe_new(2, &pipe), 0);
    assert_false(pipe_room_wanted(pipe));
    pipe_want_room(pipe);
    pipe_want_room(pipe);
    assert_true(pipe_room_wanted(pipe));
    assert_false(pipe_room_wanted(pipe));
    pipe_free(pipe);
}

/* ---- two threads ---- */

struct stream {
    struct pipe *pipe;
    uint32_t count;
    uint64_t random;
    sem_t pushed, room;        /* how each side sleeps: as shards do, only when told to */
};

/* As a source does: asks for room, looks once more, then sleeps until it is told. */
static void *stream_push(void *arg)
{
    struct stream *s = arg;
    for (uint32_t i = 0; i < s->count; i++) {
        while (!push(s->pipe, i)) {
            pipe_want_room(s->pipe);
            if (push(s->pipe, i)) break;
            sem_post(&s->pushed);
            sem_wait(&s->room);
        }
        if (chance_below(&s->random, 50) == 0) sem_post(&s->pushed);
    }
    sem_post(&s->pushed);
    return NULL;
}

static void a_stream_between_two_threads_stays_whole_and_nobody_sleeps_for_good(void **state)
{
    (void)state;
    static const uint32_t slots[] = { 1, 2, 8, 1024 };
    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++) {
        struct stream s = { .count = SANITIZED_THREAD ? 20000 : 300000, .random = run_seed() + i };
        if (slots[i] < 8) s.count /= 10;    /* nearly each one is a sleep */
        sem_init(&s.pushed, 0, 0);
        sem_init(&s.room, 0, 0);
        assert_int_equal(pipe_new(slots[i], &s.pipe), 0);
        pthread_t pusher;
        assert_int_equal(pthread_create(&pusher, NULL, stream_push, &s), 0);
        uint32_t next = 0;
        while (next < s.count) {
            sem_wait(&s.pushed);
            int64_t n;
            bool any = false;
            while ((n = pop(s.pipe)) >= 0) {
                assert_int_equal(n, next);
                next++;
                any = true;
            }
            if (any && pipe_room_wanted(s.pipe)) sem_post(&s.room);
        }
        /* A last wish may have crossed the last pop; nothing is behind it. */
        sem_post(&s.room);
        pthread_join(pusher, NULL);
        assert_int_equal(pop(s.pipe), -1);
        pipe_free(s.pipe);
        sem_destroy(&s.pushed);
        sem_destroy(&s.room);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_pipe_gives_nothing),
        cmocka_unit_test(a_full_pipe_refuses_until_one_is_popped),
        cmocka_unit_test(a_pipe_of_one_slot_works),
        cmocka_unit_test(room_is_never_promised_that_is_not_there),
        cmocka_unit_test(room_that_was_wanted_is_told_once),
        cmocka_unit_test(a_stream_between_two_threads_stays_whole_and_nobody_sleeps_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
