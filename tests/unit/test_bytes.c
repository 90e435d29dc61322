/* test_bytes.c - buffers refuse, readers stop, numbers are big-endian. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "proto/bytes.h"
#include "proto/err.h"

/* Sanitizers stop a program that asks for more memory than there can be, unless told that it is on purpose. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }
const char *__tsan_default_options(void) { return "allocator_may_return_null=1"; }

static bool utf8(const char *s)
{
    return bytes_is_utf8(bytes_of_str(s));
}

static void views_are_equal_when_their_bytes_are(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_of_str("abc"), bytes_of("abc", 3)));
    assert_false(bytes_equal(bytes_of_str("abc"), bytes_of_str("abd")));
    assert_false(bytes_equal(bytes_of_str("abc"), bytes_of_str("ab")));
    assert_true(bytes_equal(BYTES_NONE, bytes_of_str("")));
    assert_int_equal(bytes_of_str("abc").len, 3);
    static const uint8_t four[4] = { 1, 2, 3, 4 };
    assert_int_equal(BYTES_OF(four).len, 4);
}

static void utf8_takes_every_character_and_its_borders(void **state)
{
    (void)state;
    assert_true(bytes_is_utf8(BYTES_NONE));
    assert_true(utf8("plain"));
    assert_true(bytes_is_utf8(bytes_of("a\0b", 3)));
    assert_true(utf8("\xC2\x80"));             /* U+0080 */
    assert_true(utf8("\xDF\xBF"));             /* U+07FF */
    assert_true(utf8("\xE0\xA0\x80"));         /* U+0800 */
    assert_true(utf8("\xED\x9F\xBF"));         /* U+D7FF, the last before the surrogates */
    assert_true(utf8("\xEE\x80\x80"));         /* U+E000, the first behind them */
    assert_true(utf8("\xEF\xBF\xBF"));         /* U+FFFF */
    assert_true(utf8("\xF0\x90\x80\x80"));     /* U+10000 */
    assert_true(utf8("\xF4\x8F\xBF\xBF"));     /* U+10FFFF */
    assert_true(utf8("gr\xC3\xBC\xC3\x9F dich \xF0\x9F\x90\xA6"));
}

static void utf8_refuses_overlong_surrogate_high_and_cut(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xFE",
        "\xC2", "\xE2\x82", "\xF0\x9F\x90", "\xC2" "a", "\xE2\x82" "a", "\xF0\x9F" "aa", "ok\xE2\x28\xA1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (utf8(bad[i])) fail_msg("case %zu was taken", i);
}

/* The decoder of RFC 3629 written the slow way, to compare with: value first, then the checks. */
static bool utf8_slow(const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t c = at[i];
        size_t n = c < 0x80 ? 1 : (c & 0xE0) == 0xC0 ? 2 : (c & 0xF0) == 0xE0 ? 3 : (c & 0xF8) == 0xF0 ? 4 : 0;
        static const uint32_t mask[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 }, least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        if (n == 0 || n > len - i) return false;
        c &= mask[n];
        for (size_t k = 1; k < n; k++) {
            if ((at[i + k] & 0xC0) != 0x80) return false;
            c = c << 6 | (at[i + k] & 0x3F);
        }
        if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return false;
        i += n;
    }
    return true;
}

static void utf8_agrees_with_the_rfc_on_all_short_strings(void **state)
{
    (void)state;
    static const uint8_t last[] = { 0x00, 0x41, 0x7F, 0x80, 0xBF, 0xC2, 0xFF };
    uint8_t s[4];
    for (unsigned head = 0; head <= 0xFFFF; head++)
        for (size_t i = 0; i < sizeof last; i++) {
            put_u16(s, (uint16_t)head);
            s[2] = last[i];
            for (size_t k = 0; k < sizeof last; k++) {
                s[3] = last[k];
                for (size_t len = 1; len <= sizeof s; len++)
                    if (bytes_is_utf8(bytes_of(s, len)) != utf8_slow(s, len))
                        fail_msg("%02x %02x %02x %02x, %zu bytes", s[0], s[1], s[2], s[3], len);
            }
        }
}

