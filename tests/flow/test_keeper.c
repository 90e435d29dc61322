/* The log is sorted and merged while people talk: what was said is found all the same, before a restart and after it. */
#include "tests/flow/flow.h"

enum { SEGMENT_BYTES = 8 * 1024, SENDS = 400 };

struct files { uint32_t sorted, others; };

static int count_file(void *arg, const char *name)
{
    struct files *files = arg;
    if (strncmp(name, "sorted-", 7) == 0) files->sorted++;
    else files->others++;
    return 0;
}

static struct files files_of(struct rig *rig)
{
    struct files files = { 0, 0 };
    char path[FS_PATH_MAX];
    const struct fsio *fs = disk_fs(rig_disk(rig));
    fs_path(path, rig_folder(rig), "log");
    assert_int_equal(fs->list(fs->self, path, count_file, &files), 0);
    return files;
}

/* From the newest back to the first: each sequence once. */
static void assert_all_is_there(struct talker *t, const char *with, uint64_t head)
{
    uint64_t left = head;
    while (left > 0) {
        const struct msg *m = ask_newest(t, with, left == head ? 0 : left + 1);
        struct msg_message record;
        assert_int_equal(m->type, MSG_PAGE);
        struct bytes rest = m->u.page.records;
        uint64_t count = 0;
        while (page_next(&rest, &record) == 0) count++;
        assert_true(count > 0);
        rest = m->u.page.records;
        for (uint64_t seq = left - count + 1; page_next(&rest, &record) == 0; seq++)
            assert_int_equal(record.seq, seq);
        left -= count;
        assert_int_equal(m->u.page.more, left > 0);
    }
}

/* The clock is turned and the server asked, until only `open` files wait: those that are written to. */
static void until_sorted(struct rig *rig, struct talker *t, uint32_t open)
{
    while (files_of(rig).others > open) {
        rig_turn_clock(rig, 1000);
        ask_newest(t, "bob", 0);
    }
}

static void what_is_sorted_while_people_talk_is_found_all_the_same(void **state)
{
    (void)state;
    struct clock_hand hand;
    clock_hand_init(&hand, 1700000000000);
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .hand = &hand, .segment_bytes = SEGMENT_BYTES });
    static const char *const names[] = { "bob", "carol", "dora" };
    uint64_t head[3] = { 0 };
    rig_add(rig, "alice", 1);
    for (int i = 0; i < 3; i++) rig_add(rig, names[i], 1);
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    for (uint64_t i = 1; i <= SENDS; i++) {
        int k = (int)(i % 3);
        assert_int_equal(send_text(a, names[k], i, "to be sorted").seq, ++head[k]);
    }
    until_sorted(rig, a, 2);
    assert_true(files_of(rig).sorted > 0);
    assert_true(files_of(rig).sorted < 2 * 8);        /* merged, too: there were more segments than that */
    for (int i = 0; i < 3; i++) assert_all_is_there(a, names[i], head[i]);

    /* Who was away catches up over sorted files. */
    struct talker *b = rig_talk(rig, "bob", 0);
    for (uint64_t seq = 1; seq <= head[0]; seq++) {
        struct msg_message m = talker_expect(b, MSG_MESSAGE)->u.message;
        assert_int_equal(m.seq, seq);
        talker_cursor(b, MSG_DELIVERED, &m.conv, seq);
    }
    talker_close(a);
    talker_close(b);
    rig_down(rig);
    rig_up(rig);
    a = rig_talk(rig, "alice", 0);
    for (int i = 0; i < 3; i++) assert_all_is_there(a, names[i], head[i]);
    assert_int_equal(send_text(a, "bob", SENDS + 1, "and on").seq, head[0] + 1);
    talker_close(a);
    rig_free(rig);
}

static void a_damaged_file_is_left_alone_and_the_server_goes_on(void **state)
{
    (void)state;
    struct clock_hand hand;
    clock_hand_init(&hand, 1700000000000);
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 1, .hand = &hand, .segment_bytes = SEGMENT_BYTES });
    char folder[FS_PATH_MAX], path[FS_PATH_MAX];
    uint8_t byte;
    uint64_t client_seq = 0;
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    for (; client_seq < 5; client_seq++) send_text(a, "bob", client_seq + 1, "soon to be damaged");
    fs_path(folder, rig_folder(rig), "log");
    fs_path(path, folder, "0000-0000000000000001.seg");
    enum { IN_THE_FIRST_RECORD = 48 + 48 + 150 };
    disk_file_read(rig_disk(rig), path, IN_THE_FIRST_RECORD, &byte, 1);
    byte ^= 1;
    disk_file_poke(rig_disk(rig), path, IN_THE_FIRST_RECORD, &byte, 1);
    for (; client_seq < 200; client_seq++) send_text(a, "bob", client_seq + 1, "after it");
    until_sorted(rig, a, 2);                   /* the open one, and the damaged one */
    assert_true(files_of(rig).sorted > 0);
    assert_error(ask_newest(a, "bob", 10), ERR_DAMAGED);
    assert_int_equal(ask_newest(a, "bob", 0)->type, MSG_PAGE);
    assert_int_equal(send_text(a, "bob", client_seq + 1, "and on").seq, client_seq + 1);
    talker_close(a);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sorted_while_people_talk_is_found_all_the_same),
        cmocka_unit_test(a_damaged_file_is_left_alone_and_the_server_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
