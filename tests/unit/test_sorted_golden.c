/* test_sorted_golden.c - the files of tests/golden/disk are what the code writes today, to the byte.
 *
 * They are an unsorted segment and a sorted one, keys.txt with the keys of their partitions, and what is in them as
 * text. tests/stranger reads the same files with nothing but docs/disk.md. Should a format change on purpose, which
 * takes a new format number, PIPIT_GOLDEN=1 writes them anew. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>

#include "storage/segment.h"
#include "tests/unit/sorted_world.h"

#define GOLDEN "tests/golden/disk/"

enum { CONVS = 3, SEQS = 7, FILE_BYTES_MAX = 64 * 1024, TEXT_BYTES_MAX_HERE = 32 * 1024 };

struct golden {
    struct record head;
    struct entry entry;
    struct mark marks[2];
    char body[400];
};

static const char *const people[] = { "alice", "bob", "carol_42" };

static void key_of(uint32_t conv, uint8_t key[static RECORD_KEY_BYTES])
{
    for (int i = 0; i < RECORD_KEY_BYTES; i++)
        key[i] = (uint8_t)(conv * 64 + (uint32_t)i);
}

static struct user_id user(const char *name)
{
    struct user_id id;
    assert_int_equal(user_id_parse(bytes_of_str(name), &id), 0);
    return id;
}

/* Record `seq` of a conversation, or the marks placed there. All of it follows from these numbers. */
static void make(struct golden *g, uint32_t conv, uint64_t seq, bool marks, uint32_t log, uint64_t number)
{
    *g = (struct golden){ 0 };
    struct conv_id partition = world_conv(conv + 1);
    struct msg_id before = { { 0 } };
    const uint8_t noise[8] = { (uint8_t)(conv + 1), (uint8_t)seq, marks, 4, 5, 6, 7, 8 };
    uint64_t made_ms = WORLD_MS + seq * 60000 + marks * 1500;
    g->head = (struct record){ .partition = partition, .log = log, .number = number, .key = 200 + conv, .seq = seq,
                               .id = msg_id_next(&before, made_ms, noise), .kind = marks ? RECORD_KIND_MARKS : 1,
                               .flags = marks ? 0 : seq % 2, .counted = (seq + 1) / 2,
                               .expiry_ms = !marks && seq == 5 ? made_ms + 86400000 : 0 };
    if (marks) {
        g->marks[0] = (struct mark){ user(people[1]), { 0xb0b }, seq, 0, made_ms };
        g->marks[1] = (struct mark){ user(people[2]), { UINT64_C(0xca201ca201ca201c) }, seq, seq, made_ms };
        g->entry.marks = g->marks;
        g->entry.mark_count = 1 + seq % 2;
        return;
    }
    int len = snprintf(g->body, sizeof g->body, "message %d of conversation %d", (int)seq, (int)conv);
    while (seq % 3 == 0 && len < 300)
        len += snprintf(g->body + len, sizeof g->body - (size_t)len, ", and so on");
    g->entry = (struct entry){ .sender = user(people[seq % 3]), .device = { UINT64_C(0x0123456789abcdef) + seq },
                               .client_seq = 10 + seq, .settled = 9 + seq, .body = bytes_of_str(g->body) };
    if (seq == 1) {
        g->entry.member_count = 2;
        g->entry.members[0] = user(people[0]);
        g->entry.members[1] = user(people[1]);
    }
}

/* ---- the text ---- */

struct text { char at[TEXT_BYTES_MAX_HERE]; size_t len; };

static void tell(struct text *to, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(to->at + to->len, sizeof to->at - to->len, format, args);
    va_end(args);
    assert_true(len >= 0 && (size_t)len < sizeof to->at - to->len);
    to->len += (size_t)len;
}

static void tell_record(struct text *to, const struct golden *g)
{
    char partition[CONV_ID_TEXT], id[MSG_ID_TEXT];
    const struct record *r = &g->head;
    conv_id_print(&r->partition, partition);
    msg_id_print(&r->id, id);
    tell(to, "%s %llu kind %d log %u record %llu key %llu flags %d id %s counted %llu expiry %llu:", partition,
         (unsigned long long)r->seq, r->kind, (unsigned)r->log, (unsigned long long)r->number,
         (unsigned long long)r->key, r->flags, id, (unsigned long long)r->counted, (unsigned long long)r->expiry_ms);
    for (uint32_t i = 0; i < g->entry.mark_count; i++)
        tell(to, " %s %016llx %llu %llu %llu", g->marks[i].user.v, (unsigned long long)g->marks[i].device.v,
             (unsigned long long)g->marks[i].delivered, (unsigned long long)g->marks[i].read,
             (unsigned long long)g->marks[i].time_ms);
    if (r->kind != RECORD_KIND_MARKS)
        tell(to, " %s %016llx %llu %llu %s", g->entry.sender.v, (unsigned long long)g->entry.device.v,
             (unsigned long long)g->entry.client_seq, (unsigned long long)g->entry.settled, g->body);
    for (uint8_t i = 0; i < g->entry.member_count; i++)
        tell(to, "%s%s", i ? " " : " | ", g->entry.members[i].v);
    tell(to, "\n");
}

/* ---- the files ---- */

