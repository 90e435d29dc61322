/* cmd_chat.c - talk, line by line: what is typed goes out, what comes is printed above the line being typed.
 *
 * On a terminal libedit has the bottom line; whatever is printed first takes that line away and then asks libedit to draw
 * it again. The last message of one's own is rewritten in place when its ticks change, as long as nothing was printed
 * below it and it fits one line; older ones are told by a short line. Without a terminal everything is plain lines. */
#include <editline/readline.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/client/commands.h"
#include "tools/client/output.h"

enum {
    HISTORY_SHOWN = 10,
    OWN_MAX = 64,                         /* own messages whose ticks are followed: a screen and a bit */
    SHORT_BYTES = 48,                     /* of a message that a status line reminds of */
    PLAIN_LINE_MAX = TEXT_BYTES_MAX + 2,
};

enum ticks { TICKS_WAITING, TICKS_SENT, TICKS_DELIVERED, TICKS_READ };

struct own {
    uint64_t client_seq, seq, sent_ms;
    enum ticks ticks;
    char text[PLAIN_LINE_MAX];
};

struct talk {
    const struct options *o;
    struct client client;
    struct online *online;
    struct user_id peer;
    struct conv_id conv;
    bool tty, colour, prompt_up, ended;
    bool link_down;
    uint64_t rewritable;                  /* client_seq of the own message on the last line; 0: none */
    struct own *own[OWN_MAX];             /* a ring by client_seq */
    struct msg_id shown[OWN_MAX];
    size_t shown_count;
    uint64_t shown_seq;
    char in[PLAIN_LINE_MAX];              /* plain mode: a line so far */
    size_t in_len;
    uint32_t waiting;                     /* own sends without an answer */
};

static struct talk *talk_of_readline;     /* libedit's callback takes no argument */

/* -- the screen -------------------------------------------------------------------------------------------------------- */

static void clear_line(struct talk *t)
{
    if (t->tty && t->prompt_up) fputs("\r\033[K", stdout);
}

static void draw_line(struct talk *t)
{
    fflush(stdout);
    if (t->tty && t->prompt_up) rl_forced_update_display();
}

/* Something else is on the last line now. */
static void begin_print(struct talk *t)
{
    clear_line(t);
    t->rewritable = 0;
}

static const char *ticks_text(const struct talk *t, enum ticks ticks)
{
    switch (ticks) {
    case TICKS_WAITING:   return "…";
    case TICKS_SENT:      return "✓";
    case TICKS_DELIVERED: return "✓✓";
    default:              return t->colour ? "\033[1;34m✓✓\033[0m" : "✓✓ read";
    }
}

static void print_own(struct talk *t, const struct own *m)
{
    char time[16];
    format_clock(m->sent_ms, time);
    printf("%s %s: ", time, t->client.account.user.v);
    print_text(stdout, bytes_of_str(m->text), false);
    printf(" %s\n", ticks_text(t, m->ticks));
}

/* Does it surely fit one line? Bytes are at least as many as columns, but for wide characters, which take two. */
static bool fits_line(const struct own *m)
{
    struct winsize size;
    size_t len = strlen(m->text);
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_col == 0) return false;
    return len + USER_ID_LEN_MAX + 20 < size.ws_col;
}

static void show_own(struct talk *t, const struct own *m)
{
    begin_print(t);
    print_own(t, m);
    if (t->tty && fits_line(m)) t->rewritable = m->client_seq;
    draw_line(t);
}

static void show_ticks(struct talk *t, const struct own *m)
{
    if (t->rewritable == m->client_seq) {
        clear_line(t);
        fputs("\033[A\r\033[K", stdout);
        print_own(t, m);
    } else {
        char text[SHORT_BYTES + 1];
        size_t len = strlen(m->text);
        if (len > SHORT_BYTES) len = SHORT_BYTES;
        while (len > 0 && (m->text[len] & 0xc0) == 0x80) len--;     /* whole characters */
        memcpy(text, m->text, len);
        text[len] = '\0';
        begin_print(t);
        printf("  %s ", ticks_text(t, m->ticks));
        print_text(stdout, bytes_of_str(text), false);
        puts(m->text[len] ? "…" : "");
    }
    draw_line(t);
}

static void show_line(struct talk *t, const char *text)
{
    begin_print(t);
    printf("  %s\n", text);
    draw_line(t);
}

/* -- messages ------------------------------------------------------------------------------------------------------------ */

static enum ticks ticks_at(const struct talk *t, uint64_t seq)
{
    uint64_t delivered = 0, read = 0;
    home_cursor_get(t->client.home, &t->conv, &t->peer, &delivered, &read);
    return seq <= read ? TICKS_READ : seq <= delivered ? TICKS_DELIVERED : TICKS_SENT;
}

static struct own *own_put(struct talk *t, uint64_t client_seq)
{
    struct own **slot = &t->own[client_seq % OWN_MAX];
    if (!*slot) *slot = malloc(sizeof **slot);
    if (*slot) memset(*slot, 0, sizeof **slot);
    if (*slot) (*slot)->client_seq = client_seq;
    return *slot;
}

