/* client.h - what the commands of `pipit` share.
 *
 * A command is one function: it reads its own arguments and returns an exit code. What can go wrong is said on
 * stderr, once, where it is noticed: what was wrong, then what to do. */
#ifndef PIPIT_CLIENT_CLIENT_H
#define PIPIT_CLIENT_CLIENT_H

#include "tools/client/online.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,             /* by the server, for good */
    EXIT_USAGE = 2,               /* arguments, or a home that cannot be used */
    EXIT_OFFLINE = 3,             /* no connection within the time given */
};
enum {
    HTTP_MS_MAX = 30000,          /* registering and logging in: a password is hashed, and others wait too */
    WORK_MS = 30000,              /* send, info, history: how long to try, unless --timeout says otherwise */
    LOCK_POLL_MS = 20,            /* looking whether another process has done our work, or gave the lock back */
};

struct client {
    const char *server;           /* --server, or NULL */
    const char *home_dir;
    const char *ca_file;          /* --ca, or NULL */
    const char *command;
    struct home *home;            /* from here on: client_open() */
    struct account account;
    struct url url;
    struct online *online;        /* while this process has the session */
    const struct online_ops *ops; /* NULL: nobody wants to know */
    void *ops_arg;
    bool quiet;                   /* no line about plain text, no lines about the link */
};

/* "pipit: …" on stderr, with a line break behind it. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "pipit COMMAND: … See pipit COMMAND --help." and EXIT_USAGE. */
int usage_error(const struct client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Open the home and the account in it. EXIT_DONE, or an exit code after saying why. */
int client_open(struct client *c);
void client_close(struct client *c);
/* Get the home's session, waiting for short commands of other processes; a `listen` or `chat` keeps it. */
int client_take_session(struct client *c);
/* Say an error of the store or of online_turn(); the exit code that goes with it. */
int client_failed(const struct client *c, int err);
void client_say_plain(const struct client *c);    /* the line about messages being plain text */
int client_user(const struct client *c, const char *text, struct user_id *out);     /* EXIT_DONE or EXIT_USAGE */
int client_number(const struct client *c, const char *option, const char *text, uint64_t min, uint64_t max,
                  uint64_t *out);

/* One turn of the session, or of waiting for it: who has it does the work that lies in the store. The first process
 * that finds the lock free takes it. Returns 0, or an error of online_turn(). */
int client_turn(struct client *c, uint64_t until_ms);
/* A request for whoever has the session; the answer is a frame in `answer`. EXIT_DONE, or the exit code after saying why
 * (an ERROR from the server is EXIT_REFUSED). */
int client_ask(struct client *c, const struct msg *request, uint64_t timeout_ms, struct buf *answer,
               struct msg *answer_out);
/* Commit the end of what was begun: all that left has been read by the server. Gives the session back. */
int client_finish(struct client *c);

/* ---- the commands ---- */

int cmd_register(struct client *c, int argc, char **argv);
int cmd_login(struct client *c, int argc, char **argv);
int cmd_send(struct client *c, int argc, char **argv);
int cmd_listen(struct client *c, int argc, char **argv);
int cmd_history(struct client *c, int argc, char **argv);
int cmd_info(struct client *c, int argc, char **argv);
int cmd_chat(struct client *c, int argc, char **argv);

#endif
