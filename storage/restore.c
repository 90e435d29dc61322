/* restore.c - from a backup and a key file to a data folder, see restore.h.
 *
 * Everything is durable before DATA/format is written: a folder that has rows and no `format` is refused by every start,
 * so a restore that was cut short can only be thrown away. */
#include "storage/restore.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/err.h"
#include "storage/inside.h"
#include "storage/outfile.h"
#include "storage/restore_impl.h"
#include "storage/store.h"
#include "storage/vfs.h"

enum { NAME_ROOM = 96, COPY_BYTES = 64 * 1024, SLICE = 64 };

int restore_say(struct restore_report *report, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(report->why, sizeof report->why, format, args);
    va_end(args);
    return err;
}

/* -- manifest and keys --------------------------------------------------------------------------------------- */

int restore_begin(const struct restore_how *how, struct manifest *m, struct restore_report *report,
                  int (*each)(void *arg, const struct vault_row *row), void *arg)
{
    struct keyfile_head head;
    manifest_init(m);
    if (strlen(how->from) + NAME_ROOM > FS_PATH_MAX || (how->to && strlen(how->to) + NAME_ROOM > FS_PATH_MAX))
        return restore_say(report, ERR_TOO_BIG, "a path is too long");
    int err = manifest_read(how->fs, how->from, m);
    if (err)
        return restore_say(report, err, "%.150s: %s", how->from,
                           err == ERR_NOT_FOUND ? "no backup, or one that was not finished" : err_text(err));
    if (m->data > STORE_DATA_FORMAT)
        return restore_say(report, ERR_NEWER, "the backup is of data format %u, and this program knows %d",
                           (unsigned)m->data, STORE_DATA_FORMAT);
    report->cut_ms = m->cut_ms;
    report->users = m->users;
    report->conversations = m->conversations;
    report->files = m->count;
    for (size_t i = 0; i < m->count; i++) report->bytes += m->files[i].bytes;
    if (!how->keys) return 0;
    err = keyfile_read(how->fs, how->keys, &head, each, arg);
    if (err) return restore_say(report, err, "%.150s: %s", how->keys,
                                err == ERR_NOT_FOUND ? "no such key file" : err_text(err));
    if (memcmp(head.node, m->node, sizeof head.node) != 0)
        return restore_say(report, ERR_DENIED, "%.150s: the keys of another server", how->keys);
    report->keys_ms = head.made_ms;
    return 0;
}

/* -- files --------------------------------------------------------------------------------------------------- */

static int on_any(void *arg, const char *name)
{
    (void)arg, (void)name;
    return ERR_EXISTS;
}

static int make_folder(const struct fsio *fs, const char *path)
{
    int err = fs->mkdir(fs->self, path);
    return err ? err : vfs_sync_folder_of(fs, path);
}

static int prepare(const struct restore_how *how, struct restore_report *report)
{
    const struct fsio *fs = how->fs;
    char log[FS_PATH_MAX];
    int err = fs->list(fs->self, how->to, on_any, NULL);
    if (err == ERR_EXISTS)
        return restore_say(report, err, "%.150s is not empty; a restore that was cut short has to be removed", how->to);
    if (err == ERR_NOT_FOUND) err = make_folder(fs, how->to);
    fs_path(log, how->to, "log");
    if (!err) err = make_folder(fs, log);
    return err ? restore_say(report, err, "cannot make %.150s: %s", how->to, err_text(err)) : 0;
}

static int copy_file(const struct restore_how *how, const struct manifest_file *file, struct restore_report *report)
{
    char from[FS_PATH_MAX], to[FS_PATH_MAX];
    struct infile in;
    struct outfile out;
    struct bytes part = BYTES_NONE;
    fs_path(from, how->from, file->name);
    fs_path(to, how->to, file->name);
    int err = infile_open(how->fs, from, &in);
    if (err) return restore_say(report, err, "%s: %s", file->name, err == ERR_NOT_FOUND ? "missing" : err_text(err));
    err = outfile_open(how->fs, to, false, &out);
    if (!err) {
        do {
            err = infile_next(&in, COPY_BYTES, &part);
            if (!err) outfile_put(&out, part.at, part.len);
        } while (!err && !out.err && part.len > 0);
        if (!err && !out.err && (in.bytes != file->bytes || infile_sum(&in) != file->sum)) err = ERR_CORRUPT;
        if (!err) err = outfile_finish(&out);
        else outfile_abort(&out);
    }
    infile_close(&in);
    return err ? restore_say(report, err, "%s: %s", file->name, err_text(err)) : 0;
}

/* -- keys ---------------------------------------------------------------------------------------------------- */

struct import { struct vault *vault; uint64_t keys, erased, last; };

static int import_row(void *arg, const struct vault_row *row)
{
    struct import *i = arg;
    i->keys += !row->erased;
    i->erased += row->erased;
    return vault_import(i->vault, row);
}

