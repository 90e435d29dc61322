/* out.c - the write queue of a connection: frames in order, by reference.
 *
 * No byte is copied: the queue holds a reference to each frame until the socket has taken all of it. One writev a turn
 * takes up to CONN_IOV_MAX frames; only what it could not take goes into a write request of libuv's, which is allocated
 * then and covers the `writing` first frames of the queue. While it is under way nothing else is written, so that
 * order holds, and what comes meanwhile waits behind it.
 *
 * An empty queue holds no memory: a hundred thousand idle connections are the rule. */
#include <assert.h>
#include <stdlib.h>

#include "server/net/inside.h"

enum { OUT_CAP_FIRST = 8 };              /* frames; a power of two, as all that follow */

static struct frame *out_at(const struct conn *c, unsigned i)
{
    return c->out[(c->out_head + i) & (c->out_cap - 1u)];
}

static int out_grow(struct conn *c)
{
    uint16_t cap = c->out_cap ? (uint16_t)(c->out_cap * 2) : OUT_CAP_FIRST;
    struct frame **out = malloc(cap * sizeof(struct frame *));
    if (!out) return ERR_NOMEM;
    for (unsigned i = 0; i < c->out_count; i++) out[i] = out_at(c, i);
    free(c->out);
    c->out = out;
    c->out_head = 0;
    c->out_cap = cap;
    return 0;
}

int out_push(struct conn *c, struct frame *frame)
{
    if (c->out_count == c->out_cap) {
        int err = out_grow(c);
        if (err) return err;
    }
    c->out[(c->out_head + c->out_count) & (c->out_cap - 1u)] = frame_ref(frame);
    c->out_count++;
    c->out_bytes += frame->len;
    return 0;
}

static void out_free_ring(struct conn *c)
{
    free(c->out);
    c->out = NULL;
    c->out_cap = c->out_head = 0;
}

/* The socket has `bytes` more of the queue. */
void out_took(struct conn *c, size_t bytes)
{
    STAT_ADD(&c->net->shard->stats, bytes_out, bytes);
    c->out_bytes -= bytes;
    while (c->out_count) {
        struct frame *first = out_at(c, 0);
        size_t left = first->len - c->out_skip;
        if (bytes < left) {
            c->out_skip += (uint32_t)bytes;
            return;
        }
        bytes -= left;
        c->out_skip = 0;
        c->out_head = (uint16_t)((c->out_head + 1) & (c->out_cap - 1u));
        c->out_count--;
        frame_unref(first);
    }
    assert(bytes == 0 && c->out_bytes == 0);
    out_free_ring(c);
}

/* The queue's first `max` frames as libuv wants them. */
unsigned out_gather(const struct conn *c, unsigned max)
{
    uv_buf_t *iov = c->net->iov;
    unsigned count = c->out_count < max ? c->out_count : max;
    assert(count <= CONN_IOV_ALL);
    for (unsigned i = 0; i < count; i++) {
        struct frame *f = out_at(c, i);
        size_t skip = i == 0 ? c->out_skip : 0;
        iov[i] = uv_buf_init((char *)f->at + skip, (unsigned)(f->len - skip));
    }
    return count;
}

int out_flush(struct conn *c)
{
    if (c->writing) return ERR_AGAIN;
    if (c->pong) {
        int err = out_push(c, c->pong);
        if (err) return err;
        frame_unref(c->pong);
        c->pong = NULL;
    }
    if (c->tls) return secure_flush(c);
    if (c->out_count == 0) return 0;
    unsigned count = out_gather(c, CONN_IOV_MAX);
    ssize_t n = sock_try_write(c->sock, c->net->iov, count);
    if (n < 0) return (int)n;
    out_took(c, (size_t)n);
    if (c->out_count == 0) return 0;
    count = out_gather(c, CONN_IOV_ALL);
    int err = sock_write(c->sock, c->net->iov, count);
    if (err) return err;
    c->writing = (uint16_t)count;
    return ERR_AGAIN;
}

void out_written(struct conn *c)
{
    size_t bytes = 0;
    if (c->tls) {                        /* what was written were records: their frames have gone from the queue */
        tls_give_back(c->tls);
        c->writing = 0;
        return;
    }
    for (unsigned i = 0; i < c->writing; i++) bytes += out_at(c, i)->len;
    bytes -= c->out_skip;
    c->writing = 0;
    out_took(c, bytes);
}

void out_drop(struct conn *c)
{
    /* A frame of which the socket has a part must be finished, or the peer reads nonsense. */
    unsigned keep = c->writing && !c->tls ? c->writing : c->out_skip ? 1 : 0;
    while (c->out_count > keep) {
        struct frame *last = out_at(c, c->out_count - 1u);
        c->out_bytes -= last->len;
        c->out_count--;
        frame_unref(last);
    }
    if (c->out_count == 0) out_free_ring(c);
}

void out_free(struct conn *c)
{
    for (unsigned i = 0; i < c->out_count; i++) frame_unref(out_at(c, i));
    out_free_ring(c);
    frame_unref(c->pong);
    c->pong = NULL;
    c->out_count = c->writing = 0;
    c->out_bytes = c->out_skip = 0;
}
