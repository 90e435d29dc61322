/* flush.c - see flush.h.
 *
 * One fold takes in what is committed (chat->fold), at most one other is with the facts thread (chat->flushing). A
 * flush that failed keeps its fold and goes again; meanwhile the first grows to chat_settings.fold_rows_max, then
 * sends are refused. */
#include "server/chat/flush.h"

#include <stdlib.h>

#include "server/chat/state.h"

struct flush {
    struct clerk_work work;
    struct fold *fold;
};

static int flush_rows(struct clerk_work *w, struct facts *facts)
{
    return facts_flush(facts, ((struct flush *)w)->fold);
}

static void flush_done(struct shard *shard, struct work *work)
{
    struct chat *chat = chat_of(shard);
    int err = work->err;
    free(work);
    chat->flush_under_way = false;
    if (err == 0) {
        if (chat->facts_failed) say(SAY_INFO, "facts_flushed_again", SAY_U64("log", shard->id));
        chat->facts_failed = false;
        chat->flushed = fold_number(chat->flushing);
        fold_free(chat->flushing);
        chat->flushing = NULL;
        conv_trim(chat, false);
        if (fold_rows(chat->fold) > 0) flush_soon(chat);
        return;
    }
    if (!chat->facts_failed) {
        say(SAY_ERROR, "facts_flush_failed", SAY_U64("log", shard->id), SAY_TEXT("why", err_name(err)));
    }
    chat->facts_failed = true;
    if (err == ERR_IO || err == ERR_CORRUPT) {
        chat->facts_broken = true;
        STAT_SET(&shard->stats, read_only, 1);
    }
    wheel_set(&shard->wheel, &chat->flush_timer, STORAGE_RETRY_MS);
}

/* Here because it happens once a second. */
static void note_log_bytes(struct chat *chat)
{
    struct logs_stats stats;
    log_stats(chat->log, &stats);
    STAT_SET(&chat->shard->stats, log_bytes, stats.bytes);
}

void flush_now(struct chat *chat)
{
    note_log_bytes(chat);
    if (chat->flush_under_way || chat->facts_broken) return;
    if (!chat->flushing) {
        if (fold_rows(chat->fold) == 0) return;
        struct fold *next = fold_new(chat->shard->id);
        if (!next) {
            flush_soon(chat);
            return;
        }
        chat->flushing = chat->fold;
        chat->fold = next;
    }
    struct flush *f = calloc(1, sizeof *f);
    if (f) {
        f->fold = chat->flushing;
        f->work.rows = flush_rows;
        f->work.work.done = flush_done;
        chat->flush_under_way = clerk_submit(chat, &f->work);
    }
    if (chat->flush_under_way) return;
    free(f);
    flush_soon(chat);
}

static void flush_fire(struct timeout *t)
{
    flush_now((struct chat *)((char *)t - offsetof(struct chat, flush_timer)));
}

void flush_soon(struct chat *chat)
{
    if (fold_rows(chat->fold) >= FOLD_ROWS_SOON && !chat->facts_failed) flush_now(chat);
    else if (!timeout_is_set(&chat->flush_timer)) wheel_set(&chat->shard->wheel, &chat->flush_timer, FLUSH_EVERY_MS);
}

bool flush_is_done(const struct chat *chat)
{
    if (chat->flush_under_way) return false;
    return chat->facts_failed || chat->facts_broken || (!chat->flushing && fold_rows(chat->fold) == 0);
}

int flush_open(struct chat *chat)
{
    chat->flush_timer.fire = flush_fire;
    chat->flushed = chat->committed = log_committed(chat->log);    /* store_open() flushed all there was */
    STAT_SET(&chat->shard->stats, log_end, chat->committed);
    note_log_bytes(chat);
    chat->fold = fold_new(chat->shard->id);
    return chat->fold ? 0 : ERR_NOMEM;
}

void flush_close(struct chat *chat)
{
    wheel_cancel(&chat->shard->wheel, &chat->flush_timer);
    fold_free(chat->fold);
    fold_free(chat->flushing);
    chat->fold = chat->flushing = NULL;
}
