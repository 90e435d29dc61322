/* reload.h - takes new settings while the server runs.
 *
 *   IDLE ──wanted──> READING ──good──> SENDING ──every shard has them──> IDLE
 *                    READING ──bad, or nothing changed──> IDLE
 *   READING  a job reads and checks all of it again, since a file may be slow
 *   SENDING  each shard is given a reference to one immutable struct settings (settings.h); who has no room now is
 *            given it in a later turn
 * What was wanted meanwhile is read once more afterwards. Bad settings change nothing; each problem is a log line. What
 * only a restart can change is named and left as it is.
 * Thread: main's shard, but for reload_want(). */
#ifndef PIPIT_SERVER_RELOAD_H
#define PIPIT_SERVER_RELOAD_H

#include "server/settings.h"

struct reload_report {
    int err;                             /* ERR_CONFIG, ERR_NOMEM: nothing was taken */
    uint32_t problems, changed, needs_restart;
};

struct reload_config {
    struct worker *jobs;
    /* On a job thread: 0 and all settings, or ERR_CONFIG and what is wrong. */
    int (*read)(void *arg, struct config *config_out, struct config_problems *problems);
    void *arg;
    struct config *config;               /* in force: what is taken is written to it */
    struct settings *now;                /* the same for main's shard itself */
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
/* In each slice of main's shard. */
void reload_step(struct reload *r);
/* Main's shard stops: begin nothing more. */
void reload_stop(struct reload *r);

#endif
