/* model.c - what no longer is as it was, and the sends that wait (see model.h).
 *
 * An event only says which conversation it touches: model_bring() reads that one again, and all when there were too
 * many to remember or a session began. So a burst of a thousand messages costs one look at each conversation, and what
 * is shown is always what the store says, never what events added up to.
 *
 * Sends that wait are held here for all conversations, with what was typed: a refused one is gone from the outbox by
 * the time that is told, and its text must not be. */
#include "tools/client/tui/model_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- text ---- */

void model_put_safe(FILE *to, struct bytes text)
{
    size_t start = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] != '\n') continue;
        print_text(to, bytes_of(text.at + start, i - start), false);
        fputc('\n', to);
        start = i + 1;
    }
    if (start < text.len) print_text(to, bytes_of(text.at + start, text.len - start), false);
}

char *model_safe(struct bytes text)
{
    char *out = NULL;
    size_t len;
    FILE *to = open_memstream(&out, &len);
    if (!to) return NULL;
    model_put_safe(to, text);
    return fclose(to) == 0 ? out : NULL;
}

/* No more than `len` bytes of it, whole characters. */
static size_t whole(const char *text, size_t len)
{
    while (len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80) len--;
    return len;
}

int model_line(struct bytes text, char out[static MODEL_LINE_BYTES_MAX + 1])
{
    static const char dots[] = "…";
    char *safe = NULL;
    size_t len, cut = text.len;
    /* What is safe is no shorter than what it was made of, so more bytes than these would not fit either. */
    if (cut > MODEL_LINE_BYTES_MAX) cut = whole((const char *)text.at, MODEL_LINE_BYTES_MAX);
    FILE *to = open_memstream(&safe, &len);
    if (!to) return ERR_NOMEM;
    print_text(to, bytes_of(text.at, cut), false);
    if (fclose(to) != 0) {
        free(safe);
        return ERR_NOMEM;
    }
    bool all = cut == text.len && len <= MODEL_LINE_BYTES_MAX;
    if (!all && len > MODEL_LINE_BYTES_MAX - strlen(dots)) len = whole(safe, MODEL_LINE_BYTES_MAX - strlen(dots));
    memcpy(out, safe, len);
    strcpy(out + len, all ? "" : dots);
    free(safe);
    return 0;
}

int model_name(struct model *m, const struct user_id *user, char out[static MODEL_NAME_BYTES_MAX + 1])
{
    struct contact_row contact;
    char *safe = NULL;
    int err = home_contact_of(m->home, user, &contact);
    bool is_contact = !err;
    if (err && err != ERR_NOT_FOUND) return err;
    if (!is_contact && user_id_equal(user, &m->account->user)) {
        strcpy(out, "note to self");
        return 0;
    }
    safe = model_safe(is_contact ? bytes_of_str(contact.name) : user_id_bytes(user));
    if (!safe) return ERR_NOMEM;
    assert(strlen(safe) <= MODEL_NAME_BYTES_MAX);    /* a byte becomes three at most */
    strcpy(out, safe);
    free(safe);
    return 0;
}

/* ---- sends that wait ---- */

static void waiting_fini(struct waiting *w)
{
    free(w->body);
    free(w->text);
}

static void waiting_drop(struct model *m, size_t at)
{
    waiting_fini(&m->waiting[at]);
    memmove(&m->waiting[at], &m->waiting[at + 1], (--m->waiting_count - at) * sizeof *m->waiting);
}

static int waiting_add(void *arg, const struct outbox_row *row)
{
    struct model *m = arg;
    const struct msg_message shown = { .kind = KIND_MESSAGE, .body = row->body };
    struct waiting w = { .client_seq = row->client_seq, .to = row->to, .created_ms = row->created_ms, .state = WAITS };
    if (row->kind != KIND_MESSAGE) return 0;    /* to delete, to set the timer: nothing that is said */
    w.text = model_safe(message_text(&shown));
    w.body = malloc(row->body.len + 1);
    if (!w.text || !w.body) {
        waiting_fini(&w);
        return ERR_NOMEM;
    }
    if (row->body.len) memcpy(w.body, row->body.at, row->body.len);
    w.body_len = row->body.len;
    if (m->waiting_count == MODEL_WAITING_MAX) waiting_drop(m, 0);
    m->waiting[m->waiting_count++] = w;
    return 0;
}

struct counting {
    struct model *m;
    uint64_t rows, seen;
};

static int waiting_count(void *arg, const struct outbox_row *row)
{
    (void)row;
    ((struct counting *)arg)->rows++;
    return 0;
}

