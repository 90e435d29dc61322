/* feed.h - a byte stream cut into reads, and the frames of a WebSocket client.
 *
 * A parser must not care where one read ends and the next begins: tests feed it whole, byte by byte, and in random
 * pieces, and want the same events.
 * Thread: no globals. */
#ifndef PIPIT_TESTS_FEED_H
#define PIPIT_TESTS_FEED_H

#include "proto/bytes.h"

struct feed {
    struct bytes left;
    size_t piece_max;         /* 1: byte by byte; SIZE_MAX: at once; else 1 to this, by chance */
    uint64_t random;          /* of chance.h */
};
bool feed_next(struct feed *f, struct bytes *piece_out);     /* false: all has been given */

/* Append one frame as a client sends it. `first` is FIN, reserved bits and opcode as they travel (0x82: a whole
 * binary message). */
void feed_frame(struct buf *to, uint8_t first, bool masked, struct bytes payload);

#endif
