/* test_say.c - log lines: their form, what is kept out of them, and that nobody waits for whoever reads them.
 *
 * Lines are read back from a pipe, by a thread of the test where more are said than a pipe holds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/core/clock.h"
#include "server/core/say.h"

/* ---- reading back ---- */

struct sink {
    int fd[2];                /* [1] is given to say_start() */
    pthread_t reader;
    char *text;               /* all that came, NUL at the end; the reader's until sink_close() */
    size_t len;
};

static void *sink_read(void *arg)
{
    struct sink *sink = arg;
    size_t cap = 0;
    for (;;) {
        if (sink->len + 4096 > cap) {
            cap = 2 * cap + 8192;
            sink->text = realloc(sink->text, cap);
            if (!sink->text) abort();
        }
        ssize_t n = read(sink->fd[0], sink->text + sink->len, 4095);
        if (n <= 0) break;
        sink->len += (size_t)n;
    }
    sink->text[sink->len] = '\0';
    return NULL;
}

static void sink_open(struct sink *sink, enum say_level level)
{
    memset(sink, 0, sizeof *sink);
    assert_int_equal(pipe(sink->fd), 0);
    assert_int_equal(say_start(sink->fd[1], level), 0);
}

static void sink_begin_to_read(struct sink *sink)
{
    assert_int_equal(pthread_create(&sink->reader, NULL, sink_read, sink), 0);
}

/* Stop saying; all that was said is in sink->text. */
static void sink_close(struct sink *sink)
{
    say_stop();
    close(sink->fd[1]);
    pthread_join(sink->reader, NULL);
    close(sink->fd[0]);
}

/* What follows the time, which is checked for its form: 2024-01-31T12:00:00.000Z and a space. */
enum { TIME_LEN = 25 };

static const char *after_time(const char *line)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ ";
    for (int i = 0; i < TIME_LEN; i++) {
        if (form[i] == 'd') assert_in_range(line[i], '0', '9');
        else assert_int_equal(line[i], form[i]);
    }
    return line + TIME_LEN;
}

/* ---- the form of a line ---- */

static void a_line_is_time_level_event_and_values(void **state)
{
    (void)state;
    struct sink sink;
    sink_open(&sink, SAY_DEBUG);
    sink_begin_to_read(&sink);
    say(SAY_INFO, "listening", "address=%s shards=%u", "127.0.0.1:8700", 4u);
    say(SAY_ERROR, "a", "b=%d", 1);
    say(SAY_WARN, "a", "b=%d", 2);
    say(SAY_DEBUG, "a", "b=%d", 3);
    say(SAY_INFO, "ready", "%s", "");
    sink_close(&sink);
    static const char *const expected[] = {
        "info listening address=127.0.0.1:8700 shards=4", "error a b=1", "warn a b=2", "debug a b=3", "info ready ",
    };
    char *rest = sink.text;
    for (int i = 0; i < 5; i++) {
        char *line = strsep(&rest, "\n");
        assert_non_null(rest);
        assert_string_equal(after_time(line), expected[i]);
    }
    assert_string_equal(rest, "");
    free(sink.text);
}

static void the_time_is_utc_and_that_of_the_real_clock(void **state)
{
    (void)state;
    struct sink sink;
    sink_open(&sink, SAY_INFO);
    sink_begin_to_read(&sink);
    setenv("TZ", "Asia/Kathmandu", 1);    /* five hours and three quarters from UTC */
    uint64_t before_ms = clock_real()->wall_ms(NULL);
    say(SAY_INFO, "now", "x=%d", 1);
    uint64_t after_ms = clock_real()->wall_ms(NULL);
    sink_close(&sink);
    struct tm t = { 0 };
    unsigned ms;
    assert_int_equal(sscanf(sink.text, "%d-%d-%dT%d:%d:%d.%uZ", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour,
                            &t.tm_min, &t.tm_sec, &ms), 7);
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    uint64_t told_ms = (uint64_t)timegm(&t) * 1000 + ms;
    assert_true(told_ms >= before_ms && told_ms <= after_ms);
    free(sink.text);
}

