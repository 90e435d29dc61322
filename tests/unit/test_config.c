/* test_config.c - every setting has bounds, each source goes over the one before, and whatever is wrong is named: all
 * of it, with file, line, key and what is allowed. Whole files are tests/config, tried through the program by
 * test_settings.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server/config.h"
#include "server/core/core.h"

static char why[CONFIG_WHY_MAX];

/* ---- loading from texts ---- */

struct loaded {
    struct config config;
    struct config_source sources[CONFIG_KEYS];
    struct config_problems problems;
    char path[64];
    struct config_input input;
    int err;
    char text[65536];                    /* of the problems */
};

static struct loaded *load(const char *file, char *const *environment, const struct config_flag *flags, uint32_t count)
{
    static struct loaded l;
    config_problems_init(&l.problems);
    strcpy(l.path, "/tmp/pipit-config-XXXXXX");
    int fd = mkstemp(l.path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, file, strlen(file)), strlen(file));
    close(fd);
    l.input = (struct config_input){ l.path, environment, flags, count };
    l.err = config_load(&l.input, &l.config, l.sources, &l.problems);
    unlink(l.path);
    struct bytes text = buf_bytes(&l.problems.text);
    snprintf(l.text, sizeof l.text, "%.*s", (int)text.len, text.at ? (const char *)text.at : "");
    config_problems_fini(&l.problems);
    assert_int_equal(l.err, l.problems.count ? ERR_CONFIG : 0);
    return &l;
}

static struct loaded *load_file(const char *file)
{
    return load(file, NULL, NULL, 0);
}

static void expect_source(const struct loaded *l, int key, const char *expected)
{
    struct buf text;
    buf_init(&text, CONFIG_WHY_MAX);
    config_source_text(&l->input, l->sources, key, &text);
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.at, expected, text.len);
    buf_fini(&text);
}

/* ---- the table ---- */

static void every_default_is_a_value_that_may_be_written(void **state)
{
    (void)state;
    struct config c, again;
    config_defaults(&c);
    config_defaults(&again);
    for (int i = 0; i < CONFIG_KEYS; i++) {
        struct buf value;
        buf_init(&value, CONFIG_TEXT_MAX);
        config_value_text(&c, i, &value);
        buf_put_u8(&value, 0);
        if (value.len > 1) assert_int_equal(config_set(&again, config_keys[i].name, (char *)value.at, why), 0);
        assert_true(config_same(&c, &again, i));
        assert_int_equal(config_find(config_keys[i].name), i);
        buf_fini(&value);
    }
}

static void every_number_takes_its_bounds_and_nothing_beyond(void **state)
{
    (void)state;
    struct config c;
    char text[32], bounds[64];
    config_defaults(&c);
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *k = &config_keys[i];
        if (k->kind != CONFIG_NUMBER) continue;
        snprintf(bounds, sizeof bounds, "%llu to %llu (", (unsigned long long)k->min, (unsigned long long)k->max);
        snprintf(text, sizeof text, "%llu", (unsigned long long)k->min);
        assert_int_equal(config_set(&c, k->name, text, why), 0);
        snprintf(text, sizeof text, "%llu", (unsigned long long)k->max);
        assert_int_equal(config_set(&c, k->name, text, why), 0);
        snprintf(text, sizeof text, "%llu", (unsigned long long)k->max + 1);
        assert_int_equal(config_set(&c, k->name, text, why), ERR_CONFIG);
        assert_non_null(strstr(why, bounds));
        if (k->min == 0) continue;
        snprintf(text, sizeof text, "%llu", (unsigned long long)k->min - 1);
        assert_int_equal(config_set(&c, k->name, text, why), ERR_CONFIG);
        assert_non_null(strstr(why, k->name));
    }
}

static void no_key_is_a_variable_that_means_something_else(void **state)
{
    (void)state;
    static const char *const taken[] = { "home", "password", "new_password", "server", "seed", "model", "config",
                                          "demo" };
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) assert_int_equal(config_find(taken[i]), -1);
}

