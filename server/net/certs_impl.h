/* certs_impl.h - what certs.c and tls.c know of each other; nobody else includes it. */
#ifndef PIPIT_NET_CERTS_IMPL_H
#define PIPIT_NET_CERTS_IMPL_H

#include <openssl/ssl.h>

#include "server/net/certs.h"

/* SSL_get_app_data() of every SSL: what the callbacks of a context may need of a connection. */
struct tls_side {
    struct certs *certs;              /* counted */
    uint64_t wall_ms;                 /* when it was last fed */
};

SSL_CTX *certs_context(struct certs *certs);     /* of the first one; SNI chooses from there */

#endif
