/* ask.h - what a session's shard asks the home of a conversation, and the answer: one object both ways.
 *
 * It is made on the session's shard, travels as PARCEL_ASK under a credit, waits at the home as long as it must (for
 * a conversation to be loaded, for a batch to be synced, for a page to be read) and comes back as PARCEL_ANSWERED.
 * Whoever holds the pointer owns it; the session it belongs to is held (session_hold) until it is back. */
#ifndef PIPIT_CHAT_ASK_H
#define PIPIT_CHAT_ASK_H

#include "proto/proto.h"
#include "server/chat/behind.h"
#include "storage/storage.h"

enum ask_kind { ASK_SEND, ASK_CURSOR, ASK_FETCH, ASK_HEADS, ASK_HISTORY, ASK_INFO, ASK_MARKS };

/* One conversation of a scan slice, as the home knows it. */
struct head_row {
    struct scan_row row;          /* from the snapshot; the home overwrites it when it knows better */
    uint16_t home;
};

/* Moves of cursors, each with the conversation's last sequence when it was made. */
struct mark_at { uint64_t place; struct mark mark; };
struct mark_list {
    bool more;                    /* go on at `place`, behind `last` */
    uint64_t place;
    struct position last;
    size_t count;
    struct mark_at marks[];
};

struct scan;                      /* chat/catchup.c */
struct chat;
struct glance;

struct ask {
    struct ask *prev, *next;      /* of whatever list it waits in */
    uint8_t kind;
    bool has_ref;
    bool may_create;              /* SEND to a user: make the direct conversation when there is none */
    uint16_t origin;              /* shard of the session */
    int err;                      /* the answer: 0 or ERR_* … */
    const char *why;              /* … and a constant clause, or NULL */
    void (*answered)(struct chat *chat, struct ask *ask);   /* set: no session asked, and this takes it at the home */
    struct glance *glance;        /* whose it is then */
    uint64_t ref;
    struct session *session;      /* held; only the origin looks into it */
    uint64_t session_number;
    struct user_id user;          /* who asks */
    struct device_id device;
    struct conv_id conv;
    struct user_id peer;          /* may_create: the other member */
    union {
        struct {
            uint64_t client_seq, settled, expire_s;
            uint8_t kind;                         /* KIND_MESSAGE, KIND_DELETE or KIND_TIMER: of the record it makes */
            bool allowed;                         /* KIND_DELETE: all it names may be deleted, as deleting.c found */
            uint64_t seq, expiry_ms;              /* answer */
            struct msg_id id;                     /* answer */
        } send;
        struct { uint64_t delivered, read; } cursor;          /* sequences; 0: not moved */
        struct {
            bool have_after, cursors;
            uint64_t after;
            uint64_t since_ms;                    /* where a device without a cursor begins at the latest */
            struct page *page;                    /* answer */
        } fetch;
        struct {
            struct scan *scan;                    /* opaque at the home */
            uint32_t count;
            struct head_row **rows;               /* those whose home is asked */
            uint64_t flushed;                     /* record number of the home's log in the snapshot */
        } heads;
        struct {
            bool has_before, has_after, has_around;       /* as in msg_history */
            uint64_t before, after, around, limit;
            struct frame *frame;                  /* answer */
        } history;
        struct { uint64_t seq; struct frame *frame; } info;
        struct {
            uint64_t place;                       /* from here on … */
            struct position after;                /* … and there behind this */
            struct mark_list *list;               /* answer */
        } marks;
    } u;
    uint32_t body_len;
    uint8_t body[];               /* SEND: of its record */
};

struct ask *ask_new(enum ask_kind kind, struct bytes body);     /* zeroed; NULL: out of memory */
void ask_free(struct ask *ask);                                 /* with what its answer holds */
static inline struct bytes ask_body(const struct ask *a) { return (struct bytes){ a->body, a->body_len }; }

#endif
