/* reading_job.c - the half of a read that may wait for a disk. See reading_impl.h. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "server/chat/fanout.h"
#include "server/chat/reading_impl.h"

/* Room that one job uses for all its records. */
struct opened { struct buf plain; struct record record; struct entry entry; struct entry_room room; };

/* Under a key that was erased: the conversation has another one now, and the record is as good as gone. */
static bool is_erased(const struct reading *r, const struct record *record)
{
    return record->key != r->key.number;
}

static int open_record(const struct reading *r, const struct page_record *from, struct opened *o)
{
    o->record = from->record;
    return record_open(from->whole, &from->record, r->key.key, &o->plain, &o->room, &o->entry);
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
    out->expiry_ms = o->record.expiry_ms;
}

/* The view is let go of by the job: it may be the last that holds a file which was replaced, and closing that one waits
 * for the disk. */
static int view_done(struct reading *r, struct view **view, const struct record_page *page, int err)
{
    view_free(*view);
    *view = NULL;
    if (err == ERR_CORRUPT) {
        memcpy(r->bad_file, page->bad_file, sizeof r->bad_file);
        r->bad_offset = page->bad_offset;
    }
    return err;
}

static int read_view(struct reading *r, struct view **view, struct record_page *page)
{
    return *view ? view_done(r, view, page, view_read(*view, page)) : 0;      /* NULL: nothing is asked for */
}

/* -- walking ------------------------------------------------------------------------------------------------------- */

/* What nobody is given any more: its place is told as gone. */
static int pass_dead(void *arg, const struct record *record, bool *pass_out)
{
    struct reading *r = arg;
    *pass_out = record->kind == KIND_TOMBSTONE || is_erased(r, record);
    return *pass_out ? 0 : reading_is_dead(&r->dead, r->facts, record, pass_out);
}

/* r->again: nothing living was found so far, and it goes on behind what was looked at. */
static int walk(struct reading *r, struct record_page *found)
{
    r->again = false;
    if (!r->view) return 0;
    int err = view_done(r, &r->view, found, view_read_passing(r->view, found, pass_dead, r));
    if (err || !found->more || found->count) return err;
    r->again = true;
    if (r->newest) r->to = found->walked - 1;
    else r->from = found->walked + 1;
    return 0;
}

/* Where what is gone and what is there go; each returns 0 or an error. */
struct sink {
    int (*gone)(struct reading *r, struct gone gone, struct buf *scratch);
    int (*message)(struct reading *r, const struct msg_message *m, struct buf *scratch);
};

/* All that the walk answers for, in order: its records, and between them what is gone. */
static int pour(struct reading *r, struct opened *o, const struct record_page *found, const struct sink *sink,
                struct buf *scratch)
{
    const struct page_record *at = found->records, *end = at + found->count;
    uint64_t next = r->edge, last = found->more ? found->count ? end[-1].record.seq : 0 : r->to;
    int err = 0;
    if (r->newest) {
        next = found->more ? at->record.seq : 1;
        last = r->edge;
    }
    for (; at < end && !err; at++) {
        struct msg_message m;
        if (at->record.seq > next) err = sink->gone(r, (struct gone){ next, at->record.seq - 1 }, scratch);
        if (!err) err = open_record(r, at, o);
        if (err) return err;
        fill_message(r, o, &m);
        err = sink->message(r, &m, scratch);
        next = m.seq + 1;
    }
    return err || next > last ? err : sink->gone(r, (struct gone){ next, last }, scratch);
}

/* -- FETCH --------------------------------------------------------------------------------------------------------- */

static int item_gone(struct reading *r, struct gone gone, struct buf *scratch)
{
    struct page *page = r->ask->u.fetch.page;
    struct msg m = { .type = MSG_TOMBSTONE };
    m.u.tombstone = (struct msg_tombstone){ r->ask->conv, gone };
    buf_clear(scratch);
    struct frame *frame = msg_encode(&m, scratch) ? NULL : frame_ws(buf_bytes(scratch));
    if (!frame) return ERR_NOMEM;
    page->items[page->count++] = (struct page_item){ frame, gone.to };
    return 0;
}

