/* test_keyfile.c - the key file holds what the vault holds, or is not there; and only a key file is ever replaced. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"
#include "storage/db.h"
#include "storage/inside.h"
#include "storage/keyfile.h"
#include "storage/outfile.h"
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"

#define KEYS "/usb/pipit.keys"
#define OTHER "/nas/pipit.keys"

static const struct node_row node = { "the generation.", "the hash key..." };

struct world {
    struct disk *disk;
    struct vault *vault;
    struct facts *facts;
};

static int setup(void **state)
{
    struct world *w = test_calloc(1, sizeof *w);
    w->disk = disk_new(run_seed());
    const struct fsio *fs = disk_fs(w->disk);
    assert_int_equal(fs->mkdir(fs->self, "/usb"), 0);
    assert_int_equal(fs->mkdir(fs->self, "/nas"), 0);
    assert_int_equal(fs->sync_dir(fs->self, "/"), 0);
    assert_int_equal(vault_open(fs, "/keys.db", true, &w->vault), 0);
    assert_int_equal(facts_open(fs, "/facts.db", true, &w->facts), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    vault_close(w->vault);
    facts_close(w->facts);
    disk_free(w->disk);
    test_free(w);
    return 0;
}

static struct conv_id partition_of(unsigned i)
{
    struct conv_id id = { "a conversation" };
    id.v[15] = (uint8_t)i;
    return id;
}

static struct vault_key made(struct world *w, unsigned i)
{
    struct conv_id id = partition_of(i);
    struct vault_key key;
    assert_int_equal(vault_begin(w->vault), 0);
    assert_int_equal(vault_make(w->vault, &id, 1000 + i, &key), 0);
    assert_int_equal(vault_commit(w->vault), 0);
    return key;
}

struct rows { struct vault_row at[16]; size_t count; };

static int keep_row(void *arg, const struct vault_row *row)
{
    struct rows *rows = arg;
    assert_true(rows->count < 16);
    rows->at[rows->count++] = *row;
    return 0;
}

static void bytes_of_file(struct disk *disk, const char *path, uint8_t **at_out, size_t *len_out)
{
    *len_out = disk_file_size(disk, path);
    *at_out = test_malloc(*len_out);
    disk_file_read(disk, path, 0, *at_out, *len_out);
}

static void every_key_is_read_back_as_it_was(void **state)
{
    struct world *w = *state;
    const struct fsio *fs = disk_fs(w->disk);
    struct vault_key keys[3];
    for (unsigned i = 0; i < 3; i++) keys[i] = made(w, i);
    struct keyfile_head head, back;
    uint8_t id[NODE_ID_BYTES];
    struct rows rows = { .count = 0 };
    assert_int_equal(keyfile_write(fs, KEYS, w->vault, &node, 77, &head), 0);
    assert_int_equal(keyfile_read(fs, KEYS, &back, keep_row, &rows), 0);
    assert_memory_equal(&head, &back, sizeof head);
    keyfile_node_id(&node, id);
    assert_memory_equal(back.node, id, sizeof id);
    assert_memory_equal(back.generation, node.generation, sizeof back.generation);
    assert_int_equal(back.made_ms, 77);
    assert_int_equal(back.count, 3);
    assert_int_equal(back.last_number, 3);
    assert_int_equal(rows.count, 3);
    for (unsigned i = 0; i < 3; i++) {
        struct conv_id partition = partition_of(i);
        assert_int_equal(rows.at[i].number, keys[i].number);
        assert_memory_equal(&rows.at[i].partition, &partition, sizeof partition);
        assert_memory_equal(rows.at[i].key, keys[i].key, sizeof keys[i].key);
        assert_int_equal(rows.at[i].made_ms, 1000 + i);
        assert_false(rows.at[i].erased);
    }
    assert_int_equal(disk_file_count(w->disk, "/usb"), 1);       /* nothing stays beside it */
}

static void an_empty_vault_has_a_key_file_too(void **state)
{
    struct world *w = *state;
    struct keyfile_head head;
    assert_int_equal(keyfile_write(disk_fs(w->disk), KEYS, w->vault, &node, 77, NULL), 0);
    assert_int_equal(disk_file_size(w->disk, KEYS), KEYFILE_HEADER_BYTES + KEYFILE_END_BYTES);
    assert_int_equal(keyfile_read(disk_fs(w->disk), KEYS, &head, NULL, NULL), 0);
    assert_int_equal(head.count, 0);
    assert_int_equal(head.last_number, 0);
}

