/* chat.h - the face of server/chat: users, sessions, conversations, receipts of one shard.
 *
 * Each shard has one struct chat, touched by its thread alone. It plays two parts that meet only through parcels:
 *   user's side   sessions of the users that live here: session.c, on_*.c, behind.c, catchup.c
 *   home's side   conversations that live here: conv.c, commit.c, fanout.c, receipts.c, reading.c, flush.c
 * A session never looks into a conversation, even when both live on the same shard. */
#ifndef PIPIT_CHAT_CHAT_H
#define PIPIT_CHAT_CHAT_H

#include "proto/proto.h"
#include "server/chat/attempts.h"
#include "server/chat/change.h"
#include "server/chat/glance.h"
#include "server/chat/hold.h"
#include "server/core/core.h"
#include "server/net/net.h"
#include "storage/storage.h"

/* Argon2id, as libsodium counts: passes and bytes. */
struct password_cost { unsigned long long ops; size_t memory_bytes; };

/* What an operator may change while it runs: each shard has a copy. All bounds are for one shard. */
struct chat_settings {
    uint64_t heartbeat_ms;                   /* a session keeps what its WELCOME told */
    struct password_cost password_cost;      /* of passwords to come */
    uint32_t pages_max;                      /* pages being read or in hand, 64 KiB each */
    uint32_t convs_hot_max;                  /* conversations kept in memory */
    size_t fanout_bytes_max;                 /* frames that fan-out holds because a pipe is full */
    uint32_t fold_rows_max;                  /* waiting in memory while facts cannot be written */
    enum registration registration;          /* who may register */
    struct attempt_limit attempts_account;   /* of one address at one name */
    struct attempt_limit attempts_address;   /* of one address at all names */
    uint32_t attempts_kept_max;              /* buckets that are not full */
    uint64_t delete_ms;                      /* so long after it was accepted a message may be deleted for everyone */
    uint64_t retain_ms;                      /* nobody is given what is older; 0: of any age */
    bool drop_delivered;                     /* nor what every device that is owed it has */
    uint64_t segment_ms;                     /* the log's open segment is closed at this age; 0: only when it is full */
    uint64_t marks_ms;                       /* after this the exact times of INFO may be gone */
};

/* A send that finds no room (ERR_NO_ROOM) is to come again after this time: room comes from an operator or a merge, so
 * not within a second, and a client that asks six times a minute costs nothing. */
enum { NO_ROOM_AGAIN_MS = 10000 };

/* What all shards share: set by server.c before they start, never changed while they run but for `no_room`. */
struct chat_config {
    struct store *store;
    struct worker *facts;                    /* the facts thread: runs clerk_run_all() */
    struct worker *jobs;                     /* reads: facts, keys, log; context is a struct job_reader */
    struct worker *hashing;                  /* passwords */
    struct worker *committer[SHARDS_MAX];    /* one for each shard */
    uint32_t hashing_threads;                /* of `hashing`: how long its queue takes */
    struct chat_settings settings;           /* to begin with */
    const char *name;                        /* "pipitd 0.1.0" */
    /* Main writes it, the shards read it before each send, relaxed: no sends are taken now (server/budget.h). */
    _Atomic bool no_room;
};

/* A job thread's own connections. */
struct job_reader { struct facts *facts; struct vault *vault; };
int reader_open(void *store, void **context_out);         /* worker_config.context_open; arg is the store */
void reader_close(void *context);

extern const struct conn_events chat_conn_events;

int chat_open(struct shard *shard, const struct chat_config *config);     /* on its thread */
void chat_set(struct shard *shard, const struct chat_settings *settings);
void chat_on_parcel(struct shard *shard, const struct parcel *parcel);
bool chat_slice(struct shard *shard);
void chat_turn_end(struct shard *shard);
/* GOODBYE to all sessions, then commit and flush what is left; chat_is_stopped() once all of it is durable. */
void chat_stop(struct shard *shard);
bool chat_is_stopped(const struct shard *shard);
void chat_free(struct shard *shard);

/* The facts thread: everything queued is one transaction on keys, then one on facts.
 * `key` (may be NULL) runs inside the first, `rows` (may be NULL) inside the second, each of these in a savepoint;
 * `apart` (may be NULL) after both, outside of any, when they went well. */
struct clerk_work {
    struct work work;
    int (*key)(struct clerk_work *w, struct vault *vault);
    int (*rows)(struct clerk_work *w, struct facts *facts);
    int (*apart)(struct clerk_work *w, struct facts *facts, struct vault *vault);
};
void clerk_run_all(struct work *list, void *context);      /* worker_config.run_all */
int clerk_open(void *store, void **context_out);           /* context_open: the store's writers */

/* Account steps shared with the admin socket. account_hash_password() takes a tenth of a second and much memory: on a
 * hashing thread. account_make_key() and account_add() are the two halves of a clerk_work: the key of the user's inbox,
 * then the user and the inbox (ERR_EXISTS). */
int account_hash_password(const char *password, const struct password_cost *cost, char out[static PASSWORD_HASH_MAX]);
int account_make_key(struct vault *vault, const struct user_id *user, uint64_t now_ms);
int account_add(struct facts *facts, const struct user_id *user, const char *password_hash, uint64_t now_ms);
/* Is it the token of a live device of a user who is there and not disabled? ERR_AUTH (which of them it is not is not
 * told), ERR_REVOKED; *row is filled with 0. */
int account_check_device(struct facts *facts, const struct user_id *user, struct device_id device,
                         const uint8_t token_hash[static SECRET_HASH_BYTES], struct device_row *row);
/* Names that pretend to speak for the server: nobody may register one, or one that looks like it (facts_skeleton()). */
bool account_is_reserved(const char *skeleton);
/* BLAKE2b-256: how tokens and invite codes are kept. */
void account_secret_hash(struct bytes secret, uint8_t out[static SECRET_HASH_BYTES]);
/* A new device of a user: random id and token; `row` is filled for facts_device_add(). */
void account_new_device(const struct user_id *user, const char *name, uint64_t now_ms, struct device_row *row,
                        uint8_t token_out[static TOKEN_BYTES]);

#endif
