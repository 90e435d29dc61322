/* limits.h - every limit of the protocol: name, unit, reason. Those of one server file stand in that file. */
#ifndef PIPIT_PROTO_LIMITS_H
#define PIPIT_PROTO_LIMITS_H

#include <stdint.h>

enum {
    /* One WebSocket message. What is larger is media: a phone on a bad link can still repeat a frame. */
    FRAME_BYTES_MAX = 64 * 1024,
    /* What a person types in one message. Clients hold to it; the server sees only sealed bytes. */
    TEXT_BYTES_MAX = 4096,
    /* The opaque body of SEND: a text, padded to the next power of two and sealed, with room to spare. */
    BODY_BYTES_MAX = 16 * 1024,
    /* Devices of one user; an envelope for each device of two users fits a frame. */
    DEVICES_PER_USER_MAX = 16,
    /* Accepted sends of one device at or above `settled`, for each conversation. */
    REPEATS_MAX = 256,
    /* Not yet acknowledged by a session: enough for a link of 100 ms at 600 messages a second. */
    WINDOW_MESSAGES_MAX = 64,
    WINDOW_BYTES_MAX = 256 * 1024,
    /* Records in one page of HISTORY; a page also ends before FRAME_BYTES_MAX. */
    PAGE_RECORDS_MAX = 100,
    /* Sequences of one DELETE: what a person picks on a screen, and a record of them stays below a kibibyte. */
    DELETE_SEQS_MAX = 100,
    /* A conversation's timer: shorter than a minute nobody could read what comes, longer than a year is no timer. */
    TIMER_S_MIN = 60,
    EXPIRE_S_MAX = 365 * 24 * 3600,
    /* Names of fields, agents, devices. */
    NAME_BYTES_MAX = 64,
    /* Nesting of a frame's MessagePack: [SEND, ref, …, {user: version}] needs 2. */
    NESTING_MAX = 6,
    TOKEN_BYTES = 32,
    PASSWORD_BYTES_MIN = 8,
    PASSWORD_BYTES_MAX = 256,
    PROTOCOL_VERSION = 1,
};

/* Sequences, times and counts: what a signed 64-bit integer holds, since databases and many languages know no
 * other. Device ids and refs use all 64 bits. */
#define NUMBER_MAX INT64_MAX

/* The port people see in examples; nothing depends on it. */
#define PORT_DEFAULT 8700
#define SUBPROTOCOL "pipit.v1"

_Static_assert(TEXT_BYTES_MAX * 2 < BODY_BYTES_MAX, "a padded text must fit a body");
_Static_assert(BODY_BYTES_MAX * 2 < FRAME_BYTES_MAX, "a frame carries a body and its fields");
_Static_assert(WINDOW_BYTES_MAX >= 4 * FRAME_BYTES_MAX, "a window of largest frames must still move");

#endif
