/* on_send.c - SEND, DELETE and TIMER on the sender's side: checked, turned into asks for a record of their kind, and the
 * answer into ACCEPTED. */
#include "server/chat/session.h"
#include "server/chat/state.h"

struct named { uint64_t client_seq, settled; };      /* what names a record that somebody sends */

static void refuse(struct session *s, const struct msg *msg, int err, const char *why)
{
    STAT_ADD(&s->chat->shard->stats, sends_refused, 1);
    session_error(s, msg->has_ref, msg->ref, err, why);
}

/* NULL: refused. */
static struct ask *record_ask(struct session *s, const struct msg *msg, const struct where *to, struct named name,
                              enum record_kind kind, struct bytes body)
{
    int err = name.client_seq < name.settled ? ERR_SETTLED : 0;
    struct ask *ask = err ? NULL : ask_new(ASK_SEND, body);
    if (!err && !ask) err = ERR_BUSY;
    if (err) {
        refuse(s, msg, err, NULL);
        return NULL;
    }
    ask->has_ref = msg->has_ref;
    ask->ref = msg->ref;
    ask->conv = where_conv(s, to);
    ask->may_create = to->is_user && kind != KIND_DELETE;
    ask->peer = to->user;
    ask->u.send.client_seq = name.client_seq;
    ask->u.send.settled = name.settled;
    ask->u.send.kind = kind;
    if (name.client_seq > s->client_seq_max) s->client_seq_max = name.client_seq;
    return ask;
}

void on_send(struct session *s, const struct msg *msg)
{
    const struct msg_send *m = &msg->u.send;
    const char *field = send_unsupported(m);
    if (field) {
        refuse(s, msg, ERR_UNSUPPORTED, field);
        return;
    }
    struct ask *ask = record_ask(s, msg, &m->to, (struct named){ m->client_seq, m->settled }, KIND_MESSAGE, m->body);
    if (!ask) return;
    ask->u.send.expire_s = m->expire_s;
    session_ask(s, ask);
}

void on_delete(struct session *s, const struct msg *msg)
{
    const struct msg_remove *m = &msg->u.remove;
    uint8_t body[DELETE_SEQS_MAX * FOLD_NUMBER_BYTES];
    struct bytes rest = m->seqs;
    size_t len = 0;
    uint64_t seq;
    for (; seqs_next(&rest, &seq) == 0; len += FOLD_NUMBER_BYTES) put_u64(body + len, seq);
    struct ask *ask = record_ask(s, msg, &m->to, (struct named){ m->client_seq, m->settled }, KIND_DELETE,
                                 bytes_of(body, len));
    if (ask) session_ask(s, ask);
}

void on_timer(struct session *s, const struct msg *msg)
{
    const struct msg_timer *m = &msg->u.timer;
    uint8_t body[FOLD_NUMBER_BYTES];
    put_u64(body, m->expire_s);
    struct ask *ask = record_ask(s, msg, &m->to, (struct named){ m->client_seq, m->settled }, KIND_TIMER,
                                 BYTES_OF(body));
    if (ask) session_ask(s, ask);
}

void on_send_answer(struct session *s, struct ask *ask)
{
    struct msg m = { .type = MSG_ACCEPTED, .has_ref = ask->has_ref, .ref = ask->ref };
    m.u.accepted.conv = ask->conv;
    m.u.accepted.seq = ask->u.send.seq;
    m.u.accepted.id = ask->u.send.id;
    m.u.accepted.client_seq = ask->u.send.client_seq;
    m.u.accepted.expiry_ms = ask->u.send.expiry_ms;
    session_send(s, &m);
}
