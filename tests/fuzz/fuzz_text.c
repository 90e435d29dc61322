/* fuzz_text.c - any bytes as a text. Its form is safe and as wide as it is counted, boundaries are the same from both
 * sides, rows hold every byte once, and a place leads back to itself. The first byte is the number of columns. */
#include <assert.h>
#include <locale.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

#include "proto/limits.h"
#include "tools/client/tui/text.h"
#include "tools/common/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_form(const struct text_cluster *c)
{
    const struct bytes form = bytes_of(c->shown, c->shown_len);
    unsigned columns = 0;
    assert(c->columns <= 2 && c->shown_len <= TEXT_SHOWN_MAX);
    for (size_t i = 0, len; i < form.len; i += len) {
        uint32_t shown = utf8_at(form, i, &len);
        assert(shown == UTF8_BAD ? len == 3 : !utf8_is_unsafe(shown));
        int width = wcwidth((wchar_t)shown);
        assert(width > 0 || (width == 0 && i > 0));
        columns += (unsigned)width;
    }
    assert(columns == c->columns);
}

static void check_clusters(struct bytes text)
{
    size_t next;
    for (size_t at = 0; at < text.len; at = next) {
        struct text_cluster c = text_cluster_at(text, at);
        next = at + c.len;
        assert(c.len > 0 && next <= text.len);
        check_form(&c);
        assert(text_before(text, next) == at && text_floor(text, next) == next);
        assert(text_ceil(text, next - 1) == (c.len == 1 ? at : next));
    }
}

static void check_rows(struct bytes text, unsigned cols)
{
    struct text_row row = { 0 };
    size_t at = 0, count = 0;
    for (; text_row_next(text, cols, &row); count++) {
        assert(row.at == at && row.next >= row.at + row.len && (row.next > at || row.is_last));
        assert(row.columns <= cols || cols == 1);
        assert(row.columns == text_columns(bytes_of(text.at + row.at, row.len)));
        struct text_place place = text_place_at(text, cols, row.at + row.len);
        assert(row.is_last || row.next > row.at + row.len ? place.row == count : place.row == count + 1);
        size_t middle = text_offset_of(text, cols, (struct text_place){ count, row.columns / 2 });
        assert(text_floor(text, middle) == middle && text_place_at(text, cols, middle).row == count);
        at = row.next;
    }
    assert(at == text.len && count == text_rows(text, cols));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > TEXT_BYTES_MAX / 8) return 0;    /* places are looked for from the front, for each row */
    const char *locale = setlocale(LC_CTYPE, "C.UTF-8");
    assert(locale);
    const struct bytes text = bytes_of(data + 1, size - 1);
    check_clusters(text);
    check_rows(text, 1 + data[0] % 40);
    return 0;
}
