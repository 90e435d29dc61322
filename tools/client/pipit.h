/* pipit.h - a Pipit device as a library: what `pipit` itself is made of, and what a bot needs.
 *
 * struct pipit is a home: a folder in which one device of one user keeps its account, its messages and what it still
 * has to send. Everything that matters is on disk before a call returns, so a program may be killed at any moment:
 * - pipit_send() has stored the message when it returns 0. It then leaves by itself, is repeated until the server has
 *   answered, by this program or the next one of this home, and makes exactly one message.
 * - pipit_new() gives a message again, also after a restart, until pipit_seen() or pipit_answer() was called for it.
 *
 * A device has one session at a time. pipit_start() takes it and keeps it; from then on pipit_turn() does all the work,
 * connecting and connecting again included, and pipit_new() tells what came. A program that only sends or asks need not
 * start: it uses the session of another program of the same home if there is one, else one of its own for a moment.
 *
 *     struct pipit *p;
 *     char why[PIPIT_WHY_MAX];
 *     int err = pipit_open("/srv/echo", NULL, &p, why);      (made by `pipit --home /srv/echo login echo`)
 *     if (!err) err = pipit_start(p, "echo");
 *     while (!err) {
 *         const struct pipit_message *m;
 *         size_t count;
 *         err = pipit_turn(p, -1, NULL, PIPIT_FOREVER);
 *         if (!err) err = pipit_new(p, &m, &count);
 *         for (size_t i = 0; !err && i < count; i++) err = pipit_answer(p, &m[i], m[i].text, NULL);
 *     }
 *     pipit_close(p);
 *
 * Functions return 0 or a negative ERR_* of proto/err.h; pipit_why() then says it in a clause. Every one may also
 * return what a home can fail with: ERR_NO_SPACE, ERR_IO, ERR_CORRUPT, ERR_NOMEM, ERR_IN_USE (another process held it
 * for long). Those that ask the server (they say "asks") return its own error when it refuses, and ERR_IDLE when no
 * answer came within `timeout_ms`. Texts of others are UTF-8 and nothing more is promised of them: they may hold escape
 * sequences. Call sodium_init() first. Thread: a struct pipit belongs to one; processes of one home: any number. */
#ifndef PIPIT_H
#define PIPIT_H

#include "proto/err.h"
#include "proto/id.h"
#include "proto/limits.h"

enum {
    PIPIT_WHY_MAX = 256,
    PIPIT_NEW_MAX = 64,           /* messages that pipit_new() gives at once */
};
#define PIPIT_FOREVER UINT64_MAX

struct pipit;

struct pipit_server {
    const char *url;              /* ws://HOST[:PORT] or wss://HOST[:PORT] */
    const char *ca_file;          /* trust this authority for wss://; NULL: those of the system */
};

/* ---- an account, before there is a home; both ask, by HTTP ---- */

/* 0, the server's refusal (ERR_INVITE, ERR_EXISTS, …), ERR_CONFIG (the URL), ERR_AUTH (the certificate), ERR_PEER,
 * ERR_IDLE (no answer). `invite` may be NULL: where registration is open none is needed. */
int pipit_register(const struct pipit_server *server, const struct user_id *user, const char *password,
                   const char *invite, char why[static PIPIT_WHY_MAX]);
/* Makes a new device of `user` and its home in `dir`, which must not be one yet (ERR_EXISTS). device_name is for
 * people. */
int pipit_login(const char *dir, const struct pipit_server *server, const struct user_id *user, const char *password,
                const char *device_name, char why[static PIPIT_WHY_MAX]);

struct pipit_server_info {
    char program[NAME_BYTES_MAX + 1];                     /* and version */
    bool is_open, is_closed;      /* registration; neither: an invite is needed */
};
int pipit_server_ask(const struct pipit_server *server, struct pipit_server_info *out, char why[static PIPIT_WHY_MAX]);

/* ---- a home ---- */

/* `server` NULL: as at log-in. ERR_NOT_FOUND: nobody is logged in there. ERR_NEWER: a newer program wrote it. */
int pipit_open(const char *dir, const struct pipit_server *server, struct pipit **out, char why[static PIPIT_WHY_MAX]);
void pipit_close(struct pipit *p);                        /* ends the session; NULL allowed */
const struct user_id *pipit_user(const struct pipit *p);
struct device_id pipit_this_device(const struct pipit *p);
const char *pipit_server(const struct pipit *p);          /* its URL */
const char *pipit_why(const struct pipit *p);             /* of the last error; "" when there is no more to say */
/* Whom a text means: "me", a contact's name, or a user; "@user" is always a user. ERR_NAME. */
int pipit_who(struct pipit *p, const char *text, struct user_id *out);

