/* say.h - log lines of the server: `time level event key=value …`, one an event.
 *
 * Written into a bounded ring of lines and put out by a thread of its own, so that a slow terminal or a full disk
 * never stops a shard; what did not fit is counted and said. Never a message's content, never a token.
 * Thread: any. Levels: error, warn, info, debug; default info. */
#ifndef PIPIT_CORE_SAY_H
#define PIPIT_CORE_SAY_H

enum say_level { SAY_ERROR, SAY_WARN, SAY_INFO, SAY_DEBUG };
enum { SAY_LINE_BYTES_MAX = 512, SAY_LINES_MAX = 1024 };

int say_start(int fd, enum say_level level);     /* before any thread; 0 or ERR_NOMEM */
void say_stop(void);                             /* writes what is left; later lines are dropped */
/* say(SAY_INFO, "listening", "address=%s shards=%u", …). `event` is a constant word. Values with spaces are the
 * caller's to quote ("why=\"%s\""); control characters are replaced. */
void say(enum say_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
