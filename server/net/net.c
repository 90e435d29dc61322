/* net.c - one shard's connections as a whole: open, the turn's flush, close.
 *
 * The flush has two rounds. First, input that was held back and may be taken now is interpreted; it makes answers.
 * Then each dirty connection is flushed once. What becomes dirty meanwhile (on_drained writes) is left to the next
 * turn, which shard_again() makes come at once. */
#include <assert.h>
#include <stdlib.h>

#include "proto/wsframe.h"
#include "server/net/inside.h"

int net_open(struct shard *shard, const struct net_config *config, struct listening *listening)
{
    int err = ERR_NOMEM;
    struct net *net = calloc(1, sizeof *net);
    if (!net) return err;
    net->shard = shard;
    net->config = *config;
    net->next_id = (uint64_t)config->run << SAY_CONN_RUN_SHIFT | (uint64_t)shard->id << SAY_CONN_SHARD_SHIFT | 1;
    TAILQ_INIT(&net->conns);
    STAILQ_INIT(&net->dirty);
    STAILQ_INIT(&net->moves);
    net->read_buf = malloc(CONN_READ_BYTES);
    net->plain = malloc(NET_PLAIN_BYTES);                /* pages that nothing was decrypted to take no memory */
    net->ping = frame_new(wsframe_header_len(0));
    if (!net->read_buf || !net->plain || !net->ping) goto fail;
    wsframe_header(net->ping->at, WSFRAME_PING, 0);
    net->certs = certs_ref(config->settings.certs);
    shard->net = net;
    return listening ? listener_open(net, listening) : 0;
fail:
    frame_unref(net->ping);
    free(net->plain);
    free(net->read_buf);
    free(net);
    return err;
}

void net_set(struct shard *shard, const struct net_settings *settings)
{
    struct net *net = shard->net;
    struct certs *before = net->certs;
    net->config.settings = *settings;
    net->certs = certs_ref(settings->certs);
    certs_unref(before);
}

void net_flush(struct shard *shard)
{
    struct net *net = shard->net;
    struct conn *c;
    handoff_retry(net);
    STAILQ_FOREACH(c, &net->dirty, dirty) {
        if (conn_has_input(c)) conn_take_input(c);
    }
    struct conn_queue now = STAILQ_HEAD_INITIALIZER(now);
    STAILQ_CONCAT(&now, &net->dirty);
    while ((c = STAILQ_FIRST(&now))) {
        STAILQ_REMOVE_HEAD(&now, dirty);
        c->is_dirty = false;
        conn_flush(c);
        if (conn_has_input(c)) conn_mark_dirty(c);
    }
    if (!STAILQ_EMPTY(&net->dirty)) shard_again(shard);
}

void net_close(struct shard *shard)
{
    struct net *net = shard->net;
    struct conn *c;
    if (net->closing) return;
    net->closing = true;
    listener_close(net);
    TAILQ_FOREACH(c, &net->conns, all) {
        /* One that has let go of its handle ends in its callback, which sees `closing`. */
        if (!(c->state == CONN_MOVING && c->move->fd >= 0)) conn_close(c, ERR_GOING);
    }
    while ((c = STAILQ_FIRST(&net->moves))) {
        STAILQ_REMOVE_HEAD(&net->moves, dirty);
        handoff_cancel(c);
    }
}

bool net_is_closed(const struct shard *shard)
{
    const struct net *net = shard->net;
    return net->closing && net->socks == 0 && net->doors_open == 0;
}

void net_free(struct shard *shard)
{
    struct net *net = shard->net;
    assert(net_is_closed(shard) && TAILQ_EMPTY(&net->conns) && STAILQ_EMPTY(&net->dirty) && !net->addrs);
    ws_free(net->ws_spare);
    certs_unref(net->certs);
    frame_unref(net->ping);
    free(net->plain);
    free(net->read_buf);
    free(net->doors);
    free(net);
    shard->net = NULL;
}

void net_each(struct shard *shard, void (*each)(void *arg, struct conn *conn), void *arg)
{
    struct conn *c;
    TAILQ_FOREACH(c, &shard->net->conns, all) {
        if (c->state == CONN_WS) each(arg, c);
    }
}
