/* head.c - see head.h.
 *
 *   START ──> LINE ──CR LF──> FIELD ──> NAME ──:──> VALUE ──CR LF──> FIELD
 *   START     nothing yet; empty lines are skipped (some clients send one behind a body)
 *   FIELD     the first byte of a line: CR ends the head, a space would continue the line before
 *   *_LF      a CR was taken */
#include "server/net/head.h"

#include <string.h>

enum head_state {
    HEAD_START, HEAD_START_LF, HEAD_LINE, HEAD_LINE_SPACE, HEAD_LINE_LF, HEAD_FIELD, HEAD_NAME, HEAD_VALUE,
    HEAD_VALUE_LF, HEAD_END_LF, HEAD_WHOLE,
};

enum { TLS_HANDSHAKE = 0x16, LINE_SPACES = 2 };

/* RFC 9110, section 5.6.2 */
static bool is_token(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_control(uint8_t c)
{
    return c < ' ' || c == 0x7f;
}

static const char *line_take(struct head *h, uint8_t c)
{
    if (c == '\r') {
        h->state = HEAD_LINE_LF;
    } else if (c == '\n') {
        return "a line that ends in LF without CR";
    } else if (is_control(c)) {
        return "a control character in the request line";
    } else if (c == ' ') {
        if (h->state == HEAD_LINE_SPACE || ++h->spaces > LINE_SPACES) return "too many spaces in the request line";
        h->state = HEAD_LINE_SPACE;
    } else {
        h->state = HEAD_LINE;
    }
    return NULL;
}

static const char *name_take(struct head *h, uint8_t c)
{
    if (c == ':' && h->state == HEAD_NAME) {
        h->state = HEAD_VALUE;
    } else if (is_token(c)) {
        h->state = HEAD_NAME;
    } else if (c == ' ' || c == '\t') {
        return h->state == HEAD_NAME ? "a space in or behind a header's name"
                                     : "a header that goes on in the next line";
    } else if (c == '\r' && h->state == HEAD_FIELD) {
        h->state = HEAD_END_LF;
    } else if (c == '\n') {
        return "a line that ends in LF without CR";
    } else {
        return "a header's name is not a token with a colon behind it";
    }
    return NULL;
}

static const char *value_take(struct head *h, uint8_t c)
{
    if (c == '\r') h->state = HEAD_VALUE_LF;
    else if (c == '\n') return "a line that ends in LF without CR";
    else if (c == '\0') return "a NUL in a header";
    else if (is_control(c) && c != '\t') return "a control character in a header";
    return NULL;
}

static const char *lf_take(struct head *h, uint8_t c, enum head_state next)
{
    if (c != '\n') return "a CR without LF";
    h->state = (uint8_t)next;
    return NULL;
}

/* NULL: taken; else why it may not be there. */
static const char *head_take(struct head *h, uint8_t c)
{
    switch ((enum head_state)h->state) {
    case HEAD_START:
        if (c == TLS_HANDSHAKE) return "this port speaks HTTP without TLS, and this is a TLS greeting";
        if (c == '\r') {
            h->state = HEAD_START_LF;
            return NULL;
        }
        return is_token(c) ? line_take(h, c) : "no HTTP request begins like this";
    case HEAD_START_LF:   return lf_take(h, c, HEAD_START);
    case HEAD_LINE:
    case HEAD_LINE_SPACE: return line_take(h, c);
    case HEAD_LINE_LF:    return lf_take(h, c, HEAD_FIELD);
    case HEAD_FIELD:
    case HEAD_NAME:       return name_take(h, c);
    case HEAD_VALUE:      return value_take(h, c);
    case HEAD_VALUE_LF:   return lf_take(h, c, HEAD_FIELD);
    case HEAD_END_LF:     return lf_take(h, c, HEAD_WHOLE);
    case HEAD_WHOLE:      break;
    }
    return "a byte behind the head";
}

void head_init(struct head *h)
{
    *h = (struct head){ .state = HEAD_START };
}

size_t head_feed(struct head *h, struct bytes in, enum head_step *step_out, const char **why_out)
{
    size_t i = 0;
    const char *why = NULL;
    while (i < in.len && h->state != HEAD_WHOLE && !why) {
        why = head_take(h, in.at[i]);
        if (!why) i++;
    }
    *step_out = why ? HEAD_STEP_BAD : h->state == HEAD_WHOLE ? HEAD_STEP_WHOLE : HEAD_STEP_MORE;
    *why_out = why ? why : "";
    return i;
}
