/* test_erase.c - after an erasure nothing that lies in the folder opens a record, wherever the power went during it.
 *
 * "Nothing" is taken at its word: every 32 bytes that lie together in any file are tried as a key. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proto/err.h"
#include "storage/storage.h"
#include "tests/harness/chance.h"
#include "tests/harness/disk.h"

enum { NOW_MS = 1000000, PAIRS = 12, RECORDS = 3, IMAGES_STEP = 3, LAST = PAIRS - 1 };
#define DIR "/data"

static const struct user_id alice = { "alice" };

struct sealed { uint8_t bytes[512]; size_t len; struct record record; };
struct world {
    struct disk *disk;
    struct store store;
    struct user_id peers[PAIRS];
    struct conv_id convs[PAIRS];
    struct vault_key keys[PAIRS];
    struct sealed one[PAIRS];            /* a record of each */
};

static void store_opened(struct disk *disk, struct store *store)
{
    struct store_opening how = { .shards = 1, .now_ms = NOW_MS };
    char why[256];
    if (store_open(disk_fs(disk), DIR, &how, store, why)) fail_msg("%s", why);
}

static void user_added(struct store *store, const struct user_id *user)
{
    struct conv_id inbox = conv_id_inbox(user);
    struct vault_key key;
    assert_int_equal(vault_begin(store->vault), 0);
    assert_int_equal(vault_make(store->vault, &inbox, NOW_MS, &key), 0);
    assert_int_equal(vault_commit(store->vault), 0);
    assert_int_equal(facts_begin(store->facts), 0);
    assert_int_equal(facts_user_add(store->facts, user, "a hash", NOW_MS), 0);
    assert_int_equal(facts_inbox_add(store->facts, user, NOW_MS), 0);
    assert_int_equal(facts_commit(store->facts), 0);
}

/* A conversation, its key, RECORDS records in the log. The very last one is in no fold: a start replays it. */
static void conv_made(struct world *w, int i)
{
    struct store *s = &w->store;
    struct fold *fold = fold_new(0);
    w->convs[i] = conv_id_direct(&alice, &w->peers[i]);
    assert_int_equal(vault_begin(s->vault), 0);
    assert_int_equal(vault_make(s->vault, &w->convs[i], NOW_MS, &w->keys[i]), 0);
    assert_int_equal(vault_commit(s->vault), 0);
    assert_int_equal(facts_begin(s->facts), 0);
    assert_int_equal(facts_conv_add_direct(s->facts, &w->convs[i], &alice, &w->peers[i], NOW_MS), 0);
    for (uint64_t seq = 1; seq <= RECORDS; seq++) {
        struct record r = { .kind = FOLD_KIND_MESSAGE, .partition = w->convs[i], .key = w->keys[i].number, .seq = seq,
                            .counted = seq };
        struct entry e = { .sender = alice, .device = { 7 }, .client_seq = (uint64_t)i * RECORDS + seq,
                           .body = bytes_of_str("for nobody else") };
        struct position pos;
        struct buf sealed;
        memset(r.id.v, i + 1, sizeof r.id.v);
        r.id.v[15] = (uint8_t)seq;
        assert_int_equal(log_append(s->log[0], &r, &e, w->keys[i].key, &pos), 0);
        assert_int_equal(log_commit(s->log[0]), 0);
        r.log = pos.log;
        r.number = pos.number;
        if (seq < RECORDS) assert_int_equal(fold_record(fold, &r, &e), 0);
        buf_init(&sealed, sizeof w->one[i].bytes);
        assert_int_equal(record_write(&r, &e, w->keys[i].key, &sealed), 0);
        w->one[i].len = sealed.len;
        memcpy(w->one[i].bytes, sealed.at, sealed.len);
        buf_fini(&sealed);
    }
    assert_int_equal(facts_flush(s->facts, fold), 0);
    assert_int_equal(facts_commit(s->facts), 0);
    fold_free(fold);
}

