/* say.c - lines wait in a ring of fixed cells; one thread writes them out.
 *
 *   any thread: format on its own stack ──copy under the mutex──> ring ──copy──> the writer's buffer ──write──> fd
 *
 * The mutex is held for counting a line and copying it in, or a few out, never while anything is written, nor
 * formatted, but for the line that tells a count. When the ring is full the line is counted instead, and the writer
 * says with its next write how many were lost.
 *
 * Each event has a row that counts its lines of this second. A line over the limit is counted and gone. When the
 * second is over, the next line of the event, or the writer, which wakes for it, says how many were left out: so the
 * count comes though no line of the event ever comes again. */
#include "server/core/say.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/err.h"
#include "server/core/clock.h"
#include "server/core/say_line.h"

enum {
    GATHER_LINES = 16,    /* to one write: enough to be cheap, few enough to copy under the mutex */
    LEVEL_NONE = -1,
    WINDOW_MS = 1000,
};

struct event_row {
    const char *event;              /* NULL: free. A constant, so it stays */
    enum say_level level;           /* of the last line left out */
    uint64_t since_ms;              /* monotonic: when its window began */
    uint32_t count;                 /* lines in it */
    uint64_t suppressed;            /* since that was last said */
};

static struct {
    pthread_mutex_t mutex;          /* guards all up to `thread` */
    pthread_cond_t changed;         /* made by say_start(), with the monotonic clock */
    bool open;                      /* from say_start() to say_stop() */
    struct say_line *ring;          /* SAY_LINES_MAX of them */
    uint32_t first, count;          /* what waits in it */
    uint64_t dropped;               /* since the writer last said so */
    struct event_row rows[SAY_EVENTS_MAX + 1];   /* by hash, open; the last is shared by who found none */
    uint32_t rows_suppressed;       /* with something to say */
    uint32_t rate_max;
    pthread_t thread;
    int fd;                         /* fixed while open, as the next two */
    bool is_journal;
    const struct clock *clock;
    _Atomic int level;              /* LEVEL_NONE while not open: nothing is even formatted */
    _Atomic int format;
} log_out = { .mutex = PTHREAD_MUTEX_INITIALIZER, .level = LEVEL_NONE };

/* ---- a line ---- */

bool say_wants(enum say_level level)
{
    return (int)level <= atomic_load_explicit(&log_out.level, memory_order_relaxed);
}

static void make_line(struct say_line *line, enum say_level level, const char *event, const struct say_field *fields)
{
    struct say_form form = { (enum say_format)atomic_load(&log_out.format), log_out.is_journal };
    say_line_make(line, form, log_out.clock->wall_ms(log_out.clock->self), level, event, fields);
}

/* ---- under the mutex ---- */

static void put_in_ring(const struct say_line *line)
{
    if (log_out.count == SAY_LINES_MAX) {
        log_out.dropped++;
        return;
    }
    struct say_line *cell = &log_out.ring[(log_out.first + log_out.count) % SAY_LINES_MAX];
    cell->len = line->len;
    memcpy(cell->at, line->at, line->len);
    log_out.count++;
}

static struct event_row *find_row(const char *event)
{
    uint32_t hash = 2166136261u;                         /* FNV-1a */
    for (const char *c = event; *c; c++) hash = (hash ^ (unsigned char)*c) * 16777619u;
    for (uint32_t i = 0; i < SAY_EVENTS_MAX; i++) {
        struct event_row *row = &log_out.rows[(hash + i) % SAY_EVENTS_MAX];
        if (!row->event) row->event = event;
        if (row->event == event || strcmp(row->event, event) == 0) return row;
    }
    struct event_row *shared = &log_out.rows[SAY_EVENTS_MAX];
    shared->event = "others";
    return shared;
}

/* What a row has left out, as a line; the row begins anew. */
static void take_suppressed(struct event_row *row, struct say_line *line)
{
    make_line(line, row->level, "lines_suppressed",
              (const struct say_field[]){ SAY_TEXT("of", row->event), SAY_U64("count", row->suppressed), { 0 } });
    row->suppressed = 0;
    log_out.rows_suppressed--;
}

/* May a line of this event be written now? A line that tells what was left out before goes into the ring. */
static bool count_line(const char *event, enum say_level level, uint64_t now_ms)
{
    struct event_row *row = find_row(event);
    if (now_ms - row->since_ms >= WINDOW_MS) {
        struct say_line line;
        if (row->suppressed) {
            take_suppressed(row, &line);
            put_in_ring(&line);
        }
        row->since_ms = now_ms;
        row->count = 0;
    }
    if (log_out.rate_max == 0 || row->count++ < log_out.rate_max) return true;
    if (row->suppressed++ == 0) log_out.rows_suppressed++;
    row->level = level;
    return false;
}

void say_event(enum say_level level, const char *event, const struct say_field *fields)
{
    struct say_line line;
    if (!say_wants(level)) return;
    uint64_t now_ms = log_out.clock->mono_us(log_out.clock->self) / 1000;
    make_line(&line, level, event, fields);
    pthread_mutex_lock(&log_out.mutex);
    if (log_out.open) {
        uint32_t owed = log_out.rows_suppressed;
        bool may = count_line(event, level, now_ms);
        if (may) put_in_ring(&line);
        /* A first line left out sets the writer's clock; it need not hear of the thousand after it. */
        if (may || log_out.rows_suppressed != owed) pthread_cond_signal(&log_out.changed);
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
        const struct say_line *line = &log_out.ring[log_out.first];
        memcpy(to + len, line->at, line->len);
        len += line->len;
        log_out.first = (log_out.first + 1) % SAY_LINES_MAX;
        log_out.count--;
    }
    *dropped_out = log_out.dropped;
    log_out.dropped = 0;
    return len;
}

