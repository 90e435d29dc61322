/* link.h - a WebSocket to a server: whole frames in and out. Also one HTTP request at a time, for accounts.
 *
 *   OPENING ──> UPGRADING ──> UP ──> CLOSED        any may end CLOSED; link_why() says why
 *
 * Pings are answered here. The caller polls link_fd() for link_events() and calls link_advance(); on_frame is called
 * from there, once for each binary message.
 * Thread: one. */
#ifndef PIPIT_CLIENT_LINK_H
#define PIPIT_CLIENT_LINK_H

#include "tools/client/stream.h"

enum {
    LINK_OPEN_MS_MAX = 20000,     /* from the first connect to the end of the upgrade */
    HTTP_HEAD_MAX = 16 * 1024,    /* of an answer; proxies add lines of their own */
    HTTP_ANSWER_MAX = 256 * 1024,
};

struct http_request {
    const char *method, *path;    /* "POST", "/v1/login" */
    const char *authorization;    /* the header's value, or NULL */
    struct bytes body;            /* JSON; BYTES_NONE: none */
};
/* Say it and wait for the whole answer. 0 and the status, whatever it is; ERR_PEER, ERR_IO, ERR_AUTH
 * (certificate), ERR_CONFIG, ERR_MALFORMED (not HTTP), ERR_IDLE (over timeout_ms), with `why`. */
int link_http(const struct url *url, const char *ca_file, const struct http_request *request, uint64_t timeout_ms,
              int *status_out, struct buf *answer, char why[static WHY_MAX]);

struct link_ops {
    /* A binary message. Not 0: the link is closed for it (the server broke the protocol), and no more frames come. */
    int (*on_frame)(void *arg, struct bytes frame);
};
struct link;

int link_open(const struct url *url, const char *ca_file, const struct link_ops *ops, void *arg, struct link **out,
              char why[static WHY_MAX]);
void link_close(struct link *l);                     /* says goodbye when UP, waits for nothing, frees. NULL allowed */
/* Does all that can be done now. 0, or an error after which only the questions below and link_close() are left. */
int link_advance(struct link *l);
int link_fd(const struct link *l);
short link_events(const struct link *l);
uint64_t link_due_ms(const struct link *l);          /* call link_advance() then at the latest */
bool link_is_up(const struct link *l);
bool link_is_drained(const struct link *l);          /* the socket has taken all that was sent */
void link_send(struct link *l, struct bytes frame);  /* when UP, else nothing; written by link_advance() */
uint64_t link_heard_ms(const struct link *l);        /* mono_ms() when bytes last came, and left */
uint64_t link_said_ms(const struct link *l);
const char *link_why(const struct link *l);          /* one clause; "" while all is well */
int link_close_code(const struct link *l);           /* of the server's close frame; 0: none came */

uint64_t mono_ms(void);                              /* for waiting: never set, and goes on while the machine sleeps */
uint64_t wall_ms(void);                              /* since 1970 */

#endif
