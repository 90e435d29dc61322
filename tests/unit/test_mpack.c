/* test_mpack.c - every first byte of MessagePack means what its specification says, and no length is believed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mpack.h"

#define IN(literal) bytes_of(literal, sizeof(literal) - 1)

/* One item, with nothing behind it. */
static struct mpack_item item_of(struct bytes in)
{
    struct reader r = reader_of(in);
    struct mpack_item item;
    assert_true(mpack_next(&r, &item));
    assert_int_equal(r.left, 0);
    return item;
}

static void assert_number(struct bytes in, enum mpack_kind kind, uint64_t number)
{
    struct mpack_item item = item_of(in);
    assert_int_equal(item.kind, kind);
    assert_true(item.number == number);
}

static void assert_bytes(struct bytes in, enum mpack_kind kind, struct bytes want)
{
    struct mpack_item item = item_of(in);
    assert_int_equal(item.kind, kind);
    assert_true(bytes_equal(item.bytes, want));
}

static bool skips(struct bytes in, unsigned nesting)
{
    struct reader r = reader_of(in);
    return mpack_skip(&r, nesting) && r.left == 0;
}

static void every_form_of_a_number_is_read(void **state)
{
    (void)state;
    assert_number(IN("\x00"), MPACK_UINT, 0);
    assert_number(IN("\x7F"), MPACK_UINT, 127);
    assert_number(IN("\xCC\xFF"), MPACK_UINT, 255);
    assert_number(IN("\xCD\x01\x02"), MPACK_UINT, 0x0102);
    assert_number(IN("\xCE\x01\x02\x03\x04"), MPACK_UINT, 0x01020304);
    assert_number(IN("\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE"), MPACK_UINT, UINT64_MAX - 1);
    assert_number(IN("\xCF\x00\x00\x00\x00\x00\x00\x00\x05"), MPACK_UINT, 5);    /* longer than needed is allowed */
}

