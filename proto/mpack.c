/* mpack.c - one switch over the first byte of an item.
 *
 * The reader underneath cannot overrun and remembers that it tried, so the cases only say how long a thing is
 * and the end of mpack_next() asks once. A length larger than what is left is caught by reader_bytes(), a
 * count by the comparison: after mpack_next() every length in `out` is backed by bytes that are there. */
#include "proto/mpack.h"

/* Reads the payload of a str, bin or ext. */
static void take_bytes(struct reader *r, struct mpack_item *out, enum mpack_kind kind, size_t len)
{
    out->kind = kind;
    out->bytes = reader_bytes(r, len);
}

static void take_ext(struct reader *r, struct mpack_item *out, size_t len)
{
    (void)reader_u8(r);    /* the ext type: we know none, and step over all */
    take_bytes(r, out, MPACK_EXT, len);
}

/* Arrays and maps: `items` is what must still follow. */
static void take_count(struct reader *r, struct mpack_item *out, enum mpack_kind kind, uint64_t count)
{
    uint64_t items = kind == MPACK_MAP ? 2 * count : count;    /* count has 32 bits: no overflow */
    out->kind = kind;
    out->number = count;
    if (items > r->left) r->bad = true;
}

static void take_uint(struct mpack_item *out, uint64_t number)
{
    out->kind = MPACK_UINT;
    out->number = number;
}

static void take_int(struct mpack_item *out, int64_t number)
{
    out->kind = number < 0 ? MPACK_NEGATIVE : MPACK_UINT;
    out->number = number < 0 ? 0 : (uint64_t)number;
}

/* The first bytes that carry their number within: 0x00-0xbf and 0xe0-0xff. */
static bool take_short(struct reader *r, struct mpack_item *out, uint8_t first)
{
    if (first < 0x80) take_uint(out, first);
    else if (first < 0x90) take_count(r, out, MPACK_MAP, first & 0x0F);
    else if (first < 0xA0) take_count(r, out, MPACK_ARRAY, first & 0x0F);
    else if (first < 0xC0) take_bytes(r, out, MPACK_STR, first & 0x1F);
    else if (first >= 0xE0) take_int(out, -1);
    else return false;
    return true;
}

bool mpack_next(struct reader *r, struct mpack_item *out)
{
    *out = (struct mpack_item){ 0 };
    uint8_t first = reader_u8(r);
    if (r->bad) return false;
    if (take_short(r, out, first)) return !r->bad;
    switch (first) {
    case 0xC0: out->kind = MPACK_NIL; break;
    case 0xC2:
    case 0xC3: out->kind = MPACK_BOOL; out->number = first & 1; break;
    case 0xC4: take_bytes(r, out, MPACK_BIN, reader_u8(r)); break;
    case 0xC5: take_bytes(r, out, MPACK_BIN, reader_u16(r)); break;
    case 0xC6: take_bytes(r, out, MPACK_BIN, reader_u32(r)); break;
    case 0xC7: take_ext(r, out, reader_u8(r)); break;
    case 0xC8: take_ext(r, out, reader_u16(r)); break;
    case 0xC9: take_ext(r, out, reader_u32(r)); break;
    case 0xCA: take_bytes(r, out, MPACK_FLOAT, 4); break;
    case 0xCB: take_bytes(r, out, MPACK_FLOAT, 8); break;
    case 0xCC: take_uint(out, reader_u8(r)); break;
    case 0xCD: take_uint(out, reader_u16(r)); break;
    case 0xCE: take_uint(out, reader_u32(r)); break;
    case 0xCF: take_uint(out, reader_u64(r)); break;
    case 0xD0: take_int(out, (int8_t)reader_u8(r)); break;
    case 0xD1: take_int(out, (int16_t)reader_u16(r)); break;
    case 0xD2: take_int(out, (int32_t)reader_u32(r)); break;
    case 0xD3: take_int(out, (int64_t)reader_u64(r)); break;
    case 0xD4: take_ext(r, out, 1); break;
    case 0xD5: take_ext(r, out, 2); break;
    case 0xD6: take_ext(r, out, 4); break;
    case 0xD7: take_ext(r, out, 8); break;
    case 0xD8: take_ext(r, out, 16); break;
    case 0xD9: take_bytes(r, out, MPACK_STR, reader_u8(r)); break;
    case 0xDA: take_bytes(r, out, MPACK_STR, reader_u16(r)); break;
    case 0xDB: take_bytes(r, out, MPACK_STR, reader_u32(r)); break;
    case 0xDC: take_count(r, out, MPACK_ARRAY, reader_u16(r)); break;
    case 0xDD: take_count(r, out, MPACK_ARRAY, reader_u32(r)); break;
    case 0xDE: take_count(r, out, MPACK_MAP, reader_u16(r)); break;
    case 0xDF: take_count(r, out, MPACK_MAP, reader_u32(r)); break;
    default:   r->bad = true; break;    /* 0xC1 is never used */
    }
    return !r->bad;
}

/* Recursion is bounded by `nesting`, and the loop by the bytes: each round takes one at least or ends it. */
bool mpack_skip(struct reader *r, unsigned nesting)
{
    struct mpack_item item;
    if (!mpack_next(r, &item)) return false;
    if (item.kind != MPACK_ARRAY && item.kind != MPACK_MAP) return true;
    if (nesting == 0) return false;
    uint64_t items = item.kind == MPACK_MAP ? 2 * item.number : item.number;
    while (items-- > 0)
        if (!mpack_skip(r, nesting - 1)) return false;
    return true;
}
