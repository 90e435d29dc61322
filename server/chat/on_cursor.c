/* on_cursor.c - DELIVERED and READ: the window here, the cursor at its conversation's home. Answered only by ERROR. */
#include "server/chat/session.h"
#include "server/chat/state.h"

void on_cursor(struct session *s, const struct msg *msg)
{
    const struct msg_cursor *m = &msg->u.cursor;
    struct conv_id conv = where_conv(s, &m->to);
    uint64_t read = msg->type == MSG_READ ? m->seq : 0;

    /* An acknowledgement that has not left yet takes this one with it. A ref wants an answer of its own. */
    struct ask *w;
    DL_FOREACH(s->wait, w) {
        if (w->kind != ASK_CURSOR || w->has_ref || msg->has_ref || !conv_id_equal(&w->conv, &conv)) continue;
        if (m->seq > w->u.cursor.delivered) w->u.cursor.delivered = m->seq;
        if (read > w->u.cursor.read) w->u.cursor.read = read;
        break;
    }
    if (!w) {
        struct ask *ask = ask_new(ASK_CURSOR, BYTES_NONE);
        if (!ask) {
            session_error(s, msg->has_ref, msg->ref, ERR_BUSY, NULL);
            return;
        }
        ask->has_ref = msg->has_ref;
        ask->ref = msg->ref;
        ask->conv = conv;
        ask->u.cursor.delivered = m->seq;         /* who has read it has it */
        ask->u.cursor.read = read;
        session_ask(s, ask);
    }
    /* The window only after the ask: a fetch that it lets go must come to the home behind the cursor. */
    behind_on_ack(s->behind, &conv, m->seq);
    session_step(s);
}
