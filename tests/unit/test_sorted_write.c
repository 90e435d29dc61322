/* test_sorted_write.c - how large a sorted segment is, and that it is whole or not there, whatever fails. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/sorted_world.h"

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    world_init(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_fini(*state);
    free(*state);
    return 0;
}

/* ---- content ---- */

static void a_message_of_200_bytes_takes_at_most_300_with_all_around_it(void **state)
{
    struct world *w = *state;
    uint64_t seqs[500] = { 0 };
    for (int i = 0; i < 20000; i++) {
        uint32_t conv = (uint32_t)chance_below(&w->random, 1 + chance_below(&w->random, 500));
        world_add(w, conv, ++seqs[conv], 1, 253);
    }
    world_sort(w);
    struct sorted_meta meta;
    assert_int_equal(world_write_to(w, w->fs, &meta), 0);
    assert_int_equal(w->items[0].len, 345);
    assert_int_equal(meta.records, 20000);
    print_message("%.1f bytes for each\n", (double)meta.bytes / 20000);
    assert_true(meta.bytes <= 300 * UINT64_C(20000));
}

static void what_does_not_rise_is_refused(void **state)
{
    struct world *w = *state;
    world_add(w, 1, 1, 1, 20);
    world_add(w, 1, 1, 1, 20);                     /* sequence 1 once more, from wherever */
    assert_int_equal(world_write_to(w, w->fs, NULL), ERR_CORRUPT);
    assert_int_equal(disk_file_count(w->disk, WORLD_DIR "/"), 0);
}

static void the_filter_is_as_large_as_what_came_needs(void **state)
{
    struct world *w = *state;
    world_fill(w, 100, 20, 40, 1);
    world_write(w);                                /* partitions_max: the number of records, far too many */
    struct sorted *table = world_open(w, NULL);
    assert_int_equal(table->layout.filter_log, 2); /* 4 blocks of 37 */
    uint64_t bad_offset;
    assert_int_equal(sorted_verify(table, NULL, NULL, &bad_offset), 0);     /* it has every one of them */
    sorted_unref(table);
}

static void spans_that_touch_are_joined(void **state)
{
    static const struct sorted_span spans[] = {
        { 2, 30, 39, 9, 12 }, { 1, 5, 9, 3, 4 }, { 2, 20, 29, 7, 8 }, { 1, 11, 12, 6, 6 }, { 2, 40, 41, 13, 13 },
    };
    static const struct sorted_span joined[] = { { 1, 5, 9, 3, 4 }, { 1, 11, 12, 6, 6 }, { 2, 20, 41, 7, 13 } };
    struct world *w = *state;
    struct sorted_making making = { .serial = w->serial };
    struct sorted_writer *writer;
    assert_int_equal(sorted_writer_open(w->fs, WORLD_DIR, &making, &writer), 0);
    struct sorted_meta meta;
    assert_int_equal(sorted_writer_finish(writer, spans, 5, 1, 0, &meta), 0);
    assert_int_equal(meta.span_count, 3);
    struct sorted *table = world_open(w, NULL);
    for (int i = 0; i < 3; i++)
        world_same_span(&sorted_meta(table)->spans[i], &joined[i]);
    sorted_unref(table);
}

static void more_spans_than_a_file_holds_are_refused_and_nothing_is_left(void **state)
{
    struct world *w = *state;
    struct sorted_span *spans = calloc(SORTED_SPANS_MAX + 1, sizeof *spans);
    for (uint64_t i = 0; i <= SORTED_SPANS_MAX; i++)
        spans[i] = (struct sorted_span){ 1, 1 + 10 * i, 2 + 10 * i, i, i };
    for (size_t count = SORTED_SPANS_MAX; count <= SORTED_SPANS_MAX + 1; count++) {
        struct sorted_making making = { .serial = w->serial };
        struct sorted_writer *writer;
        assert_int_equal(sorted_writer_open(w->fs, WORLD_DIR, &making, &writer), 0);
        assert_int_equal(sorted_writer_finish(writer, spans, count, 1, 0, NULL),
                         count > SORTED_SPANS_MAX ? ERR_TOO_BIG : 0);
    }
    struct sorted *table = world_open(w, NULL);
    assert_int_equal(sorted_meta(table)->span_count, SORTED_SPANS_MAX);
    sorted_unref(table);
    assert_int_equal(disk_file_count(w->disk, WORLD_DIR "/"), 1);
    free(spans);
}

/* ---- failure ---- */