/* The second row as an erasure leaves it. */
static void a_vault_made_of_it_knows_keys_erased_ones_and_where_numbers_go_on(void **state)
{
    struct world *w = *state;
    const struct fsio *fs = disk_fs(w->disk);
    struct vault *vault;
    struct vault_key got;
    struct vault_row rows[] = { { 2, partition_of(2), 12, false, "two" }, { 5, partition_of(5), 15, true, "" } };
    assert_int_equal(vault_begin(w->vault), 0);
    for (size_t i = 0; i < 2; i++) assert_int_equal(vault_import(w->vault, &rows[i]), 0);
    assert_int_equal(vault_import_end(w->vault, 9), 0);
    assert_int_equal(vault_commit(w->vault), 0);
    assert_int_equal(keyfile_write(fs, KEYS, w->vault, &node, 77, NULL), 0);

    struct rows read = { .count = 0 };
    struct keyfile_head head;
    assert_int_equal(keyfile_read(fs, KEYS, &head, keep_row, &read), 0);
    assert_int_equal(read.count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(read.at[i].number, rows[i].number);
        assert_memory_equal(&read.at[i].partition, &rows[i].partition, sizeof rows[i].partition);
        assert_int_equal(read.at[i].made_ms, rows[i].made_ms);
        assert_int_equal(read.at[i].erased, rows[i].erased);
        assert_memory_equal(read.at[i].key, rows[i].key, sizeof rows[i].key);
    }
    assert_int_equal(head.last_number, 9);

    assert_int_equal(vault_open(fs, "/restored.db", true, &vault), 0);
    assert_int_equal(vault_begin(vault), 0);
    for (size_t i = 0; i < 2; i++) assert_int_equal(vault_import(vault, &read.at[i]), 0);
    assert_int_equal(vault_import(vault, &read.at[1]), ERR_EXISTS);
    assert_int_equal(vault_import_end(vault, head.last_number), 0);
    assert_int_equal(vault_commit(vault), 0);
    assert_int_equal(vault_get(vault, &rows[0].partition, &got), 0);
    assert_memory_equal(got.key, rows[0].key, sizeof got.key);
    assert_int_equal(vault_get(vault, &rows[1].partition, &got), ERR_GONE);
    assert_int_equal(vault_begin(vault), 0);
    assert_int_equal(vault_make(vault, &rows[1].partition, 1, &got), 0);
    assert_int_equal(vault_commit(vault), 0);
    assert_int_equal(got.number, 10);
    vault_close(vault);
}

static void a_flipped_bit_anywhere_is_noticed(void **state)
{
    struct world *w = *state;
    const struct fsio *fs = disk_fs(w->disk);
    struct keyfile_head head;
    uint8_t *bytes;
    size_t len;
    for (unsigned i = 0; i < 2; i++) made(w, i);
    assert_int_equal(keyfile_write(fs, KEYS, w->vault, &node, 77, NULL), 0);
    bytes_of_file(w->disk, KEYS, &bytes, &len);
    for (size_t i = 0; i < 8 * len; i++) {
        uint8_t byte = bytes[i / 8] ^ (uint8_t)(1 << i % 8);
        disk_file_poke(w->disk, KEYS, i / 8, &byte, 1);
        int err = keyfile_read(fs, KEYS, &head, NULL, NULL);
        bool is_format = i / 8 >= 8 && i / 8 < 12;
        assert_true(err == ERR_CORRUPT || (is_format && err == ERR_NEWER));
        disk_file_poke(w->disk, KEYS, i / 8, &bytes[i / 8], 1);
    }
    for (size_t cut = 0; cut < len; cut++) {
        disk_file_cut(w->disk, KEYS, cut);
        assert_int_equal(keyfile_read(fs, KEYS, &head, NULL, NULL), ERR_CORRUPT);
        disk_file_poke(w->disk, KEYS, 0, bytes, len);
    }
    assert_int_equal(keyfile_read(fs, KEYS, &head, NULL, NULL), 0);
    disk_file_poke(w->disk, KEYS, len, "x", 1);
    assert_int_equal(keyfile_read(fs, KEYS, &head, NULL, NULL), ERR_CORRUPT);
    test_free(bytes);
}

