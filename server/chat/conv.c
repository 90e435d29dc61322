/* conv.c - the table of conversations at their home: load, create, serve, let go.
 *
 * A conversation that is not in memory is, in facts, exactly what it was when it was let go: only clean ones go. So a
 * load needs no look at the log. What was let go and when is remembered as one number (chat->evicted_through) for
 * scans that read an older snapshot. */
#include "server/chat/conv.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/chat/accept.h"
#include "server/chat/commit.h"
#include "server/chat/reading.h"
#include "server/chat/receipts.h"
#include "server/chat/state.h"

/* -- look-ups ---------------------------------------------------------------------------------------------- */

struct conv_member *conv_member(struct conv *conv, const struct user_id *user)
{
    for (uint32_t i = 0; i < conv->member_count; i++) {
        if (user_id_equal(&conv->members[i].row.user, user)) return &conv->members[i];
    }
    return NULL;
}

struct conv_device *conv_device_find(struct conv *conv, struct device_id device)
{
    for (uint32_t i = 0; i < conv->device_count; i++) {
        if (conv->devices[i].device.v == device.v) return &conv->devices[i];
    }
    return NULL;
}

struct conv_device *conv_device(struct conv *conv, uint32_t member, struct device_id device)
{
    struct conv_device *d = conv_device_find(conv, device);
    if (d) return d;
    if (conv->device_count == conv->device_cap) {
        uint32_t cap = conv->device_cap ? conv->device_cap * 2 : 2;
        struct conv_device *grown = realloc(conv->devices, cap * sizeof *grown);
        if (!grown) return NULL;
        conv->devices = grown;
        conv->device_cap = cap;
    }
    d = &conv->devices[conv->device_count++];
    *d = (struct conv_device){ .device = device, .member = member };
    return d;
}

void conv_span(const struct conv *conv, const struct conv_member *m, uint64_t *from_out, uint64_t *to_out)
{
    *from_out = m->row.from_seq ? m->row.from_seq : 1;
    *to_out = m->row.to_seq && m->row.to_seq < conv->committed_head ? m->row.to_seq : conv->committed_head;
}

struct repeat *conv_repeat(struct conv_device *d, uint64_t client_seq)
{
    for (uint32_t i = 0; i < d->repeat_count; i++) {
        if (d->repeats[i].client_seq == client_seq) return &d->repeats[i];
    }
    return NULL;
}

void conv_repeat_drop(struct conv_device *d, struct repeat *r)
{
    *r = d->repeats[--d->repeat_count];
}

int conv_deleted_reserve(struct chat *chat, struct conv *conv, uint32_t count)
{
    uint32_t known = 0;
    while (known < conv->deleted_count && conv->deleted[known].number <= chat->flushed) known++;
    conv->deleted_count -= known;
    if (known) memmove(conv->deleted, conv->deleted + known, conv->deleted_count * sizeof conv->deleted[0]);
    uint32_t need = conv->deleted_count + conv->deleted_pending + count;
    if (need > DELETED_UNFLUSHED_MAX) return ERR_BUSY;
    if (need <= conv->deleted_cap) return 0;
    struct conv_deleted *grown = realloc(conv->deleted, need * sizeof *grown);
    if (!grown) return ERR_NOMEM;
    conv->deleted = grown;
    conv->deleted_cap = need;
    return 0;
}

void conv_deleted_add(struct conv *conv, uint64_t seq, uint64_t number)
{
    assert(conv->deleted_count < conv->deleted_cap);
    conv->deleted[conv->deleted_count++] = (struct conv_deleted){ seq, number };
}

void conv_describe(const struct conv *conv, struct msg_message *out)
{
    out->conv = conv->id;
    out->is_direct = conv->type == CONV_DIRECT && conv->member_count > 0;
    if (!out->is_direct) return;
    const struct user_id *a = &conv->members[0].row.user;
    const struct user_id *b = &conv->members[conv->member_count - 1].row.user;
    bool a_first = strcmp(a->v, b->v) <= 0;
    out->members[0] = a_first ? *a : *b;
    out->members[1] = a_first ? *b : *a;
}

/* -- memory ------------------------------------------------------------------------------------------------- */

static struct conv *conv_new(struct chat *chat, const struct conv_id *id)
{
    struct conv *conv = calloc(1, sizeof *conv);
    if (!conv) return NULL;
    conv->id = *id;
    conv->state = CONV_LOADING;
    HASH_ADD(hh, chat->convs, id, sizeof conv->id, conv);
    STAT_ADD(&chat->shard->stats, convs_hot, 1);
    return conv;
}

