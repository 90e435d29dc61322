/* restore_verify.c - whether a backup is whole, and what a key file opens of it. Reads only.
 *
 * Three looks at everything: length and checksum of each file against the manifest; each record by the reader of its
 * file, with the checks of a start; and the numbers of each log without a gap up to the cut, which is where the rows say
 * that they stand. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/backup_impl.h"
#include "storage/inside.h"
#include "storage/outfile.h"
#include "storage/restore_impl.h"

enum { READ_BYTES = 64 * 1024 };

/* -- keys: an array by number, so a lookup is a search ------------------------------------------------------- */

struct key_map { struct vault_row *rows; size_t count, cap; };

struct checking {
    const struct restore_how *how;
    struct restore_report *report;
    struct manifest manifest;
    struct key_map keys;          /* of the key file; empty without one */
    struct buf plain;
    struct entry_room room;
};

static int key_add(void *arg, const struct vault_row *row)
{
    struct checking *c = arg;
    struct key_map *map = &c->keys;
    c->report->keys += !row->erased;
    c->report->keys_erased += row->erased;
    if (map->count == map->cap) {
        size_t cap = map->cap ? 2 * map->cap : 256;
        struct vault_row *grown = calloc(cap, sizeof *grown);
        if (!grown) return ERR_NOMEM;
        if (map->count) memcpy(grown, map->rows, map->count * sizeof *grown);
        if (map->rows) sodium_memzero(map->rows, map->cap * sizeof *map->rows);
        free(map->rows);
        map->rows = grown;
        map->cap = cap;
    }
    map->rows[map->count++] = *row;
    return 0;
}

static int by_number(const void *number, const void *row)
{
    uint64_t a = *(const uint64_t *)number, b = ((const struct vault_row *)row)->number;
    return a < b ? -1 : a > b;
}

static void keys_fini(struct key_map *map)
{
    if (map->rows) sodium_memzero(map->rows, map->cap * sizeof *map->rows);
    free(map->rows);
}

/* -- records ------------------------------------------------------------------------------------------------- */

static int check_seal(struct checking *c, const struct record *record, struct bytes whole)
{
    struct entry entry;
    const struct vault_row *row = NULL;
    if (c->keys.count)
        row = bsearch(&record->key, c->keys.rows, c->keys.count, sizeof *c->keys.rows, by_number);
    if (!row) {
        if (!c->report->without_key++) c->report->without_key_of = record->partition;
        return 0;
    }
    if (row->erased) {
        c->report->sealed_for_ever++;
        return 0;
    }
    int err = record_open(whole, record, row->key, &c->plain, &c->room, &entry);
    if (!err) c->report->opened++;
    return err;
}

static int check_record(struct checking *c, const struct record *record, struct bytes whole)
{
    if (record->kind == RECORD_KIND_MARKS) c->report->marks++;
    else c->report->records++;
    return c->how->keys ? check_seal(c, record, whole) : 0;
}

static int on_segment_record(void *arg, uint64_t offset, uint64_t batch, const struct record *record,
                             struct bytes whole)
{
    (void)offset, (void)batch;
    return check_record(arg, record, whole);
}

static int bad_file(struct checking *c, const char *name, uint64_t offset, int err)
{
    if (err == ERR_TORN) err = ERR_CORRUPT;
    return restore_say(c->report, err, "%s:%llu: %s", name, (unsigned long long)offset, err_text(err));
}

static int check_segment(struct checking *c, const char *name)
{
    char path[FS_PATH_MAX];
    struct segment_head head;
    uint64_t offset = 0;
    fs_path(path, c->how->from, name);
    int err = segment_walk(c->how->fs, path, &head, on_segment_record, c, &offset);
    return err ? bad_file(c, name, offset, err) : 0;
}

static int check_sorted(struct checking *c, const char *name)
{
    char dir[FS_PATH_MAX];
    struct sorted *table;
    struct sorted_scan *scan;
    struct record record;
    struct bytes whole;
    uint64_t offset = 0;
    fs_path(dir, c->how->from, "log");
    int err = sorted_open(c->how->fs, dir, name + strlen("log/"), NULL, &table, &offset);
    if (err) return bad_file(c, name, offset, err);
    err = sorted_verify(table, NULL, NULL, &offset);
    if (!err) err = sorted_scan_open(table, &scan);
    if (!err) {
        while (!err) {
            err = sorted_scan_next(scan, &record, &whole, &offset);
            if (!err) err = check_record(c, &record, whole);
        }
        sorted_scan_close(scan);
        if (err == ERR_END) err = 0;
    }
    sorted_unref(table);
    return err ? bad_file(c, name, offset, err) : 0;
}

