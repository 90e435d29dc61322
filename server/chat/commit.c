/* commit.c - see commit.h. The committer thread runs commit_run() and nothing else of this file. */
#include "server/chat/commit.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "server/chat/accept.h"
#include "server/chat/fanout.h"
#include "server/chat/flush.h"
#include "server/chat/receipts.h"
#include "server/chat/state.h"

enum {
    ID_RANDOM_BYTES = 8,              /* what a message id takes */
    RANDOM_BYTES = 64 * ID_RANDOM_BYTES,
    AGE_LOOK_MS = 60 * 1000,          /* the age of the open segment is hours */
};

struct commit {
    struct work work;
    struct batch *batch;
    const struct clock *clock;
    uint64_t took_us;                 /* waiting for the committer included */
    uint64_t started_us;
    /* -- the shard's -- */
    struct chat *chat;
    struct timeout age_timer;
    uint8_t random[RANDOM_BYTES];     /* drawn and not used yet: the last `random_left` of them */
    size_t random_left;
};

/* -- appending ------------------------------------------------------------------------------------------------ */

/* An id for the next record. Its random bits are no secret (whoever gets the message reads them), so they may lie here
 * for a while; they are drawn by the block because each draw is a system call. */
static struct msg_id fresh_id(struct chat *chat, const struct msg_id *prev)
{
    struct commit *c = chat->commit;
    if (c->random_left == 0) {
        randombytes_buf(c->random, sizeof c->random);
        c->random_left = sizeof c->random;
    }
    c->random_left -= ID_RANDOM_BYTES;
    return msg_id_next(prev, chat->shard->wall_ms, c->random + c->random_left);
}

static void send_entry(const struct pending *p, const struct conv *conv, struct entry *out)
{
    const struct ask *ask = p->ask;
    memset(out, 0, sizeof *out);
    out->sender = ask->user;
    out->device = ask->device;
    out->client_seq = ask->u.send.client_seq;
    out->settled = ask->u.send.settled;
    out->body = ask_body(ask);
    if (p->names_members) {
        out->member_count = 2;
        out->members[0] = conv->members[0].row.user;
        out->members[1] = conv->members[conv->member_count - 1].row.user;
    }
}

static int append(struct chat *chat, struct conv *conv, struct pending *p, const struct entry *entry)
{
    struct position pos;
    assert(conv->key.number);
    p->conv = conv;
    p->record.partition = conv->id;
    p->record.key = conv->key.number;
    int err = log_append(chat->log, &p->record, entry, conv->key.key, &pos);
    if (err) return err;
    p->record.log = pos.log;
    p->record.number = pos.number;
    /* A batch under load holds thousands: its end is remembered, not walked to. */
    p->next = NULL;
    if (chat->open) chat->open_last->next = p;
    else chat->open = p;
    chat->open_last = p;
    chat->open_count++;
    conv->pending++;
    return 0;
}

/* When the record disappears: as the conversation's timer or the send itself says, whichever is sooner. 0: never. */
static uint64_t expiry_of(const struct conv *conv, const struct ask *ask, const struct msg_id *id)
{
    uint64_t after_s = conv->timer_s;
    if (ask->u.send.kind != KIND_MESSAGE) return 0;
    if (ask->u.send.expire_s && (after_s == 0 || ask->u.send.expire_s < after_s)) after_s = ask->u.send.expire_s;
    return after_s ? msg_id_ms(id) + after_s * 1000 : 0;
}

/* How many messages a DELETE names. */
static uint32_t deleted_by(const struct ask *ask)
{
    return ask->body_len / FOLD_NUMBER_BYTES;
}

