/* test_disk.c - the memory disk itself: a crash suite is worth what its disk is worth. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "tests/harness/disk.h"

enum { KB = 1024 };

static int setup(void **state)
{
    *state = disk_new(1);
    return 0;
}

static int teardown(void **state)
{
    disk_free(*state);
    return 0;
}

static int make(struct disk *disk, const char *path)
{
    const struct fsio *fs = disk_fs(disk);
    int file;
    assert_int_equal(fs->open(fs->self, path, FS_READ | FS_WRITE | FS_CREATE, &file), 0);
    return file;
}

static int put(struct disk *disk, int file, uint64_t offset, char c, size_t len)
{
    const struct fsio *fs = disk_fs(disk);
    char *data = malloc(len + 1);
    memset(data, c, len);
    /* In two parts, as a header and its payload come. */
    struct iovec parts[2] = { { data, len / 3 }, { data + len / 3, len - len / 3 } };
    int err = fs->pwritev(fs->self, file, parts, 2, offset);
    free(data);
    return err;
}

static void sync_all(struct disk *disk, int file)
{
    const struct fsio *fs = disk_fs(disk);
    assert_int_equal(fs->sync(fs->self, file), 0);
    assert_int_equal(fs->sync_dir(fs->self, "/"), 0);
}

/* The whole file as a string of runs: "a3 b2" is aaabb; "-" when there is no file. */
static void expect_file(struct disk *disk, const char *path, const char *want)
{
    char got[256] = "-";
    uint64_t size = disk_file_size(disk, path);
    if (size != UINT64_MAX) {
        char *data = malloc(size + 1);
        size_t at = 0;
        disk_file_read(disk, path, 0, data, size);
        got[0] = '\0';
        for (uint64_t i = 0, n; i < size && at < sizeof got - 32; i += n) {
            for (n = 1; i + n < size && data[i + n] == data[i]; n++)
                ;
            at += (size_t)snprintf(got + at, sizeof got - at, "%s%c%u", i ? " " : "", data[i] ? data[i] : '0',
                                   (unsigned)n);
        }
        free(data);
    }
    assert_string_equal(got, want);
}

static void expect_after(struct disk *disk, enum disk_crash mode, const char *path, const char *want)
{
    struct disk *after = disk_crash(disk, mode, 1);
    expect_file(after, path, want);
    disk_free(after);
}

static void reading_shows_every_write_and_a_crash_only_what_was_synced(void **state)
{
    struct disk *disk = *state;
    int file = make(disk, "/f");
    assert_int_equal(put(disk, file, 0, 'a', 1000), 0);
    sync_all(disk, file);
    assert_int_equal(put(disk, file, 500, 'b', 1000), 0);
    expect_file(disk, "/f", "a500 b1000");
    expect_after(disk, DISK_KEEP_ALL, "/f", "a500 b1000");
    expect_after(disk, DISK_DROP_ALL, "/f", "a1000");
    assert_int_equal(put(disk, file, 100, 'c', 600), 0);
    assert_int_equal(put(disk, file, 2000, 'd', 10), 0);
    expect_file(disk, "/f", "a100 c600 b800 0500 d10");
    expect_after(disk, DISK_DROP_ALL, "/f", "a1000");
    sync_all(disk, file);
    expect_after(disk, DISK_DROP_ALL, "/f", "a100 c600 b800 0500 d10");
}

static void truncation_is_undone_by_a_crash_too(void **state)
{
    struct disk *disk = *state;
    const struct fsio *fs = disk_fs(disk);
    int file = make(disk, "/f");
    assert_int_equal(put(disk, file, 0, 'a', 1000), 0);
    sync_all(disk, file);
    assert_int_equal(fs->truncate(fs->self, file, 300), 0);
    assert_int_equal(fs->truncate(fs->self, file, 400), 0);
    assert_int_equal(put(disk, file, 350, 'b', 20), 0);
    expect_file(disk, "/f", "a300 050 b20 030");
    expect_after(disk, DISK_DROP_ALL, "/f", "a1000");
    sync_all(disk, file);
    expect_after(disk, DISK_DROP_ALL, "/f", "a300 050 b20 030");
}

