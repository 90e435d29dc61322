/* frame.h - bytes on their way to sockets: encoded once, then never changed, counted.
 *
 * A frame of a session carries its WebSocket header in front, so the same bytes go to every receiver. Whoever
 * makes it writes it before handing out the first reference; from then on anyone may read it, on any thread. */
#ifndef PIPIT_CORE_FRAME_H
#define PIPIT_CORE_FRAME_H

#include <stdatomic.h>

#include "proto/bytes.h"

struct frame {
    _Atomic uint32_t refs;
    uint32_t len;
    uint8_t at[];
};

struct frame *frame_new(size_t len);                 /* one reference, bytes undefined; NULL: out of memory */
/* A binary WebSocket message around `payload`: header and a copy. NULL: out of memory. */
struct frame *frame_ws(struct bytes payload);
struct frame *frame_ref(struct frame *frame);        /* the same frame, one more reference */
void frame_unref(struct frame *frame);               /* NULL is allowed; the last one frees */
static inline struct bytes frame_bytes(const struct frame *f)
{
    return (struct bytes){ f->at, f->len };
}

#endif
