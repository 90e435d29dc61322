/* test_sorted_form.c - the bytes of a sorted segment: names, layout, compact records, filter; and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/sorted_world.h"

static void a_name_says_the_serial_and_no_other_name_does(void **state)
{
    char name[SORTED_NAME_BYTES];
    sorted_name(name, 42);
    assert_string_equal(name, "sorted-0000000000000042.seg");
    uint64_t serial;
    assert_true(sorted_name_parse(name, &serial));
    assert_int_equal(serial, 42);
    static const char *const others[] = {
        "sorted-0000000000000042.seg.new", "sorted-42.seg", "0000-0000000000000042.seg", "sorted-000000000000004x.seg",
        "Sorted-0000000000000042.seg", "sorted-0000000000000042.sog", "", "sorted-00000000000000042.se",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(sorted_name_parse(others[i], &serial));
}

static void the_order_is_partition_sequence_record_then_marks_by_number(void **state)
{
    struct record rising[] = {
        { .partition = { { 1 } }, .seq = 0, .kind = RECORD_KIND_MARKS, .number = 9 },
        { .partition = { { 1 } }, .seq = 1, .kind = 1, .number = 50 },
        { .partition = { { 1 } }, .seq = 1, .kind = RECORD_KIND_MARKS, .number = 8, .log = 2 },
        { .partition = { { 1 } }, .seq = 1, .kind = RECORD_KIND_MARKS, .number = 9, .log = 1 },
        { .partition = { { 1 } }, .seq = 1, .kind = RECORD_KIND_MARKS, .number = 9, .log = 2 },
        { .partition = { { 1 } }, .seq = 2, .kind = 2, .number = 3 },
        { .partition = { { 2 } }, .seq = 1, .kind = 1, .number = 1 },
    };
    enum { COUNT = sizeof rising / sizeof *rising };
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < COUNT; k++)
            assert_int_equal((sorted_order(&rising[i], &rising[k]) > 0) - (sorted_order(&rising[i], &rising[k]) < 0),
                             (i > k) - (i < k));
    struct record same = rising[1];
    same.log = 7;
    same.number = 1;
    assert_int_equal(sorted_order(&same, &rising[1]), 0);      /* a sequence is one place, wherever it came from */
}

/* ---- blocks ---- */

static int read_all(struct bytes payload, uint16_t count, uint32_t *given_out)
{
    struct block_reader reader;
    struct record record;
    int err;
    block_reader_init(&reader, payload, count);
    *given_out = 0;
    while (!(err = block_reader_next(&reader, &record)))
        ++*given_out;
    return err;
}

static struct record sample(uint64_t seq)
{
    static const uint8_t sealed[RECORD_TAG_BYTES] = { 1 };
    return (struct record){ .partition = { { 5 } }, .seq = seq, .kind = 1, .number = 7, .sealed = BYTES_OF(sealed) };
}

static void put_run(struct buf *to, uint8_t partition, const uint64_t *seqs, size_t count)
{
    struct conv_id id = { { partition } };
    buf_put(to, id.v, sizeof id.v);
    for (size_t i = 0; i < count; i++) {
        struct record record = sample(seqs[i]);
        compact_put(to, &record, i > 0 ? seqs[i - 1] : 0);
    }
    buf_put_u8(to, 0);
}

static void a_compact_record_comes_back_with_the_largest_numbers(void **state)
{
    struct buf block;
    buf_init(&block, 4096);
    struct record record = sample(UINT64_MAX);
    record.flags = UINT16_MAX;
    record.log = LOGS_MAX - 1;
    record.number = record.key = record.counted = record.expiry_ms = UINT64_MAX;
    memset(record.id.v, 0xee, 16);
    buf_put(&block, record.partition.v, 16);
    compact_put(&block, &record, 0);
    assert_true(block.len <= 16 + COMPACT_HEAD_BYTES_MAX + record.sealed.len);
    buf_put_u8(&block, 0);
    struct block_reader reader;
    struct record back;
    block_reader_init(&reader, buf_bytes(&block), 1);
    assert_int_equal(block_reader_next(&reader, &back), 0);
    uint8_t one[256], other[256];
    size_t len = record_restore(&record, one);
    assert_int_equal(record_restore(&back, other), len);
    assert_memory_equal(one, other, len);
    assert_int_equal(block_reader_next(&reader, &back), ERR_END);
    buf_fini(&block);
}

static void a_block_is_refused_when_it_is_not_exactly_its_runs(void **state)
{
    static const uint64_t rising[] = { 1, 2, 9 };
    struct buf block;
    uint32_t given;
    buf_init(&block, 4096);
    put_run(&block, 3, rising, 3);
    put_run(&block, 4, rising, 3);
    assert_int_equal(read_all(buf_bytes(&block), 6, &given), ERR_END);
    assert_int_equal(given, 6);
    assert_int_equal(read_all(buf_bytes(&block), 5, &given), ERR_CORRUPT);
    assert_int_equal(read_all(buf_bytes(&block), 7, &given), ERR_CORRUPT);
    for (size_t len = 0; len < block.len; len++)
        assert_int_equal(read_all(bytes_of(block.at, len), 6, &given), ERR_CORRUPT);
    put_run(&block, 4, rising, 3);                             /* the same partition again */
    assert_int_equal(read_all(buf_bytes(&block), 9, &given), ERR_CORRUPT);
    buf_clear(&block);
    put_run(&block, 3, rising, 0);                             /* an empty run */
    assert_int_equal(read_all(buf_bytes(&block), 0, &given), ERR_CORRUPT);
    buf_clear(&block);
    put_run(&block, 3, (const uint64_t[]){ 4, 4 }, 2);         /* a sequence twice */
    assert_int_equal(read_all(buf_bytes(&block), 2, &given), ERR_CORRUPT);
    assert_int_equal(given, 1);
    assert_int_equal(read_all(BYTES_NONE, 0, &given), ERR_CORRUPT);
    buf_fini(&block);
}

