/* reading.h - what is read from the log at a conversation's home: pages for those behind, HISTORY, INFO, marks, heads.
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
    MARKS_RECORDS_MAX = 256,          /* for one list of marks */
    MARKS_BYTES_MAX = 32 * 1024,
};

/* What says at a job which records of a conversation are dead: the rules and what facts do not know yet, as the home knew
 * them when it began. */
struct dead {
    struct retain_part *part;
    uint64_t *fresh;                  /* deleted sequences, rising */
    uint32_t fresh_count;
};
int dead_init(struct dead *dead, struct chat *chat, const struct conv *conv);   /* the home; 0 or ERR_NOMEM */
void dead_fini(struct dead *dead);
/* A job, within a snapshot of facts taken after dead_init(). Of a record that is no marks record. */
int reading_is_dead(struct dead *dead, struct facts *facts, const struct record *record, bool *is_dead_out);

void reading_start(struct chat *chat, struct conv *conv, struct ask *ask);   /* FETCH, HISTORY, INFO, MARKS; READY only */
void reading_heads(struct chat *chat, struct ask *ask);                      /* HEADS */
void reading_retry(struct chat *chat);                                       /* jobs were busy */

#endif
