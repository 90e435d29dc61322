/* reading.c - see reading.h.
 *
 * A device without a cursor begins at its `since` time, or behind what its user's devices have acknowledged where that
 * comes first: a record that reached none of them (the only one was logged out, or stayed away) is due to the next one.
 * The first record at or after a time is found by steps of view_find_time(), each a job, so the loop never waits for
 * the disk; two or three of them do, whatever the conversation.
 *
 * Nothing that is dead is given to anyone: what a page answers for and has no record of is told as gone, in one range
 * whatever its length, be it on the disk still or not. A job looks at a bounded number of dead records; when it met
 * nothing else, another one goes on where it stopped, and the page begins with the range of both. So a page that is not
 * the last has a record. */
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
    buf_init(&r->records, FRAME_BYTES_MAX);
    buf_init(&r->gone, FRAME_BYTES_MAX);
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
    buf_fini(&r->records);
    buf_fini(&r->gone);
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

/* A view, and on to a job. */
static void read_view(struct chat *chat, struct reading *r, const struct find *find)
{
    r->view = log_view(chat->log, find);
    if (r->view) reading_submit(chat, r);
    else reading_answer(chat, r, ERR_NOMEM);
}

/* The next job of a walk; r->view stays NULL when nothing is left to look at. */
static void walk(struct chat *chat, struct reading *r)
{
    if (r->from > r->to) {
        reading_submit(chat, r);
        return;
    }
    struct find find = { .partition = r->ask->conv, .what = FIND_RECORDS, .from = r->from, .to = r->to, .max = r->max,
                         .bytes_max = FETCH_BYTES_MAX, .newest = r->newest, .passing = true };
    if (r->ask->kind == ASK_HISTORY) {
        /* A record on disk is never smaller than its array on the wire, but for the names every array repeats; between
         * them something may be gone. A walk that is half of a page has half of the room. */
        size_t all = r->ask->u.history.limit;
        size_t room = FRAME_BYTES_MAX - 1024 - all * MESSAGE_OVERHEAD_MAX - (all + 2) * GONE_BYTES_MAX;
        find.bytes_max = room * r->max / all;
    }
    read_view(chat, r, &find);
}

static void walk_up(struct chat *chat, struct reading *r, uint64_t edge, size_t max)
{
    r->newest = false;
    r->max = max;
    r->edge = edge;
    r->from = edge > r->first ? edge : r->first;
    r->to = r->last;
    walk(chat, r);
}

static void walk_down(struct chat *chat, struct reading *r, uint64_t edge, size_t max)
{
    r->newest = true;
    r->max = max;
    r->edge = r->to = edge < r->last ? edge : r->last;
    r->from = r->first;
    walk(chat, r);
}

