/* test_tui_notify.c - a notification says who wrote, in words no terminal can take for anything else. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <locale.h>
#include <string.h>

#include "tools/client/tui/notify.h"

static void expect_sequence(const char *term, const char *program, const char *name, const char *wanted)
{
    struct notify n;
    struct buf out;
    assert_true(notify_init(&n, "desktop", term, program));
    buf_init(&out, NOTIFY_BYTES_MAX + 64);
    notify_sequence(&n, name, &out);
    assert_int_equal(out.len, strlen(wanted));
    assert_memory_equal(out.at, wanted, out.len);
    buf_fini(&out);
}

static void each_terminal_is_told_in_its_own_way(void **state)
{
    (void)state;
    expect_sequence("xterm-256color", NULL, "bob", "\033]777;notify;pipit;a message from bob\033\\");
    expect_sequence("xterm-kitty", NULL, "bob", "\033]99;;a message from bob\033\\");
    expect_sequence("xterm-256color", "iTerm.app", "bob", "\033]9;a message from bob\033\\");
    expect_sequence(NULL, NULL, "bob", "\033]777;notify;pipit;a message from bob\033\\");
}

static void no_name_ends_the_sequence_or_begins_another(void **state)
{
    (void)state;
    expect_sequence("xterm", NULL, "a\033]0;b\007c\033\\", "\033]777;notify;pipit;a message from a\xef\xbf\xbd]0,b\xef\xbf\xbd"
                                                          "c\xef\xbf\xbd\\\033\\");
    expect_sequence("xterm", NULL, "a\xc2\x9c" "b", "\033]777;notify;pipit;a message from a\xef\xbf\xbd" "b\033\\");
}

static void a_long_name_is_cut_between_characters(void **state)
{
    (void)state;
    char name[2 * NOTIFY_NAME_BYTES_MAX + 1];
    struct notify n;
    struct buf out;
    name[0] = 'x';
    for (size_t i = 1; i + 2 < sizeof name; i += 2) memcpy(name + i, "\xc3\xa9", 3);
    assert_true(notify_init(&n, "desktop", NULL, NULL));
    buf_init(&out, NOTIFY_BYTES_MAX + 64);
    notify_sequence(&n, name, &out);
    assert_true(bytes_is_utf8(buf_bytes(&out)));
    assert_int_equal(out.len, strlen("\033]777;notify;pipit;a message from ") + NOTIFY_NAME_BYTES_MAX - 1 + 2);
    buf_fini(&out);
}

static void a_bell_is_the_default_and_a_wrong_wish_is_told(void **state)
{
    (void)state;
    struct notify n;
    assert_true(notify_init(&n, NULL, NULL, NULL));
    assert_int_equal(n.way, NOTIFY_BELL);
    assert_true(notify_init(&n, "", NULL, NULL));
    assert_int_equal(n.way, NOTIFY_BELL);
    assert_true(notify_init(&n, "none", NULL, NULL));
    assert_int_equal(n.way, NOTIFY_NONE);
    assert_false(notify_init(&n, "loud", NULL, NULL));
    assert_int_equal(n.way, NOTIFY_BELL);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_terminal_is_told_in_its_own_way),
        cmocka_unit_test(no_name_ends_the_sequence_or_begins_another),
        cmocka_unit_test(a_long_name_is_cut_between_characters),
        cmocka_unit_test(a_bell_is_the_default_and_a_wrong_wish_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
