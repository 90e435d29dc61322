/* test_sorted_scan.c - a sorted segment from front to back, verified, and by record number. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <xxhash.h>

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

static int verify(struct world *w, uint64_t *bad_offset)
{
    struct sorted *table;
    int err = sorted_open(w->fs, WORLD_DIR, w->name, NULL, &table, bad_offset);
    if (err)
        return err;
    err = sorted_verify(table, NULL, NULL, bad_offset);
    sorted_unref(table);
    return err;
}

static void compare_scan(struct world *w)
{
    struct sorted *table = world_open(w, NULL);
    struct sorted_scan *scan;
    assert_int_equal(sorted_scan_open(table, &scan), 0);
    sorted_unref(table);                           /* the scan has its own */
    struct record record;
    struct bytes whole;
    uint64_t offset, before = SORTED_HEADER_BYTES;
    for (size_t i = 0; i < w->count; i++) {
        assert_int_equal(sorted_scan_next(scan, &record, &whole, &offset), 0);
        world_same(&w->items[i], &record, whole);
        assert_true(offset > before && offset < disk_file_size(w->disk, w->path));
        before = offset;
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(sorted_scan_next(scan, &record, &whole, NULL), ERR_END);
    assert_true(sorted_scan_bytes(scan) >= before || w->count == 0);
    sorted_scan_close(scan);
    uint64_t bad_offset;
    assert_int_equal(verify(w, &bad_offset), 0);
}

static void a_scan_gives_every_record_in_order(void **state)
{
    struct world *w = *state;
    world_fill(w, 40, 300, 700, 2);
    world_write(w);
    compare_scan(w);
    w->block_bytes = 100;
    world_write(w);
    compare_scan(w);
}

static void a_scan_gives_the_largest_records_and_of_an_empty_file_none(void **state)
{
    struct world *w = *state;
    world_write(w);
    compare_scan(w);
    for (uint64_t seq = 1; seq < 20; seq++)
        world_add(w, 1, seq, 1, RECORD_BYTES_MAX - RECORD_HEADER_BYTES - chance_below(&w->random, 9));
    world_sort(w);
    world_write(w);
    compare_scan(w);
}

static void every_flipped_byte_is_found_and_the_offset_is_near(void **state)
{
    struct world *w = *state;
    w->block_bytes = 300;
    world_fill(w, 40, 200, 300, 2);
    world_write(w);
    uint64_t size = disk_file_size(w->disk, w->path);
    assert_true(size > 300 * 1024);                /* more than one read of the scan */
    for (uint64_t at = 0; at < size; at += 1 + chance_below(&w->random, 2 * size / 600)) {
        uint8_t byte, flipped;
        disk_file_read(w->disk, w->path, at, &byte, 1);
        flipped = byte ^ (uint8_t)(1 << chance_below(&w->random, 8));
        disk_file_poke(w->disk, w->path, at, &flipped, 1);
        uint64_t bad_offset;
        assert_int_equal(verify(w, &bad_offset), ERR_CORRUPT);
        assert_true(bad_offset <= at && at - bad_offset < INDEX_PAGE_BYTES);
        disk_file_poke(w->disk, w->path, at, &byte, 1);
    }
    compare_scan(w);
}

/* Make the footer's checksum of the file fit again. */
static void mend_footer(struct world *w, const struct sorted *table)
{
    uint64_t at = table->layout.footer_offset;
    uint8_t footer[SORTED_FOOTER_BYTES], *all = malloc(at);
    disk_file_read(w->disk, w->path, 0, all, at);
    disk_file_read(w->disk, w->path, at, footer, sizeof footer);
    put_u64(footer + 152, XXH3_64bits(all, at));
    put_u64(footer + 160, sorted_checksum(footer, 160, table->seed, at));
    disk_file_poke(w->disk, w->path, at, footer, sizeof footer);
    free(all);
}

