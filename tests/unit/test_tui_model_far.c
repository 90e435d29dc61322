/* test_tui_model_far.c - what is not at hand: messages that only the server has, and those that are searched for. */
#include "tests/unit/tui_model_world.h"

#include <sodium.h>

#include "tools/client/tui/model_impl.h"

/* ---- a server's answers ---- */

/* A page of what bob said from `first` to `last` (none: last is less). It lies in the store first, as sync.c sees to.
 * */
static int page_with_gone(struct fixture *f, const struct model_fetch *fetch, uint64_t first, uint64_t last,
                          uint64_t head, bool more, struct gone gone)
{
    struct buf records, ranges, frame;
    struct msg_page p = { .conv = fetch->conv, .head = head, .more = more };
    char text[48];
    uint32_t count = 0;
    buf_init(&records, FRAME_BYTES_MAX);
    buf_init(&ranges, FRAME_BYTES_MAX);
    buf_init(&frame, FRAME_BYTES_MAX);
    for (uint64_t seq = first; seq <= last; seq++, count++) {
        snprintf(text, sizeof text, "bob %u", (unsigned)seq);
        put(f, &bob, &bob, bobs, seq, seq, text, MESSAGE_PAGED);
        struct msg_message m = { .conv = conv_of(&bob), .seq = seq, .id = id_of(&bob, seq), .kind = KIND_MESSAGE,
                                 .from = bob, .device = bobs, .is_direct = true, .members = { alice, bob },
                                 .body = bytes_of("\x92\x00\xa1x", 4) };
        assert_int_equal(page_add(&records, &m), 0);
    }
    if (gone.from) assert_int_equal(gone_add(&ranges, gone), 0);
    p.records = buf_bytes(&records);
    p.gone = buf_bytes(&ranges);
    assert_int_equal(page_encode(1, &p, count, &frame), 0);
    int err = model_fetch_done(f->model, fetch, buf_bytes(&frame));
    buf_fini(&records);
    buf_fini(&ranges);
    buf_fini(&frame);
    return err;
}

static int page(struct fixture *f, const struct model_fetch *fetch, uint64_t first, uint64_t last, uint64_t head,
                bool more)
{
    return page_with_gone(f, fetch, first, last, head, more, (struct gone){ .from = 0 });
}

static int refusal(struct fixture *f, const struct model_fetch *fetch, int code)
{
    struct buf frame;
    struct msg m = { .type = MSG_ERROR, .has_ref = true, .ref = 1 };
    m.u.error = (struct msg_error){ .code = (uint64_t)-(int64_t)code, .name = bytes_of_str(err_name(code)),
                                    .text = bytes_of_str("because") };
    buf_init(&frame, FRAME_BYTES_MAX);
    assert_int_equal(msg_encode(&m, &frame), 0);
    int err = model_fetch_done(f->model, fetch, buf_bytes(&frame));
    buf_fini(&frame);
    return err;
}

static void see(struct fixture *f, size_t first, size_t count)
{
    struct model_seen seen;
    model_seen(f->model, first, count, false, &seen);
}

static void expect_fetch(struct fixture *f, uint64_t before, struct model_fetch *out)
{
    struct conv_id conv = conv_of(&bob);
    struct model_fetch other;
    assert_true(model_fetch_take(f->model, out));
    assert_true(conv_id_equal(&out->conv, &conv));
    assert_int_equal(out->before, before);
    assert_int_equal(out->limit, PAGE_RECORDS_MAX);
    assert_false(model_fetch_take(f->model, &other));    /* one at a time */
}

/* ---- older messages ---- */

static void a_device_that_knows_nothing_asks_for_the_newest_page(void **state)
{
    struct fixture *f = *state;
    struct model_fetch fetch;
    open_with(f, &bob);
    expect_fetch(f, 0, &fetch);
    struct conv_row row = { .id = conv_of(&bob), .peer = bob };
    assert_int_equal(home_conv_put(f->home, &row), 0);
    assert_int_equal(page(f, &fetch, 41, 45, 45, true), 0);
    assert_string_equal(rows(f), "~0;=Today;<bob 41;<bob 42;<bob 43;<bob 44;<bob 45;");
    see(f, 0, model_row_count(f->model));
    expect_fetch(f, 41, &fetch);
    assert_string_equal(model_row(f->model, 0)->text, "older messages are on their way");
    assert_int_equal(page(f, &fetch, 1, 40, 45, false), 0);
    expect_window(f, &bob, 1, 45);
    see(f, 0, model_row_count(f->model));
    assert_false(model_fetch_take(f->model, &fetch));
}

