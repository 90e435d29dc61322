/* codec.h - struct msg to MessagePack and back.
 *
 * Decoding trusts nothing: every length is checked against the bytes that are there, nesting is bounded by
 * NESTING_MAX, nothing is allocated whose size a peer chooses. Unknown trailing fields are skipped; missing
 * trailing fields that may be nil are nil. Ints are unsigned; a negative one is ERR_TYPE.
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
enum { MESSAGE_OVERHEAD_MAX = 192 };

/* Page records: append one record, as an array, to the raw records of a PAGE under construction (`to` starts
 * empty; page_finish writes nothing else: the array header is made by msg_encode from `count`).
 * A PAGE is encoded by page_encode(), since its records come one by one. */
int page_add(struct buf *records, const struct msg_message *record);
int page_encode(uint64_t ref, const struct msg_page *page, uint32_t count, struct buf *to);  /* records: bare, no header */
/* Walk msg_page.records of a decoded PAGE: 0 and a record, ERR_END, or a decode error. `rest` starts as
 * msg_page.records and moves on. */
int page_next(struct bytes *rest, struct msg_message *record_out);

int members_add(struct buf *members, const struct member_state *m);
int info_answer_encode(uint64_t ref, const struct msg_info_answer *a, uint32_t count, struct buf *to);
int members_next(struct bytes *rest, struct member_state *out);

/* NULL, or the name of the first field of a SEND that this version cannot serve ("envelopes", …). */
const char *send_unsupported(const struct msg_send *send);

/* "SEND" for MSG_SEND, "?" when unknown. */
const char *msg_type_name(unsigned type);

/* The plain content that travels in `body` until it is sealed end to end: MessagePack [0, text]. The server
 * never looks at it. content_text_decode: 0 and a view of the text, ERR_UNSUPPORTED for another content
 * kind (a newer client's), ERR_MALFORMED. */
int content_text_encode(struct bytes text, struct buf *to);
int content_text_decode(struct bytes body, struct bytes *text_out);

#endif
