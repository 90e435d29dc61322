/* view.h - reading records of one partition from wherever they lie: the open segment, closed ones, sorted ones.
 *
 * Two halves, because a shard may not wait for a disk and a job may not look into the open segment's index:
 *   shard   log_view()    takes the list of closed segments as it is now, and the places that its open segment has
 *   job     view_read()   reads: merges all of it into one page
 * Everything committed before log_view() is found, and nothing that is committed later.
 *
 * A page touches few files: ids of messages rise within a conversation, so files are opened in the order of their oldest
 * (or newest) id, and only while one could hold the next record. A file that is damaged fails only pages that need it.
 *
 * Numbering has no gaps: a sequence of the range that is not found, though its neighbours are, was let go. */
#ifndef PIPIT_STORAGE_VIEW_H
#define PIPIT_STORAGE_VIEW_H

#include "storage/log.h"

struct find {
    struct conv_id partition;
    enum find_what what;
    uint64_t from, to;            /* both included: sequences, or places of marks */
    bool newest;                  /* pick from the end of the range */
    struct position after;        /* FIND_MARKS, rising: of those placed at `from`, what comes behind this; 0, 0: all */
    size_t max;                   /* records, 1.. */
    size_t bytes_max;             /* of whole records; at least one is given whatever its size */
};

struct view;
/* The log's shard; touches no file. NULL: out of memory. */
struct view *log_view(struct log *log, const struct find *find);
void view_free(struct view *view);                /* any thread, before logs_close(); NULL is fine */

struct page_record { struct record record; struct bytes whole; };
struct record_page {
    struct page_record *records;  /* rising by sequence; marks by (place, number); views into the page */
    size_t count;
    bool more;                    /* it stopped at max or bytes_max: there may be more */
    uint32_t reads;               /* of files, for this page */
    char bad_file[FS_NAME_MAX + 1];   /* with ERR_CORRUPT: which file … */
    uint64_t bad_offset;          /* … and where in it */
    /* -- below: view.c alone -- */
    size_t cap;
    struct buf bytes;
};
void record_page_init(struct record_page *page);
void record_page_fini(struct record_page *page);

/* Replaces what was in the page. Blocks. Returns 0, ERR_CORRUPT, ERR_IO or ERR_NOMEM; the page is empty then. */
int view_read(struct view *view, struct record_page *page);

#endif
