/* model.h - what the full-screen chat shows: the list of conversations, the open one, a search. No screen, no link, no
 * clock: it reads the device's store (home.h), is told of events (sync.h), and time is an argument.
 *
 * Once in a turn of the loop:
 *
 *     online_turn()          its on_event calls model_on_event(), which only remembers what is no longer as it was
 *     model_update()         reads that, and only that, again from the store; tells what is to be drawn anew
 *     draw                   model_conv(), model_row() …
 *     model_seen()           told which rows now stand on the screen: gives what is to be marked as shown and read
 *
 * Of the open conversation a window of messages is held, in memory that does not grow with the history: model_older()
 * and model_newer() move it. Rows are logical (a message, a line between two days, …): how many lines of the screen one
 * takes is the view's to know. A row keeps its id for as long as it is the same thing, wherever it stands then: a send
 * that waits and the message it becomes are one row. The window never moves what is being read: what arrives while its
 * end is not in sight is counted by model_below().
 *
 * All text that is given out is safe and UTF-8 (output.h): no control characters, in a message's text line ends only.
 * What const functions give is good until the next call of one that is not const, model_on_event() aside.
 * Functions that return int: 0, what they name, or an error of the store (home.h) or ERR_NOMEM.
 * Thread: one. */
#ifndef PIPIT_CLIENT_TUI_MODEL_H
#define PIPIT_CLIENT_TUI_MODEL_H

#include "tools/client/home.h"
#include "tools/client/sync.h"

enum {
    MODEL_CONVS_MAX = 200,        /* conversations in the list: who looks further back searches */
    MODEL_WINDOW_MAX = 500,       /* messages held of the open conversation: many screens, read in about a millisecond */
    MODEL_PAGE = 100,             /* messages that one model_older() or model_newer() adds at most */
    MODEL_SCAN_MAX = 4000,        /* rows of the store one call looks at, when most of them were deleted */
    MODEL_WAITING_MAX = 512,      /* own sends without an answer, the newest: those before them show when accepted */
    MODEL_NOTES_MAX = 32,         /* note lines, the newest */
    MODEL_SEEN_MAX = 64,          /* messages marked as shown in one transaction */
    MODEL_NEAR_ROWS = 30,         /* a gap so near to the screen is asked for before it is in sight */
    MODEL_FOUND_MAX = 100,        /* results of a search */
    MODEL_LINE_BYTES_MAX = 240,   /* of a text that is one line in a list */
    MODEL_NAME_BYTES_MAX = 3 * NAME_BYTES_MAX,    /* of a name, with what is unsafe in it replaced */
};

struct model;

/* `home` and `account` stay the caller's and outlive it. The list is read; no conversation is open. */
int model_new(struct home *home, const struct account *account, uint64_t now_ms, struct model **out);
void model_free(struct model *m);                                  /* NULL allowed */

/* Reads nothing; rows and texts given out stay good. */
void model_on_event(struct model *m, const struct sync_event *e);
/* All is to be read again: another process may have changed the store. */
void model_on_change(struct model *m);
enum { MODEL_CHANGED_LIST = 1, MODEL_CHANGED_ROWS = 2 };
/* Brings up to date, days too. Nothing to do costs nothing. *changed_out: what is to be drawn again, since the last
 * call. */
int model_update(struct model *m, uint64_t now_ms, unsigned *changed_out);

/* ---- the list of conversations, newest first ---- */

enum ticks {
    TICKS_NONE,                   /* not one's own */
    TICKS_WAITING,                /* … */
    TICKS_SENT,                   /* ✓ */
    TICKS_DELIVERED,              /* ✓✓ */
    TICKS_READ,                   /* ✓✓, blue */
    TICKS_REFUSED,                /* will never be sent; kept until model_refused_take() */
};
struct model_conv {
    struct conv_id conv;
    struct user_id peer;
    char name[MODEL_NAME_BYTES_MAX + 1];      /* the contact's, else the user's, else "note to self" */
    bool is_self;                             /* notes to oneself */
    bool is_known;                            /* the store has it: it can be marked and deleted */
    uint32_t unread;                          /* 0..UNREAD_MAX: "999+" */
    bool marked;                              /* as unread, by its owner */
    bool has_last;                            /* the three below: of the newest message, waiting ones included */
    uint64_t last_ms;
    enum ticks last_ticks;
    char last[MODEL_LINE_BYTES_MAX + 1];
    bool has_draft;
    uint32_t waiting, refused;                /* own sends */
    uint64_t order_ms;                        /* the list goes by it */
};
size_t model_conv_count(const struct model *m);
const struct model_conv *model_conv(const struct model *m, size_t at);
bool model_has_more_convs(const struct model *m);                  /* older ones are not in the list */
uint32_t model_unread_convs(const struct model *m);                /* in the list, unread or marked */

