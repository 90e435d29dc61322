/* reading_impl.h - inside reading*.c only: one read on its way from a conversation's home to a job and back.
 *
 * The home decides what is asked for and takes a view of the log (no disk); the job reads it, opens the records and encodes
 * the answer (reading_job.c). While the job has it, the home touches nothing of it, and the job does not look into the
 * conversation. */
#ifndef PIPIT_CHAT_READING_IMPL_H
#define PIPIT_CHAT_READING_IMPL_H

#include "server/chat/reading.h"
#include "server/chat/state.h"

struct reading {
    struct work work;
    struct reading *prev, *next;      /* chat->reading_wait */
    struct conv *conv;                /* pinned; the job does not look into it */
    struct ask *ask;
    struct vault_key key;
    struct dead dead;
    struct facts *facts;              /* the job's, while it runs */
    uint64_t deletes;                 /* of the conversation, when it was asked */
    struct msg_message described;     /* what all records of the conversation share */
    struct view *view, *marks;        /* INFO and MARKS alone have marks */
    uint64_t end;                     /* committed head when it was asked */
    uint64_t first, last;             /* the member's whole span */
    bool seeking;                     /* for the first record made at seek_ms or later: it lies in low..high */
    uint64_t low, high, seek_ms;
    /* -- a walk: one, or two for a page around a time -- */
    uint64_t from, to;                /* what is left to look at; from > to: nothing, and there is no view */
    uint64_t edge;                    /* what the page answers for begins here; when newest, it ends here */
    size_t max;
    bool newest;
    bool again;                       /* all that a job looked at was dead: on behind it, so that it is told as one */
    size_t upper_max;                 /* HISTORY around: above 0, the walk upwards from upper_edge comes next */
    uint64_t upper_edge;
    bool more;
    struct buf records, gone;         /* HISTORY: what the page will have */
    uint32_t record_count;
    struct gone run;                  /* HISTORY: what is gone up to here, not in `gone` yet; to 0: nothing */
    struct member_state *states;      /* INFO: times as far as the members' rows know */
    uint64_t *delivered, *read;       /* INFO: their cursors */
    uint32_t state_count;
    struct frame **cursors;           /* FETCH: RECEIPT frames for the end of the page */
    uint32_t cursor_count;
    char bad_file[FS_NAME_MAX + 1];   /* what is damaged, with ERR_CORRUPT; else "" */
    uint64_t bad_offset;
};

void reading_run(struct work *work, void *context);           /* on a job's thread */

#endif