static void a_name_is_there_after_its_folder_was_synced_not_before(void **state)
{
    struct disk *disk = *state;
    const struct fsio *fs = disk_fs(disk);
    int file = make(disk, "/f");
    assert_int_equal(put(disk, file, 0, 'a', 10), 0);
    assert_int_equal(fs->sync(fs->self, file), 0);
    expect_after(disk, DISK_DROP_ALL, "/f", "-");
    expect_after(disk, DISK_KEEP_ALL, "/f", "a10");
    assert_int_equal(fs->sync_dir(fs->self, "/"), 0);
    expect_after(disk, DISK_DROP_ALL, "/f", "a10");
    assert_int_equal(fs->rename(fs->self, "/f", "/g"), 0);
    expect_after(disk, DISK_DROP_ALL, "/f", "a10");
    expect_after(disk, DISK_DROP_ALL, "/g", "-");
    expect_after(disk, DISK_KEEP_ALL, "/f", "-");
    expect_after(disk, DISK_KEEP_ALL, "/g", "a10");
    assert_int_equal(fs->sync_dir(fs->self, "/"), 0);
    assert_int_equal(fs->unlink(fs->self, "/g"), 0);
    expect_after(disk, DISK_DROP_ALL, "/g", "a10");
    assert_int_equal(fs->sync_dir(fs->self, "/"), 0);
    expect_after(disk, DISK_DROP_ALL, "/g", "-");
}

static void a_second_name_shows_one_file_and_counts_like_any_name(void **state)
{
    struct disk *disk = *state;
    const struct fsio *fs = disk_fs(disk);
    int file = make(disk, "/f");
    assert_int_equal(put(disk, file, 0, 'a', 10), 0);
    assert_int_equal(fs->sync(fs->self, file), 0);
    assert_int_equal(fs->sync_dir(fs->self, "/"), 0);
    assert_int_equal(fs->mkdir(fs->self, "/d"), 0);
    assert_int_equal(fs->sync_dir(fs->self, "/"), 0);
    uint64_t used = disk_used(disk);
    assert_int_equal(fs->link(fs->self, "/f", "/d/g"), 0);
    assert_int_equal(disk_used(disk), used);
    assert_int_equal(fs->link(fs->self, "/f", "/d/g"), ERR_EXISTS);
    assert_int_equal(fs->link(fs->self, "/none", "/d/h"), ERR_NOT_FOUND);
    assert_int_equal(fs->link(fs->self, "/f", "/none/h"), ERR_NOT_FOUND);
    expect_after(disk, DISK_DROP_ALL, "/d/g", "-");
    expect_after(disk, DISK_KEEP_ALL, "/d/g", "a10");
    assert_int_equal(fs->sync_dir(fs->self, "/d"), 0);
    expect_after(disk, DISK_DROP_ALL, "/d/g", "a10");
    assert_int_equal(fs->unlink(fs->self, "/f"), 0);
    assert_int_equal(fs->sync_dir(fs->self, "/"), 0);
    expect_after(disk, DISK_DROP_ALL, "/f", "-");
    expect_after(disk, DISK_DROP_ALL, "/d/g", "a10");
    assert_int_equal(fs->rmdir(fs->self, "/d"), ERR_IN_USE);
    assert_int_equal(fs->unlink(fs->self, "/d/g"), 0);
    assert_int_equal(fs->rmdir(fs->self, "/d"), 0);
    assert_int_equal(fs->rmdir(fs->self, "/d"), ERR_NOT_FOUND);
    make(disk, "/e");
    disk_refuse_links(disk, true);
    assert_int_equal(fs->link(fs->self, "/e", "/h"), ERR_UNSUPPORTED);
}

static void what_lies_in_a_folder_goes_with_the_folder(void **state)
{
    struct disk *disk = *state;
    const struct fsio *fs = disk_fs(disk);
    assert_int_equal(fs->mkdir(fs->self, "/d"), 0);
    int file = make(disk, "/d/f");
    assert_int_equal(put(disk, file, 0, 'a', 10), 0);
    assert_int_equal(fs->sync(fs->self, file), 0);
    assert_int_equal(fs->sync_dir(fs->self, "/d"), 0);
    expect_after(disk, DISK_DROP_ALL, "/d/f", "-");
    assert_int_equal(fs->sync_dir(fs->self, "/"), 0);
    expect_after(disk, DISK_DROP_ALL, "/d/f", "a10");
}