static bool is_whole(struct world *w, const struct fsio *fs)
{
    struct sorted *table;
    uint64_t bad_offset;
    if (sorted_open(fs, WORLD_DIR, w->name, NULL, &table, &bad_offset))
        return false;
    bool whole = !sorted_verify(table, NULL, NULL, &bad_offset) &&
                 sorted_meta(table)->records + sorted_meta(table)->marks == w->count;
    sorted_unref(table);
    return whole;
}

static void fill_some(struct world *w)
{
    world_fill(w, 20, 60, 2000, 1);
    while (w->count < 400)
        world_add(w, 99, 1 + w->count, 1, 2000);
    world_sort(w);
}

static void an_aborted_one_leaves_nothing_and_an_older_new_is_overwritten(void **state)
{
    struct world *w = *state;
    struct sorted_making making = { .serial = w->serial };
    struct sorted_writer *writer;
    char aside[FS_PATH_MAX + 4];
    snprintf(aside, sizeof aside, "%s.new", w->path);
    assert_int_equal(sorted_writer_open(w->fs, WORLD_DIR, &making, &writer), 0);
    assert_int_equal(disk_file_count(w->disk, aside), 1);
    sorted_writer_abort(writer);
    assert_int_equal(disk_file_count(w->disk, WORLD_DIR "/"), 0);
    sorted_writer_abort(NULL);
    int file;
    assert_int_equal(w->fs->open(w->fs->self, aside, FS_WRITE | FS_CREATE, &file), 0);
    w->fs->close(w->fs->self, file);
    uint8_t junk[8192] = { 0xaa };
    disk_file_poke(w->disk, aside, 0, junk, sizeof junk);
    world_add(w, 1, 1, 1, 20);
    world_write(w);
    assert_true(is_whole(w, w->fs));
    assert_int_equal(disk_file_count(w->disk, WORLD_DIR "/"), 1);
}

static void a_full_disk_leaves_no_file_and_more_room_is_enough(void **state)
{
    struct world *w = *state;
    fill_some(w);
    world_write(w);
    uint64_t size = disk_file_size(w->disk, w->path);
    assert_int_equal(w->fs->unlink(w->fs->self, w->path), 0);
    for (uint64_t room = 0; room < size; room += size / 23) {
        disk_set_capacity(w->disk, room);
        assert_int_equal(world_write_to(w, w->fs, NULL), ERR_NO_SPACE);
        assert_int_equal(disk_file_count(w->disk, WORLD_DIR "/"), 0);
    }
    disk_set_capacity(w->disk, size);
    world_write(w);
    assert_true(is_whole(w, w->fs));
}

static void a_failed_write_or_sync_leaves_no_name(void **state)
{
    struct world *w = *state;
    fill_some(w);
    int failed = 0;
    for (uint64_t nth = 1; nth < 100; nth++) {
        disk_fail_write(w->disk, nth);
        int err = world_write_to(w, w->fs, NULL);
        disk_fail_write(w->disk, 0);
        if (!err)
            break;
        failed++;
        assert_int_equal(err, ERR_IO);
        assert_int_equal(disk_file_count(w->disk, WORLD_DIR "/"), 0);
    }
    assert_true(failed > 3);                       /* the truncation, the data in some writes, the footer */
    assert_int_equal(w->fs->unlink(w->fs->self, w->path), 0);
    for (uint64_t nth = 1; nth <= 2; nth++) {      /* the file's, then the folder's */
        disk_fail_sync(w->disk, nth);
        assert_int_equal(world_write_to(w, w->fs, NULL), ERR_IO);
        assert_int_equal(disk_file_count(w->disk, WORLD_DIR "/"), 0);
    }
    world_write(w);
    assert_true(is_whole(w, w->fs));
}

/* Counts what was written, and what of it was sent on its way, of the one file there is. */
struct counting { struct fsio fs; const struct fsio *disk; uint64_t written, on_its_way, behind_max; };

static int count_pwritev(void *self, int file, const struct iovec *parts, int count, uint64_t offset)
{
    struct counting *c = self;
    assert_int_equal(c->written, c->on_its_way);   /* one at a time */
    assert_int_equal(offset, c->written);
    for (int i = 0; i < count; i++)
        c->written += parts[i].iov_len;
    return c->disk->pwritev(c->disk->self, file, parts, count, offset);
}

static int count_write_back(void *self, int file, uint64_t offset, uint64_t len, uint64_t behind)
{
    struct counting *c = self;
    assert_int_equal(offset, c->on_its_way);
    assert_true(behind <= offset && (behind > 0) == (offset > 0));
    c->on_its_way += len;
    c->behind_max = behind > c->behind_max ? behind : c->behind_max;
    return c->disk->write_back(c->disk->self, file, offset, len, behind);
}

