/* test_tui_text.c - text on a grid: what is written is as wide as it is counted, and rows hold every byte once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "tools/client/tui/text.h"
#include "tools/common/utf8.h"

#define BAD "\xef\xbf\xbd"

enum { ROUNDS = 3000, RANDOM_BYTES_MAX = 200 };

static uint64_t seed;

static size_t random_below(size_t bound)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(seed >> 33) % bound;
}

static int setup(void **state)
{
    const char *given = getenv("PIPIT_SEED");
    (void)state;
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("PIPIT_SEED=%llu\n", (unsigned long long)seed);
    return setlocale(LC_CTYPE, "C.UTF-8") ? 0 : -1;
}

/* What a text is shown as, in memory that lasts until the next call. */
static const char *shown(struct bytes text)
{
    static char out[RANDOM_BYTES_MAX * TEXT_SHOWN_MAX + 1];
    struct buf b;
    buf_init(&b, sizeof out - 1);
    text_put(&b, text);
    assert_int_equal(b.err, 0);
    memcpy(out, b.len ? b.at : (const uint8_t *)"", b.len);
    out[b.len] = '\0';
    buf_fini(&b);
    return out;
}

static const char *cut(const char *text, unsigned cols)
{
    static char out[256];
    struct buf b;
    buf_init(&b, sizeof out - 1);
    unsigned columns = text_put_cut(&b, bytes_of_str(text), cols);
    assert_true(columns <= cols);
    assert_int_equal(columns, text_columns(buf_bytes(&b)));
    memcpy(out, b.len ? b.at : (const uint8_t *)"", b.len);
    out[b.len] = '\0';
    buf_fini(&b);
    return out;
}

/* The rows of a text with | between them. */
static const char *rows(const char *text, unsigned cols)
{
    static char out[1024];
    struct bytes t = bytes_of_str(text);
    struct text_row row = { 0 };
    size_t len = 0;
    while (text_row_next(t, cols, &row)) {
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%.*s", row.at > 0 ? "|" : "", (int)row.len,
                                text + row.at);
    }
    return out;
}

static void shows(const char *text, const char *as, unsigned columns)
{
    assert_string_equal(shown(bytes_of_str(text)), as);
    assert_int_equal(text_columns(bytes_of_str(text)), columns);
}

static size_t clusters(const char *text)
{
    struct bytes t = bytes_of_str(text);
    size_t count = 0;
    for (size_t i = 0; i < t.len; count++) i += text_cluster_at(t, i).len;
    return count;
}

static void plain_text_is_shown_as_it_is(void **state)
{
    (void)state;
    shows("", "", 0);
    shows("hello", "hello", 5);
    shows("gr\u00fc\u00df", "gr\u00fc\u00df", 4);
    shows("\u4e16\u754c", "\u4e16\u754c", 4);
    shows("\U0001f600", "\U0001f600", 2);
    shows("\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd", 4);
}

static void what_is_unsafe_is_shown_not_obeyed(void **state)
{
    (void)state;
    shows("a\x1b[2J", "a" BAD "[2J", 5);
    shows("\x07\x7f\r", BAD BAD BAD, 3);
    shows("\xc2\x9b" "31m", BAD "31m", 4);
    shows("\u202e\u2066\u2028\ufeff", BAD BAD BAD BAD, 4);
    shows("\xff\xc3", BAD BAD, 2);
    shows("a\nb", "a b", 3);
    shows("a\tb", "a  b", 2 + TEXT_TAB_COLUMNS);
}

static void what_terminals_join_is_taken_apart(void **state)
{
    (void)state;
    shows("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\U0001f469\U0001f467", 6);
    assert_int_equal(clusters("\U0001f468\u200d\U0001f469\u200d\U0001f467"), 3);
    shows("\u2764\ufe0f", "\u2764", 1);
    shows("1\ufe0f\u20e3", "1\u20e3", 1);
    shows("\U0001f44d\U0001f3fd", "\U0001f44d", 2);
    assert_int_equal(clusters("\U0001f44d\U0001f3fd"), 1);
    shows("\U0001f3fd", "\U0001f3fd", 2);
    shows("\U0001f1e9\U0001f1ea", "DE", 2);
    assert_int_equal(clusters("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7"), 2);
    shows("\U0001f1e9", "D", 1);
    shows("\U0001f3f4\U000e0067\U000e0062\U000e007f", "\U0001f3f4", 2);
    shows("co\u00adop\u200b\u200e", "coop", 4);
}

