/* secure.c - TLS between a connection's socket and the rest of it.
 *
 * What is read is decrypted at once, all of it, into the shard's scratch, and goes on as if the socket had given it. What is
 * written is encrypted when it is flushed, in records as large as can be: small frames are put together first, since a
 * record costs 22 bytes and a pass of the cipher's set-up. Of a turn's records the socket takes what it can; the rest, at most
 * SECURE_FLUSH_BYTES and a record, is lent to one write request, and nothing is encrypted before that is done. So it is
 * the queue that grows for a slow peer, as without TLS.
 *
 * Who speaks plainly where TLS is expected is answered in HTTP, that it should not: a browser that was given http:// learns
 * more by that than by a broken connection. */
#include <assert.h>
#include <string.h>

#include "server/net/inside.h"

enum {
    TLS_HANDSHAKE = 22,                  /* RFC 8446, 5.1: a connection's first byte */
    SECURE_FLUSH_BYTES = 48 * 1024,      /* encrypted before the socket is asked to take it */
    /* Of one connection in one turn, about a third of a millisecond: who reads as fast as we encrypt keeps nobody
     * waiting. */
    SECURE_TURN_BYTES = 256 * 1024,
};

int secure_begin(struct conn *c)
{
    assert(c->net->certs && !c->tls);
    return tls_new(c->net->certs, &c->tls);
}

/* -- input -- */

static void secure_opened(struct conn *c)
{
    struct stats *stats = &c->net->shard->stats;
    STAT_ADD(stats, tls_opened, 1);
    STAT_ADD(stats, tls_resumed, tls_is_resumed(c->tls));
    say(SAY_DEBUG, "tls_opened", SAY_CONN(c->id), SAY_TEXT("version", tls_version(c->tls)),
        SAY_TEXT("how", tls_is_resumed(c->tls) ? "resumed" : "new"));
}

static void secure_failed(struct conn *c, int err)
{
    STAT_ADD(&c->net->shard->stats, tls_failed, 1);
    say(SAY_INFO, "tls_failed", SAY_CONN(c->id), SAY_TEXT("peer", c->peer), SAY_TEXT("why", tls_why(c->tls)));
    conn_close(c, err);                  /* the alert is sent; no frame can be */
}

static void secure_decrypt(struct conn *c, struct bytes wire)
{
    struct net *net = c->net;
    size_t len;
    bool was_open = tls_is_open(c->tls);
    int err = tls_feed(c->tls, wire, net->shard->wall_ms, net->plain, &len);
    if (!was_open && tls_is_open(c->tls)) secure_opened(c);
    if (tls_out(c->tls).len) conn_mark_dirty(c);
    if (len) conn_on_input(c, bytes_of(net->plain, len));
    if (err == ERR_END) {
        c->said_end = true;              /* seen once what came before it has been taken, as a FIN is */
        conn_mark_dirty(c);
    } else if (err) {
        secure_failed(c, err);
    }
}

void secure_on_input(struct conn *c, struct bytes wire)
{
    if (c->tls && !c->heard_tls && wire.at[0] != TLS_HANDSHAKE) {
        STAT_ADD(&c->net->shard->stats, tls_plain, 1);
        tls_free(c->tls);
        c->tls = NULL;
        c->told_tls = TOLD_HERE;
    }
    c->heard_tls = true;
    /* While it closes, what comes is thrown away. */
    if (!c->tls || c->state == CONN_CLOSING) conn_on_input(c, wire);
    else secure_decrypt(c, wire);
}

/* -- output -- */

/* The queue's first bytes, as many as a record takes, in one piece: where they are, or put together in the scratch. */
static struct bytes secure_piece(struct conn *c)
{
    const uv_buf_t *iov = c->net->iov;
    unsigned count = out_gather(c, CONN_IOV_MAX);
    if (count == 1 || iov[0].len >= TLS_RECORD_BYTES) {
        return bytes_of(iov[0].base, iov[0].len < TLS_RECORD_BYTES ? iov[0].len : TLS_RECORD_BYTES);
    }
    size_t len = 0;
    for (unsigned i = 0; i < count && len < TLS_RECORD_BYTES; i++) {
        size_t take = iov[i].len < TLS_RECORD_BYTES - len ? iov[i].len : TLS_RECORD_BYTES - len;
        memcpy(c->net->plain + len, iov[i].base, take);
        len += take;
    }
    return bytes_of(c->net->plain, len);
}

/* 0: as much as is to be written at once is there, or nothing is left. */
static int secure_encrypt(struct conn *c)
{
    if (!tls_is_open(c->tls)) {
        out_drop(c);                     /* there is no way to say it any more */
        return 0;
    }
    while (c->out_count && tls_out(c->tls).len < SECURE_FLUSH_BYTES) {
        struct bytes piece = secure_piece(c);
        int err = tls_seal(c->tls, piece);
        if (err) return err;
        out_took(c, piece.len);
    }
    if (c->out_count == 0 && c->state == CONN_CLOSING) tls_end(c->tls);
    return 0;
}

int secure_flush(struct conn *c)
{
    size_t taken = 0;
    assert(!c->writing);
    for (;;) {
        int err = secure_encrypt(c);
        struct bytes wire = tls_out(c->tls);
        if (err) return err;
        if (wire.len == 0) return 0;
        uv_buf_t buf = uv_buf_init((char *)wire.at, (unsigned)wire.len);
        ssize_t n = sock_try_write(c->sock, &buf, 1);
        if (n < 0) return (int)n;
        tls_took(c->tls, (size_t)n);
        taken += (size_t)n;
        if ((size_t)n == wire.len) {
            if (taken < SECURE_TURN_BYTES) continue;
            conn_mark_dirty(c);          /* the next turn goes on, if there is more */
            return c->out_count ? ERR_AGAIN : 0;
        }
        wire = tls_lend(c->tls);
        buf = uv_buf_init((char *)wire.at, (unsigned)wire.len);
        err = sock_write(c->sock, &buf, 1);
        if (err) return err;
        c->writing = 1;
        return ERR_AGAIN;
    }
}
