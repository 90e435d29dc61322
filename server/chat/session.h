/* session.h - an authenticated device on a connection.
 *
 * HELLO -> OPEN -> CLOSED, and HELLO -> CLOSED.
 * HELLO    the device says who it is; a job compares its token; the connection is paused
 * OPEN     live; in each conversation pushed to, in the set, or not passed (behind.h)
 * CLOSED   its connection is gone or going; asks under way still hold its memory
 * A second HELLO of the same device ends its first session. Nothing of a session outlives it but the device's highest
 * client sequence and the time it was last live, which travel to facts as a struct parting.
 * Thread: the shard of the user. */
#ifndef PIPIT_CHAT_SESSION_H
#define PIPIT_CHAT_SESSION_H

#include <uthash.h>

#include "server/chat/ask.h"
#include "server/chat/behind.h"
#include "server/chat/chat.h"

enum {
    /* Asks of one session without an answer: above the first reading stops until half are back; above the second,
     * which only what was read at once can reach, a send is told BUSY. */
    SESSION_ASKS_HIGH = 64,
    SESSION_ASKS_MAX = 512,
    /* Unheard for this many intervals: closed as IDLE. */
    HEARTBEATS_MISSED_MAX = 2,
    /* A link that was half-open may have swallowed what was written before its last sign of life: cursor news are told
     * again from this many intervals before it. */
    LIVE_SLACK_HEARTBEATS = 2,
};

struct chat;
struct session;

struct user {                      /* a user with at least one session on this shard */
    UT_hash_handle hh;
    struct user_id id;
    struct session *sessions;      /* at most DEVICES_PER_USER_MAX, one a device */
};

enum session_state { SESSION_HELLO, SESSION_OPEN, SESSION_CLOSED };

/* What a connection's owner pointer points to begins with its kind. */
enum owner_kind { OWNER_SESSION = 1, OWNER_TASK = 2 };

struct session {
    uint8_t owner_kind;
    uint8_t state;
    bool paused;                   /* too many asks: reading stopped */
    bool in_waiting, in_behind;
    bool has_page;                 /* a page in hand: counted in chat->pages_out */
    bool has_ref;                  /* of HELLO */
    uint64_t number;               /* among all sessions of this shard: tells it from an earlier one of its device */
    uint32_t holds;                /* asks and jobs under way: freed when closed and none is left */
    uint32_t asks;                 /* without an answer */
    uint64_t ref;
    struct chat *chat;
    struct conn *conn;             /* NULL once closed */
    struct user *user;             /* OPEN only */
    struct user_id user_id;
    struct device_id device;
    struct behind *behind;         /* its place in every conversation */
    struct ask *wait;              /* found no credit, in order */
    uint64_t client_seq_max;       /* the highest passed on, or known from before */
    size_t waiting_bytes;          /* of its connection, at the last heartbeat … */
    uint64_t moved_ms;             /* … and when it last was another number: monotonic */
    uint64_t live_ms;              /* wall: cursor news from here on are told in the sync */
    uint64_t since_ms;             /* of its device's row */
    struct scan *scan;             /* the slice being read */
    uint64_t heartbeat_ms;         /* as its WELCOME tells, whatever is set later */
    struct timeout heartbeat;
    struct session *prev, *next;                       /* chat->sessions */
    struct session *user_prev, *user_next;             /* user->sessions */
    struct session *wait_prev, *wait_next;             /* chat->waiting */
    struct session *behind_prev, *behind_next;         /* chat->behind */
    struct session *page_prev, *page_next;             /* chat->paging */
};

struct parting {
    struct clerk_work work;
    struct chat *chat;
    struct user_id user;
    struct device_id device;
    uint64_t live_ms, seen_ms, client_seq_max;
    bool under_way;
    struct parting *prev, *next;
};

/* The first frame of a connection, on the shard of its user. */
void session_hello(struct chat *chat, struct conn *conn, const struct msg *msg);
/* A later frame. */
void session_on_frame(struct session *s, struct bytes bytes);
void session_on_closed(struct session *s, int err);    /* the conn is gone */
void session_close(struct session *s, int err);        /* GOODBYE with the reason, then close; idempotent */
void session_hold(struct session *s);
void session_release(struct session *s);
/* Rows of this user were committed: HELLOs of it that are being checked now may have read what was before, so they are
 * checked again. */
void hellos_again(struct chat *chat, const struct user_id *user);

/* Encode and queue one message. */
void session_send(struct session *s, const struct msg *msg);
/* ERROR for the request `ref`; `why` NULL: err_text(). Counts it. */
void session_error(struct session *s, bool has_ref, uint64_t ref, int err, const char *why);
/* One more, or one less, of its requests without an answer: with too many reading stops for a while. Who counts in
 * holds the session until it has counted out. */
void session_count_in(struct session *s);
void session_count_out(struct session *s);
/* Send an ask to its conversation's home: takes it; waits for a credit when there is none. */
void session_ask(struct session *s, struct ask *ask);
/* An ask came back. */
void session_on_answer(struct chat *chat, struct ask *ask);
/* Asks without credit, sessions behind: again. True: something moved and more may. */
void sessions_retry(struct chat *chat);
struct user *user_find(struct chat *chat, const struct user_id *id);
void partings_retry(struct chat *chat);

/* dispatch.c: one handler for each request. */
void dispatch(struct session *s, const struct msg *msg);
void on_send(struct session *s, const struct msg *msg);
void on_send_answer(struct session *s, struct ask *ask);
void on_delete(struct session *s, const struct msg *msg);
void on_timer(struct session *s, const struct msg *msg);
void on_cursor(struct session *s, const struct msg *msg);
void on_history(struct session *s, const struct msg *msg);
void on_info(struct session *s, const struct msg *msg);
void on_devices(struct session *s, const struct msg *msg);
void on_ping(struct session *s, const struct msg *msg);
/* The conversation a request means. */
struct conv_id where_conv(const struct session *s, const struct where *where);

/* catchup.c: the ops of struct behind, and what comes back. */
extern const struct behind_ops catchup_ops;
void catchup_on_fetched(struct session *s, struct ask *ask);
void catchup_on_heads(struct session *s, struct ask *ask);
void catchup_stop(struct session *s);
void catchup_count_page(struct session *s);            /* the page in hand may have been written to its end */
void catchup_drop_page(struct session *s);             /* something was deleted: the page in hand is read again */
void scan_unref(struct scan *scan);
void session_step_later(struct session *s);           /* after a failure: not at once, in RETRY_MS */
void session_step(struct session *s);                  /* behind_step(), and come again when it says so */

/* on_http.c */
void http_on_request(struct conn *conn, const struct http_request *request);
void http_on_closed(void *owner);

#endif
