/* test_outfile.c - what was put is what is read, its checksum is that of the bytes, and an error leaves no file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proto/err.h"
#include "storage/outfile.h"
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"

#define PATH "/a file"

static int setup(void **state)
{
    *state = disk_new(run_seed());
    return 0;
}

static int teardown(void **state)
{
    disk_free(*state);
    return 0;
}

enum { LONG_BYTES = 3 * OUTFILE_BUFFER_BYTES + 17 };

static uint8_t *some_bytes(size_t len)
{
    uint64_t random = run_seed();
    uint8_t *bytes = test_malloc(len);
    for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)chance(&random);
    return bytes;
}

/* In pieces of any length, longer than the buffer too. */
static void put_in_pieces(struct outfile *out, const uint8_t *bytes, size_t len)
{
    uint64_t random = run_seed();
    for (size_t at = 0; at < len;) {
        size_t part = chance_below(&random, 4) ? chance_below(&random, 1000) : chance_below(&random, len);
        if (part > len - at) part = len - at;
        outfile_put(out, bytes + at, part);
        at += part;
    }
}

static void what_was_put_in_pieces_is_read_in_others(void **state)
{
    const struct fsio *fs = disk_fs(*state);
    uint8_t *bytes = some_bytes(LONG_BYTES), *back = test_malloc(LONG_BYTES);
    struct outfile out;
    struct infile in;
    struct bytes part;
    for (int aside = 0; aside < 2; aside++) {
        const char *path = aside ? "/aside" : "/in place";
        assert_int_equal(outfile_open(fs, path, aside, &out), 0);
        put_in_pieces(&out, bytes, LONG_BYTES);
        assert_int_equal(out.bytes, LONG_BYTES);
        assert_true(outfile_sum(&out) == XXH3_64bits(bytes, LONG_BYTES));
        assert_int_equal(outfile_finish(&out), 0);

        assert_int_equal(infile_open(fs, path, &in), 0);
        assert_int_equal(in.size, LONG_BYTES);
        assert_int_equal(infile_read(&in, back, 1000), 0);
        assert_int_equal(infile_next(&in, 10, &part), 0);
        assert_int_equal(part.len, 10);
        memcpy(back + 1000, part.at, part.len);
        assert_int_equal(infile_read(&in, back + 1010, LONG_BYTES - 1010), 0);
        assert_memory_equal(bytes, back, LONG_BYTES);
        assert_true(infile_sum(&in) == XXH3_64bits(bytes, LONG_BYTES));
        assert_int_equal(infile_next(&in, 10, &part), 0);
        assert_int_equal(part.len, 0);
        assert_int_equal(infile_read(&in, back, 1), ERR_END);
        infile_close(&in);
    }
    assert_int_equal(disk_file_count(*state, "/"), 2);
    test_free(bytes);
    test_free(back);
}

static void file_of(const struct fsio *fs, const char *path, const char *text)
{
    struct outfile out;
    assert_int_equal(outfile_open(fs, path, false, &out), 0);
    outfile_put(&out, text, strlen(text));
    assert_int_equal(outfile_finish(&out), 0);
}

static void a_file_aside_replaces_and_one_in_place_does_not(void **state)
{
    const struct fsio *fs = disk_fs(*state);
    struct outfile out;
    file_of(fs, PATH, "old");
    file_of(fs, PATH ".new", "left by a crash");
    assert_int_equal(outfile_open(fs, PATH, false, &out), ERR_EXISTS);
    assert_int_equal(outfile_open(fs, PATH, true, &out), 0);
    outfile_put(&out, "n", 1);
    outfile_abort(&out);
    assert_int_equal(disk_file_size(*state, PATH), 3);
    assert_int_equal(disk_file_count(*state, "/"), 1);
    assert_int_equal(outfile_open(fs, PATH, true, &out), 0);
    outfile_put(&out, "n", 1);
    assert_int_equal(outfile_finish(&out), 0);
    assert_int_equal(disk_file_size(*state, PATH), 1);
}

static void a_disk_that_fails_leaves_no_file(void **state)
{
    const struct fsio *fs = disk_fs(*state);
    uint8_t *bytes = some_bytes(LONG_BYTES);
    struct outfile out;
    for (int how = 0; how < 3; how++) {
        assert_int_equal(outfile_open(fs, PATH, how == 2, &out), 0);
        if (how == 0) disk_set_capacity(*state, LONG_BYTES / 2);
        if (how == 1) disk_fail_write(*state, 2);
        if (how == 2) disk_fail_sync(*state, 1);
        outfile_put(&out, bytes, LONG_BYTES);
        assert_int_equal(outfile_finish(&out), how == 0 ? ERR_NO_SPACE : ERR_IO);
        assert_int_equal(disk_file_count(*state, "/"), 0);
        disk_set_capacity(*state, UINT64_MAX);
    }
    test_free(bytes);
}

static void a_path_without_room_for_its_suffix_is_refused(void **state)
{
    char path[FS_PATH_MAX];
    struct outfile out;
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[FS_PATH_MAX - 4] = '\0';
    assert_int_equal(outfile_open(disk_fs(*state), path, true, &out), ERR_TOO_BIG);
}

#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_DISK(what_was_put_in_pieces_is_read_in_others),
        ON_A_DISK(a_file_aside_replaces_and_one_in_place_does_not),
        ON_A_DISK(a_disk_that_fails_leaves_no_file),
        ON_A_DISK(a_path_without_room_for_its_suffix_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
