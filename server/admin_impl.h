/* admin_impl.h - inside admin*.c only: the clients of the admin socket, and the tasks their requests become.
 *
 *   admin.c          the socket, its clients, their lines
 *   admin_tasks.c    the list of requests; what every task goes through
 *   admin_users.c    user-*          admin_devices.c  device-*
 *   admin_invites.c  invite*         admin_status.c   status          admin_reload.c  reload
 *   admin_erase.c    erase-*         admin_export.c   export*         admin_backup.c  backup
 *
 * All on main's thread but what says otherwise. */
#ifndef PIPIT_SERVER_ADMIN_IMPL_H
#define PIPIT_SERVER_ADMIN_IMPL_H

#include <jansson.h>
#include <stdatomic.h>
#include <sys/un.h>

#include "proto/proto.h"
#include "server/admin.h"
#include "server/audit.h"

enum { ADMIN_WHY_MAX = 256 };

struct client {
    struct admin *admin;
    uv_pipe_t pipe;
    struct buf in;
    uid_t uid;                           /* of the process that connected */
    pid_t pid;
    bool closing, busy;
    struct client *prev, *next;
};

struct admin {
    struct shard *shard;
    struct admin_config config;
    struct audit *audit;
    char path[sizeof ((struct sockaddr_un *)0)->sun_path];
    uv_pipe_t listener;
    bool listener_closed, closing;
    uint32_t client_count;
    struct client *clients;
    struct erase_task *erasures;         /* those that wait for a moment: admin_erase.c */
    struct task *backing_up;             /* NULL: nothing */
    uint64_t backup_began_ms;
    _Atomic bool backup_stop;            /* main sets it, the backup thread looks */
    atomic_uint_least64_t backup_done, backup_total;     /* bytes of the one under way; the backup thread writes them */
    uint64_t backup_failed_ms;           /* since the last good one, or the start; 0: none did */
    int backup_err;
    char backup_why[ADMIN_WHY_MAX];
};

/* Takes `answer` (NULL: nothing but ok) and writes it. */
void client_answer(struct client *c, json_t *answer);
/* `text` NULL: err_text(). `more` (NULL: none) are members it has besides; lent. */
void client_refuse(struct client *c, int err, const char *text, json_t *more);
/* A task is done with the client: it may say its next line, or be freed when it went away meanwhile. */
void client_done(struct client *c);

/* One whole line: answered now, or by a task that holds the client (c->busy) until it calls client_done(). */
void admin_serve_line(struct client *c, const char *line, size_t len);

/* -- tasks --------------------------------------------------------------------------------------------------------- */

struct task;
struct request {
    const char *name;
    const char *fields;                  /* the members it may have besides `do`, a space after each */
    enum { WHOM_NONE, WHOM_ONE, WHOM_MANY } whom;    /* `user`: a name; `users`: a list of names */
    bool is_act;                         /* it changes something: audited, and refused when that cannot be */
    size_t size;                         /* of its own struct, which begins with a struct task; zeroed */
    /* 0: the task is under way, or has ended already. Else nothing is, and it is refused (see task_why). */
    int (*start)(struct task *t, json_t *request);
    void (*fini)(struct task *t);        /* what the struct owns; may be NULL */
};

/* One request being served. It holds its client until it has answered, and goes on when that has gone away. */
struct task {
    struct work work;                    /* hashing, a read, a line of the audit log */
    struct clerk_work clerk;             /* rows */
    const struct request *request;
    struct admin *admin;
    struct client *client;
    uint64_t now_ms;
    struct user_id *whom;                /* owned: request->whom of them */
    size_t whom_count;
    json_t *answer;                      /* owned */
    json_t *refusal;                     /* owned: members of a refusal besides its error and text; NULL: none */
    struct change *change;               /* owned until task_tell(): of whom[0] */
    char why[ADMIN_WHY_MAX];             /* said instead of err_text() when the task fails; empty: not */
    struct audit_act act;
    bool audited;                        /* `act` is in the audit log as it stands */
    /* task_write: */
    int (*rows)(struct task *t, struct facts *facts);
    void (*then)(struct task *t);
    void (*back)(struct task *t);        /* task_hash, task_read: NULL: task_end(t, err) */
};

/* `err`, with a clause to say of it. */
int task_why(struct task *t, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The last thing a task does: answers t->answer, or refuses with `err`; tells the audit; frees the task. */
void task_end(struct task *t, int err);

/* Each of these is a step: 0: it is on its way; ERR_BUSY: it is not. What fails in it ends the task. */
/* `run` on the hashing thread, which sets work->err; then `back` here. */
int task_hash(struct task *t, void (*run)(struct work *work, void *context), void (*back)(struct task *t));
/* `run` on a job thread, context a struct job_reader; then `back` here, which may still task_end() with an error. */
int task_read(struct task *t, void (*run)(struct work *work, void *context), void (*back)(struct task *t));
/* `key` (may be NULL) and `rows` on the facts thread; the line of the audit log is written before they are committed,
 * and a failure to write it undoes them. Committed: `then` here (NULL: the task ends well). */
int task_write(struct task *t, int (*key)(struct clerk_work *w, struct vault *vault),
               int (*rows)(struct task *t, struct facts *facts), void (*then)(struct task *t));
/* A step like the last one for what changes no row. */
int task_audit(struct task *t, void (*then)(struct task *t));
/* For `then`: it failed after all. Has the line of the audit log corrected, and ends the task with `err`. */
void task_undone(struct task *t, int err);
/* For `then`: sends t->change, which `rows` has filled, to the user's sessions; the task ends well when they know. */
void task_tell(struct task *t);
/* The same error, said of a user: "bob: no such user". */
int task_why_user(struct task *t, const struct user_id *user, int err);

static inline struct task *task_of_clerk(struct clerk_work *w)
{
    return (struct task *)((char *)w - offsetof(struct task, clerk));
}

/* Adds words to the line of the audit log: nothing secret. */
void task_detail(struct task *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A whole number `field` of the request, `otherwise` when it is missing. ERR_RANGE, with a clause. */
int task_number(struct task *t, json_t *request, const char *field, int64_t least, int64_t most, int64_t otherwise,
                int64_t *out);
/* true or false; false when it is missing. ERR_TYPE, with a clause. */
int task_flag(struct task *t, json_t *request, const char *field, bool *out);
/* A text of at most `bytes_max` bytes without control characters; NULL in *out when it is missing. */
int task_text(struct task *t, json_t *request, const char *field, size_t bytes_max, const char **out);

/* The socket closes: erasures that wait are ended. */
void admin_erase_stop(struct admin *admin);

extern const struct request admin_user_requests[], admin_device_requests[], admin_invite_requests[],
    admin_status_requests[], admin_reload_requests[], admin_backup_requests[], admin_erase_requests[],
    admin_export_requests[];             /* each ends with an entry without a name */

#endif
