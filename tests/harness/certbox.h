/* certbox.h - a folder with certificates for tests, of an authority made for them.
 *
 * Made when it is first asked for, removed with all that is in it when the program ends.
 * Thread: one. */
#ifndef PIPIT_TESTS_CERTBOX_H
#define PIPIT_TESTS_CERTBOX_H

#include "server/net/certs.h"

enum { CERTBOX_PATH = 128 };

/* FOLDER/NAME; the authority's certificate is "ca.pem". */
void certbox_path(const char *name, char out[static CERTBOX_PATH]);
/* FOLDER/BASE.pem and BASE.key for one or two names (`second` may be NULL), good from yesterday for `days` days. */
void certbox_issue(const char *base, const char *first, const char *second, int days);
void certbox_write(const char *name, const char *text);      /* any file there */
/* What certs_load() makes of one that was issued, with a secret of which all bytes are `secret`. */
struct certs *certbox_load(const char *base, uint8_t secret);

#endif