static int item_message(struct reading *r, const struct msg_message *m, struct buf *scratch)
{
    struct page *page = r->ask->u.fetch.page;
    struct frame *frame = fanout_frame(m, scratch);
    if (!frame) return ERR_NOMEM;
    page->items[page->count++] = (struct page_item){ frame, m->seq };
    return 0;
}

static int read_page(struct reading *r, struct opened *o, struct record_page *found, struct buf *scratch)
{
    static const struct sink items = { item_gone, item_message };
    int err = walk(r, found);
    if (err || r->again) return err;
    struct page *page = page_new(&r->ask->conv, 2 * (uint32_t)found->count + 1 + r->cursor_count);
    if (!page) return ERR_NOMEM;
    r->ask->u.fetch.page = page;
    page->reached = found->more ? found->records[found->count - 1].record.seq : r->to;
    if (page->reached < r->edge - 1) page->reached = r->edge - 1;
    page->end = r->end;
    err = pour(r, o, found, &items, scratch);
    for (uint32_t i = 0; i < r->cursor_count && !err; i++) {
        page->items[page->count++] = (struct page_item){ frame_ref(r->cursors[i]), 0 };
    }
    if (!err) return 0;
    page_free(page);
    r->ask->u.fetch.page = NULL;
    return err;
}

/* -- HISTORY ------------------------------------------------------------------------------------------------------- */

static int flush_run(struct reading *r)
{
    int err = r->run.to ? gone_add(&r->gone, r->run) : 0;
    r->run = (struct gone){ 0, 0 };
    return err;
}

/* Two walks may meet in one range. */
static int history_gone(struct reading *r, struct gone gone, struct buf *scratch)
{
    (void)scratch;
    if (r->run.to && r->run.to + 1 == gone.from) {
        r->run.to = gone.to;
        return 0;
    }
    int err = flush_run(r);
    r->run = gone;
    return err;
}

static int history_message(struct reading *r, const struct msg_message *m, struct buf *scratch)
{
    (void)scratch;
    r->record_count++;
    return page_add(&r->records, m);
}

static int read_history(struct reading *r, struct opened *o, struct record_page *found, struct buf *scratch)
{
    static const struct sink page_sink = { history_gone, history_message };
    struct ask *ask = r->ask;
    int err = walk(r, found);
    if (err || r->again) return err;
    err = pour(r, o, found, &page_sink, scratch);
    r->more = found->more;
    if (err || r->upper_max) return err;              /* that walk comes next */
    err = flush_run(r);
    struct msg_page page = { .conv = ask->conv, .head = r->end, .more = r->more, .records = buf_bytes(&r->records),
                             .gone = buf_bytes(&r->gone) };
    buf_clear(scratch);
    if (!err) err = page_encode(ask->ref, &page, r->record_count, scratch);
    if (!err) ask->u.history.frame = frame_ws(buf_bytes(scratch));
    return !err && !ask->u.history.frame ? ERR_NOMEM : err;
}

/* -- INFO ---------------------------------------------------------------------------------------------------------- */

/* The first mark that brought a member's cursor to the record or beyond is when it happened. */
static void times_from_mark(struct reading *r, const struct mark *mark)
{
    for (uint32_t i = 0; i < r->state_count; i++) {
        if (!user_id_equal(&r->states[i].user, &mark->user)) continue;
        if (mark->delivered >= r->ask->u.info.seq && r->delivered[i] == 0) r->delivered[i] = mark->time_ms;
        if (mark->read >= r->ask->u.info.seq && r->read[i] == 0) r->read[i] = mark->time_ms;
    }
}

