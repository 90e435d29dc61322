/* pipit_ask.c - questions of the library: history, info (see pipit.h).
 *
 * A question is an errand in the home; its answer comes back there, whether this process or another has the session. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/pipit_impl.h"
#include "tools/common/utf8.h"

enum { HISTORY_MAX = 10000 };             /* messages held until the oldest has come: a hundred pages of 64 KiB */

struct asking {
    uint64_t errand;
    struct buf *answer;
};

static int look_errand(struct pipit *p, void *arg)
{
    struct asking *a = arg;
    int err = home_errand_take(p->home, a->errand, a->answer);
    if (err == ERR_NOT_FOUND) return ERR_AGAIN;
    return err ? pipit_fail(p, err, NULL) : 0;
}

/* What was refused is an error of ours; a code that this version does not know is one too. */
static int open_answer(struct pipit *p, struct bytes answer, enum msg_type wanted, struct msg *m)
{
    char text[160];
    int err = msg_decode(answer, m, NULL);
    if (err) return pipit_fail(p, ERR_MALFORMED, "the answer cannot be read");
    if (m->type == wanted) return 0;
    if (m->type != MSG_ERROR) return pipit_fail(p, ERR_MALFORMED, "the answer is of another kind");
    utf8_line(m->u.error.text, text, sizeof text);
    err = m->u.error.code > 0 && m->u.error.code < INT32_MAX ? -(int)m->u.error.code : ERR_MALFORMED;
    return pipit_fail(p, err, text);
}

int pipit_ask(struct pipit *p, const struct msg *request, enum msg_type wanted, uint64_t timeout_ms, struct buf *answer,
              struct msg *m_out)
{
    struct asking a = { .answer = answer };
    struct buf frame;
    buf_init(&frame, FRAME_BYTES_MAX);
    int err = msg_encode(request, &frame);
    if (!err) err = home_errand_add(p->home, buf_bytes(&frame), wall_ms(), &a.errand);
    buf_fini(&frame);
    if (err) return pipit_fail(p, err, NULL);
    p->due = true;
    err = pipit_until(p, look_errand, &a, timeout_ms);
    if (err) home_errand_drop(p->home, a.errand);
    return err ? err : open_answer(p, buf_bytes(answer), wanted, m_out);
}

/* ---- history ---- */

static int is_hidden(void *arg, const struct message_row *row)
{
    *(bool *)arg = row->hidden;
    return 0;
}

/* What was deleted here for its owner is not shown again, though the server has it. */
static int give_record(struct pipit *p, const struct msg_message *record, const struct user_id *peer,
                       pipit_message_fn *each, void *arg)
{
    bool hidden = false;
    int err = home_message_by_id(p->home, &record->id, is_hidden, &hidden);
    if (err && err != ERR_NOT_FOUND) return pipit_fail(p, err, NULL);
    if (hidden || !pipit_is_told(record)) return 0;
    const struct pipit_message message = pipit_message_of(&p->account.user, record, peer);
    return each(arg, &message);
}

/* In their order: the records, and between them what is gone. */
static int give_page(struct pipit *p, const struct msg_page *page, const struct user_id *peer, pipit_message_fn *each,
                     void *arg)
{
    struct bytes records = page->records, ranges = page->gone;
    struct msg_message record;
    struct gone gone;
    int err = 0;
    bool has_record = page_next(&records, &record) == 0, has_gone = gone_next(&ranges, &gone) == 0;
    while (!err && (has_record || has_gone)) {
        if (has_gone && (!has_record || gone.from < record.seq)) {
            const struct pipit_message message = { .conv = page->conv, .peer = *peer, .seq = gone.from,
                                                   .what = PIPIT_GONE, .gone_to = gone.to };
            err = each(arg, &message);
            has_gone = gone_next(&ranges, &gone) == 0;
        } else {
            err = give_record(p, &record, peer, each, arg);
            has_record = page_next(&records, &record) == 0;
        }
    }
    return err;
}

