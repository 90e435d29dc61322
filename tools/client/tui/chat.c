/* chat.c - the life of a full-screen chat (see chat.h and chat_impl.h).
 *
 * One turn: bring the model up to date, draw when something changed, then wait for the link, the terminal or a time. All
 * that keys and events do is change the model or the struct chat; nothing but chat_draw() puts anything on the screen. */
#include "tools/client/tui/chat.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/output.h"
#include "tools/client/tui/chat_impl.h"

/* ---- what is said ---- */

void chat_say(struct chat *c, bool warns, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->said, sizeof c->said, format, args);
    va_end(args);
    c->said_warns = warns;
    c->said_until_ms = mono_ms() + SAID_MS_MAX;
    c->is_dirty = true;
}

/* A full disk gets room again, and a locked store is given back: for these the chat stays. Nothing is acknowledged
 * meanwhile, so nothing is lost. */
static bool may_pass(int err)
{
    return err == ERR_NO_SPACE || err == ERR_IO || err == ERR_IN_USE;
}

bool chat_store(struct chat *c, int err)
{
    if (!err) return true;
    if (!may_pass(err)) {
        c->fatal = err;
        return false;
    }
    c->store_failed = true;
    c->store_again_ms = mono_ms() + STORE_AGAIN_MS;
    chat_say(c, true, "%s: trying again, nothing is lost (%s)", err_text(err), home_dir(c->pipit->home));
    return false;
}

