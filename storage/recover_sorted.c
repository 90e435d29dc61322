/* recover_sorted.c - see recover.h. */
#include "storage/recover.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"

#define UNFINISHED ".new"

int tables_on_name(struct found_tables *tables, const char *name, bool *mine_out)
{
    char stem[FS_NAME_MAX + 1];
    uint64_t serial;
    size_t len = strlen(name);
    *mine_out = false;
    if (len > FS_NAME_MAX)
        return 0;
    strcpy(stem, name);
    bool unfinished = len > strlen(UNFINISHED) && strcmp(name + len - strlen(UNFINISHED), UNFINISHED) == 0;
    if (unfinished)
        stem[len - strlen(UNFINISHED)] = '\0';
    if (!sorted_name_parse(stem, &serial))
        return 0;
    *mine_out = true;
    if (serial > tables->serial)
        tables->serial = serial;
    if (tables->count == tables->cap) {
        size_t cap = tables->cap ? 2 * tables->cap : 64;
        struct found_table *grown = realloc(tables->at, cap * sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        tables->at = grown;
        tables->cap = cap;
    }
    struct found_table *t = &tables->at[tables->count++];
    *t = (struct found_table){ .obsolete = unfinished };
    sorted_name(t->name, serial);
    return 0;
}

static const struct sorted_meta *meta_of(const struct found_tables *tables, size_t table)
{
    return sorted_meta(tables->at[table].table);
}

static bool holds_span(const struct sorted_meta *meta, const struct sorted_span *span)
{
    for (uint32_t i = 0; i < meta->span_count; i++) {
        const struct sorted_span *s = &meta->spans[i];
        if (s->log == span->log && s->first_number <= span->first_number && s->last_number >= span->last_number)
            return true;
    }
    return false;
}

static bool holds_all(const struct sorted_meta *newer, const struct sorted_meta *older)
{
    for (uint32_t i = 0; i < older->span_count; i++)
        if (!holds_span(newer, &older->spans[i]))
            return false;
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct sorted_span *x = &((const struct found_span *)a)->span, *y = &((const struct found_span *)b)->span;
    if (x->log != y->log)
        return x->log < y->log ? -1 : 1;
    return x->first_number < y->first_number ? -1 : x->first_number > y->first_number;
}

static int spans_gather(struct found_tables *tables)
{
    size_t count = 0;
    for (size_t i = 0; i < tables->count; i++)
        count += tables->at[i].table ? meta_of(tables, i)->span_count : 0;
    tables->spans = calloc(count ? count : 1, sizeof *tables->spans);
    if (!tables->spans)
        return ERR_NOMEM;
    for (size_t i = 0; i < tables->count; i++)
        for (uint32_t k = 0; tables->at[i].table && k < meta_of(tables, i)->span_count; k++)
            tables->spans[tables->span_count++] = (struct found_span){ meta_of(tables, i)->spans[k], i };
    qsort(tables->spans, tables->span_count, sizeof *tables->spans, by_place);
    return 0;
}

/* The span at `i` overlaps one before it, of table `before`: one of the two tables must hold all of the other. */
static int settle_overlap(struct found_tables *tables, size_t before, size_t i)
{
    size_t mine = tables->spans[i].table;
    const struct sorted_meta *a = meta_of(tables, before), *b = meta_of(tables, mine);
    bool b_is_newer = b->serial > a->serial;
    if (before == mine || !holds_all(b_is_newer ? b : a, b_is_newer ? a : b))
        return ERR_CORRUPT;
    tables->at[b_is_newer ? before : mine].obsolete = true;
    return 0;
}

/* Spans that overlap stand near one another: from each, back over those that reach into it. */
static int overlaps_settle(struct found_tables *tables, const char **bad_out)
{
    size_t first = 0;             /* the earliest that may reach so far */
    uint64_t reach = 0;
    for (size_t i = 0; i < tables->span_count; i++) {
        const struct sorted_span *span = &tables->spans[i].span;
        bool same = i > 0 && tables->spans[i - 1].span.log == span->log;
        if (!same || span->first_number > reach) {
            first = i;
            reach = 0;
        }
        for (size_t k = first; k < i; k++) {
            if (tables->spans[k].span.last_number < span->first_number)
                continue;
            int err = settle_overlap(tables, tables->spans[k].table, i);
            if (err) {
                *bad_out = tables->at[tables->spans[i].table].name;
                return err;
            }
        }
        if (span->last_number > reach)
            reach = span->last_number;
    }
    return 0;
}

static void spans_drop_obsolete(struct found_tables *tables)
{
    size_t kept = 0;
    for (size_t i = 0; i < tables->span_count; i++)
        if (!tables->at[tables->spans[i].table].obsolete)
            tables->spans[kept++] = tables->spans[i];
    tables->span_count = kept;
}

int tables_survey(struct found_tables *tables, struct logs *logs, const char **bad_out, uint64_t *bad_offset_out)
{
    *bad_out = NULL;
    *bad_offset_out = 0;
    for (size_t i = 0; i < tables->count; i++) {
        struct found_table *t = &tables->at[i];
        if (t->obsolete)
            continue;
        int err = sorted_open(logs->fs, logs->dir, t->name, &logs->pins, &t->table, bad_offset_out);
        if (err) {
            *bad_out = t->name;
            return err;
        }
    }
    int err = spans_gather(tables);
    if (!err)
        err = overlaps_settle(tables, bad_out);
    spans_drop_obsolete(tables);
    return err;
}

const struct found_span *tables_find(const struct found_tables *tables, uint32_t log, uint64_t number)
{
    size_t low = 0, high = tables->span_count;
    while (low < high) {          /* how many begin at or before it */
        size_t middle = low + (high - low) / 2;
        const struct sorted_span *span = &tables->spans[middle].span;
        if (span->log < log || (span->log == log && span->first_number <= number))
            low = middle + 1;
        else
            high = middle;
    }
    const struct found_span *found = low > 0 ? &tables->spans[low - 1] : NULL;
    return found && found->span.log == log && found->span.last_number >= number ? found : NULL;
}

int tables_mend(struct found_tables *tables, struct logs *logs, bool *removed_out)
{
    *removed_out = false;
    for (size_t i = 0; i < tables->count; i++) {
        const struct found_table *t = &tables->at[i];
        char name[SORTED_NAME_BYTES + sizeof UNFINISHED], path[FS_PATH_MAX];
        if (!t->obsolete)
            continue;
        snprintf(name, sizeof name, "%s%s", t->name, t->table ? "" : UNFINISHED);
        fs_path(path, logs->dir, name);
        int err = logs->fs->unlink(logs->fs->self, path);
        if (err)
            return err;
        *removed_out = true;
    }
    return 0;
}

size_t tables_good(const struct found_tables *tables, struct sorted **out)
{
    size_t count = 0;
    for (size_t i = 0; i < tables->count; i++)
        if (!tables->at[i].obsolete)
            out[count++] = tables->at[i].table;
    return count;
}

void tables_fini(struct found_tables *tables)
{
    for (size_t i = 0; i < tables->count; i++)
        if (tables->at[i].table)
            sorted_unref(tables->at[i].table);
    free(tables->at);
    free(tables->spans);
}
