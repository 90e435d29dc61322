/* view.c - see view.h.
 *
 * A source is one file of the view. It has a bound: the id beyond which it cannot hold a record in the direction of the
 * walk (its smallest id when the walk rises, its largest when it falls). Sources are sorted by their bounds and opened
 * one by one: as long as the next one's bound lies behind the record at hand, nothing in it can come first, because ids
 * and sequences of a conversation rise together. Nor can it when the record at hand has the very next sequence. Marks
 * have ids of their own that need not rise with their places, so for marks every source is opened at once.
 *
 * A page far down begins behind files that have the partition and nothing of the range. When the first file looked into
 * is one of those, the place where the range begins is searched for by halves: a file that has nothing of the range
 * tells by the record next to it which files lie wholly beyond, and a file that has something need not be opened again.
 *
 * Of an unsorted file, records that lie close to one another are read at once. */
#include "storage/view_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"

enum {
    /* What lies between two records wanted of an unsorted file is read along up to here: it costs less than a read. */
    RUN_GAP_BYTES = 16 * 1024,
    RUN_BYTES = 64 * 1024,
    PROBES_MAX = 64,                      /* tables searched by halves: more than a node ever has */
};
_Static_assert((int)RUN_BYTES < (int)RECORD_BYTES_MAX, "a run fits where a record does");

/* ---- the range ---- */

static bool is_in(const struct find *find, uint64_t seq, uint64_t number, uint32_t log)
{
    if (find->what != FIND_MARKS || seq != find->from)
        return true;
    return number != find->after.number ? number > find->after.number : log > find->after.log;
}

static size_t range_of(const struct segment *segment, const struct find *find, const struct index_entry **first_out)
{
    size_t count = index_range(&segment->index, &find->partition, find->what, find->from, find->to, first_out);
    for (; count && !is_in(find, (*first_out)->seq, (*first_out)->number, segment->head.log); count--)
        ++*first_out;
    return count;
}

/* ---- the shard ---- */

struct view *log_view(struct log *log, const struct find *find)
{
    const struct index_entry *first;
    size_t all = range_of(log->segment, find, &first);
    size_t most = find->max + (find->passing ? FIND_PASS_MAX : 0), count = all < most ? all : most;
    assert(!find->spread || (find->max >= 2 && !find->newest && find->what == FIND_RECORDS));
    struct view *view = malloc(sizeof *view + count * sizeof view->entries[0]);
    if (!view)
        return NULL;
    view->find = *find;
    view->complete = count == all;
    view->list = list_get(log->logs);
    view->open = segment_ref(log->segment);
    /* It goes on growing, so it has no largest id: whatever is in it comes last, or is looked at first. */
    view->open_bound = log->segment->min_id;
    view->entry_count = count;
    if (find->newest)
        first += all - count;
    for (size_t i = 0; i < count; i++)                /* spread: the first, the last, and others evenly between them */
        view->entries[i] = first[find->spread && !view->complete ? i * (all - 1) / (count - 1) : i];
    return view;
}

void view_free(struct view *view)
{
    if (!view)
        return;
    list_unref(view->list);
    segment_unref(view->open);
    free(view);
}

/* ---- the page ---- */

void record_page_init(struct record_page *page)
{
    memset(page, 0, sizeof *page);
}

void view_page_clear(struct record_page *page)
{
    buf_fini(&page->bytes);
    page->count = 0;
    page->more = false;
    page->walked = 0;
    page->reads = 0;
    page->bad_file[0] = '\0';
    page->bad_offset = 0;
}

void record_page_fini(struct record_page *page)
{
    view_page_clear(page);
    free(page->records);
    record_page_init(page);
}

