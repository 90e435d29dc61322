/* err.h - every error Pipit knows, once.
 *
 * A function returns 0 or a negative ERR_*. The same numbers, positive, travel in ERROR and GOODBYE
 * frames, so they never change meaning; new ones go at the end of their group.
 *
 * Columns: name, wire code, may the same request be tried again, text.
 * "Again" means: unknown or not done, repeat with the same client sequence and bytes. */
#ifndef PIPIT_PROTO_ERR_H
#define PIPIT_PROTO_ERR_H

#include <stdbool.h>

#define ERR_LIST(X)                                                                              \
    /* what the peer sent (1..) */                                                               \
    X(MALFORMED,    1, false, "the bytes are not what the format allows")                        \
    X(TYPE,         2, false, "a field has the wrong type")                                      \
    X(UNKNOWN_TYPE, 3, false, "no such message type")                                            \
    X(TOO_BIG,      4, false, "larger than the limit")                                           \
    X(NOT_BINARY,   5, false, "a text frame where only binary ones are spoken")                  \
    X(HELLO_FIRST,  6, false, "the first frame must be HELLO")                                   \
    X(HELLO_TWICE,  7, false, "HELLO was said before")                                           \
    X(VERSION,      8, false, "this protocol version is not spoken here")                        \
    X(UNSUPPORTED,  9, false, "a field or value this server does not support")                   \
    X(RANGE,       10, false, "a value is outside its range")                                    \
    /* who they are (20..) */                                                                    \
    X(AUTH,        20, false, "wrong user, password or token")                                   \
    X(NAME,        21, false, "a user name is 2 to 32 of a-z 0-9 . _ - and starts with a letter or digit") \
    X(EXISTS,      22, false, "this name is taken")                                              \
    X(INVITE,      23, false, "the invite is unknown, used up or expired")                       \
    X(PASSWORD,    24, false, "a password is 8 to 256 bytes")                                    \
    X(REVOKED,     25, false, "this device was revoked")                                         \
    X(REPLACED,    26, false, "this device opened another session")                              \
    X(CLOSED_DOOR, 27, false, "registration is closed")                                          \
    /* what they asked (40..) */                                                                 \
    X(NOT_FOUND,   40, false, "no such conversation, message or user")                           \
    X(DENIED,      41, false, "not allowed")                                                     \
    X(SETTLED,     42, false, "the client sequence is below settled")                            \
    X(PAST_HEAD,   43, false, "the cursor is past the last message")                             \
    X(STALE,       44, false, "the device list or group version is out of date")                 \
    X(TOO_MANY,    45, false, "too many unsettled sends of this device")                         \
    X(DAMAGED,     46, false, "what is stored there is damaged")                                 \
    /* not now (60..) */                                                                         \
    X(BUSY,        60, true,  "busy; try again later")                                           \
    X(RATE,        61, true,  "too fast; try again later")                                       \
    X(STORAGE,     62, true,  "storage failed; repeat with the same client sequence")            \
    X(READ_ONLY,   63, true,  "the server cannot write until it is restarted")                   \
    X(GOING,       64, true,  "the server is stopping")                                          \
    X(IDLE,        65, true,  "nothing was heard for too long")                                  \
    X(SLOW,        66, true,  "the peer does not read")                                          \
    X(NO_ROOM,     67, true,  "the server has no room left; try again later")                    \
    /* inside (100..): never sent to a peer */                                                   \
    X(NOMEM,      100, false, "out of memory")                                                   \
    X(FULL,       101, true,  "full; again when something has been taken out")                   \
    X(AGAIN,      102, true,  "not ready yet")                                                   \
    X(NO_SPACE,   103, true,  "the disk is full")                                                \
    X(IO,         104, false, "input or output failed")                                          \
    X(CORRUPT,    105, false, "stored bytes do not match their checksum")                        \
    X(TORN,       106, false, "the last write did not finish")                                   \
    X(NEWER,      107, false, "the data was written by a newer version")                         \
    X(IN_USE,     108, false, "the data folder is in use by another process")                    \
    X(GONE,       109, false, "the key was erased")                                              \
    X(END,        110, false, "no more")                                                         \
    X(PEER,       111, true,  "the peer closed the connection")                                  \
    X(CONFIG,     112, false, "the configuration is wrong")

#define ERR_ENUM(name, code, again, text) ERR_##name = -(code),
enum err { ERR_OK = 0, ERR_LIST(ERR_ENUM) };
#undef ERR_ENUM

/* "NOT_FOUND" for ERR_NOT_FOUND, "OK" for 0, "UNKNOWN" for a number not in the list. */
const char *err_name(int err);
/* One clause without a full stop. Never NULL. */
const char *err_text(int err);
/* Whether the same request may be repeated and may then succeed. */
bool err_may_retry(int err);
/* ERR_* for an errno value: ENOSPC, EDQUOT and EFBIG are ERR_NO_SPACE (a quota, or a limit on the size of files, is as
 * easily given room as a disk), ENOMEM ERR_NOMEM, ENOENT ERR_NOT_FOUND, EEXIST ERR_EXISTS, EAGAIN ERR_AGAIN; all else
 * ERR_IO. */
int err_from_errno(int errno_value);
/* ERR_NOT_FOUND for "NOT_FOUND"; 0 for a name that is not in the list. */
int err_from_name(const char *name);
/* What a peer is told of `err`: itself below 100; of those inside BUSY where trying again helps, NOT_FOUND for
 * what was erased or has ended, else STORAGE: unknown, repeat. */
int err_for_peer(int err);
/* The WebSocket close code (RFC 6455, section 7.4) that ends a connection for this error: 4000 + its code
 * for errors with a number below 100, but 1003 for NOT_BINARY; 1011 for those inside, 1000 for 0. What breaks
 * RFC 6455 itself has codes of its own (server/net/ws.h). */
int err_close_code(int err);

#endif
