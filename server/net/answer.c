/* answer.c - a connection in HTTP state: one request, its answer, the next request; or the upgrade.
 *
 * A request's answer may come at once or after a job; until then nothing more is interpreted, so answers are in order
 * however many requests a peer sends ahead. The upgrade is answered here, since nobody above needs to know HTTP's
 * side of it; from then on the same connection speaks WebSocket, and bytes that came right behind the request are
 * its first.
 *
 * Pages of other origins are turned away here, before anything is done for them, or told that they may (CORS). Whatever
 * is refused here has the body that on_request()'s refusals have: {"error", "text", "again"}. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proto/proto.h"
#include "server/net/inside.h"
#include "server/net/origin.h"

enum {
    ANSWER_HEAD_BYTES_MAX = 4096,           /* ours: a few fixed lines and the caller's extra headers */
    ANSWER_ERROR_BYTES_MAX = 1024,          /* {"error", "text", "again"} */
};

/* In every answer; each line for one reason. */
static const char safe_lines[] =
    "Cache-Control: no-store\r\n"                      /* a token must not stay in a cache */
    "X-Content-Type-Options: nosniff\r\n"              /* JSON is JSON, even where it looks like a page */
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"     /* and opened as a page runs nothing */
    "Referrer-Policy: no-referrer\r\n"                 /* an address with a query goes nowhere else */
    "Cross-Origin-Resource-Policy: same-origin\r\n";   /* another site's page cannot load it as a script or image */

/* For pages of allowed origins. Nothing here goes by cookies, so credentials are not spoken of. */
static int put_cors(const struct conn *c, char *at, size_t room)
{
    if (!c->cors) return 0;
    return snprintf(at, room, "Access-Control-Allow-Origin: %s\r\nAccess-Control-Expose-Headers: Retry-After\r\n"
                    "Vary: Origin\r\n", http_head(c->http).origin);
}

/* Queue an answer. Status 204 has no length to tell. */
static int answer_put(struct conn *c, int status, const char *headers, const char *type, struct bytes body)
{
    char head[ANSWER_HEAD_BYTES_MAX], cors[ORIGIN_BYTES_MAX + 128] = "", length[64] = "";
    if (status != 204) snprintf(length, sizeof length, "Content-Length: %zu\r\n", body.len);
    int cors_len = put_cors(c, cors, sizeof cors);
    assert((size_t)cors_len < sizeof cors);
    int len = snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\n%s%s%s%s%s%s%s%s\r\n",
                       status, http_reason(status), headers, *type ? "Content-Type: " : "", type, *type ? "\r\n" : "",
                       length, safe_lines, cors, c->keep_alive ? "" : "Connection: close\r\n");
    assert(len > 0 && (size_t)len < sizeof head);
    size_t body_len = c->is_head ? 0 : body.len;
    struct frame *f = frame_new((size_t)len + body_len);
    if (!f) return ERR_NOMEM;
    memcpy(f->at, head, (size_t)len);
    if (body_len) memcpy(f->at + len, body.at, body_len);
    int err = out_push(c, f);
    frame_unref(f);
    return err;
}

static int answer_put_error(struct conn *c, int status, const char *headers, int err, const char *text)
{
    struct buf body;
    buf_init(&body, ANSWER_ERROR_BYTES_MAX);
    int failed = account_error_encode(err, text, &body);
    if (!failed) failed = answer_put(c, status, headers, "application/json", buf_bytes(&body));
    buf_fini(&body);
    return failed;
}

/* Answer and close. `why` is on_closed's. */
static void answer_last(struct conn *c, int status, const char *headers, int err, const char *text, int why)
{
    c->keep_alive = false;
    if (answer_put_error(c, status, headers, err, text) != 0) conn_fail(c, ERR_NOMEM);
    else conn_close(c, why);
}

/* It is answered; the next one may come. */
static void answer_done(struct conn *c)
{
    STAT_ADD(&c->net->shard->stats, http_requests, 1);
    if (c->is_unix) addr_remove(c->net, c);             /* the next one may be another's */
    if (!c->keep_alive) {
        conn_close(c, 0);
        return;
    }
    wheel_set(&c->net->shard->wheel, &c->timer, c->net->config.settings.keepalive_ms);
    conn_mark_dirty(c);
}