static struct own *own_find(struct talk *t, uint64_t client_seq)
{
    struct own *m = t->own[client_seq % OWN_MAX];
    return m && m->client_seq == client_seq ? m : NULL;
}

static void set_own_text(struct own *m, struct bytes text)
{
    size_t len = text.len < sizeof m->text - 1 ? text.len : sizeof m->text - 1;
    memcpy(m->text, text.at, len);
    m->text[len] = '\0';
}

static void show_message(struct talk *t, const struct msg_message *m)
{
    char time[16];
    bool mine = user_id_equal(&m->from, &t->client.account.user);
    struct own *own = mine && m->device.v == t->client.account.device.v ? own_put(t, m->client_seq) : NULL;
    format_clock(msg_id_ms(&m->id), time);
    if (own) {
        own->seq = m->seq;
        own->sent_ms = msg_id_ms(&m->id);
        own->ticks = ticks_at(t, m->seq);
        set_own_text(own, message_text(m));
        print_own(t, own);
        return;
    }
    printf("%s %s: ", time, m->from.v);
    print_text(stdout, message_text(m), true);
    if (mine) printf(" %s", ticks_text(t, ticks_at(t, m->seq)));
    putchar('\n');
}

static int show_row(void *arg, const struct message_row *row)
{
    show_message(arg, &row->m);
    return 0;
}

static int show_fresh_row(void *arg, const struct message_row *row)
{
    struct talk *t = arg;
    if (t->shown_count == OWN_MAX) return ERR_END;
    begin_print(t);
    show_message(t, &row->m);
    draw_line(t);
    t->shown[t->shown_count++] = row->m.id;
    t->shown_seq = row->m.seq;
    return 0;
}

/* Fresh messages of this conversation: printed, marked, told as read. */
static int show_fresh(struct talk *t)
{
    int err;
    do {
        t->shown_count = 0;
        err = home_message_each_fresh(t->client.home, &t->conv, show_fresh_row, t);
        if (err == ERR_END) err = 0;
        if (!err && t->shown_count) err = online_show(t->online, t->shown, t->shown_count, &t->conv, &t->shown_seq, 1);
    } while (!err && t->shown_count == OWN_MAX);
    return err;
}

static int take_text(void *arg, const struct outbox_row *row)
{
    struct bytes text;
    if (content_text_decode(row->body, &text) == 0) set_own_text(arg, text);
    return 0;
}

/* -- events ---------------------------------------------------------------------------------------------------------------- */

static void on_receipt(struct talk *t)
{
    struct own *last = NULL;
    for (size_t i = 0; i < OWN_MAX; i++) {
        struct own *m = t->own[i];
        if (!m || m->seq == 0) continue;
        enum ticks now = ticks_at(t, m->seq);
        if (now <= m->ticks) continue;
        m->ticks = now;
        if (!last || m->seq > last->seq) last = m;
    }
    if (last) show_ticks(t, last);        /* what holds for it holds for all before it */
}

static void on_event(void *arg, const struct sync_event *e)
{
    struct talk *t = arg;
    char line[256];
    struct own *m;
    switch (e->kind) {
    case SYNC_ACCEPTED:
        if (!conv_id_equal(&e->conv, &t->conv)) break;
        if (t->waiting) t->waiting--;
        m = own_find(t, e->client_seq);
        if (!m) break;                    /* too far back to be followed */
        m->seq = e->seq;
        m->ticks = TICKS_SENT;
        show_ticks(t, m);
        break;
    case SYNC_REFUSED:
        if (t->waiting && user_id_equal(&e->user, &t->peer)) t->waiting--;
        snprintf(line, sizeof line, "not sent: %s", e->text[0] ? e->text : err_text(e->err));
        show_line(t, line);
        break;
    case SYNC_RECEIPT:
        if (conv_id_equal(&e->conv, &t->conv)) on_receipt(t);
        break;
    case SYNC_MESSAGE:
        if (conv_id_equal(&e->conv, &t->conv)) break;               /* shown after this turn */
        if (user_id_equal(&e->user, &t->client.account.user)) break;
        snprintf(line, sizeof line, "(a message from %s: `pipit chat %s`)", e->user.v, e->user.v);
        show_line(t, line);
        break;
    case SYNC_ERROR:
        snprintf(line, sizeof line, "the server says: %s", e->text);
        show_line(t, line);
        break;
    default:
        break;
    }
}

static void on_link(void *arg, bool open, const char *why)
{
    struct talk *t = arg;
    char line[WHY_MAX + 64];
    if (open) {
        if (t->link_down) show_line(t, "connected again");
        t->link_down = false;
        return;
    }
    t->link_down = true;
    snprintf(line, sizeof line, "no connection (%s); what you type goes out later", why);
    show_line(t, line);
}

/* -- input -------------------------------------------------------------------------------------------------------------------- */

