/* utf8.c - decoding that never fails, and the one rule of what is safe to show (see utf8.h). */
#include "tools/common/utf8.h"

#include <string.h>

uint32_t utf8_at(struct bytes text, size_t at, size_t *len_out)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const uint8_t *b = text.at + at;
    size_t len = b[0] < 0x80 ? 1 : (b[0] >> 5) == 6 ? 2 : (b[0] >> 4) == 14 ? 3 : (b[0] >> 3) == 30 ? 4 : 0;
    *len_out = 1;
    if (len == 0 || len > text.len - at) return UTF8_BAD;
    uint32_t c = len == 1 ? b[0] : b[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((b[i] & 0xc0) != 0x80) return UTF8_BAD;
        c = c << 6 | (b[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return UTF8_BAD;
    *len_out = len;
    return c;
}

size_t utf8_put(uint32_t c, char out[static UTF8_BYTES_MAX])
{
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    for (size_t i = len; i-- > 1; c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(first[len] | c);
    return len;
}

bool utf8_is_unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == UTF8_BAD ||
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||    /* turns the direction of text */
           c == 0x2028 || c == 0x2029 || c == 0xfeff;
}

void utf8_line(struct bytes text, char *to, size_t size)
{
    char c_bytes[UTF8_BYTES_MAX];
    size_t used = 0;
    for (size_t i = 0, len; i < text.len; i += len) {
        uint32_t c = utf8_at(text, i, &len);
        if (c == '\n' || c == '\r' || c == '\t') c = ' ';
        else if (utf8_is_unsafe(c)) c = UTF8_BAD;
        size_t n = utf8_put(c, c_bytes);
        if (n >= size - used) break;
        memcpy(to + used, c_bytes, n);
        used += n;
    }
    to[used] = '\0';
}