void conn_respond(struct conn *c, int status, const char *headers, const char *content_type, struct bytes body)
{
    assert(shard_is_current(c->net->shard));
    if (c->state != CONN_HTTP) return;
    assert(c->answering);
    c->answering = false;
    if (answer_put(c, status, headers ? headers : "", content_type ? content_type : "", body) != 0)
        conn_fail(c, ERR_NOMEM);
    else answer_done(c);
}

static int answer_put_upgrade(struct conn *c, const char *key)
{
    char accept[WSKEY_ACCEPT_TEXT], head[256];
    int err = wskey_accept(key, accept);
    if (err) return err;
    int len = snprintf(head, sizeof head,
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: " SUBPROTOCOL "\r\n\r\n", accept);
    struct frame *f = frame_new((size_t)len);
    if (!f) return ERR_NOMEM;
    memcpy(f->at, head, (size_t)len);
    err = out_push(c, f);
    frame_unref(f);
    return err;
}

static void answer_upgrade(struct conn *c, const struct http_head *head)
{
    char key[HTTP_KEY_TEXT];
    struct http_bad bad = http_upgrade(c->http, key);
    STAT_ADD(&c->net->shard->stats, http_requests, 1);
    if (strcmp(head->method, "GET") != 0) {
        answer_last(c, 405, "Allow: GET\r\n", ERR_UNSUPPORTED, "a WebSocket begins with GET", ERR_MALFORMED);
    } else if (bad.status == 426) {
        answer_last(c, 426, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", bad.err, bad.text, ERR_MALFORMED);
    } else if (bad.status != 101) {
        answer_last(c, bad.status, "", bad.err, bad.text, ERR_MALFORMED);
    } else if (answer_put_upgrade(c, key) != 0) {
        conn_fail(c, ERR_NOMEM);
    } else {
        conn_enter(c, CONN_WS);
        /* Its first message must come in time; later ones are the owner's to wait for. */
        wheel_set(&c->net->shard->wheel, &c->timer, c->net->config.settings.request_ms);
        conn_mark_dirty(c);
    }
}

/* A page of another origin asks, or wants to know whether it may. True: the request is answered. */
static bool answer_origin(struct conn *c, const struct http_head *head)
{
    const struct net_config *config = &c->net->config;
    int err;
    if (!head->origin[0] || strncmp(head->path, config->api_prefix, strlen(config->api_prefix)) != 0) return false;
    if (!origin_is_allowed(config->settings.allowed_origins, head->origin, head->host)) {
        err = answer_put_error(c, 403, "", ERR_DENIED,
                               "pages of this Origin may not use this server: it is not among its "
                               "allowed_origins");
    } else {
        c->cors = true;
        if (strcmp(head->method, "OPTIONS") != 0 || !head->preflight[0]) return false;
        err = answer_put(c, 204, "Access-Control-Allow-Methods: GET, POST, PUT, DELETE\r\n"
                         "Access-Control-Allow-Headers: Authorization, Content-Type\r\nAccess-Control-Max-Age: 600\r\n",
                         "", BYTES_NONE);
    }
    if (err) conn_fail(c, ERR_NOMEM);
    else answer_done(c);
    return true;
}

/* A proxy's connection carries requests of many: each is counted for its own address while it is answered, and a
 * WebSocket as long as it lives. True: there are too many, and that is the answer. */
static bool answer_crowd(struct conn *c, const struct http_head *head)
{
    bool loopback = false;
    assert(!c->counted);
    if (!peer_of_forwarded(head->forwarded_for, head->forwarded, c->peer, &loopback)) {
        strcpy(c->peer, "unix");
        return false;
    }
    int err = addr_enter(c->net, c, loopback);
    if (!err) return false;
    STAT_ADD(&c->net->shard->stats, conns_refused, 1);
    say(SAY_WARN, "conn_refused", SAY_CONN(c->id), SAY_TEXT("peer", c->peer),
        SAY_TEXT("why", err == ERR_RATE ? "connections_per_address_max" : "out of memory"));
    if (answer_put_error(c, err == ERR_RATE ? 429 : 503, "Retry-After: 10\r\n", err == ERR_RATE ? err : ERR_BUSY,
                         "too many connections from this address") != 0) conn_fail(c, ERR_NOMEM);
    else answer_done(c);
    return true;
}

/* It came without TLS where that is spoken, or to where requests are only told to go by TLS. */
static void answer_plain(struct conn *c, const struct http_head *head)
{
    const struct net_config *config = &c->net->config;
    const char *colon = strrchr(head->host, ':');
    size_t host_len = strlen(head->host);
    char headers[ANSWER_HEAD_BYTES_MAX / 2], port[8] = "";
    bool elsewhere = c->told_tls == TOLD_ELSEWHERE;
    if (elsewhere) {
        if (colon && !strchr(colon, ']')) host_len = (size_t)(colon - head->host);
        if (config->tls_port != 443) snprintf(port, sizeof port, ":%u", config->tls_port);
    }
    int len = snprintf(headers, sizeof headers, "Location: https://%.*s%s%s%s%s\r\n", (int)host_len, head->host, port,
                       head->path, *head->query ? "?" : "", head->query);
    bool redirects = (elsewhere ? c->net->certs && config->tls_port : config->settings.redirects) && host_len > 0;
    /* A body has already been sent in the clear: to send it again would hide that from whoever wrote the address. */
    bool asks = strcmp(head->method, "GET") == 0 || strcmp(head->method, "HEAD") == 0;
    if (redirects && asks && len > 0 && (size_t)len < sizeof headers) {
        answer_last(c, 308, headers, ERR_UNSUPPORTED, "come by TLS: https:// or wss://", 0);
    } else {
        answer_last(c, 400, "", ERR_UNSUPPORTED, "TLS is spoken here: https:// or wss://", ERR_MALFORMED);
    }
}

static void answer_request(struct conn *c)
{
    struct http_head head = http_head(c->http);
    wheel_cancel(&c->net->shard->wheel, &c->timer);     /* from here it is our time, not the peer's */
    c->keep_alive = head.keep_alive;
    c->is_head = head.is_head;
    c->cors = false;
    if (c->told_tls) {
        answer_plain(c, &head);
        return;
    }
    if (c->is_unix && answer_crowd(c, &head)) return;
    if (answer_origin(c, &head)) return;
    if (strcmp(head.path, c->net->config.ws_path) == 0) {
        answer_upgrade(c, &head);
        return;
    }
    struct http_request request = {
        .method = head.method,
        .path = head.path,
        .query = head.query,
        .authorization = head.authorization,
        .body = http_body(c->http),
        .peer = c->peer,
    };
    c->answering = true;
    c->net->config.events->on_request(c, &request);
}

static void answer_continue(struct conn *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct frame *f = frame_new(sizeof text - 1);
    if (f) memcpy(f->at, text, sizeof text - 1);
    if (!f || out_push(c, f) != 0) conn_fail(c, ERR_NOMEM);
    frame_unref(f);
    conn_mark_dirty(c);
}

static void answer_bad(struct conn *c, const struct http_bad *bad)
{
    STAT_ADD(&c->net->shard->stats, http_requests, 1);
    say(SAY_INFO, "http_refused", SAY_CONN(c->id), SAY_TEXT("peer", c->peer), SAY_I64("status", bad->status),
        SAY_TEXT("why", bad->text));
    c->is_head = c->cors = false;
    answer_last(c, bad->status, bad->status == 503 ? "Retry-After: 10\r\n" : "", bad->err, bad->text,
                bad->err == ERR_TOO_BIG ? ERR_TOO_BIG : ERR_MALFORMED);
}

size_t answer_feed(struct conn *c, struct bytes in)
{
    if (!c->http && http_new(&c->http) != 0) {
        conn_fail(c, ERR_NOMEM);
        return in.len;
    }
    if (http_is_idle(c->http)) wheel_set(&c->net->shard->wheel, &c->timer, c->net->config.settings.request_ms);
    enum http_step step;
    size_t used = http_feed(c->http, in, &step);
    switch (step) {
    case HTTP_STEP_MORE:
        if (http_take_continue(c->http)) answer_continue(c);
        break;
    case HTTP_STEP_WHOLE:
        answer_request(c);
        break;
    case HTTP_STEP_BAD: {
        struct http_bad bad = http_bad(c->http);
        answer_bad(c, &bad);
        break;
    }
    }
    if (c->state == CONN_WS) {
        http_free(c->http);
        c->http = NULL;
    }
    return used;
}

void answer_timeout(struct conn *c)
{
    c->is_head = c->cors = false;
    if (c->http && !http_is_idle(c->http)) {
        answer_last(c, 408, "", ERR_IDLE, "the request was not whole in time", ERR_IDLE);
    } else {
        conn_close(c, ERR_IDLE);
    }
}

void answer_refusal(struct conn *c, int status, const char *why)
{
    answer_last(c, status, "Retry-After: 10\r\n", status == 429 ? ERR_RATE : ERR_BUSY, why, ERR_BUSY);
}
