/* catchup.c - the hands of behind.c: it decides, this file asks facts, homes and the connection.
 *
 * A slice of the scan is read in two steps. A job reads rows from one snapshot, together with how far facts cover each
 * log. Then each home is asked about its rows (HEADS): what it has in memory it knows better; what it has let go of
 * since is newer than the snapshot, and it answers "again": the slice is read once more. */
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "server/chat/session.h"
#include "server/chat/state.h"

struct scan {
    struct work work;
    struct session *session;          /* held by its job and by each of its asks */
    uint32_t refs;
    uint32_t answers;                 /* still to come */
    bool failed;
    bool ended;                       /* no conversation behind these rows */
    uint8_t after_type;
    struct conv_id after_conv;
    uint16_t shards;
    struct user_id user;
    struct device_id device;
    size_t count;
    struct head_row rows[SCAN_SLICE_ROWS];
    uint64_t flushed[];               /* by log */
};

void scan_unref(struct scan *scan)
{
    if (--scan->refs == 0) free(scan);
}

static void scan_run(struct work *work, void *context)
{
    struct scan *scan = (struct scan *)work;
    struct job_reader *reader = context;
    struct scan_row rows[SCAN_SLICE_ROWS];
    int err = facts_snapshot(reader->facts);
    if (!err) {
        err = facts_scan(reader->facts, &scan->user, scan->device, scan->after_type, &scan->after_conv,
                         SCAN_SLICE_ROWS, rows, &scan->count);
        for (uint16_t i = 0; i < scan->shards; i++) scan->flushed[i] = facts_flushed(reader->facts, i);
        facts_snapshot_end(reader->facts);
    }
    work->err = err;
    if (err) return;
    scan->ended = scan->count < SCAN_SLICE_ROWS;
    for (size_t i = 0; i < scan->count; i++) scan->rows[i].row = rows[i];
}

/* All homes have answered. */
static void scan_finish(struct session *s, struct scan *scan)
{
    s->scan = NULL;
    if (scan->failed) {
        behind_on_slice_failed(s->behind);
        return;
    }
    struct scan_row_now now[SCAN_SLICE_ROWS];
    for (size_t i = 0; i < scan->count; i++) {
        const struct scan_row *row = &scan->rows[i].row;
        bool fresh = row->head > row->delivered || (!row->has_cursor && row->last_ms >= s->since_ms);
        now[i] = (struct scan_row_now){
            .conv = row->conv,
            .type = row->type,
            .has_messages = row->head > 0 && fresh,
            .has_cursors = row->marked_ms > 0 && row->marked_ms >= s->live_ms,
        };
    }
    behind_on_slice(s->behind, now, scan->count, scan->ended);
}

/* One HEADS ask to each home that has rows in the slice. */
static void scan_ask_heads(struct session *s, struct scan *scan)
{
    bool done[SHARDS_MAX] = { false };
    for (size_t i = 0; i < scan->count; i++) {
        uint16_t home = scan->rows[i].home;
        if (done[home]) continue;
        done[home] = true;
        struct ask *ask = ask_new(ASK_HEADS, BYTES_NONE);
        struct head_row **rows = calloc(scan->count - i, sizeof *rows);
        if (!ask || !rows) {
            free(rows);
            free(ask);
            scan->failed = true;
            break;
        }
        for (size_t k = i; k < scan->count; k++) {
            if (scan->rows[k].home == home) rows[ask->u.heads.count++] = &scan->rows[k];
        }
        ask->u.heads.rows = rows;
        ask->u.heads.scan = scan;
        ask->u.heads.flushed = scan->flushed[home];
        scan->refs++;
        scan->answers++;
        session_ask(s, ask);
    }
    if (scan->answers == 0) scan_finish(s, scan);
}

static void scan_done(struct shard *shard, struct work *work)
{
    struct scan *scan = (struct scan *)work;
    struct session *s = scan->session;
    if (s->state == SESSION_OPEN) {
        if (work->err) {
            s->scan = NULL;
            behind_on_slice_failed(s->behind);
            chat_retry_later(s->chat);
        } else {
            for (size_t i = 0; i < scan->count; i++) {
                scan->rows[i].home = shard_of_conv(shard->house, &scan->rows[i].row.conv);
            }
            scan_ask_heads(s, scan);
        }
        session_step(s);
    }
    scan_unref(scan);
    session_release(s);
}

