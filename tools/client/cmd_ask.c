/* cmd_ask.c - history and info: a question to the server, asked by whoever has the session of this home.
 *
 * The request is an errand in the store; its answer comes back there, whether this process or another has the session. */
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "tools/client/commands.h"
#include "tools/client/output.h"

enum { ASK_TIMEOUT_S = 30, HISTORY_DEFAULT = 20 };

static void ignore_event(void *arg, const struct sync_event *e)
{
    (void)arg;
    (void)e;
}

static void ignore_link(void *arg, bool open, const char *why)
{
    (void)arg;
    if (!open) fprintf(stderr, "pipit: no connection (%s): trying again\n", why);
}

static int ask_with_session(struct client *c, uint64_t errand, struct buf *answer, uint64_t until, char *why)
{
    static const struct online_ops ops = { .on_event = ignore_event, .on_link = ignore_link };
    struct online *online;
    bool ignored;
    int err = online_new(c->home, &c->account, &c->url, c->ca_file, &ops, NULL, &online);
    if (err) return err;
    err = ERR_NOT_FOUND;
    while (err == ERR_NOT_FOUND && mono_ms() < until) {
        err = online_turn(online, -1, &ignored, until);
        if (!err) err = home_errand_take(c->home, errand, answer);
    }
    if (err && err != ERR_NOT_FOUND) snprintf(why, WHY_MAX, "%s", online_why(online));
    online_free(online);
    return err;
}

/* The whole answer frame. 0 or an exit code, the reason said. */
static int ask(struct client *c, const struct msg *request, struct buf *answer, uint64_t timeout_s)
{
    struct buf frame;
    uint64_t errand = 0, until = mono_ms() + 1000 * (timeout_s ? timeout_s : ASK_TIMEOUT_S);
    char holder[64], why[WHY_MAX] = "";
    buf_init(&frame, FRAME_BYTES_MAX);
    int err = msg_encode(request, &frame);
    if (!err) err = home_errand_add(c->home, buf_bytes(&frame), wall_ms(), &errand);
    buf_fini(&frame);
    if (err) return client_fail(err, NULL);
    err = ERR_NOT_FOUND;
    while (err == ERR_NOT_FOUND && mono_ms() < until) {
        err = home_lock(c->home, "ask", holder);
        if (err == ERR_IN_USE) {
            home_wake(c->home);
            poll(NULL, 0, LOOK_MS);
            err = home_errand_take(c->home, errand, answer);
            continue;
        }
        if (!err) err = ask_with_session(c, errand, answer, until, why);
        home_unlock(c->home);
    }
    if (!err) return 0;
    home_errand_drop(c->home, errand);
    if (err != ERR_NOT_FOUND) return client_fail(err, why);
    fprintf(stderr, "pipit: no connection: no answer came\n");
    return EXIT_NO_LINK;
}

/* Decodes, and says what was refused. 0 or an exit code. */
static int open_answer(const struct buf *answer, enum msg_type wanted, struct msg *m)
{
    char text[160];
    if (msg_decode(buf_bytes(answer), m, NULL)) return client_fail(ERR_MALFORMED, "the answer cannot be read");
    if (m->type == wanted) return 0;
    if (m->type != MSG_ERROR) return client_fail(ERR_MALFORMED, "the answer is of another kind");
    snprintf(text, sizeof text, "refused: %.*s", (int)m->u.error.text.len, (const char *)m->u.error.text.at);
    return client_fail(-(int)m->u.error.code, text);
}

/* -- history ---------------------------------------------------------------------------------------------------- */

/* One page before `before`, printed after those before it: pages come newest first, people read oldest first. */
static int print_pages(struct client *c, const struct conv_id *conv, uint64_t before, uint64_t limit, bool json)
{
    struct msg request = { .type = MSG_HISTORY, .has_ref = true, .ref = 1 }, m;
    struct msg_message record;
    struct buf answer;
    uint64_t count = 0, first = 0;
    request.u.history.to.conv = *conv;
    request.u.history.before = before;
    request.u.history.limit = limit < PAGE_RECORDS_MAX ? limit : PAGE_RECORDS_MAX;
    buf_init(&answer, FRAME_BYTES_MAX);
    int code = ask(c, &request, &answer, 0);
    if (!code) code = open_answer(&answer, MSG_PAGE, &m);
    struct bytes rest = code ? BYTES_NONE : m.u.page.records;
    while (!code && page_next(&rest, &record) == 0) {
        if (count++ == 0) first = record.seq;
    }
    if (!code && m.u.page.more && count && count < limit) code = print_pages(c, conv, first, limit - count, json);
    rest = code ? BYTES_NONE : m.u.page.records;
    while (!code && page_next(&rest, &record) == 0) {
        if (json) json_message(stdout, &record);
        else print_message_line(stdout, &record);
    }
    buf_fini(&answer);
    return code;
}

static int print_stored(void *arg, const struct message_row *row)
{
    const struct options *o = arg;
    if (o->json) json_message(stdout, &row->m);
    else print_message_line(stdout, &row->m);
    return 0;
}

