/* test_tui_model_random.c - whatever comes, is said, lost, scrolled, deleted and looked at, in whatever order: the
 * window is a stretch of what the store says, the list tells what the store tells, and nothing moves what is being
 * read.
 *
 * A server made of an array talks to the real sync.c. It had a history before this device was there, answers requests
 * late or not at all, and pushes now and then with a gap. PIPIT_SEED repeats a run. */
#include "tests/unit/sync_world.h"
#include "tools/client/tui/model.h"

enum {
    LOG_MAX = 4000,               /* messages of the conversation; the last of them */
    BEFORE = 700,                 /* said before the device was there */
    ROUNDS = 350,
    BURST_MAX = 120,
};

enum sender { BOB, OURS, OTHER_DEVICE };

struct world {
    struct fixture *f;
    struct model *model;
    uint64_t random;
    struct { enum sender who; uint64_t client_seq; } log[LOG_MAX + 1];
    uint64_t head, delivered, written;
    bool up;
    size_t looked;                /* frames of fixture.sent already answered */
    bool fetching;
    struct model_fetch fetch;
    uint64_t errand;
    /* -- the screen -- */
    size_t first_seen, seen_count;
    bool has_anchor;
    struct row_id anchor;
    size_t shifts, follows, fetches, refused;    /* how often, for who reads the output */
};

static uint64_t roll(struct world *w, uint64_t n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % n;
}

/* ---- the server ---- */

static struct msg_message logged(const struct world *w, uint64_t seq)
{
    uint64_t client_seq = w->log[seq].client_seq;
    switch (w->log[seq].who) {
    case OURS: return record(w->f, seq, &alice, mine, client_seq);
    case OTHER_DEVICE: return record(w->f, seq, &alice, other_device, seq);
    default: return from_bob(w->f, seq);
    }
}

static uint64_t accept_send(struct world *w, uint64_t client_seq)
{
    for (uint64_t seq = 1; seq <= w->head; seq++)
        if (w->log[seq].who == OURS && w->log[seq].client_seq == client_seq) return seq;
    w->head++;
    w->log[w->head].who = OURS;
    w->log[w->head].client_seq = client_seq;
    return w->head;
}

static void answer_send(struct world *w, const struct msg *m)
{
    struct fixture *f = w->f;
    uint64_t ref = m->ref, client_seq = m->u.send.client_seq, dice = roll(w, 8);
    uint64_t seq = dice > 1 && w->head < LOG_MAX ? accept_send(w, client_seq) : 0;
    begin(f);
    if (seq == 0 && dice == 0) error(f, ref, ERR_RATE, true, 0);
    else if (seq == 0) error(f, ref, ERR_DENIED, false, 0);
    else if (dice > 2) accepted(f, ref, seq, client_seq);    /* else its answer is lost */
    end(f);
    if (seq == 0 && dice == 1) w->refused++;
}

static void answer_history(struct world *w, const struct msg *m)
{
    const struct msg_history h = m->u.history;
    struct buf records, frame;
    struct msg_page p = { .conv = w->f->conv, .head = w->head };
    uint64_t stop = h.has_before ? h.before : w->head + 1, first = h.has_after ? h.after + 1 : 1;
    if (!h.has_after && stop - first > h.limit) first = stop - h.limit;
    if (h.has_after && stop - first > h.limit) stop = first + h.limit;
    uint32_t count = 0;
    buf_init(&records, FRAME_BYTES_MAX);
    buf_init(&frame, FRAME_BYTES_MAX);
    for (uint64_t seq = first; seq < stop; seq++, count++) {
        struct msg_message r = logged(w, seq);
        assert_int_equal(page_add(&records, &r), 0);
    }
    p.more = h.has_after ? stop <= w->head : first > 1;
    p.records = buf_bytes(&records);
    assert_int_equal(page_encode(m->ref, &p, count, &frame), 0);
    begin(w->f);
    assert_int_equal(sync_on_frame(w->f->sync, buf_bytes(&frame)), 0);
    end(w->f);
    buf_fini(&records);
    buf_fini(&frame);
}

