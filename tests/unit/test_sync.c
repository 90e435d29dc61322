/* test_sync.c - a device stores before it acknowledges, sends exactly once, and fills gaps before it goes on.
 *
 * The server is played by hand: frames are put in, and what leaves is looked at. The last test plays a whole server
 * with a random link, and holds the device to its promises at every step. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/sync.h"

enum { FRAMES_MAX = 512, EVENTS_MAX = 512 };

struct fixture {
    char dir[64];
    struct home *home;
    struct account account;
    struct sync *sync;
    struct sync_time now;
    struct conv_id conv;          /* of alice, who is us, and bob */
    struct msg sent[FRAMES_MAX];  /* what left; they point into `frames` */
    uint8_t *frames[FRAMES_MAX];
    size_t sent_count;
    struct sync_event events[EVENTS_MAX];
    size_t event_count;
    uint8_t generation;
    uint64_t client_seq_max;      /* for WELCOME */
};

static const struct user_id alice = { "alice" }, bob = { "bob" }, carol = { "carol" };
static const struct device_id mine = { 77 }, other_device = { 78 }, bobs = { 5 };

/* ---- the world ---- */

static void on_send(void *arg, struct bytes frame)
{
    struct fixture *f = arg;
    assert_true(f->sent_count < FRAMES_MAX);
    uint8_t *copy = malloc(frame.len);
    assert_non_null(copy);
    memcpy(copy, frame.at, frame.len);
    f->frames[f->sent_count] = copy;
    assert_int_equal(msg_decode(bytes_of(copy, frame.len), &f->sent[f->sent_count], NULL), 0);
    f->sent_count++;
}

static void on_event(void *arg, const struct sync_event *e)
{
    struct fixture *f = arg;
    assert_true(f->event_count < EVENTS_MAX);
    f->events[f->event_count++] = *e;
}

static void forget(struct fixture *f)
{
    for (size_t i = 0; i < f->sent_count; i++) free(f->frames[i]);
    f->sent_count = f->event_count = 0;
}

static void open_home(struct fixture *f)
{
    static const struct sync_ops ops = { .send = on_send, .on_event = on_event };
    char why[256];
    assert_int_equal(home_open(f->dir, true, &f->home, why), 0);
    if (home_account_get(f->home, &f->account) == ERR_NOT_FOUND) {
        f->account = (struct account){ .server = "ws://127.0.0.1:1", .user = alice, .device = mine };
        assert_int_equal(home_account_put(f->home, &f->account), 0);
    }
    f->sync = sync_new(f->home, &f->account, &ops, f);
    assert_non_null(f->sync);
}

