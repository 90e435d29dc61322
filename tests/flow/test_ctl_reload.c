/* test_ctl_reload.c - `pipitctl reload` as an owner types it, with a file of settings that changes under a real
 * server. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/story.h"

static struct process p;
static char conf[96];

static void write_conf(const char *text)
{
    FILE *f = fopen(conf, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    if (story_setup(state)) return -1;
    struct story *s = *state;
    server_down(s, SIGTERM);
    snprintf(conf, sizeof conf, "%s/pipitd.conf", s->dir);
    write_conf("heartbeat_s = 20\n");
    server_up_with(s, WORDS("--config", conf));
    return 0;
}

static int reload(struct story *s, const char *option)
{
    p.with_errors = true;
    return ctl(s, &p, option ? WORDS("reload", option) : WORDS("reload"));
}

static char *audit_end(struct story *s)
{
    static char text[16 * 1024];
    char path[96];
    snprintf(path, sizeof path, "%s/data/audit.log", s->dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[len] = '\0';
    char *at = strstr(text, "act=reload");
    return at ? at : text + len;
}

static void what_was_taken_and_what_waits_for_a_restart_is_printed(void **state)
{
    struct story *s = *state;
    assert_int_equal(reload(s, NULL), 0);
    assert_string_equal(p.text, "nothing has changed\n");
    write_conf("heartbeat_s = 25\nsegment_mib = 8\n");
    assert_int_equal(reload(s, NULL), 0);
    assert_string_equal(p.text, "needs a restart: segment_mib = 8 (is 64)\n"
                                "taken:           heartbeat_s = 25 (was 20)\n");
    assert_int_equal(reload(s, "--json"), 0);
    assert_string_equal(p.text, "[{\"key\":\"segment_mib\",\"was\":\"64\",\"now\":\"8\",\"taken\":false}]\n");
    assert_non_null(strstr(audit_end(s), "act=reload outcome=OK\n"));
}

static void what_is_wrong_is_named_by_file_line_and_setting_and_the_exit_code_says_so(void **state)
{
    struct story *s = *state;
    char line[160];
    write_conf("log_level = warn\nheartbeat_s = 25s\nhartbeat_s = 1\n");
    assert_int_equal(reload(s, NULL), 1);
    snprintf(line, sizeof line, "%s:2: heartbeat_s = 25s: ", conf);
    assert_int_equal(strncmp(p.text, line, strlen(line)), 0);
    snprintf(line, sizeof line, "\n%s:3: ", conf);
    assert_non_null(strstr(p.text, line));
    assert_non_null(strstr(p.text, "did you mean heartbeat_s?"));
    assert_non_null(strstr(p.text, "pipitctl: refused: 2 errors in the settings; nothing was taken (CONFIG)\n"));
    assert_string_equal(audit_end(s), "act=reload outcome=CONFIG\n");
    write_conf("log_level = warn\n");
    assert_int_equal(reload(s, NULL), 0);
    assert_non_null(strstr(p.text, "log_level = warn (was info)\n"));
    assert_non_null(strstr(p.text, "heartbeat_s = 30 (was 20)\n"));    /* taken out of the file: the default */
}

static void without_a_server_or_with_a_word_too_many_nothing_is_asked(void **state)
{
    struct story *s = *state;
    assert_int_equal(ctl(s, &p, WORDS("reload", "now")), 2);
    server_down(s, SIGTERM);
    assert_int_equal(reload(s, NULL), 3);
    server_up(s);
}

/* Its settings are its own, and a hang-up ends it. */
static void a_demo_has_nothing_to_read_again(void **state)
{
    struct story *s = *state;
    server_down(s, SIGTERM);
    server_up_with(s, WORDS("--demo"));
    assert_int_equal(reload(s, NULL), 1);
    assert_non_null(strstr(p.text, "no settings to read again"));
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, story_teardown)
    const struct CMUnitTest tests[] = {
        STORY(what_was_taken_and_what_waits_for_a_restart_is_printed),
        STORY(what_is_wrong_is_named_by_file_line_and_setting_and_the_exit_code_says_so),
        STORY(without_a_server_or_with_a_word_too_many_nothing_is_asked),
        STORY(a_demo_has_nothing_to_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