static void marks_stay_on_their_letter(void **state)
{
    (void)state;
    shows("e\u0301x", "\u00e9x", 2);
    assert_int_equal(clusters("e\u0301x"), 2);
    shows("\u1112\u1161\u11ab", "\ud55c", 2);
    shows("x\u0316\u0317\u0318\u0319\u031a\u031c\u031d", "x\u0316\u0317\u0318\u0319", 1);
    shows("\u0301a", " \u0301" "a", 2);
    assert_int_equal(clusters("\u0915\u093f"), 1);
}

static void a_cluster_of_nothing_visible_has_no_columns(void **state)
{
    struct text_cluster c = text_cluster_at(bytes_of_str("\u200b\u200d"), 0);
    (void)state;
    assert_int_equal(c.columns, 0);
    assert_int_equal(c.shown_len, 0);
    assert_int_equal(c.len, 6);
    assert_int_equal(text_cluster_at(bytes_of_str("a\u200b\u200bb"), 0).len, 7);
    assert_int_equal(text_cluster_at(bytes_of_str("\u200b\n"), 0).len, 3);
}

/* Every code point, alone: its form is safe, and wcwidth() gives it the columns that we count. */
static void every_code_point_is_as_wide_as_it_is_counted(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char in[UTF8_BYTES_MAX];
        if (c == 0xd800) c = 0xe000;
        struct bytes text = bytes_of(in, utf8_put(c, in));
        struct text_cluster cluster = text_cluster_at(text, 0);
        struct bytes form = bytes_of(cluster.shown, cluster.shown_len);
        unsigned columns = 0;
        assert_true(cluster.len == text.len && cluster.columns <= 2);
        for (size_t i = 0, len; i < form.len; i += len) {
            uint32_t shown = utf8_at(form, i, &len);
            int width = wcwidth((wchar_t)shown);
            assert_true(shown == UTF8_BAD || !utf8_is_unsafe(shown));
            assert_true(width >= 0);
            columns += (unsigned)width;
        }
        assert_int_equal(columns, cluster.columns);
    }
}

static void a_cut_has_whole_clusters_and_an_ellipsis(void **state)
{
    (void)state;
    assert_string_equal(cut("hello", 5), "hello");
    assert_string_equal(cut("hello", 4), "hel\u2026");
    assert_string_equal(cut("hello", 1), "\u2026");
    assert_string_equal(cut("hello", 0), "");
    assert_string_equal(cut("", 0), "");
    assert_string_equal(cut("\u4e16\u754c", 4), "\u4e16\u754c");
    assert_string_equal(cut("\u4e16\u754c", 3), "\u4e16\u2026");
    assert_string_equal(cut("\u4e16\u754c", 2), "\u2026");
    assert_string_equal(cut("\u4e16", 1), "\u2026");
    assert_string_equal(cut("e\u0301e\u0301e\u0301", 2), "\u00e9\u2026");
    assert_string_equal(cut("a\nb", 3), "a b");
}

static void rows_break_at_blanks_where_they_can(void **state)
{
    (void)state;
    assert_string_equal(rows("", 5), "");
    assert_string_equal(rows("hello world", 20), "hello world");
    assert_string_equal(rows("hello world", 5), "hello|world");
    assert_string_equal(rows("hello world", 6), "hello |world");
    assert_string_equal(rows("hello world", 8), "hello |world");
    assert_string_equal(rows("hello    world", 5), "hello|world");
    assert_string_equal(rows("hello    ", 5), "hello");
    assert_string_equal(rows("hello  \nworld", 5), "hello|world");
    assert_string_equal(rows("a incomprehensible b", 6), "a |incomp|rehens|ible b");
    assert_string_equal(rows("incomprehensible", 6), "incomp|rehens|ible");
    assert_string_equal(rows("a\u00a0b c", 4), "a\u00a0b |c");
    assert_string_equal(rows("ab\u4e16\u754c\u4e16", 5), "ab\u4e16|\u754c\u4e16");
}

static void line_ends_begin_rows(void **state)
{
    (void)state;
    assert_string_equal(rows("a\nb", 5), "a|b");
    assert_string_equal(rows("\n", 5), "|");
    assert_string_equal(rows("a\n\n", 5), "a||");
    assert_string_equal(rows("hello\nworld\n", 5), "hello|world|");
    assert_int_equal(text_rows(BYTES_NONE, 5), 1);
    assert_int_equal(text_rows(bytes_of_str("\n\n"), 5), 3);
}

