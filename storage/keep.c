/* keep.c - one step of the keeper: choose, make the file, publish it, let go of what it replaces. See keep.h.
 *
 * What a crash leaves is decided by one order: the new file's content is synced, then it has its name, then its folder
 * is synced, and only then is anything unlinked. Until the folder is synced the old files are the truth, afterwards
 * the new one is; for a start there is no third case, because the file says itself what it replaces.
 *
 * So two files made from the same input must never both have names, one covering the other only in part. When it is not
 * known whether a file got its name (ERR_IO), or when it has one and cannot be opened, its inputs are left alone: the
 * next start finds the file and believes it, or does not and goes on from the inputs.
 *
 * Unlinking is for tidiness: an input that is still there at the next start is covered, and removed then. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/err.h"
#include "storage/keep_impl.h"
#include "storage/list.h"
#include "storage/tiers.h"

/* Belongs to struct logs, from the first step on. */
struct keep {
    struct merge *merge;                /* under way; or NULL */
    uint64_t looked_ms;                 /* dead_since() was asked; 0: ask again */
    /* Files that are not to be touched before the next start. */
    uint32_t failed_count;
    char failed[KEEP_FAILED_MAX][FS_NAME_MAX + 1];
};

/* A table with its place among the others. */
struct candidate {
    struct sorted *table;
    uint64_t newest_ms;
};

/* ---- for sort.c and merge.c ---- */

static void give_way(const struct keep_work *work)
{
    const struct timespec nap = { .tv_nsec = KEEP_YIELD_US * 1000 };
    for (int i = 0; i < KEEP_YIELDS_MAX && atomic_load_explicit(work->commits, memory_order_relaxed); i++)
        nanosleep(&nap, NULL);
}

int keep_pace(struct keep_work *work, uint64_t bytes)
{
    work->paced += bytes;
    if (work->paced < KEEP_PIECE_BYTES)
        return 0;
    bytes = work->paced;
    work->paced = 0;
    int err = work->how->pace ? work->how->pace(work->how->arg, bytes, work->hurry) : 0;
    if (!err && !work->hurry)
        give_way(work);
    return err;
}

int keep_bad(struct keep_work *work, const char *name, uint64_t offset, int err)
{
    if (err == ERR_CORRUPT || err == ERR_NEWER || err == ERR_IO || err == ERR_TOO_BIG) {
        strcpy(work->report->bad_file, name);
        work->report->bad_offset = offset;
    }
    return err;
}

int keep_bad_new(struct keep_work *work, int err)
{
    char name[SORTED_NAME_BYTES];
    sorted_name(name, work->serial);
    return keep_bad(work, name, 0, err);
}

static int keep_ask(struct keep_work *work, const struct record *record, struct bytes whole, enum fate *fate)
{
    const struct keep_how *how = work->how;
    *fate = FATE_KEEP;
    if (how->partition && !(work->has_partition && conv_id_equal(&work->partition, &record->partition))) {
        int err = how->partition(how->arg, &record->partition);
        if (err)
            return err;
        work->has_partition = true;
        work->partition = record->partition;
    }
    return how->fate ? how->fate(how->arg, record, whole, fate) : 0;
}

int keep_put(struct keep_work *work, struct sorted_writer *writer, const char *name, uint64_t offset,
             const struct record *record, struct bytes whole)
{
    enum fate fate;
    int err = keep_ask(work, record, whole, &fate);
    if (err)
        return err;
    work->report->records++;
    if (fate == FATE_DROP) {
        work->report->dropped++;
        return 0;
    }
    err = sorted_writer_add(writer, record, whole);
    if (err)
        return err == ERR_CORRUPT ? keep_bad(work, name, offset, err) : keep_bad_new(work, err);
    uint64_t written = sorted_writer_bytes(writer);
    uint64_t more = written - work->written;
    work->written = written;
    return more ? keep_pace(work, more) : 0;
}

/* ---- what has failed ---- */

static bool has_failed(const struct keep *keep, const char *name)
{
    for (uint32_t i = 0; i < keep->failed_count; i++)
        if (strcmp(keep->failed[i], name) == 0)
            return true;
    return false;
}

static bool is_full_of_failures(const struct keep *keep)
{
    return keep->failed_count == KEEP_FAILED_MAX;
}

static void fail(struct keep *keep, const char *name)
{
    if (!is_full_of_failures(keep) && !has_failed(keep, name))
        strcpy(keep->failed[keep->failed_count++], name);
}

/* Whether the error is about the new file, so that all its inputs are to be left alone. */
static bool is_about_new(const struct keep_work *work)
{
    char name[SORTED_NAME_BYTES];
    sorted_name(name, work->serial);
    return strcmp(work->report->bad_file, name) == 0;
}

/* ---- publishing ---- */

static void unlink_in(const struct logs *logs, const char *name)
{
    char path[FS_PATH_MAX];
    fs_path(path, logs->dir, name);
    logs->fs->unlink(logs->fs->self, path);      /* if it fails, the next start removes it */
}

