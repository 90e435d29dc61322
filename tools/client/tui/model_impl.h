/* model_impl.h - inside model*.c only: what the model is made of, and who does what with it.
 *
 *   model.c          events, what is no longer as it was, sends that wait
 *   model_list.c     the list of conversations
 *   model_pane.c     the window of messages of the open one
 *   model_fetch.c    gaps: pages that only the server has; what was seen
 *   model_rows.c     rows out of that window; days
 *   model_search.c   searching */
#ifndef PIPIT_CLIENT_TUI_MODEL_IMPL_H
#define PIPIT_CLIENT_TUI_MODEL_IMPL_H

#include "tools/client/output.h"
#include "tools/client/tui/model.h"

enum {
    DIRTY_MAX = 64,               /* conversations that changed in one turn; more: all did */
    KNOWN_MAX = 32,               /* stretches of sequences the server has answered for */
    DAYS_MAX = MODEL_WINDOW_MAX + MODEL_WAITING_MAX,
    DAY_TEXT_MAX = 40,
    ROWS_MAX = 3 * MODEL_WINDOW_MAX + 2 * MODEL_WAITING_MAX + MODEL_NOTES_MAX + 2,    /* each with a day, and a gap */
};

/* A row of the outbox, or what was one. */
struct waiting {
    uint64_t client_seq;
    struct user_id to;
    uint64_t created_ms;
    enum { WAITS, REFUSED, ANSWERED /* goes with the next model_update() */ } state;
    char why[MODEL_LINE_BYTES_MAX + 1];       /* refused, or put off by the server; safe */
    char *body;                   /* owned, as it lies in the outbox */
    size_t body_len;
    char *text;                   /* owned, safe */
};

/* A message of the window. */
struct entry {
    struct msg_id id;
    uint64_t seq;                 /* 0: from before the server was restored */
    enum message_state state;
    bool is_own, is_clause, is_timer;
    uint64_t client_seq;          /* own send of this device, else 0 */
    size_t text_at, text_len;     /* in pane.texts */
    bool has_gap;                 /* between it and the message before it are sequences this device has not */
    uint64_t gap_before;          /* they are below this one */
};

struct note {
    uint64_t number;
    bool is_first;                /* there was no message when it was made; else: */
    struct row_id after;          /* the last one */
    char *text;                   /* owned, safe */
};

struct range { uint64_t first, last; };

/* The open conversation.
 *
 * entries are all messages that can be shown of [entries[0], the last one], and when at_end of all behind. Rows of the
 * store below `top` were not looked at yet; between `top` and entries[0] there is nothing to show. */
struct pane {
    struct model_conv conv;
    struct conv_row row;          /* as read with the window */
    bool has_row;
    struct entry *entries;        /* MODEL_WINDOW_MAX */
    size_t count;
    char *texts;                  /* owned; each ends with a NUL */
    size_t texts_size;
    bool at_end;
    bool has_top, top_done;       /* top_done: the store has nothing below it */
    struct msg_id top;
    bool has_new;                 /* a line before `first_new` */
    struct msg_id first_new;
    uint64_t delivered, read;     /* the peer's cursors */
    /* -- gaps, see model_fetch.c -- */
    bool top_gap, top_rests;
    uint64_t top_gap_before;
    struct range known[KNOWN_MAX];
    size_t known_count;
    bool head_known, asked_by_hand, fetch_failed;
    /* -- what stands on the screen -- */
    size_t first_seen, seen_count;
    struct msg_id oldest_seen;    /* the oldest message in sight, all ones when none is: only what waits is */
    struct msg_id last_seen;      /* the newest message in sight, or above what is */
    bool follows;                 /* the last row is in sight */
    uint64_t seq_told;            /* read up to here, said since the session opened */
    /* -- lines -- */
    struct note notes[MODEL_NOTES_MAX];
    size_t note_count;
    char from[MODEL_NAME_BYTES_MAX + 1], self[MODEL_NAME_BYTES_MAX + 1];
    struct model_row *rows;       /* ROWS_MAX */
    size_t row_count;
    char (*days)[DAY_TEXT_MAX];   /* DAYS_MAX, the texts of rows that are days */
    uint64_t made_on;             /* the day that was today when rows were made */
};

struct search {
    char text[SEARCH_TEXT_BYTES_MAX + 1];
    bool everywhere, full;
    struct conv_id conv;
    struct msg_id before;
    bool more;
    struct model_found *found;    /* MODEL_FOUND_MAX, made with the first search */
    size_t count;
};

struct model {
    struct home *home;
    const struct account *account;
    struct conv_id self_conv;
    uint64_t now_ms;
    unsigned changed;
    /* -- what is to be read again -- */
    bool dirty_all;
    struct conv_id dirty[DIRTY_MAX];
    size_t dirty_count;
    /* -- the list -- */
    struct model_conv *convs;     /* MODEL_CONVS_MAX + 1 */
    size_t conv_count;
    bool more_convs;
    bool has_selected;
    struct user_id selected;
    size_t selected_at;           /* where it was, for when it is gone */
    /* -- own sends, by rising number -- */
    struct waiting *waiting;      /* MODEL_WAITING_MAX */
    size_t waiting_count;
    /* -- the rest -- */
    bool is_open;
    struct pane pane;
    uint64_t last_note;
    bool fetching;
    struct model_fetch fetch;
    struct search search;
};

/* ---- model.c ---- */
void model_touch(struct model *m, const struct conv_id *conv);
int model_bring(struct model *m);             /* what was touched is read again */
/* Of the sends to one user. */
struct waiting_sum { uint32_t waiting, refused; const struct waiting *last; /* NULL: none */ };
struct waiting_sum model_waiting_of(const struct model *m, const struct user_id *to);
void model_put_safe(FILE *to, struct bytes text);                  /* line ends stay */
char *model_safe(struct bytes text);          /* the same, NULL: out of memory. The caller frees it */
/* One safe line that fits; "…" at its end when not all did. */
int model_line(struct bytes text, char out[static MODEL_LINE_BYTES_MAX + 1]);
int model_name(struct model *m, const struct user_id *user, char out[static MODEL_NAME_BYTES_MAX + 1]);

/* ---- model_list.c ---- */
int model_list_load(struct model *m);
int model_list_refresh(struct model *m, const struct conv_id *conv);
int model_conv_read(struct model *m, const struct user_id *peer, struct model_conv *out);

/* ---- model_pane.c ---- */
int model_pane_reload(struct model *m);
struct entry *model_entry(struct pane *p, const struct msg_id *id);           /* NULL: not in the window */
enum ticks model_ticks(uint64_t seq, uint64_t delivered, uint64_t read);
struct row_id model_row_id(const struct model *m, const struct message_row *row);

/* A row of the store that is a row on the screen. */
bool model_is_shown(const struct message_row *row);

/* ---- model_fetch.c ---- */
void model_known_add(struct pane *p, uint64_t first, uint64_t last);
/* The end of the highest stretch of first..last that nothing is known of, or 0. */
uint64_t model_known_missing(const struct pane *p, uint64_t first, uint64_t last);
int model_gap_at_top(struct model *m);

/* ---- model_search.c ---- */
/* What is gone of a conversation (NULL: of all) is no result any more. */
int model_search_recheck(struct model *m, const struct conv_id *conv);

/* ---- model_rows.c ---- */
void model_rows_make(struct model *m);
uint64_t model_day(uint64_t ms);  /* local: year * 10000 + month * 100 + day */

#endif
