/* cut_survey.c - what a cut would take, and what it would leave. See cut.h.
 *
 * What stays is read as a start reads it: batch by batch, everything checked, and one that does not check out is
 * refused, as the cut would not help then. What goes is read for what can still be made out: batches by their headers,
 * looked for behind every damage, and in a batch that is damaged each record by itself. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"
#include "storage/cut_impl.h"
#include "storage/inside.h"

enum { RECORD_BYTES_MIN = RECORD_HEADER_BYTES + RECORD_TAG_BYTES };

/* ---- files ---- */

static int on_name(void *arg, const char *name)
{
    struct cut *cut = arg;
    uint32_t log;
    uint64_t first_number;
    bool is_sorted;
    int err = tables_on_name(&cut->tables, name, &is_sorted);
    if (err || is_sorted || !segment_name_parse(name, &log, &first_number) || log != cut->report.log)
        return err;
    if (cut->count == cut->cap) {
        size_t cap = cut->cap ? 2 * cut->cap : 16;
        struct cut_file *grown = realloc(cut->files, cap * sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        cut->files = grown;
        cut->cap = cap;
    }
    struct cut_file *file = &cut->files[cut->count++];
    *file = (struct cut_file){ .first_number = first_number };
    segment_name(file->name, log, first_number);
    char path[FS_PATH_MAX];
    fs_path(path, cut->dir, name);
    return cut->fs->exists(cut->fs->self, path, &file->there, &file->size);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = ((const struct cut_file *)a)->first_number, y = ((const struct cut_file *)b)->first_number;
    return x < y ? -1 : x > y;
}

/* The log's files, without those that a sorted one has replaced, and among them the one named, there or not. */
static int find_files(struct cut *cut, const char *name, uint64_t named)
{
    const char *bad;
    uint64_t bad_offset;
    int err = cut->fs->list(cut->fs->self, cut->dir, on_name, cut);
    if (!err)
        err = tables_survey(&cut->tables, &cut->logs, &bad, &bad_offset);
    if (err == ERR_CORRUPT || err == ERR_NEWER)
        return cut_say(cut, err, "log/%s:%" PRIu64 ": %s; a sorted file cannot be cut", bad, bad_offset, err_text(err));
    if (err)
        return cut_say(cut, err, "log: %s", err_text(err));
    if (tables_find(&cut->tables, cut->report.log, named))
        return cut_say(cut, ERR_UNSUPPORTED, "log/%s: its records are in a sorted file; a start removes it", name);
    size_t kept = 0;
    bool found = false;
    for (size_t i = 0; i < cut->count; i++) {
        if (tables_find(&cut->tables, cut->report.log, cut->files[i].first_number))
            continue;
        found |= cut->files[i].first_number == named;
        cut->files[kept++] = cut->files[i];
    }
    cut->count = kept;
    if (!found) {                        /* lost, or moved away by a cut that was begun: its end may have to be told */
        struct cut_file *grown = realloc(cut->files, (kept + 1) * sizeof *grown);
        if (!grown)
            return cut_say(cut, ERR_NOMEM, "log: %s", err_text(ERR_NOMEM));
        cut->files = grown;
        cut->files[cut->count] = (struct cut_file){ .first_number = named };
        strcpy(cut->files[cut->count++].name, name);
    }
    qsort(cut->files, cut->count, sizeof *cut->files, by_number);
    while (cut->files[cut->at].first_number != named)
        cut->at++;
    for (size_t i = 0; i < cut->tables.span_count; i++) {
        const struct found_span *s = &cut->tables.spans[i];
        if (s->span.log == cut->report.log && s->span.last_number > named)
            return cut_say(cut, ERR_UNSUPPORTED, "log/%s has records of this log that lie behind it: no tail",
                           cut->tables.at[s->table].name);
    }
    return 0;
}

/* ---- what stays ---- */

static int open_file(const struct cut *cut, const struct cut_file *file, int *fd_out)
{
    char path[FS_PATH_MAX];
    fs_path(path, cut->dir, file->name);
    return cut->fs->open(cut->fs->self, path, FS_READ, fd_out);
}

/* Its header, when it is that of the name. */
static int read_head(const struct cut *cut, const struct cut_file *file, int fd, struct segment_head *head,
                     uint64_t *seed_out)
{
    int err = segment_head_read(cut->fs, fd, file->size, head, seed_out);
    if (!err && (head->log != cut->report.log || head->first_number != file->first_number))
        err = ERR_CORRUPT;
    return err == ERR_TORN ? ERR_CORRUPT : err;
}

struct kept {
    uint64_t above;                      /* records up to this one are not given */
    segment_record_fn *each;
    void *arg;
    uint64_t number, batch;              /* where it ended … */
    uint64_t last_at, end;               /* … where its last batch begins, 0: it has none, and ends */
    uint64_t bad_offset;
};

static int give_batch(struct kept *k, const struct batch_head *head, struct bytes payload, uint64_t at)
{
    int err = 0;
    for (size_t done = 0, len; !err && k->each && done < payload.len; done += len) {
        struct record record;
        record_peek(payload.at + done, &record, &len);
        if (record.number > k->above)
            err = k->each(k->arg, at + done, head->number, &record, bytes_of(payload.at + done, len));
    }
    return err;
}

/* The batches of one file that end at `end` or before it. */
static int walk_kept(const struct cut *cut, const struct cut_file *file, uint64_t end, struct kept *k)
{
    int fd;
    int err = open_file(cut, file, &fd);
    if (err)
        return err;
    struct segment_head head;
    struct batch_head batch;
    struct bytes payload;
    uint64_t seed, at;
    k->bad_offset = 0;
    err = read_head(cut, file, fd, &head, &seed);
    if (err) {
        cut->fs->close(cut->fs->self, fd);
        return err;
    }
    k->number = head.first_number - 1;
    k->batch = head.first_batch - 1;
    k->last_at = 0;
    k->end = SEGMENT_HEADER_BYTES;
    struct scan scan;
    scan_init(&scan, cut->fs, fd, &head, seed, file->size);
    while (scan.offset < end && !(err = scan_next(&scan, &batch, &payload, &at))) {
        if (scan.offset > end)
            break;                       /* the position is inside this one: it goes */
        err = give_batch(k, &batch, payload, at);
        if (err)
            break;
        k->number = batch.first_number + batch.records - 1;
        k->batch = batch.number;
        k->last_at = at - BATCH_HEADER_BYTES;
        k->end = scan.offset;
    }
    k->bad_offset = scan.bad_offset;
    scan_fini(&scan);
    cut->fs->close(cut->fs->self, fd);
    return err;
}

/* Nothing of the file with the position stays: what is before it ends in another file, or in a sorted one. It need not
 * reach up to this one: a file may be missing, or may have lost its end. */
static int find_end_before(struct cut *cut)
{
    const struct cut_file *file = &cut->files[cut->at];
    struct cut_report *r = &cut->report;
    bool begun = false;
    r->kept = 0;
    for (size_t i = 0; i < cut->tables.span_count; i++) {
        const struct sorted_span *span = &cut->tables.spans[i].span;
        if (span->log != r->log || span->last_number >= file->first_number || span->last_number <= r->kept)
            continue;
        r->kept = span->last_number;
        cut->last_batch = span->last_batch;
        begun = true;
    }
    if (cut->at > 0) {
        const struct cut_file *before = &cut->files[cut->at - 1];
        struct kept k = { .above = UINT64_MAX };
        int err = walk_kept(cut, before, before->size, &k);
        if (err)
            return cut_say(cut, err, "log/%s:%" PRIu64 ": %s: it has to be cut there", before->name, k.bad_offset,
                           err_text(err));
        if (k.number > r->kept) {
            r->kept = k.number;
            cut->last_batch = k.batch;
        }
        begun = true;
    }
    if (!begun) {                        /* the log begins here; no batch number is above that of a record */
        r->kept = file->first_number - 1;
        cut->last_batch = file->first_number - 1;
    }
    return 0;
}

/* Where the batch begins that holds the position. */
static int find_end(struct cut *cut, uint64_t offset)
{
    const struct cut_file *file = &cut->files[cut->at];
    struct cut_report *r = &cut->report;
    struct kept k = { .above = UINT64_MAX };
    if (offset > file->size)
        return cut_say(cut, ERR_NOT_FOUND, "log/%s ends at byte %" PRIu64, file->name, file->size);
    if (file->there && offset >= SEGMENT_HEADER_BYTES) {
        int err = walk_kept(cut, file, offset, &k);
        /* A batch that is not whole and begins before the position holds it, but for one that others follow. */
        bool holds = (err == ERR_TORN || err == ERR_CORRUPT) && k.bad_offset >= SEGMENT_HEADER_BYTES;
        if (err && (!holds || k.bad_offset < offset))
            return cut_say(cut, err, "log/%s:%" PRIu64 ": %s: damage before the position", file->name, k.bad_offset,
                           err_text(err));
        r->offset = k.end;
        r->kept = k.number;
        cut->last_batch = k.batch;
        cut->last_batch_at = k.last_at;
        return 0;
    }
    r->offset = 0;
    return find_end_before(cut);
}

int cut_each_kept(struct cut *cut, uint64_t number, segment_record_fn *each, void *arg)
{
    struct kept k = { .above = number, .each = each, .arg = arg };
    int err = 0;
    for (size_t i = 0; !err && i <= cut->at; i++) {
        bool is_last = i == cut->at;
        if (!is_last && cut->files[i + 1].first_number - 1 <= number)
            continue;                    /* the rows cover it */
        if (is_last && cut->report.offset == 0)
            break;
        err = walk_kept(cut, &cut->files[i], is_last ? cut->report.offset : cut->files[i].size, &k);
        if (err == ERR_END)
            err = 0;
        if (err == ERR_TORN || err == ERR_CORRUPT || err == ERR_NEWER)
            return cut_say(cut, ERR_CORRUPT, "log/%s:%" PRIu64 ": %s", cut->files[i].name, k.bad_offset, err_text(err));
    }
    return err;
}

/* ---- what goes ---- */

struct lost {
    struct cut *cut;
    segment_record_fn *each;
    void *arg;
    uint64_t number;                     /* the last one that was given, as far as it is known … */
    uint64_t most;                       /* … and what it may be, by the bytes that nobody can read */
};

/* Now it is known that numbers up to `last` were given: those above the last one read are lost. */
static void note_lost(struct lost *l, uint64_t last)
{
    struct cut_report *r = &l->cut->report;
    if (last > l->number) {
        r->lost_records += last - l->number;
        r->is_blind |= last > r->flushed;
        l->number = last;
    }
    l->most = l->number;
}

static int note_record(struct lost *l, uint64_t offset, const struct record *record, struct bytes whole)
{
    struct cut_report *r = &l->cut->report;
    uint64_t ms = msg_id_ms(&record->id);
    note_lost(l, record->number - 1);
    l->number = l->most = record->number;
    r->records++;
    if (record->kind == RECORD_KIND_MARKS)
        r->marks++;
    else if (!r->first_ms || ms < r->first_ms)
        r->first_ms = ms;
    if (record->kind != RECORD_KIND_MARKS && ms > r->last_ms)
        r->last_ms = ms;
    return l->each ? l->each(l->arg, offset, 0, record, whole) : 0;
}

/* The records of a batch whose header is good. */
static int read_records(struct lost *l, const struct batch_head *head, struct bytes payload, uint64_t at)
{
    struct cut_report *r = &l->cut->report;
    int err = 0;
    for (size_t done = 0, len; !err && payload.len - done >= RECORD_BYTES_MIN; done += len) {
        struct record record;
        struct bytes rest = bytes_of(payload.at + done, payload.len - done);
        bool good = !record_parse(rest, &record, &len) && record.log == r->log && record.number > l->number &&
                    record.number < head->first_number + head->records;
        if (good) {
            err = note_record(l, at + done, &record, bytes_of(rest.at, len));
            continue;
        }
        len = get_u32(rest.at);          /* to the next one, if that is right */
        if (len < RECORD_BYTES_MIN || len > rest.len)
            len = rest.len;
        r->lost_bytes += len;
    }
    note_lost(l, head->first_number + head->records - 1);
    return err;
}

struct tail { int fd; uint64_t seed, size; struct buf bytes; };

static int read_at(const struct lost *l, struct tail *t, uint64_t at, size_t len)
{
    size_t got;
    buf_clear(&t->bytes);
    uint8_t *to = buf_grow(&t->bytes, len);
    if (!to)
        return t->bytes.err;
    int err = l->cut->fs->pread(l->cut->fs->self, t->fd, to, len, at, &got);
    return err ? err : got < len ? ERR_IO : 0;
}

/* The next good header at `at` or behind it; the end of the file when there is none. */
static int find_header(const struct lost *l, struct tail *t, uint64_t at, uint64_t *found_out)
{
    while (at < t->size && t->size - at >= BATCH_HEADER_BYTES) {
        size_t len = t->size - at > t->bytes.max ? t->bytes.max : (size_t)(t->size - at);
        int err = read_at(l, t, at, len);
        if (err)
            return err;
        size_t found = batch_head_find(buf_bytes(&t->bytes), 0, t->seed);
        *found_out = at + found;
        if (found < len)
            return 0;
        at += len - (BATCH_HEADER_BYTES - 1);
    }
    *found_out = t->size;
    return 0;
}

/* From `at`, where a batch should begin, to the end of the file. */
static int read_tail(struct lost *l, struct tail *t, uint64_t at)
{
    struct cut_report *r = &l->cut->report;
    while (at < t->size) {
        struct batch_head head;
        size_t left = t->size - at < BATCH_BYTES_MAX + BATCH_HEADER_BYTES ? (size_t)(t->size - at)
                                                                          : BATCH_BYTES_MAX + BATCH_HEADER_BYTES;
        int err = left < BATCH_HEADER_BYTES ? ERR_TORN : read_at(l, t, at, BATCH_HEADER_BYTES);
        if (!err && !(batch_head_get(t->bytes.at, t->seed, &head) && head.log == r->log &&
                      head.first_number > l->number && head.payload_bytes <= BATCH_BYTES_MAX))
            err = ERR_TORN;
        if (err == ERR_TORN) {
            uint64_t found;
            err = find_header(l, t, at + 1, &found);
            if (err)
                return err;
            r->lost_bytes += found - at;
            if (found == t->size)        /* how many were in it nobody can tell: not more than fit */
                l->most += (found - at) / RECORD_BYTES_MIN;
            at = found;
            continue;
        }
        size_t len = left - BATCH_HEADER_BYTES < head.payload_bytes ? left - BATCH_HEADER_BYTES : head.payload_bytes;
        note_lost(l, head.first_number - 1);
        if (!err)
            err = read_at(l, t, at + BATCH_HEADER_BYTES, len);
        if (!err)
            err = read_records(l, &head, buf_bytes(&t->bytes), at + BATCH_HEADER_BYTES);
        if (err)
            return err;
        at += BATCH_HEADER_BYTES + len;
    }
    return 0;
}

/* `from`: where in it what goes begins. */
static int read_lost(struct lost *l, const struct cut_file *file, uint64_t from)
{
    struct cut *cut = l->cut;
    struct tail t = { .size = file->size };
    struct segment_head head;
    int err = open_file(cut, file, &t.fd);
    if (err)
        return err;
    buf_init(&t.bytes, BATCH_BYTES_MAX + BATCH_HEADER_BYTES);
    note_lost(l, file->first_number - 1);
    err = read_head(cut, file, t.fd, &head, &t.seed);
    if (err == ERR_CORRUPT || err == ERR_NEWER) {
        /* Every other checksum hangs on it. */
        cut->report.lost_bytes += file->size - from;
        l->most += (file->size - from) / RECORD_BYTES_MIN;
        err = 0;
    } else if (!err) {
        err = read_tail(l, &t, from < SEGMENT_HEADER_BYTES ? SEGMENT_HEADER_BYTES : from);
    }
    buf_fini(&t.bytes);
    cut->fs->close(cut->fs->self, t.fd);
    return err;
}

static int read_all_lost(struct lost *l)
{
    struct cut *cut = l->cut;
    int err = 0;
    for (size_t i = cut->at; !err && i < cut->count; i++) {
        const struct cut_file *file = &cut->files[i];
        if (!file->there)
            continue;
        err = read_lost(l, file, i == cut->at ? cut->report.offset : 0);
        if (err)
            cut_say(cut, err, "log/%s: %s", file->name, err_text(err));
    }
    note_lost(l, l->most);
    return err;
}

int cut_each(struct cut *cut, segment_record_fn *each, void *arg)
{
    struct cut_report report = cut->report;         /* counted before */
    struct lost l = { .cut = cut, .each = each, .arg = arg, .number = report.kept, .most = report.kept };
    int err = read_all_lost(&l);
    cut->report = report;
    return err;
}

/* ---- all of it ---- */

static int was_begun(struct cut *cut)
{
    const struct cut_file *file = &cut->files[cut->at];
    char path[FS_PATH_MAX], name[CUT_NAME_BYTES];
    uint64_t size;
    cut_kept_name(name, file->name, cut->report.offset);
    fs_path(path, cut->dir, name);
    if (file->size > cut->report.offset)
        return 0;
    int err = cut->fs->exists(cut->fs->self, path, &cut->report.is_begun, &size);
    return err ? cut_say(cut, err, "log/%s: %s", name, err_text(err)) : 0;
}

static int on_flushed(void *arg, uint32_t log, uint64_t number)
{
    struct cut *cut = arg;
    if (log == cut->report.log)
        cut->report.flushed = number;
    return 0;
}

int cut_survey(struct cut *cut, const char *name, uint64_t offset, segment_record_fn *each, void *arg)
{
    struct cut_report *r = &cut->report;
    uint64_t named;
    int err = segment_name_parse(name, &r->log, &named) && r->log < LOGS_MAX && named > 0 ? 0 : ERR_NOT_FOUND;
    if (err)
        return cut_say(cut, err, "%.100s: no name of a file that can be cut: sorted ones cannot", name);
    err = find_files(cut, name, named);
    if (!err)
        err = find_end(cut, offset);
    if (!err)
        err = was_begun(cut);
    if (err)
        return err;
    strcpy(r->file, name);
    err = facts_flushed_each(cut->facts, on_flushed, cut);
    if (err)
        return cut_say(cut, err, "facts.db: flushed: %s", err_text(err));
    for (size_t i = cut->at; i < cut->count; i++) {
        bool is_first = i == cut->at;
        r->files += !is_first && cut->files[i].size > SEGMENT_HEADER_BYTES;
        r->bytes += cut->files[i].size - (is_first ? r->offset : 0);
    }
    struct lost l = { .cut = cut, .each = each, .arg = arg, .number = r->kept, .most = r->kept };
    err = read_all_lost(&l);
    if (err)
        return err;
    if (r->bytes == 0 && r->flushed <= r->kept)
        return cut_say(cut, ERR_NOT_FOUND, "log/%s:%" PRIu64 ": nothing lies there", name, offset);
    /* The rows know of more than there is: an end is lost, and what had come after the rows' last flush with it. */
    if (r->flushed > l.number && !r->is_begun)
        r->is_blind = true;
    r->goes_on = (r->flushed > l.number ? r->flushed : l.number) + CUT_NUMBERS_SPARE + 1;
    return 0;
}
