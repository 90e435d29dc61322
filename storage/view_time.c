/* view_time.c - where a time lies; see view.h.
 *
 * Each source is searched by itself: a table by its index, a segment by halving its places, each of which costs a read
 * of one record. Sources come in the order of their smallest ids, and what was made later than all of a source that has
 * the answer need not be looked at. Of the open segment the view has places evenly spread: what lies between two of
 * them is left to the next view. */
#include <assert.h>
#include <string.h>

#include "proto/err.h"
#include "storage/view_impl.h"

/* The first of a segment's places whose record was made at `ms` or later; entry_count: none was. */
static int segment_find_time(struct reading *r, struct source *s, uint64_t ms, size_t *at_out)
{
    size_t low = 0, high = s->entry_count;
    buf_init(&s->bytes, RECORD_BYTES_MAX);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct index_entry *entry = &s->entries[middle];
        r->page->reads++;
        int err = segment_read(s->segment, entry->offset, entry->offset + (uint64_t)entry->len, &s->bytes);
        if (!err)
            err = segment_record(s->segment, entry, buf_bytes(&s->bytes), entry->offset, &s->record, &s->whole);
        if (err)
            return view_bad(r, s->segment->name, entry->offset, err);
        if (msg_id_ms(&s->record.id) < ms)
            low = middle + 1;
        else
            high = middle;
    }
    *at_out = low;
    return 0;
}

/* What a source says, as view_find_time() does. ERR_END: all in it are older. */
static int source_find_time(struct reading *r, struct source *s, uint64_t ms, uint64_t *low, uint64_t *high)
{
    size_t at = 0;
    int err;
    if (s->table) {
        sorted_cursor_init(&s->cursor);
        if (msg_id_ms(&sorted_meta(s->table)->max_id) < ms)
            return ERR_END;
        err = sorted_find_time(&s->cursor, s->table, &r->view->find.partition, ms, high);
        *low = *high;
        return err && err != ERR_END ? view_bad(r, sorted_file_name(s->table), s->cursor.bad_offset, err) : err;
    }
    bool is_open = s->segment == r->view->open;
    if (!is_open && msg_id_ms(&s->segment->max_id) < ms)
        return ERR_END;
    err = segment_find_time(r, s, ms, &at);
    if (err)
        return err;
    if (at == s->entry_count)                         /* the last place is always among them */
        return ERR_END;
    *high = s->entries[at].seq;
    *low = at && is_open && !r->view->complete ? s->entries[at - 1].seq + 1 : *high;
    return 0;
}

/* Was all that is in `s` made later than all in `best`? Of the open segment nobody knows: the shard adds to it. */
static bool is_all_later(const struct reading *r, const struct source *s, const struct source *best)
{
    if (!best->table && best->segment == r->view->open)
        return false;
    const struct msg_id *last = best->table ? &sorted_meta(best->table)->max_id : &best->segment->max_id;
    return memcmp(s->bound.v, last->v, sizeof last->v) > 0;
}

static int find_time(struct reading *r, uint64_t ms, uint64_t *low_out, uint64_t *high_out)
{
    const struct source *best = NULL;
    for (; r->at < r->source_count; r->at++) {
        uint64_t low, high;
        struct source *s = &r->sources[r->at];
        if (best && is_all_later(r, s, best))
            return 0;
        s->opened = true;
        int err = source_find_time(r, s, ms, &low, &high);
        if (err == ERR_END)
            continue;
        if (err)
            return err;
        if (best && low >= *low_out)
            continue;
        *low_out = low;
        *high_out = high;
        best = s;
    }
    return best ? 0 : ERR_END;
}

int view_find_time(struct view *view, struct record_page *page, uint64_t ms, uint64_t *low_out, uint64_t *high_out)
{
    struct reading r = { .view = view, .page = page };
    const struct find *find = &view->find;
    assert(find->spread);
    view_page_clear(page);
    int err = view_sources_make(&r);
    if (!err)
        err = find_time(&r, ms, low_out, high_out);
    view_sources_free(&r);
    if (err == ERR_END || (!err && *low_out > find->to)) {
        *low_out = find->to + 1;
        *high_out = find->to;
        return 0;
    }
    /* A table is searched whole: what it found may lie outside. */
    if (!err && *high_out < find->from)
        *low_out = *high_out = find->from;
    return err;
}
