/* cmd_here.c - whoami, list, search, unread: what this device has, without asking the server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/commands.h"
#include "tools/client/output.h"

enum { LIST_DEFAULT = 20, SEARCH_DEFAULT = 100, LIST_MAX = 100000, WORDS_BYTES_MAX = 4096 };

/* What the library says of something that was named wrongly is a mistake in the command. */
static int fail(const struct client *c, int err)
{
    if (err != ERR_NOT_FOUND && err != ERR_MALFORMED) return client_fail(err, pipit_why(c->pipit));
    fprintf(stderr, "pipit: %s\n", pipit_why(c->pipit));
    return EXIT_USAGE;
}

static int close_with(struct client *c, int code)
{
    client_close(c);
    return output_flush() ? code : EXIT_USAGE;
}

/* ---- whoami ---- */

int cmd_whoami(const struct options *o)
{
    struct client c;
    char holder[64], device[DEVICE_ID_TEXT];
    uint64_t waiting = 0;
    int code = client_open(o, &c);
    if (code) return code;
    int err = pipit_waiting(c.pipit, &waiting);
    if (!err) err = pipit_holder(c.pipit, holder);
    if (err) return close_with(&c, client_fail(err, pipit_why(c.pipit)));
    device_id_print(pipit_this_device(c.pipit), device);
    if (o->json) {
        json_line(stdout, json_pack("{s:s, s:s, s:s, s:s, s:I, s:s}", "user", pipit_user(c.pipit)->v, "device", device,
                                    "server", pipit_server(c.pipit), "home", o->home, "waiting", (json_int_t)waiting,
                                    "session", holder));
    } else {
        printf("user     %s\ndevice   %s\nserver   %s\nhome     %s\nsession  %s\nwaiting  %llu to be sent\n",
               pipit_user(c.pipit)->v, device, pipit_server(c.pipit), o->home, holder[0] ? holder : "none",
               (unsigned long long)waiting);
    }
    return close_with(&c, EXIT_DONE);
}

/* ---- list ---- */

static void list_json(const struct pipit_conversation *s)
{
    char conv[CONV_ID_TEXT], id[MSG_ID_TEXT];
    conv_id_print(&s->conv, conv);
    msg_id_print(&s->last.id, id);
    json_t *last = json_null();
    if (s->has_last) {
        last = json_pack("{s:s, s:s, s:I, s:o}", "id", id, "from", s->last.from.v, "time", (json_int_t)s->last.time_ms,
                         "text", s->last.text.at ? json_stringn((const char *)s->last.text.at, s->last.text.len)
                                                 : json_null());
    }
    json_line(stdout, json_pack("{s:s, s:s, s:o, s:i, s:b, s:o}", "conversation", conv, "with", s->peer.v, "contact",
                                s->contact[0] ? json_string(s->contact) : json_null(), "unread", (int)s->unread, "marked",
                                (int)s->is_marked, "last", last));
}

struct listing {
    const struct options *o;
    const struct user_id *self;
};

/* " 3 Bob (robert)  2026-11-24 10:00:00 robert: text" */
static int list_one(void *arg, const struct pipit_conversation *s)
{
    const struct listing *l = arg;
    if (l->o->json) {
        list_json(s);
        return 0;
    }
    if (s->unread > 999) printf("999+ ");
    else if (s->unread) printf("%4u ", (unsigned)s->unread);
    else printf("%4s ", s->is_marked ? "*" : "");
    print_text(stdout, bytes_of_str(user_id_equal(&s->peer, l->self) ? "me" : s->contact[0] ? s->contact : s->peer.v),
               false);
    if (s->contact[0] && strcmp(s->contact, s->peer.v) != 0) printf(" (%s)", s->peer.v);
    printf("  ");
    if (s->has_last) print_message_line(stdout, &s->last);
    else printf("nothing yet\n");
    return 0;
}

int cmd_list(const struct options *o)
{
    struct client c;
    int code = client_open(o, &c);
    if (code) return code;
    struct listing l = { o, pipit_user(c.pipit) };
    uint64_t limit = o->limit ? o->limit : LIST_DEFAULT;
    int err = pipit_conversations(c.pipit, limit < LIST_MAX ? (uint32_t)limit : LIST_MAX, list_one, &l);
    return close_with(&c, err ? client_fail(err, pipit_why(c.pipit)) : EXIT_DONE);
}

/* ---- search ---- */

static int print_found(void *arg, const struct pipit_message *m)
{
    const struct options *o = arg;
    if (o->json) {
        json_message(stdout, m);
        return 0;
    }
    printf("%s  ", m->peer.v);
    print_message_line(stdout, m);
    return 0;
}

int cmd_search(const struct options *o)
{
    struct client c;
    struct options copy = *o;
    struct user_id peer;
    struct conv_id conv;
    struct buf text;
    int code = client_open(o, &c);
    if (!code && o->with) code = client_peer(&c, o->with, &peer, &conv);
    if (code) return close_with(&c, code);
    buf_init(&text, WORDS_BYTES_MAX);
    for (int i = 0; i < o->word_count; i++) {
        if (i > 0) buf_put_u8(&text, ' ');
        buf_put(&text, o->words[i], strlen(o->words[i]));
    }
    buf_put_u8(&text, 0);
    /* What did not fit is longer than the library takes, and it says so. */
    int err = pipit_search(c.pipit, text.err ? "" : (const char *)text.at, o->with ? &peer : NULL,
                           o->limit ? o->limit : SEARCH_DEFAULT, print_found, &copy);
    buf_fini(&text);
    return close_with(&c, err ? fail(&c, err) : EXIT_DONE);
}

/* ---- unread ---- */

int cmd_unread(const struct options *o)
{
    struct client c;
    struct user_id peer;
    struct conv_id conv;
    int code = client_open(o, &c);
    if (!code) code = client_peer(&c, o->words[0], &peer, &conv);
    if (code) return close_with(&c, code);
    int err = pipit_mark_unread(c.pipit, &peer);
    return close_with(&c, err ? fail(&c, err) : EXIT_DONE);
}
