/* test_behind_model.c - every interleaving of push, fetch, page, acknowledgement, scan and overflow, in small worlds;
 * random ones in larger worlds.
 *
 * explore() walks depth-first through all states a plan allows, each once. The claims:
 *  - in every step those of behind_world.h: sequences reach the device without gaps, no write while the socket stalls,
 *    one page, one fetch and one slice at a time, SYNCED at most once; and those of check_bounds();
 *  - where no duty is left to do, everything has arrived and nothing is kept (check_rest());
 *  - no state comes again on a way from itself. So whatever the order in which a world does its duties, it comes to
 *    rest once inputs end: there is no live-lock. The longest such way is printed.
 * A state is known by a 64-bit hash. With 10 million states the odds that two share one are 1 in 300,000.
 *
 * PIPIT_MODEL=small runs the worlds that sanitizers get, PIPIT_MODEL=full all of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <unistd.h>
#include <xxhash.h>

#include "tests/harness/chance.h"
#include "tests/harness/feed.h"
#include "tests/unit/behind_actions.h"

/* -- the way to a broken claim --------------------------------------------------------------------------------- */

enum { WAY_MAX = 400 };              /* actions to the deepest state; random ways keep their last ones */

static struct action way[WAY_MAX];
static size_t way_count;

static void way_print(void)
{
    fprintf(stderr, "world \"%s\":", plan->name);
    size_t first = way_count > WAY_MAX ? way_count - WAY_MAX : 0;
    for (size_t i = first; i < way_count; i++) {
        struct action a = way[i % WAY_MAX];
        fprintf(stderr, " %s(%u,%u)", action_names[a.kind], a.at, a.n);
    }
    fprintf(stderr, "\n");
}

static _Noreturn void world_broken(const char *claim)
{
    way_print();
    fail_msg("broken: %s", claim);
    abort();
}

static void on_abort(int sig)        /* an assert of behind.c; the process ends after this */
{
    way_print();
}

static void world_begin(const struct plan *p)
{
    plan = p;
    way_count = 0;
    memset(&now, 0, sizeof now);
    for (uint8_t i = 0; i < p->convs; i++) now.conv[i].exists = !(p->born_late & bit(i));
}

/* -- claims ------------------------------------------------------------------------------------------------------ */

static void check_bounds(void)
{
    struct behind_view view;
    uint32_t messages = 0, bytes = 0;
    if (!now.b) return;
    behind_look(now.b, &view);
    for (uint8_t i = 0; i < plan->convs; i++) {
        for (uint8_t n = 1; n <= plan->messages[i]; n++) {
            if (!(now.conv[i].unacked & bit(n))) continue;
            messages++;
            bytes += world_frame(FRAME_MESSAGE, i, n)->len;
        }
    }
    CLAIM(view.window_messages == messages && view.window_bytes == bytes);
    CLAIM(messages <= plan->limits.window_messages_max);
    CLAIM(bytes <= plan->limits.window_bytes_max || messages == 1);
    CLAIM(view.set <= plan->limits.set_max);
    CLAIM(now.frames == (now.b->page ? now.b->page->count - now.b->page->next : 0));
    CLAIM((now.b->set != NULL) == (view.set > 0));
    CLAIM((now.b->window.items != NULL) == (messages > 0));
    met.window_full |= messages == plan->limits.window_messages_max;
    met.set_full |= view.set == plan->limits.set_max;
    met.scan_back |= view.synced && view.scanning;
    met.stale |= now.b->stale;
    met.page_waits |= view.page;
}

static void check_rest(void)
{
    struct behind_view view;
    CLAIM(now.b && now.started);
    behind_look(now.b, &view);
    CLAIM(now.synced == 1 && view.synced && !view.scanning);
    CLAIM(view.set == 0 && view.window_messages == 0 && !view.page && !view.waits);
    CLAIM(now.fetch.stage == FETCH_NONE && now.slice.stage == SLICE_NONE);
    for (uint8_t i = 0; i < plan->convs; i++) {
        CLAIM(now.conv[i].high == now.conv[i].committed);
        CLAIM(now.conv[i].told == now.conv[i].marked);
    }
}

/* -- states already seen ----------------------------------------------------------------------------------------- */

enum { SEEN_OPEN = 255 };            /* on the way to the present state; else its longest way to rest */

static struct { uint64_t *hash; uint8_t *rest; size_t count, room; uint8_t rest_max; } seen;

static size_t seen_place(uint64_t hash)
{
    size_t i = (size_t)hash & (seen.room - 1);
    while (seen.hash[i] && seen.hash[i] != hash) i = (i + 1) & (seen.room - 1);
    return i;
}

