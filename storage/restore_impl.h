/* restore_impl.h - between restore.c and restore_verify.c. */
#ifndef PIPIT_STORAGE_RESTORE_IMPL_H
#define PIPIT_STORAGE_RESTORE_IMPL_H

#include "storage/restore.h"

int restore_say(struct restore_report *report, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The manifest of how->from, and the key file's head checked against it (how->keys may be NULL), each entry to `each`. */
int restore_begin(const struct restore_how *how, struct manifest *m, struct restore_report *report,
                  int (*each)(void *arg, const struct vault_row *row), void *arg);

#endif