static int waiting_take_newest(void *arg, const struct outbox_row *row)
{
    struct counting *c = arg;
    return ++c->seen + MODEL_WAITING_MAX > c->rows ? waiting_add(c->m, row) : 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = ((const struct waiting *)a)->client_seq, y = ((const struct waiting *)b)->client_seq;
    return x < y ? -1 : x > y;
}

/* Refused ones stay: they are nowhere else. */
static int waiting_load(struct model *m)
{
    struct counting c = { .m = m };
    for (size_t i = m->waiting_count; i-- > 0;)
        if (m->waiting[i].state != REFUSED) waiting_drop(m, i);
    int err = home_outbox_each(m->home, waiting_count, &c);
    if (!err) err = home_outbox_each(m->home, waiting_take_newest, &c);
    if (m->waiting_count) qsort(m->waiting, m->waiting_count, sizeof *m->waiting, by_number);
    return err;
}

static struct waiting *waiting_find(struct model *m, uint64_t client_seq)
{
    for (size_t i = 0; i < m->waiting_count; i++)
        if (m->waiting[i].client_seq == client_seq) return &m->waiting[i];
    return NULL;
}

struct waiting_sum model_waiting_of(const struct model *m, const struct user_id *to)
{
    struct waiting_sum sum = { 0 };
    for (size_t i = 0; i < m->waiting_count; i++) {
        const struct waiting *w = &m->waiting[i];
        if (w->state == ANSWERED || !user_id_equal(&w->to, to)) continue;
        if (w->state == REFUSED) sum.refused++;
        else sum.waiting++;
        sum.last = w;
    }
    return sum;
}

static void touch_user(struct model *m, const struct user_id *user)
{
    struct conv_id conv = conv_id_direct(&m->account->user, user);
    model_touch(m, &conv);
}

int model_sent(struct model *m, uint64_t client_seq)
{
    int err = waiting_find(m, client_seq) ? 0 : home_outbox_get(m->home, client_seq, waiting_add, m);
    if (err) return err == ERR_NOT_FOUND ? 0 : err;    /* answered already: the event of that is told */
    const struct waiting *w = waiting_find(m, client_seq);
    /* Who answers has seen what was new. */
    if (m->is_open && user_id_equal(&w->to, &m->pane.conv.peer)) m->pane.has_new = false;
    touch_user(m, &w->to);
    return model_bring(m);
}

static struct waiting *refused_of(struct model *m, const struct row_id *row)
{
    struct waiting *w = row->kind == ROW_MESSAGE && row->number ? waiting_find(m, row->number) : NULL;
    return w && w->state == REFUSED ? w : NULL;
}

int model_refused_take(struct model *m, const struct row_id *row, struct buf *text)
{
    struct waiting *w = refused_of(m, row);
    struct bytes typed = BYTES_NONE;
    if (!w) return ERR_NOT_FOUND;
    buf_clear(text);
    if (content_text_decode(bytes_of(w->body, w->body_len), &typed) == 0) buf_put(text, typed.at, typed.len);
    if (text->err) return text->err;
    touch_user(m, &w->to);
    waiting_drop(m, (size_t)(w - m->waiting));
    return model_bring(m);
}

int model_delete(struct model *m, const struct row_id *row)
{
    struct waiting *w = refused_of(m, row);
    size_t at = model_row_find(m, row);
    if (w) {
        touch_user(m, &w->to);
        waiting_drop(m, (size_t)(w - m->waiting));
        return model_bring(m);
    }
    if (at == SIZE_MAX || row->kind != ROW_MESSAGE) return ERR_NOT_FOUND;
    if (!m->pane.rows[at].is_stored) return ERR_AGAIN;
    int err = home_message_hide(m->home, &m->pane.rows[at].message);
    if (err) return err;
    model_touch(m, &m->pane.conv.conv);
    return model_bring(m);
}

/* ---- events ---- */

void model_touch(struct model *m, const struct conv_id *conv)
{
    for (size_t i = 0; i < m->dirty_count; i++)
        if (conv_id_equal(&m->dirty[i], conv)) return;
    if (m->dirty_count == DIRTY_MAX) m->dirty_all = true;
    else m->dirty[m->dirty_count++] = *conv;
}

void model_on_change(struct model *m)
{
    m->dirty_all = true;
}

static void why_put(struct waiting *w, const struct sync_event *e)
{
    struct bytes text = bytes_of_str(e->text[0] ? e->text : err_text(e->err));
    if (model_line(text, w->why)) strcpy(w->why, "out of memory");
}