static void one_column_is_enough_to_end(void **state)
{
    (void)state;
    assert_string_equal(rows("ab c", 1), "a|b|c");
    assert_string_equal(rows("\u4e16\u754c", 1), "\u4e16|\u754c");
    assert_string_equal(rows("\u4e16\n\u754c", 1), "\u4e16|\u754c");
    assert_string_equal(rows("\t\t", 1), "\t");
    assert_string_equal(rows("\u200b\u200b", 1), "\u200b\u200b");
}

static void a_cursor_goes_where_its_cluster_is(void **state)
{
    static const struct { const char *text; unsigned cols; size_t at, row; unsigned column; } cases[] = {
        { "", 5, 0, 0, 0 },             { "hello", 5, 5, 0, 5 },        { "hello world", 5, 5, 0, 5 },
        { "hello world", 5, 6, 1, 0 },  { "hello   x", 5, 7, 0, 5 },    { "incomprehensible", 6, 6, 1, 0 },
        { "a\n", 5, 1, 0, 1 },          { "a\n", 5, 2, 1, 0 },          { "\u4e16x", 5, 3, 0, 2 },
        { "a\tb", 9, 2, 0, 3 },         { "\u4e16", 1, 3, 0, 1 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text_place place = text_place_at(bytes_of_str(cases[i].text), cases[i].cols, cases[i].at);
        assert_int_equal(place.row, cases[i].row);
        assert_int_equal(place.column, cases[i].column);
    }
    struct bytes text = bytes_of_str("incomprehensible\nab");
    assert_int_equal(text_offset_of(text, 6, (struct text_place){ 0, 3 }), 3);
    assert_int_equal(text_offset_of(text, 6, (struct text_place){ 0, 6 }), 5);    /* behind it is the next row */
    assert_int_equal(text_offset_of(text, 6, (struct text_place){ 2, 6 }), 16);
    assert_int_equal(text_offset_of(text, 6, (struct text_place){ 3, 6 }), 19);
    assert_int_equal(text_offset_of(text, 6, (struct text_place){ 4, 0 }), 19);
    assert_int_equal(text_offset_of(bytes_of_str("\u4e16\u754c"), 6, (struct text_place){ 0, 3 }), 3);
}

/* Pieces that join, vary, mark, break and are broken, in any order. */
static struct bytes random_text(uint8_t out[RANDOM_BYTES_MAX])
{
    static const char *const pieces[] = {
        "a", "b", " ", "  ", "\t", "\n", "\xff", "\x1b", "\u00e9", "\u0301", "\u4e16", "\U0001f468", "\u200d", "\ufe0f",
        "\U0001f3fd", "\U0001f1e9", "\u1112", "\u1161", "\u11ab", "\u0915", "\u093f", "\u094d", "\u3000", "\u00a0",
        "\u200b",
        "\u0600", "\u202e", "\xe2\x80", "\uff9e", "\U0001fae8", "\u09c7", "\u09be", "word", "\r\n",
    };
    size_t len = 0, wanted = random_below(RANDOM_BYTES_MAX);
    while (len < wanted) {
        const char *piece = pieces[random_below(sizeof pieces / sizeof pieces[0])];
        size_t n = strlen(piece);
        if (len + n > RANDOM_BYTES_MAX) break;
        memcpy(out + len, piece, n);
        len += n;
    }
    return bytes_of(out, len);
}

/* Columns of a form, by the C library alone. A mark may stand only behind what has columns. */
static unsigned columns_by_library(const char *form)
{
    wchar_t wide[RANDOM_BYTES_MAX * TEXT_SHOWN_MAX];
    size_t n = mbstowcs(wide, form, sizeof wide / sizeof wide[0]);
    unsigned columns = 0;
    assert_true(n != (size_t)-1);
    for (size_t i = 0; i < n; i++) {
        int width = wcwidth(wide[i]);
        assert_true(width > 0 || (width == 0 && i > 0));
        columns += (unsigned)width;
    }
    return columns;
}

static void any_text_is_as_wide_as_it_is_counted(void **state)
{
    uint8_t room[RANDOM_BYTES_MAX];
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct bytes text = random_text(room);
        unsigned columns = text_columns(text), fit_columns;
        const char *form = shown(text);
        assert_true(bytes_is_line(bytes_of_str(form)));
        assert_int_equal(columns_by_library(form), columns);
        for (unsigned cols = 0; cols <= columns; cols++) {
            size_t fits = text_fit(text, cols, &fit_columns);
            assert_true(fit_columns <= cols && fit_columns + 2 > cols);
            assert_int_equal(text_columns(bytes_of(text.at, fits)), fit_columns);
            assert_int_equal(text_floor(text, fits), fits);
        }
    }
}