int commit_append_send(struct chat *chat, struct conv *conv, struct conv_device *device, struct ask *ask)
{
    /* What this device said it has comes first, so that the send may count as acknowledged by its own device. */
    int err = conv->in_marks ? commit_append_marks(chat, conv) : 0;
    if (err) return err;
    if (ask->u.send.kind == KIND_DELETE) err = conv_deleted_reserve(chat, conv, deleted_by(ask));
    if (err) return err;
    struct pending *p = calloc(1, sizeof *p);
    struct repeat *repeat = p ? accept_repeat_add(device) : NULL;
    if (!repeat) {
        free(p);
        return ERR_NOMEM;
    }
    const uint8_t kind = ask->u.send.kind;
    bool counts = kind == KIND_MESSAGE && (conv->type != CONV_DIRECT || conv->member_count > 1);
    bool caught_up = device->appended == conv->head;
    p->ask = ask;
    p->names_members = conv->type == CONV_DIRECT && conv->head == 0;
    p->record.seq = conv->head + 1;
    p->record.id = fresh_id(chat, &conv->last_id);
    p->record.kind = kind;
    p->record.flags = (uint16_t)((counts ? RECORD_COUNTS : 0) | (caught_up ? RECORD_SENDER_CAUGHT_UP : 0));
    p->record.counted = conv->counted + counts;
    p->record.expiry_ms = expiry_of(conv, ask, &p->record.id);
    struct entry entry;
    send_entry(p, conv, &entry);
    err = append(chat, conv, p, &entry);
    if (err) {
        device->repeat_count--;
        free(p);
        return err;
    }
    *repeat = (struct repeat){ .client_seq = ask->u.send.client_seq, .seq = p->record.seq, .id = p->record.id,
                               .expiry_ms = p->record.expiry_ms, .pending = p };
    if (kind == KIND_DELETE) conv->deleted_pending += deleted_by(ask);
    if (kind == KIND_TIMER) conv->timer_s = get_u64(ask->body);
    if (caught_up) device->appended = p->record.seq;
    conv->head = p->record.seq;
    conv->counted = p->record.counted;
    conv->last_id = p->record.id;
    return 0;
}

int commit_append_marks(struct chat *chat, struct conv *conv)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < conv->device_count; i++) {
        const struct conv_device *d = &conv->devices[i];
        count += d->noted > d->appended || d->read_noted > 0;
    }
    if (count > MARKS_PER_RECORD_MAX) count = MARKS_PER_RECORD_MAX;   /* the rest in the next record */
    struct pending *p = calloc(1, sizeof *p + count * sizeof p->marks[0]);
    if (!p) return ERR_NOMEM;
    for (uint32_t i = 0; i < conv->device_count && p->mark_count < count; i++) {
        const struct conv_device *d = &conv->devices[i];
        if (d->noted <= d->appended && d->read_noted == 0) continue;
        p->marks[p->mark_count++] = (struct mark){
            .user = conv->members[d->member].row.user,
            .device = d->device,
            .delivered = d->noted > d->appended ? d->noted : 0,
            .read = d->read_noted,
            .time_ms = d->noted_ms,
        };
    }
    if (count > 0) {
        static const struct msg_id none;
        p->record.id = fresh_id(chat, &none);
        p->record.kind = KIND_MARKS;
        p->record.seq = conv->head;                   /* its place when sorted */
        p->record.counted = conv->counted;
        struct entry entry = { .marks = p->marks, .mark_count = p->mark_count };
        int err = append(chat, conv, p, &entry);
        if (err) {
            free(p);
            return err;
        }
        for (uint32_t i = 0; i < p->mark_count; i++) {
            struct conv_device *d = conv_device_find(conv, p->marks[i].device);
            if (p->marks[i].delivered > d->appended) d->appended = p->marks[i].delivered;
            d->read_noted = 0;
        }
    } else {
        free(p);
    }
    bool more = false;
    for (uint32_t i = 0; i < conv->device_count && !more; i++) {
        more = conv->devices[i].noted > conv->devices[i].appended || conv->devices[i].read_noted > 0;
    }
    if (!more) receipts_unlist(chat, conv);
    return 0;
}

/* -- durable ---------------------------------------------------------------------------------------------------- */

static void answer_send(struct chat *chat, struct ask *ask, const struct pending *p, int err)
{
    if (err) {
        STAT_ADD(&chat->shard->stats, sends_unknown, 1);
    } else {
        ask->u.send.seq = p->record.seq;
        ask->u.send.id = p->record.id;
        ask->u.send.expiry_ms = p->record.expiry_ms;
    }
    ask_answer(chat, ask, err, NULL);
}

static void answer_all(struct chat *chat, struct pending *p, int err)
{
    answer_send(chat, p->ask, p, err);
    while (p->repeats) {
        struct ask *ask = p->repeats;
        DL_DELETE(p->repeats, ask);
        answer_send(chat, ask, p, err);
    }
}

