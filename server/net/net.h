/* net.h - the face of server/net: sockets, HTTP and WebSocket of one shard.
 *
 * Net knows bytes and connections and nothing of users. It calls upward only through struct conn_events. */
#ifndef PIPIT_NET_NET_H
#define PIPIT_NET_NET_H

#include "server/net/certs.h"
#include "server/net/conn.h"
#include "server/net/handoff.h"
#include "server/net/listening.h"
#include "server/net/origin.h"

enum { NET_ORIGINS_BYTES_MAX = 512 };     /* a list of allowed origins, with its NUL */

/* What an operator may change while it runs: each shard has a copy. */
struct net_settings {
    uint32_t conns_max;               /* per shard; above it, or with the process's last 64 descriptors left, a
                                       * connection is answered 503 and closed */
    uint32_t conns_per_address_max;   /* per shard and address, IPv6 by its /64: 429; 0: no limit. Loopback is not
                                       * counted */
    uint32_t request_ms;              /* a request, and the first WebSocket message, must be whole within this time */
    uint32_t message_ms;              /* a WebSocket message must be whole this long after its first byte */
    uint32_t keepalive_ms;            /* a kept connection without a request */
    uint32_t linger_ms;               /* a closing connection gets this long to take its last bytes */
    char allowed_origins[NET_ORIGINS_BYTES_MAX];   /* web pages that may ask, beside those of the same host: origin.h */
    struct certs *certs;              /* for what begins from here on; NULL: no TLS. Not counted: who holds the settings
                                       * holds it */
    bool redirects;                   /* plain requests where TLS is spoken: 308 to it, else 400 */
};

struct net_config {
    const struct conn_events *events;
    const char *ws_path;              /* "/v1/ws" */
    const char *api_prefix;           /* "/v1/": pages of other origins are kept from what lies below it */
    struct net_settings settings;     /* to begin with */
    uint32_t run;                     /* 20 random bits of this start, for conn_id(); so ids of two starts differ */
    int backlog;                      /* of each listening socket, as it was opened with; 1.. */
    uint16_t tls_port;                /* where a redirect leads to; 0: nowhere */
};

/* This shard's net, on its thread (ops.on_start): takes over its sockets of `listening` (NULL: none). */
int net_open(struct shard *shard, const struct net_config *config, struct listening *listening);
/* From here on, for what begins then: times that run already go on. */
void net_set(struct shard *shard, const struct net_settings *settings);
/* ops.flush: one writev for each connection that became dirty in this turn; also retries waiting hand-offs. */
void net_flush(struct shard *shard);
/* Stop listening, close every connection with ERR_GOING (sessions have said GOODBYE before). */
void net_close(struct shard *shard);
bool net_is_closed(const struct shard *shard);
void net_free(struct shard *shard);   /* after net_is_closed */
/* Walk the connections in WS state of this shard. */
void net_each(struct shard *shard, void (*each)(void *arg, struct conn *conn), void *arg);

#endif
