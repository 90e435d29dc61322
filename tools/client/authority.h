/* authority.h - the certificate authority that a home trusts, as HOME/ca.pem: login keeps what --ca named.
 *
 * Thread: one. Calls read and write files. */
#ifndef PIPIT_CLIENT_AUTHORITY_H
#define PIPIT_CLIENT_AUTHORITY_H

#include "tools/client/home.h"

enum { AUTHORITY_BYTES_MAX = 1024 * 1024 };      /* a whole system's store is a quarter of that */

/* Keep a copy of `file`, in place of what was kept. 0, or an errno value. */
int authority_keep(const char *home, const char *file);
/* Where it is kept: `path`; NULL: none is. */
const char *authority_kept(const char *home, char path[static HOME_PATH_MAX + 16]);

#endif
