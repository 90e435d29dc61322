/* bytes.c - buffers that refuse, readers that stop.
 *
 * Both keep the first failure and go on doing nothing, so that code which writes or reads twenty fields is
 * twenty lines and one check, and none of the twenty can run past an end. */
#include "proto/bytes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"

enum { BUF_FIRST_BYTES = 64 };      /* most frames that are not messages fit, in one allocation */

/* ---- views ---- */

struct bytes bytes_of_str(const char *s)
{
    return bytes_of(s, strlen(s));
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* How many bytes a character takes that starts with `first`, and the range of the byte after it, which is
 * narrower than 80..BF exactly where a longer form would be overlong, a surrogate or above U+10FFFF (RFC
 * 3629, section 4). 0 when no character starts so. */
static size_t utf8_start(uint8_t first, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (first < 0x80) return 1;
    if (first < 0xC2) return 0;
    if (first < 0xE0) return 2;
    if (first == 0xE0) *low = 0xA0;
    if (first == 0xED) *high = 0x9F;
    if (first < 0xF0) return 3;
    if (first == 0xF0) *low = 0x90;
    if (first == 0xF4) *high = 0x8F;
    return first < 0xF5 ? 4 : 0;
}

bool bytes_is_utf8(struct bytes b)
{
    size_t i = 0;
    while (i < b.len) {
        uint8_t low, high;
        size_t n = utf8_start(b.at[i], &low, &high);
        if (n == 0 || n > b.len - i) return false;
        if (n > 1 && (b.at[i + 1] < low || b.at[i + 1] > high)) return false;
        for (size_t k = 2; k < n; k++)
            if ((b.at[i + k] & 0xC0) != 0x80) return false;
        i += n;
    }
    return true;
}

bool bytes_is_line(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (b.at[i] < ' ' || b.at[i] == 0x7F) return false;
    return bytes_is_utf8(b);
}

/* ---- struct buf ---- */

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){ .max = max };
}

void buf_fini(struct buf *b)
{
    free(b->at);
    *b = (struct buf){ .max = b->max };
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->err = 0;
}

uint8_t *buf_take(struct buf *b, size_t *len_out)
{
    uint8_t *at = b->at;
    *len_out = b->len;
    if (b->err || b->len == 0) {
        free(at);
        at = NULL;
        *len_out = 0;
    }
    *b = (struct buf){ .max = b->max };
    return at;
}

/* Doubling makes n puts cost n; the last step stops at `max` so that a buffer near it is not refused early. */
static int buf_reserve(struct buf *b, size_t n)
{
    if (n > b->max - b->len) return ERR_TOO_BIG;
    size_t need = b->len + n;
    if (need <= b->cap && b->at) return 0;
    size_t cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
    if (cap < BUF_FIRST_BYTES) cap = BUF_FIRST_BYTES;
    if (cap < need) cap = need;
    uint8_t *at = realloc(b->at, cap);
    if (!at) return ERR_NOMEM;
    b->at = at;
    b->cap = cap;
    return 0;
}

uint8_t *buf_grow(struct buf *b, size_t n)
{
    assert(b->len <= b->max);
    if (!b->err) b->err = buf_reserve(b, n);
    if (b->err) return NULL;
    uint8_t *at = b->at + b->len;
    b->len += n;
    return at;
}

void buf_put(struct buf *b, const void *at, size_t len)
{
    uint8_t *to = buf_grow(b, len);
    if (to && len > 0) memcpy(to, at, len);
}

void buf_put_u8(struct buf *b, uint8_t v)
{
    uint8_t *to = buf_grow(b, 1);
    if (to) to[0] = v;
}

void buf_put_u16(struct buf *b, uint16_t v)
{
    uint8_t *to = buf_grow(b, 2);
    if (to) put_u16(to, v);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
    uint8_t *to = buf_grow(b, 4);
    if (to) put_u32(to, v);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    uint8_t *to = buf_grow(b, 8);
    if (to) put_u64(to, v);
}

/* ---- numbers: shifts, which compilers turn into one swapped load or store on any machine ---- */

void put_u16(uint8_t *to, uint16_t v)
{
    to[0] = (uint8_t)(v >> 8);
    to[1] = (uint8_t)v;
}

void put_u32(uint8_t *to, uint32_t v)
{
    put_u16(to, (uint16_t)(v >> 16));
    put_u16(to + 2, (uint16_t)v);
}

void put_u64(uint8_t *to, uint64_t v)
{
    put_u32(to, (uint32_t)(v >> 32));
    put_u32(to + 4, (uint32_t)v);
}

uint16_t get_u16(const uint8_t *from)
{
    return (uint16_t)(from[0] << 8 | from[1]);
}

uint32_t get_u32(const uint8_t *from)
{
    return (uint32_t)get_u16(from) << 16 | get_u16(from + 2);
}

uint64_t get_u64(const uint8_t *from)
{
    return (uint64_t)get_u32(from) << 32 | get_u32(from + 4);
}

/* ---- struct reader ---- */

/* The next `n` bytes, n > 0, or NULL. */
static const uint8_t *reader_take(struct reader *r, size_t n)
{
    if (n > r->left) r->bad = true;
    if (r->bad) return NULL;
    const uint8_t *at = r->at;
    r->at += n;
    r->left -= n;
    return at;
}

uint8_t reader_u8(struct reader *r)
{
    const uint8_t *at = reader_take(r, 1);
    return at ? at[0] : 0;
}

uint16_t reader_u16(struct reader *r)
{
    const uint8_t *at = reader_take(r, 2);
    return at ? get_u16(at) : 0;
}

uint32_t reader_u32(struct reader *r)
{
    const uint8_t *at = reader_take(r, 4);
    return at ? get_u32(at) : 0;
}

uint64_t reader_u64(struct reader *r)
{
    const uint8_t *at = reader_take(r, 8);
    return at ? get_u64(at) : 0;
}

struct bytes reader_bytes(struct reader *r, size_t len)
{
    /* Nothing from an empty view is no overrun, and adding to its NULL is not defined. */
    if (len == 0) return r->bad ? BYTES_NONE : bytes_of(r->at, 0);
    const uint8_t *at = reader_take(r, len);
    return at ? bytes_of(at, len) : BYTES_NONE;
}
