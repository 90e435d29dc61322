/* server.h - the whole server: a data folder, N shards, their workers, the door and the admin socket.
 *
 * Wires storage, core, net and chat; knows all of them and none of their insides. One process may run several (tests
 * do), each with its own folder and port.
 *
 *   server_open   store (replay included), listeners, workers, house; nothing runs yet
 *   server_run    starts the shards and runs main's loop on the calling thread until server_stop(); then drains: GOODBYE
 *                 to sessions, last batches synced, folds flushed
 *   server_close  everything is given back
 * Thread: one, but for server_stop() and server_reload(), which any thread may call. */
#ifndef PIPIT_SERVER_SERVER_H
#define PIPIT_SERVER_SERVER_H

#include "proto/proto.h"
#include "server/config.h"
#include "server/reload.h"
#include "server/settings.h"
#include "server/core/core.h"
#include "storage/storage.h"

struct server;

struct server_options {
    const struct config *config;
    const struct fsio *fs;               /* NULL: the real disk */
    const struct clock *clock;           /* NULL: the real one */
    /* For the program, not for tests: SIGINT and SIGTERM stop it; SIGHUP, which the caller has blocked before, reloads,
     * or stops it when there is no read_config. */
    bool handle_signals;
    /* All settings again, on a job thread: 0, or ERR_CONFIG and what is wrong. NULL: there is no reload. */
    int (*read_config)(void *arg, struct config *config_out, struct config_problems *problems);
    /* A reload has ended, and every shard has what it brought: on main's thread. May be NULL. */
    void (*on_reloaded)(void *arg, const struct reload_report *report);
    struct settings_test test;
    /* Called on main's thread once everything listens. */
    void (*on_ready)(void *arg, struct server *server);
    void *arg;
};

/* 0, or ERR_* with one clause in `why`. */
int server_open(const struct server_options *options, struct server **server_out, char why[static 256]);
/* 0, or ERR_* when something could not start (`why`); blocks until it has stopped. */
int server_run(struct server *server, char why[static 256]);
void server_stop(struct server *server);
/* Read the settings again and take what can be taken. Any thread, while it runs; only with read_config. */
void server_reload(struct server *server);
void server_close(struct server *server);

uint16_t server_port(const struct server *server);     /* of the first TCP address; 0: there is none */
uint16_t server_shards(const struct server *server);
/* "127.0.0.1:8700 [::1]:8700 unix:/run/pipit/pipit.sock": all that was asked for, names resolved, with the ports it
 * got. */
const char *server_address(const struct server *server);
const char *server_tcp_address(const struct server *server);   /* the first that is no Unix socket, or "" */
const struct logs_report *server_report(const struct server *server);

/* Between server_open() and server_run(), for --demo and tests: add a user if there is none of that name, and a device
 * of a user. */
int server_add_user(struct server *server, const char *name, const char *password);
int server_add_device(struct server *server, const char *name, struct device_id *device_out,
                      uint8_t token_out[static TOKEN_BYTES]);
/* Any thread, while it runs: a counter of stats.h summed over the shards; and a turn for each shard, for tests that
 * turn the clock by hand. */
uint64_t server_stat(const struct server *server, const char *name);
void server_wake(struct server *server);

#endif
