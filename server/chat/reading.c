/* reading.c - see reading.h.
 *
 * A device without a cursor begins at its `since` time, or behind what its user's devices have acknowledged where that
 * comes first: a record that reached none of them (the only one was logged out, or stayed away) is due to the next one.
 * The first record at or after the time is found by halving: each step is a job that reads one record's time, so the
 * loop never waits for the disk. */
#include "server/chat/reading.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "server/chat/fanout.h"
#include "server/chat/receipts.h"
#include "server/chat/state.h"

struct reading {
    struct work work;
    struct reading *prev, *next;      /* chat->reading_wait */
    struct conv *conv;                /* pinned; the job does not look into it */
    struct ask *ask;
    struct vault_key key;
    struct msg_message described;     /* what all records of the conversation share */
    uint64_t end;                     /* committed head when it was found */
    uint64_t reached;
    bool more;
    bool seeking;                     /* halving for since_ms: [low, high) */
    uint64_t low, high, seek_ms;
    struct member_state *states;      /* INFO: times as far as the members' rows know */
    uint64_t *delivered, *read;       /* INFO: their cursors */
    uint32_t state_count;
    struct frame **cursors;           /* FETCH: RECEIPT frames for the end of the page */
    uint32_t cursor_count;
    size_t place_count;
    struct place places[];
};

static struct reading *reading_new(struct chat *chat, struct conv *conv, struct ask *ask, size_t places)
{
    struct reading *r = calloc(1, sizeof *r + places * sizeof r->places[0]);
    if (!r) return NULL;
    r->conv = conv;
    r->ask = ask;
    r->key = conv->key;
    r->end = conv->committed_head;
    conv_describe(conv, &r->described);
    conv->readings++;
    chat->readings++;
    return r;
}

static void places_drop(struct reading *r)
{
    for (size_t i = 0; i < r->place_count; i++) place_unref(&r->places[i]);
    r->place_count = 0;
}

