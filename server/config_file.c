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

/* What is wrong with the bytes of a line, before it is known what it says; NULL: nothing. */
static const char *line_fault(struct bytes line, char why[static CONFIG_WHY_MAX])
{
    if (line.len > LINE_BYTES_MAX) {
        snprintf(why, CONFIG_WHY_MAX,
                 "the line has %zu bytes; allowed is %d: give what is longer in the environment or as a flag", line.len, (int)LINE_BYTES_MAX);
        return why;
    }
    if (memchr(line.at, '\0', line.len)) return "a NUL byte is in the line; this is not a text file";
    if (!bytes_is_utf8(line)) return "the line is not UTF-8";
    for (size_t i = 0; i < line.len; i++) {
        bool is_end = line.at[i] == '\r' && i + 1 == line.len;
        if (line.at[i] == 0x7f || (line.at[i] < 0x20 && line.at[i] != '\t' && !is_end)) {
            return "a control character is in the line";
        }
    }
    return NULL;
}

static void take_line(struct bytes line, uint32_t number, const struct config_lines *lines)
{
    char why[CONFIG_WHY_MAX], text[INI_MAX_LINE];
    struct found found = { .any = false };
    const char *fault = line_fault(line, why);
    if (fault) {
        lines->bad(lines->arg, number, fault);
        return;
    }
    memcpy(text, line.at, line.len);
    text[line.len] = '\0';
    if (text[strspn(text, " \t")] == '[') {
        lines->bad(lines->arg, number, "there are no sections here; leave the line out");
    } else if (ini_parse_string(text, on_found, &found) != 0) {
        lines->bad(lines->arg, number, "this is not `key = value`: there is no `=`");
    } else if (found.any && !found.name[0]) {
        lines->bad(lines->arg, number, "this is not `key = value`: there is no key before the `=`");
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
