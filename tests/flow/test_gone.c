/* What is gone is told as a range, whatever its length and whether the disk still has it: to who was behind, and in
 * pages. And pages around a time, which show it too. */
#include "tests/flow/flow.h"
#include "storage/view.h"
#include "tests/harness/web.h"
#include "tests/harness/wire.h"

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };
#define START_MS UINT64_C(1900000000000)    /* messages come after their devices were made */
#define NIL UINT64_MAX

static struct clock_hand hand;

static struct rig *rig_of_two(const struct rig_options *more)
{
    struct rig_options options = *more;
    clock_hand_init(&hand, START_MS);
    options.shards = 2;
    options.hand = &hand;
    options.heartbeat_ms = UINT64_C(1000) * 24 * HOUR_MS;    /* a session outlives every turn of the clock */
    struct rig *rig = rig_new(&options);
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 2);
    return rig;
}

static uint64_t set_timer(struct talker *t, const char *with, uint64_t client_seq, uint64_t expire_s)
{
    struct msg m = { .type = MSG_TIMER, .has_ref = true, .ref = talker_ref(t) };
    m.u.timer = (struct msg_timer){ .to = { .is_user = true, .user = rig_user(with) }, .client_seq = client_seq,
                                    .settled = client_seq, .expire_s = expire_s };
    talker_send(t, &m);
    const struct msg *answer = talker_answer(t, m.ref);
    assert_int_equal(answer->type, MSG_ACCEPTED);
    return answer->u.accepted.seq;
}

static uint64_t delete_one(struct talker *t, const char *with, uint64_t client_seq, uint64_t seq)
{
    struct buf seqs;
    buf_init(&seqs, 100);
    seqs_add(&seqs, seq);
    struct msg m = { .type = MSG_DELETE, .has_ref = true, .ref = talker_ref(t) };
    m.u.remove = (struct msg_remove){ .to = { .is_user = true, .user = rig_user(with) }, .client_seq = client_seq,
                                      .settled = client_seq, .seqs = buf_bytes(&seqs) };
    talker_send(t, &m);
    buf_fini(&seqs);
    const struct msg *answer = talker_answer(t, m.ref);
    assert_int_equal(answer->type, MSG_ACCEPTED);
    return answer->u.accepted.seq;
}

static const struct msg *ask_page(struct talker *t, const char *with, uint64_t before, uint64_t after, uint64_t around,
                                  uint64_t limit)
{
    const struct msg *page = ask_history(t, (struct msg_history){
        .to = { .is_user = true, .user = rig_user(with) }, .has_before = before != NIL, .before = before,
        .has_after = after != NIL, .after = after, .has_around = around != NIL, .around = around, .limit = limit,
    });
    assert_int_equal(page->type, MSG_PAGE);
    return page;
}

/* "3 [4-9] 10": the page answers for just these, in this order, records and what is gone. */
static void assert_page(const struct msg *page, const char *wanted, bool more)
{
    char is[1024] = "";
    size_t len = 0;
    struct bytes records = page->u.page.records, ranges = page->u.page.gone;
    struct msg_message record;
    struct gone gone;
    bool has_record = page_next(&records, &record) == 0, has_gone = gone_next(&ranges, &gone) == 0;
    while (has_record || has_gone) {
        const char *blank = len ? " " : "";
        if (has_gone && (!has_record || gone.from < record.seq)) {
            len += (size_t)snprintf(is + len, sizeof is - len, "%s[%lu-%lu]", blank, (unsigned long)gone.from,
                                    (unsigned long)gone.to);
            has_gone = gone_next(&ranges, &gone) == 0;
        } else {
            len += (size_t)snprintf(is + len, sizeof is - len, "%s%lu", blank, (unsigned long)record.seq);
            has_record = page_next(&records, &record) == 0;
        }
        assert_true(len < sizeof is);
    }
    assert_string_equal(is, wanted);
    assert_int_equal(page->u.page.more, more);
}

static void expect_record(struct talker *t, uint64_t seq)
{
    const struct msg *m = talker_next(t);
    while (m->type == MSG_RECEIPT) m = talker_next(t);
    assert_int_equal(m->type, MSG_MESSAGE);
    assert_int_equal(m->u.message.seq, seq);
}

