/* netrig.h - net/ over real shards and sockets, with a small service on top instead of people.
 *
 *     struct netrig *rig = netrig_up(&(struct netrig_options){ .shards = 2 });
 *     struct peer *p = peer_open(netrig_port(rig));
 *     peer_say(p, "hello");
 *     peer_expect(p, "hello");
 *     …
 *     netrig_down(rig);                   stops the house; asserts that every connection was told closed, once
 *
 * The service. Requests: any to /echo or /v1/echo is answered with "METHOD QUERY BODY"; one to /later when
 * netrig_answer() says; one to /peer with the peer's address; all else is 404. Messages, by their first byte:
 *   H<n>…      live on shard n: handed there if need be, then it owns the connection and answers "W<n>…"
 *   M<n>…      go round the shards until it is on n, then as H
 *   S<n> <len> send n messages of len bytes "x", the first four of which count 0001, 0002, …
 *   C<code>    close with ERR -code, twice
 *   P          pause; netrig_resume() undoes it for all connections of all shards
 *   K          send a ping
 *   W          say who the peer is
 *   all else is sent back, text as text
 * Thread: the one that called netrig_up(). */
#ifndef PIPIT_TESTS_NETRIG_H
#define PIPIT_TESTS_NETRIG_H

#include "server/core/core.h"
#include "server/net/net.h"

enum { NETRIG_REQUEST_MS = 20000, NETRIG_MESSAGE_MS = 60000, NETRIG_KEEPALIVE_MS = 30000,
       NETRIG_LINGER_MS = 5000 };   /* its net_settings */

struct netrig;

struct netrig_options {
    uint16_t shards;                      /* 0: 1 */
    uint32_t conns_max;                   /* 0: many */
    uint32_t conns_per_address_max;       /* 0: no limit */
    const char *allowed_origins;          /* NULL: none but the same host */
    const char *address;                  /* NULL: "127.0.0.1:0" */
    bool redirects;                       /* plain requests where TLS is spoken */
    struct clock_hand *hand;              /* NULL: the real clock */
};

/* From here on rigs and peers speak TLS, with a certificate for localhost and 127.0.0.1 of an authority made here; so a
 * file's tests can be run a second time over it. */
void netrig_speak_tls(void);

struct netrig *netrig_up(const struct netrig_options *options);
uint16_t netrig_port(const struct netrig *rig);
const char *netrig_address(const struct netrig *rig);        /* all of them: listening_text() */
void netrig_stop(struct netrig *rig);     /* asks only: netrig_down() waits */
void netrig_down(struct netrig *rig);

/* Run a function on a shard, and wait until it has. */
void netrig_call(struct netrig *rig, uint16_t shard, void (*fn)(struct shard *shard, void *arg), void *arg);
/* Wait until all shards have made a whole turn since this was called, its flush included. */
void netrig_settle(struct netrig *rig);
/* Wait until a counter, summed over the shards, has reached a value, and what reached it is done. */
void netrig_await(struct netrig *rig, const char *name, uint64_t value);
uint64_t netrig_stat(struct netrig *rig, const char *name);
uint32_t netrig_drained(struct netrig *rig);                 /* how often on_drained was called */
void netrig_turn_clock(struct netrig *rig, uint64_t ms);     /* options.hand; waits until the shards have seen it */

/* The next connection that on_closed told of: waits for it, gives its error. */
int netrig_closed(struct netrig *rig);
uint32_t netrig_closed_count(struct netrig *rig);            /* told and not yet taken by netrig_closed() */
void netrig_answer(struct netrig *rig);   /* waits for a request to /later, answers 200 "later" */
void netrig_resume(struct netrig *rig);

#endif
