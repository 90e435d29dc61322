/* http.c - llhttp behind http.h.
 *
 * llhttp calls back with pieces: a header's name may come in three parts. Pieces are put together in buffers with
 * limits, only for headers that matter here; all else is skipped unseen. A parser is set up anew for each request, so
 * that nothing of one request can reach the next.
 *
 * The head is limited by never giving llhttp more bytes than the limit leaves. The body is limited where it arrives,
 * and refused at once when its Content-Length says that it will be too big. */
#include "server/net/http.h"

#include <llhttp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/err.h"
#include "proto/limits.h"

/* Headers that matter. The longest name bounds what is kept of a name. */
#define HEADER_LIST(X)                              \
    X(HOST,         "host")                         \
    X(CONNECTION,   "connection")                   \
    X(UPGRADE,      "upgrade")                      \
    X(EXPECT,       "expect")                       \
    X(AUTHORIZATION, "authorization")               \
    X(WS_KEY,       "sec-websocket-key")            \
    X(WS_VERSION,   "sec-websocket-version")        \
    X(WS_PROTOCOL,  "sec-websocket-protocol")

#define HEADER_ENUM(name, text) HEADER_##name,
enum header { HEADER_NONE, HEADER_LIST(HEADER_ENUM) };
#undef HEADER_ENUM

enum { HEADER_NAME_MAX = 32 };

struct http {
    llhttp_t parser;
    struct buf url;                      /* as it came; http_finish_url() cuts it and adds NULs */
    struct buf value;                    /* of the header being read */
    struct buf body;
    char name[HEADER_NAME_MAX + 1];      /* of the header being read; one longer matters to nobody */
    size_t name_len;                     /* may exceed HEADER_NAME_MAX: then it is not kept */
    size_t head_bytes;
    size_t path_at, query_at;            /* in url, once it is cut */
    char key[HTTP_KEY_TEXT];
    char authorization[HTTP_AUTHORIZATION_TEXT];
    int status;                          /* why HTTP_STEP_BAD; 0: all is well */
    bool begun, head_done, whole;
    bool has_host, keep_alive, expects;
    bool upgrade_websocket, connection_upgrade, version_13;
    bool has_key, has_authorization, protocol_offered, protocol_ours;
};

static int http_fail(struct http *h, int status)
{
    if (!h->status) h->status = status;
    return HPE_USER;
}

static int buf_status(const struct buf *b, int too_big)
{
    return b->err == ERR_TOO_BIG ? too_big : 500;
}

/* Is `word` one of the comma-separated items of `list`? Case does not matter where the header says so. */
static bool list_has(struct bytes list, const char *word, bool ignore_case)
{
    size_t len = strlen(word);
    for (size_t at = 0; at < list.len;) {
        const uint8_t *comma = memchr(list.at + at, ',', list.len - at);
        size_t end = comma ? (size_t)(comma - list.at) : list.len;
        size_t from = at, to = end;
        while (from < to && (list.at[from] == ' ' || list.at[from] == '\t')) from++;
        while (to > from && (list.at[to - 1] == ' ' || list.at[to - 1] == '\t')) to--;
        const char *item = (const char *)list.at + from;
        if (to - from == len && (ignore_case ? strncasecmp(item, word, len) : strncmp(item, word, len)) == 0) {
            return true;
        }
        at = end + 1;
    }
    return false;
}

static enum header header_of(const struct http *h)
{
    if (h->name_len > HEADER_NAME_MAX) return HEADER_NONE;
#define HEADER_TEST(id, text) if (strcasecmp(h->name, text) == 0) return HEADER_##id;
    HEADER_LIST(HEADER_TEST)
#undef HEADER_TEST
    return HEADER_NONE;
}

/* A key is 22 characters of base64 and "==": 16 bytes. What they are does not matter to anybody. */
static bool key_is_whole(struct bytes v)
{
    if (v.len != HTTP_KEY_TEXT - 1 || v.at[22] != '=' || v.at[23] != '=') return false;
    for (size_t i = 0; i < 22; i++) {
        uint8_t c = v.at[i];
        bool ok = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
        if (!ok) return false;
    }
    return true;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct http *h = parser->data;
    buf_put(&h->url, at, len);
    return h->url.err ? http_fail(h, buf_status(&h->url, 431)) : 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct http *h = parser->data;
    if (h->head_done) return 0;                        /* trailers mean nothing here */
    if (h->name_len + len <= HEADER_NAME_MAX) memcpy(h->name + h->name_len, at, len);
    h->name_len += len;
    if (h->name_len <= HEADER_NAME_MAX) h->name[h->name_len] = '\0';
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http *h = parser->data;
    if (h->head_done || header_of(h) == HEADER_NONE) return 0;
    buf_put(&h->value, at, len);
    return h->value.err ? http_fail(h, buf_status(&h->value, 431)) : 0;
}

