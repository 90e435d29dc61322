/* on_http.c - the paths of HTTP: which there are, and who serves each. */
#include <stdio.h>
#include <string.h>

#include "server/chat/session.h"
#include "server/chat/task.h"

static void serve_health(struct chat *chat, struct conn *conn)
{
    static const char ok[] = "{\"status\":\"ok\"}\n", broken[] = "{\"status\":\"read-only\"}\n";
    bool good = !log_is_read_only(chat->log) && !chat->facts_broken;
    conn_respond(conn, good ? 200 : 503, "", "application/json", bytes_of_str(good ? ok : broken));
}

static void serve_info(struct chat *chat, struct conn *conn)
{
    struct server_info info = { .protocol = PROTOCOL_VERSION, .registration = chat->settings.registration };
    struct buf body;
    snprintf(info.server, sizeof info.server, "%s", chat->config->name);
    buf_init(&body, ACCOUNT_BODY_BYTES_MAX);
    if (server_info_encode(&info, &body)) http_refuse(conn, ERR_BUSY, NULL, "", 0);
    else conn_respond(conn, 200, "", "application/json", buf_bytes(&body));
    buf_fini(&body);
}

static const struct route route_health = { .path = "/healthz", .method = "GET", .serve = serve_health };
static const struct route route_info = { .path = "/v1/server", .method = "GET", .serve = serve_info };

static const struct route *const routes[] = {
    &route_health, &route_info,   &route_register, &route_login,
    &route_password, &route_logout, &route_delete, &route_export,
};

void http_on_request(struct conn *conn, const struct http_request *request)
{
    struct chat *chat = chat_of(conn_shard(conn));
    const struct route *route = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (strcmp(routes[i]->path, request->path) == 0) route = routes[i];
    if (!route) {
        http_refuse(conn, ERR_NOT_FOUND, "no such path", "", 0);
        return;
    }
    bool is_get = strcmp(route->method, "GET") == 0;
    bool head = is_get && strcmp(request->method, "HEAD") == 0;
    if (!head && strcmp(route->method, request->method) != 0) {
        http_refuse(conn, ERR_UNSUPPORTED, "this path does not know that method",
                    is_get ? "Allow: GET, HEAD\r\n" : "Allow: POST\r\n", 0);
        return;
    }
    if (route->serve) route->serve(chat, conn);
    else task_start(chat, conn, request, route);
}

void http_on_closed(void *owner)
{
    task_on_closed(owner);
}