/* The page before `before`, after those before it: pages come newest first, people read oldest first. */
static int each_page(struct pipit *p, const struct user_id *peer, uint64_t before, uint64_t limit, uint64_t timeout_ms,
                     pipit_message_fn *each, void *arg)
{
    struct msg request = { .type = MSG_HISTORY, .has_ref = true, .ref = 1 }, m;
    struct msg_message record;
    struct buf answer;
    uint64_t count = 0, first = 0;
    request.u.history = (struct msg_history){ .to = { .conv = conv_id_direct(&p->account.user, peer) },
                                              .has_before = before > 0, .before = before,
                                              .limit = limit < PAGE_RECORDS_MAX ? limit : PAGE_RECORDS_MAX };
    buf_init(&answer, FRAME_BYTES_MAX);
    int err = pipit_ask(p, &request, MSG_PAGE, timeout_ms, &answer, &m);
    struct bytes rest = err ? BYTES_NONE : m.u.page.records;
    while (!err && page_next(&rest, &record) == 0) {
        if (count++ == 0) first = record.seq;
    }
    if (!err && m.u.page.more && count && count < limit)
        err = each_page(p, peer, first, limit - count, timeout_ms, each, arg);
    if (!err) err = give_page(p, &m.u.page, peer, each, arg);
    buf_fini(&answer);
    return err;
}

int pipit_history(struct pipit *p, const struct user_id *peer, uint64_t before, uint64_t limit, uint64_t timeout_ms,
                  pipit_message_fn *each, void *arg)
{
    if (limit == 0 || limit > HISTORY_MAX) return pipit_fail(p, ERR_RANGE, "at most 10000 messages at once");
    return each_page(p, peer, before, limit, timeout_ms, each, arg);
}
_Static_assert(HISTORY_MAX == 10000, "pipit_history() says so");

/* One page that begins above `after`; *last_out is its last sequence, 0 when it has none. */
static int page_after(struct pipit *p, const struct conv_id *conv, const struct user_id *peer, uint64_t after,
                      uint64_t timeout_ms, pipit_message_fn *each, void *arg, uint64_t *last_out, bool *more_out)
{
    struct msg request = { .type = MSG_HISTORY, .has_ref = true, .ref = 1 }, m;
    struct msg_message record;
    struct buf answer;
    request.u.history = (struct msg_history){ .to = { .conv = *conv }, .has_after = true, .after = after,
                                              .limit = PAGE_RECORDS_MAX };
    buf_init(&answer, FRAME_BYTES_MAX);
    int err = pipit_ask(p, &request, MSG_PAGE, timeout_ms, &answer, &m);
    struct bytes rest = err ? BYTES_NONE : m.u.page.records;
    *last_out = 0;
    while (!err && page_next(&rest, &record) == 0) *last_out = record.seq;
    if (!err) *more_out = m.u.page.more;
    if (!err) err = give_page(p, &m.u.page, peer, each, arg);
    buf_fini(&answer);
    return err;
}

int pipit_history_after(struct pipit *p, const struct conv_id *conv, const struct user_id *peer, uint64_t after,
                        uint64_t timeout_ms, pipit_message_fn *each, void *arg)
{
    uint64_t last;
    bool more = true;
    int err = 0;
    while (!err && more) {
        err = page_after(p, conv, peer, after, timeout_ms, each, arg, &last, &more);
        if (last == 0) more = false;
        else after = last;
    }
    return err;
}

int pipit_history_around(struct pipit *p, const struct user_id *peer, uint64_t ms, uint64_t limit, uint64_t timeout_ms,
                         pipit_message_fn *each, void *arg)
{
    struct msg request = { .type = MSG_HISTORY, .has_ref = true, .ref = 1 }, m;
    struct buf answer;
    if (limit == 0 || limit > PAGE_RECORDS_MAX) return pipit_fail(p, ERR_RANGE, "at most 100 messages around a time");
    request.u.history = (struct msg_history){ .to = { .conv = conv_id_direct(&p->account.user, peer) }, .limit = limit,
                                              .has_around = true, .around = ms < NUMBER_MAX ? ms : NUMBER_MAX };
    buf_init(&answer, FRAME_BYTES_MAX);
    int err = pipit_ask(p, &request, MSG_PAGE, timeout_ms, &answer, &m);
    if (!err) err = give_page(p, &m.u.page, peer, each, arg);
    buf_fini(&answer);
    return err;
}
_Static_assert(PAGE_RECORDS_MAX == 100, "pipit_history_around() says so");

