/* home.h - what a device keeps on disk: who it is, what it has, what it still has to send.
 *
 *   HOME/client.db    SQLite: account, conversations, cursors, messages, outbox, errands
 *   HOME/client.lock  held by the process that has the device's session, with its pid and command inside
 *   HOME/client.wake  a FIFO: one byte tells the holder of the lock to look into outbox and errands
 *
 * A device has one session at a time: a second HELLO would end the first. So the process that has the session holds
 * the lock, and every other leaves its work in the store (a row of the outbox, an errand), wakes the holder, and waits
 * until the row has been done, or until the lock is free and it can do the work itself. Nothing is handed over in
 * memory, so nothing is lost with a process.
 *
 * The folder is 0700 and all files are 0600. Every change is durable when home_commit() returns (WAL, synchronous =
 * FULL): an event is committed before it is acknowledged or shown.
 * Functions return 0, ERR_NOT_FOUND where noted, and ERR_NO_SPACE, ERR_IO, ERR_CORRUPT, ERR_NOMEM, ERR_IN_USE (another
 * process wrote for longer than HOME_BUSY_MS) always. Outside home_begin() each is a transaction of its own.
 * Thread: one; processes: any number. */
#ifndef PIPIT_CLIENT_HOME_H
#define PIPIT_CLIENT_HOME_H

#include "proto/proto.h"

enum {
    HOME_PATH_MAX = 4096,
    SERVER_URL_MAX = 256,
    HOME_BUSY_MS = 10000,         /* a writing transaction of another process takes milliseconds */
    ERRAND_MS_MAX = 10 * 60000,   /* one this old has lost its asker */
    REFUSAL_MS_MAX = 24 * 3600000,
};

struct home;

/* Opens `dir`, made when `create`. ERR_NOT_FOUND (no folder, or nothing in it), ERR_NEWER (a newer program wrote it),
 * ERR_IN_USE; `why` is then one clause for people. */
int home_open(const char *dir, bool create, struct home **home_out, char why[static 256]);
void home_close(struct home *home);                     /* gives the lock back; NULL allowed */
/* The lock is held: all files of the home go, and the folder when nothing else is in it. Only home_close() may
 * follow. */
int home_erase(struct home *home);
const char *home_dir(const struct home *home);

int home_begin(struct home *home);                      /* the writer's transaction; not nested */
int home_commit(struct home *home);
void home_rollback(struct home *home);                  /* nothing when no transaction is open */

/* ---- one session for each home ---- */

/* ERR_IN_USE: `holder` then names it ("pid 4711, listen"), or is "". */
int home_lock(struct home *home, const char *command, char holder[static 64]);
void home_unlock(struct home *home);
int home_wake_open(struct home *home, int *fd_out);     /* for the holder: poll it for input; closed with home */
void home_wake_drain(struct home *home);
void home_wake(struct home *home);                      /* for all others: harmless when nobody holds the lock */

/* ---- the account ---- */

struct account {
    char server[SERVER_URL_MAX];
    struct user_id user;
    struct device_id device;
    uint8_t token[TOKEN_BYTES];
    bool has_generation;
    uint8_t generation[16];
    uint64_t client_seq_max;      /* the highest number ever given to a send */
    int64_t clock_off_ms;         /* what the server's clock is ahead of this device's; 0: not enough to matter */
};
int home_account_get(struct home *home, struct account *out);      /* ERR_NOT_FOUND: not logged in */
int home_account_put(struct home *home, const struct account *account);
/* This device's `wall_ms` by the server's clock. */
uint64_t account_clock(const struct account *account, uint64_t wall_ms);
int home_clock_put(struct home *home, int64_t off_ms);
/* The server was restored from a backup: sequences and cursors are of no use any more, messages stay by id. With
 * `forget` deletes that wait are refused: they go by sequences. */
int home_generation_put(struct home *home, const uint8_t generation[static 16], bool forget);

/* ---- conversations ---- */

