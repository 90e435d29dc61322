/* model_list.c - the list of conversations: read from the store as a whole, or one of it (see model.h).
 *
 * A conversation stands in the list when it has something to show: a message, a send that waits, a draft, a mark, or
 * that it is open. One whose messages were deleted leaves it until the next comes. */
#include "tools/client/tui/model_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- one ---- */

struct reading {
    struct model *m;
    struct model_conv *out;
};

/* The newest send that waits stands for the conversation: nobody knows yet what comes before it. */
static int put_waiting(struct model *m, struct model_conv *c)
{
    struct waiting_sum sum = model_waiting_of(m, &c->peer);
    c->waiting = sum.waiting;
    c->refused = sum.refused;
    if (!sum.last) return 0;
    c->has_last = true;
    if (sum.last->created_ms > c->last_ms) c->last_ms = sum.last->created_ms;
    c->last_ticks = sum.last->state == REFUSED ? TICKS_REFUSED : TICKS_WAITING;
    return model_line(bytes_of_str(sum.last->text), c->last);
}

static int put_draft(struct model *m, struct model_conv *c)
{
    struct buf text;
    buf_init(&text, 4 * BODY_BYTES_MAX);
    int err = home_draft_get(m->home, &c->peer, &text);
    c->has_draft = text.len > 0 || err == ERR_TOO_BIG;
    buf_fini(&text);
    return err == ERR_TOO_BIG ? 0 : err;
}

/* All but what the store has of messages. */
static int put_rest(struct model *m, struct model_conv *c)
{
    c->is_self = user_id_equal(&c->peer, &m->account->user);
    int err = model_name(m, &c->peer, c->name);
    if (!err) err = put_waiting(m, c);
    if (!err) err = put_draft(m, c);
    c->order_ms = c->last_ms;
    return err;
}

static int read_summary(void *arg, const struct conv_summary *s)
{
    struct reading *r = arg;
    struct model_conv *c = r->out;
    uint64_t delivered = 0, read = 0;
    int err = 0;
    memset(c, 0, sizeof *c);
    c->conv = s->conv.id;
    c->peer = s->conv.peer;
    c->is_known = true;
    c->unread = s->unread;
    c->marked = s->marked;
    if (s->has_last) {
        c->has_last = true;
        c->last_ms = msg_id_ms(&s->last.m.id);
        err = model_line(message_text(&s->last.m), c->last);
        if (!err && user_id_equal(&s->last.m.from, &r->m->account->user)) {
            err = home_cursor_get(r->m->home, &c->conv, &c->peer, &delivered, &read);
            c->last_ticks = model_ticks(s->last.has_seq ? s->last.m.seq : 0, delivered, read);
        }
    }
    return err ? err : put_rest(r->m, c);
}

int model_conv_read(struct model *m, const struct user_id *peer, struct model_conv *out)
{
    struct reading r = { m, out };
    struct conv_id conv = conv_id_direct(&m->account->user, peer);
    int err = home_summary_get(m->home, &conv, read_summary, &r);
    if (err != ERR_NOT_FOUND) return err;
    *out = (struct model_conv){ .conv = conv, .peer = *peer };
    return put_rest(m, out);
}

/* ---- all ---- */

static bool is_open(const struct model *m, const struct conv_id *conv)
{
    return m->is_open && conv_id_equal(&m->pane.conv.conv, conv);
}

static bool is_listed(const struct model *m, const struct model_conv *c)
{
    return c->has_last || c->has_draft || c->marked || is_open(m, &c->conv);
}

/* One without a message is put where one that has just got its first would be. */
static void put_order(const struct model *m, struct model_conv *c)
{
    if (!c->has_last) c->order_ms = m->now_ms;
}

static int newest_first(const void *a, const void *b)
{
    const struct model_conv *x = a, *y = b;
    if (x->order_ms != y->order_ms) return x->order_ms > y->order_ms ? -1 : 1;
    return strcmp(x->peer.v, y->peer.v);
}

static size_t conv_find(const struct model *m, const struct conv_id *conv)
{
    size_t i = 0;
    while (i < m->conv_count && !conv_id_equal(&m->convs[i].conv, conv)) i++;
    return i;
}

