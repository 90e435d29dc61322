/* log_verify.c - pipitctl log verify: every checksum of every file, then whether the files together hold every record
 * number of every log once.
 *
 * A server that runs meanwhile replaces files: one that is gone when it is opened was sorted or merged, and the folder
 * is listed again for what took its place, until a round finds nothing new. A file that replaces another and stands
 * beside it for a moment (or since a crash) has the higher serial and holds all of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "tools/ctl/log.h"

enum { ROUNDS_MAX = 20 };                /* of listing again */

struct checked {
    struct log_file f;
    struct inspect_summary s;
    bool here;                           /* in the last listing */
    bool is_bad;
};
struct verify { struct checked *at; size_t count, cap; uint64_t records; bool damage; };

static struct checked *find(struct verify *v, const struct log_file *f)
{
    for (size_t i = 0; i < v->count; i++) {
        if (strcmp(v->at[i].f.file.name, f->file.name) == 0 && strcmp(v->at[i].f.dir, f->dir) == 0) return &v->at[i];
    }
    return NULL;
}

/* True: it is gone. */
static bool check_file(struct verify *v, const struct log_file *f, bool named)
{
    struct checked c = { .f = *f, .here = true };
    uint64_t offset;
    int err = log_read(f, true, NULL, NULL, &c.s, &offset);
    if (err == ERR_NOT_FOUND && !named) {
        inspect_summary_fini(&c.s);
        return true;
    }
    if (err) log_complain(f, offset, err);
    if (v->count == v->cap) {
        v->cap = v->cap ? 2 * v->cap : 64;
        v->at = realloc(v->at, v->cap * sizeof *v->at);
        if (!v->at) abort();
    }
    c.is_bad = err != 0;
    v->damage |= c.is_bad;
    v->records += c.s.records;
    v->at[v->count++] = c;
    return false;
}

/* ---- between files ---- */

struct held { struct inspect_span span; const struct checked *of; };

static int by_first(const void *a, const void *b)
{
    const struct held *x = a, *y = b;
    if (x->span.log != y->span.log) return x->span.log < y->span.log ? -1 : 1;
    return x->span.first < y->span.first ? -1 : x->span.first > y->span.first;
}

/* Is `of` what `older` was made into? */
static bool replaces(const struct checked *of, const struct checked *older)
{
    return of->f.file.kind == INSPECT_SORTED &&
           (older->f.file.kind == INSPECT_UNSORTED || older->f.file.number < of->f.file.number);
}

static void check_order(struct verify *v)
{
    size_t count = 0, spans = 0;
    for (size_t i = 0; i < v->count; i++) spans += v->at[i].s.span_count;
    struct held *held = calloc(spans ? spans : 1, sizeof *held);
    if (!held) abort();
    for (size_t i = 0; i < v->count; i++) {
        for (size_t k = 0; v->at[i].here && k < v->at[i].s.span_count; k++) {
            held[count++] = (struct held){ v->at[i].s.spans[k], &v->at[i] };
        }
    }
    if (count) qsort(held, count, sizeof *held, by_first);
    const struct held *last = NULL;                 /* reaches furthest in this log */
    for (size_t i = 0; i < count; i++) {
        const struct held *p = &held[i];
        bool begins = !last || last->span.log != p->span.log;
        uint64_t next = begins ? 1 : last->span.last + 1;
        const char *name = p->of->f.file.name;
        if (p->span.first > next) {
            fprintf(stderr, "%s: log %" PRIu32 ": records %" PRIu64 " to %" PRIu64 " before it are in no file\n", name,
                    p->span.log, next, p->span.first - 1);
            v->damage = true;
        } else if (!begins && p->span.first < next) {
            bool inside = p->span.last <= last->span.last && replaces(last->of, p->of);
            bool around = p->span.first <= last->span.first && p->span.last >= last->span.last &&
                          replaces(p->of, last->of);
            if (!inside && !around) {
                fprintf(stderr, "%s: log %" PRIu32 ": records from %" PRIu64 " on are in %s too\n", name, p->span.log,
                        p->span.first, last->of->f.file.name);
                v->damage = true;
            }
        }
        if (begins || p->span.last > last->span.last) last = p;
    }
    free(held);
}

/* ---- the command ---- */

/* Lists and checks what is new. 1: something had gone, or was new; 0: not; below 0: no. */
static int check_round(const struct arguments *a, struct verify *v, int *code)
{
    struct log_file *files;
    size_t count;
    int again = 0;
    if (!log_files(a, &files, &count, code)) return -1;
    for (size_t i = 0; i < v->count; i++) v->at[i].here = false;
    for (size_t i = 0; i < count; i++) {
        struct checked *known = find(v, &files[i]);
        if (known) {
            known->here = true;
            continue;
        }
        check_file(v, &files[i], a->count > 0);
        again = 1;
    }
    free(files);
    return again;
}

int ctl_log_verify(const struct arguments *a)
{
    struct verify v = { 0 };
    int code = EXIT_DONE, again = 1;
    for (int i = 0; again > 0 && i < ROUNDS_MAX; i++) again = check_round(a, &v, &code);
    size_t count = 0;
    if (again >= 0) {
        code = EXIT_DONE;
        if (a->count == 0) check_order(&v);
        for (size_t i = 0; i < v.count; i++) count += v.at[i].here;
        printf("%zu files, %" PRIu64 " records: %s\n", count, v.records, v.damage ? "DAMAGED" : "whole");
        if (v.damage) code = EXIT_REFUSED;
    }
    for (size_t i = 0; i < v.count; i++) inspect_summary_fini(&v.at[i].s);
    free(v.at);
    return code;
}
