/* cmd_chat.c - talk, line by line: what is typed goes out, what comes is printed above the line being typed.
 *
 * On a terminal a message of one's own stands there at once, and its ticks change where it stands as long as it is in
 * sight. Where that cannot be, a short line tells the news: "✓✓ what was said". Ticks are what the store knows (the
 * cursors of the other), so they are the same after a restart.
 *
 * Before the first line the session is given a moment to open, so that the last messages of the conversation are the
 * last there are, not only those that this device has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/client/commands.h"
#include "tools/client/output.h"
#include "tools/client/screen.h"
#include "tools/client/tui/chat.h"

enum {
    LAST_SHOWN = 10,                      /* messages at the start */
    OPEN_MS_MAX = 5000,                   /* waiting for the server before the first line */
    OWN_MAX = SCREEN_TAIL_MAX,            /* own messages whose ticks are followed */
    SHORT_BYTES = 48,                     /* of a message that a status line reminds of */
    SHOW_MAX = 64,                        /* messages marked as shown in one transaction */
};

enum ticks { TICKS_WAITING, TICKS_SENT, TICKS_DELIVERED, TICKS_READ };

struct own {                              /* a message of this user, from this device or another */
    uint64_t id;                          /* for the screen, above 0; 0: this place is free */
    uint64_t client_seq;                  /* of this device, else 0 */
    uint64_t seq;                         /* 0: not accepted yet */
    uint64_t sent_ms;
    enum ticks ticks;
    bool told;                            /* stands on the screen or in the output */
    char *text;
};

struct talk {
    struct client client;
    struct online *online;
    struct screen *screen;
    struct user_id peer;
    struct conv_id conv;
    bool ended, link_down, synced;
    bool drawn;                           /* the start was shown: events may be told */
    int failed;                           /* of the store, where it could not be returned */
    uint64_t waiting;                     /* own sends to the peer without an answer */
    uint64_t last_id;
    struct own own[OWN_MAX];              /* a ring: [id % OWN_MAX] */
    struct msg_id shown[SHOW_MAX];
    size_t shown_count;
    uint64_t shown_seq;
};

/* ---- lines ---- */

static const char *ticks_text(const struct talk *t, enum ticks ticks)
{
    switch (ticks) {
    case TICKS_WAITING:   return "…";
    case TICKS_SENT:      return "✓";
    case TICKS_DELIVERED: return "✓✓";
    default:              return screen_has_colour(t->screen) ? "\033[1;34m✓✓\033[0m" : "✓✓ read";
    }
}

struct line {
    char *at;
    size_t len;
    FILE *file;
};

static FILE *line_begin(struct line *l)
{
    l->file = open_memstream(&l->at, &l->len);
    if (!l->file) abort();    /* out of memory */
    return l->file;
}

static void line_end(struct line *l, struct talk *t, uint64_t id)
{
    fclose(l->file);
    screen_print(t->screen, id, bytes_of(l->at, l->len));
    free(l->at);
}

/* A line that nobody said. */
static FILE *note_begin(struct line *l)
{
    FILE *to = line_begin(l);
    fputs("  ", to);
    return to;
}

static void note(struct talk *t, const char *what, const char *why)
{
    struct line l;
    FILE *to = note_begin(&l);
    fprintf(to, "%s%s", what, what[0] && why[0] ? ": " : "");
    print_text(to, bytes_of_str(why), false);
    line_end(&l, t, 0);
}

static void note_later(struct talk *t, const struct sync_event *e)
{
    struct line l;
    print_later(note_begin(&l), &e->user, e->err, e->text);
    line_end(&l, t, 0);
}

static void note_device(struct talk *t, const struct sync_event *e)
{
    struct line l;
    print_device_change(note_begin(&l), (enum pipit_device_change)e->change, e->device, e->text);
    line_end(&l, t, 0);
}