static void close_home(struct fixture *f)
{
    sync_free(f->sync);
    home_close(f->home);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char dir[] = "/tmp/pipit-sync-XXXXXX";
    if (!f || sodium_init() < 0 || !mkdtemp(dir)) return -1;
    memcpy(f->dir, dir, sizeof dir);
    f->conv = conv_id_direct(&alice, &bob);
    f->now = (struct sync_time){ .mono_ms = 1000000, .wall_ms = 1700000000000 };
    open_home(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[96];
    forget(f);
    close_home(f);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static void begin(struct fixture *f)
{
    assert_int_equal(sync_begin(f->sync, f->now), 0);
}

static void end(struct fixture *f)
{
    assert_int_equal(sync_end(f->sync), 0);
}

static void step(struct fixture *f)
{
    begin(f);
    end(f);
}

static int give(struct fixture *f, const struct msg *m)
{
    struct buf frame;
    buf_init(&frame, FRAME_BYTES_MAX);
    assert_int_equal(msg_encode(m, &frame), 0);
    int err = sync_on_frame(f->sync, buf_bytes(&frame));
    buf_fini(&frame);
    return err;
}

static void welcome(struct fixture *f)
{
    struct msg m = { .type = MSG_WELCOME, .has_ref = true, .ref = 1 };
    m.u.welcome = (struct msg_welcome){ .now_ms = 1, .heartbeat_ms = 30000, .client_seq_max = f->client_seq_max,
                                        .server = bytes_of_str("test") };
    m.u.welcome.generation[0] = f->generation;
    assert_int_equal(sync_on_up(f->sync), 0);
    begin(f);
    assert_int_equal(give(f, &m), 0);
    end(f);
}

static struct msg_message record(const struct fixture *f, uint64_t seq, const struct user_id *from,
                                 struct device_id device, uint64_t client_seq)
{
    static const uint8_t body[] = { 0x92, 0x00, 0xa2, 'h', 'i' };
    struct msg_message m = { .conv = f->conv, .seq = seq, .kind = KIND_MESSAGE, .flags = RECORD_COUNTS, .from = *from,
                             .device = device, .client_seq = client_seq, .is_direct = true,
                             .members = { alice, bob }, .body = BYTES_OF(body) };
    put_u64(m.id.v, seq << 16 | 0x7000);
    return m;
}

static struct msg_message from_bob(const struct fixture *f, uint64_t seq)
{
    return record(f, seq, &bob, bobs, seq);
}

static void message(struct fixture *f, const struct msg_message *record)
{
    struct msg m = { .type = MSG_MESSAGE };
    m.u.message = *record;
    assert_int_equal(give(f, &m), 0);
}

static void bob_says(struct fixture *f, uint64_t seq)
{
    struct msg_message m = from_bob(f, seq);
    message(f, &m);
}

static void page(struct fixture *f, uint64_t ref, const uint64_t *seqs, size_t count, uint64_t head, bool more)
{
    struct buf records, frame;
    struct msg_page p = { .conv = f->conv, .head = head, .more = more };
    buf_init(&records, FRAME_BYTES_MAX);
    buf_init(&frame, FRAME_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct msg_message m = from_bob(f, seqs[i]);
        assert_int_equal(page_add(&records, &m), 0);
    }
    p.records = buf_bytes(&records);
    assert_int_equal(page_encode(ref, &p, (uint32_t)count, &frame), 0);
    assert_int_equal(sync_on_frame(f->sync, buf_bytes(&frame)), 0);
    buf_fini(&records);
    buf_fini(&frame);
}

static void accepted(struct fixture *f, uint64_t ref, uint64_t seq, uint64_t client_seq)
{
    struct msg m = { .type = MSG_ACCEPTED, .has_ref = true, .ref = ref };
    m.u.accepted = (struct msg_accepted){ .conv = f->conv, .seq = seq, .client_seq = client_seq };
    put_u64(m.u.accepted.id.v, seq << 16 | 0x7000);
    assert_int_equal(give(f, &m), 0);
}

static void error(struct fixture *f, uint64_t ref, int err, bool again, uint64_t in_ms)
{
    struct msg m = { .type = MSG_ERROR, .has_ref = true, .ref = ref };
    m.u.error = (struct msg_error){ .code = (uint64_t)-(int64_t)err, .name = bytes_of_str(err_name(err)),
                                    .text = bytes_of_str("because"), .again = again, .again_in_ms = in_ms };
    assert_int_equal(give(f, &m), 0);
}

static void receipt(struct fixture *f, const struct user_id *user, uint64_t delivered, uint64_t read)
{
    struct msg m = { .type = MSG_RECEIPT };
    m.u.receipt = (struct msg_receipt){ .conv = f->conv, .user = *user, .delivered = delivered, .read = read,
                                        .time_ms = 5 };
    assert_int_equal(give(f, &m), 0);
}

static uint64_t queue(struct fixture *f, const struct user_id *to, const char *text)
{
    struct buf body;
    uint64_t client_seq = 0;
    buf_init(&body, BODY_BYTES_MAX);
    assert_int_equal(content_text_encode(bytes_of_str(text), &body), 0);
    assert_int_equal(home_outbox_add(f->home, to, buf_bytes(&body), 1, &client_seq), 0);
    buf_fini(&body);
    return client_seq;
}

/* The only frame of this type that left since forget(); fails when there are others of it. */
static const struct msg *the_only(const struct fixture *f, enum msg_type type)
{
    const struct msg *found = NULL;
    for (size_t i = 0; i < f->sent_count; i++) {
        if (f->sent[i].type != type) continue;
        assert_null(found);
        found = &f->sent[i];
    }
    assert_non_null(found);
    return found;
}

static size_t count_of(const struct fixture *f, enum msg_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < f->sent_count; i++) count += f->sent[i].type == type;
    return count;
}

static size_t told(const struct fixture *f, enum sync_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < f->event_count; i++) count += f->events[i].kind == kind;
    return count;
}

static struct conv_row conv_of(const struct fixture *f)
{
    struct conv_row row;
    assert_int_equal(home_conv_get(f->home, &f->conv, &row), 0);
    return row;
}

static int count_row(void *arg, const struct message_row *row)
{
    (void)row;
    ++*(size_t *)arg;
    return 0;
}

static size_t fresh_count(const struct fixture *f)
{
    size_t count = 0;
    assert_int_equal(home_message_each_fresh(f->home, NULL, count_row, &count), 0);
    return count;
}

static int count_outbox(void *arg, const struct outbox_row *row)
{
    (void)row;
    ++*(size_t *)arg;
    return 0;
}

static size_t outbox_count(const struct fixture *f)
{
    size_t count = 0;
    assert_int_equal(home_outbox_each(f->home, count_outbox, &count), 0);
    return count;
}

/* ---- receiving ---- */

