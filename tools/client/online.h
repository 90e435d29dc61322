/* online.h - keeps the session of a home alive: connects, says HELLO, connects again, hears and says in time.
 *
 *   OFFLINE ──try──> CONNECTING ──WELCOME──> OPEN        both fall back to OFFLINE; after REPLACED, REVOKED, AUTH or
 *                                                        VERSION it is over: online_turn() returns that error
 *
 * Tries again after a random time between BACKOFF_MS_MIN and a bound that doubles up to BACKOFF_MS_MAX, so that the
 * clients of a server that was away do not come back in step.
 *
 * Used by the process that holds the home's lock. One call of online_turn() waits for the link, the home's FIFO, one
 * descriptor of the caller's, or a time, whichever is first, and does what is to be done.
 * Thread: one. */
#ifndef PIPIT_CLIENT_ONLINE_H
#define PIPIT_CLIENT_ONLINE_H

#include "tools/client/link.h"
#include "tools/client/sync.h"

enum {
    BACKOFF_MS_MIN = 500,
    BACKOFF_MS_MAX = 30000,
    DRAIN_MS_MAX = 5000,          /* waiting at the end for the server to have heard all */
};

struct online_ops {
    void (*on_event)(void *arg, const struct sync_event *event);    /* as sync.h has it */
    void (*on_link)(void *arg, bool open, const char *why);         /* open: WELCOME came. Once for each change */
};
struct online;

/* The home's lock is held; home, account and url outlive it. ca_file may be NULL. 0, ERR_NOMEM, ERR_IO (the FIFO). */
int online_new(struct home *home, struct account *account, const struct url *url, const char *ca_file,
               const struct online_ops *ops, void *arg, struct online **out);
void online_free(struct online *o);           /* closes the link; NULL allowed */

/* One turn, no longer than until mono_ms() is `until_ms`. `fd` is -1 or polled for input; *ready_out says whether it
 * is ready. Returns 0, an error of the store, or ERR_REPLACED, ERR_REVOKED, ERR_AUTH, ERR_VERSION and whatever else
 * HELLO was refused for; online_why() says it for people. */
int online_turn(struct online *o, int fd, bool *ready_out, uint64_t until_ms);
/* Wait, boundedly, until the server has read all that was acknowledged and sent. Nothing when there is no link. */
int online_drain(struct online *o);
/* A read cursor, in a transaction of its own, together with marking `count` messages as shown. */
int online_show(struct online *o, const struct msg_id *ids, size_t count, const struct conv_id *convs,
                const uint64_t *seqs, size_t conv_count);
/* The same, with a send going out (NULL: none) in the same transaction. */
struct reply {
    const struct user_id *to;
    struct bytes body;
};
int online_answer(struct online *o, const struct msg_id *ids, size_t count, const struct conv_id *convs,
                  const uint64_t *seqs, size_t conv_count, const struct reply *reply, uint64_t *client_seq_out);
/* Rows of outbox or errands were added by this process: take them up. */
int online_step(struct online *o);

bool online_is_open(const struct online *o);
bool online_was_open(const struct online *o); /* ever */
bool online_has_tried(const struct online *o);/* an attempt has ended, well or not */
const char *online_why(const struct online *o);

#endif