static void numbers_are_big_endian_and_come_back(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    buf_put_u8(&b, 0x01);
    buf_put_u16(&b, 0x0203);
    buf_put_u32(&b, 0x04050607);
    buf_put_u64(&b, UINT64_C(0x08090A0B0C0D0E0F));
    assert_int_equal(b.err, 0);
    static const uint8_t want[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    assert_true(bytes_equal(buf_bytes(&b), BYTES_OF(want)));
    struct reader r = reader_of(buf_bytes(&b));
    assert_int_equal(reader_u8(&r), 0x01);
    assert_int_equal(reader_u16(&r), 0x0203);
    assert_int_equal(reader_u32(&r), 0x04050607);
    assert_true(reader_u64(&r) == UINT64_C(0x08090A0B0C0D0E0F));
    assert_false(r.bad);
    assert_int_equal(r.left, 0);
    buf_fini(&b);
}

static void numbers_keep_their_top_bit(void **state)
{
    (void)state;
    uint8_t v[8];
    put_u16(v, UINT16_MAX - 1);
    assert_int_equal(get_u16(v), UINT16_MAX - 1);
    put_u32(v, UINT32_MAX - 1);
    assert_true(get_u32(v) == UINT32_MAX - 1);
    put_u64(v, UINT64_MAX - 1);
    assert_true(get_u64(v) == UINT64_MAX - 1);
}

static void a_buffer_takes_up_to_max_and_not_one_more(void **state)
{
    (void)state;
    for (size_t max = 0; max <= 300; max++) {
        struct buf b;
        buf_init(&b, max);
        for (size_t i = 0; i < max; i++) buf_put_u8(&b, (uint8_t)i);
        assert_int_equal(b.err, 0);
        assert_int_equal(b.len, max);
        buf_put_u8(&b, 0);
        assert_int_equal(b.err, ERR_TOO_BIG);
        assert_int_equal(b.len, max);
        for (size_t i = 0; i < max; i++) assert_int_equal(b.at[i], (uint8_t)i);
        buf_fini(&b);
    }
}

static void a_failed_put_makes_all_later_ones_do_nothing(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    buf_put_u16(&b, 1);
    buf_put(&b, "too long", 8);
    assert_int_equal(b.err, ERR_TOO_BIG);
    buf_put_u8(&b, 1);    /* would fit */
    assert_null(buf_grow(&b, 0));
    assert_int_equal(b.len, 2);
    buf_clear(&b);
    assert_int_equal(b.err, 0);
    buf_put(&b, "fits", 4);
    assert_true(bytes_equal(buf_bytes(&b), bytes_of_str("fits")));
    buf_fini(&b);
}

static void a_length_near_the_end_of_size_t_is_refused(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    buf_put_u8(&b, 1);
    assert_null(buf_grow(&b, SIZE_MAX));
    assert_int_equal(b.err, ERR_TOO_BIG);
    buf_fini(&b);
}

static void memory_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, SIZE_MAX);
    /* Above PTRDIFF_MAX, which no malloc gives. Through a volatile, or compilers warn that it cannot work. */
    volatile size_t impossible = SIZE_MAX / 2 + 2;
    assert_null(buf_grow(&b, impossible));
    assert_int_equal(b.err, ERR_NOMEM);
    buf_fini(&b);
}

static void growing_by_nothing_gives_a_place(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    assert_non_null(buf_grow(&b, 0));
    buf_put(&b, NULL, 0);
    assert_int_equal(b.err, 0);
    assert_int_equal(b.len, 0);
    buf_fini(&b);
}