/* Where it belongs; the last falls off a full list. */
static void insert(struct model *m, const struct model_conv *c)
{
    size_t at = 0;
    while (at < m->conv_count && newest_first(&m->convs[at], c) < 0) at++;
    memmove(&m->convs[at + 1], &m->convs[at], (m->conv_count - at) * sizeof *m->convs);
    m->convs[at] = *c;
    if (++m->conv_count <= MODEL_CONVS_MAX) return;
    m->conv_count = MODEL_CONVS_MAX;
    m->more_convs = true;
}

static int add_summary(void *arg, const struct conv_summary *s)
{
    struct model *m = arg;
    struct model_conv c;
    struct reading r = { m, &c };
    int err = read_summary(&r, s);
    if (err) return err;
    put_order(m, &c);
    if (is_listed(m, &c)) insert(m, &c);
    return 0;
}

/* Not among the newest of the store, or not in it at all. */
static int add_missing(void *arg, const struct user_id *peer)
{
    struct model *m = arg;
    struct model_conv c;
    struct conv_id conv = conv_id_direct(&m->account->user, peer);
    if (conv_find(m, &conv) < m->conv_count) return 0;
    int err = model_conv_read(m, peer, &c);
    if (err) return err;
    put_order(m, &c);
    if (is_listed(m, &c)) insert(m, &c);
    return 0;
}

/* The selected one is still there, else whatever stands in its place. */
static void keep_selected(struct model *m)
{
    size_t at = model_selected(m);
    if (at != SIZE_MAX) m->selected_at = at;
}

int model_list_load(struct model *m)
{
    keep_selected(m);
    m->changed |= MODEL_CHANGED_LIST;
    m->conv_count = 0;
    m->more_convs = false;
    int err = home_summary_each(m->home, MODEL_CONVS_MAX + 1, add_summary, m);
    for (size_t i = 0; !err && i < m->waiting_count; i++)
        if (m->waiting[i].state != ANSWERED) err = add_missing(m, &m->waiting[i].to);
    if (!err) err = home_draft_each(m->home, add_missing, m);
    if (!err && m->is_open) err = add_missing(m, &m->pane.conv.peer);
    return err;
}

static int take_peer(void *arg, const struct conv_summary *s)
{
    *(struct user_id *)arg = s->conv.peer;
    return 0;
}

/* A conversation that the store has not yet: of a send that waits, or open. */
static bool peer_of_conv(const struct model *m, const struct conv_id *conv, struct user_id *out)
{
    if (is_open(m, conv)) *out = m->pane.conv.peer;
    if (is_open(m, conv)) return true;
    for (size_t i = 0; i < m->waiting_count; i++) {
        struct conv_id other = conv_id_direct(&m->account->user, &m->waiting[i].to);
        *out = m->waiting[i].to;
        if (conv_id_equal(&other, conv)) return true;
    }
    return false;
}

int model_list_refresh(struct model *m, const struct conv_id *conv)
{
    struct model_conv c = { 0 };
    struct user_id peer;
    size_t at = conv_find(m, conv);
    int err = 0;
    bool was = at < m->conv_count;
    keep_selected(m);
    m->changed |= MODEL_CHANGED_LIST;
    if (was) peer = m->convs[at].peer;
    else err = home_summary_get(m->home, conv, take_peer, &peer);
    if (err == ERR_NOT_FOUND) err = peer_of_conv(m, conv, &peer) ? 0 : ERR_NOT_FOUND;
    if (!err) err = model_conv_read(m, &peer, &c);
    if (err) return err == ERR_NOT_FOUND ? 0 : err;
    put_order(m, &c);
    bool is = is_listed(m, &c);
    /* It may have sunk below one that is not in the list. */
    if (was && m->more_convs && (!is || newest_first(&c, &m->convs[m->conv_count - 1]) > 0)) return model_list_load(m);
    if (was) memmove(&m->convs[at], &m->convs[at + 1], (--m->conv_count - at) * sizeof *m->convs);
    if (is) insert(m, &c);
    return 0;
}

size_t model_conv_count(const struct model *m)
{
    return m->conv_count;
}

const struct model_conv *model_conv(const struct model *m, size_t at)
{
    assert(at < m->conv_count);
    return &m->convs[at];
}

