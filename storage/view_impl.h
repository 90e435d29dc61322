/* view_impl.h - inside view.c and view_time.c only: a view, and one reading of it. */
#ifndef PIPIT_STORAGE_VIEW_IMPL_H
#define PIPIT_STORAGE_VIEW_IMPL_H

#include "storage/logs.h"
#include "storage/sorted.h"
#include "storage/view.h"

struct source {
    struct msg_id bound, end;             /* of its ids: that at which the walk would come in, and the other */
    bool opened, skipped;                 /* skipped: it has nothing of the range */
    struct sorted *table;                 /* or … */
    struct segment *segment;              /* … with … */
    const struct index_entry *entries;    /* … these left of it */
    size_t entry_count;
    bool has;                             /* record and whole are its next one */
    bool stale;                           /* they were taken: the next one is not read yet */
    struct record record;
    struct bytes whole;
    struct sorted_cursor cursor;          /* table */
    struct buf bytes;                     /* segment: of the file, from `bytes_from` on */
    uint64_t bytes_from;
};

struct view {
    struct find find;
    struct segment_list *list;
    struct segment *open;
    struct msg_id open_bound;             /* of its records, as the shard saw it */
    bool complete;                        /* the open segment has no other places in the range */
    size_t entry_count;
    struct index_entry entries[];
};

struct reading {
    const struct view *view;
    struct record_page *page;
    struct source *sources;
    size_t source_count, at;              /* sources before it are opened or skipped */
    bool searched;
    uint64_t next_seq;                    /* records: nothing comes before it in the walk */
    view_pass_fn *pass;                   /* NULL: nothing is passed over */
    void *arg;
    size_t passed;
};

void view_page_clear(struct record_page *page);
/* The sources of the view, by their bounds; none is opened. 0 or ERR_NOMEM. */
int view_sources_make(struct reading *r);
void view_sources_free(struct reading *r);    /* closes those that are opened */
/* `err`; what is damaged is said in the page, and ERR_CORRUPT then. */
int view_bad(struct reading *r, const char *name, uint64_t offset, int err);

#endif
