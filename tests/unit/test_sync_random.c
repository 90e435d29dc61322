/* test_sync_random.c - a whole server, made of an array, and a link that loses requests, answers and the program
 * itself: at every step and in the end the device keeps its promises. PIPIT_SEED repeats a run. */
#include "tests/harness/chance.h"
#include "tests/unit/sync_world.h"

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
    return chance_below(&w->random, n);
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
    struct world w = { .f = *state, .random = run_seed() };
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
    const struct CMUnitTest tests[] = {
        CLAIM(a_random_link_loses_nothing_and_doubles_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
