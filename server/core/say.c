/* say.c - lines wait in a ring of fixed cells; one thread writes them out.
 *
 *   any thread: format on its own stack ──copy under the mutex──> ring ──copy──> the writer's buffer ──write──> fd
 *
 * The mutex is held for copying a line in, or a few out, never while anything is formatted or written. When the ring
 * is full the line is counted instead, and the writer says with its next write how many were lost. */
#include "server/core/say.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/err.h"
#include "server/core/clock.h"

enum {
    GATHER_LINES = 16,    /* to one write: enough to be cheap, few enough to copy under the mutex */
    LEVEL_NONE = -1,
};

struct line {
    uint16_t len;
    char at[SAY_LINE_BYTES_MAX];    /* ends with a newline, no NUL */
};

static struct {
    pthread_mutex_t mutex;          /* guards all up to `thread` */
    pthread_cond_t changed;
    bool open;                      /* from say_start() to say_stop() */
    struct line *ring;              /* SAY_LINES_MAX of them */
    uint32_t first, count;          /* what waits in it */
    uint64_t dropped;               /* since the writer last said so */
    pthread_t thread;
    int fd;                         /* fixed while open */
    _Atomic int level;              /* LEVEL_NONE while not open: nothing is even formatted */
} log_out = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .level = LEVEL_NONE };

/* ---- a line ---- */

static size_t put_head(struct line *line, enum say_level level, const char *event)
{
    static const char *const names[] = { "error", "warn", "info", "debug" };
    const struct clock *clock = clock_real();
    uint64_t now_ms = clock->wall_ms(clock->self);
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm t;
    gmtime_r(&seconds, &t);
    int len = snprintf(line->at, sizeof line->at, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ %s %s", t.tm_year + 1900,
                       t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, (unsigned)(now_ms % 1000),
                       names[level], event);
    return len < SAY_LINE_BYTES_MAX ? (size_t)len : SAY_LINE_BYTES_MAX - 1;
}

/* A peer's words may be in a line: nothing in it may end the line early or speak to the terminal. That is all below
 * space, DEL, and U+0080 to U+009F, which some terminals obey too. */
static void replace_controls(char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)at[i];
        bool c1 = c == 0xc2 && i + 1 < len && (unsigned char)at[i + 1] >= 0x80 && (unsigned char)at[i + 1] < 0xa0;
        if (c1) at[i + 1] = '?';
        if (c1 || c < 0x20 || c == 0x7f) at[i] = '?';
    }
}

static void line_format(struct line *line, enum say_level level, const char *event, const char *format, va_list args)
{
    static const char cut[] = "...";
    size_t len = put_head(line, level, event);
    bool too_long = len == SAY_LINE_BYTES_MAX - 1;
    if (format[0] && !too_long) {
        line->at[len++] = ' ';
        size_t room = sizeof line->at - len;
        int more = vsnprintf(line->at + len, room, format, args);
        too_long = more >= 0 && (size_t)more >= room;
        if (more > 0) len += too_long ? room - 1 : (size_t)more;
    }
    if (too_long) {
        /* Not inside of a character: its bytes after the first are 10xxxxxx. */
        len = SAY_LINE_BYTES_MAX - sizeof cut;
        while (len > 0 && ((unsigned char)line->at[len] & 0xc0) == 0x80) len--;
        memcpy(line->at + len, cut, sizeof cut - 1);
        len += sizeof cut - 1;
    }
    replace_controls(line->at, len);
    line->at[len++] = '\n';
    line->len = (uint16_t)len;
}

static void __attribute__((format(printf, 4, 5)))
line_make(struct line *line, enum say_level level, const char *event, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line_format(line, level, event, format, args);
    va_end(args);
}

void say(enum say_level level, const char *event, const char *format, ...)
{
    if ((int)level > atomic_load_explicit(&log_out.level, memory_order_relaxed)) return;
    struct line line;
    va_list args;
    va_start(args, format);
    line_format(&line, level, event, format, args);
    va_end(args);

    pthread_mutex_lock(&log_out.mutex);
    if (log_out.open && log_out.count < SAY_LINES_MAX) {
        struct line *cell = &log_out.ring[(log_out.first + log_out.count) % SAY_LINES_MAX];
        cell->len = line.len;
        memcpy(cell->at, line.at, line.len);
        log_out.count++;
        pthread_cond_signal(&log_out.changed);
    } else if (log_out.open) {
        log_out.dropped++;
    }
    pthread_mutex_unlock(&log_out.mutex);
}

/* ---- the writer ---- */

/* All of it, or as much as the descriptor takes before it fails: there is nobody to tell. */
static void write_all(int fd, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n >= 0) {
            at += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd wait = { .fd = fd, .events = POLLOUT };
            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            return;
        }
    }
}

/* Under the mutex: the next few lines to `to`, and how many were dropped. Returns the bytes. */
static size_t take_lines(char *to, uint64_t *dropped_out)
{
    size_t len = 0;
    for (int n = 0; n < GATHER_LINES && log_out.count > 0; n++) {
        const struct line *line = &log_out.ring[log_out.first];
        memcpy(to + len, line->at, line->len);
        len += line->len;
        log_out.first = (log_out.first + 1) % SAY_LINES_MAX;
        log_out.count--;
    }
    *dropped_out = log_out.dropped;
    log_out.dropped = 0;
    return len;
}

static void *writer_main(void *arg)
{
    (void)arg;
    static char gathered[(GATHER_LINES + 1) * SAY_LINE_BYTES_MAX];    /* one writer exists at a time */
    pthread_setname_np(pthread_self(), "say");
    for (;;) {
        pthread_mutex_lock(&log_out.mutex);
        while (log_out.open && log_out.count == 0)
            pthread_cond_wait(&log_out.changed, &log_out.mutex);
        uint64_t dropped;
        size_t len = take_lines(gathered, &dropped);
        pthread_mutex_unlock(&log_out.mutex);
        if (len == 0 && dropped == 0) return NULL;    /* stopped, and all is out */
        if (dropped > 0) {
            struct line line;
            line_make(&line, SAY_WARN, "lines_dropped", "count=%llu", (unsigned long long)dropped);
            memcpy(gathered + len, line.at, line.len);
            len += line.len;
        }
        write_all(log_out.fd, gathered, len);
    }
}

/* ---- start and stop ---- */

int say_start(int fd, enum say_level level)
{
    struct line *ring = calloc(SAY_LINES_MAX, sizeof *ring);
    if (!ring) return ERR_NOMEM;
    pthread_mutex_lock(&log_out.mutex);
    log_out.ring = ring;
    log_out.first = log_out.count = 0;
    log_out.dropped = 0;
    log_out.fd = fd;
    bool open = pthread_create(&log_out.thread, NULL, writer_main, NULL) == 0;
    log_out.open = open;
    if (open) atomic_store(&log_out.level, (int)level);
    else log_out.ring = NULL;
    pthread_mutex_unlock(&log_out.mutex);
    if (open) return 0;
    free(ring);
    return ERR_NOMEM;
}

void say_stop(void)
{
    pthread_mutex_lock(&log_out.mutex);
    bool was_open = log_out.open;
    log_out.open = false;
    atomic_store(&log_out.level, LEVEL_NONE);
    pthread_cond_signal(&log_out.changed);
    pthread_mutex_unlock(&log_out.mutex);
    if (!was_open) return;
    pthread_join(log_out.thread, NULL);
    free(log_out.ring);
    log_out.ring = NULL;
}
