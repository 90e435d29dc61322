/* fleet.h - many sessions on one thread: connects, upgrades, says HELLO, reads frames, writes once a turn.
 *
 *   CONNECTING -> UPGRADING -> HELLO -> SYNCING -> LIVE
 *
 * fleet_open() brings all peers to LIVE (SYNCED has come). From then on each message that comes is given to
 * on_message; pings are answered here. What is said in a turn goes out at its end, one write for each peer.
 * Everything unexpected die()s: this is a measurement. */
#ifndef PIPIT_BENCH_FLEET_H
#define PIPIT_BENCH_FLEET_H

#include "proto/proto.h"

enum peer_state { PEER_CONNECTING = 1, PEER_UPGRADING, PEER_HELLO, PEER_SYNCING, PEER_LIVE };

struct peer {
    int fd;
    uint32_t number;               /* of its user (bench_user) */
    enum peer_state state;
    uint64_t client_seq_max;       /* WELCOME's */
    struct buf in;                 /* the start of a frame whose rest has not come; empty nearly always */
    struct buf out;
    bool dirty;
};

struct fleet {
    struct peer *peers;            /* [0..count): user numbers in the same order */
    uint32_t count;
    void (*on_message)(struct fleet *fleet, struct peer *peer, const struct msg *msg);
    void *arg;
    uint64_t now_ns;               /* when this turn's input was found */
    /* -- below: fleet.c's -- */
    int epoll;
    uint16_t port;
    uint32_t live;
    struct peer **dirty;
    uint32_t dirty_count;
    uint8_t *room;                 /* the one read buffer */
    struct buf frame;              /* the message being encoded */
};

/* Users 0..count-1 on 127.0.0.1:port. on_message and arg are set afterwards. */
void fleet_open(struct fleet *fleet, uint16_t port, uint32_t count);
void fleet_close(struct fleet *fleet);
/* Wait for input at most timeout_ms, handle it, write what was said. */
void fleet_turn(struct fleet *fleet, int timeout_ms);
void fleet_say(struct fleet *fleet, struct peer *peer, const struct msg *msg);

#endif
