/* fuzz_editor.c - whatever is typed. The text stays UTF-8 of its size and the cursor on a boundary; what is refused
 * changes nothing; and undo ends. The first byte is the number of columns. */
#include <assert.h>
#include <locale.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tools/client/tui/editor.h"
#include "tools/client/tui/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHECKED_KEYS_MAX = 400 };    /* each costs a walk through the text */

static void check_key(struct editor *e, const struct key *key)
{
    uint8_t before[TEXT_BYTES_MAX];
    const size_t len = editor_text(e).len, cursor = editor_cursor(e);
    if (len > 0) memcpy(before, editor_text(e).at, len);
    enum editor_result result = editor_key(e, key);
    const struct bytes text = editor_text(e);
    assert(text.len <= TEXT_BYTES_MAX && bytes_is_utf8(text));
    assert(text_floor(text, editor_cursor(e)) == editor_cursor(e));
    if (result != EDITOR_CHANGED) assert(bytes_equal(text, bytes_of(before, len)));
    if (result == EDITOR_FULL || result == EDITOR_UNKNOWN || result == EDITOR_SEND) assert(editor_cursor(e) == cursor);
    assert((result == EDITOR_FULL) == (editor_excess(e) > 0));
    if (result == EDITOR_SEND) editor_sent(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct key undo = { .kind = KEYS_CHAR, .c = '_', .mods = KEYS_CTRL };
    struct key out[KEYS_PER_BYTE_MAX];
    struct keys keys;
    if (size == 0) return 0;
    const char *locale = setlocale(LC_CTYPE, "C.UTF-8");
    struct editor *e = editor_new();
    assert(locale && e);
    editor_set_columns(e, data[0] % 40);
    keys_init(&keys);
    for (size_t i = 1, checked = 0; i < size && checked < CHECKED_KEYS_MAX; i++) {
        size_t count = keys_feed(&keys, data[i], out);
        for (size_t k = 0; k < count; k++) check_key(e, &out[k]);
        checked += count;
    }
    size_t undone = 0;
    while (editor_key(e, &undo) == EDITOR_CHANGED) assert(++undone <= EDITOR_UNDOS_MAX);
    editor_free(e);
    return 0;
}
