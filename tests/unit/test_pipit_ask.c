/* test_pipit_ask.c - what the library gives of a home without asking: messages around a time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/pipit_impl.h"

#define START_MS UINT64_C(1700000000000)

enum { MESSAGES = 30, STEP_MS = 1000 };          /* the message `seq` was made START_MS + seq * STEP_MS */

static const struct user_id alice = { "alice" }, bob = { "bob" };

struct fixture {
    char dir[64];
    struct pipit *p;
    uint64_t seqs[MESSAGES];                     /* what was given */
    size_t count;
};

static struct msg_id id_of(uint64_t seq)
{
    struct msg_id id;
    memset(id.v, 0, sizeof id.v);
    put_u64(id.v, (START_MS + seq * STEP_MS) << 16 | 0x7000);
    return id;
}

static void fill_home(const char *dir)
{
    static const uint8_t body[] = { 0x92, 0x00, 0xa2, 'h', 'i' };
    struct home *home;
    char why[256];
    bool is_new;
    assert_int_equal(home_open(dir, true, &home, why), 0);
    const struct account account = { .server = "ws://127.0.0.1:1", .user = alice, .device = { 77 } };
    assert_int_equal(home_account_put(home, &account), 0);
    struct conv_id conv = conv_id_direct(&alice, &bob);
    const struct conv_row row = { .id = conv, .peer = bob, .has_stored = true, .stored = MESSAGES };
    assert_int_equal(home_conv_put(home, &row), 0);
    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        const struct msg_message m = { .conv = conv, .seq = seq, .id = id_of(seq), .kind = KIND_MESSAGE, .from = bob,
                                       .device = { 5 }, .client_seq = seq, .is_direct = true, .members = { alice, bob },
                                       .body = BYTES_OF(body) };
        assert_int_equal(home_message_put(home, &m, MESSAGE_SHOWN, &is_new), 0);
    }
    home_close(home);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char why[PIPIT_WHY_MAX], dir[] = "/tmp/pipit-ask-XXXXXX";
    if (!f || sodium_init() < 0 || !mkdtemp(dir)) return -1;
    memcpy(f->dir, dir, sizeof dir);
    fill_home(f->dir);
    *state = f;
    return pipit_open(f->dir, NULL, &f->p, why);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[96];
    pipit_close(f->p);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static int take(void *arg, const struct pipit_message *m)
{
    struct fixture *f = arg;
    assert_true(f->count < MESSAGES);
    f->seqs[f->count++] = m->seq;
    return 0;
}

static void around(struct fixture *f, uint64_t ms, uint64_t limit)
{
    f->count = 0;
    assert_int_equal(pipit_history_around_here(f->p, &bob, ms, limit, take, f), 0);
}

static void half_lies_before_the_time_and_half_from_it_on(void **state)
{
    struct fixture *f = *state;
    static const uint64_t limits[] = { 1, 2, 7, 10, PAGE_RECORDS_MAX };
    for (uint64_t at = 0; at <= MESSAGES + 2; at++) {
        for (int later = -1; later <= 1; later++) {
            for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
                uint64_t half = limits[i] / 2, from = later > 0 ? at + 1 : at;        /* the first made then or later */
                if (from == 0) from = 1;
                if (from > MESSAGES + 1) from = MESSAGES + 1;
                uint64_t first = from > half ? from - half : 1, last = from - 1 + limits[i] - half;
                if (last > MESSAGES) last = MESSAGES;
                around(f, START_MS + at * STEP_MS + (uint64_t)later, limits[i]);
                assert_int_equal(f->count, last + 1 - first);
                for (size_t k = 0; k < f->count; k++) assert_int_equal(f->seqs[k], first + k);
            }
        }
    }
    around(f, 0, 4);
    assert_int_equal(f->count, 2);
    around(f, UINT64_MAX, 4);
    assert_int_equal(f->count, 2);
    assert_int_equal(f->seqs[1], MESSAGES);
}

static void what_is_hidden_here_is_left_out(void **state)
{
    struct fixture *f = *state;
    struct msg_id id = id_of(10);
    assert_int_equal(pipit_delete_here(f->p, &id), 0);
    around(f, START_MS + 10 * STEP_MS, 4);
    assert_int_equal(f->count, 3);
    assert_int_equal(f->seqs[0], 8);
    assert_int_equal(f->seqs[2], 11);
}

static void too_many_and_none_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(pipit_history_around_here(f->p, &bob, START_MS, 0, take, f), ERR_RANGE);
    assert_int_equal(pipit_history_around_here(f->p, &bob, START_MS, PAGE_RECORDS_MAX + 1, take, f), ERR_RANGE);
    assert_int_equal(pipit_history_around(f->p, &bob, START_MS, PAGE_RECORDS_MAX + 1, 1, take, f), ERR_RANGE);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CLAIM(half_lies_before_the_time_and_half_from_it_on),
        CLAIM(what_is_hidden_here_is_left_out),
        CLAIM(too_many_and_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