static int page_add(struct record_page *page, const struct source *source)
{
    if (page->count == page->cap) {
        size_t cap = page->cap ? 2 * page->cap : 64;
        struct page_record *grown = realloc(page->records, cap * sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        page->records = grown;
        page->cap = cap;
    }
    buf_put(&page->bytes, source->whole.at, source->whole.len);
    if (page->bytes.err)
        return page->bytes.err;
    page->records[page->count++] = (struct page_record){ source->record, source->whole };
    return 0;
}

/* The bytes may have moved while they grew: only their lengths held until now. */
static void page_finish(struct record_page *page, bool newest)
{
    const uint8_t *at = page->bytes.at;
    for (size_t i = 0; i < page->count; i++) {
        struct page_record *r = &page->records[i];
        size_t len;
        r->whole = bytes_of(at, r->whole.len);
        record_peek(at, &r->record, &len);
        at += len;
    }
    for (size_t i = 0; newest && i < page->count / 2; i++) {
        struct page_record swap = page->records[i];
        page->records[i] = page->records[page->count - 1 - i];
        page->records[page->count - 1 - i] = swap;
    }
}

/* ---- sources ---- */

int view_bad(struct reading *r, const char *name, uint64_t offset, int err)
{
    if (err == ERR_CORRUPT || err == ERR_NEWER) {
        snprintf(r->page->bad_file, sizeof r->page->bad_file, "%s", name);
        r->page->bad_offset = offset;
        err = ERR_CORRUPT;
    }
    return err;
}

/* Reads the entry's record and what will be wanted behind it, or before it, and lies close. `rest` entries follow it in
 * the walk. */
static int segment_run(struct reading *r, struct source *s, const struct index_entry *entry, size_t rest)
{
    const struct find *find = &r->view->find;
    uint64_t from = entry->offset, to = from + entry->len;
    size_t wanted = find->max - r->page->count;
    for (size_t i = 1; i <= rest && i < wanted; i++) {
        const struct index_entry *next = find->newest ? entry - i : entry + i;
        uint64_t next_from = next->offset, next_to = next_from + next->len;
        uint64_t gap = find->newest ? from - next_to : next_from - to;
        uint64_t run = find->newest ? to - next_from : next_to - from;
        if (gap > RUN_GAP_BYTES || run > RUN_BYTES)
            break;
        from = find->newest ? next_from : from;
        to = find->newest ? to : next_to;
    }
    r->page->reads++;
    int err = segment_read(s->segment, from, to, &s->bytes);
    if (err && to - from > entry->len) {
        /* Something that nobody may want: only what is needed counts. */
        from = entry->offset;
        r->page->reads++;
        err = segment_read(s->segment, from, from + entry->len, &s->bytes);
    }
    s->bytes_from = from;
    return err;
}

static int segment_next(struct reading *r, struct source *s)
{
    s->has = false;
    if (s->entry_count == 0)
        return 0;
    s->entry_count--;
    const struct index_entry *entry = r->view->find.newest ? &s->entries[s->entry_count] : s->entries++;
    bool is_here = s->bytes.len > 0 && entry->offset >= s->bytes_from &&
                   entry->offset + (uint64_t)entry->len <= s->bytes_from + s->bytes.len;
    int err = is_here ? 0 : segment_run(r, s, entry, s->entry_count);
    if (!err)
        err = segment_record(s->segment, entry, buf_bytes(&s->bytes), s->bytes_from, &s->record, &s->whole);
    s->has = !err;
    return err ? view_bad(r, s->segment->name, entry->offset, err) : 0;
}

static int table_next(struct reading *r, struct source *s)
{
    int err = sorted_next(&s->cursor, &s->record, &s->whole);
    s->has = !err;
    if (err && err != ERR_END)
        return view_bad(r, sorted_file_name(s->table), s->cursor.bad_offset, err);
    return 0;
}

static int source_next(struct reading *r, struct source *s)
{
    s->stale = false;
    return s->table ? table_next(r, s) : segment_next(r, s);
}

static int source_open(struct reading *r, struct source *s)
{
    const struct find *find = &r->view->find;
    s->opened = true;
    if (!s->table) {
        buf_init(&s->bytes, RECORD_BYTES_MAX);
        return segment_next(r, s);
    }
    sorted_cursor_init(&s->cursor);
    int err = sorted_seek(&s->cursor, s->table, &find->partition, find->what, find->from, find->to, find->newest,
                          find->max - r->page->count);
    if (err)
        return view_bad(r, sorted_file_name(s->table), s->cursor.bad_offset, err);
    return table_next(r, s);
}

static void source_close(struct reading *r, struct source *s)
{
    if (s->table) {
        r->page->reads += s->cursor.reads;
        sorted_cursor_fini(&s->cursor);
    } else {
        buf_fini(&s->bytes);
    }
}

static int by_bound(const void *a, const void *b)
{
    return memcmp(((const struct source *)a)->bound.v, ((const struct source *)b)->bound.v, sizeof(struct msg_id));
}

static int by_bound_down(const void *a, const void *b)
{
    return by_bound(b, a);
}

static void add_segment(struct reading *r, struct segment *segment, const struct index_entry *first, size_t count,
                        const struct msg_id *bound)
{
    if (count)
        r->sources[r->source_count++] = (struct source){ .segment = segment, .entries = first, .entry_count = count,
                                                         .bound = *bound };
}

int view_sources_make(struct reading *r)
{
    static const struct msg_id never = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
    const struct find *find = &r->view->find;
    const struct segment_list *list = r->view->list;
    r->sources = calloc(list->segment_count + list->table_count + 1, sizeof *r->sources);
    if (!r->sources)
        return ERR_NOMEM;
    for (size_t i = 0; i < list->segment_count; i++) {
        struct segment *segment = list->segments[i];
        const struct index_entry *first;
        size_t count = range_of(segment, find, &first);
        add_segment(r, segment, first, count, find->newest ? &segment->max_id : &segment->min_id);
    }
    for (size_t i = 0; i < list->table_count; i++) {
        const struct sorted_meta *meta = sorted_meta(list->tables[i]);
        if (find->what == FIND_MARKS ? meta->marks : meta->records)
            r->sources[r->source_count++] = (struct source){ .table = list->tables[i],
                                                             .bound = find->newest ? meta->max_id : meta->min_id,
                                                             .end = find->newest ? meta->min_id : meta->max_id };
    }
    add_segment(r, r->view->open, r->view->entries, r->view->entry_count, find->newest ? &never : &r->view->open_bound);
    if (r->source_count)
        qsort(r->sources, r->source_count, sizeof *r->sources, find->newest ? by_bound_down : by_bound);
    return 0;
}

void view_sources_free(struct reading *r)
{
    for (size_t i = 0; i < r->source_count; i++)
        if (r->sources[i].opened)
            source_close(r, &r->sources[i]);
    free(r->sources);
}

/* ---- merging ---- */

static bool is_before(const struct record *a, const struct record *b, enum find_what what)
{
    if (a->seq != b->seq || what == FIND_RECORDS)
        return a->seq < b->seq;
    return a->number != b->number ? a->number < b->number : a->log < b->log;
}

static struct source *pick(struct reading *r)
{
    const struct find *find = &r->view->find;
    struct source *best = NULL;
    for (size_t i = 0; i < r->source_count; i++) {
        struct source *s = &r->sources[i];
        if (!s->has)
            continue;
        if (!best || (find->newest ? is_before(&best->record, &s->record, find->what)
                                   : is_before(&s->record, &best->record, find->what)))
            best = s;
    }
    return best;
}

/* Whether a source may hold a record that comes before the one at hand. */
static bool may_come_first(const struct reading *r, const struct source *s, const struct source *best)
{
    if (!best || r->view->find.what == FIND_MARKS)
        return true;
    if (best->record.seq == r->next_seq)
        return false;
    int order = memcmp(s->bound.v, best->record.id.v, sizeof s->bound.v);
    return r->view->find.newest ? order >= 0 : order <= 0;
}

/* The record `id` lies beyond the range: so does whatever lies wholly beyond it. */
static void skip_beyond(struct reading *r, const struct msg_id *id)
{
    for (size_t i = r->at; i < r->source_count; i++) {
        struct source *s = &r->sources[i];
        int order = msg_id_compare(&s->end, id);
        if (s->table && !s->opened && (r->view->find.newest ? order > 0 : order < 0))
            s->skipped = true;
    }
}

/* It failed. Perhaps nobody needs what is damaged there; if somebody does, it is opened again. */
static void source_unopen(struct reading *r, struct source *s)
{
    source_close(r, s);
    s->opened = false;
    r->page->bad_file[0] = '\0';
    r->page->bad_offset = 0;
}

/* Looks for where the range begins among the tables that are left, by halves. */
static void search(struct reading *r)
{
    struct source *tables[PROBES_MAX];
    size_t count = 0, low = 0;
    for (size_t i = r->at; i < r->source_count && count < PROBES_MAX; i++)
        if (r->sources[i].table && !r->sources[i].opened && !r->sources[i].skipped)
            tables[count++] = &r->sources[i];
    r->searched = true;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        struct source *s = tables[middle];
        if (s->skipped) {
            low = middle + 1;
            continue;
        }
        if (source_open(r, s)) {
            source_unopen(r, s);
            memmove(&tables[middle], &tables[middle + 1], (--count - middle) * sizeof *tables);
        } else if (s->has) {
            count = middle;
        } else if (s->cursor.has_beyond) {
            skip_beyond(r, &s->cursor.beyond);
            low = middle + 1;
        } else {
            /* It has nothing of the partition, or does not tell. */
            memmove(&tables[middle], &tables[middle + 1], (--count - middle) * sizeof *tables);
        }
    }
}