struct handing {
    struct pipit *p;
    pipit_message_fn *each;
    void *arg;
};

static int hand_over(void *arg, const struct message_row *row)
{
    struct handing *h = arg;
    if (!pipit_is_told(&row->m)) return 0;
    const struct pipit_message message = pipit_message_of(&h->p->account.user, &row->m, &row->peer);
    return h->each(h->arg, &message);
}

int pipit_history_here(struct pipit *p, const struct user_id *peer, uint64_t before, uint64_t limit,
                       pipit_message_fn *each, void *arg)
{
    struct handing h = { p, each, arg };
    struct conv_id conv = conv_id_direct(&p->account.user, peer);
    if (limit == 0 || limit > HISTORY_MAX) return pipit_fail(p, ERR_RANGE, "at most 10000 messages at once");
    int err = home_message_each_last(p->home, &conv, before, (uint32_t)limit, hand_over, &h);
    return err ? pipit_fail(p, err, NULL) : 0;
}

/* Below every id of that time, above all of the time before. */
static struct msg_id id_below(uint64_t ms)
{
    struct msg_id id = { { 0 } };
    uint64_t last = ms < UINT64_C(1) << 48 ? ms : (UINT64_C(1) << 48) - 1;
    put_u64(id.v, last << 16);
    return id;
}

struct oldest { struct msg_id id; uint32_t count; };

static int keep_oldest(void *arg, const struct message_row *row)
{
    struct oldest *o = arg;
    o->id = row->m.id;
    o->count++;
    return 0;
}

static int hand_over_unhidden(void *arg, const struct message_row *row)
{
    return row->hidden ? 0 : hand_over(arg, row);
}

int pipit_history_around_here(struct pipit *p, const struct user_id *peer, uint64_t ms, uint64_t limit,
                              pipit_message_fn *each, void *arg)
{
    struct handing h = { p, each, arg };
    struct conv_id conv = conv_id_direct(&p->account.user, peer);
    struct oldest o = { .id = id_below(ms) };
    if (limit == 0 || limit > PAGE_RECORDS_MAX) return pipit_fail(p, ERR_RANGE, "at most 100 messages around a time");
    int err = limit / 2 ? home_message_each_older(p->home, &conv, &o.id, (uint32_t)limit / 2, keep_oldest, &o) : 0;
    /* From the oldest of those before, itself included, on: what is right below an id has its number less one. */
    for (int i = 15; o.count && i >= 0 && o.id.v[i]-- == 0; i--)
        continue;
    uint32_t rest = (uint32_t)(limit - limit / 2);
    if (!err) err = home_message_each_newer(p->home, &conv, &o.id, o.count + rest, hand_over_unhidden, &h);
    return err ? pipit_fail(p, err, NULL) : 0;
}

/* ---- info ---- */

struct found {
    const struct pipit *p;
    struct pipit_message message;
    bool has_seq;
};

static int remember(void *arg, const struct message_row *row)
{
    struct found *f = arg;
    f->message = pipit_message_of(&f->p->account.user, &row->m, &row->peer);
    f->message.text = BYTES_NONE;         /* it goes with the row */
    f->has_seq = row->has_seq;
    return 0;
}