static void conv_drop_content(struct conv *conv)
{
    for (uint32_t i = 0; i < conv->device_count; i++) free(conv->devices[i].repeats);
    free(conv->devices);
    free(conv->members);
    free(conv->deleted);
    roster_unref(conv->roster);
    conv->devices = NULL;
    conv->deleted = NULL;
    conv->deleted_count = conv->deleted_cap = 0;
    conv->members = NULL;
    conv->roster = NULL;
    conv->device_count = conv->device_cap = conv->member_count = 0;
    sodium_memzero(&conv->key, sizeof conv->key);
}

void conv_free(struct chat *chat, struct conv *conv)
{
    assert(!conv->waiting && !conv->fan && conv->pending == 0 && conv->readings == 0);
    assert(!conv->in_marks && !conv->in_fanout && !conv->in_receipts && !conv->in_load_wait);
    if (conv->in_lru) DL_DELETE(chat->lru, conv);
    HASH_DEL(chat->convs, conv);
    STAT_SUB(&chat->shard->stats, convs_hot, 1);
    conv_drop_content(conv);
    free(conv);
}

static void conv_touch(struct chat *chat, struct conv *conv)
{
    if (conv->in_lru) DL_DELETE(chat->lru, conv);
    DL_APPEND(chat->lru, conv);
    conv->in_lru = true;
}

void conv_hold(struct chat *chat, struct conv *conv)
{
    assert(conv->state == CONV_READY);
    if (conv->in_lru) DL_DELETE(chat->lru, conv);
    conv->in_lru = false;
    conv->state = CONV_HELD;
}

void conv_unhold(struct chat *chat, struct conv *conv)
{
    conv->state = CONV_READY;
    conv_touch(chat, conv);
}

void conv_empty(struct chat *chat, struct conv *conv)
{
    if (conv->dirty_number > chat->evicted_through) chat->evicted_through = conv->dirty_number;
    conv_drop_content(conv);
}

struct conv *conv_held_new(struct chat *chat, const struct conv_id *id)
{
    struct conv *conv = conv_new(chat, id);
    if (conv) conv->state = CONV_HELD;
    return conv;
}

static bool conv_is_needed(const struct chat *chat, const struct conv *conv)
{
    return conv->pending || conv->readings || conv->in_marks || conv->in_fanout || conv->in_receipts ||
           conv->dirty_number > chat->flushed;
}

void conv_trim(struct chat *chat, bool all)
{
    /* A few steps at a time: most of the oldest can go, and those that cannot are clean a second later. */
    uint32_t steps = all ? UINT32_MAX : 8;
    struct conv *conv, *tmp;
    DL_FOREACH_SAFE(chat->lru, conv, tmp) {
        if (steps-- == 0 || (!all && HASH_COUNT(chat->convs) <= chat->settings.convs_hot_max)) return;
        if (conv_is_needed(chat, conv)) continue;
        if (conv->dirty_number > chat->evicted_through) chat->evicted_through = conv->dirty_number;
        conv_free(chat, conv);
    }
}

/* -- serving ------------------------------------------------------------------------------------------------ */

static void conv_rekey(struct chat *chat, struct conv *conv, struct ask *ask);

static void conv_serve(struct chat *chat, struct conv *conv, struct ask *ask)
{
    conv_touch(chat, conv);
    switch (ask->kind) {
    case ASK_SEND:
        if (conv->key.number) accept_send(chat, conv, ask);
        else conv_rekey(chat, conv, ask);
        break;
    case ASK_CURSOR:  receipts_note(chat, conv, ask); break;
    case ASK_FETCH:
    case ASK_HISTORY:
    case ASK_INFO:
    case ASK_MARKS:   reading_start(chat, conv, ask); break;
    default:          assert(!"an ask of no kind");
    }
}

static void conv_serve_waiting(struct chat *chat, struct conv *conv)
{
    while (conv->waiting && conv->state == CONV_READY) {
        struct ask *ask = conv->waiting;
        DL_DELETE(conv->waiting, ask);
        conv_serve(chat, conv, ask);
    }
}

