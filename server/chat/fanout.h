/* fanout.h - from the home of a conversation to the shards of its members.
 *
 * A committed message becomes one struct delivery: one frame, the roster as of its record. One parcel goes to each
 * shard that has members, naming a slice. What finds a pipe full waits in its conversation, conversations take turns;
 * above chat_settings.fanout_bytes_max the frames are let go and only the news travel: members fall behind and are
 * caught up from the log. Nothing here is ever dropped without that news. */
#ifndef PIPIT_CHAT_FANOUT_H
#define PIPIT_CHAT_FANOUT_H

#include "server/chat/commit.h"

struct delivery {                     /* PARCEL_DELIVER; immutable once pushed */
    _Atomic uint32_t refs;
    uint8_t type;
    struct conv_id conv;
    uint64_t seq;
    bool deletes;                     /* a KIND_DELETE: pages in hand may hold what it deletes */
    struct device_id device;          /* the sender's, and its session then: that one is told ACCEPTED */
    uint64_t session_number;          /* 0: none */
    struct frame *frame;              /* NULL: news only */
    struct roster *roster;
};
void delivery_unref(struct delivery *d);

void fanout_add(struct chat *chat, struct conv *conv, const struct pending *p);
/* What waits of this message is only the news of it from here on: whoever hears it reads the log. */
void fanout_forget(struct chat *chat, struct conv *conv, uint64_t seq);
/* A slice of work. True: more could go at once. */
bool fanout_run(struct chat *chat);
/* The MESSAGE frame of a record; NULL: out of memory. */
struct frame *fanout_frame(const struct msg_message *message, struct buf *scratch);

#endif
