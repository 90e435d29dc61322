/* feed.c - see feed.h. */
#include "tests/harness/feed.h"

#include "tests/harness/chance.h"

enum { WS_MASKED = 0x80, WS_LEN_16 = 126, WS_LEN_64 = 127 };

bool feed_next(struct feed *f, struct bytes *piece_out)
{
    if (f->left.len == 0) return false;
    size_t len = f->piece_max;
    if (len > 1 && len < SIZE_MAX) len = 1 + chance(&f->random) % len;
    if (len > f->left.len) len = f->left.len;
    *piece_out = bytes_of(f->left.at, len);
    f->left = bytes_of(f->left.at + len, f->left.len - len);
    return true;
}

void feed_frame(struct buf *to, uint8_t first, bool masked, struct bytes payload)
{
    static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
    uint8_t bit = masked ? WS_MASKED : 0;
    buf_put_u8(to, first);
    if (payload.len < WS_LEN_16) {
        buf_put_u8(to, bit | (uint8_t)payload.len);
    } else if (payload.len <= UINT16_MAX) {
        buf_put_u8(to, bit | WS_LEN_16);
        buf_put_u16(to, (uint16_t)payload.len);
    } else {
        buf_put_u8(to, bit | WS_LEN_64);
        buf_put_u64(to, payload.len);
    }
    if (masked) buf_put(to, mask, sizeof mask);
    for (size_t i = 0; i < payload.len; i++) buf_put_u8(to, payload.at[i] ^ (masked ? mask[i & 3] : 0));
}