static int setup(void **state)
{
    static struct world w;
    memset(&w, 0, sizeof w);
    w.disk = disk_new(run_seed());
    store_opened(w.disk, &w.store);
    user_added(&w.store, &alice);
    for (int i = 0; i < PAIRS; i++) {
        snprintf(w.peers[i].v, sizeof w.peers[i].v, "peer%d", i);
        user_added(&w.store, &w.peers[i]);
        conv_made(&w, i);
    }
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    disk_free(((struct world *)*state)->disk);
    return 0;
}

/* -- every 32 bytes ------------------------------------------------------------------------------------------ */

static bool opens(const struct sealed *sealed, const uint8_t *key)
{
    struct bytes whole = bytes_of(sealed->bytes, sealed->len);
    struct record record;
    struct entry_room room;
    struct entry entry;
    struct buf plain;
    size_t len;
    assert_int_equal(record_parse(whole, &record, &len), 0);
    buf_init(&plain, sizeof sealed->bytes);
    bool good = record_open(whole, &record, key, &plain, &room, &entry) == 0;
    buf_fini(&plain);
    return good;
}

/* How many places of the databases open the record: each window as a key. */
static size_t keys_for(struct disk *disk, const struct sealed *sealed)
{
    static const char *const names[] = { "keys.db", "keys.db-wal", "facts.db", "facts.db-wal" };
    size_t found = 0;
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        char path[64];
        snprintf(path, sizeof path, DIR "/%s", names[n]);
        uint64_t size = disk_file_size(disk, path);
        if (size == UINT64_MAX || size < RECORD_KEY_BYTES) continue;
        uint8_t *all = test_malloc(size);
        disk_file_read(disk, path, 0, all, size);
        for (uint64_t at = 0; at + RECORD_KEY_BYTES <= size; at++) found += opens(sealed, all + at);
        test_free(all);
    }
    return found;
}

/* The same where the key is known: whether its bytes are there, and a name's. */
static bool lies_in(struct disk *disk, const void *what, size_t len)
{
    static const char *const names[] = { "keys.db", "keys.db-wal", "facts.db", "facts.db-wal" };
    bool found = false;
    for (size_t n = 0; n < sizeof names / sizeof names[0] && !found; n++) {
        char path[64];
        snprintf(path, sizeof path, DIR "/%s", names[n]);
        uint64_t size = disk_file_size(disk, path);
        if (size == UINT64_MAX || size == 0) continue;
        uint8_t *all = test_malloc(size);
        disk_file_read(disk, path, 0, all, size);
        found = memmem(all, size, what, len) != NULL;
        test_free(all);
    }
    return found;
}

static void begun(struct world *w)
{
    assert_int_equal(facts_begin(w->store.facts), 0);
    assert_int_equal(facts_erase_begin_user(w->store.facts, &alice, NOW_MS), 0);
    assert_int_equal(facts_commit(w->store.facts), 0);
}

static void erased(struct world *w)
{
    struct erase_count count = { 0 };
    begun(w);
    assert_int_equal(erase_finish(disk_fs(w->disk), w->store.facts, w->store.vault, NOW_MS, &count), 0);
    assert_int_equal(count.keys, PAIRS + 1);
    assert_int_equal(count.conversations, PAIRS + 1);
}

static void no_window_of_any_file_is_a_key_any_more(void **state)
{
    struct world *w = *state;
    assert_true(keys_for(w->disk, &w->one[0]) > 0);         /* the control: before, one is */
    erased(w);
    assert_int_equal(keys_for(w->disk, &w->one[0]), 0);
    for (int i = 0; i < PAIRS; i++) assert_false(lies_in(w->disk, w->keys[i].key, RECORD_KEY_BYTES));
    store_close(&w->store);
    assert_false(lies_in(w->disk, "alice", 5));
}

static void what_is_not_erased_keeps_its_key(void **state)
{
    struct world *w = *state;
    struct erase_count count = { 0 };
    assert_int_equal(facts_begin(w->store.facts), 0);
    assert_int_equal(facts_erase_begin(w->store.facts, &w->convs[LAST]), 0);
    assert_int_equal(facts_commit(w->store.facts), 0);
    assert_int_equal(erase_finish(disk_fs(w->disk), w->store.facts, w->store.vault, NOW_MS, &count), 0);
    assert_int_equal(count.keys, 1);
    for (int i = 0; i < PAIRS; i++) assert_int_equal(lies_in(w->disk, w->keys[i].key, RECORD_KEY_BYTES), i != LAST);
    struct conv_row row;
    assert_int_equal(facts_conv_get(w->store.facts, &w->convs[LAST], &row), 0);
    store_close(&w->store);

    store_opened(w->disk, &w->store);                       /* replays a record under the erased key: a tombstone */
    assert_true(w->store.report.replayed > 0);
    assert_int_equal(facts_conv_get(w->store.facts, &w->convs[LAST], &row), 0);
    assert_int_equal(row.head, RECORDS);
    store_close(&w->store);
}