static void seen_grow(void)
{
    uint64_t *hash = seen.hash;
    uint8_t *rest = seen.rest;
    size_t room = seen.room;
    seen.room = room ? 2 * room : 1 << 16;
    seen.hash = calloc(seen.room, sizeof *seen.hash);
    seen.rest = calloc(seen.room, sizeof *seen.rest);
    assert_non_null(seen.hash);
    assert_non_null(seen.rest);
    for (size_t i = 0; i < room; i++) {
        if (!hash[i]) continue;
        size_t to = seen_place(hash[i]);
        seen.hash[to] = hash[i];
        seen.rest[to] = rest[i];
    }
    free(hash);
    free(rest);
}

static void seen_end(void)
{
    free(seen.hash);
    free(seen.rest);
    memset(&seen, 0, sizeof seen);
}

/* What behind.c may base a decision on, in a form that does not depend on addresses and on what stands behind the end
 * of its arrays. */
static size_t behind_bytes(const struct behind *b, uint8_t *to)
{
    uint8_t *at = to;
    *at++ = b->scan;
    *at++ = b->passed_type;
    *at++ = b->passed.v[0];
    *at++ = (uint8_t)(b->stale | b->fetching << 1 | b->synced << 2 | (b->page != NULL) << 3);
    *at++ = b->waits;
    *at++ = (uint8_t)b->set_count;
    *at++ = (uint8_t)b->set_room;
    *at++ = (uint8_t)b->window.count;
    *at++ = (uint8_t)b->window.room;
    for (uint16_t i = 0; i < b->set_count; i++) {
        const struct entry *e = &b->set[i];
        *at++ = e->conv.v[0];
        *at++ = (uint8_t)e->after;
        *at++ = (uint8_t)(e->dirty | e->asked << 2 | e->busy << 4);
    }
    for (uint32_t i = 0; i < b->window.count; i++) {
        *at++ = b->window.items[i].conv.v[0];
        *at++ = (uint8_t)b->window.items[i].seq;
    }
    if (!b->page) return (size_t)(at - to);
    *at++ = b->page->conv.v[0];
    *at++ = (uint8_t)b->page->reached;
    *at++ = (uint8_t)b->page->end;
    for (uint32_t i = b->page->next; i < b->page->count; i++) {
        *at++ = b->page->items[i].frame->at[0];
        *at++ = b->page->items[i].frame->at[2];
    }
    return (size_t)(at - to);
}

static uint64_t world_hash(void)
{
    uint8_t bytes[sizeof now];
    size_t len = offsetof(struct world, stream);
    memcpy(bytes, &now, len);
    for (int h = 0; h < HOMES_MAX; h++) {
        const struct stream *s = &now.stream[h];
        bytes[len++] = s->count;
        memcpy(bytes + len, s->at, s->count * sizeof s->at[0]);
        len += s->count * sizeof s->at[0];
    }
    bytes[len++] = now.b != NULL;
    if (now.b) len += behind_bytes(now.b, bytes + len);
    uint64_t hash = XXH3_64bits(bytes, len);
    return hash ? hash : 1;
}

/* -- every way ---------------------------------------------------------------------------------------------- */

static void step(struct action a)
{
    way[way_count++ % WAY_MAX] = a;
    world_do(a);
    check_bounds();
}

/* Returns the most duties that can be done one after another from here. */
static uint8_t explore(void)
{
    uint64_t hash = world_hash();
    if (4 * seen.count >= 3 * seen.room) seen_grow();
    size_t place = seen_place(hash);
    if (seen.hash[place]) {
        CLAIM(seen.rest[place] != SEEN_OPEN);        /* no way leads back to where it came from */
        return seen.rest[place];
    }
    seen.hash[place] = hash;
    seen.rest[place] = SEEN_OPEN;
    seen.count++;

    struct world here;
    memcpy(&here, &now, sizeof here);
    struct action actions[ACTIONS_MAX];
    size_t count = world_actions(actions), duties = 0;
    uint8_t longest = 0;
    CLAIM(way_count < WAY_MAX);
    for (size_t i = 0; i < count; i++) {
        step(actions[i]);
        uint8_t rest = explore();
        way_count--;
        memcpy(&now, &here, sizeof now);
        if (action_is_input(actions[i])) continue;
        duties++;
        if (rest >= longest) longest = (uint8_t)(rest + 1);
        CLAIM(longest < SEEN_OPEN);
    }
    if (duties == 0) check_rest();
    seen.rest[seen_place(hash)] = longest;
    if (longest > seen.rest_max) seen.rest_max = longest;
    return longest;
}

static void explore_plan(const struct plan *p)
{
    world_begin(p);
    explore();
    print_message("%-44s %9zu states, at rest after at most %u steps\n", p->name, seen.count,
                  seen.rest_max);
    seen_end();
}

/* The limits are as small as they can be and still fill up: a set of one or two, a window of one or two messages. In
 * the window's bytes, odd sequences count four and even ones three. */