/* The new file has its name: open it and put it into the list in the place of its inputs. */
static int publish(struct logs *logs, struct keep_work *work, struct segment *segment, struct sorted *const *inputs,
                   size_t count)
{
    char name[SORTED_NAME_BYTES];
    sorted_name(name, work->serial);
    struct sorted *table;
    uint64_t offset = 0;
    int err = sorted_open(logs->fs, logs->dir, name, &logs->pins, &table, &offset);
    if (err)
        return err;
    err = list_replace(logs, segment ? &segment : NULL, segment ? 1 : 0, inputs, count, table);
    sorted_unref(table);
    return err;
}

/* The new file has its name, or its name is not known to have come to nothing: the inputs must not be used again. */
static void leave_alone(struct keep *keep, const struct segment *segment, struct sorted *const *inputs, size_t count)
{
    if (segment)
        fail(keep, segment->name);
    for (size_t i = 0; i < count; i++)
        fail(keep, sorted_file_name(inputs[i]));
}

/* A file was made of these, or not. */
static int settle(struct logs *logs, struct keep_work *work, struct segment *segment, struct sorted *const *inputs,
                  size_t count, int err)
{
    struct keep *keep = logs->keep;
    if (!err) {
        err = publish(logs, work, segment, inputs, count);
        if (err)
            keep_bad_new(work, err);
    }
    if (err && is_about_new(work))
        leave_alone(keep, segment, inputs, count);
    else if (err && work->report->bad_file[0])
        fail(keep, work->report->bad_file);
    if (err)
        return err;
    if (segment)
        unlink_in(logs, segment->name);
    for (size_t i = 0; i < count; i++)
        unlink_in(logs, sorted_file_name(inputs[i]));
    return 0;
}

/* ---- room ---- */

/* Bytes that a new file may take. A segment's worth is left to the log. */
static int room_for(const struct logs *logs, uint64_t *room_out)
{
    uint64_t free_bytes;
    int err = logs->fs->space(logs->fs->self, logs->dir, &free_bytes);
    *room_out = !err && free_bytes > logs->segment_bytes ? free_bytes - logs->segment_bytes : 0;
    return err;
}

/* ---- sorting ---- */

/* The oldest closed segment that facts cover wholly, with a reference; NULL: none. *waiting_out: how many there are. */
static struct segment *next_segment(const struct logs *logs, const struct segment_list *list,
                                    const struct keep_how *how, uint32_t *waiting_out)
{
    struct segment *oldest = NULL;
    *waiting_out = 0;
    for (size_t i = 0; i < list->segment_count; i++) {
        struct segment *segment = list->segments[i];
        uint64_t last = segment->head.first_number + segment->records - 1;
        if (last > how->flushed(how->arg, segment->head.log) || has_failed(logs->keep, segment->name))
            continue;
        ++*waiting_out;
        if (!oldest || segment->head.made_ms < oldest->head.made_ms)
            oldest = segment;
    }
    return oldest ? segment_ref(oldest) : NULL;
}

static int sort_one(struct logs *logs, struct keep_work *work, struct segment *segment)
{
    work->report->did = KEEP_SORTED;
    work->report->inputs = 1;
    work->serial = logs_serial_next(logs);
    int err = sort_segment(work, segment);
    return settle(logs, work, segment, NULL, 0, err);
}

/* ---- merging ---- */

static int by_age(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;
    if (left->newest_ms != right->newest_ms)
        return left->newest_ms < right->newest_ms ? -1 : 1;
    uint64_t x = sorted_meta(left->table)->serial, y = sorted_meta(right->table)->serial;
    return x < y ? -1 : x > y;
}

/* Those that may be merged, by age. One without records has the age of its marks; one that has nothing left but its
 * spans is the oldest. */
static size_t candidates_of(const struct keep *keep, const struct segment_list *list, struct candidate *out)
{
    size_t count = 0;
    for (size_t i = 0; i < list->table_count; i++) {
        struct sorted *table = list->tables[i];
        const struct sorted_meta *meta = sorted_meta(table);
        if (has_failed(keep, sorted_file_name(table)))
            continue;
        out[count++] = (struct candidate){ table, meta->records ? msg_id_ms(&meta->max_id) : meta->mark_min_ms };
    }
    qsort(out, count, sizeof *out, by_age);
    return count;
}

/* Since when something in it waits to be rewritten. A table that was made after the death counts from then on: whoever
 * answers may not know that its dead are gone already, and once in due_ms is enough. */
static uint64_t dead_since(const struct keep_how *how, struct sorted *table)
{
    uint64_t dead_ms = how->dead_since(how->arg, table);
    uint64_t made_ms = sorted_meta(table)->made_ms;
    return dead_ms && made_ms > dead_ms && made_ms <= how->now_ms ? made_ms : dead_ms;
}

