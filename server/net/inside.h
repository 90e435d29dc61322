/* inside.h - what the files of net/ know of each other; nobody else includes it.
 *
 * Three structs. struct conn is movable: plain heap without a libuv handle in it. struct sock is the handle and stays
 * with its loop. struct net is one shard's share of both.
 *
 * Everything that ends or changes a connection is done in net_flush(), once a turn: callbacks and callers only set
 * what is wanted and put the conn on the dirty list. So nobody's conn or parser vanishes under their feet, and
 * uv_close() is called in one place. */
#ifndef PIPIT_NET_INSIDE_H
#define PIPIT_NET_INSIDE_H

#include <stddef.h>
#include <sys/queue.h>

#include "proto/err.h"
#include "server/net/net.h"
#include "server/net/peers.h"
#include "server/net/tls.h"
#include "server/net/ws.h"

enum {
    /* Frames queued at which a connection's input waits for them to go out: it can queue no more answers then. Half of
     * CONN_OUT_FRAMES_MAX, so that a fast sender is slowed and only one who does not read is closed as SLOW. */
    CONN_OUT_FRAMES_HIGH = CONN_OUT_FRAMES_MAX / 2,
    /* What may be queued at once: the limit, a close frame and a pong. */
    CONN_IOV_ALL = CONN_OUT_FRAMES_MAX + 2,
    /* What one read can decrypt to. */
    NET_PLAIN_BYTES = CONN_READ_BYTES + TLS_FEED_MORE,
};

/* See conn.h for HTTP, WS and CLOSING.
 * MOVING   handoff_send() was called: nothing is read, interpreted or written here any more
 * GONE     the handle is being closed; its callback frees the conn */
enum conn_state { CONN_HTTP, CONN_WS, CONN_MOVING, CONN_CLOSING, CONN_GONE };

/* A stream of one of two kinds. */
union stream {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;                   /* of a Unix socket */
};

struct sock {
    struct conn *conn;                /* NULL: refused before there was one */
    struct net *net;
    bool reading;
    bool is_unix;
    union stream uv;                  /* last: only as much of it is allocated as its kind needs (sock_new) */
};

/* Beside struct conn, what an idle connection costs: 272 bytes for TCP. */
_Static_assert(offsetof(struct sock, uv) <= 24, "a sock is little more than its handle");

/* What is spoken behind it. */
enum door_kind {
    DOOR_TCP,                         /* TLS when there is a certificate */
    DOOR_PLAIN,                       /* no TLS, certificate or not */
    DOOR_REDIRECT,                    /* no TLS, and nothing but the way to where there is */
    DOOR_UNIX,
};

/* Who speaks plainly and should not: whatever it asks, it is told where TLS is spoken. */
enum told_tls { TOLD_NOTHING, TOLD_HERE, TOLD_ELSEWHERE };

/* A place that is listened on. */
struct door {
    union stream uv;
    struct net *net;
    enum door_kind kind;
    bool open;                        /* its handle is not closed yet */
    bool waiting;                     /* libuv holds an accepted connection: there was no memory for its handle */
};

/* On its way to another shard. */
struct move {
    uint16_t to;
    int fd;                           /* -1 until it has been duplicated */
    bool binary;
    uint32_t len;
    uint8_t message[];                /* the one it moves for */
};