static void note(struct chat *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct chat *c, const char *format, ...)
{
    char text[SAID_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    chat_store(c, model_note(c->model, text));
    c->is_dirty = true;
}

/* ---- events of the session ---- */

static void on_device(struct chat *c, const struct sync_event *e)
{
    char id[DEVICE_ID_TEXT];
    bool added = e->change == DEVICE_ADDED;
    device_id_print(e->device, id);
    note(c, "%s: %s (%s)%s", added ? "a new device is logged in" : e->change == DEVICE_NAMED ? "a device has a new name"
                                                                 : "a device was logged out",
         e->text, id, added ? "; if it is none of yours: `pipit devices revoke`" : "");
}

static const char *name_of(const struct chat *c, const struct user_id *user)
{
    for (size_t i = 0; i < model_conv_count(c->model); i++) {
        const struct model_conv *conv = model_conv(c->model, i);
        if (user_id_equal(&conv->peer, user)) return conv->name;
    }
    return user->v;
}

/* A delete has no row that could be seen: what it did is what there is to see. */
static void on_message(struct chat *c, const struct sync_event *e)
{
    if (e->record == KIND_DELETE) chat_store(c, home_message_show(c->pipit->home, &e->id));
    const struct model_conv *open = model_opened(c->model);
    bool is_own = user_id_equal(&e->user, &c->pipit->account.user);
    bool in_sight = c->in_foreground && c->mode != MODE_LIST && open && conv_id_equal(&open->conv, &e->conv);
    if (!is_own && !in_sight && e->record == KIND_MESSAGE) notify_message(&c->notify, c->terminal, name_of(c, &e->user), mono_ms());
}

static void on_refused(struct chat *c, const struct sync_event *e)
{
    const char *why = refusal_text(pipit_what_of(e->record), e->err, e->text);
    if (e->record == KIND_DELETE) chat_say(c, true, "not deleted for everyone: %s", why);
    else if (e->record == KIND_TIMER) chat_say(c, true, "the timer with %s was not set: %s", e->user.v, why);
    else chat_say(c, true, "not sent to %s: %s", e->user.v, why);
}

static void on_event(void *arg, const struct sync_event *e)
{
    struct chat *c = arg;
    model_on_event(c->model, e);
    switch (e->kind) {
    case SYNC_MESSAGE: on_message(c, e); break;
    case SYNC_DEVICE:  on_device(c, e); break;
    case SYNC_CLOCK:   note(c, "%s", e->text); break;
    case SYNC_ERROR:   chat_say(c, true, "the server says: %s", e->text[0] ? e->text : err_text(e->err)); break;
    case SYNC_REFUSED:
        on_refused(c, e);
        break;
    case SYNC_LATER:
        chat_say(c, true, "%s%sthe server cannot do it now (%s): trying again", e->user.v, e->user.v[0] ? ": " : "",
                 e->text[0] ? e->text : err_text(e->err));
        break;
    default:
        break;
    }
}

static void on_link(void *arg, bool open, const char *why)
{
    struct chat *c = arg;
    if (open && c->was_open && !c->is_open) note(c, "connected again");
    if (!open && c->is_open) note(c, "no connection: %s", why);
    snprintf(c->link_why, sizeof c->link_why, "%s", open ? "" : why[0] ? why : "the link is gone");
    c->is_open = open;
    c->was_open |= open;
    c->is_dirty = true;
}

/* ---- pages of history ---- */

static int fetch_begin(struct chat *c)
{
    struct msg m = { .type = MSG_HISTORY, .has_ref = true };
    struct buf frame;
    if (c->is_fetching || !c->is_open || !model_fetch_take(c->model, &c->fetch)) return 0;
    m.u.history = (struct msg_history){ .to = { .conv = c->fetch.conv }, .has_before = c->fetch.before > 0,
                                        .before = c->fetch.before, .limit = c->fetch.limit };
    buf_init(&frame, FRAME_BYTES_MAX);
    int err = msg_encode(&m, &frame);
    if (!err) err = home_errand_add(c->pipit->home, buf_bytes(&frame), wall_ms(), &c->fetch_errand);
    buf_fini(&frame);
    if (err) {
        model_fetch_failed(c->model, &c->fetch);
        return err;
    }
    c->is_fetching = true;
    c->fetch_until_ms = mono_ms() + FETCH_MS_MAX;
    return online_step(c->online);
}

static int fetch_end(struct chat *c)
{
    struct buf answer;
    if (!c->is_fetching) return 0;
    buf_init(&answer, FRAME_BYTES_MAX);
    int err = home_errand_take(c->pipit->home, c->fetch_errand, &answer);
    if (!err) {
        c->is_fetching = false;
        err = model_fetch_done(c->model, &c->fetch, buf_bytes(&answer));
        if (err == ERR_MALFORMED) err = 0;    /* the model treats it as failed */
        c->is_dirty = true;
    } else if (err == ERR_NOT_FOUND && c->is_open && mono_ms() < c->fetch_until_ms) {
        err = 0;
    } else if (err == ERR_NOT_FOUND) {
        c->is_fetching = false;
        err = home_errand_drop(c->pipit->home, c->fetch_errand);
        model_fetch_failed(c->model, &c->fetch);
        c->is_dirty = true;
    }
    buf_fini(&answer);
    return err;
}

/* ---- one turn ---- */

/* What came due by time alone. */
static void on_time(struct chat *c)
{
    uint64_t now = mono_ms();
    if (c->said[0] && now >= c->said_until_ms) {
        c->said[0] = '\0';
        c->is_dirty = true;
    }
    if (c->draft_due_ms && now >= c->draft_due_ms) chat_keep_draft(c);
    if (now >= c->minute_ms + MINUTE_MS) {
        c->minute_ms = now;
        c->is_dirty = true;
    }
    if (c->store_failed && now >= c->store_again_ms) {
        c->store_failed = false;
        model_on_change(c->model);    /* what could not be read is read again */
    }
}

static int refresh(struct chat *c)
{
    unsigned changed = 0;
    bool more = false;
    on_time(c);
    if (!c->store_failed) {
        if (chat_store(c, fetch_end(c))) chat_store(c, fetch_begin(c));
        chat_store(c, model_update(c->model, wall_ms(), &changed));
        if (c->is_searching && chat_store(c, model_search_step(c->model, &more))) c->is_dirty = true;
        c->is_searching = c->is_searching && more;
    }
    if (changed == 0 && !c->is_dirty && !terminal_is_behind(c->terminal)) return 0;
    return chat_draw(c);
}

static uint64_t next_due(const struct chat *c)
{
    uint64_t due = c->minute_ms + MINUTE_MS;
    if (c->is_searching || c->is_dirty) return 0;
    if (c->said[0] && c->said_until_ms < due) due = c->said_until_ms;
    if (c->draft_due_ms && c->draft_due_ms < due) due = c->draft_due_ms;
    if (c->is_fetching && c->fetch_until_ms < due) due = c->fetch_until_ms;
    if (c->esc_until_ms && c->esc_until_ms < due) due = c->esc_until_ms;
    return due;
}

/* With a store that cannot be written the session rests: what came would only be refused again. */
static int wait_for_store(struct chat *c, bool *ready_out)
{
    struct pollfd p = { .fd = terminal_fd(c->terminal), .events = POLLIN };
    uint64_t now = mono_ms(), until = next_due(c) < c->store_again_ms ? next_due(c) : c->store_again_ms;
    *ready_out = poll(&p, 1, until > now ? (int)(until - now) : 0) > 0;
    return 0;
}

static void take_keys(struct chat *c, const struct key *keys, size_t count)
{
    for (size_t i = 0; i < count && !c->has_ended; i++) chat_key(c, &keys[i]);
}

static int read_keys(struct chat *c)
{
    uint8_t typed[READ_BYTES_MAX];
    struct key keys[KEYS_PER_BYTE_MAX];
    size_t len = 0;
    int err = terminal_read(c->terminal, typed, sizeof typed, &len);
    for (size_t i = 0; i < len && !err && !c->has_ended; i++) take_keys(c, keys, keys_feed(&c->keys, typed[i], keys));
    if (len > 0) c->esc_until_ms = keys_pending(&c->keys) ? mono_ms() + KEYS_ESC_MS_MAX : 0;
    return err;
}

static int on_terminal(struct chat *c, bool ready)
{
    struct key keys[KEYS_PER_BYTE_MAX];
    int err = 0;
    if (ready) {
        unsigned what = terminal_events(c->terminal);
        if (what & TERMINAL_ENDS) c->has_ended = true;
        if (what & TERMINAL_RESIZED) c->is_dirty = true;
        err = read_keys(c);
    }
    if (c->esc_until_ms && mono_ms() >= c->esc_until_ms) {
        c->esc_until_ms = 0;
        take_keys(c, keys, keys_timeout(&c->keys, keys));
    }
    return err;
}

/* The session's own errors end the chat; those of the store may pass. */
static int turn(struct chat *c)
{
    bool ready = false;
    int err = refresh(c);
    if (err) return err;
    if (c->fatal) return c->fatal;
    if (c->store_failed) err = wait_for_store(c, &ready);
    else err = online_turn(c->online, terminal_fd(c->terminal), &ready, next_due(c));
    if (may_pass(err)) {
        chat_store(c, err);
        err = 0;
    }
    if (!err) err = on_terminal(c, ready);
    return err ? err : c->fatal;
}

/* ---- begin and end ---- */

static int count_waiting(void *arg, const struct outbox_row *row)
{
    uint64_t *count = arg;
    (void)row;
    (*count)++;
    return 0;
}

/* What was said last gets a chance to leave; what does not stays in the outbox. */
static int finish(struct chat *c, uint64_t *waiting_out)
{
    uint64_t until = mono_ms() + DRAIN_MS_MAX;
    bool ignored;
    int err = 0;
    for (;;) {
        *waiting_out = 0;
        int store_err = home_outbox_each(c->pipit->home, count_waiting, waiting_out);
        if (!err) err = store_err;
        if (err || *waiting_out == 0 || mono_ms() >= until) break;
        err = online_turn(c->online, -1, &ignored, until);
    }
    return err ? err : online_drain(c->online);
}

static const struct model_row *first_refused(const struct model *m)
{
    for (size_t i = 0; i < model_row_count(m); i++)
        if (model_row(m, i)->ticks == TICKS_REFUSED) return model_row(m, i);
    return NULL;
}

/* Those of the open conversation become part of its draft, above what is being typed, as many as there is room for. */
static void keep_refused_here(struct chat *c)
{
    const struct model_row *row = model_opened(c->model) ? first_refused(c->model) : NULL;
    struct bytes typed = editor_text(c->reply);
    struct buf one, all;
    int err = 0;
    if (!row) return;
    buf_init(&one, TEXT_BYTES_MAX);
    buf_init(&all, 2 * TEXT_BYTES_MAX);
    while (!err && row && all.len + row->text_len + 1 + typed.len <= TEXT_BYTES_MAX) {
        struct row_id id = row->id;
        err = model_refused_take(c->model, &id, &one);
        if (!err) buf_put(&all, one.at, one.len);
        if (!err) buf_put_u8(&all, '\n');
        row = first_refused(c->model);
    }
    buf_put(&all, typed.at, typed.len);
    if (!err) err = all.err;
    if (chat_store(c, err)) editor_set_text(c->reply, buf_bytes(&all));    /* cannot be too long: what is safe is no shorter */
    buf_fini(&all);
    buf_fini(&one);
}

/* A refused send is in no store any more, and nothing that was typed may end with the program. */
static void keep_refused(struct chat *c)
{
    struct user_id peers[MODEL_CONVS_MAX];
    size_t count = 0;
    keep_refused_here(c);
    chat_keep_draft(c);
    for (size_t i = 0; i < model_conv_count(c->model); i++)
        if (model_conv(c->model, i)->refused > 0) peers[count++] = model_conv(c->model, i)->peer;
    for (size_t i = 0; i < count; i++) {    /* opening one sorts the list anew */
        chat_open(c, &peers[i], NULL);
        keep_refused_here(c);
        chat_keep_draft(c);
    }
}

static int live(struct chat *c, const struct user_id *peer)
{
    int err = 0;
    c->minute_ms = mono_ms();
    c->in_foreground = c->is_dirty = true;
    if (!notify_init(&c->notify, getenv("PIPIT_NOTIFY"), getenv("TERM"), getenv("TERM_PROGRAM")))
        chat_say(c, true, "PIPIT_NOTIFY is none of bell, desktop and none: it is a bell now");
    if (peer) chat_open(c, peer, NULL);
    else chat_mode(c, MODE_LIST);
    while (!err && !c->has_ended) err = turn(c);
    keep_refused(c);
    return err ? err : c->fatal;
}

static int open_parts(struct chat *c, char why[static WHY_MAX])
{
    static const struct online_ops ops = { .on_event = on_event, .on_link = on_link };
    struct pipit *p = c->pipit;
    keys_init(&c->keys);
    c->reply = editor_new();
    c->query = editor_new();
    if (!c->reply || !c->query) return ERR_NOMEM;
    int err = model_new(p->home, &p->account, wall_ms(), &c->model);
    if (!err) err = online_new(p->home, &p->account, &p->url, p->ca_file[0] ? p->ca_file : NULL, &ops, c, &c->online);
    if (!err) err = terminal_open(&c->terminal, why);    /* last: what fails before is told where the user looks */
    return err;
}

int chat_run(struct pipit *pipit, const struct user_id *peer, struct chat_end *end_out)
{
    struct chat *c = calloc(1, sizeof *c);
    memset(end_out, 0, sizeof *end_out);
    if (!c) return ERR_NOMEM;
    c->pipit = pipit;
    c->pane.own = pipit->account.user.v;
    int err = open_parts(c, end_out->why);
    end_out->was_shown = err != ERR_UNSUPPORTED;    /* nothing but a terminal says that here */
    if (!err) {
        err = live(c, peer);
        terminal_close(c->terminal);    /* from here on the shell's screen is there */
        if (!err) err = finish(c, &end_out->waiting);
        if (err) snprintf(end_out->why, WHY_MAX, "%s", err == ERR_IO ? "the terminal is gone" : online_why(c->online));
    }
    online_free(c->online);
    model_free(c->model);
    editor_free(c->query);
    editor_free(c->reply);
    free(c);
    return err;
}
