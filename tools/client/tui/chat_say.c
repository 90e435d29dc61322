/* chat_say.c - what is said: sends, and words that begin with a slash (see chat_impl.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/output.h"
#include "tools/client/tui/chat_impl.h"
#include "tools/common/duration.h"

void chat_mode(struct chat *c, enum chat_mode mode)
{
    if (c->mode == MODE_PICK && mode != MODE_ASK) pane_pick_end(&c->pane);
    if (c->mode == MODE_ASK && mode != MODE_PICK) pane_pick_end(&c->pane);
    c->mode = mode;
    c->wanted[0] = '\0';
    c->is_dirty = true;
}

/* ---- conversations ---- */

void chat_keep_draft(struct chat *c)
{
    c->draft_due_ms = 0;
    if (model_opened(c->model)) chat_store(c, model_draft_put(c->model, editor_text(c->reply)));
}

static void take_draft(struct chat *c)
{
    struct buf draft;
    buf_init(&draft, TEXT_BYTES_MAX);
    int err = model_draft_get(c->model, &draft);
    if (!err && editor_set_text(c->reply, buf_bytes(&draft))) err = ERR_CORRUPT;    /* drafts come from an editor */
    chat_store(c, err);
    buf_fini(&draft);
}

void chat_open(struct chat *c, const struct user_id *peer, const struct msg_id *message)
{
    struct model_place place;
    chat_keep_draft(c);
    int err = message ? model_open_at(c->model, peer, message, &place) : model_open(c->model, peer, &place);
    if (err == ERR_NOT_FOUND) chat_say(c, true, "that message is gone");
    if (err) {
        if (err != ERR_NOT_FOUND) chat_store(c, err);
        return;
    }
    model_select_peer(c->model, peer);
    pane_begin(&c->pane, &place);
    take_draft(c);
    chat_mode(c, MODE_TALK);
}

/* ---- search ---- */

void chat_find(struct chat *c, struct bytes text)
{
    char wanted[SEARCH_TEXT_BYTES_MAX + 1];
    c->found_at = 0;
    c->is_searching = false;
    c->is_dirty = true;
    if (text.len > SEARCH_TEXT_BYTES_MAX) {
        chat_say(c, true, "a search has at most %d bytes", SEARCH_TEXT_BYTES_MAX);
        return;
    }
    memcpy(wanted, text.len ? (const void *)text.at : "", text.len);
    wanted[text.len] = '\0';
    int err = model_search(c->model, wanted, NULL);
    if (err != ERR_MALFORMED) c->is_searching = chat_store(c, err);    /* else it is empty: nothing is looked for */
}

/* ---- sends ---- */

static void send_text(struct chat *c, struct bytes text)
{
    const struct model_conv *conv = model_opened(c->model);
    struct buf body;
    uint64_t client_seq = 0;
    if (!conv) {
        chat_say(c, true, "not sent: no conversation is open; /to WHO opens one");
        return;
    }
    buf_init(&body, BODY_BYTES_MAX);
    int err = content_text_encode(text, &body);
    if (!err) err = home_outbox_add(c->pipit->home, &conv->peer, buf_bytes(&body), wall_ms(), &client_seq);
    buf_fini(&body);
    if (!chat_store(c, err)) {
        chat_say(c, true, "not sent: %s; the text stays here", err_text(err));
        return;
    }
    editor_sent(c->reply);
    pane_to_end(&c->pane);
    chat_store(c, model_sent(c->model, client_seq));
    chat_store(c, model_end(c->model));
    chat_store(c, online_step(c->online));
    chat_keep_draft(c);
    c->is_dirty = true;
}

/* ---- words with a slash ---- */

static void say_to(struct chat *c, const char *who)
{
    struct user_id peer;
    if (pipit_who(c->pipit, who, &peer)) chat_say(c, true, "%s: %s", who, pipit_why(c->pipit));
    else chat_open(c, &peer, NULL);
}

static void say_me(struct chat *c, const char *rest)
{
    (void)rest;
    chat_open(c, &c->pipit->account.user, NULL);
}

static void say_find(struct chat *c, const char *text)
{
    chat_mode(c, MODE_FIND);
    editor_set_text(c->query, bytes_of_str(text));
    chat_find(c, editor_text(c->query));
}

static void say_how_long(struct chat *c, const struct model_conv *conv, const struct pipit_timer *timer)
{
    char *line = NULL;
    size_t len;
    FILE *to = open_memstream(&line, &len);
    if (!to) abort();    /* out of memory */
    bool is_own = user_id_equal(&timer->by, &c->pipit->account.user);
    print_timer(to, timer->seconds, is_own ? "you" : timer->by.v[0] ? conv->name : "");
    if (fclose(to) != 0) abort();
    chat_say(c, false, "%s", line);
    free(line);
}

