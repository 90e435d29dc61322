/* histogram.c - log-linear buckets. */
#include "tools/bench/histogram.h"

#include <string.h>

void histogram_clear(struct histogram *h)
{
    memset(h, 0, sizeof *h);
}

/* Of a value of 2^e and more (e >= BITS) the BITS bits below the leading one choose the slot within its power. */
static unsigned bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_SLOTS) return (unsigned)value;
    unsigned e = 63 - (unsigned)__builtin_clzll(value);
    unsigned shift = e - HISTOGRAM_BITS;
    return (shift + 1) * HISTOGRAM_SLOTS + (unsigned)((value >> shift) & (HISTOGRAM_SLOTS - 1));
}

static uint64_t bucket_top(unsigned bucket)
{
    if (bucket < HISTOGRAM_SLOTS) return bucket;
    unsigned shift = bucket / HISTOGRAM_SLOTS - 1;
    uint64_t slot = HISTOGRAM_SLOTS + bucket % HISTOGRAM_SLOTS;
    return (slot << shift) + ((UINT64_C(1) << shift) - 1);
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->bucket[bucket_of(value)]++;
    h->count++;
    if (value > h->max) h->max = value;
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
    uint64_t seen = 0;
    double wanted = q * (double)h->count;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t top = bucket_top(i);
            return top < h->max ? top : h->max;
        }
    }
    return h->max;
}