/* The bytes of one record behind its partition, with one varint replaced. */
static int read_varint_as(const char *varint, size_t len)
{
    uint8_t block[128] = { 5 };
    size_t at = 16;
    block[at++] = RECORD_TAG_BYTES;
    block[at++] = 1;                                           /* kind */
    block[at++] = 0;                                           /* flags */
    block[at++] = 0;                                           /* log */
    memcpy(block + at, varint, len);                           /* number */
    at += len;
    block[at++] = 1;                                           /* key */
    block[at++] = 1;                                           /* sequence */
    at += 16;                                                  /* id */
    at += 2 + RECORD_TAG_BYTES + 1;                            /* counted, expiry, sealed, end of run */
    uint32_t given;
    return read_all(bytes_of(block, at), 1, &given);
}

static void a_varint_has_one_form_and_64_bits(void **state)
{
    assert_int_equal(read_varint_as("\x01", 1), ERR_END);
    assert_int_equal(read_varint_as("\x80\x01", 2), ERR_END);
    assert_int_equal(read_varint_as("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10), ERR_END);
    assert_int_equal(read_varint_as("\x81\x00", 2), ERR_CORRUPT);
    assert_int_equal(read_varint_as("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10), ERR_CORRUPT);
    assert_int_equal(read_varint_as("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11), ERR_CORRUPT);
}

/* ---- layout ---- */

static void a_layout_that_no_file_can_have_is_refused(void **state)
{
    struct sorted_layout layout;
    assert_true(sorted_layout(&layout, 0, 0, 0, 1));
    assert_int_equal(layout.height, 0);
    assert_int_equal(layout.footer_offset, SORTED_HEADER_BYTES + FILTER_BLOCK_BYTES + PIECE_HEAD_BYTES + SPAN_BYTES);
    assert_true(sorted_layout(&layout, 160001, 160001 * 1000, 3, 1));
    assert_int_equal(layout.height, 3);
    assert_int_equal(layout.pages[0], 401);
    assert_int_equal(layout.pages[1], 2);
    assert_int_equal(layout.index_offset, SORTED_HEADER_BYTES + 160001 * UINT64_C(1040) + 401 * PIECE_HEAD_BYTES);
    assert_int_equal(layout.level_offset[2], layout.level_offset[1] + 401 * INDEX_ENTRY_BYTES + 2 * PIECE_HEAD_BYTES);
    assert_false(sorted_layout(&layout, 1, 10, 0, 1));                     /* no block is so small */
    assert_false(sorted_layout(&layout, UINT64_MAX, UINT64_MAX, 0, 1));
    assert_false(sorted_layout(&layout, 1, 1000, FILTER_LOG_MAX + 1, 1));
    assert_false(sorted_layout(&layout, 1, 1000, 0, 0));
    assert_false(sorted_layout(&layout, 1, 1000, 0, SORTED_SPANS_MAX + 1));
    assert_true(sorted_layout(&layout, INT64_MAX / 4 / 100, INT64_MAX / 4, FILTER_LOG_MAX, SORTED_SPANS_MAX));
}

static void spans_hold_what_lies_in_them_and_nothing_beside(void **state)
{
    static const struct sorted_span spans[] = { { 1, 5, 9, 1, 2 }, { 1, 20, 20, 4, 4 }, { 3, 1, 2, 1, 1 } };
    for (uint32_t log = 0; log < 5; log++)
        for (uint64_t number = 0; number < 25; number++)
            assert_int_equal(spans_hold(spans, 3, log, number), (log == 1 && number >= 5 && number <= 9) ||
                             (log == 1 && number == 20) || (log == 3 && number >= 1 && number <= 2));
}

static void a_piece_of_another_place_file_or_type_does_not_pass(void **state)
{
    uint8_t piece[PIECE_HEAD_BYTES + 10] = { 0 };
    struct bytes payload;
    uint16_t count;
    piece_seal(piece, 10, PIECE_INDEX, 3, 77, 1000);
    assert_true(piece_check(BYTES_OF(piece), PIECE_INDEX, 10, 77, 1000, &payload, &count));
    assert_int_equal(count, 3);
    assert_int_equal(payload.len, 10);
    assert_false(piece_check(BYTES_OF(piece), PIECE_INDEX, 10, 77, 1001, &payload, &count));
    assert_false(piece_check(BYTES_OF(piece), PIECE_INDEX, 10, 78, 1000, &payload, &count));
    assert_false(piece_check(BYTES_OF(piece), PIECE_INDEX + 1, 10, 77, 1000, &payload, &count));
    assert_false(piece_check(BYTES_OF(piece), PIECE_INDEX, 9, 77, 1000, &payload, &count));
    assert_false(piece_check(bytes_of(piece, sizeof piece - 1), PIECE_INDEX, 10, 77, 1000, &payload, &count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_says_the_serial_and_no_other_name_does),
        cmocka_unit_test(the_order_is_partition_sequence_record_then_marks_by_number),
        cmocka_unit_test(a_compact_record_comes_back_with_the_largest_numbers),
        cmocka_unit_test(a_block_is_refused_when_it_is_not_exactly_its_runs),
        cmocka_unit_test(a_varint_has_one_form_and_64_bits),
        cmocka_unit_test(a_layout_that_no_file_can_have_is_refused),
        cmocka_unit_test(spans_hold_what_lies_in_them_and_nothing_beside),
        cmocka_unit_test(a_piece_of_another_place_file_or_type_does_not_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