static int make_keys(const struct restore_how *how, struct manifest *m, struct restore_report *report)
{
    char path[FS_PATH_MAX];
    struct import i = { NULL, 0, 0, 0 };
    struct keyfile_head head;
    fs_path(path, how->to, "keys.db");
    int err = vault_open(how->fs, path, true, &i.vault);
    if (err) return restore_say(report, err, "keys.db: %s", err_text(err));
    err = vault_begin(i.vault);
    /* The whole file was checked a moment ago; it is checked again, and the transaction ends only when it is right. */
    if (!err) err = keyfile_read(how->fs, how->keys, &head, import_row, &i);
    if (!err && memcmp(head.node, m->node, sizeof head.node) != 0) err = ERR_CORRUPT;
    if (!err) err = vault_import_end(i.vault, head.last_number);
    if (!err) err = vault_commit(i.vault);
    else vault_rollback(i.vault);
    vault_close(i.vault);
    report->keys = i.keys;
    report->keys_erased = i.erased;
    return err ? restore_say(report, err, "keys.db: %s", err_text(err)) : 0;
}

/* -- rows ---------------------------------------------------------------------------------------------------- */

/* What has an erased key and no other is to be erased here as well: an inbox goes with its user. A start, or our own
 * opening below, ends what is begun here. */
static int erase_one(struct facts *facts, struct vault *vault, const struct conv_owner *at, uint64_t now_ms,
                     struct restore_report *report)
{
    struct vault_key key;
    int err = vault_get(vault, &at->conv, &key);
    sodium_memzero(&key, sizeof key);
    if (err != ERR_GONE) return err == ERR_NOT_FOUND ? 0 : err;
    if (at->type == CONV_INBOX) err = facts_erase_begin_user(facts, &at->user, now_ms);
    else err = facts_erase_begin(facts, &at->conv);
    if (!err) report->erased++;
    return err == ERR_NOT_FOUND || err == ERR_GONE ? 0 : err;
}

static int erase_again(struct facts *facts, struct vault *vault, uint64_t now_ms, struct restore_report *report)
{
    struct conv_owner rows[SLICE];
    struct conv_id after = { { 0 } };
    size_t count = 0;
    int err;
    do {
        err = facts_conv_owners(facts, &after, SLICE, rows, &count);
        for (size_t i = 0; !err && i < count; i++) err = erase_one(facts, vault, &rows[i], now_ms, report);
        if (count) after = rows[count - 1].conv;
    } while (!err && count == SLICE);
    return err;
}

static int make_rows(const struct restore_how *how, struct restore_report *report)
{
    char path[FS_PATH_MAX];
    struct facts *facts;
    struct vault *vault;
    fs_path(path, how->to, "facts.db");
    int err = facts_open(how->fs, path, true, &facts);
    if (err) return restore_say(report, err, "facts.db: %s", err_text(err));
    fs_path(path, how->to, "keys.db");
    err = vault_open(how->fs, path, false, &vault);
    if (!err) {
        err = facts_begin(facts);
        if (!err) err = facts_node_renew(facts);
        if (!err) err = erase_again(facts, vault, how->now_ms, report);
        if (!err) err = facts_commit(facts);
        else facts_rollback(facts);
        vault_close(vault);
    }
    facts_close(facts);
    return err ? restore_say(report, err, "facts.db: %s", err_text(err)) : 0;
}

/* -- all of it ----------------------------------------------------------------------------------------------- */

/* As a server would: everything is opened and checked once. */
static int try_it(const struct restore_how *how, struct restore_report *report)
{
    struct store store;
    struct store_opening opening = { .shards = 1, .now_ms = how->now_ms };
    int err = store_open(how->fs, how->to, &opening, &store, report->why);
    if (err) return err;
    struct logs_stats stats;
    logs_stats(store.logs, &stats);
    report->records = stats.records;
    store_close(&store);
    return 0;
}

int restore_make(const struct restore_how *how, struct restore_report *report_out)
{
    const struct fsio *fs = how->fs;
    struct manifest m;
    char log[FS_PATH_MAX];
    memset(report_out, 0, sizeof *report_out);
    int err = restore_begin(how, &m, report_out, NULL, NULL);
    if (!err) err = prepare(how, report_out);
    for (size_t i = 0; !err && i < m.count; i++) err = copy_file(how, &m.files[i], report_out);
    if (!err) {
        fs_path(log, how->to, "log");
        err = fs->sync_dir(fs->self, log);
        if (!err) err = fs->sync_dir(fs->self, how->to);
        if (err) restore_say(report_out, err, "%.150s: %s", how->to, err_text(err));
    }
    if (!err) err = make_keys(how, &m, report_out);
    if (!err) err = make_rows(how, report_out);
    if (!err) {
        err = store_write_format(fs, how->to);
        if (err) restore_say(report_out, err, "format: %s", err_text(err));
    }
    if (!err) err = try_it(how, report_out);
    manifest_fini(&m);
    return err;
}