static int on_header_value_complete(llhttp_t *parser)
{
    struct http *h = parser->data;
    if (h->head_done) return 0;
    struct bytes v = buf_bytes(&h->value);
    switch (header_of(h)) {
    case HEADER_NONE:
        break;
    case HEADER_HOST:
        h->has_host = true;
        break;
    case HEADER_CONNECTION:
        h->connection_upgrade |= list_has(v, "upgrade", true);
        break;
    case HEADER_UPGRADE:
        h->upgrade_websocket |= list_has(v, "websocket", true);
        break;
    case HEADER_EXPECT:
        if (!list_has(v, "100-continue", true)) return http_fail(h, 417);
        h->expects = true;
        break;
    case HEADER_AUTHORIZATION:
        /* Two of them are as good as none, like two keys below. */
        if (h->has_authorization || v.len >= sizeof h->authorization) {
            h->authorization[0] = '\0';
        } else {
            if (v.len) memcpy(h->authorization, v.at, v.len);
            h->authorization[v.len] = '\0';
        }
        h->has_authorization = true;
        break;
    case HEADER_WS_KEY:
        /* Two keys are as good as none: nobody can say which one is meant. */
        if (h->has_key || !key_is_whole(v)) {
            h->key[0] = '\0';
        } else {
            memcpy(h->key, v.at, v.len);
            h->key[v.len] = '\0';
        }
        h->has_key = true;
        break;
    case HEADER_WS_VERSION:
        h->version_13 = list_has(v, "13", false);
        break;
    case HEADER_WS_PROTOCOL:
        h->protocol_offered = true;
        h->protocol_ours |= list_has(v, SUBPROTOCOL, false);
        break;
    }
    h->name_len = 0;
    h->name[0] = '\0';
    buf_clear(&h->value);
    return 0;
}

/* Cut "/path?query" (or "http://host/path?query", which a server must take too) into two strings in place. */
static int http_finish_url(struct http *h)
{
    static const char *const schemes[] = { "http://", "https://" };
    buf_put_u8(&h->url, '\0');
    if (h->url.err) return http_fail(h, buf_status(&h->url, 431));
    char *url = (char *)h->url.at;
    size_t end = h->url.len - 1;
    char *fragment = memchr(url, '#', end);            /* a client keeps it to itself; some do not */
    if (fragment) {
        *fragment = '\0';
        end = (size_t)(fragment - url);
    }
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t len = strlen(schemes[i]);
        if (strncasecmp(url, schemes[i], len) != 0) continue;
        char *slash = strchr(url + len, '/');
        h->path_at = slash ? (size_t)(slash - url) : end;
    }
    char *mark = strchr(url + h->path_at, '?');
    h->query_at = end;
    if (mark) {
        *mark = '\0';
        h->query_at = (size_t)(mark + 1 - url);
    }
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http *h = parser->data;
    h->head_done = true;
    h->keep_alive = llhttp_should_keep_alive(parser) && parser->method != HTTP_CONNECT;
    if (parser->http_major != 1) return http_fail(h, 505);
    if (parser->http_minor >= 1 && !h->has_host) return http_fail(h, 400);
    if ((parser->flags & F_CONTENT_LENGTH) && parser->content_length > HTTP_BODY_BYTES_MAX) return http_fail(h, 413);
    bool has_body = (parser->flags & F_CHUNKED) || parser->content_length > 0;
    h->expects = h->expects && has_body && parser->http_minor >= 1;
    return http_finish_url(h);
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http *h = parser->data;
    h->expects = false;
    buf_put(&h->body, at, len);
    return h->body.err ? http_fail(h, buf_status(&h->body, 413)) : 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct http *h = parser->data;
    h->whole = true;
    h->expects = false;
    /* Stop right behind the request. When it asks for an upgrade llhttp stops there by itself. */
    return parser->upgrade ? 0 : HPE_PAUSED;
}

static const llhttp_settings_t *http_settings(void)
{
    static const llhttp_settings_t settings = {
        .on_url = on_url,
        .on_header_field = on_header_field,
        .on_header_value = on_header_value,
        .on_header_value_complete = on_header_value_complete,
        .on_headers_complete = on_headers_complete,
        .on_body = on_body,
        .on_message_complete = on_message_complete,
    };
    return &settings;
}

