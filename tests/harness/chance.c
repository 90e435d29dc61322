/* chance.c - see chance.h. */
#include "tests/harness/chance.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

uint64_t run_seed(void)
{
    static uint64_t seed;
    const char *given = getenv("PIPIT_SEED");
    if (seed) return seed;
    if (given) seed = strtoull(given, NULL, 0);
    while (seed == 0) {
        if (getrandom(&seed, sizeof seed, 0) != sizeof seed) abort();
    }
    printf("PIPIT_SEED=%" PRIu64 "\n", seed);
    fflush(stdout);
    return seed;
}

uint64_t chance(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t chance_below(uint64_t *state, uint64_t n)
{
    return chance(state) % n;
}
