/* receipts.c - see receipts.h. */
#include "server/chat/receipts.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/proto.h"
#include "server/chat/state.h"

void receipts_list(struct chat *chat, struct conv *conv)
{
    if (conv->in_marks) return;
    conv->in_marks = true;
    DL_APPEND2(chat->marks, conv, marks_prev, marks_next);
}

void receipts_unlist(struct chat *chat, struct conv *conv)
{
    if (!conv->in_marks) return;
    conv->in_marks = false;
    DL_DELETE2(chat->marks, conv, marks_prev, marks_next);
}

void receipts_note(struct chat *chat, struct conv *conv, struct ask *ask)
{
    uint64_t delivered = ask->u.cursor.delivered, read = ask->u.cursor.read, from, to;
    struct conv_member *m = conv_member(conv, &ask->user);
    if (!m) {
        ask_answer(chat, ask, ERR_NOT_FOUND, NULL);
        return;
    }
    conv_span(conv, m, &from, &to);
    if (delivered > to || read > to) {
        ask_answer(chat, ask, ERR_PAST_HEAD, NULL);
        return;
    }
    /* Below what the member may see there is nothing to have: it was erased. */
    if (delivered < from) delivered = 0;
    if (read < from) read = 0;
    struct conv_device *d = conv_device(conv, (uint32_t)(m - conv->members), ask->device);
    if (!d) {
        ask_answer(chat, ask, ERR_BUSY, NULL);
        return;
    }
    bool moved = false;
    if (delivered > d->noted) {
        d->noted = delivered;
        moved = true;
    }
    if (read > m->read_noted) {
        m->read_noted = d->read_noted = read;
        moved = true;
    }
    if (moved) {
        d->noted_ms = chat->shard->wall_ms;
        receipts_list(chat, conv);
    }
    ask_answer(chat, ask, 0, NULL);
}

void receipts_durable(struct chat *chat, struct conv *conv, const struct mark *marks, uint32_t count)
{
    STAT_ADD(&chat->shard->stats, marks, count);
    for (uint32_t i = 0; i < count; i++) {
        struct conv_device *d = conv_device_find(conv, marks[i].device);
        struct conv_member *m = &conv->members[d->member];
        if (marks[i].delivered > d->delivered) d->delivered = marks[i].delivered;
        if (marks[i].delivered > m->row.delivered) {
            m->row.delivered = marks[i].delivered;
            m->row.delivered_ms = marks[i].time_ms;
            m->tell = true;
        }
        if (marks[i].read > m->row.read) {
            m->row.read = marks[i].read;
            m->row.read_ms = marks[i].time_ms;
            m->tell = m->tell_read = true;
        }
        if (marks[i].time_ms > conv->marked_ms) conv->marked_ms = marks[i].time_ms;
        if (m->tell && !conv->in_receipts) {
            conv->in_receipts = true;
            DL_APPEND2(chat->receipts, conv, tell_prev, tell_next);
        }
    }
}

struct frame *receipts_frame(const struct conv_id *conv, const struct member_row *member, struct buf *scratch)
{
    struct msg m = { .type = MSG_RECEIPT };
    m.u.receipt.conv = *conv;
    m.u.receipt.user = member->user;
    m.u.receipt.delivered = member->delivered;
    m.u.receipt.read = member->read;
    m.u.receipt.time_ms = member->read_ms > member->delivered_ms ? member->read_ms : member->delivered_ms;
    buf_clear(scratch);
    return msg_encode(&m, scratch) ? NULL : frame_ws(buf_bytes(scratch));
}

void notice_unref(struct notice *notice)
{
    if (atomic_fetch_sub_explicit(&notice->refs, 1, memory_order_acq_rel) > 1) return;
    frame_unref(notice->frame);
    roster_unref(notice->roster);
    free(notice);
}

/* One member's cursors to everyone whom they concern. False: some pipe has no room, and all is told again later: a
 * receipt may come twice, since it only says how far someone is. */
static bool tell(struct chat *chat, struct conv *conv, struct conv_member *m)
{
    struct roster *roster = conv->roster;
    struct notice *n = calloc(1, sizeof *n);
    struct frame *frame = n ? receipts_frame(&conv->id, &m->row, &chat->scratch) : NULL;
    if (!frame) {
        free(n);
        return false;
    }
    n->type = conv->type;
    n->conv = conv->id;
    n->about = m->row.user;
    n->to_own = m->tell_read;
    n->frame = frame;
    n->roster = roster_ref(roster);
    atomic_init(&n->refs, 1);
    bool all = true;
    for (uint32_t i = 0; i < roster->slice_count && all; i++) {
        const struct roster_slice *slice = &roster->slices[i];
        bool only_self = slice->count == 1 && user_id_equal(&roster->users[slice->first], &m->row.user);
        if (only_self && !n->to_own) continue;        /* nobody there would be told */
        struct parcel parcel = { .kind = PARCEL_RECEIPT, .slice = i, .u.notice = n };
        atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
        all = shard_push(chat->shard, slice->shard, &parcel);
        if (!all) notice_unref(n);
    }
    notice_unref(n);
    if (all) m->tell = m->tell_read = false;
    return all;
}

bool receipts_run(struct chat *chat)
{
    uint32_t budget = RECEIPT_PARCELS_PER_TURN;
    struct conv *conv, *tmp;
    DL_FOREACH_SAFE2(chat->receipts, conv, tmp, tell_next) {
        if (budget == 0) return true;
        budget--;
        bool all = true;
        for (uint32_t i = 0; i < conv->member_count; i++) {
            if (conv->members[i].tell && !tell(chat, conv, &conv->members[i])) all = false;
        }
        if (!all) continue;                           /* its shard is woken when there is room */
        conv->in_receipts = false;
        DL_DELETE2(chat->receipts, conv, tell_prev, tell_next);
    }
    return false;
}
