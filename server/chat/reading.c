/* reading.c - see reading.h.
 *
 * A device without a cursor begins at its `since` time, or behind what its user's devices have acknowledged where that
 * comes first: a record that reached none of them (the only one was logged out, or stayed away) is due to the next one.
 * The first record at or after the time is found by halving: each step is a job that reads one record's time, so the
 * loop never waits for the disk. */
#include "server/chat/reading.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "server/chat/reading_impl.h"
#include "server/chat/receipts.h"

static struct reading *reading_new(struct chat *chat, struct conv *conv, struct ask *ask)
{
    struct reading *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->conv = conv;
    r->ask = ask;
    r->key = conv->key;
    r->end = conv->committed_head;
    r->deletes = conv->deletes;
    if (dead_init(&r->dead, chat, conv)) {
        free(r);
        return NULL;
    }
    r->work.run = reading_run;
    conv_describe(conv, &r->described);
    conv->readings++;
    chat->readings++;
    return r;
}

static void views_drop(struct reading *r)
{
    view_free(r->view);
    view_free(r->marks);
    r->view = r->marks = NULL;
}

static void reading_free(struct chat *chat, struct reading *r)
{
    views_drop(r);
    for (uint32_t i = 0; i < r->cursor_count; i++) frame_unref(r->cursors[i]);
    free(r->cursors);
    dead_fini(&r->dead);
    free(r->states);
    free(r->delivered);
    free(r->read);
    r->conv->readings--;
    chat->readings--;
    sodium_memzero(&r->key, sizeof r->key);
    free(r);
}

static void reading_submit(struct chat *chat, struct reading *r)
{
    if (worker_submit(chat->config->jobs, chat->shard, &r->work)) return;
    DL_APPEND(chat->reading_wait, r);
    chat_retry_later(chat);
}

void reading_retry(struct chat *chat)
{
    struct reading *list = chat->reading_wait;
    chat->reading_wait = NULL;
    while (list) {
        struct reading *r = list;
        DL_DELETE(list, r);
        reading_submit(chat, r);
    }
}

static void say_failed(const struct reading *r, int err)
{
    char text[CONV_ID_TEXT];
    conv_id_print(&r->ask->conv, text);
    if (r->bad_file[0]) {
        say(SAY_ERROR, "damaged", SAY_TEXT("conversation", text), SAY_TEXT("file", r->bad_file),
            SAY_U64("offset", r->bad_offset));
    } else {
        say(SAY_ERROR, "read_failed", SAY_TEXT("conversation", text), SAY_TEXT("why", err_name(err)));
    }
}

static void reading_answer(struct chat *chat, struct reading *r, int err)
{
    struct ask *ask = r->ask;
    if (err && err != ERR_NOT_FOUND) {
        say_failed(r, err);
        err = err == ERR_NOMEM ? ERR_BUSY : err == ERR_CORRUPT ? ERR_DAMAGED : ERR_STORAGE;
    }
    reading_free(chat, r);
    ask_answer(chat, ask, err, NULL);
}

/* A view of from..to (r->view stays NULL when that is nothing), and on to a job. */
static void read_range(struct chat *chat, struct reading *r, uint64_t from, uint64_t to, size_t max, size_t bytes_max)
{
    r->from = from;
    r->to = to;
    if (from <= to) {
        struct find find = { .partition = r->ask->conv, .what = FIND_RECORDS, .from = from, .to = to,
                             .newest = r->newest, .max = max, .bytes_max = bytes_max };
        r->view = log_view(chat->log, &find);
        if (!r->view) {
            reading_answer(chat, r, ERR_NOMEM);
            return;
        }
    }
    reading_submit(chat, r);
}

/* -- FETCH --------------------------------------------------------------------------------------------------------- */

static void add_cursors(struct chat *chat, struct reading *r)
{
    struct conv *conv = r->conv;
    r->cursors = calloc(conv->member_count + 1, sizeof *r->cursors);
    if (!r->cursors) return;
    for (uint32_t i = 0; i < conv->member_count; i++) {
        const struct member_row *row = &conv->members[i].row;
        if (row->delivered == 0 && row->read == 0) continue;
        struct frame *frame = receipts_frame(&conv->id, row, &chat->scratch);
        if (frame) r->cursors[r->cursor_count++] = frame;
    }
}

