/* answer.c - a connection in HTTP state: one request, its answer, the next request; or the upgrade.
 *
 * A request's answer may come at once or after a job; until then nothing more is interpreted, so answers are in order
 * however many requests a peer sends ahead. The upgrade is answered here, since nobody above needs to know HTTP's
 * side of it; from then on the same connection speaks WebSocket, and bytes that came right behind the request are
 * its first. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proto/limits.h"
#include "server/net/inside.h"

enum { ANSWER_HEAD_BYTES_MAX = 4096 };      /* ours: a few fixed lines and the caller's extra headers */

/* Queue an answer. `connection`: "close" or "". */
static int answer_put(struct conn *c, int status, const char *headers, const char *type, struct bytes body)
{
    char head[ANSWER_HEAD_BYTES_MAX];
    int len = snprintf(head, sizeof head,
                       "HTTP/1.1 %d %s\r\n%s%s%s%sContent-Length: %zu\r\nCache-Control: no-store\r\n"
                       "X-Content-Type-Options: nosniff\r\n%s\r\n",
                       status, http_reason(status), headers, *type ? "Content-Type: " : "", type, *type ? "\r\n" : "",
                       body.len, c->keep_alive ? "" : "Connection: close\r\n");
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

/* Answer and close. */
static void answer_last(struct conn *c, int status, const char *headers, const char *why, int err)
{
    char text[160];
    int len = snprintf(text, sizeof text, "%s\n", why);
    assert(len > 0 && (size_t)len < sizeof text);
    c->keep_alive = false;
    if (answer_put(c, status, headers, "text/plain; charset=utf-8", bytes_of(text, (size_t)len)) != 0) {
        conn_fail(c, ERR_NOMEM);
    } else {
        conn_close(c, err);
    }
}

void conn_respond(struct conn *c, int status, const char *headers, const char *content_type, struct bytes body)
{
    assert(shard_is_current(c->net->shard));
    if (c->state != CONN_HTTP) return;
    assert(c->answering);
    c->answering = false;
    STAT_ADD(&c->net->shard->stats, http_requests, 1);
    if (answer_put(c, status, headers ? headers : "", content_type ? content_type : "", body) != 0) {
        conn_fail(c, ERR_NOMEM);
        return;
    }
    if (!c->keep_alive) {
        conn_close(c, 0);
        return;
    }
    wheel_set(&c->net->shard->wheel, &c->timer, c->net->config.settings.keepalive_ms);
    conn_mark_dirty(c);
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
    const char *why;
    int status = http_upgrade(c->http, key, &why);
    STAT_ADD(&c->net->shard->stats, http_requests, 1);
    if (strcmp(head->method, "GET") != 0) {
        answer_last(c, 405, "Allow: GET\r\n", "a WebSocket begins with GET", ERR_MALFORMED);
    } else if (status == 426) {
        answer_last(c, status, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", why, ERR_MALFORMED);
    } else if (status != 101) {
        answer_last(c, status, "", why, ERR_MALFORMED);
    } else if (answer_put_upgrade(c, key) != 0) {
        conn_fail(c, ERR_NOMEM);
    } else {
        conn_enter(c, CONN_WS);
        /* Its first message must come in time; later ones are the owner's to wait for. */
        wheel_set(&c->net->shard->wheel, &c->timer, c->net->config.settings.request_ms);
        conn_mark_dirty(c);
    }
}

static void answer_request(struct conn *c)
{
    struct http_head head = http_head(c->http);
    wheel_cancel(&c->net->shard->wheel, &c->timer);     /* from here it is our time, not the peer's */
    c->keep_alive = head.keep_alive;
    c->is_head = head.is_head;
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

static void answer_bad(struct conn *c, int status)
{
    bool too_big = status == 413 || status == 431;
    STAT_ADD(&c->net->shard->stats, http_requests, 1);
    say(SAY_INFO, "http_refused", SAY_CONN(c->id), SAY_TEXT("peer", c->peer), SAY_I64("status", status));
    c->is_head = false;
    answer_last(c, status, "", http_reason(status), too_big ? ERR_TOO_BIG : ERR_MALFORMED);
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
    case HTTP_STEP_BAD:
        answer_bad(c, http_bad_status(c->http));
        break;
    }
    if (c->state == CONN_WS) {
        http_free(c->http);
        c->http = NULL;
    }
    return used;
}

void answer_timeout(struct conn *c)
{
    c->is_head = false;
    if (c->http && !http_is_idle(c->http)) {
        answer_last(c, 408, "", "the request did not come in time", ERR_IDLE);
    } else {
        conn_close(c, ERR_IDLE);
    }
}

void answer_refusal(struct conn *c, int status, const char *why)
{
    answer_last(c, status, "Retry-After: 10\r\n", why, ERR_BUSY);
}
