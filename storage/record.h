/* record.h - one entry of the log, on disk and in memory.
 *
 * On disk, big-endian (docs/disk.md):
 *
 *   at  size
 *    0    4  length of the whole record, this field included
 *    4    8  XXH3-64 of all bytes from 12 to the end
 *   12    1  format: RECORD_FORMAT
 *   13    1  kind: RECORD_KIND_MARKS or any other number the caller gave it
 *   14    2  flags: the caller's
 *   16   16  partition: conversation id, or inbox id
 *   32    4  log
 *   36    8  record number in that log: 1, 2, 3, …
 *   44    8  key number in the vault
 *   52    8  sequence in the partition; for marks that of the head, which is its place
 *   60   16  message id (marks have one of their own)
 *   76    8  counting records so far, this one included
 *   84    8  expiry, ms since 1970; 0: none
 *   92    …  sealed part: XChaCha20-Poly1305 of an entry, its 16-byte tag at the end
 *
 * Nonce = message id || sequence; associated data = bytes 12..92. Message ids are never made twice, so
 * neither is a nonce under one key.
 *
 * The sealed part, opened, is a struct entry: who sent it and what. Storage never looks at a body. */
#ifndef PIPIT_STORAGE_RECORD_H
#define PIPIT_STORAGE_RECORD_H

#include "proto/bytes.h"
#include "proto/id.h"

enum {
    RECORD_FORMAT = 1,
    RECORD_HEADER_BYTES = 92,
    RECORD_TAG_BYTES = 16,
    RECORD_KEY_BYTES = 32,
    /* A 64 KiB frame, its sender, versions and header. */
    RECORD_BYTES_MAX = 72 * 1024,
    /* Members whose moves one marks record holds: what one loop turn can fold for one conversation. */
    MARKS_PER_RECORD_MAX = 256,
    /* The one kind storage must tell apart: its entry is an array of marks and it has no sequence of its own. All
     * other kinds mean something only to the wire (proto/msg.h, KIND_MARKS there; a test holds the two together). */
    RECORD_KIND_MARKS = 3,
};

struct record {
    struct conv_id partition;
    uint32_t log;
    uint64_t number;
    uint64_t key;
    uint64_t seq;
    struct msg_id id;
    uint8_t kind;
    uint16_t flags;
    uint64_t counted;
    uint64_t expiry_ms;
    struct bytes sealed;      /* of a parsed record: points into its bytes */
};

struct mark {                 /* one member's device moved its cursors to here */
    struct user_id user;
    struct device_id device;
    uint64_t delivered;       /* 0: not moved by this mark */
    uint64_t read;
    uint64_t time_ms;
};

/* What is sealed. Raw views are MessagePack as it came, stored and returned as opaque bytes. */
struct entry {
    struct user_id sender;
    struct device_id device;
    uint64_t client_seq;
    uint64_t settled;
    uint64_t group_version;
    /* The first record of a direct conversation names its two members (the same twice: notes to oneself): its
     * rows are a fold of the log. member_count is 0 or 2. */
    uint8_t member_count;
    struct user_id members[2];
    struct bytes list_versions;
    struct bytes media;
    struct bytes wake;
    struct bytes body;
    struct bytes envelopes;
    /* RECORD_KIND_MARKS only; entry_decode() points it at an array of its own inside `struct entry_room`. */
    const struct mark *marks;
    uint32_t mark_count;
};
struct entry_room { struct mark marks[MARKS_PER_RECORD_MAX]; };

/* What record_write() would append, in bytes; above RECORD_BYTES_MAX when it never fits. */
size_t record_bytes(const struct record *head, const struct entry *entry);

/* Append the whole record to `to`, sealed under `key`. Header fields come from `head` (its `sealed` is not
 * looked at), the content from `entry`. Returns 0, ERR_TOO_BIG (over RECORD_BYTES_MAX) or buf's error. */
int record_write(const struct record *head, const struct entry *entry,
                 const uint8_t key[static RECORD_KEY_BYTES], struct buf *to);

/* The record at the start of `in`. *len_out is its length.
 * Returns 0, ERR_TORN (fewer bytes than it says, or than a header), ERR_CORRUPT (checksum, length out of
 * bounds), ERR_NEWER (format). */
int record_parse(struct bytes in, struct record *out, size_t *len_out);

/* The same for bytes that passed record_parse() or came from record_write() before: nothing is checked again. */
void record_peek(const uint8_t *at, struct record *out, size_t *len_out);

/* The whole record again from its fields and sealed part: of a record that was parsed, byte for byte what it was parsed
 * from. `to` has room for RECORD_BYTES_MAX; the sealed part fits that (asserted). Returns the length. */
size_t record_restore(const struct record *record, uint8_t *to);

/* Open the sealed part. `whole` are the record's bytes as parsed. The plain bytes go to `room_bytes` (cleared
 * first), *out points into it and into `marks_room` (may be NULL unless the kind is RECORD_KIND_MARKS).
 * Returns 0, ERR_CORRUPT (tag or content wrong), ERR_NEWER or ERR_NOMEM. */
int record_open(struct bytes whole, const struct record *record, const uint8_t key[static RECORD_KEY_BYTES],
                struct buf *room_bytes, struct entry_room *marks_room, struct entry *out);

#endif
