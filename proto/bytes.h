/* bytes.h - lent views, owned buffers, and big-endian readers that cannot overrun.
 *
 * struct bytes is lent: it points into someone else's memory and is good until that memory changes.
 * struct buf owns its memory, grows on demand up to `max`, and remembers failure: after one put failed
 * all later ones do nothing and `err` says why, so a writer checks once at the end.
 * struct reader walks a struct bytes the same way: after one read past the end, `bad` stays set and every
 * read gives zero.
 * Thread: no globals; a value belongs to whoever holds it. */
#ifndef PIPIT_PROTO_BYTES_H
#define PIPIT_PROTO_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *at;
    size_t len;
};

#define BYTES_NONE ((struct bytes){ NULL, 0 })
#define BYTES_OF(array) ((struct bytes){ (const uint8_t *)(array), sizeof(array) })

static inline struct bytes bytes_of(const void *at, size_t len)
{
    return (struct bytes){ at, len };
}
struct bytes bytes_of_str(const char *s);          /* without the NUL */
bool bytes_equal(struct bytes a, struct bytes b);  /* not constant time: never for secrets */
bool bytes_is_utf8(struct bytes b);                /* RFC 3629: no surrogates, nothing overlong, <= U+10FFFF */

bool bytes_is_line(struct bytes b);                /* UTF-8 without control characters (below space, DEL) */

struct buf {
    uint8_t *at;
    size_t len;
    size_t cap;
    size_t max;      /* never grows beyond; buf_init() sets it */
    int err;         /* 0, ERR_TOO_BIG or ERR_NOMEM; sticky */
};

void buf_init(struct buf *b, size_t max);    /* allocates nothing yet */
void buf_fini(struct buf *b);                /* frees; the buf may be buf_init()ed again */
void buf_clear(struct buf *b);               /* keeps the memory, forgets content and error */
uint8_t *buf_take(struct buf *b, size_t *len_out);  /* gives the memory away (free()); b is empty then.
                                                     * NULL and 0 when nothing was put, or after an error */
/* Room for `n` more bytes, uninitialised, counted in len at once. NULL after an error. */
uint8_t *buf_grow(struct buf *b, size_t n);
void buf_put(struct buf *b, const void *at, size_t len);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);   /* big-endian, as all numbers here */
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
static inline struct bytes buf_bytes(const struct buf *b)
{
    return (struct bytes){ b->at, b->len };
}

/* Numbers at a place whose room is known. */
void put_u16(uint8_t *to, uint16_t v);
void put_u32(uint8_t *to, uint32_t v);
void put_u64(uint8_t *to, uint64_t v);
uint16_t get_u16(const uint8_t *from);
uint32_t get_u32(const uint8_t *from);
uint64_t get_u64(const uint8_t *from);

struct reader {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static inline struct reader reader_of(struct bytes b)
{
    return (struct reader){ b.at, b.len, false };
}
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
struct bytes reader_bytes(struct reader *r, size_t len);    /* BYTES_NONE and bad when there are fewer */

#endif
