/* sync.h - what a device stores, acknowledges, repeats and asks for; the rules of docs/protocol.md as code.
 *
 * No socket and no clock: frames come in through sync_on_frame(), frames go out through ops.send, time is an argument.
 * All happens between sync_begin() and sync_end(), which is one transaction of the store. Only when that is committed
 * does anything leave: acknowledgements first, then requests, then sends; and only then is anyone told (ops.on_event).
 * So what was acknowledged or shown is on disk, and what is on disk and was not acknowledged comes again.
 *
 * In each conversation `stored` is the end of the prefix without a gap; it is what DELIVERED says. A jump behind it is
 * filled from HISTORY first; what a TOMBSTONE or a page says is gone is stepped over. A device that is new in a conversation is due what the first MESSAGE brings, and what
 * follows; before that its own accepted sends prove nothing, except for the very first message of all.
 *
 * Messages disappear when their time has come, by this device's clock put right by what WELCOME said, whether there is
 * a link or not: a slice in each transaction, and sync_due_ms() asks for the next.
 *
 * Sends: a row of the outbox, transmitted with the same number and bytes until it is answered, by ACCEPTED, by ERROR
 * without "again", or by the message itself coming back. One for each recipient is under way at a time.
 * Thread: one. */
#ifndef PIPIT_CLIENT_SYNC_H
#define PIPIT_CLIENT_SYNC_H

#include "tools/client/home.h"

enum {
    RETRY_MS = 1000,              /* when an ERROR with "again" names no time: this, then double it each time */
    RETRY_MS_MAX = 60000,         /* whatever time it names */
    CLOCK_OFF_MS = 60000,         /* people do not notice less */
    EXPIRE_LOOK_MS = 60000,       /* while messages have a time, the clock is looked at so often: it may have been set */
};

enum sync_kind {
    SYNC_WELCOME,                 /* the session is open; sync_welcome() tells more */
    SYNC_MESSAGE,                 /* new in the store: conv, seq, id, user (from), device, record; to be shown when
                                   * fresh */
    SYNC_CLOCK,                   /* this device's clock is off by more than CLOCK_OFF_MS: text. Once for each struct
                                   * sync */
    SYNC_DEVICE,                  /* the user's devices have changed: device, change (enum device_change), text (its
                                   * name) */
    SYNC_GONE,                    /* the records seq..number of conv, with user, are gone: none of them came or will */
    SYNC_RECEIPT,                 /* another member's cursors moved: conv, user, delivered, read, time_ms */
    SYNC_ACCEPTED,                /* own send: conv, seq, id, client_seq, user (to), record */
    SYNC_REFUSED,                 /* own send, for good: client_seq, err, text, user (to), record */
    SYNC_LATER,                   /* not now, and tried again by itself in time_ms: err, text; an own send: client_seq,
                                     user (to). Told when a request first meets this error, not at each try */
    SYNC_ERROR,                   /* an ERROR that answers HELLO, or nothing that waits: err, again, time_ms, text */
    SYNC_MOVED,                   /* conv: what of it is there without a gap, or the user's own read cursor, may have
                                     moved, or messages of it have disappeared. Told last, once for each conversation
                                     that a transaction touched */
    SYNC_SYNCED,                  /* all that waited at HELLO has come */
    SYNC_PONG,                    /* number: what sync_ping() returned */
    SYNC_GOODBYE,                 /* err, text, time_ms: when to come back (0: as you like) */
};
struct sync_event {
    enum sync_kind kind;
    struct conv_id conv;
    struct msg_id id;
    struct user_id user;
    struct device_id device;
    uint64_t seq, client_seq, delivered, read, time_ms, number, change;
    uint64_t record;              /* enum record_kind: what came, or what was sent. 0: neither */
    int err;
    bool again;
    char text[160];
};

struct sync_ops {
    void (*send)(void *arg, struct bytes frame);                       /* on a dead link nothing happens */
    void (*on_event)(void *arg, const struct sync_event *event);       /* may call no sync_* but sync_welcome() */
};
struct sync_time {
    uint64_t mono_ms;             /* for waiting */
    uint64_t wall_ms;             /* since 1970, for rows that age */
};

struct sync;

/* NULL: out of memory. `home` and `account` stay the caller's and outlive it. */
struct sync *sync_new(struct home *home, struct account *account, const struct sync_ops *ops, void *arg);
void sync_free(struct sync *s);

/* The link is up: HELLO leaves at once. The link is gone: whatever was under way is under way no more. */
int sync_on_up(struct sync *s);
void sync_on_lost(struct sync *s);

int sync_begin(struct sync *s, struct sync_time now);
/* One frame from the server. ERR_MALFORMED and its like: it does not speak the protocol, end the link. Errors of the
 * store as home.h has them. After an error: sync_abort(). */
int sync_on_frame(struct sync *s, struct bytes frame);
/* Own read cursor to `seq`, and READ; never beyond what is stored. */
int sync_read(struct sync *s, const struct conv_id *conv, uint64_t seq);
/* Also takes up new rows of outbox and errands. On error nothing has happened: no frame has left, no event is told. */
int sync_end(struct sync *s);
void sync_abort(struct sync *s);

/* PING; its PONG is an event. Returns a number to know it by. Not between begin and end. */
uint64_t sync_ping(struct sync *s);
bool sync_is_open(const struct sync *s);                               /* WELCOME came */
bool sync_is_synced(const struct sync *s);
const struct msg_welcome *sync_welcome(const struct sync *s);          /* `server` is empty */
/* mono_ms when something has to be tried again (an empty begin and end does it); UINT64_MAX: nothing. */
uint64_t sync_due_ms(const struct sync *s);

#endif
