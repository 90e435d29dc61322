/* crowd.c - how many connections of one shard each address has, for the limit.
 *
 * An entry lives while its count is above zero, so the table is no larger than the number of connections. IPv6 is
 * counted by its /64: one customer has 2^64 addresses. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->failed = true)
#include <uthash.h>

#include "server/net/inside.h"

struct peer_addr {
    char group[PEER_GROUP_TEXT];           /* see peers.h */
    uint32_t count;
    bool failed;
    UT_hash_handle hh;
};

static struct peer_addr *addr_find(struct net *net, const char group[static PEER_GROUP_TEXT])
{
    struct peer_addr *a;
    HASH_FIND_STR(net->addrs, group, a);
    return a;
}

int addr_add(struct net *net, struct conn *c)
{
    char group[PEER_GROUP_TEXT];
    assert(!c->counted);
    peer_group(c->peer, group);
    struct peer_addr *a = addr_find(net, group);
    if (!a) {
        a = calloc(1, sizeof *a);
        if (!a) return ERR_NOMEM;
        strcpy(a->group, group);
        HASH_ADD_STR(net->addrs, group, a);
        if (a->failed) {
            free(a);
            return ERR_NOMEM;
        }
    }
    a->count++;
    c->counted = true;
    return 0;
}

void addr_remove(struct net *net, struct conn *c)
{
    char group[PEER_GROUP_TEXT];
    if (!c->counted) return;
    c->counted = false;
    peer_group(c->peer, group);
    struct peer_addr *a = addr_find(net, group);
    assert(a && a->count > 0);
    if (--a->count > 0) return;
    HASH_DEL(net->addrs, a);
    free(a);
}

int addr_enter(struct net *net, struct conn *c, bool loopback)
{
    uint32_t max = net->config.settings.conns_per_address_max;
    char group[PEER_GROUP_TEXT];
    c->limited = !loopback && max > 0;
    if (!c->limited) return 0;
    peer_group(c->peer, group);
    const struct peer_addr *a = addr_find(net, group);
    return a && a->count >= max ? ERR_RATE : addr_add(net, c);
}
