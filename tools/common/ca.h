/* ca.h - a certificate authority of one's own: TLS for a server in a local network.
 *
 *   DIR/ca.pem  DIR/ca.key        the authority, made once, good for ten years
 *   DIR/cert.pem  DIR/cert.key    a server's certificate, with what leads to the authority, and its key
 *
 * Keys are P-256, mode 0600. A certificate is good for CA_DAYS_DEFAULT days: phones refuse more than 825 (Apple's rule
 * for all that is not built in). Calls read and write files. Thread: one at a time. */
#ifndef PIPIT_TOOLS_COMMON_CA_H
#define PIPIT_TOOLS_COMMON_CA_H

#include <stdbool.h>

enum {
    CA_WHY_MAX = 512,
    CA_DAYS_DEFAULT = 365, CA_DAYS_MAX = 825,
    CA_FINGERPRINT_TEXT = 96,         /* SHA-256 as "AB:CD:…", with its NUL */
    CA_NAMES_MAX = 64,
};

struct ca;

/* The authority in `dir`, which is made when it is not there, as is the folder. 0, or -1 and a clause. */
int ca_open(const char *dir, bool *made_out, struct ca **ca_out, char why[static CA_WHY_MAX]);
void ca_free(struct ca *ca);                             /* NULL is allowed */
void ca_fingerprint(const struct ca *ca, char out[static CA_FINGERPRINT_TEXT]);
/* A certificate for these names (host names, *.NAME, addresses), to DIR/NAME.pem and DIR/NAME.key, where `base` is
 * "cert", say; it takes the place of one that is there, in the order that a server that reads both in between finds either
 * the old pair or a key that does not fit. Good from `days_ago` days before now on for `days`. 0, or -1 and a clause. */
int ca_issue(const struct ca *ca, const char *const *names, int count, int days_ago, int days, const char *base,
             char why[static CA_WHY_MAX]);

#endif
