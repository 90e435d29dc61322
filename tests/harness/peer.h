/* peer.h - the other end of one connection: says bytes, requests and frames, and reads what comes back.
 *
 * Plain blocking TCP, TLS over it (peer_speak_tls), or a Unix socket. It knows HTTP and WebSocket as far as net/ does, and nothing of messages (that
 * is talker.h). What a test waits for is an event; PEER_LAST_RESORT_S only turns a server that hangs into a failed
 * test. Failures print what was awaited and abort. One thread for each peer. */
#ifndef PIPIT_TESTS_PEER_H
#define PIPIT_TESTS_PEER_H

#include "proto/bytes.h"

enum { PEER_LAST_RESORT_S = 60 };

struct ssl_st;
struct ssl_ctx_st;

struct peer {
    int fd;
    struct ssl_st *ssl;       /* NULL: plain */
    struct ssl_ctx_st *ctx;
    struct buf in;            /* read and not yet looked at */
    struct buf out;           /* scratch for frames */
    char head[4096];          /* of the last HTTP answer */
    struct buf body;          /* of the last HTTP answer, or payload of the last frame; NUL behind it */
    uint8_t first;            /* of the last frame: FIN and opcode */
};

/* The upgrade request with the key of RFC 6455's example, and its answer's Sec-WebSocket-Accept. */
#define PEER_UPGRADE_WITH(headers) "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: pipit.v1\r\n" headers \
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define PEER_UPGRADE PEER_UPGRADE_WITH("")
#define PEER_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* From here on each TCP peer speaks TLS, trusts `ca_file` alone, and asks for localhost; NULL: plainly again. */
void peer_speak_tls(const char *ca_file);
struct peer *peer_dial(uint16_t port);
struct peer *peer_dial_to(const char *host, uint16_t port);   /* an address, IPv4 or IPv6 */
struct peer *peer_dial_from(const char *source, uint16_t port);   /* from 127.0.0.2 and so on, to 127.0.0.1 */
struct peer *peer_dial_unix(const char *path);
bool peer_has_ipv6(void);                     /* there is a ::1 here */
struct peer *peer_open(uint16_t port);        /* dialled and upgraded */
void peer_free(struct peer *p);               /* closes */
void peer_reset(struct peer *p);              /* closes with a TCP reset; frees */

/* Saying. True: written; false: the server has closed. */
bool peer_put(struct peer *p, struct bytes bytes);
size_t peer_put_now(struct peer *p, struct bytes bytes);      /* as much as goes without waiting, perhaps nothing */
bool peer_puts(struct peer *p, const char *text);
bool peer_frame(struct peer *p, uint8_t first, struct bytes payload);       /* one masked frame */
bool peer_say(struct peer *p, const char *text);                            /* a whole binary message */
void peer_end(struct peer *p);                                              /* FIN; reading goes on */

/* Hearing. */
int peer_answer(struct peer *p);                        /* one HTTP answer: its status; head and body are in p */
int peer_answer_to_head(struct peer *p);                /* one that carries no body whatever it says */
bool peer_has_line(const struct peer *p, const char *line);                 /* of p->head */
void peer_expect_upgrade(struct peer *p);
/* The next frame, of whatever kind: false at the end of the stream. */
bool peer_next(struct peer *p);
void peer_expect(struct peer *p, const char *text);     /* the next frame is this binary message */
/* The server's close frame, whatever comes before it; its code, 1005 when it has none. Then the stream must end when we
 * end it: it does so here. */
int peer_expect_close(struct peer *p);
bool peer_ended(struct peer *p);                        /* waits for the end or more bytes: true when it is the end */

#endif
