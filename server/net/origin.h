/* origin.h - which web pages may speak to this server.
 *
 * A browser sends any page's requests, with an Origin header that says whose page it is; other programs send none. A
 * WebSocket is not even held back by the browser when the server does not allow it, so it is for us to look (RFC 6455,
 * section 10.2). Pages of the server's own name pass, others by the operator's list.
 * Pure functions. Thread: any. */
#ifndef PIPIT_NET_ORIGIN_H
#define PIPIT_NET_ORIGIN_H

#include <stdbool.h>

enum { ORIGIN_BYTES_MAX = 256 };      /* a scheme, a name of at most 253 bytes, a port: longer ones are nobody's */

/* `list`: origins as browsers send them ("https://chat.example.org http://localhost:5173"), separated by spaces or
 * commas, or "*" for all; "" is none. 0, or ERR_CONFIG and a clause. */
int origins_check(const char *list, char why[static 128]);

/* May a page of `origin` ask a server that it calls `host` (its Host header)? */
bool origin_is_allowed(const char *list, const char *origin, const char *host);

#endif
