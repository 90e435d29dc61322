/* commit.h - from appended to durable: one batch at a time, and what each record of it was waiting for.
 *
 * struct pending stands for one appended record until its batch is synced. In order: those of the open batch
 * (chat->open), then of the batch in flight (chat->flight). When the batch is durable each becomes fact: head, repeat
 * entry, fold, ACCEPTED, fan-out, receipts. When it failed, all of both batches are taken back. */
#ifndef PIPIT_CHAT_COMMIT_H
#define PIPIT_CHAT_COMMIT_H

#include "server/chat/conv.h"

struct pending {
    struct pending *next;
    struct conv *conv;
    struct record record;             /* as appended; `sealed` is not kept */
    struct ask *ask;                  /* the send; NULL for marks */
    struct ask *repeats;              /* repeats that came meanwhile: the same answer for them */
    bool names_members;               /* the first record of its conversation */
    uint32_t mark_count;
    struct mark marks[];
};

/* Append the send as the next record of its conversation. Returns 0 (it is pending), ERR_FULL (again after this batch),
 * ERR_READ_ONLY, ERR_NOMEM or ERR_TOO_BIG. */
int commit_append_send(struct chat *chat, struct conv *conv, struct conv_device *device, struct ask *ask);
/* Append the moves noted in a conversation as one marks record. 0, also when there are none; else as above. */
int commit_append_marks(struct chat *chat, struct conv *conv);
/* End of turn: append all marks, take the batch, give it to the committer. */
void commit_turn_end(struct chat *chat);
bool commit_is_idle(const struct chat *chat);
int commit_open(struct chat *chat);
void commit_close(struct chat *chat);

#endif
