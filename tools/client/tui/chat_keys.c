/* chat_keys.c - what a key does (see chat_impl.h). In every mode but those with a line to type in, pastes do nothing. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "tools/client/tui/chat_impl.h"

static bool is_char(const struct key *key, uint32_t c, uint8_t mods)
{
    return key->kind == KEYS_CHAR && key->c == c && key->mods == mods;
}

static bool is_f(const struct key *key, uint32_t number)
{
    return key->kind == KEYS_F && key->c == number;
}

static bool is_leaving(const struct key *key)
{
    return key->kind == KEYS_ESC || is_char(key, 'g', KEYS_CTRL);    /* C-g, as people leave things in readline */
}

/* What was answered to a key the editor had no use for. */
static void tell_full(struct chat *c, const struct editor *e)
{
    chat_say(c, true, "%zu bytes too long: nothing was put in", editor_excess(e));
}

/* ---- scrolling ---- */

static void scroll(struct chat *c, long lines)
{
    struct row_id before = c->pane.bottom;
    size_t hidden = c->pane.hidden;
    chat_store(c, pane_scroll(&c->pane, c->model, lines));
    /* Pushed against the top: a page that could not be had is asked for again. */
    if (lines < 0 && c->pane.hidden == hidden && row_id_equal(&before, &c->pane.bottom)) model_fetch_again(c->model);
    c->is_dirty = true;
}

/* To the top of what is at hand; pushed further, older ones come. */
static void to_top(struct chat *c)
{
    size_t first = c->pane.first;
    pane_to_top(&c->pane, c->model);
    if (first == 0) scroll(c, -(long)c->layout.messages.rows);
    c->is_dirty = true;
}

static void to_end(struct chat *c)
{
    chat_store(c, model_end(c->model));
    pane_to_end(&c->pane);
    c->is_dirty = true;
}

static bool scroll_key(struct chat *c, const struct key *key)
{
    long page = c->layout.messages.rows > 1 ? (long)c->layout.messages.rows - 1 : 1;
    if (key->kind == KEYS_PAGE_UP) scroll(c, -page);
    else if (key->kind == KEYS_PAGE_DOWN) scroll(c, page);
    else if (key->kind == KEYS_WHEEL_UP) scroll(c, -WHEEL_LINES);
    else if (key->kind == KEYS_WHEEL_DOWN) scroll(c, WHEEL_LINES);
    else if (is_char(key, '>', KEYS_ALT)) to_end(c);
    else if (is_char(key, '<', KEYS_ALT)) to_top(c);
    else return false;
    return true;
}

/* ---- conversations ---- */

static void next_unread(struct chat *c)
{
    if (!model_select_unread(c->model)) {
        chat_say(c, false, "nothing unread");
        return;
    }
    struct user_id peer = model_conv(c->model, model_selected(c->model))->peer;
    chat_open(c, &peer, NULL);
}

static void list_move(struct chat *c, long by)
{
    if (c->mode != MODE_LIST) chat_mode(c, MODE_LIST);
    model_select_by(c->model, by);
    c->is_dirty = true;
}

/* Letters in the list go to a name; a pause begins another one. */
static void list_name(struct chat *c, uint32_t letter)
{
    size_t len = strlen(c->wanted);
    if (letter >= 0x80 || !isprint((int)letter)) return;
    if (mono_ms() >= c->wanted_until_ms) len = 0;
    if (len < sizeof c->wanted - 1) c->wanted[len++] = (char)letter;
    c->wanted[len] = '\0';
    c->wanted_until_ms = mono_ms() + SAID_MS_MAX / 4;
    if (!model_select_named(c->model, c->wanted)) chat_say(c, false, "nobody begins with %s", c->wanted);
    c->is_dirty = true;
}

