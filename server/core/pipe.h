/* pipe.h - carries parcels one way between two threads.
 *
 * A single-producer single-consumer ring in C11 atomics. One thread pushes and one pops; that is the whole reason
 * there is no lock. A full pipe refuses and the pusher keeps the parcel: nothing is ever dropped here. */
#ifndef PIPIT_CORE_PIPE_H
#define PIPIT_CORE_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/core/parcel.h"

struct pipe;

int pipe_new(uint32_t slots, struct pipe **pipe_out);      /* a power of two; 0 or ERR_NOMEM */
void pipe_free(struct pipe *pipe);                          /* asserts that it is empty */
/* Producer. False: full. After a true the receiver must be woken once before the producer's thread sleeps. */
bool pipe_push(struct pipe *pipe, const struct parcel *parcel);
/* Producer: how many pushes are sure to succeed now. */
uint32_t pipe_room(const struct pipe *pipe);
/* Producer: are that many? Cheaper: looks at the consumer's side only when what it last saw there is not enough. */
bool pipe_has_room(struct pipe *pipe, uint32_t slots);
/* Consumer. False: empty. */
bool pipe_pop(struct pipe *pipe, struct parcel *parcel_out);
/* Consumer: parcels waiting, at least. */
uint32_t pipe_waiting(const struct pipe *pipe);
/* Producer: "wake me when there is room"; consumer: was that asked? (clears it). For PUSH sources that wait. The
 * producer asks, looks at the room once more, and only then waits; the consumer looks after having popped. */
void pipe_want_room(struct pipe *pipe);
bool pipe_room_wanted(struct pipe *pipe);

#endif
