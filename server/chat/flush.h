/* flush.h - folds to facts, about once a second, with the record number they cover. */
#ifndef PIPIT_CHAT_FLUSH_H
#define PIPIT_CHAT_FLUSH_H

#include "server/chat/chat.h"

struct chat;

int flush_open(struct chat *chat);
/* Something was committed: flush within FLUSH_EVERY_MS. */
void flush_soon(struct chat *chat);
/* Now, if anything waits and none is under way. */
void flush_now(struct chat *chat);
/* Nothing committed is missing in facts (or it cannot be written: the log has it). */
bool flush_is_done(const struct chat *chat);
void flush_close(struct chat *chat);

#endif