static void expect_gone(struct talker *t, uint64_t from, uint64_t to)
{
    const struct msg *m = talker_next(t);
    while (m->type == MSG_RECEIPT) m = talker_next(t);
    struct conv_id conv = conv_of("alice", "bob");
    assert_int_equal(m->type, MSG_TOMBSTONE);
    assert_true(conv_id_equal(&m->u.tombstone.conv, &conv));
    assert_int_equal(m->u.tombstone.gone.from, from);
    assert_int_equal(m->u.tombstone.gone.to, to);
}

static int count_file(void *arg, const char *name)
{
    uint32_t *counts = arg;
    counts[strncmp(name, "sorted-", 7) == 0]++;
    return 0;
}

/* The clock is turned and the server asked, until only `open` files are not sorted. */
static void until_sorted(struct rig *rig, struct talker *t, uint32_t open)
{
    char path[FS_PATH_MAX];
    uint32_t counts[2] = { UINT32_MAX, 0 };
    const struct fsio *fs = disk_fs(rig_disk(rig));
    fs_path(path, rig_folder(rig), "log");
    while (counts[0] > open) {
        rig_turn_clock(rig, 1000);
        talker_settle(t);
        memset(counts, 0, sizeof counts);
        assert_int_equal(fs->list(fs->self, path, count_file, counts), 0);
    }
    assert_true(counts[1] > 0);
}

/* ---- who was behind ---- */

static void a_range_of_any_length_is_one_frame_whether_the_disk_has_it_or_not(void **state)
{
    (void)state;
    enum { MANY = 2 * FIND_PASS_MAX + 300 };
    struct rig *rig = rig_of_two(&(struct rig_options){ 0 });
    struct conv_id conv = conv_of("alice", "bob");
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    uint64_t client_seq = 0;
    assert_int_equal(set_timer(a, "bob", ++client_seq, 60), 1);
    for (int i = 0; i < MANY; i++) send_text(a, "bob", ++client_seq, "short-lived");
    uint64_t end = set_timer(a, "bob", ++client_seq, 0);
    assert_int_equal(end, MANY + 2);
    rig_turn_clock(rig, 61000);
    send_text(a, "bob", ++client_seq, "stays");
    for (int sorted = 0; sorted < 2; sorted++) {
        struct talker *b = rig_talk(rig, "bob", 0);
        expect_record(b, 1);
        expect_gone(b, 2, end - 1);
        expect_record(b, end);
        expect_record(b, end + 1);
        talker_expect(b, MSG_SYNCED);
        assert_page(ask_page(b, "alice", NIL, 1, NIL, 1), "[2-2349] 2350", true);
        assert_page(ask_page(b, "alice", NIL, NIL, NIL, 100), sorted ? "1 [2-2349] 2350 2351" : "2350 2351", !sorted);
        assert_page(ask_page(b, "alice", 2350, NIL, NIL, 100), "1 [2-2349]", false);
        assert_page(ask_page(b, "alice", 2300, NIL, NIL, 1), "1 [2-2299]", false);
        if (!sorted) {
            talker_close(b);
            talker_close(a);
            rig_down(rig);
            rig_up(rig);
            a = rig_talk(rig, "alice", 0);
            until_sorted(rig, a, 2);
            continue;
        }
        /* It is acknowledged like the messages in it, and then not told again. */
        talker_cursor(b, MSG_DELIVERED, &conv, end - 1);
        assert_int_equal(talker_expect(a, MSG_RECEIPT)->u.receipt.delivered, end - 1);
        talker_close(b);
        b = rig_talk(rig, "bob", 0);
        expect_record(b, end);
        talker_close(b);
    }
    talker_close(a);
    rig_free(rig);
}

static void a_tombstone_holds_a_place_in_the_window_until_it_is_acknowledged(void **state)
{
    (void)state;
    struct rig *rig = rig_of_two(&(struct rig_options){ 0 });
    struct conv_id conv = conv_of("alice", "bob");
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    uint64_t client_seq = 0;
    for (uint64_t seq = 1; seq <= 80; seq++) send_text(a, "bob", ++client_seq, "x");
    for (uint64_t seq = 2; seq <= 80; seq += 2) delete_one(a, "bob", ++client_seq, seq);
    struct talker *b = rig_talk(rig, "bob", 0);
    for (uint64_t seq = 1; seq <= 80; seq += 2) {
        expect_record(b, seq);
        if (seq == 63) talker_cursor(b, MSG_DELIVERED, &conv, 62);      /* 64 are the window */
        expect_gone(b, seq + 1, seq + 1);
    }
    for (uint64_t seq = 81; seq <= 120; seq++) {
        talker_cursor(b, MSG_DELIVERED, &conv, seq - 1);
        expect_record(b, seq);
    }
    talker_close(a);
    talker_close(b);
    rig_free(rig);
}