static void the_last_write_of_all_files_tears_at_a_sector(void **state)
{
    struct disk *disk = *state;
    int one = make(disk, "/one"), two = make(disk, "/two");
    sync_all(disk, one);
    assert_int_equal(put(disk, two, 0, 'b', 100), 0);
    assert_int_equal(put(disk, one, 100, 'a', 4 * KB), 0);
    bool seen[9] = { false };
    for (uint64_t s = 0; s < 200; s++) {
        struct disk *after = disk_crash(disk, DISK_TEAR_LAST, s);
        expect_file(after, "/two", "b100");
        uint64_t size = disk_file_size(after, "/one");
        assert_true(size < 100 + 4 * KB && (size == 0 || size % DISK_SECTOR_BYTES == 0));
        seen[size / DISK_SECTOR_BYTES] = true;
        disk_free(after);
    }
    for (size_t i = 0; i <= 8; i++)
        assert_true(seen[i] || i == 8);
}

static void a_random_crash_keeps_drops_and_tears_each_write_on_its_own(void **state)
{
    struct disk *disk = *state;
    int file = make(disk, "/f");
    assert_int_equal(put(disk, file, 0, 'a', 4 * KB), 0);
    sync_all(disk, file);
    assert_int_equal(put(disk, file, 0, 'b', 2 * KB), 0);
    assert_int_equal(put(disk, file, 2 * KB, 'c', 2 * KB), 0);
    bool early_only = false, late_only = false, torn = false;
    for (uint64_t s = 0; s < 300; s++) {
        struct disk *after = disk_crash(disk, DISK_RANDOM, s);
        char data[4 * KB];
        size_t b = 0, c = 0;
        disk_file_read(after, "/f", 0, data, sizeof data);
        for (size_t i = 0; i < sizeof data; i++) {
            b += data[i] == 'b';
            c += data[i] == 'c';
            assert_true(data[i] == 'a' || data[i] == (i < 2 * KB ? 'b' : 'c'));
        }
        assert_true(b % DISK_SECTOR_BYTES == 0 && c % DISK_SECTOR_BYTES == 0);
        early_only = early_only || (b == 2 * KB && c == 0);
        late_only = late_only || (b == 0 && c == 2 * KB);
        torn = torn || (b > 0 && b < 2 * KB);
        disk_free(after);
    }
    assert_true(early_only && late_only && torn);
}

static void the_same_seed_makes_the_same_image(void **state)
{
    struct disk *disk = *state;
    int file = make(disk, "/f");
    sync_all(disk, file);
    for (int i = 0; i < 20; i++)
        assert_int_equal(put(disk, file, (uint64_t)i * 700, (char)('a' + i), 900), 0);
    for (uint64_t s = 0; s < 20; s++) {
        struct disk *a = disk_crash(disk, DISK_RANDOM, s), *b = disk_crash(disk, DISK_RANDOM, s);
        uint64_t size = disk_file_size(a, "/f");
        assert_int_equal(size, disk_file_size(b, "/f"));
        uint8_t *of_a = malloc(size + 1), *of_b = malloc(size + 1);
        disk_file_read(a, "/f", 0, of_a, size);
        disk_file_read(b, "/f", 0, of_b, size);
        assert_int_equal(memcmp(of_a, of_b, size), 0);
        free(of_a);
        free(of_b);
        disk_free(a);
        disk_free(b);
    }
}

static void an_image_and_its_disk_do_not_see_each_others_writes(void **state)
{
    struct disk *disk = *state;
    int file = make(disk, "/f");
    assert_int_equal(put(disk, file, 0, 'a', 10), 0);
    sync_all(disk, file);
    struct disk *image = disk_crash(disk, DISK_KEEP_ALL, 1);
    assert_int_equal(put(disk, file, 0, 'b', 5), 0);
    int other = make(image, "/f");
    assert_int_equal(put(image, other, 8, 'c', 4), 0);
    expect_file(disk, "/f", "b5 a5");
    expect_file(image, "/f", "a8 c4");
    disk_free(image);
}