/* What no writer of ours makes, under checksums that are right. */
static void entries_out_of_order_or_beyond_the_last_number_are_refused(void **state)
{
    struct world *w = *state;
    const struct fsio *fs = disk_fs(w->disk);
    struct keyfile_head head;
    uint8_t *bytes;
    size_t len;
    for (unsigned i = 0; i < 2; i++) made(w, i);
    assert_int_equal(keyfile_write(fs, KEYS, w->vault, &node, 77, NULL), 0);
    bytes_of_file(w->disk, KEYS, &bytes, &len);
    const struct { size_t at; uint8_t value; } damages[] = {
        { KEYFILE_HEADER_BYTES + 7, 0 }, { KEYFILE_HEADER_BYTES + 7, 2 }, { KEYFILE_HEADER_BYTES + 7, 3 },
        { KEYFILE_HEADER_BYTES + KEYFILE_ENTRY_BYTES + 7, 3 }, { KEYFILE_HEADER_BYTES + 32, 0 },
        { KEYFILE_HEADER_BYTES + 32, 2 }, { KEYFILE_HEADER_BYTES + 32, 3 }, { KEYFILE_HEADER_BYTES + 24, 0x80 },
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        uint8_t sum[8], was = bytes[damages[i].at];
        bytes[damages[i].at] = damages[i].value;
        put_u64(sum, XXH3_64bits(bytes, len - sizeof sum));
        disk_file_poke(w->disk, KEYS, 0, bytes, len);
        disk_file_poke(w->disk, KEYS, len - sizeof sum, sum, sizeof sum);
        assert_int_equal(keyfile_read(fs, KEYS, &head, NULL, NULL), ERR_CORRUPT);
        bytes[damages[i].at] = was;
    }
    test_free(bytes);
}

static void file_of(struct world *w, const char *path, const char *text)
{
    struct outfile out;
    assert_int_equal(outfile_open(disk_fs(w->disk), path, false, &out), 0);
    outfile_put(&out, text, strlen(text) + 1);
    assert_int_equal(outfile_finish(&out), 0);
}

static void what_is_no_key_file_of_this_node_is_not_overwritten(void **state)
{
    struct world *w = *state;
    const struct fsio *fs = disk_fs(w->disk);
    struct node_row stranger = { "the generation.", "of another node" };
    struct node_row restored = { "another life...", "the hash key..." };
    struct keyfile_head head;
    char text[14];
    file_of(w, OTHER, "my only copy!");
    assert_int_equal(keyfile_write(fs, OTHER, w->vault, &node, 77, NULL), ERR_EXISTS);
    disk_file_read(w->disk, OTHER, 0, text, sizeof text);
    assert_string_equal(text, "my only copy!");
    assert_int_equal(keyfile_write(fs, KEYS, w->vault, &stranger, 77, NULL), 0);
    assert_int_equal(keyfile_write(fs, KEYS, w->vault, &node, 78, NULL), ERR_EXISTS);
    assert_int_equal(keyfile_read(fs, KEYS, &head, NULL, NULL), 0);
    assert_int_equal(head.made_ms, 77);
    assert_int_equal(fs->unlink(fs->self, KEYS), 0);
    assert_int_equal(keyfile_write(fs, KEYS, w->vault, &node, 79, NULL), 0);
    assert_int_equal(keyfile_write(fs, KEYS, w->vault, &restored, 80, NULL), 0);      /* the same node, restored */
    assert_int_equal(keyfile_write(fs, "/nowhere/pipit.keys", w->vault, &node, 80, NULL), ERR_NOT_FOUND);
}

static bool holds(struct disk *disk, const char *path, const void *what, size_t what_len)
{
    uint8_t *bytes;
    size_t len;
    bytes_of_file(disk, path, &bytes, &len);
    bool found = memmem(bytes, len, what, what_len) != NULL;
    test_free(bytes);
    return found;
}

/* A second name shows what became of the file that was replaced. */
static void the_old_file_is_overwritten_once_the_new_one_is_there(void **state)
{
    struct world *w = *state;
    const struct fsio *fs = disk_fs(w->disk);
    struct vault_key key = made(w, 1);
    int old;
    uint8_t bytes[KEYFILE_HEADER_BYTES + KEYFILE_ENTRY_BYTES + KEYFILE_END_BYTES], zeros[sizeof bytes] = { 0 };
    size_t got;
    assert_int_equal(keyfile_write(fs, KEYS, w->vault, &node, 77, NULL), 0);
    assert_int_equal(fs->open(fs->self, KEYS, FS_READ, &old), 0);
    assert_int_equal(keyfile_write(fs, KEYS, w->vault, &node, 78, NULL), 0);
    assert_int_equal(fs->pread(fs->self, old, bytes, sizeof bytes, 0, &got), 0);
    assert_int_equal(got, sizeof bytes);
    assert_memory_equal(bytes, zeros, sizeof bytes);
    fs->close(fs->self, old);
    assert_true(holds(w->disk, KEYS, key.key, sizeof key.key));
}