/* ---- one value ---- */

static void what_is_no_number_is_refused_with_a_hint_and_the_old_value_stays(void **state)
{
    (void)state;
    static const struct { const char *value, *hint; } bad[] = {
        { "0", "allowed is 1 to 3600 (seconds)" },   { "3601", "allowed" },  { "-1", "not a whole number" },
        { "", "the value is empty" },                { "ten", "not a whole number" },
        { "10s", "the unit is not written" },        { "10 s", "the unit is not written" },
        { "10 # ten", "a line of its own" },         { "1.5", "not a whole number" }, { "1e3", "the unit" },
        { "0x10", "not a whole number" },                      { "1,000", "not a whole number" },
        { "99999999999999999999", "allowed" },       { "18446744073709551616", "allowed" },
        { "+5", "not a whole number" },              { " 5", "not a whole number" },
    };
    struct config c;
    config_defaults(&c);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(config_set(&c, "heartbeat_s", bad[i].value, why), ERR_CONFIG);
        assert_non_null(strstr(why, "heartbeat_s"));
        assert_non_null(strstr(why, bad[i].hint));
    }
    assert_int_equal(c.heartbeat_s, 30);
    assert_int_equal(config_set(&c, "heartbeat_s", "007", why), 0);
    assert_int_equal(c.heartbeat_s, 7);
}

static void a_choice_is_one_of_its_words(void **state)
{
    (void)state;
    struct config c;
    config_defaults(&c);
    assert_int_equal(c.log_level, SAY_INFO);
    assert_int_equal(config_set(&c, "log_level", "debug", why), 0);
    assert_int_equal(c.log_level, SAY_DEBUG);
    static const char *const bad[] = { "loud", "inf", "infoo", "INFO", "error|warn", "" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(config_set(&c, "log_level", bad[i], why), ERR_CONFIG);
    }
    config_set(&c, "log_level", "loud", why);
    assert_non_null(strstr(why, "error|warn|info|debug"));
    assert_int_equal(c.log_level, SAY_DEBUG);
}

static void a_text_too_long_or_of_other_bytes_is_refused_not_cut(void **state)
{
    (void)state;
    struct config c;
    char text[CONFIG_TEXT_MAX + 1];
    config_defaults(&c);
    memset(text, 'x', CONFIG_TEXT_MAX);
    text[CONFIG_TEXT_MAX] = '\0';
    assert_int_equal(config_set(&c, "data", text, why), ERR_CONFIG);
    assert_non_null(strstr(why, "512 bytes"));
    assert_int_equal(config_set(&c, "data", "a\nb", why), ERR_CONFIG);
    assert_null(strchr(why, '\n'));
    assert_int_equal(config_set(&c, "data", "\xff", why), ERR_CONFIG);
    assert_string_equal(c.data, "data");
    text[CONFIG_TEXT_MAX - 1] = '\0';
    assert_int_equal(config_set(&c, "data", text, why), 0);
    assert_string_equal(c.data, text);
}

static void an_unknown_key_is_answered_with_the_nearest_one(void **state)
{
    (void)state;
    static const struct { const char *given, *meant; } tries[] = {
        { "hartbeat_s", "heartbeat_s" },     { "heartbeat", "heartbeat_s" },  { "Heartbeat-S", "heartbeat_s" },
        { "lisen", "listen" },               { "loglevel", "log_level" },     { "conections_max", "connections_max" },
        { "LISTEN", "listen" },              { "completely_different", NULL },{ "x", NULL },
    };
    struct config c;
    config_defaults(&c);
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        const char *meant = config_suggest(tries[i].given);
        assert_int_equal(config_set(&c, tries[i].given, "1", why), ERR_CONFIG);
        if (tries[i].meant) {
            assert_non_null(meant);
            assert_string_equal(meant, tries[i].meant);
            assert_non_null(strstr(why, tries[i].meant));
        } else {
            assert_null(meant);
        }
    }
}

