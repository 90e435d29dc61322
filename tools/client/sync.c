/* sync.c - transactions of a device: what is under way, what leaves, what is told (see sync.h). What frames mean is in
 * sync_in.c.
 *
 * A request that waits for its answer is a struct ask, whatever it is for. What leaves is encoded at once into `out`
 * and flushed after the commit; what is told is queued in `events` likewise. Conversations that a transaction touches
 * are remembered in `touched`, so that a burst of messages is acknowledged by one DELIVERED for each conversation. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/sync_impl.h"

/* ---- lists ---- */

/* Room for one more in an array that doubles. False: out of memory, array unchanged. */
static bool grow(void **array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) return true;
    size_t want = *cap ? *cap * 2 : 16;
    void *more = realloc(*array, want * size);
    if (!more) return false;
    *array = more;
    *cap = want;
    return true;
}

struct sync_event *sync_tell(struct sync *s, enum sync_kind kind)
{
    void *array = s->events;
    if (!grow(&array, s->event_count, &s->event_cap, sizeof *s->events)) return NULL;
    s->events = array;
    struct sync_event *e = &s->events[s->event_count++];
    memset(e, 0, sizeof *e);
    e->kind = kind;
    return e;
}

struct touched *sync_touch(struct sync *s, const struct conv_id *conv)
{
    for (size_t i = 0; i < s->touched_count; i++)
        if (conv_id_equal(&s->touched[i].conv, conv)) return &s->touched[i];
    void *array = s->touched;
    if (!grow(&array, s->touched_count, &s->touched_cap, sizeof *s->touched)) return NULL;
    s->touched = array;
    s->touched[s->touched_count] = (struct touched){ .conv = *conv };
    return &s->touched[s->touched_count++];
}

static int put_frame(struct buf *to, const struct msg *m)
{
    size_t at = to->len;
    buf_put_u32(to, 0);
    int err = msg_encode(m, to);
    if (!err) put_u32(to->at + at, (uint32_t)(to->len - at - 4));
    return err;
}

static int put_cursor(struct sync *s, struct msg m, const struct conv_id *conv, uint64_t seq)
{
    m.u.cursor = (struct msg_cursor){ .to = { .conv = *conv }, .seq = seq };
    return put_frame(&s->acks, &m);
}

int sync_cursor(struct sync *s, const struct conv_id *conv, uint64_t seq, enum msg_type type)
{
    return put_cursor(s, (struct msg){ .type = type }, conv, seq);
}

int sync_cursor_asked(struct sync *s, const struct conv_id *conv, uint64_t seq, enum msg_type type, uint64_t ref)
{
    return put_cursor(s, (struct msg){ .type = type, .has_ref = true, .ref = ref }, conv, seq);
}

static void flush(struct sync *s, struct buf *from)
{
    struct reader r = reader_of(buf_bytes(from));
    while (r.left > 0) {
        uint32_t len = reader_u32(&r);
        s->ops->send(s->arg, reader_bytes(&r, len));
    }
    buf_clear(from);
}

/* ---- asks ---- */

struct ask *sync_ask_find(struct sync *s, enum ask_kind kind, uint64_t number, const struct conv_id *conv)
{
    for (size_t i = 0; i < s->ask_count; i++) {
        struct ask *a = &s->asks[i];
        if (a->kind == kind && (conv ? conv_id_equal(&a->conv, conv) : a->number == number)) return a;
    }
    return NULL;
}

void sync_ask_drop(struct sync *s, struct ask *a)
{
    *a = s->asks[--s->ask_count];
}

/* Under way with a new number of request. NULL: as many as can be are. */
static struct ask *ask_put(struct sync *s, struct ask *again, enum ask_kind kind, uint64_t number)
{
    struct ask *a = again;
    if (!a && s->ask_count == ASKS_MAX) return NULL;
    if (!a) {
        a = &s->asks[s->ask_count++];
        *a = (struct ask){ .kind = kind, .number = number };
    }
    a->ref = ++s->ref;
    a->again_ms = 0;
    return a;
}

static bool ask_is_due(const struct sync *s, const struct ask *a)
{
    return !a || (a->again_ms != 0 && a->again_ms <= s->now.mono_ms);
}

/* ---- the end of a transaction ---- */

int sync_extend(struct sync *s, struct conv_row *row)
{
    uint64_t before = row->stored;
    enum message_state state;
    struct msg_id id;
    int err;
    while (!(err = home_message_state(s->home, &row->id, row->stored + 1, &id, &state))) {
        if (state == MESSAGE_PAGED && (err = home_message_arrive(s->home, &id))) return err;
        row->stored++;
    }
    if (err != ERR_NOT_FOUND) return err;
    return row->stored > before ? home_conv_put(s->home, row) : 0;
}

