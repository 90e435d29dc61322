/* online.c - the session of a home (see online.h): glue between link.c and sync.c, and everything that has to do with
 * time. */
#include "tools/client/online.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct online {
    struct home *home;
    const struct url *url;
    const char *ca_file;
    const struct online_ops *ops;
    void *arg;
    struct sync *sync;
    struct link *link;            /* NULL: OFFLINE */
    int wake;
    bool greeted;                 /* HELLO was said on this link */
    bool told_open;               /* what on_link was last told */
    bool was_open, has_tried;
    bool in_burst;                /* a transaction is open for the frames of this turn */
    bool frame_bad;               /* and one of them could not be taken */
    unsigned failures;            /* since the last WELCOME */
    uint64_t try_ms;              /* OFFLINE: connect then */
    uint64_t not_before_ms;       /* the server's own wish */
    uint64_t ponged;              /* number of the last PONG */
    int fatal;                    /* do not come back */
    int store_err;                /* of the store, while a frame was handled */
    char why[WHY_MAX];
};

/* ---- what sync.c and link.c call ---- */

static struct sync_time now_both(void)
{
    return (struct sync_time){ .mono_ms = mono_ms(), .wall_ms = wall_ms() };
}

static void on_send(void *arg, struct bytes frame)
{
    struct online *o = arg;
    if (o->link) link_send(o->link, frame);
}

static bool is_final(int err)
{
    return err == ERR_REPLACED || err == ERR_REVOKED || err == ERR_AUTH || err == ERR_VERSION;
}

static void on_goodbye(struct online *o, const struct sync_event *e)
{
    if (is_final(e->err)) o->fatal = e->err;
    o->not_before_ms = mono_ms() + e->time_ms;
    snprintf(o->why, sizeof o->why, "%s", e->text[0] ? e->text : err_text(e->err));
}

static void on_event(void *arg, const struct sync_event *e)
{
    struct online *o = arg;
    if (e->kind == SYNC_WELCOME) {
        o->failures = 0;
        o->was_open = o->told_open = true;
        o->why[0] = '\0';
        o->ops->on_link(o->arg, true, "");
    } else if (e->kind == SYNC_GOODBYE) {
        on_goodbye(o, e);
    } else if (e->kind == SYNC_ERROR && !sync_is_open(o->sync)) {    /* HELLO was refused */
        if (!e->again) o->fatal = e->err;
        o->not_before_ms = mono_ms() + e->time_ms;
        snprintf(o->why, sizeof o->why, "%s", e->text[0] ? e->text : err_text(e->err));
    } else if (e->kind == SYNC_PONG) {
        o->ponged = e->number;
    }
    o->ops->on_event(o->arg, e);
}

/* The frames of one turn are one transaction: a burst of messages costs one sync of the disk. */
static bool is_store_error(int err)
{
    return err == ERR_NO_SPACE || err == ERR_IO || err == ERR_CORRUPT || err == ERR_NOMEM || err == ERR_IN_USE;
}

static int on_frame(void *arg, struct bytes frame)
{
    struct online *o = arg;
    int err = o->in_burst ? 0 : sync_begin(o->sync, now_both());
    if (!err) {
        o->in_burst = true;
        err = sync_on_frame(o->sync, frame);
        o->frame_bad = err != 0;
    }
    if (is_store_error(err)) o->store_err = err;
    return err;
}

/* ---- the link ---- */

static void lose(struct online *o, const char *why)
{
    if (o->link) {
        int code = link_close_code(o->link);
        if (!o->fatal && code > 4000 && is_final(4000 - code)) o->fatal = 4000 - code;
    }
    if (!o->why[0] || why[0]) snprintf(o->why, sizeof o->why, "%s", why[0] ? why : "the link is gone");
    sync_on_lost(o->sync);
    link_close(o->link);
    o->link = NULL;
    o->has_tried = true;
    uint64_t bound = (uint64_t)BACKOFF_MS_MIN << (o->failures < 6 ? o->failures + 1 : 7);
    if (bound > BACKOFF_MS_MAX) bound = BACKOFF_MS_MAX;
    o->failures++;
    o->try_ms = mono_ms() + BACKOFF_MS_MIN + randombytes_uniform((uint32_t)(bound - BACKOFF_MS_MIN + 1));
    if (o->try_ms < o->not_before_ms) o->try_ms = o->not_before_ms;
    if (o->told_open || o->failures == 1) o->ops->on_link(o->arg, false, o->why);
    o->told_open = false;
}

static void connect_now(struct online *o)
{
    static const struct link_ops ops = { .on_frame = on_frame };
    char why[WHY_MAX] = "";
    o->greeted = false;
    o->why[0] = '\0';
    int err = link_open(o->url, o->ca_file, &ops, o, &o->link, why);
    if (err) lose(o, why[0] ? why : err_text(err));
}

/* Moves the link on and commits what came by it. An error is the store's. */
static int advance(struct online *o)
{
    o->frame_bad = false;
    int err = link_advance(o->link), store_err = 0;
    if (o->in_burst) {
        o->in_burst = false;
        /* Frames before the end of the link count, unless one of them was itself the fault. */
        if (o->frame_bad) sync_abort(o->sync);
        else store_err = sync_end(o->sync);
    }
    if (o->store_err) store_err = o->store_err;
    if (!err && !store_err && link_is_up(o->link) && !o->greeted) {
        o->greeted = true;
        store_err = sync_on_up(o->sync);
    }
    if (err || store_err) lose(o, link_why(o->link));
    return store_err;
}

