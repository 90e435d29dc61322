/* http.h - one HTTP/1.1 request after the other, from bytes.
 *
 * A pure parser: bytes in, a request out; no socket, no loop, no clock. It keeps of a request what Pipit needs (method,
 * path, body, and the few headers of an upgrade, of browsers and of proxies) and skips the rest. What could be read in
 * two ways is refused. http.c is the one file that knows llhttp.
 * Thread: no globals; a parser belongs to whoever holds it. */
#ifndef PIPIT_NET_HTTP_H
#define PIPIT_NET_HTTP_H

#include "proto/bytes.h"

enum {
    HTTP_HEAD_BYTES_MAX = 16 * 1024,     /* request line and headers: what browsers send is below 2 KiB, but cookies of
                                          * other programs at the same name can make it large */
    HTTP_BODY_BYTES_MAX = 16 * 1024,     /* the largest JSON body is 2 KiB; media has its own way in later */
    /* The same with all that chunks add: one byte in a chunk takes six. What is above is chunk extensions. */
    HTTP_BODY_WIRE_BYTES_MAX = 8 * HTTP_BODY_BYTES_MAX,
    HTTP_AUTHORIZATION_TEXT = 256,       /* of that header's value, with a NUL; ours are below 130 bytes */
    HTTP_KEY_TEXT = 25,                  /* Sec-WebSocket-Key: base64 of 16 bytes, and a NUL */
};

struct http;

enum http_step {
    HTTP_STEP_MORE,       /* all bytes taken, the request is not whole yet */
    HTTP_STEP_WHOLE,      /* http_head() and http_body() are good until the next http_feed() */
    HTTP_STEP_BAD,        /* answer http_bad() and close; feed no more */
};

struct http_head {
    const char *method;               /* "GET", "POST", … */
    const char *path;                 /* NUL-terminated, not percent-decoded, without the query */
    const char *query;                /* behind '?', or "" */
    const char *authorization;        /* the header's value; "" without one, with two, and for one that is too long */
    bool keep_alive;
    bool is_head;                     /* the answer carries no body */
    /* Of headers; "" when there is none. */
    const char *host;
    const char *origin;               /* of a browser's page that asks */
    const char *preflight;            /* Access-Control-Request-Method: what a page would like to send */
    const char *forwarded_for;        /* the last X-Forwarded-For there is */
    const char *forwarded;            /* the last Forwarded (RFC 7239) */
};

/* Why a request is refused: the status to answer, the ERR_* and a clause for its body. */
struct http_bad {
    int status;                       /* 400, 413 (body), 417 (an Expect we do not know), 431 (head), 501, 503, 505; 0: it
                                       * is not */
    int err;
    const char *text;
};

int http_new(struct http **http_out);                    /* 0 or ERR_NOMEM */
void http_free(struct http *http);                       /* NULL is allowed */

/* Take bytes up to the end of one request. Returns how many were taken: all of them on MORE; on WHOLE the rest belongs
 * to the next request, or to WebSocket. The first byte after a WHOLE begins the next request. */
size_t http_feed(struct http *http, struct bytes in, enum http_step *step_out);
struct http_head http_head(const struct http *http);
struct bytes http_body(const struct http *http);
/* True once for a request that said "Expect: 100-continue", has a body, and has sent none of it yet. */
bool http_take_continue(struct http *http);
/* Nothing of a request has come yet. */
bool http_is_idle(const struct http *http);
struct http_bad http_bad(const struct http *http);

/* May this whole GET become a WebSocket? Status 101: yes, and `key_out` is its key. 426: it is no WebSocket request, or
 * not of version 13. 400: it is one, but broken or of no subprotocol we speak. */
struct http_bad http_upgrade(const struct http *http, char key_out[static HTTP_KEY_TEXT]);

/* "Not Found" for 404; "Status" for a number not in the list. */
const char *http_reason(int status);

#endif
