/* link.c - HTTP and WebSocket over a stream (see link.h). The one file of the client that knows wslay.
 *
 * An HTTP answer is read by hand: the client speaks to one server about two things, and needs of a head its status,
 * three header lines and the length of what follows. wslay does the frames; it calls back for bytes, masks and
 * messages, so most of this is glue between its callbacks and the stream. */
#include "tools/client/link.h"

#include <assert.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <wslay/wslay.h>

#include "tools/common/utf8.h"

#define GONE "the server went away before it had answered"

enum link_state { LINK_OPENING, LINK_UPGRADING, LINK_UP, LINK_CLOSED };
enum { KEY_TEXT = 25, ACCEPT_TEXT = 29 };    /* base64 of 16 and of 20 bytes, and the NUL */

struct link {
    enum link_state state;
    struct url url;
    struct stream *stream;
    const struct link_ops *ops;
    void *arg;
    char key[KEY_TEXT];
    struct buf out;               /* the upgrade, not yet written */
    struct buf in;                /* its answer; behind the head: the first frames */
    size_t in_at;
    wslay_event_context_ptr ws;
    uint64_t due_ms, heard_ms, said_ms;
    int frame_err;                /* what on_frame returned */
    int close_code;
    char why[WHY_MAX];
};

static uint64_t clock_ms(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The clock that goes on while the machine sleeps: a laptop that wakes knows at once that its link is an old one. */
uint64_t mono_ms(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

uint64_t wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

/* ---- HTTP ---- */

/* Length of a whole head with its blank line, 0: not whole yet. */
static size_t head_len(struct bytes in)
{
    const uint8_t *end = in.len ? memmem(in.at, in.len, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - in.at) + 4 : 0;
}

/* Whether the head, or what there is of it, is more than one may be: the same however it was cut into reads. */
static bool head_is_too_long(struct bytes in)
{
    size_t head = head_len(in);
    return (head ? head : in.len) > HTTP_HEAD_MAX;
}

/* Of a line as RFC 9112 section 4 writes it, "HTTP/1.1 200 OK": three digits, the first not 0, and no sign. 0: not one. */
static int head_status(struct bytes head)
{
    static const char shape[] = "HTTP/1.d ddd";
    const char *line = (const char *)head.at;
    if (head.len < sizeof shape) return 0;      /* and what ends the number, or the line */
    for (size_t i = 0; shape[i]; i++) {
        bool digit = line[i] >= '0' && line[i] <= '9';
        if (shape[i] == 'd' ? !digit : line[i] != shape[i]) return 0;
    }
    if (line[9] == '0' || (line[12] != ' ' && line[12] != '\r')) return 0;
    return (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
}

/* The value of a header line, without spaces around it. BYTES_NONE: no such line. */
static struct bytes head_line(struct bytes head, const char *name)
{
    size_t name_len = strlen(name);
    for (const uint8_t *p = head.at, *end = head.at + head.len; p < end;) {
        const uint8_t *stop = memmem(p, (size_t)(end - p), "\r\n", 2);
        if (!stop) break;
        if ((size_t)(stop - p) > name_len && p[name_len] == ':' && strncasecmp((const char *)p, name, name_len) == 0) {
            p += name_len + 1;
            while (p < stop && (*p == ' ' || *p == '\t')) p++;
            while (stop > p && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
            return bytes_of(p, (size_t)(stop - p));
        }
        p = stop + 2;
    }
    return BYTES_NONE;
}

static bool is_word(struct bytes b, const char *word)
{
    return b.len == strlen(word) && strncasecmp((const char *)b.at, word, b.len) == 0;
}

/* Why this is no answer. `ended`: nothing more comes, and that is what is said where it had begun well. A TLS server
 * says what it is with an alert or a handshake, records of types 21 and 22. */
static void say_no_answer(struct bytes in, const char *ended, char why[static WHY_MAX])
{
    static const char http[] = "HTTP/1.";
    size_t begun = in.len < sizeof http - 1 ? in.len : sizeof http - 1;
    bool tls = in.len > 0 && (in.at[0] == 21 || in.at[0] == 22);
    if (tls) snprintf(why, WHY_MAX, "the server speaks TLS (its URL begins with wss://)");
    else if (ended && (begun == 0 || memcmp(in.at, http, begun) == 0)) snprintf(why, WHY_MAX, "%s", ended);
    else snprintf(why, WHY_MAX, "what answers does not speak HTTP (is it a Pipit server?)");
}

/* Undoes "Transfer-Encoding: chunked" in place: what a proxy may put between. False: not whole yet, or broken. */
static bool unchunk(struct buf *body)
{
    size_t from = 0, to = 0;
    for (;;) {
        const uint8_t *eol = memmem(body->at + from, body->len - from, "\r\n", 2);
        if (!eol) return false;
        char digits[20] = "";
        size_t line = (size_t)(eol - body->at) - from;
        memcpy(digits, body->at + from, line < sizeof digits - 1 ? line : sizeof digits - 1);
        unsigned long size = strtoul(digits, NULL, 16);
        from += line + 2;
        if (size == 0) break;
        if (size > body->len - from || body->len - from - size < 2) return false;
        memmove(body->at + to, body->at + from, size);
        to += size;
        from += size + 2;
    }
    body->len = to;
    return true;
}

/* Takes the answer apart when it is whole; `ended`: nothing more comes. ERR_AGAIN: not yet. */
static int answer_take(struct bytes in, bool ended, int *status_out, struct buf *answer)
{
    size_t head = head_len(in);
    if (head_is_too_long(in)) return ERR_MALFORMED;
    if (head == 0) return ended ? ERR_MALFORMED : ERR_AGAIN;
    struct bytes top = bytes_of(in.at, head);
    struct bytes length = head_line(top, "content-length");
    char digits[20] = "";
    *status_out = head_status(top);
    if (*status_out == 0) return ERR_MALFORMED;
    memcpy(digits, length.at ? (const char *)length.at : "", length.len < 19 ? length.len : 19);
    size_t want = strtoul(digits, NULL, 10);
    buf_clear(answer);
    buf_put(answer, in.at + head, in.len - head);
    if (answer->err) return answer->err;
    if (is_word(head_line(top, "transfer-encoding"), "chunked"))
        return answer->len && unchunk(answer) ? 0 : ended ? ERR_MALFORMED : ERR_AGAIN;
    if (length.len == 0) return ended ? 0 : ERR_AGAIN;
    if (answer->len < want) return ended ? ERR_MALFORMED : ERR_AGAIN;
    answer->len = want;
    return 0;
}

static void put_text(struct buf *to, const char *text)
{
    buf_put(to, text, strlen(text));
}

static void put_host(struct buf *to, const struct url *url)
{
    bool v6 = strchr(url->host, ':') != NULL;
    char line[URL_HOST_MAX + 32];
    snprintf(line, sizeof line, "Host: %s%s%s:%s\r\n", v6 ? "[" : "", url->host, v6 ? "]" : "", url->port);
    put_text(to, line);
}

/* Waits for the stream's events, at most until `until_ms`. */
static void wait_stream(const struct stream *s, short events, uint64_t until_ms)
{
    uint64_t now = mono_ms(), due = stream_due_ms(s) < until_ms ? stream_due_ms(s) : until_ms;
    struct pollfd p = { .fd = stream_fd(s), .events = events };
    poll(&p, 1, due > now ? (int)(due - now) + 1 : 0);
}

static int http_write(struct stream *s, struct bytes all, uint64_t until_ms, char why[static WHY_MAX])
{
    int err;
    while ((err = stream_advance(s, mono_ms(), why)) == ERR_AGAIN && mono_ms() < until_ms)
        wait_stream(s, stream_events(s), until_ms);
    while (!err && all.len > 0) {
        ssize_t n = stream_write(s, all.at, all.len);
        if (n > 0) all = bytes_of(all.at + n, all.len - (size_t)n);
        else if (n != ERR_AGAIN) err = (int)n;
        else if (mono_ms() >= until_ms) err = ERR_AGAIN;
        else wait_stream(s, POLLOUT | stream_events(s), until_ms);
    }
    return err;
}

static int http_read(struct stream *s, uint64_t until_ms, int *status_out, struct buf *answer, char why[static WHY_MAX])
{
    struct buf in;
    bool ended = false;
    int err = ERR_AGAIN;
    buf_init(&in, HTTP_HEAD_MAX + HTTP_ANSWER_MAX);
    while (err == ERR_AGAIN && mono_ms() < until_ms) {
        uint8_t chunk[4096];
        ssize_t n = stream_read(s, chunk, sizeof chunk);
        if (n > 0) buf_put(&in, chunk, (size_t)n);
        ended = n < 0 && n != ERR_AGAIN;
        if (in.err) err = in.err;
        else if (n != ERR_AGAIN) err = answer_take(buf_bytes(&in), ended, status_out, answer);
        else wait_stream(s, stream_events(s), until_ms);
    }
    const char *gone = ended ? GONE "; it may have done what it was asked" : NULL;
    if (err == ERR_MALFORMED) say_no_answer(buf_bytes(&in), gone, why);
    buf_fini(&in);
    return err;
}

static void put_request(struct buf *out, const struct url *url, const struct http_request *r)
{
    char line[256];
    snprintf(line, sizeof line, "%s %.200s HTTP/1.1\r\n", r->method, r->path);
    put_text(out, line);
    put_host(out, url);
    if (r->authorization) {
        put_text(out, "Authorization: ");
        put_text(out, r->authorization);
        put_text(out, "\r\n");
    }
    if (strcmp(r->method, "GET") != 0) {
        snprintf(line, sizeof line, "Content-Type: application/json\r\nContent-Length: %zu\r\n", r->body.len);
        put_text(out, line);
    }
    put_text(out, "User-Agent: pipit/" PIPIT_VERSION "\r\nConnection: close\r\n\r\n");
    if (r->body.len) buf_put(out, r->body.at, r->body.len);
}

int link_http(const struct url *url, const char *ca_file, const struct http_request *request, uint64_t timeout_ms,
              int *status_out, struct buf *answer, char why[static WHY_MAX])
{
    struct stream *s = NULL;
    struct buf out;
    uint64_t until_ms = mono_ms() + timeout_ms;
    int err = stream_open(url, ca_file, mono_ms(), &s, why);
    if (err) return err;
    buf_init(&out, HTTP_ANSWER_MAX);
    put_request(&out, url, request);
    err = out.err ? out.err : http_write(s, buf_bytes(&out), until_ms, why);
    if (out.at) sodium_memzero(out.at, out.len);    /* a password or a token is in it */
    buf_fini(&out);
    if (!err) err = http_read(s, until_ms, status_out, answer, why);
    if (err == ERR_AGAIN) err = ERR_IDLE;
    if (err && !why[0]) snprintf(why, WHY_MAX, "%s", err_text(err));
    stream_close(s);
    return err;
}

/* ---- the upgrade ---- */

static void accept_of(const char *key, char out[static ACCEPT_TEXT])
{
    char joined[KEY_TEXT + 36];
    uint8_t digest[20];
    int len = snprintf(joined, sizeof joined, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    EVP_Digest(joined, (size_t)len, digest, NULL, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)out, digest, sizeof digest);
}

static void upgrade_begin(struct link *l)
{
    uint8_t nonce[16];
    randombytes_buf(nonce, sizeof nonce);
    EVP_EncodeBlock((unsigned char *)l->key, nonce, sizeof nonce);
    put_text(&l->out, "GET /v1/ws HTTP/1.1\r\n");
    put_host(&l->out, &l->url);
    put_text(&l->out, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Protocol: " SUBPROTOCOL "\r\nUser-Agent: pipit/" PIPIT_VERSION "\r\n"
                      "Sec-WebSocket-Key: ");
    put_text(&l->out, l->key);
    put_text(&l->out, "\r\n\r\n");
    l->state = LINK_UPGRADING;
}

static int upgrade_check(struct link *l, size_t head)
{
    struct bytes top = bytes_of(l->in.at, head);
    char accept[ACCEPT_TEXT];
    int status = head_status(top);
    accept_of(l->key, accept);
    if (status != 101) {
        if (status) snprintf(l->why, WHY_MAX, "the server answered %d to the upgrade (is it a Pipit server?)", status);
        else say_no_answer(top, NULL, l->why);
        return ERR_PEER;
    }
    if (!bytes_equal(head_line(top, "sec-websocket-accept"), bytes_of_str(accept)) ||
        !is_word(head_line(top, "sec-websocket-protocol"), SUBPROTOCOL)) {
        snprintf(l->why, WHY_MAX, "the server does not speak " SUBPROTOCOL);
        return ERR_PEER;
    }
    return 0;
}

/* ---- wslay ---- */

static ssize_t on_ws_recv(wslay_event_context_ptr ws, uint8_t *to, size_t len, int flags, void *arg)
{
    struct link *l = arg;
    size_t waiting = l->in.len - l->in_at;
    (void)flags;
    if (waiting > 0) {    /* came with the answer to the upgrade */
        size_t n = waiting < len ? waiting : len;
        memcpy(to, l->in.at + l->in_at, n);
        l->in_at += n;
        return (ssize_t)n;
    }
    ssize_t n = stream_read(l->stream, to, len);
    if (n > 0) {
        l->heard_ms = mono_ms();
        return n;
    }
    wslay_event_set_error(ws, n == ERR_AGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_ws_send(wslay_event_context_ptr ws, const uint8_t *from, size_t len, int flags, void *arg)
{
    struct link *l = arg;
    (void)flags;
    ssize_t n = len ? stream_write(l->stream, from, len) : 0;
    if (n >= 0) {
        l->said_ms = mono_ms();
        return n;
    }
    wslay_event_set_error(ws, n == ERR_AGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int on_ws_mask(wslay_event_context_ptr ws, uint8_t *to, size_t len, void *arg)
{
    (void)ws;
    (void)arg;
    randombytes_buf(to, len);
    return 0;
}

static void on_ws_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *m, void *arg)
{
    struct link *l = arg;
    (void)ws;
    if (m->opcode == WSLAY_CONNECTION_CLOSE) {
        l->close_code = m->status_code ? m->status_code : 1005;
        /* The reason stands behind the code. */
        if (m->msg_length > 2) utf8_line(bytes_of(m->msg + 2, m->msg_length - 2), l->why, WHY_MAX);
    } else if (m->opcode == WSLAY_BINARY_FRAME && l->frame_err == 0) {
        l->frame_err = l->ops->on_frame(l->arg, bytes_of(m->msg, m->msg_length));
    } else if (m->opcode == WSLAY_TEXT_FRAME) {
        l->frame_err = ERR_NOT_BINARY;
    }
}

static int ws_begin(struct link *l)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_ws_recv, .send_callback = on_ws_send, .genmask_callback = on_ws_mask,
        .on_msg_recv_callback = on_ws_message,
    };
    if (wslay_event_context_client_init(&l->ws, &callbacks, l) != 0) return ERR_NOMEM;
    wslay_event_config_set_max_recv_msg_length(l->ws, FRAME_BYTES_MAX);
    l->state = LINK_UP;
    l->heard_ms = l->said_ms = mono_ms();
    return 0;
}

/* ---- advancing ---- */

static int advance_upgrade(struct link *l)
{
    while (l->out.len > 0) {
        ssize_t n = stream_write(l->stream, l->out.at, l->out.len);
        if (n < 0) return (int)n;
        memmove(l->out.at, l->out.at + n, l->out.len - (size_t)n);
        l->out.len -= (size_t)n;
    }
    for (;;) {
        size_t head = head_len(buf_bytes(&l->in));
        if (head_is_too_long(buf_bytes(&l->in))) return ERR_MALFORMED;
        if (head > 0) {
            int err = upgrade_check(l, head);
            l->in_at = head;
            return err ? err : ws_begin(l);
        }
        uint8_t chunk[4096];
        ssize_t n = stream_read(l->stream, chunk, sizeof chunk);
        if (n < 0 && n != ERR_AGAIN) say_no_answer(buf_bytes(&l->in), GONE, l->why);
        if (n < 0) return (int)n;
        buf_put(&l->in, chunk, (size_t)n);
        if (l->in.err) return l->in.err;
    }
}

static int advance_ws(struct link *l)
{
    bool failed = wslay_event_recv(l->ws) != 0;
    if (l->frame_err) {
        if (!l->why[0]) snprintf(l->why, WHY_MAX, "the server broke the protocol: %s", err_text(l->frame_err));
        return l->frame_err;
    }
    failed = wslay_event_send(l->ws) != 0 || failed;
    if (failed || l->close_code) return ERR_PEER;
    /* wslay reads no more and has said why in a close frame: a message too large, reserved bits, and their like. */
    return wslay_event_get_read_enabled(l->ws) ? 0 : ERR_MALFORMED;
}

int link_advance(struct link *l)
{
    int err = 0;
    if (l->state == LINK_CLOSED) return ERR_PEER;
    if (l->state == LINK_OPENING) {
        err = stream_advance(l->stream, mono_ms(), l->why);
        if (!err) upgrade_begin(l);
    }
    if (!err && l->state == LINK_UPGRADING) err = advance_upgrade(l);
    if (!err && l->state == LINK_UP) err = advance_ws(l);
    if (err == ERR_AGAIN && l->state != LINK_UP && mono_ms() >= l->due_ms) {
        snprintf(l->why, WHY_MAX, "the server did not answer within %d s", LINK_OPEN_MS_MAX / 1000);
        err = ERR_IDLE;
    }
    if (!err || err == ERR_AGAIN) return 0;
    if (!l->why[0]) snprintf(l->why, WHY_MAX, "%s", err_text(err));
    l->state = LINK_CLOSED;
    return err;
}

/* ---- the rest of the face ---- */

int link_open(const struct url *url, const char *ca_file, const struct link_ops *ops, void *arg, struct link **out,
              char why[static WHY_MAX])
{
    struct link *l = calloc(1, sizeof *l);
    if (!l) return ERR_NOMEM;
    int err = stream_open(url, ca_file, mono_ms(), &l->stream, why);
    if (err) {
        free(l);
        return err;
    }
    l->url = *url;
    l->ops = ops;
    l->arg = arg;
    l->due_ms = mono_ms() + LINK_OPEN_MS_MAX;
    buf_init(&l->out, HTTP_HEAD_MAX);
    buf_init(&l->in, HTTP_HEAD_MAX + 4096);
    *out = l;
    return 0;
}

void link_close(struct link *l)
{
    if (!l) return;
    if (l->state == LINK_UP && wslay_event_queue_close(l->ws, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0) == 0)
        wslay_event_send(l->ws);
    if (l->ws) wslay_event_context_free(l->ws);
    stream_close(l->stream);
    buf_fini(&l->out);
    buf_fini(&l->in);
    free(l);
}

int link_fd(const struct link *l)
{
    return stream_fd(l->stream);
}

short link_events(const struct link *l)
{
    short events = stream_events(l->stream);
    if (l->state == LINK_UPGRADING && l->out.len > 0) events |= POLLOUT;
    if (l->state == LINK_UP && wslay_event_want_write(l->ws)) events |= POLLOUT;
    return events;
}

uint64_t link_due_ms(const struct link *l)
{
    if (l->state == LINK_UP || l->state == LINK_CLOSED) return UINT64_MAX;
    uint64_t due = stream_due_ms(l->stream);
    return due < l->due_ms ? due : l->due_ms;
}

bool link_is_up(const struct link *l)
{
    return l->state == LINK_UP;
}

bool link_is_drained(const struct link *l)
{
    return l->state != LINK_UP || !wslay_event_want_write(l->ws);
}

void link_send(struct link *l, struct bytes frame)
{
    struct wslay_event_msg m = { .opcode = WSLAY_BINARY_FRAME, .msg = frame.at, .msg_length = frame.len };
    if (l->state != LINK_UP) return;
    /* Only memory can be lacking: a frame that is not sent must not be followed by others. */
    if (wslay_event_queue_msg(l->ws, &m) == WSLAY_ERR_NOMEM) l->frame_err = ERR_NOMEM;
}

uint64_t link_heard_ms(const struct link *l)
{
    return l->heard_ms;
}

uint64_t link_said_ms(const struct link *l)
{
    return l->said_ms;
}

const char *link_why(const struct link *l)
{
    return l->why;
}

int link_close_code(const struct link *l)
{
    return l->close_code;
}
