/* chat_impl.h - inside chat*.c: the one struct of a chat, and who does what.
 *
 *   chat.c        its life: turns of the loop, the session, times
 *   chat_draw.c   what stands on the screen, and what was seen of it
 *   chat_keys.c   what a key does in each mode
 *   chat_say.c    what Enter does: sends, and words that begin with /
 *
 *   TALK ──Alt-Up──> LIST     Enter opens another conversation
 *        ──Ctrl-R──> FIND     Enter opens the place of a hit
 *        ──F2──────> PICK     a message; d: ──> ASK "delete it here?", D: "for everyone?"
 *        ──F1──────> HELP                 all: Esc goes back to TALK */
#ifndef PIPIT_CLIENT_TUI_CHAT_IMPL_H
#define PIPIT_CLIENT_TUI_CHAT_IMPL_H

#include "tools/client/online.h"
#include "tools/client/pipit_impl.h"
#include "tools/client/tui/editor.h"
#include "tools/client/tui/keys.h"
#include "tools/client/tui/layout.h"
#include "tools/client/tui/model.h"
#include "tools/client/tui/notify.h"
#include "tools/client/tui/pane.h"
#include "tools/client/tui/terminal.h"

enum {
    SAID_BYTES_MAX = 256,
    SAID_MS_MAX = 6000,           /* long enough to read a line */
    DRAFT_MS_MAX = 2000,          /* what was typed is kept when nothing was typed for so long */
    FETCH_MS_MAX = 10000,         /* a page of history that takes longer is asked for again */
    STORE_AGAIN_MS = 1000,        /* between two tries of a disk that is full */
    MINUTE_MS = 60000,            /* times of the list ("Yesterday") are looked at so often */
    WHEEL_LINES = 3,
    READ_BYTES_MAX = 4096,        /* typed bytes looked at between two drawings */
};

enum chat_mode { MODE_TALK, MODE_LIST, MODE_FIND, MODE_PICK, MODE_ASK, MODE_HELP };

/* What ASK asks about. */
enum chat_question { ASK_DELETE_MESSAGE, ASK_DELETE_FOR_ALL, ASK_DELETE_CONV };

struct chat {
    struct pipit *pipit;
    struct online *online;
    struct terminal *terminal;
    struct model *model;
    struct notify notify;
    struct keys keys;
    struct editor *reply;
    struct editor *query;         /* FIND */
    struct pane pane;
    struct layout layout;

    enum chat_mode mode;
    enum chat_question question;
    struct row_id question_row;
    struct msg_id question_message;           /* ASK_DELETE_FOR_ALL */
    size_t found_at;              /* the chosen hit */
    bool is_searching;
    size_t help_at, help_lines;
    char wanted[NAME_BYTES_MAX + 1];          /* LIST: letters that were typed to go to a name */
    uint64_t wanted_until_ms;

    bool has_ended;
    bool is_dirty;                /* something is to be drawn, besides what the model tells */
    bool in_foreground;           /* until the terminal says otherwise: not all tell */
    bool was_open, is_open;       /* the link; is_open as was last told */
    char link_why[WHY_MAX];
    char said[SAID_BYTES_MAX];    /* in the status line, until said_until_ms */
    bool said_warns;
    uint64_t said_until_ms;
    uint64_t esc_until_ms;        /* 0: no Escape waits for what follows it */
    uint64_t draft_due_ms;        /* 0: what is typed is kept already */
    uint64_t minute_ms;           /* of the last look at the clock */

    bool is_fetching;
    struct model_fetch fetch;
    uint64_t fetch_errand, fetch_until_ms;

    bool store_failed;            /* said; taken back when it works again */
    uint64_t store_again_ms;      /* nothing is tried before */
    int fatal;                    /* of the store, from where it could not be returned */
};

/* A line of the program's own in the status line. `warns`: it is about something that went wrong. */
void chat_say(struct chat *c, bool warns, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* An error of the store: what can pass is said and tried again, what cannot ends the chat. True: there is none. */
bool chat_store(struct chat *c, int err);

/* ---- chat_draw.c ---- */

/* All that changed is put and flushed; what stands on the screen then is marked as seen. Errors: of the terminal. */
int chat_draw(struct chat *c);

/* ---- chat_keys.c ---- */

void chat_key(struct chat *c, const struct key *key);

/* ---- chat_say.c ---- */

/* Enter in the reply. */
void chat_enter(struct chat *c);
/* Another conversation; its draft becomes the reply. */
void chat_open(struct chat *c, const struct user_id *peer, const struct msg_id *message);
void chat_keep_draft(struct chat *c);
void chat_find(struct chat *c, struct bytes text);
void chat_mode(struct chat *c, enum chat_mode mode);

#endif