/* The next source in the order of their bounds, NULL: none is left. */
static struct source *next_source(struct reading *r)
{
    while (r->at < r->source_count && (r->sources[r->at].opened || r->sources[r->at].skipped))
        r->at++;
    return r->at < r->source_count ? &r->sources[r->at] : NULL;
}

/* The source with the next record of the walk, NULL in *best_out at its end. */
static int advance(struct reading *r, struct source **best_out)
{
    for (size_t i = 0; i < r->source_count; i++) {
        int err = r->sources[i].stale ? source_next(r, &r->sources[i]) : 0;
        if (err)
            return err;
    }
    struct source *best = pick(r), *next;
    while ((next = next_source(r)) != NULL && may_come_first(r, next, best)) {
        int err = source_open(r, next);
        bool may_search = !best && !r->searched && next->table && r->view->find.what == FIND_RECORDS;
        if (err && !may_search)
            return err;
        if (err)
            source_unopen(r, next);
        else if (may_search && next->cursor.has_beyond)
            skip_beyond(r, &next->cursor.beyond);
        if (may_search && (err || next->cursor.has_beyond))
            search(r);
        best = pick(r);
    }
    *best_out = best;
    return 0;
}

/* Marks: before the range begins. Records: no two files should have one sequence, a conversation goes on above all that a
 * start found. If it ever happened, one answer is better than two. */
