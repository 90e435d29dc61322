/* on_account.c - HTTP: /healthz, /v1/register, /v1/login.
 *
 * A task lives as long as its request: password on a hashing thread, rows by the clerk, then the answer. The hashing
 * queue is bounded; when it is full the peer is told when to come again, and nothing grows. A wrong password and a user
 * who does not exist take the same time and get the same answer. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/chat/session.h"
#include "server/chat/state.h"

enum { BUSY_RETRY_S = 3 };

struct http_task {
    uint8_t owner_kind;
    bool is_login;
    struct work hash;                 /* first step */
    struct clerk_work rows;           /* second step */
    struct chat *chat;
    struct conn *conn;                /* NULL once the peer has gone: the work goes on */
    struct account_request request;
    struct password_cost cost;        /* a copy: settings may change meanwhile */
    char password_hash[PASSWORD_HASH_MAX];
    uint8_t invite_hash[SECRET_HASH_BYTES];
    struct device_row device;
    uint8_t token[TOKEN_BYTES];
    uint64_t now_ms;
    struct http_task *prev, *next;
};

static struct http_task *task_of_hash(struct work *w)
{
    return (struct http_task *)((char *)w - offsetof(struct http_task, hash));
}

static struct http_task *task_of_rows(struct clerk_work *w)
{
    return (struct http_task *)((char *)w - offsetof(struct http_task, rows));
}

/* -- answers --------------------------------------------------------------------------------------------------- */