static void what_is_gone_at_the_end_is_told_and_a_live_message_follows_it(void **state)
{
    (void)state;
    struct rig *rig = rig_of_two(&(struct rig_options){ 0 });
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    uint64_t client_seq = 0;
    set_timer(a, "bob", ++client_seq, 60);
    for (int i = 0; i < 5; i++) send_text(a, "bob", ++client_seq, "short-lived");
    rig_turn_clock(rig, 61000);
    struct talker *b = rig_talk(rig, "bob", 0);
    expect_record(b, 1);
    expect_gone(b, 2, 6);
    talker_expect(b, MSG_SYNCED);
    send_text(a, "bob", ++client_seq, "live");
    expect_record(b, 7);
    assert_int_equal(talker_settle(b), 0);
    talker_close(a);
    talker_close(b);
    rig_free(rig);
}

static void what_was_erased_is_gone_to_every_device(void **state)
{
    (void)state;
    struct rig *rig = rig_of_two(&(struct rig_options){ .real_folder = true });
    struct conv_id conv = conv_of("alice", "bob");
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    talker_expect(b, MSG_SYNCED);
    for (uint64_t i = 1; i <= 5; i++) send_text(a, "bob", i, "x");
    for (uint64_t i = 1; i <= 5; i++) expect_record(b, i);
    talker_cursor(b, MSG_DELIVERED, &conv, 3);
    assert_int_equal(talker_expect(a, MSG_RECEIPT)->u.receipt.delivered, 3);
    talker_close(b);
    expect_ok(rig, "{\"do\":\"erase-conversation\",\"with\":[\"alice\",\"bob\"]}");
    b = rig_talk(rig, "bob", 0);
    expect_gone(b, 1, 5);              /* it had three of them, and lacks no more than two */
    talker_expect(b, MSG_SYNCED);
    assert_page(ask_page(b, "alice", NIL, 3, NIL, 10), "[4-5]", false);
    assert_page(ask_page(b, "alice", NIL, NIL, NIL, 10), "[1-5]", false);
    send_text(a, "bob", 6, "anew");
    expect_record(b, 6);
    assert_page(ask_page(b, "alice", NIL, 3, NIL, 10), "[4-5] 6", false);
    talker_cursor(b, MSG_DELIVERED, &conv, 6);
    talker_settle(b);
    talker_close(b);
    b = rig_talk(rig, "bob", 0);
    const struct msg *m = talker_next(b);
    while (m->type == MSG_RECEIPT) m = talker_next(b);
    assert_int_equal(m->type, MSG_SYNCED);
    talker_close(a);
    talker_close(b);
    rig_free(rig);
}

/* ---- pages ---- */

static void pages_answer_for_every_sequence_once(void **state)
{
    (void)state;
    enum { MESSAGES = 60 };
    struct rig *rig = rig_of_two(&(struct rig_options){ 0 });
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    uint64_t client_seq = 0, head = MESSAGES;
    for (uint64_t seq = 1; seq <= MESSAGES; seq++) send_text(a, "bob", ++client_seq, "x");
    for (uint64_t seq = 1; seq <= MESSAGES; seq++)
        if (seq % 7 < 3 || (seq > 20 && seq < 45)) head = delete_one(a, "bob", ++client_seq, seq);
    for (uint64_t limit = 1; limit <= 40; limit += 13) {
        for (int forward = 0; forward < 2; forward++) {
            uint64_t at = forward ? 0 : head + 1, answered = 0;
            bool more = true;
            while (more) {
                const struct msg *m = ask_page(a, "bob", forward ? NIL : at, forward ? at : NIL, NIL, limit);
                struct bytes records = m->u.page.records, ranges = m->u.page.gone;
                struct msg_message record;
                struct gone gone;
                uint64_t low = NIL, high = 0, count = 0;
                while (page_next(&records, &record) == 0) {
                    if (record.seq < low) low = record.seq;
                    if (record.seq > high) high = record.seq;
                    assert_int_equal(record.kind, record.seq <= MESSAGES ? KIND_MESSAGE : KIND_DELETE);
                    assert_true(record.body.len > 0);
                    count++;
                }
                while (gone_next(&ranges, &gone) == 0) {
                    if (gone.from < low) low = gone.from;
                    if (gone.to > high) high = gone.to;
                    count += gone.to - gone.from + 1;
                }
                more = m->u.page.more;
                if (!count) break;                    /* only what is gone was left */
                assert_int_equal(count, high - low + 1);
                if (forward) assert_int_equal(low, at + 1);
                else assert_int_equal(high, at - 1);
                at = forward ? high : low;
                answered += count;
            }
            assert_int_equal(answered, head);
        }
    }
    talker_close(a);
    rig_free(rig);
}

