/* roster.c - see roster.h. One allocation: the struct, its slices, its users. */
#include "server/chat/roster.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct roster *roster_new(const struct house *house, const struct user_id *users, uint32_t count)
{
    uint32_t per_shard[SHARDS_MAX] = { 0 };
    uint32_t next[SHARDS_MAX];
    uint16_t slices = 0;

    for (uint32_t i = 0; i < count; i++) slices += per_shard[shard_of_user(house, &users[i])]++ == 0;

    size_t slice_bytes = slices * sizeof(struct roster_slice);
    struct roster *r = malloc(sizeof *r + slice_bytes + count * sizeof *users);
    if (!r) return NULL;
    atomic_init(&r->refs, 1);
    r->user_count = count;
    r->slice_count = slices;
    r->slices = (struct roster_slice *)(r + 1);
    r->users = (struct user_id *)((char *)(r + 1) + slice_bytes);

    uint32_t first = 0;
    uint16_t s = 0;
    for (uint16_t shard = 0; shard < house->shards; shard++) {
        if (per_shard[shard] == 0) continue;
        r->slices[s++] = (struct roster_slice){ shard, first, per_shard[shard] };
        next[shard] = first;
        first += per_shard[shard];
    }
    assert(s == slices && first == count);
    for (uint32_t i = 0; i < count; i++) r->users[next[shard_of_user(house, &users[i])]++] = users[i];
    return r;
}

struct roster *roster_ref(struct roster *roster)
{
    atomic_fetch_add_explicit(&roster->refs, 1, memory_order_relaxed);
    return roster;
}

void roster_unref(struct roster *roster)
{
    if (!roster) return;
    /* The last one must see all that others did with it before they let go. */
    if (atomic_fetch_sub_explicit(&roster->refs, 1, memory_order_acq_rel) == 1) free(roster);
}
