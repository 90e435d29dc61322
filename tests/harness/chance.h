/* chance.h - random numbers of a test: one seed for the run, told, and what is drawn from it.
 *
 * Thread: run_seed() the test's alone; the others any, each with a state of its own. */
#ifndef PIPIT_TESTS_CHANCE_H
#define PIPIT_TESTS_CHANCE_H

#include <stdint.h>

/* PIPIT_SEED, or a fresh one; printed the first time, so that a run that failed can be repeated. Never 0. */
uint64_t run_seed(void);
uint64_t chance(uint64_t *state);                     /* the next number of a splitmix64; any state will do */
uint64_t chance_below(uint64_t *state, uint64_t n);   /* 0 to n - 1 */

#endif