static bool was_given(const struct reading *r, const struct record *record)
{
    const struct find *find = &r->view->find;
    if (find->what == FIND_MARKS)
        return !is_in(find, record->seq, record->number, record->log);
    return find->newest ? record->seq > r->next_seq : record->seq < r->next_seq;
}

/* The record of this sequence was given. False: it ends the range. */
static bool step_on(struct reading *r, uint64_t seq)
{
    const struct find *find = &r->view->find;
    if (find->what == FIND_MARKS)
        return true;
    if (seq == (find->newest ? find->from : find->to))
        return false;
    r->next_seq = find->newest ? seq - 1 : seq + 1;
    return true;
}

static int merge(struct reading *r)
{
    const struct find *find = &r->view->find;
    struct record_page *page = r->page;
    r->next_seq = find->newest ? find->to : find->from;
    for (;;) {
        struct source *best = NULL;
        if (page->count == find->max) {
            page->more = true;
            return 0;
        }
        int err = advance(r, &best);
        if (err || !best)
            return err;
        best->stale = true;
        if (was_given(r, &best->record))
            continue;
        bool pass = false;
        err = r->pass ? r->pass(r->arg, &best->record, &pass) : 0;
        if (err)
            return err;
        if (pass) {
            page->walked = best->record.seq;
            if (!step_on(r, best->record.seq))
                return 0;
            if (++r->passed == FIND_PASS_MAX) {
                page->more = true;
                return 0;
            }
            continue;
        }
        if (page->count && page->bytes.len + best->whole.len > find->bytes_max) {
            page->more = true;
            return 0;
        }
        err = page_add(page, best);
        if (err)
            return err;
        page->walked = best->record.seq;
        if (!step_on(r, best->record.seq))
            return 0;
    }
}

int view_read_passing(struct view *view, struct record_page *page, view_pass_fn *pass, void *arg)
{
    struct reading r = { .view = view, .page = page, .pass = pass, .arg = arg };
    assert(view->find.max >= 1 && !view->find.spread);
    assert(!pass || (view->find.passing && view->find.what == FIND_RECORDS));
    view_page_clear(page);
    size_t most = view->find.max < SIZE_MAX / RECORD_BYTES_MAX ? view->find.max * RECORD_BYTES_MAX : SIZE_MAX;
    if (view->find.bytes_max < most)
        most = view->find.bytes_max > RECORD_BYTES_MAX ? view->find.bytes_max : RECORD_BYTES_MAX;
    buf_init(&page->bytes, most);
    int err = view_sources_make(&r);
    if (!err)
        err = merge(&r);
    view_sources_free(&r);
    if (err)
        page->count = 0;
    else
        page_finish(page, view->find.newest);
    return err;
}

int view_read(struct view *view, struct record_page *page)
{
    return view_read_passing(view, page, NULL, NULL);
}
