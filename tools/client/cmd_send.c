/* cmd_send.c - one message, out of here for good: durable in the outbox first, then with the session, ours or that of
 * another pipit on this home. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/client/commands.h"
#include "tools/client/output.h"

enum { SEND_TIMEOUT_S = 30 };

struct sending {
    struct client client;
    struct user_id to;
    uint64_t client_seq;
    bool done;
    int refused;                          /* ERR_*, once it is */
    char text[256];
    struct msg_id id;
};

/* The words, or standard input. 0 or an exit code. */
static int gather(const struct options *o, struct buf *text)
{
    buf_init(text, TEXT_BYTES_MAX);
    bool from_input = o->word_count < 2 || (o->word_count == 2 && strcmp(o->words[1], "-") == 0);
    if (from_input && o->word_count < 2 && isatty(STDIN_FILENO)) {
        fprintf(stderr, "pipit: send WHO TEXT: the text is missing\n");
        return EXIT_USAGE;
    }
    for (int i = 1; !from_input && i < o->word_count; i++) {
        if (i > 1) buf_put_u8(text, ' ');
        buf_put(text, o->words[i], strlen(o->words[i]));
    }
    while (from_input && !text->err) {
        uint8_t room[1024];
        size_t n = fread(room, 1, sizeof room, stdin);
        if (n == 0) break;
        buf_put(text, room, n);
    }
    while (from_input && text->len && text->at[text->len - 1] == '\n') text->len--;
    if (text->err == ERR_TOO_BIG) {
        fprintf(stderr, "pipit: the text is larger than %d bytes\n", TEXT_BYTES_MAX);
    } else if (text->err) {
        fprintf(stderr, "pipit: %s\n", err_text(text->err));
    } else if (text->len == 0) {
        fprintf(stderr, "pipit: the text is empty\n");
    } else if (!bytes_is_utf8(buf_bytes(text))) {
        fprintf(stderr, "pipit: the text is not UTF-8\n");
    } else {
        return 0;
    }
    return EXIT_USAGE;
}

static void on_event(void *arg, const struct sync_event *e)
{
    struct sending *s = arg;
    if (e->kind == SYNC_ACCEPTED && e->client_seq == s->client_seq) {
        s->id = e->id;
        s->done = true;
    } else if (e->kind == SYNC_REFUSED && e->client_seq == s->client_seq) {
        s->refused = e->err;
        snprintf(s->text, sizeof s->text, "%s", e->text);
    }
}

static void on_link(void *arg, bool open, const char *why)
{
    (void)arg;
    if (!open) fprintf(stderr, "pipit: no connection (%s): trying again\n", why);
}

static int remember_id(void *arg, const struct message_row *row)
{
    ((struct sending *)arg)->id = row->m.id;
    return 0;
}

static int is_waiting(void *arg, const struct outbox_row *row)
{
    (void)arg;
    (void)row;
    return 0;
}

/* What has become of it, as the store tells: another process may have done it. */
static int look(struct sending *s)
{
    int err = home_outbox_get(s->client.home, s->client_seq, is_waiting, NULL);
    if (err != ERR_NOT_FOUND) return err;
    err = home_refusal_take(s->client.home, s->client_seq, &s->refused, s->text);
    if (err != ERR_NOT_FOUND) return err;
    err = home_message_by_send(s->client.home, s->client.account.device, s->client_seq, remember_id, s);
    s->done = err == 0;
    return err;
}

/* With the session of our own, until it is done or `until`. */
static int with_session(struct sending *s, uint64_t until)
{
    static const struct online_ops ops = { .on_event = on_event, .on_link = on_link };
    struct online *online;
    struct client *c = &s->client;
    bool ignored;
    int err = online_new(c->home, &c->account, &c->url, c->ca_file, &ops, s, &online);
    if (err) return err;
    while (!err && !s->done && !s->refused && mono_ms() < until) err = online_turn(online, -1, &ignored, until);
    if (err) snprintf(s->text, sizeof s->text, "%s", online_why(online));
    else if (s->done || s->refused) err = online_drain(online);
    online_free(online);
    return err;
}

static int wait_for_it(struct sending *s, uint64_t until)
{
    char holder[64];
    int err = 0;
    while (!err && !s->done && !s->refused && mono_ms() < until) {
        err = home_lock(s->client.home, "send", holder);
        if (err == ERR_IN_USE) {          /* whoever has the session sends it */
            home_wake(s->client.home);
            poll(NULL, 0, LOOK_MS);
            err = look(s);
            continue;
        }
        if (!err) err = look(s);          /* done just before the lock was given back? */
        if (!err && !s->done && !s->refused) err = with_session(s, until);
        home_unlock(s->client.home);
    }
    return err;
}

int cmd_send(const struct options *o)
{
    struct sending s = { .done = false };
    struct buf text, body;
    struct conv_id conv;
    char id[MSG_ID_TEXT];
    if (o->word_count < 1) {
        fprintf(stderr, "pipit: send WHO TEXT: to whom?\n");
        return EXIT_USAGE;
    }
    int code = gather(o, &text);
    if (!code) code = client_open(o, &s.client);
    if (!code) code = client_peer(&s.client, o->words[0], &s.to, &conv);
    if (code) {
        buf_fini(&text);
        client_close(&s.client);
        return code;
    }
    client_warn_plain();
    buf_init(&body, BODY_BYTES_MAX);
    int err = content_text_encode(buf_bytes(&text), &body);
    if (!err) err = home_outbox_add(s.client.home, &s.to, buf_bytes(&body), wall_ms(), &s.client_seq);
    buf_fini(&text);
    buf_fini(&body);
    if (!err) err = wait_for_it(&s, mono_ms() + 1000 * (o->timeout_s ? o->timeout_s : SEND_TIMEOUT_S));
    if (s.done) {
        msg_id_print(&s.id, id);
        printf("%s\n", id);
        code = output_flush() ? EXIT_DONE : EXIT_USAGE;
    } else if (s.refused) {
        fprintf(stderr, "pipit: refused: %s (%s)\n", s.text[0] ? s.text : err_text(s.refused), err_name(s.refused));
        code = EXIT_REFUSED;
    } else if (err) {
        code = client_fail(err, s.text);
    } else {
        fprintf(stderr, "pipit: not sent yet: it stays in the outbox and goes out with the next command\n");
        code = EXIT_NO_LINK;
    }
    client_close(&s.client);
    return code;
}
