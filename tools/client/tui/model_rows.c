/* model_rows.c - rows out of the window: messages, and the lines between them (see model.h).
 *
 * They are made anew from the window whenever something changed; their ids come from what they are, so that a view
 * finds its place again. Order: messages by id, then what waits by number; before a message, as far as each is there, a
 * gap, its day, the line of what is new; behind it the notes that were made when it was the last. */
#include "tools/client/tui/model_impl.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- days ---- */

static uint64_t day_of(const struct tm *tm)
{
    return (uint64_t)(tm->tm_year + 1900) * 10000 + (uint64_t)(tm->tm_mon + 1) * 100 + (uint64_t)tm->tm_mday;
}

static bool local(uint64_t ms, struct tm *out)
{
    time_t s = (time_t)(ms / 1000);
    return localtime_r(&s, out) != NULL;
}

uint64_t model_day(uint64_t ms)
{
    struct tm tm;
    return local(ms, &tm) ? day_of(&tm) : 0;
}

static uint64_t day_before(uint64_t ms)
{
    struct tm tm;
    if (!local(ms, &tm)) return 0;
    tm.tm_mday--;
    tm.tm_hour = 12;    /* there is no day without a noon */
    tm.tm_isdst = -1;
    return mktime(&tm) == (time_t)-1 ? 0 : day_of(&tm);
}

