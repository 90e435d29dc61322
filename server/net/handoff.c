/* handoff.c - moving a connection between two loops.
 *
 *   handoff_send     on_message's call: nothing more is interpreted. MOVING
 *   handoff_begin    the turn's flush, when no write is under way: dup, close the handle
 *   handoff_leave    the handle's close callback: the conn is in no list and no loop; push it
 *   handoff_receive  over there: a new handle, the message, then the bytes behind it
 *
 * What was queued and not written (the answer to the upgrade, when a peer did not wait for it) travels in the queue:
 * frames are counted across threads. No WebSocket parser travels, since a message has just ended.
 * While a conn moves it belongs to no shard's list. If the house stops meanwhile it ends where it is: before the
 * push here, behind it over there. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server/net/inside.h"

void handoff_send(struct conn *c, uint16_t to, struct bytes message)
{
    struct shard *shard = c->net->shard;
    assert(shard_is_current(shard) && to < shard->house->shards && to != shard->id);
    assert(c->state == CONN_WS && !c->owner);
    struct move *move = malloc(sizeof *move + message.len);
    if (!move) {
        conn_fail(c, ERR_NOMEM);
        return;
    }
    *move = (struct move){ .to = to, .fd = -1, .binary = c->binary, .len = (uint32_t)message.len };
    if (message.len) memcpy(move->message, message.at, message.len);
    c->move = move;
    conn_enter(c, CONN_MOVING);
    conn_mark_dirty(c);
}

void handoff_begin(struct conn *c)
{
    assert(c->state == CONN_MOVING && c->move->fd < 0 && !c->writing && !c->ws);
    int fd = sock_dup(c->sock);
    if (fd < 0) {
        conn_close(c, ERR_BUSY);
        return;
    }
    c->move->fd = fd;
    wheel_cancel(&c->net->shard->wheel, &c->timer);
    sock_close(c->sock);
}

static bool handoff_push(struct conn *c)
{
    struct parcel parcel = { .kind = PARCEL_CONN, .u.conn = c };
    return shard_push(c->net->shard, c->move->to, &parcel);
}

void handoff_leave(struct conn *c)
{
    struct net *net = c->net;
    assert(!c->is_dirty);
    if (net->closing) {
        handoff_cancel(c);
        return;
    }
    STAT_ADD(&net->shard->stats, handoffs, 1);
    if (!STAILQ_EMPTY(&net->moves) || !handoff_push(c)) STAILQ_INSERT_TAIL(&net->moves, c, dirty);
}

void handoff_retry(struct net *net)
{
    struct conn *c;
    while ((c = STAILQ_FIRST(&net->moves))) {
        /* Once pushed it is another thread's: out of the list before that. */
        STAILQ_REMOVE_HEAD(&net->moves, dirty);
        if (!handoff_push(c)) {
            STAILQ_INSERT_HEAD(&net->moves, c, dirty);
            return;
        }
    }
}

void handoff_cancel(struct conn *c)
{
    assert(c->state == CONN_MOVING && !c->sock);
    sock_close_fd(c->move->fd);
    conn_enter(c, CONN_GONE);
    c->net->config.events->on_closed(c, ERR_GOING);
    conn_free(c);
}

void handoff_receive(struct shard *shard, struct conn *c)
{
    struct net *net = shard->net;
    struct move *move = c->move;
    assert(c->state == CONN_MOVING && move->fd >= 0 && !c->sock);
    c->net = net;
    shard_read_clock(shard);             /* or the conn may have been heard after this turn's time */
    struct sock *s = net->closing ? NULL : sock_new(net, c->is_unix);
    if (!s) {
        handoff_cancel(c);
        return;
    }
    c->move = NULL;
    conn_enter(c, CONN_WS);
    if (c->limited) (void)addr_add(net, c);     /* not refused: it was counted where it came in */
    conn_start(c, s);
    say(SAY_DEBUG, "conn_moved", SAY_CONN(c->id), SAY_U64("to", shard->id));
    if (sock_open(s, move->fd) != 0) {
        sock_close_fd(move->fd);
        conn_fail(c, ERR_IO);
    } else {
        c->binary = move->binary;
        net->config.events->on_message(c, bytes_of(move->message, move->len), move->binary);
    }
    free(move);
}