bool model_has_more_convs(const struct model *m)
{
    return m->more_convs;
}

uint32_t model_unread_convs(const struct model *m)
{
    uint32_t count = 0;
    for (size_t i = 0; i < m->conv_count; i++) count += m->convs[i].unread > 0 || m->convs[i].marked;
    return count;
}

/* ---- the selected one ---- */

size_t model_selected(const struct model *m)
{
    if (m->conv_count == 0) return SIZE_MAX;
    for (size_t i = 0; m->has_selected && i < m->conv_count; i++)
        if (user_id_equal(&m->convs[i].peer, &m->selected)) return i;
    return m->selected_at < m->conv_count ? m->selected_at : m->conv_count - 1;
}

void model_select(struct model *m, size_t at)
{
    if (m->conv_count == 0) return;
    m->selected_at = at < m->conv_count ? at : m->conv_count - 1;
    m->selected = m->convs[m->selected_at].peer;
    m->has_selected = true;
    m->changed |= MODEL_CHANGED_LIST;
}

void model_select_by(struct model *m, long delta)
{
    size_t at = model_selected(m), up = delta < 0 ? (size_t)0 - (size_t)delta : 0;
    if (at == SIZE_MAX) return;
    if (delta < 0) model_select(m, up > at ? 0 : at - up);
    else model_select(m, (size_t)delta >= m->conv_count - at ? m->conv_count - 1 : at + (size_t)delta);
}

static bool begins(const char *name, const char *text)
{
    return text[0] && strncasecmp(name, text, strlen(text)) == 0;
}

static bool select_next(struct model *m, size_t skip, bool (*wanted)(const struct model_conv *c, const char *text),
                        const char *text)
{
    size_t from = model_selected(m);
    for (size_t i = skip; from != SIZE_MAX && i < m->conv_count + skip; i++) {
        size_t at = (from + i) % m->conv_count;
        if (!wanted(&m->convs[at], text)) continue;
        model_select(m, at);
        return true;
    }
    return false;
}

static bool is_unread(const struct model_conv *c, const char *ignored)
{
    (void)ignored;
    return c->unread > 0 || c->marked;
}

static bool is_named(const struct model_conv *c, const char *text)
{
    return begins(c->name, text) || begins(c->peer.v, text);
}

static bool is_peer(const struct model_conv *c, const char *user)
{
    return strcmp(c->peer.v, user) == 0;
}

bool model_select_unread(struct model *m)
{
    return select_next(m, 1, is_unread, "");
}

bool model_select_named(struct model *m, const char *text)
{
    return select_next(m, 0, is_named, text);
}

bool model_select_peer(struct model *m, const struct user_id *peer)
{
    return select_next(m, 0, is_peer, peer->v);
}

/* ---- what its owner does with it ---- */

int model_conv_mark(struct model *m, const struct user_id *peer, bool unread)
{
    struct conv_id conv = conv_id_direct(&m->account->user, peer);
    int err = home_conv_mark(m->home, &conv, unread);
    if (err) return err;
    model_touch(m, &conv);
    return model_bring(m);
}

static bool conv_is_known(const struct model *m, const struct conv_id *conv)
{
    struct conv_row row;
    return home_conv_get(m->home, conv, &row) == 0;
}

int model_conv_delete(struct model *m, const struct user_id *peer)
{
    struct conv_id conv = conv_id_direct(&m->account->user, peer);
    int err = home_conv_mark(m->home, &conv, false);
    if (!err) err = home_conv_hide(m->home, &conv);
    if (err == ERR_NOT_FOUND && conv_is_known(m, &conv)) err = 0;    /* it was empty */
    if (err) return err;
    model_touch(m, &conv);
    return model_bring(m);
}

int model_draft_put(struct model *m, struct bytes text)
{
    assert(m->is_open);
    bool had = m->pane.conv.has_draft;
    int err = home_draft_put(m->home, &m->pane.conv.peer, text);
    if (err || had == (text.len > 0)) return err;
    model_touch(m, &m->pane.conv.conv);
    return model_bring(m);
}

int model_draft_get(struct model *m, struct buf *text)
{
    assert(m->is_open);
    return home_draft_get(m->home, &m->pane.conv.peer, text);
}