static void list_leave(struct chat *c)
{
    const struct model_conv *open = model_opened(c->model);
    if (!open) {
        chat_say(c, false, "/to WHO opens a conversation, Ctrl-C leaves");
    } else {
        struct user_id peer = open->peer;
        model_select_peer(c->model, &peer);
    }
    chat_mode(c, MODE_TALK);
}

static void key_in_list(struct chat *c, const struct key *key)
{
    size_t at = model_selected(c->model);
    bool previous = is_char(key, 'p', KEYS_ALT) || is_char(key, 'p', KEYS_CTRL);
    bool next = is_char(key, 'n', KEYS_ALT) || is_char(key, 'n', KEYS_CTRL);
    if (key->kind == KEYS_UP || previous) list_move(c, -1);
    else if (key->kind == KEYS_DOWN || next) list_move(c, 1);
    else if (key->kind == KEYS_PAGE_UP) list_move(c, -(long)c->layout.list.rows / 2);
    else if (key->kind == KEYS_PAGE_DOWN) list_move(c, (long)c->layout.list.rows / 2);
    else if (key->kind == KEYS_HOME) list_move(c, -MODEL_CONVS_MAX);
    else if (key->kind == KEYS_END) list_move(c, MODEL_CONVS_MAX);
    else if (key->kind == KEYS_TAB) next_unread(c);
    else if (key->kind == KEYS_ENTER && at != SIZE_MAX) {
        struct user_id peer = model_conv(c->model, at)->peer;
        chat_open(c, &peer, NULL);
    } else if (is_leaving(key)) list_leave(c);
    else if (is_char(key, '/', 0)) {    /* the way to /to from an empty list */
        list_leave(c);
        editor_key(c->reply, key);
    } else if (key->kind == KEYS_CHAR && key->mods == 0) list_name(c, key->c);
}

/* ---- search ---- */

static void open_found(struct chat *c)
{
    if (c->found_at >= model_found_count(c->model)) return;
    const struct model_found *found = model_found(c->model, c->found_at);
    struct user_id peer = found->peer;
    struct msg_id id = found->id;
    c->is_searching = false;
    chat_open(c, &peer, &id);
}

static void found_move(struct chat *c, long by)
{
    size_t count = model_found_count(c->model);
    long to = (long)c->found_at + by;
    c->found_at = count == 0 || to < 0 ? 0 : (size_t)to < count ? (size_t)to : count - 1;
    c->is_dirty = true;
}

static void key_in_find(struct chat *c, const struct key *key)
{
    long page = c->layout.messages.rows > 1 ? (long)c->layout.messages.rows - 1 : 1;
    if (is_leaving(key)) {
        c->is_searching = false;
        chat_mode(c, MODE_TALK);
    } else if (key->kind == KEYS_UP) found_move(c, -1);
    else if (key->kind == KEYS_DOWN || is_char(key, 'r', KEYS_CTRL)) found_move(c, 1);
    else if (key->kind == KEYS_PAGE_UP) found_move(c, -page);
    else if (key->kind == KEYS_PAGE_DOWN) found_move(c, page);
    else if (key->kind == KEYS_ENTER) open_found(c);
    else {
        enum editor_result result = editor_key(c->query, key);
        if (result == EDITOR_FULL) tell_full(c, c->query);
        if (result == EDITOR_CHANGED) chat_find(c, editor_text(c->query));
        c->is_dirty = true;
    }
}

/* ---- a picked message ---- */

static void pick_move(struct chat *c, int by)
{
    bool picked = false;
    chat_store(c, pane_pick(&c->pane, c->model, by, &picked));
    if (!picked) chat_say(c, false, "no message to pick");
    chat_mode(c, picked || pane_picked(&c->pane, c->model) ? MODE_PICK : MODE_TALK);
}

