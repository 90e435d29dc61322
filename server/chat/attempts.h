/* attempts.h - how often somebody may try: one bucket of tokens for each key.
 *
 * A key is an address and a user name, or an address alone (the name all zero), so that who guesses at alice's password
 * from one address locks nobody else out of it. A bucket is full at first, loses a token with each attempt and gets one
 * back each refill_ms; who did right gives the token back. Only buckets that are not full are remembered, at most
 * `kept_max` of them: then the one least recently used goes, which may forgive somebody a little early and never costs
 * memory.
 *
 * Pure: time is an argument, no I/O. Each key has one shard that keeps it (limit.h).
 * Thread: whoever holds the table. */
#ifndef PIPIT_CHAT_ATTEMPTS_H
#define PIPIT_CHAT_ATTEMPTS_H

#include "proto/id.h"

struct attempts;

struct attempt_key {
    uint8_t address[16];          /* IPv6, of it the first 64 bits; IPv4 as ::ffff:a.b.c.d, whole */
    struct user_id user;          /* all zero: over all names */
};

/* max 0: no limit. refill_ms is above 0. */
struct attempt_limit { uint32_t max; uint32_t refill_ms; };

/* The address of a peer as text; another text than an address (a Unix socket's) is a key of its own. */
void attempt_key_of(const char *peer, struct attempt_key *key_out);

struct attempts *attempts_new(uint32_t kept_max);         /* NULL: out of memory */
void attempts_set_max(struct attempts *a, uint32_t kept_max);
void attempts_free(struct attempts *a);                   /* NULL is allowed */
/* Takes a token. 0: go on. Else none is left, nothing was taken, and one will be there in so many ms. Without memory
 * for a bucket it is let through. */
uint64_t attempts_take(struct attempts *a, const struct attempt_key *key, struct attempt_limit limit, uint64_t now_ms);
/* Gives one back. */
void attempts_give(struct attempts *a, const struct attempt_key *key, struct attempt_limit limit, uint64_t now_ms);
uint32_t attempts_kept(const struct attempts *a);

#endif
