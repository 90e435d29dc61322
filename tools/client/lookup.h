/* lookup.h - the addresses of a host name, without the caller waiting for them.
 *
 * The system's resolver blocks for as long as it likes. So a thread of its own asks it, and says by a descriptor that
 * it is done. Who loses patience drops the lookup; its thread ends when the resolver does, and frees what is left.
 * An address (127.0.0.1, ::1) needs no resolver: it is there at once, and no thread is started.
 * Thread: one; the resolver's is hidden here. */
#ifndef PIPIT_CLIENT_LOOKUP_H
#define PIPIT_CLIENT_LOOKUP_H

#include <netdb.h>

struct lookup;

/* 0, ERR_NOMEM, or ERR_IO (no descriptors or threads are left). */
int lookup_start(const char *host, const char *port, struct lookup **out);
void lookup_drop(struct lookup *l);                  /* NULL allowed */
int lookup_fd(const struct lookup *l);               /* ready for reading when there is an answer */
/* ERR_AGAIN: no answer yet. 0: *out is the caller's, for freeaddrinfo(). ERR_PEER: there is no such name, or nobody
 * knows; *reason_out is the resolver's word for it. */
int lookup_take(struct lookup *l, struct addrinfo **out, const char **reason_out);

#endif
