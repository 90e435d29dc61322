/* output.c - what people and programs see (see output.h). The one file of the client, with cmd_ask.c, that makes
 * JSON. */
#include "tools/client/output.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/common/duration.h"
#include "tools/common/utf8.h"

void print_text(FILE *to, struct bytes text, bool lines)
{
    for (size_t i = 0, len; i < text.len; i += len) {
        uint32_t c = utf8_at(text, i, &len);
        if (c == '\n' && lines) fputs("\n    ", to);    /* indented: no line of a message looks like another message */
        else if (c == '\n' || c == '\t') fputc(' ', to);
        else if (utf8_is_unsafe(c)) fputs("\xef\xbf\xbd", to);
        else fwrite(text.at + i, 1, len, to);
    }
}

static struct bytes text_or_clause(struct bytes text, bool is_deleted, bool is_empty)
{
    if (text.at) return text;
    if (is_deleted) return bytes_of_str("[message deleted]");
    if (is_empty) return bytes_of_str("[nothing for this device]");
    return bytes_of_str("[something that a newer version shows]");
}

struct bytes message_text(const struct msg_message *m)
{
    return text_or_clause(content_of(m), m->kind == KIND_TOMBSTONE, m->body.len == 0);
}

static void format(uint64_t ms, const char *how, char *out, size_t size)
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (!localtime_r(&s, &tm) || strftime(out, size, how, &tm) == 0) snprintf(out, size, "?");
}

void format_clock(uint64_t ms, char out[static 16])
{
    format(ms, "%H:%M", out, 16);
}

void format_time(uint64_t ms, char out[static 32])
{
    format(ms, "%Y-%m-%d %H:%M:%S", out, 32);
}

static void format_day_after(uint64_t ms, char out[static 32])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (localtime_r(&s, &tm)) {
        tm.tm_mday++;
        tm.tm_hour = 12;    /* there is no day without a noon */
        tm.tm_isdst = -1;
        s = mktime(&tm);
    }
    format((uint64_t)s * 1000, "%Y-%m-%d", out, 32);
}

void json_line(FILE *to, json_t *object)
{
    /* On a terminal everything but ASCII is escaped: JSON itself lets the controls U+0080 to U+009F through. */
    char *line = object ? json_dumps(object, JSON_COMPACT | (isatty(fileno(to)) ? JSON_ENSURE_ASCII : 0)) : NULL;
    if (!line) abort();    /* out of memory: a line left out would be a lie to whoever reads them */
    fprintf(to, "%s\n", line);
    free(line);
    json_decref(object);
}

bool output_flush(void)
{
    static bool said;
    if (fflush(stdout) == 0 && !ferror(stdout)) return true;
    if (!said) fprintf(stderr, "pipit: cannot write to the standard output\n");
    said = true;
    return false;
}

static json_t *json_time(uint64_t ms)
{
    return ms ? json_integer((json_int_t)ms) : json_null();
}

/* What stands in the line of every record. */
static json_t *json_record(const char *event, const struct pipit_message *m)
{
    char conv[CONV_ID_TEXT], device[DEVICE_ID_TEXT], id[MSG_ID_TEXT];
    conv_id_print(&m->conv, conv);
    device_id_print(m->device, device);
    msg_id_print(&m->id, id);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "event", event, "conversation", conv, "from", m->from.v,
                     "device", device, "id", id, "seq", (json_int_t)m->seq, "time", (json_int_t)m->time_ms);
}

json_t *json_deleted(const struct pipit_message *m)
{
    struct bytes rest = m->deleted;
    json_t *seqs = json_array();
    uint64_t seq;
    while (body_next(&rest, &seq) == 0)
        if (seq <= NUMBER_MAX) json_array_append_new(seqs, json_integer((json_int_t)seq));
    return seqs;
}

void json_gone(FILE *to, const struct conv_id *conv, uint64_t first, uint64_t last)
{
    char id[CONV_ID_TEXT];
    conv_id_print(conv, id);
    json_line(to, json_pack("{s:s, s:s, s:I, s:I}", "event", "gone", "conversation", id, "first", (json_int_t)first,
                            "last", (json_int_t)last));
}

void json_message(FILE *to, const struct pipit_message *m)
{
    static const char *const events[] = { [PIPIT_SAYS] = "message", [PIPIT_DELETES] = "deleted",
                                          [PIPIT_SETS_TIMER] = "timer" };
    struct bytes text = m->text;
    if (m->what == PIPIT_GONE) {
        json_gone(to, &m->conv, m->seq, m->gone_to);
        return;
    }
    json_t *line = json_record(events[m->what], m), *rest = NULL;
    switch (m->what) {
    case PIPIT_SAYS:
        rest = json_pack("{s:o, s:b, s:o}", "text",
                         text.at ? json_stringn((const char *)text.at, text.len) : json_null(), "deleted",
                         (int)m->is_deleted, "expires", json_time(m->expires_ms));
        break;
    case PIPIT_DELETES:
        rest = json_pack("{s:o}", "seqs", json_deleted(m));
        break;
    case PIPIT_SETS_TIMER:
        rest = json_pack("{s:I}", "seconds", (json_int_t)m->timer_s);
        break;
    case PIPIT_GONE: break;
    }
    if (!line || !rest || json_object_update(line, rest)) abort();    /* out of memory */
    json_decref(rest);
    json_line(to, line);
}

