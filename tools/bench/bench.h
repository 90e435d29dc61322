/* bench.h - what the parts of pipit-bench share: who its users are, how it gives up, and the commands.
 *
 * The load generator and the server under load run on one machine, so it must be cheap: one thread, epoll, no
 * allocation per message. It is a tool that either gives figures or says why there are none: on anything that is
 * not as it should be (a message lost, twice, out of order, an error frame, a closed connection) it die()s. */
#ifndef PIPIT_BENCH_BENCH_H
#define PIPIT_BENCH_BENCH_H

#include "proto/proto.h"

enum {
    BENCH_BODY_BYTES = 200,        /* of each message: a sealed short text */
    BENCH_USERS_MAX = 1000000,     /* what six digits of a name can tell apart */
    HANG_MAX = 50000,              /* connections from one address: ports are 28,000 by default, 64,512 at most */
    BENCH_DEPTH_MAX = 64,          /* in flight for each pair: the window of a session */
};

/* Prints "pipit-bench: …" and exits with 1. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
uint64_t now_ns(void);             /* monotonic */

/* User number n, its one device and that one's token: made of n alone, so that prepare and the load agree without a
 * file between them. Nobody should call such tokens secret; the folder lives as long as the measurement. */
struct user_id bench_user(uint32_t n);
int bench_user_number(const struct user_id *user, uint32_t *n_out);   /* 0 or ERR_NAME */
struct device_id bench_device(uint32_t n);
void bench_token(uint32_t n, uint8_t token[static TOKEN_BYTES]);

/* A data folder with users 0..count-1, each with a device, written through storage: logging in 10,000 users would
 * be an hour of Argon2id. */
void prepare(const char *data, uint32_t count);

/* The floor's server (floor.c): prints its address when ready, runs until it is told to end. */
void floor_serve(const char *folder, uint32_t threads);

struct target {
    uint16_t port;
    int pid;
    const char *folder;            /* of its log, to see how it grows */
};

/* Direct messages between `pairs` pairs, `rounds` rounds of `seconds` on each target in turn; prints a table. */
struct messages_plan {
    struct target server, floor;
    uint32_t pairs, depth, rounds, seconds;
};
void measure_messages(const struct messages_plan *plan);

/* `count` sessions that do nothing for `seconds`; prints what each costs. */
void measure_idle(const struct target *server, uint32_t count, uint32_t seconds);

/* Connections that say nothing or hardly anything, and log-ins that fail, for `seconds`; prints how much memory they
 * hold, and that it goes back. */
struct hang_plan {
    struct target server;
    uint32_t silent, slow, guesses_per_s, seconds;
};
void measure_hang(const struct hang_plan *plan);

#endif
