/* say_line.c - see say_line.h. The one place where values are quoted and escaped.
 *
 * Text and JSON quote alike, by JSON's rules: what reads one reads the other. A value of letters, digits and a few
 * signs stands bare in text. What no terminal should obey and no reader should miss is written as an escape: control
 * characters of both blocks, line ends of all kinds, and the marks that turn the direction of writing. Bytes that are
 * no UTF-8 become U+FFFD. */
#include "server/core/say_line.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    TAIL_BYTES = 16,      /* kept free for what closes a line: `,"cut":true}` and the newline */
    BODY_BYTES_MAX = SAY_LINE_BYTES_MAX - TAIL_BYTES,
};

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const int journal_levels[] = { 3, 4, 6, 7 };      /* syslog's */

/* All of it or nothing. */
static bool put(struct say_line *line, const char *text, size_t len)
{
    if (line->len + len > BODY_BYTES_MAX) return false;
    memcpy(line->at + line->len, text, len);
    line->len = (uint16_t)(line->len + len);
    return true;
}

/* For what fits in any case. */
static void put_tail(struct say_line *line, const char *text)
{
    size_t len = strlen(text);
    assert(line->len + len <= SAY_LINE_BYTES_MAX);
    memcpy(line->at + line->len, text, len);
    line->len = (uint16_t)(line->len + len);
}

/* The character at `text`, 1 to 4 bytes of it; 0 bytes: this is no UTF-8 (RFC 3629). Stops before a NUL by itself: it
 * continues nothing. */
static size_t utf8_length(const char *text, uint32_t *code_out)
{
    const unsigned char *b = (const unsigned char *)text;
    size_t len = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : b[0] < 0xf5 ? 4 : 0;
    uint32_t code = len == 1 ? b[0] : b[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((b[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (b[i] & 0x3f);
    }
    bool is_bad = (len == 3 && code < 0x800) || (len == 4 && (code < 0x10000 || code > 0x10ffff)) ||
                  (code >= 0xd800 && code <= 0xdfff);
    *code_out = code;
    return is_bad ? 0 : len;
}

static bool must_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* One character of a quoted value; false: no room. */
static bool put_quoted_char(struct say_line *line, const char **text)
{
    uint32_t code;
    char escape[8];
    size_t len = utf8_length(*text, &code);
    const char *from = *text;
    *text += len ? len : 1;
    if (len == 0) return put(line, "\\ufffd", 6);
    if (code == '"') return put(line, "\\\"", 2);
    if (code == '\\') return put(line, "\\\\", 2);
    if (code == '\n') return put(line, "\\n", 2);
    if (!must_escape(code)) return put(line, from, len);
    return put(line, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)code));
}

static bool is_bare(const char *text)
{
    static const char also[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@+,-[]";
    return *text && text[strspn(text, also)] == '\0';
}

/* False: the line ends here; its value is closed. */
static bool put_text(struct say_line *line, bool is_json, const char *text)
{
    if (!is_json && is_bare(text) && put(line, text, strlen(text))) return true;
    if (!put(line, "\"", 1)) return false;
    while (*text) {
        if (put_quoted_char(line, &text)) continue;
        put_tail(line, "...\"");
        return false;
    }
    put_tail(line, "\"");
    return true;
}

static bool put_name(struct say_line *line, bool is_json, const char *name)
{
    if (!is_json) return put(line, " ", 1) && put(line, name, strlen(name)) && put(line, "=", 1);
    return put(line, ",\"", 2) && put(line, name, strlen(name)) && put(line, "\":", 2);
}

/* False: the line is full. What was put of this field is whole, or was taken back and the cut is shown. */
static bool put_field(struct say_line *line, bool is_json, const struct say_field *f)
{
    uint16_t before = line->len;
    char number[48];
    int len = 0;
    bool ok = put_name(line, is_json, f->name);
    switch (f->kind) {
    case SAY_KIND_TEXT:
        /* At least three bytes, or there would be a quote and nothing in it. */
        if (ok && line->len + 3 <= BODY_BYTES_MAX) return put_text(line, is_json, f->u.text ? f->u.text : "");
        ok = false;
        break;
    case SAY_KIND_CONN: {
        unsigned long long id = f->u.number, count = id & ((1ULL << SAY_CONN_SHARD_SHIFT) - 1);
        len = snprintf(number, sizeof number, is_json ? "\"%05llx.%llx.%llx\"" : "%05llx.%llx.%llx",
                       id >> SAY_CONN_RUN_SHIFT, (id >> SAY_CONN_SHARD_SHIFT) & 0xff, count);
        break;
    }
    case SAY_KIND_I64: len = snprintf(number, sizeof number, "%lld", (long long)f->u.signed_number); break;
    default:           len = snprintf(number, sizeof number, "%llu", (unsigned long long)f->u.number); break;
    }
    if (ok && put(line, number, (size_t)len)) return true;
    line->len = before;
    put_tail(line, is_json ? ",\"cut\":true" : " ...");
    return false;
}

static void put_head(struct say_line *line, struct say_form form, uint64_t wall_ms, enum say_level level,
                     const char *event)
{
    static const char *const forms[] = { "%s %s %s", "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"" };
    char stamp[64];
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm t;
    int len;
    gmtime_r(&seconds, &t);
    snprintf(stamp, sizeof stamp, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
             t.tm_hour, t.tm_min, t.tm_sec, (unsigned)(wall_ms % 1000));
    if (form.format == SAY_AS_TEXT && form.is_journal) {
        len = snprintf(line->at, sizeof line->at, "<%d>%s %s", journal_levels[level], level_names[level], event);
    } else {
        len = snprintf(line->at, sizeof line->at, forms[form.format == SAY_AS_JSON], stamp, level_names[level], event);
    }
    assert(len > 0 && len < BODY_BYTES_MAX);             /* an event is a word */
    line->len = (uint16_t)len;
}

void say_line_make(struct say_line *line, struct say_form form, uint64_t wall_ms, enum say_level level,
                   const char *event, const struct say_field *fields)
{
    bool is_json = form.format == SAY_AS_JSON;
    put_head(line, form, wall_ms, level, event);
    while (fields->name && put_field(line, is_json, fields)) fields++;
    put_tail(line, is_json ? "}\n" : "\n");
}
