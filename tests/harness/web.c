/* web.c - see web.h. */
#include "tests/harness/web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/peer.h"

int web_ask_raw(struct rig *rig, const char *source, const char *method, const char *path, const char *lines,
                const char *body, struct web *out)
{
    struct peer *p = source ? peer_dial_from(source, rig_port(rig)) : peer_dial(rig_port(rig));
    size_t len = body ? strlen(body) : 0, room = 1024 + strlen(path) + strlen(lines) + len;
    char *request = malloc(room);
    if (!request) abort();
    snprintf(request, room, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n%s", method,
             path, len, lines, body ? body : "");
    peer_puts(p, request);
    free(request);
    out->status = strcmp(method, "HEAD") == 0 ? peer_answer_to_head(p) : peer_answer(p);
    snprintf(out->head, sizeof out->head, "%s", p->head);
    const char *retry = strstr(out->head, "Retry-After: ");
    out->retry_s = retry ? atoi(retry + strlen("Retry-After: ")) : -1;
    if (p->body.len >= sizeof out->body) abort();
    memcpy(out->body, p->body.len ? (const char *)p->body.at : "", p->body.len);
    out->body[p->body.len] = '\0';
    peer_free(p);
    return out->status;
}

int web_ask(struct rig *rig, const char *source, const char *method, const char *path, const struct web_device *device,
            const char *body, struct web *out)
{
    char text[BEARER_TEXT], lines[BEARER_TEXT + 32] = "";
    if (device) {
        struct bearer b = { device->user, device->device, { 0 } };
        memcpy(b.token, device->token, sizeof b.token);
        bearer_print(&b, text);
        snprintf(lines, sizeof lines, "Authorization: %s\r\n", text);
    }
    return web_ask_raw(rig, source, method, path, lines, body, out);
}

void web_expect_error(const struct web *w, int status, const char *name)
{
    struct account_error e;
    int err = account_error_decode(bytes_of_str(w->body), &e);
    bool has_retry = w->retry_s > 0, wants_retry = status == 429 || status == 503;
    bool right = !err && w->status == status && strcmp(err_name(e.err), name) == 0 && e.text[0] &&
                 e.again == err_may_retry(e.err) && has_retry == wants_retry &&
                 (status == 401) == (strstr(w->head, "WWW-Authenticate: Bearer") != NULL);
    if (right) return;
    fprintf(stderr, "web: wanted %d %s, got %d, Retry-After %d, %s\n", status, name, w->status, w->retry_s, w->body);
    abort();
}

int web_login(struct rig *rig, const char *source, const char *user, const char *password, struct web_device *out)
{
    static _Thread_local struct web w;
    char body[512];
    struct account_answer a;
    snprintf(body, sizeof body, "{\"user\":\"%s\",\"password\":\"%s\",\"device\":\"phone\"}", user, password);
    web_ask(rig, source, "POST", "/v1/login", NULL, body, &w);
    if (w.status != 200 || !out) return w.status;
    if (account_answer_decode(bytes_of_str(w.body), &a) != 0 || !a.has_device) abort();
    out->user = a.user;
    out->device = a.device;
    memcpy(out->token, a.token, sizeof a.token);
    return w.status;
}

struct web_device web_device_of(const struct rig_device *d)
{
    struct web_device out = { .user = d->user, .device = d->device };
    memcpy(out.token, d->token, sizeof out.token);
    return out;
}

struct talker *web_talk(struct rig *rig, const struct web_device *d)
{
    return talker_open(rig_port(rig), &d->user, d->device, d->token);
}
