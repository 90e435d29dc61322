/* tally.c - see tally.h. */
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "tools/ctl/tally.h"

static int by_bytes(const struct tally_conv *a, const struct tally_conv *b)
{
    if (a->bytes != b->bytes) return a->bytes > b->bytes ? -1 : 1;
    return memcmp(&a->id, &b->id, sizeof a->id);
}

void tally_sort(struct tally *t)
{
    HASH_SORT(t->convs, by_bytes);
}

static void let_half_go(struct tally *t)
{
    struct tally_conv *c, *next;
    unsigned kept = 0;
    uint64_t largest = 0;
    tally_sort(t);
    HASH_ITER(hh, t->convs, c, next) {
        if (++kept <= TALLY_CONVS_MAX / 2) continue;
        if (c->bytes > largest) largest = c->bytes;
        HASH_DEL(t->convs, c);
        free(c);
    }
    t->let_go += largest;
}

int tally_add(struct tally *t, const struct record *r, size_t bytes)
{
    struct tally_conv *c;
    unsigned kind = r->kind < LOG_RECORD_KINDS ? r->kind : 0;
    t->records[kind]++;
    t->bytes[kind] += bytes;
    HASH_FIND(hh, t->convs, &r->partition, sizeof r->partition, c);
    if (!c) {
        if (HASH_COUNT(t->convs) >= TALLY_CONVS_MAX) let_half_go(t);
        c = calloc(1, sizeof *c);
        if (!c) return ERR_NOMEM;
        c->id = r->partition;
        HASH_ADD(hh, t->convs, id, sizeof c->id, c);
    }
    c->records++;
    c->bytes += bytes;
    if (r->kind == KIND_MARKS) return 0;
    if (!c->first_seq || r->seq < c->first_seq) c->first_seq = r->seq;
    if (r->seq > c->last_seq) c->last_seq = r->seq;
    return 0;
}

void tally_fini(struct tally *t)
{
    struct tally_conv *c, *next;
    HASH_ITER(hh, t->convs, c, next) {
        HASH_DEL(t->convs, c);
        free(c);
    }
}