static void a_conversation_that_is_nowhere_is_asked_for_once(void **state)
{
    struct fixture *f = *state;
    struct model_fetch fetch;
    open_with(f, &bob);
    expect_fetch(f, 0, &fetch);
    assert_int_equal(refusal(f, &fetch, ERR_NOT_FOUND), 0);
    assert_false(model_fetch_take(f->model, &fetch));
    assert_string_equal(rows(f), "");
    open_with(f, &carol);
    assert_true(model_fetch_take(f->model, &fetch));
    open_with(f, &bob);
    assert_int_equal(refusal(f, &fetch, ERR_NOT_FOUND), 0);    /* of carol's: it says nothing of bob's */
    expect_fetch(f, 0, &fetch);
    assert_int_equal(page(f, &fetch, 1, 0, 0, false), 0);
    assert_false(model_fetch_take(f->model, &fetch));
}

static void a_gap_is_asked_for_when_it_is_near_the_screen_from_below(void **state)
{
    struct fixture *f = *state;
    struct model_fetch fetch;
    conv_put(f, &bob, 400, 400);
    many_old(f, &bob, 201, 210);
    many_old(f, &bob, 301, 400);
    open_with(f, &bob);
    assert_int_equal(model_row(f->model, 0)->id.kind, ROW_GAP);      /* known though 210 is not in the window */
    assert_int_equal(model_row(f->model, 0)->id.number, 301);
    assert_int_equal(model_older(f->model), 0);
    assert_int_equal(model_row(f->model, 0)->id.kind, ROW_GAP);      /* before 201 */
    assert_int_equal(model_row(f->model, 12)->id.kind, ROW_GAP);     /* behind a day and ten messages */
    assert_int_equal(model_row(f->model, 12)->id.number, 301);
    assert_false(model_fetch_take(f->model, &fetch));    /* nothing was drawn yet */
    see(f, 80, 20);
    assert_false(model_fetch_take(f->model, &fetch));
    see(f, 13 + MODEL_NEAR_ROWS, 20);
    assert_false(model_fetch_take(f->model, &fetch));
    see(f, 12 + MODEL_NEAR_ROWS, 20);
    expect_fetch(f, 301, &fetch);
    assert_int_equal(page(f, &fetch, 251, 300, 400, true), 0);
    assert_int_equal(model_row(f->model, 12)->id.number, 251);
    see(f, 0, 30);
    expect_fetch(f, 251, &fetch);
    assert_int_equal(page(f, &fetch, 211, 250, 400, true), 0);
    expect_window(f, &bob, 201, 400);
    see(f, 0, 30);
    expect_fetch(f, 201, &fetch);    /* the next higher ones are there: now the top */
}

static void what_is_gone_is_not_asked_for_again(void **state)
{
    struct fixture *f = *state;
    struct model_fetch fetch;
    conv_put(f, &bob, 400, 400);
    many_old(f, &bob, 351, 400);
    open_with(f, &bob);
    see(f, 0, 20);
    expect_fetch(f, 351, &fetch);
    /* 341 to 350 are there, from 101 on they are gone, and there may be more */
    assert_int_equal(page_with_gone(f, &fetch, 341, 350, 400, true, (struct gone){ 101, 340 }), 0);
    see(f, 0, 20);
    expect_fetch(f, 101, &fetch);
    assert_int_equal(page_with_gone(f, &fetch, 1, 0, 400, false, (struct gone){ 1, 100 }), 0);
    see(f, 0, 20);
    assert_false(model_fetch_take(f->model, &fetch));
    expect_window(f, &bob, 341, 400);
}

static void what_the_server_does_not_have_is_not_asked_for_again(void **state)
{
    struct fixture *f = *state;
    struct model_fetch fetch;
    conv_put(f, &bob, 30, 30);
    many_old(f, &bob, 11, 20);
    many_old(f, &bob, 25, 30);
    open_with(f, &bob);
    see(f, 0, model_row_count(f->model));
    expect_fetch(f, 25, &fetch);
    assert_int_equal(page(f, &fetch, 11, 20, 30, true), 0);    /* 21 to 24 are gone there too */
    expect_fetch(f, 11, &fetch);
    assert_int_equal(page(f, &fetch, 1, 0, 30, false), 0);
    assert_false(model_fetch_take(f->model, &fetch));
    assert_int_equal(model_row(f->model, 0)->id.kind, ROW_DAY);
    tell(f, SYNC_WELCOME, &bob);    /* another session, who knows */
    update(f);
    see(f, 0, model_row_count(f->model));
    expect_fetch(f, 25, &fetch);
}

static void where_the_server_begins_nothing_more_is_asked_for(void **state)
{
    struct fixture *f = *state;
    struct model_fetch fetch;
    conv_put(f, &bob, 11, 11);
    old(f, &bob, 11);
    open_with(f, &bob);
    see(f, 0, model_row_count(f->model));
    expect_fetch(f, 11, &fetch);
    assert_int_equal(page(f, &fetch, 5, 10, 11, false), 0);    /* 1 to 4 have been given up there */
    expect_window(f, &bob, 5, 11);
    see(f, 0, model_row_count(f->model));
    assert_false(model_fetch_take(f->model, &fetch));
}