static void write_own(const struct talk *t, const struct own *m, FILE *to)
{
    char time[16];
    format_clock(m->sent_ms, time);
    fprintf(to, "%s %s: ", time, t->client.account.user.v);
    print_text(to, bytes_of_str(m->text), true);
    fprintf(to, " %s", ticks_text(t, m->ticks));
}

static void show_own(struct talk *t, struct own *m)
{
    struct line l;
    write_own(t, m, line_begin(&l));
    m->told = true;
    line_end(&l, t, m->id);
}

/* "✓✓ the first words…" */
static void tell_ticks(struct talk *t, const struct own *m)
{
    struct line l;
    FILE *to = note_begin(&l);
    size_t len = strlen(m->text);
    bool cut = len > SHORT_BYTES;
    if (cut) len = SHORT_BYTES;
    while (cut && len > 0 && (m->text[len] & 0xc0) == 0x80) len--;    /* whole characters */
    fprintf(to, "%s ", ticks_text(t, m->ticks));
    print_text(to, bytes_of(m->text, len), false);
    fputs(cut ? "…" : "", to);
    line_end(&l, t, 0);
}

static bool rewrite_own(struct talk *t, const struct own *m)
{
    struct line l;
    write_own(t, m, line_begin(&l));
    fclose(l.file);
    bool done = screen_rewrite(t->screen, m->id, bytes_of(l.at, l.len));
    free(l.at);
    return done;
}

/* ---- own messages ---- */

static struct own *own_new(struct talk *t, struct bytes text)
{
    struct own *m = &t->own[++t->last_id % OWN_MAX];
    free(m->text);
    *m = (struct own){ .id = t->last_id, .text = strndup(text.at ? (const char *)text.at : "", text.len) };
    if (!m->text) abort();
    return m;
}

static struct own *own_of_send(struct talk *t, uint64_t client_seq)
{
    for (size_t i = 0; i < OWN_MAX; i++)
        if (t->own[i].id && t->own[i].client_seq == client_seq) return &t->own[i];
    return NULL;
}

static enum ticks ticks_at(struct talk *t, uint64_t seq)
{
    uint64_t delivered, read;
    int err = home_cursor_get(t->client.home, &t->conv, &t->peer, &delivered, &read);
    if (err) t->failed = err;
    return seq <= read ? TICKS_READ : seq <= delivered ? TICKS_DELIVERED : TICKS_SENT;
}

/* What changed is rewritten; for what is out of sight the newest tells it for all before it. */
static void refresh_ticks(struct talk *t)
{
    const struct own *hidden = NULL;
    for (uint64_t i = 0; i < OWN_MAX; i++) {
        struct own *m = &t->own[(t->last_id + 1 + i) % OWN_MAX];    /* oldest first */
        enum ticks now = m->id && m->seq ? ticks_at(t, m->seq) : TICKS_WAITING;
        if (now <= m->ticks) continue;
        m->ticks = now;
        if (!rewrite_own(t, m)) hidden = m;
    }
    if (hidden) tell_ticks(t, hidden);
}

static void on_accepted(struct talk *t, const struct sync_event *e)
{
    struct own *m = own_of_send(t, e->client_seq);
    if (e->record == KIND_MESSAGE && t->waiting > 0) t->waiting--;
    if (!m) return;
    m->seq = e->seq;
    m->sent_ms = msg_id_ms(&e->id);
    m->ticks = ticks_at(t, e->seq);
    if (!m->told) show_own(t, m);
    else if (!rewrite_own(t, m)) tell_ticks(t, m);
}

static void on_refused(struct talk *t, const struct sync_event *e)
{
    struct own *m = own_of_send(t, e->client_seq);
    if (!user_id_equal(&e->user, &t->peer)) return;
    if (e->record == KIND_MESSAGE && t->waiting > 0) t->waiting--;
    note(t, e->record == KIND_DELETE ? "not deleted" : e->record == KIND_TIMER ? "timer not set" : "not sent",
         refusal_text(pipit_what_of(e->record), e->err, e->text));
    if (m) m->client_seq = 0;
}

