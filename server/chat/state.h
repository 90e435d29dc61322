/* state.h - a shard's chat: every list and table it keeps. Only files of chat/ include it.
 *
 * All of it belongs to the shard's thread. Lists are utlist's; tables uthash's. */
#ifndef PIPIT_CHAT_STATE_H
#define PIPIT_CHAT_STATE_H

#include <uthash.h>
#include <utlist.h>

#include "server/chat/ask.h"
#include "server/chat/chat.h"
#include "server/chat/conv.h"
#include "server/chat/session.h"

enum {
    FANOUT_PARCELS_PER_TURN = 2048,
    RECEIPT_PARCELS_PER_TURN = 2048,
    FLUSH_EVERY_MS = 1000,
    /* What a worker's full queue or a full disk refused is tried again after this. */
    RETRY_MS = 100,
    STORAGE_RETRY_MS = 1000,
};

struct chat {
    struct shard *shard;
    const struct chat_config *config;
    struct chat_settings settings;
    struct buf scratch;               /* encoding one frame */
    bool stopping;
    struct timeout retry;             /* anything that was refused "not now" is looked at again */

    /* -- user's side -- */
    struct user *users;               /* hash by name: only users with a session here */
    struct session *sessions;         /* all of them */
    struct hello *hellos;             /* HELLOs being checked */
    struct session *waiting;          /* with asks that found no credit */
    struct session *behind;           /* whose behind_step() was told "not now" */
    struct parting *partings;         /* last words of closed sessions on their way to facts */
    uint32_t pages_out;               /* fetches asked for and pages in hand */
    struct session *paging;           /* sessions with a page in hand, the longest first */
    uint64_t session_numbers;         /* given so far */
    bool page_freed;                  /* there was no page left, and now there is */
    struct http_task *tasks;          /* HTTP requests under way */
    struct attempts *attempts;        /* of users and addresses that live here */
    uint64_t hash_us;                 /* what one password took lately; 0: not known */

    /* -- home's side -- */
    struct log *log;
    struct conv *convs;               /* hash by id */
    struct conv *lru;                 /* ready ones, least recently used first */
    struct conv *load_wait;           /* the job queue was full */
    struct hold *holds;               /* waiting for their conversations to be free: hold.c */
    struct conv *marks;               /* with cursor moves not yet in a batch */
    struct conv *fanout;              /* with committed messages to hand out, round-robin */
    struct conv *receipts;            /* with durable moves to tell */
    size_t fanout_bytes;
    uint64_t evicted_through;         /* facts flushed up to here know all that was let go */
    struct ask *full_wait;            /* sends that found the open batch full, in order */
    struct reading *reading_wait;     /* reads that found the job queue full */
    uint32_t readings;                /* under way */
    uint64_t marks_retry_ms;          /* monotonic: no marks before, after the disk was full */

    /* -- commit -- */
    struct pending *open;             /* appended since the last take, in order */
    struct pending *open_last;        /* the last of them; means nothing while there are none */
    uint32_t open_count;
    struct pending *flight;           /* in the batch the committer has */
    struct commit *commit;            /* the one work item of this shard's committer */

    /* -- flush of folds -- */
    struct fold *fold;                /* takes in what is committed */
    struct fold *flushing;            /* with the facts thread, or waiting to go there again */
    bool flush_under_way;
    uint64_t flushed;                 /* record number that facts cover */
    uint64_t committed;               /* last record number folded */
    struct timeout flush_timer;
    bool facts_failed;                /* the last flush failed: say it once */
    bool facts_broken;                /* EIO: no more sends until a restart */
};

static inline struct chat *chat_of(const struct shard *shard) { return shard->chat; }
static inline bool chat_has_no_room(const struct chat *chat)
{
    return atomic_load_explicit(&chat->config->no_room, memory_order_relaxed);
}

/* Try again what was told "not now", in RETRY_MS. */
void chat_retry_later(struct chat *chat);
/* Answer an ask to its origin. */
void ask_answer(struct chat *chat, struct ask *ask, int err, const char *why);

/* clerk work made easy: submit, or false when the queue is full. */
bool clerk_submit(struct chat *chat, struct clerk_work *w);

#endif