static void say(struct talk *t, const char *text)
{
    struct buf body;
    uint64_t client_seq = 0;
    size_t len = strlen(text);
    if (len == 0) return;
    if (len > TEXT_BYTES_MAX || !bytes_is_utf8(bytes_of_str(text))) {
        show_line(t, len > TEXT_BYTES_MAX ? "not sent: too long" : "not sent: not UTF-8");
        return;
    }
    buf_init(&body, BODY_BYTES_MAX);
    int err = content_text_encode(bytes_of_str(text), &body);
    if (!err) err = home_outbox_add(t->client.home, &t->peer, buf_bytes(&body), wall_ms(), &client_seq);
    buf_fini(&body);
    struct own *m = err ? NULL : own_put(t, client_seq);
    if (!m) {
        show_line(t, err_text(err ? err : ERR_NOMEM));
        return;
    }
    set_own_text(m, bytes_of_str(text));
    m->sent_ms = wall_ms();
    t->waiting++;
    show_own(t, m);
    if (online_is_open(t->online) && online_step(t->online)) show_line(t, "the store cannot be written");
}

static void on_line(char *line)
{
    struct talk *t = talk_of_readline;
    if (!line) {
        t->ended = true;
        return;
    }
    /* The line as it was typed stands above the cursor now: the message takes its place. */
    fputs("\033[A\r\033[K", stdout);
    if (line[0]) add_history(line);
    say(t, line);
    free(line);
}

/* A whole line, or what is too long for one, which say() refuses. */
static void plain_line(struct talk *t)
{
    t->in[t->in_len] = '\0';
    t->in_len = 0;
    say(t, t->in);
}

static void read_plain(struct talk *t)
{
    char room[1024];
    ssize_t n = read(STDIN_FILENO, room, sizeof room);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) {
        t->ended = true;
        if (t->in_len) plain_line(t);
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (room[i] == '\n') plain_line(t);
        else if (t->in_len < sizeof t->in - 1) t->in[t->in_len++] = room[i];
    }
}

/* -- the talk -------------------------------------------------------------------------------------------------------------------- */

static int remember_waiting(void *arg, const struct outbox_row *row)
{
    struct talk *t = arg;
    if (!user_id_equal(&row->to, &t->peer)) return 0;
    struct own *m = own_put(t, row->client_seq);
    if (!m) return ERR_NOMEM;
    take_text(m, row);
    m->sent_ms = row->created_ms;
    t->waiting++;
    print_own(t, m);
    return 0;
}

static int talk(struct talk *t)
{
    bool ready;
    int err = home_message_each_last(t->client.home, &t->conv, 0, HISTORY_SHOWN, show_row, t);
    if (!err) err = home_outbox_each(t->client.home, remember_waiting, t);
    fflush(stdout);
    if (t->tty) {
        talk_of_readline = t;
        rl_callback_handler_install("> ", on_line);
        t->prompt_up = true;
    }
    if (!err) err = show_fresh(t);
    while (!err && !t->ended) {
        err = online_turn(t->online, STDIN_FILENO, &ready, UINT64_MAX);
        if (ready && t->tty) rl_callback_read_char();
        else if (ready) read_plain(t);
        if (!err) err = show_fresh(t);
    }
    /* What was said last gets a chance to leave; what does not stays in the outbox. */
    uint64_t until = mono_ms() + DRAIN_MS_MAX;
    while (!err && t->waiting && mono_ms() < until) err = online_turn(t->online, -1, &ready, until);
    if (!err) err = show_fresh(t);
    if (!err) err = online_drain(t->online);
    if (t->tty) {
        t->prompt_up = false;
        rl_callback_handler_remove();
        putchar('\n');
    }
    return err;
}

int cmd_chat(const struct options *o)
{
    static const struct online_ops ops = { .on_event = on_event, .on_link = on_link };
    static struct talk t;
    const char *no_colour = getenv("NO_COLOR");
    char holder[64], why[WHY_MAX] = "";
    t.o = o;
    t.tty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    t.colour = isatty(STDOUT_FILENO) && !(no_colour && no_colour[0]);
    if (o->word_count != 1) {
        fprintf(stderr, "pipit: chat WHO: with whom?\n");
        return EXIT_USAGE;
    }
    int code = client_open(o, &t.client);
    if (!code) code = client_peer(&t.client, o->words[0], &t.peer, &t.conv);
    int err = code ? 0 : home_lock(t.client.home, "chat", holder);
    if (err == ERR_IN_USE) {
        fprintf(stderr, "pipit: another pipit (%s) has the session of this home\n", holder);
        code = EXIT_USAGE;
    }
    struct client *c = &t.client;
    if (!code) client_warn_plain();
    if (!code && !err) err = online_new(c->home, &c->account, &c->url, c->ca_file, &ops, &t, &t.online);
    if (!code && !err) {
        err = talk(&t);
        snprintf(why, sizeof why, "%s", online_why(t.online));
        code = t.waiting ? EXIT_NO_LINK : EXIT_DONE;
        online_free(t.online);
        if (t.waiting) fprintf(stderr, "pipit: %u not sent yet: they go out with the next command\n", t.waiting);
    }
    if (err && err != ERR_IN_USE) code = client_fail(err, why);
    for (size_t i = 0; i < OWN_MAX; i++) free(t.own[i]);
    client_close(&t.client);
    return code;
}
