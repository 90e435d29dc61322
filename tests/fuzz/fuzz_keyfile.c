/* fuzz_keyfile.c - a key file that somebody damaged.
 *
 * The first byte chooses: even: the rest is the file; odd: its header's and its last checksum are put right first, so
 * that what lies behind them is tried.
 *
 * It ends with a word from its list. What is believed is believed to the byte: numbers rise, nothing erased has a key,
 * and a vault made of it writes the same file again. */
#include <assert.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"
#include "storage/inside.h"
#include "storage/keyfile.h"
#include "storage/outfile.h"
#include "tests/harness/disk.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PATH "/keys"
#define AGAIN "/again"

enum { SUM_AT = KEYFILE_HEADER_BYTES - 8, ROWS_MAX = 64 };

struct seen { struct vault *vault; uint64_t count, last; };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    if (sodium_init() < 0) abort();
    return 0;
}

static int on_row(void *arg, const struct vault_row *row)
{
    struct seen *seen = arg;
    assert(row->number > seen->last);
    assert(!row->erased || sodium_is_zero(row->key, sizeof row->key));
    seen->last = row->number;
    seen->count++;
    return seen->vault ? vault_import(seen->vault, row) : 0;
}

/* Only node and generation are not the vault's: the hash of a node cannot be chosen, so they are put in afterwards. */
static void check_round(struct disk *disk, const uint8_t *file, size_t size, const struct keyfile_head *head)
{
    const struct fsio *fs = disk_fs(disk);
    struct seen seen = { NULL, 0, 0 };
    struct keyfile_head again;
    struct node_row node = { { 0 }, { 0 } };
    int err = vault_open(fs, "/keys.db", true, &seen.vault);
    if (!err) err = vault_begin(seen.vault);
    if (!err) err = keyfile_read(fs, PATH, &again, on_row, &seen);
    if (!err) err = vault_import_end(seen.vault, head->last_number);
    if (!err) err = vault_commit(seen.vault);
    memcpy(node.generation, head->generation, sizeof node.generation);
    if (!err) err = keyfile_write(fs, AGAIN, seen.vault, &node, head->made_ms, NULL);
    assert(!err && disk_file_size(disk, AGAIN) == size);
    uint8_t *bytes = malloc(size);
    disk_file_read(disk, AGAIN, 0, bytes, size);
    memcpy(bytes + 16, head->node, sizeof head->node);
    put_u64(bytes + SUM_AT, XXH3_64bits(bytes, SUM_AT));
    put_u64(bytes + size - KEYFILE_END_BYTES, XXH3_64bits(bytes, size - KEYFILE_END_BYTES));
    assert(memcmp(bytes, file, size) == 0);
    free(bytes);
    vault_close(seen.vault);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    size_t len = size - 1;
    uint8_t *file = malloc(len ? len : 1);
    memcpy(file, data + 1, len);
    if ((data[0] & 1) && len >= KEYFILE_HEADER_BYTES + KEYFILE_END_BYTES) {
        put_u64(file + SUM_AT, XXH3_64bits(file, SUM_AT));
        put_u64(file + len - KEYFILE_END_BYTES, XXH3_64bits(file, len - KEYFILE_END_BYTES));
    }
    struct disk *disk = disk_new(1);
    struct keyfile_head head;
    struct seen seen = { NULL, 0, 0 };
    struct outfile out;
    int err = outfile_open(disk_fs(disk), PATH, false, &out);
    assert(!err);
    outfile_put(&out, file, len);
    err = outfile_finish(&out);
    assert(!err);
    err = keyfile_read(disk_fs(disk), PATH, &head, on_row, &seen);
    assert(err == 0 || err == ERR_CORRUPT || err == ERR_NEWER);
    if (!err) {
        assert(seen.count == head.count && seen.last <= head.last_number);
        if (seen.count <= ROWS_MAX) check_round(disk, file, len, &head);
    }
    disk_free(disk);
    free(file);
    return 0;
}