static void pick_back(struct chat *c, const struct model_row *row)
{
    struct buf text;
    if (row->ticks != TICKS_REFUSED) {
        chat_say(c, false, "only a message that was refused can be taken back");
        return;
    }
    if (editor_text(c->reply).len > 0) {
        chat_say(c, true, "what you are typing would be lost: send it first, or take it away with Ctrl-U");
        return;
    }
    struct row_id id = row->id;
    buf_init(&text, TEXT_BYTES_MAX);
    int err = model_refused_take(c->model, &id, &text);
    if (!err) editor_set_text(c->reply, buf_bytes(&text));
    if (chat_store(c, err == ERR_NOT_FOUND ? 0 : err)) chat_mode(c, MODE_TALK);
    buf_fini(&text);
}

static void pick_info(struct chat *c, const struct model_row *row)
{
    char id[MSG_ID_TEXT];
    if (!row->is_stored) {
        chat_say(c, false, "it has no number yet: the server has not taken it");
        return;
    }
    msg_id_print(&row->message, id);
    chat_say(c, false, "`pipit info %s` tells who has it", id);
}

/* What cannot be is said now, not after the question. */
static void pick_for_all(struct chat *c, const struct model_row *row)
{
    if (!row->is_own) {
        chat_say(c, true, "only who sent it can delete it for everyone; d deletes it here");
    } else if (!row->is_stored) {
        chat_say(c, true, row->ticks == TICKS_REFUSED ? "nobody has it: d takes it away"
                                                      : "it is still on its way; when it has arrived it can be deleted");
    } else {
        c->question = ASK_DELETE_FOR_ALL;
        c->question_message = row->message;
        chat_mode(c, MODE_ASK);
    }
}

static void key_in_pick(struct chat *c, const struct key *key)
{
    const struct model_row *row = pane_picked(&c->pane, c->model);
    if (!row || is_leaving(key) || key->kind == KEYS_ENTER || is_f(key, 2)) {
        chat_mode(c, MODE_TALK);
    } else if (key->kind == KEYS_UP || is_char(key, 'p', KEYS_CTRL) || is_char(key, 'k', 0)) pick_move(c, -1);
    else if (key->kind == KEYS_DOWN || is_char(key, 'n', KEYS_CTRL) || is_char(key, 'j', 0)) pick_move(c, 1);
    else if (is_char(key, 'e', 0)) pick_back(c, row);
    else if (is_char(key, 'i', 0)) pick_info(c, row);
    else if (is_char(key, 'D', 0)) pick_for_all(c, row);
    else if (is_char(key, 'd', 0) || key->kind == KEYS_DELETE) {
        c->question = ASK_DELETE_MESSAGE;
        c->question_row = row->id;
        chat_mode(c, MODE_ASK);
    } else scroll_key(c, key);
}

/* ---- a question ---- */

static void delete_message(struct chat *c)
{
    int err = model_delete(c->model, &c->question_row);
    if (err == ERR_AGAIN) chat_say(c, true, "it is still on its way; when it has arrived it can be deleted here");
    else chat_store(c, err == ERR_NOT_FOUND ? 0 : err);    /* gone already is as wanted */
    chat_mode(c, MODE_TALK);
}

/* It is shown as deleted when the server has said so: until then it can be refused. */
static void delete_for_all(struct chat *c)
{
    int err = pipit_delete(c->pipit, &c->question_message, NULL);
    if (err == ERR_NOT_FOUND || err == ERR_DENIED) chat_say(c, true, "not deleted: %s", pipit_why(c->pipit));
    else if (chat_store(c, err) && chat_store(c, online_step(c->online)) && !c->is_open)
        chat_say(c, true, "it will be deleted when the server is back");
    chat_mode(c, MODE_TALK);
}

static void delete_conv(struct chat *c)
{
    const struct model_conv *open = model_opened(c->model);
    int err = open ? model_conv_delete(c->model, &open->peer) : 0;
    chat_store(c, err == ERR_NOT_FOUND ? 0 : err);
    chat_mode(c, MODE_TALK);
}

