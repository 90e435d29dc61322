/* tls.h - TLS of one connection: bytes of the wire to bytes of the peer, and back. The server's side.
 *
 * It has no socket: conn.c feeds what was read, out.c takes what is to be written. A struct tls is plain heap, moves
 * with its connection, and holds no buffer while nothing is half done.
 * Bounds: one record half read (16 KiB, OpenSSL's), TLS_OUT_BYTES_MAX to be written.
 * Thread: whoever has the connection. */
#ifndef PIPIT_NET_TLS_H
#define PIPIT_NET_TLS_H

#include "proto/bytes.h"
#include "server/net/certs.h"

enum {
    TLS_RECORD_BYTES = 16 * 1024,     /* of a peer's bytes in one record at most: RFC 8446, 5.1 */
    /* What one tls_feed() can give beyond what it was fed: a record of which all but the end came before. */
    TLS_FEED_MORE = TLS_RECORD_BYTES,
    /* A flight of a handshake with a long chain, or a turn's frames, is below it. A peer that asks for answers
     * (key updates) and does not read them comes here, and is closed. */
    TLS_OUT_BYTES_MAX = 256 * 1024,
};

struct tls;

int tls_new(struct certs *certs, struct tls **tls_out);  /* takes its own reference; 0 or ERR_NOMEM */
void tls_free(struct tls *t);                            /* NULL is allowed */

/* Take all of `in`. What the peer says goes to `plain`, which has room for in.len + TLS_FEED_MORE bytes. 0; ERR_END: the
 * peer has said that it says no more; ERR_MALFORMED, ERR_NOMEM: it is over, what tls_out() has (an alert) may still be
 * sent, and tls_why() tells. `wall_ms` is now: tickets have an age. */
int tls_feed(struct tls *t, struct bytes in, uint64_t wall_ms, uint8_t *plain, size_t *plain_len_out);
bool tls_is_open(const struct tls *t);                   /* shaken hands: tls_seal() may be called */
bool tls_is_resumed(const struct tls *t);                /* with a ticket */
const char *tls_why(const struct tls *t);                /* a clause, good until the next tls_feed() */
const char *tls_version(const struct tls *t);            /* "TLSv1.3" */

/* Put bytes for the peer to what is to be written. 0, or ERR_NOMEM or ERR_IO: it is over. Only while open. */
int tls_seal(struct tls *t, struct bytes plain);
/* Say that no more comes. Harmless when said, or when it is over. */
void tls_end(struct tls *t);

/* To be written, as far as nothing is lent. */
struct bytes tls_out(const struct tls *t);
void tls_took(struct tls *t, size_t bytes);              /* the socket has the first `bytes` of it */
/* Lend all of it to a write under way: it stays where it is until tls_give_back(). */
struct bytes tls_lend(struct tls *t);
void tls_give_back(struct tls *t);

#endif