static int count_open(void *self, const char *path, unsigned flags, int *file_out)
{
    const struct fsio *disk = ((struct counting *)self)->disk;
    return disk->open(disk->self, path, flags, file_out);
}

static void count_close(void *self, int file)
{
    const struct fsio *disk = ((struct counting *)self)->disk;
    disk->close(disk->self, file);
}

static int count_sync(void *self, int file)
{
    const struct fsio *disk = ((struct counting *)self)->disk;
    return disk->sync(disk->self, file);
}

static int count_truncate(void *self, int file, uint64_t size)
{
    const struct fsio *disk = ((struct counting *)self)->disk;
    return disk->truncate(disk->self, file, size);
}

static int count_rename(void *self, const char *from, const char *to)
{
    const struct fsio *disk = ((struct counting *)self)->disk;
    return disk->rename(disk->self, from, to);
}

static int count_sync_dir(void *self, const char *path)
{
    const struct fsio *disk = ((struct counting *)self)->disk;
    return disk->sync_dir(disk->self, path);
}

static void what_is_written_is_on_its_way_before_more_is(void **state)
{
    struct world *w = *state;
    for (uint64_t seq = 1; seq <= 4000; seq++)
        world_add(w, 1, seq, 1, 400);
    world_sort(w);
    struct counting c = { .disk = w->fs };
    c.fs = (struct fsio){ .self = &c, .open = count_open, .close = count_close, .pwritev = count_pwritev,
                          .sync = count_sync, .write_back = count_write_back, .truncate = count_truncate,
                          .rename = count_rename, .sync_dir = count_sync_dir };
    struct sorted_meta meta;
    assert_int_equal(world_write_to(w, &c.fs, &meta), 0);
    assert_int_equal(c.written, meta.bytes);
    assert_int_equal(c.on_its_way, meta.bytes);
    assert_true(c.behind_max > 0 && c.behind_max <= 512 * 1024);   /* what a sync meanwhile has to wait for */
}

static void a_crash_at_any_operation_leaves_no_named_file_or_a_whole_one(void **state)
{
    struct world *w = *state;
    fill_some(w);
    disk_journal_start(w->disk);
    struct sorted_making making = { .serial = w->serial, .partitions_max = 10 };
    struct sorted_writer *writer;
    assert_int_equal(sorted_writer_open(w->fs, WORLD_DIR, &making, &writer), 0);
    for (size_t i = 0; i < w->count; i++)
        assert_int_equal(sorted_writer_add(writer, &w->items[i].record,
                                           bytes_of(w->items[i].whole, w->items[i].len)), 0);
    struct sorted_span spans[WORLD_LOGS];
    size_t count = world_spans(w, spans);
    assert_int_equal(sorted_writer_finish(writer, spans, count, 1, 0, NULL), 0);
    uint64_t ops = disk_journal_ops(w->disk), whole = 0;
    struct disk *shadow = disk_shadow(w->disk);
    for (uint64_t op = 0; op <= ops; op++) {
        disk_shadow_to(shadow, w->disk, op);
        for (int mode = 0; mode < DISK_CRASH_MODES; mode++) {
            for (int again = 0; again < (mode == DISK_RANDOM ? 5 : 1); again++) {
                struct disk *after = disk_crash(shadow, (enum disk_crash)mode, chance(&w->random));
                bool named = disk_file_size(after, w->path) != UINT64_MAX;
                assert_true(!named || is_whole(w, disk_fs(after)));
                assert_true(named || op < ops);    /* durable once it was told so */
                whole += named;
                disk_free(after);
            }
        }
    }
    assert_true(whole > DISK_CRASH_MODES);         /* and sometimes before */
    disk_free(shadow);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_of_200_bytes_takes_at_most_300_with_all_around_it),
        TEST(what_does_not_rise_is_refused),
        TEST(the_filter_is_as_large_as_what_came_needs),
        TEST(spans_that_touch_are_joined),
        TEST(more_spans_than_a_file_holds_are_refused_and_nothing_is_left),
        TEST(an_aborted_one_leaves_nothing_and_an_older_new_is_overwritten),
        TEST(a_full_disk_leaves_no_file_and_more_room_is_enough),
        TEST(a_failed_write_or_sync_leaves_no_name),
        TEST(what_is_written_is_on_its_way_before_more_is),
        TEST(a_crash_at_any_operation_leaves_no_named_file_or_a_whole_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