static void tell_events(struct world *w)
{
    for (size_t i = 0; i < w->f->event_count; i++) model_on_event(w->model, &w->f->events[i]);
    w->f->event_count = 0;
}

static void serve(struct world *w)
{
    struct fixture *f = w->f;
    tell_events(w);
    while (w->up && w->looked < f->sent_count) {
        struct msg m = f->sent[w->looked++];    /* answers make f->sent grow, never move */
        if (m.type == MSG_DELIVERED && m.u.cursor.seq > w->delivered) w->delivered = m.u.cursor.seq;
        else if (m.type == MSG_SEND) answer_send(w, &m);
        else if (m.type == MSG_HISTORY) answer_history(w, &m);
        tell_events(w);
    }
    forget(f);
    w->looked = 0;
}

static void lose_link(struct world *w)
{
    tell_events(w);
    sync_on_lost(w->f->sync);
    forget(w->f);
    w->looked = 0;
    w->up = false;
}

static void connect_link(struct world *w)
{
    welcome(w->f);
    w->up = true;
    w->written = w->delivered;
}

static void push(struct world *w, uint64_t count, bool may_skip)
{
    begin(w->f);
    for (uint64_t i = 0; i < count && w->written < w->head; i++) {
        w->written++;
        if (may_skip && roll(w, 20) == 0 && w->written < w->head) w->written++;
        struct msg_message m = logged(w, w->written);
        message(w->f, &m);
    }
    end(w->f);
    tell_events(w);
}

static void others_say(struct world *w, enum sender who, uint64_t count)
{
    for (uint64_t i = 0; i < count && w->head < LOG_MAX; i++) w->log[++w->head].who = who;
}

/* ---- the person ---- */

static void draw(struct world *w)
{
    size_t count = model_row_count(w->model), height = 10 + roll(w, 20);
    w->seen_count = count < height ? count : height;
    w->first_seen = roll(w, 3) ? roll(w, count - w->seen_count + 1) : count - w->seen_count;
    struct model_seen seen;
    bool foreground = roll(w, 3) > 0;
    if (!model_seen(w->model, w->first_seen, w->seen_count, foreground, &seen)) return;
    assert_true(foreground);
    for (size_t i = 0; i < seen.count; i++) {
        bool in_sight = false;
        for (size_t k = 0; k < w->seen_count; k++) {
            const struct model_row *r = model_row(w->model, w->first_seen + k);
            in_sight = in_sight || (r->is_stored && msg_id_compare(&r->message, &seen.ids[i]) == 0);
        }
        assert_true(in_sight);
    }
    begin(w->f);
    for (size_t i = 0; i < seen.count; i++) assert_int_equal(home_message_show(w->f->home, &seen.ids[i]), 0);
    if (seen.has_seq) {
        struct conv_row row = conv_of(w->f);
        assert_true(!row.has_stored || seen.seq <= row.stored);
        assert_int_equal(sync_read(w->f->sync, &seen.conv, seen.seq), 0);
    }
    end(w->f);
    model_seen_done(w->model, &seen);
}

/* A message in sight: it must not leave, unless its owner makes it. */
static void take_anchor(struct world *w)
{
    bool follows = w->first_seen + w->seen_count == model_row_count(w->model) && !model_has_newer(w->model);
    w->has_anchor = false;
    if (follows || w->seen_count == 0) return;
    const struct model_row *r = model_row(w->model, w->first_seen + roll(w, w->seen_count));
    if (r->id.kind != ROW_MESSAGE) return;
    w->has_anchor = true;
    w->anchor = r->id;
}

static void open_somewhere(struct world *w)
{
    struct model_place place;
    struct msg_id id;
    enum message_state state;
    uint64_t seq = 1 + roll(w, w->head);
    w->has_anchor = false;
    w->seen_count = 0;
    if (roll(w, 2) == 0 || home_message_state(w->f->home, &w->f->conv, seq, &id, &state)) {
        assert_int_equal(model_open(w->model, &bob, &place), 0);
    } else {
        int err = model_open_at(w->model, &bob, &id, &place);
        if (err == ERR_NOT_FOUND) return;
        assert_int_equal(err, 0);
    }
    if (!place.is_end) assert_true(model_row_find(w->model, &place.row) != SIZE_MAX);
}

