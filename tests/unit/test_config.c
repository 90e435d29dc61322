/* test_config.c - every setting has bounds, and whatever is wrong is named: file, line, key and what is allowed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/proto.h"
#include "server/config.h"

static char why[CONFIG_WHY_MAX];

static int read_text(struct config *config, const char *text)
{
    char path[] = "/tmp/pipit-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    int err = config_read(config, path, why);
    unlink(path);
    return err;
}

static void defaults_stand_until_a_file_or_a_flag_says_otherwise(void **state)
{
    (void)state;
    struct config c;
    config_defaults(&c);
    assert_string_equal(c.listen, "127.0.0.1:8700");
    assert_int_equal(c.heartbeat_s, 30);
    assert_int_equal(read_text(&c, "# a comment\nheartbeat_s = 10\nlisten = 0.0.0.0:9000\n; another\nlog_level = debug\n"), 0);
    assert_int_equal(c.heartbeat_s, 10);
    assert_string_equal(c.listen, "0.0.0.0:9000");
    assert_int_equal(config_set(&c, "heartbeat_s", "3600", why), 0);
    assert_int_equal(c.heartbeat_s, 3600);
    assert_int_equal(c.segment_mib, 64);
}

static void a_value_outside_its_bounds_is_refused_and_the_old_one_stays(void **state)
{
    (void)state;
    static const char *const bad[] = { "0", "3601", "-1", "", "ten", "10 s", "99999999999999999999" };
    struct config c;
    config_defaults(&c);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(config_set(&c, "heartbeat_s", bad[i], why), ERR_CONFIG);
        assert_non_null(strstr(why, "heartbeat_s"));
        assert_non_null(strstr(why, "1 to 3600"));
    }
    assert_int_equal(c.heartbeat_s, 30);
    assert_int_equal(config_set(&c, "log_level", "loud", why), ERR_CONFIG);
    assert_non_null(strstr(why, "debug"));
}

static void an_unknown_key_and_a_broken_line_are_named_with_file_and_line(void **state)
{
    (void)state;
    struct config c;
    config_defaults(&c);
    assert_int_equal(read_text(&c, "heartbeat_s = 5\nhartbeat = 5\n"), ERR_CONFIG);
    assert_non_null(strstr(why, "pipit-config-"));
    assert_non_null(strstr(why, "line 2"));
    assert_non_null(strstr(why, "hartbeat"));
    assert_int_equal(read_text(&c, "just words\n"), ERR_CONFIG);
    assert_non_null(strstr(why, "line 1"));
    assert_int_equal(read_text(&c, "[server]\nheartbeat_s = 5\n"), ERR_CONFIG);
    assert_non_null(strstr(why, "sections"));
    assert_int_equal(config_read(&c, "/no/such/file", why), ERR_NOT_FOUND);
    assert_non_null(strstr(why, "/no/such/file"));
}

static void a_text_that_is_too_long_is_refused_not_cut(void **state)
{
    (void)state;
    struct config c;
    char text[CONFIG_TEXT_MAX + 1];
    config_defaults(&c);
    memset(text, 'x', CONFIG_TEXT_MAX);
    text[CONFIG_TEXT_MAX] = '\0';
    assert_int_equal(config_set(&c, "data", text, why), ERR_CONFIG);
    assert_string_equal(c.data, "data");
    text[CONFIG_TEXT_MAX - 1] = '\0';
    assert_int_equal(config_set(&c, "data", text, why), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_stand_until_a_file_or_a_flag_says_otherwise),
        cmocka_unit_test(a_value_outside_its_bounds_is_refused_and_the_old_one_stays),
        cmocka_unit_test(an_unknown_key_and_a_broken_line_are_named_with_file_and_line),
        cmocka_unit_test(a_text_that_is_too_long_is_refused_not_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
