/* manifest.c - what a backup says of itself: lines of text, so that a person can read them and sum(1)-like tools can
 * be written against them.
 *
 *   pipit backup 1
 *   data 1                                   the data folder's format
 *   node 0123…                               32 hexadecimal digits, like the next
 *   generation 4567…
 *   cut 1700000000000                        ms since 1970
 *   users 3
 *   conversations 2
 *   log 0 4711                               one for each log with records: its last, by log
 *   file 40960 0123456789abcdef facts.db     one for each file: bytes, XXH3-64, name; by name
 *   sum 0123456789abcdef                     XXH3-64 of all before this line
 *
 * Parsing takes the values out and prints them again: what does not come out the same was not printed by us. */
#include "storage/manifest.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/outfile.h"

#define FIRST_LINE "pipit backup "

enum { SUM_LINE_BYTES = 4 + 16 + 1, LINE_MAX_BYTES = 160 };

void manifest_init(struct manifest *m)
{
    memset(m, 0, sizeof *m);
}

void manifest_fini(struct manifest *m)
{
    free(m->files);
    manifest_init(m);
}

/* Letters, digits and - . _, not beginning with a dot: nothing that leads out of the folder. */
static bool name_is_good(const char *name)
{
    if (strcmp(name, "facts.db") == 0) return true;
    if (strncmp(name, "log/", 4) != 0 || name[4] == '.' || !name[4]) return false;
    return name[4 + strspn(name + 4, "abcdefghijklmnopqrstuvwxyz0123456789-._")] == '\0';
}

int manifest_add(struct manifest *m, const char *name, uint64_t bytes, uint64_t sum)
{
    if (strlen(name) > MANIFEST_FILE_NAME_MAX || m->count == MANIFEST_FILES_MAX) return ERR_TOO_BIG;
    if (!name_is_good(name) || (m->count && strcmp(m->files[m->count - 1].name, name) >= 0)) return ERR_CORRUPT;
    if (m->count == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 64;
        struct manifest_file *grown = realloc(m->files, cap * sizeof *grown);
        if (!grown) return ERR_NOMEM;
        m->files = grown;
        m->cap = cap;
    }
    struct manifest_file *file = &m->files[m->count++];
    memset(file, 0, sizeof *file);
    strcpy(file->name, name);
    file->bytes = bytes;
    file->sum = sum;
    return 0;
}

static int by_name(const void *name, const void *file)
{
    return strcmp(name, ((const struct manifest_file *)file)->name);
}

const struct manifest_file *manifest_find(const struct manifest *m, const char *name)
{
    return m->count ? bsearch(name, m->files, m->count, sizeof *m->files, by_name) : NULL;
}

/* -- printing ------------------------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3)))
static void put_line(struct buf *to, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buf_put(to, line, (size_t)len);
}

static void put_hex(struct buf *to, const char *what, const uint8_t at[static 16])
{
    char hex[33];
    for (int i = 0; i < 16; i++) snprintf(hex + 2 * i, 3, "%02x", at[i]);
    put_line(to, "%s %s\n", what, hex);
}

int manifest_print(const struct manifest *m, struct buf *to)
{
    put_line(to, FIRST_LINE "%d\ndata %" PRIu32 "\n", MANIFEST_FORMAT, m->data);
    put_hex(to, "node", m->node);
    put_hex(to, "generation", m->generation);
    put_line(to, "cut %" PRIu64 "\nusers %" PRIu64 "\nconversations %" PRIu64 "\n", m->cut_ms, m->users,
             m->conversations);
    for (unsigned log = 0; log < LOGS_MAX; log++)
        if (m->flushed[log]) put_line(to, "log %u %" PRIu64 "\n", log, m->flushed[log]);
    for (size_t i = 0; i < m->count; i++)
        put_line(to, "file %" PRIu64 " %016" PRIx64 " %s\n", m->files[i].bytes, m->files[i].sum, m->files[i].name);
    put_line(to, "sum %016" PRIx64 "\n", (uint64_t)XXH3_64bits(to->at, to->len));
    return to->err;
}

/* -- parsing ------------------------------------------------------------------------------------------------- */

/* The next line, NUL-terminated, without its end. False: there is none. */
static bool next_line(struct bytes *rest, char line[static LINE_MAX_BYTES])
{
    const uint8_t *end = rest->len ? memchr(rest->at, '\n', rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->at) : 0;
    if (!end || len >= LINE_MAX_BYTES || memchr(rest->at, '\0', len)) return false;
    memcpy(line, rest->at, len);
    line[len] = '\0';
    rest->at += len + 1;
    rest->len -= len + 1;
    return true;
}

/* Counts of ours fit SQLite's signed numbers. */
static bool take_number(const char **at, uint64_t *out)
{
    char *end;
    if (**at < '0' || **at > '9') return false;
    unsigned long long v = strtoull(*at, &end, 10);
    *at = end + (*end == ' ');
    *out = v;
    return v <= INT64_MAX;
}

