/* wsframe.h - the header in front of a server's WebSocket message: RFC 6455, section 5.2, unmasked, FIN set. */
#ifndef PIPIT_PROTO_WSFRAME_H
#define PIPIT_PROTO_WSFRAME_H

#include <stddef.h>
#include <stdint.h>

enum { WSFRAME_HEADER_MAX = 10 };
enum wsframe_opcode { WSFRAME_TEXT = 1, WSFRAME_BINARY = 2, WSFRAME_CLOSE = 8, WSFRAME_PING = 9, WSFRAME_PONG = 10 };

/* Writes 2, 4 or 10 bytes to `to`; returns how many. */
size_t wsframe_header(uint8_t to[static WSFRAME_HEADER_MAX], enum wsframe_opcode opcode, uint64_t payload_len);
/* How many wsframe_header() will write. */
size_t wsframe_header_len(uint64_t payload_len);

#endif