/* The selected one stays selected when the list is sorted anew. SIZE_MAX: the list is empty. */
size_t model_selected(const struct model *m);
void model_select(struct model *m, size_t at);                     /* beyond the end: the last */
void model_select_by(struct model *m, long delta);                 /* stops at the ends */
/* The next one, round the end, that is unread or marked; whose name or user has `text` at its beginning, whatever its
 * case (ASCII), from the selected one on. False: none, and nothing is changed. */
bool model_select_unread(struct model *m);
bool model_select_named(struct model *m, const char *text);
bool model_select_peer(struct model *m, const struct user_id *peer);

/* As home.h has them, for a conversation that is known (else ERR_NOT_FOUND). Deleted is what it has now. */
int model_conv_mark(struct model *m, const struct user_id *peer, bool unread);
int model_conv_delete(struct model *m, const struct user_id *peer);
/* What is typed in the open one and not sent. Put with an empty text takes it away. */
int model_draft_put(struct model *m, struct bytes text);
int model_draft_get(struct model *m, struct buf *text);

/* ---- the open conversation ---- */

enum row_kind {
    ROW_MESSAGE,
    ROW_DAY,                      /* text: "Today", "Yesterday", "Monday, 3 March 2025" */
    ROW_NEW,                      /* before the first message that was unread when it was opened: text */
    ROW_NOTE,                     /* text: of model_note() */
    ROW_GAP,                      /* the server may have messages here that this device has not: text says so */
    ROW_TIMER,                    /* text: how long messages stay from here on, and who set it */
};
struct row_id {
    enum row_kind kind;
    uint64_t number;              /* own send of this device: client sequence; day, note, gap: its number */
    struct msg_id id;             /* any other message, or timer */
};
bool row_id_equal(const struct row_id *a, const struct row_id *b);

enum gap_state { GAP_OPEN, GAP_ASKED, GAP_FAILED, GAP_RESTS /* only model_fetch_again() has it asked for */ };
struct model_row {
    struct row_id id;
    const char *text;             /* ends with a NUL */
    size_t text_len;
    /* -- ROW_MESSAGE, ROW_TIMER -- */
    bool is_own;
    bool is_clause;               /* "[message deleted]": said by this program, not by a person */
    bool is_stored;               /* has an id in the store, `message`: false while it waits */
    struct msg_id message;
    const char *from;             /* the sender's name, as in the list; one's own user name */
    uint64_t time_ms;
    enum ticks ticks;
    const char *why;              /* refused, or waits for more than the link: a clause; else "" */
    /* -- ROW_GAP -- */
    enum gap_state gap;
};

/* Where a view begins after opening. */
struct model_place {
    bool is_end;                  /* the last row stands at the bottom; else: */
    struct row_id row;            /* this one is in sight: ROW_NEW, or the message that was looked for */
};
/* At its first unread message, else at its end. Takes its owner's mark away. A user with whom there is no conversation
 * yet has an empty one. `peer` is oneself for notes. */
int model_open(struct model *m, const struct user_id *peer, struct model_place *place_out);
/* With the messages around this one. ERR_NOT_FOUND (nothing is changed): it is not there, or was deleted. */
int model_open_at(struct model *m, const struct user_id *peer, const struct msg_id *id, struct model_place *place_out);
void model_close(struct model *m);                                 /* nothing when none is open */
const struct model_conv *model_opened(const struct model *m);      /* NULL: none is open */

size_t model_row_count(const struct model *m);
const struct model_row *model_row(const struct model *m, size_t at);
size_t model_row_find(const struct model *m, const struct row_id *id);     /* SIZE_MAX: it is not in the window */

