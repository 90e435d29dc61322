/* task.c - see task.h.
 *
 * The hashing queue is bounded; when it is full the peer is told when to come again, from how many wait and how long
 * each took lately, and nothing grows. An attempt's tokens go back unless something was guessed wrong: a server that is
 * busy or a disk that is full locks nobody out. */
#include "server/chat/task.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/chat/session.h"

enum { BUSY_RETRY_S = 3, READ_ONLY_RETRY_S = 60, HASH_US_GUESS = 100 * 1000 };

static void task_next(struct http_task *t);

static struct http_task *task_of_work(struct work *w)
{
    return (struct http_task *)((char *)w - offsetof(struct http_task, work));
}

static struct http_task *task_of_rows(struct clerk_work *w)
{
    return (struct http_task *)((char *)w - offsetof(struct http_task, rows));
}

/* -- answers --------------------------------------------------------------------------------------------------- */

static int status_of(int err)
{
    switch (err) {
    case ERR_AUTH:
    case ERR_REVOKED:     return 401;
    case ERR_INVITE:
    case ERR_CLOSED_DOOR:
    case ERR_DENIED:      return 403;
    case ERR_NOT_FOUND:   return 404;
    case ERR_UNSUPPORTED: return 405;
    case ERR_EXISTS:      return 409;
    case ERR_TOO_BIG:     return 413;
    case ERR_RATE:        return 429;
    case ERR_BUSY:
    case ERR_GOING:
    case ERR_READ_ONLY:   return 503;
    case ERR_STORAGE:     return 507;
    default:              return 400;
    }
}

void http_refuse(struct conn *conn, int err, const char *why, const char *headers, uint64_t retry_s)
{
    struct buf body;
    char lines[160];
    int told = err_for_peer(err), status = status_of(told);
    buf_init(&body, ACCOUNT_BODY_BYTES_MAX);
    if (retry_s == 0) retry_s = told == ERR_READ_ONLY ? READ_ONLY_RETRY_S : BUSY_RETRY_S;
    if (status == 429 || status == 503)
        snprintf(lines, sizeof lines, "%sRetry-After: %llu\r\n", headers, (unsigned long long)retry_s);
    else
        snprintf(lines, sizeof lines, "%s%s", headers, status == 401 ? "WWW-Authenticate: Bearer\r\n" : "");
    account_error_encode(told, why, &body);
    conn_respond(conn, status, lines, "application/json", buf_bytes(&body));
    buf_fini(&body);
}

static void task_answer(struct http_task *t)
{
    struct buf body;
    buf_init(&body, EXPORT_BODY_BYTES_MAX);
    int err = t->route->answer(t, &body);
    if (err) http_refuse(t->conn, err, NULL, "", 0);
    else conn_respond(t->conn, t->route->status, "", "application/json", buf_bytes(&body));
    if (body.at) sodium_memzero(body.at, body.len);
    buf_fini(&body);
}

/* Who came in, and who did not and why: with the address, for those who keep others out by it. */
static void task_say(const struct http_task *t, int err)
{
    /* Two events, so that a flood of refusals, which say() cuts short, hides nobody who came in. */
    if (err == ERR_PEER) return;
    say(SAY_INFO, err ? t->route->refused : t->route->done, SAY_CONN(t->conn_id), SAY_TEXT("peer", t->peer),
        SAY_TEXT("user", t->user.v), SAY_TEXT("why", err ? err_name(err) : "ok"));
}

/* -- the end ---------------------------------------------------------------------------------------------------- */

static void task_free(struct http_task *t)
{
    DL_DELETE(t->chat->tasks, t);
    change_free(t->change);
    buf_fini(&t->body);
    sodium_memzero(&t->u, sizeof t->u);
    sodium_memzero(t->token, sizeof t->token);
    free(t);
}

