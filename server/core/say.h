/* say.h - log lines of the server: one an event, its values by name.
 *
 *     say(SAY_INFO, "login", SAY_TEXT("user", user), SAY_CONN(conn_id(conn)));
 *
 *     2026-01-31T12:00:00.000Z info login user=alice conn=a3f9c.1.2f
 *     {"time":"2026-01-31T12:00:00.000Z","level":"info","event":"login","user":"alice","conn":"a3f9c.1.2f"}
 *
 * An event is a constant word, a name of a value too; neither is "time", "level", "event" or "cut". Values may be a
 * peer's words: whatever they are, the line stays one line, and JSON stays JSON (say_line.c). Never a message's
 * content, never a token or a password.
 *
 * Lines go into a bounded ring and are put out by a thread of their own, so that a slow terminal or a full disk never
 * stops a shard; what did not fit is counted and said (lines_dropped). Of one event no more than a number of lines are
 * written in a second, so that nobody can fill a disk from outside; the others are counted and said when the second is
 * over (lines_suppressed).
 * Thread: any. */
#ifndef PIPIT_CORE_SAY_H
#define PIPIT_CORE_SAY_H

#include <stdbool.h>
#include <stdint.h>

struct clock;

enum say_level { SAY_ERROR, SAY_WARN, SAY_INFO, SAY_DEBUG };
enum say_format { SAY_AS_TEXT, SAY_AS_JSON };
enum {
    SAY_LINE_BYTES_MAX = 1024,           /* with its newline; a longer one is cut, and shows it */
    SAY_LINES_MAX = 1024,                /* in the ring: 1 MiB, of which the kernel gives what is used */
    SAY_EVENTS_MAX = 128,                /* counted one by one; what is more shares one count */
};

enum say_kind { SAY_KIND_END, SAY_KIND_TEXT, SAY_KIND_U64, SAY_KIND_I64, SAY_KIND_CONN };
struct say_field {
    const char *name;                    /* NULL: no more */
    uint8_t kind;
    union { const char *text; uint64_t number; int64_t signed_number; } u;
};
#define SAY_TEXT(name, value) { name, SAY_KIND_TEXT, { .text = (value) } }              /* NULL is "" */
#define SAY_U64(name, value)  { name, SAY_KIND_U64, { .number = (value) } }
#define SAY_I64(name, value)  { name, SAY_KIND_I64, { .signed_number = (value) } }
/* A connection's id as people see it, under the name `conn`: run, shard, count, as a3f9c.1.2f. Who greps for it finds
 * all that was said of that connection and its session, on whatever shard. */
#define SAY_CONN(id)          { "conn", SAY_KIND_CONN, { .number = (id) } }
enum { SAY_CONN_RUN_SHIFT = 44, SAY_CONN_SHARD_SHIFT = 36 };     /* of an id: 20 bits, 8 bits, 36 bits */

/* Nothing behind `level` is evaluated when its lines are not written. At least one field. */
#define say(level, event, ...)                                                                          \
    do {                                                                                                \
        if (say_wants(level)) {                                                                         \
            say_event(level, event, (const struct say_field[]){ __VA_ARGS__, { 0, SAY_KIND_END, { 0 } } }); \
        }                                                                                               \
    } while (0)
bool say_wants(enum say_level level);
void say_event(enum say_level level, const char *event, const struct say_field *fields);

/* What may change while it runs. */
struct say_settings {
    enum say_level level;
    enum say_format format;
    uint32_t rate_max;                   /* lines of one event in a second; 0: no limit */
};
struct say_options {
    int fd;
    struct say_settings settings;
    bool is_journal;                     /* text without time, with the level as the journal wants it: "<6>info …" */
    const struct clock *clock;           /* NULL: the real one */
};
int say_start(const struct say_options *options);        /* before any thread; 0 or ERR_NOMEM */
void say_set(const struct say_settings *settings);
void say_stop(void);                                     /* writes what is left; later lines are dropped */

/* Does `fd` go to systemd's journal? `stream` is the variable JOURNAL_STREAM, or NULL. */
bool say_is_journal(int fd, const char *stream);

#endif
