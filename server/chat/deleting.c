/* deleting.c - see deleting.h. */
#include "server/chat/deleting.h"

#include <sodium.h>
#include <stdlib.h>

#include "server/chat/reading.h"
#include "server/chat/state.h"

struct check {
    struct work work;
    struct conv *conv;                /* pinned; the job does not look into it */
    struct ask *ask;
    const char *why;
    struct vault_key key;
    struct dead dead;
    uint64_t limit_ms;                /* what was accepted before stays */
    uint32_t count;
    struct view *views[];             /* one for each message */
};

static int check_one(struct check *c, struct facts *facts, struct view *view, struct record_page *page,
                     struct buf *plain)
{
    struct entry entry;
    bool is_dead = false;
    int err = view_read(view, page);
    if (err) return err;
    if (page->count == 0) return ERR_NOT_FOUND;
    const struct page_record *found = &page->records[0];
    if (found->record.kind != KIND_MESSAGE || found->record.key != c->key.number) return ERR_NOT_FOUND;
    err = reading_is_dead(&c->dead, facts, &found->record, &is_dead);
    if (err) return err;
    if (is_dead) return ERR_NOT_FOUND;
    err = record_open(found->whole, &found->record, c->key.key, plain, NULL, &entry);
    if (err) return err;
    if (!user_id_equal(&entry.sender, &c->ask->user)) {
        c->why = "another user sent this message";
        return ERR_DENIED;
    }
    if (msg_id_ms(&found->record.id) < c->limit_ms) {
        c->why = "this message was sent too long ago";
        return ERR_DENIED;
    }
    return 0;
}

static void check_run(struct work *work, void *context)
{
    struct check *c = (struct check *)work;
    struct job_reader *reader = context;
    struct record_page page;
    struct buf plain;
    record_page_init(&page);
    buf_init(&plain, RECORD_BYTES_MAX);
    work->err = facts_snapshot(reader->facts);
    for (uint32_t i = 0; i < c->count && !work->err; i++)
        work->err = check_one(c, reader->facts, c->views[i], &page, &plain);
    facts_snapshot_end(reader->facts);
    buf_fini(&plain);
    record_page_fini(&page);
}

static void check_free(struct chat *chat, struct check *c)
{
    for (uint32_t i = 0; i < c->count; i++) view_free(c->views[i]);
    dead_fini(&c->dead);
    c->conv->readings--;
    chat->readings--;
    sodium_memzero(&c->key, sizeof c->key);
    free(c);
}

static void check_done(struct shard *shard, struct work *work)
{
    struct check *c = (struct check *)work;
    struct chat *chat = chat_of(shard);
    struct ask *ask = c->ask;
    const char *why = c->why;
    int err = work->err;
    check_free(chat, c);
    if (!err) {
        ask->u.send.allowed = true;
        conv_on_ask(chat, ask);
        return;
    }
    if (err == ERR_NOMEM) err = ERR_BUSY;
    if (err != ERR_NOT_FOUND && err != ERR_DENIED && err != ERR_BUSY) err = ERR_STORAGE;
    if (err_may_retry(err)) STAT_ADD(&chat->shard->stats, sends_unknown, 1);
    else STAT_ADD(&chat->shard->stats, sends_refused, 1);
    ask_answer(chat, ask, err, why);
}

void deleting_check(struct chat *chat, struct conv *conv, struct ask *ask)
{
    uint32_t count = ask->body_len / FOLD_NUMBER_BYTES;
    const struct conv_member *m = conv_member(conv, &ask->user);
    uint64_t from, to, seq, now_ms = chat->shard->wall_ms, delete_ms = chat->settings.delete_ms;
    struct check *c = calloc(1, sizeof *c + count * sizeof c->views[0]);
    if (!c) {
        ask_answer(chat, ask, ERR_BUSY, NULL);
        return;
    }
    c->conv = conv;
    c->ask = ask;
    c->key = conv->key;
    c->limit_ms = delete_ms ? now_ms - (delete_ms < now_ms ? delete_ms : now_ms) : UINT64_MAX;
    c->work.run = check_run;
    c->work.done = check_done;
    conv->readings++;
    chat->readings++;
    conv_span(conv, m, &from, &to);
    int err = dead_init(&c->dead, chat, conv);
    for (struct bytes rest = ask_body(ask); !err && body_next(&rest, &seq) == 0;) {
        struct find find = { .partition = conv->id, .what = FIND_RECORDS, .from = seq, .to = seq, .max = 1,
                             .bytes_max = RECORD_BYTES_MAX };
        if (seq < from || seq > to) err = ERR_NOT_FOUND;
        else if (!(c->views[c->count] = log_view(chat->log, &find))) err = ERR_BUSY;
        else c->count++;
    }
    if (!err && worker_submit(chat->config->jobs, chat->shard, &c->work)) return;
    check_free(chat, c);
    ask_answer(chat, ask, err ? err : ERR_BUSY, NULL);
}