struct conn {
    struct net *net;                  /* whose it is now */
    struct sock *sock;                /* NULL between two shards */
    void *owner;
    TAILQ_ENTRY(conn) all;            /* net->conns */
    STAILQ_ENTRY(conn) dirty;         /* net->dirty; also net->moves, never both */
    struct timeout timer;             /* HTTP: the request; WS: the first message, one under way, or being held back;
                                       * CLOSING: the linger */
    struct http *http;                /* HTTP state only */
    struct ws *ws;                    /* only while part of a message is held */
    struct tls *tls;                  /* NULL: plain */
    struct move *move;                /* MOVING only */
    uint8_t *in;                      /* bytes not interpreted yet; NULL: none */
    struct frame **out;               /* queue, a ring of out_cap; NULL: empty */
    struct frame *pong;               /* waits until what was written is taken: one, whatever the number of pings */
    size_t out_bytes;                 /* queued, in the first frame without out_skip */
    uint64_t id;
    uint64_t heard_ms;
    uint32_t in_at, in_len;           /* of in: what is interpreted, and all */
    uint32_t out_skip;                /* bytes of the first frame that the socket has */
    uint16_t out_head, out_count, out_cap;
    uint16_t writing;                 /* the first so many frames are in a uv_write */
    int16_t err;                      /* for on_closed */
    uint8_t state;                    /* enum conn_state */
    bool is_dirty : 1;
    bool paused : 1;
    bool blocked : 1;                 /* the socket did not take everything: on_drained is owed */
    bool answering : 1;               /* HTTP: a request is with its owner */
    bool keep_alive : 1;              /* HTTP: after its answer */
    bool is_head : 1;                 /* HTTP: its answer has no body */
    bool cors : 1;                    /* HTTP: a page of another origin asked, and may read the answer */
    bool heard_message : 1;           /* WS: at least one; the first must come in time */
    bool binary : 1;                  /* WS: the message that is being handled */
    bool message_ended : 1;           /* WS: in the bytes that are being fed */
    bool eof : 1;                     /* the peer sends no more */
    bool hard : 1;                    /* CLOSING: do not wait for anything */
    bool shut : 1;                    /* CLOSING: our FIN is sent, the peer's is awaited */
    bool refused : 1;                 /* over a limit: answered and closed, never shown to events */
    bool is_unix : 1;                 /* by a Unix socket: who it is its proxy says, with each request */
    bool limited : 1;                 /* its address has a limit */
    bool counted : 1;                 /* in the table of addresses */
    bool heard_tls : 1;               /* TLS: the first byte has come */
    bool said_end : 1;                /* TLS: the peer has said that it sends no more, and it was not seen yet */
    uint8_t told_tls : 2;             /* enum told_tls */
    char peer[PEER_TEXT];
};

/* What an idle connection costs beside its struct sock and the kernel's share: 25 MB for a hundred thousand. */
_Static_assert(sizeof(struct conn) <= 256, "a conn must stay small");

TAILQ_HEAD(conn_list, conn);
STAILQ_HEAD(conn_queue, conn);

struct net {
    struct shard *shard;
    struct net_config config;
    struct conn_list conns;           /* all with a handle here; not those between two shards */
    struct conn_queue dirty;
    struct conn_queue moves;          /* left their loop, no room in the pipe yet */
    uint32_t conns_count;             /* in conns, without the refused */
    uint32_t refused_count;           /* in conns: answered and lingering */
    uint32_t socks;                   /* handles not closed yet */
    uint64_t next_id;
    struct ws *ws_spare;              /* a clean one, lent to who reads */
    struct frame *ping;               /* the same for everybody */
    struct peer_addr *addrs;          /* listener.c's: connections for each address */
    struct door *doors;
    uint16_t doors_count, doors_open;
    struct timeout accept_again;      /* some door waits: try later */
    uint64_t fds_max;                 /* descriptors from this number on are not for connections */
    bool closing;
    uint8_t *read_buf;                /* CONN_READ_BYTES, lent by sock_on_alloc() */
    uint8_t *plain;                   /* NET_PLAIN_BYTES: scratch of secure.c */
    struct certs *certs;              /* counted; NULL: no TLS */
    uv_buf_t iov[CONN_IOV_ALL];       /* scratch of out_flush() */
};

/* -- sock.c: the one file that calls libuv for connections -- */
struct sock *sock_new(struct net *net, bool is_unix);         /* NULL: out of memory */
int stream_init(union stream *uv, struct shard *shard, bool is_unix);   /* 0 or ERR_IO */
int stream_open(union stream *uv, bool is_unix, int fd);      /* takes fd when it returns 0; else ERR_IO */
int sock_open(struct sock *s, int fd);                        /* takes fd when it returns 0; else ERR_IO */
void sock_read(struct sock *s, bool on);
/* Bytes taken, 0: none now, or ERR_PEER, ERR_IO, ERR_NOMEM. */
ssize_t sock_try_write(struct sock *s, const uv_buf_t *bufs, unsigned count);
/* All of it, later: conn_on_written() tells. 0, ERR_NOMEM, ERR_PEER or ERR_IO. */
int sock_write(struct sock *s, const uv_buf_t *bufs, unsigned count);
size_t sock_waiting_bytes(const struct sock *s);             /* of that write: not yet taken */
bool sock_has_ended(struct sock *s);                         /* the peer sends no more, whatever of it is unread */
void sock_shutdown(struct sock *s);                           /* FIN; nothing may be in a sock_write() */
int sock_dup(struct sock *s);                                 /* a descriptor, or -1 */
void sock_close_fd(int fd);                                   /* one that sock_dup() gave and nobody took */
void sock_close(struct sock *s);                              /* conn_on_sock_closed() tells; s is freed */
/* Its address, or "unix" for a Unix socket, or "?" for one that has gone. */
void sock_peer(struct sock *s, char out[static PEER_TEXT], bool *loopback_out);