static void signed_forms_are_numbers_when_not_negative(void **state)
{
    (void)state;
    assert_number(IN("\xD0\x7F"), MPACK_UINT, 127);
    assert_number(IN("\xD1\x7F\xFF"), MPACK_UINT, INT16_MAX);
    assert_number(IN("\xD2\x7F\xFF\xFF\xFF"), MPACK_UINT, INT32_MAX);
    assert_number(IN("\xD3\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), MPACK_UINT, INT64_MAX);
    assert_number(IN("\xD0\xFF"), MPACK_NEGATIVE, 0);
    assert_number(IN("\xD1\x80\x00"), MPACK_NEGATIVE, 0);
    assert_number(IN("\xD2\x80\x00\x00\x00"), MPACK_NEGATIVE, 0);
    assert_number(IN("\xD3\x80\x00\x00\x00\x00\x00\x00\x00"), MPACK_NEGATIVE, 0);
    assert_number(IN("\xE0"), MPACK_NEGATIVE, 0);
    assert_number(IN("\xFF"), MPACK_NEGATIVE, 0);
}

static void nil_booleans_and_floats_are_told_apart(void **state)
{
    (void)state;
    assert_number(IN("\xC0"), MPACK_NIL, 0);
    assert_number(IN("\xC2"), MPACK_BOOL, 0);
    assert_number(IN("\xC3"), MPACK_BOOL, 1);
    assert_number(IN("\xCA\x3F\x80\x00\x00"), MPACK_FLOAT, 0);
    assert_number(IN("\xCB\x3F\xF0\x00\x00\x00\x00\x00\x00"), MPACK_FLOAT, 0);
}

static void every_form_of_str_bin_and_ext_gives_its_bytes(void **state)
{
    (void)state;
    assert_bytes(IN("\xA0"), MPACK_STR, BYTES_NONE);
    assert_bytes(IN("\xA3" "abc"), MPACK_STR, IN("abc"));
    assert_bytes(IN("\xBF" "abcdefghijklmnopqrstuvwxyz01234"), MPACK_STR, IN("abcdefghijklmnopqrstuvwxyz01234"));
    assert_bytes(IN("\xD9\x03" "abc"), MPACK_STR, IN("abc"));
    assert_bytes(IN("\xDA\x00\x03" "abc"), MPACK_STR, IN("abc"));
    assert_bytes(IN("\xDB\x00\x00\x00\x03" "abc"), MPACK_STR, IN("abc"));
    assert_bytes(IN("\xC4\x02\x01\x02"), MPACK_BIN, IN("\x01\x02"));
    assert_bytes(IN("\xC5\x00\x02\x01\x02"), MPACK_BIN, IN("\x01\x02"));
    assert_bytes(IN("\xC6\x00\x00\x00\x02\x01\x02"), MPACK_BIN, IN("\x01\x02"));
    assert_bytes(IN("\xC7\x02\x09\x01\x02"), MPACK_EXT, IN("\x01\x02"));
    assert_bytes(IN("\xC8\x00\x02\x09\x01\x02"), MPACK_EXT, IN("\x01\x02"));
    assert_bytes(IN("\xC9\x00\x00\x00\x02\x09\x01\x02"), MPACK_EXT, IN("\x01\x02"));
    assert_bytes(IN("\xD4\x09" "1"), MPACK_EXT, IN("1"));
    assert_bytes(IN("\xD5\x09" "12"), MPACK_EXT, IN("12"));
    assert_bytes(IN("\xD6\x09" "1234"), MPACK_EXT, IN("1234"));
    assert_bytes(IN("\xD7\x09" "12345678"), MPACK_EXT, IN("12345678"));
    assert_bytes(IN("\xD8\x09" "1234567890123456"), MPACK_EXT, IN("1234567890123456"));
}

/* The header is read, the items are left to the next call. */
static void assert_count(struct bytes in, enum mpack_kind kind, uint64_t count, size_t left)
{
    struct reader r = reader_of(in);
    struct mpack_item item;
    assert_true(mpack_next(&r, &item));
    assert_int_equal(item.kind, kind);
    assert_int_equal(item.number, count);
    assert_int_equal(r.left, left);
    assert_true(skips(in, 1));
}

static void every_form_of_array_and_map_gives_its_count(void **state)
{
    (void)state;
    assert_count(IN("\x90"), MPACK_ARRAY, 0, 0);
    assert_count(IN("\x92\x01\x02"), MPACK_ARRAY, 2, 2);
    assert_count(IN("\xDC\x00\x02\x01\x02"), MPACK_ARRAY, 2, 2);
    assert_count(IN("\xDD\x00\x00\x00\x02\x01\x02"), MPACK_ARRAY, 2, 2);
    assert_count(IN("\x80"), MPACK_MAP, 0, 0);
    assert_count(IN("\x81\x01\x02"), MPACK_MAP, 1, 2);
    assert_count(IN("\xDE\x00\x01\x01\x02"), MPACK_MAP, 1, 2);
    assert_count(IN("\xDF\x00\x00\x00\x01\x01\x02"), MPACK_MAP, 1, 2);
}

static void the_byte_that_is_never_used_is_refused(void **state)
{
    (void)state;
    assert_false(skips(IN("\xC1"), 1));
    assert_false(skips(IN("\x91\xC1"), 1));
}

static void a_length_beyond_the_bytes_is_refused(void **state)
{
    (void)state;
    static const struct bytes bad[] = {
        { (const uint8_t *)"\xDB\xFF\xFF\xFF\xFF" "abc", 8 }, { (const uint8_t *)"\xC6\xFF\xFF\xFF\xFF" "abc", 8 },
        { (const uint8_t *)"\xC9\xFF\xFF\xFF\xFF\x01" "a", 7 }, { (const uint8_t *)"\xDD\xFF\xFF\xFF\xFF\x01\x02", 7 },
        { (const uint8_t *)"\xDF\xFF\xFF\xFF\xFF\x01\x02", 7 }, { (const uint8_t *)"\xDF\x80\x00\x00\x00\x01\x02", 7 },
        { (const uint8_t *)"\xDC\xFF\xFF\x01\x02", 5 }, { (const uint8_t *)"\x82\x01\x02\x03", 4 },
        { (const uint8_t *)"\x93\x01\x02", 3 }, { (const uint8_t *)"\xA4" "abc", 4 }, { (const uint8_t *)"", 0 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct reader r = reader_of(bad[i]);
        struct mpack_item item;
        if (mpack_next(&r, &item)) fail_msg("case %zu was taken", i);
        if (skips(bad[i], 9)) fail_msg("case %zu was skipped", i);
    }
}

static void every_cut_of_an_item_is_refused(void **state)
{
    (void)state;
    static const char whole[] = "\xDC\x00\x10\x01\xCC\x01\xCD\x01\x01\xCE\x01\x01\x01\x01\xD3\x01\x01\x01\x01\x01\x01\x01\x01"
                                "\xA2" "ab\xC4\x02" "ab\xD9\x02" "ab\xCA\x01\x01\x01\x01\xC0\xC3\xD5\x01" "ab"
                                "\x81\xA1" "k\x92\x01\x02\xC8\x00\x01\x07" "a\xFF\x90";
    size_t len = sizeof whole - 1;
    assert_true(skips(bytes_of(whole, len), 3));
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = malloc(cut > 0 ? cut : 1);    /* sanitizers see a read behind it */
        memcpy(exact, whole, cut);
        if (skips(bytes_of(exact, cut), 3)) fail_msg("%zu of %zu bytes were taken", cut, len);
        free(exact);
    }
}

static void nesting_is_allowed_so_deep_and_no_deeper(void **state)
{
    (void)state;
    assert_true(skips(IN("\x05"), 0));
    assert_false(skips(IN("\x90"), 0));
    assert_true(skips(IN("\x90"), 1));
    assert_false(skips(IN("\x91\x90"), 1));
    assert_true(skips(IN("\x91\x90"), 2));
    assert_false(skips(IN("\x81\x01\x80"), 1));
    assert_true(skips(IN("\x81\x01\x80"), 2));
    assert_true(skips(IN("\x92\x91\x90\x91\x90"), 3));    /* depth, not number */
    uint8_t deep[65536];
    memset(deep, 0x91, sizeof deep);
    assert_false(skips(BYTES_OF(deep), 6));
}

static void skipping_stops_behind_the_item(void **state)
{
    (void)state;
    struct reader r = reader_of(IN("\x92\x01\x81\x02\x03" "rest"));
    assert_true(mpack_skip(&r, 2));
    assert_true(bytes_equal(bytes_of(r.at, r.left), IN("rest")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_a_number_is_read),
        cmocka_unit_test(signed_forms_are_numbers_when_not_negative),
        cmocka_unit_test(nil_booleans_and_floats_are_told_apart),
        cmocka_unit_test(every_form_of_str_bin_and_ext_gives_its_bytes),
        cmocka_unit_test(every_form_of_array_and_map_gives_its_count),
        cmocka_unit_test(the_byte_that_is_never_used_is_refused),
        cmocka_unit_test(a_length_beyond_the_bytes_is_refused),
        cmocka_unit_test(every_cut_of_an_item_is_refused),
        cmocka_unit_test(nesting_is_allowed_so_deep_and_no_deeper),
        cmocka_unit_test(skipping_stops_behind_the_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
