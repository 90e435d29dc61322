/* head.h - the lines of a request's head, looked at before the parser sees them.
 *
 * Parsers differ in what they forgive: a line that ends in LF alone, a value that goes on in the next line, a space
 * before a colon. Where ours and a proxy's differ, two requests can be made of one (request smuggling). So nothing is
 * forgiven here, whatever llhttp's version would: lines end in CR LF, names are tokens up to their colon, values hold
 * no control characters, and where the head ends is decided here; the parser must agree.
 * A pure state machine of two bytes. Thread: no globals. */
#ifndef PIPIT_NET_HEAD_H
#define PIPIT_NET_HEAD_H

#include "proto/bytes.h"

struct head {
    uint8_t state;
    uint8_t spaces;                   /* in the request line so far */
};

enum head_step {
    HEAD_STEP_MORE,
    HEAD_STEP_WHOLE,                  /* its empty line has been taken */
    HEAD_STEP_BAD,                    /* the byte behind those taken may not be there */
};

void head_init(struct head *head);
/* Take bytes up to the end of the head. Returns how many; `why_out` is a clause when BAD. */
size_t head_feed(struct head *head, struct bytes in, enum head_step *step_out, const char **why_out);

#endif
