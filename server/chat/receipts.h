/* receipts.h - cursors at their home: noted, folded into marks, durable, told.
 *
 * noted (a device said it) -> appended (in a marks record) -> durable (its batch is synced) -> told (RECEIPT).
 * Forward only, each step a maximum, so nothing shown is ever taken back and a full pipe only folds more. */
#ifndef PIPIT_CHAT_RECEIPTS_H
#define PIPIT_CHAT_RECEIPTS_H

#include "server/chat/conv.h"

/* ASK_CURSOR: note it and answer: 0, ERR_NOT_FOUND, ERR_PAST_HEAD. */
void receipts_note(struct chat *chat, struct conv *conv, struct ask *ask);
/* In and out of the list of conversations with noted moves. */
void receipts_list(struct chat *chat, struct conv *conv);
void receipts_unlist(struct chat *chat, struct conv *conv);
/* A marks record is durable. */
void receipts_durable(struct chat *chat, struct conv *conv, const struct mark *marks, uint32_t count);
/* Tell what is durable, while pipes have room. True: more could be told at once. */
bool receipts_run(struct chat *chat);
/* The RECEIPT frame of a member as it stands; NULL: out of memory. */
struct frame *receipts_frame(const struct conv_id *conv, const struct member_row *member, struct buf *scratch);

/* PARCEL_RECEIPT. */
struct notice {
    _Atomic uint32_t refs;            /* one for each parcel */
    uint8_t type;
    bool to_own;                      /* a read cursor: the user's own devices want to know, too */
    struct conv_id conv;
    struct user_id about;
    struct frame *frame;
    struct roster *roster;
};
void notice_unref(struct notice *notice);

#endif