static const struct plan small_plans[] = {
    {
        .name = "order, window, own sends",
        .convs = 1, .type = { 1 }, .messages = { 3 },
        .own = 1, .stalls = 1,
        .slice_rows = 1, .page_records = 2,
        .limits = { 1, 1, 2, 7 },
    }, {
        .name = "news, failures, ops that say not now",
        .convs = 1, .type = { 1 }, .messages = { 3 },
        .news = 1, .fetch_failures = 1, .slice_failures = 1, .not_now = 1,
        .slice_rows = 1, .page_records = 2,
        .limits = { 1, 1, 2, 6 },
    }, {
        .name = "cursors of one conversation",
        .convs = 1, .type = { 1 }, .messages = { 1 }, .marks = { 2 },
        .stalls = 1, .fetch_failures = 1,
        .slice_rows = 1, .page_records = 1,
        .limits = { 1, 1, 1, 4 },
    }, {
        .name = "lack of memory, pages taken back",
        .convs = 1, .type = { 1 }, .messages = { 2 }, .marks = { 1 },
        .no_memory = 2, .drops = 1,
        .slice_rows = 1, .page_records = 2,
        .limits = { 1, 1, 1, 4 },
    }, {
        .name = "a lost connection",
        .convs = 1, .type = { 1 }, .messages = { 2 }, .marks = { 1 },
        .own = 1, .reconnects = 1,
        .slice_rows = 1, .page_records = 2,
        .limits = { 1, 1, 2, 7 },
    }, {
        .name = "two conversations overflow a set of one",
        .convs = 2, .home = { 0, 1 }, .type = { 2, 1 }, .messages = { 2, 1 },
        .stalls = 1,
        .slice_rows = 1, .page_records = 1,
        .limits = { 1, 1, 1, 4 },
    }, {
        .name = "two conversations of one home, one born late",
        .convs = 2, .home = { 0, 0 }, .type = { 2, 1 }, .messages = { 1, 2 }, .born_late = 1,
        .news = 1,
        .slice_rows = 2, .page_records = 1,
        .limits = { 1, 1, 1, 4 },
    }, {
        .name = "three conversations, slices of two",
        .convs = 3, .home = { 0, 1, 0 }, .type = { 2, 1, 1 }, .messages = { 1, 1, 1 }, .born_late = 4,
        .slice_rows = 2, .page_records = 1,
        .limits = { 1, 1, 1, 4 },
    },
};

static const struct plan full_plans[] = {
    {
        .name = "four messages, own sends",
        .convs = 1, .type = { 1 }, .messages = { 4 },
        .own = 1, .stalls = 1,
        .slice_rows = 1, .page_records = 2,
        .limits = { 1, 1, 2, 7 },
    }, {
        .name = "three messages and their cursors",
        .convs = 1, .type = { 1 }, .messages = { 3 }, .marks = { 1 },
        .no_memory = 1, .drops = 1, .stalls = 1,
        .slice_rows = 1, .page_records = 2,
        .limits = { 1, 1, 2, 7 },
    }, {
        .name = "two homes, a window of two",
        .convs = 2, .home = { 0, 1 }, .type = { 1, 1 }, .messages = { 2, 2 },
        .stalls = 1, .slice_failures = 1,
        .slice_rows = 1, .page_records = 2,
        .limits = { 1, 1, 2, 7 },
    }, {
        .name = "three conversations, a set of two, news",
        .convs = 3, .home = { 0, 1, 0 }, .type = { 2, 1, 1 }, .messages = { 1, 2, 1 },
        .news = 1,
        .slice_rows = 3, .page_records = 1,
        .limits = { 2, 1, 1, 4 },
    }, {
        .name = "cursors of two conversations, a set of one",
        .convs = 2, .home = { 0, 1 }, .type = { 1, 1 }, .messages = { 1, 1 }, .marks = { 2 },
        .stalls = 1,
        .slice_rows = 1, .page_records = 1,
        .limits = { 1, 1, 1, 4 },
    }, {
        .name = "cursors of two conversations, a set of two",
        .convs = 2, .home = { 0, 1 }, .type = { 1, 1 }, .messages = { 1, 1 }, .marks = { 1, 1 },
        .stalls = 1,
        .slice_rows = 2, .page_records = 1,
        .limits = { 2, 1, 1, 4 },
    }, {
        .name = "two conversations, lack of memory, drops",
        .convs = 2, .home = { 0, 1 }, .type = { 1, 1 }, .messages = { 2, 1 },
        .no_memory = 1, .drops = 1, .stalls = 1,
        .slice_rows = 1, .page_records = 2,
        .limits = { 2, 1, 1, 4 },
    }, {
        .name = "two conversations, a lost connection",
        .convs = 2, .home = { 0, 1 }, .type = { 1, 1 }, .messages = { 2, 1 },
        .own = 1, .reconnects = 1,
        .slice_rows = 1, .page_records = 2,
        .limits = { 1, 1, 1, 4 },
    },
};

