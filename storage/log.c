/* log.c - appending: batches filled by a shard, written by its committer, made findable by the shard again.
 *
 *      shard                          committer
 *      log_append → open batch
 *      log_take   ───── batch ─────→  batch_sync: header and records in one write, one sync
 *      log_append → the other batch
 *      log_done   ←──── batch ──────
 *
 * A batch, and with it the log's writing end (struct log_writer), belongs to whoever holds the batch. The two threads
 * hand it over through whatever they talk by, which orders their memory; there is no lock and no atomic here but the
 * segments' reference counts.
 *
 * A full segment is left at the beginning of the next batch, not at the end of the last: that batch alone waits the
 * few milliseconds, and no empty file is made for a log that has nothing to say. One that is left because of its age is
 * left by a batch without records when there are none: who has nothing to say must not keep what was deleted. */
#include <assert.h>
#include <stdlib.h>

#include "proto/err.h"
#include "storage/logs.h"

enum {
    /* Records whose places in the index are fetched together: enough to wait for memory once instead of for each, and
     * few enough that they are still in the cache when they are added. */
    INDEX_AHEAD = 32,
};

/* The segment before is closed: everybody may find it. Packing 64 MiB of small records copies 5 MiB: about a
 * millisecond, once. */
static void log_adopt(struct log *log, struct segment *segment)
{
    struct segment *closed = log->segment;
    index_pack(&closed->index);
    /* It is durable. Without memory to find it by there is no way back from here and none forward: crashing and
     * recovering from the log is the one clean answer. */
    int err = list_add(log->logs, closed);
    assert(!err);
    segment_unref(closed);
    log->segment = segment;
}

int logs_log(struct logs *logs, uint32_t number, struct log **log_out)
{
    assert(number < LOGS_MAX && !logs->ends[number].in_use);
    struct log *log = calloc(1, sizeof *log);
    if (!log)
        return ERR_NOMEM;
    struct log_end *end = &logs->ends[number];
    log->logs = logs;
    log->number = number;
    log->committed = log->appended = end->number;
    log->writer.next_batch = end->batch + 1;
    int err = batch_init(&log->batches[0], log);
    if (!err)
        err = batch_init(&log->batches[1], log);
    if (err)
        goto fail;
    log->open = &log->batches[0];
    struct segment_head head = {
        .log = number, .first_number = end->number + 1, .first_batch = end->batch + 1, .made_ms = logs->now_ms,
    };
    err = segment_create(logs->fs, logs->dir, &head, &log->writer.segment);
    if (err)
        goto fail;
    log->writer.end = SEGMENT_HEADER_BYTES;
    log->segment = log->writer.segment;
    end->in_use = true;
    *log_out = log;
    return 0;
fail:
    batch_fini(&log->batches[1]);
    batch_fini(&log->batches[0]);
    free(log);
    return err;
}

void log_close(struct log *log)
{
    if (!log)
        return;
    assert(!log->in_flight);
    segment_unref(log->segment);
    batch_fini(&log->batches[0]);
    batch_fini(&log->batches[1]);
    log->logs->ends[log->number].in_use = false;
    free(log);
}

/* ---- the shard's side ---- */

int log_append(struct log *log, const struct record *head, const struct entry *entry,
               const uint8_t key[static RECORD_KEY_BYTES], struct position *pos_out)
{
    if (log->read_only)
        return ERR_READ_ONLY;
    struct record numbered = *head;
    numbered.log = log->number;
    numbered.number = log->appended + 1;
    int err = batch_add(log->open, &numbered, entry, key);
    if (err)
        return err;
    log->appended++;
    if (pos_out)
        *pos_out = (struct position){ log->number, log->appended };
    return 0;
}

struct batch *log_take(struct log *log)
{
    if (log->in_flight || (!log->open->records && !log->roll_ms))
        return NULL;
    log->in_flight = log->open;
    log->in_flight->first_number = log->appended - log->open->records + 1;
    log->in_flight->roll_ms = log->roll_ms;
    log->roll_ms = 0;
    log->open = &log->batches[log->open == &log->batches[0]];
    return log->in_flight;
}

/* Everything in the batch is on disk: it may be found. */
static void log_index(struct log *log, const struct batch *batch)
{
    struct bytes payload = batch_payload(batch);
    uint64_t at = batch->offset + BATCH_HEADER_BYTES;
    struct record ahead[INDEX_AHEAD];
    size_t lens[INDEX_AHEAD];
    for (size_t done = 0; done < payload.len;) {
        unsigned count = 0;
        for (size_t next = done; next < payload.len && count < INDEX_AHEAD; next += lens[count++])
            record_peek(payload.at + next, &ahead[count], &lens[count]);
        for (unsigned step = 0; count > 1 && step < 3; step++)
            for (unsigned i = 0; i < count; i++)
                index_warm(&batch->segment->index, &ahead[i].partition, step);
        for (unsigned i = 0; i < count; done += lens[i++]) {
            if (!batch->segment->records)
                log->since_ms = msg_id_ms(&ahead[i].id);
            int err = segment_add(batch->segment, &ahead[i], at + done, lens[i]);
            assert(!err);                /* memory (see log_adopt), or sequences that did not rise */
            log->committed = ahead[i].number;
        }
    }
    batch->segment->bytes = at + payload.len;
    batch->segment->last_batch++;
}