static void nothing_leaves_and_nothing_is_told_before_the_commit(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    forget(f);
    queue(f, &bob, "hi");
    begin(f);
    bob_says(f, 1);
    assert_int_equal(f->sent_count, 0);
    assert_int_equal(f->event_count, 0);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 1);
    assert_int_equal(the_only(f, MSG_SEND)->u.send.client_seq, 1);
    assert_int_equal(told(f, SYNC_MESSAGE), 1);
}

static void what_was_undone_never_happened(void **state)
{
    struct fixture *f = *state;
    struct conv_row row;
    welcome(f);
    forget(f);
    begin(f);
    bob_says(f, 1);
    sync_abort(f->sync);
    assert_int_equal(f->sent_count + f->event_count, 0);
    assert_int_equal(home_conv_get(f->home, &f->conv, &row), ERR_NOT_FOUND);
}

static void a_burst_is_acknowledged_once(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    forget(f);
    begin(f);
    for (uint64_t seq = 1; seq <= 50; seq++) bob_says(f, seq);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 50);
    assert_int_equal(fresh_count(f), 50);
}

static void a_repeat_is_acknowledged_again_and_told_once(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    end(f);
    forget(f);
    begin(f);
    bob_says(f, 1);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 1);
    assert_int_equal(told(f, SYNC_MESSAGE), 0);
    assert_int_equal(fresh_count(f), 1);
}

static void a_new_device_is_due_what_comes_first_and_after(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    forget(f);
    begin(f);
    bob_says(f, 57);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 57);
    assert_int_equal(count_of(f, MSG_HISTORY), 0);
}

static void a_gap_is_filled_before_it_is_acknowledged(void **state)
{
    struct fixture *f = *state;
    static const uint64_t missing[] = { 2, 3 }, rest[] = { 4, 5 };
    welcome(f);
    begin(f);
    bob_says(f, 1);
    bob_says(f, 6);
    forget(f);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 1);
    const struct msg *ask = the_only(f, MSG_HISTORY);
    assert_int_equal(ask->u.history.after, 1);
    assert_int_equal(fresh_count(f), 1);    /* 6 is there, and waits for its turn */
    uint64_t ref = ask->ref;
    forget(f);
    begin(f);
    page(f, ref, missing, 2, 6, true);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 3);
    ref = the_only(f, MSG_HISTORY)->ref;
    forget(f);
    begin(f);
    page(f, ref, rest, 2, 6, true);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 6);
    assert_int_equal(count_of(f, MSG_HISTORY), 0);
    assert_int_equal(fresh_count(f), 6);
}

static void a_gap_that_the_server_does_not_know_is_stepped_over(void **state)
{
    struct fixture *f = *state;
    static const uint64_t what_there_is[] = { 4, 6 };
    welcome(f);
    begin(f);
    bob_says(f, 1);
    bob_says(f, 6);
    forget(f);
    end(f);
    uint64_t ref = the_only(f, MSG_HISTORY)->ref;
    forget(f);
    begin(f);
    page(f, ref, what_there_is, 2, 6, false);
    end(f);    /* 2 and 3 are nowhere; 5 is still missing */
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 4);
    ref = the_only(f, MSG_HISTORY)->ref;
    forget(f);
    begin(f);
    error(f, ref, ERR_NOT_FOUND, false, 0);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 6);
    assert_int_equal(count_of(f, MSG_HISTORY), 0);
}

static void a_fill_that_found_the_server_busy_is_asked_again(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    bob_says(f, 3);
    forget(f);
    end(f);
    uint64_t ref = the_only(f, MSG_HISTORY)->ref;
    begin(f);
    error(f, ref, ERR_BUSY, true, 200);
    end(f);
    assert_int_equal(sync_due_ms(f->sync), f->now.mono_ms + 200);
    forget(f);
    f->now.mono_ms += 199;
    step(f);
    assert_int_equal(f->sent_count, 0);
    f->now.mono_ms += 1;
    step(f);
    assert_int_not_equal(the_only(f, MSG_HISTORY)->ref, ref);
}