/* -- out.c: the write queue -- */
int out_push(struct conn *c, struct frame *frame);            /* takes its own reference; 0 or ERR_NOMEM */
/* Write what is queued. 0: all taken; ERR_AGAIN: the socket is full, or a write is under way; ERR_PEER, ERR_IO or
 * ERR_NOMEM: the socket is of no more use. */
int out_flush(struct conn *c);
void out_written(struct conn *c);                             /* the sock_write() under way is done */
void out_took(struct conn *c, size_t bytes);                  /* so many of the queue have gone */
unsigned out_gather(const struct conn *c, unsigned max);      /* the first `max` frames, at most, in net->iov */
void out_drop(struct conn *c);                                /* what no write holds or has begun */
void out_free(struct conn *c);

/* -- conn.c -- */
struct conn *conn_new(struct net *net);                       /* HTTP state, without a socket; NULL: out of memory */
void conn_free(struct conn *c);                               /* it is in no list */
void conn_enter(struct conn *c, enum conn_state state);
void conn_start(struct conn *c, struct sock *s);              /* joins net's list with its socket */
void conn_mark_dirty(struct conn *c);
void conn_flush(struct conn *c);                              /* its share of net_flush() */
bool conn_has_input(const struct conn *c);                    /* bytes wait and may be interpreted */
void conn_take_input(struct conn *c);                         /* interpret them */
void conn_on_input(struct conn *c, struct bytes in);
void conn_on_read_end(struct conn *c, int err);               /* ERR_END: no more comes; ERR_PEER: reset; ERR_IO */
void conn_on_written(struct conn *c, int err);
void conn_on_sock_closed(struct conn *c);
void conn_fail(struct conn *c, int err);                      /* close without waiting for anything */

/* -- secure.c: TLS between the socket and the rest -- */
int secure_begin(struct conn *c);                             /* it will speak TLS; 0 or ERR_NOMEM */
void secure_on_input(struct conn *c, struct bytes wire);      /* from the socket, of all connections */
/* out_flush() of a connection with TLS. */
int secure_flush(struct conn *c);

/* -- answer.c: the HTTP state's side -- */
size_t answer_feed(struct conn *c, struct bytes in);          /* interprets; returns bytes taken */
void answer_timeout(struct conn *c);
void answer_refusal(struct conn *c, int status, const char *why);   /* over a limit: answer and close */

/* -- listening.c, listening_unix.c: main's, before and after the shards -- */
uint16_t listening_count(const struct listening *listening);
/* Socket `i` of a shard, which is its from now on; -1: there is none. */
int listening_take(struct listening *listening, uint16_t i, uint16_t shard, enum door_kind *kind_out);
struct unix_file {
    char path[108];                   /* "": none */
    uint64_t device, inode;           /* of the one we made */
};
int unix_check(const char *path, char why[static LISTENING_WHY_MAX]);      /* 0 or ERR_CONFIG */
int unix_bind(const char *path, uint32_t mode, int backlog, struct unix_file *file_out, int *fd_out,
              char why[static LISTENING_WHY_MAX]);
void unix_remove(const struct unix_file *file);               /* when it is still the one we made */

/* -- listener.c -- */
int listener_open(struct net *net, struct listening *listening);
void listener_close(struct net *net);

/* -- crowd.c: connections of each address -- */
int addr_add(struct net *net, struct conn *c);                /* a `limited` one; 0 or ERR_NOMEM */
void addr_remove(struct net *net, struct conn *c);            /* harmless when it is not counted */
/* Take it for one more of its address: 0, ERR_RATE (there are too many) or ERR_NOMEM. It may have no limit. */
int addr_enter(struct net *net, struct conn *c, bool loopback);

/* -- handoff.c -- */
void handoff_begin(struct conn *c);                           /* MOVING and nothing in a write: let go of the handle */
void handoff_leave(struct conn *c);                           /* its handle is closed: on to the pipe */
void handoff_retry(struct net *net);
void handoff_cancel(struct conn *c);                          /* MOVING, without a handle: end it here */

/* -- wskey.c -- */
enum { WSKEY_ACCEPT_TEXT = 29 };
int wskey_accept(const char *key, char out[static WSKEY_ACCEPT_TEXT]);   /* 0 or ERR_NOMEM */

#endif
