/* test_sorted_open.c - a sorted segment opened: what is refused and where, the budget, references. */
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
    w->block_bytes = 600;
    world_fill(w, 30, 100, 300, 2);
    world_write(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_fini(*state);
    free(*state);
    return 0;
}

static int try_open(struct world *w, struct sorted_pins *pins, uint64_t *bad_offset)
{
    struct sorted *table;
    int err = sorted_open(w->fs, WORLD_DIR, w->name, pins, &table, bad_offset);
    if (!err)
        sorted_unref(table);
    return err;
}

static void meta_is_what_was_written(void **state)
{
    struct world *w = *state;
    struct sorted *table = world_open(w, NULL);
    const struct sorted_meta *meta = sorted_meta(table);
    struct sorted_meta want = { 0 };
    for (size_t i = 0; i < w->count; i++) {
        sorted_meta_add(&want, &w->items[i].record);
        want.partitions += i == 0 || !conv_id_equal(&w->items[i].record.partition, &w->items[i - 1].record.partition);
    }
    assert_int_equal(meta->serial, 7);
    assert_int_equal(meta->made_ms, WORLD_MS);
    assert_int_equal(meta->bytes, disk_file_size(w->disk, w->path));
    assert_int_equal(meta->records, want.records);
    assert_int_equal(meta->marks, want.marks);
    assert_int_equal(meta->partitions, want.partitions);
    assert_memory_equal(&meta->min_id, &want.min_id, 16);
    assert_memory_equal(&meta->max_id, &want.max_id, 16);
    assert_int_equal(meta->expiry_min_ms, want.expiry_min_ms);
    assert_int_equal(meta->mark_min_ms, want.mark_min_ms);
    assert_int_equal(meta->source_bytes, 1000000);
    assert_int_equal(meta->written_bytes, 5000 + meta->bytes);
    struct sorted_span spans[WORLD_LOGS];
    assert_int_equal(meta->span_count, world_spans(w, spans));
    for (uint32_t i = 0; i < meta->span_count; i++)
        world_same_span(&meta->spans[i], &spans[i]);
    assert_string_equal(sorted_file_name(table), w->name);
    sorted_unref(table);
}

static void every_flipped_byte_that_opening_reads_is_found_and_told(void **state)
{
    struct world *w = *state;
    struct sorted *table = world_open(w, NULL);
    uint64_t size = table->meta.bytes, from = table->layout.index_offset;
    uint64_t spans = table->layout.spans_offset, footer = table->layout.footer_offset;
    sorted_unref(table);
    struct sorted_pins pins;
    sorted_pins_init(&pins, SORTED_PINNED_BYTES_MAX);
    for (uint64_t at = 0; at < size; at++) {
        if (at == SORTED_HEADER_BYTES)
            at = from;
        uint8_t byte, flipped;
        disk_file_read(w->disk, w->path, at, &byte, 1);
        flipped = byte ^ (uint8_t)(1 << chance_below(&w->random, 8));
        disk_file_poke(w->disk, w->path, at, &flipped, 1);
        uint64_t bad_offset;
        assert_int_equal(try_open(w, &pins, &bad_offset), ERR_CORRUPT);
        assert_true(bad_offset <= at);
        assert_true(at >= spans || at - bad_offset < INDEX_PAGE_BYTES);
        if (at >= footer)
            assert_int_equal(bad_offset, footer);
        else if (at >= spans)
            assert_int_equal(bad_offset, spans);
        disk_file_poke(w->disk, w->path, at, &byte, 1);
    }
    uint64_t bad_offset;
    assert_int_equal(try_open(w, &pins, &bad_offset), 0);
    assert_int_equal(atomic_load(&pins.bytes), 0);
}

static void a_file_of_every_other_length_is_refused(void **state)
{
    struct world *w = *state;
    uint64_t size = disk_file_size(w->disk, w->path), bad_offset;
    disk_file_poke(w->disk, w->path, size, "x", 1);
    assert_int_equal(try_open(w, NULL, &bad_offset), ERR_CORRUPT);
    for (uint64_t cut = size - 1; cut > 400; cut -= 1 + chance_below(&w->random, 97)) {
        disk_file_cut(w->disk, w->path, cut);
        assert_int_equal(try_open(w, NULL, &bad_offset), ERR_CORRUPT);
    }
    for (uint64_t cut = 400; cut > 0; cut--) {
        disk_file_cut(w->disk, w->path, cut - 1);
        assert_int_equal(try_open(w, NULL, &bad_offset), ERR_CORRUPT);
        assert_true(bad_offset <= cut - 1);
    }
}

