/* fanout.c - see fanout.h. */
#include "server/chat/fanout.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/proto.h"
#include "server/chat/state.h"

void delivery_unref(struct delivery *d)
{
    if (atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) > 1) return;
    frame_unref(d->frame);
    roster_unref(d->roster);
    free(d);
}

struct frame *fanout_frame(const struct msg_message *message, struct buf *scratch)
{
    struct msg m = { .type = MSG_MESSAGE };
    m.u.message = *message;
    buf_clear(scratch);
    return msg_encode(&m, scratch) ? NULL : frame_ws(buf_bytes(scratch));
}

static struct frame *frame_of(struct chat *chat, const struct conv *conv, const struct pending *p)
{
    struct msg_message m = {
        .seq = p->record.seq,
        .id = p->record.id,
        .kind = p->record.kind,
        .flags = p->record.flags & RECORD_COUNTS,
        .counted = p->record.counted,
        .from = p->ask->user,
        .device = p->ask->device,
        .client_seq = p->ask->u.send.client_seq,
        .body = ask_body(p->ask),
        .expiry_ms = p->record.expiry_ms,
    };
    conv_describe(conv, &m);
    return fanout_frame(&m, &chat->scratch);
}

/* Push to as many shards as have room. True: to all that were left. */
static bool push(struct chat *chat, struct delivery *d, uint16_t *next_slice, uint32_t *parcels)
{
    while (*next_slice < d->roster->slice_count) {
        struct parcel parcel = { .kind = PARCEL_DELIVER, .slice = *next_slice, .u.delivery = d };
        atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
        if (!shard_push(chat->shard, d->roster->slices[*next_slice].shard, &parcel)) {
            delivery_unref(d);
            return false;
        }
        (*next_slice)++;
        (*parcels)++;
    }
    return true;
}

static void wait_for_room(struct chat *chat, struct conv *conv, struct delivery *d, uint16_t next_slice)
{
    struct fan_item *item = calloc(1, sizeof *item);
    assert(item);                                     /* out of memory: a restart catches everyone up */
    if (d->frame && next_slice == 0 && chat->fanout_bytes + d->frame->len > chat->settings.fanout_bytes_max) {
        frame_unref(d->frame);                        /* nobody has seen it yet: only the news */
        d->frame = NULL;
    }
    if (d->frame) chat->fanout_bytes += d->frame->len;
    item->delivery = d;
    item->next_slice = next_slice;
    DL_APPEND(conv->fan, item);
    if (conv->in_fanout) return;
    conv->in_fanout = true;
    DL_APPEND2(chat->fanout, conv, fan_prev, fan_next);
}

void fanout_add(struct chat *chat, struct conv *conv, const struct pending *p)
{
    struct fan_item *last = conv->fan ? conv->fan->prev : NULL;    /* utlist: the first knows the last */
    bool crowded = chat->fanout_bytes > chat->settings.fanout_bytes_max;
    if (crowded && last && !last->delivery->frame && last->next_slice == 0 &&
        last->delivery->roster == conv->roster) {
        last->delivery->deletes |= p->record.kind == KIND_DELETE;
        last->delivery->seq = p->record.seq;          /* one piece of news tells of all before it */
        last->delivery->session_number = 0;
        return;
    }
    struct delivery *d = calloc(1, sizeof *d);
    assert(d);
    atomic_init(&d->refs, 1);
    d->type = conv->type;
    d->conv = conv->id;
    d->seq = p->record.seq;
    d->deletes = p->record.kind == KIND_DELETE;
    d->device = p->ask->device;
    d->session_number = p->ask->session_number;
    d->roster = roster_ref(conv->roster);
    d->frame = crowded ? NULL : frame_of(chat, conv, p);
    uint16_t next_slice = 0;
    uint32_t parcels = 0;
    if (conv->fan || !push(chat, d, &next_slice, &parcels)) wait_for_room(chat, conv, d, next_slice);
    else delivery_unref(d);
}

void fanout_forget(struct chat *chat, struct conv *conv, uint64_t seq)
{
    struct fan_item *item;
    DL_FOREACH(conv->fan, item) {
        /* One that some shards have been given is theirs: what they do with it they have begun. */
        if (item->delivery->seq != seq || !item->delivery->frame || item->next_slice > 0) continue;
        chat->fanout_bytes -= item->delivery->frame->len;
        frame_unref(item->delivery->frame);
        item->delivery->frame = NULL;
    }
}

bool fanout_run(struct chat *chat)
{
    uint32_t parcels = 0;
    struct conv *conv, *tmp;
    bool moved = true;
    /* Rounds of one message for each conversation, so that a long queue delays nobody else. */
    while (moved && chat->fanout && parcels < FANOUT_PARCELS_PER_TURN) {
        moved = false;
        DL_FOREACH_SAFE2(chat->fanout, conv, tmp, fan_next) {
            struct fan_item *item = conv->fan;
            if (!push(chat, item->delivery, &item->next_slice, &parcels)) continue;
            moved = true;
            if (item->delivery->frame) chat->fanout_bytes -= item->delivery->frame->len;
            DL_DELETE(conv->fan, item);
            delivery_unref(item->delivery);
            free(item);
            if (conv->fan) continue;
            conv->in_fanout = false;
            DL_DELETE2(chat->fanout, conv, fan_prev, fan_next);
        }
    }
    return chat->fanout && moved;
}
