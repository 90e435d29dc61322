/* test_authority.c - what --ca named is kept in the home, whole, and what cannot be kept leaves what was there. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/client/authority.h"

static char home[] = "/tmp/pipit-authority-XXXXXX";
static char file[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(home)) return -1;
    snprintf(file, sizeof file, "%s/given", home);
    return 0;
}

static int teardown(void **state)
{
    char path[HOME_PATH_MAX + 16];
    (void)state;
    (void)authority_kept(home, path);
    (void)unlink(path);
    (void)unlink(file);
    return rmdir(home);               /* nothing else may be left */
}

static void write_file(const char *text, size_t times)
{
    FILE *f = fopen(file, "we");
    assert_non_null(f);
    for (size_t i = 0; i < times; i++) fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void assert_kept(const char *text)
{
    char path[HOME_PATH_MAX + 16], got[64] = "";
    const char *kept = authority_kept(home, path);
    assert_non_null(kept);
    FILE *f = fopen(kept, "re");
    assert_non_null(f);
    got[fread(got, 1, sizeof got - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(got, text);
}

static void what_is_named_is_kept_and_the_next_takes_its_place(void **state)
{
    char path[HOME_PATH_MAX + 16];
    (void)state;
    assert_null(authority_kept(home, path));
    write_file("one", 1);
    assert_int_equal(authority_keep(home, file), 0);
    assert_kept("one");
    write_file("another", 1);
    assert_kept("one");
    assert_int_equal(authority_keep(home, file), 0);
    assert_kept("another");
    assert_int_equal(authority_keep(home, path), 0);          /* itself */
    assert_kept("another");
}

static void what_cannot_be_kept_changes_nothing(void **state)
{
    (void)state;
    write_file("good", 1);
    assert_int_equal(authority_keep(home, file), 0);
    assert_int_equal(authority_keep(home, "/nowhere/ca.pem"), ENOENT);
    assert_int_equal(authority_keep(home, home), EISDIR);
    write_file("0123456789abcdef", AUTHORITY_BYTES_MAX / 16 + 1);
    assert_int_equal(authority_keep(home, file), EFBIG);
    assert_kept("good");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_named_is_kept_and_the_next_takes_its_place),
        cmocka_unit_test(what_cannot_be_kept_changes_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