static void seek(struct chat *chat, struct reading *r)
{
    struct find find = { .partition = r->ask->conv, .what = FIND_RECORDS, .from = r->low, .to = r->high,
                         .max = FIND_SPREAD_MAX, .bytes_max = RECORD_BYTES_MAX, .spread = true };
    r->seeking = true;
    read_view(chat, r, &find);
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
    r->end = r->last;
    if (r->ask->u.fetch.cursors) add_cursors(chat, r);
    walk_up(chat, r, after + 1, FETCH_RECORDS_MAX);
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

/* `at`: all records below it are older than the time that was looked for. */
static void found_time(struct chat *chat, struct reading *r, uint64_t at)
{
    r->seeking = false;
    if (r->ask->kind == ASK_FETCH) {
        /* Where all that there is for a member is due, the device may have had of what lay before and was erased. */
        find_page(chat, r, at > r->first ? at - 1 : 0);
        return;
    }
    uint64_t limit = r->ask->u.history.limit;
    r->upper_max = limit - limit / 2;
    r->upper_edge = at;
    if (limit / 2) {
        walk_down(chat, r, at - 1, limit / 2);
        return;
    }
    size_t max = r->upper_max;
    r->upper_max = 0;
    walk_up(chat, r, at, max);
}

static void go_on(struct chat *chat, struct reading *r)
{
    views_drop(r);
    if (r->seeking && r->low < r->high) {
        seek(chat, r);
    } else if (r->seeking) {
        found_time(chat, r, r->low);
    } else if (r->again) {
        walk(chat, r);
    } else {
        size_t max = r->upper_max;
        r->upper_max = 0;
        walk_up(chat, r, r->upper_edge, max);
    }
}

static void reading_done(struct shard *shard, struct work *work)
{
    struct reading *r = (struct reading *)work;
    struct chat *chat = chat_of(shard);
    if (!work->err && r->deletes != r->conv->deletes) read_again(chat, r);
    else if (!work->err && (r->seeking || r->again || r->upper_max)) go_on(chat, r);
    else reading_answer(chat, r, work->err);
}

static void seek_time(struct chat *chat, struct reading *r, uint64_t low, uint64_t high, uint64_t ms)
{
    r->low = low;
    r->high = high;
    r->seek_ms = ms;
    if (low <= high) seek(chat, r);
    else found_time(chat, r, low);
}

static void start_fetch(struct chat *chat, struct reading *r, const struct conv_member *m)
{
    const struct ask *ask = r->ask;
    if (ask->u.fetch.have_after) {
        find_page(chat, r, ask->u.fetch.after);
        return;
    }
    const struct conv_device *d = conv_device_find(r->conv, ask->device);
    if (d && d->noted > 0) {
        find_page(chat, r, d->noted);
        return;
    }
    uint64_t high = m->row.delivered < r->last ? m->row.delivered : r->last;
    seek_time(chat, r, r->first, high, ask->u.fetch.since_ms);
}

/* -- HISTORY and INFO ---------------------------------------------------------------------------------------------- */

static void start_history(struct chat *chat, struct reading *r)
{
    const struct ask *ask = r->ask;
    size_t max = ask->u.history.limit;
    uint64_t before = ask->u.history.before;
    if (ask->u.history.has_around) seek_time(chat, r, r->first, r->last, ask->u.history.around);
    else if (ask->u.history.has_after) walk_up(chat, r, ask->u.history.after + 1, max);
    else if (ask->u.history.has_before) walk_down(chat, r, before ? before - 1 : 0, max);    /* below 0, 1: nothing */
    else walk_down(chat, r, r->last, max);
}

static void start_info(struct chat *chat, struct reading *r)
{
    struct conv *conv = r->conv;
    uint64_t seq = r->ask->u.info.seq;
    if (seq < r->first || seq > r->last) {
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
    find = (struct find){ .partition = conv->id, .what = FIND_RECORDS, .from = seq, .to = seq, .max = 1,
                          .bytes_max = RECORD_BYTES_MAX };
    read_view(chat, r, &find);
}

/* -- MARKS --------------------------------------------------------------------------------------------------------- */

static void start_marks(struct chat *chat, struct reading *r)
{
    const struct ask *ask = r->ask;
    struct find find = { .partition = r->conv->id, .what = FIND_MARKS, .from = r->first, .to = r->last,
                         .max = MARKS_RECORDS_MAX, .bytes_max = MARKS_BYTES_MAX };
    if (ask->u.marks.place >= r->first) {
        find.from = ask->u.marks.place;
        find.after = ask->u.marks.after;
    }
    r->marks = find.from <= find.to ? log_view(chat->log, &find) : NULL;
    if (find.from <= find.to && !r->marks) reading_answer(chat, r, ERR_NOMEM);
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
    conv_span(conv, m, &r->first, &r->last);
    if (ask->kind == ASK_FETCH) start_fetch(chat, r, m);
    else if (ask->kind == ASK_HISTORY) start_history(chat, r);
    else if (ask->kind == ASK_INFO) start_info(chat, r);
    else start_marks(chat, r);
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
