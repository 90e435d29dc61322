/* home_list.c - a device's store as people see it: lists, unread, pages by time, search, deleting for oneself, drafts.
 *
 * Nothing here is counted or indexed ahead. The last message of a conversation is the end of an index; unread ones are
 * walked from the newest down to the first that is read or one's own, no further than a list would say. A search reads
 * the messages themselves, folded as it goes, a slice at a time: no second copy of any text lies about that would have
 * to be deleted too, and whoever searches can do other things between two slices. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "tools/client/home_db.h"

/* ---- lists ---- */

static int unread_get(struct home *home, const struct conv_id *id, uint32_t *out)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_UNREAD);
    int err = 0;
    *out = 0;
    bind_conv(stmt, 1, id);
    while (*out < UNREAD_MAX && !(err = home_row(home, stmt))) {
        bool counts = column_number(stmt, 0) != 0, own = column_number(stmt, 1) != 0;
        if (own) break;
        if (counts && column_number(stmt, 2) == 0) (*out)++;
    }
    home_done(stmt);
    return none_is_fine(err);
}

struct giving {
    struct conv_summary *summary;
    summary_fn *fn;
    void *arg;
};

static int give_with_last(void *arg, const struct message_row *row)
{
    struct giving *g = arg;
    g->summary->has_last = true;
    g->summary->last = *row;
    return g->fn(g->arg, g->summary);
}

/* Of the row that `stmt` stands on. */
static int give(struct home *home, sqlite3_stmt *stmt, summary_fn *fn, void *arg)
{
    struct conv_summary summary = { 0 };
    struct msg_id last;
    int err = conv_read(stmt, &summary.conv);
    if (!err) err = unread_get(home, &summary.conv.id, &summary.unread);
    if (err) return err;
    summary.marked = column_number(stmt, 5) != 0;
    if (!column_fixed(stmt, 6, last.v, sizeof last.v)) return fn(arg, &summary);
    struct giving g = { &summary, fn, arg };
    return home_message_by_id(home, &last, give_with_last, &g);
}

static int summary_each(struct home *home, sqlite3_stmt *stmt, summary_fn *fn, void *arg)
{
    int err, seen = 0;
    while (!(err = home_row(home, stmt))) {
        seen = 1;
        if ((err = give(home, stmt, fn, arg))) break;
    }
    home_done(stmt);
    return err == ERR_NOT_FOUND && seen ? 0 : err;
}

int home_summary_each(struct home *home, uint32_t limit, summary_fn *fn, void *arg)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_SUMMARY_EACH);
    bind_number(stmt, 1, limit);
    return none_is_fine(summary_each(home, stmt, fn, arg));
}

int home_summary_get(struct home *home, const struct conv_id *id, summary_fn *fn, void *arg)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_SUMMARY_GET);
    bind_conv(stmt, 1, id);
    return summary_each(home, stmt, fn, arg);
}

/* ---- what its owner changes ---- */

/* ERR_NOT_FOUND when no row was changed. */
static int run_on_one(struct home *home, sqlite3_stmt *stmt)
{
    int err = home_run(home, stmt);
    return err || sqlite3_changes(home->db) > 0 ? err : ERR_NOT_FOUND;
}

int home_conv_mark(struct home *home, const struct conv_id *id, bool unread)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_CONV_MARK);
    bind_number(stmt, 1, unread);
    bind_conv(stmt, 2, id);
    return run_on_one(home, stmt);
}

int home_message_hide(struct home *home, const struct msg_id *id)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_MESSAGE_HIDE);
    bind_bytes(stmt, 1, BYTES_OF(id->v));
    return run_on_one(home, stmt);
}

int home_conv_hide(struct home *home, const struct conv_id *id)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_CONV_HIDE);
    bind_conv(stmt, 1, id);
    return run_on_one(home, stmt);
}

/* ---- pages ---- */

static int page_each(struct home *home, enum home_sql which, const struct conv_id *conv, const struct msg_id *from,
                     uint32_t limit, message_fn *fn, void *arg)
{
    sqlite3_stmt *stmt = home_stmt(home, which);
    bind_conv(stmt, 1, conv);
    bind_bytes(stmt, 2, BYTES_OF(from->v));
    bind_number(stmt, 3, limit);
    return none_is_fine(message_each(home, stmt, fn, arg));
}

static struct msg_id after_all(void)
{
    struct msg_id id;
    memset(id.v, 0xff, sizeof id.v);
    return id;
}

int home_message_each_older(struct home *home, const struct conv_id *conv, const struct msg_id *before, uint32_t limit,
                            message_fn *fn, void *arg)
{
    struct msg_id from = before ? *before : after_all();
    return page_each(home, SQL_MESSAGE_OLDER, conv, &from, limit, fn, arg);
}

int home_message_each_newer(struct home *home, const struct conv_id *conv, const struct msg_id *after, uint32_t limit,
                            message_fn *fn, void *arg)
{
    return page_each(home, SQL_MESSAGE_NEWER, conv, after, limit, fn, arg);
}

/* ---- search ---- */

/* Text as it is compared: no case, no accents, no difference of form. */
static const utf8proc_option_t fold_how = UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD |
                                          UTF8PROC_STRIPMARK | UTF8PROC_IGNORE | UTF8PROC_STABLE;

/* NULL: out of memory. The caller frees it. */
static char *fold(struct bytes text)
{
    utf8proc_uint8_t *out = NULL;
    if (utf8proc_map(text.at, (utf8proc_ssize_t)text.len, &out, fold_how) >= 0) return (char *)out;
    return strndup(text.at ? (const char *)text.at : "", text.len);    /* not UTF-8: as it is */
}

