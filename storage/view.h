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
 * Numbering has no gaps: a sequence of the range that is not found, though its neighbours are, was let go. Ids rise with
 * sequences, so do the times in them: where a time lies is found by searching, not by walking. */
#ifndef PIPIT_STORAGE_VIEW_H
#define PIPIT_STORAGE_VIEW_H

#include "storage/log.h"

enum {
    /* Records one read passes over because its caller wants none of them: a few hundred KiB to read, 24 KiB of places. */
    FIND_PASS_MAX = 1024,
    /* Places of the open segment that one step of view_find_time() looks at. Two steps do for any segment. */
    FIND_SPREAD_MAX = 1024,
};

struct find {
    struct conv_id partition;
    enum find_what what;
    uint64_t from, to;            /* both included: sequences, or places of marks */
    bool newest;                  /* pick from the end of the range */
    struct position after;        /* FIND_MARKS, rising: of those placed at `from`, what comes behind this; 0, 0: all */
    size_t max;                   /* records, 1.. */
    size_t bytes_max;             /* of whole records; at least one is given whatever its size */
    bool passing;                 /* for view_read_passing() */
    bool spread;                  /* for view_find_time(), with max FIND_SPREAD_MAX */
};

struct view;
/* The log's shard; touches no file. NULL: out of memory. */
struct view *log_view(struct log *log, const struct find *find);
void view_free(struct view *view);                /* any thread, before logs_close(); NULL is fine */

struct page_record { struct record record; struct bytes whole; };
struct record_page {
    struct page_record *records;  /* rising by sequence; marks by (place, number); views into the page */
    size_t count;
    bool more;                    /* it stopped at max, bytes_max or FIND_PASS_MAX: there may be more */
    uint64_t walked;              /* the last sequence looked at, passed over ones too; 0: none was */
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
/* The same without the records that `pass` wants to pass over, of which there may be FIND_PASS_MAX: they take no place in
 * the page. The view was taken for it (find.passing). Errors of `pass` too. */
typedef int view_pass_fn(void *arg, const struct record *record, bool *pass_out);
int view_read_passing(struct view *view, struct record_page *page, view_pass_fn *pass, void *arg);

/* Where in find.from..to the first record lies that was made at `ms` or later, by its id: in *low_out..*high_out. The same
 * number twice: all below it are older, all from it on are not. Low above high: all of the range are older. Else a view of
 * low..high tells more. The view was taken for it (find.spread, FIND_RECORDS, not newest); `page` is left empty.
 * Cost: a search in each file that may hold it, whatever the range. Blocks. Errors as view_read(). */
int view_find_time(struct view *view, struct record_page *page, uint64_t ms, uint64_t *low_out, uint64_t *high_out);

#endif