static void a_stopped_disk_fails_everything_and_changes_nothing(void **state)
{
    struct disk *disk = *state;
    const struct fsio *fs = disk_fs(disk);
    int file = make(disk, "/f"), other;
    size_t got;
    uint64_t size;
    bool there;
    char byte;
    assert_int_equal(put(disk, file, 0, 'a', 10), 0);
    assert_int_equal(disk_ops(disk), 2);
    disk_stop_at(disk, 3);
    assert_int_equal(put(disk, file, 10, 'b', 10), 0);
    assert_true(disk_is_stopped(disk));
    assert_int_equal(put(disk, file, 20, 'c', 10), ERR_IO);
    assert_int_equal(fs->sync(fs->self, file), ERR_IO);
    assert_int_equal(fs->pread(fs->self, file, &byte, 1, 0, &got), ERR_IO);
    assert_int_equal(fs->open(fs->self, "/g", FS_WRITE | FS_CREATE, &other), ERR_IO);
    assert_int_equal(fs->size(fs->self, file, &size), ERR_IO);
    assert_int_equal(fs->exists(fs->self, "/f", &there, &size), ERR_IO);
    assert_int_equal(fs->rename(fs->self, "/f", "/g"), ERR_IO);
    assert_int_equal(fs->unlink(fs->self, "/f"), ERR_IO);
    assert_int_equal(fs->mkdir(fs->self, "/d"), ERR_IO);
    assert_int_equal(fs->sync_dir(fs->self, "/"), ERR_IO);
    assert_int_equal(disk_ops(disk), 3);
    expect_file(disk, "/f", "a10 b10");
    fs->close(fs->self, file);
}

static void a_full_disk_takes_what_fits_and_overwriting_is_free(void **state)
{
    struct disk *disk = *state;
    const struct fsio *fs = disk_fs(disk);
    int file = make(disk, "/f"), other = make(disk, "/g");
    uint64_t room;
    assert_int_equal(put(disk, other, 0, 'x', 100), 0);
    disk_set_capacity(disk, 150);
    assert_int_equal(put(disk, file, 0, 'a', 80), ERR_NO_SPACE);
    expect_file(disk, "/f", "a50");
    assert_int_equal(put(disk, file, 10, 'b', 30), 0);
    assert_int_equal(fs->space(fs->self, "/", &room), 0);
    assert_int_equal(room, 0);
    assert_int_equal(fs->unlink(fs->self, "/g"), 0);
    assert_int_equal(put(disk, file, 50, 'c', 80), 0);
    assert_int_equal(disk_used(disk), 130);
}

static void the_nth_write_fails_once_and_may_leave_a_part(void **state)
{
    struct disk *disk = *state;
    int file = make(disk, "/f");
    disk_fail_write(disk, 2);
    assert_int_equal(put(disk, file, 0, 'a', 100), 0);
    assert_int_equal(put(disk, file, 100, 'b', 100), ERR_IO);
    assert_true(disk_file_size(disk, "/f") <= 200);
    assert_int_equal(put(disk, file, 100, 'c', 100), 0);
    expect_file(disk, "/f", "a100 c100");
}

static void a_failed_sync_loses_its_writes_for_ever_though_they_are_shown(void **state)
{
    struct disk *disk = *state;
    const struct fsio *fs = disk_fs(disk);
    int file = make(disk, "/f");
    assert_int_equal(put(disk, file, 0, 'a', 100), 0);
    sync_all(disk, file);
    assert_int_equal(put(disk, file, 50, 'b', 100), 0);
    disk_fail_sync(disk, 1);
    assert_int_equal(fs->sync(fs->self, file), ERR_IO);
    assert_int_equal(fs->sync(fs->self, file), 0);        /* says 0, and saves nothing */
    expect_file(disk, "/f", "a50 b100");
    for (unsigned mode = 0; mode < DISK_CRASH_MODES; mode++)
        expect_after(disk, (enum disk_crash)mode, "/f", "a100");
    /* Later writes go on from what is durable. */
    assert_int_equal(put(disk, file, 90, 'c', 20), 0);
    assert_int_equal(fs->sync(fs->self, file), 0);
    expect_file(disk, "/f", "a50 b40 c20 b40");
    expect_after(disk, DISK_DROP_ALL, "/f", "a90 c20");
}