json_t *json_member(const struct pipit_member *m)
{
    return json_pack("{s:s, s:o, s:o, s:b, s:b}", "user", m->user.v, "delivered", json_time(m->delivered_ms), "read",
                     json_time(m->read_ms), "delivered_before", (int)m->is_delivered_before, "read_before",
                     (int)m->is_read_before);
}

void json_receipt(FILE *to, const struct pipit_receipt *r)
{
    char conv[CONV_ID_TEXT];
    conv_id_print(&r->conv, conv);
    json_line(to, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "event", "receipt", "conversation", conv, "user",
                            r->user.v, "delivered", (json_int_t)r->delivered, "read", (json_int_t)r->read, "time",
                            (json_int_t)r->time_ms));
}

void json_device(FILE *to, enum pipit_device_change what, struct device_id device, const char *name)
{
    char id[DEVICE_ID_TEXT];
    device_id_print(device, id);
    json_line(to, json_pack("{s:s, s:s, s:s, s:s}", "event", "device", "what",
                            what == PIPIT_DEVICE_ADDED ? "added" : what == PIPIT_DEVICE_NAMED ? "named" : "revoked",
                            "device", id, "name", name));
}

void json_plain(FILE *to, const char *event)
{
    json_line(to, json_pack("{s:s}", "event", event));
}

void print_later(FILE *to, const struct user_id *who, int err, const char *text)
{
    const char *what = err == ERR_STORAGE || err == ERR_READ_ONLY ? "the server cannot store it now"
                                                                  : "the server cannot do it now";
    fprintf(to, "%s%s%s (", who->v, who->v[0] ? ": " : "", what);
    print_text(to, bytes_of_str(text[0] ? text : err_text(err)), false);
    fputs("): trying again", to);
}

void print_device_change(FILE *to, enum pipit_device_change what, struct device_id device, const char *name)
{
    char id[DEVICE_ID_TEXT];
    device_id_print(device, id);
    fprintf(to, "%s: ", what == PIPIT_DEVICE_ADDED ? "a new device is logged in"
                        : what == PIPIT_DEVICE_NAMED ? "a device has a new name" : "a device was logged out");
    print_text(to, bytes_of_str(name), false);
    fprintf(to, " (%s)%s", id, what == PIPIT_DEVICE_ADDED ? "; if it is none of yours: `pipit devices revoke`" : "");
}

void print_timer(FILE *to, uint64_t seconds, const char *by)
{
    char text[DURATION_TEXT_MAX];
    duration_print(seconds, text);
    if (seconds) fprintf(to, "messages disappear after %s", text);
    else fputs("messages stay", to);
    if (!by[0]) return;
    fputs(" (set by ", to);
    print_text(to, bytes_of_str(by), false);
    fputc(')', to);
}

void print_deletes(FILE *to, const char *by, struct bytes deleted)
{
    size_t count = deleted.len / 8;       /* a body of KIND_DELETE: so many numbers */
    print_text(to, bytes_of_str(by), false);
    if (count == 1) fputs(" deleted a message", to);
    else fprintf(to, " deleted %zu messages", count);
}

const char *refusal_text(enum pipit_what what, int err, const char *text)
{
    if (what == PIPIT_DELETES && err == ERR_DENIED) return "it was sent too long ago to be deleted for everyone";
    if (what == PIPIT_DELETES && err == ERR_NOT_FOUND) return "it is gone already";
    return text[0] ? text : err_text(err);
}

/* A time that is only the latest it can have been is told as the day after it. */
static void print_when(FILE *to, const char *what, uint64_t ms, bool is_before)
{
    char time[32];
    if (is_before) format_day_after(ms, time);
    else format_time(ms, time);
    fprintf(to, "%s %s%s", what, is_before ? "before " : "", time);
}

void print_member(FILE *to, const struct pipit_member *m)
{
    fprintf(to, "%s: ", m->user.v);
    if (m->delivered_ms) print_when(to, "delivered", m->delivered_ms, m->is_delivered_before);
    else fputs("not delivered yet", to);
    if (m->read_ms) print_when(to, ", read", m->read_ms, m->is_read_before);
    else if (m->delivered_ms) fputs(", not read yet", to);
    fputc('\n', to);
}

void print_message_line(FILE *to, const struct pipit_message *m)
{
    char time[32], timer[DURATION_TEXT_MAX];
    if (m->what == PIPIT_GONE) {
        uint64_t count = m->gone_to - m->seq + 1;
        if (count == 1) fputs("[a message is gone]\n", to);
        else fprintf(to, "[%llu messages are gone]\n", (unsigned long long)count);
        return;
    }
    format_time(m->time_ms, time);
    fprintf(to, "%s ", time);
    switch (m->what) {
    case PIPIT_SAYS:
        fprintf(to, "%s: ", m->from.v);
        print_text(to, text_or_clause(m->text, m->is_deleted, m->is_empty), true);
        break;
    case PIPIT_DELETES:
        print_deletes(to, m->from.v, m->deleted);
        break;
    case PIPIT_SETS_TIMER:
        duration_print(m->timer_s, timer);
        fprintf(to, "timer set to %s by %s", timer, m->from.v);
        break;
    case PIPIT_GONE: break;
    }
    fputc('\n', to);
}
