/* on_history.c - HISTORY and INFO on the asking side; the home reads (reading.c) and answers with a whole frame. */
#include "server/chat/session.h"
#include "server/chat/state.h"

static void ask_of(struct session *s, const struct msg *msg, const struct where *where, struct ask *ask)
{
    if (!ask) {
        session_error(s, msg->has_ref, msg->ref, ERR_BUSY, NULL);
        return;
    }
    ask->has_ref = msg->has_ref;
    ask->ref = msg->ref;
    ask->conv = where_conv(s, where);
    session_ask(s, ask);
}

void on_history(struct session *s, const struct msg *msg)
{
    const struct msg_history *m = &msg->u.history;
    struct ask *ask = ask_new(ASK_HISTORY, BYTES_NONE);
    if (ask) {
        ask->u.history.has_before = m->has_before;
        ask->u.history.has_after = m->has_after;
        ask->u.history.has_around = m->has_around;
        ask->u.history.around = m->around;
        ask->u.history.before = m->before;
        ask->u.history.after = m->after;
        ask->u.history.limit = m->limit;
    }
    ask_of(s, msg, &m->to, ask);
}

void on_info(struct session *s, const struct msg *msg)
{
    struct ask *ask = ask_new(ASK_INFO, BYTES_NONE);
    if (ask) ask->u.info.seq = msg->u.info.seq;
    ask_of(s, msg, &msg->u.info.to, ask);
}
