/* handoff.h - move a connection whole to another shard: the one its user lives on.
 *
 * A libuv handle cannot change loops, so the descriptor is duplicated, the old handle closed, and in its close
 * callback the conn travels as PARCEL_CONN with the descriptor, frames not written yet, and every byte not yet
 * interpreted. Bytes the peer sends meanwhile wait in the kernel. On arrival the message it was moved for is
 * given to on_message again, on the new shard, before anything else. */
#ifndef PIPIT_NET_HANDOFF_H
#define PIPIT_NET_HANDOFF_H

#include "server/net/conn.h"

/* Call from on_message (WS state, no owner set): the conn leaves this shard as soon as its handle is closed;
 * `message` (the one being handled) is copied and comes again over there. `to` is another shard. The caller must not
 * touch the conn after it. A pipe without room only delays it: the conn waits in net's list for the next turn. A
 * failed dup closes the conn with ERR_BUSY; a house that stops meanwhile, with ERR_GOING, told to on_closed here or
 * there. */
void handoff_send(struct conn *conn, uint16_t to, struct bytes message);
/* For the owner's on_parcel: PARCEL_CONN arrived. */
void handoff_receive(struct shard *shard, struct conn *conn);

#endif
