/* sweep.c - see sweep.h. */
#include "storage/sweep.h"

#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/logs.h"
#include "storage/sorted.h"

void sweep_init(struct sweep *sweep)
{
    memset(sweep, 0, sizeof *sweep);
}

void sweep_fini(struct sweep *sweep)
{
    free(sweep->known.at);
    free(sweep->found.at);
    sweep_init(sweep);
}

/* -- tables that have something deleted --------------------------------------------------------------------- */

static uint64_t dead_since(const struct sweep_tables *tables, uint64_t serial)
{
    for (size_t i = 0; i < tables->count; i++)
        if (tables->at[i].serial == serial) return tables->at[i].dead_ms;
    return 0;
}

/* Rows come by time, so the first that is found in a table is its oldest. */
static int note(struct sweep_tables *tables, uint64_t serial, uint64_t ms)
{
    if (dead_since(tables, serial)) return 0;
    if (tables->count == tables->cap) {
        size_t cap = tables->cap ? 2 * tables->cap : 16;
        void *grown = realloc(tables->at, cap * sizeof *tables->at);
        if (!grown) return ERR_NOMEM;
        tables->at = grown;
        tables->cap = cap;
    }
    tables->at[tables->count].serial = serial;
    tables->at[tables->count++].dead_ms = ms ? ms : 1;
    return 0;
}

uint64_t sweep_dead_since(const struct sweep *sweep, const struct sorted *table)
{
    uint64_t serial = sorted_meta(table)->serial;
    uint64_t before = dead_since(&sweep->known, serial), now = dead_since(&sweep->found, serial);
    return before && (!now || before < now) ? before : now;
}

/* -- where a message is ------------------------------------------------------------------------------------- */

struct looking {
    struct segment_list *list;
    uint64_t closed[LOGS_MAX];          /* the last number of each log in a closed segment, sorted or not */
    struct sorted_cursor cursor;
};

static void closed_to(struct looking *l, uint32_t log, uint64_t number)
{
    if (log < LOGS_MAX && number > l->closed[log]) l->closed[log] = number;
}

static void looking_begin(struct looking *l, struct logs *logs)
{
    memset(l, 0, sizeof *l);
    l->list = list_get(logs);
    for (size_t i = 0; i < l->list->segment_count; i++) {
        const struct segment *segment = l->list->segments[i];
        closed_to(l, segment->head.log, segment->head.first_number + segment->records - 1);
    }
    for (size_t i = 0; i < l->list->table_count; i++) {
        const struct sorted_meta *meta = sorted_meta(l->list->tables[i]);
        for (uint32_t k = 0; k < meta->span_count; k++) closed_to(l, meta->spans[k].log, meta->spans[k].last_number);
    }
    sorted_cursor_init(&l->cursor);
}

static void looking_end(struct looking *l)
{
    sorted_cursor_fini(&l->cursor);
    list_unref(l->list);
}

static bool is_closed(const struct looking *l, const struct deleted_row *row)
{
    return row->number == 0 || (row->log < LOGS_MAX && row->number <= l->closed[row->log]);
}

static bool in_segments(const struct looking *l, const struct deleted_row *row)
{
    const struct index_entry *first;
    for (size_t i = 0; i < l->list->segment_count; i++)
        if (index_range(&l->list->segments[i]->index, &row->conv, FIND_RECORDS, row->seq, row->seq, &first)) return true;
    return false;
}

/* 0: it is there; ERR_END: it is not. */
static int look_into(struct looking *l, struct sorted *table, const struct deleted_row *row)
{
    struct record record;
    struct bytes whole;
    int err = sorted_seek(&l->cursor, table, &row->conv, FIND_RECORDS, row->seq, row->seq, false, 1);
    return err ? err : sorted_next(&l->cursor, &record, &whole);
}

/* What is deleted is young more often than not: the newest files first. */
static int look_for(struct sweep *sweep, struct looking *l, const struct deleted_row *row, bool *gone_out)
{
    bool unknown = false;
    *gone_out = false;
    if (!is_closed(l, row) || in_segments(l, row)) return 0;
    for (size_t i = l->list->table_count; i > 0; i--) {
        struct sorted *table = l->list->tables[i - 1];
        int err = look_into(l, table, row);
        if (!err) return note(&sweep->found, sorted_meta(table)->serial, row->ms);
        if (err == ERR_NOMEM) return err;
        unknown = unknown || err != ERR_END;
    }
    *gone_out = !unknown;
    return 0;
}

/* -- a walk ------------------------------------------------------------------------------------------------- */

static void walk_begin(struct sweep *sweep, uint64_t now_ms)
{
    sweep->under_way = true;
    sweep->begun_ms = now_ms;
    memset(&sweep->after, 0, sizeof sweep->after);
    sweep->found.count = 0;
}

static void walk_end(struct sweep *sweep)
{
    struct sweep_tables before = sweep->known;
    sweep->known = sweep->found;
    sweep->found = before;
    sweep->found.count = 0;
    sweep->under_way = false;
}

int sweep_step(struct sweep *sweep, struct logs *logs, struct facts *facts, uint64_t now_ms,
               struct deleted_row gone_out[static SWEEP_ROWS], size_t *gone_count_out)
{
    struct deleted_row rows[SWEEP_ROWS];
    struct looking l;
    size_t count = 0, gone = 0;
    *gone_count_out = 0;
    if (!sweep->under_way) {
        bool is_early = sweep->begun_ms && now_ms >= sweep->begun_ms && now_ms - sweep->begun_ms < SWEEP_EVERY_MS;
        if (is_early) return 0;
        walk_begin(sweep, now_ms);
    }
    int err = facts_deleted_oldest(facts, &sweep->after, SWEEP_ROWS, rows, &count);
    if (err) return err;
    looking_begin(&l, logs);
    for (size_t i = 0; i < count && !err; i++) {
        bool is_gone;
        err = look_for(sweep, &l, &rows[i], &is_gone);
        if (!err && is_gone) gone_out[gone++] = rows[i];
    }
    bool is_alone = list_is_alone(logs);
    looking_end(&l);
    if (err) return err;
    if (is_alone) *gone_count_out = gone;                /* else the next walk finds them again */
    if (count < SWEEP_ROWS) walk_end(sweep);
    else sweep->after = rows[count - 1];
    return 0;
}
