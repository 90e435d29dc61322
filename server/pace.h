/* pace.h - work in the background that holds a rate, so that who sends and reads meanwhile has the disk.
 *
 * Each piece of it moves the moment before which the next may not begin. Time that was not used is not saved up.
 * Thread: a pace belongs to the thread that works; `stop` is another's to set. */
#ifndef PIPIT_SERVER_PACE_H
#define PIPIT_SERVER_PACE_H

#include <stdint.h>

enum { PACE_NAP_MS = 20 };               /* so often a sleeper looks whether it is to stop */

struct pace { uint64_t due_ns; };        /* zeroed: the next piece may begin now */

/* `bytes` were read or written: sleeps until bytes_per_s (not 0) allows the next. 0, or ERR_GOING once *stop is true. */
int pace_hold(struct pace *pace, uint64_t bytes, uint64_t bytes_per_s, const _Atomic _Bool *stop);
/* The next piece may begin now. */
void pace_forget(struct pace *pace);

#endif
