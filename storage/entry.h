/* entry.h - the plain bytes inside a record's sealed part. For record.c alone, and for tests.
 *
 * All but marks (numbers big-endian, a user is a length byte and its letters):
 *
 *   1   format: ENTRY_FORMAT
 *   2   which of the optional fields follow: enum entry_field
 *   …   sender (length 0: nobody)
 *   8   device
 *   8   client sequence
 *   8   settled
 *   then, in the order of their bits: 8 bytes group version; two users, the members; and each view as 4 bytes
 *   length and its bytes. An empty view or a zero version is left out, so an entry has one encoding only.
 *
 * Marks: format, 2 bytes count, then for each: user, 8 device, 8 delivered, 8 read, 8 time in ms. */
#ifndef PIPIT_STORAGE_ENTRY_H
#define PIPIT_STORAGE_ENTRY_H

#include "storage/record.h"

enum { ENTRY_FORMAT = 1 };

enum entry_field {
    ENTRY_GROUP_VERSION = 1 << 0,
    ENTRY_MEMBERS = 1 << 1,
    ENTRY_LIST_VERSIONS = 1 << 2,
    ENTRY_MEDIA = 1 << 3,
    ENTRY_WAKE = 1 << 4,
    ENTRY_BODY = 1 << 5,
    ENTRY_ENVELOPES = 1 << 6,
};

/* Bytes of the encoding, or anything above RECORD_BYTES_MAX when it could never fit a record. */
size_t entry_bytes(uint8_t kind, const struct entry *entry);
void entry_encode(uint8_t kind, const struct entry *entry, struct buf *to);   /* failure stays in `to` */
/* *out points into `plain` and, for marks, into `room` (else it may be NULL).
 * Returns 0, ERR_CORRUPT, or ERR_NEWER (a format or field this version does not know). */
int entry_decode(uint8_t kind, struct bytes plain, struct entry_room *room, struct entry *out);

#endif
