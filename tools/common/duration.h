/* duration.h - how long, as people write and read it. */
#ifndef PIPIT_TOOLS_COMMON_DURATION_H
#define PIPIT_TOOLS_COMMON_DURATION_H

#include <stdbool.h>
#include <stdint.h>

enum { DURATION_TEXT_MAX = 40 };

/* "off" is 0; else a whole number above 0 and a unit: 90s, 30m, 1h, 7d, 2w. False: it is none of these, or more than 64
 * bits hold. */
bool duration_parse(const char *text, uint64_t *seconds_out);
/* "1 day", "90 minutes": in the largest unit, up to days, that it is a whole number of. 0: "off". */
void duration_print(uint64_t seconds, char out[static DURATION_TEXT_MAX]);

#endif
