/* pipit_impl.h - inside pipit*.c, and for chat, which shows more of a home than the face does: what is behind it. */
#ifndef PIPIT_CLIENT_PIPIT_IMPL_H
#define PIPIT_CLIENT_PIPIT_IMPL_H

#include "tools/client/online.h"
#include "tools/client/pipit.h"

enum {
    LOOK_MS = 20,                 /* between two looks whether another process is done */
    SHORT_MS_MAX = 60000,         /* no program keeps the session for one request longer */
};

struct pipit {
    struct home *home;
    struct account account;
    struct url url;
    char server[SERVER_URL_MAX];
    char ca_file[HOME_PATH_MAX];  /* "": the system's */
    const struct pipit_events *events;
    void *arg;
    struct online *online;        /* NULL: no session of ours */
    bool keeps;                   /* by pipit_start(), not for one request */
    bool due;                     /* rows of outbox or errands are new: the next turn takes them up */
    bool was_online;              /* ever */
    char why[WHY_MAX];
    struct pipit_message *batch;  /* PIPIT_NEW_MAX, given by pipit_new() */
    struct buf texts;             /* theirs */
};

/* `err` again; its reason, by default what err_text() says, becomes pipit_why(). */
int pipit_fail(struct pipit *p, int err, const char *why);
/* The home's lock. ERR_IN_USE: who has it keeps it; one that has it for a request only is waited for. */
int pipit_lock(struct pipit *p, const char *name);
/* Turns, with our session or that of another process, until `look` returns something else than ERR_AGAIN, and returns
 * that; ERR_IDLE when time is up. */
typedef int look_fn(struct pipit *p, void *arg);
int pipit_until(struct pipit *p, look_fn *look, void *arg, uint64_t timeout_ms);
/* The answer to `request`; refusals of the server have become errors. The frame is in `answer`, *m_out points into
 * it. */
int pipit_ask(struct pipit *p, const struct msg *request, enum msg_type wanted, uint64_t timeout_ms, struct buf *answer,
              struct msg *m_out);
/* The text of a record; BYTES_NONE: none that this version can show. */
struct bytes content_of(const struct msg_message *m);
/* A record that people are told of; others keep their place and say nothing. */
bool pipit_is_told(const struct msg_message *m);
enum pipit_what pipit_what_of(uint64_t kind);
struct pipit_message pipit_message_of(const struct user_id *self, const struct msg_message *m,
                                      const struct user_id *peer);

#endif
