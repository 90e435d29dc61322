/* cmd_gone.c - delete and timer: what goes for everyone, or by itself. */
#include <stdio.h>
#include <string.h>

#include "tools/client/commands.h"
#include "tools/client/output.h"
#include "tools/common/duration.h"

enum { TIMEOUT_S = 30 };

static uint64_t timeout_ms(const struct options *o)
{
    return 1000 * (o->timeout_s ? o->timeout_s : TIMEOUT_S);
}

static int close_with(struct client *c, int code)
{
    client_close(c);
    return output_flush() ? code : EXIT_USAGE;
}

/* What the library says of something that was named wrongly is a mistake in the command. */
static int fail(const struct client *c, int err)
{
    if (err != ERR_NOT_FOUND && err != ERR_DENIED && err != ERR_RANGE) return client_fail(err, pipit_why(c->pipit));
    fprintf(stderr, "pipit: %s\n", pipit_why(c->pipit));
    return EXIT_USAGE;
}

/* Until the server has it. 0 or an exit code. */
static int wait_done(struct client *c, const struct options *o, enum pipit_what what, uint64_t number)
{
    struct msg_id id;
    int err = pipit_sent(c->pipit, number, timeout_ms(o), &id);
    if (err == ERR_IDLE) {
        fprintf(stderr, "pipit: not %s yet: it stays in the outbox and goes out with the next command\n",
                what == PIPIT_DELETES ? "deleted" : "set");
        return EXIT_NO_LINK;
    }
    return err ? client_fail(err, refusal_text(what, err, pipit_why(c->pipit))) : 0;
}

/* ---- delete ---- */

struct last { struct msg_id id; bool found; };

static int take_last(void *arg, const struct pipit_message *m)
{
    struct last *last = arg;
    if (m->what != PIPIT_SAYS || !m->is_own || m->is_deleted) return 0;
    last->id = m->id;                     /* they come oldest first */
    last->found = true;
    return 0;
}

/* From the server: what another device said last is last, though this one may not have heard of it. */
static int find_last(struct client *c, const struct options *o, const struct user_id *peer, struct msg_id *id_out)
{
    struct last last = { .found = false };
    int err = pipit_history(c->pipit, peer, 0, PAGE_RECORDS_MAX, timeout_ms(o), take_last, &last);
    if (err && err != ERR_NOT_FOUND) return client_fail(err, pipit_why(c->pipit));
    if (!last.found) {
        fprintf(stderr, "pipit: none of the last %d messages there is yours\n", PAGE_RECORDS_MAX);
        return EXIT_USAGE;
    }
    *id_out = last.id;
    return 0;
}

static int take_conv(void *arg, const struct message_row *row)
{
    *(struct conv_id *)arg = row->m.conv;
    return 0;
}

/* A message that is of another conversation was named by a slip. One that is not known is told of later. */
static int check_conv(struct client *c, const struct msg_id *id, const char *who, const struct conv_id *conv)
{
    struct conv_id of = *conv;
    int err = home_message_by_id(c->home, id, take_conv, &of);
    if (err && err != ERR_NOT_FOUND) return client_fail(err, NULL);
    if (conv_id_equal(&of, conv)) return 0;
    fprintf(stderr, "pipit: that message is not of the conversation with %s\n", who);
    return EXIT_USAGE;
}

static int delete_for_everyone(struct client *c, const struct options *o, const struct msg_id *id)
{
    char printed[MSG_ID_TEXT];
    uint64_t number;
    int err = pipit_delete(c->pipit, id, &number);
    int code = err ? fail(c, err) : wait_done(c, o, PIPIT_DELETES, number);
    if (code) return code;
    msg_id_print(id, printed);
    printf("%s\n", printed);
    return EXIT_DONE;
}

