/* test_say.c - log lines: which are written, how many, and that nobody waits for whoever reads them.
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
#include <sys/stat.h>
#include <time.h>
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

static void sink_open_with(struct sink *sink, struct say_settings settings, const struct clock *clock)
{
    memset(sink, 0, sizeof *sink);
    assert_int_equal(pipe(sink->fd), 0);
    assert_int_equal(say_start(&(struct say_options){ sink->fd[1], settings, false, clock }), 0);
}

static void sink_open(struct sink *sink, enum say_level level)
{
    sink_open_with(sink, (struct say_settings){ level, SAY_AS_TEXT, 0 }, NULL);
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

/* ---- what is written ---- */

static void a_line_is_written_with_its_time_level_event_and_values(void **state)
{
    (void)state;
    struct sink sink;
    sink_open(&sink, SAY_DEBUG);
    sink_begin_to_read(&sink);
    say(SAY_INFO, "listening", SAY_TEXT("address", "127.0.0.1:8700"), SAY_U64("shards", 4));
    say(SAY_ERROR, "a", SAY_I64("b", -1));
    say(SAY_WARN, "a", SAY_I64("b", 2));
    say(SAY_DEBUG, "a", SAY_I64("b", 3));
    sink_close(&sink);
    static const char *const expected[] = {
        "info listening address=127.0.0.1:8700 shards=4", "error a b=-1", "warn a b=2", "debug a b=3",
    };
    char *rest = sink.text;
    for (int i = 0; i < 4; i++) {
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
    say(SAY_INFO, "now", SAY_U64("x", 1));
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

static int evaluated;

static uint64_t evaluate(void)
{
    return (uint64_t)++evaluated;
}

static void levels_below_the_chosen_one_are_neither_written_nor_evaluated(void **state)
{
    (void)state;
    struct sink sink;
    sink_open(&sink, SAY_WARN);
    sink_begin_to_read(&sink);
    say(SAY_INFO, "no", SAY_U64("x", evaluate()));
    say(SAY_DEBUG, "no", SAY_U64("x", evaluate()));
    say(SAY_WARN, "yes", SAY_U64("x", evaluate()));
    sink_close(&sink);
    assert_string_equal(after_time(sink.text), "warn yes x=1\n");
    assert_int_equal(evaluated, 1);
    free(sink.text);
}

static void level_and_form_change_while_it_runs(void **state)
{
    (void)state;
    struct sink sink;
    sink_open(&sink, SAY_WARN);
    sink_begin_to_read(&sink);
    say(SAY_INFO, "no", SAY_U64("x", 1));
    say_set(&(struct say_settings){ SAY_INFO, SAY_AS_JSON, 0 });
    say(SAY_INFO, "yes", SAY_U64("x", 2));
    sink_close(&sink);
    assert_non_null(strstr(sink.text, "\"event\":\"yes\",\"x\":2}\n"));
    assert_int_equal(sink.text[0], '{');
    free(sink.text);
}

/* ---- how many ---- */

static void of_one_event_so_many_lines_are_written_in_a_second_and_the_others_counted(void **state)
{
    (void)state;
    struct sink sink;
    struct clock_hand hand;
    clock_hand_init(&hand, 1700000000000);
    sink_open_with(&sink, (struct say_settings){ SAY_INFO, SAY_AS_TEXT, 3 }, &hand.clock);
    sink_begin_to_read(&sink);
    for (int i = 0; i < 10; i++) say(SAY_INFO, "flood", SAY_I64("number", i));
    say(SAY_INFO, "other", SAY_U64("x", 1));
    clock_hand_advance(&hand, 999);
    say(SAY_INFO, "flood", SAY_I64("number", 10));
    clock_hand_advance(&hand, 1);
    say(SAY_INFO, "flood", SAY_I64("number", 11));
    sink_close(&sink);
    static const char *const expected[] = {
        "info flood number=0", "info flood number=1", "info flood number=2", "info other x=1",
        "info lines_suppressed of=flood count=8", "info flood number=11",
    };
    char *rest = sink.text;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        char *line = strsep(&rest, "\n");
        assert_non_null(rest);
        assert_string_equal(after_time(line), expected[i]);
    }
    assert_string_equal(rest, "");
    free(sink.text);
}

/* The read below ends only when the line comes by itself. */
static void the_count_is_said_though_the_event_never_comes_again(void **state)
{
    (void)state;
    struct sink sink;
    char text[4096];
    size_t len = 0;
    sink_open_with(&sink, (struct say_settings){ SAY_INFO, SAY_AS_TEXT, 1 }, NULL);
    for (int i = 0; i < 5; i++) say(SAY_WARN, "flood", SAY_I64("number", i));
    do {
        ssize_t n = read(sink.fd[0], text + len, sizeof text - 1 - len);
        assert_true(n > 0);
        len += (size_t)n;
        text[len] = '\0';
    } while (!strstr(text, " lines_suppressed ") || text[len - 1] != '\n');
    assert_non_null(strstr(text, "warn lines_suppressed of=flood count=4\n"));
    sink_begin_to_read(&sink);
    sink_close(&sink);
    assert_string_equal(sink.text, "");
    free(sink.text);
}

static void what_is_still_to_be_counted_is_said_at_the_end(void **state)
{
    (void)state;
    struct sink sink;
    struct clock_hand hand;
    clock_hand_init(&hand, 1700000000000);
    sink_open_with(&sink, (struct say_settings){ SAY_INFO, SAY_AS_TEXT, 1 }, &hand.clock);
    sink_begin_to_read(&sink);
    for (int i = 0; i < 3; i++) say(SAY_INFO, "flood", SAY_I64("number", i));
    sink_close(&sink);
    assert_non_null(strstr(sink.text, "info lines_suppressed of=flood count=2\n"));
    free(sink.text);
}

/* More events than have a row of their own: they share one, and none goes without a limit. */
static void more_events_than_are_counted_apart_share_one_count(void **state)
{
    (void)state;
    enum { EVENTS = SAY_EVENTS_MAX + 10 };
    static char names[EVENTS][24];
    struct sink sink;
    struct clock_hand hand;
    clock_hand_init(&hand, 1700000000000);
    sink_open_with(&sink, (struct say_settings){ SAY_INFO, SAY_AS_TEXT, 1 }, &hand.clock);
    sink_begin_to_read(&sink);
    for (int i = 0; i < EVENTS; i++) {
        snprintf(names[i], sizeof names[i], "event%d", i);
        say(SAY_INFO, names[i], SAY_I64("number", i));
    }
    sink_close(&sink);
    int lines = 0;
    for (const char *at = sink.text; (at = strchr(at, '\n')); at++) lines++;
    assert_int_equal(lines, SAY_EVENTS_MAX + 2);
    assert_non_null(strstr(sink.text, "info lines_suppressed of=others count=9\n"));
    free(sink.text);
}

/* ---- the journal ---- */

static void the_journal_is_known_by_device_and_inode(void **state)
{
    (void)state;
    int fd[2];
    struct stat st;
    char stream[64];
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(fstat(fd[1], &st), 0);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    assert_true(say_is_journal(fd[1], stream));
    assert_false(say_is_journal(STDIN_FILENO, stream));
    assert_false(say_is_journal(fd[1], NULL));
    assert_false(say_is_journal(fd[1], ""));
    assert_false(say_is_journal(fd[1], "8:1"));
    close(fd[0]);
    close(fd[1]);
    assert_false(say_is_journal(fd[1], stream));
}

/* ---- nobody waits ---- */

/* With no reader the pipe fills, then the ring, and say() still returns: this test ends only because it does. */
static void lines_that_do_not_fit_are_counted_and_the_count_is_said(void **state)
{
    (void)state;
    enum { SAID = 20000 };
    struct sink sink;
    sink_open(&sink, SAY_INFO);
    for (int i = 0; i < SAID; i++) say(SAY_INFO, "line", SAY_I64("number", i));
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
    for (int i = 0; i < 200; i++) say(SAY_INFO, "from", SAY_I64("thread", *(int *)arg), SAY_I64("number", i));
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
    for (int i = 0; i < SAID; i++) say(SAY_INFO, "line", SAY_I64("number", i));
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
    say(SAY_ERROR, "early", SAY_U64("x", 1));
    sink_open(&sink, SAY_INFO);
    sink_begin_to_read(&sink);
    say(SAY_ERROR, "between", SAY_U64("x", 1));
    sink_close(&sink);
    say(SAY_ERROR, "late", SAY_U64("x", 1));
    say_set(&(struct say_settings){ SAY_DEBUG, SAY_AS_TEXT, 0 });
    say(SAY_ERROR, "late", SAY_U64("x", 1));
    say_stop();    /* twice is harmless */
    assert_string_equal(after_time(sink.text), "error between x=1\n");
    free(sink.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_written_with_its_time_level_event_and_values),
        cmocka_unit_test(the_time_is_utc_and_that_of_the_real_clock),
        cmocka_unit_test(levels_below_the_chosen_one_are_neither_written_nor_evaluated),
        cmocka_unit_test(level_and_form_change_while_it_runs),
        cmocka_unit_test(of_one_event_so_many_lines_are_written_in_a_second_and_the_others_counted),
        cmocka_unit_test(the_count_is_said_though_the_event_never_comes_again),
        cmocka_unit_test(what_is_still_to_be_counted_is_said_at_the_end),
        cmocka_unit_test(more_events_than_are_counted_apart_share_one_count),
        cmocka_unit_test(the_journal_is_known_by_device_and_inode),
        cmocka_unit_test(lines_that_do_not_fit_are_counted_and_the_count_is_said),
        cmocka_unit_test(lines_of_many_threads_stay_whole_and_in_each_ones_order),
        cmocka_unit_test(a_descriptor_that_does_not_wait_gets_every_line_too),
        cmocka_unit_test(before_the_start_and_after_the_stop_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
