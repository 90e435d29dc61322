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
    EXIT_IN_USE = 4,                  /* another program keeps the home: the same command may go well later */
};
/* Every option of a command: field, name, its value in help (NULL: none), what it does. A command names those it
 * takes. */
#define PIPIT_OPTIONS(X)                                                                                               \
    X(invite, "invite", "CODE", "the code you were given by who runs the server")                                      \
    X(password_file, "password-file", "F", "the password is the first line of F; else PIPIT_PASSWORD, else asked for") \
    X(new_password_file, "new-password-file", "F", "the new one; else PIPIT_NEW_PASSWORD, else asked for")             \
    X(log_out_others, "log-out-others", NULL, "all other devices are logged out")                                      \
    X(login, "login", NULL, "log this home in afterwards, without asking")                                             \
    X(json, "json", NULL, "one JSON object a line, for programs")                                                      \
    X(no_read, "no-read", NULL, "do not tell the senders that their messages were read")                               \
    X(count, "count", "N", "end after N messages from others")                                                         \
    X(timeout, "timeout", "S", "end, or give up waiting, after S seconds")                                             \
    X(limit, "limit", "N", "at most N")                                                                                \
    X(before, "before", "SEQ", "those before the message with this number")                                            \
    X(around, "around", "TIME", "those about a day or a time here: 2026-05-01, or \"2026-05-01 12:00\"")              \
    X(with, "with", "WHO", "only of the conversation with WHO")                                                        \
    X(as, "as", "NAME", "what this device calls them; else by their user name")                                        \
    X(plain, "plain", NULL, "the text alone: no picture, no full screen")                                              \
    X(last, "last", NULL, "your own last message there")                                                               \
    X(here, "here", NULL, "for you alone, on this device; nobody else is told")                                        \
    X(yes, "yes", NULL, "do not ask whether it is meant")

enum option_number {
#define PIPIT_OPTION_NUMBER(field, name, value, help) OPTION_##field,
    PIPIT_OPTIONS(PIPIT_OPTION_NUMBER)
#undef PIPIT_OPTION_NUMBER
    OPTION_COUNT
};
#define TAKES(field) (1u << OPTION_##field)

struct options {
    const char *server;               /* --server, or NULL: the home's, else the default */
    const char *home;
    const char *ca_file;
    const char *invite, *password_file, *new_password_file;
    const char *before, *around, *with, *as;
    bool json, no_read, plain, yes, login, log_out_others, last, here;
    uint64_t count, limit;            /* 0: not given */
    uint64_t timeout_s;               /* 0: not given */
    char **words;                     /* behind the command */
    int word_count;
};

struct command {
    const char *first, *second;       /* "devices" "name"; second NULL: one word; "list" may be left out */
    const char *usage;                /* what follows the words, without the options */
    const char *help;                 /* sentences; lines of at most 100 columns */
    const char *example;              /* lines */
    unsigned options;                 /* TAKES() of each */
    int least, most;                  /* words after the command's own */
    int (*run)(const struct options *o);
};
extern const struct command commands[];    /* in the order of help; the last one has no `first` */
enum { WORDS_MAX = 10000 };

int cmd_register(const struct options *o);
int cmd_login(const struct options *o);
int cmd_logout(const struct options *o);
int cmd_passwd(const struct options *o);
int cmd_account_delete(const struct options *o);
int cmd_export(const struct options *o);
int cmd_whoami(const struct options *o);
int cmd_devices_list(const struct options *o);
int cmd_devices_name(const struct options *o);
int cmd_devices_revoke(const struct options *o);
int cmd_chat(const struct options *o);
int cmd_send(const struct options *o);
int cmd_listen(const struct options *o);
int cmd_list(const struct options *o);
int cmd_history(const struct options *o);
int cmd_search(const struct options *o);
int cmd_info(const struct options *o);
int cmd_delete(const struct options *o);
int cmd_timer(const struct options *o);
int cmd_unread(const struct options *o);
int cmd_link(const struct options *o);
int cmd_add(const struct options *o);
int cmd_contacts_list(const struct options *o);
int cmd_contacts_rename(const struct options *o);
int cmd_contacts_remove(const struct options *o);

/* A logged-in home. */
struct client {
    struct pipit *pipit;
    /* -- for chat, which shows more of a home than the library's face does -- */
    struct home *home;                /* pipit's */
    struct account account;
    struct url url;
    const char *ca_file;
    char authority[HOME_PATH_MAX + 16];          /* what it may point to */
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
void client_on_device(void *arg, enum pipit_device_change what, struct device_id device, const char *name);
/* All of the above: for commands that ask and do not listen. */
extern const struct pipit_events client_events;
/* A device of this user by its 16 digits. False, said why. */
bool take_device(const char *text, struct device_id *out);
/* A message by its id. False, said why. */
bool take_message(const char *text, struct msg_id *out);
void client_warn_plain(void);         /* the line that says who can read the messages */
bool parse_number(const char *text, uint64_t max, uint64_t *out);

#endif
