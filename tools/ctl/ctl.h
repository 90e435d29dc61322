/* ctl.h - what the commands of pipitctl share: arguments, exit codes, the way to the server. */
#ifndef PIPIT_TOOLS_CTL_CTL_H
#define PIPIT_TOOLS_CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>

/* Scripts may rely on these; `pipitctl --help` tells them. */
enum {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,        /* the server said no, or damage was found */
    EXIT_USAGE = 2,
    EXIT_NO_SERVER = 3,      /* none answers for this folder: nothing was done */
    EXIT_DENIED = 4,         /* the socket is there, but not for this user: nothing was done */
    EXIT_BROKEN = 5,         /* the connection ended, or what came is no answer: it may have been done or not */
};

/* Every option there is; a command names those it takes. */
#define CTL_OPTIONS(X)                        \
    X(password_file, "password-file", true)   \
    X(uses, "uses", true)                     \
    X(days, "days", true)                     \
    X(note, "note", true)                     \
    X(json, "json", false)                    \
    X(yes, "yes", false)                      \
    X(ask, "ask", false)                      \
    X(keep_devices, "keep-devices", false)    \
    X(all, "all", false)                      \
    X(with, "with", false)                    \
    X(since, "since", true)                   \
    X(keys, "keys", true)                     \
    X(to, "to", true)                         \
    X(verify, "verify", false)                \
    X(conversation, "conversation", true)     \
    X(from, "from", true)                     \
    X(log, "log", true)                       \
    X(number, "number", true)                 \
    X(top, "top", true)                       \
    X(at, "at", true)

enum option_number {
#define CTL_NUMBER(field, name, value) OPTION_##field,
    CTL_OPTIONS(CTL_NUMBER)
#undef CTL_NUMBER
    OPTION_COUNT
};
#define TAKES(field) (1u << OPTION_##field)

struct arguments {
    const char *data;                        /* the server's folder */
    const struct command *command;
    char **words;                            /* after the command's own */
    int count;
    const char *option[OPTION_COUNT];        /* NULL: not given; "" for one without a value */
};
#define GIVEN(a, field) ((a)->option[OPTION_##field])

struct command {
    const char *first, *second;              /* "user" "add"; second NULL: one word */
    const char *usage;                       /* what follows the words */
    const char *help;                        /* sentences; lines of at most 100 columns */
    unsigned options;                        /* TAKES() of each */
    int least, most;                         /* words after the command's own */
    int (*run)(const struct arguments *a);
};

enum { WORDS_MAX = 10000 };                  /* names in one request, as the server takes them */

/* Says what is wrong and that --help helps. EXIT_USAGE. */
int ctl_usage(const struct arguments *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes `request`, says it to the server and gives what came back: NULL when it is not "ok"; then the reason, and each
 * of its `problems`, has been said on standard error and *code_out is the exit code. */
json_t *ctl_call(const struct arguments *a, json_t *request, int *code_out);
/* It cannot be undone: has `word` typed once more on the terminal, but with --yes. `what` is going to happen to it, a
 * clause. EXIT_DONE: go on; EXIT_USAGE: said why not. */
int ctl_make_sure(const struct arguments *a, const char *what, const char *word);
/* The text or number of a member; "" and 0 when it is not there. */
const char *ctl_text(json_t *object, const char *name);
json_int_t ctl_number(json_t *object, const char *name);
void ctl_print_json(json_t *value);          /* on one line */
/* "2026-11-24 08:45:43" in UTC; "never" for 0. */
const char *ctl_time(json_int_t ms, char out[static 32]);
/* The words as a list for `users`; NULL when one is no user name, said why. */
json_t *ctl_names(const struct arguments *a);
/* Calls `list` until there is no more: each row of the member `rows` goes to `print`. The next page is asked for with
 * `after`, the last row's member `key`. */
int ctl_list(const struct arguments *a, const char *request, const char *rows, const char *key,
             void (*print)(const struct arguments *a, json_t *row));

int ctl_user_add(const struct arguments *a);
int ctl_user_list(const struct arguments *a);
int ctl_user_token(const struct arguments *a);
int ctl_user_disable(const struct arguments *a);
int ctl_user_enable(const struct arguments *a);
int ctl_export_user(const struct arguments *a);
int ctl_erase_user(const struct arguments *a);
int ctl_erase_conversation(const struct arguments *a);
int ctl_user_remove(const struct arguments *a);
int ctl_user_reset_password(const struct arguments *a);
int ctl_user_devices(const struct arguments *a);
int ctl_user_revoke(const struct arguments *a);
int ctl_invite_new(const struct arguments *a);
int ctl_invite_list(const struct arguments *a);
int ctl_invite_revoke(const struct arguments *a);
int ctl_status(const struct arguments *a);
int ctl_reload(const struct arguments *a);
int ctl_shutdown(const struct arguments *a);
int ctl_cert(const struct arguments *a);
int ctl_backup(const struct arguments *a);
int ctl_restore(const struct arguments *a);
int ctl_log_ls(const struct arguments *a);
int ctl_log_show(const struct arguments *a);
int ctl_log_verify(const struct arguments *a);
int ctl_log_cut(const struct arguments *a);
int ctl_log_stat(const struct arguments *a);

#endif