/* At every operation of an erasure, in every way the power can go: after the next start either all of it is there (it had
 * not begun) or none. */
static void wherever_the_power_goes_it_is_erased_or_had_not_begun(void **state)
{
    struct world *w = *state;
    size_t images = 0, before = 0;
    disk_journal_start(w->disk);
    erased(w);
    uint64_t last = disk_journal_ops(w->disk);
    struct disk *shadow = disk_shadow(w->disk);
    for (uint64_t i = run_seed() % IMAGES_STEP; i <= last * DISK_CRASH_MODES; i += IMAGES_STEP, images++) {
        disk_shadow_to(shadow, w->disk, i / DISK_CRASH_MODES);
        struct disk *after = disk_crash(shadow, (enum disk_crash)(i % DISK_CRASH_MODES), run_seed() + i);
        struct store store;
        bool alike, is_there = true;
        struct user_row row;
        store_opened(after, &store);
        is_there = facts_user_get(store.facts, &alice, &row) == 0;
        assert_int_equal(facts_name_check(store.facts, &alice, &alike), ERR_EXISTS);
        for (int k = 0; k < PAIRS; k++) assert_int_equal(lies_in(after, w->keys[k].key, RECORD_KEY_BYTES), is_there);
        before += is_there;
        store_close(&store);
        disk_free(after);
    }
    print_message("%zu images, %zu of them from before it had begun\n", images, before);
    assert_true(before > 0 && before < images / 2);
    disk_free(shadow);
    store_close(&w->store);
}

static void a_name_that_was_erased_is_kept_as_hashes_alone(void **state)
{
    struct world *w = *state;
    struct user_id like = { "a1ice" }, other = { "malice" };
    bool alike = false;
    erased(w);
    assert_int_equal(facts_begin(w->store.facts), 0);
    assert_int_equal(facts_name_check(w->store.facts, &alice, &alike), ERR_EXISTS);
    assert_false(alike);
    assert_int_equal(facts_name_check(w->store.facts, &like, &alike), ERR_EXISTS);
    assert_true(alike);
    assert_int_equal(facts_name_check(w->store.facts, &other, &alike), 0);
    assert_int_equal(facts_user_add(w->store.facts, &alice, "h", NOW_MS), ERR_EXISTS);
    assert_int_equal(facts_user_add(w->store.facts, &other, "h", NOW_MS), 0);
    assert_int_equal(facts_erase_begin_user(w->store.facts, &alice, NOW_MS), ERR_GONE);
    facts_rollback(w->store.facts);
    store_close(&w->store);
}

static void a_reader_that_holds_the_wal_is_told(void **state)
{
    struct world *w = *state;
    struct facts *facts;
    struct vault *vault;
    assert_int_equal(store_reader_open(&w->store, &facts, &vault), 0);
    assert_int_equal(facts_snapshot(facts), 0);
    begun(w);
    assert_int_equal(facts_scrub(w->store.facts), ERR_AGAIN);
    facts_snapshot_end(facts);
    assert_int_equal(facts_scrub(w->store.facts), 0);
    assert_int_equal(disk_file_size(w->disk, DIR "/facts.db-wal"), 0);
    facts_close(facts);
    vault_close(vault);
    store_close(&w->store);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(no_window_of_any_file_is_a_key_any_more),
        IN_A_WORLD(what_is_not_erased_keeps_its_key),
        IN_A_WORLD(wherever_the_power_goes_it_is_erased_or_had_not_begun),
        IN_A_WORLD(a_name_that_was_erased_is_kept_as_hashes_alone),
        IN_A_WORLD(a_reader_that_holds_the_wal_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