/* Nothing came of it: everyone who waits is told, and the name is forgotten. */
static void conv_give_up(struct chat *chat, struct conv *conv, int err)
{
    while (conv->waiting) {
        struct ask *ask = conv->waiting;
        DL_DELETE(conv->waiting, ask);
        if (ask->kind == ASK_SEND && !err_may_retry(err)) STAT_ADD(&chat->shard->stats, sends_refused, 1);
        ask_answer(chat, ask, err, NULL);
    }
    if (!conv->hold) {
        conv_free(chat, conv);
        return;
    }
    conv_empty(chat, conv);                           /* whoever waits to hold it finds it empty */
    conv->state = CONV_HELD;
}

static int storage_error(int err)
{
    return err == ERR_NOT_FOUND ? err : ERR_STORAGE;
}

/* -- creating ------------------------------------------------------------------------------------------------ */

struct conv_making {
    struct clerk_work work;
    struct conv_id conv;
    struct user_id a, b;
    uint64_t now_ms;
    struct vault_key key;
};

static int making_key(struct clerk_work *w, struct vault *vault)
{
    struct conv_making *m = (struct conv_making *)w;
    return vault_make(vault, &m->conv, m->now_ms, &m->key);
}

static int making_rows(struct clerk_work *w, struct facts *facts)
{
    struct conv_making *m = (struct conv_making *)w;
    return facts_conv_add_direct(facts, &m->conv, &m->a, &m->b, m->now_ms);
}

static int conv_set_members(struct chat *chat, struct conv *conv, const struct member_row *rows, uint32_t count)
{
    struct user_id *users = calloc(count ? count : 1, sizeof *users);
    conv->members = calloc(count ? count : 1, sizeof *conv->members);
    if (users && conv->members) {
        for (uint32_t i = 0; i < count; i++) {
            conv->members[i].row = rows[i];
            conv->members[i].read_noted = rows[i].read;
            users[i] = rows[i].user;
        }
        conv->member_count = count;
        conv->roster = roster_new(chat->shard->house, users, count);
    }
    free(users);
    return conv->roster ? 0 : ERR_NOMEM;
}

static void rekey_failed(struct chat *chat, struct conv *conv, int err);

static void making_done(struct shard *shard, struct work *work)
{
    struct conv_making *m = (struct conv_making *)work;
    struct chat *chat = chat_of(shard);
    struct conv *conv;
    HASH_FIND(hh, chat->convs, &m->conv, sizeof m->conv, conv);
    assert(conv && conv->state == CONV_CREATING);
    int err = work->err;
    if (!err && !conv->members) {
        struct member_row rows[2] = { { .user = m->a, .from_seq = 1 }, { .user = m->b, .from_seq = 1 } };
        err = conv_set_members(chat, conv, rows, user_id_equal(&m->a, &m->b) ? 1 : 2);
    }
    if (err && conv->members) {
        rekey_failed(chat, conv, storage_error(err));
    } else if (err) {
        conv_give_up(chat, conv, storage_error(err));
    } else {
        conv->type = CONV_DIRECT;
        conv->key = m->key;
        conv->state = CONV_READY;
        conv_touch(chat, conv);
        conv_serve_waiting(chat, conv);
    }
    sodium_memzero(&m->key, sizeof m->key);
    free(m);
}

static bool making_submit(struct chat *chat, struct conv *conv, struct conv_making *m)
{
    m->conv = conv->id;
    m->now_ms = chat->shard->wall_ms;
    m->work.key = making_key;
    m->work.rows = making_rows;
    m->work.work.done = making_done;
    conv->state = CONV_CREATING;
    if (clerk_submit(chat, &m->work)) return true;
    free(m);
    return false;
}

/* There are no rows. A send to a user makes them; without one, nothing there is to be found. */
static void conv_create(struct chat *chat, struct conv *conv)
{
    struct ask *ask;
    DL_FOREACH(conv->waiting, ask) {
        if (ask->may_create) break;
    }
    if (ask && chat_has_no_room(chat)) {             /* nor for the rows and the key of a conversation */
        conv_give_up(chat, conv, ERR_NO_ROOM);
        return;
    }
    struct conv_making *m = ask ? calloc(1, sizeof *m) : NULL;
    if (!m) {
        conv_give_up(chat, conv, ask ? ERR_BUSY : ERR_NOT_FOUND);
        return;
    }
    bool asker_first = strcmp(ask->user.v, ask->peer.v) <= 0;
    m->a = asker_first ? ask->user : ask->peer;
    m->b = asker_first ? ask->peer : ask->user;
    if (!making_submit(chat, conv, m)) conv_give_up(chat, conv, ERR_BUSY);
}

