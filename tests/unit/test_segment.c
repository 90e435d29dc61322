/* test_segment.c - one file: made, scanned, walked; and which bad bytes are torn and which are corrupt. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"
#include "storage/segment.h"
#include "tests/harness/disk.h"
#include "tests/harness/logrig.h"

#define DIR "/log"
#define PATH DIR "/0004-0000000000000101.seg"

enum { BATCHES = 4 };

struct rig {
    struct disk *disk;
    const struct fsio *fs;
    struct segment *segment;
    uint64_t ends[BATCHES + 1];
};

static const struct segment_head head_101 = { .log = 4, .first_number = 101, .first_batch = 11,
                                              .made_ms = RIG_NOW_MS };

/* Append batch `number` whose records are numbered from `first`. Returns its bytes. */
static uint64_t write_batch(struct rig *rig, uint64_t at, uint64_t number, uint64_t first, int records, uint32_t log)
{
    static struct rig_message message;
    struct batch batch;
    assert_int_equal(batch_init(&batch, NULL), 0);
    for (int i = 0; i < records; i++) {
        rig_message(&message, 1, first + (uint64_t)i, 150);
        message.head.log = log;
        message.head.number = first + (uint64_t)i;
        assert_int_equal(batch_add(&batch, &message.head, &message.entry, rig_key), 0);
    }
    batch_seal(&batch, number, rig->segment->seed);
    disk_file_poke(rig->disk, PATH, at, batch.bytes.at, batch.bytes.len);
    uint64_t len = batch.bytes.len;
    batch_fini(&batch);
    return len;
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    *state = rig;
    rig->disk = disk_new(1);
    rig->fs = disk_fs(rig->disk);
    assert_int_equal(rig->fs->mkdir(rig->fs->self, DIR), 0);
    assert_int_equal(rig->fs->sync_dir(rig->fs->self, "/"), 0);
    assert_int_equal(segment_create(rig->fs, DIR, &head_101, &rig->segment), 0);
    rig->ends[0] = disk_file_size(rig->disk, PATH);
    for (uint64_t i = 0; i < BATCHES; i++)
        rig->ends[i + 1] = rig->ends[i] + write_batch(rig, rig->ends[i], 11 + i, 101 + 2 * i, 2, 4);
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    segment_unref(rig->segment);
    disk_free(rig->disk);
    free(rig);
    return 0;
}

/* Scan the file; how many whole batches come before the answer, and where it points. */
static int scan_all(struct rig *rig, int *batches_out, uint64_t *offset_out)
{
    struct scan scan;
    struct batch_head head;
    struct bytes payload;
    uint64_t at;
    int err;
    scan_init(&scan, rig->fs, rig->segment->file, &rig->segment->head, rig->segment->seed,
              disk_file_size(rig->disk, PATH));
    for (*batches_out = 0; !(err = scan_next(&scan, &head, &payload, &at)); ++*batches_out) {
        assert_int_equal(head.number, 11 + *batches_out);
        assert_int_equal(at, rig->ends[*batches_out] + BATCH_HEADER_BYTES);
    }
    *offset_out = scan.offset;
    scan_fini(&scan);
    return err;
}

static void expect(struct rig *rig, int err, int batches)
{
    int got;
    uint64_t offset;
    assert_int_equal(scan_all(rig, &got, &offset), err);
    assert_int_equal(got, batches);
    assert_int_equal(offset, rig->ends[batches]);
}

