/* peers.h - whose connection it is, as text, and how addresses are grouped for limits.
 *
 * A v4 peer of a [::] listener is the same peer as on an IPv4 one. Behind a proxy the peer is who the proxy says it is;
 * that is believed only of what comes by a Unix socket, which nobody but the proxy can reach.
 * Pure functions. Thread: any. */
#ifndef PIPIT_NET_PEERS_H
#define PIPIT_NET_PEERS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

enum { PEER_TEXT = INET6_ADDRSTRLEN };   /* an address as text, without a port, with its NUL */

/* False: neither IPv4 nor IPv6. */
bool peer_of_address(const struct sockaddr *address, char out[static PEER_TEXT], bool *loopback_out);
/* The last address in X-Forwarded-For, which the nearest proxy has put there, or, when there is no such header (""), in
 * Forwarded. False: there is none, or it is no address ("unknown", "_hidden"). */
bool peer_of_forwarded(const char *forwarded_for, const char *forwarded, char out[static PEER_TEXT],
                       bool *loopback_out);

/* What a peer is counted as: IPv4 by itself, IPv6 by its /64, since that is the least that one customer has:
 * "2001:db8:0:1::/64". */
enum { PEER_GROUP_TEXT = PEER_TEXT };
void peer_group(const char *peer, char out[static PEER_GROUP_TEXT]);

#endif
