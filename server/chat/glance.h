/* glance.h - a page of a conversation, read for whoever runs the server and not for a session.
 *
 * It is HISTORY as one member would get it, from `after` on, or the moves of cursors that it can see, asked by main's
 * shard (server/admin_export.c) and served at the conversation's home like any other: what that member cannot see is not
 * in it.
 * Thread: its sender's shard, and the home while it is there. */
#ifndef PIPIT_CHAT_GLANCE_H
#define PIPIT_CHAT_GLANCE_H

#include "proto/proto.h"
#include "server/chat/ask.h"
#include "server/chat/errand.h"

struct glance {
    struct errand errand;
    struct user_id user;                 /* the member */
    struct conv_id conv;
    bool of_marks;
    uint64_t after;                      /* a sequence; of_marks: a place, and there behind after_mark */
    struct position after_mark;
    int err;                             /* 0; as HISTORY would be refused; ERR_GOING: the server stops */
    struct frame *frame;                 /* 0: PAGE as a WebSocket message; owned by the sender */
    struct mark_list *marks;             /* of_marks, 0: the same; free() */
    void (*done)(struct shard *shard, struct glance *glance);   /* on the sender's shard */
};

/* errand_send()'s rule for done() holds here too. */
void glance_send(struct shard *shard, struct glance *glance);
/* The page in it; its records point into the frame. 0 or ERR_*. */
int glance_page(const struct glance *glance, struct msg_page *page_out);

#endif