/* Without the server: what this device has, which may be less. The exit code stays "no connection". */
static int print_own_store(struct client *c, const struct options *o, const struct conv_id *conv, uint64_t before,
                           uint64_t limit)
{
    struct options copy = *o;
    fprintf(stderr, "pipit: showing what this device has\n");
    int err = home_message_each_last(c->home, conv, before, (uint32_t)limit, print_stored, &copy);
    return err ? client_fail(err, NULL) : EXIT_NO_LINK;
}

int cmd_history(const struct options *o)
{
    enum { LIMIT_MAX = 10000 };           /* a hundred pages, all held until the oldest has come */
    struct client c;
    struct user_id peer;
    struct conv_id conv;
    uint64_t before = 0, limit = o->limit ? o->limit : HISTORY_DEFAULT;
    if (o->word_count != 1 || limit > LIMIT_MAX || (o->before && !parse_number(o->before, INT64_MAX, &before))) {
        fprintf(stderr, "pipit: history WHO [--limit 1..%d] [--before SEQ]\n", LIMIT_MAX);
        return EXIT_USAGE;
    }
    int code = client_open(o, &c);
    if (!code) code = client_peer(&c, o->words[0], &peer, &conv);
    if (!code) {
        code = print_pages(&c, &conv, before, limit, o->json);
        if (code == EXIT_NO_LINK) code = print_own_store(&c, o, &conv, before, limit);
        if (!output_flush()) code = EXIT_USAGE;
    }
    client_close(&c);
    return code;
}

/* -- info -------------------------------------------------------------------------------------------------------- */

struct found { struct conv_id conv; uint64_t seq; bool has_seq; };

static int remember(void *arg, const struct message_row *row)
{
    *(struct found *)arg = (struct found){ row->m.conv, row->m.seq, row->has_seq };
    return 0;
}

static void print_info_json(const struct msg_info_answer *a)
{
    char id[MSG_ID_TEXT], conv[CONV_ID_TEXT];
    struct bytes rest = a->members;
    struct member_state m;
    json_t *members = json_array();
    msg_id_print(&a->id, id);
    conv_id_print(&a->conv, conv);
    while (members_next(&rest, &m) == 0) {
        json_array_append_new(members, json_pack("{s:s, s:o, s:o}", "user", m.user.v, "delivered",
                                                 m.delivered_ms ? json_integer((json_int_t)m.delivered_ms) : json_null(),
                                                 "read", m.read_ms ? json_integer((json_int_t)m.read_ms) : json_null()));
    }
    json_t *o = json_pack("{s:s, s:s, s:I, s:s, s:I, s:o}", "id", id, "conversation", conv, "seq", (json_int_t)a->seq,
                          "from", a->from.v, "sent", (json_int_t)msg_id_ms(&a->id), "members", members);
    json_line(stdout, o);
}

static void print_info(const struct msg_info_answer *a)
{
    char id[MSG_ID_TEXT], time[32];
    struct bytes rest = a->members;
    struct member_state m;
    msg_id_print(&a->id, id);
    format_time(msg_id_ms(&a->id), time);
    printf("%s, number %llu, sent by %s %s\n", id, (unsigned long long)a->seq, a->from.v, time);
    while (members_next(&rest, &m) == 0) {
        printf("%s: ", m.user.v);
        if (m.delivered_ms) format_time(m.delivered_ms, time);
        printf("%s%s", m.delivered_ms ? "delivered " : "not delivered yet", m.delivered_ms ? time : "");
        if (m.read_ms) format_time(m.read_ms, time);
        printf("%s%s\n", m.read_ms ? ", read " : m.delivered_ms ? ", not read yet" : "", m.read_ms ? time : "");
    }
}

int cmd_info(const struct options *o)
{
    struct client c;
    struct msg_id id;
    struct found found;
    struct buf answer;
    struct msg request = { .type = MSG_INFO, .has_ref = true, .ref = 1 }, m;
    if (o->word_count != 1 || msg_id_parse(bytes_of_str(o->words[0]), &id)) {
        fprintf(stderr, "pipit: info ID: a message id as `pipit send` prints it\n");
        return EXIT_USAGE;
    }
    int code = client_open(o, &c);
    if (code) {
        client_close(&c);
        return code;
    }
    buf_init(&answer, FRAME_BYTES_MAX);
    int err = home_message_by_id(c.home, &id, remember, &found);
    if (err == ERR_NOT_FOUND || (!err && !found.has_seq)) {
        fprintf(stderr, "pipit: this home knows no message %s\n", o->words[0]);
        code = EXIT_REFUSED;
    } else if (err) {
        code = client_fail(err, NULL);
    } else {
        request.u.info.to.conv = found.conv;
        request.u.info.seq = found.seq;
        code = ask(&c, &request, &answer, 0);
        if (!code) code = open_answer(&answer, MSG_INFO_ANSWER, &m);
        if (!code && o->json) print_info_json(&m.u.info_answer);
        else if (!code) print_info(&m.u.info_answer);
        if (!output_flush()) code = EXIT_USAGE;
    }
    buf_fini(&answer);
    client_close(&c);
    return code;
}