static int read_info(struct reading *r, struct opened *o, struct record_page *found, struct buf *scratch)
{
    struct ask *ask = r->ask;
    struct msg_info_answer a = { .conv = ask->conv, .seq = ask->u.info.seq };
    struct buf members;
    uint32_t count = 0;
    int err = read_view(r, &r->view, found);
    bool is_dead = !err && (found->count == 0 || is_erased(r, &found->records[0].record));
    if (!err && !is_dead) err = reading_is_dead(&r->dead, r->facts, &found->records[0].record, &is_dead);
    if (!err && is_dead) err = ERR_NOT_FOUND;
    if (!err) err = open_record(r, &found->records[0], o);
    if (err) return err;
    a.id = o->record.id;
    a.from = o->entry.sender;
    err = read_view(r, &r->marks, found);
    for (size_t i = 0; i < found->count && !err; i++) {
        if (is_erased(r, &found->records[i].record)) continue;
        err = open_record(r, &found->records[i], o);
        for (uint32_t k = 0; !err && k < o->entry.mark_count; k++) times_from_mark(r, &o->entry.marks[k]);
    }
    buf_init(&members, FRAME_BYTES_MAX);
    /* Of an old message marks may have been thinned (storage/retain.h): what is left came later. So did a member's last move,
     * which is told where no mark is found. */
    bool is_old = retain_mark_is_old(&r->dead.part->rules, msg_id_ms(&a.id));
    for (uint32_t i = 0; i < r->state_count && !err; i++) {
        struct member_state *m = &r->states[i];
        if (user_id_equal(&m->user, &a.from)) continue;
        if (m->delivered_ms && (is_old || !r->delivered[i])) m->before |= MEMBER_DELIVERED_BEFORE;
        if (m->read_ms && (is_old || !r->read[i])) m->before |= MEMBER_READ_BEFORE;
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

/* -- MARKS --------------------------------------------------------------------------------------------------------- */

static int read_marks(struct reading *r, struct opened *o, struct record_page *found)
{
    size_t count = 0, cap = 0;
    int err = read_view(r, &r->marks, found);
    struct mark_list *list = calloc(1, sizeof *list);
    if (!err && !list) err = ERR_NOMEM;
    for (size_t i = 0; i < found->count && !err; i++) {
        err = open_record(r, &found->records[i], o);
        if (!err && count + o->entry.mark_count > cap) {
            cap = 2 * cap + o->entry.mark_count;
            struct mark_list *grown = realloc(list, sizeof *list + cap * sizeof list->marks[0]);
            if (grown) list = grown;
            else err = ERR_NOMEM;
        }
        for (uint32_t k = 0; !err && k < o->entry.mark_count; k++)
            list->marks[count++] = (struct mark_at){ o->record.seq, o->entry.marks[k] };
        list->place = found->records[i].record.seq;
        list->last = (struct position){ found->records[i].record.log, found->records[i].record.number };
    }
    if (err) {
        free(list);
        return err;
    }
    list->count = count;
    list->more = found->more;
    r->ask->u.marks.list = list;
    return 0;
}

/* -- a job --------------------------------------------------------------------------------------------------------- */

static int read_seek(struct reading *r, struct record_page *found)
{
    return view_done(r, &r->view, found, view_find_time(r->view, found, r->seek_ms, &r->low, &r->high));
}

static int read_what(struct reading *r, struct opened *o, struct record_page *found, struct buf *scratch)
{
    if (r->seeking) return read_seek(r, found);
    if (r->ask->kind == ASK_FETCH) return read_page(r, o, found, scratch);
    if (r->ask->kind == ASK_HISTORY) return read_history(r, o, found, scratch);
    if (r->ask->kind == ASK_MARKS) return read_marks(r, o, found);
    return read_info(r, o, found, scratch);
}

void reading_run(struct work *work, void *context)
{
    struct reading *r = (struct reading *)work;
    struct opened *o = malloc(sizeof *o);
    struct record_page found;
    struct buf scratch;
    struct job_reader *reader = context;
    if (!o) {
        work->err = ERR_NOMEM;
        return;
    }
    buf_init(&o->plain, RECORD_BYTES_MAX);
    buf_init(&scratch, FRAME_BYTES_MAX);
    record_page_init(&found);
    r->facts = reader->facts;
    work->err = facts_snapshot(r->facts);             /* after dead_init(): together they know all that is deleted */
    if (!work->err) work->err = read_what(r, o, &found, &scratch);
    facts_snapshot_end(r->facts);
    record_page_fini(&found);
    buf_fini(&scratch);
    buf_fini(&o->plain);
    free(o);
}