static void delete_something(struct world *w)
{
    size_t count = model_row_count(w->model);
    if (roll(w, 20) == 0) {
        int err = model_conv_delete(w->model, &bob);
        assert_true(err == 0 || err == ERR_NOT_FOUND);
        w->has_anchor = false;
    } else if (count > 0) {
        struct row_id id = model_row(w->model, roll(w, count))->id;
        int err = model_delete(w->model, &id);
        assert_true(err == 0 || err == ERR_NOT_FOUND || err == ERR_AGAIN);
        if (!err) assert_true(model_row_find(w->model, &id) == SIZE_MAX);
        if (w->has_anchor && row_id_equal(&w->anchor, &id)) w->has_anchor = false;
    }
}

static void scroll(struct world *w)
{
    switch (roll(w, 5)) {
    case 0:
        assert_int_equal(model_end(w->model), 0);
        assert_false(model_has_newer(w->model));
        break;
    case 1: case 2:
        for (uint64_t i = 1 + roll(w, 7); i > 0; i--) assert_int_equal(model_newer(w->model), 0);
        break;
    default:
        for (uint64_t i = 1 + roll(w, 12); i > 0; i--) assert_int_equal(model_older(w->model), 0);
    }
    w->has_anchor = false;
    w->seen_count = 0;
    w->shifts += model_has_newer(w->model);
}

static void fetch(struct world *w)
{
    struct buf frame;
    buf_init(&frame, FRAME_BYTES_MAX);
    if (!w->fetching && model_fetch_take(w->model, &w->fetch)) {
        struct msg m = { .type = MSG_HISTORY, .has_ref = true };
        m.u.history = (struct msg_history){ .to = { .conv = w->fetch.conv }, .has_before = w->fetch.before > 0,
                                            .before = w->fetch.before, .limit = w->fetch.limit };
        assert_int_equal(msg_encode(&m, &frame), 0);
        assert_int_equal(home_errand_add(w->f->home, buf_bytes(&frame), w->f->now.wall_ms, &w->errand), 0);
        w->fetching = true;
        w->fetches++;
    } else if (w->fetching) {
        int err = home_errand_take(w->f->home, w->errand, &frame);
        if (!err) {
            assert_int_equal(model_fetch_done(w->model, &w->fetch, buf_bytes(&frame)), 0);
            w->fetching = false;
        } else if (!w->up && roll(w, 2)) {
            assert_int_equal(home_errand_drop(w->f->home, w->errand), 0);
            model_fetch_failed(w->model, &w->fetch);
            w->fetching = false;
        }
    }
    buf_fini(&frame);
}

/* ---- what must hold ---- */

struct shown {
    struct msg_id id;
    struct user_id from;
    struct device_id device;
    uint64_t client_seq, seq;
    enum message_state state;
};
struct store {
    struct shown all[LOG_MAX];    /* that can be shown, by id */
    size_t count;
    uint64_t waiting[512];
    size_t waiting_count;
};

static int see_message(void *arg, const struct message_row *row)
{
    struct store *s = arg;
    if (row->hidden) return 0;
    s->all[s->count++] = (struct shown){ row->m.id, row->m.from, row->m.device, row->m.client_seq,
                                              row->m.seq, row->state };
    return 0;
}

static int see_waiting(void *arg, const struct outbox_row *row)
{
    struct store *s = arg;
    assert_true(s->waiting_count < 512);
    s->waiting[s->waiting_count++] = row->client_seq;
    return 0;
}

static void check_row(const struct model_row *r, const struct shown *s, uint64_t delivered, uint64_t read)
{
    bool own = user_id_equal(&s->from, &alice);
    assert_int_equal(msg_id_compare(&r->message, &s->id), 0);
    assert_int_equal(r->is_own, own);
    assert_int_equal(r->id.number, own && s->device.v == mine.v ? s->client_seq : 0);
    assert_string_equal(r->text, "hi");
    assert_int_equal(r->ticks, !own ? TICKS_NONE : s->seq <= read ? TICKS_READ : s->seq <= delivered ? TICKS_DELIVERED :
                                                                                                       TICKS_SENT);
}

