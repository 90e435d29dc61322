/* test_retain_keep.c - what the keeper is told of each record. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "proto/proto.h"
#include "storage/facts_impl.h"
#include "storage/retain_keep.h"
#include "storage/sorted.h"
#include "tests/harness/disk.h"

static const struct conv_id chat = { { 7 } };

static enum fate fate_of(struct retainer *r, struct record head, const struct entry *entry, const uint8_t *key)
{
    struct buf bytes;
    struct record record;
    size_t len;
    enum fate fate;
    buf_init(&bytes, RECORD_BYTES_MAX);
    assert_int_equal(record_write(&head, entry, key, &bytes), 0);
    assert_int_equal(record_parse(buf_bytes(&bytes), &record, &len), 0);
    assert_int_equal(retainer_fate(r, &record, buf_bytes(&bytes), &fate), 0);
    buf_fini(&bytes);
    return fate;
}

static void what_is_dead_is_dropped_and_all_else_is_kept(void **state)
{
    (void)state;
    struct disk *disk = disk_new(1);
    struct facts *facts;
    struct vault *vault;
    struct vault_key key;
    static struct retainer r;
    uint64_t erased;
    assert_int_equal(facts_open(disk_fs(disk), "/facts.db", true, &facts), 0);
    assert_int_equal(vault_open(disk_fs(disk), "/keys.db", true, &vault), 0);
    assert_int_equal(vault_begin(vault), 0);
    assert_int_equal(vault_make(vault, &chat, 1, &key), 0);
    assert_int_equal(vault_commit(vault), 0);
    assert_int_equal(db_exec(facts->db,
        "INSERT INTO users (user, password_hash, created_ms) VALUES ('bob', '', 1);"
        "INSERT INTO members (conv, user, type, from_seq, delivered) VALUES"
        " (x'07000000000000000000000000000000', 'bob', 1, 1, 5);"
        "INSERT INTO devices (user, device, token_hash, name, created_ms, since_ms, live_ms, client_seq_max)"
        " VALUES ('bob', 1, x'', '', 1, 1, 1, 0);"
        "INSERT INTO cursors VALUES (x'07000000000000000000000000000000', 'bob', 1, 5, 0);"
        "INSERT INTO deleted (conv, seq, ms) VALUES (x'07000000000000000000000000000000', 2, 1);"), 0);
    retainer_init(&r, facts, vault, NULL);
    r.rules = (struct retain_rules){ .now_ms = 1000000, .marks_ms = 1000 };
    assert_int_equal(retainer_partition(&r, &chat), 0);

    struct record head = { .partition = chat, .number = 1, .key = key.number, .seq = 1, .kind = KIND_MESSAGE };
    struct entry entry = { .body = bytes_of_str("x") };
    assert_int_equal(fate_of(&r, head, &entry, key.key), FATE_KEEP);
    head.seq = 2;
    assert_int_equal(fate_of(&r, head, &entry, key.key), FATE_DROP);
    head.seq = 3;
    head.expiry_ms = 999999;
    assert_int_equal(fate_of(&r, head, &entry, key.key), FATE_DROP);

    struct mark mark = { .device = { 1 }, .delivered = 4, .time_ms = 5 };
    struct entry marks = { .marks = &mark, .mark_count = 1 };
    struct record old = { .partition = chat, .number = 2, .key = key.number, .seq = 5, .kind = KIND_MARKS };
    struct user_id bob = { "bob" };
    mark.user = bob;
    assert_int_equal(fate_of(&r, old, &marks, key.key), FATE_DROP);
    mark.delivered = 5;                /* the furthest */
    assert_int_equal(fate_of(&r, old, &marks, key.key), FATE_KEEP);
    mark.delivered = 4;
    struct record young = old;
    young.id.v[3] = 0x0f;              /* 983,040 ms and more */
    young.id.v[4] = 0xff;
    r.rules.now_ms = 0x0fff00 + 500;
    assert_int_equal(retainer_partition(&r, &chat), 0);
    assert_int_equal(fate_of(&r, young, &marks, key.key), FATE_KEEP);

    assert_int_equal(vault_begin(vault), 0);
    assert_int_equal(vault_erase(vault, &chat, &erased), 0);
    assert_int_equal(vault_commit(vault), 0);
    assert_int_equal(retainer_partition(&r, &chat), 0);
    head.seq = 1;
    head.expiry_ms = 0;
    assert_int_equal(fate_of(&r, head, &entry, key.key), FATE_DROP);
    assert_int_equal(fate_of(&r, young, &marks, key.key), FATE_DROP);

    /* The conversation goes on under another key: each record goes by its own. */
    struct vault_key next;
    assert_int_equal(vault_begin(vault), 0);
    assert_int_equal(vault_make(vault, &chat, 1, &next), 0);
    assert_int_equal(vault_commit(vault), 0);
    assert_int_equal(retainer_partition(&r, &chat), 0);
    assert_int_equal(fate_of(&r, head, &entry, key.key), FATE_DROP);
    head.key = next.number;
    head.seq = 6;
    assert_int_equal(fate_of(&r, head, &entry, next.key), FATE_KEEP);
    young.key = next.number;
    assert_int_equal(fate_of(&r, young, &marks, next.key), FATE_KEEP);
    retainer_fini(&r);
    vault_close(vault);
    facts_close(facts);
    disk_free(disk);
}