struct conv_row {
    struct conv_id id;
    struct user_id peer;          /* the other member; oneself for notes */
    bool has_stored;              /* false: no sequence is known yet to be the first this device is due */
    uint64_t stored;              /* all this device is due up to here is in messages: may be acknowledged */
    uint64_t read;                /* own read cursor */
    uint64_t read_told;           /* the server has shown it durable up to here */
};
int home_conv_get(struct home *home, const struct conv_id *id, struct conv_row *out);   /* ERR_NOT_FOUND */
int home_conv_put(struct home *home, const struct conv_row *row);
/* Conversations whose read cursor the server has not confirmed. */
int home_conv_each_untold(struct home *home, int (*each)(void *arg, const struct conv_row *row), void *arg);
/* Cursors of other members: forward only. *moved_out: any of the two rose. Get gives zeros when there is none. */
int home_cursor_raise(struct home *home, const struct conv_id *id, const struct user_id *user, uint64_t delivered,
                      uint64_t read, bool *moved_out);
int home_cursor_get(struct home *home, const struct conv_id *id, const struct user_id *user, uint64_t *delivered_out,
                    uint64_t *read_out);

/* ---- messages ---- */

enum message_state {
    MESSAGE_PAGED = 0,            /* known from a page of history only; it may still be due as an event */
    MESSAGE_FRESH = 1,            /* came, and was not shown yet */
    MESSAGE_SHOWN = 2,            /* shown, or this device's own */
};
struct message_row {
    struct msg_message m;         /* as it came; m.body points into the row: good during the call */
    struct user_id peer;
    bool has_seq;                 /* false: from before the server was restored */
    enum message_state state;
    bool hidden;                  /* deleted here, for its owner alone, or disappeared when its time came: the body is
                                   * gone, the place stays */
};
/* *new_out: no message of this id was there. An older state is only raised. A tombstone takes the body away. */
int home_message_put(struct home *home, const struct msg_message *m, enum message_state state, bool *new_out);
int home_message_show(struct home *home, const struct msg_id *id);
int home_message_arrive(struct home *home, const struct msg_id *id);      /* PAGED becomes FRESH */
/* The state of the message with this sequence, or ERR_NOT_FOUND. */
int home_message_state(struct home *home, const struct conv_id *conv, uint64_t seq, struct msg_id *id_out,
                       enum message_state *state_out);
int home_message_min_seq(struct home *home, const struct conv_id *conv, uint64_t above, uint64_t *seq_out);
typedef int message_fn(void *arg, const struct message_row *row);    /* not 0: stop, and return it */
int home_message_by_id(struct home *home, const struct msg_id *id, message_fn *fn, void *arg);   /* ERR_NOT_FOUND */
int home_message_by_send(struct home *home, struct device_id device, uint64_t client_seq, message_fn *fn, void *arg);
/* Fresh ones at or below `stored`, oldest first; `conv` NULL: of all conversations. */
int home_message_each_fresh(struct home *home, const struct conv_id *conv, message_fn *fn, void *arg);
/* The last `limit` below sequence `before` (0: from the end), oldest first; without hidden ones. */
int home_message_each_last(struct home *home, const struct conv_id *conv, uint64_t before, uint32_t limit,
                           message_fn *fn, void *arg);

/* ---- what goes: deleted for everyone, disappearing by time, and a conversation's timer ---- */

enum { EXPIRE_ROWS_MAX = 256 };   /* that one home_expire() takes away: some milliseconds */

/* Its sender deleted it for everyone: a tombstone is left. Nothing when it is not there. */
int home_message_delete(struct home *home, const struct conv_id *conv, uint64_t seq);
/* Up to EXPIRE_ROWS_MAX messages whose time has come at `now_ms` (by the server's clock) become hidden ones; `gone` is
 * told the conversation of each. *more_out: others wait. Costs what it takes away, found by an index; where there is
 * nothing, nothing is written. */
