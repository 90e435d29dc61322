/* audit.h - DIR/audit.log: one line for each thing that was done to the server over its admin socket.
 *
 *     2026-11-24T08:45:43.120Z uid=1000 pid=4242 act=user-disable whom=bob outcome=OK
 *
 * Appended to, synced line by line, opened anew for each, so that it may be moved away at any time. No secret is in it:
 * no password, token or invite code. Blocks on the disk: for worker threads; several may write at once. */
#ifndef PIPIT_SERVER_AUDIT_H
#define PIPIT_SERVER_AUDIT_H

#include <sys/types.h>

#include "storage/storage.h"

struct audit;

enum { AUDIT_DETAIL_MAX = 160 };
struct audit_act {
    uint64_t now_ms;
    uid_t uid;                           /* who asked: the peer of the socket, as the kernel says */
    pid_t pid;
    const char *act;                     /* the request's name */
    const struct user_id *whom;          /* the users it is about */
    size_t whom_count;
    char detail[AUDIT_DETAIL_MAX];       /* key=value words of this act, or empty */
    int outcome;                         /* 0 or ERR_* */
};

/* `dir` is copied; no file is touched yet. 0, ERR_NOMEM. */
int audit_new(const struct fsio *fs, const char *dir, struct audit **audit_out);
void audit_free(struct audit *audit);    /* NULL is allowed */
/* 0: the line is on disk. Else (ERR_NO_SPACE, ERR_IO, ERR_NOMEM, …) nothing of it is there. */
int audit_write(struct audit *audit, const struct audit_act *act);
/* What the line said was done was then taken back: the line goes when it still is the last one, and one with the
 * outcome that `act` has now comes. An error: that one could not be written. */
int audit_correct(struct audit *audit, const struct audit_act *act);
/* The same line, with no more than a name and a count of those it is about, among the server's log lines. Any
 * thread. */
void audit_say(const struct audit_act *act);

#endif
