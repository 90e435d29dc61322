/* output.c - what people and programs see (see output.h). The one file of the client, with cmd_ask.c, that makes
 * JSON. */
#include "tools/client/output.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
    if (is_deleted) return bytes_of_str("[deleted]");
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

void json_message(FILE *to, const struct pipit_message *m)
{
    char conv[CONV_ID_TEXT], device[DEVICE_ID_TEXT], id[MSG_ID_TEXT];
    struct bytes text = m->text;
    conv_id_print(&m->conv, conv);
    device_id_print(m->device, device);
    msg_id_print(&m->id, id);
    json_line(to, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:o}", "event", "message", "conversation", conv,
                            "from", m->from.v, "device", device, "id", id, "seq", (json_int_t)m->seq, "time",
                            (json_int_t)m->time_ms, "text",
                            text.at ? json_stringn((const char *)text.at, text.len) : json_null()));
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

void print_message_line(FILE *to, const struct pipit_message *m)
{
    char time[32];
    format_time(m->time_ms, time);
    fprintf(to, "%s %s: ", time, m->from.v);
    print_text(to, text_or_clause(m->text, m->is_deleted, m->is_empty), true);
    fputc('\n', to);
}