static void a_page_that_was_looked_at_is_not_acknowledged(void **state)
{
    struct fixture *f = *state;
    static const uint64_t older[] = { 3, 4, 5 };
    struct buf request, answer;
    struct msg m = { .type = MSG_HISTORY, .has_ref = true };
    uint64_t errand = 0;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    end(f);
    buf_init(&request, FRAME_BYTES_MAX);
    buf_init(&answer, FRAME_BYTES_MAX);
    m.u.history = (struct msg_history){ .to = { .conv = f->conv }, .limit = 10 };
    assert_int_equal(msg_encode(&m, &request), 0);
    assert_int_equal(home_errand_add(f->home, buf_bytes(&request), 1, &errand), 0);
    forget(f);
    step(f);
    uint64_t ref = the_only(f, MSG_HISTORY)->ref;
    step(f);
    assert_int_equal(count_of(f, MSG_HISTORY), 1);    /* asked once, while it is under way */
    begin(f);
    page(f, ref, older, 3, 5, false);
    end(f);
    assert_int_equal(home_errand_take(f->home, errand, &answer), 0);
    assert_int_equal(count_of(f, MSG_DELIVERED), 0);
    assert_int_equal(fresh_count(f), 1);
    /* Now they are due: what is in the store already counts, and is shown like all others. */
    forget(f);
    begin(f);
    bob_says(f, 2);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 5);
    assert_int_equal(fresh_count(f), 5);
    buf_fini(&request);
    buf_fini(&answer);
}

static void frames_that_break_the_protocol_are_errors(void **state)
{
    struct fixture *f = *state;
    static const uint8_t future[] = { 0x92, 0x7f, 0xc0 }, garbage[] = { 0xc1 };
    struct msg m = { .type = MSG_SYNCED };
    begin(f);
    assert_int_equal(give(f, &m), ERR_HELLO_FIRST);    /* before WELCOME */
    sync_abort(f->sync);
    welcome(f);
    begin(f);
    assert_int_equal(sync_on_frame(f->sync, BYTES_OF(future)), 0);    /* a newer server's event */
    assert_int_not_equal(sync_on_frame(f->sync, BYTES_OF(garbage)), 0);
    struct msg_message zero = from_bob(f, 0);
    m = (struct msg){ .type = MSG_MESSAGE };
    m.u.message = zero;
    assert_int_not_equal(give(f, &m), 0);
    sync_abort(f->sync);
}

/* ---- sending ---- */

static void an_accepted_send_is_a_message_of_ones_own(void **state)
{
    struct fixture *f = *state;
    size_t count = 0;
    welcome(f);
    queue(f, &bob, "hi");
    forget(f);
    step(f);
    uint64_t ref = the_only(f, MSG_SEND)->ref;
    begin(f);
    accepted(f, ref, 1, 1);
    end(f);
    assert_int_equal(told(f, SYNC_ACCEPTED), 1);
    assert_int_equal(outbox_count(f), 0);
    assert_int_equal(fresh_count(f), 0);
    assert_int_equal(home_message_by_send(f->home, mine, 1, count_row, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(conv_of(f).stored, 1);    /* the first message of all: nothing is before it */
}

static void an_accepted_send_proves_nothing_about_what_was_before(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    queue(f, &bob, "hi");
    forget(f);
    step(f);
    uint64_t ref = the_only(f, MSG_SEND)->ref;
    forget(f);
    begin(f);
    accepted(f, ref, 58, 1);
    end(f);
    assert_int_equal(f->sent_count, 0);
    assert_false(conv_of(f).has_stored);
    begin(f);
    bob_says(f, 56);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 56);
    forget(f);
    begin(f);
    bob_says(f, 57);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 58);    /* with ours */
}

static void a_lost_link_repeats_the_same_number_and_bytes(void **state)
{
    struct fixture *f = *state;
    uint8_t body[64];
    welcome(f);
    queue(f, &bob, "hello");
    forget(f);
    step(f);
    const struct msg_send *first = &the_only(f, MSG_SEND)->u.send;
    size_t len = first->body.len;
    memcpy(body, first->body.at, len);
    sync_on_lost(f->sync);
    close_home(f);    /* even the program ends */
    open_home(f);
    f->client_seq_max = 1;    /* the server had it */
    forget(f);
    welcome(f);
    const struct msg_send *again = &the_only(f, MSG_SEND)->u.send;
    assert_int_equal(again->client_seq, 1);
    assert_true(bytes_equal(again->body, bytes_of(body, len)));
    assert_true(again->settled <= 1);
}

static void settled_is_the_lowest_number_without_an_answer(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    queue(f, &bob, "1");
    queue(f, &carol, "2");
    forget(f);
    step(f);
    assert_int_equal(count_of(f, MSG_SEND), 2);
    assert_int_equal(f->sent[1].u.send.client_seq, 2);
    assert_int_equal(f->sent[1].u.send.settled, 1);
    uint64_t ref = f->sent[0].ref;
    queue(f, &bob, "3");
    forget(f);
    begin(f);
    accepted(f, ref, 1, 1);
    end(f);
    assert_int_equal(the_only(f, MSG_SEND)->u.send.client_seq, 3);
    assert_int_equal(the_only(f, MSG_SEND)->u.send.settled, 2);
}