/* ---- what is told; set before anything that asks. Each may be NULL ---- */

/* What a record of a conversation does. Only what says something has a text, and is to be answered. PIPIT_GONE is no
 * record: some that there were, between those of a history. */
enum pipit_what { PIPIT_SAYS, PIPIT_DELETES, PIPIT_SETS_TIMER, PIPIT_GONE };
enum pipit_device_change { PIPIT_DEVICE_ADDED = 1, PIPIT_DEVICE_NAMED, PIPIT_DEVICE_REVOKED };
struct pipit_receipt {            /* another member's cursors: all messages up to them, by sequence */
    struct conv_id conv;
    struct user_id user;
    uint64_t delivered, read, time_ms;
};
struct pipit_gone {               /* records that were due to this device, and of which nothing is left to come */
    struct conv_id conv;
    struct user_id peer;
    uint64_t first, last;         /* their numbers in the conversation */
};
/* From within a call that turns or asks. In them everything may be called but what turns, asks, starts or closes. */
struct pipit_events {
    void (*on_link)(void *arg, bool online, const char *why);        /* once for each change */
    void (*on_synced)(void *arg);                                    /* all that waited has come */
    void (*on_receipt)(void *arg, const struct pipit_receipt *receipt);
    void (*on_gone)(void *arg, const struct pipit_gone *gone);
    void (*on_sent)(void *arg, uint64_t number, const struct msg_id *id);
    /* for good */
    void (*on_refused)(void *arg, uint64_t number, enum pipit_what what, const struct user_id *to, int err,
                       const char *text);
    /* The server cannot do it now, for the reason given; it is tried again by itself. `to` is "" for a question. */
    void (*on_later)(void *arg, const struct user_id *to, int err, const char *text);
    /* Another session has changed the user's devices. `name` is what its owner calls the device. */
    void (*on_device)(void *arg, enum pipit_device_change what, struct device_id device, const char *name);
    void (*on_notice)(void *arg, const char *text);                  /* for people; in no hurry */
};
void pipit_tell(struct pipit *p, const struct pipit_events *events, void *arg);    /* both stay the caller's */

/* ---- the session ---- */

/* ERR_IN_USE: another program has it and keeps it; pipit_why() names it. `name` names this one to others. */
int pipit_start(struct pipit *p, const char *name);
/* Wait for the server, other programs of this home, one descriptor of the caller's (`fd`, or -1; *ready_out, or NULL,
 * says whether it can be read), or `timeout_ms`, and do what is to be done. After an error the session is over:
 * ERR_REPLACED, ERR_REVOKED, ERR_AUTH, ERR_VERSION mean for good. A server that is away is no error. */
int pipit_turn(struct pipit *p, int fd, bool *ready_out, uint64_t timeout_ms);
/* Wait, for some seconds at most, until the server has all that was seen and sent. */
int pipit_drain(struct pipit *p);
bool pipit_is_online(const struct pipit *p);

/* ---- messages ---- */

struct pipit_message {
    struct msg_id id;
    struct conv_id conv;
    struct user_id peer;          /* the other member of a direct conversation; oneself: notes */
    struct user_id from;
    struct device_id device;      /* that sent it */
    uint64_t seq;                 /* its number in the conversation */
    uint64_t time_ms;             /* by the server's clock */
    bool is_own;                  /* from == pipit_user() */
    bool is_deleted;              /* there was one; its text is gone */
    bool is_empty;                /* there is nothing in it for this device */
    enum pipit_what what;
    struct bytes text;            /* .at NULL: none that this version can show. Good as long as the message */
    uint64_t expires_ms;          /* it disappears then, here too; 0: it stays */
    struct bytes deleted;         /* PIPIT_DELETES: by their sequences, 8 bytes each, big-endian; good like `text` */
    uint64_t timer_s;             /* PIPIT_SETS_TIMER: what comes from then on stays so long; 0: for good */
    uint64_t gone_to;             /* PIPIT_GONE: all from `seq` to this one, both included; only `conv` and `peer` are
                                   * set besides. They were deleted, have disappeared, or the server let them go */
};

/* Store a text of 1 to TEXT_BYTES_MAX bytes; *number_out (may be NULL) names it until it has an id. ERR_TOO_BIG,
 * ERR_RANGE (empty), ERR_MALFORMED (not UTF-8). Does not ask: pipit_turn(), pipit_sent() or another program lets it
 * leave. */
