/* cmd_listen.c - prints what comes, first of all what waited.
 *
 * What is printed is what is new in the home: stored, in order, and not shown before, whichever command of this home
 * received it. It is marked as seen after the lines have left: a crash in between prints them again, never not at
 * all. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/commands.h"
#include "tools/client/output.h"

struct listening {
    const struct options *o;
    struct client client;
    uint64_t count;                       /* from others, printed */
    bool synced, was_offline, was_online;
    bool mute;                            /* standard output is gone */
};

static volatile sig_atomic_t stopped;     /* Ctrl-C: end as after --timeout, with everything said */

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void on_receipt(void *arg, const struct pipit_receipt *r)
{
    struct listening *l = arg;
    if (l->o->json) json_receipt(stdout, r);
}

/* For programs, which count; people are told who deleted what, where that is known. */
static void on_gone(void *arg, const struct pipit_gone *gone)
{
    struct listening *l = arg;
    if (l->o->json) json_gone(stdout, &gone->conv, gone->first, gone->last);
}

static void on_synced(void *arg)
{
    struct listening *l = arg;
    l->synced = true;                     /* printed after what came before it */
}

static void on_refused(void *arg, uint64_t number, enum pipit_what what, const struct user_id *to, int err,
                       const char *text)
{
    static const char *const names[] = { [PIPIT_SAYS] = "a message to", [PIPIT_DELETES] = "deleting a message to",
                                         [PIPIT_SETS_TIMER] = "the timer with" };
    (void)arg;
    (void)number;
    fprintf(stderr, "pipit: %s %s was refused: %s\n", names[what], to->v, refusal_text(what, err, text));
}

static void on_link(void *arg, bool open, const char *why)
{
    struct listening *l = arg;
    if (!open) fprintf(stderr, "pipit: no connection (%s): trying again\n", why);
    else if (l->was_offline) fprintf(stderr, "pipit: connected\n");
    l->was_offline = !open;
    l->was_online |= open;
}

static void on_device(void *arg, enum pipit_device_change what, struct device_id device, const char *name)
{
    struct listening *l = arg;
    if (l->o->json) json_device(stdout, what, device, name);
    else client_on_device(arg, what, device, name);
}

static bool is_done(const struct listening *l)
{
    return stopped || l->mute || (l->o->count && l->count >= l->o->count);
}

static void print_one(struct listening *l, const struct pipit_message *m)
{
    if (l->o->json) json_message(stdout, m);
    else print_message_line(stdout, m);
    if (m->what == PIPIT_SAYS && !m->is_own && !m->is_deleted) l->count++;    /* own: of another device of this user */
}

/* Everything new, printed, marked and told as read. */
static int show(struct listening *l)
{
    const struct pipit_message *m;
    size_t count, shown = PIPIT_NEW_MAX;
    int err = 0;
    while (!err && shown == PIPIT_NEW_MAX && !is_done(l)) {
        err = pipit_new(l->client.pipit, &m, &count);
        for (shown = 0; !err && shown < count && !is_done(l); shown++) print_one(l, &m[shown]);
        l->mute |= !output_flush();
        if (!err && !l->mute && shown) err = pipit_seen(l->client.pipit, m, shown, !l->o->no_read);
    }
    return err;
}

static int listen_until(struct listening *l, uint64_t until)
{
    bool told = false;
    int err = show(l);
    while (!err && !is_done(l) && mono_ms() < until) {
        err = pipit_turn(l->client.pipit, -1, NULL, until - mono_ms());
        int store_err = show(l);          /* also what came before the session ended */
        if (!err) err = store_err;
        if (!l->synced || told || is_done(l)) continue;
        told = true;
        if (l->o->json) json_plain(stdout, "synced");
        l->mute |= !output_flush();
    }
    return err ? err : pipit_drain(l->client.pipit);
}

static int run(struct listening *l)
{
    static const struct pipit_events events = {
        .on_link = on_link, .on_synced = on_synced, .on_receipt = on_receipt, .on_refused = on_refused,
        .on_later = client_on_later, .on_notice = client_on_notice,
        .on_device = on_device, .on_gone = on_gone,
    };
    const struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };    /* for output under way */
    pipit_tell(l->client.pipit, &events, l);
    int err = pipit_start(l->client.pipit, "listen");
    if (err) return client_fail(err, pipit_why(l->client.pipit));
    if (!l->o->json) client_warn_plain();
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    err = listen_until(l, l->o->timeout_s ? mono_ms() + 1000 * l->o->timeout_s : UINT64_MAX);
    if (err) return client_fail(err, pipit_why(l->client.pipit));
    if (l->mute) return EXIT_USAGE;
    if (is_done(l) || l->was_online) return EXIT_DONE;
    fprintf(stderr, "pipit: no connection within %llu s\n", (unsigned long long)l->o->timeout_s);
    return EXIT_NO_LINK;
}

int cmd_listen(const struct options *o)
{
    struct listening l = { .o = o };
    int code = client_open(o, &l.client);
    if (!code) code = run(&l);
    client_close(&l.client);
    return code;
}
