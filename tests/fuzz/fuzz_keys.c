/* fuzz_keys.c - whatever a terminal sends. Keys are whole and hold code points, a paste holds text and is not
 * interrupted; looking for a lone ESC where none is pending changes nothing; and after any bytes at all a key is a key
 * again. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tools/client/tui/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came out so far, small enough to compare: FNV-1a over all that keys say. */
struct heard {
    uint64_t hash;
    bool in_paste;
    size_t bytes;                 /* of pastes */
    struct key last;
};

static void mix(struct heard *h, const void *at, size_t len)
{
    for (size_t i = 0; i < len; i++) h->hash = (h->hash ^ ((const uint8_t *)at)[i]) * 1099511628211u;
}

static void hear(struct heard *h, const struct key *key, size_t count)
{
    assert(count <= KEYS_PER_BYTE_MAX);
    for (size_t i = 0; i < count; i++, key++) {
        assert(key->kind <= KEYS_PASTE_END && key->mods <= (KEYS_SHIFT | KEYS_ALT | KEYS_CTRL));
        assert(h->in_paste == (key->kind == KEYS_PASTE || key->kind == KEYS_PASTE_END));
        if (key->kind == KEYS_PASTE_BEGIN || key->kind == KEYS_PASTE_END) h->in_paste = !h->in_paste;
        if (key->kind == KEYS_CHAR) {
            assert(key->c >= 0x20 && (key->c < 0x7f || key->c >= 0xa0) && key->c <= 0x10ffff);
            assert(key->c < 0xd800 || key->c > 0xdfff);
        }
        if (key->kind == KEYS_F) assert(key->c >= 1 && key->c <= 20);
        if (key->kind == KEYS_PASTE) {
            assert(key->text.len > 0 && key->text.len <= KEYS_PASTE_BYTES_MAX && bytes_is_utf8(key->text));
            for (size_t k = 0; k < key->text.len; k++) {
                uint8_t c = key->text.at[k];
                assert((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t');
                assert(c != 0xc2 || key->text.at[k + 1] >= 0xa0);
            }
            h->bytes += key->text.len;
            mix(h, key->text.at, key->text.len);
        }
        mix(h, &key->kind, sizeof key->kind);
        mix(h, &key->c, sizeof key->c);
        mix(h, &key->mods, sizeof key->mods);
        h->last = *key;
    }
}

enum look { NEVER, WHERE_NONE_IS_PENDING, ALWAYS };

static struct heard feed(struct keys *keys, const uint8_t *data, size_t size, enum look look)
{
    struct heard h = { .hash = 14695981039346656037u };
    struct key out[KEYS_PER_BYTE_MAX];
    keys_init(keys);
    for (size_t i = 0; i < size; i++) {
        if (look == ALWAYS || (look == WHERE_NONE_IS_PENDING && !keys_pending(keys))) {
            hear(&h, out, keys_timeout(keys, out));
            assert(!keys_pending(keys));
        }
        hear(&h, out, keys_feed(keys, data[i], out));
        assert(!(h.in_paste && keys_pending(keys)));
    }
    assert(h.bytes <= 3 * size);
    return h;
}

static void a_key_is_a_key_again(struct keys *keys, struct heard *h)
{
    struct key out[KEYS_PER_BYTE_MAX];
    if (h->in_paste) {
        for (const char *end = "\033[201~"; *end; end++) hear(h, out, keys_feed(keys, (uint8_t)*end, out));
    }
    assert(!h->in_paste);
    for (unsigned i = 0; i < KEYS_STRING_BYTES_MAX + 1; i++) {
        memset(&h->last, 0, sizeof h->last);
        hear(h, out, keys_feed(keys, 'a', out));
    }
    assert(h->last.kind == KEYS_CHAR && h->last.c == 'a' && h->last.mods == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct keys keys;
    struct heard whole = feed(&keys, data, size, NEVER);
    a_key_is_a_key_again(&keys, &whole);
    whole = feed(&keys, data, size, NEVER);
    struct heard cut = feed(&keys, data, size, WHERE_NONE_IS_PENDING);
    assert(cut.hash == whole.hash && cut.in_paste == whole.in_paste);
    struct heard slow = feed(&keys, data, size, ALWAYS);
    a_key_is_a_key_again(&keys, &slow);
    return 0;
}