static void levels_below_the_chosen_one_are_not_written(void **state)
{
    (void)state;
    struct sink sink;
    sink_open(&sink, SAY_WARN);
    sink_begin_to_read(&sink);
    say(SAY_INFO, "no", "x=%d", 1);
    say(SAY_DEBUG, "no", "x=%d", 1);
    say(SAY_WARN, "yes", "x=%d", 1);
    sink_close(&sink);
    assert_string_equal(after_time(sink.text), "warn yes x=1\n");
    free(sink.text);
}

static void what_a_peer_sent_cannot_make_a_line_or_speak_to_the_terminal(void **state)
{
    (void)state;
    struct sink sink;
    sink_open(&sink, SAY_INFO);
    sink_begin_to_read(&sink);
    say(SAY_INFO, "agent", "name=\"%s\"", "x\n2030 error forged\r\t\x1b[2J\x7f\xc2\x9b" "31m caf\xc3\xa9");
    sink_close(&sink);
    /* One mark for each byte replaced: newline; return, tab, escape; DEL and the two of U+009B. (Written apart, or C
     * would read some of them as trigraphs.) */
    assert_string_equal(after_time(sink.text),
                        "info agent name=\"x?2030 error forged?" "?" "?" "[2J?" "?" "?" "31m caf\xc3\xa9\"\n");
    free(sink.text);
}

static void a_line_too_long_is_cut_between_characters_and_shows_it(void **state)
{
    (void)state;
    char text[2 * SAY_LINE_BYTES_MAX];
    for (size_t i = 0; i + 1 < sizeof text; i += 2) memcpy(text + i, "\xc3\xa9", 2);
    text[sizeof text - 1] = text[sizeof text - 2] = '\0';
    /* The cut falls on either byte of a character. */
    for (int shift = 0; shift < 2; shift++) {
        struct sink sink;
        sink_open(&sink, SAY_INFO);
        sink_begin_to_read(&sink);
        say(SAY_INFO, "long", "%s%s", shift ? "x" : "", text);
        sink_close(&sink);
        assert_in_range(sink.len, SAY_LINE_BYTES_MAX - 2, SAY_LINE_BYTES_MAX);
        assert_string_equal(sink.text + sink.len - 4, "...\n");
        size_t at = (size_t)(after_time(sink.text) - sink.text) + strlen("info long ") + (size_t)shift;
        for (; at < sink.len - 4; at += 2) assert_memory_equal(sink.text + at, "\xc3\xa9", 2);
        assert_int_equal(at, sink.len - 4);
        free(sink.text);
    }
}

static void a_line_that_just_fits_is_whole(void **state)
{
    (void)state;
    char text[SAY_LINE_BYTES_MAX];
    size_t fits = SAY_LINE_BYTES_MAX - 1 - TIME_LEN - strlen("info long ");    /* the newline counts */
    memset(text, 'x', sizeof text);
    for (size_t over = 0; over < 2; over++) {
        struct sink sink;
        sink_open(&sink, SAY_INFO);
        sink_begin_to_read(&sink);
        say(SAY_INFO, "long", "%.*s", (int)(fits + over), text);
        sink_close(&sink);
        assert_int_equal(sink.len, SAY_LINE_BYTES_MAX);
        assert_int_equal(strstr(sink.text, "...") != NULL, over);
        free(sink.text);
    }
}

/* ---- nobody waits ---- */

/* With no reader the pipe fills, then the ring, and say() still returns: this test ends only because it does. */
static void lines_that_do_not_fit_are_counted_and_the_count_is_said(void **state)
{
    (void)state;
    enum { SAID = 20000 };
    struct sink sink;
    sink_open(&sink, SAY_INFO);
    for (int i = 0; i < SAID; i++) say(SAY_INFO, "line", "number=%d", i);
    sink_begin_to_read(&sink);
    sink_close(&sink);
    int written = 0, dropped = 0, last = -1;
    char *rest = sink.text;
    for (char *line; (line = strsep(&rest, "\n")) && rest;) {
        int n;
        const char *what = after_time(line);
        if (sscanf(what, "info line number=%d", &n) == 1) {
            assert_true(n > last);
            last = n;
            written++;
        } else {
            assert_int_equal(sscanf(what, "warn lines_dropped count=%d", &n), 1);
            dropped += n;
        }
    }
    assert_true(dropped > 0);
    assert_true(written >= SAY_LINES_MAX);
    assert_int_equal(written + dropped, SAID);
    free(sink.text);
}