static void check_window(struct world *w, const struct store *s)
{
    uint64_t delivered, read, last_day = 0;
    size_t at = 0, messages = 0, waits = 0, of_day = 0, refused = 0;
    bool placed = false;
    assert_int_equal(home_cursor_get(w->f->home, &w->f->conv, &bob, &delivered, &read), 0);
    for (size_t i = 0; i < model_row_count(w->model); i++) {
        const struct model_row *r = model_row(w->model, i);
        assert_int_equal(model_row_find(w->model, &r->id), i);    /* no id twice */
        if (r->id.kind == ROW_DAY) {
            assert_true(r->id.number > last_day);
            last_day = r->id.number;
            of_day++;
        }
        if (r->id.kind != ROW_MESSAGE) continue;
        if (r->is_stored) {
            assert_int_equal(waits + refused, 0);
            while (!placed && at < s->count && msg_id_compare(&s->all[at].id, &r->message) != 0) at++;
            if (!placed && !model_has_older(w->model)) assert_int_equal(at, 0);
            placed = true;
            assert_true(at < s->count);
            check_row(r, &s->all[at++], delivered, read);
            messages++;
        } else if (r->ticks == TICKS_REFUSED) {
            refused++;
        } else {
            assert_int_equal(r->ticks, TICKS_WAITING);
            assert_true(waits < s->waiting_count);
            assert_int_equal(r->id.number, s->waiting[waits++]);
        }
    }
    assert_true(messages <= MODEL_WINDOW_MAX);
    if (messages + waits + refused > 0) assert_true(of_day > 0);
    if (!model_has_newer(w->model)) {
        assert_int_equal(waits, s->waiting_count);
        if (placed) assert_int_equal(at, s->count);
        else assert_true(s->count == 0 || model_has_older(w->model));
    } else {
        assert_true(placed && at <= s->count && waits == 0);
    }
}

static int see_summary(void *arg, const struct conv_summary *summary)
{
    struct conv_summary *out = arg;
    *out = *summary;
    return 0;
}

static void check_list(struct world *w, const struct store *s)
{
    struct conv_summary summary = { 0 };
    const struct model_conv *c = model_opened(w->model);
    assert_int_equal(model_conv_count(w->model), 1);
    assert_memory_equal(model_conv(w->model, 0)->peer.v, bob.v, sizeof bob.v);
    int err = home_summary_get(w->f->home, &w->f->conv, see_summary, &summary);
    assert_true(err == 0 || err == ERR_NOT_FOUND);
    for (unsigned i = 0; i < 2; i++, c = model_conv(w->model, 0)) {    /* the open one is told twice, and the same */
        assert_int_equal(c->is_known, !err);
        assert_int_equal(c->unread, summary.unread);
        assert_int_equal(c->marked, summary.marked);
        assert_int_equal(c->waiting, s->waiting_count);
        assert_int_equal(c->has_last, summary.has_last || c->waiting + c->refused > 0);
        if (summary.has_last) assert_true(c->last_ms >= msg_id_ms(&summary.last.m.id));
    }
}

static void check_below(struct world *w, const struct store *s)
{
    uint32_t below, wanted = 0;
    struct conv_row row = { 0 };
    struct msg_id last = { { 0 } };
    size_t end = w->first_seen + w->seen_count;
    home_conv_get(w->f->home, &w->f->conv, &row);
    assert_int_equal(model_below(w->model, &below), 0);
    for (size_t i = 0; i < end; i++)
        if (model_row(w->model, i)->is_stored) last = model_row(w->model, i)->message;
    for (size_t i = 0; i < s->count; i++)
        wanted += s->all[i].state == MESSAGE_FRESH && s->all[i].seq > row.read &&
                  user_id_equal(&s->all[i].from, &bob) && msg_id_compare(&s->all[i].id, &last) > 0;
    if (end == model_row_count(w->model) && !model_has_newer(w->model)) wanted = 0;
    assert_int_equal(below, wanted < UNREAD_MAX ? wanted : UNREAD_MAX);
}