static void measure(struct keep *keep, const struct keep_how *how, const struct candidate *candidates, size_t count,
                    struct tiers_table *out)
{
    bool look = how->dead_since && (!keep->looked_ms || how->now_ms < keep->looked_ms ||
                                    how->now_ms - keep->looked_ms >= KEEP_LOOK_MS);
    for (size_t i = 0; i < count; i++) {
        const struct sorted_meta *meta = sorted_meta(candidates[i].table);
        out[i] = (struct tiers_table){
            .bytes = meta->bytes, .source_bytes = meta->source_bytes, .written_bytes = meta->written_bytes,
            .spans = meta->span_count, .dead_ms = look ? dead_since(how, candidates[i].table) : 0,
        };
    }
    if (look)
        keep->looked_ms = how->now_ms;
}

/* Begin the merge that is asked for first. 0 with keep->merge NULL: none is. */
static int merge_begin(struct logs *logs, struct keep_work *work, const struct segment_list *list, uint64_t room)
{
    struct keep *keep = logs->keep;
    struct candidate *candidates = calloc(list->table_count + 1, sizeof *candidates);
    struct tiers_table *tables = calloc(list->table_count + 1, sizeof *tables);
    int err = candidates && tables ? 0 : ERR_NOMEM;
    struct tiers_rule rule = {
        .segment_bytes = logs->segment_bytes, .now_ms = work->how->now_ms, .idle = work->how->idle,
        .due_ms = work->how->due_ms ? work->how->due_ms : KEEP_DUE_MS, .room = room,
    };
    if (err)
        goto out;
    size_t count = candidates_of(keep, list, candidates), first, picked;
    measure(keep, work->how, candidates, count, tables);
    if (!tiers_pick(tables, count, &rule, &first, &picked)) {
        rule.room = UINT64_MAX;
        err = tiers_pick(tables, count, &rule, &first, &picked) ? ERR_NO_SPACE : 0;
        goto out;
    }
    struct sorted *inputs[KEEP_INPUTS_MAX];
    for (size_t i = 0; i < picked; i++)
        inputs[i] = candidates[first + i].table;
    work->report->did = KEEP_MERGING;
    work->report->inputs = (uint32_t)picked;
    work->serial = logs_serial_next(logs);
    err = merge_open(work, inputs, picked, &keep->merge);
    if (err)
        settle(logs, work, NULL, inputs, picked, err);
out:
    free(candidates);
    free(tables);
    return err;
}

/* Take the merge under way on. */
static int merge_on(struct logs *logs, struct keep_work *work, uint64_t room)
{
    struct keep *keep = logs->keep;
    struct sorted *const *inputs;
    size_t count = merge_inputs(keep->merge, &inputs);
    work->report->did = KEEP_MERGING;
    work->report->inputs = (uint32_t)count;
    /* There was room when it began; but others fill the disk as well. */
    bool more = false;
    int err = room ? merge_step(keep->merge, work, &more) : ERR_NO_SPACE;
    if (more)
        return 0;
    err = settle(logs, work, NULL, inputs, count, err);
    if (!err)
        work->report->did = KEEP_MERGED;
    merge_close(keep->merge);
    keep->merge = NULL;
    keep->looked_ms = 0;
    return err;
}

/* ---- one step ---- */

static void report_rest(struct logs *logs, struct keep_report *report)
{
    struct segment_list *list = list_get(logs);
    report->unsorted = (uint32_t)list->segment_count;
    report->tables = (uint32_t)list->table_count;
    for (size_t i = 0; i < list->table_count; i++) {
        const struct sorted_meta *meta = sorted_meta(list->tables[i]);
        report->source_bytes += meta->source_bytes;
        report->written_bytes += meta->source_bytes + meta->written_bytes;
    }
    list_unref(list);
}

static int step(struct logs *logs, struct keep_work *work)
{
    struct keep *keep = logs->keep;
    uint64_t room;
    int err = room_for(logs, &room);
    if (err || is_full_of_failures(keep))
        return err;
    struct segment_list *list = list_get(logs);
    uint32_t waiting;
    struct segment *segment = next_segment(logs, list, work->how, &waiting);
    work->hurry = waiting > KEEP_UNSORTED_MAX;
    if (segment && segment->bytes <= room) {
        err = sort_one(logs, work, segment);
    } else {
        /* What is merged may free the room that sorting lacks. */
        if (!keep->merge)
            err = merge_begin(logs, work, list, room);
        if (!err && keep->merge)
            err = merge_on(logs, work, room);
        if (!err && segment && work->report->did == KEEP_NOTHING)
            err = ERR_NO_SPACE;
    }
    if (segment)
        segment_unref(segment);
    list_unref(list);
    return err;
}

int logs_keep(struct logs *logs, const struct keep_how *how, struct keep_report *out)
{
    memset(out, 0, sizeof *out);
    if (!logs->keep)
        logs->keep = calloc(1, sizeof *logs->keep);
    if (!logs->keep)
        return ERR_NOMEM;
    struct keep_work work = { .fs = logs->fs, .dir = logs->dir, .commits = &logs->commits, .how = how, .report = out };
    int err = step(logs, &work);
    if (out->did != KEEP_NOTHING)
        out->serial = work.serial;
    report_rest(logs, out);
    return err;
}

void keep_free(struct keep *keep)
{
    if (!keep)
        return;
    merge_close(keep->merge);
    free(keep);
}