/* ---- messages of the conversation ---- */

/* "bob deleted a message", "messages disappear after 1 day (set by bob)". */
static void show_deed(struct talk *t, const struct msg_message *record)
{
    struct line l;
    struct bytes rest = record->body;
    uint64_t seconds;
    if (record->kind == KIND_DELETE) print_deletes(note_begin(&l), record->from.v, record->body);
    else if (record->kind == KIND_TIMER && body_next(&rest, &seconds) == 0)
        print_timer(note_begin(&l), seconds, record->from.v);
    else return;
    line_end(&l, t, 0);
}

static void show_message(struct talk *t, const struct msg_message *record)
{
    char time[16];
    struct line l;
    if (record->kind > KIND_TOMBSTONE) {
        show_deed(t, record);
        return;
    }
    if (user_id_equal(&record->from, &t->client.account.user)) {
        struct own *m = own_new(t, message_text(record));
        m->seq = record->seq;
        m->sent_ms = msg_id_ms(&record->id);
        m->ticks = ticks_at(t, record->seq);
        show_own(t, m);
        return;
    }
    FILE *to = line_begin(&l);
    format_clock(msg_id_ms(&record->id), time);
    fprintf(to, "%s %s: ", time, record->from.v);
    print_text(to, message_text(record), true);
    line_end(&l, t, 0);
}

static int show_old(void *arg, const struct message_row *row)
{
    struct talk *t = arg;
    struct conv_row conv;
    if (row->state == MESSAGE_FRESH) return 0;    /* comes with the fresh ones */
    int err = home_conv_get(t->client.home, &t->conv, &conv);
    /* Known from a page, and still due: it is shown when it comes. */
    if (!err && row->state == MESSAGE_PAGED && conv.has_stored && row->m.seq > conv.stored) return 0;
    if (!err) show_message(t, &row->m);
    if (row->has_seq && !user_id_equal(&row->m.from, &t->client.account.user)) t->shown_seq = row->m.seq;
    return err;
}

static int show_fresh_row(void *arg, const struct message_row *row)
{
    struct talk *t = arg;
    if (t->shown_count == SHOW_MAX) return ERR_END;
    show_message(t, &row->m);
    t->shown[t->shown_count++] = row->m.id;
    t->shown_seq = row->m.seq;
    return 0;
}

/* Fresh messages of this conversation: printed, marked, told as read. */
static int show_fresh(struct talk *t)
{
    int err = t->failed;
    if (!t->drawn || err) return err;
    do {
        t->shown_count = 0;
        err = home_message_each_fresh(t->client.home, &t->conv, show_fresh_row, t);
        if (err == ERR_END) err = 0;
        if (!err && t->shown_count) err = online_show(t->online, t->shown, t->shown_count, &t->conv, &t->shown_seq, 1);
    } while (!err && t->shown_count == SHOW_MAX);
    return err;
}

/* ---- events ---- */

/* Of these nothing is in the store, so they are told at once, before the start is drawn too. */
static void on_notice(struct talk *t, const struct sync_event *e)
{
    switch (e->kind) {
    case SYNC_LATER:  note_later(t, e); break;
    case SYNC_DEVICE: note_device(t, e); break;
    case SYNC_CLOCK:  note(t, "", e->text); break;
    case SYNC_SYNCED: t->synced = true; break;
    default: break;
    }
}