/* A sorted file with messages 1 to 5, made at 1,000,000; the third expires at 2,000,000. */
static struct sorted *make_table(struct disk *disk)
{
    const struct sorted_making making = { .serial = 1, .made_ms = 1000000, .partitions_max = 1 };
    const uint8_t key[RECORD_KEY_BYTES] = { 9 };
    struct sorted_writer *w;
    struct sorted *table;
    struct buf bytes;
    uint64_t offset;
    buf_init(&bytes, RECORD_BYTES_MAX);
    assert_int_equal(disk_fs(disk)->mkdir(disk_fs(disk)->self, "/log"), 0);
    assert_int_equal(sorted_writer_open(disk_fs(disk), "/log", &making, &w), 0);
    for (uint64_t seq = 1; seq <= 5; seq++) {
        struct record head = { .partition = chat, .number = seq, .key = 1, .seq = seq, .kind = KIND_MESSAGE,
                               .expiry_ms = seq == 3 ? 2000000 : 0, .id = { { 0, 0, 0, 0x0d, (uint8_t)seq } } };
        struct entry entry = { .body = bytes_of_str("x") };
        struct record record;
        size_t len;
        buf_clear(&bytes);
        assert_int_equal(record_write(&head, &entry, key, &bytes), 0);
        assert_int_equal(record_parse(buf_bytes(&bytes), &record, &len), 0);
        assert_int_equal(sorted_writer_add(w, &record, buf_bytes(&bytes)), 0);
    }
    struct sorted_span span = { .first_number = 1, .last_number = 5, .first_batch = 1, .last_batch = 1 };
    assert_int_equal(sorted_writer_finish(w, &span, 1, 1000, 0, NULL), 0);
    assert_int_equal(sorted_open(disk_fs(disk), "/log", "sorted-0000000000000001.seg", NULL, &table, &offset), 0);
    buf_fini(&bytes);
    return table;
}

static void a_table_is_dead_in_part_since_its_first_expiry_age_or_delete(void **state)
{
    (void)state;
    struct disk *disk = disk_new(1);
    struct facts *facts;
    static struct retainer r;
    assert_int_equal(facts_open(disk_fs(disk), "/facts.db", true, &facts), 0);
    struct sorted *table = make_table(disk);
    retainer_init(&r, facts, NULL, NULL);
    r.rules = (struct retain_rules){ .now_ms = 1999999 };
    assert_int_equal(retainer_dead_since(&r, table), 0);
    r.rules.now_ms = 3000000;
    assert_int_equal(retainer_dead_since(&r, table), 2000000);
    uint64_t first_ms = UINT64_C(0x0d01) << 8;     /* of message 1, by its id */
    r.rules.age_ms = 1500000 - first_ms;
    assert_int_equal(retainer_dead_since(&r, table), 1500000);
    r.rules.age_ms = 0;
    /* What the sweep found. */
    struct sweep sweep;
    sweep_init(&sweep);
    r.sweep = &sweep;
    assert_int_equal(retainer_dead_since(&r, table), 2000000);
    sweep.known.at = calloc(2, sizeof *sweep.known.at);
    sweep.known.at[0].serial = 7;
    sweep.known.at[0].dead_ms = 1000;
    sweep.known.at[1].serial = 1;
    sweep.known.at[1].dead_ms = 1400000;
    sweep.known.count = 2;
    assert_int_equal(retainer_dead_since(&r, table), 1400000);
    sweep.known.at[1].dead_ms = 2500000;
    assert_int_equal(retainer_dead_since(&r, table), 2000000);
    sweep_fini(&sweep);
    retainer_fini(&r);
    sorted_unref(table);
    facts_close(facts);
    disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_dead_is_dropped_and_all_else_is_kept),
        cmocka_unit_test(a_table_is_dead_in_part_since_its_first_expiry_age_or_delete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
