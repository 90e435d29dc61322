/* vault.h - one key for each partition, in a database file of its own; destroying a key is erasing.
 *
 * keys.db holds nothing else and is never inside a backup (each backup rewrites one key file kept apart). A key
 * is committed before the first record under it reaches a committer, so replay always finds it, or knows that
 * it was erased.
 * Thread: the writer belongs to the facts thread; vault_reader_* to one reader each. Calls block. */
#ifndef PIPIT_STORAGE_VAULT_H
#define PIPIT_STORAGE_VAULT_H

#include "storage/fsio.h"
#include "storage/record.h"

struct vault;

struct vault_key {
    uint64_t number;                            /* rises over the whole vault; never given twice */
    uint8_t key[RECORD_KEY_BYTES];
};

int vault_open(const struct fsio *fs, const char *path, bool writer, struct vault **vault_out);
void vault_close(struct vault *vault);
/* One transaction around any number of vault_make(): a key counts once vault_commit() returned 0. */
int vault_begin(struct vault *vault);
int vault_commit(struct vault *vault);
void vault_rollback(struct vault *vault);
/* The key of a partition, made when there is none (from random bytes of libsodium). */
int vault_make(struct vault *vault, const struct conv_id *partition, uint64_t now_ms, struct vault_key *key_out);
/* 0, ERR_NOT_FOUND (never had one), ERR_GONE (erased), ERR_IO. */
int vault_get(struct vault *vault, const struct conv_id *partition, struct vault_key *key_out);
/* By number, for replay: the key may belong to an older number of the partition. */
int vault_get_number(struct vault *vault, uint64_t number, struct vault_key *key_out);

/* -- all of it, for key files ------------------------------------------------------------------------------- */
struct vault_row {                              /* of a key ever made */
    uint64_t number;
    struct conv_id partition;
    uint64_t made_ms;
    bool erased;                                /* then `key` is zeros */
    uint8_t key[RECORD_KEY_BYTES];
};

/* The partition's keys are gone once this is committed; their numbers are remembered as erased. *count_out of them: 0
 * when it had none, or none any more. vault_make() gives it another one then. */
int vault_erase(struct vault *vault, const struct conv_id *partition, uint64_t *count_out);
/* Outside a transaction: after it neither keys.db nor its WAL has a byte of a key erased before. ERR_AGAIN: a reader
 * holds the WAL; try again. */
int vault_scrub(struct vault *vault);

#endif
