/* test_index.c - the index against a plain array of everything that went in. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/index.h"
#include "tests/harness/chance.h"
#include "tests/harness/logrig.h"

enum { PARTS = 200, ENTRIES = 20000 };

struct model_entry { uint32_t part; struct index_entry entry; };

static struct index_entry entry_of(uint64_t seq, uint64_t number, uint8_t kind)
{
    return (struct index_entry){ .seq = seq, .number = number, .offset = (uint32_t)(number * 100),
                                 .len = 72 * 1024, .kind = kind };
}

static void check_range(const struct index *index, const struct model_entry *model, size_t count, uint32_t part,
                        enum find_what what, uint64_t from, uint64_t to)
{
    const struct index_entry *at;
    struct conv_id conv = rig_conv(part);
    size_t found = index_range(index, &conv, what, from, to, &at), i = 0;
    for (size_t n = 0; n < count; n++) {
        const struct index_entry *want = &model[n].entry;
        if (model[n].part != part || (want->kind == RECORD_KIND_MARKS) != (what == FIND_MARKS) || want->seq < from ||
            want->seq > to)
            continue;
        assert_true(i < found);
        assert_int_equal(at[i].number, want->number);
        assert_int_equal(at[i].seq, want->seq);
        assert_int_equal(at[i].offset, want->offset);
        assert_int_equal(at[i].len, 72 * 1024);
        assert_int_equal(at[i].kind, want->kind);
        i++;
    }
    assert_int_equal(i, found);
}

static void ranges_are_those_of_a_plain_array_before_and_after_packing(void **state)
{
    uint64_t random = run_seed(), seq[PARTS + 1] = { 0 };
    struct model_entry *model = calloc(ENTRIES, sizeof *model);
    struct index index;
    index_init(&index);
    for (uint64_t n = 0; n < ENTRIES; n++) {
        /* A few partitions are hot, most are not. */
        uint32_t part = (uint32_t)(chance(&random) % (1 + chance_below(&random, PARTS)));
        bool is_mark = seq[part] > 0 && chance_below(&random, 3) == 0;
        if (!is_mark)
            seq[part] += 1 + chance_below(&random, 2);
        model[n].part = part;
        model[n].entry = entry_of(seq[part], n + 1, is_mark ? RECORD_KIND_MARKS : 1);
        struct conv_id conv = rig_conv(part);
        if (chance_below(&random, 2))
            for (unsigned step = 0; step < 3; step++) index_warm(&index, &conv, step);
        assert_int_equal(index_add(&index, &conv, &model[n].entry), 0);
    }
    assert_int_equal(index.entry_count, ENTRIES);
    uint64_t loose = index_bytes(&index);
    for (int packed = 0; packed < 2; packed++) {
        for (uint32_t part = 0; part <= PARTS; part += 1 + part / 10) {
            uint64_t to = chance_below(&random, seq[part] + 3), from = chance_below(&random, to + 2);
            check_range(&index, model, ENTRIES, part, FIND_RECORDS, from, to);
            check_range(&index, model, ENTRIES, part, FIND_MARKS, from, to);
            check_range(&index, model, ENTRIES, part, FIND_RECORDS, 0, UINT64_MAX);
            check_range(&index, model, ENTRIES, part, FIND_MARKS, from, UINT64_MAX);
        }
        index_pack(&index);
    }
    assert_true(index_bytes(&index) < loose);
    assert_true(index_bytes(&index) < ENTRIES * sizeof(struct index_entry) + PARTS * 100);
    index_fini(&index);
    free(model);
}

static void an_empty_index_finds_nothing(void **state)
{
    struct index index;
    const struct index_entry *at;
    struct conv_id conv = rig_conv(1);
    index_init(&index);
    assert_int_equal(index_range(&index, &conv, FIND_RECORDS, 0, UINT64_MAX, &at), 0);
    index_pack(&index);
    assert_int_equal(index_range(&index, &conv, FIND_MARKS, 0, UINT64_MAX, &at), 0);
    assert_int_equal(index_bytes(&index), 0);
    index_fini(&index);
}

static void a_sequence_must_rise_and_a_mark_must_not_fall(void **state)
{
    struct index index;
    struct conv_id conv = rig_conv(1), other = rig_conv(2);
    const struct index_entry *at;
    index_init(&index);
    struct index_entry five = entry_of(5, 1, 1), mark = entry_of(5, 2, RECORD_KIND_MARKS),
                       four = entry_of(4, 3, 1), early = entry_of(4, 4, RECORD_KIND_MARKS);
    assert_int_equal(index_add(&index, &conv, &five), 0);
    assert_int_equal(index_add(&index, &conv, &five), ERR_CORRUPT);
    assert_int_equal(index_add(&index, &conv, &four), ERR_CORRUPT);
    assert_int_equal(index_add(&index, &other, &four), 0);
    assert_int_equal(index_add(&index, &conv, &mark), 0);
    assert_int_equal(index_add(&index, &conv, &mark), 0);
    assert_int_equal(index_add(&index, &conv, &early), ERR_CORRUPT);
    assert_int_equal(index_range(&index, &conv, FIND_RECORDS, 0, UINT64_MAX, &at), 1);
    assert_int_equal(index_range(&index, &conv, FIND_MARKS, 0, UINT64_MAX, &at), 2);
    index_fini(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_those_of_a_plain_array_before_and_after_packing),
        cmocka_unit_test(an_empty_index_finds_nothing),
        cmocka_unit_test(a_sequence_must_rise_and_a_mark_must_not_fall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