static void taken_memory_is_the_callers_and_the_buffer_starts_anew(void **state)
{
    (void)state;
    struct buf b;
    size_t len;
    buf_init(&b, 100);
    assert_null(buf_take(&b, &len));
    assert_int_equal(len, 0);
    buf_put(&b, "mine", 4);
    uint8_t *mine = buf_take(&b, &len);
    assert_int_equal(len, 4);
    assert_memory_equal(mine, "mine", 4);
    assert_null(b.at);
    assert_int_equal(b.len, 0);
    buf_put(&b, "next", 4);
    assert_memory_equal(mine, "mine", 4);
    free(mine);
    buf_grow(&b, 101);
    assert_int_equal(b.err, ERR_TOO_BIG);
    assert_null(buf_take(&b, &len));
    assert_int_equal(len, 0);
    assert_int_equal(b.err, 0);
    buf_fini(&b);
}

static void a_read_past_the_end_gives_zero_from_then_on(void **state)
{
    (void)state;
    static const uint8_t three[] = { 0xFF, 0xFF, 0xFF };
    struct reader r = reader_of(BYTES_OF(three));
    assert_int_equal(reader_u16(&r), 0xFFFF);
    assert_int_equal(reader_u16(&r), 0);
    assert_true(r.bad);
    assert_int_equal(reader_u8(&r), 0);    /* one byte is there, but the reader has stopped */
    assert_int_equal(reader_u32(&r), 0);
    assert_true(reader_u64(&r) == 0);
    assert_null(reader_bytes(&r, 1).at);
    assert_null(reader_bytes(&r, 0).at);
    assert_true(r.bad);
}

static void a_reader_hands_out_views_of_exactly_what_is_there(void **state)
{
    (void)state;
    struct reader r = reader_of(bytes_of_str("abcdef"));
    assert_true(bytes_equal(reader_bytes(&r, 4), bytes_of_str("abcd")));
    assert_int_equal(reader_bytes(&r, 0).len, 0);
    assert_false(r.bad);
    struct reader over = r;
    assert_null(reader_bytes(&over, 3).at);
    assert_true(over.bad);
    over = r;
    assert_null(reader_bytes(&over, SIZE_MAX).at);
    assert_true(over.bad);
    assert_true(bytes_equal(reader_bytes(&r, 2), bytes_of_str("ef")));
    assert_false(r.bad);
    struct reader none = reader_of(BYTES_NONE);
    assert_int_equal(reader_bytes(&none, 0).len, 0);
    assert_false(none.bad);
    assert_int_equal(reader_u8(&none), 0);
    assert_true(none.bad);
}

static void a_line_has_no_control_characters(void **state)
{
    (void)state;
    assert_true(bytes_is_line(bytes_of_str("kitchen laptop \xC3\xA4 \xF0\x9F\x90\xA6~")));
    assert_true(bytes_is_line(BYTES_NONE));
    assert_false(bytes_is_line(bytes_of_str("a\nb")));
    assert_false(bytes_is_line(bytes_of_str("a\x1B[2J")));
    assert_false(bytes_is_line(bytes_of_str("a\x7F")));
    assert_false(bytes_is_line(bytes_of("a\0b", 3)));
    assert_false(bytes_is_line(bytes_of_str("a\xFF")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_no_control_characters),
        cmocka_unit_test(views_are_equal_when_their_bytes_are),
        cmocka_unit_test(utf8_takes_every_character_and_its_borders),
        cmocka_unit_test(utf8_refuses_overlong_surrogate_high_and_cut),
        cmocka_unit_test(utf8_agrees_with_the_rfc_on_all_short_strings),
        cmocka_unit_test(numbers_are_big_endian_and_come_back),
        cmocka_unit_test(numbers_keep_their_top_bit),
        cmocka_unit_test(a_buffer_takes_up_to_max_and_not_one_more),
        cmocka_unit_test(a_failed_put_makes_all_later_ones_do_nothing),
        cmocka_unit_test(a_length_near_the_end_of_size_t_is_refused),
        cmocka_unit_test(memory_that_is_not_there_is_an_error),
        cmocka_unit_test(growing_by_nothing_gives_a_place),
        cmocka_unit_test(taken_memory_is_the_callers_and_the_buffer_starts_anew),
        cmocka_unit_test(a_read_past_the_end_gives_zero_from_then_on),
        cmocka_unit_test(a_reader_hands_out_views_of_exactly_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
