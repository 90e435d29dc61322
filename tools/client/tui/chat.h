/* chat.h - `pipit chat` on a whole screen: all conversations of a device, one of them open. */
#ifndef PIPIT_CLIENT_TUI_CHAT_H
#define PIPIT_CLIENT_TUI_CHAT_H

#include "tools/client/pipit_impl.h"

struct chat_end {
    bool was_shown;               /* false: the terminal cannot show it, `why` says what it lacks, and nothing was done */
    uint64_t waiting;             /* own sends without an answer: they stay in the outbox */
    char why[WHY_MAX];            /* a clause, with an error */
};
/* Lives until its user leaves, a signal ends it, or the session is over for good. The home's lock is held. `peer` is who
 * it begins with; NULL: the list of conversations.
 *
 * Returns 0; ERR_REPLACED, ERR_REVOKED and whatever else HELLO was refused for; errors of the store that nothing but an
 * end is good for; ERR_IO: the terminal is gone.
 * Thread: the process's one. */
int chat_run(struct pipit *pipit, const struct user_id *peer, struct chat_end *end_out);

#endif