/* Against a list of every sequence; no more stretches than are remembered. */
static void what_is_known_of_sequences_is_what_was_added(void **state)
{
    enum { SEQS = 60, ADDED = 12 };
    uint64_t random = 0;
    const char *given = getenv("PIPIT_SEED");
    (void)state;
    if (given) random = strtoull(given, NULL, 0);
    else randombytes_buf(&random, sizeof random);
    print_message("PIPIT_SEED=%llu\n", (unsigned long long)random);
    for (unsigned round = 0; round < 500; round++) {
        struct pane p = { .known_count = 0 };
        bool known[SEQS + 1] = { false };
        for (unsigned i = 0; i < ADDED; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            uint64_t first = 1 + (random >> 33) % SEQS, last = first + (random >> 40) % 8;
            if (last > SEQS) last = SEQS;
            model_known_add(&p, first, last);
            for (uint64_t seq = first; seq <= last; seq++) known[seq] = true;
        }
        for (uint64_t first = 1; first <= SEQS; first++) {
            for (uint64_t last = first; last <= SEQS; last++) {
                uint64_t wanted = last;
                while (wanted >= first && known[wanted]) wanted--;
                assert_int_equal(model_known_missing(&p, first, last), wanted >= first ? wanted : 0);
            }
        }
    }
}

static void a_failure_is_told_and_waits_for_the_link_or_a_person(void **state)
{
    struct fixture *f = *state;
    struct model_fetch fetch;
    conv_put(f, &bob, 11, 11);
    old(f, &bob, 11);
    open_with(f, &bob);
    see(f, 0, model_row_count(f->model));
    assert_string_equal(rows(f), "~0;=Today;<bob 11;");
    expect_fetch(f, 11, &fetch);
    assert_string_equal(rows(f), "~1;=Today;<bob 11;");
    model_fetch_failed(f->model, &fetch);
    assert_string_equal(rows(f), "~2;=Today;<bob 11;");
    assert_false(model_fetch_take(f->model, &fetch));
    model_fetch_again(f->model);
    expect_fetch(f, 11, &fetch);
    assert_int_equal(refusal(f, &fetch, ERR_DENIED), 0);
    assert_string_equal(rows(f), "~2;=Today;<bob 11;");
    tell(f, SYNC_WELCOME, &bob);
    update(f);
    see(f, 0, model_row_count(f->model));
    expect_fetch(f, 11, &fetch);
    assert_int_equal(model_fetch_done(f->model, &fetch, bytes_of_str("nonsense")), ERR_MALFORMED);
    assert_int_equal(model_row(f->model, 0)->gap, GAP_FAILED);
}

static void a_page_that_was_not_asked_for_is_malformed(void **state)
{
    struct fixture *f = *state;
    struct model_fetch fetch;
    conv_put(f, &bob, 11, 11);
    old(f, &bob, 11);
    open_with(f, &bob);
    see(f, 0, model_row_count(f->model));
    expect_fetch(f, 11, &fetch);
    assert_int_equal(page(f, &fetch, 11, 12, 12, true), ERR_MALFORMED);
    assert_false(model_fetch_take(f->model, &fetch));
}

static void what_is_before_a_deleted_conversation_rests_until_a_person_asks(void **state)
{
    struct fixture *f = *state;
    struct model_fetch fetch;
    conv_put(f, &bob, 12, 12);
    many_old(f, &bob, 11, 12);
    open_with(f, &bob);
    assert_int_equal(model_conv_delete(f->model, &bob), 0);
    see(f, 0, model_row_count(f->model));
    assert_string_equal(rows(f), "~3;");
    assert_false(model_fetch_take(f->model, &fetch));
    model_fetch_again(f->model);
    expect_fetch(f, 11, &fetch);
    assert_int_equal(page(f, &fetch, 1, 10, 12, false), 0);
    expect_window(f, &bob, 1, 10);
}

static void a_deleted_message_keeps_its_place(void **state)
{
    struct fixture *f = *state;
    struct model_fetch fetch;
    conv_put(f, &bob, 5, 5);
    many_old(f, &bob, 1, 5);
    struct msg_id first = id_of(&bob, 1), third = id_of(&bob, 3);
    assert_int_equal(home_message_hide(f->home, &first), 0);
    assert_int_equal(home_message_hide(f->home, &third), 0);
    open_with(f, &bob);
    assert_string_equal(rows(f), "=Today;<bob 2;<bob 4;<bob 5;");
    see(f, 0, model_row_count(f->model));
    assert_false(model_fetch_take(f->model, &fetch));
}

/* ---- search ---- */

