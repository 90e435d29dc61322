/* feed.c - see feed.h. */
#include "tests/harness/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum { WS_MASKED = 0x80, WS_LEN_16 = 126, WS_LEN_64 = 127 };

uint64_t feed_seed(void)
{
    const char *given = getenv("PIPIT_SEED");
    uint64_t seed;
    if (given) seed = strtoull(given, NULL, 0);
    else if (getrandom(&seed, sizeof seed, 0) != sizeof seed) abort();
    printf("PIPIT_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

uint64_t feed_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

bool feed_next(struct feed *f, struct bytes *piece_out)
{
    if (f->left.len == 0) return false;
    size_t len = f->piece_max;
    if (len > 1 && len < SIZE_MAX) len = 1 + feed_random(&f->random) % len;
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
