/* audit.c - see audit.h.
 *
 * A line is cut off again when it could not be written and synced whole, so that an act that was refused for want of
 * its line leaves none. A crash may leave a torn one: the next line then begins on a line of its own. */
#include "server/audit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/proto.h"
#include "server/core/core.h"

/* Every name of the largest request, and the rest of the line. */
enum { AUDIT_LINE_BYTES_MAX = 512 * 1024 };

struct audit {
    const struct fsio *fs;
    pthread_mutex_t mutex;               /* one line at a time: held by workers only, over a sync */
    char dir[FS_PATH_MAX];
    char path[FS_PATH_MAX];
};

int audit_new(const struct fsio *fs, const char *dir, struct audit **audit_out)
{
    struct audit *audit = calloc(1, sizeof *audit);
    if (!audit) return ERR_NOMEM;
    audit->fs = fs;
    pthread_mutex_init(&audit->mutex, NULL);
    snprintf(audit->dir, sizeof audit->dir, "%s", dir);
    fs_path(audit->path, dir, "audit.log");
    *audit_out = audit;
    return 0;
}

void audit_free(struct audit *audit)
{
    if (!audit) return;
    pthread_mutex_destroy(&audit->mutex);
    free(audit);
}

static void put_text(struct buf *line, const char *text)
{
    buf_put(line, text, strlen(text));
}

static void format_line(const struct audit_act *act, struct buf *line)
{
    char head[128];
    time_t seconds = (time_t)(act->now_ms / 1000);
    struct tm t = { 0 };
    gmtime_r(&seconds, &t);
    size_t len = strftime(head, sizeof head, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(head + len, sizeof head - len, ".%03uZ uid=%lu pid=%ld act=", (unsigned)(act->now_ms % 1000),
             (unsigned long)act->uid, (long)act->pid);
    put_text(line, head);
    put_text(line, act->act);
    for (size_t i = 0; i < act->whom_count; i++) {
        put_text(line, i ? "," : " whom=");
        put_text(line, act->whom[i].v);
    }
    if (act->detail[0]) {
        put_text(line, " ");
        put_text(line, act->detail);
    }
    put_text(line, " outcome=");
    put_text(line, err_name(act->outcome));
    put_text(line, "\n");
}

/* Where the next line begins; *torn: what was there last does not end with a newline. */
static int find_end(const struct audit *audit, int file, uint64_t *end_out, bool *torn_out)
{
    const struct fsio *fs = audit->fs;
    uint8_t last = '\n';
    size_t got;
    int err = fs->size(fs->self, file, end_out);
    if (!err && *end_out > 0) err = fs->pread(fs->self, file, &last, 1, *end_out - 1, &got);
    *torn_out = last != '\n';
    return err;
}

/* Cuts off `line`, where the file ends with it: the line of an act that was undone. */
static int cut(const struct audit *audit, int file, struct bytes line)
{
    const struct fsio *fs = audit->fs;
    uint8_t *last = malloc(line.len);
    uint64_t size = 0;
    size_t got = 0;
    int err = last ? fs->size(fs->self, file, &size) : ERR_NOMEM;
    if (!err && size >= line.len) err = fs->pread(fs->self, file, last, line.len, size - line.len, &got);
    if (!err && bytes_equal(bytes_of(last, got), line)) err = fs->truncate(fs->self, file, size - line.len);
    free(last);
    return err;
}

/* The line `instead` goes first, if there is one (len 0: none). */
static int append(struct audit *audit, struct bytes line, struct bytes instead)
{
    const struct fsio *fs = audit->fs;
    uint64_t end = 0, was_there;
    bool torn, exists;
    int file;
    int err = fs->exists(fs->self, audit->path, &exists, &was_there);
    if (!err) err = fs->open(fs->self, audit->path, FS_READ | FS_WRITE | FS_CREATE, &file);
    if (err) return err;
    if (instead.len) (void)cut(audit, file, instead);    /* else it stays, and the new one contradicts it */
    err = find_end(audit, file, &end, &torn);
    if (!err) {
        struct iovec parts[] = { { "\n", torn }, { (void *)line.at, line.len } };
        err = fs->pwritev(fs->self, file, parts, 2, end);
        if (!err) err = fs->sync(fs->self, file);
        if (!err && !exists) err = fs->sync_dir(fs->self, audit->dir);
        if (err) (void)fs->truncate(fs->self, file, end);
    }
    fs->close(fs->self, file);
    return err;
}

static int write_line(struct audit *audit, const struct audit_act *act, const struct audit_act *instead)
{
    struct buf line, old;
    buf_init(&line, AUDIT_LINE_BYTES_MAX);
    buf_init(&old, AUDIT_LINE_BYTES_MAX);
    format_line(act, &line);
    if (instead) format_line(instead, &old);
    int err = line.err ? line.err : old.err;
    if (!err) {
        pthread_mutex_lock(&audit->mutex);
        err = append(audit, buf_bytes(&line), buf_bytes(&old));
        pthread_mutex_unlock(&audit->mutex);
    }
    buf_fini(&line);
    buf_fini(&old);
    return err;
}

int audit_write(struct audit *audit, const struct audit_act *act)
{
    return write_line(audit, act, NULL);
}

int audit_correct(struct audit *audit, const struct audit_act *act)
{
    struct audit_act before = *act;
    before.outcome = 0;
    return write_line(audit, act, &before);
}

void audit_say(const struct audit_act *act)
{
    say(SAY_INFO, "audit", SAY_U64("uid", act->uid), SAY_I64("pid", act->pid), SAY_TEXT("act", act->act),
        SAY_TEXT("whom", act->whom_count ? act->whom[0].v : ""), SAY_U64("count", act->whom_count),
        SAY_TEXT("detail", act->detail), SAY_TEXT("outcome", err_name(act->outcome)));
}