int pipit_info(struct pipit *p, const struct msg_id *id, uint64_t timeout_ms, struct pipit_message *message_out,
               int (*each)(void *arg, const struct pipit_member *member), void *arg)
{
    struct msg request = { .type = MSG_INFO, .has_ref = true, .ref = 1 }, m;
    struct found found = { .p = p };
    struct member_state state;
    struct buf answer;
    int err = home_message_by_id(p->home, id, remember, &found);
    if (err == ERR_NOT_FOUND || (!err && !found.has_seq))
        return pipit_fail(p, ERR_NOT_FOUND, "this home knows no such message");
    if (err) return pipit_fail(p, err, NULL);
    request.u.info = (struct msg_info){ .to = { .conv = found.message.conv }, .seq = found.message.seq };
    buf_init(&answer, FRAME_BYTES_MAX);
    err = pipit_ask(p, &request, MSG_INFO_ANSWER, timeout_ms, &answer, &m);
    if (!err) *message_out = found.message;
    struct bytes rest = err ? BYTES_NONE : m.u.info_answer.members;
    while (!err && members_next(&rest, &state) == 0) {
        const struct pipit_member member = { state.user, state.delivered_ms, state.read_ms,
                                             (state.before & MEMBER_DELIVERED_BEFORE) != 0,
                                             (state.before & MEMBER_READ_BEFORE) != 0 };
        err = each(arg, &member);
    }
    buf_fini(&answer);
    return err;
}

/* ---- devices ---- */

static int ask_devices(struct pipit *p, const struct msg_devices *what, uint64_t timeout_ms, pipit_device_fn *each,
                       void *arg)
{
    struct msg request = { .type = MSG_DEVICES, .has_ref = true, .ref = 1 }, m;
    struct device_entry entry;
    struct buf answer;
    request.u.devices = *what;
    buf_init(&answer, FRAME_BYTES_MAX);
    int err = pipit_ask(p, &request, MSG_DEVICE_LIST, timeout_ms, &answer, &m);
    struct bytes rest = err ? BYTES_NONE : m.u.device_list.devices;
    while (!err && each && devices_next(&rest, &entry) == 0) {
        const struct pipit_device d = { entry.device, entry.name, entry.created_ms, entry.live_ms, entry.mine };
        err = each(arg, &d);
    }
    buf_fini(&answer);
    return err;
}

int pipit_devices(struct pipit *p, uint64_t timeout_ms, pipit_device_fn *each, void *arg)
{
    const struct msg_devices what = { .action = DEVICES_LIST };
    return ask_devices(p, &what, timeout_ms, each, arg);
}

int pipit_device_name(struct pipit *p, struct device_id device, const char *name, uint64_t timeout_ms,
                      pipit_device_fn *each, void *arg)
{
    const struct msg_devices what = { .action = DEVICES_NAME, .device = device, .has_name = true,
                                      .name = bytes_of_str(name) };
    if (what.name.len > NAME_BYTES_MAX || !bytes_is_line(what.name))
        return pipit_fail(p, ERR_RANGE, "a device's name is one line of at most 64 bytes");
    return ask_devices(p, &what, timeout_ms, each, arg);
}

struct looked_for { struct device_id device; bool found; };

static int look_device(void *arg, const struct pipit_device *d)
{
    struct looked_for *l = arg;
    l->found = l->found || d->device.v == l->device.v;
    return 0;
}

/* A request that the server did, and whose answer was lost with the link, is asked again and then refused: there is no
 * such device any more. So it is looked for first; whoever revoked one that was there, it is revoked. */
int pipit_device_revoke(struct pipit *p, struct device_id device, uint64_t timeout_ms, pipit_device_fn *each, void *arg)
{
    const struct msg_devices what = { .action = DEVICES_REVOKE, .device = device };
    struct looked_for l = { .device = device };
    if (device.v == p->account.device.v) return pipit_fail(p, ERR_RANGE, "this device is logged out, not revoked");
    int err = pipit_devices(p, timeout_ms, look_device, &l);
    if (!err && !l.found) return pipit_fail(p, ERR_NOT_FOUND, "no such device");
    if (!err) err = ask_devices(p, &what, timeout_ms, each, arg);
    return err == ERR_NOT_FOUND ? pipit_devices(p, timeout_ms, each, arg) : err;
}