static void a_name_says_log_and_number_and_sorts_like_them(void **state)
{
    char name[SEGMENT_NAME_BYTES], next[SEGMENT_NAME_BYTES];
    uint32_t log;
    uint64_t number;
    segment_name(name, 12, 345);
    assert_string_equal(name, "0012-0000000000000345.seg");
    assert_true(segment_name_parse(name, &log, &number));
    assert_int_equal(log, 12);
    assert_int_equal(number, 345);
    segment_name(next, 12, 1000);
    assert_true(strcmp(name, next) < 0);
    segment_name(next, 2, 9999);
    assert_true(strcmp(next, name) < 0);
    static const char *const wrong[] = { "", "x", "0012-0000000000000345.sego", "0012-0000000000000345.se",
                                         "0012+0000000000000345.seg", "0012-000000000000034x.seg" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(segment_name_parse(wrong[i], &log, &number));
}

static void a_new_file_is_durable_with_header_and_name(void **state)
{
    struct rig *rig = *state;
    struct segment *fresh;
    struct segment_head head = { .log = 7, .first_number = 1, .first_batch = 1, .made_ms = 5 };
    assert_int_equal(segment_create(rig->fs, DIR, &head, &fresh), 0);
    struct disk *after = disk_crash(rig->disk, DISK_DROP_ALL, 1);
    const char *path = DIR "/0007-0000000000000001.seg";
    uint8_t at[SEGMENT_HEADER_BYTES];
    assert_int_equal(disk_file_size(after, path), sizeof at);
    disk_file_read(after, path, 0, at, sizeof at);
    assert_memory_equal(at, "PIPITSEG", 8);
    assert_int_equal(get_u32(at + 8), 1);
    assert_int_equal(get_u32(at + 12), 7);
    assert_int_equal(get_u64(at + 16), 1);
    assert_int_equal(get_u64(at + 24), 1);
    assert_int_equal(get_u64(at + 32), 5);
    assert_int_equal(get_u64(at + 40), XXH3_64bits(at, 40));
    disk_free(after);
    segment_unref(fresh);
    assert_int_equal(segment_create(rig->fs, DIR, &head, &fresh), ERR_EXISTS);
}

static void creation_that_fails_leaves_no_file(void **state)
{
    struct rig *rig = *state;
    struct segment *fresh;
    struct segment_head head = { .log = 7, .first_number = 1, .first_batch = 1, .made_ms = 5 };
    for (int i = 1; i <= 3; i++) {
        if (i == 1)
            disk_fail_write(rig->disk, 1);
        else
            disk_fail_sync(rig->disk, (uint64_t)i - 1);      /* the file's, then the folder's */
        assert_int_equal(segment_create(rig->fs, DIR, &head, &fresh), ERR_IO);
        assert_int_equal(disk_file_count(rig->disk, DIR "/"), 1);
    }
    assert_int_equal(segment_create(rig->fs, DIR, &head, &fresh), 0);
    segment_unref(fresh);
}

static void a_good_file_ends_where_its_last_batch_ends(void **state)
{
    expect(*state, ERR_END, BATCHES);
}

static void the_last_batch_is_torn_at_every_length_and_after_any_damage(void **state)
{
    struct rig *rig = *state;
    uint64_t last = rig->ends[BATCHES - 1], end = rig->ends[BATCHES];
    for (uint64_t at = last; at < end; at += 3) {
        uint8_t byte, flipped;
        disk_file_read(rig->disk, PATH, at, &byte, 1);
        flipped = byte ^ 0x10;
        disk_file_poke(rig->disk, PATH, at, &flipped, 1);
        expect(rig, ERR_TORN, BATCHES - 1);
        disk_file_poke(rig->disk, PATH, at, &byte, 1);
    }
    for (uint64_t size = end - 1; size > last; size -= 1) {
        disk_file_cut(rig->disk, PATH, size);
        expect(rig, ERR_TORN, BATCHES - 1);
    }
    disk_file_cut(rig->disk, PATH, last);
    expect(rig, ERR_END, BATCHES - 1);
}

static void zeros_behind_the_last_batch_are_torn(void **state)
{
    struct rig *rig = *state;
    disk_file_cut(rig->disk, PATH, rig->ends[BATCHES] + 3 * 1024 * 1024);     /* more than the search reads at once */
    expect(rig, ERR_TORN, BATCHES);
}

static void damage_before_a_whole_header_is_corrupt_however_far_behind_it_is(void **state)
{
    struct rig *rig = *state;
    uint64_t end = rig->ends[BATCHES];
    /* A later header at every distance around the border between two reads of the search. */
    uint64_t border = end + 1 + BATCH_HEADER_BYTES + BATCH_BYTES_MAX;
    for (uint64_t at = border - 60; at < border + 10; at += 7) {
        disk_file_cut(rig->disk, PATH, end);
        write_batch(rig, at, 16, 120, 1, 4);
        expect(rig, ERR_CORRUPT, BATCHES);
    }
    disk_file_cut(rig->disk, PATH, end);
    disk_file_poke(rig->disk, PATH, rig->ends[1] + 5, "x", 1);
    expect(rig, ERR_CORRUPT, 1);
}

static void a_header_of_another_file_behind_does_not_count(void **state)
{
    struct rig *rig = *state;
    uint64_t end = rig->ends[BATCHES];
    disk_file_poke(rig->disk, PATH, end, "junk", 4);
    rig->segment->seed ^= 1;
    write_batch(rig, end + 4, 16, 120, 1, 4);
    rig->segment->seed ^= 1;
    expect(rig, ERR_TORN, BATCHES);
}

static void a_whole_batch_that_cannot_stand_here_is_corrupt(void **state)
{
    struct rig *rig = *state;
    uint64_t end = rig->ends[BATCHES];
    static const struct { uint64_t number, first; uint32_t log; } wrong[] = {
        { 16, 109, 4 }, { 14, 109, 4 },       /* batch number */
        { 15, 110, 4 }, { 15, 108, 4 },       /* record number */
        { 15, 109, 5 },                       /* log */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        disk_file_cut(rig->disk, PATH, end);
        write_batch(rig, end, wrong[i].number, wrong[i].first, 1, wrong[i].log);
        expect(rig, ERR_CORRUPT, BATCHES);
    }
    disk_file_cut(rig->disk, PATH, end);
    write_batch(rig, end, 15, 109, 1, 4);
    int batches;
    uint64_t offset;
    assert_int_equal(scan_all(rig, &batches, &offset), ERR_END);
}

struct walked { uint64_t records, last_batch, stop_at; };

static int on_record(void *arg, uint64_t offset, uint64_t batch, const struct record *record, struct bytes whole)
{
    struct walked *walked = arg;
    assert_int_equal(record->number, 101 + walked->records);
    assert_true(rig_is_intact(record, whole));
    assert_true(offset >= SEGMENT_HEADER_BYTES + BATCH_HEADER_BYTES);
    walked->records++;
    walked->last_batch = batch;
    return walked->records == walked->stop_at ? 55 : 0;
}

static void a_walk_gives_every_record_and_says_where_it_stopped(void **state)
{
    struct rig *rig = *state;
    struct segment_head head;
    uint64_t offset;
    struct walked all = { 0 }, some = { .stop_at = 3 }, torn = { 0 }, none = { 0 };
    assert_int_equal(segment_walk(rig->fs, PATH, &head, on_record, &all, &offset), 0);
    assert_int_equal(all.records, 2 * BATCHES);
    assert_int_equal(all.last_batch, 14);
    assert_int_equal(offset, rig->ends[BATCHES]);
    assert_int_equal(head.log, 4);
    assert_int_equal(head.first_number, 101);
    assert_int_equal(head.first_batch, 11);
    assert_int_equal(head.made_ms, RIG_NOW_MS);
    assert_int_equal(segment_walk(rig->fs, PATH, &head, on_record, &some, &offset), 55);
    disk_file_cut(rig->disk, PATH, rig->ends[BATCHES] - 1);
    assert_int_equal(segment_walk(rig->fs, PATH, &head, on_record, &torn, &offset), ERR_TORN);
    assert_int_equal(torn.records, 2 * BATCHES - 2);
    assert_int_equal(offset, rig->ends[BATCHES - 1]);
    disk_file_cut(rig->disk, PATH, 20);
    assert_int_equal(segment_walk(rig->fs, PATH, &head, on_record, &none, &offset), ERR_TORN);
    assert_int_equal(offset, 0);
    assert_int_equal(segment_walk(rig->fs, DIR "/none", &head, on_record, &none, &offset), ERR_NOT_FOUND);
    assert_int_equal(none.records, 0);
}

static int read_record(const struct segment *segment, const struct index_entry *entry, struct buf *bytes,
                       struct record *out)
{
    struct bytes whole;
    int err = segment_read(segment, entry->offset, entry->offset + entry->len, bytes);
    if (!err)
        err = segment_record(segment, entry, buf_bytes(bytes), entry->offset, out, &whole);
    assert_true(err || (whole.at == bytes->at && whole.len == entry->len));
    return err;
}

static void a_record_is_read_only_as_the_one_that_was_looked_for(void **state)
{
    struct rig *rig = *state;
    struct index_entry entry = { .seq = 101, .number = 101, .kind = 1,
                                 .offset = SEGMENT_HEADER_BYTES + BATCH_HEADER_BYTES };
    struct record record;
    struct buf bytes;
    uint8_t len[4];
    disk_file_read(rig->disk, PATH, entry.offset, len, sizeof len);
    entry.len = get_u32(len) & 0xffffff;
    buf_init(&bytes, RECORD_BYTES_MAX);
    assert_int_equal(read_record(rig->segment, &entry, &bytes, &record), 0);
    assert_true(rig_is_intact(&record, buf_bytes(&bytes)));
    struct index_entry others[] = { entry, entry, entry, entry };
    others[0].seq++;
    others[1].number++;
    others[2].kind++;
    others[3].len--;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(read_record(rig->segment, &others[i], &bytes, &record), ERR_CORRUPT);
    disk_file_poke(rig->disk, PATH, entry.offset + 100, "rot", 3);
    assert_int_equal(read_record(rig->segment, &entry, &bytes, &record), ERR_CORRUPT);
    disk_file_cut(rig->disk, PATH, entry.offset + 100);
    assert_int_equal(read_record(rig->segment, &entry, &bytes, &record), ERR_CORRUPT);
    buf_fini(&bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_says_log_and_number_and_sorts_like_them),
        TEST(a_new_file_is_durable_with_header_and_name),
        TEST(creation_that_fails_leaves_no_file),
        TEST(a_good_file_ends_where_its_last_batch_ends),
        TEST(the_last_batch_is_torn_at_every_length_and_after_any_damage),
        TEST(zeros_behind_the_last_batch_are_torn),
        TEST(damage_before_a_whole_header_is_corrupt_however_far_behind_it_is),
        TEST(a_header_of_another_file_behind_does_not_count),
        TEST(a_whole_batch_that_cannot_stand_here_is_corrupt),
        TEST(a_walk_gives_every_record_and_says_where_it_stopped),
        TEST(a_record_is_read_only_as_the_one_that_was_looked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
