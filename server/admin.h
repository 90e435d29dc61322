/* admin.h - the admin socket: DIR/admin.sock, mode 0600, one JSON object a line each way.
 *
 * It runs on main's shard. A request is `{"do": NAME, …}`; the answer `{"ok": true, …}` or `{"ok": false, "error":
 * NAME, "text": …}`. Who can open the socket owns the data folder already. docs/operating.md lists the requests. */
#ifndef PIPIT_SERVER_ADMIN_H
#define PIPIT_SERVER_ADMIN_H

#include "server/chat/chat.h"
#include "server/config.h"
#include "server/core/core.h"

struct admin;
struct budget;
struct keeper;
struct reload;

struct admin_config {
    const char *dir;                     /* the data folder */
    const struct chat_config *chat;      /* store, workers */
    struct worker *backup;               /* one thread, one work at a time; context is a struct job_reader */
    const struct config *config;         /* main's, on main's thread; it changes */
    const struct chat_settings *settings;/* main's, on main's thread; it changes */
    const char *address;                 /* told by status */
    const struct budget *budget;         /* likewise */
    const struct keeper *keeper;         /* likewise */
    uint64_t started_ms;
    struct reload *reload;               /* NULL: there are no settings to read again */
    void (*shutdown)(void *arg);
    void *arg;
};

/* On main's thread, once its loop runs. 0, ERR_TOO_BIG (the path is too long for a socket), ERR_IO. */
int admin_open(struct shard *main_shard, const struct admin_config *config, struct admin **admin_out);
void admin_close(struct admin *admin);           /* begins; requests under way go on */
bool admin_is_closed(const struct admin *admin);
void admin_free(struct admin *admin);

#endif