static bool line_number(struct bytes *rest, const char *what, uint64_t *out)
{
    char line[LINE_MAX_BYTES];
    size_t len = strlen(what);
    if (!next_line(rest, line) || strncmp(line, what, len) != 0) return false;
    const char *at = line + len;
    return take_number(&at, out);
}

static bool line_hex(struct bytes *rest, const char *what, uint8_t out[static 16])
{
    char line[LINE_MAX_BYTES];
    size_t len = strlen(what);
    if (!next_line(rest, line) || strncmp(line, what, len) != 0 || strlen(line + len) != 32) return false;
    for (int i = 0; i < 16; i++)
        if (sscanf(line + len + 2 * i, "%2hhx", &out[i]) != 1) return false;
    return true;
}

static bool parse_log(const char *at, struct manifest *m)
{
    uint64_t log, number;
    if (!take_number(&at, &log) || log >= LOGS_MAX || !take_number(&at, &number)) return false;
    m->flushed[log] = number;
    return true;
}

static int parse_file(const char *at, struct manifest *m)
{
    uint64_t bytes;
    char *end;
    if (!take_number(&at, &bytes)) return ERR_CORRUPT;
    uint64_t sum = strtoull(at, &end, 16);
    if (end != at + 16 || *end != ' ') return ERR_CORRUPT;
    return manifest_add(m, end + 1, bytes, sum);
}

static int parse_lists(struct bytes *rest, struct manifest *m)
{
    char line[LINE_MAX_BYTES];
    int err = 0;
    while (!err && next_line(rest, line)) {
        if (strncmp(line, "sum ", 4) == 0) return rest->len == 0 ? 0 : ERR_CORRUPT;
        if (strncmp(line, "log ", 4) == 0) err = parse_log(line + 4, m) ? 0 : ERR_CORRUPT;
        else if (strncmp(line, "file ", 5) == 0) err = parse_file(line + 5, m);
        else err = ERR_CORRUPT;
    }
    return err ? err : ERR_CORRUPT;               /* it ends without a sum */
}

static int parse_all(struct bytes rest, struct manifest *m)
{
    uint64_t format, data;
    if (!line_number(&rest, FIRST_LINE, &format)) return ERR_CORRUPT;
    if (format > MANIFEST_FORMAT) return ERR_NEWER;
    if (!line_number(&rest, "data ", &data) || data > UINT32_MAX) return ERR_CORRUPT;
    m->data = (uint32_t)data;
    if (!line_hex(&rest, "node ", m->node) || !line_hex(&rest, "generation ", m->generation)) return ERR_CORRUPT;
    if (!line_number(&rest, "cut ", &m->cut_ms) || !line_number(&rest, "users ", &m->users)) return ERR_CORRUPT;
    if (!line_number(&rest, "conversations ", &m->conversations)) return ERR_CORRUPT;
    return parse_lists(&rest, m);
}

int manifest_parse(struct bytes text, struct manifest *m)
{
    struct buf again;
    manifest_init(m);
    int err = parse_all(text, m);
    if (err) return err == ERR_TOO_BIG ? ERR_CORRUPT : err;
    buf_init(&again, MANIFEST_BYTES_MAX);
    err = manifest_print(m, &again);
    if (!err && !bytes_equal(buf_bytes(&again), text)) err = ERR_CORRUPT;
    buf_fini(&again);
    return err == ERR_TOO_BIG ? ERR_CORRUPT : err;
}

/* -- files --------------------------------------------------------------------------------------------------- */

int manifest_read(const struct fsio *fs, const char *dir, struct manifest *m)
{
    char path[FS_PATH_MAX];
    struct infile in;
    struct bytes part;
    struct buf text;
    manifest_init(m);
    fs_path(path, dir, MANIFEST_NAME);
    int err = infile_open(fs, path, &in);
    if (err) return err;
    buf_init(&text, MANIFEST_BYTES_MAX);
    do {
        err = infile_next(&in, MANIFEST_BYTES_MAX, &part);
        if (!err) buf_put(&text, part.at, part.len);
    } while (!err && !text.err && part.len > 0);
    infile_close(&in);
    if (!err) err = text.err == ERR_TOO_BIG ? ERR_CORRUPT : text.err;
    if (!err) err = manifest_parse(buf_bytes(&text), m);
    buf_fini(&text);
    return err;
}

int manifest_write(const struct fsio *fs, const char *dir, const struct manifest *m)
{
    char path[FS_PATH_MAX];
    struct outfile out;
    struct buf text;
    buf_init(&text, MANIFEST_BYTES_MAX);
    fs_path(path, dir, MANIFEST_NAME);
    int err = manifest_print(m, &text);
    if (!err) err = outfile_open(fs, path, true, &out);
    if (!err) {
        outfile_put(&out, text.at, text.len);
        err = outfile_finish(&out);
    }
    buf_fini(&text);
    return err;
}
