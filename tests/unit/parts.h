/* parts.h - a frame taken apart, to be put together differently. For tests; behind cmocka.h. */
#ifndef PIPIT_TESTS_PARTS_H
#define PIPIT_TESTS_PARTS_H

#include "proto/mpack.h"
#include "tests/unit/samples.h"

#define IN(literal) bytes_of(literal, sizeof(literal) - 1)

enum { ITEMS_MAX = 16 };

struct parts {
    uint8_t *owned;                    /* what the views point into */
    struct bytes item[ITEMS_MAX];      /* type, ref, fields, as raw MessagePack */
    size_t count;
};

static inline struct parts parts_of(const struct sample *sample)
{
    struct parts p = { 0 };
    size_t len;
    p.owned = bytes_of_hex(sample->hex, &len);
    struct reader r = reader_of(bytes_of(p.owned, len));
    struct mpack_item head;
    assert_true(mpack_next(&r, &head));
    assert_int_equal(head.kind, MPACK_ARRAY);
    while (r.left > 0) {
        struct reader start = r;
        assert_true(mpack_skip(&r, NESTING_MAX));
        p.item[p.count++] = bytes_of(start.at, start.left - r.left);
    }
    assert_int_equal(p.count, head.number);
    return p;
}

/* The frame of the first `count` parts. Into memory of exactly its size; the caller frees. */
static inline struct bytes join(const struct parts *p, size_t count)
{
    struct buf b;
    buf_init(&b, 2 * FRAME_BYTES_MAX);
    buf_put_u8(&b, 0xDC);
    buf_put_u16(&b, (uint16_t)count);
    for (size_t i = 0; i < count; i++) buf_put(&b, p->item[i].at, p->item[i].len);
    assert_int_equal(b.err, 0);
    uint8_t *exact = malloc(b.len);
    memcpy(exact, b.at, b.len);
    size_t len = b.len;
    buf_fini(&b);
    return bytes_of(exact, len);
}

static inline int decode_parts(const struct parts *p, size_t count, struct msg *msg_out, const char **why_out)
{
    struct bytes frame = join(p, count);
    int err = msg_decode(frame, msg_out, why_out);
    free((void *)frame.at);
    return err;
}

static inline int decode_hex(const char *hex, struct msg *msg_out, const char **why_out)
{
    size_t len;
    uint8_t *at = bytes_of_hex(hex, &len);
    int err = msg_decode(bytes_of(at, len), msg_out, why_out);
    free(at);
    return err;
}

#endif