typedef int gone_fn(void *arg, const struct conv_id *conv);
int home_expire(struct home *home, uint64_t now_ms, gone_fn *gone, void *arg, bool *more_out);
/* When the next one goes. ERR_NOT_FOUND: none has a time. */
int home_expiry_next(struct home *home, uint64_t *expiry_ms_out);

struct timer_row {
    uint64_t seconds;             /* how long messages stay; 0: for good */
    bool is_told;                 /* by the record of who set it, `by`; else gathered from what messages carry */
    struct user_id by;
};
/* The newest record of all that come counts, in whatever order they do. What a message carries tells the timer only as
 * long as no record did: its sender may have wanted less. Nothing for a conversation that is not there. */
int home_timer_put(struct home *home, const struct conv_id *conv, uint64_t seq, const struct user_id *by,
                   uint64_t seconds);
int home_timer_learn(struct home *home, const struct conv_id *conv, uint64_t seq, uint64_t seconds);
int home_timer_get(struct home *home, const struct conv_id *conv, struct timer_row *out);        /* ERR_NOT_FOUND */

/* ---- conversations as people see them: lists, unread, pages by time, drafts, search ---- */

enum {
    UNREAD_MAX = 1000,            /* counted no further: a list says "999+" */
    SEARCH_SLICE_ROWS = 4000,     /* looked at by one home_search(): some milliseconds */
    SEARCH_TEXT_BYTES_MAX = 256,
};

/* What a list tells of a conversation. Unread are the messages of others that count, above the read cursor and above
 * the user's own last message. */
struct conv_summary {
    struct conv_row conv;
    uint32_t unread;              /* 0..UNREAD_MAX */
    bool marked;                  /* marked as unread by its owner, on this device */
    bool has_last;                /* false: nothing that can be shown */
    struct message_row last;      /* the body is good during the call */
};
typedef int summary_fn(void *arg, const struct conv_summary *summary);      /* not 0: stop, and return it */
/* The `limit` conversations with the newest last messages, newest first; those without a message come last. */
int home_summary_each(struct home *home, uint32_t limit, summary_fn *fn, void *arg);
int home_summary_get(struct home *home, const struct conv_id *id, summary_fn *fn, void *arg);    /* ERR_NOT_FOUND */
/* Reading further, here or on another device, takes the mark away. ERR_NOT_FOUND. */
int home_conv_mark(struct home *home, const struct conv_id *id, bool unread);
/* Delete for me: gone from lists, pages and search, and its body from the disk; no other device is told. A message that
 * comes again stays hidden. ERR_NOT_FOUND. home_conv_hide() does so with all that a conversation has now. */
int home_message_hide(struct home *home, const struct msg_id *id);
int home_conv_hide(struct home *home, const struct conv_id *id);
/* Pages by message id, hidden ones and records of every kind included (a reader sees by their sequences that nothing is
 * missing), without what is still due as an event: up to `limit` before `before` (NULL: the newest), newest first; or after `after`, oldest
 * first. */
int home_message_each_older(struct home *home, const struct conv_id *conv, const struct msg_id *before, uint32_t limit,
                            message_fn *fn, void *arg);
int home_message_each_newer(struct home *home, const struct conv_id *conv, const struct msg_id *after, uint32_t limit,
                            message_fn *fn, void *arg);
/* One slice of a search: of up to SEARCH_SLICE_ROWS messages older than *before (all bytes 0xff: from the newest) those
 * that have `text` in them, newest first, whatever its case and accents. *before is then where the next slice goes on;
 * *more_out says whether there is one. `conv` NULL: in all conversations. When `fn` stops it, *before is not moved. */
int home_search(struct home *home, const char *text, const struct conv_id *conv, struct msg_id *before,
                message_fn *fn, void *arg, bool *more_out);
/* Where such a search finds `text` in a message's text: the first place, as bytes of `in`. False: nowhere, or no
 * memory. */
