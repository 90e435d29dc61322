/* model_pane.c - the window of messages of the open conversation (see model.h).
 *
 * The window is a stretch of message ids, and what is in it is what the store has there: load() reads it whole, from
 * its first message to its last, or to the end. All moving is choosing another first message, which reach() finds by
 * walking down. So a message that comes to lie in the middle (a gap was filled) stands where it belongs, and one that
 * was deleted is gone.
 *
 * A window that is full drops what is behind it when it is moved up, and what is before it when it is moved down. One
 * that is at the end and full when more comes follows when its end is in sight; else it drops what is far above the
 * screen, and what finds no room even so stays behind it. */
#include "tools/client/tui/model_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum ticks model_ticks(uint64_t seq, uint64_t delivered, uint64_t read)
{
    if (seq == 0) return TICKS_SENT;    /* from before the server was restored */
    return seq <= read ? TICKS_READ : seq <= delivered ? TICKS_DELIVERED : TICKS_SENT;
}

/* Of this device's own sends the number, which they have from the start; of all others the id. */
static uint64_t own_number(const struct model *m, const struct message_row *row)
{
    bool is_ours = user_id_equal(&row->m.from, &m->account->user) && row->m.device.v == m->account->device.v;
    return is_ours ? row->m.client_seq : 0;
}

bool model_is_shown(const struct message_row *row)
{
    return !row->hidden && (row->m.kind <= KIND_TOMBSTONE || row->m.kind == KIND_TIMER);
}

struct row_id model_row_id(const struct model *m, const struct message_row *row)
{
    struct row_id id = { .kind = row->m.kind == KIND_TIMER ? ROW_TIMER : ROW_MESSAGE, .number = own_number(m, row) };
    if (!id.number) id.id = row->m.id;
    return id;
}

