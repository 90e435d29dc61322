/* fuzz_cut.c - cutting a log that somebody damaged, wherever the start says.
 *
 * The input is a list of damages done to the files of a good store, each 6 bytes: file and what to do (flip, overwrite,
 * cut, forge a batch's header with a checksum that is right) 1, place 3, argument 2. Rows cover two of three files.
 *
 * However often the start is refused, a cut at the place that it names goes well, and few cuts end with a start. Then
 * the log goes on above every number that facts knew of, and opens again. */
#include <assert.h>
#include <sodium.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/offline.h"
#include "storage/segment.h"
#include "tests/harness/disk.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DATA "/data"

enum { FILES = 3, RECORDS_PER_FILE = 6, FLUSHED = 2 * RECORDS_PER_FILE, DAMAGES_MAX = 8, DAMAGE_BYTES = 6, CUTS_MAX = 20 };

static const struct user_id alice = { "alice" }, bob = { "bob" };
static struct disk *good;
static struct conv_id chat;
static struct vault_key key;
static char paths[FILES][FS_PATH_MAX];

static int open_store(struct disk *disk, struct store *store)
{
    struct store_opening how = { .shards = 1, .now_ms = 1000 };
    char why[256];
    return store_open(disk_fs(disk), DATA, &how, store, why);
}

static uint64_t say_one(struct store *store, uint64_t seq)
{
    struct msg_id none = { { 0 } };
    struct record head = { .partition = chat, .key = key.number, .seq = seq, .kind = FOLD_KIND_MESSAGE,
                           .counted = seq };
    struct entry entry = { .sender = alice, .client_seq = seq, .settled = seq, .member_count = seq == 1 ? 2 : 0,
                           .members = { alice, bob }, .body = bytes_of_str("hello") };
    struct position pos;
    head.id = msg_id_next(&none, 1000 + seq, (const uint8_t[8]){ 1 });
    int err = log_append(store->log[0], &head, &entry, key.key, &pos);
    if (!err)
        err = log_commit(store->log[0]);
    assert(!err);
    return pos.number;
}

static void make_people(struct store *store)
{
    chat = conv_id_direct(&alice, &bob);
    int err = facts_begin(store->facts);
    if (!err)
        err = facts_user_add(store->facts, &alice, "x", 1);
    if (!err)
        err = facts_user_add(store->facts, &bob, "x", 1);
    if (!err)
        err = facts_conv_add_direct(store->facts, &chat, &alice, &bob, 1);
    if (!err)
        err = facts_commit(store->facts);
    if (!err)
        err = vault_begin(store->vault);
    if (!err)
        err = vault_make(store->vault, &chat, 5, &key);
    if (!err)
        err = vault_commit(store->vault);
    assert(!err);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    if (sodium_init() < 0)
        abort();
    struct disk *disk = disk_new(1);
    for (int i = 0; i < FILES; i++) {
        struct store store;
        int err = open_store(disk, &store);          /* its rows cover what the files before have */
        assert(!err);
        if (i == 0)
            make_people(&store);
        segment_name(paths[i], 0, (uint64_t)i * RECORDS_PER_FILE + 1);
        for (int k = 1; k <= RECORDS_PER_FILE; k++)
            say_one(&store, (uint64_t)(i * RECORDS_PER_FILE + k));
        store_close(&store);
    }
    for (int i = 0; i < FILES; i++) {
        char name[SEGMENT_NAME_BYTES];
        strcpy(name, paths[i]);
        fs_path(paths[i], DATA "/log", name);
        assert(disk_file_size(disk, paths[i]) != UINT64_MAX);
    }
    good = disk_crash(disk, DISK_KEEP_ALL, 1);
    disk_free(disk);
    return 0;
}

static void forge(struct disk *disk, const char *path, uint64_t at, const uint8_t *how)
{
    uint8_t header[BATCH_HEADER_BYTES], seed[8];
    if (disk_file_size(disk, path) < SEGMENT_HEADER_BYTES || at < SEGMENT_HEADER_BYTES)
        return;
    disk_file_read(disk, path, SEGMENT_HEADER_BYTES - sizeof seed, seed, sizeof seed);
    struct batch_head head = { .log = how[4] / 64 % 2, .number = how[4] % 32, .first_number = how[5] % 32 * 3,
                               .records = how[4] / 32 + 1, .payload_bytes = how[5] * 16u };
    batch_head_put(header, &head, get_u64(seed));
    disk_file_poke(disk, path, at, header, sizeof header);
}

static void damage(struct disk *disk, const uint8_t *how)
{
    const char *path = paths[how[0] % FILES];
    uint64_t size = disk_file_size(disk, path);
    if (size == 0)
        return;
    uint64_t at = ((uint64_t)how[1] << 16 | how[2] << 8 | how[3]) % size;
    uint8_t byte;
    switch (how[0] / FILES % 4) {
    case 0:
        disk_file_read(disk, path, at, &byte, 1);
        byte ^= how[4];
        disk_file_poke(disk, path, at, &byte, 1);
        break;
    case 1: disk_file_poke(disk, path, at, how + 4, 2); break;
    case 2: disk_file_cut(disk, path, at); break;
    default: forge(disk, path, at, how);
    }
}

static void cut(struct disk *disk, const struct logs_report *at)
{
    struct cut *cut;
    struct cut_report report;
    char why[256];
    int err = cut_open(disk_fs(disk), DATA, at->bad_file, at->bad_offset, NULL, NULL, &cut, &report, why);
    if (!err) {
        err = cut_make(cut, 2000, why);
        cut_close(cut);
    }
    if (err)
        fprintf(stderr, "%s:%llu: %s: %s\n", at->bad_file, (unsigned long long)at->bad_offset, err_name(err), why);
    assert(!err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct disk *disk = disk_crash(good, DISK_KEEP_ALL, 1);
    struct store store;
    struct conv_row row;
    int err, cuts = 0;
    for (int i = 0; i < DAMAGES_MAX && size >= DAMAGE_BYTES; i++, data += DAMAGE_BYTES, size -= DAMAGE_BYTES)
        damage(disk, data);
    while ((err = open_store(disk, &store)) == ERR_CORRUPT) {
        struct logs_report at = store.report;
        assert(++cuts <= CUTS_MAX && at.bad_file[0]);
        cut(disk, &at);
    }
    assert(!err);
    err = facts_conv_get(store.facts, &chat, &row);
    assert(!err && row.head >= FLUSHED);
    uint64_t number = say_one(&store, row.head + 1);
    assert(number > FLUSHED);
    store_close(&store);
    err = open_store(disk, &store);
    assert(!err);
    store_close(&store);
    disk_free(disk);
    return 0;
}
