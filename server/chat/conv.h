/* conv.h - a conversation at its home: who is in it, where it ends, what its devices have acknowledged, and which sends
 * it has already accepted.
 *
 * LOADING ──rows found──> READY          LOADING ──no rows, a send may make it──> CREATING ──> READY
 * READY, its key erased ──a send──> CREATING ──> READY               READY ──being erased──> HELD (hold.h)
 * LOADING    a job reads rows, cursors, repeats and the key; asks wait
 * CREATING   the clerk commits the key, then the rows; asks wait
 * READY      asks are served; let go when idle, clean (facts cover its last record) and least recently used. One that was
 *            erased has no key, and nothing that a member may see: the next send makes another key, numbering goes on
 * HELD       asks are refused; in the table so that nobody loads it
 *
 * Two ends: `head` counts what was appended, `committed_head` what is durable. Everything told to anyone is about the
 * second. When a batch fails, the first goes back to the second.
 * Thread: the home shard. */
#ifndef PIPIT_CHAT_CONV_H
#define PIPIT_CHAT_CONV_H

#include <uthash.h>

#include "server/chat/ask.h"
#include "server/chat/chat.h"
#include "server/chat/roster.h"

struct chat;
struct hold;

/* Deleted sequences of one conversation that facts do not know yet: a second's worth, or what comes while they cannot be
 * written. A reading takes a copy. */
enum { DELETED_UNFLUSHED_MAX = 4096 };

enum conv_state { CONV_LOADING, CONV_CREATING, CONV_READY, CONV_HELD };

struct repeat {                       /* an accepted send, kept until its device settles it */
    uint64_t client_seq;
    uint64_t seq;
    struct msg_id id;
    uint64_t expiry_ms;
    struct pending *pending;          /* not yet durable: repeats wait there too */
};

struct conv_device {                  /* a device that acknowledged or sent here */
    struct device_id device;
    uint32_t member;                  /* index in conv.members */
    uint64_t delivered;               /* durable */
    uint64_t appended;                /* as of the records appended */
    uint64_t noted;                   /* as of what the device said */
    uint64_t read_noted;              /* said by this device, not yet appended; 0: nothing */
    uint64_t noted_ms;
    uint64_t settled;
    struct repeat *repeats;
    uint32_t repeat_count, repeat_cap;
};

struct conv_member {
    struct member_row row;            /* cursors as they are durable */
    uint64_t read_noted;
    bool tell, tell_read;             /* moved: others must be told; its own devices too */
};

struct fan_item {                     /* a committed message that waits for room in a pipe */
    struct fan_item *prev, *next;
    struct delivery *delivery;
    uint16_t next_slice;
};

struct conv_deleted { uint64_t seq, number; };        /* number: of the record that deletes it */

struct conv {
    UT_hash_handle hh;
    struct conv_id id;
    uint8_t state;
    uint8_t type;                     /* enum conv_type */
    bool in_lru, in_marks, in_fanout, in_receipts, in_load_wait;
    struct vault_key key;             /* number 0: erased, and nothing was sent since */
    struct hold *hold;                /* who waits for it to be held */
    uint64_t head, counted;           /* appended */
    struct msg_id last_id;
    uint64_t committed_head, committed_counted;
    struct msg_id committed_id;
    uint64_t marked_ms;
    uint64_t timer_s, committed_timer_s;              /* how long messages stay; 0: for good */
    struct conv_deleted *deleted;     /* what facts do not know yet; in the order of number */
    uint32_t deleted_count, deleted_cap;
    uint64_t deletes;                 /* records that deleted something, since it was loaded */
    uint32_t deleted_pending;         /* by records that are not durable: room is kept for them */
    uint64_t dirty_number;            /* its last committed record; clean when facts cover it */
    uint32_t pending;                 /* appends not yet durable */
    uint32_t readings;                /* reads under way */
    struct roster *roster;
    struct conv_member *members;
    uint32_t member_count;
    struct conv_device *devices;
    uint32_t device_count, device_cap;
    struct ask *waiting;              /* while LOADING or CREATING, in order */
    struct fan_item *fan;             /* in order */
    struct conv *prev, *next;                         /* lru */
    struct conv *load_prev, *load_next, *marks_prev, *marks_next, *fan_prev, *fan_next, *tell_prev, *tell_next;
};

/* PARCEL_ASK, all kinds: serve it, or let it wait until it can be served. */
void conv_on_ask(struct chat *chat, struct ask *ask);
/* Sends that found the batch full, loads that found the queue full: again. */
void conv_retry(struct chat *chat);
/* Let go of conversations that nobody needs, above the limit; all that can go when `all`. */
void conv_trim(struct chat *chat, bool all);
void conv_free(struct chat *chat, struct conv *conv);

/* For hold.c: HELD from READY, and back; its content freed and its key wiped; a new one that is HELD and empty (NULL: out
 * of memory). */
void conv_hold(struct chat *chat, struct conv *conv);
void conv_unhold(struct chat *chat, struct conv *conv);
void conv_empty(struct chat *chat, struct conv *conv);
struct conv *conv_held_new(struct chat *chat, const struct conv_id *id);

/* For the files of the home's side. */
struct conv_member *conv_member(struct conv *conv, const struct user_id *user);   /* NULL: never was one */
/* Existing or new; NULL: out of memory. `member` is an index. */
struct conv_device *conv_device(struct conv *conv, uint32_t member, struct device_id device);
struct conv_device *conv_device_find(struct conv *conv, struct device_id device);
/* Sequences a member may see: from..to; from > to: nothing. */
void conv_span(const struct conv *conv, const struct conv_member *m, uint64_t *from_out, uint64_t *to_out);
struct repeat *conv_repeat(struct conv_device *d, uint64_t client_seq);           /* NULL: none */
void conv_repeat_drop(struct conv_device *d, struct repeat *r);
/* Room for `count` more deleted sequences, letting go of those that facts know. ERR_NOMEM, or ERR_BUSY: too many that
 * facts do not know. */
int conv_deleted_reserve(struct chat *chat, struct conv *conv, uint32_t count);
void conv_deleted_add(struct conv *conv, uint64_t seq, uint64_t number);          /* there is room */
/* Fill what a device sees of a record besides its body. */
void conv_describe(const struct conv *conv, struct msg_message *out);

#endif
