/* contact_link.h - a link that says where a person can be reached: a server and a user, and nothing secret.
 *
 *   https://HOST[:PORT]/u/USER      a server with TLS; a telephone can open it
 *   http://HOST[:PORT]/u/USER       one without, as on a machine of one's own
 *   pipit://HOST[:PORT]/USER        the first one, for programs that know Pipit
 *
 * docs/protocol.md has the rules. Scheme and host may be written in upper case; the user may not. No I/O. */
#ifndef PIPIT_CLIENT_CONTACT_LINK_H
#define PIPIT_CLIENT_CONTACT_LINK_H

#include "tools/client/stream.h"

enum { CONTACT_LINK_MAX = 8 + URL_HOST_MAX + 2 + 6 + 3 + USER_ID_LEN_MAX + 1 };    /* bytes, with the NUL */

struct contact_link {
    struct url url;               /* the host in lower case */
    struct user_id user;
};
/* ERR_MALFORMED, and one clause for people. `out` is untouched on error. */
int contact_link_parse(struct bytes text, struct contact_link *out, char why[static WHY_MAX]);
/* Its https or http form; a port that goes without saying is left out. */
void contact_link_print(const struct contact_link *link, char out[static CONTACT_LINK_MAX]);
/* The same server, as far as names tell: TLS or not, host whatever its case, and port. */
bool url_is_same(const struct url *a, const struct url *b);

#endif