static bool op_scan(void *arg, uint8_t after_type, const struct conv_id *after_conv)
{
    struct session *s = arg;
    struct chat *chat = s->chat;
    uint16_t shards = chat->shard->house->shards;
    struct scan *scan = calloc(1, sizeof *scan + shards * sizeof scan->flushed[0]);
    if (!scan) return false;
    scan->work.run = scan_run;
    scan->work.done = scan_done;
    scan->session = s;
    scan->refs = 1;
    scan->after_type = after_type;
    if (after_type) scan->after_conv = *after_conv;
    scan->shards = shards;
    scan->user = s->user_id;
    scan->device = s->device;
    if (!worker_submit(chat->config->jobs, chat->shard, &scan->work)) {
        free(scan);
        return false;
    }
    session_hold(s);
    s->scan = scan;
    return true;
}

void catchup_on_heads(struct session *s, struct ask *ask)
{
    struct scan *scan = ask->u.heads.scan;
    if (ask->err) scan->failed = true;
    if (--scan->answers > 0 || s->state != SESSION_OPEN || s->scan != scan) return;
    scan_finish(s, scan);
    session_step(s);
}

/* -- pages ------------------------------------------------------------------------------------------------- */

static void page_is_gone(struct session *s)
{
    s->has_page = false;
    DL_DELETE2(s->chat->paging, s, page_prev, page_next);
}

/* A page still in hand waits for its device to acknowledge or to read. The one that has waited longest gives its place
 * to whoever can use it, and is read again when it can be written: who never acknowledges keeps nobody else waiting. */
static bool take_page_back(struct chat *chat)
{
    struct session *holder = chat->paging;
    if (!holder || !behind_drop_page(holder->behind)) return false;
    page_is_gone(holder);
    chat->pages_out--;
    session_step_later(holder);
    return true;
}

static void page_returned(struct chat *chat)
{
    if (chat->pages_out-- < chat->settings.pages_max || !chat->behind) return;
    chat->page_freed = true;                          /* someone may wait for this place */
    shard_again(chat->shard);
}

void catchup_drop_page(struct session *s)
{
    if (!s->has_page || !behind_drop_page(s->behind)) return;
    page_is_gone(s);
    page_returned(s->chat);
    session_step_later(s);
}

static bool op_fetch(void *arg, const struct conv_id *conv, bool have_after, uint64_t after, bool cursors)
{
    struct session *s = arg;
    struct chat *chat = s->chat;
    if (chat->pages_out >= chat->settings.pages_max && !take_page_back(chat)) return false;
    struct ask *ask = ask_new(ASK_FETCH, BYTES_NONE);
    if (!ask) return false;
    ask->conv = *conv;
    ask->u.fetch.have_after = have_after;
    ask->u.fetch.after = after;
    ask->u.fetch.cursors = cursors;
    ask->u.fetch.since_ms = s->since_ms;
    chat->pages_out++;
    STAT_ADD(&chat->shard->stats, fetches, 1);
    session_ask(s, ask);
    return true;
}

void catchup_on_fetched(struct session *s, struct ask *ask)
{
    if (s->state != SESSION_OPEN) {
        page_returned(s->chat);
        return;
    }
    if (ask->err) {
        page_returned(s->chat);
        /* A page that is damaged stays so: its device goes on with its other conversations, and with what comes here
         * live. It sees the gap by the sequences, and HISTORY tells it why. */
        behind_on_fetch_failed(s->behind, &ask->conv, ask->err == ERR_NOT_FOUND || ask->err == ERR_DAMAGED);
        session_step_later(s);
        return;
    } else {
        struct page *page = ask->u.fetch.page;
        ask->u.fetch.page = NULL;
        s->has_page = true;
        DL_APPEND2(s->chat->paging, s, page_prev, page_next);
        behind_on_page(s->behind, page);
    }
    session_step(s);
}

void catchup_count_page(struct session *s)
{
    struct behind_view view;
    if (!s->has_page) return;
    behind_look(s->behind, &view);
    if (view.page) return;
    page_is_gone(s);
    page_returned(s->chat);
}

void catchup_stop(struct session *s)
{
    if (s->has_page) {
        page_is_gone(s);
        page_returned(s->chat);
    }
    s->scan = NULL;                                   /* its job and asks let go of it as they come back */
    struct ask *ask;
    DL_FOREACH(s->wait, ask) {
        if (ask->kind == ASK_FETCH) s->chat->pages_out--;
    }
}

/* -- the connection ---------------------------------------------------------------------------------------- */

static void op_write(void *arg, struct frame *frame)
{
    struct session *s = arg;
    STAT_ADD(&s->chat->shard->stats, deliveries, 1);
    conn_write(s->conn, frame);
}

static bool op_can_write(void *arg)
{
    struct session *s = arg;
    return conn_is_drained(s->conn);
}

static void op_synced(void *arg)
{
    struct session *s = arg;
    struct msg m = { .type = MSG_SYNCED };
    session_send(s, &m);
}

const struct behind_ops catchup_ops = {
    .fetch = op_fetch,
    .scan = op_scan,
    .write = op_write,
    .can_write = op_can_write,
    .synced = op_synced,
};
