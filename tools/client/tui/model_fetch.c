/* model_fetch.c - what was seen, and which messages only the server has (see model.h).
 *
 * Sequences are without gaps, so where those of the store jump, or do not begin at 1, there may be messages that this
 * device never had: it was logged in later than they were said. `known` are the sequences the server has answered for
 * since the session opened, be it with nothing: what is missing there will not be asked for again. */
#include "tools/client/tui/model_impl.h"

#include <assert.h>
#include <string.h>

/* ---- what is known ---- */

void model_known_add(struct pane *p, uint64_t first, uint64_t last)
{
    size_t kept = 0;
    if (first > last) return;
    for (size_t i = 0; i < p->known_count; i++) {
        struct range r = p->known[i];
        bool apart = (r.last < first && first - r.last > 1) || (r.first > last && r.first - last > 1);
        if (apart) {
            p->known[kept++] = r;
            continue;
        }
        if (r.first < first) first = r.first;
        if (r.last > last) last = r.last;
    }
    /* The oldest is forgotten: at worst it is asked for once more. */
    if (kept == KNOWN_MAX) memmove(&p->known[0], &p->known[1], --kept * sizeof p->known[0]);
    p->known[kept++] = (struct range){ first, last };
    p->known_count = kept;
}

uint64_t model_known_missing(const struct pane *p, uint64_t first, uint64_t last)
{
    bool moved = true;
    while (moved && last >= first) {
        moved = false;
        for (size_t i = 0; i < p->known_count; i++) {
            if (p->known[i].first > last || p->known[i].last < last) continue;
            if (p->known[i].first <= first) return 0;
            last = p->known[i].first - 1;
            moved = true;
        }
    }
    return last >= first ? last : 0;
}

static int take_hidden(void *arg, const struct message_row *row)
{
    *(bool *)arg = row->hidden;
    return 0;
}

/* Of what is before all that the store has. */
int model_gap_at_top(struct model *m)
{
    struct pane *p = &m->pane;
    enum message_state state;
    struct msg_id id;
    uint64_t lowest = 0;
    p->top_gap = p->top_rests = false;
    if (!p->top_done) return 0;
    int err = home_message_min_seq(m->home, &p->conv.conv, 0, &lowest);
    if (err) return err == ERR_NOT_FOUND ? 0 : err;    /* then the newest page is asked for first */
    uint64_t missing = lowest > 1 ? model_known_missing(p, 1, lowest - 1) : 0;
    if (!missing) return 0;
    p->top_gap = true;
    p->top_gap_before = missing + 1;
    /* Who deleted all does not want to see what was before that, unless they ask. */
    err = home_message_state(m->home, &p->conv.conv, lowest, &id, &state);
    if (!err) err = home_message_by_id(m->home, &id, take_hidden, &p->top_rests);
    return err == ERR_NOT_FOUND ? 0 : err;
}

/* ---- pages ---- */

static void want(struct model *m, uint64_t before, struct model_fetch *out)
{
    *out = (struct model_fetch){ .conv = m->pane.conv.conv, .before = before, .limit = PAGE_RECORDS_MAX };
    m->fetch = *out;
    m->fetching = true;
    m->changed |= MODEL_CHANGED_ROWS;
    model_rows_make(m);
}

bool model_fetch_take(struct model *m, struct model_fetch *out)
{
    struct pane *p = &m->pane;
    if (!m->is_open || m->fetching || p->fetch_failed) return false;
    if (!p->row.has_stored && !p->head_known) {    /* nothing says what the server has last */
        want(m, 0, out);
        return true;
    }
    size_t end = p->first_seen + p->seen_count + MODEL_NEAR_ROWS;
    size_t first = p->first_seen > MODEL_NEAR_ROWS ? p->first_seen - MODEL_NEAR_ROWS : 0;
    if (end > p->row_count) end = p->row_count;
    for (size_t i = end; p->seen_count > 0 && i-- > first;) {
        if (p->rows[i].id.kind != ROW_GAP || p->rows[i].gap != GAP_OPEN) continue;
        want(m, p->rows[i].id.number, out);
        return true;
    }
    return false;
}