/* Which words are wanted goes by the options: [WHO] MESSAGE --here, WHO --last, WHO MESSAGE. */
static bool check_words(const struct options *o)
{
    const char *last = o->words[o->word_count - 1];
    struct msg_id id;
    if (o->here && o->last) fprintf(stderr, "pipit: --here wants a message's id, not --last\n");
    else if (o->last && o->word_count == 2) fprintf(stderr, "pipit: --last, or a message's id: not both\n");
    else if (o->last || o->here || o->word_count == 2) return o->last || take_message(last, &id);
    else if (msg_id_parse(bytes_of_str(last), &id))
        fprintf(stderr, "pipit: delete %s MESSAGE: which? Its id, or --last\n", last);
    else fprintf(stderr, "pipit: delete WHO %s deletes it for everyone, delete --here %s for you alone\n", last, last);
    return false;
}

int cmd_delete(const struct options *o)
{
    struct client c;
    struct user_id peer;
    struct conv_id conv;
    struct msg_id id;
    if (!check_words(o)) return EXIT_USAGE;
    bool has_who = o->last || o->word_count == 2;
    int code = client_open(o, &c);
    if (code) return code;
    pipit_tell(c.pipit, &client_events, NULL);
    if (has_who) code = client_peer(&c, o->words[0], &peer, &conv);
    if (!code && o->last) code = find_last(&c, o, &peer, &id);
    if (!code && !o->last) msg_id_parse(bytes_of_str(o->words[o->word_count - 1]), &id);    /* it is one */
    if (!code && has_who) code = check_conv(&c, &id, o->words[0], &conv);
    if (!code && o->here) {
        int err = pipit_delete_here(c.pipit, &id);
        code = err ? fail(&c, err) : EXIT_DONE;
    } else if (!code) {
        code = delete_for_everyone(&c, o, &id);
    }
    return close_with(&c, code);
}

/* ---- timer ---- */

static void print_it(const struct options *o, const struct user_id *peer, const struct pipit_timer *t)
{
    if (o->json) {
        json_line(stdout, json_pack("{s:s, s:I, s:o}", "with", peer->v, "seconds", (json_int_t)t->seconds, "by",
                                    t->by.v[0] ? json_string(t->by.v) : json_null()));
        return;
    }
    print_timer(stdout, t->seconds, t->by.v);
    putchar('\n');
}

/* From the server; without it what this device knows, and the exit code says so. */
static int show_timer(struct client *c, const struct options *o, const struct user_id *peer)
{
    struct pipit_timer t;
    int code = 0, err = pipit_timer(c->pipit, peer, timeout_ms(o), &t);
    if (err) code = client_fail(err, pipit_why(c->pipit));
    if (code == EXIT_NO_LINK) {
        fprintf(stderr, "pipit: showing what this device knows\n");
        err = pipit_timer_here(c->pipit, peer, &t);
        if (err) code = client_fail(err, pipit_why(c->pipit));
    }
    if (!err) print_it(o, peer, &t);
    return code;
}

static int set_timer(struct client *c, const struct options *o, const struct user_id *peer, uint64_t seconds)
{
    struct pipit_timer t;
    uint64_t number;
    int err = pipit_timer_set(c->pipit, peer, seconds, &number);
    int code = err ? fail(c, err) : wait_done(c, o, PIPIT_SETS_TIMER, number);
    if (code) return code;
    err = pipit_timer_here(c->pipit, peer, &t);
    if (err) return client_fail(err, pipit_why(c->pipit));
    print_it(o, peer, &t);
    return EXIT_DONE;
}

int cmd_timer(const struct options *o)
{
    struct client c;
    struct user_id peer;
    struct conv_id conv;
    uint64_t seconds = 0;
    if (o->word_count == 2 && !duration_parse(o->words[1], &seconds)) {
        fprintf(stderr, "pipit: %s: how long is a number and s, m, h, d or w (30m, 1d), or off\n", o->words[1]);
        return EXIT_USAGE;
    }
    int code = client_open(o, &c);
    if (code) return code;
    pipit_tell(c.pipit, &client_events, NULL);
    code = client_peer(&c, o->words[0], &peer, &conv);
    if (!code && o->word_count == 2) code = set_timer(&c, o, &peer, seconds);
    else if (!code) code = show_timer(&c, o, &peer);
    return close_with(&c, code);
}
