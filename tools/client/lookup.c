/* lookup.c - getaddrinfo() on a thread of its own (see lookup.h).
 *
 * The struct is shared by the asker and the thread and freed by the one that leaves last. The thread writes `rc` and
 * `addresses`, then raises `done`, then writes a byte into the pipe; the asker reads them only after it has seen
 * `done`. */
#include "tools/client/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/err.h"

struct lookup {
    char *host;
    char port[6];
    int ready[2];                 /* the asker polls [0], the thread writes to [1] */
    atomic_int holders;           /* 1 or 2 */
    atomic_bool done;
    /* -- the thread's until `done`, then the asker's -- */
    int rc;                       /* of getaddrinfo() */
    struct addrinfo *addresses;
};

static void leave(struct lookup *l)
{
    if (atomic_fetch_sub(&l->holders, 1) > 1) return;
    if (l->addresses) freeaddrinfo(l->addresses);
    if (l->ready[0] >= 0) close(l->ready[0]);
    if (l->ready[1] >= 0) close(l->ready[1]);
    free(l->host);
    free(l);
}

static void ask(struct lookup *l, int flags)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags };
    l->rc = getaddrinfo(l->host, l->port, &hints, &l->addresses);
    if (l->rc != 0) l->addresses = NULL;
}

static void announce(struct lookup *l)
{
    atomic_store(&l->done, true);
    while (write(l->ready[1], "", 1) < 0 && errno == EINTR) { }    /* the pipe is empty: it takes one byte */
}

static void *run(void *arg)
{
    struct lookup *l = arg;
    ask(l, 0);
    announce(l);
    leave(l);
    return NULL;
}

/* Signals are for the asker: it may sit in poll() and waits to be told of them. */
static int start_thread(struct lookup *l)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&l->holders, 2);
    int rc = pthread_create(&thread, NULL, run, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) pthread_detach(thread);
    else atomic_store(&l->holders, 1);
    return rc == 0 ? 0 : ERR_IO;
}

int lookup_start(const char *host, const char *port, struct lookup **out)
{
    struct lookup *l = calloc(1, sizeof *l);
    if (!l) return ERR_NOMEM;
    l->ready[0] = l->ready[1] = -1;
    atomic_init(&l->holders, 1);
    atomic_init(&l->done, false);
    snprintf(l->port, sizeof l->port, "%s", port);
    int err = (l->host = strdup(host)) ? 0 : ERR_NOMEM;
    if (!err && pipe2(l->ready, O_CLOEXEC | O_NONBLOCK) < 0) err = ERR_IO;
    if (!err) ask(l, AI_NUMERICHOST);
    if (!err && l->rc == 0) announce(l);
    else if (!err) err = start_thread(l);
    if (err) leave(l);
    else *out = l;
    return err;
}

void lookup_drop(struct lookup *l)
{
    if (l) leave(l);
}

int lookup_fd(const struct lookup *l)
{
    return l->ready[0];
}

int lookup_take(struct lookup *l, struct addrinfo **out, const char **reason_out)
{
    if (!atomic_load(&l->done)) return ERR_AGAIN;
    if (l->rc != 0) {
        *reason_out = gai_strerror(l->rc);
        return ERR_PEER;
    }
    *out = l->addresses;
    l->addresses = NULL;
    return 0;
}