static struct repeat *pending_repeat(struct pending *p, struct conv_device **device_out)
{
    struct conv_device *d = conv_device_find(p->conv, p->ask->device);
    struct repeat *r = conv_repeat(d, p->ask->u.send.client_seq);
    assert(r && r->pending == p);
    *device_out = d;
    return r;
}

/* From here on nobody is given them: reading.c looks at what facts do not know yet, fan-out keeps no copy. */
static void delete_is_durable(struct chat *chat, struct pending *p)
{
    struct bytes rest = ask_body(p->ask);
    uint64_t seq;
    p->conv->deletes++;
    while (body_next(&rest, &seq) == 0) {
        p->conv->deleted_pending--;
        conv_deleted_add(p->conv, seq, p->record.number);
        fanout_forget(chat, p->conv, seq);
    }
}

static void send_is_durable(struct chat *chat, struct pending *p)
{
    struct conv *conv = p->conv;
    struct conv_device *d;
    struct repeat *r = pending_repeat(p, &d);
    struct conv_member *m = &conv->members[d->member];
    r->pending = NULL;
    if (r->client_seq < d->settled) conv_repeat_drop(d, r);
    conv->committed_head = p->record.seq;
    conv->committed_counted = p->record.counted;
    conv->committed_id = p->record.id;
    if (p->record.kind == KIND_MESSAGE) m->row.sent = p->record.seq;
    if (p->record.kind == KIND_TIMER) conv->committed_timer_s = get_u64(p->ask->body);
    if (p->record.kind == KIND_DELETE) delete_is_durable(chat, p);
    if (p->record.flags & RECORD_SENDER_CAUGHT_UP) {
        d->delivered = p->record.seq;
        if (d->noted < d->delivered) d->noted = d->delivered;
        if (m->row.delivered < d->delivered) m->row.delivered = d->delivered;
    }
    STAT_ADD(&chat->shard->stats, sends_accepted, 1);
    fanout_add(chat, conv, p);
    answer_all(chat, p, 0);
}

static void pending_is_durable(struct chat *chat, struct pending *p)
{
    struct conv *conv = p->conv;
    struct entry entry = { .marks = p->marks, .mark_count = p->mark_count };
    if (p->ask) send_entry(p, conv, &entry);
    int err = fold_record(chat->fold, &p->record, &entry);
    assert(err == 0);                                 /* out of memory: a restart folds it from the log */
    conv->dirty_number = p->record.number;
    chat->committed = p->record.number;
    if (p->ask) send_is_durable(chat, p);
    else receipts_durable(chat, conv, p->marks, p->mark_count);
}

/* -- taken back -------------------------------------------------------------------------------------------------- */

static void pending_failed(struct chat *chat, struct pending *p, int err)
{
    struct conv *conv = p->conv;
    conv->head = conv->committed_head;
    conv->counted = conv->committed_counted;
    conv->last_id = conv->committed_id;
    conv->timer_s = conv->committed_timer_s;
    for (uint32_t i = 0; i < conv->device_count; i++) conv->devices[i].appended = conv->devices[i].delivered;
    if (p->ask) {
        struct conv_device *d;
        struct repeat *r = pending_repeat(p, &d);
        conv_repeat_drop(d, r);
        if (p->record.kind == KIND_DELETE) conv->deleted_pending -= deleted_by(p->ask);
        answer_all(chat, p, err);
        return;
    }
    for (uint32_t i = 0; i < p->mark_count; i++) {    /* the moves go back into their fold */
        struct conv_device *d = conv_device_find(conv, p->marks[i].device);
        if (d->read_noted < p->marks[i].read) d->read_noted = p->marks[i].read;
    }
    receipts_list(chat, conv);
}

static void pendings_end(struct chat *chat, struct pending **list, int err)
{
    while (*list) {
        struct pending *p = *list;
        LL_DELETE2(*list, p, next);
        p->conv->pending--;
        if (err) pending_failed(chat, p, err);
        else pending_is_durable(chat, p);
        free(p);
    }
}

static void commit_run(struct work *work, void *context)
{
    struct commit *c = (struct commit *)work;
    (void)context;
    work->err = batch_sync(c->batch);
    c->took_us = c->clock->mono_us(c->clock->self) - c->started_us;
}