/* Did the peer learn something from this? Who has gone may have. */
static bool is_spent(const struct http_task *t, int err)
{
    switch (err) {
    case 0:           return t->always_spent;
    case ERR_AUTH:
    case ERR_DENIED:
    case ERR_INVITE:
    case ERR_EXISTS:
    case ERR_NAME:
    case ERR_PEER:    return true;
    default:          return false;
    }
}

static void task_finish(struct http_task *t)
{
    if (t->conn) {
        conn_set_owner(t->conn, NULL);
        if (t->err) http_refuse(t->conn, t->err, t->why, "", t->retry_s);
        else task_answer(t);
    }
    task_free(t);
}

static void given_back(struct shard *shard, struct limit *l)
{
    (void)shard;
    task_finish((struct http_task *)((char *)l - offsetof(struct http_task, limit)));
}

/* Tokens go back before the answer: who knows the password never waits, however soon they come again. */
static void task_end(struct http_task *t, int err)
{
    struct shard *shard = t->chat->shard;
    t->err = err;
    if (t->user.v[0]) task_say(t, err);
    if (err == ERR_RATE) STAT_ADD(&shard->stats, attempts_refused, 1);
    if (is_spent(t, err) || !limit_give(shard, &t->limit, given_back)) task_finish(t);
}

void task_on_closed(struct http_task *t)
{
    t->conn = NULL;
}

/* -- steps ------------------------------------------------------------------------------------------------------- */

static void limit_done(struct shard *shard, struct limit *l)
{
    struct http_task *t = (struct http_task *)((char *)l - offsetof(struct http_task, limit));
    (void)shard;
    if (l->wait_ms == 0) {
        task_next(t);
        return;
    }
    t->why = "too many attempts; Retry-After says when the next one is let through";
    t->retry_s = (l->wait_ms + 999) / 1000;
    task_end(t, ERR_RATE);
}

static void work_done(struct shard *shard, struct work *work)
{
    struct http_task *t = task_of_work(work);
    if (t->hashed) {
        t->hashed = false;
        STAT_ADD(&shard->stats, passwords_hashed, 1);
        /* Each new one counts for a quarter: one slow moment is soon forgotten. */
        uint64_t before = t->chat->hash_us ? t->chat->hash_us : t->hash_us;
        t->chat->hash_us = (3 * before + t->hash_us) / 4;
    }
    if (work->err) task_end(t, work->err);
    else task_next(t);
}

static void device_run(struct work *work, void *context)
{
    struct http_task *t = task_of_work(work);
    struct facts *facts = ((struct job_reader *)context)->facts;
    struct device_row row;
    work->err = account_check_device(facts, &t->user, t->device, t->token_hash, &row);
    if (!work->err && t->route->read) work->err = t->route->read(t, facts);
}

static void hash_run(struct work *work, void *context)
{
    struct http_task *t = task_of_work(work);
    const struct clock *clock = t->chat->shard->house->clock;
    uint64_t began_us = clock->mono_us(clock->self);
    work->err = t->route->hash(t, ((struct job_reader *)context)->facts);
    t->hash_us = clock->mono_us(clock->self) - began_us;
}

/* When one of those who wait now will have been served. */
static uint64_t hashing_s(const struct chat *chat)
{
    uint64_t each_us = chat->hash_us ? chat->hash_us : HASH_US_GUESS;
    uint64_t all_us = worker_queued(chat->config->hashing) * each_us / chat->config->hashing_threads;
    return 1 + all_us / 1000000;
}

static int run_key(struct clerk_work *w, struct vault *vault)
{
    struct http_task *t = task_of_rows(w);
    return t->route->key(t, vault);
}

static int run_rows(struct clerk_work *w, struct facts *facts)
{
    struct http_task *t = task_of_rows(w);
    return t->route->rows(t, facts);
}

static void rows_done(struct shard *shard, struct work *work)
{
    struct http_task *t = task_of_rows((struct clerk_work *)work);
    (void)shard;
    if (work->err) task_end(t, work->err);
    else task_next(t);
}