/* Under the mutex: what rows have left out whose second is over (all of them, at the end) goes into the ring. Returns
 * ms until the next is due. */
static uint64_t settle_rows(void)
{
    uint64_t now_ms = log_out.clock->mono_us(log_out.clock->self) / 1000, next_ms = WINDOW_MS;
    for (uint32_t i = 0; i <= SAY_EVENTS_MAX && log_out.rows_suppressed > 0; i++) {
        struct event_row *row = &log_out.rows[i];
        uint64_t age_ms = now_ms - row->since_ms;
        struct say_line line;
        if (!row->suppressed) continue;
        if (log_out.open && age_ms < WINDOW_MS) {
            if (WINDOW_MS - age_ms < next_ms) next_ms = WINDOW_MS - age_ms;
        } else if (log_out.count < SAY_LINES_MAX) {
            take_suppressed(row, &line);
            put_in_ring(&line);
        }
    }
    return next_ms;
}

/* Under the mutex: until there is a line, a count to tell, or the end. */
static void wait_for_lines(void)
{
    for (;;) {
        uint64_t wait_ms = settle_rows();
        struct timespec until;
        if (log_out.count > 0 || !log_out.open) return;
        if (log_out.rows_suppressed == 0) {
            pthread_cond_wait(&log_out.changed, &log_out.mutex);
            continue;
        }
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)(wait_ms * 1000000);
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&log_out.changed, &log_out.mutex, &until);
    }
}

static void *writer_main(void *arg)
{
    (void)arg;
    static char gathered[(GATHER_LINES + 1) * SAY_LINE_BYTES_MAX];    /* one writer exists at a time */
    pthread_setname_np(pthread_self(), "say");
    for (;;) {
        pthread_mutex_lock(&log_out.mutex);
        wait_for_lines();
        uint64_t dropped;
        size_t len = take_lines(gathered, &dropped);
        pthread_mutex_unlock(&log_out.mutex);
        if (len == 0 && dropped == 0) return NULL;    /* stopped, and all is out */
        if (dropped > 0) {
            struct say_line line;
            make_line(&line, SAY_WARN, "lines_dropped",
                      (const struct say_field[]){ SAY_U64("count", dropped), { 0 } });
            memcpy(gathered + len, line.at, line.len);
            len += line.len;
        }
        write_all(log_out.fd, gathered, len);
    }
}

/* ---- start and stop ---- */

void say_set(const struct say_settings *settings)
{
    pthread_mutex_lock(&log_out.mutex);
    log_out.rate_max = settings->rate_max;
    if (log_out.open) {
        atomic_store(&log_out.format, (int)settings->format);
        atomic_store(&log_out.level, (int)settings->level);
    }
    pthread_mutex_unlock(&log_out.mutex);
}

int say_start(const struct say_options *options)
{
    pthread_condattr_t attr;
    struct say_line *ring = calloc(SAY_LINES_MAX, sizeof *ring);
    if (!ring) return ERR_NOMEM;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_lock(&log_out.mutex);
    pthread_cond_init(&log_out.changed, &attr);
    log_out.ring = ring;
    log_out.first = log_out.count = 0;
    log_out.dropped = 0;
    log_out.rows_suppressed = 0;
    memset(log_out.rows, 0, sizeof log_out.rows);
    log_out.fd = options->fd;
    log_out.is_journal = options->is_journal;
    log_out.clock = options->clock ? options->clock : clock_real();
    log_out.open = true;
    if (pthread_create(&log_out.thread, NULL, writer_main, NULL) != 0) {
        log_out.open = false;
        log_out.ring = NULL;
        pthread_cond_destroy(&log_out.changed);
    }
    bool open = log_out.open;
    pthread_mutex_unlock(&log_out.mutex);
    pthread_condattr_destroy(&attr);
    if (open) say_set(&options->settings);
    else free(ring);
    return open ? 0 : ERR_NOMEM;
}

void say_stop(void)
{
    pthread_mutex_lock(&log_out.mutex);
    bool was_open = log_out.open;
    log_out.open = false;
    atomic_store(&log_out.level, LEVEL_NONE);
    if (was_open) pthread_cond_signal(&log_out.changed);
    pthread_mutex_unlock(&log_out.mutex);
    if (!was_open) return;
    pthread_join(log_out.thread, NULL);
    pthread_cond_destroy(&log_out.changed);
    free(log_out.ring);
    log_out.ring = NULL;
}

/* JOURNAL_STREAM is "DEVICE:INODE" of the socket that systemd connected (systemd.exec(5)): a child whose output goes
 * somewhere else inherits the variable all the same. */
bool say_is_journal(int fd, const char *stream)
{
    struct stat st;
    char text[64];
    if (!stream || fstat(fd, &st) != 0) return false;
    snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    return strcmp(stream, text) == 0;
}
