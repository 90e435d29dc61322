/* cmd_export.c - everything the server has of a user, as JSON, one object a line.
 *
 *   {"export":"account", …} {"export":"device", …}* ({"export":"conversation", …} {"export":"message", …}*)*
 *                                             and among messages "deleted", "timer": what was done to them; "gone":
 *                                             those of which nothing is left
 *   {"export":"end", …}
 *
 * One page of the account and one of a conversation are in memory at a time, however much there is. A file is written
 * under another name, synced, and renamed when it is whole; standard output shows by its last line that it is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/client/commands.h"
#include "tools/client/output.h"

enum { ASK_MS_MAX = 60000 };              /* for one page */

struct exporting {
    struct client client;
    FILE *to;
    uint64_t conversations, messages;
    int code;
};

static int fail(struct exporting *e, const char *what)
{
    fprintf(stderr, "pipit: %s\n", what);
    e->code = EXIT_REFUSED;
    return ERR_MALFORMED;
}

/* Takes `object`. Its first member says what the line is. */
static void put_line(struct exporting *e, const char *what, json_t *object)
{
    json_t *line = json_pack("{s:s}", "export", what);
    if (!line || !object || json_object_update(line, object)) abort();    /* out of memory */
    json_decref(object);
    json_line(e->to, line);
}

static int put_message(void *arg, const struct pipit_message *m)
{
    static const char *const names[] = { [PIPIT_SAYS] = "message", [PIPIT_DELETES] = "deleted",
                                         [PIPIT_SETS_TIMER] = "timer" };
    struct exporting *e = arg;
    char id[MSG_ID_TEXT], conv[CONV_ID_TEXT], device[DEVICE_ID_TEXT];
    conv_id_print(&m->conv, conv);
    if (m->what == PIPIT_GONE) {
        put_line(e, "gone", json_pack("{s:s, s:I, s:I}", "conversation", conv, "first", (json_int_t)m->seq, "last",
                                      (json_int_t)m->gone_to));
        return ferror(e->to) ? ERR_IO : 0;
    }
    msg_id_print(&m->id, id);
    device_id_print(m->device, device);
    json_t *line = json_pack("{s:s, s:s, s:I, s:I, s:s, s:s}", "id", id, "conversation", conv, "seq",
                             (json_int_t)m->seq, "time", (json_int_t)m->time_ms, "from", m->from.v, "device", device);
    json_t *rest = m->what == PIPIT_DELETES ? json_pack("{s:o}", "seqs", json_deleted(m))
                   : m->what == PIPIT_SETS_TIMER ? json_pack("{s:I}", "seconds", (json_int_t)m->timer_s)
                   : json_pack("{s:b, s:o, s:o}", "deleted", (int)m->is_deleted, "expires",
                               m->expires_ms ? json_integer((json_int_t)m->expires_ms) : json_null(), "text",
                               m->text.at ? json_stringn((const char *)m->text.at, m->text.len) : json_null());
    if (!line || !rest || json_object_update(line, rest)) abort();    /* out of memory */
    json_decref(rest);
    put_line(e, names[m->what], line);
    e->messages += m->what == PIPIT_SAYS;
    return ferror(e->to) ? ERR_IO : 0;
}

static int put_conversation(struct exporting *e, json_t *conversation)
{
    const char *id = json_string_value(json_object_get(conversation, "conversation"));
    const char *with = json_string_value(json_object_get(conversation, "with"));
    struct conv_id conv;
    struct user_id peer;
    if (!id || !with || conv_id_parse(bytes_of_str(id), &conv) || user_id_parse(bytes_of_str(with), &peer))
        return fail(e, "a conversation in the account's export cannot be read");
    put_line(e, "conversation", json_incref(conversation));
    e->conversations++;
    /* Whatever its `head` says, which may be a second old: the messages are asked for. */
    int err = pipit_history_after(e->client.pipit, &conv, &peer, 0, ASK_MS_MAX, put_message, e);
    if (err && !ferror(e->to)) e->code = client_fail(err, pipit_why(e->client.pipit));
    return err;
}

