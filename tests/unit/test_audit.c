/* test_audit.c - what audit.h claims, on disks that fill up and fail. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "server/audit.h"
#include "tests/harness/disk.h"

static const char path[] = "/data/audit.log";

struct world { struct disk *disk; struct audit *audit; };

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->disk = disk_new(3);
    const struct fsio *fs = disk_fs(w->disk);
    *state = w;
    return fs->mkdir(fs->self, "/data") || fs->sync_dir(fs->self, "/") || audit_new(fs, "/data", &w->audit);
}

static int teardown(void **state)
{
    struct world *w = *state;
    audit_free(w->audit);
    disk_free(w->disk);
    free(w);
    return 0;
}

static struct audit_act act_of(const char *act, const struct user_id *whom, size_t count)
{
    return (struct audit_act){ .now_ms = 1795509943120, .uid = 1000, .pid = 4242, .act = act, .whom = whom,
                               .whom_count = count };
}

static void assert_file(struct disk *disk, const char *want)
{
    char got[1024];
    uint64_t size = disk_file_size(disk, path);
    assert_int_equal(size, strlen(want));
    disk_file_read(disk, path, 0, got, (size_t)size);
    assert_memory_equal(got, want, (size_t)size);
}

#define AT "2026-11-24T08:45:43.120Z uid=1000 pid=4242 act="

static void an_act_is_one_line_on_disk(void **state)
{
    struct world *w = *state;
    struct user_id whom[2] = { { "alice" }, { "bob" } };
    struct audit_act add = act_of("user-add", whom, 2), revoke = act_of("invite-revoke", NULL, 0);
    add.outcome = ERR_EXISTS;
    strcpy(revoke.detail, "invite=7");
    assert_int_equal(audit_write(w->audit, &add), 0);
    assert_int_equal(audit_write(w->audit, &revoke), 0);
    struct disk *after = disk_crash(w->disk, DISK_DROP_ALL, 1);
    assert_file(after, AT "user-add whom=alice,bob outcome=EXISTS\n" AT "invite-revoke invite=7 outcome=OK\n");
    disk_free(after);
}

static void a_line_that_failed_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct audit_act first = act_of("first", NULL, 0), second = act_of("second", NULL, 0);
    assert_int_equal(audit_write(w->audit, &first), 0);
    disk_fail_write(w->disk, 1);
    assert_int_equal(audit_write(w->audit, &second), ERR_IO);
    assert_file(w->disk, AT "first outcome=OK\n");
    disk_fail_sync(w->disk, 1);
    assert_int_equal(audit_write(w->audit, &second), ERR_IO);
    assert_file(w->disk, AT "first outcome=OK\n");
    disk_set_capacity(w->disk, disk_used(w->disk) + 10);
    assert_int_equal(audit_write(w->audit, &second), ERR_NO_SPACE);
    assert_file(w->disk, AT "first outcome=OK\n");
    disk_set_capacity(w->disk, UINT64_MAX);
    assert_int_equal(audit_write(w->audit, &second), 0);
    assert_file(w->disk, AT "first outcome=OK\n" AT "second outcome=OK\n");
}

static void what_was_taken_back_does_not_stand_as_done(void **state)
{
    struct world *w = *state;
    struct audit_act first = act_of("first", NULL, 0), second = act_of("second", NULL, 0);
    assert_int_equal(audit_write(w->audit, &first), 0);
    assert_int_equal(audit_write(w->audit, &second), 0);
    second.outcome = ERR_IO;
    assert_int_equal(audit_correct(w->audit, &second), 0);
    assert_file(w->disk, AT "first outcome=OK\n" AT "second outcome=IO\n");
    first.outcome = ERR_IO;                /* no longer the last: both lines stand */
    assert_int_equal(audit_correct(w->audit, &first), 0);
    assert_file(w->disk, AT "first outcome=OK\n" AT "second outcome=IO\n" AT "first outcome=IO\n");
    second.outcome = 0;
    assert_int_equal(audit_write(w->audit, &second), 0);
    disk_set_capacity(w->disk, disk_used(w->disk));
    second.outcome = ERR_NO_SPACE;         /* longer than the line it comes for */
    assert_int_equal(audit_correct(w->audit, &second), ERR_NO_SPACE);
    assert_file(w->disk, AT "first outcome=OK\n" AT "second outcome=IO\n" AT "first outcome=IO\n");
}

static void after_a_torn_line_comes_a_line_of_its_own(void **state)
{
    struct world *w = *state;
    struct audit_act act = act_of("next", NULL, 0);
    assert_int_equal(audit_write(w->audit, &act), 0);
    disk_file_cut(w->disk, path, 9);
    assert_int_equal(audit_write(w->audit, &act), 0);
    assert_file(w->disk, "2026-11-2\n" AT "next outcome=OK\n");
}

static void the_largest_request_fits_a_line(void **state)
{
    enum { NAMES = 10000 };
    struct world *w = *state;
    struct user_id *whom = calloc(NAMES, sizeof *whom);
    for (int i = 0; i < NAMES; i++) memset(whom[i].v, 'a', 32);
    struct audit_act act = act_of("user-add", whom, NAMES);
    memset(act.detail, 'd', sizeof act.detail - 1);
    assert_int_equal(audit_write(w->audit, &act), 0);
    assert_true(disk_file_size(w->disk, path) > NAMES * 33);
    free(whom);
}

#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_DISK(an_act_is_one_line_on_disk),
        ON_A_DISK(a_line_that_failed_leaves_nothing),
        ON_A_DISK(what_was_taken_back_does_not_stand_as_done),
        ON_A_DISK(after_a_torn_line_comes_a_line_of_its_own),
        ON_A_DISK(the_largest_request_fits_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
