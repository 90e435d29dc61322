/* codec.h - struct msg to MessagePack and back.
 *
 * Decoding trusts nothing: every length is checked against the bytes that are there, nesting is bounded by
 * NESTING_MAX, nothing is allocated. Unknown trailing fields are skipped; missing trailing fields that may be
 * nil are nil. Ints are unsigned, at most NUMBER_MAX (device ids and refs: 64 bits); a negative one is
 * ERR_TYPE. A str that is not a user name must be UTF-8, else ERR_MALFORMED.
 * Thread: no globals; any thread. */
#ifndef PIPIT_PROTO_CODEC_H
#define PIPIT_PROTO_CODEC_H

#include "proto/msg.h"

/* Read one frame.
 *
 * in        the whole payload of one WebSocket message; msg_out points into it.
 * why_out   NULL, or on error a constant clause that names the field ("client_seq is not a number").
 *
 * Returns 0, ERR_MALFORMED (not MessagePack, not an array, bytes behind it), ERR_UNKNOWN_TYPE, ERR_TYPE (a
 * field has the wrong type or is missing), ERR_RANGE (value), ERR_NAME (user id), ERR_TOO_BIG. On error
 * msg_out->type, has_ref and ref are still set as far as they could be read (type 0 when not even that), so
 * that the error can be answered to its request. */
int msg_decode(struct bytes in, struct msg *msg_out, const char **why_out);

/* Append the frame for `msg` to `to`. Returns 0 or buf's error. The caller vouches for field ranges (assert). */
int msg_encode(const struct msg *msg, struct buf *to);

/* Largest frame msg_encode() makes for a MESSAGE with a body of `body_len`: to reserve room before it. */
enum { MESSAGE_OVERHEAD_MAX = 208 };
/* The same for a PAGE: what page_encode() adds to the bytes of its records and of what is gone; and what one range adds
 * to those. */
enum { PAGE_OVERHEAD_MAX = 48, GONE_BYTES_MAX = 19 };

/* A PAGE is made record by record: page_add() appends one to `records`, which starts empty, and page_encode()
 * writes the frame around `count` of them. Both return 0 or buf's error. (msg_encode() makes the same frame,
 * but has to count them.) */
int page_add(struct buf *records, const struct msg_message *record);
int page_encode(uint64_t ref, const struct msg_page *page, uint32_t count, struct buf *to);
/* Walk msg_page.records of a decoded PAGE: 0 and a record, ERR_END, or a decode error. `rest` starts as
 * msg_page.records and moves on with each 0. */
int page_next(struct bytes *rest, struct msg_message *record_out);
/* What is gone of a page, in the same way; page_encode() counts it. */
int gone_add(struct buf *gone, struct gone range);
int gone_next(struct bytes *rest, struct gone *out);

/* The sequences of a DELETE, in the same way. */
int seqs_add(struct buf *seqs, uint64_t seq);
int seqs_next(struct bytes *rest, uint64_t *seq_out);

/* The members of an INFO_ANSWER, in the same way. */
int members_add(struct buf *members, const struct member_state *m);
int info_answer_encode(uint64_t ref, const struct msg_info_answer *a, uint32_t count, struct buf *to);
int members_next(struct bytes *rest, struct member_state *out);

/* The devices of a DEVICE_LIST, in the same way. */
int devices_add(struct buf *devices, const struct device_entry *d);
int device_list_encode(uint64_t ref, uint64_t version, struct bytes devices, uint32_t count, struct buf *to);
int devices_next(struct bytes *rest, struct device_entry *out);

/* NULL, or the name of the first field of a SEND that this version cannot serve ("envelopes", …). */
const char *send_unsupported(const struct msg_send *send);

/* The body of a record of KIND_DELETE or KIND_TIMER is numbers of 8 bytes, big-endian: takes the first. 0, or ERR_END. */
int body_next(struct bytes *rest, uint64_t *number_out);

/* "SEND" for MSG_SEND, "?" when unknown. */
const char *msg_type_name(unsigned type);

/* The plain content that travels in `body` until it is sealed end to end: MessagePack [CONTENT_TEXT, text]. The
 * server never looks at it. content_text_encode: buf's error; the text is UTF-8, and whoever took it from a
 * person held it to TEXT_BYTES_MAX. content_text_decode: 0 and a view of the text, ERR_UNSUPPORTED for another
 * content kind (a newer client's), ERR_MALFORMED. */
enum { CONTENT_TEXT = 0 };
int content_text_encode(struct bytes text, struct buf *to);
int content_text_decode(struct bytes body, struct bytes *text_out);

#endif
