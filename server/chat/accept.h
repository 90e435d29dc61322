/* accept.h - SEND at the conversation's home: a repeat gets its first answer, anything else is checked and appended. */
#ifndef PIPIT_CHAT_ACCEPT_H
#define PIPIT_CHAT_ACCEPT_H

#include "server/chat/conv.h"

void accept_send(struct chat *chat, struct conv *conv, struct ask *ask);
/* After a batch has come back: sends that found it full, in order. */
void accept_retry(struct chat *chat);
/* Room for one more in the device's set; NULL: out of memory. */
struct repeat *accept_repeat_add(struct conv_device *d);

#endif