static void a_shadow_walks_through_the_same_states(void **state)
{
    struct disk *disk = *state;
    const struct fsio *fs = disk_fs(disk);
    int before = make(disk, "/before");
    assert_int_equal(put(disk, before, 0, 'z', 10), 0);
    sync_all(disk, before);
    disk_journal_start(disk);
    int file = make(disk, "/f");                                  /* 1 */
    assert_int_equal(put(disk, file, 0, 'a', 600), 0);            /* 2 */
    assert_int_equal(fs->sync(fs->self, file), 0);                /* 3 */
    assert_int_equal(fs->sync_dir(fs->self, "/"), 0);             /* 4 */
    assert_int_equal(put(disk, file, 0, 'b', 300), 0);            /* 5 */
    assert_int_equal(fs->rename(fs->self, "/f", "/g"), 0);        /* 6 */
    disk_set_capacity(disk, disk_used(disk) + 7);
    assert_int_equal(put(disk, file, 600, 'c', 9), ERR_NO_SPACE); /* 7 */
    disk_fail_sync(disk, 1);
    assert_int_equal(fs->sync(fs->self, file), ERR_IO);           /* 8 */
    assert_int_equal(disk_journal_ops(disk), 8);

    struct disk *shadow = disk_shadow(disk);
    expect_file(shadow, "/before", "z10");
    expect_file(shadow, "/f", "-");
    disk_shadow_to(shadow, disk, 2);
    expect_after(shadow, DISK_DROP_ALL, "/f", "-");
    disk_shadow_to(shadow, disk, 4);
    expect_after(shadow, DISK_DROP_ALL, "/f", "a600");
    disk_shadow_to(shadow, disk, 5);
    expect_file(shadow, "/f", "b300 a300");
    expect_after(shadow, DISK_DROP_ALL, "/f", "a600");
    disk_shadow_to(shadow, disk, 8);
    expect_file(shadow, "/g", "b300 a300 c7");
    expect_after(shadow, DISK_KEEP_ALL, "/g", "a600");
    expect_after(shadow, DISK_DROP_ALL, "/f", "a600");
    disk_free(shadow);
}

static int collect(void *arg, const char *name)
{
    strcat(arg, name);
    return 0;
}

static int stop_at_once(void *arg, const char *name)
{
    strcat(arg, name);
    return 42;
}

static void folders_list_their_own_names_only(void **state)
{
    struct disk *disk = *state;
    const struct fsio *fs = disk_fs(disk);
    char names[64] = "";
    int file;
    assert_int_equal(fs->mkdir(fs->self, "/d"), 0);
    assert_int_equal(fs->mkdir(fs->self, "/d"), 0);
    assert_int_equal(fs->mkdir(fs->self, "/d/e"), 0);
    assert_int_equal(fs->mkdir(fs->self, "/no/where"), ERR_NOT_FOUND);
    make(disk, "/d/e/below");
    assert_int_equal(fs->list(fs->self, "/d", collect, names), 0);
    assert_string_equal(names, "e");
    assert_int_equal(fs->list(fs->self, "/d/e", stop_at_once, names), 42);
    assert_string_equal(names, "ebelow");
    assert_int_equal(fs->list(fs->self, "/none", collect, names), ERR_NOT_FOUND);
    assert_int_equal(fs->open(fs->self, "/d/none", FS_READ, &file), ERR_NOT_FOUND);
    assert_int_equal(fs->open(fs->self, "/d/e/below", FS_WRITE | FS_CREATE | FS_EXCLUSIVE, &file), ERR_EXISTS);
    assert_int_equal(fs->unlink(fs->self, "/d/none"), ERR_NOT_FOUND);
}

static void a_lock_is_held_until_it_is_released(void **state)
{
    struct disk *disk = *state;
    const struct fsio *fs = disk_fs(disk);
    int lock, other;
    assert_int_equal(fs->lock(fs->self, "/lock", &lock), 0);
    assert_int_equal(fs->lock(fs->self, "/lock", &other), ERR_IN_USE);
    struct disk *after = disk_crash(disk, DISK_KEEP_ALL, 1);
    assert_int_equal(disk_fs(after)->lock(disk_fs(after)->self, "/lock", &other), 0);
    disk_free(after);
    fs->unlock(fs->self, lock);
    assert_int_equal(fs->lock(fs->self, "/lock", &lock), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reading_shows_every_write_and_a_crash_only_what_was_synced),
        TEST(truncation_is_undone_by_a_crash_too),
        TEST(a_name_is_there_after_its_folder_was_synced_not_before),
        TEST(a_second_name_shows_one_file_and_counts_like_any_name),
        TEST(what_lies_in_a_folder_goes_with_the_folder),
        TEST(the_last_write_of_all_files_tears_at_a_sector),
        TEST(a_random_crash_keeps_drops_and_tears_each_write_on_its_own),
        TEST(the_same_seed_makes_the_same_image),
        TEST(an_image_and_its_disk_do_not_see_each_others_writes),
        TEST(a_stopped_disk_fails_everything_and_changes_nothing),
        TEST(a_full_disk_takes_what_fits_and_overwriting_is_free),
        TEST(the_nth_write_fails_once_and_may_leave_a_part),
        TEST(a_failed_sync_loses_its_writes_for_ever_though_they_are_shown),
        TEST(a_shadow_walks_through_the_same_states),
        TEST(folders_list_their_own_names_only),
        TEST(a_lock_is_held_until_it_is_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