/* account and devices stand on the first page only. */
static int put_page(struct exporting *e, json_t *page)
{
    json_t *devices = json_object_get(page, "devices"), *conversations = json_object_get(page, "conversations"), *row;
    size_t i;
    int err = 0;
    if (!json_is_array(conversations)) return fail(e, "the account's export cannot be read");
    if (json_object_get(page, "user")) {
        json_t *account = json_copy(page);
        json_object_del(account, "devices");
        json_object_del(account, "conversations");
        json_object_del(account, "after");
        put_line(e, "account", account);
    }
    json_array_foreach(devices, i, row) put_line(e, "device", json_incref(row));
    json_array_foreach(conversations, i, row) {
        if ((err = put_conversation(e, row))) return err;
    }
    return 0;
}

static int put_all(struct exporting *e)
{
    char after[CONV_ID_TEXT] = "";
    bool more = true;
    int err = 0;
    while (!err && more) {
        char *text = NULL;
        err = pipit_export_account(e->client.pipit, after[0] ? after : NULL, &text);
        if (err) {
            e->code = client_fail(err, pipit_why(e->client.pipit));
            return err;
        }
        json_t *page = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        const char *next = json_string_value(json_object_get(page, "after"));
        more = next != NULL;
        err = put_page(e, page);
        /* A server that sends one in circles must not be followed. */
        if (!err && more && (strlen(next) >= sizeof after || strcmp(next, after) <= 0))
            err = fail(e, "the account's export goes in circles");
        if (!err && more) strcpy(after, next);
        json_decref(page);
        free(text);
    }
    return err;
}

static int run(struct exporting *e)
{
    pipit_tell(e->client.pipit, &client_events, NULL);
    /* Kept for the many pages. Another program of this home that keeps it does the asking otherwise. */
    int err = pipit_start(e->client.pipit, "export");
    if (err && err != ERR_IN_USE) return client_fail(err, pipit_why(e->client.pipit));
    err = put_all(e);
    if (!err) {
        put_line(e, "end", json_pack("{s:I, s:I}", "conversations", (json_int_t)e->conversations, "messages",
                                     (json_int_t)e->messages));
    }
    if (fflush(e->to) || ferror(e->to)) {
        fprintf(stderr, "pipit: the export could not be written: %s\n", strerror(errno));
        return EXIT_USAGE;
    }
    return err && !e->code ? EXIT_REFUSED : e->code;
}

static int to_file(struct exporting *e, const char *path)
{
    char part[HOME_PATH_MAX];
    int len = snprintf(part, sizeof part, "%s.part", path);
    e->to = len < (int)sizeof part ? fopen(part, "we") : NULL;
    if (!e->to) {
        fprintf(stderr, "pipit: %s: %s\n", path, len < (int)sizeof part ? strerror(errno) : "the path is too long");
        return EXIT_USAGE;
    }
    int code = run(e);
    bool synced = code || fsync(fileno(e->to)) == 0;
    if ((fclose(e->to) || !synced) && !code) {
        fprintf(stderr, "pipit: %s: %s\n", part, strerror(errno));
        code = EXIT_USAGE;
    }
    if (!code && rename(part, path) != 0) {
        fprintf(stderr, "pipit: %s: %s\n", path, strerror(errno));
        code = EXIT_USAGE;
    }
    if (code) unlink(part);
    else fprintf(stderr, "pipit: %llu conversations and %llu messages are in %s\n",
                 (unsigned long long)e->conversations, (unsigned long long)e->messages, path);
    return code;
}

int cmd_export(const struct options *o)
{
    struct exporting e = { .to = stdout };
    int code = client_open(o, &e.client);
    if (!code) code = strcmp(o->words[0], "-") == 0 ? run(&e) : to_file(&e, o->words[0]);
    client_close(&e.client);
    return code;
}