static int status_of(int err)
{
    switch (err) {
    case ERR_AUTH:        return 401;
    case ERR_INVITE:
    case ERR_CLOSED_DOOR:
    case ERR_DENIED:      return 403;
    case ERR_NOT_FOUND:   return 404;
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

static void respond_error(struct conn *conn, int status, const char *headers, int err, const char *why)
{
    struct buf body;
    char lines[128];
    buf_init(&body, ACCOUNT_BODY_BYTES_MAX);
    snprintf(lines, sizeof lines, "%s", headers);
    if (status == 429 || status == 503) snprintf(lines, sizeof lines, "Retry-After: %d\r\n", BUSY_RETRY_S);
    account_error_encode(err, why ? why : err_text(err), &body);
    conn_respond(conn, status, lines, "application/json", buf_bytes(&body));
    buf_fini(&body);
}

/* What went wrong inside is nobody's business outside; that it did, and whether to come again, is. */
static int outside(int err)
{
    switch (err) {
    case ERR_NO_SPACE:
    case ERR_IO:
    case ERR_CORRUPT: return ERR_STORAGE;
    case ERR_NOMEM:
    case ERR_FULL:    return ERR_BUSY;
    default:          return err;
    }
}

static void task_free(struct http_task *t)
{
    DL_DELETE(t->chat->tasks, t);
    account_request_wipe(&t->request);
    sodium_memzero(t->token, sizeof t->token);
    free(t);
}

static void task_end(struct http_task *t, int err, const char *why)
{
    err = outside(err);
    if (t->conn) {
        conn_set_owner(t->conn, NULL);
        if (err) {
            respond_error(t->conn, status_of(err), "", err, why);
        } else {
            struct account_answer a = { .user = t->request.user, .has_device = t->is_login };
            struct buf body;
            a.device = t->device.device;
            memcpy(a.token, t->token, sizeof a.token);
            buf_init(&body, ACCOUNT_BODY_BYTES_MAX);
            account_answer_encode(&a, &body);
            conn_respond(t->conn, t->is_login ? 200 : 201, "", "application/json", buf_bytes(&body));
            sodium_memzero(&a, sizeof a);
            buf_fini(&body);
        }
    }
    task_free(t);
}

/* -- steps ------------------------------------------------------------------------------------------------------- */

/* Verified when there is no such user, so that the time tells nothing. */
static int dummy_verify(const struct http_task *t)
{
    char hash[PASSWORD_HASH_MAX];
    (void)account_hash_password(t->request.password, &t->cost, hash);
    return ERR_AUTH;
}

static int check_password(struct http_task *t, struct facts *facts)
{
    struct user_row row;
    int err = facts_user_get(facts, &t->request.user, &row);
    if (err == ERR_NOT_FOUND) return dummy_verify(t);
    if (err) return err;
    const char *password = t->request.password;
    if (crypto_pwhash_str_verify(row.password_hash, password, strlen(password)) != 0) return ERR_AUTH;
    return row.disabled ? ERR_AUTH : 0;
}

static int check_invite(struct http_task *t, struct facts *facts)
{
    struct user_row row;
    int err = facts_invite_check(facts, t->invite_hash, t->now_ms);
    if (err) return err;                              /* before the name: who has no invite learns no names */
    err = facts_user_get(facts, &t->request.user, &row);
    if (err != ERR_NOT_FOUND) return err ? err : ERR_EXISTS;
    return account_hash_password(t->request.password, &t->cost, t->password_hash);
}

static void hash_run(struct work *work, void *context)
{
    struct http_task *t = task_of_hash(work);
    struct job_reader *reader = context;
    work->err = t->is_login ? check_password(t, reader->facts) : check_invite(t, reader->facts);
}

static int register_key(struct clerk_work *w, struct vault *vault)
{
    struct http_task *t = task_of_rows(w);
    return account_make_key(vault, &t->request.user, t->now_ms);
}

static int register_rows(struct clerk_work *w, struct facts *facts)
{
    struct http_task *t = task_of_rows(w);
    int err = facts_invite_use(facts, t->invite_hash, t->now_ms);
    return err ? err : account_add(facts, &t->request.user, t->password_hash, t->now_ms);
}

static int login_rows(struct clerk_work *w, struct facts *facts)
{
    return facts_device_add(facts, &task_of_rows(w)->device);
}

/* Who came in, and who did not and why: with the address, for those who keep others out by it. */
static void account_say(const struct http_task *t, int err)
{
    static const char *const events[2][2] = { { "registered", "register_refused" }, { "login", "login_refused" } };
    const char *event = events[t->is_login][err != 0];
    if (!t->conn) return;                             /* it went meanwhile, with its address */
    say(SAY_INFO, event, SAY_CONN(conn_id(t->conn)), SAY_TEXT("peer", conn_peer(t->conn)),
        SAY_TEXT("user", t->request.user.v), SAY_TEXT("why", err ? err_name(err) : "ok"));
}

static void rows_done(struct shard *shard, struct work *work)
{
    struct http_task *t = task_of_rows((struct clerk_work *)work);
    (void)shard;
    int err = work->err;
    if (!err) account_say(t, 0);
    task_end(t, err, err == ERR_TOO_MANY ? "this user has as many devices as a user may have" : NULL);
}

static void hash_done(struct shard *shard, struct work *work)
{
    struct http_task *t = task_of_hash(work);
    (void)shard;
    if (work->err) {
        account_say(t, work->err);
        task_end(t, work->err, NULL);
        return;
    }
    if (t->is_login) {
        account_new_device(&t->request.user, t->request.device_name, t->now_ms, &t->device, t->token);
        t->rows.rows = login_rows;
    } else {
        t->rows.key = register_key;
        t->rows.rows = register_rows;
    }
    t->rows.work.done = rows_done;
    if (!clerk_submit(t->chat, &t->rows)) task_end(t, ERR_BUSY, NULL);
}

/* -- requests ------------------------------------------------------------------------------------------------------ */

static void start_task(struct chat *chat, struct conn *conn, const struct http_request *request, bool is_login)
{
    const char *why = NULL;
    struct http_task *t = calloc(1, sizeof *t);
    if (!t) {
        respond_error(conn, 503, "", ERR_BUSY, NULL);
        return;
    }
    t->owner_kind = OWNER_TASK;
    t->is_login = is_login;
    t->chat = chat;
    t->conn = conn;
    t->cost = chat->settings.password_cost;
    t->now_ms = chat->shard->wall_ms;
    t->hash.run = hash_run;
    t->hash.done = hash_done;
    DL_APPEND(chat->tasks, t);
    int err = account_request_decode(request->body, &t->request, &why);
    if (!err && chat->stopping) err = ERR_GOING;
    if (!err && !is_login && !t->request.invite[0]) {
        err = ERR_INVITE;
        why = "registration needs an invite";
    }
    if (!err) {
        account_secret_hash(bytes_of_str(t->request.invite), t->invite_hash);
        conn_set_owner(conn, t);
        if (worker_submit(chat->config->hashing, chat->shard, &t->hash)) return;
        err = ERR_BUSY;
    }
    task_end(t, err, why);
}

static void respond_health(struct chat *chat, struct conn *conn)
{
    static const char ok[] = "{\"status\":\"ok\"}\n", broken[] = "{\"status\":\"read-only\"}\n";
    bool good = !log_is_read_only(chat->log) && !chat->facts_broken;
    conn_respond(conn, good ? 200 : 503, "", "application/json", bytes_of_str(good ? ok : broken));
}

void account_on_request(struct conn *conn, const struct http_request *request)
{
    static const struct { const char *path, *method, *allow; } routes[] = {
        { "/healthz", "GET", "Allow: GET, HEAD\r\n" },
        { "/v1/register", "POST", "Allow: POST\r\n" },
        { "/v1/login", "POST", "Allow: POST\r\n" },
    };
    struct chat *chat = chat_of(conn_shard(conn));
    size_t i = 0, count = sizeof routes / sizeof routes[0];
    while (i < count && strcmp(routes[i].path, request->path) != 0) i++;
    if (i == count) {
        respond_error(conn, 404, "", ERR_NOT_FOUND, "no such path");
        return;
    }
    bool head = i == 0 && strcmp(request->method, "HEAD") == 0;
    if (!head && strcmp(routes[i].method, request->method) != 0) {
        respond_error(conn, 405, routes[i].allow, ERR_UNSUPPORTED, "this path does not know that method");
        return;
    }
    if (i == 0) respond_health(chat, conn);
    else start_task(chat, conn, request, i == 2);
}

void account_on_closed(void *owner)
{
    ((struct http_task *)owner)->conn = NULL;
}
