/* test_batch.c - the header that makes a batch whole or nothing, and the buffer it is gathered in. */
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
#include "storage/batch.h"
#include "tests/harness/chance.h"
#include "tests/harness/logrig.h"

enum { SEED = 12345 };

static const struct batch_head sample = {
    .log = 3, .number = 9, .first_number = 70, .records = 2, .payload_bytes = 500, .payload_checksum = 77,
};

static void a_header_stands_as_in_the_table_and_comes_back(void **state)
{
    uint8_t at[BATCH_HEADER_BYTES];
    struct batch_head out;
    batch_head_put(at, &sample, SEED);
    assert_memory_equal(at, "PBAT", 4);
    assert_int_equal(get_u32(at + 4), 3);
    assert_int_equal(get_u64(at + 8), 9);
    assert_int_equal(get_u64(at + 16), 70);
    assert_int_equal(get_u32(at + 24), 2);
    assert_int_equal(get_u32(at + 28), 500);
    assert_int_equal(get_u64(at + 32), 77);
    assert_int_equal(get_u64(at + 40), XXH3_64bits_withSeed(at, 40, SEED));
    assert_true(batch_head_get(at, SEED, &out));
    assert_int_equal(out.log, 3);
    assert_int_equal(out.number, 9);
    assert_int_equal(out.first_number, 70);
    assert_int_equal(out.records, 2);
    assert_int_equal(out.payload_bytes, 500);
    assert_int_equal(out.payload_checksum, 77);
}

static void a_flipped_bit_or_another_file_makes_it_no_header(void **state)
{
    uint8_t at[BATCH_HEADER_BYTES];
    struct batch_head out;
    batch_head_put(at, &sample, SEED);
    assert_false(batch_head_get(at, SEED + 1, &out));
    for (size_t bit = 0; bit < sizeof at * 8; bit++) {
        at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(batch_head_get(at, SEED, &out));
        at[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void a_header_is_found_wherever_it_lies_whole(void **state)
{
    uint64_t random = run_seed();
    enum { LEN = 400 };
    for (size_t where = 0; where <= LEN; where++) {
        /* On the heap and just so large, so that a sanitizer sees a read past its end. */
        uint8_t *in = malloc(LEN), head[BATCH_HEADER_BYTES];
        for (size_t i = 0; i < LEN; i++)
            in[i] = "PBATx"[chance_below(&random, 5)];     /* full of almosts */
        batch_head_put(head, &sample, SEED);
        size_t fits = LEN - where < sizeof head ? LEN - where : sizeof head;
        memcpy(in + where, head, fits);
        size_t want = fits == sizeof head ? where : LEN;
        assert_int_equal(batch_head_find(bytes_of(in, LEN), 0, SEED), want);
        assert_int_equal(batch_head_find(bytes_of(in, LEN), where, SEED), want);
        assert_int_equal(batch_head_find(bytes_of(in, LEN), where + 1, SEED), LEN);
        assert_int_equal(batch_head_find(bytes_of(in, LEN), 0, SEED + 1), LEN);
        free(in);
    }
}

static int add(struct batch *batch, uint64_t seq, size_t body)
{
    static struct rig_message message;
    rig_message(&message, 1, seq, body);
    message.head.log = 3;
    message.head.number = 100 + seq;
    return batch_add(batch, &message.head, &message.entry, rig_key);
}

static void a_sealed_batch_tells_of_its_records(void **state)
{
    struct batch batch;
    assert_int_equal(batch_init(&batch, NULL), 0);
    for (uint64_t seq = 1; seq <= 5; seq++)
        assert_int_equal(add(&batch, seq, 100), 0);
    batch_seal(&batch, 42, SEED);
    struct batch_head head;
    assert_true(batch_head_get(batch.bytes.at, SEED, &head));
    struct bytes payload = batch_payload(&batch);
    assert_int_equal(head.number, 42);
    assert_int_equal(head.log, 3);
    assert_int_equal(head.first_number, 101);
    assert_int_equal(head.records, 5);
    assert_int_equal(head.payload_bytes, payload.len);
    assert_int_equal(head.payload_checksum, XXH3_64bits(payload.at, payload.len));
    batch_clear(&batch);
    assert_int_equal(batch.records, 0);
    assert_int_equal(batch_payload(&batch).len, 0);
    batch_fini(&batch);
}

static void a_batch_takes_what_fits_and_keeps_its_memory(void **state)
{
    struct batch batch;
    assert_int_equal(batch_init(&batch, NULL), 0);
    const uint8_t *memory = batch.bytes.at;
    for (int use = 0; use < 3; use++) {
        uint64_t seq = 0;
        int err;
        while (!(err = add(&batch, seq + 1, 15000)))
            seq++;
        assert_int_equal(err, ERR_FULL);
        assert_int_equal(batch.records, seq);
        assert_true(batch_payload(&batch).len <= BATCH_BYTES_MAX);
        assert_true(batch_payload(&batch).len > BATCH_BYTES_MAX - 16000);
        assert_int_equal(add(&batch, seq + 1, 10), 0);      /* a smaller one still fits */
        assert_ptr_equal(batch.bytes.at, memory);
        batch_clear(&batch);
    }
    batch_fini(&batch);
}

static void a_record_over_the_limit_is_too_big_not_full(void **state)
{
    static uint8_t huge[RECORD_BYTES_MAX];
    struct batch batch;
    assert_int_equal(batch_init(&batch, NULL), 0);
    struct record head = { .kind = 1 };
    struct entry entry = { .envelopes = BYTES_OF(huge) };
    assert_int_equal(batch_add(&batch, &head, &entry, rig_key), ERR_TOO_BIG);
    assert_int_equal(batch.records, 0);
    batch_fini(&batch);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_stands_as_in_the_table_and_comes_back),
        cmocka_unit_test(a_flipped_bit_or_another_file_makes_it_no_header),
        cmocka_unit_test(a_header_is_found_wherever_it_lies_whole),
        cmocka_unit_test(a_sealed_batch_tells_of_its_records),
        cmocka_unit_test(a_batch_takes_what_fits_and_keeps_its_memory),
        cmocka_unit_test(a_record_over_the_limit_is_too_big_not_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