static void boundaries_are_the_same_from_both_sides(void **state)
{
    uint8_t room[RANDOM_BYTES_MAX];
    (void)state;
    for (int round = 0; round < ROUNDS / 10; round++) {
        struct bytes text = random_text(room);
        size_t at = 0, next;
        for (; at < text.len; at = next) {
            next = at + text_cluster_at(text, at).len;
            assert_true(next > at && next <= text.len);
            assert_int_equal(text_before(text, next), at);
            for (size_t i = at; i < next; i++) {
                assert_int_equal(text_floor(text, i), at);
                assert_int_equal(text_ceil(text, i), i == at ? at : next);
            }
        }
        assert_int_equal(text_floor(text, text.len), text.len);
    }
}

/* Rows follow each other, hold their columns, and leave out only line ends and blanks. */
static void rows_hold_every_byte_once(void **state)
{
    uint8_t room[RANDOM_BYTES_MAX];
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct bytes text = random_text(room);
        unsigned cols = 1 + (unsigned)random_below(12);
        struct text_row row = { 0 };
        size_t at = 0, count = 0;
        while (text_row_next(text, cols, &row)) {
            assert_int_equal(row.at, at);
            assert_true(row.next >= row.at + row.len && (row.next > row.at || row.is_last));
            assert_true(row.columns <= cols || (cols == 1 && text_cluster_at(text, row.at).len == row.len));
            assert_int_equal(row.columns, text_columns(bytes_of(text.at + row.at, row.len)));
            for (size_t i = row.at + row.len; i < row.next;) {
                struct text_cluster c = text_cluster_at(text, i);
                assert_true(c.is_blank || (c.is_end && i + c.len == row.next));
                i += c.len;
            }
            at = row.next;
            count++;
        }
        assert_int_equal(at, text.len);
        assert_int_equal(count, text_rows(text, cols));
    }
}

static void places_and_offsets_lead_to_each_other(void **state)
{
    uint8_t room[RANDOM_BYTES_MAX];
    (void)state;
    for (int round = 0; round < ROUNDS / 10; round++) {
        struct bytes text = random_text(room);
        unsigned cols = 2 + (unsigned)random_below(12);
        size_t count = text_rows(text, cols);
        struct text_place last = { 0, 0 };
        for (size_t at = 0;; at += text_cluster_at(text, at).len) {
            struct text_place place = text_place_at(text, cols, at);
            assert_true(place.row < count && place.column <= cols);
            assert_true(place.row > last.row || place.column >= last.column);
            struct text_place again = text_place_at(text, cols, text_offset_of(text, cols, place));
            assert_int_equal(again.row, place.row);
            assert_int_equal(again.column, place.column);
            last = place;
            if (at == text.len) break;
        }
        for (size_t row = 0; row < count; row++) {
            for (unsigned column = 0; column <= cols + 1; column++) {
                size_t at = text_offset_of(text, cols, (struct text_place){ row, column });
                struct text_place place = text_place_at(text, cols, at);
                assert_int_equal(text_floor(text, at), at);
                assert_int_equal(place.row, row);
                assert_true(place.column <= column);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_is_shown_as_it_is),
        cmocka_unit_test(what_is_unsafe_is_shown_not_obeyed),
        cmocka_unit_test(what_terminals_join_is_taken_apart),
        cmocka_unit_test(marks_stay_on_their_letter),
        cmocka_unit_test(a_cluster_of_nothing_visible_has_no_columns),
        cmocka_unit_test(every_code_point_is_as_wide_as_it_is_counted),
        cmocka_unit_test(a_cut_has_whole_clusters_and_an_ellipsis),
        cmocka_unit_test(rows_break_at_blanks_where_they_can),
        cmocka_unit_test(line_ends_begin_rows),
        cmocka_unit_test(one_column_is_enough_to_end),
        cmocka_unit_test(a_cursor_goes_where_its_cluster_is),
        cmocka_unit_test(any_text_is_as_wide_as_it_is_counted),
        cmocka_unit_test(boundaries_are_the_same_from_both_sides),
        cmocka_unit_test(rows_hold_every_byte_once),
        cmocka_unit_test(places_and_offsets_lead_to_each_other),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
