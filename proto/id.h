/* id.h - who and what: users, devices, conversations, messages.
 *
 * Each id is a struct of one field, so that one kind cannot pass for another. All are compared with
 * memcmp-like functions and may be used as hash keys byte by byte (a user id is zero-padded).
 * Nothing here reads a clock or draws random bytes: both are arguments. */
#ifndef PIPIT_PROTO_ID_H
#define PIPIT_PROTO_ID_H

#include "proto/bytes.h"

enum { USER_ID_LEN_MIN = 2, USER_ID_LEN_MAX = 32 };

struct user_id { char v[USER_ID_LEN_MAX + 1]; };   /* [a-z0-9][a-z0-9._-]{1,31}, NUL and zeros behind */
struct device_id { uint64_t v; };                  /* random, never 0; printed as 16 hex digits */
struct conv_id { uint8_t v[16]; };                 /* printed as 32 hex digits */
struct msg_id { uint8_t v[16]; };                  /* UUIDv7, RFC 9562 section 5.7; printed 8-4-4-4-12 */

enum { DEVICE_ID_TEXT = 17, CONV_ID_TEXT = 33, MSG_ID_TEXT = 37 };   /* bytes, with the NUL */

/* 0 or ERR_NAME. `out` is untouched on error. */
int user_id_parse(struct bytes text, struct user_id *out);
bool user_id_equal(const struct user_id *a, const struct user_id *b);
static inline struct bytes user_id_bytes(const struct user_id *u) { return bytes_of_str(u->v); }

void device_id_print(struct device_id id, char out[static DEVICE_ID_TEXT]);
int device_id_parse(struct bytes text, struct device_id *out);      /* 0 or ERR_MALFORMED; refuses 0 */

/* BLAKE2b-128("pipit direct" || lesser || 0 || greater), whatever the order of the arguments. The same user
 * twice gives the conversation of notes to oneself. */
struct conv_id conv_id_direct(const struct user_id *a, const struct user_id *b);
/* BLAKE2b-128("pipit inbox" || user): the user's partition that is never shown as a conversation. */
struct conv_id conv_id_inbox(const struct user_id *user);
bool conv_id_equal(const struct conv_id *a, const struct conv_id *b);
void conv_id_print(const struct conv_id *id, char out[static CONV_ID_TEXT]);
int conv_id_parse(struct bytes text, struct conv_id *out);          /* 0 or ERR_MALFORMED */

/* The next message id of a conversation: above `prev` (all zero: the first), at `now_ms` since 1970 when the
 * clock allows it. When it stands still or steps back the 12-bit counter rises, and when that is used up the
 * millisecond does. The low 62 bits are `random` always, so that no id is made twice after a cut tail or a
 * restore from a backup. */
struct msg_id msg_id_next(const struct msg_id *prev, uint64_t now_ms, const uint8_t random[static 8]);
uint64_t msg_id_ms(const struct msg_id *id);
int msg_id_compare(const struct msg_id *a, const struct msg_id *b);
void msg_id_print(const struct msg_id *id, char out[static MSG_ID_TEXT]);
int msg_id_parse(struct bytes text, struct msg_id *out);            /* 0 or ERR_MALFORMED; wants version 7 */

#endif
