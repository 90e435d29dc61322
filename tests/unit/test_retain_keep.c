/* test_retain_keep.c - what the keeper is told of each record. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/proto.h"
#include "storage/facts_impl.h"
#include "storage/retain_keep.h"
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
        "INSERT INTO deleted VALUES (x'07000000000000000000000000000000', 2, 1);"), 0);
    retainer_init(&r, facts, vault);
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
    retainer_fini(&r);
    vault_close(vault);
    facts_close(facts);
    disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_dead_is_dropped_and_all_else_is_kept) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
