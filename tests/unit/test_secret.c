/* test_secret.c - a secret is made once, kept, and another for each name; what is damaged is told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proto/err.h"
#include "storage/secret.h"
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"

static int setup(void **state)
{
    *state = disk_new(run_seed());
    const struct fsio *fs = disk_fs(*state);
    return fs->mkdir(fs->self, "/d");
}

static int teardown(void **state)
{
    disk_free(*state);
    return 0;
}

static void it_is_made_once_and_is_another_for_each_name(void **state)
{
    const struct fsio *fs = disk_fs(*state);
    uint8_t first[SECRET_BYTES], again[SECRET_BYTES], other[SECRET_BYTES];
    assert_int_equal(secret_open(fs, "/d", "one", first), 0);
    assert_int_equal(secret_open(fs, "/d", "one", again), 0);
    assert_int_equal(secret_open(fs, "/d", "two", other), 0);
    assert_memory_equal(first, again, SECRET_BYTES);
    assert_memory_not_equal(first, other, SECRET_BYTES);
}

static void a_file_of_another_length_is_damaged_and_left_alone(void **state)
{
    const struct fsio *fs = disk_fs(*state);
    uint8_t secret[SECRET_BYTES];
    int file;
    uint64_t size;
    assert_int_equal(secret_open(fs, "/d", "one", secret), 0);
    assert_int_equal(fs->open(fs->self, "/d/one.key", FS_WRITE, &file), 0);
    assert_int_equal(fs->truncate(fs->self, file, 31), 0);
    assert_int_equal(secret_open(fs, "/d", "one", secret), ERR_CORRUPT);
    assert_int_equal(fs->size(fs->self, file, &size), 0);
    assert_int_equal(size, 31);
    fs->close(fs->self, file);
}

static void a_path_too_long_is_refused(void **state)
{
    char dir[FS_PATH_MAX];
    uint8_t secret[SECRET_BYTES];
    memset(dir, 'a', sizeof dir);
    dir[0] = '/';
    dir[sizeof dir - 1] = '\0';
    assert_int_equal(secret_open(disk_fs(*state), dir, "one", secret), ERR_TOO_BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_made_once_and_is_another_for_each_name, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_of_another_length_is_damaged_and_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_path_too_long_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
