/* test_backup.c - a backup is the data folder as it was at the cut, or it is none; and what is restored of it is that
 * again. backup.c, backup_plan.c, restore.c, restore_verify.c, over a store that goes on living. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proto/err.h"
#include "storage/outfile.h"
#include "storage/offline.h"
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"
#include "tests/harness/storerig.h"

#define BACKUPS "/backups"
#define KEYS "/keys"
#define RESTORED "/restored"

enum { NOW_S = 1700000000 };

struct world {
    struct storerig *rig;
    struct facts *facts;
    struct vault *vault;
    uint64_t now_ms;
};

/* A store of some length, all of it flushed. */
static int setup(void **state)
{
    struct world *w = test_calloc(1, sizeof *w);
    w->rig = storerig_new(run_seed());
    w->now_ms = UINT64_C(1000) * NOW_S;
    storerig_run(w->rig, 150, 2);
    storerig_restart(w->rig, 2);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    storerig_free(w->rig);
    test_free(w);
    return 0;
}

static const struct fsio *fs_of(const struct world *w)
{
    return disk_fs(w->rig->disk);
}

static int back_up_with(struct world *w, struct backup_how *how, struct backup_report *report)
{
    struct facts *facts;
    struct vault *vault;
    struct backup_report none;
    if (!how->fs) how->fs = fs_of(w);
    how->data = RIG_DIR;
    how->to = BACKUPS;
    how->now_ms = w->now_ms;
    w->now_ms += 1000;
    assert_int_equal(store_reader_open(&w->rig->store, &facts, &vault), 0);
    how->facts = facts;
    int err = backup_make(how, report ? report : &none);
    if (!err) err = keyfile_write(how->fs, KEYS, vault, &w->rig->store.node, how->now_ms, NULL);
    facts_close(facts);
    vault_close(vault);
    return err;
}

static void back_up(struct world *w, struct backup_report *report)
{
    struct backup_how how = { .data = NULL };
    int err = back_up_with(w, &how, report);
    if (err) fail_msg("%s: %s", err_name(err), report->why);
}

static int verify(const struct fsio *fs, const char *path, const char *keys, struct restore_report *report)
{
    struct restore_how how = { .fs = fs, .from = path, .keys = keys };
    return restore_verify(&how, report);
}

/* All but the generation, which is to be another. */
static void check_store(struct world *w, struct store *store, uint64_t ops)
{
    struct node_row node = w->rig->node;
    assert_memory_not_equal(store->node.generation, node.generation, sizeof node.generation);
    assert_memory_equal(store->node.hash_key, node.hash_key, sizeof node.hash_key);
    w->rig->node = store->node;
    storerig_check(w->rig, store, ops);
    w->rig->node = node;
}

static void check_restored(struct world *w, const char *path, uint64_t ops)
{
    struct restore_how how = { .fs = fs_of(w), .from = path, .keys = KEYS, .to = RESTORED, .now_ms = w->now_ms };
    struct restore_report report;
    struct store store;
    struct store_opening opening = { .shards = 2, .now_ms = w->now_ms };
    char why[256];
    int err = restore_make(&how, &report);
    if (err) fail_msg("%s: %s", err_name(err), report.why);
    assert_int_equal(store_open(how.fs, RESTORED, &opening, &store, why), 0);
    assert_int_equal(store.report.replayed, 0);                /* rows and logs end at the same record */
    check_store(w, &store, ops);
    store_close(&store);
}

static void what_is_restored_is_the_store_as_it_was_at_the_cut(void **state)
{
    struct world *w = *state;
    struct backup_report report;
    struct restore_report verified;
    uint64_t ops = disk_ops(w->rig->disk);
    back_up(w, &report);
    storerig_run(w->rig, 60, 2);                               /* life goes on */
    int err = verify(fs_of(w), report.path, KEYS, &verified);
    if (err) fail_msg("%s: %s", err_name(err), verified.why);
    assert_true(verified.records > 0);
    assert_int_equal(verified.opened, verified.records + verified.marks);
    assert_int_equal(verified.files, report.files);
    assert_int_equal(verified.bytes, report.bytes);
    assert_int_equal(disk_file_count(w->rig->disk, RIG_DIR "/backup.new"), 0);
    check_restored(w, report.path, ops);
    storerig_close(w->rig);
}

