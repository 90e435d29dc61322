/* record.c - one record to bytes and back; the layout stands in record.h.
 *
 * Two checks guard a record, for two dangers. The checksum in front is for disks: it tells a whole record from a torn
 * or rotten one without any key, so recovery, sorting and tools can walk a log they cannot read. The tag of the seal
 * is for people: it proves that the content, and every header field it stands under, came from this server and was
 * not moved to another conversation, place or time. Neither replaces the other. */
#include "storage/record.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"
#include "storage/entry.h"

enum {
    AT_LENGTH = 0, AT_CHECKSUM = 4, AT_FORMAT = 12, AT_KIND = 13, AT_FLAGS = 14, AT_PARTITION = 16, AT_LOG = 32,
    AT_NUMBER = 36, AT_KEY = 44, AT_SEQ = 52, AT_ID = 60, AT_COUNTED = 76, AT_EXPIRY = 84,
    NONCE_BYTES = 24,
};

_Static_assert(AT_EXPIRY + 8 == RECORD_HEADER_BYTES, "the table in record.h");
_Static_assert(RECORD_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "the seal's tag");
_Static_assert(RECORD_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "the seal's key");
_Static_assert(NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "id and sequence fill a nonce");

/* From the bytes as written: sealing and opening cannot disagree about it. */
static void nonce_of(const uint8_t *record, uint8_t nonce[static NONCE_BYTES])
{
    memcpy(nonce, record + AT_ID, 16);
    memcpy(nonce + 16, record + AT_SEQ, 8);
}

static uint64_t checksum_of(const uint8_t *record, size_t len)
{
    return XXH3_64bits(record + AT_FORMAT, len - AT_FORMAT);
}

/* All of the header but the checksum. */
static void head_put(uint8_t *at, const struct record *head, size_t len)
{
    put_u32(at + AT_LENGTH, (uint32_t)len);
    at[AT_FORMAT] = RECORD_FORMAT;
    at[AT_KIND] = head->kind;
    put_u16(at + AT_FLAGS, head->flags);
    memcpy(at + AT_PARTITION, head->partition.v, sizeof head->partition.v);
    put_u32(at + AT_LOG, head->log);
    put_u64(at + AT_NUMBER, head->number);
    put_u64(at + AT_KEY, head->key);
    put_u64(at + AT_SEQ, head->seq);
    memcpy(at + AT_ID, head->id.v, sizeof head->id.v);
    put_u64(at + AT_COUNTED, head->counted);
    put_u64(at + AT_EXPIRY, head->expiry_ms);
}

size_t record_bytes(const struct record *head, const struct entry *entry)
{
    return RECORD_HEADER_BYTES + entry_bytes(head->kind, entry) + RECORD_TAG_BYTES;
}

int record_write(const struct record *head, const struct entry *entry, const uint8_t key[static RECORD_KEY_BYTES],
                 struct buf *to)
{
    size_t len = record_bytes(head, entry);
    if (len > RECORD_BYTES_MAX)
        return ERR_TOO_BIG;
    size_t start = to->len;
    uint8_t *at = buf_grow(to, RECORD_HEADER_BYTES);
    if (!at)
        return to->err;
    head_put(at, head, len);
    entry_encode(head->kind, entry, to);
    buf_grow(to, RECORD_TAG_BYTES);
    if (to->err)
        return to->err;
    assert(to->len - start == len);

    at = to->at + start;                 /* the buffer may have moved */
    uint8_t nonce[NONCE_BYTES];
    nonce_of(at, nonce);
    uint8_t *plain = at + RECORD_HEADER_BYTES;
    unsigned long long sealed_len;
    crypto_aead_xchacha20poly1305_ietf_encrypt(plain, &sealed_len, plain,
                                               len - RECORD_HEADER_BYTES - RECORD_TAG_BYTES, at + AT_FORMAT,
                                               RECORD_HEADER_BYTES - AT_FORMAT, NULL, nonce, key);
    put_u64(at + AT_CHECKSUM, checksum_of(at, len));
    return 0;
}

void record_peek(const uint8_t *at, struct record *out, size_t *len_out)
{
    size_t len = get_u32(at + AT_LENGTH);
    *len_out = len;
    out->kind = at[AT_KIND];
    out->flags = get_u16(at + AT_FLAGS);
    memcpy(out->partition.v, at + AT_PARTITION, sizeof out->partition.v);
    out->log = get_u32(at + AT_LOG);
    out->number = get_u64(at + AT_NUMBER);
    out->key = get_u64(at + AT_KEY);
    out->seq = get_u64(at + AT_SEQ);
    memcpy(out->id.v, at + AT_ID, sizeof out->id.v);
    out->counted = get_u64(at + AT_COUNTED);
    out->expiry_ms = get_u64(at + AT_EXPIRY);
    out->sealed = bytes_of(at + RECORD_HEADER_BYTES, len - RECORD_HEADER_BYTES);
}

size_t record_restore(const struct record *record, uint8_t *to)
{
    size_t len = RECORD_HEADER_BYTES + record->sealed.len;
    assert(record->sealed.len >= RECORD_TAG_BYTES && len <= RECORD_BYTES_MAX);
    head_put(to, record, len);
    memcpy(to + RECORD_HEADER_BYTES, record->sealed.at, record->sealed.len);
    put_u64(to + AT_CHECKSUM, checksum_of(to, len));
    return len;
}

int record_parse(struct bytes in, struct record *out, size_t *len_out)
{
    if (in.len < AT_CHECKSUM)
        return ERR_TORN;
    size_t len = get_u32(in.at + AT_LENGTH);
    if (len < RECORD_HEADER_BYTES + RECORD_TAG_BYTES || len > RECORD_BYTES_MAX)
        return ERR_CORRUPT;
    if (in.len < len)
        return ERR_TORN;
    if (get_u64(in.at + AT_CHECKSUM) != checksum_of(in.at, len))
        return ERR_CORRUPT;
    if (in.at[AT_FORMAT] == 0)
        return ERR_CORRUPT;
    if (in.at[AT_FORMAT] > RECORD_FORMAT)
        return ERR_NEWER;
    record_peek(in.at, out, len_out);
    return 0;
}

int record_open(struct bytes whole, const struct record *record, const uint8_t key[static RECORD_KEY_BYTES],
                struct buf *room_bytes, struct entry_room *marks_room, struct entry *out)
{
    assert(whole.len >= RECORD_HEADER_BYTES + RECORD_TAG_BYTES);
    buf_clear(room_bytes);
    size_t plain_len = whole.len - RECORD_HEADER_BYTES - RECORD_TAG_BYTES;
    uint8_t *plain = buf_grow(room_bytes, plain_len);
    if (room_bytes->err)
        return room_bytes->err;
    uint8_t nonce[NONCE_BYTES];
    nonce_of(whole.at, nonce);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, whole.at + RECORD_HEADER_BYTES,
                                                   whole.len - RECORD_HEADER_BYTES, whole.at + AT_FORMAT,
                                                   RECORD_HEADER_BYTES - AT_FORMAT, nonce, key))
        return ERR_CORRUPT;
    return entry_decode(record->kind, bytes_of(plain, plain_len), marks_room, out);
}