static void a_search_finds_the_newest_first_and_shows_them_around_the_hit(void **state)
{
    struct fixture *f = *state;
    bool more;
    char text[700] = "", shown[MODEL_LINE_BYTES_MAX + 1];
    conv_put(f, &bob, 3, 3);
    conv_put(f, &carol, 9, 9);
    put(f, &bob, &bob, bobs, 1, 1, "Over the HILLS\nand far away", MESSAGE_SHOWN);
    for (size_t i = 0; i < 100; i++) strcat(text, "\xc3\xa4 ");    /* ä */
    strcat(text, "hills");
    for (size_t i = 0; i < 100; i++) strcat(text, " \xc3\xb6");    /* ö */
    put(f, &carol, &alice, mine, 1, 2, text, MESSAGE_SHOWN);
    put(f, &bob, &bob, bobs, 3, 3, "valleys", MESSAGE_SHOWN);
    put(f, &carol, &carol, bobs, 10, 10, "hills that are still due", MESSAGE_FRESH);
    assert_int_equal(model_search(f->model, "hills", NULL), 0);
    assert_int_equal(model_search_step(f->model, &more), 0);
    assert_false(more);
    assert_int_equal(model_found_count(f->model), 2);
    assert_false(model_found_full(f->model));
    const struct model_found *found = model_found(f->model, 0);
    assert_string_equal(found->name, "carol");
    assert_true(found->is_own);
    assert_true(bytes_is_line(bytes_of_str(found->text)));
    assert_memory_equal(found->text, "…", 3);
    assert_string_equal(found->text + strlen(found->text) - 3, "…");
    snprintf(shown, sizeof shown, "%.*s", (int)found->hit_len, found->text + found->hit_at);
    assert_string_equal(shown, "hills");
    found = model_found(f->model, 1);
    assert_string_equal(found->text, "Over the HILLS and far away");
    assert_int_equal(found->hit_at, 9);
    assert_int_equal(found->hit_len, 5);
    assert_int_equal(model_search(f->model, "hills", &bob), 0);
    assert_int_equal(model_found_count(f->model), 0);
    assert_int_equal(model_search_step(f->model, &more), 0);
    assert_int_equal(model_found_count(f->model), 1);
    assert_int_equal(model_search(f->model, "", NULL), ERR_MALFORMED);
    assert_int_equal(model_search(f->model, "\xff", NULL), ERR_MALFORMED);
    struct model_found jump = *model_found(f->model, 0);
    assert_int_equal(model_open_at(f->model, &jump.peer, &jump.id, &f->place), 0);
    assert_int_equal(model_row_find(f->model, &f->place.row), 1);
}

static void a_long_search_goes_in_slices_and_ends_when_it_is_full(void **state)
{
    struct fixture *f = *state;
    bool more = true;
    unsigned steps = 0;
    conv_put(f, &bob, 100000, 0);
    assert_int_equal(home_begin(f->home), 0);
    for (uint64_t seq = 1; seq <= 3 * SEARCH_SLICE_ROWS; seq++)
        put(f, &bob, &bob, bobs, seq, seq, seq % 100 == 0 ? "needle" : "hay", MESSAGE_SHOWN);
    assert_int_equal(home_commit(f->home), 0);
    assert_int_equal(model_search(f->model, "needle", NULL), 0);
    for (; more; steps++) assert_int_equal(model_search_step(f->model, &more), 0);
    assert_int_equal(steps, 3);
    assert_int_equal(model_found_count(f->model), MODEL_FOUND_MAX);
    assert_true(model_found_full(f->model));
    assert_int_equal(model_found(f->model, 0)->time_ms, said_from_ms + 3 * SEARCH_SLICE_ROWS * 1000u);
    for (size_t i = 1; i < MODEL_FOUND_MAX; i++)
        assert_true(model_found(f->model, i)->time_ms < model_found(f->model, i - 1)->time_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_device_that_knows_nothing_asks_for_the_newest_page),
        CLAIM(a_conversation_that_is_nowhere_is_asked_for_once),
        CLAIM(a_gap_is_asked_for_when_it_is_near_the_screen_from_below),
        CLAIM(what_is_gone_is_not_asked_for_again),
        CLAIM(what_the_server_does_not_have_is_not_asked_for_again),
        CLAIM(where_the_server_begins_nothing_more_is_asked_for),
        CLAIM(what_is_known_of_sequences_is_what_was_added),
        CLAIM(a_failure_is_told_and_waits_for_the_link_or_a_person),
        CLAIM(a_page_that_was_not_asked_for_is_malformed),
        CLAIM(what_is_before_a_deleted_conversation_rests_until_a_person_asks),
        CLAIM(a_deleted_message_keeps_its_place),
        CLAIM(a_search_finds_the_newest_first_and_shows_them_around_the_hit),
        CLAIM(a_long_search_goes_in_slices_and_ends_when_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