static void sends_to_one_user_go_one_after_the_other(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    queue(f, &bob, "1");
    queue(f, &bob, "2");
    queue(f, &carol, "3");
    forget(f);
    step(f);
    step(f);
    assert_int_equal(count_of(f, MSG_SEND), 2);
    assert_int_equal(f->sent[0].u.send.client_seq, 1);
    assert_int_equal(f->sent[1].u.send.client_seq, 3);
}

static void again_repeats_the_same_send_after_the_time_asked_for(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    queue(f, &bob, "1");
    queue(f, &bob, "2");
    forget(f);
    step(f);
    uint64_t ref = the_only(f, MSG_SEND)->ref;
    begin(f);
    error(f, ref, ERR_STORAGE, true, 700);
    end(f);
    forget(f);
    f->now.mono_ms += 699;
    step(f);
    assert_int_equal(f->sent_count, 0);    /* not the second one either: their order stays */
    f->now.mono_ms += 1;
    step(f);
    assert_int_equal(the_only(f, MSG_SEND)->u.send.client_seq, 1);
    assert_int_equal(told(f, SYNC_REFUSED), 0);
}

static void without_a_time_each_wait_is_longer(void **state)
{
    struct fixture *f = *state;
    uint64_t before = 0;
    welcome(f);
    queue(f, &bob, "1");
    for (int i = 0; i < 10; i++) {
        forget(f);
        step(f);
        uint64_t ref = the_only(f, MSG_SEND)->ref;
        begin(f);
        error(f, ref, ERR_BUSY, true, 0);
        end(f);
        uint64_t wait = sync_due_ms(f->sync) - f->now.mono_ms;
        assert_true(wait > before || wait == RETRY_MS_MAX);
        before = wait;
        f->now.mono_ms += wait;
    }
    assert_int_equal(before, RETRY_MS_MAX);
}

static void a_refused_send_is_out_of_the_outbox_and_told_to_who_waits(void **state)
{
    struct fixture *f = *state;
    char text[256];
    int err = 0;
    welcome(f);
    queue(f, &bob, "1");
    queue(f, &bob, "2");
    forget(f);
    step(f);
    uint64_t ref = the_only(f, MSG_SEND)->ref;
    forget(f);
    begin(f);
    error(f, ref, ERR_NOT_FOUND, false, 0);
    end(f);
    assert_int_equal(told(f, SYNC_REFUSED), 1);
    assert_int_equal(home_refusal_take(f->home, 1, &err, text), 0);
    assert_int_equal(err, ERR_NOT_FOUND);
    assert_int_equal(the_only(f, MSG_SEND)->u.send.client_seq, 2);    /* the next one goes */
}

static void ones_own_message_in_catch_up_is_as_good_as_accepted(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    queue(f, &bob, "hi");
    forget(f);
    step(f);
    uint64_t ref = the_only(f, MSG_SEND)->ref;
    struct msg_message own = record(f, 1, &alice, mine, 1);
    forget(f);
    begin(f);
    message(f, &own);
    end(f);
    assert_int_equal(told(f, SYNC_ACCEPTED), 1);
    assert_int_equal(told(f, SYNC_MESSAGE), 0);
    assert_int_equal(outbox_count(f), 0);
    begin(f);
    accepted(f, ref, 1, 1);    /* late */
    end(f);
    assert_int_equal(told(f, SYNC_ACCEPTED), 1);
}

static void a_message_of_ones_other_device_settles_nothing(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    queue(f, &bob, "hi");
    step(f);
    struct msg_message theirs = record(f, 1, &alice, other_device, 1);    /* the same number, another device */
    begin(f);
    message(f, &theirs);
    end(f);
    assert_int_equal(outbox_count(f), 1);
    assert_int_equal(fresh_count(f), 1);
}

static void numbers_go_on_above_what_the_server_knows(void **state)
{
    struct fixture *f = *state;
    queue(f, &bob, "written offline");
    f->client_seq_max = 40;
    welcome(f);
    assert_int_equal(the_only(f, MSG_SEND)->u.send.client_seq, 41);
    assert_int_equal(queue(f, &bob, "next"), 42);
}

/* ---- cursors ---- */

static void a_read_cursor_is_said_until_it_is_known_to_be_durable(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    bob_says(f, 2);
    end(f);
    forget(f);
    begin(f);
    assert_int_equal(sync_read(f->sync, &f->conv, 2), 0);
    end(f);
    assert_int_equal(the_only(f, MSG_READ)->u.cursor.seq, 2);
    sync_on_lost(f->sync);
    forget(f);
    welcome(f);
    assert_int_equal(the_only(f, MSG_READ)->u.cursor.seq, 2);
    begin(f);
    receipt(f, &alice, 2, 2);
    end(f);
    sync_on_lost(f->sync);
    forget(f);
    welcome(f);
    assert_int_equal(count_of(f, MSG_READ), 0);
}

