/* sync_impl.h - inside sync.c and sync_in.c only: what they share. */
#ifndef PIPIT_CLIENT_SYNC_IMPL_H
#define PIPIT_CLIENT_SYNC_IMPL_H

#include "tools/client/sync.h"

enum {
    OUT_BYTES_MAX = 64 * 1024 * 1024,    /* of one transaction: more than any burst asks for */
    ASKS_MAX = 128,                      /* requests under way: 64 recipients, their gaps, a few errands */
    READS_MAX = 64,                      /* READs said again at a WELCOME whose refusal is understood; of more at the next */
};

enum ask_kind { ASK_SEND = 1, ASK_FILL, ASK_ERRAND, ASK_PING };
struct ask {
    enum ask_kind kind;
    uint64_t ref;
    uint64_t number;              /* client sequence; errand; ping */
    uint64_t again_ms;            /* 0: waits for its answer; else tried again then */
    unsigned tries;               /* answers "again" so far */
    uint64_t told;                /* code of the last of them that was told of */
    struct conv_id conv;          /* ASK_FILL: to be filled up to `until`, asked for what is after `after` */
    uint64_t after, until;
};

/* A READ that is said again has a number, though it is not answered when all is well: its refusal tells that the
 * conversation is gone, and that there is nobody to be told any more. */
struct read_again { uint64_t ref; struct conv_id conv; };

struct touched {
    struct conv_id conv;
    uint64_t came;                /* highest sequence that came as an event, or that a fill is to reach */
    bool acknowledge;
};

struct sync {
    struct home *home;
    struct account *account;
    const struct sync_ops *ops;
    void *arg;
    struct sync_time now;         /* of this transaction */
    bool open, synced;
    bool told_clock;
    uint64_t expire_ms;           /* mono_ms: look then for what has disappeared; UINT64_MAX: nothing has a time */
    uint64_t ref;
    struct msg_welcome welcome;
    struct ask *asks;
    size_t ask_count;
    struct read_again reads[READS_MAX];
    size_t read_count;
    /* -- of this transaction -- */
    struct touched *touched;
    size_t touched_count, touched_cap;
    struct sync_event *events;
    size_t event_count, event_cap;
    struct buf out;               /* frames: 4 bytes length, then the frame */
    struct buf acks;              /* acknowledgements, in the same form: they leave first */
};

/* Each NULL: out of memory. An event is told after the commit, and good until the next is made. */
struct sync_event *sync_tell(struct sync *s, enum sync_kind kind);
struct touched *sync_touch(struct sync *s, const struct conv_id *conv);
/* DELIVERED or READ, to leave after the commit. */
int sync_cursor(struct sync *s, const struct conv_id *conv, uint64_t seq, enum msg_type type);
int sync_cursor_asked(struct sync *s, const struct conv_id *conv, uint64_t seq, enum msg_type type, uint64_t ref);

/* Takes `stored` forward as far as messages are there without a gap. */
int sync_extend(struct sync *s, struct conv_row *row);

/* `now` by the server's clock. */
uint64_t sync_clock(const struct sync *s);

/* By its conversation when `conv` is given, else by its number. NULL: none. */
struct ask *sync_ask_find(struct sync *s, enum ask_kind kind, uint64_t number, const struct conv_id *conv);
void sync_ask_drop(struct sync *s, struct ask *a);

#endif