static void find_page(struct chat *chat, struct reading *r, uint64_t after)
{
    struct conv *conv = r->conv;
    uint64_t from, to;
    conv_span(conv, conv_member(conv, &r->ask->user), &from, &to);
    r->end = to;
    r->after = after;
    if (after + 1 > from) from = after + 1;
    if (r->ask->u.fetch.cursors) add_cursors(chat, r);
    read_range(chat, r, from, to, FETCH_RECORDS_MAX, FETCH_BYTES_MAX);
}

static void seek_step(struct chat *chat, struct reading *r)
{
    if (r->low >= r->high) {
        r->seeking = false;
        find_page(chat, r, r->low - 1);
        return;
    }
    uint64_t middle = r->low + (r->high - r->low) / 2;
    read_range(chat, r, middle, middle, 1, RECORD_BYTES_MAX);
}

/* Something was deleted while this was read: what was made of it may hold what nobody may be given any more. */
static void read_again(struct chat *chat, struct reading *r)
{
    struct ask *ask = r->ask;
    if (ask->kind == ASK_FETCH) {
        page_free(ask->u.fetch.page);
        ask->u.fetch.page = NULL;
    } else if (ask->kind == ASK_MARKS) {
        free(ask->u.marks.list);
        ask->u.marks.list = NULL;
    } else {
        struct frame **frame = ask->kind == ASK_HISTORY ? &ask->u.history.frame : &ask->u.info.frame;
        frame_unref(*frame);
        *frame = NULL;
    }
    reading_free(chat, r);
    conv_on_ask(chat, ask);
}

static void reading_done(struct shard *shard, struct work *work)
{
    struct reading *r = (struct reading *)work;
    struct chat *chat = chat_of(shard);
    if (!work->err && r->deletes != r->conv->deletes) {
        read_again(chat, r);
        return;
    }
    if (!r->seeking || work->err) {
        reading_answer(chat, r, work->err);
        return;
    }
    views_drop(r);
    if (!r->hole && r->seek_ms >= r->ask->u.fetch.since_ms) r->high = r->from;
    else r->low = r->from + 1;                        /* a hole: as if it were old */
    seek_step(chat, r);
}

static void start_fetch(struct chat *chat, struct reading *r, const struct conv_member *m)
{
    struct conv *conv = r->conv;
    const struct ask *ask = r->ask;
    if (ask->u.fetch.have_after) {
        find_page(chat, r, ask->u.fetch.after);
        return;
    }
    const struct conv_device *d = conv_device_find(conv, ask->device);
    if (d && d->noted > 0) {
        find_page(chat, r, d->noted);
        return;
    }
    r->seeking = true;
    conv_span(conv, m, &r->low, &r->high);
    r->high = (m->row.delivered < r->high ? m->row.delivered : r->high) + 1;
    seek_step(chat, r);
}

/* -- HISTORY and INFO ---------------------------------------------------------------------------------------------- */

static void start_history(struct chat *chat, struct reading *r, const struct conv_member *m)
{
    const struct ask *ask = r->ask;
    uint64_t from, to;
    size_t max = ask->u.history.limit < PAGE_RECORDS_MAX ? ask->u.history.limit : PAGE_RECORDS_MAX;
    r->newest = !ask->u.history.has_after;
    conv_span(r->conv, m, &from, &to);
    r->first = from;
    r->last = to;
    if (ask->u.history.has_before && ask->u.history.before <= to) {
        to = ask->u.history.before > 0 ? ask->u.history.before - 1 : 0;    /* nothing lies below 0, nor below 1 */
    }
    if (ask->u.history.has_after && ask->u.history.after + 1 > from) from = ask->u.history.after + 1;
    /* A record on disk is never smaller than its array on the wire, but for the names every array repeats. */
    read_range(chat, r, from, to, max, FRAME_BYTES_MAX - 1024 - max * MESSAGE_OVERHEAD_MAX);
}