int pipit_send(struct pipit *p, const struct user_id *to, struct bytes text, uint64_t *number_out);
/* Asks, and waits until it has an id. An error with a server's name means refused, for good; after ERR_IDLE it may
 * still leave at any time. */
int pipit_sent(struct pipit *p, uint64_t number, uint64_t timeout_ms, struct msg_id *id_out);

/* What came and was not seen, oldest first, at most PIPIT_NEW_MAX; messages of the user's other devices are among them,
 * and so is who deleted and who set the timer. Good until the next call of this function or pipit_close(). */
int pipit_new(struct pipit *p, const struct pipit_message **messages_out, size_t *count_out);
/* They are not new any more; with `read` their senders are told. One transaction. Wants a session (pipit_start). */
int pipit_seen(struct pipit *p, const struct pipit_message *messages, size_t count, bool read);
/* Seen and read, and `text` goes to its conversation, in one transaction: however often a program is killed, each
 * message is answered once. Errors as pipit_send(). */
int pipit_answer(struct pipit *p, const struct pipit_message *message, struct bytes text, uint64_t *number_out);

/* Asks for the last `limit` messages with `peer` below the sequence `before` (0: the newest), and hands them over
 * oldest first, held in memory meanwhile. `each`: not 0 ends it, and is returned. */
typedef int pipit_message_fn(void *arg, const struct pipit_message *message);
int pipit_history(struct pipit *p, const struct user_id *peer, uint64_t before, uint64_t limit, uint64_t timeout_ms,
                  pipit_message_fn *each, void *arg);
/* The same from what this device has: does not ask. */
int pipit_history_here(struct pipit *p, const struct user_id *peer, uint64_t before, uint64_t limit,
                       pipit_message_fn *each, void *arg);
/* The last messages before `ms` and the first ones from then on, half of `limit` (at most PAGE_RECORDS_MAX) each: from
 * the server, and from what this device has. */
int pipit_history_around(struct pipit *p, const struct user_id *peer, uint64_t ms, uint64_t limit, uint64_t timeout_ms,
                         pipit_message_fn *each, void *arg);
int pipit_history_around_here(struct pipit *p, const struct user_id *peer, uint64_t ms, uint64_t limit,
                              pipit_message_fn *each, void *arg);

/* Asks for all messages of a conversation above the sequence `after`, oldest first, a page in memory at a time. */
int pipit_history_after(struct pipit *p, const struct conv_id *conv, const struct user_id *peer, uint64_t after,
                        uint64_t timeout_ms, pipit_message_fn *each, void *arg);

struct pipit_member {             /* how far a message is with a member */
    struct user_id user;
    uint64_t delivered_ms, read_ms;                       /* 0: not yet */
    bool is_delivered_before, is_read_before;             /* that time is the latest it can have been */
};
/* Asks. *message_out has no text. ERR_NOT_FOUND: this home does not know the message. */
int pipit_info(struct pipit *p, const struct msg_id *id, uint64_t timeout_ms, struct pipit_message *message_out,
               int (*each)(void *arg, const struct pipit_member *member), void *arg);

/* ---- deleting for everyone, and disappearing messages ---- */

/* Both are stored as pipit_send() stores a message, leave like one, and are waited for by pipit_sent().
 *
 * Delete a message of this user's for everyone. ERR_NOT_FOUND: this home does not know it, or it is deleted already;
 * ERR_DENIED: it is another's. Of pipit_sent(): ERR_NOT_FOUND (it is gone already), ERR_DENIED (sent too long ago). */
int pipit_delete(struct pipit *p, const struct msg_id *id, uint64_t *number_out);
/* How long messages stay in the conversation with `peer`, for both, from now on. 0: for good. ERR_RANGE: not 0, nor
 * TIMER_S_MIN to EXPIRE_S_MAX. */
int pipit_timer_set(struct pipit *p, const struct user_id *peer, uint64_t seconds, uint64_t *number_out);
struct pipit_timer {
    uint64_t seconds;             /* 0: messages stay */
    struct user_id by;            /* who set it; "": nobody did, or before what this device knows */
};
/* Asks, for what was said last. */
int pipit_timer(struct pipit *p, const struct user_id *peer, uint64_t timeout_ms, struct pipit_timer *out);
/* As this device knows it: does not ask. */
int pipit_timer_here(struct pipit *p, const struct user_id *peer, struct pipit_timer *out);

