/* pace.c - see pace.h. */
#include "server/pace.h"

#include <stdatomic.h>
#include <time.h>

#include "proto/err.h"

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int pace_hold(struct pace *pace, uint64_t bytes, uint64_t bytes_per_s, const _Atomic _Bool *stop)
{
    uint64_t now = now_ns();
    if (pace->due_ns < now) pace->due_ns = now;
    pace->due_ns += (uint64_t)((double)bytes * 1e9 / (double)bytes_per_s);
    while (!atomic_load_explicit(stop, memory_order_relaxed)) {
        if (now >= pace->due_ns) return 0;
        uint64_t nap = pace->due_ns - now, nap_max = (uint64_t)PACE_NAP_MS * 1000000;
        if (nap > nap_max) nap = nap_max;
        nanosleep(&(struct timespec){ .tv_nsec = (long)nap }, NULL);
        now = now_ns();
    }
    return ERR_GOING;
}

void pace_forget(struct pace *pace)
{
    pace->due_ns = 0;
}
