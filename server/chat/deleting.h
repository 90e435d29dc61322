/* deleting.h - may these messages be deleted for everyone? Found where they lie, before a DELETE becomes a record.
 *
 * Who sent a message stands under its seal, so a job reads each of them. The ask comes back to its conversation by
 * conv_on_ask() with `allowed` set, and is looked up as a repeat once more: the same DELETE may have been accepted
 * meanwhile. */
#ifndef PIPIT_CHAT_DELETING_H
#define PIPIT_CHAT_DELETING_H

#include "server/chat/conv.h"

/* Takes the ask of a KIND_DELETE. It is refused with ERR_NOT_FOUND (one of them is no message, or dead), ERR_DENIED
 * (another's, or too old), ERR_BUSY or ERR_STORAGE, or it comes back. */
void deleting_check(struct chat *chat, struct conv *conv, struct ask *ask);

#endif
