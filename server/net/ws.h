/* ws.h - WebSocket messages from bytes: RFC 6455, the server's receiving side.
 *
 * A pure parser: bytes in, events out; nothing is sent from here (frames are built by proto/wsframe.h, once for all
 * their receivers). It exists only while a message is under way: at a boundary ws_is_clean(), and its owner may give it
 * back, so that an idle connection holds none. ws.c is the one file that knows wslay.
 * Thread: no globals; a parser belongs to whoever holds it, and may cross threads with it. */
#ifndef PIPIT_NET_WS_H
#define PIPIT_NET_WS_H

#include "proto/bytes.h"

struct ws;

enum {
    /* Frames of one message: what a client that cuts the largest message into pieces of 64 bytes needs. Empty ones cost
     * no memory, but a message must end. */
    WS_FRAGMENTS_MAX = 1024,
};

/* Close codes of RFC 6455, section 7.4.1. */
enum ws_code {
    WS_CODE_NORMAL = 1000,
    WS_CODE_PROTOCOL = 1002,
    WS_CODE_NOT_UTF8 = 1007,
    WS_CODE_TOO_BIG = 1009,
};

struct ws_events {
    /* A whole message, put together when it came in fragments; text has been checked to be UTF-8. False: take nothing
     * more of what is being fed. */
    bool (*on_message)(void *arg, struct bytes message, bool binary);
    /* At most 125 bytes, to be sent back in a pong. */
    void (*on_ping)(void *arg, struct bytes payload);
    /* The peer's close frame: nothing follows. `code` 0: it gave none. */
    void (*on_close)(void *arg, uint16_t code);
};

int ws_new(size_t message_bytes_max, struct ws **ws_out);      /* 0 or ERR_NOMEM */
void ws_free(struct ws *ws);                                   /* NULL is allowed */

/* Interpret bytes.
 *
 * used_out   how many were taken: all, unless on_message said to stop; then what is behind that message is not.
 *
 * Returns 0; ERR_PEER after on_close; ERR_MALFORMED (unmasked, reserved bits or opcodes, a broken fragment order,
 * text that is not UTF-8, a broken close); ERR_TOO_BIG (a message above the limit, or of too many frames); ERR_NOMEM.
 * After an error, or a stop, it is spent: only ws_code() and ws_free() may follow. */
int ws_feed(struct ws *ws, const struct ws_events *events, void *arg, struct bytes in, size_t *used_out);
/* What RFC 6455 has a peer told of ERR_MALFORMED or ERR_TOO_BIG, and a clause for people. */
enum ws_code ws_code(const struct ws *ws, const char **text_out);

bool ws_is_spent(const struct ws *ws);
/* Neither a part of a frame nor of a fragmented message is held: as good as new. */
bool ws_is_clean(const struct ws *ws);

#endif