static void same_file(const char *name, const void *want, size_t len)
{
    static uint8_t has[FILE_BYTES_MAX];
    char path[128];
    snprintf(path, sizeof path, GOLDEN "%s", name);
    bool anew = getenv("PIPIT_GOLDEN") != NULL;
    FILE *f = fopen(path, anew ? "wb" : "rb");
    if (!f)
        fail_msg("%s: not there; tests run from the root of the tree", path);
    if (anew) {
        assert_int_equal(fwrite(want, 1, len, f), len);
    } else {
        assert_int_equal(fread(has, 1, sizeof has, f), len);
        assert_memory_equal(has, want, len);
    }
    assert_int_equal(fclose(f), 0);
}

static void same_disk_file(struct disk *disk, const char *name)
{
    static uint8_t bytes[FILE_BYTES_MAX];
    char path[FS_PATH_MAX];
    fs_path(path, WORLD_DIR, name);
    uint64_t size = disk_file_size(disk, path);
    assert_true(size < sizeof bytes);
    disk_file_read(disk, path, 0, bytes, size);
    same_file(name, bytes, size);
}

/* The first records of log 1, as a shard appended them. */
static void the_unsorted_segment_is_as_it_was(void **state)
{
    struct world w;
    world_init(&w);
    struct segment_head head = { .log = 1, .first_number = 1, .first_batch = 1, .made_ms = WORLD_MS };
    struct segment *segment;
    assert_int_equal(segment_create(w.fs, WORLD_DIR, &head, &segment), 0);
    static struct text text;
    static struct golden g;
    uint8_t key[RECORD_KEY_BYTES];
    uint64_t at = SEGMENT_HEADER_BYTES, number = 1;
    for (uint64_t seq = 1; seq <= 3; seq++) {
        struct batch batch;
        assert_int_equal(batch_init(&batch, NULL), 0);
        for (int marks = 0; marks < 2; marks++) {
            make(&g, 0, 100 + seq, marks, 1, number++);
            key_of(0, key);
            assert_int_equal(batch_add(&batch, &g.head, &g.entry, key), 0);
            tell_record(&text, &g);
        }
        batch_seal(&batch, seq, segment->seed);
        char path[FS_PATH_MAX];
        fs_path(path, WORLD_DIR, segment->name);
        disk_file_poke(w.disk, path, at, batch.bytes.at, batch.bytes.len);
        at += batch.bytes.len;
        batch_fini(&batch);
    }
    same_disk_file(w.disk, segment->name);
    same_file("unsorted.txt", text.at, text.len);
    segment_unref(segment);
    world_fini(&w);
}

static int compare(const void *a, const void *b)
{
    return sorted_order(&((const struct golden *)a)->head, &((const struct golden *)b)->head);
}

static void the_sorted_segment_is_as_it_was(void **state)
{
    struct world w;
    world_init(&w);
    static struct text text, keys;
    static struct golden all[CONVS * (2 * SEQS + 1)];
    struct buf whole;
    uint8_t key[RECORD_KEY_BYTES];
    size_t count = 0;
    for (uint64_t seq = 0; seq <= SEQS; seq++)
        for (uint32_t conv = 0; conv < CONVS; conv++)
            for (int marks = seq == 0; marks < 2; marks++, count++)
                make(&all[count], conv, seq, marks, 0, 300 + count);
    struct sorted_making making = { .serial = w.serial, .made_ms = WORLD_MS, .partitions_max = CONVS,
                                    .block_bytes = 1000 };
    struct sorted_writer *writer;
    assert_int_equal(sorted_writer_open(w.fs, WORLD_DIR, &making, &writer), 0);
    buf_init(&whole, RECORD_BYTES_MAX);
    qsort(all, count, sizeof *all, compare);
    for (size_t i = 0; i < count; i++) {
        struct golden *g = &all[i];
        struct record record;
        size_t len;
        g->entry.marks = g->entry.mark_count > 0 ? g->marks : NULL;     /* it moved when it was sorted */
        if (g->entry.body.len > 0)
            g->entry.body.at = (const uint8_t *)g->body;
        key_of((uint32_t)g->head.key - 200, key);
        buf_clear(&whole);
        assert_int_equal(record_write(&g->head, &g->entry, key, &whole), 0);
        assert_int_equal(record_parse(buf_bytes(&whole), &record, &len), 0);
        assert_int_equal(sorted_writer_add(writer, &record, buf_bytes(&whole)), 0);
        tell_record(&text, g);
    }
    struct sorted_span span = { 0, 300, 299 + count, 41, 50 };
    assert_int_equal(sorted_writer_finish(writer, &span, 1, 12345, 0, NULL), 0);
    for (uint32_t conv = 0; conv < CONVS; conv++) {
        tell(&keys, "%u ", 200 + conv);
        key_of(conv, key);
        for (int i = 0; i < RECORD_KEY_BYTES; i++)
            tell(&keys, "%02x", key[i]);
        tell(&keys, "\n");
    }
    same_disk_file(w.disk, w.name);
    same_file("sorted.txt", text.at, text.len);
    same_file("keys.txt", keys.at, keys.len);
    buf_fini(&whole);
    world_fini(&w);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_unsorted_segment_is_as_it_was),
        cmocka_unit_test(the_sorted_segment_is_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
