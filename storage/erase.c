/* erase.c - a start ends what a crash has left half erased. Nobody reads yet and no log is open, so every step is a
 * transaction of its own and nothing has to be held. */
#include "storage/erase.h"

#include <stdlib.h>

#include "proto/err.h"
#include "storage/facts_impl.h"
#include "storage/inside.h"
#include "storage/keyfile.h"

typedef int erase_rows(struct facts *facts, const struct conv_id *conv, struct erase_count *count);

/* A partition's keys, then its rows. */
static int finish_partition(struct facts *facts, struct vault *vault, const struct conv_id *conv, erase_rows *rows,
                            struct erase_count *count)
{
    uint64_t keys = 0;
    int err = vault_begin(vault);
    if (err) return err;
    err = vault_erase(vault, conv, &keys);
    if (!err) err = vault_commit(vault);
    else vault_rollback(vault);
    if (err) return err;
    count->keys += keys;
    err = facts_begin(facts);
    if (err) return err;
    err = rows(facts, conv, count);
    if (!err) return facts_commit(facts);
    facts_rollback(facts);
    return err;
}

static int finish_user(struct facts *facts, struct vault *vault, const struct user_id *user, struct erase_count *count)
{
    struct conv_id conv;
    size_t got = 0;
    int err;
    while ((err = facts_erase_list(facts, user, 1, &conv, &got)) == 0 && got == 1) {
        err = finish_partition(facts, vault, &conv, facts_erase_whole, count);
        if (err) return err;
    }
    if (!err) err = facts_begin(facts);
    if (err) return err;
    err = facts_erase_user(facts, user, count);
    if (!err) return facts_commit(facts);
    facts_rollback(facts);
    return err;
}

static int finish_scrub(const struct fsio *fs, struct facts *facts, struct vault *vault, uint64_t now_ms)
{
    bool due = false;
    int err = facts_scrub_is_due(facts, &due);
    if (err || !due) return err;
    err = vault_scrub(vault);
    if (!err) err = facts_scrub(facts);
    if (err) return err;
    struct keyfiles_report *files = malloc(sizeof *files);
    err = files ? keyfiles_rewrite(fs, facts, vault, now_ms, files) : ERR_NOMEM;
    if (!err) err = facts_begin(facts);
    if (!err) {
        err = keyfiles_note(facts, files);
        if (!err) err = facts_scrub_done(facts);
        if (!err) err = facts_commit(facts);
        else facts_rollback(facts);
    }
    free(files);
    return err;
}

int erase_finish(const struct fsio *fs, struct facts *facts, struct vault *vault, uint64_t now_ms,
                 struct erase_count *count)
{
    struct conv_id conv;
    struct user_id user;
    int err;
    while ((err = facts_erasing_conv(facts, &conv)) == 0) {
        err = finish_partition(facts, vault, &conv, facts_erase_conv, count);
        if (err) return err;
    }
    if (err != ERR_NOT_FOUND) return err;
    while ((err = facts_erasing_user(facts, &user)) == 0) {
        err = finish_user(facts, vault, &user, count);
        if (err) return err;
    }
    return err == ERR_NOT_FOUND ? finish_scrub(fs, facts, vault, now_ms) : err;
}