static void say_unread(struct chat *c, const char *rest)
{
    const struct model_conv *conv = model_opened(c->model);
    (void)rest;
    int err = conv ? model_conv_mark(c->model, &conv->peer, true) : ERR_NOT_FOUND;
    if (err == ERR_NOT_FOUND) {
        chat_say(c, true, "nothing to mark as unread yet");
    } else if (chat_store(c, err)) {    /* seen again it would be read again */
        chat_keep_draft(c);
        model_close(c->model);
        editor_set_text(c->reply, BYTES_NONE);
        chat_mode(c, MODE_LIST);
    }
}

static void say_delete(struct chat *c, const char *rest)
{
    const struct model_conv *conv = model_opened(c->model);
    (void)rest;
    if (!conv || !conv->is_known) {
        chat_say(c, true, "nothing to delete yet");
        return;
    }
    c->question = ASK_DELETE_CONV;
    chat_mode(c, MODE_ASK);
}

static void say_timer(struct chat *c, const char *how_long)
{
    const struct model_conv *conv = model_opened(c->model);
    struct pipit_timer timer;
    uint64_t seconds = 0;
    if (!conv) {
        chat_say(c, true, "no conversation is open; /to WHO opens one");
    } else if (!how_long[0]) {
        if (!chat_store(c, pipit_timer_here(c->pipit, &conv->peer, &timer))) return;
        say_how_long(c, conv, &timer);
    } else if (!duration_parse(how_long, &seconds)) {
        chat_say(c, true, "%s: how long is a number and s, m, h, d or w (30m, 1d), or off", how_long);
    } else {
        int err = pipit_timer_set(c->pipit, &conv->peer, seconds, NULL);
        if (err == ERR_RANGE) chat_say(c, true, "%s: %s", how_long, pipit_why(c->pipit));
        else if (chat_store(c, err) && chat_store(c, online_step(c->online)) && !c->is_open)
            chat_say(c, true, "it will be set when the server is back");
    }
}

static void say_help(struct chat *c, const char *rest)
{
    (void)rest;
    c->help_at = 0;
    chat_mode(c, MODE_HELP);
}

static void say_quit(struct chat *c, const char *rest)
{
    (void)rest;
    c->has_ended = true;
}

static const struct word {
    const char *word;
    enum { ALONE, WITH_MORE, EITHER } more;   /* may something follow, or must it? */
    void (*say)(struct chat *c, const char *rest);
} words[] = {
    { "to", WITH_MORE, say_to },
    { "me", ALONE, say_me },
    { "find", WITH_MORE, say_find },
    { "unread", ALONE, say_unread },
    { "delete", ALONE, say_delete },
    { "timer", EITHER, say_timer },
    { "help", ALONE, say_help },
    { "quit", ALONE, say_quit },
};

/* `line` begins with a slash. What cannot be done stays in the reply, to be mended. */
static void say_word(struct chat *c, const char *line)
{
    size_t len = strcspn(line + 1, " ");
    const char *rest = line + 1 + len;
    rest += strspn(rest, " ");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const struct word *w = &words[i];
        if (strlen(w->word) != len || strncmp(w->word, line + 1, len) != 0) continue;
        if (w->more != EITHER && (w->more == WITH_MORE) != (rest[0] != '\0')) {
            chat_say(c, true, w->more == WITH_MORE ? "/%s what?" : "/%s stands alone", w->word);
            return;
        }
        /* What is typed is no draft: it goes before another conversation comes. */
        editor_sent(c->reply);
        w->say(c, rest);
        return;
    }
    chat_say(c, true, "%.*s is no word of this program: /help; a message that begins with / is typed with //",
             (int)len + 1, line);
}

void chat_enter(struct chat *c)
{
    struct bytes text = editor_text(c->reply);
    c->is_dirty = true;
    if (text.len == 0) return;
    bool is_word = text.at[0] == '/' && !(text.len > 1 && text.at[1] == '/') && !memchr(text.at, '\n', text.len);
    if (!is_word) {
        bool escaped = text.len > 1 && text.at[0] == '/' && text.at[1] == '/';
        send_text(c, escaped ? bytes_of(text.at + 1, text.len - 1) : text);
        return;
    }
    char *line = strndup((const char *)text.at, text.len);
    if (!line) abort();    /* out of memory */
    say_word(c, line);
    free(line);
}
