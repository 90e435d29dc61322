/* shelf.h - the newest of many byte strings, in memory of a fixed size: what is put when there is no room pushes the
 * oldest out. Thread: no globals; a shelf belongs to whoever holds it. */
#ifndef PIPIT_CLIENT_TUI_SHELF_H
#define PIPIT_CLIENT_TUI_SHELF_H

#include "proto/bytes.h"

struct shelf {
    uint8_t *bytes;               /* all strings, the oldest first; owned */
    size_t *lens;                 /* of each; owned */
    size_t count, count_max;
    size_t used, bytes_max;
};

/* 0 or ERR_NOMEM. */
int shelf_init(struct shelf *s, size_t count_max, size_t bytes_max);
void shelf_fini(struct shelf *s);            /* one of zeros allowed */

/* Put `string` (at most bytes_max bytes) as the newest. Returns how many of the oldest went for it. */
size_t shelf_push(struct shelf *s, struct bytes string);
/* Make the newest longer, at its front or its end, to at most bytes_max. Returns how many of the oldest went for it. */
size_t shelf_extend(struct shelf *s, struct bytes more, bool at_front);
/* Forget the newest. */
void shelf_pop(struct shelf *s);
void shelf_clear(struct shelf *s);
/* The string at `index` (< count), 0 being the oldest; lent until the shelf changes. */
struct bytes shelf_at(const struct shelf *s, size_t index);

#endif