static void told(struct shard *shard, struct change *c)
{
    struct http_task *t = c->arg;
    (void)shard;
    t->change = c;
    task_next(t);
}

static void task_tell(struct http_task *t)
{
    struct change *c = t->change;
    t->change = NULL;
    c->arg = t;
    c->done = told;
    change_send(t->chat->shard, c);
}

/* Until rows are written nothing has happened: nobody waits for it any more, so nothing need. */
static bool peer_left(const struct http_task *t, enum task_step step)
{
    return !t->conn && step != STEP_TELL && step != STEP_END;
}

static void task_next(struct http_task *t)
{
    struct chat *chat = t->chat;
    enum task_step step = t->route->steps[t->step++];
    if (peer_left(t, step)) {
        task_end(t, ERR_PEER);
        return;
    }
    bool taken = true;
    t->work.done = work_done;
    switch (step) {
    case STEP_END:
        task_end(t, 0);
        break;
    case STEP_LIMIT:
        limit_take(chat->shard, &t->limit, &t->user, t->peer, limit_done);
        break;
    case STEP_DEVICE:
        t->work.run = device_run;
        taken = worker_submit(chat->config->jobs, chat->shard, &t->work);
        break;
    case STEP_HASH:
        t->work.run = hash_run;
        taken = worker_submit(chat->config->hashing, chat->shard, &t->work);
        if (!taken) t->retry_s = hashing_s(chat);
        break;
    case STEP_ROWS:
        t->rows.key = t->route->key ? run_key : NULL;
        t->rows.rows = run_rows;
        t->rows.work.done = rows_done;
        taken = clerk_submit(chat, &t->rows);
        break;
    case STEP_TELL:
        task_tell(t);
        break;
    }
    if (!taken) task_end(t, ERR_BUSY);
}

/* -- the beginning ----------------------------------------------------------------------------------------------- */

static bool has_step(const struct route *route, enum task_step step)
{
    for (size_t i = 0; route->steps[i] != STEP_END; i++)
        if (route->steps[i] == step) return true;
    return false;
}

static int take_bearer(struct http_task *t, const struct http_request *request)
{
    struct bearer bearer;
    t->why = "this path wants the header Authorization: Bearer USER.DEVICE.TOKEN";
    if (bearer_parse(bytes_of_str(request->authorization), &bearer) != 0) return ERR_AUTH;
    t->why = NULL;
    t->user = bearer.user;
    t->device = bearer.device;
    account_secret_hash(BYTES_OF(bearer.token), t->token_hash);
    sodium_memzero(&bearer, sizeof bearer);
    return 0;
}

static int task_begin(struct http_task *t, const struct http_request *request)
{
    if (t->chat->stopping) return ERR_GOING;
    int err = has_step(t->route, STEP_DEVICE) ? take_bearer(t, request) : 0;
    if (!err && t->route->begin) err = t->route->begin(t, request);
    if (!err && has_step(t->route, STEP_TELL)) {
        t->change = change_new(&t->user);
        if (!t->change) err = ERR_BUSY;
    }
    return err;
}

void task_start(struct chat *chat, struct conn *conn, const struct http_request *request, const struct route *route)
{
    struct http_task *t = calloc(1, sizeof *t);
    if (!t) {
        http_refuse(conn, ERR_BUSY, NULL, "", 0);
        return;
    }
    t->owner_kind = OWNER_TASK;
    t->route = route;
    t->chat = chat;
    t->conn = conn;
    t->conn_id = conn_id(conn);
    snprintf(t->peer, sizeof t->peer, "%s", conn_peer(conn));
    t->cost = chat->settings.password_cost;
    t->registration = chat->settings.registration;
    t->now_ms = chat->shard->wall_ms;
    buf_init(&t->body, EXPORT_BODY_BYTES_MAX);
    DL_APPEND(chat->tasks, t);
    conn_set_owner(conn, t);
    int err = task_begin(t, request);
    if (err) task_end(t, err);
    else task_next(t);
}