static void a_newer_format_is_told_from_damage_and_a_wrong_name_is_damage(void **state)
{
    struct world *w = *state;
    uint8_t header[SORTED_HEADER_BYTES];
    uint64_t bad_offset;
    struct sorted *table;
    disk_file_read(w->disk, w->path, 0, header, sizeof header);
    put_u32(header + 8, SORTED_FORMAT + 1);
    put_u64(header + 32, XXH3_64bits(header, 32));
    disk_file_poke(w->disk, w->path, 0, header, sizeof header);
    assert_int_equal(try_open(w, NULL, &bad_offset), ERR_NEWER);
    world_write(w);
    char other[SORTED_NAME_BYTES], path[FS_PATH_MAX];
    sorted_name(other, 8);
    fs_path(path, WORLD_DIR, other);
    assert_int_equal(sorted_open(w->fs, WORLD_DIR, other, NULL, &table, &bad_offset), ERR_NOT_FOUND);
    assert_int_equal(sorted_open(w->fs, WORLD_DIR, "facts.db", NULL, &table, &bad_offset), ERR_NOT_FOUND);
    assert_int_equal(w->fs->rename(w->fs->self, w->path, path), 0);
    assert_int_equal(sorted_open(w->fs, WORLD_DIR, other, NULL, &table, &bad_offset), ERR_CORRUPT);
}

static void the_budget_is_kept_and_given_back(void **state)
{
    struct world *w = *state;
    struct sorted *first = world_open(w, NULL);
    uint64_t index = first->layout.filter_offset - first->layout.index_offset;
    uint64_t filter = first->layout.spans_offset - first->layout.filter_offset;
    sorted_unref(first);
    assert_true(index > filter);
    static const int indexes[] = { 0, 0, 1, 1, 1 }, filters[] = { 0, 1, 0, 1, 1 };
    const uint64_t rooms[] = { filter - 1, filter, index, index + filter, index + filter + 1 };
    for (int i = 0; i < 5; i++) {
        struct sorted_pins pins;
        sorted_pins_init(&pins, rooms[i]);
        struct sorted *table = world_open(w, &pins), *second = world_open(w, &pins);
        assert_int_equal(table->index != NULL, indexes[i]);
        assert_int_equal(table->filter != NULL, filters[i]);
        assert_int_equal(atomic_load(&pins.bytes), indexes[i] * index + filters[i] * filter);
        assert_null(second->index);
        sorted_unref(table);
        sorted_unref(second);
        assert_int_equal(atomic_load(&pins.bytes), 0);
    }
}

static void who_holds_a_reference_reads_on_when_the_name_is_gone(void **state)
{
    struct world *w = *state;
    struct sorted *table = world_open(w, NULL);
    assert_ptr_equal(sorted_ref(table), table);
    sorted_unref(table);
    assert_int_equal(w->fs->unlink(w->fs->self, w->path), 0);
    uint64_t bad_offset;
    assert_int_equal(sorted_verify(table, NULL, NULL, &bad_offset), 0);
    sorted_unref(table);
}

static void lowest_pages_of_a_small_table_are_kept_but_for_damaged_ones(void **state)
{
    struct world *w = *state;
    w->block_bytes = 100;
    for (uint64_t seq = 1; seq <= 1000; seq++)
        world_add(w, 1000, seq, 1, 200);
    world_sort(w);
    world_write(w);
    struct sorted_pins pins;
    sorted_pins_init(&pins, SORTED_PINNED_BYTES_MAX);
    struct sorted *table = world_open(w, &pins);
    assert_int_equal(table->layout.height, 2);
    assert_non_null(table->pages);
    struct sorted_entry second;
    sorted_entry_get(table->index + PIECE_HEAD_BYTES + INDEX_ENTRY_BYTES, &second);
    struct sorted_cursor c;
    sorted_cursor_init(&c);
    struct record record;
    struct bytes whole;
    for (size_t i = 0; i < w->count; i += 7) {
        const struct record *want = &w->items[i].record;
        if (want->kind == RECORD_KIND_MARKS)
            continue;
        c.reads = 0;
        assert_int_equal(sorted_seek(&c, table, &want->partition, FIND_RECORDS, want->seq, want->seq, false, 1), 0);
        assert_int_equal(c.reads, 0);
        assert_int_equal(sorted_next(&c, &record, &whole), 0);
        assert_int_equal(whole.len, w->items[i].len);
        assert_memory_equal(whole.at, w->items[i].whole, whole.len);
    }
    sorted_unref(table);
    assert_int_equal(atomic_load(&pins.bytes), 0);

    disk_file_poke(w->disk, w->path, second.offset + 100, "rot", 3);
    table = world_open(w, &pins);
    assert_null(table->pages);
    /* The entry after the first of that page leads to it. */
    uint64_t seq = second.seq + 5;
    assert_int_equal(sorted_seek(&c, table, &second.partition, FIND_RECORDS, seq, seq, false, 1), ERR_CORRUPT);
    assert_int_equal(c.bad_offset, second.offset);
    sorted_unref(table);
    assert_int_equal(atomic_load(&pins.bytes), 0);

    sorted_pins_init(&pins, 2 * 3 * INDEX_PAGE_BYTES - 1);    /* half of it holds no three pages */
    table = world_open(w, &pins);
    assert_non_null(table->index);
    assert_null(table->pages);
    sorted_unref(table);
    sorted_cursor_fini(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(meta_is_what_was_written),
        TEST(every_flipped_byte_that_opening_reads_is_found_and_told),
        TEST(a_file_of_every_other_length_is_refused),
        TEST(a_newer_format_is_told_from_damage_and_a_wrong_name_is_damage),
        TEST(the_budget_is_kept_and_given_back),
        TEST(who_holds_a_reference_reads_on_when_the_name_is_gone),
        TEST(lowest_pages_of_a_small_table_are_kept_but_for_damaged_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
