/* when.h - a day, or a time, as people type it. */
#ifndef PIPIT_COMMON_WHEN_H
#define PIPIT_COMMON_WHEN_H

#include <stdbool.h>
#include <stdint.h>

/* "2026-05-01" (where it begins), "2026-05-01 12:00" or "2026-05-01 12:00:30", by this machine's clock and zone, a T
 * allowed for the blank, from 1970 to 9999. *ms_out: since 1970. False: it is none, and *ms_out untouched. An hour that
 * the clock leaves out in spring is taken for one beside it. */
bool when_parse(const char *text, uint64_t *ms_out);

#endif