static void a_page_around_a_time_has_half_before_it_and_half_from_it_on(void **state)
{
    (void)state;
    struct rig *rig = rig_of_two(&(struct rig_options){ 0 });
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    uint64_t client_seq = 0;
    for (uint64_t seq = 1; seq <= 20; seq++) {       /* the record `seq` is made at hour seq */
        rig_turn_clock(rig, HOUR_MS);
        send_text(a, "bob", ++client_seq, "x");
    }
    for (int sorted = 0; sorted < 2; sorted++) {
        const uint64_t hour = HOUR_MS;
        assert_page(ask_page(a, "bob", NIL, NIL, START_MS + 10 * hour, 6), "7 8 9 10 11 12", true);
        assert_page(ask_page(a, "bob", NIL, NIL, START_MS + 10 * hour + 5000, 6), "8 9 10 11 12 13", true);
        assert_page(ask_page(a, "bob", NIL, NIL, START_MS + 10 * hour - 5000, 6), "7 8 9 10 11 12", true);
        assert_page(ask_page(a, "bob", NIL, NIL, START_MS + 10 * hour, 5), "8 9 10 11 12", true);
        assert_page(ask_page(a, "bob", NIL, NIL, START_MS + 10 * hour, 1), "10", true);
        assert_page(ask_page(a, "bob", NIL, NIL, START_MS + 2 * hour, 6), "1 2 3 4", true);
        assert_page(ask_page(a, "bob", NIL, NIL, START_MS + 19 * hour, 6), "16 17 18 19 20", false);
        assert_page(ask_page(a, "bob", NIL, NIL, START_MS + 18 * hour, 6), "15 16 17 18 19 20", false);
        assert_page(ask_page(a, "bob", NIL, NIL, 0, 6), "1 2 3", true);
        assert_page(ask_page(a, "bob", NIL, NIL, NUMBER_MAX, 6), "18 19 20", false);
        assert_page(ask_page(a, "bob", NIL, NIL, START_MS, 100),
                    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20", false);
        if (sorted) break;
        talker_close(a);
        rig_down(rig);
        rig_up(rig);
        a = rig_talk(rig, "alice", 0);
        until_sorted(rig, a, 2);
    }
    /* What is gone takes no place, and is told over the middle as one. */
    for (uint64_t seq = 8; seq <= 12; seq++) delete_one(a, "bob", ++client_seq, seq);
    assert_page(ask_page(a, "bob", NIL, NIL, START_MS + UINT64_C(10) * HOUR_MS, 6), "5 6 7 [8-12] 13 14 15", true);
    assert_page(ask_page(a, "bob", NIL, NIL, START_MS + UINT64_C(10) * HOUR_MS, 1), "[10-12] 13", true);
    talker_close(a);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_of_any_length_is_one_frame_whether_the_disk_has_it_or_not),
        cmocka_unit_test(a_tombstone_holds_a_place_in_the_window_until_it_is_acknowledged),
        cmocka_unit_test(what_is_gone_at_the_end_is_told_and_a_live_message_follows_it),
        cmocka_unit_test(what_was_erased_is_gone_to_every_device),
        cmocka_unit_test(pages_answer_for_every_sequence_once),
        cmocka_unit_test(a_page_around_a_time_has_half_before_it_and_half_from_it_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
