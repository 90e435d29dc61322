/* commands.h - what the commands of pipit share: options, exit codes, an opened home.
 *
 * Each cmd_ function is one command: it gets what stands behind its name and returns the exit code. What people want to
 * know goes to standard output, everything else to standard error. */
#ifndef PIPIT_CLIENT_COMMANDS_H
#define PIPIT_CLIENT_COMMANDS_H

#include "tools/client/pipit_impl.h"

enum {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,                 /* by the server, for good */
    EXIT_USAGE = 2,                   /* arguments, or a home that cannot be used */
    EXIT_NO_LINK = 3,
};
struct options {
    const char *server;               /* --server, or NULL: the home's, else the default */
    const char *home;
    const char *ca_file;
    const char *invite, *password_file;
    const char *before;
    bool json, no_read;
    uint64_t count, limit;            /* 0: not given */
    uint64_t timeout_s;               /* 0: not given */
    char **words;                     /* behind the command */
    int word_count;
};

int cmd_register(const struct options *o);
int cmd_login(const struct options *o);
int cmd_send(const struct options *o);
int cmd_listen(const struct options *o);
int cmd_history(const struct options *o);
int cmd_info(const struct options *o);
int cmd_chat(const struct options *o);

/* A logged-in home. */
struct client {
    struct pipit *pipit;
    /* -- for chat, which shows more of a home than the library's face does -- */
    struct home *home;                /* pipit's */
    struct account account;
    struct url url;
    const char *ca_file;
};
/* 0, or an exit code (the reason has been said). Give it back with client_close() in both cases. */
int client_open(const struct options *o, struct client *client);
void client_close(struct client *client);
/* The home's lock, for a command that keeps it. Requests of other processes are waited for; another that keeps it is
 * named. 0 or an exit code. */
int client_lock(struct client *c, const char *command);
/* Said for an error that ends a session, of the store, or of the server: exit code. */
int client_fail(int err, const char *why);
/* Who WHO is; EXIT_USAGE and a word when it is no user name. */
int client_peer(const struct client *c, const char *who, struct user_id *peer, struct conv_id *conv);
/* What most commands do with what they are told: to standard error. `arg` is not used. */
void client_on_link(void *arg, bool online, const char *why);
void client_on_later(void *arg, const struct user_id *to, int err, const char *text);
void client_on_notice(void *arg, const char *text);
void client_warn_plain(void);         /* the line that says who can read the messages */
bool parse_number(const char *text, uint64_t max, uint64_t *out);

#endif
