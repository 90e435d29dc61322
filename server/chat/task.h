/* task.h - a request over HTTP about an account, from its body to its answer.
 *
 * A route says in which steps it is served, and what each of them does for it; task.c walks through them. A step waits
 * for another thread or shard and comes back to the shard that has the connection. What does not touch the peer goes on
 * when the peer has gone, from the rows on; before that nothing has happened yet, and nothing will.
 * Thread: the shard of the connection; `check` and `hash` on a job's or hashing thread, `key` and `rows` on the facts
 * thread: they touch the task alone, which is theirs meanwhile. */
#ifndef PIPIT_CHAT_TASK_H
#define PIPIT_CHAT_TASK_H

#include "server/chat/limit.h"
#include "server/chat/state.h"

enum task_step {
    STEP_END,
    STEP_LIMIT,       /* may this be tried at all? Before anything that costs */
    STEP_DEVICE,      /* is it the device that it says? Then route->read */
    STEP_HASH,        /* route->hash, a tenth of a second */
    STEP_ROWS,        /* route->key and route->rows, committed */
    STEP_TELL,        /* task->change to the user's sessions */
};
enum { TASK_STEPS_MAX = 6, TASK_PEER_TEXT = 64 };

struct http_task;

struct route {
    const char *path, *method;
    void (*serve)(struct chat *chat, struct conn *conn);          /* answers at once; NULL: a task with … */
    const char *done, *refused;                                    /* events of log lines */
    int status;                                                    /* when all went well */
    uint8_t steps[TASK_STEPS_MAX];                                 /* enum task_step, ended by STEP_END */
    /* Each returns 0 or ERR_*, and may set task->why to a constant clause. NULL: nothing to do. */
    int (*begin)(struct http_task *t, const struct http_request *request);
    int (*read)(struct http_task *t, struct facts *facts);
    int (*hash)(struct http_task *t, struct facts *facts);
    int (*key)(struct http_task *t, struct vault *vault);
    int (*rows)(struct http_task *t, struct facts *facts);
    int (*answer)(struct http_task *t, struct buf *to);            /* the body */
};

struct http_task {
    uint8_t owner_kind;
    uint8_t step;                     /* index into route->steps */
    bool always_spent;                /* the attempt counts although it went well */
    bool hashed;                      /* Argon2id ran */
    const struct route *route;
    struct chat *chat;
    struct conn *conn;                /* NULL once the peer has gone */
    uint64_t conn_id;
    char peer[TASK_PEER_TEXT];
    int err;                          /* how it ended */
    const char *why;
    uint64_t retry_s;                 /* 0: the usual */
    struct work work;                 /* STEP_DEVICE, STEP_HASH */
    struct clerk_work rows;           /* STEP_ROWS */
    struct limit limit;               /* STEP_LIMIT */
    struct change *change;            /* STEP_TELL; owned until it is sent, and again when it is back */
    uint64_t now_ms, hash_us;
    struct password_cost cost;        /* copies: settings may change meanwhile */
    enum registration registration;

    struct user_id user;              /* whose account */
    struct device_id device;          /* as which it is asked, or that was made */
    uint8_t token_hash[SECRET_HASH_BYTES];
    union {                           /* wiped */
        struct account_request request;       /* register, login */
        struct account_password password;     /* password, delete */
    } u;
    char old_hash[PASSWORD_HASH_MAX]; /* of the password that was checked */
    char new_hash[PASSWORD_HASH_MAX];
    uint8_t invite_hash[SECRET_HASH_BYTES];
    struct device_row made;           /* login */
    uint8_t token[TOKEN_BYTES];       /* wiped */
    uint64_t logged_out;
    struct conv_id after;             /* export */
    struct buf body;                  /* export: made by the job */
    struct http_task *prev, *next;    /* chat->tasks */
};

/* Begin to serve a request: it is answered now or later. */
void task_start(struct chat *chat, struct conn *conn, const struct http_request *request, const struct route *route);
void task_on_closed(struct http_task *t);                 /* the conn is gone */
/* An error as this port tells it: JSON, with the headers that its status wants. `headers`: more of them, or "".
 * retry_s 0: the usual. */
void http_refuse(struct conn *conn, int err, const char *why, const char *headers, uint64_t retry_s);

/* The routes that are tasks: on_account.c, on_export.c. */
extern const struct route route_register, route_login, route_password, route_logout, route_delete, route_export;

#endif
