/* histogram.h - how many values fell where, in fixed memory, each within 1/32 of its size.
 *
 * Log-linear buckets: below 32 one for each value; above, 32 for each power of two. Adding is a shift and an
 * increment, so that a million latencies cost nothing to keep, and quantiles need no sorting. */
#ifndef PIPIT_BENCH_HISTOGRAM_H
#define PIPIT_BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_BITS = 5,
    HISTOGRAM_SLOTS = 1 << HISTOGRAM_BITS,
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_BITS + 1) * HISTOGRAM_SLOTS,
};

struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);
/* The value that a share of `q` (0..1) of all values does not exceed: the top of its bucket, at most max. 0 when
 * empty. */
uint64_t histogram_quantile(const struct histogram *h, double q);

#endif