/* ---- sources ---- */

static void each_source_goes_over_the_one_before_and_is_remembered(void **state)
{
    (void)state;
    char *environment[] = { "HOME=/root", "PIPIT_HOME=/x", "PIPIT_SERVER=ws://x", "PIPIT_PASSWORD=x", "PIPIT_SHARDS=3",
                            "PIPIT_SEGMENT_MIB=8", "PIPIT_NO_SUCH=1", "PIPIT_", "PIPIT_job_threads=9", NULL };
    struct config_flag flags[] = { { "segment-mib", "7" }, { "log_level", "warn" }, { "segment_mib", "9" } };
    struct loaded *l = load("heartbeat_s = 10\n\nshards = 2\nsegment_mib = 6\n", environment, flags, 3);
    assert_string_equal(l->text, "");
    assert_int_equal(l->config.connections_max, 100000);
    expect_source(l, CONFIG_KEY_connections_max, "default");
    assert_int_equal(l->config.heartbeat_s, 10);
    char where[80];
    snprintf(where, sizeof where, "%s:1", l->path);
    expect_source(l, CONFIG_KEY_heartbeat_s, where);
    assert_int_equal(l->config.shards, 3);
    expect_source(l, CONFIG_KEY_shards, "environment PIPIT_SHARDS");
    assert_int_equal(l->config.segment_mib, 9);
    expect_source(l, CONFIG_KEY_segment_mib, "--segment-mib");
    assert_int_equal(l->config.job_threads, 0);
}

static void all_that_is_wrong_is_told_not_only_the_first(void **state)
{
    (void)state;
    char *environment[] = { "PIPIT_SHARDS=many", NULL };
    struct config_flag flags[] = { { "nonsense", "1" }, { "log-level", "loud" } };
    struct loaded *l = load("heartbeat_s = 30s\nhartbeat_s = 1\nheartbeat_s = 5\n[x]\nno equals\nsegment_mib = 5\n"
                            "= 1\n", environment, flags, 2);
    static const char *const expected[] = {
        ":1: heartbeat_s = 30s", ":2: hartbeat_s: there is no such setting", ":3: heartbeat_s: it stands in line 1",
        ":4: [x]: there are no sections", ":5: no equals: there is no `=`", ":7: = 1: there is no key",
        "environment PIPIT_SHARDS: shards = many", "--nonsense: there is no such setting",
        "--log-level: log_level = loud",
    };
    char *rest = l->text;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        char *line = strsep(&rest, "\n");
        assert_non_null(rest);
        assert_non_null(strstr(line, expected[i]));
    }
    assert_string_equal(rest, "");
    assert_int_equal(l->config.segment_mib, 5);
    assert_int_equal(l->config.heartbeat_s, 30);
}

static void more_problems_than_are_told_are_counted(void **state)
{
    (void)state;
    char file[4096] = "";
    for (int i = 0; i < 150; i++) strcat(file, "x = 1\n");
    struct loaded *l = load_file(file);
    assert_int_equal(l->problems.count, 150);
    int lines = 0;
    for (const char *at = l->text; (at = strchr(at, '\n')); at++) lines++;
    assert_int_equal(lines, CONFIG_PROBLEMS_MAX);
}

/* ---- what this machine cannot do ---- */

static const char *notes_of(char *const *environment, const struct config_flag *flags, uint32_t count)
{
    static char text[4096];
    struct config_problems notes;
    struct loaded *l = load("", environment, flags, count);
    assert_string_equal(l->text, "");
    config_problems_init(&notes);
    config_notes(&l->input, &l->config, l->sources, &notes);
    snprintf(text, sizeof text, "%.*s", (int)notes.text.len, notes.text.at ? (const char *)notes.text.at : "");
    config_problems_fini(&notes);
    return text;
}