static void key_in_ask(struct chat *c, const struct key *key)
{
    if (is_char(key, 'y', 0) || is_char(key, 'Y', 0)) {
        if (c->question == ASK_DELETE_MESSAGE) delete_message(c);
        else if (c->question == ASK_DELETE_FOR_ALL) delete_for_all(c);
        else delete_conv(c);
    } else if (is_leaving(key) || is_char(key, 'n', 0) || is_char(key, 'N', 0)) {
        chat_mode(c, MODE_TALK);
    }
}

/* ---- the rest ---- */

static void key_in_help(struct chat *c, const struct key *key)
{
    size_t rows = c->layout.messages.rows, most = c->help_lines > rows ? c->help_lines - rows : 0;
    size_t step = key->kind == KEYS_PAGE_DOWN || key->kind == KEYS_PAGE_UP ? rows : 1;
    bool up = key->kind == KEYS_UP || key->kind == KEYS_PAGE_UP || key->kind == KEYS_WHEEL_UP;
    bool down = key->kind == KEYS_DOWN || key->kind == KEYS_PAGE_DOWN || key->kind == KEYS_WHEEL_DOWN;
    if (up) c->help_at -= step < c->help_at ? step : c->help_at;
    else if (down) c->help_at = c->help_at + step < most ? c->help_at + step : most;
    else if (is_leaving(key) || is_f(key, 1) || key->kind == KEYS_ENTER || is_char(key, 'q', 0)) chat_mode(c, MODE_TALK);
    c->is_dirty = true;
}

/* Keys of the chat that no editor has. */
static bool own_key(struct chat *c, const struct key *key)
{
    bool alt_up = key->kind == KEYS_UP && key->mods & (KEYS_ALT | KEYS_CTRL);
    bool alt_down = key->kind == KEYS_DOWN && key->mods & (KEYS_ALT | KEYS_CTRL);
    if (is_f(key, 1)) {
        c->help_at = 0;
        chat_mode(c, MODE_HELP);
    } else if (is_f(key, 2)) pick_move(c, -1);
    else if (alt_up || is_char(key, 'p', KEYS_ALT)) list_move(c, -1);
    else if (alt_down || is_char(key, 'n', KEYS_ALT)) list_move(c, 1);
    else if (key->kind == KEYS_TAB) next_unread(c);
    else if (is_char(key, 'r', KEYS_CTRL)) {
        chat_mode(c, MODE_FIND);
        chat_find(c, editor_text(c->query));
    } else return scroll_key(c, key);
    return true;
}

static void key_in_talk(struct chat *c, const struct key *key)
{
    if (own_key(c, key)) return;
    switch (editor_key(c->reply, key)) {
    case EDITOR_CHANGED:
        c->draft_due_ms = mono_ms() + DRAFT_MS_MAX;
        break;
    case EDITOR_SEND:
        chat_enter(c);
        break;
    case EDITOR_FULL:
        tell_full(c, c->reply);
        break;
    case EDITOR_UNKNOWN:
        if (is_char(key, 'd', KEYS_CTRL)) c->has_ended = true;
        if (is_leaving(key)) c->said[0] = '\0';
        break;
    case EDITOR_TAKEN:
        break;
    }
    c->is_dirty = true;
}

void chat_key(struct chat *c, const struct key *key)
{
    if (key->kind == KEYS_FOCUS_IN || key->kind == KEYS_FOCUS_OUT) {
        c->in_foreground = key->kind == KEYS_FOCUS_IN;
        c->is_dirty = true;
        return;
    }
    if (is_char(key, 'l', KEYS_CTRL)) {
        terminal_redraw(c->terminal);
        c->is_dirty = true;
        return;
    }
    switch (c->mode) {
    case MODE_TALK: key_in_talk(c, key); break;
    case MODE_LIST: key_in_list(c, key); break;
    case MODE_FIND: key_in_find(c, key); break;
    case MODE_PICK: key_in_pick(c, key); break;
    case MODE_ASK:  key_in_ask(c, key); break;
    case MODE_HELP: key_in_help(c, key); break;
    }
}