static void *say_many(void *arg)
{
    for (int i = 0; i < 200; i++) say(SAY_INFO, "from", "thread=%d number=%d", *(int *)arg, i);
    return NULL;
}

static void lines_of_many_threads_stay_whole_and_in_each_ones_order(void **state)
{
    (void)state;
    enum { THREADS = 4 };    /* 800 lines: the ring holds them all */
    struct sink sink;
    pthread_t thread[THREADS];
    int id[THREADS], next[THREADS] = { 0 };
    sink_open(&sink, SAY_INFO);
    sink_begin_to_read(&sink);
    for (int i = 0; i < THREADS; i++) {
        id[i] = i;
        assert_int_equal(pthread_create(&thread[i], NULL, say_many, &id[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    sink_close(&sink);
    char *rest = sink.text;
    for (char *line; (line = strsep(&rest, "\n")) && rest;) {
        int t, n;
        assert_int_equal(sscanf(after_time(line), "info from thread=%d number=%d", &t, &n), 2);
        assert_in_range(t, 0, THREADS - 1);
        assert_int_equal(n, next[t]);
        next[t]++;
    }
    for (int i = 0; i < THREADS; i++) assert_int_equal(next[i], 200);
    free(sink.text);
}

static void a_descriptor_that_does_not_wait_gets_every_line_too(void **state)
{
    (void)state;
    enum { SAID = 1000 };    /* more than 32 KiB, within the ring */
    struct sink sink;
    sink_open(&sink, SAY_INFO);
    assert_int_equal(fcntl(sink.fd[1], F_SETFL, O_NONBLOCK), 0);
    fcntl(sink.fd[1], F_SETPIPE_SZ, 4096);
    for (int i = 0; i < SAID; i++) say(SAY_INFO, "line", "number=%d", i);
    sink_begin_to_read(&sink);
    sink_close(&sink);
    int lines = 0;
    for (const char *at = sink.text; (at = strchr(at, '\n')); at++) lines++;
    assert_int_equal(lines, SAID);
    free(sink.text);
}

/* ---- before and after ---- */

static void before_the_start_and_after_the_stop_nothing_is_said(void **state)
{
    (void)state;
    struct sink sink;
    say(SAY_ERROR, "early", "x=%d", 1);
    sink_open(&sink, SAY_INFO);
    sink_begin_to_read(&sink);
    say(SAY_ERROR, "between", "x=%d", 1);
    sink_close(&sink);
    say(SAY_ERROR, "late", "x=%d", 1);
    say_stop();    /* twice is harmless */
    assert_string_equal(after_time(sink.text), "error between x=1\n");
    free(sink.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_time_level_event_and_values),
        cmocka_unit_test(the_time_is_utc_and_that_of_the_real_clock),
        cmocka_unit_test(levels_below_the_chosen_one_are_not_written),
        cmocka_unit_test(what_a_peer_sent_cannot_make_a_line_or_speak_to_the_terminal),
        cmocka_unit_test(a_line_too_long_is_cut_between_characters_and_shows_it),
        cmocka_unit_test(a_line_that_just_fits_is_whole),
        cmocka_unit_test(lines_that_do_not_fit_are_counted_and_the_count_is_said),
        cmocka_unit_test(lines_of_many_threads_stay_whole_and_in_each_ones_order),
        cmocka_unit_test(a_descriptor_that_does_not_wait_gets_every_line_too),
        cmocka_unit_test(before_the_start_and_after_the_stop_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