static int fill(struct sync *s, const struct conv_row *row, uint64_t until)
{
    struct ask *a = sync_ask_find(s, ASK_FILL, 0, &row->id);
    if (a && until > a->until) a->until = until;
    if (!ask_is_due(s, a)) return 0;
    a = ask_put(s, a, ASK_FILL, 0);
    if (!a) return 0;    /* the next message of the conversation asks again */
    a->conv = row->id;
    a->after = row->stored;
    a->until = until;
    struct msg m = { .type = MSG_HISTORY, .has_ref = true, .ref = a->ref };
    m.u.history = (struct msg_history){ .to = { .conv = row->id }, .has_after = true, .after = row->stored,
                                        .limit = PAGE_RECORDS_MAX };
    return put_frame(&s->out, &m);
}

static int conclude(struct sync *s, const struct touched *t)
{
    struct conv_row row;
    struct sync_event *told = sync_tell(s, SYNC_MOVED);
    if (!told) return ERR_NOMEM;
    told->conv = t->conv;
    int err = home_conv_get(s->home, &t->conv, &row);
    if (err || !row.has_stored) return err == ERR_NOT_FOUND ? 0 : err;
    err = sync_extend(s, &row);
    if (!err && t->acknowledge && row.stored > 0) err = sync_cursor(s, &row.id, row.stored, MSG_DELIVERED);
    if (!err && t->came > row.stored) err = fill(s, &row, t->came);
    return err;
}

/* Sequences of a DELETE, as its record will have them. */
static int put_seqs(struct bytes body, struct buf *seqs)
{
    uint64_t seq;
    int err = 0;
    while (!err && body_next(&body, &seq) == 0) err = seqs_add(seqs, seq);
    return err;
}

static int put_send(struct sync *s, uint64_t ref, const struct outbox_row *row, uint64_t settled)
{
    const struct where to = { .is_user = true, .user = row->to };
    struct msg m = { .type = MSG_SEND, .has_ref = true, .ref = ref };
    struct bytes body = row->body;
    uint64_t seconds = 0;
    struct buf seqs;
    int err = 0;
    buf_init(&seqs, FRAME_BYTES_MAX);
    switch (row->kind) {
    case KIND_DELETE:
        m.type = MSG_DELETE;
        err = put_seqs(body, &seqs);
        m.u.remove = (struct msg_remove){ .to = to, .client_seq = row->client_seq, .settled = settled,
                                          .seqs = buf_bytes(&seqs) };
        break;
    case KIND_TIMER:
        m.type = MSG_TIMER;
        err = body_next(&body, &seconds) ? ERR_CORRUPT : 0;
        m.u.timer = (struct msg_timer){ .to = to, .client_seq = row->client_seq, .settled = settled,
                                        .expire_s = seconds };
        break;
    default:
        m.u.send = (struct msg_send){ .to = to, .client_seq = row->client_seq, .settled = settled, .body = body };
        break;
    }
    if (!err) err = put_frame(&s->out, &m);
    buf_fini(&seqs);
    return err;
}

static int transmit(void *arg, const struct outbox_row *row)
{
    struct sync *s = arg;
    struct ask *a = sync_ask_find(s, ASK_SEND, row->client_seq, NULL);
    uint64_t settled;
    if (!ask_is_due(s, a)) return 0;
    a = ask_put(s, a, ASK_SEND, row->client_seq);
    if (!a) return 0;    /* when another has its answer */
    int err = home_outbox_settled(s->home, &settled);
    if (!err && !row->sent) err = home_outbox_sent(s->home, row->client_seq);
    return err ? err : put_send(s, a->ref, row, settled);
}

static int run_errand(void *arg, uint64_t id, struct bytes request)
{
    struct sync *s = arg;
    struct msg m;
    struct ask *a = sync_ask_find(s, ASK_ERRAND, id, NULL);
    if (!ask_is_due(s, a)) return 0;
    int err = msg_decode(request, &m, NULL);
    if (err) return ERR_CORRUPT;    /* this program wrote it */
    a = ask_put(s, a, ASK_ERRAND, id);
    if (!a) return 0;
    m.has_ref = true;
    m.ref = a->ref;
    return put_frame(&s->out, &m);
}

/* ---- what disappears ---- */

uint64_t sync_clock(const struct sync *s)
{
    return account_clock(s->account, s->now.wall_ms);
}

static int touch_gone(void *arg, const struct conv_id *conv)
{
    return sync_touch(arg, conv) ? 0 : ERR_NOMEM;
}

static int expire(struct sync *s)
{
    uint64_t now = sync_clock(s), next = 0, wait;
    bool more;
    int err = home_expire(s->home, now, touch_gone, s, &more);
    if (!err) err = home_expiry_next(s->home, &next);
    if (err == ERR_NOT_FOUND) s->expire_ms = UINT64_MAX;
    if (err) return err == ERR_NOT_FOUND ? 0 : err;
    wait = more || next <= now ? 0 : next - now;
    s->expire_ms = s->now.mono_ms + (wait < EXPIRE_LOOK_MS ? wait : EXPIRE_LOOK_MS);
    return 0;
}

static void forget(struct sync *s)
{
    s->touched_count = s->event_count = 0;
    buf_clear(&s->out);
    buf_clear(&s->acks);
}