static void a_read_cursor_moved_offline_is_said_later(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    end(f);
    sync_on_lost(f->sync);
    forget(f);
    begin(f);
    assert_int_equal(sync_read(f->sync, &f->conv, 1), 0);
    end(f);
    assert_int_equal(f->sent_count, 0);
    welcome(f);
    assert_int_equal(the_only(f, MSG_READ)->u.cursor.seq, 1);
}

static void reading_never_passes_what_is_stored(void **state)
{
    struct fixture *f = *state;
    struct msg synced = { .type = MSG_SYNCED };
    welcome(f);
    begin(f);
    bob_says(f, 4);
    bob_says(f, 6);
    end(f);
    forget(f);
    begin(f);
    assert_int_equal(sync_read(f->sync, &f->conv, 6), 0);    /* READ says DELIVERED too, and 5 is missing */
    end(f);
    assert_int_equal(the_only(f, MSG_READ)->u.cursor.seq, 4);
    /* Where nothing is known to be due, only SYNCED tells that nothing is. */
    struct conv_row row = { .id = conv_id_direct(&alice, &carol), .peer = carol };
    assert_int_equal(home_conv_put(f->home, &row), 0);
    forget(f);
    begin(f);
    assert_int_equal(sync_read(f->sync, &row.id, 9), 0);
    end(f);
    assert_int_equal(count_of(f, MSG_READ), 0);
    begin(f);
    assert_int_equal(give(f, &synced), 0);
    assert_int_equal(sync_read(f->sync, &row.id, 9), 0);
    end(f);
    assert_int_equal(the_only(f, MSG_READ)->u.cursor.seq, 9);
}

static void ones_own_cursors_that_the_server_lost_are_said_again(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    for (uint64_t seq = 1; seq <= 5; seq++) bob_says(f, seq);
    end(f);
    begin(f);
    assert_int_equal(sync_read(f->sync, &f->conv, 4), 0);
    end(f);
    forget(f);
    begin(f);
    receipt(f, &alice, 3, 2);
    end(f);
    assert_int_equal(the_only(f, MSG_READ)->u.cursor.seq, 4);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 5);
    assert_int_equal(told(f, SYNC_RECEIPT), 0);
}

static void a_read_on_another_device_counts_here(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    for (uint64_t seq = 1; seq <= 5; seq++) bob_says(f, seq);
    receipt(f, &alice, 5, 5);
    end(f);
    assert_int_equal(conv_of(f).read, 5);
    forget(f);
    begin(f);
    assert_int_equal(sync_read(f->sync, &f->conv, 3), 0);    /* behind it: nothing to say */
    end(f);
    assert_int_equal(f->sent_count, 0);
}

static void a_receipt_is_told_when_something_moved(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    forget(f);
    begin(f);
    receipt(f, &bob, 5, 3);
    receipt(f, &bob, 5, 3);
    receipt(f, &bob, 4, 2);
    end(f);
    assert_int_equal(told(f, SYNC_RECEIPT), 1);
    begin(f);
    receipt(f, &bob, 5, 5);
    end(f);
    assert_int_equal(told(f, SYNC_RECEIPT), 2);
}

static void a_restored_server_gets_everything_as_new_and_shows_nothing_twice(void **state)
{
    struct fixture *f = *state;
    welcome(f);
    begin(f);
    bob_says(f, 1);
    bob_says(f, 2);
    end(f);
    begin(f);
    assert_int_equal(sync_read(f->sync, &f->conv, 2), 0);
    end(f);
    struct msg_message m = from_bob(f, 1);
    assert_int_equal(home_message_show(f->home, &m.id), 0);
    sync_on_lost(f->sync);
    f->generation = 9;
    forget(f);
    welcome(f);
    assert_int_equal(f->sent_count, 1);    /* HELLO: nothing of the old cursors */
    forget(f);
    begin(f);
    bob_says(f, 1);
    end(f);
    assert_int_equal(the_only(f, MSG_DELIVERED)->u.cursor.seq, 1);
    assert_int_equal(told(f, SYNC_MESSAGE), 0);
    assert_int_equal(fresh_count(f), 0);
}

static void a_ping_is_known_by_its_pong(void **state)
{
    struct fixture *f = *state;
    struct msg m = { .type = MSG_PONG, .has_ref = true };
    assert_int_equal(sync_ping(f->sync), 0);    /* no session yet */
    welcome(f);
    forget(f);
    uint64_t number = sync_ping(f->sync);
    assert_int_not_equal(number, 0);
    m.ref = the_only(f, MSG_PING)->ref;
    begin(f);
    assert_int_equal(give(f, &m), 0);
    end(f);
    assert_int_equal(told(f, SYNC_PONG), 1);
    assert_int_equal(f->events[f->event_count - 1].number, number);
}

/* ---- a whole server and a random link ---- */