/* -- files --------------------------------------------------------------------------------------------------- */

static int check_file(struct checking *c, const struct manifest_file *file)
{
    char path[FS_PATH_MAX];
    struct infile in;
    struct bytes part;
    uint64_t serial;
    fs_path(path, c->how->from, file->name);
    int err = infile_open(c->how->fs, path, &in);
    if (err) return restore_say(c->report, err, "%s: %s", file->name, err == ERR_NOT_FOUND ? "missing" : err_text(err));
    do err = infile_next(&in, READ_BYTES, &part);
    while (!err && part.len > 0);
    uint64_t bytes = in.bytes, sum = infile_sum(&in);
    infile_close(&in);
    if (strncmp(file->name, "log/", 4) == 0 && !err) {   /* first: it tells the offset */
        err = sorted_name_parse(file->name + 4, &serial) ? check_sorted(c, file->name) : check_segment(c, file->name);
        if (err) return err;
    }
    if (!err && (bytes != file->bytes || sum != file->sum)) err = ERR_CORRUPT;
    return err ? restore_say(c->report, err, "%s: %s", file->name, err_text(err)) : 0;
}

static int check_logs(struct checking *c)
{
    char dir[FS_PATH_MAX];
    struct plan plan;
    fs_path(dir, c->how->from, "log");
    int err = plan_make(c->how->fs, dir, c->manifest.flushed, &plan);
    if (err == ERR_AGAIN) err = restore_say(c->report, ERR_CORRUPT, "the log does not reach from its beginning to the cut");
    else if (err) restore_say(c->report, err, "log/%s:%llu: %s", plan.bad_file,
                              (unsigned long long)plan.bad_offset, err_text(err));
    plan_fini(&plan);
    return err;
}

/* -- rows ---------------------------------------------------------------------------------------------------- */

static int on_flushed(void *arg, uint32_t log, uint64_t number)
{
    struct checking *c = arg;
    if (log < LOGS_MAX && c->manifest.flushed[log] == number) return 0;
    return restore_say(c->report, ERR_CORRUPT, "facts.db goes up to another record of log %u than the backup",
                       (unsigned)log);
}

static int check_rows(struct checking *c)
{
    char path[FS_PATH_MAX];
    struct facts *facts;
    struct node_row node;
    uint8_t id[NODE_ID_BYTES];
    uint64_t users = 0, conversations = 0, devices = 0;
    fs_path(path, c->how->from, "facts.db");
    int err = facts_open(c->how->fs, path, false, &facts);
    if (err == ERR_NOT_FOUND) return 0;          /* of an older version: a restore brings its tables up to date */
    if (err) return restore_say(c->report, err, "facts.db: %s", err_text(err));
    err = facts_node(facts, &node);
    if (!err) err = facts_counts(facts, &users, &conversations, &devices);
    if (!err) {
        keyfile_node_id(&node, id);
        if (memcmp(id, c->manifest.node, sizeof id) != 0 || users != c->manifest.users ||
            conversations != c->manifest.conversations)
            err = ERR_CORRUPT;
    }
    if (!err) err = facts_flushed_each(facts, on_flushed, c);
    facts_close(facts);
    return err && !c->report->why[0] ? restore_say(c->report, err, "facts.db: %s", err_text(err)) : err;
}

/* -- all of it ----------------------------------------------------------------------------------------------- */

int restore_verify(const struct restore_how *how, struct restore_report *report_out)
{
    memset(report_out, 0, sizeof *report_out);
    struct checking *c = calloc(1, sizeof *c);
    if (!c) return ERR_NOMEM;
    c->how = how;
    c->report = report_out;
    buf_init(&c->plain, RECORD_BYTES_MAX);
    int err = restore_begin(how, &c->manifest, report_out, key_add, c);
    for (size_t i = 0; !err && i < c->manifest.count; i++) err = check_file(c, &c->manifest.files[i]);
    if (!err) err = check_logs(c);
    if (!err) err = check_rows(c);
    if (!err && report_out->without_key)
        err = restore_say(report_out, ERR_GONE, "the key file knows no key of %llu records: it is older than the backup",
                          (unsigned long long)report_out->without_key);
    manifest_fini(&c->manifest);
    keys_fini(&c->keys);
    buf_fini(&c->plain);
    sodium_memzero(&c->room, sizeof c->room);
    free(c);
    return err;
}
