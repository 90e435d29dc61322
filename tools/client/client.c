/* client.c - what the commands share: opening a home, getting its session or leaving work for whoever has it.
 *
 * Work lies in the store before anything else happens. Then client_turn() either does it (this process has the
 * session) or waits for it to be done, and takes the session over when its holder goes: so a send that was handed over
 * to a `listen` which is then killed goes out all the same. */
#include "tools/client/client.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say_list(const char *format, va_list args)
{
    fputs("pipit: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_list(format, args);
    va_end(args);
}

int usage_error(const struct client *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_list(format, args);
    va_end(args);
    fprintf(stderr, "Try `pipit %s --help`.\n", c->command);
    return EXIT_USAGE;
}

void client_say_plain(const struct client *c)
{
    if (!c->quiet) say("messages are plain text to the server until end-to-end encryption exists");
}

int client_user(const struct client *c, const char *text, struct user_id *out)
{
    if (user_id_parse(bytes_of_str(text), out) == 0) return EXIT_DONE;
    return usage_error(c, "\"%.60s\" is no user name: %s", text, err_text(ERR_NAME));
}

int client_number(const struct client *c, const char *option, const char *text, uint64_t min, uint64_t max,
                  uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && v >= min && v <= max) {
        *out = v;
        return EXIT_DONE;
    }
    return usage_error(c, "%s wants a number from %llu to %llu, not \"%.40s\"", option, (unsigned long long)min,
                       (unsigned long long)max, text);
}

/* ---- opening ---- */

int client_open(struct client *c)
{
    char why[WHY_MAX];
    int err = home_open(c->home_dir, false, &c->home, why);
    if (!err) err = home_account_get(c->home, &c->account);
    if (err == ERR_NOT_FOUND) {
        say("nobody is logged in in %s: `pipit login USER` or `pipit register USER --invite CODE` first "
            "(--home DIR names another home)", c->home_dir);
        return EXIT_USAGE;
    }
    if (err) {
        say("the home cannot be used: %s", why[0] ? why : err_text(err));
        return EXIT_USAGE;
    }
    err = url_parse(c->server ? c->server : c->account.server, &c->url, why);
    if (err) {
        say("%s", why);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

void client_close(struct client *c)
{
    online_free(c->online);
    home_close(c->home);
    c->online = NULL;
    c->home = NULL;
    sodium_memzero(c->account.token, sizeof c->account.token);
}

int client_failed(const struct client *c, int err)
{
    const char *why = c->online ? online_why(c->online) : "";
    switch (err) {
    case ERR_REPLACED:
        say("this device's session was opened by another program; stopping, so as not to fight over it. Is a copy of "
            "%s in use elsewhere? Log in there with a home of its own", c->home_dir);
        return EXIT_REFUSED;
    case ERR_AUTH: case ERR_REVOKED:
        say("the server does not take this device any more (%s: %s): log in again with another --home",
            err_name(err), why[0] ? why : err_text(err));
        return EXIT_REFUSED;
    case ERR_NO_SPACE: case ERR_IO: case ERR_CORRUPT: case ERR_NOMEM: case ERR_IN_USE:
        say("the home %s cannot be written: %s", c->home_dir, err_text(err));
        return EXIT_USAGE;
    default:
        say("the server refused the session (%s: %s)", err_name(err), why[0] ? why : err_text(err));
        return EXIT_REFUSED;
    }
}

/* ---- the session ---- */

static void on_event(void *arg, const struct sync_event *e)
{
    struct client *c = arg;
    if (c->ops) c->ops->on_event(c->ops_arg, e);
}

static void on_link(void *arg, bool open, const char *why)
{
    struct client *c = arg;
    if (c->ops) c->ops->on_link(c->ops_arg, open, why);
    else if (!open && !c->quiet) say("no connection to the server (%s); trying again", why);
}

/* 0: this process has the session now. ERR_IN_USE: another has it, `holder` tells which. */
static int try_session(struct client *c, char holder[static 64])
{
    static const struct online_ops ops = { .on_event = on_event, .on_link = on_link };
    if (c->online) return 0;
    int err = home_lock(c->home, c->command, holder);
    if (err) return err;
    err = online_new(c->home, &c->account, &c->url, c->ca_file, &ops, c, &c->online);
    if (err) home_unlock(c->home);
    return err;
}

int client_take_session(struct client *c)
{
    char holder[64];
    int err;
    while ((err = try_session(c, holder)) == ERR_IN_USE) {
        if (strstr(holder, "listen") || strstr(holder, "chat")) {
            say("another pipit (%s) has the session of this home: end it, or log in with another --home", holder);
            return EXIT_USAGE;
        }
        poll(NULL, 0, LOCK_POLL_MS);
    }
    return err ? client_failed(c, err) : EXIT_DONE;
}

int client_turn(struct client *c, uint64_t until_ms)
{
    char holder[64];
    bool ignored;
    int err = try_session(c, holder);
    if (!err) return online_turn(c->online, -1, &ignored, until_ms);
    if (err != ERR_IN_USE) return err;
    home_wake(c->home);
    poll(NULL, 0, LOCK_POLL_MS);
    return 0;
}

int client_finish(struct client *c)
{
    int err = c->online ? online_drain(c->online) : 0;
    return err && err != ERR_REPLACED ? client_failed(c, err) : EXIT_DONE;
}

/* ---- errands ---- */

static int errand_result(struct client *c, struct buf *answer, struct msg *out)
{
    int err = msg_decode(buf_bytes(answer), out, NULL);
    if (err) {
        say("the server's answer cannot be read: %s", err_text(err));
        return EXIT_REFUSED;
    }
    if (out->type != MSG_ERROR) return EXIT_DONE;
    const struct msg_error *e = &out->u.error;
    say("refused: %.*s: %.*s", (int)e->name.len, (const char *)e->name.at, (int)e->text.len, (const char *)e->text.at);
    return EXIT_REFUSED;
}

int client_ask(struct client *c, const struct msg *request, uint64_t timeout_ms, struct buf *answer,
               struct msg *answer_out)
{
    struct buf frame;
    uint64_t id = 0, until = mono_ms() + timeout_ms;
    buf_init(&frame, FRAME_BYTES_MAX);
    struct msg m = *request;
    m.has_ref = true;    /* whoever runs the errand puts in a number of its own */
    int err = msg_encode(&m, &frame);
    if (!err) err = home_errand_add(c->home, buf_bytes(&frame), wall_ms(), &id);
    buf_fini(&frame);
    if (!err && c->online) err = online_step(c->online);
    while (!err && (err = home_errand_take(c->home, id, answer)) == ERR_NOT_FOUND) {
        err = mono_ms() < until ? client_turn(c, until) : ERR_IDLE;
    }
    if (err) home_errand_drop(c->home, id);
    if (err == ERR_IDLE) {
        say("no answer from the server within %llu s%s%s", (unsigned long long)(timeout_ms / 1000),
            c->online && online_why(c->online)[0] ? ": " : "", c->online ? online_why(c->online) : "");
        return EXIT_OFFLINE;
    }
    return err ? client_failed(c, err) : errand_result(c, answer, answer_out);
}
