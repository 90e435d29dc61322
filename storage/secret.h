/* secret.h - a secret of this data folder alone: 32 random bytes in a file of their own, in no backup.
 *
 * Made when it is first asked for. Whoever deletes the file gets another one at the next start.
 * Thread: one at a time. Calls block. */
#ifndef PIPIT_STORAGE_SECRET_H
#define PIPIT_STORAGE_SECRET_H

#include "storage/fsio.h"

enum { SECRET_BYTES = 32 };

/* DIR/NAME.key. 0; ERR_CORRUPT (not as long as it has to be), ERR_TOO_BIG (the path), ERR_NO_SPACE, ERR_IO, ERR_NOMEM. */
int secret_open(const struct fsio *fs, const char *dir, const char *name, uint8_t secret_out[static SECRET_BYTES]);

#endif
