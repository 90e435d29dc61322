/* nearest.h - what somebody may have meant who typed a word that does not exist. */
#ifndef PIPIT_TOOLS_COMMON_NEAREST_H
#define PIPIT_TOOLS_COMMON_NEAREST_H

/* Of `words` (ends with NULL) the one that `given` is a slip of, at most a third of it (but at least one letter) left
 * out, added, changed or swapped with its neighbour; or the only one that begins with it. NULL: none is near. */
const char *nearest(const char *given, const char *const *words);

#endif