/* Sanitizers make it slower by five to ten times. They are known by what they link. */
extern void __asan_init(void) __attribute__((weak));
extern void __tsan_init(void) __attribute__((weak));
extern void __ubsan_handle_type_mismatch_v1(void) __attribute__((weak));

static bool runs_full(void)
{
    const char *given = getenv("PIPIT_MODEL");
    if (given) return strcmp(given, "small") != 0;
    return !__asan_init && !__tsan_init && !__ubsan_handle_type_mismatch_v1;
}

static void every_interleaving_loses_nothing_and_comes_to_rest(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof small_plans / sizeof small_plans[0]; i++) explore_plan(&small_plans[i]);
    /* What these worlds are there to meet. */
    assert_true(met.window_full && met.set_full && met.scan_back && met.stale && met.repeat);
    assert_true(met.page_waits && met.dropped && met.late_cursor && met.no_memory);
    if (!runs_full()) return;
    for (size_t i = 0; i < sizeof full_plans / sizeof full_plans[0]; i++) explore_plan(&full_plans[i]);
}

/* -- random ways -------------------------------------------------------------------------------------------- */

enum {
    WALKS_FULL = 20000,
    WALKS_SMALL = 2000,
    WALK_STEPS_MAX = 20000,          /* far more than any world here has to do: what still moves then moves for ever */
};

static uint8_t between(uint64_t *random, uint8_t low, uint8_t high)
{
    return (uint8_t)(low + chance_below(random, high - low + 1u));
}

static struct plan random_plan(uint64_t *random)
{
    struct plan p = { .name = "random" };
    p.convs = between(random, 2, CONVS_MAX);
    for (uint8_t i = 0; i < p.convs; i++) {
        p.home[i] = between(random, 0, HOMES_MAX - 1);
        p.type[i] = between(random, 1, TYPE_MAX);
        p.messages[i] = between(random, 0, SEQ_MAX - 1);
        p.marks[i] = between(random, 0, 8);
    }
    p.born_late = between(random, 0, UINT8_MAX) & between(random, 0, UINT8_MAX);
    p.own = between(random, 0, 10);
    p.news = between(random, 0, 6);
    p.stalls = between(random, 0, 20);
    p.fetch_failures = between(random, 0, 4);
    p.slice_failures = between(random, 0, 4);
    p.not_now = between(random, 0, 6);
    p.no_memory = between(random, 0, 6);
    p.drops = between(random, 0, 4);
    p.reconnects = between(random, 0, 3);
    p.slice_rows = between(random, 1, CONVS_MAX);
    p.page_records = between(random, 1, 5);
    p.limits.set_max = between(random, 1, 3);
    p.limits.scan_room_min = between(random, 1, (uint8_t)p.limits.set_max);
    p.limits.window_messages_max = between(random, 1, 8);
    p.limits.window_bytes_max = between(random, 1, 30);
    return p;
}

/* In each walk some things happen often and others seldom: a slow home, a device that seldom acknowledges. */
static void walk(uint64_t *random)
{
    struct plan p = random_plan(random);
    uint8_t weight[ACTION_KINDS];
    for (int i = 0; i < ACTION_KINDS; i++) weight[i] = (uint8_t)(1 << between(random, 0, 5));
    world_begin(&p);
    for (;;) {
        struct action actions[ACTIONS_MAX];
        size_t count = world_actions(actions);
        uint32_t sum = 0;
        bool duty = false;
        for (size_t i = 0; i < count; i++) {
            sum += weight[actions[i].kind];
            duty = duty || !action_is_input(actions[i]);
        }
        if (!duty) check_rest();
        if (count == 0) break;
        uint32_t pick = (uint32_t)(chance_below(random, sum));
        size_t i = 0;
        while (pick >= weight[actions[i].kind]) pick -= weight[actions[i++].kind];
        step(actions[i]);
        CLAIM(way_count < WALK_STEPS_MAX);
    }
    check_rest();
    behind_free(now.b);
}

static void random_ways_in_large_worlds_lose_nothing_and_come_to_rest(void **state)
{
    uint64_t seed = run_seed(), steps = 0;
    int walks = runs_full() ? WALKS_FULL : WALKS_SMALL;
    size_t longest = 0;
    (void)state;
    for (int i = 0; i < walks; i++) {
        walk(&seed);
        steps += way_count;
        if (way_count > longest) longest = way_count;
    }
    print_message("%d random ways, %llu steps, the longest %zu\n", walks, (unsigned long long)steps, longest);
}

int main(void)
{
    signal(SIGABRT, on_abort);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_interleaving_loses_nothing_and_comes_to_rest),
        cmocka_unit_test(random_ways_in_large_worlds_lose_nothing_and_come_to_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
