/* frame.c - one allocation: the count, the length, the bytes. */
#include "server/core/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wsframe.h"

struct frame *frame_new(size_t len)
{
    if (len > UINT32_MAX) return NULL;
    struct frame *frame = malloc(sizeof *frame + len);
    if (!frame) return NULL;
    atomic_init(&frame->refs, 1);
    frame->len = (uint32_t)len;
    return frame;
}

struct frame *frame_ws(struct bytes payload)
{
    uint8_t header[WSFRAME_HEADER_MAX];
    size_t header_len = wsframe_header(header, WSFRAME_BINARY, payload.len);
    struct frame *frame = frame_new(header_len + payload.len);
    if (!frame) return NULL;
    memcpy(frame->at, header, header_len);
    if (payload.len) memcpy(frame->at + header_len, payload.at, payload.len);
    return frame;
}

struct frame *frame_ref(struct frame *frame)
{
    /* Relaxed: whoever calls this holds a reference, so the frame cannot go away meanwhile, and what carries the
     * new one to another thread (a pipe) orders the bytes. */
    uint32_t before = atomic_fetch_add_explicit(&frame->refs, 1, memory_order_relaxed);
    assert(before > 0 && before < UINT32_MAX);
    (void)before;
    return frame;
}

void frame_unref(struct frame *frame)
{
    if (!frame) return;
    /* Release: our reads come before someone else's free. Acquire: theirs come before ours. */
    uint32_t before = atomic_fetch_sub_explicit(&frame->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1) free(frame);
}