/* ---- the user's devices; each asks, and hands over the list as it is then, oldest first ---- */

struct pipit_device {
    struct device_id device;
    struct bytes name;            /* good during the call */
    uint64_t created_ms, live_ms; /* when it was last connected; 0: never */
    bool is_this;
};
typedef int pipit_device_fn(void *arg, const struct pipit_device *device);
int pipit_devices(struct pipit *p, uint64_t timeout_ms, pipit_device_fn *each, void *arg);
/* ERR_NOT_FOUND: no such device. The name "" takes the name away. */
int pipit_device_name(struct pipit *p, struct device_id device, const char *name, uint64_t timeout_ms,
                      pipit_device_fn *each, void *arg);
/* Its session is over before this returns. Not for this device: pipit_logout(). */
int pipit_device_revoke(struct pipit *p, struct device_id device, uint64_t timeout_ms, pipit_device_fn *each,
                        void *arg);

/* ---- the user's account; each asks, by HTTP ---- */
/* ERR_AUTH, ERR_REVOKED of each: the server does not take this device any more. */

/* ERR_DENIED: `password` is not this account's. *logged_out: how many other devices were. */
int pipit_password(struct pipit *p, const char *password, const char *new_password, bool log_out_others,
                   uint64_t *logged_out);
/* For good, with all its devices. ERR_DENIED as above. Then pipit_forget(). */
int pipit_delete_account(struct pipit *p, const char *password);
/* The server forgets this device. Then pipit_forget(). */
int pipit_logout(struct pipit *p);
/* Does not ask: empties the home, so that nothing of the account is left in it; only pipit_close() may follow.
 * ERR_IN_USE: another program does not let go of it. */
int pipit_forget(struct pipit *p);
/* One page of what the server has of the account, JSON as docs/protocol.md tells it; `after` NULL: the first. Give it
 * to free(). */
int pipit_export_account(struct pipit *p, const char *after, char **json_out);

/* ---- what this device has; nothing of this asks ---- */

struct pipit_conversation {
    struct conv_id conv;
    struct user_id peer;          /* the user itself: notes */
    char contact[NAME_BYTES_MAX + 1];                     /* "": it has no name here */
    uint32_t unread;
    bool is_marked;               /* as unread, by pipit_mark_unread() */
    bool has_last;
    struct pipit_message last;    /* good during the call */
};
typedef int pipit_conversation_fn(void *arg, const struct pipit_conversation *conversation);
int pipit_conversations(struct pipit *p, uint32_t limit, pipit_conversation_fn *each, void *arg);    /* newest first */
/* Messages with `text` in them, whatever its case and accents, newest first, at most `limit`. `peer` NULL: of all. */
int pipit_search(struct pipit *p, const char *text, const struct user_id *peer, uint64_t limit, pipit_message_fn *each,
                 void *arg);
/* Deletes it here, for this user on this device alone. ERR_NOT_FOUND. */
int pipit_delete_here(struct pipit *p, const struct msg_id *id);
int pipit_mark_unread(struct pipit *p, const struct user_id *peer);                   /* ERR_NOT_FOUND: nothing yet */
/* Sends that have no answer yet. */
int pipit_waiting(struct pipit *p, uint64_t *count_out);
/* "pid 4711, listen": who keeps the session of this home; "" when nobody does. */
int pipit_holder(struct pipit *p, char holder[static 64]);

struct pipit_contact {
    char name[NAME_BYTES_MAX + 1];
    struct user_id user;
    uint64_t added_ms;
};
/* A link names a server and a user and holds no secret; docs/protocol.md has its forms. */
enum { PIPIT_LINK_MAX = 320 };
void pipit_link(const struct pipit *p, char link[static PIPIT_LINK_MAX]);             /* of this user */
/* Gives the user of a link, or a user's name, a name here; `name` NULL: the user's own. ERR_MALFORMED (no link, no
 * name), ERR_UNSUPPORTED (another server), ERR_EXISTS (the name is another's). */
int pipit_contact_add(struct pipit *p, const char *link, const char *name, struct pipit_contact *out);
int pipit_contact_rename(struct pipit *p, const char *name, const char *new_name);    /* ERR_NOT_FOUND too */
int pipit_contact_remove(struct pipit *p, const char *name);                          /* ERR_NOT_FOUND */
int pipit_contacts(struct pipit *p, int (*each)(void *arg, const struct pipit_contact *contact), void *arg);

#endif