static void reading_free(struct chat *chat, struct reading *r)
{
    places_drop(r);
    for (uint32_t i = 0; i < r->cursor_count; i++) frame_unref(r->cursors[i]);
    free(r->cursors);
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

/* -- on a job's thread ----------------------------------------------------------------------------------------- */

/* Room that one job uses for all its records. */
struct opened { struct buf whole, plain; struct record record; struct entry entry; struct entry_room room; };

static struct opened *opened_new(void)
{
    struct opened *o = malloc(sizeof *o);
    if (!o) return NULL;
    buf_init(&o->whole, RECORD_BYTES_MAX);
    buf_init(&o->plain, RECORD_BYTES_MAX);
    return o;
}

static void opened_free(struct opened *o)
{
    if (!o) return;
    buf_fini(&o->whole);
    buf_fini(&o->plain);
    free(o);
}

static int open_place(const struct reading *r, const struct place *place, struct opened *o)
{
    int err = place_read(place, &o->whole, &o->record);
    if (err) return err;
    return record_open(buf_bytes(&o->whole), &o->record, r->key.key, &o->plain, &o->room, &o->entry);
}

static void fill_message(const struct reading *r, const struct opened *o, struct msg_message *out)
{
    *out = r->described;
    out->seq = o->record.seq;
    out->id = o->record.id;
    out->kind = o->record.kind;
    out->flags = o->record.flags & RECORD_COUNTS;
    out->counted = o->record.counted;
    out->from = o->entry.sender;
    out->device = o->entry.device;
    out->client_seq = o->entry.client_seq;
    out->body = o->entry.body;
}

static int read_page(struct reading *r, struct opened *o, struct buf *scratch)
{
    struct page *page = page_new(&r->ask->conv, (uint32_t)r->place_count + r->cursor_count);
    if (!page) return ERR_NOMEM;
    int err = 0;
    page->reached = r->reached;
    page->end = r->end;
    for (size_t i = 0; i < r->place_count && !err; i++) {
        struct msg_message m;
        err = open_place(r, &r->places[i], o);
        if (err) break;
        fill_message(r, o, &m);
        struct frame *frame = fanout_frame(&m, scratch);
        if (!frame) err = ERR_NOMEM;
        else page->items[page->count++] = (struct page_item){ frame, m.seq };
    }
    for (uint32_t i = 0; i < r->cursor_count && !err; i++) {
        page->items[page->count++] = (struct page_item){ frame_ref(r->cursors[i]), 0 };
    }
    if (err) page_free(page);
    else r->ask->u.fetch.page = page;
    return err;
}

static int read_history(struct reading *r, struct opened *o, struct buf *scratch)
{
    struct ask *ask = r->ask;
    struct buf records;
    struct msg_page page = { .conv = ask->conv, .head = r->end, .more = r->more };
    int err = 0;
    buf_init(&records, FRAME_BYTES_MAX);
    for (size_t i = 0; i < r->place_count && !err; i++) {
        struct msg_message m;
        err = open_place(r, &r->places[i], o);
        if (!err) {
            fill_message(r, o, &m);
            err = page_add(&records, &m);
        }
    }
    page.records = buf_bytes(&records);
    buf_clear(scratch);
    if (!err) err = page_encode(ask->ref, &page, (uint32_t)r->place_count, scratch);
    if (!err) ask->u.history.frame = frame_ws(buf_bytes(scratch));
    if (!err && !ask->u.history.frame) err = ERR_NOMEM;
    buf_fini(&records);
    return err;
}

/* The first mark that brought a member's cursor to the record or beyond is when it happened. */
static void times_from_mark(struct reading *r, const struct mark *mark)
{
    for (uint32_t i = 0; i < r->state_count; i++) {
        if (!user_id_equal(&r->states[i].user, &mark->user)) continue;
        if (mark->delivered >= r->ask->u.info.seq && r->delivered[i] == 0) r->delivered[i] = mark->time_ms;
        if (mark->read >= r->ask->u.info.seq && r->read[i] == 0) r->read[i] = mark->time_ms;
    }
}

static int read_info(struct reading *r, struct opened *o, struct buf *scratch)
{
    struct ask *ask = r->ask;
    struct msg_info_answer a = { .conv = ask->conv, .seq = ask->u.info.seq };
    struct buf members;
    uint32_t count = 0;
    int err = open_place(r, &r->places[0], o);
    if (err) return err;
    a.id = o->record.id;
    a.from = o->entry.sender;
    for (size_t i = 1; i < r->place_count && !err; i++) {
        err = open_place(r, &r->places[i], o);
        for (uint32_t k = 0; !err && k < o->entry.mark_count; k++) times_from_mark(r, &o->entry.marks[k]);
    }
    buf_init(&members, FRAME_BYTES_MAX);
    for (uint32_t i = 0; i < r->state_count && !err; i++) {
        struct member_state *m = &r->states[i];
        if (user_id_equal(&m->user, &a.from)) continue;
        if (m->delivered_ms && r->delivered[i]) m->delivered_ms = r->delivered[i];
        if (m->read_ms && r->read[i]) m->read_ms = r->read[i];
        err = members_add(&members, m);
        count++;
    }
    a.members = buf_bytes(&members);
    buf_clear(scratch);
    if (!err) err = info_answer_encode(ask->ref, &a, count, scratch);
    if (!err) ask->u.info.frame = frame_ws(buf_bytes(scratch));
    if (!err && !ask->u.info.frame) err = ERR_NOMEM;
    buf_fini(&members);
    return err;
}

static void reading_run(struct work *work, void *context)
{
    struct reading *r = (struct reading *)work;
    struct opened *o = opened_new();
    struct buf scratch;
    (void)context;
    buf_init(&scratch, FRAME_BYTES_MAX);
    if (!o) {
        work->err = ERR_NOMEM;
    } else if (r->seeking) {
        work->err = place_read(&r->places[0], &o->whole, &o->record);
        if (!work->err) r->seek_ms = msg_id_ms(&o->record.id);
    } else if (r->ask->kind == ASK_FETCH) {
        work->err = read_page(r, o, &scratch);
    } else if (r->ask->kind == ASK_HISTORY) {
        work->err = read_history(r, o, &scratch);
    } else {
        work->err = read_info(r, o, &scratch);
    }
    opened_free(o);
    buf_fini(&scratch);
}

/* -- at the home ----------------------------------------------------------------------------------------------- */

static void find_page(struct chat *chat, struct reading *r, uint64_t after);

static void reading_answer(struct chat *chat, struct reading *r, int err)
{
    struct ask *ask = r->ask;
    if (err && err != ERR_NOT_FOUND) {
        char text[CONV_ID_TEXT];
        conv_id_print(&ask->conv, text);
        say(SAY_ERROR, "read_failed", SAY_TEXT("conversation", text), SAY_TEXT("why", err_name(err)));
        err = err == ERR_NOMEM ? ERR_BUSY : ERR_STORAGE;
    }
    reading_free(chat, r);
    ask_answer(chat, ask, err, NULL);
}

static void seek_step(struct chat *chat, struct reading *r)
{
    if (r->low >= r->high) {
        r->seeking = false;
        find_page(chat, r, r->low - 1);
        return;
    }
    uint64_t middle = r->low + (r->high - r->low) / 2;
    r->place_count = log_find(chat->log, &r->ask->conv, FIND_RECORDS, middle, middle, false, 1, r->places);
    if (r->place_count == 0) {                        /* a hole: as if it were old */
        r->low = middle + 1;
        seek_step(chat, r);
        return;
    }
    reading_submit(chat, r);
}

static void reading_done(struct shard *shard, struct work *work)
{
    struct reading *r = (struct reading *)work;
    struct chat *chat = chat_of(shard);
    if (!r->seeking || work->err) {
        reading_answer(chat, r, work->err);
        return;
    }
    uint64_t middle = r->places[0].seq;
    places_drop(r);
    if (r->seek_ms >= r->ask->u.fetch.since_ms) r->high = middle;
    else r->low = middle + 1;
    seek_step(chat, r);
}

/* Keep a run of places whose records fit into `bytes`: from the front, or from the back. At least one stays. */
static void places_fit(struct reading *r, size_t bytes, bool from_back)
{
    size_t sum = 0, keep = 0;
    for (; keep < r->place_count; keep++) {
        sum += r->places[from_back ? r->place_count - 1 - keep : keep].len;
        if (keep > 0 && sum > bytes) break;
    }
    if (keep == r->place_count) return;
    r->more = true;
    size_t drop = r->place_count - keep;
    if (from_back) {
        for (size_t i = 0; i < drop; i++) place_unref(&r->places[i]);
        memmove(r->places, r->places + drop, keep * sizeof r->places[0]);
    } else {
        for (size_t i = keep; i < r->place_count; i++) place_unref(&r->places[i]);
    }
    r->place_count = keep;
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
    if (after + 1 > from) from = after + 1;
    if (from <= to) {
        r->place_count = log_find(chat->log, &conv->id, FIND_RECORDS, from, to, false, FETCH_RECORDS_MAX, r->places);
    }
    places_fit(r, FETCH_BYTES_MAX, false);
    /* Found less than there is to find: what is beyond the last place is not in the log any more. */
    bool all = r->place_count < FETCH_RECORDS_MAX && !r->more;
    r->reached = all || r->place_count == 0 ? to : r->places[r->place_count - 1].seq;
    if (r->reached < after) r->reached = after;
    if (r->ask->u.fetch.cursors) add_cursors(chat, r);
    reading_submit(chat, r);
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
    bool newest = !ask->u.history.has_after;
    conv_span(r->conv, m, &from, &to);
    uint64_t first = from, last = to;
    if (ask->u.history.has_before && ask->u.history.before <= to) {
        to = ask->u.history.before > 0 ? ask->u.history.before - 1 : 0;    /* nothing lies below 0, nor below 1 */
    }
    if (ask->u.history.has_after && ask->u.history.after + 1 > from) from = ask->u.history.after + 1;
    if (from <= to) {
        r->place_count = log_find(chat->log, &r->conv->id, FIND_RECORDS, from, to, newest, max, r->places);
    }
    /* A record on disk is never smaller than its array on the wire, but for the names every array repeats. */
    places_fit(r, FRAME_BYTES_MAX - 1024 - max * MESSAGE_OVERHEAD_MAX, newest);
    if (r->place_count) {
        r->more = newest ? r->places[0].seq > first : r->places[r->place_count - 1].seq < last;
    } else {
        r->more = false;
    }
    reading_submit(chat, r);
}

static void start_info(struct chat *chat, struct reading *r, const struct conv_member *m)
{
    struct conv *conv = r->conv;
    uint64_t seq = r->ask->u.info.seq, from, to;
    conv_span(conv, m, &from, &to);
    if (seq >= from && seq <= to) {
        r->place_count = log_find(chat->log, &conv->id, FIND_RECORDS, seq, seq, false, 1, r->places);
    }
    if (r->place_count == 0) {
        reading_answer(chat, r, ERR_NOT_FOUND);
        return;
    }
    r->place_count += log_find(chat->log, &conv->id, FIND_MARKS, seq, UINT64_MAX, false, INFO_MARKS_MAX,
                               r->places + 1);
    r->states = calloc(conv->member_count, sizeof *r->states);
    r->delivered = calloc(conv->member_count, sizeof *r->delivered);
    r->read = calloc(conv->member_count, sizeof *r->read);
    if (!r->states || !r->delivered || !r->read) {
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
    reading_submit(chat, r);
}

void reading_start(struct chat *chat, struct conv *conv, struct ask *ask)
{
    const struct conv_member *m = conv_member(conv, &ask->user);
    if (!m) {
        ask_answer(chat, ask, ERR_NOT_FOUND, NULL);
        return;
    }
    size_t places = ask->kind == ASK_FETCH ? FETCH_RECORDS_MAX : ask->kind == ASK_HISTORY ? PAGE_RECORDS_MAX
                                                                                          : INFO_MARKS_MAX + 1;
    struct reading *r = reading_new(chat, conv, ask, places);
    if (!r) {
        ask_answer(chat, ask, ERR_BUSY, NULL);
        return;
    }
    r->work.run = reading_run;
    r->work.done = reading_done;
    if (ask->kind == ASK_FETCH) start_fetch(chat, r, m);
    else if (ask->kind == ASK_HISTORY) start_history(chat, r, m);
    else start_info(chat, r, m);
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
        row->delivered = row->has_cursor ? d->noted : m ? m->row.delivered : 0;
    }
    ask_answer(chat, ask, err, NULL);
}