static void check(struct world *w)
{
    static struct store s;
    static const struct msg_id none;
    unsigned changed;
    s.count = s.waiting_count = 0;
    assert_int_equal(home_message_each_newer(w->f->home, &w->f->conv, &none, UINT32_MAX, see_message, &s), 0);
    assert_int_equal(home_outbox_each(w->f->home, see_waiting, &s), 0);
    assert_int_equal(model_update(w->model, w->f->now.wall_ms, &changed), 0);
    if (w->has_anchor) assert_true(model_row_find(w->model, &w->anchor) != SIZE_MAX);
    check_window(w, &s);
    check_list(w, &s);
    size_t rows_before = model_row_count(w->model);
    draw(w);
    if (w->seen_count > 0) check_below(w, &s);
    assert_int_equal(model_row_count(w->model), rows_before);    /* drawing changes no rows */
    w->follows += w->first_seen + w->seen_count == rows_before;
}

static void say(struct world *w)
{
    uint64_t client_seq = queue(w->f, &bob, "hi");
    assert_int_equal(model_sent(w->model, client_seq), 0);
}

static void act(struct world *w)
{
    struct fixture *f = w->f;
    uint64_t to = 1 + roll(w, w->head);
    switch (roll(w, 16)) {
    case 0: others_say(w, BOB, 1 + roll(w, BURST_MAX)); break;
    case 1: others_say(w, BOB, 1 + roll(w, 3)); break;
    case 2: others_say(w, OTHER_DEVICE, 1); break;
    case 3: case 4: say(w); break;
    case 5:
        if (roll(w, 2) && w->up) lose_link(w);
        break;
    case 6: case 7:
        if (!w->up) connect_link(w);
        break;
    case 8:
        if (!w->up) break;
        begin(f);
        receipt(f, roll(w, 3) ? &bob : &alice, to, 1 + roll(w, to));
        end(f);
        break;
    case 9: case 10: scroll(w); break;
    case 11:
        if (roll(w, 3) == 0) open_somewhere(w);
        else scroll(w);
        break;
    case 12: delete_something(w); break;
    case 13:
        if (model_opened(w->model)->is_known) assert_int_equal(model_conv_mark(w->model, &bob, true), 0);
        break;
    case 14: assert_int_equal(model_note(w->model, "a note"), 0); break;
    default: model_fetch_again(w->model);
    }
}

static void the_window_is_a_stretch_of_the_store_whatever_happens(void **state)
{
    static struct world w;
    struct model_place place;
    const char *given = getenv("PIPIT_SEED");
    memset(&w, 0, sizeof w);
    w.f = *state;
    if (given) w.random = strtoull(given, NULL, 0);
    else randombytes_buf(&w.random, sizeof w.random);
    print_message("PIPIT_SEED=%llu\n", (unsigned long long)w.random);
    assert_int_equal(model_new(w.f->home, &w.f->account, w.f->now.wall_ms, &w.model), 0);
    assert_int_equal(model_open(w.model, &bob, &place), 0);
    others_say(&w, BOB, BEFORE);
    w.delivered = w.head;
    connect_link(&w);
    for (unsigned i = 0; i < ROUNDS; i++) {
        w.f->now.mono_ms += 100 + roll(&w, 2000);
        take_anchor(&w);
        act(&w);
        if (w.up && roll(&w, 3)) push(&w, 1 + roll(&w, 150), true);
        step(w.f);
        if (roll(&w, 4)) serve(&w);
        fetch(&w);
        tell_events(&w);
        check(&w);
    }
    print_message("moved %zu, at the end %zu, pages %zu, refused %zu, said %llu\n", w.shifts, w.follows, w.fetches,
                  w.refused, (unsigned long long)w.head);
    model_free(w.model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(the_window_is_a_stretch_of_the_store_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
