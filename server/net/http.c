/* http.c - llhttp behind http.h.
 *
 * A head's lines are looked at by head.c first, so that nothing hangs on how much llhttp forgives (the Makefile
 * compiles it strict where we compile it). What llhttp then refuses is told by name.
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
#include "server/net/head.h"

/* Headers that matter. The longest name bounds what is kept of a name. */
#define HEADER_LIST(X)                                \
    X(HOST,           "host")                         \
    X(CONNECTION,     "connection")                   \
    X(UPGRADE,        "upgrade")                      \
    X(EXPECT,         "expect")                       \
    X(AUTHORIZATION,  "authorization")                \
    X(ENCODING,       "transfer-encoding")            \
    X(ORIGIN,         "origin")                       \
    X(PREFLIGHT,      "access-control-request-method") \
    X(FORWARDED_FOR,  "x-forwarded-for")              \
    X(FORWARDED,      "forwarded")                    \
    X(WS_KEY,         "sec-websocket-key")            \
    X(WS_VERSION,     "sec-websocket-version")        \
    X(WS_PROTOCOL,    "sec-websocket-protocol")

#define HEADER_ENUM(name, text) HEADER_##name,
enum header { HEADER_NONE, HEADER_LIST(HEADER_ENUM) };
#undef HEADER_ENUM

enum { HEADER_NAME_MAX = 32 };

struct http {
    llhttp_t parser;
    struct buf url;                      /* as it came; http_finish_url() cuts it and adds NULs */
    struct buf value;                    /* of the header being read */
    struct buf body;
    struct buf kept;                     /* values that are told, each with its NUL; the first is "" */
    char name[HEADER_NAME_MAX + 1];      /* of the header being read; one longer matters to nobody */
    size_t name_len;                     /* may exceed HEADER_NAME_MAX: then it is not kept */
    size_t head_bytes;
    size_t body_wire_bytes;
    size_t query_at;                     /* in url, once it is cut; the path begins it */
    size_t host, origin, preflight, forwarded_for, forwarded;   /* in kept; 0: none */
    char key[HTTP_KEY_TEXT];
    char authorization[HTTP_AUTHORIZATION_TEXT];
    struct head lines;
    struct http_bad bad;                 /* why HTTP_STEP_BAD; status 0: all is well */
    uint8_t last;                        /* the byte taken last */
    bool begun, head_done, last_chunk, whole;
    bool has_host, has_origin, has_encoding, keep_alive, expects;
    bool upgrade_websocket, connection_upgrade, version_13;
    bool has_key, has_authorization, protocol_offered, protocol_ours;
};

static int http_fail(struct http *h, int status, int err, const char *text)
{
    if (!h->bad.status) h->bad = (struct http_bad){ status, err, text };
    return HPE_USER;
}

static int fail_malformed(struct http *h, const char *text)
{
    return http_fail(h, 400, ERR_MALFORMED, text);
}

static int fail_head(struct http *h)
{
    return http_fail(h, 431, ERR_TOO_BIG, "request line and headers are larger than 16 KiB");
}

static int fail_body(struct http *h)
{
    return http_fail(h, 413, ERR_TOO_BIG, "the body is larger than 16 KiB");
}

static int fail_memory(struct http *h)
{
    return http_fail(h, 503, ERR_BUSY, "out of memory; try again later");
}

static int fail_trailer(struct http *h)
{
    return fail_malformed(h, "headers behind a body in chunks");
}

static int fail_buf(struct http *h, const struct buf *b)
{
    return b->err == ERR_TOO_BIG ? fail_head(h) : fail_memory(h);
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
    return h->url.err ? fail_buf(h, &h->url) : 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct http *h = parser->data;
    if (h->head_done) return fail_trailer(h);
    if (h->name_len + len <= HEADER_NAME_MAX) memcpy(h->name + h->name_len, at, len);
    h->name_len += len;
    if (h->name_len <= HEADER_NAME_MAX) h->name[h->name_len] = '\0';
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http *h = parser->data;
    if (header_of(h) == HEADER_NONE) return 0;
    buf_put(&h->value, at, len);
    return h->value.err ? fail_buf(h, &h->value) : 0;
}