int sync_begin(struct sync *s, struct sync_time now)
{
    s->now = now;
    assert(s->touched_count == 0 && s->event_count == 0 && s->out.len == 0 && s->acks.len == 0);
    return home_begin(s->home);
}

int sync_read(struct sync *s, const struct conv_id *conv, uint64_t seq)
{
    struct conv_row row;
    int err = home_conv_get(s->home, conv, &row);
    if (err) return err;
    /* READ says DELIVERED too, so it must not pass what is stored. When nothing is known to be due here, all that was
     * due has come by SYNCED, and what history shows may be read. */
    if (row.has_stored ? seq > row.stored : !s->synced) seq = row.has_stored ? row.stored : 0;
    if (seq <= row.read) return 0;
    row.read = seq;
    err = home_conv_put(s->home, &row);
    return err || !s->open ? err : sync_cursor(s, conv, seq, MSG_READ);
}

int sync_end(struct sync *s)
{
    int err = expire(s);
    for (size_t i = 0; !err && i < s->touched_count; i++) err = conclude(s, &s->touched[i]);
    if (!err && s->open) err = home_outbox_each_first(s->home, transmit, s);
    if (!err && s->open) err = home_errand_each(s->home, run_errand, s);
    /* Fills to be tried again have no row that would remind of them. */
    for (size_t i = 0; !err && i < s->ask_count; i++) {
        struct conv_row row;
        if (s->asks[i].kind != ASK_FILL || !ask_is_due(s, &s->asks[i])) continue;
        err = home_conv_get(s->home, &s->asks[i].conv, &row);
        if (!err) err = fill(s, &row, s->asks[i].until);
    }
    if (!err) err = home_commit(s->home);
    if (err) {
        sync_abort(s);
        return err;
    }
    flush(s, &s->acks);
    flush(s, &s->out);
    for (size_t i = 0; i < s->event_count; i++) s->ops->on_event(s->arg, &s->events[i]);
    forget(s);
    return 0;
}

/* What is under way may have been changed by frames whose transaction is undone, so the link must end too: the owner
 * closes it, and sync_on_lost() forgets. */
void sync_abort(struct sync *s)
{
    home_rollback(s->home);
    forget(s);
    s->open = false;
    s->expire_ms = s->now.mono_ms + EXPIRE_LOOK_MS;    /* what was taken away is back */
}

/* ---- the rest of the face ---- */

struct sync *sync_new(struct home *home, struct account *account, const struct sync_ops *ops, void *arg)
{
    struct sync *s = calloc(1, sizeof *s);
    if (!s || !(s->asks = calloc(ASKS_MAX, sizeof *s->asks))) {
        free(s);
        return NULL;
    }
    s->home = home;
    s->account = account;
    s->ops = ops;
    s->arg = arg;
    buf_init(&s->out, OUT_BYTES_MAX);
    buf_init(&s->acks, OUT_BYTES_MAX);
    return s;
}

void sync_free(struct sync *s)
{
    if (!s) return;
    free(s->asks);
    free(s->touched);
    free(s->events);
    buf_fini(&s->out);
    buf_fini(&s->acks);
    free(s);
}

/* Outside a transaction: nothing of it concerns the store. */
static int send_now(struct sync *s, const struct msg *m)
{
    struct buf frame;
    buf_init(&frame, FRAME_BYTES_MAX);
    int err = msg_encode(m, &frame);
    if (!err) s->ops->send(s->arg, buf_bytes(&frame));
    buf_fini(&frame);
    return err;
}

int sync_on_up(struct sync *s)
{
    /* Again from the store: a transaction that was undone, or another process, may have changed it. */
    int err = home_account_get(s->home, s->account);
    if (err) return err;
    struct msg m = { .type = MSG_HELLO, .has_ref = true, .ref = ++s->ref };
    m.u.hello = (struct msg_hello){ .version = PROTOCOL_VERSION, .user = s->account->user,
                                    .device = s->account->device, .token = BYTES_OF(s->account->token),
                                    .agent = bytes_of_str("pipit/" PIPIT_VERSION) };
    return send_now(s, &m);
}

void sync_on_lost(struct sync *s)
{
    s->open = s->synced = false;
    s->ask_count = 0;
}

uint64_t sync_ping(struct sync *s)
{
    struct ask *a = s->open ? ask_put(s, NULL, ASK_PING, s->ref + 1) : NULL;
    if (!a) return 0;
    struct msg m = { .type = MSG_PING, .has_ref = true, .ref = a->ref };
    send_now(s, &m);
    return a->number;
}

bool sync_is_open(const struct sync *s)
{
    return s->open;
}

bool sync_is_synced(const struct sync *s)
{
    return s->synced;
}

const struct msg_welcome *sync_welcome(const struct sync *s)
{
    return &s->welcome;
}

uint64_t sync_due_ms(const struct sync *s)
{
    uint64_t due = s->expire_ms;
    for (size_t i = 0; i < s->ask_count; i++)
        if (s->asks[i].again_ms != 0 && s->asks[i].again_ms < due) due = s->asks[i].again_ms;
    return due;
}
