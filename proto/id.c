/* id.c - ids: parse, print, compare, and the two that are computed.
 *
 * Text is what people type, so hex digits are taken in either case; what is printed is always lower case and
 * has one form. */
#include "proto/id.h"

#include <assert.h>
#include <sodium/crypto_generichash.h>
#include <string.h>

#include "proto/err.h"

/* ---- hex ---- */

static void hex_print(const uint8_t *from, size_t len, char *to)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        to[2 * i] = digits[from[i] >> 4];
        to[2 * i + 1] = digits[from[i] & 15];
    }
    to[2 * len] = '\0';
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Exactly `len` bytes from 2 * len digits. */
static bool hex_parse(const uint8_t *from, size_t len, uint8_t *to)
{
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(from[2 * i]), low = hex_digit(from[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* ---- users ---- */

static bool is_letter_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

int user_id_parse(struct bytes text, struct user_id *out)
{
    if (text.len < USER_ID_LEN_MIN || text.len > USER_ID_LEN_MAX) return ERR_NAME;
    if (!is_letter_or_digit(text.at[0])) return ERR_NAME;
    for (size_t i = 1; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (!is_letter_or_digit(c) && c != '.' && c != '_' && c != '-') return ERR_NAME;
    }
    memset(out->v, 0, sizeof out->v);    /* zeros behind: the whole array is the hash key */
    memcpy(out->v, text.at, text.len);
    return 0;
}

bool user_id_equal(const struct user_id *a, const struct user_id *b)
{
    return memcmp(a->v, b->v, sizeof a->v) == 0;
}

/* ---- devices ---- */

void device_id_print(struct device_id id, char out[static DEVICE_ID_TEXT])
{
    uint8_t v[8];
    put_u64(v, id.v);
    hex_print(v, sizeof v, out);
}

int device_id_parse(struct bytes text, struct device_id *out)
{
    uint8_t v[8];
    if (text.len != DEVICE_ID_TEXT - 1 || !hex_parse(text.at, sizeof v, v)) return ERR_MALFORMED;
    if (get_u64(v) == 0) return ERR_MALFORMED;
    out->v = get_u64(v);
    return 0;
}

/* ---- conversations ---- */

/* The labels keep apart what is hashed for different purposes; the zero keeps ("ab", "c") from ("a", "bc"). */
#define LABEL_DIRECT "pipit direct"
#define LABEL_INBOX  "pipit inbox"

static struct conv_id conv_id_hash(const uint8_t *text, size_t len)
{
    struct conv_id id;
    int failed = crypto_generichash(id.v, sizeof id.v, text, len, NULL, 0);
    assert(!failed);    /* only wrong lengths fail */
    (void)failed;
    return id;
}

static uint8_t *append(uint8_t *to, struct bytes part)
{
    memcpy(to, part.at, part.len);
    return to + part.len;
}

struct conv_id conv_id_direct(const struct user_id *a, const struct user_id *b)
{
    bool in_order = strcmp(a->v, b->v) <= 0;
    struct bytes label = bytes_of_str(LABEL_DIRECT);
    struct bytes lesser = user_id_bytes(in_order ? a : b);
    struct bytes greater = user_id_bytes(in_order ? b : a);
    uint8_t text[sizeof LABEL_DIRECT + 2 * USER_ID_LEN_MAX];    /* sizeof counts one more: the zero between */
    uint8_t *end = append(append(text, label), lesser);
    *end++ = 0;
    end = append(end, greater);
    return conv_id_hash(text, (size_t)(end - text));
}

struct conv_id conv_id_inbox(const struct user_id *user)
{
    struct bytes label = bytes_of_str(LABEL_INBOX);
    struct bytes name = user_id_bytes(user);
    uint8_t text[sizeof LABEL_INBOX + USER_ID_LEN_MAX];
    uint8_t *end = append(append(text, label), name);
    return conv_id_hash(text, (size_t)(end - text));
}

bool conv_id_equal(const struct conv_id *a, const struct conv_id *b)
{
    return memcmp(a->v, b->v, sizeof a->v) == 0;
}

void conv_id_print(const struct conv_id *id, char out[static CONV_ID_TEXT])
{
    hex_print(id->v, sizeof id->v, out);
}

int conv_id_parse(struct bytes text, struct conv_id *out)
{
    struct conv_id id;
    if (text.len != CONV_ID_TEXT - 1 || !hex_parse(text.at, sizeof id.v, id.v)) return ERR_MALFORMED;
    *out = id;
    return 0;
}

/* ---- messages: UUIDv7 ----
 *
 *   0       6       8                16
 *   | ms 48 | 7|c12 | 10b | random 62 |     c: the counter, in the field the RFC calls rand_a */

#define UUID_MS_MAX ((UINT64_C(1) << 48) - 1)     /* the year 10889 */
enum { UUID_COUNTER_MAX = 0xFFF, UUID_VERSION = 7, UUID_VARIANT = 2 };

uint64_t msg_id_ms(const struct msg_id *id)
{
    return get_u64(id->v) >> 16;
}

struct msg_id msg_id_next(const struct msg_id *prev, uint64_t now_ms, const uint8_t random[static 8])
{
    static const struct msg_id none;
    uint64_t ms = now_ms, counter = 0;
    if (msg_id_compare(prev, &none) != 0 && now_ms <= msg_id_ms(prev)) {
        ms = msg_id_ms(prev);
        counter = (get_u64(prev->v) & UUID_COUNTER_MAX) + 1;
        if (counter > UUID_COUNTER_MAX) {
            counter = 0;
            ms++;
        }
    }
    assert(ms <= UUID_MS_MAX);
    struct msg_id id;
    put_u64(id.v, ms << 16 | UUID_VERSION << 12 | counter);
    memcpy(id.v + 8, random, 8);
    id.v[8] = (uint8_t)(UUID_VARIANT << 6 | (id.v[8] & 0x3F));
    return id;
}

int msg_id_compare(const struct msg_id *a, const struct msg_id *b)
{
    return memcmp(a->v, b->v, sizeof a->v);
}

/* The groups of 8-4-4-4-12, in bytes. */
static const uint8_t uuid_groups[] = { 4, 2, 2, 2, 6 };

void msg_id_print(const struct msg_id *id, char out[static MSG_ID_TEXT])
{
    const uint8_t *from = id->v;
    for (size_t g = 0; g < sizeof uuid_groups; g++) {
        if (g > 0) *out++ = '-';
        hex_print(from, uuid_groups[g], out);
        from += uuid_groups[g];
        out += 2 * uuid_groups[g];
    }
}

int msg_id_parse(struct bytes text, struct msg_id *out)
{
    if (text.len != MSG_ID_TEXT - 1) return ERR_MALFORMED;
    struct msg_id id;
    const uint8_t *from = text.at;
    uint8_t *to = id.v;
    for (size_t g = 0; g < sizeof uuid_groups; g++) {
        if (g > 0 && *from++ != '-') return ERR_MALFORMED;
        if (!hex_parse(from, uuid_groups[g], to)) return ERR_MALFORMED;
        from += 2 * uuid_groups[g];
        to += uuid_groups[g];
    }
    if (id.v[6] >> 4 != UUID_VERSION || id.v[8] >> 6 != UUID_VARIANT) return ERR_MALFORMED;
    *out = id;
    return 0;
}