static void what_is_not_flushed_is_above_the_cut_and_left_out(void **state)
{
    struct world *w = *state;
    struct backup_report report;
    struct restore_report verified;
    storerig_run(w->rig, 60, 2);                               /* ends anywhere: some of it in the log alone */
    back_up(w, &report);
    int err = verify(fs_of(w), report.path, KEYS, &verified);
    if (err) fail_msg("%s: %s", err_name(err), verified.why);
    storerig_close(w->rig);
}

static uint64_t flushed_of(void *arg, uint32_t log)
{
    struct world *w = arg;
    return facts_flushed(w->rig->store.facts, log);
}

static void sort_all(struct world *w)
{
    struct keep_how how = { .flushed = flushed_of, .now_ms = w->now_ms, .arg = w };
    struct keep_report report;
    do assert_int_equal(logs_keep(w->rig->store.logs, &how, &report), 0);
    while (report.did != KEEP_NOTHING);
}

static void sorted_segments_are_linked_and_restored_like_all_others(void **state)
{
    struct world *w = *state;
    struct backup_report first, second;
    struct restore_report verified, unsorted;
    storerig_run(w->rig, 100, 2);
    storerig_restart(w->rig, 2);
    back_up(w, &first);
    assert_int_equal(verify(fs_of(w), first.path, KEYS, &unsorted), 0);
    sort_all(w);
    assert_true(disk_file_count(w->rig->disk, RIG_DIR "/log/sorted-") > 0);
    back_up(w, &first);
    assert_true(first.files_linked > 0);                       /* from the data folder */
    int err = verify(fs_of(w), first.path, KEYS, &verified);
    if (err) fail_msg("%s: %s", err_name(err), verified.why);
    assert_int_equal(verified.records, unsorted.records);
    assert_int_equal(verified.marks, unsorted.marks);
    assert_int_equal(verified.opened, verified.records + verified.marks);
    struct restore_how how = { .fs = fs_of(w), .from = first.path, .keys = KEYS, .to = RESTORED, .now_ms = w->now_ms };
    err = restore_make(&how, &verified);
    if (err) fail_msg("%s: %s", err_name(err), verified.why);

    storerig_run(w->rig, 100, 2);
    storerig_restart(w->rig, 2);
    sort_all(w);                                               /* merges too, it may be: files of the first go */
    back_up(w, &second);
    err = verify(fs_of(w), second.path, KEYS, &verified);
    if (err) fail_msg("%s: %s", err_name(err), verified.why);
    err = verify(fs_of(w), first.path, KEYS, &verified);       /* and the first is what it was */
    if (err) fail_msg("%s: %s", err_name(err), verified.why);
    storerig_close(w->rig);
}

static bool holds(struct disk *disk, const char *path, const void *what, size_t what_len)
{
    size_t len = disk_file_size(disk, path);
    uint8_t *bytes = test_malloc(len);
    disk_file_read(disk, path, 0, bytes, len);
    bool found = memmem(bytes, len, what, what_len) != NULL;
    test_free(bytes);
    return found;
}

static void no_key_is_in_it(void **state)
{
    struct world *w = *state;
    struct backup_report report;
    struct manifest m;
    char path[FS_PATH_MAX];
    back_up(w, &report);
    assert_int_equal(manifest_read(fs_of(w), report.path, &m), 0);
    for (int i = 0; i < RIG_CONVS; i++) {
        if (!w->rig->convs[i].is_open) continue;
        const uint8_t *key = w->rig->convs[i].key.key;
        assert_true(holds(w->rig->disk, KEYS, key, RECORD_KEY_BYTES));
        for (size_t k = 0; k < m.count; k++) {
            fs_path(path, report.path, m.files[k].name);
            assert_false(holds(w->rig->disk, path, key, RECORD_KEY_BYTES));
        }
    }
    manifest_fini(&m);
    storerig_close(w->rig);
}

