/* attempts.c - see attempts.h.
 *
 * A bucket is kept as the time at which it will be full again: each token that is missing moves that time refill_ms
 * further away, so nothing has to be counted up while nobody looks. `full_ms` <= now is a full bucket, which need not
 * be kept at all. (The same as the generic cell rate algorithm.)
 *
 * Buckets hang in the order of their last use; the oldest is the first to be full, nearly always, so that is where room
 * is looked for. */
#include "server/chat/attempts.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->failed = true)
#include <uthash.h>
#include <utlist.h>

struct bucket {
    struct attempt_key key;
    uint64_t full_ms;
    bool failed;                  /* no memory for its place in the table */
    struct bucket *prev, *next;   /* least recently used first */
    UT_hash_handle hh;
};

struct attempts {
    uint32_t kept_max, kept;
    struct bucket *table;
    struct bucket *order;
};

/* FNV-1a: a text that is no address still needs 16 bytes of its own. They are told apart, not protected. */
static uint64_t text_hash(const char *text, uint64_t hash)
{
    for (; *text; text++) hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return hash;
}

void attempt_key_of(const char *peer, struct attempt_key *key_out)
{
    static const uint8_t v4_mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF };
    memset(key_out, 0, sizeof *key_out);
    uint8_t *v = key_out->address;
    if (uv_inet_pton(AF_INET, peer, v + sizeof v4_mapped) == 0) {
        memcpy(v, v4_mapped, sizeof v4_mapped);
    } else if (uv_inet_pton(AF_INET6, peer, v) == 0) {
        /* One customer has a /64 and may take any address in it. */
        if (memcmp(v, v4_mapped, sizeof v4_mapped) != 0) memset(v + 8, 0, 8);
    } else {
        v[0] = 0xFF;                                       /* multicast: nobody's own address */
        put_u64(v + 8, text_hash(peer, UINT64_C(0xcbf29ce484222325)));
    }
}

static void drop(struct attempts *a, struct bucket *b)
{
    HASH_DEL(a->table, b);
    DL_DELETE(a->order, b);
    a->kept--;
    free(b);
}

void attempts_set_max(struct attempts *a, uint32_t kept_max)
{
    a->kept_max = kept_max > 0 ? kept_max : 1;
    while (a->kept > a->kept_max) drop(a, a->order);
}

struct attempts *attempts_new(uint32_t kept_max)
{
    struct attempts *a = calloc(1, sizeof *a);
    if (a) attempts_set_max(a, kept_max);
    return a;
}

void attempts_free(struct attempts *a)
{
    if (!a) return;
    while (a->order) drop(a, a->order);
    free(a);
}

static struct bucket *find(struct attempts *a, const struct attempt_key *key)
{
    struct bucket *b;
    HASH_FIND(hh, a->table, key, sizeof *key, b);
    return b;
}

static struct bucket *add(struct attempts *a, const struct attempt_key *key, uint64_t now_ms)
{
    /* Two for each that comes: full ones never heap up. */
    for (int i = 0; i < 2 && a->order && a->order->full_ms <= now_ms; i++) drop(a, a->order);
    if (a->kept >= a->kept_max) drop(a, a->order);
    struct bucket *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->key = *key;
    b->full_ms = now_ms;
    HASH_ADD(hh, a->table, key, sizeof b->key, b);
    if (b->failed) {
        free(b);
        return NULL;
    }
    DL_APPEND(a->order, b);
    a->kept++;
    return b;
}

uint64_t attempts_take(struct attempts *a, const struct attempt_key *key, struct attempt_limit limit, uint64_t now_ms)
{
    if (limit.max == 0) return 0;
    struct bucket *b = find(a, key);
    if (!b) b = add(a, key, now_ms);
    if (!b) return 0;
    if (b->full_ms < now_ms) b->full_ms = now_ms;
    /* With this one taken at most `max` may be missing. */
    uint64_t missing_ms = b->full_ms - now_ms + limit.refill_ms, most_ms = (uint64_t)limit.max * limit.refill_ms;
    if (missing_ms > most_ms) return missing_ms - most_ms;
    b->full_ms += limit.refill_ms;
    DL_DELETE(a->order, b);
    DL_APPEND(a->order, b);
    return 0;
}

void attempts_give(struct attempts *a, const struct attempt_key *key, struct attempt_limit limit, uint64_t now_ms)
{
    struct bucket *b = find(a, key);
    if (!b) return;
    uint64_t missing_ms = b->full_ms > now_ms ? b->full_ms - now_ms : 0;
    if (missing_ms <= limit.refill_ms) drop(a, b);
    else b->full_ms -= limit.refill_ms;
}

uint32_t attempts_kept(const struct attempts *a)
{
    return a->kept;
}
