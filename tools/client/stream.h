/* stream.h - bytes to and from a server: TCP, or TLS over it.
 *
 *   LOOKUP ──> CONNECTING ──> (HANDSHAKE) ──> OPEN    each may end in an error, after which only stream_close() is left
 *
 * Nothing waits: a name is looked up by a thread beside (lookup.h). The caller polls stream_fd() for stream_events()
 * and calls stream_advance(); the descriptor changes on the way to OPEN.
 * A certificate is verified against the system's store, or the file given, and against the name in the URL.
 * Thread: one. */
#ifndef PIPIT_CLIENT_STREAM_H
#define PIPIT_CLIENT_STREAM_H

#include <sys/types.h>

#include "proto/proto.h"

enum {
    URL_HOST_MAX = 254,           /* a DNS name and its NUL */
    LOOKUP_MS_MAX = 15000,        /* most resolvers have tried a second server by then */
    CONNECT_MS_MAX = 5000,        /* for one address; then the next one is tried */
    WHY_MAX = 256,
};

struct url {
    bool tls;
    char host[URL_HOST_MAX];      /* without brackets */
    char port[6];
};
/* ws://HOST[:PORT] or wss://HOST[:PORT], HOST a name, an IPv4 address or a bracketed IPv6 one. ERR_CONFIG and a clause
 * in `why`. */
int url_parse(const char *text, struct url *out, char why[static WHY_MAX]);

struct stream;

/* Begins to look the name up. ca_file NULL: the system's store. ERR_CONFIG (the file), ERR_NOMEM, ERR_IO. */
int stream_open(const struct url *url, const char *ca_file, uint64_t now_ms, struct stream **out,
                char why[static WHY_MAX]);
void stream_close(struct stream *s);                           /* NULL allowed */
/* 0: OPEN; ERR_AGAIN: wait for its events; ERR_PEER, ERR_IO, ERR_AUTH (certificate) with `why`. */
int stream_advance(struct stream *s, uint64_t now_ms, char why[static WHY_MAX]);
int stream_fd(const struct stream *s);
short stream_events(const struct stream *s);                   /* POLLIN, POLLOUT: what it waits for itself */
uint64_t stream_due_ms(const struct stream *s);                /* call stream_advance() then at the latest */
/* Bytes read or written (more than 0), or ERR_AGAIN, ERR_PEER (the end), ERR_IO. When OPEN. */
ssize_t stream_read(struct stream *s, void *to, size_t len);
ssize_t stream_write(struct stream *s, const void *from, size_t len);

#endif