static void the_next_one_links_what_the_last_one_has(void **state)
{
    struct world *w = *state;
    struct backup_report first, second, third;
    struct restore_report verified;
    back_up(w, &first);
    assert_int_equal(first.since[0], '\0');
    storerig_run(w->rig, 60, 2);
    storerig_restart(w->rig, 2);
    uint64_t ops = disk_ops(w->rig->disk);
    back_up(w, &second);
    assert_string_equal(second.since, first.path);
    assert_true(second.files_linked > 0);
    assert_true(second.bytes_linked < second.bytes);
    assert_int_equal(verify(fs_of(w), second.path, KEYS, &verified), 0);
    check_restored(w, second.path, ops);

    struct backup_how how = { .since = first.path };
    assert_int_equal(back_up_with(w, &how, &third), 0);
    assert_string_equal(third.since, first.path);
    assert_int_equal(verify(fs_of(w), third.path, KEYS, &verified), 0);
    how.since = "/nowhere";
    assert_int_equal(back_up_with(w, &how, &third), ERR_NOT_FOUND);
    storerig_close(w->rig);
}

static void a_flipped_bit_in_any_file_is_found_and_named(void **state)
{
    struct world *w = *state;
    struct backup_report report;
    struct restore_report verified;
    struct manifest m;
    char path[FS_PATH_MAX];
    uint64_t random = run_seed();
    back_up(w, &report);
    assert_int_equal(manifest_read(fs_of(w), report.path, &m), 0);
    for (size_t i = 0; i < m.count; i++) {
        uint64_t at = chance_below(&random, m.files[i].bytes);
        uint8_t byte;
        fs_path(path, report.path, m.files[i].name);
        disk_file_read(w->rig->disk, path, at, &byte, 1);
        byte ^= 1;
        disk_file_poke(w->rig->disk, path, at, &byte, 1);
        assert_true(verify(fs_of(w), report.path, KEYS, &verified) != 0);
        assert_non_null(strstr(verified.why, m.files[i].name));
        byte ^= 1;
        disk_file_poke(w->rig->disk, path, at, &byte, 1);
    }
    assert_int_equal(verify(fs_of(w), report.path, KEYS, &verified), 0);
    manifest_fini(&m);
    storerig_close(w->rig);
}

static void verifying_changes_nothing(void **state)
{
    struct world *w = *state;
    struct backup_report report;
    struct restore_report verified;
    back_up(w, &report);
    uint64_t ops = disk_ops(w->rig->disk);
    assert_int_equal(verify(fs_of(w), report.path, KEYS, &verified), 0);
    assert_int_equal(verify(fs_of(w), report.path, NULL, &verified), 0);
    assert_int_equal(disk_ops(w->rig->disk), ops);
    storerig_close(w->rig);
}

static void an_older_key_file_is_told_to_be_too_old(void **state)
{
    struct world *w = *state;
    struct backup_report report;
    struct restore_report verified;
    struct vault *empty;
    back_up(w, &report);
    assert_int_equal(vault_open(fs_of(w), "/empty.db", true, &empty), 0);
    assert_int_equal(keyfile_write(fs_of(w), "/old keys", empty, &w->rig->store.node, 1, NULL), 0);
    vault_close(empty);
    assert_int_equal(verify(fs_of(w), report.path, "/old keys", &verified), ERR_GONE);
    assert_int_equal(verified.without_key, verified.records + verified.marks);
    struct node_row stranger = { "generation.....", "another's key.." };
    struct vault *vault = w->rig->store.vault;
    assert_int_equal(keyfile_write(fs_of(w), "/strange keys", vault, &stranger, 1, NULL), 0);
    assert_int_equal(verify(fs_of(w), report.path, "/strange keys", &verified), ERR_DENIED);
    storerig_close(w->rig);
}

