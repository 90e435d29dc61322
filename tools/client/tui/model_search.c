/* model_search.c - searching, a slice at a time (see model.h). */
#include "tools/client/tui/model_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    BEFORE_HIT_BYTES = 60,        /* of the text that is shown before a hit */
    RAW_BYTES_MAX = 160,          /* of the text that a line is made of, so that it fits with its dots */
};

int model_search(struct model *m, const char *text, const struct user_id *peer)
{
    struct search *s = &m->search;
    size_t len = strlen(text);
    if (len == 0 || len > SEARCH_TEXT_BYTES_MAX || !bytes_is_utf8(bytes_of_str(text))) return ERR_MALFORMED;
    if (!s->found && !(s->found = calloc(MODEL_FOUND_MAX, sizeof *s->found))) return ERR_NOMEM;
    memcpy(s->text, text, len + 1);
    s->everywhere = peer == NULL;
    if (peer) s->conv = conv_id_direct(&m->account->user, peer);
    memset(s->before.v, 0xff, sizeof s->before.v);
    s->count = 0;
    s->full = false;
    s->more = true;
    return 0;
}

static size_t whole_down(struct bytes text, size_t at)
{
    while (at > 0 && at < text.len && (text.at[at] & 0xc0) == 0x80) at--;
    return at;
}

/* One part of the line, safe; its length. */
static size_t put_part(FILE *to, struct bytes text, size_t from, size_t end)
{
    long before = ftell(to);
    print_text(to, bytes_of(text.at + from, end - from), false);
    long after = ftell(to);
    return before < 0 || after < before ? 0 : (size_t)(after - before);
}

static int put_line(struct model_found *f, struct bytes text, size_t hit, size_t hit_len)
{
    char *line = NULL;
    size_t size, from = hit > BEFORE_HIT_BYTES ? whole_down(text, hit - BEFORE_HIT_BYTES) : 0;
    if (hit_len > RAW_BYTES_MAX / 2) hit_len = whole_down(text, hit + RAW_BYTES_MAX / 2) - hit;
    size_t end = text.len - from > RAW_BYTES_MAX ? whole_down(text, from + RAW_BYTES_MAX) : text.len;
    FILE *to = open_memstream(&line, &size);
    if (!to) return ERR_NOMEM;
    if (from > 0) fputs("…", to);
    put_part(to, text, from, hit);
    long at = ftell(to);
    size_t len = put_part(to, text, hit, hit + hit_len);
    put_part(to, text, hit + hit_len, end);
    if (end < text.len) fputs("…", to);
    if (fclose(to) != 0 || at < 0) {
        free(line);
        return ERR_NOMEM;
    }
    /* Text that is mostly unsafe grows, by three at most: then its end is left out. */
    if (size > MODEL_LINE_BYTES_MAX) size = whole_down(bytes_of(line, size), MODEL_LINE_BYTES_MAX);
    memcpy(f->text, line, size);
    f->text[size] = '\0';
    f->hit_at = (size_t)at < size ? (size_t)at : size;
    f->hit_len = len < size - f->hit_at ? len : size - f->hit_at;
    free(line);
    return 0;
}

static int find(void *arg, const struct message_row *row)
{
    struct model *m = arg;
    struct search *s = &m->search;
    struct conv_row conv;
    struct bytes text = message_text(&row->m);
    size_t hit = 0, hit_len = 0;
    if (content_of(&row->m).at == NULL) return 0;
    int err = home_conv_get(m->home, &row->m.conv, &conv);
    if (err) return err;
    /* Still due: it is found when it can be shown. */
    if (row->state != MESSAGE_SHOWN && conv.has_stored && row->has_seq && row->m.seq > conv.stored) return 0;
    if (s->count == MODEL_FOUND_MAX) return ERR_END;
    struct model_found *f = &s->found[s->count];
    *f = (struct model_found){ .conv = row->m.conv, .peer = row->peer, .id = row->m.id,
                               .time_ms = msg_id_ms(&row->m.id),
                               .is_own = user_id_equal(&row->m.from, &m->account->user) };
    home_search_hit(s->text, text, &hit, &hit_len);
    err = put_line(f, text, hit, hit_len);
    if (!err) err = model_name(m, &row->peer, f->name);
    if (!err) s->count++;
    return err;
}

int model_search_step(struct model *m, bool *more_out)
{
    struct search *s = &m->search;
    bool more = false;
    int err = 0;
    if (s->more) err = home_search(m->home, s->text, s->everywhere ? NULL : &s->conv, &s->before, find, m, &more);
    if (err == ERR_END) {
        s->full = true;
        err = 0;
    }
    s->more = more;
    *more_out = more;
    return err;
}

static int take_shown(void *arg, const struct message_row *row)
{
    *(bool *)arg = !row->hidden && row->m.kind == KIND_MESSAGE;
    return 0;
}

int model_search_recheck(struct model *m, const struct conv_id *conv)
{
    struct search *s = &m->search;
    size_t kept = 0;
    int err = 0;
    for (size_t i = 0; i < s->count; i++) {
        bool is_there = true;
        if (!err && (!conv || conv_id_equal(&s->found[i].conv, conv)))
            err = home_message_by_id(m->home, &s->found[i].id, take_shown, &is_there);
        if (is_there) s->found[kept++] = s->found[i];
    }
    if (kept < s->count) m->changed |= MODEL_CHANGED_ROWS;
    s->count = kept;
    return err;
}

size_t model_found_count(const struct model *m)
{
    return m->search.count;
}

const struct model_found *model_found(const struct model *m, size_t at)
{
    assert(at < m->search.count);
    return &m->search.found[at];
}

bool model_found_full(const struct model *m)
{
    return m->search.full;
}