static void on_session(struct model *m)
{
    m->dirty_all = true;
    m->pane.fetch_failed = false;
    m->pane.seq_told = 0;         /* what was said before there was a session may have been cut short */
}

void model_on_event(struct model *m, const struct sync_event *e)
{
    struct waiting *w = e->client_seq ? waiting_find(m, e->client_seq) : NULL;
    switch (e->kind) {
    case SYNC_WELCOME:            /* after a restore of the server, sequences mean other messages */
        m->pane.known_count = 0;
        m->pane.head_known = false;
        on_session(m);
        break;
    case SYNC_SYNCED:
        on_session(m);
        break;
    case SYNC_MESSAGE: case SYNC_MOVED: case SYNC_RECEIPT:
        model_touch(m, &e->conv);
        break;
    case SYNC_ACCEPTED:
        if (w) w->state = ANSWERED;
        model_touch(m, &e->conv);
        break;
    case SYNC_REFUSED:
        if (w) {
            w->state = REFUSED;
            why_put(w, e);
            touch_user(m, &w->to);
        }
        break;
    case SYNC_LATER:
        if (w && w->state == WAITS) {
            why_put(w, e);
            touch_user(m, &w->to);
        }
        break;
    default:
        break;
    }
}

static bool is_touched(const struct model *m, const struct conv_id *conv)
{
    for (size_t i = 0; i < m->dirty_count; i++)
        if (conv_id_equal(&m->dirty[i], conv)) return true;
    return m->dirty_all;
}

int model_bring(struct model *m)
{
    int err = 0;
    if (!m->dirty_all && m->dirty_count == 0) return 0;
    for (size_t i = m->waiting_count; i-- > 0;)
        if (m->waiting[i].state == ANSWERED) waiting_drop(m, i);
    if (m->dirty_all) err = waiting_load(m);
    if (!err && m->is_open && is_touched(m, &m->pane.conv.conv)) {
        err = model_pane_reload(m);
        m->changed |= MODEL_CHANGED_ROWS;
    }
    if (!err && m->dirty_all) err = model_list_load(m);
    for (size_t i = 0; !err && !m->dirty_all && i < m->dirty_count; i++) err = model_list_refresh(m, &m->dirty[i]);
    if (!err && m->dirty_all) err = model_search_recheck(m, NULL);
    for (size_t i = 0; !err && !m->dirty_all && i < m->dirty_count; i++) err = model_search_recheck(m, &m->dirty[i]);
    m->dirty_all = false;
    m->dirty_count = 0;
    return err;
}

int model_update(struct model *m, uint64_t now_ms, unsigned *changed_out)
{
    bool is_new_day = model_day(now_ms) != model_day(m->now_ms);
    m->now_ms = now_ms;
    int err = model_bring(m);
    if (is_new_day) {
        m->changed |= MODEL_CHANGED_LIST | MODEL_CHANGED_ROWS;
        model_rows_make(m);
    }
    *changed_out = m->changed;
    m->changed = 0;
    return err;
}

/* ---- the model ---- */

static bool make_room(struct model *m)
{
    m->convs = calloc(MODEL_CONVS_MAX + 1, sizeof *m->convs);
    m->waiting = calloc(MODEL_WAITING_MAX, sizeof *m->waiting);
    m->pane.entries = calloc(MODEL_WINDOW_MAX, sizeof *m->pane.entries);
    m->pane.rows = calloc(ROWS_MAX, sizeof *m->pane.rows);
    m->pane.days = calloc(DAYS_MAX, sizeof *m->pane.days);
    return m->convs && m->waiting && m->pane.entries && m->pane.rows && m->pane.days;
}

int model_new(struct home *home, const struct account *account, uint64_t now_ms, struct model **out)
{
    struct model *m = calloc(1, sizeof *m);
    if (!m) return ERR_NOMEM;
    m->home = home;
    m->account = account;
    m->now_ms = now_ms;
    m->dirty_all = true;
    int err = make_room(m) ? model_bring(m) : ERR_NOMEM;
    if (err) model_free(m);
    else *out = m;
    return err;
}

void model_free(struct model *m)
{
    if (!m) return;
    model_close(m);
    for (size_t i = 0; i < m->waiting_count; i++) waiting_fini(&m->waiting[i]);
    free(m->waiting);
    free(m->convs);
    free(m->pane.entries);
    free(m->pane.rows);
    free(m->pane.days);
    free(m->search.found);
    free(m);
}
