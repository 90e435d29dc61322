/* config_file.c - the lines of a settings file. The one file that knows inih.
 *
 * inih stops counting at its own line length, takes bytes of any kind, and tells of the first wrong line only. So it is
 * given one line at a time, checked before: it finds the name, the value and the comments, and nothing else. */
#include "server/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_BYTES_MAX = 256 * 1024,         /* the example, with a comment for each key, is a tenth of it */
    LINE_BYTES_MAX = INI_MAX_LINE - 1,   /* inih cuts a longer one in two */
    KEY_SHOWN_MAX = 64,
};

struct found { char name[INI_MAX_LINE], value[INI_MAX_LINE]; bool any; };

static int on_found(void *arg, const char *section, const char *name, const char *value)
{
    struct found *found = arg;
    (void)section;
    found->any = true;
    snprintf(found->name, sizeof found->name, "%s", name);
    snprintf(found->value, sizeof found->value, "%s", value ? value : "");
    return 1;
}

/* The key that a line begins with, if it is one's shape and a `=` follows; else "". For messages about lines whose
 * bytes are wrong. */
static void line_key(struct bytes line, char key[static KEY_SHOWN_MAX])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t at = 0, len = 0;
    while (at < line.len && (line.at[at] == ' ' || line.at[at] == '\t')) at++;
    while (at + len < line.len && line.at[at + len] && strchr(letters, line.at[at + len])) len++;
    size_t next = at + len;
    while (next < line.len && (line.at[next] == ' ' || line.at[next] == '\t')) next++;
    bool is_key = len > 0 && len < KEY_SHOWN_MAX && next < line.len && line.at[next] == '=';
    snprintf(key, KEY_SHOWN_MAX, "%.*s", is_key ? (int)len : 0, (const char *)line.at + at);
}

/* Are the bytes of a line wrong, before it is known what it says? Then `why` tells. */
static bool line_is_faulty(struct bytes line, char why[static CONFIG_WHY_MAX])
{
    const char *what = NULL;
    char text[128], key[KEY_SHOWN_MAX];
    if (line.len > LINE_BYTES_MAX) {
        snprintf(text, sizeof text,
                 "the line has %zu bytes; allowed is %d: give what is longer in the environment or as a flag", line.len, (int)LINE_BYTES_MAX);
        what = text;
    } else if (memchr(line.at, '\0', line.len)) {
        what = "a NUL byte is in the line; allowed is text in UTF-8";
    } else if (!bytes_is_utf8(line)) {
        what = "the line is not UTF-8; save the file as UTF-8";
    }
    for (size_t i = 0; i < line.len && !what; i++) {
        bool is_end = line.at[i] == '\r' && i + 1 == line.len;
        bool is_control = line.at[i] == 0x7f || (line.at[i] < 0x20 && line.at[i] != '\t' && !is_end);
        if (is_control) what = "a control character is in the line; take it out";
    }
    if (!what) return false;
    line_key(line, key);
    snprintf(why, CONFIG_WHY_MAX, "%s%s%s", key, key[0] ? ": " : "", what);
    return true;
}

static void take_line(struct bytes line, uint32_t number, const struct config_lines *lines)
{
    char why[CONFIG_WHY_MAX], text[INI_MAX_LINE];
    struct found found = { .any = false };
    if (line_is_faulty(line, why)) {
        lines->bad(lines->arg, number, why);
        return;
    }
    memcpy(text, line.at, line.len);
    text[line.len] = '\0';
    const char *what = NULL, *shown = text + strspn(text, " \t");
    if (shown[0] == '[') what = "there are no sections here; leave the line out";
    else if (ini_parse_string(text, on_found, &found) != 0) what = "there is no `=`; write `key = value`";
    else if (found.any && !found.name[0]) what = "there is no key before the `=`; write `key = value`";
    if (what) {
        size_t len = strcspn(shown, "\r");
        snprintf(why, sizeof why, "%.*s: %s", (int)len, shown, what);
        lines->bad(lines->arg, number, why);
    } else if (found.any) {
        lines->each(lines->arg, number, found.name, found.value);
    }
}

void config_lines(struct bytes text, const struct config_lines *lines)
{
    for (uint32_t number = 1; text.len > 0; number++) {
        const uint8_t *newline = memchr(text.at, '\n', text.len);
        size_t len = newline ? (size_t)(newline - text.at) : text.len;
        take_line(bytes_of(text.at, len), number, lines);
        len += newline != NULL;
        text = bytes_of(text.at + len, text.len - len);
    }
}

/* A file that grows beyond the limit is refused whole: half of it would say something else. */
static int read_whole(int fd, struct buf *text, int *errno_out)
{
    for (;;) {
        uint8_t piece[4096];
        ssize_t n = read(fd, piece, sizeof piece);
        if (n == 0) return 0;
        if (n < 0 && errno == EINTR) continue;
        *errno_out = errno;
        if (n < 0) return ERR_IO;
        buf_put(text, piece, (size_t)n);
        if (text->err) return text->err;
    }
}

void config_file(const char *path, const struct config_lines *lines)
{
    char why[CONFIG_WHY_MAX];
    struct buf text;
    struct stat st;
    int errno_read = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        snprintf(why, sizeof why, "cannot be read: %s", strerror(errno));
        lines->bad(lines->arg, 0, why);
        if (fd >= 0) close(fd);
        return;
    }
    if (S_ISDIR(st.st_mode)) {
        lines->bad(lines->arg, 0, "is a folder; --config takes a file");
        close(fd);
        return;
    }
    buf_init(&text, FILE_BYTES_MAX);
    int err = read_whole(fd, &text, &errno_read);
    close(fd);
    if (err == ERR_TOO_BIG) {
        snprintf(why, sizeof why, "is larger than %d KiB; this is no settings file", FILE_BYTES_MAX / 1024);
        lines->bad(lines->arg, 0, why);
    } else if (err) {
        snprintf(why, sizeof why, "cannot be read: %s", err == ERR_IO ? strerror(errno_read) : err_text(err));
        lines->bad(lines->arg, 0, why);
    } else {
        config_lines(buf_bytes(&text), lines);
    }
    buf_fini(&text);
}
