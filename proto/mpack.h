/* mpack.h - MessagePack, read one item at a time, in place.
 *
 * msgpack-c does the writing (codec_encode.c) but not the reading: its unpacker makes a tree, and makes room
 * for an array as soon as it has seen the array's header, so that the five bytes DD 0F FF FF FF ask for 8 GiB,
 * and every frame costs a malloc. What a frame needs is two functions that walk the bytes and allocate
 * nothing. Format: github.com/msgpack/msgpack, spec.md.
 * Thread: no globals; any thread. */
#ifndef PIPIT_PROTO_MPACK_H
#define PIPIT_PROTO_MPACK_H

#include "proto/bytes.h"

enum mpack_kind {
    MPACK_NIL = 1,
    MPACK_BOOL,        /* number: 0 or 1 */
    MPACK_UINT,        /* number; a signed form that holds 0 or more is one too */
    MPACK_NEGATIVE,    /* an integer below 0; its value is of no use here */
    MPACK_FLOAT,       /* 32 or 64 bits, likewise */
    MPACK_STR,         /* bytes: a view; nobody has looked whether it is UTF-8 */
    MPACK_BIN,         /* bytes */
    MPACK_EXT,         /* bytes, without the ext type */
    MPACK_ARRAY,       /* number: how many items follow */
    MPACK_MAP,         /* number: how many pairs of items follow */
};

struct mpack_item {
    enum mpack_kind kind;
    uint64_t number;
    struct bytes bytes;
};

/* Read one item; of an array or map its header only. False when the bytes are no MessagePack or end too soon,
 * or when an array or map announces more items than bytes are left (each takes one at least). */
bool mpack_next(struct reader *r, struct mpack_item *out);

/* Step over one item with all that is in it. False as above, or when arrays and maps are more than `nesting`
 * deep (0: only items without any). */
bool mpack_skip(struct reader *r, unsigned nesting);

#endif
