/* wsframe.c - three shapes of one header (RFC 6455, section 5.2).
 *
 * A server does not mask, so header and payload are the same bytes for every receiver and are built once,
 * here. The length takes the shortest form, as the RFC demands. */
#include "proto/wsframe.h"

#include <assert.h>

#include "proto/bytes.h"

enum {
    WS_FIN = 0x80,                /* our messages are one frame each */
    WS_LEN_SHORT_MAX = 125,       /* the 7-bit form; control frames know no other */
    WS_LEN_16 = 126,
    WS_LEN_64 = 127,
};

size_t wsframe_header_len(uint64_t payload_len)
{
    if (payload_len <= WS_LEN_SHORT_MAX) return 2;
    return payload_len <= UINT16_MAX ? 4 : 10;
}

size_t wsframe_header(uint8_t to[static WSFRAME_HEADER_MAX], enum wsframe_opcode opcode, uint64_t payload_len)
{
    assert(opcode < WSFRAME_CLOSE || payload_len <= WS_LEN_SHORT_MAX);
    assert(payload_len <= INT64_MAX);    /* the top bit is reserved */
    to[0] = (uint8_t)(WS_FIN | opcode);
    switch (wsframe_header_len(payload_len)) {
    case 2:
        to[1] = (uint8_t)payload_len;
        return 2;
    case 4:
        to[1] = WS_LEN_16;
        put_u16(to + 2, (uint16_t)payload_len);
        return 4;
    default:
        to[1] = WS_LEN_64;
        put_u64(to + 2, payload_len);
        return 10;
    }
}