/* Change bytes of the piece at `offset` and make its checksum fit again. */
static void forge(struct world *w, const struct sorted *table, uint64_t offset, size_t at, const void *to, size_t len)
{
    uint8_t *piece = malloc(PIECE_HEAD_BYTES + BLOCK_PAYLOAD_MAX);
    disk_file_read(w->disk, w->path, offset, piece, PIECE_HEAD_BYTES);
    size_t payload = get_u32(piece + 8);
    disk_file_read(w->disk, w->path, offset, piece, PIECE_HEAD_BYTES + payload);
    memcpy(piece + at, to, len);
    piece_seal(piece, payload, get_u16(piece + 12), get_u16(piece + 14), table->seed, offset);
    disk_file_poke(w->disk, w->path, offset, piece, PIECE_HEAD_BYTES + payload);
    free(piece);
}

static void what_checksums_do_not_find_the_scan_does(void **state)
{
    struct world *w = *state;
    w->block_bytes = 300;
    world_fill(w, 40, 200, 300, 2);
    world_write(w);
    struct sorted *table = world_open(w, NULL);
    assert_int_equal(table->layout.height, 2);
    uint64_t root = table->layout.level_offset[1], bad_offset;
    uint8_t entry[INDEX_ENTRY_BYTES];
    struct sorted_entry first;
    disk_file_read(w->disk, w->path, root + PIECE_HEAD_BYTES, entry, sizeof entry);
    sorted_entry_get(entry, &first);               /* leads to the first lowest page */
    const struct { uint64_t offset; size_t at; } places[] = {
        { first.offset, PIECE_HEAD_BYTES + 16 },             /* a sequence in a lowest page */
        { first.offset, PIECE_HEAD_BYTES + 24 + 7 },         /* a time */
        { first.offset, PIECE_HEAD_BYTES + INDEX_ENTRY_BYTES + 32 + 7 },    /* an offset */
        { root, PIECE_HEAD_BYTES + 16 },                     /* and in the root */
        { root, PIECE_HEAD_BYTES + 32 + 7 },
        { SORTED_HEADER_BYTES, PIECE_HEAD_BYTES },           /* the partition of the first run */
        { SORTED_HEADER_BYTES, 14 },                         /* the count of a block */
        { table->layout.spans_offset, PIECE_HEAD_BYTES + 4 + 7 },           /* a span */
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        uint8_t byte;
        disk_file_read(w->disk, w->path, places[i].offset + places[i].at, &byte, 1);
        byte ^= 2;
        forge(w, table, places[i].offset, places[i].at, &byte, 1);
        mend_footer(w, table);
        assert_int_equal(verify(w, &bad_offset), ERR_CORRUPT);
        byte ^= 2;
        forge(w, table, places[i].offset, places[i].at, &byte, 1);
        mend_footer(w, table);
        assert_int_equal(verify(w, &bad_offset), 0);
    }
    /* Within a sealed part only the checksum of the whole file knows. */
    forge(w, table, SORTED_HEADER_BYTES, PIECE_HEAD_BYTES + 16 + 36, "!?", 2);
    assert_int_equal(verify(w, &bad_offset), ERR_CORRUPT);
    assert_int_equal(bad_offset, table->layout.footer_offset);
    sorted_unref(table);
}

static void counts_of_the_footer_are_held_against_what_is_there(void **state)
{
    struct world *w = *state;
    world_fill(w, 5, 50, 100, 2);
    world_write(w);
    struct sorted *table = world_open(w, NULL);
    uint64_t at = table->layout.footer_offset, bad_offset;
    uint8_t footer[SORTED_FOOTER_BYTES];
    static const size_t fields[] = { 16, 24, 32, 104, 112, 120, 136 };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        disk_file_read(w->disk, w->path, at, footer, sizeof footer);
        footer[fields[i] + 7] ^= 1;
        put_u64(footer + 160, sorted_checksum(footer, 160, table->seed, at));
        disk_file_poke(w->disk, w->path, at, footer, sizeof footer);
        assert_int_equal(verify(w, &bad_offset), ERR_CORRUPT);
        assert_int_equal(bad_offset, at);
        footer[fields[i] + 7] ^= 1;
        put_u64(footer + 160, sorted_checksum(footer, 160, table->seed, at));
        disk_file_poke(w->disk, w->path, at, footer, sizeof footer);
    }
    assert_int_equal(verify(w, &bad_offset), 0);
    sorted_unref(table);
}