bool home_search_hit(const char *text, struct bytes in, size_t *at_out, size_t *len_out);
/* What was typed to a user and not sent. An empty one is removed; get gives an empty one when there is none. */
int home_draft_put(struct home *home, const struct user_id *to, struct bytes text);
int home_draft_get(struct home *home, const struct user_id *to, struct buf *text);
typedef int draft_fn(void *arg, const struct user_id *to);           /* not 0: stop, and return it */
int home_draft_each(struct home *home, draft_fn *fn, void *arg);     /* whom there is one to, by name */

/* ---- contacts: what this device calls a user ---- */

struct contact_row {
    char name[NAME_BYTES_MAX + 1];
    struct user_id user;
    uint64_t added_ms;
};
/* A user has one name and a name is of one user: ERR_EXISTS when another user has it. A user's former name is gone
 * then. */
int home_contact_put(struct home *home, const struct contact_row *row);
int home_contact_get(struct home *home, const char *name, struct contact_row *out);                /* ERR_NOT_FOUND */
int home_contact_of(struct home *home, const struct user_id *user, struct contact_row *out);       /* ERR_NOT_FOUND */
int home_contact_remove(struct home *home, const char *name);                                      /* ERR_NOT_FOUND */
typedef int contact_fn(void *arg, const struct contact_row *row);    /* not 0: stop, and return it */
int home_contact_each(struct home *home, contact_fn *fn, void *arg);                               /* by name */

/* ---- outbox: sends without an answer, durable before their first transmission ---- */

struct outbox_row {
    uint64_t client_seq;
    struct user_id to;
    enum record_kind kind;        /* KIND_MESSAGE; KIND_DELETE and KIND_TIMER are requests that are named like a send */
    struct bytes body;            /* as that record's; good during the call */
    uint64_t created_ms;
    bool sent;                    /* was transmitted: its number and bytes are fixed */
};
int home_outbox_add(struct home *home, const struct user_id *to, struct bytes body, uint64_t now_ms,
                    uint64_t *client_seq_out);
int home_outbox_add_as(struct home *home, const struct user_id *to, enum record_kind kind, struct bytes body,
                       uint64_t now_ms, uint64_t *client_seq_out);
typedef int outbox_fn(void *arg, const struct outbox_row *row);
int home_outbox_each(struct home *home, outbox_fn *fn, void *arg);              /* by rising number */
/* The first of each recipient: a conversation keeps the order of its sends when each waits for the one before. */
int home_outbox_each_first(struct home *home, outbox_fn *fn, void *arg);
int home_outbox_get(struct home *home, uint64_t client_seq, outbox_fn *fn, void *arg);   /* ERR_NOT_FOUND */
int home_outbox_sent(struct home *home, uint64_t client_seq);
int home_outbox_remove(struct home *home, uint64_t client_seq);
/* The lowest number without an answer, else the next one that will be given. */
int home_outbox_settled(struct home *home, uint64_t *settled_out);
/* Numbers go on above `client_seq_max`. Sends that were never transmitted and would lie at or below it (a home put back
 * from a copy) get new numbers, in their order. */
int home_outbox_raise(struct home *home, uint64_t client_seq_max);
/* A send that was refused for good: out of the outbox, and kept for whoever waits for it. */
int home_refusal_put(struct home *home, uint64_t client_seq, int err, const char *text, uint64_t now_ms);
int home_refusal_take(struct home *home, uint64_t client_seq, int *err_out, char text[static 256]);  /* ERR_NOT_FOUND */

/* ---- errands: requests for whoever has the session ---- */

int home_errand_add(struct home *home, struct bytes request, uint64_t now_ms, uint64_t *id_out);
typedef int errand_fn(void *arg, uint64_t id, struct bytes request);
int home_errand_each(struct home *home, errand_fn *fn, void *arg);              /* those without an answer */
int home_errand_answer(struct home *home, uint64_t id, struct bytes answer);
/* 0 and the answer (the errand is gone then), or ERR_NOT_FOUND (none yet). */
int home_errand_take(struct home *home, uint64_t id, struct buf *answer);
int home_errand_drop(struct home *home, uint64_t id);
int home_drop_old(struct home *home, uint64_t now_ms);                          /* errands and refusals nobody took */

#endif