/* It was erased: another key for what comes, and the same rows. A send to a user who is gone makes nothing. */
static void conv_rekey(struct chat *chat, struct conv *conv, struct ask *ask)
{
    struct conv_making *m = conv->type == CONV_DIRECT && conv->member_count > 0 ? calloc(1, sizeof *m) : NULL;
    assert(conv->pending == 0 && !conv->in_marks);
    if (m) {
        m->a = conv->members[0].row.user;
        m->b = conv->members[conv->member_count - 1].row.user;
    }
    if (!m || !making_submit(chat, conv, m)) {
        conv->state = CONV_READY;
        ask_answer(chat, ask, ERR_BUSY, NULL);
        return;
    }
    DL_PREPEND(conv->waiting, ask);
    DL_DELETE(chat->lru, conv);
    conv->in_lru = false;
}

/* No other key: sends are told why, the rest is as it was. */
static void rekey_failed(struct chat *chat, struct conv *conv, int err)
{
    struct ask *list = conv->waiting;
    conv->waiting = NULL;
    conv->state = CONV_READY;
    conv_touch(chat, conv);
    while (list) {
        struct ask *ask = list;
        DL_DELETE(list, ask);
        if (ask->kind != ASK_SEND) {
            conv_serve(chat, conv, ask);
            continue;
        }
        if (!err_may_retry(err)) STAT_ADD(&chat->shard->stats, sends_refused, 1);
        ask_answer(chat, ask, err, NULL);
    }
}

/* -- loading ------------------------------------------------------------------------------------------------- */

struct conv_load {
    struct work work;
    struct conv_id conv;
    struct conv_row row;
    struct vault_key key;
    struct member_row *members;
    struct cursor_row *cursors;
    struct repeat_row *repeats;
    uint32_t member_count, cursor_count, repeat_count;
};

/* Room for one more in a plain array that doubles; NULL: out of memory. */
static void *grow(void *array, uint32_t count, size_t size)
{
    if (count & (count - 1)) return array;            /* only at 0, 1, 2, 4, 8, … */
    return realloc(array, (count ? 2 * count : 1) * size);
}

static int load_member(void *arg, const struct member_row *row)
{
    struct conv_load *load = arg;
    struct member_row *rows = grow(load->members, load->member_count, sizeof *rows);
    if (!rows) return ERR_NOMEM;
    load->members = rows;
    rows[load->member_count++] = *row;
    return 0;
}

static int load_cursor(void *arg, const struct cursor_row *row)
{
    struct conv_load *load = arg;
    struct cursor_row *rows = grow(load->cursors, load->cursor_count, sizeof *rows);
    if (!rows) return ERR_NOMEM;
    load->cursors = rows;
    rows[load->cursor_count++] = *row;
    return 0;
}

static int load_repeat(void *arg, const struct repeat_row *row)
{
    struct conv_load *load = arg;
    struct repeat_row *rows = grow(load->repeats, load->repeat_count, sizeof *rows);
    if (!rows) return ERR_NOMEM;
    load->repeats = rows;
    rows[load->repeat_count++] = *row;
    return 0;
}

static void load_run(struct work *work, void *context)
{
    struct conv_load *load = (struct conv_load *)work;
    struct job_reader *reader = context;
    int err = facts_snapshot(reader->facts);
    if (!err) {
        err = facts_conv_get(reader->facts, &load->conv, &load->row);
        if (!err) err = facts_members(reader->facts, &load->conv, load_member, load);
        if (!err) err = facts_cursors(reader->facts, &load->conv, load_cursor, load);
        if (!err) err = facts_repeats(reader->facts, &load->conv, load_repeat, load);
        facts_snapshot_end(reader->facts);
    }
    if (!err) err = vault_get(reader->vault, &load->conv, &load->key);
    if (err == ERR_GONE) {                            /* erased: its rows say where numbering goes on */
        load->key.number = 0;
        err = 0;
    }
    work->err = err;
}

static int conv_add_device(struct conv *conv, const struct cursor_row *row)
{
    struct conv_member *m = conv_member(conv, &row->user);
    if (!m) return 0;                                 /* its member row is gone: nothing to send to */
    struct conv_device *d = conv_device(conv, (uint32_t)(m - conv->members), row->device);
    if (!d) return ERR_NOMEM;
    d->delivered = d->appended = d->noted = row->delivered;
    d->settled = row->settled;
    return 0;
}