static bool is_ascii(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] >= 0x80) return false;
    return true;
}

/* Without memory of its own for what is ASCII alone, as most text is. */
static bool ascii_has(struct bytes text, const char *folded, size_t len)
{
    for (size_t i = 0, k; i + len <= text.len; i++) {
        for (k = 0; k < len; k++) {
            uint8_t c = text.at[i + k];
            if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != (uint8_t)folded[k]) break;
        }
        if (k == len) return true;
    }
    return false;
}

struct searching {
    const char *folded;
    size_t folded_len;
    message_fn *fn;
    void *arg;
    uint32_t looked;
    struct msg_id last;
};

static int look(void *arg, const struct message_row *row)
{
    struct searching *s = arg;
    struct bytes text;
    s->looked++;
    s->last = row->m.id;
    if (row->hidden || row->m.kind != KIND_MESSAGE || content_text_decode(row->m.body, &text)) return 0;
    if (is_ascii(text)) return ascii_has(text, s->folded, s->folded_len) ? s->fn(s->arg, row) : 0;
    char *folded = fold(text);
    if (!folded) return ERR_NOMEM;
    bool has = strstr(folded, s->folded) != NULL;
    free(folded);
    return has ? s->fn(s->arg, row) : 0;
}

int home_search(struct home *home, const char *text, const struct conv_id *conv, struct msg_id *before,
                message_fn *fn, void *arg, bool *more_out)
{
    char *folded = fold(bytes_of_str(text));
    if (!folded) return ERR_NOMEM;
    struct searching s = { .folded = folded, .folded_len = strlen(folded), .fn = fn, .arg = arg };
    sqlite3_stmt *stmt = home_stmt(home, conv ? SQL_SEARCH_IN : SQL_SEARCH_ALL);
    bind_bytes(stmt, 1, BYTES_OF(before->v));
    bind_number(stmt, 2, SEARCH_SLICE_ROWS);
    if (conv) bind_conv(stmt, 3, conv);
    int err = s.folded_len ? none_is_fine(message_each(home, stmt, look, &s)) : 0;
    if (!s.folded_len) home_done(stmt);
    free(folded);
    *more_out = !err && s.looked == SEARCH_SLICE_ROWS;
    if (!err && s.looked) *before = s.last;
    return err;
}

/* Folded one code point after the other: for each byte of `folded` four of `origins` say where in the text it comes
 * from. That is what fold() makes of the whole, since all that could change places there, marks, is left out. */
static void fold_with_origins(struct bytes in, struct buf *folded, struct buf *origins)
{
    utf8proc_int32_t c, parts[32];
    utf8proc_uint8_t bytes[4];
    int boundary = 0;
    for (size_t i = 0, len; i < in.len; i += len) {
        utf8proc_ssize_t n = utf8proc_iterate(in.at + i, (utf8proc_ssize_t)(in.len - i), &c);
        len = n > 0 ? (size_t)n : 1;
        if (n <= 0) continue;
        utf8proc_ssize_t count = utf8proc_decompose_char(c, parts, 32, fold_how, &boundary);
        for (utf8proc_ssize_t k = 0; k < count && k < 32; k++) {
            utf8proc_ssize_t size = utf8proc_encode_char(parts[k], bytes);
            buf_put(folded, bytes, (size_t)size);
            for (utf8proc_ssize_t b = 0; b < size; b++) buf_put_u32(origins, (uint32_t)i);
        }
    }
    buf_put_u8(folded, 0);
    buf_put_u32(origins, (uint32_t)in.len);
}

bool home_search_hit(const char *text, struct bytes in, size_t *at_out, size_t *len_out)
{
    struct buf folded, origins;
    char *wanted = fold(bytes_of_str(text));
    const char *hit = NULL;
    buf_init(&folded, SIZE_MAX / 8);
    buf_init(&origins, SIZE_MAX / 2);
    fold_with_origins(in, &folded, &origins);
    if (wanted && wanted[0] && !folded.err && !origins.err) hit = strstr((const char *)folded.at, wanted);
    if (hit) {
        const uint8_t *first = origins.at + 4 * (size_t)(hit - (const char *)folded.at);
        const uint8_t *end = first + 4 * strlen(wanted);
        while (get_u32(end) == get_u32(end - 4)) end += 4;    /* a letter that stands for two is hit as a whole */
        *at_out = get_u32(first);
        *len_out = get_u32(end) - get_u32(first);
    }
    free(wanted);
    buf_fini(&folded);
    buf_fini(&origins);
    return hit != NULL;
}

/* ---- drafts ---- */

int home_draft_put(struct home *home, const struct user_id *to, struct bytes text)
{
    sqlite3_stmt *stmt = home_stmt(home, text.len ? SQL_DRAFT_PUT : SQL_DRAFT_DROP);
    bind_str(stmt, 1, to->v);
    if (text.len) bind_bytes(stmt, 2, text);
    return home_run(home, stmt);
}

int home_draft_get(struct home *home, const struct user_id *to, struct buf *text)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_DRAFT_GET);
    buf_clear(text);
    bind_str(stmt, 1, to->v);
    int err = home_row(home, stmt);
    if (!err) {
        struct bytes b = column_bytes(stmt, 0);
        buf_put(text, b.at, b.len);
        err = text->err;
    }
    home_done(stmt);
    return none_is_fine(err);
}

int home_draft_each(struct home *home, draft_fn *fn, void *arg)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_DRAFT_EACH);
    struct user_id to;
    int err;
    while (!(err = home_row(home, stmt))) {
        err = column_user(stmt, 0, &to) ? fn(arg, &to) : ERR_CORRUPT;
        if (err) break;
    }
    home_done(stmt);
    return none_is_fine(err);
}