struct entry *model_entry(struct pane *p, const struct msg_id *id)
{
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = msg_id_compare(&p->entries[middle].id, id);
        if (order == 0) return &p->entries[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

/* ---- reading the window ---- */

struct loading {
    struct model *m;
    struct pane *p;
    FILE *texts;
    const struct msg_id *until;   /* NULL: to the end */
    uint64_t last_seq;            /* of the row before, a hidden one too; 0: unknown */
    uint64_t gap_before;          /* of the next entry, or 0 */
};

static void see_seq(struct loading *l, const struct message_row *row)
{
    if (!row->has_seq) return;
    uint64_t last = row->m.seq - 1;
    /* What comes after `stored` is due, and sync.c sees to it. */
    if (l->p->row.has_stored && last > l->p->row.stored) last = l->p->row.stored;
    if (l->last_seq && last > l->last_seq) {
        uint64_t missing = model_known_missing(l->p, l->last_seq + 1, last);
        if (missing) l->gap_before = missing + 1;
    }
    l->last_seq = row->m.seq;
}

static void put_timer(struct loading *l, const struct message_row *row)
{
    bool is_own = user_id_equal(&row->m.from, &l->m->account->user);
    struct bytes rest = row->m.body;
    uint64_t seconds = 0;
    if (body_next(&rest, &seconds)) fputs("[something that a newer version shows]", l->texts);
    else print_timer(l->texts, seconds, is_own ? "you" : l->p->conv.name);
}

static int load_row(void *arg, const struct message_row *row)
{
    struct loading *l = arg;
    struct pane *p = l->p;
    if (l->until && msg_id_compare(&row->m.id, l->until) > 0) return ERR_END;
    see_seq(l, row);
    if (!model_is_shown(row)) return 0;
    if (p->count == MODEL_WINDOW_MAX) return ERR_END;
    long at = ftell(l->texts);
    if (row->m.kind == KIND_TIMER) put_timer(l, row);
    else model_put_safe(l->texts, message_text(&row->m));
    long end = ftell(l->texts);
    if (at < 0 || end < 0 || fputc('\0', l->texts) == EOF) return ERR_NOMEM;
    p->entries[p->count++] = (struct entry){
        .id = row->m.id, .seq = row->has_seq ? row->m.seq : 0, .state = row->state,
        .is_own = user_id_equal(&row->m.from, &l->m->account->user), .is_clause = content_of(&row->m).at == NULL,
        .is_timer = row->m.kind == KIND_TIMER, .client_seq = own_number(l->m, row), .text_at = (size_t)at, .text_len = (size_t)(end - at),
        .gap_before = l->gap_before, .has_gap = l->gap_before != 0 };
    l->gap_before = 0;
    return 0;
}

static int take_seq(void *arg, const struct message_row *row)
{
    if (row->has_seq) *(uint64_t *)arg = row->m.seq;
    return 0;
}

static struct msg_id id_below(struct msg_id id)
{
    for (size_t i = sizeof id.v; i-- > 0;)
        if (id.v[i]-- != 0) break;
    return id;
}

/* The window is [first, until], or all behind `first` that it can hold. */
static int load(struct model *m, struct msg_id first, const struct msg_id *until)
{
    struct pane *p = &m->pane;
    struct loading l = { .m = m, .p = p, .until = until };
    struct msg_id below = id_below(first);
    char *texts = NULL;
    size_t size;
    p->count = 0;
    int err = home_message_each_older(m->home, &p->conv.conv, &first, 1, take_seq, &l.last_seq);
    if (!err && !(l.texts = open_memstream(&texts, &size))) err = ERR_NOMEM;
    if (err) return err;
    err = home_message_each_newer(m->home, &p->conv.conv, &below, UINT32_MAX, load_row, &l);
    if (fclose(l.texts) != 0 && !err) err = ERR_NOMEM;
    free(p->texts);
    p->texts = texts;
    p->at_end = err != ERR_END;
    if (err == ERR_END) err = 0;
    if (err) p->count = 0;
    return err;
}

/* ---- finding its first message ---- */

struct reaching {
    size_t wanted, found, looked;
    struct msg_id last, first;    /* the last one that was looked at; the last of those that can be shown */
};

static int reach_row(void *arg, const struct message_row *row)
{
    struct reaching *r = arg;
    r->looked++;
    r->last = row->m.id;
    if (!model_is_shown(row)) return 0;
    r->first = row->m.id;
    return ++r->found == r->wanted ? ERR_END : 0;
}

/* Takes `top` down over `wanted` messages, or as far as one call may look. *found_out: there was one, and *first_out is
 * it. */
static int reach(struct model *m, size_t wanted, struct msg_id *first_out, bool *found_out)
{
    struct pane *p = &m->pane;
    struct reaching r = { .wanted = wanted };
    const struct msg_id *before = p->has_top ? &p->top : NULL;
    int err = home_message_each_older(m->home, &p->conv.conv, before, MODEL_SCAN_MAX, reach_row, &r);
    if (err && err != ERR_END) return err;
    p->top_done = !err && r.looked < MODEL_SCAN_MAX;
    if (r.looked) {
        p->top = r.last;
        p->has_top = true;
    }
    *found_out = r.found > 0;
    *first_out = r.first;
    return model_gap_at_top(m);
}

static void top_at(struct pane *p, const struct msg_id *id)
{
    p->has_top = id != NULL;
    if (id) p->top = *id;
    p->top_done = false;
}

/* The last `wanted` messages. */
static int load_end(struct model *m, size_t wanted)
{
    struct pane *p = &m->pane;
    struct msg_id first;
    bool found;
    top_at(p, NULL);
    int err = reach(m, wanted, &first, &found);
    if (!err && found) return load(m, first, NULL);
    p->count = 0;
    p->at_end = true;
    return err;
}

/* A page of what is before `id`, and all behind it that finds room. */
static int load_around(struct model *m, const struct msg_id *id)
{
    struct pane *p = &m->pane;
    struct msg_id first;
    bool found;
    top_at(p, id);
    int err = reach(m, MODEL_PAGE, &first, &found);
    return err ? err : load(m, found ? first : *id, NULL);
}

/* Up to `wanted` more messages before the window. */
static int load_older(struct model *m, size_t wanted)
{
    struct pane *p = &m->pane;
    struct msg_id first, last;
    bool found;
    if (p->count) last = p->entries[p->count - 1].id;
    int err = reach(m, wanted, &first, &found);
    if (err || !found) return err;
    return load(m, first, p->at_end || !p->count ? NULL : &last);
}

/* ---- bringing it up to date ---- */

static int read_conv(struct model *m)
{
    struct pane *p = &m->pane;
    struct user_id peer = p->conv.peer;    /* what is read is written over */
    int err = home_conv_get(m->home, &p->conv.conv, &p->row);
    p->has_row = !err;
    if (err == ERR_NOT_FOUND) p->row = (struct conv_row){ .id = p->conv.conv, .peer = peer };
    if (!err || err == ERR_NOT_FOUND) err = model_conv_read(m, &peer, &p->conv);
    if (!err) err = home_cursor_get(m->home, &p->conv.conv, &peer, &p->delivered, &p->read);
    return err;
}

/* The end no longer finds room. What is far above the screen goes first: what waits stands at the end, and may be in
 * sight. */
static int make_room(struct model *m)
{
    struct pane *p = &m->pane;
    size_t at = 0;
    while (at < p->count && msg_id_compare(&p->entries[at].id, &p->oldest_seen) < 0) at++;
    if (at <= MODEL_NEAR_ROWS) return 0;
    struct msg_id first = p->entries[at - MODEL_NEAR_ROWS].id;
    top_at(p, &first);
    return load(m, first, NULL);
}

static int reload_window(struct model *m)
{
    struct pane *p = &m->pane;
    if (p->count == 0) return load_end(m, MODEL_PAGE);
    bool was_done = p->top_done, was_at_end = p->at_end;
    struct msg_id first = p->entries[0].id, last = p->entries[p->count - 1].id;
    top_at(p, &first);
    int err = load(m, first, was_at_end ? NULL : &last);
    if (err) return err;
    if (p->count == 0) return load_end(m, MODEL_PAGE);
    if (was_at_end && !p->at_end && p->follows) return load_end(m, MODEL_WINDOW_MAX - MODEL_PAGE);
    if (was_at_end && !p->at_end) return make_room(m);
    if (was_done && p->count < MODEL_WINDOW_MAX) {
        size_t room = MODEL_WINDOW_MAX - p->count;
        err = load_older(m, room < MODEL_PAGE ? room : MODEL_PAGE);
    }
    return err;
}

int model_pane_reload(struct model *m)
{
    int err = read_conv(m);
    if (!err) err = reload_window(m);
    model_rows_make(m);
    return err;
}

/* ---- opening ---- */

struct unread {
    const struct user_id *self;
    uint64_t read;
    uint32_t count;
    struct msg_id first;
};

/* By the rules of a list's count (home.h). */
static int unread_row(void *arg, const struct message_row *row)
{
    struct unread *u = arg;
    if (!row->has_seq || row->m.seq <= u->read) return ERR_END;
    if (row->m.kind > KIND_TOMBSTONE) return 0;
    if (user_id_equal(&row->m.from, u->self)) return ERR_END;
    if (!(row->m.flags & RECORD_COUNTS) || row->hidden) return 0;
    u->first = row->m.id;
    return ++u->count == UNREAD_MAX ? ERR_END : 0;
}

static int find_unread(struct model *m, struct pane *p)
{
    struct unread u = { .self = &m->account->user, .read = p->row.read };
    int err = home_message_each_older(m->home, &p->conv.conv, NULL, UINT32_MAX, unread_row, &u);
    p->has_new = u.count > 0;
    p->first_new = u.first;
    return err == ERR_END ? 0 : err;
}

void model_close(struct model *m)
{
    struct pane *p = &m->pane;
    bool was = m->is_open;
    if (was) model_touch(m, &p->conv.conv);    /* it may have stood in the list for being open alone */
    for (size_t i = 0; i < p->note_count; i++) free(p->notes[i].text);
    free(p->texts);
    *p = (struct pane){ .entries = p->entries, .rows = p->rows, .days = p->days };
    m->is_open = false;
    m->changed |= MODEL_CHANGED_ROWS;
}

static int begin(struct model *m, const struct user_id *peer)
{
    struct pane *p = &m->pane;
    model_close(m);
    m->is_open = true;
    p->conv.conv = conv_id_direct(&m->account->user, peer);
    p->conv.peer = *peer;
    p->at_end = p->follows = true;
    int err = read_conv(m);
    if (err || !p->conv.marked) return err;
    err = home_conv_mark(m->home, &p->conv.conv, false);
    p->conv.marked = false;
    return err;
}

/* The window is there; the rest follows. */
static int conclude(struct model *m, int err)
{
    model_rows_make(m);
    if (!err) err = model_list_refresh(m, &m->pane.conv.conv);
    if (!err) err = model_bring(m);
    if (err) model_close(m);
    return err;
}

int model_open(struct model *m, const struct user_id *peer, struct model_place *place_out)
{
    struct pane *p = &m->pane;
    int err = begin(m, peer);
    if (!err) err = find_unread(m, p);
    if (!err && p->has_new) err = load_around(m, &p->first_new);
    else if (!err) err = load_end(m, MODEL_PAGE);
    *place_out = (struct model_place){ .is_end = !p->has_new, .row = { .kind = ROW_NEW } };
    p->follows = place_out->is_end;
    return conclude(m, err);
}

struct looking {
    const struct model *m;
    struct msg_id id;
    bool is_there;
    struct row_id row;
};

static int look(void *arg, const struct message_row *row)
{
    struct looking *l = arg;
    l->is_there = msg_id_compare(&row->m.id, &l->id) == 0 && model_is_shown(row);
    l->row = model_row_id(l->m, row);
    return 0;
}

int model_open_at(struct model *m, const struct user_id *peer, const struct msg_id *id, struct model_place *place_out)
{
    struct conv_id conv = conv_id_direct(&m->account->user, peer);
    struct msg_id wanted = *id, below = id_below(wanted);
    struct looking l = { .m = m, .id = wanted };
    int err = home_message_each_newer(m->home, &conv, &below, 1, look, &l);
    if (err || !l.is_there) return err ? err : ERR_NOT_FOUND;
    err = begin(m, peer);
    if (!err) err = find_unread(m, &m->pane);
    if (!err) err = load_around(m, &wanted);
    m->pane.follows = false;
    *place_out = (struct model_place){ .row = l.row };
    return conclude(m, err);
}

const struct model_conv *model_opened(const struct model *m)
{
    return m->is_open ? &m->pane.conv : NULL;
}

/* ---- moving ---- */

bool model_has_older(const struct model *m)
{
    return m->is_open && !m->pane.top_done;
}

bool model_has_newer(const struct model *m)
{
    return m->is_open && !m->pane.at_end;
}

static int moved(struct model *m, int err)
{
    m->changed |= MODEL_CHANGED_ROWS;
    model_rows_make(m);
    return err;
}

int model_older(struct model *m)
{
    return model_has_older(m) ? moved(m, load_older(m, MODEL_PAGE)) : 0;
}

int model_newer(struct model *m)
{
    struct pane *p = &m->pane;
    if (!model_has_newer(m)) return 0;
    assert(p->count > 0);    /* else reload_window() had gone to the end */
    size_t drop = p->count + MODEL_PAGE > MODEL_WINDOW_MAX ? p->count + MODEL_PAGE - MODEL_WINDOW_MAX : 0;
    struct msg_id first = p->entries[drop].id;
    if (drop) top_at(p, &first);
    return moved(m, load(m, first, NULL));
}

int model_end(struct model *m)
{
    struct pane *p = &m->pane;
    if (!m->is_open) return 0;
    p->follows = true;
    return p->at_end ? 0 : moved(m, load_end(m, MODEL_PAGE));
}

struct below {
    const struct pane *p;
    const struct user_id *self;
    uint32_t count;
};

static int below_row(void *arg, const struct message_row *row)
{
    struct below *b = arg;
    if (msg_id_compare(&row->m.id, &b->p->last_seen) <= 0 || row->m.seq <= b->p->row.read) return 0;
    if (row->hidden || row->m.kind > KIND_TOMBSTONE || user_id_equal(&row->m.from, b->self)) return 0;
    return ++b->count == UNREAD_MAX ? ERR_END : 0;
}

int model_below(struct model *m, uint32_t *count_out)
{
    struct below b = { .p = &m->pane, .self = &m->account->user };
    *count_out = 0;
    if (!m->is_open || m->pane.follows) return 0;
    int err = home_message_each_fresh(m->home, &m->pane.conv.conv, below_row, &b);
    *count_out = b.count;
    return err == ERR_END ? 0 : err;
}

/* ---- notes ---- */

static int newest(void *arg, const struct message_row *row)
{
    struct looking *l = arg;
    if (!model_is_shown(row)) return 0;
    l->is_there = true;
    l->row = model_row_id(l->m, row);
    return ERR_END;
}

int model_note(struct model *m, const char *text)
{
    struct pane *p = &m->pane;
    struct looking l = { .m = m };
    if (!m->is_open) return 0;
    const struct waiting *w = model_waiting_of(m, &p->conv.peer).last;
    if (w) l.row = (struct row_id){ .kind = ROW_MESSAGE, .number = w->client_seq };
    int err = w ? 0 : home_message_each_older(m->home, &p->conv.conv, NULL, MODEL_SCAN_MAX, newest, &l);
    char *safe = model_safe(bytes_of_str(text));
    if (!safe || (err && err != ERR_END)) {
        free(safe);
        return safe ? err : ERR_NOMEM;
    }
    if (p->note_count == MODEL_NOTES_MAX) {
        free(p->notes[0].text);
        memmove(&p->notes[0], &p->notes[1], --p->note_count * sizeof p->notes[0]);
    }
    p->notes[p->note_count++] = (struct note){ .number = ++m->last_note, .is_first = !w && !l.is_there, .after = l.row,
                                               .text = safe };
    return moved(m, 0);
}
