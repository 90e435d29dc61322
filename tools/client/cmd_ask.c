/* cmd_ask.c - history and info: what the server knows of messages, printed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/commands.h"
#include "tools/client/output.h"

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

/* When the server has none of it, this device may: of a user who was erased, or before what a restore brought back. */
static int print_here(struct client *c, const struct user_id *peer, uint64_t before, uint64_t limit, int refused,
                      struct printing *p)
{
    char why[PIPIT_WHY_MAX];
    snprintf(why, sizeof why, "%s", pipit_why(c->pipit));
    int err = pipit_history_here(c->pipit, peer, before, limit, print_one, p);
    if (err) return client_fail(err, pipit_why(c->pipit));
    if (p->count == 0) return client_fail(refused, why);
    fprintf(stderr, "pipit: the server has nothing of this conversation any more: that is what this device has\n");
    return EXIT_DONE;
}

int cmd_history(const struct options *o)
{
    enum { LIMIT_MAX = 10000 };           /* a hundred pages, all held until the oldest has come */
    struct client c;
    struct user_id peer;
    struct conv_id conv;
    uint64_t before = 0, limit = o->limit ? o->limit : HISTORY_DEFAULT;
    if (limit > LIMIT_MAX || (o->before && !parse_number(o->before, INT64_MAX, &before))) {
        fprintf(stderr, "pipit: --limit is 1 to %d, and --before the number of a message\n", LIMIT_MAX);
        return EXIT_USAGE;
    }
    struct printing *arg = &(struct printing){ .json = o->json };
    int code = client_open(o, &c);
    if (!code) code = client_peer(&c, o->words[0], &peer, &conv);
    if (!code) {
        pipit_tell(c.pipit, &client_events, NULL);
        int err = pipit_history(c.pipit, &peer, before, limit, ASK_MS_MAX, print_one, arg);
        if (err == ERR_NOT_FOUND) code = print_here(&c, &peer, before, limit, err, arg);
        else if (err) code = client_fail(err, pipit_why(c.pipit));
        if (code == EXIT_NO_LINK) {       /* which may be less; the exit code stays */
            fprintf(stderr, "pipit: showing what this device has\n");
            err = pipit_history_here(c.pipit, &peer, before, limit, print_one, arg);
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