static void a_folder_with_anything_in_it_is_not_restored_to(void **state)
{
    struct world *w = *state;
    struct backup_report report;
    struct restore_report restored;
    back_up(w, &report);
    struct restore_how how = { .fs = fs_of(w), .from = report.path, .keys = KEYS, .to = RIG_DIR };
    uint64_t ops = disk_ops(w->rig->disk);
    assert_int_equal(restore_make(&how, &restored), ERR_EXISTS);
    how.to = RESTORED;
    how.from = BACKUPS;
    assert_int_equal(restore_make(&how, &restored), ERR_NOT_FOUND);
    how.from = report.path;
    how.keys = "/no keys";
    assert_int_equal(restore_make(&how, &restored), ERR_NOT_FOUND);
    assert_int_equal(disk_ops(w->rig->disk), ops);
    storerig_close(w->rig);
}

static void a_conversation_erased_after_the_backup_is_erased_in_what_is_restored(void **state)
{
    struct world *w = *state;
    struct backup_report report;
    struct restore_report restored;
    struct store store;
    struct vault_key got;
    char why[256];
    uint64_t count;
    back_up(w, &report);
    struct vault *vault = w->rig->store.vault;
    int chosen = 0;
    while (!w->rig->convs[chosen].is_open) chosen++;
    const struct conv_id *conv = &w->rig->convs[chosen].id;
    assert_int_equal(vault_begin(vault), 0);
    assert_int_equal(vault_erase(vault, conv, &count), 0);
    assert_int_equal(vault_commit(vault), 0);
    assert_int_equal(keyfile_write(fs_of(w), KEYS, vault, &w->rig->store.node, 5, NULL), 0);
    assert_int_equal(verify(fs_of(w), report.path, KEYS, &restored), 0);
    assert_true(restored.sealed_for_ever > 0 && restored.opened > 0);
    assert_int_equal(restored.sealed_for_ever + restored.opened, restored.records + restored.marks);

    struct restore_how how = { .fs = fs_of(w), .from = report.path, .keys = KEYS, .to = RESTORED, .now_ms = 9 };
    int err = restore_make(&how, &restored);
    if (err) fail_msg("%s: %s", err_name(err), restored.why);
    assert_int_equal(restored.erased, 1);
    struct store_opening opening = { .shards = 1, .now_ms = 10 };
    assert_int_equal(store_open(how.fs, RESTORED, &opening, &store, why), 0);
    assert_int_equal(vault_get(store.vault, conv, &got), ERR_GONE);
    store_close(&store);
    storerig_close(w->rig);
}

/* -- where links cannot be made -------------------------------------------------------------------------------- */

/* Sorting and merging go on while it copies, and progress is told: it rises to all of it. */
struct restless { struct world *w; uint64_t done, total, steps; };

static int keep_on(void *arg, uint64_t bytes)
{
    struct restless *r = arg;
    struct keep_how how = { .flushed = flushed_of, .now_ms = r->w->now_ms, .arg = r->w };
    struct keep_report report;
    (void)bytes;
    r->steps++;
    return logs_keep(r->w->rig->store.logs, &how, &report);
}

static void got_on(void *arg, uint64_t done, uint64_t total)
{
    struct restless *r = arg;
    assert_true(done <= total);
    assert_true(total != r->total || done >= r->done);
    r->done = done;
    r->total = total;
}

static void back_up_restlessly(struct world *w, const struct fsio *fs, struct backup_report *report)
{
    struct restless r = { .w = w };
    struct restore_report verified;
    struct backup_how how = { .fs = fs, .step = keep_on, .progress = got_on, .arg = &r };
    int err = back_up_with(w, &how, report);
    if (err) fail_msg("%s: %s", err_name(err), report->why);
    assert_int_equal(r.done, r.total);
    assert_true(r.steps > 0);
    err = verify(fs_of(w), report->path, KEYS, &verified);
    if (err) fail_msg("%s: %s", err_name(err), verified.why);
}

