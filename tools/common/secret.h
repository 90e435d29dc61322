/* secret.h - where a command takes a password from: a file, the environment, or a prompt without echo. */
#ifndef PIPIT_TOOLS_COMMON_SECRET_H
#define PIPIT_TOOLS_COMMON_SECRET_H

#include <stdbool.h>

#include "proto/limits.h"

struct secret_source {
    const char *file;             /* its first line; NULL: none was named */
    const char *variable;         /* else this one of the environment */
    const char *prompt;           /* else asked for on the terminal: "Password" */
    bool twice;                   /* asked twice, until both are the same */
};
/* Wipe `out` when done. On a terminal a password of the wrong length, or typed in two ways, is asked for again.
 * Returns 0; or ERR_PASSWORD (its length), ERR_NOT_FOUND (the file cannot be read), ERR_END (no terminal to ask on, or
 * nothing was typed); the reason has then been said on standard error. */
int secret_take(const struct secret_source *from, char out[static PASSWORD_BYTES_MAX + 1]);
/* The usual one: `file`, PIPIT_PASSWORD, "Password". */
int secret_read(const char *file, bool twice, char out[static PASSWORD_BYTES_MAX + 1]);

#endif
