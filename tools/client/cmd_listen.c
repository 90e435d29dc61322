/* cmd_listen.c - prints what comes, first of all what waited. */
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
    bool synced;
    /* -- printed and not yet marked as shown -- */
    struct msg_id ids[SHOW_MAX];
    struct conv_id convs[SHOW_MAX];
    uint64_t seqs[SHOW_MAX];
    size_t id_count, conv_count;
};

static void on_event(void *arg, const struct sync_event *e)
{
    struct listening *l = arg;
    char time[32];
    switch (e->kind) {
    case SYNC_RECEIPT:
        if (l->o->json) {
            json_receipt(stdout, e);
        } else {
            format_time(e->time_ms, time);
            printf("%s %s has %s everything up to %llu\n", time, e->user.v, e->read >= e->delivered ? "read" : "got",
                   (unsigned long long)(e->read >= e->delivered ? e->read : e->delivered));
            fflush(stdout);
        }
        break;
    case SYNC_SYNCED:
        l->synced = true;
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
    else if (online_was_open(l->online) && !l->o->json) fprintf(stderr, "pipit: connected\n");
}

static int print_fresh(void *arg, const struct message_row *row)
{
    struct listening *l = arg;
    size_t i = 0;
    bool enough = l->o->count && l->count >= l->o->count;
    if (enough || l->id_count == SHOW_MAX) return ERR_END;      /* the rest stays fresh */
    if (l->o->json) json_message(stdout, &row->m);
    else print_message(stdout, &row->m);
    if (!user_id_equal(&row->m.from, &l->client.account.user)) l->count++;
    l->ids[l->id_count++] = row->m.id;
    while (i < l->conv_count && !conv_id_equal(&l->convs[i], &row->m.conv)) i++;
    if (i == l->conv_count) l->convs[l->conv_count++] = row->m.conv;
    l->seqs[i] = row->m.seq;
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
        if (err || l->id_count == 0) return err;
        err = online_show(l->online, l->ids, l->id_count, l->convs, l->seqs, l->o->no_read ? 0 : l->conv_count);
    } while (!err && l->id_count == SHOW_MAX);
    return err;
}

static bool is_done(const struct listening *l)
{
    return l->o->count && l->count >= l->o->count;
}

static int listen_until(struct listening *l, uint64_t until)
{
    bool ignored, told = false;
    int err = show(l);
    while (!err && !is_done(l) && mono_ms() < until) {
        err = online_turn(l->online, -1, &ignored, until);
        if (!err) err = show(l);
        if (l->synced && !told && !is_done(l)) {
            told = true;
            if (l->o->json) json_plain(stdout, "synced");
        }
    }
    return err ? err : online_drain(l->online);
}

int cmd_listen(const struct options *o)
{
    static const struct online_ops ops = { .on_event = on_event, .on_link = on_link };
    struct listening l = { .o = o };
    char holder[64], why[WHY_MAX] = "";
    if (o->word_count) {
        fprintf(stderr, "pipit: listen takes no words: %s\n", o->words[0]);
        return EXIT_USAGE;
    }
    int code = client_open(o, &l.client);
    int err = code ? 0 : home_lock(l.client.home, "listen", holder);
    if (err == ERR_IN_USE) {
        fprintf(stderr, "pipit: another pipit (%s) has the session of this home\n", holder);
        code = EXIT_USAGE;
    }
    if (code) {
        client_close(&l.client);
        return code;
    }
    if (!o->json) client_warn_plain();
    struct client *c = &l.client;
    if (!err) err = online_new(c->home, &c->account, &c->url, c->ca_file, &ops, &l, &l.online);
    if (!err) {
        err = listen_until(&l, o->timeout_s ? mono_ms() + 1000 * o->timeout_s : UINT64_MAX);
        snprintf(why, sizeof why, "%s", online_why(l.online));
        code = online_was_open(l.online) ? EXIT_DONE : EXIT_NO_LINK;
        online_free(l.online);
    }
    if (err) code = client_fail(err, why);
    else if (code == EXIT_NO_LINK && !is_done(&l)) fprintf(stderr, "pipit: no connection: %s\n", why);
    client_close(&l.client);
    return is_done(&l) && !err ? EXIT_DONE : code;
}
