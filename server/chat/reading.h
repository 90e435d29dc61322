/* reading.h - what is read from the log at a conversation's home: pages for those behind, HISTORY, INFO, heads.
 *
 * The home takes a view of the log, which touches no disk; a job reads it, opens the records and encodes the answer. Only
 * committed records of the asking member's span are ever found. */
#ifndef PIPIT_CHAT_READING_H
#define PIPIT_CHAT_READING_H

#include "server/chat/conv.h"

enum {
    /* A page for a session that is behind: one window's records, at most 64 KiB of them. */
    FETCH_RECORDS_MAX = 64,
    FETCH_BYTES_MAX = 64 * 1024,
    /* Marks looked through for the times of INFO; beyond them the member's last move is told. */
    INFO_MARKS_MAX = 1024,
    INFO_BYTES_MAX = 1024 * 1024,
};

void reading_start(struct chat *chat, struct conv *conv, struct ask *ask);   /* FETCH, HISTORY, INFO; READY only */
void reading_heads(struct chat *chat, struct ask *ask);                      /* HEADS */
void reading_retry(struct chat *chat);                                       /* jobs were busy */

#endif
