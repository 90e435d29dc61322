/* list.h - the node's closed segments, sorted and unsorted, as one list that is swapped whole.
 *
 * A list never changes: who wants another one makes it and puts it in the place of the old, under a mutex that is held
 * while a pointer is exchanged. Readers take a counted reference and keep what they see for as long as they like; files
 * that were replaced meanwhile stay open until the last list with them has gone.
 *
 * A log has its open segment for itself, and puts it here when it is closed. So a list and the open segment of a log are
 * all that a partition of that log's shard may have.
 * Thread: all of it any; list_get() is short enough for a loop, the others allocate and copy pointers. */
#ifndef PIPIT_STORAGE_LIST_H
#define PIPIT_STORAGE_LIST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct logs;
struct segment;
struct sorted;

struct segment_list {
    atomic_uint refs;
    atomic_uint *alive;           /* the node's count of such lists; NULL: it was never the node's */
    struct segment **segments;    /* unsorted, by (log, first number); each with a reference */
    size_t segment_count;
    struct sorted **tables;       /* sorted, by serial; each with a reference */
    size_t table_count;
};

/* A list of its own references to these. NULL: out of memory. */
struct segment_list *list_new(struct segment *const *segments, size_t segment_count, struct sorted *const *tables,
                              size_t table_count);
void list_unref(struct segment_list *list);

/* The first list of a node takes its place; the reference is taken over. */
void list_begin(struct logs *logs, struct segment_list *list);
/* Is there no list of the node's but the one as it is now? Then all who looked at an older one have let go of it. For who
 * has a reference to the one as it is now: without it the answer is old when it comes. */
bool list_is_alone(struct logs *logs);
/* The list as it is now, with a reference; to be let go of before logs_close(). */
struct segment_list *list_get(struct logs *logs);
/* Take a segment that is closed into it. 0 or ERR_NOMEM. */
int list_add(struct logs *logs, struct segment *segment);
/* Take these out of it and `added` (not NULL) into it, at once. What is to be taken out must be there. 0 or ERR_NOMEM:
 * then nothing has changed. */
int list_replace(struct logs *logs, struct segment *const *segments, size_t segment_count, struct sorted *const *tables,
                 size_t table_count, struct sorted *added);

#endif
