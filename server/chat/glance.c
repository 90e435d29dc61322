/* glance.c - see glance.h. */
#include "server/chat/glance.h"

#include "server/chat/state.h"

static void on_answered(struct chat *chat, struct ask *ask)
{
    struct glance *g = ask->glance;
    g->err = ask->err;
    if (!g->err && g->of_marks) {
        g->marks = ask->u.marks.list;
        ask->u.marks.list = NULL;
    } else if (!g->err) {
        g->frame = ask->u.history.frame;
        ask->u.history.frame = NULL;
    }
    ask_free(ask);
    errand_answer(chat->shard, &g->errand);
}

static void glance_run(struct chat *chat, struct errand *e)
{
    struct glance *g = (struct glance *)e;
    struct ask *ask = chat->stopping ? NULL : ask_new(g->of_marks ? ASK_MARKS : ASK_HISTORY, BYTES_NONE);
    g->err = chat->stopping ? ERR_GOING : ERR_BUSY;
    if (!ask) return;
    ask->user = g->user;
    ask->conv = g->conv;
    if (g->of_marks) {
        ask->u.marks.place = g->after;
        ask->u.marks.after = g->after_mark;
    } else {
        ask->u.history.has_after = true;
        ask->u.history.after = g->after;
        ask->u.history.limit = PAGE_RECORDS_MAX;
    }
    ask->answered = on_answered;
    ask->glance = g;
    e->later = true;
    conv_on_ask(chat, ask);
}

static void glance_done(struct shard *shard, struct errand *e)
{
    struct glance *g = (struct glance *)e;
    g->done(shard, g);
}

void glance_send(struct shard *shard, struct glance *g)
{
    g->err = ERR_GOING;
    g->frame = NULL;
    g->marks = NULL;
    g->errand.run = glance_run;
    g->errand.done = glance_done;
    errand_send(shard, shard_of_conv(shard->house, &g->conv), &g->errand);
}

int glance_page(const struct glance *g, struct msg_page *page_out)
{
    struct bytes whole = frame_bytes(g->frame);
    size_t header = (whole.at[1] & 0x7f) == 127 ? 10 : (whole.at[1] & 0x7f) == 126 ? 4 : 2;
    struct msg m;
    const char *why;
    int err = msg_decode(bytes_of(whole.at + header, whole.len - header), &m, &why);
    if (err) return err;
    if (m.type != MSG_PAGE) return ERR_MALFORMED;
    *page_out = m.u.page;
    return 0;
}
