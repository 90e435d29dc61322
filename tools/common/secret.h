/* secret.h - where a command takes a password from: a file, the environment, or a prompt without echo. */
#ifndef PIPIT_TOOLS_COMMON_SECRET_H
#define PIPIT_TOOLS_COMMON_SECRET_H

#include <stdbool.h>

#include "proto/limits.h"

/* In this order: the first line of `file` (when not NULL), PIPIT_PASSWORD, a prompt on the terminal (asked twice when
 * `twice`). Wipe `out` when done.
 * Returns 0; or ERR_PASSWORD (its length), ERR_NOT_FOUND (the file cannot be read), ERR_END (no terminal to ask on),
 * ERR_MALFORMED (the two did not match); the reason has then been said on standard error. */
int secret_read(const char *file, bool twice, char out[static PASSWORD_BYTES_MAX + 1]);

#endif
