/* certs.h - the certificates a server shows, made of files: what a TLS connection begins with.
 *
 * A struct certs is immutable and counted; connections and shards share it, and a reload makes another one. Of several
 * certificates the first whose names hold what a client asked for (SNI) is shown, else the first of all. TLS 1.2 and
 * 1.3, forward secret ciphers only, ALPN http/1.1.
 *
 * Session tickets (RFC 8446, 4.6.1) let a client come back without a signature of ours. They are for TLS 1.3 alone,
 * where a resumed session still agrees on a key of its own, so that who learns the secret later reads nothing. Their
 * keys are made of `secret` and the number of a half day: they change by themselves, all shards have the same, and so
 * has a server that starts again. One is taken in its own half day and in the next.
 * Sources: RFC 5280 (names), RFC 6066 (SNI), RFC 7301 (ALPN), OpenSSL 3.0's manual.
 * Thread: loading where files may be read (main, a job); the rest any. */
#ifndef PIPIT_NET_CERTS_H
#define PIPIT_NET_CERTS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CERTS_MAX = 16,                   /* certificates */
    CERTS_WHY_MAX = 400,
    CERTS_SECRET_BYTES = 32,
    CERTS_TEXT_MAX = 300,
    CERTS_TICKET_S = 12 * 3600,       /* how long a ticket key makes tickets; and how long a ticket is good at least */
};

struct certs;

/* `cert_files` and `key_files`: as many of each, with spaces or commas between. A certificate's file holds it and what
 * leads to a root, a key's file one key without a password; PEM. 0, or ERR_CONFIG and a clause that names the file;
 * ERR_NOMEM. Two empty lists are no certificate: 0 and NULL. */
int certs_load(const char *cert_files, const char *key_files, const uint8_t secret[static CERTS_SECRET_BYTES],
               struct certs **certs_out, char why[static CERTS_WHY_MAX]);
struct certs *certs_ref(struct certs *certs);            /* NULL is allowed in all of these */
void certs_unref(struct certs *certs);
bool certs_same(const struct certs *a, const struct certs *b);           /* the same certificates in the same order */

uint32_t certs_count(const struct certs *certs);
/* Of certificate `i`: its names and its last day: "chat.example.org, *.example.org until 2027-01-31". */
void certs_text(const struct certs *certs, uint32_t i, char out[static CERTS_TEXT_MAX]);
/* When the first of them ends, in seconds since 1970; INT64_MAX: there is none. */
int64_t certs_until(const struct certs *certs);

#endif
