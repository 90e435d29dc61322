/* test_manifest.c - a manifest is read as it was written, has one spelling, and leads nowhere out of its folder. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"
#include "storage/manifest.h"
#include "tests/harness/disk.h"

static void sample(struct manifest *m)
{
    manifest_init(m);
    m->data = 1;
    memcpy(m->node, "0123456789abcdef", 16);
    memcpy(m->generation, "fedcba9876543210", 16);
    m->cut_ms = 1700000000000;
    m->users = 3;
    m->conversations = 2;
    m->flushed[0] = 4711;
    m->flushed[7] = 1;
    assert_int_equal(manifest_add(m, "facts.db", 40960, 0x123), 0);
    assert_int_equal(manifest_add(m, "log/0000-0000000000000001.seg", 500, UINT64_MAX), 0);
    assert_int_equal(manifest_add(m, "log/sorted-0000000000000009.seg", 0, 0), 0);
}

static const char text_of_sample[] =
    "pipit backup 1\n"
    "data 1\n"
    "node 30313233343536373839616263646566\n"
    "generation 66656463626139383736353433323130\n"
    "cut 1700000000000\n"
    "users 3\n"
    "conversations 2\n"
    "log 0 4711\n"
    "log 7 1\n"
    "file 40960 0000000000000123 facts.db\n"
    "file 500 ffffffffffffffff log/0000-0000000000000001.seg\n"
    "file 0 0000000000000000 log/sorted-0000000000000009.seg\n";

static void it_is_lines_a_person_can_read(void **state)
{
    struct manifest m;
    struct buf text;
    char sum[32];
    sample(&m);
    buf_init(&text, MANIFEST_BYTES_MAX);
    assert_int_equal(manifest_print(&m, &text), 0);
    assert_memory_equal(text.at, text_of_sample, sizeof text_of_sample - 1);
    snprintf(sum, sizeof sum, "sum %016llx\n",
             (unsigned long long)XXH3_64bits(text_of_sample, sizeof text_of_sample - 1));
    assert_int_equal(text.len, sizeof text_of_sample - 1 + strlen(sum));
    assert_memory_equal(text.at + sizeof text_of_sample - 1, sum, strlen(sum));
    buf_fini(&text);
    manifest_fini(&m);
}

static void what_was_written_is_read(void **state)
{
    struct disk *disk = disk_new(1);
    struct manifest m, back;
    sample(&m);
    assert_int_equal(disk_fs(disk)->mkdir(disk, "/b"), 0);
    assert_int_equal(manifest_read(disk_fs(disk), "/b", &back), ERR_NOT_FOUND);
    assert_int_equal(manifest_write(disk_fs(disk), "/b", &m), 0);
    assert_int_equal(manifest_read(disk_fs(disk), "/b", &back), 0);
    assert_int_equal(back.data, 1);
    assert_memory_equal(back.node, m.node, 16);
    assert_memory_equal(back.generation, m.generation, 16);
    assert_int_equal(back.cut_ms, m.cut_ms);
    assert_int_equal(back.users, 3);
    assert_int_equal(back.conversations, 2);
    assert_memory_equal(back.flushed, m.flushed, sizeof m.flushed);
    assert_int_equal(back.count, 3);
    assert_memory_equal(back.files, m.files, 3 * sizeof *m.files);
    const struct manifest_file *file = manifest_find(&back, "log/0000-0000000000000001.seg");
    assert_non_null(file);
    assert_int_equal(file->bytes, 500);
    assert_null(manifest_find(&back, "log/0000-0000000000000002.seg"));
    manifest_fini(&m);
    manifest_fini(&back);
    disk_free(disk);
}

static void a_name_that_leads_elsewhere_is_refused(void **state)
{
    static const char *const bad[] = { "../facts.db", "log/../facts.db", "log/", "log/.hidden", "log/a/b", "/log/a",
                                       "keys.db", "", "log/a b", "facts.db2" };
    struct manifest m;
    manifest_init(&m);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(manifest_add(&m, bad[i], 1, 1), ERR_CORRUPT);
    assert_int_equal(manifest_add(&m, "log/b", 1, 1), 0);
    assert_int_equal(manifest_add(&m, "log/b", 1, 1), ERR_CORRUPT);       /* twice, or out of order */
    assert_int_equal(manifest_add(&m, "log/a", 1, 1), ERR_CORRUPT);
    manifest_fini(&m);
}

static void any_other_spelling_is_refused(void **state)
{
    struct manifest m;
    struct buf text;
    sample(&m);
    buf_init(&text, MANIFEST_BYTES_MAX);
    assert_int_equal(manifest_print(&m, &text), 0);
    manifest_fini(&m);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t was = text.at[i];
        for (int flip = 0; flip < 8; flip++) {
            text.at[i] = was ^ (uint8_t)(1 << flip);
            int err = manifest_parse(buf_bytes(&text), &m);
            assert_true(err == ERR_CORRUPT || (err == ERR_NEWER && i == strlen("pipit backup ")));
            manifest_fini(&m);
        }
        text.at[i] = was;
        assert_int_equal(manifest_parse(bytes_of(text.at, i), &m), ERR_CORRUPT);
        manifest_fini(&m);
    }
    assert_int_equal(manifest_parse(buf_bytes(&text), &m), 0);
    manifest_fini(&m);
    buf_put(&text, "\n", 1);
    assert_int_equal(manifest_parse(buf_bytes(&text), &m), ERR_CORRUPT);
    manifest_fini(&m);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_lines_a_person_can_read),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(a_name_that_leads_elsewhere_is_refused),
        cmocka_unit_test(any_other_spelling_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
