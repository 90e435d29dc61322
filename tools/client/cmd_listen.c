/* cmd_listen.c - prints what comes, first of all what waited.
 *
 * What is printed is what is fresh in the store: stored, in order, and not shown before, whichever command of this home
 * received it. It is marked as shown, and read, after the lines have left: a crash in between prints them again, never
 * not at all. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/commands.h"
#include "tools/client/output.h"

enum { SHOW_MAX = 64 };                   /* messages marked as shown in one transaction */

struct listening {
    const struct options *o;
    struct client client;
    struct online *online;
    uint64_t count;                       /* from others, printed */
    bool synced, was_offline;
    bool mute;                            /* standard output is gone */
    /* -- printed and not yet marked as shown -- */
    struct msg_id ids[SHOW_MAX];
    struct conv_id convs[SHOW_MAX];
    uint64_t seqs[SHOW_MAX];
    size_t id_count, conv_count;
};

static volatile sig_atomic_t stopped;     /* Ctrl-C: end as after --timeout, with everything said */

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void on_event(void *arg, const struct sync_event *e)
{
    struct listening *l = arg;
    switch (e->kind) {
    case SYNC_RECEIPT:
        if (l->o->json) json_receipt(stdout, e);
        break;
    case SYNC_SYNCED:
        l->synced = true;                 /* printed after what came before it */
        break;
    case SYNC_REFUSED:
        fprintf(stderr, "pipit: a message to %s was refused: %s\n", e->user.v, e->text);
        break;
    case SYNC_ERROR:
        fprintf(stderr, "pipit: %s: %s\n", err_name(e->err), e->text);
        break;
    default:
        break;
    }
}

static void on_link(void *arg, bool open, const char *why)
{
    struct listening *l = arg;
    if (!open) fprintf(stderr, "pipit: no connection (%s): trying again\n", why);
    else if (l->was_offline) fprintf(stderr, "pipit: connected\n");
    l->was_offline = !open;
}

static bool is_done(const struct listening *l)
{
    return stopped || l->mute || (l->o->count && l->count >= l->o->count);
}

static void note_read(struct listening *l, const struct message_row *row)
{
    size_t i = 0;
    while (i < l->conv_count && !conv_id_equal(&l->convs[i], &row->m.conv)) i++;
    if (i == l->conv_count) l->convs[l->conv_count++] = row->m.conv;
    l->seqs[i] = row->m.seq;
}

static int print_fresh(void *arg, const struct message_row *row)
{
    struct listening *l = arg;
    bool from_self = user_id_equal(&row->m.from, &l->client.account.user);
    if (is_done(l) || l->id_count == SHOW_MAX) return ERR_END;      /* the rest stays fresh */
    l->ids[l->id_count++] = row->m.id;
    if (row->m.kind > KIND_TOMBSTONE) return 0;                     /* keeps its place, says nothing */
    if (l->o->json) json_message(stdout, &row->m);
    else print_message_line(stdout, &row->m);
    if (from_self) return 0;                                        /* of another device of this user */
    l->count++;
    note_read(l, row);
    return 0;
}

/* Everything fresh, printed, marked and told as read. */
static int show(struct listening *l)
{
    int err;
    do {
        l->id_count = l->conv_count = 0;
        err = home_message_each_fresh(l->client.home, NULL, print_fresh, l);
        if (err == ERR_END) err = 0;
        l->mute = !output_flush();
        if (err || l->mute || l->id_count == 0) return err;
        err = online_show(l->online, l->ids, l->id_count, l->convs, l->seqs, l->o->no_read ? 0 : l->conv_count);
    } while (!err && l->id_count == SHOW_MAX);
    return err;
}

static int listen_until(struct listening *l, uint64_t until)
{
    bool ignored, told = false;
    int err = show(l);
    while (!err && !is_done(l) && mono_ms() < until) {
        err = online_turn(l->online, -1, &ignored, until);
        int store_err = show(l);          /* also what came before the session ended */
        if (!err) err = store_err;
        if (!l->synced || told || is_done(l)) continue;
        told = true;
        if (l->o->json) json_plain(stdout, "synced");
        l->mute = !output_flush();
    }
    return err ? err : online_drain(l->online);
}

static int run(struct listening *l)
{
    static const struct online_ops ops = { .on_event = on_event, .on_link = on_link };
    const struct sigaction action = { .sa_handler = on_signal };
    struct client *c = &l->client;
    char why[WHY_MAX];
    int code, err = online_new(c->home, &c->account, &c->url, c->ca_file, &ops, l, &l->online);
    if (err) return client_fail(err, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    err = listen_until(l, l->o->timeout_s ? mono_ms() + 1000 * l->o->timeout_s : UINT64_MAX);
    snprintf(why, sizeof why, "%s", online_why(l->online));
    if (err) {
        code = client_fail(err, why);
    } else if (l->mute) {
        code = EXIT_USAGE;
    } else if (is_done(l) || online_was_open(l->online)) {
        code = EXIT_DONE;
    } else {
        fprintf(stderr, "pipit: no connection: %s\n", why);
        code = EXIT_NO_LINK;
    }
    online_free(l->online);
    return code;
}

int cmd_listen(const struct options *o)
{
    struct listening l = { .o = o };
    if (o->word_count) {
        fprintf(stderr, "pipit: listen takes no words: %s\n", o->words[0]);
        return EXIT_USAGE;
    }
    int code = client_open(o, &l.client);
    if (!code) code = client_lock(&l.client, "listen");
    if (!code && !o->json) client_warn_plain();
    if (!code) code = run(&l);
    client_close(&l.client);
    return code;
}
