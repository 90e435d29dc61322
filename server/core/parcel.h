/* parcel.h - everything that may cross from one thread to another, in one list.
 *
 * A parcel is a small value that a pipe copies; what it points to belongs to the pusher until the push succeeded
 * and to the popper from then on. Core looks at `kind`, `from` and nothing else; the pointers are to objects of
 * the folders named beside them.
 *
 * Classes:
 *   REQUEST  holds a credit of its sender towards the receiver; exactly one ANSWER comes back
 *   ANSWER   has its place reserved by the request's credit: pushing it never fails
 *   PUSH     needs free room beside what is reserved, else its source waits (fan-out, folds, hand-off)
 * Columns: NAME, class, meaning. */
#ifndef PIPIT_CORE_PARCEL_H
#define PIPIT_CORE_PARCEL_H

#include <stdint.h>

#define PARCEL_LIST(X)                                                                          \
    X(WORK_DONE,    ANSWER,  "a worker has run a struct work")                                  \
    X(CONN,         PUSH,    "a connection moves to its user's shard (net/handoff)")            \
    X(ASK,          REQUEST, "a shard asks the home of a conversation (chat/ask.h)")            \
    X(ANSWERED,     ANSWER,  "the same struct ask, answered")                                   \
    X(ERRAND,       REQUEST, "something done for a user or an address where it lives (chat/errand.h)") \
    X(ERRAND_DONE,  ANSWER,  "the same struct errand, done")                                    \
    X(DELIVER,      PUSH,    "a committed message, with the slice of its roster (chat/fanout)") \
    X(RECEIPT,      PUSH,    "cursors that moved and are durable (chat/receipts)")              \
    X(CALL,         PUSH,    "run a function on this shard (start, stop, reload, status)")

#define PARCEL_ENUM(name, class, text) PARCEL_##name,
enum parcel_kind { PARCEL_NONE, PARCEL_LIST(PARCEL_ENUM) PARCEL_KINDS };
#undef PARCEL_ENUM

enum { PARCEL_FROM_WORKER = 0xffff };

struct shard;
struct parcel {
    uint16_t kind;             /* enum parcel_kind */
    uint16_t from;             /* shard number, or PARCEL_FROM_WORKER */
    uint32_t slice;            /* DELIVER, RECEIPT: which slice of the roster */
    union {
        struct work *work;
        struct conn *conn;
        struct ask *ask;
        struct errand *errand;
        struct delivery *delivery;
        struct notice *notice;
        struct { void (*fn)(struct shard *shard, void *arg); void *arg; } call;
    } u;
};

#endif
