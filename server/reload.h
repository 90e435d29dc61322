/* reload.h - takes new settings while the server runs.
 *
 *   IDLE ──wanted──> READING ──good──> SENDING ──every shard has them──> IDLE
 *                    READING ──bad, or nothing changed──> IDLE
 *   READING  a job reads and checks all of it again, since a file may be slow
 *   SENDING  each shard is given a reference to one immutable struct settings (settings.h); who has no room now is
 *            given it in a later turn
 * What was wanted meanwhile is read once more afterwards, and who asked then is told of that: what stood in the file
 * when somebody asked is always read. Bad settings change nothing; each problem is a log line. What only a restart can
 * change is named and left as it is.
 * Thread: main's shard, but for reload_want(). */
#ifndef PIPIT_SERVER_RELOAD_H
#define PIPIT_SERVER_RELOAD_H

#include "server/settings.h"

struct reload_report {
    int err;                             /* ERR_CONFIG, ERR_NOMEM: nothing was taken */
    uint32_t problems, changed, needs_restart;
};

/* What came of a reload. Where the two differ (config_same) config_keys[].takes tells whether it was taken. */
struct reload_news {
    int err;                             /* 0; ERR_CONFIG, ERR_NOMEM: nothing was taken; ERR_GOING: the server stops */
    const struct config *was, *wanted;   /* good when err is 0, else NULL */
    const struct config_problems *problems;          /* with ERR_CONFIG, else NULL */
    /* With err 0: certificates that were taken and are others than before, the first of each as certs_text() tells
     * them ("none"); NULL: they are the same. */
    const char *certs_was, *certs_now;
};

/* Who waits to be told of one. Memory is the caller's until `done`, which is called once, on main's thread. */
struct reload_wait {
    void (*done)(struct reload_wait *wait, const struct reload_news *news);
    struct reload_wait *prev, *next;     /* the reload's */
};

struct reload_config {
    struct worker *jobs;
    /* On a job thread: 0 and all settings, or ERR_CONFIG and what is wrong. */
    int (*read)(void *arg, struct config *config_out, struct config_problems *problems);
    void *arg;
    struct config *config;               /* in force: what is taken is written to it */
    struct settings *now;                /* the same for main's shard itself */
    const struct store *store;
    const struct settings_test *test;
    void (*done)(void *arg, const struct reload_report *report);      /* on main's thread; may be NULL */
    void *done_arg;
};

struct reload;

int reload_new(struct shard *main_shard, const struct reload_config *config, struct reload **reload_out);
/* After main's shard has ended; NULL is allowed. */
void reload_free(struct reload *r);
/* Any thread. */
void reload_want(struct reload *r);
/* The same, with somebody to tell. 0, or ERR_GOING: it is too late, and nobody will be told. */
int reload_ask(struct reload *r, struct reload_wait *wait);
/* In each slice of main's shard. */
void reload_step(struct reload *r);
/* Main's shard stops: begin nothing more; who waits is told so, but for a read under way, which tells when it is
 * back. */
void reload_stop(struct reload *r);

#endif