static void keep_alive(struct online *o, uint64_t now)
{
    uint64_t beat = sync_is_open(o->sync) ? sync_welcome(o->sync)->heartbeat_ms : 0;
    if (beat == 0) return;
    if (now - link_heard_ms(o->link) >= 2 * beat && now > link_heard_ms(o->link)) {
        lose(o, "the server was not heard for two heartbeats");
        return;
    }
    if (now >= link_said_ms(o->link) + beat && link_is_drained(o->link)) sync_ping(o->sync);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_due(const struct online *o, uint64_t until_ms)
{
    uint64_t due = least(until_ms, sync_due_ms(o->sync));
    if (!o->link) return least(due, o->try_ms);
    due = least(due, link_due_ms(o->link));
    uint64_t beat = sync_is_open(o->sync) ? sync_welcome(o->sync)->heartbeat_ms : 0;
    if (beat == 0) return due;
    due = least(due, link_heard_ms(o->link) + 2 * beat);
    return link_is_drained(o->link) ? least(due, link_said_ms(o->link) + beat) : due;
}

int online_step(struct online *o)
{
    int err = sync_begin(o->sync, now_both());
    return err ? err : sync_end(o->sync);
}

int online_turn(struct online *o, int fd, bool *ready_out, uint64_t until_ms)
{
    int err = 0;
    *ready_out = false;
    if (o->fatal) return o->fatal;
    if (!o->link && mono_ms() >= o->try_ms) connect_now(o);
    uint64_t now = mono_ms(), due = next_due(o, until_ms);
    struct pollfd p[3] = {
        { .fd = o->link ? link_fd(o->link) : -1, .events = o->link ? link_events(o->link) : 0 },
        { .fd = o->wake, .events = POLLIN },
        { .fd = fd, .events = POLLIN },
    };
    uint64_t wait = due > now ? due - now : 0;
    if (poll(p, 3, wait > 3600000 ? 3600000 : (int)wait) < 0) return errno == EINTR ? 0 : ERR_IO;
    if (p[1].revents) {
        home_wake_drain(o->home);
        if (o->link) err = online_step(o);
    }
    if (!err && o->link && (p[0].revents || mono_ms() >= link_due_ms(o->link))) err = advance(o);
    if (!err && sync_due_ms(o->sync) <= mono_ms()) err = online_step(o);    /* messages disappear without a link too */
    if (!err && o->link) keep_alive(o, mono_ms());
    *ready_out = p[2].revents != 0;
    return err ? err : o->fatal;
}

int online_drain(struct online *o)
{
    uint64_t until = mono_ms() + DRAIN_MS_MAX, number = o->link ? sync_ping(o->sync) : 0;
    bool ignored;
    int err = 0;
    while (!err && number != 0 && o->link && o->ponged != number && mono_ms() < until)
        err = online_turn(o, -1, &ignored, until);
    return err;
}

int online_answer(struct online *o, const struct msg_id *ids, size_t count, const struct conv_id *convs,
                  const uint64_t *seqs, size_t conv_count, const struct reply *reply, uint64_t *client_seq_out)
{
    struct sync_time now = now_both();
    int err = sync_begin(o->sync, now);
    if (err) return err;
    for (size_t i = 0; !err && i < count; i++) err = home_message_show(o->home, &ids[i]);
    for (size_t i = 0; !err && i < conv_count; i++) err = sync_read(o->sync, &convs[i], seqs[i]);
    if (!err && reply) err = home_outbox_add(o->home, reply->to, reply->body, now.wall_ms, client_seq_out);
    if (!err) return sync_end(o->sync);
    sync_abort(o->sync);
    return err;
}

int online_show(struct online *o, const struct msg_id *ids, size_t count, const struct conv_id *convs,
                const uint64_t *seqs, size_t conv_count)
{
    return online_answer(o, ids, count, convs, seqs, conv_count, NULL, NULL);
}

/* ---- the rest of the face ---- */

int online_new(struct home *home, struct account *account, const struct url *url, const char *ca_file,
               const struct online_ops *ops, void *arg, struct online **out)
{
    static const struct sync_ops sync_ops = { .send = on_send, .on_event = on_event };
    struct online *o = calloc(1, sizeof *o);
    if (!o) return ERR_NOMEM;
    o->home = home;
    o->url = url;
    o->ca_file = ca_file;
    o->ops = ops;
    o->arg = arg;
    o->sync = sync_new(home, account, &sync_ops, o);
    int err = o->sync ? home_wake_open(home, &o->wake) : ERR_NOMEM;
    if (err) {
        sync_free(o->sync);
        free(o);
        return err;
    }
    *out = o;
    return 0;
}

void online_free(struct online *o)
{
    if (!o) return;
    link_close(o->link);
    sync_free(o->sync);
    free(o);
}

bool online_is_open(const struct online *o)
{
    return sync_is_open(o->sync);
}

bool online_was_open(const struct online *o)
{
    return o->was_open;
}

bool online_has_tried(const struct online *o)
{
    return o->has_tried || o->was_open;
}

const char *online_why(const struct online *o)
{
    return o->why;
}