static void power_lost_at_any_moment_leaves_the_old_file_or_the_new_one(void **state)
{
    struct world *w = *state;
    const struct fsio *fs = disk_fs(w->disk);
    made(w, 1);
    assert_int_equal(keyfile_write(fs, KEYS, w->vault, &node, 77, NULL), 0);
    made(w, 2);
    disk_journal_start(w->disk);
    assert_int_equal(keyfile_write(fs, KEYS, w->vault, &node, 78, NULL), 0);
    struct disk *shadow = disk_shadow(w->disk);
    uint64_t ops = disk_journal_ops(w->disk);
    for (uint64_t k = 0; k <= ops; k++) {
        disk_shadow_to(shadow, w->disk, k);
        for (int mode = 0; mode < DISK_CRASH_MODES; mode++) {
            struct disk *after = disk_crash(shadow, (enum disk_crash)mode, run_seed() + k);
            struct keyfile_head head;
            assert_int_equal(keyfile_read(disk_fs(after), KEYS, &head, NULL, NULL), 0);
            assert_true(head.made_ms == 77 ? head.count == 1 : head.made_ms == 78 && head.count == 2);
            assert_true(k < ops || head.made_ms == 78);
            disk_free(after);
        }
    }
    disk_free(shadow);
}

static void a_full_disk_leaves_the_old_file_and_nothing_else(void **state)
{
    struct world *w = *state;
    struct keyfile_head head;
    assert_int_equal(keyfile_write(disk_fs(w->disk), KEYS, w->vault, &node, 77, NULL), 0);
    made(w, 1);
    disk_set_capacity(w->disk, disk_used(w->disk) + 20);
    assert_int_equal(keyfile_write(disk_fs(w->disk), KEYS, w->vault, &node, 78, NULL), ERR_NO_SPACE);
    assert_int_equal(keyfile_read(disk_fs(w->disk), KEYS, &head, NULL, NULL), 0);
    assert_int_equal(head.made_ms, 77);
    assert_int_equal(disk_file_count(w->disk, "/usb"), 1);
}

static void note(struct world *w, const char *path, uint64_t ms, bool ok)
{
    assert_int_equal(facts_begin(w->facts), 0);
    assert_int_equal(facts_keyfile_put(w->facts, path, ms, ok), 0);
    assert_int_equal(facts_commit(w->facts), 0);
}

static void all_known_files_are_rewritten_and_those_out_of_reach_are_named(void **state)
{
    struct world *w = *state;
    const struct fsio *fs = disk_fs(w->disk);
    struct node_row own;
    struct keyfile_head head;
    struct keyfile_row row;
    struct keyfiles_report *report = test_malloc(sizeof *report);
    assert_int_equal(facts_node(w->facts, &own), 0);
    assert_int_equal(keyfile_write(fs, KEYS, w->vault, &own, 77, NULL), 0);
    note(w, KEYS, 77, true);
    note(w, "/nas/gone.keys", 66, true);
    file_of(w, OTHER, "not keys");
    note(w, OTHER, 55, true);
    made(w, 1);
    assert_int_equal(keyfiles_rewrite(fs, w->facts, w->vault, 99, report), 0);
    assert_int_equal(report->count, 3);
    assert_int_equal(report->failed, 2);
    assert_string_equal(report->results[0].path, "/nas/gone.keys");
    assert_int_equal(report->results[0].err, ERR_NOT_FOUND);
    assert_int_equal(report->results[0].written_ms, 66);
    assert_string_equal(report->results[1].path, OTHER);
    assert_int_equal(report->results[1].err, ERR_EXISTS);
    assert_string_equal(report->results[2].path, KEYS);
    assert_int_equal(report->results[2].err, 0);
    assert_int_equal(report->results[2].written_ms, 99);
    assert_int_equal(keyfile_read(fs, KEYS, &head, NULL, NULL), 0);
    assert_int_equal(head.made_ms, 99);
    assert_int_equal(head.count, 1);
    assert_int_equal(facts_begin(w->facts), 0);
    assert_int_equal(keyfiles_note(w->facts, report), 0);
    assert_int_equal(facts_commit(w->facts), 0);
    assert_int_equal(facts_keyfile_next(w->facts, "", &row), 0);
    assert_false(row.ok);
    assert_int_equal(row.written_ms, 66);
    assert_int_equal(facts_keyfile_next(w->facts, OTHER, &row), 0);
    assert_true(row.ok);
    assert_int_equal(row.written_ms, 99);
    test_free(report);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(every_key_is_read_back_as_it_was),
        IN_A_WORLD(an_empty_vault_has_a_key_file_too),
        IN_A_WORLD(a_vault_made_of_it_knows_keys_erased_ones_and_where_numbers_go_on),
        IN_A_WORLD(a_flipped_bit_anywhere_is_noticed),
        IN_A_WORLD(entries_out_of_order_or_beyond_the_last_number_are_refused),
        IN_A_WORLD(what_is_no_key_file_of_this_node_is_not_overwritten),
        IN_A_WORLD(the_old_file_is_overwritten_once_the_new_one_is_there),
        IN_A_WORLD(power_lost_at_any_moment_leaves_the_old_file_or_the_new_one),
        IN_A_WORLD(a_full_disk_leaves_the_old_file_and_nothing_else),
        IN_A_WORLD(all_known_files_are_rewritten_and_those_out_of_reach_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