/* Messages beyond the window are in the store. One call adds up to MODEL_PAGE at one end and drops as many at the other
 * when the window is full; now and then it adds none although there are more (MODEL_SCAN_MAX): call it again in the
 * next turn. */
bool model_has_older(const struct model *m);
bool model_has_newer(const struct model *m);
int model_older(struct model *m);
int model_newer(struct model *m);
int model_end(struct model *m);                                    /* the window is at the end then */
/* Messages of others behind the last row in sight that were neither shown nor read yet, up to UNREAD_MAX. */
int model_below(struct model *m, uint32_t *count_out);
/* A line of the program's own, behind what is last now. Kept until another conversation is opened. */
int model_note(struct model *m, const char *text);

/* ---- what was seen ---- */

/* For online_show(): marks `ids` as shown and reads up to `seq`. */
struct model_seen {
    struct conv_id conv;
    struct msg_id ids[MODEL_SEEN_MAX];
    size_t count;
    bool has_seq;                 /* false: reads nothing further, conv_count is 0 */
    uint64_t seq;
};
/* `count` rows from `first` on stand on the screen, whole or in part; `foreground`: and a person may be looking. Told
 * after each drawing, with count 0 when the conversation is not to be seen: a window that is full follows what comes
 * only when its last row was in sight. True: `out` is to be marked; then model_seen_done(), and another call may give
 * more. */
bool model_seen(struct model *m, size_t first, size_t count, bool foreground, struct model_seen *out);
void model_seen_done(struct model *m, const struct model_seen *seen);

/* ---- own sends ---- */

/* This number was given to a send of this program just now, to whomever: it stands there as waiting. */
int model_sent(struct model *m, uint64_t client_seq);
/* The text of a refused send, as it was typed; its row goes. ERR_NOT_FOUND: the row is no refused send. */
int model_refused_take(struct model *m, const struct row_id *row, struct buf *text);
/* Delete for me; a refused send is forgotten. ERR_NOT_FOUND; ERR_AGAIN: it still waits. */
int model_delete(struct model *m, const struct row_id *row);

/* ---- older messages that only the server has ---- */

/* A page of HISTORY: an errand with these fields. */
struct model_fetch {
    struct conv_id conv;
    uint64_t before;              /* 0: nil, the newest */
    uint64_t limit;
};
/* One is wanted: a gap is near the screen, or what the server has last is not known. Nothing is wanted while one is
 * under way, and after a failure not before the link is there again or model_fetch_again(). */
bool model_fetch_take(struct model *m, struct model_fetch *out);
/* Its answer, a frame: PAGE or ERROR; ERR_MALFORMED: neither. The store has the messages by then. */
int model_fetch_done(struct model *m, const struct model_fetch *fetch, struct bytes answer);
void model_fetch_failed(struct model *m, const struct model_fetch *fetch);    /* no link, or no answer in time */
void model_fetch_again(struct model *m);                           /* a person asks for it */

/* ---- search ---- */

struct model_found {
    struct conv_id conv;
    struct user_id peer;
    struct msg_id id;
    char name[MODEL_NAME_BYTES_MAX + 1];      /* of the conversation */
    bool is_own;
    uint64_t time_ms;
    char text[MODEL_LINE_BYTES_MAX + 1];      /* one line with the hit in it, "…" where it was cut */
    size_t hit_at, hit_len;                   /* bytes of `text` */
};
/* `peer` NULL: in all conversations. ERR_MALFORMED: not 1 to SEARCH_TEXT_BYTES_MAX bytes of UTF-8. */
int model_search(struct model *m, const char *text, const struct user_id *peer);
/* One slice, some milliseconds. *more_out: not at the end yet; a key may come between. */
int model_search_step(struct model *m, bool *more_out);
/* newest first; what is deleted or disappears is no result any more, so an index may name another one later */
size_t model_found_count(const struct model *m);
const struct model_found *model_found(const struct model *m, size_t at);
bool model_found_full(const struct model *m);                      /* older ones were not looked for */

/* ---- times ---- */

/* "14:05" today, "Yesterday", else "2025-03-03"; local time. */
void model_when(uint64_t ms, uint64_t now_ms, char out[static 16]);

#endif
