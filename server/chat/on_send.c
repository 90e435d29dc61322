/* on_send.c - SEND on the sender's side: checked, turned into an ask, and its answer into ACCEPTED. */
#include "server/chat/session.h"
#include "server/chat/state.h"

void on_send(struct session *s, const struct msg *msg)
{
    const struct msg_send *m = &msg->u.send;
    const char *field = send_unsupported(m);
    int err = 0;
    const char *why = NULL;
    if (field) {
        err = ERR_UNSUPPORTED;
        why = field;
    } else if (m->client_seq < m->settled) {
        err = ERR_SETTLED;
    }
    struct ask *ask = err ? NULL : ask_new(ASK_SEND, m->body);
    if (!err && !ask) err = ERR_BUSY;
    if (err) {
        STAT_ADD(&s->chat->shard->stats, sends_refused, 1);
        session_error(s, msg->has_ref, msg->ref, err, why);
        return;
    }
    ask->has_ref = msg->has_ref;
    ask->ref = msg->ref;
    ask->conv = where_conv(s, &m->to);
    ask->may_create = m->to.is_user;
    ask->peer = m->to.user;
    ask->u.send.client_seq = m->client_seq;
    ask->u.send.settled = m->settled;
    ask->u.send.expire_s = m->expire_s;
    if (m->client_seq > s->client_seq_max) s->client_seq_max = m->client_seq;
    session_ask(s, ask);
}

void on_send_answer(struct session *s, struct ask *ask)
{
    struct msg m = { .type = MSG_ACCEPTED, .has_ref = ask->has_ref, .ref = ask->ref };
    m.u.accepted.conv = ask->conv;
    m.u.accepted.seq = ask->u.send.seq;
    m.u.accepted.id = ask->u.send.id;
    m.u.accepted.client_seq = ask->u.send.client_seq;
    session_send(s, &m);
}