static void on_event(void *arg, const struct sync_event *e)
{
    struct talk *t = arg;
    char line[160];
    bool here = conv_id_equal(&e->conv, &t->conv);
    on_notice(t, e);
    if (!t->drawn) return;                /* the store has it, and the start shows it */
    switch (e->kind) {
    case SYNC_ACCEPTED:
        if (here) on_accepted(t, e);
        break;
    case SYNC_REFUSED:
        on_refused(t, e);
        break;
    case SYNC_RECEIPT:
        if (here && user_id_equal(&e->user, &t->peer)) refresh_ticks(t);
        break;
    case SYNC_MESSAGE:                    /* one of this conversation is shown after this turn */
        if (here || user_id_equal(&e->user, &t->client.account.user) || e->record != KIND_MESSAGE) break;
        snprintf(line, sizeof line, "a message from %s: `pipit chat %s` shows it", e->user.v, e->user.v);
        note(t, line, "");
        break;
    case SYNC_ERROR:
        note(t, "the server says", e->text);
        break;
    default:
        break;
    }
}

static void on_link(void *arg, bool open, const char *why)
{
    struct talk *t = arg;
    if (open && t->link_down) note(t, "connected again", "");
    if (!open) note(t, "no connection; what you type goes out later", why);
    t->link_down = !open;
}

/* ---- input ---- */

static void on_line(void *arg, const char *text)
{
    struct talk *t = arg;
    struct buf body;
    uint64_t client_seq = 0;
    if (!text) t->ended = true;
    if (!text || !text[0]) return;
    size_t len = strlen(text);
    if (len > TEXT_BYTES_MAX || !bytes_is_utf8(bytes_of_str(text))) {
        note(t, len > TEXT_BYTES_MAX ? "not sent: longer than 4096 bytes" : "not sent: not UTF-8", "");
        return;
    }
    buf_init(&body, BODY_BYTES_MAX);
    int err = content_text_encode(bytes_of_str(text), &body);
    if (!err) err = home_outbox_add(t->client.home, &t->peer, buf_bytes(&body), wall_ms(), &client_seq);
    buf_fini(&body);
    if (!err) {
        struct own *m = own_new(t, bytes_of_str(text));
        m->client_seq = client_seq;
        m->sent_ms = wall_ms();
        t->waiting++;
        /* Without a terminal its line is printed with its first tick. */
        if (screen_is_terminal(t->screen)) show_own(t, m);
        err = online_step(t->online);
    }
    if (err) t->failed = err;
}
_Static_assert(TEXT_BYTES_MAX == 4096, "on_line() says so");

/* ---- the start ---- */

static bool is_waited_for(const struct talk *t, uint64_t until)
{
    bool trying = !online_has_tried(t->online) || online_is_open(t->online);
    return trying && !t->synced && mono_ms() < until;
}

/* The newest page of the conversation comes to lie in the store. What the server says of it is of no matter: there may
 * be no conversation yet. */
static int fetch_last(struct talk *t, uint64_t until)
{
    struct msg m = { .type = MSG_HISTORY, .has_ref = true };
    struct buf frame;
    uint64_t errand = 0;
    bool ignored;
    m.u.history = (struct msg_history){ .to = { .conv = t->conv }, .limit = LAST_SHOWN };
    buf_init(&frame, FRAME_BYTES_MAX);
    int err = msg_encode(&m, &frame);
    if (!err) err = home_errand_add(t->client.home, buf_bytes(&frame), wall_ms(), &errand);
    if (!err) err = online_step(t->online);
    while (!err && (err = home_errand_take(t->client.home, errand, &frame)) == ERR_NOT_FOUND) {
        err = online_is_open(t->online) && mono_ms() < until ? online_turn(t->online, -1, &ignored, until) : ERR_END;
    }
    if (err == ERR_END) err = home_errand_drop(t->client.home, errand);
    buf_fini(&frame);
    return err;
}

static int show_waiting(void *arg, const struct outbox_row *row)
{
    struct talk *t = arg;
    struct bytes text;
    if (row->kind != KIND_MESSAGE || !user_id_equal(&row->to, &t->peer)) return 0;
    if (content_text_decode(row->body, &text)) return 0;
    struct own *m = own_new(t, text);
    m->client_seq = row->client_seq;
    m->sent_ms = row->created_ms;
    t->waiting++;
    show_own(t, m);
    return 0;
}

