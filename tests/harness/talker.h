/* talker.h - a scripted device: says exactly what a test tells it to, and hears what the server answers.
 *
 * Plain blocking TCP to 127.0.0.1, one WebSocket session, frames made by hand so that broken ones can be made too.
 * It does nothing by itself but answer WebSocket pings while it waits: no acknowledgements, no repeats.
 *
 * What a test waits for is an event, never a time. TALKER_LAST_RESORT_MS only turns a server that hangs into a
 * failed test. A failure prints what was awaited and what had come instead, and aborts: this file knows no test
 * framework, and may be used from any thread (one talker, one thread).
 *
 * A message that was returned is good until the next call for the same talker. */
#ifndef PIPIT_TESTS_TALKER_H
#define PIPIT_TESTS_TALKER_H

#include "proto/proto.h"

enum { TALKER_LAST_RESORT_MS = 30000 };

struct talker;

/* One HTTP request on a connection of its own. `body_out` is cleared first and gets the answer's body. Answers only
 * when the head is whole and the body is as long as Content-Length says. */
void talker_http(uint16_t port, const char *method, const char *path, struct bytes body, int *status_out,
                 struct buf *body_out);

/* Connect only; connect and upgrade; and those, HELLO and wait for WELCOME (talker_welcome). */
struct talker *talker_connect(uint16_t port);
struct talker *talker_upgrade(uint16_t port);
struct talker *talker_open(uint16_t port, const struct user_id *user, struct device_id device,
                           const uint8_t token[static TOKEN_BYTES]);
void talker_hello(struct talker *t, const struct user_id *user, struct device_id device,
                  const uint8_t token[static TOKEN_BYTES]);    /* sends HELLO with ref 1, waits for nothing */
const struct msg_welcome *talker_welcome(const struct talker *t);    /* its `server` is empty: the frame is gone */

/* ---- saying ---- */
/* Each is written before it returns. When the server has closed meanwhile nothing happens: whoever reads next
 * learns it. */
void talker_send_raw(struct talker *t, struct bytes bytes);                       /* onto the TCP stream */
/* One WebSocket frame. `first` is FIN, reserved bits and opcode as they travel (0x82: a whole binary message). */
void talker_send_frame(struct talker *t, uint8_t first, bool masked, struct bytes payload);
void talker_send_binary(struct talker *t, struct bytes payload);                  /* 0x82, masked */
void talker_send(struct talker *t, const struct msg *msg);
/* SEND of the plain text `text` to a user; returns its ref. */
uint64_t talker_send_text(struct talker *t, const struct user_id *to, uint64_t client_seq, uint64_t settled,
                          const char *text);
void talker_cursor(struct talker *t, enum msg_type type, const struct conv_id *conv, uint64_t seq);
uint64_t talker_ref(struct talker *t);                                            /* the next unused request number */

/* ---- hearing ---- */
/* The next message, queued ones first. Fails when the server closes instead. */
const struct msg *talker_next(struct talker *t);
/* The next one of this type; others are queued for later. */
const struct msg *talker_expect(struct talker *t, enum msg_type type);
/* The answer to request `ref`, whatever its type; others are queued. */
const struct msg *talker_answer(struct talker *t, uint64_t ref);
/* Send PING and wait for its PONG: all that the server had written before has been read, and is queued. Returns how
 * many messages are queued. */
size_t talker_settle(struct talker *t);
/* Wait until the server closes; messages that come before are queued. Returns the close code, 1006 when the stream
 * ended without a close frame. talker_next() and so on still give what was queued. */
int talker_expect_close(struct talker *t);

/* ---- going ---- */
/* From here on nothing is read: the receive buffer is made small, so that the server soon finds no room. Pings stay
 * unanswered. Saying still works. talker_thaw() undoes it. */
void talker_freeze(struct talker *t);
void talker_thaw(struct talker *t);
void talker_close(struct talker *t);         /* close frame, then the socket. Frees. NULL allowed, as below */
void talker_close_hard(struct talker *t);    /* a TCP reset (SO_LINGER 0): what was unread is lost. Frees */

#endif