static void start_info(struct chat *chat, struct reading *r, const struct conv_member *m)
{
    struct conv *conv = r->conv;
    uint64_t seq = r->ask->u.info.seq, from, to;
    conv_span(conv, m, &from, &to);
    if (seq < from || seq > to) {
        reading_answer(chat, r, ERR_NOT_FOUND);
        return;
    }
    struct find find = { .partition = conv->id, .what = FIND_MARKS, .from = seq, .to = UINT64_MAX, .max = INFO_MARKS_MAX,
                         .bytes_max = INFO_BYTES_MAX };
    r->marks = log_view(chat->log, &find);
    r->states = calloc(conv->member_count, sizeof *r->states);
    r->delivered = calloc(conv->member_count, sizeof *r->delivered);
    r->read = calloc(conv->member_count, sizeof *r->read);
    if (!r->marks || !r->states || !r->delivered || !r->read) {
        reading_answer(chat, r, ERR_NOMEM);
        return;
    }
    for (uint32_t i = 0; i < conv->member_count; i++) {
        const struct member_row *row = &conv->members[i].row;
        r->states[r->state_count++] = (struct member_state){
            .user = row->user,
            .delivered_ms = row->delivered >= seq ? row->delivered_ms : 0,
            .read_ms = row->read >= seq ? row->read_ms : 0,
        };
    }
    read_range(chat, r, seq, seq, 1, RECORD_BYTES_MAX);
}

/* -- MARKS --------------------------------------------------------------------------------------------------------- */

static void start_marks(struct chat *chat, struct reading *r, const struct conv_member *m)
{
    const struct ask *ask = r->ask;
    uint64_t from, to;
    conv_span(r->conv, m, &from, &to);
    struct find find = { .partition = r->conv->id, .what = FIND_MARKS, .from = from, .to = to,
                         .max = MARKS_RECORDS_MAX, .bytes_max = MARKS_BYTES_MAX };
    if (ask->u.marks.place >= from) {
        find.from = ask->u.marks.place;
        find.after = ask->u.marks.after;
    }
    r->marks = find.from <= to ? log_view(chat->log, &find) : NULL;
    if (find.from <= to && !r->marks) reading_answer(chat, r, ERR_NOMEM);
    else reading_submit(chat, r);
}

void reading_start(struct chat *chat, struct conv *conv, struct ask *ask)
{
    const struct conv_member *m = conv_member(conv, &ask->user);
    if (!m) {
        ask_answer(chat, ask, ERR_NOT_FOUND, NULL);
        return;
    }
    struct reading *r = reading_new(chat, conv, ask);
    if (!r) {
        ask_answer(chat, ask, ERR_BUSY, NULL);
        return;
    }
    r->work.done = reading_done;
    if (ask->kind == ASK_FETCH) start_fetch(chat, r, m);
    else if (ask->kind == ASK_HISTORY) start_history(chat, r, m);
    else if (ask->kind == ASK_INFO) start_info(chat, r, m);
    else start_marks(chat, r, m);
}

/* -- HEADS --------------------------------------------------------------------------------------------------------- */

void reading_heads(struct chat *chat, struct ask *ask)
{
    int err = 0;
    for (uint32_t i = 0; i < ask->u.heads.count; i++) {
        struct scan_row *row = &ask->u.heads.rows[i]->row;
        struct conv *conv;
        HASH_FIND(hh, chat->convs, &row->conv, sizeof row->conv, conv);
        if (!conv || conv->state != CONV_READY) {
            /* Facts know it all, but perhaps not yet when the snapshot was taken. */
            if (ask->u.heads.flushed < chat->evicted_through) err = ERR_AGAIN;
            continue;
        }
        const struct conv_device *d = conv_device_find(conv, ask->device);
        const struct conv_member *m = conv_member(conv, &ask->user);
        row->head = conv->committed_head;
        row->last_ms = conv->committed_head ? msg_id_ms(&conv->committed_id) : 0;
        row->marked_ms = conv->marked_ms;
        row->has_cursor = d && d->noted > 0;
        uint64_t below = m && m->row.from_seq ? m->row.from_seq - 1 : 0;     /* nothing there is due to it */
        row->delivered = row->has_cursor ? d->noted : m && m->row.delivered > below ? m->row.delivered : below;
    }
    ask_answer(chat, ask, err, NULL);
}