static void commit_done(struct shard *shard, struct work *work)
{
    struct commit *c = (struct commit *)work;
    struct chat *chat = chat_of(shard);
    int err = work->err;
    log_done(chat->log, c->batch, err);
    c->batch = NULL;
    if (err) {
        bool full = err == ERR_NO_SPACE;
        say(SAY_ERROR, "commit_failed", SAY_U64("log", shard->id), SAY_TEXT("why", err_name(err)),
            SAY_TEXT("next", full ? "goes_on_when_there_is_room" : "read_only_until_restart"));
        if (!full) STAT_SET(&shard->stats, read_only, 1);
        chat->marks_retry_ms = shard->now_ms + STORAGE_RETRY_MS;
        pendings_end(chat, &chat->flight, full ? ERR_STORAGE : ERR_READ_ONLY);
        pendings_end(chat, &chat->open, full ? ERR_STORAGE : ERR_READ_ONLY);
        chat->open_count = 0;
        chat_retry_later(chat);
    } else {
        STAT_ADD(&shard->stats, batches, 1);
        STAT_ADD(&shard->stats, commit_us, c->took_us);
        if (c->took_us > STAT_GET(&shard->stats, commit_us_max)) STAT_SET(&shard->stats, commit_us_max, c->took_us);
        STAT_SET(&shard->stats, log_end, log_committed(chat->log));
        pendings_end(chat, &chat->flight, 0);
        flush_soon(chat);
    }
    accept_retry(chat);
}

/* -- the turn ----------------------------------------------------------------------------------------------------- */

static void append_all_marks(struct chat *chat)
{
    if (chat->shard->now_ms < chat->marks_retry_ms || log_is_read_only(chat->log)) return;
    struct conv *conv, *tmp;
    DL_FOREACH_SAFE2(chat->marks, conv, tmp, marks_next) {
        if (commit_append_marks(chat, conv)) {
            chat_retry_later(chat);
            return;
        }
    }
}

void commit_turn_end(struct chat *chat)
{
    struct commit *c = chat->commit;
    if (c->batch) return;                             /* in flight: moves go on folding until it is back */
    append_all_marks(chat);
    c->batch = log_take(chat->log);
    if (!c->batch) return;
    STAT_ADD(&chat->shard->stats, batch_records, chat->open_count);
    chat->flight = chat->open;
    chat->open = NULL;
    chat->open_count = 0;
    c->started_us = c->clock->mono_us(c->clock->self);
    bool taken = worker_submit(chat->config->committer[chat->shard->id], chat->shard, &c->work);
    assert(taken);                                    /* one batch at a time: its queue has room for one */
}

bool commit_is_idle(const struct chat *chat)
{
    if (chat->commit->batch || chat->open) return false;
    return !chat->marks || log_is_read_only(chat->log) || chat->shard->now_ms < chat->marks_retry_ms;
}

/* The batch that closes it is taken at the end of this turn. */
static void on_age_look(struct timeout *t)
{
    struct commit *c = (struct commit *)((char *)t - offsetof(struct commit, age_timer));
    struct chat *chat = c->chat;
    uint64_t age_ms = chat->settings.segment_ms, now_ms = chat->shard->wall_ms;
    if (chat->stopping) return;
    if (age_ms && log_is_aged(chat->log, now_ms, age_ms)) log_roll(chat->log, now_ms);
    wheel_set(&chat->shard->wheel, &c->age_timer, AGE_LOOK_MS);
}

int commit_open(struct chat *chat)
{
    chat->commit = calloc(1, sizeof *chat->commit);
    if (!chat->commit) return ERR_NOMEM;
    chat->commit->work.run = commit_run;
    chat->commit->work.done = commit_done;
    chat->commit->clock = chat->shard->house->clock;
    chat->commit->chat = chat;
    chat->commit->age_timer.fire = on_age_look;
    wheel_set(&chat->shard->wheel, &chat->commit->age_timer, AGE_LOOK_MS);
    return 0;
}

void commit_close(struct chat *chat)
{
    assert(!chat->commit->batch);
    wheel_cancel(&chat->shard->wheel, &chat->commit->age_timer);
    free(chat->commit);
    chat->commit = NULL;
}