void log_done(struct log *log, struct batch *batch, int err)
{
    assert(batch && batch == log->in_flight);
    log->in_flight = NULL;
    if (log->writer.segment != log->segment)
        log_adopt(log, log->writer.segment);
    if (!err) {
        if (batch->records)
            log_index(log, batch);
    } else {
        /* The open batch was numbered behind the one that failed. */
        log->appended = log->committed;
        batch_clear(log->open);
        if (err != ERR_NO_SPACE)
            log->read_only = true;
    }
    batch_clear(batch);
}

void log_roll(struct log *log, uint64_t now_ms)
{
    if (log->segment->records && !log->read_only)
        log->roll_ms = now_ms ? now_ms : 1;
}

bool log_is_aged(const struct log *log, uint64_t now_ms, uint64_t age_ms)
{
    return log->segment->records && log->since_ms <= now_ms && now_ms - log->since_ms >= age_ms;
}

int log_commit(struct log *log)
{
    struct batch *batch = log_take(log);
    if (!batch)
        return 0;
    int err = batch_sync(batch);
    log_done(log, batch, err);
    return err;
}

uint64_t log_committed(const struct log *log) { return log->committed; }
uint64_t log_appended(const struct log *log) { return log->appended; }
bool log_is_read_only(const struct log *log) { return log->read_only; }
bool log_is_busy(const struct log *log) { return log->in_flight || log->open->records > 0; }

/* ---- the committer's side ---- */

/* A new segment for this batch. Storage reads no clock: when its first message was made is the time that tells people
 * most. */
static int writer_roll(struct log_writer *writer, const struct logs *logs, const struct batch *batch)
{
    uint64_t made_ms = batch->roll_ms;
    if (batch->records) {
        struct record first;
        size_t len;
        record_peek(batch_payload(batch).at, &first, &len);
        made_ms = msg_id_ms(&first.id);
    }
    if (made_ms < writer->segment->head.made_ms)
        made_ms = writer->segment->head.made_ms;
    struct segment_head head = {
        .log = batch->log->number, .first_number = batch->first_number, .first_batch = writer->next_batch,
        .made_ms = made_ms,
    };
    struct segment *segment;
    int err = segment_create(logs->fs, logs->dir, &head, &segment);
    if (err)
        return err;
    writer->segment = segment;           /* the one before is the shard's until log_done() */
    writer->end = SEGMENT_HEADER_BYTES;
    return 0;
}

/* The disk is full: leave no trace of the batch. */
static int writer_undo(struct log_writer *writer, const struct fsio *fs)
{
    int err = fs->truncate(fs->self, writer->segment->file, writer->end);
    if (!err)
        err = fs->sync(fs->self, writer->segment->file);
    return err ? ERR_IO : ERR_NO_SPACE;
}

static int writer_write(struct log_writer *writer, const struct fsio *fs, struct batch *batch)
{
    struct segment *segment = writer->segment;
    batch_seal(batch, writer->next_batch, segment->seed);
    struct iovec whole = { batch->bytes.at, batch->bytes.len };
    int err = fs->pwritev(fs->self, segment->file, &whole, 1, writer->end);
    if (err == ERR_NO_SPACE)
        return writer_undo(writer, fs);
    if (err)
        return ERR_IO;
    /* Whatever a sync fails with, even a full disk: which of these pages reached it nobody can tell, and a second
     * sync would not say so. */
    if (fs->sync(fs->self, segment->file))
        return ERR_IO;
    batch->segment = segment;
    batch->offset = writer->end;
    writer->end += batch->bytes.len;
    writer->next_batch++;
    return 0;
}

int batch_sync(struct batch *batch)
{
    struct logs *logs = batch->log->logs;
    struct log_writer *writer = &batch->log->writer;
    if (writer->failed)
        return ERR_IO;
    int err = 0;
    atomic_fetch_add_explicit(&logs->commits, 1, memory_order_relaxed);
    if ((writer->end >= logs->segment_bytes || batch->roll_ms) && writer->end > SEGMENT_HEADER_BYTES)
        err = writer_roll(writer, logs, batch);
    if (!err && batch->records)
        err = writer_write(writer, logs->fs, batch);
    atomic_fetch_sub_explicit(&logs->commits, 1, memory_order_relaxed);
    if (!batch->records && err == ERR_NO_SPACE)
        return 0;                        /* closing can wait, and nothing else was asked for */
    if (err && err != ERR_NO_SPACE) {
        err = ERR_IO;
        writer->failed = true;
    }
    return err;
}
