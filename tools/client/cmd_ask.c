/* cmd_ask.c - history and info: what the server knows of messages, printed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/commands.h"
#include "tools/client/output.h"
#include "tools/common/when.h"

enum { ASK_MS_MAX = 30000, HISTORY_DEFAULT = 20 };

/* -- history ---------------------------------------------------------------------------------------------------- */

struct printing { bool json; size_t count; };

static int print_one(void *arg, const struct pipit_message *m)
{
    struct printing *p = arg;
    p->count++;
    if (p->json) json_message(stdout, m);
    else print_message_line(stdout, m);
    return 0;
}

/* What is asked for: the last ones before a number, or those around a time. */
struct wanted { uint64_t before, limit, around_ms; bool is_around; };

static bool take_wanted(const struct options *o, struct wanted *w)
{
    enum { LIMIT_MAX = 10000 };           /* a hundred pages, all held until the oldest has come */
    *w = (struct wanted){ .limit = o->limit ? o->limit : HISTORY_DEFAULT, .is_around = o->around != NULL };
    const char *wrong = NULL;
    if (o->around && o->before) wrong = "--around and --before do not go together";
    else if (o->around && !when_parse(o->around, &w->around_ms))
        wrong = "--around is a day, or a day and a time, by this device's clock: 2026-05-01, \"2026-05-01 12:00\"";
    else if (o->around && w->limit > PAGE_RECORDS_MAX) wrong = "--limit is 1 to 100 with --around";
    else if (w->limit > LIMIT_MAX) wrong = "--limit is 1 to 10000";
    else if (o->before && !parse_number(o->before, INT64_MAX, &w->before))
        wrong = "--before is the number of a message";
    if (wrong) fprintf(stderr, "pipit: %s\n", wrong);
    return !wrong;
}
_Static_assert(PAGE_RECORDS_MAX == 100, "take_wanted() says so");

static int ask_server(struct client *c, const struct user_id *peer, const struct wanted *w, struct printing *p)
{
    if (w->is_around) return pipit_history_around(c->pipit, peer, w->around_ms, w->limit, ASK_MS_MAX, print_one, p);
    return pipit_history(c->pipit, peer, w->before, w->limit, ASK_MS_MAX, print_one, p);
}

static int look_here(struct client *c, const struct user_id *peer, const struct wanted *w, struct printing *p)
{
    if (w->is_around) return pipit_history_around_here(c->pipit, peer, w->around_ms, w->limit, print_one, p);
    return pipit_history_here(c->pipit, peer, w->before, w->limit, print_one, p);
}

/* When the server has none of it, this device may: of a user who was erased, or before what a restore brought back. */
static int print_here(struct client *c, const struct user_id *peer, const struct wanted *w, int refused,
                      struct printing *p)
{
    char why[PIPIT_WHY_MAX];
    snprintf(why, sizeof why, "%s", pipit_why(c->pipit));
    int err = look_here(c, peer, w, p);
    if (err) return client_fail(err, pipit_why(c->pipit));
    if (p->count == 0) return client_fail(refused, why);
    fprintf(stderr, "pipit: the server has nothing of this conversation any more: that is what this device has\n");
    return EXIT_DONE;
}

int cmd_history(const struct options *o)
{
    struct client c;
    struct user_id peer;
    struct conv_id conv;
    struct wanted w;
    if (!take_wanted(o, &w)) return EXIT_USAGE;
    struct printing *arg = &(struct printing){ .json = o->json };
    int code = client_open(o, &c);
    if (!code) code = client_peer(&c, o->words[0], &peer, &conv);
    if (!code) {
        pipit_tell(c.pipit, &client_events, NULL);
        int err = ask_server(&c, &peer, &w, arg);
        if (err == ERR_NOT_FOUND) code = print_here(&c, &peer, &w, err, arg);
        else if (err) code = client_fail(err, pipit_why(c.pipit));
        if (code == EXIT_NO_LINK) {       /* which may be less; the exit code stays */
            fprintf(stderr, "pipit: showing what this device has\n");
            err = look_here(&c, &peer, &w, arg);
            if (err) code = client_fail(err, pipit_why(c.pipit));
        }
        if (!output_flush()) code = EXIT_USAGE;
    }
    client_close(&c);
    return code;
}

/* -- info -------------------------------------------------------------------------------------------------------- */

struct members {
    json_t *json;
    FILE *lines;
};

static int add_member(void *arg, const struct pipit_member *m)
{
    struct members *to = arg;
    json_array_append_new(to->json, json_member(m));
    print_member(to->lines, m);
    return 0;
}

static void print_info(const struct pipit_message *m, const struct options *o, json_t *members, const char *lines)
{
    char id[MSG_ID_TEXT], conv[CONV_ID_TEXT], time[32];
    msg_id_print(&m->id, id);
    conv_id_print(&m->conv, conv);
    format_time(m->time_ms, time);
    if (o->json) {
        json_line(stdout, json_pack("{s:s, s:s, s:I, s:s, s:I, s:O}", "id", id, "conversation", conv, "seq",
                                    (json_int_t)m->seq, "from", m->from.v, "sent", (json_int_t)m->time_ms, "members",
                                    members));
    } else {
        printf("%s, number %llu, sent by %s %s\n%s", id, (unsigned long long)m->seq, m->from.v, time, lines);
    }
}

int cmd_info(const struct options *o)
{
    struct client c;
    struct msg_id id;
    struct pipit_message message;
    char *lines = NULL;
    size_t lines_len;
    if (!take_message(o->words[0], &id)) return EXIT_USAGE;
    int code = client_open(o, &c);
    if (code) return code;
    struct members members = { json_array(), open_memstream(&lines, &lines_len) };
    if (!members.json || !members.lines) abort();    /* out of memory */
    pipit_tell(c.pipit, &client_events, NULL);
    int err = pipit_info(c.pipit, &id, ASK_MS_MAX, &message, add_member, &members);
    fclose(members.lines);
    if (err) code = client_fail(err, pipit_why(c.pipit));
    else print_info(&message, o, members.json, lines);
    if (!output_flush()) code = EXIT_USAGE;
    json_decref(members.json);
    free(lines);
    client_close(&c);
    return code;
}