static void without_links_in_the_data_folder_files_are_held_and_copied(void **state)
{
    struct world *w = *state;
    struct backup_report report;
    struct restore_report verified;
    storerig_run(w->rig, 100, 2);
    storerig_restart(w->rig, 2);
    uint64_t ops = disk_ops(w->rig->disk);
    disk_refuse_links(w->rig->disk, true);
    back_up_restlessly(w, NULL, &report);                 /* what it holds is sorted and removed meanwhile */
    assert_int_equal(report.files_linked, 0);
    assert_true(disk_file_count(w->rig->disk, RIG_DIR "/log/sorted-") > 0);
    struct backup_report second;
    back_up_restlessly(w, NULL, &second);
    assert_int_equal(second.files_linked, 0);
    assert_int_equal(verify(fs_of(w), report.path, KEYS, &verified), 0);
    check_restored(w, second.path, ops);
    storerig_close(w->rig);
}

static int link_within(void *self, const char *from, const char *to)
{
    const struct fsio *fs = disk_fs(self);
    bool is_there = strncmp(from, BACKUPS "/", sizeof BACKUPS) == 0;
    bool is_to_there = strncmp(to, BACKUPS "/", sizeof BACKUPS) == 0;
    return is_there == is_to_there ? fs->link(fs->self, from, to) : ERR_UNSUPPORTED;
}

static void on_another_file_system_the_first_is_copied_and_the_next_linked_to_it(void **state)
{
    struct world *w = *state;
    struct backup_report first, second;
    struct fsio apart = *fs_of(w);
    apart.link = link_within;
    storerig_run(w->rig, 100, 2);
    storerig_restart(w->rig, 2);
    sort_all(w);
    uint64_t ops = disk_ops(w->rig->disk);
    back_up_restlessly(w, &apart, &first);
    assert_int_equal(first.files_linked, 0);
    back_up_restlessly(w, &apart, &second);
    assert_true(second.files_linked > 0);
    check_restored(w, second.path, ops);
    storerig_close(w->rig);
}

static int stop_at(void *arg, uint64_t bytes)
{
    (void)bytes;
    uint64_t *left = arg;
    return (*left)-- == 0 ? ERR_GOING : 0;
}

static void a_stopped_one_leaves_nothing(void **state)
{
    struct world *w = *state;
    for (uint64_t n = 0; n < 8; n++) {
        uint64_t left = n;
        struct backup_report report;
        struct backup_how how = { .step = stop_at, .arg = &left };
        int err = back_up_with(w, &how, &report);
        if (!err) break;
        assert_int_equal(err, ERR_GOING);
        assert_int_equal(disk_file_count(w->rig->disk, BACKUPS), 0);
        assert_int_equal(disk_file_count(w->rig->disk, RIG_DIR "/backup.new"), 0);
    }
    storerig_close(w->rig);
}

/* Is there a whole backup below BACKUPS? Then it must verify. */
static int on_name(void *arg, const char *name)
{
    char *found = arg;
    fs_path(found, BACKUPS, name);
    return 0;
}

static bool a_whole_one_verifies(struct disk *disk)
{
    const struct fsio *fs = disk_fs(disk);
    char path[FS_PATH_MAX] = "";
    struct manifest m;
    struct restore_report verified;
    if (fs->list(fs->self, BACKUPS, on_name, path) || !path[0]) return false;
    int err = manifest_read(fs, path, &m);
    manifest_fini(&m);
    if (err == ERR_NOT_FOUND) return false;
    assert_int_equal(err, 0);
    err = verify(fs, path, NULL, &verified);
    if (err) fail_msg("%s: %s", err_name(err), verified.why);
    return true;
}