struct world {
    struct fixture *f;
    uint64_t random;
    struct { bool ours; uint64_t client_seq; char text[24]; } log[400];
    uint64_t head, delivered;     /* the server's: last sequence, what our device acknowledged */
    uint64_t written;             /* last sequence pushed in this session */
    bool up;
    size_t looked;                /* frames of fixture.sent already answered */
    uint64_t queued;              /* sends made by the person */
};

static uint64_t roll(struct world *w, uint64_t n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % n;
}

static uint64_t server_accept(struct world *w, const struct msg_send *s)
{
    struct bytes text;
    assert_int_equal(content_text_decode(s->body, &text), 0);
    for (uint64_t i = 1; i <= w->head; i++) {
        if (!w->log[i].ours || w->log[i].client_seq != s->client_seq) continue;
        assert_true(bytes_equal(text, bytes_of_str(w->log[i].text)));    /* a repeat has the same bytes */
        return i;
    }
    w->head++;
    w->log[w->head].ours = true;
    w->log[w->head].client_seq = s->client_seq;
    memcpy(w->log[w->head].text, text.at, text.len);
    return w->head;
}

static struct msg_message logged(const struct world *w, uint64_t seq)
{
    return w->log[seq].ours ? record(w->f, seq, &alice, mine, w->log[seq].client_seq) : from_bob(w->f, seq);
}

/* Answers one frame of the device, or loses the answer. */
static void answer(struct world *w, const struct msg *m)
{
    struct fixture *f = w->f;
    if (m->type == MSG_DELIVERED) {
        /* The promise: everything up to here is in the store. The device knows what it was never sent by HISTORY. */
        for (uint64_t seq = 1; seq <= m->u.cursor.seq; seq++) {
            enum message_state s;
            struct msg_id id;
            assert_int_equal(home_message_state(f->home, &f->conv, seq, &id, &s), 0);
        }
        assert_true(m->u.cursor.seq <= w->head);
        if (roll(w, 4) && m->u.cursor.seq > w->delivered) w->delivered = m->u.cursor.seq;    /* or it gets lost */
    } else if (m->type == MSG_SEND) {
        if (roll(w, 4) == 0) return;    /* lost on the way */
        uint64_t ref = m->ref, client_seq = m->u.send.client_seq, dice = roll(w, 5);
        if (dice == 0) {
            begin(f);
            error(f, ref, ERR_STORAGE, true, 0);
            end(f);
            return;
        }
        uint64_t seq = server_accept(w, &m->u.send);
        if (dice == 1) return;          /* accepted; its answer is lost */
        begin(f);
        accepted(f, ref, seq, client_seq);
        end(f);
    } else if (m->type == MSG_HISTORY) {
        uint64_t ref = m->ref, from = m->u.history.after + 1;
        struct buf records, frame;
        uint32_t count = 0;
        struct msg_page p = { .conv = f->conv, .head = w->head };
        buf_init(&records, FRAME_BYTES_MAX);
        buf_init(&frame, FRAME_BYTES_MAX);
        for (uint64_t seq = from; seq <= w->head && count < 3; seq++, count++) {
            struct msg_message r = logged(w, seq);
            assert_int_equal(page_add(&records, &r), 0);
        }
        p.more = from + count <= w->head;
        p.records = buf_bytes(&records);
        assert_int_equal(page_encode(ref, &p, count, &frame), 0);
        begin(f);
        assert_int_equal(sync_on_frame(f->sync, buf_bytes(&frame)), 0);
        end(f);
        buf_fini(&records);
        buf_fini(&frame);
    }
}

static void serve(struct world *w)
{
    struct fixture *f = w->f;
    while (w->up && w->looked < f->sent_count) {
        struct msg m = f->sent[w->looked++];    /* answers make f->sent grow, never move */
        answer(w, &m);
    }
    if (w->looked == f->sent_count) {
        forget(f);
        w->looked = 0;
    }
}

static void lose_link(struct world *w)
{
    sync_on_lost(w->f->sync);
    forget(w->f);
    w->looked = 0;
    w->up = false;
}

static void restart_program(struct world *w)
{
    lose_link(w);
    close_home(w->f);
    open_home(w->f);
}

static void connect_link(struct world *w)
{
    welcome(w->f);
    w->up = true;
    w->written = w->delivered;
}

/* Catch-up and live: what is behind the last written; now and then one is left out, as no server should. */
static void push(struct world *w, bool may_skip)
{
    if (w->written >= w->head) return;
    w->written++;
    if (may_skip && roll(w, 6) == 0 && w->written < w->head) w->written++;
    struct msg_message m = logged(w, w->written);
    begin(w->f);
    message(w->f, &m);
    end(w->f);
}

