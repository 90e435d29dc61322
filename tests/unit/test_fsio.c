/* test_fsio.c - the real disk, in a folder of its own under $TMPDIR. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/err.h"
#include "storage/fsio.h"

struct rig { char dir[FS_PATH_MAX - 64]; };

static const struct fsio *fs;

static const char *in(struct rig *rig, const char *name)
{
    static char path[4][FS_PATH_MAX];
    static int next;
    char *out = path[next++ % 4];
    fs_path(out, rig->dir, name);
    return out;
}

static int remove_each(void *arg, const char *name)
{
    const char *path = in(arg, name);
    return unlink(path) && rmdir(path) ? ERR_IO : 0;
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    const char *tmp = getenv("TMPDIR");
    snprintf(rig->dir, sizeof rig->dir, "%s/pipit-fsio-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(rig->dir));
    fs = fsio_posix();
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    fs->list(fs->self, rig->dir, remove_each, rig);
    rmdir(rig->dir);
    free(rig);
    return 0;
}

static void what_was_written_in_many_parts_is_read_back(void **state)
{
    struct rig *rig = *state;
    enum { PARTS = 3000, PART = 100 };            /* more parts than one call takes */
    struct iovec *parts = calloc(PARTS, sizeof *parts);
    uint8_t *all = malloc(PARTS * PART), *back = malloc(PARTS * PART + 50);
    for (size_t i = 0; i < PARTS * PART; i++)
        all[i] = (uint8_t)(i * 31 >> 3);
    size_t at = 0;
    for (int i = 0; i < PARTS; i++) {
        size_t len = i % 5 == 0 ? 0 : PART;       /* empty ones in between and at the end */
        parts[i] = (struct iovec){ all + at, len };
        at += len;
    }
    int file;
    size_t got;
    uint64_t size;
    assert_int_equal(fs->open(fs->self, in(rig, "f"), FS_READ | FS_WRITE | FS_CREATE, &file), 0);
    assert_int_equal(fs->pwritev(fs->self, file, parts, PARTS, 7), 0);
    assert_int_equal(fs->write_back(fs->self, file, 0, 1000, 0), 0);
    assert_int_equal(fs->write_back(fs->self, file, 1000, at - 1000, 1000), 0);
    assert_int_equal(fs->sync(fs->self, file), 0);
    assert_int_equal(fs->size(fs->self, file, &size), 0);
    assert_int_equal(size, 7 + at);
    assert_int_equal(fs->pread(fs->self, file, back, at + 50, 7, &got), 0);
    assert_int_equal(got, at);
    assert_int_equal(memcmp(all, back, at), 0);
    assert_int_equal(fs->pread(fs->self, file, back, 10, size + 100, &got), 0);
    assert_int_equal(got, 0);
    assert_int_equal(fs->truncate(fs->self, file, 20), 0);
    assert_int_equal(fs->size(fs->self, file, &size), 0);
    assert_int_equal(size, 20);
    fs->close(fs->self, file);
    free(parts);
    free(all);
    free(back);
}

static void opening_says_what_is_wrong(void **state)
{
    struct rig *rig = *state;
    int file;
    assert_int_equal(fs->open(fs->self, in(rig, "none"), FS_READ, &file), ERR_NOT_FOUND);
    assert_int_equal(fs->open(fs->self, in(rig, "none"), FS_READ | FS_WRITE, &file), ERR_NOT_FOUND);
    unsigned fresh = FS_WRITE | FS_CREATE | FS_EXCLUSIVE;
    assert_int_equal(fs->open(fs->self, in(rig, "f"), fresh, &file), 0);
    fs->close(fs->self, file);
    assert_int_equal(fs->open(fs->self, in(rig, "f"), fresh, &file), ERR_EXISTS);
    assert_int_equal(fs->open(fs->self, in(rig, "f"), FS_READ, &file), 0);
    assert_int_equal(fs->pwritev(fs->self, file, &(struct iovec){ "x", 1 }, 1, 0), ERR_IO);
    fs->close(fs->self, file);
}