static void power_lost_while_backing_up_leaves_a_whole_backup_or_none(void **state)
{
    struct world *w = *state;
    uint64_t before = disk_journal_ops(w->rig->disk);
    struct backup_report report;
    back_up(w, &report);
    uint64_t ops = disk_journal_ops(w->rig->disk);
    struct disk *shadow = disk_shadow(w->rig->disk);
    bool whole = false;
    for (uint64_t k = before; k <= ops; k++) {
        disk_shadow_to(shadow, w->rig->disk, k);
        for (int mode = 0; mode < DISK_CRASH_MODES; mode++) {
            struct disk *after = disk_crash(shadow, (enum disk_crash)mode, run_seed() + k);
            whole = a_whole_one_verifies(after);
            assert_int_equal(backup_tidy(disk_fs(after), RIG_DIR), 0);
            disk_free(after);
        }
    }
    assert_true(whole);
    disk_free(shadow);
    storerig_close(w->rig);
}

/* Either it is refused, or it is the restored store. */
static void power_lost_while_restoring_leaves_all_or_what_no_start_takes(void **state)
{
    struct world *w = *state;
    struct backup_report report;
    uint64_t ops_of_cut = disk_ops(w->rig->disk);
    back_up(w, &report);
    storerig_close(w->rig);
    struct restore_how how = { .fs = fs_of(w), .from = report.path, .keys = KEYS, .to = RESTORED, .now_ms = w->now_ms };
    struct restore_report restored;
    uint64_t before = disk_journal_ops(w->rig->disk);
    assert_int_equal(restore_make(&how, &restored), 0);
    uint64_t ops = disk_journal_ops(w->rig->disk), opened = 0;
    struct disk *shadow = disk_shadow(w->rig->disk);
    for (uint64_t k = before; k <= ops; k++) {
        disk_shadow_to(shadow, w->rig->disk, k);
        struct disk *after = disk_crash(shadow, k == ops ? DISK_DROP_ALL : DISK_RANDOM, run_seed() + k);
        struct store store;
        struct store_opening opening = { .shards = 2, .now_ms = w->now_ms };
        char why[256];
        bool has_rows = disk_file_size(after, RESTORED "/facts.db") != UINT64_MAX;
        if (has_rows && store_open(disk_fs(after), RESTORED, &opening, &store, why) == 0) {
            check_store(w, &store, ops_of_cut);
            store_close(&store);
            opened++;
        }
        disk_free(after);
    }
    assert_true(opened > 0);
    disk_free(shadow);
}

static void a_full_disk_leaves_no_backup(void **state)
{
    struct world *w = *state;
    struct backup_report report;
    struct backup_how how = { .data = NULL };
    disk_set_capacity(w->rig->disk, disk_used(w->rig->disk) + 20000);
    assert_int_equal(back_up_with(w, &how, &report), ERR_NO_SPACE);
    assert_int_equal(disk_file_count(w->rig->disk, BACKUPS), 0);
    disk_set_capacity(w->rig->disk, UINT64_MAX);
    storerig_close(w->rig);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(what_is_restored_is_the_store_as_it_was_at_the_cut),
        IN_A_WORLD(what_is_not_flushed_is_above_the_cut_and_left_out),
        IN_A_WORLD(sorted_segments_are_linked_and_restored_like_all_others),
        IN_A_WORLD(no_key_is_in_it),
        IN_A_WORLD(the_next_one_links_what_the_last_one_has),
        IN_A_WORLD(a_flipped_bit_in_any_file_is_found_and_named),
        IN_A_WORLD(verifying_changes_nothing),
        IN_A_WORLD(an_older_key_file_is_told_to_be_too_old),
        IN_A_WORLD(a_folder_with_anything_in_it_is_not_restored_to),
        IN_A_WORLD(a_conversation_erased_after_the_backup_is_erased_in_what_is_restored),
        IN_A_WORLD(without_links_in_the_data_folder_files_are_held_and_copied),
        IN_A_WORLD(on_another_file_system_the_first_is_copied_and_the_next_linked_to_it),
        IN_A_WORLD(a_stopped_one_leaves_nothing),
        IN_A_WORLD(a_full_disk_leaves_no_backup),
        IN_A_WORLD(power_lost_while_backing_up_leaves_a_whole_backup_or_none),
        IN_A_WORLD(power_lost_while_restoring_leaves_all_or_what_no_start_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