static void what_this_machine_cannot_do_is_noted_when_it_was_asked_for(void **state)
{
    (void)state;
    struct rlimit before, few = { 1000, 0 };
    const struct config_flag connections = { "connections_max", "5000" };
    const struct config_flag memory[] = { { "password_mib", "4096" }, { "password_threads", "64" } };
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_string_equal(notes_of(NULL, NULL, 0), "");
    assert_non_null(strstr(notes_of(NULL, &connections, 1), "connections_max = 5000, but this process may have 1000"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    if (sysconf(_SC_PHYS_PAGES) * (sysconf(_SC_PAGESIZE) >> 10) >> 20 < 512) {       /* GiB */
        assert_non_null(strstr(notes_of(NULL, memory, 2), "password_threads x password_mib = 262144 MiB"));
    }
}

static void a_variable_that_is_nearly_a_setting_is_noted_and_a_clients_is_not(void **state)
{
    (void)state;
    char *environment[] = { "PIPIT_PASSWORD=x", "PIPIT_SERVER=x", "PIPIT_HOME=x", "PIPIT_SEED=1", "PIPIT_HARTBEAT_S=3",
                            "HEARTBEAT_S=1", NULL };
    assert_string_equal(notes_of(environment, NULL, 0),
                        "the variable PIPIT_HARTBEAT_S is no setting and was ignored; did you mean heartbeat_s?\n");
}

/* ---- docs ---- */

static void expect_page(const char *path, void (*print)(FILE *to))
{
    char *printed, *kept = calloc(1, 1 << 20);
    size_t len;
    FILE *to = open_memstream(&printed, &len), *from = fopen(path, "r");
    assert_non_null(to);
    assert_non_null(from);
    assert_non_null(kept);
    print(to);
    fclose(to);
    assert_true(fread(kept, 1, (1 << 20) - 1, from) > 0);
    fclose(from);
    if (strcmp(printed, kept) != 0) fail_msg("%s is not what the table says: run `make docs`", path);
    free(printed);
    free(kept);
}

static void the_pages_in_docs_are_what_the_table_says(void **state)
{
    (void)state;
    expect_page("docs/configuration.md", config_print_docs);
    expect_page("docs/pipitd.conf", config_print_example);
}

/* With the comment signs of its settings taken off it is a file that says the defaults. */
static void the_example_file_is_right_as_it_is_and_with_every_line_in_force(void **state)
{
    (void)state;
    char *text;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    assert_non_null(to);
    config_print_example(to);
    fclose(to);
    assert_string_equal(load_file(text)->text, "");
    int rows = 0;
    for (char *at = text; (at = strstr(at, "\n#")); at++) {
        if (at[2] == ' ') continue;
        at[1] = ' ';
        rows++;
    }
    assert_int_equal(rows, CONFIG_KEYS);
    struct loaded *l = load_file(text);
    struct config defaults;
    config_defaults(&defaults);
    assert_string_equal(l->text, "");
    for (int i = 0; i < CONFIG_KEYS; i++) assert_true(config_same(&l->config, &defaults, i));
    free(text);
}

/* ---- files ---- */

static void comments_blanks_and_other_line_ends_are_taken(void **state)
{
    (void)state;
    struct loaded *l = load_file("\xef\xbb\xbf# a comment\r\n\r\n; another\r\n  shards = 2 ; in the line\r\n"
                                 "data=a;b\r\n\theartbeat-s\t=\t5\r\nlisten = 0.0.0.0:9");
    assert_string_equal(l->text, "");
    assert_int_equal(l->config.shards, 2);
    assert_string_equal(l->config.data, "a;b");
    assert_int_equal(l->config.heartbeat_s, 5);
    assert_string_equal(l->config.listen, "0.0.0.0:9");
    assert_int_equal(load_file("")->problems.count, 0);
}

struct told { uint32_t each, bad, last; char why[CONFIG_WHY_MAX]; };

static void count_each(void *arg, uint32_t line, const char *name, const char *value)
{
    (void)name;
    (void)value;
    ((struct told *)arg)->each++;
    ((struct told *)arg)->last = line;
}

static void count_bad(void *arg, uint32_t line, const char *what)
{
    struct told *told = arg;
    told->bad++;
    told->last = line;
    snprintf(told->why, sizeof told->why, "%s", what);
}

static struct told lines_of(struct bytes text)
{
    struct told told = { 0 };
    config_lines(text, &(struct config_lines){ count_each, count_bad, &told });
    return told;
}

static void a_line_as_long_as_inih_takes_is_whole_and_one_byte_more_is_refused(void **state)
{
    (void)state;
    char text[201] = "data = ";
    memset(text + 7, 'x', 193);
    assert_int_equal(lines_of(bytes_of(text, 199)).each, 1);
    struct told told = lines_of(bytes_of(text, 200));
    assert_int_equal(told.each, 0);
    assert_int_equal(told.bad, 1);
    assert_non_null(strstr(told.why, "200 bytes; allowed is 199"));
    text[199] = '\0';
    struct loaded *l = load_file(text);
    assert_int_equal(l->err, 0);
    assert_string_equal(l->config.data, text + 7);
}

static void bytes_that_are_no_text_are_told_with_their_line(void **state)
{
    (void)state;
    static const struct { const char *text; size_t len; const char *why; } tries[] = {
        { "a = 1\nb = \0 2\n", 14, "NUL" }, { "a = 1\nb = \xff\n", 12, "UTF-8" },
        { "a = 1\nb = \x1b[2J\n", 15, "control" }, { "a = 1\nb\r = 2\n", 13, "control" },
    };
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        struct told told = lines_of(bytes_of(tries[i].text, tries[i].len));
        assert_int_equal(told.each, 1);
        assert_int_equal(told.bad, 1);
        assert_int_equal(told.last, 2);
        assert_non_null(strstr(told.why, tries[i].why));
    }
}

static struct told file_of(const char *path)
{
    struct told told = { 0 };
    config_file(path, &(struct config_lines){ count_each, count_bad, &told });
    assert_int_equal(told.each, 0);
    assert_int_equal(told.bad, 1);
    assert_int_equal(told.last, 0);
    return told;
}

static void what_is_no_settings_file_is_told_and_why(void **state)
{
    (void)state;
    assert_non_null(strstr(file_of("/no/such/file").why, "No such file"));
    assert_non_null(strstr(file_of("/tmp").why, "folder"));
    assert_non_null(strstr(file_of("/dev/zero").why, "larger than 256 KiB"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_is_a_value_that_may_be_written),
        cmocka_unit_test(every_number_takes_its_bounds_and_nothing_beyond),
        cmocka_unit_test(no_key_is_a_variable_that_means_something_else),
        cmocka_unit_test(what_is_no_number_is_refused_with_a_hint_and_the_old_value_stays),
        cmocka_unit_test(a_choice_is_one_of_its_words),
        cmocka_unit_test(a_text_too_long_or_of_other_bytes_is_refused_not_cut),
        cmocka_unit_test(an_unknown_key_is_answered_with_the_nearest_one),
        cmocka_unit_test(each_source_goes_over_the_one_before_and_is_remembered),
        cmocka_unit_test(all_that_is_wrong_is_told_not_only_the_first),
        cmocka_unit_test(more_problems_than_are_told_are_counted),
        cmocka_unit_test(what_this_machine_cannot_do_is_noted_when_it_was_asked_for),
        cmocka_unit_test(a_variable_that_is_nearly_a_setting_is_noted_and_a_clients_is_not),
        cmocka_unit_test(the_pages_in_docs_are_what_the_table_says),
        cmocka_unit_test(the_example_file_is_right_as_it_is_and_with_every_line_in_force),
        cmocka_unit_test(comments_blanks_and_other_line_ends_are_taken),
        cmocka_unit_test(a_line_as_long_as_inih_takes_is_whole_and_one_byte_more_is_refused),
        cmocka_unit_test(bytes_that_are_no_text_are_told_with_their_line),
        cmocka_unit_test(what_is_no_settings_file_is_told_and_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