static int count_pace(void *arg, uint64_t bytes)
{
    uint64_t *left = arg;
    *left -= bytes < *left ? bytes : *left;
    return *left == 0 ? 55 : 0;
}

static void verifying_tells_its_pace_and_can_be_stopped(void **state)
{
    struct world *w = *state;
    world_fill(w, 40, 300, 700, 2);
    world_write(w);
    struct sorted *table = world_open(w, NULL);
    uint64_t bad_offset, footer = table->layout.footer_offset, left = footer + 1;
    assert_int_equal(sorted_verify(table, count_pace, &left, &bad_offset), 0);
    assert_int_equal(left, 1);
    left = footer / 2;
    assert_int_equal(sorted_verify(table, count_pace, &left, &bad_offset), 55);
    sorted_unref(table);
}

/* ---- by number ---- */

struct expected { struct world *w; uint32_t log; uint64_t next; size_t given, stop_at; };

static const struct item *item_of(struct world *w, uint32_t log, uint64_t number)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->items[i].record.log == log && w->items[i].record.number == number)
            return &w->items[i];
    return NULL;
}

static int on_number(void *arg, const struct record *record, struct bytes whole)
{
    struct expected *want = arg;
    assert_true(record->number >= want->next);
    while (want->next < record->number)
        assert_null(item_of(want->w, want->log, want->next++));        /* what was left out is not there */
    const struct item *item = item_of(want->w, want->log, record->number);
    assert_non_null(item);
    world_same(item, record, whole);
    want->next++;
    return ++want->given == want->stop_at ? 44 : 0;
}

static void records_come_by_number_with_their_gaps(void **state)
{
    struct world *w = *state;
    world_fill(w, 10, 60, 300, 2);
    for (size_t i = 0; i < w->count; i++)          /* some were let go */
        if (chance_below(&w->random, 10) == 0) {
            free(w->items[i].whole);
            w->items[i] = w->items[--w->count];
        }
    world_sort(w);
    world_write(w);
    struct sorted *table = world_open(w, NULL);
    uint64_t bad_offset;
    for (int round = 0; round < 60; round++) {
        struct expected want = { .w = w, .log = (uint32_t)chance_below(&w->random, WORLD_LOGS + 1) };
        uint64_t first = chance_below(&w->random, 200);
        uint32_t window = 1 + (uint32_t)chance_below(&w->random, 150);
        want.next = first;
        want.stop_at = chance_below(&w->random, 3) ? 0 : 5;
        int err = sorted_numbers(table, want.log, first, window, on_number, &want, &bad_offset);
        assert_int_equal(err, want.stop_at > 0 && want.given == want.stop_at ? 44 : 0);
        while (!err && want.next < first + window)
            assert_null(item_of(w, want.log, want.next++));
    }
    struct expected none = { .w = w };
    assert_int_equal(sorted_numbers(table, 0, UINT64_MAX, SORTED_WINDOW_MAX, on_number, &none, &bad_offset), 0);
    assert_int_equal(none.given, 0);
    sorted_unref(table);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_scan_gives_every_record_in_order),
        TEST(a_scan_gives_the_largest_records_and_of_an_empty_file_none),
        TEST(every_flipped_byte_is_found_and_the_offset_is_near),
        TEST(what_checksums_do_not_find_the_scan_does),
        TEST(counts_of_the_footer_are_held_against_what_is_there),
        TEST(verifying_tells_its_pace_and_can_be_stopped),
        TEST(records_come_by_number_with_their_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
