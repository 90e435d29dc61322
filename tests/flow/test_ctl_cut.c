/* test_ctl_cut.c - a damaged log and the way out: a byte flips, the server does not start, the owner is told where and
 * cuts there, and people go on. And a byte flips in a sorted file: that page is refused, everything else is served. */
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/flow/flow.h"
#include "tests/flow/sorting.h"
#include "tests/harness/owner.h"

enum { MESSAGES = 40 };

static struct rig *with_people(void)
{
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 1, .real_folder = true });
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    rig_add(rig, "carol", 1);
    rig_up(rig);
    return rig;
}

/* Alice writes to bob and carol in turns: sequences 1 to MESSAGES / 2 in both. */
static void alice_writes(struct rig *rig)
{
    struct talker *a = rig_talk(rig, "alice", 0);
    for (uint64_t i = 0; i < MESSAGES; i++) send_text(a, i % 2 ? "carol" : "bob", i + 1, "said before");
    talker_close(a);
}

static void flip(const char *path, long offset)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    int byte = fgetc(f);
    assert_true(byte != EOF);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 1, f), byte ^ 1);
    assert_int_equal(fclose(f), 0);
}

static long size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (long)st.st_size;
}

/* Sequences of a page, from the first to the last, in `seqs`; how many. */
static size_t seqs_of(const struct msg *m, uint64_t seqs[static PAGE_RECORDS_MAX])
{
    struct msg_message record;
    assert_int_equal(m->type, MSG_PAGE);
    struct bytes rest = m->u.page.records;
    size_t count = 0;
    while (page_next(&rest, &record) == 0) seqs[count++] = record.seq;
    return count;
}

/* FILE:OFFSET, as the last command named it first. */
static void place_named(char out[static 600])
{
    const char *end = strstr(said.err, ": ");
    assert_non_null(end);
    snprintf(out, 600, "%.*s", (int)(end - said.err), said.err);
}

static void a_server_that_refuses_a_damaged_log_starts_after_a_cut_where_verify_says(void **state)
{
    (void)state;
    struct rig *rig = with_people();
    char path[512], place[600], why[256];
    uint64_t seqs[PAGE_RECORDS_MAX];
    struct conv_id conv = conv_of("alice", "bob");
    alice_writes(rig);
    struct talker *b = rig_talk(rig, "bob", 0);                /* bob has all of it, carol none */
    for (uint64_t seq = 1; seq <= MESSAGES / 2; seq++) {
        assert_int_equal(talker_expect(b, MSG_MESSAGE)->u.message.seq, seq);
        talker_cursor(b, MSG_DELIVERED, &conv, seq);
    }
    ask_newest(b, "alice", 0);                                /* what was said before it is taken then */
    talker_close(b);
    rig_down(rig);
    snprintf(path, sizeof path, "%s/log/0000-0000000000000001.seg", rig_folder(rig));
    long size = size_of(path);
    flip(path, size / 2);

    /* It does not start, and says where; verify says the same. */
    assert_int_equal(rig_try_up(rig, why), ERR_CORRUPT);
    assert_int_equal(ctl_on(rig, WORDS("log", "verify")), 1);
    place_named(place);
    assert_int_equal(strncmp(place, path, strlen(path)), 0);
    assert_non_null(strstr(why, place + strlen(rig_folder(rig)) + 1));

    /* Nothing is done before somebody says yes, or --yes; wrong places are refused. */
    assert_int_equal(ctl_on(rig, WORDS("log", "cut", "--at", place)), 2);
    assert_said(said.out, "(alice, carol)");
    assert_said(said.err, "no terminal to ask on");
    assert_int_equal(ctl_on_terminal(rig, WORDS("log", "cut", "--at", place), "y\n"), 2);
    assert_said(said.out, "nothing was done");
    assert_int_equal(ctl_on(rig, WORDS("log", "cut", "--at", "sorted-0000000000000001.seg:1", "--yes")), 1);
    assert_int_equal(ctl_on(rig, WORDS("log", "cut", "--at", "/tmp/0000-0000000000000001.seg:1", "--yes")), 2);
    assert_said(said.err, "--data names the server's folder");
    assert_int_equal(ctl_on(rig, WORDS("log", "cut", "--at", "0000-0000000000000001.seg", "--yes")), 2);
    assert_int_equal(ctl_on(rig, WORDS("log", "cut", "--at", "0000-0000000000000001.seg:x", "--yes")), 2);
    assert_int_equal(ctl_on(rig, WORDS("log", "cut")), 2);
    assert_int_equal(size_of(path), size);

    assert_int_equal(ctl_on_terminal(rig, WORDS("log", "cut", "--at", place), "yes\n"), 0);
    assert_said(said.out, "unreadable");
    assert_int_equal(ctl_on(rig, WORDS("log", "verify")), 0);
    rig_up(rig);
    assert_int_equal(ctl_on(rig, WORDS("log", "cut", "--at", place, "--yes")), 1);
    assert_said(said.err, "stop it first");

    /* What lay before the cut is served, what lay behind it is not, and sequences go on. */
    struct talker *a = rig_talk(rig, "alice", 0);
    size_t left = seqs_of(ask_newest(a, "carol", 0), seqs);
    assert_true(left > 0 && left < MESSAGES / 2);
    for (size_t i = 0; i < left; i++) assert_int_equal(seqs[i], i + 1);
    assert_int_equal(send_text(a, "carol", MESSAGES + 1, "said after").seq, MESSAGES / 2 + 1);
    assert_int_equal(send_text(a, "bob", MESSAGES + 2, "said after").seq, MESSAGES / 2 + 1);

    /* Carol had nothing: what is left, then the new one, and that is all. Bob had all: just the new one. */
    struct talker *c = rig_talk(rig, "carol", 0);
    for (size_t i = 0; i < left; i++) assert_int_equal(talker_expect(c, MSG_MESSAGE)->u.message.seq, i + 1);
    assert_int_equal(talker_expect(c, MSG_MESSAGE)->u.message.seq, MESSAGES / 2 + 1);
    talker_expect(c, MSG_SYNCED);
    b = rig_talk(rig, "bob", 0);
    assert_int_equal(talker_expect(b, MSG_MESSAGE)->u.message.seq, MESSAGES / 2 + 1);
    talker_expect(b, MSG_SYNCED);
    talker_close(a);
    talker_close(b);
    talker_close(c);
    rig_down(rig);
    assert_int_equal(ctl_on(rig, WORDS("log", "verify")), 0);
    rig_free(rig);
}

