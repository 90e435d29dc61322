/* cmd_send.c - one message, out of here for good: durable in the home first, then with the session, ours or that of
 * another pipit on this home. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/client/commands.h"
#include "tools/client/output.h"

enum { SEND_TIMEOUT_S = 30 };

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
    if (!text->err) return 0;
    if (text->err == ERR_TOO_BIG) fprintf(stderr, "pipit: the text is larger than %d bytes\n", TEXT_BYTES_MAX);
    else fprintf(stderr, "pipit: %s\n", err_text(text->err));
    return EXIT_USAGE;
}

static int send_text(struct client *c, const struct options *o, struct bytes text)
{
    struct user_id to;
    struct conv_id conv;
    struct msg_id id;
    char printed[MSG_ID_TEXT];
    uint64_t number;
    int code = client_peer(c, o->words[0], &to, &conv);
    if (code) return code;
    int err = pipit_send(c->pipit, &to, text, &number);
    if (err == ERR_TOO_BIG || err == ERR_RANGE || err == ERR_MALFORMED) {
        fprintf(stderr, "pipit: %s\n", pipit_why(c->pipit));
        return EXIT_USAGE;
    }
    if (err) return client_fail(err, pipit_why(c->pipit));
    client_warn_plain();
    err = pipit_sent(c->pipit, number, 1000 * (o->timeout_s ? o->timeout_s : SEND_TIMEOUT_S), &id);
    if (err == ERR_IDLE) {
        fprintf(stderr, "pipit: not sent yet: it stays in the outbox and goes out with the next command\n");
        return EXIT_NO_LINK;
    }
    if (err) return client_fail(err, pipit_why(c->pipit));
    msg_id_print(&id, printed);
    printf("%s\n", printed);
    return output_flush() ? EXIT_DONE : EXIT_USAGE;
}

int cmd_send(const struct options *o)
{
    struct client c = { .pipit = NULL };
    struct buf text;
    int code = gather(o, &text);
    if (!code) code = client_open(o, &c);
    if (!code) {
        pipit_tell(c.pipit, &client_events, NULL);
        code = send_text(&c, o, buf_bytes(&text));
    }
    buf_fini(&text);
    client_close(&c);
    return code;
}
