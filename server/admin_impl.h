/* admin_impl.h - inside admin.c and admin_tasks.c only: the clients of the admin socket, and what they asked. */
#ifndef PIPIT_SERVER_ADMIN_IMPL_H
#define PIPIT_SERVER_ADMIN_IMPL_H

#include <jansson.h>
#include <sys/un.h>

#include "proto/proto.h"
#include "server/admin.h"

struct client {
    struct admin *admin;
    uv_pipe_t pipe;
    struct buf in;
    bool closing, busy;
    struct client *prev, *next;
};

struct admin {
    struct shard *shard;
    struct admin_config config;
    char path[sizeof ((struct sockaddr_un *)0)->sun_path];
    uv_pipe_t listener;
    bool listener_closed, closing;
    uint32_t client_count;
    struct client *clients;
};

/* Takes `answer` (NULL: nothing but ok) and writes it. */
void client_answer(struct client *c, json_t *answer);
void client_refuse(struct client *c, int err, const char *text);   /* text NULL: err_text() */
/* A task is done with the client: it may say its next line, or be freed when it went away meanwhile. */
void client_done(struct client *c);

/* One whole line: answered now, or by a task that holds the client (c->busy) until it calls client_done(). */
void admin_serve_line(struct client *c, const char *line, size_t len);

#endif