/* In English like all else that is said, whatever the locale. */
static void day_text(uint64_t ms, uint64_t now_ms, char out[static DAY_TEXT_MAX])
{
    static const char *const weekdays[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
                                            "Saturday" };
    static const char *const months[] = { "January", "February", "March", "April", "May", "June", "July", "August",
                                          "September", "October", "November", "December" };
    struct tm tm;
    uint64_t day = model_day(ms);
    if (day == model_day(now_ms)) strcpy(out, "Today");
    else if (day == day_before(now_ms)) strcpy(out, "Yesterday");
    else if (!local(ms, &tm)) strcpy(out, "?");
    else snprintf(out, DAY_TEXT_MAX, "%s, %d %s %d", weekdays[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
                  tm.tm_year + 1900);
}

void model_when(uint64_t ms, uint64_t now_ms, char out[static 16])
{
    uint64_t day = model_day(ms);
    if (day == model_day(now_ms)) format_clock(ms, out);
    else if (day == day_before(now_ms)) strcpy(out, "Yesterday");
    else snprintf(out, 16, "%04u-%02u-%02u", (unsigned)(day / 10000 % 10000), (unsigned)(day / 100 % 100),
                  (unsigned)(day % 100));
}

/* ---- rows ---- */

struct making {
    struct model *m;
    struct pane *p;
    uint64_t day;                 /* of the row before */
    size_t days;
};

static struct model_row *add(struct making *k, enum row_kind kind, uint64_t number, const char *text)
{
    assert(k->p->row_count < ROWS_MAX);
    struct model_row *row = &k->p->rows[k->p->row_count++];
    *row = (struct model_row){ .id = { .kind = kind, .number = number }, .text = text, .text_len = strlen(text),
                               .from = "", .why = "" };
    return row;
}

static void add_gap(struct making *k, uint64_t before, bool rests)
{
    static const char *const texts[] = {
        [GAP_OPEN] = "older messages are with the server",
        [GAP_ASKED] = "older messages are on their way",
        [GAP_FAILED] = "older messages are with the server, which cannot be asked now",
        [GAP_RESTS] = "older messages may be with the server",
    };
    const struct model *m = k->m;
    bool is_asked = m->fetching && m->fetch.before == before && conv_id_equal(&m->fetch.conv, &k->p->conv.conv);
    enum gap_state state = is_asked ? GAP_ASKED : rests && !k->p->asked_by_hand ? GAP_RESTS :
                           k->p->fetch_failed ? GAP_FAILED : GAP_OPEN;
    add(k, ROW_GAP, before, texts[state])->gap = state;
}

/* Days only go forward: what waits may be older than what came since. */
static void add_day(struct making *k, uint64_t ms)
{
    uint64_t day = model_day(ms);
    if (day <= k->day) return;
    k->day = day;
    day_text(ms, k->m->now_ms, k->p->days[k->days]);
    add(k, ROW_DAY, day, k->p->days[k->days++]);
}

static void add_notes(struct making *k, const struct row_id *after)
{
    for (size_t i = 0; i < k->p->note_count; i++) {
        const struct note *n = &k->p->notes[i];
        if (after ? !n->is_first && row_id_equal(&n->after, after) : n->is_first) add(k, ROW_NOTE, n->number, n->text);
    }
}

/* Is this the first message at or behind the one that was new when the conversation was opened? Not when it only is the
 * first of the window: then the line is further up. */
static bool is_new_line(const struct pane *p, size_t at)
{
    int order = msg_id_compare(&p->entries[at].id, &p->first_new);
    if (!p->has_new || order < 0) return false;
    if (order == 0) return true;
    return at > 0 ? msg_id_compare(&p->entries[at - 1].id, &p->first_new) < 0 : p->top_done;
}

static void add_entry(struct making *k, size_t at)
{
    const struct pane *p = k->p;
    const struct entry *e = &p->entries[at];
    if (e->has_gap) add_gap(k, e->gap_before, false);
    add_day(k, msg_id_ms(&e->id));
    if (is_new_line(p, at)) add(k, ROW_NEW, 0, "new messages");
    struct model_row *row = add(k, e->is_timer ? ROW_TIMER : ROW_MESSAGE, e->client_seq, p->texts + e->text_at);
    if (!e->client_seq) row->id.id = e->id;
    row->text_len = e->text_len;
    row->is_own = e->is_own;
    row->is_clause = e->is_clause;
    row->is_stored = true;
    row->message = e->id;
    row->from = e->is_own ? k->m->account->user.v : p->conv.name;
    row->time_ms = msg_id_ms(&e->id);
    row->ticks = e->is_own && !e->is_timer ? model_ticks(e->seq, p->delivered, p->read) : TICKS_NONE;
    add_notes(k, &row->id);
}

static bool is_accepted(const struct pane *p, uint64_t client_seq)
{
    for (size_t i = p->count; i-- > 0;)
        if (p->entries[i].client_seq == client_seq) return true;
    return false;
}

static void add_waiting(struct making *k, const struct waiting *w)
{
    add_day(k, w->created_ms);
    struct model_row *row = add(k, ROW_MESSAGE, w->client_seq, w->text);
    row->is_own = true;
    row->from = k->m->account->user.v;
    row->time_ms = w->created_ms;
    row->ticks = w->state == REFUSED ? TICKS_REFUSED : TICKS_WAITING;
    row->why = w->why;
    add_notes(k, &row->id);
}

void model_rows_make(struct model *m)
{
    struct pane *p = &m->pane;
    struct making k = { .m = m, .p = p };
    p->row_count = 0;
    if (!m->is_open) return;
    if (p->top_done && p->top_gap) add_gap(&k, p->top_gap_before, p->top_rests);
    if (p->top_done) add_notes(&k, NULL);
    for (size_t i = 0; i < p->count; i++) add_entry(&k, i);
    for (size_t i = 0; p->at_end && i < m->waiting_count; i++) {
        const struct waiting *w = &m->waiting[i];
        if (w->state == ANSWERED || !user_id_equal(&w->to, &p->conv.peer) || is_accepted(p, w->client_seq)) continue;
        add_waiting(&k, w);
    }
    /* What was told to be in sight was of the rows before. */
    if (p->first_seen > p->row_count) p->first_seen = p->row_count;
    if (p->seen_count > p->row_count - p->first_seen) p->seen_count = p->row_count - p->first_seen;
}

bool row_id_equal(const struct row_id *a, const struct row_id *b)
{
    return a->kind == b->kind && a->number == b->number && msg_id_compare(&a->id, &b->id) == 0;
}

size_t model_row_count(const struct model *m)
{
    return m->pane.row_count;
}

const struct model_row *model_row(const struct model *m, size_t at)
{
    assert(at < m->pane.row_count);
    return &m->pane.rows[at];
}

size_t model_row_find(const struct model *m, const struct row_id *id)
{
    for (size_t i = m->pane.row_count; i-- > 0;)
        if (row_id_equal(&m->pane.rows[i].id, id)) return i;
    return SIZE_MAX;
}