static void a_flipped_byte_in_a_sorted_file_is_named_and_only_its_page_is_refused(void **state)
{
    (void)state;
    static char text[4001];
    struct rig *rig = with_people();
    char path[512], place[600];
    uint64_t seqs[PAGE_RECORDS_MAX];
    memset(text, 'x', sizeof text - 1);                        /* two of them are a block */
    struct talker *a = rig_talk(rig, "alice", 0);
    for (uint64_t i = 0; i < MESSAGES; i++) send_text(a, i % 2 ? "carol" : "bob", i + 1, text);
    talker_close(a);
    rig_down(rig);
    sort_all(rig, 1);
    snprintf(path, sizeof path, "%s/log/sorted-0000000000000001.seg", rig_folder(rig));
    flip(path, 5000);                                          /* the first messages of one of the two */

    assert_int_equal(ctl_on(rig, WORDS("log", "verify")), 1);
    place_named(place);
    assert_int_equal(strncmp(place, path, strlen(path)), 0);
    assert_true(strtol(place + strlen(path) + 1, NULL, 10) <= 5000);
    assert_int_equal(ctl_on(rig, WORDS("log", "cut", "--at", place, "--yes")), 1);
    assert_said(said.err, "sorted ones cannot");

    rig_up(rig);
    a = rig_talk(rig, "alice", 0);
    static const char *const names[] = { "bob", "carol" };
    int refused = 0;
    for (int i = 0; i < 2; i++) {
        const struct msg *m = ask_newest(a, names[i], 6);     /* the oldest five */
        if (m->type == MSG_ERROR) {
            assert_error(m, ERR_DAMAGED);
            refused++;
        } else {
            assert_int_equal(seqs_of(m, seqs), 5);
        }
        size_t newest = seqs_of(ask_newest(a, names[i], 0), seqs);
        assert_true(newest > 0);
        assert_int_equal(seqs[newest - 1], MESSAGES / 2);
        assert_int_equal(send_text(a, names[i], MESSAGES + 1 + (uint64_t)i, "and on").seq, MESSAGES / 2 + 1);
    }
    assert_int_equal(refused, 1);
    talker_close(a);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_refuses_a_damaged_log_starts_after_a_cut_where_verify_says),
        cmocka_unit_test(a_flipped_byte_in_a_sorted_file_is_named_and_only_its_page_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
