/* listening.h - where a server listens: from a list of places to sockets that listen, one for each place and shard.
 *
 *   127.0.0.1:8700     [::1]:8700     an address, IPv6 in brackets
 *   chat.example:8700                 a name: every address it has
 *   :8700     [::]:8700               everywhere, IPv4 too, unless the list names an IPv4 address with the same port:
 *                                     then [::] is IPv6 alone
 *   plain:127.0.0.1:8700              without TLS where the others have it: for who asks on the same machine
 *   redirect::80                      without TLS too, and every request is told to come by TLS
 *   unix:/run/pipit/pipit.sock        a Unix socket, for a proxy beside the server; without TLS
 *
 * Places are separated by spaces or commas, so a path may hold neither. Port 0 takes a free one; all addresses of one
 * name get the same. Made by main before the shards start; each shard takes its own sockets; closed by main when they
 * have stopped. */
#ifndef PIPIT_NET_LISTENING_H
#define PIPIT_NET_LISTENING_H

#include <stdbool.h>
#include <stdint.h>

enum {
    LISTENING_PLACES_MAX = 16,        /* sockets for each shard, names resolved */
    LISTENING_TEXT_MAX = 2048,        /* all of them as text: sixteen of the longest paths */
    LISTENING_WHY_MAX = 240,
};

struct listening_options {
    uint16_t shards;
    int backlog;                      /* of each socket; 1.. */
    int sndbuf_bytes;                 /* of each TCP connection: what a frozen peer costs the kernel at most; 1.. */
    uint32_t unix_mode;               /* of a Unix socket's file: who may connect must be able to write it. 0660 */
};

struct listening;

/* Is the list well formed? Nothing is resolved, opened or bound. 0, or ERR_CONFIG and a clause. */
int listening_check(const char *places, char why[static LISTENING_WHY_MAX]);
/* Can only this machine reach any of these? Of a list that listening_check() takes. */
bool listening_is_local(const char *places);

/* Is there a redirect: in such a list, and nothing with TLS that it could lead to? */
bool listening_leads_nowhere(const char *places, bool has_certs);

/* 0; ERR_CONFIG (not an address, none of this machine, no permission), ERR_IN_USE (somebody listens there) or ERR_IO,
 * with a clause that names the place; ERR_NOMEM. Resolves names: may block. */
int listening_open(const char *places, const struct listening_options *options, struct listening **listening_out,
                   char why[static LISTENING_WHY_MAX]);
/* What no shard has taken is closed; files of Unix sockets are removed. NULL is allowed. */
void listening_close(struct listening *listening);

/* "127.0.0.1:8700 [::1]:8700 unix:/run/pipit/pipit.sock": the addresses it got, as `places` may be written. */
const char *listening_text(const struct listening *listening);
/* The first TCP address that is not there to redirect, without a prefix, or "". */
const char *listening_tcp(const struct listening *listening);
uint16_t listening_port(const struct listening *listening);   /* of that one; 0: there is none */
uint16_t listening_tls_port(const struct listening *listening);   /* of the first without a prefix; 0: there is none */

#endif