static void files_are_for_their_owner_alone_and_not_inherited(void **state)
{
    struct rig *rig = *state;
    struct stat st;
    int file;
    umask(0);
    assert_int_equal(fs->open(fs->self, in(rig, "f"), FS_WRITE | FS_CREATE, &file), 0);
    assert_int_equal(fcntl(file, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(stat(in(rig, "f"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    fs->close(fs->self, file);
    assert_int_equal(fs->mkdir(fs->self, in(rig, "d")), 0);
    assert_int_equal(stat(in(rig, "d"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void a_full_device_is_no_space(void **state)
{
    int file;
    if (access("/dev/full", W_OK))
        skip();
    assert_int_equal(fs->open(fs->self, "/dev/full", FS_WRITE, &file), 0);
    assert_int_equal(fs->pwritev(fs->self, file, &(struct iovec){ "x", 1 }, 1, 0), ERR_NO_SPACE);
    fs->close(fs->self, file);
}

static void names_come_move_and_go(void **state)
{
    struct rig *rig = *state;
    int file;
    bool there;
    uint64_t size;
    assert_int_equal(fs->open(fs->self, in(rig, "a"), FS_WRITE | FS_CREATE, &file), 0);
    assert_int_equal(fs->pwritev(fs->self, file, &(struct iovec){ "abc", 3 }, 1, 0), 0);
    fs->close(fs->self, file);
    assert_int_equal(fs->exists(fs->self, in(rig, "a"), &there, &size), 0);
    assert_true(there && size == 3);
    assert_int_equal(fs->open(fs->self, in(rig, "b"), FS_WRITE | FS_CREATE, &file), 0);
    fs->close(fs->self, file);
    assert_int_equal(fs->rename(fs->self, in(rig, "a"), in(rig, "b")), 0);
    assert_int_equal(fs->sync_dir(fs->self, rig->dir), 0);
    assert_int_equal(fs->exists(fs->self, in(rig, "a"), &there, &size), 0);
    assert_false(there);
    assert_int_equal(fs->exists(fs->self, in(rig, "b"), &there, &size), 0);
    assert_true(there && size == 3);
    assert_int_equal(fs->unlink(fs->self, in(rig, "b")), 0);
    assert_int_equal(fs->unlink(fs->self, in(rig, "b")), ERR_NOT_FOUND);
    assert_int_equal(fs->rename(fs->self, in(rig, "b"), in(rig, "c")), ERR_NOT_FOUND);
    assert_int_equal(fs->exists(fs->self, in(rig, "b/c"), &there, &size), 0);
    assert_false(there);
    assert_int_equal(fs->sync_dir(fs->self, in(rig, "none")), ERR_NOT_FOUND);
}

static void a_file_may_have_two_names_and_a_folder_goes_when_it_is_empty(void **state)
{
    struct rig *rig = *state;
    int file;
    bool there;
    uint64_t size;
    char other[FS_PATH_MAX];
    snprintf(other, sizeof other, "%s", in(rig, "b"));
    assert_int_equal(fs->open(fs->self, in(rig, "a"), FS_WRITE | FS_CREATE, &file), 0);
    assert_int_equal(fs->link(fs->self, in(rig, "a"), other), 0);
    assert_int_equal(fs->pwritev(fs->self, file, &(struct iovec){ "abc", 3 }, 1, 0), 0);
    fs->close(fs->self, file);
    assert_int_equal(fs->link(fs->self, in(rig, "a"), other), ERR_EXISTS);
    assert_int_equal(fs->link(fs->self, in(rig, "none"), "/tmp/nothing"), ERR_NOT_FOUND);
    assert_int_equal(fs->link(fs->self, "/proc/self/status", in(rig, "c")), ERR_UNSUPPORTED);
    assert_int_equal(fs->unlink(fs->self, in(rig, "a")), 0);
    assert_int_equal(fs->exists(fs->self, other, &there, &size), 0);
    assert_true(there && size == 3);
    assert_int_equal(fs->mkdir(fs->self, in(rig, "d")), 0);
    assert_int_equal(fs->mkdir(fs->self, in(rig, "d/e")), 0);
    assert_int_equal(fs->rmdir(fs->self, in(rig, "d")), ERR_IN_USE);
    assert_int_equal(fs->rmdir(fs->self, in(rig, "d/e")), 0);
    assert_int_equal(fs->rmdir(fs->self, in(rig, "d")), 0);
    assert_int_equal(fs->rmdir(fs->self, in(rig, "d")), ERR_NOT_FOUND);
}

static void a_folder_may_be_made_twice_but_not_over_a_file(void **state)
{
    struct rig *rig = *state;
    int file;
    assert_int_equal(fs->mkdir(fs->self, in(rig, "d")), 0);
    assert_int_equal(fs->mkdir(fs->self, in(rig, "d")), 0);
    assert_int_equal(fs->open(fs->self, in(rig, "f"), FS_WRITE | FS_CREATE, &file), 0);
    fs->close(fs->self, file);
    assert_int_equal(fs->mkdir(fs->self, in(rig, "f")), ERR_EXISTS);
    assert_int_equal(fs->mkdir(fs->self, in(rig, "no/where")), ERR_NOT_FOUND);
}

struct seen { int count; int stop_after; bool dots; };

static int on_name(void *arg, const char *name)
{
    struct seen *seen = arg;
    seen->dots = seen->dots || name[0] == '.';
    return ++seen->count == seen->stop_after ? 77 : 0;
}

static void a_list_has_every_name_but_the_dots_and_stops_when_told(void **state)
{
    struct rig *rig = *state;
    int file;
    static const char *const names[] = { "x", "y", "z" };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fs->open(fs->self, in(rig, names[i]), FS_WRITE | FS_CREATE, &file), 0);
        fs->close(fs->self, file);
    }
    struct seen all = { 0, 0, false }, some = { 0, 2, false };
    assert_int_equal(fs->list(fs->self, rig->dir, on_name, &all), 0);
    assert_int_equal(all.count, 3);
    assert_false(all.dots);
    assert_int_equal(fs->list(fs->self, rig->dir, on_name, &some), 77);
    assert_int_equal(some.count, 2);
    assert_int_equal(fs->list(fs->self, in(rig, "none"), on_name, &all), ERR_NOT_FOUND);
}

/* What another process sees. */
static int lock_in_child(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        int lock;
        _exit(-fs->lock(fs->self, path, &lock));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

static void a_lock_keeps_others_out_until_it_is_released(void **state)
{
    struct rig *rig = *state;
    const char *path = in(rig, "lock");
    int lock, other;
    assert_int_equal(fs->lock(fs->self, path, &lock), 0);
    assert_int_equal(fs->lock(fs->self, path, &other), ERR_IN_USE);
    assert_int_equal(lock_in_child(path), ERR_IN_USE);
    fs->unlock(fs->self, lock);
    assert_int_equal(lock_in_child(path), 0);
    assert_int_equal(fs->lock(fs->self, path, &lock), 0);
    fs->unlock(fs->self, lock);
}

static void closing_another_copy_does_not_release_a_lock(void **state)
{
    struct rig *rig = *state;
    const char *path = in(rig, "lock");
    int lock, file;
    assert_int_equal(fs->lock(fs->self, path, &lock), 0);
    close(dup(lock));
    assert_int_equal(fs->open(fs->self, path, FS_READ, &file), 0);
    fs->close(fs->self, file);
    assert_int_equal(lock_in_child(path), ERR_IN_USE);
    /* And a copy left open somewhere does not keep it. */
    int copy = dup(lock);
    fs->unlock(fs->self, lock);
    assert_int_equal(lock_in_child(path), 0);
    close(copy);
}

static void there_is_room_on_this_disk(void **state)
{
    struct rig *rig = *state;
    uint64_t room = 0;
    assert_int_equal(fs->space(fs->self, rig->dir, &room), 0);
    assert_true(room > 0);
    assert_int_equal(fs->space(fs->self, in(rig, "none"), &room), ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_in_many_parts_is_read_back),
        TEST(opening_says_what_is_wrong),
        TEST(files_are_for_their_owner_alone_and_not_inherited),
        TEST(a_full_device_is_no_space),
        TEST(names_come_move_and_go),
        TEST(a_file_may_have_two_names_and_a_folder_goes_when_it_is_empty),
        TEST(a_folder_may_be_made_twice_but_not_over_a_file),
        TEST(a_list_has_every_name_but_the_dots_and_stops_when_told),
        TEST(a_lock_keeps_others_out_until_it_is_released),
        TEST(closing_another_copy_does_not_release_a_lock),
        TEST(there_is_room_on_this_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
