/* replay.c - see replay.h. */
#include "storage/replay.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/err.h"
#include "storage/log.h"

enum {
    WHY_BYTES = 256,
    /* Keys held: a tail of a second has few conversations that are hot. */
    KEY_CACHE_SIZE = 256,
};

struct cached_key {
    struct vault_key key;         /* number 0: empty */
    bool gone;
};

struct replay {
    struct facts *facts;
    struct vault *vault;
    char *why;                    /* WHY_BYTES */
    struct fold *folds[LOGS_MAX]; /* NULL until the log's first record */
    struct cached_key keys[KEY_CACHE_SIZE];   /* direct mapped by key number */
    struct buf plain;
    struct entry_room room;
};

__attribute__((format(printf, 3, 4)))
static int say(const struct replay *r, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->why, WHY_BYTES, format, args);
    va_end(args);
    return err;
}

int replay_new(struct facts *facts, struct vault *vault, char why[static 256], struct replay **out)
{
    struct replay *r = calloc(1, sizeof *r);
    if (!r) return ERR_NOMEM;
    r->facts = facts;
    r->vault = vault;
    r->why = why;
    buf_init(&r->plain, RECORD_BYTES_MAX);
    *out = r;
    return 0;
}

void replay_free(struct replay *r)
{
    for (uint32_t log = 0; log < LOGS_MAX; log++) fold_free(r->folds[log]);
    buf_fini(&r->plain);
    sodium_memzero(r, sizeof *r);           /* the keys */
    free(r);
}

static int replay_key(struct replay *r, uint64_t number, const struct cached_key **key_out)
{
    struct cached_key *slot = &r->keys[number % KEY_CACHE_SIZE];
    *key_out = slot;
    if (slot->key.number == number && number != 0) return 0;
    int err = vault_get_number(r->vault, number, &slot->key);
    slot->gone = err == ERR_GONE;
    slot->key.number = err && err != ERR_GONE ? 0 : number;
    return slot->gone ? 0 : err;
}

static int replay_flush(struct replay *r, uint32_t log)
{
    struct fold *fold = r->folds[log];
    if (!fold) return 0;
    int err = facts_begin(r->facts);
    if (!err) {
        err = facts_flush(r->facts, fold);
        if (!err) err = facts_commit(r->facts);
        else facts_rollback(r->facts);
    }
    if (err) return say(r, err, "facts.db: %s", err_text(err));
    fold_free(fold);
    r->folds[log] = NULL;
    return 0;
}

/* `entry` NULL: it cannot be opened, or its key was erased. */
static int replay_fold(struct replay *r, const struct record *record, const struct entry *entry)
{
    struct fold *fold = r->folds[record->log];
    int err = fold_record(fold, record, entry);
    if (err)
        return say(r, err, "log %u, record %llu: %s", record->log, (unsigned long long)record->number, err_text(err));
    return fold_rows(fold) < FOLD_ROWS_SOON ? 0 : replay_flush(r, record->log);
}

static int replay_begin(struct replay *r, const struct record *record)
{
    if (record->log >= LOGS_MAX)
        return say(r, ERR_CORRUPT, "log %u, record %llu: no such log", record->log, (unsigned long long)record->number);
    if (!r->folds[record->log]) r->folds[record->log] = fold_new(record->log);
    return r->folds[record->log] ? 0 : say(r, ERR_NOMEM, "replay: %s", err_text(ERR_NOMEM));
}

int replay_record(struct replay *r, const struct record *record, struct bytes whole)
{
    const struct cached_key *key;
    struct entry entry;
    unsigned long long number = record->number;
    int err = replay_begin(r, record);
    if (err) return err;
    err = replay_key(r, record->key, &key);
    if (err == ERR_NOT_FOUND)
        return say(r, ERR_CORRUPT, "log %u, record %llu: its key, number %llu, is not in keys.db", record->log, number,
                   (unsigned long long)record->key);
    if (err) return say(r, err, "keys.db: %s", err_text(err));
    if (!key->gone) err = record_open(whole, record, key->key.key, &r->plain, &r->room, &entry);
    if (err) return say(r, err, "log %u, record %llu: %s", record->log, number, err_text(err));
    return replay_fold(r, record, key->gone ? NULL : &entry);
}

int replay_head(struct replay *r, const struct record *record)
{
    int err = replay_begin(r, record);
    return err ? err : replay_fold(r, record, NULL);
}

int replay_end(struct replay *r)
{
    int err = 0;
    for (uint32_t log = 0; log < LOGS_MAX && !err; log++) err = replay_flush(r, log);
    return err;
}