static void a_random_link_loses_nothing_and_doubles_nothing(void **state)
{
    struct world w = { .f = *state };
    const char *given = getenv("PIPIT_SEED");
    if (given) w.random = strtoull(given, NULL, 0);
    else randombytes_buf(&w.random, sizeof w.random);
    print_message("PIPIT_SEED=%llu\n", (unsigned long long)w.random);
    /* The device is there from the first message on: nothing is before what it is due. */
    w.head = 1;
    connect_link(&w);
    push(&w, false);
    for (int i = 0; i < 600; i++) {
        char text[24];
        w.f->now.mono_ms += 100 + roll(&w, 2000);
        switch (roll(&w, 8)) {
        case 0: if (w.head < 150) w.head++; break;    /* bob writes */
        case 1:
            if (w.queued == 60) break;
            snprintf(text, sizeof text, "message %llu", (unsigned long long)++w.queued);
            queue(w.f, &bob, text);
            if (w.up) step(w.f);
            break;
        case 2: if (roll(&w, 3) == 0) lose_link(&w); break;
        case 3: if (roll(&w, 6) == 0) restart_program(&w); break;
        case 4: if (!w.up) connect_link(&w); break;
        default: if (w.up) push(&w, true);
        }
        if (w.up) step(w.f);
        if (roll(&w, 3)) serve(&w);
    }
    /* A good link in the end. */
    for (int i = 0; i < 2000 && (outbox_count(w.f) > 0 || w.delivered < w.head); i++) {
        if (!w.up || i % 50 == 49) {    /* what was lost on the way comes again with a new session */
            lose_link(&w);
            connect_link(&w);
        }
        w.f->now.mono_ms += RETRY_MS_MAX;
        step(w.f);
        push(&w, false);
        serve(&w);
    }
    assert_int_equal(outbox_count(w.f), 0);
    size_t all = 0, ours = 0;
    assert_int_equal(home_message_each_last(w.f->home, &w.f->conv, 0, 1000, count_row, &all), 0);
    assert_int_equal(all, w.head);
    for (uint64_t seq = 1; seq <= w.head; seq++) ours += w.log[seq].ours;
    assert_int_equal(ours, w.queued);
    assert_int_equal(conv_of(w.f).stored, w.head);
    assert_int_equal(fresh_count(w.f), w.head - ours);
    /* In the order in which they were written. */
    uint64_t last = 0;
    for (uint64_t seq = 1; seq <= w.head; seq++) {
        if (!w.log[seq].ours) continue;
        assert_true(w.log[seq].client_seq > last);
        last = w.log[seq].client_seq;
    }
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CLAIM(nothing_leaves_and_nothing_is_told_before_the_commit),
        CLAIM(what_was_undone_never_happened),
        CLAIM(a_burst_is_acknowledged_once),
        CLAIM(a_repeat_is_acknowledged_again_and_told_once),
        CLAIM(a_new_device_is_due_what_comes_first_and_after),
        CLAIM(a_gap_is_filled_before_it_is_acknowledged),
        CLAIM(a_gap_that_the_server_does_not_know_is_stepped_over),
        CLAIM(a_fill_that_found_the_server_busy_is_asked_again),
        CLAIM(a_page_that_was_looked_at_is_not_acknowledged),
        CLAIM(frames_that_break_the_protocol_are_errors),
        CLAIM(an_accepted_send_is_a_message_of_ones_own),
        CLAIM(an_accepted_send_proves_nothing_about_what_was_before),
        CLAIM(a_lost_link_repeats_the_same_number_and_bytes),
        CLAIM(settled_is_the_lowest_number_without_an_answer),
        CLAIM(sends_to_one_user_go_one_after_the_other),
        CLAIM(again_repeats_the_same_send_after_the_time_asked_for),
        CLAIM(without_a_time_each_wait_is_longer),
        CLAIM(a_refused_send_is_out_of_the_outbox_and_told_to_who_waits),
        CLAIM(ones_own_message_in_catch_up_is_as_good_as_accepted),
        CLAIM(a_message_of_ones_other_device_settles_nothing),
        CLAIM(numbers_go_on_above_what_the_server_knows),
        CLAIM(a_read_cursor_is_said_until_it_is_known_to_be_durable),
        CLAIM(a_read_cursor_moved_offline_is_said_later),
        CLAIM(reading_never_passes_what_is_stored),
        CLAIM(ones_own_cursors_that_the_server_lost_are_said_again),
        CLAIM(a_read_on_another_device_counts_here),
        CLAIM(a_receipt_is_told_when_something_moved),
        CLAIM(a_restored_server_gets_everything_as_new_and_shows_nothing_twice),
        CLAIM(a_ping_is_known_by_its_pong),
        CLAIM(a_random_link_loses_nothing_and_doubles_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