static int conv_add_repeat(struct conv *conv, const struct repeat_row *row)
{
    struct conv_member *m = conv_member(conv, &row->user);
    if (!m) return 0;
    struct conv_device *d = conv_device(conv, (uint32_t)(m - conv->members), row->device);
    if (!d) return ERR_NOMEM;
    struct repeat *r = accept_repeat_add(d);
    if (!r) return ERR_NOMEM;
    *r = (struct repeat){ .client_seq = row->client_seq, .seq = row->seq, .id = row->id,
                           .expiry_ms = row->expiry_ms };
    return 0;
}

static int conv_fill(struct chat *chat, struct conv *conv, const struct conv_load *load)
{
    conv->type = load->row.type;
    conv->key = load->key;
    conv->head = conv->committed_head = load->row.head;
    conv->counted = conv->committed_counted = load->row.counted;
    conv->last_id = conv->committed_id = load->row.last_id;
    conv->marked_ms = load->row.marked_ms;
    conv->timer_s = conv->committed_timer_s = load->row.timer_s;
    int err = conv_set_members(chat, conv, load->members, load->member_count);
    for (uint32_t i = 0; !err && i < load->cursor_count; i++) err = conv_add_device(conv, &load->cursors[i]);
    for (uint32_t i = 0; !err && i < load->repeat_count; i++) err = conv_add_repeat(conv, &load->repeats[i]);
    return err;
}

static void load_done(struct shard *shard, struct work *work)
{
    struct conv_load *load = (struct conv_load *)work;
    struct chat *chat = chat_of(shard);
    struct conv *conv;
    HASH_FIND(hh, chat->convs, &load->conv, sizeof load->conv, conv);
    assert(conv && conv->state == CONV_LOADING);
    int err = work->err;
    /* An inbox is nobody's conversation: to all who ask for it by id it does not exist. */
    if (!err && load->row.type == CONV_INBOX) {
        conv_give_up(chat, conv, ERR_NOT_FOUND);
    } else if (err == ERR_NOT_FOUND) {
        conv_create(chat, conv);
    } else {
        if (!err) err = conv_fill(chat, conv, load);
        if (err) {
            conv_give_up(chat, conv, storage_error(err));
        } else {
            conv->state = CONV_READY;
            conv_touch(chat, conv);
            conv_serve_waiting(chat, conv);
            conv_trim(chat, false);
        }
    }
    free(load->members);
    free(load->cursors);
    free(load->repeats);
    sodium_memzero(&load->key, sizeof load->key);
    free(load);
}

static void conv_load(struct chat *chat, struct conv *conv)
{
    struct conv_load *load = calloc(1, sizeof *load);
    if (load) {
        load->conv = conv->id;
        load->work.run = load_run;
        load->work.done = load_done;
        if (worker_submit(chat->config->jobs, chat->shard, &load->work)) return;
        free(load);
    }
    conv->in_load_wait = true;
    DL_APPEND2(chat->load_wait, conv, load_prev, load_next);
    chat_retry_later(chat);
}

void conv_retry(struct chat *chat)
{
    struct conv *conv, *list = chat->load_wait;
    chat->load_wait = NULL;
    while (list) {
        conv = list;
        DL_DELETE2(list, conv, load_prev, load_next);
        conv->in_load_wait = false;
        conv_load(chat, conv);
    }
}

/* A cursor has nothing to move over; the rest may come again. */
static void conv_refuse_held(struct chat *chat, struct ask *ask)
{
    if (ask->kind == ASK_SEND) STAT_ADD(&chat->shard->stats, sends_unknown, 1);
    if (ask->kind == ASK_CURSOR) ask_answer(chat, ask, 0, NULL);
    else ask_answer(chat, ask, ERR_BUSY, "the conversation is being erased");
}

void conv_on_ask(struct chat *chat, struct ask *ask)
{
    struct conv *conv;
    HASH_FIND(hh, chat->convs, &ask->conv, sizeof ask->conv, conv);
    if (conv && conv->state == CONV_READY) {
        conv_serve(chat, conv, ask);
        return;
    }
    if (conv && conv->state == CONV_HELD) {
        conv_refuse_held(chat, ask);
        return;
    }
    if (!conv) {
        conv = conv_new(chat, &ask->conv);
        if (!conv) {
            ask_answer(chat, ask, ERR_BUSY, NULL);
            return;
        }
        DL_APPEND(conv->waiting, ask);
        conv_load(chat, conv);
        return;
    }
    DL_APPEND(conv->waiting, ask);
}