static int keep(struct http *h, struct bytes v, size_t *at_out)
{
    if (h->kept.len == 0) buf_put_u8(&h->kept, '\0');    /* place 0 is "" */
    *at_out = h->kept.len;
    if (v.len) buf_put(&h->kept, v.at, v.len);
    buf_put_u8(&h->kept, '\0');
    return h->kept.err ? fail_buf(h, &h->kept) : 0;
}

/* Which of two would count depends on who reads: a proxy may take the first and we the last. */
static int keep_only(struct http *h, struct bytes v, size_t *at_out, bool *seen, const char *twice)
{
    if (*seen) return fail_malformed(h, twice);
    *seen = true;
    return keep(h, v, at_out);
}

/* A name or address, a port: nothing that would end it in a URL. */
static bool host_is_good(struct bytes v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (v.at[i] <= ' ' || v.at[i] >= 0x7f || strchr("/?#@,\\\"<>", v.at[i])) return false;
    }
    return true;
}

static int on_header_value_complete(llhttp_t *parser)
{
    struct http *h = parser->data;
    struct bytes v = buf_bytes(&h->value);
    int failed = 0;
    while (v.len && (v.at[v.len - 1] == ' ' || v.at[v.len - 1] == '\t')) v.len--;
    switch (header_of(h)) {
    case HEADER_NONE:
        break;
    case HEADER_HOST:
        failed = host_is_good(v) ? keep_only(h, v, &h->host, &h->has_host, "Host stands there twice")
                                 : fail_malformed(h, "Host is not a name with a port");
        break;
    case HEADER_ORIGIN:
        failed = keep_only(h, v, &h->origin, &h->has_origin, "Origin stands there twice");
        break;
    case HEADER_PREFLIGHT:
        failed = keep(h, v, &h->preflight);
        break;
    case HEADER_FORWARDED_FOR:                         /* the last one is the proxy's that speaks to us */
        failed = keep(h, v, &h->forwarded_for);
        break;
    case HEADER_FORWARDED:
        failed = keep(h, v, &h->forwarded);
        break;
    case HEADER_ENCODING:
        if (v.len != 7 || strncasecmp((const char *)v.at, "chunked", 7) != 0) {
            failed = http_fail(h, 501, ERR_UNSUPPORTED, "Transfer-Encoding may only be chunked");
        } else if (h->has_encoding) {
            failed = fail_malformed(h, "Transfer-Encoding stands there twice");
        }
        h->has_encoding = true;
        break;
    case HEADER_CONNECTION:
        h->connection_upgrade |= list_has(v, "upgrade", true);
        break;
    case HEADER_UPGRADE:
        h->upgrade_websocket |= list_has(v, "websocket", true);
        break;
    case HEADER_EXPECT:
        if (!list_has(v, "100-continue", true)) {
            failed = http_fail(h, 417, ERR_UNSUPPORTED, "Expect may only be 100-continue");
        }
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
    return failed;
}

/* Cut "/path?query" into two strings in place. Only that form is taken: the others ("http://host/path", "*",
 * "host:port") are for proxies, and would name a host beside Host. */
static int http_finish_url(struct http *h)
{
    if (h->url.len == 0 || h->url.at[0] != '/') return fail_malformed(h, "the address does not begin with /");
    if (memchr(h->url.at, '#', h->url.len)) return fail_malformed(h, "# in the address: a client keeps that part");
    size_t end = h->url.len;
    buf_put_u8(&h->url, '\0');
    if (h->url.err) return fail_buf(h, &h->url);
    char *mark = strchr((char *)h->url.at, '?');
    h->query_at = end;
    if (mark) {
        *mark = '\0';
        h->query_at = (size_t)(mark + 1 - (char *)h->url.at);
    }
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http *h = parser->data;
    h->head_done = true;
    h->keep_alive = llhttp_should_keep_alive(parser) && parser->method != HTTP_CONNECT;
    if (parser->http_major != 1) return http_fail(h, 505, ERR_VERSION, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    if (parser->http_minor >= 1 && !h->has_host) return fail_malformed(h, "Host is missing");
    /* A proxy of that version may not know chunks, and take the body for the next request. */
    if (parser->http_minor < 1 && h->has_encoding) return fail_malformed(h, "Transfer-Encoding in HTTP/1.0");
    if ((parser->flags & F_CONTENT_LENGTH) && parser->content_length > HTTP_BODY_BYTES_MAX) return fail_body(h);
    bool has_body = (parser->flags & F_CHUNKED) || parser->content_length > 0;
    h->expects = h->expects && has_body && parser->http_minor >= 1;
    return http_finish_url(h);
}

static int on_chunk_header(llhttp_t *parser)
{
    struct http *h = parser->data;
    h->last_chunk = parser->content_length == 0;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http *h = parser->data;
    h->expects = false;
    buf_put(&h->body, at, len);
    if (h->body.err) return h->body.err == ERR_TOO_BIG ? fail_body(h) : fail_memory(h);
    return 0;
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
        .on_chunk_header = on_chunk_header,
        .on_body = on_body,
        .on_message_complete = on_message_complete,
    };
    return &settings;
}

static void http_begin(struct http *h)
{
    struct buf url = h->url, value = h->value, body = h->body, kept = h->kept;
    buf_clear(&url);
    buf_clear(&value);
    buf_clear(&body);
    buf_clear(&kept);
    *h = (struct http){ .url = url, .value = value, .body = body, .kept = kept };
    head_init(&h->lines);
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
    buf_init(&h->kept, HTTP_HEAD_BYTES_MAX);
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
    buf_fini(&h->kept);
    free(h);
}

/* What llhttp refuses, in words. */
static void fail_parser(struct http *h, llhttp_errno_t err)
{
    if (h->parser.method == HTTP_PRI) {
        http_fail(h, 505, ERR_VERSION, "this is HTTP/2; only HTTP/1.1 is spoken here");
        return;
    }
    if (h->last_chunk) {
        fail_trailer(h);
        return;
    }
    switch (err) {
    case HPE_INVALID_METHOD:
        fail_malformed(h, "no HTTP request begins like this");
        break;
    case HPE_INVALID_VERSION:
        http_fail(h, 505, ERR_VERSION, "only HTTP/1.1 and HTTP/1.0 are spoken here");
        break;
    case HPE_INVALID_URL:
        fail_malformed(h, "a character in the address that may not be there");
        break;
    case HPE_INVALID_CONTENT_LENGTH:
        fail_malformed(h, "Content-Length is not a number");
        break;
    case HPE_UNEXPECTED_CONTENT_LENGTH:
    case HPE_INVALID_TRANSFER_ENCODING:
        fail_malformed(h, "Content-Length and Transfer-Encoding stand there both, or one of them twice");
        break;
    case HPE_INVALID_CHUNK_SIZE:
        fail_malformed(h, "a chunk's size is not a hexadecimal number, or too large");
        break;
    default:
        fail_malformed(h, h->head_done ? "a chunk that does not end where its size says"
                                       : "the request line is not METHOD /path HTTP/1.1");
    }
}

/* Give llhttp one piece; returns how much of it was taken. */
static size_t http_execute(struct http *h, const uint8_t *at, size_t len)
{
    llhttp_errno_t err = llhttp_execute(&h->parser, (const char *)at, len);
    size_t used = len;
    if (err != HPE_OK) {
        const char *stopped = llhttp_get_error_pos(&h->parser);
        used = stopped ? (size_t)(stopped - (const char *)at) : 0;
        bool at_end = h->whole && (err == HPE_PAUSED || err == HPE_PAUSED_UPGRADE);
        if (!at_end) fail_parser(h, err);
    }
    /* llhttp takes the LF of a body's last line without its CR. */
    if (h->whole && used > 0 && (h->parser.flags & F_CHUNKED) && (used > 1 ? at[used - 2] : h->last) != '\r') {
        fail_malformed(h, "a line that ends in LF without CR");
    }
    if (used > 0) h->last = at[used - 1];
    return used;
}

static size_t http_feed_head(struct http *h, struct bytes in)
{
    enum head_step step;
    const char *why;
    size_t room = HTTP_HEAD_BYTES_MAX - h->head_bytes;
    if (room == 0) {
        fail_head(h);
        return 0;
    }
    size_t len = head_feed(&h->lines, bytes_of(in.at, in.len < room ? in.len : room), &step, &why);
    /* The parser first: an error of its own stands before the one that head_feed() stopped at. */
    if (len) http_execute(h, in.at, len);
    h->head_bytes += len;
    if (step == HEAD_STEP_BAD) {
        fail_malformed(h, why);
    } else if (step == HEAD_STEP_WHOLE && !h->head_done) {
        fail_parser(h, HPE_OK);
    }
    return len;
}

static size_t http_feed_body(struct http *h, struct bytes in)
{
    size_t used = http_execute(h, in.at, in.len);
    h->body_wire_bytes += used;
    if (h->body_wire_bytes > HTTP_BODY_WIRE_BYTES_MAX) fail_body(h);
    return used;
}

size_t http_feed(struct http *h, struct bytes in, enum http_step *step_out)
{
    size_t used = 0;
    if (h->whole && in.len) http_begin(h);
    while (used < in.len && !h->whole && !h->bad.status) {
        struct bytes rest = bytes_of(in.at + used, in.len - used);
        h->begun = true;
        used += h->head_done ? http_feed_body(h, rest) : http_feed_head(h, rest);
    }
    *step_out = h->bad.status ? HTTP_STEP_BAD : h->whole ? HTTP_STEP_WHOLE : HTTP_STEP_MORE;
    return used;
}

struct http_head http_head(const struct http *h)
{
    const char *url = (const char *)h->url.at, *kept = h->kept.len ? (const char *)h->kept.at : "";
    return (struct http_head){
        .method = llhttp_method_name((llhttp_method_t)h->parser.method),
        .path = url,
        .query = url + h->query_at,
        .authorization = h->authorization,
        .keep_alive = h->keep_alive,
        .is_head = h->parser.method == HTTP_HEAD,
        .host = kept + h->host,
        .origin = kept + h->origin,
        .preflight = kept + h->preflight,
        .forwarded_for = kept + h->forwarded_for,
        .forwarded = kept + h->forwarded,
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

struct http_bad http_bad(const struct http *h)
{
    return h->bad;
}

struct http_bad http_upgrade(const struct http *h, char key_out[static HTTP_KEY_TEXT])
{
    const char *why = NULL;
    int status = 400, err = ERR_MALFORMED;
    if (!h->upgrade_websocket) {
        status = 426;
        err = ERR_UNSUPPORTED;
        why = "this is a WebSocket address";
    } else if (!h->version_13) {
        status = 426;
        err = ERR_VERSION;
        why = "Sec-WebSocket-Version must be 13";
    } else if (!h->connection_upgrade) {
        why = "the Connection header does not say Upgrade";
    } else if (!h->key[0]) {
        why = h->has_key ? "Sec-WebSocket-Key is not 16 bytes of base64" : "Sec-WebSocket-Key is missing";
    } else if (!h->protocol_offered) {
        why = "Sec-WebSocket-Protocol is missing; offer " SUBPROTOCOL;
    } else if (!h->protocol_ours) {
        err = ERR_UNSUPPORTED;
        why = "no Sec-WebSocket-Protocol that is spoken here; offer " SUBPROTOCOL;
    }
    if (why) return (struct http_bad){ status, err, why };
    memcpy(key_out, h->key, HTTP_KEY_TEXT);
    return (struct http_bad){ .status = 101 };
}

const char *http_reason(int status)
{
    switch (status) {
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 308: return "Permanent Redirect";
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
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default:  return "Status";
    }
}