/* The sequences that a page answers for: of its records, and those that it says are gone. ERR_MALFORMED: what it has was not asked for. */
static int page_range(const struct msg_page *page, uint64_t before, uint64_t *first_out, uint64_t *last_out)
{
    struct bytes rest = page->records;
    struct bytes ranges = page->gone;
    struct msg_message record;
    struct gone gone;
    uint64_t first = 0;
    int err;
    while (!(err = page_next(&rest, &record)))
        if (first == 0 || record.seq < first) first = record.seq;
    while (gone_next(&ranges, &gone) == 0)
        if (gone.from > 0 && (first == 0 || gone.from < first)) first = gone.from;
    *last_out = before ? before - 1 : page->head;
    if (err != ERR_END || first > *last_out) return ERR_MALFORMED;
    *first_out = page->more && first ? first : 1;
    return 0;
}

static int take_answer(struct pane *p, uint64_t before, struct bytes answer)
{
    struct msg msg;
    uint64_t first = 1, last = NUMBER_MAX;
    int err = msg_decode(answer, &msg, NULL);
    if (err || (msg.type != MSG_PAGE && msg.type != MSG_ERROR)) return ERR_MALFORMED;
    if (msg.type == MSG_ERROR && msg.u.error.code != (uint64_t)-ERR_NOT_FOUND) {
        p->fetch_failed = true;
        return 0;
    }
    if (msg.type == MSG_PAGE) err = page_range(&msg.u.page, before, &first, &last);
    if (err) return err;
    model_known_add(p, first, last);
    if (!before) p->head_known = true;
    return 0;
}

int model_fetch_done(struct model *m, const struct model_fetch *fetch, struct bytes answer)
{
    bool is_here = m->is_open && conv_id_equal(&fetch->conv, &m->pane.conv.conv);
    m->fetching = false;
    int err = is_here ? take_answer(&m->pane, fetch->before, answer) : 0;
    if (err) m->pane.fetch_failed = true;
    model_touch(m, &fetch->conv);
    int store_err = model_bring(m);
    return store_err ? store_err : err;
}

void model_fetch_failed(struct model *m, const struct model_fetch *fetch)
{
    m->fetching = false;
    if (!m->is_open || !conv_id_equal(&fetch->conv, &m->pane.conv.conv)) return;
    m->pane.fetch_failed = true;
    m->changed |= MODEL_CHANGED_ROWS;
    model_rows_make(m);
}

void model_fetch_again(struct model *m)
{
    m->pane.fetch_failed = false;
    m->pane.asked_by_hand = true;
    m->changed |= MODEL_CHANGED_ROWS;
    if (m->is_open) model_rows_make(m);
}

/* ---- what was seen ---- */

static void put_sight(struct pane *p, size_t first, size_t count)
{
    assert(first + count <= p->row_count);
    p->first_seen = first;
    p->seen_count = count;
    if (count == 0) return;
    p->follows = p->at_end && first + count == p->row_count;
    memset(&p->oldest_seen, 0xff, sizeof p->oldest_seen);
    for (size_t i = first + count; i-- > first;)
        if (p->rows[i].is_stored) p->oldest_seen = p->rows[i].message;
    memset(&p->last_seen, 0, sizeof p->last_seen);
    for (size_t i = first + count; i-- > 0;) {
        if (!p->rows[i].is_stored) continue;
        p->last_seen = p->rows[i].message;
        return;
    }
}

bool model_seen(struct model *m, size_t first, size_t count, bool foreground, struct model_seen *out)
{
    struct pane *p = &m->pane;
    memset(out, 0, sizeof *out);
    if (!m->is_open) return false;
    put_sight(p, first, count);
    out->conv = p->conv.conv;
    for (size_t i = first; foreground && i < first + count; i++) {
        const struct entry *e = p->rows[i].is_stored ? model_entry(p, &p->rows[i].message) : NULL;
        if (!e) continue;
        bool is_fresh = e->state == MESSAGE_FRESH;
        if (is_fresh && out->count < MODEL_SEEN_MAX) out->ids[out->count++] = e->id;
        if ((is_fresh || !e->is_own) && e->seq > out->seq) out->seq = e->seq;
    }
    if (p->row.has_stored && out->seq > p->row.stored) out->seq = p->row.stored;
    out->has_seq = out->seq > p->row.read && out->seq > p->seq_told;
    return out->count > 0 || out->has_seq;
}

void model_seen_done(struct model *m, const struct model_seen *seen)
{
    struct pane *p = &m->pane;
    model_touch(m, &seen->conv);
    if (!m->is_open || !conv_id_equal(&seen->conv, &p->conv.conv)) return;
    if (seen->has_seq && seen->seq > p->seq_told) p->seq_told = seen->seq;
    for (size_t i = 0; i < seen->count; i++) {
        struct entry *e = model_entry(p, &seen->ids[i]);
        if (e) e->state = MESSAGE_SHOWN;
    }
}
