/* proto.h - the face of proto/: the words that server, clients and tools share.
 *
 * Bytes in, structs out, and back. Nothing here opens a file, reads a clock, draws a random number or knows
 * of threads; what a function needs of those comes as an argument. */
#ifndef PIPIT_PROTO_PROTO_H
#define PIPIT_PROTO_PROTO_H

#include "proto/account.h"
#include "proto/bytes.h"
#include "proto/codec.h"
#include "proto/err.h"
#include "proto/id.h"
#include "proto/limits.h"
#include "proto/msg.h"
#include "proto/wsframe.h"

#endif