static int draw_start(struct talk *t)
{
    uint64_t until = mono_ms() + OPEN_MS_MAX;
    bool ignored;
    int err = 0;
    while (!err && is_waited_for(t, until) && !screen_signals(t->screen))
        err = online_turn(t->online, -1, &ignored, until);
    if (!err && online_is_open(t->online)) err = fetch_last(t, until);
    if (!err) err = home_message_each_last(t->client.home, &t->conv, 0, LAST_SHOWN, show_old, t);
    /* A `listen --no-read` may have shown them before: now they are read. */
    if (!err && t->shown_seq) err = online_show(t->online, NULL, 0, &t->conv, &t->shown_seq, 1);
    t->drawn = true;
    if (!err) err = show_fresh(t);
    if (!err) err = home_outbox_each(t->client.home, show_waiting, t);
    return err;
}

/* ---- the talk ---- */

static int talk(struct talk *t)
{
    bool ready;
    int err = draw_start(t);
    if (!err) screen_start(t->screen);
    while (!err && !t->ended && !screen_signals(t->screen)) {
        err = online_turn(t->online, STDIN_FILENO, &ready, UINT64_MAX);
        if (ready) screen_read(t->screen);
        int store_err = show_fresh(t);
        if (!err) err = store_err;
    }
    /* What was said last gets a chance to leave; what does not stays in the outbox. */
    uint64_t until = mono_ms() + DRAIN_MS_MAX;
    while (!err && t->waiting > 0 && mono_ms() < until) err = online_turn(t->online, -1, &ready, until);
    if (!err) err = show_fresh(t);
    return err ? err : online_drain(t->online);
}

static int said_waiting(uint64_t waiting)
{
    if (waiting == 0) return EXIT_DONE;
    fprintf(stderr, "pipit: %llu not sent yet: they stay in the outbox and go out with the next command\n",
            (unsigned long long)waiting);
    return EXIT_NO_LINK;
}

static int run(struct talk *t)
{
    static const struct online_ops ops = { .on_event = on_event, .on_link = on_link };
    struct client *c = &t->client;
    char why[WHY_MAX] = "";
    t->screen = screen_open(on_line, t);
    int err = t->screen ? online_new(c->home, &c->account, &c->url, c->ca_file, &ops, t, &t->online) : ERR_NOMEM;
    if (!err) {
        err = talk(t);
        snprintf(why, sizeof why, "%s", online_why(t->online));
        online_free(t->online);
    }
    screen_close(t->screen);
    for (size_t i = 0; i < OWN_MAX; i++) free(t->own[i].text);
    if (err) return client_fail(err, why);
    if (t->waiting == 0) return output_flush() ? EXIT_DONE : EXIT_USAGE;
    return said_waiting(t->waiting);
}

/* False, said why: this terminal cannot show it, so lines have to do. */
static bool run_screen(struct client *c, const struct user_id *peer, int *code_out)
{
    struct chat_end end;
    int err = chat_run(c->pipit, peer, &end);
    if (!end.was_shown) fprintf(stderr, "pipit: %s: lines instead of a whole screen\n", end.why);
    else *code_out = err ? client_fail(err, end.why) : said_waiting(end.waiting);
    return end.was_shown;
}

int cmd_chat(const struct options *o)
{
    static struct talk t;
    bool named = o->word_count == 1, lines = o->plain || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO);
    int code = client_open(o, &t.client);
    if (!code && named) code = client_peer(&t.client, o->words[0], &t.peer, &t.conv);
    if (!code) code = client_lock(&t.client, "chat");
    if (!code) client_warn_plain();
    if (!code && !lines) lines = !run_screen(&t.client, named ? &t.peer : NULL, &code);
    if (!code && lines && !named) {
        fprintf(stderr, "pipit: chat WHO: with whom?\n");
        code = EXIT_USAGE;
    } else if (!code && lines) {
        code = run(&t);
    }
    client_close(&t.client);
    return code;
}