static void http_begin(struct http *h)
{
    struct buf url = h->url, value = h->value, body = h->body;
    buf_clear(&url);
    buf_clear(&value);
    buf_clear(&body);
    *h = (struct http){ .url = url, .value = value, .body = body };
    llhttp_init(&h->parser, HTTP_REQUEST, http_settings());
    h->parser.data = h;
}

int http_new(struct http **http_out)
{
    struct http *h = calloc(1, sizeof *h);
    if (!h) return ERR_NOMEM;
    buf_init(&h->url, HTTP_HEAD_BYTES_MAX + 1);        /* and its NUL */
    buf_init(&h->value, HTTP_HEAD_BYTES_MAX);
    buf_init(&h->body, HTTP_BODY_BYTES_MAX);
    http_begin(h);
    *http_out = h;
    return 0;
}

void http_free(struct http *h)
{
    if (!h) return;
    buf_fini(&h->url);
    buf_fini(&h->value);
    buf_fini(&h->body);
    free(h);
}

/* Give llhttp one piece; returns how much of it was taken. */
static size_t http_execute(struct http *h, const uint8_t *at, size_t len)
{
    bool in_head = !h->head_done;
    llhttp_errno_t err = llhttp_execute(&h->parser, (const char *)at, len);
    size_t used = len;
    if (err != HPE_OK) {
        const char *stopped = llhttp_get_error_pos(&h->parser);
        used = stopped ? (size_t)(stopped - (const char *)at) : 0;
        bool at_end = h->whole && (err == HPE_PAUSED || err == HPE_PAUSED_UPGRADE);
        if (!at_end) http_fail(h, 400);
    }
    if (in_head) h->head_bytes += used;
    return used;
}

size_t http_feed(struct http *h, struct bytes in, enum http_step *step_out)
{
    size_t used = 0;
    if (h->whole && in.len) http_begin(h);
    while (used < in.len && !h->whole && !h->status) {
        size_t len = in.len - used;
        if (!h->head_done) {
            size_t room = HTTP_HEAD_BYTES_MAX - h->head_bytes;
            if (len > room) len = room;
            if (len == 0) http_fail(h, 431);
        }
        h->begun = true;
        if (len) used += http_execute(h, in.at + used, len);
    }
    *step_out = h->status ? HTTP_STEP_BAD : h->whole ? HTTP_STEP_WHOLE : HTTP_STEP_MORE;
    return used;
}

struct http_head http_head(const struct http *h)
{
    const char *url = (const char *)h->url.at;
    return (struct http_head){
        .method = llhttp_method_name((llhttp_method_t)h->parser.method),
        .path = url + h->path_at,
        .query = url + h->query_at,
        .authorization = h->authorization,
        .keep_alive = h->keep_alive,
        .is_head = h->parser.method == HTTP_HEAD,
    };
}

struct bytes http_body(const struct http *h)
{
    return buf_bytes(&h->body);
}

bool http_take_continue(struct http *h)
{
    bool take = h->head_done && !h->whole && h->expects;
    if (take) h->expects = false;
    return take;
}

bool http_is_idle(const struct http *h)
{
    return !h->begun || h->whole;
}

int http_bad_status(const struct http *h)
{
    return h->status;
}

int http_upgrade(const struct http *h, char key_out[static HTTP_KEY_TEXT], const char **why_out)
{
    const char *why = NULL;
    int status = 400;
    if (!h->upgrade_websocket) {
        status = 426;
        why = "this is a WebSocket address";
    } else if (!h->version_13) {
        status = 426;
        why = "Sec-WebSocket-Version must be 13";
    } else if (!h->connection_upgrade) {
        why = "the Connection header does not say Upgrade";
    } else if (!h->key[0]) {
        why = h->has_key ? "Sec-WebSocket-Key is not 16 bytes of base64" : "Sec-WebSocket-Key is missing";
    } else if (!h->protocol_offered) {
        why = "Sec-WebSocket-Protocol is missing; offer " SUBPROTOCOL;
    } else if (!h->protocol_ours) {
        why = "no Sec-WebSocket-Protocol that is spoken here; offer " SUBPROTOCOL;
    }
    if (why) {
        *why_out = why;
        return status;
    }
    memcpy(key_out, h->key, HTTP_KEY_TEXT);
    *why_out = "";
    return 101;
}

const char *http_reason(int status)
{
    switch (status) {
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 417: return "Expectation Failed";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default:  return "Status";
    }
}
